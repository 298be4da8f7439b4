#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cmd/printer.h"

static void expect_stripped(const char *text, const char *expected)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1000);
    printer_strip(&out, slice_str(text));
    assert_true(slice_is(buf_slice(&out), expected));
}

static void escapes_go_and_text_stays(void **state)
{
    expect_stripped("plain ü\n", "plain ü\n");
    expect_stripped("\033[0;31mred\033[0m \033[1;38;5;4mblue\033[m", "red blue");
    expect_stripped("a\033Mb", "ab");
    expect_stripped("cut\033[31", "cut");
    expect_stripped("cut\033", "cut");
}

static void the_end_gives_the_exit_code(void **state)
{
    struct printer p;
    printer_init(&p, NULL, NULL, NULL, false);
    printer_event(&p,
                  SLICE_LITERAL("{\"type\":\"finished\",\"status\":\"error\",\"exit_code\":7}"));
    assert_string_equal(p.status, "error");
    assert_int_equal(p.exit_code, 7);
    printer_event(&p,
                  SLICE_LITERAL("{\"type\":\"finished\",\"status\":\"ok\",\"exit_code\":null}"));
    assert_int_equal(p.exit_code, 1);
}

static void nonsense_from_the_service_is_skipped(void **state)
{
    struct printer p;
    printer_init(&p, NULL, NULL, NULL, false);
    printer_event(&p, SLICE_LITERAL("{"));
    printer_event(&p, SLICE_LITERAL("{\"type\":5}"));
    printer_event(&p, SLICE_LITERAL("{\"type\":\"stdout\",\"text\":5}"));
    printer_event(&p, SLICE_LITERAL("{\"type\":\"result\",\"data\":[1]}"));
    printer_event(&p, SLICE_LITERAL("{\"type\":\"unheard-of\"}"));
    assert_string_equal(p.status, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes_go_and_text_stays),
        cmocka_unit_test(the_end_gives_the_exit_code),
        cmocka_unit_test(nonsense_from_the_service_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
