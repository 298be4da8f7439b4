/* A session's history on its way out as a notebook, from a real store. */
#include "store_fixture.h"

#include "kernelhub/notebook.h"

#define NO_MARK ((struct store_mark){ 0 })

static void add(struct fixture *f, int64_t feed, unsigned execution, enum event_type type,
                const char *fields)
{
    struct event_head head = fixture_head(execution, type);
    store_add_event(f->store, feed, &head, slice_str(fields), NO_MARK, false, NULL, NULL);
}

/* An execution that began; its feed. */
static int64_t begin(struct fixture *f, unsigned n, const char *session)
{
    struct execution_row row = fixture_execution(f->store, n);
    row.session = session;
    store_insert_execution(f->store, &row, NULL, NULL);
    add(f, row.feed, n, EVENT_QUEUED, ",\"position\":0");
    add(f, row.feed, n, EVENT_STARTED, ",\"code\":\"1+1\",\"execution_count\":4");
    return row.feed;
}

/* A whole notebook, piece by piece. */
struct whole {
    struct fixture *f;
    struct buf text;
    struct store_notebook *n;
    int came;
    size_t n_pieces, largest;
    bool last;
};

static void on_piece(void *arg, const struct err *e, struct store_notebook *n, struct buf *piece,
                     bool last)
{
    struct whole *w = arg;
    assert_null(e);
    w->n = n;
    w->last = last;
    w->n_pieces++;
    w->largest = piece->len > w->largest ? piece->len : w->largest;
    buf_add_slice(&w->text, buf_slice(piece));
    w->came++;
}

static void whole_begin(struct whole *w, struct fixture *f, struct store_notebook_filter filter)
{
    struct uuid user = fixture_id(500);
    fixture_flush(f);
    *w = (struct whole){ .f = f,
                         .text = BUF_INIT(64 << 20),
                         .n = store_notebook_new(&user, &filter) };
}

static void whole_step(struct whole *w)
{
    w->came = 0;
    assert_non_null(store_read_notebook(w->f->store, TAKE(w->n), on_piece, w));
    fixture_run(w->f, &w->came, 1);
}

static void whole_end(struct whole *w)
{
    const struct notebook_kernel none = { 0 };
    while (!w->last)
        whole_step(w);
    store_notebook_end(w->n, &none, &w->text);
    if (!json_valid(buf_slice(&w->text)))
        fail_msg("no JSON: %s", w->text.data);
}

static void whole_done(struct whole *w)
{
    store_notebook_free(w->n);
    buf_done(&w->text);
}

static void read_whole(struct whole *w, struct fixture *f, struct store_notebook_filter filter)
{
    whole_begin(w, f, filter);
    whole_end(w);
}

static void has(const struct whole *w, const char *part)
{
    if (!strstr(w->text.data, part))
        fail_msg("%s\nis not in\n%s", part, w->text.data);
}

static size_t count(const struct whole *w, const char *part)
{
    size_t n = 0;
    for (const char *at = w->text.data; (at = strstr(at, part)); at++)
        n++;
    return n;
}

static void cells_are_the_sessions_executions_that_began(void **state)
{
    struct fixture *f = *state;
    struct whole w;
    struct execution_row waits = fixture_execution(f->store, 2),
                         command = fixture_execution(f->store, 3);
    struct execution_row ran = fixture_execution(f->store, 1);
    ran.status = STATUS_RUNNING;
    store_insert_execution(f->store, &ran, NULL, NULL);
    ran.status = STATUS_ERROR;
    ran.started_us = 1700000000000500;
    ran.finished_us = 1700000000000900;
    ran.execution_count = 1;
    store_update_execution(f->store, &ran, NO_MARK, false, NULL, NULL);
    store_insert_execution(f->store, &waits, NULL, NULL);
    command.session = NULL;
    command.started_us = 1;
    store_insert_execution(f->store, &command, NULL, NULL);
    (void)begin(f, 4, "other");
    (void)begin(f, 5, "python");
    read_whole(&w, f, (struct store_notebook_filter){ .session = "python" });
    assert_int_equal(count(&w, "\"cell_type\""), 2);
    has(&w, "{\"cells\":[{\"cell_type\":\"code\",\"id\":\"00000001-");
    has(&w,
        "\"status\":\"error\",\"client\":\"rest\",\"started_at\":\"2023-11-14T22:13:20.000500Z\","
        "\"finished_at\":\"2023-11-14T22:13:20.000900Z\"}},\"execution_count\":1,\"source\":\"1+"
        "1\"");
    has(&w, "\"started_at\":\"2023-11-14T22:13:20.000005Z\",\"finished_at\":null}},\"execution_"
            "count\":4,");
    assert_true(store_notebook_is_known(w.n));
    assert_string_equal(store_notebook_kernel(w.n).language, "python");
    whole_done(&w);
}

static void a_time_leaves_out_cells_but_not_the_session(void **state)
{
    struct fixture *f = *state;
    struct whole w;
    (void)begin(f, 10, "python");
    (void)begin(f, 20, "python");
    read_whole(&w, f,
               (struct store_notebook_filter){ .session = "python", .since_us = 1700000000000020 });
    has(&w, "{\"cells\":[{\"cell_type\":\"code\",\"id\":\"00000014-");
    whole_done(&w);
    read_whole(&w, f,
               (struct store_notebook_filter){ .session = "python", .until_us = 1700000000000020 });
    has(&w, "{\"cells\":[{\"cell_type\":\"code\",\"id\":\"0000000a-");
    assert_int_equal(count(&w, "\"cell_type\""), 1);
    whole_done(&w);
    read_whole(&w, f, (struct store_notebook_filter){ .session = "python", .until_us = 5 });
    has(&w, "{\"cells\":[],");
    assert_true(store_notebook_is_known(w.n));
    whole_done(&w);
    read_whole(&w, f, (struct store_notebook_filter){ .session = "none" });
    assert_false(store_notebook_is_known(w.n));
    whole_done(&w);
}

static void a_display_shows_its_last_update_wherever_that_came(void **state)
{
    struct fixture *f = *state;
    struct whole w;
    int64_t one = begin(f, 1, "python"), two = begin(f, 2, "python"),
            foreign = begin(f, 3, "other");
    add(f, one, 1, EVENT_DISPLAY,
        ",\"data\":{\"a/b\":\"first\"},\"metadata\":{},\"display_id\":\"d\"");
    add(f, one, 1, EVENT_DISPLAY, ",\"data\":{\"a/b\":\"no id\"},\"metadata\":{}");
    add(f, one, 1, EVENT_DISPLAY,
        ",\"data\":{\"a/b\":\"again\"},\"metadata\":{},\"display_id\":\"d\"");
    add(f, one, 1, EVENT_DISPLAY,
        ",\"data\":{\"a/b\":\"nobody's\"},\"metadata\":{},\"display_id\":\"e\",\"update\":true");
    struct buf aside = BUF_INIT(16);
    buf_add_str(&aside, "aside");
    store_add_blob(f->store, two, 0, "a/b", &aside);
    add(f, two, 2, EVENT_DISPLAY,
        ",\"data\":{\"a/b\":{\"ref\":\"/api/v1/executions/00000002-1111-4222-8333-444455556666/"
        "blobs/0\",\"bytes\":5}},"
        "\"metadata\":{\"m\":1},\"display_id\":\"d\",\"update\":true");
    add(f, foreign, 3, EVENT_DISPLAY,
        ",\"data\":{\"a/b\":\"foreign\"},\"metadata\":{},\"display_id\":\"d\",\"update\":true");
    read_whole(&w, f, (struct store_notebook_filter){ .session = "python" });
    assert_int_equal(count(&w, "{\"output_type\":\"display_data\",\"data\":{\"a/"
                               "b\":\"aside\"},\"metadata\":{\"m\":1}}"),
                     2);
    assert_int_equal(count(&w, "\"output_type\""), 3);
    has(&w, "\"a/b\":\"no id\"");
    whole_done(&w);
}

static void what_was_cleared_is_left_out(void **state)
{
    struct fixture *f = *state;
    struct whole w;
    int64_t feed = begin(f, 1, "python");
    add(f, feed, 1, EVENT_STDOUT, ",\"text\":\"old\"");
    add(f, feed, 1, EVENT_CLEAR_OUTPUT, ",\"wait\":true");
    add(f, feed, 1, EVENT_DISPLAY,
        ",\"data\":{},\"metadata\":{},\"display_id\":\"d\",\"update\":true");
    read_whole(&w, f, (struct store_notebook_filter){ .session = "python" });
    has(&w, "old");
    whole_done(&w);
    add(f, feed, 1, EVENT_STDOUT, ",\"text\":\"new\"");
    add(f, feed, 1, EVENT_CLEAR_OUTPUT, ",\"wait\":true");
    read_whole(&w, f, (struct store_notebook_filter){ .session = "python" });
    assert_null(strstr(w.text.data, "old"));
    has(&w, "\"text\":\"new\"");
    whole_done(&w);
    read_whole(&w, f,
               (struct store_notebook_filter){ .session = "python", .without_outputs = true });
    has(&w, "\"outputs\":[]");
    whole_done(&w);
}

static void a_long_history_comes_in_small_pieces(void **state)
{
    struct fixture *f = *state;
    struct whole w;
    char line[50100] = ",\"text\":\"";
    memset(line + 9, 'x', 50000);
    line[50009] = '"';
    for (unsigned n = 1; n <= 10; n++) {
        int64_t feed = begin(f, n, "python");
        for (int i = 0; i < 10; i++)
            add(f, feed, n, EVENT_STDOUT, line);
    }
    read_whole(&w, f, (struct store_notebook_filter){ .session = "python" });
    assert_true(w.text.len > 5000000 && w.n_pieces > 15);
    assert_true(w.largest < 350000);
    assert_int_equal(count(&w, "\"output_type\""), 10);
    whole_done(&w);
}

static void what_is_written_later_is_not_half_in_it(void **state)
{
    struct fixture *f = *state;
    struct whole w;
    char line[300100] = ",\"text\":\"";
    int64_t feed = begin(f, 1, "python");
    memset(line + 9, 'x', 300000);
    line[300009] = '"';
    add(f, feed, 1, EVENT_STDOUT, line);
    add(f, feed, 1, EVENT_STDOUT, ",\"text\":\"end\"");
    whole_begin(&w, f, (struct store_notebook_filter){ .session = "python" });
    while (w.text.len == 0)
        whole_step(&w);
    assert_null(strstr(w.text.data, "end")); /* it stands in the middle of the cell */
    add(f, feed, 1, EVENT_CLEAR_OUTPUT, ",\"wait\":false");
    add(f, feed, 1, EVENT_STDOUT, ",\"text\":\"later\"");
    (void)begin(f, 2, "python");
    fixture_flush(f);
    whole_end(&w);
    has(&w, "end\"}]}],");
    assert_null(strstr(w.text.data, "later"));
    whole_done(&w);
}

static void never(void *arg, const struct err *e, struct store_notebook *n, struct buf *piece,
                  bool last)
{
    fail_msg("it was cancelled");
}

static void one_that_is_cancelled_is_freed(void **state)
{
    struct fixture *f = *state;
    const struct store_notebook_filter filter = { .session = "python" };
    struct uuid user = fixture_id(500);
    struct store_query *first =
        store_read_notebook(f->store, store_notebook_new(&user, &filter), never, NULL);
    struct store_query *second =
        store_read_notebook(f->store, store_notebook_new(&user, &filter), never, NULL);
    store_cancel(first);
    store_cancel(second);
    fixture_flush(f);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(cells_are_the_sessions_executions_that_began),
        TEST(a_time_leaves_out_cells_but_not_the_session),
        TEST(a_display_shows_its_last_update_wherever_that_came),
        TEST(what_was_cleared_is_left_out),
        TEST(a_long_history_comes_in_small_pieces),
        TEST(what_is_written_later_is_not_half_in_it),
        TEST(one_that_is_cancelled_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
