package ci

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

// A Write is a file to write: "--write KIND=PATH".
type Write struct {
	Kind render.Kind
	Path string // relative to the working directory, or absolute
}

// ParseWrite parses KIND=PATH.
func ParseWrite(s string) (Write, error) {
	name, path, ok := strings.Cut(s, "=")
	if !ok || path == "" {
		return Write{}, fmt.Errorf("%q is not KIND=PATH", s)
	}
	kind, err := render.ParseKind(name)
	return Write{kind, path}, err
}

// WriteFiles writes r in the forms and to the files asked for. None has its
// final name before all have been written. Missing directories are made. A path inside the workspace does not leave it by a symbolic link
// that the repository brought along.
func (j *Job) WriteFiles(r *report.Report, writes []Write, opt render.Options) (err error) {
	if r, err = j.Clean(r); err != nil {
		return err
	}
	var pending []pendingFile
	defer func() {
		for _, p := range pending {
			err = errors.Join(err, p.close())
		}
	}()
	seen := map[string]bool{}
	for _, w := range writes {
		path := w.Path
		if !filepath.IsAbs(path) {
			path = filepath.Join(j.host.Dir, path)
		}
		if path = filepath.Clean(path); seen[path] {
			return fmt.Errorf("%s is to be written twice", w.Path)
		}
		seen[path] = true
		shown := r
		if w.Kind == render.Dotenv {
			shown = j.travelling(r)
		}
		data, err := render.Render(w.Kind, shown, opt)
		if err != nil {
			return fmt.Errorf("%s: %w", w.Path, err)
		}
		p, err := j.prepare(path, data)
		if err != nil {
			return fmt.Errorf("writing %s: %w", w.Path, err)
		}
		pending = append(pending, p)
	}
	for i := range pending {
		if err := pending[i].commit(); err != nil {
			return fmt.Errorf("writing %s: %w", writes[i].Path, err)
		}
	}
	return nil
}

// WriteFile writes data to the path, as [Job.WriteFiles] does.
func (j *Job) WriteFile(path string, data []byte) (err error) {
	full := path
	if !filepath.IsAbs(full) {
		full = filepath.Join(j.host.Dir, full)
	}
	p, err := j.prepare(filepath.Clean(full), data)
	if err == nil {
		err = p.commit()
		err = errors.Join(err, p.close())
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// A pendingFile is complete under a temporary name beside its final one.
type pendingFile struct {
	root      *os.Root
	temp      string // "" once it has its final name
	name      string
	committed bool
}

func (p *pendingFile) commit() error {
	err := p.root.Rename(p.temp, p.name)
	p.committed = err == nil
	return err
}

func (p *pendingFile) close() error {
	if !p.committed {
		p.root.Remove(p.temp) // best effort: it is ours, and nobody looks at it
	}
	return p.root.Close()
}

// prepare writes data beside path.
func (j *Job) prepare(path string, data []byte) (pendingFile, error) {
	dir, name := j.fence(path)
	root, err := os.OpenRoot(dir)
	if err != nil {
		return pendingFile{}, err
	}
	p := pendingFile{root: root, name: name}
	if info, err := root.Lstat(name); err == nil && info.IsDir() {
		return p, errors.Join(errors.New("is a directory"), p.close())
	}
	parent := filepath.Dir(name)
	if err := makeDirs(root, parent); err != nil {
		return p, errors.Join(err, p.close())
	}
	p.temp = filepath.Join(parent, ".goproxy-setup-"+rand.Text())
	f, err := root.OpenFile(p.temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return p, errors.Join(err, p.close())
	}
	_, err = f.Write(data)
	giveTo(root, parent, p.temp)
	if err = errors.Join(err, f.Close()); err != nil {
		return p, errors.Join(err, p.close())
	}
	return p, nil
}

// fence returns the directory that writing to path must not leave, and path
// below it: the workspace or the working directory, or else the directory that
// the caller has named himself.
func (j *Job) fence(path string) (dir, name string) {
	for _, dir := range []string{j.Workspace, j.host.Dir} {
		if rel, err := filepath.Rel(dir, path); err == nil && rel != "." && filepath.IsLocal(rel) {
			return dir, rel
		}
	}
	return filepath.Dir(path), filepath.Base(path)
}

// makeDirs makes dir and its parents in root, each belonging to whom the one
// above it belongs.
func makeDirs(root *os.Root, dir string) error {
	if dir == "." {
		return nil
	}
	if info, err := root.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := makeDirs(root, parent); err != nil {
		return err
	}
	if err := root.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	giveTo(root, parent, dir)
	return nil
}

// giveTo gives name to the owner of parent. In a container action this program
// is root, and the workspace belongs to the runner's user, who must be able to
// clean it up. Anybody else may not give files away: that does not matter.
func giveTo(root *os.Root, parent, name string) {
	info, err := root.Stat(parent)
	if err != nil {
		return
	}
	if uid, gid, ok := owner(info); ok {
		root.Lchown(name, uid, gid)
	}
}
