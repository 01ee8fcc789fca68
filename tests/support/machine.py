# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine that several users share: a build of its own with its queue's
directory compiled in, set up by contrib/setup, in a mount and process namespace
with an /etc of its own; its users, its programs, its queue, its relay, entries
made by hand. For tests/interop/shared*.py."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

import harness
import house
from harness import LIBC, Failure, want

PR_SET_NO_NEW_PRIVS = 38
ALL_ONES = (1 << 64) - 1
ROOT = pathlib.Path(os.environ.get("SHARED_ROOT", "/nowhere"))
PREFIX = ROOT / "prefix"
QUEUE = PREFIX / "var/spool/posthaste"
RUNSTATE = PREFIX / "var/run"
CONFIG = PREFIX / "etc/posthaste.conf"
SECRET = PREFIX / "etc/relay.password"
DROP = PREFIX / "libexec/posthaste-drop"
PROGRAM = PREFIX / "bin/posthaste"
# The libraries' headers as tests/builds.sh makes them for musl: callers, and
# the owner's end of the socket, run programs of that; what talks to a relay
# needs the libraries themselves.
ENTRY_MAX = 64 << 20         # that a user may hand in, in this build
MUSL = os.environ.get("SHARED_MUSL")
SENDS = PREFIX / "bin/posthaste-that-sends"
IDS = {"root": 0, "alice": 47001, "bob": 47002}
GIDS = dict(IDS)
MESSAGE = b"From: x@example.test\nSubject: private\n\nfor your eyes only\n"

TEXT = """[general]
hostname = host.example.test
domain = example.test
connect_timeout = 5s
timeout = 20s
{general}
[queue]
queue = always
[log]
to = {root}/log
[account alice]
user = alice
from = alice@example.test
force_from = yes
[account bob]
user = bob
from = bob@example.test
force_from = yes
[route all]
transport = relay
[transport relay]
kind = submission
host = localhost
port = {port}
ca_file = {certificates}/ca.pem
username = user
{password}
"""
SCRIPT = "tls starttls\ncertificate good\ntls-auth SCRAM-SHA-256 PLAIN\n"


# --- people and their programs ---

def run_as(user, argv, stdin=b"", env=None, before=None, limit=60, **more):
    """Gives status, standard output, standard error as text."""
    uid = IDS[user]
    home = f"{ROOT}/home/{user}"

    def prepare():
        os.setgroups([])
        os.setresgid(GIDS[user], GIDS[user], GIDS[user])
        os.setresuid(uid, uid, uid)
        if before:
            before()

    argv = [str(word) for word in argv]
    if MUSL and argv[0] == str(PROGRAM) and "-q" in argv:
        argv[0] = str(SENDS)
    status, out, err = harness.finish(harness.start(
        argv, cwd="/", preexec_fn=prepare,
        env={"PATH": harness.PATH, "HOME": home, **(env or {})}, **more),
        stdin, limit)
    return status, out.decode(), err.decode()


def submit(user, *argv, message=MESSAGE, to="b@example.org", **more):
    return run_as(user, [PROGRAM, "-i", *argv, to], message, **more)


def submitted(user, *argv, **more):
    """A message in the queue; gives its id."""
    before = set(entries())
    done = submit(user, *argv, **more)
    want(done == (0, "", ""), done)
    new = set(entries()) - before
    want(len(new) == 1, new)
    return new.pop().partition(",")[0]


def entries(part="mess"):
    return sorted(os.listdir(QUEUE / part))


def entry(identity):
    found = [name for name in entries() if name.startswith(identity + ",")]
    want(len(found) == 1, f"{identity}: {found}")
    return QUEUE / "mess" / found[0]


def listing(user):
    """The ids that -bp shows."""
    status, out, err = run_as(user, [PROGRAM, "-bp", "--json"])
    want(status == 0 and not err, (status, out, err))
    return {e["id"] for e in json.loads(out)}


class Machine:
    """An empty queue, a relay, a configuration. A context."""

    def __init__(self, folder, certificates, script=SCRIPT, password=None,
                 general=""):
        self.general = general
        self.folder = folder
        self.script = script
        self.password = password or f"password_file = {SECRET}"

    def __enter__(self):
        for part in ("mess", "tmp", "corrupt"):
            for name in os.listdir(QUEUE / part):
                os.unlink(QUEUE / part / name)
        log = ROOT / "log"
        log.write_text("")
        log.chmod(0o666)
        self.events = None
        self.relay = harness.Server(self.folder, 1, self.script,
                                    f"{ROOT}/certs")
        CONFIG.write_text(TEXT.format(
            root=ROOT, port=self.relay.port, certificates=ROOT / "certs",
            password=self.password, general=self.general))
        CONFIG.chmod(0o644)
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        if self.events is None:
            self.events = self.relay.stop()
        return self.events

    def messages(self):
        """What arrived; nothing odd may have been seen on the way."""
        self.stop()
        return self.relay.accepted()

    def drain(self, user="posthaste"):
        done = run_as(user, [PROGRAM, "-q"])
        want(done == (0, "", ""), done)


def log_text():
    return (ROOT / "log").read_text(errors="replace")


def denied(user, code):
    """Python code that must end with PermissionError for this user."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            os.setgroups([])
            os.setresgid(*[GIDS[user]] * 3)
            os.setresuid(*[IDS[user]] * 3)
            exec(code, {"os": os})
        except PermissionError:
            status = 0
        finally:
            os._exit(status)
    want(os.waitpid(pid, 0)[1] == 0, f"{user} may: {code}")


def no_new_privileges():
    LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


# --- callers by a socket ---

class SocketUnit:
    """What systemd does for contrib/systemd's socket unit. passes: with
    PassCredentials=, as there."""

    def __init__(self, path, passes=True):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, passes)
        self.socket.bind(path)
        os.chmod(path, 0o666)
        self.socket.listen()
        self.children = []
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            with peer:
                self.children.append(subprocess.Popen(
                    [PROGRAM, "-bs", "-odq"], stdin=peer, stdout=peer,
                    stderr=subprocess.PIPE, env={"PATH": harness.PATH},
                    cwd="/", user=IDS["posthaste"], extra_groups=[],
                    group=GIDS["posthaste"], preexec_fn=no_new_privileges))

    def stop(self):
        harness.stop_listening(self.socket, self.thread)
        return [(c.communicate(timeout=30)[1], c.returncode)
                for c in self.children]


# --- entries by hand ---

def hand_in(user, data, when="0", claimed=None, **more):
    size = len(data) if claimed is None else claimed
    return run_as(user, [DROP, "write", when],
                  b"posthaste-drop 1 %d\n" % size + data, **more)


# --- setting it up ---

def own_etc():
    """A copy of /etc in place of it, for this namespace alone."""
    copy = ROOT / "etc"
    shutil.copytree("/etc", copy, symlinks=True,
                    ignore_dangling_symlinks=True)
    house.command("mount", "--bind", copy, "/etc")
    for name in ("passwd", "group", "shadow", "gshadow"):
        path = pathlib.Path("/etc", name)
        if path.exists():
            path.write_text("".join(
                line for line in path.read_text().splitlines(True)
                if line.partition(":")[0] not in
                ("posthaste", "alice", "bob")))
    house.command("mount", "-t", "tmpfs", "tmpfs", "/var/log")
    for user in ("alice", "bob"):
        with open("/etc/passwd", "a") as passwd:
            passwd.write(f"{user}:x:{IDS[user]}:{GIDS[user]}:{user.title()}"
                         f":{ROOT}/home/{user}:/bin/sh\n")
        with open("/etc/group", "a") as group:
            group.write(f"{user}:x:{GIDS[user]}:\n")


def build(certificates):
    folder = ROOT / "build"
    source = house.pristine(ROOT)
    places = [f"--prefix={PREFIX}", f"--localstatedir={PREFIX}/var",
              f"--sysconfdir={PREFIX}/etc"]
    most = f"-DDROP_ENTRY_MAX={ENTRY_MAX}"
    house.configure(source, folder, *places, "CFLAGS=-O1",
                    f"CPPFLAGS={most}")
    house.make(folder, "posthaste", "posthaste-drop")
    house.make(folder, "install")
    if MUSL:
        musl = ROOT / "musl"
        house.configure(source, musl, *places, "CFLAGS=-O1", "CC=musl-gcc",
                        f"CPPFLAGS={most} -isystem {MUSL}/include",
                        f"LDFLAGS=-L{MUSL}/lib")
        house.make(musl, "posthaste", "posthaste-drop")
        PROGRAM.rename(SENDS)
        for path in (PROGRAM, DROP):
            shutil.copy(musl / path.name, path)
            want("musl" in house.command("readelf", "-p", ".interp", path),
                 f"{path}: is not linked with musl")
    own_etc()
    house.command(house.SOURCE / "contrib/setup", QUEUE, DROP)
    for line in open("/etc/passwd"):
        if line.startswith("posthaste:"):
            IDS["posthaste"] = int(line.split(":")[2])
            GIDS["posthaste"] = int(line.split(":")[3])
    CONFIG.parent.mkdir(exist_ok=True)
    SECRET.write_text("pencil\n")
    SECRET.chmod(0o600)
    os.chown(SECRET, IDS["posthaste"], GIDS["posthaste"])
    for user in ("alice", "bob", "posthaste", "root"):
        home = ROOT / "home" / user
        home.mkdir(parents=True)
        os.chown(home, IDS[user], GIDS[user])
    harness.make_certificates(certificates)
    os.chmod(certificates, 0o755)
    for name in os.listdir(certificates):
        os.chmod(f"{certificates}/{name}", 0o644)


def inside(tests):
    house.command("mount", "-t", "tmpfs", "-o", "mode=755,size=600m",
                  "tmpfs", ROOT)
    tempfile.tempdir = str(ROOT)
    os.umask(0o022)
    try:
        build(f"{ROOT}/certs")
    except (Failure, OSError, subprocess.TimeoutExpired) as why:
        text = str(why).replace("\n", "\n# ")
        print(f"Bail out! cannot be built: {text}")
        return 1
    # one machine, so one at a time
    return harness.tap(tests, workers=1)


def main(tests, more=()):
    """Runs tests, by their functions' names, and more, of other names."""
    harness.need_programs()
    if "SHARED_ROOT" in os.environ:
        return inside([(test.__name__.replace("_", "-"), test)
                       for test in tests] + list(more))
    if os.geteuid():
        print("Bail out! must be root")
        return 1
    # on the machine itself nothing is changed: what is mounted, made and
    # started in there ends with it
    with tempfile.TemporaryDirectory(prefix="shared-") as root:
        return subprocess.call(
            harness.namespace("mount", "pid") + [sys.executable] + sys.argv,
            env={**os.environ, "SHARED_ROOT": root})
