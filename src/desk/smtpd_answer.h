/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The answer of -bs to the final dot of a message. */
#ifndef DESK_SMTPD_ANSWER_H
#define DESK_SMTPD_ANSWER_H

#include "desk/desk.h"
#include "desk/smtpd_client.h"

/* For a message that was not even tried. */
void answer_refusal(struct client *c, const struct outcome *why);
/* For one that was, naming those who get nothing. utf8: the client reads UTF-8
 * (RFC 6531 3.7.4). Gives whether any recipient was sent or held. */
bool answer_message(struct client *c, const struct acceptance *a, bool utf8);

#endif
