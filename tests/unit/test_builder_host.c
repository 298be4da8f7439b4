/* What of this host a builder of packages is lent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/small_file.h"
#include "sandbox/builder_host.h"
#include "scratch.h"

static char folder[200], program[300], settings[300], config_file[320];

static int setup(void **state)
{
    struct err e = ERR_INIT;
    scratch_path(folder, sizeof folder, "host-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(program, sizeof program, "%s/program", folder);
    (void)snprintf(settings, sizeof settings, "%s/settings", folder);
    (void)snprintf(config_file, sizeof config_file, "PIP_CONFIG_FILE=%s", settings);
    assert_int_equal(small_file_write(AT_FDCWD, program, SLICE_LITERAL("run"), 0644, &e), 0);
    assert_int_equal(small_file_write(AT_FDCWD, settings, SLICE_LITERAL("[global]\n"), 0600, &e),
                     0);
    return 0;
}

static int teardown(void **state)
{
    char command[300];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
    return 0;
}

static bool is_lent(const struct builder_host *h, const char *variable)
{
    for (size_t i = 0; i < h->n; i++)
        if (strcmp(h->environment[i], variable) == 0)
            return true;
    return false;
}

static bool is_there(const char *name)
{
    char path[300];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, R_OK) == 0;
}

static void only_what_reaches_an_index_is_lent(void **state)
{
    char *const from[] = { "PIP_INDEX_URL=http://x/",
                           "PIP_CERT=/etc/ssl/certs/ca.crt",
                           "HOME=/nowhere",
                           "PIP_FIND_LINKS=/opt/w",
                           "REQUESTS_CA_BUNDLE=/home/me/ca",
                           "KERNELHUB_TOKEN=kh_1",
                           "HTTPS_PROXY=http://p:1",
                           "PIP_CERTAIN=1",
                           config_file,
                           NULL };
    const struct builder_options o = { .program = program,
                                       .host_network = true,
                                       .host_settings = true };
    struct builder_host h;
    struct err e = ERR_INIT;
    assert_int_equal(builder_host_prepare(&o, folder, (char **)from, &h, &e), 0);
    assert_true(is_lent(&h, from[0]) && is_lent(&h, from[1]) &&
                is_lent(&h, "HTTPS_PROXY=http://p:1"));
    assert_true(is_lent(&h, "HOME=/build/home"));
    for (size_t i = 2; i < 9; i++)
        assert_true(i == 6 || !is_lent(&h, from[i]));
    assert_false(is_lent(&h, "PIP_NO_INDEX=1"));
    assert_null(h.environment[h.n]);
    assert_true(is_there("build-packages") && is_there("pip-4.conf"));
    builder_host_done(&h);
}

static void without_network_or_settings_nothing_is(void **state)
{
    char *const from[] = { "PIP_INDEX_URL=http://x/", config_file, NULL };
    const struct builder_options o = { .program = program, .wheels_dir = "/srv/wheels" };
    struct builder_host h;
    struct err e = ERR_INIT;
    assert_int_equal(builder_host_prepare(&o, folder, (char **)from, &h, &e), 0);
    assert_false(is_lent(&h, from[0]));
    assert_true(is_lent(&h, "PIP_NO_INDEX=1") && is_lent(&h, "PIP_FIND_LINKS=/run/wheels"));
    assert_true(is_there("build-packages") && !is_there("pip-4.conf"));
    builder_host_done(&h);
}

static void without_its_program_there_is_no_builder(void **state)
{
    char *const from[] = { NULL };
    const struct builder_options o = { .program = "/nowhere/program" };
    struct builder_host h;
    struct err e = ERR_INIT;
    assert_int_equal(builder_host_prepare(&o, folder, (char **)from, &h, &e), -1);
    assert_int_equal(e.code, ERR_UNAVAILABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_what_reaches_an_index_is_lent, setup, teardown),
        cmocka_unit_test_setup_teardown(without_network_or_settings_nothing_is, setup, teardown),
        cmocka_unit_test_setup_teardown(without_its_program_there_is_no_builder, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
