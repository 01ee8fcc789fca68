#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Replays every corpus through its target: one TAP line a target.
set -u
n=0
for corpus in "$TOP_SRCDIR"/tests/fuzz/corpus/*/; do
	target=$(basename "$corpus")
	# no helper for logins, no parser of its answers
	[ "$target" != token ] || [ -x "$TOP_BUILDDIR/posthaste-token" ] ||
		continue
	n=$((n + 1))
	if out=$("$TOP_BUILDDIR/tests/fuzz/$target" "$corpus" 2>&1) &&
	   ! printf '%s\n' "$out" | grep -q '^not ok'; then
		echo "ok $n - $target"
	else
		echo "not ok $n - $target"
		printf '%s\n' "$out" | tail -n 30 | sed 's/^/# /'
	fi
done
echo "1..$n"
