/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The configuration: facts read from one INI file. Everything known about a
 * key (where it belongs, how it is read, its default, its help) is one row
 * of the table in keys.c.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/endpoint.h"
#include "base/list.h"
#include "base/log.h"
#include "base/outcome.h"
#include "config/kinds.h"
#include "mail/words.h"

enum queue_mode { QUEUE_UNSET, QUEUE_ON_FAILURE, QUEUE_ALWAYS, QUEUE_NEVER };
enum dnssec { DNSSEC_AUTO, DNSSEC_TRUST, DNSSEC_OFF };
enum log_format { LOG_TEXT, LOG_JSON };
enum tls_minimum { TLS_1_2, TLS_1_3 };
/* How a login is had: by device authorization (RFC 8628) where the issuer
 * offers it, else by a code (RFC 6749 4.1); by that one alone; or without a
 * person (RFC 6749 4.4). */
enum oauth_grant { GRANT_AUTO, GRANT_DEVICE, GRANT_CODE, GRANT_CLIENT };

/* Whether nothing is waited for where a server was seen to offer that. */
enum early_pipelining { EARLY_AUTO, EARLY_OFF };

struct account {
	char *name;
	unsigned line;            /* where its section begins */
	struct list user;
	struct list match_from;
	char *from;               /* address with domain, a pattern (see
				   * identity_expand); NULL: not set */
	char *full_name;          /* a pattern */
	bool force_from;
	int from_header;          /* enum from_header */
	bool sender_from_header;
	bool undisclosed_recipients;
	char *domain;             /* NULL: the general one */
	unsigned notify;
	int dsn_return;           /* enum dsn_return */
	struct list bcc;          /* addresses */
	char *redirect;           /* address; NULL: not set */
};

struct domain {
	char *name;               /* A-labels */
	unsigned line;
	struct list dkim_selector;
	struct list dkim_key;     /* files */
};

struct route {
	char *name;
	unsigned line;
	char *account;            /* NULL: any */
	char *domain;             /* A-labels; NULL: any */
	struct list from_domain;  /* A-labels, a leading dot kept; "." */
	struct list to_domain;
	int64_t minimum_attempts;
	struct list transport;    /* empty, or names; "direct" is built in */
	const struct transport **way; /* what they name, in order, then NULL;
				   * where empty, direct alone */
};

struct transport {
	char *name;
	unsigned line;
	int kind;                 /* enum kind */
	struct list host;         /* names, addresses, or socket paths */
	int64_t port;             /* 0: the kind's own, see transport_port */
	bool srv;
	char *username;
	char *password;
	char *password_file;
	char *password_command;
	char *password_credential;
	char *token_command;
	char *oauth;              /* "microsoft", "google", or an issuer's URL;
				   * NULL: no login */
	char *oauth_client_id;
	char *oauth_client_secret_file;
	struct list oauth_scope;
	int oauth_grant;          /* enum oauth_grant */
	struct list mechanisms;   /* upper case; empty: our own list */
	struct list without;      /* extensions not used; see extension_name */
	int early_pipelining;     /* enum early_pipelining */
	bool starttls_insecure_skip_verify;
	bool no_starttls;
	char *ca_file;
	struct list fingerprint;  /* SHA-256 of the SPKI, 64 lower-case hex */
	char *certificate;
	char *key;
	char *tls_name;
	struct endpoint proxy;
	int proxy_dns;            /* -1 unset, 0, 1; see transport_proxy_dns */
	char *proxy_username;
	char *proxy_password;
	struct endpoint address;  /* socks: the proxy */
	struct list remote_ips;
	char *remote_hostname;
	char *source_address;
	int ip_family;            /* enum family */
	char *hostname;           /* EHLO; NULL: the general one */
	char *path;               /* maildir */
	char *command;            /* command: for /bin/sh */
	struct list rate;         /* each as rate_parse reads it, a unit once */
	int64_t code;             /* fail */
	char *message;            /* fail */
};

struct config_error {
	char *file;
	unsigned line;            /* 0: the file as a whole */
	char *message;
};

struct config {
	char *path;               /* the file read, or POSTHASTE_URL; NULL:
				   * none, all defaults */
	char *looked;             /* where a file was looked for, in words */
	bool user_file;           /* a user's own file: own queue */
	bool named_file;          /* -C with neither that nor the system's: a
				   * queue only where it names one */
	const char *system_file;  /* SYSCONFDIR/posthaste.conf, of whom asked */
	char *secrets;            /* the directory of password files that no
				   * key names; NULL: none */
	bool url_ignored;         /* POSTHASTE_URL is set and not used: root
				   * becomes the queue's owner here */

	struct {
		char *hostname;
		bool nameless;        /* this host's name is not one:
				       * hostname is but a word for it */
		char *domain;
		struct list local_names; /* domains that this host is */
		char *aliases;        /* NULL: none */
		bool aliases_named;   /* named in the file: must exist */
		char *default_recipient;
		int64_t max_message_size;
		bool dot_ends_message;
		int64_t timeout;          /* ms, as all durations */
		int64_t connect_timeout;
		char *cache;
	} general;
	struct {
		char *to;
		int format;           /* enum log_format */
		int level;            /* enum log_level */
	} log;
	struct {
		int queue;            /* enum queue_mode */
		char *directory;      /* NULL: there is no queue */
		struct list schedule; /* as written; see step */
		int64_t *step;        /* ms, steps of them, at least one */
		size_t steps;
		int64_t lifetime;
		int64_t delay_report_after;
		int64_t concurrency;
		int64_t connections;
		char *postmaster;
		char *on_failure;     /* NULL: none */
		int64_t alarm_after;  /* 0: never */
	} queue;
	struct {
		struct list resolver; /* address or address:port */
		int dnssec;           /* enum dnssec */
		bool allow_loopback_mx;
	} dns;
	struct {
		char *ca_file;
		char *crl_file;
		int minimum;          /* enum tls_minimum */
		char *priorities;
		bool mta_sts;
		bool dane;
		int64_t mta_sts_port;
	} tls;

	struct account *account;
	size_t accounts;
	struct domain *domain;
	size_t domains;
	struct route *route;
	size_t routes;
	struct transport *transport;
	size_t transports;

	struct config_error *error;
	size_t errors;
	struct config_error *warning; /* valid, and hardly meant */
	size_t warnings;
	struct settings *set;     /* what was set where, see config_line */
};

/* What the loader must know of the world around it. */
struct config_place {
	const char *file;         /* -C: must be readable; NULL: search */
	const char *system_file;  /* SYSCONFDIR/posthaste.conf */
	const char *queue_directory; /* the compiled-in default */
	/* whether a TLS priority string is one; NULL: not checked */
	bool (*priorities_valid)(const char *priorities, struct outcome *why);
	/* the full name of this host that has this short one, freed by the
	 * caller; NULL: none, or nobody is asked */
	char *(*canonical_name)(const char *name);
	const char *mailname;     /* /etc/mailname; NULL: none */
};

/* Reads the configuration; where there is no file, what POSTHASTE_URL says or
 * else the defaults.
 * False (EX_CONFIG) where the file is named but missing, unreadable, or has
 * any fault: *why tells the first, config->error all of them. config is
 * filled as far as possible in either case; config_release frees it and
 * wipes its secrets. */
bool config_load(const struct config_place *place, struct config *config,
		 struct outcome *why) MUST_CHECK;
void config_release(struct config *config);
/* The line that sets a key of section i of that sort ("transport", or
 * "general" and i = 0); 0: it is not set. */
unsigned config_line(const struct config *c, const char *section,
		     const char *key, size_t i);
/* Whether what sets it was found faulty, which has been said. */
bool config_faulty(const struct config *c, const char *section,
		   const char *key, size_t i);
/* Whether the file sets anything at all. */
bool config_sets_anything(const struct config *c);
/* Adds a fault, or a warning, found by somebody who knows more than this
 * room does; line 0: of the file as a whole. */
void config_fault(struct config *c, unsigned line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void config_warn(struct config *c, unsigned line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* "FILE:LINE: what is wrong", or without the line where there is none. */
void config_fault_words(const struct config_error *e, char *out, size_t size);
/* *copy is c, of which it borrows everything but both lists: it has its own, to
 * be released by config_release_faults alone. */
void config_copy_faults(const struct config *c, struct config *copy);
/* Frees both lists; config_release does too. */
void config_release_faults(struct config *c);
/* The same about a line of another file. */
void config_fault_in(struct config *c, const char *file, unsigned line,
		     const char *words);
void config_warn_in(struct config *c, const char *file, unsigned line,
		    const char *words);
/* Both in the order of the lines. */
void config_sort_faults(struct config *c);

/* from and full_name of an account are patterns: "%u" is the login, "%h" the
 * host's first label, "%H" its name, "%%" a percent sign. The caller frees. */
char *identity_expand(const char *pattern, const char *login,
		      const char *hostname);

/* NULL where there is none; "direct" is a transport without a section. */
const struct account *config_account(const struct config *c, const char *name);
const struct domain *config_domain(const struct config *c, const char *name);
const struct transport *config_transport(const struct config *c,
					 const char *name);
/* The built-in direct transport: kind direct and every default. */
const struct transport *config_direct(void);
/* And alone, as where no route matches. */
const struct transport *const *config_direct_way(void);

/* The file that a transport's password is in where no key says anything of
 * how to log in; the caller frees. NULL: there is no such place, or the
 * transport's name cannot be a file's. */
char *config_password_file(const struct config *c, const char *transport);

/* The port in effect; 0: it has none. */
unsigned transport_port(const struct transport *t);
/* Whether the recipient's domain says where it goes (direct, socks). */
bool transport_is_direct(const struct transport *t);
/* The SOCKS5 proxy; NULL: none. */
const struct endpoint *transport_proxy(const struct transport *t);
bool transport_proxy_dns(const struct transport *t);

/* The configuration as in effect, secrets masked: INI text that reads back
 * to the same, or the JSON of --check (settings, errors, warnings). */
void config_print(const struct config *c, struct buf *out);
void config_print_json(const struct config *c, struct buf *out);

/* What a rate counts in. */
enum rate_unit { RATE_SECOND, RATE_MINUTE, RATE_HOUR, RATE_DAY, RATE_UNITS };
/* "14/s", "100/m", "20/h", "2000/d". False: not of that form. */
bool rate_parse(const char *text, enum rate_unit *unit, int64_t *most)
	MUST_CHECK;
/* All of a transport's; 0: none of that unit. False: it has none at all. */
bool transport_rates(const struct transport *t, int64_t most[RATE_UNITS]);

/* "1h30m" -> milliseconds; "25M" -> bytes. False: not of that form. */
bool duration_parse(const char *text, int64_t *ms) MUST_CHECK;
bool size_parse(const char *text, int64_t *bytes) MUST_CHECK;

#endif
