//go:build e2e

package explain_test

// With the tag e2e, the whole campaign runs.
const everyChain, everyCell, everyTrial = 1, 1, 1
