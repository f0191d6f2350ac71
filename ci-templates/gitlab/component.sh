#!/bin/sh
# component.sh: writes the content of the CI/CD component project of a release.
# GitLab wants the folder templates at the root of a project of its own.
#
#   component.sh FOLDER IMAGE BINARY_URL SHA256SUMS
#
# Of the template it changes three defaults alone: those of the inputs image,
# binary-url and binary-sha256. SHA256SUMS is the release's file.
set -eu

[ $# = 4 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
out=$1 image=$2 url=$3 sums=$4
here=$(cd "$(dirname "$0")" && pwd)

sha256=$(sed -n 's/^\([0-9a-f]\{64\}\)  goproxy-setup-\(linux\|darwin\)-.*/\1/p' "$sums" | paste -s -d ' ' -)
[ -n "$sha256" ] || { echo "component.sh: no binary for Linux or macOS in $sums" >&2; exit 1; }

mkdir -p "$out/templates"
cp "$here/README.md" "$here/../../LICENSE" "$out/"
awk -v image="$image" -v url="$url" -v sha256="$sha256" '
	BEGIN { value["image:"] = image; value["binary-url:"] = url; value["binary-sha256:"] = sha256 }
	/^    [a-z0-9-]+:$/ { input = $1 }
	$1 == "default:" && input in value { $0 = "      default: \"" value[input] "\""; delete value[input] }
	{ print }
	END { for (input in value) exit 1 }
' "$here/templates/goproxy-setup.yml" >"$out/templates/goproxy-setup.yml"
