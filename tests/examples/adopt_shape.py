# SPDX-License-Identifier: GPL-3.0-or-later
"""A shape of a peer's configuration, and what must become of it."""


class Case:
    """Files of a machine; lines that the result must have, and words that it
    must not; what must be said, with nothing at all where nothing is named
    here; passwords by their files; and ways: (what --explain is called with,
    kind, hosts, TLS)."""

    def __init__(self, peer, title, files, lines=(), lacks=(), said=(),
                 status=0, secrets=None, ways=(), leads=()):
        self.peer, self.title, self.files = peer, title, files
        self.lines, self.lacks, self.said = lines, lacks, said
        self.status, self.ways = status, ways
        self.secrets = secrets or {}
        self.leads = dict(leads)    # recipient: who gets it


def shape(peer, path):
    """Cases of a peer by the text of its first file."""
    def case(title, text, more=None, **wanted):
        return Case(peer, title, {path: text, **(more or {})}, **wanted)
    return case
