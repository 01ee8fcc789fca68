# SPDX-License-Identifier: GPL-3.0-or-later
"""Exim as Debian configures it: update-exim4.conf.conf, passwd.client,
email-addresses, mailname and the local macros. Not Exim's own language."""

import re
import shlex

import model
from model import IMPLICIT, NONE, OFFERED, REQUIRED, Local, Relay, Setup, \
    Way, like, word

FOLDER = "/etc/exim4"
FILES = (f"{FOLDER}/update-exim4.conf.conf",)
# of the macros that Debian's configuration knows, those about sending
MACROS = {"MAIN_HARDCODE_PRIMARY_HOSTNAME", "REMOTE_SMTP_HELO_DATA",
          "REMOTE_SMTP_SMARTHOST_HOSTS_REQUIRE_TLS",
          "REMOTE_SMTP_SMARTHOST_HOSTS_AVOID_TLS",
          "REMOTE_SMTP_SMARTHOST_TLS_VERIFY_CERTIFICATES",
          "REMOTE_SMTP_SMARTHOST_TLS_VERIFY_HOSTS",
          "REMOTE_SMTP_SMARTHOST_TLS_CERTIFICATE",
          "REMOTE_SMTP_SMARTHOST_PRIVATEKEY",
          "REMOTE_SMTP_SMARTHOST_PROTOCOL",
          "AUTH_CLIENT_ALLOW_NOTLS_PASSWORDS", "MESSAGE_SIZE_LIMIT"}
# those about receiving, or about nothing that posthaste does
OTHERS = r"(MAIN_TLS_|CHECK_|SMTPD?_|AUTH_SERVER_|MAIN_LOG|IGNORE_|TLS_DH|" \
         r"DCconfig|MAIN_(LOCAL_INTERFACES|RELAY|ACL|HOST_LOOKUP|TIMEOUT|" \
         r"IGNORE|FREEZE|VRFY|ALLOW|FORCE))"
SHIPPED = {"main": {"01_exim4-config_listmacrosdefs",
                    "02_exim4-config_options", "03_exim4-config_tlsoptions",
                    "90_exim4-config_log_selector"}}


def assignments(lines, report):
    """{key: Word} of a shell's assignments."""
    found = {}
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.match(r"\s*([A-Za-z_0-9]+)=(.*)", line)
        try:
            value = " ".join(shlex.split(match.group(2), comments=True)) \
                if match else None
        except ValueError:
            value = None
        if value is None:
            report.name(line, "no assignment")
            continue
        found[match.group(1)] = like(value, line)
    return found


def macros(files, report):
    """{macro: Word} of the administrator's own files."""
    paths = [f"{FOLDER}/exim4.conf.localmacros"]
    for part in ("main", "router", "transport", "rewrite", "auth", "retry"):
        folder = f"{FOLDER}/conf.d/{part}"
        for name in files.list(folder):
            if re.search(r"exim4-config|mmm_mail4root|dpkg-|~$", name) or \
                    name in SHIPPED.get(part, ()):
                continue
            if part == "main":
                paths.append(f"{folder}/{name}")
            else:
                report.name(word("", f"{folder}/{name}", 0),
                            "a piece of Exim's own configuration: not read")
    found = {}
    for path in paths:
        for line in files.lines(path, report) or []:
            text = line.strip()
            if not text or text.startswith(("#", ".ifdef", ".ifndef",
                                            ".endif", ".else")):
                continue
            match = re.match(r"([A-Z][A-Za-z0-9_]*)\s*==?\s*(.*)", text)
            if not match or match.group(1) not in MACROS and \
                    not re.match(OTHERS, match.group(1)):
                report.name(line, "not carried over: " +
                            text.split("=")[0].strip())
            else:
                found[match.group(1)] = like(match.group(2), line)
    return found


def smarthosts(text, report):
    """[(host, port)] of a list; colons are doubled, and between hosts are
    semicolons (or, of old, single colons)."""
    where, text = text, text.strip()
    parts = re.split(r"\s*;\s*", text.removeprefix("<;")) if ";" in text \
        else re.split(r"(?<!:):(?!:)", text)
    for part in (p.strip() for p in parts):
        part = part.replace("::", ":")
        match = re.fullmatch(r"\[([^\]]+)\](?::(\d+))?|([^:]+)(?::(\d+))?|"
                             r"([0-9A-Fa-f:.]+)", part)
        if not part:
            continue
        if not match or "/" in part:
            report.name(where, f"{part}: no host")
            continue
        port = model.port(match.group(2) or match.group(4) or "25")
        if port is None:
            report.name(where, f"{part}: no port")
            continue
        yield match.group(1) or match.group(3) or match.group(5), port


def logins(files, report):
    """[(pattern, user, password)] of passwd.client, the first that matches
    a host counts."""
    now = None
    for line in files.lines(f"{FOLDER}/passwd.client", report) or []:
        if not line.strip() or line.startswith("#"):
            continue
        if line[0] in " \t" and now:
            report.name(line, "a line that goes on: not understood")
            continue
        match = re.fullmatch(r'("[^"]*"|[^:\s]+)\s*:([^:]*):(.*)', line)
        if not match:
            report.name(line, "no HOST:USER:PASSWORD")
            continue
        now = (like(match.group(1).strip('"'), line),
               like(match.group(2), line), like(match.group(3), line))
        yield now


def is_for(pattern, host, report):
    if pattern.startswith("^"):
        try:
            return re.search(pattern, host, re.I) is not None
        except re.error:
            report.name(pattern, "a pattern that is not understood")
            return False
    if pattern.startswith("*"):
        return host.lower().endswith(pattern[1:].lower())
    return host.lower() == pattern.lower()


def tls(relay, given, report):
    require = given.get("REMOTE_SMTP_SMARTHOST_HOSTS_REQUIRE_TLS")
    avoid = given.get("REMOTE_SMTP_SMARTHOST_HOSTS_AVOID_TLS")
    protocol = given.get("REMOTE_SMTP_SMARTHOST_PROTOCOL")
    verify = given.get("REMOTE_SMTP_SMARTHOST_TLS_VERIFY_HOSTS")
    relay.tls = OFFERED
    for text, kind in ((avoid, NONE), (require, REQUIRED)):
        if text and ("*" in text or relay.hosts[0] in text):
            relay.tls, relay.tls_where = kind, text
    if protocol and protocol.lower() == "smtps":
        relay.tls, relay.tls_where = IMPLICIT, protocol
    # REQUIRED alone is checked by nobody; both are when both are said
    relay.verified = bool(verify and ("*" in verify or
                                      relay.hosts[0] in verify))
    ca = given.get("REMOTE_SMTP_SMARTHOST_TLS_VERIFY_CERTIFICATES")
    if ca and ca.startswith("/") and not ca.endswith("/certs"):
        relay.ca_file = ca
    elif ca and ca != "system" and not ca.endswith("/certs"):
        report.name(ca, f"{ca}: see ca_file")
    relay.certificate = given.get("REMOTE_SMTP_SMARTHOST_TLS_CERTIFICATE")
    relay.key = given.get("REMOTE_SMTP_SMARTHOST_PRIVATEKEY",
                          relay.certificate)
    relay.helo = given.get("REMOTE_SMTP_HELO_DATA")


def relays(files, setup, text, given):
    known = list(logins(files, setup.report))
    used, out = set(), []
    for host, port in smarthosts(text, setup.report):
        relay = Relay(text, [host], port)
        relay.clear_login = "AUTH_CLIENT_ALLOW_NOTLS_PASSWORDS" in given
        tls(relay, given, setup.report)
        for pattern, user, password in known:
            if is_for(pattern, host, setup.report):
                relay.user, relay.password = user, password
                used.add(pattern)
                break
        if out and relay.port == out[-1].port and \
                relay.user == out[-1].user and \
                relay.password == out[-1].password:
            out[-1].hosts.append(host)
        else:
            out.append(relay)
    for pattern, _, _ in known:
        if pattern not in used:
            setup.report.note(pattern, f"a login at {pattern}, which is no "
                              "smarthost: not used")
    return out


def addresses(files, setup, mailname):
    """email-addresses: who local senders are outside."""
    for line in files.lines("/etc/email-addresses", setup.report) or []:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, colon, address = line.partition(":")
        if not colon or "@" not in address:
            setup.report.name(line, "no USER: ADDRESS")
            continue
        account = setup.account_of(
            f"{name.strip()}@{setup.domain or mailname or 'localhost'}", line)
        account.where = line
        if mailname and setup.domain not in (None, mailname):
            account.match_from.append(f"{name.strip()}@{mailname}")
        account.sender = model.literal(address.strip(), line)
        account.force = True
        account.header = "replace"
        setup.report.note(line, "From is replaced, too; who wrote it stays "
                          "as Reply-To where it was another's")


def names(files, setup, kind, found):
    """Whose names are this machine's, and what names without a domain get:
    the mail name first of all, which need not be one of them."""
    mailname, host = files.mailname(), files.names()
    setup.local_domains = ["localhost", *host] + re.split(
        r"[;:\s]+", found.get("dc_other_hostnames", ""))
    if setup.hostname:
        setup.local_domains.append(setup.hostname)
    elif mailname and not files.full_name() and (
            not host or mailname.partition(".")[0] == host[0]):
        setup.local_domains.append(mailname)
    setup.domain = mailname
    reader = found.get("dc_readhost")
    hides = found.get("dc_hide_mailname", "").lower() == "true"
    if mailname and mailname.lower() not in [
            name.lower() for name in setup.local_domains]:
        setup.elsewhere = mailname
        if kind == "satellite":
            setup.read_at = reader
    elif reader and (kind == "satellite" or hides and kind == "smarthost"):
        setup.domain = reader
        if hides and mailname and mailname != reader:
            setup.report.note(found["dc_hide_mailname"], "senders without a "
                              f"domain get {reader}; one that is written out "
                              f"as {mailname} is not rewritten")


def hubs(files, setup, given):
    """hubbed_hosts: domains that have hosts of their own, whatever the machine
    does with the rest, and no login there."""
    report = setup.report
    for line in files.lines(f"{FOLDER}/hubbed_hosts", report) or []:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = re.fullmatch(r"((?:\*\.)?[A-Za-z0-9_.-]+)\s*:\s*(.*?)"
                             r"(?:\s+by(?:name|dns))*\s*", line)
        hosts = [Relay(line, [host], port, helo=given.get(
            "REMOTE_SMTP_HELO_DATA"), tls=OFFERED) for host, port in
            smarthosts(like(match.group(2), line), report)] if match else []
        if hosts:
            # a pattern is for the domain itself, too
            setup.ways.append(Way(line, hosts, to_domain=[
                like(match.group(1).removeprefix("*"), line)]))
        else:
            report.name(line, "no DOMAIN: HOST: its mail goes as all other")


def route(files, setup, kind, found, given):
    hubs(files, setup, given)
    where = found.get("dc_smarthost", kind)
    if kind in ("smarthost", "satellite"):
        hosts = relays(files, setup, where, given)
        if hosts:
            setup.ways.append(Way(where, hosts))
            return
        setup.report.name(where, "no smarthost: mail is refused")
    elif kind == "internet":
        setup.ways.append(Way(kind))
        return
    setup.ways.append(Way(kind, ending=Way.FAIL, code=550, words="Mailing to "
                          "remote domains not supported"
                          if kind == "local" else "no smarthost is set"))


def read(files, report):
    lines = files.lines(FILES[0], report)
    for path in (f"{FOLDER}/exim4.conf", "/etc/exim/exim.conf",
                 "/etc/exim.conf"):
        if files.exists(path):
            report.name(word("", path, 0), "Exim's own language: not read" +
                        (f", though it counts before {FILES[0]}"
                         if lines else ""))
    if lines is None:
        return None
    found = assignments(lines, report)
    kind = found.get("dc_eximconfig_configtype", word("none", FILES[0], 0))
    if kind not in ("internet", "smarthost", "satellite", "local"):
        report.name(kind, f"dc_eximconfig_configtype={kind}: Exim has no "
                    "configuration of Debian's")
        return None
    given = macros(files, report)
    setup = Setup("exim4", report)
    setup.queues = True
    mailname = files.mailname()
    setup.hostname = given.get("MAIN_HARDCODE_PRIMARY_HOSTNAME")
    setup.aliases = "/etc/aliases"
    names(files, setup, kind, found)
    if kind != "satellite":
        setup.local = Local(found.get("dc_localdelivery", kind), "mail for "
                            "users of this machine lay in their mailboxes",
                            True)
    nets = found.get("dc_relay_nets")
    if nets and not re.fullmatch(r"(127\.[\d./]+|::::1|::1|[;:\s])+", nets):
        report.name(nets, f"mail from {nets} was taken: posthaste takes none "
                    "from other machines")
    if found.get("dc_relay_domains"):
        report.name(found["dc_relay_domains"], "mail for other domains was "
                    "taken: posthaste takes none from other machines")
    addresses(files, setup, mailname)
    route(files, setup, kind, found, given)
    size = given.get("MESSAGE_SIZE_LIMIT")
    if size:
        setup.maximum = size
    return setup
