#include "kernelhub/ended.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static void explains(const struct ended *ended, const struct uuid *user, const char *name,
                     enum err_code code, const char *text)
{
    struct err e = ERR_INIT;
    assert_int_equal(ended_explain(ended, user, name, &e), -1);
    assert_int_equal(e.code, code);
    if (!strstr(e.text, text))
        fail_msg("'%s' is not in '%s'", text, e.text);
}

static void it_is_found_by_id_and_by_name_the_newest(void **state)
{
    struct ended *ended = ended_new();
    struct uuid user = uuid_new(), a = uuid_new(), b = uuid_new();
    ended_add(ended, &a, &user, "box", 1000000, "idle for 30 min");
    ended_add(ended, &b, &user, "box", 2000000, "it was deleted");
    explains(ended, &user, a.text, ERR_GONE,
             "sandbox 'box' is gone since 1970-01-01T00:00:01.000000Z: idle for 30 min");
    explains(ended, &user, "box", ERR_GONE, "it was deleted");
    explains(ended, &user, "bo", ERR_NOT_FOUND, "\"bo\"");
    ended_free(ended);
}

static void another_users_is_not_there(void **state)
{
    struct ended *ended = ended_new();
    struct uuid user = uuid_new(), other = uuid_new(), a = uuid_new();
    ended_add(ended, &a, &user, "box", 1, "why");
    explains(ended, &other, "box", ERR_NOT_FOUND, "no sandbox");
    explains(ended, &other, a.text, ERR_NOT_FOUND, "no sandbox");
    ended_free(ended);
}

static void one_user_forgets_only_his_own_oldest(void **state)
{
    struct ended *ended = ended_new();
    struct uuid user = uuid_new(), other = uuid_new(), a = uuid_new();
    char name[16];
    ended_add(ended, &a, &other, "his", 1, "why");
    for (int i = 0; i <= ENDED_MAX_OF_USER; i++) {
        struct uuid id = uuid_new();
        (void)snprintf(name, sizeof name, "box-%d", i);
        ended_add(ended, &id, &user, name, i + 2, "why");
    }
    explains(ended, &other, "his", ERR_GONE, "why");
    explains(ended, &user, "box-0", ERR_NOT_FOUND, "no sandbox");
    explains(ended, &user, "box-1", ERR_GONE, "why");
    explains(ended, &user, name, ERR_GONE, "why");
    ended_free(ended);
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(it_is_found_by_id_and_by_name_the_newest),
        cmocka_unit_test(another_users_is_not_there),
        cmocka_unit_test(one_user_forgets_only_his_own_oldest),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
