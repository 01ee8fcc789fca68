# SPDX-License-Identifier: GPL-3.0-or-later
"""Small disks, and one whose power can be cut: what was not synced is
lost."""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import time

from harness import LIBC, Failure, Skip, need, want

SHUTDOWN = 0x8004587d        # EXT4_IOC_SHUTDOWN
NO_LOG_FLUSH = 2


@contextlib.contextmanager
def tmpfs(folder, options):
    """A folder that is a small disk. A context."""
    os.makedirs(folder)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "test",
                           folder], capture_output=True, check=False)
    if done.returncode:
        raise Skip("mounting is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


class Disk:
    """An ext4 in a file, mounted on a folder."""

    def __init__(self, folder):
        if os.getuid():
            raise Skip("only root may mount")
        need("mkfs.ext4", "mount", "umount")
        os.makedirs(f"{folder}/disk")
        self.image, self.path = f"{folder}/image", f"{folder}/disk"
        with open(self.image, "wb") as f:
            f.truncate(16 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0",
                        self.image], check=True, capture_output=True)
        self.mounted = False
        if not self.mount():
            raise Skip("no loop device can be mounted here")

    def mount(self):
        done = subprocess.run(["mount", "-o", "loop", self.image, self.path],
                              capture_output=True, check=False)
        self.mounted = done.returncode == 0
        return self.mounted

    def unmount(self):
        for _ in range(200):
            if not subprocess.run(["umount", self.path], check=False,
                                  capture_output=True).returncode:
                self.mounted = False
                return
            time.sleep(0.01)
        raise Failure("the disk stays busy")

    def sync(self):
        """This disk alone: another test's may be about to lose something."""
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            want(not LIBC.syncfs(fd), "syncfs")
        finally:
            os.close(fd)

    def cut(self):
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        except OSError as why:
            raise Skip(f"this ext4 cannot be shut down: {why}") from why
        finally:
            os.close(fd)

    def again(self):
        """Mounts what reached the disk."""
        self.unmount()
        if self.mount() and self.alive():
            return
        # somebody's copy of our mount keeps the dead file system alive
        if self.mounted:
            self.unmount()
        shutil.copyfile(self.image, self.image + "+")
        os.unlink(self.image)
        self.image += "+"
        want(self.mount() and self.alive(), "the disk does not come back")

    def alive(self):
        try:
            os.mkdir(f"{self.path}/probe")
            os.rmdir(f"{self.path}/probe")
        except OSError:
            return False
        return True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.mounted:
            with contextlib.suppress(Failure):
                self.unmount()
        if self.mounted:
            subprocess.run(["umount", "-l", self.path], check=False)
