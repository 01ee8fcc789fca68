# SPDX-License-Identifier: GPL-3.0-or-later
"""What the interop tests share: real servers in a namespace of their own
(peers.sh), configurations, submissions."""

import os
import pathlib
import re

import harness
from harness import Daemon, Failure, eventually, want  # noqa: F401

PEERS = str(pathlib.Path(__file__).resolve().parents[1] / "interop/peers.sh")
CONFIG = """[general]
hostname = client.example.test
domain = example.test
[queue]
queue = never
[log]
to = {folder}/log
[route all]
transport = relay
[transport relay]
{transport}
"""

# how a configuration of Dovecot 2.4 has to begin
DOVECOT_2_4 = """dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
"""


def peer_says(path, words):
    """Whether a peer's file holds these bytes: what version it is."""
    path = pathlib.Path(os.environ.get(
        "POSTHASTE_PEERS", "/var/cache/posthaste-peers"), path)
    return path.exists() and words in path.read_bytes()


def dovecot_is_new():
    """Whether it wants its configuration as 2.4 has it."""
    return peer_says("dovecot/usr/bin/doveconf", b"dovecot_config_version")


def peer_environment(folder, setup="", extra=()):
    env = harness.environment(folder, extra)
    env["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    env["PEER_SCRATCH"] = str(folder)
    env["PEER_SETUP"] = setup
    if "POSTHASTE_PEERS" in os.environ:
        env["POSTHASTE_PEERS"] = os.environ["POSTHASTE_PEERS"]
    return env


class Peer(Daemon):
    """A daemon of one of the unpacked packages."""

    def __init__(self, name, argv, folder, setup=""):
        super().__init__([PEERS, "run", name] + argv, folder,
                         peer_environment(folder, setup), name)

    def stop(self):
        """What it started in there ends with it."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def configure(folder, transport, text=CONFIG):
    path = pathlib.Path(folder, "config")
    path.write_text(text.format(folder=folder, transport=transport))
    path.chmod(0o600)
    return str(path)


class Sent:
    """One submission and what came of it."""

    def __init__(self, argv, message, folder, config, limit=60, env=None):
        self.folder = folder
        self.status, self.out, self.err = harness.run(
            ["-C", config] + argv, message,
            env or harness.environment(folder), folder, limit)
        self.log = log(folder)

    def expect(self, status, silent=None):
        said = self.err.decode("latin-1")
        want(self.status == status,
             f"status {self.status}, not {status}: {said}\n{self.log}")
        if silent is None:
            silent = status == 0
        if silent:
            want(not self.out and not self.err,
                 f"printed {self.out + self.err}")
        return self

    def logged(self, *patterns):
        for regex in patterns:
            want(re.search(regex, self.log, re.M),
                 f"the log lacks {regex!r}: {self.log}")
        return self


def log(folder):
    path = pathlib.Path(folder, "log")
    return path.read_text("utf-8", "replace") if path.exists() else ""


def message(subject="s", body="hello\n", to="b@example.test"):
    return (f"From: a@example.test\nTo: {to}\nSubject: {subject}\n"
            f"\n{body}").encode()


def run(tests, start=None, workers=1):
    """Functions f(server, folder), named by their docstrings, against what
    start(folder, certificates) gives (it has a method stop)."""
    def prepared(test):
        def run(folder, server):
            os.makedirs(f"{folder}/home/.config")
            os.mkdir(f"{folder}/tmp")
            return test(server, folder)
        return run
    return harness.tap([(" ".join(t.__doc__.split()), prepared(t))
                        for t in tests], workers, start, public=True)
