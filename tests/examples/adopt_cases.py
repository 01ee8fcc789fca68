# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes that configurations of small senders have, and what becomes of
them; see adopt.py. Those of mail servers are in adopt_cases_servers.py."""

from adopt_shape import Case, shape

# how --explain calls the demand for TLS
NONE, START, TLS = "none", "verified", "implicit verified"
VERIFIED = "verified now"
PASSWORD = "/etc/posthaste/relay.password"


ssmtp = shape("ssmtp", "/etc/ssmtp/ssmtp.conf")
dma = shape("dma", "/etc/dma/dma.conf")
nullmailer = shape("nullmailer", "/etc/nullmailer/remotes")
esmtp = shape("esmtp", "/etc/esmtprc")
msmtp = shape("msmtp", "/etc/msmtprc")
OVER = "FromLineOverride=YES\n"

SSMTP = [
    ssmtp("a relay in the house", "mailhub=mail.example.org\n" + OVER,
          lines=["kind = smtp", "no_starttls = yes", "queue = never",
                 "aliases =", "sender_from_header = yes"],
          said=["ssmtp.conf:1: mail goes to mail.example.org in clear"],
          ways=[("root", "smtp", "mail.example.org:25", NONE)]),
    ssmtp("a provider, STARTTLS", """#
# Config file for sSMTP sendmail
root=joe@gmail.com
mailhub=smtp.gmail.com:587
hostname=box.example.org
AuthUser=joe@gmail.com
AuthPass=abcdefghijklmnop
UseTLS=YES
UseSTARTTLS=YES
FromLineOverride=YES
""", lines=["kind = submission", "username = joe@gmail.com",
            "default_recipient = joe@gmail.com", "hostname = box.example.org",
            f"password_file = {PASSWORD}", "domain = box.example.org"],
          lacks=["queue = never", "no_starttls"],
          said=["ssmtp.conf:9: the certificate of smtp.gmail.com was not "
                "verified; it is " + VERIFIED],
          secrets={PASSWORD: "abcdefghijklmnop"},
          ways=[("you@example.net", "submission", "smtp.gmail.com:587",
                 START)]),
    ssmtp("TLS from the first byte, capitals, no last newline",
          "MAILHUB = smtp.example.org:465\nusetls=Yes\nfromlineoverride=yes\n"
          "AUTHUSER=joe\nAuthPass=x", lines=["kind = submissions"],
          lacks=["\nport ="], said=["ssmtp.conf:2: the certificate"],
          secrets={PASSWORD: "x"},
          ways=[("a@b.example", "submissions", "smtp.example.org:465", TLS)]),
    ssmtp("a login in clear text", "mailhub=smtp.example.org\nAuthUser=joe\n"
          "AuthPass=hunter22\n" + OVER, status=1, lacks=["no_starttls"],
          said=["ssmtp.conf:1: the login went to smtp.example.org in clear "
                "text; TLS is required now"],
          ways=[("a@b.example", "submission", "smtp.example.org:25", START)]),
    ssmtp("a login in clear text that stays here",
          "mailhub=127.0.0.1:1025\nAuthUser=joe\nAuthPass=hunter22\n" + OVER,
          status=1, lines=["no_starttls = yes", "mechanisms = SCRAM-SHA-256 "
                           "SCRAM-SHA-1 CRAM-MD5 DIGEST-MD5 PLAIN LOGIN"],
          said=["ssmtp.conf:1: the login goes to 127.0.0.1 in clear text"],
          ways=[("a@b.example", "submission", "127.0.0.1:1025", NONE)]),
    ssmtp("senders by revaliases", "mailhub=a.example\nUseSTARTTLS=YES\n"
          "AuthUser=u\nAuthPass=hunter22\n", {
              "/etc/ssmtp/revaliases": "# who\nroot:joe@a.example:b.example:"
              "2525\nwww-data:web@a.example\nlp:lp%h@a.example\nnonsense\n"},
          lines=["user = root", "from = joe@a.example", "force_from = yes",
                 "from_header = replace", "user = www-data",
                 "from = web@a.example", "from = lp%%h@a.example"], status=1,
          said=["revaliases:5: no USER:ADDRESS", "ssmtp.conf:2: the certif"],
          ways=[("-a root x@y.example", "submission", "b.example:2525",
                 START), ("-a www-data x@y.example", "submission",
                          "a.example:25", START)]),
    ssmtp("a From of its own", "mailhub=a.example\nrewriteDomain=b.example\n"
          "root=postmaster\n", lines=["domain = b.example",
                                      "from = %u@b.example",
                                      "from_header = replace",
                                      "default_recipient = "
                                      "postmaster@b.example"],
          said=["in clear text"]),
    ssmtp("people keep their own", "mailhub=a.example\nroot=admin@x.example\n"
          "rewriteDomain=b.example\nUseSTARTTLS=YES\n" + OVER, {
              "/etc/passwd": "root:x:0:0:::\nweb:x:33:33:::\n"
              "joe:x:1000:1000:::\n"},
          leads={"root": "admin@x.example", "web": "admin@x.example",
                 "joe": "joe@b.example"}, said=[VERIFIED]),
    ssmtp("a password with special characters",
          "mailhub=a.example:587\nUseSTARTTLS=YES\nAuthUser=u\n" + OVER +
          'AuthPass=a"%\\;:=z\n', status=1,
          said=["ssmtp.conf:5: authpass: some versions", VERIFIED],
          secrets={PASSWORD: 'a"%\\;:=z'}),
    ssmtp("a password that its parser cuts",
          "mailhub=a.example:587\nUseSTARTTLS=YES\nAuthUser=u\n" + OVER +
          "AuthPass=abcd#efgh\n", status=1, secrets={PASSWORD: "abcd"},
          said=["ssmtp.conf:5: authpass: ssmtp reads it to the #", VERIFIED]),
    ssmtp("what is not understood", "mailhub=a.example:99999\nUseTLS=on\n" +
          OVER + "Frobnicate=1\nAddHeader=X-A: b\nUseSTARTTLS=YES\nhello\n",
          status=1, said=["ssmtp.conf:1: a.example:99999: no port",
                          "ssmtp.conf:2: UseTLS=on", "ssmtp.conf:7: not und",
                          "ssmtp.conf:4: Frobnicate", "ssmtp.conf:5: addhea",
                          VERIFIED]),
    ssmtp("a host that is several, or a path", "mailhub=a.example,b.example\n"
          + OVER, {"/etc/ssmtp/revaliases": "root:a@b.example:/run/x\n"},
          status=1, lacks=["host = a", "host = /run"],
          said=["ssmtp.conf:1: a.example,b.example: no host",
                "revaliases:1: /run/x: no host"],
          ways=[("a@b.example", "fail", "", NONE),
                ("-a root a@b.example", "fail", "", NONE)]),
    ssmtp("a switch that is neither on nor off", "mailhub=a.example\n" +
          OVER + "UseTLS=true\nUseSTARTTLS=1\n", status=1,
          said=["ssmtp.conf:3: UseTLS=true", "ssmtp.conf:4: UseSTARTTLS=1",
                VERIFIED], lacks=["no_starttls"],
          ways=[("a@b.example", "smtp", "a.example:25", START)]),
    ssmtp("CRLF, and a byte that is no UTF-8",
          b"# caf\xe9\r\nmailhub=a.example:465\r\nUseTLS=YES\r\n"
          b"FromLineOverride=YES\r\nAuthUser=joe\r\nAuthPass=p\xe9ss\r\n",
          said=["ssmtp.conf:3"], secrets={PASSWORD: "p\udce9ss"},
          ways=[("a@b.example", "submissions", "a.example:465", TLS)]),
    ssmtp("quotes, and root without a domain", "mailhub=a.example:465\n" +
          OVER + "UseTLS=YES\nAuthUser=joe\nAuthPass=\"hunter22\"\n"
          "root=joe\n", status=1, secrets={PASSWORD: '"hunter22"'},
          lines=["default_recipient = joe"],
          said=["ssmtp.conf:5: authpass: its quotes", VERIFIED]),
    ssmtp("CRAM-MD5, a client's certificate", "mailhub=a.example:587\n" + OVER
          + "UseSTARTTLS=YES\nAuthMethod=cram-md5\nAuthUser=u\nAuthPass=ppp\n"
          "UseTLSCert=YES\nTLSCert=/etc/c.pem\n", lines=[
              "mechanisms = CRAM-MD5", "certificate = /etc/c.pem",
              "key = /etc/c.pem"], status=1,
          said=[VERIFIED, "certificate: /", "No such file"]),
    ssmtp("aliases that ssmtp never read", "mailhub=a.example\n" + OVER,
          {"/etc/aliases": "root: joe@example.org\n"}, lines=["aliases ="],
          said=["clear text"],
          ways=[("root", "smtp", "a.example:25", NONE)]),
]

DMA = [
    dma("a relay for all", "SMARTHOST mail.example.org\nNULLCLIENT\n",
        lines=["aliases =", "queue = always"], said=["dma.conf:1: mail goes"],
        ways=[("root", "smtp", "mail.example.org:25", NONE)]),
    dma("as Debian asks for it", "# dma\nSMARTHOST mail.example.org\n"
        "#PORT 25\nMAILNAME /etc/mailname\n", {
            "/etc/mailname": "box.example.org\n",
            "/etc/aliases": "root: admin@example.org\n"},
        lines=["domain = box.example.org", "hostname = box.example.org",
               "aliases = /etc/aliases"],
        leads={"root@box.example.org": "admin@example.org",
               "joe": "joe@box.example.org"},
        said=["clear text", "dma.conf: mail for users of this machine"],
        ways=[("root", "smtp", "mail.example.org:25", NONE)]),
    dma("a provider, TLS from the first byte", "SMARTHOST smtp.example.org\n"
        "PORT 465\nSECURETRANSFER\nAUTHPATH /etc/dma/auth.conf\nNULLCLIENT\n",
        {"/etc/dma/auth.conf": "# login\njoe@x.example|smtp.example.org:"
         "p:a|s#s \n"}, said=["dma.conf:3: the certificate"],
        secrets={PASSWORD: "p:a|s#s "}, lines=["username = joe@x.example"],
        ways=[("a@b.example", "submissions", "smtp.example.org:465", TLS)]),
    dma("STARTTLS", "SMARTHOST smtp.example.org\nPORT 587\nSECURETRANSFER\n"
        "STARTTLS\nNULLCLIENT\n", said=["dma.conf:4: the certificate"],
        ways=[("a@b.example", "submission", "smtp.example.org:587", START)]),
    dma("opportunistic TLS", "SMARTHOST smtp.example.org\nSECURETRANSFER\n"
        "STARTTLS\nOPPORTUNISTIC_TLS\nNULLCLIENT\n",
        said=["dma.conf:4: TLS with smtp.example.org was used where it was "
              "offered; it is required now"],
        ways=[("a@b.example", "smtp", "smtp.example.org:25", START)]),
    dma("a login in clear text", "SMARTHOST a.example\nINSECURE\nNULLCLIENT\n",
        {"/etc/dma/auth.conf": "u|a.example:hunter22\n"}, status=1,
        said=["dma.conf:1: the login went to a.example in clear text"],
        ways=[("a@b.example", "submission", "a.example:25", START)]),
    dma("a login that dma kept from clear text", "SMARTHOST a.example\n"
        "NULLCLIENT\n", {"/etc/dma/auth.conf": "u|a.example:hunter22\n"},
        status=1, said=["dma.conf:1: no TLS was used with a.example"],
        lacks=["no_starttls"]),
    dma("nothing that waits", "SMARTHOST a.example\nNULLCLIENT\n",
        {"/var/spool/dma/flush": ""}, said=["clear text"]),
    dma("mail that waits", "SMARTHOST a.example\nNULLCLIENT\n",
        {"/var/spool/dma/Q1a2b.55": "x", "/var/spool/dma/M1a2b": "x"},
        status=1, said=["clear text", "/var/spool/dma: mail waits there"]),
    dma("a sender of its own", "SMARTHOST a.example\nNULLCLIENT\n"
        "MASQUERADE herb%u@ert.example\n", said=["clear text"],
        lines=["from = herb%%u@ert.example", "force_from = yes",
               "domain = ert.example"]),
    dma("a host of its own", "SMARTHOST a.example\nNULLCLIENT\n"
        "MASQUERADE percolator.example\n", said=["clear text"],
        lines=["from = %u@percolator.example"]),
    dma("no smarthost", "MAILNAME box.example.org\n", status=1,
        lines=["transport = direct", "hostname = box.example.org"],
        said=["dma.conf: mail for users of this machine"]),
    dma("direct, with TLS demanded", "SECURETRANSFER\nSTARTTLS\n", status=1,
        said=["dma.conf:2: TLS required of every mail host",
              "dma.conf: mail for"]),
    dma("a fingerprint, and mail that waits", "SMARTHOST a.example\nPORT 465\n"
        "SECURETRANSFER\nNULLCLIENT\nDEFER\nFINGERPRINT 00112233\n", status=1,
        said=["dma.conf:5: DEFER", "dma.conf:6: FINGERPRINT", VERIFIED]),
    dma("what is not understood", "SMARTHOST a.example\n NULLCLIENT\n"
        "PORT many\nSTARTTLS yes\nSECURETRANSFER yes\nnonsense\n", status=1,
        said=["dma.conf:2: begins", "dma.conf:3: PORT many",
              "dma.conf:4: STARTTLS", "dma.conf:5: SECURETRANSFER",
              "dma.conf:6: nonsense", VERIFIED, "mailboxes"],
        ways=[("a@b.example", "smtp", "a.example:25", START)]),
    dma("pipes in aliases", "SMARTHOST a.example\n", {
        "/etc/aliases": "root: x@y.example\nsnoop: \"|/bin/cat\", /var/log/x\n"
                        "  , :include:/etc/list\n"}, status=1,
        said=["aliases:2: snoop: |/bin/cat", "aliases:2: snoop: /var/log/x",
              "aliases:2: snoop: :include:", "clear text", "mailboxes"]),
]

NULLMAILER = [
    nullmailer("where reports went that nobody took", "a.example smtp "
               "--starttls\n", {"/etc/nullmailer/doublebounceto":
                                "pm@example.org\n"}, status=1,
               said=["doublebounceto:1: pm@example.org got reports"]),
    nullmailer("a relay", "mail.example.org\n", {
        "/etc/nullmailer/me": "box.example.org\n"},
        lines=["hostname = box.example.org", "domain = box.example.org",
               "lifetime = 7d", "aliases ="], said=["remotes:1: mail goes"],
        ways=[("root", "smtp", "mail.example.org:25", NONE)]),
    nullmailer("a provider, STARTTLS", "# ours\n\nsmtp.example.org smtp "
               "port=587 starttls user=joe pass='my pass phrase'\n",
               secrets={PASSWORD: "my pass phrase"},
               lines=["username = joe"],
               ways=[("a@b.example", "submission", "smtp.example.org:587",
                      START)]),
    nullmailer("TLS from the first byte, dashes", "smtp.example.org smtp "
               "--tls --user=joe --pass=pa%ss\n", secrets={PASSWORD: "pa%ss"},
               ways=[("a@b.example", "submissions", "smtp.example.org:465",
                      TLS)]),
    nullmailer("certificates that are not looked at", "smtp.example.org smtp "
               "--port=465 --ssl --insecure\n",
               said=["remotes:1: the certificate of smtp.example.org"],
               ways=[("a@b.example", "submissions", "smtp.example.org:465",
                      TLS)]),
    nullmailer("a login in clear text", "a.example smtp user=u pass=hunter22",
               status=1, said=["remotes:1: the login went to a.example in "
                               "clear text"]),
    nullmailer("two relays, in their order", "a.example smtp starttls\n"
               "b.example smtp starttls port=587\n",
               lines=["transport = relay relay-2"],
               ways=[("a@b.example", "smtp", "a.example:25", START)]),
    nullmailer("who gets root's mail", "a.example smtp starttls\n", {
        "/etc/nullmailer/adminaddr": "admin@example.org\n",
        "/etc/mailname": "box.example.org\n"},
        leads={"root@box.example.org": "admin@example.org",
               "root": "admin@example.org", "a@b.example": "a@b.example"},
        lines=["default_recipient = admin@example.org",
               "domain = box.example.org"]),
    nullmailer("a host of its own for names without one",
               "a.example smtp starttls\n", {
                   "/etc/nullmailer/adminaddr": "a@x.example,b@x.example\n",
                   "/etc/nullmailer/defaulthost": "mail\n",
                   "/etc/nullmailer/defaultdomain": "example.org\n",
                   "/etc/mailname": "box.example.org\n"},
               leads={"root": "root@mail.example.org",
                      "root@mail.example.org": "root@mail.example.org",
                      "root@localhost": "a@x.example b@x.example",
                      "joe@box.example.org": "a@x.example b@x.example"}),
    nullmailer("several who get root's mail", "a.example smtp starttls\n", {
        "/etc/nullmailer/adminaddr": "a@x.example, b@x.example\n"},
        leads={"root": "a@x.example b@x.example"},
        lines=["aliases = /etc/posthaste/aliases",
               "#    default: a@x.example, b@x.example"]),
    nullmailer("mail that waits", "a.example smtp starttls\n", {
        "/var/spool/nullmailer/queue/1700000000.12": "a@b.example\n",
        "/var/spool/nullmailer/tmp/13": ""}, status=1,
        said=["/var/spool/nullmailer/queue: mail waits there"]),
    nullmailer("one sender for all, names", "a.example smtp starttls\n", {
        "/etc/nullmailer/allmailfrom": "web%h@example.org",
        "/etc/nullmailer/defaulthost": "mail\n",
        "/etc/nullmailer/defaultdomain": "example.org\n",
        "/etc/nullmailer/helohost": "helo.example.org\n",
        "/etc/nullmailer/queuelifetime": "3600\n",
        "/etc/nullmailer/pausetime": "60\n"},
        lines=["from = web%%h@example.org", "force_from = yes",
               "domain = mail.example.org", "hostname = helo.example.org",
               "lifetime = 3600s"], said=["pausetime:1: not carried over"]),
    nullmailer("authorities and certificates of its own", "a.example smtp "
               "starttls x509cafile=/etc/ca.pem x509certfile=/etc/c.pem "
               "source=192.0.2.9 auth-login user=u pass=ppp\n", status=1,
               lines=["ca_file = /etc/ca.pem", "certificate = /etc/c.pem",
                      "key = /etc/c.pem", "source_address = 192.0.2.9",
                      "mechanisms = LOGIN"], said=["No such file"]),
    nullmailer("what is not understood", "a.example qmqp\nb.example smtp "
               "starttls frob=1 source=name.example\n'c.example\n"
               "d.example smtp port=x\ne.example smtp tls-anon-auth tls\n"
               "f.example starttls=1\n", status=1,
               said=["remotes:1: a.example: protocol qmqp",
                     "remotes:2: frob", "remotes:2: source=name",
                     "remotes:3: its quotes", "remotes:4: port=x",
                     "remotes:5: tls-anon-auth", "remotes:6: starttls"],
               ways=[("a@b.example", "smtp", "b.example:25", START)]),
    nullmailer("nothing is left", "a.example qmqp\n", status=1,
               said=["remotes: no remote is left", "protocol qmqp"],
               ways=[("a@b.example", "fail", "", NONE)]),
]

ESMTP = [
    esmtp("a relay", "hostname = mail.example.org:25\n",
          lines=["aliases =", "queue = never"], said=["esmtprc:1: mail goes"],
          ways=[("a@b.example", "smtp", "mail.example.org:25", NONE)]),
    esmtp("a provider", "hostname=smtp.example.org:587\nusername=\"joe\"\n"
          "password = \"pa\\\"ss\\\\ #1\"\nstarttls=required\n",
          secrets={PASSWORD: 'pa"ss\\ #1'}, said=["esmtprc:4: the certif"],
          ways=[("a@b.example", "submission", "smtp.example.org:587",
                 START)]),
    esmtp("the port that it takes", "hostname smtp.example.org\n"
          "starttls enabled\n", said=["esmtprc:2: TLS with smtp.example.org "
                                      "was used where it was offered"],
          ways=[("a@b.example", "submission", "smtp.example.org:587",
                 START)]),
    esmtp("a login in clear text", "hostname=a.example:25 username=u "
          "password=hunter22\n", status=1,
          said=["esmtprc:1: the login went to a.example in clear text"]),
    esmtp("identities", "hostname = a.example:25\nstarttls=required\n"
          "identity = me@b.example\n\thostname = b.example:2525\n"
          "\tusername = 'me'\n\tpassword = 'se cret'\n\tstarttls = required\n",
          said=["esmtprc:2", "esmtprc:7"],
          lines=["match_from = me@b.example"],
          secrets={"/etc/posthaste/relay-2.password": "se cret"},
          ways=[("-f me@b.example x@y.example", "submission",
                 "b.example:2525", START),
                ("-f o@b.example x@y.example", "smtp", "a.example:25",
                 START)]),
    esmtp("users' own", "hostname=a.example:25\nstarttls=required\n", {
        "/etc/passwd": "joe:x:1000:1000::/home/joe:/bin/sh\n",
        "/home/joe/.esmtprc": "x"}, status=1,
          said=["/home/joe/.esmtprc: a user's own", VERIFIED]),
    esmtp("identities alone", "identity = me@b.example\n"
          "hostname = b.example:25\nstarttls=required\n", said=["esmtprc:3"],
          ways=[("-f o@b.example x@y.example", "smtp", "b.example:25",
                 START)]),
    esmtp("a sender of its own", "hostname=a.example:smtp\nstarttls=required\n"
          "force reverse_path = \"%u@x.example\"\nqualifydomain=x.example\n"
          "helo=box.example\n", lines=["from = %u@x.example",
                                       "force_from = yes",
                                       "domain = x.example",
                                       "hostname = box.example"],
          said=[VERIFIED]),
    esmtp("mail that stays", "hostname=a.example:25\nstarttls=required\n"
          "mda=\"/usr/bin/procmail -d %T\"\n", status=1,
          said=["esmtprc:3: mail without a domain went to", VERIFIED]),
    esmtp("what is not carried over", "hostname=a.example:25\n"
          "starttls=required\npreconnect=\"ssh a.example\"\n"
          "certificate_passphrase=x\nforce sender=\"%u@a\"\n"
          "message_id=disabled\nfrob=1\n", status=1,
          said=["esmtprc:3: preconnect", "esmtprc:4: certificate_pass",
                "esmtprc:5: force sender", "esmtprc:6: a missing Message-ID",
                "esmtprc:7: frob", VERIFIED]),
    esmtp("a word for starttls that is none", "hostname=a.example:25\n"
          "starttls=yes\n", status=1,
          said=["esmtprc:2: starttls yes: taken as required", VERIFIED],
          ways=[("a@b.example", "smtp", "a.example:25", START)]),
    esmtp("comments, CRLF, no last newline", "# esmtp\r\nhostname = "
          "a.example:25 # here\r\nstarttls = required\r\nusername = u\r\n"
          "password = 'a'", said=[VERIFIED], secrets={PASSWORD: "a"},
          ways=[("a@b.example", "submission", "a.example:25", START)]),
    esmtp("a quote that does not close, a # in a word", "hostname=a.example:25"
          "\nstarttls=required\nusername=u\npassword=ab#cd\nhelo=\"x\n",
          status=1, secrets={PASSWORD: "ab"},
          said=["esmtprc:4: a # within", "esmtprc:5: a quote", VERIFIED]),
]

MSMTP = [
    msmtp("a provider", "# ours\ndefaults\nauth on\ntls on\n"
          "account default\nhost smtp.example.org\nport 587\nuser joe\n"
          "password s3cr%t;\"#\nfrom joe@example.org\nsyslog LOG_MAIL\n",
          lines=["kind = submission", "username = joe",
                 "from = joe@example.org", "aliases ="],
          lacks=["queue = never"],
          secrets={"/etc/posthaste/default.password": "s3cr%t;\"#"},
          ways=[("a@b.example", "submission", "smtp.example.org:587",
                 START)]),
    msmtp("TLS from the first byte", "account default\nhost a.example\n"
          "port 465\ntls on\ntls_starttls off\nfrom a@b.example\n",
          lines=["queue = never"],
          ways=[("a@b.example", "submissions", "a.example:465", TLS)]),
    msmtp("a relay in the house", "host mail.example.org\nport 25\n",
          said=["msmtprc:1: tls is off: mail goes in clear text"],
          ways=[("a@b.example", "smtp", "mail.example.org:25", NONE)]),
    msmtp("a login in clear text", "account default\nhost a.example\n"
          "auth plain\nuser u\npassword hunter22\n", status=1,
          lacks=["no_starttls", "mechanisms"],
          said=["the login went to a.example in clear text; TLS is required "
                "now", "msmtprc:1: tls is off: mail and login"],
          ways=[("a@b.example", "submission", "a.example:25", START)]),
    msmtp("certificates that are not looked at", "account default\n"
          "host a.example\ntls on\ntls_certcheck off\n",
          lacks=["skip_verify"],
          said=["msmtprc:2: the certificate of a.example was not verified"],
          ways=[("a@b.example", "smtp", "a.example:25", START)]),
    msmtp("accounts", "defaults\ntls on\naccount a\nhost a.example\n"
          "from a@a.example\naccount b\nhost b.example\nfrom b@b.example\n"
          "account default : a\n",
          ways=[("-f b@b.example x@y.example", "smtp", "b.example:25",
                 START),
                ("-f z@z.example x@y.example", "smtp", "a.example:25",
                 START)]),
    msmtp("a password's command", "account default\nhost a.example\ntls on\n"
          "auth on\nuser u\npasswordeval \"cat /etc/msmtp-password\"\n",
          lines=["password_command = cat /etc/msmtp-password",
                 "queue = never"], status=1,
          said=["msmtprc:6: passwordeval: everybody can read that"]),
    msmtp("users' own", "account default\nhost a.example\ntls on\n", {
        "/etc/passwd": "root:x:0:0:r:/root:/bin/sh\njoe:x:1000:1000::/home/"
        "joe:/bin/sh\nann:x:1001:1001::/home/ann/:/bin/sh\n",
        "/root/.msmtprc": "x", "/home/ann/.config/msmtp/config": "y"},
          status=1, said=["/root/.msmtprc: a user's own",
                          "/home/ann/.config/msmtp/config: a user's own"]),
    msmtp("aliases", "defaults\naliases /etc/aliases\naccount default\n"
          "host a.example\ntls on\n", {"/etc/aliases": "root: a@b.example\n"},
          lines=["aliases = /etc/aliases"]),
    msmtp("a fingerprint", "account default\nhost a.example\ntls on\n"
          "tls_fingerprint 00:11\n", status=1,
          said=["msmtprc:4: tls_fingerprint is of the certificate"],
          ways=[("a@b.example", "smtp", "a.example:25", START)]),
    msmtp("a value that is none", "account default\nhost a.example\n"
          "tls on # always\n", status=1, lacks=["no_starttls"],
          said=["msmtprc:3: tls on # always"],
          ways=[("a@b.example", "smtp", "a.example:25", START)]),
    msmtp("what has no counterpart", "account default\nhost a.example\ntls on"
          "\nset_to_header on\ntls_priorities NORMAL\nfrob 1\n", status=1,
          said=["msmtprc:4: set_to_header", "msmtprc:5: tls_prior",
                "msmtprc:6: frob"]),
    Case("msmtp", "root's own", {
        "/root/.msmtprc": "account default\nhost a.example\ntls on\n"},
        ways=[("a@b.example", "smtp", "a.example:25", START)]),
]

SMALL = SSMTP + DMA + NULLMAILER + ESMTP + MSMTP
