/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The aliases file: "name: address, ...", continued on lines that
 * begin with a blank, "#" comments. A key is a local part, "name@domain",
 * "@domain" (all of that domain), or "default" or "*" (all that have no
 * domain and no key of their own).
 */
#ifndef MAIL_ALIASES_H
#define MAIL_ALIASES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "base/outcome.h"

struct aliases;

/* Is told of what is wrong in a line: it is not an alias, a part of it is not
 * an address, or (foreign) it is what other systems do and we do not: pipes,
 * files, included lists. */
struct alias_faults {
	void (*tell)(void *context, size_t line, bool foreign,
		     const char *words);
	void *context;
};

/* Reads the file, whose keys, and what they yield, lose a domain that is one
 * of local_names. A missing file is an error (EX_CONFIG) if named, else an
 * empty set. A line that is not an alias is told to faults, or logged where
 * that is NULL; it concerns nobody but the name that it begins with. */
bool aliases_load(const char *path, bool named, const struct list *local_names,
		  const struct alias_faults *faults, struct aliases **out,
		  struct outcome *why) MUST_CHECK;
void aliases_free(struct aliases *a);
/* Adds to out what an address of ours, with or without domain, stands for,
 * followed recursively (loops are cut): addresses of ours. Names are matched
 * without case. Nothing is added where all of it is discarded ("/dev/null",
 * ":blackhole:"). Pipes, files and :include: are passed over with a log line.
 * Not found: no such alias, or one that yields nothing; out is then unchanged.
 * More than most addresses are not followed. False: what the address stands
 * for is in a line that is not an alias (EX_CONFIG). */
bool aliases_expand(struct aliases *a, const char *address, size_t most,
		    struct list *out, bool *found,
		    struct outcome *why) MUST_CHECK;
/* Tells of all parts of values that are not addresses. */
void aliases_check(const struct aliases *a, const struct alias_faults *faults);

/* The address, without its domain where that is one of the names of this
 * host; the caller frees. */
char *address_without_local(const char *address,
			    const struct list *local_names);

#endif
