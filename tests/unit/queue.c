/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "queue_room.h"

static void accepted_as_given(void **state)
{
	struct room *r = *state;
	struct queue_item item = { .uid = 4711, .queued = 1000 };
	struct message_limits limits = { 0 };
	struct message *m;
	struct outcome why;
	char id[QUEUE_ID_SIZE];
	struct entry *e;
	const char *data;

	r->v.account = (char *)(uintptr_t)"my work";
	r->v.envid = (char *)(uintptr_t)"QQ+3D314";
	r->v.dsn_return = RETURN_HDRS;
	r->v.eight_bit = r->v.utf8 = r->v.require_tls = true;
	r->rcpt[0].notify = NOTIFY_FAILURE | NOTIFY_DELAY;
	r->rcpt[0].orcpt = (char *)(uintptr_t)"rfc822;B@example.net";
	add(r, &item, id);
	e = take(r, id);
	assert_string_equal(e->id, id);
	assert_string_equal(e->envelope.sender, "a@example.org");
	assert_string_equal(e->envelope.account, "my work");
	assert_string_equal(e->envelope.envid, "QQ+3D314");
	assert_int_equal(e->envelope.dsn_return, RETURN_HDRS);
	assert_true(e->envelope.eight_bit && e->envelope.utf8 &&
		    e->envelope.require_tls);
	assert_false(e->envelope.seven_bit || e->envelope.tls_required_no);
	assert_int_equal(e->envelope.n, 3);
	assert_string_equal(e->envelope.rcpt[1].address,
			    "\"a %b\"@example.net");
	assert_string_equal(e->envelope.rcpt[2].address,
			    "d\xc3\xa9@example.com");
	assert_string_equal(e->envelope.rcpt[0].orcpt,
			    "rfc822;B@example.net");
	assert_int_equal(e->envelope.rcpt[0].notify,
			 NOTIFY_FAILURE | NOTIFY_DELAY);
	assert_int_equal(e->uid, 4711);
	assert_int_equal(e->queued, 1000);
	assert_int_equal(e->size, strlen(text));
	assert_false(e->foreign || e->held || e->interrupted || e->broken);
	assert_true(entry_message(e, &limits, &m, &why));
	assert_int_equal(message_bytes(m, 0, &data), strlen(text));
	assert_memory_equal(data, text, strlen(text));
	message_free(m);
	entry_release(e);
	assert_int_equal(files_in(r, "tmp"), 0);
}

static void progress_travels_along(void **state)
{
	struct room *r = *state;
	struct queue_item item = { 0 };
	char id[QUEUE_ID_SIZE];
	struct entry *e;
	size_t rcpt[3];

	r->rcpt[0].state = RCPT_SENT;
	r->rcpt[0].attempts = 1;
	r->rcpt[1].state = RCPT_FAILED;
	r->rcpt[1].attempts = 2;
	r->rcpt[1].last = (struct outcome){
		.stage = STAGE_RCPT, .exit = EX_NOUSER, .code = 550,
		.status = "5.1.1", .host = "mx.example.net",
		.text = "no text=such user" };
	add(r, &item, id);
	e = take(r, id);
	assert_int_equal(e->envelope.rcpt[0].state, RCPT_SENT);
	assert_int_equal(e->envelope.rcpt[1].state, RCPT_FAILED);
	assert_int_equal(e->envelope.rcpt[1].attempts, 2);
	assert_memory_equal(&e->envelope.rcpt[1].last, &r->rcpt[1].last,
			    offsetof(struct outcome, text));
	assert_string_equal(e->envelope.rcpt[1].last.text,
			    "no text=such user");
	assert_int_equal(e->envelope.rcpt[2].state, RCPT_PENDING);
	assert_int_equal(e->attempts, 2);
	/* whoever handed it over was told of the failure */
	assert_int_equal(entry_unreported(e, REPORT_FAILURE, rcpt), 0);
	assert_int_equal(entry_unreported(e, REPORT_DELAY, rcpt), 1);
	assert_int_equal(rcpt[0], 2);
	entry_release(e);
}

static void one_at_a_time(void **state)
{
	struct room *r = *state;
	struct queue_item item = { 0 };
	struct outcome why;
	char id[QUEUE_ID_SIZE];
	struct entry *e;

	add(r, &item, id);
	e = take(r, id);
	take_fails(r, id, EX_TEMPFAIL);
	take_fails(r, e->name, EX_TEMPFAIL);
	assert_false(queue_order(r->q, ORDER_HOLD, id, NULL, &why));
	assert_int_equal(why.exit, EX_TEMPFAIL);
	assert_null(strchr(why.text, ','));    /* by its id, as mailq does */
	assert_false(queue_order(r->q, ORDER_REMOVE, id, NULL, &why));
	assert_int_equal(why.exit, EX_TEMPFAIL);
	entry_release(e);
	take_fails(r, "nosuchid", EX_NOINPUT);
	take_fails(r, "../mess", EX_NOINPUT);
	assert_true(queue_order(r->q, ORDER_REMOVE, id, NULL, &why));
	take_fails(r, id, EX_NOINPUT);
}

/* Each was to be tried: it is, or will be. */
static void all_but_what_is_delivered(void **state)
{
	struct room *r = *state;
	struct queue_item item = { .next = time(NULL) + 1000 };
	struct outcome why;
	char id[QUEUE_ID_SIZE];
	struct entry *e;

	add(r, &item, id);
	e = take(r, id);
	add(r, &item, id);
	assert_true(queue_order_all(r->q, ORDER_RETRY, NULL, &why));
	assert_int_equal(due(r), 1);
	assert_true(queue_order_all(r->q, ORDER_RELEASE, NULL, &why));
	assert_false(queue_order(r->q, ORDER_RETRY, e->id, NULL, &why));
	assert_int_equal(why.exit, EX_TEMPFAIL);
	/* which way, and whether at all, cannot be ordered any more */
	assert_false(queue_order_all(r->q, ORDER_RETRY, "way", &why));
	assert_int_equal(why.exit, EX_TEMPFAIL);
	assert_false(queue_order_all(r->q, ORDER_HOLD, NULL, &why));
	assert_int_equal(why.exit, EX_TEMPFAIL);
	assert_int_equal(due(r), 0);
	assert_false(queue_order_all(r->q, ORDER_REMOVE, NULL, &why));
	assert_int_equal(why.exit, EX_TEMPFAIL);
	take_fails(r, id, EX_NOINPUT);
	entry_release(e);
}

/* A worker's lock and the parent's are one. */
/* The parent dies, and its worker goes on. */
static void lock_outlives_parent(void **state)
{
	struct room *r = *state;
	struct queue_item item = { 0 };
	char id[QUEUE_ID_SIZE], byte;
	int up[2], down[2];
	pid_t pid;

	add(r, &item, id);
	assert_int_equal(pipe(up), 0);
	assert_int_equal(pipe(down), 0);
	pid = fork();
	if (!pid) {
		(void)take(r, id);
		if (!fork()) {
			close(down[1]);
			_exit(read(down[0], &byte, 1) != 0);
		}
		_exit(0);
	}
	close(down[0]);
	close(up[1]);
	waitpid(pid, NULL, 0);
	take_fails(r, id, EX_TEMPFAIL);
	close(down[1]);
	/* the worker's end is the end of this pipe */
	assert_int_equal(read(up[0], &byte, 1), 0);
	entry_release(take(r, id));
	close(up[0]);
}

/* A worker that was forked for something else shares the lock, and does not
 * keep it. */
static void release_is_everybodys(void **state)
{
	struct room *r = *state;
	struct queue_item item = { 0 };
	char id[QUEUE_ID_SIZE], byte;
	struct entry *e;
	int down[2];
	pid_t pid;

	add(r, &item, id);
	e = take(r, id);
	assert_int_equal(pipe(down), 0);
	pid = fork();
	if (!pid) {
		close(down[1]);
		_exit(read(down[0], &byte, 1) != 0);
	}
	close(down[0]);
	entry_release(e);
	entry_release(take(r, id));
	close(down[1]);
	waitpid(pid, NULL, 0);
}

static void outcomes_are_kept(void **state)
{
	struct room *r = *state;
	struct queue_item item = { 0 };
	const size_t all[] = { 0, 1, 2 };
	struct outcome why;
	char id[QUEUE_ID_SIZE], *path;
	struct entry *e;
	struct stat st;

	add(r, &item, id);
	e = take(r, id);
	assert_true(entry_begin(e, all, 3, &why));
	entry_dot(e);
	record(e, 0, RCPT_SENT);
	record(e, 1, RCPT_FAILED);
	record(e, 2, RCPT_PENDING);
	assert_true(entry_sync(e, &why));
	assert_false(entry_finish(e, &why));
	assert_int_equal(why.exit, EX_SOFTWARE);
	assert_true(entry_schedule(e, time(NULL) + 100, &why));
	entry_release(e);
	assert_int_equal(due(r), 0);

	e = take(r, id);
	assert_false(e->interrupted);
	assert_int_equal(e->envelope.rcpt[0].state, RCPT_SENT);
	assert_string_equal(e->envelope.rcpt[0].last.text, "ok");
	assert_int_equal(e->envelope.rcpt[1].state, RCPT_FAILED);
	assert_int_equal(e->envelope.rcpt[2].state, RCPT_PENDING);
	assert_int_equal(e->envelope.rcpt[2].last.code, 450);
	record(e, 2, RCPT_SENT);
	/* not before the report is safe */
	assert_false(entry_finish(e, &why));
	assert_true(entry_reported(e, REPORT_FAILURE, &all[1], 1, &why));
	path = path_of(r, "mess", e->name);
	assert_int_equal(stat(path, &st), 0);
	assert_true(entry_finish(e, &why));
	assert_int_equal(stat(path, &st), -1);
	free(path);
	entry_release(e);
	take_fails(r, id, EX_NOINPUT);
}

static void cut_short(struct room *r, bool dot, const char *id)
{
	const size_t two[] = { 0, 2 };
	struct outcome why;
	struct entry *e = take(r, id);

	assert_true(entry_begin(e, two, 2, &why));
	if (dot)
		entry_dot(e);
	record(e, 0, RCPT_SENT);
	entry_release(e);
}

static void interrupted_attempt_counts(void **state)
{
	struct room *r = *state;
	struct queue_item item = { 0 };
	char id[QUEUE_ID_SIZE];
	struct entry *e;

	add(r, &item, id);
	cut_short(r, false, id);
	e = take(r, id);
	assert_true(e->interrupted);
	assert_int_equal(e->envelope.rcpt[2].attempts, 1);
	assert_false(e->envelope.rcpt[2].last.in_doubt);
	assert_int_equal(e->envelope.rcpt[1].attempts, 0);
	assert_int_equal(e->envelope.rcpt[0].state, RCPT_SENT);
	entry_release(e);
	e = take(r, id);
	assert_false(e->interrupted);
	assert_int_equal(e->envelope.rcpt[2].attempts, 1);
	entry_release(e);
}

static void doubt_is_logged_once(void **state)
{
	struct room *r = *state;
	struct queue_item item = { 0 };
	struct log_settings log = { 0 };
	char id[QUEUE_ID_SIZE], *path, *count, line[64] = "";
	struct entry *e;
	FILE *f;

	path = mem_printf("%s/log", r->base);
	log.to = path;
	log.level = LOG_AT_INFO;
	add(r, &item, id);
	cut_short(r, true, id);
	log_open(&log);
	e = take(r, id);
	assert_true(e->envelope.rcpt[2].last.in_doubt);
	entry_release(e);
	entry_release(take(r, id));
	log.to = "none";
	log_open(&log);
	count = mem_printf("grep -c 'status=duplicate_possible' %s", path);
	f = popen(count, "r");
	assert_non_null(fgets(line, sizeof(line), f));
	pclose(f);
	assert_string_equal(line, "1\n");
	free(count);
	free(path);
}

/* A worker records, the parent reads it again. */
static void worker_records(void **state)
{
	struct room *r = *state;
	struct queue_item item = { 0 };
	const size_t two[] = { 0, 1 }, third = 2;
	struct outcome why;
	char id[QUEUE_ID_SIZE], *address;
	struct entry *e;
	pid_t pid;

	add(r, &item, id);
	e = take(r, id);
	address = e->envelope.rcpt[0].address;
	assert_true(entry_begin(e, &third, 1, &why));
	pid = fork();
	if (!pid) {
		if (!entry_begin(e, two, 2, &why))
			_exit(1);
		record(e, 0, RCPT_SENT);
		_exit(entry_sync(e, &why) ? 0 : 1);
	}
	waitpid(pid, NULL, 0);
	assert_true(entry_reload(e, &why));
	assert_int_equal(e->envelope.rcpt[0].state, RCPT_SENT);
	assert_true(e->envelope.rcpt[0].address == address);
	/* the third is in another worker's hand */
	assert_true(e->progress[1].begun && e->progress[2].begun);
	assert_true(entry_end(e, two, 2, &why));
	assert_true(e->interrupted);
	assert_int_equal(e->envelope.rcpt[2].attempts, 0);
	assert_true(e->progress[2].begun);
	assert_int_equal(e->envelope.rcpt[1].attempts, 1);
	entry_release(e);
}

static void due_by_name_alone(void **state)
{
	struct room *r = *state;
	struct queue_item item = { 0 };
	struct list names = { 0 };
	struct outcome why;
	char now[QUEUE_ID_SIZE], past[QUEUE_ID_SIZE], later[QUEUE_ID_SIZE],
	     held[QUEUE_ID_SIZE], far[QUEUE_ID_SIZE];

	item.next = time(NULL) - 50;
	add(r, &item, past);
	item.next = 0;
	add(r, &item, now);
	item.next = time(NULL) + 1000;
	add(r, &item, later);
	item.next = time(NULL) + 1000000;
	add(r, &item, far);
	item.held = true;
	add(r, &item, held);
	assert_true(queue_select(r->q, NULL, 0, &names, &why));
	assert_int_equal(names.n, 2);
	assert_memory_equal(names.item[0], now, strlen(now));
	assert_memory_equal(names.item[1], past, strlen(past));
	list_release(&names);
	/* the clock was set back: nothing waits longer than the schedule's
	 * longest step */
	assert_true(queue_select(r->q, NULL, 5000, &names, &why));
	assert_int_equal(names.n, 3);
	assert_memory_equal(names.item[2], far, strlen(far));
	list_release(&names);
}

static void select_by_substring(void **state)
{
	static const struct {
		char field;
		bool negated;
		const char *substring;
		size_t n;
	} cases[] = {
		{ 'R', false, "example.com", 1 },
		{ 'R', false, "example", 2 },
		{ 'R', true, "example.com", 1 },
		{ 'R', false, "", 2 },
		{ 'S', false, "a@example.org", 1 },
		{ 'S', true, "a@example.org", 1 },
		{ 'S', false, "nobody", 0 },
		{ 'I', false, "", 2 },
		{ 'I', true, "", 0 },
		/* no id has such a character */
		{ 'I', false, "_", 0 },
	};
	struct room *r = *state;
	struct queue_item item = { .next = time(NULL) + 9999 };
	struct list names;
	struct selection s;
	struct outcome why;
	char id[QUEUE_ID_SIZE];
	size_t i;

	add(r, &item, id);
	r->v.n = 1;
	r->v.sender = (char *)(uintptr_t)"";
	add(r, &item, id);
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		names = (struct list){ 0 };
		s = (struct selection){ cases[i].field, cases[i].negated,
					cases[i].substring };
		assert_true(queue_select(r->q, &s, 0, &names, &why));
		assert_int_equal(names.n, cases[i].n);
		list_release(&names);
	}
	s = (struct selection){ 'I', false, id };
	names = (struct list){ 0 };
	assert_true(queue_select(r->q, &s, 0, &names, &why));
	assert_int_equal(names.n, 1);
	entry_release(take(r, names.item[0]));
	list_release(&names);
}

/* Another runner was faster: the name is another by now. */
static void stale_name_is_gone(void **state)
{
	struct room *r = *state;
	struct queue_item item = { 0 };
	struct list names = { 0 };
	struct outcome why;
	char id[QUEUE_ID_SIZE];
	struct entry *e;

	add(r, &item, id);
	assert_true(queue_select(r->q, NULL, 0, &names, &why));
	e = take(r, names.item[0]);
	assert_true(entry_schedule(e, time(NULL) + 100, &why));
	entry_release(e);
	take_fails(r, names.item[0], EX_NOINPUT);
	list_release(&names);
}

static void administration(void **state)
{
	struct room *r = *state;
	struct queue_item item = { .next = time(NULL) + 1000 };
	struct outcome why;
	char id[QUEUE_ID_SIZE];
	const size_t first = 0;
	struct entry *e;

	add(r, &item, id);
	assert_int_equal(due(r), 0);
	assert_true(queue_order(r->q, ORDER_RETRY, id, "other way", &why));
	assert_int_equal(due(r), 1);
	assert_true(queue_order(r->q, ORDER_HOLD, id, NULL, &why));
	assert_true(queue_order(r->q, ORDER_HOLD, id, NULL, &why));
	assert_int_equal(due(r), 0);
	assert_true(queue_order(r->q, ORDER_RETRY, id, NULL, &why));
	assert_int_equal(due(r), 0);
	assert_true(queue_order(r->q, ORDER_RELEASE, id, NULL, &why));
	assert_int_equal(due(r), 1);
	e = take(r, id);
	assert_string_equal(e->transport, "other way");
	assert_true(entry_begin(e, &first, 1, &why));
	record(e, 0, RCPT_PENDING);
	entry_release(e);
	e = take(r, id);
	assert_null(e->transport);
	entry_release(e);
	assert_false(queue_order(r->q, ORDER_HOLD, "nosuch", NULL, &why));
	assert_int_equal(why.exit, EX_NOINPUT);
	assert_false(queue_order(r->q, ORDER_REMOVE, "../x", NULL, &why));
	assert_int_equal(why.exit, EX_NOINPUT);
}

static void listed(void **state)
{
	struct room *r = *state;
	struct queue_item item = { 0 };
	struct outcome why;
	struct entry *e, *looked;
	char id[QUEUE_ID_SIZE];
	int i, n = 0;

	for (i = 0; i < 3; i++)
		add(r, &item, id);
	e = take(r, id);
	assert_true(queue_list(r->q, count_entry, &n, &why));
	assert_int_equal(n, 2);
	assert_true(queue_look(r->q, id, &looked, &why));
	assert_string_equal(looked->id, id);
	entry_release(looked);
	take_fails(r, id, EX_TEMPFAIL);
	entry_release(e);
}

/* --- reports --- */

static void report_made_once(void **state)
{
	struct room *r = *state;
	struct queue_item item = { 0 }, report = { 0 };
	const size_t first = 0;
	struct outcome why;
	char id[QUEUE_ID_SIZE], rid[QUEUE_ID_SIZE], again[QUEUE_ID_SIZE];
	struct entry *e, *t;
	size_t rcpt[3];

	add(r, &item, id);
	e = take(r, id);
	record(e, 0, RCPT_FAILED);
	assert_int_equal(entry_unreported(e, REPORT_FAILURE, rcpt), 1);
	entry_report_id(e, REPORT_FAILURE, rcpt[0], rid);
	report.id = rid;
	report.cause = id;
	add(r, &report, again);
	assert_string_equal(again, rid);
	add(r, &report, again);
	assert_string_equal(again, rid);
	assert_int_equal(due(r), 2);
	/* its cause could still make it again */
	take_fails(r, rid, EX_TEMPFAIL);
	assert_true(entry_reported(e, REPORT_FAILURE, &first, 1, &why));
	t = take(r, rid);
	assert_string_equal(t->cause, id);
	/* what went to corrupt is there, too */
	entry_quarantine(t, "cannot be delivered");
	entry_release(t);
	add(r, &report, again);
	assert_int_equal(due(r), 1);
	entry_release(e);
}

/* --- refusals --- */

static void unreadable_envelope_is_refused(void **state)
{
	struct room *r = *state;
	struct queue_item item = { .envelope = &r->v, .message = r->m };
	struct outcome why;
	char id[QUEUE_ID_SIZE];

	r->rcpt[1].orcpt = (char *)(uintptr_t)"rfc822;a b";
	assert_false(queue_add(r->q, &item, id, &why));
	assert_int_equal(why.exit, EX_DATAERR);
	r->rcpt[1].orcpt = NULL;
	r->rcpt[1].address = (char *)(uintptr_t)"a\r\nb@example.net";
	assert_false(queue_add(r->q, &item, id, &why));
	assert_int_equal(files_in(r, "mess"), 0);
	assert_int_equal(files_in(r, "tmp"), 0);
}

static void tended(void **state)
{
	struct room *r = *state;
	char *path = mem_printf("%s/last-run", r->dir);
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { 0 } };
	static const struct {
		long off;
		bool tended;
	} cases[] = { { -8 * 86400, false }, { -7 * 86400 - 60, false },
		      { -7 * 86400 + 60, true }, { -80000, true },
		      { 80000, true }, { 90000, false } };
	size_t i;

	assert_false(queue_tended(r->q));
	queue_mark_run(r->q);
	assert_true(queue_tended(r->q));
	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		times[1].tv_sec = time(NULL) + cases[i].off;
		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
		assert_int_equal(queue_tended(r->q), cases[i].tended);
	}
	queue_mark_run(r->q);
	assert_true(queue_tended(r->q));
	free(path);
}

static void not_there(void **state)
{
	struct room *r = *state;
	struct outcome why;
	struct queue *q;

	assert_false(queue_open("/nonexistent/queue", false, NULL, NULL, &q,
				&why));
	assert_int_equal(why.exit, EX_CANTCREAT);
	assert_false(queue_open("", true, NULL, NULL, &q, &why));
	assert_false(queue_open("/dev/null", true, NULL, NULL, &q, &why));
	assert_int_equal(why.exit, EX_CANTCREAT);
	/* a directory that is no queue is not made one by chance */
	assert_false(queue_open(r->base, false, NULL, NULL, &q, &why));
	assert_int_equal(why.exit, EX_CANTCREAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROOM_TEST(accepted_as_given),
		ROOM_TEST(progress_travels_along),
		ROOM_TEST(one_at_a_time),
		ROOM_TEST(all_but_what_is_delivered),
		ROOM_TEST(lock_outlives_parent),
		ROOM_TEST(release_is_everybodys),
		ROOM_TEST(outcomes_are_kept),
		ROOM_TEST(interrupted_attempt_counts),
		ROOM_TEST(doubt_is_logged_once),
		ROOM_TEST(worker_records),
		ROOM_TEST(due_by_name_alone),
		ROOM_TEST(select_by_substring),
		ROOM_TEST(stale_name_is_gone),
		ROOM_TEST(administration),
		ROOM_TEST(listed),
		ROOM_TEST(report_made_once),
		ROOM_TEST(unreadable_envelope_is_refused),
		ROOM_TEST(tended),
		ROOM_TEST(not_there),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
