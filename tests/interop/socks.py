#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reaches a smarthost through a real SOCKS5 proxy, microsocks."""

import os
import pathlib
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import interop  # noqa: E402
from interop import Sent, harness, want  # noqa: E402

# a name that this host does not know, and the certificate has
NAME = "mail.example.test"
SCRIPT = """tls implicit
auth SCRAM-SHA-256 PLAIN
extension CHUNKING
user joe
password secret
"""


class Proxy(harness.Daemon):
    """microsocks, with a hosts file of its own."""

    def __init__(self, folder, name, *options):
        self.port, = harness.free_ports(1)
        inside = ('mount --bind "$0" /etc/hosts; exec microsocks '
                  '-i 127.0.0.1 "$@"')
        super().__init__(
            harness.namespace("mount") +
            ["sh", "-ec", inside, f"{folder}/hosts", "-p", str(self.port),
             *options], folder,
            interop.peer_environment(folder), name)
        self.wait_port(self.port, greeting=False)

    def said(self, text):
        harness.eventually(lambda: text in self.words(),
                           f"{text!r} in the proxy's log")


class Lab:
    def __init__(self, folder, certificates):
        pathlib.Path(folder, "hosts").write_text(
            f"127.0.0.1 localhost {NAME}\n")
        self.ca = f"{certificates}/ca.pem"
        self.smarthost = harness.Server(folder, 1, SCRIPT, certificates, 300)
        self.open = self.closed = None
        try:
            self.open = Proxy(folder, "open")
            self.closed = Proxy(folder, "closed", "-u", "anna", "-P", "pass")
        except interop.Failure:
            self.stop()
            raise

    def stop(self):
        for part in (self.open, self.closed, self.smarthost):
            if part:
                part.stop()

    def config(self, folder, proxy, extra="", host="localhost", port=None):
        return interop.configure(folder, f"""
kind = submissions
host = {host}
port = {port or self.smarthost.port}
ca_file = {self.ca}
username = joe
password = secret
proxy = 127.0.0.1:{proxy.port}
{extra}""")

    def delivered(self, subject):
        mark = f"\r\nSubject: {subject}\r\n".encode()
        folder = self.smarthost.folder
        return [m for m in (p.read_bytes() for p in
                            folder.glob("server1.message-*")) if mark in m]


def send(lab, folder, subject, config):
    sent = Sent(["-i", "b@example.org"], interop.message(subject), folder,
                config).expect(0).logged("auth=SCRAM-SHA-256", "tls=TLS1.3")
    want(len(lab.delivered(subject)) == 1, "not delivered")
    return sent


def by_name(lab, folder):
    """without a password: the proxy is given the name"""
    send(lab, folder, "name", lab.config(folder, lab.open))
    lab.open.said(f": connected to localhost:{lab.smarthost.port}")


def only_there(lab, folder):
    """a name that only the proxy knows, as TLS checks it"""
    send(lab, folder, "there", lab.config(folder, lab.open, host=NAME))
    lab.open.said(f": connected to {NAME}:{lab.smarthost.port}")


def by_address(lab, folder):
    """proxy_dns = no: the proxy is given an address"""
    send(lab, folder, "address",
         lab.config(folder, lab.open, "proxy_dns = no\nip_family = ipv4"))
    lab.open.said(f": connected to 127.0.0.1:{lab.smarthost.port}")


def with_password(lab, folder):
    """with user and password (RFC 1929), names or addresses"""
    secret = "proxy_username = anna\nproxy_password = pass\n"
    send(lab, folder, "secret", lab.config(folder, lab.closed, secret))
    lab.closed.said(f": connected to localhost:{lab.smarthost.port}")
    send(lab, folder, "secret address", lab.config(
        folder, lab.closed, secret + "proxy_dns = no\nip_family = ipv4"))
    lab.closed.said(f": connected to 127.0.0.1:{lab.smarthost.port}")


def failing(lab, folder, config, *words):
    sent = Sent(["-i", "b@example.org"], interop.message("never"), folder,
                config).expect(75)
    said = sent.err.decode()
    for word in words:
        want(word in said.lower(), f"{word!r} is not in {said}")
    want("guess" not in said + sent.log, "the password was shown")
    want(not lab.delivered("never"), "delivered")


def wrong_password(lab, folder):
    """a wrong password, or none where one is wanted: 75, in words"""
    failing(lab, folder, lab.config(
        folder, lab.closed,
        "proxy_username = anna\nproxy_password = guess\n"), "proxy")
    failing(lab, folder, lab.config(folder, lab.closed), "proxy")


def refused(lab, folder):
    """a target that refuses: 75, the proxy's answer in words"""
    dead = harness.dead_port()
    with dead:
        failing(lab, folder, lab.config(
            folder, lab.open, port=dead.getsockname()[1]), "refused")


def no_proxy(lab, folder):
    """a proxy that is not there: 75, and it is named"""
    class Nobody:
        port = 0
    dead = harness.dead_port()
    with dead:
        Nobody.port = dead.getsockname()[1]
        failing(lab, folder, lab.config(folder, Nobody),
                "127.0.0.1 port " + str(Nobody.port))


if __name__ == "__main__":
    sys.exit(interop.run([by_name, only_there, by_address, with_password,
                          wrong_password, refused, no_proxy], Lab))
