/* SPDX-License-Identifier: GPL-3.0-or-later */
/* --configure: from an address to a configuration for its provider. */
#include "desk/configure.h"

#include <stdlib.h>
#include <string.h>

#include "desk/desk.h"

#define DIRECTORY "~/.config"

enum { OUTPUT_MAX = 256 * 1024 };

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

/* A value in which % begins a word of the configuration's. */
static char *literally(const char *s)
{
	struct buf out = BUF(64 * 1024);

	for (; *s; s++) {
		if (*s == '%')
			buf_addc(&out, '%');
		buf_addc(&out, *s);
	}
	return buf_take(&out);
}

const char *configure_name(const struct finding *f)
{
	return f->provider ? f->provider->name : "provider";
}

static void add_title(const struct finding *f, struct buf *out)
{
	const struct provider *p = f->provider;

	buf_addf(out, "# posthaste.conf for %s", f->address);
	if (p)
		buf_addf(out, " (%s)", p->title);
	buf_addf(out, "\n# %s.\n", f->how);
	if (f->foreign)
		buf_adds(out, "# That server is not below the address's own "
			 "domain, and DNS alone says so:\n"
			 "# make sure that it is your provider's before you "
			 "give it a password.\n");
	if (p && p->from)
		buf_addf(out, "# From has to be %s.\n", p->from);
	if (p && p->size)
		buf_addf(out, "# Messages of up to %lld MB.\n",
			 (long long)(p->size / (1024 * 1024)));
	if (p && p->rate)
		buf_addf(out, "# At most %s.\n", p->rate);
	if (p && p->more)
		buf_addf(out, "# %s\n", p->more);
}

static bool logs_in(const struct finding *f, const struct configuring *how)
{
	return f->issuer && (how->login || f->token);
}

static void add_steps(const struct finding *f, const struct configuring *how,
		      struct buf *out)
{
	const struct provider *p = f->provider;
	const char *name = configure_name(f);

	buf_adds(out, "#\n# Save this as " DIRECTORY "/posthaste.conf "
		 "(mkdir -p " DIRECTORY ").\n");
	if (p && p->secret)
		buf_addf(out, "# What it needs is %s\n", p->secret);
	if (logs_in(f, how))
		buf_addf(out, "# Then log in:\n"
			 "#     posthaste --login %s\n", name);
	else if (f->token)
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
		 "#     posthaste --probe %s\n", name);
}

static void add_secret(const struct finding *f, const struct configuring *how,
		       struct buf *out)
{
	char *word = shell_word(f->address);

	if (logs_in(f, how))
		buf_addf(out, "oauth = %s\n", f->issuer);
	if (logs_in(f, how) && how->client)
		buf_addf(out, "oauth_client_id = %s\n", how->client);
	if (logs_in(f, how) && how->client && !strcmp(f->issuer, "google"))
		buf_addf(out, "oauth_client_secret_file = %s/%s.client\n",
			 how->secrets ? how->secrets : DIRECTORY "/posthaste",
			 configure_name(f));
	if (logs_in(f, how) && !how->done)
		buf_addf(out, "; token_command = oama access %s\n", word);
	else if (f->token && !logs_in(f, how))
		buf_addf(out, "token_command = oama access %s\n", word);
	else if (!logs_in(f, how))
		buf_addf(out, "password_file = %s/%s.password\n",
			 how->secrets ? how->secrets : DIRECTORY "/posthaste",
			 configure_name(f));
	if (!logs_in(f, how) && !f->token && !how->done)
		buf_addf(out, "; password_command = pass show mail/%s\n",
			 word);
	free(word);
}

void configure_text(const struct finding *f, const struct configuring *how,
		    struct buf *out)
{
	const char *name = configure_name(f);
	char *user = how->username ? mem_string(how->username) :
		     provider_username(f->provider, f->address);
	char *from = literally(f->address);

	add_title(f, out);
	if (!how->done)
		add_steps(f, how, out);
	buf_addf(out, "\n# Mail for root and other local users, as cron sends "
		 "it, comes to you.\n[general]\ndefault_recipient = %s\n\n",
		 f->address);
	if (how->queued)
		buf_adds(out, "# Nobody but the queue's owner can read the "
			 "password: he sends.\n[queue]\nqueue = always\n\n");
	buf_addf(out, "[account default]\nfrom = %s\n\n", from);
	buf_addf(out, "[route all]\ntransport = %s\n\n", name);
	buf_addf(out, "[transport %s]\nkind = %s\nhost = %s\nport = %u\n",
		 name, kind_name(f->kind), f->host, f->port);
	if (f->provider && f->provider->rate_key)
		buf_addf(out, "# What is beyond that would wait here.\n"
			 "; rate = %s\n", f->provider->rate_key);
	if (f->provider && f->provider->mechanisms)
		buf_addf(out, "# It takes %s.\n", f->provider->mechanisms);
	if (f->provider && f->provider->username && !how->username)
		buf_addf(out, "# The login name: %s.\n",
			 f->provider->username);
	buf_addf(out, "username = %s\n", user);
	add_secret(f, how, out);
	free(from);
	free(user);
}

int desk_configure(const struct desk *d)
{
	const struct configuring how = { 0 };
	struct buf out = BUF(OUTPUT_MAX);
	struct finding f = { 0 };
	struct outcome why;
	char *address;
	int status;

	if (discover_address("--configure", d->options->argument, &address,
			     &why) && discover(d, address, false, &f, &why)) {
		configure_text(&f, &how, &out);
		status = desk_report(&out);
	} else {
		status = desk_fail(d, &why);
	}
	buf_release(&out);
	finding_release(&f);
	free(address);
	return status;
}
