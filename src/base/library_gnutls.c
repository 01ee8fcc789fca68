/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/library_gnutls.h"

LIBRARY_SOURCE(gnutls, GNUTLS_SONAME, GNUTLS_CALLS)
