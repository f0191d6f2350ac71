//go:build e2e

package diagnose_test

func init() { thorough = true }
