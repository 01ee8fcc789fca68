/* SPDX-License-Identifier: GPL-3.0-or-later */
/* argv to exit status. The only file that calls exit(). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/environment.h"
#include "base/file.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/user.h"
#include "desk/desk.h"
#include "submit/link.h"
#include "wire/lookup.h"
#include "wire/sasl.h"
#include "wire/tls.h"

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
	int status, sandbox;

	buf_addf(&out, "posthaste %s\n", PACKAGE_VERSION);
	buf_addf(&out, "features: tls sasl queue direct socks dane dkim "
		 "%s %s\n",
		 BUILT_WITH_MTA_STS ? "mta-sts" : "no-mta-sts",
		 BUILT_WITH_OAUTH ? "oauth" : "no-oauth");
	buf_addf(&out, "libraries: GnuTLS %s, libgsasl %s, c-ares %s\n",
		 tls_library_version(), sasl_library_version(),
		 dns_library_version());
	sandbox = sandbox_version();
	if (sandbox)
		buf_addf(&out, "sandbox: Landlock %d\n", sandbox);
	else
		buf_adds(&out, "sandbox: none (Landlock is not to be had)\n");
	buf_addf(&out, "configuration: %s\nqueue: %s\n",
		 d->place->system_file, d->place->queue_directory);
	status = desk_report(&out);
	buf_release(&out);
	return status;
}

/* What each command does, and what it makes of the configuration. --check
 * reads it for its own sake, --configure for a resolver and the like,
 * --store-password mends a file that is at fault; none is stopped by one. */
static const struct {
	int (*run)(const struct desk *d);
	enum {
		CONFIG_NEEDED,
		CONFIG_READ,
		CONFIG_ROOTS,         /* read, and what is written is root's */
		CONFIG_IGNORED
	} config;
} commands[] = {
	[COMMAND_SEND] = { desk_send, CONFIG_NEEDED },
	[COMMAND_SMTPD] = { desk_smtpd, CONFIG_NEEDED },
	[COMMAND_LIST] = { desk_list, CONFIG_NEEDED },
	[COMMAND_NEWALIASES] = { newaliases, CONFIG_IGNORED },
	[COMMAND_RUN] = { desk_run, CONFIG_NEEDED },
	[COMMAND_CHECK] = { desk_check, CONFIG_READ },
	[COMMAND_HEALTH] = { desk_health, CONFIG_READ },
	[COMMAND_EXPLAIN] = { desk_explain, CONFIG_NEEDED },
	[COMMAND_PROBE] = { desk_probe, CONFIG_NEEDED },
	[COMMAND_DNSCHECK] = { desk_dnscheck, CONFIG_NEEDED },
	[COMMAND_CONFIGURE] = { desk_configure, CONFIG_READ },
	[COMMAND_LOGIN] = { desk_login, CONFIG_NEEDED },
	[COMMAND_SETUP] = { desk_setup, CONFIG_ROOTS },
	[COMMAND_STORE_PASSWORD] = { desk_store_password, CONFIG_ROOTS },
	[COMMAND_SHOW] = { desk_administer, CONFIG_NEEDED },
	[COMMAND_HOLD] = { desk_administer, CONFIG_NEEDED },
	[COMMAND_RELEASE] = { desk_administer, CONFIG_NEEDED },
	[COMMAND_REMOVE] = { desk_administer, CONFIG_NEEDED },
	[COMMAND_RETRY] = { desk_administer, CONFIG_NEEDED },
	[COMMAND_HELP] = { help, CONFIG_IGNORED },
	[COMMAND_VERSION] = { version, CONFIG_IGNORED },
};

/* Rights that the caller lacks are given up before anything is read. Whether
 * there were any; nothing is sent then. */
static bool gives_up_rights(void)
{
	bool set_id = getauxval(AT_SECURE) || getuid() != geteuid() ||
		      getgid() != getegid();

	if (set_id && (setresgid(getgid(), getgid(), getgid()) ||
		       setresuid(getuid(), getuid(), getuid()))) {
		fputs("posthaste: rights cannot be given up\n", stderr);
		exit(EX_NOPERM);
	}
	return set_id;
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

static bool check_names(struct desk *d, struct outcome *why)
{
	const char *transport = d->options->transport;

	if (transport)
		d->transport[0] = config_transport(d->config, transport);
	if (transport && !d->transport[0])
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
				    "there is no transport \"%s\"", transport);
	if (d->options->account &&
	    !config_account(d->config, d->options->account))
		return outcome_fail(why, STAGE_LOCAL, EX_CONFIG,
				    "there is no account \"%s\"",
				    d->options->account);
	return true;
}

static int main_fail(const struct desk *d, const struct outcome *why)
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

static int run_command(struct desk *d, bool set_id, int argc, char **argv,
		       struct options *options, struct config *config,
		       struct config_place *place)
{
	struct outcome usage, why, down;
	bool understood = options_parse(argc, argv, options, &usage);
	bool configured, stepped;

	if (set_id) {
		outcome_fail(&why, STAGE_LOCAL, EX_NOPERM, "refuses to run "
			     "set-user-id or set-group-id");
		return main_fail(d, &why);
	}
	if (understood && commands[options->command].config == CONFIG_IGNORED)
		return commands[options->command].run(d);
	place->file = options->config;
	configured = config_load(place, config, &why);
	stepped = (understood &&
		   commands[options->command].config == CONFIG_ROOTS) ||
		  desk_step_down(config, options->command == COMMAND_LOGIN,
				 &down);
	open_log(config);
	if (config->url_ignored)
		desk_complain("POSTHASTE_URL is not used: root sends as the "
			      "owner of the system's queue");
	if (!understood)
		return main_fail(d, &usage);
	if (!configured && (why.exit != EX_CONFIG ||
			    commands[options->command].config ==
			    CONFIG_NEEDED))
		return main_fail(d, &why);
	if (!stepped)
		return main_fail(d, &down);
	/* --setup names a provider by --transport */
	if (configured && options->command != COMMAND_SETUP &&
	    !check_names(d, &why))
		return main_fail(d, &why);
	return commands[options->command].run(d);
}

int main(int argc, char **argv)
{
	const struct rlimit none = { 0, 0 };
	struct options options = { 0 };
	struct config config = { 0 };
	struct caller caller = { .uid = getuid() };
	struct config_place place = {
		.system_file = CONFIG_FILE,
		.queue_directory = QUEUE_DIRECTORY,
		.priorities_valid = tls_priorities_valid,
		.canonical_name = net_canonical_name,
		.mailname = "/etc/mailname",
	};
	struct desk d = {
		.options = &options, .config = &config, .caller = &caller,
		.place = &place,
		.no_input = fcntl(STDIN_FILENO, F_GETFD) < 0,
	};
	bool set_id;
	int status;

	environment_clean(argv);
	caller.name = getenv("NAME");
	file_reserve_standard();
	set_id = gives_up_rights();
	/* a password lives in this process: no core, no tracing */
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
	umask(077);
	status = run_command(&d, set_id, argc, argv, &options, &config,
			     &place);
	config_release(&config);
	caller_release(&caller);
	exit(status);
}
