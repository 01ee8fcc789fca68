#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Real servers and callers for the interop tests, as Debian ships them. Their
# packages conflict with one another, so none is installed: each is unpacked
# into a folder of its own and run in a private mount namespace.
#
#   peers.sh fetch                download and unpack what is not there yet
#   peers.sh have                 status 0 if everything is there
#   peers.sh run NAME CMD...      run CMD with NAME laid over /usr
#   peers.sh tree                 print where a whole system is that can be
#                                 booted; made if it is not there yet
#   peers.sh fresh                the same for a small one with expect(1)
#
# run needs root, and PEER_SCRATCH, a folder for what it makes. What is below
# PEER_SCRATCH/usr lies on top of all; PEER_SETUP is shell text that is
# evaluated inside before CMD. Everything that CMD starts ends with it.
set -eu

peers=${POSTHASTE_PEERS:-/var/cache/posthaste-peers}
names="postfix dovecot exim callers machine monitors"

# The system's PHP, whatever its version is; what is unpacked already counts
# where apt knows nothing.
php() {
	{
		cat "$peers/callers/unpacked" 2>/dev/null || :
		apt-cache depends php-cli 2>/dev/null
		echo php-cli
	} | grep -o 'php[0-9.]*-cli' | sort -r | head -n 1
}

packages() {
	case $1 in
	postfix)
		echo postfix sasl2-bin libsasl2-2 libsasl2-modules \
			libsasl2-modules-db ;;
	dovecot)
		echo dovecot-core dovecot-submissiond ;;
	exim)
		echo exim4-daemon-heavy ;;
	callers)
		echo "$(php)" cron s-nail mutt git git-email \
			libmailtools-perl ;;
	machine)
		echo mailutils smartmontools unattended-upgrades procmail \
			maildrop s-nail mutt cron ;;
	monitors)
		echo monit mdadm logwatch ;;
	esac
}

have() {
	for name in $names; do
		[ "$(cat "$peers/$name/unpacked" 2>/dev/null)" = \
			"$(packages "$name")" ] || return 1
	done
}

# The packages named and all that they need, as if nothing were installed
# or cached here: what is may be taken away again.
closure() {
	# shellcheck disable=SC2046 # a list of words
	apt-get install --print-uris -qq -o Dir::State::status=/dev/null \
		-o Dir::Cache::archives="$peers/$1.new/archives" \
		--no-install-recommends $(packages "$1") |
		sed -n "s/^'[^']*' \([^_ ]*\)_.*/\1/p"
}

unpack() {
	name=$1
	rm -rf "${peers:?}/$name"
	mkdir -p "$peers/$name.new/archives/partial"
	wanted=$(closure "$name")
	if [ -z "$wanted" ]; then
		echo "peers.sh: apt-get does not know $(packages "$name")" >&2
		exit 1
	fi
	# shellcheck disable=SC2086 # a list of words
	(cd "$peers/$name.new/archives" &&
		apt-get download -q=2 -o APT::Sandbox::User=root $wanted)
	for archive in "$peers/$name.new/archives"/*.deb; do
		dpkg -x "$archive" "$peers/$name.new"
	done
	# /lib is a link to /usr/lib where all this will lie, and in newer
	# systems' packages already
	for part in bin sbin lib lib64; do
		if [ -d "$peers/$name.new/$part" ] &&
				! [ -L "$peers/$name.new/$part" ]; then
			mkdir -p "$peers/$name.new/usr/$part"
			cp -a "$peers/$name.new/$part/." \
				"$peers/$name.new/usr/$part/"
		fi
	done
	rm -rf "$peers/$name.new/archives"
	packages "$name" >"$peers/$name.new/unpacked"
	mv "$peers/$name.new" "$peers/$name"
}

fetch() {
	umask 022
	mkdir -p "$peers"
	for name in $names; do
		[ "$(cat "$peers/$name/unpacked" 2>/dev/null)" = \
			"$(packages "$name")" ] && continue
		rm -rf "$peers/$name.new"
		unpack "$name"
	done
}

# The system of this host's release, with these packages and little else.
tree() {
	umask 022
	mkdir -p "$peers"
	exec 9>"$peers/$1.lock"
	flock 9
	if ! [ -d "$peers/$1" ]; then
		rm -rf "$peers/$1.new"
		debootstrap --variant=minbase --include="$2" \
			"$(. /etc/os-release && echo "$VERSION_CODENAME")" \
			"$peers/$1.new" >&2
		mv "$peers/$1.new" "$peers/$1"
	fi
	echo "$peers/$1"
}

# The users that the packages' scripts would have added.
users() {
	sed "s,^root:\([^:]*:[^:]*:[^:]*:[^:]*\):[^:]*:,root:\1:$1/home:," \
		/etc/passwd >"$1/passwd"
	cp /etc/group "$1/group"
	id=7000
	for user in postfix postdrop dovecot dovenull vmail Debian-exim; do
		id=$((id + 1))
		sed -i "/^$user:/d" "$1/passwd" "$1/group"
		echo "$user:x:$id:$id::/nonexistent:/bin/false" >>"$1/passwd"
		echo "$user:x:$id:" >>"$1/group"
	done
}

inside='
layers=$PEER/usr:/usr
if [ -d "$PEER_SCRATCH/usr" ]; then
	layers=$PEER_SCRATCH/usr:$layers
fi
mount -t overlay overlay -o "lowerdir=$layers" /usr
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/spool
mount --bind "$PEER_SCRATCH/passwd" /etc/passwd
mount --bind "$PEER_SCRATCH/group" /etc/group
eval "${PEER_SETUP:-}"
"$@"
exit $?'

run() {
	PEER=$peers/$1
	shift
	if ! [ -f "$PEER/unpacked" ]; then
		echo "peers.sh: $PEER is not there: run contrib/packages test" >&2
		exit 69
	fi
	users "$PEER_SCRATCH"
	export PEER
	exec unshare --mount --pid --fork --kill-child --mount-proc \
		sh -ec "$inside" peers.sh "$@"
}

case ${1:-} in
fetch) fetch ;;
have) have ;;
run) shift; run "$@" ;;
tree) tree tree systemd,systemd-sysv,dbus,python3 ;;
fresh) tree fresh ca-certificates,cron,expect ;;
*)
	echo "usage: peers.sh fetch | have | tree | fresh | run NAME CMD..." >&2
	exit 64 ;;
esac
