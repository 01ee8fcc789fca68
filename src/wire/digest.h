/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef WIRE_DIGEST_H
#define WIRE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/outcome.h"

enum { SHA256_SIZE = 32 };

/* False: the library failed. */
bool digest_sha256(const void *data, size_t n,
		   unsigned char out[SHA256_SIZE]) MUST_CHECK;

#endif
