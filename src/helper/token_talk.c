/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What was asked, and words of a failure, in which no secret stands. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/outcome.h"
#include "base/pairs.h"
#include "helper/token_parts.h"

int helper_fail(struct helper *h, int status, const char *format, ...)
{
	struct buf masked = BUF(4096);
	char words[2400];
	va_list ap;

	va_start(ap, format);
	vsnprintf(words, sizeof(words), format, ap);
	va_end(ap);
	mask_apply(&h->secrets, words, strlen(words), &masked);
	text_printable(h->words, sizeof(h->words), buf_text(&masked),
		       masked.len);
	buf_release(&masked);
	return status;
}

char *helper_get(struct helper *h, const char *name)
{
	return pairs_get(h->request, name);
}

char *helper_secret(struct helper *h, const char *name)
{
	char *value = pairs_get(h->request, name);

	mask_add_secret(&h->secrets, value);
	return value;
}
