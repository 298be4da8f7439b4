#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/host.h"
#include "sandbox/host_files.h"
#include "tests/unit/scratch.h"

#define STRANGER 54321u

static char top[128], folder[160], file[192], way[192];

/* top/folder/file, and top/link → folder */
static int begin(void **state)
{
    if (!mkdtemp(scratch_path(top, sizeof top, "files-XXXXXX")) || chmod(top, 0755) < 0)
        return -1;
    (void)snprintf(folder, sizeof folder, "%s/folder", top);
    (void)snprintf(file, sizeof file, "%s/file", folder);
    (void)snprintf(way, sizeof way, "%s/link", top);
    CLEANUP_FD int fd =
        mkdir(folder, 0755) < 0 ? -1 : open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    return fd < 0 || symlink("folder", way) < 0 ? -1 : 0;
}

static int end(void **state)
{
    return unlink(way) | unlink(file) | rmdir(folder) | rmdir(top);
}

static void expect_bad(const char *path, const char *culprit)
{
    struct err e = ERR_INIT;
    assert_int_equal(host_files_check(path, &e), -1);
    assert_int_equal(e.code, ERR_FORBIDDEN);
    if (!strstr(e.text, culprit))
        fail_msg("%s", e.text);
}

static void expect_good(const char *path)
{
    struct err e = ERR_INIT;
    if (host_files_check(path, &e) < 0)
        fail_msg("%s", e.text);
}

static void a_tree_of_ours_below_a_sticky_folder_is_ours(void **state)
{
    expect_good(file);
    assert_int_equal(chmod(top, 01777), 0);
    expect_good(file);
}

static void who_may_write_to_a_folder_above_may_replace_the_file(void **state)
{
    assert_int_equal(chmod(top, 0757), 0);
    expect_bad(file, top);
    assert_int_equal(chmod(top, 0755), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    expect_bad(file, folder);
}

static void who_owns_a_folder_above_may_replace_the_file(void **state)
{
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(top, STRANGER, 0), 0);
    expect_bad(file, top);
    assert_int_equal(chown(top, 0, 0), 0);
    assert_int_equal(chown(file, STRANGER, 0), 0);
    expect_bad(file, file);
}

static void a_group_that_nobody_is_in_may_write(void **state)
{
    if (geteuid() != 0)
        skip();
    assert_int_equal(chmod(top, 0775), 0);
    expect_good(file); /* root's own group */
    assert_int_equal(chown(top, 0, STRANGER), 0);
    assert_int_equal(chmod(top, 02775), 0);
    expect_good(file);
}

static void links_on_the_way_are_looked_at_and_followed(void **state)
{
    char path[224];
    (void)snprintf(path, sizeof path, "%s/file", way);
    expect_good(path);
    assert_int_equal(chmod(folder, 0777), 0);
    expect_bad(path, top);
    assert_int_equal(chmod(folder, 0755), 0);
    if (geteuid() != 0)
        skip();
    assert_int_equal(lchown(way, STRANGER, 0), 0);
    expect_bad(path, way);
}

static void a_program_is_a_file_that_only_root_writes(void **state)
{
    struct err e = ERR_INIT;
    assert_int_equal(host_files_check_program(file, &e), 0);
    assert_int_equal(chmod(file, 0775), 0);
    assert_int_equal(host_files_check_program(file, &e), -1);
    assert_int_equal(e.code, ERR_FORBIDDEN);
    assert_int_equal(host_files_check_program(folder, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_int_equal(host_files_check_program("bin/crun", &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
}

/* As a captured hub would name one, could it write settings: below a folder of its own. */
static void a_configured_runtime_is_looked_at_before_it_is_used(void **state)
{
    const struct keeper_options named = { .runtime = "crun" }, path = { .runtime = file };
    const char *chosen = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(host_choose_runtime(&named, &chosen, &e), 0);
    assert_string_equal(chosen, "crun");
    assert_int_equal(host_choose_runtime(&path, &chosen, &e), 0);
    assert_string_equal(chosen, file);
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown(folder, STRANGER, STRANGER), 0);
    assert_int_equal(host_choose_runtime(&path, &chosen, &e), -1);
    assert_int_equal(e.code, ERR_FORBIDDEN);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_tree_of_ours_below_a_sticky_folder_is_ours),
        CASE(who_may_write_to_a_folder_above_may_replace_the_file),
        CASE(who_owns_a_folder_above_may_replace_the_file),
        CASE(a_group_that_nobody_is_in_may_write),
        CASE(links_on_the_way_are_looked_at_and_followed),
        CASE(a_program_is_a_file_that_only_root_writes),
        CASE(a_configured_runtime_is_looked_at_before_it_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
