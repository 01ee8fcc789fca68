# SPDX-License-Identifier: GPL-3.0-or-later
"""What is needed to know of an alias file: where a name leads, and what of
it posthaste does not follow."""

import re

from model import like

MOST = 100      # addresses that somebody forwards to


def entries(lines):
    """(first line, name, value) of each alias; a line that begins with a
    blank goes on from the one before."""
    now = None
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0] in " \t" and now:
            now = (now[0], now[1], f"{now[2]} {line.strip()}")
            continue
        if now:
            yield now
        name, colon, value = line.partition(":")
        now = (line, name.strip().strip('"'), value.strip()) if colon \
            else None
    if now:
        yield now


def unsupported(lines):
    for line, name, value in entries(lines):
        parts = re.findall(r'"[^"]*"|[^,"]+', value)
        for part in (p.strip().strip('"').strip() for p in parts):
            if re.match(r"[|]|:include:|/(?!dev/null$)", part):
                yield line, f"{name}: {part}"


def forward_of(name, lines, report):
    """The alias that a user's .forward is; None where nothing is left."""
    if lines and re.match(r"#\s*(exim|sieve) filter", lines[0], re.I):
        report.name(lines[0], "a filter is not carried over")
        return None
    text = ",".join(line.partition("#")[0] for line in lines)
    targets, parts = [], re.findall(r'"[^"]*"|[^,"]+', text)
    if len(parts) > MOST:
        report.name(lines[0], f"the first {MOST} count")
    for part in parts[:MOST]:
        part = part.strip().strip('"').strip()
        if re.fullmatch(r"[\w.+-]+(@[\w.-]+)?", part):
            targets.append(part)
        elif part:
            report.name(lines[0], f"{part}: posthaste follows no pipes and "
                        "files, and keeps no mailboxes")
    return like(f"{name}: {', '.join(targets)}", lines[0]) if targets else None


def forwards(files, lines, report):
    """What users have in .forward, as aliases; one in the file counts more."""
    names = {name.lower() for _, name, _ in entries(lines)}
    users = files.users()
    found = [forward_of(name, files.lines_of(f"{home}/.forward", users[name],
                                             report), report)
             for name, home in files.homes().items()
             if name.lower() not in names and name in users and
             re.fullmatch(r"[\w.-]+", name)]
    return [line for line in found if line]


def leads_away(name, lines, depth=0):
    """Whether mail for this name leaves the machine by aliases."""
    if depth > 20:
        return False
    table = {n.lower(): v for _, n, v in entries(lines)}
    value = table.get(name.lower(), table.get("default", table.get("*")))
    if value is None:
        return False
    targets = [t.strip() for t in value.split(",") if t.strip()]
    return any("@" in t or leads_away(t, lines, depth + 1)
               for t in targets if t.lower() != name.lower())


def at(lines, domains, names, end):
    """The aliases, as those of names at the domains alone; and for these names
    without one they themselves with that end."""
    found = {}
    for line, name, value in entries(lines):
        found.setdefault(name.lower(), (line, name, value))
    for name in names:
        found.setdefault(name.lower(), (name, name, name + end))
    return [like(f"{'' if name in ('*', 'default') else name}@{domain}: "
                 f"{value}", line)
            for line, name, value in found.values() for domain in domains
            if "@" not in name]


def without(lines, names):
    """The lines, but for the aliases of these names."""
    out, keep = [], True
    for line in lines:
        if line.strip() and line[0] not in " \t#":
            keep = line.partition(":")[0].strip().strip('"').lower() \
                not in names
        if keep and line.strip():
            out.append(like(line, line))
    return out
