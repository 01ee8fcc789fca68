/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Parts of jobs, and the destinations that they go to; for the files of
 * deliver.h alone. */
#ifndef SUBMIT_PART_H
#define SUBMIT_PART_H

#include "policy/policy.h"
#include "submit/attempt.h"
#include "submit/deliver.h"
#include "submit/link.h"

/* The recipients of one job that go to one destination. */
struct part {
	struct job *job;
	struct attempt *to;
	size_t n;
	bool untried;             /* handed back as it was */

	/* only where it is served: */
	bool touched;             /* a try was made, or given up */
	bool begun;               /* the journal knows of the attempt */
	bool sealed;              /* prefix was made */
	char *prefix;             /* DKIM fields; NULL: none */
	char *message_id;         /* for the log, once it was needed */
};

/* How long a part may take: a heavier one never stands before a lighter one,
 * and leaves it a connection. */
enum weight { LIGHT, MEDIUM, HEAVY, WEIGHTS };

/* What shares connections: transports in order, and for direct kinds a
 * domain. */
struct destination {
	char *key;
	const struct transport *const *way; /* in order, then NULL */
	const struct transport *alone[2]; /* it, where a job overrides the
				   * routes */
	char *domain;             /* of a recipient */
	bool relaxed;             /* TLS-Required: No */
	bool require_tls;
	struct part *part;        /* those that wait */
	size_t n, room;
	size_t running;           /* workers */
	size_t heavy[WEIGHTS];    /* of them: with parts of this weight */
	size_t at;                /* place among those with anything to do */
	bool busy;                /* it has one */
	bool waits;               /* for a secret that is being fetched */
	struct pace pace;         /* it asked for less; monotonic ms */
	int64_t left_alone;       /* until then, monotonic ms; 0: it is not */
	struct destination *link; /* in the table */
};

/* Parts [first, last) of a destination, worked on by one process. */
struct share {
	struct destination *d;
	size_t first, last;
};

/* Its place in the job's envelope, by which the journal knows it. */
static inline size_t place_of(const struct part *p, const struct attempt *a)
{
	return (size_t)(a->rcpt - p->job->envelope->rcpt);
}

/* Parts that are about to be served: nothing was tried. */
void parts_open(struct destination *d);
void part_release(struct part *p);
/* Places of its recipients; the caller frees. */
size_t *part_places(const struct part *p);
/* One line about an attempt for a recipient. */
void log_attempt(const struct run *run, struct part *p,
		 const struct attempt *a);

/* What somebody has to mend at one of several transports, in words. */
void fault_words(const struct transport *t, const struct outcome *o, char *out,
		 size_t size);
/* The same as a line, once a run and transport. */
void log_fault_once(struct run *run, const struct transport *t,
		    const struct outcome *o);

/* One that is not made, at no cost: said to whoever looks on. */
void part_pass_over(const struct run *run, struct part *p,
		    const struct outcome *why);
/* An attempt that could not even begin, in journal and log. */
void part_fail(const struct run *run, struct part *p,
	       const struct outcome *why);

#endif
