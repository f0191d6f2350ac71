package ci

import (
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/netrc"
	"github.com/org/goproxy-setup/internal/report"
)

// PlaceNetrc writes a netrc with the given machines for the steps that follow,
// and returns the setting that makes them read it. Existing is the text of the
// netrc that is in force now and keeps its entries: NETRC hides ~/.netrc.
//
// The file lies in the job's temporary directory and only its owner can read
// it. That is the owner of the directory: in a container action this program
// is root, while the steps that follow run as the runner's user, whose
// directory it is.
func (j *Job) PlaceNetrc(existing string, machines ...netrc.Machine) (report.Setting, error) {
	text, err := netrc.Merge(existing, machines...)
	if err != nil {
		return report.Setting{}, err
	}
	next, err := j.place("netrc", "credentials", 0o700, 0o600, []byte(text))
	if err != nil {
		return report.Setting{}, fmt.Errorf("placing a netrc for the steps that follow: %w", err)
	}
	why := "credentials for the module proxies, merged with the netrc in force"
	if j.Container {
		why = "credentials for the module proxies; a .netrc in the home directory of the steps that follow can't be seen from this container and is not read any more"
	}
	return report.Setting{Name: "NETRC", Value: filepath.Join(next, "netrc"), Why: why}, nil
}

// systemCerts are the directories in which Go looks for certificates on Linux
// unless SSL_CERT_DIR names others. Those that don't exist don't matter.
//
// Source: crypto/x509/root_linux.go.
var systemCerts = []string{"/etc/ssl/certs", "/etc/pki/tls/certs"}

// PlaceCAs writes the certificates of PEM bundles for the steps that follow, and
// returns the setting that adds them to those of the system. Elsewhere than on
// Linux the go command has no such setting, and an error says so.
func (j *Job) PlaceCAs(bundles ...[]byte) (report.Setting, error) {
	if runtime.GOOS != "linux" {
		return report.Setting{}, fmt.Errorf("the go command takes certificates only from the system on %s: add the proxy's CA there", runtime.GOOS)
	}
	var certificates []byte
	for _, bundle := range bundles {
		found := false
		for block, rest := pem.Decode(bundle); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "CERTIFICATE" { // and no key that happens to lie beside it
				certificates = append(certificates, pem.EncodeToMemory(block)...)
				found = true
			}
		}
		if !found {
			return report.Setting{}, errors.New("a CA bundle has no certificate in PEM form")
		}
	}
	if strings.Contains(j.Temp.Next, ":") {
		return report.Setting{}, fmt.Errorf("the job's temporary directory %q has a colon in its name, which SSL_CERT_DIR can't hold", j.Temp.Next)
	}
	next, err := j.place("goproxy-setup.pem", "certificates", 0o755, 0o644, certificates)
	if err != nil {
		return report.Setting{}, fmt.Errorf("placing certificates for the steps that follow: %w", err)
	}
	dirs := systemCerts
	if inherited := j.host.Getenv("SSL_CERT_DIR"); inherited != "" {
		dirs = strings.Split(inherited, ":")
	}
	return report.Setting{
		Name: "SSL_CERT_DIR", Value: strings.Join(slices.Concat([]string{next}, dirs), ":"),
		Why: "the module proxies' own CA, beside those of the system",
	}, nil
}

// place writes data to a file in a new directory of the job's temporary
// directory, and returns that directory as the steps that follow see it.
func (j *Job) place(name, what string, dirMode, mode os.FileMode, data []byte) (next string, err error) {
	if j.Temp.Next == "" {
		return "", fmt.Errorf("this container shares no known directory with them; use the binary form of the action (org/goproxy-setup/ci-templates/github/binary), or the system's own means for %s", what)
	}
	if err := os.MkdirAll(j.Temp.Path, 0o700); err != nil {
		return "", err
	}
	root, err := os.OpenRoot(j.Temp.Path)
	if err != nil {
		return "", err
	}
	defer root.Close()
	dir := "goproxy-setup-" + rand.Text()
	if err := root.Mkdir(dir, dirMode); err != nil {
		return "", err
	}
	j.placed = append(j.placed, filepath.Join(j.Temp.Path, dir))
	file := filepath.Join(dir, name)
	if err := root.WriteFile(file, data, mode); err != nil {
		return "", err
	}
	// Exactly these modes, whatever the umask; and the directory last, as
	// nothing in it may be changed any more then.
	err = errors.Join(root.Chmod(file, mode), root.Chmod(dir, dirMode), j.handOver(root, file), j.handOver(root, dir))
	if err != nil {
		return "", err
	}
	return filepath.Join(j.Temp.Next, dir), nil
}

// handOver gives name to the owner of the temporary directory root. Outside a
// container the steps that follow are this user anyway, and root is somebody
// else's only if it is the /tmp that everybody shares.
func (j *Job) handOver(root *os.Root, name string) error {
	above, err := root.Stat(".")
	if err != nil {
		return err
	}
	self, err := root.Lstat(name)
	if err != nil {
		return err
	}
	uid, gid, ok := owner(above)
	mine, _, _ := owner(self)
	if !ok || uid == mine || mine != 0 && !j.Container {
		return nil
	}
	if err := root.Lchown(name, uid, gid); err != nil {
		return fmt.Errorf("the steps that follow could not read it: %w; run the container as root, as runners do", err)
	}
	return nil
}

// Discard removes whatever was placed for the steps that follow. Call it when
// the run fails after all.
func (j *Job) Discard() error {
	var errs []error
	for _, dir := range j.placed {
		errs = append(errs, os.RemoveAll(dir))
	}
	j.placed = nil
	return errors.Join(errs...)
}
