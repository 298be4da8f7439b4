#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "sandbox/keep.h"
#include "tests/unit/scratch.h"

#define KEEP_BYTES   100000
#define WINDOW_BYTES 10000

static const struct uuid KERNEL = { "11111111-1111-1111-1111-111111111111" };
static const struct uuid ONE = { "22222222-2222-2222-2222-222222222222" };
static const struct uuid OTHER = { "33333333-3333-3333-3333-333333333333" };

static uint64_t add(struct keep *k, enum link_type type, const struct uuid *execution, size_t bytes)
{
    CLEANUP_BUF struct buf body = BUF_INIT(1 << 20);
    memset(buf_room(&body, bytes + 1), 'x', bytes);
    struct link_frame f = {
        .type = type, .kernel_id = KERNEL, .execution_id = *execution, .n_parts = 1
    };
    f.parts[0] = slice_of(body.data, bytes);
    return keep_add(k, &f);
}

/* Sends all that may be sent, in pieces of at most `piece` bytes, and appends it to out. */
static void drain(struct keep *k, struct buf *out, size_t piece)
{
    struct iovec iov[3];
    while (keep_gather(k, iov, 3) > 0) {
        size_t n = iov[0].iov_len < piece ? iov[0].iov_len : piece;
        buf_add(out, iov[0].iov_base, n);
        keep_sent(k, n);
    }
}

/* Decodes a stream into "number:type number:type …" */
static const char *tell(struct slice stream, char ret[4096])
{
    static struct link_frame f;
    size_t used, n = 0;
    ret[0] = '\0';
    while (stream.len > 0) {
        assert_int_equal(link_decode(stream, &f, &used), DECODE_OK);
        n += (size_t)snprintf(ret + n, 4096 - n, "%s%llu:%d", n ? " " : "",
                              (unsigned long long)f.number, (int)f.type);
        stream = slice_of(stream.data + used, stream.len - used);
    }
    return ret;
}

static void what_is_kept_goes_out_in_order_however_it_is_cut(void **state)
{
    char text[4096];
    for (size_t piece = 1; piece < 200; piece += 7) {
        CLEANUP(keep_free) struct keep *k = keep_new(KEEP_BYTES, WINDOW_BYTES, NULL);
        CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
        assert_int_equal(add(k, LINK_KERNEL, &KERNEL, 10), 1);
        assert_int_equal(add(k, LINK_MESSAGE, &ONE, 100), 2);
        assert_int_equal(add(k, LINK_END, &ONE, 0), 3);
        drain(k, &out, piece);
        assert_string_equal(tell(buf_slice(&out), text), "1:16 2:5 3:17");
    }
}

static void a_new_connection_gets_everything_that_was_not_committed(void **state)
{
    char text[4096];
    CLEANUP(keep_free) struct keep *k = keep_new(KEEP_BYTES, WINDOW_BYTES, NULL);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    struct iovec iov[2];
    for (int i = 0; i < 5; i++)
        add(k, LINK_MESSAGE, &ONE, 50);
    drain(k, &out, 1000);
    assert_true(keep_ack(k, 2));
    assert_int_equal(keep_first(k), 3);
    add(k, LINK_MESSAGE, &ONE, 50);
    assert_int_equal(keep_gather(k, iov, 2), 1);
    keep_sent(k, 10); /* and the connection breaks in mid-frame */
    assert_true(keep_in_mid_frame(k));
    keep_rewind(k);
    assert_false(keep_in_mid_frame(k));
    assert_true(keep_ack(k, 4)); /* what the hub's HELLO says */
    buf_reset(&out);
    drain(k, &out, 1000);
    assert_string_equal(tell(buf_slice(&out), text), "5:5 6:5");
    assert_true(keep_ack(k, 6));
    assert_int_equal(keep_bytes(k), 0);
    assert_int_equal(keep_first(k), 7);
}

static void an_ack_in_mid_frame_of_a_second_sending_does_not_tear_the_frame(void **state)
{
    char text[4096];
    CLEANUP(keep_free) struct keep *k = keep_new(KEEP_BYTES, WINDOW_BYTES, NULL);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    struct iovec iov[2];
    add(k, LINK_MESSAGE, &ONE, 50);
    add(k, LINK_MESSAGE, &ONE, 50);
    drain(k, &out, 1000);
    keep_rewind(k);
    buf_reset(&out);
    keep_gather(k, iov, 1);
    buf_add(&out, iov[0].iov_base, 10);
    keep_sent(k, 10);
    assert_true(keep_ack(k, 2));
    drain(k, &out, 1000);
    assert_string_equal(tell(buf_slice(&out), text), "1:5"); /* 2 is committed: not sent again */
    assert_int_equal(keep_bytes(k), 0);
}

static void what_may_wait_does_so_alone(void **state)
{
    CLEANUP(keep_free) struct keep *k = keep_new(KEEP_BYTES, WINDOW_BYTES, NULL);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    struct iovec iov[3];
    assert_false(keep_may_wait(k));
    (void)add(k, LINK_MESSAGE, &ONE, 100);
    assert_false(keep_may_wait(k));
    (void)add(k, LINK_MESSAGE, &ONE, 100);
    keep_let_wait(k);
    assert_false(keep_may_wait(k)); /* the first one may not */
    drain(k, &out, SIZE_MAX);
    assert_false(keep_may_wait(k)); /* nothing is to be sent */
    for (int i = 0; i < 2; i++) {
        (void)add(k, LINK_MESSAGE, &ONE, 100);
        keep_let_wait(k);
        assert_true(keep_may_wait(k));
    }
    (void)keep_gather(k, iov, 3);
    keep_sent(k, 10);
    assert_false(keep_may_wait(k)); /* half a frame stands in the socket */
    drain(k, &out, SIZE_MAX);
    (void)add(k, LINK_MESSAGE, &ONE, 100);
    keep_let_wait(k);
    (void)add(k, LINK_END, &ONE, 0);
    assert_false(keep_may_wait(k));
    drain(k, &out, SIZE_MAX);
    (void)add(k, LINK_MESSAGE, &ONE, 100);
    keep_let_wait(k);
    keep_gap(k, &KERNEL, &ONE, 5, 1, "lost");
    assert_false(keep_may_wait(k));
}

static void an_ack_of_what_was_never_sent_is_refused(void **state)
{
    CLEANUP(keep_free) struct keep *k = keep_new(KEEP_BYTES, WINDOW_BYTES, NULL);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    assert_true(keep_ack(k, 0));
    assert_false(keep_ack(k, 1));
    add(k, LINK_MESSAGE, &ONE, 50);
    assert_false(keep_ack(k, 1));
    drain(k, &out, 1000);
    assert_true(keep_ack(k, 1));
    assert_true(keep_ack(k, 1));
    assert_false(keep_ack(k, 2));
}

static void the_window_holds_back_until_the_ack(void **state)
{
    char text[4096];
    CLEANUP(keep_free) struct keep *k = keep_new(KEEP_BYTES, WINDOW_BYTES, NULL);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    for (int i = 0; i < 6; i++)
        add(k, LINK_MESSAGE, &ONE, 3000);
    drain(k, &out, 100000);
    assert_string_equal(tell(buf_slice(&out), text), "1:5 2:5 3:5");
    assert_true(keep_ack(k, 1));
    buf_reset(&out);
    drain(k, &out, 100000);
    assert_string_equal(tell(buf_slice(&out), text), "4:5");
}

static void a_frame_bigger_than_the_window_goes_alone(void **state)
{
    char text[4096];
    CLEANUP(keep_free) struct keep *k = keep_new(KEEP_BYTES, WINDOW_BYTES, NULL);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    add(k, LINK_MESSAGE, &ONE, 10);
    add(k, LINK_MESSAGE, &ONE, 50000);
    add(k, LINK_MESSAGE, &ONE, 10);
    drain(k, &out, 777);
    assert_string_equal(tell(buf_slice(&out), text), "1:5");
    assert_true(keep_ack(k, 1));
    buf_reset(&out);
    drain(k, &out, 777);
    assert_string_equal(tell(buf_slice(&out), text), "2:5");
    assert_true(keep_ack(k, 2));
    buf_reset(&out);
    drain(k, &out, 777);
    assert_string_equal(tell(buf_slice(&out), text), "3:5");
}

static void beside_a_frame_bigger_than_the_window_others_go_when_the_hub_takes_that(void **state)
{
    char text[4096];
    CLEANUP(keep_free) struct keep *k = keep_new(KEEP_BYTES, WINDOW_BYTES, NULL);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    keep_set_large_beside(k, true);
    add(k, LINK_MESSAGE, &ONE, 3000);
    add(k, LINK_MESSAGE, &ONE, 11000);
    add(k, LINK_MESSAGE, &ONE, 3000);
    add(k, LINK_MESSAGE, &ONE, 3000);
    add(k, LINK_MESSAGE, &ONE, 3000); /* above the window */
    drain(k, &out, 1000);
    assert_string_equal(tell(buf_slice(&out), text), "1:5 2:5 3:5 4:5");
    assert_true(keep_ack(k, 1));
    add(k, LINK_MESSAGE, &ONE, 11000); /* a second one waits for the first */
    add(k, LINK_MESSAGE, &ONE, 10);
    buf_reset(&out);
    drain(k, &out, 1000);
    assert_string_equal(tell(buf_slice(&out), text), "5:5");
    assert_true(keep_ack(k, 2));
    buf_reset(&out);
    drain(k, &out, 1000);
    assert_string_equal(tell(buf_slice(&out), text), "6:5 7:5");
    keep_rewind(k);
    keep_set_large_beside(k, false); /* an older hub */
    buf_reset(&out);
    drain(k, &out, 1000);
    assert_string_equal(tell(buf_slice(&out), text), "3:5 4:5 5:5");
    assert_true(keep_ack(k, 5));
    buf_reset(&out);
    drain(k, &out, 1000);
    assert_string_equal(tell(buf_slice(&out), text), "6:5");
}

static struct slice part_of(struct slice stream, uint64_t number, struct link_frame *f)
{
    size_t used;
    while (link_decode(stream, f, &used) == DECODE_OK && f->number != number)
        stream = slice_of(stream.data + used, stream.len - used);
    assert_int_equal(f->number, number);
    return f->parts[0];
}

static void when_it_is_full_one_gap_per_execution_says_how_much_is_missing(void **state)
{
    static struct link_frame f;
    int64_t messages = 0, bytes = 0;
    CLEANUP(keep_free) struct keep *k = keep_new(KEEP_BYTES, 1 << 20, NULL);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    uint64_t last = 0, number;
    while ((number = add(k, LINK_MESSAGE, &ONE, 9000)) > 0)
        last = number;
    assert_in_range(keep_bytes(k), KEEP_BYTES, KEEP_BYTES + 10000);
    assert_int_equal(add(k, LINK_MESSAGE, &OTHER, 10), 0);
    assert_int_equal(add(k, LINK_MESSAGE, &ONE, 10), 0);
    assert_int_equal(add(k, LINK_END, &ONE, 10), last + 3); /* ends are never dropped */
    assert_int_equal(add(k, LINK_KERNEL, &KERNEL, 10), last + 4);
    drain(k, &out, 100000);
    struct slice gap = part_of(buf_slice(&out), last + 1, &f);
    assert_int_equal(f.type, LINK_GAP);
    assert_true(uuid_equal(&f.execution_id, &ONE) && uuid_equal(&f.kernel_id, &KERNEL));
    assert_true(json_valid(gap) && json_member_int(gap, "messages", &messages) &&
                json_member_int(gap, "bytes", &bytes));
    assert_int_equal(messages, 2);
    assert_in_range(bytes, 9010, 9200);
    gap = part_of(buf_slice(&out), last + 2, &f);
    assert_true(uuid_equal(&f.execution_id, &OTHER) && json_member_int(gap, "messages", &messages));
    assert_int_equal(messages, 1);
    assert_true(keep_ack(k, last + 4));
    assert_int_equal(keep_bytes(k), 0);
    assert_int_equal(add(k, LINK_MESSAGE, &ONE, 9000), last + 5); /* and it goes on */
}

static void a_gap_that_was_sent_stays_as_it_was_and_a_new_one_counts_on(void **state)
{
    static struct link_frame f;
    int64_t messages = 0;
    CLEANUP(keep_free) struct keep *k = keep_new(KEEP_BYTES, 1 << 20, NULL);
    CLEANUP_BUF struct buf first = BUF_INIT(1 << 20);
    CLEANUP_BUF struct buf second = BUF_INIT(1 << 20);
    keep_gap(k, &KERNEL, &ONE, 5, 1, "cut");
    keep_gap(k, &KERNEL, &ONE, 5, 1, "cut");
    drain(k, &first, 1000);
    keep_gap(k, &KERNEL, &ONE, 7, 1, "cut");
    add(k, LINK_MESSAGE, &ONE, 3);
    keep_gap(k, &KERNEL, &ONE, 7, 1, "cut"); /* behind the message: a third */
    keep_rewind(k);
    drain(k, &second, 1000);
    assert_memory_equal(second.data, first.data, first.len);
    assert_true(json_member_int(part_of(buf_slice(&second), 1, &f), "messages", &messages));
    assert_int_equal(messages, 2);
    part_of(buf_slice(&second), 2, &f);
    assert_int_equal(f.type, LINK_GAP);
    part_of(buf_slice(&second), 4, &f);
    assert_int_equal(f.type, LINK_GAP);
}

static void gaps_of_very_many_executions_are_bounded(void **state)
{
    CLEANUP(keep_free) struct keep *k = keep_new(KEEP_BYTES, 1 << 20, NULL);
    for (int i = 0; i < 1000; i++) {
        struct uuid id = uuid_new();
        keep_gap(k, &KERNEL, &id, 1, 1, "cut");
    }
    assert_int_equal(keep_last(k), 64);
}

/* With a spool: memory of KEEP_BYTES, a window of WINDOW_BYTES, a file of SPOOL_BYTES */

#define SPOOL_BYTES 400000

static struct spool *new_spool(void)
{
    struct err e = ERR_INIT;
    struct spool *s = NULL;
    char path[128];
    (void)scratch_path(path, sizeof path, "spool"); /* spool_open takes the name away again */
    assert_int_equal(spool_open(path, geteuid(), SPOOL_BYTES, &s, &e), 0);
    assert_int_equal(access(path, F_OK), -1);
    spool_start(s);
    return s;
}

/* One job of the spool is done. */
static void hear_bell(struct keep *k, struct spool *s, int expect_error)
{
    int error;
    struct pollfd p = { .fd = spool_bell(s), .events = POLLIN };
    assert_int_equal(poll(&p, 1, 10000), 1);
    assert_true(keep_on_spool(k, &error));
    assert_int_equal(error, expect_error);
}

/* Adds messages of 9,000 bytes until `n` are kept; what is too much for the memory is written meanwhile. */
static void add_many(struct keep *k, struct spool *s, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        while (keep_bytes(k) >= KEEP_BYTES)
            hear_bell(k, s, 0);
        assert_int_not_equal(add(k, LINK_MESSAGE, &ONE, 9000), 0);
    }
}

/* Sends and acknowledges all: frames have the numbers first … last. */
static void take_all(struct keep *k, struct spool *s, uint64_t first, uint64_t last)
{
    static struct link_frame f;
    size_t used;
    while (first <= last) {
        CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
        drain(k, &out, 100000);
        struct slice stream = buf_slice(&out);
        if (stream.len == 0)
            hear_bell(k, s, 0);
        while (stream.len > 0) {
            assert_int_equal(link_decode(stream, &f, &used), DECODE_OK);
            assert_int_equal(f.number, first);
            assert_int_equal(f.parts[0].data[0], f.type == LINK_GAP ? '{' : 'x');
            stream = slice_of(stream.data + used, stream.len - used);
            assert_true(keep_ack(k, first++));
        }
    }
    assert_int_equal(keep_bytes(k), 0);
    assert_int_equal(keep_spooled_bytes(k), 0);
}

static void what_memory_does_not_hold_lies_in_the_file_and_comes_back_in_order(void **state)
{
    CLEANUP(spool_free) struct spool *s = new_spool();
    CLEANUP(keep_free) struct keep *k = keep_new(KEEP_BYTES, WINDOW_BYTES, s);
    add_many(k, s, 40);
    assert_in_range(keep_spooled_bytes(k), 40 * 9000 - KEEP_BYTES, SPOOL_BYTES);
    assert_int_equal(keep_first(k), 1);
    take_all(k, s, 1, 40);
    assert_int_equal(keep_first(k), 41);
}

static void the_file_is_a_ring(void **state)
{
    CLEANUP(spool_free) struct spool *s = new_spool();
    CLEANUP(keep_free) struct keep *k = keep_new(KEEP_BYTES, WINDOW_BYTES, s);
    uint64_t last = 30, acked = 0;
    static struct link_frame f;
    size_t used;
    add_many(k, s, 30);
    while (last < 120) { /* it is never empty, and goes round twice */
        CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
        drain(k, &out, 100000);
        for (struct slice stream = buf_slice(&out); stream.len > 0;
             stream = slice_of(stream.data + used, stream.len - used)) {
            assert_int_equal(link_decode(stream, &f, &used), DECODE_OK);
            assert_int_equal(f.number, ++acked);
            assert_true(keep_ack(k, acked));
        }
        if (out.len == 0)
            hear_bell(k, s, 0);
        if (last - acked < 30) {
            add_many(k, s, 1);
            last++;
        }
    }
    take_all(k, s, acked + 1, last);
}

static void a_short_burst_does_not_meet_the_file(void **state)
{
    CLEANUP(spool_free) struct spool *s = new_spool();
    CLEANUP(keep_free) struct keep *k = keep_new(KEEP_BYTES, WINDOW_BYTES, s);
    struct pollfd p = { .fd = spool_bell(s), .events = POLLIN };
    for (int i = 0; i < 4; i++)
        assert_int_not_equal(add(k, LINK_MESSAGE, &ONE, 5000), 0);
    take_all(k, s, 1, 4);
    assert_int_equal(poll(&p, 1, 0), 0);
}

/* The disk is slower than the kernel: nothing is dropped that the file has room for. */
static void a_burst_waits_for_the_disk(void **state)
{
    CLEANUP(spool_free) struct spool *s = new_spool();
    CLEANUP(keep_free) struct keep *k = keep_new(KEEP_BYTES, WINDOW_BYTES, s);
    uint64_t number, last = 0;
    while ((number = add(k, LINK_MESSAGE, &ONE, 9000)) > 0)
        last = number;
    assert_in_range(last * 9000, KEEP_BYTES * 3, KEEP_BYTES * 4);
    take_all(k, s, 1, last + 1);
    assert_int_equal(add(k, LINK_MESSAGE, &ONE, 9000), last + 2);
}

static void when_the_file_is_full_too_a_gap_says_how_much_is_missing(void **state)
{
    CLEANUP(spool_free) struct spool *s = new_spool();
    CLEANUP(keep_free) struct keep *k = keep_new(KEEP_BYTES, WINDOW_BYTES, s);
    uint64_t number, last = 0;
    while (keep_spooled_bytes(k) + 9100 <= SPOOL_BYTES) {
        if (keep_bytes(k) >= KEEP_BYTES)
            hear_bell(k, s, 0);
        else
            last = add(k, LINK_MESSAGE, &ONE, 9000);
    }
    while ((number = add(k, LINK_MESSAGE, &ONE, 9000)) > 0)
        last = number;
    assert_in_range(last * 9000, SPOOL_BYTES + KEEP_BYTES / 4 * 3, SPOOL_BYTES + KEEP_BYTES);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(add(k, LINK_MESSAGE, &ONE, 9000), 0);
    assert_true(keep_bytes(k) < KEEP_BYTES + 20000);
    assert_int_equal(add(k, LINK_END, &ONE, 10), last + 2);
    take_all(k, s, 1, last + 2);
    assert_int_equal(add(k, LINK_MESSAGE, &ONE, 9000), last + 3);
}

static void a_disk_that_takes_nothing_costs_only_the_room(void **state)
{
    CLEANUP(spool_free) struct spool *s = new_spool();
    CLEANUP(keep_free) struct keep *k = keep_new(KEEP_BYTES, WINDOW_BYTES, s);
    struct rlimit before, none = { .rlim_cur = 0, .rlim_max = RLIM_INFINITY };
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    struct pollfd bell = { .fd = spool_bell(s), .events = POLLIN };
    uint64_t number, last = 0;
    while (poll(&bell, 1, 10) == 0)
        last = add(k, LINK_MESSAGE, &ONE, 9000);
    hear_bell(k, s, EFBIG);
    while ((number = add(k, LINK_MESSAGE, &ONE, 9000)) > 0)
        last = number;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(keep_spooled_bytes(k), 0);
    assert_in_range(keep_bytes(k), KEEP_BYTES, KEEP_BYTES + 10000);
    for (int i = 0; i < 600; i++) /* it is tried again */
        assert_int_equal(add(k, LINK_MESSAGE, &ONE, 9000), 0);
    hear_bell(k, s, 0);
    assert_true(keep_spooled_bytes(k) > 0);
    take_all(k, s, 1, last + 1);
}

static void what_cannot_be_read_back_is_said(void **state)
{
    int error = 0;
    CLEANUP(spool_free) struct spool *s = new_spool();
    CLEANUP(keep_free) struct keep *k = keep_new(KEEP_BYTES, WINDOW_BYTES, s);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    struct spool_job spoil = { .what = SPOOL_EMPTY };
    struct pollfd p = { .fd = spool_bell(s), .events = POLLIN };
    for (int i = 0; i < 10; i++)
        add(k, LINK_MESSAGE, &ONE, 9000);
    while (keep_bytes(k) > 20000)
        hear_bell(k, s, 0);
    spool_hand(s, &spoil);
    assert_int_equal(poll(&p, 1, 10000), 1);
    assert_true(spool_take(s));
    drain(k, &out, 100000);
    assert_true(keep_ack(k, 1)); /* and now the next ones are wanted */
    assert_int_equal(poll(&p, 1, 10000), 1);
    assert_false(keep_on_spool(k, &error));
    assert_int_equal(error, EIO);
}

static void it_can_end_while_the_file_is_written(void **state)
{
    CLEANUP(spool_free) struct spool *s = new_spool();
    CLEANUP(keep_free) struct keep *k = keep_new(KEEP_BYTES, WINDOW_BYTES, s);
    while (add(k, LINK_MESSAGE, &ONE, 9000) > 0)
        ;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_goes_out_in_order_however_it_is_cut),
        cmocka_unit_test(a_new_connection_gets_everything_that_was_not_committed),
        cmocka_unit_test(an_ack_in_mid_frame_of_a_second_sending_does_not_tear_the_frame),
        cmocka_unit_test(what_may_wait_does_so_alone),
        cmocka_unit_test(an_ack_of_what_was_never_sent_is_refused),
        cmocka_unit_test(the_window_holds_back_until_the_ack),
        cmocka_unit_test(a_frame_bigger_than_the_window_goes_alone),
        cmocka_unit_test(beside_a_frame_bigger_than_the_window_others_go_when_the_hub_takes_that),
        cmocka_unit_test(when_it_is_full_one_gap_per_execution_says_how_much_is_missing),
        cmocka_unit_test(a_gap_that_was_sent_stays_as_it_was_and_a_new_one_counts_on),
        cmocka_unit_test(gaps_of_very_many_executions_are_bounded),
        cmocka_unit_test(what_memory_does_not_hold_lies_in_the_file_and_comes_back_in_order),
        cmocka_unit_test(the_file_is_a_ring),
        cmocka_unit_test(a_short_burst_does_not_meet_the_file),
        cmocka_unit_test(a_burst_waits_for_the_disk),
        cmocka_unit_test(when_the_file_is_full_too_a_gap_says_how_much_is_missing),
        cmocka_unit_test(a_disk_that_takes_nothing_costs_only_the_room),
        cmocka_unit_test(what_cannot_be_read_back_is_said),
        cmocka_unit_test(it_can_end_while_the_file_is_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
