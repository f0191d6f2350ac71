//go:build !linux

package proxytest

import "net"

// blackHole is known for Linux only.
func blackHole(string) (net.Listener, net.Conn, error) { return nil, nil, nil }
