package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"
)

// reserve takes n bytes for a spool file, and makes room for them.
func (s *Store) reserve(n int64) error {
	s.mu.Lock()
	s.stats.SpoolBytes += n
	spool := s.stats.SpoolBytes
	tooMuch := s.opt.MaxBytes > 0 && spool > s.opt.MaxBytes
	if tooMuch {
		s.stats.SpoolBytes -= n
	}
	s.mu.Unlock()
	if tooMuch {
		return fmt.Errorf("%w: more than %d bytes are being fetched", ErrFull, s.opt.MaxBytes)
	}
	s.evict()
	return nil
}

func (s *Store) unreserve(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.SpoolBytes -= n
}

// evict makes room if files and spool are more than the bound: down to nine
// tenths of it, so that this is not done for every file.
func (s *Store) evict() {
	if s.opt.MaxBytes > 0 && s.held() > s.opt.MaxBytes {
		s.shrink(s.opt.MaxBytes, s.opt.MaxBytes/10*9)
	}
}

func (s *Store) held() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stats.Bytes + s.stats.SpoolBytes
}

// roomy does what may fill the disk. If it does, files are removed for it, the
// least recently used first: other things on the same disk may have taken the
// room that the bound promised. The error matches [ErrFull] if that did not
// help.
func (s *Store) roomy(do func() error) error {
	err := do()
	for range maxRounds {
		if !full(err) {
			return err
		}
		<-s.counted
		s.mu.Lock()
		room := max(s.stats.Bytes/10, minRoom)
		s.mu.Unlock()
		files, bytes, _ := s.shrink(0, s.held()-room)
		if files == 0 {
			break
		}
		s.opt.Log.Warn("the disk is full: files removed to make room", "files", files, "bytes", bytes)
		err = do()
	}
	if full(err) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// On a full disk at least minRoom bytes are freed, maxRounds times for one
// write: where more does not help, the room goes to somebody else.
const (
	minRoom   = 1 << 20
	maxRounds = 3
)

// full reports whether an error is that of a full disk.
func full(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// GC removes the files that were used least recently until at most limit bytes
// are left, and returns how many files and bytes it removed. The error joins
// those of files that could not be removed, and of folders that could not be
// read.
func (s *Store) GC(ctx context.Context, limit int64) (files int, bytes int64, err error) {
	select {
	case <-s.counted:
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	files, bytes, err = s.shrink(limit, limit)
	return files, bytes, errors.Join(s.lost, err, s.sweep(ctx), ctx.Err())
}

// sweep removes grades of files that are gone, which a crash may leave.
func (s *Store) sweep(ctx context.Context) error {
	return s.walk("meta", func(key string, _ fs.DirEntry) error {
		guard := s.guard(key)
		guard.Lock()
		defer guard.Unlock()
		if !s.Has(key) {
			s.remove(key)
		}
		return ctx.Err()
	})
}

// shrink removes files if there are more than bound bytes, until there are at
// most target: zips first, since one of them is worth a thousand of the others.
func (s *Store) shrink(bound, target int64) (files int, bytes int64, err error) {
	<-s.counted
	s.shrinking.Lock()
	defer s.shrinking.Unlock()
	excess := s.held() - target
	if excess+target <= bound {
		return 0, 0, nil
	}
	var errs []error
	lists := map[string]string{} // a .mod that was removed, by its folder
	for _, c := range s.candidates() {
		if excess <= 0 {
			break
		}
		if err := s.removeFile(c.name); err != nil {
			s.opt.Log.Warn("file not evicted", "file", c.key, "err", err)
			errs = append(errs, err)
			continue
		}
		if strings.HasSuffix(c.key, ".mod") {
			lists[path.Dir(c.key)] = c.key
		}
		excess -= c.size
		files, bytes = files+1, bytes+c.size
	}
	for _, key := range lists {
		s.list(key)
	}
	s.mu.Lock()
	s.stats.Evictions += int64(files)
	s.mu.Unlock()
	return files, bytes, errors.Join(errs...)
}

type candidate struct {
	name
	file
}

// candidates returns all files in the order in which they go.
func (s *Store) candidates() []candidate {
	s.mu.Lock()
	list := make([]candidate, 0, len(s.files))
	for n, f := range s.files {
		list = append(list, candidate{n, *f})
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
	return list
}

func (s *Store) removeFile(n name) error {
	if n.mutable {
		path, err := local("mutable", n.key)
		if err != nil {
			return err
		}
		if err := s.disk.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		s.forget(n)
		return nil
	}
	guard := s.guard(n.key)
	guard.Lock()
	defer guard.Unlock()
	return s.remove(n.key)
}

// count finds the files of earlier runs, in the background of a new one: with
// 100 000 of them that takes longer than a build may wait.
func (s *Store) count(ctx context.Context) {
	var errs []error
	for dir, mutable := range map[string]bool{"cache/download": false, "mutable": true} {
		errs = append(errs, s.walk(dir, func(key string, d fs.DirEntry) error {
			if mutable || servable(key) {
				s.countOne(name{mutable, key}, d)
			}
			return ctx.Err()
		}))
	}
	if s.lost = errors.Join(errs...); s.lost != nil && ctx.Err() == nil {
		s.opt.Log.Warn("not all files of the store can be found", "err", s.lost)
	}
	s.mu.Lock()
	s.gone = nil
	s.mu.Unlock()
	close(s.counted)
	s.evict()
}

func (s *Store) countOne(n name, d fs.DirEntry) {
	info, err := d.Info()
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files[n] == nil && !s.gone[n] {
		s.files[n] = &file{info.Size(), info.ModTime()}
		s.stats.Bytes += info.Size()
	}
}

// walk calls f for each regular file below a folder of the store until f returns
// an error. Its error joins that and those of folders that could not be read.
func (s *Store) walk(dir string, f func(key string, d fs.DirEntry) error) error {
	var errs []error
	err := fs.WalkDir(s.root.FS(), dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // gone meanwhile
			return nil
		case err != nil:
			errs = append(errs, err)
			return nil
		case !d.Type().IsRegular():
			return nil
		}
		return f(strings.TrimPrefix(path, dir+"/"), d)
	})
	return errors.Join(append(errs, err)...)
}

// servable reports whether key may be that of a file that is served: the go
// command keeps others beside them.
func servable(key string) bool {
	return strings.Contains(key, "/@v/") && (strings.HasSuffix(key, ".zip") || strings.HasSuffix(key, ".mod") || strings.HasSuffix(key, ".info"))
}
