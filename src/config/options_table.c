/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/options_table.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "config/config.h"

enum { HELP_COLUMN = 24, HELP_WIDTH = 79 };

static bool bad_value(struct outcome *why, const char *option,
		      const char *value, const char *wanted)
{
	return outcome_fail(why, STAGE_LOCAL, EX_USAGE,
			    "option %s: \"%s\" is not %s", option, value,
			    wanted);
}

static bool option_notify(struct options *o, const char *value,
			  struct outcome *why)
{
	if (notify_parse(value, &o->notify))
		return true;
	return bad_value(why, "-N", value,
			 "\"never\" or a list of success, failure, delay");
}

static bool option_return(struct options *o, const char *value,
			  struct outcome *why)
{
	if (return_parse(value, &o->dsn_return))
		return true;
	return bad_value(why, "-R", value, "\"full\" or \"hdrs\"");
}

static bool option_envid(struct options *o, const char *value,
			 struct outcome *why)
{
	if (!envid_is_valid(value))
		return bad_value(why, "-V", value,
				 "1 to 100 printable characters");
	o->envid = value;
	return true;
}

static bool option_body(struct options *o, const char *value,
			struct outcome *why)
{
	if (body_parse(value, &o->body))
		return true;
	return bad_value(why, "-B", value, "7BIT or 8BITMIME");
}

static bool option_mode(struct options *o, const char *value,
			struct outcome *why)
{
	(void)why;
	switch (value[1]) {
	case 'i':
		o->mode = MODE_NOW;
		break;
	case 'b':
		o->mode = MODE_BACKGROUND;
		break;
	default:
		o->mode = MODE_QUEUE;
	}
	return true;
}

static bool option_selection(struct options *o, const char *value,
			     struct outcome *why)
{
	bool negated = value[0] == '!';
	char field = value[negated];

	/* an interval, or sendmail's marks of a foreground or persistent
	 * runner: one run is all that is made of them */
	if (!negated && (!field || strchr("0123456789fp", field))) {
		o->selection = (struct selection){ 0 };
		return true;
	}
	if (!field || !strchr("IRS", field))
		return bad_value(why, "-q", value,
				 "an interval or I, R, S and a substring");
	o->selection.field = field;
	o->selection.negated = negated;
	o->selection.substring = value + negated + 1;
	return true;
}

#define AT(member) .offset = offsetof(struct options, member)
#define FLAG(member) .act = ACT_FLAG, AT(member)
#define STRING(member) .act = ACT_STRING, AT(member)
#define COMMAND(name) .act = ACT_COMMAND, .command = COMMAND_##name
#define READ(function) .act = ACT_READ, .read = function
#define NEEDS(what) .value = VALUE_NEEDED, .argument = what

static const struct known_option table[] = {
	/* sending */
	{ "-t", "--read-recipients", .group = GROUP_SEND,
	  FLAG(recipients_from_header),
	  .help = "send also to the addresses in To, Cc and Bcc" },
	{ "-i", .group = GROUP_SEND, FLAG(ignore_dots),
	  .help = "a line with a single dot does not end the message" },
	{ "-oi", .group = GROUP_SEND, FLAG(ignore_dots),
	  .help = "the same as -i" },
	{ "-oitrue", .group = GROUP_SEND, FLAG(ignore_dots),
	  .help = "the same as -i" },
	{ "-f", NEEDS("ADDRESS"), .group = GROUP_SEND, STRING(sender),
	  .help = "envelope sender; '' and '<>' are the null sender" },
	{ "-r", NEEDS("ADDRESS"), .group = GROUP_SEND, STRING(sender),
	  .help = "the same as -f" },
	{ .word = "--read-envelope-from", .group = GROUP_SEND,
	  FLAG(sender_from_header),
	  .help = "envelope sender from the From field, where -f is absent" },
	{ "-F", NEEDS("NAME"), .group = GROUP_SEND, STRING(full_name),
	  .help = "full name for a From field that is added" },
	{ "-B", NEEDS("TYPE"), .group = GROUP_SEND, READ(option_body),
	  .help = "body type: 7BIT or 8BITMIME" },
	{ "-bm", .group = GROUP_SEND, COMMAND(SEND),
	  .help = "send one message from standard input (the default)" },
	{ "-bs", .group = GROUP_SEND, COMMAND(SMTPD),
	  .help = "speak SMTP on standard input and output" },
	{ "-a", "--account", NEEDS("NAME"), .group = GROUP_SEND,
	  STRING(account), .help = "use this account" },
	{ .word = "--transport", NEEDS("NAME"), .group = GROUP_SEND,
	  STRING(transport),
	  .help = "use this transport whatever the routes say" },
	{ .word = "--require-tls", .group = GROUP_SEND, FLAG(require_tls),
	  .help = "ask for REQUIRETLS (RFC 8689) for this message" },
	{ .word = "--dry-run", .group = GROUP_SEND, FLAG(dry_run),
	  .help = "show what would be sent, and where, and send nothing" },
	{ "-v", .group = GROUP_SEND, FLAG(verbose),
	  .help = "transcript of the session on standard error" },

	/* delivery status notifications */
	{ "-N", NEEDS("LIST"), .group = GROUP_DSN, READ(option_notify),
	  .help = "when to report: never, or success, failure, delay" },
	{ "-R", NEEDS("WHAT"), .group = GROUP_DSN, READ(option_return),
	  .help = "what a report returns: full or hdrs" },
	{ "-V", NEEDS("ENVID"), .group = GROUP_DSN, READ(option_envid),
	  .help = "envelope identifier that reports repeat" },

	/* queue */
	{ "-odi", .group = GROUP_QUEUE, READ(option_mode),
	  .help = "deliver now and wait for the result" },
	{ "-odb", .group = GROUP_QUEUE, READ(option_mode),
	  .help = "queue, return, deliver in the background" },
	{ "-odq", .group = GROUP_QUEUE, READ(option_mode),
	  .help = "queue only" },
	{ "-odd", .group = GROUP_QUEUE, READ(option_mode),
	  .help = "the same as -odq" },
	{ "-q", .value = VALUE_ATTACHED, .argument = "WHAT",
	  .group = GROUP_QUEUE, COMMAND(RUN), .read = option_selection,
	  .help = "run the queue once: what is due, or with ITEXT, RTEXT, "
		  "STEXT entries whose id, recipient, sender has TEXT; "
		  "with ! before the letter those without" },
	{ "-bp", .group = GROUP_QUEUE, COMMAND(LIST),
	  .help = "list the queue (also as mailq)" },
	{ .word = "--show", NEEDS("ID"), .group = GROUP_QUEUE, COMMAND(SHOW),
	  .help = "show an entry of the queue" },
	{ .word = "--hold", NEEDS("ID"), .group = GROUP_QUEUE, COMMAND(HOLD),
	  .help = "keep an entry until it is released (ALL: every entry)" },
	{ .word = "--release", NEEDS("ID"), .group = GROUP_QUEUE,
	  COMMAND(RELEASE), .help = "end a hold" },
	{ .word = "--remove", NEEDS("ID"), .group = GROUP_QUEUE,
	  COMMAND(REMOVE), .help = "remove an entry, unsent" },
	{ .word = "--retry", NEEDS("ID"), .group = GROUP_QUEUE, COMMAND(RETRY),
	  .help = "make an entry due, perhaps by another --transport" },

	/* reports */
	{ .word = "--check", .group = GROUP_REPORT, COMMAND(CHECK),
	  .help = "print the configuration as in effect, and its faults" },
	{ .word = "--explain", .group = GROUP_REPORT, COMMAND(EXPLAIN),
	  .help = "say by which way mail to the recipients would go" },
	{ "-bv", .group = GROUP_REPORT, COMMAND(EXPLAIN),
	  .help = "the same as --explain" },
	{ .word = "--probe", .value = VALUE_OPTIONAL, .argument = "WORD",
	  .group = GROUP_REPORT, COMMAND(PROBE),
	  .help = "connect through a transport, or as for an address, and "
		  "say what is found there" },
	{ .word = "--dnscheck", NEEDS("DOMAIN"), .group = GROUP_REPORT,
	  COMMAND(DNSCHECK),
	  .help = "hold the configuration against DNS" },
	{ .word = "--configure", NEEDS("ADDRESS"), .group = GROUP_REPORT,
	  COMMAND(CONFIGURE),
	  .help = "print a configuration for this address's provider" },
	{ .word = "--health", .group = GROUP_REPORT, COMMAND(HEALTH),
	  .help = "say what monitoring wants to know: 0 all is well, 1 a "
		  "warning, 2 mail stands still" },
	{ .word = "--metrics", .group = GROUP_REPORT, FLAG(metrics),
	  .help = "with --health: as a text file for Prometheus" },
	{ .word = "--json", .group = GROUP_REPORT, FLAG(json),
	  .help = "print the report as JSON" },

	/* setting up */
	{ .word = "--login", NEEDS("NAME"), .group = GROUP_SETUP,
	  COMMAND(LOGIN),
	  .help = "log a transport with oauth in, at its issuer" },
	{ .word = "--setup", NEEDS("ADDRESS"), .group = GROUP_SETUP,
	  COMMAND(SETUP),
	  .help = "from an address to a message that arrived: find the "
		  "provider, write the configuration, send a test" },
	{ .word = "--yes", .group = GROUP_SETUP, FLAG(yes),
	  .help = "with --setup: ask nothing, take every default; the "
		  "password is the first line of standard input" },
	{ .word = "--store-password", NEEDS("NAME"), .group = GROUP_SETUP,
	  COMMAND(STORE_PASSWORD),
	  .help = "ask for a transport's password and store it in a file "
		  "that nobody else can read" },
	{ .word = "--systemd-creds", .group = GROUP_SETUP,
	  FLAG(systemd_creds),
	  .help = "with --store-password: encrypted, as a credential of "
		  "systemd" },

	/* general */
	{ "-C", "--config", NEEDS("FILE"), .group = GROUP_GENERAL,
	  STRING(config), .help = "read this configuration file" },
	{ "-bi", .group = GROUP_GENERAL, COMMAND(NEWALIASES),
	  .help = "does nothing (also as newaliases)" },
	{ "-I", .group = GROUP_GENERAL, COMMAND(NEWALIASES),
	  .help = "the same as -bi" },
	{ .word = "--help", .group = GROUP_GENERAL, COMMAND(HELP),
	  .help = "print this text" },
	{ .word = "--version", .group = GROUP_GENERAL, COMMAND(VERSION),
	  .help = "print the version and what is built in" },

	/* what other programs of this name know */
	{ "-A", NEEDS("X"), .group = GROUP_IGNORED },
	{ "-e", NEEDS("X"), .group = GROUP_IGNORED },
	{ "-G", .group = GROUP_IGNORED },
	{ "-h", NEEDS("N"), .group = GROUP_IGNORED },
	{ "-L", NEEDS("TAG"), .group = GROUP_IGNORED },
	{ "-m", .group = GROUP_IGNORED },
	{ "-n", .group = GROUP_IGNORED },
	{ "-O", NEEDS("OPTION=VALUE"), .group = GROUP_IGNORED },
	{ "-o", NEEDS("X"), .group = GROUP_IGNORED },
	{ "-p", NEEDS("PROTOCOL"), .group = GROUP_IGNORED },
	{ "-U", .group = GROUP_IGNORED },
	{ "-x", .group = GROUP_IGNORED },
	{ "-X", NEEDS("FILE"), .group = GROUP_IGNORED },
};

const struct known_option *option_at(size_t i)
{
	return i < sizeof(table) / sizeof(*table) ? &table[i] : NULL;
}

/* --- the text of --help --- */

static const char *const group_titles[] = {
	[GROUP_SEND] = "Sending",
	[GROUP_DSN] = "Delivery status notifications (RFC 3461)",
	[GROUP_QUEUE] = "Queue",
	[GROUP_REPORT] = "Reports",
	[GROUP_SETUP] = "Setting up",
	[GROUP_GENERAL] = "General",
	[GROUP_IGNORED] = "Accepted and ignored",
};

static void help_names(struct buf *out, const struct known_option *k)
{
	buf_addf(out, "%s%s%s", k->name ? k->name : "",
		 k->name && k->word ? ", " : "", k->word ? k->word : "");
	if (k->argument)
		buf_addf(out, k->value == VALUE_ATTACHED ? "[%s]" :
			 k->value == VALUE_OPTIONAL ? " [%s]" : " %s",
			 k->argument);
}

/* Words from the given column on, broken where the line ends. */
static void help_wrapped(struct buf *out, const char *text, size_t column)
{
	size_t n;

	while (*text) {
		n = strcspn(text, " ");
		if (column > HELP_COLUMN && column + 1 + n > HELP_WIDTH) {
			buf_addf(out, "\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
		} else if (column > HELP_COLUMN) {
			buf_addc(out, ' ');
			column++;
		}
		buf_add(out, text, n);
		column += n;
		text += n;
		text += strspn(text, " ");
	}
	buf_addc(out, '\n');
}

static void help_ignored(struct buf *out)
{
	struct buf names = BUF(4096);
	const struct known_option *k;
	size_t i;

	for (i = 0; (k = option_at(i)); i++) {
		if (k->group != GROUP_IGNORED)
			continue;
		if (names.len)
			buf_adds(&names, ", ");
		help_names(&names, k);
	}
	buf_adds(out, "  ");
	buf_addf(out, "%*s", HELP_COLUMN - 2, "");
	help_wrapped(out, buf_text(&names), HELP_COLUMN);
	buf_release(&names);
}

void options_help(struct buf *out)
{
	const struct known_option *k;
	size_t group, i, start, used;

	buf_adds(out,
		 "Usage: posthaste [OPTION]... RECIPIENT... < MESSAGE\n"
		 "       posthaste -t [OPTION]... < MESSAGE\n"
		 "Sends the message on standard input, as sendmail does.\n");
	for (group = 0; group < sizeof(group_titles) /
			sizeof(*group_titles); group++) {
		buf_addf(out, "\n%s:\n", group_titles[group]);
		if (group == GROUP_IGNORED) {
			help_ignored(out);
			continue;
		}
		for (i = 0; (k = option_at(i)); i++) {
			if (k->group != group)
				continue;
			start = out->len;
			buf_adds(out, "  ");
			help_names(out, k);
			used = out->len - start;
			if (used + 2 > HELP_COLUMN) {
				buf_addc(out, '\n');
				used = 0;
			}
			buf_addf(out, "%*s", (int)(HELP_COLUMN - used), "");
			help_wrapped(out, k->help, HELP_COLUMN);
		}
	}
	buf_adds(out, "\nStatus 0: every recipient's server took the message, "
		      "or it is held on disk.\n75: nothing was kept, try "
		      "again. See posthaste(1).\n");
}
