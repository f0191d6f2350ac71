package store

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/org/goproxy-setup/internal/checksum"
)

// variant is one of the contents that a key is given.
func variant(key string, n int) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("%s %d\n", key, n), 1+(len(key)+n)*40%997))
}

// metaOf is what is known of data, which is graded by its first use.
func metaOf(data []byte, g Grade) Meta {
	return Meta{Grade: g, Source: "x", Sum: checksum.HashGoMod(data)}
}

// fits reports an error unless all files are whole and under their own grade.
func fits(s *Store) error {
	var errs []error
	err := s.walk("cache/download", func(key string, _ fs.DirEntry) error {
		if !servable(key) {
			return nil
		}
		e, err := s.Get(key)
		if err != nil {
			return err
		}
		defer e.Close()
		data, err := io.ReadAll(e)
		if err != nil || e.Sum != checksum.HashGoMod(data) || e.Grade == Unvouched {
			errs = append(errs, fmt.Errorf("%s has %d bytes, and what is known of it is %+v: %v", key, len(data), e.Meta, err))
		}
		if zip, ok := strings.CutSuffix(key, ".zip"); ok {
			if sum, err := s.root.ReadFile("cache/download/" + zip + ".ziphash"); string(sum) != e.Sum {
				errs = append(errs, fmt.Errorf("%s: the hash beside it is %q, %v", key, sum, err))
			}
		}
		if e.Grade == Pinned {
			if pin, err := s.root.ReadFile("pins/" + key); string(pin) != e.Sum+"\n" {
				errs = append(errs, fmt.Errorf("%s: its pin is %q, %v", key, pin, err))
			}
		}
		return nil
	})
	return errors.Join(append(errs, err)...)
}

// A child that replaces files by other bytes as fast as it can is killed at a
// random moment: what is visible is whole, and graded as it was.
func TestKill(t *testing.T) {
	if dir := os.Getenv("STORE_KILL_DIR"); dir != "" {
		churn(dir)
	}
	dir := t.TempDir()
	for i := range kills {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), "STORE_KILL_DIR="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 10 + rand.IntN(500); n > 0 && lines.Scan(); n-- {
		}
		cmd.Process.Kill()
		cmd.Wait()
		s, err := Open(dir, Options{MaxBytes: 1 << 20})
		if err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		if err := fits(s); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "spool", "*")); len(left) > 0 {
			t.Errorf("round %d: spool files left: %v", i, left)
		}
		s.Close()
	}
}

func churn(dir string) {
	s, err := Open(dir, Options{MaxBytes: 1 << 20})
	if err != nil {
		panic(err)
	}
	for {
		key := fmt.Sprintf("example.com/m%d/@v/v1.0.0.%s", rand.IntN(100), []string{"mod", "zip"}[rand.IntN(2)])
		data := variant(key, rand.IntN(9))
		sp, err := s.Spool()
		if err != nil {
			panic(err)
		}
		sp.Write(data)
		s.Commit(sp, key, metaOf(data, Verified))
		fmt.Println(key)
	}
}

var errDead = errors.New("the process was killed")

// A dying folder does so many operations and then none.
type dying struct {
	*os.Root
	mu   sync.Mutex
	left int
}

func (d *dying) step() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left--; d.left < 0 {
		return errDead
	}
	return nil
}

func (d *dying) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	if err := d.step(); err != nil {
		return nil, err
	}
	f, err := d.Root.OpenFile(name, flag, perm)
	if err == nil && flag&os.O_CREATE != 0 && d.step() != nil {
		f.Close() // nothing can be written any more
	}
	return f, err
}

func (d *dying) MkdirAll(name string, perm fs.FileMode) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.Root.MkdirAll(name, perm)
}

func (d *dying) Rename(from, to string) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.Root.Rename(from, to)
}

func (d *dying) Remove(name string) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.Root.Remove(name)
}

// At whatever step the process dies: the old bytes under the old grade, the new
// ones under the new, or nothing.
func TestDeathAtEveryStep(t *testing.T) {
	const key = "example.com/a/@v/v1.0.0.zip"
	first, second := variant(key, 1), variant(key, 2)
	for left := 0; ; left++ {
		dir := t.TempDir()
		s, err := Open(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, key, first, metaOf(first, Verified))
		<-s.counted
		dead := &dying{Root: s.root, left: left}
		s.write(dead)
		sp, err := s.Spool()
		if err == nil {
			if _, err = sp.Write(second); err == nil {
				s.Pin(key, metaOf(second, Pinned).Sum)
				err = <-s.Commit(sp, key, metaOf(second, Pinned))
			}
		}
		if err == nil {
			err = s.Unpin(key)
		}
		survived := dead.left >= 0
		if survived != (err == nil) && !errors.Is(err, errDead) && !errors.Is(err, os.ErrClosed) {
			t.Fatalf("after %d steps: %v", left, err)
		}
		s.Close()
		s = open(t, dir, Options{})
		if err := fits(s); err != nil {
			t.Errorf("after %d steps: %v", left, err)
		}
		if survived {
			if left < 10 || s.Has(key) {
				t.Errorf("%d steps, and the file is there: %v", left, s.Has(key))
			}
			return
		}
	}
}

// Whoever opens a file while it is replaced or removed gets bytes and grade that
// belong together.
func TestGradeBelongsToBytes(t *testing.T) {
	s := open(t, t.TempDir(), Options{MaxBytes: 150_000})
	done := make(chan struct{})
	var readers, writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			for n := range 25 {
				data := variant(modKey, (n+i)%5)
				put(t, s, modKey, data, metaOf(data, Verified))
				other := variant(modKey, n%5)
				s.Remove(modKey, metaOf(other, "").Sum)
				s.Regrade(modKey, metaOf(other, Pinned))
			}
		})
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				e, err := s.Get(modKey)
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				data, err := io.ReadAll(e)
				e.Close()
				if err != nil || e.Sum != checksum.HashGoMod(data) {
					t.Errorf("%d bytes under %+v, %v", len(data), e.Meta, err)
				}
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	if st := s.Stats(); st.SpoolBytes != 0 || st.Files > 1 || st.Files == 0 && st.Bytes != 0 {
		t.Errorf("%+v", st)
	}
}

// Files of which nothing but the time of their use is known are counted while
// the store is used already.
func TestCountBesideUse(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	for i := range 200 {
		put(t, s, fmt.Sprintf("example.com/m%d/@v/v1.0.0.mod", i), []byte("module a\n"), Meta{Sum: "h1:a"})
	}
	s.Close()
	s = open(t, dir, Options{})
	for i := range 200 {
		s.Remove(fmt.Sprintf("example.com/m%d/@v/v1.0.0.mod", i), "h1:a")
	}
	<-s.counted
	if st := s.Stats(); st.Bytes != 0 || st.Files != 0 {
		t.Errorf("%+v in an empty store", st)
	}
}
