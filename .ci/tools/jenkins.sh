#!/bin/sh
# jenkins.sh: what runs our Jenkins library in the tests: Groovy 2.4.21, the one
# inside Jenkins, from Debian, and a Java that runs it. Prints the folder of its
# command, to be put in front of PATH.
#
# Safe to run twice: what is there in the right version is left alone.
set -eu

version=2.4.21
groovy=/usr/share/groovy/bin/groovy

dir=${XDG_CACHE_HOME:-$HOME/.cache}/goproxy-setup-tools/jenkins
bin=$dir/bin
mkdir -p "$bin"

. "$(dirname "$0")/apt.sh"

# choose finds a Java that runs this Groovy, which not every version does, and
# writes the command that uses it.
choose() {
	for home in /usr/lib/jvm/java-17-openjdk-* /usr/lib/jvm/default-java /usr/lib/jvm/java-*-openjdk-*; do
		found=$(JAVA_HOME=$home $groovy -e 'print GroovySystem.version' 2>/dev/null) || continue
		[ "$found" = "$version" ] || fail "Debian's groovy is $found here, the one in Jenkins is $version"
		cat >"$bin/groovy" <<-COMMAND
			#!/bin/sh
			JAVA_HOME=$home exec $groovy "\$@"
		COMMAND
		chmod +x "$bin/groovy"
		return
	done
	fail "no Java in /usr/lib/jvm runs Groovy $version: apt-get install openjdk-17-jre-headless"
}

exec 9>"$dir/lock"
flock 9
[ -x $groovy ] || apt_install groovy default-jre-headless
[ -x "$bin/groovy" ] || choose
echo "$bin"
