#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""How cost grows with recipients, size, header fields, the queue, routes and
aliases: a table (NAME.tsv) and a picture (NAME.svg, by gnuplot) each, in the
folder growth beside this or in --to. Ends with 1 where something grows faster
than what it grows with, or memory with the message's size.

growth.py [--to FOLDER] [--most N] [NAME ...]
"""

import argparse
import importlib.machinery
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import cost as count  # noqa: E402
import entries  # noqa: E402

# the bench's server and tools, and how it runs and measures
loader = importlib.machinery.SourceFileLoader("bench_run", str(HERE / "run"))
run = importlib.util.module_from_spec(
    importlib.util.spec_from_loader("bench_run", loader))
loader.exec_module(run)

# what one more may cost in a decade, of what it cost in the decade before
INSTRUCTIONS, CPU = 1.25, 1.6
CPU_SEEN = 30 * 1000     # microseconds, below which nothing can be told
COUNTED = 700 * 1000     # what takes longer is not run by callgrind
MEMORY = 1.25            # from a megabyte on


class Field:
    """What a curve is made in: an own folder and configuration."""

    def __init__(self, bench, sink, name):
        self.bench = bench
        self.folder = bench.folder / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.queue = self.folder / "queue"
        for part in ("mess", "tmp", "corrupt"):
            (self.queue / part).mkdir(parents=True)
        self.port = sink.port["plain"]
        self.configure()

    def configure(self, general="", routes="", queue="always"):
        self.config = self.folder / "config"
        self.config.write_text(f"""[general]
hostname = client.example.org
domain = example.org
{general}
[queue]
queue = {queue}
directory = {self.queue}
[log]
to = none
{routes}
[route all]
transport = relay
[transport relay]
port = {self.port}
kind = smtp
host = 127.0.0.1
no_starttls = yes
""")

    def empty(self):
        for part in ("mess", "tmp", "corrupt"):
            for name in os.listdir(self.queue / part):
                os.unlink(self.queue / part / name)

    def argv(self, *words):
        return [run.POSTHASTE, "-C", str(self.config), *words]

    def do(self, *words, stdin="/dev/null"):
        with open(stdin, "rb") as f:
            subprocess.run(self.argv(*words), stdin=f, check=True)

    def message(self, n):
        """Of so many bytes."""
        path = self.folder / "message"
        with open(path, "w") as f:
            f.write(run.HEADER)
            left = n - len(run.HEADER)
            block = 10000 * run.LINE
            while left >= len(block):
                f.write(block)
                left -= len(block)
            f.write(max(left, 1) // len(run.LINE) * run.LINE + "x\n")
        return path


def cost(field, words, stdin, before):
    """(instructions or None, CPU, peak): the least CPU of three, or of two
    where it takes long: the first may find what it reads on the disk."""
    found = []
    while len(found) < 2 or (len(found) < 3 and found[0].cpu < COUNTED):
        before()
        found.append(field.bench.meter(run.Posthaste, field.argv(*words),
                                       stdin))
    cpu = min(m.cpu for m in found)
    peak = max(m.peak for m in found)
    if cpu > COUNTED or not shutil.which("valgrind"):
        return None, cpu, peak
    before()
    out = field.folder / "callgrind"
    with open(stdin, "rb") as f:
        subprocess.run(["valgrind", "-q", "--tool=callgrind",
                        f"--callgrind-out-file={out}.%p",
                        *field.argv(*words)], stdin=f, check=True,
                       stdout=subprocess.DEVNULL)
    files = list(field.folder.glob("callgrind.*"))
    total = count.instructions_of_all(files)
    for path in files:
        path.unlink()
    return total, cpu, peak


def decades(most):
    n = 1
    while n <= most:
        yield n
        n *= 10


def nothing():
    pass


# --- the curves: command, then (n, what is run, its input, what is done
# before) for each n ---

SEND = ["-i", "-f", run.SENDER]
ANN = "ann@example.net"


def people(n):
    return [f"r{i}@example.net" for i in range(n)]


def recipients(field, most):
    """recipients"""
    mail = field.message(1000)
    for n in decades(min(most, 10 ** 4)):
        def hold(n=n):
            field.empty()
            field.do("-odq", *SEND, *people(n), stdin=mail)

        yield "sent at once", n, ["-odi", *SEND, *people(n)], mail, nothing
        yield "-odq", n, ["-odq", *SEND, *people(n)], mail, field.empty
        yield "-q", n, ["-q"], mail, hold


def size(field, most):
    """octets of the message"""
    for n in decades(min(most * 10 ** 4, 10 ** 9)):
        if n < 1000:
            continue
        mail = field.message(n)

        def hold(mail=mail):
            field.empty()
            field.do("-odq", *SEND, ANN, stdin=mail)

        yield "sent at once", n, ["-odi", *SEND, ANN], mail, nothing
        yield "-odq", n, ["-odq", *SEND, ANN], mail, field.empty
        yield "-q", n, ["-q"], mail, hold
    field.empty()


def fields(field, most):
    """header fields"""
    for n in decades(min(most, 10 ** 5)):
        mail = field.folder / "message"
        mail.write_text(run.HEADER.rstrip("\n") + "\n" + "".join(
            f"X-Field-{i}: {30 * 'v'}\n" for i in range(n)) + "\nhi\n")
        yield "sent at once", n, ["-odi", *SEND, ANN], mail, nothing
        yield "-odq -t", n, ["-odq", "-t", "-i"], mail, field.empty


def queue(field, most):
    """entries in the queue"""
    soon = int(time.time()) + 3600
    mail = field.message(1000)
    data = entries.entry_bytes([ANN], entries.message_bytes("growth"))
    made = 0
    for n in decades(min(most, 10 ** 5)):
        while made < n:
            path = field.queue / "mess" / f"made{made:012},{soon}"
            path.write_bytes(data)
            path.chmod(0o600)
            made += 1

        def due():
            (field.queue / "mess" / "due,0").write_bytes(data)

        def clear():
            for name in os.listdir(field.queue / "mess"):
                if not name.startswith("made"):
                    os.unlink(field.queue / "mess" / name)

        yield "mailq", n, ["-bp"], mail, nothing
        yield "-q, nothing due", n, ["-q"], mail, nothing
        yield "-q, one due", n, ["-q"], mail, due
        yield "-odq", n, ["-odq", *SEND, ANN], mail, clear
        yield "--show", n, ["--show", f"made{0:012}"], mail, clear


def routes(field, most):
    """routes"""
    mail = field.message(1000)
    for n in decades(min(most, 10 ** 4)):
        field.configure(routes="".join(
            f"[route r{i}]\nto_domain = d{i}.example.com\n"
            "transport = relay\n" for i in range(n)))
        yield "one recipient", n, ["-odi", *SEND, ANN], mail, nothing
        yield ("100 recipients", n, ["-odi", *SEND, *people(100)], mail,
               nothing)


def transports(field, most):
    """routes, each with a transport of its own"""
    mail = field.message(1000)
    for n in decades(min(most, 10 ** 4)):
        field.configure(routes="".join(
            f"[route r{i}]\nto_domain = d{i}.example.com\n"
            f"transport = t{i}\n[transport t{i}]\nkind = smtp\n"
            "host = 127.0.0.1\n" for i in range(n)))
        yield "one recipient", n, ["-odi", *SEND, ANN], mail, nothing


def aliases(field, most):
    """lines of the aliases file"""
    mail = field.message(1000)
    for n in decades(min(most, 10 ** 5)):
        path = field.folder / "aliases"
        path.write_text("".join(f"user{i}: joe{i}@example.org\n"
                                for i in range(n)))
        field.configure(general=f"aliases = {path}")
        yield "the last one", n, ["-odi", *SEND, f"user{n - 1}"], mail, nothing


def members(field, most):
    """members of an alias"""
    mail = field.message(1000)
    for n in decades(min(most, 10 ** 4)):
        path = field.folder / "aliases"
        path.write_text("all: " + ", ".join(f"user{i}" for i in range(n)) +
                        "\n" + "".join(f"user{i}: joe{i}@example.org\n"
                                       for i in range(n)))
        field.configure(general=f"aliases = {path}")
        yield "an alias each", n, ["-odi", *SEND, "all"], mail, nothing


CURVES = {f.__name__: f for f in (recipients, size, fields, queue, routes,
                                  transports, aliases, members)}


# --- what they say ---

def faults(name, rows):
    """Where a curve bends upwards."""
    found = []
    curves = {}
    for command, n, *figures in rows:
        curves.setdefault(command, {})[n] = figures
    for command, points in curves.items():
        for n in sorted(points)[1:-1]:
            x, y, z = points[n // 10], points[n], points[10 * n]
            # instructions; CPU where they were not counted, from where it
            # can be told
            what, most = (0, INSTRUCTIONS) if z[0] else (1, CPU)
            if what and (y[1] < CPU_SEEN or y[1] - x[1] < y[1] / 2):
                continue
            # what is small beside the start says nothing
            if not what and z[0] < 2 * x[0]:
                continue
            # a step from one way of doing it to another is no bend
            far = points.get(100 * n)
            if far and (far[0] or not z[0]):
                continue
            more = (z[what] - y[what]) / (y[what] - x[what] or 1) / 10
            if more > most:
                found.append(f"{name}, {command}: one of {n} to {10 * n} "
                             f"costs {more:.2f} times one of {n // 10} to "
                             f"{n}")
        if name == "size" and 10 ** 6 in points:
            most = max(f[2] for f in points.values())
            if most > MEMORY * points[10 ** 6][2]:
                found.append(f"{name}, {command}: {most} KiB")
    return found


def write(folder, name, about, rows):
    commands = list(dict.fromkeys(r[0] for r in rows))
    table = folder / f"{name}.tsv"
    table.write_text(
        f"# {about}, million instructions (-: not counted), CPU ms, "
        "peak memory MB\n" + "\n\n".join(
            f'"{command}"\n' + "".join(
                f"{n}\t{f'{i / 1e6:.3f}' if i else '-'}\t{cpu / 1000:.1f}\t"
                f"{peak / 1024:.1f}\n" for c, n, i, cpu, peak in rows
                if c == command) for command in commands) + "\n")
    if not shutil.which("gnuplot"):
        print("gnuplot is not here: no picture", file=sys.stderr)
        return
    panels = "".join(
        f"""set ylabel "{label}"
{extra}
plot for [i=0:{len(commands) - 1}] "{table}" index i using 1:{column} \
with linespoints pt 7 ps 0.4 title columnheader(1)
""" for label, column, extra in (
            ("million instructions", 2, 'set logscale y; set key top left'),
            ("CPU, ms", 3, "unset key"),
            ("peak memory, MB", 4, "unset logscale y; set yrange [0:*]")))
    subprocess.run(["gnuplot"], input=f"""
set terminal svg size 960,300 font "sans,10"
set output "{folder / name}.svg"
set datafile missing "-"
set multiplot layout 1,3
set logscale x
set format x "%.0s%c"
set xlabel "{about}"
set grid
unset mxtics
unset mytics
{panels}unset multiplot
""", text=True, check=True)
    # half of it is groups of nothing
    picture = folder / f"{name}.svg"
    text = re.sub(r"\s*\n\s*", "\n", picture.read_text())
    picture.write_text(re.sub(r"<g [^>]*>\n?</g>\n", "", text))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--to", default=HERE / "growth", type=pathlib.Path)
    parser.add_argument("--most", type=int, default=10 ** 5,
                        help="of anything; ten thousand times as many octets")
    parser.add_argument("name", nargs="*", help=", ".join(CURVES))
    options = parser.parse_args()
    options.peers = None
    if set(options.name) - set(CURVES):
        parser.error(f"curves are {', '.join(CURVES)}")
    options.to.mkdir(exist_ok=True)
    bent = []
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        bench = run.Bench(options, folder)
        for name in options.name or CURVES:
            rows = []
            with run.Sink(bench) as sink:
                field = Field(bench, sink, name)
                for command, n, words, stdin, before in CURVES[name](
                        field, options.most):
                    rows.append((command, n, *cost(field, words, stdin,
                                                   before)))
                    print(name, *rows[-1], sep="\t", flush=True)
                shutil.rmtree(field.folder)
            write(options.to, name, CURVES[name].__doc__, rows)
            bent += faults(name, rows)
    print("\n".join(bent) if bent else
          "nothing grows faster than what it grows with")
    return bool(bent)


if __name__ == "__main__":
    sys.exit(main())
