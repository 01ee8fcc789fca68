#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine that several users share (tests/support/machine.py): alice and bob,
who trust one another as little as posthaste trusts them. Must be root. TAP on
standard output; arguments: names of tests.

TOP_SRCDIR, POSTHASTE, WIRE_SERVER  as for tests/wire/run.py
"""

import json
import os
import pathlib
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import cost  # noqa: E402
import harness  # noqa: E402
import house  # noqa: E402
import machine as shared  # noqa: E402
from hostile import BODY, hostile_entries  # noqa: E402
from entries import head, journal_line, made, made_large  # noqa: E402
from machine import (  # noqa: E402
    CONFIG, DROP, GIDS, IDS, MESSAGE, PREFIX, PROGRAM, QUEUE, ROOT, SECRET,
    Machine, denied, entries, entry, hand_in, listing, log_text, run_as, submit,
    submitted, want)


# --- what setup makes ---

def setup_rights(folder, certificates):
    owner = (IDS["posthaste"], GIDS["posthaste"])
    want(IDS["posthaste"] != 0, "no user of its own")
    for _ in range(2):
        house.command(house.SOURCE / "contrib/setup", QUEUE, DROP)
        for part, mode in (("", 0o755), ("tmp", 0o2770), ("mess", 0o2770),
                           ("corrupt", 0o2770)):
            st = (QUEUE / part).stat()
            want(((st.st_uid, st.st_gid), stat.S_IMODE(st.st_mode)) ==
                 (owner, mode), f"{part}: {st}")
        st = DROP.stat()
        want((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) ==
             (0, owner[1], 0o2755), st)
    line = [line for line in open("/etc/passwd")
            if line.startswith("posthaste:")]
    want(len(line) == 1 and "nologin" in line[0], line)
    members = [line for line in open("/etc/group")
               if line.startswith("posthaste:")]
    want(len(members) == 1 and members[0].strip().endswith(":"), members)


def setup_knows_the_queue(folder, certificates):
    """That of the program, whatever the configuration says or has wrong."""
    elsewhere = ROOT / "elsewhere"
    with Machine(folder, certificates):
        for wrong in (f"[queue]\ndirectory = {elsewhere}\n", "[nonsense]\n"):
            text = CONFIG.read_text()
            CONFIG.write_text(text + wrong)
            said = house.command(house.SOURCE / "contrib/setup", env={
                **house.environment(), "POSTHASTE": str(PROGRAM)})
            want(f"queue {QUEUE}, owner posthaste" in said and
                 not elsewhere.exists(), said)
            CONFIG.write_text(text)


def setup_follows_no_link(folder, certificates):
    roots = pathlib.Path(folder, "roots")
    roots.mkdir(mode=0o755)
    aside = QUEUE / "aside"
    (QUEUE / "tmp").rename(aside)
    (QUEUE / "tmp").symlink_to(roots)
    try:
        subprocess.run([house.SOURCE / "contrib/setup", QUEUE, DROP],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       timeout=60, check=False)
        st = roots.stat()
        want((st.st_uid, stat.S_IMODE(st.st_mode)) == (0, 0o755), st)
    finally:
        (QUEUE / "tmp").unlink()
        aside.rename(QUEUE / "tmp")


def what_to_do_is_said(folder, certificates):
    """A queue that is not there, or has no way in, names its cure."""
    with Machine(folder, certificates):
        aside = QUEUE.with_name("aside")
        QUEUE.rename(aside)
        try:
            for user, argv, wanted in (("alice", ["-i", "b@example.org"], 73),
                                       ("posthaste", ["-q"], 73),
                                       ("alice", ["-q"], 73)):
                status, _, err = run_as(user, [PROGRAM, *argv], MESSAGE)
                want(status == wanted and str(QUEUE) in err and
                     "contrib/setup, run as root, makes it" in err,
                     (user, argv, status, err))
        finally:
            aside.rename(QUEUE)
        mode = stat.S_IMODE(DROP.stat().st_mode)
        DROP.chmod(0)
        try:
            status, _, err = submit("alice")
            want(status == 73 and "contrib/setup" in err, (status, err))
        finally:
            DROP.chmod(mode)


# --- the machine's password ---

def the_machines_password(folder, certificates):
    usual = PREFIX / "etc/posthaste/relay.password"
    theirs = ROOT / "home/posthaste/keys/secret"
    for place, key in ((usual, "\n"), (theirs, f"password_file = {theirs}")):
        aside = pathlib.Path(folder, place.name)
        aside.mkdir()
        with Machine(aside, certificates, password=key) as machine:
            for user in ("alice", "posthaste"):
                if user == "posthaste" and place == theirs:
                    continue
                status, out, err = run_as(
                    user, [PROGRAM, "--store-password", "relay"], b"no\n")
                want((status, out) in ((77, ""), (73, "")) and
                     str(place) in err, (user, status, out, err))
            if place == theirs:
                theirs.parent.mkdir()
                os.chown(theirs.parent, *[IDS["posthaste"]] * 2)
            for word in ("old", "pencil"):
                done = run_as("root", [PROGRAM, "--store-password", "relay"],
                              word.encode())
                want(done == (0, "", ""), done)
            st = place.stat()
            want((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) ==
                 (IDS["posthaste"], GIDS["posthaste"], 0o600), st)
            denied("alice", f"open({str(place)!r}).read()")
            submit("alice")
            machine.drain()
            want([e["from"] for e in machine.messages()] ==
                 ["alice@example.test"], machine.messages())
    want(stat.S_IMODE(usual.parent.stat().st_mode) == 0o755 and
         usual.parent.stat().st_uid == 0, usual.parent.stat())
    shutil.rmtree(usual.parent)
    shutil.rmtree(theirs.parent)


# --- who sees what ---

def nobody_reads_anothers_mail(folder, certificates):
    with Machine(folder, certificates):
        ids = {user: submitted(user) for user in ("alice", "bob")}
        for user, identity in ids.items():
            st = entry(identity).stat()
            want((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) ==
                 (IDS[user], GIDS["posthaste"], 0o660), st)
            for other in ("alice", "bob"):
                path = str(entry(identity))
                for code in (f"open({path!r}).read()",
                             f"open({path!r}, 'a')",
                             f"os.unlink({path!r})",
                             f"os.chmod({path!r}, 0o666)",
                             f"os.link({path!r}, '/tmp/x')",
                             f"os.truncate({path!r}, 0)"):
                    denied(other, code)
        for part in ("mess", "tmp", "corrupt"):
            denied("alice", f"os.listdir({str(QUEUE / part)!r})")
            denied("alice", f"open({str(QUEUE / part / 'new')!r}, 'w')")
        denied("alice", f"open({str(QUEUE / 'new')!r}, 'w')")
        denied("alice", f"open({str(SECRET)!r}).read()")
        denied("bob", f"os.rename({str(QUEUE / 'mess')!r}, "
               f"{str(QUEUE / 'x')!r})")


def mailq_shows_ones_own(folder, certificates):
    with Machine(folder, certificates):
        want(run_as("alice", [PROGRAM.parent / "mailq"])[1] ==
             "Mail queue is empty\n", "not empty")
        ids = {user: submitted(user) for user in ("alice", "bob")}
        for user, identity in ids.items():
            want(listing(user) == {identity}, f"{user}: {listing(user)}")
            text = run_as(user, [PROGRAM.parent / "mailq"])[1]
            want(identity in text and "in 1 Request" in text and
                 f"{user}@example.test" in text, text)
        for user in ("root", "posthaste"):
            want(listing(user) == set(ids.values()), listing(user))
        status, out, _ = run_as("alice", [PROGRAM, "--show", ids["bob"]])
        want(status == 66 and "eyes" not in out, (status, out))
        status, out, err = run_as("alice", [PROGRAM, "--show", ids["alice"]])
        want(status == 0 and not err and ids["alice"] in out and
             "recipient: <b@example.org>" in out and "queued: " in out,
             (status, out, err))


def health_is_of_what_one_sees(folder, certificates):
    """--health says nothing of what is others', and says that."""
    with Machine(folder, certificates):
        for user in ("alice", "alice", "bob"):
            submitted(user)
        (QUEUE / "corrupt/x").write_text("x")
        for user, words, more in (("bob", "1 message of yours waits", False),
                                  ("root", "3 messages wait", True)):
            _, out, _ = run_as(user, [PROGRAM, "--health", "--json"])
            checks = {c["check"]: c["text"]
                      for c in json.loads(out)["checks"]}
            want(checks["queue"] == words and
                 ("damaged" in checks) == ("unreadable" in checks) == more,
                 (user, checks))


def only_ones_own_is_administered(folder, certificates):
    with Machine(folder, certificates):
        mine, theirs = submitted("alice"), submitted("bob")
        untouched = entry(theirs).read_bytes()
        for order in ("--hold", "--release", "--remove", "--retry",
                      "--show"):
            status, _, err = run_as("alice", [PROGRAM, order, theirs])
            want(status in (66, 77) and err, (order, status, err))
            want(entry(theirs).name == f"{theirs},0", order)
        for bad in ("../mess/" + theirs, theirs + ",0", "*", "", "."):
            status, _, _ = run_as("alice", [PROGRAM, "--remove", bad])
            want(status in (64, 66, 77), (bad, status))
        for order in ("--hold", "--release", "--retry"):
            done = run_as("alice", [PROGRAM, order, mine])
            want(done == (0, "", ""), (order, done))
            held = entry(mine).name.endswith(",h")
            want(held == (order == "--hold"), order)
        want(entry(theirs).read_bytes() == untouched, "it was changed")
        done = run_as("alice", [PROGRAM, "--remove", "ALL"])
        want(done == (0, "", ""), done)
        want(listing("root") == {theirs}, listing("root"))
        done = run_as("root", [PROGRAM, "--hold", theirs])
        want(done == (0, "", ""), done)
    want(entry(theirs).name.endswith(",h"), entry(theirs))


# --- the runner ---

def delivered_by(user):
    def test(folder, certificates):
        with Machine(folder, certificates) as machine:
            submitted("alice")
            submitted("bob", to="c@example.org")
            machine.drain(user)
            want(not entries(), f"{entries()}\n{log_text()}")
            messages = machine.messages()
            want({(m["from"], m["to"][0]) for m in messages} ==
                 {("alice@example.test", "b@example.org"),
                  ("bob@example.test", "c@example.org")}, messages)
            auth = [e for e in machine.events if e["event"] == "auth"]
            want(auth and all(e["mechanism"].startswith("SCRAM-SHA-256")
                              for e in auth), auth)
            owner = (QUEUE / "last-run").stat().st_uid
            want(owner == IDS["posthaste"], f"last-run of {owner}")
            text = log_text()
            for name in ("alice", "bob"):
                want(f"uid={IDS[name]} " in text, text)
    return test


def root_steps_down(folder, certificates):
    who = ROOT / "who"
    who.write_text("")
    who.chmod(0o666)
    command = f"(id -u; id -G) >{who}; cat {SECRET}"
    with Machine(folder, certificates,
                 password=f"password_command = {command}") as machine:
        submitted("alice")
        machine.drain("root")
        want(who.read_text().split() ==
             [str(IDS["posthaste"]), str(GIDS["posthaste"])],
             who.read_text())
        want(len(machine.messages()) == 1, "not one")


def root_submits_as_the_owner(folder, certificates):
    with Machine(folder, certificates):
        identity = submitted("root", "-odq")
        st = entry(identity).stat()
        want(st.st_uid == IDS["posthaste"], st)


def callers_run_no_queue(folder, certificates):
    with Machine(folder, certificates) as machine:
        submitted("alice")
        status, _, err = run_as("alice", [PROGRAM, "-q"])
        want(status == 77 and "owner" in err, (status, err))
        want(not machine.messages() and len(entries()) == 1, "sent")


# --- entries as somebody else wrote them ---



def owner_decides_not_the_entry(folder, certificates):
    with Machine(folder, certificates) as machine:
        submitted("alice", "-a", "bob", "-f", "bob@example.test")
        done = hand_in("alice", made(head(
            IDS["bob"], b"bob@example.test", more=b"account bob\n"), BODY))
        want(done[0] == 0, done)
        done = hand_in("alice", made(head(0, b"root@example.test"), BODY))
        want(done[0] == 0, done)
        machine.drain()
        messages = machine.messages()
        want([m["from"] for m in messages] == ["alice@example.test"] * 3,
             messages)
        sent = [line for line in log_text().splitlines()
                if "status=sent" in line]
        want(len(sent) == 3 and all("account=alice" in line and
             f"uid={IDS['alice']} " in line for line in sent), sent)


def ones_own_account_by_name(folder, certificates):
    """-a means the same with the queue and without, where the account is
    the caller's; any other one's name does not count."""
    mine = ("[account work]\nuser = alice\nfrom = work@example.test\n"
            "force_from = yes\n[account open]\nfrom = open@example.test")
    with Machine(folder, certificates, general=mine) as machine:
        # after all others, so that only its name leads to it
        text = CONFIG.read_text()
        text = text.replace(mine, "").replace("[route all]",
                                              mine + "\n[route all]")
        CONFIG.write_text(text)
        for name in ("work", "open", "bob", "alice"):
            submitted("alice", "-a", name, "-f", "x@example.test")
        machine.drain()
        want([m["from"] for m in machine.messages()] ==
             ["work@example.test"] + ["alice@example.test"] * 3,
             machine.messages())
        text = log_text()
        for name, count in (("work", 0), ("open", 1), ("bob", 1),
                            ("alice", 0)):
            want(text.count(f"account {name} is not this user's") == count,
                 text)


def anybodys_account_stays(folder, certificates):
    """An account that a sender alone led to keeps its routes in the queue,
    though what it made of the sender does not lead to it again; by its name
    nobody gets past an account of his own that takes every sender, nor to a
    sender that his own would not leave him."""
    first = ("[account news]\nmatch_from = news@example.test\n"
             "from = robot@example.test\nforce_from = yes\n"
             "[account lax]\nmatch_from = lax@example.test\n"
             "from = lax+%u@example.test\n")
    last = "[account late]\nmatch_from = late@example.test\n"
    with Machine(folder, certificates, general=first) as machine:
        text = CONFIG.read_text()
        CONFIG.write_text(
            text.replace("[route all]", last + "[route news]\n"
                         "account = news\ntransport = gone\n[route all]") +
            "[transport gone]\nkind = discard\n")
        identity = submitted("alice", "-f", "news@example.test")
        for name, sender in (("lax", "lax"), ("lax", "bob"), ("late", "late"),
                             ("bob", "x")):
            submitted("alice", "-a", name, "-f", f"{sender}@example.test")
        machine.drain()
        lines = [line for line in log_text().splitlines()
                 if f"id={identity} " in line and "status=sent" in line]
        want(len(lines) == 1 and "account=news " in lines[0] and
             "transport=gone " in lines[0] and
             "from=<robot@example.test> " in lines[0], log_text())
        want(sorted(m["from"] for m in machine.messages()) ==
             ["alice@example.test"] * 2 +
             ["lax+alice@example.test", "lax@example.test"],
             machine.messages())


def hostile_entries_do_no_harm(folder, certificates):
    with Machine(folder, certificates) as machine:
        taken = 0
        for data in hostile_entries():
            status, out, err = hand_in("alice", data)
            want(status in (0, 64, 65) and "\0" not in err and
                 (status == 0) == bool(out), (data[:200], status, out, err))
            taken += status == 0
        want(taken, "nothing was taken")
        want(not entries("tmp"), entries("tmp"))
        mine = submitted("bob", to="good@example.org")
        machine.drain()
        for _ in range(2):
            run_as("posthaste", [PROGRAM, "-qI", ""])
        messages = machine.messages()
        want(any(m["to"] == ["good@example.org"] for m in messages),
             "bob's message waits")
        want(mine not in " ".join(entries()), entries())
        want(all(m["from"] in ("alice@example.test", "bob@example.test", "")
                 for m in messages), {m["from"] for m in messages})
        odd = [to for m in messages for to in m["to"]
               if to == "x@example.org" or "\r" in to or "\n" in to]
        want(not odd, f"smuggled in: {odd}")
        for m in messages:
            text = machine.relay.message(m)
            want(b"Bcc:" not in text and b"\0" not in text, text[:300])
            want(not re.search(rb"\r(?!\n)|(?<!\r)\n", text), text[:300])
        # what cannot be sent is out of the way, and everything is said
        want(run_as("root", [PROGRAM, "-bp"])[0] == 0, "-bp")
        want(not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", log_text()),
             "control characters in the log")


def size_is_judged_once(folder, certificates):
    """The completed message's, when it is accepted and never again."""
    page = b"Subject: s\nContent-Type: text/html\n\n"
    short = b"Subject: s\n\n" + b"x" * 60 + b"\n"
    short += (b"y" * 61 + b"\n") * ((100 * 1024 - 20 - len(short)) // 63)
    too_large = [short, page + b"=" * 40000 + b"\n"]
    fine = [page + b"=" * 20000 + b"\n",
            b"Bcc: " + b",\n c@example.org" * 4000 + b"\n" +
            (b"Subject: s\n\n" + (b"z" * 60 + b"\n") * 1000)]
    with Machine(folder, certificates,
                 general="max_message_size = 100K") as machine:
        for message in too_large:
            status, out, err = submit("alice", message=message)
            want(status == 65 and not out and "larger" in err,
                 (len(message), status, err))
        want(not entries(), entries())
        for message in fine:
            submitted("alice", message=message)
        for message in too_large:
            want(hand_in("bob", made(head(1), message))[0] == 0, "helper")
        machine.drain()
        want(not entries() and not entries("corrupt"),
             (entries(), entries("corrupt")))
        senders = [m["from"] for m in machine.messages()]
        want(sorted(senders) == ["alice@example.test"] * 2 +
             ["bob@example.test"] * 2, senders)


def what_cannot_be_sent_is_reported(folder, certificates):
    """Whatever was accepted and can be read: its sender is told, by the way
    of his own account."""
    bad = {"nul": made(head(1), b"Subject: a\0b\n\nx\n"),
           "loop": made(head(1), b"Received: x\n" * 60 + b"\nx\n"),
           "one": made(head(1, rcpt=b"no%20address"), BODY),
           "account": made(head(1, more=b"account ops\n"),
                           b"Received: x\n" * 60 + b"\nx\n"),
           "sender": made(head(1, sender=b"what@@ever",
                               rcpt=b"no%20address"), BODY)}
    with Machine(folder, certificates) as machine:
        with open(CONFIG, "a") as config:
            config.write("[account ops]\n[route ops]\naccount = ops\n"
                         "transport = no\n[transport no]\nkind = fail\n")
        for data in bad.values():
            want(hand_in("alice", data)[0] == 0, data[:200])
        data = made(head(1, more=b"rcpt no%20address\n"
                         b"rcpt b@EXAMPLE.org\n"), BODY)
        want(hand_in("bob", data)[0] == 0, "bob's")
        machine.drain()
        want(not entries() and not entries("corrupt"),
             (entries(), entries("corrupt"), log_text()))
        messages = machine.messages()
        reports = sorted(m["to"] for m in messages if not m["from"])
        want(reports == [["alice@example.test"]] * len(bad) +
             [["bob@example.test"]], (messages, log_text()))
        sent = [m["to"] for m in messages if m["from"]]
        want(sent == [["b@example.org"]], sent)
        for m in messages:
            want(b"\0" not in machine.relay.message(m), "NUL")
        want("account=ops" not in log_text(), log_text())


def giant_claims(folder, certificates):
    with Machine(folder, certificates):
        for claim in (1 << 31, 1 << 40, (1 << 62) - 1, 1 << 63, -1):
            status, _, err = hand_in("alice", b"x", claimed=claim)
            want(status in (64, 65) and err, (claim, status, err))
        data = b"posthaste-queue 1\n" + b"uid 1\n" * 6000000
        want(hand_in("alice", data)[0] == 65, "an endless envelope")
        for when in ("x", "-1", "99999999999999999999", "0,0", "../x", ""):
            status, _, err = hand_in("alice", made(head(1), BODY), when)
            want(status == 64, (when, status, err))
        for argv in ([], ["write"], ["list", "x"], ["hold"],
                     ["withdraw", "../x"], ["hold", "."],
                     ["retry", "x", "y", "z"], ["--help"]):
            status, _, err = run_as("alice", [DROP, *argv])
            want(status in (64, 66) and err, (argv, status, err))
        want(not entries() and not entries("tmp"), "something was left")


# --- the surroundings of posthaste-drop ---

def evil_library(folder):
    """A library whose loading leaves a mark, if a compiler is here."""
    source, library = f"{folder}/evil.c", f"{folder}/evil.so"
    mark = ROOT / "evil-was-here"
    pathlib.Path(source).write_text(
        "#include <fcntl.h>\n__attribute__((constructor)) void f(void)\n"
        f'{{ open("{mark}", O_CREAT | O_WRONLY, 0666); }}\n')
    house.command(*os.environ.get("CC", "cc").split(), "-shared", "-fPIC",
                  "-o", library, source)
    for path in (folder, pathlib.Path(folder).parent):
        os.chmod(path, 0o755)
    return library, mark


def environment_does_not_reach_it(folder, certificates):
    library, mark = evil_library(folder)
    where = str(pathlib.Path(library).parent)
    os.chmod(ROOT, 0o1777)
    with Machine(folder, certificates):
        run_as("alice", ["true"], env={"LD_PRELOAD": library})
        want(mark.exists(), "the library does nothing")
        mark.unlink()
        for extra in ({"LD_PRELOAD": library}, {"LD_AUDIT": library},
                      {"LD_LIBRARY_PATH": where, "LD_PRELOAD": "evil.so"},
                      {"GCONV_PATH": where, "LC_ALL": "en_US.X"},
                      {"TZ": "/etc/shadow"}, {"TZ": ":" + "x" * 100000},
                      {"MALLOC_ARENA_MAX": "0", "MALLOC_PERTURB_": "255",
                       "GLIBC_TUNABLES": "glibc.malloc.perturb=255"},
                      {"LD_DEBUG": "all", "LD_DEBUG_OUTPUT": f"{where}/o"},
                      {"TMPDIR": "/nowhere", "HOME": "", "IFS": "x"}):
            status, out, err = hand_in("alice", made(head(1), BODY),
                                       env=extra)
            want(status == 0 and (not err or "LD_PRELOAD" in err),
                 (extra, status, err))
            want(not mark.exists(), f"loaded: {extra}")
            want(stat.S_IMODE(entry(out.strip()).stat().st_mode) == 0o660,
                 "mode")
    os.chmod(ROOT, 0o755)


def limits_do_not_reach_it(folder, certificates):
    def limit(which, n, hard=None):
        return lambda: resource.setrlimit(which, (n, hard or n))

    ways = {
        "umask": lambda: os.umask(0o777),
        "fsize": limit(resource.RLIMIT_FSIZE, 10),
        "fsize 0": limit(resource.RLIMIT_FSIZE, 0),
        "soft fsize": limit(resource.RLIMIT_FSIZE, 10,
                            resource.RLIM_INFINITY),
        "nofile": limit(resource.RLIMIT_NOFILE, 5),
        "nofile 8": limit(resource.RLIMIT_NOFILE, 8),
        "as": limit(resource.RLIMIT_AS, 1 << 20),
        "stack": limit(resource.RLIMIT_STACK, 1 << 14),
        "soft stack": limit(resource.RLIMIT_STACK, 1 << 17,
                            resource.RLIM_INFINITY),
        "soft data": limit(resource.RLIMIT_DATA, 1 << 19,
                           resource.RLIM_INFINITY),
        "cpu": limit(resource.RLIMIT_CPU, 1),
        "nice": lambda: os.nice(19),
        "signals": lambda: signal.pthread_sigmask(
            signal.SIG_BLOCK, range(1, 32)),
        "alarm": lambda: signal.alarm(1),
        "no 0": lambda: os.close(0), "no 1": lambda: os.close(1),
        "no 2": lambda: os.close(2), "none": lambda: os.closerange(0, 3),
        "root": lambda: os.chdir("/proc"),
    }
    whole = made(head(1), BODY * 1000)
    with Machine(folder, certificates) as machine:
        for name, before in ways.items():
            had = set(entries())
            status, out, _ = hand_in("alice", whole, before=before)
            new = set(entries()) - had
            want(len(new) == (1 if status == 0 else 0) or
                 name in ("no 1", "none"), f"{name}: {status} {new}")
            for path in new:
                data = (QUEUE / "mess" / path)
                want(data.read_bytes().startswith(whole), name)
                want(stat.S_IMODE(data.stat().st_mode) == 0o660, name)
            if name in ("umask", "soft fsize", "soft stack", "soft data",
                        "signals", "alarm", "root", "nice"):
                want(status == 0, (name, status))
        machine.drain()
        want(not entries("tmp"), entries("tmp"))
        want(not entries(), entries())


def handing_in_is_cheap(folder, certificates):
    """System calls of both programs, without the loader's."""
    most = 175
    trace = pathlib.Path(folder, "trace")
    with Machine(folder, certificates):
        status, out, _ = harness.finish(harness.start(
            ["strace", "-ff", "-y", "-u", "alice", "-o", str(trace),
             str(PROGRAM), "-i", "-odq", "b@example.org"], cwd="/",
            env={"PATH": harness.PATH, "HOME": f"{ROOT}/home/alice",
                 "TZ": "UTC0"}), MESSAGE, 60)
        want((status, out) == (0, b""), (status, out))
        want(len(entries()) == 1, entries())
    made, _ = cost.calls(trace)
    want(made <= most, f"{made} system calls, not {most}")
    return [f"{made} system calls"]


class Half:
    """A posthaste-drop of alice's in the middle of its input."""

    def __init__(self):
        self.data = b"posthaste-drop 1 %d\n"
        whole = made(head(1), BODY * 5000)
        self.data = b"posthaste-drop 1 %d\n" % len(whole) + whole

        def prepare():
            os.setgroups([])
            os.setresgid(*[GIDS["alice"]] * 3)
            os.setresuid(*[IDS["alice"]] * 3)
        self.child = subprocess.Popen(
            [DROP, "write", "0"], stdin=subprocess.PIPE, cwd="/",
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={},
            preexec_fn=prepare)
        self.child.stdin.write(self.data[:100000])
        self.child.stdin.flush()
        harness.eventually(lambda: entries("tmp"), "a file to write in", 10)

    def signal(self, number):
        done = run_as("alice", ["sh", "-c",
                                f"kill -{number} {self.child.pid}"])
        want(done[0] == 0, done)

    def finish(self):
        self.child.stdin.write(self.data[100000:])
        out, err = self.child.communicate(timeout=30)
        return self.child.returncode, out.decode(), err.decode()

    def kill(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.communicate()


def stopped_in_the_middle(folder, certificates):
    with Machine(folder, certificates) as machine:
        half = Half()
        try:
            half.signal("STOP")
            submitted("bob")
            begin = time.monotonic()
            machine.drain()
            want(time.monotonic() - begin < 5, "the runner waited")
            want(len(entries("tmp")) == 1, "a living writer was swept")
            proc = f"/proc/{half.child.pid}"
            denied("alice", f"open('{proc}/mem', 'rb').read(1)")
            denied("alice", f"os.listdir('{proc}/fd')")
            denied("alice", f"os.listdir('{proc}/cwd/'); "
                   f"os.readlink('{proc}/cwd')")
            denied("alice", f"open('{proc}/environ', 'rb').read(1)")
            half.signal("CONT")
            status, out, err = half.finish()
            want(status == 0 and out.strip(), (status, out, err))
            machine.drain()
            want(not entries(), entries())
            want(len(machine.messages()) == 2, "not two")
        finally:
            half.kill()


def killed_in_the_middle(folder, certificates):
    with Machine(folder, certificates) as machine:
        half = Half()
        half.signal("KILL")
        half.kill()
        want(len(entries("tmp")) == 1, "a leftover was expected")
        machine.drain()
        want(not entries("tmp") and not entries(), "it was not swept")
        want(not machine.messages(), "half a message was sent")


# --- bounds ---

def full_disk(folder, certificates):
    house.command("mount", "-t", "tmpfs", "-o",
                  "size=2m,nr_inodes=200,mode=755", "tmpfs", QUEUE)
    try:
        house.command(house.SOURCE / "contrib/setup", QUEUE, DROP)
        with Machine(folder, certificates) as machine:
            status, _, err = submit("alice",
                                    message=MESSAGE + b"x\n" * 2000000)
            want(status == 73 and "full" in err, (status, err))
            want(not entries() and not entries("tmp"), "a leftover")
            answers = []
            for _ in range(40):
                status, _, err = submit("alice",
                                        message=MESSAGE + b"x\n" * 50000)
                answers.append(status)
            want(set(answers) == {0, 73}, answers)
            taken = answers.count(0)
            st = os.statvfs(QUEUE / "mess")
            want(st.f_bavail >= st.f_blocks // 25, "nothing was left free")
            want(len(entries()) == taken and not entries("tmp"), "count")
            machine.drain()
            want(not entries() and len(machine.messages()) == taken, "lost")
            # a flood of small ones stops before the inodes are gone
            for _ in range(220):
                status, _, err = hand_in("alice", made(head(1), BODY))
                if status:
                    break
            want(status == 73 and "full" in err, (status, err))
            st = os.statvfs(QUEUE / "mess")
            want(st.f_favail >= 5, f"{st.f_favail} inodes left")
    finally:
        house.command("umount", "--lazy", QUEUE)


def room_is_taken_first(folder, certificates):
    """Whatever is announced at once, a twentieth stays free."""
    house.command("mount", "-t", "tmpfs", "-o", "size=200m,nr_inodes=1000",
                  "tmpfs", QUEUE)
    try:
        house.command(house.SOURCE / "contrib/setup", QUEUE, DROP)
        with Machine(folder, certificates):
            body = BODY + b"x" * (60 << 20)
            whole = made_large(body)
            helpers = []
            for _ in range(4):
                before = os.statvfs(QUEUE)
                helper = subprocess.Popen(
                    [DROP, "write", "0"], stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                    cwd="/", user=IDS["alice"], group=GIDS["alice"],
                    extra_groups=[])
                helper.stdin.write(b"posthaste-drop 1 %d\n" % len(whole) +
                                   whole[:1000])
                helper.stdin.flush()
                helpers.append(helper)
                # two that look at once may both find too little
                end = time.monotonic() + 20
                while (time.monotonic() < end and helper.poll() is None and
                       (before.f_bavail - os.statvfs(QUEUE).f_bavail) *
                       before.f_frsize < 60 << 20):
                    time.sleep(0.01)
            end = time.monotonic() + 20
            while (time.monotonic() < end and
                   len([h for h in helpers if h.poll() is None]) > 3):
                time.sleep(0.05)
            want([h.poll() for h in helpers].count(73) == 1,
                 [h.poll() for h in helpers])
            st = os.statvfs(QUEUE)
            want(st.f_bavail >= st.f_blocks // 20, "no twentieth is free")
            submitted("bob")
            for helper in helpers:
                if helper.poll() is None:
                    helper.stdin.write(whole[1000:])
                helper.communicate()
            want([h.returncode for h in helpers].count(0) == 3, "the rest")
            want(len(entries()) == 4 and not entries("tmp"), "entries")
    finally:
        house.command("umount", "--lazy", QUEUE)


def status_and_queue_agree(folder, certificates):
    """An id that cannot be told: 74, and nothing is kept."""
    with Machine(folder, certificates):
        data = made(head(1), BODY)
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [DROP, "write", "0"], stdout=full, stderr=subprocess.PIPE,
                input=b"posthaste-drop 1 %d\n" % len(data) + data, cwd="/",
                user=IDS["alice"], group=GIDS["alice"], extra_groups=[],
                timeout=30, check=False)
        want(done.returncode == 74 and done.stderr, done)
        want(not entries() and not entries("tmp"), entries())


def what_the_runner_refuses_is_not_taken(folder, certificates):
    odd = ["\u009b31mRED@example.org", "a\u202eb@example.org",
           "a\u2066b@example.org", "a\u200fb@example.org"]
    with Machine(folder, certificates):
        for text in odd + [b"\xff@example.org"]:
            text = text.encode() if isinstance(text, str) else text
            for data in (made(head(1, sender=text), BODY),
                         made(head(1, rcpt=text), BODY),
                         made(head(1, more=b"account " + text + b"\n"),
                              BODY)):
                status, out, err = hand_in("alice", data)
                want(status == 65 and not out and err.isascii(),
                     (text, status, out, err))
        for many in (65536, 65537, 1000000):
            data = made_large(BODY, b"rcpt a\n" * (many - 1))
            want(hand_in("alice", data)[0] == (0 if many == 65536 else 65),
                 f"{many} recipients")
        want(len(entries()) == 1 and not entries("tmp"), entries())
        want(run_as("alice", [PROGRAM, "--remove", "ALL"]) == (0, "", ""),
             "--remove ALL")
        ahead = made(b"queued 9223372036854775807\nuid 1\n"
                     b"sender a@example.org\nrcpt b@example.org\n", BODY)
        want(hand_in("alice", ahead)[0] == 65, "years ahead")


def an_entry_stays_its_users(folder, certificates):
    """Also once its journal was written anew, by the queue's owner."""
    with Machine(folder, certificates) as machine:
        lines = b"".join(journal_line(
            f"deferred 0 attempts={n} stage=rcpt exit=75 code=450 "
            f"text={'later ' * 70}", int(time.time()))
            for n in range(1, 400))
        data = made(head(IDS["bob"], b"bob@example.test", more=b"cause x\n"),
                    BODY, lines)
        mine = hand_in("alice", data, "h")[1].strip()
        path = entry(mine)
        want(path.stat().st_uid == IDS["alice"], "whose")
        size = path.stat().st_size
        # nothing listens: the attempt fails, on a journal of its own
        machine.stop()
        run_as("alice", [PROGRAM, "--release", mine])
        machine.drain()
        want(entry(mine).stat().st_size < size // 10, "not written anew")
        want(entry(mine).stat().st_uid == IDS["posthaste"], "whose file")
        want(listing("alice") == {mine} and not listing("bob"), "whose")
        status, out, err = run_as("alice", [PROGRAM, "--show", mine])
        want(status == 0 and "sender: <alice@example.test>" in out or
             "sender: <bob@example.test>" in out, (status, out, err))
        for order in ("--hold", "--release", "--retry"):
            want(run_as("alice", [PROGRAM, order, mine]) == (0, "", ""),
                 order)
            want(run_as("bob", [PROGRAM, order, mine])[0] == 66, order)
        sent = [line for line in log_text().splitlines() if mine in line]
        want(sent and all(f"uid={IDS['alice']} " in line and
                          "account=alice" in line for line in sent), sent)
        want(run_as("alice", [PROGRAM, "--remove", mine]) == (0, "", ""),
             "--remove")
        want(not entries(), entries())


# --- whose transports ---

def transports_stay_within_the_routes(folder, certificates):
    """What only bob's routes lead to, alice does not get by --transport, nor
    by an entry that she made herself."""
    with Machine(folder, certificates) as machine:
        with open(CONFIG, "a") as config:
            config.write("[route bob]\naccount = bob\ntransport = bobs\n"
                         "[transport bobs]\nkind = fail\n")
        submitted("alice", "--transport", "bobs")
        status, _, err = hand_in("alice", made(
            head(1, more=b"transport bobs\n"), BODY))
        want(status == 0, err)
        identity = submitted("alice")
        done = run_as("alice", [PROGRAM, "--retry", identity, "--transport",
                                "bobs"])
        want(done[0] in (0, 64), done)
        machine.drain()
        want(not entries(), entries())
        want(len(machine.messages()) == 3, machine.messages())
        want("transport=bobs" not in log_text() and
             "no route of this user" in log_text(), log_text())


def the_owner_orders_any_way(folder, certificates):
    """What root orders for another's mail needs no route of his, and nobody
    else can say that root did."""
    with Machine(folder, certificates) as machine:
        with open(CONFIG, "a") as config:
            config.write("[route bob]\naccount = bob\ntransport = bobs\n"
                         "[transport bobs]\nkind = fail\n")
        status, _, err = hand_in("alice", made(
            head(1), BODY, journal_line("owner-transport bobs")))
        want(status == 0, err)
        machine.drain()
        want(not entries() and "transport=bobs" not in log_text(),
             (entries(), log_text()))
        for order in ("one", "all"):
            identity = submitted("alice")
            done = run_as("root", [
                PROGRAM, "--retry", identity if order == "one" else "ALL",
                "--transport", "bobs"])
            want(done == (0, "", ""), done)
            machine.drain()
            line = [line for line in log_text().splitlines()
                    if f"id={identity} " in line][-1]
            want("transport=bobs" in line and "status=failed" in line, line)
            want(not entries(), entries())
        # his first, and two reports
        want(len(machine.messages()) == 3, machine.messages())


def parameters_are_held_to_the_command_lines(folder, certificates):
    """An ENVID that no command line would take does not go on."""
    with Machine(folder, certificates) as machine:
        for number, envid in enumerate((b"A" * 100, b"A" * 101, b"a+07b")):
            status, _, err = hand_in("alice", made(
                head(1, more=b"envid " + envid + b"\n"), BODY))
            want(status == 0, (number, err))
        machine.drain()
        found = sorted(m["params"].partition("ENVID=")[2].split(" ")[0]
                       for m in machine.messages())
        want(found == ["", "", "A" * 100], found)


def what_only_the_owner_can_send_is_his(folder, certificates):
    """With queue = on_failure, a caller who may not read what it takes to
    send makes no attempt, and nothing has failed."""
    def queued_without_an_attempt():
        status, out, err = submit("alice", "--dry-run")
        words = " ".join(out.split())
        want(status == 0 and not err and
             "queued for the queue's owner" in words and
             ("no signature is shown" in words) ==
             ("dkim_key" in CONFIG.read_text()), (status, out, err))
        for mode in (), ("-odi",):
            identity = submitted("alice", *mode)
            want(entry(identity).name == f"{identity},0", entry(identity))
        want("status=queued" in log_text() and
             "deferred" not in log_text() and "Permission" not in log_text(),
             log_text())

    key = SECRET.with_name("owners-key")
    key.write_text("not looked into\n")
    key.chmod(0o600)
    os.chown(key, IDS["posthaste"], GIDS["posthaste"])
    with Machine(folder, certificates) as machine:
        text = CONFIG.read_text().replace("queue = always",
                                          "queue = on_failure")
        CONFIG.write_text(text)
        machine.drain()
        queued_without_an_attempt()
        machine.drain()
        want(len(machine.messages()) == 2, "not sent")
    secret = f"password_file = {SECRET}"
    public = f"{ROOT}/certs/ca.pem"
    for instead, more in (
            (f"certificate = {public}\nkey = {key}", ""),
            (f"certificate = {key}", ""),
            ("password_credential = relay", ""),
            ("password_command = echo x",
             "[domain example.test]\ndkim_selector = s\n"
             f"dkim_key = {key}\n")):
        with Machine(folder, certificates) as machine:
            CONFIG.write_text(text.replace(secret, instead) + more)
            queued_without_an_attempt()
            CONFIG.write_text(text)


def never_set_id(folder, certificates):
    copy = ROOT / "set-id"
    for mode in (0o4755, 0o2755):
        harness.copy_program(PROGRAM, copy)
        os.chown(copy, IDS["posthaste"], GIDS["posthaste"])
        os.chmod(copy, mode)
        for argv in ([], ["-bp"], ["--version"], ["--help"]):
            status, out, err = run_as("alice", [copy, *argv, "b@x.example"]
                                      if not argv else [copy, *argv])
            want(status == 77 and "set-user-id" in err and not out,
                 (status, out, err))
    copy.unlink()


# --- one's own configuration ---

def own_queues(folder, certificates):
    """Own file, own queue: for root too, who then stays root."""
    with Machine(folder, certificates):
        text = CONFIG.read_text()
        for user in ("root", "alice"):
            home = ROOT / "own" / user
            for where, env in (
                    (".config", {"HOME": home}),
                    ("xdg", {"HOME": "/nowhere",
                             "XDG_CONFIG_HOME": home / "xdg",
                             "XDG_STATE_HOME": home / "state"}),
                    (".config", {"HOME": home, "XDG_CONFIG_HOME": "own",
                                 "XDG_STATE_HOME": ""})):
                shutil.rmtree(home, ignore_errors=True)
                (home / where).mkdir(parents=True)
                own = home / where / "posthaste.conf"
                own.write_text(text)
                for path in (home, home / where, own):
                    os.chown(path, IDS[user], GIDS[user])
                env = {name: str(value) for name, value in env.items()}
                done = submit(user, "-odq", env=env)
                want(done == (0, "", ""), (user, env, done))
                state = home / ("state" if where == "xdg"
                                else ".local/state")
                queue = state / "posthaste/queue"
                found = list((queue / "mess").iterdir())
                want(len(found) == 1, (user, env, found))
                for path, mode in ((queue, 0o700), (queue / "mess", 0o700),
                                   (found[0], 0o600)):
                    st = path.stat()
                    want((st.st_uid, stat.S_IMODE(st.st_mode)) ==
                         (IDS[user], mode), f"{path}: {st}")
                want(not entries(), "it is in the system's queue")


def as_whom_it_could_not_be_read(folder, certificates):
    """A file of the configuration's that the runner may not read: the words
    name the file, him, and whose it is."""
    roots = ROOT / "of-root"
    roots.write_text("not looked into\n")
    roots.chmod(0o600)
    secret = f"password_file = {SECRET}"
    authority = f"ca_file = {ROOT}/certs/ca.pem"
    for old, new in (
            (secret, f"password_file = {roots}"),
            (secret, f"{secret}\ncertificate = {roots}\nkey = {roots}"),
            (authority, f"ca_file = {roots}"),
            (secret, f"{secret}\n[tls]\ncrl_file = {roots}"),
            (secret, f"{secret}\n[domain example.test]\ndkim_selector = s\n"
                     f"dkim_key = {roots}")):
        with Machine(folder, certificates) as machine:
            text = CONFIG.read_text()
            want(old in text, text)
            CONFIG.write_text(text.replace(old, new))
            submitted("alice")
            machine.drain()
            want(f"{roots}" in log_text() and "Permission denied (read as the "
                 "user posthaste); it belongs to the user root" in log_text(),
                 (new, log_text()))
            status, out, err = run_as("alice", [PROGRAM, "-bp"])
            want(status == 0 and "user posthaste" in out, (out, err))


TESTS = [setup_rights, setup_knows_the_queue, setup_follows_no_link,
         what_to_do_is_said, the_machines_password, nobody_reads_anothers_mail,
         mailq_shows_ones_own, health_is_of_what_one_sees,
         only_ones_own_is_administered, root_steps_down,
         root_submits_as_the_owner, callers_run_no_queue,
         owner_decides_not_the_entry, ones_own_account_by_name,
         anybodys_account_stays, hostile_entries_do_no_harm,
         size_is_judged_once, what_cannot_be_sent_is_reported, giant_claims,
         environment_does_not_reach_it, limits_do_not_reach_it,
         handing_in_is_cheap, stopped_in_the_middle, killed_in_the_middle,
         full_disk, room_is_taken_first, status_and_queue_agree,
         what_the_runner_refuses_is_not_taken, an_entry_stays_its_users,
         transports_stay_within_the_routes, the_owner_orders_any_way,
         parameters_are_held_to_the_command_lines,
         what_only_the_owner_can_send_is_his, as_whom_it_could_not_be_read,
         never_set_id, own_queues]


if __name__ == "__main__":
    sys.exit(shared.main(TESTS, [
        (f"delivered-by-{user}", delivered_by(user))
        for user in ("root", "posthaste")]))
