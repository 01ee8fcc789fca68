/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/address.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/utf8.h"

/* RFC 5321 4.5.3.1.1 says 64, but longer ones are in use (VERP) and every
 * server may decide for itself; this only keeps a command line sane. */
enum { LOCAL_MAX = 512, SHOWN_MAX = 80 };

struct scan {
	const char *text;
	size_t n;
	size_t pos;
	size_t start;      /* of the element at hand, for the words */
	bool in_group;
	struct mailboxes *out;
	struct outcome *why;
};

/* What is a phrase or a local part, depending on what follows it. */
struct words {
	struct buf phrase; /* words with the blanks between them */
	struct buf local;  /* words and dots alone, unquoted */
	size_t end;        /* offset behind the last of them */
	size_t count;
	bool after_word;
	bool adjacent;     /* two words without a dot between: no local part */
};

static bool fault(struct scan *s, const char *what)
{
	size_t n = s->n - s->start;

	return outcome_fail(s->why, STAGE_LOCAL, EX_DATAERR,
			    "bad address \"%.*s%s\": %s",
			    n > SHOWN_MAX ? SHOWN_MAX : (int)n,
			    s->text + s->start, n > SHOWN_MAX ? "..." : "",
			    what);
}

/* The byte at hand; -1 at the end. */
static int peek(const struct scan *s)
{
	return s->pos < s->n ? (unsigned char)s->text[s->pos] : -1;
}

static bool is_atext(int c)
{
	if (c >= 0x80 || (c >= '0' && c <= '9') ||
	    (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		return true;
	return c > ' ' && c < 0x7f && strchr("!#$%&'*+-/=?^_`{|}~", c);
}

static bool is_blank(int c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* No control character but a tab and a fold (CRLF or LF, then a blank), so
 * that nothing later need think of them. */
static bool controls_check(struct scan *s)
{
	const char *t = s->text;
	unsigned char c;
	size_t i;

	for (i = 0; i < s->n; i++) {
		c = (unsigned char)t[i];
		if ((c >= 0x20 && c != 0x7f) || c == '\t')
			continue;
		if (c == '\r' && i + 1 < s->n && t[i + 1] == '\n')
			continue;
		if (c == '\n' && i + 1 < s->n &&
		    (t[i + 1] == ' ' || t[i + 1] == '\t'))
			continue;
		return fault(s, "control character");
	}
	return true;
}

/* Comments nest; a counter does, however deep. */
static bool comment_skip(struct scan *s)
{
	size_t depth = 0;
	int c;

	while ((c = peek(s)) >= 0) {
		s->pos++;
		if (c == '\\' && s->pos < s->n)
			s->pos++;
		else if (c == '(')
			depth++;
		else if (c == ')' && !--depth)
			return true;
	}
	return fault(s, "comment without end");
}

static bool cfws_skip(struct scan *s)
{
	int c;

	while ((c = peek(s)) >= 0) {
		if (is_blank(c))
			s->pos++;
		else if (c != '(')
			break;
		else if (!comment_skip(s))
			return false;
	}
	return true;
}

static void words_release(struct words *w)
{
	buf_release(&w->phrase);
	buf_release(&w->local);
}

static bool quoted_read(struct scan *s, struct words *w)
{
	char c;

	for (s->pos++; s->pos < s->n; s->pos++) {
		c = s->text[s->pos];
		if (c == '"') {
			s->pos++;
			return true;
		}
		if (c == '\r' || c == '\n')
			continue;
		if (c == '\\' && ++s->pos < s->n)
			c = s->text[s->pos];
		buf_addc(&w->phrase, c);
		buf_addc(&w->local, c);
	}
	return fault(s, "quoted string without end");
}

static size_t atom_skip(struct scan *s)
{
	size_t start = s->pos;

	while (is_atext(peek(s)))
		s->pos++;
	return s->pos - start;
}

static bool word_read(struct scan *s, struct words *w)
{
	size_t start = s->pos;
	size_t n;

	if (w->after_word)
		w->adjacent = true;
	w->after_word = true;
	w->count++;
	if (peek(s) == '"')
		return quoted_read(s, w);
	n = atom_skip(s);
	buf_add(&w->phrase, s->text + start, n);
	buf_add(&w->local, s->text + start, n);
	return true;
}

/* Words, dots and what may stand between them, up to anything else. */
static bool words_read(struct scan *s, struct words *w)
{
	size_t before;
	int c;

	*w = (struct words){ .phrase = BUF(2 * s->n), .local = BUF(s->n) };
	for (;;) {
		before = s->pos;
		if (!cfws_skip(s))
			return false;
		c = peek(s);
		if (c != '"' && c != '.' && !is_atext(c))
			return true;
		if (s->pos != before && w->phrase.len)
			buf_addc(&w->phrase, ' ');
		if (c == '.') {
			s->pos++;
			w->after_word = false;
			buf_addc(&w->phrase, '.');
			buf_addc(&w->local, '.');
		} else if (!word_read(s, w)) {
			return false;
		}
		w->end = s->pos;
	}
}

/* The display name that a phrase is; NULL: none. The caller frees. */
static char *phrase_name(struct words *w)
{
	size_t i;

	if (!w->phrase.len)
		return NULL;
	for (i = 0; i < w->phrase.len; i++)
		if (w->phrase.data[i] == '\t')
			w->phrase.data[i] = ' ';
	return buf_take(&w->phrase);
}

static bool literal_read(struct scan *s, struct buf *domain)
{
	int c;

	while ((c = peek(s)) >= 0) {
		s->pos++;
		if (!is_blank(c))
			buf_addc(domain, (char)c);
		if (c == ']')
			return cfws_skip(s);
	}
	return fault(s, "address literal without end");
}

/* The domain behind an "@", with the blanks and comments of RFC 5322 4.4. */
static bool domain_read(struct scan *s, struct buf *domain)
{
	bool after_atom = false;
	size_t start;
	int c;

	if (!cfws_skip(s))
		return false;
	if (peek(s) == '[')
		return literal_read(s, domain);
	for (;;) {
		start = s->pos;
		c = peek(s);
		if (c == '.')
			s->pos++;
		else if (after_atom || !atom_skip(s))
			return true;
		after_atom = c != '.';
		buf_add(domain, s->text + start, s->pos - start);
		if (!cfws_skip(s))
			return false;
	}
}

static bool local_check(struct scan *s, const struct words *w)
{
	const unsigned char *p = (const unsigned char *)buf_text(&w->local);
	size_t n = w->local.len, len;
	unsigned c;

	if (!w->count)
		return fault(s, "nothing where a name should be");
	if (w->adjacent)
		return fault(s, "several words");
	if (n > LOCAL_MAX)
		return fault(s, "local part too long");
	for (; n; p += len, n -= len) {
		len = utf8_next(p, n, &c);
		if (!len)
			return fault(s, "neither ASCII nor UTF-8");
		if (c < 0x20 || (c >= 0x7f && c < 0xa0))
			return fault(s, "control character");
	}
	return true;
}

static bool is_dot_atom(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if (s[i] == '.' ? !i || i + 1 == n || s[i - 1] == '.' :
		    !is_atext((unsigned char)s[i]))
			return false;
	}
	return n > 0;
}

static void local_add(struct buf *b, const char *s, size_t n)
{
	size_t i;

	if (is_dot_atom(s, n)) {
		buf_add(b, s, n);
		return;
	}
	buf_addc(b, '"');
	for (i = 0; i < n; i++) {
		if (s[i] == '"' || s[i] == '\\')
			buf_addc(b, '\\');
		buf_addc(b, s[i]);
	}
	buf_addc(b, '"');
}

static void mailbox_add(struct scan *s, const struct words *w, char *name,
			const char *domain)
{
	struct buf address = BUF(4 * LOCAL_MAX);
	struct mailboxes *m = s->out;

	local_add(&address, buf_text(&w->local), w->local.len);
	if (domain)
		buf_addf(&address, "@%s", domain);
	if (!(m->n & (m->n - 1)))
		m->box = mem_resize(m->box, m->n ? 2 * m->n : 1,
				    sizeof(*m->box));
	m->box[m->n++] = (struct mailbox){
		.name = name,
		.address = buf_take(&address),
		.qualified = domain != NULL,
		.at = w->end,
	};
}

/* The rest of an addr-spec whose local part was read; takes name over. */
static bool spec_read(struct scan *s, const struct words *w, char *name)
{
	struct buf raw = BUF(s->n);
	struct outcome bad;
	char *domain = NULL;
	bool ok = false;

	if (!local_check(s, w))
		goto out;
	if (peek(s) == '@') {
		s->pos++;
		if (!domain_read(s, &raw))
			goto out;
		if (!domain_normalise(buf_text(&raw), raw.len, &domain,
				      &bad)) {
			fault(s, bad.text);
			goto out;
		}
	}
	mailbox_add(s, w, name, domain);
	name = NULL;
	ok = true;
out:
	free(name);
	free(domain);
	buf_release(&raw);
	return ok;
}

/* "@a,@b:" before an addr-spec is obsolete and says nothing that counts. */
static bool route_skip(struct scan *s)
{
	struct buf ignored = BUF(s->n);
	bool ok = true;
	int c;

	while (ok && ((c = peek(s)) == '@' || c == ',')) {
		s->pos++;
		ok = c == '@' ? domain_read(s, &ignored) : cfws_skip(s);
	}
	buf_release(&ignored);
	if (!ok)
		return false;
	if (peek(s) != ':')
		return fault(s, "source route without colon");
	s->pos++;
	return true;
}

/* From "<" to behind ">"; takes name over. */
static bool angle_read(struct scan *s, char *name)
{
	struct words w = {0};
	bool ok = false;

	s->pos++;
	if (!cfws_skip(s))
		goto out;
	if (peek(s) == '@' && !route_skip(s))
		goto out;
	if (!words_read(s, &w))
		goto out;
	ok = spec_read(s, &w, name);
	name = NULL;
	if (ok && peek(s) != '>')
		ok = fault(s, "\">\" missing");
	s->pos++;
	ok = ok && cfws_skip(s);
out:
	free(name);
	words_release(&w);
	return ok;
}

static void mailbox_release(struct mailbox *b)
{
	free(b->name);
	free(b->address);
}

/* "a@b <a@b>": no RFC allows it and many programs write it. It is taken
 * where both are the same; else it would be a guess which one is meant. */
static bool repeated_read(struct scan *s)
{
	struct mailboxes *m = s->out;
	struct mailbox first;

	if (!angle_read(s, mem_string(m->box[m->n - 1].address)))
		return false;
	first = m->box[m->n - 2];
	if (!address_equal(first.address, m->box[m->n - 1].address))
		return fault(s, "comma missing");
	m->box[m->n - 2] = m->box[m->n - 1];
	m->n--;
	mailbox_release(&first);
	return true;
}

static bool group_begin(struct scan *s, const struct words *w)
{
	if (!w->count)
		return fault(s, "nothing before the colon");
	if (s->in_group)
		return fault(s, "group within a group");
	s->in_group = true;
	s->pos++;
	return true;
}

static bool element_end(struct scan *s)
{
	int c = peek(s);

	if (c < 0 || c == ',' || (c == ';' && s->in_group))
		return true;
	return fault(s, "neither an address nor a list of them");
}

static bool element_read(struct scan *s)
{
	struct words w = {0};
	bool ok = words_read(s, &w);

	if (ok && peek(s) == ':') {
		ok = group_begin(s, &w);
	} else if (ok && peek(s) == '<') {
		ok = angle_read(s, phrase_name(&w)) && element_end(s);
	} else if (ok) {
		ok = spec_read(s, &w, NULL);
		if (ok && peek(s) == '<')
			ok = repeated_read(s);
		ok = ok && element_end(s);
	}
	words_release(&w);
	return ok;
}

bool address_list(const char *text, size_t n, struct mailboxes *out,
		  struct outcome *why)
{
	struct scan s = { .text = text, .n = n, .out = out, .why = why };

	*out = (struct mailboxes){0};
	if (!controls_check(&s))
		return false;
	while (cfws_skip(&s)) {
		s.start = s.pos;
		if (peek(&s) < 0)
			return true;
		if (peek(&s) == ',') {
			s.pos++;
		} else if (peek(&s) == ';' && s.in_group) {
			s.in_group = false;
			s.pos++;
		} else if (!element_read(&s)) {
			return false;
		}
	}
	return false;
}

/* Whether all there is, blanks and comments apart, is nothing or "<>". */
static bool is_null_path(const struct scan *scan)
{
	struct outcome ignored;
	struct scan s = *scan;

	s.why = &ignored;
	if (!cfws_skip(&s))
		return false;
	if (peek(&s) < 0)
		return true;
	if (peek(&s) != '<')
		return false;
	s.pos++;
	if (!cfws_skip(&s) || peek(&s) != '>')
		return false;
	s.pos++;
	return cfws_skip(&s) && peek(&s) < 0;
}

/* A command line or a protocol line holds no folds. */
static bool folds_check(struct scan *s)
{
	if (memchr(s->text, '\n', s->n) || memchr(s->text, '\r', s->n))
		return fault(s, "control character");
	return controls_check(s);
}

bool address_one(const char *text, char **address, bool *qualified,
		 struct outcome *why)
{
	struct mailboxes m = {0};
	struct scan s = { .text = text, .n = strlen(text), .out = &m,
			  .why = why };
	bool ok = false;

	*address = NULL;
	*qualified = false;
	if (!folds_check(&s))
		return false;
	if (is_null_path(&s)) {
		*address = mem_string("");
		return true;
	}
	if (!element_read(&s))
		goto out;
	if (s.in_group || peek(&s) >= 0) {
		fault(&s, "one address is wanted");
		goto out;
	}
	*address = m.box[0].address;
	*qualified = m.box[0].qualified;
	m.box[0].address = NULL;
	ok = true;
out:
	mailboxes_release(&m);
	return ok;
}

void mailboxes_release(struct mailboxes *m)
{
	while (m->n)
		mailbox_release(&m->box[--m->n]);
	free(m->box);
	m->box = NULL;
}
