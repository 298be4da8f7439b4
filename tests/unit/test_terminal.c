/* The hub's side of a terminal, without a warden: frames are handed in, what it would be told stands in the terminal. */
#include "kernelhub/terminal_internal.h"

#include "tests/unit/hub_fixture.h"

#define WINDOW LINK_TERMINAL_WINDOW_BYTES

static unsigned n_changed;

static void changed(void *arg)
{
    n_changed++;
}

static struct terminal *open_named(struct hub_fixture *f, const char *name)
{
    struct terminal *t;
    struct err e = ERR_INIT;
    const struct terminal_wish w = { .name = name };
    if (terminal_open(f->hub, f->user, &w, &t, &e) < 0)
        fail_msg("%s", e.text);
    return t;
}

static void close_it(struct terminal *t)
{
    struct err e = ERR_INIT;
    assert_int_equal(terminal_close(t, &e), 0);
}

/* As if its warden had said hello, which `list` is a part of. */
static void come_up(struct sandbox *s, const char *list, bool another)
{
    CLEANUP_BUF struct buf hello = BUF_INIT(1u << 20);
    buf_addf(&hello, "{\"terminals\":[%s]}", list);
    assert_true(json_valid(buf_slice(&hello)));
    sandbox_enter(s, SANDBOX_UP, 0);
    s->can_terminal = s->heard = true;
    (void)snprintf(s->epoch, sizeof s->epoch, "e");
    terminals_sandbox_up(s, buf_slice(&hello), another);
}

static void say(struct sandbox *s, const struct terminal *t, enum link_type type, const char *part)
{
    static struct link_frame f;
    f = (struct link_frame){ .type = type, .kernel_id = t->id, .n_parts = 1 };
    f.parts[0] = slice_str(part);
    assert_true(terminal_on_frame(s, &f));
}

static void write_output(struct sandbox *s, const struct terminal *t, size_t n, char c)
{
    static struct link_frame f;
    char *bytes = malloc(n);
    memset(bytes, c, n);
    f = (struct link_frame){ .type = LINK_OUTPUT, .kernel_id = t->id, .n_parts = 1 };
    f.parts[0] = slice_of(bytes, n);
    assert_true(terminal_on_frame(s, &f));
    free(bytes);
}

static struct terminal *open_running(struct hub_fixture *f, struct sandbox **ret)
{
    struct terminal *t = open_named(f, NULL);
    *ret = t->sandbox;
    if ((*ret)->state != SANDBOX_UP)
        come_up(*ret, "", false);
    say(*ret, t, LINK_STATE, "{\"state\":\"started\"}");
    assert_int_equal(t->state, TERMINAL_RUNNING);
    return t;
}

/* Takes all there is; returns how much. */
static size_t drain(struct terminal_client *c)
{
    static char bytes[1u << 20];
    size_t n = terminal_read(c, bytes, sizeof bytes);
    terminal_take(c, n);
    return n;
}

static void names_are_the_users_and_count_up(void **state)
{
    struct hub_fixture *f = *state;
    struct terminal *t;
    struct err e = ERR_INIT;
    static const char *const BAD[] = { "", "a/b", "..", "a\nb" };
    assert_string_equal(open_named(f, NULL)->name, "1");
    assert_string_equal(open_named(f, NULL)->name, "2");
    assert_string_equal(open_named(f, "mine")->name, "mine");
    close_it(open_named(f, "1"));
    assert_string_equal(open_named(f, NULL)->name, "1");
    assert_ptr_equal(open_named(f, "mine"), open_named(f, "mine"));
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        const struct terminal_wish w = { .name = BAD[i] };
        assert_int_equal(terminal_open(f->hub, f->user, &w, &t, &e), -1);
        assert_int_equal(e.code, ERR_INVALID);
    }
    assert_int_equal(terminal_find(f->hub, f->user, "3", &t, &e), -1);
    assert_int_equal(e.code, ERR_NOT_FOUND);
}

static void a_sandbox_has_sixteen_and_no_more(void **state)
{
    struct hub_fixture *f = *state;
    struct terminal *t;
    struct err e = ERR_INIT;
    const struct terminal_wish w = { .name = NULL };
    for (size_t i = 0; i < LINK_MAX_TERMINALS; i++)
        (void)open_named(f, NULL);
    assert_int_equal(terminal_open(f->hub, f->user, &w, &t, &e), -1);
    assert_int_equal(e.code, ERR_QUOTA);
    close_it(open_named(f, "7"));
    assert_string_equal(open_named(f, NULL)->name, "7");
}

static void it_is_answered_when_its_program_runs(void **state)
{
    struct hub_fixture *f = *state;
    __attribute__((cleanup(got_done))) struct got g = { 0 };
    struct terminal *t = open_named(f, NULL);
    assert_non_null(terminal_await(t, got_json, &g));
    come_up(t->sandbox, "", false);
    assert_int_equal(t->state, TERMINAL_STARTING);
    assert_int_equal(g.came, 0);
    say(t->sandbox, t, LINK_STATE, "{\"state\":\"started\"}");
    assert_int_equal(g.came, 1);
    assert_non_null(strstr(g.text, "\"name\":\"1\""));
}

static void one_that_cannot_be_started_says_why(void **state)
{
    struct hub_fixture *f = *state;
    __attribute__((cleanup(got_done))) struct got g = { 0 };
    struct terminal *t = open_named(f, NULL);
    struct err e = ERR_INIT;
    assert_non_null(terminal_await(t, got_json, &g));
    come_up(t->sandbox, "", false);
    say(t->sandbox, t, LINK_STATE, "{\"state\":\"over\",\"reason\":\"no shell\"}");
    assert_string_equal(g.error, "no shell");
    assert_int_equal(terminal_find(f->hub, f->user, "1", &t, &e), -1);
}

static void an_older_warden_is_named(void **state)
{
    struct hub_fixture *f = *state;
    __attribute__((cleanup(got_done))) struct got g = { 0 };
    struct terminal *t = open_named(f, NULL);
    assert_non_null(terminal_await(t, got_json, &g));
    sandbox_enter(t->sandbox, SANDBOX_UP, 0);
    terminals_sandbox_up(t->sandbox, SLICE_LITERAL("{\"features\":[\"exec\"]}"), false);
    assert_non_null(strstr(g.error, "older version"));
}

static void one_that_ends_while_it_is_opened_stays_for_who_looks(void **state)
{
    struct hub_fixture *f = *state;
    struct terminal *t = open_named(f, NULL);
    sandbox_enter(t->sandbox, SANDBOX_UP, 0);
    t = open_named(f, "second"); /* of an older warden: it is over at once */
    assert_int_equal(t->state, TERMINAL_OVER);
    struct terminal_client *c = terminal_attach(t, changed, NULL);
    hub_fixture_settle(f);
    assert_true(terminal_look(c).is_over && terminal_look(c).failed);
    terminal_detach(c);
}

static void one_that_is_slow_and_in_nobodys_way_stays(void **state)
{
    struct hub_fixture *f = *state;
    struct sandbox *s;
    int never = 0;
    struct terminal *t = open_running(f, &s);
    struct terminal_client *slow = terminal_attach(t, changed, NULL),
                           *fast = terminal_attach(t, changed, NULL);
    write_output(s, t, 1000, 'a');
    assert_int_equal(drain(fast), 1000);
    slow->moved_us -= 2 * TERMINAL_STALL_MS * 1000LL;
    assert_int_equal(t->stall_timer, -1);
    write_output(s, t, WINDOW - 1000, 'a');
    assert_int_equal(drain(fast), WINDOW - 1000);
    assert_true(t->stall_timer >= 0);
    assert_int_equal(drain(slow), WINDOW); /* in time */
    fixture_run_for(&f->base, &never, 1, 1200);
    assert_false(terminal_look(slow).is_dropped);
    terminal_detach(slow);
    terminal_detach(fast);
}

static void the_program_waits_for_its_slowest_client(void **state)
{
    struct hub_fixture *f = *state;
    struct sandbox *s;
    struct terminal *t = open_running(f, &s);
    assert_int_equal(t->upto, WINDOW);
    write_output(s, t, WINDOW, 'a'); /* nobody looks: it runs on */
    assert_int_equal(t->upto, 2 * WINDOW);
    struct terminal_client *c = terminal_attach(t, changed, NULL);
    write_output(s, t, WINDOW, 'b');
    assert_int_equal(t->upto, 2 * WINDOW);
    assert_int_equal(drain(c), 2 * WINDOW); /* what was before is told too */
    assert_int_equal(t->upto, 3 * WINDOW);
    terminal_detach(c);
}

static void a_client_that_joins_gets_the_last_of_it(void **state)
{
    struct hub_fixture *f = *state;
    struct sandbox *s;
    char first;
    struct terminal *t = open_running(f, &s);
    for (char c = 'a'; c < 'a' + 5; c++)
        write_output(s, t, WINDOW, c);
    struct terminal_client *c = terminal_attach(t, changed, NULL);
    assert_int_equal(terminal_read(c, &first, 1), 1);
    assert_int_equal(first, 'd');
    write_output(s, t, WINDOW, 'z'); /* all the room there is: nothing of it is overwritten */
    assert_int_equal(terminal_read(c, &first, 1), 1);
    assert_int_equal(first, 'd');
    assert_int_equal(drain(c), TERMINAL_RECALL_BYTES + WINDOW);
    terminal_detach(c);
}

static void who_says_more_than_it_may_is_cut_off(void **state)
{
    struct hub_fixture *f = *state;
    struct sandbox *s;
    struct terminal *t = open_running(f, &s);
    struct terminal_client *c = terminal_attach(t, changed, NULL);
    write_output(s, t, WINDOW, 'a');
    assert_int_equal(s->state, SANDBOX_UP);
    write_output(s, t, 1, 'a');
    assert_int_equal(s->state, SANDBOX_GONE);
    assert_true(terminal_look(c).is_over && terminal_look(c).failed);
    assert_int_equal(drain(c), WINDOW); /* what came before is still there to read */
    terminal_detach(c);
}

static void another_sandboxes_terminal_is_not_spoken_of(void **state)
{
    struct hub_fixture *f = *state;
    struct sandbox *s, *other;
    struct err e = ERR_INIT;
    struct terminal *t = open_running(f, &s);
    assert_int_equal(sandbox_new(f->hub, f->user, "other", "slim", &other, &e), 0);
    sandbox_begin(other);
    come_up(other, "", false);
    say(other, t, LINK_OUTPUT, "x");
    assert_int_equal(other->state, SANDBOX_GONE);
    assert_int_equal(s->state, SANDBOX_UP);
    assert_int_equal(t->end, 0);
}

static void input_goes_as_far_as_the_window(void **state)
{
    struct hub_fixture *f = *state;
    struct sandbox *s;
    static char bytes[2 * WINDOW];
    struct terminal *t = open_running(f, &s);
    struct terminal_client *c = terminal_attach(t, changed, NULL);
    assert_int_equal(terminal_input(c, slice_of(bytes, sizeof bytes)), WINDOW);
    assert_int_equal(terminal_input(c, slice_of(bytes, 1)), 0);
    n_changed = 0;
    say(s, t, LINK_TAKEN, "{\"upto\":1000}");
    assert_int_equal(n_changed, 1);
    assert_int_equal(terminal_input(c, slice_of(bytes, sizeof bytes)), 1000);
    say(s, t, LINK_TAKEN, "{\"upto\":999999999}");
    assert_int_equal(s->state, SANDBOX_GONE);
    terminal_detach(c);
}

static void it_is_as_small_as_its_smallest_client(void **state)
{
    struct hub_fixture *f = *state;
    struct sandbox *s;
    struct terminal *t = open_running(f, &s);
    struct terminal_client *a = terminal_attach(t, changed, NULL),
                           *b = terminal_attach(t, changed, NULL);
    terminal_resize(a, 50, 100);
    assert_true(t->rows == 50 && t->cols == 100);
    terminal_resize(b, 60, 90);
    assert_true(t->rows == 50 && t->cols == 90);
    terminal_detach(b);
    assert_true(t->rows == 50 && t->cols == 100);
    terminal_detach(a);
    assert_true(t->rows == 50 && t->cols == 100);
}

static void a_slow_client_is_dropped_when_others_wait(void **state)
{
    struct hub_fixture *f = *state;
    struct sandbox *s;
    int never = 0;
    struct terminal *t = open_running(f, &s);
    struct terminal_client *slow = terminal_attach(t, changed, NULL);
    write_output(s, t, WINDOW, 'a');
    slow->moved_us -= 2 * TERMINAL_STALL_MS * 1000LL;
    assert_int_equal(t->stall_timer, -1); /* alone it may be as slow as it likes */
    struct terminal_client *fast = terminal_attach(t, changed, NULL);
    assert_int_equal(drain(fast), WINDOW);
    assert_true(t->stall_timer >= 0);
    assert_int_equal(t->upto, WINDOW);
    fixture_run_for(&f->base, &never, 1, 1200);
    assert_true(terminal_look(slow).is_dropped && !terminal_look(fast).is_dropped);
    assert_int_equal(drain(slow), 0);
    assert_int_equal(t->upto, 2 * WINDOW);
    terminal_detach(slow);
    terminal_detach(fast);
}

static void the_next_hub_takes_them_up_where_they_are(void **state)
{
    struct hub_fixture *f = *state;
    struct sandbox *s;
    struct err e = ERR_INIT;
    struct terminal *t;
    CLEANUP_BUF struct buf list = BUF_INIT(4096);
    struct uuid named = uuid_new(), own = uuid_new();
    open_running(f, &s);
    close_it(open_named(f, "1"));
    s->heard = false; /* as of a hub that has just begun */
    assert_int_equal(terminal_find(f->hub, f->user, "5", &t, &e), -1);
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    buf_addf(&list,
             "{\"terminal_id\":\"%s\",\"name\":\"5\",\"rows\":24,\"cols\":80,\"running\":true,"
             "\"start\":1000,\"end\":5000,\"input\":70,\"taken\":60},"
             "{\"terminal_id\":\"%s\",\"name\":\"\",\"rows\":24,\"cols\":80,\"running\":true,"
             "\"start\":0,\"end\":0,\"input\":0,\"taken\":0}",
             named.text, own.text);
    come_up(s, list.data, false);
    assert_int_equal(terminal_find(f->hub, f->user, "5", &t, &e), 0);
    assert_int_equal(t->state, TERMINAL_RUNNING);
    assert_true(t->end == 1000 && t->upto == 1000 + WINDOW && t->input == 70 && t->taken == 60);
    assert_null(zhashx_lookup(f->hub->terminals, own.text)); /* its client is gone */
    write_output(s, t, 4000, 'x');
    come_up(s, list.data, false); /* the link was lost and is there again: nothing comes twice */
    assert_int_equal(t->end, 5000);
    come_up(s, "", false);
    assert_int_equal(terminal_find(f->hub, f->user, "5", &t, &e), -1);
}

static void what_its_sandbox_cannot_be_told_does_not_happen(void **state)
{
    struct hub_fixture *f = *state;
    struct sandbox *s;
    struct err e = ERR_INIT;
    struct terminal *t = open_running(f, &s);
    sandbox_enter(s, SANDBOX_CONNECTING, 0);
    assert_int_equal(terminal_close(t, &e), -1);
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    struct terminal_client *c = terminal_attach(t, changed, NULL);
    assert_int_equal(terminal_input(c, SLICE_LITERAL("x")), 0);
    terminal_detach(c);
    assert_int_equal(t->state, TERMINAL_RUNNING);
}

static void a_sandbox_that_is_full_says_so(void **state)
{
    struct hub_fixture *f = *state;
    __attribute__((cleanup(got_done))) struct got g = { 0 };
    struct terminal *t = open_named(f, NULL);
    assert_non_null(terminal_await(t, got_json, &g));
    come_up(t->sandbox, "", false);
    say(t->sandbox, t, LINK_ERROR, "{\"code\":\"quota_exceeded\",\"message\":\"full\"}");
    assert_int_equal(g.code, ERR_QUOTA);
    assert_string_equal(g.error, "full");
}

static void nonsense_in_a_hello_is_no_terminal(void **state)
{
    struct hub_fixture *f = *state;
    struct sandbox *s;
    open_running(f, &s);
    come_up(s, "{\"terminal_id\":\"x\"}", false);
    assert_int_equal(s->state, SANDBOX_GONE);
}

static void they_end_with_their_warden_and_with_their_sandbox(void **state)
{
    struct hub_fixture *f = *state;
    struct sandbox *s;
    struct terminal *t = open_running(f, &s);
    struct terminal_client *c = terminal_attach(t, changed, NULL);
    assert_int_equal(s->n_attached, 1);
    come_up(s, "", true);
    assert_true(terminal_look(c).is_over);
    assert_non_null(strstr(terminal_look(c).text, "warden died"));
    assert_int_equal(s->n_attached, 0);
    terminal_detach(c);
    t = open_running(f, &s);
    c = terminal_attach(t, changed, NULL);
    sandbox_end(s, CAUSE_DELETED, ERR_GONE, "it was deleted", STATUS_LOST);
    assert_non_null(strstr(terminal_look(c).text, "it was deleted"));
    terminal_detach(c);
}

static void a_private_one_ends_with_its_client(void **state)
{
    struct hub_fixture *f = *state;
    struct terminal *t;
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf list = BUF_INIT(4096);
    const struct terminal_wish w = { .is_private = true, .rows = 30, .cols = 90 };
    assert_int_equal(terminal_open(f->hub, f->user, &w, &t, &e), 0);
    assert_true(t->rows == 30 && t->cols == 90);
    struct terminal_client *c = terminal_attach(t, changed, NULL);
    assert_int_equal(terminal_write_all(f->hub, f->user, &list, &e), 0);
    assert_string_equal(list.data, "[]");
    terminal_detach(c);
    assert_int_equal(zhashx_size(f->hub->terminals), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, hub_fixture_setup, hub_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(names_are_the_users_and_count_up),
        T(a_sandbox_has_sixteen_and_no_more),
        T(it_is_answered_when_its_program_runs),
        T(one_that_cannot_be_started_says_why),
        T(an_older_warden_is_named),
        T(one_that_ends_while_it_is_opened_stays_for_who_looks),
        T(one_that_is_slow_and_in_nobodys_way_stays),
        T(the_program_waits_for_its_slowest_client),
        T(a_client_that_joins_gets_the_last_of_it),
        T(who_says_more_than_it_may_is_cut_off),
        T(another_sandboxes_terminal_is_not_spoken_of),
        T(input_goes_as_far_as_the_window),
        T(it_is_as_small_as_its_smallest_client),
        T(a_slow_client_is_dropped_when_others_wait),
        T(the_next_hub_takes_them_up_where_they_are),
        T(what_its_sandbox_cannot_be_told_does_not_happen),
        T(a_sandbox_that_is_full_says_so),
        T(nonsense_in_a_hello_is_no_terminal),
        T(they_end_with_their_warden_and_with_their_sandbox),
        T(a_private_one_ends_with_its_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
