/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A list of strings, which it owns. {0} is an empty one. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	char **item;
	size_t n;
};

/* Adds a copy. */
void list_add(struct list *l, const char *s);
void list_addn(struct list *l, const char *s, size_t n);
/* Adds the words of s, separated by any of the characters in separators. */
void list_split(struct list *l, const char *s, const char *separators);
/* Whether s is in it; the second form without case (ASCII). */
bool list_has(const struct list *l, const char *s);
bool list_has_nocase(const struct list *l, const char *s);
/* Takes it out, wherever it is, without case (ASCII). */
void list_remove(struct list *l, const char *s);
/* Its items with a separator between; the caller frees. */
char *list_join(const struct list *l, const char *separator);
void list_release(struct list *l);

#endif
