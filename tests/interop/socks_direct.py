#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Direct delivery through SOCKS5: microsocks with and without a password,
and Tor as far as it goes without a network."""

import os
import pathlib
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import mxnet  # noqa: E402
from mxnet import Hosts, submit, want  # noqa: E402

PROXY = "192.0.2.60"
TOR = "192.0.2.61"
ZONE = """
one MX 10 mx.one
mx.one A 192.0.2.11
two MX 10 mx.two
mx.two A 192.0.2.12
pair MX 10 mx1.pair
pair MX 20 mx2.pair
mx1.pair A 192.0.2.21
mx2.pair A 192.0.2.22
six MX 10 mx.six
mx.six AAAA 2001:db8::6
nullmx MX 0 .
self MX 10 mx.self
mx.self A 127.0.0.1
here MX 10 localhost.
dane MX 10 mx.dane
mx.dane A 192.0.2.13
"""


def at(*domains):
    return [f"b@{d}.example.test" for d in domains]


class Proxy:
    """microsocks, and what it connected to."""

    def __init__(self, folder, *arguments):
        self.daemon = mxnet.Daemon(
            ["microsocks", "-i", PROXY, "-p", "1080", *arguments], folder)
        self.daemon.wait_port(1080, PROXY, greeting=False)

    def asked(self):
        return re.findall(r"connected to (\S+)", self.daemon.words())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.daemon.stop()


def through(*keys, where=f"{PROXY}:1080"):
    return f"""[route r]
transport = out
[transport out]
kind = socks
address = {where}
remote_hostname = exit.sender.test
""" + "".join(k + "\n" for k in keys)


def delivered(hosts, name):
    want(len(hosts.messages(name)) == 1, hosts.said(name))
    want(hosts.said(name)[0] == "EHLO exit.sender.test", hosts.said(name))


def by_address(folder, certificates):
    """MX and address looked up here: the proxy sees an address"""
    with Proxy(folder) as p, Hosts(folder, certificates) as h:
        h.add("192.0.2.11")
        r = submit(folder, at("one"), more=through()).expect(0)
        delivered(h, "192.0.2.11")
        want(p.asked() == ["192.0.2.11:25"], p.daemon.words())
        want(r.lines()[0]["transport"] == "out", r.log)


def by_default_port(folder, certificates):
    """the proxy's port is 1080 where none is named"""
    with Proxy(folder) as p, Hosts(folder, certificates) as h:
        h.add("192.0.2.11")
        submit(folder, at("one"), more=through(where=PROXY)).expect(0)
        delivered(h, "192.0.2.11")
        want(p.asked() == ["192.0.2.11:25"], p.daemon.words())


def by_name(folder, certificates):
    """proxy_dns = yes: the proxy sees the MX's name, no address is asked"""
    asked = len(NAMES.questions())
    with Proxy(folder) as p, Hosts(folder, certificates) as h:
        h.add("192.0.2.11")
        submit(folder, at("one"), more=through("proxy_dns = yes")).expect(0)
        delivered(h, "192.0.2.11")
        want(p.asked() == ["mx.one.example.test:25"], p.daemon.words())
    # the proxy's own questions for the address come from getaddrinfo
    ours = [q for q in NAMES.questions()[asked:] if q[1] not in ("A", "AAAA")]
    want(("one.example.test", "MX") in ours, ours)
    want("TLSA" not in {k for _, k in ours}, ours)


def literal_by_name(folder, certificates):
    """proxy_dns = yes and an address literal: the address"""
    with Proxy(folder) as p, Hosts(folder, certificates) as h:
        h.add("192.0.2.11")
        submit(folder, ["b@[192.0.2.11]"],
               more=through("proxy_dns = yes")).expect(0)
        delivered(h, "192.0.2.11")
        want(p.asked() == ["192.0.2.11:25"], p.daemon.words())


def six(folder, certificates):
    """an IPv6 address through the proxy"""
    with Proxy(folder) as p, Hosts(folder, certificates) as h:
        h.add("2001:db8::6")
        submit(folder, at("six"), more=through()).expect(0)
        delivered(h, "2001:db8::6")
        want(p.asked() == ["2001:db8::6:25"], p.daemon.words())


def password(folder, certificates):
    """a password: right, wrong, missing; never shown"""
    secret = "pass word-\u00fc"
    with Proxy(folder, "-u", "me", "-P", secret) as p, \
            Hosts(folder, certificates) as h:
        h.add("192.0.2.11")
        for keys, status in (
                (("proxy_username = me", f"proxy_password = {secret}"), 0),
                (("proxy_username = me", "proxy_password = other-one"), 75),
                (("proxy_username = you", f"proxy_password = {secret}"), 75),
                ((), 75)):
            r = submit(folder, at("one"), more=through(*keys),
                       arguments=("-v",))
            want(r.status == status, f"{keys}: {r.status} {r.err}")
            want(secret not in r.err + r.log and
                 "other-one" not in r.err + r.log, r.err)
            want(not status or "proxy" in r.err.lower(), r.err)
        delivered(h, "192.0.2.11")
        want(p.asked() == ["192.0.2.11:25"], p.daemon.words())


def first_dead(folder, certificates):
    """the proxy cannot reach the first MX: the second takes it"""
    for keys in ((), ("proxy_dns = yes",)):
        with Proxy(folder) as p, Hosts(folder, certificates) as h:
            h.add("192.0.2.22")
            submit(folder, at("pair"), more=through(*keys)).expect(0)
            delivered(h, "192.0.2.22")


def several(folder, certificates):
    """two domains in one message, each by its own way through the proxy"""
    with Proxy(folder) as p, Hosts(folder, certificates) as h:
        h.add("192.0.2.11").add("192.0.2.12")
        submit(folder, at("one", "two"), more=through()).expect(0)
        delivered(h, "192.0.2.11")
        delivered(h, "192.0.2.12")
        want(sorted(p.asked()) == ["192.0.2.11:25", "192.0.2.12:25"],
             p.daemon.words())


def all_dead(folder, _):
    """the proxy reaches nobody: 75, and port 25 here is not blamed"""
    with Proxy(folder):
        r = submit(folder, at("pair"), more=through()).expect(75, "proxy")
        want("looks blocked" not in r.err, r.err)


def permanent(folder, certificates):
    """null MX, loopback (also localhost by name), a refusal: permanent"""
    with Proxy(folder) as p, Hosts(folder, certificates) as h:
        h.add("192.0.2.11", "on rcpt\n  reply 550 5.1.1 nobody\n")
        h.add("127.0.0.1")
        submit(folder, at("nullmx"), more=through()).expect(68)
        for keys in ((), ("proxy_dns = yes",)):
            submit(folder, at("here"), more=through(*keys)).expect(
                68, "aliases")
        submit(folder, at("self"), more=through()).expect(68, "aliases")
        want(not p.asked(), p.daemon.words())
        submit(folder, at("one"), more=through()).expect(67, "nobody")
        want(not h.connections("127.0.0.1"), "loopback was connected to")


def opportunistic(folder, certificates):
    """TLS through the proxy; broken, then in clear"""
    with Proxy(folder), Hosts(folder, certificates) as h:
        h.add("192.0.2.11", "tls starttls\n")
        h.add("192.0.2.12", "tls starttls\non starttls\n  reply 220 go\n"
              "  close\n")
        r = submit(folder, at("one", "two"), more=through()).expect(0)
        tls = {w["ip"]: w.get("tls", "") for w in r.lines()}
        want(tls["192.0.2.11"] == "TLS1.3" and
             tls["192.0.2.12"] in ("", "none"), r.log)


def dane(folder, certificates):
    """DANE holds through the proxy; with proxy_dns there is none"""
    for keys, status in (((), 75), (("proxy_dns = yes",), 0)):
        with Proxy(folder), Hosts(folder, certificates) as h:
            h.add("192.0.2.13", "tls starttls\n")
            submit(folder, at("dane"), more=through(*keys)).expect(status)
            want(len(h.messages("192.0.2.13")) == (status == 0), status)


def proxy_dead(folder, _):
    """no proxy there: 75, it is named, and no direct connection is made"""
    r = submit(folder, at("one"), more=through()).expect(75, "proxy")
    want(PROXY in r.err and "looks blocked" not in r.err, r.err)


def tor(folder, *settings):
    path = pathlib.Path(folder, "torrc")
    path.write_text(f"DataDirectory {folder}/tor\nLog notice stdout\n"
                    f"SocksPort {TOR}:9050\nSocksTimeout 3\n" +
                    "\n".join(settings) + "\n")
    return mxnet.Daemon(["tor", "-f", str(path)], folder, name="tor")


def tor_disabled(folder, _):
    """Tor with its network disabled: refused, in words"""
    daemon = tor(folder, "DisableNetwork 1")
    daemon.wait_for(lambda: "DisableNetwork is set" in daemon.words() or
                    "Bootstrapped" in daemon.words(), "tor")
    r = submit(folder, at("one"), more=through(where=f"{TOR}:9050"))
    daemon.stop()
    r.expect(75, "proxy")


def tor_offline(folder, certificates):
    """Tor without a network: refused by its port, in words and time"""
    daemon = tor(folder, "DisableNetwork 0")
    daemon.wait_port(9050, TOR, greeting=False)
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.11")
        for keys in ((), ("proxy_dns = yes",)):
            r = submit(folder, at("one"), more=through(
                *keys, where=f"{TOR}:9050"), general="connect_timeout = 20s")
            r.expect(75, "proxy")
            want(r.took < 25, f"it took {r.took:.1f} s")
        want(not h.connections("192.0.2.11"), "it was reached")
    daemon.stop()


TESTS = [by_address, by_default_port, by_name, literal_by_name, six,
         password, first_dead, several, all_dead, permanent, opportunistic,
         dane, proxy_dead, tor_disabled, tor_offline]


def main():
    global NAMES
    mxnet.isolate("nsd", "unbound", "ldns-keygen", "ldns-signzone",
                  "microsocks", "tor")
    with mxnet.scratch() as folder:
        NAMES = mxnet.Names(
            f"{folder}/names", {"example.test": ZONE + "_25._tcp.mx.dane "
                                f"TLSA 3 1 1 {'00' * 32}\n"},
            signed=("example.test",), interfaces=("192.0.2.53",))
        mxnet.use_resolver(folder, "192.0.2.53")
        status = mxnet.tap(TESTS)
        NAMES.stop()
    return status


if __name__ == "__main__":
    sys.exit(main())
