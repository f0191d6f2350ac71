package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/org/goproxy-setup/internal/goenv"
)

// maxEnvFile bounds the files that go keeps settings in, in bytes.
const maxEnvFile = 1 << 20

// goSources returns all places that go reads its settings from on this host. A
// file that exists and cannot be read is an error beside the other places: the
// go command ignores it in silence, and whoever asks where a value comes from
// must know that. Without a go command there is no GOROOT/go.env.
func goSources(ctx context.Context, h Host) (goenv.Sources, error) {
	s := goenv.Sources{Getenv: h.Getenv}
	var err, rootErr error
	s.User, err = userEnv(h)
	if root := goroot(ctx, h, s); root != "" {
		s.GOROOT, rootErr = readEnv(filepath.Join(root, "go.env"))
	}
	return s, errors.Join(err, rootErr)
}

// userEnv reads the file that "go env -w" writes.
func userEnv(h Host) (goenv.EnvFile, error) {
	path := h.Getenv("GOENV")
	switch {
	case path == "off":
		return goenv.EnvFile{}, nil
	case path == "":
		dir := configDir(h)
		if dir == "" {
			return goenv.EnvFile{}, nil
		}
		path = filepath.Join(dir, "go", "env")
	case !filepath.IsAbs(path):
		path = filepath.Join(h.Dir, path)
	}
	return readEnv(path)
}

func readEnv(path string) (goenv.EnvFile, error) {
	data, err := readFile(path, maxEnvFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
			err = fmt.Errorf("%s: %w", path, pathErr.Err)
		}
		return goenv.EnvFile{Path: path}, fmt.Errorf("reading go's settings: %w (the go command ignores the file, and says nothing)", err)
	}
	return goenv.EnvFile{Path: path, Data: data}, nil
}

// goroot returns the folder of the go installation, as the go command finds
// it; "" if there is none.
func goroot(ctx context.Context, h Host, s goenv.Sources) string {
	dir := ""
	for _, set := range s.User.Settings(goenv.UserFile) {
		if set.Name == "GOROOT" {
			dir = set.Value
		}
	}
	if dir == "" {
		dir = h.Getenv("GOROOT")
	}
	if dir != "" {
		return filepath.Clean(dir)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "env", "GOROOT")
	// At the root, outside of any module, and no version but this one: nothing
	// is downloaded to answer.
	cmd.Dir = filepath.VolumeName(h.Dir) + string(filepath.Separator)
	cmd.Env = append(cmd.Environ(), "GOTOOLCHAIN=local", "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// configDir is os.UserConfigDir for a Host.
func configDir(h Host) string {
	switch runtime.GOOS {
	case "windows":
		return h.Getenv("AppData")
	case "darwin":
		if h.Home != "" {
			return filepath.Join(h.Home, "Library", "Application Support")
		}
		return ""
	}
	if dir := h.Getenv("XDG_CONFIG_HOME"); dir != "" {
		return dir
	}
	if h.Home != "" {
		return filepath.Join(h.Home, ".config")
	}
	return ""
}
