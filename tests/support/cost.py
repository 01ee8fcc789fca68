# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command costs, counted so that the figure is the same on every
machine: system calls less those of the loader and the allocator, instructions
of the program and the C library less those of loader and cryptography."""

import collections
import pathlib
import re

# the loader, the start of a process, the allocator; how often somebody else has
# to be waited for; and what a worker allows itself, which is all that lies
# around the files that it hides, and so as much as the machine has
NOT_OURS = re.compile(
    r".* = -1 EAGAIN |poll\("
    r"|landlock_\w+\(|readlink\(|getdents64\("
    r"|(mmap|munmap|mremap|mprotect|madvise|brk|arch_prctl|set_tid_address"
    r"|set_robust_list|rseq|futex|mseal|exit_group|restart_syscall)\("
    r"|\w+\([^)]*(\.so\b|/etc/ld\.so|/etc/suid-debug)"
    r"|prlimit64\(0, RLIMIT_STACK"
    r"|getrandom\(.*, [48], GRND_NONBLOCK\)"
    r"|fcntl\([012](<[^>]*>)?, F_GETFD\)")
CALL = re.compile(r"(?:(\d+) +)?(\w+\(.*)")
PLACE = re.compile(r"openat\(.*\bO_PATH\b.*\) = (\d+)")
CLOSE = re.compile(r"close(?:_range)?\((\d+)(?:<[^>]*>)?(?:, (\d+))?")
LIBRARY = re.compile(r'openat\([^"]*"([^"]*\.so[.\d]*)".* = \d')


def calls(trace):
    """The system calls in what strace -ff -y wrote, a file a process, and how
    many libraries were loaded. Takes the files away."""
    made, libraries, places = 0, set(), set()
    lines = []
    for path in pathlib.Path(trace).parent.glob(f"{trace.name}.*"):
        lines += [f"{path.suffix[1:]} {line}" for line in
                  path.read_text(errors="replace").splitlines()]
        path.unlink()
    for line in lines:
        call = CALL.match(line)
        if not call:
            continue
        process, words = call.groups()
        library, place = LIBRARY.match(words), PLACE.match(words)
        closed = CLOSE.match(words)
        if library:
            libraries.add(library[1])
        if place:
            places.add((process, place[1]))
        elif closed and (process, closed[1]) in places:
            places -= {(process, str(n)) for n in range(
                int(closed[1]), int(closed[2] or closed[1]) + 1)}
        else:
            made += not NOT_OURS.match(words)
    return made, len(libraries)


def instructions_of_all(files):
    """All those of a program and of its workers, in what callgrind wrote: a
    process that was forked begins with what its parent had, so that only what
    is below its own first function counts."""
    total = 0
    for path in files:
        names, callee, inside, add = {}, None, 0, False
        whole = 0
        for line in pathlib.Path(path).read_text(
                errors="replace").splitlines():
            named = re.match(r"c?fn=\((\d+)\)(?: (.*))?", line)
            if named:
                names.setdefault(named[1], named[2])
                callee = names[named[1]]
            elif line.startswith("calls="):
                add = callee == "work"
            elif add:
                inside += int(line.split()[-1])
                add = False
            elif line.startswith(("summary:", "totals:")):
                whole = int(line.split()[1])
        total += inside or whole
    return total


def instructions(files, wanted=re.compile(r"posthaste|libc[.-]")):
    """Those in objects whose names begin so, in what callgrind wrote. What a
    worker was forked with counts for it, too."""
    spent = collections.Counter()
    for path in files:
        names, here, skip = {}, None, False
        for line in pathlib.Path(path).read_text(
                errors="replace").splitlines():
            named = re.match(r"(c?ob)=\((\d+)\)(?: (.*))?", line)
            if named:
                if named[3]:
                    names[named[2]] = named[3].rpartition("/")[2]
                if named[1] == "ob":
                    here = names[named[2]]
            elif line.startswith("calls="):
                skip = True     # the next line is what the callee spent
            elif line[:1] in tuple("0123456789+-*"):
                words = line.split()
                if not skip and len(words) > 1:
                    spent[here] += int(words[1])
                skip = False
    return sum(n for name, n in spent.items() if name and
               wanted.match(name))
