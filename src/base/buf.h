/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Memory and growing byte strings.
 *
 * No function here reports want of memory: it ends the process in one place
 * (mem.c's mem_exhausted), with EX_OSERR, since nothing that this program could
 * do without memory would be better than "try again"; but where somebody has
 * the message already, or may have it, as was said last.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What want of memory means from here on: the exit status, and words (static)
 * after "out of memory". */
void mem_exhaustion_means(int exit, const char *words);

/* n zeroed bytes, never NULL; the caller frees. */
void *mem_alloc(size_t n);
/* p resized to hold n things of the given size; overflow counts as want of
 * memory. The new part is not zeroed. */
void *mem_resize(void *p, size_t n, size_t size);
/* An array of n things that grows one by one, with room for another: its
 * memory doubles whenever n is a power of two. The new part is not zeroed. */
void *mem_grow(void *p, size_t n, size_t size);
/* Copies that the caller frees; mem_string(NULL) is NULL. */
char *mem_string(const char *s);
char *mem_stringn(const char *s, size_t n);
char *mem_printf(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
/* FNV-1a, for tables of what nobody gains by making collide. */
uint64_t mem_hash(const char *s);
/* Overwrites a secret so that no optimiser leaves it out. */
void mem_wipe(void *p, size_t n);
/* Wipes and frees a string that held a secret; NULL is fine. */
void mem_wipe_string(char *s);

/*
 * A byte string with a bound, given where it is made. data is NULL while
 * nothing was added, and otherwise NUL-terminated behind len.
 */
struct buf {
	char *data;
	size_t len;
	size_t size;
	size_t max;   /* most bytes it will ever hold; 0 counts as none */
	bool full;    /* something did not fit: contents are incomplete */
	bool secret;  /* wipe whatever is left behind or released */
};

#define BUF(most) ((struct buf){ .max = (most) })
#define BUF_SECRET(most) ((struct buf){ .max = (most), .secret = true })

/* Each returns false, adds nothing and sets full if it would pass max. */
bool buf_add(struct buf *b, const void *data, size_t n);
bool buf_adds(struct buf *b, const char *s);
bool buf_addc(struct buf *b, char c);
bool buf_addf(struct buf *b, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
bool buf_addv(struct buf *b, const char *format, va_list ap)
	__attribute__((format(printf, 2, 0)));
/* The data in base64 (RFC 4648 4), padded. */
bool buf_add_base64(struct buf *b, const void *data, size_t n);
/* What base64 text stands for, padded or not; false too where it is none (the
 * bytes up to there are added). */
bool buf_add_unbase64(struct buf *b, const char *text, size_t n);
/* A string as a part of an address of the web (RFC 3986 2.1). */
void buf_add_percent(struct buf *b, const char *text);
/* Room for n more bytes, to be written at data + len by the caller, who then
 * adds to len; NULL if it would pass max. */
char *buf_room(struct buf *b, size_t n);
/* Adds what a descriptor has to give until its end. False: errno tells, EFBIG
 * (and full) that it would pass max; what was read by then is there. */
bool buf_read(struct buf *b, int fd);
/* Drops the first n bytes. */
void buf_shift(struct buf *b, size_t n);
/* Its bytes as a string, "" while it is empty. */
const char *buf_text(const struct buf *b);
/* Empties it and keeps the memory. */
void buf_reset(struct buf *b);
/* Gives the string away (never NULL); the buffer is empty afterwards. */
char *buf_take(struct buf *b);
/* Frees what it holds; usable again afterwards. */
void buf_release(struct buf *b);

#endif
