#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the behaviours of a sendmail (*.tsv, see README) against the scripted
server of tests/wire. Arguments: files, or ids. TAP on standard output."""

import glob
import json
import os
import pathlib
import pwd
import re
import sys

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
sys.path.insert(1, str(HERE.parent / "wire"))
import harness  # noqa: E402
from harness import Failure  # noqa: E402
from run import strip_added  # noqa: E402

LOGIN = pwd.getpwuid(os.getuid()).pw_name
SCRIPT = "# the defaults are what the cases ask for\n"
CONFIG = """[general]
domain = lab.example
hostname = lab.example
{general}
[queue]
queue = never
[log]
to = none
[route all]
transport = relay
{rest}
[transport relay]
kind = smtp
host = 127.0.0.1
port = {port}
no_starttls = yes
"""


def rows(path):
    lines = path.read_text("utf-8").splitlines()
    names = lines[0].split("\t")
    for line in lines[1:]:
        if not line or line.startswith("#"):
            continue
        row = dict(zip(names, line.split("\t")))
        for name in names:
            if name in ("id", "category", "note"):
                continue
            row[name] = json.loads(row.get(name) or "null")
        yield row


def configuration(folder, port, row):
    """general lines are added to [general]; a line that opens a section
    begins the rest."""
    text = (row.get("config") or "").replace("%DIR%", folder)
    general, _, rest = text.partition("\n[") if not text.startswith("[") \
        else ("", "", text[1:])
    if rest:
        rest = "[" + rest
    for name, content in (row.get("files") or {}).items():
        pathlib.Path(folder, name).write_bytes(content.encode("latin-1"))
    path = pathlib.Path(folder, "config")
    path.write_bytes(CONFIG.format(general=general, rest=rest,
                                   port=port).encode("utf-8"))
    path.chmod(0o600)
    return str(path)


def compare(row, server, events):
    messages = [e for e in events if e["event"] == "message" and
                e["accepted"]]
    audits = [e["what"] for e in events if e["event"] == "audit"]
    if audits:
        raise Failure(f"the server noted {audits}")
    if row["mail_from"] is None:
        if messages:
            raise Failure(f"accepted {messages}")
        return
    if not messages:
        raise Failure("no message arrived")
    for message in messages:
        compare_one(row, server, message)


def compare_one(row, server, message):
    sender = row["mail_from"].replace("%LOGIN%", LOGIN)
    wanted = [r.replace("%LOGIN%", LOGIN) for r in row["rcpts"]]
    if message["from"] != sender:
        raise Failure(f"MAIL FROM:<{message['from']}>, not <{sender}>")
    if sorted(message["to"]) != sorted(wanted):
        raise Failure(f"recipients {message['to']}, not {wanted}")
    body = server.message(message)
    if row["msg"] is not None:
        expected = row["msg"].replace("%LOGIN%", LOGIN).encode("latin-1")
        found = strip_added(body, expected)
        if found != expected:
            raise Failure(f"message {found}\n    not {expected}")
    for text in row["absent"] or []:
        if text.encode("latin-1") in body:
            raise Failure(f"{text!r} is in {body}")
    for regex in row.get("present") or []:
        if not re.search(regex.replace("%LOGIN%", LOGIN).encode("latin-1"),
                         body.replace(b"\r\n", b"\n"), re.M):
            raise Failure(f"{regex!r} is not in {body}")
    for regex in row.get("params") or []:
        text = " ".join([message["params"] or ""] + message["to_params"])
        if not re.search(regex, text):
            raise Failure(f"{regex!r} is not among the parameters {text!r}")


def play(row, folder, certificates):
    server = harness.Server(folder, 1, SCRIPT, certificates)
    events = None
    try:
        config = configuration(folder, server.port, row)
        argv = [word.replace("%DIR%", folder).encode("latin-1")
                for word in row["argv"]]
        env = harness.environment(folder, row["env"] or {})
        status, out, err = harness.run(
            ["-C", config] + argv, row["stdin"].encode("latin-1"), env,
            folder)
        events = server.stop()
        said = f"\n{err.decode('latin-1')}"
        if status not in row["rc"]:
            raise Failure(f"status {status}, not {row['rc']}{said}")
        if status == 0 and (out or err):
            raise Failure(f"printed {out + err}")
        if status and not err:
            raise Failure("failed without a word")
        for regex in row.get("stderr") or []:
            if not re.search(regex, err.decode("latin-1")):
                raise Failure(f"standard error lacks {regex!r}{said}")
        compare(row, server, events)
    finally:
        if events is None:
            server.stop()


def main():
    words = sys.argv[1:]
    files = [w for w in words if w.endswith(".tsv")] or \
        sorted(glob.glob(f"{HERE}/*.tsv"))
    ids = [w for w in words if not w.endswith(".tsv")]
    tests = []
    for path in files:
        for row in rows(pathlib.Path(path)):
            if ids and row["id"] not in ids:
                continue
            title = f"{row['id']} {row['category']} {row.get('note', '')}"
            tests.append((title.replace("#", ""), lambda f, c, r=row:
                          play(r, f, c)))
    return harness.tap(tests, only=())


if __name__ == "__main__":
    sys.exit(main())
