#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The night the relay was down: Debian's cron hands in a job's output, the
queue keeps it, Postfix comes up, a run of the queue delivers."""

import os
import pathlib
import quopri
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import interop  # noqa: E402
from interop import harness, want  # noqa: E402
from callers import CRON, CRONTAB, LOGIN  # noqa: E402
from postfix import Postfix  # noqa: E402

CONFIG = """[general]
hostname = client.example.test
domain = example.test
default_recipient = root@example.test
[queue]
queue = on_failure
directory = {folder}/queue
[log]
to = {folder}/log
[route all]
transport = relay
[transport relay]
kind = submission
host = localhost
port = {port}
ca_file = {certificates}/ca.pem
username = joe@example.test
password = secret
"""


def posthaste(folder, *argv):
    """What it printed; it must succeed."""
    status, out, err = harness.run(
        ["-C", f"{folder}/home/.config/posthaste.conf", *argv], b"",
        harness.environment(folder), folder, 60)
    want(status == 0 and not err, f"{argv}: status {status}, {err}")
    return out.decode()


def ask_cron(folder):
    """Runs cron until the mail of its job is in the queue."""
    os.makedirs(f"{folder}/bin")
    harness.copy_program(harness.POSTHASTE, f"{folder}/bin/binary")
    os.makedirs(f"{folder}/usr/sbin")
    pathlib.Path(folder, "usr/sbin/sendmail").write_text("")
    pathlib.Path(folder, "crontab").write_text(
        CRONTAB.format(folder=folder, login=LOGIN))
    daemon = interop.Peer("callers", ["/usr/sbin/cron", "-f", "-L", "15"],
                          folder, CRON.format(login=LOGIN))
    try:
        harness.eventually(lambda: "status=queued" in interop.log(folder),
                           "a queued message", 75)
        want(not daemon.words(),
             f"cron printed {daemon.words()}")
    finally:
        daemon.stop()


def night(_, folder):
    """cron's mail while Postfix is down: kept, listed, delivered, gone"""
    ports = harness.free_ports(2)
    certificates = pathlib.Path(folder).parent / "certs"
    config = pathlib.Path(folder, "home/.config/posthaste.conf")
    config.write_text(CONFIG.format(folder=folder, port=ports[0],
                                    certificates=certificates))
    config.chmod(0o600)
    ask_cron(folder)
    want("ops@example.test" in posthaste(folder, "-bp"), "not listed")
    os.mkdir(f"{folder}/postfix")
    server = Postfix(f"{folder}/postfix", certificates, ports)
    try:
        posthaste(folder, "--retry", "ALL")
        posthaste(folder, "-q")
        stored = harness.eventually(
            lambda: [p.read_bytes() for p in
                     pathlib.Path(folder, "postfix").glob("mail/box/new/*")],
            "mail at Postfix", 60)
        want(b"Subject: Cron <" in stored[0] and
             b"line\n.\ngr\xc3\xbcn\n" in quopri.decodestring(stored[0]),
             f"stored {stored}")
        want(posthaste(folder, "-bp") == "Mail queue is empty\n",
             "the queue is not empty")
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(interop.run([night]))
