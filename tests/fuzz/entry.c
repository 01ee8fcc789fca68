/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A file that another user put into the queue. The input is an entry's header
 * without its size, an empty line, the message, and after a line "%" its
 * journal, of which lines that begin with "!" get length and checksum here.
 * Listed, in words and as JSON, it moves no cursor; composed anew, nothing
 * of it goes on that its user could not have sent by himself. The first byte
 * tells whether size and checksum are right.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config/config.h"
#include "config/options.h"
#include "desk/desk.h"
#include "mail/address.h"
#include "parts.h"
#include "queue/format.h"
#include "submit/compose.h"
#include "submit/foreign.h"

enum { OWNER = 61002 };
static const char id[] = "0123456789ABCDEF";

static struct config config;
static struct options options;

static void add_journal(struct buf *b, const char *text, size_t n)
{
	const char *end;
	size_t length;

	for (; n; text += length, n -= length) {
		end = memchr(text, '\n', n);
		length = end ? (size_t)(end - text) + 1 : n;
		if (*text == '!' && length < 90000) {
			buf_addf(b, "%05zu %016llx ", length - 1 + 23,
				 (unsigned long long)text_sum(0, text + 1,
							      length - 1));
			buf_add(b, text + 1, length - 1);
		} else {
			buf_add(b, text, length);
		}
	}
}

static void make_file(struct buf *b, const char *data, size_t n, bool right)
{
	const char *end = memmem(data, n, "\n\n", 2), *body, *journal;
	size_t header = end ? (size_t)(end - data) + 1 : n, length;

	body = end ? end + 2 : data + n;
	n = (size_t)(data + n - body);
	journal = memmem(body, n, "\n%\n", 3);
	length = journal ? (size_t)(journal - body) + 1 : n;
	buf_add(b, data, header);
	if (right)
		buf_addf(b, "size %zu\n", length);
	buf_addc(b, '\n');
	buf_add(b, body, length);
	if (right)
		text_checksum(b, text_sum(0, b->data, b->len));
	if (journal)
		add_journal(b, journal + 3, n - length - 2);
}

static void put_file(const char *queue, const struct buf *b)
{
	char path[200], name[QUEUE_NAME_SIZE];
	int fd;

	text_name(name, id, 0, false);
	fuzz_want(text_id_ok(id));
	snprintf(path, sizeof(path), "%s/mess/%s", queue, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	fuzz_want(fd >= 0 && write(fd, b->data, b->len) == (ssize_t)b->len);
	/* whoever is root can make it another's */
	if (!geteuid())
		fuzz_want(!fchown(fd, OWNER, OWNER));
	close(fd);
}

static void list(void *context)
{
	struct caller caller = { .uid = getuid() };
	const struct desk d = { .options = &options, .config = &config,
				.caller = &caller };

	(void)context;
	fuzz_want(desk_list(&d) == 0);
	caller_release(&caller);
}

static void want_listed(bool json)
{
	struct buf out;

	options.json = json;
	fuzz_streams("", 0, &out, list, NULL);
	fuzz_want(out.len && out.data[out.len - 1] == '\n');
	fuzz_want(fuzz_is_clean(out.data, out.len));
	fuzz_want(!json || !memchr(out.data, '\n', out.len - 1));
	buf_release(&out);
}

static void want_composed(struct entry *e)
{
	const struct message_limits limits = { 0 };
	const struct account *account = NULL;
	struct message *m = NULL;
	struct outcome why;
	struct buf text;
	size_t i;

	if (!entry_message(e, &limits, &m, &why))
		return;
	if (foreign_compose(&config, e, &m, &account, &why)) {
		fuzz_message_bytes(m, &text);
		fuzz_want(!memchr(text.data, '\0',
				  (size_t)message_header_size(m)));
		for (i = 0; i < e->envelope.n; i++)
			fuzz_want(e->envelope.rcpt[i].state != RCPT_PENDING ||
				  !strpbrk(e->envelope.rcpt[i].address,
					   "\r\n<>"));
		fuzz_want(!strpbrk(e->envelope.sender, "\r\n<>"));
		buf_release(&text);
	} else {
		fuzz_want(why.exit && *why.text);
	}
	foreign_sender(&config, e);
	fuzz_want(!strpbrk(e->envelope.sender, "\r\n"));
	message_free(m);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	const struct log_settings none = { .to = "none" };
	struct buf file = BUF(FUZZ_MOST), text = BUF(4096);
	struct queue *q;
	struct entry *e;
	struct outcome why;
	const char *path = fuzz_queue(&q);

	log_open(&none);
	if (!config.transports) {
		buf_addf(&text, "[general]\nhostname = h.example\n"
			 "domain = h.example\n[log]\nto = none\n[queue]\n"
			 "queue = always\ndirectory = %s\n[transport t]\n"
			 "kind = discard\n[route r]\ntransport = t\n", path);
		fuzz_config(buf_text(&text), &config);
		buf_release(&text);
	}
	if (n) {
		make_file(&file, (const char *)data + 1, n - 1,
			  data[0] != '-');
		put_file(path, &file);
		want_listed(false);
		want_listed(true);
		if (queue_take(q, id, &e, &why)) {
			e->foreign = true;
			want_composed(e);
			entry_release(e);
		}
	}
	fuzz_queue_empty();
	queue_close(q);
	buf_release(&file);
	return 0;
}
