#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tarball and what it installs: make dist, the tarball configured and
built, make install with and without DESTDIR, make uninstall, make distclean.
TAP on standard output; arguments: names of tests.

TOP_SRCDIR, POSTHASTE, WIRE_SERVER  as for tests/wire/run.py
"""

import grp
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
import house  # noqa: E402
from harness import Failure, want  # noqa: E402

UNITS = ["posthaste.service", "posthaste.timer", "posthaste.path",
         "posthaste-smtp.socket", "posthaste-smtp@.service",
         "posthaste-smtp-loopback.socket",
         "posthaste-smtp-loopback@.service"]
# what a tarball must have of these folders, by their names' ends
WANTED = {"src": (".c", ".h", "README"),
          "man": (".1", ".5", ".7", ".8"),
          "contrib": ("",),
          "tests": (".c", ".h", ".py", ".sh", ".scenario", ".tsv",
                    "README")}
ALSO = ["README", "COPYING", "configure", "configure.ac", "Makefile.am",
        "Makefile.in", "aclocal.m4", "config.h.in", ".ci/run",
        "build-aux/tap-driver.sh", "build-aux/install-sh"]
NEVER = re.compile(r"\.(o|a|log|trs|pyc|orig|rej|swp)$|~$|/\.git|"
                   r"__pycache__|\.dirstamp|\.deps|autom4te|config\.status")
PROGRAMS = {"bin/posthaste", "libexec/posthaste-drop",
            "libexec/posthaste-fetch", "libexec/posthaste-token"}
LINKS = {"sbin/sendmail", "bin/mailq", "bin/newaliases"}

# [section] -> settings that these units may have (systemd.unit(5) and on)
KNOWN = {
    "Unit": "Description Documentation After Wants CollectMode "
            "StartLimitIntervalSec",
    "Install": "WantedBy",
    "Timer": "OnBootSec OnUnitInactiveSec RandomizedDelaySec",
    "Path": "PathChanged DirectoryNotEmpty Unit TriggerLimitIntervalSec",
    "Socket": "ListenStream SocketMode Accept Backlog FreeBind "
              "MaxConnections MaxConnectionsPerSource PassCredentials "
              "TriggerLimitIntervalSec",
    "Service": "Type User Group ExecStartPre ExecStart TimeoutStartSec "
               "TimeoutStopSec RuntimeMaxSec KillMode Nice "
               "StandardInput StandardOutput StandardError ReadWritePaths "
               "CacheDirectory CapabilityBoundingSet NoNewPrivileges "
               "PrivateDevices PrivateNetwork PrivateTmp ProtectClock "
               "ProtectControlGroups ProtectHome ProtectHostname "
               "ProtectKernelLogs ProtectKernelModules "
               "ProtectKernelTunables ProtectProc ProtectSystem "
               "RestrictAddressFamilies RestrictNamespaces "
               "RestrictRealtime RestrictSUIDSGID LockPersonality "
               "MemoryDenyWriteExecute SystemCallArchitectures "
               "SystemCallFilter UMask"}


class House:
    """What main made: the tarball, its tree, its build."""
    tarball = tree = build = prefix = None


def files_of(root):
    """Every file and link below root, as paths from there."""
    return {str(path.relative_to(root)) for path in pathlib.Path(root)
            .rglob("*") if path.is_symlink() or not path.is_dir()}


def folders_of(root):
    return {path for path in pathlib.Path(root).rglob("*")
            if path.is_dir() and not path.is_symlink()}


# --- the tarball ---

def tarball_is_whole(_folder, _certificates):
    with tarfile.open(House.tarball) as tar:
        names = {member.name.partition("/")[2] for member in tar}
    missing = [name for name in ALSO if name not in names]
    for top, ends in WANTED.items():
        for name in files_of(house.SOURCE / top):
            path = f"{top}/{name}"
            if name.endswith(ends) and not NEVER.search(path):
                missing += [] if path in names else [path]
    want(not missing, f"missing: {missing}")


def tarball_holds_nothing_else(_folder, _certificates):
    with tarfile.open(House.tarball) as tar:
        for member in tar:
            top = member.name.partition("/")[0]
            want(re.fullmatch(r"posthaste-[0-9.]+", top), member.name)
            want(member.isfile() or member.isdir(),
                 f"{member.name} is no plain file")
            want(not NEVER.search(member.name), member.name)
            if member.isfile():
                begin = tar.extractfile(member).read(4)
                want(begin != b"\x7fELF", f"{member.name} is built")


def scripts_are_executable(_folder, _certificates):
    for name in ("contrib/setup", "contrib/check", "contrib/packages",
                 "contrib/quickstart", ".ci/run", "configure"):
        want(os.access(House.tree / name, os.X_OK), name)


def a_copy_is_not_copied(folder, _certificates):
    """Of a tree that is configured in place, into a folder within it."""
    tree = pathlib.Path(folder, "tree")
    (tree / "below/scratch").mkdir(parents=True)
    (tree / "config.status").touch()
    (tree / "Makefile").write_text("distclean:\n\trm config.status\n")
    source, house.SOURCE = house.SOURCE, tree
    try:
        copy = house.pristine(tree / "below/scratch")
    finally:
        house.SOURCE = source
    found = sorted(str(path.relative_to(copy)) for path in copy.rglob("*"))
    want(found == ["Makefile", "below"], found[:9])


def distclean_leaves_nothing(folder, _certificates):
    build = f"{folder}/build"
    house.configure(House.tree, build)
    house.make(build, "posthaste-drop")
    house.make(build, "distclean")
    want(not files_of(build), files_of(build))


# --- installing ---

def expected(prefix_of):
    """Name to mode, None for a link, of what must be there."""
    doc = "share/doc/posthaste"
    wanted = {name: 0o755 for name in PROGRAMS
              if not name.endswith(("-fetch", "-token")) or
              (House.build / os.path.basename(name)).exists()}
    wanted.update({name: None for name in LINKS})
    for name in ("share/man/man1/posthaste.1",
                 "share/man/man5/posthaste.conf.5",
                 "share/man/man7/posthaste-cookbook.7",
                 "share/man/man8/sendmail.8",
                 "share/bash-completion/completions/posthaste",
                 "share/zsh/site-functions/_posthaste",
                 f"{doc}/README", f"{doc}/posthaste.conf"):
        wanted[name] = 0o644
    for unit in UNITS:
        wanted[f"lib/systemd/system/{unit}"] = 0o644
    for folder in ("sysusers.d", "tmpfiles.d"):
        wanted[f"lib/{folder}/posthaste.conf"] = 0o644
    for name in ("adopt", "from-msmtprc"):
        wanted[f"share/posthaste/{name}"] = 0o755
    for name in os.listdir(House.tree / "contrib/adoption"):
        if name.endswith(".py"):
            wanted[f"share/posthaste/adoption/{name}"] = 0o644
    for name in os.listdir(House.tree / "contrib/examples"):
        if name.endswith(".conf"):
            wanted[f"{doc}/examples/{name}"] = 0o644
    return {prefix_of + name: mode for name, mode in wanted.items()}


def check_installed(root, prefix):
    wanted = expected(prefix)
    want(files_of(root) == set(wanted),
         f"too much: {sorted(files_of(root) - set(wanted))}, "
         f"missing: {sorted(set(wanted) - files_of(root))}")
    for name, mode in wanted.items():
        path = pathlib.Path(root, name)
        want(path.is_symlink() == (mode is None), name)
        if mode is not None:
            found = stat.S_IMODE(path.stat().st_mode)
            # where its group is known already it gets its rights
            if name.endswith("posthaste-drop") and has_group():
                mode = 0o2755
            want(found == mode, f"{name}: {found:o}, not {mode:o}")
    inside = prefix.strip("/")
    top = f"/{inside}" if inside else str(root)
    targets = {name: os.readlink(pathlib.Path(root, prefix + name))
               for name in LINKS}
    want(targets == {"sbin/sendmail": f"{top}/bin/posthaste",
                     "bin/mailq": "posthaste",
                     "bin/newaliases": "posthaste"}, targets)


def has_group():
    try:
        return os.geteuid() == 0 and bool(grp.getgrnam("posthaste"))
    except KeyError:
        return False


def install_into_a_staging_folder(folder, _certificates):
    inside = str(House.prefix).strip("/") + "/"
    # the first by someone with a narrow umask, the third over the second
    for umask, root in (("077", f"{folder}/narrow"), ("022", f"{folder}/root"),
                        ("022", f"{folder}/root")):
        house.command("sh", "-c", f"umask {umask} && make -s install "
                      f"DESTDIR='{root}'", folder=House.build)
        check_installed(root, inside)
    want(not House.prefix.exists() or files_of(House.prefix),
         "it was installed past the staging folder")
    house.make(House.build, "uninstall", f"DESTDIR={root}")
    want(not files_of(root), f"left: {files_of(root)}")
    want(not any("examples" in str(path) for path in folders_of(root)),
         "the folder of the examples is left")


def uninstall_takes_only_its_own(folder, _certificates):
    root = f"{folder}/root"
    house.make(House.build, "install", f"DESTDIR={root}")
    inside = pathlib.Path(root, str(House.prefix).strip("/"))
    (inside / "bin/other").write_text("other\n")
    (inside / "lib/systemd/system/other.service").write_text("other\n")
    # another mail program that has come since
    for name in ("sbin/sendmail", "bin/mailq"):
        (inside / name).unlink()
    (inside / "sbin/sendmail").write_text("other\n")
    (inside / "bin/mailq").symlink_to("../sbin/sendmail")
    house.make(House.build, "uninstall", f"DESTDIR={root}")
    want({pathlib.Path(name).name for name in files_of(root)} ==
         {"other", "other.service", "sendmail", "mailq"}, files_of(root))


def group_that_is_there_gets_its_bit(folder, _certificates):
    group, root = f"{folder}/group", f"{folder}/root"
    pathlib.Path(group).write_text("root:x:0:\nposthaste:x:47011:\n")
    house.command("unshare", "--mount", "sh", "-ec",
                  f"mount --bind '{group}' /etc/group\n"
                  f"make -s install DESTDIR='{root}'", folder=House.build)
    drop = pathlib.Path(root, str(House.prefix).strip("/"),
                        "libexec/posthaste-drop").stat()
    want(stat.S_IMODE(drop.st_mode) == 0o2755, f"{drop.st_mode:o}")
    want((drop.st_uid, drop.st_gid) == (0, 47011), drop)


# --- packages ---

def debian_lists(folder):
    """What Debian's packages take, as patterns; and their links' names."""
    taken = [line for name in ("posthaste.install", "posthaste-mta.install")
             for line in (folder / name).read_text().splitlines()]
    links = [line.split()[1] for line in (folder / "posthaste-mta.links")
             .read_text().splitlines()]
    return [line for line in taken if len(line.split()) == 1], links


def debian_takes_what_is_installed(_folder, _certificates):
    taken, links = debian_lists(House.tree / "contrib/debian")
    unused = set(taken)
    for name in expected(""):
        path = f"usr/{name}".replace("libexec/", "libexec/posthaste/") \
            .replace("usr/lib/systemd/system", "${env:UNITDIR}")
        if name in LINKS:
            want(path in links, f"{name}: no link")
            continue
        found = [entry for entry in taken
                 if path == entry or path.startswith(entry + "/")]
        want(len(found) == 1, f"{path}: {found}")
        unused -= set(found)
    want(not unused, f"nothing is there for {unused}")


def maintainer_scripts_are_sound(_folder, _certificates):
    folder = House.tree / "contrib/debian"
    text = "".join((folder / f"posthaste.{part}").read_text() for part in
                   ("config", "postinst", "postrm"))
    asked = set(re.findall(r"(?:db_\w+ posthaste/|answer )(\w+)", text))
    known = set(re.findall(r"(?m)^Template: posthaste/(\w+)$",
                           (folder / "posthaste.templates").read_text()))
    want(asked == known, f"asked and not known, or not asked: "
         f"{asked ^ known}")
    for part in ("config", "postinst", "postrm"):
        house.command("sh", "-n", folder / f"posthaste.{part}")
    want("#DEBHELPER#" in text, "debhelper's part")
    version = House.tree.name.rpartition("-")[2]
    want((folder / "changelog").read_text().startswith(
        f"posthaste ({version}-"), "another version in the changelog")


def setup_makes_what_packages_make(_folder, _certificates):
    """The queue's parts, with their rights."""
    setup = (House.tree / "contrib/setup").read_text()
    listed = (House.prefix / "lib/tmpfiles.d/posthaste.conf").read_text()
    modes = {words[1].rpartition("/")[2]: words[2] for words in
             map(str.split, listed.splitlines())
             if words and words[0] == "d" and "/spool/posthaste/" in words[1]}
    parts = re.findall(r"for part in (.*)[;\n]", setup)
    want(any(set(line.rstrip("; do").split()) == set(modes)
             for line in parts), f"{parts}, {modes}")
    want(set(modes.values()) == {"2770"}, modes)
    want("2770" in setup and "0755" in setup, "setup's rights")


# --- what is installed works ---

CONFIG = """[general]
hostname = client.example.test
domain = example.test
[queue]
queue = never
[log]
to = none
[route all]
transport = relay
[transport relay]
kind = smtp
host = 127.0.0.1
port = {port}
no_starttls = yes
"""


def installed(name, *argv, stdin=b"", folder=None):
    """Runs a command found by its name, as callers do."""
    bins = f"{House.prefix}/sbin:{House.prefix}/bin"
    env = harness.environment(folder, {"PATH": bins})
    where = shutil.which(name, path=bins)
    want(where, f"{name} is not found")
    done = subprocess.run([name, *argv], executable=where, input=stdin,
                          env=env, cwd="/", timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return (done.returncode, done.stdout.decode(), done.stderr.decode())


def names_do_what_they_say(folder, certificates):
    check_installed(House.prefix, "")
    server = harness.Server(folder, 1, "\n", certificates)
    try:
        config = f"{folder}/config"
        pathlib.Path(config).write_text(CONFIG.format(port=server.port))
        want(installed("mailq", "-C", config, folder=folder) ==
             (0, "Mail queue is empty\n", ""), "mailq")
        want(installed("newaliases", folder=folder) == (0, "", ""),
             "newaliases")
        want(installed("sendmail", "-C", config, "-i", "b@example.org",
                       stdin=b"Subject: s\n\nhi\n", folder=folder) ==
             (0, "", ""), "sendmail")
        status, out, _ = installed("posthaste", "--version", folder=folder)
        want(status == 0 and out.startswith("posthaste "), out)
    finally:
        events = server.stop()
    messages = [e for e in events if e["event"] == "message"]
    want(len(messages) == 1 and messages[0]["to"] == ["b@example.org"],
         messages)


def compiled_in_paths(_folder, _certificates):
    text = (House.prefix / "bin/posthaste").read_bytes()
    for path in ("etc/posthaste.conf", "var/spool/posthaste",
                 "libexec/posthaste-drop"):
        want(f"{House.prefix}/{path}".encode() in text, path)
    drop = (House.prefix / "libexec/posthaste-drop").read_bytes()
    want(f"{House.prefix}/var/spool/posthaste".encode() in drop, "drop")


def drop_is_linked_with_libc_alone(_folder, _certificates):
    drop = House.prefix / "libexec/posthaste-drop"
    text = house.command("readelf", "--dynamic", drop)
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", text))
    want(all(re.match(r"libc\.so|ld-linux", name) for name in needed) and
         needed, needed)
    want(not re.search(r"R(UN)?PATH", text), "a path of its own")


# --- the units ---

def settings(path):
    """(section, key, value) of a unit file; a line that is nothing fails."""
    section = None
    for line in path.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        head = re.fullmatch(r"\[(\w+)\]", line)
        pair = re.fullmatch(r"(\w+)=(\S.*|)", line)
        want(head or pair and section, f"{path.name}: {line}")
        if head:
            section = head.group(1)
        else:
            yield section, pair.group(1), pair.group(2)


def units_are_complete(_folder, _certificates):
    folder = House.prefix / "lib/systemd/system"
    for unit in UNITS:
        text = (folder / unit).read_text()
        want(not re.search(r"@\w+@", text), f"{unit}: a placeholder")
        for section, key, value in settings(folder / unit):
            want(key in KNOWN.get(section, "").split(),
                 f"{unit}: [{section}] {key}")
            if key == "ExecStart":
                program = value.lstrip("-").split()[0]
                want(os.access(program, os.X_OK), f"{unit}: {program}")
            if key in ("ReadWritePaths", "PathChanged"):
                # "-": where it is there
                ours = rf"-?({re.escape(str(House.prefix))}/var/" \
                    r"(spool|lib)|/var/log)/posthaste\S*"
                want(all(re.fullmatch(ours, path)
                         for path in value.split()), f"{unit}: {value}")
            if key == "Unit":
                want(value in UNITS, f"{unit}: {value}")
            # systemd then wants a template of the socket's name
            if (key, value) == ("Accept", "yes"):
                want(unit.replace(".socket", "@.service") in UNITS, unit)


def units_please_systemd(_folder, _certificates):
    """Where its own checker is there, it has nothing to say."""
    folder = House.prefix / "lib/systemd/system"
    if not shutil.which("systemd-analyze", path=house.PATH):
        return units_are_complete(_folder, _certificates)
    # instances, as the sockets would have them
    names = [folder / unit.replace("@.", "@1.") for unit in UNITS]
    text = house.command("systemd-analyze", "verify", "--man=no", *names,
                         env={**house.environment(),
                              "SYSTEMD_LOG_LEVEL": "warning"})
    ours = [line for line in text.splitlines() if "posthaste" in line]
    want(not ours, "\n".join(ours))
    return None


def prepare(root):
    House.prefix = root / "prefix"
    source = house.pristine(root)
    first = root / "first"
    house.configure(source, first)
    # what an in-tree build leaves among the tests must stay at home
    house.make(first, "tests/unit/rows", "posthaste-drop")
    house.make(first, "dist")
    House.tarball = next(first.glob("posthaste-*.tar.xz"))
    with tarfile.open(House.tarball) as tar:
        tar.extractall(root)
    House.tree = root / House.tarball.name.removesuffix(".tar.xz")
    House.build = root / "build"
    house.configure(House.tree, House.build, f"--prefix={House.prefix}",
                    f"--with-sysusersdir={House.prefix}/lib/sysusers.d",
                    f"--with-tmpfilesdir={House.prefix}/lib/tmpfiles.d")
    house.make(House.build)
    house.make(House.build, "install")


def main():
    tests = [tarball_is_whole, tarball_holds_nothing_else,
             scripts_are_executable, a_copy_is_not_copied,
             distclean_leaves_nothing,
             install_into_a_staging_folder, uninstall_takes_only_its_own,
             group_that_is_there_gets_its_bit, names_do_what_they_say,
             compiled_in_paths, drop_is_linked_with_libc_alone,
             units_are_complete, units_please_systemd,
             debian_takes_what_is_installed, maintainer_scripts_are_sound,
             setup_makes_what_packages_make]
    tests = [(test.__name__.replace("_", "-"), test) for test in tests]
    harness.need_programs()
    with tempfile.TemporaryDirectory(prefix="install-") as root:
        os.chmod(root, 0o755)
        try:
            prepare(pathlib.Path(root))
        except (Failure, OSError, subprocess.TimeoutExpired) as why:
            text = str(why).replace("\n", "\n# ")
            print(f"Bail out! cannot be built: {text}")
            return 1
        # one at a time: make rebuilds what it thinks is out of date
        return harness.tap(tests, workers=1)


if __name__ == "__main__":
    sys.exit(main())
