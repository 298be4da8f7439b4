/* What is written: numbers, commits, failures, sudden deaths. Reading has test_store_read.c. */
#include "store_fixture.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "kernelhub/schema.h"
#include "kernelhub/store_internal.h"

#define NO_MARK ((struct store_mark){ 0 })

struct written {
    int came;
    uint64_t seqs[1000];
    char *lines[1000];
};

static void on_event(void *arg, uint64_t seq, struct slice line)
{
    struct written *w = arg;
    assert_true(json_valid(line));
    assert_null(memchr(line.data, '\n', line.len));
    w->seqs[w->came] = seq;
    w->lines[w->came++] = strndup(line.data, line.len);
}

static void written_done(struct written *w)
{
    for (int i = 0; i < w->came; i++)
        free(w->lines[i]);
    w->came = 0;
}

static void add(struct fixture *f, int64_t feed, enum event_type type, const char *fields,
                struct written *w)
{
    struct event_head head = fixture_head(1, type);
    store_add_event(f->store, feed, &head, slice_str(fields), NO_MARK, false, w ? on_event : NULL,
                    w);
}

static void numbers_of_each_feed_begin_at_one_and_have_no_hole(void **state)
{
    struct fixture *f = *state;
    struct written w = { 0 };
    int64_t a = store_next_feed(f->store), b = store_next_feed(f->store);
    assert_true(a > 0 && b == a + 1);
    for (int i = 0; i < 100; i++)
        add(f, i % 3 ? a : b, EVENT_STDOUT, ",\"text\":\"x\"", &w);
    fixture_run(f, &w.came, 100);
    uint64_t last_a = 0, last_b = 0;
    for (int i = 0; i < 100; i++)
        assert_int_equal(w.seqs[i], i % 3 ? ++last_a : ++last_b);
    written_done(&w);
    fixture_reopen(f);
    add(f, a, EVENT_STDOUT, ",\"text\":\"x\"", &w);
    fixture_run(f, &w.came, 1);
    assert_int_equal(w.seqs[0], last_a + 1);
    written_done(&w);
}

static void on_late_event(void *arg, uint64_t seq, struct slice line)
{
    assert_int_equal(seq, 1);
    assert_true(line.len > 0);
    ++*(int *)arg;
}

static void finished_says_its_own_number(void **state)
{
    struct fixture *f = *state;
    struct written w = { 0 };
    int64_t feed = store_next_feed(f->store);
    add(f, feed, EVENT_STDOUT, ",\"text\":\"x\"", &w);
    add(f, feed, EVENT_FINISHED, ",\"status\":\"ok\"", &w);
    fixture_run(f, &w.came, 2);
    assert_non_null(strstr(w.lines[1], "\"seq\":2,"));
    assert_non_null(strstr(w.lines[1], "\"type\":\"finished\",\"status\":\"ok\",\"last_seq\":2}"));
    written_done(&w);
}

/* An end that nobody awaits is late, and somebody who has heard of it another way looks. */
static void who_reads_finds_what_is_late(void **state)
{
    struct fixture *f = *state;
    struct got g = { 0 };
    int64_t feed = store_next_feed(f->store);
    struct event_head head = fixture_head(1, EVENT_FINISHED);
    int written = 0;
    store_add_event(f->store, feed, &head, SLICE_LITERAL(",\"status\":\"ok\""), NO_MARK, true,
                    on_late_event, &written);
    assert_int_equal(written, 0);
    fixture_page(f, feed, 0, 100000, &g);
    assert_non_null(strstr(g.text, "\"status\":\"ok\""));
    assert_int_equal(written, 1);
    got_done(&g);
}

static void lines_read_later_are_the_lines_given_at_the_commit(void **state)
{
    struct fixture *f = *state;
    struct written w = { 0 };
    struct got g = { 0 };
    int64_t feed = store_next_feed(f->store);
    char *big = malloc(700000);
    memset(big, 'y', 700000);
    memcpy(big, ",\"text\":\"", 9);
    memcpy(big + 699998, "\"", 2);
    struct event_head head = fixture_head(1, EVENT_QUEUED);
    head.kernel_id = (struct uuid){ "" };
    head.session = "a \"name\" with\nall \xc3\xa4 sorts";
    store_add_event(f->store, feed, &head, SLICE_LITERAL(",\"position\":0"), NO_MARK, false,
                    on_event, &w);
    head.kernel_id = fixture_id(7);
    head.type = EVENT_STDOUT;
    store_add_event(f->store, feed, &head, slice_str(big), NO_MARK, false, on_event, &w);
    store_add_event(f->store, feed, &head, SLICE_LITERAL(",\"text\":\"small\""), NO_MARK, false,
                    on_event, &w);
    store_add_event(f->store, feed, &head, slice_str(big), NO_MARK, false, on_event, &w);
    head.session = NULL;
    store_add_event(f->store, feed, &head, slice_of(NULL, 0), NO_MARK, false, on_event, &w);
    head.execution_id = (struct uuid){ "" };
    head.type = EVENT_RESTARTED;
    store_add_event(f->store, feed, &head, slice_of(NULL, 0), NO_MARK, false, on_event, &w);
    head.execution_id = fixture_id(1);
    head.type = EVENT_FINISHED;
    store_add_event(f->store, feed, &head, SLICE_LITERAL(",\"status\":\"ok\""), NO_MARK, false,
                    on_event, &w);
    fixture_run(f, &w.came, 7);
    for (int again = 0; again < 2; again++) {
        fixture_page(f, feed, 0, 10000000, &g);
        assert_int_equal(g.n_lines, 7);
        assert_true(g.ended);
        const char *at = g.text;
        for (int i = 0; i < 7; i++) {
            size_t n = strlen(w.lines[i]);
            assert_memory_equal(at, w.lines[i], n);
            assert_int_equal(at[n], '\n');
            at += n + 1;
        }
        assert_int_equal(*at, '\0');
        fixture_reopen(f);
    }
    written_done(&w);
    got_done(&g);
    free(big);
}

struct order {
    int next;
    struct fixture *f;
};

struct step {
    struct order *order;
    int place;
};

static void on_step(void *arg)
{
    struct step *s = arg;
    assert_int_equal(s->place, s->order->next++);
    s->order->f->came++;
}

static void on_step_event(void *arg, uint64_t seq, struct slice line)
{
    on_step(arg);
}

static void on_step_inserted(void *arg, bool exists)
{
    on_step(arg);
}

static void answers_come_in_the_order_of_the_calls(void **state)
{
    struct fixture *f = *state;
    struct order order = { 0, f };
    struct step steps[40];
    struct event_head head = fixture_head(1, EVENT_STDOUT);
    for (int i = 0; i < 40; i++) {
        struct execution_row row = fixture_execution(f->store, (unsigned)i);
        struct user_row user = { .id = fixture_id((unsigned)i), .name = "u" };
        steps[i] = (struct step){ &order, i };
        if (i % 4 == 0)
            store_insert_execution(f->store, &row, on_step_inserted, &steps[i]);
        else if (i % 4 == 1)
            store_put_user(f->store, &user, on_step, &steps[i]);
        else if (i % 4 == 2)
            store_add_event(f->store, 1, &head, slice_of(NULL, 0), NO_MARK, false, on_step_event,
                            &steps[i]);
        else
            store_mark(f->store, NO_MARK, on_step, &steps[i]);
    }
    assert_int_equal(store_queued(f->store), 41); /* with the reservation of feed numbers */
    f->came = 0;
    fixture_run(f, &f->came, 40);
    assert_int_equal(store_queued(f->store), 0);
}

static void on_inserted(void *arg, bool exists)
{
    int *answers = arg;
    answers[0]++;
    answers[answers[0]] = exists;
}

static void an_execution_is_inserted_once(void **state)
{
    struct fixture *f = *state;
    int answers[4] = { 0 };
    struct execution_row row = fixture_execution(f->store, 1),
                         other = fixture_execution(f->store, 1);
    store_insert_execution(f->store, &row, on_inserted, answers);
    store_insert_execution(f->store, &other, on_inserted, answers);
    fixture_run(f, answers, 2);
    store_insert_execution(f->store, &other, on_inserted, answers);
    fixture_run(f, answers, 3);
    assert_false(answers[1]);
    assert_true(answers[2]);
    assert_true(answers[3]);
}

struct loaded {
    int n;
    struct execution_row row;
    char epoch[40], labels[40], reply[40], code[80], input[40];
    uint64_t last_seq;
};

static void copy_slice(char *ret, size_t size, struct slice s)
{
    snprintf(ret, size, "%.*s", (int)s.len, s.data ? s.data : "");
}

static void on_execution(void *arg, const struct execution_row *r, uint64_t last_seq)
{
    struct loaded *l = arg;
    l->n++;
    l->row = *r;
    l->last_seq = last_seq;
    snprintf(l->epoch, sizeof l->epoch, "%s", r->epoch ? r->epoch : "");
    copy_slice(l->labels, sizeof l->labels, r->labels);
    copy_slice(l->reply, sizeof l->reply, r->reply);
    copy_slice(l->input, sizeof l->input, r->input);
    copy_slice(l->code, sizeof l->code, r->code);
}

static void an_update_leaves_what_it_does_not_say(void **state)
{
    struct fixture *f = *state;
    struct loaded l = { 0 };
    struct err e = ERR_INIT;
    struct execution_row row = fixture_execution(f->store, 1);
    row.labels = SLICE_LITERAL("{\"a\":\"b\"}");
    row.code = slice_of("nul \0 inside", 12);
    store_insert_execution(f->store, &row, NULL, NULL);
    struct execution_row change = { .feed = row.feed,
                                    .status = STATUS_RUNNING,
                                    .epoch = "the-epoch",
                                    .started_us = 5,
                                    .execution_count = 3,
                                    .dropped_bytes = 9,
                                    .input = SLICE_LITERAL("{\"at\":3}") };
    store_update_execution(f->store, &change, NO_MARK, false, NULL, NULL);
    struct execution_row by_id = { .id = row.id,
                                   .status = STATUS_WAITING_INPUT,
                                   .execution_count = -1,
                                   .reply = SLICE_LITERAL("{}"),
                                   .dropped_bytes = 10 };
    store_update_execution(f->store, &by_id, NO_MARK, false, NULL, NULL);
    struct event_head head = fixture_head(1, EVENT_STDOUT);
    for (int i = 0; i < 3; i++)
        store_add_event(f->store, row.feed, &head, slice_of(NULL, 0), NO_MARK, false, NULL, NULL);
    fixture_flush(f);
    assert_int_equal(store_load_executions(f->store, on_execution, &l, &e), 0);
    assert_int_equal(l.n, 1);
    assert_int_equal(l.last_seq, 3);
    assert_int_equal(l.row.status, STATUS_WAITING_INPUT);
    assert_int_equal(l.row.started_us, 5);
    assert_int_equal(l.row.finished_us, 0);
    assert_int_equal(l.row.execution_count, 3);
    assert_int_equal(l.row.dropped_bytes, 10);
    assert_string_equal(l.epoch, "the-epoch");
    assert_string_equal(l.labels, "{\"a\":\"b\"}");
    assert_string_equal(l.reply, "{}");
    assert_string_equal(l.input, "{\"at\":3}");
    assert_int_equal(l.row.code.len, 12);
    assert_true(uuid_equal(&l.row.id, &row.id));
    change.status = STATUS_OK;
    store_update_execution(f->store, &change, NO_MARK, false, NULL, NULL);
    fixture_flush(f);
    l.n = 0;
    assert_int_equal(store_load_executions(f->store, on_execution, &l, &e), 0);
    assert_int_equal(l.n, 0);
}

static int64_t count_rows(struct fixture *f, const char *text)
{
    struct sql s;
    struct err e = ERR_INIT;
    char path[160];
    sqlite3_stmt *stmt = NULL;
    snprintf(path, sizeof path, "%s/kernelhub.db", f->dir);
    assert_int_equal(sql_open(&s, path, &e), 0);
    assert_int_equal(sqlite3_prepare_v2(s.db, text, -1, &stmt, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(stmt, 0);
    (void)sqlite3_finalize(stmt);
    sql_close(&s);
    return n;
}

static void on_end_committed(void *arg)
{
    struct fixture *f = arg;
    f->came = 1 + (int)count_rows(f, "SELECT count(*) FROM events WHERE type = 'finished'");
}

static void no_batch_ends_between_an_end_and_its_finished(void **state)
{
    struct fixture *f = *state;
    struct execution_row row = fixture_execution(f->store, 1);
    struct event_head head = fixture_head(1, EVENT_FINISHED);
    store_insert_execution(f->store, &row, NULL, NULL);
    fixture_flush(f);
    row.status = STATUS_OK;
    f->came = 0;
    store_hold(f->store);
    for (int i = 1; i < STORE_BATCH_OPS; i++)
        store_mark(f->store, NO_MARK, NULL, NULL);
    store_update_execution(f->store, &row, NO_MARK, false, on_end_committed, f);
    store_add_event(f->store, row.feed, &head, slice_of(NULL, 0), NO_MARK, false, NULL, NULL);
    store_release(f->store);
    fixture_run(f, &f->came, 2);
}

static void on_sandbox(void *arg, const struct sandbox_row *r)
{
    *(uint64_t *)arg = r->last_number;
}

static uint64_t last_number(struct fixture *f)
{
    uint64_t number = 0;
    struct err e = ERR_INIT;
    fixture_flush(f);
    assert_int_equal(store_load_sandboxes(f->store, on_sandbox, &number, &e), 0);
    return number;
}

static void a_mark_is_never_taken_back_within_an_epoch(void **state)
{
    struct fixture *f = *state;
    struct sandbox_row box = {
        .id = fixture_id(1), .user_id = fixture_id(2), .epoch = "first", .created_us = 1
    };
    struct event_head head = fixture_head(1, EVENT_STDOUT);
    store_put_sandbox(f->store, &box, NULL, NULL);
    for (uint64_t n = 1; n <= 20; n++)
        store_add_event(f->store, 1, &head, slice_of(NULL, 0),
                        (struct store_mark){ .sandbox_id = box.id, .number = n }, false, NULL,
                        NULL);
    store_mark(f->store, (struct store_mark){ .sandbox_id = box.id, .number = 7 }, NULL, NULL);
    assert_int_equal(last_number(f), 20);
    box.last_number = 3;
    store_put_sandbox(f->store, &box, NULL, NULL);
    assert_int_equal(last_number(f), 20);
    box.epoch = "second";
    store_put_sandbox(f->store, &box, NULL, NULL);
    assert_int_equal(last_number(f), 3);
}

static void take_generation(void *arg, const struct user_row *r)
{
    *(int64_t *)arg = r->callback_generation;
}

struct rows {
    int users, keys, sessions;
    struct key_row key;
    char text[200];
};

static void on_user(void *arg, const struct user_row *r)
{
    struct rows *rows = arg;
    rows->users++;
    snprintf(rows->text, sizeof rows->text, "%s/%d/%lld", r->name, r->admin,
             (long long)r->removed_us);
}

static void on_key(void *arg, const struct key_row *r)
{
    struct rows *rows = arg;
    rows->keys++;
    rows->key = *r;
}

static void on_session(void *arg, const struct session_row *r)
{
    struct rows *rows = arg;
    rows->sessions++;
    snprintf(rows->text, sizeof rows->text, "%lld %s %s %s %d %s", (long long)r->feed, r->name,
             r->language, r->kernelspec ? r->kernelspec : "-", r->ephemeral, r->kernel_id.text);
}

static void rows_come_back_as_they_were_put(void **state)
{
    struct fixture *f = *state;
    struct rows rows = { 0 };
    struct err e = ERR_INIT;
    struct user_row user = { .id = fixture_id(1), .name = "ann", .admin = true, .created_us = 1 };
    struct key_row key = { .id = fixture_id(2),
                           .user_id = user.id,
                           .name = "k",
                           .prefix = "kh_a",
                           .hash = { 1, 0, 255 },
                           .created_us = 1,
                           .expires_us = 77 };
    struct key_row revoked = key;
    revoked.id = fixture_id(3);
    revoked.revoked_us = 5;
    struct session_row session = { .feed = 9,
                                   .user_id = user.id,
                                   .kernel_id = fixture_id(4),
                                   .name = "python",
                                   .language = "python",
                                   .ephemeral = true,
                                   .created_us = 1 };
    struct session_row ended = session;
    ended.feed = 10;
    ended.ended_us = 4;
    store_put_user(f->store, &user, NULL, NULL);
    store_put_key(f->store, &key, NULL, NULL);
    store_put_key(f->store, &revoked, NULL, NULL);
    store_put_session(f->store, &session, NULL, NULL);
    store_put_session(f->store, &ended, NULL, NULL);
    fixture_reopen(f); /* closing commits what is queued */
    assert_int_equal(store_load_users(f->store, on_user, &rows, &e), 0);
    assert_int_equal(rows.users, 1);
    assert_string_equal(rows.text, "ann/1/0");
    assert_int_equal(store_load_keys(f->store, on_key, &rows, &e), 0);
    assert_int_equal(rows.keys, 1);
    assert_memory_equal(rows.key.hash, key.hash, 32);
    assert_int_equal(rows.key.expires_us, 77);
    assert_int_equal(store_load_sessions(f->store, on_session, &rows, &e), 0);
    assert_int_equal(rows.sessions, 1);
    assert_string_equal(rows.text, "9 python python - 1 00000004-1111-4222-8333-444455556666");
}

struct callbacks_seen {
    int n;
    char text[1000];
};

static void on_callback(void *arg, const struct callback_row *r, bool ended)
{
    struct callbacks_seen *seen = arg;
    size_t len = strlen(seen->text);
    snprintf(seen->text + len, sizeof seen->text - len, "%lld %s %.8s %u %lld %lld %d\n",
             (long long)r->feed, r->url, r->message_id.text, r->attempts, (long long)r->next_us,
             (long long)r->first_us, ended);
    seen->n++;
}

static void read_record(struct fixture *f, const struct execution_row *row, bool brief,
                        struct got *g)
{
    g->came = 0;
    if (brief)
        store_read_record_short(f->store, &row->id, &row->user_id, 100, got_json, g);
    else
        store_read_record(f->store, &row->id, &row->user_id, got_json, g);
    fixture_run(f, &g->came, 1);
}

static void a_callback_comes_and_goes_with_its_execution(void **state)
{
    struct fixture *f = *state;
    struct callbacks_seen seen = { 0 };
    struct got g = { 0 };
    struct err e = ERR_INIT;
    struct execution_row row = fixture_execution(f->store, 1),
                         other = fixture_execution(f->store, 2);
    other.status = STATUS_OK;
    struct callback_row callback = { .feed = row.feed,
                                     .execution_id = row.id,
                                     .user_id = row.user_id,
                                     .message_id = fixture_id(77),
                                     .url = "http://a/?secret",
                                     .status = "pending" },
                        second = callback, lost = callback;
    second.feed = other.feed;
    lost.feed = 4711; /* an execution that was there before: no row of this feed */
    store_insert_execution(f->store, &row, NULL, NULL);
    store_add_callback(f->store, &callback);
    store_insert_execution(f->store, &other, NULL, NULL);
    store_add_callback(f->store, &second);
    store_add_callback(f->store, &lost);
    second.attempts = 3;
    second.next_us = 1700000000000000;
    second.first_us = 6;
    second.last_error = "refused";
    store_update_callback(f->store, &second);
    fixture_reopen(f);
    assert_int_equal(store_load_callbacks(f->store, on_callback, &seen, &e), 0);
    assert_string_equal(seen.text, "1 http://a/?secret 0000004d 0 0 0 0\n"
                                   "2 http://a/?secret 0000004d 3 1700000000000000 6 1\n");
    read_record(f, &other, false, &g);
    assert_non_null(strstr(g.text,
                           ",\"callback\":{\"url\":\"http://a/\",\"status\":\"pending\","
                           "\"attempts\":3,\"next_attempt_at\":\"2023-11-14T22:13:20.000000Z\","
                           "\"ended_at\":null,\"last_error\":\"refused\"}}"));
    assert_true(json_valid(slice_str(g.text)));
    read_record(f, &other, true, &g);
    assert_null(strstr(g.text, "callback"));
    second.status = "delivered";
    store_update_callback(f->store, &second);
    fixture_flush(f);
    seen = (struct callbacks_seen){ 0 };
    assert_int_equal(store_load_callbacks(f->store, on_callback, &seen, &e), 0);
    assert_int_equal(seen.n, 1);
    got_done(&g);
}

static void a_secrets_generation_is_kept(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    struct user_row user = { .id = fixture_id(1), .name = "ann", .callback_generation = 3 };
    int64_t generation = 0;
    store_put_user(f->store, &user, NULL, NULL);
    fixture_reopen(f);
    assert_int_equal(store_load_users(f->store, take_generation, &generation, &e), 0);
    assert_int_equal(generation, 3);
}

static void settings_outlive_the_store(void **state)
{
    struct fixture *f = *state;
    struct err e = ERR_INIT;
    char value[8];
    assert_int_equal(store_get_setting(f->store, "x", value, sizeof value, &e), 0);
    assert_string_equal(value, "");
    assert_int_equal(store_put_setting(f->store, "x", "1234567", &e), 0);
    fixture_reopen(f);
    assert_int_equal(store_get_setting(f->store, "x", value, sizeof value, &e), 0);
    assert_string_equal(value, "1234567");
    assert_int_equal(store_get_setting(f->store, "x", value, 7, &e), -1);
    store_queue_setting(f->store, "x", "7");
    fixture_flush(f);
    assert_int_equal(store_get_setting(f->store, "x", value, 7, &e), 0);
    assert_string_equal(value, "7");
}

static void numbers_of_feeds_are_never_used_again(void **state)
{
    struct fixture *f = *state;
    int64_t last = 0;
    for (int again = 0; again < 3; again++) {
        for (int i = 0; i < 1100; i++) {
            int64_t feed = store_next_feed(f->store);
            assert_true(feed > last);
            last = feed;
        }
        fixture_reopen(f);
    }
}

static void one_directory_has_one_store(void **state)
{
    struct fixture *f = *state;
    struct store *second = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(store_open(f->dir, f->loop, &second, &e), -1);
    assert_int_equal(e.code, ERR_BUSY);
    assert_non_null(strstr(e.text, f->dir));
}

static void expect_refusal(struct fixture *f, const char *a, const char *b)
{
    struct err e = ERR_INIT;
    f->loop = loop_new();
    assert_int_equal(store_open(f->dir, f->loop, &f->store, &e), -1);
    assert_null(f->store);
    if (!strstr(e.text, a) || !strstr(e.text, b))
        fail_msg("neither '%s' nor '%s' in: %s", a, b, e.text);
}

static void run_sql(struct fixture *f, const char *text)
{
    struct sql s;
    struct err e = ERR_INIT;
    char path[160];
    snprintf(path, sizeof path, "%s/kernelhub.db", f->dir);
    assert_int_equal(sql_open(&s, path, &e), 0);
    assert_int_equal(sql_exec(&s, text, &e), 0);
    sql_close(&s);
}

static void a_file_of_a_newer_version_is_refused_and_both_versions_named(void **state)
{
    struct fixture *f = *state;
    char known[40];
    snprintf(known, sizeof known, "up to %d", schema_version());
    fixture_close(f);
    run_sql(f, "PRAGMA user_version=4711");
    expect_refusal(f, "4711", known);
}

static void a_database_of_another_program_is_refused(void **state)
{
    struct fixture *f = *state;
    fixture_close(f);
    run_sql(f, "PRAGMA application_id=5");
    expect_refusal(f, "another program", f->dir);
    loop_free(f->loop);
    run_sql(f, "PRAGMA application_id=0; PRAGMA user_version=0");
    expect_refusal(f, "another program", f->dir);
}

static void a_file_of_garbage_is_refused(void **state)
{
    struct fixture *f = *state;
    char path[160];
    fixture_close(f);
    snprintf(path, sizeof path, "%s/kernelhub.db", f->dir);
    int fd = open(path, O_WRONLY | O_TRUNC);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(write(fd, "this is no database\n", 20), 20);
    close(fd);
    expect_refusal(f, "no SQLite database", path);
}

static void the_database_is_for_its_owner_alone(void **state)
{
    struct fixture *f = *state;
    static const char *const NAMES[] = { "kernelhub.db", "kernelhub.db-wal", "kernelhub.db-shm",
                                         "lock" };
    for (size_t i = 0; i < 4; i++) {
        char path[160];
        struct stat st;
        snprintf(path, sizeof path, "%s/%s", f->dir, NAMES[i]);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

static void limit_file_size(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static int64_t size_of(struct fixture *f, const char *name)
{
    char path[200];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    return stat(path, &st) < 0 ? -1 : st.st_size;
}

/* 40 events of about 40 KB and one blob event, behind a limit of what files may grow to. */
static void a_full_disk_loses_nothing_and_says_why(void **state)
{
    struct fixture *f = *state;
    struct written w = { 0 };
    char *text = malloc(400001), why[200], blob[64];
    memset(text, 'z', 400000);
    memcpy(text, ",\"text\":\"", 9);
    memcpy(text + 39999, "\"", 2);
    int64_t feed = store_next_feed(f->store);
    signal(SIGXFSZ, SIG_IGN);
    limit_file_size(500 * 1024);
    for (int i = 0; i < 40; i++)
        add(f, feed, EVENT_STDOUT, text, &w);
    memcpy(text + 39999, "zz", 2);
    memcpy(text + 399999, "\"", 2);
    add(f, feed, EVENT_STDOUT, text, &w);
    for (int64_t end = zclock_mono() + FIXTURE_DEADLINE_MS;
         store_healthy(f->store, why, sizeof why) && zclock_mono() < end;)
        fixture_run_for(f, &w.came, 41, 100);
    fixture_run_for(f, &w.came, 41, 700); /* at least two more tries */
    int before = w.came;
    assert_true(before < 41);
    assert_false(store_healthy(f->store, why, sizeof why));
    assert_non_null(strstr(why, "disk"));
    assert_true(store_queued(f->store) > 0);
    limit_file_size(RLIM_INFINITY);
    fixture_run(f, &w.came, 41);
    assert_true(store_healthy(f->store, why, sizeof why));
    for (int i = 0; i < 41; i++)
        assert_int_equal(w.seqs[i], i + 1);
    snprintf(blob, sizeof blob, "blobs/%lld/%lld", (long long)(feed / 1000), (long long)feed);
    assert_int_equal(size_of(f, blob), 400000);
    written_done(&w);
    free(text);
}

/* The blob fits but its row does not: each try must take back what it wrote. */
static void tries_on_a_full_disk_leave_no_waste_in_blob_files(void **state)
{
    struct fixture *f = *state;
    struct written w = { 0 };
    char *text = malloc(300001), why[200], blob[64];
    memset(text, 'z', 300000);
    memcpy(text, ",\"text\":\"", 9);
    memcpy(text + 299999, "\"", 2);
    int64_t feed = store_next_feed(f->store);
    fixture_flush(f);
    while (size_of(f, "kernelhub.db-wal") < 700 * 1024) {
        struct user_row user = { .id = fixture_id(1), .name = text };
        store_put_user(f->store, &user, NULL, NULL);
        fixture_flush(f);
    }
    signal(SIGXFSZ, SIG_IGN);
    limit_file_size(700 * 1024);
    add(f, feed, EVENT_STDOUT, text, &w);
    fixture_run_for(f, &w.came, 1, 1200);
    assert_int_equal(w.came, 0);
    assert_false(store_healthy(f->store, why, sizeof why));
    limit_file_size(RLIM_INFINITY);
    fixture_run(f, &w.came, 1);
    snprintf(blob, sizeof blob, "blobs/%lld/%lld", (long long)(feed / 1000), (long long)feed);
    assert_int_equal(size_of(f, blob), 300000);
    written_done(&w);
    free(text);
}

/* Also after a failure: the tests behind must not run on a full disk. */
static int teardown_full_disk(void **state)
{
    limit_file_size(RLIM_INFINITY);
    return fixture_teardown(state);
}

static void metrics_are_written(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf out = BUF_INIT(100000);
    fixture_flush(f);
    store_write_metrics(f->store, &out);
    assert_false(out.failed);
    assert_non_null(strstr(out.data, "kernelhub_store_batch_ops_count 1\n"));
    assert_non_null(strstr(out.data, "kernelhub_store_commit_seconds_count 1\n"));
    assert_non_null(strstr(out.data, "kernelhub_store_writes_total 1\n"));
    assert_non_null(strstr(out.data, "kernelhub_store_queue_bytes 0\n"));
    assert_non_null(strstr(out.data, "kernelhub_store_healthy 1\n"));
}

struct told {
    int64_t feed;
    uint64_t seq;
    unsigned n;
};

struct writing {
    struct store *store;
    int pipe;
    unsigned n;
    int64_t feeds[3];
    unsigned outstanding;
};

struct one_write {
    struct writing *writing;
    unsigned n;
};

static void add_numbered(struct writing *w);

static void on_numbered(void *arg, uint64_t seq, struct slice line)
{
    struct one_write *one = arg;
    struct writing *w = one->writing;
    struct told told = { w->feeds[one->n % 3], seq, one->n };
    if (write(w->pipe, &told, sizeof told) != sizeof told)
        _exit(1);
    free(one);
    add_numbered(w);
}

static void add_numbered(struct writing *w)
{
    struct one_write *one = malloc(sizeof *one);
    struct event_head head = fixture_head(1, EVENT_STDOUT);
    char fields[40];
    *one = (struct one_write){ w, w->n++ };
    snprintf(fields, sizeof fields, ",\"text\":\"n%u.\"", one->n);
    store_add_event(w->store, w->feeds[one->n % 3], &head, slice_str(fields), NO_MARK, false,
                    on_numbered, one);
}

/* The process that is killed: writes as fast as it can and tells each number it was given. */
static int write_until_killed(const char *dir, int pipe)
{
    struct writing w = { .pipe = pipe };
    struct err e = ERR_INIT;
    struct loop *loop = loop_new();
    if (store_open(dir, loop, &w.store, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    for (int i = 0; i < 3; i++)
        w.feeds[i] = store_next_feed(w.store);
    for (int i = 0; i < 300; i++)
        add_numbered(&w);
    return loop_start(loop);
}

static char *own_path; /* not /proc/self/exe: that is valgrind's program */

static pid_t start_writer(struct fixture *f, int *ret_pipe)
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char fd[16];
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing stays when the test itself is killed */
        snprintf(fd, sizeof fd, "%d", pipes[1]);
        execl(own_path, "test_store", "write-until-killed", f->dir, fd, (char *)NULL);
        _exit(127);
    }
    close(pipes[1]);
    *ret_pipe = pipes[0];
    return pid;
}

static void check_told(struct fixture *f, const struct told *told, size_t n_told)
{
    struct got pages[3] = { { 0 } };
    int64_t feeds[3];
    for (size_t i = 0; i < n_told && i < 3; i++)
        feeds[told[i].n % 3] = told[i].feed;
    for (int i = 0; i < 3; i++) {
        fixture_page(f, feeds[i], 0, 1 << 30, &pages[i]);
        const char *at = pages[i].text;
        for (uint64_t seq = 1; seq <= pages[i].n_lines; seq++) { /* no hole, none twice */
            char want[60];
            snprintf(want, sizeof want, "{\"v\":1,\"seq\":%llu,", (unsigned long long)seq);
            assert_memory_equal(at, want, strlen(want));
            at = strchr(at, '\n') + 1;
        }
    }
    for (size_t i = 0; i < n_told; i++) {
        char text[40];
        const struct got *page = &pages[told[i].n % 3];
        assert_true(told[i].seq <= page->n_lines);
        if (i % 97 == 0 || i > n_told - 20) { /* a search each is slow */
            snprintf(text, sizeof text, "\"text\":\"n%u.\"", told[i].n);
            assert_non_null(strstr(page->text, text));
        }
    }
    for (int i = 0; i < 3; i++)
        got_done(&pages[i]);
}

static void killed_in_mid_batch_it_loses_nothing_it_had_told(void **state)
{
    struct fixture *f = *state;
    struct told *told = malloc(60000 * sizeof *told);
    for (int round = 0; round < 5; round++) {
        size_t n = 0, enough = 200 + (size_t)round * 1777;
        int pipe;
        fixture_close(f);
        pid_t pid = start_writer(f, &pipe);
        while (n < 60000) {
            ssize_t got = read(pipe, &told[n], sizeof *told);
            if (got <= 0)
                break;
            assert_int_equal(got, sizeof *told); /* a pipe keeps small writes whole */
            if (++n == enough)
                assert_int_equal(kill(pid, SIGKILL), 0);
        }
        close(pipe);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_true(n >= enough);
        fixture_open(f);
        check_told(f, told, n);
        assert_true(store_next_feed(f->store) > told[n - 1].feed);
    }
    free(told);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "write-until-killed") == 0)
        return write_until_killed(argv[2], atoi(argv[3]));
    own_path = realpath(argv[0], NULL);
    assert(own_path);
    const struct CMUnitTest tests[] = {
        WITH_STORE(numbers_of_each_feed_begin_at_one_and_have_no_hole),
        WITH_STORE(finished_says_its_own_number),
        WITH_STORE(who_reads_finds_what_is_late),
        WITH_STORE(lines_read_later_are_the_lines_given_at_the_commit),
        WITH_STORE(answers_come_in_the_order_of_the_calls),
        WITH_STORE(an_execution_is_inserted_once),
        WITH_STORE(an_update_leaves_what_it_does_not_say),
        WITH_STORE(no_batch_ends_between_an_end_and_its_finished),
        WITH_STORE(a_mark_is_never_taken_back_within_an_epoch),
        WITH_STORE(rows_come_back_as_they_were_put),
        WITH_STORE(a_callback_comes_and_goes_with_its_execution),
        WITH_STORE(a_secrets_generation_is_kept),
        WITH_STORE(settings_outlive_the_store),
        WITH_STORE(numbers_of_feeds_are_never_used_again),
        WITH_STORE(one_directory_has_one_store),
        WITH_STORE(a_file_of_a_newer_version_is_refused_and_both_versions_named),
        WITH_STORE(a_database_of_another_program_is_refused),
        WITH_STORE(a_file_of_garbage_is_refused),
        WITH_STORE(the_database_is_for_its_owner_alone),
        cmocka_unit_test_setup_teardown(a_full_disk_loses_nothing_and_says_why, fixture_setup,
                                        teardown_full_disk),
        cmocka_unit_test_setup_teardown(tries_on_a_full_disk_leave_no_waste_in_blob_files,
                                        fixture_setup, teardown_full_disk),
        WITH_STORE(metrics_are_written),
        WITH_STORE(killed_in_mid_batch_it_loses_nothing_it_had_told),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(own_path);
    return failed;
}
