#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Round trips that a message takes to a real Exim some way off, with early
pipelining and without: the first one and those after it. Markdown.

early.py [--rtt MS] [--rounds N]

POSTHASTE, POSTHASTE_PEERS  as for tests/interop/exim.py
"""

import argparse
import importlib.machinery
import importlib.util
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "support"), str(HERE.parent / "interop")]
import exim  # noqa: E402
import harness  # noqa: E402
import interop  # noqa: E402

loader = importlib.machinery.SourceFileLoader("bench_run", str(HERE / "run"))
run = importlib.util.module_from_spec(
    importlib.util.spec_from_loader("bench_run", loader))
loader.exec_module(run)


def trips(folder, config, rtt):
    """One message; in round trips."""
    start = time.monotonic()
    done = subprocess.run(
        [run.POSTHASTE, "-C", config, "-i", "-f", run.SENDER,
         "b@example.test"], input=(run.HEADER + 13 * run.LINE).encode(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
        env=harness.environment(folder), cwd=folder, check=False)
    took = time.monotonic() - start
    if done.returncode or done.stdout:
        raise RuntimeError(done.stdout.decode("latin-1"))
    return 1000 * took / rtt


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rtt", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    options.peers = None
    rows = []
    with tempfile.TemporaryDirectory(prefix="early-") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        for part in ("home/.config", "tmp", "exim"):
            (folder / part).mkdir(parents=True)
        bench = run.Bench(options, folder)
        far = exim.Exim(folder / "exim", bench.certificates)
        try:
            for kind, port in (("submissions", far.implicit),
                               ("submission", far.starttls)):
                with run.Distance(bench, options.rtt, port) as way:
                    for early in ("off", "auto"):
                        config = interop.configure(
                            folder, f"kind = {kind}\nhost = localhost\n"
                            f"port = {way.port}\nca_file = {far.ca}\n"
                            "username = joe\npassword = secret\n"
                            "mechanisms = PLAIN\n"
                            f"early_pipelining = {early}\n",
                            interop.CONFIG.replace(
                                "[general]", "[general]\n"
                                "cache = {folder}/cache", 1))
                        first, *more = [
                            trips(folder, config, options.rtt)
                            for _ in range(options.rounds)]
                        rows.append((kind, early, f"{first:.2f}",
                                     f"{statistics.median(more):.2f} "
                                     f"({min(more):.2f}-{max(more):.2f})"))
        finally:
            far.stop()
    run.table(f"One message of 1 KB, AUTH PLAIN, to Exim {options.rtt} ms "
              "away: round trips", ("kind", "early_pipelining",
                                    "first message", "those after it"), rows)


if __name__ == "__main__":
    sys.exit(main())
