#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tells somebody that mail stands still: --health with its statuses, and
on_failure. TAP."""

import fcntl
import json
import os
import pathlib
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from entries import entry_bytes, message_bytes  # noqa: E402
from harness import want  # noqa: E402

CONFIG = """[general]
hostname = host.example.test
domain = example.test
[log]
to = none
[queue]
queue = always
directory = {folder}/queue
[route all]
transport = relay
[transport relay]
kind = smtp
host = 127.0.0.1
port = 9
no_starttls = yes
{more}"""
SERIES = re.compile(r'posthaste_[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})?'
                    r' [0-9]+')


class Machine:
    def __init__(self, folder, certificates, more=""):
        self.folder = pathlib.Path(folder)
        self.certificates = certificates
        self.env = harness.environment(folder)
        self.configure(more)

    def configure(self, more):
        path = self.folder / "conf"
        path.write_text(CONFIG.format(folder=self.folder, more=more))
        path.chmod(0o600)

    def run(self, *argv, stdin=b""):
        status, out, err = harness.run(
            ["-C", str(self.folder / "conf"), *argv], stdin, self.env,
            str(self.folder))
        want(not err, f"{argv}: {err}")
        return status, out.decode()

    def queue(self):
        status, _ = self.run("-odq", "-f", "a@example.test",
                             "b@example.test", stdin=b"Subject: s\n\nx\n")
        want(status == 0, status)

    def tended(self, ago=0):
        path = self.folder / "queue/last-run"
        path.touch()
        os.utime(path, (time.time() - ago,) * 2)

    def checks_as(self, uid):
        """{check: (status, text)} as that user sees it."""
        program = harness.copy_program(harness.POSTHASTE, f"{self.folder}/")
        done = subprocess.run(
            [program, "-C", str(self.folder / "conf"), "--health", "--json"],
            env=self.env, stdout=subprocess.PIPE, timeout=60, check=False,
            user=uid, group=uid, extra_groups=[], cwd="/")
        return {c["check"]: (c["status"], c["text"])
                for c in json.loads(done.stdout)["checks"]}

    def checks(self, status, *argv):
        """{check: (status, text, value)}; the three forms say the same."""
        got, out = self.run("--health", "--json", *argv)
        report = json.loads(out)
        want(got == status, f"status {got}: {out}")
        want(report["status"] == ("OK", "WARNING", "CRITICAL")[status], out)
        again, words = self.run("--health")
        want(again == status, f"status {again}: {words}")
        want(words.startswith(report["status"] + " - "), words)
        want(len(words.splitlines()) == len(report["checks"]), words)
        third, metrics = self.run("--health", "--metrics")
        want(third == status, f"status {third}")
        names = [line.split()[2] for line in metrics.splitlines()
                 if line.startswith("# TYPE")]
        want(len(names) == len(set(names)), metrics)
        series = [line for line in metrics.splitlines() if line[0] != "#"]
        want(all(SERIES.fullmatch(line) for line in series), metrics)
        want(len({line.split(" ")[0] for line in series}) == len(series),
             metrics)
        return {c["check"]: (c["status"], c["text"], c["value"])
                for c in report["checks"]}


def well(m):
    """all is well: 0"""
    m.queue()
    m.tended()
    checks = m.checks(0)
    want(checks["queue"] == ("OK", "1 message waits", 1), checks)
    want(checks["runner"][2] < 60 and checks["space"][2] > 0, checks)
    want(checks["damaged"][2] == 0, checks)


def unattended(m):
    """nobody runs the queue: 1, and 2 where mail has been due for an hour"""
    m.queue()
    want(m.checks(1)["runner"][0] == "WARNING", "runner")
    m.tended(2 * 86400)
    want(m.checks(1)["runner"][0] == "WARNING", "runner")
    entry, = (m.folder / "queue/mess").iterdir()
    text = entry.read_bytes()
    queued = re.search(rb"queued (\d+)", text).group(1)
    # a checksum holds the file together; the clock is what can be changed
    m.env["LD_PRELOAD"] = next(
        str(p) for p in pathlib.Path("/usr/lib").rglob("libfaketime.so.1"))
    m.env["FAKETIME"] = "+7200"
    # which the sanitizer's library does not like to come after
    m.env["ASAN_OPTIONS"] = "verify_asan_link_order=0:detect_leaks=0"
    want(int(queued) > 0, queued)
    status, out = m.run("--health")
    want(status == 2 and "CRITICAL - runner: " in out.splitlines()[0] and
         "mail has been due for 2 hours" in out, out)


def begun(m):
    """a run that begins at this moment, or before a clock is set back: 0"""
    m.queue()
    m.tended(-3)
    want(m.checks(0)["runner"][2] == 0, "runner")


def held(m):
    """what somebody holds is counted, and does not grow old"""
    m.queue()
    m.tended()
    entry, = (m.folder / "queue/mess").iterdir()
    entry.write_bytes(entry_bytes(["b@example.test"], message_bytes("m"),
                                  queued=int(time.time()) - 2 * 86400))
    want(m.checks(2)["oldest"][0] == "CRITICAL", "oldest")
    want(m.run("--hold", "ALL")[0] == 0, "--hold")
    checks = m.checks(0)
    want(checks["queue"][2] == 1 and
         checks["oldest"] == ("OK", "nothing waits but what is held", 0),
         checks)


def left_there(m):
    """the queue is run, and what has been due for an hour is left there: 1"""
    m.queue()
    entry, = (m.folder / "queue/mess").iterdir()
    with open(entry, "wb") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        for minutes, status in ((59, 0), (120, 1)):
            locked.seek(0)
            locked.truncate()
            locked.write(entry_bytes(["b@example.test"], message_bytes("m"),
                                     queued=int(time.time()) - minutes * 60))
            locked.flush()
            want(m.run("-q") == (0, ""), "-q")
            checks = m.checks(status)
            want(checks["queue"][2] == 1, checks)
            want(checks["runner"][0] == ("OK", "WARNING")[status] and
                 checks["runner"][1].endswith(" (the log says why)") ==
                 bool(status), checks)


def unreadable(m):
    """an entry that cannot be read: 1, and it is no message that waits"""
    m.queue()
    m.tended()
    want(m.checks(0)["unreadable"][2] == 0, "unreadable")
    entry, = (m.folder / "queue/mess").iterdir()
    os.link(entry, m.folder / "elsewhere")
    checks = m.checks(1)
    want(checks["unreadable"][0] == "WARNING" and
         checks["unreadable"][2] == 1 and checks["queue"][2] == 0, checks)
    want("\nposthaste_queue_unreadable_entries 1\n" in
         m.run("--health", "--metrics")[1], "metrics")


def unusable(m):
    """a queue of ours that cannot be used: 2; one that nobody made: 0"""
    path = m.folder / "conf"
    path.write_text(path.read_text().replace("queue = always\n", ""))
    want(m.checks(0)["queue"][0] == "OK", "nobody made one")
    for name in ("tmp", "mess", "corrupt"):
        (m.folder / "queue" / name).mkdir(0o700, parents=True)
    m.tended()
    want(m.checks(0)["queue"][0] == "OK", "usable")
    (m.folder / "queue/mess").rmdir()
    (m.folder / "queue/mess").write_text("x")
    got = m.checks(2)["queue"]
    want(got[0] == "CRITICAL" and f"{m.folder}/queue" in got[1], got)


def damaged(m):
    """a damaged entry: 1"""
    m.queue()
    m.tended()
    (m.folder / "queue/corrupt/x").write_text("x")
    checks = m.checks(1)
    want(checks["damaged"][0] == "WARNING" and checks["damaged"][2] == 1,
         checks)


def certificate(m):
    """a client certificate: well, expired, unreadable"""
    m.queue()
    m.tended()
    rows = (("good.pem", 0, "OK"), ("expired.pem", 2, "CRITICAL"),
            ("missing.pem", 2, "CRITICAL"), ("host:465.pem", 2, "CRITICAL"))
    for name, status, word in rows:
        m.configure(f"[transport other]\nkind = submissions\nhost = h.test\n"
                    f"certificate = {m.certificates}/{name}\n"
                    f"key = {m.certificates}/good.key\n")
        got = m.checks(status)["certificate"]
        want(got[0] == word and name in got[1], got)


def revocations(m):
    """a CRL that should have been renewed: 1"""
    m.queue()
    m.tended()
    for name, status in (("crl.pem", 0), ("crl-old.pem", 1)):
        m.configure(f"[tls]\ncrl_file = {m.certificates}/{name}\n")
        got = m.checks(status)["crl"]
        want(got[0] == ("OK", "WARNING")[status] and name in got[1] and
             abs(got[2] - time.time()) > 86400 and
             ("3 days ago" in got[1]) == bool(status), got)


def dkim(m):
    """a DKIM key that cannot be read: 2"""
    m.queue()
    m.tended()
    m.configure(f"[domain example.test]\ndkim_selector = s\n"
                f"dkim_key = {m.folder}/nothing\n")
    want(m.checks(2)["dkim"][0] == "CRITICAL", "dkim")
    # one file for several domains is a line, and a series, for each
    harness.command("openssl", "genpkey", "-algorithm", "ed25519", "-out",
                    m.folder / "dkim.pem")
    m.configure("".join(f"[domain {name}.test]\ndkim_selector = s\n"
                        f"dkim_key = {m.folder}/dkim.pem\n"
                        for name in ("a", "b")))
    m.checks(0)
    _, metrics = m.run("--health", "--metrics")
    want(metrics.count("_domainkey.") == 2, metrics)


def login(m):
    """nobody has logged in: 2, and what to do"""
    m.queue()
    m.tended()
    m.configure("[transport office]\nkind = submission\nhost = h.test\n"
                "username = u@example.test\noauth = https://id.example.test\n")
    got = m.checks(2)["login"]
    want(got[0] == "CRITICAL" and "posthaste --login office" in got[1], got)


def faulty(m):
    """a configuration with faults: 2, and the first of them"""
    m.configure("[transport other]\nkind = nonsense\n")
    got = m.checks(2)
    want(list(got) == ["configuration"] and "kind" in got["configuration"][1],
         got)


def files(m):
    """a file that the configuration names cannot be read: 2, and its line"""
    m.queue()
    m.tended()
    lines = {
        "password_file": "username = u\npassword_file = {}\n",
        "ca_file": "ca_file = {}\n",
        "key": f"certificate = {m.certificates}/good.pem\nkey = {{}}\n",
    }
    for key, line in lines.items():
        path = m.folder / key
        m.configure("[transport other]\nkind = submissions\nhost = h.test\n" +
                    line.format(path))
        got = m.checks(2)["configuration"]
        want(got[0] == "CRITICAL" and got[2] == 1 and
             f": {key}: " in got[1] and str(path) in got[1], got)


def denied(m):
    """what is for the queue's owner to read is no fault for who may not"""
    if os.geteuid():
        raise harness.Skip("needs root")
    other, owner = 54321, 54322
    m.queue()
    secret = m.folder / "secret"
    secret.mkdir()
    for name in ("good.pem", "good.key", "crl.pem"):
        (secret / name).write_bytes(
            pathlib.Path(m.certificates, name).read_bytes())
    (secret / "password").write_text("x\n")
    m.configure(f"""[transport other]
kind = submissions
host = h.test
username = u
password_file = {secret}/password
certificate = {secret}/good.pem
key = {secret}/good.key
[domain example.test]
dkim_selector = s
dkim_key = {secret}/good.key
[tls]
crl_file = {secret}/crl.pem
""")
    (m.folder / "conf").chmod(0o644)
    for folder in (m.folder, m.folder.parent):
        folder.chmod(0o755)
    for path in (m.folder / "queue", secret, *secret.iterdir()):
        os.chown(path, owner, owner)
        path.chmod(0o700)
    checks = m.checks_as(other)
    for name in ("configuration", "certificate", "dkim", "crl"):
        want(checks[name][0] == "OK", checks)
    for name in ("certificate", "dkim", "crl"):
        want("not looked at" in checks[name][1], checks)


def login_denied(m):
    """a login that its own user may not read: 2; one for another: 0"""
    if os.geteuid():
        raise harness.Skip("needs root")
    other, owner = 54321, 54322
    m.queue()
    m.tended()
    m.configure("[transport office]\nkind = submission\nhost = h.test\n"
                "username = u@example.test\noauth = https://id.example.test\n")
    login = m.folder / "home/.local/state/posthaste/oauth/office"
    login.parent.mkdir(parents=True)
    login.write_text("")
    login.chmod(0o600)
    (m.folder / "conf").chmod(0o644)
    for folder in (m.folder, m.folder.parent):
        folder.chmod(0o755)
    for path in (m.folder / "queue", *(m.folder / "queue").rglob("*")):
        os.chown(path, owner, owner)
    got = m.checks_as(owner)["login"]
    want(got[0] == "CRITICAL" and str(login) in got[1], got)
    got = m.checks_as(other)["login"]
    want(got[0] == "OK" and "not looked at" in got[1], got)


def without(m):
    """no queue at all is not a fault"""
    path = m.folder / "conf"
    path.write_text(path.read_text().replace("queue = always",
                                             "queue = never"))
    want(m.checks(0)["queue"] == ("OK", "there is no queue", None), "queue")


REFUSING = """[transport no]
kind = fail
code = 550
message = not here
[queue]
on_failure = {command}
"""


def told(m, command):
    """A message that fails in a run of the queue; what was logged."""
    path = m.folder / "conf"
    m.configure(REFUSING.format(command=command))
    path.write_text(path.read_text()
                    .replace("transport = relay\n", "transport = no\n", 1)
                    .replace("to = none", f"to = {m.folder}/log"))
    m.queue()
    status, _ = m.run("-q")
    want(status == 0, status)
    return (m.folder / "log").read_text()


def failure(m):
    """on_failure gets a final failure as JSON"""
    got = m.folder / "got"
    told(m, f"cat >>{got}")
    # the report that went back could not be delivered either, and is kept
    entry, report = map(json.loads, got.read_text().splitlines())
    want(report["sender"] == "", report)
    want(entry["sender"] == "a@example.test", entry)
    rcpt, = entry["recipients"]
    want(rcpt["address"] == "b@example.test" and rcpt["code"] == 550 and
         rcpt["status"] == "failed" and "not here" in rcpt["text"], entry)


def failing_command(m):
    """an on_failure that fails is logged, and changes nothing"""
    log = told(m, "echo no pager >&2; exit 3")
    want("on_failure: " in log and "no pager" in log, log)
    want("status=failed" in log, log)


def hanging_command(m):
    """an on_failure that hangs runs once, and what it missed is logged"""
    log = told(m, "sleep 60")
    report = re.search(r"on_failure was not told of (\S+): ", log)
    want("did not end within 10 s" in log and report and
         f"id={report.group(1)} " in log, log)


def killed_command(m):
    """an on_failure that a signal ends is run for the next failure again"""
    got = m.folder / "got"
    log = told(m, f"echo told >>{got}; kill -9 $$")
    want(log.count("on_failure: ") == 2, log)
    want(got.read_text() == "told\n" * 2, got.read_text())


def test(function):
    def with_machine(folder, certificates):
        function(Machine(folder, certificates))
    with_machine.__doc__ = function.__doc__
    return with_machine


if __name__ == "__main__":
    sys.exit(harness.tap([
        (f.__doc__, test(f)) for f in (
            well, unattended, begun, held, left_there, unreadable, unusable,
            damaged, certificate, revocations, dkim, login, faulty, files,
            denied, login_denied, without, failure, failing_command,
            hanging_command, killed_command)]))
