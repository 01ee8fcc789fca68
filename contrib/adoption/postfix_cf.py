# SPDX-License-Identifier: GPL-3.0-or-later
"""Postfix's files as they are written: main.cf with its $words, master.cf's
-o, and tables in the text that they are made of."""

import re

from model import like, word

# what holds where main.cf says nothing, as far as it matters here
DEFAULTS = {
    "myorigin": "$myhostname",
    "mydestination": "$myhostname, localhost.$mydomain, localhost",
    "relayhost": "", "alias_maps": "hash:/etc/aliases",
    "config_directory": "/etc/postfix", "inet_protocols": "all",
    "smtp_sasl_security_options": "noplaintext, noanonymous",
    "smtp_sasl_tls_security_options": "$smtp_sasl_security_options",
    "smtp_helo_name": "$myhostname", "default_transport": "smtp",
    "relay_transport": "relay", "local_transport": "local:$myhostname",
    "smtp_tls_key_file": "$smtp_tls_cert_file",
    "virtual_alias_maps": "$virtual_maps",
    "data_directory": "/var/lib/postfix",
    "smtp_tls_secure_cert_match": "nexthop, dot-nexthop",
    "smtp_tls_verify_cert_match": "hostname",
}
TEXTUAL = {"hash", "texthash", "lmdb", "btree", "cdb", "dbm", "sdbm"}


def logical(lines):
    """Lines with those that go on from them; comments between them too."""
    now = None
    for line in lines:
        text = line.rstrip("\r")
        if not text.strip() or text.lstrip().startswith("#"):
            continue
        if text[0] in " \t" and now is not None:
            now = like(f"{now} {text.strip()}", now)
            continue
        if now is not None:
            yield now
        now = like(text.rstrip(), line)
    if now is not None:
        yield now


class Main:
    def __init__(self, files, report, folder="/etc/postfix"):
        self.files, self.report, self.folder = files, report, folder
        self.found = {}
        self.there = False
        self.expanded = 0
        lines = files.lines(f"{folder}/main.cf", report)
        if lines is None:
            return
        self.there = True
        for line in logical(lines):
            name, equals, value = line.partition("=")
            if not equals or not re.fullmatch(r"\w+", name.strip()):
                report.name(line, "no NAME = VALUE")
                continue
            self.found[name.strip()] = like(value.strip(), line)

    def where(self, name):
        return self.found.get(name) or word("", f"{self.folder}/main.cf", 0)

    def has(self, name):
        return name in self.found

    def get(self, name, depth=0):
        """A parameter's value, its $words replaced."""
        text = self.found.get(name)
        where = text if text is not None else self.where(name)
        if text is None and name == "myhostname":
            text = self.files.first("/etc/hostname") or ""
        elif text is None and name == "mydomain":
            text = self.get("myhostname", depth + 1).partition(".")[2]
        elif text is None:
            text = DEFAULTS.get(name, "")
        return like(self.expand(text, depth), where)

    def expand(self, text, depth=0):
        if depth > 20 or "$" not in text:
            return str(text)
        # words of words of words may double each time
        self.expanded += 1
        if self.expanded > 10000:
            self.report.name(word("", f"{self.folder}/main.cf", 0),
                             "its $words lead to too many others")
            return ""

        def one(match):
            if match.group(0) == "$$":
                return "$"
            name = match.group(1) or match.group(2) or match.group(3)
            value = self.get(name, depth + 1)
            if match.group(4) == "?":
                return self.expand(match.group(5).strip("{} "), depth + 1) \
                    if value else ""
            if match.group(4) == ":":
                return value or self.expand(match.group(5).strip("{} "),
                                            depth + 1)
            return value
        return re.sub(r"\$\$|\$(\w+)|\$\((\w+)\)|"
                      r"\$\{(\w+)(?:([?:])((?:[^{}]|\{[^{}]*\})*))?\}",
                      one, text)

    def words(self, name):
        return [like(w, self.where(name))
                for w in re.split(r"[\s,]+", self.get(name)) if w]

    def yes(self, name, default=False):
        if not self.has(name):
            return default
        value = self.get(name).lower()
        if value not in ("yes", "no"):
            self.report.name(self.where(name), f"{name} = {value}: neither "
                             "yes nor no")
            return "_tls_" in name or name.endswith("_tls")
        return value == "yes"

    # --- tables ---

    def tables(self, name):
        """[(key, value)] of all tables of a parameter, in their order; keys
        that are patterns are (re.Pattern, value)."""
        out = []
        text = self.get(name)
        for source in re.findall(r"(?:[^\s,{}]|\{[^{}]*\})+", text):
            out += self.table(like(source, self.where(name)))
        return out

    def table(self, source):
        kind, _, path = source.partition(":")
        if source.startswith("$") or not source:
            return []
        if kind == "static":
            return [(re.compile(""), like(path.strip("{} "), source))]
        if kind == "inline":
            return self.inline(path, source)
        if kind == "proxy":
            return self.table(like(path, source))
        if kind in TEXTUAL:
            return self.text(path, source)
        if kind in ("regexp", "pcre"):
            return self.patterns(path, source)
        self.report.name(source, f"{clean(source)}: a table of this kind is "
                         "not read")
        return []

    def inline(self, text, source):
        out = []
        for part in re.findall(r"\{\s*([^{}=]+?)\s*=\s*([^{}]*?)\s*\}|"
                               r"([^\s{}=,]+)=([^\s{},]+)",
                               text.strip()[1:-1]):
            key, value = part[0] or part[2], part[1] or part[3]
            out.append((like(key, source), like(value, source)))
        return out

    def text(self, path, source):
        lines = self.files.lines(path, self.report)
        if lines is None:
            self.report.name(source, f"{path}: its text is not there")
            return []
        out = []
        for line in logical(lines):
            match = re.match(r'("(?:[^"\\]|\\.)*"|\S+)\s+(.*)', line)
            if match is None:
                self.report.name(line, "a key without a value")
                continue
            out.append((like(match.group(1).strip('"'), line),
                        like(match.group(2).strip(), line)))
        return out

    def patterns(self, path, source):
        lines = self.files.lines(path, self.report)
        if lines is None:
            self.report.name(source, f"{path}: is not there")
            return []
        out = []
        for line in logical(lines):
            match = re.match(r"(!?)([^\w\s])(.*)\2(\w*)\s+(.*)", line)
            try:
                if match is None or match.group(1):
                    raise re.error("")
                out.append((re.compile(match.group(3), re.I),
                            like(match.group(5), line)))
            except re.error:
                self.report.name(line, "a pattern that is not understood")
        return out


def clean(text):
    return text.partition(":")[0] + ":" + text.partition(":")[2][:60]


def master(files, report, folder="/etc/postfix"):
    """{service: {parameter: Word}} of the smtp client's services."""
    out = {}
    for line in logical(files.lines(f"{folder}/master.cf", report) or []):
        field = line.split()
        if len(field) < 8 or field[1] != "unix" or \
                field[7] not in ("smtp", "lmtp"):
            continue
        given, rest = {}, line.split(None, 8)[8:]
        for match in re.finditer(r"-o\s+(?:\{\s*([^{}]*?)\s*\}|(\S+))",
                                 rest[0] if rest else ""):
            name, _, value = (match.group(1) or match.group(2)).partition("=")
            given[name.strip()] = like(value.strip(), line)
        out[field[0]] = given
    return out


def everything(key):
    """Whether a pattern is for whatever there is."""
    return isinstance(key, re.Pattern) and key.pattern.strip("^$") in \
        ("", ".*", ".+", "(.*)", "(.+)", ".", ".*@.*", ".+@.+", "(.*)@(.*)")
