#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Direct delivery: nsd and unbound, mail hosts on port 25 at addresses of
their own, resolvers that lie or keep silent."""

import json
import os
import pathlib
import resource
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import mxnet  # noqa: E402
from mxnet import Hosts, Resolver, record, submit, want  # noqa: E402

CHAIN = "".join(f"c{i} CNAME c{i + 1}\n" for i in range(5))
MANY = "".join(f"many MX {i} no{i}.many\nno{i}.many A 192.0.2.{100 + i}\n"
               for i in range(2, 13))
THOUSAND = "".join(f"thousand MX {1000 - i} host{i}.far.example.net.\n"
                   for i in range(999)) + "thousand MX 0 mx.one"
ZONE = f"""
one MX 10 mx.one
mx.one A 192.0.2.11
two MX 10 mx.two
mx.two A 192.0.2.12
three MX 10 mx.three
mx.three A 192.0.2.13
pair MX 20 mx2.pair
pair MX 10 mx1.pair
mx1.pair A 192.0.2.21
mx2.pair A 192.0.2.22
equal MX 10 a.equal
equal MX 10 b.equal
a.equal A 192.0.2.23
b.equal A 192.0.2.24
nullmx MX 0 .
loop CNAME loop2
loop2 CNAME loop
{CHAIN}c5 MX 10 mx.one
implicit A 192.0.2.25
six MX 10 mx.six
mx.six AAAA 2001:db8::6
dual MX 10 mx.dual
mx.dual A 192.0.2.26
mx.dual AAAA 2001:db8::7
self MX 10 mx.self
mx.self A 127.0.0.1
self6 MX 10 mx.self6
mx.self6 AAAA ::ffff:127.0.0.1
half MX 10 mx.self
half MX 20 mx.one
text TXT "no mail here"
gone MX 10 nothing.gone
hole MX 10 mx1.hole
hole MX 20 mx2.hole
mx1.hole A 198.51.100.91
mx2.hole A 198.51.100.92
bad MX 10 mx.broken.test.
halfbad MX 10 mx.broken.test.
halfbad MX 20 mx.one
many MX 1 mx1.pair
{MANY}{THOUSAND}
relay A 192.0.2.31
"""
NOW = "on mail\n  reply 550 5.7.25 your address has no PTR record\n"


def at(*domains):
    return [f"b@{d}.example.test" for d in domains]


def delivered(hosts, name, n=1):
    got = len(hosts.messages(name))
    want(got == n, f"{name} got {got} messages, not {n}")


def three_domains(folder, certificates):
    """three domains, each at its own MX, at once: as long as the slowest"""
    with Hosts(folder, certificates) as h:
        for i in (11, 12, 13):
            h.add(f"192.0.2.{i}", "on dot\n  wait 1500\n  default\n")
        r = submit(folder, at("one", "two", "three")).expect(0)
        want(r.err == "", f"said {r.err}")
        for i, domain in ((11, "one"), (12, "two"), (13, "three")):
            delivered(h, f"192.0.2.{i}")
            rcpt = [w for w in h.said(f"192.0.2.{i}") if w[:4] == "RCPT"]
            want(rcpt == [f"RCPT TO:<b@{domain}.example.test>"], rcpt)
        want(1.4 < r.took < 3.5, f"it took {r.took:.1f} s")
        want(sorted(w["ip"] for w in r.lines()) == [
            "192.0.2.11", "192.0.2.12", "192.0.2.13"], r.log)


def same_domain(folder, certificates):
    """two recipients of a domain share a transaction, case of it or not"""
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.11")
        submit(folder, ["x@one.example.test", "y@ONE.example.test"]).expect(0)
        delivered(h, "192.0.2.11")
        want(len([w for w in h.said("192.0.2.11") if w[:4] == "RCPT"]) == 2,
             h.said("192.0.2.11"))


def first_dead(folder, certificates):
    """the first MX is dead: the second takes it"""
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.22")
        r = submit(folder, at("pair")).expect(0)
        delivered(h, "192.0.2.22")
        want(r.lines()[-1]["ip"] == "192.0.2.22", r.log)


def first_alive(folder, certificates):
    """the lower preference comes first, whatever the order of the answer"""
    for i in range(3):
        with Hosts(folder, certificates) as h:
            h.add("192.0.2.21").add("192.0.2.22")
            submit(folder, at("pair")).expect(0)
            delivered(h, "192.0.2.21")
            want(not h.connections("192.0.2.22"), "the second was asked")


def equal(folder, certificates):
    """equal preference: both are used over several runs"""
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.23").add("192.0.2.24")
        for i in range(16):
            submit(folder, at("equal")).expect(0)
        n = [len(h.messages(f"192.0.2.{i}")) for i in (23, 24)]
        want(sum(n) == 16 and min(n) > 0, n)


def equal_dead(folder, certificates):
    """equal preference: one dead, the other takes it each time"""
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.24")
        for i in range(6):
            submit(folder, at("equal")).expect(0)
        delivered(h, "192.0.2.24", 6)


def null_mx(folder, _):
    """null MX: 68, 5.1.10"""
    r = submit(folder, at("nullmx")).expect(68, "takes no mail")
    want(r.lines()[0]["dsn"] == "5.1.10", r.log)


def no_domain(folder, _):
    """NXDOMAIN: 68, 5.1.2"""
    r = submit(folder, at("nothing")).expect(68, "does not exist")
    want(r.lines()[0]["dsn"] == "5.1.2", r.log)


def nothing_there(folder, _):
    """a domain with neither MX nor address: 68"""
    submit(folder, at("text")).expect(68)


def mx_without_address(folder, _):
    """an MX whose name does not exist: 68"""
    submit(folder, at("gone")).expect(68)


def servfail(folder, _):
    """SERVFAIL: 75"""
    r = submit(folder, ["b@broken.test"]).expect(75, "SERVFAIL")
    want(r.lines()[0]["dsn"][0] == "4", r.log)


def queued_attempts(folder):
    """Mail to a domain that gives SERVFAIL, by the system's resolver: the
    attempts that its entry in the queue has."""
    pathlib.Path(folder, "conf").write_text(
        f"[general]\nhostname = c.sender.test\ndomain = sender.test\n"
        f"[log]\nto = none\n[queue]\nqueue = on_failure\n"
        f"directory = {folder}/queue\n")
    env = mxnet.harness.environment(folder)

    def run(*argv):
        return mxnet.harness.run(["-C", f"{folder}/conf", *argv],
                                 mxnet.MESSAGE, env, folder)
    os.mkdir(f"{folder}/queue", 0o700)
    run("-q")
    status, _, err = run("-f", "a@sender.test", "b@broken.test")
    want(status == 0, err)
    _, out, _ = run("-bp", "--json")
    entry = json.loads(out)
    want(len(entry) == 1, entry)
    return entry[0]["attempts"]


def servfail_counts(folder, _):
    """SERVFAIL of the system's resolver: queued, and it counts"""
    want(queued_attempts(folder) == 1, "it did not count")


def servfail_offline(_, __):
    """SERVFAIL where this host has no network: it counts as no attempt"""
    want(OFFLINE == 0, f"it counts as {OFFLINE}")


def thousand(folder, certificates):
    """1000 MX records (by TCP): the ten best are tried"""
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.11")
        submit(folder, at("thousand")).expect(0)
        delivered(h, "192.0.2.11")


def servfail_address(folder, _):
    """SERVFAIL for the addresses of the only MX: 75"""
    submit(folder, at("bad")).expect(75)


def servfail_one(folder, certificates):
    """SERVFAIL for the addresses of one MX: the other takes it"""
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.11")
        submit(folder, at("halfbad")).expect(0)
        delivered(h, "192.0.2.11")


def cname_loop(folder, _):
    """a CNAME loop ends at once"""
    r = submit(folder, at("loop"))
    want(r.status in (68, 75), f"status {r.status}: {r.err}")
    want(r.took < 5, f"it took {r.took:.1f} s")


def cname_loop_bare(folder, _):
    """a CNAME loop of a resolver that does not follow: ended at once"""
    other = {"x.test": "y.test", "y.test": "z.test", "z.test": "x.test"}
    d = Resolver(lambda n, t: [record(n, "CNAME", other[n])])
    r = submit(folder, ["b@x.test"], resolver=d.where)
    d.stop()
    r.expect(75, "circle")
    want(r.took < 3 and len(d.asked) < 12, f"{r.took:.1f} s, {d.asked}")


def chain(most):
    def answer(name, kind):
        n = int(name.split(".")[0][1:])
        if n < most:
            return [record(name, "CNAME", f"c{n + 1}.test")]
        if kind == "MX":
            return [record(name, "MX", (10, "mx.test"))]
        return []
    return lambda n, t: ([record(n, "A", "192.0.2.11")] if t == "A" else []
                         ) if n == "mx.test" else answer(n, t)


def cnames_many(folder, _):
    """more than 16 CNAMEs: 75, in words"""
    d = Resolver(chain(20))
    r = submit(folder, ["b@c0.test"], resolver=d.where)
    d.stop()
    r.expect(75, "too many")
    want(r.took < 3, f"it took {r.took:.1f} s")


def cnames_at_once(folder, _):
    """more than 16 CNAMEs in one answer: refused"""
    d = Resolver(lambda n, t: [record(f"c{i}.test", "CNAME",
                                      f"c{i + 1}.test") for i in range(20)]
                 + [record("c20.test", "MX", (10, "mx.test"))])
    r = submit(folder, ["b@c0.test"], resolver=d.where)
    d.stop()
    r.expect(75)


def cnames_sixteen(folder, certificates):
    """16 CNAMEs are followed"""
    d = Resolver(chain(16))
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.11")
        submit(folder, ["b@c0.test"], resolver=d.where).expect(0)
        delivered(h, "192.0.2.11")
    d.stop()


def cname_short(folder, certificates):
    """a domain that is a CNAME: the MX of where it leads, RCPT as given"""
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.11")
        submit(folder, at("c0")).expect(0)
        want("RCPT TO:<b@c0.example.test>" in h.said("192.0.2.11"),
             h.said("192.0.2.11"))


def implicit(folder, certificates):
    """no MX record: the domain's own address"""
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.25")
        submit(folder, at("implicit")).expect(0)
        delivered(h, "192.0.2.25")


def implicit_not(folder, certificates):
    """MX records that are dead: the domain's own address is not asked"""
    d = Resolver(lambda n, t: {
        ("x.test", "MX"): [record("x.test", "MX", (1, "mx.x.test"))],
        ("x.test", "A"): [record("x.test", "A", "192.0.2.25")],
        ("mx.x.test", "A"): [record("mx.x.test", "A", "192.0.2.29")],
    }.get((n, t), []))
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.25")
        submit(folder, ["b@x.test"], resolver=d.where).expect(75)
        want(not h.connections("192.0.2.25"), "it was asked")
    d.stop()


def six_only(folder, certificates):
    """a host with AAAA alone"""
    with Hosts(folder, certificates) as h:
        h.add("2001:db8::6")
        r = submit(folder, at("six")).expect(0)
        delivered(h, "2001:db8::6")
        want(r.lines()[0]["ip"] == "2001:db8::6", r.log)


def dual(folder, certificates):
    """a dual-stack host whose IPv6 is dead: IPv4 takes it at once"""
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.26")
        r = submit(folder, at("dual")).expect(0)
        delivered(h, "192.0.2.26")
        want(r.took < 3, f"it took {r.took:.1f} s")


def family_switch(folder, certificates, refusing, other, more="",
                  script=NOW):
    with Hosts(folder, certificates) as h:
        h.add(refusing, script).add(other)
        r = submit(folder, at("dual"), more=more).expect(0)
        delivered(h, other)
        delivered(h, refusing, 0)
        want(h.connections(refusing) == 1, "not refused once")
        want(r.took < 3, f"it took {r.took:.1f} s")


def family_six_refused(folder, certificates):
    """5.7.x at MAIL over IPv6: IPv4 at once, in the same run"""
    family_switch(folder, certificates, "2001:db8::7", "192.0.2.26")


def family_four_refused(folder, certificates):
    """5.7.x at RCPT over IPv4 (prefer_ipv4): IPv6 at once"""
    family_switch(folder, certificates, "192.0.2.26", "2001:db8::7",
                  "[route r]\ntransport = t\n[transport t]\nkind = direct\n"
                  "ip_family = prefer_ipv4\n", NOW.replace("mail", "rcpt"))


def family_both_refused(folder, certificates):
    """5.7.x over both families: refused for good, each asked once"""
    with Hosts(folder, certificates) as h:
        h.add("2001:db8::7", NOW).add("192.0.2.26", NOW)
        submit(folder, at("dual")).expect(69, "no PTR record")
        for name in ("2001:db8::7", "192.0.2.26"):
            want(h.connections(name) == 1, h.connections(name))


def family_other_refusal(folder, certificates):
    """a refusal that is not 5.7.x ends it at the first family"""
    with Hosts(folder, certificates) as h:
        h.add("2001:db8::7", "on rcpt\n  reply 550 5.1.1 nobody\n")
        h.add("192.0.2.26")
        submit(folder, at("dual")).expect(67)
        want(not h.connections("192.0.2.26"), "IPv4 was asked")


def family_kept(folder, certificates):
    """the family that takes what the other refused is kept to the end"""
    with Hosts(folder, certificates) as h:
        h.add("2001:db8::7", NOW)
        h.add("192.0.2.26", "extension LIMITS MAILMAX=1\n")

        def run(*words, to=()):
            return submit(folder, to, arguments=words, queue="[queue]\n"
                          f"queue = on_failure\ndirectory = {folder}/kept")

        for i in range(3):
            run("-odq", to=at("dual")).expect(0)
        run("-q").expect(0)
        delivered(h, "192.0.2.26", 3)
        want(h.connections("2001:db8::7") == 1, "IPv6 was asked again")


def more_than_descriptors(folder, _):
    """more destinations than there may be descriptors: each one's outcome"""
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, most))
    try:
        r = submit(folder, [f"b@[127.0.1.{i}]" for i in range(1, 131)],
                   dns="allow_loopback_mx = yes", limit=20)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, most))
    r.expect(75)
    want(len(r.lines()) == 130, f"{len(r.lines())} outcomes")


def literal(folder, certificates):
    """address literals, both families, no question asked of DNS"""
    d = Resolver(lambda n, t: 3)
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.25").add("2001:db8::6")
        submit(folder, ["b@[192.0.2.25]", "c@[IPv6:2001:db8::6]"],
               resolver=d.where).expect(0)
        want("RCPT TO:<b@[192.0.2.25]>" in h.said("192.0.2.25"),
             h.said("192.0.2.25"))
        delivered(h, "2001:db8::6")
        want(not d.asked, d.asked)
    d.stop()


def loopback(folder, certificates):
    """a loopback MX, mapped too, or a literal: refused, the words help"""
    with Hosts(folder, certificates) as h:
        h.add("127.0.0.1", name="four")
        for rcpt in at("self", "self6") + [
                "b@[127.0.0.1]", "b@[IPv6:::1]", "b@[0.0.0.0]",
                "b@[169.254.1.1]", "b@[IPv6:fe80::1]",
                "b@[IPv6:::ffff:127.0.0.1]"]:
            submit(folder, [rcpt]).expect(68, "aliases", "default_recipient")
        want(not h.connections("four"), "it was connected to")


def loopback_other(folder, certificates):
    """one MX is loopback, the other is not: the other takes it"""
    with Hosts(folder, certificates) as h:
        h.add("127.0.0.1", name="four").add("192.0.2.11")
        submit(folder, at("half")).expect(0)
        delivered(h, "192.0.2.11")
        want(not h.connections("four"), "it was connected to")


def most_hosts(folder, certificates):
    """of twelve hosts ten are tried"""
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.110").add("192.0.2.111", name="last")
        submit(folder, at("many")).expect(0)
        delivered(h, "192.0.2.110")
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.111").add("192.0.2.112")
        submit(folder, at("many")).expect(75)
        want(not h.connections("192.0.2.111") +
             h.connections("192.0.2.112"), "the eleventh was tried")


def tc_then_silence(folder, _):
    """TC=1, then silence on TCP: ended at the deadline"""
    d = Resolver(lambda n, t: "TC")
    r = submit(folder, ["b@x.test"], resolver=d.where, limit=40)
    d.stop()
    r.expect(75)
    want(d.asked and r.took < 23, f"{r.took:.1f} s, {d.asked}")


def silent_resolver(folder, _):
    """a silent resolver: ended at the deadline, three domains as fast"""
    d = Resolver(lambda n, t: None)
    r = submit(folder, ["b@x.test", "b@y.test", "b@z.test"],
               resolver=d.where, limit=40)
    d.stop()
    r.expect(75)
    want(d.asked and r.took < 23, f"{r.took:.1f} s, {d.asked}")


def silent_addresses(folder, _):
    """a resolver silent on addresses alone: ended at the deadline"""
    d = Resolver(lambda n, t: [record(n, "MX", (1, "mx.x.test"))]
                 if t == "MX" else None)
    r = submit(folder, ["b@x.test"], resolver=d.where, limit=60)
    d.stop()
    r.expect(75)
    want(r.took < 45, f"it took {r.took:.1f} s")


def tls_taken(folder, certificates):
    """opportunistic TLS: used, whatever the certificate"""
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.11", "tls starttls\ncertificate self-signed\n")
        r = submit(folder, at("one")).expect(0)
        delivered(h, "192.0.2.11")
        want(r.lines()[0]["tls"] == "TLS1.3", r.log)
        want(len(h.events("192.0.2.11", "tls")) == 1, "no TLS")


def tls_broken(folder, certificates):
    """opportunistic TLS: a broken handshake, then in clear on that host"""
    for break_it in ("reply 220 go\n  close",
                     "reply 220 go\n  send oops\\r\\n",
                     "reply 454 4.7.0 not now"):
        with Hosts(folder, certificates) as h:
            h.add("192.0.2.21", "tls starttls\non starttls\n  " + break_it +
                  "\n").add("192.0.2.22")
            submit(folder, at("pair")).expect(0)
            delivered(h, "192.0.2.21")
            want(not h.events("192.0.2.21", "tls"), "TLS came about")
            want(not h.connections("192.0.2.22"), "the next was asked")


def temporary_next(folder, certificates):
    """450, a 4xx or 5xx greeting, a closed session: on to the second MX"""
    for script in ("on rcpt\n  reply 450 4.2.0 later\n",
                   "on mail\n  reply 451 4.3.0 later\n",
                   "on dot\n  reply 452 4.3.1 full\n",
                   "on greeting\n  reply 421 4.3.2 busy\n  close\n",
                   "on greeting\n  reply 554 5.3.2 no\n",
                   "on ehlo\n  close\n"):
        with Hosts(folder, certificates) as h:
            h.add("192.0.2.21", script).add("192.0.2.22")
            r = submit(folder, at("pair"))
            want(r.status == 0, f"{script}: {r.status} {r.err}")
            delivered(h, "192.0.2.22")


def permanent_ends(folder, certificates):
    """550 at MAIL, RCPT, the dot: the second MX is not asked"""
    for script, status in (("on rcpt\n  reply 550 5.1.1 nobody\n", 67),
                           ("on mail\n  reply 550 5.1.8 no\n", 69),
                           ("on dot\n  reply 554 5.6.0 no\n", 69)):
        with Hosts(folder, certificates) as h:
            h.add("192.0.2.21", script).add("192.0.2.22")
            submit(folder, at("pair")).expect(status)
            want(not h.connections("192.0.2.22"), f"asked after {script}")


def open_ones_go_on(folder, certificates):
    """one taken, one 450, one 550: only the second goes to the next MX"""
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.21").add("192.0.2.22", "on rcpt\n  reply 250 ok\n")
        submit(folder, ["x@pair.example.test", "tempfail@pair.example.test",
                        "nouser@pair.example.test"]).expect(67, "nouser@")
        rcpt = [w for w in h.said("192.0.2.22") if w[:4] == "RCPT"]
        want(rcpt == ["RCPT TO:<tempfail@pair.example.test>"], rcpt)


def blocked(folder, _):
    """port 25 refused everywhere: the words say that it looks blocked"""
    submit(folder, at("pair")).expect(75, "port 25 looks blocked", "relay")


def dropped(folder, _):
    """port 25 dropped everywhere: the same words, in bounded time"""
    r = submit(folder, at("hole"), general="connect_timeout = 2s")
    r.expect(75, "port 25 looks blocked")
    want(r.took < 8, f"it took {r.took:.1f} s")


def not_blocked(folder, certificates):
    """one host that answers, though badly: no word of a block"""
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.21", "on greeting\n  reply 421 4.3.2 busy\n  close\n")
        r = submit(folder, at("pair")).expect(75)
        want("looks blocked" not in r.err, r.err)


def partial(folder, certificates):
    """several domains, some failing: each its outcome, and the status"""
    for domains, status in ((("one", "nullmx"), 68), (("one", "two"), 69),
                            (("two", "nullmx"), 75),
                            (("nullmx", "nothing"), 68),
                            (("one", "two", "nullmx"), 69)):
        with Hosts(folder, certificates) as h:
            h.add("192.0.2.11")
            h.add("192.0.2.12", "on mail\n  reply 451 4.3.0 later\n")
            r = submit(folder, at(*domains))
            want(r.status == status, f"{domains}: {r.status}, {r.err}")
            delivered(h, "192.0.2.11", int("one" in domains))
            for d in domains[("one" in domains):]:
                want(f"b@{d}.example.test" in r.err, f"{d}: {r.err}")
            want("b@one." not in r.err, r.err)


def relay_asks_nothing(folder, certificates):
    """a relay submission asks for no MX, TLSA or TXT record"""
    asked = len(NAMES.questions())
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.31")
        submit(folder, at("one", "two"), more="""[route r]
transport = relay
[transport relay]
kind = smtp
host = relay.example.test
no_starttls = yes
""").expect(0)
        delivered(h, "192.0.2.31")
    asked = NAMES.questions()[asked:]
    want(asked, "nothing was asked at all: the log is not to be trusted")
    want({kind for _, kind in asked} <= {"A", "AAAA"}, asked)
    want({name for name, _ in asked} == {"relay.example.test"}, asked)


def loads(folder, certificates):
    """what is loaded: neither libcurl nor a second TLS library"""
    if mxnet.harness.sanitized():
        return                    # those are linked with all of them
    record = os.path.join(folder, "opened")
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.11")
        submit(folder, at("one")).expect(0)
        mxnet.command("strace", "-f", "-qq", "-e", "trace=openat", "-o",
                      record, mxnet.harness.POSTHASTE, "-C",
                      os.path.join(folder, "conf"), "-f", "a@sender.test",
                      *at("one"))
    with open(record, encoding="utf-8") as f:
        out = f.read()
    want("libcares" in out, out)
    for name in ("libcurl", "libssl", "libunbound", "libldns", "libgsasl"):
        want(name not in out, out)


def no_configuration(folder, certificates):
    """no configuration at all: delivered by MX through resolv.conf"""
    env = mxnet.harness.environment(folder)
    with Hosts(folder, certificates) as h:
        h.add("192.0.2.11")
        status, out, err = mxnet.harness.run(
            at("one"), b"Subject: s\n\nbody\n", env, folder)
        want((status, out, err) == (0, b"", b""), (status, out, err))
        delivered(h, "192.0.2.11")
    status, out, err = mxnet.harness.run(
        at("pair"), b"Subject: s\n\nbody\n", env, folder)
    want(status == 75 and b"port 25 looks blocked" in err, (status, err))


def no_resolver(folder, _):
    """no resolver answers: 75, in words"""
    d = mxnet.harness.dead_port()
    submit(folder, at("one"), resolver=f"127.0.0.1:{d.getsockname()[1]}"
           ).expect(75, "resolver")


def hostile_names(folder, _):
    """control bytes and blanks in an MX name: never shown raw"""
    d = Resolver(lambda n, t: [record(n, "MX", (1, "a\x1b[31m\n b.test"))]
                 if t == "MX" else [])
    r = submit(folder, ["b@x.test"], resolver=d.where)
    d.stop()
    want(r.status in (68, 75), r.status)
    want("\x1b" not in r.err + r.log and r.log.count("\n") == 1,
         repr(r.err + r.log))


TESTS = [three_domains, same_domain, first_dead, first_alive, equal,
         equal_dead, null_mx, no_domain, nothing_there, mx_without_address,
         servfail, servfail_counts, servfail_offline, servfail_address, servfail_one, cname_loop,
         cname_loop_bare, cnames_many, cnames_at_once, cnames_sixteen,
         cname_short, implicit, implicit_not, six_only, dual,
         family_six_refused, family_four_refused, family_both_refused,
         family_other_refusal, family_kept, literal, loopback,
         loopback_other, most_hosts, thousand, more_than_descriptors,
         tc_then_silence, silent_resolver, silent_addresses, tls_taken,
         tls_broken, temporary_next, permanent_ends, open_ones_go_on,
         blocked, dropped, not_blocked, partial, relay_asks_nothing, loads,
         no_configuration, no_resolver, hostile_names]


def main():
    global NAMES, OFFLINE
    mxnet.isolate("nsd", "unbound", bare=True)
    with mxnet.scratch() as folder:
        NAMES = mxnet.Names(f"{folder}/names", {"example.test": ZONE,
                                               "broken.test": ""},
                            interfaces=("192.0.2.53",))
        mxnet.use_resolver(folder, "192.0.2.53")
        offline = pathlib.Path(folder, "offline")
        offline.mkdir()
        OFFLINE = queued_attempts(str(offline))
        mxnet.add_addresses()
        status = mxnet.tap(TESTS)
        NAMES.stop()
    return status


if __name__ == "__main__":
    sys.exit(main())
