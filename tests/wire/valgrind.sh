#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Scenarios (all, or those that are named) with posthaste under valgrind:
# memory that nobody wrote and is looked at, that is used after its end, or
# left behind. make check-valgrind; most of an hour for all of them.
set -u

logs=$TOP_BUILDDIR/valgrind
under=$TOP_BUILDDIR/posthaste-valgrind
rm -rf "$logs"
mkdir "$logs"
# a program of its own beside the real one: scenarios clean the environment
cat >"$under" <<EOF
#!/bin/sh
exec valgrind -q --leak-check=full --errors-for-leak-kinds=definite \\
	--show-leak-kinds=definite --error-exitcode=99 \\
	--log-file='$logs/%p' '$TOP_BUILDDIR/posthaste' "\$@"
EOF
chmod 755 "$under"
POSTHASTE=$under WIRE_PATIENCE=20 "${PYTHON:-python3}" "$TOP_SRCDIR/tests/wire/run.py" "$@"
status=$?
# lines of its own begin with "--": calls that it does not know
find "$logs" -type f ! -name found -exec grep -l '^==' {} + |
	while read -r log; do
		echo "# valgrind: $log"
		sed 's/^/# /' "$log"
	done >"$logs/found"
head -n 200 "$logs/found"
echo "# $(find "$logs" -type f ! -name found | wc -l) processes," \
	"$(grep -c '^# valgrind: ' "$logs/found") with findings"
[ "$status" -eq 0 ] && [ ! -s "$logs/found" ]
