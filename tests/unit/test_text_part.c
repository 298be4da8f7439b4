/* Parts of a text, however it is cut into pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "kernelhub/text_part.h"

struct result {
    char text[256];
    int64_t next;
    bool cut, enough;
};

/* The text in pieces of `step` bytes. */
static struct result part_of(const char *text, size_t step, struct output_part wanted)
{
    struct result ret = { .enough = false };
    struct text_part *p = text_part_new(&wanted);
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i += step)
        ret.enough |= !text_part_add(p, slice_of(text + i, len - i < step ? len - i : step));
    text_part_end(p);
    struct slice s = text_part_text(p);
    assert_true(s.len < sizeof ret.text);
    if (s.len)
        memcpy(ret.text, s.data, s.len);
    ret.next = text_part_next_offset(p);
    ret.cut = text_part_is_cut(p);
    text_part_free(p);
    return ret;
}

static void expect(const char *text, struct output_part wanted, const char *expected, int64_t next)
{
    for (size_t step = 1; step <= strlen(text) + 1; step++) {
        struct result r = part_of(text, step, wanted);
        assert_string_equal(r.text, expected);
        assert_int_equal(r.next, next);
        assert_false(r.cut);
    }
}

#define PART(...) ((struct output_part){ __VA_ARGS__ })

static void without_a_wish_it_is_all(void **state)
{
    expect("one\ntwo", PART(0), "one\ntwo", -1);
    expect("", PART(0), "", -1);
    expect("\n", PART(0), "\n", -1);
}

static void bytes_are_cut_where_they_are_asked_for(void **state)
{
    expect("0123456789", PART(.offset = 3, .limit = 4), "3456", 7);
    expect("0123456789", PART(.offset = 7, .limit = 3), "789", -1);
    expect("0123456789", PART(.offset = 7, .limit = 2), "78", 9);
    expect("0123456789", PART(.offset = 10, .limit = 2), "", -1);
    expect("0123456789", PART(.offset = 5000, .limit = 2), "", -1);
    expect("0123456789", PART(.offset = INT64_MAX / 2), "", -1);
    expect("", PART(.offset = 4, .limit = 2), "", -1);
}

static void no_character_is_cut(void **state)
{
    static const char TEXT[] = "aß€😀z"; /* 1 2 3 4 1 bytes, from 0 1 3 6 10 */
    expect(TEXT, PART(.limit = 2), "a", 1);
    expect(TEXT, PART(.offset = 2, .limit = 2), "ß", 3);
    expect(TEXT, PART(.offset = 4, .limit = 1), "€", 6);
    expect(TEXT, PART(.offset = 9, .limit = 2), "😀z", -1);
    expect(TEXT, PART(.offset = 6, .limit = 1), "😀", 10);
}

/* Whoever goes on at next_offset sees every byte once, whatever the limit. */
static void parts_one_after_the_other_are_the_whole(void **state)
{
    static const char TEXT[] = "aß€😀z\n𝄞é1234567€€\n";
    for (int64_t limit = 1; limit <= (int64_t)sizeof TEXT; limit++) {
        char whole[64] = "";
        int64_t offset = 0;
        for (int turns = 0; offset >= 0; turns++) {
            assert_true(turns < 64);
            struct result r = part_of(TEXT, 3, PART(.offset = offset, .limit = limit));
            strcat(whole, r.text);
            assert_true(r.next < 0 || r.next > offset);
            offset = r.next;
        }
        assert_string_equal(whole, TEXT);
    }
}

static void head_and_tail_count_lines(void **state)
{
    expect("a\nb\nc\n", PART(.head = 2), "a\nb\n", -1);
    expect("a\nb\nc\n", PART(.head = 9), "a\nb\nc\n", -1);
    expect("a\nb\nc", PART(.head = 3), "a\nb\nc", -1);
    expect("a\nb\nc\n", PART(.tail = 1), "c\n", -1);
    expect("a\nb\nc", PART(.tail = 1), "c", -1);
    expect("a\nb\nc\n", PART(.tail = 2), "b\nc\n", -1);
    expect("a\nb\nc\n", PART(.tail = 9), "a\nb\nc\n", -1);
    expect("a\n\n\n", PART(.tail = 2), "\n\n", -1);
    expect("", PART(.tail = 2), "", -1);
}

static void grep_keeps_the_lines_that_hold_the_text(void **state)
{
    static const char LOG[] = "ok 1\nbad 2\nok 3\nbad 4\nbad";
    expect(LOG, PART(.grep = "bad"), "bad 2\nbad 4\nbad", -1);
    expect(LOG, PART(.grep = "BAD"), "", -1);
    expect(LOG, PART(.grep = "b.d"), "", -1);
    expect(LOG, PART(.grep = "bad", .head = 1), "bad 2\n", -1);
    expect(LOG, PART(.grep = "bad", .tail = 2), "bad 4\nbad", -1);
    expect(LOG, PART(.grep = "bad", .offset = 6, .limit = 6), "bad 4\n", 12);
}

static void what_is_enough_says_so(void **state)
{
    assert_true(part_of("a\nb\nc\nd\n", 2, PART(.head = 1)).enough);
    assert_true(part_of("0123456789abcdef", 2, PART(.limit = 2)).enough);
    assert_false(part_of("a\nb\n", 2, PART(.tail = 1)).enough);
}

/* n MiB of lines "xxx…\n" of 64 bytes. */
static struct text_part *big(struct output_part wanted, size_t mib)
{
    static char block[1 << 20];
    struct text_part *p = text_part_new(&wanted);
    memset(block, 'x', sizeof block);
    for (size_t i = 63; i < sizeof block; i += 64)
        block[i] = '\n';
    for (size_t i = 0; i < mib; i++)
        (void)text_part_add(p, slice_of(block, sizeof block)); /* more than enough is wanted here */
    text_part_end(p);
    return p;
}

static void what_is_answered_has_a_ceiling(void **state)
{
    static const struct output_part WANTED[] = { { .head = 1000000 }, { .tail = 1000000 } };
    for (size_t i = 0; i < 2; i++) {
        struct text_part *p = big(WANTED[i], 64);
        assert_true(text_part_is_cut(p));
        assert_in_range(text_part_text(p).len, OUTPUT_PART_MAX_BYTES - 4, OUTPUT_PART_MAX_BYTES);
        text_part_free(p);
    }
    struct text_part *p = big((struct output_part){ .limit = 0 }, 64);
    assert_int_equal(text_part_text(p).len, OUTPUT_PART_MAX_BYTES);
    assert_int_equal(text_part_next_offset(p), OUTPUT_PART_MAX_BYTES);
    text_part_free(p);
    p = big((struct output_part){ .tail = 100 }, 64);
    assert_false(text_part_is_cut(p));
    assert_int_equal(text_part_text(p).len, 6400);
    text_part_free(p);
}

static void a_line_without_end_takes_no_memory(void **state)
{
    static char block[1 << 20];
    struct output_part wanted = { .grep = "needle" };
    struct text_part *p = text_part_new(&wanted);
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 200; i++) {
        memcpy(block + 100, i == 150 ? "needle" : "xxxxxx", 6);
        assert_true(text_part_add(p, slice_of(block, sizeof block)));
    }
    text_part_end(p);
    assert_int_equal(text_part_text(p).len, TEXT_PART_LINE_BYTES);
    text_part_free(p);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(without_a_wish_it_is_all),
        cmocka_unit_test(bytes_are_cut_where_they_are_asked_for),
        cmocka_unit_test(no_character_is_cut),
        cmocka_unit_test(parts_one_after_the_other_are_the_whole),
        cmocka_unit_test(head_and_tail_count_lines),
        cmocka_unit_test(grep_keeps_the_lines_that_hold_the_text),
        cmocka_unit_test(what_is_enough_says_so),
        cmocka_unit_test(what_is_answered_has_a_ceiling),
        cmocka_unit_test(a_line_without_end_takes_no_memory),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
