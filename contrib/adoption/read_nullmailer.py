# SPDX-License-Identifier: GPL-3.0-or-later
"""nullmailer: its control files, and Debian's /etc/mailname."""

import re
import shlex

import model
from model import IMPLICIT, NONE, REQUIRED, Relay, Setup, Way, clean, like, \
    number, word

FOLDER = "/etc/nullmailer"
FILES = (f"{FOLDER}/remotes",)
VALUED = {"port", "user", "pass", "source", "x509certfile", "x509keyfile",
          "x509cafile", "x509crlfile"}
SWITCHES = {"auth-login", "tls", "ssl", "starttls", "insecure", "x509fmtder",
            "tls-anon-auth"}


def split(line, report):
    """A line of remotes as a shell would split it."""
    try:
        return shlex.split(line, comments=False)
    except ValueError:
        report.name(line, "its quotes do not close")
        return None


def options(words, line, report):
    """{option: Word}, None where one is not known."""
    found = {}
    for text in words:
        name, equals, value = text.removeprefix("--").partition("=")
        if name in VALUED and equals or name in SWITCHES and not equals:
            found["tls" if name == "ssl" else name] = like(value, line)
        else:
            report.name(line, f"{name}: not an option of nullmailer's smtp")
            if name in SWITCHES and name != "insecure":
                found[name] = like("", line)
    return found


def relay_of(line, setup):
    report = setup.report
    words = split(line, report)
    if not words:
        return None
    host, protocol = words[0], words[1] if len(words) > 1 else "smtp"
    if protocol.startswith("--") or "=" in protocol:
        report.name(line, f"{protocol.partition('=')[0]}: no protocol")
        return None
    if protocol != "smtp":
        report.name(line, f"{host}: protocol {protocol} is not known to "
                    "posthaste: left out")
        return None
    if not re.fullmatch(r"[A-Za-z0-9._:-]+", host):
        report.name(line, f"{clean(host)}: no host: left out")
        return None
    given = options(words[2:], line, report)
    tls = IMPLICIT if "tls" in given else \
        REQUIRED if "starttls" in given else NONE
    port = given.get("port", "465" if tls == IMPLICIT else "25")
    port = {"smtp": "25", "submission": "587", "smtps": "465",
            "submissions": "465"}.get(port, port)
    if model.port(port) is None:
        report.name(line, f"port={port}: no port: left out")
        return None
    relay = Relay(like(host, line), [host], int(port), tls=tls,
                  verified="insecure" not in given)
    relay.user, relay.password = given.get("user"), given.get("pass")
    if "auth-login" in given:
        relay.mechanisms = ["LOGIN"]
    relay.ca_file = given.get("x509cafile")
    relay.certificate = given.get("x509certfile")
    relay.key = given.get("x509keyfile", relay.certificate)
    setup.crl_file = given.get("x509crlfile") or setup.crl_file
    if "source" in given:
        if re.fullmatch(r"[0-9.]+|[0-9A-Fa-f:]+", given["source"]):
            relay.source = given["source"]
        else:
            report.name(line, f"source={given['source']}: a name; "
                        "source_address takes an address")
    for name, text in (("x509fmtder", "certificates have to be PEM"),
                       ("tls-anon-auth", "TLS without a certificate: it is "
                        "verified now")):
        if name in given:
            report.name(line, f"{name}: {text}")
    return relay


def one(files, name, report):
    return files.first(f"{FOLDER}/{name}", report)


def names(files, setup):
    """me, defaultdomain, defaulthost, helohost."""
    report = setup.report
    me = one(files, "me", report) or files.mailname()
    domain = one(files, "defaultdomain", report)
    host = one(files, "defaulthost", report) or me
    if host and "." not in host and domain:
        host = like(f"{host}.{domain}", host)
    setup.hostname = one(files, "helohost", report) or me
    setup.domain = host
    return me


def admin(files, setup, me):
    to = one(files, "adminaddr", setup.report)
    if not to:
        return
    setup.local_domains = ["localhost"] + ([me] if me else [])
    setup.default_recipient = like(", ".join(
        part.strip() for part in to.split(",") if part.strip()), to)
    if me and setup.domain and me != setup.domain:
        # a name without a domain is one at that host before it is looked at
        setup.elsewhere = setup.domain


def read(files, report):
    lines = files.lines(FILES[0], report)
    if lines is None:
        return None
    setup = Setup("nullmailer", report)
    setup.queues = True
    relays = [relay_of(line, setup) for line in lines
              if line.strip() and not line.lstrip().startswith("#")]
    relays = [relay for relay in relays if relay]
    if not relays:
        report.name(word("", FILES[0], 0), "no remote is left: mail is "
                    "refused")
        setup.ways.append(Way(word("", FILES[0], 0), ending=Way.FAIL,
                              code=451, words="no relay is configured"))
    else:
        setup.ways.append(Way(relays[0].where, relays))
    admin(files, setup, names(files, setup))
    sender = one(files, "allmailfrom", report)
    if sender:
        account = setup.default_account(sender)
        account.sender, account.force = model.literal(sender, sender), True
    life = one(files, "queuelifetime", report)
    setup.lifetime = number(life)
    if setup.lifetime is None:
        setup.lifetime = 7 * 86400
    lost = one(files, "doublebounceto", report)
    if lost:
        report.name(lost, f"{lost} got reports that could not be delivered; "
                    "posthaste keeps them in corrupt/ and logs them")
    for name, text in (("pausetime", "see schedule in [queue]"),
                       ("maxpause", "see schedule in [queue]"),
                       ("sendtimeout", "see timeout"),
                       ("idhost", "Message-ID has the sender's domain")):
        value = one(files, name, report)
        if value:
            report.note(value, f"not carried over: {text}")
    return setup
