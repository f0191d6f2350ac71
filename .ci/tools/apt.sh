# apt.sh is read by the scripts beside it: how they speak, and how they install
# Debian's packages. They set dir, the folder for their files, first.

say() { echo "${0##*/}: $*" >&2; }
fail() { say "$*"; exit 1; }

# apt_install PACKAGE... installs packages, or fails and says why.
apt_install() {
	command -v apt-get >/dev/null || fail "no apt-get here: install $*"
	say "installing $*"
	apt-get update -q >"$dir/apt.log" 2>&1 &&
		DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=600 "$@" >>"$dir/apt.log" 2>&1 ||
		fail "apt-get could not install $*: see $dir/apt.log"
}

# apt_commands COMMAND... installs those that are not there; each package is
# called like its command.
apt_commands() {
	for command; do
		command -v "$command" >/dev/null || apt_install "$command"
	done
}
