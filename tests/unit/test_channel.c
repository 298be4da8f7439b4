#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "sandbox/channel.h"
#include "tests/unit/scratch.h"

struct fixture {
    struct loop *loop;
    struct channel *channel;
    char path[100];
    unsigned n_attached, n_detached;
};

static void on_readable(void *owner, enum link_channel which)
{
}

/* Ends the loop: each test waits for one of these at a time. */
static int on_told(struct loop *loop, int timer, void *arg)
{
    return -1;
}

static void on_attach(void *owner, enum link_channel which)
{
    struct fixture *f = owner;
    if (channel_is_attached(f->channel))
        f->n_attached++;
    else
        f->n_detached++;
    loop_timer(f->loop, 0, on_told, f);
}

static int on_limit(struct loop *loop, int timer, void *arg)
{
    fail_msg("nothing was told within 5 s");
    return -1;
}

static void wait_to_be_told(struct fixture *f)
{
    int limit = loop_timer(f->loop, 5000, on_limit, f);
    assert_int_equal(loop_start(f->loop), -1);
    loop_timer_end(f->loop, limit);
}

static int setup(void **state)
{
    static struct fixture f;
    struct err e = ERR_INIT;
    f = (struct fixture){ .loop = loop_new() };
    const struct channel_events events = { on_readable, on_attach, &f };
    f.channel = channel_open(f.loop, LINK_SHELL, scratch_path(f.path, sizeof f.path, "shell"),
                             "warden", &events, &e);
    *state = &f;
    return f.channel ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    channel_close(f->channel);
    loop_free(f->loop);
    (void)unlink(f->path);
    return 0;
}

static zsock_t *kernel_at(const struct fixture *f)
{
    zsock_t *kernel = zsock_new(ZMQ_ROUTER);
    assert_int_equal(zsock_connect(kernel, "ipc://%s", f->path), 0);
    return kernel;
}

static void it_tells_when_somebody_is_there_and_when_nobody_is_any_more(void **state)
{
    struct fixture *f = *state;
    assert_false(channel_is_attached(f->channel));
    for (unsigned n = 1; n < 4; n++) {
        zsock_t *kernel = kernel_at(f);
        wait_to_be_told(f);
        assert_true(f->n_attached == n && f->n_detached == n - 1);
        zsock_destroy(&kernel);
        wait_to_be_told(f);
        assert_true(f->n_attached == n && f->n_detached == n);
    }
}

static int on_enough(struct loop *loop, int timer, void *arg)
{
    return -1;
}

/* What tells of the peer's coming is swallowed by a look at the socket: then that look must have seen it. */
static void what_waits_is_sent_though_the_peer_came_while_somebody_looked(void **state)
{
    struct fixture *f = *state;
    const struct slice word = SLICE_LITERAL("word");
    assert_true(channel_send(f->channel, &word, 1)); /* nobody is there */
    zsock_t *kernel = kernel_at(f);
    zclock_sleep(200);
    channel_look_again(f->channel);
    int limit = loop_timer(f->loop, 500, on_enough, f);
    (void)loop_start(f->loop); /* ends when it is told of the peer, at the latest then */
    loop_timer_end(f->loop, limit);
    zsock_set_rcvtimeo(kernel, 2000);
    zmsg_t *came = zmsg_recv(kernel);
    assert_non_null(came);
    zmsg_destroy(&came);
    zsock_destroy(&kernel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_tells_when_somebody_is_there_and_when_nobody_is_any_more,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            what_waits_is_sent_though_the_peer_came_while_somebody_looked, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
