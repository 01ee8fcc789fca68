#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds the house to its plan (src/README): arrows between the layers point
down, each secret of a library is known in its room alone, there is no
writable global but the log's sink, the files of a room stand in no circle, and
the programs are linked as they should be. TAP on standard output.

TOP_SRCDIR    the source tree
TOP_BUILDDIR  where it was built
"""

import collections
import os
import pathlib
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import shape  # noqa: E402
from support import harness  # noqa: E402

TOP = pathlib.Path(os.environ.get("TOP_SRCDIR", "."))
BUILD = pathlib.Path(os.environ.get("TOP_BUILDDIR", "."))
SRC = TOP / "src"

# what each room may look at, itself aside
BELOW = {
    "base": set(),
    "mail": {"base"},
    "config": {"mail", "base"},
    "policy": {"config", "mail", "base"},
    "queue": {"mail", "base"},
    "wire": {"base"},
}
BELOW["submit"] = {"policy", "queue", "wire"} | BELOW["policy"]
BELOW["desk"] = {"submit"} | BELOW["submit"]
BELOW["dnscheck"] = {"desk"} | BELOW["desk"]
BELOW["main"] = {"dnscheck"} | BELOW["dnscheck"]
BELOW["drop"] = {"queue", "mail", "base"}
BELOW["fetch"] = {"base"}
BELOW["token"] = {"fetch", "submit", "wire", "mail", "base"}
# What is not mended yet. Nothing is added here: a circle that is gone goes
# from the list, and the numbers only fall.
CIRCLES = []
NAMES_TWICE = 0          # private names that stand in several files
KEYS_BELOW = 11          # lines that name a key, outside of KEYS_KNOWN
KEYS_KNOWN = r"(config|desk|dnscheck)/.*|main\.c"
TOLD = harness.Told()


def ok(faults, what):
    TOLD.tell(not faults, what, sorted(faults))


def run(*argv, stdin=""):
    return subprocess.run([str(word) for word in argv], input=stdin,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=120, check=False)


def room(path):
    """Of a path relative to src: the layer, or the program that a main
    belongs to."""
    first = pathlib.Path(path).parts[0]
    if first == "main.c":
        return "main"
    if first == "helper":
        found = re.match(r"drop|fetch|token", pathlib.Path(path).name)
        return found.group(0) if found else "fetch"
    return first


# --- sources ---

TOKENS = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'',
                    re.S)


def without(text, strings=True):
    """Comments and strings blanked, lines kept."""
    def blank(match):
        word = match.group(0)
        if not strings and word[0] in "\"'":
            return word
        return re.sub(r"[^\n]", " ", word)
    return TOKENS.sub(blank, text)


def sources():
    found = {}
    for path in sorted(SRC.rglob("*.[ch]")):
        found[str(path.relative_to(SRC))] = path.read_text("utf-8")
    return found


def includes(files):
    for name, text in files.items():
        for line in without(text, strings=False).splitlines():
            match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)', line)
            if match:
                yield name, match.group(1) == "<", match.group(2)


def included_from(files, pattern, allowed):
    """Includes of headers that match pattern, outside of allowed."""
    return {f"{name} includes {header}"
            for name, _, header in includes(files)
            if re.match(pattern + r"$", header) and
            not re.match(allowed + r"$", name)}


def said_in(files, pattern, allowed):
    """Where code matches pattern, outside of allowed."""
    faults = set()
    for name, text in files.items():
        if re.match(allowed + r"$", name):
            continue
        for number, line in enumerate(without(text).splitlines(), 1):
            line = re.sub(r"format\(printf,", "", line)
            if re.search(pattern, line):
                faults.add(f"src/{name}:{number}: {line.strip()}")
    return faults


def conditions_in_functions(files):
    faults = set()
    for name, text in files.items():
        inside = False
        for number, line in enumerate(without(text).splitlines(), 1):
            if line.startswith("{"):
                inside = True
            elif line.startswith("}"):
                inside = False
            elif inside and re.match(r"\s*#\s*(if|ifdef|ifndef)\b", line):
                faults.add(f"src/{name}:{number}: {line.strip()}")
    return faults


def include_arrows(files):
    faults = set()
    for name, system, header in includes(files):
        if system or "/" not in header:
            continue
        here, there = room(name), room(header)
        if there != here and there not in BELOW[here]:
            faults.add(f"{name} includes {header}")
    return faults


def unnamed_in_plan(files):
    """Modules that src/README does not name: what stands before the first
    underscore is enough."""
    named, here = set(), None
    for line in (SRC / "README").read_text("utf-8").splitlines():
        if re.match(r"\w+: ", line):
            here = line.split(":")[0]
        elif here and re.match(r"    \w", line):
            named.add((here, line.split()[0]))
        elif not line.startswith(" ") and line:
            here = None
    faults = set()
    for name in files:
        path = pathlib.Path(name)
        words = {path.stem, path.stem.split("_")[0]}
        if str(path.parent) == "." or path.suffix == ".h":
            continue
        if not words & {word for where, word in named
                        if where == str(path.parent)} and \
           name != "base/mem.c":
            faults.add(f"src/{name}")
    return faults


def circles(files):
    """Files of a room that call each other."""
    bare = {name: shape.bare(text) for name, text in files.items()
            if name.endswith(".c")}
    known = [set(loop.split()) for loop in CIRCLES]
    return {" ".join(loop) for loop in shape.circles(shape.uses(bare))
            if not any(set(loop) <= other for other in known)}


def no_more_than(most, found):
    """All of them if they are more than that."""
    return found if len(found) > most else set()


def names_twice(files):
    home = collections.defaultdict(set)
    for name, text in files.items():
        if name.endswith(".c"):
            for function, private, _ in shape.functions(shape.bare(text)):
                if private:
                    home[function].add(name)
    return {f"{function}: {', '.join(sorted(where))}"
            for function, where in home.items() if len(where) > 1}


def keys_below(files):
    """Lines whose strings name a key of the configuration. Keys of one word
    are words like any others."""
    keys = set(re.findall(r"\bNAMED\(\w+, \w+, ([a-z]+_[a-z_]+),",
                          files["config/keys.c"]))
    faults = set() if "password_file" in keys else {"no keys"}
    for name, text in files.items():
        if re.match(KEYS_KNOWN + r"$", name):
            continue
        for number, line in enumerate(
                without(text, strings=False).splitlines(), 1):
            said = " ".join(re.findall(r'"((?:\\.|[^"\\])*)"', line))
            if keys & set(re.findall(r"\w+", said)):
                faults.add(f"src/{name}:{number}: {line.strip()}")
    return faults


def named_elsewhere():
    """Texts that are not in the tree are not pointed at."""
    faults = set()
    for top in ("README", "src", "man", "contrib", "tests"):
        for path in [TOP / top] + sorted((TOP / top).rglob("*")):
            if path.is_file() and path.name != "layers.py" and \
               path.suffix not in (".o", ".a", ".pyc", ".log", ".trs") and \
               re.search(rb"\bSPEC\b", path.read_bytes()):
                faults.add(str(path.relative_to(TOP)))
    return faults


def wide_lines():
    """C is written in 80 columns, tabs being eight."""
    faults = set()
    for top in ("src", "tests"):
        for path in (TOP / top).rglob("*.[ch]"):
            lines = path.read_text("utf-8").splitlines()
            faults.update(f"{path.relative_to(TOP)}:{number}"
                          for number, line in enumerate(lines, 1)
                          if len(line.expandtabs()) > 80)
    return faults


def check_sources():
    files = sources()
    ok(set() if len(files) > 60 else {f"{len(files)} files"},
       "the sources are there")
    ok(unnamed_in_plan(files), "src/README names every module")
    ok(include_arrows(files), "includes point down")
    ok(included_from(files, r"gnutls/.*",
                     r"base/library_gnutls\.h"),
       "GnuTLS's headers are known to base/library_gnutls alone")
    ok(included_from(files, r"base/library_gnutls\.h",
                     r"wire/.*|mail/dkim.*|base/library_gnutls\.c"),
       "GnuTLS is known to wire and mail/dkim alone")
    ok(included_from(files, r"idn2\.h", r"mail/idn_library\.h"),
       "libidn2 is known to mail/idn_library alone")
    ok(included_from(files, r"gsasl.*\.h", r"wire/sasl.*"),
       "libgsasl is known to wire/sasl alone")
    ok(included_from(files, r"ini\.h", r"config/read\.c"),
       "inih is known to config/read alone")
    ok(included_from(files, r"resolv\.h|arpa/nameser.*|ares.*\.h",
                     r"wire/dns.*"),
       "the resolver is known to wire/dns alone")
    ok(included_from(files, r"netdb\.h", r"wire/(dns.*|lookup\.c)"),
       "names of hosts are asked for in wire alone")
    ok(included_from(files, r"curl/.*",
                     r"helper/(fetch|token|token_http|certificate)\.c"),
       "libcurl is known to posthaste-fetch and posthaste-token alone")
    ok(included_from(files, r"jansson\.h", r"helper/token_parts\.h"),
       "jansson is known to posthaste-token alone")
    ok(said_in(files, r"(?<!\w)exit\(", r"main\.c|helper/.*"),
       "exit() is called by the mains alone")
    ok(said_in(files, r"(?<!\w)(_exit|_Exit|quick_exit|abort)\(",
               r"base/(process|mem)\.c"),
       "_exit() is called by base alone")
    ok(said_in(files, r"(?<!\w)v?(f|d)?printf\(|(?<!\w)(f?puts|f?putc|"
               r"putchar|perror)\(|(?<!\w)std(out|err)(?!\w)",
               r"main\.c|helper/.*|desk/.*|dnscheck/.*|base/log\.c"),
       "nothing is printed below desk")
    ok(said_in(files, r"(?<!\w)(m|c|re)alloc\(|(?<!\w)(strn?dup|v?asprintf|"
               r"reallocarray)\(", r"base/.*|helper/.*"),
       "memory comes from base alone")
    ok(said_in(files, r"struct config(?!\w)",
               r"(config|policy|submit|desk|dnscheck)/.*|main\.c"),
       "the configuration stops above wire, queue and mail")
    ok(conditions_in_functions(files),
       "no preprocessor condition within a function")
    ok(circles(files), "the files of a room stand in no circle")
    ok(no_more_than(NAMES_TWICE, names_twice(files)),
       "a private name is one function's")
    found = keys_below(files)
    ok(found if "no keys" in found else no_more_than(KEYS_BELOW, found),
       "keys of the configuration are named above submit")
    ok(wide_lines(), "no line is wider than 80 columns")
    ok(named_elsewhere(), "nothing points at a text that is not here")


# --- objects ---

def objects():
    """Path -> room, of every object that has a source here."""
    found = {}
    for path in sorted((BUILD / "src").rglob("*.o")):
        name = str(path.relative_to(BUILD / "src"))
        stem = re.sub(r"^(.*/)?(?:posthaste\w*-)?([^/]*)\.o$", r"\1\2.c",
                      name)
        if (SRC / stem).exists():
            found[path] = room(stem)
    return found


def symbols(path):
    defined, wanted = set(), set()
    for line in run("nm", "-gP", path).stdout.splitlines():
        word = line.split()
        if len(word) < 2:
            continue
        (wanted if word[1] in "Uw" else defined).add(word[0])
    return defined, wanted


def object_arrows(found):
    """(from room, to room) -> examples."""
    home = {}
    tables = {path: symbols(path) for path in found}
    for path, (defined, _) in tables.items():
        for symbol in defined - {"main"}:
            home[symbol] = found[path]
    arrows = collections.defaultdict(set)
    for path, (_, wanted) in tables.items():
        for symbol in wanted & set(home):
            if home[symbol] != found[path]:
                arrows[found[path], home[symbol]].add(
                    f"{path.relative_to(BUILD)} needs {symbol}")
    return arrows


def writable_globals(found):
    faults = set()
    for path in found:
        if found[path] in ("drop", "fetch", "token"):
            continue
        for line in run("objdump", "-t", path).stdout.splitlines():
            word = line.split()
            # value, flags, section, size, name; .data.rel.ro is constant
            # once it is loaded
            match = re.search(r"\s(\*COM\*|\.t?(?:data|bss)\S*)\s+[0-9a-f]+"
                              r"\s+(?:\.hidden )?(\S+)$", line)
            if not match or match.group(1).startswith(".data.rel.ro"):
                continue
            if re.search(r"\sd\s", line) or match.group(2).startswith("."):
                continue   # the section itself
            if path.parts[-2:] == ("base", "log.o") and word[-1] == "sink":
                continue
            if path.parts[-2:] == ("base", "mem.o") and \
                    word[-1] == "exhausted":
                continue
            # set once, to a table that cannot be written to
            if "library" in path.name and word[-1].endswith("_loaded"):
                continue
            faults.add(f"{path.relative_to(BUILD)}: {match.group(2)}")
    return faults


def is_sanitized(found):
    return any("__asan_init" in symbols(path)[1] for path in found)


def check_objects(found):
    missing = {name for name in sources() if name.endswith(".c") and
               not name.startswith("helper/")} - \
              {re.sub(r"\.o$", ".c", str(p.relative_to(BUILD / "src")))
               for p in found}
    ok({f"src/{name}" for name in missing}, "every source was built")
    arrows = object_arrows(found)
    ok({example for (here, there), all_ in arrows.items()
        if there not in BELOW[here] for example in all_},
       "references point down")
    order = run("tsort", stdin="".join(f"{a} {b}\n" for a, b in arrows))
    ok(set(order.stdout.splitlines()) if order.returncode else set(),
       "there is no circle between the layers")
    ok(set() if ("desk", "submit") in arrows and len(arrows) > 8 else
       set(map(str, arrows)), "the references can be read")
    if not is_sanitized(found):
        ok(writable_globals(found), "no writable global but the log's sink, "
           "what want of memory means, and the libraries that were loaded")


# --- programs ---

def needed(path):
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]",
                          run("readelf", "-dW", path).stdout))


def soft_spots(path):
    """What is missing of position independence, read-only relocations bound
    at start and a stack without code."""
    text = run("readelf", "-hldW", path).stdout
    stack = re.search(r"GNU_STACK.*\s([RWE ]+?)\s+0x\w+$", text, re.M)
    spots = {
        "not position independent": not re.search(r"Type:\s+DYN", text),
        "no RELRO": "GNU_RELRO" not in text,
        "bound lazily": not re.search(r"BIND_NOW|\bNOW\b", text),
        "executable stack": not stack or "E" in stack.group(1),
        "run path": bool(re.search(r"\((RPATH|RUNPATH)\)", text)),
    }
    return {f"{path.name}: {what}" for what, found in spots.items() if found}


def check_programs():
    drop = BUILD / "posthaste-drop"
    programs = [p for p in (BUILD / "posthaste", drop,
                            BUILD / "posthaste-fetch",
                            BUILD / "posthaste-token") if p.exists()]
    libraries = {lib for lib in needed(drop) if "ld-linux" not in lib}
    ok(libraries ^ {"libc.so.6"}, "posthaste-drop is linked with libc alone")
    ok({lib for lib in needed(BUILD / "posthaste")
        if re.search("curl|jansson", lib)},
       "posthaste loads neither libcurl nor jansson")
    # a name of ours would take the place of the library's
    ok({word for word in symbols(BUILD / "posthaste-token")[0]
        if word in ("json_object", "json_array", "json_string", "json_int")},
       "no name of jansson is another's in posthaste-token")
    ok({spot for path in programs for spot in soft_spots(path)},
       "the programs are hardened")


def is_hardened():
    status = BUILD / "config.status"
    return not status.exists() or \
        "disable-hardening" not in status.read_text("utf-8", "replace")


def main():
    found = objects()
    check_sources()
    check_objects(found)
    if not is_sanitized(found) and is_hardened():
        check_programs()
    return TOLD.end()


if __name__ == "__main__":
    sys.exit(main())
