#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine without any CA certificate, as slim images are: the words name
that and not the server's issuer. TAP."""

import os
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import Skip, want  # noqa: E402

MESSAGE = b"From: a@example.test\nTo: b@example.org\nSubject: s\n\nhi\n"
EMPTY = "for d in /etc/ssl /etc/pki; do [ ! -d $d ] || " \
    "mount -t tmpfs none $d; done; "


def attempt(folder, certificates, certificate, argv, more=""):
    """Status and standard error of a send or a probe on such a machine."""
    probe = subprocess.run([*harness.namespace("mount"), "sh", "-ec", EMPTY],
                           capture_output=True, timeout=30, check=False)
    if probe.returncode:
        raise Skip("mount namespaces cannot be made here")
    server = harness.Server(folder, 1, "tls implicit\ncertificate "
                            f"{certificate}\n", certificates)
    path = f"{folder}/config"
    with open(path, "w", encoding="ascii") as f:
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
kind = submissions
host = localhost
port = {server.port}
{more}
""")
    done = subprocess.run(
        [*harness.namespace("mount"), "sh", "-ec", EMPTY + 'exec "$@"', "sh",
         harness.POSTHASTE, "-C", path, *argv], input=MESSAGE,
        env=harness.environment(folder), capture_output=True, timeout=60,
        check=False)
    server.stop()
    return done.returncode, done.stderr.decode()


def case(certificate, argv, status, *words, more="", absent=""):
    def test(folder, certificates):
        got, err = attempt(folder, certificates, certificate, argv,
                           more.replace("CERTS", certificates))
        want(got == status, f"status {got}: {err}")
        for word in words:
            want(word in err, err)
        want(not absent or absent not in err, err)
    return test


SEND, PROBE = ["-i", "b@example.org"], ["--probe", "relay"]
NONE = "there are no CA certificates on this system"
TESTS = [
    ("a send", case("good", SEND, 75, NONE, "install ca-certificates",
                    "ca_file", absent="fingerprint")),
    ("--probe", case("good", PROBE, 75, NONE, absent="fingerprint")),
    ("a chain", case("chain", SEND, 75, NONE, absent="fingerprint")),
    ("self-signed is self-signed",
     case("self-signed", SEND, 75, "is self-signed", absent=NONE)),
    ("with a ca_file", case("good", SEND, 0, more="ca_file = CERTS/ca.pem")),
    ("with another ca_file",
     case("good", SEND, 75, "unknown issuer", absent=NONE,
          more="ca_file = CERTS/other-ca.pem")),
]

if __name__ == "__main__":
    sys.exit(harness.tap(TESTS))
