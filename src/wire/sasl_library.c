/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "wire/sasl_library.h"

LIBRARY_SOURCE(gsasl, GSASL_SONAME, GSASL_CALLS)
