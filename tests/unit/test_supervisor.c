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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
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
    int knocks[2];
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

/* Answers one knock and ends; the second one ends the service. */
static int pretend_courier(const char *folder)
{
    CLEANUP_FD int fd = accept(ROLE_LISTEN_FD, NULL, NULL);
    bool again = exists(folder, "courier-1");
    touch(folder, fd < 0 ? "courier-was-not-asked" : again ? "courier-2" : "courier-1");
    if (again)
        (void)kill(getppid(), SIGTERM);
    return 0;
}

/* kernelhub ROLE --report FOLDER MODE … */
static int pretend(int argc, char **argv)
{
    const char *role = argv[1], *folder = argv[3], *mode = argv[4];

    role_begin();
    if (strcmp(role, "courier") == 0)
        return pretend_courier(folder);
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
                                          .hub_uid = geteuid(),
                                          .hub_gid = getegid(),
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
                 exists(s->folder, "supervisor.pid") || exists(s->folder, "courier.pid") ||
                 exists(s->folder, "courier.sock") || exists(s->folder, "courier-was-not-asked"));
    s->n_ready += exists(s->folder, "courier-2") ? 1000 : exists(s->folder, "courier-1") ? 500 : 0;
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

static void knock(const struct scene *s, int *ret_fd)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int n = snprintf(address.sun_path, sizeof address.sun_path, "%s/courier.sock", s->folder);
    assert_in_range(n, 1, sizeof address.sun_path - 1);
    *ret_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(*ret_fd, (struct sockaddr *)&address, sizeof address), 0);
}

static void knock_twice(struct scene *s)
{
    struct stat st;
    char path[160];
    knock(s, &s->knocks[0]);
    knock(s, &s->knocks[1]);
    (void)snprintf(path, sizeof path, "%s/courier.sock", s->folder);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_knock_starts_the_courier_each_time(void **state)
{
    struct scene s = { .on_ready = knock_twice };
    play(&s); /* ended by the second courier */
    assert_int_equal(s.n_ready, 1001);
    (void)close(s.knocks[0]);
    (void)close(s.knocks[1]);
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
        cmocka_unit_test(a_knock_starts_the_courier_each_time),
        cmocka_unit_test(a_hub_that_never_was_ready_ends_the_start_with_its_reason),
    };
    if (argc > 4 && strcmp(argv[2], "--report") == 0)
        return pretend(argc, argv);
    log_open("supervisor", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
