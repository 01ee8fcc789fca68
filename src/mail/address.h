/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Addresses: RFC 5322 3.4 and 4.4 (groups, comments, obsolete routes),
 * RFC 6531 (UTF-8 local parts), RFC 5891 (IDNA 2008) for domains.
 *
 * Inside the program an address is one string "local@domain": the local part
 * in its shortest quoting, the domain in lower case and A-labels, or an
 * address literal "[192.0.2.1]", "[IPv6:...]". "" is the null reverse-path.
 */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/outcome.h"

struct mailbox {
	char *name;     /* display name, unquoted; NULL: none */
	char *address;  /* as above; without "@domain" where the text had
			 * none */
	bool qualified; /* has a domain */
	bool spaced;    /* white space stands at a dot of its local part */
	bool quoted;    /* its local part was written with quotes, or has to
			 * be */
	bool loose;     /* the element is not what RFC 5322 wants */
	size_t at;      /* offset in the text just after the local part, where
			 * "@domain" is to be inserted */
	size_t start, end; /* offsets of the element it stands in */
};

struct mailboxes {
	struct mailbox *box;
	size_t n;
};

/*
 * Calls visit for each mailbox of an address-list, in order, until it returns
 * false: groups resolved, empty elements passed over; none at all is fine. An
 * element that ends in a well-formed "<address>" is that address, whatever
 * stands before it as a name. Of one that is not an address either the first
 * fails it all (EX_DATAERR, the bad part in the words), or each is passed
 * over; then one whose end alone is wrong ("a@b;", "<a@b", "<a@b> c",
 * "<mailto:a@b>") is an address, too, unless there may be two, or it is a part
 * of what stands in one pair of brackets ("<a@b,c>"). The time for it all is
 * in proportion to the text. The visitor may take over name and address,
 * leaving NULL.
 */
enum address_faults { FAULTS_FAIL, FAULTS_PASS };
typedef bool mailbox_visit(struct mailbox *b, void *context);
bool address_each(const char *text, size_t n, enum address_faults faults,
		  mailbox_visit *visit, void *context,
		  struct outcome *why) MUST_CHECK;
/* All of them, the first fault failing. The caller releases out in either
 * case. */
bool address_list(const char *text, size_t n, struct mailboxes *out,
		  struct outcome *why) MUST_CHECK;
/* One mailbox, as for -f: "a@b", "<a@b>", "Name <a@b>"; "" and "<>" give the
 * null reverse-path "". The caller frees *address. */
bool address_one(const char *text, char **address, bool *qualified,
		 struct outcome *why) MUST_CHECK;
void mailboxes_release(struct mailboxes *m);

/* The domain of an address of ours: what is after its last "@", "" without
 * one. */
const char *address_domain(const char *address);
/* The address, with "@domain" after it if it has none and is not ""; the
 * caller frees. */
char *address_qualify(const char *address, const char *domain);
/* Whether the local part holds bytes outside ASCII (needs SMTPUTF8). */
bool address_is_utf8(const char *address);
/* Whether it is, in a field, what people write for a name there, and hardly
 * an address: "J. Smith", or a lone word with letters beyond ASCII. */
bool mailbox_is_name(const struct mailbox *b);
/* Whether two addresses of ours are one: domains without case. */
bool address_equal(const char *a, const char *b);

/* The lower-case A-label form (IDNA 2008, non-transitional), or a checked
 * literal; the caller frees. False (EX_DATAERR) for what cannot be a mail
 * domain: empty labels, labels over 63 octets, over 255 in all, controls,
 * blanks. An underscore is kept, one trailing dot is dropped. */
bool domain_normalise(const char *text, size_t n, char **out,
		      struct outcome *why) MUST_CHECK;
bool domain_is_literal(const char *domain);

/* The display name that text without an address is: a phrase as its words,
 * else as it stands; "<>" or a group's colon after it left away. NULL: there
 * is nothing. The caller frees. */
char *address_phrase(const char *text, size_t n);

/* Whether an atom may hold this character (RFC 5322 3.2.3, RFC 6531). */
bool is_atext(int c);
/* Whether these bytes are atoms with one such character between any two; none
 * at all, too. */
bool is_atoms(const char *s, size_t n, char between);
/* Adds a quoted string (RFC 5322 3.2.4). */
struct buf;
void quoted_add(struct buf *b, const char *s, size_t n);

/* Adds a display name to b as RFC 5322 and RFC 2047 want it: as atoms, a
 * quoted string, or encoded words (folded by CRLF and a blank between two);
 * control characters become blanks. */
void name_encode(struct buf *b, const char *name);
/* The same for a name out of a header, whose encoded words stay so. */
void name_encode_again(struct buf *b, const char *name);
/* Adds " <address>" after one of these: on a line of its own where that with an
 * encoded word would be too long. */
void name_add_address(struct buf *b, const char *address);
/* The length of an encoded word (RFC 2047 2) that text begins with, even with
 * blanks in it; 0: there is none. */
size_t encoded_word_length(const char *text, size_t n);

#endif
