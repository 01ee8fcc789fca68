#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Submits through a real Exim: GnuTLS at the other end, CHUNKING, PRDR,
PIPECONNECT."""

import hashlib
import os
import pathlib
import re
import socket
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import interop  # noqa: E402
from interop import Sent, harness, want  # noqa: E402

CONF = r"""primary_hostname = mail.example.test
spool_directory = {folder}/spool
log_file_path = {folder}/log/%slog
pid_file_path = {folder}/exim.pid
exim_user = Debian-exim
exim_group = Debian-exim
daemon_smtp_ports = {starttls} : {implicit}
tls_on_connect_ports = {implicit}
local_interfaces = 127.0.0.1
tls_advertise_hosts = *
tls_certificate = {folder}/good.pem
tls_privatekey = {folder}/good.key
chunking_advertise_hosts = *
dsn_advertise_hosts = *
prdr_enable = true
smtputf8_advertise_hosts = *
pipelining_advertise_hosts = *
pipelining_connect_advertise_hosts = ${{if exists{{{folder}/no-early}}{{}}{{*}}}}
message_size_limit = 60M
log_selector = +smtp_protocol_error +tls_cipher +pipelining
never_users =
queue_only = false
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_ok
acl_smtp_data_prdr = acl_prdr
begin acl
acl_rcpt:
  deny  local_parts = nouser
        message = no such user
  defer local_parts = tempfail
        message = come back later
  accept authenticated = *
  deny
acl_ok:
  accept
acl_prdr:
  accept
begin routers
all:
  driver = accept
  transport = keep
begin transports
keep:
  driver = appendfile
  maildir_format
  create_directory
  directory = {folder}/mail/box
  envelope_to_add
  return_path_add
  user = Debian-exim
begin authenticators
plain_s:
  driver = plaintext
  public_name = PLAIN
  server_prompts = :
  server_condition = ${{if and{{{{eq{{$auth2}}{{joe}}}}{{eq{{$auth3}}{{secret}}}}}}}}
  server_set_id = $auth2
login_s:
  driver = plaintext
  public_name = LOGIN
  server_prompts = <| Username: | Password:
  server_condition = ${{if and{{{{eq{{$auth1}}{{joe}}}}{{eq{{$auth2}}{{secret}}}}}}}}
  server_set_id = $auth1
cram_s:
  driver = cram_md5
  public_name = CRAM-MD5
  server_secret = ${{if eq{{$auth1}}{{joe}}{{secret}}fail}}
  server_set_id = $auth1
"""
SETUP = """
cd "$PEER_SCRATCH"
mkdir -p spool log mail
cp "$PEER_CERTIFICATES"/good.* .
chown Debian-exim:Debian-exim spool log mail good.pem good.key .
"""


class Exim:
    def __init__(self, folder, certificates):
        self.folder = pathlib.Path(folder)
        self.ca = f"{certificates}/ca.pem"
        self.starttls, self.implicit = harness.free_ports(2)
        conf = self.folder / "exim.conf"
        conf.write_text(CONF.format(folder=folder, starttls=self.starttls,
                                    implicit=self.implicit))
        self.daemon = interop.Peer(
            "exim", ["exim", "-C", str(conf), "-bdf"], folder,
            f"PEER_CERTIFICATES='{certificates}'{SETUP}")
        self.daemon.wait_port(self.starttls)

    def stop(self):
        self.daemon.stop()

    def log(self):
        return (self.folder / "log/mainlog").read_text("latin-1")

    def logged(self, regex):
        return harness.eventually(
            lambda: re.search(regex, self.log(), re.M), regex)

    def delivered(self, box, subject):
        marks = [f"\nSubject: {subject}\n".encode(),
                 f"\nEnvelope-to: {box}@example.test\n".encode()]
        return harness.eventually(
            lambda: [m for m in (p.read_bytes() for p in
                                 self.folder.glob("mail/box/new/*"))
                     if all(mark in m for mark in marks)],
            f"{subject} for {box}")

    def config(self, folder, implicit=False, extra=""):
        return interop.configure(folder, f"""
kind = {'submissions' if implicit else 'submission'}
host = localhost
port = {self.implicit if implicit else self.starttls}
ca_file = {self.ca}
username = joe
password = secret
{extra}""")


class Distance:
    """A relay to a port; what the server says arrives a while later. Counts
    the flights of each connection: what the client sends after it had heard
    something."""

    WAIT = .3

    def __init__(self, port):
        self.port_behind, self.flights = port, []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.flights.append(0)
            far = socket.create_connection(("127.0.0.1", self.port_behind))
            ours = [len(self.flights) - 1, True]
            threading.Thread(target=self.there, daemon=True,
                             args=(near, far, ours)).start()
            threading.Thread(target=self.back, daemon=True,
                             args=(near, far, ours)).start()

    def there(self, near, far, ours):
        try:
            while data := near.recv(65536):
                self.flights[ours[0]] += ours[1]
                ours[1] = False
                far.sendall(data)
            far.shutdown(socket.SHUT_WR)
        except OSError:
            far.close()

    def back(self, near, far, ours):
        try:
            while far.recv(1, socket.MSG_PEEK):
                # all that it says at once arrives at once
                time.sleep(self.WAIT)
                ours[1] = True
                near.sendall(far.recv(1 << 20))
            near.shutdown(socket.SHUT_WR)
        except OSError:
            near.close()

    def stop(self):
        harness.stop_listening(self.listener, self.thread)


def early_config(server, folder, port, implicit):
    path = pathlib.Path(server.config(
        folder, implicit, "mechanisms = PLAIN\n"))
    own = server.implicit if implicit else server.starttls
    path.write_text(path.read_text().replace(
        f"port = {own}", f"port = {port}").replace(
        "[queue]", f"cache = {folder}/cache\n[queue]"))
    return str(path)


def body(text):
    return text.partition(b"\n\n")[2]


def chunking(server, folder):
    """STARTTLS, BDAT among PRDR and PIPECONNECT: all arrives as it was"""
    text = interop.message("chunked", "a\n.\n..b\n\nend\n")
    sent = Sent(["-v", "-i", "b@example.test"], text, folder,
                server.config(folder)).expect(0, silent=False)
    said = sent.err.decode()
    for word in ("PRDR", "PIPECONNECT", "CHUNKING", "BDAT"):
        want(word in said, f"no {word} in {said}")
    sent.logged("auth=CRAM-MD5 ", "tls=TLS1.3", "status=sent")
    stored, = server.delivered("b", "chunked")
    want(body(stored) == body(text), f"stored {stored}")
    server.logged(r"<= root@example\.test .* P=esmtpsa L\. X=TLS1\.3:"
                  r".* A=cram_s:joe K S=")


def implicit(server, folder):
    """implicit TLS, 10 MB: equal checksums"""
    line = "0123456789abcdefghijklmnopqrstuvwxyz" * 2 + "\n"
    text = interop.message("big", "".join(
        f"{i:07d}{line}" for i in range(10 * 2 ** 20 // 80)) + ".\n.dot\n")
    Sent(["-t", "-i"], text, folder,
         server.config(folder, implicit=True)).expect(0)
    stored, = server.delivered("b", "big")
    ours, theirs = (hashlib.sha256(body(t)).hexdigest()
                    for t in (text, stored))
    want(ours == theirs, f"checksum {theirs}, not {ours}")


def mechanisms(server, folder):
    """PLAIN and LOGIN when they are named"""
    for name in ("PLAIN", "LOGIN"):
        config = server.config(folder, extra=f"mechanisms = {name}")
        Sent(["-i", "b@example.test"], interop.message(f"by {name}"), folder,
             config).expect(0).logged(f"auth={name} ")
        server.delivered("b", f"by {name}")


def tls12(server, folder):
    """TLS 1.2 with the other end's GnuTLS"""
    config = server.config(folder, implicit=True)
    with open(config, "a", encoding="ascii") as out:
        out.write("[tls]\npriorities = NORMAL:-VERS-ALL:+VERS-TLS1.2\n")
    Sent(["-i", "b@example.test"], interop.message("older"), folder,
         config).expect(0).logged("tls=TLS1.2")
    server.delivered("b", "older")


def partly(server, folder):
    """one refused, one put off, one taken: 69, both named, one delivered"""
    sent = Sent(["-i", "c@example.test", "nouser@example.test",
                 "tempfail@example.test"], interop.message("partly"), folder,
                server.config(folder)).expect(69)
    for name in (b"nouser", b"tempfail"):
        want(b"posthaste: " + name + b"@example.test: " in sent.err,
             f"it said {sent.err}")
    stored, = server.delivered("c", "partly")
    want(b"Envelope-to: c@example.test\n" in stored, f"stored {stored}")


def put_off(server, folder):
    """all put off: 75"""
    Sent(["-i", "tempfail@example.test"], interop.message("later"), folder,
         server.config(folder)).expect(75)


def wrong_password(server, folder):
    """a wrong password: 77 after one more mechanism"""
    path = pathlib.Path(server.config(folder))
    path.write_text(path.read_text().replace("= secret", "= guessed"))
    sent = Sent(["-i", "b@example.test"], interop.message("never"), folder,
                str(path)).expect(77)
    want("guessed" not in sent.err.decode() + sent.log, "it was shown")


def utf8(server, folder):
    """SMTPUTF8 for a non-ASCII local part"""
    address = "j\u00fcrgen@example.test"
    Sent(["-i", address.encode()], interop.message("international",
                                                   to=address),
         folder, server.config(folder)).expect(0)
    stored, = server.delivered("j\u00fcrgen", "international")
    want(b"with utf8esmtpsa" in stored, f"stored {stored}")


def spoken_at_once(server, folder):
    """several messages one after the other, each silent"""
    config = server.config(folder, implicit=True)
    for i in range(3):
        Sent(["-i", f"d{i}@example.test"], interop.message(f"turn {i}"),
             folder, config).expect(0)
        server.delivered(f"d{i}", f"turn {i}")
    want("protocol synchronization" not in server.log() and
         "protocol error" not in server.log(),
         f"Exim complained: {server.log()}")


def early(server, folder, implicit, flights):
    """The first message tells; the second goes in one flight, says Exim."""
    relay = Distance(server.implicit if implicit else server.starttls)
    config = early_config(server, folder, relay.port, implicit)
    name = "early" if implicit else "early after STARTTLS"
    try:
        # what happens to be slow may cut a flight in two
        for turn in range(4):
            Sent(["-i", "e@example.test"], interop.message(f"{name} {turn}"),
                 folder, config).expect(0).logged("auth=PLAIN ")
            server.delivered("e", f"{name} {turn}")
            if turn and relay.flights[turn] == flights[1]:
                break
    finally:
        relay.stop()
    want(relay.flights[0] >= flights[0] and
         relay.flights[-1] == flights[1], f"flights {relay.flights}")
    server.logged(r"<= root@example\.test .* P=esmtpsa L\* X=TLS1\.3:"
                  r".* A=plain_s:joe K S=")


def early_implicit(server, folder):
    """early pipelining over TLS: ClientHello, all the rest, QUIT"""
    early(server, folder, True, (6, 3))


def early_starttls(server, folder):
    """early pipelining after STARTTLS: two flights less"""
    early(server, folder, False, (7, 5))


def early_no_more(server, folder):
    """Exim ceases to offer it: each message arrives, once"""
    config = early_config(server, folder, server.implicit, True)
    switch = server.folder / "no-early"
    for turn in range(4):
        if turn == 2:
            switch.touch()
        Sent(["-i", "f@example.test"], interop.message(f"no more {turn}"),
             folder, config).expect(0)
        want(len(server.delivered("f", f"no more {turn}")) == 1, "twice")
    switch.unlink()
    log = interop.log(folder)
    want(log.count("answers otherwise than it did") == 1, log)
    want(len(list(server.folder.glob("mail/box/new/*"))) ==
         len({p.read_bytes() for p in
              server.folder.glob("mail/box/new/*")}), "one came twice")


if __name__ == "__main__":
    sys.exit(interop.run(
        [chunking, implicit, mechanisms, tls12, partly, put_off,
         wrong_password, utf8, spoken_at_once, early_implicit, early_starttls,
         early_no_more], Exim))
