#!/bin/sh
# load.sh: the load generators that bench is compared with, hey and wrk. Prints
# the folder of their commands.
#
# Safe to run twice: what is there is left alone.
set -eu

dir=${XDG_CACHE_HOME:-$HOME/.cache}/goproxy-setup-tools/load
mkdir -p "$dir"

. "$(dirname "$0")/apt.sh"

exec 9>"$dir/lock"
flock 9
apt_commands hey wrk
dirname "$(command -v hey)"
