/* The supervisor with a hub and a keeper that only pretend: this program again, by its second
 * argument. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "cmd/pidfile.h"
#include "cmd/supervisor.h"
#include "tests/unit/scratch.h"

struct scene {
    char folder[128];
    const char *mode; /* what the pretended roles do */
    void (*on_ready)(struct scene *s);
    unsigned n_ready;
    char key[128];
    int result;
    struct err e;
};

/* ---- the pretended roles ---- */

static void touch(const char *folder, const char *name)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    CLEANUP_FD int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
}

static bool exists(const char *folder, const char *name)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static bool has(char **argv, const char *option)
{
    for (; *argv; argv++)
        if (strcmp(*argv, option) == 0)
            return true;
    return false;
}

/* kernelhub ROLE --report FOLDER MODE … */
static int pretend(int argc, char **argv)
{
    const char *role = argv[1], *folder = argv[3], *mode = argv[4];

    role_begin();
    if (has(argv, "--purge")) {
        touch(folder, "purged");
        return 0;
    }
    if (strcmp(role, "keeper") == 0)
        touch(folder, "keeper.sock");
    else if (strcmp(mode, "port-busy") == 0) {
        role_report_send(NULL, NULL, "port 8080 is in use");
        return 2;
    } else {
        role_report_send(has(argv, "--port=4321") ? "http://again:4321" : "http://h:4321",
                         has(argv, "--new-admin-key") ? "kh_new" : "", NULL);
    }
    if (strcmp(mode, "stubborn") == 0)
        (void)signal(SIGTERM, SIG_IGN);
    for (;;)
        (void)pause();
}

/* ---- the scenes ---- */

static int no_snapshot(void *arg, int *ret_fd, struct err *e)
{
    *ret_fd = -1;
    return 0;
}

static void on_ready(void *arg, const struct role_report *report)
{
    struct scene *s = arg;
    s->n_ready++;
    (void)snprintf(s->key, sizeof s->key, "%s", report->admin_key);
    s->on_ready(s);
}

static void on_tick(void *arg)
{
}

static void kill_role(struct scene *s, const char *file, int signal)
{
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", s->folder, file);
    CLEANUP_FD int pidfd = pidfile_open(path, NULL);
    assert_true(pidfd >= 0);
    assert_int_equal(syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0), 0);
}

static void play(struct scene *s)
{
    const char *arguments[] = { s->folder, s->mode ? s->mode : "good", NULL };
    const struct supervisor_options o = { .program = "/proc/self/exe",
                                          .run_dir = s->folder,
                                          .arguments = arguments,
                                          .keep_port = true,
                                          .snapshot = no_snapshot,
                                          .on_ready = on_ready,
                                          .on_tick = on_tick,
                                          .arg = s };
    char command[160];

    assert_non_null(mkdtemp(scratch_path(s->folder, sizeof s->folder, "supervisor.XXXXXX")));
    s->result = supervisor_run(&o, &s->e);
    assert_false(exists(s->folder, "hub.pid") || exists(s->folder, "keeper.pid") ||
                 exists(s->folder, "supervisor.pid"));
    s->n_ready += exists(s->folder, "purged") ? 100 : 0;
    (void)snprintf(command, sizeof command, "rm -r %s", s->folder);
    assert_int_equal(system(command), 0);
}

static void end_by_sigterm(struct scene *s)
{
    (void)raise(SIGTERM);
}

static void end_by_sigint(struct scene *s)
{
    (void)raise(SIGINT);
}

static void sigterm_ends_hub_and_keeper_and_leaves_the_sandboxes(void **state)
{
    struct scene s = { .on_ready = end_by_sigterm };
    play(&s);
    assert_int_equal(s.result, 0);
    assert_int_equal(s.n_ready, 1);
}

static void sigint_ends_the_sandboxes_too(void **state)
{
    struct scene s = { .on_ready = end_by_sigint };
    play(&s);
    assert_int_equal(s.result, 0);
    assert_int_equal(s.n_ready, 101);
}

static void end_twice(struct scene *s)
{
    (void)raise(SIGTERM);
    (void)raise(SIGINT);
}

static void asking_twice_kills_roles_that_do_not_end(void **state)
{
    struct scene s = { .on_ready = end_twice, .mode = "stubborn" };
    play(&s);
    assert_int_equal(s.n_ready, 101);
}

static void kill_hub_then_end(struct scene *s)
{
    if (s->n_ready < 3)
        kill_role(s, "hub.pid", SIGKILL);
    else
        (void)raise(SIGTERM);
}

static void a_hub_that_dies_comes_back(void **state)
{
    struct scene s = { .on_ready = kill_hub_then_end };
    play(&s);
    assert_int_equal(s.result, 0);
    assert_int_equal(s.n_ready, 3);
}

static void ask_for_key_then_end(struct scene *s)
{
    if (s->n_ready == 1)
        (void)raise(SIGUSR1);
    else
        (void)raise(SIGTERM);
}

static void sigusr1_gets_a_new_admin_key(void **state)
{
    struct scene s = { .on_ready = ask_for_key_then_end };
    play(&s);
    assert_int_equal(s.n_ready, 2);
    assert_string_equal(s.key, "kh_new");
}

static void a_hub_that_never_was_ready_ends_the_start_with_its_reason(void **state)
{
    struct scene s = { .on_ready = end_by_sigterm, .mode = "port-busy" };
    play(&s);
    assert_int_equal(s.result, 2);
    assert_int_equal(s.n_ready, 0);
    assert_string_equal(s.e.text, "port 8080 is in use");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sigterm_ends_hub_and_keeper_and_leaves_the_sandboxes),
        cmocka_unit_test(sigint_ends_the_sandboxes_too),
        cmocka_unit_test(asking_twice_kills_roles_that_do_not_end),
        cmocka_unit_test(a_hub_that_dies_comes_back),
        cmocka_unit_test(sigusr1_gets_a_new_admin_key),
        cmocka_unit_test(a_hub_that_never_was_ready_ends_the_start_with_its_reason),
    };
    if (argc > 4 && strcmp(argv[2], "--report") == 0)
        return pretend(argc, argv);
    log_open("supervisor", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
