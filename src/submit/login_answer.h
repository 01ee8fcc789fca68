/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The address that a browser ends at after a login (RFC 6749 4.1.2). Pure. */
#ifndef SUBMIT_LOGIN_ANSWER_H
#define SUBMIT_LOGIN_ANSWER_H

#include <stdbool.h>

#include "base/outcome.h"

struct login_question {
	const char *state;       /* the word that was sent along */
	const char *issuer;      /* its own name; NULL: not known */
	bool sends_iss;          /* it promised to say it (RFC 9207) */
};

enum login_verdict {
	ANSWER_NONE,             /* it is no answer to this question */
	ANSWER_CODE,             /* *code is the caller's, to be wiped */
	ANSWER_REFUSED           /* why is filled, EX_NOPERM */
};
/* address: a whole URL, or what stands after its host, or the query alone. */
enum login_verdict login_answer(const char *address,
				const struct login_question *q, char **code,
				struct outcome *why);

#endif
