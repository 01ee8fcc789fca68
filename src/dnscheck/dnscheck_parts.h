/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What dnscheck.c and its parts share, and nobody else sees. */
#ifndef DNSCHECK_DNSCHECK_PARTS_H
#define DNSCHECK_DNSCHECK_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "desk/desk.h"
#include "wire/dns.h"
#include "wire/net.h"

enum grade { GRADE_OK, GRADE_WARN, GRADE_FAIL };

struct row {
	const char *check;         /* a stable word */
	char *subject;
	enum grade grade;
	char *found;
	char *publish;             /* NULL: nothing */
};

/* An address that mail may leave from, and the name that EHLO says there. */
struct source {
	struct net_address ip;
	char text[64];
	char *helo;
	bool direct;               /* this host's own, not a proxy's */
};

struct dnscheck {
	const struct desk *d;
	struct run run;
	struct dns *dns;
	char *domain;
	bool delivers_directly;    /* by some route, or for want of one */
	const struct transport *proxy; /* where all mail leaves by it */
	bool deaf;                 /* this host's own name got no answer */
	struct source *source;
	size_t sources;
	struct list mx;            /* hosts that take mail for the domain */
	struct row *row;
	size_t rows;
};

/* --- dnscheck_show.c --- */

/* Adds a row; publish (may be NULL) and the words are made printable. */
void report(struct dnscheck *c, enum grade grade, const char *check,
	    const char *subject, const char *publish, const char *found, ...)
	__attribute__((format(printf, 6, 7)));
void rows_show(const struct dnscheck *c, struct buf *out);
void rows_show_json(const struct dnscheck *c, struct buf *out);
void rows_release(struct dnscheck *c);
/* 'NAME. TXT "text"' as a zone file has it, in strings of at most 255
 * bytes; the caller frees. */
char *txt_record(const char *name, const char *text);

/* --- dnscheck_mx.c: where the domain's own mail goes --- */

/* False: there was no answer, as for this host's name, so that all further
 * questions would only take their time. */
bool check_mx(struct dnscheck *c);
void check_tlsa(struct dnscheck *c);

/* --- dnscheck_sources.c --- */

void sources_find(struct dnscheck *c);
void sources_release(struct dnscheck *c);
/* What a source's fault comes to: nothing but a warning where no route leads
 * there. */
enum grade source_grade(const struct dnscheck *c, const struct source *s);

/* --- dnscheck_spf.c, dnscheck_ptr.c --- */

void check_spf(struct dnscheck *c);
void check_smarthosts(struct dnscheck *c);
void check_ptr(struct dnscheck *c);

/* --- dnscheck_dkim.c, dnscheck_records.c --- */

void check_dkim(struct dnscheck *c);
void check_dmarc(struct dnscheck *c);
void check_tlsrpt(struct dnscheck *c);
void check_mta_sts(struct dnscheck *c);

/* The TXT records of a name that begin with a version tag ("v=DMARC1").
 * *text gets the first, which the caller frees, *n how many there are. False:
 * the look-up failed, and a row says so with this grade. */
bool find_txt(struct dnscheck *c, enum grade grade, const char *check,
	      const char *name, const char *version, char **text, size_t *n);
/* The value of a tag in "a=b; c=d", blanks around it cut off; the caller
 * frees. NULL: it is not there. */
char *tag_value(const char *text, const char *tag);

#endif
