/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef HELPER_CERTIFICATE_H
#define HELPER_CERTIFICATE_H

#include <stdbool.h>

/* Whether the certificate of libcurl's last transfer (of a handle with
 * CURLOPT_CERTINFO) has a DNS name among its names (RFC 9525, RFC 8461 3.3).
 * Where it has none the library is content with the common name. */
bool certificate_names_hosts(void *curl);

#endif
