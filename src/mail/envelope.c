/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/envelope.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

void envelope_release(struct envelope *e)
{
	while (e->n) {
		free(e->rcpt[--e->n].address);
		free(e->rcpt[e->n].orcpt);
		free(e->rcpt[e->n].earlier);
	}
	free(e->rcpt);
	free(e->sender);
	free(e->account);
	free(e->transport);
	free(e->envid);
	*e = (struct envelope){0};
}

bool envelope_pending(const struct envelope *e)
{
	size_t i;

	for (i = 0; i < e->n; i++)
		if (e->rcpt[i].state == RCPT_PENDING)
			return true;
	return false;
}

char *xtext(const char *text)
{
	struct buf b = BUF(3 * strlen(text));
	unsigned char c;

	for (; (c = (unsigned char)*text); text++) {
		if (c > ' ' && c < 0x7f && c != '+' && c != '=')
			buf_addc(&b, (char)c);
		else
			buf_addf(&b, "+%02X", c);
	}
	return buf_take(&b);
}

static int xtext_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool xtext_decode(const char *text, char **out)
{
	struct buf b = BUF(strlen(text));
	int high, low;

	for (; *text; text++) {
		if (*text != '+' && *text != '=' && *text > ' ' &&
		    *text < 0x7f) {
			buf_addc(&b, *text);
			continue;
		}
		high = *text == '+' ? xtext_digit(text[1]) : -1;
		low = high >= 0 ? xtext_digit(text[2]) : -1;
		if (low < 0 || !(high || low)) {
			buf_release(&b);
			return false;
		}
		buf_addc(&b, (char)(high << 4 | low));
		text += 2;
	}
	*out = buf_take(&b);
	return true;
}
