/* ws_handshake.c and ws_wire.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "web/ws_handshake.h"
#include "web/ws_wire.h"

#define MASK "\0\0\0\0"

static struct ws_wire *wire;
static char heard[4096]; /* messages, each followed by a bar */

static void on_text(void *arg, struct slice text)
{
    size_t n = strlen(heard);
    (void)snprintf(heard + n, sizeof heard - n, "%.*s|", (int)text.len, text.data);
}

static void on_pong(void *arg, struct slice payload)
{
    on_text(arg, SLICE_LITERAL("pong"));
}

static int make(void **state)
{
    static const struct ws_wire_events EVENTS = { .on_text = on_text, .on_pong = on_pong };
    wire = ws_wire_new(1000, &EVENTS, NULL);
    heard[0] = '\0';
    return 0;
}

static int unmake(void **state)
{
    ws_wire_free(wire);
    return 0;
}

#define TAKE_IN(literal) ws_wire_take(wire, SLICE_LITERAL(literal))

static void sends(const char *bytes, size_t n)
{
    struct slice out = ws_wire_out(wire);
    assert_int_equal(out.len, n);
    assert_memory_equal(out.data, bytes, n);
    ws_wire_sent(wire, n);
    assert_int_equal(ws_wire_out(wire).len, 0);
}
#define SENDS(literal) sends(literal, sizeof(literal) - 1)

static void the_accept_key_is_that_of_the_rfc(void **state)
{
    char accept[WS_ACCEPT_CHARS + 1];
    ws_handshake_accept("dGhlIHNhbXBsZSBub25jZQ==", accept);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void lists_are_read_word_by_word(void **state)
{
    assert_true(ws_handshake_names("keep-alive, Upgrade", "upgrade"));
    assert_true(ws_handshake_names("UPGRADE", "upgrade"));
    assert_false(ws_handshake_names("upgraded", "upgrade"));
    assert_false(ws_handshake_names("not-upgrade,x", "upgrade"));
    assert_false(ws_handshake_names("", "upgrade"));
    assert_false(ws_handshake_names(NULL, "upgrade"));
}

static void origins_are_ours_or_named(void **state)
{
    const char *allowed = "https://a.example,http://b.example:8080";
    assert_true(ws_handshake_origin_allowed(NULL, "h:1", ""));
    assert_true(ws_handshake_origin_allowed("http://h:1", "h:1", ""));
    assert_true(ws_handshake_origin_allowed("https://a.example", "h", allowed));
    assert_true(ws_handshake_origin_allowed("http://b.example:8080", "h", allowed));
    assert_false(ws_handshake_origin_allowed("http://a.example", "h", allowed));
    assert_false(ws_handshake_origin_allowed("https://a.example.evil", "h", allowed));
    assert_false(ws_handshake_origin_allowed("null", "h", allowed));
    assert_false(ws_handshake_origin_allowed("", "h", allowed));
    assert_false(ws_handshake_origin_allowed("http://h", NULL, ""));
}

static void a_message_is_taken_and_one_is_sent(void **state)
{
    TAKE_IN("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"); /* RFC 6455, 5.7: a masked "Hello" */
    assert_string_equal(heard, "Hello|");
    ws_wire_text(wire, SLICE_LITERAL("Hello"));
    SENDS("\x81\x05Hello");
}

static void on_binary(void *arg, struct slice bytes)
{
    on_text(arg, SLICE_LITERAL("binary"));
    on_text(arg, bytes);
}

static void binary_messages_are_for_who_takes_them(void **state)
{
    static const struct ws_wire_events EVENTS = { on_text, on_binary, on_pong, false };
    TAKE_IN("\x82\x81" MASK "x");
    SENDS("\x88\x13\x03\xebmessages are text");
    ws_wire_free(wire);
    wire = ws_wire_new(1000, &EVENTS, NULL);
    TAKE_IN("\x82\x81" MASK "x\x02\x81" MASK "\xff\x80\x81" MASK "y\x81\x81" MASK "t");
    assert_string_equal(heard, "binary|x|binary|\xffy|t|");
    ws_wire_give(wire, true, memcpy(malloc(2), "\xff\0", 2), 2);
    SENDS("\x82\x02\xff\0");
}

static void text_may_be_as_good_as_binary_and_is_not_checked(void **state)
{
    static const struct ws_wire_events EVENTS = { NULL, on_binary, on_pong, true };
    char expected[512];
    CLEANUP_BUF struct buf frames = BUF_INIT(1024);
    buf_add_slice(&frames,
                  SLICE_LITERAL("\x01\x81" MASK "\xff\x89\x81" MASK "p\x80\x82" MASK "\x81\x82"
                                "\x82\x81" MASK "b\x81\x80" MASK "\x8a\x80" MASK
                                "\x81\xfe\0\xc8" MASK));
    memset(buf_room(&frames, 200), 0x81, 200); /* each of these bytes could begin a frame */
    frames.len += 200;
    buf_add_slice(&frames, SLICE_LITERAL("\x81\x81" MASK "t"));
    (void)snprintf(expected, sizeof expected,
                   "binary|\xff\x81\x82|binary|b|binary||pong|binary|%.*s|binary|t|", 200,
                   frames.data + frames.len - 207);
    for (size_t step = 1; step <= frames.len; step++) {
        ws_wire_free(wire);
        wire = ws_wire_new(1000, &EVENTS, NULL);
        heard[0] = '\0';
        for (size_t at = 0; at < frames.len; at += step)
            ws_wire_take(
                wire, slice_of(frames.data + at, frames.len - at < step ? frames.len - at : step));
        assert_string_equal(heard, expected);
        SENDS("\x8a\x01p");
    }
}

static void fragments_are_one_message_with_control_frames_between(void **state)
{
    TAKE_IN("\x01\x82" MASK "He\x89\x81" MASK "p\x8a\x80" MASK "\x80\x83" MASK "llo");
    assert_string_equal(heard, "pong|Hello|");
    SENDS("\x8a\x01p");
}

static void broken_framing_closes_with_1002(void **state)
{
    TAKE_IN("\x81\x80" MASK "\x09\x80" MASK);
    assert_true(ws_wire_is_closing(wire));
    SENDS("\x88\x02\x03\xea");
    TAKE_IN("\x81\x81" MASK "x");
    assert_string_equal(heard, "|");
}

static void what_is_only_announced_costs_nothing(void **state)
{
    TAKE_IN("\x81\xff\0\0\0\0\xff\xff\xff\xff" MASK "x");
    SENDS("\x88\x02\x03\xf1");
}

static void fragments_above_the_limit_close_with_1009(void **state)
{
    char part[8 + 600] = "\x01\xfe\x02\x58" MASK;
    ws_wire_take(wire, slice_of(part, sizeof part));
    assert_false(ws_wire_is_closing(wire));
    part[0] = 0;
    ws_wire_take(wire, slice_of(part, sizeof part));
    assert_true(ws_wire_is_closing(wire));
    assert_memory_equal(ws_wire_out(wire).data + 2, "\x03\xf1", 2);
    assert_string_equal(heard, "");
}

static void its_close_is_answered_and_nothing_comes_after(void **state)
{
    TAKE_IN("\x88\x85" MASK "\x03\xe8"
            "bye\x81\x81" MASK "x");
    ws_wire_text(wire, SLICE_LITERAL("late"));
    ws_wire_close(wire, WS_CLOSE_RESTART, "too late");
    SENDS("\x88\x05\x03\xe8"
          "bye");
    assert_string_equal(heard, "");
}

static void our_close_says_why_once(void **state)
{
    ws_wire_close(wire, WS_CLOSE_RESTART, "why");
    ws_wire_close(wire, WS_CLOSE_POLICY, "other");
    TAKE_IN("\x81\x81" MASK "x");
    SENDS("\x88\x05\x03\xf4why");
    assert_string_equal(heard, "");
}

static void a_large_message_goes_out_in_pieces_and_room_is_told(void **state)
{
    static char large[300000];
    size_t total = 0;
    memset(large, 'x', sizeof large);
    assert_true(ws_wire_has_room(wire));
    ws_wire_text(wire, slice_of(large, sizeof large));
    assert_false(ws_wire_has_room(wire));
    for (struct slice out; (out = ws_wire_out(wire)).len;) {
        assert_true(out.len <= 256 * 1024);
        size_t n = out.len > 1000 ? out.len - 7 : out.len;
        ws_wire_sent(wire, n);
        total += n;
    }
    assert_int_equal(total, sizeof large + 10);
    assert_true(ws_wire_has_room(wire));
}

static void control_frames_go_between_messages_and_never_into_one(void **state)
{
    enum { LARGE = 70000, MIDDLE = 300 };
    static char want[LARGE + MIDDLE + 100], got[sizeof want];
    size_t n = 0, n_got = 0;
    char *large = malloc(LARGE), *middle = malloc(MIDDLE);
    memset(large, 'x', LARGE);
    memset(middle, 'y', MIDDLE);
    memcpy(want,
           "\x81\x01"
           "a\x82\x7f\0\0\0\0\0\x01\x11\x70",
           n = 13);
    memcpy(want + n, large, LARGE);
    memcpy(want + (n += LARGE),
           "\x89\x01p\x81\x01"
           "b\x81\x7e\x01\x2c",
           10);
    memcpy(want + (n += 10), middle, MIDDLE);
    n += MIDDLE;
    ws_wire_text(wire, SLICE_LITERAL("a"));
    ws_wire_give(wire, true, large, LARGE);
    ws_wire_text(wire, SLICE_LITERAL("b"));
    ws_wire_give(wire, false, middle, MIDDLE);
    for (struct slice out; (out = ws_wire_out(wire)).len;) {
        size_t part = out.len > 20000 ? 20000 : out.len;
        assert_true(n_got + part <= sizeof got);
        memcpy(got + n_got, out.data, part);
        n_got += part;
        ws_wire_sent(wire, part);
        if (n_got == 13 + 2 * 20000)
            ws_wire_ping(wire, SLICE_LITERAL("p"));
    }
    assert_true(ws_wire_is_empty(wire));
    assert_int_equal(n_got, n);
    assert_memory_equal(got, want, n);
}

static void a_close_waits_for_the_message_that_is_being_sent_and_no_other(void **state)
{
    enum { LARGE = 70000 };
    size_t total = 0;
    struct slice out;
    ws_wire_give(wire, true, calloc(1, LARGE), LARGE);
    ws_wire_text(wire, SLICE_LITERAL("never sent"));
    ws_wire_sent(wire, ws_wire_out(wire).len); /* the head */
    ws_wire_close(wire, WS_CLOSE_NORMAL, "");
    for (; (out = ws_wire_out(wire)).data[0] == 0 && total < LARGE; total += out.len)
        ws_wire_sent(wire, out.len);
    assert_int_equal(total, LARGE);
    SENDS("\x88\x02\x03\xe8");
}

static void many_small_answers_leave_no_room(void **state)
{
    for (int i = 0; i < 256; i++)
        TAKE_IN("\x89\x80" MASK);
    assert_false(ws_wire_has_room(wire));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_accept_key_is_that_of_the_rfc),
        cmocka_unit_test(lists_are_read_word_by_word),
        cmocka_unit_test(origins_are_ours_or_named),
        cmocka_unit_test_setup_teardown(a_message_is_taken_and_one_is_sent, make, unmake),
        cmocka_unit_test_setup_teardown(binary_messages_are_for_who_takes_them, make, unmake),
        cmocka_unit_test_setup_teardown(text_may_be_as_good_as_binary_and_is_not_checked, make,
                                        unmake),
        cmocka_unit_test_setup_teardown(fragments_are_one_message_with_control_frames_between, make,
                                        unmake),
        cmocka_unit_test_setup_teardown(broken_framing_closes_with_1002, make, unmake),
        cmocka_unit_test_setup_teardown(what_is_only_announced_costs_nothing, make, unmake),
        cmocka_unit_test_setup_teardown(fragments_above_the_limit_close_with_1009, make, unmake),
        cmocka_unit_test_setup_teardown(its_close_is_answered_and_nothing_comes_after, make,
                                        unmake),
        cmocka_unit_test_setup_teardown(our_close_says_why_once, make, unmake),
        cmocka_unit_test_setup_teardown(a_large_message_goes_out_in_pieces_and_room_is_told, make,
                                        unmake),
        cmocka_unit_test_setup_teardown(control_frames_go_between_messages_and_never_into_one, make,
                                        unmake),
        cmocka_unit_test_setup_teardown(
            a_close_waits_for_the_message_that_is_being_sent_and_no_other, make, unmake),
        cmocka_unit_test_setup_teardown(many_small_answers_leave_no_room, make, unmake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
