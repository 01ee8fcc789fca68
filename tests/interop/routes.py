#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes: what --explain --json announces, and what a run then does, by its
log and by the servers that it came to. Every transport has a server of its
own, so that nothing is believed that was not seen."""

import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import mxnet  # noqa: E402
from mxnet import Hosts, submit, want  # noqa: E402

RELAYS = {"one": "192.0.2.21", "two": "192.0.2.22", "three": "192.0.2.23",
          "four": "192.0.2.24", "five": "192.0.2.25"}
MX = "192.0.2.11"
NAMES = {MX: "direct", **{a: n for n, a in RELAYS.items()}}
ZONE = f"""
@ MX 10 mx
sub MX 10 mx
deep.sub MX 10 mx
xn--bcher-kva MX 10 mx
other MX 10 mx
mx A {MX}
"""
TRANSPORTS = "".join(f"[transport {n}]\nkind = smtp\nhost = {a}\n"
                     "no_starttls = yes\n" for n, a in RELAYS.items())
LATER = "on mail\n  reply 451 4.3.0 later\n"
TO = "b@example.test"


def routes(*sections):
    """("name", "key = value", ...) as sections, the transports behind."""
    return "".join(f"[route r{i}]\n" + "\n".join(s) + "\n"
                   for i, s in enumerate(sections)) + TRANSPORTS


def explain(folder, config, recipients, sender, arguments=()):
    r = submit(folder, recipients, more=config, sender=sender,
               arguments=("--explain", "--json", *arguments)).expect(0)
    return json.loads(r.out)


def attempts(rows, recipient):
    """[(attempt, [transports], route)] of what was announced."""
    out = []
    for row in rows:
        if row["recipient"] != recipient:
            continue
        if out and out[-1][0] == row["attempt"]:
            out[-1][1].append(row["transport"])
        else:
            out.append((row["attempt"], [row["transport"]], row["route"]))
    return out


def by_log(result, recipient):
    """The transports of the tries for a recipient, in order."""
    return [w["transport"] for w in result.lines()
            if w.get("to") == f"<{recipient}>" and "transport" in w]


def by_servers(hosts):
    """{recipient: transports that took it}, of accepted RCPTs."""
    out = {}
    for address in NAMES:
        if not hosts.messages(address):
            continue
        for line in hosts.said(address):
            if line[:8] == "RCPT TO:":
                name = re.search("<(.*)>", line).group(1)
                out.setdefault(name, []).append(NAMES[address])
    return out


def taken(folder, certificates, config, recipients, expected,
          sender="a@example.test", failing=(), arguments=(), status=0):
    """Explains and runs; both must give the transports expected,
    {recipient: [of the tries, in order]}."""
    rows = explain(folder, config, recipients, sender, arguments)
    with Hosts(folder, certificates) as h:
        for address, name in NAMES.items():
            h.add(address, LATER if name in failing else "")
        r = submit(folder, recipients, more=config, sender=sender,
                   arguments=arguments).expect(status)
        got = by_servers(h)
    for recipient, names in expected.items():
        announced = [n for _, ns, _ in attempts(rows, recipient) for n in ns]
        want(announced[:len(names)] == names,
             f"{recipient}: announced {announced}, not {names}")
        want(got.get(recipient, []) == ([] if status else names[-1:]),
             f"{recipient}: {got}, not {names[-1:]}")
        want(by_log(r, recipient)[-1] == names[-1],
             f"{recipient}: {r.log}")
    return rows, r


def no_route(folder, certificates):
    """no route at all, or none that matches: direct"""
    taken(folder, certificates, "", [TO], {TO: ["direct"]})
    rows, _ = taken(folder, certificates, routes(
        ("to_domain = elsewhere.test", "transport = one")), [TO],
        {TO: ["direct"]})
    want(rows[0]["route"] is None and "no route matches" in rows[0]["why"] and
         rows[0]["kind"] == "direct", rows)


def empty_transport(folder, certificates):
    """an empty transport, and the word direct: direct delivery"""
    for value in ("transport =", "transport = direct"):
        rows, _ = taken(folder, certificates, routes(
            ("to_domain = example.test", value), ("transport = one",)), [TO],
            {TO: ["direct"]})
        want(rows[0]["route"] == "r0" and rows[0]["hosts"] == [
            "mx.example.test:25"], rows)


def levels(folder, certificates):
    """account before domain before global, each level there and not"""
    account = ("account = work", "transport = one")
    domain = ("domain = example.test", "transport = two")
    common = ("transport = three",)
    section = "[account work]\nfrom = a@example.test\n"
    for mask in range(8):
        # in the wrong order: rank counts, not the place in the file
        chosen = [s for bit, s in ((1, common), (2, domain), (4, account))
                  if mask & bit]
        name = "one" if mask & 4 else "two" if mask & 2 else \
            "three" if mask & 1 else "direct"
        taken(folder, certificates, section + routes(*chosen), [TO],
              {TO: [name]}, arguments=("-a", "work"))


def levels_empty(folder, certificates):
    """an empty transport at a level is an answer, not a way past it"""
    section = "[account work]\nfrom = a@example.test\n"
    levels = [("account = work",), ("domain = example.test",), ()]
    for i in range(3):
        chosen = [level + (f"transport = {'' if j == i else 'five'}",)
                  for j, level in enumerate(levels) if j >= i]
        taken(folder, certificates, section + routes(*reversed(chosen)),
              [TO], {TO: ["direct"]}, arguments=("-a", "work"))


def levels_other(folder, certificates):
    """routes of another account or sender's domain do not match"""
    config = "[account work]\nfrom = a@example.test\n[account home]\n" \
        "from = a@example.test\n" + routes(
            ("account = home", "transport = one"),
            ("domain = elsewhere.test", "transport = two"),
            ("transport = three",))
    taken(folder, certificates, config, [TO], {TO: ["three"]},
          arguments=("-a", "work"))
    taken(folder, certificates, config, [TO], {TO: ["one"]},
          arguments=("-a", "home"))
    taken(folder, certificates, config, [TO], {TO: ["three"]})


def both_keys(folder, certificates):
    """a route with account and domain must match both, and ranks first"""
    config = "[account work]\nuser = root\n" + routes(
        ("domain = example.test", "transport = two"),
        ("account = work", "domain = example.test", "transport = one"))
    taken(folder, certificates, config, [TO], {TO: ["one"]},
          arguments=("-a", "work"))
    taken(folder, certificates, config, [TO], {TO: ["direct"]},
          sender="a@other.example.test", arguments=("-a", "work"))


def file_order(folder, certificates):
    """within a level the first match in the file wins"""
    taken(folder, certificates, routes(
        ("to_domain = elsewhere.test", "transport = one"),
        ("to_domain = example.test", "transport = two"),
        ("to_domain = example.test", "transport = three")), [TO],
        {TO: ["two"]})


def from_domain(folder, certificates):
    """from_domain: the envelope sender's domain, without case"""
    config = routes(("from_domain = EXAMPLE.test", "transport = one"),
                    ("from_domain = .other.example.test", "transport = two"))
    for sender, name in (("a@example.TEST", "one"),
                         ("a@x.other.example.test", "two"),
                         ("a@sub.example.test", "direct")):
        taken(folder, certificates, config, [TO], {TO: [name]}, sender)


def dotted(folder, certificates):
    """.example.test is itself and all below; example.test only itself"""
    tos = ["b@example.test", "b@sub.example.test", "b@deep.sub.example.test",
           "b@EXAMPLE.test"]
    taken(folder, certificates, routes(
        ("to_domain = .example.test", "transport = one")), tos[:3],
        {t: ["one"] for t in tos[:3]})
    taken(folder, certificates, routes(
        ("to_domain = example.test", "transport = one")), tos[:3],
        {tos[0]: ["one"], tos[1]: ["direct"], tos[2]: ["direct"]})
    taken(folder, certificates, routes(
        ("to_domain = .sub.example.test", "transport = one")), tos[:3],
        {tos[0]: ["direct"], tos[1]: ["one"], tos[2]: ["one"]})
    rows = explain(folder, routes(("to_domain = .ample.test",
                                   "transport = one")), tos[:1], "a@b.test")
    want(rows[0]["transport"] == "direct", rows)


def lone_dot(folder, certificates):
    """. matches the null sender and literals, and nothing else"""
    literal = f"b@[{MX}]"
    taken(folder, certificates, routes(("to_domain = .", "transport = one")),
          [TO, literal], {TO: ["direct"], literal: ["one"]})
    config = routes(("from_domain = .", "transport = two"))
    for sender, name in (("", "two"), ("a@[192.0.2.9]", "two"),
                         ("a@example.test", "direct")):
        taken(folder, certificates, config, [TO], {TO: [name]}, sender)


def several_domains(folder, certificates):
    """lists: separated by blanks or commas, repeated, any of them matches"""
    taken(folder, certificates, routes(
        ("to_domain = elsewhere.test, example.test", "to_domain = "
         "x.test other.example.test", "transport = one")),
        [TO, "b@other.example.test", "b@sub.example.test"],
        {TO: ["one"], "b@other.example.test": ["one"],
         "b@sub.example.test": ["direct"]})


def idn(folder, certificates):
    """IDNs: U-labels and A-labels are the same on either side"""
    ace, native = "xn--bcher-kva.example.test", "b\u00fccher.example.test"
    for configured in (ace, native, "B\u00dcCHER.example.test"):
        for given in (ace, native):
            taken(folder, certificates, routes(
                (f"to_domain = {configured}", "transport = one")),
                [f"b@{given}"], {f"b@{ace}": ["one"]})
        taken(folder, certificates, routes(
            (f"from_domain = {configured}", "transport = two")), [TO],
            {TO: ["two"]}, f"a@{native}")


def fourth_attempt(folder, certificates):
    """minimum_attempts = 3: from the fourth attempt on"""
    config = routes(("minimum_attempts = 3", "transport = four"),
                    ("minimum_attempts = 2", "transport = three"),
                    ("minimum_attempts = 1", "transport = two"),
                    ("transport = one",))
    names = ["one", "two", "three", "four"]
    rows, r = taken(folder, certificates, config, [TO], {TO: names},
                    failing=names[:3])
    want(attempts(rows, TO) == [(1, ["one"], "r3"), (2, ["two"], "r2"),
                                (3, ["three"], "r1"), (4, ["four"], "r0")],
         rows)
    want(by_log(r, TO) == names, r.log)


def fourth_alone(folder, certificates):
    """minimum_attempts = 3 alone waits for the queue: 75 after one try"""
    config = routes(("minimum_attempts = 3", "transport = four"),
                    ("transport = one",))
    rows = explain(folder, config, [TO], "a@example.test")
    want(attempts(rows, TO) == [(1, ["one"], "r1"), (4, ["four"], "r0")],
         rows)
    with Hosts(folder, certificates) as h:
        for address, name in NAMES.items():
            h.add(address, LATER if name == "one" else "")
        r = submit(folder, [TO], more=config, sender="a@example.test"
                   ).expect(75)
        want(by_log(r, TO) == ["one"] and not by_servers(h), r.log)


def fourth_by_queue(folder, certificates):
    """minimum_attempts = 3 with the queue: after the third failure, at once"""
    config = routes(("minimum_attempts = 3", "transport = four"),
                    ("transport = one",)) + \
        f"[queue]\nqueue = on_failure\ndirectory = {folder}/queue\n" \
        "schedule = 1h\n"
    os.mkdir(f"{folder}/queue", 0o700)
    log = []
    with Hosts(folder, certificates) as h:
        for address, name in NAMES.items():
            h.add(address, LATER if name == "one" else "")

        def run(*arguments):
            r = submit(folder, [], more=config, sender="a@example.test",
                       arguments=arguments, queue="").expect(0)
            log.extend(by_log(r, TO))
        run("-q")
        run(TO)
        for _ in range(2):
            want(not h.server["192.0.2.24"].record.read_text(), log)
            run("--retry", "ALL")
            run("-q")
        want(log == ["one", "one", "one", "four"], log)
        want(by_servers(h) == {TO: ["four"]}, by_servers(h))


def several_transports(folder, certificates):
    """a list of transports: within one attempt the next is tried"""
    config = routes(("transport = one, two three",))
    rows, r = taken(folder, certificates, config, [TO],
                    {TO: ["one", "two", "three"]}, failing=("one", "two"))
    want(attempts(rows, TO) == [(1, ["one", "two", "three"], "r0")], rows)


def five_recipients(folder, certificates):
    """a sender, five recipients, three-attempt failover: as announced"""
    config = "[account work]\nuser = root\n" + routes(
        ("to_domain = other.example.test", "transport = three"),
        ("domain = example.test", "to_domain = sub.example.test",
         "transport = two"),
        ("account = work", "to_domain = deep.sub.example.test",
         "transport = one"),
        ("minimum_attempts = 2", "to_domain = example.test",
         "transport = five"),
        ("minimum_attempts = 1", "to_domain = example.test",
         "transport = four"),
        ("to_domain = example.test", "transport = three"))
    tos = ["b@example.test", "b@sub.example.test", "b@deep.sub.example.test",
           "b@other.example.test", "b@xn--bcher-kva.example.test"]
    sender = "a@example.test"
    rows = explain(folder, config, tos, sender)
    for failing in ((), ("three",), ("three", "four")):
        with Hosts(folder, certificates) as h:
            for address, name in NAMES.items():
                h.add(address, "on rcpt b@example.test\n  reply 451 4.3.0 "
                      "later\n" if name in failing else "")
            r = submit(folder, tos, more=config, sender=sender).expect(0)
            took = by_servers(h)
        for to in tos:
            announced = [n for _, ns, _ in attempts(rows, to) for n in ns]
            tries = 1 + (len(failing) if to == tos[0] else 0)
            want(by_log(r, to) == announced[:tries],
                 f"{to}: announced {announced}, logged {by_log(r, to)}")
            want(announced[tries - 1] in took[to], f"{to}: {took}")
    want([n for _, ns, _ in attempts(rows, tos[0]) for n in ns] ==
         ["three", "four", "five"], rows)


def overridden(folder, certificates):
    """--transport overrides the routes, and direct is always known"""
    config = routes(("transport = one",))
    for name in ("two", "direct"):
        taken(folder, certificates, config, [TO], {TO: [name]},
              arguments=("--transport", name))


def shape(folder, certificates):
    """--explain --json has its keys and no others; -bv is the same"""
    config = routes(("transport = one",))
    rows = explain(folder, config, [TO], "a@example.test")
    want([sorted(row) for row in rows] == [sorted(
        ["recipient", "attempt", "route", "transport", "kind", "hosts",
         "tls", "why"])], rows)
    want(rows[0]["kind"] == "smtp" and rows[0]["tls"] == "none" and
         rows[0]["hosts"] == [f"{RELAYS['one']}:25"], rows)
    r = submit(folder, [TO], more=config, sender="a@example.test",
               arguments=("-bv", "--json")).expect(0)
    want(json.loads(r.out) == rows, r.out)


def at_a_glance(folder, certificates):
    """--explain for people: each fact once, no colour in a pipe"""
    config = routes(("minimum_attempts = 1", "transport = two"),
                    ("transport = one",))
    r = submit(folder, [TO, "b@[192.0.2.11]"], more=config,
               arguments=("--explain",)).expect(0)
    for word in (TO, "b@[192.0.2.11]", "one", "two", "attempt 1",
                 "attempt 2", "192.0.2.21:25", "route r1"):
        want(word in r.out, f"{word}: {r.out}")
    want("\033" not in r.out and len(r.out.splitlines()) < 20, r.out)


TESTS = [no_route, empty_transport, levels, levels_empty, levels_other,
         both_keys, file_order, from_domain, dotted, lone_dot,
         several_domains, idn, fourth_attempt, fourth_alone, fourth_by_queue,
         several_transports, five_recipients, overridden, shape, at_a_glance]


def main():
    mxnet.isolate("nsd", "unbound")
    with mxnet.scratch() as folder:
        names = mxnet.Names(f"{folder}/names", {"example.test": ZONE})
        status = mxnet.tap(TESTS)
        names.stop()
    return status


if __name__ == "__main__":
    sys.exit(main())
