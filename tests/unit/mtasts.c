/* SPDX-License-Identifier: GPL-3.0-or-later */
/* links: submit */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/log.h"
#include "submit/cache.h"
#include "submit/mtasts.h"

/* --- DNS: one TXT record, one address --- */

static const char *record;
static bool dns_is_dead;

void dns_ask(struct dns *d, struct dns_question *q, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		dns_query(d, q[i].name, q[i].type, &q[i].answer);
}

void dns_query(struct dns *d, const char *name, enum dns_type type,
	       struct dns_answer *a)
{
	(void)d;
	*a = (struct dns_answer){ .status = dns_is_dead ? DNS_FAILED :
				  DNS_NODATA };
	if (dns_is_dead || type == DNS_AAAA || (type == DNS_TXT && !record))
		return;
	a->status = DNS_OK;
	a->n = 1;
	a->record = mem_alloc(sizeof(*a->record));
	if (type == DNS_A) {
		assert_string_equal(name, "mta-sts.lab.example");
		assert_true(net_address_parse("192.0.2.7", 0,
					      &a->record->address));
		return;
	}
	assert_string_equal(name, "_mta-sts.lab.example");
	a->record->text = mem_string(record);
	a->record->text_len = strlen(record);
}

void dns_answer_release(struct dns_answer *a)
{
	if (a->n)
		free(a->record->text);
	free(a->record);
	*a = (struct dns_answer){ 0 };
}

struct dns *dns_open(const struct dns_settings *s)
{
	(void)s;
	return mem_alloc(1);
}

/* --- text --- */

static void records(void **state)
{
	static const struct { const char *text, *id; } rows[] = {
		{ "v=STSv1; id=20160831085700Z;", "20160831085700Z" },
		{ "v=STSv1;id=1", "1" },
		{ "v=STSv1 ; id = a1 ; x=y", "a1" },
		{ "v=STSv1; x=y; id=2;", "2" },
		{ "v=STSv1; id=12345678901234567890123456789012",
		  "12345678901234567890123456789012" },
		{ "v=STSv1; id=123456789012345678901234567890123", NULL },
		{ "v=STSv1; id=a-b", NULL },
		{ "v=STSv1; id=", NULL },
		{ "v=STSv1;", NULL },
		{ "v=STSv12; id=1", NULL },
		{ "id=1; v=STSv1", NULL },
		{ "v=spf1 -all", NULL },
		{ "", NULL },
		{ "v=STSv1; id=1; nonsense", NULL },
	};
	char id[33];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *t = rows[i].text;
		const bool ok = sts_record_read(t, strlen(t), id);

		if (ok != (rows[i].id != NULL) ||
		    (ok && strcmp(id, rows[i].id)))
			fail_msg("%s: %s", t, id);
	}
}

#define HEAD "version: STSv1\nmode: enforce\nmax_age: 100\n"

static void policies(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		enum sts_mode mode;
		size_t mx;
		int64_t age;
	} rows[] = {
		{ HEAD "mx: a.example\n", true, STS_ENFORCE, 1, 100 },
		{ "version: STSv1\r\nmode: testing\r\nmx: *.a.example\r\n"
		  "mx: B.example\r\nmax_age: 604800\r\n", true, STS_TESTING,
		  2, 604800 },
		{ "mode:none\nversion:STSv1\nmax_age:1", true, STS_NONE, 0,
		  1 },
		{ HEAD "mx: a.example\nfuture: x\n\n", true, STS_ENFORCE, 1,
		  100 },
		{ HEAD "mode: none\nmx: a.example\n", true, STS_ENFORCE, 1,
		  100 },
		{ "version: STSv1\nmode: none\nmax_age: 9999999999\n", true,
		  STS_NONE, 0, 31557600 },
		{ HEAD, false, STS_NONE, 0, 0 },
		{ "", false, STS_NONE, 0, 0 },
		{ "\n\n\n", false, STS_NONE, 0, 0 },
		{ "version: STSv2\nmode: none\nmax_age: 1\n",
		  false, STS_NONE, 0, 0 },
		{ "mode: none\nmax_age: 1\n", false, STS_NONE, 0, 0 },
		{ "version: STSv1\nmode: none\n", false, STS_NONE, 0, 0 },
		{ "version: STSv1\nmax_age: 1\n", false, STS_NONE, 0, 0 },
		{ "version: STSv1\nmode: Enforce\nmax_age: 1\nmx: a.b\n",
		  false, STS_NONE, 0, 0 },
		{ "version: STSv1\nmode: none\nmax_age: -1\n",
		  false, STS_NONE, 0, 0 },
		{ "version: STSv1\nmode: none\nmax_age: 99999999999\n",
		  false, STS_NONE, 0, 0 },
		{ HEAD "mx: a..example\n", false, STS_NONE, 0, 0 },
		{ HEAD "mx: *.\n", false, STS_NONE, 0, 0 },
		{ HEAD "mx: a.*.example\n", false, STS_NONE, 0, 0 },
		{ HEAD "mx: [192.0.2.1]\n", false, STS_NONE, 0, 0 },
		{ HEAD "mx:\n", false, STS_NONE, 0, 0 },
		{ HEAD "no colon\nmx: a.example\n", false, STS_NONE, 0, 0 },
		{ "<html><body>404: gone</body></html>",
		  false, STS_NONE, 0, 0 },
	};
	static const char nul[] = HEAD "mx: a.example\0\n";
	struct sts_policy p;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const char *t = rows[i].text;

		if (sts_policy_read(t, strlen(t), &p) != rows[i].ok ||
		    p.mode != rows[i].mode || p.mx.n != rows[i].mx ||
		    p.max_age != rows[i].age)
			fail_msg("row %zu: %s", i, t);
		sts_policy_release(&p);
	}
	assert_false(sts_policy_read(nul, sizeof(nul) - 1, &p));
}

static void hosts_of_policies(void **state)
{
	static const struct { const char *host; bool listed; } rows[] = {
		{ "mx.lab.example", true }, { "MX.lab.example", true },
		{ "a.wild.example", true }, { "a.b.wild.example", false },
		{ "wild.example", false }, { ".wild.example", false },
		{ "xmx.lab.example", false }, { "lab.example", false },
		{ "awild.example", false }, { "", false },
	};
	static const char text[] = HEAD
		"mx: mx.lab.example\nmx: *.wild.example\n";
	struct sts_policy p;
	size_t i;

	(void)state;
	assert_true(sts_policy_read(text, sizeof(text) - 1, &p));
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (sts_lists(&p, rows[i].host) != rows[i].listed)
			fail_msg("%s", rows[i].host);
	sts_policy_release(&p);
}

/* --- the cache, with a script for a helper --- */

struct place {
	char base[40], cache[64], helper[64], kept[96];
};

static void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	chmod(path, mode);
}

/* A helper that gives this policy, or fails; it counts its calls. */
static void set_helper(const struct place *p, const char *mode, int exit)
{
	char *text = mem_printf("#!/bin/sh\necho \"$*\" >>%s/calls\n"
		"[ %d = 0 ] && printf 'version: STSv1\\nmode: %s\\n"
		"max_age: 1000\\nmx: mx.lab.example\\n'\nexit %d\n",
		p->base, exit, mode, exit);

	write_file(p->helper, text, 0700);
	free(text);
}

static size_t calls(const struct place *p)
{
	char path[64], line[256];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/calls", p->base);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (!strstr(line, "mta-sts.lab.example 192.0.2.7"))
			fail_msg("helper called with %s", line);
		n++;
	}
	if (f)
		fclose(f);
	return n;
}

static bool ours_failed;    /* sts_find's word at the last call */

static enum sts_mode ask_through(const struct place *p,
				 const struct transport *t, bool cached_only)
{
	struct config c = { 0 };
	struct run run = { .config = &c, .fetch_program = p->helper };
	struct sts_policy policy;
	enum sts_mode mode;
	struct outcome why;

	c.general.cache = (char *)p->cache;
	c.general.timeout = 10000;
	c.tls.mta_sts_port = 443;
	ours_failed = !sts_find(&run, t, "lab.example", cached_only, &policy,
				&why);
	mode = policy.mode;
	sts_policy_release(&policy);
	list_release(&run.no_policy);
	free(run.dns);
	return mode;
}

static enum sts_mode ask(const struct place *p, bool cached_only)
{
	return ask_through(p, NULL, cached_only);
}

static void cleanup(const struct place *p)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/calls", p->base);
	unlink(path);
	unlink(p->kept);
	snprintf(path, sizeof(path), "%s/.failed.lab.example", p->cache);
	unlink(path);
	unlink(p->helper);
	rmdir(p->cache);
	assert_int_equal(rmdir(p->base), 0);
}

static void set_place(struct place *p)
{
	strcpy(p->base, "/tmp/mtasts-XXXXXX");
	assert_non_null(mkdtemp(p->base));
	snprintf(p->cache, sizeof(p->cache), "%s/cache", p->base);
	snprintf(p->helper, sizeof(p->helper), "%s/fetch", p->base);
	snprintf(p->kept, sizeof(p->kept), "%s/lab.example", p->cache);
	record = "v=STSv1; id=1;";
	dns_is_dead = false;
}

enum { NOBODY = 65534 };

/* A user's, below a directory that nobody made yet. */
static void cache_is_made(void **state)
{
	char base[] = "/tmp/mtasts-XXXXXX", path[64];
	int status;
	pid_t pid;

	(void)state;
	assert_non_null(mkdtemp(base));
	snprintf(path, sizeof(path), "%s/.cache/posthaste", base);
	assert_int_equal(chown(base, geteuid() ? geteuid() : NOBODY,
			       (gid_t)-1), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit((!geteuid() && setresuid(NOBODY, NOBODY, NOBODY)) ||
		      cache_open(path, true) < 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	rmdir(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	assert_int_equal(rmdir(base), 0);
	assert_int_equal(status, 0);
}

static void cache_serves(void **state)
{
	struct place p;

	(void)state;
	set_place(&p);
	set_helper(&p, "enforce", 0);
	assert_int_equal(ask(&p, true), STS_NONE);
	assert_int_equal(calls(&p), 0);
	assert_int_equal(ask(&p, false), STS_ENFORCE);
	assert_int_equal(ask(&p, false), STS_ENFORCE);
	assert_int_equal(calls(&p), 1);
	assert_int_equal(ask(&p, true), STS_ENFORCE);
	set_helper(&p, "testing", 0);
	record = "v=STSv1; id=2;";
	assert_int_equal(ask(&p, false), STS_TESTING);
	assert_int_equal(calls(&p), 2);
	cleanup(&p);
}

static void cache_outlives_its_server(void **state)
{
	struct place p;

	(void)state;
	set_place(&p);
	set_helper(&p, "enforce", 0);
	assert_int_equal(ask(&p, false), STS_ENFORCE);
	set_helper(&p, "enforce", 75);
	record = "v=STSv1; id=2;";
	assert_int_equal(ask(&p, false), STS_ENFORCE);
	record = NULL;
	assert_int_equal(ask(&p, false), STS_ENFORCE);
	dns_is_dead = true;
	assert_int_equal(ask(&p, false), STS_ENFORCE);
	cleanup(&p);
}

static void cache_expires_and_distrusts(void **state)
{
	static const char policy[] = "version: STSv1\nmode: enforce\n"
		"max_age: 9\nmx: a.b\n";
	static const struct { const char *head; mode_t mode; } rows[] = {
		{ "posthaste-mta-sts 1\nid 1\nexpires 1000\n", 0600 },
		{ "posthaste-mta-sts 1\nid 1\nexpires 999999999999\n", 0600 },
		{ "posthaste-mta-sts 2\nid 1\nexpires 1000\n", 0600 },
		{ "posthaste-mta-sts 1\n", 0600 },
		{ "", 0600 },
	};
	struct place p;
	size_t i;

	(void)state;
	set_place(&p);
	set_helper(&p, "enforce", 75);
	mkdir(p.cache, 0700);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char *text = mem_printf("%s%s", rows[i].head, policy);

		write_file(p.kept, text, rows[i].mode);
		if (ask(&p, true) != STS_NONE)
			fail_msg("row %zu", i);
		free(text);
	}
	cleanup(&p);
}

static void no_policy_no_harm(void **state)
{
	struct place p;

	(void)state;
	set_place(&p);
	set_helper(&p, "enforce", 65);
	assert_int_equal(ask(&p, false), STS_NONE);
	unlink(p.helper);
	record = "v=STSv1; id=2;";
	assert_int_equal(ask(&p, false), STS_NONE);
	record = "v=STSv1; id=3;";
	write_file(p.helper, "#!/bin/sh\nyes | head -c 200000\n", 0700);
	assert_int_equal(ask(&p, false), STS_NONE);
	cleanup(&p);
}

/* What says nothing of the domain is no word that it has no policy. */
static void faults_of_ours(void **state)
{
	static const struct { int status; bool ours; } rows[] = {
		{ 64, true }, { 70, true }, { 74, true },
		{ 65, false }, { 75, false }, { 77, false },
	};
	char id[32];
	struct place p;
	size_t i;

	(void)state;
	set_place(&p);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		snprintf(id, sizeof(id), "v=STSv1; id=%zu;", i);
		record = id;
		set_helper(&p, "enforce", rows[i].status);
		assert_int_equal(ask(&p, false), STS_NONE);
		if (ours_failed != rows[i].ours)
			fail_msg("status %d", rows[i].status);
	}
	/* where one is kept, it holds */
	set_helper(&p, "enforce", 0);
	record = "v=STSv1; id=kept;";
	assert_int_equal(ask(&p, false), STS_ENFORCE);
	set_helper(&p, "enforce", 64);
	record = "v=STSv1; id=next;";
	assert_int_equal(ask(&p, false), STS_ENFORCE);
	assert_false(ours_failed);
	cleanup(&p);
}

/* A helper that dies says nothing of the host. */
static void a_killed_helper_is_our_fault(void **state)
{
	struct place p;

	(void)state;
	set_place(&p);
	write_file(p.helper, "#!/bin/sh\nkill -9 $$\n", 0700);
	assert_int_equal(ask(&p, false), STS_NONE);
	assert_true(ours_failed);
	/* and is not remembered against it */
	set_helper(&p, "enforce", 0);
	assert_int_equal(ask(&p, false), STS_ENFORCE);
	assert_false(ours_failed);
	cleanup(&p);
}

static void expect_logged(const char *path, const char *words)
{
	char line[512] = "";
	FILE *f = fopen(path, "r");
	bool found = false;

	assert_non_null(f);
	while (!found && fgets(line, sizeof(line), f))
		found = strstr(line, words) != NULL;
	fclose(f);
	if (!found)
		fail_msg("no \"%s\" in the log, which ends with %s", words,
			 line);
}

/* Where the cache cannot be written the log says so, and a failure is known
 * as long as the run lasts. */
static void without_a_cache(void **state)
{
	struct config c = { 0 };
	struct run run = { .config = &c };
	struct sts_policy policy;
	struct outcome why;
	struct place p;
	char log[64];

	(void)state;
	set_place(&p);
	snprintf(log, sizeof(log), "%s/log", p.base);
	log_open(&(struct log_settings){ .to = log, .level = LOG_AT_INFO });
	/* a directory within a file: not for root either */
	snprintf(p.cache, sizeof(p.cache), "%s/fetch/cache", p.base);
	run.fetch_program = p.helper;
	c.general.cache = p.cache;
	c.general.timeout = 10000;
	c.tls.mta_sts_port = 443;

	set_helper(&p, "enforce", 0);
	assert_true(sts_find(&run, NULL, "lab.example", false, &policy,
			     &why));
	assert_int_equal(policy.mode, STS_ENFORCE);
	sts_policy_release(&policy);
	expect_logged(log, "nothing about lab.example can be kept in the "
		      "cache");

	set_helper(&p, "enforce", 75);
	assert_true(sts_find(&run, NULL, "lab.example", false, &policy,
			     &why));
	assert_int_equal(policy.mode, STS_NONE);
	assert_int_equal(calls(&p), 2);
	set_helper(&p, "enforce", 0);
	assert_true(sts_find(&run, NULL, "lab.example", false, &policy,
			     &why));
	assert_int_equal(policy.mode, STS_NONE);
	assert_int_equal(calls(&p), 2);
	/* another version is another matter, and so is another run */
	record = "v=STSv1; id=2;";
	assert_true(sts_find(&run, NULL, "lab.example", false, &policy,
			     &why));
	assert_int_equal(policy.mode, STS_ENFORCE);
	sts_policy_release(&policy);
	record = "v=STSv1; id=1;";
	assert_int_equal(ask(&p, false), STS_ENFORCE);
	assert_int_equal(calls(&p), 4);

	list_release(&run.no_policy);
	free(run.dns);
	log_open(&(struct log_settings){ .to = "none" });
	unlink(log);
	cleanup(&p);
}

static void keep(const struct place *p, long long life, long long left)
{
	char *text = mem_printf("posthaste-mta-sts 1\nid 1\nexpires %lld\n"
				"version: STSv1\nmode: enforce\n"
				"max_age: %lld\nmx: a.b\n",
				(long long)time(NULL) + left, life);

	write_file(p->kept, text, 0600);
	free(text);
}

static void refreshed_in_time(void **state)
{
	static const struct { long long life, left; bool due; } rows[] = {
		{ 864000, 864000, false }, { 864000, 864000 - 86000, false },
		{ 864000, 864000 - 86401, true }, { 864000, 100, true },
		{ 86400, 50000, false }, { 86400, 43000, true },
	};
	struct place p;
	size_t i;

	(void)state;
	set_place(&p);
	mkdir(p.cache, 0700);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		keep(&p, rows[i].life, rows[i].left);
		set_helper(&p, "testing", 0);
		if (ask(&p, false) != (rows[i].due ? STS_TESTING :
				       STS_ENFORCE))
			fail_msg("row %zu", i);
	}
	/* a refresh that fails keeps what is there and is not tried again
	 * at once */
	keep(&p, 864000, 500000);
	set_helper(&p, "testing", 75);
	assert_int_equal(ask(&p, false), STS_ENFORCE);
	i = (size_t)calls(&p);
	set_helper(&p, "testing", 0);
	assert_int_equal(ask(&p, false), STS_ENFORCE);
	assert_int_equal(calls(&p), i);
	cleanup(&p);
}

static void failures_are_remembered(void **state)
{
	char path[96], line[64];
	struct place p;
	FILE *f;

	(void)state;
	set_place(&p);
	set_helper(&p, "enforce", 75);
	assert_int_equal(ask(&p, false), STS_NONE);
	set_helper(&p, "enforce", 0);
	assert_int_equal(ask(&p, false), STS_NONE);
	assert_int_equal(calls(&p), 1);
	record = "v=STSv1; id=2;";
	assert_int_equal(ask(&p, false), STS_ENFORCE);
	assert_int_equal(calls(&p), 2);
	record = "v=STSv1; id=3;";
	set_helper(&p, "testing", 75);
	assert_int_equal(ask(&p, false), STS_ENFORCE);
	assert_int_equal(ask(&p, false), STS_ENFORCE);
	assert_int_equal(calls(&p), 3);
	/* five minutes later */
	snprintf(path, sizeof(path), "%s/.failed.lab.example", p.cache);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	fclose(f);
	assert_string_equal(line, "posthaste-mta-sts 1\n");
	write_file(path, "posthaste-mta-sts 1\nid 3\nexpires 1000\n", 0600);
	set_helper(&p, "testing", 0);
	assert_int_equal(ask(&p, false), STS_TESTING);
	cleanup(&p);
}

/* What the helper is told of a proxy: its arguments, and its input. */
static void expect_proxied(const struct transport *t, const char *arguments,
			   const char *input)
{
	char line[256], *script, *wanted;
	char path[64];
	struct place p;
	FILE *f;

	set_place(&p);
	script = mem_printf("#!/bin/sh\n{ echo \"$*\"; cat; } >%s/calls\n"
			    "printf 'version: STSv1\nmode: none\n"
			    "max_age: 9\n'\n", p.base);
	write_file(p.helper, script, 0700);
	assert_int_equal(ask_through(&p, t, false), STS_NONE);
	snprintf(path, sizeof(path), "%s/calls", p.base);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	wanted = mem_printf("-p 443 -t 10000 %s\n", arguments);
	assert_string_equal(line, wanted);
	line[fread(line, 1, sizeof(line) - 1, f)] = '\0';
	fclose(f);
	assert_string_equal(line, input);
	free(script);
	free(wanted);
	cleanup(&p);
}

static void through_a_proxy(void **state)
{
	char host[] = "127.0.0.1", host_6[] = "::1";
	struct transport t = { .kind = KIND_SOCKS, .proxy_dns = -1,
			       .address = { host, 1081 } };

	(void)state;
	expect_proxied(&t, "-x 127.0.0.1 -q 1081 -a 127.0.0.1 "
		       "mta-sts.lab.example 192.0.2.7", "");
	t.address = (struct endpoint){ host_6, 1080 };
	t.proxy_dns = 1;
	expect_proxied(&t, "-x ::1 -q 1080 -a ::1 -n mta-sts.lab.example",
		       "");
	t.proxy_username = "me";
	expect_proxied(&t, "-x ::1 -q 1080 -a ::1 -n -u mta-sts.lab.example",
		       "me\n\n");
	t.proxy_password = "a b%";
	expect_proxied(&t, "-x ::1 -q 1080 -a ::1 -n -u mta-sts.lab.example",
		       "me\na b%\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records),
		cmocka_unit_test(policies),
		cmocka_unit_test(hosts_of_policies),
		cmocka_unit_test(cache_is_made),
		cmocka_unit_test(cache_serves),
		cmocka_unit_test(cache_outlives_its_server),
		cmocka_unit_test(cache_expires_and_distrusts),
		cmocka_unit_test(no_policy_no_harm),
		cmocka_unit_test(faults_of_ours),
		cmocka_unit_test(refreshed_in_time),
		cmocka_unit_test(failures_are_remembered),
		cmocka_unit_test(a_killed_helper_is_our_fault),
		cmocka_unit_test(without_a_cache),
		cmocka_unit_test(through_a_proxy),
	};

	log_open(&(struct log_settings){ .to = "none" });
	return cmocka_run_group_tests(tests, NULL, NULL);
}
