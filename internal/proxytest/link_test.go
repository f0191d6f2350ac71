package proxytest

import (
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A link adds exactly its round trip time and what its rate costs, however many
// connections share it.
func TestLink(t *testing.T) {
	const rtt, rate, size = 30 * time.Millisecond, 50_000_000, 5_000_000
	for _, tt := range []struct {
		name  string
		conns int
		size  int
		want  time.Duration // from dialling to the last byte
	}{
		{"a byte", 1, 1, 2 * rtt}, // one for the connection, one for the request
		{"a zip", 1, size, 2*rtt + 100*time.Millisecond},
		{"four zips at once", 4, size, 2*rtt + 400*time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				link := NewLink(rtt, rate)
				start := time.Now()
				var wg sync.WaitGroup
				for range tt.conns {
					client, server := net.Pipe()
					wg.Go(func() { serveOnce(t, link.conn(server, &wg), tt.size) })
					wg.Go(func() {
						io.WriteString(client, "GET /")
						got, err := io.ReadAll(client)
						if len(got) != tt.size || err != nil {
							t.Errorf("got %d bytes, %v; want %d", len(got), err, tt.size)
						}
					})
				}
				wg.Wait()
				if took := time.Since(start); took < tt.want || took > tt.want+time.Millisecond {
					t.Errorf("took %v; want %v", took, tt.want)
				}
			})
		})
	}
}

// serveOnce reads five bytes in two parts and answers with size bytes.
func serveOnce(t *testing.T, c net.Conn, size int) {
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
		t.Error(err)
	}
	if _, err := c.Write(make([]byte, size)); err != nil {
		t.Error(err)
	}
}

// Whoever stops reading does not keep the server from closing.
func TestLinkCloseWithoutReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		link := NewLink(30*time.Millisecond, 50_000_000)
		_, server := net.Pipe()
		var wg sync.WaitGroup
		c := link.conn(server, &wg)
		wg.Go(func() { c.Write(make([]byte, 64<<20)) })
		time.Sleep(time.Second)
		start := time.Now()
		c.Close()
		wg.Wait()
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("closing took %v", took)
		}
	})
}
