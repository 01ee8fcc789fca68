/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/dns_parse_library.h"

LIBRARY_SOURCE(resolv, RESOLV_SONAME, RESOLV_CALLS)
