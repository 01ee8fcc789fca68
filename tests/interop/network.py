#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one destination, router or resolver does is no fact about this host:
an address out of reach is an attempt that ends, resolvers with a scope, that
know no EDNS, or that answer half of a question; in namespaces of its own.
Must be root. TAP on standard output; arguments: names of tests."""

import json
import pathlib
import sys
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "support"))
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
            want([e["attempts"] for e in listing(folder)] == [1],
                 listing(folder))
            end = time.monotonic() + 20
            while listing(folder) and time.monotonic() < end:
                run(folder, "-qI", "")
                time.sleep(0.5)
            log = pathlib.Path(folder, "log").read_text()
            want(not listing(folder), f"still there\n{log}")
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


TESTS = [
    ("ipv6-alone", bounces(["six.test"], {"six.test AAAA": [FAR6]})),
    ("last-of-several", bounces(
        ["refuses.test", "six.test"],
        {"refuses.test A": ["192.0.2.77"], "six.test AAAA": [FAR6]})),
    ("multicast", bounces(["odd.test"], {"odd.test A": ["224.0.0.1"]})),
    ("failover", failover),
]


if __name__ == "__main__":
    mxnet.isolate()
    # a way out by IPv4, none by IPv6
    mxnet.command("ip", "route", "add", "default", "via", "198.51.100.91",
                  "dev", "hole0")
    wanted = sys.argv[1:]
    sys.exit(harness.tap([t for t in TESTS
                          if not wanted or t[0] in wanted], 1))
