#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""EXTERNAL with a client certificate whose key never leaves its token
(SoftHSM by PKCS#11)."""

import os
import pathlib
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import interop  # noqa: E402
from interop import Sent, harness, want  # noqa: E402

SCRIPT = """tls implicit
{version}ask-certificate
auth EXTERNAL PLAIN SCRAM-SHA-256
extension CHUNKING
"""


class Lab:
    """A token with the client's key, and two servers."""

    def __init__(self, folder, certificates):
        self.folder = pathlib.Path(folder)
        self.certificates = certificates
        self.conf = f"{folder}/softhsm2.conf"
        os.mkdir(f"{folder}/tokens")
        pathlib.Path(self.conf).write_text(
            f"directories.tokendir = {folder}/tokens\nlog.level = ERROR\n")
        key = f"{folder}/client.p8"
        self.tool("openssl", "pkcs8", "-topk8", "-nocrypt", "-in",
                  f"{certificates}/client.key", "-out", key)
        self.tool("softhsm2-util", "--init-token", "--free", "--label",
                  "post", "--so-pin", "12345678", "--pin", "1234")
        self.tool("softhsm2-util", "--import", key, "--token", "post",
                  "--label", "client", "--id", "01", "--pin", "1234")
        der = f"{folder}/client.der"
        self.tool("openssl", "x509", "-in", f"{certificates}/client.pem",
                  "-outform", "DER", "-out", der)
        self.tool("pkcs11-tool", "--module",
                  "/usr/lib/softhsm/libsofthsm2.so", "--token-label", "post",
                  "--login", "--pin", "1234", "--write-object", der,
                  "--type", "cert", "--label", "client", "--id", "01")
        os.unlink(key)
        self.servers = [
            harness.Server(folder, number, SCRIPT.format(version=version),
                           certificates, 300)
            for number, version in ((1, ""), (2, "tls-version 1.2\n"))]

    def environment(self, folder):
        return harness.environment(folder, {"SOFTHSM2_CONF": self.conf})

    def tool(self, *argv):
        child = subprocess.run(
            argv, env=self.environment(self.folder), capture_output=True,
            timeout=30)
        want(child.returncode == 0,
             f"{argv}: {child.stdout + child.stderr}")

    def stop(self):
        for server in self.servers:
            server.stop()

    def send(self, folder, subject, key, number=1, certificate=None):
        certificate = certificate or f"{self.certificates}/client.pem"
        config = interop.configure(folder, f"""
kind = submissions
host = localhost
port = {self.servers[number - 1].port}
ca_file = {self.certificates}/ca.pem
username = user
certificate = {certificate}
key = {key}
""")
        return Sent(["-i", "b@example.org"], interop.message(subject),
                    folder, config, env=self.environment(folder))

    def delivered(self, subject):
        mark = f"\r\nSubject: {subject}\r\n".encode()
        return [m for m in (p.read_bytes() for p in
                            self.folder.glob("server*.message-*"))
                if mark in m]


KEY = "pkcs11:token=post;object=client;type=private?pin-value=1234"


def external(lab, folder):
    """EXTERNAL over TLS 1.3 with the token's key"""
    lab.send(folder, "key", KEY).expect(0).logged("auth=EXTERNAL ",
                                                  "tls=TLS1.3")
    want(len(lab.delivered("key")) == 1, "not delivered")


def older(lab, folder):
    """and over TLS 1.2"""
    lab.send(folder, "older", KEY, 2).expect(0).logged("auth=EXTERNAL ",
                                                       "tls=TLS1.2")
    want(len(lab.delivered("older")) == 1, "not delivered")


def both(lab, folder):
    """key and certificate in the token"""
    lab.send(folder, "both", KEY, certificate="pkcs11:token=post;"
             "object=client;type=cert").expect(0).logged("auth=EXTERNAL ")
    want(len(lab.delivered("both")) == 1, "not delivered")


def pin_file(lab, folder):
    """the PIN from a file"""
    path = pathlib.Path(folder, "pin")
    path.write_text("1234")
    path.chmod(0o600)
    lab.send(folder, "file", "pkcs11:token=post;object=client;type=private"
             f"?pin-source={path}").expect(0).logged("auth=EXTERNAL ")
    want(len(lab.delivered("file")) == 1, "not delivered")


def wrong(lab, folder):
    """a wrong PIN, no such object: words, nothing sent, no PIN shown"""
    for key in (KEY.replace("1234", "4321"),
                KEY.replace("object=client", "object=nobody")):
        sent = lab.send(folder, "never", key)
        want(sent.status in (75, 78), f"status {sent.status}: {sent.err}")
        want(sent.err.startswith(b"posthaste: "), f"it said {sent.err}")
        want("4321" not in sent.err.decode() + sent.log,
             f"the PIN was shown: {sent.err} {sent.log}")
    want(not lab.delivered("never"), "delivered")


def checked(_, folder):
    """--check masks the PIN, and nothing else of the URI"""
    config = interop.configure(folder, f"""
kind = submissions
host = localhost
certificate = /etc/hostname
key = {KEY}&module-name=x
""")
    for report in ([], ["--json"]):
        sent = Sent(["--check", *report], b"", folder, config)
        want(b"type=private?pin-value=********&module-name=x" in sent.out and
             b"1234" not in sent.out + sent.err, f"shown: {sent.out}")


if __name__ == "__main__":
    sys.exit(interop.run([external, older, both, pin_file, wrong, checked], Lab))
