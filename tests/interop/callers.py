#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that call sendmail, run for real with ours in its place, and the
shapes of those that cannot be: envelope and bytes, and not a word on
standard output or error."""

import os
import pathlib
import quopri
import pwd
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import interop  # noqa: E402
from interop import harness, want  # noqa: E402

LOGIN = pwd.getpwuid(os.getuid()).pw_name
HERE = f"{LOGIN}@example.test"
SCRIPT = "extension CHUNKING\n"
CONFIG = """[general]
hostname = client.example.test
domain = example.test
[queue]
queue = never
[log]
to = {folder}/log
[route all]
transport = relay
[transport relay]
kind = smtp
host = 127.0.0.1
port = {port}
no_starttls = yes
"""
# what a caller is given as sendmail: ours, which notes how it was called
WRAPPER = """#!/bin/sh
for word; do printf '%s\\n' "$word"; done >'{folder}/argv'
exec '{folder}/bin/sendmail' "$@" 2>'{folder}/said.err' >'{folder}/said.out'
"""


class Desk:
    """A place where a caller finds our sendmail, and what came through."""

    def __init__(self, folder, certificates):
        self.folder = folder
        self.server = harness.Server(folder, 1, SCRIPT, certificates, 120)
        os.makedirs(f"{folder}/bin")
        os.makedirs(f"{folder}/home/.config", exist_ok=True)
        for name in ("sendmail", "mailq"):
            os.symlink(harness.POSTHASTE, f"{folder}/bin/{name}")
        self.config = f"{folder}/home/.config/posthaste.conf"
        pathlib.Path(self.config).write_text(
            CONFIG.format(folder=folder, port=self.server.port))
        os.chmod(self.config, 0o600)
        self.program = f"{folder}/bin/sendmail"
        self.wrapper = f"{folder}/sendmail"
        pathlib.Path(self.wrapper).write_text(WRAPPER.format(folder=folder))
        os.chmod(self.wrapper, 0o755)
        self.events = None

    def environment(self, extra=()):
        return interop.peer_environment(self.folder, "", extra)

    def run(self, argv, stdin=b"", peer=True, env=(), limit=60, cwd=None):
        """Runs a caller; what it printed."""
        argv = ([interop.PEERS, "run", "callers"] if peer else []) + argv
        child = subprocess.run(
            argv, input=stdin, env=self.environment(env), timeout=limit,
            capture_output=True, cwd=cwd or self.folder)
        want(child.returncode == 0,
             f"{argv[0]}: status {child.returncode}: "
             f"{(child.stdout + child.stderr).decode('latin-1')}\n"
             f"{self.said()}\n{interop.log(self.folder)}")
        return child.stdout + child.stderr

    def said(self):
        return b"".join(p.read_bytes() for p in
                        pathlib.Path(self.folder).glob("said.*"))

    def argv(self):
        return pathlib.Path(self.folder, "argv").read_text().splitlines()

    def stop(self):
        if self.events is None:
            self.events = self.server.stop()

    def messages(self):
        return [e for e in self.events if e["event"] == "message" and
                e["accepted"]]

    def arrived(self, sender, recipients):
        """The bytes of the one message that came, with this envelope."""
        self.stop()
        audits = [e["what"] for e in self.events if e["event"] == "audit"]
        want(not audits, f"the server noted {audits}")
        seen = [(m["from"], sorted(m["to"])) for m in self.messages()]
        want(seen == [(sender, sorted(recipients))], f"envelopes {seen}")
        want(not self.said(), f"sendmail said {self.said()}")
        return self.server.message(self.messages()[0])


def caller(function):
    """A test that gets a desk of its own."""
    def test(certificates, folder):
        desk = Desk(folder, certificates)
        try:
            function(desk)
        finally:
            desk.stop()
    test.__doc__ = function.__doc__
    return test


def has(message, *texts):
    for text in texts:
        want(text.encode() in message, f"{text!r} is not in {message}")


def field(message, name):
    found = re.findall(rb"(?mi)^" + name.encode() + rb": *(.*)\r$",
                       message.partition(b"\r\n\r\n")[0] + b"\r\n")
    want(len(found) == 1, f"{name}: {found} in {message}")
    return found[0].decode()


def body(message):
    return message.partition(b"\r\n\r\n")[2]


# --- real programs ---

PHP = r"""
$sent = mail("Anna <a@example.org>, c@example.org", "Gr\u{fc}\u{df}e aus PHP",
    "one\r\n.\r\ntwo\nthree", "From: Web <web@example.test>\r\n" .
    "Cc: d@example.org\r\nBcc: hidden@example.org\r\n" .
    "X-Own: yes\r\n", "-fbounce@example.test -ODeliveryMode=b");
exit($sent ? 0 : 1);
"""


def php_program():
    """Its name has its version in it."""
    peers = os.environ.get("POSTHASTE_PEERS", "/var/cache/posthaste-peers")
    found = sorted(path.name for path in pathlib.Path(
        peers, "callers/usr/bin").glob("php[0-9]*"))
    want(found, f"no PHP in {peers}")
    return found[-1]


@caller
def php(desk):
    """PHP's mail() with additional parameters, CRLF in its header"""
    said = desk.run([php_program(), "-n", "-d",
                     f"sendmail_path={desk.wrapper} -t -i", "-r", PHP])
    want(not said, f"PHP said {said}")
    message = desk.arrived(
        "bounce@example.test", ["a@example.org", "c@example.org",
                                "d@example.org", "hidden@example.org"])
    want(field(message, "To") == "Anna <a@example.org>, c@example.org" and
         field(message, "From") == "Web <web@example.test>" and
         field(message, "X-Own") == "yes", f"header of {message}")
    want(b"hidden" not in message, "Bcc was shown")
    want("Gr\u00fc\u00dfe aus PHP".encode() in message, "subject")
    want(body(message) == b"one\r\n.\r\ntwo\r\nthree\r\n",
         f"body {body(message)}")
    want("-fbounce@example.test" in desk.argv(), f"argv {desk.argv()}")


@caller
def php_refused(desk):
    """PHP's mail() of what is refused: false, in words in its log"""
    script = 'exit(mail("nouser@example.org", "s", "b") ? 0 : 3);'
    argv = [interop.PEERS, "run", "callers", php_program(), "-n", "-d",
            f"sendmail_path={desk.program} -t -i", "-r", script]
    child = subprocess.run(argv, env=desk.environment(), timeout=60,
                           stdin=subprocess.DEVNULL, capture_output=True,
                           cwd=desk.folder)
    want(child.returncode == 3, f"status {child.returncode}")
    want(b"posthaste: nouser@example.org: refused by" in child.stderr,
         f"it said {child.stderr}")


CRONTAB = """MAILTO=ops@example.test,{login}
HOME={folder}/home
XDG_CONFIG_HOME={folder}/home/.config
SHELL=/bin/sh
@reboot printf 'line\\n.\\ngr\\303\\274n\\n'
"""
# Debian's cron calls /usr/sbin/sendmail whatever it is told. Its @reboot
# jobs run at once where no cron has run since /run was made.
CRON = """
install -d -m 1730 /var/spool/cron/crontabs
install -m 600 "$PEER_SCRATCH/crontab" /var/spool/cron/crontabs/{login}
mkdir "$PEER_SCRATCH/none"
for place in /etc/cron.d /etc/cron.daily /etc/cron.hourly; do
	[ ! -d $place ] || mount --bind "$PEER_SCRATCH/none" $place
done
[ ! -e /etc/crontab ] || mount --bind /dev/null /etc/crontab
mount --bind "$PEER_SCRATCH/bin/binary" /usr/sbin/sendmail
"""


@caller
def cron(desk):
    """Debian's cron: a job's output, to a list with a bare name"""
    folder = desk.folder
    harness.copy_program(harness.POSTHASTE, f"{folder}/bin/binary")
    os.makedirs(f"{folder}/usr/sbin")
    pathlib.Path(folder, "usr/sbin/sendmail").write_text("")
    pathlib.Path(folder, "crontab").write_text(
        CRONTAB.format(folder=folder, login=LOGIN))
    daemon = interop.Peer("callers", ["/usr/sbin/cron", "-f", "-L", "15"],
                          folder, CRON.format(login=LOGIN))
    try:
        harness.eventually(
            lambda: pathlib.Path(folder, "server1.message-1").exists() or
            list(pathlib.Path(folder).glob("server1.message-*")),
            f"mail of cron ({daemon.words()})", 75)
        harness.eventually(lambda: "status=" in interop.log(folder),
                           "a line in the log")
    finally:
        daemon.stop()
    message = desk.arrived(f"{LOGIN}@example.test",
                           ["ops@example.test", f"{LOGIN}@example.test"])
    want(field(message, "From") ==
         f"{LOGIN}@example.test (Cron Daemon)", f"From in {message}")
    has(message, f"Subject: Cron <{LOGIN}@", "printf 'line", "X-Cron-Env: <")
    text = body(message)
    # newer ones encode what is not ASCII themselves
    if b"\r\nContent-Transfer-Encoding: quoted-printable\r\n" in message:
        text = quopri.decodestring(text)
    want(text == "line\r\n.\r\ngr\u00fcn\r\n".encode(), f"body {text}")
    want(not daemon.words(),
         f"printed {daemon.words()}")


def git_environment():
    env = {"GIT_CONFIG_GLOBAL": "/dev/null",
           "GIT_CONFIG_SYSTEM": "/dev/null"}
    for name in ("AUTHOR", "COMMITTER"):
        env[f"GIT_{name}_NAME"] = "J\u00fcrgen Author"
        env[f"GIT_{name}_EMAIL"] = "author@example.test"
    return env


@caller
def git(desk):
    """git send-email: a patch with folded lists"""
    tree = f"{desk.folder}/tree"
    os.mkdir(tree)
    env = git_environment()
    pathlib.Path(tree, "file").write_text("text\n")
    for words in (["init", "-q"], ["add", "file"],
                  ["commit", "-q", "-m", "Add a file"]):
        desk.run(["git", *words], env=env, cwd=tree)
    desk.run(["git", "send-email", "--quiet", "--confirm=never",
              "--from=author@example.test",
              "--to=list@example.org", "--to=Two <two@example.org>",
              "--cc=three@example.org", "--bcc=four@example.org",
              f"--sendmail-cmd={desk.wrapper}", "-1"], env=env, cwd=tree)
    message = desk.arrived(
        HERE,
        ["list@example.org", "two@example.org", "three@example.org",
         "four@example.org", "author@example.test"])
    has(message, "Subject: [PATCH] Add a file\r\n", "\r\n+text\r\n",
        "To: list@example.org,\r\n\tTwo <two@example.org>\r\n")
    want(b"four@" not in message, "Bcc was shown")
    want("-i" in desk.argv(), f"argv {desk.argv()}")


@caller
def git_path(desk):
    """git send-email with sendmail's path as its server"""
    tree = f"{desk.folder}/tree"
    os.mkdir(tree)
    patch = pathlib.Path(tree, "0001.patch")
    patch.write_text(
        "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00"
        " 2001\nFrom: Author <author@example.test>\n"
        "Date: Mon, 1 Jan 2024 00:00:00 +0000\nSubject: [PATCH] x\n\nbody\n"
        ".\n---\n f | 1 +\n")
    desk.run(["git", "send-email", "--quiet", "--confirm=never",
              "--suppress-cc=all", "--from=Author <author@example.test>",
              "--envelope-sender=bounce@example.test",
              "--to=list@example.org", f"--smtp-server={desk.wrapper}",
              str(patch)],
             env=git_environment(), cwd=tree)
    message = desk.arrived("bounce@example.test", ["list@example.org"])
    has(message, "\r\n\r\nbody\r\n.\r\n---\r\n")


@caller
def mutt(desk):
    """mutt -x with attachments of its own making, DSN and envelope"""
    rc = pathlib.Path(desk.folder, "muttrc")
    rc.write_text(f"""set sendmail="{desk.wrapper} -oem -oi"
set from="Me <me@example.test>"
set use_envelope_from=yes
set envelope_from_address="back@example.test"
set dsn_notify="failure,delay"
set dsn_return=hdrs
set use_8bitmime=yes
set copy=no
set record=""
set charset=utf-8
set send_charset=utf-8
""")
    said = desk.run(
        ["mutt", "-n", "-F", str(rc), "-s", "gr\u00fc\u00dfe", "-c",
         "c@example.org", "-b", "hidden@example.org", "--",
         "b@example.org"], "a\n.\ngr\u00fcn\n".encode(),
        env={"LC_ALL": "C.UTF-8", "TERM": "dumb"})
    want(not said, f"mutt said {said}")
    message = desk.arrived("back@example.test", [
        "b@example.org", "c@example.org", "hidden@example.org"])
    want(b"hidden" not in message, "Bcc was shown")
    want(body(message) == "a\r\n.\r\ngr\u00fcn\r\n".encode(),
         f"body {body(message)}")
    event = desk.messages()[0]
    want("RET=HDRS" in event["params"] and "8BITMIME" in event["params"],
         f"MAIL's parameters {event['params']}")
    want(all("NOTIFY=FAILURE,DELAY" in p for p in event["to_params"]),
         f"RCPT's parameters {event['to_params']}")


@caller
def s_nail(desk):
    """s-nail, with its own -r and lists"""
    said = desk.run(
        ["s-nail", "-:/", "-S", "v15-compat=yes", "-S",
         f"mta={desk.wrapper}", "-S", "sendwait", "-r",
         "me@example.test", "-s", "subject", "-c", "c@example.org", "-b",
         "hidden@example.org", "b@example.org"], b"a\n.\nb\n")
    want(not said, f"s-nail said {said}")
    message = desk.arrived("me@example.test", [
        "b@example.org", "c@example.org", "hidden@example.org"])
    want(field(message, "Subject") == "subject", f"header of {message}")
    want(b"hidden" not in message, "Bcc was shown")
    want(body(message).startswith(b"a\r\n.\r\nb\r\n"),
         f"body {body(message)}")


PYTHON = """
import email.message, subprocess, sys
m = email.message.EmailMessage()
m["From"] = "Me <me@example.test>"
m["To"] = "b@example.org"
m["Bcc"] = "hidden@example.org"
m["Subject"] = "gr\\u00fc\\u00dfe"
m.set_content("a\\n.\\ngr\\u00fcn\\n")
subprocess.run([sys.argv[1], "-t", "-oi"], input=m.as_bytes(), check=True)
"""


@caller
def python(desk):
    """Python: email and subprocess"""
    said = desk.run([sys.executable, "-c", PYTHON, desk.program], peer=False)
    want(not said, f"it said {said}")
    message = desk.arrived(f"{LOGIN}@example.test",
                           ["b@example.org", "hidden@example.org"])
    want(b"hidden" not in message, "Bcc was shown")
    has(message, "Content-Transfer-Encoding: 8bit\r\n")
    want(body(message) == "a\r\n.\r\ngr\u00fcn\r\n".encode(),
         f"body {body(message)}")


# --- shapes ---

def exec_shape(desk, argv, stdin, closed=False, env=None, to_file=False,
               name=None, cwd="/"):
    """As such a caller would do it; it must be silent and successful."""
    env = desk.environment() if env is None else env
    source = subprocess.PIPE
    if to_file:  # anacron and mutt: an unlinked file, rewound
        path = pathlib.Path(desk.folder, "stdin")
        path.write_bytes(stdin)
        source = open(path, "rb")
        path.unlink()

    def quiet():
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.setsid()

    child = subprocess.Popen(
        [name or desk.program] + argv, executable=desk.program,
        stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=env, cwd=cwd, preexec_fn=quiet if closed else None)
    out, err = child.communicate(None if to_file else stdin, timeout=60)
    if to_file:
        source.close()
    want(child.returncode == 0, f"status {child.returncode}: {err}"
         f"\n{interop.log(desk.folder)}")
    want(not out and not err, f"printed {out + err}")


def shape(title, argv, stdin, sender, recipients, wanted, **how):
    """A test of one argv: bytes in, envelope and bytes out. The wanted bytes
    are those behind the fields that are added in front."""
    def test(desk):
        words = [w.replace("%FOLDER%", desk.folder) for w in argv]
        options = dict(how)
        if "env" in options:
            options["env"] = {
                k: v.replace("%FOLDER%", desk.folder)
                for k, v in options["env"].items()}
        exec_shape(desk, words, stdin, **options)
        message = desk.arrived(sender, recipients)
        kept = stripped(message, wanted)
        want(kept == wanted, f"the message is {kept}, not {wanted}")
    test.__doc__ = title
    return caller(test)


def stripped(message, wanted):
    """Less the fields that are always added where they lack."""
    header, _, rest = message.partition(b"\r\n\r\n")
    names = {line.split(b":")[0].lower()
             for line in wanted.partition(b"\r\n\r\n")[0].split(b"\r\n")}
    lines = [line for line in header.split(b"\r\n")
             if line.split(b":")[0].lower() in names or
             line.split(b":")[0].lower() not in
             (b"date", b"message-id", b"from")]
    return b"\r\n".join(lines) + b"\r\n\r\n" + rest


def crlf(text):
    return text.replace("\n", "\r\n").encode()


SUDO = """To: root
From: joe
Auto-Submitted: %s
Subject: *** SECURITY information for host ***

host : Jan  1 00:00:00 : joe : user NOT in sudoers ; PWD=/ ; COMMAND=/bin/x

"""
SHAPES = [
    shape("mdadm --monitor: -t, no -i, a lone dot ends it", ["-t"],
          b"From: mdadm monitoring <root>\nTo: root\n"
          b"Subject: Fail event on /dev/md0:host\n\nThis is an automatically "
          b"generated\nmail message\n.\n",
          HERE, ["root@example.test"],
          crlf("From: mdadm monitoring <root@example.test>\n"
               "To: root@example.test\n"
               "Subject: Fail event on /dev/md0:host\n\n"
               "This is an automatically generated\nmail message\n")),
    shape("sudo: almost no environment, descriptors on /dev/null", ["-t"],
          (SUDO % "auto-generated").encode(), HERE, ["root@example.test"],
          crlf((SUDO % "auto-generated").replace(
              "To: root\nFrom: joe\n",
              "To: root@example.test\nFrom: joe@example.test\n")),
          closed=True, name="sendmail",
          env={"HOME": "%FOLDER%/home", "PATH": "/usr/bin:/bin",
               "LOGNAME": LOGIN, "USER": LOGIN}),
    shape("anacron: standard input is a file, operand only",
          ["-FAnacron", "-odi", "root"],
          b"From: Anacron <root>\nTo: root\nContent-Type: text/plain; "
          b'charset="ANSI_X3.4-1968"\nSubject: Anacron job\n\noutput\n',
          HERE, ["root@example.test"],
          crlf("From: Anacron <root@example.test>\nTo: root@example.test\n"
               'Content-Type: text/plain; charset="ANSI_X3.4-1968"\n'
               "Subject: Anacron job\n\noutput\n"),
          to_file=True, name="/usr/sbin/sendmail"),
    shape("fail2ban: a bare sender, -f before the operand",
          ["-f", "fail2ban", "admin@example.org"],
          b"Subject: [Fail2Ban] sshd: banned 192.0.2.7\n"
          b"Date: Mon, 01 Jan 2024 00:00:00 +0000\nFrom: Fail2Ban "
          b"<fail2ban>\nTo: admin@example.org\n\nHi,\n\nThe IP was banned\n",
          "fail2ban@example.test", ["admin@example.org"],
          crlf("Subject: [Fail2Ban] sshd: banned 192.0.2.7\n"
               "Date: Mon, 01 Jan 2024 00:00:00 +0000\nFrom: Fail2Ban "
               "<fail2ban@example.test>\nTo: admin@example.org\n\nHi,\n\n"
               "The IP was banned\n")),
    shape("logwatch: a To line for each recipient", ["-t"],
          b"To: root\nTo: ops@example.org\nFrom: Logwatch\n"
          b"Subject: Logwatch for host\nMIME-Version: 1.0\n\n report\n",
          HERE, ["root@example.test", "ops@example.org"],
          crlf("To: root@example.test\nTo: ops@example.org\n"
               "From: Logwatch@example.test\nSubject: Logwatch for host\n"
               "MIME-Version: 1.0\n\n report\n")),
    shape("nodemailer: CRLF, Bcc kept in the header",
          ["-i", "-f", "me@example.test", "b@example.org",
           "hidden@example.org"],
          b"From: me@example.test\r\nTo: b@example.org\r\n"
          b"Bcc: hidden@example.org\r\nSubject: s\r\n"
          b"Content-Type: text/plain; charset=utf-8\r\n\r\na\r\n.\r\nb\r\n",
          "me@example.test", ["b@example.org", "hidden@example.org"],
          b"From: me@example.test\r\nTo: b@example.org\r\nSubject: s\r\n"
          b"Content-Type: text/plain; charset=utf-8\r\n\r\na\r\n.\r\nb\r\n"),
    shape("Symfony's -t mode: -f and quoted operands",
          ["-i", "-fme@example.test", "b@example.org"],
          b"From: me@example.test\nTo: b@example.org\nSubject: s\n\na\n.\n",
          "me@example.test", ["b@example.org"],
          crlf("From: me@example.test\nTo: b@example.org\nSubject: s\n\n"
               "a\n.\n")),
    shape("cronie: -t and a bare name in -f",
          ["-FCronDaemon", "-i", "-odi", "-oem", "-oi", "-t", "-f", LOGIN],
          f'From: "(Cron Daemon)" <{LOGIN}>\nTo: {LOGIN}\nSubject: Cron\n'
          "Auto-Submitted: auto-generated\n\nout\n.\n".encode(),
          HERE, [HERE],
          crlf(f'From: "(Cron Daemon)" <{HERE}>\nTo: {HERE}\n'
               "Subject: Cron\nAuto-Submitted: auto-generated\n\n"
               "out\n.\n")),
    shape("systemd-cron: -B and its value apart, a list in one operand",
          ["-i", "-B", "8BITMIME", "a@example.org,root"],
          "Content-Transfer-Encoding: binary\nSubject: gr\u00fcn\n"
          "From: root (systemd-cron)\n\ngr\u00fcn\n".encode(),
          HERE, ["a@example.org", "root@example.test"],
          crlf("Content-Transfer-Encoding: binary\nSubject: gr\u00fcn\n"
               "From: root@example.test (systemd-cron)\n\ngr\u00fcn\n")),
    shape("at: a bare user, descriptors on /dev/null", ["-i", LOGIN],
          f"Subject: Output from your job\nTo: {LOGIN}\n\nout\n".encode(),
          HERE, [HERE],
          crlf(f"Subject: Output from your job\nTo: {HERE}\n\nout\n"),
          to_file=True, closed=True, name="sendmail"),
    shape("PHPMailer: its sender glued to -f, Bcc alone",
          ["-fme@example.test", "-i", "-t"],
          b"Date: Mon, 01 Jan 2024 00:00:00 +0000\r\n"
          b"To: undisclosed-recipients:;\r\nFrom: Me <me@example.test>\r\n"
          b"Bcc: b@example.org\r\nSubject: s\r\n\r\nbody\r\n\r\n",
          "me@example.test", ["b@example.org"],
          b"Date: Mon, 01 Jan 2024 00:00:00 +0000\r\n"
          b"To: undisclosed-recipients:;\r\nFrom: Me <me@example.test>\r\n"
          b"Subject: s\r\n\r\nbody\r\n\r\n"),
    shape("Perl's Email::Sender: an empty -f is the null sender",
          ["-i", "-f", "", "--", "b@example.org"],
          b"From: daemon@example.test\nSubject: bounce\n\nb\n",
          "", ["b@example.org"],
          crlf("From: daemon@example.test\nSubject: bounce\n\nb\n")),
    shape("Emacs: one operand with names and commas",
          ["-oi", "-f", "me@example.test", "-oem", "-odb",
           '"B, b" <b@example.org>, C <c@example.org>'],
          b"From: me@example.test\nSubject: s\n\nb\n",
          "me@example.test", ["b@example.org", "c@example.org"],
          crlf("From: me@example.test\nSubject: s\n\nb\n")),
    shape("unattended-upgrades: -oi -t, quoted-printable", ["-oi", "-t"],
          b"Subject: unattended-upgrades result\nTo: root\n"
          b"From: root@example.test\nContent-Transfer-Encoding: "
          b"quoted-printable\n\n=C3=BC\n.\n",
          HERE, ["root@example.test"],
          crlf("Subject: unattended-upgrades result\nTo: root@example.test\n"
               "From: root@example.test\nContent-Transfer-Encoding: "
               "quoted-printable\n\n=C3=BC\n.\n")),
]


@caller
def symfony_bs(desk):
    """Symfony's -bs: a dialogue in lock step, then another message"""
    child = subprocess.Popen(
        [desk.program, "-bs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=desk.environment(), cwd="/")

    def say(line, code):
        if line is not None:
            child.stdin.write(line)
            child.stdin.flush()
        while True:
            reply = child.stdout.readline()
            want(reply.startswith(code), f"{line}: answered {reply}")
            if reply[3:4] != b"-":
                return

    try:
        say(None, b"220")
        say(b"EHLO [127.0.0.1]\r\n", b"250")
        for i in (1, 2):
            say(b"MAIL FROM:<me@example.test>\r\n", b"250")
            say(b"RCPT TO:<b@example.org>\r\n", b"250")
            say(b"RCPT TO:<c@example.org>\r\n", b"250")
            say(b"DATA\r\n", b"354")
            say(b"From: Me <me@example.test>\r\nTo: b@example.org\r\n"
                b"Subject: s%d\r\n\r\na\r\n..\r\n...b\r\n.\r\n" % i, b"250")
        say(b"QUIT\r\n", b"221")
        out, err = child.communicate(timeout=60)
        want(child.returncode == 0 and not out and not err,
             f"status {child.returncode}, {out}, {err}")
    finally:
        child.kill()
        child.wait()
    desk.stop()
    seen = [(m["from"], m["to"]) for m in desk.messages()]
    want(seen == [("me@example.test", ["b@example.org", "c@example.org"])]
         * 2, f"envelopes {seen}")
    message = desk.server.message(desk.messages()[0])
    want(body(message) == b"a\r\n.\r\n..b\r\n", f"body {body(message)}")


class Certificates:
    """What the tests share: nothing but a folder of certificates."""

    def __init__(self, _, certificates):
        self.folder = certificates

    def __fspath__(self):
        return self.folder

    def stop(self):
        pass


if __name__ == "__main__":
    sys.exit(interop.run(
        [cron, php, php_refused, git, git_path, mutt, s_nail, python,
         symfony_bs] + SHAPES, lambda _, certificates: Certificates(
             _, certificates), workers=3))
