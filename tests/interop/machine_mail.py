#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine has to say, by the programs that say it: mail to root or
root@localhost reaches the administrator, whose mail a real Postfix takes. And
delivery agents run as commands, which take their messages. TAP."""

import email
import os
import pathlib
import shlex
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../support"))
import interop  # noqa: E402
import postfix  # noqa: E402
from interop import harness, want  # noqa: E402

CONFIG = """[general]
hostname = host.example.test
domain = example.test
aliases =
default_recipient = {admin}
[log]
to = {folder}/log
[queue]
queue = never
[route all]
transport = box
[transport box]
{box}
"""
RELAY = """kind = submission
host = localhost
port = {server.starttls}
ca_file = {server.ca}
username = joe@example.test
password = secret
"""
MAILDIR = "kind = maildir\npath = {folder}/box\n"

MAILUTILS = """
echo hi | mail.mailutils -s one root
echo hi | mail.mailutils -s two root@localhost
"""
S_NAIL = """
echo hi | s-nail -:/ -s one root
echo hi | s-nail -:/ -s two root@localhost
"""
# answers what smartd asks a SCSI disk before it watches it: who it is, and
# that it reports exceptions; anything else is an illegal request
DISK = r"""
#include <scsi/sg.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

enum { TEST_UNIT = 0x00, REQUEST_SENSE = 0x03, INQUIRY = 0x12, MODE_6 = 0x1a,
	EXCEPTIONS = 0x1c };

/* for smartd alone, and for none that it runs */
__attribute__((constructor)) static void stay_alone(void)
{
	unsetenv("LD_PRELOAD");
}

int ioctl(int fd, unsigned long request, ...)
{
	static const unsigned char inquiry[36] = "\0\0\5\2\37\0\0\0Acme"
		"    Disk            1.0", mode[16] = "\17\0\0\0\34\12\0\6";
	const unsigned char *answer = NULL, *command;
	struct sg_io_hdr *io;
	unsigned n = 0;
	va_list ap;

	va_start(ap, request);
	io = va_arg(ap, struct sg_io_hdr *);
	va_end(ap);
	if (request != SG_IO)
		return -1;
	command = io->cmdp;
	io->status = io->host_status = io->driver_status = 0;
	io->masked_status = io->info = io->sb_len_wr = 0;
	io->resid = 0;
	if (io->dxfer_len)
		memset(io->dxferp, 0, io->dxfer_len);
	if (command[0] == INQUIRY && !(command[1] & 1)) {
		answer = inquiry;
		n = sizeof(inquiry);
	} else if (command[0] == MODE_6 && (command[2] & 63) == EXCEPTIONS) {
		answer = mode;
		n = sizeof(mode);
	} else if (command[0] != TEST_UNIT && command[0] != REQUEST_SENSE) {
		io->status = 2;
		io->masked_status = 1;
		io->driver_status = 8;
		if (io->mx_sb_len < 18)
			return 0;
		memset(io->sbp, 0, io->mx_sb_len);
		memcpy(io->sbp, "\160\0\5\0\0\0\0\12\0\0\0\0\40", 13);
		io->sb_len_wr = 18;
	}
	if (answer)
		memcpy(io->dxferp, answer,
		       n < io->dxfer_len ? n : io->dxfer_len);
	return 0;
}
"""
SMARTD = """
touch sda
echo "$PWD/sda -d scsi -m root@localhost -M test" >smartd.conf
LD_PRELOAD=$PWD/disk.so smartd -d -q onecheck -c smartd.conf -A none -s none \\
	-w /usr/share/smartmontools/smartd_warning.sh
"""
# its own two ways to mail, called as it calls them
UPGRADES = """
/usr/bin/python3 -c '
import importlib.machinery, importlib.util
loader = importlib.machinery.SourceFileLoader(
    "uu", "/usr/bin/unattended-upgrade")
module = importlib.util.module_from_spec(
    importlib.util.spec_from_loader("uu", loader))
loader.exec_module(module)
for send in (module._send_mail_using_sendmail, module._send_mail_using_mailx):
    if send("root", "root", "unattended-upgrades result", "all is fine"):
        raise SystemExit(1)
'
"""
CRON = """
install -d -m 1730 /var/spool/cron/crontabs
printf 'MAILTO=root@localhost\\nHOME=%s\\n@reboot echo said\\n' "$HOME" >crontab
install -m 600 crontab /var/spool/cron/crontabs/root
mkdir none
for place in /etc/cron.d /etc/cron.daily /etc/cron.hourly; do
	[ ! -d $place ] || mount --bind none $place
done
[ ! -e /etc/crontab ] || mount --bind /dev/null /etc/crontab
cron -f -L 15 &
n=0
while ! grep -q status=sent log 2>/dev/null && [ $n -lt 300 ]; do
	sleep 0.1
	n=$((n + 1))
done
kill $!
"""
# it speaks SMTP to its mail server, and runs what it is told to run
MONIT = """
cat >inetd <<END
import socket, subprocess
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    peer, _ = server.accept()
    subprocess.run(["/usr/sbin/sendmail", "-bs"], stdin=peer, stdout=peer)
    peer.close()
END
mkfifo port
python3 inetd >port &
inetd=$!
read -r port <port
cat >say <<END
#!/bin/sh
echo hi | /usr/sbin/sendmail -C $HOME/.config/posthaste.conf root@localhost
END
cat >monitrc <<END
set daemon 1
set log $PWD/monit.log
set idfile $PWD/monit.id
set statefile $PWD/monit.state
set pidfile $PWD/monit.pid
set mailserver 127.0.0.1 port $port
set alert root@localhost only on { nonexist }
check file gone with path $PWD/nothing
    if does not exist then exec $PWD/say
END
chmod 700 say monitrc
monit -I -c monitrc &
monit=$!
n=0
touch log monit.log
while [ "$(grep -c status=sent log)" -lt 2 ] && [ $n -lt 300 ]; do
	sleep 0.1
	n=$((n + 1))
done
kill $monit $inetd
cat monit.log
"""
# what it would say of each array at a start, with or without one
# newer ones test what is an array alone, which takes a kernel that has them;
# what they say is replayed in callers.py
MDADM = """
mdadm --monitor --test --oneshot --mail root@localhost /dev/md0
"""
LOGWATCH = """
mount -t tmpfs tmpfs /var/cache
mkdir /var/cache/logwatch logs
echo "$(LC_ALL=C date "+%b %e %T") host sshd[1]: Failed password for root from" \\
	"192.0.2.1 port 22 ssh2" >logs/auth.log
logwatch --output mail --mailto root@localhost --logdir "$PWD/logs" \\
	--service sshd --range all
"""
LETTER = b"Subject: hello\n\ngr\xc3\xbcn\n.\nFrom here\n"


def place(folder, box, admin="admin@example.test"):
    folder = pathlib.Path(folder)
    for name in ("usr/sbin", "usr/bin", "usr/lib", "home/.config"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    harness.copy_program(harness.POSTHASTE, folder / "usr/sbin/sendmail")
    os.symlink("../sbin/sendmail", folder / "usr/lib/sendmail")
    os.symlink("mail.mailutils", folder / "usr/bin/mail")
    config = folder / "home/.config/posthaste.conf"
    config.write_text(CONFIG.format(folder=folder, admin=admin,
                                    box=box.format(folder=folder)))
    config.chmod(0o600)
    return config


def run(folder, script, peer="machine", stdin=b""):
    script = ("cd \"$PEER_SCRATCH\"\nexport HOME=$PEER_SCRATCH/home\n"
              + script)
    env = interop.peer_environment(folder, "")
    env.pop("XDG_CONFIG_HOME")
    child = subprocess.run(
        [interop.PEERS, "run", peer, "sh", "-ec", script], input=stdin,
        env=env, timeout=120, capture_output=True, cwd=folder)
    said = (child.stdout + child.stderr).decode("latin-1")
    want(child.returncode == 0, f"status {child.returncode}: {said}\n"
         f"{interop.log(folder)}")
    return said


def compile_disk(folder):
    source = pathlib.Path(folder, "disk.c")
    source.write_text(DISK)
    subprocess.run([*shlex.split(os.environ.get("CC", "cc")), "-shared",
                    "-fPIC", "-o", source.with_suffix(".so"), source],
                   check=True, timeout=60)


def arrives(name, script, subjects, peer="machine", prepare=None):
    admin = "admin-" + "-".join(name.lower().split()) + "@example.test"

    def found(server):
        boxed = [email.message_from_bytes(path.read_bytes())
                 for path in server.folder.glob("mail/box/new/*")]
        return [m for m in boxed if m["Delivered-To"] == admin]

    def test(server, folder):
        place(folder, RELAY.format(server=server), admin)
        if prepare:
            prepare(folder)
        said = run(folder, script, peer)
        try:
            harness.eventually(
                lambda: len(found(server)) >= len(subjects), "mail", 20)
        except harness.Failure as late:
            raise harness.Failure(
                f"{late}: {said}{interop.log(folder)}") from late
        left = [str(m["Subject"]) for m in found(server)]
        for subject in subjects:
            like = [words for words in left if subject in words]
            want(like, f"{subject} is not in {left}: {said}")
            left.remove(like[0])
        want(not left, f"{left}, too: {said}")
    test.__doc__ = f"{name}: to the administrator"
    return test


def takes(name, peer, prepare, command, box):
    """A delivery agent as a command: the message is in its maildir."""
    def test(_, folder):
        config = place(folder, f"kind = command\ncommand = {command}\n")
        pathlib.Path(folder, "letter").write_bytes(LETTER)
        run(folder, prepare + f"\nsendmail -C {config} -i -f s@x.example "
            "a@y.example <letter\n", peer)
        found = list(pathlib.Path(folder, box, "new").glob("*"))
        want(len(found) == 1, f"{found} {interop.log(folder)}")
        text = found[0].read_bytes()
        want(text.endswith(b"\n\n" + LETTER.partition(b"\n\n")[2]), text)
        want(text.startswith(b"Return-Path: <s@x.example>\n"), text)
    test.__doc__ = f"{name} takes a message"
    return test


MAILDROP = """
mkdir -p Got/new Got/cur Got/tmp
printf 'to "%s/Got"\\n' "$PWD" >filter
chmod 600 filter
"""
PROCMAIL = """
printf 'DEFAULT=%s/Got/\\n' "$PWD" >rc
"""
DOVECOT_MAILDIR = (interop.DOVECOT_2_4 + "mail_driver = maildir\n"
                   "mail_path = $PWD/home/Got\n"
                   if interop.dovecot_is_new() else
                   "mail_location = maildir:$PWD/home/Got\n")
# by itself it delivers to the user it is run as, who must not be root
DOVECOT = """
cat >lda.conf <<END
""" + DOVECOT_MAILDIR + """log_path = /dev/stderr
postmaster_address = p@example.test
hostname = host.example.test
ssl = no
END
chmod 755 .
chown 7003:7003 home
"""


def reads(_, folder):
    """mutt reads the maildir"""
    place(folder, MAILDIR)
    said = run(folder, """
echo hello | sendmail -i root
printf 'Subject: second\\n\\nhi\\n' | sendmail -i root
printf 'set folder=%s\\nset quit=yes\\nset mbox_type=maildir\\n' "$PWD" >rc
printf 'set header_cache=\\nset wait_key=no\\npush <quit>\\n' >>rc
export TERM=vt100
timeout 30 script -qec "stty rows 24 cols 80; mutt -n -F rc -R -f box" /dev/null </dev/null
""")
    want("second" in said, said)
    want("Msgs:2" in said.replace(" ", ""), said)


TESTS = [
    arrives("mailutils", MAILUTILS, ["one", "two"]),
    arrives("s-nail", S_NAIL, ["one", "two"]),
    arrives("smartd -M test", SMARTD, ["SMART error (EmailTest)"],
            prepare=compile_disk),
    arrives("unattended-upgrades", UPGRADES,
            ["unattended-upgrades result"] * 2),
    arrives("cron with MAILTO", CRON, ["Cron <root@"]),
    arrives("monit", MONIT, ["monit alert --  Does not exist gone", ""],
            "monitors"),
    *([arrives("mdadm --monitor --test", MDADM,
               ["TestMessage event on /dev/md0"], "monitors")]
      if interop.peer_says("monitors/usr/sbin/mdadm", b"mdadm - v4.2")
      or os.path.exists("/proc/mdstat") else []),
    arrives("logwatch", LOGWATCH, ["Logwatch for "], "monitors"),
    takes("maildrop", "machine", MAILDROP, "maildrop {folder}/filter", "Got"),
    takes("procmail", "machine", PROCMAIL, "procmail -m {folder}/rc", "Got"),
    takes("Dovecot's LDA", "dovecot", DOVECOT,
          "setpriv --reuid 7003 --regid 7003 --clear-groups "
          "/usr/lib/dovecot/dovecot-lda -c {folder}/lda.conf "
          '-f "$SENDER" -a "$RECIPIENT"', "home/Got"),
    reads,
]


if __name__ == "__main__":
    sys.exit(interop.run(TESTS, postfix.Postfix, workers=3))
