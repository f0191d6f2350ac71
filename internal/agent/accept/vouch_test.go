package accept

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/checksum"
)

// Who vouches decides the grade, go.sum before the database; other bytes are a
// mismatch.
func TestVouching(t *testing.T) {
	data := []byte("module example.com/quote\n")
	h1 := checksum.HashGoMod(data)
	sums := func(zip, gomod string, err error) func(context.Context, module.Version) (string, string, string, error) {
		return func(context.Context, module.Version) (string, string, string, error) {
			return zip, gomod, "the database", err
		}
	}
	goSum, err := checksum.ParseGoSum("go.sum", []byte("example.com/quote v1.5.2/go.mod "+h1+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := checksum.ParseGoSum("go.sum", []byte("example.com/quote v1.5.2/go.mod h1:other\n"))
	if err != nil {
		t.Fatal(err)
	}
	pin := func(first string) func(string, string) (string, error) {
		return func(_, h1 string) (string, error) {
			if first == "" {
				return h1, nil
			}
			return first, nil
		}
	}
	recorded := func(gomod string) func(module.Version) (string, string, string, bool) {
		return func(module.Version) (string, string, string, bool) { return "h1:zip", gomod, "the database", true }
	}
	late := func(ctx context.Context, _ module.Version) (string, string, string, error) {
		<-ctx.Done()
		return "", "", "", ctx.Err()
	}
	for _, tt := range []struct {
		name     string
		v        Vouchers
		grade    store.Grade
		mismatch string // who has another hash
	}{
		{"nobody", Vouchers{}, store.Unvouched, ""},
		{"go.sum, in this run alone", Vouchers{GoSum: goSum}, store.Unvouched, ""},
		{"go.sum says no", Vouchers{GoSum: other}, store.Unvouched, "go.sum"},
		{"go.sum before the database, which is not asked", Vouchers{GoSum: goSum, Sums: sums("", "h1:other", nil)}, store.Unvouched, ""},
		{"go.sum, and the database has said the same", Vouchers{GoSum: goSum, Recorded: recorded(h1)}, store.Unvouched, ""},
		{"go.sum, and the database has said no", Vouchers{GoSum: goSum, Recorded: recorded("h1:other")}, store.Unvouched, "the database"},
		{"the database", Vouchers{Sums: sums("h1:zip", h1, nil)}, store.Verified, ""},
		{"the database says no", Vouchers{Sums: sums("h1:zip", "h1:other", nil)}, store.Unvouched, "the database"},
		{"the database is down", Vouchers{Sums: sums("", "", errors.New("down"))}, store.Unvouched, ""},
		{"the database is silent", Vouchers{Sums: late, Patience: time.Millisecond}, store.Unvouched, ""},
		{"the first use", Vouchers{Pin: pin("")}, store.Pinned, ""},
		{"another first use", Vouchers{Pin: pin("h1:first")}, store.Unvouched, "the pin of the first use"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := judge(t, &tt.v, quoteMod, data)
			if m.Grade != tt.grade || m.Sum != h1 {
				t.Errorf("got %+v; want grade %s", m, tt.grade)
			}
			mismatch, is := errors.AsType[*checksum.MismatchError](err)
			if is != (tt.mismatch != "") || is && mismatch.By != tt.mismatch || !is && err != nil {
				t.Errorf("got %v; want a mismatch with %q", err, tt.mismatch)
			}
			if is && strings.Contains(err.Error(), "agent forget example.com/quote@v1.5.2") != (tt.v.Pin != nil) {
				t.Errorf("it says %v", err)
			}
			// The same bytes, from the store.
			again, err := tt.v.Again(t.Context(), quoteMod, store.Meta{Grade: store.Unvouched, Source: "corp", Sum: h1})
			if (err != nil) != is || again != (store.Meta{Grade: tt.grade, Source: "corp", Sum: h1}) {
				t.Errorf("again: %+v, %v", again, err)
			}
			if ok, err := tt.v.Vouched(quoteMod, m); tt.v.GoSum != nil && (!ok || (err != nil) != is) {
				t.Errorf("vouched: %v, %v", ok, err)
			}
		})
	}
	// A pin that cannot be read lets no other bytes through.
	broken := Vouchers{Pin: func(string, string) (string, error) { return "", store.ErrPin }}
	if m, err := judge(t, &broken, quoteMod, data); !errors.Is(err, store.ErrPin) || m.Grade != store.Unvouched {
		t.Errorf("without the pin: %+v, %v", m, err)
	}
}

// A database that does not answer costs a wait now and then, not one for each
// file; what is known of it counts meanwhile.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := []byte("module example.com/quote\n")
		known := false
		v := Vouchers{Patience: 5 * time.Second, Vain: new(atomic.Int64),
			Sums: func(ctx context.Context, _ module.Version) (string, string, string, error) {
				<-ctx.Done()
				return "", "", "", context.Cause(ctx)
			},
			Recorded: func(module.Version) (string, string, string, bool) {
				return "", checksum.HashGoMod(data), "the database", known
			},
		}
		for _, tt := range []struct {
			pause, took time.Duration
			known       bool
			grade       store.Grade
		}{
			{0, 5 * time.Second, false, store.Unvouched},
			{0, 0, false, store.Unvouched},
			{20 * time.Second, 0, true, store.Verified},
			{20 * time.Second, 5 * time.Second, false, store.Unvouched},
			{0, 0, false, store.Unvouched},
		} {
			time.Sleep(tt.pause)
			known = tt.known
			begin := time.Now()
			m, err := judge(t, &v, quoteMod, data)
			if took := time.Since(begin); err != nil || m.Grade != tt.grade || took != tt.took {
				t.Errorf("after %v: %+v, %v in %v; want %s in %v", tt.pause, m, err, took, tt.grade, tt.took)
			}
		}
		// Who leaves has not waited in vain.
		time.Sleep(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		v.Again(ctx, quoteMod, store.Meta{Sum: "h1:x"})
		if last := time.Unix(0, v.Vain.Load()); time.Since(last) < time.Minute {
			t.Errorf("in vain at %v", last)
		}
	})
}
