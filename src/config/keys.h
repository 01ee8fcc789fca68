/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The table of keys, and the types of values. For the files of the
 * configuration alone. */
#ifndef CONFIG_KEYS_H
#define CONFIG_KEYS_H

#include "base/json.h"
#include "config/config.h"

enum section {
	SECTION_GENERAL,
	SECTION_LOG,
	SECTION_QUEUE,
	SECTION_DNS,
	SECTION_TLS,
	SECTION_ACCOUNT,    /* this one and those below have names */
	SECTION_DOMAIN,
	SECTION_ROUTE,
	SECTION_TRANSPORT,
	SECTIONS
};

enum store {                /* what lies at a key's offset */
	STORE_STRING,       /* char *, NULL: not set */
	STORE_SECRET,       /* the same; wiped, printed masked */
	STORE_LIST,         /* struct list */
	STORE_BOOL,         /* bool */
	STORE_CHOICE,       /* int */
	STORE_BITS,         /* unsigned */
	STORE_NUMBER,       /* int64_t */
	STORE_ENDPOINT      /* struct endpoint; no host: not set */
};

struct config_key;
/* One string, or one item of a list, in the form in which it is stored. */
typedef bool item_reader(const char *text, char **out, struct outcome *why);
/* Reads text into the field of any other store. */
typedef bool value_reader(const struct config_key *key, const char *text,
			  void *field, struct outcome *why);

struct value_type {
	enum store store;
	item_reader *item;   /* NULL: any text */
	value_reader *read;  /* in place of item */
	/* the value as written in the file; NULL: the store's own way */
	void (*print)(const void *field, struct buf *out);
	bool may_be_empty;
	bool free_text;    /* quotes may be meant */
};

struct config_key {
	enum section section;
	const char *key;
	const struct value_type *type;
	size_t offset;             /* in its section's struct, see below */
	const char *fallback;      /* the default; applied before the file
				    * is read in sections without a name,
				    * that of the others is zero, no, or in
				    * config_direct() */
	bool only_shown;           /* the fallback is for the manual alone */
	unsigned traits;           /* transport: a kind has to have one of
				    * them for the key; 0: any kind */
	const char *const *words;  /* STORE_CHOICE: by value, NULL ends */
	int64_t least, most;       /* STORE_NUMBER */
	bool zero_is_off;          /* it may be written off, no, never, too */
	const char *help;
};

/* Key i of the table, NULL after the last. Offsets of keys of sections
 * without a name count from struct config, those of others from struct
 * account, domain, route or transport. */
const struct config_key *key_at(size_t i);
const struct config_key *key_named(enum section section, const char *key);
/* Whether a transport of that kind has a use for the key. */
bool key_fits(const struct config_key *key, int kind);
const char *section_name(enum section section);
/* Section i of that sort (one of those without a name counts as one). */
void *section_at(const struct config *c, enum section section, size_t i);
/* Its name, a member of its struct; only of a section that has one. */
char **section_title(const struct config *c, enum section section, size_t i);
size_t section_count(const struct config *c, enum section section);

extern const struct value_type type_text, type_path, type_directory,
	type_secret, type_paths, type_bool, type_word,
	type_bits_notify, type_domain, type_domains, type_senders, type_address,
	type_locals, type_addresses, type_author, type_pattern,
	type_endpoint, type_resolvers, type_ip, type_ips, type_hosts,
	type_hexes, type_mechanisms, type_extensions, type_tristate,
	type_log, type_names, type_selectors, type_issuer, type_scopes;
/* quantities.c */
extern const struct value_type type_number, type_size, type_duration,
	type_durations, type_rates;

/* values.c: reads text into the key's field; lists are added to. False: the
 * field is as it was, and *why says what is wrong with the text, in words that
 * go on from the key's name. */
bool value_read(const struct config_key *key, const char *text, void *field,
		struct outcome *why) MUST_CHECK;
/* Says that the text is not what is wanted ("a number"); gives false. */
bool value_bad(struct outcome *why, const char *text, const char *wanted);

/* suggest.c: what may have been meant by an unknown key, word of a key, or
 * section; NULL: no idea. *elsewhere: the section that such a key belongs to,
 * SECTIONS if it is the one given. */
const char *suggest_key(enum section section, const char *word,
			enum section *elsewhere);
const char *suggest_word(const struct config_key *key, const char *word);
const char *suggest_section(const char *word);

/* url.c: the text of a configuration for such a URL; password_file and from
 * may be NULL. */
bool config_of_url(const char *url, const char *password_file,
		   const char *from, struct buf *text, struct outcome *why)
	MUST_CHECK;

/* What was set where, for the checks. */
struct setting {
	const struct config_key *key;
	size_t index;              /* of its section, among its sort */
	unsigned line;
	bool faulty;               /* and that was said */
	size_t before;             /* number of the one before it in the same
				    * section, from 1; 0: none */
};
/* The sections of a sort by their names: open addressing, at most half full. */
struct titles {
	size_t *at;                /* numbers from 1; 0: free */
	size_t room;               /* a power of two; 0: none was read */
};
/* Where the name stands among them, or would; not where room is 0. */
size_t *title_place(const struct config *c, enum section section,
		    const char *name);
struct settings {
	struct titles titles[SECTIONS];
	struct setting *item;
	size_t n;
	size_t *last[SECTIONS];    /* of each section of a sort, from 1 */
};
void config_set_faulty(struct config *c, const char *section,
		       const char *key, size_t i);

/* read.c: reads the text of a file into c, whose defaults are set. */
void config_read(struct config *c, const char *text, size_t n);

/* identity.c: hostname and domain where they are not set; the names of this
 * host where no others are; and from = "Name <address>" taken apart, the name
 * going where no other is set, the address that is no pattern getting the form
 * of all others. */
void identity_defaults(struct config *c, const struct config_place *place);
void identity_local_names(struct config *c);
void identity_take_apart(struct account *a);

/* check.c: defaults that depend on the host or on other keys, then what one
 * key alone cannot tell. mode: of the file, 0 for none. */
void config_defaults(struct config *c, const struct config_place *place);
void config_check(struct config *c, unsigned mode);

#endif
