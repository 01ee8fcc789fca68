#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The walk over hosts and their addresses: which one is asked next, about
whom, and which answer stands at the end. Scripted hosts on port 25 in
namespaces of its own. Must be root. TAP on standard output; arguments: names
of tests."""

import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import mxnet  # noqa: E402
from mxnet import record, want  # noqa: E402
import harness  # noqa: E402

ONE, TWO, THREE, FOUR = (f"192.0.2.{i}" for i in (11, 12, 13, 14))
SIX, SIX2 = "2001:db8::11", "2001:db8::12"
RELAY = """[route relay]
transport = relay
[transport relay]
kind = smtp
host = {host}
no_starttls = yes
"""
GOOD = ""


def on(event, *actions):
    return f"on {event}\n" + "".join(f"  {a}\n" for a in actions)


REFUSES = on("greeting", "reply 554 5.3.2 no mail here", "close")
BUSY = on("greeting", "reply 421 4.3.2 later", "close")
CLOSES = on("connect", "close")
EHLO_421 = on("ehlo", "reply 421 4.3.2 later", "close")
GARBAGE = on("greeting", "send hello\\r\\n")
LATER = on("rcpt", "reply 450 4.2.0 greylisted")
NO_PTR = on("rcpt", "reply 450 4.7.25 cannot find your hostname")
POLICY = on("rcpt", "reply 550 5.7.1 not from there")


def zone(table):
    def answer(name, kind):
        found = table.get(f"{name} {kind}")
        if isinstance(found, int):
            return found
        if found is not None:
            return [record(name, kind, value) for value in found]
        known = any(key.split()[0] == name for key in table)
        return [] if known else 3
    return answer


def mx(*hosts):
    """dest.test with these hosts in order, each a list of addresses."""
    table = {"dest.test MX": []}
    for i, addresses in enumerate(hosts):
        name = f"mx{i}.dest.test"
        table["dest.test MX"].append((10 * i, name))
        for address in addresses:
            kind = "AAAA" if ":" in address else "A"
            table.setdefault(f"{name} {kind}", []).append(address)
    return table


class Walk:
    """One submission to hosts, {address: script}."""

    def __init__(self, folder, certificates, table, hosts, status,
                 rcpts=("b@dest.test",), more=""):
        resolver = mxnet.Resolver(zone(table))
        self.hosts = mxnet.Hosts(folder, certificates)
        with self.hosts:
            for address, script in hosts.items():
                self.hosts.add(address, script)
            self.result = mxnet.submit(
                folder, list(rcpts), resolver=resolver.where, more=more,
                tls="mta_sts = no", dns="allow_loopback_mx = yes",
                general="connect_timeout = 5s\ntimeout = 10s").expect(status)
        resolver.stop()

    def took(self, address, *rcpts):
        got = [sorted(m["to"]) for m in self.hosts.messages(address)]
        want(got == ([sorted(rcpts)] if rcpts else []),
             f"{address} took {got}\n{self.result.log}")
        return self

    def not_asked(self, *addresses):
        for address in addresses:
            want(not self.hosts.connections(address), f"{address} was asked")
        return self

    def rcpt(self, address, *rcpts):
        said = [re.search("<(.*?)>", line)[1]
                for line in self.hosts.said(address)
                if line.startswith("RCPT")]
        want(sorted(said) == sorted(rcpts), f"{address} was asked about "
             f"{said}\n{self.result.log}")
        return self


def next_address(script, relay=False):
    """Two addresses: the first does this, the second takes it."""
    def test(folder, certificates):
        if relay:
            table = {"two.test A": [ONE, TWO]}
            more = RELAY.format(host="two.test")
        else:
            table, more = mx([ONE, TWO]), ""
        w = Walk(folder, certificates, table, {ONE: script, TWO: GOOD}, 0,
                 more=more)
        w.took(TWO, "b@dest.test")
        want(w.hosts.connections(ONE) == 1, "asked again")
    return test


def all_fail(folder, certificates):
    w = Walk(folder, certificates, mx([ONE, TWO]), {ONE: REFUSES,
                                                    TWO: REFUSES}, 69)
    want([w.hosts.connections(a) for a in (ONE, TWO)] == [1, 1],
         "not each once")


def login_once(folder, certificates):
    """A wrong password is not said at every address of a host."""
    auth = "auth CRAM-MD5\n" + on("auth-final", "reply 535 5.7.8 no")
    w = Walk(folder, certificates, {"two.test A": [ONE, TWO]},
             {ONE: auth, TWO: auth}, 77, more=RELAY.format(host="two.test") +
             "username = u\npassword = p\n")
    w.not_asked(TWO)


def dual(script, six2=False):
    """IPv6 refuses so, IPv4 takes it: at once."""
    def test(folder, certificates):
        addresses = [SIX, SIX2, ONE] if six2 else [SIX, ONE]
        hosts = {SIX: script, ONE: GOOD}
        if six2:
            hosts[SIX2] = script
        w = Walk(folder, certificates, mx(addresses), hosts, 0)
        w.took(ONE, "b@dest.test")
        want(sum(w.hosts.connections(a) for a in hosts) == 2,
             "not at once")
    return test


def refused_by_both(folder, certificates):
    w = Walk(folder, certificates, mx([SIX, ONE], [TWO]),
             {SIX: POLICY, ONE: POLICY, TWO: GOOD}, 69)
    w.not_asked(TWO)
    want("5.7.1" in w.result.err, w.result.err)


def refused_other_dead(folder, certificates):
    """Refused for good, and the other family cannot be had: refused."""
    w = Walk(folder, certificates, mx([SIX, ONE]), {SIX: POLICY}, 69)
    want("5.7.1" in w.result.err, w.result.err)


def whose_refusal(folder, certificates):
    """A host's refusal for good is not asked about at another host."""
    first = on("rcpt a@", "reply 550 5.7.1 no") + on("rcpt b@",
                                                     "reply 451 4.3.0 later")
    w = Walk(folder, certificates, mx([ONE], [SIX, TWO]),
             {ONE: first, SIX: GOOD, TWO: GOOD}, 69,
             rcpts=("a@dest.test", "b@dest.test"))
    took = [sorted(m["to"]) for a in (SIX, TWO)
            for m in w.hosts.messages(a)]
    want(took == [["b@dest.test"]], took)


def open_ones_alone(folder, certificates):
    """At the other family those are asked about that are open."""
    first = (on("rcpt a@", "reply 550 5.1.1 no user") +
             on("rcpt b@", "reply 550 5.7.1 no"))
    w = Walk(folder, certificates, mx([SIX, ONE]), {SIX: first, ONE: GOOD},
             67, rcpts=("a@dest.test", "b@dest.test", "c@dest.test"))
    w.took(SIX, "c@dest.test").rcpt(ONE, "b@dest.test").took(
        ONE, "b@dest.test")
    want("a@dest.test" in w.result.err and
         "b@dest.test" not in w.result.err, w.result.err)


def stands(*scripts, more="", word="greylisted"):
    """"For now" stands against what later hosts say of their sessions."""
    def test(folder, certificates):
        addresses = [ONE, TWO, THREE][:len(scripts)]
        hosts = {a: s for a, s in zip(addresses, scripts) if s is not None}
        w = Walk(folder, certificates, mx(*[[a] for a in addresses]), hosts,
                 75, more=more)
        want(word in w.result.err, w.result.err)
    return test


def stands_relays(second):
    """The same across the transports of a route."""
    def test(folder, certificates):
        more = ("[route r]\ntransport = first, second\n[transport first]\n"
                f"kind = smtp\nno_starttls = yes\nhost = {ONE}\n"
                "[transport second]\nkind = smtp\nno_starttls = yes\n"
                f"host = {second}\n")
        w = Walk(folder, certificates, {}, {ONE: LATER, TWO: REFUSES}, 75,
                 more=more)
        want("greylisted" in w.result.err, w.result.err)
    return test


def stands_attempts(second):
    """The same where the next attempt has another route."""
    def test(folder, certificates):
        more = ("[route second]\nminimum_attempts = 1\ntransport = second\n"
                "[route first]\ntransport = first\n[transport first]\n"
                f"kind = smtp\nno_starttls = yes\nhost = {ONE}\n"
                "[transport second]\nkind = smtp\nno_starttls = yes\n"
                f"host = {second}\n")
        w = Walk(folder, certificates, {}, {ONE: LATER, TWO: REFUSES}, 75,
                 more=more)
        want("greylisted" in w.result.err, w.result.err)
        want(second != TWO or w.hosts.connections(TWO) == 1, "not asked")
    return test


def ends(folder, certificates):
    """A refusal of the message ends it, whatever was for now before."""
    w = Walk(folder, certificates, mx([ONE], [TWO], [THREE]),
             {ONE: LATER, TWO: on("rcpt", "reply 550 5.1.1 no user"),
              THREE: GOOD}, 67)
    w.not_asked(THREE)


BARE = "no-extensions\n"
SMALL = BARE + "extension SIZE 50\n"
UTF8 = dict(rcpts=("é@dest.test",))


def lacks(folder, certificates):
    """What the first host lacks the second has."""
    w = Walk(folder, certificates, mx([ONE], [TWO]), {ONE: BARE, TWO: GOOD},
             0, **UTF8)
    want(len(w.hosts.messages(TWO)) == 1, "not sent")


def lacks_size(folder, certificates):
    w = Walk(folder, certificates, mx([ONE], [TWO]), {ONE: SMALL, TWO: GOOD},
             0)
    w.took(TWO, "b@dest.test")
    want(not w.hosts.events(ONE, "message"), "asked")


def all_lack(folder, certificates):
    Walk(folder, certificates, mx([ONE], [TWO]), {ONE: BARE, TWO: BARE}, 65,
         **UTF8)


def one_lacks_one_dead(other, order):
    """Temporary while one could not be asked."""
    def test(folder, certificates):
        hosts = {ONE: BARE}
        if other is not None:
            hosts[TWO] = other
        pair = ([ONE], [TWO]) if order else ([TWO], [ONE])
        Walk(folder, certificates, mx(*pair), hosts, 75, **UTF8)
    return test


SERVFAIL = 2


TOO_LARGE = r"mx\d.dest.test: too large"


def lacks_no_relay(folder, certificates):
    """What a host lacks is said also where the next transport's are not to be
    found."""
    more = ("[route r]\ntransport = direct, second\n[transport second]\n"
            "kind = submission\nsrv = yes\nhost = lost.test\n")
    w = Walk(folder, certificates, mx([ONE]), {ONE: SMALL}, 75, more=more)
    want(re.search(f"SRV record.*{TOO_LARGE}", w.result.err), w.result.err)


def one_unknown(other, first=True, status=75, word="looked up"):
    """Temporary while one could not be looked up, whatever another lacks
    (which is said, too) or says of its session; what another says of the
    message stands."""
    def test(folder, certificates):
        table = mx([ONE], [TWO])
        lost, there = ("mx0", TWO) if first else ("mx1", ONE)
        table[f"{lost}.dest.test A"] = SERVFAIL
        w = Walk(folder, certificates, table, {there: other}, status)
        want(re.search(word, w.result.err), w.result.err)
        want(w.hosts.connections(there) == 1, "not asked")
    return test


def most_addresses(folder, certificates):
    """Twenty addresses of a relay are tried, no more."""
    many = [f"192.0.2.{i}" for i in range(100, 125)]
    w = Walk(folder, certificates, {"many.test A": many},
             {a: REFUSES for a in many}, 69,
             more=RELAY.format(host="many.test"))
    asked = sum(w.hosts.connections(a) for a in many)
    want(asked == 20, f"{asked} were asked")


def used_up(folder, certificates):
    """A session that is closed after one transaction goes on by another
    one, at the same host."""
    limited = "max-recipients 1\n" + on("mail nth=2", "close")
    w = Walk(folder, certificates, mx([ONE], [TWO]),
             {ONE: limited, TWO: GOOD}, 0,
             rcpts=("a@dest.test", "b@dest.test"))
    w.not_asked(TWO)


TESTS = []
for name, script in (("closes", CLOSES), ("421", BUSY), ("554", REFUSES),
                     ("ehlo-421", EHLO_421), ("garbage", GARBAGE),
                     ("greylisted", LATER)):
    TESTS.append((f"next-address-{name}", next_address(script)))
    TESTS.append((f"next-address-relay-{name}", next_address(script, True)))
TESTS += [
    ("all-fail", all_fail), ("login-once", login_once),
    ("dual-4.7.25", dual(NO_PTR)), ("dual-5.7.1", dual(POLICY)),
    ("dual-greeting", dual(REFUSES)), ("dual-at-once", dual(NO_PTR, True)),
    ("dual-at-once-5.7.1", dual(POLICY, True)),
    ("refused-by-both", refused_by_both),
    ("refused-other-dead", refused_other_dead),
    ("whose-refusal", whose_refusal), ("open-ones-alone", open_ones_alone),
    ("stands-554", stands(LATER, REFUSES)),
    ("stands-garbage", stands(LATER, GARBAGE)),
    ("stands-dead", stands(LATER, None)),
    ("stands-421-554", stands(BUSY, REFUSES, word="421")),
    ("stands-later", stands(REFUSES, LATER, REFUSES)),
    ("stands-relay-554", stands_relays(TWO)),
    ("stands-relay-no-name", stands_relays("no.such.test")),
    ("stands-attempts-554", stands_attempts(TWO)),
    ("stands-attempts-no-name", stands_attempts("no.such.test")),
    ("ends", ends), ("lacks", lacks), ("lacks-size", lacks_size),
    ("all-lack", all_lack),
    ("lacks-then-dead", one_lacks_one_dead(None, True)),
    ("dead-then-lacks", one_lacks_one_dead(None, False)),
    ("lacks-then-busy", one_lacks_one_dead(BUSY, True)),
    ("lacks-then-greylisted", one_lacks_one_dead(LATER, True)),
    ("greylisted-then-lacks", one_lacks_one_dead(LATER, False)),
    ("unknown-then-lacks", one_unknown(SMALL, word=f"looked up.*{TOO_LARGE}")),
    ("lacks-then-unknown", one_unknown(SMALL, False,
                                       word=f"looked up.*{TOO_LARGE}")),
    ("lacks-then-no-relay", lacks_no_relay),
    ("unknown-then-554", one_unknown(REFUSES)),
    ("554-then-unknown", one_unknown(REFUSES, False)),
    ("unknown-then-greylisted", one_unknown(LATER, word="greylisted")),
    ("unknown-then-refused", one_unknown(POLICY, status=69, word="5.7.1")),
    ("unknown-then-good", one_unknown(GOOD, status=0, word="")),
    ("most-addresses", most_addresses), ("used-up", used_up),
]


if __name__ == "__main__":
    mxnet.isolate()
    sys.exit(harness.tap(TESTS, 1))
