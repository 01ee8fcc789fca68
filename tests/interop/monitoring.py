#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""--health as real monitoring reads it: promtool check metrics, and NRPE with
its check_nrpe on loopback. Not part of make check, for the size of
Prometheus: make check-monitoring. TAP.

MONITORING  a folder in which the packages are unpacked (monitoring.sh)
"""

import grp
import os
import pathlib
import pwd
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import want  # noqa: E402
from health import CONFIG  # noqa: E402

ROOT = pathlib.Path(os.environ.get("MONITORING", "monitoring"))
NRPE = """server_port={port}
server_address=127.0.0.1
allowed_hosts=127.0.0.1
pid_file={folder}/nrpe.pid
nrpe_user={user}
nrpe_group={group}
command_timeout=60
dont_blame_nrpe=0
command[check_posthaste]={program} -C {folder}/config --health
"""


def libraries():
    found = {str(p.parent) for p in ROOT.resolve().rglob("libwrap.so.0")}
    return {"LD_LIBRARY_PATH": ":".join(found)}


def program(name):
    found = [p for p in ROOT.resolve().rglob(name) if p.is_file()]
    want(found, f"{name} is not in {ROOT}")
    return str(found[0])


class Machine(harness.Place):
    def __init__(self, folder, more=""):
        folder = pathlib.Path(folder)
        folder.mkdir(exist_ok=True)
        super().__init__(folder, CONFIG.format(folder=folder, more=more))

    def tended(self):
        got = self.run("-odq", "b@example.test", stdin=b"Subject: s\n\nx\n")
        want(got == (0, "", ""), got)
        (self.folder / "queue/last-run").touch()

    def damage(self):
        (self.folder / "queue/corrupt/x").write_text("x")


def machines(folder, certificates):
    """(status, machine) of each state that --health knows."""
    well = Machine(folder + "/well")
    well.tended()
    yield 0, well
    damaged = Machine(folder + "/damaged")
    damaged.tended()
    damaged.damage()
    yield 1, damaged
    late = Machine(
        folder + "/late", "[domain example.test]\ndkim_selector = s\n"
        f"dkim_key = {folder}/nothing\n[transport a\"b\"\\\\c\u00fc]\n"
        f"kind = submissions\nhost = h.test\n"
        f"certificate = {certificates}/expired.pem\n"
        f"key = {certificates}/expired.key\n"
        "[transport login]\nkind = submissions\nhost = h.test\n"
        "username = x\noauth = https://issuer.example.test\n")
    late.tended()
    yield 2, late
    faulty = Machine(folder + "/faulty", "[nonsense]\n")
    yield 2, faulty


def promtool(folder, certificates):
    """promtool check metrics finds nothing to say, whatever the state"""
    said = []
    for status, m in machines(folder, certificates):
        got, metrics, err = m.run("--health", "--metrics")
        want(got == status and not err, (got, metrics, err))
        check = subprocess.run(
            [program("promtool"), "check", "metrics"], timeout=60,
            input=metrics.encode(), capture_output=True, check=False)
        want(check.returncode == 0 and not check.stdout + check.stderr,
             f"{m.folder.name}: {check.returncode} {check.stdout.decode()}"
             f"{check.stderr.decode()}\n{metrics}")
        said.append(f"{m.folder.name}: promtool check metrics: status 0, "
                    f"nothing said about {len(metrics.splitlines())} lines")
    # and it is one that finds faults
    check = subprocess.run(
        [program("promtool"), "check", "metrics"], timeout=60, check=False,
        input=b"# TYPE x_count gauge\nx_count 1\n", capture_output=True)
    want(check.returncode != 0, "promtool finds nothing at all")
    return said


def nrpe(folder, certificates):
    """check_nrpe gets the status and the words by way of a running NRPE"""
    said = []
    # it does not run as root
    user = pwd.getpwuid(os.getuid()).pw_name if os.getuid() else "nobody"
    for status, m in machines(folder, certificates):
        port, = harness.free_ports(1)
        (m.folder / "nrpe.cfg").write_text(NRPE.format(
            port=port, folder=m.folder, program=harness.POSTHASTE,
            user=user,
            group=grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name))
        if user == "nobody":
            harness.command("chown", "-R", user, str(m.folder))
        env = {**m.env, **libraries()}
        daemon = harness.Daemon(
            [program("nrpe"), "-c", str(m.folder / "nrpe.cfg"), "-f", "-n"],
            str(m.folder), env=env, name="nrpe")
        try:
            daemon.wait_port(port, greeting=False)
            got = subprocess.run(
                [program("check_nrpe"), "-H", "127.0.0.1", "-p", str(port),
                 "-n", "-t", "60", "-c", "check_posthaste"], timeout=90,
                capture_output=True, text=True, check=False, env=env)
        finally:
            daemon.stop()
        word = ("OK", "WARNING", "CRITICAL")[status]
        want(got.returncode == status and got.stdout.startswith(word + " - "),
             f"{m.folder.name}: {got.returncode} {got.stdout}{got.stderr}"
             f"{daemon.words()}")
        said.append(f"{m.folder.name}: check_nrpe: status {got.returncode}, "
                    f"{got.stdout.splitlines()[0]}")
    return said


if __name__ == "__main__":
    harness.need_programs()
    sys.exit(harness.tap(harness.titled([promtool, nrpe]), 1,
                         public=True))
