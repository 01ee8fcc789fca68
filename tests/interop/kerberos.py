#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""GSSAPI with tickets of a real MIT KDC."""

import os
import pathlib
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import interop  # noqa: E402
from interop import Sent, harness, want  # noqa: E402

KRB5 = """[libdefaults]
 default_realm = EXAMPLE.TEST
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
[realms]
 EXAMPLE.TEST = {{
  kdc = 127.0.0.1:{port}
 }}
[domain_realm]
 localhost = EXAMPLE.TEST
"""
KDC = """[kdcdefaults]
 kdc_listen = 127.0.0.1:{port}
 kdc_tcp_listen = 127.0.0.1:{port}
[realms]
 EXAMPLE.TEST = {{
  database_name = {folder}/principal
  key_stash_file = {folder}/stash
  acl_file = {folder}/acl
  max_life = 1h
 }}
[logging]
 kdc = FILE:{folder}/kdc.log
"""
SCRIPT = """tls implicit
auth GSSAPI PLAIN
extension CHUNKING
hostname localhost
user joe
"""


class Realm:
    """A KDC with a user joe, and a server that is smtp/localhost."""

    def __init__(self, folder, certificates):
        self.folder = pathlib.Path(folder)
        self.ca = f"{certificates}/ca.pem"
        port, = harness.free_ports(1)
        for name, text in (("krb5.conf", KRB5), ("kdc.conf", KDC)):
            (self.folder / name).write_text(text.format(folder=folder,
                                                        port=port))
        self.tool("kdb5_util", "create", "-s", "-r", "EXAMPLE.TEST", "-P",
                  "master")
        for query in ("addprinc -pw secret joe", "addprinc -pw secret eve",
                      "addprinc -randkey smtp/localhost",
                      f"ktadd -k {folder}/keytab smtp/localhost"):
            self.tool("kadmin.local", "-q", query)
        self.kdc = harness.Daemon(
            ["krb5kdc", "-n", "-P", f"{folder}/kdc.pid"], folder,
            self.environment(folder), "kdc")
        self.kdc.wait_port(port, greeting=False)
        # the scripted server inherits them
        os.environ["KRB5_CONFIG"] = f"{folder}/krb5.conf"
        os.environ["KRB5_KTNAME"] = f"{folder}/keytab"
        os.environ["KRB5RCACHETYPE"] = "none"
        self.server = harness.Server(folder, 1, SCRIPT, certificates, 300)

    def environment(self, folder):
        return harness.environment(folder, {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "KRB5_CONFIG": f"{self.folder}/krb5.conf",
            "KRB5_KDC_PROFILE": f"{self.folder}/kdc.conf",
            "KRB5CCNAME": f"FILE:{folder}/ccache"})

    def tool(self, *argv, folder=None, text=b""):
        env = self.environment(folder or self.folder)
        child = subprocess.run(argv, env=env, input=text, timeout=30,
                               capture_output=True)
        want(child.returncode == 0, f"{argv}: {child.stdout + child.stderr}")

    def ticket(self, folder, name):
        self.tool("kinit", name, folder=folder, text=b"secret\n")

    def stop(self):
        self.kdc.stop()
        self.server.stop()

    def send(self, folder, subject, extra=""):
        config = interop.configure(folder, f"""
kind = submissions
host = localhost
port = {self.server.port}
ca_file = {self.ca}
{extra}""")
        return Sent(["-i", "b@example.org"], interop.message(subject),
                    folder, config, env=self.environment(folder))

    def delivered(self, subject):
        mark = f"\r\nSubject: {subject}\r\n".encode()
        return [m for m in (p.read_bytes() for p in
                            self.folder.glob("server1.message-*"))
                if mark in m]


def ticket(realm, folder):
    """a ticket and no password: GSSAPI by itself"""
    realm.ticket(folder, "joe")
    realm.send(folder, "ticket", "username = joe").expect(0).logged(
        "auth=GSSAPI ", "status=sent")
    want(len(realm.delivered("ticket")) == 1, "not delivered")


def named(realm, folder):
    """GSSAPI named in mechanisms"""
    realm.ticket(folder, "joe")
    realm.send(folder, "named", "username = joe\nmechanisms = GSSAPI").expect(
        0).logged("auth=GSSAPI ")
    want(len(realm.delivered("named")) == 1, "not delivered")


def nobody(realm, folder):
    """no ticket: 77, in words that say so"""
    sent = realm.send(folder, "none", "username = joe\nmechanisms = GSSAPI")
    sent.expect(77)
    want(b"kinit" in sent.err or b"ticket" in sent.err, f"said {sent.err}")
    want(not realm.delivered("none"), "delivered")


def stranger(realm, folder):
    """a ticket that the server does not take: 77"""
    realm.ticket(folder, "eve")
    realm.send(folder, "eve", "username = joe\nmechanisms = GSSAPI").expect(
        77)
    want(not realm.delivered("eve"), "delivered")


if __name__ == "__main__":
    sys.exit(interop.run([ticket, named, nobody, stranger], Realm))
