# SPDX-License-Identifier: GPL-3.0-or-later
"""Queue entries as a hostile user of tests/interop/shared*.py writes them."""

import os

from entries import head, made

BODY = b"From: x@example.test\nSubject: s\n\nhi\n"
ADDRESSES = [b"b@example.org%0D%0ARCPT%20TO:<x@example.org>",
             b"b%0A@example.org", b"<>", b"@", b"b", b"b@", b"%00@x.example",
             b"b@example.org>%20SIZE=1", b"a" * 4000 + b"@example.org",
             b"b@example.org%", b"b@example.org%zz", b"\xff@\xff",
             b"b@example.org notify=%0D%0A", b"b@example.org orcpt=%0D%0ADATA",
             b"b@example.org orcpt=rfc822;a%20b+0A", b"|/bin/sh", b"/etc/x"]
HEADERS = [b"", b"\n\n", b"garbage\n", b"uid x\n", b"queued -1\n",
           b"queued 99999999999999999999\n", b"size 5\nsize 5\n",
           b"sender a\nsender b\n", b"size 9999999\n", b"cause ../../x\n",
           b"envid %0D%0ADATA\n", b"return maybe\n", b"x" * 100000 + b"\n",
           b"account ../../etc/passwd\n", b"\0\n", b"body 9bit\n"]
BODIES = [b"", b"\0", b"no header\n.\nMAIL FROM:<x@x.example>\n",
          b"Subject: s\r\n.\r\nMAIL FROM:<x@x.example>\r\n",
          b"Subject: s\r\r\n\n.\r.\r\n..\n", b"\r" * 5000 + b"\n",
          b"Bcc: secret@example.org\nSubject: s\n\nx\n",
          b"Received: x\n" * 60 + b"\nx\n", b"x" * 100000,
          b": " * 1000, b"\xff\xfe" * 3000]
JOURNALS = [b"garbage\n", b"1 2 3\n", b"9999999999 0 0 sent 0\n",
            b"\0" * 100, b"x" * 20000]


def hostile_entries():
    for address in ADDRESSES:
        yield made(head(1, rcpt=address), BODY)
        yield made(head(1, sender=address), BODY)
    for header in HEADERS:
        yield made(header, BODY)
        yield made(header, BODY, whole=False)
        yield made(head(1, more=header), BODY)
    for body in BODIES:
        yield made(head(1), body)
    for journal in JOURNALS:
        yield made(head(1), BODY, journal)
    good = made(head(1), BODY)
    yield from (good[:n] for n in range(0, len(good), 7))
    yield os.urandom(5000)
    yield b""
    yield b"\0" * 100000
    yield made(head(1, more=b"rcpt b@example.org\n" * 3000), BODY)
