/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "mail/complete.h"
#include "mail/message.h"

enum { MOST = 64 * 1024 * 1024 };

static const struct message_limits dots = { .dot_ends = true };
static const struct message_limits plain = {0};

/* A descriptor whose every read(2) gives one of the two pieces, or, with
 * split behind the end, one byte. */
static int pieces(const char *in, size_t n, size_t split)
{
	size_t at, part;
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd), 0);
	for (at = 0; at < n; at += part) {
		part = split > n ? 1 : at < split ? split - at : n - at;
		assert_int_equal(write(fd[1], in + at, part), part);
	}
	close(fd[1]);
	return fd[0];
}

static bool read_pieces(const char *in, size_t n, size_t split,
			const struct message_limits *limits,
			struct message **m, struct outcome *why)
{
	int fd = pieces(in, n, split);
	bool done = message_read(fd, limits, m, why);

	close(fd);
	return done;
}

static void all_bytes(struct message *m, struct buf *out)
{
	const char *data;
	int64_t at;
	long n;

	*out = BUF(MOST);
	for (at = 0; (n = message_bytes(m, at, &data)) > 0; at += n) {
		assert_true(n <= 64 * 1024);
		assert_true(buf_add(out, data, (size_t)n));
	}
	assert_int_equal(n, 0);
	assert_int_equal(at, message_size(m));
	assert_int_equal(at, message_facts(m)->size);
}

static void check_message(struct message *m, const char *header,
			  const char *body)
{
	struct buf got, want = BUF(MOST);

	buf_addf(&want, "%s\r\n%s", header, body);
	all_bytes(m, &got);
	assert_string_equal(buf_text(&got), buf_text(&want));
	assert_int_equal(message_header_size(m), strlen(header) + 2);
	buf_release(&got);
	buf_release(&want);
}

static void test_read(void **state)
{
	static const struct {
		const char *in, *header, *body;
	} rows[] = {
		{ "To: b@x.example", "To: b@x.example\r\n", "" },
		{ "just text\n", "", "just text\r\n" },
		{ "", "", "" },
		{ "A: b\r\n\nx\ry\n.\n", "A: b\r\n", "x\r\ny\r\n" },
		{ "A: b\n.\n\nhi\n", "A: b\r\n", "" },
		{ "A: b\n\nx\r.\ry", "A: b\r\n", "x\r\n.\r\ny\r\n" },
		{ "From x\nA: b\n\nx", "A: b\r\n", "x\r\n" },
	};
	struct message *m;
	struct outcome why;
	size_t i, split;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		for (split = 1; split < strlen(rows[i].in) + 2; split++) {
			assert_true(read_pieces(rows[i].in,
						strlen(rows[i].in), split,
						&dots, &m, &why));
			check_message(m, rows[i].header, rows[i].body);
			message_free(m);
		}
	}
}

static void check_failure(const char *in, size_t n,
			  const struct message_limits *limits, int exit,
			  const char *status)
{
	struct message *m = NULL;
	struct outcome why;
	size_t split;

	for (split = 1; split < n + 2; split += 1 + split / 2) {
		assert_false(read_pieces(in, n, split, limits, &m, &why));
		assert_int_equal(why.exit, exit);
		assert_string_equal(why.status, status);
		assert_null(m);
	}
}

static void test_failures(void **state)
{
	const struct message_limits small = { .max_size = 14 };
	struct buf in = BUF(MOST);
	struct message *m;
	struct outcome why;
	size_t i;

	(void)state;
	check_failure("A: b\0\n\nab\n", 10, &plain, EX_DATAERR, "");
	/* as kept: A: b CRLF CRLF 1234 CRLF is 14 */
	assert_true(read_pieces("A: b\n\n1234\n", 11, 12, &small, &m, &why));
	message_free(m);
	check_failure("A: b\n\n12345\n", 12, &small, EX_DATAERR, "5.3.4");
	check_failure("A: b\n\n1\n\n\n\n", 11, &small, EX_DATAERR, "5.3.4");
	for (i = 0; i < 50; i++)
		buf_adds(&in, i % 2 ? "RECEIVED : x\n" : "Received: x\n y\n");
	assert_true(read_pieces(in.data, in.len, in.len, &plain, &m, &why));
	message_free(m);
	buf_adds(&in, "Received: x\n\nBody\n");
	assert_false(read_pieces(in.data, in.len, in.len, &plain, &m, &why));
	assert_int_equal(why.exit, EX_UNAVAILABLE);
	assert_string_equal(why.status, "5.4.6");
	buf_release(&in);
}

/* A header of so many fields, and whether it can be read. */
static bool read_fields(size_t n, struct outcome *why)
{
	struct message_reader *r = message_begin(&plain);
	struct message *m = NULL;
	bool done;

	while (n--)
		assert_true(message_feed(r, "f:\n", 3));
	assert_true(message_feed(r, "\nhi\n", 4));
	done = message_end(r, &m, why);
	message_free(m);
	return done;
}

static void test_many_fields(void **state)
{
	struct outcome why;

	(void)state;
	assert_true(read_fields(100000, &why));
	assert_false(read_fields(100001, &why));
	assert_int_equal(why.exit, EX_DATAERR);
	assert_string_equal(why.status, "5.6.0");
}

static void check_unreadable(int fd, int exit)
{
	struct message *m;
	struct outcome why;

	assert_false(message_read(fd, &plain, &m, &why));
	assert_int_equal(why.exit, exit);
}

/* A socket that is reset behind its first bytes stands for a broken disk. */
static void test_unreadable(void **state)
{
	int fd = open("/", O_RDONLY | O_CLOEXEC);
	int pair[2];

	(void)state;
	check_unreadable(-1, EX_NOINPUT);
	check_unreadable(fd, EX_NOINPUT);
	close(fd);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(write(pair[1], "A: b\n", 5), 5);
	/* unread input makes the close a reset */
	assert_int_equal(write(pair[0], "x", 1), 1);
	close(pair[1]);
	check_unreadable(pair[0], EX_IOERR);
	close(pair[0]);
}

static void on_signal(int number)
{
	(void)number;
}

/* A writer that keeps the pipe empty and sends signals. */
static void check_slow_writer(int flags)
{
	struct sigaction action = { .sa_handler = on_signal }, before;
	struct message *m;
	struct outcome why;
	int fd[2], i, status;
	pid_t child, parent = getpid();

	sigaction(SIGUSR1, &action, &before);
	assert_int_equal(pipe2(fd, flags), 0);
	child = fork();
	if (!child) {
		for (i = 0; i < 20; i++) {
			kill(parent, SIGUSR1);
			poll(NULL, 0, 1);
			if (write(fd[1], i ? "x\n" : "A: b\n\n",
				  i ? 2 : 6) < 0)
				_exit(1);
		}
		_exit(0);
	}
	close(fd[1]);
	assert_true(message_read(fd[0], &plain, &m, &why));
	assert_int_equal(message_size(m), 8 + 19 * 3);
	message_free(m);
	close(fd[0]);
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	sigaction(SIGUSR1, &before, NULL);
}

static void test_slow_writer(void **state)
{
	(void)state;
	check_slow_writer(0);
	check_slow_writer(O_NONBLOCK);
}

/* What stands behind the dot is read and forgotten. */
static void test_drain(void **state)
{
	struct message *m;
	struct outcome why;
	char byte;
	int fd = pieces("A: b\n\n.\nrest\nof it\n", 19, 8);

	(void)state;
	assert_true(message_read(fd, &dots, &m, &why));
	check_message(m, "A: b\r\n", "");
	assert_int_equal(read(fd, &byte, 1), 0);
	message_free(m);
	close(fd);
}

/* Nor is a writer waited for who keeps his end open. */
static void test_dot_without_end(void **state)
{
	static const char text[] = "A: b\n\n.\nrest\n";
	struct pollfd input = { .events = POLLIN };
	int64_t begin = clock_now();
	struct message *m;
	struct outcome why;
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(write(fd[1], text, sizeof(text) - 1),
			 sizeof(text) - 1);
	assert_true(message_read(fd[0], &dots, &m, &why));
	assert_true(clock_now() - begin < 8000);
	check_message(m, "A: b\r\n", "");
	input.fd = fd[0];
	assert_int_equal(poll(&input, 1, 0), 0);
	message_free(m);
	close(fd[0]);
	close(fd[1]);
}

static bool first_two(const struct field *f, void *context)
{
	int *seen = context;

	if (!*seen) {
		assert_true(field_is(f, "subject"));
		assert_false(field_is(f, "subjec"));
		assert_false(field_is(f, "subject "));
		assert_int_equal(f->name_len, 7);
		assert_int_equal(f->value_len, 10);
		assert_memory_equal(f->value, " a\r\n\tb\r\n c", 10);
		assert_int_equal(f->raw_len, 21);
		assert_false(f->cut);
	}
	return ++*seen < 2;
}

static void check_field(struct message *m, const char *name, const char *want)
{
	char *value = message_field(m, name);

	if (want)
		assert_string_equal(value, want);
	else
		assert_null(value);
	free(value);
}

static void test_fields(void **state)
{
	static const char text[] =
		"Subject :  a\n\tb\n c\nX:\nTo: one\nTO: two\n"
		"Last: \t x \n \n\nbody: no\n";
	struct message *m;
	struct outcome why;
	int seen = 0;

	(void)state;
	assert_true(message_from_text("Subject : a\n\tb\n c\nX: y\nZ: z\n", 28,
				      &m, &why));
	assert_true(message_fields(m, first_two, &seen, &why));
	assert_int_equal(seen, 2);
	message_free(m);
	assert_true(message_from_text(text, strlen(text), &m, &why));
	check_field(m, "subject", "a\tb c");
	check_field(m, "x", "");
	check_field(m, "to", "one");
	check_field(m, "Last", "x");
	check_field(m, "body", NULL);
	check_field(m, "", NULL);
	message_free(m);
	assert_true(message_from_text("", 0, &m, &why));
	check_field(m, "x", NULL);
	message_free(m);
}

static void check_from(const char *text, const char *want)
{
	struct message *m;
	struct outcome why;
	char *from;

	assert_true(message_from_text(text, strlen(text), &m, &why));
	from = message_from(m);
	assert_string_equal(from, want);
	free(from);
	message_free(m);
}

static void test_from(void **state)
{
	(void)state;
	check_from("To: x@y\n\n", "");
	check_from("From:\n\n", "");
	check_from("From: root\n\n", "root");
	check_from("From: A <a@x.example>, b@x.example\n\n", "a@x.example");
	check_from("From: A <a@x.example>;\n\n", "a@x.example");
	check_from("From: a@x.example> (b\n\n", "a@x.example");
	check_from("From: A <a@x.example>\"\n\n", "a@x.example");
	check_from("From: A <a@x,example>\n\n", "");
	check_from("From: A <a,b@x.example>\n\n", "");
	check_from("From : \"A,\n B\" <a@x.example>\n\n", "a@x.example");
	check_from("From: <<\n\n", "");
}

/* What is too long to be parsed; but however long what stands before it is. */
static void test_from_long(void **state)
{
	enum { MIB = 1024 * 1024 };
	static const struct {
		size_t others, other, size;
		const char *want;
	} row[] = {
		{ 0, 0, MIB / 2, "a@x" }, { 0, 0, 2 * MIB, "" },
		{ 1, 5 * MIB, MIB / 2, "a@x" }, { 5, MIB - 16, MIB / 2, "a@x" },
	};
	struct buf b = BUF(MOST);
	size_t i, k, end;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		buf_reset(&b);
		for (k = 0; k < row[i].others; k++) {
			end = b.len + row[i].other;
			buf_adds(&b, "To: b@x");
			while (b.len < end)
				buf_adds(&b, ",\n b@x");
			buf_adds(&b, "\n");
		}
		end = b.len + row[i].size;
		buf_adds(&b, "From: a@x");
		while (b.len < end)
			buf_adds(&b, ",\n b@x");
		buf_adds(&b, "\n\n");
		check_from(buf_text(&b), row[i].want);
	}
	buf_release(&b);
}

static void test_facts(void **state)
{
	static const struct {
		const char *in;
		bool eight, utf8, no;
	} rows[] = {
		{ "A: b\n\nx\n", false, false, false },
		{ "A: \xe4\n\nx\n", true, false, false },
		{ "A: b\n\n\xe4\n", true, false, false },
		{ "To: \xc3\xa4@x.example\n\n", true, true, false },
		{ "To: \xc3\xa4 <a@x.example>\n\n", true, false, false },
		{ "To: a@\xc3\xa4.example\n\n", true, false, false },
		{ "Resent-Cc: a@b,\n \xc3\xa4@c\n\n", true, true, false },
		{ "X-To: \xc3\xa4@x.example\n\n", true, false, false },
		{ "To: \xe4@x.example\n\n", true, false, false },
		{ "TLS-Required: No\n\n", false, false, true },
		{ "tls-required:\n  no \n\n", false, false, true },
		{ "TLS-Required: yes\n\n", false, false, false },
		{ "TLS-Required: nope\n\n", false, false, false },
	};
	const struct message_facts *f;
	struct message *m;
	struct outcome why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		assert_true(message_from_text(rows[i].in, strlen(rows[i].in),
					      &m, &why));
		f = message_facts(m);
		assert_int_equal(f->eight_bit, rows[i].eight);
		assert_int_equal(f->utf8_address, rows[i].utf8);
		assert_int_equal(f->tls_required_no, rows[i].no);
		assert_false(f->long_lines);
		message_free(m);
	}
}

/* A message that must go to a file: fields, then lines of a body. */
static void big_text(struct buf *in, struct buf *want, size_t fields,
		     size_t lines, size_t long_field)
{
	size_t i;

	*in = BUF(MOST);
	*want = BUF(MOST);
	for (i = 0; i < fields; i++) {
		buf_addf(in, "F%zu: value\n folded %zu\n", i, i);
		buf_addf(want, "F%zu: value\r\n folded %zu\r\n", i, i);
	}
	if (long_field) {
		memset(buf_room(in, long_field), 'x', long_field);
		in->len += long_field;
		memcpy(in->data + in->len - long_field, "Long: ", 6);
		buf_add(want, in->data + in->len - long_field, long_field);
		buf_adds(in, "\nTo: end\n");
		buf_adds(want, "\r\nTo: end\r\n");
	}
	buf_adds(in, "\n");
	buf_adds(want, "\r\n");
	for (i = 0; i < lines; i++) {
		buf_addf(in, "line %zu of the body\n", i);
		buf_addf(want, "line %zu of the body\r\n", i);
	}
}

struct count {
	size_t n, cut;
};

static bool count_fields(const struct field *f, void *context)
{
	struct count *count = context;
	char name[32];

	if (f->cut) {
		count->cut++;
		assert_int_equal(f->raw_len, FIELD_MAX);
		assert_true(field_is(f, "Long"));
		return true;
	}
	if (field_is(f, "Long") || field_is(f, "To"))
		return true;
	snprintf(name, sizeof(name), "F%zu", count->n++);
	assert_true(field_is(f, name));
	assert_memory_equal(f->value, " value\r\n folded ", 16);
	assert_memory_equal(f->raw + f->raw_len - 2, "\r\n", 2);
	return true;
}

static void check_big(size_t fields, size_t lines, size_t long_field)
{
	struct count count = {0};
	struct buf in, want, got;
	struct message *m, *opened;
	struct outcome why;
	int fd = memfd_create("in", MFD_CLOEXEC);

	big_text(&in, &want, fields, lines, long_field);
	assert_int_equal(write(fd, in.data, in.len), in.len);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_true(message_read(fd, &plain, &m, &why));
	all_bytes(m, &got);
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.data, want.data, want.len);
	assert_true(message_fields(m, count_fields, &count, &why));
	assert_int_equal(count.n, fields);
	assert_int_equal(count.cut, long_field > FIELD_MAX);
	check_field(m, "to", long_field ? "end" : NULL);
	buf_release(&got);

	/* and as a queue file has it */
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(pwrite(fd, "skip", 4, 0), 4);
	assert_int_equal(pwrite(fd, want.data, want.len, 4), want.len);
	assert_int_equal(pwrite(fd, "junk", 4, 4 + (off_t)want.len), 4);
	assert_true(message_open(fd, 4, (int64_t)want.len, &opened, &why));
	all_bytes(opened, &got);
	assert_memory_equal(got.data, want.data, want.len);
	assert_int_equal(message_header_size(opened), message_header_size(m));
	assert_memory_equal(message_facts(opened), message_facts(m),
			    sizeof(struct message_facts));
	message_free(opened);
	buf_release(&got);
	assert_true(message_parse(fd, 4, (int64_t)want.len, &dots, &opened,
				  &why));
	all_bytes(opened, &got);
	assert_memory_equal(got.data, want.data, want.len);
	message_free(opened);
	message_free(m);
	buf_release(&got);
	buf_release(&in);
	buf_release(&want);
	close(fd);
}

static void test_big(void **state)
{
	(void)state;
	check_big(3, 10, 0);
	check_big(3, 200000, 0);
	check_big(100000, 10, 0);
	check_big(50000, 100000, 3 * 1024 * 1024);
	check_big(10, 10, FIELD_MAX + 100);
}

static bool count_any(const struct field *f, void *context)
{
	struct count *count = context;

	(void)f;
	count->n++;
	return true;
}

/* A line that ends, and a CRLF that is parted, where a window does. */
static void test_window_edges(void **state)
{
	size_t len;
	int folded;

	(void)state;
	for (len = 65530; len < 65540; len++) {
		for (folded = 0; folded < 2; folded++) {
			struct count count = {0};
			struct buf b = BUF(MOST);
			struct message *m;
			struct outcome why;
			int fd = memfd_create("in", MFD_CLOEXEC);

			memset(buf_room(&b, len), 'x', len);
			b.len = len;
			memcpy(b.data, "A:", 2);
			memcpy(b.data + len - 2, "\r\n", 2);
			buf_addf(&b, "%sB: c\r\nC: d\r\n\r\n",
				 folded ? " " : "");
			assert_int_equal(write(fd, b.data, b.len), b.len);
			assert_true(message_open(fd, 0, (int64_t)b.len, &m,
						 &why));
			assert_int_equal(message_header_size(m), b.len);
			assert_true(message_fields(m, count_any, &count,
						   &why));
			assert_int_equal(count.n, folded ? 2 : 3);
			check_field(m, "b", folded ? NULL : "c");
			check_field(m, "c", "d");
			message_free(m);
			buf_release(&b);
			close(fd);
		}
	}
}

static void test_open_bad(void **state)
{
	static const char *const bad[] = { "", "A: b\r\n", "A: b" };
	struct message *m;
	struct outcome why;
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		fd = memfd_create("in", MFD_CLOEXEC);
		assert_int_equal(write(fd, bad[i], strlen(bad[i])),
				 strlen(bad[i]));
		assert_false(message_open(fd, 0, (int64_t)strlen(bad[i]), &m,
					  &why));
		assert_int_equal(why.exit, EX_DATAERR);
		/* shorter than it was said to be */
		assert_false(message_open(fd, 0, 100, &m, &why));
		assert_int_equal(why.exit, EX_IOERR);
		assert_false(message_parse(fd, 0, 100, &plain, &m, &why));
		assert_int_equal(why.exit, EX_IOERR);
		close(fd);
	}
}

/* The temporary file has no name, and stays off the standard streams. */
static void test_temporary_file(void **state)
{
	struct buf in, want, got;
	struct message *m;
	struct outcome why;
	char path[32], link[256];
	bool before[20];
	int fd, keep;
	ssize_t n;

	(void)state;
	for (keep = 3; keep < 20; keep++)
		before[keep] = fcntl(keep, F_GETFD) >= 0;
	big_text(&in, &want, 1, 100000, 0);
	fd = memfd_create("in", MFD_CLOEXEC);
	assert_int_equal(write(fd, in.data, in.len), in.len);
	lseek(fd, 0, SEEK_SET);
	keep = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
	close(STDIN_FILENO);
	setenv("TMPDIR", "/nowhere", 1);
	assert_true(message_read(fd, &plain, &m, &why));
	unsetenv("TMPDIR");
	assert_int_equal(fcntl(STDIN_FILENO, F_GETFD), -1);
	dup2(keep, STDIN_FILENO);
	close(keep);
	for (keep = 3; keep < 20; keep++) {
		if (before[keep])
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", keep);
		n = readlink(path, link, sizeof(link) - 1);
		if (n < 0)
			continue;
		link[n] = '\0';
		if (!strncmp(link, "/tmp/", 5))
			assert_non_null(strstr(link, "(deleted)"));
	}
	all_bytes(m, &got);
	assert_memory_equal(got.data, want.data, want.len);
	message_free(m);
	close(fd);
	buf_release(&in);
	buf_release(&want);
	buf_release(&got);
}

/* --- memory: what comes through a pipe and must not stay --- */

struct flood {
	const char *head, *unit;
	size_t total;
};

static void write_flood(int fd, const struct flood *f)
{
	struct buf b = BUF(256 * 1024);
	size_t done;

	while (b.len < 200 * 1024)
		buf_adds(&b, f->unit);
	if (write(fd, f->head, strlen(f->head)) < 0)
		_exit(1);
	for (done = 0; done < f->total; done += b.len)
		if (write(fd, b.data, b.len) < 0)
			_exit(1);
	_exit(0);
}

static int read_flood(int fd, long most)
{
	struct completion c = {
		.sender = "", .from = "f@x.example", .domain = "x.example",
		.id_domain = "x.example"
	};
	struct rusage usage;
	struct message *m;
	struct outcome why;

	if (!message_read(fd, &plain, &m, &why) ||
	    !message_complete(&m, &c, &why))
		return 1;
	message_free(m);
	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss > most ? 2 : 0;
}

/* Peak resident memory in KiB of a child that does nothing. */
static long idle_size(void)
{
	struct rusage usage;
	pid_t child = fork();
	int status;

	if (!child) {
		getrusage(RUSAGE_SELF, &usage);
		_exit((int)(usage.ru_maxrss / 1024));
	}
	waitpid(child, &status, 0);
	return WEXITSTATUS(status) * 1024L;
}

static void check_flood(const struct flood *f, long most)
{
	int fd[2], status;
	pid_t writer, reader;

	assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
	writer = fork();
	if (!writer)
		write_flood(fd[1], f);
	close(fd[1]);
	reader = fork();
	if (!reader)
		_exit(read_flood(fd[0], most));
	close(fd[0]);
	waitpid(reader, &status, 0);
	assert_int_equal(status, 0);
	waitpid(writer, &status, 0);
	assert_int_equal(status, 0);
}

#if defined(__SANITIZE_ADDRESS__)
enum { SPARE = 1024 * 1024 };
#else
enum { SPARE = 20 * 1024 };
#endif

#define FIFTY "abcdefghijklmnopqrstuvwxyabcdefghijklmnopqrstuvwxy"

static void test_memory(void **state)
{
	static const struct flood floods[] = {
		{ "A: b\n\n", "a line of a body, just as they are\n",
		  30000000 },
		{ "A: b\n\n", "xxxx", 30000000 },
		{ "A: b\n\n", "\r", 15000000 },
		{ "A: b\n\n\xe4 ", "word \xc3\xa4= ", 10000000 },
		/* no more fields than there may be */
		{ "A: b\n", "X: " FIFTY FIFTY FIFTY "\n", 12000000 },
		{ "A: b\n", "To: " FIFTY "\n", 5000000 },
		{ "To:", " a,", 30000000 },
		{ "To:", " a,", 4000000 },
		{ "To: a", "a", 30000000 },
		{ "A: b\n", " folded\n", 30000000 },
		{ "", "x", 30000000 },
		{ "From ", "x", 30000000 },
	};
	long most = idle_size() + SPARE;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(floods) / sizeof(*floods); i++)
		check_flood(&floods[i], most);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_many_fields),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_slow_writer),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_dot_without_end),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_from),
		cmocka_unit_test(test_from_long),
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_big),
		cmocka_unit_test(test_window_edges),
		cmocka_unit_test(test_open_bad),
		cmocka_unit_test(test_temporary_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
