/* SPDX-License-Identifier: GPL-3.0-or-later */
/* argv to exit status. The only file that calls exit(). */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "desk/desk.h"
#include "submit/transport.h"
#include "wire/sasl.h"

static int newaliases(const struct desk *d)
{
	(void)d;
	return EX_OK;
}

static int help(const struct desk *d)
{
	struct buf out = BUF(256 * 1024);
	int status;

	(void)d;
	options_help(&out);
	status = desk_report(&out);
	buf_release(&out);
	return status;
}

static int version(const struct desk *d)
{
	struct buf out = BUF(4096);
	int status;

	(void)d;
	buf_addf(&out, "posthaste %s\n", PACKAGE_VERSION);
	buf_addf(&out, "features: tls sasl queue direct socks dane dkim %s\n",
		 BUILT_WITH_MTA_STS ? "mta-sts" : "no-mta-sts");
	buf_addf(&out, "libraries: GnuTLS %s, libgsasl %s, c-ares %s\n",
		 tls_library_version(), sasl_library_version(),
		 dns_library_version());
	status = desk_report(&out);
	buf_release(&out);
	return status;
}

/* What each command does, and whether it does so with a faulty (or without
 * any) configuration. */
static const struct {
	int (*run)(const struct desk *d);
	bool unconfigured;
} commands[] = {
	[COMMAND_SEND] = { desk_send, false },
	[COMMAND_SMTPD] = { desk_smtpd, false },
	[COMMAND_LIST] = { desk_list, false },
	[COMMAND_NEWALIASES] = { newaliases, true },
	[COMMAND_RUN] = { desk_run, false },
	[COMMAND_CHECK] = { desk_check, true },
	[COMMAND_EXPLAIN] = { desk_explain, false },
	[COMMAND_PROBE] = { desk_probe, false },
	[COMMAND_DNSCHECK] = { desk_dnscheck, false },
	[COMMAND_CONFIGURE] = { desk_configure, true },
	[COMMAND_SHOW] = { desk_administer, false },
	[COMMAND_HOLD] = { desk_administer, false },
	[COMMAND_RELEASE] = { desk_administer, false },
	[COMMAND_REMOVE] = { desk_administer, false },
	[COMMAND_RETRY] = { desk_administer, false },
	[COMMAND_HELP] = { help, true },
	[COMMAND_VERSION] = { version, true },
};

/* A password lives in this process: no core, no tracing, and never with
 * rights that its caller lacks. */
static void harden(void)
{
	const struct rlimit none = { 0, 0 };

	if (getauxval(AT_SECURE) || getuid() != geteuid() ||
	    getgid() != getegid()) {
		fputs("posthaste: refuses to run set-user-id or "
		      "set-group-id\n", stderr);
		exit(EX_NOPERM);
	}
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	umask(077);
}

static void open_log(const struct config *c)
{
	const struct log_settings settings = {
		.to = c->log.to ? c->log.to : "syslog",
		.json = c->log.format == LOG_JSON,
		.level = (enum log_level)c->log.level,
	};

	log_open(&settings);
}

/* Root with the system's configuration becomes the queue's owner before it
 * touches queue, secrets or network. */
static bool step_down(const struct config *c, struct outcome *why)
{
	struct stat st;
	struct passwd *pw;
	gid_t gid;

	if (geteuid() || c->user_file || !c->queue.directory ||
	    stat(c->queue.directory, &st) || !st.st_uid)
		return true;
	pw = getpwuid(st.st_uid);
	gid = pw ? pw->pw_gid : st.st_gid;
	log_give(st.st_uid, gid);
	if ((pw ? initgroups(pw->pw_name, gid) : setgroups(0, NULL)) ||
	    setresgid(gid, gid, gid) ||
	    setresuid(st.st_uid, st.st_uid, st.st_uid))
		return outcome_fail(why, STAGE_LOCAL, EX_OSERR,
				    "cannot become the queue's owner: %s",
				    strerror(errno));
	prctl(PR_SET_DUMPABLE, 0);
	return true;
}

static bool prepare(const struct desk *d, struct outcome *why)
{
	const char *transport = d->options->transport;

	if (transport && !transport_find(d->config, transport))
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
				    "there is no transport \"%s\"", transport);
	if (d->options->account &&
	    !config_account(d->config, d->options->account))
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
				    "there is no account \"%s\"",
				    d->options->account);
	return step_down(d->config, why);
}

static int fail(const struct desk *d, const struct outcome *why)
{
	int status = desk_fail(d, why);
	char words[2048];
	size_t i;

	for (i = 1; i < d->config->errors && why->exit == EX_CONFIG; i++) {
		config_fault_words(&d->config->error[i], words, sizeof(words));
		desk_complain("%s", words);
	}
	if (options_read_message(d->options) && !d->no_input)
		message_drain(STDIN_FILENO);
	return status;
}

/* --check reads it for its own sake, --configure for a resolver and the
 * like; neither is stopped by a fault. */
static bool ignores_configuration(enum command command)
{
	return commands[command].unconfigured && command != COMMAND_CHECK &&
	       command != COMMAND_CONFIGURE;
}

static int run_command(struct desk *d, int argc, char **argv,
		       struct options *options, struct config *config)
{
	struct outcome usage, why;
	struct config_place place = {
		.system_file = CONFIG_FILE,
		.queue_directory = QUEUE_DIRECTORY,
		.priorities_valid = tls_priorities_valid,
	};
	bool understood = options_parse(argc, argv, options, &usage);
	bool configured;

	if (understood && ignores_configuration(options->command))
		return commands[options->command].run(d);
	place.file = options->config;
	configured = config_load(&place, config, &why);
	open_log(config);
	if (config->url_ignored)
		desk_complain("POSTHASTE_URL is not used: root sends as the "
			      "owner of the system's queue");
	if (!understood)
		return fail(d, &usage);
	if (!configured && !commands[options->command].unconfigured)
		return fail(d, &why);
	if (configured ? !prepare(d, &why) : !step_down(config, &why))
		return fail(d, &why);
	return commands[options->command].run(d);
}

int main(int argc, char **argv)
{
	struct options options = { 0 };
	struct config config = { 0 };
	struct caller caller = {
		.uid = getuid(), .name = getenv("NAME"),
	};
	struct desk d = {
		.options = &options, .config = &config, .caller = &caller,
		.no_input = fcntl(STDIN_FILENO, F_GETFD) < 0,
	};
	int status;

	file_reserve_standard();
	harden();
	status = run_command(&d, argc, argv, &options, &config);
	config_release(&config);
	caller_release(&caller);
	exit(status);
}
