/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What several targets have a use for. */
#ifndef FUZZ_PARTS_H
#define FUZZ_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "mail/message.h"
#include "queue/queue.h"

enum { FUZZ_MOST = 16 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

/* Aborts unless it holds. */
void fuzz_want(bool holds);
/* A descriptor of a file in memory with these bytes, at its beginning. */
int fuzz_file(const void *data, size_t n);
/* Its path. */
void fuzz_path(int fd, char path[64]);
/* NULL: it is no message. */
struct message *fuzz_message(const char *text, size_t n);
void fuzz_message_bytes(struct message *m, struct buf *out);
/* Base64 as plainly as can be: characters that are none are passed over, "="
 * ends it; the number of bytes. */
size_t fuzz_base64(const char *text, size_t n, unsigned char *out);
/* Whether there is nothing in it that moves a cursor: controls but line
 * ends, and bytes that are no UTF-8. */
bool fuzz_is_clean(const char *text, size_t n);
/* A configuration from its text. */
struct config;
void fuzz_config(const char *text, struct config *c);
/* A queue of our own, made by the first call and removed at the end; its
 * path. */
const char *fuzz_queue(struct queue **q);
/* Whatever is in it goes. */
void fuzz_queue_empty(void);
/* What a function writes to standard output, fed by standard input. */
void fuzz_streams(const void *in, size_t n, struct buf *out,
		  void (*run)(void *context), void *context);
/* The bytes up to the next line end, and *data, *n after it. */
char *fuzz_line(const char **data, size_t *n);

#endif
