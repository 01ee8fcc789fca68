# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds of the test's own: configured, made and installed in a scratch
folder, out of the source tree or out of its tarball."""

import os
import pathlib
import shutil

import harness
from harness import PATH

SOURCE = harness.TOP


def environment():
    """Nothing of a make that this runs under."""
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("MAKE", "MFLAGS", "TESTS", "AM_"))
           and name not in ("DESTDIR", "V", "CFLAGS", "LDFLAGS")}
    env.update(PATH=PATH, LC_ALL="C")
    return env


def command(*argv, env=None, **more):
    return harness.command(
        *argv, env=environment() if env is None else env, **more)


def pristine(folder):
    """A source tree that is not configured in place. The folder may be within
    the one that is: it is not copied into itself."""
    if not (SOURCE / "config.status").exists():
        return SOURCE
    copy = pathlib.Path(folder, "source")
    left_out = {SOURCE.resolve() / ".git", pathlib.Path(folder).resolve()}
    shutil.copytree(SOURCE, copy, symlinks=True, ignore=lambda at, names: {
        name for name in names
        if pathlib.Path(at).resolve() / name in left_out})
    command("make", "-s", "distclean", folder=copy)
    return copy


def configure(source, folder, *argv):
    """Not optimised: how fast it runs matters to no test."""
    os.makedirs(folder)
    command(pathlib.Path(source, "configure"), "--quiet",
            "--enable-werror", "CFLAGS=-O0", *argv, folder=folder)


def make(folder, *argv):
    return command("make", "-s", "-j2", *argv, folder=folder)
