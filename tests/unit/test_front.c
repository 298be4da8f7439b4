/* Jupyter's clients inside the hub: what they ask, and what is kept of it. */
#include "hub_fixture.h"
#include "kernelhub/front_internal.h"
#include "kernelhub/wait.h"

struct client {
    struct front *front;
    struct buf said; /* the contents of all messages */
};

static void on_message(void *arg, enum link_channel channel, const struct slice *parts, size_t n)
{
    struct client *c = arg;
    buf_add_slice(&c->said, parts[3]);
}

static bool has_room(void *arg)
{
    return true;
}

static void on_end(void *arg, const char *reason, bool is_replaced)
{
    struct client *c = arg;
    c->front = NULL;
}

static struct session *open_session(struct hub_fixture *f)
{
    struct session *s;
    struct err e;
    assert_int_equal(session_open(f->hub, f->user, "a", "python", NULL, NULL, false, &s, &e), 0);
    return s;
}

static void client_open_as(struct client *c, const char *name, struct hub_fixture *f,
                           struct session *s)
{
    static const struct front_events EVENTS = { on_message, has_room, on_end };
    buf_init(&c->said, 1u << 20);
    c->front = front_open(s, f->user, name, &EVENTS, c);
}

static void client_open(struct client *c, struct hub_fixture *f, struct session *s)
{
    client_open_as(c, "client", f, s);
}

static void say_so(struct client *c, const char *msg_type, int n, const char *content)
{
    CLEANUP_BUF struct buf text = BUF_INIT(1u << 26);
    struct kernel_ws_message m;
    buf_addf(&text,
             "{\"header\":{\"msg_id\":\"m-%d\",\"msg_type\":\"%s\",\"session\":\"client\"},"
             "\"content\":%s}",
             n, msg_type, content);
    assert_true(kernel_ws_read(KERNEL_WS_DEFAULT, false, buf_slice(&text), &m));
    front_send(c->front, &m);
}

static void say(struct client *c, const char *msg_type, int n)
{
    say_so(c, msg_type, n, "{\"code\":\"1\"}");
}

/* How often it was said so far. */
static size_t count_said(const struct client *c, const char *text)
{
    size_t n = 0;
    for (const char *at = c->said.data; at && (at = strstr(at, text)) != NULL; at += strlen(text))
        n++;
    return n;
}

static void client_close(struct client *c)
{
    if (c->front)
        front_close(c->front);
    buf_done(&c->said);
}

static void a_client_whose_requests_are_never_answered_can_still_run_cells(void **state)
{
    struct hub_fixture *f = *state;
    struct client c;
    struct session *s = open_session(f);
    client_open(&c, f, s);
    for (int i = 0; i < 20000; i++)
        say(&c, "unknown_request", i);
    assert_in_range(zhashx_size(s->jupyter->asked), 1000, 4096);
    assert_non_null(zhashx_lookup(s->jupyter->asked, "m-19999"));
    assert_null(zhashx_lookup(s->jupyter->asked, "m-1"));
    say(&c, "execute_request", 20000);
    hub_fixture_settle(f);
    assert_null(c.said.data ? strstr(c.said.data, "Refused") : NULL);
    assert_int_equal(zlistx_size(s->queue), 1);
    session_close(s, "the test is over");
    buf_done(&c.said);
}

/* Only when the kernel's process does so itself: its first words are those that say it, or a hello's after the hub came again. */
static void a_client_is_welcomed_when_its_kernel_welcomes(void **state)
{
    struct hub_fixture *f = *state;
    struct client early, late;
    struct session *s = open_session(f);
    client_open(&early, f, s);
    assert_int_equal(early.said.len, 0);
    fronts_on_welcome(s);
    assert_true(slice_is(buf_slice(&early.said), "{\"subscription\":\"\"}"));
    front_close(early.front);
    client_open(&late, f, s);
    assert_true(slice_is(buf_slice(&late.said), "{\"subscription\":\"\"}"));
    front_close(late.front);
    session_leave_kernel(s);
    buf_done(&late.said);
    client_open(&late, f, s);
    assert_int_equal(late.said.len, 0);
    front_close(late.front);
    buf_done(&early.said);
    buf_done(&late.said);
}

static void however_often_a_restart_is_asked_for_one_waits(void **state)
{
    struct hub_fixture *f = *state;
    struct client c;
    struct session *s = open_session(f);
    client_open(&c, f, s);
    for (int i = 0; i < 100; i++)
        say_so(&c, "shutdown_request", i, "{\"restart\":true}");
    assert_int_equal(zlistx_size(s->waits), 1);
    assert_int_equal(count_said(&c, "\"status\":\"ok\",\"restart\":true"), 100);
    client_close(&c);
    session_close(s, "the test is over");
}

static void a_cell_that_is_sent_twice_runs_once_and_is_answered(void **state)
{
    struct hub_fixture *f = *state;
    struct client c, again, other;
    struct session *s = open_session(f);
    client_open(&c, f, s);
    client_open_as(&other, "other", f, s);
    for (int i = 0; i < 2; i++) {
        say(&c, "execute_request", 1);
        say(&c, "execute_request", 1);
        hub_fixture_settle(f);
    }
    client_open(&again, f, s);
    assert_null(c.front);
    say(&again, "execute_request", 1);
    assert_int_equal(zlistx_size(s->queue), 1);
    assert_int_equal(count_said(&again, "Refused"), 0);
    say_so(&again, "execute_request", 1, "{\"code\":\"2\"}");
    say(&other, "execute_request", 1);
    hub_fixture_settle(f);
    assert_int_equal(zlistx_size(s->queue), 1);
    assert_int_equal(count_said(&again, "\"ename\":\"Refused\""), 1);
    assert_int_equal(count_said(&other, "\"ename\":\"Refused\""), 1);
    execution_cancel_queued(zlistx_first(s->queue), "for the test", NULL);
    hub_fixture_settle(f);
    assert_int_equal(count_said(&again, "\"status\":\"error\",\"ename\":\"Cancelled\""), 1);
    assert_int_equal(count_said(&other, "\"status\":\"error\",\"ename\":\"Cancelled\""), 0);
    say(&again, "execute_request", 1); /* it has ended: this is another */
    hub_fixture_settle(f);
    assert_int_equal(zlistx_size(s->queue), 1);
    client_close(&c);
    client_close(&again);
    client_close(&other);
    session_close(s, "the test is over");
}

static void a_cell_that_another_hub_took_is_known_when_it_is_sent_again(void **state)
{
    struct hub_fixture *f = *state;
    struct client c;
    struct session *s = open_session(f);
    client_open(&c, f, s);
    say_so(&c, "execute_request", 1, "{ \"code\": \"1\" }");
    hub_fixture_settle(f);
    client_close(&c);
    hub_fixture_reopen(f);
    s = session_find(f->hub, f->user, "a");
    assert_int_equal(zlistx_size(s->queue), 1);
    client_open(&c, f, s);
    say_so(&c, "execute_request", 1, "{ \"code\": \"1\" }");
    hub_fixture_settle(f);
    assert_int_equal(zlistx_size(s->queue), 1);
    assert_int_equal(count_said(&c, "Refused"), 0);
    client_close(&c);
    session_close(s, "the test is over");
}

static void what_has_a_cells_msg_id_does_not_take_its_answer(void **state)
{
    struct hub_fixture *f = *state;
    struct client c;
    struct session *s = open_session(f);
    client_open(&c, f, s);
    say(&c, "execute_request", 1);
    say(&c, "complete_request", 1);
    hub_fixture_settle(f);
    assert_int_equal(c.front->held.len, 0);
    execution_cancel_queued(zlistx_first(s->queue), "for the test", NULL);
    assert_int_equal(count_said(&c, "\"status\":\"error\",\"ename\":\"Cancelled\""), 1);
    client_close(&c);
    session_close(s, "the test is over");
}

static void an_error_stops_the_cells_of_its_own_connection_only(void **state)
{
    struct hub_fixture *f = *state;
    struct client one, two, nameless; /* all say that they are "client" in their headers */
    struct session *s = open_session(f);
    client_open_as(&one, "one", f, s);
    client_open_as(&two, "two", f, s);
    client_open_as(&nameless, "", f, s);
    say(&one, "execute_request", 1);
    say(&two, "execute_request", 2);
    say(&nameless, "execute_request", 3);
    say(&one, "execute_request", 4);
    hub_fixture_settle(f);
    assert_int_equal(zlistx_size(s->queue), 4);
    fronts_stop_on_error(s, ((struct execution *)zlistx_first(s->queue))->client_session);
    assert_int_equal(zlistx_size(s->queue), 2);
    assert_int_equal(count_said(&one, "\"status\":\"aborted\""), 2);
    assert_int_equal(count_said(&two, "\"status\":\"aborted\""), 0);
    fronts_stop_on_error(s, "client");
    assert_int_equal(zlistx_size(s->queue), 1);
    assert_int_equal(count_said(&nameless, "\"status\":\"aborted\""), 1);
    client_close(&one);
    client_close(&two);
    client_close(&nameless);
    session_close(s, "the test is over");
}

static void what_is_too_large_beside_a_cells_code_is_refused(void **state)
{
    struct hub_fixture *f = *state;
    struct client c;
    struct session *s = open_session(f);
    CLEANUP_BUF struct buf content = BUF_INIT(1u << 26);
    client_open(&c, f, s);
    buf_addf(&content, "{\"code\":\"1\",\"user_expressions\":{\"a\":\"%0*d\"}}", 17 << 20, 1);
    say_so(&c, "execute_request", 1, content.data);
    hub_fixture_settle(f);
    assert_int_equal(zlistx_size(s->queue), 0);
    assert_int_equal(count_said(&c, "\"status\":\"error\",\"ename\":\"Refused\""), 1);
    client_close(&c);
    session_close(s, "the test is over");
}

static void a_restart_that_is_refused_says_why(void **state)
{
    struct hub_fixture *f = *state;
    struct client c;
    struct session *s = open_session(f);
    client_open(&c, f, s);
    assert_int_equal(s->kernel, KERNEL_WAITING);
    s->kernel = KERNEL_READY; /* in a sandbox that is being reached again */
    say_so(&c, "shutdown_request", 1, "{\"restart\":true}");
    assert_int_equal(count_said(&c, "\"status\":\"ok\""), 0);
    assert_int_equal(count_said(&c, "\"status\":\"error\",\"restart\":true"), 1);
    assert_int_equal(count_said(&c, "being reached again"), 1);
    s->kernel = KERNEL_WAITING;
    client_close(&c);
    session_close(s, "the test is over");
}

/* Whoever asked for a kernel has gone, it has not started yet: the next hub goes on with it. */
static void a_start_that_nobody_waits_for_outlives_the_hub(void **state)
{
    struct hub_fixture *f = *state;
    struct got g = { 0 };
    const struct jupyter_wish wish = { .kernel_name = "python3" };
    struct wait *w = jupyter_start_kernel(f->hub, f->user, &wish, got_json, &g);
    assert_non_null(w);
    wait_cancel(w);
    hub_fixture_reopen(f);
    hub_fixture_settle(f);
    assert_int_equal(zhashx_size(f->hub->sessions), 1);
    assert_int_equal(g.came, 0);
}

static void a_change_that_is_refused_changes_nothing(void **state)
{
    struct hub_fixture *f = *state;
    struct got g = { 0 };
    char id[37], none[37];
    struct jupyter_wish wish = { .kernel_name = "python3", .path = "a.ipynb" };
    wait_cancel(jupyter_start_session(f->hub, f->user, &wish, got_json, &g));
    assert_non_null(jupyter_find_path(f->hub, f->user, "a.ipynb", id));
    const struct uuid unknown = uuid_new();
    wish = (struct jupyter_wish){ .kernel_id = unknown.text, .path = "b.ipynb" };
    assert_null(jupyter_change_session(f->hub, f->user, id, &wish, got_json, &g));
    assert_string_not_equal(g.error, "");
    assert_null(jupyter_find_path(f->hub, f->user, "b.ipynb", none));
    assert_non_null(jupyter_find_path(f->hub, f->user, "a.ipynb", none));
    wish.kernel_id = jupyter_find_session(f->hub, f->user, id)->jupyter->kernel_id.text;
    wait_cancel(jupyter_change_session(f->hub, f->user, id, &wish, got_json, &g));
    assert_non_null(jupyter_find_path(f->hub, f->user, "b.ipynb", none));
    got_done(&g);
}

static const char *folder_of(struct hub_fixture *f, struct jupyter_wish wish, bool is_session)
{
    static char folder[JUPYTER_MAX_PATH_BYTES + 1];
    struct got g = { 0 };
    struct slice raw;
    wish.kernel_name = "python3";
    wait_cancel(is_session ? jupyter_start_session(f->hub, f->user, &wish, got_json, &g)
                           : jupyter_start_kernel(f->hub, f->user, &wish, got_json, &g));
    hub_fixture_reopen(f); /* it is kept */
    struct session *s = zhashx_first(f->hub->sessions);
    session_refresh(s);
    assert_true(json_member_string(slice_str(s->start), "folder", &raw) &&
                json_copy_string(raw, folder, sizeof folder));
    session_close(s, "the test goes on");
    hub_fixture_settle(f);
    got_done(&g);
    return folder;
}

static void a_kernel_starts_in_its_notebooks_folder(void **state)
{
    static const struct {
        const char *path, *folder, *of_kernel;
    } CASES[] = {
        { "nb.ipynb", "", "nb.ipynb" },
        { "a b/\xc3\xa9/nb.ipynb", "a b/\xc3\xa9", "a b/\xc3\xa9/nb.ipynb" },
        { "a/..b/nb", "a/..b", "a/..b/nb" },
        { "/a/nb.ipynb", "", "" },
        { "../nb.ipynb", "", "" },
        { "a/../../nb.ipynb", "", "" },
        { "a/..", "", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        const struct jupyter_wish wish = { .path = CASES[i].path };
        assert_string_equal(folder_of(*state, wish, true), CASES[i].folder);
        assert_string_equal(folder_of(*state, wish, false), CASES[i].of_kernel);
    }
    assert_string_equal(folder_of(*state, (struct jupyter_wish){ 0 }, false), "");
}

/* The session that is neither of these. */
static struct session *other_session(struct hub_fixture *f, const struct session *a,
                                     const struct session *b)
{
    struct session *s = zhashx_first(f->hub->sessions);
    while (s == a || s == b)
        s = zhashx_next(f->hub->sessions);
    assert_non_null(s);
    return s;
}

static struct session *open_notebook(struct hub_fixture *f, char id[37])
{
    struct got g = { 0 };
    const struct jupyter_wish wish = { .kernel_name = "python3", .path = "a.ipynb" };
    wait_cancel(jupyter_start_session(f->hub, f->user, &wish, got_json, &g));
    struct session *s = jupyter_find_path(f->hub, f->user, "a.ipynb", id);
    assert_non_null(s);
    return s;
}

static struct wait *change(struct hub_fixture *f, const char *id, const char *path, struct got *g)
{
    const struct jupyter_wish wish = { .kernel_name = "python3", .path = path };
    *g = (struct got){ 0 };
    struct wait *w = jupyter_change_session(f->hub, f->user, id, &wish, got_json, g);
    assert_non_null(w);
    return w;
}

static void a_notebooks_next_kernel_starts_in_its_folder_too(void **state)
{
    struct hub_fixture *f = *state;
    struct got g = { 0 };
    char id[37];
    struct jupyter_wish wish = { .kernel_name = "python3", .path = "a/nb.ipynb" };
    wait_cancel(jupyter_start_session(f->hub, f->user, &wish, got_json, &g));
    struct session *s = jupyter_find_path(f->hub, f->user, "a/nb.ipynb", id);
    wish = (struct jupyter_wish){ .path = "b/nb.ipynb" };
    assert_null(jupyter_change_session(f->hub, f->user, id, &wish, got_json, &g));
    assert_string_equal(s->jupyter->folder, "a"); /* it was moved, its kernel was not */
    wish = (struct jupyter_wish){ .kernel_name = "python3" };
    wait_cancel(jupyter_change_session(f->hub, f->user, id, &wish, got_json, &g));
    s = other_session(f, s, NULL);
    assert_string_equal(s->jupyter->folder, "b");
    session_ready(s);
    hub_fixture_settle(f);
    assert_ptr_equal(jupyter_find_session(f->hub, f->user, id), s);
    got_done(&g);
}

static void a_notebook_stays_where_it_is_until_its_next_kernel_is_ready(void **state)
{
    struct hub_fixture *f = *state;
    struct got g;
    struct err why;
    char id[37];
    struct session *a = open_notebook(f, id);
    (void)change(f, id, "b.ipynb", &g);
    struct session *b = other_session(f, a, NULL);
    assert_ptr_equal(jupyter_find_session(f->hub, f->user, id), a);
    (void)err_set(&why, ERR_KERNEL_DIED, "it did not start");
    session_kernel_failed(b, &why);
    hub_fixture_settle(f);
    assert_string_equal(g.error, "it did not start");
    assert_int_equal(zhashx_size(f->hub->sessions), 1);
    assert_ptr_equal(jupyter_find_path(f->hub, f->user, "a.ipynb", id), a);
    got_done(&g);
    (void)change(f, id, "b.ipynb", &g);
    b = other_session(f, a, NULL);
    session_ready(b);
    hub_fixture_settle(f);
    assert_string_equal(g.error, "");
    assert_non_null(strstr(g.text, "b.ipynb"));
    assert_int_equal(zhashx_size(f->hub->sessions), 1);
    assert_ptr_equal(jupyter_find_session(f->hub, f->user, id), b);
    assert_int_equal(b->jupyter->n_places, 1);
    got_done(&g);
}

static void a_notebook_that_goes_while_its_next_kernel_starts_takes_that_along(void **state)
{
    struct hub_fixture *f = *state;
    struct got g;
    char id[37];
    struct session *a = open_notebook(f, id);
    (void)change(f, id, "b.ipynb", &g);
    struct session *b = other_session(f, a, NULL);
    jupyter_delete_session(a, id);
    hub_fixture_settle(f);
    session_ready(b);
    hub_fixture_settle(f);
    assert_int_equal(g.code, ERR_GONE);
    assert_int_equal(zhashx_size(f->hub->sessions), 0);
    got_done(&g);
}

static void of_two_changes_at_once_the_last_that_is_ready_stands(void **state)
{
    struct hub_fixture *f = *state;
    struct got g, other;
    char id[37];
    struct session *a = open_notebook(f, id);
    wait_cancel(change(f, id, "b.ipynb", &g)); /* whoever asked has gone */
    struct session *b = other_session(f, a, NULL);
    (void)change(f, id, NULL, &other);
    struct session *c = other_session(f, a, b);
    session_ready(c);
    session_ready(b);
    hub_fixture_settle(f);
    assert_int_equal(g.came, 0);
    assert_non_null(strstr(other.text, "a.ipynb"));
    assert_int_equal(zhashx_size(f->hub->sessions), 1);
    assert_ptr_equal(jupyter_find_path(f->hub, f->user, "b.ipynb", id), b);
    got_done(&other);
}

static void a_change_that_the_hubs_end_comes_before_has_not_been(void **state)
{
    struct hub_fixture *f = *state;
    struct got g;
    char id[37];
    (void)open_notebook(f, id);
    wait_cancel(change(f, id, "b.ipynb", &g));
    hub_fixture_reopen(f);
    hub_fixture_settle(f);
    assert_non_null(jupyter_find_path(f->hub, f->user, "a.ipynb", id));
    assert_null(jupyter_find_path(f->hub, f->user, "b.ipynb", id));
    assert_int_equal(g.came, 0);
}

#define WITH_HUB(test)                                                                             \
    cmocka_unit_test_setup_teardown(test, hub_fixture_setup, hub_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HUB(a_client_whose_requests_are_never_answered_can_still_run_cells),
        WITH_HUB(however_often_a_restart_is_asked_for_one_waits),
        WITH_HUB(a_cell_that_is_sent_twice_runs_once_and_is_answered),
        WITH_HUB(a_cell_that_another_hub_took_is_known_when_it_is_sent_again),
        WITH_HUB(what_has_a_cells_msg_id_does_not_take_its_answer),
        WITH_HUB(an_error_stops_the_cells_of_its_own_connection_only),
        WITH_HUB(what_is_too_large_beside_a_cells_code_is_refused),
        WITH_HUB(a_restart_that_is_refused_says_why),
        WITH_HUB(a_change_that_is_refused_changes_nothing),
        WITH_HUB(a_kernel_starts_in_its_notebooks_folder),
        WITH_HUB(a_notebooks_next_kernel_starts_in_its_folder_too),
        WITH_HUB(a_client_is_welcomed_when_its_kernel_welcomes),
        WITH_HUB(a_notebook_stays_where_it_is_until_its_next_kernel_is_ready),
        WITH_HUB(a_notebook_that_goes_while_its_next_kernel_starts_takes_that_along),
        WITH_HUB(of_two_changes_at_once_the_last_that_is_ready_stands),
        WITH_HUB(a_change_that_the_hubs_end_comes_before_has_not_been),
        WITH_HUB(a_start_that_nobody_waits_for_outlives_the_hub),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
