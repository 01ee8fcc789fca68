#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages on a machine that was booted with systemd: autopkgtest's tests
(control names them), and what contrib/debian/check runs in its containers.

    machine.py over PEER     20 messages by PEER, and again by posthaste
                             installed over it: what is different
    machine.py callers       cron, PHP, mail, units that may gain no rights
    machine.py lifecycle     upgrade, removal, purge with mail that waits
    machine.py newcomer      from apt to root's mail in a minute

The packages come from apt's sources. It changes the machine for good.
"""

import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import peers  # noqa: E402
import sink  # noqa: E402

SINK = pathlib.Path("/run/sink")
CONFIG = pathlib.Path("/etc/posthaste.conf")
QUEUE = pathlib.Path("/var/spool/posthaste")
DROP = pathlib.Path("/usr/libexec/posthaste/posthaste-drop")
UNITS = ["posthaste.timer", "posthaste.path", "posthaste-smtp.socket"]
SERVICES = ["posthaste.service", "posthaste-smtp@.service",
            "posthaste-smtp-loopback@.service"]
ANSWERS = f"""
posthaste posthaste/mailname string example.org
posthaste posthaste/relay string {sink.NAME}:587
posthaste posthaste/relay_user string {peers.USER}
posthaste posthaste/relay_password password {peers.PASSWORD}
posthaste posthaste/root_mail string {peers.ADMIN}
"""


def want(condition, what):
    if not condition:
        raise AssertionError(str(what))


def run(*argv, status=0, **more):
    """What it says. A status of None: any."""
    more.setdefault("stdin", subprocess.DEVNULL)
    if "input" in more:
        del more["stdin"]
    done = subprocess.run(argv, check=False, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=300, text=True,
                          env={**os.environ, "LC_ALL": "C.UTF-8",
                               "DEBIAN_FRONTEND": "noninteractive"}, **more)
    want(status is None or done.returncode == status,
         f"{argv}: {done.returncode}\n{done.stdout}")
    return done.stdout


def apt(*argv):
    return run("apt-get", "-qy", "-o", "Dpkg::Use-Pty=0",
               "--no-install-recommends", *argv)


def answers(text):
    if text.strip():
        run("debconf-set-selections", input=text)


def eventually(find, what, seconds=300):
    until = time.monotonic() + seconds
    while not (found := find()):
        want(time.monotonic() < until, f"{what}: not within {seconds} s\n" +
             run("journalctl", "-n", "40", "--no-pager", status=None))
        time.sleep(0.1)
    return found


# --- the provider ---

def network():
    """It lives behind a wire, as providers do."""
    run("sh", "-ec", f"""
        ip link set lo up
        ip netns add provider
        ip link add wire type veth peer name far
        ip link set far netns provider
        ip addr add 192.0.2.1/24 dev wire
        ip link set wire up
        ip netns exec provider ip addr add {sink.ADDRESS}/24 dev far
        ip netns exec provider ip link set far up
        ip netns exec provider ip link set lo up
        echo nameserver {sink.ADDRESS} >/etc/resolv.conf
        hostname host.example.org
        echo host.example.org >/etc/hostname
        printf '%s\\n' '127.0.0.1 localhost' \
            '192.0.2.1 host.example.org host' >/etc/hosts
        mkdir -p {SINK} /usr/local/share/ca-certificates
        cd {SINK}
        openssl req -x509 -newkey rsa:2048 -nodes -days 30 \
            -subj /CN=authority -keyout authority.key \
            -out /usr/local/share/ca-certificates/authority.crt
        openssl req -newkey rsa:2048 -nodes -subj /CN={sink.NAME} \
            -keyout key -out request
        echo subjectAltName=DNS:{sink.NAME} >extensions
        openssl x509 -req -days 30 -in request -extfile extensions \
            -CA /usr/local/share/ca-certificates/authority.crt \
            -CAkey authority.key -CAcreateserial -out certificate
        cat key certificate >pem
        update-ca-certificates
        id alice || useradd -m alice
    """)


class Provider:
    def __init__(self):
        self.child = None
        (SINK / "mail").write_text("")

    def start(self):
        (SINK / "ready").unlink(missing_ok=True)
        self.child = subprocess.Popen(
            ["ip", "netns", "exec", "provider", sys.executable,
             str(HERE / "sink.py"), str(SINK)], stdin=subprocess.DEVNULL,
            stdout=open("/run/sink/log", "a"), stderr=subprocess.STDOUT)
        eventually((SINK / "ready").exists, "the provider")

    def stop(self):
        self.child.kill()
        self.child.wait()

    @staticmethod
    def mail():
        """By their subjects; one that came in parts is one."""
        mail = {}
        for note in map(json.loads,
                        (SINK / "mail").read_text().splitlines()):
            known = mail.setdefault(note["subject"], {**note, "parts": 0})
            known["to"] = sorted({*known["to"], *note["to"]})
            known["parts"] += 1
        return mail

    def got(self, subject, seconds=300):
        return eventually(lambda: self.mail().get(subject), subject, seconds)


def send(user, argv, text, subject):
    command = ["/usr/sbin/sendmail", *argv]
    if user != "root":
        command = ["setpriv", "--reuid", user, "--regid", user,
                   "--init-groups", "env", f"HOME=/home/{user}",
                   f"USER={user}", f"LOGNAME={user}", *command]
    # from a home of theirs: some look for a file of the user's own
    return run(*command, input=text.replace("%s", subject), cwd="/")


def failed_units():
    # what a removed package's unit left is no unit any more
    return [line.split()[0] for line in run(
        "systemctl", "--failed", "--no-legend", "--plain").splitlines()
        if "not-found" not in line]


def said_of(unit):
    return run("journalctl", "--no-pager", "-n", "20", "-u", unit, status=None)


def booted():
    """A unit of the machine's own that failed before anything was installed is
    started once more, so that what has failed in the end is ours."""
    for unit in failed_units():
        print(f"  {unit} failed while it booted:\n{said_of(unit)}")
        run("systemctl", "restart", unit)


def green():
    """Nothing failed, and what should wait for mail does."""
    failed = failed_units()
    want(not failed, "\n".join([str(failed), *map(said_of, failed)]))
    for unit in UNITS:
        said = run("systemctl", "is-active", unit, status=None).strip()
        want(said == "active", f"{unit}: {said}")
        print(f"  {unit}: {said}, "
              f"{run('systemctl', 'is-enabled', unit).strip()}")
    print("  no unit has failed")
    bad = [line for line in run("journalctl", "--no-pager").splitlines()
           if " posthaste[" in line and
           ("cannot be synced" in line or "not recorded" in line)]
    want(not bad, "\n".join(bad))


def install_posthaste():
    said = apt("install", "posthaste", "posthaste-mta")
    for line in said.splitlines():
        if re.match(r"posthaste: |Removing ", line):
            print("  " + line)
    return said


# --- over another ---

# What is different on purpose. (peer or "" for all, field): why
DIFFERENT = {
    ("", "name"): "a name that is added: -F, else the user's full name",
    ("dma", "address"): "dma leaves an address without a domain",
    ("dma", "to"): "dma passes over recipients on a folded line",
    ("msmtp", "address"): "msmtp leaves an address without a domain",
    ("ssmtp", "address"): "ssmtp leaves an address without a domain",
    ("ssmtp", "sender"): "ssmtp's sender is the From field's, whatever -f says",
    ("dma", "parts"): "dma has a message for each recipient",
}
FIELDS = ["sender", "to", "port", "tls", "user", "address", "name", "lines",
          "parts"]


def facts(note):
    """...of which some are the same by the standards: domains have no case,
    and a comment is a name."""
    def plain(address):
        local, at, domain = address.rpartition("@")
        return local + at + domain.lower()

    said = note["from"] or ""
    found = re.search(r"<([^>]*)>", said)
    address = found.group(1) if found else re.sub(r"\s*\(.*\)", "", said)
    name = said[:found.start()].strip(' "') if found else \
        "".join(re.findall(r"\((.*)\)", said))
    return {**note, "to": sorted(map(plain, note["to"])),
            "sender": plain(note["sender"]), "address": plain(address),
            "name": name}


def twenty(provider, name):
    for i, (user, argv, text) in enumerate(peers.MESSAGES):
        send(user, argv, text, f"{name}-{i + 1}")
    missing = []
    for i in range(len(peers.MESSAGES)):
        try:
            provider.got(f"{name}-{i + 1}", 120 if not missing else 1)
        except AssertionError as why:
            missing.append(i + 1)
            last = why
    if missing:
        print(f"  {name}: not at the provider: {missing}: {last}\n" +
              (SINK / "log").read_text())
    return [provider.mail().get(f"{name}-{i + 1}")
            for i in range(len(peers.MESSAGES))]


def over(name):
    packages, questions, files, commands = peers.PEERS[name]
    if not run("apt-cache", "show", packages[0], status=None).startswith(
            "Package:"):
        print(f"there is no {name} any more")
        sys.exit(77)
    network()
    provider = Provider()
    provider.start()
    for path, text in peers.ALIASES.items():
        pathlib.Path(path).write_text(text)
    answers(questions)
    apt("install", *packages)
    for path, text in files.items():
        pathlib.Path(path).write_text(text)
    for command in commands:
        run("sh", "-ec", command)
    before = twenty(provider, "before")
    said = install_posthaste()
    want("posthaste-mta" in said, said)
    print("  " + run("posthaste", "--check").replace("\n", "\n  "))
    after = twenty(provider, "after")
    unexplained, same = [], 0
    for i, pair in enumerate(zip(before, after)):
        if not all(pair):
            continue
        old, new = map(facts, pair)
        fields = [field for field in FIELDS if old[field] != new[field]]
        same += not fields
        for field in fields:
            why = DIFFERENT.get((name, field)) or DIFFERENT.get(("", field))
            print(f"  message {i + 1}, {field}: {old[field]!r} -> "
                  f"{new[field]!r} ({why or 'UNEXPLAINED'})")
            if not why:
                unexplained.append((i + 1, field))
    print(f"  {name}: {len([m for m in before if m])} of "
          f"{len(peers.MESSAGES)} arrived before, "
          f"{len([m for m in after if m])} after, {same} without any "
          "difference")
    want(all(before), "the mail before is missing, see above")
    want(all(after), "mail is missing, see above")
    green()
    want(not unexplained, unexplained)
    apt("purge", "posthaste", "posthaste-mta")
    left = [path for path in ("/etc/posthaste", "/etc/posthaste.conf")
            if pathlib.Path(path).exists()]
    want(not left, f"left: {left}")


# --- who calls ---

def callers():
    network()
    provider = Provider()
    provider.start()
    answers(ANSWERS)
    install_posthaste()
    apt("install", "cron", "php-cli", "mailutils")
    pathlib.Path("/etc/cron.d/tried").write_text(
        "MAILTO=cron@example.net\n* * * * * alice echo hello from cron\n")
    run("php", "-r", 'exit(mail("php@example.net", "php", "x") ? 0 : 1);')
    run("sh", "-c", "echo x | mail -s mail root")
    run("setpriv", "--reuid", "alice", "--regid", "alice", "--init-groups",
        "sh", "-c", "echo x | mail -s alice-mail root")
    unit = ["systemd-run", "-q", "--wait", "-p"]
    text = "echo Subject: {} | /usr/sbin/sendmail -i unit@example.net"
    run(*unit, "NoNewPrivileges=yes", "-p", "User=alice", "sh", "-c",
        text.format("unprivileged"))
    run(*unit, "DynamicUser=yes", "sh", "-c", text.format("dynamic"))
    run(*unit, "DynamicUser=yes", "-p", "PrivateNetwork=yes", "-p",
        "ProtectSystem=strict", "sh", "-c", text.format("hardened"))
    for subject in ("php", "mail", "alice-mail", "unprivileged", "dynamic",
                    "hardened"):
        note = provider.got(subject)
        want(note["tls"] and note["user"] == peers.USER, note)
        print(f"  {subject}: {note['sender']} -> {note['to']}")
    want(provider.mail()["mail"]["to"] == [peers.ADMIN],
         provider.mail()["mail"])
    want(provider.mail()["unprivileged"]["sender"] == "alice@example.org",
         provider.mail()["unprivileged"])
    found = eventually(lambda: [note for subject, note in
                                provider.mail().items() if "Cron" in subject],
                       "cron's mail", 400)
    want(found[0]["to"] == ["cron@example.net"], found)
    print(f"  cron: {found[0]['sender']} -> {found[0]['to']}")
    for service in SERVICES:
        said = run("systemd-analyze", "security", "--no-pager",
                   service.replace("@", "@x")).splitlines()[-1]
        print(f"  {service}: {said.strip()}")
    green()


# --- from the first day to the last ---

def waiting():
    return run("mailq").count("@example.net")


def submit(provider, subject):
    """...while the provider is away: it waits."""
    provider.stop()
    before = waiting()
    send("alice", ["-i", "a@example.net"], "Subject: %s\n\nx\n", subject)
    eventually(lambda: waiting() > before, "an entry")
    # its first attempt is over: an inactive unit alone may not have begun
    eventually(lambda: all(entry["attempts"] for entry in json.loads(
        run("posthaste", "-bp", "--json"))), "an attempt")
    eventually(lambda: run("systemctl", "is-active", "posthaste.service",
                           status=None).strip() == "inactive", "a run")


def comes(provider, subject):
    """...when the provider is back."""
    provider.start()
    run("posthaste", "--retry", "ALL")
    said = run("systemctl", "start", "posthaste.service", status=None)
    want(not said, said + run("journalctl", "-n", "40", "--no-pager"))
    provider.got(subject)
    eventually(lambda: not waiting(), "an empty queue")


def lifecycle():
    network()
    provider = Provider()
    provider.start()
    answers(ANSWERS)
    newest = run("apt-cache", "policy", "posthaste")
    versions = re.findall(r"(?m)^ {1,5}(?:\*\*\* )?([0-9]\S*) ", newest)
    want(versions, newest)
    apt("install", f"posthaste={versions[-1]}",
        f"posthaste-mta={versions[-1]}")
    secret = pathlib.Path("/etc/posthaste/relay.password")
    want(secret.stat().st_mode & 0o777 == 0o600 and
         secret.owner() == "posthaste", secret.stat())
    want(peers.PASSWORD not in CONFIG.read_text() +
         pathlib.Path("/var/cache/debconf/passwords.dat").read_text(),
         "the password is elsewhere, too")
    want(DROP.stat().st_mode & 0o7777 == 0o2755 and
         DROP.group() == "posthaste", DROP.stat())
    print("  installed: the configuration, the password, the rights")

    submit(provider, "upgraded")
    text = CONFIG.read_text()
    if len(versions) > 1:
        apt("install", "posthaste", "posthaste-mta")
    else:
        apt("install", "--reinstall", "posthaste", "posthaste-mta")
    want(CONFIG.read_text() == text, "another configuration")
    want(DROP.stat().st_mode & 0o7777 == 0o2755, DROP.stat())
    green()
    comes(provider, "upgraded")
    print(f"  upgraded from {versions[-1]} to {versions[0]}: mail came")

    submit(provider, "removed")
    run("systemctl", "enable", "--now", "posthaste-smtp-loopback.socket")
    want(":25 " in run("ss", "-Hltn"), "nothing listens")
    apt("remove", "posthaste", "posthaste-mta")
    want(":25 " not in run("ss", "-Hltn"), "it still listens")
    want(CONFIG.exists() and secret.exists(), "the configuration is gone")
    want(not pathlib.Path("/usr/sbin/sendmail").exists(), "sendmail")
    apt("install", "posthaste", "posthaste-mta")
    green()
    comes(provider, "removed")
    print("  removed and installed again: mail came")

    submit(provider, "purged")
    said = apt("purge", "posthaste", "posthaste-mta")
    want("it is left there" in said, said)
    want(not CONFIG.exists() and not secret.exists(), "a configuration")
    answers(ANSWERS)
    apt("install", "posthaste", "posthaste-mta")
    comes(provider, "purged")
    print("  purged and installed again: mail that waited came")

    # one that somebody wrote is his, whatever debconf was told
    CONFIG.write_text(CONFIG.read_text() + "# mine\n")
    text = CONFIG.read_text()
    answers("posthaste posthaste/relay string other.example\n")
    run("dpkg-reconfigure", "-fnoninteractive", "posthaste")
    want(CONFIG.read_text() == text, CONFIG.read_text())
    CONFIG.write_text("".join(line for line in text.splitlines(True)
                              if line != "# mine\n"))
    run("dpkg-reconfigure", "-fnoninteractive", "posthaste")
    want("host = other.example" in CONFIG.read_text(), CONFIG.read_text())
    answers("posthaste posthaste/relay_auth select google\n")
    run("dpkg-reconfigure", "-fnoninteractive", "posthaste")
    text = CONFIG.read_text()
    want("oauth = google" in text and "password_file" not in text, text)
    said = run("posthaste", "--check", status=None)
    want("posthaste --login relay" in said, said)
    answers("posthaste posthaste/relay_auth select password\n")
    answers(ANSWERS + "posthaste posthaste/setgid boolean false\n")
    run("dpkg-reconfigure", "-fnoninteractive", "posthaste")
    want(sink.NAME in CONFIG.read_text(), CONFIG.read_text())
    want(DROP.stat().st_mode & 0o7777 == 0o755, DROP.stat())
    send("alice", ["-i", "a@example.net"], "Subject: %s\n\nx\n", "no bit")
    provider.got("no bit")
    print("  a changed configuration stayed; without the bit mail came")

    submit(provider, "lost")
    answers("posthaste posthaste/purge_queue boolean true\n")
    apt("purge", "posthaste", "posthaste-mta")
    want(not QUEUE.exists(), "the queue is left")
    left = [path for path in map(pathlib.Path, (
        "/etc/posthaste", "/etc/posthaste.conf", "/var/lib/posthaste",
        "/etc/apparmor.d/disable/usr.sbin.posthaste")) if path.exists()]
    want(not left, f"left: {left}")
    want("posthaste" not in run("dpkg-statoverride", "--list", status=None),
         "an override is left")
    CONFIG.write_text("[queue]\nqueue = never\n")
    apt("install", "posthaste", "posthaste-mta")
    want(CONFIG.read_text() == "[queue]\nqueue = never\n", "overwritten")
    print("  purged with its queue; a configuration that was there stayed")
    green()


def crowd():
    """How long there was more to do than processors, in seconds."""
    try:
        text = pathlib.Path("/proc/pressure/cpu").read_text()
    except OSError:
        return 0.0
    return int(re.search(r"some .*total=(\d+)", text).group(1)) / 1e6


def newcomer():
    network()
    provider = Provider()
    provider.start()
    answers(ANSWERS)
    begun, before = time.monotonic(), crowd()
    said = apt("install", "posthaste", "posthaste-mta", "mailutils")
    installed = time.monotonic() - begun
    run("sh", "-c", "echo hello | mail -s newcomer root")
    note = provider.got("newcomer")
    took = time.monotonic() - begun
    want(note["to"] == [peers.ADMIN], (note, said))
    print(f"  apt install: {installed:.1f} s; root's mail delivered after "
          f"{took:.1f} s")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = used.ru_utime + used.ru_stime
    if crowd() - before > took / 2:
        # others' work, then, is no part of ours
        print(f"  others had the processors: of them it used {used:.1f} s")
        took = min(took, used)
    want(took < 60, "more than a minute")
    green()


TESTS = {"over": over, "callers": callers, "lifecycle": lifecycle,
         "newcomer": newcomer}


def main():
    test = TESTS[sys.argv[1]]
    print(f"{' '.join(sys.argv[1:])}:", flush=True)
    try:
        booted()
        apt("update")
        test(*sys.argv[2:])
    except (AssertionError, OSError, subprocess.TimeoutExpired) as why:
        print(f"FAILED: {why}")
        return 1
    print("passed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
