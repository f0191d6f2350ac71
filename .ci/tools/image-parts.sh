#!/bin/sh
# image-parts.sh: what our images hold beside the binary, out of Debian packages:
# a static busybox for each architecture and Mozilla's root certificates as
# Debian ships them. Prints the folder that holds them:
#
#   busybox-amd64  busybox-arm64  busybox-applets  busybox-copyright  ca-certificates.crt
#
# The certificates come from the package and never from this machine, whose own
# bundle may hold a company's. apt works on its own folders here: it needs no
# root, and the machine's package lists and architectures stay as they are.
#
# apt checks signatures; image-parts.sha256 says that the parts are still the
# ones of the last release. When Debian has newer ones this is a warning, and an
# error with --pinned, which releases use.
set -eu

suite=bookworm
here=$(cd "$(dirname "$0")" && pwd)
dir=${XDG_CACHE_HOME:-$HOME/.cache}/goproxy-setup-tools/image-parts
mkdir -p "$dir"

. "$here/apt.sh"

fetch() {
	command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || fail "needs apt-get and dpkg-deb: run on Debian or Ubuntu"
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
	mirror=${DEBIAN_MIRROR:-}
	[ -n "$mirror" ] || mirror=$(sed -n 's/^URIs: *\(http[^ ]*debian\)$/\1/p; s/^deb \(\[[^]]*\] \)*\(http[^ ]*debian\) .*/\2/p' \
		/etc/apt/sources.list /etc/apt/sources.list.d/*.sources 2>/dev/null | head -n 1)
	[ -n "$mirror" ] || fail "found no Debian mirror in the machine's apt sources: run on Debian, or install debian-archive-keyring and set DEBIAN_MIRROR"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$work/sources"
	cat >"$work/apt.conf" <<-CONF
		Dir::Etc::sourcelist "$work/sources";
		Dir::Etc::sourceparts "-";
		Dir::State::lists "$work/lists";
		Dir::Cache "$work/cache";
		APT::Architectures { "amd64"; "arm64"; };
		APT::Sandbox::User "root";
		Acquire::Languages "none";
	CONF
	export APT_CONFIG="$work/apt.conf"
	say "fetching busybox and certificates with apt"
	apt-get update -q >"$work/log" 2>&1 &&
		(cd "$work" && apt-get download -q busybox-static:amd64 busybox-static:arm64 ca-certificates >>log 2>&1) ||
		{ cat "$work/log" >&2; fail "apt-get could not fetch busybox-static and ca-certificates"; }
	for arch in amd64 arm64; do
		dpkg-deb -x "$work"/busybox-static_*_$arch.deb "$work/$arch"
		install -m 755 "$work/$arch/bin/busybox" "$work/busybox-$arch"
	done
	dpkg-deb -x "$work"/ca-certificates_*.deb "$work/ca"
	LC_ALL=C; export LC_ALL # the glob's order, everywhere the same
	cat "$work"/ca/usr/share/ca-certificates/mozilla/*.crt >"$work/ca-certificates.crt"
	install -m 644 "$work/amd64/usr/share/doc/busybox-static/copyright" "$work/busybox-copyright"
	chmod 644 "$work/ca-certificates.crt"
	"$work/busybox-$(dpkg --print-architecture)" --list >"$work/busybox-applets"
	mv "$work/busybox-amd64" "$work/busybox-arm64" "$work/busybox-applets" "$work/busybox-copyright" "$work/ca-certificates.crt" "$dir/"
	touch "$dir/complete"
}

exec 9>"$dir/lock"
flock 9
[ -f "$dir/complete" ] || fetch
if ! (cd "$dir" && sha256sum --check --quiet "$here/image-parts.sha256") >&2; then
	[ "${1:-}" != --pinned ] ||
		fail "these are not the parts that image-parts.sha256 pins: review them and update it in $here"
	say "warning: Debian has newer parts than image-parts.sha256 pins; fine for a test, not for a release"
fi
echo "$dir"
