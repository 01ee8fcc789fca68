#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one destination, router or resolver does is no fact about this host:
an address out of reach is an attempt that ends, resolvers with a scope, that
know no EDNS, or that answer half of a question; in namespaces of its own.
Must be root. TAP on standard output; arguments: names of tests."""

import json
import os
import pathlib
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import mxnet  # noqa: E402
from mxnet import record, want  # noqa: E402
import harness  # noqa: E402

HERE4, HERE6 = "192.0.2.1", "2001:db8::1"
FAR4, FAR6 = "203.0.113.9", "2a00:1450::9"
QUEUE = """[queue]
queue = on_failure
directory = {folder}/queue
schedule = 1s
lifetime = 3s
"""
LOOSE = "allow_loopback_mx = yes"


def zone(table):
    """A resolver's answers from {"name TYPE": [values]}."""
    def answer(name, kind):
        found = table.get(f"{name} {kind}")
        if found is None and f"{name} CNAME" in table:
            return [record(name, "CNAME", table[f"{name} CNAME"][0])]
        if found is not None:
            return [record(name, kind, value) for value in found]
        known = any(key.split()[0] == name for key in table)
        return [] if known else 3
    return answer


def run(folder, *arguments):
    return harness.run(["-C", f"{folder}/conf", *arguments], b"",
                       harness.environment(str(folder)), str(folder))


def listing(folder):
    status, out, err = run(folder, "-bp", "--json")
    want(status == 0, err)
    return json.loads(out)


def bounces(mx, addresses):
    """The attempts rise, and a report goes out at the end."""
    def test(folder, certificates):
        table = {"sender.test MX": [(10, "mx.sender.test")],
                 "mx.sender.test A": [HERE4], **addresses,
                 "dest.test MX": [(10 * i, name)
                                  for i, name in enumerate(mx, 1)]}
        resolver = mxnet.Resolver(zone(table))
        with mxnet.Hosts(folder, certificates).add(HERE4) as hosts:
            mxnet.submit(folder, ["b@dest.test"], resolver=resolver.where,
                         dns=LOOSE, queue=QUEUE.format(folder=folder),
                         tls="mta_sts = no", general="connect_timeout = 3s"
                         ).expect(0)
            found = listing(folder)
            want([e["attempts"] > 0 for e in found] == [True], found)
            end = time.monotonic() + 20
            while listing(folder) and time.monotonic() < end:
                said = run(folder, "-qI", "")
                time.sleep(0.5)
            log = pathlib.Path(folder, "log").read_text()
            want(not listing(folder), f"still there: {said}\n{log}")
            want("status=failed" in log, log)
        resolver.stop()
        want("-f" in log and hosts.messages(HERE4),
             f"no failure report\n{log}")
    return test


def failover(folder, certificates):
    """a relay out of reach fails over at once, without a queue"""
    with mxnet.Hosts(folder, certificates).add(HERE4) as hosts:
        mxnet.submit(
            folder, ["b@dest.test"], more="[route second]\n"
            "minimum_attempts = 1\ntransport = good\n[route first]\n"
            f"transport = far\n[transport far]\nkind = smtp\nhost = {FAR6}\n"
            "no_starttls = yes\n[transport good]\nkind = smtp\n"
            f"host = {HERE4}\nno_starttls = yes\n").expect(0)
    want(len(hosts.messages(HERE4)) == 1, "not delivered")


def no_route(folder, _certificates):
    """hosts that no route leads to say nothing of a port: no word of a
    block, but of the route"""
    table = {"dest.test MX": [(10, "a.six.test"), (20, "b.six.test")],
             "a.six.test AAAA": [FAR6], "b.six.test AAAA": ["2a00:1450::a"]}
    dns = mxnet.Resolver(zone(table))
    done = mxnet.submit(folder, ["b@dest.test"], resolver=dns.where,
                        dns=LOOSE, tls="mta_sts = no")
    dns.stop()
    done.expect(75, "Network is unreachable")
    want("looks blocked" not in done.err + done.log, done.err)


# --- resolvers ---

TABLE = {"dest.test MX": [(10, "mx.dest.test")], "mx.dest.test A": [HERE4]}


def delivers(table=None, seconds=10, resolver=None, resolv_conf=None,
             **options):
    """A message to dest.test arrives, in time."""
    def test(folder, certificates):
        dns = mxnet.Resolver(zone(table or TABLE), **options)
        text = resolver or ("" if resolv_conf else dns.where)
        if resolv_conf:
            mxnet.system_resolver(folder, resolv_conf)
        before = time.monotonic()
        with mxnet.Hosts(folder, certificates).add(HERE4) as hosts:
            done = mxnet.submit(folder, ["b@dest.test"], resolver=text,
                                dns=LOOSE, tls="mta_sts = no").expect(0)
        dns.stop()
        if resolv_conf:
            mxnet.command("umount", "/etc/resolv.conf")
        want(len(hosts.messages(HERE4)) == 1, "not delivered")
        want(done.took < seconds, f"{done.took} s")
        want(time.monotonic() - before < seconds + 10, "slow")
        return dns
    return test


def half(table, silent):
    """The zone, but one type of question is never answered."""
    answer = zone(table)

    def hook(name, kind):
        return None if kind == silent else answer(name, kind)
    return hook


def silent_family(folder, certificates):
    """no answer for AAAA costs no more than a moment"""
    dns = mxnet.Resolver(half(TABLE, "AAAA"))
    with mxnet.Hosts(folder, certificates).add(HERE4) as hosts:
        done = mxnet.submit(folder, ["b@dest.test"], resolver=dns.where,
                            dns=LOOSE, tls="mta_sts = no").expect(0)
    dns.stop()
    want(len(hosts.messages(HERE4)) == 1 and done.took < 2.5,
         f"{done.took} s")


def silent_relay(folder, certificates):
    """the same for a relay's name"""
    dns = mxnet.Resolver(half({"relay.test A": [HERE4]}, "AAAA"))
    with mxnet.Hosts(folder, certificates).add(HERE4) as hosts:
        done = mxnet.submit(
            folder, ["b@dest.test"], resolver=dns.where,
            more="[route all]\ntransport = relay\n[transport relay]\n"
            "kind = smtp\nhost = relay.test\nno_starttls = yes\n").expect(0)
    dns.stop()
    want(len(hosts.messages(HERE4)) == 1 and done.took < 2.5,
         f"{done.took} s")


def silent_system(folder, certificates):
    """and for one that the system's resolver is asked about; localhost is
    not asked about at all"""
    dns = mxnet.Resolver(half({"relay.test A": [HERE4],
                               "x.localhost A": [HERE4]}, "AAAA"),
                         "192.0.2.53", 53)
    mxnet.system_resolver(folder, "nameserver 192.0.2.53\n")
    relay = ("[route all]\ntransport = relay\n[transport relay]\n"
             "kind = smtp\nhost = {}\nno_starttls = yes\n")
    with mxnet.Hosts(folder, certificates).add(HERE4) as hosts:
        done = mxnet.submit(folder, ["b@dest.test"], resolver="",
                            more=relay.format("relay.test")).expect(0)
        mxnet.submit(folder, ["b@dest.test"], resolver="",
                     more=relay.format("x.localhost")).expect(75)
    dns.stop()
    mxnet.command("umount", "/etc/resolv.conf")
    want(len(hosts.messages(HERE4)) == 1 and done.took < 4,
         f"{done.took} s")
    want(not any("localhost" in name for name, _ in dns.asked), dns.asked)


def losing_one(table):
    """A resolver whose first answer about A is lost; what was lost so far."""
    answer, lost = zone(table), []

    def hook(name, kind):
        if kind == "A" and not lost:
            lost.append(name)
            return None
        return answer(name, kind)
    return mxnet.Resolver(hook), lost


def late_family(folder, certificates):
    """an address that no route leads to is no reason to do without the other
    family's, whose answer was lost on the way once"""
    dns, lost = losing_one({**TABLE, "mx.dest.test AAAA": [FAR6]})
    with mxnet.Hosts(folder, certificates).add(HERE4) as hosts:
        mxnet.submit(folder, ["b@dest.test"], resolver=dns.where,
                     dns=LOOSE, tls="mta_sts = no").expect(0)
    dns.stop()
    want(len(hosts.messages(HERE4)) == 1 and lost, "not delivered")


def late_wanted(folder, certificates):
    """a family that ip_family rules out ends no wait for the other either"""
    dns, lost = losing_one({"relay.test A": [HERE4],
                            "relay.test AAAA": [HERE6]})
    with mxnet.Hosts(folder, certificates).add(HERE4) as hosts:
        mxnet.submit(
            folder, ["b@dest.test"], resolver=dns.where,
            more="[route all]\ntransport = relay\n[transport relay]\n"
            "kind = smtp\nhost = relay.test\nno_starttls = yes\n"
            "ip_family = ipv4\n").expect(0)
    dns.stop()
    want(len(hosts.messages(HERE4)) == 1 and lost, "not delivered")


def other_family(folder, _certificates):
    """a relay without an address of the family is there all the same, whether
    the system knows it or not"""
    dns = mxnet.Resolver(zone({"relay.test AAAA": [HERE6]}))
    none = mxnet.Resolver(zone({}), "192.0.2.53", 53)
    mxnet.system_resolver(folder, "nameserver 192.0.2.53\n")
    mxnet.submit(
        folder, ["b@dest.test"], resolver=dns.where,
        more="[route all]\ntransport = relay\n[transport relay]\n"
        "kind = smtp\nhost = relay.test\nno_starttls = yes\n"
        "ip_family = ipv4\n").expect(75, "relay.test has no IPv4 address")
    dns.stop()
    none.stop()
    mxnet.command("umount", "/etc/resolv.conf")


def servfail(folder, _certificates):
    """SERVFAIL is told as what it is, however often it is said"""
    def answer(name, kind):
        if kind == "AAAA":
            return 2
        return zone({"dest.test MX": [(10, "mx.dest.test")],
                     "mx.dest.test MX": [(1, "x.test")]})(name, kind)
    dns = mxnet.Resolver(answer, again=4)
    for _ in range(4):
        done = mxnet.submit(folder, ["b@dest.test"], resolver=dns.where,
                            dns=LOOSE, tls="mta_sts = no")
        done.expect(75, "SERVFAIL")
    dns.stop()


def distrusted(folder, _certificates):
    """whoever is asked is judged: AD of a resolver elsewhere counts for
    nothing, however resolv.conf is written"""
    table = {**TABLE, "_25._tcp.mx.dest.test TLSA":
             [bytes([3, 1, 1]) + bytes(32)]}
    for blanks in ("", "  ", "\t"):
        dns = mxnet.Resolver(zone(table), "192.0.2.53", 53, ad=True)
        mxnet.system_resolver(folder, f"{blanks}nameserver 192.0.2.53\n")
        done = mxnet.submit(folder, ["b@dest.test"], resolver="", dns=LOOSE,
                            tls="mta_sts = no", arguments=["--explain"])
        dns.stop()
        mxnet.command("umount", "/etc/resolv.conf")
        want("opportunistic" in done.out and "verified" not in done.out,
             done.out + done.err)


def chain(folder, _certificates):
    """a chain of CNAMEs is as authentic as its weakest link"""
    table = {"dest.test CNAME": ["dest2.test"],
             "dest2.test MX": [(10, "mx.test")],
             "mx.test CNAME": ["mx2.test"], "mx2.test A": [HERE4]}
    for name in ("mx", "mx2"):
        table[f"_25._tcp.{name}.test TLSA"] = [bytes([3, 1, 1]) + bytes(32)]
    every = {"dest.test", "dest2.test", "mx.test", "mx2.test",
             "_25._tcp.mx.test", "_25._tcp.mx2.test"}
    for insecure, expected in ((None, "verified"),
                               ("dest.test", "opportunistic"),
                               ("dest2.test", "opportunistic"),
                               ("mx.test", "opportunistic"),
                               ("mx2.test", "opportunistic")):
        dns = mxnet.Resolver(zone(table), ad=every - {insecure})
        done = mxnet.submit(folder, ["b@dest.test"], resolver=dns.where,
                            dns=LOOSE + "\ndnssec = trust",
                            tls="mta_sts = no", arguments=["--explain"])
        dns.stop()
        want(f"TLS {expected}" in done.out, f"{insecure}: {done.out}")


def nobody_there(folder, _certificates):
    """a resolver whose interface is not here is named, and it is no lack of
    a network"""
    mxnet.system_resolver(folder, "nameserver fe80::53%eth9\n")
    done = mxnet.submit(folder, ["b@dest.test"], resolver="",
                        queue=QUEUE.format(folder=folder))
    done.expect(0)
    found = listing(folder)
    mxnet.command("umount", "/etc/resolv.conf")
    want([e["attempts"] > 0 for e in found] == [True], found)
    want("fe80::53%eth9" in done.log, done.log)


TESTS = [
    ("ipv6-alone", bounces(["six.test"], {"six.test AAAA": [FAR6]})),
    ("last-of-several", bounces(
        ["refuses.test", "six.test"],
        {"refuses.test A": ["192.0.2.77"], "six.test AAAA": [FAR6]})),
    ("multicast", bounces(["odd.test"], {"odd.test A": ["224.0.0.1"]})),
    ("failover", failover),
    ("no-route", no_route),
    ("edns-formerr", delivers(edns="formerr", seconds=2)),
    ("edns-notimp", delivers(edns="notimp", seconds=2)),
    ("edns-badvers", delivers(edns="badvers", seconds=2)),
    ("edns-dropped", delivers(edns="drop", seconds=4)),
    ("bare-cname", delivers({
        "dest.test MX": [(10, "mx.dest.test")],
        "mx.dest.test CNAME": ["a.other.test"],
        "a.other.test CNAME": ["b.other.test"],
        "b.other.test A": [HERE4]}, seconds=3)),
    ("link-local", delivers(
        address="fe80::53%hole0", port=53, seconds=3,
        resolv_conf="nameserver fe80::53%hole0\n")),
    ("link-local-key", delivers(
        address="fe80::53%hole0", port=53, seconds=3,
        resolver="fe80::53%hole0")),
    ("silent-family", silent_family),
    ("silent-relay", silent_relay),
    ("late-family", late_family),
    ("late-wanted", late_wanted),
    ("other-family", other_family),
    ("silent-system", silent_system),
    ("servfail", servfail),
    ("distrusted", distrusted),
    ("chain", chain),
    ("nobody-there", nobody_there),
]


if __name__ == "__main__":
    mxnet.isolate()
    # a way out by IPv4, none by IPv6
    mxnet.command("ip", "route", "add", "default", "via", "198.51.100.91",
                  "dev", "hole0")
    mxnet.command("ip", "addr", "add", "fe80::53/64", "dev", "hole0", "nodad")
    sys.exit(harness.tap(TESTS, 1))
