//go:build linux

package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Process is a contender that runs.
type Process struct {
	GOPROXY string        // what the go command is given
	Ready   time.Duration // from its start to its first answer

	cmd  *exec.Cmd // nil if the contender is only a list
	done chan struct{}
	log  *tail
}

// startupLimit bounds the wait for a contender's first answer.
const startupLimit = 20 * time.Second

// launch starts cmd in a process group of its own and waits until the URL that
// address returns ("" as long as there is none) answers.
func launch(ctx context.Context, cmd *exec.Cmd, address func() string) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{}), log: &tail{}}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	client := &http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	for time.Since(start) < startupLimit && ctx.Err() == nil {
		if p.GOPROXY = address(); p.GOPROXY != "" {
			if resp, err := client.Get(p.GOPROXY + "/healthz"); err == nil { // whatever it says
				resp.Body.Close()
				p.Ready = time.Since(start)
				return p, nil
			}
		}
		select {
		case <-p.done:
			return nil, fmt.Errorf("ended at once: %v\n%s", cmd.ProcessState, p.Log())
		case <-time.After(time.Millisecond):
		}
	}
	p.Stop()
	return nil, fmt.Errorf("does not answer after %v\n%s", startupLimit, p.Log())
}

// Stop asks the contender to end and, if that takes longer than 5 s, kills it
// with everything that it has started.
func (p *Process) Stop() {
	if p.cmd == nil {
		return
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
	}
	p.Kill()
}

// Kill ends the contender as a power failure would.
func (p *Process) Kill() {
	if p.cmd == nil {
		return
	}
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// Log returns the last lines that the contender has written.
func (p *Process) Log() string {
	if p.log == nil {
		return ""
	}
	return lastLines(p.log.bytes(), 10)
}

// PeakMemory returns the most memory, in bytes, that the contender's own
// processes have had each (VmHWM), added up. The go commands that some of them
// start are left out.
func (p *Process) PeakMemory() int64 {
	if p.cmd == nil {
		return 0
	}
	group := strconv.Itoa(p.cmd.Process.Pid)
	own, _ := os.ReadFile("/proc/" + group + "/comm")
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var sum int64
	for _, file := range stats {
		dir := filepath.Dir(file)
		stat, _ := os.ReadFile(file) // may have ended meanwhile
		comm, _ := os.ReadFile(dir + "/comm")
		// Behind the name in parentheses: state, parent, group.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 3 || fields[2] != group || !bytes.Equal(comm, own) {
			continue
		}
		status, _ := os.ReadFile(dir + "/status")
		for line := range strings.Lines(string(status)) {
			if kb, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				n, _ := strconv.ParseInt(strings.Fields(kb)[0], 10, 64)
				sum += n << 10
			}
		}
	}
	return sum
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// get fetches a whole answer.
func get(ctx context.Context, client *http.Client, url string) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}
