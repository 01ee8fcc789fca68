# SPDX-License-Identifier: GPL-3.0-or-later
"""esmtp: esmtprc(5)."""

import re

import model
from model import NONE, OFFERED, REQUIRED, Local, Relay, Setup, Way, like, word

FILES = ("/etc/esmtprc",)
KEYS = {"hostname", "username", "password", "starttls", "helo", "mda",
        "certificate_passphrase", "qualifydomain", "message_id", "preconnect",
        "identity", "force_mda", "force_sender", "force_reverse_path",
        "default"}
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f",
           "v": "\v"}
SERVICES = {"smtp": 25, "submission": 587, "smtps": 465, "submissions": 465}


def unescape(text):
    """What stands in quotes, as C has it."""
    def one(match):
        code = match.group(1)
        if code[0] == "x":
            return chr(int(code[1:], 16))
        if code[0].isdigit():
            return chr(int(code, 8) & 255)
        return ESCAPES.get(code, code)
    return re.sub(r"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.)", one, text)


def tokens(lines, report):
    """Words of all lines: (Word, whether it was quoted)."""
    for line in lines:
        rest = line.rstrip("\r")
        while rest:
            match = re.match(r'[\s=]+|"((?:[^"\\]|\\.)*)"|'
                             r"'((?:[^'\\]|\\.)*)'|"
                             r"([^\s=\"'#][^\s=#]*)(#?)", rest)
            if rest.startswith("#"):
                break
            if not match:
                report.name(line, "a quote that does not close")
                break
            rest = rest[match.end():]
            quoted = match.group(1) if match.group(1) is not None \
                else match.group(2)
            if quoted is not None:
                yield like(unescape(quoted), line), True
            elif match.group(3) is not None:
                if match.group(4):
                    report.name(line, "a # within a word begins a comment; "
                                "it is read to there")
                    rest = ""
                yield like(match.group(3), line), False


def identities(lines, report):
    """[(address or None, {key: Word})]; the first is the global one."""
    out, words = [(None, {})], list(tokens(lines, report))
    number = 0
    while number < len(words):
        key = words[number][0]
        name = key.lower()
        number += 1
        if name == "force" and number < len(words) and \
                words[number][0].lower() in ("sender", "reverse_path"):
            name = f"force_{words[number][0].lower()}"
            number += 1
        if name not in KEYS or name == "default":
            if name != "default":
                report.name(key, f"{key}: not a keyword of esmtp")
            continue
        if number >= len(words) or words[number][0].lower() in KEYS and \
                not words[number][1] and words[number][0].line != key.line:
            report.name(key, f"{key} has no value")
            continue
        value = words[number][0]
        number += 1
        if name == "identity":
            if value.lower() == "default" and number < len(words):
                value = words[number][0]
                number += 1
            out.append((value, {}))
        else:
            out[-1][1][name] = value
    return out


def relay_of(given, report):
    where = given["hostname"]
    match = re.fullmatch(r"\[?([^\s\]]+?)\]?(?::(\w+))?", where)
    port = match and match.group(2) or "587"
    port = model.port(str(SERVICES.get(port, port)))
    if not match or port is None:
        report.name(where, f"hostname {where}: no HOST:PORT")
        return None
    relay = Relay(where, [match.group(1)], port)
    tls = given.get("starttls", word("disabled", where.path, where.line))
    relay.tls_where = tls
    relay.tls = {"enabled": OFFERED, "required": REQUIRED,
                 "disabled": NONE}.get(tls.lower(), REQUIRED)
    if tls.lower() not in ("enabled", "required", "disabled"):
        report.name(tls, f"starttls {tls}: taken as required")
    relay.user, relay.password = given.get("username"), given.get("password")
    if given.get("helo"):
        relay.helo = given["helo"]
    return relay


def sender_of(account, given, setup):
    text = given.get("force_reverse_path")
    if text:
        account.sender = like(text, text)
        account.force = True
    if given.get("qualifydomain"):
        setup.domain = setup.domain or given["qualifydomain"]


def not_carried(given, report):
    for key, text in (
            ("preconnect", "no command is run before a connection"),
            ("certificate_passphrase", "a key has to be readable as it is"),
            ("force_sender", "no Sender field is set"),
            ("force_mda", "see kinds maildir and command")):
        if given.get(key):
            report.name(given[key], f"{key.replace('force_', 'force ')}: "
                        f"not carried over: {text}")
    if given.get("message_id", "").lower() == "disabled":
        report.note(given["message_id"], "a missing Message-ID is always "
                    "added")


def read(files, report):
    lines = files.lines(FILES[0], report)
    if lines is None:
        return None
    setup = Setup("esmtp", report)
    found = identities(lines, report)
    if not found[0][1] and len(found) > 1:
        # the first is the default, too
        found[0] = (None, found[1][1])
    default = None
    for address, given in found:
        not_carried(given, report)
        if given.get("mda"):
            setup.local = Local(given["mda"], "mail without a domain went to "
                                "a delivery agent (mda)", True)
        if "hostname" not in given:
            where = address or word("", FILES[0], 0)
            if address is None and not any(
                    k in given for k in ("mda", "force_mda")):
                report.name(where, "no hostname: esmtp takes localhost")
            given["hostname"] = word("localhost:25", where.path, where.line)
        relay = relay_of(given, report)
        if relay is None:
            continue
        if address is None:
            default = Way(relay.where, [relay])
            if given.get("force_reverse_path") or \
                    given.get("qualifydomain"):
                sender_of(setup.default_account(relay.where), given, setup)
            continue
        account = setup.account_of(address, address)
        sender_of(account, given, setup)
        setup.ways.append(Way(address, [relay], account=account))
    if default:
        setup.ways.append(default)
    return setup
