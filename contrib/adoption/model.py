# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reader finds out about a peer's mail: facts, and where they stand.
What becomes of them in posthaste is decided in judge.py."""


import re


class Word(str):
    """A text, and the file and line that it comes from."""
    path, line = "", 0

    def at(self, path, line):
        self.path, self.line = path, line
        return self


def word(text, path, line):
    return Word(text).at(path, line)


def like(text, other):
    """A text from the same place as another."""
    return word(text, getattr(other, "path", ""), getattr(other, "line", 0))


def literal(text, other):
    """The same for the keys from and full_name, in which a percent sign
    begins a word of posthaste's."""
    return like(text.replace("%", "%%"), other)


def number(text, low=0, high=10 ** 12):
    """An int within bounds, of ASCII digits; else None."""
    if text is None or not re.fullmatch(r"[0-9]{1,13}", text):
        return None
    return int(text) if low <= int(text) <= high else None


def port(text):
    return number(text, 1, 65535)


MOST = 1000     # lines that are said of one machine


class Report:
    """What is said on standard error. A thing that could not be carried is
    named; a thing that is carried, but safer or otherwise, is noted."""

    def __init__(self):
        self.lines, self.said = [], set()
        self.named = self.more = 0

    def _say(self, where, text):
        place = getattr(where, "path", "")
        if place and getattr(where, "line", 0):
            place = f"{place}:{where.line}"
        line = clean(f"{place}: {text}" if place else text)
        if line in self.said:
            return False
        if len(self.lines) < MOST:
            self.said.add(line)
            self.lines.append(line)
        else:
            self.more += 1
        return True

    def name(self, where, text):
        if self._say(where, text):
            self.named += 1

    def note(self, where, text):
        self._say(where, text)


def clean(text):
    """Without what a terminal would obey."""
    return "".join(c if c.isprintable() or "\udc80" <= c <= "\udcff" else "?"
                   for c in text)


# How much TLS a peer asks of a host: none; where it is offered; or else no
# mail; from the first byte on.
NONE, OFFERED, REQUIRED, IMPLICIT = "none", "offered", "required", "implicit"


class Relay:
    """A host that mail is handed to."""

    def __init__(self, where, hosts, port=25, **more):
        self.where = where      # the setting that makes it
        self.hosts = hosts      # names, addresses, or one path of a socket
        self.port = port
        self.lmtp = False
        self.tls = NONE
        self.tls_where = where
        self.verified = False   # whether the peer looked at certificates
        self.user = None
        self.password = None
        self.password_command = None
        # whether the peer would log in over a connection without TLS
        self.clear_login = True
        self.mechanisms = []
        self.ca_file = self.certificate = self.key = None
        self.tls_name = None
        self.source = self.helo = self.family = None
        self.__dict__.update(more)

    def same(self, other):
        a, b = dict(self.__dict__), dict(other.__dict__)
        for key in ("where", "tls_where"):
            del a[key], b[key]
        return a == b


class Way:
    """A route: who, whereto, by what: relays in their order; none is direct
    delivery; FAIL and DISCARD take a text."""
    FAIL, DISCARD = "fail", "discard"

    def __init__(self, where, relays=(), **more):
        self.where = where
        self.relays = list(relays)
        self.account = None     # an Account
        self.from_domain = self.to_domain = ()
        self.ending = None      # FAIL or DISCARD
        self.code, self.words = 554, None
        self.__dict__.update(more)


class Account:
    def __init__(self, where, **more):
        self.where = where
        self.users, self.match_from = [], []
        self.sender = None      # its address
        self.force = False
        self.header = None      # add, keep, replace
        self.sender_from_header = False
        self.full_name = None
        self.bcc = []
        self.__dict__.update(more)


class Local:
    """Mail that stays on the machine. Where the setting that says so is in a
    file it is explicit, else it is what the peer does by itself."""

    def __init__(self, where, text, explicit):
        self.where, self.text, self.explicit = where, text, explicit


class Setup:
    """All that a reader found."""

    def __init__(self, peer, report):
        self.peer = peer
        self.report = report
        self.hostname = self.domain = None
        self.local_domains = []  # whose users the peer held for its own
        # a recipient without a domain got one that is none of those, so that
        # aliases and default_recipient were for names at those alone
        self.elsewhere = None   # which one that is
        self.read_at = None     # where mail for this machine's users goes then
        self.aliases = None     # a path; None: the peer reads none
        self.alias_lines = []   # further ones, "name: address", as Words
        self.default_recipient = None   # or several, with commas
        self.redirect = None    # who gets all mail in its recipients' place
        self.maximum = None     # of a message, in bytes
        self.queues = False     # whether the peer has a queue
        self.lifetime = None    # in seconds
        self.crl_file = None
        self.minimum = None     # TLS
        self.accounts, self.ways = [], []
        self.senders = {}       # accounts by their match_from
        self.bcc = []           # of every message
        self.local = None
        # of readers that come with their sections made: (name, [(key,
        # value)]) where a value may be a Secret
        self.sections = None

    def default_account(self, where):
        """The account of whom no other is for."""
        for account in self.accounts:
            if not account.users and not account.match_from:
                return account
        self.accounts.append(Account(where))
        return self.accounts[-1]

    def account_of(self, address, where):
        """The account of an envelope sender."""
        if address not in self.senders:
            self.senders[address] = Account(where, match_from=[address])
            self.accounts.append(self.senders[address])
        return self.senders[address]


class Secret:
    """A password: written into a file of its own. No text, so that it gets
    into no other by mistake."""

    def __init__(self, text, where):
        self.text = str(text)
        self.path = getattr(where, "path", "")
        self.line = getattr(where, "line", 0)

    def __repr__(self):
        return "(a password)"
