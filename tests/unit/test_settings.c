#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "cmd/settings.h"
#include "tests/unit/scratch.h"

#define TEXT "[keeper]\nruntime = runc\n"

static int copy_of(const char *text)
{
    char path[128];
    struct err e = ERR_INIT;
    int copy = -1;
    CLEANUP_FD int file = mkstemp(scratch_path(path, sizeof path, "settings-XXXXXX"));
    assert_int_equal(write(file, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(settings_copy(path, &copy, &e), 0);
    assert_int_equal(unlink(path), 0);
    return copy;
}

static void a_copy_holds_what_was_in_the_file(void **state)
{
    char text[sizeof TEXT] = "";
    CLEANUP_FD int copy = copy_of(TEXT);
    assert_int_equal(pread(copy, text, sizeof text, 0), strlen(TEXT));
    assert_string_equal(text, TEXT);
    assert_true(fcntl(copy, F_GETFD) & FD_CLOEXEC);
}

static void expect_unchangeable(int fd)
{
    assert_int_equal(pwrite(fd, "x", 1, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(pwrite(fd, "x", 1, 4096), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(fd, 8192), -1);
    assert_int_equal(errno, EPERM);
    assert_true(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1); /* nor are there other seals */
}

/* A role has the descriptor root reads from, and can open it once more. */
static void a_copy_cannot_be_changed_by_who_is_given_it(void **state)
{
    char path[64];
    CLEANUP_FD int copy = copy_of(TEXT);
    expect_unchangeable(copy);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", copy);
    CLEANUP_FD int again = open(path, O_RDWR | O_CLOEXEC);
    assert_true(again >= 0);
    expect_unchangeable(again);
}

static void a_file_that_is_not_there_is_an_empty_copy(void **state)
{
    char path[128], byte;
    struct err e = ERR_INIT;
    CLEANUP_FD int copy = -1;
    assert_int_equal(settings_copy(scratch_path(path, sizeof path, "no-settings"), &copy, &e), 0);
    assert_int_equal(pread(copy, &byte, 1, 0), 0);
    assert_int_equal(pwrite(copy, "x", 1, 0), -1);
    assert_int_equal(errno, EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_holds_what_was_in_the_file),
        cmocka_unit_test(a_copy_cannot_be_changed_by_who_is_given_it),
        cmocka_unit_test(a_file_that_is_not_there_is_an_empty_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
