#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Submits through a real Postfix."""

import email
import hashlib
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import interop  # noqa: E402
from interop import Sent, harness, want  # noqa: E402

RECIPIENT_LIMIT = 100
MAIN = """compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
maillog_file = {folder}/log/mail.log
maillog_file_prefixes = /
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.example.test
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
relayhost =
default_transport = error:nothing leaves this test
virtual_mailbox_domains = example.test, xn--bcher-kva.example
virtual_mailbox_base = {folder}/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{uid}
virtual_mailbox_limit = 0
virtual_minimum_uid = 1
mailbox_size_limit = 0
message_size_limit = 60000000
in_flow_delay = 0
smtpd_recipient_limit = {limit}
mynetworks =
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions =
    check_recipient_access inline:{{ nouser@example.test=REJECT }}
smtpd_tls_security_level = may
smtpd_tls_auth_only = yes
smtpd_tls_loglevel = 1
smtpd_tls_cert_file = {certificates}/good.pem
smtpd_tls_key_file = {certificates}/good.key
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = {folder}/conf/sasl
smtpd_sasl_security_options = noanonymous
smtpd_sasl_local_domain = example.test
smtputf8_enable = yes
"""
MASTER = """127.0.0.1:{starttls} inet n - n - - smtpd
127.0.0.1:{implicit} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""
SASL = """pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {folder}/sasldb2
mech_list: PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256
"""
# as the package's own scripts would make the spool
SETUP = """
cd "$PEER_SCRATCH"
mkdir -p spool data mail log
chown postfix data
chown vmail mail
(cd spool
for d in active bounce corrupt defer deferred flush hold incoming private \\
	saved trace; do mkdir -p $d; chown postfix $d; chmod 700 $d; done
mkdir -p maildrop public pid
chown postfix:postdrop maildrop public; chmod 730 maildrop; chmod 710 public)
echo secret | saslpasswd2 -p -c -u example.test -f sasldb2 joe
chown postfix sasldb2
"""


class Postfix:
    def __init__(self, folder, certificates, ports=None):
        self.folder = pathlib.Path(folder)
        self.ca = f"{certificates}/ca.pem"
        self.starttls, self.implicit = ports or harness.free_ports(2)
        words = {"folder": folder, "certificates": certificates,
                 "limit": RECIPIENT_LIMIT, "starttls": self.starttls,
                 "implicit": self.implicit, "uid": 7005}
        for name, text in (("main.cf", MAIN), ("master.cf", MASTER),
                           ("sasl/smtpd.conf", SASL)):
            path = self.folder / "conf" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text.format(**words))
        self.daemon = interop.Peer(
            "postfix", ["/usr/lib/postfix/sbin/master", "-c",
                        str(self.folder / "conf"), "-d"],
            folder, SETUP)
        self.daemon.wait_port(self.starttls)

    def stop(self):
        self.daemon.stop()

    def log(self):
        return (self.folder / "log/mail.log").read_text("latin-1")

    def delivered(self, subject, number=1):
        """The stored messages with this subject, once they are there."""
        def find():
            seen = [p.read_bytes()
                    for p in self.folder.glob("mail/box/new/*")]
            seen = [m for m in seen
                    if f"\nSubject: {subject}\n".encode() in m]
            return seen if len(seen) >= number else None
        return harness.eventually(find, f"{number} of {subject}", 60)

    def config(self, folder, implicit=False, extra=""):
        return interop.configure(folder, f"""
kind = {'submissions' if implicit else 'submission'}
host = localhost
port = {self.implicit if implicit else self.starttls}
ca_file = {self.ca}
username = joe@example.test
password = secret
{extra}""")


def body(text):
    return text.partition(b"\n\n")[2]


def starttls(server, folder):
    """STARTTLS: the strongest mechanism, the message whole by BDAT"""
    text = interop.message("starttls", "a\n.\n..b\n\nend\n")
    sent = Sent(["-v", "-i", "b@example.test"], text, folder,
                server.config(folder)).expect(0, silent=False)
    sent.logged("auth=SCRAM-SHA-256 ", "tls=TLS1.3", "status=sent",
                "dsn=2.0.0")
    want(b"BDAT" in sent.err, "the transcript has no BDAT")
    want(b"secret" not in sent.err, "the transcript has the password")
    stored, = server.delivered("starttls")
    want(body(stored) == body(text), f"body {body(stored)}")
    want("sasl_method=SCRAM-SHA-256, sasl_username=joe@example.test" in
         server.log(), "the server's log names no SCRAM-SHA-256")


def mechanisms(server, folder):
    """each mechanism that is named is used"""
    for name in ("SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN"):
        config = server.config(folder, extra=f"mechanisms = {name}")
        Sent(["-i", "b@example.test"], interop.message(f"by {name}"), folder,
             config).expect(0).logged(f"auth={name} ")
        server.delivered(f"by {name}")


def wrong_password(server, folder):
    """a wrong password: 77, in words, nothing sent"""
    path = pathlib.Path(server.config(folder, implicit=True))
    path.write_text(path.read_text().replace("= secret", "= guessed"))
    sent = Sent(["-i", "b@example.test"], interop.message("never"), folder,
                str(path)).expect(77)
    want(b"b@example.test: " in sent.err and b"535" in sent.err,
         f"it said {sent.err}")
    want(b"guessed" not in sent.err and "guessed" not in sent.log,
         "the password was shown")


def big_message():
    line = "0123456789abcdefghijklmnopqrstuvwxyz" * 2 + "\n"
    lines = "".join(f"{i:07d}{line}" for i in range(25 * 2 ** 20 // 80))
    return interop.message("big", lines + ".\n.dot\nend\n")


def big(server, folder):
    """25 MB, implicit TLS, SCRAM-SHA-256: equal checksums, under 20 MB"""
    text = big_message()
    config = server.config(folder, implicit=True)
    measure = (
        "import resource, subprocess, sys\n"
        "rc = subprocess.call(sys.argv[2:])\n"
        "usage = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "open(sys.argv[1], 'w').write(str(usage.ru_maxrss))\n"
        "sys.exit(rc)\n")
    path = pathlib.Path(folder, "maxrss")
    child = subprocess.run(
        [sys.executable, "-I", "-S", "-c", measure, str(path),
         harness.POSTHASTE, "-C", config, "-t", "-i"], input=text,
        env=harness.environment(folder), capture_output=True, timeout=120)
    want(child.returncode == 0, f"status {child.returncode}: {child.stderr}")
    want(not child.stdout and not child.stderr,
         f"printed {child.stdout + child.stderr}")
    log = interop.log(folder)
    want("auth=SCRAM-SHA-256 " in log, f"the log: {log}")
    stored = server.delivered("big")[0]
    ours, theirs = (hashlib.sha256(body(t)).hexdigest()
                    for t in (text, stored))
    want(ours == theirs, f"checksum {theirs}, not {ours}")
    peak = int(path.read_text())
    print(f"# peak resident set {peak} kB, sha256 {ours[:16]}...")
    want(harness.sanitized() or peak < 20 * 1024, f"{peak} kB at the peak")


def system_calls(server, folder):
    """25 MB in fewer than 6000 system calls"""
    text = big_message().replace(b"Subject: big", b"Subject: traced")
    config = server.config(folder, implicit=True)
    trace = pathlib.Path(folder, "trace")
    env = harness.environment(folder)
    # the leak detector cannot work under a tracer
    env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    child = subprocess.run(
        ["strace", "-f", "-c", "-o", str(trace), harness.POSTHASTE, "-C",
         config, "-t", "-i"], input=text, env=env, capture_output=True,
        timeout=240)
    want(child.returncode == 0, f"status {child.returncode}: {child.stderr}")
    total = re.search(r"^ *100\.00 +[0-9.]+ +(?:[0-9]+ +)?([0-9]+) .*total$",
                      trace.read_text(), re.M)
    want(total, f"strace said {trace.read_text()}")
    calls = int(total.group(1))
    print(f"# {calls} system calls")
    want(harness.sanitized() or calls < 6000,
         f"{calls} system calls:\n{trace.read_text()}")
    server.delivered("traced")


def recipients(server, folder):
    """250 recipients beyond the server's limit, in three transactions"""
    wanted = {f"r{i}@example.test" for i in range(250)}
    text = interop.message("many", to="undisclosed-recipients:;")
    Sent(["-i", *sorted(wanted)], text, folder,
         server.config(folder)).expect(0)
    stored = server.delivered("many", 250)
    to = [re.search(rb"^Delivered-To: (.*)$", m, re.M).group(1).decode()
          for m in stored]
    want(len(to) == 250 and set(to) == wanted, f"{len(to)}: {sorted(to)}")
    ids = {re.search(rb"with ESMTPSA id ([0-9A-Za-z]+)", m).group(1)
           for m in stored}
    want(len(ids) == -(-250 // RECIPIENT_LIMIT), f"transactions {ids}")


def refused(server, folder):
    """one of three is refused: the others get it, 69, it is named"""
    sent = Sent(["-i", "r1@example.test", "nouser@example.test",
                 "r2@example.test"], interop.message("partly"), folder,
                server.config(folder)).expect(69)
    want(b"posthaste: nouser@example.test: refused by " in sent.err and
         b"r1@" not in sent.err, f"it said {sent.err}")
    want(len(server.delivered("partly", 2)) == 2, "not two of them")


def dsn(server, folder):
    """DSN: a success notice names ENVID and ORCPT, RET is HDRS"""
    text = interop.message("asked")
    config = server.config(folder)
    Sent(["-i", "-f", "back@example.test", "-N", "success,failure", "-R",
          "hdrs", "-V", "order=12+3", "r1@example.test"], text, folder,
         config).expect(0)
    report = email.message_from_bytes(
        server.delivered("Successful Mail Delivery Report")[0])
    fields = report.get_payload()[1].as_string()
    want("Original-Envelope-Id: order=12+3" in fields and
         "Original-Recipient: rfc822;r1@example.test" in fields and
         "Action: delivered" in fields, f"the notice: {fields}")
    want("text/rfc822-headers" in report.as_string(), "RET was not HDRS")


def eight_bit(server, folder):
    """8-bit text arrives as it is"""
    text = interop.message("eight", "gr\u00fc\u00dfe\n")
    Sent(["-i", "b@example.test"], text, folder,
         server.config(folder)).expect(0)
    stored, = server.delivered("eight")
    want(body(stored) == body(text), f"body {body(stored)}")


def utf8(server, folder):
    """SMTPUTF8 for a non-ASCII local part; an IDN as its A-label"""
    config = server.config(folder)
    Sent(["-i", "j\u00fcrgen@example.test".encode()],
         interop.message("international", to="j\u00fcrgen@example.test"),
         folder, config).expect(0)
    stored, = server.delivered("international")
    want("Delivered-To: j\u00fcrgen@example.test\n".encode() in stored,
         f"stored {stored}")
    want(b"with UTF8SMTPSA" in stored, f"without SMTPUTF8: {stored}")
    Sent(["-i", "b@b\u00fccher.example".encode()],
         interop.message("idn"), folder, config).expect(0)
    stored, = server.delivered("idn")
    want(b"Delivered-To: b@xn--bcher-kva.example\n" in stored and
         b"with ESMTPSA" in stored, f"stored {stored}")


def probe(server, folder):
    """--probe shows what Postfix has, and authenticates"""
    sent = Sent(["--probe"], b"", folder,
                server.config(folder)).expect(0, silent=False)
    said = sent.out.decode()
    for word in ("CHUNKING", "SMTPUTF8", "SCRAM-SHA-256", "TLS1.3"):
        want(word in said, f"{word} is not in {said}")


if __name__ == "__main__":
    sys.exit(interop.run(
        [starttls, mechanisms, wrong_password, big, system_calls, recipients,
         refused, dsn, eight_bit, utf8, probe], Postfix, workers=2))
