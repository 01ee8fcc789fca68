/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "config/keys.h"

#include <string.h>

#define SECOND ((int64_t)1000)
#define DAY (86400 * SECOND)

static const char *const log_formats[] = { "text", "json", NULL };
static const char *const log_levels[] = { "error", "info", "debug", NULL };
static const char *const queue_modes[] = { "", "on_failure", "always",
					   "never", NULL };
static const char *const dnssec_words[] = { "auto", "trust", "off", NULL };
static const char *const tls_versions[] = { "1.2", "1.3", NULL };
static const char *const from_headers[] = { "add", "keep", "replace", NULL };
static const char *const families[] = { "any", "ipv4", "ipv6", "prefer_ipv4",
					"prefer_ipv6", NULL };
static const char *const no_yes[] = { "no", "yes", NULL };

#define GENERAL(name, kind, initial) \
	.section = SECTION_GENERAL, .key = #name, .type = &type_##kind, \
	.offset = offsetof(struct config, general.name), .fallback = initial
#define LOG(name, kind, initial) \
	.section = SECTION_LOG, .key = #name, .type = &type_##kind, \
	.offset = offsetof(struct config, log.name), .fallback = initial
#define QUEUE(name, kind, initial) \
	.section = SECTION_QUEUE, .key = #name, .type = &type_##kind, \
	.offset = offsetof(struct config, queue.name), .fallback = initial
#define DNS(name, kind, initial) \
	.section = SECTION_DNS, .key = #name, .type = &type_##kind, \
	.offset = offsetof(struct config, dns.name), .fallback = initial
#define TLS(name, kind, initial) \
	.section = SECTION_TLS, .key = #name, .type = &type_##kind, \
	.offset = offsetof(struct config, tls.name), .fallback = initial
#define ACCOUNT(name, kind, initial) \
	.section = SECTION_ACCOUNT, .key = #name, .type = &type_##kind, \
	.offset = offsetof(struct account, name), .fallback = initial
#define DOMAIN(name, kind, initial) \
	.section = SECTION_DOMAIN, .key = #name, .type = &type_##kind, \
	.offset = offsetof(struct domain, name), .fallback = initial
#define ROUTE(name, kind, initial) \
	.section = SECTION_ROUTE, .key = #name, .type = &type_##kind, \
	.offset = offsetof(struct route, name), .fallback = initial
#define TRANSPORT(name, kind, initial, which) \
	.section = SECTION_TRANSPORT, .key = #name, .type = &type_##kind, \
	.offset = offsetof(struct transport, name), .fallback = initial, \
	.traits = which

static const struct config_key table[] = {
	{ GENERAL(hostname, domain, ""),
	  .help = "name said in EHLO, and the name mail comes from; without "
		  "it this host's name" },
	{ GENERAL(domain, domain, ""),
	  .help = "what addresses without a domain get; without it the "
		  "first line of /etc/mailname, else hostname" },
	{ GENERAL(local_names, locals, ""),
	  .help = "domains that this host is: a recipient of theirs loses "
		  "the domain and is looked up in aliases; without it "
		  "localhost, localhost.localdomain, this host's name and "
		  "its first label, but none that is set as domain" },
	{ GENERAL(aliases, path, ""),
	  .help = "alias file for recipients without a domain, or with one "
		  "where it has such keys; without it "
		  "/etc/aliases if that exists, empty for none" },
	{ GENERAL(default_recipient, address, ""),
	  .help = "who gets mail for a recipient without a domain that is "
		  "no alias" },
	{ GENERAL(max_message_size, size, "0"),
	  .help = "largest message taken; 0 for no limit" },
	{ GENERAL(dot_ends_message, bool, "yes"),
	  .help = "whether a line with a single dot ends the message where "
		  "-i is absent" },
	{ GENERAL(timeout, duration, "10m"), .least = SECOND / 10, .most = DAY,
	  .help = "longest wait for a server; no deadline is above it" },
	{ GENERAL(connect_timeout, duration, "30s"), .least = SECOND / 10,
	  .most = DAY, .help = "longest wait for a connection" },
	{ GENERAL(cache, directory, ""),
	  .help = "directory for MTA-STS policies; without it mta-sts below "
		  "the queue, for a user's own file "
		  "$XDG_CACHE_HOME/posthaste" },

	{ LOG(to, log, "syslog"),
	  .help = "syslog, stderr, none or a file's path" },
	{ LOG(format, word, "text"), .words = log_formats,
	  .help = "text or json" },
	{ LOG(level, word, "info"), .words = log_levels,
	  .help = "least important event logged: error, info or debug" },

	{ QUEUE(queue, word, "on_failure"), .only_shown = true,
	  .words = queue_modes,
	  .help = "what is queued: on_failure what fails for now, always "
		  "everything, never nothing; without it on_failure where "
		  "the queue is usable and was run within the last week" },
	{ QUEUE(directory, directory, ""),
	  .help = "the queue; without it the system's, for a user's own "
		  "file $XDG_STATE_HOME/posthaste/queue" },
	{ QUEUE(schedule, durations, "7m30s 15m 30m 1h 2h 4h 8h"),
	  .most = 365 * DAY,
	  .help = "waits after the first attempt, the second, ...; the last "
		  "is repeated" },
	{ QUEUE(lifetime, duration, "5d"), .most = 3650 * DAY,
	  .help = "how long mail is tried" },
	{ QUEUE(delay_report_after, number, "5"), .most = 1000000,
	  .help = "attempts after which a delay is reported; 0 for never" },
	{ QUEUE(concurrency, number, "10"), .least = 1, .most = 1000,
	  .help = "destinations served at once" },
	{ QUEUE(connections, number, "4"), .least = 1, .most = 100,
	  .help = "connections at once to one destination" },
	{ QUEUE(postmaster, address, "postmaster"),
	  .help = "who gets the reports that have no sender to go to" },

	{ DNS(resolver, resolvers, ""),
	  .help = "addresses of resolvers, ADDRESS or ADDRESS:PORT; without "
		  "it the system's" },
	{ DNS(dnssec, word, "auto"), .words = dnssec_words,
	  .help = "whether the resolver's word for DNSSEC is believed: auto "
		  "if it is on this host or resolv.conf says trust-ad, "
		  "trust, off" },
	{ DNS(allow_loopback_mx, bool, "no"),
	  .help = "whether a domain's mail host may be this host (for "
		  "tests)" },

	{ TLS(ca_file, path, ""),
	  .help = "certificates of authorities, PEM; without it the "
		  "system's" },
	{ TLS(crl_file, path, ""), .help = "revoked certificates, PEM" },
	{ TLS(minimum, word, "1.2"), .words = tls_versions,
	  .help = "oldest version of TLS: 1.2 or 1.3" },
	{ TLS(priorities, text, ""),
	  .help = "GnuTLS priority string in place of our own" },
	{ TLS(mta_sts, bool, "yes"),
	  .help = "whether MTA-STS policies (RFC 8461) are obeyed" },
	{ TLS(dane, bool, "yes"),
	  .help = "whether TLSA records (RFC 7672) are obeyed" },
	{ TLS(mta_sts_port, number, "443"), .least = 1, .most = 65535,
	  .help = "port of policy hosts (for tests)" },

	{ ACCOUNT(user, names, ""), .help = "UNIX users it is for" },
	{ ACCOUNT(match_from, senders, ""),
	  .help = "envelope senders it is for: addresses, domains, .domain "
		  "with all below" },
	{ ACCOUNT(from, author, ""),
	  .help = "envelope sender, and address of a From field that is "
		  "added; %u is the login, %h the host's first label, %H its "
		  "name, %% a percent sign" },
	{ ACCOUNT(full_name, pattern, ""),
	  .help = "full name for a From field that is added; %u, %h, %H and "
		  "%% as in from" },
	{ ACCOUNT(force_from, bool, "no"),
	  .help = "whether from is used whatever -f says" },
	{ ACCOUNT(from_header, word, "add"), .words = from_headers,
	  .help = "the From field: add one where there is none, keep, or "
		  "replace any: then Sender goes, and who wrote it stays as "
		  "Reply-To if there is none" },
	{ ACCOUNT(sender_from_header, bool, "no"),
	  .help = "whether the envelope sender is taken from the From field "
		  "where neither -f nor from gives one" },
	{ ACCOUNT(undisclosed_recipients, bool, "no"),
	  .help = "whether To and Cc give way to "
		  "\"To: undisclosed-recipients:;\"" },
	{ ACCOUNT(bcc, addresses, ""),
	  .help = "addresses that get every message of the account, too" },
	{ ACCOUNT(redirect, address, ""),
	  .help = "address that gets every message instead of its "
		  "recipients, who are listed in X-Original-To" },
	{ ACCOUNT(domain, domain, ""),
	  .help = "what addresses without a domain get; without it that of "
		  "general" },
	{ ACCOUNT(notify, bits_notify, ""),
	  .help = "NOTIFY (RFC 3461) where -N is absent: never, or success, "
		  "failure, delay" },
	{ .section = SECTION_ACCOUNT, .key = "return", .type = &type_word,
	  .offset = offsetof(struct account, dsn_return), .fallback = "",
	  .words = return_words,
	  .help = "RET (RFC 3461) where -R is absent: full or hdrs" },

	{ DOMAIN(dkim_selector, selectors, ""),
	  .help = "selectors of the keys, in their order" },
	{ DOMAIN(dkim_key, paths, ""),
	  .help = "files with private keys, PEM: RSA of 2048 bits or more, "
		  "or Ed25519" },

	{ ROUTE(account, text, ""), .help = "only for this account" },
	{ ROUTE(domain, domain, ""),
	  .help = "only for envelope senders of this domain" },
	{ ROUTE(from_domain, domains, ""),
	  .help = "domains of the envelope sender: example.org, "
		  ".example.org with all below, . for none" },
	{ ROUTE(to_domain, domains, ""), .help = "domains of the recipient" },
	{ ROUTE(minimum_attempts, number, "0"), .most = 1000000,
	  .help = "attempts that must have been made before" },
	{ ROUTE(transport, names, ""),
	  .help = "transports, the next tried when one fails for now; must "
		  "be there; empty or direct is direct delivery" },

	{ TRANSPORT(kind, word, "direct", 0), .words = kind_choices,
	  .help = "submissions, submission, smtp, direct, socks, lmtp, "
		  "maildir, command, discard or fail" },
	{ TRANSPORT(host, hosts, "", NAMES_HOST),
	  .help = "names or addresses, tried in order; a socket's path "
		  "(smtp, lmtp)" },
	{ TRANSPORT(port, number, "", CONNECTS), .least = 1, .most = 65535,
	  .help = "port; without it 465 for submissions, 587 for "
		  "submission, 24 for lmtp, else 25" },
	{ TRANSPORT(srv, bool, "no", FOLLOWS_SRV),
	  .help = "whether host is a domain whose SRV records are "
		  "followed" },
	{ TRANSPORT(username, text, "", NAMES_HOST), .help = "login name" },
	{ TRANSPORT(password, secret, "", NAMES_HOST),
	  .help = "password; the file must not be readable by others" },
	{ TRANSPORT(password_file, path, "", NAMES_HOST),
	  .help = "file whose first line is the password" },
	{ TRANSPORT(password_command, text, "", NAMES_HOST),
	  .help = "shell command that prints the password" },
	{ TRANSPORT(password_credential, text, "", NAMES_HOST),
	  .help = "name of a systemd credential with the password" },
	{ TRANSPORT(token_command, text, "", NAMES_HOST),
	  .help = "shell command that prints an OAuth 2.0 access token" },
	{ TRANSPORT(mechanisms, mechanisms, "", NAMES_HOST),
	  .help = "SASL mechanisms in order, in place of our own list" },
	{ TRANSPORT(without, extensions, "", CONNECTS),
	  .help = "SMTP extensions that are not used though the server "
		  "announces them" },
	{ TRANSPORT(starttls_insecure_skip_verify, bool, "no",
		    STARTS_TLS),
	  .help = "whether TLS is required but any certificate will do" },
	{ TRANSPORT(no_starttls, bool, "no", STARTS_TLS),
	  .help = "whether mail goes in clear text" },
	{ TRANSPORT(ca_file, path, "", CONNECTS),
	  .help = "certificates of authorities, PEM, in place of those of "
		  "tls" },
	{ TRANSPORT(fingerprint, hexes, "", NAMES_HOST),
	  .help = "SHA-256 of the server's public key (SPKI), hexadecimal" },
	{ TRANSPORT(certificate, path, "", CONNECTS),
	  .help = "client certificate: file or PKCS#11 URI" },
	{ TRANSPORT(key, path, "", CONNECTS),
	  .help = "its key: file or PKCS#11 URI" },
	{ TRANSPORT(tls_name, domain, "", NAMES_HOST),
	  .help = "name the certificate must have, where it is not host" },
	{ TRANSPORT(proxy, endpoint, "", NAMES_HOST),
	  .help = "SOCKS5 proxy, HOST or HOST:PORT (1080)" },
	{ TRANSPORT(proxy_dns, tristate, "", TAKES_PROXY),
	  .words = no_yes,
	  .help = "whether the proxy looks names up; without it no for "
		  "socks, else yes" },
	{ TRANSPORT(proxy_username, text, "", TAKES_PROXY),
	  .help = "login name at the proxy" },
	{ TRANSPORT(proxy_password, secret, "", TAKES_PROXY),
	  .help = "password at the proxy; the file must not be readable by "
		  "others" },
	{ TRANSPORT(address, endpoint, "", IS_PROXIED),
	  .help = "the SOCKS5 proxy, HOST or HOST:PORT (1080)" },
	{ TRANSPORT(remote_ips, ips, "", IS_PROXIED),
	  .help = "addresses that mail leaves the proxy from, for "
		  "--dnscheck" },
	{ TRANSPORT(remote_hostname, domain, "", TAKES_PROXY),
	  .help = "name said in EHLO behind the proxy" },
	{ TRANSPORT(source_address, ip, "", CONNECTS),
	  .help = "local address that connections come from" },
	{ TRANSPORT(ip_family, word, "any", CONNECTS), .words = families,
	  .help = "any, ipv4, ipv6, prefer_ipv4 or prefer_ipv6" },
	{ TRANSPORT(hostname, domain, "", CONNECTS),
	  .help = "name said in EHLO; without it that of general" },
	{ TRANSPORT(path, directory, "", HAS_PATH),
	  .help = "the maildir; made if it is not there, for its owner "
		  "alone" },
	{ TRANSPORT(command, text, "", RUNS_COMMAND),
	  .help = "shell command that gets the message on its standard "
		  "input, once for each recipient" },
	{ TRANSPORT(code, number, "554", REFUSES), .least = 400,
	  .most = 599, .help = "reply code it refuses with" },
	{ TRANSPORT(message, text, "", REFUSES),
	  .help = "words it refuses with" },
};

const struct config_key *key_at(size_t i)
{
	return i < sizeof(table) / sizeof(*table) ? &table[i] : NULL;
}

const struct config_key *key_named(enum section section, const char *key)
{
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (table[i].section == section && !strcmp(table[i].key, key))
			return &table[i];
	return NULL;
}

bool key_fits(const struct config_key *key, int kind)
{
	return !key->traits || kind_has(kind, key->traits);
}

const char *section_name(enum section section)
{
	static const char *const names[] = {
		"general", "log", "queue", "dns", "tls", "account", "domain",
		"route", "transport",
	};

	return names[section];
}

bool config_row(size_t i, struct config_row *row)
{
	const struct config_key *k = key_at(i);

	if (!k)
		return false;
	*row = (struct config_row){ section_name(k->section), k->key,
				    k->fallback, k->help };
	return true;
}
