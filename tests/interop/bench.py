#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs tests/bench/run once, with little, and looks for its figures. TAP.

POSTHASTE, WIRE_SERVER  as for tests/wire/run.py
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402

RUN = HERE.parent / "bench" / "run"
MESSAGES = 20
CONFIG = """[general]
hostname = client.example.test
domain = example.test
[queue]
queue = always
directory = {folder}/queue
[log]
to = none
[route all]
transport = relay
[transport relay]
kind = smtp
host = 127.0.0.1
port = {port}
no_starttls = yes
"""
ONE = re.compile(r"[0-9.]+( \([0-9.]+-[0-9.]+\))?|-")


def bench(*arguments):
    if not shutil.which(os.environ.get("CC", "cc").split()[0]):
        raise harness.Skip("no compiler")
    out = subprocess.run(
        [sys.executable, RUN, "--rounds", "1", *arguments], timeout=100,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if out.returncode:
        raise harness.Failure(out.stdout)
    return [[cell.strip() for cell in line.strip("|").split("|")]
            for line in out.stdout.splitlines()
            if line.startswith("| ") and "posthaste" in line], out.stdout


def want_figures(table, rows, *arguments):
    found, text = bench(*arguments, table)
    figures = [c for row in found for c in row if ONE.fullmatch(c)]
    if len(found) != rows or len(figures) < 2 * rows:
        raise harness.Failure(f"{table}: {text}")


def small(_folder, _certificates):
    """small: a row for clear text, one for TLS"""
    want_figures("small", 2)


def flights(_folder, _certificates):
    """flights: all in one behind EHLO; the last is not waited for"""
    found, text = bench("flights")
    stories = [row[3] for row in found]
    if stories != ["`/EHLO/MAIL+RCPT+RCPT+BDAT/QUIT`",
                   "`tls/EHLO/AUTH/MAIL+RCPT+RCPT+BDAT/QUIT`"]:
        raise harness.Failure(text)


def distance(_folder, _certificates):
    """distance: as many round trips as flights, and TCP's own"""
    # so far that a slow machine's own time is less than one of them
    found, text = bench("--rtt", "500", "distance")
    trips = [int(float(row[2])) for row in found]
    if trips != [4, 6]:
        raise harness.Failure(text)


def sizes(_folder, _certificates):
    """sizes: 1 KB and 100 KB, in clear and over TLS"""
    want_figures("sizes", 4, "--most", "100000")


def queue(_folder, _certificates):
    """queue: 20 messages drained over one connection"""
    found, text = bench("--queue", "20", "queue")
    if [row[3] for row in found] != ["1", "1"]:
        raise harness.Failure(text)


def syncs(folder, certificates):
    """syncs: two a message drained, which is what the promises cost: that a
    doubt survives a power cut, and so does an answer"""
    if not shutil.which("strace"):
        raise harness.Skip("no strace")
    server = harness.Server(folder, 1, "\n", certificates)
    config = pathlib.Path(folder, "config")
    config.write_text(CONFIG.format(folder=folder, port=server.port))
    posthaste = [os.environ.get("POSTHASTE", "posthaste"), "-C", config]
    for _ in range(MESSAGES):
        subprocess.run([*posthaste, "-odq", "joe@example.org"], check=True,
                       input=b"Subject: s\n\nhi\n", timeout=20)
    trace = pathlib.Path(folder, "trace")
    subprocess.run(["strace", "-f", "-e", "trace=fsync,fdatasync", "-o",
                    trace, *posthaste, "-q"], check=True, timeout=60,
                   # the leak checker cannot work under strace
                   env={**os.environ, "ASAN_OPTIONS": "detect_leaks=0"})
    events = server.stop()
    made = len(re.findall("(?:fsync|fdatasync)\\(", trace.read_text()))
    if made != 2 * MESSAGES:
        raise harness.Failure(f"{made} syncs for {MESSAGES} messages: "
                              f"{events}")


TESTS = [(f.__doc__, f) for f in (small, flights, distance, sizes, queue,
                                   syncs)]


def main():
    return harness.tap(TESTS, workers=1)


if __name__ == "__main__":
    sys.exit(main())
