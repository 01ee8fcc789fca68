#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped units under a systemd that was really booted: a tree made by
debootstrap (once, beside the other peers), our build installed in it, set up
by contrib/setup, booted in a container without a network. What is tried in
there is tests/support/booted.py. TAP on standard output. Must be root.

TOP_SRCDIR  as for tests/wire/run.py
POSTHASTE_PEERS  as for peers.sh
"""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import booted  # noqa: E402
import harness  # noqa: E402
import house  # noqa: E402
import mxnet  # noqa: E402
from harness import Failure  # noqa: E402

UNIT = """[Unit]
After=multi-user.target
[Service]
Type=oneshot
TimeoutStartSec=infinity
StandardError=journal+console
ExecStart=/usr/bin/python3 /root/booted.py
ExecStopPost=/bin/systemctl --no-block poweroff
[Install]
WantedBy=default.target
"""
LIMIT = 600


def lacking():
    """Why it cannot be done here; None: it can."""
    if os.getuid():
        return "must be root"
    for program in ("systemd-nspawn", "debootstrap"):
        if not shutil.which(program, path=house.PATH):
            return f"no {program}"
    return None


def tree():
    """Where it is; None where packages cannot be had."""
    try:
        said = house.command(HERE / "peers.sh", "tree", limit=600)
    except (Failure, subprocess.TimeoutExpired):
        return None
    return pathlib.Path(said.splitlines()[-1])


def copy_library(path, root):
    there = root / os.path.realpath(path)[1:]
    name = root / path[1:]
    if not name.exists() and not there.exists():
        name.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, name)


def linked(program):
    words = [line.split() for line in
             house.command("ldd", program).splitlines()]
    return [w[2] for w in words if "=>" in w and w[2].startswith("/")]


def loaded(program):
    """What it is not linked with and loads when it needs it."""
    names = re.findall(rb"lib[a-z0-9-]+\.so\.\d+(?=\0)",
                       pathlib.Path(program).read_bytes())
    found = {}
    for line in house.command("ldconfig", "-p").splitlines():
        # the first of a name is that of this machine's own kind
        found.setdefault(line.split()[0].encode(), line.split()[-1])
    return [found[name] for name in sorted(set(names)) if name in found]


def copy_libraries(program, root):
    """Those that the tree lacks: it is of this host's release."""
    others = loaded(program)
    for path in [*others, *linked(program),
                 *(path for other in others for path in linked(other))]:
        copy_library(path, root)


def install(root, folder):
    build = folder / "build"
    house.configure(house.pristine(folder), build, "--prefix=/usr",
                    "--sysconfdir=/etc", "--localstatedir=/var",
                    "--with-systemdsystemunitdir=/lib/systemd/system")
    house.make(build, "posthaste", "posthaste-drop", "posthaste-fetch",
               "posthaste-token")
    house.make(build, "install", f"DESTDIR={root}")
    copy_libraries(build / "posthaste", root)
    shutil.copy(house.SOURCE / "contrib/setup", root / "root/setup")
    shutil.copy(HERE.parent / "support/booted.py", root / "root/booted.py")
    give_certificates(root, folder)
    units = root / "etc/systemd/system"
    (units / "booted.service").write_text(UNIT)
    wants = units / "multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "booted.service").symlink_to("../booted.service")


def give_certificates(root, folder):
    """One for the server in there, of an authority that the machine
    trusts."""
    mxnet.certificate(folder, "ca", authority=True)
    mxnet.certificate(folder, "server", ["mail.example.test"], ca="ca")
    for name in ("server.pem", "server.key"):
        shutil.copy(folder / name, root / "root")
    trusted = root / "etc/ssl/certs/ca-certificates.crt"
    trusted.parent.mkdir(parents=True, exist_ok=True)
    trusted.write_text((folder / "ca.pem").read_text())
    with open(root / "etc/hosts", "a") as f:
        f.write("127.0.0.1 mail.example.test\n")


def hierarchies():
    """Where systemd keeps its units: this process' cgroup in the unified
    hierarchy, and in systemd's own where the controllers have others."""
    mine = [line.split(":", 2) for line in
            pathlib.Path("/proc/self/cgroup").read_text().splitlines()]
    there = pathlib.Path("/sys/fs/cgroup")
    unified = there / "unified"
    roots = {"": unified if unified.is_dir() else there,
             "name=systemd": there / "systemd"}
    return [roots[controllers] / path.lstrip("/")
            for _, controllers, path in mine if controllers in roots]


@contextlib.contextmanager
def cgroup(name):
    """One of its own, by that name, in each of these hierarchies: what a
    container makes in there has fixed names, and one that was killed leaves
    them in the way of the next. Gives the files that take a process in."""
    made = [hierarchy / name for hierarchy in hierarchies()]
    for path in made:
        path.mkdir()
    try:
        yield [path / "cgroup.procs" for path in made]
    finally:
        for path in made:
            for inner, _, _ in os.walk(path, topdown=False):
                os.rmdir(inner)


def boot(root):
    name = f"posthaste-{os.getpid()}"
    with cgroup(name) as entrances:
        return boot_in(root, name, entrances)


def boot_in(root, name, entrances):
    def enter():
        for entrance in entrances:
            entrance.write_text("0")

    child = subprocess.Popen(
        ["systemd-nspawn", "--boot", "-q", "-D", str(root), "-M", name,
         "--register=no", "--keep-unit", "--private-network",
         "--console=read-only"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env=house.environment(), preexec_fn=enter)
    try:
        out, _ = child.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGTERM)
        try:
            out, _ = child.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            child.kill()
            out, _ = child.communicate()
    return out.decode(errors="replace")


def main():
    why = lacking()
    pristine = None if why else tree()
    if not pristine:
        why = why or "no packages can be had"
        return harness.skip_all(why)
    # not in /tmp, where programs may not be run as somebody else
    folder = pathlib.Path(tempfile.mkdtemp(prefix="booted-", dir=os.curdir))
    folder = folder.resolve()
    try:
        root = folder / "root"
        house.command("cp", "-a", "--reflink=auto", pristine, root)
        install(root, folder)
        said = boot(root)
        result = root / "root/result.json"
        results = json.loads(result.read_text()) if result.exists() else []
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    told = harness.Told(len(booted.TESTS))
    for i, test in enumerate(booted.TESTS):
        name, words = results[i] if i < len(results) else (
            test.__name__, "it did not come to that" +
            (":\n" + said[-4000:] if i == len(results) else ""))
        told.tell(not words, name.replace("_", " "), (words or "").splitlines())
    return told.end()


if __name__ == "__main__":
    sys.exit(main())
