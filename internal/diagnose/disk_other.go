//go:build !linux && !darwin && !freebsd

package diagnose

// freeBytes is not known on this system.
func freeBytes(string) (uint64, bool) { return 0, false }

// writable is not known on this system.
func writable(string) error { return nil }
