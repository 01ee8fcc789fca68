/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The aliases file (SPEC 4): "name: address, ...", continued on lines that
 * begin with a blank, "#" comments; read only when a bare recipient occurs.
 */
#ifndef MAIL_ALIASES_H
#define MAIL_ALIASES_H

#include <stdbool.h>

#include "base/list.h"
#include "base/outcome.h"

struct aliases;

/* Reads the file. A missing file is an error (EX_CONFIG) if named, else an
 * empty set. A line that cannot be read is logged and passed over. */
bool aliases_load(const char *path, bool named, struct aliases **out,
		  struct outcome *why) MUST_CHECK;
void aliases_free(struct aliases *a);
/* Adds to out what the bare local part stands for, followed recursively
 * (loops are cut): addresses of ours, with or without domain. Names are
 * matched without case. Pipes, files and :include: are passed over with a
 * log line. False: no such alias and no "default:", or one that yields
 * nothing; out is then unchanged. */
bool aliases_expand(const struct aliases *a, const char *local,
		    struct list *out);

#endif
