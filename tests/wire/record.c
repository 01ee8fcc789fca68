/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the server saw, as JSON lines, each written whole. */
#include "server.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int record_fd = -1;

bool record_open(const char *path)
{
	record_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	return record_fd >= 0;
}

static void put_string(FILE *out, const char *text, size_t n)
{
	fputc('"', out);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < ' ' || c >= 127)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

static void put_list(FILE *out, const struct field *f)
{
	fputc('[', out);
	for (size_t i = 0; i < f->items; i++) {
		if (i)
			fputs(", ", out);
		put_string(out, f->list[i], strlen(f->list[i]));
	}
	fputc(']', out);
}

static void put_field(FILE *out, const struct field *f)
{
	fprintf(out, ", \"%s\": ", f->name);
	switch (f->type) {
	case F_TEXT:
		if (!f->text)
			fputs("null", out);
		else
			put_string(out, f->text,
				   f->len ? f->len : strlen(f->text));
		break;
	case F_NUMBER:
		fprintf(out, "%ld", f->number);
		break;
	case F_BOOL:
		fputs(f->number ? "true" : "false", out);
		break;
	case F_LIST:
		put_list(out, f);
		break;
	}
}

void record(int connection, const char *event, const struct field *fields)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	if (!out)
		abort();
	fprintf(out, "{\"conn\": %d, \"event\": \"%s\"", connection, event);
	for (; fields && fields->name; fields++)
		put_field(out, fields);
	fputs("}\n", out);
	fclose(out);
	if (write(record_fd, text, n) != (ssize_t)n)
		abort();
	free(text);
}

void record_text(int connection, const char *event, const char *name,
		 const char *text)
{
	const struct field fields[] = {
		{ .name = name, .text = text },
		{ .name = NULL },
	};

	record(connection, event, fields);
}
