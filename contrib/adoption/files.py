# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the machine that is looked at, which may lie below a folder: an
absolute link leads to below that folder, and no link out of it."""

import os
import stat

from model import like, number, word

LARGEST = 8 << 20
SMALL = 64 << 10
LINKS = 40


class Files:
    def __init__(self, root):
        self.root = os.path.realpath(root)

    @property
    def live(self):
        return self.root == "/"

    def real(self, path):
        """Where a path of the machine is here; None where links go round."""
        done, left, links = [], path.split("/"), 0
        while left:
            name = left.pop(0)
            if name in ("", "."):
                continue
            if name == "..":
                done = done[:-1]
                continue
            here = os.path.join(self.root, *done, name)
            if not os.path.islink(here):
                done.append(name)
                continue
            links += 1
            if links > LINKS:
                return None
            target = os.readlink(here)
            if target.startswith("/"):
                done = []
            left = target.split("/") + left
        return os.path.join(self.root, *done)

    def exists(self, path):
        real = self.real(path)
        return real is not None and os.path.exists(real)

    def list(self, path):
        real = self.real(path)
        try:
            return sorted(os.listdir(real)) if real else []
        except OSError:
            return []

    def bytes(self, path, report=None):
        """A regular file's, None where there is none; said where it cannot
        be read."""
        real = self.real(path)
        if real is None or not os.path.exists(real):
            return None
        try:
            # a FIFO would make us wait for ever
            handle = os.open(real, os.O_RDONLY | os.O_NONBLOCK)
            with open(handle, "rb") as file:
                if not stat.S_ISREG(os.fstat(handle).st_mode):
                    raise OSError(0, "not a file")
                text = file.read(LARGEST + 1)
            if len(text) > LARGEST:
                raise OSError(0, "too large")
            return text
        except OSError as why:
            if report:
                report.name(word("", path, 0),
                            f"cannot be read: {why.strerror}")
            return None

    def lines(self, path, report=None):
        """Words, a line each, without line ends; None where no file is."""
        text = self.bytes(path, report)
        return None if text is None else self._words(text, path, report)

    def lines_of(self, path, uid, report):
        """The same of a user's own file: what he put in its place may lead
        anywhere, and is not for others to see."""
        folder, name = os.path.split(path)
        real = self.real(folder)
        if real is None:
            return []
        try:
            handle = os.open(os.path.join(real, name),
                             os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as why:
            report.name(word("", path, 0), f"cannot be read: {why.strerror}")
            return []
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != uid:
            os.close(handle)
            report.name(word("", path, 0), "is not his own file")
            return []
        with open(handle, "rb") as file:
            text = file.read(SMALL + 1)
        if len(text) > SMALL:
            report.name(word("", path, 0), "is too large")
            return []
        return self._words(text, path, report)

    @staticmethod
    def _words(text, path, report):
        text = text.decode("utf-8", "surrogateescape").lstrip("\ufeff")
        if "\0" in text and report:
            report.name(word("", path, 0), "has NUL bytes, and is no text")
            text = text.replace("\0", "")
        # no other line ends than these: a password may hold any character
        lines = text.replace("\r\n", "\n").split("\n")
        return [word(line, path, number)
                for number, line in enumerate(lines, 1)]

    def first(self, path, report=None):
        """The first line with something in it, blanks taken off."""
        for line in self.lines(path, report) or []:
            if line.strip():
                return word(line.strip(), path, line.line)
        return None

    def mailname(self):
        return self.first("/etc/mailname")

    def own_name(self):
        """The host's name, where a mailname would be taken for it."""
        name = self.first("/etc/hostname")
        return name if name and "." in name and self.mailname() and \
            name != self.mailname() else None

    def names(self):
        """The host's names, as far as a file says them."""
        name = self.first("/etc/hostname")
        if not name:
            return []
        full = [name for name in [self.full_name()] if name]
        return full + [n for n in (name, name.partition(".")[0])
                       if n not in full]

    def full_name(self):
        """The host's name with its domain; None where no file says it."""
        name = self.first("/etc/hostname")
        if not name or "." in name:
            return name
        for line in self.lines("/etc/hosts") or []:
            field = line.partition("#")[0].split()
            if name in field[1:] and "." in field[1]:
                return like(field[1], line)
        return None

    def users(self):
        """{name: uid} of the machine."""
        users = {}
        for line in self.lines("/etc/passwd") or []:
            field = line.split(":")
            if len(field) > 3 and \
                    number(field[2]) is not None:
                users[field[0]] = int(field[2])
        return users

    def homes(self):
        """{name: home directory} of the users."""
        fields = [line.split(":") for line in self.lines("/etc/passwd") or []]
        return {field[0]: field[5].rstrip("/") for field in fields
                if len(field) > 5 and field[5].startswith("/")}

    def groups(self, name):
        """The user's group, by number."""
        for line in self.lines("/etc/passwd") or []:
            field = line.split(":")
            if field[0] == name and len(field) > 3:
                return number(field[3])
        return None
