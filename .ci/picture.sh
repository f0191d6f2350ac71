#!/usr/bin/env bash
# picture.sh: renders the job summary that the README shows, docs/fallback.png,
# from the golden file of the fallback's summary, as a browser shows it. Run it
# after that file has changed. Needs chromium (Debian's) and npm.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
npm install --silent --prefix "$dir" --no-save --ignore-scripts marked@16.4.1 github-markdown-css@5.8.1
{
	echo '<!doctype html><meta charset="utf-8"><style>'
	cat "$dir/node_modules/github-markdown-css/github-markdown-light.css"
	echo 'body { margin: 16px; } .markdown-body { font-size: 14px; }</style><article class="markdown-body">'
	node "$dir/node_modules/marked/bin/marked.js" --gfm <internal/render/testdata/golden/fallback.md
	echo '</article>'
} >"$dir/page.html"
chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
	--disable-component-update --disable-sync --user-data-dir="$dir/profile" --hide-scrollbars \
	--window-size=1100,660 --screenshot=docs/fallback.png "file://$dir/page.html" 2>/dev/null
