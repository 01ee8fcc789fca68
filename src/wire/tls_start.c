/* SPDX-License-Identifier: GPL-3.0-or-later */
/* In a file of its own: a program that calls tls_start has its TLS library
 * begin then and not before main, when the environment still is as the caller
 * made it. */
#include <gnutls/gnutls.h>

#include "wire/tls.h"

GNUTLS_SKIP_GLOBAL_INIT

void tls_start(void)
{
	/* without it every use fails, with words */
	(void)gnutls_global_init();
}
