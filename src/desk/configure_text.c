/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "desk/configure.h"

#include <stdlib.h>
#include <string.h>

#define DIRECTORY "~/.config"

/* A word for /bin/sh: an address may hold any of its special characters. */
static char *shell_word(const char *s)
{
	struct buf out = BUF(64 * 1024);

	if (s[strspn(s, "abcdefghijklmnopqrstuvwxyz"
			"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@.+_-")] == '\0')
		return mem_string(s);
	buf_addc(&out, '\'');
	for (; *s; s++) {
		if (*s == '\'')
			buf_adds(&out, "'\\''");
		else
			buf_addc(&out, *s);
	}
	buf_addc(&out, '\'');
	return buf_take(&out);
}

static const char *name_of(const struct finding *f)
{
	return f->provider ? f->provider->name : "provider";
}

static void add_steps(const struct finding *f, struct buf *out)
{
	const struct provider *p = f->provider;
	const char *name = name_of(f);

	buf_adds(out, "#\n# Save this as " DIRECTORY "/posthaste.conf "
		 "(mkdir -p " DIRECTORY ").\n");
	if (p)
		buf_addf(out, "# What it needs is %s\n", p->secret);
	if (f->token)
		buf_adds(out, "# token_command may be any program that prints "
			 "a fresh token and asks nothing;\n# its first line "
			 "counts.\n");
	else
		buf_addf(out, "# Then store the password, where nobody else "
			 "can read it:\n"
			 "#     posthaste --store-password %s\n"
			 "# or have a password manager print it: "
			 "password_command.\n", name);
	buf_addf(out, "# Try it; no mail is sent:\n"
		 "#     posthaste --probe %s\n\n", name);
}

void configure_text(const struct finding *f, struct buf *out)
{
	const char *name = name_of(f);
	const struct provider *p = f->provider;
	char *word = shell_word(f->address);

	buf_addf(out, "# posthaste.conf for %s", f->address);
	if (p)
		buf_addf(out, " (%s)", p->title);
	buf_addf(out, "\n# %s.\n", f->how);
	if (f->foreign)
		buf_adds(out, "# That server is not below the address's own "
			 "domain, and DNS alone says so:\n"
			 "# make sure that it is your provider's before you "
			 "give it a password.\n");
	if (p && p->more)
		buf_addf(out, "# %s\n", p->more);
	add_steps(f, out);
	buf_addf(out, "# Mail for root and other local users, as cron sends "
		 "it, comes to you.\n[general]\ndefault_recipient = %s\n\n",
		 f->address);
	buf_addf(out, "[account default]\nfrom = %s\n\n", f->address);
	buf_addf(out, "[route all]\ntransport = %s\n\n", name);
	buf_addf(out, "[transport %s]\nkind = %s\nhost = %s\nport = %u\n",
		 name, kind_name(f->kind), f->host, f->port);
	if (f->provider && f->provider->username)
		buf_addf(out, "# The login name: %s.\n", f->provider->username);
	buf_addf(out, "username = %s\n", f->address);
	if (f->token)
		buf_addf(out, "token_command = oama access %s\n", word);
	else
		buf_addf(out, "password_file = " DIRECTORY
			 "/posthaste/%s.password\n"
			 "; password_command = pass show mail/%s\n",
			 name, word);
	free(word);
}
