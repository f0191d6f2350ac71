//go:build e2e

package explain_test

// With the tag e2e, the whole campaign runs.
const everyChain, everyCell = 1, 1
