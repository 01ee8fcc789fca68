/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The environment that libraries see. They take orders from it that nobody
 * gave us: to write the keys of TLS connections to a file, to load other
 * modules, to look names up differently.
 */
#ifndef BASE_ENVIRONMENT_H
#define BASE_ENVIRONMENT_H

/* Drops every variable that a library of ours would obey, beside those that
 * say where a user's things are (HOME, XDG_*, KRB5CCNAME, KRB5_CONFIG, TZ,
 * TMPDIR). Where one was there that counts before main begins, the program is
 * started again, if it can be. To be called first of all. */
void environment_clean(char **argv);
/* After a change of user: what names the old one's home and files now names
 * the new one's. home may be NULL. */
void environment_become(const char *name, const char *home);

#endif
