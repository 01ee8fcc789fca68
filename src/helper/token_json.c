/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What issuers say, in JSON (RFC 8259), by people one need not trust. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/outcome.h"
#include "base/scan.h"
#include "helper/token_parts.h"

json_t *body_json(const struct http *h)
{
	json_error_t ignored;
	json_t *root = json_loadb(buf_text(&h->body), h->body.len,
				  JSON_REJECT_DUPLICATES, &ignored);

	if (root && !json_is_object(root)) {
		json_decref(root);
		root = NULL;
	}
	return root;
}

const char *json_text(const json_t *object, const char *name, bool spaces,
		      size_t most)
{
	const json_t *member = json_object_get(object, name);
	const char *text = json_string_value(member), *p;

	if (!text || !*text || json_string_length(member) > most ||
	    json_string_length(member) != strlen(text))
		return NULL;
	for (p = text; *p; p++)
		if (*p < ' ' || *p > '~' || (*p == ' ' && !spaces))
			return NULL;
	return text;
}

void json_refusal(const json_t *object, char out[JSON_REFUSAL_SIZE])
{
	const char *error = json_text(object, "error", true, 100);
	const char *p = json_string_value(json_object_get(object,
		"error_description"));
	char line[JSON_REFUSAL_SIZE + 8];
	size_t n;

	n = (size_t)snprintf(line, sizeof(line), "%s", error ? error : "");
	if (p && *p && n)
		n += (size_t)snprintf(line + n, sizeof(line) - n, ": ");
	for (; p && *p && n < sizeof(line); p++)
		if ((unsigned char)*p > ' ')
			line[n++] = *p;
		else if (n && line[n - 1] != ' ')
			line[n++] = ' ';
	n -= n && line[n - 1] == ' ';
	text_printable(out, JSON_REFUSAL_SIZE, line, n);
}

int64_t json_number(const json_t *object, const char *name, int64_t most)
{
	const json_t *member = json_object_get(object, name);
	const char *text = json_string_value(member);
	struct scan digits = scan_text(text ? text : "");
	int64_t value = 0;
	double real;

	if (json_is_integer(member))
		value = json_integer_value(member);
	else if (json_is_real(member)) {
		real = json_real_value(member);
		value = real > 0 && real <= (double)most ? (int64_t)real : 0;
	} else if (!text || !scan_number(&digits, most, &value)) {
		return 0;
	}
	return value < 0 ? 0 : value > most ? most : value;
}

bool json_lists(const json_t *object, const char *name, const char *word,
		bool otherwise)
{
	const json_t *list = json_object_get(object, name);
	const char *text;
	size_t i;

	if (!json_is_array(list))
		return otherwise;
	for (i = 0; i < json_array_size(list); i++) {
		text = json_string_value(json_array_get(list, i));
		if (text && !strcmp(text, word))
			return true;
	}
	return false;
}
