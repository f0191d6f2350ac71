#!/bin/sh
# gitlab.sh: what runs our GitLab template in the tests: gitlab-ci-local and the
# rsync it copies with. Prints the folder of its command, to be put in front of PATH.
#
# Safe to run twice: what is there in the right version is left alone.
set -eu

version=4.75.1 # of gitlab-ci-local; needs Node.js 22
node=22.22.0

dir=${XDG_CACHE_HOME:-$HOME/.cache}/goproxy-setup-tools/gitlab
bin=$dir/bin
mkdir -p "$bin"

. "$(dirname "$0")/apt.sh"

npm_package() { # name version
	say "installing $1 $2"
	npm install --prefix "$dir/$1" --no-save "$1@$2" >"$dir/$1.log" 2>&1 ||
		{ cat "$dir/$1.log" >&2; fail "npm install of $1 $2 failed"; }
}

exec 9>"$dir/lock"
flock 9
apt_commands rsync npm git
if [ "$("$bin/gitlab-ci-local" --version 2>/dev/null)" != "$version" ]; then
	# Debian's own Node.js cannot even parse gitlab-ci-local, so bring one along.
	runtime=$(command -v node || true)
	if [ -z "$runtime" ] || [ "$("$runtime" --print 'parseInt(process.versions.node)')" -lt 22 ]; then
		npm_package node "$node"
		runtime=$dir/node/node_modules/node/bin/node
	fi
	npm_package gitlab-ci-local "$version"
	cat >"$bin/gitlab-ci-local" <<-COMMAND
		#!/bin/sh
		exec "$runtime" "$dir/gitlab-ci-local/node_modules/gitlab-ci-local/dist/index.js" "\$@"
	COMMAND
	chmod +x "$bin/gitlab-ci-local"
	[ "$("$bin/gitlab-ci-local" --version)" = "$version" ] || fail "$bin/gitlab-ci-local does not run"
fi
echo "$bin"
