/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A scripted SMTP and LMTP server for tests. script.c reads what it is to
 * do, peer.c holds one connection, session.c the dialogue, auth.c the SASL
 * side, record.c writes what was seen, certs.c makes test certificates.
 */
#ifndef WIRE_SERVER_H
#define WIRE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <gnutls/gnutls.h>

/* --- script.c: what the server is to do; the language is in README --- */

enum { LIST_MAX = 40, RULES_MAX = 100, ACTIONS_MAX = 20 };

enum verb {
	DO_REPLY,     /* text and CRLF */
	DO_SEND,      /* bytes as they are */
	DO_DRIP,      /* bytes, one every number ms */
	DO_FLOOD,     /* bytes, number times */
	DO_WAIT,      /* number ms */
	DO_SILENT,    /* until the client goes away */
	DO_CLOSE,     /* without saying goodbye in TLS */
	DO_BYE,       /* close_notify, then close */
	DO_RESET,     /* RST */
	DO_HANDSHAKE,
	DO_CONTENT,   /* read up to the final dot, then answer it */
	DO_DEFAULT    /* what would have been done without the rule */
};

struct action {
	enum verb verb;
	long number;
	char *text;
	size_t len;
};

struct rule {
	char event[16];
	char *pattern;        /* substring without case; NULL: any */
	int connection;       /* 0: any */
	int nth;              /* 0: every time */
	int tls;              /* -1: either */
	int seen;
	struct action action[ACTIONS_MAX];
	size_t actions;
};

enum tls_mode { TLS_NONE, TLS_STARTTLS, TLS_IMPLICIT };
enum binding { BINDING_MATCHING, BINDING_NONE, BINDING_WRONG };

struct strings {
	char *item[LIST_MAX];
	size_t n;
};

struct script {
	char *text;           /* the file, which everything points into */
	char version[64];
	char *listen;         /* inet, inet6, ADDRESS PORT, or a path */
	bool lmtp, socks;
	char *socks_user;     /* its password is password */
	enum tls_mode tls;
	char *priority;       /* GnuTLS */
	char *certificate;    /* a name of certs.c */
	bool ask_certificate;
	struct strings extension[2];  /* in clear, under TLS */
	char *mechanisms[2];
	char *user, *password, *token;
	int iterations;
	bool wrong_signature, early_success, endless_challenge;
	bool offer_starttls;
	enum binding binding;
	int max_recipients;   /* 0: no limit */
	int grace;            /* ms that one flight may have gaps */
	char *hostname;
	struct rule rule[RULES_MAX];
	size_t rules;
};

/* Reads a script; says what is wrong on standard error and returns false. */
bool script_read(const char *path, struct script *s);
/* The next rule for an event whose subject is text; counts it as seen. */
struct rule *script_match(struct script *s, const char *event,
			  const char *text, int connection, bool tls);

/* --- record.c: JSON lines --- */

struct field {
	const char *name;
	enum { F_TEXT, F_NUMBER, F_BOOL, F_LIST } type;
	const char *text;
	size_t len;           /* of text; 0: up to its NUL */
	long number;
	char *const *list;
	size_t items;
};

bool record_open(const char *path);
/* One line; fields end with one whose name is NULL. */
void record(int connection, const char *event, const struct field *fields);
void record_text(int connection, const char *event, const char *name,
		 const char *text);

/* --- peer.c: one connection --- */

struct peer {
	int fd;
	int connection;
	struct script *script;
	const char *directory;    /* of the certificates */
	gnutls_session_t tls;
	gnutls_certificate_credentials_t credentials;
	unsigned char *in;
	size_t pos, len, room;
	long flight;
	bool answered;
	bool gone;
	int last_code;
	char *said;            /* the lines of the last AUTH */
	bool bulk;                /* message bytes: do not wait for more */
};

void peer_put(struct peer *p, const char *data, size_t n);
void peer_reply(struct peer *p, const char *text);
/* More bytes than before are in p->in; false: the client went away. */
bool peer_fill(struct peer *p);
/* The next line without its end, NUL-terminated, which the caller frees;
 * NULL: the client went away. */
char *peer_line(struct peer *p, size_t *n);
/* Whether the client has sent more than was read, looking for ms. */
bool peer_pending(struct peer *p, int ms);
bool peer_handshake(struct peer *p);
void peer_close(struct peer *p, bool bye);
void peer_reset(struct peer *p);
void peer_wait_gone(struct peer *p);
void audit(struct peer *p, const char *what, const char *detail);

/* --- session.c --- */

/* The whole dialogue of one connection. messages is the path prefix of the
 * files that hold received messages. */
void session_run(struct peer *p, const char *messages);
/* Runs the rules for an event. True when one was found and it did not ask
 * for the default. */
bool session_rule(struct peer *p, const char *event, const char *text);

/* --- content.c: message bytes --- */

struct content {
	FILE *file;
	long size;
	bool cr;              /* the byte before was a CR */
	int dots;             /* state of a line's beginning */
	bool cut;             /* a rule ended it */
};

/* Reads up to the final dot; false: the client went away or a rule cut it. */
bool content_dot(struct peer *p, FILE *to, long *size);
/* Reads one BDAT chunk. */
bool content_chunk(struct peer *p, long n, FILE *to, long *size);

/* --- auth.c --- */

/* AUTH with its argument; true: the client is authenticated. */
bool auth_run(struct peer *p, const char *argument);

/* --- socks.c --- */

/* The proxy's part of a connection; false: it comes to nothing. */
bool socks_run(struct peer *p);

/* --- certs.c --- */

/* Writes the certificates of the README into a directory. */
bool certs_make(const char *directory);

#endif
