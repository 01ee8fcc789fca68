/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * MTA-STS, whole: what a policy's host gives, then after lines "%" the TXT
 * records (a line each), the cached policy, and what the cache knows of a
 * version that could not be had ("@N" in these: N seconds from now). DNS and
 * the helper are ours here. The policy in force is one that was given or
 * cached, and what was fetched is in the cache afterwards.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "config/config.h"
#include "parts.h"
#include "submit/mtasts.h"
#include "submit/mtasts_fetch.h"

enum { PARTS = 4, RECORDS = 4 };

static const char domain[] = "x.example";
static struct { const char *text; size_t n; } part[PARTS];
static bool was_fetched;

struct dns *run_dns(struct run *run)
{
	(void)run;
	return NULL;
}

bool run_has_ipv6(struct run *run)
{
	(void)run;
	return false;
}

void dns_query(struct dns *d, const char *name, enum dns_type type,
	       struct dns_answer *a)
{
	const char *rest = part[1].text;
	size_t n = part[1].n;

	(void)d;
	fuzz_want(type == DNS_TXT && !strcmp(name, "_mta-sts.x.example"));
	*a = (struct dns_answer){
		.status = n ? DNS_OK : DNS_NXDOMAIN,
		.record = mem_alloc(RECORDS * sizeof(*a->record)),
	};
	for (; n && a->n < RECORDS; a->n++) {
		a->record[a->n].text = fuzz_line(&rest, &n);
		a->record[a->n].text_len = strlen(a->record[a->n].text);
	}
}

void dns_answer_release(struct dns_answer *a)
{
	while (a->n)
		free(a->record[--a->n].text);
	free(a->record);
	*a = (struct dns_answer){ 0 };
}

bool sts_fetch(struct run *run, const struct transport *through,
	       const char *of, struct buf *text, struct outcome *why)
{
	(void)run;
	(void)through;
	fuzz_want(!strcmp(of, domain) && !was_fetched);
	was_fetched = true;
	if (!part[0].n)
		return outcome_fail(why, STAGE_DNS, EX_UNAVAILABLE, "no");
	return buf_add(text, part[0].text, part[0].n) ||
	       outcome_fail(why, STAGE_DNS, EX_SOFTWARE, "too long");
}

static void divide(const char *data, size_t n)
{
	const char *stop;
	size_t i;

	for (i = 0; i < PARTS; i++) {
		stop = i + 1 < PARTS ? memmem(data, n, "\n%\n", 3) : NULL;
		part[i].text = data;
		part[i].n = stop ? (size_t)(stop - data) + 1 : n;
		n -= stop ? part[i].n + 2 : n;
		data += stop ? part[i].n + 2 : part[i].n;
	}
}

/* --- a cache --- */

static char cache[64];

static void cache_empty(void)
{
	DIR *d = opendir(cache);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[strspn(e->d_name, ".")])
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
}

static void cache_gone(void)
{
	cache_empty();
	rmdir(cache);
}

static void cache_put(const char *name, size_t which)
{
	const char *text = part[which].text;
	const char *at = memchr(text, '@', part[which].n);
	char *rest = mem_stringn(at ? at + 1 : "", at ? part[which].n - 1 -
				 (size_t)(at - text) : 0), *end = rest;
	struct buf b = BUF(FUZZ_MOST);
	char path[128];
	long in;
	int fd;

	if (part[which].n) {
		buf_add(&b, text, at ? (size_t)(at - text) : part[which].n);
		if (at) {
			in = strtol(rest, &end, 10);
			in = in < -1000000000 || in > 1000000000 ? 0 : in;
			buf_addf(&b, "%lld%s", (long long)time(NULL) + in,
				 end);
		}
		snprintf(path, sizeof(path), "%s/%s", cache, name);
		fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			  0600);
		fuzz_want(fd >= 0 &&
			  write(fd, buf_text(&b), b.len) == (ssize_t)b.len);
		close(fd);
	}
	buf_release(&b);
	free(rest);
}

/* --- --- */

static void want_policy(const struct sts_policy *p)
{
	size_t i;

	fuzz_want(p->mode == STS_NONE || p->mx.n);
	fuzz_want(p->max_age >= 0 && p->max_age <= 31557600);
	for (i = 0; i < p->mx.n; i++) {
		const char *name = p->mx.item[i];

		fuzz_want(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789"
				 "-_.*") == strlen(name));
		fuzz_want(!strchr(name + 1, '*'));
		fuzz_want(*name == '*' || sts_lists(p, name));
		fuzz_want(*name != '*' || !sts_lists(p, name + 1));
		fuzz_want(*name != '*' || !sts_lists(p, name + 2) || p->mx.n >
			  1);
	}
}

static void want_same(const struct sts_policy *a, const struct sts_policy *b)
{
	size_t i;

	fuzz_want(a->mode == b->mode && a->mx.n == b->mx.n);
	for (i = 0; i < a->mx.n; i++)
		fuzz_want(!strcmp(a->mx.item[i], b->mx.item[i]));
}

/* A copy without a NUL after it: reading too far is seen. */
static void read_alone(const unsigned char *data, size_t n)
{
	char *text = mem_alloc(n ? n : 1);
	struct sts_policy p;
	char id[33];

	if (n)
		memcpy(text, data, n);
	if (sts_policy_read(text, n, &p))
		want_policy(&p);
	sts_policy_release(&p);
	if (sts_record_read(text, n, id))
		fuzz_want(*id && id[strspn(id, "abcdefghijklmnopqrstuvwxyz"
					   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					   "0123456789")] == '\0');
	free(text);
}

static void find(void)
{
	struct config config = { .general.cache = cache };
	struct run run = { .config = &config };
	struct sts_policy given = { 0 }, kept, now, again;
	struct outcome why;
	bool good;

	good = sts_policy_read(part[0].text, part[0].n, &given);
	fuzz_want(sts_find(&run, NULL, domain, true, &kept, &why));
	fuzz_want(!was_fetched);
	want_policy(&kept);
	if (sts_find(&run, NULL, domain, false, &now, &why)) {
		want_policy(&now);
		want_same(&now, was_fetched && good ? &given : &kept);
		if (was_fetched && good && given.max_age) {
			fuzz_want(sts_find(&run, NULL, domain, true, &again,
					   &why));
			want_same(&again, &given);
			sts_policy_release(&again);
		}
		/* the same version is not asked for at once */
		if (was_fetched && (!good || given.max_age > 2)) {
			fuzz_want(sts_find(&run, NULL, domain, false, &again,
					   &why));
			want_same(&again, &now);
			sts_policy_release(&again);
		}
		sts_policy_release(&now);
	} else {
		fuzz_want(why.exit && *why.text);
	}
	was_fetched = false;
	if (sts_fetch_now(&run, NULL, domain, &now, &why))
		want_same(&now, &given);
	sts_policy_release(&now);
	sts_policy_release(&given);
	sts_policy_release(&kept);
	list_release(&run.no_policy);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	const struct log_settings none = { .to = "none" };

	log_open(&none);
	if (!*cache) {
		snprintf(cache, sizeof(cache), "%s/fuzz-cache-%ld",
			 access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm",
			 (long)getpid());
		fuzz_want(!mkdir(cache, 0700));
		atexit(cache_gone);
	}
	read_alone(data, n);
	divide((const char *)data, n);
	cache_put(domain, 2);
	cache_put(".failed.x.example", 3);
	was_fetched = false;
	find();
	cache_empty();
	return 0;
}
