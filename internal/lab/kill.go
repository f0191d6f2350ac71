//go:build linux

package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A Campaign is what a number of kills has done.
type Campaign struct {
	Kills   int
	Served  int      // files that were fetched while the killing went on
	Fetched int      // requests to the upstreams
	Wrong   int      // files that a client got and that were not the origin's
	Lost    int      // files that a client could not get at the end
	Leaked  []string // spool files that are left
	Broken  int      // files in the store that are not the origin's
	Details []string // what was wrong
}

// Clean reports whether no wrong byte was served or stored and nothing was left behind.
func (c *Campaign) Clean() bool {
	return c.Wrong == 0 && c.Lost == 0 && c.Broken == 0 && len(c.Leaked) == 0
}

// clients fetch at the same time in a campaign.
const clients = 8

// Kill starts the contender, lets clients fetch, and ends it at a random
// moment by SIGKILL; as often as asked for, each time with the same store.
// Then every file is fetched once more and compared with the origin, and so is
// every file in the store.
func (l *Lab) Kill(ctx context.Context, c Contender, kills int, seed uint64) (campaign *Campaign, err error) {
	campaign = &Campaign{Kills: kills}
	origin, err := l.originFiles(ctx)
	if err != nil {
		return campaign, err
	}
	dir, remove, err := l.temp("kill")
	if err != nil {
		return campaign, err
	}
	defer remove()
	u, err := l.startUpstreams(Healthy, 0)
	if err != nil {
		return campaign, err
	}
	defer func() { err = errors.Join(err, u.close()) }()

	rnd := rand.New(rand.NewPCG(seed, 0))
	for range kills {
		p, err := l.start(ctx, c, dir, u)
		if err != nil {
			return campaign, err
		}
		fetching, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		results := make([]Campaign, clients)
		for i := range clients {
			order := rnd.Perm(len(origin))
			wg.Go(func() { results[i].fetch(fetching, p.GOPROXY, origin, order) })
		}
		time.Sleep(time.Duration(rnd.Int64N(int64(300 * time.Millisecond))))
		p.Kill()
		cancel()
		wg.Wait()
		for i := range results {
			campaign.add(&results[i])
		}
		campaign.Lost = 0 // a killed proxy answers nobody
		if err := forgetSome(filepath.Join(dir, "proxy"), rnd); err != nil {
			return campaign, err
		}
	}
	if err := campaign.finish(ctx, l, c, dir, u, origin); err != nil {
		return campaign, err
	}
	campaign.Fetched = len(u.first.Requests()) + len(u.second.Requests())
	return campaign, nil
}

// finish fetches everything once more and looks at what the contender has on disk.
func (c *Campaign) finish(ctx context.Context, l *Lab, contender Contender, dir string, u *upstreams, origin []originFile) error {
	p, err := l.start(ctx, contender, dir, u)
	if err != nil {
		return err
	}
	order := make([]int, len(origin))
	for i := range order {
		order[i] = i
	}
	c.fetch(ctx, p.GOPROXY, origin, order)
	p.Stop()
	return c.audit(filepath.Join(dir, "proxy", "store"), origin)
}

func (c *Campaign) add(other *Campaign) {
	c.Served += other.Served
	c.Wrong += other.Wrong
	c.Details = append(c.Details, other.Details...)
}

// An originFile is a file as it has to be.
type originFile struct {
	name string
	data []byte
}

func (l *Lab) originFiles(ctx context.Context) (files []originFile, err error) {
	origin, err := l.startOrigin()
	if err != nil {
		return nil, err
	}
	defer origin.Close()
	names, err := l.Project.files()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		status, data, err := get(ctx, http.DefaultClient, origin.URL+"/"+name)
		if err != nil || status != http.StatusOK {
			return nil, fmt.Errorf("origin: %s: status %d, %w", name, status, err)
		}
		files = append(files, originFile{name, data})
	}
	return files, nil
}

// fetch asks for the files in that order, until ctx ends.
func (c *Campaign) fetch(ctx context.Context, url string, origin []originFile, order []int) {
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, i := range order {
		if ctx.Err() != nil {
			return
		}
		f := origin[i]
		status, data, err := get(ctx, client, url+"/"+f.name)
		switch {
		case err != nil || status != http.StatusOK:
			c.Lost++
			if err == nil && len(c.Details) < 20 { // else it was killed
				c.Details = append(c.Details, fmt.Sprintf("%s: status %d: %s", f.name, status, lastLines(data, 3)))
			}
		case !same(f.name, data, f.data):
			c.Wrong++
			c.Details = append(c.Details, fmt.Sprintf("%s: %d wrong bytes served", f.name, len(data)))
		default:
			c.Served++
		}
	}
}

// forgetSome removes every third zip or so, so that there is always something
// to fetch: a store may have lost any file.
func forgetSome(dir string, rnd *rand.Rand) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".zip") && rnd.IntN(3) == 0 {
			return os.Remove(name)
		}
		return err
	})
}

// audit compares the module files in a store with the origin, and looks for
// files that were being fetched and that nobody will ever finish.
func (c *Campaign) audit(store string, origin []originFile) error {
	for _, f := range origin {
		got, err := os.ReadFile(filepath.Join(store, "cache/download", f.name))
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		if err == nil && !same(f.name, got, f.data) {
			c.Broken++
			c.Details = append(c.Details, fmt.Sprintf("%s: wrong bytes stored", f.name))
		}
	}
	return filepath.WalkDir(store, func(file string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Base(filepath.Dir(file)) == "spool" {
			c.Leaked = append(c.Leaked, d.Name())
		}
		return err
	})
}
