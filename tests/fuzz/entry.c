/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A file that another user put into the queue. The input is an entry's header
 * without its size, an empty line, the message, and after a line "%" its
 * journal, of which lines that begin with "!" get length and checksum here.
 * Listed, in words and as JSON, it moves no cursor; its user gets it back as
 * it is, where it can be read; composed anew, nothing of it goes on that he
 * could not have sent by himself; and a report about it is one by the book,
 * whatever a server said and whoever it is about. The first byte tells whether
 * size and checksum are right.
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
#include "queue/queue_parts.h"
#include "queue/serve.h"
#include "submit/compose.h"
#include "submit/foreign.h"
#include "submit/report.h"

enum { OWNER = 61002 };
static const char id[] = "0123456789ABCDEF";
static const char settings[] =
	"[general]\nhostname = h.example\ndomain = h.example\n"
	"[log]\nto = none\n[queue]\nqueue = always\ndirectory = %s\n"
	/* the first by any sender, the others by their names */
	"[account own]\nuser = 61002\nmatch_from = own.example\n"
	"from = own@h.example\nforce_from = yes\nfull_name = The %%u\n"
	"[account all]\nuser = 61002\nmatch_from = no.example\n"
	"from = %%u@%%H\nfrom_header = replace\nnotify = never\n"
	"[account more]\nuser = 61002\nmatch_from = no.example\n"
	"sender_from_header = yes\nundisclosed_recipients = yes\n"
	"[account root]\nuser = root\nfrom = root@h.example\n"
	"[transport t]\nkind = discard\n[route r]\ntransport = t\n";

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

/* --- listed for its user --- */

struct asked {
	struct qdir *dir;
	bool done;
};

static void serve_list(void *context)
{
	struct asked *a = context;
	struct drop_caller caller = { .uid = geteuid() ? geteuid() : OWNER };
	char *argv[] = { (char *)"list", NULL };
	struct outcome why;

	a->done = drop_serve(a->dir, &caller, 1, argv, &why);
}

/* Its name, and how much there is of header and journal, which follow. */
static void want_served(struct queue *q, const struct buf *file)
{
	struct asked a = { .dir = &q->dir };
	char name[QUEUE_NAME_SIZE];
	long long header = 0, journal = 0;
	const char *rest;
	struct buf out;

	fuzz_streams("", 0, &out, serve_list, &a);
	fuzz_want(a.done);
	if (out.len) {
		rest = strchr(buf_text(&out), '\n');
		fuzz_want(rest && sscanf(out.data, "%47s %lld %lld\n", name,
					 &header, &journal) == 3);
		rest++;
		fuzz_want(!strncmp(name, id, strlen(id)));
		fuzz_want(header > 0 && journal >= 0 &&
			  header + journal == out.data + out.len - rest &&
			  header + journal <= (long long)file->len);
		fuzz_want(!memcmp(rest, file->data, (size_t)header));
		fuzz_want(memmem(file->data, file->len, rest + header,
				 (size_t)journal) != NULL);
	}
	buf_release(&out);
}

/* --- reported on --- */

/* The next line without its CRLF, NUL-ended; NULL: no more. */
static char *next_line(char **at)
{
	char *line = *at, *end = strstr(line, "\r\n");

	if (!*line)
		return NULL;
	fuzz_want(end != NULL);
	*end = '\0';
	*at = end + 2;
	fuzz_want(!strpbrk(line, "\r\n"));
	return line;
}

/* Up to an empty line: fields of these names, in this order. */
static void want_fields(char **at, const char *const *names)
{
	char *line;
	size_t n;

	for (line = next_line(at); line && *line; line = next_line(at)) {
		fuzz_want(strlen(line) <= 998);
		if (*line == '\t')
			continue;
		for (n = 0; *names && (n = strlen(*names),
				       strncmp(line, *names, n) ||
				       strncmp(line + n, ": ", 2)); names++)
			continue;
		fuzz_want(*names++ != NULL);
	}
	fuzz_want(line != NULL);
}

/* A part of the report, whose first line was read; up to the boundary. */
static void want_words(char **at, const char *boundary)
{
	char *line;

	do {
		line = next_line(at);
		fuzz_want(line && strlen(line) <= 998);
		fuzz_want(fuzz_is_clean(line, strlen(line)));
	} while (strcmp(line, boundary));
}

static void want_status(char **at, const char *boundary, size_t n, bool global)
{
	static const char *const of_message[] = {
		"Original-Envelope-Id", "Reporting-MTA", "Arrival-Date", NULL,
	};
	static const char *const of_recipient[] = {
		"Original-Recipient", "Final-Recipient", "Action", "Status",
		"Remote-MTA", "Diagnostic-Code", "Will-Retry-Until", NULL,
	};
	char *line = mem_printf("\r\n%s", boundary);
	const char *p, *stop = strstr(*at, line), *must;

	free(line);
	fuzz_want(stop != NULL);
	for (p = *at; p < stop; p++)
		fuzz_want(global || !(*p & 0x80));
	want_fields(at, of_message);
	for (; n; n--) {
		must = strstr(*at, "Final-Recipient: ");
		fuzz_want(must && must < stop);
		must = strstr(*at, "\r\nStatus: ");
		fuzz_want(must && strchr("45", must[10]) && must[11] == '.');
		want_fields(at, of_recipient);
	}
}

/* returns: the message, or its header, is in it */
static void want_report(struct message *m, const char *report, size_t n,
			bool global, bool returns)
{
	static const char *const fields[] = {
		"From", "To", "Subject", "Date", "Message-ID", "In-Reply-To",
		"References", "Auto-Submitted", "MIME-Version",
		"Content-Type", "Content-Transfer-Encoding", NULL,
	};
	static const char *const part[] = {
		"Content-Type", "Content-Description",
		"Content-Transfer-Encoding", NULL,
	};
	char *boundary = mem_printf("--=_%s", report), *at;
	struct buf whole;

	fuzz_message_bytes(m, &whole);
	at = (char *)buf_text(&whole);
	want_fields(&at, fields);
	fuzz_want(!strcmp(next_line(&at), boundary));
	want_fields(&at, part);
	want_words(&at, boundary);
	want_fields(&at, part);
	want_status(&at, boundary, n, global);
	if (returns) {
		fuzz_want(!strcmp(next_line(&at), boundary));
		want_fields(&at, part);
	} else {
		fuzz_want(!strcmp(next_line(&at), ""));
	}
	n = strlen(boundary);
	fuzz_want(whole.len > n + 6 &&
		  !memcmp(whole.data + whole.len - n - 4, boundary, n) &&
		  !memcmp(whole.data + whole.len - 4, "--\r\n", 4));
	free(boundary);
	buf_release(&whole);
}

static void want_reported(struct entry *e, struct message *cause,
			  enum report_kind kind)
{
	const struct report_place place = { .hostname = "h.example",
		.from = "postmaster@h.example", .now = 1790000000,
		.retry_until = 1790000000 + 86400 };
	size_t *rcpt = mem_alloc((e->envelope.n + 1) * sizeof(*rcpt)), i, n;
	char report[QUEUE_ID_SIZE];
	struct envelope v;
	struct outcome why;
	struct message *m;

	for (i = n = 0; i < e->envelope.n; i++)
		if (e->envelope.rcpt[i].state !=
		    (kind == REPORT_DELAY ? RCPT_FAILED : RCPT_PENDING))
			rcpt[n++] = i;
	n = report_wanted(e, kind, rcpt, n, rcpt);
	n = n ? report_holds(e, rcpt, n) : 0;
	if (n && report_make(e, cause, &place, kind, rcpt, n, report, &m, &v,
			     &why)) {
		want_report(m, report, n, v.utf8, cause);
		fuzz_want(!*v.sender && v.n == 1 &&
			  v.rcpt[0].notify == NOTIFY_NEVER &&
			  !strcmp(v.rcpt[0].address, e->envelope.sender));
		message_free(m);
		envelope_release(&v);
	}
	free(rcpt);
}

/* --- composed --- */

static void want_composed(struct entry *e, struct message **m)
{
	const struct message_limits limits = { 0 };
	const struct account *account = NULL;
	struct outcome why;
	struct buf bytes;
	size_t i;

	if (!entry_message(e, &limits, m, &why))
		return;
	if (foreign_compose(&config, e, m, &account, &why)) {
		fuzz_message_bytes(*m, &bytes);
		fuzz_want(!memchr(bytes.data, '\0',
				  (size_t)message_header_size(*m)));
		for (i = 0; i < e->envelope.n; i++)
			fuzz_want(e->envelope.rcpt[i].state != RCPT_PENDING ||
				  !strpbrk(e->envelope.rcpt[i].address,
					   "\r\n<>"));
		fuzz_want(!strpbrk(e->envelope.sender, "\r\n<>"));
		buf_release(&bytes);
	} else {
		fuzz_want(why.exit && *why.text);
	}
	foreign_sender(&config, e);
	fuzz_want(!strpbrk(e->envelope.sender, "\r\n"));
}

/* A glance says no less than there is. */
static void want_weighed(const struct entry *e)
{
	const int fd = entry_descriptor(e);
	const int64_t size = (int64_t)lseek(fd, 0, SEEK_END);
	struct glance g;

	fuzz_want(entry_is_small(size, &g) == (size <= 4096));
	fuzz_want(g.recipients >= e->envelope.n);
	entry_weigh(fd, size, &g);
	fuzz_want(g.recipients >= e->envelope.n &&
		  (int64_t)g.header <= size);
}

static void want_taken(struct queue *q)
{
	struct message *m = NULL;
	struct outcome why;
	struct entry *e;

	if (!queue_take(q, id, &e, &why))
		return;
	e->foreign = true;
	want_weighed(e);
	want_composed(e, &m);
	want_reported(e, m, REPORT_DELAY);
	want_reported(e, m, REPORT_FAILURE);
	message_free(m);
	entry_release(e);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	const struct log_settings none = { .to = "none" };
	struct buf file = BUF(FUZZ_MOST);
	struct queue *q;
	const char *path = fuzz_queue(&q);
	char *filled;

	log_open(&none);
	if (!config.transports) {
		filled = mem_printf(settings, path);
		fuzz_config(filled, &config);
		free(filled);
	}
	if (n) {
		make_file(&file, (const char *)data + 1, n - 1,
			  data[0] != '-');
		put_file(path, &file);
		want_listed(false);
		want_listed(true);
		want_served(q, &file);
		want_taken(q);
	}
	fuzz_queue_empty();
	queue_close(q);
	buf_release(&file);
	return 0;
}
