/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ~/.netrc, as ftp(1) and curl read it: words separated by white space,
 * "quoted" ones with backslash escapes, # comments, macdef up to an empty
 * line.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/user.h"
#include "submit/secret_parts.h"

enum { NETRC_MAX = 1024 * 1024 };

struct netrc {
	const char *next;
	struct buf word;
	bool quoted;
};

bool secret_netrc_path(char **path, struct outcome *why)
{
	char *home;

	*path = NULL;
	if (!user_home(&home, why))
		return false;
	if (home)
		*path = mem_printf("%s/.netrc", home);
	free(home);
	return true;
}

static void quoted_word(struct netrc *n)
{
	const char *p = n->next + 1;

	for (; *p && *p != '"'; p++) {
		if (*p == '\\' && p[1])
			p++;
		buf_addc(&n->word, *p);
	}
	n->next = *p ? p + 1 : p;
	n->quoted = true;
}

/* The next word into n->word; false at the end. */
static bool word(struct netrc *n)
{
	size_t len;

	buf_reset(&n->word);
	n->quoted = false;
	n->next += strspn(n->next, " \t\r\n");
	if (!*n->next)
		return false;
	if (*n->next == '"') {
		quoted_word(n);
		return true;
	}
	len = strcspn(n->next, " \t\r\n");
	buf_add(&n->word, n->next, len);
	n->next += len;
	return true;
}

static bool is(const struct netrc *n, const char *keyword)
{
	return !n->quoted && !strcmp(buf_text(&n->word), keyword);
}

static void skip_line(struct netrc *n)
{
	n->next += strcspn(n->next, "\n");
}

static void skip_macro(struct netrc *n)
{
	const char *end = strstr(n->next, "\n\n");

	n->next = end ? end : n->next + strlen(n->next);
}

/* The words of one entry up to the next. */
static void entry(struct netrc *n, const char *login, bool wanted, char **out)
{
	char *password = NULL;
	const char *before = n->next;

	for (; word(n); before = n->next) {
		if (is(n, "machine") || is(n, "default"))
			break;
		if (is(n, "macdef")) {
			skip_macro(n);
		} else if (n->word.data && *n->word.data == '#') {
			skip_line(n);
		} else if (is(n, "login")) {
			if (!word(n) || strcmp(buf_text(&n->word), login))
				wanted = false;
		} else if (is(n, "password") && word(n)) {
			mem_wipe_string(password);
			password = mem_string(buf_text(&n->word));
		} else if (is(n, "account") && !word(n)) {
			break;
		}
	}
	n->next = before;
	if (wanted && password && *password && !*out)
		*out = mem_string(password);
	mem_wipe_string(password);
}

static void search(const char *text, const struct list *hosts,
		   const char *login, char **out)
{
	struct netrc n = { .next = text, .word = BUF_SECRET(NETRC_MAX) };

	while (!*out && word(&n)) {
		if (is(&n, "machine"))
			entry(&n, login, word(&n) &&
			      list_has_nocase(hosts, buf_text(&n.word)), out);
		else if (is(&n, "default"))
			entry(&n, login, true, out);
		else if (is(&n, "macdef"))
			skip_macro(&n);
		else if (n.word.data && *n.word.data == '#')
			skip_line(&n);
	}
	buf_release(&n.word);
}

bool secret_netrc(const char *path, const struct list *hosts,
		  const char *login, char **out, struct outcome *why)
{
	struct buf text = BUF_SECRET(NETRC_MAX);
	struct file_facts facts;
	struct outcome ignored;
	bool done = true;
	int fd = file_open(path, 0, &facts, &ignored);

	if (fd < 0)
		return true;
	/* whose it is and who can read it matters where it has what we look
	 * for: HOME may be another user's, and hold nothing for us */
	if (file_read_fd(fd, path, 0, &text, &facts, &ignored))
		search(buf_text(&text), hosts, login, out);
	if (*out && !file_judge(fd, path, FILE_PRIVATE | FILE_TRUSTED, &facts,
				why)) {
		mem_wipe_string(*out);
		*out = NULL;
		done = false;
	}
	close(fd);
	buf_release(&text);
	return done;
}
