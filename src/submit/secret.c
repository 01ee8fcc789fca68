/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/kernel.h"
#include "base/log.h"
#include "base/process.h"
#include "base/user.h"
#include "policy/policy.h"
#include "submit/login.h"
#include "submit/secret_source.h"

enum {
	COMMAND_MS = 60 * 1000,
	RENEW_AGAIN_MS = 60 * 1000   /* after an issuer gave no fresh token */
};

struct held {
	struct held *next;
	const struct transport *transport;
	struct secret secret;
	struct outcome why;   /* exit is EX_OK where all went well */
	bool asked, renewed;  /* secrets_get gave it; renewed after a refusal */
	bool ages;            /* a fresh token was due and not to be had */
	int64_t had;          /* when it was fetched */
	pid_t pid;            /* of who fetches it; 0: nobody does */
	int fd;               /* the line to it */
	bool lent;            /* another process renews the token for us, */
	pid_t lent_to;        /* this one; 0: it did */
	int lent_fd;          /* the line to it */
};

struct secrets {
	const struct config *config;
	struct held *first;
	pid_t owner;          /* whose children those processes are */
};

struct secrets *secrets_new(const struct config *c)
{
	struct secrets *s = mem_alloc(sizeof(*s));

	s->config = c;
	s->owner = getpid();
	return s;
}

static bool is_owner(const struct secrets *s)
{
	return s->owner == getpid();
}

static void await_end(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
}

void secrets_forget(struct secrets *s, const struct transport *t)
{
	struct held **at = &s->first, *e;

	while (*at && (*at)->transport != t)
		at = &(*at)->next;
	e = *at;
	if (!e)
		return;
	*at = e->next;
	/* nobody needs what it was asked for any more; but who renews a token
	 * may have spent the old one, and ends by himself */
	if (e->pid) {
		close(e->fd);
		if (is_owner(s) && !t->token_command) {
			kill(e->pid, SIGTERM);
			await_end(e->pid);
		}
	}
	/* whoever is not asked ends at once; where the queue's runner is the
	 * first process, as in a container, nobody else would wait for it */
	if (e->lent_to) {
		close(e->lent_fd);
		await_end(e->lent_to);
	}
	free(e->secret.username);
	mem_wipe_string(e->secret.password);
	mem_wipe_string(e->secret.token);
	free(e);
}

void secrets_free(struct secrets *s)
{
	if (!s)
		return;
	while (s->first)
		secrets_forget(s, s->first->transport);
	free(s);
}

/* One host's password is not for another that has its own. */
static bool is_for_all(const struct transport *t, const char *path,
		       const char *password, struct outcome *why)
{
	bool same = true, done = true;
	char *own;
	size_t i;

	for (i = 0; password && same && done && i < t->host.n; i++) {
		const struct list one = { .item = &t->host.item[i], .n = 1 };

		own = NULL;
		done = secret_netrc(path, &one, t->username, &own, why);
		same = !own || !strcmp(own, password);
		mem_wipe_string(own);
	}
	return same ? done :
	       outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "%s has different "
			    "passwords for the hosts of transport %s (make "
			    "it one transport a host)", path, t->name);
}

static bool from_netrc(const struct transport *t, char **out,
		       struct outcome *why)
{
	char *home, *path;
	bool done;

	if (!user_home(&home, why))
		return false;
	if (!home)
		return true;
	path = mem_printf("%s/.netrc", home);
	done = secret_netrc(path, &t->host, t->username, out, why) &&
	       is_for_all(t, path, *out, why);
	if (!done) {
		mem_wipe_string(*out);
		*out = NULL;
	}
	free(path);
	free(home);
	return done;
}

bool secret_file_valid(const char *path, struct outcome *why)
{
	char *password = NULL;
	bool good = secret_file(path, &password, why);

	mem_wipe_string(password);
	return good;
}

bool secret_foreseen(const struct transport *t, struct outcome *why)
{
	char *password = NULL;
	bool found;

	why->exit = EX_OK;
	if (policy_secret(t) != SECRET_LOOKED_FOR)
		return true;
	found = from_netrc(t, &password, why) && password;
	mem_wipe_string(password);
	return found;
}

/* One that is looked for may be typed where a password is all that can be
 * meant. */
static bool fetch_password(const struct secrets *s, const struct transport *t,
			   char **out, struct outcome *why)
{
	char *question;

	switch (policy_secret(t)) {
	case SECRET_GIVEN:
		*out = mem_string(t->password);
		return true;
	case SECRET_FILE:
		return secret_file(t->password_file, out, why);
	case SECRET_COMMAND:
		/* apart from its owner it may be ended by him */
		if (secret_command(t->password_command, COMMAND_MS,
				   !is_owner(s), out, why))
			return true;
		outcome_prefix(why, "password_command");
		return false;
	case SECRET_CREDENTIAL:
		return secret_credential(t->password_credential, out, why);
	case SECRET_NONE:
	case SECRET_LOOKED_FOR:
		break;
	}
	if (!t->username || t->oauth)
		return true;
	if (!from_netrc(t, out, why))
		return false;
	if (*out || !policy_asks_password(t))
		return true;
	question = mem_printf("Password of %s (transport %s): ", t->username,
			      t->name);
	secret_prompt(question, out);
	free(question);
	return true;
}

/* bad: the one that was refused, NULL: none. */
static bool fetch_token(const struct secrets *s, const struct transport *t,
			const char *bad, char **out, bool *ages,
			struct outcome *why)
{
	*ages = false;
	if (t->oauth)
		return login_token(s->config, t, bad, out, ages, why);
	if (!t->token_command)
		return true;
	if (secret_command(t->token_command, COMMAND_MS, false, out, why))
		return true;
	outcome_prefix(why, "token_command");
	return false;
}

static struct held *held_find(struct secrets *s, const struct transport *t)
{
	struct held *e = s->first;

	while (e && e->transport != t)
		e = e->next;
	return e;
}

static struct held *held_new(struct secrets *s, const struct transport *t)
{
	struct held *e = mem_alloc(sizeof(*e));

	e->transport = t;
	e->next = s->first;
	s->first = e;
	e->secret.username = mem_string(t->username);
	return e;
}

/* A run may last longer than a token. One that was had a moment ago is good for
 * whoever it was had for: two that age while each waits for the other would
 * else be had again and again. Neither is an issuer that gave nothing better
 * asked again by each that comes. */
static bool token_is_due(const struct secrets *s, const struct held *e)
{
	return e->transport->oauth && e->secret.token && e->asked && !e->lent &&
	       (!e->ages || clock_now() - e->had > RENEW_AGAIN_MS) &&
	       !login_token_holds(s->config, e->transport, e->secret.token);
}

static void fetch(const struct secrets *s, struct held *e)
{
	const struct transport *t = e->transport;

	if (!fetch_password(s, t, &e->secret.password, &e->why) ||
	    !fetch_token(s, t, NULL, &e->secret.token, &e->ages, &e->why))
		outcome_prefix(&e->why, "transport %s", t->name);
}

/* --- in a process of its own --- */

/* What it says: this, and the strings. */
struct fetched {
	struct outcome why;
	size_t password, token;   /* lengths with the NUL; 0: none */
	bool ages;
};

static _Noreturn void tell_fetched(const struct held *e, int fd)
{
	struct buf out = BUF_SECRET(256 * 1024);
	struct fetched f;
	const char *p;
	ssize_t n;

	memset(&f, 0, sizeof(f));
	f.why = e->why;
	f.ages = e->ages;
	f.password = e->secret.password ? strlen(e->secret.password) + 1 : 0;
	f.token = e->secret.token ? strlen(e->secret.token) + 1 : 0;
	buf_add(&out, &f, sizeof(f));
	buf_add(&out, e->secret.password, f.password);
	buf_add(&out, e->secret.token, f.token);
	for (p = out.data; p < out.data + out.len; p += n) {
		n = send(fd, p, (size_t)(out.data + out.len - p),
			 MSG_NOSIGNAL);
		if (n <= 0)
			break;
	}
	process_leave(EX_OK);
}

typedef void fetching(const struct secrets *s, struct held *e, int fd);

static void fetch_and_tell(const struct secrets *s, struct held *e, int fd)
{
	e->secret.password = e->secret.token = NULL;
	e->why = (struct outcome){ 0 };
	fetch(s, e);
	tell_fetched(e, fd);
}

/* Its number, and the line to it; 0: none could be made. */
static pid_t fetch_apart(const struct secrets *s, struct held *e,
			 fetching *how, int *fd)
{
	int fds[2];
	sigset_t none;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return 0;
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		/* the caller may ignore it */
		signal(SIGTERM, SIG_DFL);
		how(s, e, fds[1]);
		process_leave(EX_OK);
	}
	close(fds[1]);
	*fd = fds[0];
	if (pid > 0)
		return pid;
	close(fds[0]);
	return 0;
}

/* What such a process says until it ends. False: *why says what failed, or
 * that it said nothing. */
static bool hear_fetched(struct held *e, pid_t pid, int fd,
			 char **password, char **token, struct outcome *why)
{
	struct buf in = BUF_SECRET(256 * 1024);
	const char *strings;
	struct fetched f;

	*password = *token = NULL;
	if (buf_read(&in, fd) && in.len >= sizeof(f)) {
		memcpy(&f, in.data, sizeof(f));
		strings = in.data + sizeof(f);
		*why = f.why;
		e->ages = f.ages;
		if (f.password)
			*password = mem_string(strings);
		if (f.token)
			*token = mem_string(strings + f.password);
	} else {
		outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL, "transport %s: "
			     "the process that asked for its secret ended "
			     "early", e->transport->name);
	}
	buf_release(&in);
	close(fd);
	await_end(pid);
	return why->exit == EX_OK;
}

static void fetch_end(struct held *e)
{
	mem_wipe_string(e->secret.password);
	mem_wipe_string(e->secret.token);
	(void)!hear_fetched(e, e->pid, e->fd, &e->secret.password,
			    &e->secret.token, &e->why);
	e->pid = 0;
	e->asked = false;
	e->had = clock_now();
}

/* One byte asks for it; without it this is over. */
static void renew_when_asked(const struct secrets *s, struct held *e, int fd)
{
	int keep[] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, fd,
		       log_keep() };
	char *token = NULL, byte;
	ssize_t n;

	/* of other lines, too, which would not seem to end */
	kernel_close_except(keep, sizeof(keep) / sizeof(*keep));
	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		return;
	e->why = (struct outcome){ 0 };
	if (!fetch_token(s, e->transport, e->secret.token, &token, &e->ages,
			 &e->why))
		outcome_prefix(&e->why, "transport %s", e->transport->name);
	e->secret.password = NULL;
	e->secret.token = token;
	tell_fetched(e, fd);
}

void secrets_lend(struct secrets *s, const struct transport *t)
{
	struct held *e = held_find(s, t);

	if (!e || e->pid || e->why.exit != EX_OK ||
	    (!t->token_command && !t->oauth))
		return;
	e->lent_to = fetch_apart(s, e, renew_when_asked, &e->lent_fd);
	e->lent = e->lent_to;
}

/* Two that ask on one terminal at a time would not be understood. */
static bool has_terminal(void)
{
	int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

bool secrets_ready(struct secrets *s, const struct transport *t)
{
	struct held *e = held_find(s, t);
	struct pollfd p;

	if (e && e->pid) {
		p = (struct pollfd){ e->fd, POLLIN, 0 };
		if (poll(&p, 1, 0) < 1)
			return false;
		fetch_end(e);
		return true;
	}
	if (e && !token_is_due(s, e))
		return true;
	if ((policy_secret(t) != SECRET_COMMAND && !t->token_command &&
	     !t->oauth) || has_terminal())
		return true;
	if (!e)
		e = held_new(s, t);
	e->pid = fetch_apart(s, e, fetch_and_tell, &e->fd);
	if (e->pid)
		return false;
	outcome_fail(&e->why, STAGE_LOCAL, EX_OSERR, "transport %s: no process "
		     "could be made that asks for its secret: %s", t->name,
		     strerror(errno));
	return true;
}

size_t secrets_pending(const struct secrets *s, struct pollfd *p)
{
	const struct held *e;
	size_t n = 0;

	for (e = s->first; e; e = e->next) {
		if (!e->pid)
			continue;
		if (p)
			p[n] = (struct pollfd){ e->fd, POLLIN, 0 };
		n++;
	}
	return n;
}

/* --- here and now --- */

static struct held *held_for(struct secrets *s, const struct transport *t)
{
	struct held *e = held_find(s, t);

	if (e && e->pid)
		fetch_end(e);
	if (e)
		return e;
	e = held_new(s, t);
	fetch(s, e);
	e->had = clock_now();
	return e;
}

bool secrets_get(struct secrets *s, const struct transport *t,
		 const struct secret **out, struct outcome *why)
{
	struct held *e = held_for(s, t);
	char *token = NULL;

	*out = NULL;
	if (e->why.exit == EX_OK && token_is_due(s, e)) {
		if (fetch_token(s, t, NULL, &token, &e->ages, &e->why)) {
			mem_wipe_string(e->secret.token);
			e->secret.token = token;
			e->had = clock_now();
		} else {
			outcome_prefix(&e->why, "transport %s", t->name);
		}
	}
	e->asked = true;
	if (e->why.exit != EX_OK) {
		*why = e->why;
		return false;
	}
	*out = &e->secret;
	return true;
}

void secrets_refuse(struct secrets *s, const struct transport *t,
		    const struct outcome *o)
{
	char words[sizeof(o->host) + sizeof(o->text) + 64];
	struct held *e = held_find(s, t);

	if (!e || e->why.exit != EX_OK || t->oauth || t->token_command)
		return;
	outcome_words(o, words, sizeof(words));
	outcome_set_status(&e->why, STAGE_AUTH, EX_NOPERM, o->status,
			   "transport %s: left alone: %s, earlier in this run",
			   t->name, words);
	e->why.unasked = true;
}

bool secret_file_is_denied(const char *path)
{
	return path && path[0] == '/' &&
	       faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) &&
	       errno == EACCES;
}

bool secret_is_denied(const struct config *c, const struct transport *t)
{
	/* systemd gives a credential to the service that was told its name,
	 * and to no caller */
	if (t->password_credential && !t->password && !t->password_file &&
	    !t->password_command && !getenv("CREDENTIALS_DIRECTORY"))
		return true;
	return secret_file_is_denied(t->password_file) ||
	       secret_file_is_denied(t->oauth_client_secret_file) ||
	       secret_file_is_denied(t->certificate) ||
	       secret_file_is_denied(t->key) || login_is_denied(c, t);
}

bool secrets_renew_token(struct secrets *s, const struct transport *t,
			 const struct secret **out, struct outcome *why)
{
	struct held *e = held_for(s, t);
	char *token = NULL, *ignored;
	pid_t pid;

	*out = NULL;
	if ((!t->token_command && !t->oauth) || e->renewed)
		return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				    "transport %s: no fresh token to be had",
				    t->name);
	e->renewed = true;
	if (e->lent_to) {
		pid = e->lent_to;
		e->lent_to = 0;
		(void)!send(e->lent_fd, "", 1, MSG_NOSIGNAL);
		if (!hear_fetched(e, pid, e->lent_fd, &ignored, &token, why))
			return false;
	} else if (!fetch_token(s, t, e->secret.token, &token, &e->ages,
				why)) {
		outcome_prefix(why, "transport %s", t->name);
		return false;
	}
	mem_wipe_string(e->secret.token);
	e->secret.token = token;
	e->had = clock_now();
	*out = &e->secret;
	return true;
}
