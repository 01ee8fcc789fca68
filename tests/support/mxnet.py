# SPDX-License-Identifier: GPL-3.0-or-later
"""A small internet for the tests of direct delivery, in a network, mount and
process namespace of the test's own: addresses on which port 25 is free,
nsd with zones, unbound in front, scripted mail hosts, hostile resolvers.
When the test ends, all of it ends with it."""

import base64
import contextlib
import hashlib
import os
import pathlib
import re
import shlex
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time

import harness
from harness import Daemon, Failure, command, want

RESOLVER = "127.0.0.1:5302"
NSD_PORT = 5301
HEAD = """$TTL 60
@ IN SOA ns hostmaster 1 3600 600 86400 1
@ IN NS ns
ns IN A 192.0.2.253
"""
BLACK_HOLES = ("198.51.100.91", "198.51.100.92")


def isolate(*programs, bare=False):
    """Goes on in namespaces of its own; whatever is started there ends with
    the script. bare: no interface has an address but loopback, though all of
    192.0.2.0/24 is there."""
    harness.enter("net", "mount", "pid", programs=("ip", *programs))
    for name in ("all", "default", "lo"):
        try:
            pathlib.Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6"
                         ).write_text("0")
        except OSError:
            pass
    for words in ("link set lo up", "route add local 192.0.2.0/24 dev lo"):
        command("ip", *words.split())
    if not bare:
        add_addresses()


def add_addresses():
    for words in ("link add hole0 type veth peer name hole1",
                  "addr add 198.51.100.1/24 dev hole0",
                  "link set hole0 up", "link set hole1 up"):
        command("ip", *words.split())
    for hole in BLACK_HOLES:
        command("ip", "neigh", "add", hole, "lladdr", "02:00:00:00:00:63",
                "dev", "hole0")
    for i in range(1, 33):
        command("ip", "-6", "addr", "add", f"2001:db8::{i}/128", "dev", "lo",
                "nodad")


class Names:
    """nsd with the zones given, {name: records}, behind unbound. The zones
    named in signed are signed, and unbound trusts their keys; an empty text
    is a zone that nsd cannot load, which makes it answer SERVFAIL."""

    def __init__(self, folder, zones, signed=(), interfaces=(),
                 unbound_extra="", insecure=()):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.signed, self.anchors = set(signed), []
        for name, text in zones.items():
            self.write_zone(name, text)
        self.nsd = Daemon(["nsd", "-d", "-c", self.nsd_config(zones)],
                          folder, name="nsd")
        self.nsd.wait_port(NSD_PORT, greeting=False)
        config = self.unbound_config(zones, interfaces, unbound_extra,
                                     insecure)
        self.unbound = Daemon(["unbound", "-d", "-c", config], folder,
                              name="unbound")
        self.unbound.wait_port(5302, greeting=False)

    def write_zone(self, name, text):
        path = self.folder / f"{name}.zone"
        if not text:
            path.unlink(missing_ok=True)
            return
        path.write_text(f"$ORIGIN {name}.\n{HEAD}{text}")
        if name in self.signed:
            self.sign(name)

    def sign(self, name):
        key = command("ldns-keygen", "-a", "ECDSAP256SHA256", "-k", name,
                      folder=self.folder).strip()
        command("ldns-signzone", "-n", "-f", f"{name}.zone.signed",
                f"{name}.zone", key, folder=self.folder)
        self.anchors.append(str(self.folder / f"{key}.ds"))
        signed = self.folder / f"{name}.zone.signed"
        signed.replace(self.folder / f"{name}.zone")

    def nsd_config(self, zones):
        path = self.folder / "nsd.conf"
        path.write_text(f"""server:
  ip-address: 127.0.0.1@{NSD_PORT}
  zonesdir: "{self.folder}"
  pidfile: "{self.folder}/nsd.pid"
  database: ""
  username: ""
  xfrdfile: "{self.folder}/xfrd.state"
  zonelistfile: "{self.folder}/zone.list"
  server-count: 1
  rrl-ratelimit: 0
remote-control:
  control-enable: no
""" + "".join(f"zone:\n  name: {name}\n  zonefile: {name}.zone\n"
              for name in zones))
        return str(path)

    def unbound_config(self, zones, interfaces, extra, insecure):
        path = self.folder / "unbound.conf"
        path.write_text(f"""server:
  interface: 127.0.0.1@5302
{"".join(f"  interface: {i}" + chr(10) for i in interfaces)}\
  access-control: 0.0.0.0/0 allow
  username: ""
  chroot: ""
  directory: "{self.folder}"
  pidfile: "{self.folder}/unbound.pid"
  use-syslog: no
  logfile: ""
  log-queries: yes
  do-daemonize: no
  do-not-query-localhost: no
  do-ip6: no
  module-config: "validator iterator"
  local-zone: "test." nodefault
  local-zone: "2.0.192.in-addr.arpa." nodefault
  local-zone: "8.b.d.0.1.0.0.2.ip6.arpa." nodefault
{"".join(f'  trust-anchor-file: "{a}"' + chr(10) for a in self.anchors)}\
{"".join(f'  domain-insecure: "{n}"' + chr(10) for n in insecure)}\
{extra}
remote-control:
  control-enable: no
""" + "".join(f"stub-zone:\n  name: {name}\n  stub-addr: 127.0.0.1@"
              f"{NSD_PORT}\n" for name in zones))
        return str(path)

    def questions(self):
        """(name, type) of all that was asked of unbound so far."""
        return re.findall(r"info: \S+ (\S+)\. (\S+) IN", self.unbound.words())

    def stop(self):
        self.unbound.stop()
        self.nsd.stop()


# --- a resolver of our own ---

TYPES = {1: "A", 2: "NS", 5: "CNAME", 12: "PTR", 15: "MX", 16: "TXT",
         28: "AAAA", 33: "SRV", 52: "TLSA"}


def wire_name(name):
    out = b""
    for label in name.rstrip(".").split("."):
        if label:
            out += bytes([len(label)]) + label.encode()
    return out + b"\0"


def read_question(data):
    at, labels = 12, []
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode("latin-1"))
        at += 1 + data[at]
    kind = struct.unpack(">H", data[at + 1:at + 3])[0]
    return ".".join(labels), TYPES.get(kind, str(kind)), data[12:at + 5]


def raw_record(name, number, data):
    return wire_name(name) + struct.pack(">HHIH", number, 1, 60,
                                         len(data)) + data


def record(name, kind, value):
    number = {v: k for k, v in TYPES.items()}[kind]
    if kind == "A":
        data = socket.inet_aton(value)
    elif kind == "AAAA":
        data = socket.inet_pton(socket.AF_INET6, value)
    elif isinstance(value, bytes):
        data = value
    elif kind == "MX":
        data = struct.pack(">H", value[0]) + wire_name(value[1])
    else:
        data = wire_name(value)
    return raw_record(name, number, data)


def both_sockets(address, port):
    """UDP and TCP on one port; 0: any that is free for both."""
    family, _, _, _, where = socket.getaddrinfo(address, port)[0]
    for _ in range(100):
        udp = socket.socket(family, socket.SOCK_DGRAM)
        udp.bind(where)
        tcp = socket.socket(family)
        try:
            tcp.bind((where[0], udp.getsockname()[1], *where[2:]))
            return udp, tcp
        except OSError:
            udp.close()
            tcp.close()
    raise Failure("no port is free for both UDP and TCP")


class Resolver:
    """answer(name, type) gives a list of records, an int (the rcode), "TC"
    (truncated, and silence on TCP), or None (silence). Notes what it was
    asked. ad: all or, a set of names, some of it with AD. edns: what becomes
    of a question with EDNS, "formerr", "notimp", "badvers" or "drop".
    again: every answer comes so many times."""

    def __init__(self, answer, address="127.0.0.1", port=0, ad=False,
                 edns=None, again=1):
        self.answer, self.asked = answer, []
        self.ad, self.edns, self.again = ad, edns, again
        self.udp, self.tcp = both_sockets(address, port)
        self.port = self.udp.getsockname()[1]
        self.tcp.listen(50)
        self.where = f"{address}:{self.port}"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                data, client = self.udp.recvfrom(4096)
            except OSError:
                return
            if not data:
                return
            name, kind, question = read_question(data)
            self.asked.append((name, kind))
            if self.edns and data[11]:
                self.refuse(data, question, client)
                continue
            try:
                said = self.answer(name.lower(), kind)
            except (KeyError, ValueError):
                said = 3
            if said is None:
                continue
            flags = 0x8180 | (said if isinstance(said, int) else 0)
            if said == "TC":
                flags |= 0x0200
            if self.ad is True or (self.ad and name.lower() in self.ad):
                flags |= 0x20
            records = said if isinstance(said, list) else []
            for _ in range(self.again):
                self.udp.sendto(
                    data[:2] + struct.pack(">HHHHH", flags, 1, len(records),
                                           0, 0) + question +
                    b"".join(records), client)

    def refuse(self, data, question, client):
        if self.edns == "drop":
            return
        rcode, opt = {"formerr": (1, b""), "notimp": (4, b""),
                      "badvers": (0, b"\0\0\x29\x04\xd0\x01\0\0\0\0\0"),
                      }[self.edns]
        self.udp.sendto(data[:2] + struct.pack(
            ">HHHHH", 0x8180 | rcode, 1, 0, 0, 1 if opt else 0) + question +
            opt, client)

    def stop(self):
        try:
            self.udp.shutdown(socket.SHUT_RDWR)  # wakes the thread
        except OSError:
            pass
        self.thread.join(5)
        self.udp.close()
        self.tcp.close()


# --- mail hosts and submissions ---

class Hosts:
    """Scripted mail hosts on port 25, one an address."""

    def __init__(self, folder, certificates):
        self.folder = tempfile.mkdtemp(prefix="hosts-", dir=folder)
        self.certificates = certificates
        self.server, self.seen = {}, {}

    def add(self, address, script="", port=25, name=None):
        name = name or address
        self.server[name] = harness.Server(
            self.folder, f"-{len(self.server)}",
            f"listen {address} {port}\n{script}", self.certificates)
        return self

    def stop(self):
        for name, server in self.server.items():
            if name not in self.seen:
                self.seen[name] = server.stop()
        return self

    def events(self, name, event=None):
        return [e for e in self.stop().seen[name]
                if event in (None, e["event"])]

    def said(self, name):
        """The client's lines."""
        return [e["text"] for e in self.events(name, "line")]

    def messages(self, name):
        return [e for e in self.events(name, "message")]

    def connections(self, name):
        return len(self.events(name, "connect"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Result:
    def __init__(self, status, out, err, took, log):
        self.status, self.took = status, took
        self.out = out.decode(errors="replace")
        self.err = err.decode(errors="replace")
        self.log = log

    def lines(self):
        """The log's lines of attempts as dictionaries."""
        found = []
        for line in self.log.splitlines():
            if " status=" not in line:
                continue
            words = shlex.split(line)
            found.append(dict(w.split("=", 1) for w in words if "=" in w))
        return found

    def expect(self, status, *words):
        want(self.status == status, f"status {self.status}, not {status}:\n"
             f"{self.err}{self.log}")
        for word in words:
            want(word in self.err, f"\"{word}\" is not said:\n{self.err}")
        return self


MESSAGE = b"From: a@sender.test\nTo: b@example.test\nSubject: s\n\nbody\n"
BASE = """[general]
hostname = {host}
domain = {domain}
{general}
{queue}
[log]
to = {folder}/log
[dns]
resolver = {resolver}
{dns}
[tls]
ca_file = {ca}
{tls}
{more}
"""


def submit(folder, recipients, *, more="", general="", dns="", tls="",
           resolver=RESOLVER, ca="", arguments=(), message=MESSAGE,
           sender="a@sender.test", domain="sender.test",
           host="client.sender.test", limit=60,
           queue="[queue]\nqueue = never"):
    """One run of the program. ca: a file, which becomes [tls] ca_file."""
    folder = pathlib.Path(folder)
    log = folder / "log"
    log.unlink(missing_ok=True)
    text = BASE.format(folder=folder, general=general, dns=dns, tls=tls,
                       domain=domain, host=host,
                       queue=queue,
                       more=more, resolver=resolver, ca=ca)
    if not ca:
        text = text.replace("ca_file = \n", "")
    if "cache =" not in text:
        text = text.replace("[general]", f"[general]\ncache = {folder}/cache",
                            1)
    (folder / "conf").write_text(text)
    (folder / "conf").chmod(0o600)
    argv = ["-C", str(folder / "conf"), "-i", "-f", sender, *arguments,
            *recipients]
    before = time.monotonic()
    status, out, err = harness.run(argv, message,
                                   harness.environment(str(folder)),
                                   str(folder), limit)
    return Result(status, out, err, time.monotonic() - before,
                  log.read_text(errors="replace") if log.exists() else "")


def install_fetch(folder):
    """Puts the build's posthaste-fetch and posthaste-token where the program
    looks for them, by an overlay over the whole prefix that only this mount
    namespace sees."""
    program = pathlib.Path(harness.POSTHASTE).read_bytes()
    found = re.search(rb"(/[^\0]*)/posthaste-fetch\0", program)
    want(found, "the program names no posthaste-fetch")
    place = pathlib.Path(found.group(1).decode())
    built = pathlib.Path(os.environ.get(
        "TOP_BUILDDIR", os.path.dirname(harness.POSTHASTE)),
        "posthaste-fetch")
    want(built.exists(), f"{built} was not built")
    base = next(p for p in place.parents if p.exists())
    layer = pathlib.Path(folder, "overlay")
    layer.mkdir()
    command("mount", "-t", "tmpfs", "tmpfs", str(layer))
    for name in ("upper", "work"):
        (layer / name).mkdir()
    where = layer / "upper" / place.relative_to(base)
    where.mkdir(parents=True, exist_ok=True)
    harness.copy_program(built, where / "posthaste-fetch")
    other = built.with_name("posthaste-token")
    if other.exists():
        harness.copy_program(other, where / "posthaste-token")
    command("mount", "-t", "overlay", "overlay", "-o",
            f"lowerdir={base},upperdir={layer}/upper,workdir={layer}/work",
            str(base))


# --- certificates ---

def certificate(folder, name, names=(), ca=None, authority=False, chain=()):
    """folder/name.pem and .key; names for subjectAltName, ca signs it (else
    itself), chain is what the file holds behind it."""
    path = f"{folder}/{name}"
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-sha256", "-days", "90",
            "-subj", f"/CN={name}", "-keyout", f"{path}.key",
            "-out", f"{path}.pem"]
    if names:
        argv += ["-addext", "subjectAltName=" +
                 ",".join(f"DNS:{n}" for n in names)]
    if ca:
        argv += ["-CA", f"{folder}/{ca}.pem", "-CAkey", f"{folder}/{ca}.key"]
    argv += ["-addext", "basicConstraints=critical,CA:" +
             ("TRUE" if authority else "FALSE")]
    if not authority:
        argv += ["-addext", "extendedKeyUsage=serverAuth"]
    command(*argv)
    alone = pathlib.Path(f"{path}.pem").read_text()
    pathlib.Path(f"{path}.crt").write_text(alone)
    pathlib.Path(f"{path}.pem").write_text(alone + "".join(
        pathlib.Path(f"{folder}/{c}.crt").read_text() for c in chain))


def tlsa(folder, name, usage, selector=1, matching=1):
    """The record's data for a certificate made here."""
    pem = pathlib.Path(f"{folder}/{name}.crt")
    der = subprocess.run(["openssl", "x509", "-in", pem] + (
        ["-noout", "-pubkey"] if selector else ["-outform", "DER"]),
        capture_output=True, check=True, timeout=20).stdout
    if selector:
        der = base64.b64decode("".join(der.decode().splitlines()[1:-1]))
    data = der if not matching else getattr(
        hashlib, "sha256" if matching == 1 else "sha512")(der).digest()
    return f"{usage} {selector} {matching} {data.hex()}"


def tap(tests, workers=1):
    """tests: functions of (folder, certificates)."""
    return harness.tap(harness.titled(tests), workers)


@contextlib.contextmanager
def scratch():
    folder = tempfile.mkdtemp(prefix="mxnet-")
    try:
        yield folder
    finally:
        layer = f"{folder}/overlay"
        if os.path.ismount(layer):
            command("umount", "-l", layer)
        shutil.rmtree(folder, ignore_errors=True)


def use_resolver(folder, address):
    """What the system's resolver asks, within this mount namespace."""
    system_resolver(folder, f"nameserver {address}\n")


def system_resolver(folder, text):
    """The same, the file's text as it is."""
    path = pathlib.Path(folder, "resolv.conf")
    path.write_text(text)
    command("mount", "--bind", str(path), "/etc/resolv.conf")
