#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/link.h"

static struct link_frame frame;

/* Decodes from memory of exactly that size, so that a sanitizer sees a read behind it. */
static enum decode decode(const void *bytes, size_t len, size_t *ret_used)
{
    char *exact = malloc(len ? len : 1);
    memcpy(exact, bytes, len);
    enum decode d = link_decode(slice_of(exact, len), &frame, ret_used);
    free(exact);
    return d;
}

static void sample(struct buf *out)
{
    static struct link_frame f;
    f = (struct link_frame){ .type = LINK_MESSAGE,
                             .channel = LINK_IOPUB,
                             .number = 0x0102030405060708,
                             .kernel_id = { "00112233-4455-6677-8899-aabbccddeeff" },
                             .n_parts = 3 };
    f.parts[0] = SLICE_LITERAL("ab");
    f.parts[1] = slice_of(NULL, 0);
    f.parts[2] = SLICE_LITERAL("c");
    link_encode(out, &f);
    assert_int_equal(out->len, link_encoded_bytes(&f));
}

static void a_frame_has_the_bytes_the_header_promises(void **state)
{
    static const unsigned char bytes[] = {
        0,    0,    0,    59,                                                /* length */
        5,    3,    0,    3,    1,    2,    3,    4,    5,    6,    7,    8, /* type … number */
        0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb,
        0xcc, 0xdd, 0xee, 0xff, 0,    0,    0,    0,    0,    0,    0,    0,
        0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    2,
        0,    0,    0,    0,    0,    0,    0,    1,    'a',  'b',  'c',
    };
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
    size_t used = 0;
    sample(&out);
    assert_int_equal(out.len, sizeof bytes);
    assert_memory_equal(out.data, bytes, sizeof bytes);
    assert_int_equal(link_decode(buf_slice(&out), &frame, &used), DECODE_OK);
    assert_int_equal(used, sizeof bytes);
    assert_int_equal(frame.number, 0x0102030405060708);
    assert_string_equal(frame.kernel_id.text, "00112233-4455-6677-8899-aabbccddeeff");
    assert_false(uuid_is_set(&frame.execution_id));
    assert_true(slice_is(frame.parts[0], "ab") && frame.parts[1].len == 0 &&
                slice_is(frame.parts[2], "c"));
}

static void each_beginning_of_a_frame_wants_more(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
    size_t used;
    sample(&out);
    for (size_t n = 0; n < out.len; n++)
        assert_int_equal(decode(out.data, n, &used), DECODE_MORE);
}

static void what_stands_behind_a_frame_is_left_alone(void **state)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
    size_t used;
    sample(&out);
    size_t len = out.len;
    buf_add_str(&out, "\xff\xff\xff\xff");
    assert_int_equal(decode(out.data, out.len, &used), DECODE_OK);
    assert_int_equal(used, len);
    assert_int_equal(decode(out.data + len, 4, &used), DECODE_TOO_BIG);
}

/* The sample with one byte replaced. */
static enum decode decode_with(size_t at, unsigned char byte)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
    size_t used;
    sample(&out);
    out.data[at] = (char)byte;
    return decode(out.data, out.len, &used);
}

static void wrong_types_channels_and_lengths_are_bad(void **state)
{
    assert_int_equal(decode_with(4, 0), DECODE_BAD);
    assert_int_equal(decode_with(4, 14), DECODE_BAD);
    assert_int_equal(decode_with(4, 15), DECODE_BAD);
    assert_int_equal(decode_with(4, 24), DECODE_BAD);
    assert_int_equal(decode_with(5, 4), DECODE_BAD);
    assert_int_equal(decode_with(6, 2), DECODE_BAD); /* 515 parts */
    assert_int_equal(decode_with(7, 2), DECODE_BAD); /* bytes are left over */
    assert_int_equal(decode_with(7, 4), DECODE_BAD);
    assert_int_equal(decode_with(51, 1), DECODE_BAD); /* a part too short */
    assert_int_equal(decode_with(51, 3), DECODE_BAD); /* too long */
    assert_int_equal(decode_with(48, 255), DECODE_BAD);
    assert_int_equal(decode_with(3, 47), DECODE_BAD); /* shorter than its fixed part and lengths */
    assert_int_equal(decode_with(3, 0), DECODE_BAD);
    assert_int_equal(decode_with(0, 6), DECODE_TOO_BIG);
    assert_int_equal(decode_with(0, 5), DECODE_MORE);
}

static void every_type_comes_back_as_it_went(void **state)
{
    for (int type = 0; type < 32; type++) {
        bool known = (type >= LINK_HELLO && type <= LINK_CREDIT) ||
                     (type >= LINK_KERNEL && type <= LINK_STATE);
        assert_int_equal(decode_with(4, (unsigned char)type), known ? DECODE_OK : DECODE_BAD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_frame_has_the_bytes_the_header_promises),
        cmocka_unit_test(each_beginning_of_a_frame_wants_more),
        cmocka_unit_test(what_stands_behind_a_frame_is_left_alone),
        cmocka_unit_test(wrong_types_channels_and_lengths_are_bad),
        cmocka_unit_test(every_type_comes_back_as_it_went),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
