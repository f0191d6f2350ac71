package proxytest

import (
	"bytes"
	"net"
	"sync"
	"time"
)

// A Link is a simulated network between clients and the servers that share it,
// see [Options].Link: a delay on every connection, and a rate that all
// connections together do not exceed. What a server sends is accurate to a
// chunk of [linkChunk] bytes and to the machine's timers.
//
// It is simpler than a network where that costs nothing: connections start at
// full speed, requests need no bandwidth, and a refused connection no time.
type Link struct {
	oneWay  time.Duration
	perByte float64 // nanoseconds

	mu   sync.Mutex
	free time.Time // when the last byte that has been promised a place has left
}

const (
	linkChunk = 32 << 10 // bytes that are sent without interruption
	linkQueue = 256      // chunks on their way in one connection, at most
)

// NewLink returns a link with that round trip time and that many bytes per
// second from the servers to their clients.
func NewLink(roundTrip time.Duration, bytesPerSecond int) *Link {
	return &Link{oneWay: roundTrip / 2, perByte: 1e9 / float64(bytesPerSecond)}
}

// transmit waits until n bytes have left, behind all that was sent before.
func (l *Link) transmit(n int) (left time.Time) {
	l.mu.Lock()
	if now := time.Now(); l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(float64(n) * l.perByte))
	left = l.free
	l.mu.Unlock()
	time.Sleep(time.Until(left))
	return left
}

// listener puts the link between l and its clients.
func (l *Link) listener(inner net.Listener, wg *sync.WaitGroup) net.Listener {
	return &linkListener{inner, l, wg}
}

type linkListener struct {
	net.Listener
	link *Link
	wg   *sync.WaitGroup
}

func (l *linkListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.link.conn(c, l.wg), nil
}

// A linkConn is the server's end of a connection.
type linkConn struct {
	net.Conn
	link  *Link
	open  time.Time // before then the client has not seen its connection accepted
	input []byte    // has arrived and was not yet read

	queue  chan packet   // on its way to the client
	closed chan struct{} // by Close
	close  func()        // once
	end    time.Time     // when the client sees that it is closed; set before closed
	gone   chan struct{} // closed when nothing more is delivered
}

type packet struct {
	data []byte
	due  time.Time
}

func (l *Link) conn(c net.Conn, wg *sync.WaitGroup) *linkConn {
	lc := &linkConn{
		Conn: c, link: l, open: time.Now().Add(2 * l.oneWay),
		queue: make(chan packet, linkQueue), closed: make(chan struct{}), gone: make(chan struct{}),
	}
	lc.close = sync.OnceFunc(func() {
		lc.end = time.Now().Add(l.oneWay)
		close(lc.closed)
	})
	wg.Go(lc.deliver)
	return lc
}

// deliver hands over what is due, and closes the connection behind it.
func (c *linkConn) deliver() {
	defer c.Conn.Close()
	defer close(c.gone)
	for {
		p, ok := c.next()
		if !ok {
			time.Sleep(time.Until(c.end))
			return
		}
		time.Sleep(time.Until(p.due))
		if _, err := c.Conn.Write(p.data); err != nil {
			return
		}
	}
}

// next returns what is to be delivered, or false behind the last of a closed
// connection.
func (c *linkConn) next() (p packet, ok bool) {
	select {
	case p = <-c.queue:
		return p, true
	case <-c.closed:
	}
	select { // both were ready
	case p = <-c.queue:
		return p, true
	default:
		return packet{}, false
	}
}

// Read delays what a client sends at once only once, in however small parts it
// is read.
func (c *linkConn) Read(b []byte) (int, error) {
	if len(c.input) == 0 {
		buf := make([]byte, linkChunk)
		n, err := c.Conn.Read(buf)
		if err != nil {
			return 0, err
		}
		c.input = buf[:n]
		time.Sleep(max(0, time.Until(c.open)) + c.link.oneWay)
	}
	n := copy(b, c.input)
	c.input = c.input[n:]
	return n, nil
}

func (c *linkConn) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		chunk := bytes.Clone(b[:min(len(b), linkChunk)])
		p := packet{chunk, c.link.transmit(len(chunk)).Add(c.link.oneWay)}
		select {
		case <-c.closed:
			return n, net.ErrClosed
		default:
		}
		select {
		case c.queue <- p:
		case <-c.closed:
			return n, net.ErrClosed
		case <-c.gone:
			return n, net.ErrClosed
		}
		n += len(chunk)
		b = b[len(chunk):]
	}
	return n, nil
}

// Close lets arrive what was sent, but waits for no client that has stopped
// reading.
func (c *linkConn) Close() error {
	c.Conn.SetWriteDeadline(time.Now().Add(c.link.oneWay + time.Second))
	c.close()
	return nil
}

// SetLinger is that of TCP: after 0, Close resets the connection.
func (c *linkConn) SetLinger(seconds int) error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.SetLinger(seconds)
	}
	return nil
}
