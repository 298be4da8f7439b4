#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/json.h"
#include "kernelhub/record.h"

static const struct execution_row ROW = {
    .id = { "11111111-1111-4111-8111-111111111111" },
    .kernel_id = { "22222222-2222-4222-8222-222222222222" },
    .session = "python",
    .language = "python",
    .client = "rest",
    .code = { "1+1\n\"x\"", 7 },
    .status = STATUS_RUNNING,
    .created_us = 1700000000000001,
    .execution_count = -1,
};

/* Folds events given as "type,fields" and returns the record's JSON. */
static const char *fold_row(const struct execution_row *row, bool full, size_t max,
                            const char *const *events)
{
    static struct buf out = BUF_INIT(1 << 20);
    struct record *r = record_new(max);
    for (; *events; events++) {
        char line[2000];
        int n = (int)strcspn(*events, ",");
        snprintf(line, sizeof line, "{\"v\":1,\"seq\":1,\"type\":\"%.*s\"%s}", n, *events,
                 *events + n);
        assert_true(json_valid(slice_str(line)));
        record_add(r, slice_str(line));
    }
    buf_reset(&out);
    record_write(r, row, "ann", full, &out);
    record_free(r);
    assert_false(out.failed);
    assert_true(json_valid(buf_slice(&out)));
    return out.data;
}

#define FOLD(...) fold_row(&ROW, false, 100000, (const char *const[]){ __VA_ARGS__, NULL })

static void has(const char *json, const char *part)
{
    if (!strstr(json, part))
        fail_msg("%s\nis not in\n%s", part, json);
}

static void a_record_is_exactly_the_reply_of_execute(void **state)
{
    const char *json =
        FOLD("queued,\"position\":0", "started,\"execution_count\":3", "stdout,\"text\":\"a\\n\"",
             "stderr,\"text\":\"e\"", "stdout,\"text\":\"\\u00e4\"",
             "display,\"data\":{\"text/plain\":\"1\"},\"metadata\":{\"m\":1}",
             "result,\"data\":{\"text/plain\":\"42\"},\"metadata\":{},\"execution_count\":3",
             "files_changed,\"items\":[{\"path\":\"o "
             "\\\"ut\",\"bytes\":1,\"change\":\"created\"},{\"path\":\"b\",\"bytes\":2,"
             "\"change\":\"modified\"},{\"path\":\"c\",\"bytes\":3,\"change\":\"created\"}]",
             "finished,\"status\":\"ok\",\"exit_code\":0,\"exit\":null,\"duration_ms\":12,"
             "\"timing\":{\"queued_us\":40},"
             "\"resource_usage\":{\"cpu_ms\":8},\"execution_count\":3,\"truncated\":false,\"last_"
             "seq\":9");
    assert_string_equal(
        json, "{\"execution_id\":\"11111111-1111-4111-8111-111111111111\",\"session\":\"python\","
              "\"kernel_id\":\"22222222-2222-4222-8222-222222222222\",\"sandbox_id\":null,"
              "\"language\":\"python\","
              "\"execution_count\":3,\"status\":\"ok\",\"stdout\":\"a\\n\\u00e4\",\"stderr\":\"e\","
              "\"results\":[{\"data\":{\"text/"
              "plain\":\"1\"},\"metadata\":{\"m\":1},\"is_main_result\":false},"
              "{\"data\":{\"text/plain\":\"42\"},\"metadata\":{},\"is_main_result\":true}],"
              "\"error\":null,\"exit_code\":0,\"duration_ms\":12,\"timing\":{\"queued_us\":40},"
              "\"files_changed\":[{\"path\":\"o "
              "\\\"ut\",\"bytes\":1,\"change\":\"created\"},{\"path\":\"b\",\"bytes\":2,"
              "\"change\":\"modified\"},{\"path\":\"c\",\"bytes\":3,\"change\":\"created\"}],"
              "\"files_created\":[\"o "
              "\\\"ut\",\"c\"],\"resource_usage\":{\"cpu_ms\":8},\"truncated\":false,\"labels\":{},"
              "\"events_url\":\"/api/v1/executions/11111111-1111-4111-8111-111111111111/events\"}");
}

static void a_running_one_has_its_rows_status_and_nulls(void **state)
{
    const char *json = FOLD("started,\"execution_count\":4", "stdout,\"text\":\"so far\"");
    has(json, "\"execution_count\":4,\"status\":\"running\",\"stdout\":\"so "
              "far\",\"stderr\":\"\",\"results\":[]");
    has(json, "\"error\":null,\"exit_code\":null,\"duration_ms\":null,\"timing\":null,\"files_"
              "changed\":[],"
              "\"files_created\":[],\"resource_usage\":null,\"truncated\":false");
}

static void full_adds_what_the_row_knows(void **state)
{
    struct execution_row row = ROW;
    row.started_us = 1700000000000002;
    row.labels = SLICE_LITERAL("{\"a\":\"b\"}");
    const char *json = fold_row(&row, true, 1000, (const char *const[]){ NULL });
    has(json, "\"code\":\"1+1\\n\\\"x\\\"\",\"user\":\"ann\",\"client\":\"rest\","
              "\"created_at\":\"2023-11-14T22:13:20.000001Z\",\"started_at\":\"2023-11-14T22:13:20."
              "000002Z\","
              "\"finished_at\":null,\"replay_of\":null");
    has(json, "\"labels\":{\"a\":\"b\"}");
}

static void a_row_that_ended_speaks_for_a_finished_that_is_not_there(void **state)
{
    struct execution_row row = ROW;
    const char *const results[] = { ",\"status\":\"lost\",\"exit_code\":null,\"reason\":\"why\"",
                                    "\"status\":\"lost\",\"exit_code\":null,\"reason\":\"why\"",
                                    "{\"status\":\"lost\",\"exit_code\":null,\"reason\":\"why\"}" };
    for (size_t i = 0; i < 3; i++) {
        row.result = slice_str(results[i]);
        const char *json = fold_row(&row, false, 1000, (const char *const[]){ NULL });
        has(json, "\"status\":\"lost\",\"stdout\":\"\"");
        has(json, "\"exit_code\":null,\"reason\":\"why\",\"duration_ms\":null");
    }
}

static void an_update_replaces_in_place(void **state)
{
    const char *json = FOLD("display,\"data\":{\"a\":\"1\"},\"metadata\":{},\"display_id\":\"x\"",
                            "display,\"data\":{\"a\":\"2\"},\"metadata\":{}",
                            "display,\"data\":{\"a\":\"3\"},\"metadata\":{},\"display_id\":\"y\"",
                            "display,\"data\":{\"a\":\"new\"},\"metadata\":{\"m\":1},\"display_"
                            "id\":\"x\",\"update\":true",
                            "display,\"data\":{\"a\":\"unknown\"},\"metadata\":{},\"display_id\":"
                            "\"z\",\"update\":true");
    has(json,
        "\"results\":[{\"data\":{\"a\":\"new\"},\"metadata\":{\"m\":1},\"is_main_result\":false},"
        "{\"data\":{\"a\":\"2\"},\"metadata\":{},\"is_main_result\":false},"
        "{\"data\":{\"a\":\"3\"},\"metadata\":{},\"is_main_result\":false}]");
}

static void a_display_with_a_known_id_updates_the_old_and_is_added(void **state)
{
    const char *json = FOLD("display,\"data\":{\"a\":\"1\"},\"metadata\":{},\"display_id\":\"x\"",
                            "display,\"data\":{\"a\":\"2\"},\"metadata\":{},\"display_id\":\"x\"");
    has(json, "\"results\":[{\"data\":{\"a\":\"2\"},\"metadata\":{},\"is_main_result\":false},"
              "{\"data\":{\"a\":\"2\"},\"metadata\":{},\"is_main_result\":false}]");
}

static void add_display(struct record *r, int id, int value, bool update)
{
    char line[200];
    snprintf(line, sizeof line,
             "{\"type\":\"display\",\"data\":{\"a\":%d},\"metadata\":{},\"display_id\":\"d%d\","
             "\"update\":%s}",
             value, id, update ? "true" : "false");
    record_add(r, slice_str(line));
}

/* Processor time of 50,000 updates among so many displays, two of each id. */
static clock_t updates_take(int n_displays, struct buf *out)
{
    struct record *r = record_new(1 << 20);
    for (int i = 0; i < n_displays; i++)
        add_display(r, i / 2, i, false);
    clock_t begin = clock();
    for (int i = 0; i < 50000; i++)
        add_display(r, i % (n_displays / 2), i, true);
    clock_t took = clock() - begin;
    record_write(r, &ROW, NULL, false, out);
    record_free(r);
    return took;
}

static void an_update_costs_the_same_among_many_displays(void **state)
{
    CLEANUP_BUF struct buf few = BUF_INIT(8 << 20), many = BUF_INIT(8 << 20);
    assert_true(updates_take(10000, &many) < 10 * updates_take(100, &few));
    assert_true(json_valid(buf_slice(&many)));
    has(many.data, "\"results\":[{\"data\":{\"a\":45000},\"metadata\":{},\"is_main_result\":false},"
                   "{\"data\":{\"a\":45000},\"metadata\":{},\"is_main_result\":false},"
                   "{\"data\":{\"a\":45001}");
    has(many.data, "{\"a\":49999},\"metadata\":{},\"is_main_result\":false}],");
    has(many.data, "\"truncated\":false");
}

static void results_that_share_an_id_count_each(void **state)
{
    const char *const events[] = {
        "display,\"data\":{\"a\":1},\"metadata\":{},\"display_id\":\"x\"",
        "display,\"data\":{\"a\":2},\"metadata\":{},\"display_id\":\"x\"",
        "display,\"data\":{\"a\":333},\"metadata\":{},\"display_id\":\"x\","
        "\"update\":true",
        NULL
    };
    const char *json = fold_row(&ROW, false, 21, events);
    has(json, "\"results\":[{\"data\":{\"a\":2},\"metadata\":{},\"is_main_result\":false},"
              "{\"data\":{\"a\":2},");
    has(json, "\"truncated\":true");
    has(fold_row(&ROW, false, 22, events),
        "{\"data\":{\"a\":333},\"metadata\":{},\"is_main_result\":false}]");
}

static void a_display_id_is_forgotten_with_what_was_cleared(void **state)
{
    has(FOLD("display,\"data\":{\"a\":1},\"metadata\":{},\"display_id\":\"x\"",
             "clear_output,\"wait\":false",
             "display,\"data\":{\"a\":2},\"metadata\":{},\"display_id\":\"x\",\"update\":true"),
        "\"results\":[]");
}

static void clear_output_clears_at_once_or_at_the_next_output(void **state)
{
    has(FOLD("stdout,\"text\":\"a\"", "stderr,\"text\":\"b\"",
             "display,\"data\":{},\"metadata\":{}", "clear_output,\"wait\":false"),
        "\"stdout\":\"\",\"stderr\":\"\",\"results\":[]");
    has(FOLD("stdout,\"text\":\"a\"", "clear_output,\"wait\":true"), "\"stdout\":\"a\"");
    has(FOLD("stdout,\"text\":\"a\"", "clear_output,\"wait\":true",
             "started,\"execution_count\":1"),
        "\"stdout\":\"a\"");
    has(FOLD("stdout,\"text\":\"a\"", "clear_output,\"wait\":true", "stdout,\"text\":\"b\"",
             "stdout,\"text\":\"c\""),
        "\"stdout\":\"bc\"");
}

static void an_error_is_told_with_its_traceback(void **state)
{
    has(FOLD("error,\"name\":\"ValueError\",\"value\":\"v\",\"traceback\":[\"a\",\"b\"]",
             "finished,\"status\":\"error\",\"exit_code\":1"),
        "\"error\":{\"name\":\"ValueError\",\"value\":\"v\",\"traceback\":[\"a\",\"b\"]},\"exit_"
        "code\":1");
}

static void exit_and_reason_are_there_when_they_say_something(void **state)
{
    has(FOLD("finished,\"status\":\"kernel_died\",\"exit_code\":139,\"exit\":{\"signal\":11},"
             "\"reason\":\"r\""),
        "\"exit_code\":139,\"exit\":{\"signal\":11},\"reason\":\"r\",\"duration_ms\":null");
}

static void a_gap_a_bound_and_dropped_bytes_are_truncation(void **state)
{
    struct execution_row row = ROW;
    has(FOLD("gap,\"bytes\":5", "finished,\"status\":\"ok\",\"truncated\":false"),
        "\"truncated\":true");
    has(FOLD("finished,\"status\":\"ok\",\"truncated\":true"), "\"truncated\":true");
    row.dropped_bytes = 1;
    has(fold_row(&row, false, 1000, (const char *const[]){ NULL }), "\"truncated\":true");
}

static void beyond_the_bound_no_text_with_holes_is_kept(void **state)
{
    const char *const events[] = { "stdout,\"text\":\"12345678\"", "stdout,\"text\":\"too much\"",
                                   "stderr,\"text\":\"x\"", "display,\"data\":{},\"metadata\":{}",
                                   NULL };
    const char *json = fold_row(&ROW, false, 10, events);
    has(json, "\"stdout\":\"12345678to\",\"stderr\":\"\",\"results\":[]");
    has(json, "\"truncated\":true");
}

static void an_update_counts_what_it_replaces(void **state)
{
    const char *const events[] = {
        "display,\"data\":{\"a\":\"11\"},\"metadata\":{},\"display_id\":\"x\"",
        "display,\"data\":{\"a\":\"22\"},\"metadata\":{},\"display_id\":\"x\",\"update\":true",
        "display,\"data\":{\"a\":\"33\"},\"metadata\":{},\"display_id\":\"x\",\"update\":true",
        "display,\"data\":{\"a\":\"44\"},\"metadata\":{},\"display_id\":\"x\",\"update\":true", NULL
    };
    const char *json = fold_row(&ROW, false, 30, events);
    has(json, "\"results\":[{\"data\":{\"a\":\"44\"}");
    has(json, "\"truncated\":false");
}

static void a_text_that_does_not_fit_is_cut_between_characters(void **state)
{
    static const char *const PREFIXES[] = { /* by the bytes there are */
                                            [0] = "",
                                            [1] = "a",
                                            [2] = "a",
                                            [3] = "aß",
                                            [4] = "aß",
                                            [5] = "aß\\n",
                                            [10] = "aß\\n",
                                            [11] = "aß\\n\\u00e4",
                                            [22] = "aß\\n\\u00e4",
                                            [23] = "aß\\n\\u00e4\\ud83d\\ude00",
                                            [24] = "aß\\n\\u00e4\\ud83d\\ude00z"
    };
    const char *const events[] = { "stdout,\"text\":\"aß\\n\\u00e4\\ud83d\\ude00z\"",
                                   "stderr,\"text\":\"more\"", NULL };
    for (size_t max = 0; max < sizeof PREFIXES / sizeof *PREFIXES; max++) {
        const char *json = fold_row(&ROW, false, max, events); /* checks that it is JSON */
        char expected[80];
        has(json, "\"stderr\":\"\"");
        has(json, "\"truncated\":true");
        if (!PREFIXES[max])
            continue;
        snprintf(expected, sizeof expected, "\"stdout\":\"%s\"", PREFIXES[max]);
        has(json, expected);
    }
    has(fold_row(&ROW, false, 28, events), "z\",\"stderr\":\"more\"");
}

static void strange_lines_change_nothing(void **state)
{
    struct record *r = record_new(100);
    static const char *const LINES[] = {
        "",
        "{",
        "[]",
        "null",
        "{\"type\":1}",
        "{\"type\":\"nope\"}",
        "{\"type\":\"stdout\"}",
        "{\"type\":\"stdout\",\"text\":1}",
        "{\"type\":\"files_changed\",\"items\":3}",
        "{\"type\":\"files_changed\",\"items\":[1,{\"change\":\"created\"}]}",
        "{\"type\":\"input_request\"}",
        "{\"type\":\"kernel_status\"}"
    };
    CLEANUP_BUF struct buf out = BUF_INIT(10000);
    for (size_t i = 0; i < sizeof LINES / sizeof *LINES; i++)
        record_add(r, slice_str(LINES[i]));
    record_write(r, &ROW, NULL, true, &out);
    assert_true(json_valid(buf_slice(&out)));
    has(out.data, "\"stdout\":\"\"");
    has(out.data, "\"user\":null");
    record_free(r);
    record_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_exactly_the_reply_of_execute),
        cmocka_unit_test(a_running_one_has_its_rows_status_and_nulls),
        cmocka_unit_test(full_adds_what_the_row_knows),
        cmocka_unit_test(a_row_that_ended_speaks_for_a_finished_that_is_not_there),
        cmocka_unit_test(an_update_replaces_in_place),
        cmocka_unit_test(a_display_with_a_known_id_updates_the_old_and_is_added),
        cmocka_unit_test(an_update_costs_the_same_among_many_displays),
        cmocka_unit_test(results_that_share_an_id_count_each),
        cmocka_unit_test(a_display_id_is_forgotten_with_what_was_cleared),
        cmocka_unit_test(clear_output_clears_at_once_or_at_the_next_output),
        cmocka_unit_test(an_error_is_told_with_its_traceback),
        cmocka_unit_test(exit_and_reason_are_there_when_they_say_something),
        cmocka_unit_test(a_gap_a_bound_and_dropped_bytes_are_truncation),
        cmocka_unit_test(beyond_the_bound_no_text_with_holes_is_kept),
        cmocka_unit_test(an_update_counts_what_it_replaces),
        cmocka_unit_test(a_text_that_does_not_fit_is_cut_between_characters),
        cmocka_unit_test(strange_lines_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
