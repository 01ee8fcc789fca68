/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/list.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"

void list_addn(struct list *l, const char *s, size_t n)
{
	l->item = mem_grow(l->item, l->n, sizeof(*l->item));
	l->item[l->n++] = mem_stringn(s, n);
}

void list_add(struct list *l, const char *s)
{
	list_addn(l, s, strlen(s));
}

void list_split(struct list *l, const char *s, const char *separators)
{
	size_t n;

	for (;;) {
		s += strspn(s, separators);
		n = strcspn(s, separators);
		if (!n)
			return;
		list_addn(l, s, n);
		s += n;
	}
}

bool list_has(const struct list *l, const char *s)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (!strcmp(l->item[i], s))
			return true;
	return false;
}

bool list_has_nocase(const struct list *l, const char *s)
{
	size_t i;

	for (i = 0; i < l->n; i++)
		if (!strcasecmp(l->item[i], s))
			return true;
	return false;
}

void list_remove(struct list *l, const char *s)
{
	size_t i, left = 0;

	for (i = 0; i < l->n; i++) {
		if (strcasecmp(l->item[i], s))
			l->item[left++] = l->item[i];
		else
			free(l->item[i]);
	}
	l->n = left;
}

char *list_join(const struct list *l, const char *separator)
{
	struct buf b = BUF((size_t)-1 / 2);
	size_t i;

	for (i = 0; i < l->n; i++) {
		if (i)
			buf_adds(&b, separator);
		buf_adds(&b, l->item[i]);
	}
	return buf_take(&b);
}

void list_release(struct list *l)
{
	while (l->n)
		free(l->item[--l->n]);
	free(l->item);
	l->item = NULL;
}
