/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The answer to a message's final dot. */
#include <stdio.h>
#include <string.h>

#include "desk/smtpd_parts.h"

/* Clients bound a reply's lines and their length (RFC 5321 4.5.3.1.5). */
enum { NAMED_MAX = 50, WORDS_SIZE = 440 };

struct answer {
	int code;
	char status[12];        /* RFC 3463 */
	bool utf8;
};

static void answer_line(struct client *c, const struct answer *a, bool last,
			const char *words)
{
	char clean[WORDS_SIZE];
	char *p;

	text_printable(clean, sizeof(clean), words, strlen(words));
	for (p = clean; *p && !a->utf8; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	client_reply(c, "%d%c%s %s", a->code, last ? ' ' : '-', a->status,
		     clean);
}

/* A reply of our own kind with the server's numbers, where they say the same
 * and are no word about this session (421, 5.7.8 with 535 and the like). */
static void answer_code(struct answer *a, bool temporary,
			const struct outcome *o)
{
	char class = temporary ? '4' : '5';
	bool about_mail = o->stage == STAGE_LOCAL || o->stage >= STAGE_MAIL;

	a->code = temporary ? 451 : 554;
	if (!temporary && about_mail && o->code >= 550 && o->code <= 559)
		a->code = o->code;
	else if (!temporary && !o->code && !strcmp(o->status, "5.3.4"))
		a->code = 552;
	snprintf(a->status, sizeof(a->status), "%c.0.0", class);
	if (about_mail && o->status[0] == class)
		snprintf(a->status, sizeof(a->status), "%s", o->status);
}

void answer_refusal(struct client *c, const struct outcome *why)
{
	bool temporary = outcome_is_temporary(why) || why->exit == EX_CONFIG;
	struct answer a = { 0 };

	answer_code(&a, temporary, why);
	answer_line(c, &a, true, why->text);
}

static bool was_taken(const struct acceptance *a, const struct recipient *r)
{
	return r->state == RCPT_SENT || (r->state == RCPT_PENDING && a->held);
}

/* Names those who get nothing; the last line is the reply's. */
static void name_failed(struct client *c, const struct answer *answer,
			const struct acceptance *a, size_t failed)
{
	char line[1600], words[1200];
	size_t i, named = 0;

	for (i = 0; i < a->envelope.n && named < failed; i++) {
		const struct recipient *r = &a->envelope.rcpt[i];

		if (was_taken(a, r))
			continue;
		if (++named == NAMED_MAX && failed > named) {
			snprintf(line, sizeof(line), "and %zu more",
				 failed - named + 1);
			answer_line(c, answer, true, line);
			return;
		}
		outcome_words(&r->last, words, sizeof(words));
		snprintf(line, sizeof(line), "not sent to %.200s: %s%s",
			 r->address, words, r->last.in_doubt ?
			 " (it may have been delivered)" : "");
		answer_line(c, answer, named == failed, line);
	}
}

static void answer_taken(struct client *c, const struct acceptance *a,
			 const struct recipient *taken, size_t failed,
			 bool utf8)
{
	const struct answer answer = { 250, "2.0.0", utf8 };
	char line[1400], words[1200];

	if (a->held) {
		snprintf(line, sizeof(line), "queued as %s", a->id);
	} else {
		outcome_words(&taken->last, words, sizeof(words));
		snprintf(line, sizeof(line), "sent, %s", words);
	}
	answer_line(c, &answer, !failed, line);
	name_failed(c, &answer, a, failed);
}

/* The outcome that speaks for a message that nobody took: of the kind that
 * decided the status. */
static const struct outcome *speaker(const struct acceptance *a,
				     bool temporary)
{
	size_t i;

	for (i = 0; i < a->envelope.n; i++)
		if (temporary ? a->envelope.rcpt[i].state == RCPT_PENDING :
		    a->envelope.rcpt[i].last.exit == a->status)
			return &a->envelope.rcpt[i].last;
	return &a->envelope.rcpt[0].last;
}

bool answer_message(struct client *c, const struct acceptance *a, bool utf8)
{
	const struct outcome status = { .exit = a->status };
	bool temporary = outcome_is_temporary(&status);
	const struct recipient *taken = NULL;
	struct answer answer = { .utf8 = utf8 };
	size_t i, failed = 0;

	if (a->refused) {
		answer_refusal(c, &a->why);
		return false;
	}
	if (!a->envelope.n) {
		client_reply(c, "250 2.0.0 discarded for all recipients");
		return true;
	}
	for (i = 0; i < a->envelope.n; i++) {
		if (!was_taken(a, &a->envelope.rcpt[i]))
			failed++;
		else if (!taken)
			taken = &a->envelope.rcpt[i];
	}
	if (taken) {
		answer_taken(c, a, taken, failed, utf8);
		return true;
	}
	answer_code(&answer, temporary, speaker(a, temporary));
	name_failed(c, &answer, a, failed);
	return false;
}
