#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds the tables of options and keys, the manual pages, --help and the
sample configuration together: what one of them has, all have; and that the
tests which contrib/SECURITY names are there.

TOP_SRCDIR  the source tree
POSTHASTE   the program; without it --help and the sample are not tried
ROWS        the program that prints the tables (tests/unit/rows.c); by default
            tests/unit/rows beside POSTHASTE, or below the working directory
"""
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "support"))
import harness  # noqa: E402

TOP = os.environ.get("TOP_SRCDIR", ".")
PROGRAM = os.environ.get("POSTHASTE")
TOLD = harness.Told()


def ok(good, what, *details):
    TOLD.tell(good, what, details)


def same(what, wanted, found):
    """Two lists that must be one, in any order."""
    missing = sorted(set(wanted) - set(found))
    extra = sorted(set(found) - set(wanted))
    twice = sorted({x for x in found if list(found).count(x) > 1})
    ok(not (missing or extra or twice), what,
       "missing: %s" % (missing,), "not in the table: %s" % (extra,),
       "twice: %s" % (twice,))


def run(*argv):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, check=False)


def text_of(*path):
    with open(os.path.join(TOP, *path), encoding="utf-8") as file:
        return file.read()


def rows_program():
    if "ROWS" in os.environ:
        return os.environ["ROWS"]
    base = os.path.dirname(os.path.abspath(PROGRAM)) if PROGRAM else "."
    return os.path.join(base, "tests", "unit", "rows")


def tables():
    options, keys = {}, {}
    for line in run(rows_program()).stdout.splitlines():
        field = line.split("\t")
        if field[0] == "option":
            options[field[1]] = field[2]
        else:
            keys[field[1], field[2]] = field[3]
    return options, keys


def manual_options(page):
    """name -> argument, of the lists under OPTIONS."""
    found = []
    for line in section(page, "OPTIONS").splitlines():
        m = re.match(r"\.It Fl (Fl )?(\S+)(?: (?:Ns )?(?:Op )?Ar (\S+))?$",
                     line)
        if m:
            found.append(("--" if m.group(1) else "-") + m.group(2) +
                         " " + (m.group(3) or ""))
    return found


def section(page, title):
    m = re.search(r"^\.Sh %s\n(.*?)(?=^\.Sh |\Z)" % title, page,
                  re.M | re.S)
    return m.group(1) if m else ""


TITLES = {"general": "GENERAL", "log": "LOG", "queue": "QUEUE", "dns": "DNS",
          "tls": "TLS", "account": "ACCOUNTS", "domain": "DOMAINS",
          "route": "ROUTES", "transport": "TRANSPORTS"}


def manual_keys(page):
    found = []
    for name, title in TITLES.items():
        for line in section(page, title).splitlines():
            m = re.match(r"\.It Ic (\S+)(?: Pq (.*))?$", line)
            if m:
                found.append((name, m.group(1), m.group(2) or ""))
    return found


def sample_keys(text):
    """(section, key, value) of every line, commented or not."""
    found, name = [], None
    for line in text.splitlines():
        line = re.sub(r"^; ", "", line)
        m = re.match(r"\[(\w+).*\]$", line)
        if m:
            name = m.group(1)
        m = re.match(r"(\w+) = (.*)$", line)
        if m:
            found.append((name, m.group(1), m.group(2)))
    return found


def check_sample(keys):
    sample = sample_keys(text_of("contrib", "posthaste.conf"))
    same("the sample has every key", list(keys), [x[:2] for x in sample])
    wrong = ["[%s] %s = %s" % x for x in sample
             if keys.get(x[:2]) and keys[x[:2]] != x[2]]
    ok(not wrong, "the sample shows the defaults", *wrong)


def check_help(options):
    result = run(PROGRAM, "--help")
    ok(result.returncode == 0 and not result.stderr, "--help works",
       result.stderr)
    named = re.findall(r"(?:^ +|, )(--?[A-Za-z][\w-]*)", result.stdout, re.M)
    same("--help has every option", list(options), named)
    ok(max(map(len, result.stdout.splitlines() or [""])) < 80,
       "--help fits a terminal")


def used_options():
    """Name and argument of those that do something, which is what a shell
    should offer."""
    rows = [line.split("\t") for line in
            run(rows_program()).stdout.splitlines()]
    return {row[1]: row[2] for row in rows if row[0] == "option" and row[3]}


def check_completions():
    options = used_options()
    valued = [name for name, argument in options.items() if argument]
    plain = [name for name, argument in options.items() if not argument]
    text = text_of("contrib", "completions", "posthaste.bash")
    lists = {name: words.split() for name, words in
             re.findall(r"^_posthaste_(\w+)='(.*?)'", text, re.M | re.S)}
    same("bash completes the options without argument", plain,
         lists.get("plain", []))
    same("bash completes the options with an argument", valued,
         lists.get("valued", []))
    text = text_of("contrib", "completions", "posthaste.zsh")
    specs = re.findall(r"^\t'(?:\*|\(.*?\))?(--?[A-Za-z][\w-]*?)[-+=]?"
                       r"\[[^]]*\](:?)", text, re.M)
    same("zsh completes the options without argument", plain,
         [name for name, colon in specs if not colon])
    same("zsh completes the options with an argument", valued,
         [name for name, colon in specs if colon])
    ok(text.startswith("#compdef posthaste"), "zsh finds its completion")


def complete(*words):
    """What bash offers for the last of these words."""
    script = os.path.join(TOP, "contrib", "completions", "posthaste.bash")
    return run("bash", "-c",
               'complete() { :; }; . "$0" && COMP_WORDS=("$@") && '
               'COMP_CWORD=$(($# - 1)) && _posthaste; '
               'printf "%s\\n" "${COMPREPLY[@]}"', script,
               *words).stdout.split()


def check_bash():
    sample = os.path.join(TOP, "contrib", "examples", "failover.conf")
    found = complete(PROGRAM, "-N", "f")
    ok(found == ["failure"], "bash offers values", found)
    found = complete(PROGRAM, "--re")
    ok(sorted(found) == ["--read-envelope-from", "--read-recipients",
                         "--release", "--remove", "--require-tls",
                         "--retry"], "bash offers options", found)
    wanted = re.findall(r"^\[transport (.*)\]", text_of(
        "contrib", "examples", "failover.conf"), re.M)
    found = complete(PROGRAM, "-C", sample, "--probe", "")
    ok(wanted and found == wanted, "bash offers transports", found, wanted)
    found = complete(PROGRAM, "-C", "/")
    ok("/etc" in found, "bash offers files", found)
    with tempfile.TemporaryDirectory() as folder:
        strange = [f"$(touch${{IFS}}{folder}/1)", f"`touch${{IFS}}{folder}/2`",
                   "*", "~"]
        path = os.path.join(folder, "conf")
        with open(path, "w", encoding="ascii") as f:
            f.writelines(f"[account {name}]\nfrom = a@example.org\n"
                         for name in strange)
        found = complete(PROGRAM, "-C", path, "-a", "")
        ok(os.listdir(folder) == ["conf"] and
           [re.sub(r"\\(.)", r"\1", name) for name in found] == strange,
           "bash runs nothing of a name, nor offers it without quotes", found)


def check_program():
    sample = os.path.join(TOP, "contrib", "posthaste.conf")
    result = run(PROGRAM, "-C", sample, "--check")
    ok(result.returncode == 0, "the sample is a configuration without fault",
       *result.stderr.splitlines())


def check_security():
    """Each line "tests/file: name, name", which may go on, indented more."""
    text = re.sub(r",\n {8}", ", ", text_of("contrib", "SECURITY"))
    named = re.findall(r"^    (tests/[\w./-]+)(?:: (.*))?$", text, re.M)
    lacking = []
    for path, names in named:
        if not os.path.exists(os.path.join(TOP, path)):
            lacking.append(path)
            continue
        test = text_of(*path.split("/"))
        lacking += [f"{path}: {name}" for name in names.split(", ")
                    if name and not re.search(r"\b%s\b" % re.escape(name),
                                              test)]
    promises = re.split(r"^\d+\. ", text.split("PROMISES")[1]
                        .split("OUT OF SCOPE")[0], flags=re.M)[1:]
    lacking += [words.splitlines()[0] for words in promises
                if "\n    tests/" not in words]
    ok(len(named) > 50 and len(promises) > 10 and not lacking,
       "each promise of contrib/SECURITY has its tests", *lacking)


def main():
    options, keys = tables()
    ok(len(options) > 50 and len(keys) > 70, "the tables can be read",
       rows_program())
    same("posthaste(1) has every option with its argument",
         ["%s %s" % x for x in options.items()],
         manual_options(text_of("man", "posthaste.1")))
    same("posthaste.conf(5) has every key with its default",
         [(s, k, v) for (s, k), v in keys.items()],
         manual_keys(text_of("man", "posthaste.conf.5")))
    check_sample(keys)
    check_completions()
    check_security()
    if PROGRAM:
        check_bash()
        check_help(options)
        check_program()
    return TOLD.end()


if __name__ == "__main__":
    sys.exit(main())
