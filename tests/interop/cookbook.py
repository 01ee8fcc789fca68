#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""posthaste-cookbook(7) and sendmail(8): every block of theirs says in a
comment before it what it is, and is tried. A configuration passes --check and
is what the commands after it are run with; a command ends with one of the
statuses that its comment names. There is no network. TAP."""

import os
import pathlib
import re
import shlex
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../examples"))
import harness  # noqa: E402
from adopt_cases import SMALL  # noqa: E402
from adopt_cases_servers import SERVERS  # noqa: E402
from harness import want  # noqa: E402

TOP = pathlib.Path(os.environ.get(
    "TOP_SRCDIR", pathlib.Path(__file__).resolve().parents[2])).resolve()
FIRST = """[route all]
transport = relay
[transport relay]
kind = smtp
host = relay.example.org
"""
KINDS = {"configuration", "run", "unit", "php", "environment", "shown"}
STUBS = {"systemctl": "exit 0", "pass": "echo secret", "oama": "echo token"}


def plain(line):
    """A line of mdoc as a reader sees it."""
    return line.replace("\\e", "\\").replace("\\&", "")


def blocks(page):
    """(heading, kind, words after it, lines) of each literal block; kind is
    None where nothing says it."""
    heading, tag, now = "", None, None
    for line in page.splitlines():
        if line == ".Ed" and now is not None:
            yield now
            now, tag = None, None
        elif now is not None:
            now[3].append(plain(line))
        elif line.startswith(".Bd"):
            words = tag.split() if tag else [None]
            now = (heading, words[0], words[1:], [])
        elif line.startswith('.\\" '):
            tag = line[4:]
        elif line.startswith((".Sh ", ".Ss ")):
            heading = line[4:]
            tag = None
        elif line.startswith(".Dl"):
            yield (heading, None, [], [line])
        else:
            tag = None


class House:
    """A folder in which the commands find what they name."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.conf = self.folder / "conf"
        for name in ("bin", "real", "home", "tmp", "etc/posthaste",
                     "source/contrib", "credentials", "queue/tmp",
                     "queue/mess", "queue/corrupt", "queue/wake"):
            (self.folder / name).mkdir(parents=True, mode=0o700)
        for name in ("posthaste", "sendmail", "mailq", "newaliases"):
            (self.folder / "real" / name).symlink_to(harness.POSTHASTE)
            self.script(f"bin/{name}", f'exec {self.folder}/real/{name} '
                        f'-C {self.conf} "$@"')
        for name, text in STUBS.items():
            self.script(f"bin/{name}", text)
        secret = self.folder / "credentials/relay"
        secret.touch(0o600)
        secret.write_text("secret\n", encoding="utf-8")
        self.machines()
        self.configure(FIRST)

    def script(self, name, text):
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)

    def machines(self):
        """One for each peer, for contrib/adopt to look at."""
        for case in reversed(SMALL + SERVERS):
            for path, text in case.files.items():
                if isinstance(text, pathlib.PurePath):
                    continue
                place = self.folder / "peers" / case.peer / path.lstrip("/")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(text if isinstance(text, bytes)
                                  else text.encode())
        self.script("source/contrib/adopt", f"""root={self.folder}/peers/ssmtp
for word; do [ ! -d {self.folder}/peers/$word ] || \
root={self.folder}/peers/$word; done
exec {TOP}/contrib/adopt "$@" --root $root""")

    def here(self, text):
        return text.replace("/etc/posthaste/",
                            f"{self.folder}/etc/posthaste/")

    def configure(self, text):
        self.conf.write_text(
            self.here(text) + "\n[queue]\n"
            f"directory = {self.folder}/queue\n[log]\nto = none\n",
            encoding="utf-8")

    def run(self, command, stdin="", more=None):
        env = {"PATH": f"{self.folder}/bin:{harness.PATH}", "LC_ALL": "C",
               "HOME": f"{self.folder}/home", "TMPDIR": f"{self.folder}/tmp",
               "CREDENTIALS_DIRECTORY": f"{self.folder}/credentials",
               "POSTHASTE": harness.POSTHASTE, **(more or {})}
        done = subprocess.run(
            ["/bin/sh", "-c", self.here(command)], input=stdin.encode(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
            cwd=f"{self.folder}/source", timeout=120, check=False)
        return done.returncode, done.stdout.decode(errors="replace")


def configuration(house, words, lines):
    del words
    house.configure("\n".join(lines))
    _, out = house.run("posthaste --check 2>&1 >/dev/null")
    faults = [line for line in out.splitlines()
              if not re.search(r"password: No such file", line)]
    want(not faults, "\n".join(faults + lines))


def run(house, words, lines):
    good = {int(word) for word in words} or {0}
    for line in lines:
        want(line[:2] in ("$ ", "# "), f"no command: {line}")
        status, out = house.run(line[2:], "correct horse\n"
                                if "--store-password" in line else "")
        want(status in good, f"{line}: {status}\n{out}")


def unit(house, words, lines):
    del words
    path = house.folder / "cookbook.service"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    status, out = house.run(f"systemd-analyze verify --man=no {path}")
    want(status == 0 and "Unknown" not in out, out)


def php(house, words, lines):
    del words
    argv = shlex.split(re.fullmatch(r'sendmail_path = "(.*)"', lines[0])[1])
    argv[0] = os.path.basename(argv[0])
    status, out = house.run(shlex.join(argv),
                            "To: joe@example.net\nSubject: s\n\nhi\n")
    want(status == 0 and not out, f"{argv}: {status} {out}")


def environment(house, words, lines):
    del words
    given = dict(line.split("=", 1) for line in lines)
    want(set(given) == {"POSTHASTE_URL", "POSTHASTE_PASSWORD_FILE",
                        "POSTHASTE_FROM"}, str(given))
    given["POSTHASTE_PASSWORD_FILE"] = f"{house.folder}/credentials/relay"
    # the program that finds no configuration of this machine's
    status, out = house.run(
        f"{os.environ['TOP_BUILDDIR']}/tests/posthaste --check",
        more=given)
    want(status == 0 and "kind = submissions" in out and
         "from = app@example.org" in out, f"{status} {out}")


def shown(house, words, lines):
    del house, words, lines


def tests_of(page):
    text = (TOP / "man" / page).read_text(encoding="utf-8")
    found = list(blocks(text))
    tests = []

    def whole(folder, _):
        """One after the other: commands use what stood before them."""
        house, said = House(folder), []
        for heading, kind, words, lines in found:
            try:
                want(kind in KINDS and lines, f"a block that says not what "
                     f"it is: {kind}")
                globals()[kind](house, words, lines)
            except harness.Failure as why:
                said.append(f"{heading}: {lines[0]}: {why}")
        want(not said, "\n".join(said))

    tests.append((f"{page}: {len(found)} blocks do what they say", whole))
    return tests, found


def main():
    harness.enter("net", "pid", "mount", programs=("ip",))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=30)
    os.environ.setdefault("TOP_BUILDDIR", os.getcwd())
    cookbook, found = tests_of("posthaste-cookbook.7")
    sendmail, more = tests_of("sendmail.8")

    def complete(_, __):
        """Everything that was promised has its section."""
        headings = {heading for heading, *_ in found + more}
        for heading in ("ROOT'S MAIL TO A PHONE", "PHP", "CONTAINERS",
                        "HARDENED UNITS", "A LAPTOP", "MICROSOFT 365",
                        "GMAIL", "STAGING", "A MONITORED QUEUE",
                        "Two relays", "Hosts that DNS names",
                        "When one machine is no longer enough", "Postfix",
                        "Exim", "STATUS 75", *(
                            f"Coming from {peer}" for peer in (
                                "ssmtp", "dma", "nullmailer", "Postfix",
                                "Exim", "msmtp"))):
            want(heading in headings, f"{heading}: {sorted(headings)}")

    return harness.tap(cookbook + sendmail + [
        ("each section has what can be tried", complete)])


if __name__ == "__main__":
    sys.exit(main())
