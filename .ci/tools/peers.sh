#!/bin/sh
# peers.sh: the module proxies that ours is measured beside: goproxy and Athens,
# built from their modules at pinned versions with the dependencies that their
# own go.sum names, and Debian's nginx. Prints the folder of their commands.
#
# nginx is unpacked and not installed: no service starts on this machine. Safe
# to run twice: what is there in the right version is left alone.
set -eu

goproxy=v0.26.1
athens=v0.18.0

dir=${XDG_CACHE_HOME:-$HOME/.cache}/goproxy-setup-tools/peers
bin=$dir/bin
mkdir -p "$bin"

. "$(dirname "$0")/apt.sh"

# peer builds a command of a module as its authors do: in its own folder. "go
# install" would ask for the module's version list, which not every proxy has.
peer() { # command module version package
	if [ -x "$bin/$1" ] && [ "$(cat "$dir/$1.version" 2>/dev/null)" = "$3" ]; then return; fi
	say "building $1 $3"
	source=$(cd "$dir" && GOWORK=off go mod download -json "$2@$3" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p') && [ -n "$source" ] ||
		fail "go could not download $2@$3"
	(cd "$source" && GOWORK=off CGO_ENABLED=0 go build -mod=readonly -trimpath -ldflags=-s -o "$bin/$1" "$4") >"$dir/$1.log" 2>&1 ||
		{ cat "$dir/$1.log" >&2; fail "building $1 $3 failed"; }
	echo "$3" >"$dir/$1.version"
}

unpack_nginx() {
	[ ! -x "$bin/nginx" ] || return 0
	if found=$(command -v nginx); then
		ln -sf "$found" "$bin/nginx"
		return
	fi
	command -v apt-get >/dev/null || fail "no apt-get here: install nginx"
	say "unpacking Debian's nginx"
	(cd "$dir" && rm -f nginx*.deb && apt-get update -q >apt.log 2>&1 && apt-get download -q nginx >>apt.log 2>&1 && dpkg-deb -x nginx_*.deb nginx) ||
		fail "apt-get could not fetch nginx: see $dir/apt.log"
	ln -sf "$dir/nginx/usr/sbin/nginx" "$bin/nginx"
}

exec 9>"$dir/lock"
flock 9
peer goproxy github.com/goproxy/goproxy "$goproxy" ./cmd/goproxy
peer athens github.com/gomods/athens "$athens" ./cmd/proxy
unpack_nginx
"$bin/nginx" -v 2>/dev/null || fail "$bin/nginx does not run"
echo "$bin"
