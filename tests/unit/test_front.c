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

static void client_open(struct client *c, struct hub_fixture *f, struct session *s)
{
    static const struct front_events EVENTS = { on_message, has_room, on_end };
    buf_init(&c->said, 1u << 20);
    c->front = front_open(s, f->user, "client", &EVENTS, c);
}

static void say(struct client *c, const char *msg_type, int n)
{
    char text[256];
    struct kernel_ws_message m;
    (void)snprintf(text, sizeof text,
                   "{\"header\":{\"msg_id\":\"m-%d\",\"msg_type\":\"%s\",\"session\":\"client\"},"
                   "\"content\":{\"code\":\"1\"}}",
                   n, msg_type);
    assert_true(kernel_ws_read(KERNEL_WS_DEFAULT, false, slice_str(text), &m));
    front_send(c->front, &m);
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

static void a_notebooks_next_kernel_starts_in_its_folder_too(void **state)
{
    struct hub_fixture *f = *state;
    struct got g = { 0 };
    char id[37];
    struct jupyter_wish wish = { .kernel_name = "python3", .path = "a/nb.ipynb" };
    wait_cancel(jupyter_start_session(f->hub, f->user, &wish, got_json, &g));
    const struct session *s = jupyter_find_path(f->hub, f->user, "a/nb.ipynb", id);
    wish = (struct jupyter_wish){ .path = "b/nb.ipynb" };
    assert_null(jupyter_change_session(f->hub, f->user, id, &wish, got_json, &g));
    assert_string_equal(s->jupyter->folder, "a"); /* it was moved, its kernel was not */
    wish = (struct jupyter_wish){ .kernel_name = "python3" };
    wait_cancel(jupyter_change_session(f->hub, f->user, id, &wish, got_json, &g));
    s = jupyter_find_session(f->hub, f->user, id);
    assert_string_equal(s->jupyter->folder, "b");
    got_done(&g);
}

#define WITH_HUB(test)                                                                             \
    cmocka_unit_test_setup_teardown(test, hub_fixture_setup, hub_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HUB(a_client_whose_requests_are_never_answered_can_still_run_cells),
        WITH_HUB(a_change_that_is_refused_changes_nothing),
        WITH_HUB(a_kernel_starts_in_its_notebooks_folder),
        WITH_HUB(a_notebooks_next_kernel_starts_in_its_folder_too),
        WITH_HUB(a_client_is_welcomed_when_its_kernel_welcomes),
        WITH_HUB(a_start_that_nobody_waits_for_outlives_the_hub),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
