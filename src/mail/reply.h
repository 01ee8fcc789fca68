/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Replies of a server (RFC 5321 4.2, RFC 2034, RFC 3463) and the extensions
 * that EHLO announced (RFC 5321 4.1.1.1). No I/O: lines come from elsewhere.
 */
#ifndef MAIL_REPLY_H
#define MAIL_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/outcome.h"
#include "mail/mask.h"

enum { REPLY_LINES = 100, REPLY_BYTES = 64 * 1024 };

struct reply {
	int code;            /* 200 to 599 once complete */
	struct buf text;     /* the lines after their codes, joined by LF: for
			      * parsers */
	struct buf words;    /* the same for people and logs */
	bool masked;         /* words holds (else text is fit to be read) */
	unsigned lines;
	size_t bytes;
};

enum reply_state { REPLY_MORE, REPLY_DONE, REPLY_BAD };

/* Empties it for the next reply. */
void reply_reset(struct reply *r);
void reply_release(struct reply *r);
/* Takes one line without its line end. BAD: no three digits of 2 to 5 and
 * 0 to 9, another code than the line before, or over the limits. A code
 * alone is valid. */
enum reply_state reply_line(struct reply *r, const char *line, size_t n);
/* Makes words of the text: what secrets say must not be repeated is masked
 * there. */
void reply_mask(struct reply *r, const struct mask *secrets);
/* What may be shown: all lines, joined by LF. */
const char *reply_words(const struct reply *r);
/* 421, 4xx and so on: the code's first digit. */
int reply_class(const struct reply *r);
/* Fills *o from a complete reply, but for its exit status, which policy_answer
 * adds: code, the first enhanced status of the code's class, host, and the
 * words of all lines, that status once. */
void reply_describe(const struct reply *r, enum stage stage,
		    const char *host, struct outcome *o);

struct features {
	bool esmtp;          /* EHLO was answered */
	bool pipelining, chunking, eight_bit_mime, smtputf8, dsn;
	bool enhanced_status_codes, starttls, require_tls;
	bool early_pipelining; /* PIPECONNECT, by the names that Exim gave it:
				* nothing need be waited for but a go-ahead
				* for data */
	bool auth;           /* an AUTH line, perhaps empty */
	bool size;           /* announced */
	int64_t size_limit;  /* bytes; 0: none */
	unsigned rcpt_max, mail_max, rcpt_domain_max;  /* LIMITS; 0: none */
	struct list mechanisms; /* upper case, in the server's order */
	struct list lines;      /* each extension line as it came */
};
/* Reads the lines of a complete EHLO reply after the first. Keywords
 * without case; "AUTH=" counts as AUTH; LIMITS with a syntax error or a key
 * twice is dropped, a bad value only itself (RFC 9422). */
void features_read(struct features *f, const struct reply *r);
/* Forgets the extensions of these names (in the spelling of extension_name),
 * as if the server had not announced them. */
void features_leave_out(struct features *f, const struct list *names);
void features_release(struct features *f);

/* An extension that a client makes use of, by its name without case, in
 * upper case; NULL: none of them. */
const char *extension_name(const char *name);

#endif
