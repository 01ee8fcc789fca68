/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * What the kernel can do and not every C library has a function for (musl,
 * glibc before 2.36). */
#ifndef KERNEL_H
#define KERNEL_H

#include <stddef.h>

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
