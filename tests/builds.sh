#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Compiles everything, tests included, with another compiler and without
# optimisation, warnings as errors; and for 32 bits in a Debian of its own,
# where the unit tests are run, too. Needs root for the latter.
#
#    tests/builds.sh FOLDER
#
# Ends with a line "N passed, N failed" and the status that goes with it.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
base=$1
passed=0
failed=0

count() {
	if [ "$1" -eq 0 ]; then
		passed=$((passed + 1))
		echo "ok - $2"
	else
		failed=$((failed + 1))
		echo "not ok - $2"
		grep -a 'error:\|^FAIL\|^ERROR' "$base/$2.log" | head -n 30
		tail -n 5 "$base/$2.log"
	fi
}

# compiles NAME CONFIGURE-ARGUMENTS: all programs, those of the tests too
compiles() {
	name=$1
	shift
	mkdir -p "$base/$name"
	status=0
	(cd "$base/$name" && "$top/configure" -q --enable-werror "$@" &&
		make -s -j"$(nproc)" all && make -s check TESTS=) \
		>"$base/$name.log" 2>&1 || status=$?
	count "$status" "$name"
}

# A 32-bit Debian: the compiler, the libraries, and nothing else.
have_i386() {
	[ -x "$base/i386/usr/bin/gcc" ] ||
		debootstrap --arch=i386 --variant=minbase \
			--include=gcc,make,libc6-dev,pkg-config,netbase,gawk,\
libgnutls28-dev,libgsasl-dev,libinih-dev,libidn2-dev,libc-ares-dev,\
libcmocka-dev,libcurl4-gnutls-dev,libjansson-dev \
			"$(. /etc/os-release && echo "$VERSION_CODENAME")" \
			"$base/i386"
}

i386_tests() {
	have_i386 || return 1
	rm -rf "$base/i386/posthaste"
	mkdir "$base/i386/posthaste"
	(cd "$top" && tar c --exclude='*.o' configure configure.ac \
		aclocal.m4 config.h.in Makefile.am Makefile.in build-aux \
		README COPYING src man tests contrib) |
		tar x -C "$base/i386/posthaste"
	units=$(cd "$top" && sed -n 's,^\(tests/unit/[a-z0-9_]*\)_*SOURCES.*,,
		s,^	\(tests/unit/[a-z0-9_]*\)\( .*\)*$,\1,p' Makefile.am |
		grep -v /rows)
	# shellcheck disable=SC2016 # for the shell inside
	unshare --mount --pid --fork sh -c '
		mount -t proc proc "$1/proc" &&
		mount --rbind /dev "$1/dev" &&
		exec chroot "$1" sh -c "cd /posthaste && mkdir build32 &&
			cd build32 && ../configure -q --enable-werror &&
			make -s -j2 all && make -s -j2 check TESTS=\"\$0\"" \
			"$2"' sh "$base/i386" "$units"
}

cd "$top"
[ -x configure ] || autoreconf --install
compiles clang CC=clang
compiles gcc-O0 CC=gcc CFLAGS=-O0
status=0
i386_tests >"$base/i386.log" 2>&1 || status=$?
count "$status" i386

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
