#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""[dns] resolver is asked for the name of a relay, too; a name that it does
not know is left to the system, whose word does not count where it failed.
TAP."""

import os
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import Failure  # noqa: E402
from nameserver import Dns  # noqa: E402


def play(folder, certificates, host):
    server = harness.Server(folder, 1, "", certificates)
    resolver = Dns({"relay.example.test A": ["127.0.0.2", "127.0.0.1"],
                    "failing.example.test A": ["SERVFAIL"],
                    "failing.example.test AAAA": ["SERVFAIL"]})
    path = pathlib.Path(folder, "config")
    path.write_text(
        "[general]\nhostname = client.example.test\nconnect_timeout = 5s\n"
        "[queue]\nqueue = never\n[log]\nto = none\n"
        f"[dns]\nresolver = 127.0.0.1:{resolver.port}\n"
        "[route all]\ntransport = relay\n[transport relay]\nkind = smtp\n"
        f"host = {host}\nport = {server.port}\nno_starttls = yes\n")
    try:
        status, _, err = harness.run(
            ["-C", str(path), "-i", "a@example.org"], b"Subject: s\n\nhi\n",
            harness.environment(folder), folder)
    finally:
        events = server.stop()
        resolver.stop()
    arrived = sum(1 for e in events if e["event"] == "message")
    return (status, err.decode(), arrived,
            {question.split()[0] for question in resolver.asked})


def known(folder, certificates):
    status, err, arrived, asked = play(folder, certificates,
                                       "relay.example.test")
    if (status, arrived) != (0, 1) or "relay.example.test" not in asked:
        raise Failure(f"status {status}, {arrived} arrived, asked {asked}: "
                      f"{err}")


def local(folder, certificates):
    status, err, arrived, asked = play(folder, certificates, "localhost")
    if (status, arrived) != (0, 1) or asked:
        raise Failure(f"status {status}, {arrived} arrived, asked {asked}: "
                      f"{err}")


def unknown(folder, certificates):
    status, err, arrived, asked = play(folder, certificates,
                                       "other.example.test")
    if status not in (68, 75) or arrived or \
            "other.example.test" not in asked or \
            "other.example.test" not in err:
        raise Failure(f"status {status}, {arrived} arrived, asked {asked}: "
                      f"{err}")


def failing(folder, certificates):
    status, err, arrived, asked = play(folder, certificates,
                                       "failing.example.test")
    if status != 75 or arrived or "failing.example.test" not in asked or \
            "failing.example.test" not in err:
        raise Failure(f"status {status}, {arrived} arrived, asked {asked}: "
                      f"{err}")


if __name__ == "__main__":
    sys.exit(harness.tap([("a name that the resolver knows", known),
                          ("localhost is the system's", local),
                          ("a name that nobody knows", unknown),
                          ("a name that the resolver fails at", failing)]))
