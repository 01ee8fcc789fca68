/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "submit/sign.h"

#include <stdlib.h>
#include <time.h>

#include "base/buf.h"
#include "mail/address.h"
#include "mail/dkim.h"
#include "submit/secret.h"

enum { PREFIX_MAX = 256 * 1024 };

static const struct domain *signing_domain(const struct config *config,
					   struct message *message)
{
	const struct domain *d = NULL;
	char *from;

	if (config->domains) {
		from = message_from(message);
		d = config_domain(config, address_domain(from));
		free(from);
	}
	return d;
}

bool sign_is_denied(const struct config *config, struct message *message)
{
	const struct domain *d = signing_domain(config, message);
	bool denied = false;
	size_t i;

	for (i = 0; d && i < d->dkim_key.n && !denied; i++)
		denied = secret_file_is_denied(d->dkim_key.item[i]);
	return denied;
}

bool sign_message(const struct config *config, struct message *message,
		  char **prefix, struct outcome *why)
{
	struct buf out = BUF(PREFIX_MAX);
	const struct domain *d = signing_domain(config, message);
	struct dkim_signer signer = { .now = time(NULL) };
	struct dkim_key *key;
	bool found, ok = true;
	size_t i;

	*prefix = NULL;
	for (i = 0; ok && d && i < d->dkim_selector.n; i++) {
		signer.domain = d->name;
		signer.selector = d->dkim_selector.item[i];
		ok = dkim_is_signed(message, d->name, signer.selector, &found,
				    why);
		if (!ok || found)
			continue;
		ok = dkim_key_read(d->dkim_key.item[i], &key, why);
		if (!ok)
			break;
		signer.key = key;
		ok = dkim_sign(message, &signer, &out, why);
		dkim_key_free(key);
	}
	if (ok && out.len)
		*prefix = buf_take(&out);
	buf_release(&out);
	return ok;
}
