/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "desk/smtpd_answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "policy/policy.h"

/* Clients bound a reply's lines and their length (RFC 5321 4.5.3.1.5), ours
 * does, too. So many are named with a reason each; of more, some with one, and
 * the others by their names alone on the lines that are left. */
enum { LINES_MAX = 98, NAMED_MAX = 50, REASONS_MOST = 20, WORDS_SIZE = 440 };

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

/* Whether it is of the kind that decided the status. */
static bool decides(const struct acceptance *a, const struct recipient *r)
{
	const struct outcome status = { .exit = a->status };

	return outcome_is_temporary(&status) ? r->state == RCPT_PENDING :
	       r->last.exit == a->status;
}

/* Those who get nothing, and who of them need not be named any more. */
struct naming {
	const struct acceptance *a;
	const struct answer *answer;
	struct client *c;
	bool *done;              /* a recipient each; also of who gets it */
	size_t left, lines;
};

static void name_done(struct naming *n, size_t i)
{
	n->done[i] = true;
	n->left--;
}

static void name_line(struct naming *n, const char *words)
{
	n->lines++;
	answer_line(n->c, n->answer, !n->left, words);
}

/* With their reasons, until there are so many lines. */
static void name_reasons(struct naming *n, size_t most, bool deciding)
{
	char line[1600], words[1200];
	const struct recipient *r;
	size_t i;

	for (i = 0; i < n->a->envelope.n && n->lines < most; i++) {
		r = &n->a->envelope.rcpt[i];
		if (n->done[i] || (deciding && !decides(n->a, r)))
			continue;
		outcome_words(&r->last, words, sizeof(words));
		snprintf(line, sizeof(line), "not sent to %.200s: %s%s",
			 r->address, words, r->last.in_doubt ?
			 " (it may have been delivered)" : "");
		name_done(n, i);
		name_line(n, line);
	}
}

/* By their names alone, as many a line as it holds, which leaves room for
 * thousands: those in doubt, or the others. */
static void name_rest(struct naming *n, bool in_doubt)
{
	enum { ADDRESS_MOST = 200 };
	const char *begin = in_doubt ? "may have been delivered to" :
			    "not sent to";
	size_t i, len = 0, shown;
	const struct recipient *r;
	char line[WORDS_SIZE];

	for (i = 0; i < n->a->envelope.n && n->lines < LINES_MAX; i++) {
		r = &n->a->envelope.rcpt[i];
		if (n->done[i] || r->last.in_doubt != in_doubt)
			continue;
		shown = strnlen(r->address, ADDRESS_MOST);
		if (len && len + strlen(", ") + shown >= sizeof(line)) {
			name_line(n, line);
			len = 0;
		}
		if (n->lines == LINES_MAX)
			break;
		len += (size_t)snprintf(line + len, sizeof(line) - len,
					"%s %.*s", len ? "," : begin,
					(int)shown, r->address);
		name_done(n, i);
	}
	if (len)
		name_line(n, line);
}

/* Names those who get nothing; the last line is the reply's. Where there are
 * too many for a reason each, those who decided what the reply's code is come
 * first. */
static void answer_failed(struct client *c, const struct answer *answer,
			  const struct acceptance *a, size_t failed)
{
	struct naming n = { .a = a, .answer = answer, .c = c, .left = failed };
	char line[WORDS_SIZE];
	size_t i;

	if (!failed)
		return;
	n.done = mem_alloc(a->envelope.n * sizeof(*n.done));
	for (i = 0; i < a->envelope.n; i++)
		n.done[i] = was_taken(a, &a->envelope.rcpt[i]);
	if (failed > NAMED_MAX) {
		name_reasons(&n, REASONS_MOST, true);
		name_reasons(&n, REASONS_MOST, false);
		name_rest(&n, true);
		name_rest(&n, false);
	} else {
		name_reasons(&n, NAMED_MAX, false);
	}
	if (n.left) {
		snprintf(line, sizeof(line), "and %zu more", n.left);
		answer_line(c, answer, true, line);
	}
	free(n.done);
}

/* The outcome that speaks for a message that nobody took. */
static const struct outcome *speaker(const struct acceptance *a)
{
	size_t i;

	for (i = 0; i < a->envelope.n; i++)
		if (decides(a, &a->envelope.rcpt[i]))
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
		answer.code = policy_reply(speaker(a), temporary,
					   answer.status);
	}
	answer_failed(c, &answer, a, failed);
	return taken;
}
