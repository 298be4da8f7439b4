/* bridge_internal.h - what the parts of a bridge know of each other.
 *
 *     bridge.c          the loop, the client's lines, the end
 *     bridge_call.c     one exchange over HTTP: how it is made, and its bytes
 *     bridge_verdict.c  what becomes of a call when its exchange has ended
 *     bridge_session.c  the era, the session and its second handshake */
#ifndef CMD_BRIDGE_INTERNAL_H
#define CMD_BRIDGE_INTERNAL_H

#include <curl/curl.h>

#include "cmd/bridge.h"
#include "cmd/bridge_lines.h"
#include "cmd/bridge_message.h"
#include "cmd/sse_reader.h"

#define BRIDGE_SESSION_SIZE 257
#define BRIDGE_VERSION_SIZE 65
#define BRIDGE_MAX_KEPT     64 /* messages of a session that a second handshake repeats */

enum bridge_purpose {
    BRIDGE_FOR_CLIENT, /* its message: what is answered is the client's */
    BRIDGE_AGAIN,      /* a message that the client sent before: the answer is ours */
    BRIDGE_LISTEN,     /* the stream of what belongs to no request: GET */
    BRIDGE_GOODBYE,    /* DELETE */
};

/* One exchange. It waits until everything before it that is a barrier has ended. */
struct bridge_call {
    struct bridge *bridge;
    struct bridge_call *next;
    enum bridge_purpose purpose;
    struct buf body;
    struct bridge_message message; /* of body */
    bool is_modern, is_barrier;
    bool is_cancelled; /* nobody waits for its answer */

    CURL *curl; /* NULL: waits */
    struct curl_slist *headers;
    char session[BRIDGE_SESSION_SIZE]; /* that it was sent in */
    struct sse_reader events;
    struct buf reply; /* what is no stream */
    bool is_answered, is_stream, is_paused;
    bool is_resumed;                     /* asked for by its last event: GET */
    char last_event[SSE_READER_ID_SIZE]; /* of its stream; "": it cannot be asked for again */
    int64_t retry_ms;                    /* after which it wants to be; -1: not said */
    char error[CURL_ERROR_SIZE];

    unsigned sessions; /* that were gone when it came */
    unsigned tries;    /* since the last that brought something */
    int64_t not_before_ms;
};

enum bridge_era { BRIDGE_UNDECIDED, BRIDGE_LEGACY, BRIDGE_MODERN };

enum bridge_session_state {
    BRIDGE_NO_SESSION,
    BRIDGE_OPEN,
    BRIDGE_GONE, /* the service knows it no more: before the next call there is another handshake */
    BRIDGE_OPENING, /* that handshake is under way */
    BRIDGE_CHANGED, /* it led to something else than the client was told */
};

struct bridge {
    const struct bridge_settings *settings;
    CURLM *multi;
    struct bridge_input in;
    struct bridge_output out;
    struct bridge_call *calls; /* as they came */
    size_t n_calls, n_bytes;
    bool has_reached; /* somebody answered, once */

    enum bridge_era era;
    enum bridge_session_state state;
    char session[BRIDGE_SESSION_SIZE], version[BRIDGE_VERSION_SIZE];
    struct buf hello, welcome;        /* the client's initialize, and the result it was told */
    struct buf kept[BRIDGE_MAX_KEPT]; /* its subscriptions, its level of logs */
    size_t n_kept;
    int64_t renewed_ms; /* when the last handshake of ours began */

    enum { BRIDGE_RUNS, BRIDGE_FINISHES, BRIDGE_CANCELS } stage;
    int64_t end_ms; /* of a stage that ends by itself */
};

/* ---- bridge.c ---- */
void bridge_say(struct bridge *b, struct slice text); /* a line to the client; checked JSON */
void bridge_say_error(struct bridge *b, struct slice id, const struct err *e);
void bridge_log(const struct bridge_call *c, const struct err *e); /* what nobody can be answered */

/* ---- bridge_call.c ---- */
/* At the end of the list, or before all that wait. */
struct bridge_call *bridge_call_add(struct bridge *b, enum bridge_purpose purpose,
                                    struct slice body, bool first);
void bridge_call_free(struct bridge_call *c); /* takes it out of the list too */
int bridge_call_start(struct bridge_call *c, struct err *e);
void bridge_call_stop(struct bridge_call *c);                /* it waits again */
void bridge_call_note_stream(struct bridge_call *c);         /* last_event, retry_ms */
void bridge_call_go_on(struct bridge_call *c);               /* the client reads again */
bool bridge_call_is_repeatable(const struct bridge_call *c); /* sent twice it does nothing more */
void bridge_call_hear_reply(struct bridge_call *c);          /* that was no stream; checked JSON */
bool bridge_call_is_sent(const struct bridge_call *c);       /* all of it */
struct bridge_call *bridge_call_find(struct bridge *b,
                                     struct slice id); /* a request that runs or waits */

/* ---- bridge_verdict.c ---- */
void bridge_call_ended(struct bridge_call *c, CURLcode code);      /* may free it */
void bridge_call_fail(struct bridge_call *c, const struct err *e); /* answers it so, and frees it */

/* ---- bridge_session.c ---- */
bool bridge_is_modern(const struct bridge *b, const struct bridge_message *m);
void bridge_on_new(struct bridge_call *c);     /* a message of the client has become a call */
void bridge_on_headers(struct bridge_call *c); /* of a good reply */
void bridge_on_answer(struct bridge_call *c, struct slice text);
void bridge_on_done(struct bridge_call *c); /* it has ended well */
void bridge_on_gone(struct bridge_call *c); /* its session is unknown to the service */
void bridge_say_goodbye(struct bridge *b);  /* to the session there is */
void bridge_on_again_failed(struct bridge_call *c, const struct err *e);
/* Whether a call of the client's may be sent now; makes the handshake that it needs before. -1: it cannot be. */
int bridge_session_ready(struct bridge_call *c, bool *ret_ready, struct err *e);

#endif
