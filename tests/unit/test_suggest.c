#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "cmd/suggest.h"

static const char *const WORDS[] = { "serve",    "stop",    "run",    "history",
                                     "sessions", "restart", "version" };

static void distance_counts_letters_to_change(void **state)
{
    assert_int_equal(suggest_distance("", ""), 0);
    assert_int_equal(suggest_distance("", "abc"), 3);
    assert_int_equal(suggest_distance("serve", "serve"), 0);
    assert_int_equal(suggest_distance("sevre", "serve"), 1);
    assert_int_equal(suggest_distance("kitten", "sitting"), 3);
}

static void distance_of_endless_words_is_bounded(void **state)
{
    char a[300], b[300];
    for (size_t i = 0; i < sizeof a - 1; i++) {
        a[i] = 'a';
        b[i] = 'b';
    }
    a[299] = b[299] = '\0';
    assert_int_equal(suggest_distance(a, b), 63);
}

static void a_slip_is_recognised(void **state)
{
    assert_string_equal(suggest_nearest("histroy", WORDS, ARRAY_LEN(WORDS)), "history");
    assert_string_equal(suggest_nearest("session", WORDS, ARRAY_LEN(WORDS)), "sessions");
    assert_string_equal(suggest_nearest("rum", WORDS, ARRAY_LEN(WORDS)), "run");
}

static void another_word_altogether_gets_no_answer(void **state)
{
    assert_null(suggest_nearest("kubernetes", WORDS, ARRAY_LEN(WORDS)));
    assert_null(suggest_nearest("x", WORDS, ARRAY_LEN(WORDS)));
    assert_null(suggest_nearest("", WORDS, ARRAY_LEN(WORDS)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distance_counts_letters_to_change),
        cmocka_unit_test(distance_of_endless_words_is_bounded),
        cmocka_unit_test(a_slip_is_recognised),
        cmocka_unit_test(another_word_altogether_gets_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
