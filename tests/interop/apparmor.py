#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""contrib/apparmor without a kernel that has AppArmor: the parser of AppArmor
compiles it, and what the programs of the shared machine (support/machine.py)
do with files, as strace tells, is held against its rules. Must be root; needs
apparmor and strace. TAP.

TOP_SRCDIR, POSTHASTE, WIRE_SERVER  as for tests/wire/run.py
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
import house  # noqa: E402
import machine  # noqa: E402
from harness import want  # noqa: E402
from machine import (  # noqa: E402
    GIDS, IDS, MESSAGE, PREFIX, PROGRAM, ROOT, Machine, run_as)

PROFILE = house.SOURCE / "contrib/apparmor/usr.sbin.posthaste"
CACHE = PREFIX / "var/cache/posthaste"
LARGE = b"Subject: large\n\n" + (b"y" * 70 + b"\n") * 40000
SESSION = b"EHLO x\r\nMAIL FROM:<alice@example.test>\r\n" \
    b"RCPT TO:<b@example.org>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nQUIT\r\n"
COMMANDS = [
    ("alice", ["-i", "b@example.org"], MESSAGE),
    ("alice", ["-i", "root"], LARGE),
    ("root", ["-i", "b@example.org"], MESSAGE),
    ("alice", ["-bp"], b""), ("root", ["-bp"], b""),
    ("root", ["--check"], b""), ("root", ["--health"], b""),
    ("root", ["--retry", "ALL"], b""), ("alice", ["--hold", "ALL"], b""),
    ("alice", ["--release", "ALL"], b""), ("root", ["--show", "ALL"], b""),
    ("posthaste", ["-q"], b""),
    ("root", ["-odi", "-i", "b@example.org"], MESSAGE),
    ("root", ["-q"], b""), ("root", ["--probe"], b""),
    ("alice", ["--explain", "b@example.org"], b""),
    ("root", ["--store-password", "relay"], b"pencil\n"),
    ("alice", ["--remove", "ALL"], b""), ("alice", ["-bs"], SESSION),
    ("root", ["-q"], b"")]

# --- the profile ---

# what the tunables say, as far as rules here use it
VARIABLES = {
    "PROC": ["/proc/"], "HOME": ["/home/*/", "/root/"], "sys": ["/sys/"],
    "HOMEDIRS": ["/home/"], "multiarch": ["*-linux-gnu*"],
    "run": ["/run/", "/var/run/"], "etc_ro": ["/etc/", "/usr/etc/"],
    "etc_rw": ["/etc/"], "system_share_dirs": ["/usr/share/"]}
RULE = re.compile(r"(?:owner )?(/[^\"]*|@\{[^\"]*|\"[^\"]*\")\s+([a-zA-Z]+)"
                  r"(?: -> \S+)?,")
GLOB = re.compile(r"\*\*|\[[^]]*\]|.")


def expanded(text):
    found = re.search(r"@\{(\w+)\}", text)
    if not found:
        yield text
        return
    for value in VARIABLES.get(found[1], ["[0-9]*"]):
        yield from expanded(re.sub("//+", "/", text[:found.start()] + value +
                                   text[found.end():]))


def pattern(text):
    """A glob of AppArmor's: what stands for a name stands for some letter."""
    out, depth = "", 0
    for part in GLOB.findall(text):
        some = "+" if out.endswith("/") else "*"
        depth += (part == "{") - (part == "}")
        out += {"**": f".{some}", "*": f"[^/]{some}", "?": "[^/]", "{": "(?:",
                "}": ")", ",": "|" if depth else ","}.get(
            part, part if part[0] == "[" else re.escape(part))
    return re.compile(out + r"\Z")


def profiles():
    """{profile: [(pattern, what it permits)]}, includes and all."""
    text = house.command("apparmor_parser", "-Q", "-K", "-p", PROFILE)
    found, now = {}, None
    for line in map(str.strip, text.splitlines()):
        if line.startswith("profile "):
            now = found.setdefault(line.split()[1], [])
        rule = RULE.match(line)
        if rule and now is not None:
            now += [(pattern(path), rule[2])
                    for path in expanded(rule[1].strip(' "'))]
    return found


# --- what is done ---

CALL = re.compile(r"(\d+) +(\w+)\((.*)\) += (\d+)(?:<([^>]*)>)?")
FORK = re.compile(r"(\d+) +(?:<\.\.\. )?(?:v?fork|clone3?)\b.* = (\d+)")
NAME = re.compile(r'(?:(?:AT_FDCWD|\d+)(?:<([^>]*)>)?, )?"([^"]*)"')


def installed(path):
    """Where it would be on a machine that has it installed. Secrets and keys
    are where --store-password and the packages have them."""
    for here, there in (
            (ROOT / "certs", "/etc/posthaste"), (PREFIX / "bin", "/usr/bin"),
            (PREFIX / "libexec", "/usr/libexec/posthaste"),
            (PREFIX / "etc/relay", "/etc/posthaste/relay"),
            (PREFIX / "etc/.relay", "/etc/posthaste/.relay"),
            (PREFIX / "etc", "/etc"), (PREFIX / "var", "/var"),
            (ROOT / "home", "/home"), (ROOT / "log", "/var/log/posthaste")):
        path = re.sub(rf"^{re.escape(str(here))}", there, path)
    return path


def wanted(name, words, opened):
    """(path, permission) of a system call that was permitted."""
    paths = [os.path.normpath(os.path.join(base or "/", path))
             for base, path in NAME.findall(words)]
    if name in ("open", "openat") and "O_PATH" not in words:
        path = "/tmp/#1" if "O_TMPFILE" in words else \
            (opened or paths[0]).removesuffix(" (deleted)")
        path += "/" if os.path.isdir(path) and path != "/" else ""
        if "O_WRONLY" not in words:
            yield path, "r"
        if re.search("O_WRONLY|O_RDWR|O_CREAT", words):
            yield path, "w"
    elif name == "execve":
        yield paths[0], "x"
    elif name.startswith("rename"):
        yield from ((paths[0], "r"), (paths[0], "w"), (paths[1], "w"))
    elif name.startswith("link"):
        yield paths[1], "l"
    elif re.match("unlink|mkdir|chmod|fchmodat|chown|fchownat|truncate", name):
        yield paths[0] + ("/" if name.startswith("mkdir") else ""), "w"
    elif name == "flock" and re.match(r"\d+</", words):
        yield words.partition("<")[2].partition(">")[0], "k"
    elif name == "mmap" and "PROT_EXEC" in words and "</" in words:
        yield words.partition("<")[2].partition(">")[0], "m"
    elif name == "connect" and 'sun_path="' in words:
        yield words.split('sun_path="')[1].partition('"')[0], "w"


def denied(trace, rules):
    """What the profiles have no rule for, of a trace's lines; and how much was
    asked. The first process is the program; what it forks has its profile."""
    profile, asked, bad = {}, 0, set()
    for line in trace.splitlines():
        fork, call = FORK.match(line), CALL.match(line)
        if fork:
            profile[fork[2]] = profile[fork[1]]
        if not call:
            continue
        first = not profile
        now = profile.setdefault(call[1], "posthaste")
        for path, need in () if first else wanted(call[2], call[3], call[5]):
            path, asked = installed(path), asked + 1
            if not any(need in may and rule.match(path)
                       for rule, may in rules[now]):
                bad.add((now, need, path))
            elif need == "x" and path.endswith("/posthaste-drop"):
                profile[call[1]] = "posthaste-drop"
    return bad, asked


# --- the tests ---

def compiles(folder, certificates):
    """All of it, but for what every profile is warned of."""
    done = subprocess.run(
        ["apparmor_parser", "-Q", "-K", "--warn=all", PROFILE],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        check=False, timeout=100)
    said = [line for line in done.stderr.splitlines()
            if not re.search("not enforced|interface file missing", line)]
    want(done.returncode == 0 and not said, done)


def suffices(folder, certificates):
    """Each command's requests have a rule; folders that this machine's prefix
    is below, which a worker looks through, are those of no installed one."""
    rules, total, bad = profiles(), 0, set()
    above = {f"{path}/" for path in (PREFIX, *PREFIX.parents)}
    with Machine(folder, certificates, general=f"aliases = /etc/aliases\n"
                 f"cache = {CACHE}") as relay:
        pathlib.Path("/etc/aliases").write_text("root: admin@example.org\n")
        CACHE.mkdir(parents=True)
        os.chown(CACHE, IDS["posthaste"], GIDS["posthaste"])
        for user, argv, stdin in COMMANDS:
            trace = ROOT / "trace"
            status, _, err = run_as("root", [
                "strace", "-f", "-y", "-qq", "-s", "400", "-o", trace, "-e",
                "trace=%file,%process,flock,connect,mmap", "-u", user,
                PROGRAM, *argv], stdin)
            want(status == 0 or argv == ["--health"], (argv, status, err))
            said, asked = denied(trace.read_text(errors="replace"), rules)
            want(asked > 5, (argv, trace.read_text(errors="replace")))
            bad |= {(" ".join([user, *argv]), *what) for what in said
                    if what[2] not in above}
            total += asked
        want(len(relay.messages()) == 5, relay.messages())
    want(not bad, "\n".join(map(str, sorted(bad))))
    print(f"# {total} requests of {len(COMMANDS)} commands")


def inside():
    house.command("mount", "-t", "tmpfs", "-o", "mode=755,size=600m",
                  "tmpfs", ROOT)
    tempfile.tempdir = str(ROOT)
    os.umask(0o022)
    machine.build(f"{ROOT}/certs")
    return harness.tap([("compiles", compiles), ("suffices", suffices)],
                       workers=1)


def main():
    harness.need_programs()
    if "SHARED_ROOT" in os.environ:
        return inside()
    with tempfile.TemporaryDirectory(prefix="apparmor-") as root:
        return subprocess.call(
            harness.namespace("mount", "pid") + [sys.executable] + sys.argv,
            env={**os.environ, "SHARED_ROOT": root})


if __name__ == "__main__":
    sys.exit(main())
