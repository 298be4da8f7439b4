#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/json.h"
#include "protocol/text_excerpt.h"
#include "web/mcp_text.h"
#include "web/mcp_view.h"

DEFINE_CLEANUP(char, free)

#define ID  "11111111-1111-4111-8111-111111111111"
#define BOX "22222222-2222-4222-8222-222222222222"

static const struct mcp_view_options PLAIN = { .max_chars = MCP_VIEW_DEFAULT_CHARS,
                                               .has_links = true };

/* A record with these members beside the ids. */
static struct slice record_of(struct buf *b, const char *members)
{
    buf_addf(b, "{\"execution_id\":\"" ID "\",\"sandbox_id\":\"" BOX "\",\"session\":\"python\"");
    buf_add_str(b, members);
    buf_add_char(b, '}');
    assert_true(json_valid(buf_slice(b)));
    return buf_slice(b);
}

static void write_view(struct slice record, const struct mcp_view_options *options, struct buf *out)
{
    struct mcp_view *v = mcp_view_new(record, options);
    unsigned blob;
    assert_false(mcp_view_wants(v, &blob));
    mcp_view_write(v, out);
    mcp_view_free(v);
    assert_false(out->failed);
    assert_true(json_valid(buf_slice(out)));
}

static struct slice content(struct slice result, size_t at)
{
    struct slice list, none = { 0 };
    assert_true(json_member(result, "content", &list));
    for (struct json_iter it = json_iter(list); json_next(&it); at--)
        if (at == 0)
            return it.value;
    return none;
}

/* The text of the first block. */
static char *text_of(struct slice result)
{
    char *text = json_member_dup(content(result, 0), "text", 1 << 22);
    assert_non_null(text);
    return text;
}

static struct slice structured(struct slice result)
{
    struct slice s;
    assert_true(json_member(result, "structuredContent", &s));
    return s;
}

static void member_is(struct slice object, const char *name, const char *json)
{
    struct slice value;
    assert_true(json_member(object, name, &value));
    if (!slice_is(value, json))
        fail_msg("%s is %.*s, not %s", name, (int)value.len, value.data, json);
}

static void text_shows_each_section_and_stands_alone(void **state)
{
    CLEANUP_BUF struct buf record = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
    write_view(
        record_of(
            &record,
            ",\"status\":\"error\",\"duration_ms\":1234,\"exit_code\":1,\"execution_count\":7,"
            "\"stdout\":\"10%\\r\\u001b[1m20%\\u001b[0m\\n\",\"stderr\":\"warn\",\"results\":["
            "{\"data\":{\"text/plain\":\"<Markdown object>\",\"text/markdown\":\"# "
            "T\"},\"is_main_result\":false},"
            "{\"data\":{\"text/plain\":\"42\"},\"is_main_result\":true}],"
            "\"error\":{\"name\":\"ValueError\",\"value\":\"no\",\"traceback\":[\"\\u001b[0;"
            "31mTrace\",\"ValueError: no\"]},"
            "\"files_changed\":[{\"path\":\"a b.csv\",\"bytes\":12,\"change\":\"created\"},"
            "{\"path\":\"old\",\"change\":\"deleted\"}],\"truncated\":false"),
        &PLAIN, &out);
    CLEANUP(free) char *text = text_of(buf_slice(&out));
    assert_string_equal(
        text, "sandbox_id: " BOX " | session: python | execution_id: " ID " | error | 1.2 s\n"
              "stdout:\n20%\nstderr:\nwarn\ndisplay:\n# T\nresult:\n42\n"
              "error:\nTrace\nValueError: no\nfiles: created a b.csv (12 bytes), deleted old\n");
    struct slice s = structured(buf_slice(&out));
    member_is(s, "sandbox_id", "\"" BOX "\"");
    member_is(s, "execution_id", "\"" ID "\"");
    member_is(s, "status", "\"error\"");
    member_is(s, "exit_code", "1");
    member_is(s, "execution_count", "7");
    member_is(s, "stdout", "\"20%\\n\"");
    member_is(s, "result", "\"# T\\n42\"");
    member_is(s, "truncated", "false");
    member_is(
        s, "error",
        "{\"name\":\"ValueError\",\"message\":\"no\",\"traceback\":\"Trace\\nValueError: no\\n\"}");
    member_is(
        s, "files_changed",
        "[{\"path\":\"a "
        "b.csv\",\"change\":\"created\",\"bytes\":12},{\"path\":\"old\",\"change\":\"deleted\"}]");
    member_is(buf_slice(&out), "isError", "false");
    member_is(content(buf_slice(&out), 1), "uri", "\"sandbox://default/files/a%20b.csv\"");
    assert_int_equal(content(buf_slice(&out), 2).len, 0);
}

static void an_end_that_is_no_codes_own_is_an_error_with_advice(void **state)
{
    static const struct {
        const char *status;
        bool is_error;
    } ENDS[] = { { "ok", false },      { "error", false },        { "interrupted", false },
                 { "running", false }, { "queued", false },       { "timeout", true },
                 { "oom", true },      { "kernel_died", true },   { "cancelled", true },
                 { "lost", true },     { "waiting_input", false } };
    for (size_t i = 0; i < ARRAY_LEN(ENDS); i++) {
        CLEANUP_BUF struct buf record = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
        char members[200];
        (void)snprintf(members, sizeof members, ",\"status\":\"%s\",\"reason\":\"that is why\"",
                       ENDS[i].status);
        write_view(record_of(&record, members), &PLAIN, &out);
        CLEANUP(free) char *text = text_of(buf_slice(&out));
        bool is_own = strcmp(ENDS[i].status, "ok") == 0 || strcmp(ENDS[i].status, "error") == 0;
        member_is(buf_slice(&out), "isError", ENDS[i].is_error ? "true" : "false");
        assert_int_equal(strstr(text, "Reason: that is why\n") == NULL, is_own);
        assert_non_null(strstr(text, "(no output)\n"));
    }
}

static void exceptions_are_errors_when_that_is_wanted(void **state)
{
    CLEANUP_BUF struct buf record = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
    struct mcp_view_options options = PLAIN;
    options.exceptions_are_errors = options.is_run_code = true;
    write_view(record_of(&record, ",\"status\":\"error\",\"stdout\":\"x\",\"exit_code\":1"),
               &options, &out);
    member_is(buf_slice(&out), "isError", "true");
    member_is(structured(buf_slice(&out)), "success", "false");
    member_is(structured(buf_slice(&out)), "output", "\"x\"");
    member_is(structured(buf_slice(&out)), "exit_code", "1");
}

/* ---- what is too long ---- */

static void add_lines(struct buf *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_addf(b, "line %zu \\u00e9\\n", i + 1);
}

/* What the marker says is left out is exactly what lies between what is shown. */
static void check_hole(const char *text, const char *whole)
{
    const char *mark = strstr(text, "[... "),
               *stdout_begin = strstr(text, "stdout:\n") + strlen("stdout:\n");
    size_t n, all, offset, limit, first, last;
    assert_non_null(mark);
    assert_int_equal(sscanf(mark,
                            "[... %zu of %zu bytes left out (lines %zu-%zu); read them with "
                            "get_execution(execution_id=\"" ID
                            "\", stream=\"stdout\", offset=%zu, limit=%zu)",
                            &n, &all, &first, &last, &offset, &limit),
                     6);
    assert_int_equal(all, strlen(whole));
    assert_int_equal(n, limit);
    assert_memory_equal(stdout_begin, whole, offset);
    assert_int_equal(mark - stdout_begin, offset); /* it was cut at a line's end */
    const char *rest = strstr(mark, "...]\n") + strlen("...]\n");
    assert_string_equal(rest, whole + offset + limit);
    char beside[40];
    (void)snprintf(beside, sizeof beside, "line %zu ", first);
    assert_true(strncmp(whole + offset, beside, strlen(beside)) == 0);
    (void)snprintf(beside, sizeof beside, "line %zu ", last + 1);
    assert_true(strncmp(rest, beside, strlen(beside)) == 0);
}

static void check_long(size_t n_lines, size_t max_chars)
{
    CLEANUP_BUF struct buf members = BUF_INIT(64u << 20), record = BUF_INIT(64u << 20),
                           out = BUF_INIT(4 << 20), whole = BUF_INIT(64u << 20);
    struct mcp_view_options options = PLAIN;
    struct slice raw, s;
    options.max_chars = max_chars;
    buf_add_str(&members, ",\"status\":\"ok\",\"stdout\":\"");
    add_lines(&members, n_lines);
    buf_add_char(&members, '"');
    write_view(record_of(&record, members.data), &options, &out);
    assert_true(json_member_string(buf_slice(&record), "stdout", &raw));
    json_unescape(&whole, raw);
    CLEANUP(free) char *text = text_of(buf_slice(&out));
    size_t chars = text_chars(slice_str(text));
    assert_true(chars <= max_chars);
    assert_true(chars > max_chars / 2);
    check_hole(text, whole.data);
    s = structured(buf_slice(&out));
    member_is(s, "truncated", "true");
    member_is(s, "output_uri", "\"sandbox://" BOX "/executions/" ID "/stdout\"");
    int64_t bytes;
    assert_true(json_member_int(s, "stdout_bytes", &bytes));
    assert_int_equal(bytes, whole.len);
    member_is(content(buf_slice(&out), 1), "uri", "\"sandbox://" BOX "/executions/" ID "/stdout\"");
    member_is(content(buf_slice(&out), 1), "type", "\"resource_link\"");
}

static void a_long_text_is_cut_to_the_budget_and_says_what_is_left_out(void **state)
{
    check_long(5000, MCP_VIEW_DEFAULT_CHARS);
    check_long(5000, MCP_VIEW_MIN_CHARS);
    check_long(40000, MCP_VIEW_MAX_CHARS);
    check_long(1000000, MCP_VIEW_DEFAULT_CHARS); /* through windows */
}

static void what_one_section_does_not_need_another_gets(void **state)
{
    CLEANUP_BUF struct buf members = BUF_INIT(1 << 20), record = BUF_INIT(1 << 20),
                           out = BUF_INIT(4 << 20);
    struct mcp_view_options options = PLAIN;
    options.max_chars = 4000;
    buf_add_str(&members, ",\"status\":\"ok\",\"stdout\":\"few\\n\",\"stderr\":\"");
    add_lines(&members, 250); /* 3142 characters */
    buf_add_char(&members, '"');
    write_view(record_of(&record, members.data), &options, &out);
    CLEANUP(free) char *text = text_of(buf_slice(&out));
    assert_null(strstr(text, "left out"));
    assert_non_null(strstr(text, "line 250 "));
    member_is(structured(buf_slice(&out)), "truncated", "false");
}

static void many_outputs_stay_within_the_budget(void **state)
{
    CLEANUP_BUF struct buf members = BUF_INIT(1 << 22), record = BUF_INIT(1 << 22),
                           out = BUF_INIT(4 << 20);
    struct mcp_view_options options = PLAIN;
    options.max_chars = 6000;
    buf_add_str(&members, ",\"status\":\"ok\",\"results\":[");
    for (int i = 0; i < 200; i++) {
        buf_add_str(&members, i ? ",{\"data\":{\"text/plain\":\"" : "{\"data\":{\"text/plain\":\"");
        add_lines(&members, 100);
        buf_add_str(&members, "\"}}");
    }
    buf_add_char(&members, ']');
    write_view(record_of(&record, members.data), &options, &out);
    CLEANUP(free) char *text = text_of(buf_slice(&out));
    assert_true(text_chars(slice_str(text)) <= 6000);
    assert_non_null(strstr(text, "[190 more outputs are not shown; get_execution(execution_id=\"" ID
                                 "\", stream=\"output-11\") reads the next]"));
}

/* ---- images ---- */

/* A PNG's head and so many bytes behind it, as base64. */
static void add_png(struct buf *b, unsigned width, unsigned height, size_t n)
{
    CLEANUP_BUF struct buf png = BUF_INIT(n + 64);
    buf_add(&png, "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", 16);
    buf_add_u32be(&png, width);
    buf_add_u32be(&png, height);
    while (png.len < n)
        buf_add_char(&png, 'x');
    base64_encode(b, buf_slice(&png));
}

static void add_image(struct buf *b, unsigned width, unsigned height, size_t n)
{
    buf_add_str(b, "{\"data\":{\"text/plain\":\"<Figure>\",\"image/png\":\"");
    add_png(b, width, height, n);
    buf_add_str(b, "\\n\"}}");
}

static void small_images_are_blocks_and_large_ones_links(void **state)
{
    static const struct {
        unsigned width, height;
        size_t bytes;
        bool is_inlined;
    } IMAGES[] = { { 640, 480, 1000, true },
                   { 1569, 10, 1000, false },
                   { 10, 4096, 1000, false },
                   { 1568, 1568, 400u << 10, true },
                   { 10, 10, 200u << 10, false } /* with the others above 700 KiB */,
                   { 10, 10, 513u << 10, false },
                   { 1, 1, 40, true },
                   { 2, 2, 40, true },
                   { 3, 3, 40, false } /* the fifth */ };
    CLEANUP_BUF struct buf members = BUF_INIT(4u << 20), record = BUF_INIT(4u << 20),
                           out = BUF_INIT(8u << 20);
    struct slice artifacts;
    buf_add_str(&members, ",\"status\":\"ok\",\"results\":[");
    for (size_t i = 0; i < ARRAY_LEN(IMAGES); i++) {
        if (i)
            buf_add_char(&members, ',');
        add_image(&members, IMAGES[i].width, IMAGES[i].height, IMAGES[i].bytes);
    }
    buf_add_char(&members, ']');
    write_view(record_of(&record, members.data), &PLAIN, &out);
    assert_true(json_member(structured(buf_slice(&out)), "artifacts", &artifacts));
    struct json_iter it = json_iter(artifacts);
    size_t n_images = 0;
    for (size_t i = 0; i < ARRAY_LEN(IMAGES); i++) {
        assert_true(json_next(&it));
        member_is(it.value, "inlined", IMAGES[i].is_inlined ? "true" : "false");
        member_is(it.value, "mime_type", "\"image/png\"");
        n_images += IMAGES[i].is_inlined;
    }
    for (size_t i = 1; i <= n_images; i++)
        member_is(content(buf_slice(&out), i), "type", "\"image\"");
    member_is(content(buf_slice(&out), n_images + 1), "type", "\"resource_link\"");
    member_is(content(buf_slice(&out), n_images + 1), "uri",
              "\"sandbox://" BOX "/executions/" ID "/output-2.png\"");
    CLEANUP(free) char *text = text_of(buf_slice(&out));
    assert_non_null(strstr(text, "[image 1: 640x480 png, 1000 bytes]\n"));
    assert_non_null(strstr(text, "[image 2: 1569x10 png, 1000 bytes, not inlined: sandbox://" BOX
                                 "/executions/" ID "/output-2.png]\n"));
    assert_null(strstr(text, "<Figure>"));
}

static void an_image_is_given_as_what_it_is(void **state)
{
    CLEANUP_BUF struct buf members = BUF_INIT(1 << 20), record = BUF_INIT(1 << 20),
                           out = BUF_INIT(1 << 20);
    buf_add_str(
        &members,
        ",\"status\":\"ok\",\"results\":[{\"data\":{\"image/png\":\"R0lGODlhAwAFAQ==\"}},"
        "{\"data\":{\"image/jpeg\":\"bm8gaW1hZ2U=\"}},{\"data\":{\"image/png\":\"*no base64*\"}}]");
    write_view(record_of(&record, members.data), &PLAIN, &out);
    member_is(content(buf_slice(&out), 1), "mimeType", "\"image/gif\"");
    member_is(content(buf_slice(&out), 2), "type", "\"resource_link\"");
    member_is(content(buf_slice(&out), 3), "type", "\"resource_link\"");
}

static void an_image_that_is_kept_aside_is_asked_for(void **state)
{
    CLEANUP_BUF struct buf record = BUF_INIT(1 << 20), out = BUF_INIT(4 << 20),
                           png = BUF_INIT(1 << 20);
    unsigned blob;
    struct mcp_view *v = mcp_view_new(
        record_of(&record, ",\"status\":\"ok\",\"results\":["
                           "{\"data\":{\"image/png\":{\"ref\":\"/api/v1/executions/" ID
                           "/blobs/4\",\"bytes\":400000}}},"
                           "{\"data\":{\"image/png\":{\"ref\":\"/api/v1/executions/" ID
                           "/blobs/5\",\"bytes\":40000000}}},"
                           "{\"data\":{\"image/png\":{\"ref\":\"/api/v1/executions/" BOX
                           "/blobs/6\",\"bytes\":400000}}},"
                           "{\"data\":{\"text/html\":\"<b>\",\"text/plain\":\"b\"}}]"),
        &PLAIN);
    assert_true(mcp_view_wants(v, &blob));
    assert_int_equal(blob, 4);
    add_png(&png, 800, 600, 300000);
    mcp_view_give(v, buf_slice(&png));
    assert_false(mcp_view_wants(v, &blob)); /* one is too large, one another execution's */
    mcp_view_write(v, &out);
    mcp_view_free(v);
    assert_true(json_valid(buf_slice(&out)));
    member_is(content(buf_slice(&out), 1), "type", "\"image\"");
    member_is(content(buf_slice(&out), 2), "uri",
              "\"sandbox://" BOX "/executions/" ID "/output-2.png\"");
    member_is(content(buf_slice(&out), 3), "uri",
              "\"sandbox://" BOX "/executions/" ID "/output-3.png\"");
    member_is(content(buf_slice(&out), 4), "uri",
              "\"sandbox://" BOX "/executions/" ID "/output-4.html\"");
    CLEANUP(free) char *text = text_of(buf_slice(&out));
    assert_non_null(strstr(text, "[image 1: 800x600 png, 292 KB]\n"));
    assert_non_null(strstr(text, "display:\nb\n[file 1: text/html, 5 bytes: sandbox://"));
}

static void what_can_not_be_shown_is_said_to_be_there(void **state)
{
    CLEANUP_BUF struct buf record = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
    write_view(record_of(&record,
                         ",\"status\":\"ok\",\"results\":["
                         "{\"data\":{\"application/vnd.plotly.v1+json\":{\"data\":[]}}},"
                         "{\"data\":{\"application/x-\\u00fc\":\"a\"}},{\"data\":{}}]"),
               &PLAIN, &out);
    CLEANUP(free) char *text = text_of(buf_slice(&out));
    assert_non_null(strstr(text, "[file 1: application/vnd.plotly.v1+json, 11 bytes: sandbox://" BOX
                                 "/executions/" ID "/output-1.plotly.json]\n"));
    assert_non_null(
        strstr(text, "display:\n[of type application/x-\xc3\xbc, which is not shown here]\n"));
    assert_null(strstr(text, "(no output)"));
    member_is(content(buf_slice(&out), 1), "type", "\"resource_link\"");
}

static void a_client_that_knows_no_links_gets_none(void **state)
{
    CLEANUP_BUF struct buf record = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
    const struct mcp_view_options options = { .max_chars = MCP_VIEW_DEFAULT_CHARS };
    write_view(record_of(&record, ",\"status\":\"ok\",\"files_changed\":[{\"path\":\"a\",\"bytes\":"
                                  "12,\"change\":\"created\"}]"),
               &options, &out);
    assert_int_equal(content(buf_slice(&out), 1).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_shows_each_section_and_stands_alone),
        cmocka_unit_test(an_end_that_is_no_codes_own_is_an_error_with_advice),
        cmocka_unit_test(exceptions_are_errors_when_that_is_wanted),
        cmocka_unit_test(a_long_text_is_cut_to_the_budget_and_says_what_is_left_out),
        cmocka_unit_test(what_one_section_does_not_need_another_gets),
        cmocka_unit_test(many_outputs_stay_within_the_budget),
        cmocka_unit_test(small_images_are_blocks_and_large_ones_links),
        cmocka_unit_test(an_image_is_given_as_what_it_is),
        cmocka_unit_test(an_image_that_is_kept_aside_is_asked_for),
        cmocka_unit_test(what_can_not_be_shown_is_said_to_be_there),
        cmocka_unit_test(a_client_that_knows_no_links_gets_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
