/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/dns_library.h"

LIBRARY_SOURCE(ares, CARES_SONAME, ARES_CALLS)
