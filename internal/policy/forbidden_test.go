package policy

import (
	"net/netip"
	"testing"
)

func TestForbiddenAddr(t *testing.T) {
	for addr, want := range map[string]bool{
		"169.254.0.1": true, "169.254.169.254": true, "::ffff:169.254.169.254": true, "fe80::1": true, "fe80::1%eth0": true, "febf::1": true,
		"fd00:ec2::254": true, "100.100.100.200": true, "::ffff:100.100.100.200": true, "168.63.129.16": true, "192.0.0.192": true, "fd20:ce::254": true,
		"64:ff9b::a9fe:a9fe": true, "64:ff9b::808:808": false,
		"127.0.0.1": false, "10.0.0.1": false, "192.168.1.1": false, "fd00::1": false, "100.64.0.1": false, "8.8.8.8": false,
	} {
		if got := ForbiddenAddr(netip.MustParseAddr(addr)); (got != "") != want {
			t.Errorf("ForbiddenAddr(%s) = %q", addr, got)
		}
	}
}
