# SPDX-License-Identifier: GPL-3.0-or-later
"""The one writer: the text of a configuration, its further files, and their
way onto the disk."""

import os
import tempfile

from model import Secret, clean

PATHS = {"ca_file", "crl_file", "certificate", "key", "aliases",
         "password_file"}


class Result:
    """sections -> text; secrets and further files by their paths."""

    def __init__(self, peer, sections, extra, sysconfdir):
        self.peer, self.sections = peer, sections
        self.folder = f"{sysconfdir}/posthaste"
        self.path = f"{sysconfdir}/posthaste.conf"
        self.extra = {p.replace("/etc/posthaste", self.folder, 1): t
                      for p, t in extra.items()}
        self.secrets = {}
        self.plan = []
        for name, keys in sections:
            self.plan.append((name, [self._key(name, k, v)
                                     for k, v in keys]))

    def _key(self, section, key, value):
        if not isinstance(value, Secret):
            if key == "aliases":
                value = value.replace("/etc/posthaste", self.folder, 1)
            return key, value
        if key == "proxy_password":
            return key, str(value)
        path = f"{self.folder}/{section.split(' ', 1)[1]}.password"
        self.secrets[path] = value
        return "password_file", path

    def text(self, where=None):
        """The configuration; where() says at which path a file lies."""
        out = [f"# Made by contrib/adopt from what {self.peer} had; see "
               "posthaste.conf(5).\n"]
        for path, secret in sorted(self.secrets.items()):
            what = f"the password of {secret.path}" if secret.text else \
                "the password, which was not found"
            out.append(f"# {path} (mode 600): {what}\n")
        for path, text in sorted(self.extra.items()):
            out.append(f"# {path}:\n")
            out += [f"#    {clean(line)}\n"
                    for line in text.split("\n") if line]
        for name, keys in self.plan:
            out.append(f"\n[{name}]\n")
            for key, value in keys:
                if where and key in PATHS and value.startswith("/"):
                    value = where(value)
                out.append(f"{key} = {value}".rstrip() + "\n")
        return "".join(out)


def put(path, text, mode, owner=None):
    """Whole or not at all, over nothing, and with its rights before anything
    is in it."""
    folder = os.path.dirname(path)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".adopt-")
    try:
        with open(handle, "w", encoding="utf-8",
                  errors="surrogateescape") as file:
            if owner:
                os.fchown(handle, *owner)
            os.fchmod(handle, mode)
            file.write(text)
            file.flush()
            os.fsync(handle)
        os.link(name, path)
    finally:
        os.unlink(name)
    sync = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(sync)
    finally:
        os.close(sync)


def below(files, path):
    """Where a new file goes; its folder is made."""
    real = files.real(path)
    if real is None:
        raise OSError(40, "links go round", path)
    folder = os.path.dirname(real)
    if not os.path.isdir(folder):
        os.makedirs(folder)
        # whatever the umask is: who runs the queue has to come in
        os.chmod(folder, 0o755)
    return real


def write(result, files):
    """The passwords first: the configuration names them. Their owner is who
    runs the machine's queue, where he is there and we may."""
    places = [below(files, p) for p in
              [*result.secrets, *result.extra, result.path]]
    for real in places:
        if os.path.lexists(real):
            raise FileExistsError(17, "is there already", real)
    owner = None
    uid = files.users().get("posthaste")
    if uid is not None and os.geteuid() == 0:
        owner = (uid, files.groups("posthaste") or uid)
    made = []
    try:
        for path, secret in result.secrets.items():
            if secret.text:
                made.append(files.real(path))
                put(made[-1], f"{secret.text}\n", 0o600, owner)
        for path, text in result.extra.items():
            made.append(files.real(path))
            put(made[-1], text, 0o644)
        made.append(files.real(result.path))
        put(made[-1], result.text(), 0o644)
    except OSError:
        for real in made[:-1]:
            os.unlink(real)
        raise
    return made
