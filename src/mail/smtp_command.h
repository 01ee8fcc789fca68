/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a client says to us (-bs): MAIL and RCPT with their parameters
 * (RFC 5321 4.1.2; SIZE of RFC 1870, BODY of RFC 6152, SMTPUTF8 of RFC 6531,
 * RET, ENVID, NOTIFY and ORCPT of RFC 3461). Pure parsing, no session.
 */
#ifndef MAIL_SMTP_COMMAND_H
#define MAIL_SMTP_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "mail/recipients.h"
#include "mail/words.h"

struct smtp_mail {
	char *path;          /* "<a@b>", the address as we have it; "<>" null */
	int64_t size;        /* as declared; 0: not */
	enum body_type body;
	bool utf8;
	int dsn_return;      /* enum dsn_return */
	char *envid;         /* plain; NULL: none */
};

struct smtp_rcpt {
	char *path;
	struct rcpt_wish wish;
};

/* Whether a command line has nothing in it that no command may have: control
 * characters but a tab, or bytes that are not UTF-8. */
bool smtp_line_is_clean(const char *line, size_t n);
/* If line begins with the word (without case, and alone or before a blank or,
 * where the word ends in one, anything), what is after it and the blanks
 * there; else NULL. */
const char *smtp_word(const char *line, const char *word);

/* text is what follows "MAIL FROM:" or "RCPT TO:". They give NULL, or else a
 * reply to refuse it with. The caller releases out in either case. */
const char *smtp_mail_parse(const char *text, struct smtp_mail *out);
const char *smtp_rcpt_parse(const char *text, struct smtp_rcpt *out);
void smtp_mail_release(struct smtp_mail *m);
void smtp_rcpt_release(struct smtp_rcpt *r);

#endif
