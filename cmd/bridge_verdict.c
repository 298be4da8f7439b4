#include <czmq.h>

#include "base/json.h"
#include "cmd/bridge_internal.h"
#include "cmd/client_curl.h"

#define MAX_TRIES      8 /* two seconds and a half: a service that is started again takes less */
#define FIRST_DELAY_MS 50
#define MAX_DELAY_MS   500
#define LISTEN_MS      1000 /* the stream of notifications is missed by nobody for so long */
#define MAX_LISTEN_MS  15000
#define MIN_RESUME_MS  20
#define MAX_RESUME_MS  15000

static void finish(struct bridge_call *c)
{
    bridge_on_done(c);
    bridge_call_free(c);
}

void bridge_call_fail(struct bridge_call *c, const struct err *e)
{
    struct json_iter it;
    struct bridge_message m;

    if (c->purpose == BRIDGE_AGAIN) {
        bridge_on_again_failed(c, e);
    } else if (c->message.kind == BRIDGE_REQUEST) {
        if (!c->is_cancelled && !c->is_answered)
            bridge_say_error(c->bridge, c->message.id, e);
    } else if (json_type(c->message.text) == JSON_ARRAY) {
        it = json_iter(c->message.text);
        while (json_next(&it))
            if (bridge_message_read(it.value, &m) && m.kind == BRIDGE_REQUEST)
                bridge_say_error(c->bridge, m.id, e);
    } else {
        bridge_log(c, e);
    }
    bridge_call_free(c);
}

/* Once more, a little later: longer and longer. */
static void again(struct bridge_call *c)
{
    int64_t delay_ms = (int64_t)FIRST_DELAY_MS << (c->tries < 5 ? c->tries : 5);

    c->tries++;
    c->not_before_ms = zclock_mono() + (delay_ms < MAX_DELAY_MS ? delay_ms : MAX_DELAY_MS);
    bridge_call_stop(c);
}

/* A stream that ended before its answer goes on behind its last event. False: nobody has told how. */
static bool resume(struct bridge_call *c, bool has_broken)
{
    bridge_call_note_stream(c);
    if (!c->last_event[0] || c->message.kind != BRIDGE_REQUEST || c->is_answered ||
        c->tries >= MAX_TRIES)
        return false;
    c->is_resumed = true;
    if (has_broken) {
        again(c);
        return true;
    }
    int64_t delay_ms = c->retry_ms < MIN_RESUME_MS ? MIN_RESUME_MS : c->retry_ms;
    c->not_before_ms = zclock_mono() + (delay_ms < MAX_RESUME_MS ? delay_ms : MAX_RESUME_MS);
    bridge_call_stop(c);
    return true;
}

/* The stream of notifications is nobody's answer: it is asked for again as long as the session is there. */
static void listen_again(struct bridge_call *c, long status)
{
    if (status == 200)
        c->tries = 0;
    int64_t delay_ms = (int64_t)LISTEN_MS << (c->tries < 4 ? c->tries : 4);
    if (status == 405 || strcmp(c->session, c->bridge->session) != 0) {
        bridge_call_free(c); /* there is none, or it was another session's */
        return;
    }
    c->tries++;
    c->not_before_ms = zclock_mono() + (delay_ms < MAX_LISTEN_MS ? delay_ms : MAX_LISTEN_MS);
    bridge_call_stop(c);
}

static void on_no_way(struct bridge_call *c, CURLcode code)
{
    const char *url = c->bridge->settings->url;
    struct err e = ERR_INIT;
    long sent = 0;

    (void)curl_easy_getinfo(c->curl, CURLINFO_REQUEST_SIZE, &sent);
    if (c->is_answered || c->is_cancelled) {
        finish(c); /* what came behind the answer is of no use to anybody */
        return;
    }
    if (code != CURLE_WRITE_ERROR && resume(c, true))
        return;
    if (code == CURLE_WRITE_ERROR)
        (void)err_set(&e, ERR_TOO_LARGE, "the service's answer is larger than %u bytes",
                      SSE_READER_MAX_BYTES);
    else if (c->bridge->has_reached && c->tries < MAX_TRIES &&
             (sent == 0 || bridge_call_is_repeatable(c))) {
        again(c);
        return;
    } else if (sent == 0)
        (void)err_set(
            &e, ERR_UNAVAILABLE,
            "no service answers at %s: start it with 'kernelhub serve', or say where it is "
            "with --url or KERNELHUB_URL",
            url);
    else
        (void)err_set(&e, ERR_UNAVAILABLE,
                      "the connection to %s broke off (%s): what was begun may run on, "
                      "list_sandboxes shows what runs, get_execution what became of it",
                      url, c->error[0] ? c->error : curl_easy_strerror(code));
    bridge_call_fail(c, &e);
}

/* A good status: the reply is here, or its stream has ended. */
static void on_reply(struct bridge_call *c)
{
    struct err e = ERR_INIT;

    if (!c->is_stream && c->reply.len > 0) {
        if (!json_valid(buf_slice(&c->reply))) {
            (void)err_set(&e, ERR_INTERNAL,
                          "%s answered something that is no JSON: is that Kernelhub?",
                          c->bridge->settings->url);
            bridge_call_fail(c, &e);
            return;
        }
        bridge_call_hear_reply(c);
    }
    if (c->message.kind == BRIDGE_REQUEST && !c->is_answered && !c->is_cancelled) {
        if (resume(c, false))
            return;
        (void)err_set(&e, ERR_INTERNAL, "the service ended its reply without an answer");
        bridge_call_fail(c, &e);
        return;
    }
    finish(c);
}

/* What the service refuses it says in JSON-RPC where it has read the message, and else as its REST API does. */
static void on_refusal(struct bridge_call *c, long status)
{
    CLEANUP_BUF struct buf line = BUF_INIT(BRIDGE_MAX_LINE);
    struct err e = ERR_INIT;

    bool is_told = bridge_message_adopt(
        &line, c->message.kind == BRIDGE_REQUEST ? c->message.id : slice_of(NULL, 0),
        buf_slice(&c->reply));
    if (!is_told && status == 503 && c->tries < MAX_TRIES) {
        again(c); /* it was not looked at: the service is about to begin, or to end */
        return;
    }
    if (is_told && c->purpose == BRIDGE_FOR_CLIENT && c->message.kind != BRIDGE_NOTIFICATION) {
        if (!c->is_cancelled)
            bridge_say(c->bridge, buf_slice(&line));
        bridge_call_free(c);
        return;
    }
    if (is_told)
        (void)err_set(&e, ERR_INTERNAL, "the service answers HTTP %ld: %.300s", status, line.data);
    else
        (void)client_api_error(c->bridge->settings->client, buf_slice(&c->reply), status, &e);
    if (e.code == ERR_UNAUTHORIZED) {
        struct err told = e;
        (void)err_set(&e, ERR_UNAUTHORIZED, "%.300s: give a key with --token or KERNELHUB_TOKEN",
                      told.text);
    }
    bridge_call_fail(c, &e);
}

void bridge_call_ended(struct bridge_call *c, CURLcode code)
{
    long status = 0;

    (void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    c->bridge->has_reached = c->bridge->has_reached || status != 0;
    if (c->purpose == BRIDGE_LISTEN && status != 404)
        listen_again(c, status);
    else if (c->purpose == BRIDGE_GOODBYE)
        bridge_call_free(c);
    else if (code != CURLE_OK || status == 0)
        on_no_way(c, code);
    else if (status >= 200 && status < 300)
        on_reply(c);
    else if (status == 404 && c->session[0])
        bridge_on_gone(c);
    else if (c->is_resumed && status == 409 && c->tries < MAX_TRIES)
        again(c); /* 409: the service has not seen yet that the line is cut */
    else
        on_refusal(c, status);
}
