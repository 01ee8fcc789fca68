/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the files of --setup share; nobody else includes this. */
#ifndef DESK_SETUP_PARTS_H
#define DESK_SETUP_PARTS_H

#include <stdbool.h>

#include "desk/desk.h"
#include "desk/discover.h"

struct setup {
	const struct desk *d;
	bool root;              /* for the machine; else for one person */
	bool silent;            /* --yes: every answer is the default */
	bool left;              /* the person has gone */
	char *address;
	struct finding found;
	char *username;
	bool login;             /* no password, but a login */
	char *client;           /* oauth_client_id; NULL: none */
	char *path;             /* the configuration */
	char *secrets;          /* the directory of its password */
	struct config written;  /* as it is read back */
	struct outcome why;     /* why it ends early; exit EX_OK: it does not */
};

/* --- setup_ask.c --- */

/* A line on standard output, wrapped, nothing in it but what can be seen. */
void setup_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Lines as they are, each indented. */
void setup_show(const char *text);
/* Asks, with an answer that an empty line stands for. NULL fallback: none.
 * The caller frees *answer. False: the person has gone, s->why says so. */
bool setup_ask(struct setup *s, const char *fallback, char **answer,
	       const char *format, ...)
	__attribute__((format(printf, 4, 5))) MUST_CHECK;
/* Yes or no; one who has gone says no. */
bool setup_agrees(struct setup *s, bool fallback, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* --- setup_runner.c --- */

/* Offers to have the queue run, and says how it is. */
void setup_runner(struct setup *s);
/* How this program becomes /usr/sbin/sendmail, unless it is. */
void setup_sendmail(const struct setup *s);
/* The path of this program; the caller frees. */
char *setup_program(void);
/* Runs a program to its end, with standard input (NULL: none); *words gets the
 * last of what it said. */
bool setup_run(const char *const *argv, const struct buf *input,
	       struct buf *words, int *status) MUST_CHECK;

#endif
