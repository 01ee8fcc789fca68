#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Callers on a machine that several users share (tests/support/machine.py) that
may gain no privileges: the queue's owner serves them on his socket, and
believes of them what the kernel says. Must be root. TAP on standard output;
arguments: names of tests.

TOP_SRCDIR, POSTHASTE, WIRE_SERVER  as for tests/wire/run.py
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import house  # noqa: E402
import machine as shared  # noqa: E402
from hostile import BODY  # noqa: E402
from entries import head, journal_line, made  # noqa: E402
from machine import (  # noqa: E402
    CONFIG, DROP, ENTRY_MAX, GIDS, IDS, MESSAGE, PROGRAM, QUEUE, ROOT, RUNSTATE,
    Machine, SocketUnit, entries, entry, hand_in, log_text, no_new_privileges,
    run_as, submit, submitted, want)


def no_new_privileges_drop(folder, certificates):
    with Machine(folder, certificates):
        status, out, err = submit("alice", before=no_new_privileges)
        want(status == 73 and not out, (status, out, err))
        want("privileges" in err and "posthaste-drop" in err, err)
        want(not entries() and not entries("tmp"), "something was left")


def no_new_privileges_socket(folder, certificates):
    path = str(ROOT / "smtp")
    config = ROOT / "client.conf"
    config.write_text(f"[queue]\nqueue = never\n[log]\nto = none\n"
                      f"[route all]\ntransport = local\n"
                      f"[transport local]\nkind = smtp\nhost = {path}\n")
    unit = SocketUnit(path)
    try:
        with Machine(folder, certificates) as machine:
            done = submit("alice", "-C", config, "-f", "alice@example.test",
                          before=no_new_privileges)
            want(done == (0, "", ""), done)
            want(len(entries()) == 1, entries())
            want(entry(entries()[0].partition(",")[0]).stat().st_uid ==
                 IDS["posthaste"], "owner")
            machine.drain()
            messages = machine.messages()
            want([m["from"] for m in messages] == ["alice@example.test"],
                 messages)
            want(b"eyes only" in machine.relay.message(messages[0]), "body")
    finally:
        ended = unit.stop()
        os.unlink(path)
    want(ended == [(b"", 0)], ended)


def become(user):
    os.setgroups([])
    os.setresgid(*[GIDS[user]] * 3)
    os.setresuid(*[IDS[user]] * 3)


def relay(one, other):
    """What comes from either goes to the other, until both have ended."""
    to = {one: other, other: one}
    while to:
        for side in select.select(list(to), [], [])[0]:
            data = side.recv(65536)
            if data:
                to[side].sendall(data)
            else:
                to.pop(side).shutdown(socket.SHUT_WR)


class Session:
    """A dialogue on a socket unit's socket, as a user: a child with his
    rights connects, and writes and reads. "passed" is its connection in other
    hands."""

    def __init__(self, path, user, greeted=True):
        self.socket, theirs = socket.socketpair()
        self.pid = os.fork()
        if not self.pid:
            try:
                # what a thread of ours is just handing to a child of its
                # own would stay open in here as long as the session lasts
                os.closerange(3, theirs.fileno())
                os.closerange(theirs.fileno() + 1, 4096)
                become(user)
                peer = socket.socket(socket.AF_UNIX)
                peer.connect(path)
                socket.send_fds(theirs, [b"x"], [peer.fileno()])
                relay(theirs, peer)
            finally:
                os._exit(0)
        theirs.close()
        self.socket.settimeout(30)
        fds = socket.recv_fds(self.socket, 1, 1)[1]
        want(fds, f"{user} cannot connect")
        self.passed = socket.socket(fileno=fds[0])
        self.lines = self.socket.makefile("rb")
        self.greeting = self.lines.readline().decode() if greeted else ""

    def write_as(self, user, data):
        """Another process writes, of any user."""
        pid = os.fork()
        if not pid:
            try:
                become(user)
                self.passed.sendall(data)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)

    def rest(self):
        """All that is still answered."""
        self.passed.shutdown(socket.SHUT_WR)
        answer = self.lines.read().decode()
        self.end()
        return answer

    def say(self, *lines):
        """Each line gets an answer; gives the last one."""
        answer = ""
        for line in lines:
            self.socket.sendall(line.encode() + b"\r\n")
            answer = self.lines.readline().decode()
        return answer

    def end(self):
        if self.pid:
            self.lines.close()
            self.socket.close()
            self.passed.close()
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


class Listening:
    """The queue's owner on the socket that is asked by itself. A context."""

    def __init__(self, passes=True, statuses=(0,)):
        self.passes = passes
        self.statuses = statuses

    def __enter__(self):
        self.path = str(RUNSTATE / "posthaste/smtp")
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        self.unit = SocketUnit(self.path, self.passes)
        return self.path

    def __exit__(self, *_):
        ended = self.unit.stop()
        os.unlink(self.path)
        want(all(status in self.statuses and not err
                 for err, status in ended), ended)


def as_unprivileged(user, *argv):
    return run_as(user, [PROGRAM, *argv], before=no_new_privileges)


def hands_over_by_itself(folder, certificates):
    """A caller that may gain no privileges has the queue all the same, where
    systemd listens for him: options are kept, what he sees and administers is
    his."""
    with Listening(), Machine(folder, certificates) as machine:
        for user in ("alice", "bob"):
            done = submit(user, "-a", user, "-N", "never", "-V", f"of{user}",
                          before=no_new_privileges)
            want(done == (0, "", ""), done)
        want(len(entries()) == 2, entries())
        texts = [entry(name.partition(",")[0]).read_text()
                 for name in entries()]
        for user, text in zip(("alice", "bob"), texts):
            for word in (f"uid {IDS[user]}", "foreign", f"account {user}",
                         f"envid of{user}"):
                want(f"\n{word}\n" in text, (word, text))
            want(" notify=never" in text, text)
        ids = [name.partition(",")[0] for name in entries()]
        want(entry(ids[0]).stat().st_uid == IDS["posthaste"], "whose file")
        for user, mine, other in (("alice", *ids), ("bob", *ids[::-1])):
            status, out, err = as_unprivileged(user, "-bp", "--json")
            want(status == 0 and [e["id"] for e in json.loads(out)] == [mine],
                 (status, out, err))
            status, out, err = as_unprivileged(user, "-bp")
            want(status == 0 and "in 1 Request." in out, (out, err))
            status, out, err = as_unprivileged(user, "--show", mine)
            want(status == 0 and f"<{user}@example.test>" in out, (out, err))
            for order in ("--show", "--hold", "--release", "--retry",
                          "--remove"):
                done = as_unprivileged(user, order, other)
                want(done[0] == 66 and "no such entry" in done[2], done)
            done = as_unprivileged(user, "--hold", mine)
            want(done == (0, "", "") and entry(mine).name.endswith(",h"),
                 (done, entries()))
            for order, name in (("--release", ",0"), ("--retry", ",0")):
                done = as_unprivileged(user, order, mine)
                want(done == (0, "", "") and
                     entry(mine).name.endswith(name), (done, entries()))
        want(as_unprivileged("bob", "--remove", "ALL") == (0, "", ""), "ALL")
        want(len(entries()) == 1, entries())
        machine.drain()
        froms = [m["from"] for m in machine.messages()]
        want(froms == ["alice@example.test"] and not entries(), froms)


def the_root_of_a_namespace(folder, certificates):
    """Who is called root in a user namespace of his own (a container's, say),
    from where the queue is to be seen and its owner is nobody: a caller as any
    other, and his is what he is outside. (In a chroot the kernel makes no
    user namespace.)"""
    if run_as("alice", ["unshare", "--user", "true"])[0]:
        print("# no user namespace can be made here")
        return
    there = ["unshare", "--user", "--map-root-user", PROGRAM]
    with Listening(), Machine(folder, certificates) as machine:
        other = submitted("bob")
        done = run_as("alice", [*there, "-i", "b@example.org"], MESSAGE)
        want(done == (0, "", ""), done)
        want(len(entries()) == 2, entries())
        mine = next(name for name in entries() if other not in name)[:-2]
        status, out, err = run_as("alice", [*there, "-bp", "--json"])
        want(status == 0 and [e["id"] for e in json.loads(out)] == [mine],
             (status, out, err))
        done = run_as("alice", [*there, "--hold", "ALL"])
        want(done == (0, "", "") and entry(mine).name.endswith(",h") and
             entry(other).name.endswith(",0"), (done, entries()))
        status, _, err = run_as("alice", [*there, "-q"])
        want(status == 77 and "owner" in err, (status, err))
        want(run_as("alice", [*there, "--release", mine]) == (0, "", ""), "")
        machine.drain()
        want(sorted(m["from"] for m in machine.messages()) ==
             ["alice@example.test", "bob@example.test"], machine.messages())


def a_root_without_power(folder, certificates):
    """A service of root's that was left no capabilities is a caller as any
    other, with the helper or by the socket; one that may write there though
    it cannot become the owner touches nothing."""
    for listening, more in (contextlib.nullcontext(), []), (
            Listening(), ["--no-new-privs"]):
        aside = pathlib.Path(folder, f"{len(more)}")
        aside.mkdir()
        with listening, Machine(aside, certificates) as machine:
            there = ["setpriv", "--bounding-set", "-all", *more, PROGRAM]
            other = submitted("bob")
            done = run_as("root", [*there, "-i", "b@example.org"], MESSAGE)
            want(done == (0, "", ""), (more, done))
            status, out, err = run_as("root", [*there, "-bp", "--json"])
            want(status == 0 and other not in out and "b@example.org" in out,
                 (more, status, out, err))
            status, _, err = run_as("root", [*there, "--remove", other])
            want(status == 66, (more, status, err))
            status, _, err = run_as("root", [*there, "-q"])
            want(status == 77, (more, status, err))
            machine.drain()
            want(len(machine.messages()) == 2, machine.messages())
    with Machine(folder, certificates):
        status, _, err = run_as("root", [
            "setpriv", "--bounding-set", "-setuid", PROGRAM, "-i",
            "b@example.org"], MESSAGE)
        want(status == 71 and "cannot become" in err, (status, err))
        want(not entries(), entries())


def only_the_socket_is_mounted(folder, certificates):
    """In a container that has nothing of the queue but the owner's socket."""
    jail = ROOT / "jail"
    with Listening(), Machine(folder, certificates) as machine:
        for name in ("usr", "lib", "lib64", "bin"):
            source = pathlib.Path("/", name)
            if source.is_symlink():
                (jail / name).parent.mkdir(exist_ok=True)
                (jail / name).symlink_to(os.readlink(source))
            elif source.is_dir():
                (jail / name).mkdir(parents=True)
                house.command("mount", "--bind", source, jail / name)
        for path in (PROGRAM, CONFIG):
            there = jail / str(path)[1:]
            there.parent.mkdir(parents=True)
            shutil.copy(path, there)
        (jail / "etc").mkdir(exist_ok=True)
        shutil.copy("/etc/passwd", jail / "etc/passwd")
        (jail / "dev").mkdir()
        house.command("mount", "--bind", "/dev", jail / "dev")
        run = jail / str(RUNSTATE)[1:]
        run.mkdir(parents=True)
        house.command("mount", "--bind", RUNSTATE, run)
        for parent in [run, *run.parents]:
            if parent != jail and jail in parent.parents:
                parent.chmod(0o755)

        def inside_as(user, *argv, stdin=b""):
            return run_as("root", ["chroot", f"--userspec={IDS[user]}:"
                                   f"{GIDS[user]}", "--groups=", jail,
                                   PROGRAM, *argv], stdin)

        done = inside_as("alice", "-i", "b@example.org", stdin=MESSAGE)
        want(done[0] == 0 and not done[1], done)
        done = inside_as("root", "-i", "b@example.org", stdin=MESSAGE)
        want(done[0] == 0, done)
        want(len(entries()) == 2, entries())
        mine, roots = (name.partition(",")[0] for name in entries())
        status, out, err = inside_as("alice", "-bp", "--json")
        want(status == 0 and [e["id"] for e in json.loads(out)] == [mine],
             (out, err))
        want(inside_as("alice", "--hold", roots)[0] == 66, "root's")
        done = inside_as("root", "--remove", roots)
        want(done[0] == 0, done)
        machine.drain()
        froms = [m["from"] for m in machine.messages()]
        want(froms == ["alice@example.test"], froms)
        want(not list(jail.rglob("mess")), "a queue was made in there")


def the_socket_believes_the_kernel_alone(folder, certificates):
    """Whose an entry is, and that one of the queue's owner's files holds what
    he did not write."""
    def ask(session, words, data=b""):
        session.socket.sendall(words.encode() + b"\r\n")
        told = session.lines.readline().decode().split()
        want(told[:2] == ["posthaste-drop", "1"], told)
        answer = b""
        try:
            if data:
                session.socket.sendall(data)
                session.socket.shutdown(socket.SHUT_WR)
            while part := session.lines.read1():
                answer += part
        except (BrokenPipeError, ConnectionResetError):
            pass                # what it did not want to read was left
        session.end()
        last = answer.decode().splitlines()[-1].split(" ", 2)
        want(last[0] == "posthaste-drop", answer)
        return int(told[2]), int(last[1]), answer

    def write(data, size=None):
        return b"posthaste-drop 1 %d\n" % (size or len(data)) + data

    verb = "posthaste-drop 1 "
    alice, bob = IDS["alice"], IDS["bob"]
    with Listening() as path, Machine(folder, certificates) as machine:
        good = made(head(alice, more=b"foreign\n"), BODY)
        for bad in (made(head(bob, more=b"foreign\n"), BODY),
                    made(head(0, more=b"foreign\n"), BODY),
                    made(head(IDS["posthaste"], more=b"foreign\n"), BODY),
                    made(head(alice), BODY),
                    made(head(alice, more=b"foreign\n" b"uid %d\n" % bob),
                         BODY),
                    made(head(bob, more=b"foreign\n" b"uid %d\n" % alice),
                         BODY),
                    made(head(alice, more=b"foreign\n"), BODY,
                         journal_line("owner-transport relay")),
                    made(head(alice, more=b"cause x\nforeign\n"), BODY),
                    good[:-30] + b"checksum 0123456789abcdef\n"):
            uid, status, answer = ask(Session(path, "alice"),
                                      verb + "write 0", write(bad))
            want(uid == alice and status == 65, (bad, status, answer))
        want(not entries() and not entries("tmp"), "refused, and kept")
        # gone before all of it came
        status = ask(Session(path, "alice"), verb + "write 0",
                     write(good[:-9], len(good)))[1]
        want(status == 65 and not entries(), status)
        gone = Session(path, "alice")
        gone.socket.sendall(f"{verb}write 0\r\n".encode())
        gone.end()
        # what comes after the one thing asked is not served
        uid, status, answer = ask(
            Session(path, "alice"), verb + "write 0",
            write(good) + f"{verb}write 0\r\n".encode() + write(good) +
            b"MAIL FROM:<ceo@example.test>\r\n")
        want(status == 0 and len(entries()) == 1, (status, entries()))
        mine = entries()[0].partition(",")[0]
        want(answer.decode().split()[0] == mine, answer)
        # nor is it after SMTP
        session = Session(path, "bob")
        answer = session.say("HELO x", f"{verb}list")
        want(answer.startswith("500 "), answer)
        session.end()
        for words in ("list", f"hold {mine}", f"withdraw {mine}",
                      f"retry {mine}"):
            uid, status, answer = ask(Session(path, "bob"), verb + words)
            want(uid == bob and mine.encode() not in
                 answer.replace(b"posthaste-drop 66 " + mine.encode(), b""),
                 (words, answer))
        for words in ("", "eat", "write", "hold", "list me", "hold a b c d",
                      "write x", "write " + "9" * 300):
            status = ask(Session(path, "bob"), verb + words)[1]
            want(status in (64, 65), (words, status))
        want(len(entries()) == 1 and not entries("tmp"), entries())
        machine.drain()
        froms = [m["from"] for m in machine.messages()]
        want(froms == ["alice@example.test"], froms)


def the_socket_has_the_helpers_bounds(folder, certificates):
    """What comes by SMTP, too, is not larger than an entry may be, and leaves
    a twentieth free; the owner, root, and reports take what there is."""
    def dialogue(size):
        line = b"x" * 998 + b"\r\n"
        return (b"EHLO x\r\nMAIL FROM:<x@example.test>\r\n"
                b"RCPT TO:<b@example.org>\r\nDATA\r\nSubject: s\r\n\r\n" +
                line * (size // len(line)) + b".\r\nQUIT\r\n")

    def hand_over(user, size):
        session = Session(path, user)
        session.socket.settimeout(60)
        session.socket.sendall(dialogue(size))
        answers = session.lines.read().decode().splitlines()
        session.end()
        want(answers[-1].startswith("221 "), answers)
        return answers[-2]

    def free():
        st = os.statvfs(QUEUE / "mess")
        return st.f_bavail / st.f_blocks

    def fill(most):
        with open(QUEUE / "fill", "wb") as f:
            while free() > most:
                f.write(b"x" * 65536)
                f.flush()

    with Listening() as path, Machine(folder, certificates):
        answer = hand_over("alice", ENTRY_MAX + 1000)
        want(answer.startswith("552 5.3.4 ") and "larger" in answer, answer)
        want(not entries() and not entries("tmp"), "a leftover")
    house.command("mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "tmpfs",
                  QUEUE)
    try:
        house.command(house.SOURCE / "contrib/setup", QUEUE, DROP)
        with Listening() as path, Machine(folder, certificates) as machine:
            fill(0.3)
            answers = [hand_over("alice", 1 << 20) for _ in range(3)]
            taken = len([a for a in answers if a.startswith("250 ")])
            want(taken == 1 and free() >= 0.05 and
                 all(a.startswith("4") and "nearly full" in a
                     for a in answers[1:]), (answers, free()))
            want(len(entries()) == taken and not entries("tmp"), "leftovers")
            fill(0.04)
            for user in ("root", "posthaste"):
                answer = hand_over(user, 1000)
                want(answer.startswith("250 "), (user, answer))
            answer = hand_over("bob", 1000)
            want("nearly full" in answer, answer)
            want(hand_in("bob", made(head(1, rcpt=b"x@bad"), BODY))[0] == 73,
                 "the helper")
            want(submit("posthaste", "-odq") == (0, "", ""), "the owner")
            want(len(entries()) == taken + 3 and not entries("tmp"),
                 entries())
            # failures are reported all the same
            CONFIG.write_text(CONFIG.read_text().replace(
                "[route all]", "[transport bad]\nkind = fail\n[route bad]\n"
                "to_domain = example.org\ntransport = bad\n[route all]"))
            machine.drain()
            froms = [m["from"] for m in machine.messages()]
            want(froms == [""] * (taken + 3) and not entries(),
                 (froms, log_text()))
    finally:
        house.command("umount", "--lazy", QUEUE)


def many_at_once_by_the_socket(folder, certificates):
    """More callers than a user may have sessions: they wait for each other,
    and all of them are served."""
    with Listening(), Machine(folder, certificates):
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            done = list(pool.map(lambda _: submit(
                "alice", before=no_new_privileges), range(20)))
        want(done == [(0, "", "")] * 20, done)
        want(len(entries()) == 20, entries())


def the_peer_is_the_caller(folder, certificates):
    """Sender, account, limits and the log are those of whom the kernel
    names."""
    path = str(ROOT / "smtp")
    unit = SocketUnit(path)
    sessions = []
    try:
        with Machine(folder, certificates) as machine:
            for _ in range(9):
                sessions.append(Session(path, "alice"))
            greetings = [s.greeting[:3] for s in sessions]
            want(sorted(greetings) == ["220"] * 8 + ["421"], greetings)
            bob = Session(path, "bob")
            sessions.append(bob)
            want(bob.greeting.startswith("220"), "bob is kept out")
            alice = sessions[greetings.index("220")]
            for s, other in ((alice, "ceo@example.test"),
                             (bob, "alice@example.test")):
                answer = s.say("HELO x", f"MAIL FROM:<{other}>",
                               "RCPT TO:<b@example.org>", "DATA",
                               "Subject: s\r\n\r\nx\r\n.")
                want(answer.startswith("250"), answer)
            sessions.pop(0).end()
            while sessions:
                sessions.pop().end()
            for user in ("alice", "bob"):
                want(f"uid={IDS[user]} from={user}@example.test" in
                     log_text().replace("<", "").replace(">", ""),
                     log_text())
            machine.drain()
            froms = sorted(m["from"] for m in machine.messages())
            want(froms == ["alice@example.test", "bob@example.test"], froms)
    finally:
        for s in sessions:
            s.end()
        unit.stop()
        os.unlink(path)


LETTER = (b"HELO x\r\nMAIL FROM:<ceo@example.test>\r\n"
          b"RCPT TO:<b@example.org>\r\nDATA\r\n"
          b"Subject: s\r\n\r\nx\r\n.\r\nQUIT\r\n")


def who_cannot_be_told_is_refused(folder, certificates):
    """Where the kernel names no peer, nobody is taken for the queue's
    owner."""
    with Machine(folder, certificates):
        nobody = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        nobody.bind(str(ROOT / "datagrams"))
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sender.sendto(LETTER, str(ROOT / "datagrams"))
        alone = socket.socket(socket.AF_UNIX)
        for peer in (nobody, alone):
            with peer:
                status, out, err = run_as(
                    "posthaste", [PROGRAM, "-bs"],
                    before=lambda: os.dup2(peer.fileno(), 0))
            want(out.startswith("421 ") and "220 " not in out,
                 (status, out, err))
        want(log_text().count("nothing says who you are") == 2, log_text())
        want(not entries(), "taken from nobody")


def handed_to_the_socket(user):
    """What a user's own posthaste-drop would write, and what asks for it."""
    data = made(head(IDS[user], more=b"foreign\n"), BODY)
    return (b"posthaste-drop 1 write 0\r\n"
            b"posthaste-drop 1 %d\n" % len(data) + data)


def who_is_gone_is_refused(folder, certificates):
    """A process that connected, wrote all it had, and ended before anybody
    looked."""
    path = str(ROOT / "smtp")
    for words in (LETTER, handed_to_the_socket("bob")):
        for passes in (True, False):
            with Machine(folder, certificates):
                with socket.socket(socket.AF_UNIX) as server:
                    server.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED,
                                      passes)
                    server.bind(path)
                    os.chmod(path, 0o666)
                    server.listen(1)
                    run_as("bob", [
                        "/usr/bin/python3", "-c", "import socket\n"
                        "s = socket.socket(socket.AF_UNIX)\n"
                        f"s.connect({path!r})\ns.sendall({words!r})"])
                    with server.accept()[0] as peer:
                        done = run_as(
                            "posthaste", [PROGRAM, "-bs"],
                            before=lambda: os.dup2(peer.fileno(), 0))
                os.unlink(path)
                want(done[1].startswith("421 ") and "is gone" in done[1] and
                     not done[2], done)
                want(f"uid={IDS['bob']} " in log_text() and
                     "is gone" in log_text(), log_text())
                want(not entries() and not entries("tmp"), entries())


def a_second_sender_is_refused(folder, certificates):
    """alice connects, and it is bob who writes, from any byte on: nothing is
    queued for her or for him, and the log says so. Other processes of hers
    are she."""
    drop = handed_to_the_socket("alice")
    middle = drop.index(b"\n") + 1
    with Listening(statuses=(0, 77)) as path, \
            Machine(folder, certificates) as machine:
        for words, cuts in (
                (LETTER, (0, 3, LETTER.index(b"MAIL"),
                          LETTER.index(b"<ceo") + 2, LETTER.index(b"Subj"),
                          LETTER.index(b"\r\n.\r") + 3)),
                (drop, (0, 7, middle, middle + 9, len(drop) - 40))):
            for cut in cuts:
                for early in (True, False):
                    session = Session(path, "alice", greeted=not early)
                    session.write_as("alice", words[:cut])
                    session.write_as("bob", words[cut:])
                    answer = session.rest()
                    last = answer.splitlines()[-1]
                    want("writes on this connection" in last and
                         last.startswith(("421 4.7.0 ",
                                          "posthaste-drop 77 ")),
                         (words, cut, early, answer))
                    want(not entries() and not entries("tmp"),
                         (words, cut, early, entries()))
                    line = log_text().splitlines()[-1]
                    want(f"uid={IDS['alice']} " in line and
                         "status=failed" in line and
                         "writes on this connection" in line, log_text())
            session = Session(path, "alice")
            for at in range(0, len(words), 40):
                session.write_as("alice", words[at:at + 40])
            answer = session.rest()
            want(answer.splitlines()[-1].startswith(("221 ",
                                                     "posthaste-drop 0 ")),
                 answer)
            want(len(entries()) == 1, (words, entries()))
            # what was answered before another wrote stays
            session = Session(path, "alice")
            session.write_as("alice", LETTER[:LETTER.index(b"QUIT")])
            session.write_as("bob", b"MAIL FROM:<b@example.test>\r\n")
            answer = session.rest()
            want("250 2.0.0 queued" in answer and
                 answer.splitlines()[-1].startswith("421 4.7.0 "), answer)
            want(len(entries()) == 2, entries())
            machine.drain()
        froms = {m["from"] for m in machine.messages()}
        want(froms == {"alice@example.test"}, froms)


def a_listener_that_passes_no_credentials(folder, certificates):
    """What was written before posthaste began is his who connected, where
    nothing says otherwise; what comes after is held against him."""
    with Machine(folder, certificates), Listening(False, (0, 77)) as path:
        for user in ("alice", "bob"):
            session = Session(path, "alice")
            session.write_as("alice", LETTER[:20])
            session.write_as(user, LETTER[20:])
            answer = session.rest()
            want(("421 4.7.0 " in answer) == (user == "bob"), answer)
            want(len(entries()) == 1, entries())
        session = Session(path, "alice", greeted=False)
        session.write_as("alice", LETTER)
        want("250 2.0.0 queued" in session.rest(), "an early writer")
        want(len(entries()) == 2, entries())


TESTS = [no_new_privileges_drop, no_new_privileges_socket,
         hands_over_by_itself, the_root_of_a_namespace, a_root_without_power,
         only_the_socket_is_mounted, the_socket_believes_the_kernel_alone,
         the_socket_has_the_helpers_bounds, many_at_once_by_the_socket,
         the_peer_is_the_caller, who_cannot_be_told_is_refused,
         who_is_gone_is_refused, a_second_sender_is_refused,
         a_listener_that_passes_no_credentials]


if __name__ == "__main__":
    sys.exit(shared.main(TESTS))
