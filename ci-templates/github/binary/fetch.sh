#!/usr/bin/env bash
# fetch.sh: finds or downloads the release binary, checks it, and tells the next
# step where it is. The second step of action.yml runs it; both get their inputs
# by environment variables, never by text inserted into a script.
#
# It runs in bash 3.2 (macOS) and in the bash of Git for Windows.
set -euo pipefail

fail() { # what, what next
	echo "::error title=goproxy-setup could not be fetched::$(clean "$1")%0A$(clean "$2")"
	exit 3
}

# clean makes text from outside harmless in a workflow command. Some runners take
# what stands before a line's last "::" for the command.
clean() {
	local text=$1
	while [[ $text == *::* ]]; do text=${text//::/: :}; done
	text=${text//'%'/%25}
	text=${text//$'\r'/%0D}
	printf '%s' "${text//$'\n'/%0A}"
}

use() {
	local path=$1
	case $path in
	*$'\n'* | *$'\r'*) fail "the path of the binary has a line break" "give a plain path" ;;
	esac
	echo "path=$path" >>"$GITHUB_OUTPUT"
	# For steps that run it themselves, such as "goproxy-setup agent --exec".
	case $path in
	/*/goproxy-setup | ?:*[\\/]goproxy-setup.exe) [ -z "${GITHUB_PATH:-}" ] || echo "${path%[\\/]*}" >>"$GITHUB_PATH" ;;
	esac
	exit 0
}

sha256() {
	if command -v sha256sum >/dev/null; then
		sha256sum <"$1"
	else
		shasum -a 256 <"$1"
	fi | cut -d ' ' -f 1
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

if [ -n "$BINARY" ]; then
	found=$(command -v -- "$BINARY") || fail "input binary: $BINARY is not an executable" \
		"give the path of a goproxy-setup binary, or leave the input empty to download one"
	use "$found"
fi

case $RUNNER_OS in
Linux) os=linux suffix= ;;
macOS) os=darwin suffix= ;;
Windows) os=windows suffix=.exe ;;
*) fail "no release for the operating system $RUNNER_OS" "build goproxy-setup from source and give its path as input binary" ;;
esac
case $RUNNER_ARCH in
X64) arch=amd64 ;;
ARM64) arch=arm64 ;;
*) fail "no release for the architecture $RUNNER_ARCH" "build goproxy-setup from source and give its path as input binary" ;;
esac
file=goproxy-setup-$os-$arch$suffix

# A release's commit holds its own version and checksums: whoever pins the
# action pins the binary, wherever it is downloaded from.
version=$VERSION
if [ -z "$version" ] && [ -f "$here/VERSION" ]; then
	version=$(cat "$here/VERSION")
fi
[ -n "$version" ] || fail "this commit of the action belongs to no release, so there is no binary for it" \
	"use a release of the action, or give the inputs version and checksum, or binary"
case $version in
*[!A-Za-z0-9.+-]* | .*) fail "input version: $version is not a version" "give one like v1.2.3" ;;
esac

checksum=$(printf '%s' "$CHECKSUM" | tr 'A-F' 'a-f')
if [ -z "$checksum" ] && [ -f "$here/SHA256SUMS" ] && [ "$version" = "$(cat "$here/VERSION" 2>/dev/null)" ]; then
	checksum=$(sed -n "s/^\([0-9a-f]*\)  $file\$/\1/p" "$here/SHA256SUMS")
fi
case $checksum in
'') fail "the action knows no checksum of $file $version" "give it as input checksum: it stands in the release's SHA256SUMS" ;;
*[!0-9a-f]*) fail "input checksum: $checksum is not hexadecimal" "give the SHA-256 of $file as 64 hexadecimal digits" ;;
esac
[ ${#checksum} = 64 ] || fail "input checksum has ${#checksum} digits" "give the SHA-256 of $file as 64 hexadecimal digits"

# Kept between jobs where the runner keeps a tool cache; checked each time.
dir=${RUNNER_TOOL_CACHE:-$RUNNER_TEMP}/goproxy-setup/$version/$arch
path=$dir/goproxy-setup$suffix
if [ -f "$path" ] && [ "$(sha256 "$path")" = "$checksum" ]; then
	use "$path"
fi

mkdir -p "$dir"
part=$(mktemp "$dir/download.XXXXXX")
trap 'rm -f "$part"' EXIT
url=${DOWNLOAD_URL%/}/$version/$file
echo "downloading $file $version"
reason=$(curl --fail --silent --show-error --location --netrc-optional --proto '=https,http' --proto-redir '=https,http' \
	--retry 3 --connect-timeout 15 --max-time 120 --max-filesize 100000000 --output "$part" -- "$url" 2>&1) ||
	fail "downloading $file $version failed: $reason" \
		"see that the runner reaches input download-url, or point it to a mirror that holds VERSION/$file"
got=$(sha256 "$part")
[ "$got" = "$checksum" ] || fail "$file $version has the SHA-256 $got and not $checksum" \
	"the download is damaged or not the released file: do not use it, and look at what input download-url serves"
chmod 755 "$part"
mv -f "$part" "$path"
use "$path"
