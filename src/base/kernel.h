/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * System calls: those that a signal may interrupt, or that may lack memory,
 * so that neither changes anything; and what not every C library has a
 * function for (musl, glibc before 2.36). */
#ifndef KERNEL_H
#define KERNEL_H

#include <poll.h>
#include <stddef.h>
#include <sys/types.h>

/* As openat(2), dup2(2), fsync(2), fdatasync(2), syncfs(2), flock(2),
 * ftruncate(2), fallocate(2) that keeps the size, and renameat(2), begun again
 * after EINTR: file systems of the network and of processes give it where none
 * is expected. */
int kernel_open(int directory, const char *path, int flags, mode_t mode);
int kernel_duplicate(int fd, int to);
int kernel_sync(int fd);
int kernel_sync_data(int fd);
int kernel_sync_system(int fd);
int kernel_lock(int fd, int how);
int kernel_cut(int fd, off_t size);
int kernel_reserve(int fd, off_t at, off_t n);
int kernel_rename(int from_fd, const char *from, int to_fd, const char *to);

/* As pread(2), until there is no more: less than n is the file's end. */
ssize_t kernel_read_at(int fd, void *data, size_t n, off_t at);

/* As poll(2). Where the kernel lacks memory for it, all is said to be ready
 * after a moment: what is not says EAGAIN, if it does not block, and nobody
 * turns in a circle or waits for ever. */
int kernel_poll(struct pollfd *p, nfds_t n, int ms);

/* renameat(2) that replaces nothing: -1 with EEXIST. EINVAL where the file
 * system cannot promise that, ENOSYS where the kernel cannot. */
int kernel_rename_new(int from_fd, const char *from, int to_fd,
		      const char *to);

/* Closes that descriptor and all above. For a child between fork and exec. */
void kernel_close_from(int fd);

/* Closes the descriptors from first to last. */
void kernel_close_range(int first, int last);

/* Closes all descriptors but these n, in any order; -1 among them is none.
 * Linux before 5.9 closes nothing. */
void kernel_close_except(int *keep, size_t n);

/* A descriptor that becomes readable when that process ends, close-on-exec;
 * -1 with errno. */
int kernel_pidfd(int pid);

#endif
