#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "protocol/requirement.h"
#include "protocol/version.h"

static const char *written(enum requirement_kind kind, const char *text)
{
    static char back[600];
    struct requirement r;
    CLEANUP_BUF struct buf out = BUF_INIT(500);
    if (!requirement_parse(kind, slice_str(text), &r))
        return NULL;
    requirement_write(&r, "", &out);
    assert_false(out.failed);
    memcpy(back, out.data, out.len + 1);
    return back;
}

static void names_extras_and_versions_come_back_in_their_normal_form(void **state)
{
    static const char *const SAME[][2] = {
        { "numpy", "numpy" },
        { " NumPy >= 2 , < 3 ", "numpy>=2,<3" },
        { "zope.interface", "zope-interface" },
        { "Foo__Bar-.baz", "foo-bar-baz" },
        { "a[B_c, d]==1.0.*", "a[b-c,d]==1.0.*" },
        { "a [x] ~= 1.4", "a[x]~=1.4" },
        { "torch==2.1.0+cpu", "torch==2.1.0+cpu" },
        { "a==1!2.0rc1.post3.dev4", "a==1!2.0rc1.post3.dev4" },
    };
    for (size_t i = 0; i < sizeof SAME / sizeof *SAME; i++)
        assert_string_equal(written(REQUIREMENT_PYTHON, SAME[i][0]), SAME[i][1]);
    assert_string_equal(written(REQUIREMENT_NPM, "@scope/name@^1.2"), "@scope/name@^1.2");
    assert_string_equal(written(REQUIREMENT_NPM, "lodash"), "lodash");
    assert_string_equal(written(REQUIREMENT_NPM, "lodash@latest"), "lodash@latest");
}

static void what_is_more_than_a_name_and_versions_is_refused(void **state)
{
    static const char *const BAD[] = {
        "",
        " ",
        "-r x",
        "--index-url=x",
        "-e .",
        ".",
        "./a",
        "../a",
        "/etc",
        "a/b",
        "a @ file:///etc",
        "a@1",
        "git+ssh://x/y",
        "a;python_version>'3'",
        "a --hash=sha256:0",
        "a\n-r b",
        "a\tb",
        "a b",
        "a==",
        "a=1",
        "a===1",
        "a>=1,",
        "a>=1 0",
        "a>=*",
        "a==1.*.2",
        "a<1.*",
        "a~=1",
        "a>=1+local",
        "a[",
        "a[]",
        "a[x",
        "a[x]]",
        "a[-x]",
        "a*",
        "a==99999999999999",
        "a==1.2.3.4.5.6.7.8.9",
        "a$(id)",
        "a`id`",
        "-",
        "_a",
        "a_",
        "\xc3\xa4",
    };
    static const char *const BAD_NPM[] = {
        "",       "Lodash", "@a",   "@a/",     "@/a",         "a/b",     "@a/b/c", "a@",
        "a@file", "a@x:y",  "-a",   "a b",     "a@1 || 2",    "a@git+x", "a@next", "@a/b@^x",
        ".a",     "a@../b", "a@1.", "@a/../b", "a@https://x", "a@^1.x",
    };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        if (written(REQUIREMENT_PYTHON, BAD[i]))
            fail_msg("'%s' was taken", BAD[i]);
    for (size_t i = 0; i < sizeof BAD_NPM / sizeof *BAD_NPM; i++)
        if (written(REQUIREMENT_NPM, BAD_NPM[i]))
            fail_msg("'%s' was taken", BAD_NPM[i]);
    struct requirement r;
    assert_false(requirement_parse(REQUIREMENT_PYTHON, slice_of("a\0b", 3), &r));
}

static int compare(const char *a, const char *b, bool is_npm)
{
    struct version x, y;
    bool (*parse)(struct slice, struct version *) =
        is_npm ? version_parse_npm : version_parse_python;
    assert_true(parse(slice_str(a), &x) && parse(slice_str(b), &y));
    assert_int_equal(version_compare(&x, &y), -version_compare(&y, &x));
    return version_compare(&x, &y);
}

static void versions_stand_in_the_order_of_pep_440_and_of_semver(void **state)
{
    static const char *const PYTHON[] = { "1.0.dev1",       "1.0a1.dev2", "1.0a1",        "1.0a2",
                                          "1.0b1",          "1.0rc1",     "1.0rc1.post1", "1.0",
                                          "1.0.post1.dev1", "1.0.post1",  "1.0.1",        "1.2",
                                          "1.10",           "2",          "1!0.1" };
    static const char *const NPM[] = { "1.0.0-alpha",  "1.0.0-alpha.1", "1.0.0-alpha.beta",
                                       "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0",
                                       "1.0.1",        "1.10.0" };
    for (size_t i = 0; i + 1 < sizeof PYTHON / sizeof *PYTHON; i++)
        if (compare(PYTHON[i], PYTHON[i + 1], false) != -1)
            fail_msg("%s is not before %s", PYTHON[i], PYTHON[i + 1]);
    for (size_t i = 0; i + 1 < sizeof NPM / sizeof *NPM; i++)
        if (compare(NPM[i], NPM[i + 1], true) != -1)
            fail_msg("%s is not before %s", NPM[i], NPM[i + 1]);
    assert_int_equal(compare("1.0", "1.0.0", false), 0);
    assert_int_equal(compare("1.0+a", "1.0+b", false), 0);
}

static enum requirement_match match(enum requirement_kind kind, const char *rule,
                                    const char *wanted)
{
    struct requirement p, r;
    assert_true(requirement_parse_rule(kind, slice_str(rule), &p));
    assert_true(requirement_parse(kind, slice_str(wanted), &r));
    return requirement_match(&p, &r);
}

static void a_rule_allows_restricts_or_denies(void **state)
{
    static const struct {
        const char *rule, *wanted;
        enum requirement_match expected;
    } CASES[] = {
        { "numpy", "scipy", REQUIREMENT_OTHER },
        { "numpy", "NumPy[extra]>=7", REQUIREMENT_ALLOWED },
        { "numpy>=2,<3", "numpy", REQUIREMENT_RESTRICTED },
        { "numpy>=2,<3", "numpy>=1", REQUIREMENT_RESTRICTED },
        { "numpy>=2,<3", "numpy==2.1.4", REQUIREMENT_ALLOWED },
        { "numpy>=2,<3", "numpy==3.0", REQUIREMENT_DENIED },
        { "numpy>=2,<3", "numpy==3.0rc1", REQUIREMENT_DENIED },
        { "numpy>=2,<3", "numpy==3.0.dev1", REQUIREMENT_DENIED },
        { "numpy<3.0rc2", "numpy==3.0rc1", REQUIREMENT_ALLOWED },
        { "numpy>=2,<3", "numpy==1.26", REQUIREMENT_DENIED },
        { "numpy>=2,<3", "numpy==2.*", REQUIREMENT_RESTRICTED },
        { "numpy~=2.1", "numpy==2.9", REQUIREMENT_ALLOWED },
        { "numpy~=2.1.0", "numpy==2.2", REQUIREMENT_DENIED },
        { "numpy!=2.1.*", "numpy==2.1.9", REQUIREMENT_DENIED },
        { "numpy>1.7", "numpy==1.7.post1", REQUIREMENT_DENIED },
        { "numpy>1", "numpy==1.7.post1", REQUIREMENT_ALLOWED },
        { "torch==2.0", "torch==2.0+cpu", REQUIREMENT_ALLOWED },
        { "torch==2.0+cpu", "torch==2.0", REQUIREMENT_DENIED },
        { "torch==2.0+cpu,>1", "torch==2.0+cpu", REQUIREMENT_ALLOWED },
        { "torch==2.0+cpu", "torch==2.0+cu1", REQUIREMENT_DENIED },
        { "torch!=2.0+cpu", "torch==2.0", REQUIREMENT_ALLOWED },
        { "types-*", "types_requests", REQUIREMENT_ALLOWED },
        { "types-*", "types", REQUIREMENT_OTHER },
        { "*-stubs-*", "a-stubs-stubs-b", REQUIREMENT_ALLOWED },
        { "*", "anything==1", REQUIREMENT_ALLOWED },
    };
    static const struct {
        const char *rule, *wanted;
        enum requirement_match expected;
    } NPM[] = {
        { "lodash@^4.17.0", "lodash", REQUIREMENT_RESTRICTED },
        { "lodash@^4.17.0", "lodash@4.18.1", REQUIREMENT_ALLOWED },
        { "lodash@^4.17.0", "lodash@5.0.0", REQUIREMENT_DENIED },
        { "lodash@^4.17.0", "lodash@>=4.17.1", REQUIREMENT_DENIED },
        { "lodash@^4.17.0", "lodash@^4.17.0", REQUIREMENT_ALLOWED },
        { "a@^0.2.3", "a@0.3.0", REQUIREMENT_DENIED },
        { "a@~1.2.3", "a@1.2.9", REQUIREMENT_ALLOWED },
        { "a@~1.2.3", "a@1.3.0", REQUIREMENT_DENIED },
        { "a@1.x", "a@1.9.9", REQUIREMENT_ALLOWED },
        { "a@<2", "a@2.0.0-rc.1", REQUIREMENT_DENIED },
        { "a@<2.0.0-rc.2", "a@2.0.0-rc.1", REQUIREMENT_ALLOWED },
        { "a@^1.2.3", "a@1.3.0-beta", REQUIREMENT_DENIED },
        { "a@2.0.0-rc.1", "a@2.0.0-rc.1", REQUIREMENT_ALLOWED },
        { "a@>1", "a@1.5.0", REQUIREMENT_DENIED },
        { "a@>1", "a@2.0.0", REQUIREMENT_ALLOWED },
        { "a@<=1", "a@1.5.0", REQUIREMENT_ALLOWED },
        { "@scope/*", "@scope/a@^7", REQUIREMENT_ALLOWED },
        { "@scope/*", "scope", REQUIREMENT_OTHER },
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        if (match(REQUIREMENT_PYTHON, CASES[i].rule, CASES[i].wanted) != CASES[i].expected)
            fail_msg("'%s' by '%s'", CASES[i].wanted, CASES[i].rule);
    for (size_t i = 0; i < sizeof NPM / sizeof *NPM; i++)
        if (match(REQUIREMENT_NPM, NPM[i].rule, NPM[i].wanted) != NPM[i].expected)
            fail_msg("'%s' by '%s'", NPM[i].wanted, NPM[i].rule);
}

static void a_restricted_requirement_is_written_with_the_rules_versions(void **state)
{
    struct requirement r;
    CLEANUP_BUF struct buf out = BUF_INIT(500);
    assert_true(requirement_parse(REQUIREMENT_PYTHON, SLICE_LITERAL("a[x]>1"), &r));
    requirement_write(&r, ">=2,<3", &out);
    assert_string_equal(out.data, "a[x]>1,>=2,<3");
    buf_reset(&out);
    assert_true(requirement_parse(REQUIREMENT_NPM, SLICE_LITERAL("b"), &r));
    requirement_write(&r, "^2", &out);
    assert_string_equal(out.data, "b@^2");
}

static void a_folder_of_metadata_says_name_and_version(void **state)
{
    char name[128], version[128];
    assert_true(requirement_parse_dist_info(SLICE_LITERAL("Python_DateUtil-2.9.0.post0.dist-info"),
                                            name, version));
    assert_string_equal(name, "python-dateutil");
    assert_string_equal(version, "2.9.0.post0");
    static const char *const BAD[] = { "a.dist-info",     "a-.dist-info",   "-1.dist-info",
                                       ".dist-info",      "a-1.egg-info",   "a-x.dist-info",
                                       "a\"-1.dist-info", "a-1-2.dist-info" };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++)
        assert_false(requirement_parse_dist_info(slice_str(BAD[i]), name, version));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_extras_and_versions_come_back_in_their_normal_form),
        cmocka_unit_test(what_is_more_than_a_name_and_versions_is_refused),
        cmocka_unit_test(versions_stand_in_the_order_of_pep_440_and_of_semver),
        cmocka_unit_test(a_rule_allows_restricts_or_denies),
        cmocka_unit_test(a_restricted_requirement_is_written_with_the_rules_versions),
        cmocka_unit_test(a_folder_of_metadata_says_name_and_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
