/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/early.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "submit/cache.h"

static const char early_magic[] = "posthaste-early 1";
enum {
	EARLY_PLACES = 256,
	EARLY_MOST = 4096,        /* bytes of what a server announces */
	EARLY_HEAD = 2048,
	EARLY_DAY = 24 * 3600
};

/* The line that says whom a file is about; "" where a name does not fit. */
static void early_line(const struct early_server *server,
			char line[EARLY_HEAD])
{
	int n = snprintf(line, EARLY_HEAD, "%s\nserver %s %s %s %u\n",
			 early_magic, server->host, server->address,
			 server->transport, server->port);

	if (n < 0 || n >= EARLY_HEAD)
		line[0] = '\0';
}

/* Its place, by a hash of that line: whoever comes to the same place
 * takes it. No domain, and so no policy of MTA-STS, has such a name. */
static void early_file(const char *line, char name[16])
{
	snprintf(name, 16, ".early.%02x",
		 (unsigned)(mem_hash(line) % EARLY_PLACES));
}

/* What follows that line. */
static bool early_read(const char *text, struct early *out)
{
	const int64_t now = time(NULL);
	char verified[8], mechanism[24];
	long long expires;
	int used = 0;

	if (sscanf(text, "expires %15lld%n", &expires, &used) != 1 ||
	    text[used] != '\n')
		return false;
	/* far in the future: the clock was wrong when it was kept */
	if (expires <= now || expires > now + EARLY_DAY)
		return false;
	text += used + 1;
	out->never = !strcmp(text, "never\n");
	if (out->never)
		return true;
	used = 0;
	if (sscanf(text, "verified %7[a-z]\nlogin %23[A-Z0-9_-]%n", verified,
		   mechanism, &used) != 2 || text[used] != '\n' ||
	    !text[used + 1])
		return false;
	out->hello = mem_string(text + used + 1);
	out->verified = !strcmp(verified, "yes");
	if (strcmp(mechanism, "-") != 0)
		snprintf(out->mechanism, sizeof(out->mechanism), "%s",
			 mechanism);
	return true;
}

bool early_find(const char *cache, const struct early_server *server,
		struct early *out)
{
	struct buf b = BUF(EARLY_HEAD + EARLY_MOST);
	char line[EARLY_HEAD], name[16];
	bool found;
	size_t n;

	*out = (struct early){ 0 };
	early_line(server, line);
	early_file(line, name);
	n = strlen(line);
	found = n && cache_file(cache, name, &b) &&
		strlen(buf_text(&b)) == b.len &&
		!strncmp(buf_text(&b), line, n) &&
		early_read(buf_text(&b) + n, out);
	buf_release(&b);
	return found;
}

void early_keep(const char *cache, const struct early_server *server,
		const struct early *early)
{
	struct buf b = BUF(EARLY_HEAD + EARLY_MOST);
	char line[EARLY_HEAD], name[16];
	int dir = -1;

	early_line(server, line);
	early_file(line, name);
	buf_addf(&b, "%sexpires %lld\n", line,
		 (long long)time(NULL) + EARLY_DAY);
	if (early->never)
		buf_adds(&b, "never\n");
	else
		buf_addf(&b, "verified %s\nlogin %s\n%s",
			 early->verified ? "yes" : "no",
			 early->mechanism[0] ? early->mechanism : "-",
			 early->hello);
	if (line[0] && !b.full &&
	    (early->never || strlen(early->hello) <= EARLY_MOST))
		dir = cache_open(cache, true);
	if (dir >= 0) {
		if (!file_replace(dir, name, 0600, &b))
			log_say(LOG_AT_DEBUG, "%s cannot be written", name);
		close(dir);
	}
	buf_release(&b);
}

void early_release(struct early *early)
{
	free(early->hello);
	*early = (struct early){ 0 };
}

void early_features(const char *hello, struct features *out)
{
	struct list lines = { 0 };
	struct reply reply = { 0 };
	struct buf line = BUF(EARLY_HEAD + EARLY_MOST);
	enum reply_state state;
	size_t i;

	reply_reset(&reply);
	list_split(&lines, hello, "\n");
	state = reply_line(&reply, "250-", 4);
	for (i = 0; i < lines.n && state == REPLY_MORE; i++) {
		buf_reset(&line);
		buf_addf(&line, "250%c%s", i + 1 < lines.n ? '-' : ' ',
			 lines.item[i]);
		state = reply_line(&reply, buf_text(&line), line.len);
	}
	if (state == REPLY_DONE)
		features_read(out, &reply);
	buf_release(&line);
	reply_release(&reply);
	list_release(&lines);
}
