/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/login_answer.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/scan.h"

enum { VALUE_MAX = 8 * 1024 };

static int hexadecimal(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	       c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	       c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* As forms are encoded; NULL for what could not be one line of text. Of words
 * for a person any white space is one blank. */
static char *decode(const struct scan *s, bool words)
{
	struct buf out = BUF_SECRET(VALUE_MAX);
	const char *p;
	bool good = true;
	int c;

	for (p = s->p; p < s->end && good; p++) {
		c = (unsigned char)(*p == '+' ? ' ' : *p);
		if (*p == '%') {
			good = s->end - p > 2 && hexadecimal(p[1]) >= 0 &&
			       hexadecimal(p[2]) >= 0;
			c = good ? hexadecimal(p[1]) * 16 +
				   hexadecimal(p[2]) : 0;
			p += 2;
		}
		if (words && (c == '\r' || c == '\n' || c == '\t'))
			c = ' ';
		if (words && c == ' ' && out.len &&
		    out.data[out.len - 1] == ' ')
			continue;
		good = good && c >= ' ' && c != 0x7f &&
		       buf_addc(&out, (char)c);
	}
	if (good)
		return buf_take(&out);
	buf_release(&out);
	return NULL;
}

/* The value of that name; NULL: there is none, or more than one (RFC 6749
 * 3.1). */
static char *parameter(const char *query, const char *name, bool words)
{
	struct scan s = scan_text(query), key, value;
	char *found = NULL;

	while (scan_pair(&s, '&', &key, &value)) {
		if (!scan_is(&key, name) || !value.p)
			continue;
		if (found) {
			mem_wipe_string(found);
			return NULL;
		}
		found = decode(&value, words);
		if (!found)
			return NULL;
	}
	return found;
}

/* RFC 9207 2.4 */
static bool from_issuer(const char *query, const struct login_question *q,
			struct outcome *why)
{
	char *iss = parameter(query, "iss", false);
	bool good = iss ? !q->issuer || !strcmp(iss, q->issuer) :
		    !q->sends_iss;

	mem_wipe_string(iss);
	return good || outcome_fail(why, STAGE_AUTH, EX_NOPERM, "the answer "
				    "does not come from %.100s, and is not "
				    "used", q->issuer ? q->issuer :
				    "the issuer");
}

static enum login_verdict judge_query(const char *query,
				      const struct login_question *q,
				      char **code, struct outcome *why)
{
	char *error = parameter(query, "error", false);
	char *more = parameter(query, "error_description", true);
	enum login_verdict v = ANSWER_REFUSED;

	*code = parameter(query, "code", false);
	if (!from_issuer(query, q, why))
		;
	else if (error)
		outcome_fail(why, STAGE_AUTH, EX_NOPERM, "the issuer says "
			     "%.100s%s%.200s", error, more ? ": " : "",
			     more ? more : "");
	else if (*code && **code)
		v = ANSWER_CODE;
	else
		v = ANSWER_NONE;
	if (v != ANSWER_CODE) {
		mem_wipe_string(*code);
		*code = NULL;
	}
	free(error);
	free(more);
	return v;
}

enum login_verdict login_answer(const char *address,
				const struct login_question *q, char **code,
				struct outcome *why)
{
	const char *start = strchr(address, '?');
	char *query, *state;
	enum login_verdict v = ANSWER_NONE;

	*code = NULL;
	start = start ? start + 1 : address;
	query = mem_stringn(start, strcspn(start, "# \r\n"));
	state = parameter(query, "state", false);
	if (state && !strcmp(state, q->state))
		v = judge_query(query, q, code, why);
	mem_wipe_string(state);
	mem_wipe_string(query);
	return v;
}
