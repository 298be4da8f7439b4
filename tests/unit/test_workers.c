#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>

#include "sandbox/workers.h"

/* A job that waits until it may go on, and counts what becomes of it. */
struct counted {
    struct loop *loop;
    zsock_t *gate; /* it runs until something comes; NULL: at once */
    atomic_int run;
    int done, dropped, wanted;
};

static void run(void *ctx, struct podman *podman)
{
    struct counted *c = ctx;
    assert_non_null(podman);
    if (c->gate)
        zsock_wait(c->gate);
    c->run++;
}

static int on_enough(struct loop *loop, int timer, void *arg)
{
    return -1;
}

static void done(void *ctx)
{
    struct counted *c = ctx;
    if (++c->done == c->wanted)
        (void)loop_timer(c->loop, 0, on_enough, NULL);
}

static void drop(void *ctx)
{
    struct counted *c = ctx;
    c->dropped++;
}

static void each_job_is_run_then_done(void **state)
{
    struct counted c = { .loop = loop_new(), .wanted = 20 };
    struct workers *w = workers_new(c.loop, 3, 4, "/nowhere");
    for (int i = 0; i < c.wanted; i++)
        assert_int_equal(workers_submit(w, (struct job){ run, done, &c, drop }, true, NULL), 0);
    (void)loop_start(c.loop);
    assert_int_equal(c.run, 20);
    assert_int_equal(c.done, 20);
    assert_int_equal(workers_busy(w), 0);
    workers_free(w);
    loop_free(c.loop);
    assert_int_equal(c.dropped, 0);
}

static void over_the_queues_limit_only_what_must_be_is_taken(void **state)
{
    struct err e = ERR_INIT;
    zsock_t *gate, *key = zsys_create_pipe(&gate);
    struct counted slow = { .gate = gate }, c = { .loop = loop_new() };
    struct workers *w = workers_new(c.loop, 1, 2, "/nowhere");
    assert_int_equal(workers_submit(w, (struct job){ run, done, &slow, drop }, false, &e), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(workers_submit(w, (struct job){ run, done, &c, drop }, false, &e), 0);
    assert_int_equal(workers_submit(w, (struct job){ run, done, &c, drop }, false, &e), -1);
    assert_int_equal(e.code, ERR_BUSY);
    assert_int_equal(workers_submit(w, (struct job){ run, done, &c, drop }, true, &e), 0);
    assert_int_equal(workers_busy(w), 4);
    zsock_signal(key, 0);
    workers_free(w);
    loop_free(c.loop);
    zsock_destroy(&gate);
    zsock_destroy(&key);
}

/* The one that runs is waited for: it may be making a container. */
static void what_is_not_done_when_the_workers_end_is_dropped_once(void **state)
{
    zsock_t *gate, *key = zsys_create_pipe(&gate);
    struct counted runs = { .gate = gate }, waits = { .loop = loop_new() };
    struct workers *w = workers_new(waits.loop, 1, 8, "/nowhere");
    (void)workers_submit(w, (struct job){ run, done, &runs, drop }, true, NULL);
    for (int i = 0; i < 3; i++)
        (void)workers_submit(w, (struct job){ run, done, &waits, drop }, true, NULL);
    (void)workers_submit(w, (struct job){ run, done, &waits, NULL }, true, NULL);
    zsock_signal(key, 0);
    workers_free(w);
    assert_int_equal(runs.run, 1);
    assert_int_equal(runs.dropped, 1);
    assert_int_equal(waits.run, 0);
    assert_int_equal(waits.dropped, 3);
    assert_int_equal(runs.done + waits.done, 0);
    loop_free(waits.loop);
    zsock_destroy(&gate);
    zsock_destroy(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_job_is_run_then_done),
        cmocka_unit_test(over_the_queues_limit_only_what_must_be_is_taken),
        cmocka_unit_test(what_is_not_done_when_the_workers_end_is_dropped_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
