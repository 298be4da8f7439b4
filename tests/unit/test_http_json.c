#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "fake_hub.h"
#include "web/fields.h"

struct target {
    const char *name, *choice;
    struct slice text, env, labels, list;
    bool flag;
    double number;
    int64_t whole;
};

#define AT(member) offsetof(struct target, member)
static const struct field FIELDS[] = {
    { "name", FIELD_NAME, AT(name), true, 4, FIELD_NO_CONFIG, NULL },
    { "choice", FIELD_NAME, AT(choice), false, 9, FIELD_NO_CONFIG, "stay go" },
    { "text", FIELD_TEXT, AT(text), false, 3, FIELD_NO_CONFIG, NULL },
    { "env", FIELD_ENV, AT(env), false, 10, FIELD_NO_CONFIG, NULL },
    { "labels", FIELD_LABELS, AT(labels), false, 10, FIELD_NO_CONFIG, NULL },
    { "flag", FIELD_FLAG, AT(flag), false, 0, FIELD_NO_CONFIG, NULL },
    { "number", FIELD_NUMBER, AT(number), false, 0, CONFIG_LIMITS_TIMEOUT, NULL },
    { "whole", FIELD_INTEGER, AT(whole), false, 7, FIELD_NO_CONFIG, NULL },
    { "list", FIELD_STRINGS, AT(list), false, 2000, FIELD_NO_CONFIG, NULL },
};

static struct hub *hub;

static int make(void **state)
{
    hub = fake_hub_new(NULL);
    return 0;
}

static int unmake(void **state)
{
    hub_free(hub);
    return 0;
}

/* The error's code; ERR_NONE when the body is taken. */
static enum err_code code_of(const char *body, const char *part)
{
    CLEANUP_FIELDS struct fields f = { .tree = NULL };
    struct target t = { .name = NULL };
    struct err e = ERR_INIT;
    int rc = fields_read(&f, slice_str(body), FIELDS, sizeof FIELDS / sizeof *FIELDS,
                         hub_config(hub), &t, &e);
    assert_int_equal(rc < 0, e.code != ERR_NONE);
    if (part && !strstr(e.text, part))
        fail_msg("'%s' is not in: %s", part, e.text);
    return e.code;
}

static void what_is_given_is_put_in_its_place(void **state)
{
    CLEANUP_FIELDS struct fields f = { .tree = NULL };
    struct target t = { .whole = 5 };
    struct err e = ERR_INIT;
    const char *body = " {\"name\":\"n\\u00fc\",\"choice\":\"go\",\"text\":\"\",\"env\":{\"A_1\":"
                       "\"b\"},\"labels\":{\"k y\":\"\"},"
                       "\"flag\":true,\"number\":2,\"whole\":null,\"list\":[\"a\", \"\"]}\n";
    assert_int_equal(fields_read(&f, slice_str(body), FIELDS, 9, hub_config(hub), &t, &e), 0);
    assert_string_equal(t.name, "nü");
    assert_string_equal(t.choice, "go");
    assert_true(t.text.data != NULL && t.text.len == 0);
    assert_true(slice_is(t.env, "{\"A_1\":\"b\"}"));
    assert_true(slice_is(t.labels, "{\"k y\":\"\"}"));
    assert_true(t.flag && t.number == 2.0);
    assert_int_equal(t.whole, 5);
    assert_true(slice_is(t.list, "[\"a\",\"\"]"));
}

/* {"name":"n","list":["…", …]} with n strings of len bytes. */
static enum err_code code_of_list(int n, int len, const char *part)
{
    CLEANUP_BUF struct buf body = BUF_INIT(1 << 20);
    buf_add_str(&body, "{\"name\":\"n\",\"list\":[");
    for (int i = 0; i < n; i++)
        buf_addf(&body, "%s\"%.*s\"", i ? "," : "", len, "aaaaaaaaaaaaaaaaaaaa");
    buf_add_str(&body, "]}");
    return code_of(body.data, part);
}

static void a_list_has_strings_and_two_limits(void **state)
{
    assert_int_equal(code_of_list(0, 0, "not empty"), ERR_INVALID);
    assert_int_equal(code_of_list(1024, 1, NULL), ERR_NONE);
    assert_int_equal(code_of_list(1025, 0, "1025 strings; the limit is 1024"), ERR_INVALID);
    assert_int_equal(code_of_list(100, 20, NULL), ERR_NONE);
    assert_int_equal(code_of_list(101, 20, "2020 bytes; the limit is 2000"), ERR_TOO_LARGE);
    assert_int_equal(code_of("{\"name\":\"n\",\"list\":[\"a\",1]}", "item 1"), ERR_INVALID);
    assert_int_equal(code_of("{\"name\":\"n\",\"list\":\"a\"}", "a list"), ERR_INVALID);
    assert_int_equal(code_of("{\"name\":\"n\",\"list\":{}}", "a list"), ERR_INVALID);
}

static void limits_are_exact(void **state)
{
    assert_int_equal(
        code_of("{\"name\":\"1234\",\"text\":\"123\",\"whole\":7,\"number\":86400}", NULL),
        ERR_NONE);
    assert_int_equal(code_of("{\"name\":\"12345\"}", "'name'"), ERR_INVALID);
    assert_int_equal(
        code_of("{\"name\":\"n\",\"text\":\"1234\"}", "'text' has 4 bytes; the limit is 3"),
        ERR_TOO_LARGE);
    assert_int_equal(code_of("{\"name\":\"n\",\"whole\":8}", "'whole' is 8"), ERR_INVALID);
    assert_int_equal(code_of("{\"name\":\"n\",\"whole\":0}", "'whole' is 0"), ERR_INVALID);
    assert_int_equal(code_of("{\"name\":\"n\",\"whole\":9223372036854775807}", "'whole'"),
                     ERR_INVALID);
    assert_int_equal(code_of("{\"name\":\"n\",\"whole\":92233720368547758070}", "line 1"),
                     ERR_INVALID);
    assert_int_equal(code_of("{\"name\":\"n\",\"number\":86400.001}", "limits/max_timeout_seconds"),
                     ERR_INVALID);
    assert_int_equal(code_of("{\"name\":\"n\",\"number\":-0.0}", "'number'"), ERR_INVALID);
    assert_int_equal(code_of("{\"name\":\"n\",\"env\":{\"A\":\"123456789\"}}", NULL), ERR_NONE);
    assert_int_equal(code_of("{\"name\":\"n\",\"env\":{\"A\":\"1234567890\"}}", "11 bytes"),
                     ERR_INVALID);
}

static void names_are_checked(void **state)
{
    assert_int_equal(
        code_of("{\"nam\":\"n\"}", "unknown field \"nam\"; allowed: name, choice, text"),
        ERR_INVALID);
    assert_int_equal(code_of("{}", "'name' is missing"), ERR_INVALID);
    assert_int_equal(code_of("{\"name\":null}", "'name' is missing"), ERR_INVALID);
    assert_int_equal(code_of("{\"name\":\"\"}", "'name'"), ERR_INVALID);
    assert_int_equal(code_of("{\"name\":\"n\",\"choice\":\"stay go\"}", "allowed: stay go"),
                     ERR_INVALID);
    assert_int_equal(code_of("{\"name\":\"n\",\"choice\":\"g\"}", "allowed: stay go"), ERR_INVALID);
    assert_int_equal(code_of("{\"name\":\"n\",\"env\":{\"1A\":\"\"}}", "no name"), ERR_INVALID);
    assert_int_equal(code_of("{\"name\":\"n\",\"env\":{\"A\":null}}", "a string"), ERR_INVALID);
    assert_int_equal(code_of("{\"name\":\"n\",\"labels\":{\"\":\"\"}}", "no name"), ERR_INVALID);
}

static void a_place_is_named(void **state)
{
    assert_int_equal(code_of("{\"name\":\"n\",\n\"text\":\"a\\ud800\"}", "line 2"), ERR_INVALID);
    assert_int_equal(code_of("{\"name\":\"n\",\n\n  \"name\":\"n\"}", "line 3"), ERR_INVALID);
    assert_int_equal(code_of("", "empty"), ERR_INVALID);
    assert_int_equal(code_of("{\"name\":\"n\"}}", "line 1, column 13"), ERR_INVALID);
}

static void depth_has_a_limit_that_strings_do_not_fool(void **state)
{
    char body[400];
    (void)snprintf(body, sizeof body, "{\"name\":\"n\",\"labels\":%0*d}", 64, 0);
    memset(strchr(body, '0'), '[', 64);
    assert_int_equal(code_of(body, "line 1, column 85: nested deeper than 64 levels"), ERR_INVALID);
    (void)snprintf(body, sizeof body, "{\"name\":\"n\",\"labels\":{\"\\\"%0*d\":\"\"}}", 64, 0);
    memset(strchr(body, '0'), '[', 64);
    assert_int_equal(code_of(body, "65 bytes"), ERR_INVALID);
}

static void a_text_that_is_cut_anywhere_is_refused(void **state)
{
    static const char WHOLE[] =
        "{\"name\":\"n\\u00fc\",\"env\":{\"A\":\"b\"},\"flag\":true,\"number\":2.5e1}";
    char body[sizeof WHOLE];
    assert_int_equal(code_of(WHOLE, NULL), ERR_NONE);
    for (size_t n = 0; n < sizeof WHOLE - 1; n++) {
        memcpy(body, WHOLE, n);
        body[n] = '\0';
        assert_int_equal(code_of(body, NULL), ERR_INVALID);
    }
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(what_is_given_is_put_in_its_place),
        cmocka_unit_test(limits_are_exact),
        cmocka_unit_test(a_list_has_strings_and_two_limits),
        cmocka_unit_test(names_are_checked),
        cmocka_unit_test(a_place_is_named),
        cmocka_unit_test(depth_has_a_limit_that_strings_do_not_fool),
        cmocka_unit_test(a_text_that_is_cut_anywhere_is_refused),
    };
    return cmocka_run_group_tests(TESTS, make, unmake);
}
