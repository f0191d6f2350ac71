#!/bin/sh
# Ends the agent that goproxySetup(agent: 'background') has started, and shows
# what it had to say.
[ -f "$GOPROXY_SETUP_FILES.pid" ] || exit 0
pid=$(cat "$GOPROXY_SETUP_FILES.pid")
started= # if it did not, its log was shown; the address goes with the agent
[ ! -s "$GOPROXY_SETUP_FILES.url" ] || started=yes
kill "$pid" 2>/dev/null || :
tries=50 # of 0.2 s
while [ $tries -gt 0 ] && kill -0 "$pid" 2>/dev/null; do
  tries=$((tries - 1))
  sleep 0.2
done
[ -z "$started" ] || cat "$GOPROXY_SETUP_FILES.log"
rm -f "$GOPROXY_SETUP_FILES.pid" "$GOPROXY_SETUP_FILES.url"
