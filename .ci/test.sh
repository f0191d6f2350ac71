#!/usr/bin/env bash
# test.sh: every test there is, with the real go command, real runners and real
# servers. Tests install what they need through apt, npm and the go command
# into the user's cache folder (.ci/tools), and stop every server they start.
# Safe to run twice. A test that cannot run here says why, and the end counts.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*"; }

# The fast tests come first: what fails here fails in a minute.
say "every package, with the race detector, in random order"
go test -race -shuffle=on ./...

say "campaigns: the real go command against its model"
go test -tags e2e -count=1 -timeout 20m $(go list -tags e2e ./... | grep -v /internal/e2e)

say "end to end: runners, containers, templates, release files"
go test -tags e2e -count=1 -timeout 60m -v ./internal/e2e
