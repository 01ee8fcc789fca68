/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Small files that are kept from one run to the next, harmed in any way: the
 * rate of a transport (first byte r), else what a server announced, of which
 * "@N" is N seconds from now. What reads well is read alike when it is
 * written again, and a rate never makes anybody wait for ever.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "parts.h"
#include "submit/early.h"
#include "submit/rate.h"

static char cache[64];

static void cache_gone(void)
{
	rmdir(cache);
}

static void rate(const char *text, size_t n)
{
	static const int64_t most[RATE_UNITS] = { 14, 100, 0, 2000 };
	const int64_t now = 1700000000000;
	char *alone = mem_alloc(n ? n : 1);
	struct rate_state s, again;
	struct buf b = BUF(FUZZ_MOST);

	if (n)
		memcpy(alone, text, n);
	if (rate_read(alone, n, &s)) {
		rate_write(&s, &b);
		fuzz_want(rate_read(b.data, b.len, &again));
		fuzz_want(again.pace.step == s.pace.step);
		/* a clock that was wrong holds nobody up for longer than the
		 * longest unit */
		fuzz_want(policy_rate_take(&s, most, now, 1) >= 0);
		policy_rate_done(&s, most, now, now + 5, 1);
		policy_slow_down(&s.pace, now);
		policy_speed_up(&s.pace);
		buf_reset(&b);
		rate_write(&s, &b);
		fuzz_want(!b.full);
	}
	buf_release(&b);
	free(alone);
}

static void put_early(const struct early_server *server, const char *text,
		      size_t n)
{
	const char *at = memchr(text, '@', n);
	char *rest = mem_stringn(at ? at + 1 : "", at ?
				 n - 1 - (size_t)(at - text) : 0), *end = rest;
	char path[400], name[64];
	struct buf b = BUF(FUZZ_MOST);
	unsigned place;
	long in;
	int fd;

	snprintf(path, sizeof(path), "posthaste-early 1\nserver %s %s %s %u\n",
		 server->host, server->address, server->transport,
		 server->port);
	place = (unsigned)(mem_hash(path) % 256);
	buf_adds(&b, path);
	buf_add(&b, text, at ? (size_t)(at - text) : n);
	if (at) {
		in = strtol(rest, &end, 10);
		in = in < -1000000000 || in > 1000000000 ? 0 : in;
		buf_addf(&b, "%lld%s", (long long)time(NULL) + in, end);
	}
	snprintf(name, sizeof(name), ".early.%02x", place);
	snprintf(path, sizeof(path), "%s/%s", cache, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	fuzz_want(fd >= 0 && write(fd, buf_text(&b), b.len) == (ssize_t)b.len);
	close(fd);
	buf_release(&b);
	free(rest);
}

static void early(const char *text, size_t n)
{
	static const struct early_server server = {
		"t", "mx.example", "192.0.2.1", 25
	};
	struct features f = { 0 };
	struct early known, again;

	put_early(&server, text, n);
	if (early_find(cache, &server, &known)) {
		fuzz_want(known.never || (known.hello && *known.hello));
		if (!known.never) {
			early_features(known.hello, &f);
			features_release(&f);
		}
		early_keep(cache, &server, &known);
		if (known.never || strlen(known.hello) < 2000) {
			fuzz_want(early_find(cache, &server, &again));
			fuzz_want(again.never == known.never &&
				  (known.never ||
				   !strcmp(again.hello, known.hello)) &&
				  !strcmp(again.mechanism, known.mechanism) &&
				  again.verified == known.verified);
			early_release(&again);
		}
	}
	early_release(&known);
	known = (struct early){ .never = true };
	early_keep(cache, &server, &known);
	fuzz_want(early_find(cache, &server, &again) && again.never);
	early_release(&again);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	const struct log_settings none = { .to = "none" };

	log_open(&none);
	if (!*cache) {
		snprintf(cache, sizeof(cache), "%s/fuzz-kept-%ld",
			 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm",
			 (long)getpid());
		fuzz_want(!mkdir(cache, 0700));
		atexit(cache_gone);
	}
	if (n && *data == 'r')
		rate((const char *)data + 1, n - 1);
	else if (n)
		early((const char *)data + 1, n - 1);
	return 0;
}
