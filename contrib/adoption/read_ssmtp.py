# SPDX-License-Identifier: GPL-3.0-or-later
"""ssmtp: ssmtp.conf(5) and revaliases."""

import re

import model
from model import IMPLICIT, REQUIRED, NONE, Account, Relay, Setup, Way, like, \
    word

FILES = ("/etc/ssmtp/ssmtp.conf",)
REVALIASES = "/etc/ssmtp/revaliases"
KEYS = {"root", "mailhub", "hostname", "rewritedomain", "fromlineoverride",
        "remoteport", "usetls", "usestarttls", "usetlscert", "tlscert",
        "tlskey", "tls_ca_file", "tls_ca_dir", "authuser", "authpass",
        "authmethod", "useoldauth", "debug", "addheader"}
SWITCHES = {"fromlineoverride", "usetls", "usestarttls", "usetlscert",
            "useoldauth", "debug"}
PROTECTING = {"usetls", "usestarttls"}


def values(lines, report):
    """{key in small letters: Word}. A # begins a comment wherever it stands,
    and a value ends at a blank, and at "=" or ":" too; what is cut off like
    that is named."""
    found = {}
    for line in lines:
        text = line.partition("#")[0]
        match = re.match(r"[= \t]*([^= \t]+)[= \t]+([^ \t=][^\r]*)", text) \
            if "=" in text else None
        if not match:
            if text.strip() and not re.match(r"\s*\w+\s*=\s*$", text):
                report.name(line, "not understood: " +
                            text.split("=")[0].strip())
            continue
        key, value = match.group(1).lower(), match.group(2).rstrip()
        if key in ("authuser", "authpass"):
            value = secret(key, value, line, report)
        elif key != "mailhub" and key != "addheader":
            value = re.split(r"[= \t:]", value)[0]
        if key not in KEYS:
            report.name(line, f"{match.group(1)}: not a key of ssmtp")
            continue
        if key in SWITCHES and value.lower() not in ("yes", "no"):
            safe = "yes" if key in PROTECTING else "no"
            report.name(line, f"{match.group(1)}={value}: neither yes nor "
                        f"no; ssmtp takes it for no, here it is {safe}")
            value = safe
        if key in ("authuser", "authpass", "authmethod") and key in found:
            report.note(line, f"{match.group(1)} again: the first counts")
            continue
        found[key] = like(value, line)
    return found


def secret(key, value, line, report):
    """A user or password with what ssmtp's parser cuts at. Versions differ
    in that; the whole of it is most likely what was meant."""
    if value[:1] in "\"'":
        report.name(line, f"{key}: its quotes are part of it, for ssmtp too")
    if "#" in line[line.index("="):]:
        report.name(line, f"{key}: ssmtp reads it to the # alone, and so it "
                    "is carried over")
    if re.search(r"[ \t]", value):
        report.name(line, f"{key}: blanks in it; ssmtp reads it to the "
                    "first, and so it is carried over")
        value = re.split(r"[ \t]", value)[0]
    if re.search(r"[=:]", value):
        report.name(line, f"{key}: some versions of ssmtp end it at a colon "
                    "or an equals sign; it is carried over whole")
    return value


def yes(found, key):
    return found.get(key, "").lower() == "yes"


def hub(text, where, port, report):
    """host, port of HOST, HOST:PORT, HOST PORT."""
    match = re.fullmatch(r"\[?([0-9A-Fa-f:]*:[0-9A-Fa-f:]*:[0-9A-Fa-f.:]*)"
                         r"\]?(?:[: \t]+(\d+))?|([^: \t=]+)"
                         r"(?:[: \t=]+(\d+))?(?:[: \t].*)?", text)
    if not match:
        report.name(where, f"{text}: no host, or no port")
        return None, port
    given = match.group(2) or match.group(4)
    number = model.port(given) if given else port
    if number is None:
        report.name(where, f"{text}: no port")
        number = port
    return match.group(1) or match.group(3), number


def relay_of(found, report):
    where = found.get("mailhub", word("", FILES[0], 0))
    port = found.get("remoteport", "25")
    port = model.port(port) or 25
    host, port = hub(found.get("mailhub", "mailhub"), where, port, report)
    relay = Relay(where, [host or "mailhub"], port)
    starttls = yes(found, "usestarttls")
    relay.tls = REQUIRED if starttls else IMPLICIT if yes(found, "usetls") \
        else NONE
    relay.tls_where = found.get("usestarttls" if starttls else "usetls",
                                where)
    if found.get("authuser"):
        relay.user, relay.password = found["authuser"], found.get("authpass")
        if found.get("authmethod", "").lower() == "cram-md5":
            relay.mechanisms = ["CRAM-MD5"]
    if yes(found, "usetlscert") and found.get("tlscert"):
        relay.certificate = found["tlscert"]
        relay.key = found.get("tlskey", found["tlscert"])
    relay.ca_file = found.get("tls_ca_file")
    return relay


def reverse(files, setup, found, relay):
    """revaliases: USER:ADDRESS[:HUB[:PORT]], first for the user himself."""
    for line in files.lines(REVALIASES, setup.report) or []:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        field = line.strip().split(":")
        if len(field) < 2 or not field[1] or not field[0]:
            setup.report.name(line, "no USER:ADDRESS")
            continue
        account = Account(line, users=[field[0].strip()], force=True,
                          sender=model.literal(field[1].strip(), line))
        shape(account, found)
        setup.accounts.append(account)
        if len(field) > 2 and field[2].strip():
            host, port = hub(":".join(field[2:]).strip(), line, 25,
                             setup.report)
            other = Relay(line, [host or relay.hosts[0]], port)
            for key in ("tls", "user", "password", "mechanisms", "key",
                        "certificate", "ca_file"):
                setattr(other, key, getattr(relay, key))
            if other.hosts == relay.hosts and other.port == relay.port:
                other = relay
            setup.ways.append(Way(line, [other], account=account))


def shape(account, found):
    """Whose From field it is: the message's own, or always ssmtp's."""
    if yes(found, "fromlineoverride"):
        account.sender_from_header = not account.sender
        account.force = False
    else:
        account.force, account.header = True, "replace"


def read(files, report):
    lines = files.lines(FILES[0], report)
    if lines is None:
        return None
    found = values(lines, report)
    setup = Setup("ssmtp", report)
    if found.get("hostname"):
        setup.hostname = found["hostname"]
    domain = found.get("rewritedomain") or found.get("hostname")
    if domain:
        setup.domain = like(domain.rpartition("@")[2], domain)
    else:
        setup.domain = files.own_name()
    relay = relay_of(found, report)
    if not found.get("mailhub"):
        report.name(word("", FILES[0], 0), "no mailhub: ssmtp takes the host "
                    "\"mailhub\"")
    reverse(files, setup, found, relay)
    default = setup.default_account(found.get("fromlineoverride",
                                              relay.where))
    if yes(found, "fromlineoverride"):
        default.sender_from_header = True
    else:
        default.header = "replace"
        default.force = True
        default.sender = like(f"%u@{setup.domain}" if setup.domain
                              else "%u@%H", domain or relay.where)
    root(files, setup, found)
    for key, text in (("addheader", "no field can be added"),
                      ("tls_ca_dir", "see ca_file")):
        if found.get(key):
            report.name(found[key], f"{key}: {text}")
    setup.ways.append(Way(relay.where, [relay]))
    return setup


def root(files, setup, found):
    """Who gets mail for users below 1000."""
    to = found.get("root")
    if not to or to.lower() == "root":
        return
    domain = setup.domain or setup.hostname
    setup.default_recipient = like(f"{to}@{domain}", to) \
        if "@" not in to and domain else to
    for name, uid in files.users().items():
        # these kept their own
        if 1000 <= uid < 60000 and domain:
            setup.alias_lines.append(like(f"{name}: {name}@{domain}", to))
