/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "config/keys.h"
#include "mail/complete.h"

/* A directory of its own for each test, and the file in it. */
struct place {
	char dir[64];
	char file[96];
};

static int set_up(void **state)
{
	struct place *p = mem_alloc(sizeof(*p));

	strcpy(p->dir, "/tmp/posthaste-config-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->file, sizeof(p->file), "%s/c.conf", p->dir);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "c.conf", "secret",
					     "posthaste.conf", "system.conf" };
	struct place *p = *state;
	char path[128];
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s/%s", p->dir, names[i]);
		unlink(path);
	}
	rmdir(p->dir);
	free(p);
	return 0;
}

static void write_to(const char *path, const void *text, size_t n,
		     mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static bool load(const char *file, struct config *c)
{
	struct config_place place = {
		.file = file, .system_file = "/nonexistent/posthaste.conf",
		.queue_directory = "/var/spool/posthaste",
	};
	struct outcome why = { 0 };
	bool good = config_load(&place, c, &why);

	if (!good) {
		assert_int_equal(why.exit, EX_CONFIG);
		assert_int_equal(why.stage, STAGE_LOCAL);
		assert_true(why.text[0]);
		assert_true(c->errors > 0);
	} else {
		assert_int_equal(c->errors, 0);
	}
	return good;
}

static bool load_bytes(struct place *p, const void *text, size_t n,
		       struct config *c)
{
	write_to(p->file, text, n, 0600);
	return load(p->file, c);
}

static void load_good(struct place *p, const char *text, struct config *c)
{
	if (!load_bytes(p, text, strlen(text), c))
		fail_msg("line %u: %s", c->error[0].line,
			 c->error[0].message);
}

/* --- many sections --- */

static double load_many(struct place *p, size_t n)
{
	struct buf text = BUF(16 << 20);
	struct timespec before, after;
	struct config c;
	size_t i;

	for (i = 0; i < n; i++)
		buf_addf(&text, "[route r%zu]\nto_domain = d%zu.example\n"
			 "transport = t%zu\n", i, i, i);
	/* each of them goes on below */
	for (i = 0; i < n; i++)
		buf_addf(&text, "[route r%zu]\nfrom_domain = f%zu.example\n",
			 i, i);
	for (i = 0; i < n; i++)
		buf_addf(&text, "[transport t%zu]\nkind = smtp\n"
			 "host = relay\n", i);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	load_good(p, buf_text(&text), &c);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	assert_int_equal(c.routes, n);
	assert_int_equal(c.warnings, 0);
	for (i = 0; i < n; i++) {
		assert_int_equal(c.route[i].to_domain.n, 1);
		assert_int_equal(c.route[i].from_domain.n, 1);
		assert_int_equal(config_line(&c, "route", "transport", i),
				 3 + 3 * i);
		assert_ptr_equal(c.route[i].way[0], &c.transport[i]);
		assert_int_equal(config_line(&c, "route", "from_domain", i),
				 2 + 3 * n + 2 * i);
		assert_int_equal(config_line(&c, "route", "domain", i), 0);
	}
	config_release(&c);
	buf_release(&text);
	return (double)(after.tv_sec - before.tv_sec) +
	       (double)(after.tv_nsec - before.tv_nsec) / 1e9;
}

/* A section costs as much where there are many. */
static void test_many_sections(void **state)
{
	const double few = load_many(*state, 4000);
	const double many = load_many(*state, 24000);

	assert_true(many < 15 * few + 0.1);
}

/* "LINE: words" of every fault, one a line */
static char *faults(const struct config *c)
{
	struct buf b = BUF(1 << 20);
	size_t i;

	for (i = 0; i < c->errors; i++)
		buf_addf(&b, "%u: %s\n", c->error[i].line,
			 c->error[i].message);
	return buf_take(&b);
}

/* The same of the warnings, of a file without faults. */
static void check_warnings(struct place *p, const char *text,
			   const char *expected)
{
	struct buf got = BUF(1 << 20);
	struct config c;
	size_t i;

	load_good(p, text, &c);
	for (i = 0; i < c.warnings; i++)
		buf_addf(&got, "%u: %s\n", c.warning[i].line,
			 c.warning[i].message);
	assert_string_equal(buf_text(&got), expected);
	buf_release(&got);
	config_release(&c);
}

static void check_faults(struct place *p, const char *text,
			 const char *expected)
{
	struct config c;
	char *got;

	load_bytes(p, text, strlen(text), &c);
	got = faults(&c);
	assert_string_equal(got, expected);
	free(got);
	config_release(&c);
}

static void test_durations(void **state)
{
	static const struct { const char *text; int64_t ms; } rows[] = {
		{ "0", 0 }, { "0s", 0 }, { "30s", 30000 }, { "10m", 600000 },
		{ "1h30m", 5400000 }, { "7m30s", 450000 },
		{ "5d", 432000000 }, { "1w", 604800000 }, { "250ms", 250 },
		{ "1H", 3600000 },
		{ "", -1 }, { "10", -1 }, { "m", -1 }, { "1x", -1 },
		{ "-1s", -1 }, { "1 h", -1 }, { "1.5h", -1 },
		{ "99999999999999999999s", -1 },
		{ "9223372036854775807w", -1 },
		{ "9223372036854775807ms1ms", -1 },
	};
	int64_t ms;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		ms = -1;
		if (duration_parse(rows[i].text, &ms) !=
		    (rows[i].ms >= 0) || ms != rows[i].ms)
			fail_msg("%s gives %lld", rows[i].text, (long long)ms);
	}
}

static void test_sizes(void **state)
{
	static const struct { const char *text; int64_t bytes; } rows[] = {
		{ "0", 0 }, { "1000", 1000 }, { "500K", 512000 },
		{ "25M", 26214400 }, { "1g", 1073741824 },
		{ "", -1 }, { "M", -1 }, { "1T", -1 }, { "1M5K", -1 },
		{ "-1", -1 }, { "9223372036854775807K", -1 },
	};
	int64_t bytes;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		bytes = -1;
		if (size_parse(rows[i].text, &bytes) !=
		    (rows[i].bytes >= 0) || bytes != rows[i].bytes)
			fail_msg("%s gives %lld", rows[i].text,
				 (long long)bytes);
	}
}

static void test_defaults(void **state)
{
	struct place *p = *state;
	struct config c;

	load_good(p, "", &c);
	assert_string_equal(c.path, p->file);
	assert_false(c.user_file);
	assert_true(c.general.hostname[0]);
	assert_string_equal(c.general.domain, c.general.hostname);
	assert_true(c.general.dot_ends_message);
	assert_int_equal(c.general.timeout, 600000);
	assert_int_equal(c.general.connect_timeout, 30000);
	assert_int_equal(c.general.max_message_size, 0);
	assert_string_equal(c.log.to, "syslog");
	assert_int_equal(c.log.level, LOG_AT_INFO);
	assert_int_equal(c.queue.queue, QUEUE_UNSET);
	/* a file that somebody names has a queue only where it says so */
	assert_true(c.named_file);
	assert_null(c.queue.directory);
	assert_int_equal(c.queue.steps, 7);
	assert_int_equal(c.queue.step[0], 450000);
	assert_int_equal(c.queue.step[6], 28800000);
	assert_int_equal(c.queue.lifetime, 432000000);
	assert_int_equal(c.queue.delay_report_after, 5);
	assert_int_equal(c.queue.concurrency, 10);
	assert_int_equal(c.queue.connections, 4);
	assert_int_equal(c.dns.dnssec, DNSSEC_AUTO);
	assert_int_equal(c.tls.minimum, TLS_1_2);
	assert_true(c.tls.mta_sts && c.tls.dane);
	assert_int_equal(c.tls.mta_sts_port, 443);
	config_release(&c);
}

static void test_values(void **state)
{
	static const char text[] =
		"[general]\n"
		"hostname = Mail.B\xc3\xbc" "cher.example\n"
		"domain=Example.ORG\n"
		"aliases =\n"
		"default_recipient = root\n"
		"[queue]\nqueue = always\nschedule = 0s\nschedule=1m,2m\n"
		"directory = /q\n"
		"[dns]\nresolver = 127.0.0.1:53, ::1 [::1]:5353\n"
		"[account web]\n"
		"user = www-data ann\nuser = bob\n"
		"match_from = A@Example.org .example.net . example.com\n"
		"from = joe\nfull_name = Joe ; Bloggs # x\n"
		"from_header = replace\nnotify = failure,delay\n"
		"return = hdrs\ndomain = sub.example.org\n"
		"[route a b]\n"
		"account = web\ndomain = X.example\nto_domain = .Example.org\n"
		"minimum_attempts = 1\ntransport = out, direct\n"
		"[route direct-one]\ntransport =\n"
		"[domain Example.org]\n"
		"dkim_selector = a b\ndkim_key = /k1 /k2\n"
		"[transport out]\n"
		"kind = submission\nhost = a.example [2001:db8::1] 192.0.2.1\n"
		"mechanisms = scram-sha-256 ntlm\n"
		"proxy = [::1]\nproxy_dns = no\nrate = 14/s, 10000/D\n"
		"fingerprint = "
		"AA:bb:AA:bb:AA:bb:AA:bb:AA:bb:AA:bb:AA:bb:AA:bb:"
		"AA:bb:AA:bb:AA:bb:AA:bb:AA:bb:AA:bb:AA:bb:AA:bb\n";
	struct place *p = *state;
	int64_t most[RATE_UNITS];
	struct config c;

	load_good(p, text, &c);
	assert_string_equal(c.general.hostname, "mail.xn--bcher-kva.example");
	assert_string_equal(c.general.domain, "example.org");
	assert_null(c.general.aliases);
	assert_string_equal(c.general.default_recipient, "root@example.org");
	assert_string_equal(c.queue.postmaster, "postmaster@example.org");
	assert_int_equal(c.queue.queue, QUEUE_ALWAYS);
	assert_int_equal(c.queue.steps, 3);
	assert_int_equal(c.queue.step[0], 0);
	assert_int_equal(c.queue.step[2], 120000);
	assert_string_equal(c.queue.directory, "/q");
	assert_string_equal(c.general.cache, "/q/mta-sts");
	assert_int_equal(c.dns.resolver.n, 3);
	assert_int_equal(c.account[0].user.n, 3);
	assert_string_equal(c.account[0].match_from.item[0], "A@example.org");
	assert_string_equal(c.account[0].match_from.item[1], ".example.net");
	assert_string_equal(c.account[0].match_from.item[2], ".");
	assert_string_equal(c.account[0].from, "joe@sub.example.org");
	assert_string_equal(c.account[0].full_name, "Joe ; Bloggs # x");
	assert_int_equal(c.account[0].from_header, FROM_REPLACE);
	assert_int_equal(c.account[0].notify, NOTIFY_FAILURE | NOTIFY_DELAY);
	assert_int_equal(c.account[0].dsn_return, RETURN_HDRS);
	assert_string_equal(c.route[0].name, "a b");
	assert_string_equal(c.route[0].domain, "x.example");
	assert_string_equal(c.route[0].to_domain.item[0], ".example.org");
	assert_int_equal(c.route[0].minimum_attempts, 1);
	assert_int_equal(c.route[0].transport.n, 2);
	assert_true(config_line(&c, "route", "transport", 1));
	assert_int_equal(c.route[1].transport.n, 0);
	assert_string_equal(c.domain[0].name, "example.org");
	assert_ptr_equal(config_domain(&c, "example.org"), &c.domain[0]);
	assert_ptr_equal(config_transport(&c, "out"), &c.transport[0]);
	assert_ptr_equal(config_transport(&c, "direct"), config_direct());
	assert_null(config_transport(&c, "nowhere"));
	assert_null(config_account(&c, "nobody"));
	assert_string_equal(c.transport[0].host.item[1], "2001:db8::1");
	assert_string_equal(c.transport[0].mechanisms.item[1], "NTLM");
	assert_true(transport_rates(&c.transport[0], most));
	assert_int_equal(most[RATE_SECOND], 14);
	assert_int_equal(most[RATE_MINUTE], 0);
	assert_int_equal(most[RATE_DAY], 10000);
	assert_false(transport_rates(config_direct(), most));
	assert_string_equal(c.transport[0].proxy.host, "::1");
	assert_int_equal(c.transport[0].proxy.port, 1080);
	assert_false(transport_proxy_dns(&c.transport[0]));
	assert_int_equal(transport_port(&c.transport[0]), 587);
	assert_int_equal(strlen(c.transport[0].fingerprint.item[0]), 64);
	assert_int_equal(strspn(c.transport[0].fingerprint.item[0], "ab"),
			 64);
	config_release(&c);
}

static void test_rates(void **state)
{
	static const struct {
		const char *text;
		int64_t most;          /* 0: it is not one */
		enum rate_unit unit;
	} row[] = {
		{ "1/s", 1, RATE_SECOND }, { "100/m", 100, RATE_MINUTE },
		{ "20/H", 20, RATE_HOUR }, { "2000/d", 2000, RATE_DAY },
		{ "1000000000/s", 1000000000, RATE_SECOND },
		{ "1000000001/s", 0, 0 }, { "0/s", 0, 0 }, { "14", 0, 0 },
		{ "14/", 0, 0 }, { "/s", 0, 0 }, { "14/sec", 0, 0 },
		{ "14/w", 0, 0 }, { "-1/s", 0, 0 }, { "1.5/s", 0, 0 },
		{ "99999999999999999999/s", 0, 0 }, { "", 0, 0 },
	};
	enum rate_unit unit;
	int64_t most;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(*row); i++) {
		bool good = rate_parse(row[i].text, &unit, &most);

		if (good != (row[i].most > 0) ||
		    (good && (most != row[i].most || unit != row[i].unit)))
			fail_msg("row %zu", i);
	}
	check_faults(*state, "[transport a]\nkind = smtp\nhost = h.test\n"
		 "rate = 14/s 1/m\nrate = 5/s\n"
		 "[transport b]\nkind = smtp\nhost = h.test\n"
		 "rate = fast\n"
		 "[transport c]\nkind = discard\nrate = 1/s\n",
		 "5: rate: \"5/s\" is not the first rate of its unit\n"
		 "9: rate: \"fast\" is not a rate (14/s, 100/m, 500/h, "
		 "2000/d)\n"
		 "12: rate has no use with kind discard\n");
}

static void test_kinds(void **state)
{
	static const struct { enum kind kind; unsigned port; bool dns; } rows[]
		= {
		{ KIND_DIRECT, 25, true }, { KIND_SUBMISSIONS, 465, true },
		{ KIND_SUBMISSION, 587, true }, { KIND_SMTP, 25, true },
		{ KIND_SOCKS, 25, false }, { KIND_LMTP, 24, true },
		{ KIND_MAILDIR, 0, true }, { KIND_COMMAND, 0, true },
		{ KIND_DISCARD, 0, true }, { KIND_FAIL, 0, true },
	};
	struct transport t;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		t = *config_direct();
		t.kind = (int)rows[i].kind;
		assert_int_equal(transport_port(&t), rows[i].port);
		assert_int_equal(transport_proxy_dns(&t), rows[i].dns);
		t.port = 2525;
		assert_int_equal(transport_port(&t), 2525);
	}
	assert_string_equal(config_direct()->name, "direct");
	assert_string_equal(kind_name(KIND_LMTP), "lmtp");
	for (i = 0; i < KINDS_N; i++) {
		assert_string_equal(kind_choices[i], kind_name((enum kind)i));
		/* what connects to nothing has neither a port nor TLS */
		assert_int_equal(kind_facts((int)i)->way == WAY_LOCAL,
				 !kind_has((int)i, CONNECTS));
		assert_int_equal(kind_facts((int)i)->way == WAY_LOCAL,
				 !kind_facts((int)i)->port);
		assert_int_equal(kind_facts((int)i)->way == WAY_LOCAL,
				 kind_facts((int)i)->tls == TLS_NEVER);
	}
	assert_null(kind_choices[i]);
}

static void test_local_kinds(void **state)
{
	check_faults(*state,
		"[transport a]\nkind = maildir\n[transport b]\n"
		"kind = command\n[transport c]\nkind = maildir\n"
		"path = Maildir\ncommand = x\nport = 25\n"
		"[transport d]\nkind = discard\nhost = h\nmessage = no\n"
		"[transport e]\nkind = smtp\nhost = h\npath = /m\n"
		"[transport f]\nkind = maildir\npath =\n",
		"1: [transport a] has no path\n"
		"3: [transport b] has no command\n"
		"7: path: \"Maildir\" is not the path of a directory (from / "
		"on)\n"
		"8: command has no use with kind maildir\n"
		"9: port has no use with kind maildir\n"
		"12: host has no use with kind discard\n"
		"13: message has no use with kind discard\n"
		"17: path has no use with kind smtp\n"
		"18: [transport f] has no path\n");
}

static void test_all_faults_at_once(void **state)
{
	check_faults(*state,
		"x = 1\n[general\ny = 2\n[general] junk\n[nope x]\na = b\n"
		"[general x]\n[account]\n[route direct]\ntransport =\n"
		"[general]\nhostname = a b\nbogus = 1\ntimeout = soon\n"
		"timeout = 3s\nindented\n = 5\nBad:key = 1\n"
		"dot_ends_message = maybe\nmax_message_size = big\n"
		"[log]\nto = here\nlevel = loud\n"
		"[route r]\naccount = who\ntransport = gone direct\n"
		"[route q]\n[queue]\nlifetime =\ndirectory = ./queue\n",
		"1: a key before any section\n"
		"2: not a section: it ends with one \"]\" and nothing after "
		"it\n"
		"4: not a section: it ends with one \"]\" and nothing after "
		"it\n"
		"5: unknown section [nope]\n"
		"7: [general] has no name\n"
		"8: [account] needs a name: [account NAME]\n"
		"9: no section may be named \"direct\"\n"
		"12: hostname: \"a b\" is not a domain\n"
		"13: unknown key \"bogus\" in [general]\n"
		"14: timeout: \"soon\" is not a duration (30s, 10m, 1h30m, "
		"5d)\n"
		"15: timeout is set again\n"
		"16: neither \"key = value\" nor \"[section]\"\n"
		"17: neither \"key = value\" nor \"[section]\"\n"
		"18: unknown key \"Bad:key\" in [general]\n"
		"19: dot_ends_message: \"maybe\" is not yes or no\n"
		"20: max_message_size: \"big\" is not a size (bytes, or as "
		"500K, 25M, 1G)\n"
		"22: to: \"here\" is not syslog, stderr, none or the path of "
		"a file (from / on)\n"
		"23: level: \"loud\" is not one of error, info, debug\n"
		"25: account: there is no [account who]\n"
		"26: transport: there is no [transport gone]\n"
		"27: [route q] has no transport (empty, or direct, for direct "
		"delivery)\n"
		"29: lifetime is empty\n"
		"30: directory: \"./queue\" is not the path of a directory "
		"(from / on)\n");
}

static void test_transport_faults(void **state)
{
	check_faults(*state,
		"[transport a]\nkind = submissions\nno_starttls = no\n"
		"starttls_insecure_skip_verify = yes\n"
		"[transport b]\nkind = direct\nhost = a.example\n"
		"[transport c]\nkind = fail\ncode = 399\nport = 25\n"
		"[transport d]\nkind = fail\ncode = 600\n"
		"[transport e]\nkind = socks\n"
		"[transport f]\nkind = smtp\nhost =\nport = 0\n"
		"[transport g]\nkind = lmtp\nhost = /run/lmtp\n"
		"proxy = localhost:99999\n"
		"[transport h]\nkind = submission\nhost = /run/smtp\n"
		"[transport i]\nkind = smtp\nhost = a.example:25\n"
		"fingerprint = abcd\nmechanisms = PLAIN FOO\nkey = /k\n"
		"source_address = lo\nip_family = ipv5\n"
		"[transport j k]\n"
		"[transport l]\nhost = a.example\n"
		"[domain example.org]\ndkim_selector = a b\ndkim_key = /k\n"
		"[domain a..b]\n"
		"[account x]\nmatch_from = a@b@\nfrom = <>\nnotify = never "
		"delay\n",
		"1: [transport a] has no host\n"
		"3: no_starttls has no use with kind submissions\n"
		"4: starttls_insecure_skip_verify has no use with kind "
		"submissions\n"
		"7: host has no use with kind direct\n"
		"10: code: \"399\" is not within 400 and 599\n"
		"11: port has no use with kind fail\n"
		"14: code: \"600\" is not within 400 and 599\n"
		"15: [transport e] has no address (of the SOCKS proxy)\n"
		"19: host names no host\n"
		"20: port: \"0\" is not within 1 and 65535\n"
		"24: proxy: \"localhost:99999\" is not HOST:PORT (IPv6 in "
		"brackets)\n"
		"27: host: a UNIX socket is for kinds smtp and lmtp\n"
		"30: host: \"a.example:25\" is not a host (its port has a key "
		"of its own)\n"
		"31: fingerprint: \"abcd\" is not a SHA-256 fingerprint (64 "
		"hexadecimal digits)\n"
		"32: mechanisms: \"FOO\" is not a known SASL mechanism\n"
		"33: key without certificate\n"
		"34: source_address: \"lo\" is not an IP address\n"
		"35: ip_family: \"ipv5\" is not one of any, ipv4, ipv6, "
		"prefer_ipv4, prefer_ipv6; did you mean ipv4?\n"
		"36: a transport's name has no blanks and no commas\n"
		"38: host has no use with kind direct\n"
		"39: [domain example.org] has 2 of dkim_selector and 1 of "
		"dkim_key\n"
		"42: \"a..b\" is not a domain\n"
		"44: match_from: \"a@b@\" is not an address\n"
		"45: from: \"<>\" is not an address\n"
		"46: notify: \"never delay\" is not \"never\" or a list of "
		"success, failure, delay\n");
}

/* Nothing can be sent to a link-local address whose interface is not said. */
static void test_link_local(void **state)
{
	check_faults(*state,
		"[dns]\nresolver = 192.0.2.53, fe80::53\n"
		"[transport a]\nkind = smtp\nhost = fe80::1\n"
		"source_address = fe80::2\nproxy = [fe80::3]:1080\n"
		"[transport b]\nkind = smtp\nhost = [febf::1]\n"
		"[transport c]\nkind = socks\naddress = fe80::3\n"
		"remote_ips = 192.0.2.1 fe80::4\n",
		"2: resolver: \"fe80::53\" is a link-local address without its "
		"interface (fe80::53%eth0, say)\n"
		"5: host: \"fe80::1\" is a link-local address without its "
		"interface\n"
		"6: source_address: \"fe80::2\" is a link-local address "
		"without its interface\n"
		"7: proxy: \"fe80::3\" is a link-local address without its "
		"interface\n"
		"10: host: \"febf::1\" is a link-local address without its "
		"interface\n"
		"13: address: \"fe80::3\" is a link-local address without its "
		"interface\n"
		"14: remote_ips: \"fe80::4\" is a link-local address without "
		"its interface\n");
	check_faults(*state,
		"[dns]\nresolver = [fe80::53]:5353 fe80::53%eth0\n",
		"2: resolver: \"fe80::53\" is a link-local address without its "
		"interface (fe80::53%eth0, say)\n");
}

#define HEX16 "0123456789abcdef"
#define NOT_HEX " is not a SHA-256 fingerprint (64 hexadecimal digits)\n"

/* What was meant is said where it can be guessed. */
static void test_login(void **state)
{
	struct place *p = *state;
	static const char base[] = "[transport a]\nkind = submission\n"
		"host = a.example\n";
	static const struct {
		const char *text, *oauth, *scope;
		int grant;
	} rows[] = {
		{ "oauth = Microsoft\n", "microsoft", NULL, GRANT_AUTO },
		{ "oauth = google\noauth_grant = authorization_code\n",
		  "google", NULL, GRANT_CODE },
		{ "oauth = HTTPS://login.example:8443/realms/a\n"
		  "oauth_scope = smtp,offline_access\noauth_scope = "
		  "https://mail.example/.default\noauth_grant = device_code\n",
		  "https://login.example:8443/realms/a",
		  "smtp offline_access https://mail.example/.default",
		  GRANT_DEVICE },
	};
	struct config c;
	char *text, *scope;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		text = mem_printf("%s%s", base, rows[i].text);
		load_good(p, text, &c);
		assert_string_equal(c.transport[0].oauth, rows[i].oauth);
		assert_int_equal(c.transport[0].oauth_grant, rows[i].grant);
		scope = list_join(&c.transport[0].oauth_scope, " ");
		assert_string_equal(scope, rows[i].scope ? rows[i].scope :
				    "");
		free(scope);
		free(text);
		config_release(&c);
	}
	check_faults(p,
		"[transport a]\nkind = submission\nhost = a.example\n"
		"oauth = http://login.example\noauth_scope = a\"b\n"
		"oauth_grant = password\n"
		"[transport b]\nkind = submission\nhost = a.example\n"
		"oauth = https://login.example/?a=b\n"
		"[transport c]\nkind = submission\nhost = a.example\n"
		"oauth = google\ntoken_command = x\n"
		"[transport d]\nkind = submission\nhost = a.example\n"
		"oauth_client_id = x\n"
		"[transport e]\nkind = submission\nhost = a.example\n"
		"oauth = https://login.example\n"
		"oauth_grant = client_credentials\n"
		"[transport f]\nkind = submission\nhost = a.example\n"
		"oauth = https://\n[transport g]\nkind = submission\n"
		"host = a.example\noauth = https://a@b\n"
		"[transport h]\noauth = google\n",
		"4: oauth: \"http://login.example\" is not microsoft, google "
		"or an https URL\n"
		"5: oauth_scope: \"a\"b\" is not a scope\n"
		"6: oauth_grant: \"password\" is not one of auto, "
		"device_code, authorization_code, client_credentials\n"
		"10: oauth: \"https://login.example/?a=b\" is not an "
		"issuer's URL (host and path alone)\n"
		"14: oauth contradicts token_command\n"
		"19: oauth_client_id without oauth\n"
		"23: oauth_grant = client_credentials needs oauth_client_id "
		"and oauth_client_secret_file\n"
		"28: oauth: \"https://\" is not microsoft, google or an "
		"https URL\n"
		"32: oauth: \"https://a@b\" is not an issuer's URL (host and "
		"path alone)\n"
		"34: oauth has no use with kind direct\n");
}

static void test_suggestions(void **state)
{
#define COMMA_KIND(constant, name, ...) #name ", "
	static const char kinds[] = KINDS(COMMA_KIND);
	const int n = (int)strlen(kinds) - 2;
	char *faults = mem_printf(
		"1: unknown section [Account]: it is written in small "
		"letters, [account]\n"
		"3: unknown section [transports]: did you mean [transport]?\n"
		"5: unknown key \"Kind\" in [transport]: keys are written in "
		"small letters, kind\n"
		"6: unknown key \"user\" in [transport]: did you mean "
		"username?\n"
		"7: unknown key \"passwordfile\" in [transport]: did you mean "
		"password_file?\n"
		"8: unknown key \"server\" in [transport]: did you mean host?\n"
		"9: unknown key \"domain\" in [transport]: it belongs in "
		"[general]\n"
		"10: unknown key \"xyzzy\" in [transport]\n"
		"11: unknown key \"pasword\" in [transport]: did you mean "
		"password?\n"
		"12: unknown key \"ssl\" in [transport]: did you mean kind?\n"
		"13: unknown key \"force_from\" in [transport]: it belongs in "
		"[account NAME]\n"
		/* and nothing follows from a kind that is not known */
		"15: kind: \"smtps\" is not one of %.*s; did you "
		"mean submissions?\n"
		"19: kind: \"submision\" is not one of %.*s; did you "
		"mean submission?\n"
		"21: level: \"debugg\" is not one of error, info, debug; did "
		"you mean debug?\n"
		"23: unknown key \"Host\" in [general]: did you mean "
		"hostname?\n",
		n, kinds, n, kinds);

	check_faults(*state,
		"[Account]\nx = 1\n[transports x]\n"
		"[transport a]\nKind = smtp\nuser = me\npasswordfile = /p\n"
		"server = s\ndomain = d\nxyzzy = 1\npasword = p\n"
		"ssl = yes\nforce_from = yes\n"
		"[transport b]\nkind = smtps\nhost = b\nport = 465\n"
		"[transport c]\nkind = submision\n"
		"[log]\nlevel = debugg\n"
		"[general]\nHost = x\n",
		faults);
	free(faults);
}

static void test_quotes(void **state)
{
	check_faults(*state,
		"[account a]\nfrom = \"a@x.example\"\nuser = 'www-data'\n"
		"[route r]\ntransport = \"t\"\n"
		"[transport t]\nkind = \"smtp\"\nhost = \"h.example\"\n"
		"port = \"25\"\nca_file = \"/ca.pem\"\n"
		"[general]\ntimeout = '10s'\n",
		"2: from: values are written without quotes\n"
		"3: user: values are written without quotes\n"
		"5: transport: values are written without quotes\n"
		"7: kind: values are written without quotes\n"
		"8: host: values are written without quotes\n"
		"9: port: values are written without quotes\n"
		"10: ca_file: values are written without quotes\n"
		"12: timeout: values are written without quotes\n");
	check_warnings(*state,
		"[account a]\nfull_name = \"Alice Example\"\n"
		"[account b]\nfull_name = \"Al\" Example\n"
		"[account c]\nfrom = \"a b\"@x.example\n"
		"[route r]\ntransport = t\n"
		"[transport t]\nkind = smtp\nhost = h\npassword = 'p#w'\n",
		"2: full_name: the quotes are part of the value; values are "
		"written without\n"
		"12: password: the quotes are part of the value; values are "
		"written without\n");
}

static void test_warnings(void **state)
{
	check_warnings(*state,
		"[account a]\nredirect = Alice <a@x.example>\n"
		"[route r]\ntransport = t u\n"
		"[transport t]\nkind = submission\nhost = h\nport = 465\n"
		"[transport u]\nkind = submissions\nhost = h\nport = 587\n"
		"[transport v]\nkind = submissions\nhost = h\nport = 465\n",
		"2: redirect: the address alone counts\n"
		"8: port: servers expect TLS from the start on port 465: that "
		"is kind = submissions\n"
		"12: port: servers expect STARTTLS on port 587: that is kind = "
		"submission\n"
		"13: no route uses [transport v]\n");
	check_warnings(*state,
		"[transport prov]\nkind = smtp\nhost = h\n",
		"1: no route uses [transport prov]: mail goes directly to the "
		"hosts of each recipient's domain (a [route NAME] with "
		"transport = NAME is missing)\n");
}

#define PIN "abababababababababababababababababababababababababababababababab"

static void test_no_effect(void **state)
{
	check_warnings(*state,
		"[route r]\ntransport = a b c d e f g h\n"
		"[transport a]\nkind = submission\nhost = h\n"
		"no_starttls = yes\n"
		"fingerprint = " PIN "\nca_file = /ca.pem\ntls_name = n\n"
		"[transport b]\nkind = lmtp\nhost = h\nca_file = /ca.pem\n"
		"starttls_insecure_skip_verify = yes\n"
		"proxy_username = u\nproxy_dns = no\n"
		"[transport c]\nkind = submissions\nhost = d.example\n"
		"srv = yes\nport = 465\n"
		/* these have */
		"[transport d]\nkind = direct\nno_starttls = yes\n"
		"[transport e]\nkind = smtp\nhost = h\nca_file = /ca.pem\n"
		"starttls_insecure_skip_verify = yes\nfingerprint = " PIN "\n"
		"[transport f]\nkind = smtp\nhost = h\nproxy_dns = no\n"
		"proxy = p.example\ntls_name = n\n"
		"[transport g]\nkind = socks\naddress = p.example\n"
		"proxy_username = u\n"
		/* these have not */
		"[transport h]\nkind = lmtp\nhost = /s\nca_file = /ca.pem\n"
		"starttls_insecure_skip_verify = yes\n",
		"7: fingerprint has no effect with no_starttls\n"
		"8: ca_file has no effect with no_starttls\n"
		"9: tls_name has no effect with no_starttls\n"
		"13: ca_file has no effect with "
		"starttls_insecure_skip_verify\n"
		"15: proxy_username has no effect without proxy\n"
		"16: proxy_dns has no effect without proxy\n"
		"21: port has no effect with srv: the records name the port\n"
		"44: ca_file has no effect on a UNIX socket\n"
		"45: starttls_insecure_skip_verify has no effect on a UNIX "
		"socket\n");
}

static void check_author(struct place *p, const char *lines, const char *from,
			 const char *full_name)
{
	struct config c;
	char text[512];

	snprintf(text, sizeof(text), "[general]\ndomain = d.example\n"
		 "[account a]\n%s", lines);
	load_good(p, text, &c);
	assert_string_equal(c.account[0].from, from);
	if (full_name)
		assert_string_equal(c.account[0].full_name, full_name);
	else
		assert_null(c.account[0].full_name);
	config_release(&c);
}

/* A name beside the address is the full name where no other is set; both may
 * be patterns. */
static void test_author(void **state)
{
	static const char bad[] = "[account a]\nfrom = %x@y\n"
		"full_name = 100%\n[account b]\nfrom = @%H\nbcc = a@@b\n";
	struct config c;
	char *text;

	check_author(*state, "from = A@X.Example\n", "A@x.example", NULL);
	check_author(*state, "from = Alice Example <a@X>\n", "a@x",
		     "Alice Example");
	check_author(*state, "from = \"Alice, E.\" <a>\nfull_name = B\n",
		     "a@d.example", "B");
	check_author(*state, "from = <a@x>\n", "a@x", NULL);
	check_author(*state, "from = %u@%H\nfull_name = %u on %h, 100%%\n",
		     "%u@%H", "%u on %h, 100%%");
	check_author(*state, "from = %u at %h <%u>\n", "%u@d.example",
		     "%u at %h");
	assert_false(load_bytes(*state, bad, sizeof(bad) - 1, &c));
	text = faults(&c);
	assert_string_equal(text,
		"2: from: after % only u, h, H or % may stand\n"
		"3: full_name: after % only u, h, H or % may stand\n"
		"5: from: \"@host.example\" is not an address\n"
		"6: bcc: \"a@@b\" is not an address\n");
	free(text);
	config_release(&c);
}

static void test_identity(void **state)
{
	static const struct {
		const char *pattern, *want;
	} rows[] = {
		{ "", "" }, { "x", "x" }, { "%u", "joe" }, { "%h", "web1" },
		{ "%H", "web1.example.org" }, { "%%u", "%u" }, { "%", "%" },
		{ "%u@%H %%", "joe@web1.example.org %" },
	};
	size_t i;
	char *got;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		got = identity_expand(rows[i].pattern, "joe",
				      "web1.example.org");
		assert_string_equal(got, rows[i].want);
		free(got);
	}
}

/* What this machine is called does not count here. */
static char *local_names(struct place *p, const char *text)
{
	char raw[256] = "", *names;
	struct config c;
	struct list l = { 0 };
	size_t i;

	gethostname(raw, sizeof(raw) - 1);
	load_good(p, text, &c);
	for (i = 0; i < c.general.local_names.n; i++)
		if (strncasecmp(c.general.local_names.item[i], raw,
				strcspn(raw, ".")))
			list_add(&l, c.general.local_names.item[i]);
	names = list_join(&l, " ");
	list_release(&l);
	config_release(&c);
	return names;
}

static void test_local_names(void **state)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "hostname = n1.example.org\n",
		  "localhost localhost.localdomain n1.example.org n1" },
		{ "hostname = n1.example.org.\ndomain = example.org\n",
		  "localhost localhost.localdomain n1.example.org n1" },
		{ "hostname = example.org\ndomain = Example.org\n",
		  "localhost localhost.localdomain example" },
		{ "hostname = n1\n",
		  "localhost localhost.localdomain n1" },
		{ "hostname = n1.example.org\n[account a]\n"
		  "domain = n1.example.org\n",
		  "localhost localhost.localdomain n1" },
		{ "hostname = n1.example.org\nlocal_names = A.example b\n",
		  "a.example b" },
		{ "hostname = n1.example.org\nlocal_names =\n", "" },
	};
	char text[512], *got;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		snprintf(text, sizeof(text), "[general]\n%s", rows[i].text);
		got = local_names(*state, text);
		assert_string_equal(got, rows[i].want);
		free(got);
	}
}

static const char *full_name_known;

static char *canonical(const char *name)
{
	assert_null(strchr(name, '.'));
	return full_name_known ? mem_string(full_name_known) : NULL;
}

/* In a child whose host has another name. 77: that is not permitted here. */
static int with_hostname(struct place *p, const char *host, const char *full,
			 const char *mailname, const char *want,
			 const char *want_domain)
{
	struct config_place place = {
		.file = p->file, .queue_directory = "/var/spool/posthaste",
		.canonical_name = canonical,
		.mailname = mailname ? p->dir : NULL,
	};
	char path[128];
	struct outcome why;
	struct config c;

	if ((unshare(CLONE_NEWUTS) &&
	     unshare(CLONE_NEWUSER | CLONE_NEWUTS)) ||
	    sethostname(host, strlen(host)))
		return 77;
	snprintf(path, sizeof(path), "%s/secret", p->dir);
	if (mailname) {
		write_to(path, mailname, strlen(mailname), 0644);
		place.mailname = path;
	}
	full_name_known = full;
	if (!config_load(&place, &c, &why))
		return 1;
	if (c.general.nameless != !want)
		return 2;
	if (want && strcmp(c.general.hostname, want))
		return 3;
	return strcmp(c.general.domain, want_domain) ? 4 : 0;
}

static void test_hostname(void **state)
{
	static const struct {
		const char *host, *full, *mailname, *want, *domain;
	} rows[] = {
		{ "web01", "web01.example.org", NULL, "web01.example.org",
		  "web01.example.org" },
		{ "web01", "Web01.Example.Org.", NULL, "web01.example.org",
		  "web01.example.org" },
		{ "web01", NULL, NULL, "web01", "web01" },
		{ "web01", "web01", NULL, "web01", "web01" },
		{ "web01", "localhost", NULL, "web01", "web01" },
		{ "web01", "localhost.localdomain", NULL, "web01", "web01" },
		{ "web01.example.org.", NULL, NULL, "web01.example.org",
		  "web01.example.org" },
		{ "web01.example.org", "no.example", NULL,
		  "web01.example.org", "web01.example.org" },
		{ "web_01", NULL, NULL, NULL, "localhost" },
		{ "web_01", "web01.example.org", NULL, "web01.example.org",
		  "web01.example.org" },
		{ "-web", NULL, NULL, NULL, "localhost" },
		{ "(none)", NULL, NULL, NULL, "localhost" },
		{ "192.0.2.1", NULL, NULL, NULL, "localhost" },
		{ "a..b", NULL, NULL, NULL, "localhost" },
		{ "(none)", NULL, "m.example\n", NULL, "m.example" },
		{ "web01", NULL, "M.Example.\nx\n", "web01", "m.example" },
		{ "web01", NULL, "not a domain\n", "web01", "web01" },
		{ "web01", NULL, "\nm.example\n", "web01", "web01" },
		{ "web01", NULL, " m.example \r\n", "web01", "m.example" },
		{ "web01", NULL, "a@c\n", "web01", "web01" },
	};
	struct place *p = *state;
	int status;
	size_t i;
	pid_t child;

	write_to(p->file, "", 0, 0600);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		child = fork();
		if (!child)
			_exit(with_hostname(p, rows[i].host, rows[i].full,
					    rows[i].mailname, rows[i].want,
					    rows[i].domain));
		assert_int_equal(waitpid(child, &status, 0), child);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
			skip();
		if (status)
			fail_msg("row %zu: %d", i, WEXITSTATUS(status));
	}
}

/* For containers, where no file is. */
static void test_environment(void **state)
{
	static const struct {
		const char *url;
		const char *expected;  /* kind host:port user, or a fault */
	} rows[] = {
		{ "submissions://me@mail.example.org",
		  "submissions mail.example.org:465 me" },
		{ "SUBMISSION://me%40x.example@mail.example.org:2525/",
		  "submission mail.example.org:2525 me@x.example" },
		{ "smtp://[2001:db8::1]:26", "smtp 2001:db8::1:26 -" },
		{ "smtp://[2001:db8::1]", "smtp 2001:db8::1:25 -" },
		{ "smtp://a@b@host", "smtp host:25 a@b" },
		{ "smtps://host", "0: it begins with submissions://, "
		  "submission:// or smtp://" },
		{ "smtp://u:p@host", "0: a password has no place in a URL, "
		  "which everybody can see: put it into a file and name that "
		  "in POSTHASTE_PASSWORD_FILE" },
		{ "smtp://", "0: its host is not understood" },
		{ "smtp://@host", "0: its user is not understood" },
		{ "smtp://a%zz@host", "0: its user is not understood" },
		{ "smtp://a%0ab@host", "0: its user is not understood" },
		{ "smtp://host?x=1", "0: nothing follows the host and its "
		  "port" },
		{ "smtp://host\n[tls]", "0: a control character" },
		{ "smtp://host:", "0: port is empty" },
		{ "smtp://host:99999",
		  "0: port: \"99999\" is not within 1 and 65535" },
	};
	struct place *p = *state;
	struct config_place place = { .system_file = "/nonexistent/c",
				      .queue_directory = "/nonexistent/q" };
	struct outcome why;
	struct config c;
	char got[300];
	size_t i;

	setenv("XDG_CONFIG_HOME", p->dir, 1);
	setenv("POSTHASTE_PASSWORD_FILE", "/run/secrets/mail", 1);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		setenv("POSTHASTE_URL", rows[i].url, 1);
		if (config_load(&place, &c, &why)) {
			assert_string_equal(c.transport[0].password_file,
					    "/run/secrets/mail");
			assert_int_equal(c.queue.queue, QUEUE_NEVER);
			assert_null(c.queue.directory);
			assert_string_equal(c.log.to, "stderr");
			snprintf(got, sizeof(got), "%s %s:%u %s",
				 kind_name((enum kind)c.transport[0].kind),
				 c.transport[0].host.item[0],
				 transport_port(&c.transport[0]),
				 c.transport[0].username ?
				 c.transport[0].username : "-");
		} else {
			snprintf(got, sizeof(got), "%u: %s", c.error[0].line,
				 c.error[0].message);
		}
		assert_string_equal(got, rows[i].expected);
		config_release(&c);
	}
	setenv("POSTHASTE_FROM", "web@x.example", 1);
	setenv("POSTHASTE_URL", "smtp://host", 1);
	assert_true(config_load(&place, &c, &why));
	assert_string_equal(c.path, "POSTHASTE_URL");
	assert_string_equal(config_account(&c, "default")->from,
			    "web@x.example");
	assert_string_equal(c.route[0].transport.item[0], "url");
	config_release(&c);
	unsetenv("POSTHASTE_URL");
	unsetenv("POSTHASTE_FROM");
	unsetenv("POSTHASTE_PASSWORD_FILE");
}

static void test_fingerprints(void **state)
{
	check_faults(*state,
		"[transport a]\nkind = smtp\nhost = a.example\n"
		"fingerprint = " HEX16 HEX16 HEX16 HEX16 "\n"
		"fingerprint = " HEX16 HEX16 HEX16 HEX16 HEX16 "\n"
		"fingerprint = " HEX16 HEX16 HEX16 "0123456789abcde\n"
		"fingerprint = " HEX16 HEX16 HEX16 "0123456789abcdeg\n"
		"fingerprint = :" HEX16 HEX16 HEX16 HEX16 "\n",
		"5: fingerprint: \"" HEX16 HEX16 HEX16 HEX16 HEX16 "\" is "
		"not a SHA-256 fingerprint (64 hexadecimal digits)\n"
		"6: fingerprint: \"" HEX16 HEX16 HEX16 "0123456789abcde\""
		NOT_HEX
		"7: fingerprint: \"" HEX16 HEX16 HEX16 "0123456789abcdeg\""
		NOT_HEX
		"8: fingerprint: \":" HEX16 HEX16 HEX16 HEX16 "\"" NOT_HEX);
}

static void test_sections_go_on(void **state)
{
	struct place *p = *state;
	struct config c;

	load_good(p, "[account a]\nuser = x\n[general]\n[account a]\n"
		     "user = y\nfull_name = n\n", &c);
	assert_int_equal(c.accounts, 1);
	assert_int_equal(c.account[0].user.n, 2);
	assert_int_equal(c.account[0].line, 1);
	config_release(&c);
	check_faults(p, "[account a]\nfull_name = x\n[account a]\n"
			"full_name = y\n", "4: full_name is set again\n");
}

static void test_line_shapes(void **state)
{
	static const char text[] =
		"\xef\xbb\xbf; comment\r\n# another\r\n"
		"  [transport t]  \r\n"
		"kind=smtp\r\n   host =  a.example  \t\r\n"
		"username = a:b;c ;d #e = f\r\n"
		"; latin-1 in a comment: \xe9\r\n"
		"message_less";
	struct place *p = *state;
	struct config c;
	char *got;

	load_bytes(p, text, sizeof(text) - 1, &c);
	assert_string_equal(c.transport[0].host.item[0], "a.example");
	assert_string_equal(c.transport[0].username, "a:b;c ;d #e = f");
	got = faults(&c);
	assert_string_equal(got, "8: neither \"key = value\" nor "
				 "\"[section]\"\n");
	free(got);
	config_release(&c);
}

static void test_bad_bytes(void **state)
{
	static const char text[] =
		"[account a]\nfull_name = a\0b\n[account b]\n"
		"full_name = a\033[31m\n[account c]\nfull_name = caf\xe9\n"
		"[account \1d]\nfull_name = a\rb\n";
	struct config c;
	char *got;

	assert_false(load_bytes(*state, text, sizeof(text) - 1, &c));
	got = faults(&c);
	assert_string_equal(got,
			    "2: a control character (octal 000)\n"
			    "4: a control character (octal 033)\n"
			    "6: not valid UTF-8\n"
			    "7: a control character (octal 001)\n"
			    "8: a control character (octal 015)\n");
	free(got);
	config_release(&c);
}

/* Longer by far than any buffer of a parser. */
static void test_long_lines(void **state)
{
	enum { LONG = 3 << 20 };
	struct buf text = BUF(LONG + 4096);
	char name[201];
	struct config c;
	size_t i;

	memset(name, 'n', 200);
	name[200] = '\0';
	for (i = 0; i < 3; i++)
		buf_addf(&text, "[account %s%zu]\nfull_name = %zu\n", name, i,
			 i);
	buf_adds(&text, "[transport t]\nkind = fail\nmessage = ");
	memset(buf_room(&text, LONG), 'x', LONG);
	text.len += LONG;
	buf_adds(&text, "\n[log]\nto = none");
	assert_true(load_bytes(*state, text.data, text.len, &c));
	assert_int_equal(c.accounts, 3);
	assert_string_equal(c.account[2].full_name, "2");
	assert_int_equal(strlen(c.account[2].name), 201);
	assert_int_equal(strlen(c.transport[0].message), LONG);
	assert_string_equal(c.log.to, "none");
	config_release(&c);
	buf_release(&text);
}

static void test_many_faults(void **state)
{
	struct buf text = BUF(1 << 20);
	struct config c;
	size_t i;

	for (i = 0; i < 5000; i++)
		buf_adds(&text, "junk\n");
	assert_false(load_bytes(*state, text.data, text.len, &c));
	assert_int_equal(c.errors, 1001);
	config_release(&c);
	buf_release(&text);
}

static void test_permissions(void **state)
{
	static const char text[] =
		"[transport t]\nkind = smtp\nhost = a.example\n"
		"password = x\nproxy = p\nproxy_password = y\n";
	struct place *p = *state;
	char other[256], *got, secret[128];
	struct config c;

	load_good(p, text, &c);
	config_release(&c);
	write_to(p->file, text, sizeof(text) - 1, 0640);
	assert_true(load(p->file, &c));
	config_release(&c);
	write_to(p->file, text, sizeof(text) - 1, 0604);
	assert_false(load(p->file, &c));
	got = faults(&c);
	assert_string_equal(got,
			    "4: password: this file can be read by others "
			    "(chmod o-r)\n"
			    "6: proxy_password: this file can be read by "
			    "others (chmod o-r)\n");
	free(got);
	config_release(&c);

	snprintf(secret, sizeof(secret), "%s/secret", p->dir);
	snprintf(other, sizeof(other), "[transport t]\nkind = smtp\n"
		 "host = a.example\npassword_file = %s\n", secret);
	write_to(p->file, other, strlen(other), 0644);
	assert_true(load(p->file, &c));
	config_release(&c);
	write_to(secret, "x", 1, 0644);
	assert_false(load(p->file, &c));
	assert_int_equal(c.error[0].line, 4);
	config_release(&c);
	write_to(secret, "x", 1, 0640);
	assert_true(load(p->file, &c));
	config_release(&c);
}

static void test_no_file(void **state)
{
	struct config c;
	char *got;

	(void)state;
	assert_false(load("/nonexistent/c.conf", &c));
	got = faults(&c);
	assert_string_equal(got, "0: No such file or directory\n");
	free(got);
	config_release(&c);
	assert_false(load("/", &c));
	config_release(&c);
	assert_true(load("/dev/null", &c));
	config_release(&c);
}

static void test_search(void **state)
{
	struct place *p = *state;
	char user[128], system[128], expected[160];
	struct config_place place = { .system_file = system,
				      .queue_directory = "/q" };
	struct outcome why;
	struct config c;

	snprintf(user, sizeof(user), "%s/posthaste.conf", p->dir);
	snprintf(system, sizeof(system), "%s/system.conf", p->dir);
	setenv("XDG_CONFIG_HOME", p->dir, 1);
	setenv("XDG_STATE_HOME", p->dir, 1);
	setenv("XDG_CACHE_HOME", "relative", 1);
	setenv("HOME", p->dir, 1);

	assert_true(config_load(&place, &c, &why));
	assert_null(c.path);
	assert_string_equal(c.queue.directory, "/q");
	config_release(&c);

	write_to(system, "", 0, 0644);
	assert_true(config_load(&place, &c, &why));
	assert_string_equal(c.path, system);
	assert_false(c.user_file);
	config_release(&c);

	write_to(user, "", 0, 0644);
	assert_true(config_load(&place, &c, &why));
	assert_string_equal(c.path, user);
	assert_true(c.user_file);
	snprintf(expected, sizeof(expected), "%s/posthaste/queue", p->dir);
	assert_string_equal(c.queue.directory, expected);
	snprintf(expected, sizeof(expected), "%s/.cache/posthaste", p->dir);
	assert_string_equal(c.general.cache, expected);
	config_release(&c);

	/* by -C they are what they are without */
	place.file = user;
	assert_true(config_load(&place, &c, &why));
	assert_true(c.user_file && !c.named_file);
	config_release(&c);
	place.file = system;
	assert_true(config_load(&place, &c, &why));
	assert_false(c.user_file || c.named_file);
	assert_string_equal(c.queue.directory, "/q");
	config_release(&c);
	place.file = p->file;
	write_to(p->file, "", 0, 0644);
	assert_true(config_load(&place, &c, &why));
	assert_true(c.named_file);
	assert_null(c.queue.directory);
	config_release(&c);
	write_to(p->file, "[queue]\ndirectory = /r\n", 23, 0644);
	assert_true(config_load(&place, &c, &why));
	assert_string_equal(c.queue.directory, "/r");
	assert_string_equal(c.general.cache, "/r/mta-sts");
	config_release(&c);

	/* a link that leads nowhere is a file that cannot be read, and does
	 * not give way to the system's */
	place.file = NULL;
	unlink(user);
	assert_int_equal(symlink("/nonexistent/x", user), 0);
	assert_false(config_load(&place, &c, &why));
	assert_true(c.user_file);
	config_release(&c);
	/* nor does a pipe, which would keep us waiting */
	unlink(user);
	assert_int_equal(mkfifo(user, 0600), 0);
	assert_false(config_load(&place, &c, &why));
	config_release(&c);
}

/* Each way to write that something is off, wherever 0 says it. */
static void test_off(void **state)
{
	static const char *const words[] = { "0", "off", "no", "never", "none",
					     "false", "Never" };
	struct buf text = BUF(1024);
	struct config c;
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(*words); i++) {
		buf_addf(&text, "[general]\nmax_message_size = %s\n"
			 "[queue]\ndelay_report_after = %s\n"
			 "alarm_after = %s\n", words[i], words[i], words[i]);
		load_good(*state, buf_text(&text), &c);
		assert_int_equal(c.general.max_message_size, 0);
		assert_int_equal(c.queue.delay_report_after, 0);
		assert_int_equal(c.queue.alarm_after, 0);
		config_release(&c);
		buf_reset(&text);
	}
	buf_release(&text);
	check_faults(*state, "[queue]\nlifetime = off\n",
		     "2: lifetime: \"off\" is not a duration (30s, 10m, "
		     "1h30m, 5d)\n");
}

static void test_reads_back(void **state)
{
	static const char text[] =
		"[general]\nhostname = h.example\nmax_message_size = 25M\n"
		"aliases =\ntimeout = 90s\n[queue]\nqueue = never\n"
		"[account a]\nuser = x y\nnotify = never\nreturn = full\n"
		"[domain d.example]\ndkim_selector = s\ndkim_key = /k\n"
		"[route r]\ntransport =\n[route s]\ntransport = t u v\n"
		"[transport t]\nkind = submissions\nhost = a.example ::1\n"
		"password = geheim\nproxy = p\nproxy_password = streng\n"
		"[transport u]\nkind = socks\naddress = p:99\n"
		"[transport v]\nkind = fail\ncode = 450\nmessage = a ; b\n"
		"[transport w]\nkind = lmtp\nhost = /run/lmtp\n"
		"no_starttls = yes\n[transport x]\n";
	struct buf one = BUF(1 << 16), two = BUF(1 << 16);
	struct place *p = *state;
	struct config c;

	load_good(p, text, &c);
	config_print(&c, &one);
	config_release(&c);
	assert_null(strstr(buf_text(&one), "geheim"));
	assert_null(strstr(buf_text(&one), "streng"));
	load_good(p, buf_text(&one), &c);
	config_print(&c, &two);
	assert_string_equal(buf_text(&one), buf_text(&two));
	assert_non_null(strstr(buf_text(&two), "\nmessage = a ; b\n"));
	assert_non_null(strstr(buf_text(&two), "\ntimeout = 1m30s\n"));
	buf_reset(&two);
	config_print_json(&c, &two);
	assert_null(strstr(buf_text(&two), "geheim"));
	assert_non_null(strstr(buf_text(&two), "\"code\":450"));
	assert_non_null(strstr(buf_text(&two), "\"host\":[\"a.example\","));
	assert_non_null(strstr(buf_text(&two), "\"errors\":[],"
					       "\"warnings\":["));
	config_release(&c);
	buf_release(&one);
	buf_release(&two);
}

/* What the manual page is held against. */
static void test_table(void **state)
{
	const struct config_key *k;
	size_t i;

	(void)state;
	for (i = 0; (k = key_at(i)); i++) {
		assert_true(section_name(k->section)[0] && k->key[0]);
		assert_true(k->help[0]);
		assert_non_null(k->fallback);
	}
	assert_true(i > 70);
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_sizes),
		TEST(test_defaults),
		TEST(test_values),
		TEST(test_rates),
		cmocka_unit_test(test_kinds),
		TEST(test_local_kinds),
		TEST(test_all_faults_at_once),
		TEST(test_transport_faults),
		TEST(test_link_local),
		TEST(test_login),
		TEST(test_suggestions),
		TEST(test_quotes),
		TEST(test_warnings),
		TEST(test_no_effect),
		TEST(test_author),
		cmocka_unit_test(test_identity),
		TEST(test_local_names),
		TEST(test_hostname),
		TEST(test_environment),
		TEST(test_fingerprints),
		TEST(test_sections_go_on),
		TEST(test_line_shapes),
		TEST(test_bad_bytes),
		TEST(test_long_lines),
		TEST(test_many_faults),
		TEST(test_permissions),
		cmocka_unit_test(test_no_file),
		TEST(test_search),
		TEST(test_reads_back),
		TEST(test_off),
		cmocka_unit_test(test_table),
		TEST(test_many_sections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
