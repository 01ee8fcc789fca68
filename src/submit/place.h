/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a user keeps what is to be known again by his next call. */
#ifndef SUBMIT_PLACE_H
#define SUBMIT_PLACE_H

/* posthaste/WHAT below XDG_STATE_HOME (~/.local/state), there or not; the
 * caller frees. NULL: he has no home. */
char *place_own_state(const char *what);
/* Any name of a section as one of a file; the caller frees. */
char *place_file_name(const char *name);

#endif
