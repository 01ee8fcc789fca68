#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Scenarios (all, or those that are named) with posthaste under valgrind:
# memory that nobody wrote and is looked at, that is used after its end, or
# left behind, and descriptors that are. make check-valgrind; ten minutes for
# all of them, WIRE_WORKERS (4) at once.
set -u

folder=$TOP_BUILDDIR/valgrind
rm -rf "$folder"
mkdir -p "$folder/logs" "$folder/tests"
# Valgrind keeps files in TMPDIR and does not begin without it: one that is not
# there is given to the program alone, just before its main (valgrind's own
# libraries stand beside this one there, and not where it starts).
${CC:-cc} -shared -fPIC -o "$folder/tmpdir.so" -x c - <<-EOF || exit 1
	#include <stdlib.h>
	#include <string.h>
	__attribute__((constructor)) static void set_tmpdir(void)
	{
		if (strstr(getenv("LD_PRELOAD"), "/vgpreload_"))
			setenv("TMPDIR", getenv("PROGRAM_TMPDIR"), 1);
	}
EOF
# programs of their own beside the real ones: scenarios clean the environment;
# a name of its own for each name that a scenario calls it by
for name in posthaste tests/posthaste $(sed -n 's/^name //p' \
	"$TOP_SRCDIR"/tests/wire/*.scenario); do
	program=$TOP_BUILDDIR/$name
	case $name in
	*posthaste) ;;
	*)
		mkdir -p "$folder/names"
		program=$folder/names/$name
		ln -sf "$TOP_BUILDDIR/posthaste" "$program"
		;;
	esac
	cat >"$folder/$name" <<-EOF
		#!/bin/sh
		[ -d "\${TMPDIR:-/tmp}" ] ||
			export LD_PRELOAD='$folder/tmpdir.so' \\
				PROGRAM_TMPDIR="\$TMPDIR" TMPDIR=/tmp
		exec valgrind -q --leak-check=full \\
			--errors-for-leak-kinds=definite \\
			--show-leak-kinds=definite --track-fds=yes \\
			--error-exitcode=99 --log-file='$folder/logs/%p' \\
			'$program' "\$@"
	EOF
	chmod 755 "$folder/$name"
done
WIRE_PATIENCE=20 WIRE_NAMES=$folder POSTHASTE=$folder/posthaste \
	"${PYTHON:-python3}" "$TOP_SRCDIR/tests/wire/run.py" "$@"
status=$?
# Lines of its own begin with "--": calls that it does not know. Descriptors
# that are open at the end: the log, valgrind's own and whatever we gave are
# there for good, OpenSC's module keeps one, and a process that was forked (a
# worker, what asks for a secret) ends as it is, with those of the run that it
# is part of.
for log in "$folder"/logs/*; do
	grep -v '^--' "$log" | sed 's/^==[0-9]*== \{0,1\}//' | awk -v RS= '
		/worker_start|fetch_apart/ { forked = 1 }
		/(^|\n)Open |FILE DESCRIPTORS/ {
			sub(/^FILE DESCRIPTORS[^\n]*\n?/, "")
			if ($0 != "" &&
			    !/inherited from parent|log_open|opensc-pkcs11/)
				open = open $0 "\n"
			next
		}
		{ print $0 "\n" }
		END { if (!forked) printf "%s", open }
	' >"$folder/said"
	[ ! -s "$folder/said" ] || {
		echo "# valgrind: $log"
		sed 's/^/# /' "$folder/said"
	}
done >"$folder/found"
head -n 200 "$folder/found"
echo "# $(find "$folder/logs" -type f | wc -l) processes," \
	"$(grep -c '^# valgrind: ' "$folder/found") with findings"
[ "$status" -eq 0 ] && [ ! -s "$folder/found" ]
