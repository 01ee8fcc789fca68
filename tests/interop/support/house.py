# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds of the test's own: configured, made and installed in a scratch
folder, out of the source tree or out of its tarball."""

import os
import pathlib
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
TESTS = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(TESTS / "wire"))
from harness import Failure  # noqa: E402

SOURCE = pathlib.Path(os.environ.get("TOP_SRCDIR", TESTS.parent)).resolve()
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def environment():
    """Nothing of a make that this runs under."""
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("MAKE", "MFLAGS", "TESTS", "AM_"))
           and name not in ("DESTDIR", "V", "CFLAGS", "LDFLAGS")}
    env.update(PATH=PATH, LC_ALL="C")
    return env


def command(*argv, folder=None, limit=300, good=(0,), stdin=b"", env=None):
    """Runs it; gives standard output with standard error."""
    done = subprocess.run([str(word) for word in argv], cwd=folder,
                          input=stdin, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=limit,
                          env=environment() if env is None else env)
    text = done.stdout.decode(errors="replace")
    if done.returncode not in good:
        words = " ".join(str(word) for word in argv)
        raise Failure(f"{words}: status {done.returncode}\n{text[-3000:]}")
    return text


def pristine(folder):
    """A source tree that is not configured in place."""
    if not (SOURCE / "config.status").exists():
        return SOURCE
    copy = pathlib.Path(folder, "source")
    shutil.copytree(SOURCE, copy, symlinks=True,
                    ignore=shutil.ignore_patterns(".git"))
    command("make", "-s", "distclean", folder=copy)
    return copy


def configure(source, folder, *argv):
    os.makedirs(folder)
    command(pathlib.Path(source, "configure"), "--quiet",
            "--enable-werror", *argv, folder=folder)


def make(folder, *argv):
    return command("make", "-s", "-j2", *argv, folder=folder)
