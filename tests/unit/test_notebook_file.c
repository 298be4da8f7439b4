#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "protocol/notebook_file.h"

#define BOTH 65536

static void reads(const char *file, const char *shown)
{
    CLEANUP_BUF struct buf out = BUF_INIT(BOTH);
    assert_true(json_valid(slice_str(file)));
    notebook_file_read(slice_str(file), &out);
    assert_string_equal(out.data, shown);
}

static void writes(const char *shown, const char *file)
{
    CLEANUP_BUF struct buf out = BUF_INIT(BOTH);
    assert_true(json_valid(slice_str(shown)));
    notebook_file_write(slice_str(shown), &out);
    assert_string_equal(out.data, file);
}

static const char *wrong(const char *notebook)
{
    static char text[512];
    CLEANUP_BUF struct buf why = BUF_INIT(sizeof text - 1);
    assert_true(json_valid(slice_str(notebook)));
    bool good = notebook_file_check(slice_str(notebook), &why);
    assert_int_equal(good, why.len == 0);
    memcpy(text, why.len ? why.data : "", why.len);
    text[why.len] = '\0';
    return text;
}

static void lines_are_joined_for_clients(void **state)
{
    reads("{\"cells\": [{\"cell_type\": \"code\", \"source\": [\"a\\n\", \"\\\"b\"], \"outputs\": "
          "[{\"text\": [\"1\", \"2\"]},"
          " {\"data\": {\"image/png\": [\"x\", \"y\"], \"application/json\": [\"x\", \"y\"], "
          "\"application/a+json\": [\"z\"]}}]}]}",
          "{\"cells\":[{\"cell_type\":\"code\",\"source\":\"a\\n\\\"b\",\"outputs\":[{\"text\":"
          "\"12\"},"
          "{\"data\":{\"image/png\":\"xy\",\"application/json\":[\"x\",\"y\"],\"application/"
          "a+json\":[\"z\"]}}]}]}");
    reads("{\"cells\":[{\"source\":[\"a\",1]}],\"source\":[\"b\"]}",
          "{\"cells\":[{\"source\":[\"a\",1]}],\"source\":[\"b\"]}");
}

static void lines_are_split_for_files(void **state)
{
    writes("{\"nbformat\":4,\"cells\":[{\"source\":\"a\\r\\nb\\rc\\u2028d\\n\",\"attachments\":{"
           "\"i\":{\"image/png\":\"x\\n\"}},\"outputs\":[]}]}",
           "{\n \"cells\": [\n  {\n   \"attachments\": {\n    \"i\": {\n     \"image/png\": "
           "\"x\\n\"\n    }\n   },\n   \"outputs\": [],\n"
           "   \"source\": [\n    \"a\\r\\n\",\n    \"b\\r\",\n    \"c\xe2\x80\xa8\",\n    "
           "\"d\\n\"\n   ]\n  }\n ],\n \"nbformat\": 4\n}\n");
    writes("{\"cells\":[{\"source\":\"\"}]}",
           "{\n \"cells\": [\n  {\n   \"source\": []\n  }\n ]\n}\n");
}

static void numbers_and_unknown_members_stay(void **state)
{
    writes("{\"b\":123456789012345678901234567890,\"a\":{\"x\":[0.10,1e400,-0]}}",
           "{\n \"a\": {\n  \"x\": [\n   0.10,\n   1e400,\n   -0\n  ]\n },\n \"b\": "
           "123456789012345678901234567890\n}\n");
    writes("{\"a\":\"\\u00fc\\/\\u0001\"}", "{\n \"a\": \"\xc3\xbc/\\u0001\"\n}\n");
    writes("{\"a\":1,\"a\":2}", "{\n \"a\": 2\n}\n");
    writes("{\"\\u0061\":1,\"a\":2,\"\\\"\":3}", "{\n \"\\\"\": 3,\n \"a\": 2\n}\n");
}

static void no_file_says_that_it_may_be_trusted(void **state)
{
    reads("{\"cells\":[{\"cell_type\":\"code\",\"metadata\":{\"trusted\":true,\"x\":1}},{\"cell_"
          "type\":\"code\",\"metadata\":{\"tr\\u0075sted\":true}},"
          "{\"cell_type\":\"markdown\",\"metadata\":{\"trusted\":true}}]}",
          "{\"cells\":[{\"cell_type\":\"code\",\"metadata\":{\"x\":1,\"trusted\":false}},{\"cell_"
          "type\":\"code\",\"metadata\":{\"trusted\":false}},"
          "{\"cell_type\":\"markdown\",\"metadata\":{}}]}");
    writes("{\"cells\":[{\"m\\u0065tadata\":{\"trusted\":true}}],\"metadata\":{\"signature\":\"x\","
           "\"orig_nbformat\":3}}",
           "{\n \"cells\": [\n  {\n   \"metadata\": {}\n  }\n ],\n \"metadata\": {}\n}\n");
}

static void what_is_wrong_is_named(void **state)
{
    assert_string_equal(wrong(NOTEBOOK_FILE_NEW), "");
    assert_string_equal(wrong("{}"), "'nbformat' is missing");
    assert_string_equal(wrong("{\"nbformat\":3,\"worksheets\":[]}"),
                        "nbformat 3 is not 4: it is neither converted nor checked");
#define NOTEBOOK(cells) "{\"nbformat\":4,\"nbformat_minor\":5,\"metadata\":{},\"cells\":" cells "}"
    assert_string_equal(wrong(NOTEBOOK("{}")), "'cells' has a wrong type");
    assert_string_equal(wrong(NOTEBOOK("[7]")), "cells[0]: is no object");
    assert_string_equal(
        wrong(NOTEBOOK("[{\"cell_type\":\"odd\",\"metadata\":{},\"source\":\"\"}]")),
        "cells[0]: 'cell_type' is unknown");
    assert_string_equal(wrong(NOTEBOOK("[{\"cell_type\":\"raw\",\"metadata\":{},\"source\":\"\"},{"
                                       "\"cell_type\":\"code\",\"metadata\":{},\"source\":[]}]")),
                        "cells[1]: 'outputs' is missing");
#define CODE(outputs)                                                                              \
    NOTEBOOK("[{\"cell_type\":\"code\",\"metadata\":{},\"source\":\"\",\"execution_count\":null,"  \
             "\"outputs\":[" outputs "]}]")
    assert_string_equal(
        wrong(CODE("{\"output_type\":\"stream\",\"name\":\"stdout\",\"text\":\"\"}")), "");
    assert_string_equal(wrong(CODE("{\"output_type\":\"stream\",\"name\":\"stdout\"}")),
                        "cells[0]: outputs[0]: 'text' is missing");
    assert_string_equal(wrong(CODE("{\"output_type\":\"pyout\"}")),
                        "cells[0]: outputs[0]: 'output_type' is unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_joined_for_clients),
        cmocka_unit_test(lines_are_split_for_files),
        cmocka_unit_test(numbers_and_unknown_members_stay),
        cmocka_unit_test(no_file_says_that_it_may_be_trusted),
        cmocka_unit_test(what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
