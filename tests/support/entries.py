# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of the queue made by hand: whole, of hostile parts, large."""

import lzma
import os
import time

ALL_ONES = (1 << 64) - 1


def crc_table():
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0xC96C5795D7870F42 if i & 1 else 0)
        yield i


TABLE = list(crc_table())


def checksum(data, crc=0):
    """CRC-64/XZ, which guards an entry."""
    crc ^= ALL_ONES
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ ALL_ONES


def checksum_fast(data):
    """The same for megabytes, by way of xz, whose check it is."""
    packed = lzma.compress(data, check=lzma.CHECK_CRC64, preset=0)
    # the one block's check stands before the index, that before the footer
    index = (int.from_bytes(packed[-8:-4], "little") + 1) * 4
    end = len(packed) - 12 - index
    return int.from_bytes(packed[end - 8:end], "little")


def made(header, body, journal=b"", whole=True, crc=checksum):
    """An entry's file out of the lines of its envelope."""
    text = b"posthaste-queue 1\n" + header
    if whole:
        text += b"size %d\n\n" % len(body)
    text += body
    return text + b"checksum %016x\n" % crc(text) + journal


def head(uid, sender=b"alice@example.test", rcpt=b"b@example.org",
         more=b""):
    return (b"queued %d\nuid %d\n" % (time.time(), uid) + more +
            b"sender " + sender + b"\nrcpt " + rcpt + b"\n")


def made_large(body, more=b""):
    """An entry's file of many bytes, or recipients."""
    return made(head(1) + more, body, crc=checksum_fast)


def journal_line(words, when=1700000000):
    """A line of an entry's journal."""
    line = f"{when} {words}\n".encode()
    return b"%05d %016x " % (len(line) + 23, checksum(line)) + line


def entry_bytes(rcpts, message, sender="s@test.example", queued=None,
                journal=b"", uid=None, more=""):
    return made(
        (f"queued {queued or int(time.time())}\n"
         f"uid {os.getuid() if uid is None else uid}\n"
         f"sender{' ' + sender if sender else ''}\n{more}" +
         "".join(f"rcpt {rcpt}\n" for rcpt in rcpts)).encode(),
        message, journal)


def grown_journal():
    """The first recipient is done; the others were deferred time and again,
    so that the next run writes the journal again."""
    lines = [journal_line("sent 0 attempts=1 stage=dot exit=0 code=250 "
                          "text=ok")]
    for n in range(1, 260):
        lines += [journal_line(f"deferred {i} attempts={n} stage=rcpt "
                               f"exit=75 code=450 text={'later ' * 60}")
                  for i in (1, 2)]
    lines.append(journal_line("delay-reported 1 2"))
    return b"".join(lines)


def message_bytes(mid, body=b"body\r\n"):
    return (f"From: <s@test.example>\r\nTo: <r@example.net>\r\n"
            f"Date: Wed, 25 Nov 2026 10:00:00 +0000\r\n"
            f"Message-ID: <{mid}>\r\n\r\n").encode() + body
