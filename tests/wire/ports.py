#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A port of one kind and a transport of another: said promptly, and with the
kind to set. Needs the right to listen on 465 and 587. TAP."""

import os
import socket
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import Skip, want  # noqa: E402

MESSAGE = b"From: a@example.test\nTo: b@example.org\nSubject: s\n\nhi\n"
# another loopback address a test, so that they can run side by side
ADDRESSES = iter(f"127.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250}"
                 f".{i}" for i in range(2, 250))


def may_listen(address, port):
    try:
        with socket.create_server((address, port)):
            return
    except PermissionError as why:
        raise Skip("needs the right to listen on a low port") from why


def case(kind, port, script, words, argv, seconds=15):
    address = next(ADDRESSES)

    def test(folder, certificates):
        if port:
            may_listen(address, port)
            script_text = f"listen {address} {port}\n{script}\n"
        else:
            script_text = f"{script}\n"
        server = harness.Server(folder, 1, script_text, certificates)
        with open(f"{folder}/config", "w", encoding="ascii") as f:
            f.write(f"""[general]
hostname = client.example.test
domain = example.test
[log]
to = {folder}/log
[queue]
queue = never
[route all]
transport = relay
[transport relay]
kind = {kind}
host = {address if port else '127.0.0.1'}
port = {port or server.port}
ca_file = {certificates}/ca.pem
""")
        began = time.monotonic()
        status, out, err = harness.run(
            ["-C", f"{folder}/config", *argv], MESSAGE,
            harness.environment(folder), folder, 60)
        took = time.monotonic() - began
        server.stop()
        want(status == 75, f"status {status}: {err}")
        want(words in err.decode(), err.decode())
        want(took < seconds, f"took {took} s")
        del out
    return test


SEND, PROBE = ["-i", "b@example.org"], ["--probe", "relay"]
SILENT = "on connect\n  silent"
TESTS = []
for name, argv in ("a send", SEND), ("--probe", PROBE):
    TESTS += [
        (f"{name}: 465 and TLS, but submission",
         case("submission", 465, "tls implicit", "set kind = submissions",
              argv)),
        (f"{name}: 465 and TLS, but smtp",
         case("smtp", 465, "tls implicit", "set kind = submissions", argv)),
        (f"{name}: 465 and closed after a while, but submission",
         case("submission", 465, "on connect\n  wait 300\n  close",
              "set kind = submissions", argv)),
        (f"{name}: 587 and a greeting, but submissions",
         case("submissions", 587, "tls starttls", "set kind = submission",
              argv, 5)),
        (f"{name}: 587 and silence, but submissions",
         case("submissions", 587, SILENT, "set kind = submission", argv)),
    ]
TESTS.append(("--probe: silence on another port",
              case("submission", None, SILENT, "set kind = submissions",
                   PROBE, 30)))

if __name__ == "__main__":
    sys.exit(harness.tap(TESTS, workers=12))
