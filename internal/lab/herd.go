//go:build linux

package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Herd is what happened when many clients wanted one zip that nobody had.
type Herd struct {
	Contender string
	Clients   int
	Right     int           // clients that got the right bytes
	Fetches   int           // of the zip from the upstreams
	Took      time.Duration // until the last client had it
	Memory    int64         // peak of the contender, bytes
	Zip       int           // size in bytes
	Problem   string        // what the first client without the right bytes got
}

// Herd sends clients at once for the largest zip of the project. A contender
// that is only a list has no herd: go asks for itself.
func (l *Lab) Herd(ctx context.Context, c Contender, clients int) (h Herd, err error) {
	h = Herd{Contender: c.Name, Clients: clients}
	zip, want, err := l.largestZip(ctx)
	if err != nil {
		return h, err
	}
	h.Zip = len(want)
	dir, remove, err := l.temp("herd")
	if err != nil {
		return h, err
	}
	defer remove()
	u, err := l.startUpstreams(Healthy, 0)
	if err != nil {
		return h, err
	}
	defer func() { err = errors.Join(err, u.close()) }()
	p, err := l.start(ctx, c, dir, u)
	if err != nil {
		return h, err
	}
	defer p.Stop()

	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	problems := make([]string, clients)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() { problems[i] = getSame(ctx, client, p.GOPROXY+"/"+zip, want) })
	}
	wg.Wait()
	h.Took = time.Since(start)
	h.Memory = p.PeakMemory()
	for _, r := range slices.Concat(u.first.Requests(), u.second.Requests()) {
		if r.Path == "/"+zip {
			h.Fetches++
		}
	}
	for _, problem := range problems {
		if problem == "" {
			h.Right++
		} else if h.Problem == "" {
			h.Problem = problem
		}
	}
	return h, nil
}

// getSame fetches the URL and says what is wrong with the answer, "" if it has
// exactly the bytes that are wanted. It keeps none of them: 200 clients of a
// large zip would need all the memory.
func getSame(ctx context.Context, client *http.Client, url string, want []byte) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	resp, err := client.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return resp.Status
	}
	buf := make([]byte, 64<<10)
	left := want
	for {
		n, err := resp.Body.Read(buf)
		if !bytes.HasPrefix(left, buf[:n]) {
			return fmt.Sprintf("wrong bytes after %d", len(want)-len(left))
		}
		left = left[n:]
		switch {
		case err == nil:
		case err != io.EOF:
			return err.Error()
		case len(left) > 0:
			return fmt.Sprintf("%d bytes are missing", len(left))
		default:
			return ""
		}
	}
}

// largestZip returns the name and the bytes of the project's largest zip.
func (l *Lab) largestZip(ctx context.Context) (zip string, data []byte, err error) {
	origin, err := l.startOrigin()
	if err != nil {
		return "", nil, err
	}
	defer origin.Close()
	names, err := l.Project.files()
	if err != nil {
		return "", nil, err
	}
	for _, name := range names {
		if !strings.HasSuffix(name, ".zip") {
			continue
		}
		_, body, err := get(ctx, http.DefaultClient, origin.URL+"/"+name)
		if err != nil {
			return "", nil, err
		}
		if len(body) > len(data) {
			zip, data = name, body
		}
	}
	return zip, data, nil
}

// StartUp returns how long a contender takes from its start to its first
// answer, the middle of n times.
func (l *Lab) StartUp(ctx context.Context, c Contender, n int) (time.Duration, error) {
	u, err := l.startUpstreams(Healthy, 0)
	if err != nil {
		return 0, err
	}
	defer u.close()
	var took []time.Duration
	for range n {
		dir, remove, err := l.temp("start")
		if err != nil {
			return 0, err
		}
		defer remove()
		p, err := l.start(ctx, c, dir, u)
		if err != nil {
			return 0, err
		}
		p.Stop()
		took = append(took, p.Ready)
	}
	slices.Sort(took)
	return took[n/2], nil
}
