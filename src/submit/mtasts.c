/* SPDX-License-Identifier: GPL-3.0-or-later */
/* MTA-STS: records and policies as text, and which policy is in force. */
#include "submit/mtasts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "mail/address.h"
#include "submit/mtasts_fetch.h"

/* RFC 8461 section 3.2: a year is the most. */
#define STS_AGE_MAX INT64_C(31557600)

/* RFC 8461 section 3.3: seconds between attempts at a version that could not
 * be had, at the least. */
enum { STS_PAUSE = 300 };

struct kept_policy {
	struct sts_policy policy;
	char id[33];
	int64_t expires;          /* seconds since the epoch */
};

enum { PATTERNS_MAX = 1000, DAY = 24 * 3600 };

void sts_policy_release(struct sts_policy *p)
{
	list_release(&p->mx);
	*p = (struct sts_policy){ 0 };
}

/* --- text --- */

struct slice {
	const char *p;
	size_t n;
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct slice trim(struct slice s)
{
	while (s.n && is_blank(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

static bool slice_is(struct slice s, const char *word)
{
	return s.n == strlen(word) && !memcmp(s.p, word, s.n);
}

/* Cuts off what comes before the next separator. */
static bool next_part(struct slice *rest, char separator, struct slice *part)
{
	const char *end;

	if (!rest->n)
		return false;
	end = memchr(rest->p, separator, rest->n);
	part->p = rest->p;
	part->n = end ? (size_t)(end - rest->p) : rest->n;
	rest->p += part->n + (end ? 1 : 0);
	rest->n -= part->n + (end ? 1 : 0);
	return true;
}

static bool split_at(struct slice s, char separator, struct slice *key,
		     struct slice *value)
{
	const char *mark = memchr(s.p, separator, s.n);

	if (!mark)
		return false;
	key->p = s.p;
	key->n = (size_t)(mark - s.p);
	value->p = mark + 1;
	value->n = s.n - key->n - 1;
	*key = trim(*key);
	*value = trim(*value);
	return true;
}

static bool read_id(struct slice value, char id[33])
{
	size_t i;

	if (!value.n || value.n > 32)
		return false;
	for (i = 0; i < value.n; i++)
		if (!(value.p[i] >= '0' && value.p[i] <= '9') &&
		    !((value.p[i] | 32) >= 'a' && (value.p[i] | 32) <= 'z'))
			return false;
	memcpy(id, value.p, value.n);
	id[value.n] = '\0';
	return true;
}

bool sts_record_read(const char *text, size_t n, char id[33])
{
	struct slice rest = { text, n }, part, key, value;
	bool found = false;

	id[0] = '\0';
	if (!next_part(&rest, ';', &part) || !slice_is(trim(part), "v=STSv1"))
		return false;
	while (next_part(&rest, ';', &part)) {
		part = trim(part);
		if (!part.n)
			continue;
		if (!split_at(part, '=', &key, &value))
			return false;
		if (!slice_is(key, "id") || found)
			continue;
		if (!read_id(value, id))
			return false;
		found = true;
	}
	return found;
}

/* --- policies --- */

struct reading {
	struct sts_policy *out;
	bool version, mode, max_age;
};

static bool read_mode(struct reading *r, struct slice value)
{
	static const char *const name[] = { [STS_NONE] = "none",
		[STS_TESTING] = "testing", [STS_ENFORCE] = "enforce" };
	size_t i;

	if (r->mode)
		return true;
	for (i = 0; i < sizeof(name) / sizeof(*name); i++)
		if (slice_is(value, name[i])) {
			r->out->mode = (enum sts_mode)i;
			return r->mode = true;
		}
	return false;
}

static bool read_max_age(struct reading *r, struct slice value)
{
	int64_t age = 0;
	size_t i;

	if (r->max_age)
		return true;
	if (!value.n || value.n > 10)
		return false;
	for (i = 0; i < value.n; i++) {
		if (value.p[i] < '0' || value.p[i] > '9')
			return false;
		age = age * 10 + (value.p[i] - '0');
	}
	r->out->max_age = age > STS_AGE_MAX ? STS_AGE_MAX : age;
	return r->max_age = true;
}

static bool read_mx(struct reading *r, struct slice value)
{
	const size_t wild = value.n > 2 && !memcmp(value.p, "*.", 2) ? 2 : 0;
	struct outcome ignored;
	char *name = NULL, *whole;

	if (value.n && value.p[value.n - 1] == '.')
		value.n--;
	if (value.n <= wild || value.p[wild] == '[' ||
	    r->out->mx.n >= PATTERNS_MAX ||
	    !domain_normalise(value.p + wild, value.n - wild, &name,
			      &ignored))
		return false;
	whole = mem_printf("%s%s", wild ? "*." : "", name);
	list_add(&r->out->mx, whole);
	free(whole);
	free(name);
	return true;
}

static bool read_line(struct reading *r, struct slice line)
{
	struct slice key, value;

	if (line.n && line.p[line.n - 1] == '\r')
		line.n--;
	if (!trim(line).n)
		return true;
	if (memchr(line.p, '\0', line.n) ||
	    !split_at(line, ':', &key, &value))
		return false;
	if (slice_is(key, "version") && !r->version)
		return r->version = slice_is(value, "STSv1");
	if (slice_is(key, "mode"))
		return read_mode(r, value);
	if (slice_is(key, "max_age"))
		return read_max_age(r, value);
	if (slice_is(key, "mx"))
		return read_mx(r, value);
	return true;
}

bool sts_policy_read(const char *text, size_t n, struct sts_policy *out)
{
	struct reading r = { .out = out };
	struct slice rest = { text, n }, line;
	bool ok = n <= STS_POLICY_MAX;

	*out = (struct sts_policy){ 0 };
	while (ok && next_part(&rest, '\n', &line))
		ok = read_line(&r, line);
	if (ok && r.version && r.mode && r.max_age &&
	    (out->mode == STS_NONE || out->mx.n))
		return true;
	sts_policy_release(out);
	return false;
}

static bool matches(const char *pattern, const char *host)
{
	const char *dot;

	if (strncmp(pattern, "*.", 2))
		return !strcasecmp(pattern, host);
	dot = strchr(host, '.');
	return dot && dot != host && !strcasecmp(pattern + 2, dot + 1);
}

bool sts_lists(const struct sts_policy *p, const char *host)
{
	size_t i;

	for (i = 0; i < p->mx.n; i++)
		if (matches(p->mx.item[i], host))
			return true;
	return false;
}

/* --- those on disk --- */

/* One file a domain. Writers make a file of their own and rename it, so that
 * a reader sees an old policy or a new one, never half of one. */

static const char magic[] = "posthaste-mta-sts 1";
enum { HEAD_MAX = 128, FAILED_MOST = 24 * 3600 };

/* A domain of ours is A-labels; whatever is not must not become a path. */
static bool is_file_name(const char *domain)
{
	return *domain && *domain != '.' && strlen(domain) <= 240 &&
	       strspn(domain, "abcdefghijklmnopqrstuvwxyz0123456789-_.") ==
	       strlen(domain);
}

/* Opens the directory, making it if only its last part is missing. What
 * others may write to is no place for a policy. */
static int open_directory(const char *path, bool create)
{
	struct stat st;
	int fd;

	if (!path || !*path)
		return -1;
	if (create && mkdir(path, 0700) && errno != EEXIST)
		return -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (!fstat(fd, &st) && !(st.st_mode & S_IWOTH))
		return fd;
	close(fd);
	errno = 0;
	return -1;
}

static bool load(const char *directory, const char *file, struct buf *b)
{
	int dir = open_directory(directory, false), fd;
	struct outcome ignored;
	bool ok;

	if (dir < 0)
		return false;
	fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
		    O_CLOEXEC);
	close(dir);
	if (fd < 0)
		return false;
	ok = file_read_fd(fd, file, FILE_TRUSTED, b, NULL, &ignored);
	close(fd);
	return ok;
}

/* The first three lines; *rest gets what follows. */
static bool read_head(const char *text, char id[33], int64_t *expires,
		      const char **rest)
{
	long long when = 0;
	int used = 0;

	if (strncmp(text, magic, sizeof(magic) - 1) ||
	    sscanf(text + sizeof(magic) - 1,
		   "\nid %32[0-9A-Za-z]\nexpires %15lld\n%n", id, &when,
		   &used) != 2 || !used)
		return false;
	*expires = when;
	*rest = text + sizeof(magic) - 1 + used;
	return true;
}

static bool cache_get(const char *directory, const char *domain,
		   struct kept_policy *out)
{
	struct buf b = BUF(STS_POLICY_MAX + HEAD_MAX);
	const int64_t now = time(NULL);
	const char *rest;
	bool ok;

	*out = (struct kept_policy){ 0 };
	ok = is_file_name(domain) && load(directory, domain, &b) &&
	     read_head(buf_text(&b), out->id, &out->expires, &rest) &&
	     /* far in the future: the clock was wrong when it was kept */
	     out->expires > now && out->expires <= now + STS_AGE_MAX &&
	     sts_policy_read(rest, b.len - (size_t)(rest - b.data),
			     &out->policy);
	if (!ok)
		*out = (struct kept_policy){ 0 };
	buf_release(&b);
	return ok;
}

/* Without a cache every message asks the policy's host again, and a policy
 * that was known is as good as none: no silence about that. */
static int open_cache(const char *directory, const char *domain)
{
	int dir = open_directory(directory, true);

	if (dir < 0 && directory && *directory)
		log_say(LOG_AT_INFO, "MTA-STS: nothing about %s can be kept "
			"in the cache %s: %s", domain, directory,
			errno ? strerror(errno) : "others may write to it");
	return dir;
}

static void cache_put(const char *directory, const char *domain, const char *id,
		   int64_t max_age, const struct buf *text)
{
	struct buf b = BUF(STS_POLICY_MAX + HEAD_MAX);
	int dir;

	if (!is_file_name(domain))
		return;
	dir = open_cache(directory, domain);
	if (dir < 0)
		return;
	buf_addf(&b, "%s\nid %s\nexpires %lld\n", magic, id,
		 (long long)time(NULL) + (long long)max_age);
	buf_add(&b, buf_text(text), text->len);
	if (b.full || !file_replace(dir, domain, 0600, &b))
		log_say(LOG_AT_INFO, "MTA-STS: the policy of %s cannot be "
			"kept in %s: %s", domain, directory, strerror(errno));
	close(dir);
	buf_release(&b);
}

/* No domain begins with a dot, so that none is in the way of this. */
static char *failed_name(const char *domain)
{
	return mem_printf(".failed.%s", domain);
}

static bool cache_failed(const char *directory, const char *domain,
		      const char *id)
{
	struct buf b = BUF(HEAD_MAX);
	const int64_t now = time(NULL);
	char *file = failed_name(domain), kept[33] = "";
	const char *rest;
	int64_t until;
	bool failed;

	failed = is_file_name(domain) && load(directory, file, &b) &&
		 read_head(buf_text(&b), kept, &until, &rest) &&
		 !strcmp(kept, id) && until > now &&
		 until <= now + FAILED_MOST;
	buf_release(&b);
	free(file);
	return failed;
}

static bool cache_fail(const char *directory, const char *domain,
		    const char *id, int64_t seconds)
{
	struct buf b = BUF(HEAD_MAX);
	char *file = failed_name(domain);
	int dir = is_file_name(domain) ? open_cache(directory, domain) : -1;
	bool kept = false;

	if (dir >= 0) {
		buf_addf(&b, "%s\nid %s\nexpires %lld\n", magic, id,
			 (long long)time(NULL) + (long long)seconds);
		kept = file_replace(dir, file, 0600, &b);
		/* without it, the next run tries again, and that is all */
		if (!kept)
			log_say(LOG_AT_DEBUG, "MTA-STS: %s cannot be "
				"written", file);
		close(dir);
	}
	buf_release(&b);
	free(file);
	return kept;
}

/* --- which one is in force --- */

/* RFC 8461 3.1: what does not begin so is passed over, another version, too. */
static bool is_record(const char *text, size_t n)
{
	struct slice rest = { text, n }, version;

	return memchr(text, ';', n) && next_part(&rest, ';', &version) &&
	       slice_is(trim(version), "v=STSv1");
}

/* The id that DNS announces. False: there is none, or more than one. */
static bool ask_record(struct run *run, const char *domain, char id[33])
{
	char *owner = mem_printf("_mta-sts.%s", domain);
	struct dns_answer a = { 0 };
	size_t i, found = 0;
	char other[33];

	dns_query(run_dns(run), owner, DNS_TXT, &a);
	for (i = 0; a.status == DNS_OK && i < a.n; i++) {
		if (!is_record(a.record[i].text, a.record[i].text_len))
			continue;
		if (!sts_record_read(a.record[i].text, a.record[i].text_len,
				     found ? other : id))
			id[0] = '\0';
		found++;
	}
	dns_answer_release(&a);
	free(owner);
	return found == 1 && id[0];
}

static bool fetch_policy(struct run *run, const struct transport *through,
			 const char *domain, struct buf *text,
			 struct sts_policy *out, struct outcome *why)
{
	if (!sts_fetch(run, through, domain, text, why))
		return false;
	if (sts_policy_read(buf_text(text), text->len, out))
		return true;
	return outcome_fail(why, STAGE_DNS, EX_UNAVAILABLE,
			    "what mta-sts.%s gives is no policy", domain);
}

bool sts_fetch_now(struct run *run, const struct transport *through,
		   const char *domain, struct sts_policy *out,
		   struct outcome *why)
{
	struct buf text = BUF(STS_POLICY_MAX);
	bool ok;

	*out = (struct sts_policy){ 0 };
	ok = fetch_policy(run, through, domain, &text, out, why);
	buf_release(&text);
	return ok;
}

/* Whether this version could not be had a while ago. What the cache does not
 * tell, as it cannot be written, this run still knows. */
static bool has_failed(const struct run *run, const char *domain,
		       const char *id)
{
	char *version = mem_printf("%s %s", domain, id);
	const bool failed = list_has(&run->no_policy, version) ||
		cache_failed(run->config->general.cache, domain, id);

	free(version);
	return failed;
}

static void note_failure(struct run *run, const char *domain, const char *id,
			 int64_t pause)
{
	char *version;

	if (cache_fail(run->config->general.cache, domain, id, pause))
		return;
	version = mem_printf("%s %s", domain, id);
	list_add(&run->no_policy, version);
	free(version);
}

/* Where it cannot be had, the same version is left alone for a while. */
static bool fetch_anew(struct run *run, const struct transport *through,
		       const char *domain, const char *id, int64_t pause,
		       struct sts_policy *out, struct outcome *why)
{
	const char *cache = run->config->general.cache;
	struct buf text = BUF(STS_POLICY_MAX);
	bool ok = fetch_policy(run, through, domain, &text, out, why);

	if (ok) {
		cache_put(cache, domain, id, out->max_age, &text);
	} else {
		log_say(LOG_AT_INFO, "MTA-STS: %s", why->text);
		if (why->exit == EX_UNAVAILABLE)
			note_failure(run, domain, id, pause);
	}
	buf_release(&text);
	return ok;
}

/* RFC 8461 3.3 wants a policy fetched anew before it expires, so that nobody
 * gets rid of it by being in the way at that moment: once a day, or after
 * half of a shorter life. */
static bool is_due(const struct kept_policy *kept, int64_t now)
{
	const int64_t age = kept->policy.max_age;

	return now >= kept->expires - age + (age / 2 < DAY ? (age + 1) / 2 :
					     DAY);
}

/* How long a refresh that failed is left alone: there are always some more
 * before the policy expires. */
static int64_t pause_of(const struct kept_policy *kept, int64_t now)
{
	int64_t pause = (kept->expires - now) / 8;

	return pause < STS_PAUSE ? STS_PAUSE : pause > DAY ? DAY : pause;
}

bool sts_find(struct run *run, const struct transport *through,
	      const char *domain, bool cached_only, struct sts_policy *out,
	      struct outcome *why)
{
	const char *cache = run->config->general.cache;
	const int64_t now = time(NULL);
	struct kept_policy kept = { 0 };
	char id[33] = "";
	bool have = cache_get(cache, domain, &kept), same;

	*out = (struct sts_policy){ 0 };
	why->exit = EX_OK;
	if (cached_only || !ask_record(run, domain, id))
		goto kept;
	same = have && !strcmp(id, kept.id);
	if ((same && !is_due(&kept, now)) ||
	    has_failed(run, domain, id))
		goto kept;
	if (fetch_anew(run, through, domain, id,
		       same ? pause_of(&kept, now) : STS_PAUSE, out, why)) {
		sts_policy_release(&kept.policy);
		return true;
	}
kept:
	*out = kept.policy;
	/* a fault of ours is no word of theirs that there is no policy */
	return have || why->exit == EX_OK || why->exit == EX_UNAVAILABLE;
}
