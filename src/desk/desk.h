/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What people and programs ask for: one function a command, each in its own
 * file, each giving the exit status. Only here, in dnscheck and in main.c is
 * anything printed.
 */
#ifndef DESK_DESK_H
#define DESK_DESK_H

#include <stdbool.h>

#include "base/json.h"
#include "base/outcome.h"
#include "submit/compose.h"
#include "config/config.h"
#include "config/options.h"
#include "queue/queue.h"
#include "submit/run.h"
#include "submit/smtp.h"

struct desk {
	const struct options *options;
	const struct config *config;
	const struct transport *transport[2]; /* --transport; [0] NULL: the
				       * routes count */
	const struct config_place *place; /* where configurations are */
	struct caller *caller;        /* who called, before root stepped down */
	bool no_input;                /* descriptor 0 was closed */
};

int desk_send(const struct desk *d);        /* send.c, also --dry-run */
int desk_smtpd(const struct desk *d);       /* smtpd.c, -bs */
int desk_list(const struct desk *d);        /* mailq.c, -bp */
int desk_run(const struct desk *d);         /* runner.c, -q */
/* Opens a session by the transport, as --probe does. */
bool desk_probe_transport(const struct desk *d, const struct transport *t,
			  struct outcome *why) MUST_CHECK;
int desk_check(const struct desk *d);       /* check.c */
int desk_health(const struct desk *d);      /* health.c */
int desk_explain(const struct desk *d);     /* explain.c, -bv */
int desk_probe(const struct desk *d);       /* probe.c */
int desk_dnscheck(const struct desk *d);    /* dnscheck.c */
int desk_configure(const struct desk *d);   /* configure.c */
int desk_login(const struct desk *d);       /* login.c */
int desk_setup(const struct desk *d);       /* setup.c */
int desk_store_password(const struct desk *d); /* store.c */
int desk_administer(const struct desk *d);  /* admin.c, --show and others */

/* Root with the system's configuration becomes the queue's owner before it
 * touches queue, secrets, network or a log file that he could have put
 * another name in the place of. login: he will log in, which needs a place
 * that is his. stepdown.c */
bool desk_step_down(const struct config *c, bool login, struct outcome *why)
	MUST_CHECK;

/* --- print.c --- */

/* Prints "posthaste: words" on standard error, control characters replaced,
 * logs the failure, and gives why->exit. */
int desk_fail(const struct desk *d, const struct outcome *why);
/* The log's half of it. */
void desk_log_failure(const struct desk *d, const struct outcome *why);
/* One such line without logging. */
void desk_complain(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
/* Writes to standard output; false when that fails, and for a text that
 * outgrew its bound: half a report would pass for a whole one. A reader that
 * has seen enough (a closed pipe) is not a failure. */
bool desk_print(const struct buf *text);
/* Whatever stands in a report (what servers said, what others put in the
 * queue, files): nothing of it is left that is not a line end or to be seen.
 * Prints the rest. */
bool desk_show(struct buf *text);
/* Cleans and prints, complaining of a failure; gives the exit status. */
int desk_report(struct buf *text);
/* A time as a list of the queue shows it, and when an entry is tried. */
enum { DESK_STAMP = 32, DESK_WHEN = 64 };
void desk_stamp(int64_t t, char out[DESK_STAMP]);
void desk_when(const struct entry *e, char out[DESK_WHEN]);
/* An entry as -bp has it in JSON, with the n recipients that rcpt names, or
 * the first n for NULL. */
void desk_json_entry(struct json *j, const struct entry *e,
		     const size_t *rcpt, size_t n);
/* Adds lines that others wrote, with LF line ends; for a terminal without
 * anything but what can be seen. */
void desk_add_lines(struct buf *out, const char *data, size_t n);
/* Whether colours are welcome on standard output. */
bool desk_colour(void);
/* Adds words after a label, broken at blanks where a line of a terminal ends
 * and going on below their beginning. */
void desk_wrap(struct buf *out, const char *label, const char *words);
/* The transcript and progress line of -v, on standard error. */
extern const struct watch desk_watch;
/* A line for each attempt of a queue run that somebody watches. */
extern const struct watch desk_watch_queue;
/* Both. */
extern const struct watch desk_watch_queue_lines;

/* --- accept.c --- */

/* The configured directory's queue, by posthaste-drop where need be. */
bool desk_open_queue(const struct desk *d, bool create, struct queue **out,
		     struct outcome *why) MUST_CHECK;
/* The queue as configured. NULL: none (never; not usable; or, where nothing
 * was said about it, not tended). explicit: it was asked for (-odb, -odq):
 * tended or not. False (EX_CANTCREAT and the like): the configuration
 * promises one that cannot be used. */
bool desk_queue(const struct desk *d, bool explicit, struct queue **out,
		struct outcome *why) MUST_CHECK;
/* Whether desk_queue() could make that queue, where it is not there. */
bool desk_queue_possible(const struct desk *d, bool explicit);
void desk_run_init(const struct desk *d, struct run *run);
void desk_run_release(struct run *run);

/* What became of a message that was handed in. */
struct acceptance {
	int status;                   /* sysexits(3) */
	const struct account *account;
	struct envelope envelope;
	struct outcome why;           /* of a failure before any recipient's */
	bool refused;                 /* why holds: nothing was tried */
	bool unheld;                  /* why tells why the queue did not take
				       * what failed for now */
	bool held;                    /* queued, synced; id tells where */
	char id[QUEUE_ID_SIZE];
};
/* Composes, and delivers or queues as options and configuration ask. */
void desk_accept(const struct desk *d, const struct request *request,
		 struct message **m, struct acceptance *a);
void acceptance_release(struct acceptance *a);
/* Whether only the queue's owner can make the first attempt: he reads a secret
 * that the caller may not, and his runs come by. Then the message is his from
 * the start, and nothing has failed. */
bool desk_is_for_owner(const struct desk *d, const struct queue *q,
		       const struct account *account, const struct envelope *e,
		       struct message *m);
/* The request that the command line makes. */
void desk_request(const struct desk *d, struct request *r);
/* For reading: wide enough for what is judged when it is complete. */
struct message_limits desk_limits(const struct desk *d);

/* --- runner.c --- */

/* Starts a queue run in a process of its own that holds no descriptor of
 * the caller. */
void runner_detach(const struct desk *d);

#endif
