#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""contrib/adopt: shapes that configurations of each peer have. What it makes
of them passes --check and takes the same ways, or it is named with file and
line; and it never becomes less safe. TAP."""

import contextlib
import functools
import io
import json
import os
import pathlib
import subprocess
import sys
import threading

TOP = pathlib.Path(os.environ.get(
    "TOP_SRCDIR", pathlib.Path(__file__).resolve().parents[2]))
sys.dont_write_bytecode = True
sys.path.insert(0, str(TOP / "tests/support"))
sys.path.insert(0, str(TOP / "contrib/adoption"))
import command  # noqa: E402
import files as machine  # noqa: E402
import harness  # noqa: E402
from adopt_cases import SMALL  # noqa: E402
from adopt_cases_servers import SERVERS  # noqa: E402
from model import Report  # noqa: E402

CASES = SMALL + SERVERS
ADOPT = TOP / "contrib/adopt"
ONE_AT_A_TIME = threading.Lock()


def want(condition, what):
    """What is told of a failure may hold bytes that are no text."""
    harness.want(condition, what.encode("ascii", "backslashreplace").decode())


def lay(root, files):
    """The files of a machine; bytes, text, or a link's target."""
    for path, text in files.items():
        place = pathlib.Path(root, path.lstrip("/"))
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(text, pathlib.PurePath):
            place.symlink_to(text)
        elif isinstance(text, bytes):
            place.write_bytes(text)
        else:
            place.write_text(text, encoding="utf-8")


def adopt(case, root):
    """Result, standard output, what was said, status: as the command."""
    report, result = Report(), None
    # the converter of msmtp's has to turn standard error aside
    with ONE_AT_A_TIME, contextlib.redirect_stderr(io.StringIO()):
        files = machine.Files(root)
        result = command.adopt(case.peer, files, report)
    want(result is not None, f"nothing was found\n{report.lines}")
    command.check(result, files, report, False)
    return result, "\n".join(report.lines), 1 if report.named else 0


def configuration(result, root, folder):
    """As posthaste can use it here: passwords in files of this test."""
    files = machine.Files(root)
    path, _ = command.scratch(result, files, folder)
    for line in pathlib.Path(path).read_text(encoding="utf-8",
                                             errors="surrogateescape") \
            .splitlines():
        if line.startswith("password_file = "):
            place = pathlib.Path(line[16:])
            if not place.exists():
                place.touch(0o600)
    return path


def one(case, folder, certificates):
    del certificates
    root, here = f"{folder}/root", f"{folder}/here"
    os.makedirs(root)
    os.makedirs(here)
    lay(root, case.files)
    result, said, status = adopt(case, root)
    text = result.text()
    for path, secret in case.secrets.items():
        found = {p: s.text for p, s in result.secrets.items()}
        want(found.get(path) == secret, f"{path}: {found}")
    for secret in {s.text for s in result.secrets.values() if s.text}:
        want(secret not in text + said or len(secret) < 3,
             f"a password is told\n{text}\n{said}")
    for line in case.lines:
        want(line in text.splitlines(), f"{line!r} is not in\n{text}\n{said}")
    for word in case.lacks:
        want(word not in text, f"{word!r} is in\n{text}\n{said}")
    for word in case.said:
        want(word in said, f"{word!r} was not said, but\n{said}\n{text}")
    if not case.said:
        want(not said, f"it was said\n{said}\n{text}")
    want(status == case.status, f"status {status}\n{said}\n{text}")
    path = configuration(result, root, here)
    ways(case, path, folder, text)
    leads(case, path, folder, text)


def leads(case, path, folder, text):
    """Who gets mail that is for these."""
    for to, wanted in case.leads.items():
        code, out, err = harness.run(
            ["-C", path, "--explain", "--json", to], None,
            harness.environment(folder), folder)
        want(code == 0, f"{to}: {code} {err.decode()}\n{text}")
        found = {way["recipient"] for way in json.loads(out)}
        want(found == set(wanted.split()), f"{to}: {found}\n{text}")


def ways(case, path, folder, text):
    for argv, kind, hosts, tls in case.ways:
        argv = argv.split()
        code, out, err = harness.run(
            ["-C", path, "--explain", "--json", *argv], None,
            harness.environment(folder), folder)
        want(code in (0, 68, 75), f"{argv}: {code} {err.decode()}\n{text}")
        way = json.loads(out)[0]
        want((way["kind"], way["hosts"], way["tls"]) == (
            kind, hosts.split(), tls), f"{argv}: {way}\n{text}")


# --- the command itself ---

SSMTP = {"/etc/ssmtp/ssmtp.conf": "mailhub=mail.example.org:465\nUseTLS=YES\n"
         "FromLineOverride=YES\nAuthUser=joe\nAuthPass=hunter22\n"}
DMA = {"/etc/dma/dma.conf": "SMARTHOST relay.example.org\nNULLCLIENT\n"}


def run(folder, *argv, umask=0o022, **environ):
    done = subprocess.run(
        [str(ADOPT), *argv], stdin=subprocess.DEVNULL, timeout=100,
        capture_output=True, text=True, check=False, umask=umask,
        env=harness.environment(folder, {"POSTHASTE": harness.POSTHASTE,
                                         **environ}))
    return done.returncode, done.stdout, done.stderr


def recognised(folder, certificates):
    """The peer whose sendmail is installed, by what the link leads to, by
    whose package it is, or because no other has a configuration."""
    del certificates
    link = pathlib.PurePath
    for number, (extra, peer) in enumerate((
            ({"/usr/sbin/sendmail": link("ssmtp"), **DMA}, "ssmtp"),
            ({"/usr/sbin/sendmail": link("/etc/alternatives/mta"),
              "/etc/alternatives/mta": link("/usr/sbin/sendmail.dma"),
              "/usr/sbin/sendmail.dma": "", **DMA}, "dma"),
            ({"/usr/sbin/sendmail": "\x7fELF", **DMA,
              "/var/lib/dpkg/info/dma.list": "/.\n/usr/sbin/sendmail\n",
              "/var/lib/dpkg/info/ssmtp.list": "/.\n"}, "dma"),
            ({"/usr/sbin/sendmail": link("../bin/posthaste")}, "ssmtp"),
            ({"/usr/sbin/sendmail": link("../bin/posthaste"), **DMA,
              "/usr/sbin/sendmail.distrib": link("dma")}, "dma"),
            ({}, "ssmtp"))):
        root = f"{folder}/{number}"
        lay(root, {**SSMTP, **extra})
        status, out, err = run(folder, "--root", root)
        want(status == 0 and f"what {peer} had" in out,
             f"{number}: {status} {out} {err}")


def nothing(folder, certificates):
    del certificates
    os.makedirs(f"{folder}/empty")
    lay(f"{folder}/two", {**SSMTP, **DMA})
    for argv, words in ((["--root", f"{folder}/empty"], "nothing below"),
                        (["--root", f"{folder}/empty", "postfix"],
                         "no configuration of postfix"),
                        (["--root", f"{folder}/two"], "name one")):
        status, out, err = run(folder, *argv)
        want(status == 2 and not out and words in err,
             f"{argv}: {status} {out} {err}")


def usage(folder, certificates):
    del certificates
    for argv, status in ((["--help"], 0), (["qmail"], 64), (["--root"], 64),
                         (["ssmtp", "dma"], 64),
                         (["--root", f"{folder}/none"], 64)):
        code, out, err = run(folder, *argv)
        want(code == status and "adopt" in (err if status else out),
             f"{argv}: {code} {out} {err}")
    done = subprocess.run(["/bin/sh", str(ADOPT)], stdin=subprocess.DEVNULL,
                          timeout=30, capture_output=True, text=True,
                          check=False, env={"PATH": folder})
    want(done.returncode == 69 and "needs python3" in done.stderr, str(done))


def written(folder, certificates):
    """--write: below DIR, with rights, over nothing; the relay is probed, and
    mail is taken by what was written."""
    server = harness.Server(
        folder, 1, "tls starttls\ncertificate good\ntls-auth PLAIN\nuser joe\n"
        "password hunter:22\n", certificates)
    root = f"{folder}/root"
    try:
        lay(root, {
            "/etc/nullmailer/remotes":
                f"localhost smtp port={server.port} starttls user=joe "
                f"pass='hunter:22' x509cafile=/etc/ca.pem\n",
            "/etc/nullmailer/me": "host.example.org\n",
            "/etc/ca.pem": pathlib.Path(certificates, "ca.pem").read_text(),
            "/usr/sbin/sendmail": "x"})
        status, out, err = run(folder, "--root", root, "nullmailer",
                               "--write")
    finally:
        server.stop()
    want(status == 0, f"{status} {out} {err}")
    want("the relay is as it should be" in err and
         "chown posthaste /etc/posthaste/relay.password" in err, err)
    want("hunter" not in out + err, out + err)
    conf = pathlib.Path(root, "etc/posthaste.conf")
    secret = pathlib.Path(root, "etc/posthaste/relay.password")
    want(conf.stat().st_mode & 0o777 == 0o644 and
         secret.stat().st_mode & 0o777 == 0o600, "rights")
    want(secret.read_text() == "hunter:22\n", secret.read_text())
    want(out.startswith(conf.read_text()), out)
    there = [line for line in out.splitlines() if "/usr/sbin/sendmail" in line]
    want(len(there) == 4 and all(line.startswith("#    chroot ")
                                 for line in there), out)
    before = conf.read_text()
    status, out, err = run(folder, "--root", root, "nullmailer", "--write")
    want(status == 1 and "is there already" in err and
         conf.read_text() == before, f"{status} {err}")


def diverted(folder, certificates):
    """The commands that switch and go back do it."""
    del certificates
    root = f"{folder}/root"
    lay(root, {**DMA, "/usr/sbin/sendmail": "old", "/etc/dma/dma.conf":
               "SMARTHOST relay.example.org\nSECURETRANSFER\nPORT 465\n"
               "NULLCLIENT\n",
               "/etc/dma/auth.conf": "u|relay.example.org:hunter22\n"})
    status, out, err = run(folder, "--root", root, "--write", "dma",
                           umask=0o077, POSTHASTE="/bin/true")
    want(status == 0, err)
    want(all(os.stat(f"{root}/{name}").st_mode & 0o777 == mode
             for name, mode in (("etc/posthaste", 0o755),
                                ("etc/posthaste.conf", 0o644),
                                ("etc/posthaste/relay.password", 0o600))),
         "rights under another umask")
    lines = [line[5:].replace(f"chroot {root} ", "").replace(
        " /usr/sbin", f" {root}/usr/sbin") for line in out.splitlines()
        if line.startswith("#    ") and "sendmail" in line]
    sendmail = pathlib.Path(root, "usr/sbin/sendmail")
    for command_ in lines[:2]:
        subprocess.run(command_, shell=True, check=True, timeout=30)
    want(os.readlink(sendmail) == "/usr/local/bin/posthaste", str(lines))
    for command_ in lines[2:]:
        subprocess.run(command_, shell=True, check=True, timeout=30)
    want(sendmail.read_text() == "old", str(lines))


def torn(folder, certificates):
    """What cannot be written leaves nothing behind."""
    del certificates
    root = f"{folder}/root"
    lay(root, {**SSMTP, "/etc/posthaste/relay.password": "another's\n"})
    status, _, err = run(folder, "--root", root, "ssmtp", "--write",
                         POSTHASTE="/bin/true")
    want(status == 1 and "nothing is written" in err, err)
    want(not pathlib.Path(root, "etc/posthaste.conf").exists() and
         pathlib.Path(root, "etc/posthaste/relay.password").read_text() ==
         "another's\n", "something was written")


def inside(folder, certificates):
    """An absolute link stays below DIR, and no file that is none is read."""
    del certificates
    root = f"{folder}/root"
    lay(root, {"/etc/ssmtp/ssmtp.conf": pathlib.PurePath("/srv/mail.conf"),
               "/srv/mail.conf": "mailhub=inside.example.org\n"
               "FromLineOverride=YES\n",
               "/etc/dma/dma.conf": pathlib.PurePath(
                   "../../../../../../../../../../srv/dma.conf"),
               "/srv/dma.conf": "SMARTHOST in.example.org\nNULLCLIENT\n",
               "/etc/nullmailer/remotes": pathlib.PurePath("remotes")})
    os.mkfifo(f"{root}/etc/esmtprc")
    for peer, status, words in (
            ("ssmtp", 0, "inside.example.org"), ("dma", 0, "in.example.org"),
            ("nullmailer", 2, ""), ("esmtp", 2, "")):
        code, out, err = run(folder, "--root", root, peer)
        want(code == status and words in out, f"{peer}: {code} {out} {err}")


def other_machine(folder, certificates):
    """Commands that another machine's msmtprc runs are not run here."""
    del certificates
    root = f"{folder}/root"
    lay(root, {"/etc/msmtprc": "account default\nhost a.example\ntls on\n"
               f"eval touch {folder}/evil\n"})
    status, _, err = run(folder, "--root", root, "msmtp")
    want(status == 1 and "eval" in err and
         not os.path.exists(f"{folder}/evil"), f"{status} {err}")


def main():
    peers = {case.peer for case in CASES}
    want(peers == set(command.READERS), str(peers))
    for peer in peers:
        want(sum(case.peer == peer for case in CASES) >= 10, peer)
    os.environ["POSTHASTE"] = harness.POSTHASTE
    tests = [(f"{case.peer}: {case.title}", functools.partial(one, case))
             for case in CASES]
    tests += [("the peer is recognised", recognised),
              ("nothing is found", nothing), ("usage", usage),
              ("--write", written), ("the commands that switch", diverted),
              ("what cannot be written", torn), ("links", inside),
              ("another machine's commands", other_machine)]
    return harness.tap(tests)


if __name__ == "__main__":
    sys.exit(main())
