/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/idn_library.h"

LIBRARY_SOURCE(idn2, IDN2_SONAME, IDN2_CALLS)
