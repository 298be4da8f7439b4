#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/base64.h"

static void the_examples_of_the_standard_decode(void **state)
{
    static const struct {
        const char *text, *bytes;
    } EXAMPLES[] = { { "", "" },
                     { "Zg==", "f" },
                     { "Zm8=", "fo" },
                     { "Zm9v", "foo" },
                     { "Zm9vYg==", "foob" },
                     { "Zm9vYmE=", "fooba" },
                     { "Zm9v\nYmFy\n", "foobar" },
                     { "+/+/", "\xfb\xff\xbf" } };
    for (size_t i = 0; i < ARRAY_LEN(EXAMPLES); i++) {
        CLEANUP_BUF struct buf out = BUF_INIT(100);
        assert_true(base64_decode(&out, slice_str(EXAMPLES[i].text)));
        assert_true(slice_is(buf_slice(&out), EXAMPLES[i].bytes));
    }
}

static void what_is_encoded_decodes(void **state)
{
    static const char *const TEXTS[][2] = {
        { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }
    };
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        CLEANUP_BUF struct buf out = BUF_INIT(8);
        base64_encode(&out, slice_str(TEXTS[i][0]));
        assert_true(slice_is(buf_slice(&out), TEXTS[i][1]));
    }
    CLEANUP_BUF struct buf small = BUF_INIT(3);
    base64_encode(&small, SLICE_LITERAL("f"));
    assert_true(small.failed);
}

static void broken_text_is_refused(void **state)
{
    static const char *const BROKEN[] = { "Z",    "Zg",    "Zg=",      "Zg===", "=",
                                          "Z=g=", "Zm9v*", "Zg==Zg==", "-_-_" };
    for (size_t i = 0; i < ARRAY_LEN(BROKEN); i++) {
        CLEANUP_BUF struct buf out = BUF_INIT(100);
        assert_false(base64_decode(&out, slice_str(BROKEN[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_standard_decode),
        cmocka_unit_test(what_is_encoded_decodes),
        cmocka_unit_test(broken_text_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
