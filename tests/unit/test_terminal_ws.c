#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "protocol/terminal_ws.h"

static struct terminal_ws_message message(const char *text)
{
    return terminal_ws_read(slice_str(text));
}

static void typed_text_gives_its_bytes(void **state)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT(100);
    struct terminal_ws_message m = message(" [ \"stdin\" , \"l\\u0073 \\u00e9\\r\" , 5 ] ");
    assert_int_equal(m.kind, TERMINAL_WS_STDIN);
    json_unescape(&bytes, m.text);
    assert_true(slice_is(buf_slice(&bytes), "ls \xc3\xa9\r"));
}

static void the_key_that_is_a_nul_is_typed_too(void **state)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT(100);
    struct terminal_ws_message m = message("[\"stdin\",\"a\\u0000b\\\\u0000\"]");
    assert_int_equal(m.kind, TERMINAL_WS_STDIN);
    json_unescape(&bytes, m.text);
    assert_true(slice_equal(buf_slice(&bytes), SLICE_LITERAL("a\0b\\u0000")));
}

static void sizes_are_whole_numbers_that_a_terminal_can_have(void **state)
{
    static const char *const BAD[] = { "[\"set_size\",0,80]",      "[\"set_size\",24]",
                                       "[\"set_size\",24.5,80]",   "[\"set_size\",-1,80]",
                                       "[\"set_size\",32768,80]",  "[\"set_size\",\"24\",80]",
                                       "[\"set_size\",null,80]",   "[\"set_size\",24,100000]",
                                       "[\"set_size\",1e1,80]",    "[\"set_size\",24,80",
                                       "{\"rows\":24,\"cols\":80}" };
    struct terminal_ws_message m = message("[\"set_size\",24,132,600.5,800]");
    assert_int_equal(m.kind, TERMINAL_WS_SIZE);
    assert_int_equal(m.rows, 24);
    assert_int_equal(m.cols, 132);
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_int_equal(message(BAD[i]).kind, TERMINAL_WS_NONSENSE);
    m = terminal_ws_read_size(SLICE_LITERAL("{\"rows\":1,\"cols\":32767,\"more\":1}"));
    assert_int_equal(m.kind, TERMINAL_WS_SIZE);
    assert_int_equal(m.rows, 1);
    assert_int_equal(m.cols, 32767);
    assert_int_equal(terminal_ws_read_size(SLICE_LITERAL("[1,2]")).kind, TERMINAL_WS_NONSENSE);
}

static void what_makes_no_sense_is_passed_over(void **state)
{
    static const char *const BAD[] = { "",
                                       "[]",
                                       "ls",
                                       "[\"stdin\"]",
                                       "{}",
                                       "[\"setup\",{}]",
                                       "[\"stdin\",5]",
                                       "[\"stdin\",\"\\ud800\"]" };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_int_equal(message(BAD[i]).kind, TERMINAL_WS_NONSENSE);
}

static void output_is_cut_at_characters(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1000);
    struct slice output = SLICE_LITERAL("a\0\xff \xe2\x82\xac\xf0\x9f");
    assert_int_equal(terminal_ws_write_output(&out, output, false), output.len - 2);
    assert_true(slice_is(buf_slice(&out), "[\"stdout\",\"a\xef\xbf\xbd \xe2\x82\xac\"]"));
    buf_reset(&out);
    assert_int_equal(terminal_ws_write_output(&out, SLICE_LITERAL("\xf0\x9f"), false), 0);
    assert_int_equal(out.len, 0);
    assert_int_equal(terminal_ws_write_output(&out, SLICE_LITERAL("\xf0\x9f"), true), 2);
    assert_true(out.len > 0 && json_valid(buf_slice(&out)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(typed_text_gives_its_bytes),
        cmocka_unit_test(the_key_that_is_a_nul_is_typed_too),
        cmocka_unit_test(sizes_are_whole_numbers_that_a_terminal_can_have),
        cmocka_unit_test(what_makes_no_sense_is_passed_over),
        cmocka_unit_test(output_is_cut_at_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
