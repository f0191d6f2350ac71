//go:build !e2e

package explain_test

// Without the tag e2e the campaign takes a sample: every n-th chain, and of it
// every n-th cell.
const (
	everyChain = 8
	everyCell  = 4
	everyTrial = 2 // of TestCommandsDifferential
)
