#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scripts of packages, in a folder that stands for the root and with a
debconf of our own: what answers become, and what is left behind. TAP."""

import os
import pathlib
import subprocess
import sys

TOP = pathlib.Path(os.environ.get(
    "TOP_SRCDIR", pathlib.Path(__file__).resolve().parents[2]))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import want  # noqa: E402

# of the questions that are asked, what is answered
DEBCONF = """db_get() { RET=$(cat "$ROOT/answers/${1#posthaste/}" 2>/dev/null \\
	&& echo .) || RET=.; RET=${RET%?}; }
db_set() { printf %s "$2" >"$ROOT/answers/${1#posthaste/}"; }
db_stop() { :; }
db_title() { :; }
db_subst() { :; }
db_input() { echo "$2" >>"$ROOT/asked"; }
db_go() { :; }
"""
# what would change the machine
STUBS = ("apparmor_parser", "dpkg-statoverride", "setpriv", "systemd-sysusers",
         "systemd-tmpfiles")
CHOWN = """#!/bin/sh
[ "$1 $(stat -c '%a %s' "$2")" = "posthaste 600 0" ] || exit 1
"""
CHECK = """#!/bin/sh
exec "$REAL" "$@" 2>"$ROOT/said"
"""


class Machine:
    def __init__(self, folder):
        self.root = pathlib.Path(folder)
        for name in ("answers", "etc/posthaste", "etc/apparmor.d", "bin",
                     "usr/share/debconf", "usr/share/posthaste"):
            (self.root / name).mkdir(parents=True)
        (self.root / "usr/share/debconf/confmodule").write_text(DEBCONF)
        for name in STUBS:
            self.program(name, "#!/bin/sh\n")
        self.program("hostname", "#!/bin/sh\necho box.example.org\n")
        self.program("chown", CHOWN)
        self.program("posthaste", CHECK)
        self.config = self.root / "etc/posthaste.conf"
        self.secret = self.root / "etc/posthaste/relay.password"

    def program(self, name, text):
        path = self.root / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def answer(self, **answers):
        for name, text in answers.items():
            (self.root / "answers" / name).write_text(text)

    def script(self, name, *words, **more):
        text = (TOP / "contrib/debian" / name).read_text()
        for before in (" ", "=", ":", ">"):
            for folder in ("/etc/", "/usr/share/"):
                text = text.replace(before + folder,
                                    f"{before}{self.root}{folder}")
        want(str(self.root) in text, text)
        done = subprocess.run(
            ["/bin/sh", "-s", *words], input=text, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
            timeout=60, env={
                "PATH": f"{self.root}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "ROOT": str(self.root), "REAL": harness.POSTHASTE,
                "HOME": str(self.root), **more})
        want(done.returncode == 0, done.stderr)
        return done.stderr

    def configure(self):
        return self.script("posthaste.postinst", "configure", "0")

    def settings(self):
        return [line for line in self.config.read_text().splitlines()
                if " = " in line]


RELAY = {"mailname": "example.org", "relay": "smtp.example.net:587",
         "relay_user": "host@example.org", "relay_password": "secret",
         "root_mail": "admin@example.org"}


def answers(folder, _certificates):
    """what is answered is what is written, whatever a shell makes of it"""
    for number, (user, password) in enumerate((
            ("host@example.org", "secret"), ("EXAMPLE\\nina", "pass\\tword"),
            ("a\\c", "\\\\"), ("%s$HOME`id`", " %d ' \" # ; ")), 1):
        machine = Machine(f"{folder}/{number}")
        machine.answer(**{**RELAY, "relay_user": user,
                          "relay_password": password})
        machine.configure()
        want(machine.settings() == [
            "domain = example.org", "default_recipient = admin@example.org",
            "queue = always", "transport = relay", "kind = submission",
            "host = smtp.example.net", "port = 587", f"username = {user}",
            f"password_file = {machine.secret}"], machine.settings())
        want(machine.secret.read_text() == password + "\n" and
             machine.secret.stat().st_mode & 0o777 == 0o600,
             machine.secret.stat())
        want(not (machine.root / "answers/relay_password").read_text(),
             "debconf still has the password")


def hosts(folder, _certificates):
    """a relay in each of its spellings"""
    for number, (relay, user, *wanted) in enumerate((
            ("a.example", "", "smtp", "a.example", 25),
            ("a.example", "u", "submission", "a.example", 587),
            ("a.example:465", "u", "submissions", "a.example", 465),
            ("192.0.2.1:2525", "u", "submission", "192.0.2.1", 2525),
            ("2001:db8::1", "u", "submission", "2001:db8::1", 587),
            ("[2001:db8::1]", "", "smtp", "2001:db8::1", 25),
            ("[2001:db8::1]:465", "u", "submissions", "2001:db8::1", 465))):
        machine = Machine(f"{folder}/{number}")
        machine.answer(**{**RELAY, "relay": relay, "relay_user": user})
        machine.configure()
        want(["kind = {}".format(wanted[0]), f"host = {wanted[1]}",
              f"port = {wanted[2]}"] == machine.settings()[4:7],
             machine.settings())


def faults(folder, _certificates):
    """an answer that is no setting is told at once, with what is wrong"""
    machine = Machine(folder)
    machine.answer(**{**RELAY, "root_mail": "a@b.example, c@d.example"})
    said = machine.configure()
    want("mail may not be sent until that is mended" in said, said)
    want("default_recipient: " in (machine.root / "said").read_text(), said)
    machine.answer(root_mail="a@b.example")
    said = machine.configure()
    want("mended" not in said, said)
    want("default_recipient = a@b.example" in machine.settings(),
         machine.settings())
    machine.config.write_text(machine.config.read_text() + "# mine\n")
    machine.answer(root_mail="c@d.example")
    machine.configure()
    want("default_recipient = a@b.example" in machine.settings(),
         machine.settings())


def before(folder, _certificates):
    """whose sendmail was there is found while it is, and when ours has taken
    its place already"""
    for number, (said, wanted) in enumerate((
            ("nullmailer: /usr/sbin/sendmail", "nullmailer"),
            ("posthaste-mta: /usr/sbin/sendmail", "nullmailer"),
            ("msmtp-mta: /usr/sbin/sendmail", "msmtp"),
            ("$([ \"$LC_ALL\" = C ] && echo diversion by || echo Umleitung "
             "durch) local from: /usr/sbin/sendmail\ndma: /usr/sbin/sendmail",
             "dma"),
            ("exim4-daemon-light: /usr/sbin/sendmail", "exim4"),
            ("sendmail-bin: /usr/sbin/sendmail", ""), ("", "nullmailer"))):
        machine = Machine(f"{folder}/{number}")
        machine.program("dpkg-query", f"#!/bin/sh\ncat <<EOF\n{said}\nEOF\n")
        (machine.root / "etc/nullmailer").mkdir()
        (machine.root / "etc/nullmailer/remotes").write_text("x.example\n")
        machine.answer(adopt="true")
        machine.script("posthaste.config", "configure", "")
        found = (machine.root / "answers/replaces").read_text()
        want(found == wanted, f"{said}: {found!r}")
        asked = (machine.root / "asked").read_text().split()
        want(("posthaste/adopt" in asked) == bool(wanted) ==
             ("posthaste/relay" not in asked), asked)


def adopted(folder, _certificates):
    """settings of before that cannot be carried over: mail waits, and goes no
    other way"""
    for number, (status, held) in enumerate(((69, True), (1, True),
                                             (2, False))):
        machine = Machine(f"{folder}/{number}")
        program = machine.root / "usr/share/posthaste/adopt"
        program.write_text(f"#!/bin/sh\nexit {status}\n")
        program.chmod(0o755)
        machine.answer(replaces="nullmailer", adopt="true",
                       mailname="example.org")
        said = machine.configure()
        want(("mail waits until" in said) == held, said)
        want(("code = 451" in machine.settings()) == held,
             machine.settings())
        status, out, err = harness.run(
            ["-C", str(machine.config), "--explain", "a@b.example"], b"",
            harness.environment(folder), folder)
        want((b"transport hold (kind fail)" in out) == held, out + err)
        if held:
            # an upgrade answers nothing
            machine.configure()
            want("code = 451" in machine.settings(), machine.settings())
            again = Machine(f"{folder}/{number}-again")
            again.config.write_text(machine.config.read_text())
            again.answer(mailname="example.org")
            again.script("posthaste.postinst", "configure", "0",
                         DEBCONF_RECONFIGURE="1")
            want("code = 451" not in again.settings(), again.settings())
            machine.answer(**RELAY)
            machine.configure()
            want("transport = relay" in machine.settings() and
                 "code = 451" not in machine.settings(), machine.settings())


def carried(folder, _certificates):
    """one that was carried over is looked at, too"""
    for number, (text, faulty) in enumerate(
            (("[queue]\nqueue = always\n", False),
             ("[transport x]\nkind = smtp\nhost = a.example:587\n", True))):
        machine = Machine(f"{folder}/{number}")
        program = machine.root / "usr/share/posthaste/adopt"
        program.write_text(f"#!/bin/sh\nprintf '{text}' >{machine.config}\n")
        program.chmod(0o755)
        machine.answer(replaces="dma", adopt="true", mailname="example.org")
        said = machine.configure()
        want(("mail may not be sent" in said) == faulty, said)
        want(machine.config.read_text() == text, machine.config.read_text())


NOTED = """#!/bin/sh
echo "${0##*/} $*" >>"$ROOT/noted"
"""


def noted(machine, shell, script):
    """What it has other programs do."""
    done = subprocess.run(
        [shell, "-s", "remove"], input=script, text=True, timeout=60,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        env={"PATH": f"{machine.root}/bin:/usr/bin:/bin",
             "ROOT": str(machine.root)})
    want(not done.returncode, done.stdout)
    return (machine.root / "noted").read_text().splitlines()


def cron(folder, _certificates):
    """the queue is run by cron where systemd is not there, as its owner"""
    line = (TOP / "contrib/debian/posthaste.cron.d").read_text().splitlines()
    *when, who, command = line[-1].split(" ", 6)
    want(len(when) == 5 and who == "posthaste", line[-1])
    program = "/usr/bin/posthaste"
    for number, (booted, there) in enumerate(
            ((False, True), (True, True), (False, False))):
        machine = Machine(f"{folder}/{number}")
        machine.program("posthaste", NOTED)
        (machine.root / "noted").touch()
        text = command.replace("/run/systemd/system", str(
            machine.root / ("bin" if booted else "none"))).replace(
            program, str(machine.root / ("bin/posthaste" if there
                                         else "none")))
        done = noted(machine, "/bin/sh", text + "\n")
        want(done == (["posthaste -q"] if there and not booted else []),
             (booted, there, done))


def removed(folder, _certificates):
    """nothing listens on loopback any more, whoever had that begun"""
    machine = Machine(folder)
    machine.program("deb-systemd-invoke", NOTED)
    text = (TOP / "contrib/debian/posthaste.prerm").read_text()
    want(noted(machine, "/bin/sh", text.replace(
        "/run/systemd/system", str(machine.root))) ==
        ["deb-systemd-invoke stop posthaste-smtp-loopback.socket"], "not told")
    spec = (TOP / "contrib/rpm/posthaste.spec").read_text()
    want("-smtp-loopback.socket" in
         spec.partition("%systemd_preun")[2].partition("\n")[0], spec)


def arch(folder, _certificates):
    """the group is there before a program is given to it"""
    machine = Machine(folder)
    for name in ("systemd-sysusers", "chgrp", "chmod"):
        machine.program(name, NOTED)
    text = (TOP / "contrib/arch/posthaste.install").read_text()
    done = noted(machine, "/bin/bash", text + "post_install\n")
    want([line.split()[0] for line in done] ==
         ["systemd-sysusers", "chgrp", "chmod"], done)


if __name__ == "__main__":
    sys.exit(harness.tap([
        ("answers", answers), ("hosts", hosts), ("faults", faults),
        ("before", before), ("adopted", adopted), ("carried", carried),
        ("cron", cron), ("removed", removed), ("arch", arch)]))
