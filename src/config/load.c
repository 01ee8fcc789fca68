/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where the file is, and what happens with it in which order. */
#include "config/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/user.h"

enum { FILE_MAX = 64 << 20 };

/* $VARIABLE/name or ~/fallback/name; NULL without a home. */
static char *user_place(const char *variable, const char *fallback,
			const char *name)
{
	const char *base = getenv(variable);
	struct outcome ignored;
	char *home, *place = NULL;

	/* a relative path there is to be ignored, says the XDG standard */
	if (base && base[0] == '/')
		return mem_printf("%s/%s", base, name);
	if (user_home(&home, &ignored) && home)
		place = mem_printf("%s/%s/%s", home, fallback, name);
	free(home);
	return place;
}

/* A link that leads nowhere is a file, which cannot be read. */
static bool is_absent(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

static bool is_same_file(const char *a, const char *b)
{
	struct stat x, y;

	return a && b && !stat(a, &x) && !stat(b, &y) &&
	       x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool find_config(const struct config_place *place, struct config *c)
{
	char *own = user_place("XDG_CONFIG_HOME", ".config",
			       "posthaste.conf");
	struct stat st;

	if (place->file) {
		c->path = mem_string(place->file);
		c->named_file = !is_same_file(c->path, place->system_file);
		c->user_file = c->named_file && is_same_file(c->path, own);
		c->named_file = c->named_file && !c->user_file;
		free(own);
		return true;
	}
	c->looked = mem_printf("%s%s%s", own ? own : "",
			       own && place->system_file ? ", " : "",
			       place->system_file ? place->system_file : "");
	/* HOME may be another user's (under sudo, say), who lets nobody in:
	 * there is no file for us there */
	if (own && !is_absent(own) && (!stat(own, &st) || errno != EACCES)) {
		c->path = own;
		c->user_file = true;
		return true;
	}
	free(own);
	if (!place->system_file || is_absent(place->system_file))
		return false;
	c->path = mem_string(place->system_file);
	return true;
}

/* --- loading --- */

static void apply_fallbacks(struct config *c)
{
	const struct config_key *key;
	struct outcome why;
	size_t i;

	for (i = 0; (key = key_at(i)); i++)
		if (key->section < SECTION_ACCOUNT && key->fallback[0] &&
		    !key->only_shown && key->type->store != STORE_LIST &&
		    !value_read(key, key->fallback, (char *)c + key->offset,
				&why))
			config_fault(c, 0, "%s: %s", key->key, why.text);
}

/* An empty one is as if it were not there: what starts containers makes
 * such. */
static const char *said_by(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* What the environment says where there is no file; whether it does. */
static bool read_environment(const struct config_place *place,
			     struct config *c)
{
	const char *url = said_by("POSTHASTE_URL");
	struct buf text = BUF(64 * 1024);
	struct outcome why;
	struct stat st;

	if (!url)
		return false;
	c->url_ignored = place->queue_directory &&
			 user_is_to_become_owner(place->queue_directory, &st);
	if (c->url_ignored)
		return false;
	c->path = mem_string("POSTHASTE_URL");
	c->named_file = true;
	if (config_of_url(url, said_by("POSTHASTE_PASSWORD_FILE"),
			  said_by("POSTHASTE_FROM"), &text, &why))
		config_read(c, text.data, text.len);
	else
		config_fault(c, 0, "%s", why.text);
	buf_release(&text);
	return true;
}

static void place_own(struct config *c)
{
	if (!c->user_file && (!c->named_file || c->queue.directory))
		return;
	if (!c->queue.directory && c->user_file)
		c->queue.directory = user_place("XDG_STATE_HOME",
						".local/state",
						"posthaste/queue");
	if (!c->general.cache)
		c->general.cache = user_place("XDG_CACHE_HOME", ".cache",
					      "posthaste");
}

/* A user's passwords are with his configuration, the system's beside its own;
 * root speaks for the system with whatever file he names. */
static void place_secrets(const struct config_place *place, struct config *c)
{
	const char *slash = place->system_file ?
			    strrchr(place->system_file, '/') : NULL;

	if (c->user_file || (c->named_file && geteuid()))
		c->secrets = user_place("XDG_CONFIG_HOME", ".config",
					"posthaste");
	else if (slash)
		c->secrets = mem_printf("%.*s/posthaste",
					(int)(slash - place->system_file),
					place->system_file);
}

bool config_load(const struct config_place *place, struct config *config,
		 struct outcome *why)
{
	struct buf text = BUF_SECRET(FILE_MAX);
	char words[sizeof(why->text)], *home;
	struct file_facts facts = { 0 };
	bool in_environment = false;
	struct outcome fault;
	size_t i;

	*config = (struct config){ .set = mem_alloc(sizeof(*config->set)),
				   .system_file = place->system_file };
	/* whose file it is may depend on it: no answer is not "no home" */
	if (!user_home(&home, why))
		return false;
	free(home);
	apply_fallbacks(config);
	/* what is in the file is obeyed, commands too: it has to be root's or
	 * the caller's, and nobody else's to write */
	if (!find_config(place, config)) {
		in_environment = read_environment(place, config);
	} else if (file_read(config->path, FILE_TRUSTED, &text, &facts,
			     &fault)) {
		config_read(config, text.data, text.len);
	} else if (fault.exit == EX_CONFIG) {
		/* a fault names its file by itself */
		config_fault(config, 0, "%s",
			     file_reason(&fault, config->path));
	} else {
		buf_release(&text);
		*why = fault;
		return false;
	}
	place_own(config);
	if (!in_environment)
		place_secrets(place, config);
	config_defaults(config, place);
	/* only a TLS library knows, and there is none in this room */
	if (config->tls.priorities && place->priorities_valid &&
	    !place->priorities_valid(config->tls.priorities, &fault))
		config_fault(config, config_line(config, "tls", "priorities",
						 0),
			     "priorities: %s", fault.text);
	config_check(config, facts.mode);
	buf_release(&text);
	/* its lines are of a text that nobody has seen */
	if (in_environment) {
		for (i = 0; i < config->errors; i++)
			config->error[i].line = 0;
		for (i = 0; i < config->warnings; i++)
			config->warning[i].line = 0;
	}
	config_sort_faults(config);
	if (!config->errors)
		return true;
	config_fault_words(config->error, words, sizeof(words));
	return outcome_fail(why, STAGE_LOCAL, EX_CONFIG, "%s", words);
}
