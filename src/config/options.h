/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The command line. Everything known about an option is one row of
 * the table in options_table.c.
 */
#ifndef CONFIG_OPTIONS_H
#define CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/outcome.h"
#include "mail/selection.h"
#include "mail/words.h"

enum command {
	COMMAND_SEND,       /* reads a message; also --dry-run */
	COMMAND_SMTPD,      /* -bs */
	COMMAND_LIST,       /* -bp, mailq */
	COMMAND_NEWALIASES, /* -bi, -I, newaliases */
	COMMAND_RUN,        /* -q... */
	COMMAND_CHECK,
	COMMAND_HEALTH,
	COMMAND_EXPLAIN,    /* also -bv */
	COMMAND_PROBE,
	COMMAND_DNSCHECK,
	COMMAND_CONFIGURE,
	COMMAND_SETUP,
	COMMAND_STORE_PASSWORD,
	COMMAND_LOGIN,
	COMMAND_SHOW,
	COMMAND_HOLD,
	COMMAND_RELEASE,
	COMMAND_REMOVE,
	COMMAND_RETRY,
	COMMAND_HELP,
	COMMAND_VERSION
};

enum delivery_mode {
	MODE_UNSET,
	MODE_NOW,          /* -odi */
	MODE_BACKGROUND,   /* -odb */
	MODE_QUEUE         /* -odq, -odd */
};

struct options {
	enum command command;
	const char *argument;    /* of the command: ID, DOMAIN, WORD, ADDRESS;
				  * NULL where --probe has none */
	struct selection selection;

	bool recipients_from_header;  /* -t */
	bool ignore_dots;             /* -i, -oi, -ti */
	const char *sender;           /* -f, -r as given; NULL: not given */
	bool sender_from_header;      /* --read-envelope-from */
	const char *full_name;        /* -F */
	unsigned notify;              /* NOTIFY_*; 0: not given */
	int dsn_return;               /* enum dsn_return */
	const char *envid;            /* plain, not yet xtext */
	enum body_type body;
	enum delivery_mode mode;
	bool verbose;
	const char *config;           /* -C */
	const char *account;          /* -a */
	const char *transport;        /* --transport */
	bool dry_run;
	bool json;
	bool metrics;                 /* --health as Prometheus has it */
	bool yes;                     /* --setup asks nothing */
	bool systemd_creds;           /* --store-password encrypts */
	bool require_tls;

	char **operand;               /* points into argv */
	size_t operands;
};

/* Fills *o (which points into argv; nothing to free). argv[0] "mailq" and
 * "newaliases" choose their commands. False (EX_USAGE) with one line of
 * words; o->command then still tells whether a message would have been read
 * (so that the caller can drain it). By getopt_long: bundling, parsing stops
 * at the first operand; one that begins with "-" must come after "--".
 * Writes nothing. */
bool options_parse(int argc, char **argv, struct options *o,
		   struct outcome *why) MUST_CHECK;
/* Whether the command reads a message from standard input. */
bool options_read_message(const struct options *o);
/* The text of --help. */
void options_help(struct buf *out);

#endif
