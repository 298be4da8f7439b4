#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "cmd/bridge_lines.h"

static void write_down(void *arg, struct slice line)
{
    struct buf *out = arg;

    if (line.data)
        buf_add_slice(out, line);
    else
        buf_add_str(out, "(too long)");
    buf_add_char(out, '|');
}

static void a_line_is_a_line_however_it_comes(void **state)
{
    static const char TEXT[] = "{}\n\n  \r\n [1] \t\r\n\"a\rb\"\nlast";
    CLEANUP_BUF struct buf out = BUF_INIT(4096);
    struct bridge_input in;
    int ends[2];

    for (size_t step = 1; step < sizeof TEXT; step++) {
        assert_int_equal(pipe(ends), 0);
        bridge_input_init(&in, ends[0]);
        for (size_t at = 0, left = sizeof TEXT - 1; left > 0;) {
            size_t n = left < step ? left : step;
            assert_int_equal(write(ends[1], TEXT + at, n), n);
            bridge_input_read(&in, write_down, &out);
            at += n;
            left -= n;
        }
        (void)close(ends[1]);
        assert_false(in.has_ended);
        bridge_input_read(&in, write_down, &out);
        assert_true(in.has_ended);
        assert_string_equal(out.data, "{}|[1]|\"a\rb\"|last|");
        bridge_input_done(&in);
        buf_reset(&out);
        (void)close(ends[0]);
    }
}

static void a_line_that_is_too_long_is_passed_over(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(4096);
    struct bridge_input in;
    int ends[2];
    static char piece[65536];

    memset(piece, 'x', sizeof piece);
    assert_int_equal(pipe(ends), 0);
    assert_true(fcntl(ends[1], F_SETPIPE_SZ, sizeof piece) >= (int)sizeof piece);
    bridge_input_init(&in, ends[0]);
    for (size_t n = 0; n < BRIDGE_MAX_LINE + sizeof piece; n += sizeof piece) {
        assert_int_equal(write(ends[1], piece, sizeof piece), sizeof piece);
        bridge_input_read(&in, write_down, &out);
    }
    assert_int_equal(write(ends[1], "\n{}\n", 4), 4);
    bridge_input_read(&in, write_down, &out);
    assert_string_equal(out.data, "(too long)|{}|");
    bridge_input_done(&in);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void what_is_written_is_one_line_each(void **state)
{
    struct bridge_output out;
    char found[64] = "";
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    bridge_output_init(&out, ends[1]);
    bridge_output_add(&out, slice_str("{\"a\": 1}"));
    bridge_output_add(&out, slice_str("{\"a\":\r\n 1,\n\"b\":\"c d\"}"));
    bridge_output_write(&out);
    assert_int_equal(bridge_output_pending(&out), 0);
    assert_true(read(ends[0], found, sizeof found - 1) > 0);
    assert_string_equal(found, "{\"a\": 1}\n{\"a\":1,\"b\":\"c d\"}\n");
    bridge_output_done(&out);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* Of a client that does not read: what is written never waits, and nothing is lost of it. */
static void expect_no_wait(int from, int to)
{
    enum { N = 3000000 };
    char *text = malloc(N), *found = malloc(N + 1);
    struct bridge_output out;
    size_t n = 0;

    text[0] = text[N - 1] = '"';
    for (size_t i = 1; i < N - 1; i++)
        text[i] = (char)('a' + i % 23);
    bridge_output_init(&out, to);
    bridge_output_add(&out, slice_of(text, N));
    for (unsigned i = 0; i < 100; i++)
        bridge_output_write(&out); /* far more often than there is room */
    assert_true(bridge_output_pending(&out) > 0 && !out.is_broken);
    while (n < N + 1) {
        ssize_t k = read(from, found + n, N + 1 - n);
        assert_true(k > 0);
        n += (size_t)k;
        bridge_output_write(&out);
    }
    assert_int_equal(bridge_output_pending(&out), 0);
    assert_memory_equal(found, text, N);
    assert_int_equal(found[N], '\n');
    bridge_output_done(&out);
    free(text);
    free(found);
    (void)close(from);
    bridge_output_init(&out, to);
    bridge_output_add(&out, slice_str("1"));
    bridge_output_write(&out);
    assert_true(out.is_broken);
    bridge_output_done(&out);
    (void)close(to);
}

static void a_client_that_reads_slowly_is_waited_for_without_waiting(void **state)
{
    int ends[2];

    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe(ends), 0);
    expect_no_wait(ends[0], ends[1]);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    expect_no_wait(ends[0], ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_a_line_however_it_comes),
        cmocka_unit_test(a_line_that_is_too_long_is_passed_over),
        cmocka_unit_test(what_is_written_is_one_line_each),
        cmocka_unit_test(a_client_that_reads_slowly_is_waited_for_without_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
