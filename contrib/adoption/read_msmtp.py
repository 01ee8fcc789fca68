# SPDX-License-Identifier: GPL-3.0-or-later
"""msmtp: the system's msmtprc, by the converter of from-msmtprc; here its
passwords go into files of their own, and a login in clear text is named."""

import contextlib
import io
import re

import judge
import msmtprc
from model import Relay, Secret, Setup, word

FILES = ("/etc/msmtprc", "/root/.msmtprc", "/root/.config/msmtp/config")
# words that tell what became safer, or that are about the password's place
NOTES = (r"is off: mail goes", r"the password is in the output",
         r"looks into ~/\.netrc", r"itself matches now", r"24 it is",
         r"the file it is", r"standard error it is", r"has no effect",
         r"facility is always mail", r"the log's time is fixed",
         r"the TLS library decides", r"tls over a UNIX socket")


def said(path, lines, report):
    for line in lines:
        match = re.match(r"from-msmtprc: (?:line (\d+): )?(.*)", line)
        if not match or "things to look at" in line:
            continue
        where = word("", path, int(match.group(1) or 0))
        text = match.group(2)
        if "the password is in the output" in text:
            continue
        (report.note if any(re.search(note, text) for note in NOTES)
         else report.name)(where, text)


def safer(keys, report, path):
    """The keys of a transport as every peer's are: verified, and with a
    login never in clear text to another machine."""
    given = dict(keys)
    where = word("", path, getattr(given["host"], "line", 0))
    drop = set()
    if "starttls_insecure_skip_verify" in given:
        report.note(where, f"the certificate of {given['host']} was not "
                    "verified; it is verified now (see fingerprint)")
        drop.add("starttls_insecure_skip_verify")
    if "no_starttls" in given and "username" in given and not judge.is_here(
            Relay(where, [given["host"]])):
        report.name(where, f"the login went to {given['host']} in clear text;"
                    " TLS is required now. Where the server has none and it "
                    "has to be, no_starttls and mechanisms say so")
        drop |= {"no_starttls"} | ({"mechanisms"} if set(given.get(
            "mechanisms", "").split()) & judge.SHOWING else set())
    return [(k, v) for k, v in keys if k not in drop]


def sections(out, path, report):
    """Those of the converter; a password becomes a Secret. With one, users
    who may not read it leave their mail to the queue."""
    secrets = any(k == "password" for _, keys in out.sections
                  for k, _ in keys)
    for name, keys in out.sections:
        if name == "queue" and secrets:
            continue
        if name.startswith("transport") and dict(keys).get("host"):
            keys = safer(keys, report, path)
        command = dict(keys).get("password_command")
        if command:
            report.name(word("", path, getattr(command, "line", 0)),
                        "passwordeval: everybody can read that command now, "
                        "and for root the queue's owner runs it; see "
                        "posthaste --store-password")
        yield name, [(k, v) if k != "password" else (
            "password_file", Secret(v, word("", path, getattr(v, "line", 0))))
            for k, v in keys]


def read(files, report):
    path = next((p for p in FILES if files.exists(p)), None)
    lines = files.lines(path, report) if path else None
    if lines is None:
        return None
    words = io.StringIO()
    msmtprc.problems = msmtprc.faults = 0
    if not files.live:
        # another machine's commands are not for this one to run
        msmtprc.evaluate = lambda command, line: msmtprc.fault(
            "eval: is run on the machine itself alone: left out",
            line) or ("", "")
    with contextlib.redirect_stderr(words):
        accounts = msmtprc.read([str(line) for line in lines])
        out = msmtprc.made_of(accounts) if accounts else None
    said(path, words.getvalue().splitlines(), report)
    if out is None:
        report.name(word("", path, 0), "has no account")
        return None
    setup = Setup("msmtp", report)
    setup.sections = list(sections(out, path, report))
    return setup
