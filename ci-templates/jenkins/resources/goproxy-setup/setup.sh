#!/bin/sh
# The shell side of the step goproxySetup: writes $GOPROXY_SETUP_FILES.env and
# $GOPROXY_SETUP_FILES.json. The functions are also those of the GitLab template.

# goproxy_setup_binary DIR prints the path of the goproxy-setup to run:
#   GOPROXY_SETUP_BINARY, if set: its path, or its name in PATH
#   goproxy-setup in PATH
#   GOPROXY_SETUP_BINARY_URL downloaded into DIR, if it has GOPROXY_SETUP_BINARY_SHA256;
#     several URLs are tried in turn; {os} and {arch} are filled in, with one SHA-256 for each
goproxy_setup_binary() (
  set -f
  fail() { echo "goproxy-setup: $*" >&2; exit 3; }
  if [ -n "${GOPROXY_SETUP_BINARY:-}" ]; then
    command -v "$GOPROXY_SETUP_BINARY" || fail "$GOPROXY_SETUP_BINARY is no program here: correct the path, or leave it out"
    exit
  fi
  command -v goproxy-setup && exit
  [ -n "${GOPROXY_SETUP_BINARY_URL:-}" ] ||
    fail "not in PATH: use a release's tag of the template, an image that has it, or give the binary's URL and SHA-256"
  case $(uname -s) in
    Linux) os=linux ;;
    Darwin) os=darwin ;;
    *) fail "no binary for $(uname -s): use an image that has it" ;;
  esac
  case $(uname -m) in
    x86_64 | amd64) arch=amd64 ;;
    aarch64 | arm64) arch=arm64 ;;
    *) fail "no binary for $(uname -m): use an image that has it" ;;
  esac
  [ -n "${GOPROXY_SETUP_BINARY_SHA256:-}" ] ||
    fail "refusing to download a program without its SHA-256: give the checksum beside the URL"
  trusted() { # FILE
    sum=$( (sha256sum <"$1" || shasum -a 256 <"$1") 2>/dev/null) && sum=${sum%% *} && [ ${#sum} = 64 ] || return
    case " $GOPROXY_SETUP_BINARY_SHA256 " in *" $sum "*) ;; *) return 1 ;; esac
  }
  file=$1/goproxy-setup-$os-$arch
  if [ -f "$file" ] && trusted "$file"; then
    echo "$file"
    exit
  fi
  new=$file.$$
  trap 'rm -f "$new"' EXIT
  rm -f "$new" # should the repository hold one
  for url in $GOPROXY_SETUP_BINARY_URL; do
    url=$(printf '%s\n' "$url" | sed "s/{os}/$os/g; s/{arch}/$arch/g")
    shown=$(printf '%s\n' "$url" | sed 's,//[^/]*@,//,')
    case $url in https://* | http://*) ;; *) fail "not an http or https URL: $shown" ;; esac
    if command -v curl >/dev/null; then
      curl -fsSL --netrc-optional --retry 2 --connect-timeout 10 --max-time 120 -o "$new" -- "$url"
    else
      timeout 120 wget -q -O "$new" -- "$url" # its own time limit crashes some BusyBoxes
    fi || { echo "goproxy-setup: could not download $shown" >&2; continue; }
    if trusted "$new"; then
      chmod 755 "$new" && mv -f "$new" "$file" && echo "$file"
      exit
    fi
    echo "goproxy-setup: $shown has SHA-256 ${sum:-unknown: no sha256sum here}, which is none of: $GOPROXY_SETUP_BINARY_SHA256" >&2
  done
  fail "could not download the binary: see above"
)

# goproxy_setup_open DIR finds the program for this job: goproxy_setup_path. DIR is
# for files: git does not see it, or the build would be stamped as modified.
goproxy_setup_open() {
  # A repository may bring links of these names along, which lead elsewhere.
  [ ! -L "$1" ] || { echo "goproxy-setup: $1 is a symbolic link: remove it from the repository" >&2; return 3; }
  mkdir -p "$1" && rm -f "$1/.gitignore" && echo '*' >"$1/.gitignore" || return
  goproxy_setup_path=$(goproxy_setup_binary "$1")
}

# goproxy_setup_agent DIR starts an agent in the background, waits until it is
# ready, and makes its URL the value of GOPROXY_SETUP_AGENT. Its process is
# goproxy_setup_pid, also in FILES.pid. If it does not start, the chain is used
# without it.
goproxy_setup_agent() {
  goproxy_setup_files=${GOPROXY_SETUP_FILES:-$1/agent-$$}
  rm -f "$goproxy_setup_files.url" # of an agent that was killed
  GOPROXY_SETUP_STORE="${GOPROXY_SETUP_STORE:-$1/store}" "$goproxy_setup_path" agent --listen 127.0.0.1:0 \
    --address-file "$goproxy_setup_files.url" >"$goproxy_setup_files.log" 2>&1 </dev/null &
  goproxy_setup_pid=$!
  echo "$goproxy_setup_pid" >"$goproxy_setup_files.pid"
  GOPROXY_SETUP_AGENT=
  goproxy_setup_tries=50 # of 0.2 s
  while [ $goproxy_setup_tries -gt 0 ]; do
    if [ -s "$goproxy_setup_files.url" ]; then
      GOPROXY_SETUP_AGENT=$(cat "$goproxy_setup_files.url")
      break
    fi
    kill -0 "$goproxy_setup_pid" 2>/dev/null || break
    goproxy_setup_tries=$((goproxy_setup_tries - 1))
    sleep 0.2
  done
  export GOPROXY_SETUP_AGENT
  [ -n "$GOPROXY_SETUP_AGENT" ] && return
  cat "$goproxy_setup_files.log" >&2
  kill "$goproxy_setup_pid" 2>/dev/null || :
  goproxy_setup_pid=
  echo "goproxy-setup: the agent did not start, so the build does without it" >&2
}

# goproxy_setup DIR OPTION... runs "goproxy-setup setup OPTION...".
goproxy_setup() {
  goproxy_setup_open "$1" || return
  [ "${GOPROXY_SETUP_AGENT:-}" != background ] || goproxy_setup_agent "$1"
  shift
  "$goproxy_setup_path" setup "$@"
}

# goproxy_setup_exec DIR OPTION... -- COMMAND... runs the command behind an agent of its own.
goproxy_setup_exec() {
  goproxy_setup_open "$1" || return
  shift
  "$goproxy_setup_path" agent --exec "$@"
}

# What earlier builds of this workspace left.
[ ! -d .goproxy-setup ] || find .goproxy-setup -path .goproxy-setup/store -prune -o \
  -type f -mtime +1 ! -name 'goproxy-setup-*' -exec rm -f {} +

binary_url='' # of a release: where its binaries are
binary_sha256='' # of a release: their checksums
GOPROXY_SETUP_BINARY_URL=${GOPROXY_SETUP_BINARY_URL:-$binary_url}
GOPROXY_SETUP_BINARY_SHA256=${GOPROXY_SETUP_BINARY_SHA256:-$binary_sha256}
export GOPROXY_SETUP_FALLBACK_EXIT_CODE="${GOPROXY_SETUP_FALLBACK_EXIT_CODE:-78}" # UNSTABLE
goproxy_setup .goproxy-setup --ci jenkins \
  --write "dotenv=$GOPROXY_SETUP_FILES.env" --write "warnings-ng=$GOPROXY_SETUP_FILES.json"
