#include "cmd/bridge_internal.h"

#include <czmq.h>

#include "base/json.h"

#define INITIALIZED    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"
#define MAX_SESSIONS   3 /* for one call: each was gone again as soon as it was there */
#define MIN_RENEWAL_MS 5000

bool bridge_is_modern(const struct bridge *b, const struct bridge_message *m)
{
    switch (b->era) {
    case BRIDGE_LEGACY:
        return false;
    case BRIDGE_MODERN:
        return true;
    case BRIDGE_UNDECIDED:
        break;
    }
    return m->version.len && !bridge_message_is(m, "initialize");
}

/* ---- what a second handshake needs ---- */

static struct slice uri_of(const struct bridge_message *m)
{
    struct slice uri = slice_of(NULL, 0);

    (void)json_member_string(m->params, "uri", &uri); /* none: empty */
    return uri;
}

static void forget(struct bridge *b, size_t i)
{
    buf_done(&b->kept[i]);
    b->kept[i] = b->kept[--b->n_kept];
    buf_init(&b->kept[b->n_kept], BRIDGE_MAX_LINE);
}

/* The newest of each: a subscription of a resource, the level of logs. */
static void keep(struct bridge *b, const struct bridge_message *m)
{
    bool is_level = bridge_message_is(m, "logging/setLevel");
    struct bridge_message old;

    for (size_t i = 0; i < b->n_kept; i++)
        if (bridge_message_read(buf_slice(&b->kept[i]), &old) &&
            is_level == bridge_message_is(&old, "logging/setLevel") &&
            (is_level || slice_equal(uri_of(&old), uri_of(m))))
            forget(b, i--);
    if (bridge_message_is(m, "resources/unsubscribe"))
        return;
    if (b->n_kept == BRIDGE_MAX_KEPT)
        forget(b, 0); /* the service has fewer */
    buf_add_slice(&b->kept[b->n_kept++], m->text);
}

static void forget_all(struct bridge *b)
{
    while (b->n_kept)
        forget(b, b->n_kept - 1);
    b->session[0] = b->version[0] = '\0';
    buf_reset(&b->hello);
    buf_reset(&b->welcome);
    b->state = BRIDGE_NO_SESSION;
}

/* ---- the session's life ---- */

static void end_listening(struct bridge *b)
{
    for (struct bridge_call *c = b->calls, *next; c; c = next) {
        next = c->next;
        if (c->purpose == BRIDGE_LISTEN)
            bridge_call_free(c);
    }
}

void bridge_say_goodbye(struct bridge *b)
{
    if (!b->session[0])
        return;
    struct bridge_call *c = bridge_call_add(b, BRIDGE_GOODBYE, slice_of(NULL, 0), true);
    (void)snprintf(c->session, sizeof c->session, "%s", b->session);
}

void bridge_on_new(struct bridge_call *c)
{
    struct bridge *b = c->bridge;

    c->is_modern = bridge_is_modern(b, &c->message);
    if (c->is_modern)
        return;
    c->is_barrier = bridge_message_is(&c->message, "initialize") ||
                    bridge_message_is(&c->message, "notifications/initialized");
    if (!bridge_message_is(&c->message, "initialize"))
        return;
    end_listening(b);
    bridge_say_goodbye(b);
    forget_all(b);
    buf_add_slice(&b->hello, c->message.text);
}

static bool is_hello(const struct bridge_call *c)
{
    return !c->is_modern && bridge_message_is(&c->message, "initialize");
}

void bridge_on_headers(struct bridge_call *c)
{
    struct curl_header *h = NULL;

    if (is_hello(c) &&
        curl_easy_header(c->curl, "Mcp-Session-Id", 0, CURLH_HEADER, -1, &h) == CURLHE_OK &&
        strlen(h->value) < sizeof c->bridge->session)
        (void)snprintf(c->session, sizeof c->session, "%s", h->value);
}

/* The era is the one of the first request that was answered with a result. */
static void decide_era(struct bridge_call *c)
{
    struct bridge *b = c->bridge;

    if (b->era != BRIDGE_UNDECIDED)
        return;
    b->era = c->is_modern ? BRIDGE_MODERN : BRIDGE_LEGACY;
    if (c->is_modern)
        (void)json_copy_string(c->message.version, b->version,
                               sizeof b->version); /* too long: the service would not have it */
}

static bool is_same(struct slice a, struct slice b, const char *member)
{
    struct slice x = slice_of(NULL, 0), y = slice_of(NULL, 0);

    (void)json_member(a, member, &x); /* absent in both is the same */
    (void)json_member(b, member, &y);
    return slice_equal(x, y);
}

/* What the client was told of the service must hold for the new session. */
static void compare(struct bridge *b, struct slice welcome)
{
    struct slice before = buf_slice(&b->welcome);

    b->state =
        is_same(before, welcome, "protocolVersion") && is_same(before, welcome, "capabilities")
            ? BRIDGE_OPENING
            : BRIDGE_CHANGED;
}

void bridge_on_answer(struct bridge_call *c, struct slice text)
{
    struct bridge *b = c->bridge;
    struct slice result, version;

    if (!json_member(text, "result", &result))
        return;
    decide_era(c);
    if (!is_hello(c))
        return;
    if (c->purpose == BRIDGE_AGAIN) {
        compare(b, result);
    } else {
        buf_reset(&b->welcome);
        buf_add_slice(&b->welcome, result);
        b->state = BRIDGE_OPEN;
    }
    (void)snprintf(b->session, sizeof b->session, "%s", c->session);
    if (json_member_string(result, "protocolVersion", &version))
        (void)json_copy_string(version, b->version, sizeof b->version);
}

static void say_again(struct bridge *b, struct slice text)
{
    struct bridge_call *c = bridge_call_add(b, BRIDGE_AGAIN, text, true);

    c->is_barrier = true;
}

/* The handshake's second half, and what the old session knew. They are put before all that waits: the last first. */
static void go_on_again(struct bridge *b)
{
    if (b->state != BRIDGE_OPENING)
        return;
    for (size_t i = b->n_kept; i > 0; i--)
        say_again(b, buf_slice(&b->kept[i - 1]));
    say_again(b, SLICE_LITERAL(INITIALIZED));
}

static void begin_listening(struct bridge *b)
{
    end_listening(b);
    if (b->session[0])
        (void)bridge_call_add(b, BRIDGE_LISTEN, slice_of(NULL, 0), false);
}

void bridge_on_done(struct bridge_call *c)
{
    struct bridge *b = c->bridge;
    const struct bridge_message *m = &c->message;

    if (c->is_modern)
        return;
    if (bridge_message_is(m, "notifications/initialized")) {
        b->state = BRIDGE_OPEN;
        begin_listening(b);
    } else if (is_hello(c) && c->purpose == BRIDGE_AGAIN) {
        go_on_again(b);
    } else if (c->purpose == BRIDGE_FOR_CLIENT && (bridge_message_is(m, "resources/subscribe") ||
                                                   bridge_message_is(m, "resources/unsubscribe") ||
                                                   bridge_message_is(m, "logging/setLevel"))) {
        keep(b, m);
    }
}

static void shake_hands_again(struct bridge *b)
{
    b->state = BRIDGE_OPENING;
    b->renewed_ms = zclock_mono();
    say_again(b, buf_slice(&b->hello));
}

/* Who only listens would never hear that it has to ask again. One that is gone at once has to be asked for. */
static void listen_on(struct bridge *b)
{
    if (b->state == BRIDGE_GONE && zclock_mono() - b->renewed_ms >= MIN_RENEWAL_MS)
        shake_hands_again(b);
}

void bridge_on_gone(struct bridge_call *c)
{
    struct bridge *b = c->bridge;
    struct err e = ERR_INIT;

    if (b->state == BRIDGE_OPEN && strcmp(c->session, b->session) == 0)
        b->state = BRIDGE_GONE;
    if (c->is_resumed) {
        (void)err_set(&e, ERR_GONE,
                      "the service was started again while this ran: what was begun may run on, "
                      "list_sandboxes shows what runs, get_execution what became of it");
        bridge_call_fail(c, &e);
    } else if (c->sessions++ >= MAX_SESSIONS || c->purpose == BRIDGE_AGAIN) {
        (void)err_set(&e, ERR_GONE, "the service does not know this session any more");
        bridge_call_fail(c, &e);
    } else if (c->purpose == BRIDGE_LISTEN) {
        bridge_call_free(c); /* the next session has its own */
        listen_on(b);
    } else {
        c->tries = 0;
        bridge_call_stop(c); /* it was not looked at: once more, in the next session */
    }
}

/* All that waits for that session. */
void bridge_on_again_failed(struct bridge_call *c, const struct err *e)
{
    struct bridge *b = c->bridge;

    if (!is_hello(c) && !bridge_message_is(&c->message, "notifications/initialized")) {
        bridge_log(c, e); /* a subscription less */
        return;
    }
    b->state = BRIDGE_GONE;
    for (struct bridge_call *at = b->calls, *next; at; at = next) {
        next = at->next;
        if (at != c && !at->curl && at->purpose == BRIDGE_FOR_CLIENT && !at->is_modern &&
            !is_hello(at))
            bridge_call_fail(at, e);
    }
}

int bridge_session_ready(struct bridge_call *c, bool *ret_ready, struct err *e)
{
    struct bridge *b = c->bridge;

    *ret_ready = true;
    if (c->is_modern || is_hello(c) || c->purpose != BRIDGE_FOR_CLIENT)
        return 0;
    if (b->state == BRIDGE_CHANGED)
        return err_set(e, ERR_GONE,
                       "the service was started again and is another now: begin this session anew");
    if (b->state != BRIDGE_GONE)
        return 0;
    end_listening(b);
    shake_hands_again(b);
    *ret_ready = false;
    return 0;
}
