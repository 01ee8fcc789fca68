#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose files are obeyed and written, who is asked for, and what the caller's
environment can order: other users' configurations and secrets, a log in
another user's directory, a user database that fails, a password command on a
terminal, set-id starts. Must be root for most of it. TAP on standard output;
arguments: names of tests.

POSTHASTE, WIRE_SERVER  as for tests/wire/run.py
CC                      the C compiler
"""

import os
import pathlib
import pty
import re
import select
import shlex
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
import promises  # noqa: E402
from harness import Skip, want  # noqa: E402
from promises import HELLO, MIB, SECRET  # noqa: E402

ALICE, OWNER = 54321, 54322
TESTS = promises.TESTS
del TESTS[:]
test = promises.test


def as_root():
    if os.geteuid():
        raise Skip("needs root")


def reachable(place):
    """Other users may look into the scratch folder and use the program,
    which is copied there."""
    as_root()
    for folder in (place.folder, pathlib.Path(place.folder).parent):
        os.chmod(folder, 0o755)
    os.chmod(f"{place.folder}/tmp", 0o1777)
    copy = pathlib.Path(place.folder, "bin", "posthaste")
    copy.parent.mkdir(exist_ok=True)
    if not copy.exists():
        harness.copy_program(harness.POSTHASTE, copy)
        copy.chmod(0o755)
    return str(copy)


def sent(place, n):
    found = len(place.messages())
    want(found == n, f"{found} messages, not {n}")


# --- whose configuration ---

def touching(place):
    """A configuration that gives itself away when it is obeyed."""
    text = re.sub(r"(?m)^password.*$", "", place.config.read_text())
    place.config.write_text(
        text + f"password_command = touch {place.folder}/obeyed; "
               f"echo {SECRET}\n")
    return pathlib.Path(place.folder, "obeyed")


@test()
def another_users_configuration(place):
    as_root()
    obeyed = touching(place)
    home = pathlib.Path(place.folder, "home", ".config")
    home.mkdir()
    own = home / "posthaste.conf"
    for owner, mode, words in ((ALICE, 0o644, "belongs to"),
                               (ALICE, 0o600, "belongs to"),
                               (0, 0o666, "written by others"),
                               (0, 0o602, "written by others")):
        for how in ("named", "own"):
            path = place.config if how == "named" else own
            path.write_text(place.config.read_text())
            os.chown(path, owner, owner)
            path.chmod(mode)
            before = ["-C", str(path)] if how == "named" else []
            for argv, limit in ((["-i", "b@example.org"], 78),
                                (["--check"], 78), (["-q"], 78)):
                child = subprocess.run(
                    [harness.POSTHASTE, *before, *argv], input=HELLO,
                    env=place.env, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE, timeout=40, check=False)
                said = (child.stdout + child.stderr).decode()
                want(child.returncode == limit and words in said and
                     str(path) in said, (how, owner, oct(mode), argv,
                                         child.returncode, said))
            want(not obeyed.exists(), f"obeyed: {how} {owner} {mode:o}")
            path.chmod(0o644)
            os.chown(path, 0, 0)
    sent(place, 0)


@test()
def ones_own_and_roots_configuration(place):
    program = reachable(place)
    for owner in (0, ALICE):
        place.config.chmod(0o644 if owner == 0 else 0o600)
        if owner == 0:
            touching(place)
        os.chown(place.config, owner, owner)
        pathlib.Path(place.folder, "log").unlink(missing_ok=True)
        os.chmod(place.folder, 0o777)
        done = place.send(program=program, user=ALICE)
        want(done == (0, "", ""), (owner, done))
    sent(place, 2)


# --- whose secrets ---

@test(transport="password_file = {secret}")
def another_users_secret(place):
    as_root()
    secret = pathlib.Path(place.folder, "secret")
    secret.write_text(SECRET + "\n")
    text = place.config.read_text().replace("{secret}", str(secret))
    place.config.write_text(text)
    for owner, mode, words in ((ALICE, 0o600, "belongs to"),
                               (0, 0o602, "written by others"),
                               (0, 0o604, "read by others")):
        os.chown(secret, owner, owner)
        secret.chmod(mode)
        status, _, err = place.send()
        want(status == 78 and words in err and SECRET not in err,
             (owner, oct(mode), status, err))
    os.chown(secret, 0, 0)
    for mode in (0o600, 0o400, 0o640):
        secret.chmod(mode)
        want(place.send() == (0, "", ""), oct(mode))
    sent(place, 3)


@test(transport="password_file = {secret}")
def a_secret_out_of_reach(place):
    program = reachable(place)
    secret = pathlib.Path(place.folder, "secret")
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    place.config.write_text(
        place.config.read_text().replace("{secret}", str(secret)))
    place.config.chmod(0o644)
    status, _, err = place.send(program=program, user=ALICE)
    want(status == 78 and "Permission denied (read as" in err and
         "belongs to the user root" in err, (status, err))


@test(transport="")
def another_users_netrc(place):
    as_root()
    netrc = pathlib.Path(place.folder, "home", ".netrc")
    netrc.write_text(f"machine localhost login user password {SECRET}\n")
    os.chown(netrc, ALICE, ALICE)
    netrc.chmod(0o600)
    status, _, err = place.send()
    want(status == 78 and "belongs to" in err, (status, err))
    os.chown(netrc, 0, 0)
    want(place.send() == (0, "", ""), "root's own")
    sent(place, 1)


# --- the log ---

def owned_queue(place, owner):
    queue = pathlib.Path(place.folder, "queue")
    for part in ("", "tmp", "mess", "corrupt"):
        path = queue / part
        path.mkdir(exist_ok=True, mode=0o700)
        os.chown(path, owner, owner)


def log_to(place, path):
    place.config.write_text(re.sub(r"(?m)^to = .*$", f"to = {path}",
                                   place.config.read_text()))


@test()
def a_log_in_another_users_directory(place):
    as_root()
    program = reachable(place)
    roots = pathlib.Path(place.folder, "roots")
    roots.mkdir(mode=0o755)
    theirs = pathlib.Path(place.folder, "theirs")
    theirs.mkdir(mode=0o755)
    os.chown(theirs, OWNER, OWNER)
    (theirs / "link.log").symlink_to(roots / "preload")
    (theirs / "folder").symlink_to(roots)
    (roots / "kept").write_text("kept\n")
    os.chown(theirs / "link.log", OWNER, OWNER, follow_symlinks=False)
    os.chown(theirs / "folder", OWNER, OWNER, follow_symlinks=False)
    n = 0
    for stepping in (False, True):
        if stepping:
            owned_queue(place, OWNER)
        for name in ("link.log", "folder/posthaste.log", "folder/kept"):
            log_to(place, theirs / name)
            done = place.send(program=program)
            n += 1
            want(done == (0, "", ""), (stepping, name, done))
            place.send("-C", "/nonexistent", program=program)
            want(sorted(p.name for p in roots.iterdir()) == ["kept"],
                 f"made: {list(roots.iterdir())}")
            want((roots / "kept").read_text() == "kept\n" and
                 (roots / "kept").stat().st_uid == 0, "written, or given")
            _, out, err = place.run("--check", program=program)
            want("syslog takes its place" in out + err, (name, out, err))
    sent(place, n)


@test()
def a_log_in_roots_directory(place):
    program = reachable(place)
    owned_queue(place, OWNER)
    folder = pathlib.Path(place.folder, "logs")
    folder.mkdir(mode=0o755)
    log_to(place, folder / "posthaste.log")
    want(place.send(program=program) == (0, "", ""), "root's mail")
    st = (folder / "posthaste.log").stat()
    want((st.st_uid, st.st_mode & 0o7777) == (OWNER, 0o640),
         f"{st.st_uid} {st.st_mode:o}")
    text = (folder / "posthaste.log").read_text()
    want("status=sent" in text, text)
    # one that nobody here can write changes no status
    log_to(place, folder / "absent" / "log")
    want(place.send(program=program) == (0, "", ""), "without a log")
    status, out, err = place.run("--check", program=program)
    want(status == 0 and "syslog takes its place" in out + err, (out, err))
    sent(place, 2)


@test()
def a_log_that_is_full(place):
    log_to(place, "/dev/full")
    want(place.send() == (0, "", ""), "/dev/full")
    log_to(place, "/dev/stderr")
    status, _, err = place.send()
    want(status == 0 and "status=sent" in err, (status, err))
    sent(place, 2)


# --- the user database ---

DATABASE = """
#include <errno.h>
#include <pwd.h>
#include <stddef.h>
int getpwuid_r(uid_t uid, struct passwd *p, char *b, size_t n,
               struct passwd **r)
{
    (void)uid; (void)p; (void)b; (void)n;
    *r = NULL;
    return ERROR;
}
struct passwd *getpwuid(uid_t uid)
{
    (void)uid;
    errno = ERROR;
    return NULL;
}
"""


def broken_database(place, error):
    source = pathlib.Path(place.folder, "database.c")
    source.write_text(DATABASE)
    library = pathlib.Path(place.folder, f"{error}.so")
    subprocess.run([*shlex.split(os.environ.get("CC", "cc")), "-shared",
                    "-fPIC", f"-DERROR={error}", "-o", str(library),
                    str(source)], check=True, timeout=60)
    # a sanitizer wants to be the first among the libraries
    return {"LD_PRELOAD": str(library),
            "ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0"}


@test(queue="never")
def a_user_database_that_fails(place):
    login = subprocess.run(["id", "-un"], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.strip()
    place.config.write_text(
        place.config.read_text() + f"[account a]\nuser = {login}\n"
        "from = a@example.org\nforce_from = yes\n"
        "[transport no]\nkind = fail\n[route other]\naccount = a\n"
        "transport = relay\n")
    for error in ("EIO", "ENFILE", "EMFILE", "ENOMEM"):
        done = place.send(env=broken_database(place, error))
        want(done[0] == 75 and "user database" in done[2], (error, done))
        done = place.send("-f", "x@example.org",
                          env=broken_database(place, error))
        want(done[0] == 75, (error, done))
        # HOME is not known either
        env = {**broken_database(place, error), "HOME": ""}
        done = place.send(env=env)
        want(done[0] == 75, (error, done))
    for error in ("0", "ENOENT", "ESRCH"):
        done = place.send(env=broken_database(place, error))
        want(done == (0, "", ""), (error, done))
    sent(place, 3)


@test()
def nobody_to_step_down_to(place):
    as_root()
    owned_queue(place, OWNER)
    done = place.send(env=broken_database(place, "EIO"))
    want(done[0] == 75, done)
    sent(place, 0)


# --- orders from the environment ---

@test()
def orders_from_the_environment(place):
    if harness.sanitized():
        return        # GnuTLS is linked there, and begins before main does
    trap = f"{place.folder}/trap"
    for name in ("SSLKEYLOGFILE", "KRB5_TRACE", "MALLOC_TRACE",
                 "GNUTLS_SYSTEM_PRIORITY_FILE", "GSSAPI_MECH_CONF",
                 "HOSTALIASES", "CARES_HOSTS"):
        want(place.send(env={name: trap}) == (0, "", ""), name)
        want(not os.path.exists(trap), f"{name}: written")
    pathlib.Path(trap).write_text("[overrides]\ndefault-priority-string = "
                                  "NONE\n")
    done = place.send(env={"GNUTLS_SYSTEM_PRIORITY_FILE": trap,
                           "GNUTLS_SYSTEM_PRIORITY_FAIL_ON_INVALID": "1"})
    want(done == (0, "", ""), done)
    os.unlink(trap)
    for name in ("GNUTLS_DEBUG_LEVEL", "GNUTLS_NO_EXPLICIT_INIT",
                 "P11_KIT_DEBUG"):
        want(place.send(env={name: "99"}) == (0, "", ""), name)
    place.send("-v", env={"SSLKEYLOGFILE": trap})
    place.run("--probe", env={"SSLKEYLOGFILE": trap})
    want(not os.path.exists(trap), "written by -v or --probe")
    sent(place, 12)


# --- the terminal ---

def on_a_terminal(place, keys, limit=30):
    """Sends from a terminal, typing when asked: status, and what was to be
    seen."""
    pid, tty = pty.fork()
    if not pid:
        os.chdir(place.folder)
        with open("message", "rb") as message:
            os.dup2(message.fileno(), 0)
        os.execve(harness.POSTHASTE,
                  [harness.POSTHASTE, "-C", str(place.config), "-i",
                   "b@example.org"], {**place.env})
    seen, typed, end = b"", False, time.monotonic() + limit
    while time.monotonic() < end:
        if select.select([tty], [], [], 0.2)[0]:
            try:
                block = os.read(tty, 4096)
            except OSError:
                break
            if not block:
                break
            seen += block
        if not typed and b"Password: " in seen:
            os.write(tty, keys)
            typed = True
    else:
        os.kill(pid, 9)
    _, status = os.waitpid(pid, 0)
    os.close(tty)
    return os.waitstatus_to_exitcode(status), seen.decode(errors="replace")


ASKS = ("password_command = stty -echo </dev/tty; "
        "printf 'Password: ' >/dev/tty; read x </dev/tty; "
        "stty echo </dev/tty; echo $x")


@test(transport=ASKS, mechanisms="CRAM-MD5")
def a_command_asks_on_the_terminal(place):
    pathlib.Path(place.folder, "message").write_bytes(HELLO)
    status, seen = on_a_terminal(place, SECRET.encode() + b"\n")
    want(status == 0, (status, seen))
    want(SECRET not in seen, seen)
    sent(place, 1)


@test(transport=ASKS, mechanisms="CRAM-MD5")
def a_command_is_interrupted_on_the_terminal(place):
    pathlib.Path(place.folder, "message").write_bytes(HELLO)
    status, seen = on_a_terminal(place, b"\x03")
    want(status == 75, (status, seen))
    sent(place, 0)


# --- how it was started ---

@test()
def set_id_is_refused_and_drained(place):
    program = reachable(place)
    if os.statvfs(place.folder).f_flag & os.ST_NOSUID:
        raise Skip("nosuid here")
    for owner, mode in ((OWNER, 0o4755), (0, 0o4755), (OWNER, 0o2755)):
        os.chown(program, owner, OWNER)
        os.chmod(program, mode)
        for argv in (["-i", "b@example.org"], ["--no-such-option"]):
            child = place.start(*argv, program=program, user=ALICE,
                                group=ALICE, extra_groups=[])
            taken = promises.feed(child, 8 * MIB)
            out, err = child.communicate(timeout=30)
            want(taken >= 8 * MIB and child.returncode == 77 and
                 b"set-user-id" in err and not out,
                 (owner, oct(mode), argv, taken, child.returncode, err))
    sent(place, 0)


@test()
def streams_that_are_closed(place):
    for closed in ((1,), (2,), (1, 2)):
        done = place.start("-i", "b@example.org", before=lambda c=closed: [
            os.close(fd) for fd in c])
        done.communicate(HELLO, timeout=30)
        want(done.returncode == 0, (closed, done.returncode))
    done = place.start("-i", "b@example.org", stdin=None,
                       before=lambda: os.close(0))
    done.communicate(timeout=30)
    want(done.returncode == 66, done.returncode)
    sent(place, 3)


@test()
def no_room_for_a_temporary_file(place):
    as_root()
    script = ("mount -t tmpfs -o ro none /tmp 2>/dev/null || exit 99; "
              "exec \"$0\" \"$@\"")
    shutil.copytree(place.folder, "/var/tmp/rights-test",
                    dirs_exist_ok=True, ignore=lambda *_: ["bin"])
    try:
        # the build folder may be below /tmp
        program = harness.copy_program(harness.POSTHASTE,
                                       "/var/tmp/rights-test/")
        config = pathlib.Path("/var/tmp/rights-test/config")
        config.write_text(re.sub(r"(?m)^to = .*$", "to = none",
                                 config.read_text()))
        env = {name: value for name, value in place.env.items()
               if name != "TMPDIR"}
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, program, "-C",
             str(config), "-i", "b@example.org"],
            input=HELLO + b"line\n" * (MIB // 2),
            env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            timeout=60, check=False)
    finally:
        shutil.rmtree("/var/tmp/rights-test")
    if done.returncode in (99, 1):
        raise Skip("no mount namespace here")
    said = done.stderr.decode()
    want(done.returncode == 74 and "/tmp" in said and "TMPDIR" in said,
         (done.returncode, said))


if __name__ == "__main__":
    sys.exit(promises.main())
