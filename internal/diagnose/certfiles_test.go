package diagnose_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/report"
)

// A file that is gone costs its own authorities alone, unless there are no
// others.
func TestCertFileGone(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skipf("SKIPPED: on %s the directories are others", runtime.GOOS)
	}
	for _, tt := range []struct {
		name     string
		make     func(*rig)
		severity report.Severity
		text     string
	}{
		{"no other authorities", env("SSL_CERT_FILE", "/nonexistent/ca.pem"), report.Error, "trusts nobody"},
		{"the system's directory", both(env("SSL_CERT_FILE", "/nonexistent/ca.pem"), file("etc/ssl/certs/ca.pem", "x")), "", "directories alone"},
		{"a directory of its own", func(r *rig) {
			r.write(r.path("~/ca/ca.pem"), "x")
			r.env["SSL_CERT_FILE"], r.env["SSL_CERT_DIR"] = "/nonexistent/ca.pem", r.path("~/ca")
		}, "", "directories alone"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			tt.make(r)
			for _, e := range r.examine() {
				for _, f := range e.Findings {
					if e.ID != "D38" || f.Severity != tt.severity || !strings.Contains(f.Message, tt.text) {
						t.Errorf("%s %s: %s; want %q with %q", e.ID, f.Severity, f.Message, tt.severity, tt.text)
					}
					tt.text = ""
				}
			}
			if tt.text != "" {
				t.Error("nothing was found")
			}
		})
	}
}
