/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bytes, the first MiB in memory, the rest in an unlinked temporary file or
 * in a file that is there already. */
#ifndef MAIL_SPOOL_H
#define MAIL_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SPOOL_MEMORY = 1024 * 1024,
	SPOOL_WRITE = 256 * 1024,   /* written at once */
	SPOOL_WINDOW = 64 * 1024    /* read at once */
};

struct spool {
	char *mem;          /* its first bytes */
	size_t mem_len, mem_size;
	int fd;             /* the rest; -1: none yet */
	bool own;           /* fd is ours */
	int64_t base;       /* where in the file the rest begins */
	int64_t size;       /* bytes in all */
	char *out;          /* the last of them, not yet written */
	size_t out_len;
	char *window;       /* what was read last */
	int64_t window_at;
	size_t window_len;
	int error;          /* errno of what failed; 0: all is well */
	char *directory;    /* of the file; NULL: none was needed */
};

struct spool *spool_new(void);
/* Over size bytes at an offset of a file that stays the caller's. */
struct spool *spool_over(int fd, int64_t offset, int64_t size);
void spool_free(struct spool *s);
/* False: no room or no file; error tells. */
bool spool_add(struct spool *s, const void *data, size_t n);
/* Must be called between the last spool_add and the first spool_bytes. False:
 * error tells. */
bool spool_flush(struct spool *s);
/* Points *data at bytes from offset (< size) on, as many as lie there in one
 * piece, good until the next call; -1: error tells. */
long spool_bytes(struct spool *s, int64_t offset, const char **data);

#endif
