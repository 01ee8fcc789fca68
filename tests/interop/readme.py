#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""README's commands, each in its turn, on a machine that is a copy of this
one: an overlay over / in a mount and network namespace of its own. What is
stood in for: sudo (root runs everything), systemctl, and what a person types.
Every indented line is a command that is run, or part of a configuration that
is written where README says and checked. TAP on standard output."""

import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
import house  # noqa: E402

MESSAGE = "From: you@gmail.com\nTo: someone@example.net\nSubject: s\n\nhi\n"
# commands that need a network, which there is none of; what they may end with
OFFLINE = {"posthaste --setup": {64},  # nobody to ask
           "posthaste --probe": {75}, "posthaste -ti": {0, 75},
           "posthaste -i someone": {0, 75},
           "posthaste --explain": {0},
           "sudo posthaste --dnscheck": {0, 1}}
# too much for a test, or a test of its own
ELSEWHERE = ("contrib/quickstart", "contrib/check", "*/5 * * * *")
TYPED = {"gmail": "abcdefghijklmnop\n", "relay": "correct horse\n"}
SECRETS = ("abcdefghijklmnop", "correct horse", "PRIVATE KEY")
STUBS = {
    "sudo": 'HOME=/root exec "$@"\n',
    "systemctl": 'echo "$*" >>/systemctl.log\nfor unit; do case $unit in\n'
                 '*.timer|*.path|*.socket)\n'
                 '[ -f /usr/local/lib/systemd/system/$unit ] || exit 5;;\n'
                 'esac; done\n',
}


def blocks(text):
    """Indented paragraphs as lists of lines, their indentation taken off."""
    now = []
    for line in text.splitlines() + ["."]:
        if line.startswith("    "):
            now.append(line[4:])
        elif line.strip() == "" and now and now[-1].startswith("["):
            now.append("")
        elif line.strip() == "" and now and "=" in now[-1]:
            now.append("")
        elif now:
            yield now
            now = []


def commands(block):
    """A loop is one command; else a line, less the words at its right."""
    if block[0].startswith("for "):
        yield "\n".join(block)
        return
    for line in block:
        # what begins far at the right goes on explaining the line before
        if not line.startswith("   "):
            yield re.sub(r"  +\S.*$", "", line)


def is_configuration(block):
    return block[0].startswith("[")


def status_of(command):
    for begin, allowed in OFFLINE.items():
        if command.startswith(begin):
            return allowed
    return {0}


def exposed(root):
    """Files that hold a secret and can be read by others."""
    for folder in ("srv/you/.config", "etc/posthaste"):
        for path in pathlib.Path(root, folder).rglob("*"):
            if not path.is_symlink() and path.is_file() and \
                    path.stat().st_mode & stat.S_IROTH:
                text = path.read_text(errors="replace")
                if any(secret in text for secret in SECRETS):
                    yield str(path)


def not_the_source(folder, names):
    """What builds have left in and below the source folder."""
    left = {name for name in names if name.endswith((".o", ".a", ".trs"))
            or name in (".git", ".deps", ".dirstamp", "__pycache__")}
    if pathlib.Path(folder) == house.SOURCE:
        left |= {name for name in names
                 if name in ("Makefile", "config.h", "autom4te.cache") or
                 (pathlib.Path(folder, name) / "config.status").exists() or
                 re.match(r"config\.status$|b(uild.*)?$", name)}
    return left


class Machine:
    """The copy, to run a shell in."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        for name in ("upper", "work", "all"):
            (self.root / name).mkdir()
        self.all = self.root / "all"
        house.command("mount", "-t", "overlay", "-o",
                      f"lowerdir=/,upperdir={self.root}/upper,"
                      f"workdir={self.root}/work", "none", self.all)
        house.command("mount", "-t", "proc", "proc", self.all / "proc")
        house.command("mount", "--rbind", "/dev", self.all / "dev")
        self.clean()

    def clean(self):
        """As if posthaste had never been here."""
        for name in ("etc/posthaste.conf", "etc/posthaste",
                     "var/spool/posthaste", "usr/local", "srv"):
            path = self.all / name
            if path.is_dir():
                shutil.rmtree(path)
            elif path.exists():
                path.unlink()
        for name in ("passwd", "group", "shadow", "gshadow"):
            path = self.all / "etc" / name
            if path.exists():
                mode = path.stat().st_mode
                lines = path.read_text().splitlines(True)
                path.write_text("".join(
                    x for x in lines if not x.startswith("posthaste:")))
                path.chmod(mode)
        for name in ("bin", "sbin", "lib", "share"):
            (self.all / "usr/local" / name).mkdir(parents=True)
        stubs = self.all / "stubs"
        stubs.mkdir()
        for name, text in STUBS.items():
            (stubs / name).write_text("#!/bin/sh\n" + text)
            (stubs / name).chmod(0o755)
        home = self.all / "srv/you"
        home.mkdir(parents=True)
        (home / ".msmtprc").write_text(
            "account default\nhost smtp.example.net\ntls on\n")
        shutil.copytree(house.SOURCE, home / "source", symlinks=True,
                        ignore=not_the_source)
        (home / "source/message").write_text(MESSAGE)

    def run(self, command, typed="", limit=600):
        env = {"PATH": "/stubs:" + house.PATH, "HOME": "/srv/you",
               "LC_ALL": "C", "CFLAGS": "-O0", "MAKEFLAGS": "-s -j2"}
        done = subprocess.run(
            ["chroot", self.all, "sh", "-c", f"cd /srv/you/source; {command}"],
            input=typed.encode(), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=limit, check=False, env=env)
        return done.returncode, done.stdout.decode(errors="replace")


def typed_for(command):
    for name, words in TYPED.items():
        if f"--store-password {name}" in command:
            return words
    return ""


def run_block(machine, block, runner):
    for command in commands(block):
        name = command.splitlines()[0]
        if command.startswith(ELSEWHERE):
            continue
        status, out = machine.run(command, typed_for(command))
        runner.tell(status in status_of(command), name,
                    [f"status {status}", *out[-2000:].splitlines()])
        found = list(exposed(machine.all))
        if found:
            runner.tell(False, f"after {name}: others can read {found}")


def write_configuration(machine, block, paths, runner):
    """A configuration is put where the words before it say; what it names may
    only be made by the commands after it, so faults may tell of nothing
    else."""
    path = paths.pop(0)
    target = machine.all / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(block) + "\n")
    status, out = machine.run(f"posthaste -C /{path} --check")
    faults = [line for line in out.splitlines()
              if line.startswith(f"/{path}:")]
    runner.tell(status in (0, 78) and not [
        line for line in faults if "No such file" not in line],
        f"the configuration for /{path}", out.splitlines())


def inside(root):
    runner = harness.Told()
    machine = Machine(root)
    paths = ["srv/you/.config/posthaste.conf", "etc/posthaste.conf",
             "etc/posthaste.conf"]
    for block in blocks((house.SOURCE / "README").read_text()):
        while block and not block[-1]:
            block.pop()
        if is_configuration(block):
            write_configuration(machine, block, paths, runner)
        else:
            run_block(machine, block, runner)
    left = [name for name in ("usr/local/bin/posthaste", "usr/sbin/sendmail",
                              "usr/local/sbin/sendmail", "var/spool/posthaste")
            if os.path.lexists(machine.all / name)
            and not os.path.lexists(f"/{name}")]
    runner.tell(not left, "nothing is left of it", left)
    return runner.end()


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--inside":
        return inside(sys.argv[2])
    if os.geteuid():
        return harness.skip_all("only root can make such a machine")
    with tempfile.TemporaryDirectory(prefix="readme-") as root:
        return subprocess.run(
            ["unshare", "--mount", "--net", "--pid", "--fork",
             "--propagation", "private", "sh", "-ec",
             'ip link set lo up; mount -t tmpfs none "$1"; '
             'exec "$0" "$2" --inside "$1"', sys.executable, root,
             os.path.abspath(__file__)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
