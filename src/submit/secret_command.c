/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands that print a secret. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "submit/secret_parts.h"

enum { LOOK_MS = 20 };

struct command {
	pid_t pid;
	int fd;               /* its standard output */
	int64_t deadline;
	struct buf output;
	bool ended;           /* waited for; status holds */
	int status;
};

bool secret_first_line(const struct buf *text, char **out, const char **what)
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

/* Between fork and exec: only what is safe in a signal handler. */
static _Noreturn void become_shell(const char *command, int out,
				   const sigset_t *mask)
{
	static const int back[] = { SIGPIPE, SIGXFSZ, SIGCHLD, SIGINT, SIGHUP,
				    SIGTERM, SIGQUIT };
	struct sigaction plain = { .sa_handler = SIG_DFL };
	int null = open("/dev/null", O_RDONLY);
	size_t i;

	for (i = 0; i < sizeof(back) / sizeof(*back); i++)
		sigaction(back[i], &plain, NULL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (null < 0 || dup2(out, STDOUT_FILENO) < 0 ||
	    dup2(null, STDIN_FILENO) < 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		process_leave(EX_OSERR);
	closefrom(STDERR_FILENO + 1);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	process_leave(127);
}

/* A pipe above the standard descriptors: the child overwrites those. */
static bool open_pipe(int fd[2])
{
	int i, moved;

	if (pipe2(fd, O_CLOEXEC))
		return false;
	for (i = 0; i < 2; i++) {
		moved = fcntl(fd[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		close(fd[i]);
		fd[i] = moved;
	}
	if (fd[0] >= 0 && fd[1] >= 0)
		return true;
	if (fd[0] >= 0)
		close(fd[0]);
	if (fd[1] >= 0)
		close(fd[1]);
	return false;
}

static bool start(struct command *c, const char *command, struct outcome *why)
{
	sigset_t all, mask;
	int fd[2];

	if (!open_pipe(fd))
		return outcome_fail(why, STAGE_LOCAL, EX_OSERR, "pipe: %s",
				    strerror(errno));
	/* no handler of ours may run in the child */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &mask);
	c->pid = fork();
	if (!c->pid)
		become_shell(command, fd[1], &mask);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	close(fd[1]);
	if (c->pid < 0) {
		close(fd[0]);
		return outcome_fail(why, STAGE_LOCAL, EX_OSERR, "fork: %s",
				    strerror(errno));
	}
	setpgid(c->pid, c->pid);
	c->fd = fd[0];
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	return true;
}

/* Whether there may be more. */
static bool take_output(struct command *c)
{
	char *room;
	ssize_t n;

	do {
		room = buf_room(&c->output, 4096);
		if (!room)
			return false;
		n = read(c->fd, room, 4096);
		if (n > 0) {
			c->output.len += (size_t)n;
			room[n] = '\0';
		}
	} while (n > 0);
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void look_after(struct command *c)
{
	pid_t rc = waitpid(c->pid, &c->status, WNOHANG);

	/* gone without a status: as if it had failed */
	if (rc < 0 && errno != EINTR)
		c->status = EX_OSERR << 8;
	c->ended = rc == c->pid || (rc < 0 && errno != EINTR);
}

/* Until the shell has ended; what it left in the background may keep the pipe
 * for as long as it likes. */
static void attend(struct command *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	int left, wait = 1;

	for (;;) {
		look_after(c);
		if (p.fd >= 0 && !take_output(c))
			p.fd = -1;
		left = clock_left(c->deadline);
		if (c->ended || c->output.full || !left)
			return;
		poll(&p, 1, wait < left ? wait : left);
		wait = wait * 2 < LOOK_MS ? wait * 2 : LOOK_MS;
	}
}

static void finish(struct command *c)
{
	if (!c->ended) {
		kill(-c->pid, SIGKILL);
		kill(c->pid, SIGKILL);
		while (waitpid(c->pid, &c->status, 0) < 0 && errno == EINTR)
			;
	}
	close(c->fd);
}

static bool judge(const struct command *c, int64_t ms, char **out,
		  struct outcome *why)
{
	const char *what;

	if (c->output.full)
		return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				    "printed more than %d bytes", SECRET_MAX);
	if (!c->ended)
		return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				    "did not end within %lld s",
				    (long long)ms / 1000);
	if (WIFSIGNALED(c->status))
		return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				    "was killed by signal %d",
				    WTERMSIG(c->status));
	if (WEXITSTATUS(c->status))
		return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				    "failed with status %d",
				    WEXITSTATUS(c->status));
	if (!secret_first_line(&c->output, out, &what))
		return outcome_fail(why, STAGE_LOCAL, EX_TEMPFAIL,
				    "the first line of its output %s", what);
	return true;
}

bool secret_command(const char *command, int64_t ms, char **out,
		    struct outcome *why)
{
	struct command c = { .output = BUF_SECRET(SECRET_MAX + 4096) };
	struct sigaction plain = { .sa_handler = SIG_DFL }, before;
	bool done = false;

	c.deadline = clock_in(ms);
	/* where SIGCHLD is ignored there is no status to wait for */
	sigaction(SIGCHLD, &plain, &before);
	if (start(&c, command, why)) {
		attend(&c);
		finish(&c);
		done = judge(&c, ms, out, why);
	}
	sigaction(SIGCHLD, &before, NULL);
	buf_release(&c.output);
	return done;
}
