/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Early pipelining: the decisions, and what is remembered of servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "policy/policy.h"
#include "submit/early.h"

#define ROWS(a) (sizeof(a) / sizeof(*(a)))

/* --- decisions --- */

static void when(void **state)
{
	static const struct { const char *what; struct early_facts f; bool is; }
	row[] = {
		{ "verified then and now", { .wanted = true, .known = true,
		  .was_verified = true, .demand = DEMAND_VERIFIED,
		  .tls = true, .verified = true }, true },
		{ "turned off", { .known = true, .was_verified = true,
		  .demand = DEMAND_VERIFIED, .tls = true, .verified = true },
		  false },
		{ "not known", { .wanted = true, .was_verified = true,
		  .demand = DEMAND_VERIFIED, .tls = true, .verified = true },
		  false },
		{ "before TLS", { .wanted = true, .known = true,
		  .was_verified = true, .demand = DEMAND_VERIFIED }, false },
		{ "not verified now", { .wanted = true, .known = true,
		  .was_verified = true, .demand = DEMAND_ENCRYPTED,
		  .tls = true }, false },
		{ "in clear then", { .wanted = true, .known = true,
		  .demand = DEMAND_VERIFIED, .tls = true, .verified = true },
		  false },
		{ "in clear, as demanded", { .wanted = true, .known = true,
		  .demand = DEMAND_NONE }, true },
		{ "in clear now", { .wanted = true, .known = true,
		  .was_verified = true, .demand = DEMAND_NONE }, false },
		{ "in clear by chance", { .wanted = true, .known = true,
		  .demand = DEMAND_OPPORTUNISTIC }, false },
		{ "LMTP", { .wanted = true, .known = true, .lmtp = true,
		  .demand = DEMAND_NONE }, false },
		{ "a socket", { .wanted = true, .known = true, .socket = true,
		  .demand = DEMAND_NONE }, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(row); i++)
		if (policy_early(&row[i].f) != row[i].is)
			fail_msg("%s", row[i].what);
}

static void worth_remembering(void **state)
{
	static const struct {
		bool early, pipelining;
		enum tls_demand demand;
		bool tls, verified, is;
	} row[] = {
		{ true, true, DEMAND_VERIFIED, true, true, true },
		{ false, true, DEMAND_VERIFIED, true, true, false },
		{ true, false, DEMAND_VERIFIED, true, true, false },
		{ true, true, DEMAND_ENCRYPTED, true, false, false },
		{ true, true, DEMAND_OPPORTUNISTIC, true, true, true },
		{ true, true, DEMAND_OPPORTUNISTIC, false, false, false },
		{ true, true, DEMAND_NONE, false, false, true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(row); i++) {
		struct features f = { .early_pipelining = row[i].early,
				      .pipelining = row[i].pipelining };

		if (policy_early_offered(&f, row[i].demand, row[i].tls,
					 row[i].verified) != row[i].is)
			fail_msg("row %zu", i);
	}
}

static void answers(void **state)
{
	static const struct {
		enum early_step step;
		int code;
		bool same, pipelining;
		enum early_verdict is;
	} row[] = {
		{ EARLY_GREETING, 220, false, false, EARLY_HOLDS },
		{ EARLY_GREETING, 421, false, false, EARLY_REFUSED },
		{ EARLY_GREETING, 554, false, false, EARLY_REFUSED },
		{ EARLY_GREETING, 250, false, false, EARLY_LOST },
		{ EARLY_GREETING, 334, false, false, EARLY_LOST },
		{ EARLY_HELLO, 250, true, true, EARLY_HOLDS },
		{ EARLY_HELLO, 250, false, true, EARLY_CHANGED },
		{ EARLY_HELLO, 250, false, false, EARLY_LOST },
		{ EARLY_HELLO, 220, true, true, EARLY_LOST },
		{ EARLY_HELLO, 235, false, true, EARLY_LOST },
		{ EARLY_HELLO, 354, false, true, EARLY_LOST },
		{ EARLY_HELLO, 450, false, true, EARLY_REFUSED },
		{ EARLY_HELLO, 503, false, true, EARLY_REFUSED },
		{ EARLY_LOGIN, 235, false, true, EARLY_HOLDS },
		{ EARLY_LOGIN, 334, false, true, EARLY_REFUSED },
		{ EARLY_LOGIN, 454, false, true, EARLY_REFUSED },
		{ EARLY_LOGIN, 535, false, true, EARLY_REFUSED },
		{ EARLY_LOGIN, 250, false, true, EARLY_LOST },
		{ EARLY_LOGIN, 220, false, true, EARLY_LOST },
		{ EARLY_LOGIN, 354, false, true, EARLY_LOST },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(row); i++) {
		const struct features f = { .pipelining = row[i].pipelining };

		if (policy_early_answer(row[i].step, row[i].code, row[i].same,
					&f) != row[i].is)
			fail_msg("row %zu", i);
	}
}

static void once_more(void **state)
{
	static const struct { const char *what; struct early_end e; bool is; }
	row[] = {
		{ "it never left", { .in_step = true }, true },
		{ "it never left, whatever was said", { .code = 220 }, true },
		{ "it left, no answer", { .in_step = true,
		  .message_sent = true }, false },
		{ "it was refused", { .in_step = true, .message_sent = true,
		  .code = 554 }, true },
		{ "it was taken", { .in_step = true, .message_sent = true,
		  .taken = true, .code = 250 }, false },
		{ "the login was refused, then silence", { .in_step = true,
		  .message_sent = true, .refused = true }, true },
		{ "the login was refused, then nothing, and for long",
		  { .in_step = true, .message_sent = true, .refused = true,
		    .silent = true }, false },
		{ "it was refused", { .in_step = true, .message_sent = true,
		  .code = 554, .silent = true }, true },
		{ "out of step", { .message_sent = true, .code = 554 },
		  false },
		{ "out of step after a refusal", { .message_sent = true,
		  .refused = true }, false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < ROWS(row); i++)
		if (policy_early_again(&row[i].e) != row[i].is)
			fail_msg("%s", row[i].what);
}

/* --- what is remembered --- */

static const struct early_server mail = {
	.transport = "relay", .host = "mail.example.org",
	.address = "192.0.2.7", .port = 465,
};
static char hello[] = "PIPELINING\nPIPECONNECT\nSIZE 1000\nAUTH PLAIN";

struct place {
	char folder[64], cache[80];
};

static void set_place(struct place *p)
{
	/* where a sync costs little */
	strcpy(p->folder, "/dev/shm/early-XXXXXX");
	if (!mkdtemp(p->folder)) {
		strcpy(p->folder, "/tmp/early-XXXXXX");
		assert_non_null(mkdtemp(p->folder));
	}
	snprintf(p->cache, sizeof(p->cache), "%s/cache", p->folder);
}

static void cleanup(struct place *p)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -r %s", p->folder);
	assert_int_equal(system(command), 0);
}

static void keep(const struct place *p, const char *mechanism)
{
	struct early e = { .hello = hello, .verified = true };

	strcpy(e.mechanism, mechanism);
	early_keep(p->cache, &mail, &e);
}

/* Of the one file that is there; it becomes this text where there is one. */
static char *kept_file(const struct place *p, const char *text)
{
	static char path[400];
	struct buf b = BUF(8192);
	FILE *list;
	char command[120];

	snprintf(command, sizeof(command), "ls -A %s", p->cache);
	list = popen(command, "r");
	assert_non_null(list);
	snprintf(path, sizeof(path), "%s/", p->cache);
	assert_non_null(fgets(path + strlen(path), 200, list));
	pclose(list);
	path[strcspn(path, "\n")] = '\0';
	if (text) {
		struct outcome why;

		buf_adds(&b, text);
		if (!file_replace_path(path, 0600, &b, &why))
			fail_msg("%s", why.text);
	}
	buf_release(&b);
	return path;
}

static bool is_known(const char *cache, const struct early_server *server)
{
	struct early e;
	bool known = early_find(cache, server, &e);

	early_release(&e);
	return known;
}

static void remembers(void **state)
{
	struct early_server other;
	struct early e;
	struct place p;

	(void)state;
	set_place(&p);
	assert_false(is_known(p.cache, &mail));
	keep(&p, "PLAIN");
	assert_true(early_find(p.cache, &mail, &e));
	assert_string_equal(e.hello, hello);
	assert_string_equal(e.mechanism, "PLAIN");
	assert_true(e.verified);
	early_release(&e);
	other = mail;
	other.port = 587;
	assert_false(is_known(p.cache, &other));
	other = mail;
	other.host = "mail.example.com";
	assert_false(is_known(p.cache, &other));
	other = mail;
	other.address = "192.0.2.8";
	assert_false(is_known(p.cache, &other));
	other = mail;
	other.transport = "another";
	assert_false(is_known(p.cache, &other));
	keep(&p, "");
	assert_true(early_find(p.cache, &mail, &e));
	assert_string_equal(e.mechanism, "");
	early_release(&e);
	e = (struct early){ .never = true };
	early_keep(p.cache, &mail, &e);
	assert_true(early_find(p.cache, &mail, &e));
	assert_true(e.never);
	assert_null(e.hello);
	early_release(&e);
	cleanup(&p);
}

/* Root's cache, below a home that is another user's, is written by no way that
 * he has a say in. */
static void by_nobody_elses_way(void **state)
{
	static const char *const ways[] = { "theirs/own", "theirs/link",
					    "link" };
	struct early e = { .hello = hello };
	struct place p;
	char path[100];
	size_t i;

	(void)state;
	if (geteuid())
		return;
	set_place(&p);
	keep(&p, "PLAIN");
	snprintf(path, sizeof(path), "%s/theirs", p.folder);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/theirs/own", p.folder);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/theirs/link", p.folder);
	assert_int_equal(symlink(p.cache, path), 0);
	snprintf(path, sizeof(path), "%s/link", p.folder);
	assert_int_equal(symlink(p.cache, path), 0);
	assert_true(is_known(path, &mail));
	assert_int_equal(lchown(path, 54321, 54321), 0);
	snprintf(path, sizeof(path), "%s/theirs", p.folder);
	assert_int_equal(chown(path, 54321, 54321), 0);
	for (i = 0; i < ROWS(ways); i++) {
		snprintf(path, sizeof(path), "%s/%s", p.folder, ways[i]);
		e = (struct early){ .hello = hello };
		early_keep(path, &mail, &e);
		if (early_find(p.cache, &mail, &e) &&
		    strcmp(e.mechanism, "PLAIN") != 0)
			fail_msg("%s", ways[i]);
		early_release(&e);
	}
	/* which is no link, but lies where he may put another */
	snprintf(path, sizeof(path), "%s/theirs/own", p.folder);
	assert_int_equal(rmdir(path), 0);
	cleanup(&p);
}

/* Two servers that come to the same place never have each other's. */
static void places_are_bounded(void **state)
{
	struct early e = { .hello = hello };
	struct early_server one = mail;
	char name[32], command[120];
	struct place p;
	FILE *list;
	int n, i;

	(void)state;
	set_place(&p);
	for (i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "mail%d.example.org", i);
		one.host = name;
		early_keep(p.cache, &one, &e);
		assert_true(is_known(p.cache, &one));
		assert_false(is_known(p.cache, &mail));
	}
	snprintf(command, sizeof(command), "ls -A %s | wc -l", p.cache);
	list = popen(command, "r");
	assert_non_null(list);
	assert_int_equal(fscanf(list, "%d", &n), 1);
	pclose(list);
	assert_in_range(n, 128, 256);
	cleanup(&p);
}

static void distrusts(void **state)
{
	static const char head[] = "posthaste-early 1\nserver mail.example.org "
		"192.0.2.7 relay 465\n";
	const long long now = time(NULL);
	const struct { const char *head, *rest; long long expires; bool good; }
	row[] = {
		{ head, "verified yes\nlogin PLAIN\nPIPELINING", now + 900,
		  true },
		{ head, "verified yes\nlogin PLAIN\nPIPELINING", now - 1,
		  false },
		{ head, "verified yes\nlogin PLAIN\nPIPELINING",
		  now + 2 * 86400, false },
		{ head, "verified yes\nlogin PLAIN\n", now + 900, false },
		{ head, "verified yes\nlogin PLAIN", now + 900, false },
		{ head, "verified yes\nlogin plain\nPIPELINING", now + 900,
		  false },
		{ head, "verified yes\n", now + 900, false },
		{ head, "never\n", now + 900, true },
		{ head, "never\n", now - 1, false },
		{ head, "never\n", now + 2 * 86400, false },
		{ head, "never", now + 900, false },
		{ head, "neverx\n", now + 900, false },
		{ head, "verified yes\nlogin "
		  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\nPIPELINING", now + 900,
		  false },
		{ "posthaste-early 1\nserver mail.example.org 192.0.2.8 relay "
		  "465\n", "verified yes\nlogin PLAIN\nPIPELINING", now + 900,
		  false },
		{ "posthaste-early 2\n", "verified yes\nlogin PLAIN\n"
		  "PIPELINING", now + 900, false },
		{ "", "", 0, false },
	};
	struct place p;
	char *path, text[600];
	size_t i;

	(void)state;
	set_place(&p);
	keep(&p, "PLAIN");
	for (i = 0; i < ROWS(row); i++) {
		snprintf(text, sizeof(text), "%sexpires %lld\n%s", row[i].head,
			 row[i].expires, row[i].rest);
		kept_file(&p, text);
		if (is_known(p.cache, &mail) != row[i].good)
			fail_msg("row %zu", i);
	}
	keep(&p, "PLAIN");
	assert_true(is_known(p.cache, &mail));
	path = kept_file(&p, NULL);
	assert_int_equal(chmod(path, 0666), 0);
	assert_false(is_known(p.cache, &mail));
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(chmod(p.cache, 0777), 0);
	assert_false(is_known(p.cache, &mail));
	assert_int_equal(chmod(p.cache, 0700), 0);
	if (!geteuid()) {
		assert_int_equal(chown(path, 12345, 12345), 0);
		assert_false(is_known(p.cache, &mail));
		assert_int_equal(chown(path, 0, 0), 0);
	}
	assert_true(is_known(p.cache, &mail));
	snprintf(text, sizeof(text), "%s/elsewhere", p.folder);
	assert_int_equal(rename(path, text), 0);
	assert_int_equal(symlink(text, path), 0);
	assert_false(is_known(p.cache, &mail));
	/* a link is replaced, what it leads to stays */
	keep(&p, "PLAIN");
	assert_true(is_known(p.cache, &mail));
	assert_int_equal(access(text, F_OK), 0);
	cleanup(&p);
}

/* None, and one that cannot be made: nothing is known, nothing breaks. */
static void without_a_cache(void **state)
{
	struct early e = { .hello = hello };
	char long_name[5000], *longer;

	(void)state;
	early_keep(NULL, &mail, &e);
	assert_false(is_known(NULL, &mail));
	early_keep("/proc/nonexistent/cache", &mail, &e);
	assert_false(is_known("/proc/nonexistent/cache", &mail));
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_false(is_known("/tmp", &(struct early_server){
		.transport = long_name, .host = "h", .address = "" }));
	longer = long_name;
	e.hello = longer;
	early_keep("/tmp", &mail, &e);
	assert_false(is_known("/tmp", &mail));
}

static void features(void **state)
{
	struct features f = { 0 };

	(void)state;
	early_features(hello, &f);
	assert_true(f.esmtp && f.pipelining && f.early_pipelining && f.auth);
	assert_false(f.chunking);
	assert_int_equal(f.size_limit, 1000);
	assert_true(list_has(&f.mechanisms, "PLAIN"));
	early_features("X", &f);
	assert_false(f.pipelining || f.early_pipelining || f.auth);
	early_features("X_PIPE_CONNECT\nPIPE_CONNECT", &f);
	assert_true(f.early_pipelining);
	features_release(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(when),
		cmocka_unit_test(worth_remembering),
		cmocka_unit_test(answers),
		cmocka_unit_test(once_more),
		cmocka_unit_test(remembers),
		cmocka_unit_test(by_nobody_elses_way),
		cmocka_unit_test(places_are_bounded),
		cmocka_unit_test(distrusts),
		cmocka_unit_test(without_a_cache),
		cmocka_unit_test(features),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
