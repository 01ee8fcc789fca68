/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/secret_source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/child.h"
#include "base/file.h"
#include "base/user.h"

enum {
	SECRET_MAX = 64 * 1024,
	NETRC_MAX = 1024 * 1024,
	PROMPT_MS = 5 * 60 * 1000
};

/* The first line of text, without its line end. False, with *what saying why,
 * where it is empty or holds a NUL. */
static bool secret_first_line(const struct buf *text, char **out,
			      const char **what)
{
	const char *data = buf_text(text);
	const char *end = memchr(data, '\n', text->len);
	size_t n = end ? (size_t)(end - data) : text->len;

	if (n && data[n - 1] == '\r')
		n--;
	*what = !n ? "is empty" : "holds a NUL";
	if (!n || memchr(data, '\0', n))
		return false;
	*out = mem_stringn(data, n);
	return true;
}

/* --- files: password_file and systemd's credentials --- */

static bool secret_of_file(const char *path, unsigned demands, char **out,
			   struct outcome *why)
{
	struct buf text = BUF_SECRET(SECRET_MAX + 4096);
	const char *what;
	bool done = file_read(path, demands, &text, NULL, why);

	if (!done && !text.full)
		goto out;
	/* what follows the first line may be as long as it likes */
	if (text.full && !memchr(text.data, '\n', text.len))
		done = outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
				    "the first line of %s is too long", path);
	else
		done = secret_first_line(&text, out, &what) ||
		       outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
				    "the first line of %s %s", path, what);
out:
	buf_release(&text);
	return done;
}

bool secret_file(const char *path, char **out, struct outcome *why)
{
	return secret_of_file(path, FILE_PRIVATE | FILE_TRUSTED, out, why);
}

bool secret_credential(const char *name, char **out, struct outcome *why)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");
	char *path;
	bool done;

	if (!directory || !*directory)
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
				    "password_credential: systemd gave no "
				    "credentials (CREDENTIALS_DIRECTORY is "
				    "not set)");
	if (!*name || strchr(name, '/') || !strcmp(name, ".") ||
	    !strcmp(name, ".."))
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
				    "password_credential: \"%s\" is no name "
				    "of a credential", name);
	path = mem_printf("%s/%s", directory, name);
	/* who gets at it is for the service manager to say, by the directory */
	done = secret_of_file(path, FILE_TRUSTED, out, why);
	free(path);
	return done;
}

/* --- commands that print a secret --- */

bool secret_command(const char *command, int64_t ms, bool cut, char **out,
		    struct outcome *why)
{
	const char *argv[] = { "/bin/sh", "-c", command, NULL };
	struct buf output = BUF_SECRET(SECRET_MAX);
	const struct child c = { .argv = argv, .output = &output,
				 .deadline = clock_in(ms),
				 .foreground = true, .cut = cut };
	const char *what;
	bool done = false;
	int status;

	if (!child_run(&c, &status, why))
		;
	else if (status)
		child_failed(status, NULL, why);
	else if (!secret_first_line(&output, out, &what))
		outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
			     "the first line of its output %s", what);
	else
		done = true;
	buf_release(&output);
	return done;
}

/* --- ~/.netrc, as ftp(1) and curl read it: words separated by white space,
 * "quoted" ones with backslash escapes, # comments, macdef up to an empty
 * line --- */

struct netrc {
	const char *next;
	struct buf word;
	bool quoted;
};

/* The next word into n->word; false at the end. */
static bool netrc_word(struct netrc *n)
{
	const char *p;
	size_t len;

	buf_reset(&n->word);
	n->next += strspn(n->next, " \t\r\n");
	n->quoted = *n->next == '"';
	if (!*n->next)
		return false;
	if (!n->quoted) {
		len = strcspn(n->next, " \t\r\n");
		buf_add(&n->word, n->next, len);
		n->next += len;
		return true;
	}
	for (p = n->next + 1; *p && *p != '"'; p++) {
		if (*p == '\\' && p[1])
			p++;
		buf_addc(&n->word, *p);
	}
	n->next = *p ? p + 1 : p;
	return true;
}

static bool netrc_is(const struct netrc *n, const char *keyword)
{
	return !n->quoted && !strcmp(buf_text(&n->word), keyword);
}

/* Past what is no entry: a comment to its line's end, a macro to an empty
 * line. */
static bool netrc_skip(struct netrc *n)
{
	const char *end;

	if (netrc_is(n, "macdef"))
		end = strstr(n->next, "\n\n");
	else if (n->word.data && *n->word.data == '#')
		end = strchr(n->next, '\n');
	else
		return false;
	n->next = end ? end : n->next + strlen(n->next);
	return true;
}

/* The words of one entry up to the next. */
static void netrc_entry(struct netrc *n, const char *login, bool wanted,
			char **out)
{
	char *password = NULL;
	const char *before = n->next;

	for (; netrc_word(n); before = n->next) {
		if (netrc_is(n, "machine") || netrc_is(n, "default"))
			break;
		if (netrc_skip(n))
			continue;
		if (netrc_is(n, "login")) {
			if (!netrc_word(n) || strcmp(buf_text(&n->word), login))
				wanted = false;
		} else if (netrc_is(n, "password") && netrc_word(n)) {
			mem_wipe_string(password);
			password = mem_string(buf_text(&n->word));
		} else if (netrc_is(n, "account") && !netrc_word(n)) {
			break;
		}
	}
	n->next = before;
	if (wanted && password && *password && !*out)
		*out = mem_string(password);
	mem_wipe_string(password);
}

bool secret_netrc(const char *path, const struct list *hosts,
		  const char *login, char **out, struct outcome *why)
{
	struct buf text = BUF_SECRET(NETRC_MAX);
	struct netrc n = { .word = BUF_SECRET(NETRC_MAX) };
	struct file_facts facts;
	struct outcome ignored;
	bool done = true;
	int fd = file_open(path, 0, &facts, &ignored);

	if (fd < 0)
		return true;
	if (!file_read_fd(fd, path, 0, &text, &facts, &ignored))
		buf_reset(&text);
	n.next = buf_text(&text);
	while (!*out && netrc_word(&n)) {
		if (netrc_is(&n, "machine"))
			netrc_entry(&n, login, netrc_word(&n) &&
				    list_has_nocase(hosts, buf_text(&n.word)),
				    out);
		else if (netrc_is(&n, "default"))
			netrc_entry(&n, login, true, out);
		else
			netrc_skip(&n);
	}
	buf_release(&n.word);
	buf_release(&text);
	/* whose it is and who can read it matters where it has what we look
	 * for: HOME may be another user's, and hold nothing for us */
	if (*out && !file_judge(fd, path, FILE_PRIVATE | FILE_TRUSTED, &facts,
				why)) {
		mem_wipe_string(*out);
		*out = NULL;
		done = false;
	}
	close(fd);
	return done;
}

/* --- what somebody types --- */

static void tty_say(int tty, const char *words)
{
	if (write(tty, words, strlen(words)) < 0)
		return;
}

/* Waits for a line, or for a signal, which then stays pending until the
 * terminal is as it was. */
static void tty_ask(int tty, const char *question, char **out)
{
	static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT,
				      SIGTSTP };
	struct pollfd p[2] = { { .fd = tty, .events = POLLIN },
			       { .events = POLLIN } };
	struct buf text = BUF_SECRET(SECRET_MAX);
	char *room = buf_room(&text, 4096);
	struct termios before, quiet;
	sigset_t set, mask;
	const char *what;
	size_t i;
	ssize_t n;

	sigemptyset(&set);
	for (i = 0; i < sizeof(caught) / sizeof(*caught); i++)
		sigaddset(&set, caught[i]);
	if (tcgetattr(tty, &before))
		goto out;
	sigprocmask(SIG_BLOCK, &set, &mask);
	p[1].fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	quiet.c_lflag |= ICANON | ISIG;
	if (!tcsetattr(tty, TCSAFLUSH, &quiet)) {
		tty_say(tty, question);
		if (poll(p, 2, PROMPT_MS) > 0 && !p[1].revents) {
			n = read(tty, room, 4096);
			text.len = n > 0 ? (size_t)n : 0;
			if (!secret_first_line(&text, out, &what))
				*out = NULL;
		}
		tcsetattr(tty, TCSAFLUSH, &before);
		tty_say(tty, "\n");
	}
	if (p[1].fd >= 0)
		close(p[1].fd);
	sigprocmask(SIG_SETMASK, &mask, NULL);
out:
	buf_release(&text);
}

void secret_prompt(const char *question, char **out)
{
	char shown[512];
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

	if (tty < 0)
		return;
	text_printable(shown, sizeof(shown), question, strlen(question));
	/* in the background, reading would only stop the process */
	if (tcgetpgrp(tty) == getpgrp())
		tty_ask(tty, shown, out);
	close(tty);
}

/* As far as it is needed to have a line, or to know that there is none. */
static bool read_typed(struct buf *text)
{
	char *room;
	ssize_t n;

	while (!text->len || !memchr(text->data, '\n', text->len)) {
		room = buf_room(text, 4096);
		if (!room)
			return false;
		n = read(STDIN_FILENO, room, 4096);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0;
		text->len += (size_t)n;
	}
	return true;
}

bool secret_ask(const char *question, char **out, struct outcome *why)
{
	struct buf text = BUF_SECRET(SECRET_MAX);
	const char *what = "cannot be read";
	bool done;

	*out = NULL;
	if (isatty(STDIN_FILENO)) {
		secret_prompt(question, out);
		return *out || outcome_fail(why, STAGE_LOCAL, EX_NOINPUT,
					    "no password was typed");
	}
	done = (read_typed(&text) && secret_first_line(&text, out, &what)) ||
	       outcome_fail(why, STAGE_LOCAL, EX_NOINPUT, "no password: the "
			    "first line of standard input %s",
			    text.full ? "is too long" : what);
	buf_release(&text);
	return done;
}
