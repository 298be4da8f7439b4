#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/glob.h"

struct pair {
    const char *pattern, *path;
};

static void check(const struct pair *all, size_t n, bool wanted)
{
    for (size_t i = 0; i < n; i++)
        if (glob_matches(slice_str(all[i].pattern), slice_str(all[i].path)) != wanted)
            fail_msg("'%s' and '%s'", all[i].pattern, all[i].path);
}

static void what_fits_is_found(void **state)
{
    static const struct pair YES[] = {
        { "", "" },
        { "a", "a" },
        { "*", "a" },
        { "*", "" },
        { "*.csv", "a.b.csv" },
        { "*.csv", ".csv" },
        { "a*b*c", "axbxbxc" },
        { "a***", "a" },
        { "?", "é" },
        { "?", "\xff" },
        { "[a-c]x", "bx" },
        { "[!a-c]x", "dx" },
        { "[^a-c]x", "dx" },
        { "[]]", "]" },
        { "[a-]", "-" },
        { "[а-я]", "ж" },
        { "[a", "[a" },
        { "[a/]b", "[a/]b" },
        { "[\\]]", "]" },
        { "\\*", "*" },
        { "a\\", "a\\" },
        { "**", "a/b/c" },
        { "**/c", "c" },
        { "**/c", "a/b/c" },
        { "a/**", "a/b/c" },
        { "a/**/c", "a/c" },
        { "a/**/c", "a/b/b/c" },
        { "a/**/b/*.c", "a/b/x/b/y.c" },
        { "**/**/c", "c" },
        { "a/**b", "a/xb" },
        { "*/*", "a/b" },
    };
    check(YES, ARRAY_LEN(YES), true);
}

static void what_does_not_fit_is_not(void **state)
{
    static const struct pair NO[] = {
        { "", "a" },           { "a", "" },        { "a", "b" },         { "*", "a/b" },
        { "?", "" },           { "?", "/" },       { "?", "ab" },        { "a?b", "a/b" },
        { "[a-c]", "d" },      { "[!a]", "/" },    { "[!a-c]x", "bx" },  { "*.csv", "a.csv2" },
        { "\\*", "a" },        { "**/c", "a/bc" }, { "a/**", "a" },      { "a/**", "ab/c" },
        { "a/**b", "a/x/b" },  { "**", "" },       { "a/**/c", "a/bc" }, { "*/c", "a/b/c" },
        { "**/b/*", "b/a/c" },
    };
    check(NO, ARRAY_LEN(NO), false);
}

/* Exponential in a matcher that tries every star again. */
static void many_stars_take_no_time(void **state)
{
    char pattern[1024], path[4096];
    for (size_t i = 0; i < sizeof pattern - 1; i += 2)
        memcpy(pattern + i, "a*", 2);
    pattern[sizeof pattern - 2] = 'b';
    memset(path, 'a', sizeof path);
    assert_false(glob_matches(slice_of(pattern, sizeof pattern - 1), slice_of(path, sizeof path)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fits_is_found),
        cmocka_unit_test(what_does_not_fit_is_not),
        cmocka_unit_test(many_stars_take_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
