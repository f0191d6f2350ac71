#!/bin/sh
# docker.sh: a Docker engine of our own for the end-to-end tests.
#
#   docker.sh start    install Debian's engine if there is none, start it, print its DOCKER_HOST
#   docker.sh status   print its DOCKER_HOST if it runs
#   docker.sh golang   make the image golang:1.26-bookworm from this machine's Go: no registry
#   docker.sh stop     stop the engine that "start" started; images and layers stay for next time
#
# The engine has its own socket, data and process id below the cache folder, so
# one that runs already is neither used nor disturbed. Safe to run twice and at
# the same time. A DOCKER_HOST that is set is taken as it is.
set -eu

dir=${XDG_CACHE_HOME:-$HOME/.cache}/goproxy-setup-tools/docker
socket=$dir/docker.sock
mkdir -p "$dir"

. "$(dirname "$0")/apt.sh"

# runs reports whether the engine that "start" started is alive.
runs() { [ -S "$socket" ] && docker --host "unix://$socket" version >/dev/null 2>&1; }

start() {
	if runs; then return; fi
	[ "$(id -u)" = 0 ] || fail "starting an engine needs root: run as root or set DOCKER_HOST"
	command -v dockerd >/dev/null && command -v docker >/dev/null || apt_install docker.io
	rm -f "$socket" "$dir/pid"
	# 9 is the lock: the engine must not keep it.
	setsid dockerd --host "unix://$socket" --data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/pid" \
		--bip "${GOPROXY_SETUP_TEST_BRIDGE:-172.31.251.1/24}" >"$dir/log" 2>&1 </dev/null 9>&- &
	tries=0
	until runs; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || fail "the engine did not start: see $dir/log"
		sleep 0.2
	done
}

stop() {
	[ -f "$dir/pid" ] || return 0
	pid=$(cat "$dir/pid")
	# A process id may have been given to somebody else since.
	case $(cat "/proc/$pid/comm" 2>/dev/null) in
	dockerd)
		docker --host "unix://$socket" image prune --force >/dev/null || true # what builds have replaced
		kill "$pid"
		;;
	*) return 0 ;;
	esac
	while [ -d "/proc/$pid" ]; do sleep 0.1; done
}

# golang makes what the Dockerfile's FROM names out of the Go of this machine,
# a busybox and the machine's certificates (a company's own included). Go's
# download settings go where Go keeps its defaults and not into the
# environment: a GOPROXY that is already set would change what tests see.
golang() {
	image=golang:1.26-bookworm
	version=$(go env GOVERSION)
	if [ "$(docker image inspect --format '{{index .Config.Labels "go"}}' $image 2>/dev/null)" = "$version" ]; then return; fi
	say "making $image from $(go env GOROOT) ($version)"
	parts=$("$(dirname "$0")/image-parts.sh")
	arch=$(go env GOHOSTARCH)
	root=$(mktemp -d)
	trap 'rm -rf "$root"' EXIT
	mkdir -p "$root/bin" "$root/etc/ssl/certs" "$root/root" "$root/usr/bin" "$root/usr/local/go" "$root/tmp"
	chmod 1777 "$root/tmp"
	install -m 755 "$parts/busybox-$arch" "$root/bin/busybox"
	while read -r applet; do
		[ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
	done <"$parts/busybox-applets"
	ln -s /bin/env "$root/usr/bin/env"
	cp "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$root/etc/ssl/certs/ca-certificates.crt"
	echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
	(cd "$(go env GOROOT)" && tar -cf - VERSION bin lib pkg src) | tar -xf - -C "$root/usr/local/go"
	printf 'GOPROXY=%s\nGOSUMDB=%s\nGOTOOLCHAIN=local\n' "$(go env GOPROXY)" "$(go env GOSUMDB)" >"$root/usr/local/go/go.env"
	tar -cf - -C "$root" . | docker import --change "LABEL go=$version" \
		--change 'ENV PATH=/usr/local/go/bin:/root/go/bin:/bin:/usr/bin GOPATH=/root/go HOME=/root' - $image >/dev/null
	docker run --rm --network none $image sh -c 'go version' >/dev/null || fail "$image does not run"
}

exec 9>"$dir/lock"
flock 9
case ${1:-} in
start)
	[ -n "${DOCKER_HOST:-}" ] || { start && DOCKER_HOST=unix://$socket; }
	echo "$DOCKER_HOST"
	;;
status)
	[ -n "${DOCKER_HOST:-}" ] || { runs && DOCKER_HOST=unix://$socket; } || true
	echo "${DOCKER_HOST:-}"
	;;
golang)
	export DOCKER_HOST="${DOCKER_HOST:-unix://$socket}"
	golang
	;;
stop) stop ;;
*) fail "usage: docker.sh start|status|golang|stop" ;;
esac
