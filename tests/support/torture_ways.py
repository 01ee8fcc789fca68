# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways on which every call fails once (tests/fault/torture.py)."""

import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import time

import harness
from entries import entry_bytes, message_bytes
from harness import POSTHASTE, equal, eventually, want
from issuer import Issuer
from lab import ROUTE, Accepted, await_background, runs_in
from nameserver import Dns
from socks_proxy import Socks
from torture_bench import (
    BODY, LACKING, LIMIT, WIRE_BODY, Way, count, play, told_words)

DROP = os.path.join(os.path.dirname(POSTHASTE), "posthaste-drop")
# more than is kept in memory
LARGE = 1250 * (900 * "x" + "\n")


def two_ways(port):
    """A transport for each of a@ and no@."""
    return "[route other]\ndomain = other.example\ntransport = other\n" \
        "[transport other]\nkind = smtp\nhost = 127.0.0.1\n" \
        f"port = {port}\nno_starttls = yes\n{ROUTE}"


class Submission(Way):
    args = ()
    at_once = ("a@example.net",)
    held = ()

    def rcpts(self, mid):
        return [r.replace("MID", mid) for r in (*self.at_once, *self.held)]

    def deed(self, bench, mid, env):
        text = (f"Message-ID: <{mid}>\nTo: {self.rcpts(mid)[0]}\n"
                f"Subject: test\n\n{self.before}{BODY}\n").encode()
        return play([POSTHASTE, "-C", str(bench.lab.config), "-i", "-f",
                     "s@test.example", *self.args, *self.rcpts(mid)],
                    text, env, bench.lab.folder)

    def judge(self, t, bench, mid, done):
        before = {r: t.sink.accepted.count(mid, r) for r in self.rcpts(mid)}
        # some have it: to try again for all is as wrong
        some = any(before.values()) and not all(before.values())
        done.judge_status((69,) if some else ())
        told = some or told_words(bench, done.err)
        if done.harmless:
            equal([n for n in before.values()],
                  [1] * len(self.at_once) + [0] * len(self.held), "at once")
        if done.status:
            want(told or not any(before.values()),
                 f"delivered, and status {done.status}")
        self.settle(t, bench, mid)
        for r in self.rcpts(mid):
            least = 1 if done.status == 0 else 0
            most = 1 if done.status == 0 or before[r] else 0
            count(t, bench, mid, r, least, most, done.err)


class Plain(Submission):
    name = "submit"


class Later(Submission):
    name = "submit, one for later"
    held = ("laterMID@example.net",)
    queue = "queue = on_failure\nschedule = 1h"


class Large(Later):
    name = "submit what memory does not hold"
    before = LARGE
    weight = 6


class Queued(Submission):
    name = "submit to the queue"
    args = ("-odq",)
    at_once = ()
    held = ("a@example.net",)


class NewQueue(Queued):
    name = "submit to a new queue"

    def prepare(self, bench, mid):
        shutil.rmtree(bench.lab.queue)


class Tls(Submission):
    name = "submit by TLS, with a login"
    tls = True

    def login(self, folder):
        secret = pathlib.Path(folder, "password")
        secret.write_text("pencil\n")
        secret.chmod(0o600)
        return f"username = user\npassword_file = {secret}\n"

    def start(self, folder, certificates, port):
        return "[route all]\ntransport = secure\n[transport secure]\n" \
            "kind = submissions\nhost = localhost\n" \
            f"port = {port}\nca_file = {certificates}/ca.pem\n" + \
            self.login(folder)


class Asked(Tls):
    name = "submit by TLS, with a password that a command says"

    def login(self, folder):
        return "username = user\npassword_command = echo pencil\n"


class Renewed(Tls):
    """Each time the token has ended, and another is asked for. The issuer
    knows the old login until the new one is used: then none may be lost."""
    name = "submit by TLS, with a token that is renewed"
    mechanism = "OAUTHBEARER"
    weight = 2

    def good_login(self, secret):
        token = re.search("auth=Bearer ([^\1]*)\1", secret)
        return token and self.issuer.good(token.group(1))

    def start(self, folder, certificates, port):
        self.issuer = Issuer(certificates)
        self.issuer.clients["c"] = None
        self.issuer.grace = True
        return super().start(folder, certificates, port) + \
            f"[tls]\nca_file = {certificates}/ca.pem\n"

    def stop(self):
        self.issuer.stop()

    def login(self, folder):
        return f"username = user\noauth = {self.issuer.url}\n" \
            "oauth_client_id = c\n"

    def prepare(self, bench, mid):
        folder = bench.lab.folder / "home/.local/state/posthaste/oauth"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, parents=True)
        made, now = self.issuer.tokens(), int(time.time())
        made["access_token"] = self.issuer.new("access")
        (folder / "secure").write_text(
            f"posthaste-login 1\nissuer {self.issuer.url}\nclient c\n"
            "client_id c\nmethod none\n"
            f"endpoint {self.issuer.url}/token\n"
            f"refresh_token {made['refresh_token']}\n"
            f"access_token {made['access_token']}\n"
            f"obtained {now - 3600}\nexpires {now - 1}\nend\n")
        (folder / "secure").chmod(0o600)

    def settle(self, t, bench, mid):
        super().settle(t, bench, mid)
        status, _, err = super().deed(bench, f"{mid}.again",
                                     bench.env(None, 0, ""))
        want(status == 0, f"then with the same login: {status} {err!r}")


class RenewedFar(Renewed):
    """All goes by the proxy: nobody may see who asks."""
    name = "submit by a SOCKS proxy, with a token that is renewed"
    weight = 3

    def start(self, folder, certificates, port):
        self.proxy = Socks({}, (b"me", b"pass word"))
        self.strangers = []
        lines = super().start(folder, certificates, port)
        self.issuer.server.verify_request = self.is_by_proxy
        return lines

    def is_by_proxy(self, _, client):
        if client not in self.proxy.ends:
            self.strangers.append(client)
        return True

    def stop(self):
        super().stop()
        self.proxy.stop()

    def login(self, folder):
        return super().login(folder) + \
            f"proxy = 127.0.0.1:{self.proxy.port}\n" \
            "proxy_username = me\nproxy_password = pass word\n"

    def judge(self, t, bench, mid, done):
        strangers, self.strangers = self.strangers, []
        want(not strangers, "the issuer was asked past the proxy")
        super().judge(t, bench, mid, done)


class Proxied(Submission):
    name = "submit by a SOCKS proxy"

    def start(self, folder, certificates, port):
        self.proxy = Socks({587: port}, (b"me", b"pass word"))
        return "[route all]\ntransport = far\n[transport far]\n" \
            "kind = smtp\nhost = relay.example.net\nport = 587\n" \
            f"no_starttls = yes\nproxy = 127.0.0.1:{self.proxy.port}\n" \
            "proxy_username = me\nproxy_password = pass word\n"

    def stop(self):
        self.proxy.stop()


class Direct(Submission):
    """To the second of two MX hosts: the first is not there."""
    name = "submit directly, by MX"

    def start(self, folder, certificates, port):
        self.names = Dns({"example.net MX": ["10 mx1.example.net",
                                             "20 mx2.example.net"],
                          "mx1.example.net A": ["127.0.0.2"],
                          "mx2.example.net A": ["127.0.0.1"]})
        return "[route all]\ntransport = mx\n[transport mx]\n" \
            "kind = direct\n[dns]\nallow_loopback_mx = yes\n" \
            f"resolver = 127.0.0.1:{self.names.port}\n"

    def stop(self):
        self.names.stop()


class Chunks(Submission):
    name = "submit by BDAT"
    chunking = True


class LargeChunks(Large):
    name = "submit by BDAT what memory does not hold"
    chunking = True


class Background(Submission):
    """A run in the background delivers it."""
    name = "submit to the queue that a run takes it from"
    queue = "queue = always\nschedule = 1h"

    def deed(self, bench, mid, env):
        done = super().deed(bench, mid, env)
        try:
            eventually(lambda: not runs_in(bench.lab.folder),
                       "the run in the background HANGS: its end", LIMIT)
        finally:
            await_background(bench.lab.folder)
        return done


class Mixed(Submission):
    """Two, by two ways; one of them is refused for good."""
    name = "submit by two transports, of which one refuses"

    def start(self, folder, certificates, port):
        return two_ways(port)

    def rcpts(self, mid):
        return ["a@example.net", "no@other.example"]

    def judge(self, t, bench, mid, done):
        before = t.sink.accepted.count(mid, "a@example.net")
        want(done.status >= 0, f"ended by signal {-done.status}")
        if done.harmless or not done.kind:
            equal((done.status, before), (67, 1), "it did harm")
            want(b"no@other.example" in done.err and
                 b"a@example.net" not in done.err, "who is named")
        # what fails for now is queued, and refused later
        want(done.status in (0, 67, 69, *LACKING), "the status")
        want(done.status == 0 or done.err, "not a word")
        self.settle(t, bench, mid)
        told = b"a@example.net" in done.err or done.status not in (0, 67)
        count(t, bench, mid, "a@example.net", not told, 1, done.err)
        want(before == 0 or not told or done.status == 69 or
             told_words(bench, done.err),
             "delivered, and it is said that it was not")
        equal(len(t.sink.accepted.get(f"report {mid}", ())),
              int(done.status == 0), "reports")


class Local(Submission):
    """Mail that stays here: the files of a folder are what arrived."""
    transport = None

    def start(self, folder, certificates, port):
        return "[route all]\ntransport = here\n[transport here]\n" + \
            self.transport

    def prepare(self, bench, mid):
        for name in ("box", "part"):
            shutil.rmtree(bench.lab.folder / name, ignore_errors=True)
        (bench.lab.folder / "box/new").mkdir(parents=True)
        (bench.lab.folder / "part").mkdir()

    def take(self, t, bench):
        for path in (bench.lab.folder / "box/new").iterdir():
            data = path.read_bytes().replace(b"\n", b"\r\n")
            to = re.search(rb"^(?:Delivered-To|To): (.*)\r", data, re.M)
            want(to, f"this arrived: {data[:300]!r}")
            t.sink.accepted.append(Accepted(
                "s@test.example", [to.group(1).decode()], data, 0))
            path.unlink()

    def judge(self, t, bench, mid, done):
        self.take(t, bench)
        super().judge(t, bench, mid, done)

    def settle(self, t, bench, mid):
        super().settle(t, bench, mid)
        self.take(t, bench)


class Maildir(Local):
    name = "submit to a maildir"
    transport = "kind = maildir\npath = {folder}/box\n"


class Command(Local):
    """One that has the message only if it was all there."""
    name = "submit to a command"
    before = 200 * (900 * "x" + "\n")      # more than a pipe holds
    transport = "kind = command\ncommand = f=$(mktemp {folder}/part/XXXXXX)" \
        " && cat >$f && mv $f {folder}/box/new/\n"


class Session(Way):
    """Two messages by -bs."""
    name = "-bs"
    args = ()

    def deed(self, bench, mid, env):
        child = subprocess.Popen(
            [POSTHASTE, "-C", str(bench.lab.config), "-bs", *self.args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=env, cwd=bench.lab.folder,
            start_new_session=True, bufsize=0)
        try:
            verdicts = Dialogue(child).two(mid)
            status, out, err = harness.finish(child, b"", LIMIT)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.communicate()
        return status, verdicts, err

    def judge(self, t, bench, mid, done):
        verdicts = done.out
        want(done.status >= 0, f"ended by signal {-done.status}")
        want(done.status in (0, *LACKING), "the status")
        mids = [f"{mid}.{n}" for n in (1, 2)]
        before = [t.sink.accepted.count(m, "a@example.net") for m in mids]
        if done.harmless or not done.kind:
            equal((verdicts, done.status, done.err), ([250, 250], 0, b""),
                  "it did harm")
        for code, n in zip(verdicts, before):
            want(code is None or code == 250 or 400 <= code < 500,
                 f"answer {code}")
            want(code in (None, 250) or not n or
                 told_words(bench, done.err),
                 f"delivered, and answer {code}")
        want(done.status == 0 or done.err or 421 in verdicts, "not a word")
        self.settle(t, bench, mid)
        for m, code, n in zip(mids, verdicts, before):
            # without an answer nobody knows
            count(t, bench, m, "a@example.net", int(code == 250),
                  1 if code in (250, None) or n else 0, done.err)


class SessionQueued(Session):
    name = "-bs to the queue"
    args = ("-odq",)


class Dialogue:
    """The client of a session; an answer is its code, None: there is none."""
    def __init__(self, child):
        self.child, self.data = child, b""
        self.end = time.monotonic() + LIMIT

    def answer(self):
        while True:
            line, nl, rest = self.data.partition(b"\n")
            if nl:
                self.data = rest
                if line[3:4] != b"-":
                    return int(line[:3])
                continue
            ready, _, _ = select.select([self.child.stdout], [], [],
                                        max(0, self.end - time.monotonic()))
            want(ready, "HANGS")
            more = os.read(self.child.stdout.fileno(), 4096)
            if not more:
                return None
            self.data += more

    def say(self, text):
        try:
            self.child.stdin.write(text.encode())
        except BrokenPipeError:
            return None
        return self.answer()

    def two(self, mid):
        verdicts = []
        if self.answer() is None or self.say("EHLO client\r\n") is None:
            return [None, None]
        body = re.sub(r"(?m)^\.", "..", BODY).replace("\n", "\r\n")
        for n in (1, 2):
            code = self.say("MAIL FROM:<s@test.example>\r\n")
            if code == 250:
                code = self.say("RCPT TO:<a@example.net>\r\n")
            if code == 250:
                code = self.say("DATA\r\n")
            if code == 354:
                code = self.say(f"Message-ID: <{mid}.{n}>\r\n"
                                f"Subject: test\r\n\r\n{body}\r\n.\r\n")
            verdicts.append(code)
            if code != 250 and code is not None:
                self.say("RSET\r\n")
        self.say("QUIT\r\n")
        return verdicts


class Run(Way):
    """Two entries, one of which is refused for now."""
    name = "-q"

    def mids(self, mid):
        return {mid: "a@example.net", mid + ".l": f"later{mid}@example.net"}

    def prepare(self, bench, mid):
        for i, (m, rcpt) in enumerate(self.mids(mid).items()):
            bench.lab.put(i, entry_bytes([rcpt], message_bytes(m, WIRE_BODY)))

    def deed(self, bench, mid, env):
        return play([POSTHASTE, "-C", str(bench.lab.config), "-q"], b"", env,
                    bench.lab.folder)

    def judge(self, t, bench, mid, done):
        done.judge_status()
        if done.harmless:
            equal([t.sink.accepted.count(m, r) for m, r in
                   self.mids(mid).items()], [1, 0], "at once")
            equal(len(bench.lab.names()), 1, "entries")
        self.settle(t, bench, mid)
        for m, rcpt in self.mids(mid).items():
            count(t, bench, m, rcpt, 1, 1, done.err)
        want(f"report {mid}" not in t.sink.accepted and
             f"report {mid}.l" not in t.sink.accepted, "it was given up")


class Report(Way):
    """A message that is refused for one, and reaches the other."""
    name = "-q that reports"

    def prepare(self, bench, mid):
        bench.lab.put(1, entry_bytes(["no@other.example", "a@example.net"],
                                     message_bytes(mid, WIRE_BODY)))

    deed = Run.deed

    def judge(self, t, bench, mid, done):
        done.judge_status()
        self.settle(t, bench, mid)
        count(t, bench, mid, "a@example.net", 1, 1, done.err)
        reports = t.sink.accepted.get(f"report {mid}", ())
        want(reports, "the report is LOST")
        equal(len({r.id for r in reports}), 1, "reports made")
        want(len(reports) == 1 or told_words(bench, done.err),
             f"the report came {len(reports)} times")
        for r in reports:
            want(b"no@other.example" in r.data and
                 b"a@example.net" not in r.data.replace(
                     b"no@other.example", b""), "about whom")


class Told(Report):
    """The same by two transports; and a command is told of the failure."""
    name = "-q that reports and tells a command"
    queue = "queue = on_failure\nschedule = 1h\n" \
        "on_failure = read line && echo \"$line\" >>{folder}/told"

    def start(self, folder, certificates, port):
        return two_ways(port)

    def prepare(self, bench, mid):
        (bench.lab.folder / "told").unlink(missing_ok=True)
        super().prepare(bench, mid)

    def judge(self, t, bench, mid, done):
        super().judge(t, bench, mid, done)
        path = bench.lab.folder / "told"
        told = path.read_text().splitlines() if path.exists() else []
        want(told or "on_failure: " in bench.lab.log(),
             "the command was not told")
        if done.harmless or not done.kind:
            equal(len(told), 1, "how often it was told")
        for line in told:
            equal([r["address"] for r in json.loads(line)["recipients"]],
                  ["no@other.example"], "of whom it was told")


class Drop(Way):
    name = "posthaste-drop"
    queue = "queue = on_failure\nschedule = 0s"

    def deed(self, bench, mid, env):
        entry = entry_bytes(["a@example.net"], message_bytes(mid, WIRE_BODY))
        return play([DROP, "write", "0"],
                    b"posthaste-drop 1 %d\n" % len(entry) + entry, env,
                    bench.lab.folder)

    def judge(self, t, bench, mid, done):
        done.judge_status()
        names = bench.lab.names()
        equal(len(names), int(done.status == 0), "entries")
        if names:
            equal(done.out.decode().strip(), names[0].split(",")[0], "id")
        self.settle(t, bench, mid)
        want_n = int(done.status == 0)
        count(t, bench, mid, "a@example.net", want_n, want_n)


class DropList(Drop):
    name = "posthaste-drop that lists"

    def prepare(self, bench, mid):
        bench.lab.put(1, entry_bytes(["a@example.net"],
                                     message_bytes(mid, WIRE_BODY)))

    def deed(self, bench, mid, env):
        return play([DROP, "list"], b"", env, bench.lab.folder)

    def judge(self, t, bench, mid, done):
        done.judge_status()
        equal(len(bench.lab.names()), 1, "entries")
        want(done.status or b"rcpt a@example.net\n" in done.out,
             f"0, and the list is {done.out!r}")
        self.settle(t, bench, mid)
        count(t, bench, mid, "a@example.net", 1, 1)


WAYS = [Plain, Later, Large, Chunks, LargeChunks, Queued, NewQueue, Background,
        Mixed, Proxied, Direct, Tls, Asked, Renewed, RenewedFar,
        Maildir, Command, Session,
        SessionQueued, Run, Report, Told, Drop, DropList]
