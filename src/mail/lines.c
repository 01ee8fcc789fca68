/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "mail/lines.h"

#include <string.h>
#include <strings.h>

#include "base/scan.h"

bool is_ftext(char c)
{
	return c > ' ' && c < 0x7f && c != ':';
}

bool line_has_controls(const char *s, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (((unsigned char)s[i] < ' ' && s[i] != '\t') ||
		    s[i] == 0x7f)
			return true;
	return false;
}

bool bytes_wide(const char *p, size_t n)
{
	const uint64_t high = UINT64_C(0x8080808080808080);
	uint64_t word[4];

	for (; n >= sizeof(word); p += sizeof(word), n -= sizeof(word)) {
		memcpy(word, p, sizeof(word));
		if ((word[0] | word[1] | word[2] | word[3]) & high)
			return true;
	}
	for (; n; p++, n--)
		if ((unsigned char)*p >= 0x80)
			return true;
	return false;
}

static void normal_put(struct normaliser *s, const char *data, size_t n)
{
	if (!n || s->stopped)
		return;
	s->size += (int64_t)n;
	if (!s->put(s->context, data, n))
		s->stopped = true;
}

/* The line that was put is over: only the body's length is of interest, a
 * long line of the header gets refolded. */
static void line_over(struct normaliser *s)
{
	if (s->body_long || !s->header_size)
		return;
	s->body_long = s->line > LINE_LONGEST;
	s->line = 0;
}

static void end_header(struct normaliser *s)
{
	normal_put(s, "\r\n", 2);
	s->header_size = s->size;
	s->line = 0;
}

static void put_text(struct normaliser *s, const char *data, size_t n)
{
	normal_put(s, data, n);
	s->line += n;
	if (s->look_wide && s->header_size && !s->body_wide)
		s->body_wide = bytes_wide(data, n);
	if (s->look_nul && s->header_size && !s->body_nul)
		s->body_nul = memchr(data, '\0', n) != NULL;
}

/* So many CRs that no LF follows. */
static void bare_crs(struct normaliser *s, size_t n)
{
	static const char ends[] =
		"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"
		"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n";
	static const char blanks[] = "                                ";
	size_t most, part;

	if (n && s->header_size)
		line_over(s);
	most = s->header_size ? (sizeof(ends) - 1) / 2 : sizeof(blanks) - 1;
	for (; n && !s->stopped; n -= part) {
		part = n < most ? n : most;
		if (s->header_size)
			normal_put(s, ends, 2 * part);
		else
			normal_put(s, blanks, part);
	}
}

/* Text without LF, and without CRs at its end. */
static void normal_line(struct normaliser *s, const char *data, size_t n)
{
	const char *cr;
	size_t len, run;

	while ((cr = memchr(data, '\r', n))) {
		len = (size_t)(cr - data);
		for (run = 1; cr[run] == '\r'; run++)
			;
		put_text(s, data, len);
		bare_crs(s, run);
		data = cr + run;
		n -= len + run;
	}
	put_text(s, data, n);
}

/* Within a line that has been judged. */
static size_t take_text(struct normaliser *s, const char *in, size_t n)
{
	const char *lf = memchr(in, '\n', n);
	size_t end = lf ? (size_t)(lf - in) : n;
	size_t text = end;

	while (text && in[text - 1] == '\r')
		text--;
	if (s->look_nul && !s->header_size && memchr(in, '\0', text)) {
		s->nul = true;
		return n;
	}
	if (text) {
		bare_crs(s, s->crs);
		s->crs = 0;
		normal_line(s, in, text);
	}
	if (!lf) {
		s->crs += end - text;
		return n;
	}
	s->crlf = s->crs + (end - text) == 1;
	s->crs = 0;
	normal_put(s, "\r\n", 2);
	line_over(s);
	s->state = NORMAL_BOL;
	return end + 1;
}

/* Whole lines of a body that are as they should be, in one piece: how most
 * messages with CRLF come. */
static size_t take_lines(struct normaliser *s, const char *in, size_t n)
{
	const char *p = in, *lf;
	size_t len;

	while ((lf = memchr(p, '\n', (size_t)(in + n - p)))) {
		len = (size_t)(lf - p);
		if (!len || lf[-1] != '\r' || (s->dot_ends && *p == '.') ||
		    memchr(p, '\r', len) != lf - 1)
			break;
		s->line = len - 1;
		line_over(s);
		p = lf + 1;
	}
	put_text(s, in, (size_t)(p - in));
	s->line = 0;
	return (size_t)(p - in);
}

/* The line is not a field: dropped if it is an mbox separator before all
 * fields, else the first of the body. */
static void not_a_field(struct normaliser *s)
{
	s->name[s->held] = '\0';
	if (!s->fields && (!strncmp(s->name, "From ", 5) ||
			   !strncmp(s->name, ">From ", 6))) {
		s->crs = 0;
		s->state = NORMAL_SKIP;
		return;
	}
	end_header(s);
	normal_line(s, s->name, s->held);
	s->state = NORMAL_TEXT;
}

/* CRs within what is held are blanks if it is a field's name, and line ends
 * if it is not, so they are held as they are. */
static bool hold_crs(struct normaliser *s)
{
	if (s->crs > FIELD_NAME_MAX - s->held)
		return false;
	memset(s->name + s->held, '\r', s->crs);
	s->held += s->crs;
	s->blanks = s->blanks || s->crs;
	s->crs = 0;
	return true;
}

static size_t take_field_name(struct normaliser *s, char c)
{
	if (c == '\r') {
		s->crs++;
		return 1;
	}
	if (c == ':' && s->held) {
		s->name[s->held] = '\0';
		s->fields = true;
		normal_line(s, s->name, s->held);
		bare_crs(s, s->crs);
		s->crs = 0;
		s->state = NORMAL_TEXT;
		return 0;
	}
	if (c == '\n' || !hold_crs(s) || s->held == FIELD_NAME_MAX ||
	    (!is_wsp(c) && (s->blanks || !is_ftext(c)))) {
		not_a_field(s);
		return 0;
	}
	s->blanks = is_wsp(c);
	s->name[s->held++] = c;
	return 1;
}

static const char byte_order_mark[] = "\xef\xbb\xbf";

/* What some editors put before all text. */
static size_t take_mark(struct normaliser *s, char c)
{
	if (c != byte_order_mark[s->held]) {
		not_a_field(s);
		return 0;
	}
	s->name[s->held++] = c;
	if (!byte_order_mark[s->held])
		s->state = NORMAL_BOL;
	return 1;
}

/* At the beginning of a line of the header; CRs may have come before. */
static size_t take_header_line(struct normaliser *s, char c)
{
	if (c == '\r') {
		s->crs++;
		return 1;
	}
	if (c == '\n') {
		s->crs = 0;
		end_header(s);
		return 1;
	}
	if (is_wsp(c) || s->crs) {
		if (!s->fields)
			end_header(s);
		s->state = NORMAL_TEXT;
		return 0;
	}
	s->held = 0;
	s->blanks = false;
	s->state = !s->fields && c == *byte_order_mark ? NORMAL_MARK :
		   NORMAL_NAME;
	return 0;
}

static size_t take_start(struct normaliser *s, const char *in, size_t n)
{
	size_t used;

	if (*in == '.' && s->dot_ends && !s->crs) {
		s->state = NORMAL_DOT;
		return 1;
	}
	if (!s->header_size)
		return take_header_line(s, *in);
	used = s->crlf ? take_lines(s, in, n) : 0;
	if (!used)
		s->state = NORMAL_TEXT;
	return used;
}

/* After a dot at the beginning of a line. */
static size_t take_dot(struct normaliser *s, char c)
{
	if (c == '\r') {
		s->crs++;
		return 1;
	}
	if (c == '\n') {
		s->crs = 0;
		s->ended = true;
		return 1;
	}
	if (s->header_size) {
		put_text(s, ".", 1);
		s->state = NORMAL_TEXT;
	} else {
		s->name[0] = '.';
		s->held = 1;
		s->blanks = false;
		s->state = NORMAL_NAME;
	}
	return 0;
}

static size_t take_piece(struct normaliser *s, const char *in, size_t n)
{
	const char *lf;

	switch (s->state) {
	case NORMAL_BOL:
		return take_start(s, in, n);
	case NORMAL_DOT:
		return take_dot(s, *in);
	case NORMAL_MARK:
		return take_mark(s, *in);
	case NORMAL_NAME:
		return take_field_name(s, *in);
	case NORMAL_SKIP:
		lf = memchr(in, '\n', n);
		if (!lf)
			return n;
		s->state = NORMAL_BOL;
		return (size_t)(lf - in) + 1;
	case NORMAL_TEXT:
		break;
	}
	return take_text(s, in, n);
}

bool normalise(struct normaliser *s, const char *in, size_t n)
{
	size_t used;

	/* of a byte order mark, what came before may be text after all */
	s->look_wide = !s->body_wide &&
		       (s->state == NORMAL_MARK || bytes_wide(in, n));
	s->look_nul = !s->body_nul && memchr(in, '\0', n);
	for (; n && !s->ended && !s->stopped && !s->nul; in += used, n -= used)
		used = take_piece(s, in, n);
	return !s->nul && !s->stopped;
}

bool normalise_end(struct normaliser *s)
{
	/* what is missing of the last line; a lone dot needs no line end */
	if (!s->ended && s->state == NORMAL_DOT)
		s->ended = true;
	else if (!s->ended && s->state != NORMAL_BOL)
		normalise(s, "\n", 1);
	if (!s->header_size)
		end_header(s);
	return !s->stopped;
}

size_t stuff(struct stuffer *s, const char *in, size_t n, char *out)
{
	const char *end = in + n, *from = in, *p = in;
	char *start = out;

	while (p < end) {
		if (s->state == STUFF_BOL && *p == '.') {
			memcpy(out, from, (size_t)(p - from));
			out += p - from;
			*out++ = '.';
			from = p;
		}
		p = memchr(p, '\n', (size_t)(end - p));
		s->state = p ? STUFF_BOL : STUFF_TEXT;
		p = p ? p + 1 : end;
	}
	memcpy(out, from, (size_t)(end - from));
	return (size_t)(out - start) + (size_t)(end - from);
}

/* Text up to and with an LF; gives its length. */
static size_t unstuff_text(struct unstuffer *u, const char *in, size_t n)
{
	const char *lf = memchr(in, '\n', n);
	bool cr = u->state == UNSTUFF_CR;

	if (!lf) {
		u->state = in[n - 1] == '\r' ? UNSTUFF_CR : UNSTUFF_TEXT;
		return n;
	}
	if (lf > in)
		cr = lf[-1] == '\r';
	u->state = cr || !u->crlf ? UNSTUFF_BOL : UNSTUFF_TEXT;
	return (size_t)(lf - in) + 1;
}

/* Where a dot may be the first of its line, or the last. Gives whether the
 * character is used up. */
static bool unstuff_dot(struct unstuffer *u, char c, char *out, size_t *len)
{
	switch (u->state) {
	case UNSTUFF_BOL:
		u->state = c == '.' ? UNSTUFF_DOT : UNSTUFF_TEXT;
		return c == '.';
	case UNSTUFF_DOT:
		u->ended = c == '\n' && !u->crlf;
		u->state = c == '\r' && u->crlf ? UNSTUFF_DOT_CR :
			   UNSTUFF_TEXT;
		return u->ended || u->state == UNSTUFF_DOT_CR;
	default:
		u->ended = c == '\n';
		u->state = UNSTUFF_CR;
		if (!u->ended)
			out[(*len)++] = '\r';
		return u->ended;
	}
}

size_t unstuff(struct unstuffer *u, const char *in, size_t n, char *out,
	       size_t *len)
{
	size_t used = 0, part;

	*len = 0;
	while (used < n && !u->ended) {
		if (u->state < UNSTUFF_TEXT) {
			used += unstuff_dot(u, in[used], out, len);
			continue;
		}
		part = unstuff_text(u, in + used, n - used);
		memcpy(out + *len, in + used, part);
		*len += part;
		used += part;
	}
	return used;
}

/* --- text that a server could take for commands --- */

/* Some servers cut a command's line where their buffer ends (512 octets by
 * RFC 5321 4.5.3.1.4) and go on with the rest as another. */
enum { CUT_LEAST = 500 };

/* What changes the state of a session; NOOP, HELP, VRFY and EXPN do not. */
static const char *const verbs[] = {
	"MAIL", "RCPT", "DATA", "BDAT", "RSET", "QUIT", "EHLO", "HELO",
	"LHLO", "AUTH", "STARTTLS", "BURL", "ETRN", "ATRN", "TURN", "SEND",
	"SOML", "SAML", "XCLIENT", "XFORWARD",
};

/* A verb with nothing of a word after it. The argument that servers take
 * without a blank before it counts, too. */
static bool begins_with_verb(const char *s, size_t n)
{
	size_t i, len;

	for (i = 0; i < sizeof(verbs) / sizeof(*verbs); i++) {
		len = strlen(verbs[i]);
		if (n >= len && !strncasecmp(s, verbs[i], len) &&
		    (n == len || (!scan_is_alnum(s[len]) && s[len] != '-' &&
				  s[len] != '_')))
			return true;
	}
	return (n >= 8 && !strncasecmp(s, "MAILFROM", 8)) ||
	       (n >= 6 && !strncasecmp(s, "RCPTTO", 6));
}

bool text_has_command(const char *text, size_t n)
{
	const char *end;
	size_t len, at, i;

	while (n) {
		end = memchr(text, '\n', n);
		len = end ? (size_t)(end - text) + 1 : n;
		at = 0;
		/* white space of any sort, and what a server may drop as it
		 * does that */
		while (at < len && ((unsigned char)text[at] <= ' ' ||
				    (unsigned char)text[at] >= 0x7f))
			at++;
		if (begins_with_verb(text + at, len - at))
			return true;
		for (i = CUT_LEAST; i < len; i++)
			if (begins_with_verb(text + i, len - i))
				return true;
		text += len;
		n -= len;
	}
	return false;
}
