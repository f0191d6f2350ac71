#!/usr/bin/env bash
# bench.sh: the figures that the design sets targets for, as measured here and
# now, beside the targets. It judges nothing: a figure that misses stays in the
# table.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
row() { printf '%-68s %-16s %s\n' "$@"; }

go test -run '^$' -bench BenchmarkSettled ./internal/probe >"$dir/settled"
go test -tags e2e -run '^$' -bench BenchmarkStart ./internal/e2e >"$dir/start"
go run ./internal/release -out "$dir/dist" 2>/dev/null

row figure here target
awk '/rtt=/ { for (i = 1; i < NF; i++) if ($(i+1) == "late-ms") print $1, $i }' "$dir/settled" | while read -r name ms; do
	row "decided after the last needed answer, ${name##*/}" "$ms ms" "50 ms"
done
awk '/program=true/ { base = $3 } /program=goproxy/ { printf "%.1f %.1f\n", ($3 - base) / 1e6, $3 / base }' "$dir/start" | {
	read -r ms ratio
	row "start-up above that of \"true\" ($ratio x)" "$ms ms" "10 ms"
}
for file in "$dir"/dist/goproxy-setup-{linux,darwin,windows}-*; do
	row "binary ${file##*/}" "$(awk "BEGIN { printf \"%.1f MB\", $(stat -c %s "$file") / 1e6 }")" "12 MB"
done
for file in "$dir"/dist/goproxy-setup-image*.tar; do
	row "image ${file##*/}, one of two architectures, gzip" "$(gzip -9 <"$file" | wc -c | awk '{ printf "%.1f MB", $1 / 2e6 }')" "5 MB"
done

# Faults, herds and kills, side by side with other proxies: about an hour, less
# with LAB_ARGS="-contenders agent" and the like (see internal/lab/table).
echo
make -s build
# shellcheck disable=SC2086 # words on purpose
go run ./internal/lab/table -program "$PWD/bin/goproxy-setup" -peers "$(.ci/tools/peers.sh)" ${LAB_ARGS:-}
