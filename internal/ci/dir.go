package ci

import (
	"cmp"
	"path"
	"strings"
)

// alone reports whether this program has a container to itself, so that the
// steps that follow run elsewhere: a GitHub container action (the runner mounts
// the workspace at a fixed place, others show by an input that only the
// container action has), or the main process of a container in any shell.
func alone(c Context, host Host) bool {
	switch c.System {
	case GitHub, Forgejo:
		return strings.HasPrefix(c.Workspace, "/github/") || hostTemp(c, host) != "" && inContainer(host)
	case None:
		return host.PID == 1 && inContainer(host)
	}
	return false // the job as a whole may run in one, with all its steps
}

// inContainer reports whether Docker or Podman left its mark.
func inContainer(host Host) bool {
	for _, mark := range []string{"/.dockerenv", "/run/.containerenv"} {
		if _, err := host.Stat(mark); err == nil {
			return true
		}
	}
	return false
}

// hostTemp returns the runner's temporary directory as the runner sees it. The
// runner rewrites every variable that begins with a path it mounts, so the
// container action passes it as the input "runner-temp" behind a prefix:
// "host:${{ runner.temp }}".
func hostTemp(c Context, host Host) string {
	v, _ := Lookup(c.System, host.Getenv, "runner-temp")
	dir, ok := strings.CutPrefix(v, "host:")
	if !ok {
		return ""
	}
	return dir
}

// tempDir returns the job's directory for temporary files. Unlike /tmp it is
// the job's own, and most systems remove it afterwards.
func tempDir(c Context, host Host) Dir {
	own := ""
	switch c.System {
	case GitHub, Forgejo:
		own = host.Getenv("RUNNER_TEMP")
	case GitLab:
		own = host.Getenv("RUNNER_TEMP_PROJECT_DIR")
		if project := host.Getenv("CI_PROJECT_DIR"); own == "" && project != "" {
			own = project + ".tmp" // where the runner puts variables of type file
		}
	case Jenkins:
		own = host.Getenv("WORKSPACE_TMP")
	}
	own = cmp.Or(own, host.TempDir)
	if c.Container {
		return sharedTemp(c, host, own)
	}
	return Dir{own, own}
}

// sharedTemp returns the directory that a container action has in common with
// the steps that follow.
func sharedTemp(c Context, host Host, own string) Dir {
	outside := hostTemp(c, host)
	switch {
	case outside == "":
		return Dir{Path: own}
	case jobContainer(c, host):
		// The steps that follow see a third name, which the runner does not tell.
		return Dir{Path: own}
	case strings.HasPrefix(c.Workspace, "/github/"):
		return Dir{own, outside}
	case mounted(host, outside): // act and its kin mount by the same name
		return Dir{outside, outside}
	}
	return Dir{Path: own}
}

// jobContainer reports whether the steps that follow run in a container of the
// job ("container:" in the workflow).
func jobContainer(c Context, host Host) bool {
	id, _ := Lookup(c.System, host.Getenv, "job-container")
	return id != ""
}

// mounted reports whether dir lies in a mount from outside: a directory that
// merely exists, such as /tmp, is the container's own.
func mounted(host Host, dir string) bool {
	if _, err := host.Stat(dir); err != nil || !path.IsAbs(dir) {
		return false
	}
	table, err := host.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(table)) {
		// The fifth field is the mount point; blanks in it are octal escapes.
		f := strings.Fields(line)
		if len(f) < 5 || f[4] == "/" {
			continue
		}
		point := strings.ReplaceAll(f[4], `\040`, " ")
		if dir == point || strings.HasPrefix(dir, point+"/") {
			return true
		}
	}
	return false
}
