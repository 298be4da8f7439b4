#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "cmd/role.h"
#include "tests/unit/scratch.h"

static void a_report_of_readiness_is_read(void **state)
{
    struct role_report r;
    assert_true(
        role_report_parse(&r, SLICE_LITERAL("{\"url\":\"http://h:1\",\"admin_key\":\"kh_1\"}\n")));
    assert_string_equal(r.url, "http://h:1");
    assert_string_equal(r.admin_key, "kh_1");
    assert_string_equal(r.error, "");
}

static void a_report_of_failure_is_read(void **state)
{
    struct role_report r;
    assert_true(role_report_parse(&r, SLICE_LITERAL("{\"error\":\"port 80 is in use\"}")));
    assert_string_equal(r.error, "port 80 is in use");
}

static void nonsense_is_no_report(void **state)
{
    struct role_report r;
    assert_false(role_report_parse(&r, SLICE_LITERAL("")));
    assert_false(role_report_parse(&r, SLICE_LITERAL("{}")));
    assert_false(role_report_parse(&r, SLICE_LITERAL("[1]")));
    assert_false(role_report_parse(&r, SLICE_LITERAL("{\"url\":1}")));
    assert_false(role_report_parse(&r, SLICE_LITERAL("{\"url\":\"x\"")));
}

static void an_end_is_described(void **state)
{
    char text[80];
    role_describe_end(2 << 8, text, sizeof text);
    assert_string_equal(text, "ended with exit code 2");
    role_describe_end(9, text, sizeof text);
    assert_non_null(strstr(text, "signal 9"));
}

/* Looked at by a program in the role's place, which reports what its standard input is. */
static void a_role_reads_from_nothing(void **state)
{
    char path[128], pid_dir[128];
    const char *const none[] = { NULL };
    struct role r;
    struct err e = ERR_INIT;
    int fd = mkstemp(scratch_path(path, sizeof path, "role-XXXXXX"));
    assert_true(fd >= 0);
    assert_true(
        dprintf(fd, "#!/bin/sh\nprintf '{\"error\":\"%%s\"}' \"$(readlink /proc/$$/fd/0)\" >&%d\n",
                ROLE_REPORT_FD) > 0);
    assert_int_equal(fchmod(fd, 0700), 0);
    (void)close(fd);
    int ends[2]; /* in the terminal's place */
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    assert_non_null(mkdtemp(scratch_path(pid_dir, sizeof pid_dir, "run-XXXXXX")));
    assert_int_equal(role_init(&r, "hub", pid_dir, &e), 0);
    assert_int_equal(role_start(&r, path, none, -1, 0, &e), 0);
    assert_int_equal(role_reap(&r), 0);
    assert_string_equal(r.report.error, "/dev/null");
    (void)unlink(path);
    assert_int_equal(rmdir(pid_dir), 0);
}

/* A descriptor's access mode is in the last digit of its flags, which are octal: 0 reads, 1 writes, 2 both. */
static void look_at_output(const char *path, int output, struct role *r)
{
    char pid_dir[128];
    const char *const none[] = { NULL };
    struct err e = ERR_INIT;
    int kept[] = { dup(STDOUT_FILENO), dup(STDERR_FILENO) };
    assert_non_null(mkdtemp(scratch_path(pid_dir, sizeof pid_dir, "run-XXXXXX")));
    assert_int_equal(role_init(r, "hub", pid_dir, &e), 0);
    (void)fflush(stdout);
    bool put = dup2(output, STDOUT_FILENO) >= 0 && dup2(output, STDERR_FILENO) >= 0;
    int started = put ? role_start(r, path, none, -1, 0, &e) : -1;
    bool back = dup2(kept[0], STDOUT_FILENO) >= 0 && dup2(kept[1], STDERR_FILENO) >= 0;
    assert_true(put && back);
    assert_int_equal(started, 0);
    assert_int_equal(role_reap(r), 0);
    (void)close(kept[0]);
    (void)close(kept[1]);
    assert_int_equal(rmdir(pid_dir), 0);
}

static void a_role_only_writes_to_the_terminal(void **state)
{
    char path[128], said[16] = "";
    struct role r;
    int script = mkstemp(scratch_path(path, sizeof path, "role-XXXXXX"));
    assert_true(dprintf(script,
                        "#!/bin/sh\nmode() { sed -n 's/^flags:.*\\(.\\)$/\\1/p' "
                        "/proc/$$/fdinfo/$1; }\necho seen >&2\nprintf '{\"error\":\"%%s %%s\"}' "
                        "\"$(mode 1)\" \"$(mode 2)\" >&%d\n",
                        ROLE_REPORT_FD) > 0);
    assert_int_equal(fchmod(script, 0700), 0);
    (void)close(script);
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(terminal >= 0);
    look_at_output(path, terminal, &r);
    assert_string_equal(r.report.error, "1 1");
    assert_int_equal(read(master, said, sizeof said - 1), 6);
    assert_string_equal(said, "seen\r\n");
    assert_int_equal(fcntl(terminal, F_GETFL) & O_ACCMODE, O_RDWR); /* the starter's own stays */
    (void)close(terminal);
    (void)close(master);
    (void)unlink(path);
}

static void a_role_may_have_more_files_than_its_starter(void **state)
{
    char path[128];
    struct role r;
    struct rlimit before, low;
    int script = mkstemp(scratch_path(path, sizeof path, "role-XXXXXX"));
    assert_true(dprintf(script, "#!/bin/sh\nprintf '{\"error\":\"%%s\"}' \"$(ulimit -Sn)\" >&%d\n",
                        ROLE_REPORT_FD) > 0);
    assert_int_equal(fchmod(script, 0700), 0);
    (void)close(script);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    low = (struct rlimit){ .rlim_cur = 200, .rlim_max = before.rlim_max };
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    look_at_output(path, STDOUT_FILENO, &r);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    rlim_t most = before.rlim_max < 65536 ? before.rlim_max : 65536;
    assert_int_equal(strtoul(r.report.error, NULL, 10), most);
    (void)unlink(path);
}

/* In a child, whose descriptor 4 is free to be what a supervisor gives. */
static int read_what_is_handed_over(const char *path)
{
    const struct settings s = { .config_file = ROLE_CONFIG_PATH };
    CLEANUP(config_free) struct config *c = NULL;
    struct err e = ERR_INIT;
    int copy = -1;
    if (settings_copy(path, &copy, &e) < 0 || dup2(copy, ROLE_CONFIG_FD) < 0)
        return 1;
    if (role_read_settings(&s, true, &c, &e) < 0)
        return 2;
    if (strcmp(config_text(c, CONFIG_KEEPER_RUNTIME), "runc") != 0)
        return 3;
    return fcntl(ROLE_CONFIG_FD, F_GETFD) < 0 && errno == EBADF ? 0 : 4;
}

static void settings_that_were_handed_over_are_closed_once_read(void **state)
{
    static const char text[] = "keeper\n    runtime = runc\n";
    char path[128];
    int status;
    int fd = mkstemp(scratch_path(path, sizeof path, "conf-XXXXXX"));
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    (void)close(fd);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(read_what_is_handed_over(path));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    (void)unlink(path);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_of_readiness_is_read),
        cmocka_unit_test(a_report_of_failure_is_read),
        cmocka_unit_test(nonsense_is_no_report),
        cmocka_unit_test(an_end_is_described),
        cmocka_unit_test(a_role_reads_from_nothing),
        cmocka_unit_test(a_role_only_writes_to_the_terminal),
        cmocka_unit_test(a_role_may_have_more_files_than_its_starter),
        cmocka_unit_test(settings_that_were_handed_over_are_closed_once_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
