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
static const char *const grants[] = { "auto", "device_code",
				      "authorization_code",
				      "client_credentials", NULL };
static const char *const early[] = { "auto", "off", NULL };
static const char *const no_yes[] = { "no", "yes", NULL };

/* A key of a section without a name, at its place in struct config; and one
 * of a section with a name, in the struct of such. */
#define KEY(id, part, name, kind, initial) \
	.section = SECTION_##id, .key = #name, .type = &type_##kind, \
	.offset = offsetof(struct config, part.name), .fallback = initial
#define NAMED(id, part, name, kind, initial) \
	.section = SECTION_##id, .key = #name, .type = &type_##kind, \
	.offset = offsetof(struct part, name), .fallback = initial

static const struct config_key table[] = {
	{ KEY(GENERAL, general, hostname, domain, ""),
	  .help = "name said in EHLO, and the name mail comes from; without "
		  "it this host's name" },
	{ KEY(GENERAL, general, domain, domain, ""),
	  .help = "what addresses without a domain get; without it the "
		  "first line of /etc/mailname, else hostname" },
	{ KEY(GENERAL, general, local_names, locals, ""),
	  .help = "domains that this host is: a recipient of theirs loses "
		  "the domain and is looked up in aliases; without it "
		  "localhost, localhost.localdomain, this host's name and "
		  "its first label, but none that is set as domain" },
	{ KEY(GENERAL, general, aliases, path, ""),
	  .help = "alias file for recipients without a domain, or with one "
		  "where it has such keys; without it "
		  "/etc/aliases if that exists, empty for none" },
	{ KEY(GENERAL, general, default_recipient, address, ""),
	  .help = "who gets mail for a recipient without a domain that is "
		  "no alias" },
	{ KEY(GENERAL, general, max_message_size, size, "0"),
	  .zero_is_off = true,
	  .help = "largest message taken; 0 for no limit" },
	{ KEY(GENERAL, general, dot_ends_message, bool, "yes"),
	  .help = "whether a line with a single dot ends the message where "
		  "-i is absent" },
	{ KEY(GENERAL, general, timeout, duration, "10m"),
	  .least = SECOND / 10, .most = DAY,
	  .help = "longest wait for a server; no deadline is above it" },
	{ KEY(GENERAL, general, connect_timeout, duration, "30s"),
	  .least = SECOND / 10, .most = DAY,
	  .help = "longest wait for a connection" },
	{ KEY(GENERAL, general, cache, directory, ""),
	  .help = "directory for MTA-STS policies and what servers are like; "
		  "without it mta-sts below the queue, for a user's own file "
		  "$XDG_CACHE_HOME/posthaste" },

	{ KEY(LOG, log, to, log, "syslog"),
	  .help = "syslog, stderr, none or a file's path" },
	{ KEY(LOG, log, format, word, "text"),
	  .words = log_formats,
	  .help = "text or json" },
	{ KEY(LOG, log, level, word, "info"),
	  .words = log_levels,
	  .help = "least important event logged: error, info or debug" },

	{ KEY(QUEUE, queue, queue, word, "on_failure"),
	  .only_shown = true, .words = queue_modes,
	  .help = "what is queued: on_failure what fails for now, always "
		  "everything, never nothing; without it on_failure where "
		  "the queue is usable and was run within the last week" },
	{ KEY(QUEUE, queue, directory, directory, ""),
	  .help = "the queue; without it the system's, for a user's own "
		  "file $XDG_STATE_HOME/posthaste/queue" },
	{ KEY(QUEUE, queue, schedule, durations, "7m30s 15m 30m 1h 2h 4h 8h"),
	  .most = 365 * DAY,
	  .help = "waits after the first attempt, the second, ...; the last "
		  "is repeated" },
	{ KEY(QUEUE, queue, lifetime, duration, "5d"),
	  .most = 3650 * DAY,
	  .help = "how long mail is tried" },
	{ KEY(QUEUE, queue, delay_report_after, number, "5"),
	  .most = 1000000, .zero_is_off = true,
	  .help = "attempts after which a delay is reported; 0 for never" },
	{ KEY(QUEUE, queue, concurrency, number, "10"),
	  .least = 1, .most = 1000,
	  .help = "destinations served at once" },
	{ KEY(QUEUE, queue, connections, number, "4"),
	  .least = 1, .most = 100,
	  .help = "connections at once to one destination" },
	{ KEY(QUEUE, queue, postmaster, address, "postmaster"),
	  .help = "whom reports come from, and who is told of mail that "
		  "stands still" },
	{ KEY(QUEUE, queue, on_failure, text, ""),
	  .help = "a command that gets a final failure as JSON" },
	{ KEY(QUEUE, queue, alarm_after, duration, "4h"),
	  .most = 3650 * DAY, .zero_is_off = true,
	  .help = "mail that stood still so long is told to the "
		  "postmaster, once a day at most; 0 for never" },

	{ KEY(DNS, dns, resolver, resolvers, ""),
	  .help = "addresses of resolvers, ADDRESS or ADDRESS:PORT; without "
		  "it the system's" },
	{ KEY(DNS, dns, dnssec, word, "auto"),
	  .words = dnssec_words,
	  .help = "whether the resolver's word for DNSSEC is believed: auto "
		  "if it is on this host or resolv.conf says trust-ad, "
		  "trust, off" },
	{ KEY(DNS, dns, allow_loopback_mx, bool, "no"),
	  .help = "whether a domain's mail host may be this host (for "
		  "tests)" },

	{ KEY(TLS, tls, ca_file, path, ""),
	  .help = "certificates of authorities, PEM; without it the "
		  "system's" },
	{ KEY(TLS, tls, crl_file, path, ""),
	  .help = "revoked certificates, PEM" },
	{ KEY(TLS, tls, minimum, word, "1.2"),
	  .words = tls_versions,
	  .help = "oldest version of TLS: 1.2 or 1.3" },
	{ KEY(TLS, tls, priorities, text, ""),
	  .help = "GnuTLS priority string in place of our own" },
	{ KEY(TLS, tls, mta_sts, bool, "yes"),
	  .help = "whether MTA-STS policies (RFC 8461) are obeyed" },
	{ KEY(TLS, tls, dane, bool, "yes"),
	  .help = "whether TLSA records (RFC 7672) are obeyed" },
	{ KEY(TLS, tls, mta_sts_port, number, "443"),
	  .least = 1, .most = 65535,
	  .help = "port of policy hosts (for tests)" },

	{ NAMED(ACCOUNT, account, user, names, ""),
	  .help = "UNIX users it is for" },
	{ NAMED(ACCOUNT, account, match_from, senders, ""),
	  .help = "envelope senders it is for: addresses, domains, .domain "
		  "with all below" },
	{ NAMED(ACCOUNT, account, from, author, ""),
	  .help = "envelope sender, and address of a From field that is "
		  "added; %u is the login, %h the host's first label, %H its "
		  "name, %% a percent sign" },
	{ NAMED(ACCOUNT, account, full_name, pattern, ""),
	  .help = "full name for a From field that is added; %u, %h, %H and "
		  "%% as in from" },
	{ NAMED(ACCOUNT, account, force_from, bool, "no"),
	  .help = "whether from is used whatever -f says" },
	{ NAMED(ACCOUNT, account, from_header, word, "add"),
	  .words = from_headers,
	  .help = "the From field: add one where there is none, keep, or "
		  "replace any: then Sender goes, and who wrote it stays as "
		  "Reply-To if there is none" },
	{ NAMED(ACCOUNT, account, sender_from_header, bool, "no"),
	  .help = "whether the envelope sender is taken from the From field "
		  "where neither -f nor from gives one" },
	{ NAMED(ACCOUNT, account, undisclosed_recipients, bool, "no"),
	  .help = "whether To and Cc give way to "
		  "\"To: undisclosed-recipients:;\"" },
	{ NAMED(ACCOUNT, account, bcc, addresses, ""),
	  .help = "addresses that get every message of the account, too" },
	{ NAMED(ACCOUNT, account, redirect, address, ""),
	  .help = "address that gets every message instead of its "
		  "recipients, who are listed in X-Original-To" },
	{ NAMED(ACCOUNT, account, domain, domain, ""),
	  .help = "what addresses without a domain get; without it that of "
		  "general" },
	{ NAMED(ACCOUNT, account, notify, bits_notify, ""),
	  .help = "NOTIFY (RFC 3461) where -N is absent: never, or success, "
		  "failure, delay" },
	{ .section = SECTION_ACCOUNT, .key = "return", .type = &type_word,
	  .offset = offsetof(struct account, dsn_return), .fallback = "",
	  .words = return_words,
	  .help = "RET (RFC 3461) where -R is absent: full or hdrs" },

	{ NAMED(DOMAIN, domain, dkim_selector, selectors, ""),
	  .help = "selectors of the keys, in their order" },
	{ NAMED(DOMAIN, domain, dkim_key, paths, ""),
	  .help = "files with private keys, PEM: RSA of 2048 bits or more, "
		  "or Ed25519" },

	{ NAMED(ROUTE, route, account, text, ""),
	  .help = "only for this account" },
	{ NAMED(ROUTE, route, domain, domain, ""),
	  .help = "only for envelope senders of this domain" },
	{ NAMED(ROUTE, route, from_domain, domains, ""),
	  .help = "domains of the envelope sender: example.org, "
		  ".example.org with all below, . for none" },
	{ NAMED(ROUTE, route, to_domain, domains, ""),
	  .help = "domains of the recipient" },
	{ NAMED(ROUTE, route, minimum_attempts, number, "0"),
	  .most = 1000000,
	  .help = "attempts that must have been made before" },
	{ NAMED(ROUTE, route, transport, names, ""),
	  .help = "transports, the next tried when one fails for now; must "
		  "be there; empty or direct is direct delivery" },

	{ NAMED(TRANSPORT, transport, kind, word, "direct"),
	  .words = kind_choices,
	  .help = "one of:" KIND_NAMES },
	{ NAMED(TRANSPORT, transport, host, hosts, ""),
	  .traits = NAMES_HOST,
	  .help = "names or addresses, tried in order; a socket's path "
		  "(smtp, lmtp)" },
	{ NAMED(TRANSPORT, transport, port, number, ""),
	  .traits = CONNECTS, .least = 1, .most = 65535,
	  .help = "port; without it 465 for submissions, 587 for "
		  "submission, 24 for lmtp, else 25" },
	{ NAMED(TRANSPORT, transport, srv, bool, "no"),
	  .traits = FOLLOWS_SRV,
	  .help = "whether host is a domain whose SRV records are "
		  "followed" },
	{ NAMED(TRANSPORT, transport, username, text, ""),
	  .traits = NAMES_HOST,
	  .help = "login name" },
	{ NAMED(TRANSPORT, transport, password, secret, ""),
	  .traits = NAMES_HOST,
	  .help = "password; the file must not be readable by others" },
	{ NAMED(TRANSPORT, transport, password_file, path, ""),
	  .traits = NAMES_HOST,
	  .help = "file whose first line is the password" },
	{ NAMED(TRANSPORT, transport, password_command, text, ""),
	  .traits = NAMES_HOST,
	  .help = "shell command that prints the password" },
	{ NAMED(TRANSPORT, transport, password_credential, text, ""),
	  .traits = NAMES_HOST,
	  .help = "name of a systemd credential with the password" },
	{ NAMED(TRANSPORT, transport, token_command, text, ""),
	  .traits = NAMES_HOST,
	  .help = "shell command that prints an OAuth 2.0 access token" },
	{ NAMED(TRANSPORT, transport, oauth, issuer, ""),
	  .traits = NAMES_HOST,
	  .help = "microsoft, google, or the URL of an issuer of OAuth 2.0 "
		  "tokens; posthaste --login NAME logs in there" },
	{ NAMED(TRANSPORT, transport, oauth_client_id, text, ""),
	  .traits = NAMES_HOST,
	  .help = "the client that is registered there; without it "
		  "posthaste registers itself where the issuer permits it" },
	{ NAMED(TRANSPORT, transport, oauth_client_secret_file, path, ""),
	  .traits = NAMES_HOST,
	  .help = "file whose first line is the client's secret" },
	{ NAMED(TRANSPORT, transport, oauth_scope, scopes, ""),
	  .traits = NAMES_HOST,
	  .help = "what the token is to permit; without it what microsoft "
		  "and google need for mail, else offline_access" },
	{ NAMED(TRANSPORT, transport, oauth_grant, word, "auto"),
	  .traits = NAMES_HOST, .words = grants,
	  .help = "auto, device_code, authorization_code, or "
		  "client_credentials for a service without a person" },
	{ NAMED(TRANSPORT, transport, mechanisms, mechanisms, ""),
	  .traits = NAMES_HOST,
	  .help = "SASL mechanisms in order, in place of our own list" },
	{ NAMED(TRANSPORT, transport, without, extensions, ""),
	  .traits = CONNECTS,
	  .help = "SMTP extensions that are not used though the server "
		  "announces them" },
	{ NAMED(TRANSPORT, transport, early_pipelining, word, "auto"),
	  .traits = CONNECTS, .words = early,
	  .help = "auto or off: whether a server that was seen to offer it "
		  "is sent everything at once" },
	{ NAMED(TRANSPORT, transport, starttls_insecure_skip_verify, bool,
		"no"),
	  .traits = STARTS_TLS,
	  .help = "whether TLS is required but any certificate will do" },
	{ NAMED(TRANSPORT, transport, no_starttls, bool, "no"),
	  .traits = STARTS_TLS,
	  .help = "whether mail goes in clear text" },
	{ NAMED(TRANSPORT, transport, rate, rates, ""),
	  .traits = CONNECTS,
	  .help = "how many recipients it takes, NUMBER/s, /m, /h or /d, "
		  "one of each; what is beyond waits" },
	{ NAMED(TRANSPORT, transport, ca_file, path, ""),
	  .traits = CONNECTS,
	  .help = "certificates of authorities, PEM, in place of those of "
		  "tls" },
	{ NAMED(TRANSPORT, transport, fingerprint, hexes, ""),
	  .traits = NAMES_HOST,
	  .help = "SHA-256 of the server's public key (SPKI), hexadecimal" },
	{ NAMED(TRANSPORT, transport, certificate, path, ""),
	  .traits = CONNECTS,
	  .help = "client certificate: file or PKCS#11 URI" },
	{ NAMED(TRANSPORT, transport, key, path, ""),
	  .traits = CONNECTS,
	  .help = "its key: file or PKCS#11 URI" },
	{ NAMED(TRANSPORT, transport, tls_name, domain, ""),
	  .traits = NAMES_HOST,
	  .help = "name the certificate must have, where it is not host" },
	{ NAMED(TRANSPORT, transport, proxy, endpoint, ""),
	  .traits = NAMES_HOST,
	  .help = "SOCKS5 proxy, HOST or HOST:PORT (1080)" },
	{ NAMED(TRANSPORT, transport, proxy_dns, tristate, ""),
	  .traits = TAKES_PROXY, .words = no_yes,
	  .help = "whether the proxy looks names up; without it no for "
		  "socks, else yes" },
	{ NAMED(TRANSPORT, transport, proxy_username, text, ""),
	  .traits = TAKES_PROXY,
	  .help = "login name at the proxy" },
	{ NAMED(TRANSPORT, transport, proxy_password, secret, ""),
	  .traits = TAKES_PROXY,
	  .help = "password at the proxy; the file must not be readable by "
		  "others" },
	{ NAMED(TRANSPORT, transport, address, endpoint, ""),
	  .traits = IS_PROXIED,
	  .help = "the SOCKS5 proxy, HOST or HOST:PORT (1080)" },
	{ NAMED(TRANSPORT, transport, remote_ips, ips, ""),
	  .traits = IS_PROXIED,
	  .help = "addresses that mail leaves the proxy from, for "
		  "--dnscheck" },
	{ NAMED(TRANSPORT, transport, remote_hostname, domain, ""),
	  .traits = TAKES_PROXY,
	  .help = "name said in EHLO behind the proxy" },
	{ NAMED(TRANSPORT, transport, source_address, ip, ""),
	  .traits = CONNECTS,
	  .help = "local address that connections come from" },
	{ NAMED(TRANSPORT, transport, ip_family, word, "any"),
	  .traits = CONNECTS, .words = families,
	  .help = "any, ipv4, ipv6, prefer_ipv4 or prefer_ipv6" },
	{ NAMED(TRANSPORT, transport, hostname, domain, ""),
	  .traits = CONNECTS,
	  .help = "name said in EHLO; without it that of general" },
	{ NAMED(TRANSPORT, transport, path, directory, ""),
	  .traits = HAS_PATH,
	  .help = "the maildir; made if it is not there, for its owner "
		  "alone" },
	{ NAMED(TRANSPORT, transport, command, text, ""),
	  .traits = RUNS_COMMAND,
	  .help = "shell command that gets the message on its standard "
		  "input, once for each recipient" },
	{ NAMED(TRANSPORT, transport, code, number, "554"),
	  .traits = REFUSES, .least = 400, .most = 599,
	  .help = "reply code it refuses with" },
	{ NAMED(TRANSPORT, transport, message, text, ""),
	  .traits = REFUSES,
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
