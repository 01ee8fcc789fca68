/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --login: the conversation. */
#include "desk/login.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/pairs.h"
#include "desk/desk.h"
#include "desk/files.h"
#include "submit/login.h"
#include "submit/login_answer.h"
#include "submit/login_ask.h"
#include "wire/loopback.h"

enum { BEGIN_MS = 60 * 1000, EXCHANGE_MS = 60 * 1000,
       PERSON_MS = 15 * 60 * 1000, LONGEST_S = 30 * 60,
       PASTED_MAX = 16 * 1024 };

struct login {
	const struct config *config;
	const struct transport *transport;
	struct loopback *loopback;
	struct buf begun;        /* what begin answered: pairs, a secret */
	struct buf kept;         /* and what ended it */
};

static void login_say(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
static void login_say(const char *format, ...)
{
	struct buf out = BUF(64 * 1024);
	va_list ap;

	va_start(ap, format);
	buf_addv(&out, format, ap);
	va_end(ap);
	(void)desk_show(&out);
	buf_release(&out);
}

/* --- what has to be done before --- */

static const char google_words[] =
	"Google lets no program log in that has not been registered: at\n"
	"https://console.cloud.google.com/auth/clients make a client of the "
	"type\n\"Desktop app\" (its project needs the scope "
	"https://mail.google.com/). Then set\noauth_client_id to its id, put "
	"its secret alone into a file that nobody else\ncan read, and set "
	"oauth_client_secret_file to that file.\n";
static const char microsoft_words[] =
	"Microsoft lets no program log in that has not been registered: at\n"
	"https://entra.microsoft.com (App registrations) register one for "
	"accounts in\nany directory and personal ones, with the platform "
	"\"Mobile and desktop\napplications\", the redirect address "
	"http://localhost and public client flows\nallowed; give it the "
	"delegated permission SMTP.Send. Then set oauth_client_id\nto its "
	"application id.\n";

const char *login_preparation(const struct transport *t)
{
	if (!t->oauth)
		return NULL;
	if (!strcmp(t->oauth, "google") &&
	    (!t->oauth_client_id || !t->oauth_client_secret_file))
		return google_words;
	if (!strcmp(t->oauth, "microsoft") && !t->oauth_client_id)
		return microsoft_words;
	return NULL;
}

/* --- by device (RFC 8628) --- */

static bool by_device(struct login *l, struct outcome *why)
{
	const char *begun = buf_text(&l->begun);
	char *uri = pairs_get(begun, "uri"), *user = pairs_get(begun,
							       "user_code");
	char *whole = pairs_get(begun, "whole_uri");
	int64_t seconds = pairs_number(begun, "lifetime");
	bool done;

	if (seconds < 1 || seconds > LONGEST_S)
		seconds = LONGEST_S;
	login_say("Open this address in a browser, on any device:\n\n"
		  "    %s\n\nand enter the code:\n\n    %s\n\n",
		  uri ? uri : "", user ? user : "");
	if (whole)
		login_say("(or this one, which has the code in it: %s)\n\n",
			  whole);
	login_say("Waiting until you have logged in there (at most %d "
		  "minutes) ...\n", (int)((seconds + 59) / 60));
	done = login_ask(l->config, l->transport, "poll", &l->begun,
			 seconds * 1000, &l->kept, why);
	free(uri);
	free(user);
	free(whole);
	return done;
}

/* --- by code (RFC 6749 4.1, RFC 8252) --- */

/* A whole line of standard input, or none; false: there will be none. */
static bool read_pasted(struct buf *line, bool *whole)
{
	char *room = buf_room(line, 4096);
	ssize_t n = room ? read(STDIN_FILENO, room, 4096) : 0;

	*whole = false;
	if (n <= 0)
		return false;
	line->len += (size_t)n;
	line->data[line->len] = '\0';
	*whole = strchr(line->data, '\n') != NULL;
	return true;
}

/* By the browser itself, or what a person copies from it. */
static enum login_verdict await_answer(struct login *l,
				       const struct login_question *q,
				       char **code, struct outcome *why)
{
	const int64_t deadline = clock_in(PERSON_MS);
	struct buf target = BUF_SECRET(LOOPBACK_TARGET_MAX);
	struct buf line = BUF_SECRET(PASTED_MAX);
	enum login_verdict v = ANSWER_NONE;
	enum loopback_event event;
	int other = STDIN_FILENO;
	bool whole;

	while (v == ANSWER_NONE) {
		event = loopback_wait(l->loopback, other, deadline, &target);
		if (event == LOOPBACK_OVER)
			break;
		if (event == LOOPBACK_ASKED) {
			v = login_answer(buf_text(&target), q, code, why);
			loopback_answer(l->loopback, v == ANSWER_NONE ?
					"404 Not Found" : "200 OK",
					v == ANSWER_NONE ? "Nothing is here." :
					v == ANSWER_CODE ? "Thank you. Go "
					"back to the terminal; this page can "
					"be closed." : "The login was "
					"refused. Go back to the terminal.");
			continue;
		}
		if (!read_pasted(&line, &whole))
			other = -1;
		if (!whole)
			continue;
		v = login_answer(buf_text(&line), q, code, why);
		buf_reset(&line);
		if (v == ANSWER_NONE)
			login_say("That is not the address that this login "
				  "ends at. Paste the whole of it:\n");
	}
	if (v == ANSWER_NONE)
		outcome_fail(why, STAGE_AUTH, EX_TEMPFAIL,
			     "nobody logged in in time");
	buf_release(&target);
	buf_release(&line);
	return v;
}

static bool by_code(struct login *l, struct buf *more, struct outcome *why)
{
	const char *begun = buf_text(&l->begun);
	char *url = pairs_get(begun, "url"), *code = NULL;
	char *state = pairs_get(begun, "state");
	char *exact = pairs_get(begun, "exact");
	char *promised = pairs_get(begun, "sends_iss");
	const struct login_question q = { state ? state : "", exact,
					  promised != NULL };
	bool done = false;

	login_say("Open this address in a browser and log in:\n\n    %s\n\n"
		  "Waiting for the browser to come back (at most %d "
		  "minutes). Where it runs on\nanother machine it ends at a "
		  "page that cannot be opened: paste that page's\nwhole "
		  "address here.\n", url ? url : "", PERSON_MS / 60000);
	if (await_answer(l, &q, &code, why) == ANSWER_CODE) {
		buf_add(more, begun, l->begun.len);
		pairs_add(more, "code", code);
		done = login_ask(l->config, l->transport, "exchange", more,
				 EXCHANGE_MS, &l->kept, why);
	}
	mem_wipe_string(code);
	mem_wipe_string(state);
	free(url);
	free(exact);
	free(promised);
	return done;
}

/* --- all of it --- */

static bool login_interactive(struct login *l, struct outcome *why)
{
	struct buf more = BUF_SECRET(LOGIN_TEXT_MAX);
	char *flow = NULL;
	bool begun, done = false;
	unsigned port;

	begun = loopback_open(&l->loopback, &port, why);
	/* Microsoft matches any port of the name alone */
	if (begun)
		buf_addf(&more, strcmp(l->transport->oauth, "microsoft") ?
			 "redirect http://127.0.0.1:%u/\n" :
			 "redirect http://localhost:%u\n", port);
	if (begun && login_ask(l->config, l->transport, "begin", &more,
			       BEGIN_MS, &l->begun, why)) {
		flow = pairs_get(buf_text(&l->begun), "flow");
		done = flow && !strcmp(flow, "device") ? by_device(l, why) :
		       by_code(l, &more, why);
	}
	loopback_close(l->loopback);
	buf_release(&more);
	free(flow);
	return done;
}

static void say_done(const struct login *l)
{
	int64_t ends = pairs_number(buf_text(&l->kept), "expires");
	char *renewable = pairs_get(buf_text(&l->kept), "renewable");
	char when[CLOCK_DATE_SIZE];

	login_say("Transport %s is logged in.\n", l->transport->name);
	if (renewable && ends) {
		clock_date((time_t)ends, when);
		login_say("The issuer gave nothing to renew this login with: "
			  "it ends on %s.\n", when);
	} else if (renewable) {
		login_say("The issuer gave nothing to renew this login "
			  "with.\n");
	}
	free(renewable);
}

bool login_perform(const struct config *c, const struct transport *t,
		   struct outcome *why)
{
	struct login l = { .config = c, .transport = t,
			   .begun = BUF_SECRET(LOGIN_TEXT_MAX),
			   .kept = BUF_SECRET(LOGIN_TEXT_MAX) };
	const char *preparation = login_preparation(t);
	bool done = false;

	if (!t->oauth) {
		outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "no login is "
			     "configured: set oauth");
	} else if (preparation) {
		login_say("%s", preparation);
		outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "%s", !strcmp(
			     t->oauth, "google") ? "oauth = google needs "
			     "oauth_client_id and oauth_client_secret_file" :
			     "oauth = microsoft needs oauth_client_id");
	} else if (t->oauth_grant == GRANT_CLIENT) {
		done = login_ask(c, t, "service", NULL, EXCHANGE_MS, &l.kept,
				 why);
	} else {
		done = login_interactive(&l, why);
	}
	if (done)
		say_done(&l);
	else
		outcome_prefix(why, "transport %s", t->name);
	buf_release(&l.begun);
	buf_release(&l.kept);
	return done;
}

static void complain_of_login(const struct config *c,
			      const struct transport *t)
{
	struct login_state state;

	if (!t->oauth || files_login_denied(c, t, files_sender(c)))
		return;
	login_look(c, t, &state);
	if (state.health != LOGIN_GOOD)
		desk_complain("%s", state.words);
}

void login_complain(const struct config *c, const struct transport *t)
{
	size_t i;

	if (t)
		complain_of_login(c, t);
	for (i = 0; !t && i < c->transports; i++)
		complain_of_login(c, &c->transport[i]);
}

int desk_login(const struct desk *d)
{
	const char *name = d->options->argument;
	const struct transport *t = config_transport(d->config, name);
	struct outcome why;

	if (!t) {
		outcome_fail(&why, STAGE_LOCAL, EX_CONFIG,
			     "there is no transport \"%s\"", name);
		return desk_fail(d, &why);
	}
	return login_perform(d->config, t, &why) ? EX_OK :
	       desk_fail(d, &why);
}
