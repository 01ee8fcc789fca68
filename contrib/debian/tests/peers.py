# SPDX-License-Identifier: GPL-3.0-or-later
"""The mail programs that posthaste takes the place of, set up the way their
own manuals and Debian's questions do it: all mail to the provider at port 587,
with STARTTLS and a login, root's to admin@example.net."""

RELAY = "smtp.provider.example"
USER, PASSWORD = "host@example.org", "correct horse"
ADMIN = "admin@example.net"
ALIASES = {"/etc/aliases": f"root: {ADMIN}\n"}

# packages, debconf's answers, files (after the installation), commands
PEERS = {
    "exim4": (["exim4-daemon-light"], f"""
exim4-config exim4/dc_eximconfig_configtype select \
mail sent by smarthost; no local mail
exim4-config exim4/mailname string example.org
exim4-config exim4/dc_readhost string example.org
exim4-config exim4/dc_smarthost string {RELAY}::587
exim4-config exim4/dc_other_hostnames string
exim4-config exim4/dc_local_interfaces string 127.0.0.1
exim4-config exim4/hide_mailname boolean true
exim4-config exim4/use_split_config boolean false
""", {"/etc/exim4/passwd.client": f"*:{USER}:{PASSWORD}\n"},
        ["update-exim4.conf", "systemctl restart exim4"]),
    "postfix": (["postfix", "libsasl2-modules"], f"""
postfix postfix/main_mailer_type select Satellite system
postfix postfix/mailname string example.org
postfix postfix/relayhost string [{RELAY}]:587
postfix postfix/root_address string {ADMIN}
""", {"/etc/postfix/sasl_passwd": f"[{RELAY}]:587 {USER}:{PASSWORD}\n"},
        ["postmap /etc/postfix/sasl_passwd",
         "postconf -e smtp_sasl_auth_enable=yes "
         "smtp_sasl_password_maps=hash:/etc/postfix/sasl_passwd "
         "smtp_sasl_security_options=noanonymous "
         "smtp_tls_security_level=encrypt",
         "newaliases", "systemctl restart postfix"]),
    "msmtp": (["msmtp-mta"], "", {"/etc/msmtprc": f"""
defaults
auth on
tls on
tls_starttls on
syslog on
aliases /etc/aliases

account default
host {RELAY}
port 587
user {USER}
password "{PASSWORD}"
from %U@example.org
"""}, ["chmod 644 /etc/msmtprc"]),
    "nullmailer": (["nullmailer"], f"""
nullmailer shared/mailname string example.org
nullmailer nullmailer/defaultdomain string example.org
nullmailer nullmailer/adminaddr string {ADMIN}
nullmailer nullmailer/relayhost string {RELAY}
""", {"/etc/nullmailer/remotes":
        f"{RELAY} smtp --port=587 --starttls --user={USER} "
        f"--pass='{PASSWORD}'\n",
        "/etc/nullmailer/adminaddr": f"{ADMIN}\n"},
        ["chmod 600 /etc/nullmailer/remotes",
         "chown mail /etc/nullmailer/remotes",
         "systemctl restart nullmailer"]),
    "dma": (["dma"], f"""
dma dma/mailname string example.org
dma dma/relayhost string {RELAY}
""", {"/etc/dma/dma.conf": f"""
SMARTHOST {RELAY}
PORT 587
AUTHPATH /etc/dma/auth.conf
SECURETRANSFER
STARTTLS
MAILNAME example.org
""", "/etc/dma/auth.conf": f"{USER}|{RELAY}:{PASSWORD}\n"},
        ["chgrp mail /etc/dma/auth.conf", "chmod 640 /etc/dma/auth.conf"]),
    "ssmtp": (["ssmtp"], "", {"/etc/ssmtp/ssmtp.conf": f"""
root={ADMIN}
mailhub={RELAY}:587
rewriteDomain=example.org
hostname=host.example.org
AuthUser={USER}
AuthPass={PASSWORD}
UseTLS=YES
UseSTARTTLS=YES
FromLineOverride=YES
"""}, []),
}

# (user, options, text); %s is the subject, by which each is found again
MESSAGES = [
    ("root", ["a@example.net"], "Subject: %s\n\nx\n"),
    ("root", ["-i", "root"], "Subject: %s\n\nx\n"),
    ("root", ["-t"], "To: a@example.net\nSubject: %s\n\nx\n"),
    ("root", ["-t", "-i"], "To: a@example.net\nCc: b@example.net\n"
     "Bcc: c@example.net\nSubject: %s\n\nx\n"),
    ("root", ["-i", "a@example.net", "b@example.com"],
     "Subject: %s\n\nx\n"),
    ("root", ["-f", "shop@example.org", "a@example.net"],
     "Subject: %s\n\nx\n"),
    ("root", ["-f", "shop@example.org", "-t"],
     "From: Shop <shop@example.org>\nTo: a@example.net\nSubject: %s\n\nx\n"),
    ("root", ["-i", "-f", "shop@example.org", "a@example.net"],
     "From: other@example.org\nSubject: %s\n\nx\n"),
    ("root", ["-i", "-FCron Daemon", "a@example.net"],
     "Subject: %s\n\nx\n"),
    ("root", ["-i", "-FCronDaemon", "-oem", "root"],
     "From: root (Cron Daemon)\nTo: root\nSubject: %s\n\nx\n"),
    ("root", ["-oi", "-t"], "From: root@example.org\nTo: a@example.net,\n"
     " b@example.net\nSubject: %s\n\nx\n"),
    ("root", ["-i", "a@example.net"], "Subject: %s\n\n.\nafter a dot\n"),
    ("root", ["-i", "a@example.net"], "Subject: %s\n\n..two\n.one\n"),
    ("root", ["-i", "-fshop@example.org", "a@example.net"],
     "Subject: %s\n\nx\n"),
    ("alice", ["-i", "a@example.net"], "Subject: %s\n\nx\n"),
    ("alice", ["-i", "root"], "Subject: %s\n\nx\n"),
    ("alice", ["-t", "-i"], "From: Alice <alice@example.org>\n"
     "To: A <a@example.net>\nSubject: %s\n\nx\n"),
    ("alice", ["-i", "a@example.net"],
     "Subject: %s\nContent-Type: text/plain; charset=utf-8\n\ngr\u00fcn\n"),
    ("alice", ["-i", "A@Example.NET"], "Subject: %s\n\n" + "x" * 900 + "\n"),
    ("alice", ["-i", "a@example.net"], "Subject: %s\n\n" + "line\n" * 2000),
]
