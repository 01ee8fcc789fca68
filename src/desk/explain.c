/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "desk/explain.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "mail/address.h"
#include "policy/policy.h"
#include "submit/hosts.h"
#include "submit/local.h"
#include "submit/sign.h"
#include "submit/link.h"

enum { OUTPUT_MAX = 64 * 1024 * 1024 };

/* One line of the answer: a transport that a recipient would take. */
struct row {
	const char *recipient;
	unsigned attempt;             /* the first is 1 */
	const struct route *route;
	const struct transport *t;
	struct hosts hosts;
	char tls[48];
	char why[800];
};

struct explanation {
	const struct desk *d;
	struct run run;
	const struct account *account;
	const struct envelope *envelope;
	struct buf out;
	struct json json;
};

/* --- finding out --- */

static void add_why(struct row *row, const char *words)
{
	size_t n = strlen(row->why);

	snprintf(row->why + n, sizeof(row->why) - n, "; %s", words);
}

static void describe_hosts(struct explanation *x, struct row *row)
{
	const struct hosts_query query = {
		.transport = row->t,
		.domain = address_domain(row->recipient),
		.relaxed = x->envelope->tls_required_no,
		.require_tls = x->envelope->require_tls,
		.cached_only = true,
	};
	struct outcome why;
	char words[600];

	if (kind_facts(row->t->kind)->way == WAY_LOCAL) {
		snprintf(row->tls, sizeof(row->tls), "none");
		local_describe(row->t, words, sizeof(words));
		add_why(row, words);
	} else if (!hosts_find(&x->run, &query, &row->hosts, &why)) {
		snprintf(row->tls, sizeof(row->tls), "unknown");
		add_why(row, why.text);
	} else if (row->hosts.n) {
		snprintf(row->tls, sizeof(row->tls), "%s%s",
			 row->hosts.item[0].implicit_tls ? "implicit " : "",
			 demand_name(row->hosts.item[0].demand));
		if (row->hosts.item[0].why[0])
			add_why(row, row->hosts.item[0].why);
	}
}

/* --- saying it --- */

static void host_words(const struct host *h, char *out, size_t size)
{
	if (h->name[0] == '/')
		snprintf(out, size, "%s", h->name);
	else
		snprintf(out, size, "%s:%u", h->name, h->port);
}

static void row_json(struct explanation *x, const struct row *row)
{
	struct json *j = &x->json;
	char host[300];
	size_t i;

	json_add_object(j, NULL);
	json_add_string(j, "recipient", row->recipient);
	json_add_int(j, "attempt", row->attempt);
	json_add_string(j, "route", row->route ? row->route->name : NULL);
	json_add_string(j, "transport", row->t->name);
	json_add_string(j, "kind", kind_name((enum kind)row->t->kind));
	json_add_array(j, "hosts");
	for (i = 0; i < row->hosts.n; i++) {
		host_words(&row->hosts.item[i], host, sizeof(host));
		json_add_string(j, NULL, host);
	}
	json_end(j);
	json_add_string(j, "tls", row->tls);
	json_add_string(j, "why", row->why);
	json_end(j);
}

static void row_text(struct explanation *x, const struct row *row)
{
	bool colour = desk_colour();
	char host[300];
	size_t i;

	buf_addf(&x->out, "  from attempt %u on by transport %s%s%s (kind %s), "
		 "TLS %s\n", row->attempt, colour ? "\033[1m" : "",
		 row->t->name, colour ? "\033[0m" : "",
		 kind_name((enum kind)row->t->kind), row->tls);
	for (i = 0; i < row->hosts.n; i++) {
		host_words(&row->hosts.item[i], host, sizeof(host));
		buf_addf(&x->out, "      %s     %s\n", i ? "then" : "host",
			 host);
	}
	desk_wrap(&x->out, "      because  ", row->why);
}

static void show_row(struct explanation *x, const char *recipient,
		     unsigned attempts, const struct route *route,
		     const struct transport *t)
{
	struct row row = {
		.recipient = recipient, .attempt = attempts + 1,
		.route = route, .t = t,
	};

	if (x->run.transport[0])
		snprintf(row.why, sizeof(row.why),
			 "--transport overrides the routes");
	else if (!route)
		snprintf(row.why, sizeof(row.why),
			 "no route matches: direct delivery");
	else
		snprintf(row.why, sizeof(row.why), "route %s (%s%s%s)",
			 route->name, route->account ? "account" :
			 route->domain ? "domain" : "global",
			 route->minimum_attempts ?
			 ", minimum_attempts reached" : "",
			 route->transport.n ? "" : ", empty transport");
	describe_hosts(x, &row);
	if (x->d->options->json)
		row_json(x, &row);
	else
		row_text(x, &row);
	hosts_release(&row.hosts);
}

static int by_number(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return x < y ? -1 : x > y;
}

static void explain_all(struct explanation *x)
{
	const struct config *c = x->d->config;
	/* attempts at which the answer may change */
	unsigned *at = mem_alloc((c->routes + 1) * sizeof(*at));
	const struct route *route, *before;
	const struct transport *const *way;
	const struct recipient *r = x->envelope->rcpt;
	size_t i;

	for (i = 0; i < c->routes; i++)
		at[i + 1] = (unsigned)c->route[i].minimum_attempts;
	qsort(at, c->routes + 1, sizeof(*at), by_number);
	for (; r < x->envelope->rcpt + x->envelope->n; r++) {
		if (!x->d->options->json)
			buf_addf(&x->out, "%s\n", r->address);
		before = NULL;
		for (i = 0; i <= c->routes; i++) {
			way = policy_transports(c, x->run.transport,
						x->account,
						x->envelope->sender,
						r->address, at[i], &route);
			for (; *way && (!i || route != before); way++)
				show_row(x, r->address, at[i], route, *way);
			before = route;
		}
	}
	free(at);
}

static void explain_begin(struct explanation *x, const struct desk *d,
			  const struct account *account,
			  const struct envelope *e)
{
	*x = (struct explanation){
		.d = d, .account = account, .envelope = e,
		.out = BUF(OUTPUT_MAX),
	};
	x->json = JSON_INTO(&x->out);
	desk_run_init(d, &x->run);
}

static int explain_end(struct explanation *x)
{
	int status;

	if (x->d->options->json)
		buf_addc(&x->out, '\n');
	status = desk_report(&x->out);
	buf_release(&x->out);
	desk_run_release(&x->run);
	return status;
}

/* --- the commands --- */

int desk_explain(const struct desk *d)
{
	struct explanation x;
	struct envelope e = { 0 };
	const struct account *account;
	struct request request;
	struct outcome why;
	char *original_to = NULL;
	bool done;
	int status;

	desk_request(d, &request);
	request.from_header = false;
	e.require_tls = d->options->require_tls;
	done = compose_sender(d->config, &request, NULL, &account, &e.sender,
			      &why) &&
	       compose_recipients(d->config, &request, NULL, account, &e,
				  &original_to, &why);
	free(original_to);
	if (!done) {
		envelope_release(&e);
		return desk_fail(d, &why);
	}
	explain_begin(&x, d, account, &e);
	if (d->options->json)
		json_add_array(&x.json, NULL);
	else
		buf_addf(&x.out, "from <%s>%s%s\n", e.sender,
			 account ? ", account " : "",
			 account ? account->name : "");
	explain_all(&x);
	if (d->options->json)
		json_end(&x.json);
	status = explain_end(&x);
	envelope_release(&e);
	return status;
}

static bool not_shown(struct outcome *why)
{
	return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
			    "the message cannot be shown");
}

/* To a person, with LF line ends, and of any size. */
static bool print_message(struct explanation *x, struct message *m,
			  const char *prefix, struct outcome *why)
{
	const char *data;
	int64_t at = 0;
	long n;

	if (prefix)
		desk_add_lines(&x->out, prefix, strlen(prefix));
	while ((n = message_bytes(m, at, &data)) > 0) {
		if (!desk_print(&x->out))
			return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
					    "cannot write to standard output");
		buf_reset(&x->out);
		desk_add_lines(&x->out, data, (size_t)n);
		at += n;
	}
	if (n)
		return not_shown(why);
	/* the end of it is the message's, too: what comes after it is words */
	if (!desk_print(&x->out))
		return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "cannot write to standard output");
	buf_reset(&x->out);
	return true;
}

/* What the queue is to a message, which it is not given. */
struct prospect {
	enum queue_use use;
	bool usable;
	bool owners;                  /* its owner alone can send it */
	bool unsigned_here;           /* and he alone reads the DKIM key */
};

static struct prospect look_at_queue(const struct explanation *x,
				     struct message *m)
{
	const struct desk *d = x->d;
	const enum delivery_mode mode = d->options->mode;
	const bool asked = mode == MODE_BACKGROUND || mode == MODE_QUEUE;
	struct prospect p = { .use = policy_queue_use(d->config, asked) };
	struct outcome ignored;
	struct queue *q = NULL;

	if (p.use == USE_NONE)
		return p;
	if (!desk_open_queue(d, false, &q, &ignored)) {
		p.usable = desk_queue_possible(d, asked);
		return p;
	}
	p.usable = p.use != USE_IF_TENDED || queue_tended(q);
	p.owners = p.usable && desk_is_for_owner(d, q, x->account,
						 x->envelope, m);
	p.unsigned_here = p.usable && queue_is_remote(q) &&
			  sign_is_denied(d->config, m);
	queue_close(q);
	return p;
}

static const char *queue_words(const struct desk *d, const struct prospect *p)
{
	const enum delivery_mode mode = d->options->mode;

	if (!p->usable && p->use == USE_PROMISED)
		return "it cannot be used: what would be queued is refused "
		       "(status 73)";
	if (!p->usable)
		return "there is none in use: what fails for now is not kept "
		       "(status 75)";
	if (mode == MODE_QUEUE)
		return "the message would be queued, for the next run";
	if (p->owners)
		return "the message would be queued for the queue's owner, "
		       "who alone may read what it takes to send it";
	if (policy_queues_first(d->config, mode))
		return "the message would be queued first and delivered in "
		       "the background";
	return "it would be tried at once; what fails for now would be "
	       "queued";
}

static bool dry_run(struct explanation *x, struct message *m,
		    struct outcome *why)
{
	const struct prospect queue = look_at_queue(x, m);
	char *prefix = NULL;
	struct buf whole = BUF(OUTPUT_MAX);
	const char *data;
	int64_t at = 0;
	bool done;
	long n;

	if (!queue.unsigned_here &&
	    !sign_message(x->d->config, m, &prefix, why))
		return false;
	if (x->d->options->json) {
		json_add_object(&x->json, NULL);
		json_add_string(&x->json, "sender", x->envelope->sender);
		json_add_array(&x->json, "recipients");
		explain_all(x);
		json_end(&x->json);
		/* as it would be sent */
		buf_adds(&whole, prefix ? prefix : "");
		while ((n = message_bytes(m, at, &data)) > 0) {
			buf_add(&whole, data, (size_t)n);
			at += n;
		}
		done = (!n && !whole.full) || not_shown(why);
		if (done)
			json_add_stringn(&x->json, "message", buf_text(&whole),
				     whole.len);
		json_end(&x->json);
	} else {
		buf_addf(&x->out, "from <%s>\n", x->envelope->sender);
		desk_wrap(&x->out, "queue: ", queue_words(x->d, &queue));
		if (queue.unsigned_here)
			desk_wrap(&x->out, "DKIM:  ", "the queue's owner "
				  "signs it, who alone may read the key: no "
				  "signature is shown");
		buf_addc(&x->out, '\n');
		explain_all(x);
		buf_addc(&x->out, '\n');
		done = print_message(x, m, prefix, why);
	}
	buf_release(&whole);
	free(prefix);
	return done;
}

int explain_dry_run(const struct desk *d, const struct request *request,
		    struct message **m)
{
	struct explanation x;
	struct envelope e = { 0 };
	const struct account *account;
	struct outcome why;
	int status;

	if (!compose(d->config, request, m, &e, &account, &why)) {
		envelope_release(&e);
		return desk_fail(d, &why);
	}
	explain_begin(&x, d, account, &e);
	if (dry_run(&x, *m, &why)) {
		status = explain_end(&x);
	} else {
		buf_reset(&x.out);
		explain_end(&x);
		status = desk_fail(d, &why);
	}
	envelope_release(&e);
	return status;
}
