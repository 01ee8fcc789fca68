#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""A container: everything read-only, no user database, no syslog, no HOME, a
user id of ten digits. Configured by its environment alone, or by a file whose
log has nowhere to go. Needs root. TAP."""

import os
import pathlib
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import Skip, want  # noqa: E402

UID = "4000000123"
SCRIPT = """tls starttls
certificate good
auth PLAIN LOGIN
user me@x.example
password the password
"""
# The root file system is made, then closed to writers; what is exec'ed last
# is the first process.
INSIDE = r"""
mount -t tmpfs tmpfs "$ROOT"
cd "$ROOT"
mkdir usr proc dev etc etc/ssl etc/ssl/certs run run/secrets
for name in bin sbin lib lib64; do
	[ ! -e /$name ] || ln -s usr/$name $name
done
mount --rbind /usr usr
mount -t proc proc proc
touch dev/null
mount --bind /dev/null dev/null
cp "$CERTS/ca.pem" etc/ssl/certs/ca-certificates.crt
printf '127.0.0.1 localhost\n::1 localhost\n' >etc/hosts
cp "$FOLDER/c.conf" etc/posthaste.conf
printf 'the password\n' >run/secrets/password
chown "$UID_INSIDE" run/secrets/password
chmod 400 run/secrets/password
cp "$POSTHASTE" posthaste
mount -o remount,ro "$ROOT"
exec chroot . /usr/bin/setpriv --reuid "$UID_INSIDE" --regid "$UID_INSIDE" \
	--clear-groups --no-new-privs /usr/bin/env -i "$@"
"""
FILE = """[general]
hostname = c.x.example
domain = x.example
aliases =
[queue]
queue = never
[route all]
transport = nowhere
[transport nowhere]
kind = discard
"""
LETTER = b"Subject: x\n\nhi\n"


def contained(folder, certificates, words, stdin=LETTER):
    if os.getuid():
        raise Skip("only root may mount")
    for name in ("unshare", "setpriv", "chroot"):
        if not shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin"):
            raise Skip(f"no {name} here")
    place = pathlib.Path(folder)
    (place / "root").mkdir(exist_ok=True)
    (place / "c.conf").write_text(FILE)
    env = dict(harness.environment(folder), ROOT=f"{folder}/root",
               CERTS=certificates, FOLDER=folder, UID_INSIDE=UID,
               POSTHASTE=harness.POSTHASTE,
               PATH="/usr/sbin:/usr/bin:/sbin:/bin")
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec",
         INSIDE, "inside", *words], input=stdin, env=env, timeout=60,
        capture_output=True)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def by_environment(folder, certificates):
    """three words of the environment are the whole configuration"""
    server = harness.Server(folder, 1, SCRIPT, certificates)
    words = [f"POSTHASTE_URL=submission://me%40x.example@localhost:"
             f"{server.port}", "POSTHASTE_FROM=app@x.example",
             "POSTHASTE_PASSWORD_FILE=/run/secrets/password", "/posthaste"]
    try:
        checked = contained(folder, certificates, words + ["--check"])
        status, out, err = contained(folder, certificates, words + [
            "-i", "b@y.example"])
    finally:
        events = server.stop()
    want(checked[0] == 0 and "from = app@x.example" in checked[1] and
         "queue = never" in checked[1], checked)
    want(status == 0 and not out, f"{status} {out} {err} {events}")
    lines = err.splitlines()
    want(len(lines) == 1 and "status=sent" in lines[0] and
         f"uid={UID}" in lines[0] and "auth=PLAIN" in lines[0], err)
    message, = [e for e in events if e["event"] == "message"]
    want(message["from"] == "app@x.example" and
         message["to"] == ["b@y.example"], message)


def file_and_log(folder, certificates):
    """a log without syslog: the container's own, and never a caller's pipe"""
    send = ["/posthaste", "-C", "/etc/posthaste.conf", "-i", "-f",
            "a@x.example", "b@y.example"]
    status, out, err = contained(folder, certificates, send)
    want(status == 0 and not out and err.count("\n") == 1 and
         "status=sent" in err, f"{status} {out} {err}")
    # a caller that is the first process, with a standard error of its own
    script = '"$@" 2>&1 </dev/null | { grep . && echo heard; }; echo end'
    status, out, err = contained(folder, certificates, [
        "/bin/sh", "-c", script, "sh", *send])
    want((status, out, err) == (0, "end\n", ""), f"{status} {out} {err}")
    # the same standard error: as its own words
    status, out, err = contained(folder, certificates, [
        "/bin/sh", "-c", '"$@"; echo end', "sh", *send])
    want(status == 0 and out == "end\n" and "status=sent" in err,
         f"{status} {out} {err}")


def large(folder, certificates):
    """a message for which there is no room: words, and 74"""
    status, _, err = contained(folder, certificates, [
        "/posthaste", "-C", "/etc/posthaste.conf", "-i", "-f", "a@x.example",
        "b@y.example"], b"\n" + b"x" * 70 + b"\nyy\n" * 1000000)
    want(status in (73, 74) and "posthaste: " in err, f"{status} {err}")


def main():
    return harness.tap([(test.__doc__, test) for test in (
        by_environment, file_and_log, large)])


if __name__ == "__main__":
    sys.exit(main())
