/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"

/* A file of n bytes, each by its place. */
static int file_of(size_t n)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	size_t i;
	char c;

	assert_true(fd >= 0);
	for (i = 0; i < n; i++) {
		c = (char)('a' + i % 23);
		assert_int_equal(pwrite(fd, &c, 1, (off_t)i), 1);
	}
	return fd;
}

/* Around every bound that growing has. */
static void read_sizes(void **state)
{
	static const size_t sizes[] = { 0, 1, 63, 64, 4095, 4096, 4097, 8191,
					8192, 20000 };
	static const size_t more[] = { 1, 2, 4095, 4096, 50000 };
	struct buf b;
	size_t i, k, at;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		for (k = 0; k < sizeof(more) / sizeof(*more); k++) {
			fd = file_of(sizes[i]);
			b = k % 2 ? BUF(sizes[i] + more[k]) :
				    BUF_SECRET(sizes[i] + more[k]);
			assert_true(buf_read(&b, fd));
			assert_false(b.full);
			assert_int_equal(b.len, sizes[i]);
			assert_int_equal(strlen(buf_text(&b)), sizes[i]);
			for (at = 0; at < b.len; at++)
				assert_int_equal(b.data[at], 'a' + at % 23);
			buf_release(&b);
			close(fd);
		}
	}
}

static void read_too_much(void **state)
{
	static const size_t most[] = { 0, 1, 64, 4096, 8191, 9999 };
	struct buf b;
	size_t i;
	int fd;

	(void)state;
	for (i = 0; i < sizeof(most) / sizeof(*most); i++) {
		fd = file_of(10000);
		b = BUF(most[i]);
		errno = 0;
		assert_false(buf_read(&b, fd));
		assert_int_equal(errno, EFBIG);
		assert_true(b.full);
		assert_int_equal(b.len, most[i]);
		buf_release(&b);
		close(fd);
	}
}

static void read_fails(void **state)
{
	int fd = open("/", O_RDONLY | O_CLOEXEC);
	struct buf b = BUF(100);

	(void)state;
	assert_false(buf_read(&b, fd));
	assert_int_equal(errno, EISDIR);
	assert_false(b.full);
	buf_release(&b);
	close(fd);
}

/* What was there stays in front. */
static void read_adds(void **state)
{
	struct buf b = BUF(100);
	int fd = file_of(5);

	(void)state;
	buf_adds(&b, "12345");
	assert_true(buf_read(&b, fd));
	assert_string_equal(buf_text(&b), "12345abcde");
	buf_release(&b);
	close(fd);
}

/* RFC 4648 10 */
static void base64(void **state)
{
	static const struct { const char *plain, *text; } rows[] = {
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" },
		{ "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" },
		{ "\xfb\xff\xbf", "+/+/" }, { "\xff\xff\xff", "////" },
	};
	struct buf b = BUF(9);
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		buf_reset(&b);
		buf_addc(&b, '>');
		assert_true(buf_add_base64(&b, rows[i].plain,
					   strlen(rows[i].plain)));
		assert_int_equal(b.data[0], '>');
		assert_string_equal(b.data + 1, rows[i].text);
	}
	assert_false(buf_add_base64(&b, "1234567", 7));
	assert_true(b.full);
	buf_release(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(read_sizes),
		cmocka_unit_test(read_too_much),
		cmocka_unit_test(read_fails),
		cmocka_unit_test(read_adds),
		cmocka_unit_test(base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
