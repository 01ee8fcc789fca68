#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""contrib/from-msmtprc: what it makes of configurations of msmtp passes
--check, takes the same ways, and says what it could not carry over. TAP."""

import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys

TOP = pathlib.Path(os.environ.get(
    "TOP_SRCDIR", pathlib.Path(__file__).resolve().parents[2]))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import want  # noqa: E402


class Case:
    """An msmtprc; the lines that its translation must (not) have; words that
    must be said; and ways: (argv, transport, kind, host:port)."""

    def __init__(self, title, text, lines=(), lacks=(), said=(), ways=(),
                 status=0):
        self.title = title
        self.text = text
        self.lines = lines
        self.lacks = lacks
        self.said = said
        self.ways = ways
        self.status = status


CASES = [
    Case("the usual one", """
# Set defaults
defaults
auth           on
tls            on
tls_trust_file /etc/ssl/certs/ca-certificates.crt
logfile        ~/.msmtp.log

account        gmail
host           smtp.gmail.com
port           587
from           me@gmail.com
user           me
passwordeval   "pass show gmail"

account        freemail
host           smtp.freemail.example
tls_starttls   off
from           me@freemail.example
user           me
passwordeval   pass show freemail

account default : gmail
""", lines=["password_command = pass show gmail", "to = ~/.msmtp.log",
            "queue = never", "aliases =", "username = me",
            "ca_file = /etc/ssl/certs/ca-certificates.crt"],
         ways=[(["-f", "me@freemail.example"], "freemail", "submissions",
                "smtp.freemail.example:465"),
               (["-f", "me@gmail.com"], "gmail", "submission",
                "smtp.gmail.com:587"),
               (["-f", "who@else.example"], "gmail", "submission",
                "smtp.gmail.com:587"),
               (["-a", "freemail"], "freemail", "submissions",
                "smtp.freemail.example:465")]),
    Case("a relay without anything", "account default\nhost mail.lan\n",
         lines=["no_starttls = yes", "kind = smtp", "to = none"],
         lacks=["username", "from"],
         ways=[([], "default", "smtp", "mail.lan:25")]),
    Case("no default account refuses what no account is for", """
account a
host a.example
tls on
from a@a.example
""", ways=[(["-f", "a@a.example"], "a", "smtp", "a.example:25"),
           (["-f", "b@b.example"], "refuse", "fail", None)]),
    Case("defaults, parents and what overrides them", """
defaults
port 2525
tls on
account base
host base.example
from_full_name Base Name
account one
host one.example
from one@one.example
defaults
tls on
auth on
account two : base, one
from two@two.example
port 26
""", lines=["full_name = Base Name"],
         ways=[(["-f", "one@one.example"], "one", "smtp", "one.example:2525"),
               (["-f", "two@two.example"], "two", "submission",
                "one.example:26")]),
    Case("patterns of senders", """
account a
host a.example
tls on
tls_starttls off
from *@a.example
account b
host b.example
tls on
from *@*.b.example
account c
host c.example
from who?@c.example
account default
host d.example
tls on
""", lines=["match_from = a.example", "match_from = .b.example"],
         said=["line 10: from *@*.b.example: b.example itself",
               "line 13: from who?@c.example"],
         ways=[(["-f", "x@a.example"], "a", "submissions",
                "a.example:465"),
               (["-f", "x@y.b.example"], "b", "smtp", "b.example:25"),
               (["-f", "who1@c.example"], "default", "smtp",
                "d.example:25")]),
    Case("words with %", """
account default
host a.example
tls on
from %U@mail.example
domain %H
account b : default
from %U@%H
account c : default
from %F
domain %M
account d : default
from root-100%@%C
from_full_name 100% sure
allow_from_override off
""", lines=["domain = mail.example", "from = %u@mail.example",
            "from = %u@%H", "from = root-100%%@%H",
            "full_name = 100%% sure", "force_from = yes"], lacks=["%F", "%M"],
         said=["line 10: from %F", "line 11: domain %M"]),
    Case("mechanisms and tokens", """
defaults
tls on
tls_starttls off
account o
host o.example
auth xoauth2
user o@o.example
passwordeval token --for "o's"
account e
host e.example
auth external
tls_cert_file ~/client.pem
tls_key_file ~/client.key
account s
host s.example
auth scram-sha-256
user s
passwordeval echo s
account n
host n.example
auth on
user n
account default : o
""", lines=["token_command = token --for \"o's\"", "mechanisms = EXTERNAL",
            "mechanisms = SCRAM-SHA-256", "certificate = ~/client.pem",
            "key = ~/client.key"],
         lacks=["XOAUTH2"], said=["account n: no password"],
         ways=[([], "o", "submissions", "o.example:465"),
               (["-a", "e"], "e", "submissions", "e.example:465")]),
    Case("everything else that has a counterpart", """
account default
host a.example
port 465
tls on
tls_starttls off
tls_host_override name.example
source_ip 127.0.0.1
proxy_host ::1
proxy_port 9050
timeout 17
domain client.example
from a@a.example
from_full_name "A, B"
allow_from_override off
set_from_header on
set_to_header undisclosed_recipients
dsn_notify failure,delay
dsn_return headers
syslog LOG_MAIL
""", lines=["tls_name = name.example", "source_address = 127.0.0.1",
            "proxy = [::1]:9050", "timeout = 17s", "connect_timeout = 17s",
            "hostname = client.example", "full_name = A, B",
            "force_from = yes", "from_header = replace",
            "undisclosed_recipients = yes", "notify = failure delay",
            "return = hdrs", "to = syslog"],
         ways=[(["-f", "other@b.example"], "default", "submissions",
                "a.example:465")]),
    Case("what has none is said", """
account default
host a.example
tls on
tls_starttls off
tls_certcheck off
tls_fingerprint 00:11:22:33
tls_priorities NORMAL
tls_min_dh_prime_bits 512
set_date_header off
set_msgid_header off
set_to_header on
remove_bcc_headers off
ntlmdomain D
logfile /tmp/x
logfile_time_format none
syslog LOG_USER
frobnicate yes
""", status=1, said=["line 6: tls_certcheck", "line 7: tls_fingerprint",
           "line 8: tls_priorities", "line 9: tls_min", "line 10: set_date",
           "line 11: set_msgid", "line 12: set_to", "line 13: remove_bcc",
           "line 14: ntlmdomain", "line 16: logfile_time",
           "line 17: logfile and syslog", "line 18: frobnicate"]),
    Case("LMTP, a socket, certificates unchecked", """
account l
host l.example
port 2003
protocol lmtp
account s
socket /run/lmtp.sock
protocol lmtp
account u
host u.example
tls
tls_nocertcheck
account default : u
""", lines=["host = /run/lmtp.sock", "starttls_insecure_skip_verify = yes"],
         ways=[(["-a", "l"], "l", "lmtp", "l.example:2003"),
               ([], "u", "smtp", "u.example:25")]),
    Case("eval: a password's command, not its result", """
account default
host a.example
tls on
tls_starttls off
auth on
eval echo user $((40 + 2))
eval echo 'password "hidden word"'
""", lines=["username = 42"], lacks=["password = ", "= hidden"],
         said=["line 7: eval"]),
    # What is not understood is named, and never read the less safe way.
    Case("a value that is no value: tls", """account default
host smtp.x.example
from a@x.example
tls on # always use TLS
""", status=1, said=["line 4: tls on # always use TLS"],
         lacks=["no_starttls"],
         ways=[([], "default", "smtp", "smtp.x.example:25")]),
    Case("a value that is no value: the certificate", """account default
host smtp.x.example
tls yes
tls_certcheck of
tls_nocertcheck off
port 99999
timeout soon
""", status=1, said=["line 3: tls yes", "line 4: tls_certcheck of",
                     "line 5: tls_nocertcheck off", "line 6: port 99999",
                     "line 7: timeout soon"],
         lacks=["no_starttls"]),
    Case("a value that is no value: words", """account default
host smtp.x.example
tls on
auth plaim
user u
protocol smpt
dsn_notify sometimes
dsn_return all
set_from_header maybe
allow_from_override no
""", status=1, said=["line 4: auth plaim", "line 6: protocol smpt",
                     "line 7: dsn_notify sometimes", "line 8: dsn_return",
                     "line 9: set_from_header", "line 10: allow_from"],
         lacks=["no_starttls", "PLAIM"]),
    Case("no account line at all", "host maildev\nport 1025\n",
         lines=["host = maildev", "port = 1025"],
         said=["line 1: tls is off"],
         ways=[(["-f", "who@else.example"], "default", "smtp",
                "maildev:1025")]),
    Case("lines before the first account", """host first.example
tls on
account b
host b.example
tls on
from b@b.example
""", ways=[(["-f", "who@else.example"], "default", "smtp",
            "first.example:25"),
           (["-f", "b@b.example"], "b", "smtp", "b.example:25")]),
    Case("a value in capitals", """account default
host a.example
port 00465
tls on
tls_starttls OFF
protocol LMTP
auth OFF
set_from_header ON
""", lines=["kind = lmtp", "from_header = replace", "port = 465"],
         lacks=["username"],
         said=["line 5: lmtp: posthaste begins TLS by STARTTLS"]),
    Case("what posthaste would read as several hosts, or as a socket", """
account a
host a.example,b.example
tls on
account b
host /run/x
tls on
account c
socket /run/my socket
account d
socket relative
account default
host d.example
tls on
proxy_host /run/proxy
""", status=1, said=["line 3: host a.example,b", "line 6: host /run/x",
                     "line 9: socket /run/my", "line 11: socket relative",
                     "line 15: proxy_host /run", "account a: it has no host",
                     "account c: it has no host"],
         lacks=["b.example", "/run", "relative"]),
    Case("LMTP whose TLS is demanded", """account default
host l.example
port 24
protocol lmtp
tls on
account b : default
tls_certcheck off
account c : default
tls_host_override name.example
""", lines=["tls_name = l.example", "starttls_insecure_skip_verify = yes",
            "tls_name = name.example"]),
    Case("LMTP whose TLS cannot be demanded", """account default
host 192.0.2.1
port 24
protocol lmtp
tls on
""", status=1, said=["line 5: lmtp: TLS with an address"]),
    Case("a fingerprint is never read as no check at all", """account default
host a.example
tls on
tls_certcheck off
tls_fingerprint 00:11:22:33
""", said=["line 5: tls_fingerprint"], lacks=["skip_verify"]),
    Case("in clear text what msmtp itself would choose", """account default
host a.example
auth on
user u
passwordeval echo p
account b : default
auth cram-md5
account c : default
tls on
""", lines=["mechanisms = SCRAM-SHA-256 SCRAM-SHA-1",
            "mechanisms = CRAM-MD5"],
         said=["line 1: tls is off: mail and login"]),
    Case("a login in clear text is named", """account default
host a.example
auth plain
user u
passwordeval echo p
""", said=["line 1: tls is off: mail and login go in clear text"]),
    Case("odd names and quotes", """
account "my work"
host a.example
from "me@a.example"
account direct
host b.example
from me@b.example
account default: direct
""", ways=[(["-f", "me@a.example"], "my-work", "smtp", "a.example:25"),
           (["-f", "me@b.example"], "direct-relay", "smtp",
            "b.example:25")]),
]


def convert(folder, text, status=0, argv=()):
    pathlib.Path(folder, "msmtprc").write_text(text)
    done = subprocess.run(
        [str(TOP / "contrib/from-msmtprc"), *argv,
         f"{folder}/msmtprc"], stdin=subprocess.DEVNULL, timeout=30,
        capture_output=True, text=True, check=False,
        env=harness.environment(folder, {"POSTHASTE": harness.POSTHASTE}))
    want(done.returncode == status, f"status {done.returncode}: "
         f"{done.stderr}")
    path = pathlib.Path(folder, "posthaste.conf")
    path.write_text(done.stdout)
    path.chmod(0o600)
    return done.stdout, done.stderr


def posthaste(folder, *argv, stdin=None):
    return harness.run(["-C", f"{folder}/posthaste.conf", *argv], stdin,
                       harness.environment(folder), folder)


def one(case, folder, certificates):
    os.makedirs(f"{folder}/home", exist_ok=True)
    for name in ("client.pem", "client.key"):
        shutil.copy(f"{certificates}/{name}", f"{folder}/home/{name}")
    # line 1 of a case is empty for the eye alone; it counts
    text, said = convert(folder, case.text, case.status)
    status, _, err = posthaste(folder, "--check")
    want((status, err) == (0, b""), f"--check: {err.decode()}\n{text}")
    for line in case.lines:
        want(line in text.splitlines(), f"{line!r} is not in\n{text}")
    for word in case.lacks:
        want(word not in text, f"{word!r} is in\n{text}")
    for word in case.said:
        want(word in said, f"{word!r} was not said, but\n{said}")
    if not case.said and "no_starttls" not in text:
        want(not said, f"it was said\n{said}")
    for argv, transport, kind, host in case.ways:
        status, out, err = posthaste(folder, "--explain", "--json", *argv,
                                     "someone@example.com")
        want(status == 0, err.decode())
        way = json.loads(out)[0]
        want((way["transport"], way["kind"], way["hosts"]) ==
             (transport, kind, [host] if host else []),
             f"{argv}: {way}\n{text}")


def password(folder, certificates):
    """A password with all that an INI file could stumble over arrives."""
    secret = 's3c;ret #x "y" = [z] \\'
    server = harness.Server(
        folder, 1, "tls implicit\ncertificate good\nauth PLAIN\nuser me\n"
        f"password {secret}\n", certificates)
    try:
        _, said = convert(folder, f"""account default
host localhost
port {server.port}
tls on
tls_starttls off
tls_trust_file {certificates}/ca.pem
auth on
user me
password {secret}
from me@example.org
""")
        status, out, err = posthaste(folder, "-i", "you@example.org",
                                     stdin=b"Subject: s\n\nhi\n")
    finally:
        events = server.stop()
    want((status, out, err) == (0, b"", b""), f"{status} {err.decode()}")
    want([e["from"] for e in events if e["event"] == "message"] ==
         ["me@example.org"], str(events))
    want("mode 600" in said, said)


def evaluated(folder, certificates):
    """The command that eval leads to prints the password alone."""
    server = harness.Server(
        folder, 1, "tls implicit\ncertificate good\nauth PLAIN\nuser me\n"
        "password hidden word\n", certificates)
    try:
        text, _ = convert(folder, f"""account default
host localhost
port {server.port}
tls on
tls_starttls off
tls_trust_file {certificates}/ca.pem
auth on
user me
eval echo 'password   "hidden word"'
""")
        status, out, err = posthaste(folder, "-i", "you@example.org",
                                     stdin=b"Subject: s\n\nhi\n")
    finally:
        server.stop()
    want((status, out, err) == (0, b"", b""), f"{err.decode()}\n{text}")


def checked(folder, certificates):
    """What the result lacks is found by posthaste itself."""
    del certificates
    text, said = convert(folder, """account default
host a.example
tls on
tls_trust_file /nonexistent/ca.pem
source_ip nonsense
""", 1)
    want('"ca_file": ca_file: /nonexistent/ca.pem: No such file' in said and
         '"source_address": source_address: "nonsense"' in said, said)
    want("ca_file = /nonexistent/ca.pem" in text, text)


def saved(folder, certificates):
    """-o: for the owner alone, whole or not at all, over nothing."""
    del certificates
    good = "account default\nhost a.example\ntls on\n"
    path = pathlib.Path(folder, "new", "folder", "posthaste.conf")
    out, _ = convert(folder, good + "tls maybe\n", 1, ["-o", str(path)])
    want(not out and not path.exists(), out)
    out, _ = convert(folder, good, 0, ["-o", str(path)])
    want(not out and path.stat().st_mode & 0o777 == 0o600, out)
    before = path.read_text()
    want("host = a.example" in before, before)
    convert(folder, "account default\nhost b.example\ntls on\n", 1,
            ["-o", str(path)])
    want(path.read_text() == before and
         [p.name for p in path.parent.iterdir()] == ["posthaste.conf"],
         "it was overwritten")


def no_python(folder, certificates):
    """What is missing is named."""
    del certificates
    done = subprocess.run(
        ["/bin/sh", str(TOP / "contrib/from-msmtprc")],
        stdin=subprocess.DEVNULL, timeout=30, capture_output=True, text=True,
        check=False, env={"PATH": folder})
    want(done.returncode == 69 and "needs python3" in done.stderr,
         f"{done.returncode} {done.stderr}")


def usage(folder, certificates):
    del certificates
    for argv, status in ((["--help"], 0), (["-x"], 64), (["a", "b"], 64)):
        done = subprocess.run(
            [str(TOP / "contrib/from-msmtprc"), *argv],
            stdin=subprocess.DEVNULL, timeout=30, capture_output=True,
            text=True, check=False, env=harness.environment(folder))
        want(done.returncode == status and
             "from-msmtprc [-o" in (done.stderr if status else done.stdout),
             f"{argv}: {done}")


def nothing(folder, certificates):
    del certificates
    text, said = convert(folder, "# nothing\ndefaults\ntls on\n", 1)
    want(not text and "no account" in said, text + said)


def main():
    tests = [(case.title, functools.partial(one, case)) for case in CASES]
    tests += [("a password with odd characters", password),
              ("eval of a password", evaluated),
              ("posthaste checks the result", checked),
              ("an output of its own", saved),
              ("without python3", no_python),
              ("usage", usage),
              ("no account at all", nothing)]
    return harness.tap(tests)


if __name__ == "__main__":
    sys.exit(main())
