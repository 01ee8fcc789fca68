/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Queries, and answers, which anybody on the way may have written. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/scan.h"
#include "wire/dns_parse.h"
#include "wire/dns_parse_library.h"

enum { CNAMES_MAX = 16 };

/* --- queries --- */

enum {
	LABEL_MAX = 63,
	NAME_MAX_OCTETS = 255,
	TYPE_OPT = 41
};

/* RFC 1035 3.1; 0 where it is not a name. The root is not asked for. */
static size_t put_name(const char *name, unsigned char *out)
{
	size_t i, n, used = 0;

	do {
		n = strcspn(name, ".");
		if (!n || n > LABEL_MAX || used + n + 2 > NAME_MAX_OCTETS)
			return 0;
		for (i = 0; i < n; i++)
			if ((unsigned char)name[i] <= ' ' ||
			    (unsigned char)name[i] >= 0x7f || name[i] == '\\')
				return 0;
		out[used++] = (unsigned char)n;
		memcpy(out + used, name, n);
		used += n;
		name += n;
		if (*name == '.')
			name++;
	} while (*name);
	out[used++] = 0;
	return used;
}

static unsigned char *put16(unsigned char *p, unsigned value)
{
	*p++ = (unsigned char)(value >> 8);
	*p++ = (unsigned char)value;
	return p;
}

size_t dns_query_build(const char *name, enum dns_type type, uint16_t id,
		       unsigned char out[DNS_QUERY_MAX])
{
	unsigned char *p = out;
	size_t n;

	p = put16(p, id);
	p = put16(p, 0x0120);           /* RD, AD */
	p = put16(p, 1);
	p = put16(p, 0);
	p = put16(p, 0);
	p = put16(p, 1);
	n = put_name(name, p);
	if (!n)
		return 0;
	p += n;
	p = put16(p, type);
	p = put16(p, 1);                /* IN */
	*p++ = 0;                       /* RFC 6891 6.1.2 */
	p = put16(p, TYPE_OPT);
	p = put16(p, DNS_UDP_SIZE);
	p = put16(p, 0);
	p = put16(p, 0);
	p = put16(p, 0);
	return (size_t)(p - out);
}

size_t dns_query_plain(unsigned char *query, size_t n)
{
	query[11] = 0;                  /* ARCOUNT */
	return n - DNS_OPT;
}

void dns_reverse_name(const struct net_address *a, char out[80])
{
	const unsigned char *b;
	size_t used = 0;
	int i;

	out[0] = '\0';
	if (a->sa.ss_family == AF_INET) {
		b = (const void *)&a->v4.sin_addr;
		snprintf(out, 80, "%u.%u.%u.%u.in-addr.arpa", b[3], b[2],
			 b[1], b[0]);
	} else if (a->sa.ss_family == AF_INET6) {
		b = a->v6.sin6_addr.s6_addr;
		for (i = 15; i >= 0; i--, used += 4)
			snprintf(out + used, 80 - used, "%x.%x.", b[i] & 15u,
				 b[i] >> 4);
		snprintf(out + used, 80 - used, "ip6.arpa");
	}
}

/* --- answers --- */

/* RFC 1035 4.1.1, RFC 6840 5.7; ns_msg_getflag() is a macro in some libraries
 * and a function in others. */
enum {
	FLAG_QR = 0x8000,
	FLAG_TC = 0x0200,
	FLAG_AD = 0x0020,
	FLAGS_RCODE = 0x000f
};

static unsigned flags_of(const ns_msg *message)
{
	return ns_get16(ns_msg_base(*message) + 2);
}

struct dns_reading {
	ns_msg message;
	ns_rr rr;
	unsigned type;
	char owner[NS_MAXDNAME];
	struct dns_answer *answer;
};

static void answer_fails(struct dns_answer *a, const char *words)
{
	dns_answer_release(a);
	a->status = DNS_FAILED;
	snprintf(a->words, sizeof(a->words), "%s", words);
}

void dns_answer_release(struct dns_answer *a)
{
	size_t i;

	for (i = 0; i < a->n; i++) {
		free(a->record[i].name);
		free(a->record[i].text);
		free(a->record[i].tlsa.data);
	}
	free(a->record);
	free(a->cname);
	*a = (struct dns_answer){ .status = DNS_FAILED };
}

/* In lower case without the final dot. Names of hosts have hosts' characters
 * alone; other names (RFC 2317 has slashes in them) whatever needs no
 * escape. */
static bool name_normalise(char *name, bool host)
{
	static const char others[] = "-_.";
	size_t i, n = strlen(name);

	if (n && name[n - 1] == '.')
		name[--n] = '\0';
	for (i = 0; i < n; i++) {
		if (name[i] >= 'A' && name[i] <= 'Z')
			name[i] = (char)(name[i] + 'a' - 'A');
		if (name[i] <= ' ' || name[i] == 0x7f || name[i] == '\\' ||
		    (host && !scan_is_alnum(name[i]) &&
		     !strchr(others, name[i])))
			return false;
	}
	return name[0] != '/';
}

/* The name that the record's data ends with, skip octets into it. */
static bool name_at(struct dns_reading *r, size_t skip, bool host,
		    char out[NS_MAXDNAME])
{
	const unsigned char *data = ns_rr_rdata(r->rr);
	size_t n = ns_rr_rdlen(r->rr);
	int used;

	if (n <= skip)
		return false;
	used = ns_name_uncompress(ns_msg_base(r->message),
				  ns_msg_end(r->message), data + skip, out,
				  NS_MAXDNAME);
	return used > 0 && skip + (size_t)used == n &&
	       name_normalise(out, host);
}

static bool rdata_name(struct dns_reading *r, size_t skip, bool host,
		      struct dns_record *record)
{
	char name[NS_MAXDNAME];

	if (!name_at(r, skip, host, name))
		return false;
	record->name = mem_string(name);
	return true;
}

static bool rdata_txt(const unsigned char *data, size_t n,
		     struct dns_record *record)
{
	struct buf text = BUF(NS_MAXMSG);
	size_t length;

	for (; n; data += length, n -= length) {
		length = *data++;
		n--;
		if (length > n) {
			buf_release(&text);
			return false;
		}
		buf_add(&text, data, length);
	}
	record->text_len = text.len;
	record->text = buf_take(&text);
	return true;
}

static bool rdata_address(const unsigned char *data, size_t n, int family,
			 struct net_address *out)
{
	out->sa.ss_family = (sa_family_t)family;
	if (family == AF_INET && n == sizeof(out->v4.sin_addr)) {
		memcpy(&out->v4.sin_addr, data, n);
		out->len = sizeof(out->v4);
		return true;
	}
	if (family == AF_INET6 && n == sizeof(out->v6.sin6_addr)) {
		memcpy(&out->v6.sin6_addr, data, n);
		out->len = sizeof(out->v6);
		return true;
	}
	return false;
}

static bool rdata_record(struct dns_reading *r, struct dns_record *record)
{
	const unsigned char *data = ns_rr_rdata(r->rr);
	size_t n = ns_rr_rdlen(r->rr);

	switch (r->type) {
	case DNS_A:
		return rdata_address(data, n, AF_INET, &record->address);
	case DNS_AAAA:
		return rdata_address(data, n, AF_INET6, &record->address);
	case DNS_CNAME:
		return rdata_name(r, 0, false, record);
	case DNS_PTR:
		return rdata_name(r, 0, true, record);
	case DNS_MX:
		if (n < 3)
			return false;
		record->preference = ns_get16(data);
		return rdata_name(r, 2, true, record);
	case DNS_SRV:
		if (n < 7)
			return false;
		record->preference = ns_get16(data);
		record->weight = ns_get16(data + 2);
		record->port = ns_get16(data + 4);
		return rdata_name(r, 6, true, record);
	case DNS_TXT:
		return rdata_txt(data, n, record);
	case DNS_TLSA:
		if (n < 4)
			return false;
		record->tlsa = (struct tlsa){
			.usage = data[0], .selector = data[1],
			.matching = data[2], .n = n - 3,
			.data = (unsigned char *)mem_stringn(
				(const char *)data + 3, n - 3),
		};
		return true;
	default:
		return false;
	}
}

/* Whether record i of the answer section is of this owner and type; bad is
 * set where the message is. */
static bool is_mine(struct dns_reading *r, int i, unsigned type, bool *bad)
{
	char owner[NS_MAXDNAME];

	if (ns_parserr(&r->message, ns_s_an, i, &r->rr)) {
		*bad = true;
		return false;
	}
	snprintf(owner, sizeof(owner), "%s", ns_rr_name(r->rr));
	return (unsigned)ns_rr_type(r->rr) == type &&
	       ns_rr_class(r->rr) == ns_c_in && name_normalise(owner, false) &&
	       !strcmp(owner, r->owner);
}

/* CNAMEs within the answer lead to the owner of its records. */
static bool follow_cnames(struct dns_reading *r)
{
	int i, n = ns_msg_count(r->message, ns_s_an);
	unsigned steps = 0;
	bool bad = false;

	if (r->type == DNS_CNAME)
		return true;
	for (i = 0; i < n && !bad; i++) {
		if (!is_mine(r, i, DNS_CNAME, &bad))
			continue;
		if (steps++ == CNAMES_MAX) {
			answer_fails(r->answer, "too many CNAMEs, or a loop of "
				     "them");
			return false;
		}
		bad = !name_at(r, 0, false, r->owner);
		i = -1;                 /* the next may stand before it */
	}
	if (bad) {
		answer_fails(r->answer, "a malformed CNAME in the answer");
		return false;
	}
	if (steps)
		r->answer->cname = mem_string(r->owner);
	return true;
}

static bool take_records(struct dns_reading *r)
{
	int i, n = ns_msg_count(r->message, ns_s_an);
	struct dns_answer *a = r->answer;
	bool bad = false, dropped = false;

	for (i = 0; i < n && !bad; i++) {
		struct dns_record record = { 0 };

		if (!is_mine(r, i, r->type, &bad))
			continue;
		if (!rdata_record(r, &record)) {
			dropped = true;
			continue;
		}
		a->record = mem_grow(a->record, a->n, sizeof(*a->record));
		a->record[a->n++] = record;
	}
	if (bad || (dropped && !a->n)) {
		answer_fails(a, "malformed records in the answer");
		return false;
	}
	return true;
}

/* With the bits that an OPT record adds (RFC 6891 6.1.3). */
static unsigned full_rcode(ns_msg *message)
{
	unsigned rcode = flags_of(message) & FLAGS_RCODE;
	int i, n = ns_msg_count(*message, ns_s_ar);
	ns_rr rr;

	for (i = 0; i < n && !ns_parserr(message, ns_s_ar, i, &rr); i++)
		if (ns_rr_type(rr) == ns_t_opt)
			return rcode | (ns_rr_ttl(rr) >> 24) << 4;
	return rcode;
}

bool dns_refuses_edns(const unsigned char *data, size_t n)
{
	ns_msg message;
	unsigned rcode;

	if (n > NS_MAXMSG || ns_initparse(data, (int)n, &message))
		return false;
	rcode = full_rcode(&message);
	return rcode == ns_r_formerr || rcode == ns_r_notimpl ||
	       rcode == ns_r_badvers;
}

/* The answer must be one, whole, and to what was asked. */
static bool check_answer(struct dns_reading *r)
{
	const char *words = "an answer to another question";
	char name[NS_MAXDNAME];

	switch (full_rcode(&r->message)) {
	case ns_r_noerror:
	case ns_r_nxdomain:
		break;
	case ns_r_servfail:
		answer_fails(r->answer, "the resolver failed (SERVFAIL)");
		return false;
	case ns_r_refused:
		answer_fails(r->answer, "the resolver refused to answer "
			     "(REFUSED)");
		return false;
	default:
		answer_fails(r->answer, "the resolver answered with an error");
		return false;
	}
	if ((flags_of(&r->message) & (FLAG_QR | FLAG_TC)) != FLAG_QR) {
		words = "a truncated answer";
	} else if (ns_msg_count(r->message, ns_s_qd) == 1 &&
		   !ns_parserr(&r->message, ns_s_qd, 0, &r->rr)) {
		snprintf(name, sizeof(name), "%s", ns_rr_name(r->rr));
		if ((unsigned)ns_rr_type(r->rr) == r->type &&
		    name_normalise(name, false) && !strcmp(name, r->owner))
			return true;
	}
	answer_fails(r->answer, words);
	return false;
}

void dns_answer_parse(const unsigned char *data, size_t n, const char *name,
		      enum dns_type type, struct dns_answer *a)
{
	struct dns_reading r = { .type = type, .answer = a };
	int i, authorities;

	*a = (struct dns_answer){ .status = DNS_FAILED };
	if (n > NS_MAXMSG || ns_initparse(data, (int)n, &r.message)) {
		answer_fails(a, "a malformed answer");
		return;
	}
	snprintf(r.owner, sizeof(r.owner), "%s", name);
	if (!name_normalise(r.owner, false) || !check_answer(&r) ||
	    !follow_cnames(&r) || !take_records(&r))
		return;
	a->authentic = flags_of(&r.message) & FLAG_AD;
	a->status = (flags_of(&r.message) & FLAGS_RCODE) == ns_r_nxdomain ?
		    DNS_NXDOMAIN : a->n ? DNS_OK : DNS_NODATA;
	/* RFC 2308 2.2: with an SOA, what is not in the answer is not there;
	 * without, a CNAME may merely have been followed no further */
	authorities = ns_msg_count(r.message, ns_s_ns);
	a->leads_on = a->status == DNS_NODATA && a->cname && *a->cname;
	for (i = 0; a->leads_on && i < authorities &&
	     !ns_parserr(&r.message, ns_s_ns, i, &r.rr); i++)
		a->leads_on = ns_rr_type(r.rr) != ns_t_soa;
}
