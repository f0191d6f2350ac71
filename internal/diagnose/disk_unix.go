//go:build linux || darwin || freebsd

package diagnose

import (
	"fmt"
	"syscall"
)

// freeBytes returns how many bytes a user may still write where dir is.
func freeBytes(dir string) (uint64, bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return uint64(max(0, int64(s.Bavail))) * uint64(s.Bsize), true
}

// writable says why this user cannot write to dir.
func writable(dir string) error {
	if err := syscall.Access(dir, 2 /* W_OK */); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	return nil
}
