/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/kernel.h"
#include "base/log.h"
#include "base/process.h"

enum { LOOK_MS = 20, BLOCK = 16 * 1024, DRAIN_READS = 256 };

struct running {
	const struct child *c;
	pid_t pid;
	int watch;               /* readable once it has ended; -1: cannot be
				  * had */
	int in, out, err;        /* our ends of its pipes; -1: closed */
	int theirs[3];           /* its ends */
	const char *data;        /* what is left of the piece at hand */
	size_t left;
	int terminal;            /* lent to it; -1: none */
	struct termios modes;
	int64_t deadline;
	sigset_t before;         /* the mask that we had */
	int signals;             /* readable once one is to end us; -1: none */
	sigset_t held;           /* of those */
	bool ended, too_much, unread, unfed, cut_off;
	int status;              /* as waitpid(2) gives it */
};

static void shut(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* --- the child's side --- */

/* As a shell's, but that want of memory is not the program's fault. */
static int exec_failed(int error)
{
	switch (error) {
	case ENOENT:
		return 127;
	case ENOMEM:
	case EMFILE:
	case ENFILE:
	case EAGAIN:
		return EX_OSERR;
	}
	return 126;
}

/* Between fork and exec: only what is safe in a signal handler. */
static _Noreturn void child_begin(const struct running *r)
{
	static const int back[] = { SIGPIPE, SIGXFSZ, SIGCHLD, SIGINT, SIGHUP,
				    SIGTERM, SIGQUIT };
	const struct sigaction plain = { .sa_handler = SIG_DFL };
	const struct child *c = r->c;
	sigset_t none;
	size_t i;
	int fd;

	for (i = 0; i < sizeof(back) / sizeof(*back); i++)
		sigaction(back[i], &plain, NULL);
	setpgid(0, 0);
	if (r->terminal >= 0)
		tcsetpgrp(r->terminal, getpid());
	/* a run of the queue keeps SIGTERM for later: it, and what it starts by
	 * timeout(1), is to end by that all the same */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	for (fd = 0; fd < 3; fd++)
		if (r->theirs[fd] != fd &&
		    kernel_duplicate(r->theirs[fd], fd) < 0)
			process_leave(EX_OSERR);
	if (!c->may_gain_rights && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		process_leave(EX_OSERR);
	log_forget();
	kernel_close_from(STDERR_FILENO + 1);
	if (!c->argv)
		process_leave(c->call(c->context));
	/* execve takes strings that it could write to, and does not */
	execve(c->argv[0], (char *const *)c->argv, c->environment ?
	       (char *const *)c->environment : environ);
	process_leave(exec_failed(errno));
}

/* --- beginning --- */

/* A pipe of which one end is ours and does not block. */
static bool child_pipe(int *ours, int *theirs, bool write)
{
	int fd[2];

	if (pipe2(fd, O_CLOEXEC))
		return false;
	*ours = fd[write];
	*theirs = fd[!write];
	return !fcntl(*ours, F_SETFL, O_NONBLOCK);
}

static bool open_null(int *fd, int how)
{
	*fd = kernel_open(AT_FDCWD, "/dev/null", how | O_CLOEXEC, 0);
	return *fd >= 0;
}

static bool child_input(struct running *r)
{
	const struct child *c = r->c;

	if (c->file) {
		r->theirs[0] = fcntl(c->file, F_DUPFD_CLOEXEC,
				     STDERR_FILENO + 1);
		return r->theirs[0] >= 0;
	}
	if (c->input || c->more)
		return child_pipe(&r->in, &r->theirs[0], true);
	return open_null(&r->theirs[0], O_RDONLY);
}

static bool child_pipes(struct running *r)
{
	const struct child *c = r->c;

	if (!child_input(r))
		return false;
	if (c->output ? !child_pipe(&r->out, &r->theirs[1], false)
		      : !open_null(&r->theirs[1], O_WRONLY))
		return false;
	if (c->words && c->words != c->output)
		return child_pipe(&r->err, &r->theirs[2], false);
	r->theirs[2] = fcntl(c->words ? r->theirs[1] : STDERR_FILENO,
			     F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	return r->theirs[2] >= 0;
}

static void lend_terminal(const struct running *r)
{
	if (r->terminal >= 0 && tcgetpgrp(r->terminal) == getpgrp())
		tcsetpgrp(r->terminal, r->pid);
}

/* Without SIGTTOU blocked, this would stop us: we are not in the foreground
 * at that time. */
static void take_terminal_back(const struct running *r)
{
	sigset_t out, before;

	if (r->terminal < 0 || tcgetpgrp(r->terminal) != r->pid)
		return;
	sigemptyset(&out);
	sigaddset(&out, SIGTTOU);
	sigprocmask(SIG_BLOCK, &out, &before);
	tcsetpgrp(r->terminal, getpgrp());
	/* whoever was cut off may have left it without echo */
	if (!r->ended || !WIFEXITED(r->status) || WEXITSTATUS(r->status))
		tcsetattr(r->terminal, TCSADRAIN, &r->modes);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* From now on a signal that would end us waits until the child has ended:
 * added to mask, which is to be set before one can arrive. */
static void child_hold_signals(struct running *r, sigset_t *mask)
{
	static const int ends[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	struct sigaction now;
	size_t i;

	sigemptyset(&r->held);
	for (i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		/* one that is ignored would be told of all the same */
		if (!sigaction(ends[i], NULL, &now) &&
		    now.sa_handler != SIG_IGN)
			sigaddset(&r->held, ends[i]);
	r->signals = signalfd(-1, &r->held, SFD_CLOEXEC | SFD_NONBLOCK);
	if (r->signals >= 0)
		sigorset(mask, mask, &r->held);
}

/* Where memory is lacking, kernel_poll says so of any descriptor; and a signal
 * that was read would be gone. */
static bool is_to_end(const struct running *r)
{
	sigset_t waiting;

	return !sigpending(&waiting) &&
	       !sigandset(&waiting, &waiting, &r->held) &&
	       !sigisemptyset(&waiting);
}

static bool child_start(struct running *r, struct outcome *why)
{
	sigset_t all, mask;
	int i;

	if (!child_pipes(r))
		return outcome_fail(why, STAGE_LOCAL, EX_OSERR,
				    "pipe: %s", strerror(errno));
	/* only one of which we are the foreground: in the background, its
	 * process group would be stopped at the first question, as ours
	 * would */
	if (r->c->foreground) {
		r->terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
		if (r->terminal >= 0 && (tcgetpgrp(r->terminal) != getpgrp() ||
					 tcgetattr(r->terminal, &r->modes)))
			shut(&r->terminal);
	}
	/* no handler of ours may run in the child */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &r->before);
	r->pid = fork();
	if (!r->pid)
		child_begin(r);
	mask = r->before;
	if (r->pid > 0) {
		setpgid(r->pid, r->pid);
		lend_terminal(r);
		if (r->c->alone || r->c->cut)
			child_hold_signals(r, &mask);
	}
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (r->pid < 0)
		return outcome_fail(why, STAGE_LOCAL, EX_OSERR, "fork: %s",
				    strerror(errno));
	r->watch = kernel_pidfd(r->pid);
	for (i = 0; i < 3; i++)
		shut(&r->theirs[i]);
	return true;
}

/* --- while it runs --- */

/* The next piece for it. False: there is none, and its input is closed. */
static bool next_input(struct running *r)
{
	const struct child *c = r->c;
	long n = c->more ? c->more(c->context, &r->data) : 0;

	r->unread = n < 0;
	if (n > 0)
		r->left = (size_t)n;
	else if (!n)
		shut(&r->in);
	return n > 0;
}

static void feed(struct running *r)
{
	ssize_t done;

	if (!r->left && !next_input(r))
		return;
	done = write(r->in, r->data, r->left);
	if (done > 0) {
		r->data += done;
		r->left -= (size_t)done;
		/* its end is told at once */
		if (!r->left)
			next_input(r);
	} else if (done < 0 && errno == EPIPE) {
		/* who does not care for the rest may end well */
		shut(&r->in);
	} else if (done < 0 && errno != EAGAIN && errno != EINTR) {
		r->unfed = true;
	}
}

/* The first of it goes where there is no room for all: what went wrong is
 * said last. */
static bool take_words(int *fd, struct buf *b)
{
	char block[BLOCK];
	ssize_t n = read(*fd, block, sizeof(block));
	size_t len, over;
	const char *p = block;

	if (n <= 0) {
		if (!n || (errno != EAGAIN && errno != EINTR))
			shut(fd);
		return false;
	}
	len = (size_t)n;
	if (len > b->max) {
		p += len - b->max;
		len = b->max;
	}
	over = b->len + len > b->max ? b->len + len - b->max : 0;
	buf_shift(b, over);
	if (len)
		buf_add(b, p, len);
	return true;
}

static bool take_any(struct running *r, bool out, bool err)
{
	struct buf *b = r->c->output;
	bool more = false;
	size_t want;
	ssize_t n;
	char beyond;

	if (out && r->out >= 0 && r->c->words == b) {
		more = take_words(&r->out, b);
	} else if (out && r->out >= 0) {
		want = b->max - b->len < BLOCK ? b->max - b->len : BLOCK;
		n = read(r->out, want ? buf_room(b, want) : &beyond,
			 want ? want : 1);
		more = n > 0 && want;
		if (more) {
			b->len += (size_t)n;
			b->data[b->len] = '\0';
		} else if (n > 0) {
			r->too_much = b->full = true;
		} else if (!n || (errno != EAGAIN && errno != EINTR)) {
			shut(&r->out);
		}
	}
	if (err && r->err >= 0)
		more = take_words(&r->err, r->c->words) || more;
	return more;
}

static void child_look(struct running *r)
{
	siginfo_t gone = { 0 };
	int64_t since;
	int signal;
	pid_t rc;

	/* while it is not waited for nobody else has its number */
	if (r->c->alone && !waitid(P_PID, (id_t)r->pid, &gone, WEXITED |
				   WNOHANG | WNOWAIT) && gone.si_pid)
		kill(-r->pid, SIGKILL);
	rc = waitpid(r->pid, &r->status, WNOHANG | WUNTRACED);
	if (rc == r->pid && WIFSTOPPED(r->status)) {
		signal = WSTOPSIG(r->status);
		if (signal != SIGTSTP && signal != SIGTTIN &&
		    signal != SIGTTOU)
			return;
		/* somebody stopped it by the terminal (^Z), or it was put
		 * into the background: then so are we, until both go on */
		since = clock_now();
		take_terminal_back(r);
		raise(signal);
		lend_terminal(r);
		if (r->deadline != CLOCK_NEVER)
			r->deadline += clock_now() - since;
		kill(-r->pid, SIGCONT);
		return;
	}
	/* gone without a status: as if it had failed */
	if (rc < 0 && errno != EINTR)
		r->status = EX_OSERR << 8;
	r->ended = rc == r->pid || (rc < 0 && errno != EINTR);
}

static void attend(struct running *r)
{
	/* that it was stopped is told by nothing but a look */
	const bool looks = r->watch < 0 || r->terminal >= 0;
	bool look = looks;
	int left, wait, reads;

	for (;;) {
		struct pollfd p[5] = {
			{ .fd = r->in, .events = POLLOUT },
			{ .fd = r->out, .events = POLLIN },
			{ .fd = r->err, .events = POLLIN },
			{ .fd = r->watch, .events = POLLIN },
			{ .fd = r->signals, .events = POLLIN },
		};

		if (look)
			child_look(r);
		left = clock_left(r->deadline);
		if (r->ended || r->too_much || r->unread || r->unfed ||
		    r->cut_off || !left)
			break;
		wait = looks ? LOOK_MS : left;
		look = true;
		if (kernel_poll(p, 5, wait < left ? wait : left) < 0)
			continue;
		look = looks || p[3].revents;
		r->cut_off = p[4].revents && is_to_end(r);
		take_any(r, p[1].revents, p[2].revents);
		if (p[0].revents)
			feed(r);
	}
	/* what it wrote lies in the pipes; what its children are going to
	 * write is not waited for */
	for (reads = 0; r->ended && reads < DRAIN_READS &&
			take_any(r, true, true); reads++)
		;
}

static void child_end(struct running *r)
{
	int i;

	if (r->pid > 0 && !r->ended) {
		kill(-r->pid, SIGKILL);
		kill(r->pid, SIGKILL);
		while (waitpid(r->pid, &r->status, 0) < 0 && errno == EINTR)
			;
	}
	if (r->pid > 0)
		take_terminal_back(r);
	for (i = 0; i < 3; i++)
		shut(&r->theirs[i]);
	shut(&r->terminal);
	shut(&r->watch);
	shut(&r->in);
	shut(&r->out);
	shut(&r->err);
	if (r->signals >= 0)
		sigprocmask(SIG_SETMASK, &r->before, NULL);
	shut(&r->signals);
}

bool child_run(const struct child *c, int *status, struct outcome *why)
{
	const struct sigaction plain = { .sa_handler = SIG_DFL };
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	const int64_t begun = clock_now();
	struct sigaction child, pipe;
	struct running r = {
		.c = c, .pid = -1, .watch = -1, .in = -1, .out = -1,
		.err = -1, .theirs = { -1, -1, -1 }, .terminal = -1,
		.signals = -1,
		.deadline = c->deadline,
	};
	bool started;

	*status = 0;
	if (c->input) {
		r.data = c->input->data;
		r.left = c->input->len;
	}
	/* where SIGCHLD is ignored there is no status to wait for */
	sigaction(SIGCHLD, &plain, &child);
	sigaction(SIGPIPE, &ignore, &pipe);
	started = child_start(&r, why);
	if (started)
		attend(&r);
	child_end(&r);
	sigaction(SIGPIPE, &pipe, NULL);
	sigaction(SIGCHLD, &child, NULL);
	if (!started)
		return false;
	if (r.too_much)
		return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				    "wrote more than %zu bytes",
				    c->output->max);
	if (r.unread)
		return outcome_fail(why, STAGE_LOCAL, EX_IOERR,
				    "its input could not be read");
	if (r.unfed)
		return outcome_fail(why, STAGE_LOCAL, EX_OSERR,
				    "its input could not be written");
	if (r.cut_off && !r.ended)
		return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				    "was cut off by a signal");
	if (!r.ended)
		return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				    "did not end within %lld s", (long long)
				    (c->deadline - begun + 999) / 1000);
	if (WIFSIGNALED(r.status)) {
		*status = WTERMSIG(r.status);
		return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				    "was killed by signal %d", *status);
	}
	*status = WEXITSTATUS(r.status);
	return true;
}

bool child_failed(int status, const struct buf *words, struct outcome *why)
{
	const char *text = words ? buf_text(words) : "", *line;
	size_t n = words ? words->len : 0;

	while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		n--;
	line = n ? memrchr(text, '\n', n) : NULL;
	line = line ? line + 1 : text;
	n -= (size_t)(line - text);
	return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
			    "failed with status %d%s%s%.*s", status,
			    status == 127 ? " (there is no such command)" :
			    status == 126 ? " (it cannot be run)" : "",
			    n ? ": " : "", n < 400 ? (int)n : 400, line);
}
