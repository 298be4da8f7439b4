/* What Python's and tar's readers make of whole archives: tests/web/test_files.py. Here is what is hard to get there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/archive.h"

static bool has(const struct buf *out, const void *bytes, size_t n)
{
    return memmem(out->data, out->len, bytes, n) != NULL;
}

static struct archive_entry file(const char *path, uint64_t bytes)
{
    return (struct archive_entry){
        .path = slice_str(path), .mode = 0640, .modified_s = 1700000000, .bytes = bytes
    };
}

static void end(struct archive *a, struct buf *out, bool whole)
{
    bool is_over = false, first = true;
    for (; !is_over; first = false)
        assert_true(archive_end(a, out, &is_over) == whole || !first);
}

static void a_tar_is_made_of_blocks_and_ends_with_two(void **state)
{
    CLEANUP(archive_free) struct archive *a = archive_new(ARCHIVE_TAR);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    struct archive_entry e = file("a", 3);
    archive_begin(a, &e, &out);
    assert_int_equal(out.len, 512);
    assert_string_equal(out.data + 257, "ustar");
    assert_memory_equal(out.data + 124, "00000000003", 12);
    archive_add(a, SLICE_LITERAL("abcd"), &out); /* one more than was said */
    end(a, &out, true);
    assert_int_equal(out.len, 1024);
    assert_memory_equal(out.data + 512, "abc\0", 4);
    archive_finish(a, &out);
    assert_int_equal(out.len, 2048);
}

static void a_tar_is_filled_up_when_a_file_shrinks(void **state)
{
    CLEANUP(archive_free) struct archive *a = archive_new(ARCHIVE_TAR);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    struct archive_entry e = file("a", 200000);
    archive_begin(a, &e, &out);
    archive_add(a, SLICE_LITERAL("abc"), &out);
    end(a, &out, false);
    assert_int_equal(out.len, 512 + (200000 + 511) / 512 * 512);
}

static void what_ustar_cannot_say_pax_says(void **state)
{
    char path[301];
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    memset(path, 'x', 300);
    path[300] = '\0';
    CLEANUP(archive_free) struct archive *a = archive_new(ARCHIVE_TAR);
    struct archive_entry e = file(path, 1ull << 40);
    e.modified_s = -5;
    archive_begin(a, &e, &out);
    assert_int_equal(out.data[156], 'x');
    assert_true(has(&out, "310 path=xxx", 12));
    assert_true(has(&out, "22 size=1099511627776\n", 22) && has(&out, "12 mtime=-5\n", 12));
    assert_false(has(&out, "hdrcharset", 10));
    path[3] = '\xff';
    buf_reset(&out);
    archive_begin(a, &e, &out);
    assert_true(has(&out, "21 hdrcharset=BINARY\n", 21));
}

static void a_large_file_in_a_zip_has_long_sizes(void **state)
{
    CLEANUP(archive_free) struct archive *a = archive_new(ARCHIVE_ZIP);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    struct archive_entry e = file("small", 3);
    archive_begin(a, &e, &out);
    archive_add(a, SLICE_LITERAL("abc"), &out);
    end(a, &out, true);
    assert_false(has(&out, "\x01\0\x10\0", 4));
    e = file("large", 5ull << 30);
    archive_begin(a, &e, &out);
    assert_true(has(&out, "\x01\0\x10\0", 4)); /* the zip64 field */
    archive_add(a, SLICE_LITERAL("abc"), &out);
    end(a, &out, false); /* it shrank: a zip says the sizes afterwards */
    struct buf *directory = archive_directory(a);
    assert_true(has(directory, "PK\1\2", 4));
    archive_finish(a, &out);
    assert_memory_equal(out.data + out.len - 22, "PK\5\6\0\0\0\0\2\0\2\0", 12);
}

static void an_archive_may_be_given_up_anywhere(void **state)
{
    for (int kind = ARCHIVE_TAR; kind <= ARCHIVE_ZIP; kind++) {
        CLEANUP(archive_free) struct archive *a = archive_new((enum archive_kind)kind);
        CLEANUP_BUF struct buf out = BUF_INIT(600); /* and no memory is no reason to hang */
        struct archive_entry e = file("a", 100000);
        char *bytes = calloc(1, 100000);
        assert_non_null(bytes);
        for (size_t i = 0; i < 100000; i++)
            bytes[i] = (char)(i * i * 31 >> 3);
        archive_begin(a, &e, &out);
        archive_add(a, slice_of(bytes, 100000), &out);
        assert_true(out.failed);
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tar_is_made_of_blocks_and_ends_with_two),
        cmocka_unit_test(a_tar_is_filled_up_when_a_file_shrinks),
        cmocka_unit_test(what_ustar_cannot_say_pax_says),
        cmocka_unit_test(a_large_file_in_a_zip_has_long_sizes),
        cmocka_unit_test(an_archive_may_be_given_up_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
