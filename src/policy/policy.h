/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The decisions: pure functions over facts, no I/O.
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/list.h"
#include "base/outcome.h"
#include "config/config.h"
#include "config/options.h"
#include "mail/envelope.h"
#include "mail/reply.h"

/* --- accounts and routes --- */

/* The account of a user whose sender is this address ("" null). NULL: none.
 * A name given with -a is looked up by config_account instead. */
const struct account *policy_account(const struct config *c, const char *user,
				     const char *sender);
/* Whether a list of domains (or, in match_from, addresses) matches; an
 * entry ".example.org" matches itself and all below, "." only "". An empty
 * list matches everything. Literals count as the empty domain. */
bool policy_domain_matches(const struct list *domains, const char *domain);

/* The transports of a recipient at an attempt, in order, then NULL: those of
 * the first route that matches, direct alone where none does. account may be
 * NULL; attempts are those made before this one. override (--transport) is
 * what is used whatever the routes say; NULL or empty: nothing. route may be
 * NULL; it gets the route or NULL. */
const struct transport *const *
policy_transports(const struct config *c,
		  const struct transport *const *override,
		  const struct account *account, const char *sender,
		  const char *recipient, unsigned attempts,
		  const struct route **route);

/* Whether an account is this user's by name, so that -a says no more than he
 * may say in an entry that he wrote himself. */
bool policy_is_users(const struct account *account, const char *user);
/* Whether a sender that match_from names leads this user to an account, so that
 * he needs no -a to get there. */
bool policy_leads_to(const struct config *c, const struct account *account,
		     const char *user);
/* Whether any mail of this account could go by a transport, whoever it is to
 * and however often it was tried. */
bool policy_reaches(const struct config *c, const struct account *account,
		    const char *transport);

/* --- TLS --- */

enum tls_demand {
	DEMAND_NONE,           /* clear text */
	DEMAND_OPPORTUNISTIC,  /* TLS where offered, any certificate */
	DEMAND_ENCRYPTED,      /* TLS required, any certificate */
	DEMAND_VERIFIED        /* TLS required, certificate verified (PKIX,
				* pin, or DANE, as the parameters say) */
};
/* What DNS and MTA-STS said about one host of a direct delivery. */
struct tls_evidence {
	bool dane_failed;      /* the TLSA records cannot be had */
	bool dane_records;     /* authenticated TLSA records exist */
	bool dane_usable;      /* one of them has usage 2 or 3 */
	bool sts_failed;       /* there is a policy, which cannot be had */
	bool sts_enforce;      /* MTA-STS policy in mode enforce lists it */
	bool sts_unlisted;     /* one in mode enforce does not */
};
/* Whether such a host may be used. DANE goes before MTA-STS (RFC 8461 section
 * 2); REQUIRETLS is worth nothing towards a host whose name nothing vouches
 * for (RFC 8689 section 4.2.1). */
enum host_use {
	HOST_USED,
	HOST_NOT_NOW,          /* what is known may be an attack: for now */
	HOST_NOT_PROVED        /* require_tls, and neither: for good */
};
enum host_use policy_host(const struct tls_evidence *evidence,
			  bool require_tls);
/* Whether TLS starts with the connection. */
bool policy_tls_implicit(const struct transport *t);
/* socket: the host is a UNIX socket. evidence may be NULL. relaxed:
 * TLS-Required: No, without REQUIRETLS. */
enum tls_demand policy_tls(const struct transport *t, bool socket,
			   const struct tls_evidence *evidence, bool relaxed);
/* The demand to begin with at such a host; tested: an MTA-STS policy in mode
 * testing lists it, and is tried as if it were enforced (RFC 8461 section
 * 5). */
enum tls_demand policy_first_demand(enum tls_demand demand, bool tested);
/* Whether the same address is tried once more with a weaker demand, which
 * takes the place of *demand; host: what it must give at least. Where any TLS
 * would do, clear text is what we would have had without STARTTLS. */
bool policy_falls_back(enum tls_demand *demand, enum tls_demand host,
		       const struct outcome *failed);
/*
 * Whether the name of a server that SRV records lead to counts in its
 * certificate beside the domain's. SRV answers without DNSSEC may come from
 * anyone on the way, so that a target's own certificate proves nothing: RFC
 * 6186 section 6 wants the domain that the user named in it, and asks the user
 * where a server has another one. Nobody is there to be asked, therefore a
 * target is believed only below that domain, or where the answer is
 * authentic; for all others tls_name is the user's word.
 */
bool policy_believes_target(const char *target, const char *domain,
			    bool authentic);
/* Words for --explain and --probe. */
const char *demand_name(enum tls_demand demand);

/* --- SASL mechanism --- */

struct auth_facts {
	bool tls;              /* the session is encrypted */
	bool verified;         /* and the server's certificate was verified */
	bool binding;          /* channel binding data can be had */
	bool username;         /* one is set or was found */
	bool password;
	bool token;
	bool certificate;      /* the server asked for a client certificate
				* and got it */
	bool ticket;           /* Kerberos credentials are there */
	bool downgraded;       /* in clear by chance (TLS was opportunistic),
				* not by configuration: then no mechanism
				* that shows the secret, even if named */
};
/* The mechanism to use out of those offered: the first acceptable one of
 * configured (if not empty) or of the table. NULL: none, why is filled
 * (EX_NOPERM, what was offered and what is allowed). */
const char *policy_mechanism(const struct list *offered,
			     const struct list *configured,
			     const struct auth_facts *facts,
			     struct outcome *why);
/* The mechanism to try once after a refusal of refused, or NULL. */
const char *policy_second_mechanism(const char *refused,
				    const struct list *offered,
				    const struct list *configured,
				    const struct auth_facts *facts);
/* Whether a server's answer to AUTH says that it does not know the mechanism,
 * which says nothing about the password: the next one may be tried. */
bool policy_is_unknown(const struct outcome *refusal);

/* Where a transport's password comes from. */
enum secret_way {
	SECRET_GIVEN, SECRET_FILE, SECRET_COMMAND, SECRET_CREDENTIAL,
	SECRET_NONE,           /* no need of one: a token, a certificate, or
				* mechanisms without a use for it */
	SECRET_LOOKED_FOR      /* in ~/.netrc, or it is asked for */
};
enum secret_way policy_secret(const struct transport *t);
/* Whether somebody may be asked to type it where ~/.netrc has none. */
bool policy_asks_password(const struct transport *t);

/* --- the walk over hosts and addresses --- */

/* Whether a later try's outcome takes the place of an earlier one of the
 * same attempt. What was for now stands against whatever a later host says
 * of its session, or the way to it, alone; a refusal of the message itself
 * ends the matter; what one host lacks gives way to anything. An address that
 * cannot be reached says nothing against what its host said at another, nor a
 * host against what is wrong here. */
bool policy_replaces(const struct outcome *old, const struct outcome *new);
/* Whether it is for somebody here to mend: a login, the configuration. He is
 * to hear of it, whatever another way comes to. */
bool policy_needs_mending(const struct outcome *o);
/* Whether a server refused who logged in, for good. */
bool policy_refuses_login(const struct outcome *o);
/* Whether another address of the same host may be tried after it. */
bool policy_next_address(const struct outcome *o);
/* Whether a host with addresses of both families is to be asked by the other
 * one at once: a refusal by policy (x.7.x), or one before MAIL. */
bool policy_other_family(const struct outcome *o);
/* How many of the addresses known of a host are tried, if so many hosts
 * follow it and so many addresses may still be tried in all. */
size_t policy_addresses(size_t known, size_t hosts_behind, size_t left);

/* What a message cannot go without. */
struct message_needs {
	int64_t size;          /* bytes as they will be sent */
	bool utf8;             /* SMTPUTF8 */
	bool require_tls;      /* REQUIRETLS */
};
/* Whether a host lacks any of it: why is filled then (5.3.4, 5.6.7, 5.7.30;
 * lacking is set), which is final once no other host is left. */
bool policy_lacks(const struct features *f, const struct message_needs *need,
		  bool verified, struct outcome *why);

/* --- the transaction --- */

/* The largest message that goes with MAIL, RCPT and BDAT in one flight. */
enum { ONE_FLIGHT = 64 * 1024 };
struct flight_facts {
	bool chunking, pipelining, lmtp;
	bool has_command;      /* a line could pass for a command */
	int64_t size;
};
/* Whether a message goes by BDAT; else by DATA. */
bool policy_one_flight(const struct flight_facts *f);
/* Whether BDAT may leave with MAIL and RCPT, on a session that has carried
 * so many transactions; dirty: the flight begins with RSET. Else it waits for
 * their answers. */
bool policy_bdat_ahead(unsigned carried, bool dirty);
/* Whether the answer to BDAT says that the server cannot do it after all. */
bool policy_chunking_is_broken(int code, size_t accepted);
/* Whether the answer to a RCPT, so many having been accepted before it, is
 * "too many recipients" in one of its spellings (RFC 5321 4.5.3.1.10): then
 * it goes into another transaction. */
bool policy_too_many(const struct outcome *o, size_t accepted);
/* Whether it says so in its enhanced status code. */
bool policy_names_limit(const struct outcome *o);
/* The answers to one transaction's RCPTs. */
struct rcpt_answers {
	size_t accepted;       /* before the first "too many" */
	size_t too_many;
	bool otherwise;        /* another answer came after the first of
				* those */
	bool named;            /* policy_names_limit of one of them */
};
/* Whether they show a limit: a->accepted recipients. */
bool policy_learns_limit(const struct rcpt_answers *a);
/* A session that ended within a transaction. */
struct session_end {
	unsigned carried;      /* transactions before it */
	size_t accepted;       /* of its recipients */
	bool refused;          /* others, for good */
	bool left;             /* the server took its leave, and has nothing of
				* the message */
};
/* Whether that says nothing of the message, so that a fresh session takes its
 * place: where it has carried its share and no RCPT was accepted, at no cost;
 * where the server leaves for the recipients that it refused (Postfix does
 * after twenty), since a fresh one asks about fewer. */
bool policy_session_is_spent(const struct session_end *end,
			     const struct outcome *o);
/* Whether an answer to the message sounds like one to another command, so
 * that a moment is worth waiting for one more. */
bool policy_doubts_answer(const struct outcome *o, bool lmtp);
/* The same of one to DATA or a chunk, for so many recipients: a refusal may be
 * the last of theirs, an answer late. */
bool policy_doubts_refusal(const struct outcome *o, size_t recipients);

/* --- early pipelining --- */

/*
 * Exim's extension PIPECONNECT: a client that has seen it offered sends EHLO,
 * login and message at once, before greeting and EHLO are answered, by what the
 * server said the last time.
 */
struct early_facts {
	bool wanted;           /* by configuration */
	bool known;            /* the server was seen to offer it */
	bool was_verified;     /* its certificate, on that occasion; false: it
				* was without TLS */
	bool lmtp, socket;
	enum tls_demand demand;
	bool tls, verified;    /* this connection, so far */
};
/* Whether nothing is waited for from here on: only on a connection that is
 * verified as it was then, or in clear where that is demanded, as it was. */
bool policy_early(const struct early_facts *f);
/* Whether what a server is like is worth remembering for that. */
bool policy_early_offered(const struct features *f, enum tls_demand demand,
			  bool tls, bool verified);

enum early_step { EARLY_GREETING, EARLY_HELLO, EARLY_LOGIN };
enum early_verdict {
	EARLY_HOLDS,           /* the server is as it was */
	EARLY_CHANGED,         /* it is not: what it takes is taken, what it
				* refuses may be for that reason alone */
	EARLY_REFUSED,         /* the same, and it is not likely to take any
				* of what follows */
	EARLY_LOST             /* that is no answer to this command */
};
/* What an answer means for what was sent after its command. same: the answer
 * to EHLO is what it was. */
enum early_verdict policy_early_answer(enum early_step step, int code,
				       bool same, const struct features *f);
/* The end of a first flight that a server answered otherwise than was
 * expected. */
struct early_end {
	bool message_sent;     /* the end of the message was in it */
	bool in_step;          /* it is known which answer was whose */
	bool refused;          /* MAIL, or what came before it, with no MAIL
				* accepted after that */
	bool taken;            /* the message was accepted */
	int code;              /* of the answer that ended it; 0: there was
				* none, as the connection broke, */
	bool silent;           /* or as none came in time: nobody knows what
				* the server does */
};
/* Whether none of it can have been accepted, so that all of it may be sent
 * again at once. */
bool policy_early_again(const struct early_end *end);

/* --- results --- */

/* The exit status of a server's answer: the one table of stage, code and
 * enhanced status ("": none). A 2xx gives EX_OK. */
int policy_exit(enum stage stage, int code, const char *status);
/* Fills *o from a complete reply: reply_describe and policy_exit. */
void policy_answer(const struct reply *r, enum stage stage, const char *host,
		   struct outcome *o);

/* What an outcome means for a recipient: with a queue, only refusals of the
 * message itself (MAIL, RCPT, the data, local and DNS permanents) are
 * failures; without one the exit status decides. */
enum rcpt_state policy_verdict(const struct outcome *o, bool queue);
/* Whether it counts as an attempt: not where this host had no network at all,
 * so that nobody could have been asked, or where a rate was in the way. */
bool policy_is_attempt(const struct outcome *o);
/* Whether another way (host, transport, attempt) may be tried after it. */
bool policy_try_elsewhere(const struct outcome *o);
/* Whether the next attempt may be made at once, if it goes another way: not
 * after what fails for good, be it for what one host lacks. */
bool policy_goes_on(const struct outcome *o);

struct tally {
	bool any_sent;      /* a server took it for a recipient */
	bool any_queued;    /* held on disk, synced */
	bool any_deferred;  /* failed for now and not held */
	int worst;          /* worst permanent exit status; EX_OK: none */
	int deferred;       /* exit status of what failed for now: 75, or
			     * 71, 73, 74 if any had it */
	int unheld;         /* exit status of a queue that did not take what
			     * failed for now; EX_OK: none */
};
void tally_add(struct tally *t, const struct outcome *o, bool held);
/* The exit status of a run. */
int tally_exit(const struct tally *t);

/* Whether what was refused here, before anybody was asked, is so for now: the
 * configuration gets mended. */
bool policy_refused_for_now(const struct outcome *o);
/* The reply that passes an outcome on to a client of -bs: ours, with the
 * server's numbers where they say the same of the message. Gives the code. */
int policy_reply(const struct outcome *o, bool temporary, char status[12]);
/* The exit status of a -bs whose input or output broke off: "try again" would
 * be wrong once a message was accepted. heard: something was read. */
int policy_broken_off(bool accepted, bool heard);

/* --- whether the queue is used --- */

enum queue_use {
	USE_NONE,              /* there is none */
	USE_IF_TENDED,         /* where it is there and runs come by */
	USE_ASKED,             /* an option wants it: where it can be used */
	USE_PROMISED           /* that it cannot be used is a failure */
};
/* asked: by an option (-odb, -odq). */
enum queue_use policy_queue_use(const struct config *c, bool asked);
/* Whether a message is put there before it is tried. */
bool policy_queues_first(const struct config *c, enum delivery_mode mode);

/* --- the queue's schedule --- */

/* Milliseconds to wait after so many attempts (>= 1), with jitter of 3 % by
 * random (any value). */
int64_t policy_delay(const struct config *c, unsigned attempts,
		     uint32_t random);
/* The wall clock's second at which it is tried again. */
int64_t policy_next(const struct config *c, unsigned attempts, int64_t now,
		    uint32_t random);
/* The longest wait of the schedule, in seconds, jitter and a minute more. */
int64_t policy_longest_wait(const struct config *c);
/* The time at which an entry was due before somebody made it due by hand, as
 * far as that still counts: 0 where it has passed, or lies so far ahead that
 * only a changed clock explains it. */
int64_t policy_regular(const struct config *c, int64_t now, int64_t regular);
/* The time to give an entry whose turn comes then: a time further ahead than
 * the longest wait of the schedule would pass for one of a changed clock. */
int64_t policy_turn(const struct config *c, int64_t now, int64_t turn);
/* How many attempts of the schedule somebody missed who was tried so often and
 * has waited so long since (seconds), and not for its next one: for a rate, or
 * because others had found the destination dead. No wait is longer than the
 * longest of the schedule, whatever a clock says. In policy_delayed and
 * policy_expired they count as attempts. */
unsigned policy_missed(const struct config *c, unsigned attempts,
		       int64_t waited);
/* What a recipient's next time depends on. */
struct retry_facts {
	unsigned attempts;     /* made and missed */
	int64_t turn;          /* a rate keeps it until then; 0: none does */
	int64_t wait;          /* it was not due before then; 0: it was due */
	int64_t regular;       /* the same of its entry, before somebody made
				* that due by hand */
};
/* The wall clock's second at which one is tried again. */
int64_t policy_retry(const struct config *c, const struct retry_facts *f,
		     int64_t now, uint32_t random);
/* Whether the sender is to hear that his message, which has waited so long
 * (ms) and was tried so often, is late: after the configured attempt, but not
 * within the first hour, which many attempts by hand would fill. */
bool policy_delayed(const struct config *c, unsigned attempts,
		    int64_t waited);
/* Whether a message queued so long ago (ms of run time, >= 0) has had its
 * time: only after an attempt, and a jump of the clock alone expires
 * nothing: the waits of the schedule up to this attempt, or about twenty
 * attempts, must have filled the lifetime, too (unless that is under an
 * hour). */
bool policy_expired(const struct config *c, unsigned attempts, int64_t age);

/* --- reports --- */

enum { REPORT_FULL_MAX = 512 * 1024 };    /* of a message in a report */

/* Whether a sender wants to hear of a recipient: a null one never does, others
 * by NOTIFY (RFC 3461 4.1; 0: not said). */
bool policy_wants_report(const char *sender, unsigned notify, bool delay);
/* Whether it was only ever refused for now, until its time was up. */
bool policy_gave_up(const struct outcome *o);
/* The status of RFC 3464: the server's, else one for what happened here. */
const char *policy_report_status(const struct outcome *o, bool delay);
/* What a person can do about it, in words. */
const char *policy_report_advice(const struct outcome *o);
/* Whether a report has all of the message that it is about, or its header
 * alone. */
bool policy_returns_body(const struct envelope *cause, bool delay,
			 int64_t size);
/* Whether a report about these recipients is one of RFC 6533, which needs
 * SMTPUTF8 only for a sender of that kind. */
bool policy_report_is_global(const struct envelope *cause, const size_t *rcpt,
			     size_t n);

/* --- whose turn it is --- */

/* Mail that waits for a worker. */
struct claim {
	bool late;             /* it was cut off before */
	size_t user, entry;    /* what its user, and its entry, have under
				* way */
	int64_t since;         /* monotonic ms: waiting */
};
/* Whether a comes before b: who has least under way does; of two that have as
 * much, who has waited longer. */
bool policy_claim_before(const struct claim *a, const struct claim *b);

/* How much a run has in hand, of all users and of one. */
struct room {
	size_t most;               /* entries, of all */
	size_t jobs, own_jobs;     /* entries in hand */
	size_t together;           /* memory that those of a size may take */
	size_t memory, own_memory; /* and do */
};
/* Whether the user's next entry, which takes so much memory, may be taken,
 * too: two thirds of what the others leave is the most that one user gets, so
 * that there is always some for the next one. One entry alone may take all. */
bool policy_has_room(const struct room *r, size_t more);

/* --- how fast --- */

/* How a server that said "too fast" is dealt with: not before until, and each
 * time it says so again twice as long as before, up to five minutes. The
 * clock is the caller's, in ms. */
struct pace {
	int64_t until, step;
};
/* Whether an answer says that: 421, or 454 4.7.0. */
bool policy_slows(const struct outcome *o);
void policy_slow_down(struct pace *p, int64_t now);
/* It took a message. */
void policy_speed_up(struct pace *p);

/* What was sent by a transport with a rate, as all processes that use it know
 * it; {0}: nothing. Times are the wall clock's, in ms. */
enum { RATE_SLOTS = 64 };
struct rate_row {
	int64_t slot[RATE_SLOTS];  /* rising */
	int64_t n[RATE_SLOTS];
	size_t used;
};
struct rate_state {
	struct rate_row row[RATE_UNITS];
	struct pace pace;
};
/* How long n recipients (no more than policy_rate_least) have to wait, in ms.
 * 0: they may go, and are counted as under way. most: as transport_rates
 * gives it. */
int64_t policy_rate_take(struct rate_state *s, const int64_t most[RATE_UNITS],
			 int64_t now, int64_t n);
/* Those that were taken then have their answer. */
void policy_rate_done(struct rate_state *s, const int64_t most[RATE_UNITS],
		      int64_t taken, int64_t now, int64_t n);
/* How many may ever go at once. */
int64_t policy_rate_least(const int64_t most[RATE_UNITS]);
/* How much later than the first of those that wait one's turn comes, before
 * which so many others have theirs; ms. */
int64_t policy_rate_turn(const int64_t most[RATE_UNITS], int64_t before);

/* --- setting up --- */

/* What a machine has that could run a queue. */
struct runner_facts {
	bool root;                  /* for the machine; else for one person */
	bool queue_owned;           /* the machine's queue has an owner */
	bool systemd;               /* runs */
	bool units;                 /* contrib/systemd is installed */
	bool user_systemd;          /* runs for this person */
	bool crontab;               /* the command */
	bool cron_d;                /* /etc/cron.d */
};
enum queue_runner { RUNNER_NONE, RUNNER_UNITS, RUNNER_USER_TIMER, RUNNER_CRON_D,
	      RUNNER_CRONTAB };
enum queue_runner policy_runner(const struct runner_facts *f);
/* What a person can do about a failure while a transport is set up, in words:
 * NULL where the failure's own say it. */
const char *policy_setup_advice(const struct outcome *why);
/* Whether another password could help. */
bool policy_setup_password(const struct outcome *why);

/* --- mail that stands still --- */

struct still_facts {
	bool held;             /* by somebody */
	bool report;           /* or an alarm: nobody waits for it */
	size_t pending;        /* recipients, */
	size_t limited;        /* of whom so many wait for a rate */
	int64_t queued;        /* wall clock, seconds */
};
/* From when on (wall clock, seconds) an entry counts as one that stands still,
 * if it is still there; 0: it does not. Where all wait for a rate that is a
 * day later: so long a rate may be used up, and longer where there is more
 * mail than it lets pass. */
int64_t policy_still_from(const struct config *c,
			  const struct still_facts *f);
/* Whether the postmaster may be told again: a day after the last time, which
 * was then (wall clock, seconds; 0: never). */
bool policy_alarm_due(const struct config *c, int64_t last, int64_t now);
/* The transport for an alarm to this recipient where others stand still (NULL
 * ends them), out of those that the routes have for him at any attempt. NULL:
 * the one he has first, as ever, or there is no better one. */
const struct transport *
policy_alarm_way(const struct config *c, const struct account *account,
		 const char *recipient, const struct transport *const *still);

/* --- health: what a monitoring program is told --- */

/* Also the exit statuses of monitoring plugins. */
enum health { HEALTH_OK, HEALTH_WARNING, HEALTH_CRITICAL };

/* Seconds since the last run of the queue (negative: there was none), and for
 * how many the longest entry has been due (0: none is). */
enum health policy_health_runner(int64_t idle, int64_t overdue);
/* The age of the oldest entry in seconds, and how many wait. */
enum health policy_health_oldest(int64_t age);
enum health policy_health_waiting(size_t entries);
/* The seconds that a certificate still holds. */
enum health policy_health_expiry(int64_t left);
/* The seconds until a list of revoked certificates is to be renewed: an old one
 * counts as ever. */
enum health policy_health_renewal(int64_t left);
/* What is free of the queue's file system. */
enum health policy_health_space(unsigned percent);

#endif
