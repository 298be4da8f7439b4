#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "kernelhub/notebook.h"

static const struct execution_row ROW = {
    .id = { "11111111-1111-4111-8111-111111111111" },
    .client = "rest",
    .code = { "1+1\n\"x\"", 7 },
    .status = STATUS_OK,
    .started_us = 1700000000000001,
    .execution_count = 3,
};

static bool value(void *arg, const struct uuid *execution_id, unsigned n, struct buf *text)
{
    const char *const *values = arg;
    assert_string_equal(execution_id->text, ROW.id.text);
    if (!values[n])
        return false;
    buf_add_str(text, values[n]);
    return true;
}

/* Writes events given as "type,members" as one cell; returns the whole notebook. */
static const char *write_cell(const char *const *values, const char *const *events)
{
    static struct buf out = BUF_INIT(1 << 20);
    struct notebook n = { 0 };
    const struct notebook_kernel kernel = { .name = "python3", .language = "python" };
    buf_reset(&out);
    notebook_begin_cell(&n, &ROW, &out);
    for (; *events; events++) {
        char members[2000];
        struct notebook_event event = { .execution_id = &ROW.id,
                                        .value = value,
                                        .arg = (void *)values };
        size_t name = strcspn(*events, ",");
        snprintf(members, sizeof members, "{%s}", (*events)[name] ? *events + name + 1 : "");
        assert_true(json_valid(slice_str(members)));
        assert_true(event_type_parse(slice_of(*events, name), &event.type));
        event.members = slice_str(members);
        notebook_add(&n, &event, &out);
    }
    notebook_end_cell(&n, &out);
    notebook_end(&n, &kernel, &out);
    assert_false(out.failed);
    if (!json_valid(buf_slice(&out)))
        fail_msg("no JSON: %s", out.data);
    return out.data;
}

#define CELL(...) write_cell(NULL, (const char *const[]){ __VA_ARGS__, NULL })

static void has(const char *json, const char *part)
{
    if (!strstr(json, part))
        fail_msg("%s\nis not in\n%s", part, json);
}

static void a_cell_is_what_the_format_wants(void **state)
{
    assert_string_equal(
        CELL("stdout,\"text\":\"a\\u00e4\\n\""),
        "{\"cells\":[{\"cell_type\":\"code\",\"id\":\"11111111-1111-4111-8111-111111111111\","
        "\"metadata\":{\"kernelhub\":{\"execution_id\":\"11111111-1111-4111-8111-111111111111\","
        "\"status\":\"ok\",\"client\":\"rest\",\"started_at\":\"2023-11-14T22:13:20.000001Z\","
        "\"finished_at\":null}},\"execution_count\":3,\"source\":\"1+1\\n\\\"x\\\"\",\"outputs\":["
        "{\"output_type\":\"stream\",\"name\":\"stdout\",\"text\":\"a\\u00e4\\n\"}]}],\"metadata\":"
        "{\"kernelspec\":{\"name\":\"python3\",\"display_name\":\"python3\",\"language\":"
        "\"python\"},\"language_info\":{\"name\":\"python\"}},\"nbformat\":4,\"nbformat_minor\":5}"
        "\n");
}

static void texts_of_one_stream_are_joined_until_another_output_comes(void **state)
{
    has(CELL("stdout,\"text\":\"a\"", "started", "stdout,\"text\":\"b\"", "stderr,\"text\":\"c\"",
             "display,\"data\":{},\"metadata\":{}", "stderr,\"text\":\"d\""),
        "[{\"output_type\":\"stream\",\"name\":\"stdout\",\"text\":\"ab\"},{\"output_type\":"
        "\"stream\",\"name\":\"stderr\",\"text\":\"c\"},{\"output_type\":\"display_data\",\"data\":"
        "{"
        "},\"metadata\":{}},{\"output_type\":\"stream\",\"name\":\"stderr\",\"text\":\"d\"}]");
}

static void a_gap_is_a_text_on_stderr(void **state)
{
    has(CELL("stderr,\"text\":\"a\"",
             "gap,\"bytes\":7,\"messages\":2,\"reason\":\"a \\\"limit\\\"\""),
        "\"text\":\"a[7 bytes in 2 messages are missing here: a \\\"limit\\\"]\\n\"}");
}

static void an_error_has_text_alone(void **state)
{
    has(CELL("error,\"name\":\"E\",\"value\":\"v\",\"traceback\":[\"l\\n\",5,{\"a\":\"b\"}]"),
        "{\"output_type\":\"error\",\"ename\":\"E\",\"evalue\":\"v\",\"traceback\":[\"l\\n\",\"5\","
        "\"{\\\"a\\\":\\\"b\\\"}\"]}");
    has(CELL("error"), "\"ename\":\"\",\"evalue\":\"\",\"traceback\":[]}");
}

static void a_bundle_holds_texts_and_json_only_where_it_may(void **state)
{
    has(CELL("result,\"data\":{\"text/plain\":5,\"a/b\":[\"x\",\"y\"],\"c/d\":[1],\"application/"
             "json\":[1],"
             "\"application/v.x+json\":null,\"application/"
             "xjson\":{}},\"metadata\":[],\"execution_count\":-1"),
        "{\"output_type\":\"execute_result\",\"data\":{\"text/plain\":\"5\",\"a/b\":[\"x\",\"y\"],"
        "\"c/d\":\"[1]\",\"application/json\":[1],\"application/v.x+json\":null,"
        "\"application/xjson\":\"{}\"},\"metadata\":{},\"execution_count\":null}");
    has(CELL("display,\"data\":[\"no\",\"object\"]"), "\"data\":{},\"metadata\":{}}");
}

#define REF(n)                                                                                     \
    "{\"ref\":\"/api/v1/executions/11111111-1111-4111-8111-111111111111/blobs/" n "\",\"bytes\":"  \
                                                                                  "9}"

static void a_large_value_is_brought_back(void **state)
{
    static const char *const VALUES[] = { "a\"b\n", "{\"a\": 1}", "{broken", NULL };
    const char *events[] = {
        "display,\"data\":{\"image/png\":" REF("0") ",\"application/json\":" REF("1") "}",
        "display,\"data\":{\"application/json\":" REF("2") ",\"text/html\":" REF("3") "}", NULL
    };
    const char *json = write_cell(VALUES, events);
    has(json, "{\"image/png\":\"a\\\"b\\n\",\"application/json\":{\"a\": 1}}");
    has(json, "{\"application/json\":\"{broken\",\"text/html\":\"[this output cannot be read any "
              "more]\"}");
    has(CELL("display,\"data\":{\"image/png\":{\"ref\":\"/elsewhere\",\"bytes\":1}}"),
        "{\"image/png\":\"{\\\"ref\\\":\\\"/elsewhere\\\",\\\"bytes\\\":1}\"}");
}

static uint64_t cleared(const char *events)
{
    static const struct {
        char letter;
        enum event_type type;
        const char *members;
    } KINDS[] = { { 'o', EVENT_STDOUT, "{}" },
                  { 'd', EVENT_DISPLAY, "{\"data\":{}}" },
                  { 'u', EVENT_DISPLAY, "{\"data\":{},\"update\":true}" },
                  { 'g', EVENT_GAP, "{}" },
                  { 'c', EVENT_CLEAR_OUTPUT, "{\"wait\":false}" },
                  { 'w', EVENT_CLEAR_OUTPUT, "{\"wait\":true}" } };
    struct notebook_clear c = { 0 };
    for (size_t i = 0; events[i]; i++)
        for (size_t k = 0; k < ARRAY_LEN(KINDS); k++)
            if (KINDS[k].letter == events[i])
                notebook_clear_look(&c, KINDS[k].type, slice_str(KINDS[k].members), i + 1);
    return c.first;
}

static void outputs_begin_behind_the_newest_clear_that_took_effect(void **state)
{
    assert_int_equal(cleared("ooo"), 0);
    assert_int_equal(cleared("oco"), 2);
    assert_int_equal(cleared("oc"), 2);
    assert_int_equal(cleared("ow"), 0);
    assert_int_equal(cleared("owd"), 2);
    assert_int_equal(cleared("owug"), 0);
    assert_int_equal(cleared("owowo"), 4);
    assert_int_equal(cleared("owoww"), 2);
    assert_int_equal(cleared("owc"), 3);
}

static void what_a_kernel_says_of_its_language_is_taken_as_far_as_it_fits(void **state)
{
    struct buf out = BUF_INIT(4096);
    struct notebook n = { 0 };
    struct notebook_kernel k = { .language_info = SLICE_LITERAL(
                                     "{\"name\":\"py\",\"version\":3,\"file_extension\":\".py\","
                                     "\"codemirror_mode\":{\"version\":3},\"odd\":1}") };
    notebook_end(&n, &k, &out);
    assert_string_equal(out.data,
                        "{\"cells\":[],\"metadata\":{\"language_info\":{\"name\":\"py\","
                        "\"file_extension\":\".py\",\"codemirror_mode\":{\"version\":3}}},"
                        "\"nbformat\":4,\"nbformat_minor\":5}\n");
    k = (struct notebook_kernel){ .language = "r", .language_info = SLICE_LITERAL("{\"name\":5}") };
    buf_reset(&out);
    notebook_end(&n, &k, &out);
    has(out.data, "\"metadata\":{\"language_info\":{\"name\":\"r\"}}");
    k = (struct notebook_kernel){ 0 };
    buf_reset(&out);
    notebook_end(&n, &k, &out);
    has(out.data, "\"metadata\":{},");
    buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cell_is_what_the_format_wants),
        cmocka_unit_test(texts_of_one_stream_are_joined_until_another_output_comes),
        cmocka_unit_test(a_gap_is_a_text_on_stderr),
        cmocka_unit_test(an_error_has_text_alone),
        cmocka_unit_test(a_bundle_holds_texts_and_json_only_where_it_may),
        cmocka_unit_test(a_large_value_is_brought_back),
        cmocka_unit_test(outputs_begin_behind_the_newest_clear_that_took_effect),
        cmocka_unit_test(what_a_kernel_says_of_its_language_is_taken_as_far_as_it_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
