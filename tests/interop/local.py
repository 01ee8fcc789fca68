#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail that goes to no other host: into a maildir, to a command, to nowhere;
at once, from the queue, and where it fails. TAP."""

import glob
import json
import mailbox
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import want  # noqa: E402

CONFIG = """[general]
hostname = n1.lab.example
domain = lab.example
aliases =
timeout = {timeout}
[log]
to = {folder}/log
format = json
[queue]
queue = {queue}
directory = {folder}/queue
schedule = 0s
[route all]
transport = {way}
[transport box]
kind = maildir
path = {folder}/below/box
[transport other]
kind = maildir
path = {folder}/other
[transport cmd]
kind = command
command = {command}
[transport drop]
kind = discard
[transport dead]
kind = smtp
host = 127.0.0.1
port = 1
no_starttls = yes
"""
LETTER = (b"From: a@x.example\r\nSubject: =?utf-8?q?gr=C3=BCn?=\r\n\r\n"
          b"gr\xc3\xbcn\r\n.\r\n..\r\nFrom here\r\n\r\nlast")
BODY = b"gr\xc3\xbcn\n.\n..\nFrom here\n\nlast\n"


class Place(harness.Place):
    def write(self, way, command="true", queue="never", timeout="1m",
               more=""):
        self.configure(CONFIG.format(
            folder=self.folder, way=way, command=command, queue=queue,
            timeout=timeout) + more)

    def run(self, argv, stdin=LETTER, limits=(), wait=60):
        def restrict():
            for what, most in limits:
                resource.setrlimit(what, (most, most))
        return super().run(*argv, stdin=stdin, limit=wait, before=restrict)

    def mail(self, *argv, **more):
        return self.run(["-i", "-f", "s@x.example", *argv], **more)

    def files(self, box, part="new"):
        return sorted((self.folder / box / part).glob("*"))

    def events(self):
        try:
            text = (self.folder / "log").read_text()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines()]

    def statuses(self):
        return [e["status"] for e in self.events() if "status" in e]


BOX = "below/box"


def silent(found):
    want(found == (0, "", ""), found)


def head_and_body(path):
    head, _, body = path.read_bytes().partition(b"\n\n")
    return head.split(b"\n"), body


def into_maildir(place):
    """a file a recipient, as maildir(5) has it, for its owner alone"""
    place.write("box")
    silent(place.mail("a@y.example", "B@y.example"))
    silent(place.run(["-i", "-f", "<>", "c@y.example"]))
    files = place.files(BOX)
    want(len(files) == 3, files)
    recipients = set()
    for path in files:
        lines, body = head_and_body(path)
        sender = b"" if lines[1].endswith(b"c@y.example") else b"s@x.example"
        want(lines[0] == b"Return-Path: <" + sender + b">", lines)
        want(lines[1].startswith(b"Delivered-To: "), lines)
        recipients.add(lines[1].split()[1])
        want(sum(line.startswith(b"Return-Path:") for line in lines) == 1,
             lines)
        want(body == BODY, body)
        want(path.stat().st_mode & 0o7777 == 0o600, oct(path.stat().st_mode))
        want(":" not in path.name and re.match(r"\d+\.M\d+P\d+R", path.name),
             path.name)
    want(recipients == {b"a@y.example", b"B@y.example", b"c@y.example"},
         recipients)
    for name in ("below", BOX, f"{BOX}/new", f"{BOX}/cur", f"{BOX}/tmp"):
        mode = (place.folder / name).stat().st_mode & 0o7777
        want(mode == 0o700, f"{name}: {oct(mode)}")
    want(not place.files(BOX, "tmp") and not place.files(BOX, "cur"), "tmp")
    want(place.statuses() == ["sent"] * 3, place.events())
    box = mailbox.Maildir(place.folder / BOX, create=False)
    want(len(box) == 3 and all(m.get_subdir() == "new" for m in box), box)


def memory(mebibytes):
    """A limit, where the program's memory is its own."""
    if harness.sanitized():
        return []
    return [(resource.RLIMIT_DATA, mebibytes << 20)]


def maildir_large(place):
    """20 MiB in few megabytes of memory"""
    place.write("box")
    text = b"Subject: x\n\n" + b"0123456789abcdef\n" * 1200000
    found = place.mail("a@y.example", stdin=text, limits=memory(24))
    silent(found)
    path, = place.files(BOX)
    want(head_and_body(path)[1] == text.partition(b"\n\n")[2], "other bytes")


def maildir_full(place):
    """no room: 75, nothing left in tmp or new; or the next in the list"""
    big = LETTER + b"x" * 70 + b"\n" * 200000
    small = [(resource.RLIMIT_FSIZE, 100000)]
    place.write("box")
    status, _, err = place.mail("a@y.example", stdin=big, limits=small)
    want(status == 75 and "the maildir" in err and "large" in err,
         f"{status} {err}")
    want(not place.files(BOX) + place.files(BOX, "tmp"), "files are left")
    (place.folder / "other").write_text("in the way")
    place.write("other")
    status, _, err = place.mail("a@y.example")
    want(status == 75 and "Not a directory" in err, f"{status} {err}")
    place.write("dead other box")
    silent(place.mail("a@y.example"))
    want(len(place.files(BOX)) == 1, "not in the next")


def maildir_slashes(place):
    """a path that ends in slashes, as many write a maildir's"""
    place.write("slashes", more="[transport slashes]\nkind = maildir\n"
                f"path = {place.folder}/below//box//\n")
    silent(place.mail("a@y.example"))
    silent(place.mail("a@y.example"))
    want(len(place.files(BOX)) == 2, place.files(BOX))


def maildir_links(place):
    """what new links to is not written to"""
    (place.folder / BOX).mkdir(parents=True)
    (place.folder / "elsewhere").mkdir()
    os.symlink(place.folder / "elsewhere", place.folder / BOX / "new")
    place.write("box")
    status, _, err = place.mail("a@y.example")
    want(status == 75, f"{status} {err}")
    want(not list((place.folder / "elsewhere").iterdir()), "written")


def mixed(place):
    """one message to a maildir, a command, nowhere and a dead relay"""
    place.write("box", command=f"cat >{place.folder}/got", more="".join(
        f"[route {n}]\nfrom_domain = x.example\nto_domain = {n}.example\n"
        f"transport = {n}\n" for n in ("cmd", "drop", "dead")).replace(
            "from_domain = x.example\n", ""))
    # the first route that matches is the one of all
    text = place.config.read_text()
    first = "[route all]\ntransport = box\n"
    place.config.write_text(text.replace(first, "") + first)
    silent(place.mail("a@box.example", "a@cmd.example", "a@drop.example"))
    want(len(place.files(BOX)) == 1, "maildir")
    lines = (place.folder / "got").read_bytes().split(b"\n")
    want(lines[0] == b"Return-Path: <s@x.example>" and
         b"\r" not in (place.folder / "got").read_bytes(), lines)
    status, _, err = place.mail("a@box.example", "a@dead.example")
    want(status == 69 and "a@dead.example" in err, f"{status} {err}")
    want(len(place.files(BOX)) == 2, "maildir")


def command_environment(place):
    """what it is told, in its environment alone, and nothing else"""
    place.write("cmd", command=f"env >{place.folder}/env; "
                 f"cat /proc/self/status >{place.folder}/status; "
                 "cat >/dev/null")
    place.env["SECRET"] = "x"
    evil = '"$(touch pwned);`touch pwned`\' x"@y.example'
    silent(place.mail(evil))
    got = dict(line.split("=", 1) for line in
               (place.folder / "env").read_text().splitlines())
    # a shell's own
    for name in ("PWD", "SHLVL", "_", "OLDPWD"):
        got.pop(name, None)
    want(set(got) == {"PATH", "HOME", "USER", "LOGNAME", "SENDER",
                      "RECIPIENT", "LOCAL", "DOMAIN"}, got)
    want(got["RECIPIENT"] == evil and got["DOMAIN"] == "y.example" and
         got["LOCAL"] + "@y.example" == evil and
         got["SENDER"] == "s@x.example", got)
    want(not (place.folder / "pwned").exists(), "the shell read an address")
    want("NoNewPrivs:\t0" in (place.folder / "status").read_text(),
         "no-new-privileges")


def command_statuses(place):
    """sysexits are taken as they are, anything else is temporary"""
    for n, wanted in ((0, 0), (64, 64), (65, 65), (67, 67), (68, 68),
                      (69, 69), (73, 73), (75, 75), (77, 77), (78, 78),
                      (1, 75), (99, 75), (127, 75), (255, 75)):
        place.write("cmd", command=f"echo out; echo these words >&2; exit {n}")
        status, out, err = place.mail("a@y.example")
        want(status == wanted and not out, f"{n}: {status} {err}")
        want(n == 0 or ("a@y.example" in err and "these words" in err), err)
    for how in ("kill -9 $$", "kill -TERM $$", "kill -SEGV $$"):
        place.write("cmd", command=how)
        status, _, err = place.mail("a@y.example")
        want(status == 75 and "signal" in err, f"{how}: {status} {err}")
    # with a queue, too, a refusal is one
    for n, wanted in ((70, 70), (76, 76), (77, 77), (78, 78), (71, 0),
                      (73, 0), (74, 0), (99, 0)):
        place.write("cmd", queue="on_failure", command=f"exit {n}")
        status, _, err = place.mail("a@y.example")
        want(status == wanted, f"{n}: {status} {err}")
    # each recipient for himself
    place.write("cmd", command='cat >/dev/null; test "$LOCAL" = good || '
                 'exit 67')
    status, _, err = place.mail("good@y.example", "bad@y.example")
    want(status == 67 and "good@" not in err and "bad@" in err,
         f"{status} {err}")


def alive(pattern):
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            words = pathlib.Path(path).read_bytes().decode("latin-1")
        except OSError:
            continue
        if pattern in words.replace("\0", " "):
            return True
    return False


def gone(pattern):
    harness.eventually(lambda: not alive(pattern), f"the end of {pattern}", 5)


def command_hangs(place):
    """at the deadline all of it is ended: 75"""
    mark = f"{100000 + os.getpid()}.25"
    place.write("cmd", command=f"sleep {mark}; sleep {mark}", timeout="1s")
    begun = time.monotonic()
    status, _, err = place.mail("a@y.example")
    want(status == 75 and "did not end within 1 s" in err, f"{status} {err}")
    want(time.monotonic() - begun < 20, "it took long")
    gone(f"sleep {mark}")


def command_leaves(place):
    """what it leaves behind is neither waited for nor left"""
    mark = f"{100000 + os.getpid()}.5"
    place.write("cmd", command=f"sleep {mark} & cat >/dev/null")
    begun = time.monotonic()
    silent(place.mail("a@y.example"))
    want(time.monotonic() - begun < 20, "it took long")
    gone(f"sleep {mark}")


def command_cut_off(place):
    """a signal for us ends it, too"""
    mark = f"{100000 + os.getpid()}.75"
    place.write("cmd", command=f"sleep {mark}; sleep {mark}")
    child = place.start("-i", "a@y.example", stderr=subprocess.DEVNULL)
    child.stdin.write(LETTER)
    child.stdin.close()
    harness.eventually(lambda: alive(f"sleep {mark}"), "the command")
    child.send_signal(signal.SIGTERM)
    child.wait(20)
    gone(f"sleep {mark}")


def command_talks(place):
    """a gigabyte of output in bounded memory; its last words are shown"""
    place.write("cmd", command="head -c 1000000000 /dev/zero; "
                 "echo; echo the last words; exit 69")
    status, out, err = place.mail(
        "a@y.example", limits=memory(64), wait=300)
    want(status == 69 and "the last words" in err and len(err) < 2000 and
         not out, f"{status} {err[:300]}")
    place.write("cmd", command="printf 'a\\033[2Jb\\n'; exit 69")
    status, _, err = place.mail("a@y.example")
    want(status == 69 and "\033" not in err, f"{status} {err!r}")
    # one that reads nothing of a large message
    place.write("cmd", command="exit 0")
    silent(place.mail("a@y.example", stdin=b"\n" + b"x\n" * 2000000))


def from_queue(place):
    """queued first; a temporary failure waits, a final one is reported"""
    place.write("box", queue="always")
    silent(place.mail("-odq", "a@y.example"))
    want(not (place.folder / BOX).exists(), "delivered at once")
    status, _, err = place.run(["-q"], b"")
    want(status == 0 and len(place.files(BOX)) == 1, f"{status} {err}")
    place.write("cmd", queue="on_failure", command="exit 75")
    silent(place.mail("b@y.example"))
    want("deferred" in place.statuses(), place.events())
    text = place.config.read_text()
    place.config.write_text(text.replace(
        "command = exit 75", "command = echo no such user; exit 67")
        + "[route reports]\nfrom_domain = .\ntransport = box\n")
    text = place.config.read_text()
    place.config.write_text(text.replace(
        "[route all]\n", "[route all]\nfrom_domain = x.example\n"))
    # a run in the background may have it in hand, by the old file
    for _ in range(200):
        status, _, err = place.run(["-q"], b"")
        want(status == 0, f"{status} {err}")
        reports = [p for p in place.files(BOX)
                   if b"Delivered-To: s@x.example" in p.read_bytes()]
        if reports:
            break
        time.sleep(0.05)
    want(len(reports) == 1, place.events())
    report = reports[0].read_bytes()
    want(b"Status: 5.1.1" in report and b"no such user" in report and
         report.startswith(b"Return-Path: <>\n"), report)
    status, out, _ = place.run(["-bp"], b"")
    want("empty" in out, out)


def reports(place):
    """--check, --explain and --probe"""
    place.write("box", more="")
    status, out, err = place.run(["--check"], b"")
    want(status == 0 and "path = " in out and "command = true" in out,
         f"{status} {out} {err}")
    (place.folder / "below").write_text("")
    status, out, err = place.run(["--check"], b"")
    want(status == 78 and "path: " in err, f"{status} {err}")
    (place.folder / "below").unlink()
    status, out, err = place.run(["--explain", "--json", "a@y.example"], b"")
    row, = json.loads(out)
    want(row["kind"] == "maildir" and row["hosts"] == [] and
         row["tls"] == "none" and "below/box" in row["why"], row)
    for name in ("box", "cmd", "drop"):
        status, out, err = place.run(["--probe", name], b"")
        want(status == 69 and "connects to nothing" in err,
             f"{name}: {status} {err}")
    place.write("drop")
    silent(place.mail("a@y.example"))
    event, = [e for e in place.events() if e.get("transport") == "drop"]
    want(event["status"] == "sent" and "discarded" in event["text"], event)
    status, out, err = place.run(["--dry-run", "-i", "a@y.example"])
    want(status == 0 and "kind discard" in out, f"{status} {out} {err}")


def main():
    tests = [(test.__doc__, lambda folder, certificates, test=test:
              test(Place(folder))) for test in (
        into_maildir, maildir_large, maildir_full, maildir_slashes,
        maildir_links, mixed,
        command_environment, command_statuses, command_hangs, command_leaves,
        command_cut_off, command_talks, from_queue, reports)]
    return harness.tap(tests)


if __name__ == "__main__":
    sys.exit(main())
