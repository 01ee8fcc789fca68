#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls that are not to be in src/, and what is there instead: prints FILE:LINE
of each; silent and 0 when there is none."""
import os
import re
import sys

BANNED = {
    "snprintf, buf_addf": "strcpy strcat stpcpy strncpy strncat sprintf "
                          "vsprintf",
    "buf_read, conn": "gets scanf fscanf",
    "strtok_r, list, scan": "strtok",
    "mem_alloc": "alloca",
    "child_run": "system popen",
    "strtol, and a look at where it ended": "atoi atol atoll atof",
    "clock_chance, getrandom": "rand srand random srandom drand48",
    "file_temporary": "tmpnam tempnam mktemp",
    "outcomes; fork": "setjmp longjmp vfork",
    "gmtime_r, localtime_r": "gmtime localtime ctime asctime",
    "net_address, lookup": "gethostbyname gethostbyaddr inet_addr inet_aton "
                           "inet_ntoa",
}
INSTEAD = {name: instead for instead, names in BANNED.items()
           for name in names.split()}
# comments and strings count for nothing, but for their lines
ASIDE = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.S)
CALL = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(INSTEAD))


def main():
    top = os.environ.get("TOP_SRCDIR", os.path.dirname(os.path.dirname(
        os.path.abspath(__file__))))
    found = False
    for folder, _, names in sorted(os.walk(os.path.join(top, "src"))):
        for name in sorted(names):
            if not name.endswith((".c", ".h")):
                continue
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8") as f:
                text = ASIDE.sub(lambda m: "\n" * m[0].count("\n"), f.read())
            for call in CALL.finditer(text):
                found = True
                print("%s:%d: %s (here: %s)" % (
                    os.path.relpath(path, top),
                    text.count("\n", 0, call.start()) + 1, call[1],
                    INSTEAD[call[1]]))
    return found


if __name__ == "__main__":
    sys.exit(main())
