#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""DANE: a zone signed by ldns-signzone, nsd, and unbound that validates."""

import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import mxnet  # noqa: E402
from mxnet import Hosts, submit, tlsa, want  # noqa: E402

FORGED = "f0" * 32
EXTRA = {"message": b"From: a@sender.test\nTo: b@c\nTLS-Required: No\n"
                    b"Subject: s\n\nbody\n"}
ROUTE = "[route r]\ntransport = t\n[transport t]\nkind = direct\n"


class World:
    """The names, their certificates and addresses. Every domain's host is
    mx.DOMAIN at an address of its own."""

    def __init__(self, folder):
        self.certs = f"{folder}/certs"
        self.address, self.text = {}, {}
        mxnet.harness.make_certificates(self.certs)
        shutil.copy(f"{self.certs}/expired.pem", f"{self.certs}/expired.crt")
        self.make_certificates()
        self.make_domains()
        text = self.text.pop("plain")
        self.names = Names(f"{folder}/names", {
            "dane.test": "".join(self.text.values()), "plain.test": text},
            signed=("dane.test",), interfaces=("192.0.2.53",))

    def make_certificates(self):
        def make(name, *names, **more):
            mxnet.certificate(self.certs, name, names, **more)
        make("ta", authority=True)
        make("evil-ca", authority=True)
        make("ee", "whatever.test")
        make("other", "mx.wrong.dane.test")
        make("ta-leaf", "mx.ta.dane.test", ca="ta", chain=("ta",))
        make("ta-named", "elsewhere.test", ca="ta", chain=("ta",))
        make("ta-by-domain", "tadomain.dane.test", ca="ta", chain=("ta",))
        make("evil-leaf", "mx.evil.dane.test", ca="evil-ca",
             chain=("evil-ca", "ta"))
        make("evil-short", "mx.evil.dane.test", ca="evil-ca",
             chain=("ta",))

    def domain(self, name, *records, port=25, mx=True):
        self.address[name] = f"192.0.2.{10 + len(self.address)}"
        self.text[name] = (
            f"{name if name != 'plain' else '@'} MX 10 mx.{name}\n"
            if mx else "") + f"mx.{name} A {self.address[name]}\n" + "".join(
            f"_{port}._tcp.mx.{name} TLSA {r}\n" for r in records)

    def make_domains(self):
        def data(*words):
            return tlsa(self.certs, *words)
        ee, other = data("ee", 3), data("other", 3)
        ta = data("ta", 2, 0, 1)
        self.domain("right", ee)
        self.domain("full", data("ee", 3, 0, 0))
        self.domain("sha512", data("ee", 3, 1, 2))
        self.domain("rolling", other, ee)
        self.domain("wrong", ee)
        self.domain("old", data("expired", 3))
        for name in ("ta", "evil", "tanamed", "tadomain"):
            self.domain(name, ta)
        self.domain("both", ta, ee)
        self.domain("pkix", data("ee", 1), data("ta", 0, 0, 1))
        self.domain("mixed", data("other", 1), ee)
        self.domain("odd", "3 1 9 " + "00" * 32, "3 7 1 " + "00" * 32,
                    "9 1 1 " + "00" * 32)
        self.domain("none")
        self.domain("plain", other)
        self.domain("bogus", f"3 1 1 {FORGED}")
        self.domain("port", ee, port=2525)
        self.domain("next", ee)
        self.address["solo"] = "192.0.2.99"
        self.text["solo"] = (f"solo A 192.0.2.99\n"
                             f"_25._tcp.solo TLSA {ee}\n")
        self.text["two"] = ("two MX 10 mx.wrong\ntwo MX 20 mx.next\n"
                            "alias MX 10 a.alias\na.alias CNAME mx.wrong\n"
                            "leads CNAME wrong\n")


class Names(mxnet.Names):
    def sign(self, name):
        super().sign(name)
        path = self.folder / f"{name}.zone"
        text = path.read_text()
        want(FORGED in text, "the record to forge is not in the signed zone")
        path.write_text(text.replace(FORGED, "0f" * 32))


def rcpt(name):
    return ["b@plain.test" if name == "plain" else f"b@{name}.dane.test"]


def sent(folder, name, certificate, status=0, script="", **more):
    """A message to a domain whose host shows a certificate; nothing of it
    may have been said where the status is not 0."""
    tls = f"tls starttls\ncertificate {certificate}\n" if certificate else ""
    with Hosts(folder, WORLD.certs) as h:
        h.add(WORLD.address[name], tls + script, more.pop("port", 25))
        r = submit(folder, rcpt(name), **more).expect(status)
        address = WORLD.address[name]
        want(len(h.messages(address)) == (status == 0), h.said(address))
        if status:
            want(not [w for w in h.said(address) if w[:4] in
                      ("MAIL", "RCPT", "DATA")], h.said(address))
        return r, h.stop()


def encrypted(folder, name, certificate, **more):
    r, h = sent(folder, name, certificate, **more)
    want(r.lines()[0]["tls"] == "TLS1.3", r.log)
    want(len(h.events(WORLD.address[name], "tls")) == 1, "no TLS")
    return r, h


def ee_right(folder, _):
    """3 1 1 right: delivered, though the name is wrong and the CA unknown"""
    encrypted(folder, "right", "ee")


def ee_forms(folder, _):
    """3 0 0, 3 1 2, one of two records, an expired certificate: delivered"""
    for name, certificate in (("full", "ee"), ("sha512", "ee"),
                              ("rolling", "ee"), ("old", "expired"),
                              ("mixed", "ee")):
        encrypted(folder, name, certificate)


def ee_wrong(folder, _):
    """3 1 1 wrong: 75, nothing sent, one connection, no clear text"""
    r, h = sent(folder, "wrong", "other", 75)
    want(h.connections(WORLD.address["wrong"]) == 1, "it came again")
    want("DANE" in r.err or "TLSA" in r.err, r.err)


def no_starttls(folder, _):
    """a usable record and no STARTTLS: 75, nothing sent"""
    sent(folder, "right", None, 75)


def handshake_broken(folder, _):
    """a usable record and a broken handshake: 75, never in clear"""
    for break_it in ("reply 220 go\n  close", "reply 454 4.7.0 not now",
                     "reply 502 5.5.1 what"):
        _, h = sent(folder, "right", "ee", 75,
                    "on starttls\n  " + break_it + "\n")
        want(h.connections(WORLD.address["right"]) == 1, "it came again")


def ta_right(folder, _):
    """2 0 1 right: delivered, by the host's name or the domain's"""
    encrypted(folder, "ta", "ta-leaf")
    encrypted(folder, "tadomain", "ta-by-domain")


def ta_wrong_name(folder, _):
    """2 0 1, a certificate of that CA for another name: 75"""
    sent(folder, "tanamed", "ta-named", 75)


def ta_evil(folder, _):
    """2 0 1 against [evil leaf, evil CA, genuine TA]: 75"""
    # the anchor does lie in the chain: otherwise this would prove nothing
    r, _ = sent(folder, "evil", "evil-leaf", 75)
    want("does not come from the anchor" in r.err, r.err)


def ta_evil_short(folder, _):
    """2 0 1 against [evil leaf, genuine TA]: 75"""
    r, _ = sent(folder, "evil", "evil-short", 75)
    want("does not come from the anchor" in r.err, r.err)


def ta_or_ee(folder, _):
    """2 0 1 and 3 1 1: the leaf alone is enough"""
    encrypted(folder, "both", "ee")


def second_host(folder, _):
    """the first MX fails DANE: the second, which passes, takes it"""
    with Hosts(folder, WORLD.certs) as h:
        h.add(WORLD.address["wrong"], "tls starttls\ncertificate other\n")
        h.add(WORLD.address["next"], "tls starttls\ncertificate ee\n")
        submit(folder, rcpt("two")).expect(0)
        want(len(h.messages(WORLD.address["next"])) == 1, "not taken")
        want(not h.messages(WORLD.address["wrong"]), "taken by the wrong one")


def by_alias(folder, _):
    """CNAMEs of the domain and of its MX do not shake DANE off"""
    for name in ("alias", "leads"):
        for certificate, status in (("other", 75), ("ee", 0)):
            with Hosts(folder, WORLD.certs) as h:
                h.add(WORLD.address["wrong"],
                      f"tls starttls\ncertificate {certificate}\n")
                submit(folder, rcpt(name)).expect(status)


def implicit(folder, _):
    """no MX record: the records at the domain's own name count"""
    encrypted(folder, "solo", "ee")
    sent(folder, "solo", "other", 75)


def unsigned(folder, _):
    """TLSA of an unsigned zone: ignored, even wrong"""
    encrypted(folder, "plain", "ee")


def unsigned_clear(folder, _):
    """TLSA of an unsigned zone: ignored, even without STARTTLS"""
    sent(folder, "plain", None)


def none(folder, _):
    """a signed zone without TLSA: opportunistic"""
    sent(folder, "none", None)
    encrypted(folder, "none", "ee")


def bogus(folder, _):
    """TLSA that does not validate (SERVFAIL): 75, not even connected"""
    r, h = sent(folder, "bogus", "ee", 75)
    want(not h.connections(WORLD.address["bogus"]), "it was connected to")
    want("TLSA" in r.err and "SERVFAIL" in r.err, r.err)


def unusable(folder, _):
    """usages 0 and 1 alone, or unknown ones: TLS, unauthenticated"""
    for name in ("pkix", "odd"):
        encrypted(folder, name, "other")
        sent(folder, name, None, 75)


def port(folder, _):
    """the owner name carries the real port"""
    more = ROUTE + "port = 2525\n"
    encrypted(folder, "port", "ee", more=more, port=2525)
    sent(folder, "port", "other", 75, more=more, port=2525)
    sent(folder, "wrong", "other", more=more, port=2525)


def dnssec_off(folder, _):
    """dnssec = off: the resolver's word counts for nothing"""
    encrypted(folder, "wrong", "other", dns="dnssec = off")


def dnssec_trust(folder, _):
    """dnssec = trust: also a resolver on another host is believed"""
    sent(folder, "wrong", "other", 75, dns="dnssec = trust",
         resolver="192.0.2.53:53")


def dnssec_auto(folder, _):
    """dnssec = auto: a resolver here is believed, one elsewhere is not"""
    sent(folder, "wrong", "other", 75, dns="dnssec = auto")
    encrypted(folder, "wrong", "other", dns="dnssec = auto",
              resolver="192.0.2.53:53")


def dane_no(folder, _):
    """dane = no: no TLSA question"""
    asked = len(WORLD.names.questions())
    encrypted(folder, "wrong", "other", tls="dane = no")
    kinds = {k for _, k in WORLD.names.questions()[asked:]}
    want("MX" in kinds and "TLSA" not in kinds, kinds)


def tls_required_no(folder, _):
    """TLS-Required: No relaxes it, in clear too; not under --require-tls"""
    encrypted(folder, "wrong", "other", **EXTRA)
    sent(folder, "right", None, **EXTRA)
    sent(folder, "wrong", "other", 75, arguments=("--require-tls",), **EXTRA)


def require_tls(folder, _):
    """--require-tls with DANE: said to a host that has it, else 5.7.30"""
    _, h = encrypted(folder, "right", "ee", arguments=("--require-tls",),
                     script="tls-extension REQUIRETLS\n")
    mail = [w for w in h.said(WORLD.address["right"]) if w[:4] == "MAIL"]
    want("REQUIRETLS" in mail[0], mail)
    r, _ = sent(folder, "right", "ee", 69, arguments=("--require-tls",))
    want(r.lines()[0]["dsn"] == "5.7.30", r.log)


def explained(folder, _):
    """--explain names the demand and where it comes from"""
    for name, word in (("right", "DANE"), ("plain", "neither DANE")):
        r = submit(folder, rcpt(name), arguments=("--explain",)).expect(0)
        want(word in r.out, r.out)


TESTS = [ee_right, ee_forms, ee_wrong, no_starttls, handshake_broken,
         ta_right, ta_wrong_name, ta_evil, ta_evil_short, ta_or_ee,
         second_host, by_alias, implicit, unsigned, unsigned_clear, none, bogus,
         unusable, port, dnssec_off, dnssec_trust, dnssec_auto, dane_no,
         tls_required_no, require_tls, explained]


def main():
    global WORLD
    mxnet.isolate("nsd", "unbound", "ldns-keygen", "ldns-signzone",
                  "openssl")
    with mxnet.scratch() as folder:
        WORLD = World(folder)
        status = mxnet.tap(TESTS)
        WORLD.names.stop()
    return status


if __name__ == "__main__":
    sys.exit(main())
