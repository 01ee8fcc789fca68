#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# What compilers and cppcheck find in src/ without running it, and calls that
# are not to be there (banned.py): one TAP line a tool. Nothing is suppressed
# but at a line, with the reason beside it.
#
#    tests/analyze.sh         as make check has it: clang and cppcheck with a
#                             bound on the paths that they follow through a
#                             function
#    tests/analyze.sh --all   without that bound: make analyze; minutes
#
# TOP_BUILDDIR is a build folder that configure has been through.
set -u

top=${TOP_SRCDIR:-$(cd "$(dirname "$0")/.." && pwd)}
build=${TOP_BUILDDIR:-.}
nodes="-Xclang -analyzer-config -Xclang max-nodes=15000"
# that it has that bound is not a finding
level=--suppress=normalCheckLevelMaxBranches
if [ "${1:-}" = --all ]; then
	nodes=
	! cppcheck --help | grep -q -e --check-level ||
		level=--check-level=exhaustive
fi
base=$(mktemp -d)
trap 'rm -rf "$base"' EXIT
trap 'exit 1' INT TERM
n=0

# result NAME: what the tool said is in $base/NAME
result() {
	n=$((n + 1))
	if [ -s "$base/$1" ]; then
		echo "not ok $n - $1"
		head -n 60 "$base/$1" | sed 's/^/# /'
	else
		echo "ok $n - $1"
	fi
}

# compiler NAME COMMAND: each source with the macros and paths of the build, as
# many side by side as there are processors
compiler() {
	mkdir "$base/$1.d"
	# shellcheck disable=SC2016 # for the shells inside
	(cd "$build" && find "$top/src" -name '*.c' | sort |
		xargs -P "$(nproc)" -I{} sh -c '
			source=$1
			said=$2.d/$(echo "$1" | tr / _)
			command=$3
			eval "set -- $(cat "${2%/*}/flags")"
			$command "$@" -o /dev/null "$source" >"$said" 2>&1 ||
				echo "$source: status $?" >>"$said"' \
			sh {} "$base/$1" "$2")
	cat "$base/$1.d"/* >"$base/$1" 2>&1
	result "$1"
}

# what make knows of macros and paths, as it would write it for a shell
MAKEFLAGS= make -s --no-print-directory -C "$build" -f - -o Makefile flags \
	>"$base/flags" <<'EOF'
include Makefile
$(info -std=gnu11 $(DEFS) -I. $(AM_CPPFLAGS) $(CPPFLAGS) $(GNUTLS_CFLAGS) \
	$(GSASL_CFLAGS) $(INIH_CFLAGS) $(IDN2_CFLAGS) $(CARES_CFLAGS) \
	$(CURL_CFLAGS) $(JANSSON_CFLAGS))
flags:
	@:
EOF

# Whether it is all there is to run: in make check only the versions whose
# every finding was looked at (those of Debian 12 and 13), since others find
# other things and err in other places. make analyze asks whichever is here.
asked() {
	[ -z "$nodes" ] || "$1" --version | head -n 1 | grep -q "$2"
}

! asked gcc ' 1[24]\.' || compiler gcc 'gcc -O1 -g -fanalyzer -c'
! asked clang 'version 1[49]\.' || compiler clang "clang --analyze --analyzer-output text $nodes"
! asked cppcheck ' 2\.1[07]' || {
	(cd "$top" && cppcheck -j "$(nproc)" --quiet --std=c11 --inline-suppr \
		--enable=warning,performance --library=posix,gnu -D_GNU_SOURCE "$level" \
		-Isrc --include="$build/config.h" src) >"$base/cppcheck" 2>&1
	result cppcheck
}
TOP_SRCDIR=$top "${PYTHON:-python3}" "$top/tests/banned.py" >"$base/banned" 2>&1
result banned
echo "1..$n"
