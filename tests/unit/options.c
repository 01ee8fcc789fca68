/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/options_table.h"

/* One command line, in words separated by "|", and what must come of it in
 * the words of describe(); "64 ..." with the words of the failure. */
struct row {
	const char *argv;
	const char *expected;
};

enum { WORDS_MAX = 32 };

static int split(char *text, char **argv)
{
	int n = 0;

	for (;;) {
		assert_true(n < WORDS_MAX);
		argv[n++] = text;
		text = strchr(text, '|');
		if (!text)
			break;
		*text++ = '\0';
	}
	argv[n] = NULL;
	return n;
}

static const char *const commands[] = {
	[COMMAND_SEND] = "send", [COMMAND_SMTPD] = "smtpd",
	[COMMAND_LIST] = "list", [COMMAND_NEWALIASES] = "newaliases",
	[COMMAND_RUN] = "run", [COMMAND_CHECK] = "check",
	[COMMAND_EXPLAIN] = "explain", [COMMAND_PROBE] = "probe",
	[COMMAND_HEALTH] = "health",
	[COMMAND_DNSCHECK] = "dnscheck", [COMMAND_CONFIGURE] = "configure",
	[COMMAND_SETUP] = "setup", [COMMAND_STORE_PASSWORD] = "store",
	[COMMAND_LOGIN] = "login",
	[COMMAND_SHOW] = "show", [COMMAND_HOLD] = "hold",
	[COMMAND_RELEASE] = "release", [COMMAND_REMOVE] = "remove",
	[COMMAND_RETRY] = "retry", [COMMAND_HELP] = "help",
	[COMMAND_VERSION] = "version",
};

static void add_string(struct buf *b, const char *name, const char *value)
{
	if (value)
		buf_addf(b, " %s=<%s>", name, value);
}

static void add_flag(struct buf *b, const char *name, bool value)
{
	if (value)
		buf_addf(b, " %s", name);
}

static void describe(struct buf *b, const struct options *o)
{
	static const char *const modes[] = { "", " now", " background",
					     " queue" };
	size_t i;

	buf_adds(b, commands[o->command]);
	add_string(b, "arg", o->argument);
	if (o->selection.field)
		buf_addf(b, " %s%c<%s>", o->selection.negated ? "!" : "",
			 o->selection.field, o->selection.substring);
	add_flag(b, "t", o->recipients_from_header);
	add_flag(b, "i", o->ignore_dots);
	add_flag(b, "F@", o->sender_from_header);
	add_string(b, "f", o->sender);
	add_string(b, "F", o->full_name);
	if (o->notify)
		buf_addf(b, " notify=%u", o->notify);
	if (o->dsn_return)
		buf_addf(b, " ret=%d", o->dsn_return);
	add_string(b, "envid", o->envid);
	if (o->body)
		buf_adds(b, o->body == BODY_7BIT ? " 7bit" : " 8bit");
	buf_adds(b, modes[o->mode]);
	add_flag(b, "v", o->verbose);
	add_string(b, "C", o->config);
	add_string(b, "a", o->account);
	add_string(b, "transport", o->transport);
	add_flag(b, "dry", o->dry_run);
	add_flag(b, "json", o->json);
	add_flag(b, "rtls", o->require_tls);
	add_flag(b, "yes", o->yes);
	add_flag(b, "creds", o->systemd_creds);
	for (i = 0; i < o->operands; i++)
		buf_addf(b, " [%s]", o->operand[i]);
}

static void check(const struct row *row)
{
	char text[512], *argv[WORDS_MAX + 1];
	struct buf got = BUF(4096);
	struct outcome why = { 0 };
	struct options o;
	int argc;

	assert_true(strlen(row->argv) < sizeof(text));
	strcpy(text, row->argv);
	argc = split(text, argv);
	if (options_parse(argc, argv, &o, &why)) {
		describe(&got, &o);
	} else {
		assert_int_equal(why.exit, EX_USAGE);
		assert_null(strchr(why.text, '\n'));
		buf_addf(&got, "64 %s%s", why.text,
			 options_read_message(&o) ? "" : " (no message)");
	}
	if (strcmp(buf_text(&got), row->expected))
		fail_msg("%s\n gives    %s\n expected %s", row->argv,
			 buf_text(&got), row->expected);
	buf_release(&got);
}

static void check_all(const struct row *row, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		check(&row[i]);
}

#define CHECK(rows) check_all(rows, sizeof(rows) / sizeof(*(rows)))

static void test_syntax(void **state)
{
	static const struct row rows[] = {
		{ "s|d@x", "send [d@x]" },
		{ "s|-i|-fe@x|d@x", "send i f=<e@x> [d@x]" },
		{ "s|-tif|e@x", "send t i f=<e@x>" },
		{ "s|-tife@x", "send t i f=<e@x>" },
		{ "s|-ti", "send t i" },
		{ "s|-oi|-oem|-odi|-odb|-om|-oo|-or0s|-oQ/var/x|-oT3d|d@x",
		  "send i background [d@x]" },
		{ "s|-o|i|d@x", "send i [d@x]" },
		{ "s|-oitrue|d@x", "send i [d@x]" },
		{ "s|-oif|d@x", "send [d@x]" },
		{ "s|-i|-F|Full Name|-f|e@x|--|d@x",
		  "send i f=<e@x> F=<Full Name> [d@x]" },
		{ "s|-FCronDaemon|-i|-odi|-oem|-oi|-t|-f|e@x",
		  "send t i f=<e@x> F=<CronDaemon> now" },
		{ "s|-U|-G|-h|5|-L|tag|-p|ESMTP:h|-Am|-Ac|-m|-x|-n|-O|a=b|"
		  "-X|/tmp/log|-e|m|-em|-ep|-eq|-ew|-ee|-i|d@x",
		  "send i [d@x]" },
		{ "s|-A|m|d@x", "send [d@x]" },
		{ "s|-mnGUxi|d@x", "send i [d@x]" },
		{ "s|-f|a@x|-r|b@x|d@x", "send f=<b@x> [d@x]" },
		{ "s|-f||d@x", "send f=<> [d@x]" },
		{ "s|-f|-t|d@x", "send f=<-t> [d@x]" },
		{ "s|-f|--|d@x", "send f=<--> [d@x]" },
		{ "s|-f|--|--|-x", "send f=<--> [-x]" },
		{ "s|--|-i", "send [-i]" },
		{ "s||x", "send [] [x]" },
		{ "s|-i|--|--", "send i [--]" },
		{ "s|-i|--|-x|--", "send i [-x] [--]" },
		{ "s|--read-recipients", "send t" },
		{ "s|--read-envelope-from|d@x", "send F@ [d@x]" },
		{ "s|--account|work|d@x", "send a=<work> [d@x]" },
		{ "s|--account=work|d@x", "send a=<work> [d@x]" },
		{ "s|--account=|d@x", "send a=<> [d@x]" },
		{ "s|-awork|d@x", "send a=<work> [d@x]" },
		{ "s|--config=/a=b|-C/c|d@x", "send C=</c> [d@x]" },
		{ "s|--transport|-x|d@x", "send transport=<-x> [d@x]" },
		{ "s|--require-tls|--dry-run|--json|-v|d@x",
		  "send v dry json rtls [d@x]" },
		/* GNU style: as much of a name as no other begins with */
		{ "s|--requ|--dry|--j|d@x", "send dry json rtls [d@x]" },
		{ "s|--config|c|--acc=n|--tran|t|d",
		  "send C=<c> a=<n> transport=<t> [d]" },
	};

	(void)state;
	CHECK(rows);
}

static void test_values(void **state)
{
	static const struct row rows[] = {
		{ "s|-N|never|d", "send notify=1 [d]" },
		{ "s|-Nsuccess,FAILURE|d", "send notify=6 [d]" },
		{ "s|-N|delay failure|d", "send notify=12 [d]" },
		{ "s|-N|never,delay|d", "64 option -N: \"never,delay\" is not "
		  "\"never\" or a list of success, failure, delay" },
		{ "s|-N||d", "64 option -N: \"\" is not \"never\" or a list "
		  "of success, failure, delay" },
		{ "s|-N|sometimes|d", "64 option -N: \"sometimes\" is not "
		  "\"never\" or a list of success, failure, delay" },
		{ "s|-R|full|d", "send ret=1 [d]" },
		{ "s|-RHDRS|d", "send ret=2 [d]" },
		{ "s|-R|headers|d",
		  "64 option -R: \"headers\" is not \"full\" or \"hdrs\"" },
		{ "s|-V|id 1=+|d", "send envid=<id 1=+> [d]" },
		{ "s|-V||d", "64 option -V: \"\" is not 1 to 100 printable "
		  "characters" },
		{ "s|-V|a\tb|d", "64 option -V: \"a b\" is not 1 to 100 "
		  "printable characters" },
		{ "s|-V|0123456789012345678901234567890123456789"
		  "012345678901234567890123456789012345678901234567890123456789"
		  "|d", "send envid=<0123456789012345678901234567890123456789"
		  "012345678901234567890123456789012345678901234567890123456789"
		  "> [d]" },
		{ "s|-V|x0123456789012345678901234567890123456789"
		  "012345678901234567890123456789012345678901234567890123456789"
		  "|d", "64 option -V: \"x0123456789012345678901234567890123456"
		  "789"
		  "012345678901234567890123456789012345678901234567890123456789"
		  "\" is not 1 to 100 printable characters" },
		{ "s|-B7BIT|d", "send 7bit [d]" },
		{ "s|-B|8BITMIME|d", "send 8bit [d]" },
		{ "s|-B8bitmime|d", "send 8bit [d]" },
		{ "s|-B|BINARYMIME|d",
		  "64 option -B: \"BINARYMIME\" is not 7BIT or 8BITMIME" },
		{ "s|-odq|d", "send queue [d]" },
		{ "s|-odd|-odi|d", "send now [d]" },
		{ "s|-odi|-odd|d", "send queue [d]" },
		{ "s|-odx|d", "send [d]" },
	};

	(void)state;
	CHECK(rows);
}

static void test_commands(void **state)
{
	static const struct row rows[] = {
		{ "/usr/bin/mailq", "list" },
		{ "mailq|-v|-Ac", "list v" },
		{ "mailq|--retry|ALL", "retry arg=<ALL>" },
		{ "newaliases", "newaliases" },
		{ "s|-bm|d", "send [d]" },
		{ "s|-bs", "smtpd" },
		{ "s|-bp", "list" },
		{ "s|-b|p", "list" },
		{ "s|-bi", "newaliases" },
		{ "s|-I", "newaliases" },
		{ "s|-bv|d", "explain [d]" },
		{ "s|-bs|-bm|d", "send [d]" },
		{ "s|-bi|-bm|d", "send [d]" },
		{ "s|-I|-bm|d", "send [d]" },
		{ "s|-I|-bp", "list" },
		{ "s|-bm|-bs", "smtpd" },
		{ "s|-vbs", "smtpd v" },
		{ "s|-q", "run" },
		{ "s|-q30m", "run" },
		{ "s|-vq", "run v" },
		{ "s|-qIabc", "run I<abc>" },
		{ "s|-qRexample.org", "run R<example.org>" },
		{ "s|-qS@x", "run S<@x>" },
		{ "s|-q!Iabc", "run !I<abc>" },
		{ "s|-qI|", "run I<>" },
		{ "s|-qI", "run I<>" },
		{ "s|-qI|abc", "run I<abc>" },
		{ "s|-q!R|abc", "run !R<abc>" },
		{ "s|--check", "check" },
		{ "s|--check|--json", "check json" },
		{ "s|--explain|-f|a@b|c@d", "explain f=<a@b> [c@d]" },
		{ "s|--probe", "probe" },
		{ "s|--probe|relay", "probe arg=<relay>" },
		{ "s|--probe=relay|--json", "probe arg=<relay> json" },
		{ "s|--probe|--json", "probe json" },
		{ "s|--dnscheck|x.org", "dnscheck arg=<x.org>" },
		{ "s|--configure|a@b", "configure arg=<a@b>" },
		{ "s|--setup|a@b|--yes", "setup arg=<a@b> yes" },
		{ "s|--setup|a@b|--transport|gmail",
		  "setup arg=<a@b> transport=<gmail>" },
		{ "s|--store-password|relay", "store arg=<relay>" },
		{ "s|--store-password=relay|--systemd-creds",
		  "store arg=<relay> creds" },
		{ "s|--login|work", "login arg=<work>" },
		{ "s|--show|ID", "show arg=<ID>" },
		{ "s|--hold=ID", "hold arg=<ID>" },
		{ "s|--release|ID", "release arg=<ID>" },
		{ "s|--remove|A|--remove|B", "remove arg=<B>" },
		{ "s|--retry|ID|--transport|t",
		  "retry arg=<ID> transport=<t>" },
		{ "s|--help|-bp|d", "help [d]" },
		{ "s|-bp|--version", "version" },
	};

	(void)state;
	CHECK(rows);
}

static void test_refused(void **state)
{
	static const struct row rows[] = {
		{ "s", "64 no recipients" },
		{ "s|-i|--", "64 no recipients" },
		{ "s|--explain", "64 no recipients (no message)" },
		{ "s|-bv|-t", "64 -t cannot go together with -bv "
		  "(no message)" },
		/* a forgotten option must not become a recipient */
		{ "s|d@x|-i", "64 -i: options go before the recipients (a "
		  "recipient that begins with \"-\" goes after \"--\")" },
		{ "s|d@x|e@x|-f|f@x", "64 -f: options go before the recipients "
		  "(a recipient that begins with \"-\" goes after \"--\")" },
		{ "s|-", "64 -: options go before the recipients (a recipient "
		  "that begins with \"-\" goes after \"--\")" },
		{ "s|d@x|--|e@x", "64 --: options go before the recipients (a "
		  "recipient that begins with \"-\" goes after \"--\")" },
		{ "s|-f|--|d@x|-x", "64 -x: options go before the recipients "
		  "(a recipient that begins with \"-\" goes after \"--\")" },
		{ "s|-Z|d", "64 unknown option -Z" },
		{ "s|-iZ|d", "64 unknown option -Z" },
		{ "s|-\033|d", "64 unknown option -?" },
		{ "s|--bogus|d", "64 unknown option --bogus" },
		{ "s|--drys|d", "64 unknown option --drys" },
		{ "s|--dry-run-not|d", "64 unknown option --dry-run-not" },
		{ "s|--conf|x|d", "64 option --conf is ambiguous" },
		{ "s|--re=x|d", "64 option --re is ambiguous" },
		{ "s|--jso=1|d", "64 option --json takes no value" },
		{ "s|--bogus=x|d", "64 unknown option --bogus" },
		{ "s|--bogus|-bp", "64 unknown option --bogus (no message)" },
		{ "s|--json=x|d", "64 option --json takes no value" },
		{ "s|-f", "64 option -f needs a value" },
		{ "s|-tif", "64 option -f needs a value" },
		{ "s|-V", "64 option -V needs a value" },
		{ "s|-b", "64 option -b needs a value" },
		{ "s|--account", "64 option --account needs a value" },
		{ "s|--show=", "64 option --show: its value is empty "
		  "(no message)" },
		{ "s|-bd", "64 unknown option -bd" },
		{ "s|-bt", "64 unknown option -bt" },
		{ "s|-bpx", "64 unknown option -bpx" },
		{ "s|-qGx", "64 option -q: \"Gx\" is not an interval or I, R, "
		  "S and a substring (no message)" },
		{ "s|-q!", "64 option -q: \"!\" is not an interval or I, R, S "
		  "and a substring (no message)" },
		{ "s|-bp|d", "64 -bp takes no recipients (no message)" },
		{ "mailq|d", "64 this command takes no recipients "
		  "(no message)" },
		{ "s|-bs|d", "64 -bs takes no recipients (no message)" },
		{ "s|-q|d", "64 -q takes no recipients (no message)" },
		{ "s|-t|-bs", "64 -t cannot go together with -bs "
		  "(no message)" },
		{ "s|-bp|-q", "64 -q cannot go together with -bp "
		  "(no message)" },
		{ "s|--show|A|--remove|A", "64 --remove cannot go together "
		  "with --show (no message)" },
		{ "s|-bs|--dry-run", "64 --dry-run cannot go together with "
		  "-bs (no message)" },
		{ "s|--json|d", "64 --json needs a report to print" },
	};

	(void)state;
	CHECK(rows);
}

static void test_empty_argv(void **state)
{
	char *argv[] = { NULL };
	struct outcome why;
	struct options o;

	(void)state;
	assert_false(options_parse(0, argv, &o, &why));
	assert_int_equal(o.operands, 0);
}

static void test_help(void **state)
{
	struct buf help = BUF(65536);
	const struct known_option *k;
	const char *line;
	size_t i, n;

	(void)state;
	options_help(&help);
	for (i = 0; (k = option_at(i)); i++) {
		if (k->name && !strstr(buf_text(&help), k->name))
			fail_msg("--help lacks %s", k->name);
		if (k->word && !strstr(buf_text(&help), k->word))
			fail_msg("--help lacks %s", k->word);
	}
	assert_true(i > 50);
	for (line = buf_text(&help); *line; line += n + 1) {
		n = strcspn(line, "\n");
		assert_true(n < 80);
	}
	buf_release(&help);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_empty_argv),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
