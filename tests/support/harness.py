# SPDX-License-Identifier: GPL-3.0-or-later
"""What all tests share, each in one way: scratch folders and TAP, the program
and any other to its end in bounded time, the scripted server and daemons,
namespaces, waiting for something."""

import concurrent.futures
import contextlib
import ctypes
import json
import os
import pathlib
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

TOP = pathlib.Path(os.environ.get(
    "TOP_SRCDIR", pathlib.Path(__file__).resolve().parents[2])).resolve()
POSTHASTE = os.path.abspath(os.environ.get("POSTHASTE", "./posthaste"))
SERVER = os.path.abspath(os.environ.get("WIRE_SERVER", "./tests/wire/server"))
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """A test that did not find what it expected."""


class Skip(Exception):
    """A test of something that this program or machine cannot do."""


def want(condition, what):
    if not condition:
        raise Failure(str(what))


def equal(found, wanted, what):
    want(found == wanted, f"{what}: {found!r}, not {wanted!r}")


def eventually(find, what, seconds=20):
    """What find() gives once it gives something."""
    end = time.monotonic() + seconds
    while not (found := find()):
        want(time.monotonic() < end, f"{what}: not within {seconds} s")
        time.sleep(0.02)
    return found


def stop_listening(listener, thread):
    """Ends a thread that accepts there. One that is closed under it may be
    somebody else's listener, by its number, when the thread accepts again."""
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)
    listener.close()


def need_programs():
    for program in (POSTHASTE, SERVER):
        if not os.access(program, os.X_OK):
            sys.exit(f"Bail out! {program} is not there")


def need(*programs):
    for program in programs:
        if not shutil.which(program, path=PATH):
            raise Skip(f"{program} is not installed")


def sanitized():
    """Whether the program is built with a sanitizer, which takes memory and
    system calls of its own."""
    return b"__asan_init" in pathlib.Path(POSTHASTE).read_bytes()


# --- programs ---

def environment(folder, extra=()):
    env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C",
           "HOME": f"{folder}/home", "TMPDIR": f"{folder}/tmp",
           "XDG_CONFIG_HOME": f"{folder}/home/.config",
           "XDG_STATE_HOME": f"{folder}/home/.local/state"}
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        if name in os.environ:
            env[name] = os.environ[name]
    for name in ("home", "tmp"):
        os.makedirs(f"{folder}/{name}", exist_ok=True)
    env.update(extra)
    return env


def start(argv, **more):
    """A child whose three streams are ours unless more says otherwise."""
    return subprocess.Popen(argv, **{
        "stdin": subprocess.PIPE, "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE, **more})


def finish(child, stdin=None, limit=30):
    """Its status, standard output and standard error. One that outlives its
    limit is ended, with its group if it leads one."""
    try:
        out, err = child.communicate(stdin, timeout=limit)
    except subprocess.TimeoutExpired as late:
        if os.getpgid(child.pid) == child.pid:
            os.killpg(child.pid, signal.SIGKILL)
        child.kill()
        _, err = child.communicate()
        raise Failure(
            f"{child.args}: still running after {limit} s; standard error: "
            f"{(err or b'').decode(errors='replace')}") from late
    return child.returncode, out or b"", err or b""


def command(*argv, folder=None, limit=300, good=(0,), stdin=b"", env=None):
    """Runs it; gives standard output with standard error."""
    status, out, _ = finish(start(
        [str(word) for word in argv], cwd=folder, stderr=subprocess.STDOUT,
        env={**os.environ, "PATH": PATH} if env is None else env),
        stdin, limit)
    text = out.decode(errors="replace")
    want(status in good, f"{' '.join(map(str, argv))}: status {status}\n"
         f"{text[-3000:]}")
    return text


def copy_program(program, to):
    """Gives its path. By a process of its own: what is open for writing here
    another thread's child has open, too, for a moment, and nobody can run
    it."""
    command("cp", "--preserve=mode", program, to)
    return os.path.join(to, os.path.basename(program)) \
        if os.path.isdir(to) else str(to)


def program_for(argv):
    """Without -C it is the one that finds no file and no queue of this
    machine's own posthaste."""
    alone = os.path.join(os.path.dirname(POSTHASTE), "tests", "posthaste")
    named = any(word == "--config" or word.startswith(("-C", "--config="))
                for word in map(os.fsdecode, argv))
    return POSTHASTE if named or not os.path.exists(alone) else alone


def run(argv, stdin, env, folder, limit=30, closed=(), name=None):
    """Runs the program; stdin is bytes or None (closed)."""
    closed = set(closed) | ({0} if stdin is None else set())

    def prepare():
        for fd in closed:
            os.close(fd)

    # where a script stands for the program, its name is lost (valgrind.sh)
    program = os.path.join(os.environ["WIRE_NAMES"], name) \
        if name and "WIRE_NAMES" in os.environ else program_for(argv)
    return finish(start(
        [name or POSTHASTE] + argv, executable=program, env=env,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        cwd=folder, preexec_fn=prepare if closed else None), stdin, limit)


class Place:
    """A scratch folder with a configuration, and the program in it."""

    def __init__(self, folder, text=None):
        self.folder = pathlib.Path(folder)
        self.env = environment(folder)
        self.config = self.folder / "config"
        if text is not None:
            self.configure(text)

    def configure(self, text):
        self.config.write_text(text)
        self.config.chmod(0o600)

    def start(self, *argv, env=(), wrap=(), program=None, before=None,
              **more):
        return start(
            [*wrap, program or POSTHASTE, "-C", str(self.config), *argv],
            env={**self.env, **dict(env or ())}, preexec_fn=before,
            **{"cwd": self.folder, **more})

    def run(self, *argv, stdin=b"", limit=60, **more):
        """Its status, and what it said, as text."""
        status, out, err = finish(self.start(*argv, **more), stdin, limit)
        return status, out.decode(), err.decode()

    def log(self):
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""


# --- servers ---

def make_certificates(folder):
    os.makedirs(folder)
    subprocess.run([SERVER, "--make-certs", folder], check=True, timeout=30)


class Server:
    """The scripted server, from its script's text to what it saw."""

    def __init__(self, folder, number, script, certificates, seconds=60):
        self.folder = pathlib.Path(folder)
        name = f"server{number}"
        self.record = self.folder / f"{name}.record"
        self.messages = self.folder / f"{name}.message-"
        path = self.folder / f"{name}.script"
        path.write_text(script, "latin-1")
        self.errors = open(self.folder / f"{name}.stderr", "wb")
        self.process = subprocess.Popen(
            [SERVER, str(path), str(self.record), str(self.messages),
             certificates, str(seconds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self.errors)
        self.port = self._port()

    def _port(self):
        ready, _, _ = select.select([self.process.stdout], [], [], 10)
        words = self.process.stdout.readline().split() if ready else []
        if len(words) != 2:
            self.stop()
            raise Failure("the server did not start: " + (
                self.folder / self.errors.name).read_text())
        return words[1].decode()

    def stop(self):
        """Ends it and gives the events of its record."""
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        self.errors.close()
        if not self.record.exists():
            return []
        return [json.loads(line) for line in
                self.record.read_text().splitlines()]

    def accepted(self):
        """Ends it and gives the messages that it took; nothing odd may have
        been seen on the way."""
        events = self.stop()
        audits = [e["what"] for e in events if e["event"] == "audit"]
        want(not audits, f"the server noted {audits}")
        return [e for e in events if e["event"] == "message" and
                e["accepted"]]

    def message(self, event):
        return self.messages.with_name(event["file"]).read_bytes()


def die_with_us():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Daemon:
    """A program in the foreground, until stop() or our own end."""

    def __init__(self, argv, folder, env=None, name="daemon"):
        self.output = pathlib.Path(folder, f"{name}.output")
        with open(self.output, "wb") as out:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, cwd=folder, preexec_fn=die_with_us,
                env={**os.environ, "PATH": PATH} if env is None else env)

    def words(self):
        return self.output.read_text("latin-1")

    def wait_for(self, ready, what, seconds=30):
        """Until ready() is true."""
        def question():
            want(self.process.poll() is None, f"{what}: it ended")
            return ready()
        try:
            eventually(question, what, seconds)
        except Failure as why:
            self.stop()
            raise Failure(f"{why}\n{self.words()}") from why

    def wait_port(self, port, address="127.0.0.1", greeting=True):
        def ready():
            try:
                with socket.create_connection((address, port), 5) as s:
                    return not greeting or s.recv(100).startswith(b"220")
            except OSError:
                return False
        self.wait_for(ready, f"an answer on port {port}")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()


def dead_port():
    """A socket that is bound and does not listen: connecting is refused as
    long as it is kept."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    return s


def free_ports(n):
    """Ports that nobody listens on, from below the range that the kernel
    takes the ports of clients from."""
    held, ports = [], []
    while len(ports) < n:
        s = socket.socket()
        port = random.randrange(20000, 32000)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            s.close()
            continue
        held.append(s)
        ports.append(port)
    for s in held:
        s.close()
    return ports


# --- namespaces ---

def namespace(*kinds):
    """What a command line begins with to run in namespaces of its own ("net",
    "mount", "uts", "pid"), as root there."""
    argv = ["unshare", *(f"--{kind}" for kind in kinds)]
    if "pid" in kinds:
        argv += ["--fork", "--kill-child", "--mount-proc"]
    return argv + (["--map-root-user"] if os.geteuid() else [])


def enter(*kinds, programs=()):
    """Goes on in namespaces of its own; with "pid" whatever is started there
    ends with the script."""
    for name in ("unshare", *programs):
        if not shutil.which(name, path=PATH):
            sys.exit(f"Bail out! {name} is not installed")
    script = os.path.basename(sys.argv[0])
    if os.environ.get("TEST_INSIDE") != script:
        os.environ["TEST_INSIDE"] = script
        argv = namespace(*kinds)
        os.execvp(argv[0], [*argv, sys.executable, *sys.argv])


# --- TAP ---

def titled(tests):
    """(name, function) pairs of functions named by the first line of what
    they say of themselves."""
    return [((t.__doc__ or t.__name__).split("\n")[0], t) for t in tests]


def chosen(tests, words):
    """Those of (name, function) pairs that the words name, by function,
    number or a part of the name; all without words."""
    found = [(name, function) for i, (name, function) in enumerate(tests)
             if not words or
             {getattr(function, "__name__", ""), str(i + 1)} & set(words) or
             any(not w.isdigit() and w in name for w in words)]
    if not found:
        sys.exit(f"Bail out! no test is called {' or '.join(words)}")
    return found


def attempt(function, *arguments):
    """(verdict, lines) of a test; it may give a list of lines of its own."""
    try:
        said = function(*arguments)
        return "ok", said if isinstance(said, list) else []
    except Skip as why:
        return "skip", [str(why)]
    except Failure as why:
        return "not ok", (str(why) or "failed").splitlines()
    except Exception:  # pylint: disable=broad-except
        # a fault of the test: it fails, and the others go on
        return "not ok", traceback.format_exc().splitlines()


def report(number, name, verdict, lines):
    if verdict == "skip":
        print(f"ok {number} - {name} # SKIP {lines[0]}", flush=True)
        return
    if len(lines) > 200:
        lines[120:-60] = [f"({len(lines) - 180} lines left out)"]
    print("\n".join([f"{verdict} {number} - {name}"] +
                    ["# " + line[:1000] for line in lines]), flush=True)


class Told:
    """Tests of one process, told one after the other as they come."""
    def __init__(self, planned=None):
        self.count = self.failed = 0
        self.planned = planned
        if planned is not None:
            print(f"1..{planned}", flush=True)

    def tell(self, good, name, lines=()):
        """lines: what a failed one has to say."""
        self.count += 1
        self.failed += not good
        report(self.count, name, "ok" if good else "not ok",
               [] if good else [str(line) for line in lines])

    def end(self):
        """The status for sys.exit."""
        if self.planned is None:
            print(f"1..{self.count}", flush=True)
        return 1 if self.failed else 0


def skip_all(why):
    """In place of all tests; the status for sys.exit."""
    print(f"1..0 # SKIP {why}", flush=True)
    return 0


def tap(tests, workers=4, begin=None, only=None, public=False):
    """Runs (name, function(folder, certificates)) pairs side by side and
    prints TAP; the status for sys.exit. only: what is chosen of them, else
    the words of the command line. begin(folder, certificates) starts what
    they share, which they are given in place of the certificates, and which
    has a method stop. public: other users may come in."""
    need_programs()
    tests = chosen(tests, sys.argv[1:] if only is None else only)
    keep = os.environ.get("WIRE_KEEP")
    root = tempfile.mkdtemp(prefix="test-")
    if public:
        os.umask(0o022)
        os.chmod(root, 0o755)
    shared, bad, failed = f"{root}/certs", 0, None
    print(f"1..{len(tests)}", flush=True)

    def one(number, function):
        folder = f"{root}/{number}"
        os.makedirs(folder)
        try:
            return attempt(function, folder, shared)
        finally:
            if not keep:
                shutil.rmtree(folder, ignore_errors=True)

    try:
        make_certificates(shared)
        if begin:
            os.mkdir(f"{root}/server")
            box = []
            verdict, lines = attempt(lambda: box.append(
                begin(f"{root}/server", shared)))
            shared = box[0] if box else None
            failed = None if verdict == "ok" else (verdict, lines)
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            futures = [failed or pool.submit(one, i + 1, function)
                       for i, (_, function) in enumerate(tests)]
            for i, future in enumerate(futures):
                verdict, lines = failed or future.result()
                report(i + 1, tests[i][0], verdict, lines)
                bad += verdict == "not ok"
    finally:
        if begin and shared:
            shared.stop()
        if keep:
            print(f"# kept in {root}")
        else:
            shutil.rmtree(root, ignore_errors=True)
    return 1 if bad else 0
