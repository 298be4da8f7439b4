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
    struct output_found found; /* its text is gone */
    bool enough;
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
    ret.found = text_part_found(p);
    struct slice s = ret.found.text;
    assert_true(s.len < sizeof ret.text);
    if (s.len)
        memcpy(ret.text, s.data, s.len);
    text_part_free(p);
    return ret;
}

static void expect(const char *text, struct output_part wanted, const char *expected, int64_t next)
{
    for (size_t step = 1; step <= strlen(text) + 1; step++) {
        struct result r = part_of(text, step, wanted);
        assert_string_equal(r.text, expected);
        assert_int_equal(r.found.next_offset, next);
        assert_false(r.found.cut);
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
            assert_true(r.found.next_offset < 0 || r.found.next_offset > offset);
            offset = r.found.next_offset;
        }
        assert_string_equal(whole, TEXT);
    }
}

static void head_and_tail_count_lines(void **state)
{
    expect("a\nb\nc\n", PART(.head = 2), "a\nb\n", 4);
    expect("a\nb\nc\n", PART(.head = 3), "a\nb\nc\n", -1);
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
    expect(LOG, PART(.grep = "BaD 2", .ignore_case = true), "bad 2\n", -1);
    expect("Bad\nBÄD\n", PART(.grep = "bÄd", .ignore_case = true), "BÄD\n", -1);
    expect(LOG, PART(.grep = "b.d"), "", -1);
    expect(LOG, PART(.grep = "bad", .head = 1), "bad 2\n", 6);
    expect(LOG, PART(.grep = "bad", .tail = 2), "bad 4\nbad", -1);
    expect(LOG, PART(.grep = "bad", .offset = 6, .limit = 6), "bad 4\n", 12);
}

/* text, offset, next_offset, whether it is cut: however the pieces come. */
static void expect_cut(const char *text, struct output_part wanted, const char *expected,
                       int64_t offset, int64_t next, bool cut)
{
    for (size_t step = 1; step <= strlen(text) + 1; step++) {
        struct result r = part_of(text, step, wanted);
        assert_string_equal(r.text, expected);
        assert_int_equal(r.found.offset, offset);
        assert_int_equal(r.found.next_offset, next);
        assert_int_equal(r.found.cut, cut);
    }
}

static void lines_have_a_limit_of_bytes_too(void **state)
{
    static const char TEXT[] = "aß€\n😀z\nend\n"; /* 7, 6, 4 bytes */
    expect_cut(TEXT, PART(.head = 2, .limit = 13), "aß€\n😀z\n", 0, 13, false);
    expect_cut(TEXT, PART(.head = 2, .limit = 12), "aß€\n😀z", 0, 12, true);
    expect_cut(TEXT, PART(.head = 2, .limit = 9), "aß€\n", 0, 7, true);
    expect_cut(TEXT, PART(.head = 9, .limit = 1), "a", 0, 1, true);
    expect_cut(TEXT, PART(.head = 9, .limit = 17), TEXT, 0, -1, false);
    expect_cut("😀", PART(.head = 9, .limit = 1), "😀", 0, -1, false);
    expect_cut(TEXT, PART(.tail = 2, .limit = 10), "😀z\nend\n", 7, -1, false);
    expect_cut(TEXT, PART(.tail = 2, .limit = 9), "z\nend\n", 11, -1, true);
    expect_cut(TEXT, PART(.tail = 9, .limit = 3), "nd\n", 14, -1, true);
    expect_cut(TEXT, PART(.tail = 1, .limit = 4), "end\n", 13, -1, false);
}

static void a_part_says_where_it_begins(void **state)
{
    expect_cut("aß€", PART(.offset = 2), "ß€", 1, -1, false);
    expect_cut("aß€", PART(.offset = 6), "", 6, -1, false);
    expect_cut("aß€", PART(.offset = 600), "", 6, -1, false);
    expect_cut("a\nb\n", PART(.grep = "b", .tail = 1), "b\n", 0, -1, false);
}

static void the_whole_is_counted_when_it_was_read_or_somebody_asks(void **state)
{
    static const char TEXT[] = "one\ntwo\n\nthree 345678";
    for (size_t step = 1; step <= sizeof TEXT; step++) {
        struct result r = part_of(TEXT, step, PART(.limit = 2, .wants_total = true));
        assert_string_equal(r.text, "on");
        assert_int_equal(r.found.bytes, 21);
        assert_int_equal(r.found.lines, 4);
        assert_false(r.enough);
        r = part_of(TEXT, step, PART(.grep = "t", .head = 1, .wants_total = true));
        assert_string_equal(r.text, "two\n");
        assert_int_equal(r.found.bytes, 4 + 12);
        assert_int_equal(r.found.lines, 2);
        r = part_of(TEXT, step, PART(.tail = 1));
        assert_int_equal(r.found.bytes, 21);
        r = part_of(TEXT, step, PART(.limit = 2));
        assert_int_equal(r.found.bytes, -1);
        assert_int_equal(r.found.lines, -1);
    }
    assert_int_equal(part_of("a\n", 1, PART(0)).found.lines, 1);
    assert_int_equal(part_of("", 1, PART(0)).found.lines, 0);
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
        assert_true(text_part_found(p).cut);
        assert_in_range(text_part_found(p).text.len, OUTPUT_PART_MAX_BYTES - 4,
                        OUTPUT_PART_MAX_BYTES);
        text_part_free(p);
    }
    struct text_part *p = big((struct output_part){ .limit = 0 }, 64);
    assert_int_equal(text_part_found(p).text.len, OUTPUT_PART_MAX_BYTES);
    assert_int_equal(text_part_found(p).next_offset, OUTPUT_PART_MAX_BYTES);
    text_part_free(p);
    p = big((struct output_part){ .tail = 100 }, 64);
    assert_false(text_part_found(p).cut);
    assert_int_equal(text_part_found(p).text.len, 6400);
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
    assert_int_equal(text_part_found(p).text.len, TEXT_PART_LINE_BYTES);
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
        cmocka_unit_test(lines_have_a_limit_of_bytes_too),
        cmocka_unit_test(a_part_says_where_it_begins),
        cmocka_unit_test(the_whole_is_counted_when_it_was_read_or_somebody_asks),
        cmocka_unit_test(what_is_enough_says_so),
        cmocka_unit_test(what_is_answered_has_a_ceiling),
        cmocka_unit_test(a_line_without_end_takes_no_memory),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
