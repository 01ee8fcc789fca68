/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/address.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "mail/lines.h"

/* RFC 5321 4.5.3.1.1 says 64, but longer ones are in use (VERP) and every
 * server may decide for itself; this only keeps a command line sane. */
enum { LOCAL_MAX = 512, SHOWN_MAX = 80 };
/* After so many comments without an end no other one is looked for: each
 * costs a walk over the rest of the text. */
enum { UNCLOSED_MAX = 64 };

struct address_scan {
	const char *text;
	size_t n;
	size_t pos;
	size_t start;      /* of the element at hand, for the words */
	bool in_group;
	unsigned unclosed; /* comments without an end so far */
	struct mailbox box; /* of the element at hand; no address: none */
	struct outcome *why;
};

/* What is a phrase or a local part, depending on what follows it. */
struct words {
	struct buf phrase; /* words with the blanks between them */
	struct buf local;  /* words and dots alone, unquoted */
	size_t end;        /* offset after the last of them */
	size_t count;
	bool after_word;
	bool adjacent;     /* two words without a dot between: no local part */
	bool spaced;       /* white space or a comment among them */
	bool quoted;       /* one is */
	bool encoded;      /* the last is an encoded word (RFC 2047) */
};

static bool address_fault(struct address_scan *s, const char *what)
{
	size_t n = s->n - s->start;

	return outcome_fail(s->why, STAGE_LOCAL, EX_DATAERR,
			    "bad address \"%.*s%s\": %s",
			    n > SHOWN_MAX ? SHOWN_MAX : (int)n,
			    s->text + s->start, n > SHOWN_MAX ? "..." : "",
			    what);
}

/* The byte at hand; -1 at the end. */
static int peek(const struct address_scan *s)
{
	return s->pos < s->n ? (unsigned char)s->text[s->pos] : -1;
}

bool is_atext(int c)
{
	if (c >= 0x80 || (c >= '0' && c <= '9') ||
	    (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		return true;
	return c > ' ' && c < 0x7f && strchr("!#$%&'*+-/=?^_`{|}~", c);
}

bool is_atoms(const char *s, size_t n, char between)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (s[i] == between ?
		    !i || i + 1 == n || s[i - 1] == between :
		    !is_atext((unsigned char)s[i]))
			return false;
	return true;
}

/* The length of the white space character at hand, a no-break space being
 * one; 0: it is not one. */
static size_t blank_length(const struct address_scan *s)
{
	int c = peek(s);

	if (c == ' ' || c == '\t' || c == '\r' || c == '\n')
		return 1;
	return c == 0xc2 && s->pos + 1 < s->n &&
	       (unsigned char)s->text[s->pos + 1] == 0xa0 ? 2 : 0;
}

/* No control character from a place up to here, but tabs and folds (CRLF or
 * LF, then a blank), so that nothing later need think of them. */
static bool controls_check(struct address_scan *s, size_t from)
{
	const char *t = s->text;
	unsigned char c;
	size_t i;

	for (i = from; i < s->pos; i++) {
		c = (unsigned char)t[i];
		if ((c >= 0x20 && c != 0x7f) || c == '\t')
			continue;
		if (c == '\r' && i + 1 < s->n && t[i + 1] == '\n')
			continue;
		if (c == '\n' && i + 1 < s->n &&
		    (t[i + 1] == ' ' || t[i + 1] == '\t'))
			continue;
		return address_fault(s, "control character");
	}
	return true;
}

/* Comments nest; a counter does, however deep. */
static bool comment_skip(struct address_scan *s)
{
	size_t depth = 0;
	int c;

	while (s->unclosed < UNCLOSED_MAX && (c = peek(s)) >= 0) {
		s->pos++;
		if (c == '\\' && s->pos < s->n)
			s->pos++;
		else if (c == '(')
			depth++;
		else if (c == ')' && !--depth)
			return true;
	}
	s->unclosed++;
	return address_fault(s, "comment without end");
}

static bool cfws_skip(struct address_scan *s)
{
	size_t n;

	for (;;) {
		n = blank_length(s);
		s->pos += n;
		if (n)
			continue;
		if (peek(s) != '(')
			return true;
		if (!comment_skip(s))
			return false;
	}
}

static void words_release(struct words *w)
{
	buf_release(&w->phrase);
	buf_release(&w->local);
}

static bool quoted_read(struct address_scan *s, struct words *w)
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
	return address_fault(s, "quoted string without end");
}

static size_t atom_skip(struct address_scan *s)
{
	size_t start = s->pos;

	while (is_atext(peek(s)) && !blank_length(s))
		s->pos++;
	return s->pos - start;
}

/* The length of an encoded word (RFC 2047 2) that begins at p; 0: there is
 * none. Its text may hold what is otherwise special: a comma, say. Some
 * write blanks in it, too. */
size_t encoded_word_length(const char *p, size_t n)
{
	enum { CHARSET_MAX = 64, TEXT_MAX = 1024 };
	size_t i = 2, from;

	if (n < 7 || p[0] != '=' || p[1] != '?')
		return 0;
	while (i < n && i < CHARSET_MAX && is_atext((unsigned char)p[i]) &&
	       p[i] != '?')
		i++;
	if (i == 2 || n - i < 3 || p[i] != '?' ||
	    !strchr("QqBb", p[i + 1]) || !p[i + 1] || p[i + 2] != '?')
		return 0;
	from = i += 3;
	for (; i + 1 < n && i - from < TEXT_MAX; i++) {
		if (p[i] == '?' && p[i + 1] == '=')
			return i + 2;
		if ((unsigned char)p[i] < ' ' || p[i] == 0x7f ||
		    strchr("<>\"", p[i]))
			break;
	}
	return 0;
}

static bool word_read(struct address_scan *s, struct words *w)
{
	size_t start = s->pos;
	size_t n;

	if (w->after_word)
		w->adjacent = true;
	w->after_word = true;
	w->count++;
	w->encoded = false;
	if (peek(s) == '"') {
		w->quoted = true;
		return quoted_read(s, w);
	}
	n = encoded_word_length(s->text + start, s->n - start);
	w->encoded = n > 0;
	s->pos += n;
	n += atom_skip(s);
	buf_add(&w->phrase, s->text + start, n);
	buf_add(&w->local, s->text + start, n);
	return true;
}

/* Words, dots and what may stand between them, up to anything else. */
static bool words_read(struct address_scan *s, struct words *w)
{
	size_t before;
	int c;

	*w = (struct words){ .phrase = BUF(2 * s->n), .local = BUF(s->n) };
	for (;;) {
		before = s->pos;
		if (!cfws_skip(s))
			return false;
		c = peek(s);
		if (c != '"' && c != '.' &&
		    (!is_atext(c) || blank_length(s)))
			return true;
		if (s->pos != before && w->phrase.len) {
			buf_addc(&w->phrase, ' ');
			w->spaced = true;
		}
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

static bool literal_read(struct address_scan *s, struct buf *domain)
{
	size_t n;
	int c;

	while ((c = peek(s)) >= 0) {
		n = blank_length(s);
		s->pos += n ? n : 1;
		if (!n)
			buf_addc(domain, (char)c);
		if (c == ']')
			return cfws_skip(s);
	}
	return address_fault(s, "address literal without end");
}

/* The domain after an "@", with the blanks and comments of RFC 5322 4.4. */
static bool domain_read(struct address_scan *s, struct buf *domain)
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

static bool local_check(struct address_scan *s, const struct words *w)
{
	const unsigned char *p = (const unsigned char *)buf_text(&w->local);
	size_t n = w->local.len, len;
	unsigned c;

	if (!w->count)
		return address_fault(s, "nothing where a name should be");
	if (w->adjacent)
		return address_fault(s, "several words");
	if (n > LOCAL_MAX)
		return address_fault(s, "local part too long");
	for (; n; p += len, n -= len) {
		len = utf8_next(p, n, &c);
		if (!len)
			return address_fault(s, "neither ASCII nor UTF-8");
		if (c < 0x20 || (c >= 0x7f && c < 0xa0))
			return address_fault(s, "control character");
		if (c == 0xa0)
			return address_fault(s, "no-break space");
	}
	return true;
}

void quoted_add(struct buf *b, const char *s, size_t n)
{
	size_t i;

	buf_addc(b, '"');
	for (i = 0; i < n; i++) {
		if (s[i] == '"' || s[i] == '\\')
			buf_addc(b, '\\');
		buf_addc(b, s[i]);
	}
	buf_addc(b, '"');
}

static void mailbox_release(struct mailbox *b)
{
	free(b->name);
	free(b->address);
	*b = (struct mailbox){0};
}

/* The rest of an addr-spec whose local part was read; takes name over. */
static bool spec_read(struct address_scan *s, const struct words *w, char *name)
{
	struct buf raw = BUF(s->n), address = BUF(4 * LOCAL_MAX);
	const char *local = buf_text(&w->local);
	struct outcome bad;
	char *domain = NULL;
	bool ok = false, plain;

	if (!local_check(s, w))
		goto out;
	if (peek(s) == '@') {
		s->pos++;
		if (!domain_read(s, &raw))
			goto out;
		if (!domain_normalise(buf_text(&raw), raw.len, &domain,
				      &bad)) {
			address_fault(s, bad.text);
			goto out;
		}
	}
	if (!domain && w->encoded && w->count == 1) {
		address_fault(s, "a name without an address");
		goto out;
	}
	plain = w->local.len && is_atoms(local, w->local.len, '.');
	if (plain)
		buf_add(&address, local, w->local.len);
	else
		quoted_add(&address, local, w->local.len);
	if (domain)
		buf_addf(&address, "@%s", domain);
	mailbox_release(&s->box);
	s->box = (struct mailbox){
		.name = name,
		.address = buf_take(&address),
		.qualified = domain != NULL,
		.spaced = w->spaced,
		.quoted = w->quoted || !plain,
		.at = w->end,
	};
	name = NULL;
	ok = true;
out:
	free(name);
	free(domain);
	buf_release(&raw);
	return ok;
}

/* "@a,@b:" before an addr-spec is obsolete and says nothing that counts. */
static bool route_skip(struct address_scan *s)
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
		return address_fault(s, "source route without colon");
	s->pos++;
	return true;
}

/* From "<" to after ">"; takes name over. */
static bool angle_read(struct address_scan *s, char *name)
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
		ok = address_fault(s, "\">\" missing");
	s->pos++;
	ok = ok && cfws_skip(s);
out:
	free(name);
	words_release(&w);
	return ok;
}

static bool element_end(struct address_scan *s)
{
	int c = peek(s);

	if (c < 0 || c == ',' || (c == ';' && s->in_group))
		return true;
	return address_fault(s, "neither an address nor a list of them");
}

/* As the RFC has it: a group's beginning, or a mailbox. */
static bool element_parse(struct address_scan *s)
{
	struct words w = {0};
	bool ok = words_read(s, &w);

	if (ok && peek(s) == ':') {
		if (!w.count)
			ok = address_fault(s, "nothing before the colon");
		else if (s->in_group)
			ok = address_fault(s, "group within a group");
		s->in_group = true;
		s->pos++;
	} else if (ok && peek(s) == '<') {
		ok = angle_read(s, phrase_name(&w)) && element_end(s);
	} else if (ok) {
		ok = spec_read(s, &w, NULL) && element_end(s);
	}
	words_release(&w);
	return ok && controls_check(s, s->start);
}

/* Where an element ends whose words are not what the RFC wants. */
struct extent {
	size_t end;
	size_t open;       /* the last "<"; end: none */
	bool several;      /* "<a@b>" stands before that */
	bool quote;        /* a quote is open */
};

static bool quote_skip(struct address_scan *s)
{
	for (s->pos++; s->pos < s->n; s->pos++) {
		if (s->text[s->pos] == '\\')
			s->pos++;
		else if (s->text[s->pos] == '"')
			break;
	}
	if (s->pos < s->n)
		return true;
	s->pos = s->n;
	return false;
}

/* Quotes, comments and encoded words hide what is in them; a parenthesis
 * that nothing closes is a character like another. */
static struct extent element_extent(const struct address_scan *scan)
{
	struct address_scan s = *scan;
	struct extent e = { .open = s.n };
	bool at = false, address = false;
	struct outcome ignored;
	size_t from;
	int c;

	s.why = &ignored;
	for (s.pos = s.start; (c = peek(&s)) >= 0; s.pos++) {
		if (c == ',' || (c == ';' && s.in_group))
			break;
		from = s.pos;
		if (c == '"') {
			e.quote = !quote_skip(&s);
		} else if (c == '(' && comment_skip(&s)) {
			s.pos--;
		} else if (c == '(') {
			s.pos = from;
		} else if (c == '=' &&
			   encoded_word_length(s.text + from, s.n - from)) {
			s.pos += encoded_word_length(s.text + from,
						     s.n - from) - 1;
		} else if (c == '<') {
			e.several = e.several || address;
			e.open = from;
			at = address = false;
		} else if (c == '@') {
			at = true;
		} else if (c == '>') {
			address = address || (at && e.open < from);
		}
	}
	e.end = s.pos < s.n ? s.pos : s.n;
	if (e.open > e.end)
		e.open = e.end;
	return e;
}

/* An element that ends in "<address>" is that address, whatever is written
 * before it as a name. */
static bool element_loose(struct address_scan *s, const struct extent *e)
{
	size_t n = s->n, end = e->open;
	char *name = NULL;
	bool ok;

	if (e->open == e->end || e->quote || e->several)
		return false;
	/* what stands before it, as it is */
	while (end > s->start && strchr(" <", s->text[end - 1]))
		end--;
	if (end > s->start)
		name = mem_stringn(s->text + s->start, end - s->start);
	s->n = e->end;
	s->pos = e->open;
	ok = angle_read(s, name);
	while (ok && peek(s) == '>') {
		s->pos++;
		ok = cfws_skip(s);
	}
	ok = ok && s->pos == s->n && controls_check(s, e->open);
	s->n = n;
	return ok;
}

/* False: it is not an address; the scan then goes on after it. */
static bool element_read(struct address_scan *s)
{
	struct outcome ignored, *why = s->why;
	const bool in_group = s->in_group;
	struct extent e;
	bool ok;

	s->start = s->pos;
	ok = element_parse(s);
	if (!ok) {
		s->in_group = in_group;
		e = element_extent(s);
		s->why = &ignored;
		ok = element_loose(s, &e);
		s->why = why;
		s->pos = e.end;
	}
	if (!ok)
		mailbox_release(&s->box);
	s->box.start = s->start;
	s->box.end = s->pos;
	return ok;
}

bool address_each(const char *text, size_t n, enum address_faults faults,
		  mailbox_visit *visit, void *context, struct outcome *why)
{
	struct address_scan s = { .text = text, .n = n, .why = why };
	bool on = true;

	while (on) {
		s.start = s.pos;
		/* a comment without end may yet be part of a name */
		if (!cfws_skip(&s))
			s.pos = s.start;
		if (peek(&s) < 0)
			return true;
		if (peek(&s) == ',') {
			s.pos++;
		} else if (peek(&s) == ';' && s.in_group) {
			s.in_group = false;
			s.pos++;
		} else if (!element_read(&s)) {
			if (faults == FAULTS_FAIL)
				return false;
		} else if (s.box.address) {
			on = visit(&s.box, context);
			mailbox_release(&s.box);
		}
	}
	return true;
}

static bool add_mailbox(struct mailbox *b, void *context)
{
	struct mailboxes *m = context;

	m->box = mem_grow(m->box, m->n, sizeof(*m->box));
	m->box[m->n++] = *b;
	*b = (struct mailbox){0};
	return true;
}

bool address_list(const char *text, size_t n, struct mailboxes *out,
		  struct outcome *why)
{
	*out = (struct mailboxes){0};
	return address_each(text, n, FAULTS_FAIL, add_mailbox, out, why);
}

/* Whether all there is, blanks and comments apart, is nothing or "<>". */
static bool is_null_path(const struct address_scan *scan)
{
	struct outcome ignored;
	struct address_scan s = *scan;

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

bool address_one(const char *text, char **address, bool *qualified,
		 struct outcome *why)
{
	struct address_scan s = { .text = text, .n = strlen(text), .why = why };
	bool ok = false;

	*address = NULL;
	*qualified = false;
	/* a command line or a protocol line holds no folds */
	if (line_has_controls(text, s.n))
		return address_fault(&s, "control character");
	if (is_null_path(&s)) {
		*address = mem_string("");
		return true;
	}
	ok = element_read(&s);
	if (ok && (s.in_group || peek(&s) >= 0))
		ok = address_fault(&s, "one address is wanted");
	if (ok) {
		*address = s.box.address;
		*qualified = s.box.qualified;
		s.box.address = NULL;
	}
	mailbox_release(&s.box);
	return ok;
}

void mailboxes_release(struct mailboxes *m)
{
	while (m->n)
		mailbox_release(&m->box[--m->n]);
	free(m->box);
	m->box = NULL;
}

char *address_phrase(const char *text, size_t n)
{
	struct outcome ignored;
	struct address_scan s = { .text = text, .n = n, .why = &ignored };
	struct words w = {0};
	bool whole = words_read(&s, &w) &&
		     (peek(&s) < 0 || strchr("<:", peek(&s)));
	char *name = whole ? phrase_name(&w) : NULL;

	words_release(&w);
	if (whole)
		return name;
	while (n && strchr(" <>:;,", text[n - 1]))
		n--;
	return n ? mem_stringn(text, n) : NULL;
}
