#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# monitoring.sh FOLDER: the packages that monitoring.py needs, as Debian ships
# them, unpacked there unless they are: nothing is installed or started.
set -eu

[ ! -f "$1/done" ] || exit 0
rm -rf "$1"
mkdir -p "$1/archives"
(cd "$1/archives" && apt-get download -q=2 -o APT::Sandbox::User=root \
	prometheus nagios-nrpe-server nagios-nrpe-plugin libwrap0)
for archive in "$1"/archives/*.deb; do
	dpkg-deb -x "$archive" "$1"
done
rm -r "$1/archives"
touch "$1/done"
