package accept

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/modproxy"
)

// vouch asks who can tell whether the bytes are the right ones. With an error
// the grade is the one that m had.
func (v *Vouchers) vouch(ctx context.Context, f modproxy.File, m store.Meta) (store.Meta, error) {
	if v.HasSum(f) {
		return m, v.byGoSum(f, m.Sum)
	}
	if v.Sums != nil {
		zip, gomod, name, err := v.sums(ctx, f)
		if err == nil {
			return graded(m, store.Verified, match(f, m.Sum, one(f, zip, gomod), name))
		}
		v.log().LogAttrs(ctx, slog.LevelDebug, "nothing vouches", slog.String("module", f.Path), slog.String("version", f.Version), slog.Any("err", err))
	}
	if v.Pin != nil {
		key, err := f.URLPath()
		if err != nil {
			return m, err
		}
		want, err := v.Pin(key, m.Sum)
		if err != nil {
			return m, err
		}
		err = match(f, m.Sum, want, "the pin of the first use")
		if mismatch, is := errors.AsType[*checksum.MismatchError](err); is {
			mismatch.Next = "if the version was changed on purpose, run \"goproxy-setup agent forget " + f.Path + "@" + f.Version + "\""
		}
		return graded(m, store.Pinned, err)
	}
	return m, nil
}

// graded returns m with a grade that its bytes have if there is no error.
func graded(m store.Meta, g store.Grade, err error) (store.Meta, error) {
	if err == nil {
		m.Grade = g
	}
	return m, err
}

// byGoSum compares a hash with the line of the run's go.sum, and with what the
// checksum database is known to say: whoever sent the go.sum may have made it
// fit the bytes.
func (v *Vouchers) byGoSum(f modproxy.File, h1 string) error {
	if err := match(f, h1, v.goSum(f), "go.sum"); err != nil || v.Recorded == nil {
		return err
	}
	zip, gomod, name, ok := v.Recorded(module.Version{Path: f.Path, Version: f.Version})
	if !ok {
		return nil
	}
	return match(f, h1, one(f, zip, gomod), name)
}

// one returns the hash that is for f's kind.
func one(f modproxy.File, zip, gomod string) string {
	if f.Kind == modproxy.Mod {
		return gomod
	}
	return zip
}

// Known reports whether the run's go.sum names the file's version, or a tagged
// one if the file is of no version.
func (v *Vouchers) Known(f modproxy.File) bool {
	if v.GoSum == nil {
		return false
	}
	if f.Version != "" {
		m := module.Version{Path: f.Path, Version: f.Version}
		return v.GoSum.GoMod(m) != "" || v.GoSum.Zip(m) != ""
	}
	for _, s := range v.GoSum.Sums {
		if s.Module.Path == f.Path && semver.IsValid(s.Module.Version) && !module.IsPseudoVersion(s.Module.Version) {
			return true
		}
	}
	return false
}

// Vouched reports whether m is of bytes that may be served as they are: a grade
// that says so, or a line in the run's go.sum. The error is a mismatch.
func (v *Vouchers) Vouched(f modproxy.File, m store.Meta) (bool, error) {
	if v.HasSum(f) && m.Sum != "" {
		return true, v.byGoSum(f, m.Sum)
	}
	return m.Grade == store.Verified || m.Grade == store.Pinned, nil
}

// Again judges stored bytes, of which nothing but the hash is known, by what
// can vouch now.
func (v *Vouchers) Again(ctx context.Context, f modproxy.File, m store.Meta) (store.Meta, error) {
	m.Grade = store.Unvouched
	return v.vouch(ctx, f, m)
}

// Vouches reports whether somebody vouches for a file that is still to come.
func (v *Vouchers) Vouches(ctx context.Context, f modproxy.File) bool {
	if v.HasSum(f) {
		return true
	}
	if v.Sums == nil {
		return false
	}
	_, _, _, err := v.sums(ctx, f)
	return err == nil
}

// vainFor is how long nobody waits after a wait that was in vain: a build asks
// for one file after the other.
const vainFor = 30 * time.Second

func (v *Vouchers) sums(ctx context.Context, f modproxy.File) (zip, gomod, name string, err error) {
	m := module.Version{Path: f.Path, Version: f.Version}
	if v.Patience == 0 {
		return v.Sums(ctx, m)
	}
	if v.Vain != nil && v.Recorded != nil && time.Now().UnixNano()-v.Vain.Load() < int64(vainFor) {
		zip, gomod, name, ok := v.Recorded(m)
		if !ok {
			err = errVain
		}
		return zip, gomod, name, err
	}
	wait, cancel := context.WithTimeout(ctx, v.Patience)
	defer cancel()
	zip, gomod, name, err = v.Sums(wait, m)
	if err != nil && v.Vain != nil && wait.Err() != nil && ctx.Err() == nil {
		v.Vain.Store(time.Now().UnixNano())
	}
	return zip, gomod, name, err
}

var errVain = errors.New("the checksum database did not answer a moment ago")

// HasSum reports whether the run's go.sum has the hash of a file.
func (v *Vouchers) HasSum(f modproxy.File) bool { return v.goSum(f) != "" }

func (v *Vouchers) goSum(f modproxy.File) string {
	if v.GoSum == nil {
		return ""
	}
	m := module.Version{Path: f.Path, Version: f.Version}
	switch f.Kind {
	case modproxy.Zip:
		return v.GoSum.Zip(m)
	case modproxy.Mod:
		return v.GoSum.GoMod(m)
	}
	return ""
}

func (v *Vouchers) log() *slog.Logger {
	if v.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return v.Log
}

func match(f modproxy.File, got, want, by string) error {
	if got == want {
		return nil
	}
	name := f.Path + "@" + f.Version
	if f.Kind == modproxy.Mod {
		name += "/go.mod"
	}
	return &checksum.MismatchError{File: name, Got: got, Want: want, By: by}
}
