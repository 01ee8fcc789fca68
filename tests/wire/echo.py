#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that repeats what it was told: no password, token or response
leaves by any way out of its words, while code and reason do. TAP."""

import base64
import datetime
import glob
import json
import os
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import want  # noqa: E402

PASSWORD = "Ge-heim+7/lang.genug"
STALE, TOKEN = "ya29.stale-Token_0815xyz", "ya29.fresh-Token_4711abc"
MESSAGE = b"From: a@example.test\nTo: b@example.org\nSubject: s\n\nhi\n"

ECHOES = {
    "whole": ["535 5.7.8 refused: %SAID%"],
    # servers cut long lines, before or after
    "cut": ["535 5.7.8 refused: \"%SAID:0:-7%"],
    "end": ["535 5.7.8 refused: ...%SAID:13:0%"],
    "folded": ["535-5.7.8 refused: %SAID:0:14%", "535-5.7.8 %SAID:14:25%",
               "535-5.7.8 %SAID:25:33%", "535 5.7.8 %SAID:33:0%"],
    # what they read from it, as it is and in their own base64
    "clear": ["535 5.7.8 refused: {secret}"],
    "encoded": ["535 5.7.8 refused: {encoded}"],
}
MECHANISMS = ["PLAIN", "LOGIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1",
              "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "XOAUTH2", "OAUTHBEARER"]


class Case:
    def __init__(self, folder, certificates, mechanism, rules, log="text",
                 queue="never", more="auth"):
        self.folder = folder
        self.secrets = [TOKEN, STALE] if "OAUTH" in mechanism else [PASSWORD]
        rules = "\n".join(rules)
        self.server = harness.Server(
            folder, 1, f"tls implicit\nauth {mechanism}\npassword other\n"
            + rules + "\n", certificates)
        secret = (f"token_command = test -f {folder}/once && echo {TOKEN} && "
                  f"exit; touch {folder}/once; echo {STALE}"
                  if "OAUTH" in mechanism else
                  f"password = {PASSWORD}")
        self.path = f"{folder}/config"
        with open(self.path, "w", opener=private) as f:
            f.write(f"""[general]
hostname = client.example.test
domain = example.test
timeout = 10s
[log]
to = {folder}/log
format = {log}
[queue]
queue = {queue}
directory = {folder}/queue
schedule = 0s
delay_report_after = 1
[route all]
transport = relay
[transport relay]
kind = submissions
host = localhost
port = {self.server.port}
ca_file = {certificates}/ca.pem
username = user
mechanisms = {mechanism}
{secret}
""")
        self.env = harness.environment(folder)
        self.seen = b""

    def run(self, *argv, stdin=MESSAGE):
        status, out, err = harness.run(["-C", self.path, *argv], stdin,
                                       self.env, self.folder)
        self.seen += out + b"\n" + err + b"\n"
        return status, out.decode(), err.decode()

    def expire(self):
        """What is queued has had its time."""
        with open(self.path, "a") as f:
            f.write("[queue]\nlifetime = 1s\n")
        oldest = time.time() + 20
        while time.time() < oldest:
            _, out, _ = self.run("-bp", "--json", stdin=b"")
            queued = json.loads(out)[0]["queued"]
            if time.time() > seconds(queued) + 1.5:
                return
            time.sleep(0.1)

    def finish(self, reason="refused"):
        """Stops the server and looks through all that anybody can see."""
        events = self.server.stop()
        said = [e["text"] for e in events if e["event"] == "line"]
        parts = list(self.secrets)
        # without the characters that depend on what stands around it
        parts += [base64.b64encode(("x" * i + s).encode()).decode()[i and i + 1
                                                                    :-4]
                  for s in parts for i in range(3)]
        for i, line in enumerate(said):
            words = line.split()
            if words[:1] == ["AUTH"]:
                parts += words[2:]
                in_auth = True
            elif len(words) == 1 and len(line) > 7 and in_auth:
                parts.append(line)
            else:
                in_auth = False
        for name in glob.glob(f"{self.folder}/log") + glob.glob(
                f"{self.folder}/queue/**", recursive=True):
            if os.path.isfile(name):
                with open(name, "rb") as f:
                    self.seen += f.read() + b"\n"
        text = self.seen.decode("latin-1")
        # 76 characters a line, as a report has them
        flat = text.replace("\r", "").replace("\n ", "").replace("\n", "")
        want(reason in text, f"no reason is left: {text}")
        want("535" in text, f"the code is gone: {text}")
        for part in parts:
            for i in range(max(1, len(part) - 6)):
                piece = part[i:i + 7]
                for where in (text, flat):
                    at = where.lower().find(piece.lower())
                    want(at < 0, f"{piece!r} of {part!r} is shown: "
                         f"{where[max(0, at - 200):at + 80]}")


def seconds(when):
    return when if isinstance(when, (int, float)) else \
        datetime.datetime.fromisoformat(
            when.replace("Z", "+00:00")).timestamp()


def private(path, flags):
    return os.open(path, flags, 0o600)


def rules(lines, mechanism):
    """For a token that is renewed: the old one, then the new one."""
    out = []
    for secret in [STALE, TOKEN] if "OAUTH" in mechanism else [PASSWORD]:
        encoded = " ".join(base64.b64encode((before + secret).encode())
                           .decode() for before in ("", ":", "u:"))
        out += ["on auth-final nth=2" if secret == TOKEN else
                "on auth-final nth=1" if secret == STALE else "on auth-final"]
        out += ["  reply " + line.replace("{secret}", secret)
                .replace("{encoded}", encoded) for line in lines]
    return out


def sending(mechanism, echo, log):
    def test(folder, certificates):
        case = Case(folder, certificates, mechanism, rules(ECHOES[echo], mechanism),
                    log)
        status, _, err = case.run("-v", "-i", "b@example.org")
        want(status == 77, f"status {status}")
        want("535 5.7.8 refused" in err, err)
        case.finish()
    return test


def answering(mechanism):
    def test(folder, certificates):
        case = Case(folder, certificates, mechanism, rules(ECHOES["whole"], mechanism))
        _, out, _ = case.run(
            "-bs", stdin=b"EHLO x\r\nMAIL FROM:<a@example.test>\r\n"
            b"RCPT TO:<b@example.org>\r\nDATA\r\nSubject: s\r\n\r\nhi\r\n"
            b".\r\nQUIT\r\n")
        want("refused" in out, out)
        case.finish()
    return test


def probing(mechanism):
    def test(folder, certificates):
        case = Case(folder, certificates, mechanism, rules(ECHOES["whole"], mechanism))
        status, out, err = case.run("--probe", "relay")
        want(status == 77 and (out + err).count("535 5.7.8 refused") == 1,
             out + err)
        status, out, _ = case.run("--probe", "--json", "relay")
        want("refused" in json.loads(out)["error"], out)
        case.finish()
    return test


def keeping(mechanism):
    def test(folder, certificates):
        case = Case(folder, certificates, mechanism,
                    rules(ECHOES["folded"], mechanism), "json", "on_failure")
        case.run("-odq", "-i", "b@example.org")
        case.run("-v", "-qI", "")
        _, out, _ = case.run("-bp", stdin=b"")
        want("refused" in out, out)
        _, out, _ = case.run("-bp", "--json", stdin=b"")
        for entry in json.loads(out):
            case.run("--show", entry["id"], stdin=b"")
        case.expire()
        case.run("-v", "-qI", "")
        _, out, _ = case.run("-bp", "--json", stdin=b"")
        for report in json.loads(out):
            case.run("--show", report["id"], stdin=b"")
        case.finish()
        # it has as little time as its cause: then it lies in corrupt/
        want(b"Diagnostic-Code" in case.seen, f"no report: {out}")
    return test


def later(folder, certificates):
    """In the answer to MAIL, to the dot, and by a greeting of the next
    connection."""
    case = Case(folder, certificates, "PLAIN", [
        "password " + PASSWORD, "on mail nth=2",
        "  reply 535 5.7.8 refused: %SAID%"])
    case.run("-v", "-i", "b@example.org")
    case.run("-v", "-i", "b@example.org")
    case.server.stop()
    case.server = harness.Server(folder, 2, "\n".join([
        "tls implicit", f"listen 127.0.0.1 {case.server.port}",
        "auth PLAIN", f"password {PASSWORD}", "on greeting",
        f"  reply 554-535 5.7.8 refused {PASSWORD}", f"  reply 554 {PASSWORD}",
        ""]), certificates)
    status, _, err = case.run("-v", "-i", "b@example.org")
    want(status == 69 and "refused" in err, err)
    case.finish()


def not_smtp(folder, certificates):
    """What is no reply at all is quoted, too."""
    case = Case(folder, certificates, "PLAIN", [
        "on auth-final", "  reply AUTH 535 refused %SAID%"])
    status, _, err = case.run("-v", "-i", "b@example.org")
    want(status == 76 and "not SMTP" in err, err)
    case.finish()


def extension(folder, certificates):
    """--probe shows what EHLO said."""
    case = Case(folder, certificates, "PLAIN", [
        f"extension X-535-refused {PASSWORD}", "password " + PASSWORD])
    status, out, _ = case.run("-v", "--probe", "relay")
    want(status == 0 and "X-535-refused ********" in out, out)
    status, out, _ = case.run("--probe", "--json", "relay")
    want("X-535-refused ********" in json.loads(out)["extensions"], out)
    case.finish()


def all_tests():
    for mechanism in MECHANISMS:
        for i, echo in enumerate(ECHOES):
            yield (f"sending, {mechanism}, {echo}",
                   sending(mechanism, echo, "json" if i % 2 else "text"))
        yield f"-bs, {mechanism}", answering(mechanism)
        yield f"--probe, {mechanism}", probing(mechanism)
        yield f"queue, mailq, reports, {mechanism}", keeping(mechanism)
    yield "a later answer, another connection", later
    yield "an answer that is not SMTP", not_smtp
    yield "an extension", extension


if __name__ == "__main__":
    sys.exit(harness.tap(list(all_tests())))
