# SPDX-License-Identifier: GPL-3.0-or-later
"""The command: looks which program is sendmail, has its configuration read,
and shows or writes what comes of it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile

import judge
import write
from files import Files
from model import Report, clean, word
import read_dma
import read_esmtp
import read_exim4
import read_msmtp
import read_nullmailer
import read_opensmtpd
import read_postfix
import read_ssmtp

USAGE = """Turns what sends a machine's mail into a configuration of posthaste.

    adopt [--root DIR] [NAME] [--write]

NAME is msmtp, ssmtp, dma, nullmailer, esmtp, postfix, exim4 or opensmtpd; else
it is the one whose sendmail is installed. DIR stands for / when files are
looked for. The configuration goes to standard output, without a password: each
of them gets a file of its own. What could not be carried over is named on
standard error, with file and line; so is what became safer on the way.

With --write all is written below DIR, with its rights and over nothing that is
there; posthaste --check and --probe are run; and the commands follow that
switch, and those that go back.

Status 0: all was carried over. 1: something was named. 2: nothing was found.
64: usage."""

READERS = {"msmtp": read_msmtp, "ssmtp": read_ssmtp, "dma": read_dma,
           "nullmailer": read_nullmailer, "esmtp": read_esmtp,
           "postfix": read_postfix, "exim4": read_exim4,
           "opensmtpd": read_opensmtpd}
SENDMAILS = ("/usr/sbin/sendmail", "/usr/lib/sendmail", "/usr/bin/sendmail",
             "/usr/local/sbin/sendmail")
# where one lies that had to give way
ASIDE = tuple(f"{path}{end}" for path in SENDMAILS
              for end in (".distrib", ".before", ".orig"))
# what a link to it, its package or a file of its own says of a sendmail
SIGNS = (("msmtp", "msmtp"), ("ssmtp", "ssmtp"), ("nullmailer", "nullmailer"),
         ("esmtp", "esmtp"), ("postfix", "postfix"), ("exim", "exim4"),
         ("smtpctl", "opensmtpd"), ("opensmtpd", "opensmtpd"),
         ("dma", "dma"))
# where mail waits, and what an entry's name is like
QUEUES = {
    "nullmailer": (r".", "nullmailer/queue"),
    "dma": (r"Q", "dma"),
    "exim4": (r".*-H$", "exim4/input"),
    "postfix": (r".", "postfix/maildrop", "postfix/incoming",
                "postfix/active", "postfix/deferred", "postfix/hold"),
    "opensmtpd": (r".", "smtpd/queue", "smtpd/offline"),
}
# what a user's own settings are in, below his home
OWN = {"msmtp": (".msmtprc", ".config/msmtp/config"),
       "esmtp": (".esmtprc",)}
SYSCONFDIR = os.environ.get("SYSCONFDIR", "/etc")


def say(text):
    print(f"adopt: {clean(text)}", file=sys.stderr)


def tell(report):
    for line in report.lines:
        print(f"adopt: {line}", file=sys.stderr)
    if report.more:
        say(f"and {report.more} more")


def sign_of(text):
    for part, peer in SIGNS:
        if re.search(rf"(^|[^a-z]){part}(?![a-z]*conf)", text):
            return peer
    return None


def packages_of(files, path):
    """Debian's packages that have a file."""
    folder = "/var/lib/dpkg/info"
    for name in files.list(folder):
        if name.endswith(".list") and sign_of(name) and \
                path in (files.lines(f"{folder}/{name}") or []):
            yield name[:-5]


def installed(files):
    """Whose sendmail is installed: what the link leads to, else who put the
    file there, as far as that is known."""
    for path in SENDMAILS + ASIDE:
        real = files.real(path)
        here = os.path.join(files.root, path.lstrip("/"))
        if not os.path.lexists(here):
            continue
        steps = [os.readlink(here)] if os.path.islink(here) else []
        steps += [real or ""]
        for step in steps:
            peer = sign_of(os.path.basename(step))
            if peer:
                return peer
        for package in packages_of(files, path):
            return sign_of(package)
    return None


def find(files):
    """The peer, or None; where no sendmail tells, the only one that has a
    configuration."""
    peer = installed(files)
    if peer:
        return peer
    there = [name for name, reader in READERS.items()
             if any(files.exists(p) for p in reader.FILES)]
    if len(there) == 1:
        return there[0]
    if there:
        say("there are configurations of " + ", ".join(there) +
            ", and no sendmail tells which counts: name one")
    return None


# --- posthaste itself ---

def program():
    return os.environ.get("POSTHASTE") or shutil.which("posthaste") or \
        shutil.which("/usr/local/bin/posthaste")


def run(argv, limit):
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=limit,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              check=False)
    except (OSError, subprocess.TimeoutExpired) as why:
        return None, "", f"no answer: {type(why).__name__}"
    return (done.returncode, done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"))


def scratch(result, files, folder):
    """The result once more, with the paths that its files have from here."""
    for number, (path, secret) in enumerate(result.secrets.items()):
        if secret.text:
            write.put(f"{folder}/{number}.password", f"{secret.text}\n",
                      0o600)
    for number, text in enumerate(result.extra.values()):
        write.put(f"{folder}/{number}.extra", text, 0o600)

    def where(path):
        if path in result.secrets:
            number = list(result.secrets).index(path)
            return f"{folder}/{number}.password"
        if path in result.extra:
            return f"{folder}/{list(result.extra).index(path)}.extra"
        return files.real(path) or path

    text = result.text(where)
    write.put(f"{folder}/posthaste.conf", text, 0o600)
    return f"{folder}/posthaste.conf", text.splitlines()


def check(result, files, report, probe):
    """What posthaste finds wrong with the result, named; and with probe,
    what --probe has to say of its first transport."""
    if not program():
        if probe:
            say("posthaste is not installed: the result was not checked")
        return
    with tempfile.TemporaryDirectory() as folder:
        path, lines = scratch(result, files, folder)
        _, _, err = run([program(), "-C", path, "--check"], 60)
        extra = list(result.extra)
        err = re.sub(rf"{re.escape(folder)}/(\d+)\.extra",
                     lambda found: extra[int(found.group(1))], err)
        for line in err.splitlines():
            where = re.match(rf"{re.escape(path)}:(\d+): (.*)", line)
            if where and folder in where.group(2):
                # a password that is still to be stored; that was named
                continue
            if where:
                key = lines[int(where.group(1)) - 1].split("=")[0].strip()
                report.name(word("", result.path, 0), f'posthaste --check, '
                            f'"{key}": {where.group(2)}')
            else:
                report.name(None, f"posthaste --check: {line}")
        if not probe or not any(
                keys and keys[0][1] not in ("direct", "fail", "discard")
                for name, keys in result.plan
                if name.startswith("transport")):
            return
        status, out, err = run([program(), "-C", path, "--probe"], 20)
        for line in (err or out).splitlines():
            say(f"posthaste --probe: {line}")
        say("posthaste --probe: " + ("the relay is as it should be"
                                     if status == 0 else
                                     "look at this before you switch"))


def commands(files):
    """The two that switch, and the two that go back."""
    inside = "" if files.live else f"chroot {files.root} "
    posthaste = next((p for p in ("/usr/bin/posthaste",
                                  "/usr/local/bin/posthaste")
                      if files.exists(p)), "/usr/local/bin/posthaste")
    sendmail = next((p for p in SENDMAILS if os.path.lexists(
        os.path.join(files.root, p.lstrip("/")))), SENDMAILS[0])
    if files.exists("/var/lib/dpkg/status"):
        aside = f"dpkg-divert --local --rename --add {sendmail}"
        back = f"dpkg-divert --local --rename --remove {sendmail}"
    else:
        aside = f"mv {sendmail} {sendmail}.before"
        back = f"mv {sendmail}.before {sendmail}"
    return ([f"{inside}{aside}", f"{inside}ln -s {posthaste} {sendmail}"],
            [f"{inside}rm {sendmail}", f"{inside}{back}"])


def show_commands(files):
    there, back = commands(files)
    print("\n# To switch, and to go back:")
    for text in there + [""] + back:
        print(f"#    {text}".rstrip())


# --- the command ---

def arguments(argv):
    """root, name, whether to write."""
    root, name, writes = "/", None, False
    argv = list(argv)
    while argv:
        now = argv.pop(0)
        if now in ("-h", "--help"):
            print(USAGE)
            sys.exit(0)
        if now == "--write":
            writes = True
        elif now == "--root" and argv:
            root = argv.pop(0)
        elif now.startswith("--root="):
            root = now[7:]
        elif now in READERS and name is None:
            name = now
        else:
            print(USAGE, file=sys.stderr)
            sys.exit(64)
    if not os.path.isdir(root):
        say(f"{root} is no folder")
        sys.exit(64)
    return root, name, writes


def waiting(peer, files, report):
    """Mail that the peer has taken and not sent: nobody else would."""
    pattern, *folders = QUEUES.get(peer, ("",))
    for folder in folders:
        path = f"/var/spool/{folder}"
        if any(re.match(pattern, name)
               for _, _, names in os.walk(files.real(path) or "")
               for name in names):
            report.name(word("", path, 0), "mail waits there, which is not "
                        f"carried over: have {peer} send it first")


def users_own(peer, files, report):
    """Settings of users, by which their mail went."""
    read = next((p for p in READERS[peer].FILES if files.exists(p)), None)
    for path in (f"{home}/{name}" for home in sorted(set(
            files.homes().values())) for name in OWN.get(peer, ())):
        if path != read and files.exists(path):
            report.name(word("", path, 0), "a user's own, whose mail goes as "
                        "the machine's now" + (
                            "; see from-msmtprc" if peer == "msmtp" else ""))


def adopt(peer, files, report):
    """The Result, None where the peer has no configuration."""
    setup = READERS[peer].read(files, report)
    if setup is None:
        return None
    waiting(peer, files, report)
    users_own(peer, files, report)
    sections, extra = judge.sections_of(setup, files)
    return write.Result(peer, sections, extra, SYSCONFDIR)


def main(argv):
    root, name, writes = arguments(argv)
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace")
    files, report = Files(root), Report()
    peer = name or find(files)
    result = adopt(peer, files, report) if peer else None
    if result is None:
        tell(report)
        say(f"no configuration of {peer} below {root}" if peer else
            f"nothing below {root} that sends mail and is known here")
        return 2
    check(result, files, report, writes)
    tell(report)
    sys.stdout.write(result.text())
    if writes:
        sys.stdout.flush()
        try:
            for real in write.write(result, files):
                say(f"written: {real}")
            if result.secrets and not files.users().get("posthaste"):
                say("who runs the machine's queue has to own the passwords: "
                    "once contrib/setup was run, chown posthaste " +
                    " ".join(result.secrets))
        except OSError as why:
            say(f"{why.filename}: {why.strerror}: nothing is written")
            return 1
        show_commands(files)
    return 1 if report.named else 0
