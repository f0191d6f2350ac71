//go:build !e2e

package goenv_test

// The differential tests run the go command hundreds of times. Without the tag
// e2e they take a sample: every n-th row, and of it every n-th module.
const (
	everyRow   = 11
	everyCell  = 2
	everyGoSum = 3
	lookupRuns = 60 // of TestLookupDifferential
)
