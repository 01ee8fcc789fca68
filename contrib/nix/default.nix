# SPDX-License-Identifier: GPL-3.0-or-later
# Not tried: nix-build, as nixpkgs was not there; Debian's Nix parses this
# (contrib/debian/check). A store has no set-group-id program: mail of all users
# goes through the socket, or security.wrappers makes the program and
# configure's --libexecdir is its folder.
#
#     nix-build -E 'with import <nixpkgs> { }; callPackage ./default.nix { }'
{ lib, stdenv, autoPatchelfHook, autoreconfHook, pkg-config, c-ares, cmocka
, curl, gnutls, gsasl, inih, jansson, libidn2, python3 }:

stdenv.mkDerivation {
  pname = "posthaste";
  version = "1.0.0";
  src = lib.cleanSource ../..;

  nativeBuildInputs = [ autoPatchelfHook autoreconfHook pkg-config python3 ];
  # loaded when they are needed, so that nothing sees that they are
  runtimeDependencies = [ c-ares gnutls gsasl libidn2 ];
  buildInputs = [ c-ares curl gnutls gsasl inih jansson libidn2 ];
  checkInputs = [ cmocka ];

  configureFlags = [
    "--sysconfdir=/etc"
    "--localstatedir=/var"
    "--runstatedir=/run"
    "--with-systemdsystemunitdir=${placeholder "out"}/lib/systemd/system"
    "--with-sysusersdir=${placeholder "out"}/lib/sysusers.d"
    "--with-tmpfilesdir=${placeholder "out"}/lib/tmpfiles.d"
  ];
  # what it looks for at run time is in /etc and /var, what it installs is not
  installFlags = [ "sysconfdir=${placeholder "out"}/etc" ];
  checkTarget = "check-unit";
  doCheck = true;

  meta = {
    description = "Sendmail-compatible command that submits mail";
    license = lib.licenses.gpl3Plus;
    platforms = lib.platforms.linux;
    mainProgram = "posthaste";
  };
}
