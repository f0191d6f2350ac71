//go:build e2e

package goenv_test

// With the tag e2e, all rows and modules of the differential tests run.
const everyRow, everyCell, everyGoSum, lookupRuns = 1, 1, 1, 400
