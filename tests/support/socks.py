# SPDX-License-Identifier: GPL-3.0-or-later
"""A SOCKS5 proxy that leads to this host, whatever it is asked for: to the port
that is asked for, or to the one that stands for it; with a password if there
is one."""

import contextlib
import socket
import threading


class Socks:
    def __init__(self, ports, user=None, password=None):
        self.ports, self.user, self.password = ports, user, password
        self.ends = set()           # ours, of connections to servers
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(64)
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def stop(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.socket.close()

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
            _, _, _, kind = exactly(lines, 4)
            exactly(lines, {1: 4, 4: 16}.get(kind) or exactly(lines, 1)[0])
            port = int.from_bytes(exactly(lines, 2), "big")
            with socket.socket() as far:
                far.bind(("127.0.0.1", 0))
                self.ends.add(far.getsockname())
                far.connect(("127.0.0.1", self.ports.get(port, port)))
                client.sendall(b"\5\0\0\1\x7f\0\0\1\0\0")
                back = threading.Thread(target=pass_on, args=(far, client),
                                        daemon=True)
                back.start()
                pass_on(client, far)
                back.join()

    def let_in(self, client, lines):
        """The greeting, and the login if one is wanted."""
        methods = exactly(lines, exactly(lines, 2)[1])
        method = 2 if self.user else 0
        client.sendall(bytes((5, method if method in methods else 255)))
        if method not in methods:
            return False
        if not self.user:
            return True
        exactly(lines, 1)
        user, password = (exactly(lines, exactly(lines, 1)[0])
                          for _ in range(2))
        good = (user, password) == (self.user.encode(),
                                    self.password.encode())
        client.sendall(bytes((1, not good)))
        return good


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
