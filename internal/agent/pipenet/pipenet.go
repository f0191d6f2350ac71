// Package pipenet is a network without sockets, for tests in a bubble of
// testing/synctest: what waits for one of its connections lets the bubble's
// clock go on.
package pipenet

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"syscall"
)

// A Net is safe for concurrent use. The zero value has no hosts.
type Net struct {
	mu      sync.Mutex // guards the fields below
	hosts   map[string]Dial
	dialed  []string
	servers []*http.Server
}

// A Dial connects to one address.
type Dial func(context.Context) (net.Conn, error)

// Refuse is that of an address where nobody listens, BlackHole that of one
// which does not even say so.
func Refuse(context.Context) (net.Conn, error) { return nil, syscall.ECONNREFUSED }

func BlackHole(ctx context.Context) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// Serve answers at an address, such as "192.0.2.1:80".
func (n *Net) Serve(address string, h http.Handler) {
	l := &listener{conns: make(chan net.Conn), done: make(chan struct{})}
	srv := &http.Server{Handler: h}
	go srv.Serve(l)
	n.Host(address, l.dial)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.servers = append(n.servers, srv)
}

// Host sets what becomes of connecting to an address.
func (n *Net) Host(address string, dial Dial) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts == nil {
		n.hosts = map[string]Dial{}
	}
	n.hosts[address] = dial
}

// Dial connects as a [net.Dialer] does, which resolves no names.
func (n *Net) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	dial := n.hosts[address]
	n.dialed = append(n.dialed, address)
	n.mu.Unlock()
	if dial == nil {
		return nil, errors.New("nobody lives at " + address)
	}
	return dial(ctx)
}

// Dialed returns the addresses that were connected to since the last call.
func (n *Net) Dialed() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.dialed
	n.dialed = nil
	return list
}

// Close ends all servers.
func (n *Net) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.servers {
		s.Close()
	}
}

type listener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *listener) dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.done:
		return nil, syscall.ECONNREFUSED
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements [net.Listener].
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (l *listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements [net.Listener].
func (l *listener) Addr() net.Addr { return &net.TCPAddr{} }
