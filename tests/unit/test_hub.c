/* The hub as a whole: what it commits, what it gives up, what it takes over. */
#include "hub_fixture.h"
#include "kernelhub/follower.h"
#include "kernelhub/jupyter.h"
#include "kernelhub/sandbox_verbs.h"
#include "protocol/frame.h"
#include "protocol/verb.h"

#include <sys/socket.h>
#include <sys/un.h>

#define ENDED    "SELECT count(*) FROM executions WHERE status = 'cancelled'"
#define FINISHED "SELECT count(*) FROM events WHERE type = 'finished'"

static void cancel(struct hub_fixture *f, const struct uuid *id, struct got *g)
{
    g->came = 0;
    execution_cancel(f->hub, f->user, id, got_json, g);
    assert_int_equal(g->came, 1);
    assert_string_equal(g->error, "");
}

static void an_end_and_its_finished_are_one_commit(void **state)
{
    struct hub_fixture *f = *state;
    struct got g = { 0 };
    hub_fixture_submit(f, (struct execution_request){ .session = "a" }, &g);
    struct uuid id = hub_fixture_id_of(&g);
    hub_fixture_settle(f);
    cancel(f, &id, &g);
    /* committed before the verb returns, or soon by the writer's thread; the loop adds nothing: here a hub may be killed */
    for (int ms = 0; ms < 10000 && hub_fixture_ask(f, ENDED) == 0; ms++)
        zclock_sleep(1);
    assert_int_equal(hub_fixture_ask(f, ENDED), 1);
    assert_int_equal(hub_fixture_ask(f, FINISHED), 1);
    got_done(&g);
}

#define OPEN "SELECT count(*) FROM sessions WHERE ended_us IS NULL"

static void run_on_time(struct hub_fixture *f, int ms)
{
    int never = 0;
    fixture_run_for(&f->base, &never, 1, ms);
}

/* Neither of these ends by a LINK_END. */
static void an_ephemeral_session_goes_with_its_execution_however_that_ends(void **state)
{
    struct hub_fixture *f = *state;
    struct got g = { 0 };
    struct execution_request r = { .not_persistent = true };
    hub_fixture_submit(f, r, &g);
    struct uuid id = hub_fixture_id_of(&g);
    cancel(f, &id, &g);
    r.queue_timeout_seconds = 0.01;
    hub_fixture_submit(f, r, &g);
    (void)hub_fixture_id_of(&g);
    run_on_time(f, 30);
    r.queue_timeout_seconds = 0;
    hub_fixture_submit(f, r, &g);
    id = hub_fixture_id_of(&g);
    struct execution *x = zhashx_lookup(f->hub->executions, id.text);
    struct err why;
    (void)err_set(&why, ERR_KERNEL_DIED, "the kernel died while starting");
    session_kernel_failed(x->session, &why);
    hub_fixture_settle(f);
    assert_int_equal(zhashx_size(f->hub->sessions), 0);
    assert_int_equal(hub_fixture_ask(f, OPEN), 0);
    got_done(&g);
}

/* A hub that dies between the commit of an end and that of its session's leaves this. */
static void an_ephemeral_session_without_its_execution_is_not_taken_over(void **state)
{
    struct hub_fixture *f = *state;
    struct session_row row = { .feed = store_next_feed(f->hub->store),
                               .user_id = f->user->id,
                               .name = "once-1",
                               .language = "python",
                               .kernelspec = "python3",
                               .template_name = "slim",
                               .ephemeral = true,
                               .created_us = hub_unix_us() };
    store_put_session(f->hub->store, &row, NULL, NULL);
    hub_fixture_reopen(f);
    hub_fixture_settle(f);
    assert_int_equal(zhashx_size(f->hub->sessions), 0);
    assert_int_equal(hub_fixture_ask(f, OPEN), 0);
}

static bool is_attached(const struct got *g)
{
    bool attached = false;
    assert_string_equal(g->error, "");
    return json_member_bool(slice_str(g->text), "attached", &attached) && attached;
}

static void a_repeat_attaches_whatever_stands_in_the_way_of_a_new_one(void **state)
{
    struct hub_fixture *f = *state;
    struct got g = { 0 };
    struct execution_request r = { .session = "a", .no_queue = true };
    struct uuid ids[2] = { uuid_new(), uuid_new() };
    struct err e;
    r.execution_id = ids[0].text; /* will have ended */
    hub_fixture_submit(f, r, &g);
    cancel(f, &ids[0], &g);
    hub_fixture_settle(f);
    r.execution_id = ids[1].text; /* waits */
    hub_fixture_submit(f, r, &g);
    assert_false(is_attached(&g));
    /* session 'a' is busy, and full */
    assert_int_equal(config_set(f->config, "limits/max_queue", "1", "test", &e), 0);
    for (int i = 0; i < 4; i++) {
        r.no_queue = i % 2;
        r.execution_id = ids[i / 2].text;
        hub_fixture_submit(f, r, &g);
        assert_true(is_attached(&g));
    }
    r.execution_id = NULL;
    hub_fixture_submit(f, r, &g);
    assert_int_equal(g.code, ERR_BUSY);
    r.execution_id = ids[0].text;
    r.code = SLICE_LITERAL("2+2");
    hub_fixture_submit(f, r, &g);
    assert_int_equal(g.code, ERR_CONFLICT);
    struct uuid unknown = uuid_new();
    r.execution_id = unknown.text;
    hub_fixture_submit(f, r, &g);
    assert_int_equal(g.code, ERR_BUSY);
    got_done(&g);
}

/* The first one's insert is on its way when it is asked for again. */
static void a_repeat_of_what_is_not_committed_yet_attaches(void **state)
{
    struct hub_fixture *f = *state;
    struct got first = { 0 }, second = { 0 }, third = { 0 };
    struct uuid id = uuid_new();
    struct execution_request r = {
        .session = "a", .code = SLICE_LITERAL("1+1"), .no_queue = true, .execution_id = id.text
    };
    execution_submit(f->hub, f->user, &r, got_json, &first);
    execution_submit(f->hub, f->user, &r, got_json, &second);
    wait_cancel(execution_submit(f->hub, f->user, &r, got_json, &third));
    fixture_run(&f->base, &second.came, 1);
    assert_false(is_attached(&first));
    assert_true(is_attached(&second));
    assert_int_equal(third.came, 0);
    got_done(&first);
    got_done(&second);
}

/* Each run in a kernel of its own counts as a session while it lasts. */
static void a_repeat_needs_no_session_of_its_own(void **state)
{
    struct hub_fixture *f = *state;
    struct got g = { 0 };
    struct uuid id = uuid_new();
    struct execution_request r = { .not_persistent = true, .execution_id = id.text };
    hub_fixture_submit(f, r, &g);
    r.execution_id = NULL;
    hub_fixture_submit(f, r, &g);
    hub_fixture_submit(f, r, &g);
    hub_fixture_submit(f, r, &g);
    assert_int_equal(g.code, ERR_QUOTA);
    r.execution_id = id.text;
    hub_fixture_submit(f, r, &g);
    assert_true(is_attached(&g));
    cancel(f, &id, &g);
    hub_fixture_settle(f);
    r.execution_id = NULL;
    hub_fixture_submit(f, r, &g);
    assert_int_equal(hub_fixture_ask(f, "SELECT count(*) FROM sessions"), 4);
    r.execution_id = id.text;
    hub_fixture_submit(f, r, &g);
    assert_true(is_attached(&g));
    assert_int_equal(hub_fixture_ask(f, "SELECT count(*) FROM sessions"), 4);
    got_done(&g);
}

#define WHOSE_STATUS(status, session)                                                              \
    "SELECT count(*) FROM executions WHERE status = '" status "' AND session = '" session "'"

/* A hub that died after the end of a session, and before that of what was accepted meanwhile, leaves this. */
static void what_is_open_in_a_session_that_has_ended_ends_at_recovery(void **state)
{
    struct hub_fixture *f = *state;
    struct got g = { 0 };
    hub_fixture_submit(f, (struct execution_request){ .session = "waits" }, &g);
    hub_fixture_submit(f, (struct execution_request){ .session = "sent" }, &g);
    hub_fixture_submit(f, (struct execution_request){ .session = "open" }, &g);
    hub_fixture_close(f);
    hub_fixture_sql(f, "UPDATE sessions SET ended_us = 1 WHERE name != 'open';"
                       "UPDATE executions SET status = 'running', epoch ="
                       " '11111111-1111-4222-8333-444455556666' WHERE session = 'sent';"
                       "INSERT INTO sessions (feed, user_id, name, language, ephemeral)"
                       " SELECT 4711, user_id, 'waits', 'python', 0 FROM sessions LIMIT 1");
    hub_fixture_open(f);
    hub_fixture_settle(f);
    assert_int_equal(hub_fixture_ask(f, WHOSE_STATUS("cancelled", "waits")), 1);
    assert_int_equal(hub_fixture_ask(f, WHOSE_STATUS("lost", "sent")), 1);
    assert_int_equal(hub_fixture_ask(f, WHOSE_STATUS("queued", "open")), 1);
    assert_int_equal(hub_fixture_ask(f, FINISHED), 2);
    assert_int_equal(zhashx_size(f->hub->executions), 1);
    got_done(&g);
}

static void who_waits_for_a_session_that_is_deleted_hears_that(void **state)
{
    struct hub_fixture *f = *state;
    struct got g = { 0 };
    struct session_wish wish = { .name = "a" };
    struct err e;
    assert_non_null(session_create(f->hub, f->user, &wish, got_json, &g));
    assert_int_equal(session_delete(f->hub, session_find(f->hub, f->user, "a"), &e), 0);
    assert_int_equal(g.came, 1);
    assert_int_equal(g.code, ERR_GONE);
    assert_string_equal(g.error, "session 'a' is gone: the session was deleted");
    got_done(&g);
}

/* Its sandbox and its kernel are up, as far as the hub knows; what is sent there goes nowhere. */
static struct session *bring_up(struct hub_fixture *f, const char *name)
{
    struct session *s = session_find(f->hub, f->user, name);
    sandbox_enter(s->sandbox, SANDBOX_UP, 0);
    s->kernel = KERNEL_READY;
    session_pump(s);
    hub_fixture_settle(f);
    assert_non_null(s->running);
    return s;
}

/* Each of its bytes is six in JSON. */
static void code_that_is_too_large_to_be_sent_ends_and_says_so(void **state)
{
    struct hub_fixture *f = *state;
    struct session *s;
    struct got g = { 0 };
    struct err e;
    CLEANUP_BUF struct buf code = BUF_INIT(32u << 20);
    assert_int_equal(config_set(f->config, "limits/max_code_bytes", "32M", "test", &e), 0);
    assert_int_equal(session_open(f->hub, f->user, "a", "python", NULL, NULL, false, &s, &e), 0);
    session_need_kernel(s);
    sandbox_enter(s->sandbox, SANDBOX_UP, 0);
    s->kernel = KERNEL_READY;
    memset(buf_room(&code, 18u << 20), 1, 18u << 20);
    code.len = 18u << 20;
    hub_fixture_submit(f, (struct execution_request){ .code = buf_slice(&code), .session = "a" },
                       &g);
    const struct uuid id = hub_fixture_id_of(&g);
    hub_fixture_settle(f);
    assert_null(s->running);
    assert_null(zhashx_lookup(f->hub->executions, id.text));
    assert_int_equal(hub_fixture_ask(f, "SELECT status = 'cancelled' FROM executions"), 1);
    got_done(&g);
    session_close(s, "the test is over");
}

/* The hub that came after got what fitted of it, which was no JSON. */
static void stdin_that_is_too_large_to_be_kept_is_refused(void **state)
{
    struct hub_fixture *f = *state;
    struct got g = { 0 };
    CLEANUP_BUF struct buf text = BUF_INIT(16u << 20);
    memset(buf_room(&text, 12u << 20), 1, 12u << 20);
    text.len = 12u << 20;
    for (int ephemeral = 0; ephemeral < 2; ephemeral++) {
        hub_fixture_submit(f,
                           (struct execution_request){ .code = SLICE_LITERAL("input()"),
                                                       .not_persistent = ephemeral,
                                                       .has_stdin = true,
                                                       .stdin_text = buf_slice(&text) },
                           &g);
        assert_int_equal(g.code, ERR_TOO_LARGE);
    }
    hub_fixture_settle(f);
    assert_int_equal(f->user->held_bytes, 0);
    assert_int_equal(zhashx_size(f->hub->submitted), 0);
    assert_int_equal(zhashx_size(f->hub->sessions), 1);
    assert_int_equal(hub_fixture_ask(f, "SELECT count(*) FROM executions"), 0);
    got_done(&g);
}

static void what_a_reset_ends_claims_no_use_of_anything(void **state)
{
    struct hub_fixture *f = *state;
    struct got g = { 0 };
    struct err why;
    hub_fixture_submit(f, (struct execution_request){ .session = "a" }, &g);
    struct session *s = bring_up(f, "a");
    (void)err_set(&why, ERR_GONE, "the sandbox was reset");
    sessions_sandbox_reset(s->sandbox, &why);
    hub_fixture_settle(f);
    assert_int_equal(hub_fixture_ask(f,
                                     "SELECT count(*) FROM executions WHERE status ="
                                     " 'interrupted' AND instr(result, '\"resource_usage\":null')"),
                     1);
    got_done(&g);
}

static void a_command_is_no_session_in_what_a_user_has(void **state)
{
    struct hub_fixture *f = *state;
    struct got g = { 0 };
    CLEANUP_BUF struct buf out = BUF_INIT(4096);
    hub_fixture_submit(f, (struct execution_request){ .command = SLICE_LITERAL("[\"ls\"]") }, &g);
    (void)hub_fixture_id_of(&g);
    hub_fixture_submit(f, (struct execution_request){ .session = "a" }, &g);
    sandbox_write_usage(f->hub, f->user, false, &out);
    assert_non_null(strstr(out.data, "\"sessions\":{\"used\":1,\"limit\":3}"));
    assert_non_null(strstr(out.data, "\"running\":0,\"queued\":2,"));
    got_done(&g);
}

static void on_ready(void *arg)
{
    ++*(int *)arg;
}

/* One read finds the feed, one has all its events and says that no more will come. */
static void a_feed_that_has_ended_is_read_once(void **state)
{
    struct hub_fixture *f = *state;
    struct got g = { 0 };
    struct err e;
    uint64_t seq = 0;
    struct slice line;
    int readies = 0, waits = 0;
    enum follow next;
    hub_fixture_submit(f, (struct execution_request){ .session = "a" }, &g);
    struct uuid id = hub_fixture_id_of(&g);
    cancel(f, &id, &g);
    hub_fixture_settle(f);
    struct follower *reader =
        follower_of_execution(f->hub, f->user, &id, 0, true, on_ready, &readies);
    while ((next = follower_next(reader, &seq, &line, &e)) != FOLLOW_END) {
        assert_int_not_equal(next, FOLLOW_FAILED);
        if (next == FOLLOW_WAIT)
            fixture_run(&f->base, &readies, ++waits);
    }
    assert_int_equal(seq, 1); /* `finished` */
    assert_int_equal(waits, 2);
    follower_free(reader);
    got_done(&g);
}

/* ---- what stays open ---- */

static void make_key(struct hub_fixture *f, struct user *u, int64_t expires_us,
                     char ret_hash[USER_HASH_CHARS + 1], struct uuid *ret_id)
{
    char token[USER_KEY_CHARS + 1];
    struct user *who;
    struct slice id;
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf json = BUF_INIT(4096);
    assert_int_equal(user_key_create(f->hub, u, "k", expires_us, token, &json, &e), 0);
    assert_true(json_member_string(buf_slice(&json), "id", &id) && uuid_parse(id, ret_id));
    int result = user_authenticate(f->hub, slice_str(token), &who, ret_hash, &e);
    assert_int_equal(result, expires_us ? -1 : 0);
}

static void revoked_and_expired_keys_and_removed_users_are_shut_out_and_no_others(void **state)
{
    struct hub_fixture *f = *state;
    char stays[USER_HASH_CHARS + 1], revoked[USER_HASH_CHARS + 1], expired[USER_HASH_CHARS + 1];
    struct uuid id, revoked_id;
    struct user *u;
    struct err e = ERR_INIT;
    assert_int_equal(user_create(f->hub, "u", false, &u, &e), 0);
    make_key(f, u, 0, stays, &id);
    make_key(f, u, 0, revoked, &revoked_id);
    make_key(f, u, hub_unix_us() - 1, expired, &id);
    assert_null(user_shut_out(f->hub, u, stays));
    assert_null(user_shut_out(f->hub, u, revoked));
    assert_int_equal(user_key_revoke(f->hub, &revoked_id, &e), 0);
    assert_string_equal(user_shut_out(f->hub, u, revoked), "the key was revoked");
    assert_string_equal(user_shut_out(f->hub, u, expired), "the key has expired");
    assert_null(user_shut_out(f->hub, u, stays));
    assert_null(user_shut_out(f->hub, f->user, "")); /* server/auth none */
    assert_int_equal(user_remove(f->hub, u, &e), 0);
    assert_string_equal(user_shut_out(f->hub, u, stays), "the user was removed");
}

/* A keeper that has no sandbox and one image, and makes no sandbox. */
struct keeper {
    struct hub_fixture *f;
    int door, fd;
    int asked, created; /* how often it was asked for its images and to make a sandbox */
    bool is_looking;    /* at its images, and does not say what it has meanwhile */
    uint64_t images_id; /* of what it has not answered */
};

static void answer_verb(struct keeper *k, const struct verb_request *r)
{
    static const char IMAGES[] =
        ",\"images\":[{\"template\":\"slim\",\"image\":\"slim\",\"digest\":"
        "\"sha256:1\",\"kernelspecs\":{\"python3\":{\"argv\":[\"python3\"],\"language\":\"python\"}"
        "}}]";
    static const char HELLO[] = ",\"version\":2,\"keeper_epoch\":1,\"boot_id\":"
                                "\"11111111-1111-4222-8333-444455556666\"";
    CLEANUP_BUF struct buf out = BUF_INIT(4096);
    k->asked += r->verb == VERB_IMAGES;
    k->created += r->verb == VERB_CREATE;
    if (r->verb == VERB_IMAGES)
        k->images_id = r->id;
    if (r->verb == VERB_CREATE || (r->verb == VERB_IMAGES && k->is_looking))
        return;
    verb_encode_ok(&out, r->id,
                   slice_str(r->verb == VERB_HELLO    ? HELLO
                             : r->verb == VERB_IMAGES ? IMAGES
                                                      : ",\"sandboxes\":[]"));
    assert_int_equal(send(k->fd, out.data, out.len, MSG_NOSIGNAL), (ssize_t)out.len);
}

static int on_verbs(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    char text[8192];
    ssize_t n = recv(item->fd, text, sizeof text, MSG_DONTWAIT);
    struct slice body;
    struct verb_request r;
    struct err e;
    size_t used;
    for (size_t at = 0; n > 0 && frame_decode(slice_of(text + at, (size_t)n - at), sizeof text,
                                              &body, &used) == DECODE_OK;
         at += used)
        if (verb_decode_request(body, &r, &e) == DECODE_OK)
            answer_verb(arg, &r);
    return 0;
}

static int on_knock(struct loop *loop, zmq_pollitem_t *item, void *arg)
{
    struct keeper *k = arg;
    k->fd = accept(item->fd, NULL, NULL);
    zmq_pollitem_t verbs = { .fd = k->fd, .events = ZMQ_POLLIN };
    loop_poller(loop, &verbs, on_verbs, k);
    return 0;
}

static void keeper_open(struct keeper *k, struct hub_fixture *f)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    *k = (struct keeper){ .f = f, .fd = -1 };
    snprintf(address.sun_path, sizeof address.sun_path, "%.90s/keeper.sock", f->base.dir);
    k->door = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(k->door, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(k->door, 1), 0);
    zmq_pollitem_t item = { .fd = k->door, .events = ZMQ_POLLIN };
    loop_poller(f->base.loop, &item, on_knock, k);
}

static void keeper_close(struct keeper *k)
{
    zmq_pollitem_t door = { .fd = k->door }, verbs = { .fd = k->fd };
    loop_poller_end(k->f->base.loop, &door);
    loop_poller_end(k->f->base.loop, &verbs);
    close(k->door);
    close(k->fd);
    char path[160];
    snprintf(path, sizeof path, "%s/keeper.sock", k->f->base.dir);
    assert_int_equal(unlink(path), 0);
}

static void the_catalog_is_remembered_without_waiting_for_the_disk(void **state)
{
    static const char IS_REMEMBERED[] = "SELECT count(*) FROM settings WHERE name = 'catalog'";
    struct hub_fixture *f = *state;
    struct keeper k;
    keeper_open(&k, f);
    store_hold(f->hub->store);
    fixture_run(&f->base, &k.asked, 1);
    run_on_time(f, 20);
    int64_t before = hub_fixture_ask(f, IS_REMEMBERED);
    store_release(f->hub->store);
    hub_fixture_settle(f);
    keeper_close(&k);
    assert_int_equal(before, 0);
    assert_int_equal(hub_fixture_ask(f, IS_REMEMBERED), 1);
}

/* The images may be others than those of before, or none yet: the keeper would know of no such sandbox. */
static void a_catalog_of_before_does_not_stand_for_the_images_of_now(void **state)
{
    struct hub_fixture *f = *state;
    struct keeper k;
    struct got g = { 0 };
    keeper_open(&k, f);
    fixture_run(&f->base, &k.asked, 1);
    keeper_close(&k);
    hub_fixture_reopen(f);
    assert_true(f->hub->catalog_is_recalled);
    keeper_open(&k, f);
    k.is_looking = true;
    hub_fixture_submit(f, (struct execution_request){ .session = "a" }, &g);
    assert_string_equal(g.error, "");
    fixture_run(&f->base, &k.asked, 1);
    run_on_time(f, 50);
    int before = k.created;
    k.is_looking = false;
    answer_verb(&k, &(struct verb_request){ .verb = VERB_IMAGES, .id = k.images_id });
    fixture_run(&f->base, &k.created, 1);
    keeper_close(&k);
    assert_int_equal(before, 0);
    got_done(&g);
}

static void a_kernelspec_names_its_logos_and_gives_their_bytes(void **state)
{
    static const char IMAGES[] = "{\"images\":[{\"template\":\"slim\",\"image\":\"slim\","
                                 "\"digest\":\"sha256:0\",\"kernelspecs\":{"
                                 "\"python3\":{\"language\":\"python\"},\"bash\":{\"language\":"
                                 "\"bash\"}},\"logos\":{\"python3\":"
                                 "{\"logo-64x64.png\":\"iVBORw0KGgoh\",\"logo-svg.svg\":\"PHN2Zy8+"
                                 "\",\"logo-32x32.png\":\"no-base64\"}}}]}";
    struct hub_fixture *f = *state;
    CLEANUP_BUF struct buf out = BUF_INIT(65536), bytes = BUF_INIT(65536), again = BUF_INIT(65536);
    char tag[JUPYTER_LOGO_TAG_CHARS + 1], other[sizeof tag];
    catalog_load(f->hub->catalog, slice_str(IMAGES));
    jupyter_write_specs(f->hub, &out);
    assert_true(json_valid(buf_slice(&out)));
    assert_non_null(strstr(out.data,
                           "\"resources\":{\"logo-64x64\":\"/kernelspecs/python3/logo-64x64.png\","
                           "\"logo-svg\":\"/kernelspecs/python3/logo-svg.svg\","));
    assert_non_null(strstr(out.data, "\"resources\":{}"));
    assert_true(jupyter_write_logo(f->hub, "python3", "logo-64x64.png", &bytes, tag));
    assert_true(bytes.len == 9 && memcmp(bytes.data, "\x89PNG\r\n\x1a\n!", 9) == 0);
    assert_true(jupyter_write_logo(f->hub, "python3", "logo-svg.svg", &again, other));
    assert_true(slice_is(buf_slice(&again), "<svg/>"));
    assert_int_equal(strlen(tag), JUPYTER_LOGO_TAG_CHARS);
    assert_string_not_equal(tag, other);
    assert_false(jupyter_write_logo(f->hub, "python3", "logo-32x32.png", &again, tag));
    assert_false(jupyter_write_logo(f->hub, "python3", "kernel.js", &again, tag));
    assert_false(jupyter_write_logo(f->hub, "bash", "logo-svg.svg", &again, tag));
    assert_false(jupyter_write_logo(f->hub, "none", "logo-svg.svg", &again, tag));
}

#define WITH_HUB(test)                                                                             \
    cmocka_unit_test_setup_teardown(test, hub_fixture_setup, hub_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HUB(an_end_and_its_finished_are_one_commit),
        WITH_HUB(an_ephemeral_session_goes_with_its_execution_however_that_ends),
        WITH_HUB(an_ephemeral_session_without_its_execution_is_not_taken_over),
        WITH_HUB(a_repeat_attaches_whatever_stands_in_the_way_of_a_new_one),
        WITH_HUB(a_repeat_of_what_is_not_committed_yet_attaches),
        WITH_HUB(a_repeat_needs_no_session_of_its_own),
        WITH_HUB(who_waits_for_a_session_that_is_deleted_hears_that),
        WITH_HUB(code_that_is_too_large_to_be_sent_ends_and_says_so),
        WITH_HUB(stdin_that_is_too_large_to_be_kept_is_refused),
        WITH_HUB(what_a_reset_ends_claims_no_use_of_anything),
        WITH_HUB(a_command_is_no_session_in_what_a_user_has),
        WITH_HUB(a_feed_that_has_ended_is_read_once),
        WITH_HUB(the_catalog_is_remembered_without_waiting_for_the_disk),
        WITH_HUB(a_catalog_of_before_does_not_stand_for_the_images_of_now),
        WITH_HUB(a_kernelspec_names_its_logos_and_gives_their_bytes),
        WITH_HUB(what_is_open_in_a_session_that_has_ended_ends_at_recovery),
        WITH_HUB(revoked_and_expired_keys_and_removed_users_are_shut_out_and_no_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
