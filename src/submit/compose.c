/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/compose.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/user.h"
#include "mail/address.h"
#include "mail/complete.h"
#include "mail/recipients.h"
#include "policy/policy.h"

/* --- who calls --- */

enum { GECOS_MAX = 1024 * 1024 };

/* GECOS up to the first comma, "&" being the login name, capitalised. */
static char *gecos_name(const char *gecos, const char *login)
{
	struct buf b = BUF(GECOS_MAX);

	for (; *gecos && *gecos != ','; gecos++) {
		if (*gecos != '&') {
			buf_addc(&b, *gecos);
			continue;
		}
		if (*login >= 'a' && *login <= 'z')
			buf_addc(&b, (char)(*login - ('a' - 'A')));
		else if (*login)
			buf_addc(&b, *login);
		if (*login)
			buf_adds(&b, login + 1);
	}
	if (!b.len) {
		buf_release(&b);
		return NULL;
	}
	return buf_take(&b);
}

/* While the database gives no answer, login stays NULL, and is asked for
 * again by the next message. */
static void look_up(struct caller *c)
{
	struct user user;

	if (c->login)
		return;
	c->unknown = (struct outcome){ 0 };
	if (!user_find(c->uid, &user, &c->unknown))
		return;
	if (user.name) {
		c->login = mem_string(user.name);
		if (user.gecos)
			c->gecos = gecos_name(user.gecos, c->login);
	} else {
		c->login = mem_printf("%lu", (unsigned long)c->uid);
	}
	user_release(&user);
}

const char *caller_login(struct caller *c)
{
	look_up(c);
	return c->login ? c->login : "";
}

const char *caller_full_name(struct caller *c)
{
	if (c->name && *c->name)
		return c->name;
	look_up(c);
	return c->gecos;
}

static bool caller_is_known(const struct caller *c, struct outcome *why)
{
	if (c->unknown.exit == EX_OK)
		return true;
	*why = c->unknown;
	return false;
}

void caller_release(struct caller *c)
{
	free(c->login);
	free(c->gecos);
	*c = (struct caller){0};
}

/* --- account and sender --- */

static const char *domain_for(const struct config *config,
			      const struct account *a)
{
	return a && a->domain ? a->domain : config->general.domain;
}

/* An address of ours with a domain; takes it over. */
static char *qualified(char *address, const char *domain)
{
	char *whole = address_qualify(address, domain);

	free(address);
	return whole;
}

/* The login name as an address: quoted where it must be. */
static char *login_address(const char *login, const char *domain)
{
	struct outcome ignored;
	char *address, *quoted;
	struct buf b = BUF(2 * strlen(login) + 2);
	bool is_whole;

	quoted_add(&b, login, strlen(login));
	quoted = buf_take(&b);
	/* a local part with an "@" would read as qualified, were it bare */
	if (!address_one(quoted, &address, &is_whole, &ignored) || !*address) {
		free(address);
		address = mem_string("nobody");
	}
	free(quoted);
	return qualified(address, domain);
}

static char *expanded(const struct config *config, const char *pattern,
		      struct caller *caller)
{
	if (!strchr(pattern, '%'))
		return mem_string(pattern);
	return identity_expand(pattern, strstr(pattern, "%u") ?
			       caller_login(caller) : "",
			       config->general.hostname);
}

/* The account's address for this caller, with a domain; NULL: it has none. */
static char *account_from(const struct config *config, const struct account *a,
			  struct caller *caller)
{
	struct outcome ignored;
	char *text, *address, *at;
	bool is_qualified;

	if (!a || !a->from)
		return NULL;
	text = expanded(config, a->from, caller);
	if (address_one(text, &address, &is_qualified, &ignored) && *address) {
		free(text);
		return qualified(address, domain_for(config, a));
	}
	/* a login that needs quotes */
	free(address);
	at = strrchr(text, '@');
	if (at)
		*at = '\0';
	address = login_address(text, at ? at + 1 : domain_for(config, a));
	free(text);
	return address;
}

static bool account_choose(const struct config *config,
			   const struct request *request, const char *given,
			   const struct account **account, struct outcome *why)
{
	const char *domain = config->general.domain, *login = "";
	char *sender;
	size_t i;

	if (request->account) {
		*account = config_account(config, request->account);
		return *account ||
		       outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
				    "no account \"%s\" in the configuration",
				    request->account);
	}
	sender = given ? qualified(mem_string(given), domain) :
		 login_address(caller_login(request->caller), domain);
	/* the caller's name only if an account asks for it */
	for (i = 0; !*login && i < config->accounts; i++)
		if (config->account[i].user.n)
			login = caller_login(request->caller);
	*account = policy_account(config, login, sender);
	free(sender);
	return caller_is_known(request->caller, why);
}

bool compose_sender(const struct config *config, const struct request *request,
		    struct message *m, const struct account **account,
		    char **sender, struct outcome *why)
{
	const struct account *a;
	const char *domain;
	char *given = NULL;
	bool is_qualified;

	*account = NULL;
	*sender = NULL;
	if (request->sender &&
	    !address_one(request->sender, &given, &is_qualified, why)) {
		why->exit = EX_USAGE;
		outcome_prefix(why, "sender");
		return false;
	}
	if (!account_choose(config, request, given, account, why)) {
		free(given);
		return false;
	}
	a = *account;
	domain = domain_for(config, a);
	if (given && !(a && a->force_from)) {
		*sender = qualified(given, domain);
		return true;
	}
	free(given);
	if (a && a->from)
		*sender = account_from(config, a, request->caller);
	else if (m && (request->sender_from_header ||
		       (a && a->sender_from_header)))
		*sender = message_from(m);   /* its first mailbox */
	if (*sender && !**sender) {
		free(*sender);
		*sender = NULL;
	}
	*sender = *sender ? qualified(*sender, domain) :
		  login_address(caller_login(request->caller), domain);
	return caller_is_known(request->caller, why);
}

/* --- the whole --- */

/* The name in a From field of ours; NULL also where none will be made. The
 * caller frees. */
static char *full_name(const struct config *config,
		       const struct request *request, const struct account *a,
		       struct message *m)
{
	if (request->full_name)
		return mem_string(request->full_name);
	if (a && a->full_name)
		return expanded(config, a->full_name, request->caller);
	if (message_facts(m)->from && !(a && a->from_header == FROM_REPLACE))
		return NULL;
	return mem_string(caller_full_name(request->caller));
}

static bool complete(const struct config *config,
		     const struct request *request, const struct account *a,
		     const struct envelope *e, const char *original_to,
		     struct message **m, struct outcome *why)
{
	const char *domain = domain_for(config, a);
	char *name = full_name(config, request, a, *m);
	char *own = account_from(config, a, request->caller);
	struct completion c = {
		.sender = e->sender,
		.full_name = name,
		.domain = domain,
		.id_domain = config->general.hostname,
		.from_header = a ? (enum from_header)a->from_header : FROM_ADD,
		/* replaced when it was accepted, perhaps with a name that -F
		 * gave */
		.keep_own = request->accepted,
		.undisclosed_recipients = a && a->undisclosed_recipients,
		.original_to = original_to,
	};
	char *from;
	bool ok;

	/* "replace" means the account's, whatever -f says */
	if (c.from_header == FROM_REPLACE && own)
		from = mem_string(own);
	else if (*e->sender)
		from = mem_string(e->sender);
	else if (own)
		from = mem_string(own);
	else
		from = login_address(caller_login(request->caller), domain);
	from = qualified(from, domain);
	c.from = from;
	ok = caller_is_known(request->caller, why) &&
	     message_complete(m, &c, why);
	free(from);
	free(own);
	free(name);
	return ok;
}

static void envelope_fill(struct envelope *e, const struct request *request,
			  const struct account *a,
			  const struct message_facts *facts)
{
	unsigned notify = request->notify ? request->notify :
			  a ? a->notify : 0;
	size_t i;

	for (i = 0; i < e->n; i++)
		if (!e->rcpt[i].notify)
			e->rcpt[i].notify = notify;
	e->account = a ? mem_string(a->name) : NULL;
	e->dsn_return = request->dsn_return ? request->dsn_return :
			a ? a->dsn_return : RETURN_UNSET;
	e->envid = request->envid ? xtext(request->envid) : NULL;
	e->eight_bit = facts->eight_bit || request->body == BODY_8BITMIME;
	e->seven_bit = request->body == BODY_7BIT;
	e->utf8 = envelope_is_utf8(e) || facts->utf8_address;
	e->require_tls = request->require_tls;
	e->tls_required_no = facts->tls_required_no && !request->require_tls;
}

bool compose_recipients(const struct config *config,
			const struct request *request, struct message *m,
			const struct account *a, struct envelope *e,
			char **original_to, struct outcome *why)
{
	const struct recipient_rules rules = {
		.domain = domain_for(config, a),
		.local_names = &config->general.local_names,
		.default_recipient = config->general.default_recipient,
		.aliases = config->general.aliases,
		.aliases_named = config->general.aliases_named,
		.wish = request->wish,
	};
	struct buf list = BUF((size_t)64 << 20);
	char *sender;
	size_t i;

	*original_to = NULL;
	if (!envelope_recipients(e, &rules, request->operand,
				 request->operands, request->from_header, m,
				 why))
		return false;
	if (a && a->redirect && e->n) {
		for (i = 0; i < e->n; i++)
			buf_addf(&list, "%s%s", i ? ",\r\n " : "",
				 e->rcpt[i].address);
		*original_to = buf_take(&list);
		sender = e->sender;
		e->sender = NULL;
		envelope_release(e);
		e->sender = sender;
		return envelope_add(e, a->redirect, why);
	}
	for (i = 0; a && !a->redirect && i < a->bcc.n; i++)
		if (!envelope_add(e, a->bcc.item[i], why))
			return false;
	return true;
}

bool compose(const struct config *config, const struct request *request,
	     struct message **m, struct envelope *e,
	     const struct account **account, struct outcome *why)
{
	const int64_t most = config->general.max_message_size;
	char *original_to = NULL;
	bool ok;

	if (!compose_sender(config, request, *m, account, &e->sender, why))
		return false;
	/* before completion, which removes Bcc */
	if (!request->accepted &&
	    !compose_recipients(config, request, *m, *account, e,
				&original_to, why)) {
		free(original_to);
		return false;
	}
	ok = complete(config, request, *account, e, original_to, m, why);
	free(original_to);
	if (!ok)
		return false;
	if (!request->accepted && most && message_size(*m) > most)
		return outcome_fail_status(why, STAGE_LOCAL, EX_DATAERR,
					   "5.3.4", "the message is larger "
					   "than %lld bytes", (long long)most);
	envelope_fill(e, request, *account, message_facts(*m));
	return true;
}
