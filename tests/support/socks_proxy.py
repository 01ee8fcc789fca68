# SPDX-License-Identifier: GPL-3.0-or-later
"""A SOCKS5 proxy (RFC 1928, RFC 1929) that leads to a port here, whatever
address it is asked for, or to that address."""

import contextlib
import socket
import threading

import harness


class Socks:
    """to: the port that all is led to, or a dictionary of those that stand
    for what is asked for; None: what is asked for itself. It refuses the
    addresses in refused."""

    def __init__(self, to, credentials=None, family=socket.AF_INET):
        self.to, self.credentials = to, credentials
        self.targets, self.given, self.refused = [], None, ()
        self.ends = set()           # ours, of connections to servers
        self.socket = socket.socket(family)
        self.socket.bind(("::1" if family == socket.AF_INET6 else
                          "127.0.0.1", 0))
        self.socket.listen(64)
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def stop(self):
        harness.stop_listening(self.socket, self.thread)

    def accept(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,),
                             daemon=True).start()

    def serve(self, client):
        with client, contextlib.suppress(OSError, EOFError):
            client.settimeout(60)
            lines = client.makefile("rb", buffering=0)
            if not self.let_in(client, lines):
                return
            target, port = asked_for(lines)
            self.targets.append(target)
            refused = target in self.refused
            client.sendall(bytes((5, 5 if refused else 0)) +
                           b"\0\1\x7f\0\0\1\0\0")
            if not refused:
                self.lead(client, (target, port) if self.to is None else
                          ("127.0.0.1", self.to.get(port, port)
                           if isinstance(self.to, dict) else self.to))

    def let_in(self, client, lines):
        """The greeting, and the login if one is wanted."""
        methods = exactly(lines, exactly(lines, 2)[1])
        method = 2 if self.credentials else 0
        client.sendall(bytes((5, method if method in methods else 255)))
        if method not in methods:
            return False
        if not self.credentials:
            return True
        exactly(lines, 1)
        self.given = tuple(exactly(lines, exactly(lines, 1)[0])
                           for _ in range(2))
        good = self.given == self.credentials
        client.sendall(bytes((1, not good)))
        return good

    def lead(self, client, where):
        with socket.socket() as far:
            far.bind(("127.0.0.1", 0))
            self.ends.add(far.getsockname())
            far.connect(where)
            back = threading.Thread(target=pass_on, args=(far, client),
                                    daemon=True)
            back.start()
            pass_on(client, far)
            back.join()


def asked_for(lines):
    kind = exactly(lines, 4)[3]
    target = (socket.inet_ntoa(exactly(lines, 4)) if kind == 1 else
              exactly(lines, exactly(lines, 1)[0]).decode() if kind == 3 else
              socket.inet_ntop(socket.AF_INET6, exactly(lines, 16)))
    return target, int.from_bytes(exactly(lines, 2), "big")


def exactly(lines, n):
    data = b""
    while len(data) < n:
        more = lines.read(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def pass_on(from_, to):
    with contextlib.suppress(OSError):
        while data := from_.recv(65536):
            to.sendall(data)
    with contextlib.suppress(OSError):
        to.shutdown(socket.SHUT_WR)
