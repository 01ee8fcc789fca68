#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""--check: it looks at every file that the configuration names, warns of what
is valid and hardly meant, and ends with a verdict. TAP."""

import json
import os
import pathlib
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import want  # noqa: E402

RELAY = """[route all]
transport = relay
[transport relay]
kind = submission
host = relay.example.org
"""


class Place:
    """A scratch folder with a configuration."""

    def __init__(self, folder, certificates):
        self.folder = pathlib.Path(folder)
        self.certificates = certificates
        self.env = harness.environment(folder)
        self.path = self.folder / "c.conf"

    def file(self, name, text, mode=0o600):
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def run(self, text=None, argv=("--check",), env=()):
        """Status, standard output, standard error; text is the file."""
        before = ["-C", str(self.path)] if text is not None else []
        if text is not None:
            self.file("c.conf", text)
        status, out, err = harness.run(before + list(argv), None,
                                       dict(self.env, **dict(env)),
                                       str(self.folder))
        return status, out.decode(), err.decode()

    def faults(self, text, *faults, warnings=()):
        """Exactly these faults and warnings, "LINE: words" each, in both
        forms of the report."""
        status, out, err = self.run(text)
        want(status == (78 if faults else 0), f"{status} {err}")
        lines = err.splitlines()
        want(len(lines) == len(faults), f"{lines}, not {faults}")
        for line, fault in zip(lines, faults):
            want(line.startswith(f"{self.path}:") and fault in line,
                 f"{fault!r} is not {line!r}")
        said = [line for line in out.splitlines() if "# warning: " in line]
        want(len(said) == len(warnings), f"{said}, not {warnings}")
        for line, warning in zip(said, warnings):
            want(f"{self.path}:{warning}" in line or
                 f"{self.path}: {warning}" in line,
                 f"{warning!r} is not {line!r}")
        last = out.splitlines()[-1]
        want(str(self.path) in last and
             ("no faults" if not faults else "fault") in last, last)
        status, out, err = self.run(text, ["--check", "--json"])
        report = json.loads(out)
        want(not err and set(report) ==
             {"file", "settings", "errors", "warnings"}, f"{err} {report}")
        for name, wanted in (("errors", faults), ("warnings", warnings)):
            want(len(report[name]) == len(wanted) and all(
                set(x) == {"file", "line", "message"} and
                (f"{x['line']}: {x['message']}".startswith(w) or
                 w in f"{x['line']}: {x['message']}")
                for x, w in zip(report[name], wanted)),
                f"{report[name]}, not {wanted}")


def missing(place):
    """One fault a file that is not there, all in one run."""
    place.faults("""[general]
aliases = /nonexistent/aliases
[tls]
ca_file = /nonexistent/ca
crl_file = /nonexistent/crl
[domain x.example]
dkim_selector = a b
dkim_key = /nonexistent/k1 /nonexistent/k2
[route all]
transport = relay
[transport relay]
kind = submission
host = relay.example.org
username = me
password_file = /nonexistent/password
ca_file = /nonexistent/own
certificate = /nonexistent/certificate
key = /nonexistent/key
""", "2: aliases: /nonexistent/aliases: No such file",
                 "4: ca_file: /nonexistent/ca: No such file",
                 "5: crl_file: /nonexistent/crl: No such file",
                 "8: dkim_key: /nonexistent/k1: No such file",
                 "8: dkim_key: /nonexistent/k2: No such file",
                 "15: password_file: /nonexistent/password: No such file",
                 "16: ca_file: /nonexistent/own: No such file",
                 "17: certificate: /nonexistent/certificate: No such file",
                 "18: key: /nonexistent/key: No such file")


def wrong(place):
    """Files that are there and are something else."""
    text = place.file("text", "what is this\n")
    empty = place.file("empty", "")
    folder = place.folder / "folder"
    folder.mkdir()
    fifo = place.folder / "fifo"
    os.mkfifo(fifo, 0o600)
    ca = f"{place.certificates}/ca.pem"
    place.faults(f"""[tls]
ca_file = {text}
crl_file = {ca}
[domain x.example]
dkim_selector = a b
dkim_key = {text} {ca}
[route all]
transport = relay b c d
[transport relay]
kind = submission
host = relay.example.org
username = me
password_file = {empty}
ca_file = {folder}
certificate = {text}
[transport b]
kind = submission
host = relay.example.org
ca_file = {fifo}
certificate = {place.certificates}/client.pem
key = {place.certificates}/good.key
[transport c]
kind = submission
host = relay.example.org
username = me
password_file = {folder}
[transport d]
kind = submission
host = relay.example.org
username = me
password_file = {place.file("open", "secret", 0o604)}
""", "2: ca_file: ", "3: crl_file: ", "6: dkim_key: ", "6: dkim_key: ",
                 "13: password_file: ", "14: ca_file: ",
                 "15: certificate: ", "19: ca_file: ", "20: certificate: ",
                 f"26: password_file: {folder}: Is a directory",
                 "31: password_file: ")


def keys(place):
    """What is wrong with the key of a certificate is said of the key."""
    text = place.file("text", "no certificate\n")
    certificate = f"{place.certificates}/client.pem"
    encrypted = place.folder / "encrypted"
    harness.command("openssl", "genpkey", "-algorithm", "RSA", "-aes128",
                    "-pass", "pass:x", "-out", encrypted)
    for lines, faults in (
            (f"{certificate}\nkey = {text}\n",
             [f"7: key: {text}: holds no private key"]),
            (f"{certificate}\nkey = {encrypted}\n",
             [f"7: key: {encrypted}: holds no private key"]),
            (f"{certificate}\n",
             [f"6: certificate: {certificate}: holds no private key"]),
            (f"{text}\nkey = {text}\n",
             [f"6: certificate: {text}: holds no certificate",
              f"7: key: {text}: holds no private key"])):
        place.faults(f"{RELAY}certificate = {lines}", *faults)


def right(place):
    """And what is as it should be is left alone."""
    key = place.folder / "dkim.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out",
                    str(key)], check=True, timeout=30,
                   stderr=subprocess.DEVNULL)
    password = place.file("password", "secret\n")
    place.faults(f"""[general]
aliases = {place.file("aliases", "root: me@x.example")}
[tls]
ca_file = {place.certificates}/ca.pem
crl_file = {place.certificates}/crl.pem
[log]
to = {place.folder}/log
[queue]
queue = always
directory = {place.folder}
[domain x.example]
dkim_selector = a
dkim_key = {key}
""" + RELAY + f"""username = me
password_file = {password}
ca_file = {place.certificates}/ca.pem
certificate = {place.certificates}/client.pem
key = {place.certificates}/client.key
""")


def unreadable(place):
    """As somebody who may not: a fault, but for what only the owner of the
    queue is to read."""
    if os.geteuid():
        raise harness.Skip("only root can be somebody else")
    os.chmod(place.folder.parent, 0o711)
    os.chmod(place.folder, 0o755)
    password = place.file("password", "secret\n")
    queue = place.folder / "queue"
    queue.mkdir(mode=0o755)
    rest = RELAY + f"username = me\npassword_file = {password}\n"
    place.file("c.conf", rest, 0o644)
    program = place.folder / "posthaste"
    # by a child: what this process writes, its other children may hold open
    subprocess.run(["cp", harness.POSTHASTE, program], check=True, timeout=30)

    def as_nobody():
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
             str(program), "-C", str(place.path), "--check"],
            stdin=subprocess.DEVNULL, timeout=30, check=False, text=True,
            capture_output=True, env=place.env)
        return done.returncode, done.stdout, done.stderr

    status, out, err = as_nobody()
    want(status == 78 and "7: password_file: " in err and
         "Permission denied (read as the user nobody" in err,
         f"{status} {err}")
    place.file("c.conf", f"[queue]\ndirectory = {queue}\n" + rest, 0o644)
    status, out, err = as_nobody()
    want((status, err) == (0, "") and "9: password_file: " in out and
         "root, who owns the queue" in out, f"{status} {err} {out}")


def meaning(place):
    place.faults(f"""[log]
to = /nonexistent/folder/log
[queue]
queue = always
directory = {place.folder}/gone
""" + RELAY + "port = 465\nusername = me\n[transport other]\n"
                 "kind = smtp\nhost = \"h\"\n",
                 "15: host: values are written without quotes",
                 warnings=["11: port: ", "13: no route uses [transport "
                           "other]"])
    place.faults(f"""[log]
to = /nonexistent/folder/log
[queue]
queue = always
directory = {place.folder}/gone
[account default]
full_name = "Alice"
""" + RELAY + "port = 465\nusername = me\n",
                 warnings=["2: to: ",
                           "4: queue: ", "7: full_name: the quotes",
                           "13: port: servers expect TLS from the start",
                           "14: username without a password"])
    place.file("home/.netrc",
               "machine relay.example.org login me password p\n", 0o644)
    place.faults(RELAY + "username = me\n",
                 f"6: username: {place.folder}/home/.netrc: can be read by")
    place.file("home/.netrc",
               "machine relay.example.org login me password p\n")
    place.faults(RELAY + "username = me\n")
    place.faults(RELAY + "password = p\n",
                 warnings=["6: password without a username"])
    place.faults("[queue]\nqueue = always\n",
                 warnings=["2: queue: there is none"])


def old_revocations(place):
    """A CRL past its time is used, and that is said."""
    place.faults(f"""[tls]
crl_file = {place.certificates}/crl-old.pem
""", warnings=["2: crl_file: " + place.certificates + "/crl-old.pem was to be "
               "renewed by "])


def own_file(place):
    """The user's own file, where it sets nothing."""
    own = pathlib.Path(place.env["XDG_CONFIG_HOME"], "posthaste.conf")
    own.parent.mkdir(parents=True, exist_ok=True)
    for text in ("", "# nothing yet\n", "[general]\n"):
        own.write_text(text)
        status, out, err = place.run()
        want(status == 78 and f"{own}: sets nothing" in err, f"{err}")
        want(":0:" not in err + out, err + out)
    own.write_text("[account default]\nfrom = me@x.example\n")
    status, out, err = place.run()
    want((status, err) == (0, "") and
         out.splitlines()[-1] == f"# {own}: no faults", out + err)


def no_file(place):
    """Where it was looked for; and one that is named must be there."""
    status, out, err = place.run()
    last = out.splitlines()[-1]
    want((status, err) == (0, "") and "no configuration file" in last and
         f"{place.env['XDG_CONFIG_HOME']}/posthaste.conf" in last, out + err)
    status, out, err = place.run(None, ["-C", "/nonexistent/c", "--check"])
    want(status == 78 and err.startswith("/nonexistent/c: No such file") and
         "/nonexistent/c" in out.splitlines()[-1], out + err)


def environment(place):
    secret = place.file("secret", "p\n")
    env = {"POSTHASTE_URL": "submissions://me%40x@[::1]:4650",
           "POSTHASTE_PASSWORD_FILE": str(secret),
           "POSTHASTE_FROM": "web@x.example"}
    status, out, err = place.run(env=env)
    want((status, err) == (0, ""), err)
    for line in ("kind = submissions", "host = ::1", "port = 4650",
                 "username = me@x", f"password_file = {secret}",
                 "from = web@x.example", "to = stderr", "queue = never"):
        want(line in out.splitlines(), f"{line} is not in {out}")
    want(out.splitlines()[-1] == "# POSTHASTE_URL: no faults", out)
    status, out, err = place.run(env=dict(env, POSTHASTE_FROM="",
                                          POSTHASTE_PASSWORD_FILE=""))
    want((status, err) == (0, "") and "\nfrom = " not in out and
         "password_file" not in out, (status, out, err))
    status, out, err = place.run(env=dict(
        env, POSTHASTE_URL="smtp://me:pw@host"))
    want(status == 78 and "pw" not in err + out, err)
    status, out, err = place.run(argv=["-i", "b@x.example"], env=dict(
        env, POSTHASTE_URL="smtp://[::1]:1\n[tls]"))
    want(status == 78, f"{status} {err}")


def in_namespace(place, script):
    """As root of a mount namespace of its own."""
    return subprocess.run(
        [*harness.namespace("mount"), "sh", "-ec", script],
        stdin=subprocess.DEVNULL, timeout=60, check=False,
        capture_output=True, text=True, env=place.env)


def no_authorities(place):
    """A slim image without any CA certificate."""
    place.file("c.conf", RELAY)
    done = in_namespace(place, f"""
for d in /etc/ssl /etc/pki; do [ ! -d $d ] || mount -t tmpfs none $d; done
exec {harness.POSTHASTE} -C {place.path} --check""")
    want(done.returncode == 0 and "no CA certificates" in done.stdout,
         f"{done.returncode} {done.stdout} {done.stderr}")


def mounted_secret(place):
    """Readable by all where nobody can change that: used, and warned of."""
    secrets = place.folder / "secrets"
    secrets.mkdir()
    (secrets / "password").write_text("pencil\n")
    (secrets / "password").chmod(0o444)
    place.file("c.conf", RELAY + "username = me\n"
               f"password_file = {secrets}/password\n")
    script = f"exec {harness.POSTHASTE} -C {place.path} --check"
    done = in_namespace(place, script)
    want(done.returncode == 78 and "7: password_file: " in done.stderr,
         f"{done.returncode} {done.stderr}")
    done = in_namespace(place, f"""
mount --bind {secrets} {secrets}
mount -o remount,bind,ro {secrets}
{script}""")
    want(done.returncode == 0 and not done.stderr and
         f"{place.path}:7: password_file: " in done.stdout,
         f"{done.returncode} {done.stdout} {done.stderr}")


def main():
    tests = [(name, lambda folder, certificates, test=test:
              test(Place(folder, certificates))) for name, test in (
        ("files that are missing", missing),
        ("files that are something else", wrong),
        ("files that are something else for a certificate", keys),
        ("files that are right", right),
        ("files that may not be read", unreadable),
        ("what is hardly meant", meaning),
        ("revocations that are old", old_revocations),
        ("an own file that sets nothing", own_file),
        ("no file", no_file),
        ("the environment in place of a file", environment),
        ("no certificate authorities", no_authorities),
        ("a secret that is mounted", mounted_secret))]
    return harness.tap(tests)


if __name__ == "__main__":
    sys.exit(main())
