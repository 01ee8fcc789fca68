/* SPDX-License-Identifier: GPL-3.0-or-later */
/* DKIM at delivery: which keys, by the domain of the From field. */
#ifndef SUBMIT_SIGN_H
#define SUBMIT_SIGN_H

#include <stdbool.h>

#include "base/outcome.h"
#include "config/config.h"
#include "mail/message.h"

/* The fields to put before the message's header, which the caller frees;
 * NULL where nothing is to be signed. False (EX_TEMPFAIL): a key that is
 * configured cannot be used, and nothing is sent unsigned. */
bool sign_message(const struct config *config, struct message *message,
		  char **prefix, struct outcome *why) MUST_CHECK;
/* Whether a key for it is there and not ours to read. */
bool sign_is_denied(const struct config *config, struct message *message);

#endif
