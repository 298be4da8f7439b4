#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernelhub/config.h"
#include "tests/unit/scratch.h"

static char path[128];

static int make_path(void **state)
{
    int fd = mkstemp(scratch_path(path, sizeof path, "conf-XXXXXX"));
    assert_true(fd >= 0);
    close(fd);
    *state = config_new();
    return 0;
}

static int remove_path(void **state)
{
    unlink(path);
    config_free(*state);
    return 0;
}

static int read_text(struct config *c, const char *text, struct err *e)
{
    FILE *out = fopen(path, "w");
    fputs(text, out);
    fclose(out);
    return config_read_file(c, path, false, e);
}

static void expect_error(struct config *c, const char *text, const char *a, const char *b)
{
    struct err e = ERR_INIT;
    assert_int_equal(read_text(c, text, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    if (!strstr(e.text, a) || !strstr(e.text, b) || !strstr(e.text, path))
        fail_msg("'%s', '%s' or the path is not in: %s", a, b, e.text);
}

static void the_defaults_are_those_of_the_header(void **state)
{
    struct config *c = *state;
    assert_string_equal(config_text(c, CONFIG_SERVER_ADDRESS), "127.0.0.1");
    assert_int_equal(config_number(c, CONFIG_SERVER_PORT), 8080);
    assert_int_equal(config_number(c, CONFIG_SERVER_MAX_BODY), 10 << 20);
    assert_int_equal(config_number(c, CONFIG_LIMITS_CPUS), 2000);
    assert_int_equal(config_number(c, CONFIG_LIMITS_MEMORY), 2ll << 30);
    assert_int_equal(config_number(c, CONFIG_HISTORY_MAX_BYTES), 10ll << 30);
    assert_int_equal(config_number(c, CONFIG_KEEPER_ID_BASE), 1879048192);
    assert_false(config_flag(c, CONFIG_KEEPER_ALLOW_WEAK));
    assert_string_equal(config_text(c, CONFIG_LOG_LEVEL), "info");
    assert_string_equal(config_text(c, CONFIG_PATHS_TOKEN_FILE), "");
}

static void a_file_overrides_the_defaults(void **state)
{
    struct config *c = *state;
    struct err e = ERR_INIT;
    const char *text =
        "#   a comment\n\nserver\n    port = 9000   # behind\n    address = \"::1\"\n\n"
        "limits\n    memory_bytes = 512M\n    cpus = 0.5\n    max_output_bytes = 1KiB\nkeeper\n    "
        "allow_weak = yes\n";
    assert_int_equal(read_text(c, text, &e), -1); /* 1KiB is below the minimum */
    text = "#   a comment\n\nserver\n    port = 9000   # behind\n    address = \"::1\"\r\n\n"
           "limits\n    memory_bytes = 512M\n    cpus = 0.5\n    max_output_bytes = "
           "64KiB\nkeeper\n    allow_weak = yes";
    if (read_text(c, text, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(config_number(c, CONFIG_SERVER_PORT), 9000);
    assert_string_equal(config_text(c, CONFIG_SERVER_ADDRESS), "::1");
    assert_int_equal(config_number(c, CONFIG_LIMITS_MEMORY), 512 << 20);
    assert_int_equal(config_number(c, CONFIG_LIMITS_CPUS), 500);
    assert_int_equal(config_number(c, CONFIG_LIMITS_OUTPUT), 65536);
    assert_true(config_flag(c, CONFIG_KEEPER_ALLOW_WEAK));
}

static void an_error_names_file_line_and_what_is_allowed(void **state)
{
    struct config *c = *state;
    expect_error(c, "server\n    # no\n    prot = 1\n", "line 3",
                 "server has: address, port, auth");
    expect_error(c, "\n\nserved\n    port = 1\n", "line 3", "the sections are: server, paths, hub");
    expect_error(c, "server\n    port = 70000\n", "line 2", "a whole number from 0 to 65535");
    expect_error(c, "server\n    port = 80x\n", "line 2", "80x");
    expect_error(c, "server\n    port = -1\n", "line 2", "-1");
    expect_error(c, "server\n    auth = None\n", "line 2", "one of: key none");
    expect_error(c, "keeper\n    allow_weak = 2\n", "line 2", "0 or 1");
    expect_error(c, "limits\n    cpus = 1.2345\n", "line 2", "at most three decimals");
    expect_error(c, "limits\n    memory_bytes = 1X\n", "line 2", "K, M, G or T");
    expect_error(c, "limits\n    memory_bytes = 99999999999G\n", "line 2", "99999999999G");
    expect_error(c, "limits\n    memory_bytes = 1KB\n", "line 2", "1KB");
    expect_error(c, "server\n    port = 1\n    address = x\n    port = 2\n", "line 4",
                 "set in line 2 already");
    expect_error(c, "server\n    address = \n", "line 2", "text of 1 to 253");
    assert_int_equal(config_number(c, CONFIG_LIMITS_CPUS), 2000);
}

static void a_line_out_of_shape_is_named(void **state)
{
    struct config *c = *state;
    expect_error(c, "server\n  port = 1\n", "line 2", "4 spaces in");
    expect_error(c, "server\n\tport = 1\n", "line 2", "4 spaces in");
    expect_error(c, "    port = 1\n", "line 1", "4 spaces in");
    expect_error(c, "server\n    tls\n        port = 1\n", "line 2", "no value");
    expect_error(c, "server\n    port\n", "line 2", "looks like");
    expect_error(c, "port = 1\n", "line 1", "below its section");
    expect_error(c, "server\n    = 1\n", "line 2", "looks like");
    expect_error(c, "[server]\nport = 1\n", "line 1", "looks like");
    expect_error(c, "server\n    address = \"x\n", path, "ZPL");
}

static void a_list_goes_on_in_each_line_that_says_it(void **state)
{
    struct config *c = *state;
    struct err e = ERR_INIT;
    assert_int_equal(read_text(c,
                               "packages\n    python = \"numpy>=2,<3\"\n    network = host\n"
                               "    python = \"types-* requests\"\n",
                               &e),
                     0);
    assert_string_equal(config_text(c, CONFIG_PACKAGES_PYTHON), "numpy>=2,<3 types-* requests");
    assert_int_equal(config_check(c, &e), 0);
    assert_int_equal(config_set(c, "packages/python", "scipy", "--set", &e), 0);
    assert_string_equal(config_text(c, CONFIG_PACKAGES_PYTHON), "scipy");
}

static void rules_that_are_none_and_a_network_without_keys_are_refused(void **state)
{
    static const char *const BAD[][3] = {
        { "packages/python", "numpy >=2", "'>=2'" },
        { "packages/python", "numpy a[b]", "'a[b]'" },
        { "packages/javascript", "lodash@^4 Upper", "'Upper'" },
        { "packages/wheels", "wheels", "absolute" },
    };
    for (size_t i = 0; i < sizeof BAD / sizeof *BAD; i++) {
        struct config *c = config_new();
        struct err e = ERR_INIT;
        assert_int_equal(config_set(c, BAD[i][0], BAD[i][1], "", &e), 0);
        assert_int_equal(config_check(c, &e), -1);
        assert_non_null(strstr(e.text, BAD[i][2]));
        config_free(c);
    }
    struct config *c = *state;
    struct err e = ERR_INIT;
    assert_int_equal(config_set(c, "packages/network", "host", "", &e), 0);
    assert_int_equal(config_check(c, &e), 0);
    assert_int_equal(config_set(c, "server/auth", "none", "", &e), 0);
    assert_int_equal(config_check(c, &e), -1);
    assert_non_null(strstr(e.text, "server/auth"));
}

static void a_file_that_is_not_there_may_be_missing(void **state)
{
    struct config *c = *state;
    struct err e = ERR_INIT;
    assert_int_equal(config_read_file(c, "/tmp/kernelhub-nowhere/x", true, &e), 0);
    assert_int_equal(config_read_file(c, "/tmp/kernelhub-nowhere/x", false, &e), -1);
    assert_int_equal(config_read_file(c, "/tmp", true, &e), -1);
}

static void the_environment_overrides(void **state)
{
    struct config *c = *state;
    struct err e = ERR_INIT;
    char *good[] = { "PATH=/bin",
                     "KERNELHUB_URL=http://x",
                     "KERNELHUB__SERVER__PORT=81",
                     "KERNELHUB__LIMITS__MAX_OUTPUT_BYTES=1M",
                     "KERNELHUB__TEMPLATE__PREFERRED=",
                     NULL };
    assert_int_equal(config_read_environment(c, good, &e), 0);
    assert_int_equal(config_number(c, CONFIG_SERVER_PORT), 81);
    assert_int_equal(config_number(c, CONFIG_LIMITS_OUTPUT), 1 << 20);
    assert_string_equal(config_text(c, CONFIG_TEMPLATE_PREFERRED), "");
    char *unknown[] = { "KERNELHUB__SERVER__PROT=81", NULL };
    assert_int_equal(config_read_environment(c, unknown, &e), -1);
    assert_non_null(strstr(e.text, "KERNELHUB__SERVER__PROT: unknown setting 'server/prot'"));
    char *odd[] = { "KERNELHUB__=81", NULL };
    assert_int_equal(config_read_environment(c, odd, &e), -1);
    char *bad[] = { "KERNELHUB__SERVER__PORT=eighty", NULL };
    assert_int_equal(config_read_environment(c, bad, &e), -1);
    assert_non_null(strstr(e.text, "eighty"));
}

static void what_is_printed_says_where_it_came_from(void **state)
{
    struct config *c = *state;
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf out = BUF_INIT(100000);
    char *environment[] = { "KERNELHUB__LOG__LEVEL=debug", NULL };
    char from_file[160];
    assert_int_equal(read_text(c, "server\n    port = 81\n", &e), 0);
    assert_int_equal(config_read_environment(c, environment, &e), 0);
    assert_int_equal(config_set(c, "server/address", "0.0.0.0", "--address", &e), 0);
    config_print(c, &out);
    snprintf(from_file, sizeof from_file, " # %s, line 2; ", path);
    assert_non_null(strstr(out.data, from_file));
    assert_non_null(
        strstr(out.data, "server/address               = 0.0.0.0                  # --address; "));
    assert_non_null(strstr(out.data, "# KERNELHUB__LOG__LEVEL; "));
    assert_non_null(
        strstr(out.data, "hub/user                     = kernelhub                # default; "));
    size_t lines = 0;
    for (size_t i = 0; i < out.len; i++)
        lines += out.data[i] == '\n';
    assert_int_equal(lines, CONFIG_N_KEYS);
}

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, make_path, remove_path)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(the_defaults_are_those_of_the_header),
        WITH_FILE(a_file_overrides_the_defaults),
        WITH_FILE(an_error_names_file_line_and_what_is_allowed),
        WITH_FILE(a_line_out_of_shape_is_named),
        WITH_FILE(a_list_goes_on_in_each_line_that_says_it),
        WITH_FILE(rules_that_are_none_and_a_network_without_keys_are_refused),
        WITH_FILE(a_file_that_is_not_there_may_be_missing),
        WITH_FILE(the_environment_overrides),
        WITH_FILE(what_is_printed_says_where_it_came_from),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
