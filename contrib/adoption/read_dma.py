# SPDX-License-Identifier: GPL-3.0-or-later
"""dma(8): dma.conf and auth.conf."""

import re

import model
from model import IMPLICIT, NONE, OFFERED, REQUIRED, Local, Relay, Setup, \
    Way, like, word

FILES = ("/etc/dma/dma.conf",)
TEXTS = {"SMARTHOST", "PORT", "ALIASES", "SPOOLDIR", "AUTHPATH", "CERTFILE",
         "MAILNAME", "MASQUERADE", "FINGERPRINT"}
SWITCHES = {"STARTTLS", "OPPORTUNISTIC_TLS", "SECURETRANSFER", "SECURETRANS",
            "DEFER", "INSECURE", "FULLBOUNCE", "NULLCLIENT", "SECURE",
            "NOHELO", "VERBOSE"}


def values(lines, report):
    """{key: Word}; a # begins a comment wherever it stands, a key begins the
    line, and switches have no value."""
    found = {}
    for line in lines:
        text = line.partition("#")[0]
        key, _, value = text.replace("\t", " ").partition(" ")
        if not key:
            if text.strip():
                report.name(line, "begins with a blank: dma passes it over")
            continue
        value = value.strip()
        if key in TEXTS and value or key in SWITCHES and not value:
            found[key] = like(value, line)
        elif key in SWITCHES:
            # dma itself refuses to start; the safe reading is that a switch
            # that protects is on
            report.name(line, f"{key} has no value")
            if key not in ("INSECURE", "OPPORTUNISTIC_TLS"):
                found[key] = like("", line)
        elif key not in TEXTS:
            report.name(line, f"{key}: not a key of dma")
    return found


def login(files, found, relay, report):
    """The last line of auth.conf for the host counts."""
    path = found.get("AUTHPATH", "/etc/dma/auth.conf")
    for line in files.lines(path, report) or []:
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r"([^|]*)\|([^: \t]*)[: \t](.*)", line)
        if not match:
            report.name(line, "no USER|HOST:PASSWORD")
        elif match.group(2).lower() == relay.hosts[0].lower():
            relay.user = like(match.group(1), line)
            relay.password = like(match.group(3), line)
        else:
            report.name(line, f"a login at {match.group(2)}, which is not "
                        "the smarthost: not used")


def tls(found):
    """How much, and which setting says so."""
    key = "SECURETRANSFER" if "SECURETRANSFER" in found else "SECURETRANS"
    if key not in found:
        return NONE, found.get("SMARTHOST")
    if "STARTTLS" not in found:
        return IMPLICIT, found[key]
    if "OPPORTUNISTIC_TLS" in found:
        return OFFERED, found["OPPORTUNISTIC_TLS"]
    return REQUIRED, found["STARTTLS"]


def masquerade(setup, found):
    text = found.get("MASQUERADE")
    if not text:
        return
    user, at, host = text.rpartition("@")
    if host:
        setup.domain = like(host, text)
    account = setup.default_account(text)
    account.force = True
    account.sender = like((model.literal(user, text) if at and user else
                           "%u") + "@" + (host or "%H"), text)


def mailname(files, setup, found):
    text = found.get("MAILNAME")
    if text and text.startswith("/"):
        text = files.first(text, setup.report)
    if text:
        setup.hostname = text
        setup.domain = setup.domain or text
    else:
        setup.domain = setup.domain or files.own_name()


def route(setup, found, files):
    """By the smarthost, or directly."""
    report, host = setup.report, found.get("SMARTHOST")
    port = found.get("PORT", word("25", FILES[0], 0))
    if model.port(port) is None:
        report.name(port, f"PORT {port}: no port")
        port = "25"
    kind, where = tls(found)
    if host:
        relay = Relay(host, [host.strip("[]")], int(port), tls=kind,
                      tls_where=host if where is None else where,
                      clear_login="INSECURE" in found)
        login(files, found, relay, report)
        if "CERTFILE" in found:
            relay.certificate = relay.key = found["CERTFILE"]
        setup.ways.append(Way(host, [relay]))
        return
    at = word("", FILES[0], 0) if where is None else where
    if kind in (REQUIRED, IMPLICIT):
        report.name(at, "TLS required of every mail host: direct delivery "
                    "asks for it where DANE or MTA-STS do")
    if int(port) != 25:
        setup.ways.append(Way(port, [(("port", port),)]))
    else:
        setup.ways.append(Way(at))


def read(files, report):
    lines = files.lines(FILES[0], report)
    if lines is None:
        return None
    found = values(lines, report)
    setup = Setup("dma", report)
    setup.queues = True
    masquerade(setup, found)
    mailname(files, setup, found)
    route(setup, found, files)
    if "NULLCLIENT" not in found:
        setup.local_domains = ["localhost"] + (
            [setup.hostname] if setup.hostname else files.names())
        setup.aliases = found.get("ALIASES", "/etc/aliases")
        setup.local = Local(found.get("ALIASES", word("", FILES[0], 0)),
                            "mail for users of this machine lay in their "
                            "mailboxes", True)
    for key, text in (("FINGERPRINT", "it is of the certificate, posthaste's "
                       "fingerprint of its key (--probe shows it)"),
                      ("DEFER", "mail is sent at once; see -odq")):
        if key in found:
            report.name(found[key], f"{key}: {text}")
    return setup
