#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Talks to posthaste -bs as its callers do, with the scripted server of
tests/wire as the relay. TAP on standard output; arguments: names of tests.

POSTHASTE, WIRE_SERVER  as for tests/wire/run.py
"""

import os
import pathlib
import re
import select
import smtplib
import socket
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import Failure, want  # noqa: E402

CONFIG = """[general]
hostname = client.example.test
domain = example.test
{general}
[queue]
queue = {queue}
directory = {folder}/queue
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


class Session:
    """posthaste -bs and a relay behind it."""

    def __init__(self, folder, certificates, argv=(), general="",
                 queue="never", script="", ends=None):
        self.folder = folder
        self.relay = harness.Server(folder, 1, script + "\n", certificates)
        self.events = None
        config = pathlib.Path(folder, "config")
        config.write_text(CONFIG.format(folder=folder, general=general,
                                        queue=queue, port=self.relay.port))
        if queue != "never":
            os.makedirs(f"{folder}/queue", 0o700, exist_ok=True)
        self.argv = [harness.POSTHASTE, "-C", str(config)]
        self.env = harness.environment(folder)
        theirs = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        if ends:
            theirs = {"stdin": ends, "stdout": ends}
        self.child = subprocess.Popen(
            self.argv + ["-bs"] + list(argv), stderr=subprocess.PIPE,
            env=self.env, cwd=folder, **theirs)
        self.got = b""

    def write(self, data):
        try:
            self.child.stdin.write(data)
            self.child.stdin.flush()
        except OSError as why:
            raise Failure(f"it does not read on: {why}") from why

    def line(self):
        while b"\n" not in self.got:
            ready, _, _ = select.select([self.child.stdout], [], [], 20)
            want(ready, "no reply within 20 s")
            more = os.read(self.child.stdout.fileno(), 65536)
            want(more, f"end of output behind {self.got}")
            self.got += more
        line, _, self.got = self.got.partition(b"\n")
        want(line.endswith(b"\r"), f"{line} does not end in CRLF")
        return line[:-1].decode()

    def reply(self, code=None):
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        text = "\n".join(lines)
        want(code is None or lines[-1].startswith(code),
             f"wanted {code}, got {text}")
        want(len({line[:3] for line in lines}) == 1, text)
        return text

    def say(self, text, code, end="\r\n"):
        self.write((text + end).encode())
        return self.reply(code)

    def nothing_more(self):
        ready, _, _ = select.select([self.child.stdout], [], [], 0)
        want(not self.got and not ready, f"unasked for: {self.got}")

    def end(self, status=0, words=b""):
        """The end of input; gives the messages that arrived."""
        if self.child.stdin:
            self.child.stdin.close()
        try:
            found = self.child.wait(30)
        finally:
            self.stop()
        want(found == status, f"status {found}, not {status}")
        errors = self.child.stderr.read()
        want(errors == words, f"standard error: {errors}")
        audits = [e["what"] for e in self.events if e["event"] == "audit"]
        want(not audits, f"the relay noted {audits}")
        return [e for e in self.events
                if e["event"] == "message" and e["accepted"]]

    def rest(self):
        return self.got + self.child.stdout.read()

    def stop(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        if self.events is None:
            self.events = self.relay.stop()

    def body(self, message):
        """What came behind the header."""
        return self.relay.message(message).partition(b"\r\n\r\n")[2]


TESTS = []


def test(**options):
    """Registers a function of a session."""
    def register(function):
        def run(folder, certificates):
            session = Session(folder, certificates, **options)
            try:
                function(session)
            finally:
                session.stop()
        TESTS.append((function.__name__.replace("_", "-"), run))
        return function
    return register


def dialogue(session, end="\r\n", recipients=("b@example.org",),
             sender="a@example.test", greet=True):
    """Up to the 354."""
    if greet:
        session.reply("220 client.example.test ")
        session.say("EHLO [127.0.0.1]", "250", end)
    session.say(f"MAIL FROM:<{sender}>", "250 2.1.0 ", end)
    for recipient in recipients:
        session.say(f"RCPT TO:<{recipient}>", "250 2.1.5 ", end)
    session.say("DATA", "354 ", end)


def one_message(session, count=1):
    """The rest of a run in which so many messages arrived."""
    messages = session.end()
    want(len(messages) == count, f"{len(messages)} messages, not {count}")
    return messages[0]


# --- how callers talk ---

@test(argv=["-oi"])
def symfony(session):
    greeting = session.reply("220 ")
    want(" ESMTP" in greeting, greeting)
    features = session.say("EHLO [127.0.0.1]", "250").split("\n")
    names = {line[4:].split()[0] for line in features[1:]}
    want(names == {"PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "DSN",
                   "ENHANCEDSTATUSCODES"}, names)
    for number in range(3):
        session.say("MAIL FROM:<a@example.test>", "250 ")
        session.say("RCPT TO:<b@example.org>", "250 ")
        session.say("DATA", "354 ")
        session.write(b"From: a@example.test\r\nSubject: %d\r\n\r\n"
                      b"..stuffed\r\nlast\r\n.\r\n" % number)
        session.reply("250 2.0.0 ")
        session.say("NOOP", "250 ")
    session.say("MAIL FROM:<a@example.test>", "250 ")
    session.say("RSET", "250 ")
    session.say("QUIT", "221 ")
    message = one_message(session, 3)
    want(session.body(message) == b".stuffed\r\nlast\r\n",
         session.body(message))


@test()
def typed_by_hand(session):
    session.reply("220 ")
    session.say("helo me", "250 ", "\n")
    session.say("mail from: a@example.test", "250 ", "\n")
    session.say("rcpt to: b@example.org", "250 ", "\n")
    session.say("data", "354 ", "\n")
    session.write(b"Subject: s\n\nhello\n..\n.\n")
    session.reply("250 ")
    session.say("quit", "221 ", "\n")
    want(session.body(one_message(session)) == b"hello\r\n.\r\n", "body")


ALL_AT_ONCE = (b"EHLO me\r\nMAIL FROM:<a@example.test>\r\n"
               b"RCPT TO:<b@example.org>\r\nRCPT TO:<c@example.org>\r\n"
               b"DATA\r\nSubject: s\r\n\r\none\r\n.\r\n"
               b"MAIL FROM:<a@example.test>\r\nRCPT TO:<d@example.org>\r\n"
               b"DATA\r\nSubject: s\r\n\r\ntwo\r\n.\r\nQUIT\r\n")
ANSWERS = ["220", "250", "250", "250", "250", "354", "250", "250", "250",
           "354", "250", "221"]


@test()
def pipelined_in_one_write(session):
    session.write(ALL_AT_ONCE)
    for code in ANSWERS:
        session.reply(code)
    want(session.body(one_message(session, 2)) == b"one\r\n", "body")


@test()
def byte_by_byte(session):
    for i in range(len(ALL_AT_ONCE)):
        session.write(ALL_AT_ONCE[i:i + 1])
        if i % 16 == 0:
            time.sleep(0.001)
    for code in ANSWERS:
        session.reply(code)
    one_message(session, 2)
    want(session.rest() == b"", "more answers than questions")


def python_smtplib(folder, certificates):
    ours, theirs = socket.socketpair()
    session = Session(folder, certificates, ends=theirs)
    theirs.close()

    class Client(smtplib.SMTP):
        def _get_socket(self, host, port, timeout):
            ours.settimeout(20)
            return ours
    try:
        with Client("localhost", 25, "me") as client:
            refused = client.sendmail(
                "a@example.test", ["b@example.org", "c@example.org"],
                "Subject: s\n\n.dot\nhi\n",
                mail_options=["BODY=8BITMIME"],
                rcpt_options=["NOTIFY=FAILURE"])
            want(not refused, refused)
            want(client.verify("x")[0] == 252, "VRFY")
            try:
                client.sendmail("a@example.test", ["nouser@example.org"],
                                "Subject: s\n\nhi\n")
                raise Failure("nobody was refused")
            except smtplib.SMTPDataError as why:
                want(why.smtp_code == 550, why)
        message = one_message(session)
        want(message["to"] == ["b@example.org", "c@example.org"], message)
        want(session.body(message) == b".dot\r\nhi\r\n", "body")
        want(all("NOTIFY=FAILURE" in p for p in message["to_params"]),
             message)
    finally:
        session.stop()
        ours.close()


# --- nothing is smuggled in ---

def smuggled(name, end, trick, expected):
    """trick stands between two parts of one message."""
    def run(folder, certificates):
        session = Session(folder, certificates)
        try:
            dialogue(session, end)
            line = end.encode()
            session.write(b"Subject: s" + line + line + b"one" + trick +
                          b"MAIL FROM:<x@example.test>" + line +
                          b"." + line)
            session.reply("250 ")
            session.nothing_more()
            session.say("QUIT", "221 ", end)
            message = one_message(session)
            body = session.body(message)
            want(body == b"one" + expected + b"MAIL FROM:<x@example.test>"
                 b"\r\n", body)
        finally:
            session.stop()
    TESTS.append((f"smuggling-{name}", run))


LONE = b"\r\n.\r\n"
smuggled("lf-after-crlf", "\r\n", b"\n.\n", LONE)
smuggled("lf-crlf-after-crlf", "\r\n", b"\n.\r\n", LONE)
smuggled("crlf-lf-after-crlf", "\r\n", b"\r\n.\n", b"\r\n\r\n")
smuggled("cr-after-crlf", "\r\n", b"\r.\r", LONE)
smuggled("cr-crlf-after-crlf", "\r\n", b"\r.\r\n", LONE)
smuggled("crlf-cr-after-crlf", "\r\n", b"\r\n.\r", b"\r\n\r\n")
smuggled("crcrlf-after-crlf", "\r\n", b"\r\n.\r\r\n", b"\r\n\r\n")
smuggled("crlf-after-lf", "\n", b"\r\n.\r\n", b"\r\n\r\n")
smuggled("lf-crlf-after-lf", "\n", b"\n.\r\n", b"\r\n\r\n")
smuggled("cr-after-lf", "\n", b"\r.\r", LONE)
smuggled("cr-lf-after-lf", "\n", b"\r.\n", LONE)


# --- input that is not whole or not right ---

CUT_SHORT = b"posthaste: the input ended within a message\n"

@test()
def end_of_input_within_data(session):
    dialogue(session)
    session.write(b"Subject: s\r\n\r\nhalf a message\r\n.")
    want(not session.end(status=74, words=CUT_SHORT), "it was sent")
    want(session.rest() == b"", "an answer")


@test()
def end_within_data_behind_a_message(session):
    dialogue(session)
    session.write(b"Subject: s\r\n\r\none\r\n.\r\n")
    session.reply("250 ")
    dialogue(session, greet=False)
    session.write(b"Subject: s\r\n\r\ntwo\r\n")
    # not 75 or 74: a caller would send the first one again
    want(len(session.end(status=69, words=CUT_SHORT)) == 1,
         "not one message")


@test()
def end_between_messages(session):
    session.reply("220 ")
    session.say("EHLO me", "250")
    session.say("MAIL FROM:<a@example.test>", "250 ")
    session.write(b"QUIT")
    want(not session.end(status=0), "a message")


@test(general="max_message_size = 1000")
def bad_messages_do_not_end_it(session):
    session.reply("220 ")
    want("250-SIZE 1000\n" in session.say("EHLO me", "250"), "no SIZE")
    session.say("MAIL FROM:<a@example.test> SIZE=1001", "552 5.3.4 ")
    dialogue(session, greet=False)
    session.write(b"Subject: NUL\0\r\n\r\nhi\r\n.\r\n")
    want("NUL" in session.reply("554 5."), "no word of the NUL")
    dialogue(session, greet=False)
    session.write(b"Subject: s\r\n\r\n" + b"0123456789\r\n" * 90 + b".\r\n")
    session.reply("552 5.3.4 ")
    dialogue(session, greet=False)
    session.write(b"Subject: s\r\n\r\ngood\r\n.\r\n")
    session.reply("250 ")
    session.say("QUIT", "221 ")
    want(session.body(one_message(session)) == b"good\r\n", "body")


@test()
def received_fields(session):
    dialogue(session)
    session.write(b"Received: x\r\n" * 51 + b"\r\n.\r\n")
    session.reply("554 5.4.6 ")
    session.say("QUIT", "221 ")
    want(not session.end(), "it was sent")


@test()
def sequences(session):
    session.reply("220 ")
    session.say("RCPT TO:<b@example.org>", "503 ")
    session.say("DATA", "503 ")
    session.say("EHLO", "501 ")
    session.say("EHLO me", "250")
    session.say("MAIL FROM:<a@example.test>", "250 ")
    session.say("MAIL FROM:<a@example.test>", "503 ")
    session.say("DATA", "503 ")
    session.say("RCPT TO:<b@example.org>", "250 ")
    session.say("DATA now", "501 ")
    session.say("EHLO me", "250")
    session.say("RCPT TO:<b@example.org>", "503 ")
    session.say("HELP", "214 ")
    session.say("VRFY x", "252 ")
    session.say("BDAT 3 LAST", "500 ")
    session.say("NO\0OP", "500 ")
    session.say("NOOP x\ry", "500 ")
    session.say("NOOP", "250 ")
    session.end()


@test()
def syntax(session):
    session.reply("220 ")
    for bad in ("MAIL", "MAIL FROM", "MAIL FROM:", "MAIL FROM:<a",
                "MAIL FROM:<a b@x.example>", "MAIL FROM:<a@x.example>y",
                "MAIL FROM:<> ENVID=+0A", "MAIL FROM:<> BODY=9BIT"):
        session.say(bad, "501 ")
    session.say("MAIL FROM:<> X=1", "555 ")
    session.say("MAIL FROM:<>", "250 ")
    for bad in ("RCPT", "RCPT TO:<>", "RCPT TO:b", "RCPT TO:<b@@x.example>",
                "RCPT TO:<b@x.example> NOTIFY=NEVER,DELAY"):
        session.say(bad, "501 ")
    session.say("RCPT TO:<root>", "250 ")
    session.say("RCPT TO:<\"a > b\"@example.org>", "250 ")
    session.say("DATA", "354 ")
    session.write(b"Subject: s\r\n\r\nhi\r\n.\r\n")
    session.reply("250 ")
    message = one_message(session)
    want(message["from"] == "", message)
    want(message["to"] == ["root@example.test",
                           "\"a > b\"@example.org"], message)


@test()
def long_lines_and_many_faults(session):
    session.reply("220 ")
    session.say("NOOP " + "x" * 4000, "250 ")
    session.say("NOOP " + "x" * 5000, "500 5.5.2 ")
    session.say("NOOP " + "x" * 500000, "500 5.5.2 ")
    session.say("NOOP", "250 ")
    for _ in range(19):
        session.say("FOO", "500 ")
    session.write(b"FOO\r\n")
    session.reply("500 ")
    session.reply("421 ")
    session.end(status=76)


@test()
def long_line_that_never_ends(session):
    session.reply("220 ")
    session.write(b"x" * 1000000)
    session.end(status=0)


# --- recipients and results ---

@test()
def some_refused(session):
    dialogue(session, recipients=("b@example.org", "nouser@example.org"))
    session.write(b"Subject: s\r\n\r\nhi\r\n.\r\n")
    answer = session.reply("250 ")
    want("nouser@example.org" in answer and "550" in answer, answer)
    want("b@example.org" not in answer.replace("nouser@", ""), answer)
    want(one_message(session)["to"] == ["b@example.org"], "recipients")


@test()
def all_refused(session):
    dialogue(session, recipients=("nouser@example.org",
                                  "nouser@example.net"))
    session.write(b"Subject: s\r\n\r\nhi\r\n.\r\n")
    answer = session.reply("550 5.1.1 ")
    want("nouser@example.net" in answer, answer)
    dialogue(session, greet=False, recipients=("tempfail@example.org",
                                               "nouser@example.org"))
    session.write(b"Subject: s\r\n\r\nhi\r\n.\r\n")
    session.reply("451 4.")
    session.say("QUIT", "221 ")
    want(not session.end(), "it was sent")


@test(script="on greeting\n    reply 421 4.3.2 not now\n    close")
def server_says_421(session):
    dialogue(session)
    session.write(b"Subject: s\r\n\r\nhi\r\n.\r\n")
    # 421 would end our own session
    session.reply("451 4.")
    session.say("NOOP", "250 ")
    want(not session.end(), "it was sent")


@test(script="on auth\n    reply 535 5.7.8 no\non mail\n"
             "    reply 530 5.7.0 authenticate first")
def server_wants_authentication(session):
    dialogue(session)
    session.write(b"Subject: s\r\n\r\nhi\r\n.\r\n")
    # our client cannot authenticate here
    session.reply("554 5.7.0 ")
    want(not session.end(), "it was sent")


def refused(session, n):
    """The lines of an answer for n recipients of whom none is there."""
    names = [f"nouser@x{i}.example.org" for i in range(n)]
    dialogue(session, recipients=names)
    session.write(b"Subject: s\r\n\r\nhi\r\n.\r\n")
    lines = session.reply("550 ").split("\n")
    session.end()
    want(max(map(len, lines)) <= 510, "a long line")
    named = re.findall(r"nouser@[\w.]*\w", "\n".join(lines))
    want(set(named) <= set(names), "somebody else")
    return lines, set(named)


@test()
def some_recipients_refused(session):
    lines, named = refused(session, 50)
    want(len(named) == len(lines) == 50, (len(named), lines))


@test()
def many_recipients_refused(session):
    lines, named = refused(session, 1000)
    want(len(named) == 1000, f"{len(named)} named")
    want(len(lines) <= 100, len(lines))
    want("more" not in lines[-1], lines[-1])


@test()
def too_many_recipients_refused(session):
    lines, named = refused(session, 5000)
    want(len(named) > 1000 and len(lines) <= 100, (len(named), len(lines)))
    want(f" and {5000 - len(named)} more" in lines[-1], lines[-1])


@test(script="on dot\n    close")
def many_recipients_refused_and_many_in_doubt(session):
    """The reason of those who decided the code is there; none of those who
    may have got it is said not to have."""
    names = [f"nouser@x{i}.example.org" for i in range(30)]
    doubtful = [f"d{i}@example.org" for i in range(40)]
    dialogue(session, recipients=names + doubtful)
    session.write(b"Subject: s\r\n\r\nhi\r\n.\r\n")
    lines = session.reply("451 4.").split("\n")
    reasons = [line for line in lines if ": " in line]
    want(reasons and all("(it may have been delivered)" in line and
                         "not sent to d" in line for line in reasons), lines)
    rest = [line for line in lines if line not in reasons]
    for line in rest:
        want(("may have been delivered to d" in line) == ("nouser" not in line),
             line)
    want(all(name in "\n".join(lines) for name in names + doubtful),
         lines)
    session.end()


@test()
def as_many_recipients_as_a_message_may_have(session):
    session.reply("220 ")
    session.say("EHLO me", "250 ")
    session.say("MAIL FROM:<a@example.test>", "250 ")
    for _ in range(65536 // 1024):
        session.write(b"RCPT TO:<b@example.org>\r\n" * 1024)
        for _ in range(1024):
            session.reply("250 2.1.5 ")
    session.say("RCPT TO:<c@example.org>", "452 4.5.3 ")
    session.say("DATA", "354 ")
    session.write(b"Subject: s\r\n\r\nhi\r\n.\r\n")
    session.reply("250 ")
    want(one_message(session)["to"] == ["b@example.org"], "another one")


@test(argv=["-N", "delay", "-V", "mine"])
def dsn_parameters(session):
    session.reply("220 ")
    session.say("EHLO me", "250")
    session.say("MAIL FROM:<a@example.test> RET=HDRS ENVID=yours+2B1",
                "250 ")
    session.say("RCPT TO:<b@example.org> NOTIFY=NEVER", "250 ")
    session.say("RCPT TO:<c@example.org> NOTIFY=success,failure "
                "ORCPT=rfc822;d+2Be@example.org", "250 ")
    session.say("RCPT TO:<f@example.org>", "250 ")
    session.say("DATA", "354 ")
    session.write(b"Subject: s\r\n\r\nhi\r\n.\r\n")
    session.reply("250 ")
    message = one_message(session)
    params = message["params"].split()
    want("RET=HDRS" in params and "ENVID=yours+2B1" in params, params)
    theirs = [sorted(p.split()) for p in message["to_params"]]
    want(theirs[0] == ["NOTIFY=NEVER"], theirs)
    want(theirs[1] == ["NOTIFY=SUCCESS,FAILURE",
                       "ORCPT=rfc822;d+2Be@example.org"], theirs)
    want(theirs[2] == ["NOTIFY=DELAY"], theirs)


@test(argv=["-f", "other@example.test"])
def mail_from_decides(session):
    dialogue(session, sender="said@example.test")
    session.write(b"Bcc: x@example.org\r\nSubject: s\r\n\r\nhi\r\n.\r\n")
    session.reply("250 ")
    message = one_message(session)
    want(message["from"] == "said@example.test", message)
    want(message["to"] == ["b@example.org"], message)
    want(b"Bcc" not in session.relay.message(message), "Bcc was kept")


@test()
def large_message(session):
    dialogue(session)
    text = b"0123456789abcdef" * 4 + b"\r\n"
    session.write(b"Subject: s\r\n\r\n" + text * 50000 + b".\r\n")
    session.reply("250 ")
    # the message, and not its size, is what must fit
    status = pathlib.Path(f"/proc/{session.child.pid}/status").read_text()
    most = int(re.search(r"VmHWM:\s+(\d+)", status).group(1))
    if b"__asan_init" not in pathlib.Path(harness.POSTHASTE).read_bytes():
        want(most < 20000, f"{most} kB of memory")
    want(session.body(one_message(session)) == text * 50000, "body")


# --- the queue ---

def queued(session):
    listing = subprocess.run(session.argv + ["-bp"], env=session.env,
                             stdin=subprocess.DEVNULL, timeout=30,
                             stdout=subprocess.PIPE, check=True)
    return listing.stdout.decode()


@test(argv=["-odq"], queue="on_failure")
def queue_only(session):
    dialogue(session)
    session.write(b"Subject: s\r\n\r\nhi\r\n.\r\n")
    answer = session.reply("250 2.0.0 ")
    identity = answer.split()[-1]
    want(identity in queued(session), answer)
    want(not session.end(), "it was sent at once")


@test(queue="on_failure")
def queue_on_failure(session):
    dialogue(session, recipients=("tempfail@example.org",
                                  "nouser@example.org"))
    session.write(b"Subject: s\r\n\r\nhi\r\n.\r\n")
    answer = session.reply("250 2.0.0 ")
    identity = re.search(r"queued as (\S+)", answer).group(1)
    want("nouser@example.org" in answer, answer)
    listing = queued(session)
    want(identity in listing and "nouser" not in listing, listing)
    want(not session.end(), "it was sent")


@test(argv=["-odi"], queue="always")
def now_with_queue_always(session):
    dialogue(session)
    session.write(b"Subject: s\r\n\r\nhi\r\n.\r\n")
    session.reply("250 2.0.0 sent")
    want("empty" in queued(session), "it is still queued")
    one_message(session)


def main():
    return harness.tap(TESTS + [("python-smtplib", python_smtplib)])


if __name__ == "__main__":
    sys.exit(main())
