#!/usr/bin/env bash
# start.sh: starts the agent in the background, waits until it is ready, and
# points the steps that follow at it. The second step of action.yml runs it. The
# step must not end earlier: what has not yet begun to run ends with it.
#
# It runs in bash 3.2 (macOS) and in the bash of Git for Windows.
set -euo pipefail

dir=$RUNNER_TEMP/goproxy-setup-agent
mkdir -p "$dir"
dir=$(mktemp -d "$dir/XXXXXX")
echo "log=$dir/log" >>"$GITHUB_OUTPUT"

GOPROXY_SETUP_STORE=${GOPROXY_SETUP_STORE:-$dir/store} nohup "$BINARY" agent --listen 127.0.0.1:0 --address-file "$dir/url" \
	>"$dir/log" 2>&1 </dev/null &
pid=$!
for ((tries = 0; tries < 100; tries++)); do
	if [ -s "$dir/url" ]; then
		url=$(cat "$dir/url")
		echo "url=$url" >>"$GITHUB_OUTPUT"
		exec "$BINARY" setup --agent "$url"
	fi
	kill -0 "$pid" 2>/dev/null || break
	sleep 0.1
done
cat "$dir/log" # the program has made its lines harmless
kill "$pid" 2>/dev/null || true
echo "::warning title=goproxy-setup agent did not start::The log above says why. The build uses the chain without it."
exec "$BINARY" setup
