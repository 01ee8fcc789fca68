/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The providers, a row each. Above a row stands where its facts were read:
 * the provider's own pages, and for servers of mailboxes the file of that name
 * in Thunderbird's ISPDB (github.com/thunderbird/autoconfig). What could not be
 * read anywhere is not in a row. */
#include <stddef.h>

#include "desk/providers.h"

#define NAMES(...) (const char *const[]){ __VA_ARGS__, NULL }
#define TLS_AT(name, number) \
	.host = name, .port = number, .kind = KIND_SUBMISSIONS
#define STARTTLS_AT(name, number) \
	.host = name, .port = number, .kind = KIND_SUBMISSION
#define MB * (1024 * 1024)

#define APP_PASSWORD "an app password, made in the settings of the account"
#define OWN_PASSWORD "the mailbox's password"
#define OR_APP_PASSWORD \
	"the mailbox's password, or with two-factor authentication an app " \
	"password"
#define VERIFIED "an address or domain that was verified there"

/* A region of Amazon's has a server of its own, and passwords that no other
 * one takes. */
#define SES(region) \
	{ .name = "ses-" region, .title = "Amazon SES in " region, \
	  .mx = NAMES("inbound-smtp." region ".amazonaws.com"), \
	  TLS_AT("email-smtp." region ".amazonaws.com", 465), \
	  .username = "the SMTP user name that was made in this region", \
	  .secret = "the SMTP password that came with it (not the account's " \
		    "access key)", \
	  .from = VERIFIED ", in this region" }

static const struct provider table[] = {
	/* https://support.google.com/mail/answer/7126229
	 * https://support.google.com/a/answer/166852 */
	{ .name = "gmail", .title = "Gmail",
	  .domain = NAMES("gmail.com", "googlemail.com"),
	  .mx = NAMES(".google.com", ".googlemail.com"),
	  TLS_AT("smtp.gmail.com", 465), .issuer = "google",
	  .secret = "an app password (2-step verification must be on): "
		    "https://myaccount.google.com/apppasswords",
	  .rate = "500 messages a day, 2000 in Workspace",
	  .rate_key = "500/d",
	  .more = "Google puts the account's own address into From unless "
		  "the other one is listed there under \"Send mail as\"." },
	/* https://support.google.com/a/answer/2956491 */
	{ .name = "workspace-relay", .title = "Google Workspace SMTP relay",
	  STARTTLS_AT("smtp-relay.gmail.com", 587),
	  .secret = "an app password of a user of the organisation",
	  .rate = "10,000 messages a day for each user",
	  .rate_key = "10000/d",
	  .more = "An administrator has to turn on the SMTP relay service, "
		  "and says there who may use it." },
	/* https://learn.microsoft.com/exchange/clients-and-mobile-in-exchange-
	 * online/authenticated-client-smtp-submission
	 * https://learn.microsoft.com/office365/servicedescriptions/
	 * exchange-online-service-description/exchange-online-limits */
	{ .name = "office365", .title = "Microsoft 365",
	  .domain = NAMES(".onmicrosoft.com"),
	  .mx = NAMES(".mail.protection.outlook.com"),
	  STARTTLS_AT("smtp.office365.com", 587),
	  .token = true, .issuer = "microsoft", .mechanisms = "XOAUTH2",
	  .username = "the user principal name",
	  .secret = "an OAuth 2.0 token for the scope "
		    "https://outlook.office.com/SMTP.Send",
	  .rate = "30 messages a minute, 10,000 recipients a day",
	  .rate_key = "30/m 10000/d",
	  .more = "An administrator has to permit \"Authenticated SMTP\" for "
		  "the mailbox." },
	/* https://support.microsoft.com/office/pop-imap-and-smtp-settings-for-
	 * outlook-com-d088b986-291d-42b8-9564-9c414e2aa040;
	 * ISPDB hotmail.com */
	{ .name = "outlook", .title = "Outlook.com",
	  .domain = NAMES("outlook.com", "hotmail.com", "live.com",
			  "msn.com", "windowslive.com", "outlook.de",
			  "outlook.at", "outlook.es", "outlook.be"),
	  .mx = NAMES(".olc.protection.outlook.com"),
	  STARTTLS_AT("smtp-mail.outlook.com", 587),
	  .token = true, .issuer = "microsoft", .mechanisms = "XOAUTH2",
	  .secret = "an OAuth 2.0 token for the scope "
		    "https://outlook.office.com/SMTP.Send" },
	/* https://support.apple.com/102525 (HT202304); ISPDB me.com */
	{ .name = "icloud", .title = "iCloud",
	  .domain = NAMES("icloud.com", "me.com", "mac.com"),
	  .mx = NAMES(".mail.icloud.com"),
	  STARTTLS_AT("smtp.mail.me.com", 587),
	  .secret = "an app-specific password: https://account.apple.com" },
	/* https://help.yahoo.com/kb/SLN4075.html; ISPDB yahoo.com */
	{ .name = "yahoo", .title = "Yahoo Mail",
	  .domain = NAMES("yahoo.com", "yahoo.ca", "yahoo.de", "yahoo.it",
			  "yahoo.fr", "yahoo.es", "yahoo.se", "yahoo.co.in",
			  "yahoo.co.uk", "yahoo.co.nz", "yahoo.com.au",
			  "yahoo.com.ar"),
	  .mx = NAMES(".yahoodns.net"),
	  TLS_AT("smtp.mail.yahoo.com", 465),
	  .secret = "an app password: Account security, Generate app "
		    "password" },
	/* https://help.aol.com/articles/how-do-i-use-other-email-applications-
	 * to-send-and-receive-my-aol-mail; ISPDB aol.com */
	{ .name = "aol", .title = "AOL Mail",
	  .domain = NAMES("aol.com", "aim.com", "netscape.net", "aol.de",
			  "aol.it", "aol.fr", "aol.es", "aol.se"),
	  TLS_AT("smtp.aol.com", 465), .secret = APP_PASSWORD },
	/* https://hilfe.gmx.net/pop-imap/imap/imap-serverdaten.html
	 * https://www.gmx.net/mail/tipps/posts/pop3-imap/36/; ISPDB gmx.net */
	{ .name = "gmx", .title = "GMX",
	  .domain = NAMES("gmx.net", "gmx.de", "gmx.at", "gmx.ch", "gmx.eu",
			  "gmx.biz", "gmx.org", "gmx.info"),
	  TLS_AT("mail.gmx.net", 465), .secret = OR_APP_PASSWORD,
	  .more = "Access by POP3 and IMAP has to be permitted in the "
		  "settings of GMX." },
	/* ISPDB gmx.com */
	{ .name = "gmx-com", .title = "GMX (gmx.com)",
	  .domain = NAMES("gmx.com", "gmx.us", "gmx.co.uk", "gmx.es",
			  "gmx.fr", "gmx.ca"),
	  TLS_AT("mail.gmx.com", 465), .secret = OR_APP_PASSWORD,
	  .more = "Access by POP3 and IMAP has to be permitted in the "
		  "settings of GMX." },
	/* https://hilfe.web.de/pop-imap/imap/imap-serverdaten.html; ISPDB
	 * web.de */
	{ .name = "webde", .title = "WEB.DE", .domain = NAMES("web.de"),
	  TLS_AT("smtp.web.de", 465), .user = "%u",
	  .secret = OR_APP_PASSWORD,
	  .more = "Access by POP3 and IMAP has to be permitted in the "
		  "settings of WEB.DE." },
	/* https://www.telekom.de/hilfe/apps-dienste/e-mail/einstellungen/
	 * posteingang-postausgang-server; ISPDB t-online.de */
	{ .name = "t-online", .title = "Telekom Mail",
	  .domain = NAMES("t-online.de", "magenta.de"),
	  TLS_AT("securesmtp.t-online.de", 465),
	  .secret = "the password for mail programs, which is not the "
		    "login's" },
	/* https://posteo.de/hilfe/wie-richte-ich-posteo-in-einem-mailprogramm-
	 * ein-pop3-imap-und-smtp; ISPDB posteo.de */
	{ .name = "posteo", .title = "Posteo",
	  .domain = NAMES("posteo.de", "posteo.net", "posteo.at", "posteo.be",
			  "posteo.ch", "posteo.eu", "posteo.org",
			  "posteo.com", "posteo.co.uk", "posteo.us"),
	  TLS_AT("posteo.de", 465), .secret = OWN_PASSWORD },
	/* https://kb.mailbox.org/en/private/e-mail/e-mail-configuration */
	{ .name = "mailbox", .title = "mailbox.org",
	  .domain = NAMES("mailbox.org"), .mx = NAMES(".mailbox.org"),
	  TLS_AT("smtp.mailbox.org", 465),
	  .username = "the account's main address",
	  .secret = OR_APP_PASSWORD },
	/* https://www.strato.de/faq/mail/externes-e-mail-programm-mit-strato-
	 * e-mail-adresse-nutzen/; ISPDB strato.de */
	{ .name = "strato", .title = "STRATO",
	  .domain = NAMES("strato.de"), .mx = NAMES(".rzone.de"),
	  TLS_AT("smtp.strato.de", 465), .secret = OWN_PASSWORD },
	/* https://www.ionos.de/hilfe/e-mail/weitere-e-mail-programme/postfix-
	 * linux-einrichten/
	 * https://www.ionos.de/hilfe/e-mail/allgemeine-themen/kein-versand-von-
	 * e-mails-mit-abweichender-absenderadresse/ */
	{ .name = "ionos", .title = "IONOS", .mx = NAMES(".ionos.de"),
	  STARTTLS_AT("smtp.ionos.de", 587), .secret = OWN_PASSWORD,
	  .size = 100 MB,
	  .from = "an address of the mailbox's own domain" },
	/* https://www.fastmail.help/hc/en-us/articles/1500000278342 */
	{ .name = "fastmail", .title = "Fastmail",
	  .domain = NAMES("fastmail.com", "fastmail.fm"),
	  .mx = NAMES(".messagingengine.com"),
	  TLS_AT("smtp.fastmail.com", 465), .mechanisms = "PLAIN",
	  .username = "the account's main address",
	  .secret = "an app password with access to SMTP: Settings, Privacy & "
		    "Security, Manage app passwords" },
	/* https://help.runbox.com/email-program-settings/
	 * https://help.runbox.com/common-errors-when-sending-mail-through-an-
	 * email-client/ */
	{ .name = "runbox", .title = "Runbox",
	  .domain = NAMES("runbox.com", "runbox.no", "runbox.us"),
	  .mx = NAMES(".runbox.com"),
	  TLS_AT("mail.runbox.com", 465),
	  .username = "the part before the @, with a domain of your own "
		      "name%domain",
	  .user = "%u", .secret = OR_APP_PASSWORD,
	  .rate = "500 recipients a day", .rate_key = "500/d",
	  .from = "an alias of the account, or an address validated there" },
	/* https://www.infomaniak.com/en/support/faq/2427
	 * https://www.infomaniak.com/en/support/faq/admin2/email-service */
	{ .name = "infomaniak", .title = "Infomaniak",
	  .domain = NAMES("ik.me", "etik.com", "ikmail.com"),
	  .mx = NAMES(".infomaniak.ch", ".infomaniak.com"),
	  TLS_AT("mail.infomaniak.com", 465), .mechanisms = "LOGIN PLAIN",
	  .secret = "the password of the address for this device",
	  .rate = "1440 recipients a day, 100 with Starter, 500 with free "
		  "addresses",
	  .rate_key = "1440/d" },
	/* http://smtphelp.bluewin.ch/; ISPDB bluewin.ch */
	{ .name = "bluewin", .title = "Bluewin (Swisscom)",
	  .domain = NAMES("bluewin.ch", "bluemail.ch"),
	  TLS_AT("smtpauths.bluewin.ch", 465), .secret = OWN_PASSWORD },
	/* https://proton.me/support/imap-smtp-and-pop3-setup
	 * https://proton.me/support/bridge-ssl-connection-issue */
	{ .name = "proton", .title = "Proton Mail, by its Bridge",
	  .domain = NAMES("proton.me", "protonmail.com", "protonmail.ch",
			  "pm.me"),
	  .mx = NAMES(".protonmail.ch"),
	  STARTTLS_AT("127.0.0.1", 1025), .local = true,
	  .secret = "the password that the Bridge shows for the account (not "
		    "Proton's own); the Bridge runs on this machine, with "
		    "its port at 1025 and STARTTLS",
	  .more = "Its certificate is its own: export it there (Settings, "
		  "Export TLS certificates) and name it with ca_file." },
	/* https://tuta.com/support/howto: mail programs of others cannot be
	 * used */
	{ .name = "tuta", .title = "Tuta",
	  .domain = NAMES("tuta.com", "tutanota.com", "tutanota.de",
			  "tutamail.com", "tuta.io", "keemail.me"),
	  .mx = NAMES(".tutanota.de", ".tuta.com"),
	  .none = "Tuta has no SMTP for programs: mail leaves from its own "
		  "clients alone. Use an address of another provider for "
		  "this machine." },
	/* https://www.zoho.com/mail/help/zoho-smtp.html; ISPDB zoho.com */
	{ .name = "zoho", .title = "Zoho Mail",
	  .domain = NAMES("zoho.com", "zohomail.com"),
	  TLS_AT("smtp.zoho.com", 465), .secret = OR_APP_PASSWORD,
	  .from = "the account's address or an alias of it" },
	/* https://www.zoho.com/mail/help/zoho-smtp.html */
	{ .name = "zoho-pro", .title = "Zoho Mail, own domain",
	  .mx = NAMES(".zoho.com"), TLS_AT("smtppro.zoho.com", 465),
	  .secret = OR_APP_PASSWORD,
	  .from = "the account's address or an alias of it" },
	/* https://www.zoho.com/mail/help/zoho-smtp.html; ISPDB zoho.eu */
	{ .name = "zoho-eu", .title = "Zoho Mail (Europe)",
	  .domain = NAMES("zoho.eu", "zohomail.eu"),
	  TLS_AT("smtp.zoho.eu", 465), .secret = OR_APP_PASSWORD,
	  .from = "the account's address or an alias of it" },
	/* https://guides.ovh.com/ConfigurationEmail
	 * http://gids.ovh.nl/EmailSmtpPop3Imap */
	{ .name = "ovh", .title = "OVH", .mx = NAMES(".mail.ovh.net"),
	  TLS_AT("ssl0.ovh.net", 465), .secret = OWN_PASSWORD },
	/* https://docs.gandi.net/en/gandimail/standard_email_settings/
	 * http://www.gandibar.net/post/2010/03/12/Gandi-Mail-Enhanced-Security-
	 * Measures; ISPDB gandi.net */
	{ .name = "gandi", .title = "Gandi", .domain = NAMES("gandi.net"),
	  .mx = NAMES(".mail.gandi.net"), TLS_AT("mail.gandi.net", 465),
	  .secret = OWN_PASSWORD,
	  .from = "an address of your domain at Gandi" },
	/* https://assistance.orange.fr (mail, depuis une application); ISPDB
	 * orange.fr */
	{ .name = "orange", .title = "Orange",
	  .domain = NAMES("orange.fr", "wanadoo.fr"),
	  TLS_AT("smtp.orange.fr", 465), .secret = OWN_PASSWORD },
	/* https://assistance.free.fr/articles/609; ISPDB free.fr */
	{ .name = "free", .title = "Free", .domain = NAMES("free.fr"),
	  TLS_AT("smtp.free.fr", 465), .user = "%u",
	  .secret = OWN_PASSWORD,
	  .more = "Authenticated SMTP has to be turned on in the account." },
	/* http://aide.laposte.net; ISPDB laposte.net */
	{ .name = "laposte", .title = "La Poste",
	  .domain = NAMES("laposte.net"), TLS_AT("smtp.laposte.net", 465),
	  .user = "%u", .secret = OWN_PASSWORD },
	/* http://aiuto.libero.it/articolo/mail/parametri-di-configurazione-per-
	 * il-client-di-posta/; ISPDB libero.it */
	{ .name = "libero", .title = "Libero",
	  .domain = NAMES("libero.it", "iol.it", "blu.it", "inwind.it",
			  "giallo.it"),
	  TLS_AT("smtp.libero.it", 465), .secret = OR_APP_PASSWORD },
	/* http://napoveda.seznam.cz/cz/email/imap-pop3-smtp/;
	 * ISPDB seznam.cz */
	{ .name = "seznam", .title = "Seznam",
	  .domain = NAMES("seznam.cz", "email.cz", "post.cz",
			  "spoluzaci.cz"),
	  TLS_AT("smtp.seznam.cz", 465), .secret = OR_APP_PASSWORD },
	/* http://poczta.wp.pl/info-pomoc-konfig.html; ISPDB wp.pl */
	{ .name = "wp", .title = "WP Poczta", .domain = NAMES("wp.pl"),
	  TLS_AT("smtp.wp.pl", 465), .user = "%u", .secret = OWN_PASSWORD },
	/* https://pomoc.o2.pl/jak-skonfigurowac-program-pocztowy;
	 * ISPDB o2.pl */
	{ .name = "o2", .title = "o2 Poczta",
	  .domain = NAMES("o2.pl", "go2.pl", "tlen.pl"),
	  TLS_AT("poczta.o2.pl", 465), .user = "%u",
	  .secret = OWN_PASSWORD,
	  .more = "Access for mail programs has to be turned on there." },
	/* https://yandex.com/support/passport/authorization/app-passwords.html
	 * https://tech.yandex.com/oauth/doc/imap/index-docpage/; ISPDB
	 * yandex.ru */
	{ .name = "yandex", .title = "Yandex Mail",
	  .domain = NAMES("yandex.ru", "yandex.com", "yandex.by",
			  "yandex.kz", "yandex.ua", "ya.ru", "narod.ru"),
	  .mx = NAMES(".yandex.net", ".yandex.ru"),
	  TLS_AT("smtp.yandex.com", 465), .secret = APP_PASSWORD },
	/* http://help.mail.ru/mail-help/mailer/mt; ISPDB mail.ru */
	{ .name = "mailru", .title = "Mail.ru",
	  .domain = NAMES("mail.ru", "inbox.ru", "list.ru", "bk.ru"),
	  TLS_AT("smtp.mail.ru", 465),
	  .secret = "a password for external applications, made in the "
		    "settings of the account" },
	/* https://www.xfinity.com/support/articles/third-party-email-access;
	 * ISPDB comcast.net */
	{ .name = "comcast", .title = "Xfinity (Comcast)",
	  .domain = NAMES("comcast.net"), TLS_AT("smtp.comcast.net", 465),
	  .secret = OWN_PASSWORD,
	  .more = "Third-party access has to be permitted in the settings of "
		  "Xfinity's webmail." },
	/* ISPDB one.com */
	{ .name = "one", .title = "one.com", .domain = NAMES("one.com"),
	  TLS_AT("send.one.com", 465), .secret = OWN_PASSWORD },

	/* https://developers.brevo.com/docs/smtp-integration
	 * https://help.brevo.com/hc/en-us/articles/7959631848850 */
	{ .name = "brevo", .title = "Brevo",
	  .domain = NAMES("smtp-brevo.com"),
	  STARTTLS_AT("smtp-relay.brevo.com", 587),
	  .username = "the login shown under \"SMTP & API\"",
	  .secret = "the SMTP key shown there (not the key for the API)",
	  .more = "For \"from\" put an address of a domain that is "
		  "authenticated there." },
	/* https://www.twilio.com/docs/sendgrid/for-developers/sending-email/
	 * integrating-with-the-smtp-api */
	{ .name = "sendgrid", .title = "SendGrid",
	  TLS_AT("smtp.sendgrid.net", 465), .user = "apikey",
	  .secret = "an API key with \"Mail Send\"",
	  .rate = "5000 messages a connection", .from = VERIFIED },
	/* https://documentation.mailgun.com/docs/mailgun/user-manual/sending-
	 * messages/send-smtp
	 * https://documentation.mailgun.com/en/latest/api-sending.html */
	{ .name = "mailgun", .title = "Mailgun",
	  TLS_AT("smtp.mailgun.org", 465), .size = 25 MB,
	  .username = "the SMTP user of the domain, postmaster@... say",
	  .secret = "its SMTP password: Sending, Domain settings, SMTP "
		    "credentials",
	  .from = "an address of that domain" },
	{ .name = "mailgun-eu", .title = "Mailgun (Europe)",
	  TLS_AT("smtp.eu.mailgun.org", 465), .size = 25 MB,
	  .username = "the SMTP user of the domain, postmaster@... say",
	  .secret = "its SMTP password: Sending, Domain settings, SMTP "
		    "credentials",
	  .from = "an address of that domain" },
	/* https://postmarkapp.com/developer/user-guide/send-email-with-smtp */
	{ .name = "postmark", .title = "Postmark",
	  STARTTLS_AT("smtp.postmarkapp.com", 587),
	  .mechanisms = "CRAM-MD5 DIGEST-MD5 PLAIN",
	  .username = "the server's API token, or the access key of an SMTP "
		      "token",
	  .secret = "the same API token, or the secret key of that SMTP token",
	  .from = "a sender signature or a verified domain" },
	/* https://resend.com/docs/send-with-smtp */
	{ .name = "resend", .title = "Resend",
	  TLS_AT("smtp.resend.com", 465), .user = "resend",
	  .secret = "an API key", .from = "an address of a verified domain" },
	/* https://documentation.mailjet.com/hc/en-us/articles/360043225693 */
	{ .name = "mailjet", .title = "Mailjet",
	  STARTTLS_AT("in-v3.mailjet.com", 587),
	  .username = "the API key", .secret = "the secret key",
	  .from = VERIFIED },
	/* https://developers.sparkpost.com/api/smtp */
	{ .name = "sparkpost", .title = "SparkPost",
	  STARTTLS_AT("smtp.sparkpostmail.com", 587), .mechanisms = "LOGIN",
	  .user = "SMTP_Injection",
	  .secret = "an API key with \"Send via SMTP\"",
	  .rate = "100 messages a connection",
	  .from = "an address of a verified sending domain" },
	{ .name = "sparkpost-eu", .title = "SparkPost (Europe)",
	  STARTTLS_AT("smtp.eu.sparkpostmail.com", 587),
	  .mechanisms = "LOGIN", .user = "SMTP_Injection",
	  .secret = "an API key with \"Send via SMTP\"",
	  .rate = "100 messages a connection",
	  .from = "an address of a verified sending domain" },
	/* https://developers.smtp2go.com/docs/smtp-relay */
	{ .name = "smtp2go", .title = "SMTP2GO",
	  TLS_AT("mail.smtp2go.com", 465),
	  .username = "the name of an SMTP user: Sending, SMTP Users",
	  .secret = "that user's password", .from = VERIFIED },
	/* https://docs.aws.amazon.com/ses/latest/dg/smtp-connect.html
	 * https://docs.aws.amazon.com/general/latest/gr/ses.html */
	SES("us-east-1"), SES("us-east-2"), SES("us-west-1"),
	SES("us-west-2"), SES("ca-central-1"), SES("sa-east-1"),
	SES("eu-central-1"), SES("eu-north-1"), SES("eu-west-1"),
	SES("eu-west-2"), SES("eu-west-3"), SES("ap-south-1"),
	SES("ap-northeast-1"), SES("ap-northeast-2"), SES("ap-northeast-3"),
	SES("ap-southeast-1"), SES("ap-southeast-2"),
};

const struct provider *provider_at(size_t i)
{
	return i < sizeof(table) / sizeof(*table) ? &table[i] : NULL;
}
