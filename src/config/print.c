/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/keys.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char mask[] = "********";

static const void *field_of(const struct config *c,
			    const struct config_key *key, size_t i)
{
	return (const char *)section_at(c, key->section, i) + key->offset;
}

/* Whether there is anything to say about a key: it is set, or has a value
 * without that, and its transport's kind knows it. */
static bool is_shown(const struct config *c, const struct config_key *key,
		     size_t i)
{
	const void *field = field_of(c, key, i);
	const struct config_key *aliases;

	if (key->section == SECTION_TRANSPORT &&
	    !key_fits(key, c->transport[i].kind))
		return false;
	/* a word for a name that this host does not have */
	if (key == key_named(SECTION_GENERAL, "hostname") &&
	    c->general.nameless)
		return false;
	switch (key->type->store) {
	case STORE_STRING:
	case STORE_SECRET:
		aliases = key_named(SECTION_GENERAL, "aliases");
		return *(char *const *)field || key == aliases;
	case STORE_LIST:
		return ((const struct list *)field)->n ||
		       (key->section == SECTION_ROUTE &&
			!strcmp(key->key, "transport")) ||
		       key == key_named(SECTION_GENERAL, "local_names");
	case STORE_CHOICE:
		return *(const int *)field >= 0 &&
		       key->words[*(const int *)field][0];
	case STORE_BITS:
		return *(const unsigned *)field != 0;
	case STORE_NUMBER:
		return *(const int64_t *)field >= key->least;
	case STORE_ENDPOINT:
		return ((const struct endpoint *)field)->host != NULL;
	default:
		return true;
	}
}

/* A PKCS#11 URI may hold a PIN (RFC 7512 2.4), and by mistake another. */
static void print_string(const char *text, struct buf *out)
{
	static const char attribute[] = "pin-value=";
	const bool uri = !strncasecmp(text, "pkcs11:", 7);
	const char *pin;

	while (uri && (pin = strstr(text, attribute))) {
		pin += strlen(attribute);
		buf_addf(out, "%.*s%s", (int)(pin - text), text, mask);
		text = pin + strcspn(pin, "&");
	}
	buf_adds(out, text);
}

static void print_value(const struct config_key *key, const void *field,
			struct buf *out)
{
	const struct list *l = field;
	size_t i;

	if (key->type->print) {
		key->type->print(field, out);
		return;
	}
	switch (key->type->store) {
	case STORE_STRING:
		print_string(*(char *const *)field ? *(char *const *)field
						   : "", out);
		break;
	case STORE_SECRET:
		buf_adds(out, mask);
		break;
	case STORE_LIST:
		for (i = 0; i < l->n; i++)
			buf_addf(out, "%s%s", i ? " " : "", l->item[i]);
		break;
	case STORE_BOOL:
		buf_adds(out, *(const bool *)field ? "yes" : "no");
		break;
	case STORE_CHOICE:
		buf_adds(out, key->words[*(const int *)field]);
		break;
	default:
		buf_addf(out, "%lld", (long long)*(const int64_t *)field);
	}
}

void config_print(const struct config *c, struct buf *out)
{
	enum section section;
	const struct config_key *key;
	size_t i, k;

	for (section = 0; section < SECTIONS; section++) {
		for (i = 0; i < section_count(c, section); i++) {
			if (section || i)
				buf_addc(out, '\n');
			buf_addf(out, "[%s", section_name(section));
			if (section >= SECTION_ACCOUNT)
				buf_addf(out, " %s",
					 *section_title(c, section, i));
			buf_adds(out, "]\n");
			for (k = 0; (key = key_at(k)); k++) {
				if (key->section != section ||
				    !is_shown(c, key, i))
					continue;
				buf_addf(out, "%s = ", key->key);
				print_value(key, field_of(c, key, i), out);
				buf_addc(out, '\n');
			}
		}
	}
}

static void print_json(const struct config_key *key, const void *field,
		       struct json *j)
{
	const struct list *l = field;
	struct buf text = BUF_SECRET(64 << 20);
	size_t i;

	if (key->type->store == STORE_LIST) {
		json_add_array(j, key->key);
		for (i = 0; i < l->n; i++)
			json_add_string(j, NULL, l->item[i]);
		json_end(j);
	} else if (key->type->store == STORE_BOOL) {
		json_add_bool(j, key->key, *(const bool *)field);
	} else if (key->type->store == STORE_NUMBER && !key->type->print) {
		json_add_int(j, key->key, *(const int64_t *)field);
	} else {
		print_value(key, field, &text);
		json_add_string(j, key->key, buf_text(&text));
	}
	buf_release(&text);
}

static void json_section(const struct config *c, enum section section,
			 size_t index, struct json *j)
{
	const struct config_key *key;
	char *title;
	size_t i;

	if (section < SECTION_ACCOUNT)
		title = mem_string(section_name(section));
	else
		title = mem_printf("%s %s", section_name(section),
				   *section_title(c, section, index));
	json_add_object(j, title);
	for (i = 0; (key = key_at(i)); i++)
		if (key->section == section && is_shown(c, key, index))
			print_json(key, field_of(c, key, index), j);
	json_end(j);
	free(title);
}

static void json_faults(const char *name, const struct config_error *list,
			size_t n, struct json *j)
{
	size_t i;

	json_add_array(j, name);
	for (i = 0; i < n; i++) {
		json_add_object(j, NULL);
		json_add_string(j, "file", list[i].file);
		json_add_int(j, "line", list[i].line);
		json_add_string(j, "message", list[i].message);
		json_end(j);
	}
	json_end(j);
}

void config_print_json(const struct config *c, struct buf *out)
{
	struct json j = JSON_INTO(out);
	enum section section;
	size_t i;

	json_add_object(&j, NULL);
	json_add_string(&j, "file", c->path);
	json_add_object(&j, "settings");
	for (section = 0; section < SECTIONS; section++)
		for (i = 0; i < section_count(c, section); i++)
			json_section(c, section, i, &j);
	json_end(&j);
	json_faults("errors", c->error, c->errors, &j);
	json_faults("warnings", c->warning, c->warnings, &j);
	json_end(&j);
}
