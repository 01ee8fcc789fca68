/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sysexits.h>
#include <unistd.h>

/* What want of memory means by now. */
static struct {
	int exit;
	const char *words;
} exhausted = { EX_OSERR, "" };

void mem_exhaustion_means(int exit, const char *words)
{
	exhausted.exit = exit;
	exhausted.words = words;
}

/* The one place where want of memory ends the process. */
static _Noreturn void mem_exhausted(void)
{
	static const char words[] = "posthaste: out of memory";
	const struct iovec line[] = {
		{ (void *)(uintptr_t)words, sizeof(words) - 1 },
		{ (void *)(uintptr_t)exhausted.words,
		  strlen(exhausted.words) },
		{ (void *)(uintptr_t)"\n", 1 },
	};

	if (writev(STDERR_FILENO, line, 3) < 0)
		_exit(exhausted.exit);
	_exit(exhausted.exit);
}

void *mem_alloc(size_t n)
{
	void *p = calloc(1, n ? n : 1);

	if (!p)
		mem_exhausted();
	return p;
}

void *mem_resize(void *p, size_t n, size_t size)
{
	void *grown;

	if (size && n > SIZE_MAX / size)
		mem_exhausted();
	n *= size;
	grown = realloc(p, n ? n : 1);
	if (!grown)
		mem_exhausted();
	return grown;
}

void *mem_grow(void *p, size_t n, size_t size)
{
	return n & (n - 1) ? p : mem_resize(p, n ? 2 * n : 1, size);
}

char *mem_stringn(const char *s, size_t n)
{
	char *copy = mem_alloc(n + 1);

	memcpy(copy, s, n);
	return copy;
}

uint64_t mem_hash(const char *s)
{
	uint64_t hash = 14695981039346656037u;

	while (*s)
		hash = (hash ^ (unsigned char)*s++) * 1099511628211u;
	return hash;
}

char *mem_string(const char *s)
{
	return s ? mem_stringn(s, strlen(s)) : NULL;
}

char *mem_printf(const char *format, ...)
{
	va_list ap;
	char *s;
	int n;

	va_start(ap, format);
	n = vasprintf(&s, format, ap);
	va_end(ap);
	if (n < 0)
		mem_exhausted();
	return s;
}

void mem_wipe(void *p, size_t n)
{
	if (p)
		explicit_bzero(p, n);
}

void mem_wipe_string(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}
