/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/kinds.h"

#include <stddef.h>

#define KIND_ROW(constant, name, ...) \
	[KIND_##constant] = { #name, __VA_ARGS__ },
#define KIND_WORD(constant, name, ...) [KIND_##constant] = #name,

static const struct kind_facts kind_rows[] = { KINDS(KIND_ROW) };

const char *const kind_choices[] = { KINDS(KIND_WORD) NULL };

const struct kind_facts *kind_facts(int kind)
{
	return &kind_rows[kind];
}

const char *kind_name(enum kind kind)
{
	return kind_rows[kind].name;
}

bool kind_has(int kind, unsigned traits)
{
	return (kind_rows[kind].traits & traits) != 0;
}
