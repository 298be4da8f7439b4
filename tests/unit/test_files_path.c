#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "kernelhub/files_path.h"

static const char *read_path(const char *text, size_t len)
{
    static char path[FILES_MAX_PATH + 1];
    struct err e = ERR_INIT;
    if (files_path_read(slice_of(text, len), path, &e) < 0) {
        assert_int_equal(e.code, ERR_INVALID);
        assert_true(e.text[0] != '\0');
        return NULL;
    }
    return path;
}

static void what_may_stand_around_a_path_is_dropped(void **state)
{
    static const char *const SAME[][2] = {
        { "", "" },
        { "/", "" },
        { "///", "" },
        { "/workspace", "" },
        { "a", "a" },
        { "/a/b", "a/b" },
        { "a/b/", "a/b" },
        { "/workspace/a", "a" },
        { "workspace/a", "workspace/a" },
        { "/workspacex/a", "workspacex/a" },
        { "//workspace//a", "a" },
        { "...", "..." },
        { "a/..b", "a/..b" },
    };
    for (size_t i = 0; i < ARRAY_LEN(SAME); i++)
        assert_string_equal(read_path(SAME[i][0], strlen(SAME[i][0])), SAME[i][1]);
}

static void what_could_leave_the_workspace_is_refused(void **state)
{
    static const char *const BAD[] = { "..",  "../a", "a/..", "a/../b",        ".",
                                       "./a", "a/.",  "a//b", "/workspace/..", "/../workspace" };
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_null(read_path(BAD[i], strlen(BAD[i])));
    assert_null(read_path("a\0b", 3));
    assert_null(read_path("\xff", 1));
    assert_null(read_path("\xed\xa0\x80", 3)); /* half a surrogate pair */
    assert_null(read_path("\xc0\xaf", 2));     /* a slash, written long */
}

static void lengths_are_those_of_the_disk(void **state)
{
    char text[FILES_MAX_PATH + 2];
    memset(text, 'x', sizeof text);
    assert_non_null(read_path(text, FILES_MAX_NAME));
    assert_null(read_path(text, FILES_MAX_NAME + 1));
    for (size_t i = 255; i < sizeof text; i += 256)
        text[i] = '/';
    assert_non_null(read_path(text, FILES_MAX_PATH));
    text[FILES_MAX_PATH] = 'x';
    assert_null(read_path(text, FILES_MAX_PATH + 1));
}

static void names_that_are_no_utf8_come_back(void **state)
{
    static const char *const NAMES[][2] = {
        { "caf\xe9", "caf\xee\xbf\xa9" }, /* U+EFE9 */
        { "\x80\xff", "\xee\xbe\x80\xee\xbf\xbf" },
        { "\xee\xbe\x80",
          "\xee\xbf\xae\xee\xbe\xbe\xee\xbe\x80" }, /* a name that looks like an escape */
        { "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
        { "\xee\xbd\xbf", "\xee\xbd\xbf" }, /* U+EF7F: no byte */
    };
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        CLEANUP_BUF struct buf text = BUF_INIT(100);
        files_path_write(slice_str(NAMES[i][0]), &text);
        assert_string_equal(text.data, NAMES[i][1]);
        assert_string_equal(read_path(text.data, text.len), NAMES[i][0]);
    }
    assert_null(read_path("\xee\xbf\x83\xee\xbe\xbc", 6)); /* another text for "ü" */
}

static void names_and_hidden_ones_are_told(void **state)
{
    assert_string_equal(files_path_name("a/b.c"), "b.c");
    assert_string_equal(files_path_name("a"), "a");
    assert_string_equal(files_path_name(""), "");
    assert_true(files_path_is_hidden(".a") && files_path_is_hidden("a/.b/c"));
    assert_false(files_path_is_hidden("a./b.c") || files_path_is_hidden(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_may_stand_around_a_path_is_dropped),
        cmocka_unit_test(what_could_leave_the_workspace_is_refused),
        cmocka_unit_test(lengths_are_those_of_the_disk),
        cmocka_unit_test(names_that_are_no_utf8_come_back),
        cmocka_unit_test(names_and_hidden_ones_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
