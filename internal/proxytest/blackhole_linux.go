package proxytest

import (
	"net"
	"syscall"
)

// blackHole returns a listener whose queue is full, and what fills it: the
// kernel drops every further SYN, as a firewall does.
func blackHole(host string) (net.Listener, net.Conn, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, nil, err
	}
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err == nil {
		if cerr := raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 0) }); cerr != nil {
			err = cerr
		}
	}
	if err != nil {
		l.Close()
		return nil, nil, err
	}
	filler, err := net.Dial("tcp", l.Addr().String()) // a backlog of 0 holds one
	if err != nil {
		l.Close()
		return nil, nil, err
	}
	return l, filler, nil
}
