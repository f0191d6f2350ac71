#!/bin/sh
# pin-release.sh: makes the working tree that of a release, for the commit that
# gets the tag. From then on the action runs the released image by its digest,
# and the binary action, the GitLab template and the Jenkins library know the
# released binaries and their checksums, so that whoever pins the commit has
# pinned everything it runs.
#
#   pin-release.sh v1.2.3 docker://REGISTRY/org/goproxy-setup@sha256:… dist/SHA256SUMS
set -eu

fail() { echo "pin-release.sh: $*" >&2; exit 1; }

# pin FILE LINE WITH replaces the one line of the file that is LINE.
pin() {
	[ "$(grep -cxF -e "$2" "$1")" = 1 ] || fail "$1 does not say \"$2\": is it pinned already?"
	awk -v line="$2" -v with="$3" '$0 == line { $0 = with } { print }' "$1" >"$1.new"
	cat "$1.new" >"$1"
	rm "$1.new"
}

[ $# = 3 ] || fail "usage: pin-release.sh VERSION docker://IMAGE SHA256SUMS"
case $1 in
v[0-9]*) ;;
*) fail "$1 is not a version" ;;
esac
case $2 in
*[!A-Za-z0-9:/@._-]*) fail "$2 is not an image" ;;
docker://*) ;;
*) fail "$2 does not begin with docker://" ;;
esac

binary=ci-templates/github/binary
url=$(sed -n '/^  download-url:$/,/^    default:/s/^    default: //p' $binary/action.yml)
[ -n "$url" ] || fail "$binary/action.yml does not say where releases are"
url=$url/$1/goproxy-setup-{os}-{arch}
sha256=$(sed -n 's/^\([0-9a-f]\{64\}\)  goproxy-setup-\(linux\|darwin\)-.*/\1/p' "$3" | paste -s -d ' ' -)
[ -n "$sha256" ] || fail "$3 has no binary for Linux or macOS"

pin action.yml '  image: Dockerfile' "  image: $2"
echo "$1" >$binary/VERSION
grep -e '-[a-z]*-[a-z0-9]*\(\.exe\)\{0,1\}$' "$3" >$binary/SHA256SUMS
template=ci-templates/gitlab/templates/goproxy-setup.yml
pin $template '      default: "" # of a release: where its binaries are' "      default: \"$url\""
pin $template '      default: "" # of a release: their checksums' "      default: \"$sha256\""
library=ci-templates/jenkins/resources/goproxy-setup/setup.sh
pin $library "binary_url='' # of a release: where its binaries are" "binary_url='$url'"
pin $library "binary_sha256='' # of a release: their checksums" "binary_sha256='$sha256'"
