/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Asking for a password on the terminal. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "submit/secret.h"
#include "submit/secret_parts.h"

enum { PROMPT_MS = 5 * 60 * 1000 };

static void say(int tty, const char *words)
{
	if (write(tty, words, strlen(words)) < 0)
		return;
}

/* Waits for a line, or for a signal, which then stays pending until the
 * terminal is as it was. */
static void read_line(int tty, int signals, char **out)
{
	struct pollfd p[2] = {
		{ .fd = tty, .events = POLLIN },
		{ .fd = signals, .events = POLLIN },
	};
	struct buf text = BUF_SECRET(SECRET_MAX);
	char *room = buf_room(&text, 4096);
	const char *what;
	ssize_t n;

	if (poll(p, 2, PROMPT_MS) > 0 && !p[1].revents) {
		n = read(tty, room, 4096);
		text.len = n > 0 ? (size_t)n : 0;
		if (!secret_first_line(&text, out, &what))
			*out = NULL;
	}
	buf_release(&text);
}

static void ask(int tty, const char *question, char **out)
{
	struct termios before, quiet;
	sigset_t caught, mask;
	int signals;

	if (tcgetattr(tty, &before))
		return;
	sigemptyset(&caught);
	sigaddset(&caught, SIGINT);
	sigaddset(&caught, SIGTERM);
	sigaddset(&caught, SIGHUP);
	sigaddset(&caught, SIGQUIT);
	sigaddset(&caught, SIGTSTP);
	sigprocmask(SIG_BLOCK, &caught, &mask);
	signals = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
	quiet = before;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	quiet.c_lflag |= ICANON | ISIG;
	if (!tcsetattr(tty, TCSAFLUSH, &quiet)) {
		say(tty, question);
		read_line(tty, signals, out);
		tcsetattr(tty, TCSAFLUSH, &before);
		say(tty, "\n");
	}
	if (signals >= 0)
		close(signals);
	sigprocmask(SIG_SETMASK, &mask, NULL);
}

/* As far as it is needed to have a line, or to know that there is none. */
static bool read_input(struct buf *text)
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
	done = (read_input(&text) && secret_first_line(&text, out, &what)) ||
	       outcome_fail(why, STAGE_LOCAL, EX_NOINPUT, "no password: the "
			    "first line of standard input %s",
			    text.full ? "is too long" : what);
	buf_release(&text);
	return done;
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
		ask(tty, shown, out);
	close(tty);
}
