# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a peer's mail in posthaste: the one place where that is
decided. Never less safe than it was: what was not verified becomes verified,
what was encrypted where possible becomes encrypted always, and a login in
clear text is named."""

import re

import aliasfile
from model import IMPLICIT, NONE, OFFERED, Secret, Way, like

PORTS = {"submissions": 465, "submission": 587, "smtp": 25, "lmtp": 24}
CHALLENGES = ("SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 "
              "CRAM-MD5 DIGEST-MD5").split()
# these look into ~/.forward for users of the machine
FORWARDING = {"exim4", "opensmtpd", "postfix"}
SHOWING = {"PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"}
SYSTEM_CA = ("", "system", "/etc/ssl/certs/ca-certificates.crt",
             "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
             "/etc/ssl/certs/ca-bundle.crt")


def is_here(relay):
    """Whether what is sent to it leaves the machine."""
    return all(h.startswith("/") or h.lower() in ("localhost", "::1") or
               re.fullmatch(r"127\.\d+\.\d+\.\d+", h) for h in relay.hosts)


def carries(report, value, what):
    """Whether a value can stand in an INI file as one line."""
    if value == value.strip() and not re.search(r"[\0-\x1f\x7f]", value):
        return True
    report.name(value, f"{what}: blanks around it or control characters "
                "cannot be carried over")
    return False


# --- a relay ---

def tls_of(relay, report):
    """kind, keys: how much TLS is asked of it."""
    at, host = relay.tls_where, relay.hosts[0]
    if relay.lmtp or host.startswith("/"):
        return ("lmtp" if relay.lmtp else "smtp"), []
    if relay.tls == NONE:
        return clear_of(relay, report)
    if relay.tls == OFFERED:
        report.note(at, f"TLS with {host} was used where it was offered; it "
                    "is required now, and its certificate verified")
    elif not relay.verified:
        report.note(at, f"the certificate of {host} was not verified; it is "
                    "verified now (--probe shows it; see ca_file and "
                    "fingerprint)")
    if relay.tls == IMPLICIT:
        return "submissions", []
    return ("submission" if relay.user or relay.port == 587 else "smtp"), []


def clear_of(relay, report):
    """The peer used no TLS there."""
    at, host = relay.tls_where, relay.hosts[0]
    kind = "submission" if relay.user or relay.port == 587 else "smtp"
    if not relay.user:
        if not is_here(relay):
            report.note(at, f"mail goes to {host} in clear text, as before "
                        "(take no_starttls out where it has STARTTLS)")
        return kind, [("no_starttls", "yes")]
    if is_here(relay):
        report.name(at, f"the login goes to {host} in clear text, as before: "
                    "no_starttls, mechanisms")
        return kind, [("no_starttls", "yes")]
    report.name(at, f"the login went to {host} in clear text; TLS is "
                "required now. Where the server has none and it has to be, "
                "no_starttls and mechanisms say so"
                if relay.clear_login else
                f"no TLS was used with {host}, and without it there is no "
                "login; TLS is required now")
    return kind, []


def login_of(relay, name, setup):
    """Who logs in, and how the password is had."""
    report, keys = setup.report, []
    if not relay.user or not carries(report, relay.user, "user"):
        return keys
    keys.append(("username", relay.user))
    if relay.password_command:
        keys.append(("password_command", relay.password_command))
    elif relay.password is None or relay.password == "":
        report.name(relay.user, f"{relay.user} has no password: "
                    f"posthaste --store-password {name}")
        keys.append(("password_file", Secret("", relay.user)))
    elif re.search(r"[\0\r\n]", relay.password):
        report.name(relay.password, "the password has a line end, or NUL, "
                    "and cannot be carried over")
    else:
        keys.append(("password_file", Secret(relay.password,
                                             relay.password)))
    mechanisms = relay.mechanisms
    if relay.tls == NONE and is_here(relay) and not mechanisms:
        mechanisms = CHALLENGES[2:] + (["PLAIN", "LOGIN"]
                                       if relay.clear_login else [])
    if relay.tls == NONE and not is_here(relay):
        # what was meant for clear text does not bind with TLS
        mechanisms = [m for m in mechanisms if m not in SHOWING]
    if mechanisms:
        keys.append(("mechanisms", " ".join(mechanisms)))
    return keys


def transport_of(relay, name, setup):
    report = setup.report
    kind, tls = tls_of(relay, report)
    keys = [("kind", kind), ("host", " ".join(relay.hosts))]
    if not relay.hosts[0].startswith("/") and relay.port != PORTS[kind]:
        keys.append(("port", str(relay.port)))
    keys += tls + login_of(relay, name, setup)
    if relay.tls != NONE or not tls:
        keys += [("ca_file", None if (relay.ca_file or "") in SYSTEM_CA
                  else relay.ca_file),
                 ("certificate", relay.certificate),
                 ("key", relay.key if relay.certificate else None),
                 ("tls_name", relay.tls_name)]
    keys += [("source_address", relay.source), ("ip_family", relay.family),
             ("hostname", relay.helo)]
    return [(k, v) for k, v in keys if v and (
        k == "password_file" or carries(report, like(v, relay.where), k))]


# --- who sends ---

def account_keys(account, setup):
    bcc = list(account.bcc) + [b for b in setup.bcc if b not in account.bcc]
    if setup.redirect:
        bcc = []
    keys = [("user", " ".join(account.users)),
            ("match_from", " ".join(account.match_from)),
            ("from", account.sender),
            ("force_from", "yes" if account.force else None),
            ("from_header", account.header),
            ("full_name", account.full_name),
            ("sender_from_header",
             "yes" if account.sender_from_header else None),
            ("bcc", " ".join(bcc)), ("redirect", setup.redirect)]
    return [(k, v) for k, v in keys if v and carries(
        setup.report, like(v, account.where), k)]


def named_accounts(setup):
    """(name, account), the default last; names that nothing else has."""
    names, out = set(), []
    for text in (*setup.bcc, setup.redirect):
        if text:
            setup.default_account(text)
    for account in sorted(setup.accounts,
                          key=lambda a: not a.users and not a.match_from):
        if account.users or account.match_from:
            base = (account.users or account.match_from)[0]
            base = re.sub(r"[^A-Za-z0-9._-]+", "-", base).strip("-.") or "a"
            base = base if base not in ("direct", "default") else base + "-"
            name, number = base, 2
            while name in names:
                name, number = f"{base}-{number}", number + 1
        else:
            name = "default"
        names.add(name)
        out.append((name, account))
    return out


# --- mail that stays on the machine, and aliases ---

def aliases_of(setup, files):
    """The path of the alias file, and its text where it is a new one."""
    report, path = setup.report, setup.aliases
    if path and not files.exists(path):
        path = None
    lines = list(files.lines(path, report) or []) if path else []
    for line, text in aliasfile.unsupported(lines):
        report.name(line, f"{text}: posthaste follows no pipes, files and "
                    ":include:")
    local = setup.local
    if local and setup.peer in FORWARDING:
        setup.alias_lines += aliasfile.forwards(
            files, lines + setup.alias_lines, report)
    if local:
        away = aliasfile.leads_away("root", lines + setup.alias_lines) or \
            setup.default_recipient
        (report.note if away or not local.explicit else report.name)(
            local.where, local.text + "; posthaste keeps no mailboxes: see "
            "default_recipient, and kinds maildir and command")
    setup.alias_lines = [line for line in setup.alias_lines
                         if carries(report, line, "an alias")]
    if setup.elsewhere and (setup.default_recipient or
                            any(aliasfile.entries(lines))):
        return apart(setup, files, path, lines)
    several = setup.default_recipient or ""
    if "," in several and carries(report, several, "an alias"):
        setup.alias_lines.append(like(f"default: {several}", several))
        setup.default_recipient = None
    if not setup.alias_lines:
        return "" if setup.elsewhere else path or "", None
    if not path:
        return "/etc/posthaste/aliases", "".join(
            f"{line}\n" for line in setup.alias_lines)
    report.note(setup.alias_lines[0], f"joined with {path} to one alias file")
    mine = {line.split(":")[0].lower() for line in setup.alias_lines}
    kept = aliasfile.without(lines, mine)
    return "/etc/posthaste/aliases", "".join(
        f"{line}\n" for line in setup.alias_lines + kept)


def apart(setup, files, path, lines):
    """The alias file of a peer that gave a name without a domain one that is
    none of its own: what it had for names at its own is for those alone."""
    report, catch = setup.report, setup.default_recipient
    domains = own_domains(setup)
    if lines:
        report.note(setup.elsewhere, f"{path} was for names at "
                    f"{', '.join(domains)} alone, and is copied so: a name "
                    f"without a domain gets @{setup.elsewhere}, as before")
    people = [] if catch and not setup.local else ["root"] + [
        name for name, uid in files.users().items() if 1000 <= uid < 60000]
    kept = setup.alias_lines + aliasfile.at(
        setup.alias_lines + lines, domains, people,
        f"@{setup.read_at}" if setup.read_at else "")
    if catch and carries(report, catch, "an alias"):
        kept += [like(f"@{domain}: {catch}", catch) for domain in domains]
    setup.default_recipient, setup.local_domains = None, None
    return "/etc/posthaste/aliases", "".join(
        f"{line}\n" for line in kept if carries(report, line, "an alias"))


# --- the whole ---

def own_domains(setup):
    names = []
    for name in setup.local_domains:
        name = name.strip().rstrip(".").lower()
        if re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", name) and \
                name not in names:
            names.append(name)
    return names


def local_names(setup):
    """The peer's own domains, where it had any: without them a name that is
    the domain, too, is none of ours. None of them where the aliases name
    them."""
    if setup.local_domains is None:
        return ""
    return " ".join(own_domains(setup)) or None


def general_keys(setup, aliases):
    keys = [("hostname", setup.hostname), ("domain", setup.domain),
            ("local_names", local_names(setup)), ("aliases", aliases),
            ("default_recipient", setup.default_recipient),
            ("max_message_size", setup.maximum)]
    return [(k, v) for k, v in keys if v is not None and
            (v or k in ("aliases", "local_names")) and
            carries(setup.report, like(v, v), k)]


def queue_keys(setup, secrets):
    keys = []
    if setup.queues:
        keys.append(("queue", "always"))
    elif not secrets:
        # the caller is told at once, as he was
        keys.append(("queue", "never"))
    if setup.lifetime:
        days, rest = divmod(setup.lifetime, 86400)
        keys.append(("lifetime", f"{setup.lifetime}s" if rest
                     else f"{days}d"))
    return keys


class Transports:
    """Equal ones are one."""

    def __init__(self, setup):
        self.setup, self.made, self.sections = setup, [], []

    def _add(self, base, thing, keys):
        names = {name for _, name in self.made}
        name, number = base, 2
        while name in names:
            name, number = f"{base}-{number}", number + 1
        self.made.append((thing, name))
        self.sections.append((f"transport {name}", keys(name)))
        return name

    def of(self, relay):
        for other, name in self.made:
            if isinstance(other, type(relay)) and relay.same(other):
                return name
        return self._add("relay", relay, lambda name: transport_of(
            relay, name, self.setup))

    def ending(self, way):
        if way.ending == Way.DISCARD:
            return self._add("discard", way, lambda _: [("kind", "discard")])
        words = [("message", way.words)] if way.words and carries(
            self.setup.report, like(way.words, way.where), "message") else []
        return self._add("refuse", way, lambda _: [
            ("kind", "fail"), ("code", str(way.code))] + words)

    def direct(self, family):
        """Direct delivery with a setting that the built-in one has not."""
        for other, name in self.made:
            if other == family:
                return name
        return self._add("out", family, lambda _: [
            ("kind", "direct")] + list(family))


def route_keys(way, accounts, transports):
    keys = []
    if way.account:
        keys.append(("account", [n for n, a in accounts
                                 if a is way.account][0]))
    if way.from_domain:
        keys.append(("from_domain", " ".join(way.from_domain)))
    if way.to_domain:
        keys.append(("to_domain", " ".join(way.to_domain)))
    if way.ending:
        to = transports.ending(way)
    elif way.relays:
        # a tuple of keys is direct delivery that has some
        to = " ".join(transports.direct(r) if isinstance(r, tuple)
                      else transports.of(r) for r in way.relays)
    else:
        to = "direct"
    return keys + [("transport", to)]


def sound(setup):
    """Relays whose host is one: a list, or a path, in its place would lead
    elsewhere. Where none is left, mail is refused."""
    for way in setup.ways:
        for relay in [r for r in way.relays if not isinstance(r, tuple)]:
            bad = [h for h in relay.hosts if not re.fullmatch(
                r"[\w.:-]+" + ("|/[^\s,]+" if relay.lmtp else ""), h)]
            for host in bad:
                setup.report.name(relay.where, f"{host}: no host: left out")
            relay.hosts = [h for h in relay.hosts if h not in bad]
            if not relay.hosts:
                way.relays.remove(relay)
                if not way.relays:
                    way.ending, way.code = Way.FAIL, 451
                    way.words = "the relay is no host"


def sections_of(setup, files):
    """[(section, [(key, value)])], and {path: text} of further files."""
    if setup.sections is not None:
        return list(whole(setup.sections, setup)), {}
    sound(setup)
    aliases, text = aliases_of(setup, files)
    accounts = named_accounts(setup)
    transports = Transports(setup)
    routes = []
    for way in setup.ways:
        # the relay of most mail is the first
        if not (way.account or way.from_domain or way.to_domain):
            for relay in way.relays:
                if not isinstance(relay, tuple):
                    transports.of(relay)
    for way in setup.ways:
        keys = route_keys(way, accounts, transports)
        name = "all" if len(keys) == 1 else f"route-{len(routes) + 1}"
        routes.append((f"route {name}", keys))
    secrets = [v for _, keys in transports.sections for k, v in keys
               if isinstance(v, Secret)]
    out = [("general", general_keys(setup, aliases)),
           ("queue", queue_keys(setup, secrets)),
           ("tls", [(k, v) for k, v in (("crl_file", setup.crl_file),
                                        ("minimum", setup.minimum)) if v])]
    out += [(f"account {name}", account_keys(account, setup))
            for name, account in accounts]
    out += routes + transports.sections
    extra = {aliases: text} if text is not None else {}
    return [(name, keys) for name, keys in whole(out, setup)
            if keys or name.startswith("account")], extra


def whole(sections, setup):
    """Without what an INI file cannot hold. A route that would match more
    without it goes whole."""
    for name, keys in sections:
        good = [(k, v) for k, v in keys if isinstance(v, Secret) or
                carries(setup.report, like(v, v), f"[{name}] {k}")]
        if len(good) == len(keys) or not name.startswith("route"):
            yield name, good
