/* SPDX-License-Identifier: GPL-3.0-or-later */
/* [general] cache: a directory of small files, each of which may be missing,
 * old or harmed at any time. */
#ifndef SUBMIT_CACHE_H
#define SUBMIT_CACHE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/outcome.h"

/* Opens the directory; create: to write, and makes it and those above it as far
 * as they are missing. -1: errno; 0 where others may write to it, so that
 * nothing in it is believed. Root writes where no other user has a say in where
 * it is, else EPERM. */
int cache_open(const char *path, bool create);
/* Reads a file of it, that is ours or root's and no link, within out's bound.
 * False: there is none, or it is not to be believed. */
bool cache_file(const char *path, const char *name, struct buf *out)
	MUST_CHECK;

#endif
