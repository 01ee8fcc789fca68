/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

/* Ends a forked child at once, without flushing what the parent had not yet
 * written. Nobody but main.c ends a process otherwise, and what cannot go on
 * at all: want of memory, a library that is gone. */
_Noreturn void process_leave(int status);

#endif
