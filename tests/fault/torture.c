/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A library to be loaded before all others (LD_PRELOAD), by which the n-th
 * call that can fail in a certain way does, in the program or in whatever it
 * forks or runs: torture.py has the ways. TORTURE is "FILE KIND N": the file
 * is the counters that all of these processes share, the kind a number of enum
 * kind, N the call that fails (0: none), "N+" that one and all after it.
 *
 * An allocation counts if the program asks for it, by itself or by way of the
 * C library or libcurl: what GnuTLS and the loader do without memory is theirs.
 * So is it how glibc looks up names (its NSS ends the process or crashes):
 * there the whole call fails as it may.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <link.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum kind {
	ALLOC,          /* no memory */
	INTERRUPTED,    /* EINTR, and nothing was done */
	SHORT,          /* one octet was done */
	AGAIN,          /* EAGAIN, where the descriptor does not block */
	PROCESS_FULL,   /* EMFILE */
	SYSTEM_FULL,    /* ENFILE */
	KERNEL_MEMORY,  /* ENOMEM */
	KINDS
};

/* What torture.py reads, as native 64-bit numbers and a text. */
struct state {
	uint64_t calls[KINDS];
	uint64_t failed;
	uint64_t open;          /* descriptors when the first process exits */
	char what[64];          /* the first that failed */
};

static struct state nowhere, *state = &nowhere;
static int kind = KINDS;
static uint64_t number, process;
static bool from_then_on, ready, within;
static const char *queue, *helpers;
static uint16_t smtp;
static uintptr_t own[2], libc[2], curl[2];

#define REAL(name) \
	static __typeof__(name) *real; \
	\
	if (!real) \
		*(void **)&real = dlsym(RTLD_NEXT, #name)

/* Whether this call is the one. */
static bool is_next(enum kind k, const char *what)
{
	uint64_t n = __atomic_add_fetch(&state->calls[k], 1,
					__ATOMIC_RELAXED);

	if ((int)k != kind || !number ||
	    (from_then_on ? n < number : n != number))
		return false;
	if (!__atomic_fetch_add(&state->failed, 1, __ATOMIC_RELAXED))
		strncpy(state->what, what, sizeof(state->what) - 1);
	return true;
}

/* The error of this call, in errno, too; 0: it is made. */
static int fails(const char *what, bool eintr, bool descriptor, bool memory)
{
	int error = 0;

	if (!ready)
		return 0;
	if (eintr && is_next(INTERRUPTED, what))
		error = EINTR;
	if (descriptor && is_next(PROCESS_FULL, what))
		error = EMFILE;
	if (descriptor && is_next(SYSTEM_FULL, what))
		error = ENFILE;
	if (memory && is_next(KERNEL_MEMORY, what))
		error = ENOMEM;
	if (error)
		errno = error;
	return error;
}

/* --- memory --- */

/* for the loader while it looks for the real ones */
static char early[4096];
static size_t early_used;

static void *early_alloc(size_t n)
{
	void *p = early + early_used;

	n = (n + 15) & ~(size_t)15;
	if (n > sizeof(early) - early_used)
		abort();
	early_used += n;
	return p;
}

static bool is_early(const void *p)
{
	return (uintptr_t)p >= (uintptr_t)early &&
	       (uintptr_t)p < (uintptr_t)early + sizeof(early);
}

static bool is_of(const void *caller, const uintptr_t range[2])
{
	return (uintptr_t)caller >= range[0] && (uintptr_t)caller < range[1];
}

static bool no_memory(const void *caller, const char *what)
{
	if (!ready || within || !(is_of(caller, own) || is_of(caller, libc) ||
				  is_of(caller, curl)) ||
	    !is_next(ALLOC, what))
		return false;
	errno = ENOMEM;
	return true;
}

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static void (*real_free)(void *);

static bool find_memory(void)
{
	static bool looking;

	if (real_free)
		return true;
	if (looking)
		return false;
	looking = true;
	*(void **)&real_malloc = dlsym(RTLD_NEXT, "malloc");
	*(void **)&real_calloc = dlsym(RTLD_NEXT, "calloc");
	*(void **)&real_realloc = dlsym(RTLD_NEXT, "realloc");
	*(void **)&real_free = dlsym(RTLD_NEXT, "free");
	looking = false;
	return real_free;
}

void *malloc(size_t n)
{
	if (!find_memory())
		return early_alloc(n);
	return no_memory(__builtin_return_address(0), "malloc") ? NULL :
	       real_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	if (!find_memory())
		return early_alloc(n * size);
	return no_memory(__builtin_return_address(0), "calloc") ? NULL :
	       real_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	void *moved;

	if (!find_memory() || is_early(p)) {
		moved = malloc(n);
		if (p && moved)
			memcpy(moved, p, n);
		return moved;
	}
	return no_memory(__builtin_return_address(0), "realloc") ? NULL :
	       real_realloc(p, n);
}

void free(void *p)
{
	if (!is_early(p) && find_memory())
		real_free(p);
}

/* --- what moves bytes --- */

/* A stream or a file: one octet of it is something. */
static bool is_bytes(int fd)
{
	struct stat st;
	int type = 0, error = errno;
	socklen_t n = sizeof(type);
	bool bytes;

	bytes = !fstat(fd, &st) &&
		(S_ISSOCK(st.st_mode) ?
		 !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) &&
		 type == SOCK_STREAM : S_ISREG(st.st_mode) ||
		 S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode));
	errno = error;
	return bytes;
}

static bool may_wait(int fd, int flags)
{
	struct stat st;
	int error = errno;
	bool wait = !(flags & MSG_DONTWAIT) &&
		    !(fcntl(fd, F_GETFL) & O_NONBLOCK);

	wait = wait || fstat(fd, &st) || S_ISREG(st.st_mode);
	errno = error;
	return wait;
}

/* The kernel needs some to pass bytes on, in a socket or in a pipe (not one in
 * which our words go). */
static bool takes_memory(const char *what, int fd, int flags)
{
	struct stat st;
	int error = errno;
	bool takes;

	if (!strcmp(what, "write") || !strcmp(what, "pwrite")) {
		takes = fd > STDERR_FILENO && !fstat(fd, &st) &&
			S_ISFIFO(st.st_mode);
		errno = error;
		return takes;
	}
	return !(flags & MSG_PEEK) && strcmp(what, "read") &&
	       strcmp(what, "pread");
}

/* -1: it fails with errno; else how much of n is done. libcurl speaks SOCKS as
 * if all of a request always left at once. */
static ssize_t part(const void *caller, const char *what, int fd, int flags,
		    size_t n)
{
	if (!ready)
		return (ssize_t)n;
	if (fails(what, true, false, takes_memory(what, fd, flags)))
		return -1;
	if (!may_wait(fd, flags) && is_next(AGAIN, what)) {
		errno = EAGAIN;
		return -1;
	}
	if (n > 1 && is_bytes(fd) && !is_of(caller, curl) &&
	    is_next(SHORT, what))
		return 1;
	return (ssize_t)n;
}

#define MOVES(name, parameters, fd, flags, ...) \
ssize_t name parameters \
{ \
	REAL(name); \
	ssize_t some = part(__builtin_return_address(0), #name, \
			    fd, flags, n); \
	\
	if (some < 0) \
		return -1; \
	n = (size_t)some; \
	return real(__VA_ARGS__); \
}

MOVES(read, (int fd, void *data, size_t n), fd, 0, fd, data, n)
MOVES(write, (int fd, const void *data, size_t n), fd, 0, fd, data, n)
MOVES(pread, (int fd, void *data, size_t n, off_t at), fd, 0, fd, data, n, at)
MOVES(pwrite, (int fd, const void *data, size_t n, off_t at), fd, 0,
      fd, data, n, at)
MOVES(recv, (int fd, void *data, size_t n, int flags), fd, flags,
      fd, data, n, flags)
MOVES(send, (int fd, const void *data, size_t n, int flags), fd, flags,
      fd, data, n, flags)

static size_t length_of(const struct iovec *v, size_t n)
{
	size_t all = 0, i;

	for (i = 0; i < n; i++)
		all += v[i].iov_len;
	return all;
}

/* The first octet of all. */
static struct iovec first_of(const struct iovec *v)
{
	while (!v->iov_len)
		v++;
	return (struct iovec){ v->iov_base, 1 };
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	REAL(writev);
	size_t all = length_of(v, (size_t)n);
	ssize_t some = part(NULL, "writev", fd, 0, all);
	struct iovec one;

	if (some < 0)
		return -1;
	if ((size_t)some == all)
		return real(fd, v, n);
	one = first_of(v);
	return real(fd, &one, 1);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	REAL(sendmsg);
	size_t all = length_of(m->msg_iov, m->msg_iovlen);
	ssize_t some = part(NULL, "sendmsg", fd, flags, all);
	struct msghdr less = *m;
	struct iovec one;

	if (some < 0)
		return -1;
	if ((size_t)some == all)
		return real(fd, m, flags);
	one = first_of(m->msg_iov);
	less.msg_iov = &one;
	less.msg_iovlen = 1;
	return real(fd, &less, flags);
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	REAL(recvmsg);

	return part(NULL, "recvmsg", fd, flags, 1) < 0 ? -1 :
	       real(fd, m, flags);
}

ssize_t recvfrom(int fd, void *data, size_t n, int flags,
		 struct sockaddr *from, socklen_t *length)
{
	REAL(recvfrom);

	return part(NULL, "recvfrom", fd, flags, 1) < 0 ? -1 :
	       real(fd, data, n, flags, from, length);
}

/* --- what makes descriptors --- */

/* The directory of the queue that posthaste-drop was compiled for stands for
 * the one of TORTURE_QUEUE. */
static const char *opened(const char *path)
{
	static const char end[] = "/spool/posthaste";
	size_t n = strlen(path);

	return queue && n >= sizeof(end) - 1 &&
	       !strcmp(path + n - (sizeof(end) - 1), end) ? queue : path;
}

#define MODE(flags) \
	va_list ap; \
	mode_t mode = 0; \
	\
	if ((flags) & (O_CREAT | O_TMPFILE)) { \
		va_start(ap, flags); \
		mode = (mode_t)va_arg(ap, int); \
		va_end(ap); \
	}

int open(const char *path, int flags, ...)
{
	REAL(open);
	MODE(flags)

	return fails("open", true, true, true) ? -1 :
	       real(opened(path), flags, mode);
}

int openat(int at, const char *path, int flags, ...)
{
	REAL(openat);
	MODE(flags)

	return fails("openat", true, true, true) ? -1 :
	       real(at, opened(path), flags, mode);
}

/* the names that fortified programs call */
int __open_2(const char *path, int flags)
{
	return open(path, flags);
}

int __openat_2(int at, const char *path, int flags)
{
	return openat(at, path, flags);
}

int mkostemp(char *name, int flags)
{
	REAL(mkostemp);

	return fails("mkostemp", true, true, true) ? -1 : real(name, flags);
}

FILE *fopen(const char *path, const char *mode)
{
	REAL(fopen);

	return fails("fopen", false, true, true) ? NULL : real(path, mode);
}

DIR *opendir(const char *path)
{
	REAL(opendir);

	return fails("opendir", false, true, true) ? NULL : real(path);
}

DIR *fdopendir(int fd)
{
	REAL(fdopendir);

	return fails("fdopendir", false, false, true) ? NULL : real(fd);
}

/* it fails by itself, so that dlerror(3) has words */
void *dlopen(const char *path, int flags)
{
	REAL(dlopen);

	return real(fails("dlopen", false, true, true) ?
		    "/nowhere/no more files or memory" : path, flags);
}

int socket(int family, int type, int protocol)
{
	REAL(socket);

	return fails("socket", false, true, true) ? -1 :
	       real(family, type, protocol);
}

int socketpair(int family, int type, int protocol, int fd[2])
{
	REAL(socketpair);

	return fails("socketpair", false, true, true) ? -1 :
	       real(family, type, protocol, fd);
}

int accept4(int fd, struct sockaddr *from, socklen_t *n, int flags)
{
	REAL(accept4);

	return fails("accept4", true, true, true) ? -1 :
	       real(fd, from, n, flags);
}

int pipe2(int fd[2], int flags)
{
	REAL(pipe2);

	return fails("pipe2", false, true, true) ? -1 : real(fd, flags);
}

int dup2(int from, int to)
{
	REAL(dup2);

	return fails("dup2", true, false, false) ? -1 : real(from, to);
}

int signalfd(int fd, const sigset_t *set, int flags)
{
	REAL(signalfd);

	return fails("signalfd", false, true, true) ? -1 :
	       real(fd, set, flags);
}

int fcntl(int fd, int what, ...)
{
	REAL(fcntl);
	void *argument;
	va_list ap;

	va_start(ap, what);
	argument = va_arg(ap, void *);
	va_end(ap);
	if ((what == F_DUPFD || what == F_DUPFD_CLOEXEC) &&
	    fails("fcntl F_DUPFD", false, true, false))
		return -1;
	if (what == F_SETLKW && fails("fcntl F_SETLKW", true, false, false))
		return -1;
	return real(fd, what, argument);
}

/* --- all the rest --- */

/* It is under way all the same; libcurl, whose sockets never wait for that,
 * does not know it. The port of TORTURE_SMTP stands for 25. */
int connect(int fd, const struct sockaddr *to, socklen_t n)
{
	REAL(connect);
	int error = fails("connect", is_of(__builtin_return_address(0), own),
			  false, true);
	struct sockaddr_in sink;

	if (smtp && to->sa_family == AF_INET && n == sizeof(sink)) {
		memcpy(&sink, to, sizeof(sink));
		if (sink.sin_port == htons(25))
			sink.sin_port = htons(smtp);
		to = (const struct sockaddr *)&sink;
	}
	if (!error || error == EINTR)
		n = (socklen_t)real(fd, to, n);
	if (error)
		errno = error;
	return error ? -1 : (int)n;
}

/* It is closed all the same. */
int close(int fd)
{
	REAL(close);
	int error = fails("close", true, false, false), rc = real(fd);

	if (error)
		errno = error;
	return error ? -1 : rc;
}

pid_t fork(void)
{
	REAL(fork);

	return fails("fork", false, false, true) ? -1 : real();
}

#define CALL(name, eintr, memory, parameters, ...) \
int name parameters \
{ \
	REAL(name); \
	\
	return fails(#name, eintr, false, memory) ? -1 : real(__VA_ARGS__); \
}

CALL(poll, true, true, (struct pollfd *p, nfds_t n, int ms), p, n, ms)
CALL(waitpid, true, false, (pid_t pid, int *status, int flags),
     pid, status, flags)
CALL(waitid, true, false, (idtype_t type, id_t id, siginfo_t *s, int flags),
     type, id, s, flags)
CALL(flock, true, true, (int fd, int how), fd, how)
CALL(fsync, true, false, (int fd), fd)
CALL(fdatasync, true, false, (int fd), fd)
CALL(syncfs, true, false, (int fd), fd)
CALL(ftruncate, true, false, (int fd, off_t n), fd, n)
CALL(fallocate, true, false, (int fd, int how, off_t at, off_t n),
     fd, how, at, n)
CALL(renameat, true, true, (int a, const char *from, int b, const char *to),
     a, from, b, to)
CALL(linkat, true, true,
     (int a, const char *from, int b, const char *to, int flags),
     a, from, b, to, flags)
CALL(unlinkat, false, true, (int at, const char *path, int flags),
     at, path, flags)
CALL(mkdirat, false, true, (int at, const char *path, mode_t mode),
     at, path, mode)
CALL(mkdir, false, true, (const char *path, mode_t mode), path, mode)
CALL(stat, false, true, (const char *path, struct stat *st), path, st)
CALL(lstat, false, true, (const char *path, struct stat *st), path, st)
CALL(fstatat, false, true,
     (int at, const char *path, struct stat *st, int flags),
     at, path, st, flags)
CALL(faccessat, false, true, (int at, const char *path, int how, int flags),
     at, path, how, flags)
CALL(access, false, true, (const char *path, int how), path, how)

/* What is found in TORTURE_HELPERS stands for a helper that is installed. */
int execve(const char *path, char *const argv[], char *const env[])
{
	REAL(execve);
	const char *name = strstr(path, "/libexec/posthaste-");
	char built[4096];

	if (helpers && name) {
		snprintf(built, sizeof(built), "%s/%s", helpers,
			 strrchr(path, '/') + 1);
		path = built;
	}
	return fails("execve", false, false, true) ? -1 :
	       real(path, argv, env);
}

ssize_t readlinkat(int at, const char *path, char *data, size_t n)
{
	REAL(readlinkat);

	return fails("readlinkat", false, false, true) ? -1 :
	       real(at, path, data, n);
}

ssize_t getrandom(void *data, size_t n, unsigned flags)
{
	REAL(getrandom);

	return fails("getrandom", true, false, false) ? -1 :
	       real(data, n, flags);
}

void *mmap(void *at, size_t n, int access_, int flags, int fd, off_t offset)
{
	REAL(mmap);

	return fails("mmap", false, false, true) ? MAP_FAILED :
	       real(at, n, access_, flags, fd, offset);
}

long syscall(long call, ...)
{
	REAL(syscall);
	long a[6];
	va_list ap;
	int i;

	va_start(ap, call);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (call == SYS_renameat2 && fails("renameat2", true, false, true))
		return -1;
	return real(call, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* --- names --- */

int getpwuid_r(uid_t uid, struct passwd *entry, char *space, size_t n,
	       struct passwd **found)
{
	REAL(getpwuid_r);
	int error;

	*found = NULL;
	if (ready && is_next(ALLOC, "getpwuid_r"))
		return ENOMEM;
	within = true;
	error = real(uid, entry, space, n, found);
	within = false;
	return error;
}

struct passwd *getpwuid(uid_t uid)
{
	REAL(getpwuid);
	struct passwd *found;

	if (ready && is_next(ALLOC, "getpwuid")) {
		errno = ENOMEM;
		return NULL;
	}
	within = true;
	found = real(uid);
	within = false;
	return found;
}

int initgroups(const char *name, gid_t gid)
{
	REAL(initgroups);
	int rc;

	if (ready && is_next(ALLOC, "initgroups")) {
		errno = ENOMEM;
		return -1;
	}
	within = true;
	rc = real(name, gid);
	within = false;
	return rc;
}

int getaddrinfo(const char *host, const char *service,
		const struct addrinfo *hints, struct addrinfo **found)
{
	REAL(getaddrinfo);
	int error;

	if (ready && is_next(ALLOC, "getaddrinfo"))
		return EAI_MEMORY;
	within = true;
	error = real(host, service, hints, found);
	within = false;
	return error;
}

/* --- begin and end --- */

static int note_object(struct dl_phdr_info *object, size_t size, void *context)
{
	uintptr_t *range = NULL, at;
	int i;

	(void)size;
	(void)context;
	if (!own[1])
		range = own;
	else if (strstr(object->dlpi_name, "/libc.so"))
		range = libc;
	else if (strstr(object->dlpi_name, "/libcurl"))
		range = curl;
	for (i = 0; range && i < object->dlpi_phnum; i++) {
		if (object->dlpi_phdr[i].p_type != PT_LOAD ||
		    !(object->dlpi_phdr[i].p_flags & PF_X))
			continue;
		at = object->dlpi_addr + object->dlpi_phdr[i].p_vaddr;
		range[0] = at;
		range[1] = at + object->dlpi_phdr[i].p_memsz;
	}
	return 0;
}

__attribute__((constructor)) static void begin(void)
{
	const char *order = getenv("TORTURE"), *port;
	char path[256], plus = '\0';
	void *found;
	int fd;

	queue = getenv("TORTURE_QUEUE");
	helpers = getenv("TORTURE_HELPERS");
	port = getenv("TORTURE_SMTP");
	smtp = port ? (uint16_t)atoi(port) : 0;
	/* a shell that runs a command of the configuration's is not ours to
	 * mend */
	if (strncmp(program_invocation_short_name, "posthaste", 9) != 0)
		return;
	if (!order || sscanf(order, "%255s %d %lu%c", path, &kind, &number,
			     &plus) < 3)
		return;
	from_then_on = plus == '+';
	fd = open(path, O_RDWR | O_CLOEXEC);
	found = fd < 0 ? MAP_FAILED :
		mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE, MAP_SHARED,
		     fd, 0);
	if (found == MAP_FAILED)
		abort();
	close(fd);
	state = found;
	process = (uint64_t)getpid();
	dl_iterate_phdr(note_object, NULL);
	ready = true;
}

__attribute__((destructor)) static void end(void)
{
	int fd;

	ready = false;
	if (process != (uint64_t)getpid())
		return;
	for (fd = 0; fd < 1024; fd++)
		state->open += fcntl(fd, F_GETFD) >= 0;
}
