#!/bin/sh
# pin-release.sh: makes the working tree that of a release, for the commit that
# gets the tag. From then on the action runs the released image by its digest
# and the binary action knows its version and checksums, so that whoever pins
# the action's commit has pinned everything it runs.
#
#   pin-release.sh v1.2.3 docker://REGISTRY/org/goproxy-setup@sha256:… dist/SHA256SUMS
set -eu

fail() { echo "pin-release.sh: $*" >&2; exit 1; }

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
grep -q '^  image: Dockerfile$' action.yml || fail "action.yml does not say \"image: Dockerfile\": is it pinned already?"

sed "s|^  image: Dockerfile\$|  image: $2|" action.yml >action.yml.new
mv action.yml.new action.yml
echo "$1" >ci-templates/github/binary/VERSION
grep -e '-[a-z]*-[a-z0-9]*\(\.exe\)\{0,1\}$' "$3" >ci-templates/github/binary/SHA256SUMS
