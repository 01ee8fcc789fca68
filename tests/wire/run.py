#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs scenarios: one file each, a dialogue with the scripted server.
The language is in README. TAP on standard output."""

import os
import pathlib
import re
import shlex
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import Failure, want  # noqa: E402

SECTION = re.compile(r"^\[([a-z]+[0-9]*)(?: ([^\]]*))?\]$")
# what a scenario need not say
MESSAGE = ["From: a@example.test", "To: b@example.org", "Subject: s", "",
           "hi"]
ARGUMENTS = ["-i b@example.org"]
RELAY = {"kind": "smtp", "host": "127.0.0.1", "port": "%PORT%",
         "no_starttls": "yes"}
TLS_RELAY = {"host": "localhost", "port": "%PORT%", "ca_file": "%CA%",
             "username": "user", "password": "pencil"}
VERBS = {"HELO", "EHLO", "LHLO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA",
         "BDAT", "RSET", "NOOP", "QUIT"}
# how many times as long as is usual all takes that has a time (valgrind.sh)
PATIENCE = int(os.environ.get("WIRE_PATIENCE", "1"))
TIMED = re.compile(
    r"^(\s*(?:wait|drip|grace|timeout =|connect_timeout =) )([0-9]+)", re.M)


def patiently(text):
    return TIMED.sub(lambda match:
                     f"{match.group(1)}{int(match.group(2)) * PATIENCE}", text)


def unescape(text):
    def one(match):
        letter = match.group(1)
        if letter.startswith("x"):
            return chr(int(letter[1:], 16))
        return {"r": "\r", "n": "\n", "t": "\t", "0": "\0"}.get(letter, letter)
    return re.sub(r"\\(x[0-9a-fA-F]{2}|.)", one, text)


def split(line):
    """Words quoted as in a shell; backslashes are left for unescape."""
    words = shlex.shlex(line, posix=True)
    words.whitespace_split = True
    words.escape = words.commenters = ""
    return list(words)


def sections(path):
    """[(name, argument, [lines])] of a scenario; a line of blanks at a
    section's end is no part of it."""
    found = []
    for number, line in enumerate(path.read_text("latin-1").split("\n"), 1):
        match = SECTION.match(line)
        if match and match.group(1).rstrip("0123456789") in (
                "about", "server", "config", "argv", "stdin", "env", "run",
                "file", "expect", "body", "base", "relay", "each"):
            found.append((match.group(1), match.group(2) or "", []))
        elif found:
            found[-1][2].append(line)
        elif line and not line.startswith("#"):
            raise Failure(f"{path}:{number}: outside any section")
    for _, _, lines in found:
        while lines and not lines[-1].strip():
            lines.pop()
    return found


def scenarios(path):
    """The scenario of a file, or each that a row of its table makes."""
    parts = sections(path)
    table = [lines for name, _, lines in parts if name == "each"]
    if not table:
        return [Scenario(path.stem, parts)]
    (_, *columns), *rows = ([word.strip() for word in line.split(" | ")]
                            for line in table[0])
    found = []
    for name, *values in rows:
        words = dict(zip(columns, values + [""], strict=False))
        found.append(Scenario(name, [
            (part, argument, [re.sub(r"@([A-Z]+)@", lambda match:
                                     words[match.group(1)], line)
                              for line in lines])
            for part, argument, lines in parts if part != "each"]))
    return found


class Scenario:
    def __init__(self, name, parts):
        self.name = name
        self.parts = parts

    def part(self, name, default=()):
        for found, _, lines in self.parts:
            if found == name:
                return lines
        return list(default)

    def has(self, name):
        return any(found == name for found, _, _ in self.parts)

    def config(self):
        """[config]; without it, what [base] and [relay] say over the
        defaults. None: the arguments name another file."""
        if self.has("config"):
            return self.part("config")
        argv = " ".join(self.part("argv", ARGUMENTS)).split()
        if "-C" in argv:
            return None
        said = [line.lstrip("-").partition(" = ")
                for line in self.part("relay")]
        gone = {line[1:] for line in self.part("relay") if line[0] == "-"}
        keys = {name: value for name, _, value in said}
        keys = (RELAY if keys.get("kind", "smtp") == "smtp" else
                TLS_RELAY) | keys
        general = " ".join(line.replace(" = ", "=", 1)
                           for line in self.part("base"))
        return [f"%BASE {general}%" if general else "%BASE%",
                "[route all]", "transport = relay", "[transport relay]"] + \
            [f"{name} = {value}" for name, value in keys.items()
             if name not in gone]

    def title(self):
        return f"{self.name}: {' '.join(self.part('about'))}"


class Run:
    """One scenario being run in a folder."""

    def __init__(self, scenario, folder, certificates):
        self.scenario = scenario
        self.folder = folder
        self.certificates = certificates
        self.servers = {}
        self.events = {}
        self.dead = harness.dead_port()
        self.words = {"DIR": folder, "CERTS": certificates,
                      "CA": f"{certificates}/ca.pem",
                      "LOGIN": __import__("pwd").getpwuid(
                          os.getuid()).pw_name,
                      "DEADPORT": str(self.dead.getsockname()[1])}
        self.settings = [line.split(None, 1)
                         for line in scenario.part("run") if line.strip()]

    def setting(self, name, default=""):
        for words in self.settings:
            if words[0] == name:
                return words[1] if len(words) > 1 else "yes"
        return default

    def fill(self, text):
        def one(match):
            word = match.group(1)
            if word == "SAID":  # the server's to fill
                return match.group(0)
            if word.startswith("BASE"):
                return self.base(word[4:].split())
            if word.startswith("PIN "):
                return pathlib.Path(
                    f"{self.certificates}/{word[4:]}.pin").read_text()
            if word.startswith("PEM "):
                return pathlib.Path(
                    f"{self.certificates}/{word[4:]}.pem").read_text()
            if word not in self.words:
                raise Failure(f"%{word}% is not known")
            return self.words[word]
        return re.sub(r"%([A-Z][A-Z0-9]*(?: [^%\n]*)?)%", one, text)

    def base(self, general):
        return "\n".join(
            ["[general]", "hostname = client.example.test",
             "domain = example.test"] +
            [pair.replace("=", " = ", 1).replace("{DIR}", self.folder)
             for pair in general] +
            ["[queue]", "queue = never", f"directory = {self.folder}/queue",
             "[log]", f"to = {self.folder}/log"])

    def start_servers(self):
        for name, _, lines in self.scenario.parts:
            if not name.startswith("server"):
                continue
            number = name[6:] or "1"
            script = self.fill("\n".join(lines) + "\n")
            if not self.setting("unscaled"):
                script = patiently(script)
            server = harness.Server(self.folder, number, script,
                                    self.certificates, 60 * PATIENCE)
            self.servers[number] = server
            self.words["PORT" + number] = server.port
            if number == "1":
                self.words["PORT"] = server.port

    def write_files(self):
        for name, argument, lines in self.scenario.parts:
            words = argument.split()
            if name == "file":
                self.write(words[0], lines,
                           int(words[1], 8) if len(words) > 1 else 0o600)
        config = self.scenario.config()
        if config is not None:
            self.write("config", config, 0o600)

    def write(self, name, lines, mode):
        path = pathlib.Path(self.folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(patiently(self.fill("\n".join(lines) + "\n")),
                        "latin-1")
        path.chmod(mode)

    def stdin(self):
        if self.setting("stdin") == "closed":
            return None
        out = []
        for line in self.scenario.part("stdin", MESSAGE):
            if line.startswith("@repeat "):
                _, count, text = line.split(None, 2)
                out += [text] * int(count)
            else:
                out.append(line)
        whole = not out or not out[-1].endswith("\\c")
        if not whole:
            out[-1] = out[-1][:-2]
        text = "".join(unescape(line) + "\n" for line in out)
        if not whole:
            text = text[:-1]
        return self.fill(text).encode("latin-1")

    def argv(self):
        argv = []
        for line in self.scenario.part("argv", ARGUMENTS):
            argv += [unescape(word) for word in split(self.fill(line))]
        if self.scenario.config() is not None:
            argv = ["-C", f"{self.folder}/config"] + argv
        return [word.encode("latin-1") for word in argv]

    def run(self):
        extra = dict(self.fill(line).split("=", 1)
                     for line in self.scenario.part("env") if line.strip())
        env = harness.environment(self.folder, extra)
        if self.setting("environment") == "empty":
            env = {}
        closed = [int(fd) for fd in self.setting("close").split()]
        start = time.monotonic()
        status, self.out, self.err = harness.run(
            self.argv(), self.stdin(), env, self.folder,
            int(self.setting("limit", "20")) * PATIENCE, closed,
            self.setting("name") or None)
        self.took = time.monotonic() - start
        self.status = status
        for words in self.settings:
            if words[0] == "then":
                self.run_again(words[1], env)
            elif words[0] == "await":
                self.wait_for(*words[1].split(None, 1))
            elif words[0] == "drained":
                self.wait_drained(env)

    def wait_drained(self, env):
        """Until the queue is empty, for 10 s or so: a run in the background
        may hold an entry that this one then passes over."""
        for _ in range(100 * PATIENCE):
            _, out, _ = harness.run(["-C", f"{self.folder}/config", "-bp"],
                                    b"", env, self.folder, 30 * PATIENCE)
            if out.startswith(b"Mail queue is empty"):
                return
            time.sleep(0.1)
        raise Failure(f"the queue is not empty: {out.decode('latin-1')}")

    def run_again(self, line, env):
        match = re.match(r"([0-9]+): (.*)", line)
        expected = int(match.group(1)) if match else 0
        words = split(self.fill(match.group(2) if match else line))
        status, out, err = harness.run(
            ["-C", f"{self.folder}/config"] + words, b"", env, self.folder,
            30 * PATIENCE)
        self.out += out
        self.err += err
        want(status == expected,
             f"{line}: status {status}: {err.decode('latin-1')}")

    def wait_for(self, name, regex):
        """Until a file matches, for 10 s or so."""
        path = pathlib.Path(self.folder, name)
        for _ in range(200 * PATIENCE):
            if path.exists() and re.search(self.fill(regex),
                                           path.read_text("latin-1"), re.M):
                return
            time.sleep(0.05)
        raise Failure(f"{name} never got {regex!r}")

    def stop_servers(self):
        for number, server in self.servers.items():
            self.events[number] = server.stop()
        self.dead.close()

    def log(self):
        path = pathlib.Path(self.folder, "log")
        return path.read_text("latin-1") if path.exists() else ""


def pattern(text, subject, name):
    """`~ REGEX`, `!~ REGEX` or `empty`."""
    how, _, regex = text.partition(" ")
    if how == "empty":
        want(not subject.strip(), f"{name} is not empty: {subject}")
        return
    found = re.search(regex, subject, re.M)
    if how == "~":
        want(found, f"{name} lacks {regex!r}: {subject}")
    elif how == "!~":
        want(not found, f"{name} has {regex!r}: {subject}")
    else:
        raise Failure(f"{name}: not understood: {text}")


class Check:
    """The lines of [expect]."""

    def __init__(self, run):
        self.run = run
        self.number = "1"
        self.audits = None

    def events(self, kind):
        return [e for e in self.run.events.get(self.number, [])
                if e["event"] == kind]

    def messages(self):
        return [e for e in self.events("message") if e["accepted"]]

    def line(self, text):
        match = re.match(r"server([0-9]+) (.*)", text)
        self.number = match.group(1) if match else "1"
        if match:
            text = match.group(2)
        name, _, rest = text.partition(" ")
        method = getattr(self, "check_" + name.replace("-", "_"), None)
        want(method, f"[expect]: not understood: {text}")
        method(self.run.fill(rest))

    def check_delivered(self, rest):
        """0, silence, one message."""
        want(not rest, f"[expect]: not understood: {rest}")
        self.check_status("0")
        self.check_stdout("empty")
        self.check_stderr("empty")
        self.check_messages("1")

    def check_status(self, rest):
        want(self.run.status in [int(n) for n in rest.split()],
             f"status {self.run.status}, not {rest}")

    def check_stdout(self, rest):
        pattern(rest, self.run.out.decode("latin-1"), "standard output")

    def check_stderr(self, rest):
        pattern(rest, self.run.err.decode("latin-1"), "standard error")

    def check_log(self, rest):
        pattern(rest, self.run.log(), "the log")

    def check_absent(self, rest):
        everything = (self.run.out + self.run.err).decode("latin-1") + \
            self.run.log()
        want(rest not in everything, f"{rest!r} was shown")

    def check_messages(self, rest):
        want(len(self.messages()) == int(rest),
             f"{len(self.messages())} messages, not {rest}")

    def check_envelope(self, rest):
        """FROM RCPT ...: some accepted message has just these."""
        sender, *rcpts = rest.split()
        sender = "" if sender == "<>" else sender
        seen = [(m["from"], sorted(m["to"])) for m in self.messages()]
        want((sender, sorted(rcpts)) in seen, f"envelopes were {seen}")

    def check_params(self, rest):
        seen = [m["params"] for m in self.messages()]
        want(any(pattern_found(rest, p or "") for p in seen),
             f"MAIL's parameters were {seen}")

    def check_to_params(self, rest):
        seen = [p for m in self.messages() for p in m["to_params"]]
        want(any(pattern_found(rest, p) for p in seen),
             f"RCPT's parameters were {seen}")

    def check_via(self, rest):
        seen = [m["via"] for m in self.messages()]
        want(seen and set(seen) == {rest}, f"sent by {seen}")

    def bodies(self):
        server = self.run.servers[self.number]
        return [server.message(m) for m in self.messages()]

    def check_message(self, rest):
        bodies = self.bodies()
        want(bodies, "no message")
        for body in bodies:
            pattern(rest, body.decode("latin-1").replace("\r\n", "\n"),
                    "the message")

    def check_size(self, rest):
        seen = [m["size"] for m in self.messages()]
        want(seen and all(n == int(rest) for n in seen),
             f"message sizes {seen}")

    def check_auth(self, rest):
        seen = [e["mechanism"] for e in self.events("auth")]
        want(seen == ([] if rest == "none" else rest.split()),
             f"AUTH was {seen}")

    def check_authenticated(self, rest):
        seen = [e["ok"] for e in self.events("auth")]
        want(seen and seen[-1] == (rest == "yes"), f"authenticated {seen}")

    def check_identity(self, rest):
        seen = [e["identity"] or "" for e in self.events("auth")]
        want(seen and any(pattern_found(rest, s) for s in seen),
             f"identity {seen}")

    def check_initial(self, rest):
        seen = [e["initial"] for e in self.events("auth")]
        want(seen and seen[-1] == (rest == "yes"), f"initial {seen}")

    def check_tls(self, rest):
        seen = [e["version"] for e in self.events("tls")]
        want(seen == ([] if rest == "none" else rest.split()),
             f"TLS was {seen}")

    def check_sni(self, rest):
        seen = [e["sni"] for e in self.events("tls")]
        want(seen and seen[-1] == ("" if rest == "none" else rest),
             f"SNI was {seen}")

    def check_client(self, rest):
        seen = [e["client"] for e in self.events("tls")]
        want(seen and pattern_found(rest, seen[-1]),
             f"client certificate {seen}")

    def verbs(self):
        for e in self.events("line"):
            verb = re.split("[ :]", e["text"])[0].upper()
            if verb in VERBS:
                yield verb

    def check_commands(self, rest):
        seen = list(self.verbs())
        want(seen == rest.split(), f"commands were {' '.join(seen)}")

    def check_command(self, rest):
        text = "\n".join(e["text"] for e in self.events("line"))
        pattern(rest, text, "what the client said")

    def check_flights(self, rest):
        seen = [e["flights"] for e in self.events("end")]
        want(seen == [int(n) for n in rest.split()], f"flights were {seen}")

    def check_connections(self, rest):
        seen = len(self.events("connect"))
        want(seen == int(rest), f"{seen} connections")

    def check_socks(self, rest):
        seen = [e["target"] for e in self.events("socks")]
        want(seen == rest.split(), f"the proxy was asked for {seen}")

    def check_audit(self, rest):
        self.audits = rest

    def check_time(self, rest):
        how, seconds = rest.split()
        took = self.run.took
        want(took < float(seconds) * PATIENCE if how == "<" else
             took > float(seconds),
             f"it took {took:.1f} s")

    def check_file(self, rest):
        name, _, rest = rest.partition(" ")
        path = pathlib.Path(self.run.folder, name)
        if rest == "absent":
            want(not path.exists(), f"{name} is there")
            return
        want(path.exists(), f"{name} is not there")
        pattern(rest, path.read_text("latin-1"), name)

    def body(self, lines):
        """[body]: the whole message less the fields that were added."""
        text = "".join(unescape(line) + "\r\n" for line in lines)
        expected = self.run.fill(text).encode("latin-1")
        bodies = [strip_added(b, expected) for b in self.bodies()]
        want(expected in bodies, f"the messages were {bodies}")

    def audit(self):
        for number, events in self.run.events.items():
            seen = sorted({f"{e['what']} {e['detail']}" for e in events
                           if e["event"] == "audit"})
            if self.audits is None:
                want(not seen, f"server {number} noted {seen}")
            elif number == "1":
                want(pattern_found(self.audits, "\n".join(seen)),
                     f"server {number} noted {seen}")


def pattern_found(text, subject):
    how, _, regex = text.partition(" ")
    if how == "any":
        return True
    if how == "empty":
        return not subject
    return bool(re.search(regex, subject, re.M)) == (how == "~")


def strip_added(body, expected):
    """The message without Date, Message-ID and From where the expected text
    has no such field."""
    header, separator, rest = body.partition(b"\r\n\r\n")
    if body.startswith(b"\r\n"):
        return body
    named = b"" if expected.startswith(b"\r\n") else \
        expected.partition(b"\r\n\r\n")[0]
    names = {line.split(b":")[0].strip().lower()
             for line in named.split(b"\r\n")}
    out, keep = b"", True
    for line in (header + b"\r\n").split(b"\r\n")[:-1]:
        if line[:1] not in b" \t" or not line:
            name = line.split(b":")[0].strip().lower()
            keep = name in names or name not in (
                b"date", b"message-id", b"from")
        out += line + b"\r\n" if keep else b""
    return out + (b"\r\n" if separator else b"") + rest


def play(scenario, folder, certificates):
    run = Run(scenario, folder, certificates)
    try:
        run.start_servers()
        run.write_files()
        for _ in range(int(run.setting("times", "1"))):
            run.run()
    finally:
        run.stop_servers()
    check = Check(run)
    try:
        for line in scenario.part("expect"):
            if line.strip() and not line.startswith("#"):
                check.line(line)
        if scenario.has("body"):
            check.number = "1"
            check.body(scenario.part("body"))
        check.audit()
    except Failure as why:
        raise Failure(f"{why}\nstatus {run.status}, standard error:\n"
                      f"{run.err.decode('latin-1')}"
                      f"dialogue:\n{dialogue(run)}") from why


def dialogue(run):
    out = []
    for number, events in run.events.items():
        for e in events:
            if e["event"] in ("line", "sent"):
                mark = "C" if e["event"] == "line" else "S"
                out.append(f"{number}.{e['conn']} {mark}: "
                           f"{e['text'].strip()[:200]}")
            elif e["event"] != "message":
                out.append(f"{number}.{e['conn']} {e}")
    return "\n".join(out[:80])


def main():
    folder = pathlib.Path(__file__).resolve().parent
    words = {pathlib.Path(word).name.removesuffix(".scenario")
             for word in sys.argv[1:]}
    found = [(path.stem, scenario) for path in folder.glob("*.scenario")
             for scenario in scenarios(path)]
    found.sort(key=lambda pair: f"{pair[1].name}.scenario")
    return harness.tap(
        [(scenario.title(), lambda f, c, s=scenario: play(s, f, c))
         for stem, scenario in found
         if not words or words & {stem, scenario.name}], only=(),
        workers=int(os.environ.get("WIRE_WORKERS", "4")))


if __name__ == "__main__":
    sys.exit(main())
