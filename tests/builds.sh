#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Compiles everything, tests included, with another compiler and without
# optimisation, warnings as errors; the programs with musl; and for 32 bits in
# a Debian of its own, where the unit tests are run, too. Needs root for the
# latter.
#
#    tests/builds.sh FOLDER [clang] [gcc-O0] [musl] [i386]
#    tests/builds.sh FOLDER tree-i386      that Debian alone, to be had ahead
#
# Another one, musl-shared, is made by "make check-musl": the machine that users
# share (tests/interop/shared*.py), with programs of musl for all but what talks
# to a relay.
#
# All of them side by side, and with no more optimisation than it takes to be
# warned: how fast they run matters to nobody. Ends with a line "N passed, N
# failed" and the status that goes with it.
set -eu

top=$(cd "$(dirname "$0")/.." && pwd)
base=$1
shift
chosen=${*:-clang gcc-O0 musl i386}
begun=
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

# build NAME FUNCTION ARGUMENTS, if that one was chosen: begins it
build() {
	case " $chosen " in
	*" $1 "*) ;;
	*) return 0 ;;
	esac
	name=$1
	shift
	mkdir -p "$base/$name"
	(
		set +e
		("$@") >"$base/$name.log" 2>&1
		echo $? >"$base/$name.status"
	) &
	begun="$begun $name"
}

# CONFIGURE-ARGUMENTS: all programs, those of the tests too
compiles() {
	cd "$base/$name" && "$top/configure" -q --enable-werror "$@" &&
		make -s -j"$(nproc)" all && make -s check TESTS=
}

# The other libraries as seen from musl: their headers, beside the kernel's and
# no others of the system; libraries to be linked with that have nothing in
# them but what configure looks for; and inih itself, with the one function
# that it has of another C library.
musl_libraries() {
	mkdir -p "$1/include" "$1/lib"
	for path in /usr/include /usr/include/*-linux-gnu; do
		for header in "$path"/gnutls "$path"/gsasl*.h "$path"/idn2.h \
			"$path"/ares*.h "$path"/ini.h "$path"/jansson*.h \
			"$path"/curl "$path"/linux "$path"/asm "$path"/asm-generic
		do
			[ ! -e "$header" ] || ln -sfn "$header" "$1/include/"
		done
	done
	for library in gnutls:30:gnutls_init gsasl:18:gsasl_init \
		idn2:0:idn2_lookup_u8 cares:2:ares_send curl:4:nothing \
		jansson:4:nothing
	do
		name=${library%%:*} version=${library#*:}
		echo "void ${library##*:}(void) {}" | musl-gcc -w -shared -fPIC \
			-nostdlib -x c - -o "$1/lib/lib$name.so" \
			-Wl,-soname,"lib$name.so.${version%:*}" || return 1
	done
	cp "$(find /usr/lib -name libinih.a)" "$1/lib/" && musl-gcc -w -c -x c - \
		-o "$1/lib/ctype.o" <<-'EOF' && ar r "$1/lib/libinih.a" "$1/lib/ctype.o"
		#include <ctype.h>
		const unsigned short **__ctype_b_loc(void)
		{
			static unsigned short table[384];
			static const unsigned short *zero = table + 128;

			for (int c = 0; c < 256; c++)
				table[c + 128] = isspace(c) ? 1u << 13 : 0;
			return &zero;
		}
	EOF
}

# All programs compiled; what needs no more than these is linked and begins.
musl_programs() {
	musl_libraries "$base/musl" && cd "$base/musl" || return 1
	"$top/configure" -q --enable-werror CC=musl-gcc \
		CPPFLAGS="-isystem $base/musl/include" CFLAGS=-O0 \
		LDFLAGS="-L$base/musl/lib" &&
		make -s -j"$(nproc)" CURL_CFLAGS= posthaste posthaste-drop &&
		make -s CURL_CFLAGS= posthaste-fetch posthaste-token \
			AM_LDFLAGS=-Wl,--unresolved-symbols=ignore-all ||
		return 1
	for program in posthaste posthaste-drop; do
		[ "$(readelf -d "$program" | grep -c NEEDED)" -eq 1 ] || return 1
	done
	printf '%s\n' '[general]' 'aliases =' '[queue]' 'queue = never' \
		'[transport relay]' 'kind = smtp' 'host = 127.0.0.1' 'port = 1' \
		'no_starttls = yes' '[route all]' 'transport = relay' >conf
	./posthaste --version && ./posthaste -C conf --check || return 1
	# nobody listens there
	./posthaste -C conf a@example.org </dev/null
	[ $? -eq 75 ] || return 1
	./posthaste-drop </dev/null
	[ $? -eq 64 ]
}

# Whoever calls has posthaste and posthaste-drop of musl, and so has the socket.
musl_shared() {
	musl_libraries "$base/musl-shared" || return 1
	for part in shared shared_socket; do
		SHARED_MUSL=$base/musl-shared "${PYTHON-python3}" \
			"$top/tests/interop/$part.py"
	done >"$base/shared.tap"
	sed 's/^not ok/FAIL: &/' "$base/shared.tap"
	grep -q '^ok' "$base/shared.tap" &&
		! grep -q '^not ok\|^Bail out' "$base/shared.tap"
}

# A 32-bit Debian: the compiler, the libraries, and nothing else.
have_i386() {
	exec 9>"$base/i386.lock"
	flock 9
	[ -e "$base/tree" ] || {
		rm -rf "$base/tree.new"
		debootstrap --arch=i386 --variant=minbase \
			--include=gcc,make,libc6-dev,pkg-config,netbase,gawk,\
libgnutls28-dev,libgsasl-dev,libinih-dev,libidn2-dev,libc-ares-dev,\
libcmocka-dev,libcurl4-gnutls-dev,libjansson-dev \
			"$(. /etc/os-release && echo "$VERSION_CODENAME")" \
			"$base/tree.new" 9>&- &&
			mv "$base/tree.new" "$base/tree"
	}
}

i386_tests() {
	have_i386 || return 1
	rm -rf "$base/tree/posthaste"
	mkdir "$base/tree/posthaste"
	(cd "$top" && tar c --exclude='*.o' configure configure.ac \
		aclocal.m4 config.h.in Makefile.am Makefile.in build-aux \
		README COPYING src man tests contrib) |
		tar x -C "$base/tree/posthaste"
	units=$(cd "$top" && sed -n 's,^\(tests/unit/[a-z0-9_]*\)_*SOURCES.*,,
		s,^	\(tests/unit/[a-z0-9_]*\)\( .*\)*$,\1,p' Makefile.am |
		grep -v /rows)
	# shellcheck disable=SC2016 # for the shell inside
	unshare --mount --pid --fork sh -c '
		mount -t proc proc "$1/proc" &&
		mount --rbind /dev "$1/dev" &&
		exec chroot "$1" sh -c "cd /posthaste && mkdir build32 &&
			cd build32 &&
			../configure -q --enable-werror CFLAGS=-O1 &&
			make -s -j2 all && make -s -j2 check TESTS=\"\$0\"" \
			"$2"' sh "$base/tree" "$units"
}

if [ "$chosen" = tree-i386 ]; then
	have_i386
	exit
fi
# where it was called: what it runs is named from there
build musl-shared musl_shared
cd "$top"
[ -x configure ] || autoreconf --install
build clang compiles CC=clang CFLAGS=-O0
build gcc-O0 compiles CC=gcc CFLAGS=-O0
build musl musl_programs
build i386 i386_tests
wait
for name in $begun; do
	count "$(cat "$base/$name.status")" "$name"
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
