//go:build !unix

package ci

import "io/fs"

// owner returns whom a file belongs to, which is no number here.
func owner(fs.FileInfo) (uid, gid int, ok bool) { return 0, 0, false }
