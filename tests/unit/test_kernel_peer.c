#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "web/kernel_peer.h"

static void a_jupyter_server_in_between_takes_short_text_only(void **state)
{
    static const char *const CLIENTS[] = { "tab-1", "", NULL }; /* before 2.14.2 it sent none */
    for (int i = 0; i < 3; i++) {
        struct kernel_peer p = kernel_peer_of("Tornado/6.6.1", CLIENTS[i]);
        assert_false(p.takes_binary);
        assert_true(p.sends_binary_as_text);
        assert_in_range(p.max_frame_bytes, 10000000, 10u << 20);
    }
}

static void who_names_no_session_runs_code_and_reads_text(void **state)
{
    struct kernel_peer p = kernel_peer_of(NULL, NULL);
    assert_false(p.takes_binary);
    assert_int_equal(p.max_frame_bytes, 0);
    p = kernel_peer_of("Python/3.11 websockets/17.4", "");
    assert_false(p.takes_binary);
    assert_in_range(p.max_frame_bytes, 1000000, 1u << 20);
}

static void who_names_a_session_takes_all(void **state)
{
    static const char *const AGENTS[] = { NULL, "", "Mozilla/5.0 (X11)",
                                          "Python/3.11 websockets/17.4" };
    for (int i = 0; i < 4; i++) {
        struct kernel_peer p = kernel_peer_of(AGENTS[i], "tab-1");
        assert_true(p.takes_binary);
        assert_false(p.sends_binary_as_text);
        assert_int_equal(p.max_frame_bytes, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_jupyter_server_in_between_takes_short_text_only),
        cmocka_unit_test(who_names_no_session_runs_code_and_reads_text),
        cmocka_unit_test(who_names_a_session_takes_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
