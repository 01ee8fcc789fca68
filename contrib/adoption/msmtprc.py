# SPDX-License-Identifier: GPL-3.0-or-later
"""msmtp's configuration into one of posthaste: the converter behind
contrib/from-msmtprc and, for msmtp, contrib/adopt."""

import contextlib
import ipaddress
import os
import re
import shutil
import subprocess
import sys
import tempfile

USAGE = """Turns a configuration of msmtp into one of posthaste.

    from-msmtprc [-o OUTPUT] [FILE]

FILE is ~/.msmtprc, or ~/.config/msmtp/config, or "-" for standard input.
OUTPUT is written for its owner alone, with the directory it is in, and only
if all went well; without it the result goes to standard output, and where FILE
holds a password, so does that: keep it from others. What cannot be carried
over is said on standard error, with the line's number. The result is held
against "posthaste --check", where posthaste is installed.

Status 0: converted. 1: something in FILE was not understood (it was then read
in the safest way), or the result is not in order. 64: usage."""

ON, OFF = {"", "on"}, {"off"}
# keywords whose value is on or off, and what they are now called
SWITCHES = {"tls", "tls_starttls", "tls_certcheck", "allow_from_override",
            "auto_from", "remove_bcc_headers", "keepbcc",
            "add_missing_from_header", "add_missing_date_header",
            "undisclosed_recipients"}
TEXTS = {"host", "port", "source_ip", "proxy_host", "proxy_port", "socket",
         "timeout", "protocol", "domain", "auth", "user", "password",
         "passwordeval", "ntlmdomain", "tls_trust_file", "tls_crl_file",
         "tls_fingerprint", "tls_key_file", "tls_cert_file",
         "tls_priorities", "tls_host_override", "tls_min_dh_prime_bits",
         "from", "from_full_name", "set_from_header", "set_date_header",
         "set_msgid_header", "set_to_header", "dsn_notify", "dsn_return",
         "logfile", "logfile_time_format", "syslog", "aliases",
         "maildomain"}
FLAGS = {"tls_nocertcheck": ("tls_certcheck", "off"),
         "tls_nostarttls": ("tls_starttls", "off")}
RENAMED = {"connect_timeout": "timeout"}
TOKENS = {"oauthbearer", "xoauth2"}
MECHANISMS = {"plain", "login", "cram-md5", "digest-md5", "scram-sha-1",
              "scram-sha-1-plus", "scram-sha-256", "scram-sha-256-plus",
              "gssapi", "external", "ntlm"} | TOKENS
# What a value must be. One that is not is passed over: what then holds is
# msmtp's default, or for a switch that protects, that it is on.
PROTECTING = {"tls", "tls_certcheck"}
WORDS = {
    "protocol": {"smtp", "lmtp"}, "auth": {"", "on", "off"} | MECHANISMS,
    "set_from_header": {"", "on", "off", "auto"},
    "set_date_header": {"", "off", "auto"},
    "set_msgid_header": {"", "off", "auto"},
    "set_to_header": {"", "on", "off", "auto", "undisclosed_recipients"},
    "dsn_return": {"", "off", "headers", "hdrs", "full"},
}
PATTERNS = {
    "port": r"[0-9]{1,5}", "proxy_port": r"[0-9]{0,5}",
    "timeout": r"[0-9]{1,6}|off|",
    "tls_min_dh_prime_bits": r"[0-9]{0,5}",
    # posthaste has lists there, and takes a path for a socket
    "host": r"[^\s#,/][^\s#,]*", "proxy_host": r"[^\s#,/]*",
    "socket": r"(/[^\s,]+)?",
    "tls_fingerprint": r"([0-9A-Fa-f]{2}:?)*|",
    "dsn_notify": r"off|never|(success|failure|delay)"
                  r"(,(success|failure|delay))*|",
}

problems = 0
faults = 0


def fault(words, line=0):
    """Something that msmtp would not have understood either."""
    global faults
    faults += 1
    complain(words, line)


def complain(words, line=0):
    global problems
    problems += 1
    where = f"line {line}: " if line else ""
    print(f"from-msmtprc: {where}{words}", file=sys.stderr)


class Value(str):
    """What a keyword was set to, and on which line."""
    line = 0


def value_at(text, line):
    value = Value(text)
    value.line = line
    return value


# --- reading ---

class Account:
    def __init__(self, name, line=0):
        self.name = name
        self.line = line
        self.settings = {}

    def get(self, key):
        return self.settings.get(key, value_at("", self.line))

    def has(self, key):
        return key in self.settings

    def on(self, key, default=False):
        if key not in self.settings:
            return default
        return self.settings[key].lower() in ON


def words(text):
    """keyword and value of a line; quotes around the value do not count."""
    keyword, _, value = text.strip().partition(" ")
    if "\t" in keyword:
        keyword, _, value = text.strip().partition("\t")
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1]
    return keyword, value


def evaluate(command, line):
    """msmtp puts the command's first line in place of this one, each time.
    A password is never put into the output: its command is."""
    try:
        out = subprocess.run(["/bin/sh", "-c", command], check=False,
                             stdin=subprocess.DEVNULL, timeout=60,
                             stdout=subprocess.PIPE).stdout
    except subprocess.TimeoutExpired:
        complain(f"eval: {command!r} did not end", line)
        return "", ""
    lines = out.decode(errors="replace").splitlines()
    keyword, value = words(lines[0] if lines else "")
    if keyword == "password":
        strip = r"""sed -n '1{s/^[[:blank:]]*password[[:blank:]]*//;""" \
                r"""s/^"\(.*\)"$/\1/;p;}'"""
        return "passwordeval", f"{{ {command}; }} | {strip}"
    complain(f"eval: its result of now is carried over, \"{keyword} "
             f"{value}\"; it is not run again", line)
    return keyword, value


def begin(accounts, defaults, text, line):
    """The account of "N" or "N : A, B"."""
    name, _, parents = text.partition(":")
    account = Account(name.strip(), line)
    account.settings.update(defaults.settings)
    for parent in re.split(r"[\s,]+", parents.strip()):
        if not parent:
            continue
        found = [a for a in accounts if a.name == parent]
        if found:
            account.settings.update(found[-1].settings)
        else:
            fault(f"account {name.strip()}: there is no account "
                  f"{parent} before it", line)
    return account


def read(lines):
    accounts, defaults = [], Account("")
    # what stands before any account is the account default
    now = Account("default")
    for number, text in enumerate(lines, 1):
        text = text.strip()
        if not text or text.startswith("#"):
            continue
        keyword, value = words(text)
        if keyword == "eval":
            keyword, value = evaluate(value, number)
        if keyword == "defaults":
            now = defaults = Account("", number)
        elif keyword == "account":
            now = begin(accounts, defaults, value, number)
            accounts.append(now)
        elif keyword:
            if now.name == "default" and now not in accounts and \
                    now is not defaults:
                now.line = number
                accounts.append(now)
            put(now, keyword, value, number)
    return accounts


def is_good(keyword, value):
    if keyword in SWITCHES:
        return value.lower() in ON | OFF
    if keyword in WORDS:
        return value.lower() in WORDS[keyword]
    if keyword in ("port", "proxy_port") and value.isdigit() and \
            not 1 <= int(value) <= 65535:
        return False
    return re.fullmatch(PATTERNS.get(keyword, r".*"), value if keyword in (
        "host", "proxy_host", "socket") else value.lower()) is not None


def put(account, keyword, value, number):
    keyword = RENAMED.get(keyword, keyword)
    if keyword in FLAGS:
        if value:
            fault(f"{keyword} {value}: {keyword} has no value", number)
        keyword, value = FLAGS[keyword]
    if (keyword in SWITCHES or keyword in TEXTS) and \
            not is_good(keyword, value):
        fault(f"{keyword} {value}: not a value of {keyword} (a comment has a "
              "line of its own)" + (
                  f"; taken as {keyword} on" if keyword in PROTECTING else
                  ""), number)
        if keyword in PROTECTING:
            account.settings[keyword] = value_at("on", number)
        return
    if keyword in SWITCHES or keyword in TEXTS:
        if keyword in WORDS:
            value = value.lower()
        elif keyword in ("port", "proxy_port") and value:
            value = str(int(value))
        account.settings[keyword] = value_at(value, number)
    elif keyword not in ("tls_force_sslv3", "tls_ocsp_file"):
        fault(f"{keyword} is not a keyword of msmtp", number)


# --- writing ---

class Output:
    def __init__(self):
        self.sections = []

    def section(self, name, keys):
        self.sections.append((name, [(k, v) for k, v in keys
                                     if v is not None]))

    def text(self):
        out = []
        for name, keys in self.sections:
            out.append(f"[{name}]\n" + "".join(
                f"{key} = {value}".rstrip() + "\n" for key, value in keys))
        return "\n".join(out)


def fits(value, what):
    """Whether it can be a value of an INI file."""
    if value != value.strip():
        complain(f"{what} begins or ends with a blank: not carried over",
                 value.line)
        return False
    return True


def section_name(name):
    clean = re.sub(r"[^A-Za-z0-9._-]", "-", name) or "default"
    return "direct-relay" if clean == "direct" else clean


def lmtp_demand(account, checked):
    """Of itself posthaste uses TLS with LMTP only where it is offered."""
    if not account.on("tls_starttls", True):
        complain("lmtp: posthaste begins TLS by STARTTLS alone",
                 account.get("tls_starttls").line)
    if not checked:
        return [("starttls_insecure_skip_verify", "yes")]
    if account.get("tls_host_override") or \
            account.get("tls_trust_file") not in ("", "system"):
        return []
    try:
        ipaddress.ip_address(account.get("host").strip("[]"))
    except ValueError:
        return [("tls_name", account.get("host"))]
    fault("lmtp: TLS with an address is only demanded where tls_trust_file "
          "or tls_host_override says what its certificate is",
          account.get("tls").line)
    return []


def kind_of(account):
    """kind, further keys."""
    socket = account.get("socket")
    lmtp = account.get("protocol") == "lmtp"
    tls = account.on("tls")
    if socket:
        if tls:
            complain("tls over a UNIX socket: posthaste uses none there",
                     account.get("tls").line)
        return ("lmtp" if lmtp else "smtp"), []
    checked = account.on("tls_certcheck", True) or \
        account.get("tls_fingerprint")
    if lmtp:
        return "lmtp", lmtp_demand(account, checked) if tls else []
    if not tls:
        complain("tls is off: mail" + (
            " and login go" if account.get("auth") not in ("", "off") or
            account.on("auth") else " goes") + " in clear text, as with msmtp "
            "(no_starttls; take it out where the server has STARTTLS)",
            account.get("tls").line or account.line)
        return ("submission" if account.has("auth") and
                account.get("auth") != "off" else "smtp"), \
            [("no_starttls", "yes")]
    if not account.on("tls_starttls", True):
        if not account.on("tls_certcheck", True):
            complain("tls_certcheck off: with TLS from the start posthaste "
                     "always checks; set fingerprint to the pin that "
                     "\"posthaste --probe\" shows",
                     account.get("tls_certcheck").line)
        return "submissions", []
    kind = "submission" if account.get("port") == "587" or (
        account.has("auth") and account.get("auth") != "off") else "smtp"
    return kind, [] if checked else [("starttls_insecure_skip_verify",
                                      "yes")]


def port_of(account, kind):
    """The port where it is not what posthaste would take."""
    if account.get("socket"):
        return None
    port = account.get("port")
    if not port:
        if kind == "lmtp":
            complain(f"account {account.name}: lmtp without a port: 24 it "
                     "is", account.line)
        return "25" if kind == "submission" else None
    usual = {"submissions": "465", "submission": "587", "smtp": "25",
             "lmtp": "24"}[kind]
    return None if port == usual else port


def secret_of(account, mechanism):
    """The key that gives password or token."""
    if mechanism in TOKENS:
        if account.get("passwordeval"):
            return [("token_command", account.get("passwordeval"))]
        complain(f"account {account.name}: auth {mechanism} without "
                 "passwordeval: set token_command", account.line)
        return []
    if account.get("password") and fits(account.get("password"), "password"):
        complain("the password is in the output: nobody else may read it "
                 "(mode 600)", account.get("password").line)
        return [("password", account.get("password"))]
    if account.get("passwordeval"):
        return [("password_command", account.get("passwordeval"))]
    if account.get("user") and mechanism not in ("external", "gssapi"):
        complain(f"account {account.name}: no password: posthaste looks into "
                 "~/.netrc and asks on a terminal, but knows no keyring; "
                 "see password_command", account.line)
    return []


def auth_of(account):
    if not account.has("auth") or account.get("auth").lower() == "off":
        if account.get("user"):
            complain("user without auth has no effect in msmtp: left out",
                     account.get("user").line)
        return []
    mechanism = account.get("auth").lower()
    keys = []
    if account.get("user") and fits(account.get("user"), "user"):
        keys.append(("username", account.get("user")))
    keys += secret_of(account, mechanism)
    if mechanism not in ON | TOKENS | {"external"}:
        keys.append(("mechanisms", mechanism.upper()))
    elif mechanism == "external":
        keys.append(("mechanisms", "EXTERNAL"))
    elif mechanism in ON and not account.on("tls") and \
            not account.get("socket"):
        # all that msmtp itself would choose in clear text
        keys.append(("mechanisms", "SCRAM-SHA-256 SCRAM-SHA-1"))
    return keys


def proxy_of(account):
    host = account.get("proxy_host")
    if not host or account.get("socket"):
        return None
    try:
        host = f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        pass
    return f"{host}:{account.get('proxy_port') or 1080}"


def trust_of(account):
    """ca_file, certificate and key."""
    trust = account.get("tls_trust_file")
    if account.get("tls_fingerprint"):
        complain("tls_fingerprint is of the certificate, posthaste's "
                 "fingerprint of its key: set it to the pin that "
                 "\"posthaste --probe\" shows",
                 account.get("tls_fingerprint").line)
    certificate = account.get("tls_cert_file") or None
    key = account.get("tls_key_file") or None
    if not account.on("tls"):
        return []
    return [("ca_file", trust if trust and trust != "system" else None),
            ("certificate", certificate),
            ("key", key if certificate else None),
            ("tls_name", account.get("tls_host_override") or None)]


def transport_of(account):
    kind, more = kind_of(account)
    host = account.get("socket") or account.get("host")
    if not host:
        fault(f"account {account.name}: it has no host: left out",
              account.line)
        return None
    name = plain(account, "domain")
    keys = [("kind", kind), ("host", host), ("port", port_of(account, kind))]
    keys += more + auth_of(account) + trust_of(account)
    keys += [("source_address", account.get("source_ip") or None),
             ("proxy", proxy_of(account)),
             ("hostname", name if name != "localhost" else None)]
    return [(k, v) for k, v in keys if v is not None]


def plain(account, key):
    """A value, unless it has %-words, which posthaste lacks."""
    value = account.get(key)
    if not value or value in ("%H", "%C"):
        return None
    if re.search("%[UHCMF]", value):
        complain(f"{key} {value}: posthaste replaces no %-words: left out",
                 value.line)
        return None
    return value


def pattern_of(value):
    """match_from for a pattern of senders."""
    if re.fullmatch(r"\*@[^*?\[\]@]+", value):
        return value[2:]
    if re.fullmatch(r"\*@\*\.[^*?\[\]@]+", value):
        complain(f"from {value}: {value[4:]} itself matches now, too",
                 value.line)
        return value[3:]
    complain(f"from {value}: such a pattern is not known: left out",
             value.line)
    return None


def pattern_from(account, value):
    """A sender with msmtp's %-words in posthaste's; None: it has others."""
    # the name of this host, in whatever way it is found
    out = re.sub(r"%(.?)", lambda m: {"U": "%u", "H": "%H", "C": "%H"}.get(
        m[1], "%%" + m[1] if m[1] not in ("M", "F") else "\0"), value)
    if "\0" not in out:
        return out
    complain(f"{value}: %M and %F have no counterpart: left out",
             account.get("from").line)
    return None


def sender_of(account):
    """from, match_from, domain."""
    if account.on("auto_from"):
        return [("domain", plain(account, "maildomain"))]
    value = account.get("from")
    if re.search(r"[*?\[]", value):
        return [("match_from", pattern_of(value))]
    if not value:
        return []
    if "@" not in value:
        complain(f"from {value}: no address with a domain: left out",
                 value.line)
        return []
    sender = pattern_from(account, value)
    match = re.fullmatch(r"%U@([^%@]+)", value)
    return [("from", sender),
            ("match_from", value if "%" not in value else None),
            ("domain", match and match.group(1))]


def header_of(account):
    """from_header, undisclosed_recipients."""
    mode = account.get("set_from_header").lower()
    if account.has("add_missing_from_header") and \
            not account.on("add_missing_from_header"):
        mode = mode or "off"
    header = {"on": "replace", "off": "keep"}.get(mode)
    hidden = account.get("set_to_header").lower() == \
        "undisclosed_recipients" or account.on("undisclosed_recipients")
    return [("from_header", header),
            ("undisclosed_recipients", "yes" if hidden else None)]


def dsn_of(account):
    notify = account.get("dsn_notify").lower()
    back = account.get("dsn_return").lower()
    back = {"headers": "hdrs", "hdrs": "hdrs", "full": "full"}.get(back)
    return [("notify", notify.replace(",", " ")
             if notify and notify != "off" else None), ("return", back)]


def account_of(account):
    name = account.get("from_full_name")
    keys = sender_of(account)
    keys += [("full_name", name.replace("%", "%%") or None),
             ("force_from", "yes" if account.has("allow_from_override") and
              not account.on("allow_from_override") else None)]
    return keys + header_of(account) + dsn_of(account)


def not_carried(account):
    """Keywords that have no counterpart, where they mean anything."""
    off = {"off"}
    for key, values, why in (
            ("set_date_header", off, "a missing Date is always added"),
            ("add_missing_date_header", off,
             "a missing Date is always added"),
            ("set_msgid_header", off,
             "a missing Message-ID is always added"),
            ("set_to_header", {"on"}, "To is never made of the envelope"),
            ("remove_bcc_headers", off, "Bcc is always removed"),
            ("keepbcc", ON, "Bcc is always removed"),
            ("ntlmdomain", None, "NTLM's domain cannot be set"),
            ("tls_priorities", None, "see priorities in [tls]"),
            ("tls_min_dh_prime_bits", None, "the TLS library decides"),
            ("logfile_time_format", None, "the log's time is fixed")):
        value = account.get(key)
        if account.has(key) and (value.lower() in values if values
                                 else value):
            yield value.line, f"{key} {value}".strip() + \
                f" is not carried over: {why}"


def common(accounts, key, words_):
    """A value that posthaste has once for all accounts."""
    seen = {str(a.get(key)) for a in accounts}
    if len(seen) > 1:
        last = [a.get(key) for a in accounts if a.get(key)][-1]
        complain(f"{key} differs between accounts; {words_} is one for "
                 f"all: {last} it is", last.line)
        return last
    return accounts[0].get(key)


def general_of(accounts):
    timeout = common(accounts, "timeout", "[general] timeout")
    seconds = timeout if timeout.isdigit() and timeout != "0" else None
    aliases = common(accounts, "aliases", "[general] aliases")
    return [("timeout", f"{seconds}s" if seconds else None),
            ("connect_timeout", f"{seconds}s" if seconds else None),
            ("aliases", aliases)]


def log_of(accounts):
    path = common(accounts, "logfile", "[log] to")
    syslog = common(accounts, "syslog", "[log] to")
    wanted = any(a.has("syslog") for a in accounts) and \
        syslog.lower() != "off"
    if path == "-":
        complain("logfile -: standard error it is", path.line)
        return [("to", "stderr")]
    if path:
        if wanted:
            complain("logfile and syslog: the file it is", syslog.line)
        return [("to", path)]
    if wanted and syslog.lower() not in ("", "on", "log_mail"):
        complain(f"syslog {syslog}: the facility is always mail",
                 syslog.line)
    return [("to", "syslog" if wanted else "none")]


def write_accounts(out, accounts):
    """The last account of a name counts; equal transports are one."""
    transports, names = [], {}
    for account in accounts:
        keys = transport_of(account)
        if keys is None:
            continue
        name = section_name(account.name)
        for other, same in transports:
            if same == keys:
                names[name] = other
                break
        else:
            transports.append((name, keys))
            names[name] = name
    for account in accounts:
        name = section_name(account.name)
        if name in names:
            out.section(f"account {name}", account_of(account))
            out.section(f"route {name}", [("account", name),
                                          ("transport", names[name])])
    for name, keys in transports:
        out.section(f"transport {name}", keys)
    if "default" not in names:
        # msmtp refuses where no account fits; direct delivery it has not
        refuse = "refuse"
        while refuse in names:
            refuse += "-"
        out.section("route none", [("transport", refuse)])
        out.section(f"transport {refuse}", [
            ("kind", "fail"), ("message", "no account is for this sender")])


def made_of(accounts):
    """The sections."""
    seen = {}
    for account in accounts:
        seen.pop(account.name, None)
        seen[account.name] = account
    accounts = list(seen.values())
    out = Output()
    out.section("general", general_of(accounts))
    out.section("log", log_of(accounts))
    # msmtp has no queue; with "on_failure" what fails for now is kept
    out.section("queue", [("queue", "never")])
    crl = common(accounts, "tls_crl_file", "[tls] crl_file")
    if crl:
        out.section("tls", [("crl_file", crl)])
    write_accounts(out, accounts)
    for line, text in sorted({p for a in accounts for p in not_carried(a)}):
        complain(text, line)
    return out


def convert(accounts):
    return made_of(accounts).text()


def posthaste():
    """The program, where it is installed."""
    return os.environ.get("POSTHASTE") or shutil.which("posthaste") or \
        shutil.which("/usr/local/bin/posthaste")


def check(text):
    """What posthaste itself finds wrong with the result."""
    program = posthaste()
    if not program:
        print("from-msmtprc: posthaste is not installed, so the result was "
              "not checked", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/posthaste.conf"
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w",
                  encoding="utf-8", errors="surrogateescape") as f:
            f.write(text)
        done = subprocess.run([program, "-C", path, "--check"], check=False,
                              stdin=subprocess.DEVNULL, timeout=60,
                              stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE)
    lines = text.splitlines()
    for found in done.stderr.decode(errors="replace").splitlines():
        where = re.match(rf"{re.escape(path)}:(\d+): (.*)", found)
        if where:
            fault(f"posthaste --check of the result, "
                  f"\"{lines[int(where.group(1)) - 1].split('=')[0].strip()}"
                  f"\": {where.group(2)}")
        else:
            fault(f"posthaste --check of the result: {found}")


def save(text, path):
    """For the owner alone, and in one step: never half a file, and never an
    empty one that hides another."""
    path = os.path.realpath(os.path.expanduser(path))
    folder = os.path.dirname(path)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".posthaste-")
    try:
        with open(handle, "w", encoding="utf-8",
                  errors="surrogateescape") as f:
            f.write(text)
            f.flush()
            os.fsync(f.fileno())
        # without overwriting what somebody has written
        os.link(name, path)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)


def arguments(words_):
    """FILE and OUTPUT."""
    output = None
    if words_[:1] in (["-h"], ["--help"]):
        print(USAGE)
        sys.exit(0)
    if words_[:1] == ["-o"] and len(words_) > 1:
        output, words_ = words_[1], words_[2:]
    if len(words_) > 1 or (words_ and words_[0].startswith("-") and
                           words_[0] != "-"):
        print(USAGE, file=sys.stderr)
        sys.exit(64)
    if words_:
        return words_[0], output
    home = os.path.expanduser("~/.msmtprc")
    config = os.environ.get("XDG_CONFIG_HOME",
                            os.path.expanduser("~/.config"))
    return (home if os.path.exists(home) else
            f"{config}/msmtp/config"), output


def main():
    path, output = arguments(sys.argv[1:])
    if output and os.path.exists(os.path.expanduser(output)):
        sys.exit(f"from-msmtprc: {output} is there already")
    try:
        with (sys.stdin if path == "-" else
              open(path, encoding="utf-8", errors="surrogateescape")) as f:
            accounts = read(f)
    except OSError as why:
        sys.exit(f"from-msmtprc: {path}: {why.strerror}")
    if not accounts:
        sys.exit(f"from-msmtprc: {path} has no account")
    text = convert(accounts)
    check(text)
    if problems:
        print(f"from-msmtprc: {problems} things to look at", file=sys.stderr)
    if output and faults:
        sys.exit(f"from-msmtprc: {output} is not written")
    try:
        if output:
            save(text, output)
    except OSError as why:
        sys.exit(f"from-msmtprc: {output}: {why.strerror}")
    if not output:
        sys.stdout.reconfigure(errors="surrogateescape")
        sys.stdout.write(text)
    sys.exit(1 if faults else 0)

