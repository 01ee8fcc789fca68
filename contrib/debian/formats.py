# SPDX-License-Identifier: GPL-3.0-or-later
"""The packages of others, as far as Debian can try them: RPMs are built, and
have what Debian's have; what APKBUILD and PKGBUILD do is done, without abuild
and makepkg; Nix reads its expression."""

import re

# in Debian's packages alone: its own papers, and what it has confined
DEBIANS = {"changelog.Debian", "copyright", "posthaste", "posthaste-mta",
           "changelog", "usr.sbin.posthaste", "SECURITY"}
# in an RPM alone
RPMS = {"COPYING", "CHANGES", "SECURITY"}
PROGRAMS = {"posthaste", "posthaste-drop", "posthaste-fetch",
            "posthaste-token", "sendmail", "mailq", "newaliases"}
PAGES = {"posthaste.1", "posthaste.conf.5", "posthaste-cookbook.7",
         "sendmail.8", "mailq.1", "newaliases.1"}

# what is in them is looked at, not how fast it is
ALPINE = """
set -e
export MAKEFLAGS=-j$(nproc) CFLAGS=-O0
getent group posthaste >/dev/null || groupadd -r posthaste
getent passwd posthaste >/dev/null || useradd -r -g posthaste posthaste
amove() {
	for path; do
		mkdir -p "$subpkgdir/${path%/*}"
		mv "$pkgdir/$path" "$subpkgdir/$path"
	done
}
pkgdir=/others/apk/all subpkgdir=/others/apk/mta
. contrib/alpine/APKBUILD
build >/dev/null 2>&1
package >/dev/null
mta
"""
ARCH = """
set -e
export MAKEFLAGS=-j$(nproc) CFLAGS=-O0
source contrib/arch/PKGBUILD
cd ..
(build) >/dev/null 2>&1
for name in "${pkgname[@]}"; do
	pkgdir=/others/arch/$name
	mkdir -p "$pkgdir"
	(package_"$name") >/dev/null
done
"""
LIST = r"find {} -mindepth 1 ! -type d -printf '%M %p\n'"


def names(listed):
    """The files' own names; a page may be packed."""
    return {re.sub(r"\.gz$", "", line.rsplit("/", 1)[1])
            for line in listed if "/" in line and "/.build-id/" not in line}


def files(said):
    """Lines of rights and paths, without folders."""
    return [line for line in said.splitlines() if re.match(r"[-l]\S{9} ",
                                                           line)]


def drop_of(listed):
    return [line for line in listed if line.endswith("/posthaste-drop")]


def unlike(debs, rpms):
    """What one of both has and the other has not."""
    return sorted((names(debs) - names(rpms) - DEBIANS) |
                  (names(rpms) - names(debs) - RPMS))


def rpm(inside, tree, tarball, debs):
    """True, or what is wrong; and the list."""
    said = inside(tree, f"{source(tarball)}/contrib/rpm/check "
                  f"/others/{tarball.name}")
    listed = files(said)
    wrong = [f"not in both: {name}" for name in unlike(debs, listed)]
    if len(re.findall(r"(?m)^posthaste-.*\.rpm:$", said)) != 2:
        wrong.append("not two packages")
    drop = drop_of(listed)
    if len(drop) != 1 or not drop[0].startswith(
            "-rwxr-sr-x root:posthaste "):
        wrong.append(f"posthaste-drop: {drop}")
    return wrong, said


def lacks(said):
    return [f"no {name}" for name in sorted(
        (PROGRAMS | PAGES) - names(files(said)))]


def source(tarball):
    return f"/others/{re.sub(r'[.]tar[.]xz$', '', tarball.name)}"


def unpacked(inside, tree, tarball):
    """A tree of its own for each: they build where they stand."""
    inside(tree, f"cd /others; tar xf {tarball.name}; for name in apk arch; "
           f"do mkdir $name; tar xf {tarball.name} -C $name; done")


def apk(inside, tree, tarball):
    place = source(tarball).replace("/others", "/others/apk")
    (tree / "others/alpine.sh").write_text(ALPINE)
    said = inside(tree, f"cd {place}; sh -n contrib/alpine/posthaste."
                  "pre-install; sh /others/alpine.sh\n" +
                  LIST.format("/others/apk/all /others/apk/mta"))
    wrong = lacks(said)
    if not any(re.match(r"-rwxr-sr-x .*/all/usr/libexec/posthaste/", line)
               for line in drop_of(files(said))):
        wrong.append(f"posthaste-drop: {drop_of(files(said))}")
    wrong += [f"systemd's: {line}" for line in files(said)
              if "/systemd/" in line]
    return wrong, said


def arch(inside, tree, tarball):
    place = source(tarball).replace("/others", "/others/arch")
    (tree / "others/arch.sh").write_text(ARCH)
    said = inside(tree, f"cd {place}; bash -n contrib/arch/posthaste.install; "
                  "bash /others/arch.sh\n" +
                  LIST.format("/others/arch/posthaste /others/arch/"
                              "posthaste-mta"))
    wrong = lacks(said)
    wrong += [f"not in posthaste-mta: {line}" for line in files(said)
              if "/others/arch/posthaste/" in line and
              re.search(r"/(sendmail|mailq|newaliases)(\.[18])?$", line)]
    return wrong, said


def nix(inside, tree, tarball):
    said = inside(tree, "nix-instantiate --parse "
                  f"{source(tarball)}/contrib/nix/default.nix")
    return ([] if "mkDerivation" in said else ["no derivation"]), said


def check(inside, tree, tarball, debs, others, ok):
    """ok(name, whether it is, what is to be said) for each; debs are lines as
    LIST has them. Those that are no more Debian's on one Debian than on
    another are tried where others says so."""
    unpacked(inside, tree, tarball)
    tried = [("rpm", lambda: rpm(inside, tree, tarball, debs)),
             ("nix", lambda: nix(inside, tree, tarball))]
    if others:
        tried += [("apk", lambda: apk(inside, tree, tarball)),
                  ("arch", lambda: arch(inside, tree, tarball))]
    for name, deed in tried:
        try:
            wrong, said = deed()
        except SystemExit as why:
            wrong, said = ["it failed"], str(why)
        ok(name, not wrong, "\n".join([said, *wrong]) if wrong else
           f"{len(files(said))} files" if files(said) else
           f"{len(said)} bytes")
