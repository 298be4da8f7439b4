#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "web/mcp_uri.h"

#define ID "11111111-1111-4111-8111-111111111111"

static void a_file_is_named_by_its_path(void **state)
{
    static const struct {
        const char *uri, *sandbox, *path;
    } GOOD[] = {
        { "sandbox://default/files/a.csv", "default", "a.csv" },
        { "sandbox://my.box-1/files/plots/gr%C3%B6%C3%9Fe%201.png", "my.box-1",
          "plots/gr\xc3\xb6\xc3\x9f"
          "e 1.png" },
        { "sandbox://" ID "/files/", ID, "" },
        { "sandbox://default/files", "default", "" },
    };
    struct mcp_uri u;
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        assert_true(mcp_uri_read(GOOD[i].uri, &u));
        assert_int_equal(u.kind, MCP_URI_FILE);
        assert_string_equal(u.sandbox, GOOD[i].sandbox);
        assert_string_equal(u.path, GOOD[i].path);
    }
}

static void an_output_is_named_by_its_execution_and_stream(void **state)
{
    struct mcp_uri u;
    assert_true(mcp_uri_read("sandbox://default/executions/" ID "/output-1.png", &u));
    assert_int_equal(u.kind, MCP_URI_OUTPUT);
    assert_string_equal(u.execution.text, ID);
    assert_string_equal(u.stream, "output-1.png");
    assert_true(mcp_uri_read("sandbox://help", &u));
    assert_int_equal(u.kind, MCP_URI_HELP);
}

static void what_is_no_uri_of_ours_is_none(void **state)
{
    static const char *const BAD[] = {
        "",
        "sandbox:/",
        "sandbox://",
        "sandbox://help/",
        "sandbox://default",
        "sandbox://default/",
        "sandbox:///files/a",
        "sandbox://a b/files/x",
        "sandbox://default/filesx",
        "sandbox://default/files/../x",
        "sandbox://default/files/a/%2e%2e/x",
        "sandbox://default/files/..%2fx",
        "sandbox://default/files/a%00b",
        "sandbox://default/files/a%zz",
        "sandbox://default/executions/7/stdout",
        "sandbox://default/executions/" ID,
        "sandbox://default/executions/" ID "/",
        "sandbox://default/executions/" ID "/a/b",
        "sandbox://default/executions/" ID "/a%41",
        "file:///etc/passwd",
    };
    struct mcp_uri u;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        if (mcp_uri_read(BAD[i], &u))
            fail_msg("%s is taken", BAD[i]);
}

static void what_is_written_is_read_again(void **state)
{
    CLEANUP_BUF struct buf uri = BUF_INIT(1 << 16);
    struct mcp_uri u;
    mcp_uri_write_file("default", "a b/\xc3\xb6?#%.txt", &uri);
    assert_string_equal(uri.data, "sandbox://default/files/a%20b/%C3%B6%3F%23%25.txt");
    assert_true(mcp_uri_read(uri.data, &u));
    assert_string_equal(u.path, "a b/\xc3\xb6?#%.txt");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_named_by_its_path),
        cmocka_unit_test(an_output_is_named_by_its_execution_and_stream),
        cmocka_unit_test(what_is_no_uri_of_ours_is_none),
        cmocka_unit_test(what_is_written_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
