#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "cmd/pidfile.h"
#include "tests/unit/scratch.h"

static char folder[128], path[160];

static int make_folder(void **state)
{
    (void)snprintf(path, sizeof path, "%s/x.pid",
                   mkdtemp(scratch_path(folder, sizeof folder, "pidfile.XXXXXX")));
    return 0;
}

static int remove_folder(void **state)
{
    (void)unlink(path);
    return rmdir(folder);
}

static void only_a_pid_and_a_start_time_parse(void **state)
{
    static const char *const BAD[] = {
        "",       "12",      "12\n",   "12 \n",   "12 34",           "12 34\nx",
        "1 34\n", "-5 34\n", "12 0\n", "12 -3\n", "99999999999 5\n", "x 5\n"
    };
    pid_t pid = 0;
    uint64_t start = 0;
    assert_true(pidfile_parse(SLICE_LITERAL("12 34\n"), &pid, &start));
    assert_int_equal(pid, 12);
    assert_int_equal(start, 34);
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        assert_false(pidfile_parse(slice_str(BAD[i]), &pid, &start));
}

static void what_was_written_finds_the_process(void **state)
{
    struct err e = ERR_INIT;
    pid_t found = 0;
    assert_int_equal(pidfile_write(path, getpid(), &e), 0);
    CLEANUP_FD int pidfd = pidfile_open(path, &found);
    assert_true(pidfd >= 0);
    assert_int_equal(found, getpid());
}

static void a_pid_used_again_is_not_taken_for_the_old_process(void **state)
{
    FILE *f = fopen(path, "w");
    fprintf(f, "%d 1\n", (int)getpid()); /* we did not start one tick after boot */
    fclose(f);
    assert_int_equal(pidfile_open(path, NULL), -1);
    assert_false(pidfile_end(path, SIGTERM, 0));
    assert_int_equal(access(path, F_OK), -1);
}

static void a_process_that_ignores_the_signal_is_killed(void **state)
{
    struct err e = ERR_INIT;
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGTERM, SIG_IGN);
        for (;;)
            pause();
    }
    assert_int_equal(pidfile_write(path, pid, &e), 0);
    assert_true(pidfile_end(path, SIGTERM, 20));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_pid_and_a_start_time_parse),
        cmocka_unit_test(what_was_written_finds_the_process),
        cmocka_unit_test(a_pid_used_again_is_not_taken_for_the_old_process),
        cmocka_unit_test(a_process_that_ignores_the_signal_is_killed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
