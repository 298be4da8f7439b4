#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/loop.h"

/* Owns a timer and two descriptors that are ready, and is told of them. */
struct fixture {
    struct loop *loop;
    int timer, fd, other_fd, fresh_fd;
    unsigned n_fired, n_ready, n_other;
};

static int new_event(uint64_t value)
{
    int fd = eventfd((unsigned)value, EFD_CLOEXEC | EFD_NONBLOCK);
    assert_true(fd >= 0);
    return fd;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->loop = loop_new();
    f->timer = -1;
    f->fd = new_event(1);
    f->other_fd = new_event(1);
    f->fresh_fd = -1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    loop_free(f->loop);
    close_fd_at(&f->fd);
    close_fd_at(&f->other_fd);
    close_fd_at(&f->fresh_fd);
    free(f);
    return 0;
}

static zmq_pollitem_t item_of(int fd)
{
    return (zmq_pollitem_t){ .fd = fd, .events = ZMQ_POLLIN };
}

static void watch(struct fixture *f, int fd, loop_poller_fn *handler)
{
    zmq_pollitem_t item = item_of(fd);
    loop_poller(f->loop, &item, handler, f);
}

static void unwatch(struct fixture *f, int fd)
{
    zmq_pollitem_t item = item_of(fd);
    loop_poller_end(f->loop, &item);
}

static int stop(struct loop *loop, int timer, void *arg)
{
    return -1;
}

/* Many turns of the loop. */
static void turn(struct fixture *f)
{
    loop_timer(f->loop, 20, stop, NULL);
    assert_int_equal(loop_start(f->loop), -1);
}

static int count(struct loop *loop, int timer, void *arg)
{
    struct fixture *f = arg;
    f->n_fired++;
    return 0;
}

static int on_ready(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct fixture *f = arg;
    f->n_ready++;
    loop_poller_end(loop, item);
    return 0;
}

static int on_other(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct fixture *f = arg;
    f->n_other++;
    loop_poller_end(loop, item);
    return 0;
}

static int end_timer(struct loop *loop, int timer, void *arg)
{
    struct fixture *f = arg;
    loop_timer_end(loop, f->timer);
    loop_timer_end(loop, f->timer);
    return 0;
}

/* ---- timers ---- */

static void a_timer_that_another_ends_does_not_fire(void **state)
{
    struct fixture *f = *state;
    (void)loop_timer(f->loop, 0, end_timer, f);
    f->timer = loop_timer(f->loop, 0, count, f);
    turn(f);
    assert_int_equal(f->n_fired, 0);
}

static int watch_again(struct loop *loop, int timer, void *arg)
{
    struct fixture *f = arg;
    unwatch(f, f->fresh_fd);
    watch(f, f->fresh_fd, on_ready);
    return 0;
}

/* zloop does not take it out in a turn in which a timer changed a poller. */
static void nor_does_it_in_a_later_turn(void **state)
{
    struct fixture *f = *state;
    f->fresh_fd = new_event(0);
    f->timer = loop_timer(f->loop, 4, count, f);
    (void)loop_timer(f->loop, 0, end_timer, f);
    for (size_t ms = 0; ms < 8; ms++)
        (void)loop_timer(f->loop, ms, watch_again, f);
    turn(f);
    assert_int_equal(f->n_fired, 0);
}

static void a_timer_that_is_ended_after_it_fired_is_no_matter(void **state)
{
    struct fixture *f = *state;
    f->timer = loop_timer(f->loop, 0, count, f);
    (void)loop_timer(f->loop, 0, end_timer, f);
    turn(f);
    assert_int_equal(f->n_fired, 1);
}

static int count_and_end_itself(struct loop *loop, int timer, void *arg)
{
    struct fixture *f = arg;
    f->n_fired++;
    assert_int_equal(timer, f->timer);
    loop_timer_end(loop, timer);
    return 0;
}

static void a_timer_may_end_itself_also_in_a_loop_that_is_started_again(void **state)
{
    struct fixture *f = *state;
    for (unsigned n = 1; n < 4; n++) {
        f->timer = loop_timer(f->loop, 0, count_and_end_itself, f);
        turn(f);
        assert_int_equal(f->n_fired, n);
    }
}

static int count_and_begin_again(struct loop *loop, int timer, void *arg)
{
    struct fixture *f = arg;
    f->timer = loop_timer(loop, 1, count_and_begin_again, f);
    assert_int_not_equal(f->timer, timer);
    loop_timer_end(loop, timer); /* the one that fired, not the next */
    f->n_fired++;
    return 0;
}

static void a_timer_that_begins_again_fires_until_it_is_ended(void **state)
{
    struct fixture *f = *state;
    f->timer = loop_timer(f->loop, 1, count_and_begin_again, f);
    turn(f);
    unsigned before = f->n_fired;
    assert_true(before > 1);
    loop_timer_end(f->loop, f->timer);
    turn(f);
    assert_int_equal(f->n_fired, before);
}

struct owner {
    struct loop *loop;
    int timer;
    struct owner **other;
};

/* Each frees the other, whose timer is due, too. */
static int free_other(struct loop *loop, int timer, void *arg)
{
    struct owner *self = arg, **other = self->other;
    if (*other) {
        loop_timer_end(loop, (*other)->timer);
        free(TAKE(*other));
    }
    return 0;
}

static void the_owner_of_a_timer_that_is_due_may_be_freed(void **state)
{
    struct fixture *f = *state;
    struct owner *a = malloc(sizeof *a), *b = malloc(sizeof *b);
    *a = (struct owner){ f->loop, loop_timer(f->loop, 0, free_other, a), &b };
    *b = (struct owner){ f->loop, loop_timer(f->loop, 0, free_other, b), &a };
    turn(f);
    assert_true(a && !b);
    free(a);
}

/* ---- pollers ---- */

static int end_poller(struct loop *loop, int timer, void *arg)
{
    struct fixture *f = arg;
    unwatch(f, f->fd);
    unwatch(f, f->fd);
    return 0;
}

static void a_ready_poller_that_a_timer_ends_is_not_called(void **state)
{
    struct fixture *f = *state;
    watch(f, f->fd, on_ready);
    (void)loop_timer(f->loop, 0, end_poller, f);
    turn(f);
    assert_int_equal(f->n_ready, 0);
}

static int end_both(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct fixture *f = arg;
    f->n_ready++;
    unwatch(f, f->fd);
    unwatch(f, f->other_fd);
    return 0;
}

static void nor_is_one_that_another_poller_ends(void **state)
{
    struct fixture *f = *state;
    watch(f, f->fd, end_both);
    watch(f, f->other_fd, end_both);
    turn(f);
    assert_int_equal(f->n_ready, 1);
}

static void the_others_that_were_ready_are_served_all_the_same(void **state)
{
    struct fixture *f = *state;
    watch(f, f->fd, on_ready);
    watch(f, f->other_fd, on_other);
    (void)loop_timer(f->loop, 0, end_poller, f);
    turn(f);
    assert_int_equal(f->n_ready, 0);
    assert_int_equal(f->n_other, 1);
}

/* As when an object is freed and another gets its descriptor's number. */
static int give_number_to_another(struct loop *loop, int timer, void *arg)
{
    struct fixture *f = arg;
    unwatch(f, f->fd);
    assert_int_equal(dup2(f->fresh_fd, f->fd), f->fd);
    watch(f, f->fd, on_ready);
    return 0;
}

static void who_takes_over_a_ready_descriptors_number_is_not_told_of_it(void **state)
{
    struct fixture *f = *state;
    f->fresh_fd = new_event(0);
    watch(f, f->fd, on_other);
    (void)loop_timer(f->loop, 0, give_number_to_another, f);
    turn(f);
    assert_int_equal(f->n_other, 0);
    assert_int_equal(f->n_ready, 0);
}

static void but_of_what_is_ready_under_that_number_then(void **state)
{
    struct fixture *f = *state;
    f->fresh_fd = new_event(1);
    watch(f, f->fd, on_other);
    (void)loop_timer(f->loop, 0, give_number_to_another, f);
    turn(f);
    assert_int_equal(f->n_other, 0);
    assert_int_equal(f->n_ready, 1);
}

static int become_other(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct fixture *f = arg;
    f->n_ready++;
    unwatch(f, f->fd);
    watch(f, f->fd, on_other);
    return 0;
}

static void a_poller_may_put_another_in_its_place(void **state)
{
    struct fixture *f = *state;
    watch(f, f->fd, become_other);
    turn(f);
    assert_int_equal(f->n_ready, 1);
    assert_int_equal(f->n_other, 1);
}

static void who_is_put_where_another_stands_is_alone_there(void **state)
{
    struct fixture *f = *state;
    watch(f, f->fd, on_ready);
    watch(f, f->fd, on_other);
    turn(f);
    assert_int_equal(f->n_ready, 0);
    assert_int_equal(f->n_other, 1);
}

static int on_message(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct fixture *f = arg;
    zframe_t *frame = zframe_recv_nowait(item->socket);
    f->n_other += frame != NULL;
    zframe_destroy(&frame);
    return 0;
}

static void a_socket_is_heard_when_descriptor_0_is_ended(void **state)
{
    struct fixture *f = *state;
    zsock_t *end = NULL, *far_end = zsys_create_pipe(&end);
    zmq_pollitem_t item = { .socket = zsock_resolve(end), .events = ZMQ_POLLIN };
    loop_poller(f->loop, &item, on_message, f);
    watch(f, 0, on_ready);
    unwatch(f, 0);
    assert_int_equal(zstr_send(far_end, "a") | zstr_send(far_end, "b"), 0);
    turn(f);
    assert_int_equal(f->n_other, 2);
    loop_poller_end(f->loop, &item);
    zsock_destroy(&end);
    zsock_destroy(&far_end);
}

/* A descriptor that cannot be polled at all: zloop ends it, unless it is tolerated. */
static int on_broken(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct fixture *f = arg;
    f->n_ready++;
    return 0;
}

static void errors_come_to_a_tolerant_poller_until_it_is_ended(void **state)
{
    struct fixture *f = *state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    close(ends[0]); /* the writing end of a pipe that nobody reads is in error */
    zmq_pollitem_t item = { .fd = ends[1], .events = ZMQ_POLLOUT | ZMQ_POLLERR };
    loop_poller(f->loop, &item, on_broken, f);
    turn(f);
    assert_int_equal(f->n_ready, 1);
    loop_poller(f->loop, &item, on_broken, f);
    loop_poller_set_tolerant(f->loop, &item);
    turn(f);
    assert_true(f->n_ready > 3);
    loop_poller_end(f->loop, &item);
    f->n_ready = 0;
    turn(f);
    assert_int_equal(f->n_ready, 0);
    close(ends[1]);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_timer_that_another_ends_does_not_fire),
        TEST(nor_does_it_in_a_later_turn),
        TEST(a_timer_that_is_ended_after_it_fired_is_no_matter),
        TEST(a_timer_may_end_itself_also_in_a_loop_that_is_started_again),
        TEST(a_timer_that_begins_again_fires_until_it_is_ended),
        TEST(the_owner_of_a_timer_that_is_due_may_be_freed),
        TEST(a_ready_poller_that_a_timer_ends_is_not_called),
        TEST(nor_is_one_that_another_poller_ends),
        TEST(the_others_that_were_ready_are_served_all_the_same),
        TEST(who_takes_over_a_ready_descriptors_number_is_not_told_of_it),
        TEST(but_of_what_is_ready_under_that_number_then),
        TEST(a_poller_may_put_another_in_its_place),
        TEST(who_is_put_where_another_stands_is_alone_there),
        TEST(a_socket_is_heard_when_descriptor_0_is_ended),
        TEST(errors_come_to_a_tolerant_poller_until_it_is_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
