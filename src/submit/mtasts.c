/* SPDX-License-Identifier: GPL-3.0-or-later */
/* MTA-STS: records and policies as text, and which policy is in force. */
#include "submit/mtasts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/buf.h"
#include "base/log.h"
#include "mail/address.h"
#include "submit/mtasts_parts.h"

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
		sts_cache_failed(run->config->general.cache, domain, id);

	free(version);
	return failed;
}

static void note_failure(struct run *run, const char *domain, const char *id,
			 int64_t pause)
{
	char *version;

	if (sts_cache_fail(run->config->general.cache, domain, id, pause))
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
		sts_cache_put(cache, domain, id, out->max_age, &text);
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
	bool have = sts_cache_get(cache, domain, &kept), same;

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
