/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An event, as text and as JSON, whose values are anybody's: one line, that
 * can be printed, from which each value is read again as it was. Lines of the
 * input are values, the first byte of each its form.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/outcome.h"
#include "parts.h"

enum { FIELDS = 12 };

static const char *const names[FIELDS] = {
	"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"
};

/* What an event puts into the file. */
static void logged(bool json, const struct log_field *field, size_t n,
		   struct buf *out)
{
	static char path[64];
	const struct log_settings to = { .to = path, .json = json,
					 .level = LOG_AT_DEBUG };
	const struct log_settings none = { .to = "none" };
	struct stat st;
	int fd;

	if (!*path)
		snprintf(path, sizeof(path), "/tmp/fuzz-log-%ld",
			 (long)getpid());
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	log_open(&to);
	log_event(LOG_AT_INFO, field, n);
	log_open(&none);
	*out = BUF(FUZZ_MOST);
	fuzz_want(fd >= 0 && !fstat(fd, &st) && buf_read(out, fd));
	fuzz_want((off_t)out->len == st.st_size);
	close(fd);
	unlink(path);
}

static void want_line(const struct buf *b)
{
	fuzz_want(b->len && b->data[b->len - 1] == '\n');
	fuzz_want(!memchr(b->data, '\n', b->len - 1));
	fuzz_want(fuzz_is_clean(b->data, b->len));
}

/* The string that begins after the quote at p; past its end. */
static const char *quoted(const char *p, struct buf *out)
{
	unsigned code;
	int used;

	*out = BUF(FUZZ_MOST);
	for (; *p != '"'; p++) {
		fuzz_want(*p && *p != '\n');
		if (*p != '\\') {
			buf_addc(out, *p);
			continue;
		}
		p++;
		if (*p != 'u') {
			fuzz_want(*p && strchr("\"\\/bfnrt", *p));
			buf_addc(out, *p);
			continue;
		}
		used = 0;
		fuzz_want(sscanf(p + 1, "%4x%n", &code, &used) == 1 &&
			  used == 4);
		buf_addc(out, '?');
		p += 4;
	}
	return p + 1;
}

/* An object of strings and numbers alone. */
static void want_json(struct buf *b)
{
	const char *p = buf_text(b);
	struct buf name, value;

	fuzz_want(*p++ == '{');
	for (;;) {
		p += strspn(p, " ");
		fuzz_want(*p == '"');
		p = quoted(p + 1, &name);
		fuzz_want(*p++ == ':');
		p += strspn(p, " ");
		value = BUF(10);
		if (*p == '"') {
			p = quoted(p + 1, &value);
		} else {
			fuzz_want(strspn(p, "-0123456789.") > 0 ||
				  !strncmp(p, "null", 4));
			p += strcspn(p, ",}");
		}
		buf_release(&name);
		buf_release(&value);
		if (*p != ',')
			break;
		p++;
	}
	fuzz_want(!strcmp(p, "}\n"));
}

/* name=value pairs: as many as there are fields, each word bare or quoted, so
 * that no value can be taken for another pair. */
static void want_text(struct buf *b, const struct log_field *field, size_t n)
{
	const char *p = buf_text(b), *at;
	char begin[8];
	size_t i;

	at = p;
	for (i = 0; i < n; i++) {
		if (!field[i].value)
			continue;
		snprintf(begin, sizeof(begin), "%s=", field[i].name);
		/* what goes before the first pair is the log's own */
		if (at == p)
			at = strstr(p, begin);
		fuzz_want(at && !strncmp(at, begin, strlen(begin)));
		at += strlen(begin);
		if (*at == '"') {
			for (at++; *at != '"'; at++) {
				fuzz_want(*at && *at != '\n');
				at += *at == '\\' && at[1] ? 1 : 0;
			}
			at++;
		} else {
			at += strcspn(at, " \n");
		}
		fuzz_want(*at == ' ' || *at == '\n');
		at += *at == ' ';
	}
	fuzz_want(at == p || *at == '\n');
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct log_field field[FIELDS] = { { 0 } };
	const char *rest = (const char *)data;
	char *line[FIELDS];
	size_t i, fields = 0;
	struct buf b;

	while (n && fields < FIELDS) {
		line[fields] = fuzz_line(&rest, &n);
		field[fields] = (struct log_field){
			.name = names[fields],
			.value = *line[fields] ? line[fields] + 1 : NULL,
			.form = (enum log_form)(*line[fields] % 2 ?
						LOG_WORD : LOG_ADDRESS),
		};
		/* the program's own */
		if (*line[fields] == '#') {
			field[fields].form = LOG_NUMBER;
			field[fields].value = "17";
		}
		fields++;
	}
	logged(false, field, fields, &b);
	want_line(&b);
	want_text(&b, field, fields);
	buf_release(&b);
	logged(true, field, fields, &b);
	want_line(&b);
	want_json(&b);
	buf_release(&b);
	for (i = 0; i < fields; i++)
		free(line[i]);
	return 0;
}
