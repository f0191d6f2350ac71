package policy

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
)

// ForbiddenHost says why host, a name or an address, may never be asked, "" if
// it may. The services that hand out a machine's credentials live on link-local
// addresses. A name is judged too, since an HTTP proxy resolves it where nobody
// checks the address.
func ForbiddenHost(host string) string {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if addr, err := netip.ParseAddr(host); err == nil {
		return ForbiddenAddr(addr)
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	_, err := goenv.CheckEntry("https://" + host)
	switch {
	case strings.ContainsFunc(host, func(r rune) bool { return r > 0x7f }):
		return "the host has letters outside ASCII: write its xn-- form"
	case err != nil:
		return "the host is neither a name nor an IP address"
	case strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x"):
		return "the host is neither a name nor an IP address" // some resolvers read 2852039166 and 127.1 as addresses
	case slices.Contains(metadataHosts, host):
		return "the host is a cloud's metadata service"
	}
	return ""
}

// metadataHosts are the names and the addresses outside the link-local ranges
// of the clouds' metadata services.
var metadataHosts = []string{
	"metadata", "metadata.google.internal", "metadata.goog",
	"instance-data", "instance-data.ec2.internal", "metadata.tencentyun.com",
}

var metadataAddrs = []netip.Addr{
	netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("192.0.0.192"),
	netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("fd00:ec2::254"),
	netip.MustParseAddr("fd20:ce::254"),
}

// nat64 holds every IPv4 address once more.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// ForbiddenAddr says why addr may never be asked, "" if it may.
func ForbiddenAddr(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if nat64.Contains(addr) {
		b := addr.As16()
		addr = netip.AddrFrom4([4]byte(b[12:]))
	}
	switch {
	case addr.IsLinkLocalUnicast():
		return "the host is a link-local address"
	case slices.Contains(metadataAddrs, addr):
		return "the host is a cloud's metadata service"
	case addr.IsUnspecified() || addr.IsMulticast():
		return "the host is no single machine's address"
	}
	return ""
}
