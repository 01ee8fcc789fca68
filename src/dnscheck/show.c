/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the checks found, for people and for programs. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "dnscheck/dnscheck_parts.h"

enum { TEXT_MAX = 8192, STRING_MAX = 255 };

static char *printable(const char *text)
{
	char clean[TEXT_MAX];

	text_printable(clean, sizeof(clean), text, strlen(text));
	return mem_string(clean);
}

void report(struct dnscheck *c, enum grade grade, const char *check,
	    const char *subject, const char *publish, const char *found, ...)
{
	struct buf words = BUF(TEXT_MAX);
	struct row *row;
	va_list ap;

	va_start(ap, found);
	buf_addv(&words, found, ap);
	va_end(ap);
	c->row = mem_resize(c->row, c->rows + 1, sizeof(*c->row));
	row = &c->row[c->rows++];
	*row = (struct row){
		.check = check, .grade = grade,
		.subject = printable(subject),
		.found = printable(buf_text(&words)),
		.publish = publish ? printable(publish) : NULL,
	};
	buf_release(&words);
}

void rows_release(struct dnscheck *c)
{
	size_t i;

	for (i = 0; i < c->rows; i++) {
		free(c->row[i].subject);
		free(c->row[i].found);
		free(c->row[i].publish);
	}
	free(c->row);
}

char *txt_record(const char *name, const char *text)
{
	struct buf out = BUF(TEXT_MAX);
	size_t i;

	buf_addf(&out, "%s. TXT \"", name);
	for (i = 0; text[i]; i++) {
		if (i && i % STRING_MAX == 0)
			buf_adds(&out, "\" \"");
		if (text[i] == '"' || text[i] == '\\')
			buf_addc(&out, '\\');
		buf_addc(&out, text[i]);
	}
	buf_addc(&out, '"');
	return buf_take(&out);
}

static const char *const grade_name[] = {
	[GRADE_OK] = "OK", [GRADE_WARN] = "WARN", [GRADE_FAIL] = "FAIL",
};

void rows_show_json(const struct dnscheck *c, struct buf *out)
{
	struct json j = JSON_INTO(out);
	size_t i;

	json_add_object(&j, NULL);
	json_add_string(&j, "domain", c->domain);
	json_add_array(&j, "checks");
	for (i = 0; i < c->rows; i++) {
		json_add_object(&j, NULL);
		json_add_string(&j, "check", c->row[i].check);
		json_add_string(&j, "subject", c->row[i].subject);
		json_add_string(&j, "status", grade_name[c->row[i].grade]);
		json_add_string(&j, "found", c->row[i].found);
		json_add_string(&j, "publish", c->row[i].publish);
		json_end(&j);
	}
	json_end(&j);
	json_end(&j);
	buf_addc(out, '\n');
}

void rows_show(const struct dnscheck *c, struct buf *out)
{
	static const char *const paint[] = {
		[GRADE_OK] = "\033[32m", [GRADE_WARN] = "\033[33m",
		[GRADE_FAIL] = "\033[1;31m",
	};
	const bool colour = desk_colour();
	const char *plain = colour ? "\033[0m" : "";
	const struct row *row;
	size_t count[3] = { 0 };

	for (row = c->row; row < c->row + c->rows; row++) {
		count[row->grade]++;
		buf_addf(out, "%s%-4s%s  %-8s  %s: %s\n",
			 colour ? paint[row->grade] : "",
			 grade_name[row->grade], plain, row->check,
			 row->subject, row->found);
		if (row->publish)
			buf_addf(out, "      publish   %s%s%s\n",
				 colour ? "\033[1m" : "", row->publish,
				 plain);
	}
	buf_addf(out, "\n%s: %zu OK, %zu WARN, %zu FAIL\n", c->domain,
		 count[GRADE_OK], count[GRADE_WARN], count[GRADE_FAIL]);
}
