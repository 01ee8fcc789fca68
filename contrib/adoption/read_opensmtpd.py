# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenSMTPD: smtpd.conf(5) of version 6.4 and later."""

import re

import aliasfile
import model
from model import IMPLICIT, NONE, OFFERED, REQUIRED, Local, Relay, Setup, \
    Way, clean, like, word

FILES = ("/etc/smtpd.conf", "/etc/opensmtpd/smtpd.conf",
         "/etc/mail/smtpd.conf")
LOCAL = {"maildir", "mbox", "mda", "expand-only", "forward-only", "lmtp"}
LONGEST = 1000       # words that a macro may have
PLAIN = { "queue", "bounce", "smtp", "admd", "mta", "mda", "ca",
         "filter", "proc", "srs", "limit", "expire", "max-message-size"}


class Parser:
    def __init__(self, files, report):
        self.files, self.report = files, report
        self.macros, self.tables, self.pki = {}, {}, {}
        self.actions, self.matches = {}, []
        self.senders = []
        self.broken = False

    def statements(self, path, depth=0):
        """Lists of Words, one a line; a backslash at its end goes on, and so
        does an open brace. A word in quotes has .quoted."""
        lines = self.files.lines(path, self.report)
        if lines is None:
            return
        now, braces, self.broken = [], 0, False
        for line in lines:
            text = line.rstrip("\r")
            more = text.endswith("\\") and "#" not in text
            for part in self.words(line, text[:-1] if more else text):
                braces += (part == "{") - (part == "}")
                now.append(part)
            if more or braces > 0:
                continue
            if len(now) == 2 and now[0] == "include" and depth < 8:
                yield from self.statements(now[1], depth + 1)
            elif now and not self.broken:
                yield now
            now, braces, self.broken = [], 0, False
        if now and not self.broken:
            yield now

    def words(self, line, text):
        rest = text
        while rest.strip():
            rest = rest.lstrip()
            if rest.startswith("#"):
                return
            match = re.match(r'"((?:[^"\\]|\\.)*)"|([{}=,!])|([^\s"{}=,#]+)'
                             if not re.match(r'[^\s"{},#]+://', rest) else
                             r'()()([^\s"{},#]+)', rest)
            if not match:
                self.report.name(line, "a quote that does not close: left "
                                 "out")
                # half of it could mean another thing
                self.broken = True
                return
            rest = rest[match.end():]
            if match.group(1) and not match.group(3):
                yield like(re.sub(r"\\(.)", r"\1", match.group(1)), line)
                continue
            value = match.group(2) or match.group(3) or ""
            macro = re.fullmatch(r"\$(\w+)", value)
            if macro and macro.group(1) in self.macros:
                for part in self.macros[macro.group(1)]:
                    yield like(part, line)
            elif value != ",":
                if macro:
                    self.report.name(line, f"{value}: no such macro")
                yield like(value, line)

    def parse(self, path):
        for now in self.statements(path):
            head = now[0]
            if len(now) > 2 and now[1] == "=":
                if len(now) > LONGEST:
                    self.report.name(head, f"{head}: too long")
                self.macros[head] = now[2:LONGEST]
            elif head == "table" and len(now) > 2:
                self.tables[now[1]] = now[2:]
            elif head == "pki" and len(now) > 3:
                self.pki.setdefault(now[1], {})[now[2]] = now[3]
            elif head == "action" and len(now) > 2:
                self.actions[now[1]] = now[2:]
            elif head == "match":
                self.matches.append(now)
            elif head in ("accept", "reject"):
                self.report.name(head, "the grammar from before version 6.4: "
                                 "not read")
            elif head == "listen":
                self.listens(now)
            elif head not in PLAIN and head != "include":
                self.report.name(head, f"{clean(head)}: not understood")
            elif head in ("filter", "srs"):
                self.report.name(head, f"{head}: posthaste filters and "
                                 "rewrites nothing")

    def listens(self, words):
        where = option(words, "on")
        if words[1:2] != ["socket"] and where and not re.fullmatch(
                r"lo\d*|localhost|127\.[\d.]+|::1", where):
            self.report.name(where, f"mail from other machines ({where}): "
                             "posthaste takes none")

    def table(self, name):
        """Lines of a table, as Words; None where it cannot be read."""
        source = self.tables.get(name.strip("<>"))
        if not source:
            self.report.name(name, f"{name}: no such table")
            return None
        if source[0] == "{":
            inside = source[1:-1]
            out = [f"{inside[n - 1]} {inside[n + 1]}"
                   for n in range(1, len(inside) - 1) if inside[n] == "="]
            return [like(line, source[0]) for line in out or inside]
        kind, colon, path = source[0].partition(":")
        if not colon:
            kind, path = "file", kind
        if kind == "db":
            path = path.removesuffix(".db")
        if kind not in ("file", "db"):
            self.report.name(source[0], f"a table of kind {kind}: not read")
            return None
        lines = self.files.lines(path, self.report)
        if lines is None:
            self.report.name(source[0], f"{path}: is not there")
            return None
        return [line for line in lines
                if line.strip() and not line.lstrip().startswith("#")]

    def path_of(self, name):
        """The file of a table of aliases."""
        source = self.tables.get(name.strip("<>"))
        if not source or source[0] == "{":
            return None
        return source[0].partition(":")[2].removesuffix(".db") or source[0]


def option(words, name):
    """The word after an option."""
    for number, text in enumerate(words[:-1]):
        if text == name:
            return words[number + 1]
    return None


def login(parser, label, table, relay):
    for line in parser.table(table) or []:
        key, _, value = re.sub(r"\s+", " ", line.strip()).partition(" ")
        # a blank may stand in a password: only the first gap divides
        value = line.strip()[len(key):].lstrip()
        if key == label:
            user, colon, password = value.partition(":")
            relay.user = like(user, line)
            relay.password = like(password, line) if colon else None
            return
    parser.report.name(label, f"no login for {label} in {table}")


def relay_of(parser, words):
    """The Relay of an action; None for direct delivery."""
    report, url = parser.report, option(words, "host")
    if "domain" in words or "backup" in words:
        report.name(words[0], "relay domain, relay backup: not carried over")
    if url is None and "host" in words:
        report.name(words[0], "host without a relay")
        return False
    if url is None:
        return None
    match = re.fullmatch(r"(?:(\S+?)://)?(?:([^@\s]+)@)?"
                         r"(\[[^\]]+\]|[^:\s\[\]]+)(?::(\d+))?", url)
    protocol = match and (match.group(1) or "smtp")
    if not match or protocol not in ("smtp", "smtp+tls", "smtp+notls",
                                     "smtps", "lmtp"):
        report.name(url, f"{url}: no relay that is known")
        return False
    tls = {"smtp": OFFERED, "smtp+tls": REQUIRED, "smtp+notls": NONE,
           "smtps": IMPLICIT, "lmtp": NONE}[protocol]
    port = model.port(match.group(4) or ("465" if tls == IMPLICIT else "25"))
    if port is None:
        report.name(url, f"{url}: no port")
        return False
    relay = Relay(url, [match.group(3).strip("[]")], port, tls=tls,
                  lmtp=protocol == "lmtp", clear_login=False)
    relay.verified = tls in (REQUIRED, IMPLICIT)
    demand = [w for n, w in enumerate(words) if w == "tls"]
    if demand:
        relay.tls = REQUIRED if tls in (OFFERED, NONE) else tls
        relay.tls_where, relay.verified = demand[0], True
        if option(words, "tls") == "no-verify":
            relay.verified = False
    if match.group(2) and option(words, "auth"):
        login(parser, like(match.group(2), url), option(words, "auth"), relay)
    elif match.group(2):
        report.name(url, f"{url}: a login without auth: not carried over")
    more(parser, words, relay)
    return relay


def more(parser, words, relay):
    if option(words, "helo"):
        relay.helo = option(words, "helo")
    source = option(words, "src")
    if source and re.fullmatch(r"[0-9.]+|[0-9A-Fa-f:]+", source):
        relay.source = source
    elif source:
        parser.report.name(source, f"src {source}: see source_address")
    pki = parser.pki.get(option(words, "pki") or "")
    if pki:
        relay.certificate, relay.key = pki.get("cert"), pki.get("key")
    if "srs" in words or option(words, "helo-src"):
        parser.report.name(words[0], "srs, helo-src: not carried over")


def relaying(parser, setup, name, words, way):
    relay = relay_of(parser, words)
    if relay is False:
        way.ending, way.code, way.words = Way.FAIL, 451, \
            "the relay could not be carried over"
    elif relay:
        way.relays = [relay]
    elif option(words, "tls") or "tls" in words:
        parser.report.name(name, "TLS required of every mail host: direct "
                           "delivery asks for it where DANE or MTA-STS do")
    parser.senders.append(option(words, "mail-from"))
    setup.ways.append(way)


def sender_of(parser, setup):
    """mail-from, which is an action's: carried over where all have it."""
    given = [s for s in parser.senders if s]
    if given and len(set(parser.senders)) == 1:
        account = setup.default_account(given[0])
        account.force = True
        account.sender = like("%u" * given[0].startswith("@") +
                              model.literal(given[0], given[0]), given[0])
    else:
        for sender in given:
            parser.report.name(sender, f"mail-from {sender}: of one action "
                               "alone: see from and force_from")


def listed(words, name):
    """The words after an option: one, or all that are in braces."""
    value = option(words, name)
    if value != "{":
        return [value] if value else []
    rest = words[words.index(value) + 1:]
    return rest[:rest.index("}")] if "}" in rest else rest


def domains(parser, values):
    lines = [line for value in values for line in (
        parser.table(value) or [] if value.startswith("<") else [value])]
    return [re.sub(r"^\*\.", ".", line.strip()) for line in lines]


def who(words):
    """Whether a match is for what is put in on this machine."""
    text = " ".join(words)
    return not re.search(r"\bfrom (src|rdns|auth|mail-from)\b|"
                         r"\b(auth|tag|helo|tls)\b", text)


def match(parser, setup, words):
    action = option(words, "action")
    where = words[0]
    if not who(words) or "reject" in words and action is None:
        return
    if action is None or action not in parser.actions:
        parser.report.name(where, f"action {action}: is not there")
        return
    does = parser.actions[action]
    rest = [w for w in words[1:] if w not in ("!",)]
    if "!" in words or "regex" in words or "rcpt-to" in rest:
        parser.report.name(where, "a match of this kind is not carried over")
        return
    way = Way(where)
    senders = option(rest, "mail-from")
    if senders:
        way.from_domain = [d.lstrip("@") for d in domains(
            parser, listed(rest, "mail-from"))]
        if any("@" in d for d in way.from_domain):
            parser.report.name(where, "mail-from of single senders: not "
                               "carried over")
            return
    target = option(rest, "for")
    if target == "local":
        local(parser, setup, where, does, ())
        return
    if target == "domain":
        way.to_domain = domains(parser, listed(rest, "domain"))
        if not way.to_domain:
            parser.report.name(where, "for no domain at all")
            return
    elif target not in ("any", None):
        parser.report.name(where, f"for {target}: not carried over")
        return
    if does[0] == "relay":
        relaying(parser, setup, like(action, where), does[1:], way)
    else:
        local(parser, setup, where, does, way.to_domain)


def aliases(parser, table):
    """A table of aliases as lines of an alias file."""
    return [line if re.match(r"\S*:", line) else
            like(": ".join(line.split(None, 1)), line)
            for line in parser.table(table) or []]


def local(parser, setup, where, does, to):
    """Mail for this machine: its aliases, and where the rest lies."""
    table = option(does, "alias")
    if not to:
        setup.local_domains = ["localhost"] + (
            [setup.hostname] if setup.hostname else parser.files.names())
    if table and not to:
        setup.aliases = parser.path_of(table)
        if setup.aliases is None:
            setup.alias_lines += aliases(parser, table)
    elif table:
        setup.alias_lines += aliasfile.at(aliases(parser, table), to, [], "")
    if option(does, "virtual"):
        setup.alias_lines += [
            like(": ".join(line.split(None, 1)), line)
            for line in parser.table(option(does, "virtual")) or []]
    if does[0] == "lmtp" and len(does) > 1 and to:
        path = does[1]
        host, _, port = path.rpartition(":")
        relay = Relay(path, [path], 24, lmtp=True) if path.startswith("/") \
            else Relay(path, [host or path], model.port(port) or 24,
                       lmtp=True)
        setup.ways.append(Way(where, [relay], to_domain=to))
    elif does[0] not in ("expand-only", "forward-only"):
        setup.local = Local(where, f"mail for {' '.join(to) or 'this machine'}"
                            f" lay here ({does[0]})", True)


def read(files, report):
    path = next((p for p in FILES if files.exists(p)), None)
    if path is None:
        return None
    parser = Parser(files, report)
    parser.parse(path)
    setup = Setup("opensmtpd", report)
    setup.queues = True
    name = files.first("/etc/mail/mailname") or files.mailname()
    setup.domain = setup.hostname = name
    for words in parser.matches:
        match(parser, setup, words)
    sender_of(parser, setup)
    if not any(not way.to_domain and not way.from_domain
               for way in setup.ways):
        report.name(word("", path, 0), "no match is for mail from here to "
                    "anywhere: what is left is refused")
        setup.ways.append(Way(word("", path, 0), ending=Way.FAIL, code=550,
                              words="no relay is configured"))
    return setup
