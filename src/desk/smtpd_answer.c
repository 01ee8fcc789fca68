/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "desk/smtpd_answer.h"

#include <stdio.h>
#include <string.h>

#include "policy/policy.h"

/* Clients bound a reply's lines and their length (RFC 5321 4.5.3.1.5), ours
 * does, too. So many are named with a reason each, or where there are more
 * the first of them, and the others on the lines that are left. */
enum { LINES_MAX = 98, NAMED_MAX = 50, FIRST_NAMED = 20, WORDS_SIZE = 440 };

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

void answer_refusal(struct client *c, const struct outcome *why)
{
	struct answer a = { 0 };

	a.code = policy_reply(why, policy_refused_for_now(why), a.status);
	answer_line(c, &a, true, why->text);
}

static bool was_taken(const struct acceptance *a, const struct recipient *r)
{
	return r->state == RCPT_SENT || (r->state == RCPT_PENDING && a->held);
}

/* As many of those who get nothing, from *i on, as a line holds: gives how
 * many. */
static size_t name_some(const struct acceptance *a, size_t *i,
			char line[WORDS_SIZE])
{
	enum { ADDRESS_MOST = 200 };
	const struct recipient *r;
	size_t n = 0, shown, len;

	len = (size_t)snprintf(line, WORDS_SIZE, "not sent to");
	for (; *i < a->envelope.n; ++*i) {
		r = &a->envelope.rcpt[*i];
		if (was_taken(a, r))
			continue;
		shown = strnlen(r->address, ADDRESS_MOST);
		if (len + strlen(", ") + shown >= WORDS_SIZE)
			break;
		len += (size_t)snprintf(line + len, WORDS_SIZE - len,
					"%s %.*s", n++ ? "," : "", (int)shown,
					r->address);
	}
	return n;
}

/* Those who get nothing from i on, by their names alone, which leaves room for
 * thousands. */
static void answer_rest(struct client *c, const struct answer *answer,
			const struct acceptance *a, size_t i, size_t left)
{
	char line[WORDS_SIZE];
	size_t lines;

	for (lines = FIRST_NAMED; left && lines < LINES_MAX; lines++) {
		left -= name_some(a, &i, line);
		answer_line(c, answer, !left, line);
	}
	if (!left)
		return;
	snprintf(line, sizeof(line), "and %zu more", left);
	answer_line(c, answer, true, line);
}

/* Names those who get nothing; the last line is the reply's. */
static void answer_failed(struct client *c, const struct answer *answer,
			const struct acceptance *a, size_t failed)
{
	const size_t most = failed > NAMED_MAX ? FIRST_NAMED : failed;
	char line[1600], words[1200];
	size_t i, named = 0;

	for (i = 0; named < most; i++) {
		const struct recipient *r = &a->envelope.rcpt[i];

		if (was_taken(a, r))
			continue;
		named++;
		outcome_words(&r->last, words, sizeof(words));
		snprintf(line, sizeof(line), "not sent to %.200s: %s%s",
			 r->address, words, r->last.in_doubt ?
			 " (it may have been delivered)" : "");
		answer_line(c, answer, named == failed, line);
	}
	answer_rest(c, answer, a, i, failed - named);
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
	struct answer answer = { 250, "2.0.0", utf8 };
	char line[1400] = "sent, ";
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
	if (taken && a->held) {
		snprintf(line, sizeof(line), "queued as %s", a->id);
		answer_line(c, &answer, !failed, line);
	} else if (taken) {
		outcome_words(&taken->last, line + strlen(line),
			      sizeof(line) - strlen(line));
		answer_line(c, &answer, !failed, line);
	} else {
		answer.code = policy_reply(speaker(a, temporary), temporary,
					   answer.status);
	}
	answer_failed(c, &answer, a, failed);
	return taken;
}
