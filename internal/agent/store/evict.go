package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
)

// reserve takes n bytes for a spool file, and makes room if it must.
func (s *Store) reserve(n int64) error {
	s.mu.Lock()
	s.stats.SpoolBytes += n
	over := s.opt.MaxBytes > 0 && s.stats.SpoolBytes > s.opt.MaxBytes
	if over {
		s.stats.SpoolBytes -= n
	}
	s.mu.Unlock()
	if over {
		return fmt.Errorf("%w: more than %d bytes are being fetched", ErrFull, s.opt.MaxBytes)
	}
	return nil
}

func (s *Store) unreserve(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.SpoolBytes -= n
}

// evict makes room: down to nine tenths of the bound, so that it is not called
// for every file.
func (s *Store) evict() {
	if s.opt.MaxBytes > 0 {
		s.shrink(s.opt.MaxBytes, s.opt.MaxBytes/10*9)
	}
}

// roomy does what may fill the disk. If it does, files are removed for it, the
// least recently used first, until there are none: other things on the same
// disk may have taken the room that the bound promised. The error matches
// [ErrFull] then.
func (s *Store) roomy(do func() error) error {
	for {
		err := do()
		if err == nil || !full(err) {
			return err
		}
		held := s.Stats()
		files, bytes := s.shrink(0, held.Bytes+held.SpoolBytes-max(held.Bytes/10, minRoom))
		if files == 0 {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
		s.opt.Log.Warn("the disk is full: files removed to make room", "files", files, "bytes", bytes)
	}
}

// minRoom is how many bytes are freed on a full disk, at least.
const minRoom = 1 << 20

// full reports whether an error is that of a full disk.
func full(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EFBIG) || errors.Is(err, syscall.EDQUOT)
}

// GC removes the files that were used least recently until at most limit bytes
// are left, and returns how many files and bytes it removed.
func (s *Store) GC(ctx context.Context, limit int64) (files int, bytes int64, err error) {
	if s.opt.ReadOnly {
		return 0, 0, ErrReadOnly
	}
	s.count(ctx)
	files, bytes = s.shrink(limit, limit)
	return files, bytes, ctx.Err()
}

// shrink removes files if there are more than bound bytes, until there are at
// most target: zips first, since one of them is worth a thousand of the others.
func (s *Store) shrink(bound, target int64) (files int, bytes int64) {
	type candidate struct {
		key string
		file
	}
	s.mu.Lock()
	excess := s.stats.Bytes + s.stats.SpoolBytes - target
	if s.stats.Bytes+s.stats.SpoolBytes <= bound {
		s.mu.Unlock()
		return 0, 0
	}
	list := make([]candidate, 0, len(s.files))
	for key, f := range s.files {
		list = append(list, candidate{key, *f})
	}
	s.mu.Unlock()
	small := func(c candidate) int {
		if strings.HasSuffix(c.key, ".zip") {
			return 0
		}
		return 1
	}
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(small(a), small(b)), a.used.Compare(b.used), cmp.Compare(a.key, b.key))
	})
	for _, c := range list {
		if excess <= 0 {
			break
		}
		if err := s.remove(c.key); err != nil {
			s.opt.Log.Warn("file not evicted", "file", c.key, "err", err)
			continue
		}
		excess -= c.size
		files, bytes = files+1, bytes+c.size
	}
	s.mu.Lock()
	s.stats.Evictions += int64(files)
	s.mu.Unlock()
	return files, bytes
}

// count finds the files of earlier runs, in the background of a new one: with
// 100 000 of them that takes longer than a build may wait.
func (s *Store) count(ctx context.Context) {
	s.walk(func(key string, d fs.DirEntry) error {
		if info, err := d.Info(); err == nil {
			s.mu.Lock()
			if s.files[key] == nil {
				s.files[key] = &file{info.Size(), info.ModTime()}
				s.stats.Bytes += info.Size()
			}
			s.mu.Unlock()
		}
		return ctx.Err()
	})
}

// walk calls f for each file that the store serves.
func (s *Store) walk(f func(key string, d fs.DirEntry) error) error {
	const dir = "cache/download"
	return fs.WalkDir(s.root.FS(), dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // gone meanwhile, or a folder
		}
		key := strings.TrimPrefix(path, dir+"/")
		if !servable(key) || !d.Type().IsRegular() {
			return nil
		}
		return f(key, d)
	})
}

// servable reports whether key may be that of a file that is served: the go
// command keeps others beside them.
func servable(key string) bool {
	return strings.Contains(key, "/@v/") && (strings.HasSuffix(key, ".zip") || strings.HasSuffix(key, ".mod") || strings.HasSuffix(key, ".info"))
}
