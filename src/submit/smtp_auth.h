/* SPDX-License-Identifier: GPL-3.0-or-later */
/* AUTH (RFC 4954) in an open session. */
#ifndef SUBMIT_SMTP_AUTH_H
#define SUBMIT_SMTP_AUTH_H

#include "submit/smtp.h"

/* False: STAGE_AUTH; EX_NOPERM where the server refuses us, or what it offers
 * is not to be used. */
bool session_authenticate(struct session *s, struct outcome *why) MUST_CHECK;

#endif
