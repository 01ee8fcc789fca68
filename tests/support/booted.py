# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests/interop/systemd.py runs inside the machine that it booted, with
the shipped units in charge."""

import base64
import contextlib
import json
import os
import pathlib
import re
import socket
import ssl
import subprocess
import threading
import time
import traceback

CONFIG = """[general]
hostname = host.example.test
domain = example.test
[queue]
queue = always
[account alice]
user = alice
from = alice@example.test
force_from = yes
"""
TRANSPORT = """[route {name}]
to_domain = {name}.example
transport = {name}
[transport {name}]
kind = smtp
host = 127.0.0.1
port = {port}
no_starttls = yes
"""
IDS = {"alice": 2001, "bob": 2002}
SOCKET = "/run/posthaste/smtp"
relays = {}


class Relay:
    def __init__(self, silent=False, slow=0):
        self.silent, self.slow, self.taken, self.peers = silent, slow, [], []
        self.begun = 0           # messages
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            peer, _ = self.socket.accept()
            self.peers.append(peer)
            if not self.silent:
                threading.Thread(target=self.serve, args=(peer,),
                                 daemon=True).start()

    def serve(self, peer):
        lines = peer.makefile("rb")
        sender, subject = b"", b""
        peer.sendall(b"220 relay\r\n")
        for line in lines:
            word = line[:4].upper()
            if word == b"DATA":
                self.begun += 1
                peer.sendall(b"354 go on\r\n")
                for text in lines:
                    if text.startswith(b"Subject: "):
                        subject = text[9:].strip()
                    if text == b".\r\n":
                        break
                time.sleep(self.slow)
                self.taken.append((subject.decode(), sender.decode(),
                                   time.monotonic()))
            elif word == b"MAIL":
                sender = line[11:].split(b">")[0]
            elif word == b"QUIT":
                break
            peer.sendall(b"250 ok\r\n")
        peer.close()

    def subjects(self):
        return [subject for subject, _, _ in self.taken]


class Submission:
    """TLS from the first byte, and a password."""

    def __init__(self):
        self.logins, self.taken = [], []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain("/root/server.pem", "/root/server.key")
        self.socket = context.wrap_socket(
            socket.create_server(("127.0.0.1", 465)), server_side=True)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            with contextlib.suppress(OSError):
                peer, _ = self.socket.accept()
                threading.Thread(target=self.serve, args=(peer,),
                                 daemon=True).start()

    def serve(self, peer):
        lines = peer.makefile("rb")
        peer.sendall(b"220 submission\r\n")
        for line in lines:
            word, answer = line[:4].upper(), b"250 ok\r\n"
            if word == b"EHLO":
                answer = b"250-submission\r\n250 AUTH PLAIN\r\n"
            elif word == b"AUTH":
                self.logins.append(base64.b64decode(
                    line.split()[2]).decode().split("\0")[1:])
                answer = b"235 welcome\r\n"
            elif word == b"DATA":
                peer.sendall(b"354 go on\r\n")
                for text in lines:
                    if text.startswith(b"Subject: "):
                        self.taken.append(text[9:].strip().decode())
                    if text == b".\r\n":
                        break
            elif word == b"QUIT":
                break
            peer.sendall(answer)
        peer.close()


def want(condition, what):
    if not condition:
        raise AssertionError(str(what))


def run(*argv, limit=60, **more):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=limit, **more).stdout.decode()


def eventually(find, what, seconds):
    until = time.monotonic() + seconds
    while not find():
        want(time.monotonic() < until, f"{what}: not within {seconds} s\n" +
             run("journalctl", "-n", "30", "--no-pager"))
        time.sleep(0.05)


def send(user, to, subject, *before):
    done = subprocess.run(
        ["setpriv", "--reuid", str(IDS[user]), "--regid", str(IDS[user]),
         "--clear-groups", *before, "/usr/sbin/sendmail", "-i", to],
        input=f"Subject: {subject}\n\nx\n".encode(), check=False, timeout=60,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    want(done.returncode == 0 and not done.stdout, done)


def fine():
    failed = [line for line in run("systemctl", "--failed", "--no-legend",
                                   "--plain").splitlines()
              if "posthaste" in line]
    want(not failed, failed)


def prepare():
    for user, number in IDS.items():
        run("useradd", "-u", str(number), "-m", user)
    relays.update(good=Relay(), slow=Relay(slow=8))
    relays.update({f"s{i}": Relay(silent=True) for i in range(10)})
    pathlib.Path("/etc/posthaste.conf").write_text(CONFIG + "".join(
        TRANSPORT.format(name=name, port=relay.port)
        for name, relay in relays.items()))
    relays["submission"] = Submission()
    said = run("sh", "/root/setup")
    want("/var/spool/posthaste" in said and "/usr/bin/posthaste -q" in said,
         said)
    said = run("systemctl", "enable", "--now", "posthaste.timer",
               "posthaste.path", "posthaste-smtp.socket")
    want(run("systemctl", "is-active", "posthaste.path").strip() == "active",
         said)


def sixteen_mails_in_ten_seconds(good):
    """None of them waits for the timer, and nothing fails."""
    for i in range(16):
        begun = time.monotonic()
        send("alice", "x@good.example", f"m{i}")
        want(time.monotonic() - begun < 5, "the caller waited")
        time.sleep(0.6)
    eventually(lambda: len(good.taken) == 16, "the last of them", 5)
    fine()


def mail_that_comes_during_a_run(good):
    """...is sent by it, at once."""
    before = len(good.taken)
    send("alice", "x@slow.example", "slow")
    time.sleep(1)
    send("alice", "x@good.example", "meanwhile")
    eventually(lambda: len(good.taken) > before, "the second", 5)
    want(not relays["slow"].taken, "the first was sent already")
    eventually(lambda: relays["slow"].taken, "the first", 15)


def silent_servers_delay_another_less_than_a_minute(good):
    for i in range(10):
        send("alice", f"x@s{i}.example", f"silent{i}")
    time.sleep(2)
    begun = time.monotonic()
    send("bob", "x@good.example", "of bob")
    eventually(lambda: "of bob" in good.subjects(), "bob's mail", 59)
    want(time.monotonic() - begun < 60, "late")


def waiting():
    """The queue's names by the recipient of each."""
    found = {}
    for path in pathlib.Path("/var/spool/posthaste/mess").iterdir():
        for line in path.read_bytes().split(b"\n\n")[0].splitlines():
            if line.startswith(b"rcpt "):
                found.setdefault(line[5:].decode(), []).append(path.name)
    return found


def a_stop_lets_the_message_in_hand_be_finished(_):
    """...and what was tried in vain has another time."""
    slow, silent = relays["slow"], relays["s0"]
    run("systemctl", "stop", "posthaste.path", "posthaste.timer")
    run("systemctl", "stop", "posthaste.service", limit=100)
    for path in pathlib.Path("/var/spool/posthaste/mess").iterdir():
        path.unlink()
    taken, peers = len(slow.taken), len(silent.peers)
    send("alice", "x@s0.example", "in vain")
    send("alice", "x@slow.example", "in hand")
    begun = slow.begun
    run("systemctl", "start", "--no-block", "posthaste.service")
    # what has not begun would be left as it is
    eventually(lambda: len(silent.peers) > peers and slow.begun > begun,
               "both are tried", 20)
    said = run("systemctl", "stop", "posthaste.service", limit=100)
    want(len(slow.taken) == taken + 1, f"the message in hand: {said}")
    left = waiting()
    want(list(left) == ["x@s0.example"] and
         not left["x@s0.example"][0].endswith(",0"),
         (left, run("journalctl", "-n", "40", "--no-pager")))
    fine()
    run("systemctl", "start", "posthaste.path", "posthaste.timer")


def a_flood_of_connections(_):
    """Ends no socket, and keeps nobody out."""
    peers = []
    for _ in range(400):
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(5)
        try:
            peer.connect(SOCKET)
            peers.append(peer)
        except OSError:
            peer.close()
    for peer in peers:
        peer.close()
    want(run("systemctl", "is-active", "posthaste-smtp.socket").strip() ==
         "active", run("systemctl", "status", "posthaste-smtp.socket"))
    until = time.monotonic() + 30
    while time.monotonic() < until:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(10)
            try:
                peer.connect(SOCKET)
                if peer.makefile("rb").readline().startswith(b"220"):
                    break
            except OSError:
                pass
        time.sleep(0.2)
    want(time.monotonic() < until, "nobody answers any more")
    fine()


def the_socket_knows_its_caller(good):
    """alice is alice there, too."""
    code = ("import socket; s = socket.socket(socket.AF_UNIX); "
            f"s.connect({SOCKET!r}); f = s.makefile('rb'); f.readline()\n"
            "for l in ('HELO x', 'MAIL FROM:<ceo@example.test>', "
            "'RCPT TO:<x@good.example>', 'DATA', "
            "'Subject: boss\\r\\n\\r\\nx\\r\\n.'): "
            "s.sendall(l.encode() + b'\\r\\n'); print(f.readline())")
    said = run("setpriv", "--reuid", str(IDS["alice"]), "--regid",
               str(IDS["alice"]), "--clear-groups", "--no-new-privs",
               "python3", "-c", code)
    eventually(lambda: "boss" in good.subjects(), f"the mail: {said}", 10)
    sender = [s for subject, s, _ in good.taken if subject == "boss"]
    want(sender == ["alice@example.test"], sender)


def who_gains_no_privileges_hands_over(good):
    """...his mail by himself."""
    send("bob", "x@good.example", "unprivileged", "--no-new-privs")
    eventually(lambda: "unprivileged" in good.subjects(), "the mail", 10)
    sender = [s for subject, s, _ in good.taken if subject == "unprivileged"]
    want(sender == ["bob@example.test"], sender)


def sandboxed(name, script):
    """As a service with a user that systemd makes up; what it printed."""
    done = subprocess.run(
        ["systemd-run", "--wait", "--pipe", "--quiet", "--collect",
         "-p", "DynamicUser=yes", "-p", f"User={name}",
         "-p", "RestrictSUIDSGID=yes", "-p", "NoNewPrivileges=yes",
         "sh", "-ec", script], stdin=subprocess.DEVNULL, check=False,
        timeout=60, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    want(done.returncode == 0 and not done.stderr, (name, script, done))
    return done.stdout.decode()


def services_in_a_sandbox(good):
    """DynamicUser, RestrictSUIDSGID, NoNewPrivileges: each queues as itself,
    and none sees what another has there."""
    watch = ("posthaste.path", "posthaste.timer")
    run("systemctl", "stop", *watch)
    eventually(lambda: run("systemctl", "is-active", "posthaste.service")
               .strip() in ("inactive", "failed"), "the run's end", 30)
    uids, ids = {}, {}
    for name in ("web-one", "web-two"):
        said = sandboxed(name, "id -u; grep NoNewPrivs: /proc/self/status\n"
                         f"printf 'Subject: {name}\\n\\nx\\n' | "
                         "/usr/sbin/sendmail -odq -i x@good.example\n"
                         "posthaste -bp --json")
        uid, privileges, listed = said.split("\n", 2)
        want(privileges.split() == ["NoNewPrivs:", "1"], privileges)
        uids[name] = uid
        ids[name] = [entry["id"] for entry in json.loads(listed)]
        want(len(ids[name]) == 1, (name, listed))
    want(len(set(uids.values()) | {"0"}) == 3, uids)
    one, two = ids["web-one"][0], ids["web-two"][0]
    said = sandboxed("web-one", "posthaste -bp --json\n"
                     f"for order in show hold remove; do "
                     f"posthaste --$order {two} 2>/dev/null || echo $?; done")
    want(f'"{one}"' in said and two not in said, said)
    want(said.split()[-3:] == ["66"] * 3, said)
    want(all(f'"{i}"' in run("posthaste", "-bp", "--json")
             for i in (one, two)), "root sees both")
    run("systemctl", "start", *watch)
    run("posthaste", "-q")
    eventually(lambda: {"web-one", "web-two"} <= set(good.subjects()),
               "their mail", 10)
    for subject, sender, _ in good.taken:
        if subject in uids:
            want(sender in (f"{uids[subject]}@example.test",
                            f"{subject}@example.test"), sender)
    said = run("journalctl", "-t", "posthaste", "--no-pager")
    for uid in uids.values():
        want(f"uid={uid} " in said, said)


def a_credential_of_systemd(_):
    """What --store-password says is to be done is all there is to do: the
    runner logs in by a credential that root alone could open."""
    server = relays["submission"]
    conf = pathlib.Path("/etc/posthaste.conf")
    text = conf.read_text()
    route = ("[route sealed]\nto_domain = sealed.example\ntransport = sealed\n"
             "[transport sealed]\nkind = submissions\nhost = "
             "mail.example.test\nusername = robot\n")
    conf.write_text(text + route)
    done = subprocess.run(
        ["posthaste", "--store-password", "sealed", "--systemd-creds"],
        input=b"the s3cret\n", stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, timeout=60, check=False)
    said = done.stdout.decode()
    want(done.returncode == 0, said)
    key = re.search(r"^password_credential = .*$", said, re.M).group(0)
    load = re.search(r"^LoadCredentialEncrypted=\S+:(\S+)$", said, re.M)
    sealed = pathlib.Path(load.group(1))
    want(b"s3cret" not in sealed.read_bytes() and
         sealed.stat().st_mode & 0o777 == 0o600, sealed.stat())
    conf.write_text(f"{text}{route}{key}\n")
    place = pathlib.Path("/etc/systemd/system/posthaste.service.d")
    place.mkdir(exist_ok=True)
    (place / "sealed.conf").write_text(f"[Service]\n{load.group(0)}\n")
    run("systemctl", "daemon-reload")
    send("alice", "x@sealed.example", "by credential")
    eventually(lambda: "by credential" in server.taken, "the mail", 20)
    want(server.logins[-1] == ["robot", "the s3cret"], server.logins)
    fine()


def as_alice(*argv, stdin=""):
    uid = str(IDS["alice"])
    done = subprocess.run(
        ["setpriv", "--reuid", uid, "--regid", uid, "--clear-groups", *argv],
        input=stdin.encode(), check=False, timeout=90, cwd="/home/alice",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={
            "HOME": "/home/alice", "USER": "alice", "PATH": os.environ.get(
                "PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8",
            "XDG_RUNTIME_DIR": f"/run/user/{uid}"})
    return done.returncode, done.stdout.decode()


def a_person_is_set_up(_):
    """--setup turns on a timer of the person's own systemd, which runs the
    queue, and is there again when that is started anew."""
    server, uid = relays["submission"], IDS["alice"]
    # what libpam-systemd would say, which is not in this small a system
    place = pathlib.Path("/etc/systemd/system/user@.service.d")
    place.mkdir()
    (place / "place.conf").write_text(
        "[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%i\n")
    run("systemctl", "daemon-reload")
    run("loginctl", "enable-linger", "alice")
    eventually(pathlib.Path(f"/run/user/{uid}/systemd/private").exists,
               "alice's systemd", 30)
    status, said = as_alice(
        "posthaste", "--setup", "alice@example.test", "--yes", "--transport",
        "mail.example.test", stdin="her word\n")
    want(status == 0 and "The queue is run" in said, (status, said))
    want("posthaste works" in server.taken and
         ["alice@example.test", "her word"] in server.logins, server.logins)
    status, said = as_alice("posthaste", "-odq", "-i", "x@example.test",
                            stdin="Subject: by her timer\n\nx\n")
    want(status == 0 and not said, said)
    for again in (False, True):
        if again:
            run("systemctl", "restart", f"user@{uid}.service")
        for verb, wanted in (("is-enabled", "enabled"),
                             ("is-active", "active")):
            said = as_alice("systemctl", "--user", verb, "posthaste.timer")
            want(said == (0, wanted + "\n"), (verb, again, said))
    status, said = as_alice("systemctl", "--user", "start",
                            "posthaste.service")
    want(status == 0, said)
    eventually(lambda: "by her timer" in server.taken, "the mail", 10)
    status, said = as_alice("posthaste", "-bp")
    want(status == 0 and "empty" in said, said)


TESTS = [
    sixteen_mails_in_ten_seconds, mail_that_comes_during_a_run,
    services_in_a_sandbox, silent_servers_delay_another_less_than_a_minute,
    a_stop_lets_the_message_in_hand_be_finished,
    a_flood_of_connections, the_socket_knows_its_caller,
    who_gains_no_privileges_hands_over, a_credential_of_systemd,
    a_person_is_set_up,
]


def main():
    results = []
    try:
        prepare()
        for test in TESTS:
            words = ""
            try:
                test(relays["good"])
            except Exception:
                words = traceback.format_exc()
            results.append((test.__name__, words))
    except Exception:
        results.append((TESTS[0].__name__, traceback.format_exc()))
    pathlib.Path("/root/result.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main()
