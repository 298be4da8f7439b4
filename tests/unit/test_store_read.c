/* What is read back: pages, records, the history, blobs; and what retention takes away. */
#include "store_fixture.h"

#include "kernelhub/execution.h"

#define NO_MARK ((struct store_mark){ 0 })

static void add(struct fixture *f, int64_t feed, unsigned execution, enum event_type type,
                const char *fields)
{
    struct event_head head = fixture_head(execution, type);
    store_add_event(f->store, feed, &head, slice_str(fields), NO_MARK, false, NULL, NULL);
}

static void pages_follow_each_other_to_the_end(void **state)
{
    struct fixture *f = *state;
    struct got g = { 0 };
    int64_t feed = store_next_feed(f->store);
    for (int i = 0; i < 49; i++)
        add(f, feed, 1, EVENT_STDOUT, ",\"text\":\"0123456789\"");
    add(f, feed, 1, EVENT_FINISHED, ",\"status\":\"ok\"");
    fixture_flush(f);
    uint64_t after = 0, pages = 0;
    do {
        fixture_page(f, feed, after, 1500, &g);
        assert_int_equal(g.first_seq, after + 1);
        assert_true(g.len <= 1500);
        after += g.n_lines;
        assert_int_equal(g.ended, after == 50);
        pages++;
    } while (!g.ended);
    assert_true(pages > 5);
    fixture_page(f, feed, 50, 1500, &g);
    assert_int_equal(g.n_lines, 0);
    assert_true(g.ended);
    fixture_page(f, feed, UINT64_MAX, 1500, &g);
    assert_int_equal(g.n_lines, 0);
    fixture_page(f, feed, 10, 1, &g); /* at least one */
    assert_int_equal(g.n_lines, 1);
    assert_int_equal(g.first_seq, 11);
    fixture_page(f, 987654, 0, 1500, &g);
    assert_int_equal(g.n_lines, 0);
    assert_false(g.ended);
    got_done(&g);
}

static void an_open_feed_has_not_ended(void **state)
{
    struct fixture *f = *state;
    struct got g = { 0 };
    int64_t feed = store_next_feed(f->store);
    add(f, feed, 1, EVENT_STDOUT, ",\"text\":\"x\"");
    fixture_flush(f);
    fixture_page(f, feed, 0, 1500, &g);
    assert_int_equal(g.n_lines, 1);
    assert_false(g.ended);
    got_done(&g);
}

static void find(struct fixture *f, unsigned n, struct got *g)
{
    struct uuid id = fixture_id(n);
    g->came = 0;
    store_find_execution(f->store, &id, got_json, g);
    fixture_run(f, &g->came, 1);
}

static void an_execution_is_found_by_its_id(void **state)
{
    struct fixture *f = *state;
    struct got g = { 0 };
    struct execution_row row = fixture_execution(f->store, 1);
    store_insert_execution(f->store, &row, NULL, NULL);
    fixture_flush(f);
    find(f, 1, &g);
    assert_string_equal(
        g.text,
        "{\"feed\":1,\"user_id\":\"000001f4-1111-4222-8333-444455556666\",\"status\":\"queued\","
        "\"session\":\"python\",\"ended\":false}");
    g.came = 0;
    store_find_hash(f->store, &row.id, got_json, &g);
    fixture_run(f, &g.came, 1);
    assert_string_equal(
        g.text,
        "{\"feed\":1,\"user_id\":\"000001f4-1111-4222-8333-444455556666\",\"status\":\"queued\","
        "\"session\":\"python\",\"ended\":false,\"code_sha256\":"
        "\"4a1b21d876ae00c8ed5c4d1cde09c61f8a61b50fe370a801b10c339831f370ab\"}");
    find(f, 2, &g);
    assert_int_equal(g.code, ERR_NOT_FOUND);
    got_done(&g);
}

static void read_record(struct fixture *f, unsigned n, const struct uuid *user_id, struct got *g)
{
    struct uuid id = fixture_id(n);
    g->came = 0;
    store_read_record(f->store, &id, user_id, got_json, g);
    fixture_run(f, &g->came, 1);
}

static void a_record_is_folded_from_row_and_events(void **state)
{
    struct fixture *f = *state;
    struct got g = { 0 };
    struct user_row user = { .id = fixture_id(500), .name = "ann" };
    struct execution_row row = fixture_execution(f->store, 1);
    store_put_user(f->store, &user, NULL, NULL);
    store_insert_execution(f->store, &row, NULL, NULL);
    add(f, row.feed, 1, EVENT_STDOUT, ",\"text\":\"one \"");
    add(f, row.feed, 1, EVENT_STDOUT, ",\"text\":\"two\"");
    fixture_flush(f);
    read_record(f, 1, NULL, &g);
    assert_true(json_valid(slice_of(g.text, g.len)));
    assert_non_null(strstr(g.text, "\"status\":\"queued\",\"stdout\":\"one two\""));
    assert_non_null(strstr(g.text, "\"user\":\"ann\""));
    add(f, row.feed, 1, EVENT_FINISHED, ",\"status\":\"ok\",\"exit_code\":0");
    fixture_flush(f);
    read_record(f, 1, &user.id, &g);
    assert_non_null(strstr(g.text, "\"status\":\"ok\""));
    struct uuid stranger = fixture_id(501);
    read_record(f, 1, &stranger, &g);
    assert_int_equal(g.code, ERR_NOT_FOUND);
    got_done(&g);
}

static void add_blob(struct fixture *f, int64_t feed, unsigned n, const char *media_type,
                     struct slice bytes)
{
    CLEANUP_BUF struct buf copy = BUF_INIT(1 << 20);
    buf_add_slice(&copy, bytes);
    store_add_blob(f->store, feed, n, media_type, &copy);
    assert_null(copy.data);
}

static void blobs_are_read_back_by_number_and_only_by_their_user(void **state)
{
    struct fixture *f = *state;
    struct got g = { 0 };
    struct execution_row row = fixture_execution(f->store, 1);
    char bytes[70000];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7);
    store_insert_execution(f->store, &row, NULL, NULL);
    add_blob(f, row.feed, 0, "image/png", slice_of(bytes, sizeof bytes));
    add_blob(f, row.feed, 1, "text/html", SLICE_LITERAL("<b>"));
    add_blob(f, row.feed, 2, "text/plain", SLICE_LITERAL(""));
    fixture_flush(f);
    for (int i = 3; i >= 0; i--) {
        g.came = 0;
        store_read_blob(f->store, &row.id, i == 1 ? &row.user_id : NULL, (unsigned)i, got_blob, &g);
        fixture_run(f, &g.came, 1);
        assert_int_equal(g.code, i == 3 ? ERR_NOT_FOUND : ERR_NONE);
        if (i == 1)
            assert_string_equal(g.text, "<b>");
        if (i == 2)
            assert_int_equal(g.len, 0);
    }
    assert_string_equal(g.media_type, "image/png");
    assert_int_equal(g.len, sizeof bytes);
    assert_memory_equal(g.text, bytes, sizeof bytes);
    struct uuid stranger = fixture_id(501);
    g.came = 0;
    store_read_blob(f->store, &row.id, &stranger, 0, got_blob, &g);
    fixture_run(f, &g.came, 1);
    assert_int_equal(g.code, ERR_NOT_FOUND);
    got_done(&g);
}

struct got_output {
    struct got got;
    int64_t next_offset, bytes, lines;
    bool ended;
};

static void take_output(void *arg, const struct err *e, const struct output_found *found)
{
    struct got_output *g = arg;
    if (found) {
        g->next_offset = found->next_offset;
        g->bytes = found->bytes;
        g->lines = found->lines;
        g->ended = found->ended;
        assert_false(found->cut);
    }
    got_take(&g->got, e, found ? found->text : slice_of(NULL, 0));
}

static void read_output(struct fixture *f, const struct execution_row *row, unsigned user,
                        struct output_part part, struct got_output *g)
{
    struct uuid user_id = fixture_id(user);
    g->got.came = 0;
    store_read_output(f->store, &row->id, &user_id, &part, take_output, g);
    fixture_run(f, &g->got.came, 1);
}

/* A body of 300,000 characters stands in the feed's file, a result of that size as a blob of its own. */
static void add_long(struct fixture *f, const struct execution_row *row, unsigned blob)
{
    struct buf fields = BUF_INIT(1 << 20);
    buf_add_str(&fields, ",\"text\":\"");
    memset(buf_room(&fields, 300000), 'y', 300000);
    fields.len += 300000;
    buf_add_str(&fields, "\\n\"");
    buf_add_char(&fields, '\0');
    add(f, row->feed, 1, EVENT_STDOUT, fields.data);
    fields.data[300000 + 9] = '\0';
    add_blob(f, row->feed, blob, "text/plain", slice_of(fields.data + 9, 300000));
    buf_done(&fields);
}

static void a_text_is_read_in_parts(void **state)
{
    struct fixture *f = *state;
    struct got_output g = { .next_offset = 0 };
    struct execution_row row = fixture_execution(f->store, 1);
    store_insert_execution(f->store, &row, NULL, NULL);
    add(f, row.feed, 1, EVENT_STDOUT, ",\"text\":\"one\\n\\ud83d\\ude00 t\"");
    add(f, row.feed, 1, EVENT_STDERR, ",\"text\":\"warned\"");
    add(f, row.feed, 1, EVENT_STDOUT, ",\"text\":\"wo\\n\"");
    add(f, row.feed, 1, EVENT_RESULT, ",\"data\":{\"text/html\":\"<b>\",\"text/plain\":\"4\\t2\"}");
    add_long(f, &row, 0);
    char fields[200];
    (void)snprintf(
        fields, sizeof fields,
        ",\"data\":{\"text/plain\":{\"ref\":\"/api/v1/executions/%s/blobs/0\",\"bytes\":300000}}",
        row.id.text);
    add(f, row.feed, 1, EVENT_RESULT, fields);
    fixture_flush(f);
    read_output(f, &row, 500, (struct output_part){ .head = 2 }, &g);
    assert_string_equal(g.got.text, "one\n😀 two\n");
    read_output(f, &row, 500, (struct output_part){ .offset = 4, .limit = 5 }, &g);
    assert_string_equal(g.got.text, "😀 ");
    assert_int_equal(g.next_offset, 9);
    read_output(f, &row, 500, (struct output_part){ .limit = 0 }, &g);
    assert_int_equal(g.got.len, 13 + 300001);
    assert_int_equal(g.next_offset, -1);
    assert_int_equal(g.bytes, 13 + 300001);
    assert_int_equal(g.lines, 3);
    assert_false(g.ended);
    read_output(f, &row, 500, (struct output_part){ .limit = 3, .wants_total = true }, &g);
    assert_string_equal(g.got.text, "one");
    assert_int_equal(g.bytes, 13 + 300001);
    read_output(f, &row, 500, (struct output_part){ .stream = OUTPUT_STDERR }, &g);
    assert_string_equal(g.got.text, "warned");
    read_output(f, &row, 500, (struct output_part){ .stream = OUTPUT_RESULT }, &g);
    assert_int_equal(g.got.len, 4 + 300001);
    assert_memory_equal(g.got.text, "4\t2\nyyyy", 8);
    read_output(f, &row, 501, (struct output_part){ .limit = 0 }, &g);
    assert_int_equal(g.got.code, ERR_NOT_FOUND);
    got_done(&g.got);
}

static void an_object_in_place_of_a_text_makes_nothing_unreadable(void **state)
{
    static const char *const VALUES[] = {
        "{}",
        "{\"ref\":\"@evil.example/0\",\"bytes\":1}",
        "{\"ref\":\"/api/v1/executions/00000002-1111-4222-8333-444455556666/blobs/0\",\"bytes\":1}",
        "{\"ref\":5}",
    };
    struct fixture *f = *state;
    struct got_output g = { .next_offset = 0 };
    struct execution_row row = fixture_execution(f->store, 1);
    CLEANUP_BUF struct buf expected = BUF_INIT(1000);
    store_insert_execution(f->store, &row, NULL, NULL);
    add_blob(f, row.feed, 0, "text/plain", SLICE_LITERAL("aside"));
    for (size_t i = 0; i < ARRAY_LEN(VALUES); i++) {
        char fields[200];
        (void)snprintf(fields, sizeof fields, ",\"data\":{\"text/plain\":%s}", VALUES[i]);
        add(f, row.feed, 1, EVENT_RESULT, fields);
        buf_addf(&expected, "%s\n", VALUES[i]);
    }
    add(f, row.feed, 1, EVENT_RESULT, ",\"data\":{\"text/plain\":\"after\"}");
    buf_add_str(&expected, "after\n");
    fixture_flush(f);
    read_output(f, &row, 500, (struct output_part){ .stream = OUTPUT_RESULT }, &g);
    assert_int_equal(g.got.code, ERR_NONE);
    assert_string_equal(g.got.text, expected.data);
    got_done(&g.got);
}

static void a_long_text_is_read_page_by_page(void **state)
{
    struct fixture *f = *state;
    struct got_output g = { .next_offset = 0 };
    struct execution_row row = fixture_execution(f->store, 1);
    store_insert_execution(f->store, &row, NULL, NULL);
    for (unsigned i = 0; i < 12; i++)
        add_long(f, &row, i);
    add(f, row.feed, 1, EVENT_STDOUT, ",\"text\":\"last needle\"");
    fixture_flush(f);
    read_output(f, &row, 500, (struct output_part){ .tail = 1 }, &g);
    assert_string_equal(g.got.text, "last needle");
    read_output(f, &row, 500, (struct output_part){ .grep = "needle" }, &g);
    assert_string_equal(g.got.text, "last needle");
    read_output(f, &row, 500, (struct output_part){ .offset = 3 * 300001 - 2, .limit = 4 }, &g);
    assert_string_equal(g.got.text, "y\nyy");
    got_done(&g.got);
}

static void whoever_reads_much_lets_others_read_in_between(void **state)
{
    struct fixture *f = *state;
    struct got_output whole = { .ended = false };
    struct got other = { 0 };
    struct execution_row row = fixture_execution(f->store, 1);
    struct uuid user_id = fixture_id(500);
    store_insert_execution(f->store, &row, NULL, NULL);
    for (unsigned i = 0; i < 40; i++)
        add_long(f, &row, i);
    fixture_flush(f);
    const struct output_part part = { .tail = 1, .wants_total = true };
    store_read_output(f->store, &row.id, &user_id, &part, take_output, &whole);
    store_find_execution(f->store, &row.id, got_json, &other);
    fixture_run(f, &other.came, 1);
    assert_int_equal(whole.got.came, 0);
    fixture_run(f, &whole.got.came, 1);
    assert_int_equal(whole.bytes, 40 * 300001);
    assert_int_equal(whole.lines, 40);
    struct store_query *q =
        store_read_output(f->store, &row.id, &user_id, &part, take_output, &whole);
    store_find_execution(f->store, &row.id, got_json, &other);
    other.came = 0;
    fixture_run(f, &other.came, 1);
    store_cancel(q); /* between two turns, or in one */
    read_output(f, &row, 500, (struct output_part){ .head = 1 }, &whole);
    assert_int_equal(whole.got.len, 300001);
    got_done(&other);
    got_done(&whole.got);
}

static void the_source_is_what_it_takes_to_run_it_again(void **state)
{
    struct fixture *f = *state;
    struct got g = { 0 };
    struct execution_row row = fixture_execution(f->store, 1);
    struct session_row session = { .feed = store_next_feed(f->store),
                                   .user_id = row.user_id,
                                   .name = "python",
                                   .language = "python",
                                   .template_name = "slim" };
    row.session_feed = session.feed;
    row.options = SLICE_LITERAL("{\"timeout_ms\":7}");
    store_put_session(f->store, &session, NULL, NULL);
    store_insert_execution(f->store, &row, NULL, NULL);
    fixture_flush(f);
    store_read_source(f->store, &row.id, &row.user_id, got_json, &g);
    fixture_run(f, &g.came, 1);
    assert_string_equal(g.text, "{\"code\":\"1+1\",\"language\":\"python\",\"template\":\"slim\","
                                "\"labels\":null,\"options\":{\"timeout_ms\":7}}");
    struct uuid stranger = fixture_id(501);
    g.came = 0;
    store_read_source(f->store, &row.id, &stranger, got_json, &g);
    fixture_run(f, &g.came, 1);
    assert_int_equal(g.code, ERR_NOT_FOUND);
    got_done(&g);
}

static void list(struct fixture *f, const struct uuid *user_id, struct execution_filter filter,
                 struct got *g)
{
    g->came = 0;
    store_list_executions(f->store, user_id, &filter, got_json, g);
    fixture_run(f, &g->came, 1);
}

/* The ids' first eight characters in the order of the items, as numbers: "5 4 3". */
static const char *ids(struct got *g, char *ret, size_t size)
{
    struct slice items, id;
    ret[0] = '\0';
    if (g->code != ERR_NONE)
        snprintf(ret, size, "%s", g->error);
    assert_true(g->code != ERR_NONE || json_valid(slice_of(g->text, g->len)));
    if (!json_member(slice_of(g->text, g->len), "items", &items))
        return ret;
    struct json_iter it = json_iter(items);
    while (json_next(&it)) {
        assert_true(json_member_string(it.value, "execution_id", &id));
        size_t n = strlen(ret);
        snprintf(ret + n, size - n, "%s%lu", n ? " " : "", strtoul(id.data, NULL, 16));
    }
    return ret;
}

static void fill_history(struct fixture *f)
{
    struct user_row users[2] = { { .id = fixture_id(500), .name = "ann" },
                                 { .id = fixture_id(501), .name = "bob" } };
    store_put_user(f->store, &users[0], NULL, NULL);
    store_put_user(f->store, &users[1], NULL, NULL);
    for (unsigned i = 1; i <= 9; i++) {
        struct execution_row row = fixture_execution(f->store, i);
        row.created_us = 1700000000000000 + i * 1000000ll; /* 2023-11-14T22:13:20Z + i s */
        if (i % 3 == 0) {
            row.user_id = users[1].id;
            row.language = "bash";
        }
        if (i == 4)
            row.code = SLICE_LITERAL("print('100%_Done\\n')");
        if (i == 5)
            row.labels = SLICE_LITERAL("{\"team\":\"red\",\"k\":\"a=b\"}");
        if (i == 6)
            row.labels = SLICE_LITERAL("{\"team\":\"blue\"}");
        if (i == 7)
            row.session = "other";
        if (i == 8) {
            row.status = STATUS_ERROR;
            row.result = SLICE_LITERAL(
                ",\"status\":\"error\",\"exit_code\":1,\"duration_ms\":7,\"truncated\":true");
            row.started_us = row.finished_us = row.created_us;
            add(f, row.feed, i, EVENT_ERROR,
                ",\"name\":\"ValueError\",\"value\":\"no \\\"x\\\"\",\"traceback\":[\"t\"]");
        }
        store_insert_execution(f->store, &row, NULL, NULL);
        if (i == 8)
            add(f, row.feed, i, EVENT_ERROR,
                ",\"name\":\"ValueError\",\"value\":\"no \\\"x\\\"\",\"traceback\":[\"t\"]");
    }
    fixture_flush(f);
}

static void the_history_is_filtered(void **state)
{
    struct fixture *f = *state;
    struct got g = { 0 };
    struct uuid ann = fixture_id(500);
    static const struct {
        struct execution_filter filter;
        bool all_users;
        const char *ids;
    } CASES[] = {
        { { 0 }, false, "8 7 5 4 2 1" },
        { { 0 }, true, "9 8 7 6 5 4 3 2 1" },
        { { .user = "*" }, true, "9 8 7 6 5 4 3 2 1" },
        { { .user = "bob" }, true, "9 6 3" },
        { { .user = "ann" }, false, "8 7 5 4 2 1" },
        { { .user = "bob" }, false, "" },
        { { .session = "other" }, true, "7" },
        { { .language = "bash" }, true, "9 6 3" },
        { { .status = "error" }, true, "8" },
        { { .label = "team" }, true, "6 5" },
        { { .label = "team=red" }, true, "5" },
        { { .label = "k=a=b" }, true, "5" },
        { { .label = "team=" }, true, "" },
        { { .label = "x' OR 1=1 --" }, true, "" },
        { { .since = "2023-11-14T22:13:27Z" }, true, "9 8 7" },
        { { .since = "2023-11-14T23:13:26.5+01:00" }, true, "9 8 7" },
        { { .until = "2023-11-14T22:13:23Z" }, true, "2 1" },
        { { .q = "100%_d" }, true, "4" },
        { { .q = "\\n" }, true, "4" },
        { { .q = "%" }, true, "4" },
        { { .q = "1_1" }, true, "" },
        { { .session = "python",
            .language = "python",
            .q = "1+1",
            .since = "2023-11-14T22:13:22Z" },
          false,
          "8 5 2" },
    };
    fill_history(f);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char found[600];
        list(f, CASES[i].all_users ? NULL : &ann, CASES[i].filter, &g);
        if (strcmp(ids(&g, found, sizeof found), CASES[i].ids) != 0)
            fail_msg("case %zu: '%s' is not '%s'", i, found, CASES[i].ids);
        assert_non_null(strstr(g.text, "\"next\":null}"));
    }
    got_done(&g);
}

static void wrong_filters_are_named(void **state)
{
    struct fixture *f = *state;
    struct got g = { 0 };
    char long_text[2000];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    const struct {
        struct execution_filter filter;
        const char *name;
    } cases[] = {
        { { .status = "done" }, "status 'done'" },
        { { .since = "yesterday" }, "since 'yesterday'" },
        { { .since = "2023-11-14" }, "since" },
        { { .since = "2023-11-14T22:13:27" }, "since" },
        { { .since = "2023-02-30T22:13:27Z" }, "since" },
        { { .since = "2023-11-14T22:13:27 01:00" }, "since" },
        { { .until = "2023-11-14T24:00:00Z" }, "until" },
        { { .until = "2023-11-14T22:13:27Zx" }, "until" },
        { { .cursor = "-1" }, "cursor" },
        { { .cursor = "1x" }, "cursor" },
        { { .cursor = "99999999999999999999" }, "cursor" },
        { { .limit = 501 }, "limit 501" },
        { { .limit = -1 }, "limit -1" },
        { { .q = long_text }, "q is longer" },
    };
    fill_history(f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        list(f, NULL, cases[i].filter, &g);
        assert_int_equal(g.code, ERR_INVALID);
        if (!strstr(g.error, cases[i].name))
            fail_msg("'%s' is not in '%s'", cases[i].name, g.error);
    }
    got_done(&g);
}

static void a_cursor_leads_through_all_items_once(void **state)
{
    struct fixture *f = *state;
    struct got g = { 0 };
    char cursor[32] = "", all[200] = "", found[200];
    fill_history(f);
    for (int i = 0; i < 3; i++) {
        struct slice next;
        list(f, NULL, (struct execution_filter){ .cursor = cursor, .limit = 3 }, &g);
        size_t n = strlen(all);
        snprintf(all + n, sizeof all - n, "%s ", ids(&g, found, sizeof found));
        bool more = json_member_string(slice_of(g.text, g.len), "next", &next);
        assert_int_equal(more, i < 2);
        if (more)
            assert_true(json_copy_string(next, cursor, sizeof cursor));
    }
    assert_string_equal(all, "9 8 7 6 5 4 3 2 1 ");
    got_done(&g);
}

static void an_item_says_how_it_ended(void **state)
{
    struct fixture *f = *state;
    struct got g = { 0 };
    fill_history(f);
    list(f, NULL, (struct execution_filter){ .status = "error" }, &g);
    static const char *const PARTS[] = {
        "\"execution_id\":\"00000008-1111-4222-8333-444455556666\",\"session\":\"python\"",
        "\"exit_code\":1",
        "\"duration_ms\":7",
        "\"truncated\":true",
        "\"error\":{\"name\":\"ValueError\",\"value\":\"no \\\"x\\\"\"}",
        "\"code\":\"1+1\"",
        "\"user\":\"ann\"",
        "\"client\":\"rest\"",
        "\"created_at\":\"2023-11-14T22:13:28.000000Z\"",
        "\"replay_of\":null",
        "\"labels\":{}",
        "\"events_url\":\"/api/v1/executions/00000008-1111-4222-8333-444455556666/events\"",
    };
    for (size_t i = 0; i < sizeof PARTS / sizeof *PARTS; i++)
        if (!strstr(g.text, PARTS[i]))
            fail_msg("%s is not in %s", PARTS[i], g.text);
    got_done(&g);
}

static void never(void *arg, const struct err *e, struct slice json)
{
    fail_msg("a cancelled query answered");
}

struct canceller {
    struct store_query *self;
    int came;
};

/* An owner that gives up its handle late: the query being answered is cancelled from within its answer. */
static void cancel_self(void *arg, const struct err *e, struct slice json)
{
    struct canceller *c = arg;
    store_cancel(c->self);
    c->came++;
}

static void a_cancelled_query_never_answers(void **state)
{
    struct fixture *f = *state;
    struct got g = { 0 };
    fill_history(f);
    struct uuid id = fixture_id(1);
    struct execution_filter filter = { 0 };
    for (int round = 0; round < 50; round++) {
        struct store_query *all[6];
        for (int i = 0; i < 6; i++)
            all[i] = i % 2 ? store_read_record(f->store, &id, NULL, never, NULL)
                           : store_list_executions(f->store, NULL, &filter, never, NULL);
        store_cancel(all[3]);
        store_cancel(all[5]);
        store_cancel(all[0]); /* the reader may be at it */
        store_cancel(all[1]);
        store_cancel(all[4]);
        store_cancel(all[2]);
        store_cancel(NULL);
        find(f, 1, &g);
    }
    struct canceller c = { 0 };
    c.self = store_find_execution(f->store, &id, cancel_self, &c);
    fixture_run(f, &c.came, 1);
    for (int i = 0; i < 5; i++) /* some under way when the store is closed */
        store_list_executions(f->store, NULL, &filter, never, NULL);
    fixture_reopen(f);
    got_done(&g);
}

static void wait_until_retained(struct fixture *f, struct store_retention limits)
{
    store_retain(f->store, &limits);
    for (int i = 0; i < 200; i++) /* one step a turn; they go on by themselves */
        fixture_flush(f);
}

static int64_t count_files(struct fixture *f)
{
    char command[200];
    snprintf(command, sizeof command, "find %s/blobs -type f | wc -l", f->dir);
    FILE *out = popen(command, "r");
    long long n = -1;
    assert_int_equal(fscanf(out, "%lld", &n), 1);
    pclose(out);
    return n;
}

/* 500 ended executions with 20 events and a blob each, 10 running ones in between. */
static void fill_for_retention(struct fixture *f, int64_t newest_us)
{
    for (unsigned i = 1; i <= 510; i++) {
        struct execution_row row = fixture_execution(f->store, i);
        bool running = i % 51 == 0;
        row.status = running ? STATUS_RUNNING : STATUS_OK;
        row.created_us = newest_us - (510 - i) * 3600 * 1000000ll;
        row.finished_us = running ? 0 : row.created_us;
        store_insert_execution(f->store, &row, NULL, NULL);
        for (int k = 0; k < 20; k++)
            add(f, row.feed, i, EVENT_STDOUT, ",\"text\":\"some text or other\"");
        add_blob(f, row.feed, 0, "text/plain", SLICE_LITERAL("0123456789"));
    }
    fixture_flush(f);
    assert_int_equal(count_files(f), 510);
}

static void retention_keeps_the_newest_and_what_runs(void **state)
{
    struct fixture *f = *state;
    struct got g = { 0 };
    char found[4000];
    fill_for_retention(f, zclock_time() * 1000);
    wait_until_retained(f, (struct store_retention){ .max_executions = 50 });
    list(f, NULL, (struct execution_filter){ .limit = 500 }, &g);
    int n = 1;
    for (const char *at = ids(&g, found, sizeof found); *at; at++)
        n += *at == ' ';
    assert_int_equal(n, 60);
    assert_int_equal(count_files(f), 60);
    fixture_page(f, 1, 0, 10000, &g);
    assert_int_equal(g.n_lines, 0);
    fixture_page(f, 51, 0, 100000, &g); /* runs */
    assert_int_equal(g.n_lines, 20);
    fixture_page(f, 509, 0, 100000, &g);
    assert_int_equal(g.n_lines, 20);
    got_done(&g);
}

static void retention_forgets_what_is_too_old(void **state)
{
    struct fixture *f = *state;
    int64_t now_us = zclock_time() * 1000;
    fill_for_retention(f, now_us);
    struct session_row session = { .feed = store_next_feed(f->store),
                                   .user_id = fixture_id(500),
                                   .name = "s",
                                   .created_us = 1,
                                   .ended_us = now_us - 20 * 86400 * 1000000ll };
    store_put_session(f->store, &session, NULL, NULL);
    add(f, session.feed, 1, EVENT_LATE, "");
    wait_until_retained(f, (struct store_retention){ .max_days = 10 });
    assert_true(count_files(f) >= 239 &&
                count_files(f) <= 250); /* 240 hours, and the ones that run */
    struct got g = { 0 };
    fixture_page(f, session.feed, 0, 1000, &g);
    assert_int_equal(g.n_lines, 0);
    got_done(&g);
}

static void retention_stays_below_the_bytes(void **state)
{
    struct fixture *f = *state;
    fill_for_retention(f, zclock_time() * 1000);
    wait_until_retained(f, (struct store_retention){ .max_bytes = 700 * 1000 });
    int64_t left = count_files(f);
    assert_true(left > 50 && left < 400);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(pages_follow_each_other_to_the_end),
        WITH_STORE(an_open_feed_has_not_ended),
        WITH_STORE(an_execution_is_found_by_its_id),
        WITH_STORE(a_record_is_folded_from_row_and_events),
        WITH_STORE(blobs_are_read_back_by_number_and_only_by_their_user),
        WITH_STORE(a_text_is_read_in_parts),
        WITH_STORE(a_long_text_is_read_page_by_page),
        WITH_STORE(whoever_reads_much_lets_others_read_in_between),
        WITH_STORE(an_object_in_place_of_a_text_makes_nothing_unreadable),
        WITH_STORE(the_source_is_what_it_takes_to_run_it_again),
        WITH_STORE(the_history_is_filtered),
        WITH_STORE(wrong_filters_are_named),
        WITH_STORE(a_cursor_leads_through_all_items_once),
        WITH_STORE(an_item_says_how_it_ended),
        WITH_STORE(a_cancelled_query_never_answers),
        WITH_STORE(retention_keeps_the_newest_and_what_runs),
        WITH_STORE(retention_forgets_what_is_too_old),
        WITH_STORE(retention_stays_below_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
