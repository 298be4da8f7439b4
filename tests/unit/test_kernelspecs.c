#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "sandbox/kernelspecs.h"

/* The literal with its NULs, without the last one. */
#define PRINTED(s) ((struct slice){ .data = (s), .len = sizeof(s) - 1 })

static char last_logos[1 << 20];

static bool parses(struct slice printed, const char *expected)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20), logos = BUF_INIT(1 << 20),
                           record = BUF_INIT(1 << 21);
    struct slice specs_again, logos_again;
    char *exact =
        malloc(printed.len ? printed.len : 1); /* so that a sanitizer sees a read behind it */
    memcpy(exact, printed.data, printed.len);
    bool ok = kernelspecs_parse(slice_of(exact, printed.len), &out, &logos);
    free(exact);
    if (ok && expected)
        assert_string_equal(out.data, expected);
    if (ok) {
        assert_true(kernelspecs_valid(buf_slice(&out)));
        kernelspecs_write_record(buf_slice(&out), buf_slice(&logos), &record);
        assert_true(kernelspecs_read_record(buf_slice(&record), &specs_again, &logos_again));
        assert_true(slice_equal(specs_again, buf_slice(&out)));
        assert_true(slice_equal(logos_again, buf_slice(&logos)));
        (void)snprintf(last_logos, sizeof last_logos, "%s", logos.data);
    }
    return ok;
}

#define PNG "\x89PNG\r\n\x1a\n!" /* base64: iVBORw0KGgoh */

static void logos_become_base64_of_their_kernelspec(void **state)
{
    assert_true(parses(PRINTED("a\0"
                               "2\0"
                               "{}a/logo-64x64.png\0"
                               "9\0" PNG "a/logo-svg.svg\0"
                               "6\0"
                               "<svg/>b\0"
                               "2\0"
                               "{}c\0"
                               "2\0"
                               "{}c/logo-32x32.png\0"
                               "9\0" PNG),
                       "{\"a\":{},\"b\":{},\"c\":{}}"));
    assert_string_equal(last_logos, "{\"a\":{\"logo-64x64.png\":\"iVBORw0KGgoh\",\"logo-svg.svg\":"
                                    "\"PHN2Zy8+\"},\"c\":{\"logo-32x32.png\":\"iVBORw0KGgoh\"}}");
    assert_true(parses(PRINTED("a\0"
                               "2\0"
                               "{}"),
                       "{\"a\":{}}"));
    assert_string_equal(last_logos, "{}");
}

static void what_is_not_what_its_name_says_is_left_out(void **state)
{
    assert_true(parses(PRINTED("a\0"
                               "2\0"
                               "{}a/logo-64x64.png\0"
                               "6\0"
                               "<html>a/logo-svg.svg\0"
                               "3\0"
                               "<\xff>"),
                       "{\"a\":{}}"));
    assert_string_equal(last_logos, "{}");
    assert_true(parses(PRINTED("a\0"
                               "2\0"
                               "{}a/logo-svg.svg\0"
                               "3\0"
                               "<\0>"),
                       "{\"a\":{}}"));
    assert_string_equal(last_logos, "{}");
}

static void a_logo_out_of_place_is_refused(void **state)
{
    assert_false(parses(PRINTED("a/logo-svg.svg\0"
                                "6\0"
                                "<svg/>"),
                        NULL));
    assert_false(parses(PRINTED("a\0"
                                "2\0"
                                "{}b\0"
                                "2\0"
                                "{}a/logo-svg.svg\0"
                                "6\0"
                                "<svg/>"),
                        NULL));
    assert_false(parses(PRINTED("a\0"
                                "2\0"
                                "{}a/logo-svg.svg\0"
                                "6\0"
                                "<svg/>a/logo-svg.svg\0"
                                "6\0"
                                "<svg/>"),
                        NULL));
    assert_false(parses(PRINTED("a\0"
                                "2\0"
                                "{}a/kernel.js\0"
                                "1\0"
                                "x"),
                        NULL));
    assert_false(parses(PRINTED("a\0"
                                "2\0"
                                "{}a/logo-svg.svg\0"
                                "65537\0"),
                        NULL));
}

static void more_logos_than_fit_are_refused(void **state)
{
    CLEANUP_BUF struct buf printed = BUF_INIT(1 << 20);
    char svg[60000];
    memset(svg, 's', sizeof svg);
    for (int i = 0; i < 5; i++) {
        buf_addf(&printed, "k%d%c2%c{}k%d/logo-svg.svg%c60000%c", i, 0, 0, i, 0, 0);
        buf_add(&printed, svg, sizeof svg);
        assert_int_equal(parses(buf_slice(&printed), NULL), i < 4);
    }
}

static void a_record_of_an_older_keeper_is_none_of_ours(void **state)
{
    struct slice specs, logos;
    static const char *const NONE[] = {
        "{\"python3\":{\"argv\":[]}}",
        "{\"v\":3,\"kernelspecs\":{},\"logos\":{}}",
        "{\"v\":2,\"kernelspecs\":{}}",
        "{\"v\":2,\"kernelspecs\":{\"a\":5},\"logos\":{}}",
        "{\"v\":2,\"kernelspecs\":{},\"logos\":{\"a\":{\"kernel.js\":\"\"}}}",
        "{\"v\":2,\"kernelspecs\":{},\"logos\":{\"a\":{\"logo-svg.svg\":5}}}",
        "{\"v\":2,",
        "",
    };
    for (size_t i = 0; i < sizeof NONE / sizeof *NONE; i++)
        assert_false(kernelspecs_read_record(slice_str(NONE[i]), &specs, &logos));
    assert_true(kernelspecs_valid(slice_str(NONE[0])));
}

static void records_become_one_object(void **state)
{
    assert_true(parses(PRINTED("py\0"
                               "2\0"
                               "{}r\0"
                               "13\0"
                               "{ \"argv\" :[]}"),
                       "{\"py\":{},\"r\":{\"argv\":[]}}"));
    assert_true(parses(PRINTED(""), "{}"));
}

static void names_are_plain_and_come_once(void **state)
{
    assert_false(parses(PRINTED("py\0"
                                "2\0"
                                "{}py\0"
                                "2\0"
                                "{}"),
                        NULL));
    assert_false(parses(PRINTED("\0"
                                "2\0"
                                "{}"),
                        NULL));
    assert_false(parses(PRINTED("a\"b\0"
                                "2\0"
                                "{}"),
                        NULL));
    assert_false(parses(PRINTED("../x\0"
                                "2\0"
                                "{}"),
                        NULL));
    assert_false(parses(PRINTED("a/b\0"
                                "2\0"
                                "{}"),
                        NULL));
}

static void lengths_are_checked(void **state)
{
    assert_false(parses(PRINTED("py\0"
                                "3\0"
                                "{}"),
                        NULL));
    assert_false(parses(PRINTED("py\0"
                                "1\0"
                                "{}"),
                        NULL));
    assert_false(parses(PRINTED("py\0"
                                "0\0"),
                        NULL));
    assert_false(parses(PRINTED("py\0"
                                "-2\0"
                                "{}"),
                        NULL));
    assert_false(parses(PRINTED("py\0"
                                "99999999999999999999\0"
                                "{}"),
                        NULL));
    assert_false(parses(PRINTED("py\0"
                                "2"),
                        NULL));
    assert_false(parses(PRINTED("py"), NULL));
    assert_false(parses(PRINTED("py\0"
                                "2\0"
                                "{}\n"),
                        NULL));
}

static void only_objects_are_kernel_specs(void **state)
{
    assert_false(parses(PRINTED("py\0"
                                "2\0"
                                "[]"),
                        NULL));
    assert_false(parses(PRINTED("py\0"
                                "2\0"
                                "{]"),
                        NULL));
    assert_false(parses(PRINTED("py\0"
                                "3\0"
                                "{}x"),
                        NULL));
}

static void a_kernel_spec_is_not_so_deep_that_no_reply_could_hold_it(void **state)
{
    static const char DEEP[] = "{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["
                               "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}";
    CLEANUP_BUF struct buf printed = BUF_INIT(4096);
    assert_true(json_valid(slice_str(DEEP)));
    buf_addf(&printed, "py%c%zu%c%s", 0, sizeof DEEP - 1, 0, DEEP);
    assert_false(parses(buf_slice(&printed), NULL));
}

static void more_kernels_than_the_limit_are_refused(void **state)
{
    CLEANUP_BUF struct buf printed = BUF_INIT(1 << 20);
    for (int i = 0; i < KERNELSPECS_MAX; i++) {
        buf_addf(&printed, "k%d", i);
        buf_add(&printed,
                "\0"
                "2\0"
                "{}",
                5);
    }
    assert_true(parses(buf_slice(&printed), NULL));
    buf_add(&printed,
            "one-more\0"
            "2\0"
            "{}",
            13);
    assert_false(parses(buf_slice(&printed), NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_become_one_object),
        cmocka_unit_test(names_are_plain_and_come_once),
        cmocka_unit_test(lengths_are_checked),
        cmocka_unit_test(only_objects_are_kernel_specs),
        cmocka_unit_test(a_kernel_spec_is_not_so_deep_that_no_reply_could_hold_it),
        cmocka_unit_test(more_kernels_than_the_limit_are_refused),
        cmocka_unit_test(logos_become_base64_of_their_kernelspec),
        cmocka_unit_test(what_is_not_what_its_name_says_is_left_out),
        cmocka_unit_test(a_logo_out_of_place_is_refused),
        cmocka_unit_test(more_logos_than_fit_are_refused),
        cmocka_unit_test(a_record_of_an_older_keeper_is_none_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
