#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "cmd/options.h"

struct fixture {
    bool json;
    const char *session;
    int64_t limit;
    struct option_list env, arguments;
    struct err e;
};

static enum options_result parse(struct fixture *f, int argc, char **argv)
{
    const struct option_spec specs[] = {
        { "json", 0, OPTION_FLAG, NULL, "", &f->json },
        { "session", 's', OPTION_TEXT, "NAME", "", &f->session },
        { "limit", 'n', OPTION_NUMBER, "N", "", &f->limit },
        { "env", 'e', OPTION_LIST, "K=V", "", &f->env },
        { 0 },
    };
    const struct options o = { .command = "run",
                               .arguments = "CODE",
                               .about = "",
                               .specs = specs,
                               .min_arguments = 1,
                               .max_arguments = 2 };
    return options_parse(&o, argc, argv, &f->arguments, &f->e);
}
#define PARSE(f, ...)                                                                              \
    parse(f, (int)ARRAY_LEN(((char *[]){ "run", __VA_ARGS__ })), (char *[]){ "run", __VA_ARGS__ })

static void options_may_stand_anywhere(void **state)
{
    struct fixture f = { 0 };
    assert_int_equal(PARSE(&f, "--session", "a", "code", "--json", "-n5"), OPTIONS_OK);
    assert_string_equal(f.session, "a");
    assert_true(f.json);
    assert_int_equal(f.limit, 5);
    assert_int_equal(f.arguments.n, 1);
    assert_string_equal(f.arguments.items[0], "code");
}

static void a_value_may_follow_an_equals_sign_and_be_empty(void **state)
{
    struct fixture f = { 0 };
    assert_int_equal(PARSE(&f, "--session=", "-e", "A=1", "--env=B=2", "x"), OPTIONS_OK);
    assert_string_equal(f.session, "");
    assert_int_equal(f.env.n, 2);
    assert_string_equal(f.env.items[1], "B=2");
}

static void two_dashes_end_the_options(void **state)
{
    struct fixture f = { 0 };
    assert_int_equal(PARSE(&f, "--", "--json", "-"), OPTIONS_OK);
    assert_false(f.json);
    assert_int_equal(f.arguments.n, 2);
}

static void a_dash_alone_is_an_argument(void **state)
{
    struct fixture f = { 0 };
    assert_int_equal(PARSE(&f, "-"), OPTIONS_OK);
    assert_string_equal(f.arguments.items[0], "-");
}

static void an_unknown_option_suggests_the_nearest(void **state)
{
    struct fixture f = { 0 };
    assert_int_equal(PARSE(&f, "--sesion=x", "code"), OPTIONS_BAD);
    assert_non_null(strstr(f.e.text, "--session"));
    assert_null(strstr(f.e.text, "=x"));
}

static void what_is_wrong_is_named(void **state)
{
    struct fixture f = { 0 };
    assert_int_equal(PARSE(&f, "code", "--session"), OPTIONS_BAD);
    assert_non_null(strstr(f.e.text, "needs a value"));
    assert_int_equal(PARSE(&f, "code", "-n", "1x"), OPTIONS_BAD);
    assert_non_null(strstr(f.e.text, "'1x'"));
    assert_int_equal(PARSE(&f, "code", "-n", "-1"), OPTIONS_BAD);
    assert_int_equal(PARSE(&f, "code", "--json=1"), OPTIONS_BAD);
    assert_int_equal(PARSE(&f, "a", "b", "c"), OPTIONS_BAD);
    assert_int_equal(PARSE(&f, "--json"), OPTIONS_BAD);
}

static void a_list_is_bounded(void **state)
{
    struct fixture f = { 0 };
    char *argv[2 * OPTION_MAX_VALUES + 4] = { "run", "code" };
    int argc = 2;
    for (int i = 0; i <= OPTION_MAX_VALUES; i++) {
        argv[argc++] = "-e";
        argv[argc++] = "A=1";
    }
    assert_int_equal(parse(&f, argc, argv), OPTIONS_BAD);
    assert_int_equal(f.env.n, OPTION_MAX_VALUES);
}

static void a_command_s_words_are_left_alone(void **state)
{
    bool json = false;
    struct option_list arguments;
    struct err e = ERR_INIT;
    const struct option_spec specs[] = { { "json", 'j', OPTION_FLAG, NULL, "", &json }, { 0 } };
    const struct options o = { .command = "exec",
                               .arguments = "COMMAND",
                               .about = "",
                               .specs = specs,
                               .command_follows = true };
    char *plain[] = { "exec", "-j", "ls", "--json", "--", "-l", NULL };
    assert_int_equal(options_parse(&o, 6, plain, &arguments, &e), OPTIONS_OK);
    assert_ptr_equal(arguments.rest, plain + 2);
    assert_true(json);
    json = false;
    char *dashes[] = { "exec", "--", "--json", "--help", NULL };
    assert_int_equal(options_parse(&o, 4, dashes, &arguments, &e), OPTIONS_OK);
    assert_ptr_equal(arguments.rest, dashes + 2);
    assert_false(json);
    assert_int_equal(options_parse(&o, 2, dashes, &arguments, &e), OPTIONS_BAD);
    assert_non_null(strstr(e.text, "an argument is missing"));
    assert_int_equal(options_parse(&o, 1, dashes, &arguments, &e), OPTIONS_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_may_stand_anywhere),
        cmocka_unit_test(a_value_may_follow_an_equals_sign_and_be_empty),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(a_dash_alone_is_an_argument),
        cmocka_unit_test(an_unknown_option_suggests_the_nearest),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(a_list_is_bounded),
        cmocka_unit_test(a_command_s_words_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
