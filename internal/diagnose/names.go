package diagnose

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/org/goproxy-setup/internal/files"
	"github.com/org/goproxy-setup/internal/report"
)

// resolveTime bounds one question to one name server. Go asks each twice, five
// seconds long.
const resolveTime = 2 * time.Second

// An answer is what one name server says of one host.
type answer struct {
	server string
	addrs  []netip.Addr // sorted; none if the name does not exist
	err    error        // why there is no answer
}

// hosts returns the names that the chain's proxies have, without addresses,
// and without those that an HTTP proxy resolves.
func (m *Machine) hosts() []string {
	var list []string
	proxy := m.httpProxy()
	for _, e := range m.Policy.Proxies() {
		u, err := url.Parse(e.URL)
		if err != nil || u.Hostname() == "" || u.Scheme == "file" {
			continue
		}
		if via, err := proxy(u); err == nil && via != nil {
			continue
		}
		_, err = netip.ParseAddr(u.Hostname())
		if host := strings.ToLower(u.Hostname()); err != nil && host != "localhost" && !slices.Contains(list, host) {
			list = append(list, host)
		}
	}
	return list
}

// nameServers returns HOST:PORT of the system's name servers and of those that
// the caller added.
func (m *Machine) nameServers() []string {
	var list []string
	data, err := files.Read(filepath.Join(m.Etc, "resolv.conf"), maxFile)
	if err == nil {
		for line := range strings.Lines(string(data)) {
			if f := strings.Fields(line); len(f) >= 2 && f[0] == "nameserver" {
				list = append(list, net.JoinHostPort(f[1], "53"))
			}
		}
	}
	for _, r := range m.Resolvers {
		if !slices.Contains(list, r) {
			list = append(list, r)
		}
	}
	return list[:min(len(list), 8)]
}

// resolversDisagree asks every name server for the proxies' hosts by itself.
// Other addresses are no disagreement, as mirrors stand in many places; it is
// one if a server knows no such name, leads to this machine or to a private
// network what others find in public, or does not answer.
func resolversDisagree(ctx context.Context, m *Machine) Result {
	hosts, servers := m.hosts(), m.nameServers()
	if len(hosts) == 0 || len(servers) == 0 {
		return skipped("no proxy has a name that this machine resolves, or no name server is known")
	}
	r := Result{Seen: fmt.Sprintf("%d name servers: %s", len(servers), strings.Join(servers, ", "))}
	for _, host := range hosts {
		answers := make([]answer, len(servers)) // a slot for each
		var wg sync.WaitGroup
		for i, s := range servers {
			wg.Go(func() { answers[i] = ask(ctx, s, host) })
		}
		wg.Wait()
		r.Findings = append(r.Findings, compare(host, answers)...)
	}
	return r
}

// compare returns what is wrong with the answers to one name.
func compare(host string, answers []answer) (list []Finding) {
	var public *answer
	for i, a := range answers {
		if a.err == nil && len(a.addrs) > 0 && !slices.ContainsFunc(a.addrs, local) {
			public = &answers[i]
			break
		}
	}
	for i, a := range answers {
		add := func(severity report.Severity, fix, format string, args ...any) {
			list = append(list, Finding{Severity: severity, Message: fmt.Sprintf(format, args...), Fix: fix})
		}
		switch {
		case a.err != nil && i == 0:
			add(report.Error, "correct the first name server of this machine: go asks it first, and waits 10 s for it with every request", "the first name server, %s, does not answer for %s: %v", a.server, host, a.err)
		case a.err != nil:
			add(report.Notice, "correct or remove that name server", "name server %s does not answer for %s: %v", a.server, host, a.err)
		case public == nil:
		case len(a.addrs) == 0:
			add("", "ask whoever runs that name server why the name is blocked", "name server %s knows no %s, and %s finds it at %s", a.server, host, public.server, public.addrs[0])
		case slices.ContainsFunc(a.addrs, local):
			add(report.Error, "if that is not a proxy of your own, somebody forges answers: use another name server, or DNS over TLS", "name server %s leads %s to %s, and %s finds it at %s", a.server, host, a.addrs[0], public.server, public.addrs[0])
		}
	}
	return list
}

// local reports whether an address is no public one.
func local(a netip.Addr) bool {
	return a.IsPrivate() || a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast()
}

// ask asks one name server for the addresses of a host.
func ask(ctx context.Context, server, host string) answer {
	out := answer{server: server}
	ctx, cancel := context.WithTimeout(ctx, resolveTime)
	defer cancel()
	for _, kind := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		addrs, err := query(ctx, server, host, kind)
		if err != nil && out.addrs == nil {
			out.err = err
			return out
		}
		out.addrs = append(out.addrs, addrs...)
	}
	slices.SortFunc(out.addrs, netip.Addr.Compare)
	return out
}

var errNoAnswer = errors.New("no usable answer")

// query sends one question by UDP. A name that does not exist has no
// addresses, which is no error.
func query(ctx context.Context, server, host string, kind dnsmessage.Type) ([]netip.Addr, error) {
	name, err := dnsmessage.NewName(strings.TrimSuffix(host, ".") + ".")
	if err != nil {
		return nil, err
	}
	id := uint16(rand.Uint32())
	msg := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: name, Type: kind, Class: dnsmessage.ClassINET}},
	}
	packed, err := msg.Pack()
	if err != nil {
		return nil, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", server)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if end, ok := ctx.Deadline(); ok {
		conn.SetDeadline(end)
	}
	if _, err := conn.Write(packed); err != nil {
		return nil, cause(ctx, err)
	}
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, cause(ctx, err)
		}
		var got dnsmessage.Message
		if got.Unpack(buf[:n]) != nil || got.ID != id || !got.Response {
			continue // somebody else's
		}
		switch got.RCode {
		case dnsmessage.RCodeSuccess, dnsmessage.RCodeNameError:
			return addresses(got), nil
		}
		return nil, fmt.Errorf("%w: %s", errNoAnswer, strings.TrimPrefix(got.RCode.String(), "RCode"))
	}
}

// cause says that time is over instead of what that did to a connection.
func cause(ctx context.Context, err error) error {
	if n, ok := errors.AsType[net.Error](err); ctx.Err() != nil || ok && n.Timeout() {
		return fmt.Errorf("%w within %s", errNoAnswer, resolveTime)
	}
	return err
}

func addresses(m dnsmessage.Message) (list []netip.Addr) {
	for _, r := range m.Answers {
		switch body := r.Body.(type) {
		case *dnsmessage.AResource:
			list = append(list, netip.AddrFrom4(body.A))
		case *dnsmessage.AAAAResource:
			list = append(list, netip.AddrFrom16(body.AAAA))
		}
	}
	return list
}

// hostsFile finds lines of the hosts file that pin a proxy's name to an
// address: it stays when the proxy moves.
func hostsFile(_ context.Context, m *Machine) Result {
	file := filepath.Join(m.Etc, "hosts")
	data, err := files.Read(file, maxFile)
	hosts := m.hosts()
	if err != nil || len(hosts) == 0 {
		return skipped("no proxy has a name that this machine resolves, or there is no hosts file")
	}
	var r Result
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		for _, name := range f[min(1, len(f)):] {
			if slices.Contains(hosts, strings.ToLower(name)) {
				r.Findings = append(r.Findings, Finding{
					Place: m.place(file, n), Message: fmt.Sprintf("%s is pinned to %s: no name server is asked, and the address may be long out of date", name, f[0]),
					Fix: "remove the line, or note there why it has to stay",
				})
			}
		}
	}
	return r
}
