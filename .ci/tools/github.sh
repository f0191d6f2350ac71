#!/bin/sh
# github.sh: the tools that check and run our GitHub Actions files: act,
# actionlint and action-validator, at pinned versions, through the go command
# and npm. Prints the folder of their commands, to be put in front of PATH.
#
# Safe to run twice: what is there in the right version is left alone.
set -eu

act=v0.2.89
actionlint=v1.7.12
validator=0.6.0

dir=${XDG_CACHE_HOME:-$HOME/.cache}/goproxy-setup-tools/github
bin=$dir/bin
mkdir -p "$bin"

. "$(dirname "$0")/apt.sh"

# installed reports whether the tool's stamp names this version, and that its command is there.
installed() { [ -e "$bin/$1" ] && [ "$(cat "$dir/$1.version" 2>/dev/null)" = "$2" ]; }

go_tool() { # command package version
	if installed "$1" "$3"; then return; fi
	say "installing $1 $3"
	GOBIN=$bin GOFLAGS=-trimpath go install "$2@$3" >"$dir/$1.log" 2>&1 || { cat "$dir/$1.log" >&2; fail "go install $2@$3 failed"; }
	echo "$3" >"$dir/$1.version"
}

action_validator() {
	if installed action-validator "$validator"; then return; fi
	say "installing action-validator $validator"
	npm install --prefix "$dir/npm" --no-save --ignore-scripts "@action-validator/cli@$validator" "@action-validator/core@$validator" \
		>"$dir/npm.log" 2>&1 || { cat "$dir/npm.log" >&2; fail "npm install of action-validator $validator failed"; }
	ln -sf ../npm/node_modules/.bin/action-validator "$bin/action-validator"
	echo "$validator" >"$dir/action-validator.version"
}

exec 9>"$dir/lock"
flock 9
apt_commands curl git npm
go_tool actionlint github.com/rhysd/actionlint/cmd/actionlint "$actionlint"
go_tool act github.com/nektos/act "$act"
action_validator
echo "$bin"
