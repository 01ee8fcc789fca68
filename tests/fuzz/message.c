/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes at all: what is kept is a message in the strict sense, however
 * the input came in pieces; completing it twice changes nothing more; and
 * stuffed for the wire it comes back as it was, with no early end. Read from
 * a descriptor, within a bound or not, it is the same; and recipients of its
 * fields are addresses. The first two bytes choose how.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "mail/lines.h"
#include "mail/complete.h"
#include "mail/recipients.h"
#include "parts.h"

enum { MOST = 16 * 1024 * 1024 };

static void want(int condition)
{
	if (!condition)
		abort();
}

static void all_bytes(struct message *m, struct buf *out)
{
	const char *data;
	int64_t at;
	long n;

	*out = BUF(MOST);
	for (at = 0; (n = message_bytes(m, at, &data)) > 0; at += n)
		want(buf_add(out, data, (size_t)n));
	want(n == 0 && at == message_size(m) &&
	     at == message_facts(m)->size);
}

static size_t line_length(const char *p, const char *end)
{
	const char *lf = memchr(p, '\n', (size_t)(end - p));

	want(lf && lf > p && lf[-1] == '\r');
	want(!memchr(p, '\r', (size_t)(lf - p) - 1));
	return (size_t)(lf - p) - 1;
}

static void check_header(const char *p, const char *end)
{
	size_t n, name;
	int fields = 0;

	for (; (n = line_length(p, end)); p += n + 2) {
		if (*p == ' ' || *p == '\t') {
			want(fields);
			continue;
		}
		for (name = 0; is_ftext(p[name]); name++)
			;
		want(name > 0);
		while (p[name] == ' ' || p[name] == '\t')
			name++;
		want(p[name] == ':');
		fields++;
	}
	want(p + 2 == end);
}

static void check_strict(struct message *m, const struct buf *b)
{
	const char *header_end = b->data + message_header_size(m);
	const char *end = b->data + b->len, *p;
	int wide = bytes_wide(b->data, b->len), is_long = 0;
	size_t n;

	want(!memchr(b->data, '\0', (size_t)(header_end - b->data)));
	check_header(b->data, header_end);
	for (p = b->data; p < end; p += n + 2) {
		n = line_length(p, end);
		is_long = is_long || n > LINE_LONGEST;
	}
	want(message_facts(m)->eight_bit == wide);
	want(message_facts(m)->long_lines == is_long);
}

/* As a server would: the first line with a lone dot is the end. */
static void check_wire(const struct buf *b, size_t step)
{
	char *wire = mem_alloc(STUFFED_MAX(b->len) + 4), *p, *end;
	struct stuffer s = {0};
	struct buf back = BUF(MOST);
	size_t at, part, n = 0;

	for (at = 0; at < b->len; at += part) {
		part = step < b->len - at ? step : b->len - at;
		n += stuff(&s, b->data + at, part, wire + n);
	}
	memcpy(wire + n, ".\r\n", 3);
	for (p = wire; strncmp(p, ".\r\n", 3); p = end) {
		end = (char *)memchr(p, '\n', (size_t)(wire + n + 3 - p)) + 1;
		p += *p == '.';
		buf_add(&back, p, (size_t)(end - p));
	}
	want(p == wire + n);
	want(back.len == b->len && !memcmp(back.data, b->data, b->len));
	buf_release(&back);
	free(wire);
}

static bool put(void *context, const char *data, size_t n)
{
	return buf_add(context, data, n);
}

/* The machine alone, fed in steps, gives the same as the whole at once. */
static void check_steps(const char *text, size_t n, bool dots, size_t step,
			const struct buf *whole)
{
	struct buf out = BUF(MOST);
	struct normaliser s = { .put = put, .context = &out,
				.dot_ends = dots };
	size_t at, part;

	for (at = 0; at < n && !s.ended && !s.nul; at += part) {
		part = step < n - at ? step : n - at;
		normalise(&s, text + at, part);
	}
	want(s.nul == !whole);
	if (whole) {
		want(normalise_end(&s));
		want(out.len == whole->len);
		want(!memcmp(out.data, whole->data, out.len));
	}
	buf_release(&out);
}

static struct message *read_message(const char *text, size_t n, bool dots)
{
	const struct message_limits limits = { .dot_ends = dots };
	int fd = memfd_create("message", MFD_CLOEXEC);
	struct message *m = NULL;
	struct outcome why;

	want(fd >= 0 && write(fd, text, n) == (ssize_t)n);
	if (!message_parse(fd, 0, (int64_t)n, &limits, &m, &why))
		m = NULL;
	close(fd);
	return m;
}

/* As from a pipe, at once or within a bound of so many bytes. */
static void check_read(const char *text, size_t n, bool dots,
		       const struct buf *whole)
{
	struct message_limits limits = { .dot_ends = dots };
	int fd = memfd_create("message", MFD_CLOEXEC), round;
	struct message *m;
	struct outcome why;
	struct buf b;
	bool good;

	want(fd >= 0 && write(fd, text, n) == (ssize_t)n);
	for (round = 0; round < 2; round++) {
		want(lseek(fd, 0, SEEK_SET) == 0);
		good = message_read(fd, &limits, &m, &why);
		want(good == (round ? (int64_t)whole->len <= limits.max_size :
			      true));
		if (good) {
			all_bytes(m, &b);
			want(b.len == whole->len &&
			     !memcmp(b.data, whole->data, b.len));
			buf_release(&b);
			message_free(m);
		} else {
			want(why.exit == EX_DATAERR);
		}
		limits.max_size = (int64_t)(n / 2 + 1);
	}
	close(fd);
}

static const char *aliases(void)
{
	static const char text[] = "root: r@x.example, ann\nann: |cmd\n"
		"gone: /dev/null\nround: round2\nround2: round\n";
	static char path[64];
	int fd;

	if (!*path) {
		fd = memfd_create("aliases", MFD_CLOEXEC);
		want(fd >= 0 &&
		     write(fd, text, strlen(text)) == (ssize_t)strlen(text));
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	return path;
}

static void check_recipients(struct message *m, unsigned char how)
{
	char *local[] = { (char *)"here.example" };
	const struct list names = { .item = local, .n = 1 };
	const struct recipient_rules rules = {
		.domain = "d.example", .local_names = &names,
		.default_recipient = how & 1 ? "p@x.example" : NULL,
		.aliases = how & 2 ? aliases() : NULL, .aliases_named = true,
	};
	struct envelope e = { .sender = mem_string("") };
	struct outcome why;
	char *author = message_from(m);
	const char *c;
	size_t i;

	for (c = author; *c; c++)
		want((unsigned char)*c >= ' ' && *c != 0x7f);
	free(author);
	free(message_id(m));
	if (envelope_recipients(&e, &rules, NULL, 0, true, m, &why)) {
		want(e.n > 0 || rules.aliases);
		for (i = 0; i < e.n; i++)
			for (c = e.rcpt[i].address; *c; c++)
				want((unsigned char)*c >= ' ' && *c != 0x7f);
	} else {
		want(why.exit == EX_USAGE || why.exit == EX_DATAERR ||
		     (why.exit == EX_CONFIG && rules.aliases));
	}
	(void)envelope_is_utf8(&e);
	envelope_release(&e);
}

/* As operands, which only differ in what an error means. */
static void check_operands(struct message *m)
{
	const struct recipient_rules rules = { .domain = "d.example" };
	char *operand = message_field(m, "To");
	struct envelope e = { 0 };
	struct outcome why;

	if (!operand)
		return;
	if (envelope_recipients(&e, &rules, &operand, 1, false, m, &why))
		want(e.n > 0);
	else
		want(why.exit == EX_USAGE && *why.text);
	envelope_release(&e);
	free(operand);
}

/* As the queue has it: read in place. */
static void check_opened(const struct buf *bytes)
{
	const int fd = fuzz_file(bytes->data, bytes->len);
	struct message *m;
	struct outcome why;
	struct buf again;

	want(message_open(fd, 0, (int64_t)bytes->len, &m, &why));
	all_bytes(m, &again);
	want(again.len == bytes->len &&
	     !memcmp(again.data, bytes->data, again.len));
	buf_release(&again);
	message_free(m);
	close(fd);
}

static void check_completed(struct message **m, unsigned char how)
{
	struct completion c = {
		.sender = "s@x.example", .from = "f@x.example",
		.full_name = how & 1 ? "F. N" : NULL,
		.domain = how & 2 ? "d.example" : "",
		.id_domain = "i.example",
		.from_header = how & 4 ? FROM_REPLACE : FROM_ADD,
		.keep_own = how & 32,
		.undisclosed_recipients = how & 8,
		.original_to = how & 64 ? "a@b.example,\r\n c@d" : NULL,
	};
	struct buf once, twice;
	struct outcome why;

	want(message_complete(m, &c, &why));
	all_bytes(*m, &once);
	check_strict(*m, &once);
	want(!memchr(once.data, '\0', once.len));
	/* which is added each time */
	c.original_to = NULL;
	want(message_complete(m, &c, &why));
	all_bytes(*m, &twice);
	want(once.len == twice.len &&
	     !memcmp(once.data, twice.data, once.len));
	buf_release(&once);
	buf_release(&twice);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	const struct log_settings none = { .to = "none" };
	const char *text = (const char *)data + 2;
	struct message *m;
	struct outcome why;
	size_t step;
	bool dots;
	struct buf b;

	if (n < 2)
		return 0;
	log_open(&none);
	n -= 2;
	dots = data[0] & 16;
	step = 1 + data[1];
	m = read_message(text, n, dots);
	if (!m && memchr(text, 0, n))
		check_steps(text, n, dots, step, NULL);
	if (!m)
		return 0;
	all_bytes(m, &b);
	check_strict(m, &b);
	check_wire(&b, step);
	check_steps(text, n, dots, step, &b);
	check_read(text, n, dots, &b);
	check_recipients(m, data[0]);
	check_operands(m);
	check_opened(&b);
	check_completed(&m, data[0]);
	message_free(m);
	/* what was kept reads back as it is */
	if (message_from_text(b.data, b.len, &m, &why)) {
		struct buf again;

		all_bytes(m, &again);
		want(again.len == b.len && !memcmp(again.data, b.data, b.len));
		buf_release(&again);
		message_free(m);
	}
	buf_release(&b);
	return 0;
}
