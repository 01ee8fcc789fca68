/* SPDX-License-Identifier: GPL-3.0-or-later */
/* MTA-STS: records and policies as text, and which policy is in force. */
#include "submit/mtasts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/scan.h"
#include "mail/address.h"
#include "submit/cache.h"
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

/* RFC 8461 3.1: what does not begin so is passed over, another version,
 * too. */
static bool record_begins(struct scan *s)
{
	struct scan version;

	if (!scan_until(s, ';', &version))
		return false;
	scan_trim(&version);
	return scan_is(&version, "v=STSv1");
}

bool sts_record_read(const char *text, size_t n, char id[33])
{
	struct scan rest = scan_bytes(text, n), name, value;
	bool found = false;
	const char *p;

	id[0] = '\0';
	if (!record_begins(&rest))
		return false;
	while (scan_pair(&rest, ';', &name, &value)) {
		if (!value.p)
			return false;
		if (found || !scan_is(&name, "id"))
			continue;
		for (p = value.p; p < value.end; p++)
			if (!scan_is_alnum(*p))
				return false;
		if (!scan_left(&value) || !scan_copy_to(&value, id, 33))
			return false;
		found = true;
	}
	return found;
}

/* What a policy has said so far. */
struct policy_text {
	struct sts_policy *out;
	bool version, mode, max_age;
};

static bool read_mx(struct policy_text *t, struct scan value)
{
	struct outcome ignored;
	char *name = NULL, *whole;
	bool wild;

	if (scan_left(&value) && value.end[-1] == '.')
		value.end--;
	wild = scan_left(&value) > 2 && scan_skip(&value, "*.");
	if (!scan_left(&value) || *value.p == '[' ||
	    t->out->mx.n >= PATTERNS_MAX ||
	    !domain_normalise(value.p, scan_left(&value), &name, &ignored))
		return false;
	whole = mem_printf("%s%s", wild ? "*." : "", name);
	list_add(&t->out->mx, whole);
	free(whole);
	free(name);
	return true;
}

/* The first of each counts, and every mx. */
static bool read_policy_line(struct policy_text *t, struct scan line)
{
	static const char *const modes[] = { [STS_NONE] = "none",
		[STS_TESTING] = "testing", [STS_ENFORCE] = "enforce" };
	struct scan key = line, value = line;
	size_t i;

	scan_trim(&key);
	if (!scan_left(&key))
		return true;
	value.p = memchr(line.p, ':', scan_left(&line));
	if (!value.p || memchr(line.p, '\0', scan_left(&line)))
		return false;
	key.end = value.p++;
	scan_trim(&key);
	scan_trim(&value);
	if (scan_is(&key, "mx"))
		return read_mx(t, value);
	if (scan_is(&key, "version") && !t->version) {
		t->version = scan_is(&value, "STSv1");
		return t->version;
	}
	if (scan_is(&key, "mode") && !t->mode) {
		for (i = 0; i < sizeof(modes) / sizeof(*modes); i++)
			if (scan_is(&value, modes[i])) {
				t->out->mode = (enum sts_mode)i;
				t->mode = true;
			}
		return t->mode;
	}
	if (scan_is(&key, "max_age") && !t->max_age) {
		if (!scan_left(&value) || scan_left(&value) > 10)
			return false;
		for (; value.p < value.end; value.p++) {
			if (!scan_is_digit(*value.p))
				return false;
			t->out->max_age = t->out->max_age * 10 +
					  (*value.p - '0');
		}
		if (t->out->max_age > STS_AGE_MAX)
			t->out->max_age = STS_AGE_MAX;
		t->max_age = true;
	}
	return true;
}

bool sts_policy_read(const char *text, size_t n, struct sts_policy *out)
{
	struct policy_text t = { .out = out };
	struct scan rest = scan_bytes(text, n), line;
	bool ok = n <= STS_POLICY_MAX;

	*out = (struct sts_policy){ 0 };
	while (ok && scan_line(&rest, &line))
		ok = read_policy_line(&t, line);
	if (ok && t.version && t.mode && t.max_age &&
	    (out->mode == STS_NONE || out->mx.n))
		return true;
	sts_policy_release(out);
	return false;
}

bool sts_lists(const struct sts_policy *p, const char *host)
{
	const char *dot = strchr(host, '.'), *pattern;
	size_t i;

	for (i = 0; i < p->mx.n; i++) {
		pattern = p->mx.item[i];
		if (strncmp(pattern, "*.", 2) ?
		    !strcasecmp(pattern, host) :
		    dot && dot != host && !strcasecmp(pattern + 2, dot + 1))
			return true;
	}
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

/* What is kept of a domain: its policy, or that a version of it could not be
 * had; no domain begins with a dot, so that none is in the way of that. The
 * first three lines, and *rest what follows. */
static bool cache_read(const char *directory, const char *domain, bool failed,
		       struct buf *b, char id[33], int64_t *expires,
		       const char **rest)
{
	const size_t n = sizeof(magic) - 1;
	char *file = mem_printf("%s%s", failed ? ".failed." : "", domain);
	const bool ok = is_file_name(domain) && cache_file(directory, file, b);
	long long when = 0;
	int used = 0;

	free(file);
	if (!ok || strncmp(buf_text(b), magic, n) ||
	    sscanf(buf_text(b) + n,
		   "\nid %32[0-9A-Za-z]\nexpires %15lld\n%n", id, &when,
		   &used) != 2 || !used)
		return false;
	*expires = when;
	*rest = buf_text(b) + n + used;
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
	ok = cache_read(directory, domain, false, &b, out->id, &out->expires,
			&rest) &&
	     /* far in the future: the clock was wrong when it was kept */
	     out->expires > now && out->expires <= now + STS_AGE_MAX &&
	     sts_policy_read(rest, b.len - (size_t)(rest - b.data),
			     &out->policy);
	if (!ok)
		*out = (struct kept_policy){ 0 };
	buf_release(&b);
	return ok;
}

/* Keeps a policy's text or, where that is NULL, that this version of it could
 * not be had: without that the next run tries again, and that is all. Without
 * a cache every message asks the policy's host again, and a policy that was
 * known is as good as none: no silence about that. */
static bool cache_put(const char *directory, const char *domain,
		      const char *id, int64_t seconds, const struct buf *text)
{
	struct buf b = BUF(STS_POLICY_MAX + HEAD_MAX);
	char *file;
	bool kept;
	int dir;

	if (!is_file_name(domain))
		return false;
	dir = cache_open(directory, true);
	if (dir < 0) {
		if (directory && *directory)
			log_say(LOG_AT_INFO, "MTA-STS: nothing about %s can "
				"be kept in the cache %s: %s", domain,
				directory, errno ? strerror(errno) :
				"others may write to it");
		return false;
	}
	buf_addf(&b, "%s\nid %s\nexpires %lld\n", magic, id,
		 (long long)time(NULL) + (long long)seconds);
	if (text)
		buf_add(&b, buf_text(text), text->len);
	file = mem_printf("%s%s", text ? "" : ".failed.", domain);
	kept = !b.full && file_replace(dir, file, 0600, &b);
	if (!kept && text)
		log_say(LOG_AT_INFO, "MTA-STS: the policy of %s cannot be "
			"kept in %s: %s", domain, directory, strerror(errno));
	else if (!kept)
		log_say(LOG_AT_DEBUG, "MTA-STS: %s cannot be written", file);
	free(file);
	close(dir);
	buf_release(&b);
	return kept;
}

/* --- which one is in force --- */

/* The id that DNS announces. False: there is none, or more than one. */
static bool ask_record(struct run *run, const char *domain, char id[33])
{
	char *owner = mem_printf("_mta-sts.%s", domain);
	struct dns_answer a = { 0 };
	size_t i, found = 0;
	char other[33] = "";

	dns_query(run_dns(run), owner, DNS_TXT, &a);
	for (i = 0; a.status == DNS_OK && i < a.n; i++) {
		struct scan text = scan_bytes(a.record[i].text,
					      a.record[i].text_len);

		if (!memchr(text.p, ';', scan_left(&text)) ||
		    !record_begins(&text))
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
	char *version = mem_printf("%s %s", domain, id), kept[33] = "";
	struct buf b = BUF(HEAD_MAX);
	const int64_t now = time(NULL);
	const char *rest;
	int64_t until;
	const bool failed = list_has(&run->no_policy, version) ||
		(cache_read(run->config->general.cache, domain, true, &b, kept,
			    &until, &rest) &&
		 !strcmp(kept, id) && until > now &&
		 until <= now + FAILED_MOST);

	buf_release(&b);
	free(version);
	return failed;
}

/* Where it cannot be had, the same version is left alone for a while. */
static bool fetch_version(struct run *run, const struct transport *through,
			  const char *domain, const char *id, int64_t pause,
			  struct sts_policy *out, struct outcome *why)
{
	const char *cache = run->config->general.cache;
	struct buf text = BUF(STS_POLICY_MAX);
	bool ok = fetch_policy(run, through, domain, &text, out, why);
	char *version;

	if (ok) {
		(void)cache_put(cache, domain, id, out->max_age, &text);
	} else {
		log_say(LOG_AT_INFO, "MTA-STS: %s", why->text);
		if (why->exit == EX_UNAVAILABLE &&
		    !cache_put(cache, domain, id, pause, NULL)) {
			version = mem_printf("%s %s", domain, id);
			list_add(&run->no_policy, version);
			free(version);
		}
	}
	buf_release(&text);
	return ok;
}

/* RFC 8461 3.3 wants a policy fetched again before it expires, so that nobody
 * gets rid of it by being in the way at that moment: once a day, or after
 * half of a shorter life. How long a refresh that failed is left alone is
 * *pause: there are always some more before the policy expires. */
static bool is_due(const struct kept_policy *kept, int64_t now,
		   int64_t *pause)
{
	const int64_t age = kept->policy.max_age;

	*pause = (kept->expires - now) / 8;
	if (*pause < STS_PAUSE)
		*pause = STS_PAUSE;
	if (*pause > DAY)
		*pause = DAY;
	return now >= kept->expires - age + (age / 2 < DAY ? (age + 1) / 2 :
					     DAY);
}

bool sts_find(struct run *run, const struct transport *through,
	      const char *domain, bool cached_only, struct sts_policy *out,
	      struct outcome *why)
{
	struct kept_policy kept = { 0 };
	int64_t pause = STS_PAUSE;
	char id[33] = "";
	bool have = cache_get(run->config->general.cache, domain, &kept);

	*out = (struct sts_policy){ 0 };
	why->exit = EX_OK;
	if (!cached_only && ask_record(run, domain, id) &&
	    !(have && !strcmp(id, kept.id) &&
	      !is_due(&kept, time(NULL), &pause)) &&
	    !has_failed(run, domain, id) &&
	    fetch_version(run, through, domain, id, pause, out, why)) {
		sts_policy_release(&kept.policy);
		return true;
	}
	*out = kept.policy;
	/* a fault of ours is no word of theirs that there is no policy */
	return have || why->exit == EX_OK || why->exit == EX_UNAVAILABLE;
}
