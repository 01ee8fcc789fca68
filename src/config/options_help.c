/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/options.h"

#include <string.h>

#include "config/options_table.h"

enum { HELP_COLUMN = 24, HELP_WIDTH = 79 };

static const char *const titles[] = {
	[GROUP_SEND] = "Sending",
	[GROUP_DSN] = "Delivery status notifications (RFC 3461)",
	[GROUP_QUEUE] = "Queue",
	[GROUP_REPORT] = "Reports",
	[GROUP_GENERAL] = "General",
	[GROUP_IGNORED] = "Accepted and ignored",
};

static void add_argument(struct buf *out, const struct known_option *k)
{
	if (!k->argument)
		return;
	switch (k->value) {
	case VALUE_ATTACHED:
		buf_addf(out, "[%s]", k->argument);
		break;
	case VALUE_OPTIONAL:
		buf_addf(out, " [%s]", k->argument);
		break;
	default:
		buf_addf(out, " %s", k->argument);
	}
}

static void add_names(struct buf *out, const struct known_option *k)
{
	if (k->name)
		buf_adds(out, k->name);
	if (k->name && k->word)
		buf_adds(out, ", ");
	if (k->word)
		buf_adds(out, k->word);
	add_argument(out, k);
}

/* Words from the given column on, broken where the line ends. */
static void add_wrapped(struct buf *out, const char *text, size_t column)
{
	size_t n;

	while (*text) {
		n = strcspn(text, " ");
		if (column > HELP_COLUMN && column + 1 + n > HELP_WIDTH) {
			buf_addf(out, "\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
		} else if (column > HELP_COLUMN) {
			buf_addc(out, ' ');
			column++;
		}
		buf_add(out, text, n);
		column += n;
		text += n;
		text += strspn(text, " ");
	}
	buf_addc(out, '\n');
}

static void add_row(struct buf *out, const struct known_option *k)
{
	size_t start = out->len, used;

	buf_adds(out, "  ");
	add_names(out, k);
	used = out->len - start;
	if (used + 2 > HELP_COLUMN) {
		buf_addc(out, '\n');
		used = 0;
	}
	buf_addf(out, "%*s", (int)(HELP_COLUMN - used), "");
	add_wrapped(out, k->help, HELP_COLUMN);
}

static void add_ignored(struct buf *out)
{
	struct buf names = BUF(4096);
	const struct known_option *k;
	size_t i;

	for (i = 0; (k = option_at(i)); i++) {
		if (k->group != GROUP_IGNORED)
			continue;
		if (names.len)
			buf_adds(&names, ", ");
		add_names(&names, k);
	}
	buf_adds(out, "  ");
	buf_addf(out, "%*s", HELP_COLUMN - 2, "");
	add_wrapped(out, buf_text(&names), HELP_COLUMN);
	buf_release(&names);
}

void options_help(struct buf *out)
{
	const struct known_option *k;
	size_t group, i;

	buf_adds(out,
		 "Usage: posthaste [OPTION]... RECIPIENT... < MESSAGE\n"
		 "       posthaste -t [OPTION]... < MESSAGE\n"
		 "Sends the message on standard input, as sendmail does.\n");
	for (group = 0; group < sizeof(titles) / sizeof(*titles); group++) {
		buf_addf(out, "\n%s:\n", titles[group]);
		if (group == GROUP_IGNORED) {
			add_ignored(out);
			continue;
		}
		for (i = 0; (k = option_at(i)); i++)
			if (k->group == group)
				add_row(out, k);
	}
	buf_adds(out, "\nStatus 0: every recipient's server took the message, "
		      "or it is held on disk.\n75: nothing was kept, try "
		      "again. See posthaste(1).\n");
}
