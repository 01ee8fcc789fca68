#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker of the queue can still do once it speaks with a server: a
library of ours, loaded into it, tries. TAP; arguments: names of tests.

POSTHASTE, WIRE_SERVER  as for tests/wire/run.py
CC                      the compiler
"""

import ctypes
import os
import pathlib
import re
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import harness  # noqa: E402
from harness import want  # noqa: E402

# After the first bytes of a server it opens what SPY names ("r/path", "w/path",
# "c/path": to read, to write, to make), looks for a text (SPY_FOR, backwards,
# so that it does not find itself) in what was allocated, and tells which files
# are open; all on standard error.
SPY = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void try_paths(void)
{
	char *all = strdup(getenv("SPY")), *p, *rest;
	int fd;

	for (p = strtok_r(all, ":", &rest); p; p = strtok_r(NULL, ":", &rest)) {
		fd = open(p + 1, *p == 'r' ? O_RDONLY : *p == 'w' ? O_WRONLY :
			  O_WRONLY | O_CREAT | O_EXCL, 0600);
		dprintf(2, "spy %d %s %s\n", (int)getpid(), p,
			fd >= 0 ? "open" : errno == EACCES ? "EACCES" :
			strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	free(all);
}

static void look_for(void)
{
	const char *backwards = getenv("SPY_FOR");
	size_t n = strlen(backwards), i, found = 0;
	char line[512];
	unsigned long at, end;
	FILE *f = fopen("/proc/self/maps", "re");
	char *p;

	while (fgets(line, sizeof(line), f)) {
		if (!strstr(line, "[heap]") ||
		    sscanf(line, "%lx-%lx", &at, &end) != 2)
			continue;
		for (p = (char *)at; p + n <= (char *)end; p++) {
			for (i = 0; i < n && p[i] == backwards[n - 1 - i]; i++)
				;
			found += i == n;
		}
	}
	fclose(f);
	dprintf(2, "spy %d memory %zu\n", (int)getpid(), found);
}

static void look_around(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;
	char path[512], to[512];
	ssize_t n;

	while ((e = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/self/fd/%s", e->d_name);
		n = readlink(path, to, sizeof(to) - 1);
		if (n > 0) {
			to[n] = '\0';
			dprintf(2, "spy %d has %s\n", (int)getpid(), to);
		}
	}
	closedir(d);
}

ssize_t recv(int fd, void *data, size_t size, int flags)
{
	static ssize_t (*real)(int, void *, size_t, int);
	static int done;
	struct sockaddr_storage name;
	socklen_t len = sizeof(name);
	ssize_t n;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "recv");
	n = real(fd, data, size, flags);
	if (n > 0 && !done && getenv("SPY") &&
	    !getpeername(fd, (void *)&name, &len) &&
	    name.ss_family == AF_INET) {
		done = 1;
		try_paths();
		look_for();
		look_around();
		errno = 0;
	}
	return n;
}
"""

HEAD = """[general]
hostname = host.example.test
domain = example.test
[queue]
queue = always
directory = {folder}/queue
[log]
to = {folder}/log
level = debug
"""
RELAY = """[route {name}]
to_domain = {name}.example
transport = {name}{more}
[transport {name}]
kind = submissions
host = localhost
port = {port}
ca_file = {certificates}/ca.pem
username = user
{secret}
"""


class Machine(harness.Place):
    """A queue, and relays that take mail over TLS with a login."""

    def __init__(self, folder, certificates, names, script=""):
        super().__init__(folder)
        self.relays = {
            name: harness.Server(
                folder, number, "tls implicit\nauth PLAIN\n" + script,
                certificates)
            for number, name in enumerate(names, 1)}
        self.certificates = certificates
        self.text = HEAD.format(folder=folder)

    def relay(self, name, secret, more=""):
        self.text += RELAY.format(
            name=name, port=self.relays[name].port, secret=secret, more=more,
            certificates=self.certificates)

    def secret(self, name, text="pencil\n"):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o600)
        return path

    def queued(self, name):
        """Queues a message to a relay; the path of its entry."""
        self.configure(self.text)
        before = set(self.entries())
        done = self.run("-i", "-odq", f"b@{name}.example",
                        stdin=b"Subject: s\n\nx\n")
        want(done == (0, "", ""), done)
        return (set(self.entries()) - before).pop()

    def entries(self):
        mess = self.folder / "queue/mess"
        return list(mess.iterdir()) if mess.exists() else []

    def drained(self, **more):
        status, out, err = self.run("-q", **more)
        want(status == 0 and not out, (status, out, err))
        want(not self.entries(), self.log())
        return err

    def took(self, name, n=1):
        events = self.relays[name].stop()
        found = [e for e in events if e["event"] == "message" and
                 e["accepted"]]
        want(len(found) == n, events)


def has_landlock(place):
    return "sandbox: Landlock" in place.run("--version")[1]


def build(folder):
    source, library = f"{folder}/spy.c", f"{folder}/spy.so"
    pathlib.Path(source).write_text(SPY)
    harness.command(*os.environ.get("CC", "cc").split(), "-shared", "-fPIC",
                    "-O1", "-o", library, source, "-ldl")
    return library


def others_secrets_stay_theirs(folder, certificates):
    """From inside a worker: no password file, no configuration, no entry, no
    file that is not its own is read or written"""
    m = Machine(folder, certificates, ("one", "two"))
    files = {name: m.secret(f"{name}.password") for name in ("one", "two")}
    for name in files:
        m.relay(name, f"password_file = {files[name]}")
    m.text += ("[transport three]\nkind = submissions\nhost = x.example\n"
               "username = user\npassword = hornbeam\n")
    client = m.secret("client.key")
    (m.folder / "linked").symlink_to(client)
    m.text += ("[transport four]\nkind = submissions\nhost = x.example\n"
               f"certificate = {certificates}/client.pem\n"
               f"key = {m.folder}/linked\n")
    netrc = m.secret("home/.netrc", "machine x.example login a password b\n")
    other = m.secret("other")
    entries = {name: m.queued(name) for name in files}
    hidden = [*files.values(), m.config, netrc, client,
              m.folder / "linked", *entries.values()]
    tried = {f"r{path}": "EACCES" for path in hidden}
    tried.update({f"w{path}": "EACCES" for path in [*hidden, other]})
    tried.update({f"c{m.folder}/{new}": "EACCES" for new in (
        "new", "queue/tmp/new", "queue/mess/new", "queue/new")})
    tried.update({f"r{path}": "open" for path in (
        other, "/etc/passwd", f"{certificates}/ca.pem", "/dev/null")})
    tried["w/dev/null"] = "open"
    # of /etc, what libraries need
    tried.update({f"r/etc/{name}": "EACCES" for name in (
        "fstab", "krb5.keytab", "login.defs", "shells",
        "ssl/private/ssl-cert-snakeoil.key") if os.path.isfile(f"/etc/{name}")})
    tried.update({f"r/etc/{name}": "open" for name in (
        "group", "hosts", "nsswitch.conf", "resolv.conf", "services")
        if os.path.isfile(f"/etc/{name}")})
    if not has_landlock(m):
        tried = {"r/dev/null": "open"}
    err = m.drained(env={
        "LD_PRELOAD": build(folder), "SPY": ":".join(tried),
        "SPY_FOR": "hornbeam"[::-1],
        "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"})
    said = re.findall(r"^spy (\d+) (.*)$", err, re.M)
    workers = {pid for pid, _ in said}
    want(len(workers) == 2, err)
    for pid in workers:
        lines = [words for who, words in said if who == pid]
        for path, outcome in tried.items():
            # the other worker's mail may be gone by now
            want(f"{path} {outcome}" in lines or
                 (path[1:] in map(str, entries.values()) and
                  f"{path} No such file or directory" in lines),
                 (path, outcome, err[-2000:]))
        want("memory 0" in lines, err)
        open_entries = [line for line in lines if "/queue/" in line and
                        line.startswith("has ")]
        want(len(open_entries) == 1, open_entries)
        want(not [line for line in lines if line.startswith("has ") and
                  line.endswith("/queue")], lines)
    want({line[4:] for _, line in said
          if line.startswith("has ") and "/queue/" in line} ==
         {str(path) for path in entries.values()}, err)
    m.took("one")
    m.took("two")


def a_key_is_its_transports(folder, certificates):
    """Nobody else's: where walls are the same for all but that, they are not
    shared"""
    m = Machine(folder, certificates, ("one", "two"))
    key = m.secret("key.pem",
                   pathlib.Path(certificates, "client.key").read_text())
    m.relay("one", f"password_file = {m.secret('password')}")
    m.relay("two", f"password_file = {m.secret('password')}\n"
            f"certificate = {certificates}/client.pem\nkey = {key}")
    m.queued("one")
    m.queued("two")
    err = m.drained(env={
        "LD_PRELOAD": build(folder), "SPY": f"r{key}", "SPY_FOR": "x",
        "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"})
    said = re.findall(rf"^spy \d+ r{key} (\w+)$", err, re.M)
    want(sorted(said) == (["EACCES", "open"] if has_landlock(m) else
                          ["open", "open"]), err[-2000:])
    m.took("one")
    m.took("two")


def a_token_is_renewed(folder, certificates):
    """By a command that writes, and reads what the worker may not"""
    m = Machine(folder, certificates, ("one",))
    m.relays["one"].stop()
    m.relays["one"] = harness.Server(
        folder, 2, "tls implicit\nauth OAUTHBEARER\n", certificates)
    stale = m.secret("stale", "old\n")
    m.relay("one", f"token_command = test -f {folder}/n && echo token || "
            f"cat {stale}; echo x >> {folder}/n")
    m.text += (f"[transport two]\nkind = submissions\nhost = x.example\n"
               f"username = user\npassword_file = {stale}\n")
    m.queued("one")
    m.drained()
    want((m.folder / "n").read_text() == "x\nx\n", "asked how often")
    m.took("one")


def a_file_that_is_replaced(folder, certificates):
    """While a run uses its walls for another worker: authorities that came in
    the place of those that were there, as the name servers of a network do"""
    m = Machine(folder, certificates, ("one", "two"))
    anchor = pathlib.Path(folder, "ca.pem")
    anchor.write_bytes(pathlib.Path(certificates, "ca.pem").read_bytes())
    for name in m.relays:
        m.relay(name, "password_command = " + (
            "echo pencil" if name == "one" else
            f"until grep -q message {m.relays['one'].record}; "
            f"do sleep 0.1; done; cp {anchor} {folder}/new; "
            f"mv {folder}/new {anchor}; echo pencil"))
    m.text = m.text.replace(f"{certificates}/ca.pem", str(anchor)).replace(
        "queue = always", "queue = always\nconcurrency = 1")
    for name in m.relays:
        m.queued(name)
    m.drained()
    for name in m.relays:
        m.took(name)


# gets what is left behind, as the first process of a container would
REAPER = """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
status = subprocess.run(sys.argv[1:]).returncode
try:
    sys.exit(f"{os.waitpid(-1, 0)} was left")
except ChildProcessError:
    sys.exit(status)
"""


def nobody_is_left(folder, certificates):
    """Whoever would have renewed a token, and was not asked to or was, is
    waited for"""
    m = Machine(folder, certificates, ("one", "two"))
    for number, name in enumerate(m.relays):
        m.relays[name].stop()
        m.relays[name] = harness.Server(
            folder, 2 + number, "tls implicit\nauth OAUTHBEARER\n",
            certificates)
        m.relay(name, f"token_command = test {name} = one -o -f {folder}/n "
                f"&& echo token || echo old; echo x >> {folder}/n{name}; "
                f"test {name} = one || touch {folder}/n")
        m.queued(name)
    m.drained(wrap=[sys.executable, "-c", REAPER])
    for name in m.relays:
        m.took(name)


def a_token_that_cannot_be_renewed(folder, certificates):
    """The command is asked once more, and what the server said stands"""
    m = Machine(folder, certificates, ("one",))
    m.relays["one"].stop()
    m.relays["one"] = harness.Server(
        folder, 2, "tls implicit\nauth OAUTHBEARER\n", certificates)
    m.relay("one", f"token_command = echo x >> {folder}/n; "
            f"test $(wc -l < {folder}/n) = 1 && echo old")
    m.queued("one")
    status, out, err = m.run("-q")
    want(status == 0 and len(m.entries()) == 1, (status, out, err))
    want("dsn=5.7.8" in m.log() and "invalid_token" in m.log(), m.log())
    want((m.folder / "n").read_text() == "x\nx\n", "asked how often")
    m.took("one", 0)


def mail_that_stays_here(folder, certificates):
    """Where one of the transports is a maildir or a command, after a relay
    that does not answer"""
    m = Machine(folder, certificates, ())
    dead = harness.dead_port()
    port = dead.getsockname()[1]
    for name, local in (("one", f"kind = maildir\npath = {folder}/box"),
                        ("two", f"kind = command\n"
                         f"command = cat > {folder}/piped")):
        m.relays[name] = type("Port", (), {"port": port})
        m.relay(name, f"password_file = {m.secret('p')}", f" {name}box")
        m.text += f"[transport {name}box]\n{local}\n"
        m.queued(name)
    m.drained()
    want(len(list((m.folder / "box/new").iterdir())) == 1, "maildir")
    want("Subject: s" in (m.folder / "piped").read_text(), "command")
    dead.close()


def tickets_are_read(folder, certificates):
    """Where Kerberos may be used, its keytab, though it lies where nothing
    else is read"""
    m = Machine(folder, certificates, ("one",))
    m.relay("one", f"password_file = {m.secret('password')}\n"
            "mechanisms = GSSAPI PLAIN")
    keytab = m.secret("queue.keytab")
    m.queued("one")
    keytab = keytab.rename(m.folder / "queue/keytab")
    err = m.drained(env={
        "LD_PRELOAD": build(folder), "SPY": f"r{keytab}", "SPY_FOR": "x",
        "KRB5_CLIENT_KTNAME": f"FILE:{keytab}",
        "ASAN_OPTIONS": "verify_asan_link_order=0:detect_leaks=0"})
    want(f"r{keytab} open" in err, err[-2000:])
    m.took("one")


def cache_is_made(folder, certificates, user):
    m = Machine(folder, certificates, ("one",), "extension PIPECONNECT\n")
    m.relay("one", f"password_file = {m.secret('password')}")
    own = m.folder / "home/.config"
    own.mkdir()
    m.config = own / "posthaste.conf"
    m.configure(m.text)
    more = {}
    if user != os.geteuid():
        os.chmod(m.folder.parent, 0o711)
        for path in [m.folder, *m.folder.rglob("*")]:
            os.chown(path, user, user)
        more["before"] = lambda: os.setresuid(user, user, user)
    done = m.run("-i", "-odq", "b@one.example", stdin=b"Subject: s\n\nx\n",
                 **more)
    want(done == (0, "", ""), done)
    m.drained(**more)
    m.took("one")
    kept = list((m.folder / "home/.cache/posthaste").glob(".early.*"))
    want(len(kept) == 1, (kept, m.log()))


def a_cache_is_made(folder, certificates):
    """Of whoever has no ~/.cache: a worker could make none"""
    cache_is_made(folder, certificates, os.geteuid() or 65534)


def roots_cache_is_made(folder, certificates):
    """The same of root's"""
    if os.geteuid() != 0:
        raise harness.Skip("must be root")
    cache_is_made(folder, certificates, 0)


def a_session_of_many(folder, certificates):
    """Messages that one caller hands in, each sent at once, leave no
    descriptor behind"""
    m = Machine(folder, certificates, ("one", "two"))
    m.text = m.text.replace("queue = always", "queue = never")
    for name in m.relays:
        m.relay(name, f"password_file = {m.secret('password')}")
    m.configure(m.text)
    process = m.start("-bs")
    said, counts = process.stdout.readline(), []
    for _ in range(3):
        for line, code in (("MAIL FROM:<a@example.test>", b"250"),
                           ("RCPT TO:<b@one.example>", b"250"),
                           ("RCPT TO:<b@two.example>", b"250"),
                           ("DATA", b"354"),
                           ("Subject: s\r\n\r\nx\r\n.", b"250")):
            process.stdin.write(f"{line}\r\n".encode())
            process.stdin.flush()
            said = process.stdout.readline()
            want(said.startswith(code), said)
        counts.append(sorted(os.listdir(f"/proc/{process.pid}/fd")))
    harness.finish(process, b"QUIT\r\n")
    want(counts[0] == counts[2], counts)
    m.took("one", 3)
    m.took("two", 3)


def without_landlock(verdict):
    """To be called in a child: what a filter of system calls does with
    Landlock's."""
    def block():
        program = struct.pack(
            "HBBIHBBIHBBIHBBIHBBI",
            0x20, 0, 0, 0,                  # the number of the call
            0x35, 0, 2, 444,                # landlock_create_ruleset
            0x25, 1, 0, 446,                # landlock_restrict_self
            0x06, 0, 0, verdict,
            0x06, 0, 0, 0x7fff0000)         # SECCOMP_RET_ALLOW
        lines = ctypes.create_string_buffer(program)
        filters = ctypes.create_string_buffer(struct.pack(
            "HP", len(program) // 8, ctypes.addressof(lines)))
        harness.LIBC.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        if harness.LIBC.prctl(22, 2, filters, 0, 0):
            os._exit(99)                    # PR_SET_SECCOMP
    return block


def no_reason_to_fail(folder, certificates):
    """Where there is no Landlock, where calling it ends a process, and where
    it would take too many places: mail goes as ever"""
    m = Machine(folder, certificates, ("one", "two", "three"))
    crowded = m.folder / "crowded"
    crowded.mkdir()
    for number in range(5000):
        (crowded / str(number)).touch()
    m.relay("one", f"password_file = {m.secret('crowded/password')}")
    m.queued("one")
    m.drained()
    m.took("one")
    if has_landlock(m):
        want("workers without a sandbox" in m.log(), m.log())
    # ENOSYS, as of an old kernel; and as systemd's SystemCallFilter= does
    for name, verdict in (("two", 0x00050026), ("three", 0x80000000)):
        m.relay(name, f"password_file = {m.secret('password')}")
        m.queued(name)
        block = without_landlock(verdict)
        status, out, err = m.run("--version", before=block)
        want(status == 0 and "sandbox: none" in out, (status, out, err))
        m.drained(before=block)
        m.took(name)


def main():
    harness.need_programs()
    return harness.tap([
        (test.__name__.replace("_", "-"), test) for test in (
            others_secrets_stay_theirs, a_key_is_its_transports,
            a_token_is_renewed, nobody_is_left, a_file_that_is_replaced,
            a_token_that_cannot_be_renewed, mail_that_stays_here,
            a_cache_is_made, roots_cache_is_made,
            a_session_of_many, tickets_are_read,
            no_reason_to_fail)], workers=2)


if __name__ == "__main__":
    sys.exit(main())
