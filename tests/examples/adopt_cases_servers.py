# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes that configurations of mail servers have which are a machine's way
out, and what becomes of them; see adopt.py."""

import os
import pathlib

from adopt_cases import NONE, PASSWORD, START, TLS, VERIFIED
from adopt_shape import shape

SECOND = "/etc/posthaste/relay-2.password"
DIRECT = "opportunistic"

postfix = shape("postfix", "/etc/postfix/main.cf")
exim = shape("exim4", "/etc/exim4/update-exim4.conf.conf")
smtpd = shape("opensmtpd", "/etc/smtpd.conf")

NULL = "mydestination =\n"
SATELLITE_CF = """myhostname = box.example.org
myorigin = /etc/mailname
mydestination = $myhostname, localhost
relayhost = [a.example]
smtp_tls_security_level = verify
"""
FOR_ROOT = {"/etc/mailname": "example.org\n",
            "/etc/aliases": "postmaster: root\nroot: admin@x.example\n"}
HUB = "relayhost = [smtp.example.org]:587\n" + NULL
LOGIN = HUB + """smtp_sasl_auth_enable = yes
smtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd
smtp_sasl_security_options = noanonymous
"""
SASL = {"/etc/postfix/sasl_passwd":
        "# ours\n[smtp.example.org]:587\tjoe@example.org:p:a #s\n"}
TO = "x@y.example"

POSTFIX = [
    postfix("a transport for all counts before what senders choose", NULL +
            "relayhost = [a.example]\n"
            "sender_dependent_relayhost_maps = inline:{a@x.example=[b.example]"
            "}\ntransport_maps = inline:{*=smtp:[c.example], "
            "d.example=smtp:[e.example]}\nsmtp_tls_security_level = verify\n",
            ways=[("-f a@x.example " + TO, "smtp", "c.example:25", START),
                  ("z@d.example", "smtp", "e.example:25", START)]),
    postfix("a transport for all that changes nothing", NULL +
            "relayhost = [a.example]\n"
            "sender_dependent_relayhost_maps = inline:{a@x.example=[b.example]"
            "}\ntransport_maps = inline:{*=:}\n"
            "smtp_tls_security_level = verify\n",
            ways=[("-f a@x.example " + TO, "smtp", "b.example:25", START),
                  ("-f b@x.example " + TO, "smtp", "a.example:25", START)]),
    postfix("a domain in place of another", NULL + "relayhost = [a.example]\n"
            "virtual_alias_maps = inline:{@old.example=@new.example, "
            "joe@x.example=ann@x.example}\n"
            "smtp_tls_security_level = verify\n", status=1,
            said=["main.cf:3: @old.example: @new.example: a domain in place "
                  "of another"], leads={"joe@x.example": "ann@x.example"}),
    postfix("no MX records, and when it tries again", NULL +
            "relayhost = a.example\ndisable_dns_lookups = yes\n"
            "smtp_tls_security_level = verify\ndelay_warning_time = 4h\n"
            "defer_transports = smtp\n", status=1,
            said=["main.cf:5: delay_warning_time: not carried over: see "
                  "delay_report_after", "main.cf:6: defer_transports: not"],
            ways=[(TO, "smtp", "a.example:25", START)]),
    postfix("a provider", LOGIN + "smtp_tls_security_level = encrypt\n", SASL,
            lines=["username = joe@example.org", "aliases =",
                   "queue = always"], lacks=["mechanisms"],
            said=["main.cf:6: the certificate of smtp.example.org"],
            secrets={PASSWORD: "p:a #s"},
            ways=[("root", "submission", "smtp.example.org:587", START)]),
    postfix("TLS where it is offered", HUB + "smtp_tls_security_level = may\n"
            "smtp_tls_CApath=/etc/ssl/certs\n",
            said=["main.cf:3: TLS with smtp.example.org was used where it was "
                  "offered; it is required now"],
            ways=[(TO, "submission", "smtp.example.org:587", START)]),
    postfix("verified already, TLS 1.3, authorities of its own", HUB +
            "smtp_tls_security_level = secure\nsmtp_tls_CAfile = /etc/ca.pem\n"
            "smtp_tls_mandatory_protocols = >=TLSv1.3\n", status=1,
            lines=["ca_file = /etc/ca.pem", "minimum = 1.3"],
            said=['"ca_file": ca_file: '],
            ways=[(TO, "submission", "smtp.example.org:587", START)]),
    postfix("TLS from the first byte", "relayhost = [a.example]:465\n" + NULL +
            "smtp_tls_wrappermode = yes\nsmtp_tls_security_level = encrypt\n",
            said=["main.cf:4: the certificate"],
            ways=[(TO, "submissions", "a.example:465", TLS)]),
    postfix("no brackets: MX records", "relayhost = example.org\n" + NULL,
            status=1, said=["main.cf:1: example.org: Postfix looks up the MX "
                            "records of example.org", "clear text"],
            ways=[(TO, "smtp", "example.org:25", NONE)]),
    postfix("a relay in the house, no TLS", "relayhost = [10.0.0.1]\n" + NULL,
            said=["main.cf:1: mail goes to 10.0.0.1 in clear text"],
            ways=[(TO, "smtp", "10.0.0.1:25", NONE)]),
    postfix("a login in clear text", LOGIN, SASL, status=1,
            lacks=["no_starttls"],
            said=["main.cf:1: the login went to smtp.example.org in clear"],
            ways=[(TO, "submission", "smtp.example.org:587", START)]),
    postfix("no mechanism that shows the password", HUB +
            "smtp_sasl_auth_enable = yes\nsmtp_tls_security_level = verify\n"
            "smtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd\n", SASL,
            lines=["mechanisms = SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-"
                   "SHA-256 SCRAM-SHA-1 CRAM-MD5 DIGEST-MD5"]),
    postfix("mechanisms that are chosen; static: and inline:", HUB +
            "smtp_sasl_auth_enable = yes\nsmtp_tls_security_level = verify\n"
            "smtp_sasl_password_maps = static:joe:pass:word\n"
            "smtp_sasl_security_options =\n"
            "smtp_sasl_mechanism_filter = plain, login\n"
            "sender_canonical_maps = inline:{ root=a@x.example }\n"
            "myorigin = box.example\n",
            lines=["mechanisms = PLAIN LOGIN", "match_from = root@box.example",
                   "from = a@x.example"], said=["main.cf:8: From is replaced"],
            secrets={PASSWORD: "pass:word"}),
    postfix("a login for another nexthop", LOGIN +
            "smtp_tls_security_level = verify\n", {
                "/etc/postfix/sasl_passwd": "smtp.example.org:587 u:hunter22\n"
            }, lacks=["username"], said=["sasl_passwd:1: a login that no"],
            ways=[(TO, "submission", "smtp.example.org:587", START)]),
    postfix("Debian's, with mailboxes", "# See /usr/share/postfix\n"
            "smtpd_banner = $myhostname ESMTP\nmyhostname = box.example.org\n"
            "alias_maps = hash:/etc/aliases\nmyorigin = /etc/mailname\n"
            "mydestination = $myhostname, localhost.$mydomain,\n"
            "    , localhost\n\n# out\nrelayhost = [a.example]\n"
            "mynetworks = 127.0.0.0/8\ninet_interfaces = loopback-only\n"
            "smtp_tls_security_level=may\n", {
                "/etc/mailname": "example.org\n",
                "/etc/passwd": "web:x:1000:1000::/:/bin/sh\n",
                "/etc/aliases": "root: joe\njoe: joe@x.example\n"},
            lines=["hostname = box.example.org", "domain = example.org"],
            leads={"root": "root@example.org", "joe": "joe@example.org",
                   "root@box.example.org": "joe@example.org",
                   "joe@localhost": "joe@x.example",
                   "web@localhost.example.org": "web@example.org",
                   "root@z.example": "root@z.example"},
            said=["main.cf:6: mail for users of this machine lay in",
                  "mailname:1: /etc/aliases was for names at "
                  "box.example.org, localhost.example.org, localhost alone",
                  "main.cf:13: TLS with"],
            ways=[(TO, "smtp", "a.example:25", START)]),
    postfix("Debian's, whose mail name is one of its own",
            SATELLITE_CF.replace("$myhostname, ",
                                 "$myhostname, example.org, "), FOR_ROOT,
            lines=["aliases = /etc/aliases"], said=["main.cf:3: mail for"],
            leads={"root": "admin@x.example", "joe": "joe@example.org",
                   "root@example.org": "admin@x.example"}),
    postfix("Debian's satellite", SATELLITE_CF, FOR_ROOT,
            leads={"root": "root@example.org", "joe": "joe@example.org",
                   "root@localhost": "admin@x.example",
                   "postmaster@localhost": "root@example.org",
                   "root@example.org": "root@example.org"},
            said=["main.cf:3: mail for", "mailname:1: /etc/aliases was"]),
    postfix("a satellite, and who gets mail for nobody", SATELLITE_CF +
            "luser_relay = ops@x.example\n", {
                **FOR_ROOT, "/etc/passwd": "joe:x:1000:1000::/:/bin/sh\n"},
            leads={"x": "x@example.org", "x@localhost": "ops@x.example",
                   "joe@localhost": "joe@example.org",
                   "root@localhost": "admin@x.example"},
            said=["main.cf:3: mail for", "mailname:1: /etc/aliases was"]),
    postfix("a satellite with virtual aliases", SATELLITE_CF +
            "virtual_alias_maps = hash:/etc/postfix/virtual\n", {
                **FOR_ROOT, "/etc/postfix/virtual": "root@example.org "
                "ops@x.example\nweb w@x.example\n"},
            leads={"root": "ops@x.example", "web": "w@x.example",
                   "root@example.org": "ops@x.example",
                   "web@localhost": "w@x.example", "joe": "joe@example.org"},
            said=["main.cf:3: mail for", "mailname:1: /etc/aliases was"]),
    postfix("its own domains in a file", SATELLITE_CF.replace(
        "localhost\n", "/etc/postfix/names hash:/etc/postfix/more\n"), {
            **FOR_ROOT, "/etc/postfix/names": "# ours\na.example\n",
            "/etc/postfix/more": "example.org ours\n"},
            lines=["local_names = box.example.org a.example example.org"],
            leads={"root": "admin@x.example", "root@a.example":
                   "admin@x.example"}, said=["main.cf:3: mail for"]),
    postfix("all mail goes to one, whoever it is for", HUB +
            "smtp_tls_security_level = verify\nalways_bcc = b@x.example\n"
            "virtual_alias_maps = static:me@x.example\n",
            lines=["redirect = me@x.example"], lacks=["bcc"],
            leads={"a@z.example": "me@x.example", "root": "me@x.example"}),
    postfix("all but some mail goes to one", HUB +
            "smtp_tls_security_level = verify\nvirtual_alias_maps = "
            "pcre:/etc/postfix/v\n", {
                "/etc/postfix/v": "/@x\\.example$/ a@x.example\n"
                "/^(.*)@.*$/ b@x.example, c@x.example\n/.+/ d@x.example\n"},
            status=1, said=["v:1: virtual_alias_maps: a pattern",
                            "v:2: virtual_alias_maps: a pattern"],
            leads={"a@z.example": "d@x.example"}),
    postfix("mailboxes, and root's mail in one", "myhostname = box.example\n"
            "mydestination = box.example\nrelayhost = [a.example]\n"
            "inet_interfaces = all\nmailbox_command = /usr/bin/procmail\n",
            status=1, said=["main.cf:2: mail for users", "main.cf:4: mail "
                            "from other machines", "main.cf:5: mailbox_com",
                            "clear text"]),
    postfix("generic", HUB + "smtp_tls_security_level = verify\n"
            "smtp_generic_maps = hash:/etc/postfix/generic\n", {
                "/etc/postfix/generic": "root@box.example joe@x.example\n"
                "@box.example  web@x.example\n"},
            lines=["match_from = root@box.example", "match_from = box.example",
                   "from = joe@x.example", "force_from = yes"],
            said=["generic:1: From is replaced", "generic:2: From is"]),
    postfix("all senders, by a pattern", HUB +
            "smtp_tls_security_level = verify\nsender_canonical_maps = "
            "regexp:/etc/postfix/sender_canonical\nsmtp_header_checks = "
            "regexp:/etc/postfix/header\n", {
                "/etc/postfix/sender_canonical": "/.+/    joe%u@x.example\n",
                "/etc/postfix/header":
                    "/^From:.*/ REPLACE From: Box <joe%u@x.example>\n"},
            lines=["from = joe%%u@x.example", "from_header = replace",
                   "full_name = Box"], said=["sender_canonical:1: From"]),
    postfix("a pattern that is none of ours", HUB +
            "smtp_tls_security_level = verify\n"
            "canonical_maps = regexp:/etc/postfix/c ldap:/etc/l\n", {
                "/etc/postfix/c": "/^a(.*)@b/ $1@c\n/(/ x@y\n"}, status=1,
            said=["c:1: canonical_maps", "c:2: a pattern that is not unders",
                  "main.cf:4: ldap:"]),
    postfix("relays by sender", LOGIN +
            "smtp_tls_security_level = encrypt\n"
            "smtp_sender_dependent_authentication = yes\n"
            "sender_dependent_relayhost_maps = hash:/etc/postfix/relays\n", {
                "/etc/postfix/sasl_passwd": "me@a.example me:hunter22\n"
                "[smtp.example.org]:587 joe:hunter23\n@b.example b:hunter24\n",
                "/etc/postfix/relays": "me@a.example [a.example]:2525\n"
                                       "@b.example [b.example]\n"},
            said=["main.cf:6: the certificate"],
            secrets={PASSWORD: "hunter23", SECOND: "hunter22",
                     "/etc/posthaste/relay-3.password": "hunter24"},
            ways=[(TO, "submission", "smtp.example.org:587", START),
                  ("-f me@a.example " + TO, "submission", "a.example:2525",
                   START),
                  ("-f z@b.example " + TO, "submission", "b.example:25",
                   START)]),
    postfix("one relay, a login by sender", LOGIN +
            "smtp_tls_security_level = verify\n"
            "smtp_sender_dependent_authentication = yes\n", {
                "/etc/postfix/sasl_passwd": "me@a.example me:hunter22\n"
                "[smtp.example.org]:587 joe:hunter23\n"},
            secrets={PASSWORD: "hunter23", SECOND: "hunter22"},
            ways=[("-f me@a.example " + TO, "submission",
                   "smtp.example.org:587", START)]),
    postfix("transports", "relayhost =\n" + NULL +
            "transport_maps = hash:/etc/postfix/transport\n", {
                "/etc/postfix/transport": "a.example smtp:[10.1.1.1]:26\n"
                ".b.example error:5.1.1 no such host\nc.example discard:\n"
                "joe@d.example smtp:[d]\ne.example lmtp:unix:/run/lmtp\n"
                "f.example uucp:x\ng.example :[10.1.1.2]\nh.example smtp:\n"},
            status=1, said=["transport:1: mail goes to 10.1.1.1",
                            "transport:2: b.example itself", "transport:7",
                            "transport:4: transport_maps: joe@d.example",
                            "transport:6: transport uucp"],
            lines=["message = no such host", "code = 550"],
            ways=[("x@a.example", "smtp", "10.1.1.1:26", NONE),
                  ("x@i.b.example", "fail", "", NONE),
                  ("x@c.example", "discard", "", NONE),
                  ("x@e.example", "lmtp", "/run/lmtp", NONE),
                  ("x@f.example", "fail", "", NONE),
                  ("x@g.example", "smtp", "10.1.1.2:25", NONE),
                  ("x@[192.0.2.1]", "direct", "[192.0.2.1]:25", DIRECT)]),
    postfix("a copy of everything", HUB + "smtp_tls_security_level = verify\n"
            "always_bcc = archive@x.example\nmessage_size_limit = 1000000\n"
            "maximal_queue_lifetime = 2d\nsmtp_bind_address = 192.0.2.9\n"
            "inet_protocols = ipv4\n",
            lines=["bcc = archive@x.example", "max_message_size = 1000000",
                   "lifetime = 2d", "source_address = 192.0.2.9",
                   "ip_family = ipv4"]),
    postfix("policies", HUB + "smtp_tls_security_level = may\n"
            "smtp_tls_policy_maps = hash:/etc/postfix/policy\n", {
                "/etc/postfix/policy": "[smtp.example.org]:587 verify\n"
                                       "b.example encrypt\n"}, status=1,
            said=["policy:2: smtp_tls_policy_maps: for a destination"],
            ways=[(TO, "submission", "smtp.example.org:587", START)]),
    postfix("direct, TLS demanded", NULL + "smtp_tls_security_level=encrypt\n",
            status=1, lines=["transport = direct"],
            said=["main.cf:2: encrypt for every mail host"]),
    postfix("virtual aliases", HUB + "smtp_tls_security_level = verify\n"
            "virtual_alias_maps = hash:/etc/postfix/virtual\n", {
                "/etc/postfix/virtual": "root  admin@x.example\n"
                "@box.example joe@x.example,\n    web@x.example\n"},
            leads={"root": "admin@x.example", "a@z.example": "a@z.example",
                   "x@box.example": "joe@x.example web@x.example"},
            lines=["aliases = /etc/posthaste/aliases",
                   "#    root: admin@x.example",
                   "#    @box.example: joe@x.example, web@x.example"]),
    postfix("aliases of both kinds", "relayhost = [a.example]\n"
            "smtp_tls_security_level = verify\n"
            "virtual_alias_maps = hash:/etc/postfix/virtual\n", {
                "/etc/postfix/virtual": "root  admin@x.example\n",
                "/etc/aliases": "root: joe\nweb: joe@x.example\n"},
            lines=["aliases = /etc/posthaste/aliases",
                   "#    root: admin@x.example", "#    web: joe@x.example"],
            lacks=["root: joe"], said=["virtual:1: joined with /etc/aliases",
                                       "lay in their mailboxes"]),
    postfix("what is not carried over", HUB +
            "smtp_tls_security_level = fingerprint\ncontent_filter = x:y\n"
            "non_smtpd_milters = inet:localhost:8891\nsmtp_frob = 1\n"
            "header_checks = pcre:/etc/x\nnonsense\n"
            "smtp_tls_wrappermode = maybe\n", status=1,
            said=["main.cf:3: fingerprint", "main.cf:4: content_filter",
                  "main.cf:5: non_smtpd_milters", "main.cf:6: smtp_frob",
                  "main.cf:7: header_checks", "main.cf:8: no NAME = VALUE"]),
    postfix("words in words, master.cf, CRLF", "a = [smtp.\r\nb = ${a}example."
            "org]:587\r\nrelayhost = $b\r\nmydestination =\r\n"
            "smtp_tls_security_level = may\r\ndefault_transport = sec:$b\r\n",
            {"/etc/postfix/master.cf":
             "smtp inet n - y - - smtpd\nsec unix - - y - - smtp\n"
             "  -o smtp_tls_security_level=verify -o { smtp_helo_name=h.x }\n"
             }, lines=["hostname = h.x"],
            ways=[(TO, "submission", "smtp.example.org:587", START)]),
    postfix("a comment beside a value, a word that is not set",
            "relayhost = [a.example] # the relay\n" + NULL +
            "smtp_use_tls = of course\nsmtp_tls_security_level = $level\n",
            status=1, lacks=["no_starttls", "host = the"],
            said=["main.cf:1: #: no host", "main.cf:3: smtp_use_tls = of",
                  "main.cf:4: smtp_tls_security_level: $level is not set",
                  "TLS with a.example"],
            ways=[(TO, "smtp", "a.example:25", START)]),
    postfix("words that double each time", HUB + "w0 = x\n" + "".join(
        f"w{n} = $w{n - 1}$w{n - 1}\n" for n in range(1, 19)) +
        "smtp_tls_security_level = verify\nsmtp_helo_name = $w18\n",
            status=1, said=["main.cf: its $words lead to too many others"]),
    postfix("a table that is not there", LOGIN +
            "smtp_tls_security_level = verify\n", status=1,
            lacks=["username"], said=["main.cf:4: /etc/postfix/sasl_passwd: "
                                      "its text is not there",
                                      "main.cf:3: no login was found"]),
]

SMART = """# /etc/exim4/update-exim4.conf.conf
dc_eximconfig_configtype='smarthost'
dc_other_hostnames=''
dc_local_interfaces='127.0.0.1 ; ::1'
dc_readhost=''
dc_relay_domains=''
dc_minimaldns='false'
dc_relay_nets=''
dc_smarthost='smtp.example.org::587'
CFILEMODE='644'
dc_use_split_config='false'
dc_hide_mailname=''
dc_mailname_in_oh='true'
dc_localdelivery='mail_spool'
"""
SATELLITE = SMART.replace("'smarthost'", "'satellite'")
MAILNAME = {"/etc/mailname": "box.example.org\n"}
AWAY = {"/etc/aliases": "root: admin@x.example\n", **MAILNAME}
CLIENT = "/etc/exim4/passwd.client"
MACROS = "/etc/exim4/exim4.conf.localmacros"
OFFERED = "conf.conf:9: TLS with smtp.example.org was used where it was"

EXIM = [
    exim("a smarthost", SMART, AWAY,
         lines=["aliases = /etc/aliases", "domain = box.example.org",
                "queue = always"],
         said=[OFFERED, "conf.conf:14: mail for users of this machine"],
         leads={"root@box.example.org": "admin@x.example",
                "root@localhost": "admin@x.example",
                "joe": "joe@box.example.org",
                "joe@z.example": "joe@z.example"},
         ways=[("root", "submission", "smtp.example.org:587", START)]),
    exim("a smarthost, root's mail in a mailbox", SMART, MAILNAME, status=1,
         lines=["aliases ="], said=[OFFERED, "conf.conf:14: mail for users"]),
    exim("a login", SATELLITE, {CLIENT: "# who\nother.example:a:b\n"
                                "*.example.org:joe@x.example:p:a^s #\n"
                                "*:u:w\n", **MAILNAME},
         secrets={PASSWORD: "p:a^s #"}, lines=["username = joe@x.example"],
         said=[OFFERED, "client:2: a login", "client:4: a login"],
         ways=[("x@y.example", "submission", "smtp.example.org:587",
                START)]),
    exim("a satellite whose name is hidden", SATELLITE.replace(
        "readhost=''", "readhost='example.org'").replace(
            "hide_mailname=''", "hide_mailname='true'"), MAILNAME,
         lines=["domain = example.org"],
         said=[OFFERED, "conf.conf:12: senders without a domain get"]),
    exim("a mail name that is none of its own", SMART, {
        "/etc/hostname": "box\n", "/etc/passwd": "joe:x:1000:1:::\n",
        "/etc/hosts": "127.0.1.1 box.example.net box\n", **AWAY},
         leads={"root": "root@box.example.org",
                "root@box.example.org": "root@box.example.org",
                "root@localhost": "admin@x.example",
                "joe@box.example.net": "joe@box.example.org"},
         said=[OFFERED, "conf.conf:14: mail for", "mailname:1: /etc/aliases "
               "was for names at localhost, box.example.net, box alone"]),
    exim("a mail name among its other ones", SMART.replace(
        "hostnames=''", "hostnames='box.example.org;w.example'"), {
            "/etc/hostname": "box\n",
            "/etc/hosts": "127.0.1.1 box.example.net box\n", **AWAY},
         leads={"root": "admin@x.example", "root@box": "admin@x.example",
                "joe@w.example": "joe@box.example.org"},
         said=[OFFERED, "conf.conf:14: mail for"]),
    exim("a satellite whose users are read elsewhere", SATELLITE.replace(
        "readhost=''", "readhost='example.org'"), {
            "/etc/hostname": "mail.example.net\n",
            "/etc/passwd": "joe:x:1000:1:::\n", **AWAY},
         lines=["domain = box.example.org"],
         leads={"joe": "joe@box.example.org", "joe@localhost":
                "joe@example.org", "root@localhost": "admin@x.example"},
         said=[OFFERED, "mailname:1: /etc/aliases was"]),
    exim("domains with hosts of their own", SMART, {
        "/etc/mailname": "example.org\n", "/etc/exim4/hubbed_hosts":
        "# inside\ncorp.example: 10.0.0.9\n"
        "*.lan.example : a.lan.example:b.lan.example::2525 byname\n"
        "far.example: far.example/MX\n"}, status=1,
         said=["hubbed_hosts:4: far.example/MX: no host",
               "hubbed_hosts:4: no DOMAIN: HOST: its mail goes as all other",
               "hubbed_hosts:2: TLS with 10.0.0.9 was used where",
               "mail for users of this machine"],
         ways=[("x@corp.example", "smtp", "10.0.0.9:25", START),
               ("x@www.lan.example", "smtp",
                "a.lan.example:25", START)]),
    exim("several smarthosts", SATELLITE.replace(
        "smtp.example.org::587", "a.example::587;b.example::587; "
        "[10.0.0.1]::26"), lines=["host = a.example b.example",
                                  "host = 10.0.0.1",
                                  "transport = relay relay-2"],
         said=["conf.conf:9: TLS with a", "TLS with 10.0.0.1"]),
    exim("an address of version 6", SATELLITE.replace(
        "smtp.example.org::587", "[2001::0db8::::1]::587"),
         said=["TLS with 2001:0db8::1"],
         ways=[("x@y.example", "submission", "2001:0db8::1:587", START)]),
    exim("colons between hosts, as of old", SATELLITE.replace(
        "smtp.example.org::587", "a.example:b.example::26"),
         lines=["host = a.example", "host = b.example", "port = 26"],
         said=["TLS with a.example", "TLS with b.example"]),
    exim("internet", SMART.replace("'smarthost'", "'internet'"), AWAY,
         lines=["transport = direct"], said=["conf.conf:14: mail for users"],
         ways=[("x@[192.0.2.1]", "direct", "[192.0.2.1]:25", DIRECT)]),
    exim("this machine alone", SMART.replace("'smarthost'", "'local'"),
         MAILNAME, status=1, said=["conf.conf:14: mail for users"],
         lines=["message = Mailing to remote domains not supported"],
         ways=[("x@y.example", "fail", "", NONE)]),
    exim("no configuration of Debian's", SMART, {
        "/etc/exim4/exim4.conf": "# by hand\n", **AWAY}, status=1,
         said=["exim4.conf: Exim's own language", OFFERED, "mailboxes"]),
    exim("macros", SATELLITE, {
        MACROS: "# ours\nREMOTE_SMTP_SMARTHOST_HOSTS_REQUIRE_TLS = *\n"
        "REMOTE_SMTP_SMARTHOST_TLS_VERIFY_HOSTS = *\nMAIN_TLS_ENABLE = true\n"
        "MAIN_HARDCODE_PRIMARY_HOSTNAME = box.example.org\nFROB = 1\n"},
         status=1, lines=["hostname = box.example.org"],
         said=["localmacros:6: not carried over: FROB"],
         ways=[("x@y.example", "submission", "smtp.example.org:587",
                START)]),
    exim("TLS from the first byte", SATELLITE.replace("587", "465"), {
        "/etc/exim4/conf.d/main/00_local":
            "REMOTE_SMTP_SMARTHOST_PROTOCOL = smtps\n",
        "/etc/exim4/conf.d/router/250_ours": "x:\n"}, status=1,
         said=["00_local:1: the certificate", "250_ours: a piece of Exim"],
         ways=[("x@y.example", "submissions", "smtp.example.org:465",
                TLS)]),
    exim("no TLS, and a login", SATELLITE, {
        MACROS: "REMOTE_SMTP_SMARTHOST_HOSTS_AVOID_TLS = *\n"
        "AUTH_CLIENT_ALLOW_NOTLS_PASSWORDS = 1\n",
        CLIENT: "smtp.example.org:joe:hunter22\n"}, status=1,
         said=["localmacros:1: the login went to smtp.example.org in clear"],
         ways=[("x@y.example", "submission", "smtp.example.org:587",
                START)]),
    exim("what users forward", SMART, {
        "/etc/passwd": "".join(
            f"{name}:x:{os.getuid() + (name == 'eve')}:1::{home}:/bin/sh\n"
            for name, home in (("root", "/root"), ("joe", "/home/joe"),
                               ("ann", "/home/ann"), ("bob", "/home/bob"),
                               ("eve", "/home/eve"), ("dan", "/home/dan"),
                               ("max", "/home/max"),
                               ("pat", "/home/pat/"), ("bin", "/etc/aliases"))),
        "/etc/shadow": "root:secret:1::::::\n",
        "/home/eve/.forward": "eve@x.example\n",
        "/home/dan/.forward": pathlib.PurePath("/etc/shadow"),
        "/home/pat/.forward/file": "x",
        "/home/max/.forward": "#" * 65520 + "\nmax@cut.example.org\n",
        "/root/.forward": "joe # not here\n",
        "/home/joe/.forward": "\\joe, joe@x.example\nj@y.example\n",
        "/home/ann/.forward": "ann@elsewhere.example\n",
        "/home/bob/.forward": "# Exim filter\ndeliver b@x.example\n",
        "/etc/aliases": "ann: ann@x.example\n", **MAILNAME}, status=1,
         lines=["aliases = /etc/posthaste/aliases", "#    root: joe",
                "#    joe: joe@x.example, j@y.example",
                "#    ann: ann@x.example"],
         lacks=["elsewhere.example", "eve@", "max@", "secret"],
         said=[OFFERED, "conf.conf:14: mail for users of this machine",
               "/home/joe/.forward:1: \\joe: posthaste follows",
               "/home/bob/.forward:1: a filter is not",
               "/home/eve/.forward: is not his own",
               "/home/dan/.forward: cannot be read",
               "/home/pat/.forward: is not his own",
               "/home/max/.forward: is too large",
               "/root/.forward:1: joined with /etc/aliases"],
         leads={"root": "joe@x.example j@y.example",
                "ann": "ann@x.example"}),
    exim("mail that waits", SATELLITE, {
        "/var/spool/exim4/input/q/1rABCD-0001-00-H": "x", **MAILNAME},
         status=1, said=[OFFERED, "/var/spool/exim4/input: mail waits"]),
    exim("addresses", SATELLITE, {
        "/etc/email-addresses": "# who\nroot: joe%u@x.example\nnobody\n",
        **MAILNAME}, status=1,
         lines=["match_from = root@box.example.org", "from = joe%%u@x.example"],
         said=[OFFERED, "addresses:2: From is replaced",
               "addresses:3: no USER: ADDRESS"]),
    exim("mail from others, and what is not understood", SATELLITE.replace(
        "relay_nets=''", "relay_nets='10.0.0.0/8'") + "nonsense\nx='y\n", {
            CLIENT: "smtp.example.org\n"}, status=1,
         said=["conf.conf:8: mail from 10.0.0.0/8", "conf.conf:15: no assign",
               "conf.conf:16: no assign", "client:1: no HOST", OFFERED]),
]

LOCAL = 'match from local for any action "relay"\n'

OPENSMTPD = [
    smtpd("a provider", "table secrets file:/etc/mail/secrets\n"
          "listen on lo0\naction \"relay\" relay host "
          "smtp+tls://me@smtp.example.org:587 \\\n\tauth <secrets>\n" + LOCAL,
          {"/etc/mail/secrets": "# who\nme\tjoe@example.org:p:a ss\n"},
          secrets={PASSWORD: "p:a ss"}, lines=["username = joe@example.org",
                                               "aliases ="],
          ways=[("root", "submission", "smtp.example.org:587", START)]),
    smtpd("TLS from the first byte", "action \"relay\" relay host "
          "smtps://smtp.example.org mail-from x@y.example\n" + LOCAL,
          lines=["from = x@y.example", "force_from = yes"],
          ways=[("x@y.example", "submissions", "smtp.example.org:465",
                 TLS)]),
    smtpd("TLS where it is offered", "action \"relay\" relay host "
          "mail.example.org # ours\n" + LOCAL,
          said=["smtpd.conf:1: TLS with mail.example.org was used where"],
          ways=[("x@y.example", "smtp", "mail.example.org:25", START)]),
    smtpd("no TLS", "action \"relay\" relay host smtp+notls://10.0.0.1:26\n" +
          LOCAL, said=["smtpd.conf:1: mail goes to 10.0.0.1 in clear"],
          ways=[("x@y.example", "smtp", "10.0.0.1:26", NONE)]),
    smtpd("certificates that are not looked at", "action \"relay\" relay host "
          "smtp+tls://a.example tls no-verify\n" + LOCAL,
          said=["smtpd.conf:1: the certificate of a.example was not"],
          ways=[("x@y.example", "smtp", "a.example:25", START)]),
    smtpd("directly, with aliases, mail that stays",
          "table aliases file:/etc/aliases\nlisten on localhost\n"
          "action \"local\" maildir alias <aliases>\naction \"relay\" relay\n"
          "match for local action \"local\"\n" + LOCAL, {
              "/etc/aliases": "root: joe@x.example\n"},
          lines=["aliases = /etc/aliases", "transport = direct"],
          said=["smtpd.conf:5: mail for this machine lay here (maildir)"],
          ways=[("x@[192.0.2.1]", "direct", "[192.0.2.1]:25", DIRECT)]),
    smtpd("its own name is the mail name",
          "table a file:/etc/aliases\naction \"l\" mbox alias <a>\n"
          "action \"relay\" relay host smtps://a.example\n"
          "match for local action \"l\"\n" + LOCAL, {
              "/etc/mail/mailname": "box.example.org\n",
              "/etc/aliases": "root: joe@x.example\n"},
          lines=["local_names = localhost box.example.org"],
          leads={"root": "joe@x.example",
                 "root@box.example.org": "joe@x.example",
                 "web@localhost": "web@box.example.org"},
          said=["smtpd.conf:4: mail for this machine lay here (mbox)"]),
    smtpd("aliases of a domain", "table a { root = \"joe@x.example\" }\n"
          "table b file:/etc/aliases\naction \"l\" expand-only alias <a>\n"
          "action \"m\" expand-only alias <b>\n"
          "action \"relay\" relay host smtps://a.example\n"
          "match for domain y.example action \"l\"\n"
          "match for domain z.example action \"m\"\n" + LOCAL, {
              "/etc/aliases": "web: w@x.example\n"},
          leads={"root@y.example": "joe@x.example",
                 "web@z.example": "w@x.example",
                 "web@y.example": "web@y.example"}),
    smtpd("mail that stays, root's too", "action \"l\" mbox\n"
          "action \"relay\" relay\nmatch for local action \"l\"\n" + LOCAL,
          status=1, said=["smtpd.conf:3: mail for this machine lay here"]),
    smtpd("aliases in place", "table a { root = \"joe@x.example\" }\n"
          "action \"l\" expand-only alias <a>\n"
          "action \"relay\" relay host smtps://a.example\n"
          "match for local action \"l\"\n" + LOCAL,
          lines=["#    root: joe@x.example"]),
    smtpd("by domains, and by senders", "action a relay host smtps://a.example"
          "\naction b relay host smtps://b.example\n"
          "action relay relay host smtps://c.example mail-from x@c.example\n"
          "action d lmtp \"/run/lmtp\"\n"
          "match for domain \"x.example\" action a\n"
          "match for domain { } action a\n"
          "match for domain { \"v.example\", w.example } action a\n"
          "match for domain \"y.example\" action d\n"
          "match mail-from \"@b.example\" for any action b\n" + LOCAL,
          status=1, said=["smtpd.conf:6: for no domain",
                          "smtpd.conf:3: mail-from x@c.example: of one"],
          ways=[("z@x.example", "submissions", "a.example:465", TLS),
                ("z@w.example", "submissions", "a.example:465", TLS),
                ("z@y.example", "lmtp", "/run/lmtp", NONE),
                ("-f q@b.example z@z.example", "submissions",
                 "b.example:465", TLS),
                ("-f q@q.example z@z.example", "submissions",
                 "c.example:465", TLS)]),
    smtpd("macros, includes, names, an address", "host = \"a.example\"\n"
          "include \"/etc/more.conf\"\npki p cert \"/etc/c.pem\"\n"
          "pki p key \"/etc/c.key\"\n" + LOCAL, {
              "/etc/more.conf": "action \"relay\" relay host $host helo "
              "box.example src 192.0.2.9 pki p tls\n",
              "/etc/mail/mailname": "box.example.org\n"}, status=1,
          lines=["hostname = box.example", "source_address = 192.0.2.9",
                 "domain = box.example.org", "certificate = /etc/c.pem",
                 "key = /etc/c.key"], said=["No such file"],
          ways=[("x@y.example", "smtp", "a.example:25", START)]),
    smtpd("a login that is not there", "table s { b = c:d }\naction relay "
          "relay host smtps://me@a.example auth <s>\n" + LOCAL, status=1,
          said=["smtpd.conf:2: no login for me"], lacks=["username"]),
    smtpd("what is not understood", "accept for any relay via smtps://a\n"
          "frob x\naction r relay domain <x>\naction u relay host uucp://a\n"
          "match from local for any action u\n\"x", status=1,
          said=["smtpd.conf:1: the grammar", "smtpd.conf:2: frob",
                "smtpd.conf:4: uucp://a", "smtpd.conf:6: a quote"],
          ways=[("x@y.example", "fail", "", NONE)]),
    smtpd("an action of which a half is understood", "action r relay host "
          "\"smtp+tls://a.example\naction s relay host\n"
          "match from local for any action r\n"
          "match from local for domain x.example action s\n", status=1,
          lacks=["direct"], said=["smtpd.conf:1: a quote", "smtpd.conf:2: "
                                  "host without", "smtpd.conf:3: action r",
                                  "smtpd.conf: no match is"],
          ways=[("a@b.example", "fail", "", NONE),
                ("a@x.example", "fail", "", NONE)]),
    smtpd("a relay in quotes, a sender's domain", "table secrets { bob = "
          "\"bob:pass word\" }\nsmtp max-message-size 35M\naction \"out\" "
          "relay host \"smtp+tls://bob@a.example:587\" auth <secrets> "
          "mail-from \"@x.example\"\nmatch from local for any action "
          "\"out\"\n", secrets={PASSWORD: "pass word"},
          lines=["from = %u@x.example"],
          ways=[("a@b.example", "submission", "a.example:587", START)]),
    smtpd("mail from other machines", "listen on eth0\nlisten on socket\n"
          "listen on lo0 port 25\naction relay relay host smtps://a.example\n"
          "match from local for any action relay\n", status=1,
          said=["smtpd.conf:1: mail from other machines (eth0)"]),
    smtpd("macros that double each time", "m = \"x\"\n" + "m = $m $m\n" * 40 +
          "action relay relay host smtps://a.example\n" + LOCAL, status=1,
          said=[":12: m: too long"] + [f"conf:{n}: m: too long"
                                       for n in range(13, 42)]),
    smtpd("nobody may send", "action a relay\nmatch auth from any for any "
          "action a\nmatch from src 10.0.0.0/8 for any action a\n", status=1,
          said=["smtpd.conf: no match is for mail from here"],
          ways=[("x@y.example", "fail", "", NONE)]),
]

SERVERS = POSTFIX + EXIM + OPENSMTPD
assert VERIFIED
