#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "sandbox/container_log.h"

#define LINES                                                                                      \
    "2026-11-21T14:17:46.48+00:00 stdout F one\n"                                                  \
    "2026-11-21T14:17:46.49+00:00 stderr P two \n"                                                 \
    "2026-11-21T14:17:46.49+00:00 stderr F three\n"                                                \
    "2026-11-21T14:17:46.49+00:00 stdout F a\0b\n"                                                 \
    "nonsense\n"                                                                                   \
    "2026-11-21T14:17:46.49+00:00 stdout X no\n"                                                   \
    "2026-11-21T14:17:46.49+00:00 stdout F unfinished"

static void decode_to(enum container_log_stream which, const char *expected, size_t len)
{
    CLEANUP_BUF struct buf out = BUF_INIT(4096);
    container_log_decode(slice_of(LINES, sizeof LINES - 1), which, &out);
    assert_int_equal(out.len, len);
    assert_memory_equal(out.data, expected, len);
}

static void streams_are_told_apart_and_parts_joined(void **state)
{
    decode_to(CONTAINER_LOG_STDOUT, "one\na\0b\n", 8);
    decode_to(CONTAINER_LOG_STDERR, "two three\n", 10);
    decode_to(CONTAINER_LOG_ALL, "one\ntwo three\na\0b\n", 18);
}

static void the_tail_is_one_printable_line(void **state)
{
    char tail[9];
    container_log_tail(slice_str("long ago\nbad\x1b[m end\n\n"), tail, sizeof tail);
    assert_string_equal(tail, "d [m end");
    container_log_tail(slice_str(""), tail, sizeof tail);
    assert_string_equal(tail, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_are_told_apart_and_parts_joined),
        cmocka_unit_test(the_tail_is_one_printable_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
