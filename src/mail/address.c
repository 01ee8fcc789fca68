/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/address_parts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/scan.h"
#include "base/utf8.h"
#include "mail/lines.h"

/* RFC 5321 4.5.3.1.1 says 64, but longer ones are in use (VERP) and every
 * server may decide for itself; this only keeps a command line sane. */
enum { LOCAL_MAX = 512 };

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

static bool local_check(struct address_scan *s, const struct address_words *w)
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

static void mailbox_release(struct mailbox *b)
{
	free(b->name);
	free(b->address);
	*b = (struct mailbox){0};
}

/* The rest of an addr-spec whose local part was read; takes name over. */
static bool spec_read(struct address_scan *s, const struct address_words *w,
		      char *name)
{
	struct buf raw = BUF(s->n), address = BUF(4 * LOCAL_MAX);
	const char *local = buf_text(&w->local);
	struct outcome bad;
	char *domain = NULL;
	bool ok = false, plain;

	if (!local_check(s, w))
		goto out;
	if (address_peek(s) == '@') {
		s->pos++;
		if (!address_read_domain(s, &raw))
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

	while (ok && ((c = address_peek(s)) == '@' || c == ',')) {
		s->pos++;
		ok = c == '@' ? address_read_domain(s, &ignored) :
		     address_skip_cfws(s);
	}
	buf_release(&ignored);
	if (!ok)
		return false;
	if (address_peek(s) != ':')
		return address_fault(s, "source route without colon");
	s->pos++;
	return true;
}

/* Whether the rest of the element is nothing but a slip: words among it or
 * not, or a comment without end. */
static bool rest_is_slip(const struct address_scan *s, bool words)
{
	size_t i;

	if (!s->loose || !s->slips || !s->box.qualified)
		return false;
	for (i = s->pos; i < s->n; i++) {
		words = words || s->text[i] == '(';
		/* perhaps another address */
		if (s->text[i] == '@' ||
		    (!words && (!s->text[i] ||
				!strchr(" \t\r\n;.>", s->text[i]))))
			return false;
	}
	return true;
}

static void mailto_skip(struct address_scan *s)
{
	static const char mailto[] = "mailto:";
	const size_t n = sizeof(mailto) - 1;

	if (s->loose && s->slips && s->n - s->pos >= n &&
	    !strncasecmp(s->text + s->pos, mailto, n))
		s->pos += n;
}

/* From "<" to after ">"; takes name over. */
static bool angle_read(struct address_scan *s, char *name)
{
	struct address_words w = {0};
	bool ok = false;

	s->pos++;
	mailto_skip(s);
	if (!address_skip_cfws(s))
		goto out;
	if (address_peek(s) == '@' && !route_skip(s))
		goto out;
	if (!address_read_words(s, &w))
		goto out;
	ok = spec_read(s, &w, name);
	name = NULL;
	if (ok && address_peek(s) == '>')
		s->pos++;
	else if (ok && !rest_is_slip(s, false))
		ok = address_fault(s, "\">\" missing");
	ok = ok && (address_skip_cfws(s) || rest_is_slip(s, false));
out:
	free(name);
	address_words_release(&w);
	return ok;
}

static bool element_end(struct address_scan *s)
{
	int c = address_peek(s);

	if (c < 0 || c == ',' || (c == ';' && s->in_group))
		return true;
	return address_fault(s, "neither an address nor a list of them");
}

/* As the RFC has it: a group's beginning, or a mailbox. */
static bool element_parse(struct address_scan *s)
{
	struct address_words w = {0};
	bool ok = address_read_words(s, &w);

	if (ok && address_peek(s) == ':') {
		if (!w.count)
			ok = address_fault(s, "nothing before the colon");
		else if (s->in_group)
			ok = address_fault(s, "group within a group");
		s->in_group = true;
		s->pos++;
	} else if (ok && address_peek(s) == '<') {
		ok = angle_read(s, address_words_name(&w)) && element_end(s);
	} else if (ok) {
		ok = spec_read(s, &w, NULL) && element_end(s);
	}
	address_words_release(&w);
	return ok && controls_check(s, s->start);
}

/* Where an element ends whose words are not what the RFC wants. */
struct extent {
	size_t end;
	size_t open;       /* the last "<"; end: none */
	bool several;      /* "<a@b>" stands before that, or a comma */
	bool quote;        /* a quote is open */
	size_t torn;       /* offset after the ">" that its "<" has in
			    * another element; 0: none */
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

/* Whether nothing but blanks follows the character at a place. */
static bool is_last(const struct address_scan *s, size_t at)
{
	struct scan rest = scan_bytes(s->text + at + 1, s->n - at - 1);

	scan_skip_blanks(&rest);
	return !scan_left(&rest);
}

/* Where the ">" is for a "<" that the text before this place leaves open; 0:
 * another "<" or the end comes first. */
static size_t angle_end(const struct address_scan *s, size_t from)
{
	while (from < s->n && s->text[from] != '<' && s->text[from] != '>')
		from++;
	return from < s->n && s->text[from] == '>' ? from + 1 : 0;
}

/* Quotes, comments and encoded words hide what is in them; a parenthesis
 * that nothing closes, and a quote that ends the text, is a character like
 * another. What was parsed in vain belongs to the element, however it came to
 * hold a comma, or it would be parsed again for the next. */
static struct extent element_extent(const struct address_scan *scan)
{
	struct address_scan s = *scan;
	struct extent e = { .open = s.n };
	const size_t parsed = scan->pos;
	bool at = false, address = false, angle = false;
	size_t from, word;
	int c;

	s.why = NULL;
	for (s.pos = s.start; (c = address_peek(&s)) >= 0; s.pos++) {
		if (c == ',' || (c == ';' && s.in_group)) {
			if (s.pos >= parsed)
				break;
			e.several = true;
		}
		from = s.pos;
		word = encoded_word_length(s.text + from, s.n - from);
		if (c == '"') {
			e.quote = !quote_skip(&s) && !is_last(&s, from);
		} else if (c == '(' && address_skip_comment(&s)) {
			s.pos--;
		} else if (c == '(') {
			s.pos = from;
		} else if (word) {
			s.pos += word - 1;
		} else if (c == '<') {
			e.several = e.several || address;
			e.open = from;
			at = address = false;
			angle = true;
		} else if (c == '@') {
			at = true;
		} else if (c == '>') {
			address = address || (at && e.open < from);
			angle = false;
		}
	}
	e.end = s.pos < s.n ? s.pos : s.n;
	e.torn = angle ? angle_end(&s, e.end) : 0;
	if (e.open > e.end)
		e.open = e.end;
	return e;
}

/* An addr-spec alone, with a slip after it. */
static bool spec_loose(struct address_scan *s)
{
	struct address_words w = {0};
	bool ok;

	s->pos = s->start;
	ok = address_read_words(s, &w) && spec_read(s, &w, NULL) &&
	     controls_check(s, s->start) && rest_is_slip(s, false);
	address_words_release(&w);
	return ok;
}

/* "<address>" with whatever is written before it as a name. */
static bool angle_loose(struct address_scan *s, size_t open)
{
	size_t end = open;
	char *name = NULL;

	/* what stands before it, as it is */
	while (end > s->start && strchr(" <", s->text[end - 1]))
		end--;
	if (end > s->start)
		name = mem_stringn(s->text + s->start, end - s->start);
	s->pos = open;
	if (!angle_read(s, name))
		return false;
	while (address_peek(s) == '>') {
		s->pos++;
		if (!address_skip_cfws(s))
			break;
	}
	return controls_check(s, open) &&
	       (s->pos == s->n || rest_is_slip(s, true));
}

/* Whether the end of a bracket of an element before is all that it has. */
static bool ends_torn(const struct address_scan *s, const struct extent *e)
{
	return s->start < s->torn && s->torn <= e->end &&
	       (e->open == e->end || e->open < s->torn);
}

/* An element that ends in "<address>" is that address, whatever is written
 * before it as a name, and so is one whose end alone is wrong. Not so what is
 * half an address: "<john@company,example>", "<john,doe@x.example>". */
static bool element_loose(struct address_scan *s, const struct extent *e)
{
	size_t n = s->n;
	bool ok;

	if (e->quote || e->several || e->torn || ends_torn(s, e))
		return false;
	s->loose = true;
	s->n = e->end;
	ok = e->open == e->end ? spec_loose(s) : angle_loose(s, e->open);
	s->n = n;
	s->loose = false;
	s->box.loose = ok;
	return ok;
}

/* False: it is not an address; the scan then goes on after it. */
static bool element_read(struct address_scan *s)
{
	struct outcome *why = s->why;
	const bool in_group = s->in_group;
	struct extent e;
	bool ok;

	s->start = s->pos;
	ok = element_parse(s);
	if (!ok) {
		s->in_group = in_group;
		e = element_extent(s);
		s->why = NULL;
		ok = element_loose(s, &e);
		if (e.torn)
			s->torn = e.torn;
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
	struct address_scan s = {
		.text = text, .n = n, .unclosed = address_unclosed(text, n),
		.slips = faults == FAULTS_PASS,
	};
	bool on = true, good = true;

	/* words that nobody reads cost more than the reading */
	if (faults == FAULTS_FAIL)
		s.why = why;

	while (on) {
		s.start = s.pos;
		/* a comment without end may yet be part of a name */
		if (!address_skip_cfws(&s))
			s.pos = s.start;
		if (address_peek(&s) < 0)
			break;
		if (address_peek(&s) == ',') {
			s.pos++;
		} else if (address_peek(&s) == ';' && s.in_group) {
			s.in_group = false;
			s.pos++;
		} else if (!element_read(&s)) {
			on = good = faults == FAULTS_PASS;
		} else if (s.box.address) {
			on = visit(&s.box, context);
			mailbox_release(&s.box);
		}
	}
	free(s.unclosed);
	return good;
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
	struct address_scan s = *scan;

	s.why = NULL;
	if (!address_skip_cfws(&s))
		return false;
	if (address_peek(&s) < 0)
		return true;
	if (address_peek(&s) != '<')
		return false;
	s.pos++;
	if (!address_skip_cfws(&s) || address_peek(&s) != '>')
		return false;
	s.pos++;
	return address_skip_cfws(&s) && address_peek(&s) < 0;
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
	s.unclosed = address_unclosed(text, s.n);
	ok = element_read(&s);
	free(s.unclosed);
	if (ok && (s.in_group || address_peek(&s) >= 0))
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
	struct address_scan s = { .text = text, .n = n };
	struct address_words w = {0};
	bool whole = address_read_words(&s, &w) &&
		     (address_peek(&s) < 0 || strchr("<:", address_peek(&s)));
	char *name = whole ? address_words_name(&w) : NULL;

	address_words_release(&w);
	if (whole)
		return name;
	while (n && strchr(" <>:;,", text[n - 1]))
		n--;
	return n ? mem_stringn(text, n) : NULL;
}
