/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SCRAM's SaltedPassword (RFC 5802 3). libgsasl would derive it itself, but
 * takes any iteration count from the server and refuses passwords with
 * characters younger than Unicode 3.2.
 */
#ifndef WIRE_SASL_SCRAM_H
#define WIRE_SASL_SCRAM_H

#include <stdbool.h>

enum { SCRAM_HEX_MAX = 2 * 64 + 1 };

/* What the server's first message said, as text; NULL: nothing. */
struct scram_challenge {
	const char *mechanism;
	const char *iterations;
	const char *salt;         /* base64 */
};
/* False: no such hash, nothing usable from the server, or an iteration count
 * out of bounds, which is a refusal in words. The caller wipes hex. */
bool scram_salted_password(const struct scram_challenge *c,
			   const char *password, char hex[SCRAM_HEX_MAX],
			   char refusal[128]);

#endif
