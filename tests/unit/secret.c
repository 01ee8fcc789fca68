/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "submit/secret.h"
#include "submit/secret_source.h"

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static char directory[] = "/tmp/secret-test-XXXXXX";

static char *path_of(const char *name)
{
	return mem_printf("%s/%s", directory, name);
}

static char *put(const char *name, const char *text, size_t n, mode_t mode)
{
	char *path = path_of(name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

static void drop(char *path)
{
	unlink(path);
	free(path);
}

/* In a session without a terminal: nobody is asked anything. */
static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	return setenv("HOME", directory, 1);
}

static int tear_down(void **state)
{
	(void)state;
	return rmdir(directory);
}

static void test_files(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		mode_t mode;
		const char *expected; /* NULL: EX_CONFIG */
	} cases[] = {
		{ "secret\n", 7, 0600, "secret" },
		{ "secret", 6, 0400, "secret" },
		{ "secret\r\nmore\n", 13, 0640, "secret" },
		{ " with blanks \n", 14, 0600, " with blanks " },
		{ "secret\n", 7, 0604, NULL },
		{ "secret\n", 7, 0644, NULL },
		{ "", 0, 0600, NULL },
		{ "\nsecret\n", 8, 0600, NULL },
		{ "a\0b\n", 4, 0600, NULL },
	};
	struct outcome why;
	char *path, *got;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		path = put("file", cases[i].text, cases[i].n, cases[i].mode);
		got = NULL;
		if (secret_file(path, &got, &why) !=
		    (cases[i].expected != NULL))
			fail_msg("case %zu", i);
		if (cases[i].expected) {
			assert_string_equal(got, cases[i].expected);
		} else {
			assert_null(got);
			assert_int_equal(why.exit, EX_CONFIG);
			assert_null(strstr(why.text, "secret\n"));
		}
		mem_wipe_string(got);
		drop(path);
	}
}

static void test_no_files(void **state)
{
	struct outcome why;
	char *path = path_of("absent"), *got = NULL, *long_line;

	(void)state;
	assert_false(secret_file(path, &got, &why));
	assert_int_equal(why.exit, EX_CONFIG);
	assert_non_null(strstr(why.text, "absent"));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_false(secret_file(path, &got, &why));
	assert_int_equal(why.exit, EX_CONFIG);
	drop(path);
	assert_false(secret_file(directory, &got, &why));
	assert_int_equal(why.exit, EX_CONFIG);
	long_line = mem_alloc(100000);
	memset(long_line, 'x', 100000);
	path = put("long", long_line, 100000, 0600);
	assert_false(secret_file(path, &got, &why));
	assert_int_equal(why.exit, EX_CONFIG);
	free(long_line);
	drop(path);
}

static void test_credentials(void **state)
{
	static const char *const bad[] = { "", ".", "..", "a/b", "../cred",
					   "absent" };
	char *path = put("cred", "pw\n", 3, 0400), *got = NULL;
	struct outcome why;
	size_t i;

	(void)state;
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_false(secret_credential("cred", &got, &why));
	assert_int_equal(why.exit, EX_CONFIG);
	setenv("CREDENTIALS_DIRECTORY", directory, 1);
	assert_true(secret_credential("cred", &got, &why));
	assert_string_equal(got, "pw");
	mem_wipe_string(got);
	/* the directory keeps others out, as container secrets rely on */
	assert_int_equal(chmod(path, 0444), 0);
	assert_true(secret_credential("cred", &got, &why));
	mem_wipe_string(got);
	for (i = 0; i < COUNT(bad); i++) {
		assert_false(secret_credential(bad[i], &got, &why));
		assert_int_equal(why.exit, EX_CONFIG);
	}
	unsetenv("CREDENTIALS_DIRECTORY");
	drop(path);
}

static void test_commands(void **state)
{
	static const struct {
		const char *command, *expected, *words;
	} cases[] = {
		{ "echo secret", "secret", NULL },
		{ "printf 'one\\ntwo\\n'", "one", NULL },
		{ "printf bare", "bare", NULL },
		{ "cat; echo end", "end", NULL },   /* stdin is empty */
		{ "echo secret; exit 3", NULL, "status 3" },
		{ "true", NULL, "empty" },
		{ "echo; echo secret", NULL, "empty" },
		{ "printf 'se\\000cret'", NULL, "NUL" },
		{ "kill -9 $$", NULL, "signal 9" },
		{ "/nonexistent/program 2>&-", NULL, "status 127" },
		{ "head -c 70000 /dev/zero | tr '\\0' x", NULL, "more than" },
		{ "yes secret", NULL, "more than" },
		/* whoever stays behind does not hold us up */
		{ "echo secret; sleep 5 2>&- &", "secret", NULL },
		/* the child's own state */
		{ "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1",
		  NULL },
		{ "ls /proc/self/fd | tr '\\n' ' '", "0 1 2 3 ", NULL },
		{ "grep SigIgn /proc/self/status | "
		  "grep -o '[08]000$' | tr 8 0", "0000", NULL },
	};
	struct outcome why;
	char *got;
	int64_t before = clock_now();
	int extra = open("/dev/null", O_RDONLY), high = dup2(extra, 77);
	size_t i;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < COUNT(cases); i++) {
		got = NULL;
		why.text[0] = '\0';
		if (secret_command(cases[i].command, 60000, false, &got,
				   &why) != (cases[i].expected != NULL))
			fail_msg("%s: %s", cases[i].command, why.text);
		if (cases[i].expected) {
			assert_string_equal(got, cases[i].expected);
		} else {
			assert_int_equal(why.exit, EX_TEMPFAIL);
			if (!strstr(why.text, cases[i].words))
				fail_msg("%s: %s", cases[i].command,
					 why.text);
			assert_null(strstr(why.text, "secret"));
		}
		mem_wipe_string(got);
	}
	signal(SIGPIPE, SIG_DFL);
	close(extra);
	close(high);
	assert_true(clock_now() - before < 5000);
}

static void test_deadline(void **state)
{
	char *path = path_of("pid"), *got = NULL, *command;
	int64_t before = clock_now();
	struct outcome why;
	FILE *f;
	int pid = 0;

	(void)state;
	/* a grandchild in the same group, too, is ended */
	command = mem_printf("sleep 60 & echo $! > %s; wait", path);
	assert_false(secret_command(command, 300, false, &got, &why));
	assert_true(clock_now() - before < 10000);
	assert_int_equal(why.exit, EX_TEMPFAIL);
	assert_non_null(strstr(why.text, "did not end"));
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	fclose(f);
	/* gone, or a zombie that nobody has waited for yet */
	if (!kill(pid, 0)) {
		free(command);
		/* the signal may still be on its way */
		command = mem_printf("for i in $(seq 200); do "
				     "grep -q '^State:.Z' /proc/%d/status ||"
				     " ! kill -0 %d 2>&- && echo 0 && exit; "
				     "sleep 0.05; done; echo 1", pid, pid);
		assert_true(secret_command(command, 60000, false, &got, &why));
		assert_string_equal(got, "0");
		mem_wipe_string(got);
	}
	free(command);
	drop(path);
}

static void test_sigchld_ignored(void **state)
{
	struct sigaction now;
	struct outcome why;
	char *got = NULL;

	(void)state;
	signal(SIGCHLD, SIG_IGN);
	assert_false(secret_command("exit 4", 60000, false, &got, &why));
	assert_non_null(strstr(why.text, "status 4"));
	assert_true(secret_command("echo x", 60000, false, &got, &why));
	mem_wipe_string(got);
	sigaction(SIGCHLD, NULL, &now);
	assert_true(now.sa_handler == SIG_IGN);
	signal(SIGCHLD, SIG_DFL);
}

static void test_netrc(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{ "machine h login u password p\n", "p" },
		{ "machine H login u password p", "p" },
		{ "machine\n\th\n login\tu\r\npassword p", "p" },
		{ "machine h password p login u", "p" },
		{ "machine h password p", "p" },
		{ "machine h login v password q\n"
		  "machine h login u password p", "p" },
		{ "machine x login u password q default login u password p",
		  "p" },
		{ "default password p", "p" },
		{ "machine h login u account a password p", "p" },
		{ "machine h login u password \"p w \\\" \\\\\"",
		  "p w \" \\" },
		{ "machine h login u password a\\b", "a\\b" },
		{ "machine h login u password #p", "#p" },
		{ "# machine h login u password q\n"
		  "machine h login u password p", "p" },
		{ "machine x login u password q # machine h\n"
		  "machine h # note\nlogin u password p", "p" },
		{ "macdef m\nmachine h login u password q\n\n"
		  "machine h login u password p", "p" },
		{ "machine x macdef m\nmachine h login u password q\n\n"
		  "machine h2 login u password p", "p" },
		{ "machine h login u password machine", "machine" },
		{ "machine x login u password q", NULL },
		{ "machine h login v password q", NULL },
		{ "machine h login u", NULL },
		{ "machine h login u password", NULL },
		{ "machine h login u password \"\"", NULL },
		{ "machine h login u password \"open", "open" },
		{ "machine h login", NULL }, { "machine", NULL },
		{ "default", NULL }, { "macdef", NULL }, { "\"", NULL },
		{ "machine h \"login\" u password", NULL }, { "", NULL },
		{ "machine h login u password \\", "\\" },
		{ "machine h login u password \"\\", "\\" },
	};
	struct list hosts = { 0 };
	struct outcome why;
	char *path, *got;
	size_t i;

	(void)state;
	list_split(&hosts, "h2 h", " ");
	for (i = 0; i < COUNT(cases); i++) {
		path = put("netrc", cases[i].text, strlen(cases[i].text),
			   0600);
		got = NULL;
		assert_true(secret_netrc(path, &hosts, "u", &got, &why));
		if (!cases[i].expected && got)
			fail_msg("case %zu: %s", i, got);
		if (cases[i].expected &&
		    (!got || strcmp(got, cases[i].expected)))
			fail_msg("case %zu: %s", i, got ? got : "none");
		mem_wipe_string(got);
		drop(path);
	}
	list_release(&hosts);
}

static void test_netrc_readable(void **state)
{
	static const char text[] = "machine h login u password p\n";
	struct list hosts = { 0 };
	struct outcome why;
	char *path, *got = NULL;

	(void)state;
	list_add(&hosts, "h");
	path = path_of("absent");
	assert_true(secret_netrc(path, &hosts, "u", &got, &why));
	assert_null(got);
	free(path);
	path = put("netrc", text, strlen(text), 0644);
	assert_false(secret_netrc(path, &hosts, "u", &got, &why));
	assert_null(got);
	assert_int_equal(why.exit, EX_CONFIG);
	/* of no concern to those whom it says nothing about */
	assert_true(secret_netrc(path, &hosts, "v", &got, &why));
	assert_null(got);
	drop(path);
	list_release(&hosts);
}

static void test_order(void **state)
{
	char *file = put("file", "from file\n", 10, 0600);
	char *netrc = put(".netrc", "machine h login u password netrc\n", 33,
			  0600);
	struct transport t = { .username = "u", .name = "relay" };
	struct { char **key; char *value; const char *expected; } steps[] = {
		{ NULL, NULL, "netrc" },
		{ &t.password_command, "echo from command", "from command" },
		{ &t.password_file, file, "from file" },
		{ &t.password, "inline", "inline" },
	};
	const struct secret *got;
	struct outcome why;
	struct secrets *s;
	size_t i;

	(void)state;
	list_add(&t.host, "h");
	for (i = 0; i < COUNT(steps); i++) {
		if (steps[i].key)
			*steps[i].key = steps[i].value;
		s = secrets_new(NULL);
		assert_true(secrets_get(s, &t, &got, &why));
		assert_string_equal(got->username, "u");
		assert_string_equal(got->password, steps[i].expected);
		assert_null(got->token);
		secrets_free(s);
	}
	list_release(&t.host);
	drop(file);
	drop(netrc);
}

static void test_none(void **state)
{
	char *netrc = put(".netrc", "default login u password netrc\n", 31,
			  0600);
	struct transport t = { .name = "relay" };
	const struct secret *got, *again;
	struct outcome why;
	struct secrets *s = secrets_new(NULL);

	(void)state;
	list_add(&t.host, "h");
	assert_true(secrets_get(s, &t, &got, &why));
	assert_null(got->username);
	assert_null(got->password);
	assert_null(got->token);
	assert_true(secrets_get(s, &t, &again, &why));
	assert_ptr_equal(got, again);
	assert_false(secrets_renew_token(s, &t, &got, &why));
	secrets_free(s);
	secrets_free(NULL);
	list_release(&t.host);
	drop(netrc);
}

static void test_once(void **state)
{
	char *path = path_of("count");
	char *command = mem_printf("echo x >> %s; wc -l < %s", path, path);
	char *failing = mem_printf("echo x >> %s; exit 1", path);
	struct transport t = { .name = "relay", .username = "u",
			       .password = "p", .token_command = command };
	struct transport bad = { .name = "broken", .username = "u",
				 .password_command = failing };
	const struct secret *got;
	struct outcome why;
	struct secrets *s = secrets_new(NULL);
	struct stat st;

	(void)state;
	assert_true(secrets_get(s, &t, &got, &why));
	assert_true(secrets_get(s, &t, &got, &why));
	assert_string_equal(got->token, "1");
	assert_true(secrets_renew_token(s, &t, &got, &why));
	assert_string_equal(got->token, "2");
	assert_string_equal(got->password, "p");
	assert_false(secrets_renew_token(s, &t, &got, &why));
	assert_true(secrets_get(s, &t, &got, &why));
	assert_string_equal(got->token, "2");
	assert_false(secrets_get(s, &bad, &got, &why));
	assert_false(secrets_get(s, &bad, &got, &why));
	assert_int_equal(why.exit, EX_TEMPFAIL);
	assert_non_null(strstr(why.text, "broken"));
	assert_non_null(strstr(why.text, "password_command"));
	assert_non_null(strstr(why.text, "status 1"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 6);
	secrets_free(s);
	free(command);
	free(failing);
	drop(path);
}

/* A person at a terminal: what they see and what it gives. */
static void ask_there(const char *file)
{
	struct transport t = { .name = "relay", .username = "u\033[2J" };
	const struct secret *got;
	struct outcome why;
	struct secrets *s = secrets_new(NULL);
	FILE *f = fopen(file, "w");

	signal(SIGINT, SIG_DFL);
	if (f && secrets_get(s, &t, &got, &why))
		fprintf(f, "%s", got->password ? got->password : "(none)");
	if (f)
		fclose(f);
	secrets_free(s);
	_exit(0);
}

static void read_until(int fd, struct buf *seen, const char *what)
{
	char piece[256];
	ssize_t n;

	while (!strstr(buf_text(seen), what)) {
		n = read(fd, piece, sizeof(piece));
		if (n <= 0)
			fail_msg("the terminal ended: %s", buf_text(seen));
		buf_add(seen, piece, (size_t)n);
	}
}

static void test_prompt(void **state)
{
	char *path = path_of("answer"), answer[64] = "";
	struct buf seen = BUF(4096);
	int tty, status;
	pid_t pid = forkpty(&tty, NULL, NULL, NULL);
	FILE *f;

	(void)state;
	if (!pid)
		ask_there(path);
	assert_true(pid > 0);
	read_until(tty, &seen, "relay): ");
	assert_null(strchr(buf_text(&seen), '\033'));
	assert_int_equal(write(tty, "typed\n", 6), 6);
	read_until(tty, &seen, "\n");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_null(strstr(buf_text(&seen), "typed"));
	f = fopen(path, "r");
	assert_non_null(f);
	assert_non_null(fgets(answer, sizeof(answer), f));
	fclose(f);
	assert_string_equal(answer, "typed");
	close(tty);
	buf_release(&seen);
	drop(path);
}

static void test_prompt_interrupted(void **state)
{
	char *path = path_of("answer");
	struct buf seen = BUF(4096);
	struct termios now;
	int tty, status;
	pid_t pid = forkpty(&tty, NULL, NULL, NULL);

	(void)state;
	if (!pid)
		ask_there(path);
	assert_true(pid > 0);
	read_until(tty, &seen, "relay): ");
	assert_int_equal(kill(pid, SIGINT), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
	assert_int_equal(tcgetattr(tty, &now), 0);
	assert_true(now.c_lflag & ECHO);
	close(tty);
	buf_release(&seen);
	drop(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_no_files),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_sigchld_ignored),
		cmocka_unit_test(test_netrc),
		cmocka_unit_test(test_netrc_readable),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_prompt),
		cmocka_unit_test(test_prompt_interrupted),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
