//go:build e2e

package agent

func init() { privateRequests = 10_000 }
