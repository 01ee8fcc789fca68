#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""DKIM: varied messages signed with RSA, Ed25519 and both, as a server got
them, verified by two independent programs: python3-dkim, and libopendkim
(RSA) with the keys in a zone of nsd behind unbound."""

import base64
import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import mxnet  # noqa: E402
from mxnet import Hosts, submit, want  # noqa: E402

DOMAIN = "signed.test"
KINDS = {"rsa": ["rsa"], "ed25519": ["ed"], "both": ["rsa", "ed"]}
TO = b"To: b@example.test\n"
HEAD = b"From: a@signed.test\n" + TO + b"Subject: varied\n"
MULTIPART = HEAD + b"""MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=_x"

preamble
--=_x
Content-Type: text/plain; charset=utf-8

text \xc3\xa9
--=_x
Content-Type: application/octet-stream
Content-Transfer-Encoding: base64

""" + base64.encodebytes(bytes(range(256)) * 20) + b"\n--=_x--\nepilogue\n"

MESSAGES = {
    "plain": HEAD + b"\nbody\n",
    "no subject": b"From: a@signed.test\n" + TO + b"\nbody\n",
    "no to": b"From: a@signed.test\nSubject: s\n\nbody\n",
    "empty body": HEAD + b"\n",
    "header alone": HEAD,
    "blank lines at the end": HEAD + b"\nbody\n\n\n\n",
    "blank lines alone": HEAD + b"\n\n\n\n",
    "blanks at line ends": HEAD + b"\nbody  \t\nmore \n \nlast\t\n",
    "runs of blanks": HEAD + b"\na  b\t\tc \t d\n",
    "blanks at line starts": HEAD + b"\n  a\n\tb\n",
    "utf-8": HEAD + "\ngrüße – 漢字\n".encode(),
    "latin-1": HEAD + "\ngrüße\n".encode("latin-1"),
    "utf-8 in the header": b"From: a@signed.test\nSubject: " +
    "grüße\n".encode() + TO + b"\nbody\n",
    "encoded words": b"From: =?utf-8?q?J=C3=BCrgen?= <a@signed.test>\n" + TO +
    b"Subject: =?utf-8?b?5ryi5a2X?=\n =?utf-8?b?5ryi5a2X?=\n\nbody\n",
    "folded subject": b"From: a@signed.test\n" + TO +
    b"Subject: one\n two\n\tthree\n    four\n\nbody\n",
    "blanks in the subject": b"From: a@signed.test\n" + TO +
    b"Subject:   one   two\t\tthree  \n\nbody\n",
    "blank continuation": b"From: a@signed.test\n" + TO +
    b"Subject: one\n \t \n two\n\nbody\n",
    "empty subject": b"From: a@signed.test\n" + TO + b"Subject:\n\nbody\n",
    "odd names": b"FROM:a@signed.test\nto:\tb@example.test\n"
    b"sUBJECT: s\n\nbody\n",
    "folded from": b"From: \"A, B\"\n <a@signed.test>\n (comment)\n" + TO +
    b"\nbody\n",
    "two authors": b"From: a@signed.test, c@elsewhere.test\n"
    b"Sender: a@signed.test\n" + TO + b"\nbody\n",
    "upper case": b"From: A@SIGNED.Test\n" + TO + b"\nbody\n",
    "unqualified": b"From: root\nTo: b\nSubject: cron\n\nbody\n",
    "no from": TO + b"Subject: s\n\nbody\n",
    "dots": HEAD + b"\n.\n..\n.a\n...\n",
    "long lines": HEAD + b"\n" + b"x" * 998 + b"\n" + b"y" * 998 + b"\n",
    "too long lines": HEAD + b"\n" + b"word " * 1000 + b"\nlast\n",
    "too long references": HEAD + b"References:" + b" <id@example.test>" * 90 +
    b"\n\nbody\n",
    "long to": b"From: a@signed.test\nTo: " + b",\n ".join(
        b"user%d@example.test" % i for i in range(120)) + b"\n\nbody\n",
    "multipart": MULTIPART,
    "quoted-printable": HEAD + b"MIME-Version: 1.0\nContent-Transfer-Encoding:"
    b" quoted-printable\n\ngr=C3=BC=C3=9Fe =\nsoft\n",
    "300 kB": HEAD + b"\n" + b"line of a larger message\n" * 12000,
    "2 MB": HEAD + b"\n" + b"line of a very large message \t \n" * 64000 +
    b"\n\n",
    "crlf": (HEAD + b"\nbody\n\nmore\n").replace(b"\n", b"\r\n"),
    "mixed line ends": HEAD + b"\r\na\nb\r\nc\r\r\nd\n",
    "bare cr": HEAD + b"\na\rb\n",
    "no final newline": HEAD + b"\nbody",
    "received": b"".join(b"Received: from h%d by h%d;\n\tMon, 1 Jan 2024 "
                         b"00:00:00 +0000\n" % (i, i + 1)
                         for i in range(30)) + HEAD + b"\nbody\n",
    "resent": b"Resent-From: a@signed.test\nResent-To: b@example.test\n" +
    HEAD + b"\nbody\n",
    "other signature": b"DKIM-Signature: v=1; a=rsa-sha256; d=other.test; "
    b"s=x; h=from;\n bh=AAAA; b=BBBB\n" + HEAD + b"\nbody\n",
    "list fields": HEAD + b"Cc: c@example.test\nReply-To: d@signed.test\n"
    b"List-Id: <l.signed.test>\nList-Unsubscribe: <mailto:u@signed.test>\n"
    b"X-Empty:\nMIME-Version: 1.0\nContent-Type: text/plain\n\nbody\n",
    "bcc": HEAD + b"Bcc: hidden@example.test\nReturn-Path: <x@y>\n\nbody\n",
    "from line": b"From a@signed.test Mon Jan 1 00:00:00 2024\n" + HEAD +
    b"\nbody\nFrom here on\n",
    "no header": b"text without a header\n\nbody\n",
}

VERIFY = r"""
import dkim, json, sys
keys, paths = json.load(sys.stdin)
def txt(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    return keys.get(name.rstrip("."), "").encode()
out = {}
for path in paths:
    data = open(path, "rb").read()
    found = []
    n = data.split(b"\r\n\r\n")[0].lower().count(b"\r\ndkim-signature:")
    n += data.lower().startswith(b"dkim-signature:")
    for i in range(n):
        d = dkim.DKIM(data)
        try:
            good = d.verify(idx=i, dnsfunc=txt)
        except Exception as e:
            good = False
        found.append([(d.domain or b"").decode(), (d.selector or b"").decode(),
                      good])
    out[path] = found
json.dump(out, sys.stdout)
"""


def public(path):
    der = subprocess.run(["openssl", "pkey", "-in", path, "-pubout",
                          "-outform", "DER"], check=True, timeout=20,
                         capture_output=True).stdout
    return base64.b64encode(der[-32:] if "ed." in path else der).decode()


class World:
    def __init__(self, folder):
        self.folder = folder
        for name, words in (("rsa", ["RSA", "-pkeyopt",
                                     "rsa_keygen_bits:2048"]),
                            ("ed", ["ED25519"])):
            mxnet.command("openssl", "genpkey", "-algorithm", *words, "-out",
                          f"{folder}/{name}.pem")
        self.keys = {f"{s}._domainkey.{DOMAIN}":
                     f"v=DKIM1; k={k}; p={public(f'{folder}/{s}.pem')}"
                     for s, k in (("rsa", "rsa"), ("ed", "ed25519"))}
        self.names = mxnet.Names(f"{folder}/names", {DOMAIN: "".join(
            f"{name}. TXT " + " ".join(f'"{text[i:i + 200]}"' for i in
                                       range(0, len(text), 200)) + "\n"
            for name, text in self.keys.items())},
            interfaces=("192.0.2.53",))
        mxnet.use_resolver(folder, "192.0.2.53")
        self.got = {}

    def section(self, selectors):
        return (f"[domain {DOMAIN}]\ndkim_selector = {' '.join(selectors)}\n"
                f"dkim_key = " + " ".join(f"{self.folder}/{s}.pem"
                                          for s in selectors) + "\n")

    def more(self, selectors):
        return f"""{self.section(selectors)}
[route r]
transport = relay
[transport relay]
kind = smtp
host = 192.0.2.11
no_starttls = yes
"""

    def messages(self, folder, kind):
        """{title: path} of every message as the server got it; half of
        them by BDAT."""
        if kind not in self.got:
            place = pathlib.Path(self.folder, kind)
            place.mkdir(exist_ok=True)
            seen = {}
            for i, (title, text) in enumerate(MESSAGES.items()):
                with Hosts(folder, CERTIFICATES) as h:
                    h.add("192.0.2.11", "extension CHUNKING\n" if i % 2 else
                          "")
                    submit(folder, ["b@example.test"], message=text,
                           more=self.more(KINDS[kind]), domain=DOMAIN,
                           sender="a@signed.test").expect(0)
                    got = h.messages("192.0.2.11")
                    want(len(got) == 1, f"{title}: {len(got)} messages")
                    path = place / f"{i}.eml"
                    path.write_bytes(h.server["192.0.2.11"].message(got[0]))
                    seen[title] = str(path)
            self.got[kind] = seen
        return self.got[kind]


def with_python(paths):
    done = subprocess.run([PYTHON, "-c", VERIFY], cwd="/", timeout=300,
                          input=json.dumps([WORLD.keys, list(paths)]).encode(),
                          capture_output=True)
    want(done.returncode == 0, done.stderr.decode())
    return {path: [f for f in found if f[0].lower() == DOMAIN]
            for path, found in json.loads(done.stdout).items()}


def with_opendkim(path):
    done = subprocess.run(["opendkim-testmsg", "-C"], timeout=60,
                          stdin=open(path, "rb"), capture_output=True,
                          env={**os.environ, "PATH": mxnet.harness.PATH})
    return done.returncode == 0 and not done.stderr, done


def by_python(kind):
    def test(folder, _):
        got = WORLD.messages(folder, kind)
        want(len(got) >= 40, len(got))
        found = with_python(got.values())
        for title, path in got.items():
            want(sorted(found[path]) == sorted(
                [DOMAIN, s, True] for s in KINDS[kind]),
                f"{title}: {found[path]}\n" +
                pathlib.Path(path).read_text("latin-1")[:1500])
    test.__doc__ = f"{len(MESSAGES)} messages, {kind}: python3-dkim agrees"
    return test


def by_opendkim(kind):
    def test(folder, _):
        for title, path in WORLD.messages(folder, kind).items():
            if title == "other signature":
                continue    # whose key cannot be had, which it reports
            good, done = with_opendkim(path)
            want(good, f"{title}: {done}\n" +
                 pathlib.Path(path).read_text("latin-1")[:1500])
    test.__doc__ = f"{len(MESSAGES) - 1} messages, {kind}: opendkim agrees"
    return test


def tampered(folder, _):
    """what is changed, or added before or behind, no longer verifies"""
    path = pathlib.Path(WORLD.messages(folder, "both")["plain"])
    data = path.read_bytes()
    changes = {"body": data.replace(b"\r\n\r\nbody", b"\r\n\r\nBody"),
               "subject": data.replace(b"varied", b"evil")}
    for field in (b"From: x@y", b"To: x@y", b"Cc: x@y", b"Subject: x",
                  b"Date: Mon, 1 Jan 2024 00:00:00 +0000"):
        changes[f"{field} before"] = field + b"\r\n" + data
        changes[f"{field} behind"] = data.replace(
            b"\r\n\r\n", b"\r\n" + field + b"\r\n\r\n", 1)
    for title, changed in changes.items():
        want(changed != data, title)
        other = path.with_name("changed.eml")
        other.write_bytes(changed)
        found = with_python([str(other)])[str(other)]
        want([f[2] for f in found] == [False, False], f"{title}: {found}")
        want(not with_opendkim(other)[0], f"{title}: opendkim takes it")


def signed_already(folder, _):
    """a message signed with that selector is left alone, another is added"""
    path = pathlib.Path(WORLD.messages(folder, "rsa")["plain"])
    with Hosts(folder, CERTIFICATES) as h:
        h.add("192.0.2.11")
        submit(folder, ["b@example.test"], message=path.read_bytes(),
               more=WORLD.more(["rsa", "ed"])).expect(0)
        got = h.server["192.0.2.11"].message(h.messages("192.0.2.11")[0])
    want(got.lower().count(b"dkim-signature:") == 2, got)
    other = path.with_name("twice.eml")
    other.write_bytes(got)
    found = with_python([str(other)])[str(other)]
    want(sorted(found) == [[DOMAIN, "ed", True], [DOMAIN, "rsa", True]],
         found)


def other_domain(folder, _):
    """another domain's From is not signed"""
    with Hosts(folder, CERTIFICATES) as h:
        h.add("192.0.2.11")
        submit(folder, ["b@example.test"], sender="a@signed.test",
               message=b"From: a@sub.signed.test\n\nbody\n",
               more=WORLD.more(["rsa"])).expect(0)
        got = h.server["192.0.2.11"].message(h.messages("192.0.2.11")[0])
    want(b"DKIM" not in got, got)


def no_key(folder, _):
    """a key that cannot be read, is none, or is weak: 75, never unsigned"""
    weak = f"{folder}/weak.pem"
    mxnet.command("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt",
                  "rsa_keygen_bits:1024", "-out", weak)
    pathlib.Path(folder, "garbage.pem").write_text("no key\n")
    good = f"{WORLD.folder}/rsa.pem"
    for path in (f"{folder}/none.pem", f"{folder}/garbage.pem", weak):
        with Hosts(folder, CERTIFICATES) as h:
            h.add("192.0.2.11")
            submit(folder, ["b@example.test"], message=MESSAGES["plain"],
                   more=WORLD.more(["rsa"]).replace(good, path)).expect(
                       75, os.path.basename(path))
            want(not h.messages("192.0.2.11"), "sent unsigned")


TESTS = ([by_python(kind) for kind in KINDS] +
         [by_opendkim(kind) for kind in ("rsa", "both")] +
         [tampered, signed_already, other_domain, no_key])


def main():
    global WORLD, CERTIFICATES, PYTHON
    mxnet.isolate("nsd", "unbound", "openssl", "opendkim-testmsg")
    for PYTHON in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([PYTHON, "-c", "import dkim, nacl"], cwd="/",
                          capture_output=True).returncode == 0:
            break
    else:
        sys.exit("Bail out! python3-dkim (with nacl) is not installed")
    with mxnet.scratch() as folder:
        CERTIFICATES = f"{folder}/certs"
        mxnet.harness.make_certificates(CERTIFICATES)
        WORLD = World(folder)
        status = mxnet.tap(TESTS)
        WORLD.names.stop()
    return status


if __name__ == "__main__":
    sys.exit(main())
