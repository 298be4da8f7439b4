#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sandbox/verb_server.h"
#include "tests/unit/scratch.h"

#define FIRST_WARDEN 3000000000u
#define MAX_ALL      128
#define MAX_WARDENS  64

struct fixture {
    struct loop *loop;
    struct watches *watches;
    struct verb_server *server;
    char path[104];
};

static bool anybody(void *ctx, unsigned uid)
{
    return true;
}

static bool is_hub(void *ctx, unsigned uid)
{
    return uid < FIRST_WARDEN;
}

static void on_request(void *ctx, struct verb_peer peer, const struct verb_request *request)
{
}

static int begin(void **state)
{
    static struct fixture f;
    struct err e = ERR_INIT;
    const struct verb_handler handler = { &f, anybody, is_hub, on_request };
    (void)scratch_path(f.path, sizeof f.path, "verbs.sock");
    f.loop = loop_new();
    f.watches = watches_new(f.loop);
    *state = &f;
    return verb_server_new(f.watches, f.path, &handler, &f.server, &e);
}

static int end(void **state)
{
    struct fixture *f = *state;
    verb_server_free(f->server);
    watches_free(f->watches);
    loop_free(f->loop);
    return 0;
}

static int stop(struct loop *loop, int timer, void *ctx)
{
    return -1;
}

/* Until the server has nothing left to do. */
static void turn(struct fixture *f)
{
    for (int i = 0; i < 4; i++) {
        loop_timer(f->loop, 1, stop, NULL);
        (void)loop_start(f->loop);
    }
}

/* The kernel notes who connects, not who made the socket. */
static int dial(struct fixture *f, unsigned uid)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    (void)snprintf(a.sun_path, sizeof a.sun_path, "%s", f->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    if (uid != 0)
        assert_int_equal(seteuid(uid), 0);
    int r = connect(fd, (struct sockaddr *)&a, sizeof a);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(r, 0);
    turn(f);
    return fd;
}

static bool is_open(int fd)
{
    char c;
    return recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

static void close_all(int *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        (void)close(fds[i]);
}

static void one_warden_has_two_connections_at_most(void **state)
{
    struct fixture *f = *state;
    if (geteuid() != 0)
        skip();
    int fds[4];
    for (unsigned i = 0; i < 3; i++)
        fds[i] = dial(f, FIRST_WARDEN);
    fds[3] = dial(f, FIRST_WARDEN + 1);
    assert_true(is_open(fds[0]) && is_open(fds[1]) && is_open(fds[3]));
    assert_false(is_open(fds[2]));
    close_all(fds, ARRAY_LEN(fds));
}

static void wardens_keep_neither_the_hub_nor_each_other_out(void **state)
{
    struct fixture *f = *state;
    if (geteuid() != 0)
        skip();
    int wardens[MAX_WARDENS + 1], hub[MAX_ALL - MAX_WARDENS];
    for (unsigned i = 0; i < ARRAY_LEN(wardens); i++)
        wardens[i] = dial(f, FIRST_WARDEN + i);
    for (unsigned i = 0; i < ARRAY_LEN(hub); i++)
        hub[i] = dial(f, 0);
    assert_false(is_open(wardens[0])); /* who came first made place for the last */
    for (unsigned i = 1; i < ARRAY_LEN(wardens); i++)
        assert_true(is_open(wardens[i]));
    for (unsigned i = 0; i < ARRAY_LEN(hub); i++)
        assert_true(is_open(hub[i]));
    int late = dial(f, 0);
    assert_false(is_open(late)); /* all is bounded */
    (void)close(late);
    close_all(wardens, ARRAY_LEN(wardens));
    close_all(hub, ARRAY_LEN(hub));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_warden_has_two_connections_at_most, begin, end),
        cmocka_unit_test_setup_teardown(wardens_keep_neither_the_hub_nor_each_other_out, begin,
                                        end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
