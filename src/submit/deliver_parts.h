/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What deliver.c, deliver_serve.c, deliver_worker.c and deliver_log.c share,
 * and nobody else sees. */
#ifndef SUBMIT_DELIVER_PARTS_H
#define SUBMIT_DELIVER_PARTS_H

#include "submit/deliver.h"
#include "submit/transport.h"

/* How a recipient's last try went, for the log. */
struct trace {
	const char *transport;
	char ip[64];
	char tls[16];
	char auth[32];
};

/* The recipients of one job that go to one destination. */
struct part {
	struct job *job;
	size_t *rcpt;             /* places in the job's envelope */
	struct outcome *outcome;
	struct trace *trace;
	bool *open;               /* may be tried elsewhere in this attempt */
	bool *judged;             /* outcome is that of a try */
	unsigned *turn;           /* which try's it is */
	bool *settled;            /* a success, recorded and handed on */
	size_t n;
	bool begun;               /* the journal knows of the attempt */
	bool sealed;              /* prefix was made */
	char *prefix;             /* DKIM fields; NULL: none */
};

/* What shares connections: transports in order, and for direct kinds a
 * domain. */
struct destination {
	char *key;
	struct list transport;
	const char *domain;       /* of a recipient */
	bool relaxed;             /* TLS-Required: No */
	bool require_tls;
	struct part *part;
	size_t n;
};

/* Parts [first, last) of a destination, worked on by one process. */
struct share {
	struct destination *d;
	size_t first, last;
};

/* Called for each recipient as soon as its success is recorded. */
struct witness {
	void (*success)(void *context, size_t part, size_t i);
	void *context;
};

/* Delivers a share: every recipient ends with its outcome, recorded in its
 * entry's journal if it has one, and logged. */
void serve(struct run *run, struct share *share, const struct witness *w);
/* Serves all destinations in worker processes. Outcomes come back into the
 * parts; entries are reloaded. */
void serve_in_workers(struct run *run, struct destination *d, size_t n);
/* One line about an attempt for a recipient. */
void log_attempt(const struct run *run, const struct part *p, size_t i);

#endif
