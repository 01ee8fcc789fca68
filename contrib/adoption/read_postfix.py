# SPDX-License-Identifier: GPL-3.0-or-later
"""Postfix as a machine's way out: what postconf(5) has about sending."""

import re

import model
from model import IMPLICIT, NONE, OFFERED, REQUIRED, Local, Relay, Setup, \
    Way, like, number
from postfix_cf import Main, everything, master

FILES = ("/etc/postfix/main.cf",)
CHALLENGES = ("SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1 "
              "CRAM-MD5 DIGEST-MD5").split()
# parameters of the client that are read below, or that change nothing
KNOWN = set("""
smtp_sasl_auth_enable smtp_sasl_password_maps smtp_sasl_security_options
smtp_sasl_tls_security_options smtp_sasl_mechanism_filter smtp_sasl_type
smtp_sender_dependent_authentication smtp_tls_security_level smtp_use_tls
smtp_enforce_tls smtp_tls_wrappermode smtp_tls_policy_maps smtp_tls_CAfile
smtp_tls_CApath smtp_tls_cert_file smtp_tls_key_file smtp_generic_maps
smtp_header_checks smtp_bind_address smtp_bind_address6 smtp_helo_name
smtp_fallback_relay smtp_tls_mandatory_protocols smtp_tls_protocols
smtp_tls_loglevel smtp_tls_session_cache_database smtp_tls_note_starttls_offer
smtp_tls_session_cache_timeout smtp_tls_ciphers smtp_tls_mandatory_ciphers
smtp_tls_exclude_ciphers smtp_tls_mandatory_exclude_ciphers
smtp_dns_support_level
smtp_tls_scert_verifydepth smtp_tls_enforce_peername smtp_address_preference
smtp_tls_connection_reuse smtp_connection_cache_on_demand smtp_always_send_ehlo
smtp_sasl_tls_verified_security_options smtp_quote_rfc821_envelope
smtp_tls_fingerprint_digest smtp_tls_fingerprint_cert_match smtp_host_lookup
smtp_connection_cache_destinations smtp_sasl_path smtp_skip_5xx_greeting
smtp_randomize_addresses smtp_mx_session_limit smtp_tls_secure_cert_match
smtp_tls_verify_cert_match smtp_tls_block_early_mail_reply
smtp_destination_concurrency_limit smtp_pix_workarounds smtp_tls_servername
smtp_tls_dane_insecure_mx_policy smtp_balance_inet_protocols
""".split())
# parameters of other parts that change which way mail takes
NAMED = {
    "content_filter": "posthaste filters nothing",
    "smtpd_milters": None, "non_smtpd_milters": "posthaste has no milters "
    "(for DKIM see [domain])",
    "header_checks": "no field is changed", "body_checks": "no body is looked "
    "at", "mime_header_checks": "no field is changed",
    "masquerade_domains": "see from and domain",
    "recipient_bcc_maps": "see bcc",
    "virtual_mailbox_domains": "posthaste keeps no mailboxes",
    "virtual_mailbox_maps": "posthaste keeps no mailboxes",
    "sender_dependent_default_transport_maps": "see from_domain in routes",
    "smtp_connection_cache_time_limit": None,
    "relocated_maps": "no address is told to have moved",
    "fallback_transport": "see minimum_attempts in routes",
    "fallback_relay": "see smtp_fallback_relay",
    "default_destination_rate_delay": "see rate of transports",
    "smtp_destination_rate_delay": "see rate of transports",
    "defer_transports": "mail is sent at once; see queue and -odq",
    "delay_warning_time": "see delay_report_after",
    "minimal_backoff_time": "see schedule",
    "maximal_backoff_time": "see schedule",
    "bounce_queue_lifetime": "reports wait as long as mail: see lifetime",
    "bounce_notice_recipient": "see postmaster",
    "2bounce_notice_recipient": "see postmaster",
    "canonical_classes": "what is rewritten is so in envelope and From",
    "sender_canonical_classes": "what is rewritten is so in envelope and From",
    "authorized_submit_users": "every user may send",
    "multi_instance_directories": "other instances are not read",
}


class Reader:
    def __init__(self, files, report):
        self.main = Main(files, report)
        self.services = master(files, report)
        self.files, self.report = files, report
        self.setup = Setup("postfix", report)
        self.origin = ""        # myorigin
        self.logins = []
        self.policies = []
        self.used = set()

    # --- where to ---

    def parameter(self, name, service):
        """A parameter as a service of master.cf has it."""
        given = self.services.get(service, {})
        if name in given:
            return like(self.main.expand(given[name]), given[name])
        return self.main.get(name)

    def nexthop(self, text, where):
        """host, port, whether MX records are looked up."""
        match = re.fullmatch(r"\[(?:[Ii][Pp][vV]6:)?([^\]]+)\](?::(\w+))?|"
                             r"([\w.-]+)(?::(\w+))?", text)
        port = match and (match.group(2) or match.group(4) or "25")
        port = {"smtp": "25", "submission": "587", "smtps": "465",
                "submissions": "465"}.get(port, port)
        if not match or model.port(port) is None:
            self.report.name(where, f"{text}: no host, or no port")
            return None
        host = match.group(1) or match.group(3)
        return host, int(port), match.group(1) is None and \
            not re.fullmatch(r"[\d.]+", host) and self.asks_dns()

    def asks_dns(self):
        return not self.main.yes("disable_dns_lookups") and \
            self.main.get("smtp_dns_support_level").lower() != "disabled"

    def relay(self, text, where, service="smtp", sender=None):
        found = self.nexthop(text, where)
        if found is None:
            return None
        host, port, mx = found
        relay = Relay(where, [host], port)
        if mx:
            self.report.name(where, f"{text}: Postfix looks up the MX records "
                             f"of {host}, posthaste connects to {host}: put "
                             "the hosts in their place")
        self.tls(relay, text, service)
        self.login(relay, text, sender, service)
        bind = self.parameter("smtp_bind_address", service) or \
            self.parameter("smtp_bind_address6", service)
        relay.source = bind or None
        helo = self.parameter("smtp_helo_name", service)
        if helo and helo != self.main.get("myhostname"):
            relay.helo = helo
        relay.family = self.family()
        return relay

    def family(self):
        return {"ipv4": "ipv4", "ipv6": "ipv6"}.get(
            self.main.get("inet_protocols"))

    # --- TLS ---

    def level(self, nexthop, service):
        """The security level of a destination, and where it is said."""
        for key, value in self.policies:
            if not isinstance(key, re.Pattern) and \
                    key.lower() == nexthop.lower():
                self.used.add(key)
                field = value.split()
                if any(f.startswith("match=") for f in field[1:]):
                    self.report.name(value, "match=: see tls_name")
                return like(field[0].lower() if field else "", value)
        text = self.parameter("smtp_tls_security_level", service)
        if text:
            return like(text.lower(), text)
        if self.main.yes("smtp_enforce_tls"):
            return like("verify" if self.main.yes(
                "smtp_tls_enforce_peername", True) else "encrypt",
                self.main.where("smtp_enforce_tls"))
        if self.main.yes("smtp_use_tls"):
            return like("may", self.main.where("smtp_use_tls"))
        return like("none", self.main.where("relayhost"))

    def tls(self, relay, nexthop, service):
        level = self.level(nexthop, service)
        relay.tls_where = level if level.line else relay.where
        wrapped = self.parameter("smtp_tls_wrappermode", service).lower()
        relay.tls = {"none": NONE, "may": OFFERED, "dane": OFFERED}.get(
            level, REQUIRED)
        relay.verified = level in ("verify", "secure", "dane-only",
                                   "fingerprint")
        if level in ("dane-only", "fingerprint"):
            self.report.name(level, f"{level}: authorities decide on the "
                             "certificate now (see fingerprint)")
        elif level not in ("none", "may", "encrypt", "dane", "verify",
                           "secure"):
            self.report.name(level, f"security level {level}: taken as "
                             "encrypt")
        if wrapped == "yes":
            if relay.tls in (NONE, OFFERED):
                self.report.name(level, "smtp_tls_wrappermode without a "
                                 "level that demands TLS")
            relay.tls = IMPLICIT
        ca, folder = (self.parameter(f"smtp_tls_{n}", service)
                      for n in ("CAfile", "CApath"))
        relay.ca_file = ca or None
        if folder and folder.rstrip("/") not in ("/etc/ssl/certs",
                                                 "/etc/pki/tls/certs"):
            self.report.name(folder, "smtp_tls_CApath: see ca_file")
        elif folder and ca:
            # both count, and the system's are all that posthaste has beside
            self.not_system(relay, ca)
        relay.certificate = self.parameter("smtp_tls_cert_file",
                                           service) or None
        relay.key = self.parameter("smtp_tls_key_file", service) or None

    def not_system(self, relay, ca):
        relay.ca_file = None
        if "ca-certificates" not in ca and "ca-bundle" not in ca:
            self.report.name(ca, f"smtp_tls_CAfile = {ca} beside the system's "
                             "authorities: those alone count now, see ca_file")

    def minimum(self):
        """TLS versions: 1.2 is the oldest of ours."""
        for name in ("smtp_tls_mandatory_protocols", "smtp_tls_protocols"):
            text = self.main.get(name)
            if re.search(r">=\s*TLSv1\.3|!\s*TLSv1\.2", text) or \
                    text.strip() == "TLSv1.3":
                self.setup.minimum = like("1.3", text)

    # --- login ---

    def login(self, relay, nexthop, sender, service):
        if self.parameter("smtp_sasl_auth_enable", service).lower() != "yes":
            return
        keys = [relay.hosts[0], nexthop]
        if sender and self.main.yes("smtp_sender_dependent_authentication"):
            keys = [sender, "@" + sender.rpartition("@")[2]] + keys
        for wanted in keys:
            for key, value in self.logins:
                if isinstance(key, re.Pattern):
                    hit = key.search(wanted)
                else:
                    hit = key.lower() == wanted.lower()
                if hit:
                    self.used.add(key)
                    self.take(relay, value, service)
                    return
        if not self.logins:
            self.report.name(self.main.where("smtp_sasl_auth_enable"),
                             "no login was found in smtp_sasl_password_maps")

    def take(self, relay, value, service):
        user, _, password = value.partition(":")
        relay.user, relay.password = like(user, value), like(password, value)
        clear = relay.tls in (NONE,)
        options = self.parameter(
            "smtp_sasl_security_options" if clear else
            "smtp_sasl_tls_security_options", service).lower()
        plain = self.parameter("smtp_sasl_security_options", service).lower()
        relay.clear_login = "noplaintext" not in plain
        chosen = [m.upper() for m in re.split(
            r"[\s,]+", self.parameter("smtp_sasl_mechanism_filter", service))
            if m]
        if any(re.match(r"[!/]|\w+:", m) for m in chosen):
            self.report.name(value, "smtp_sasl_mechanism_filter is not "
                             "carried over: see mechanisms")
            chosen = []
        if "noplaintext" in options:
            chosen = [m for m in chosen if m not in ("PLAIN", "LOGIN")] or \
                CHALLENGES
        relay.mechanisms = chosen

    # --- who sends ---

    def rewriting(self, name):
        """Tables of senders: generic, sender_canonical, canonical."""
        for key, value in self.main.tables(name):
            if everything(key):
                account = self.setup.default_account(value)
                self.becomes(account, value)
                if name == "canonical_maps":
                    self.all_to(name, value)
            elif isinstance(key, re.Pattern):
                self.pattern(name, key, value)
            elif "@" not in value:
                self.report.name(value, f"{name}: {value}: no address")
            else:
                self.single(name, str(key), key, value)
                if name == "canonical_maps":
                    self.alias(key, value)

    def pattern(self, name, key, value):
        """A pattern of whom one domain is: the whole of it."""
        match = re.fullmatch(r"\^?(?:\.\*|\.\+|\(\.\*\)|\(\.\+\))?@"
                             r"((?:[\w-]|\\\.)+)\$?", key.pattern)
        if match and "$" not in value and "@" in value:
            self.single(name, "@" + match.group(1).replace("\\.", "."),
                        value, value)
        else:
            self.report.name(value, f"{name}: a pattern that is not carried "
                             "over")

    def single(self, name, key, where, value):
        if key.startswith("@"):
            key = key[1:]
        elif "@" not in key:
            key = f"{key}@{self.setup.domain}" if self.setup.domain else key
        if value.startswith("@"):
            self.report.name(where, f"{name}: {value}: a domain in place of "
                             "another, see domain and from")
            return
        self.becomes(self.setup.account_of(key, where), value)

    def becomes(self, account, value):
        if account.sender:
            # what is rewritten first is what the next table sees
            return
        account.where, account.sender = value, model.literal(value, value)
        account.force, account.header = True, "replace"
        self.report.note(value, "From is replaced, too; who wrote it stays as "
                         "Reply-To where it was another's")

    def headers(self):
        """smtp_header_checks, as far as they set From."""
        for key, value in self.main.tables("smtp_header_checks"):
            match = re.match(r"REPLACE\s+From:\s*(?:\"?([^<>\"]*?)\"?\s*<)?"
                             r"([^<>\s]+@[^<>\s]+)>?$", value, re.I)
            default = self.setup.default_account(value)
            sender = match and model.literal(match.group(2), value)
            if match and re.match(r"\^?From", key.pattern, re.I) and \
                    default.sender in (None, sender):
                default.sender, default.header = sender, "replace"
                default.full_name = model.literal(match.group(1), value) \
                    if match.group(1) else None
            else:
                self.report.name(value, "smtp_header_checks: not carried "
                                 "over")

    def copies(self):
        bcc = self.main.get("always_bcc")
        if bcc:
            self.setup.bcc.append(bcc)
        for key, value in self.main.tables("sender_bcc_maps"):
            if isinstance(key, re.Pattern):
                self.report.name(value, "sender_bcc_maps: a pattern that is "
                                 "not carried over")
            else:
                self.setup.account_of(key.lstrip("@"), key).bcc.append(value)

    # --- routes ---

    def by_sender(self):
        """sender_dependent_relayhost_maps, and logins by sender."""
        for key, value in self.main.tables("sender_dependent_relayhost_maps"):
            if isinstance(key, re.Pattern):
                self.report.name(value, "sender_dependent_relayhost_maps: a "
                                 "pattern that is not carried over")
                continue
            if value.upper() == "DUNNO":
                continue
            self.from_sender(key, self.relay(value, value, "smtp", key))
        if not self.main.yes("smtp_sender_dependent_authentication"):
            return
        host = self.main.get("relayhost")
        for key, value in self.logins:
            if isinstance(key, re.Pattern) or "@" not in key or \
                    key in self.used or not host:
                continue
            self.from_sender(key, self.relay(host, self.main.where(
                "relayhost"), "smtp", key))

    def from_sender(self, key, relay):
        if relay is None:
            return
        if key.startswith("@"):
            self.setup.ways.append(Way(key, [relay],
                                       from_domain=[key[1:]]))
        else:
            account = self.setup.account_of(str(key), key)
            self.setup.ways.append(Way(key, [relay], account=account))

    def by_recipient(self):
        """transport_maps."""
        last = []
        for key, value in self.main.tables("transport_maps"):
            if everything(key) or key == "*":
                if value.strip() == ":":
                    # as it would be without
                    continue
                last.append(self.transport(value, ()))
            elif isinstance(key, re.Pattern) or "@" in key:
                self.report.name(value, f"transport_maps: "
                                 f"{getattr(key, 'pattern', key)}: routes go "
                                 "by domains: not carried over")
            else:
                if key.startswith("."):
                    self.report.note(key, f"{key[1:]} itself matches, too")
                self.setup.ways.append(self.transport(value, [str(key)]))
        return [way for way in last if way]

    def transport(self, value, to):
        """A Way of TRANSPORT:NEXTHOP."""
        name, _, hop = value.partition(":")
        way = Way(value, to_domain=to)
        if name == "error" or name == "retry":
            way.ending, way.words = Way.FAIL, hop.strip() or "undeliverable"
            code = re.match(r"([45])\.\d+\.\d+\s+(.*)", way.words)
            way.code = 450 if name == "retry" else 550
            if code:
                way.code, way.words = int(code.group(1)) * 100 + 50, \
                    like(code.group(2), value)
        elif name == "discard":
            way.ending = Way.DISCARD
        elif name == "lmtp" and hop:
            hop = hop.removeprefix("inet:")
            path = hop.removeprefix("unix:")
            host = path if path != hop else self.nexthop(hop, value)
            if path != hop and not path.startswith("/"):
                path = f"/var/spool/postfix/{path}"
            if host:
                way.relays = [Relay(value, [path], 24, lmtp=True)
                              if path != hop else
                              Relay(value, [host[0]], 24 if host[1] == 25
                                    else host[1], lmtp=True)]
        elif name in ("", "smtp", "relay") or name in self.services:
            hop = hop or ("" if name else self.main.get("relayhost"))
            relay = self.relay(hop, value, name or "smtp") if hop else None
            way.relays = [relay] if relay else []
        else:
            self.report.name(value, f"transport {name}: not carried over: "
                             "refused")
            way.ending, way.code = Way.FAIL, 451
            way.words = f"no transport {name}"
        return way

    def out(self):
        """The way of what is left."""
        host, where = self.main.get("relayhost"), self.main.where("relayhost")
        default = self.main.get("default_transport")
        if default != "smtp" and default != "smtp:":
            self.setup.ways.append(self.transport(
                default if ":" in default or host == "" else
                like(f"{default}:{host}", default), ()))
            return
        relays = []
        for hop in re.split(r"[\s,]+", host):
            relay = self.relay(hop, where) if hop else None
            if hop and not relay:
                # nor is what comes after a thing that was not understood
                break
            relays += [relay] if relay else []
        for hop in self.main.words("smtp_fallback_relay"):
            relays.append(self.relay(str(hop), hop))
        relays = [r for r in relays if r]
        if host and not relays:
            self.setup.ways.append(Way(where, ending=Way.FAIL, code=451,
                                       words="the relay is no host"))
            return
        if not host:
            self.direct(where)
            family = self.family()
            keys = tuple((k, str(v)) for k, v in (
                ("source_address", self.main.get("smtp_bind_address")),
                ("ip_family", family)) if v)
            relays = ([keys] if keys else []) + relays if keys or not relays \
                else relays
        self.setup.ways.append(Way(where, relays))

    def direct(self, where):
        level = self.level("", "smtp")
        if level not in ("none", "may", "dane"):
            self.report.name(level, f"{level} for every mail host: direct "
                             "delivery asks for TLS where DANE or MTA-STS do")
        if self.main.words("smtp_fallback_relay"):
            self.report.name(where, "smtp_fallback_relay beside direct "
                             "delivery: see minimum_attempts in routes")

    # --- mail that stays ---

    def alias(self, key, value):
        """A name without a domain is that name at myorigin, too."""
        if re.search(r"(^|[\s,])@", value):
            self.report.name(value, f"{key}: {value}: a domain in place of "
                             "another is not carried over for recipients")
            return
        self.setup.alias_lines.append(like(f"{key}: {value}", value))
        name, at, domain = key.rpartition("@")
        if at and domain.lower() == self.origin.lower():
            self.setup.alias_lines.append(like(
                f"{name or 'default'}: {value}", value))

    def all_to(self, name, value):
        """Whatever the recipients are, it goes there: none of them may get
        any of it now."""
        setup = self.setup
        if setup.alias_lines or re.search(r"[\s,$]", value) or \
                "@" not in value:
            self.report.name(value, f"{name}: all mail goes to one address, "
                             "and what more is said of it is not carried over")
        if setup.redirect is None:
            address = re.search(r"[^\s,$]+@[^\s,$]+", value)
            setup.redirect = like(address.group(0), value) if address else \
                like(f"root@{self.origin or 'localhost'}", value)

    def destinations(self):
        """mydestination, with what its files and tables hold."""
        names = []
        for name in self.main.words("mydestination"):
            if name.startswith("/"):
                for line in self.files.lines(name, self.report) or []:
                    names += [like(w, line) for w in re.split(
                        r"[\s,]+", line.partition("#")[0]) if w]
            elif re.search(r"[:/]", name):
                names += [key for key, _ in self.main.table(name)
                          if not isinstance(key, re.Pattern)]
            else:
                names.append(name)
        return names

    def aliases(self):
        setup, main = self.setup, self.main
        for name in ("virtual_alias_maps", "recipient_canonical_maps"):
            for key, value in main.tables(name):
                if everything(key):
                    self.all_to(name, value)
                elif isinstance(key, re.Pattern):
                    self.report.name(value, f"{name}: a pattern that is not "
                                     "carried over")
                else:
                    self.alias(key, value)
        if main.get("virtual_alias_domains") and \
                main.has("virtual_alias_domains"):
            self.report.note(main.where("virtual_alias_domains"), "a name "
                             "there without an alias goes on to the relay")
        if not main.words("mydestination") or re.match(
                r"error|discard|smtp|relay", main.get("local_transport")):
            return
        setup.local_domains = self.destinations()
        if self.origin and self.origin.lower() not in [
                name.lower() for name in setup.local_domains]:
            # what its aliases are for comes after a name got this domain
            setup.elsewhere = self.origin
        paths = [w.partition(":") for w in main.words("alias_maps")]
        known = [p for k, _, p in paths if k in (
            "hash", "texthash", "lmdb", "btree", "cdb", "dbm")]
        for kind, _, path in paths:
            if path not in known and kind != "nis":
                self.report.name(main.where("alias_maps"), f"alias_maps: a "
                                 f"table of kind {kind} is not read")
        setup.aliases = known[0] if known else None
        for path in known[1:]:
            self.report.name(main.where("alias_maps"), f"alias_maps: {path} "
                             "is not read beside the first")
        setup.local = Local(main.where("mydestination"), "mail for users of "
                            "this machine lay in their mailboxes",
                            main.has("mydestination"))
        self.others()

    def others(self):
        main = self.main
        for name in ("mailbox_command", "mailbox_transport", "home_mailbox",
                     "luser_relay"):
            if main.get(name) and name != "luser_relay":
                self.report.name(main.where(name), f"{name}: see kinds "
                                 "maildir and command")
        if main.get("luser_relay"):
            self.setup.default_recipient = main.get("luser_relay")

    def rest(self):
        """What is in main.cf and was not read."""
        main = self.main
        for name, value in main.found.items():
            if NAMED.get(name) and main.get(name):
                self.report.name(value, f"{name}: not carried over: "
                                 f"{NAMED[name]}")
            elif re.match(r"smtp_", name) and name not in KNOWN and \
                    name not in NAMED and not re.search(
                        r"_timeout$|_limit$|_(destination|line|delay|cache)_",
                        name):
                self.report.name(value, f"{name}: not carried over")
        for name in ("relayhost", "smtp_tls_security_level",
                     "smtp_sasl_password_maps", "default_transport"):
            for other in re.findall(r"\$[({]?(\w+)",
                                    main.found.get(name, "")):
                if not main.has(other) and not main.get(other):
                    self.report.name(main.where(name), f"{name}: ${other} is "
                                     "not set")
        listens = main.words("inet_interfaces")
        if any(w.lower() not in ("loopback-only", "localhost", "127.0.0.1",
                                 "[::1]", "::1", "$myhostname")
               for w in listens):
            self.report.name(main.where("inet_interfaces"), "mail from other "
                             "machines: posthaste takes none")
        for key, value in self.logins:
            if key not in self.used:
                self.report.note(value, "a login that no relay selects: not "
                                 "used")
        for key, value in self.policies:
            if key not in self.used:
                self.report.name(value, "smtp_tls_policy_maps: for a "
                                 "destination that is no relay here")


def origin(reader):
    """hostname and domain."""
    main, setup, files = reader.main, reader.setup, reader.files
    if main.has("myhostname"):
        setup.hostname = main.get("myhostname")
    text = main.get("myorigin")
    if text.startswith("/"):
        text = files.first(text, reader.report) or ""
    reader.origin = text
    if text and text != main.get("myhostname") or main.has("myorigin"):
        setup.domain = text or None
    else:
        setup.domain = setup.hostname or files.own_name()


def limits(reader):
    main, setup = reader.main, reader.setup
    size = main.get("message_size_limit")
    if number(size) is not None:
        setup.maximum = size
    life = re.fullmatch(r"(\d+)([smhdw]?)",
                        main.get("maximal_queue_lifetime"))
    if life:
        setup.lifetime = int(life.group(1)) * {
            "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800,
            "": 86400}[life.group(2)]


def read(files, report):
    reader = Reader(files, report)
    if not reader.main.there:
        return None
    main, setup = reader.main, reader.setup
    setup.queues = True
    origin(reader)
    limits(reader)
    reader.minimum()
    reader.logins = main.tables("smtp_sasl_password_maps") if \
        main.get("smtp_sasl_password_maps") else []
    reader.policies = main.tables("smtp_tls_policy_maps")
    for name in ("sender_canonical_maps", "canonical_maps",
                 "smtp_generic_maps"):
        reader.rewriting(name)
    reader.headers()
    reader.copies()
    last = reader.by_recipient()
    # one for all recipients counts before what a sender would choose
    setup.ways += last[:1]
    if not last:
        reader.by_sender()
        reader.out()
    reader.aliases()
    reader.rest()
    return setup
