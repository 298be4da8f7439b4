#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox/kernelspecs.h"

/* The literal with its NULs, without the last one. */
#define PRINTED(s) ((struct slice){ .data = (s), .len = sizeof(s) - 1 })

static bool parses(struct slice printed, const char *expected)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    char *exact =
        malloc(printed.len ? printed.len : 1); /* so that a sanitizer sees a read behind it */
    memcpy(exact, printed.data, printed.len);
    bool ok = kernelspecs_parse(slice_of(exact, printed.len), &out);
    free(exact);
    if (ok && expected)
        assert_string_equal(out.data, expected);
    if (ok)
        assert_true(kernelspecs_valid(buf_slice(&out)));
    return ok;
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
        cmocka_unit_test(more_kernels_than_the_limit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
