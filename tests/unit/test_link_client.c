/* What the hub acknowledges, and when: seen from the warden's end of the socket. */
#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "kernelhub/link_client.h"
#include "tests/unit/store_fixture.h"

struct ends {
    struct fixture *store;
    struct hub hub;
    struct link_client *link;
    char path[160];
    int listener, warden; /* -1: not open */
    struct buf heard;     /* what the hub sent */
    int n_frames, n_closed;
    bool sends_first; /* the handler sends an order before it takes its mark */
    bool pauses;      /* the handler pauses the link */
    uint64_t mark;
    const char *fault; /* the rule that was broken */
    bool expects_fault;
};

static void on_frame(void *arg, const struct link_frame *f)
{
    struct ends *x = arg;
    if (!f->number)
        return;
    if (x->sends_first) {
        struct link_frame order = { .type = LINK_SAMPLE };
        link_client_send(x->link, &order);
    }
    if (x->pauses)
        link_client_pause(x->link);
    x->mark = link_client_take_mark(x->link);
    x->n_frames++;
}

static void on_closed(void *arg, const char *why, bool broke_rules)
{
    struct ends *x = arg;
    if (broke_rules)
        x->fault = why;
    x->n_closed++;
}

static int setup(void **state)
{
    struct ends *x = zmalloc(sizeof *x);
    struct err e = ERR_INIT;
    assert_int_equal(fixture_setup((void **)&x->store), 0);
    x->hub.loop = x->store->loop;
    x->hub.store = x->store->store;
    x->hub.link_epoll = -1;
    assert_int_equal(link_clients_open(&x->hub, &e), 0);
    buf_init(&x->heard, 1 << 20);
    snprintf(x->path, sizeof x->path, "%s/link.sock", x->store->dir);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    assert_true(strlen(x->path) < sizeof address.sun_path);
    strcpy(address.sun_path, x->path);
    x->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(x->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(x->listener, 1), 0);
    x->link = link_client_new(&x->hub, (struct link_handler){ on_frame, on_closed, x });
    assert_int_equal(link_client_connect(x->link, x->path, "", &e), 0);
    x->warden = accept(x->listener, NULL, NULL);
    assert_true(x->warden >= 0);
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct ends *x = *state;
    assert_true(!x->fault || x->expects_fault);
    link_client_free(x->link);
    link_clients_close(&x->hub);
    close_fd_at(&x->warden);
    close(x->listener);
    buf_done(&x->heard);
    void *store = x->store;
    free(x);
    return fixture_teardown(&store);
}

static void say(struct ends *x, const struct link_frame *f)
{
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    link_encode(&out, f);
    assert_int_equal(send(x->warden, out.data, out.len, 0), out.len);
}

static void greet(struct ends *x)
{
    struct link_frame hello = { .type = LINK_HELLO,
                                .n_parts = 1,
                                .parts = { SLICE_LITERAL("{}") } };
    say(x, &hello);
}

static void say_message(struct ends *x, uint64_t number)
{
    struct link_frame m = {
        .type = LINK_MESSAGE, .channel = LINK_IOPUB, .number = number, .n_parts = 4
    };
    for (size_t i = 0; i < 4; i++)
        m.parts[i] = SLICE_LITERAL("{}");
    say(x, &m);
}

/* The types of all frames the hub has sent so far; *ret_acked is the highest number acknowledged. */
static const char *heard(struct ends *x, uint64_t *ret_acked)
{
    static char types[64];
    static struct link_frame f;
    char bytes[4096];
    size_t used, done = 0, n = 0;
    ssize_t got;
    while ((got = recv(x->warden, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        buf_add(&x->heard, bytes, (size_t)got);
    *ret_acked = 0;
    while (link_decode(slice_of(x->heard.data + done, x->heard.len - done), &f, &used) ==
           DECODE_OK) {
        types[n++] = f.type == LINK_HELLO    ? 'h'
                     : f.type == LINK_ACK    ? 'a'
                     : f.type == LINK_SAMPLE ? 's'
                                             : '?';
        if (f.type == LINK_ACK)
            *ret_acked = f.number;
        done += used;
        assert_true(n + 1 < sizeof types);
    }
    types[n] = '\0';
    return types;
}

static void run_ms(struct ends *x, int ms)
{
    int never = 0;
    fixture_run_for(x->store, &never, 1, ms);
}

static void what_is_not_committed_is_not_acknowledged(void **state)
{
    struct ends *x = *state;
    uint64_t acked;
    greet(x);
    say_message(x, 1);
    fixture_run(x->store, &x->n_frames, 1);
    run_ms(x, 100);
    assert_string_equal(heard(x, &acked), "h");
    link_client_committed(x->link, x->mark);
    run_ms(x, 100); /* a little later, on its own */
    assert_string_equal(heard(x, &acked), "ha");
    assert_int_equal(acked, 1);
}

/* An order that goes out while its frame is being handled carries no ACK of that frame. */
static void an_order_from_inside_a_handler_acknowledges_nothing(void **state)
{
    struct ends *x = *state;
    uint64_t acked;
    x->sends_first = true;
    greet(x);
    say_message(x, 1);
    fixture_run(x->store, &x->n_frames, 1);
    run_ms(x, 100);
    assert_string_equal(heard(x, &acked), "hs");
    link_client_committed(x->link, x->mark);
    run_ms(x, 100);
    assert_string_equal(heard(x, &acked), "hsa");
    assert_int_equal(acked, 1);
}

static void an_ack_goes_with_the_next_order(void **state)
{
    struct ends *x = *state;
    uint64_t acked;
    greet(x);
    say_message(x, 1);
    fixture_run(x->store, &x->n_frames, 1);
    link_client_committed(x->link, x->mark);
    assert_string_equal(heard(x, &acked), "h");
    struct link_frame order = { .type = LINK_SAMPLE };
    link_client_send(x->link, &order);
    assert_string_equal(heard(x, &acked), "has");
    assert_int_equal(acked, 1);
    run_ms(x, 100);
    assert_string_equal(heard(x, &acked), "has"); /* not once more */
}

static void say_bytes(struct ends *x, uint64_t number, size_t bytes)
{
    CLEANUP_BUF struct buf out = BUF_INIT(LINK_MAX_FRAME_BYTES);
    char *text = calloc(1, bytes);
    struct link_frame m = { .type = LINK_MESSAGE, .number = number, .n_parts = 1 };
    m.parts[0] = slice_of(text, bytes);
    link_encode(&out, &m);
    int n_before = x->n_frames;
    for (size_t at = 0; at < out.len && !x->fault;) {
        ssize_t n = send(x->warden, out.data + at, out.len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0)
            at += (size_t)n;
        run_ms(x, 0);
    }
    while (x->n_frames == n_before && !x->fault)
        run_ms(x, 1);
    free(text);
}

static void beside_the_window_there_is_one_frame_that_is_bigger(void **state)
{
    struct ends *x = *state;
    x->expects_fault = true;
    greet(x);
    say_bytes(x, 1, LINK_WINDOW_BYTES / 2);
    say_bytes(x, 2, LINK_WINDOW_BYTES + 1);
    say_bytes(x, 3, LINK_WINDOW_BYTES / 4);
    assert_int_equal(x->n_frames, 3);
    assert_null(x->fault);
    say_bytes(x, 4, LINK_WINDOW_BYTES + 1);
    assert_int_equal(x->n_frames, 3);
    assert_string_equal(x->fault, "it does not wait for us");
}

static void more_than_the_window_is_too_much(void **state)
{
    struct ends *x = *state;
    x->expects_fault = true;
    greet(x);
    say_bytes(x, 1, LINK_WINDOW_BYTES + 1);
    say_bytes(x, 2, LINK_WINDOW_BYTES / 2);
    assert_null(x->fault);
    say_bytes(x, 3, LINK_WINDOW_BYTES / 2);
    assert_string_equal(x->fault, "it does not wait for us");
}

/* Frames behind one that paused the link wait for it, those in the hub's memory and those in the socket; so does the end. */
static void a_paused_link_handles_nothing(void **state)
{
    struct ends *x = *state;
    x->pauses = true;
    greet(x);
    say_message(x, 1);
    say_message(x, 2);
    fixture_run(x->store, &x->n_frames, 1);
    say_message(x, 3);
    run_ms(x, 100);
    assert_int_equal(x->n_frames, 1);
    assert_int_equal(link_client_seen(x->link), 1);
    link_client_committed(x->link, 1);
    link_client_resume(x->link); /* 2 is handled at once, and pauses again */
    assert_int_equal(x->n_frames, 2);
    close_fd_at(&x->warden);
    run_ms(x, 100);
    assert_int_equal(x->n_frames, 2);
    assert_int_equal(x->n_closed, 0);
    link_client_committed(x->link, 2);
    x->pauses = false;
    link_client_resume(x->link);
    fixture_run(x->store, &x->n_closed, 1);
    assert_int_equal(x->n_frames, 3);
    link_client_committed(x->link, 3);
}

/* The frames that waited come again after a new connection, still behind resume. */
static void a_pause_outlives_the_connection(void **state)
{
    struct ends *x = *state;
    struct err e = ERR_INIT;
    x->pauses = true;
    greet(x);
    say_message(x, 1);
    say_message(x, 2);
    fixture_run(x->store, &x->n_frames, 1);
    assert_int_equal(link_client_connect(x->link, x->path, "", &e), 0);
    close(x->warden);
    x->warden = accept(x->listener, NULL, NULL);
    greet(x);
    say_message(x, 1);
    say_message(x, 2);
    run_ms(x, 100);
    assert_int_equal(x->n_frames, 1);
    link_client_committed(x->link, 1);
    x->pauses = false;
    link_client_resume(x->link);
    fixture_run(x->store, &x->n_frames, 2);
    assert_int_equal(link_client_seen(x->link), 2);
    link_client_committed(x->link, 2);
}

#define WITH_ENDS(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ENDS(what_is_not_committed_is_not_acknowledged),
        WITH_ENDS(an_order_from_inside_a_handler_acknowledges_nothing),
        WITH_ENDS(an_ack_goes_with_the_next_order),
        WITH_ENDS(beside_the_window_there_is_one_frame_that_is_bigger),
        WITH_ENDS(more_than_the_window_is_too_much),
        WITH_ENDS(a_paused_link_handles_nothing),
        WITH_ENDS(a_pause_outlives_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
