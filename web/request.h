/* request.h - one HTTP request, from its first line to its reply's last byte. */
#ifndef WEB_REQUEST_H
#define WEB_REQUEST_H

#include <microhttpd.h>

#include "base/uuid.h"
#include "kernelhub/user.h"
#include "web/connection.h"
#include "web/head.h"
#include "web/query.h"
#include "web/router.h"
#include "web/site.h"

struct stream;

enum request_state {
    REQUEST_HEAD,      /* its first line is known */
    REQUEST_BEGINNING, /* its handler looks whether it wants the body (ROUTE_PIECES) */
    REQUEST_BODY,    /* the body comes; it may have its reply already (an error) */
    REQUEST_WAITING, /* the handler has run and the connection is suspended */
    REQUEST_REPLYING,
    REQUEST_LEFT, /* the client has gone: libmicrohttpd is told when it asks next */
};

/* Who takes a body piece by piece, however long it is. */
struct body_taker {
    /* Returns how many of the bytes it took. Fewer than all: the client waits until request_wake. */
    size_t (*take)(void *arg, struct slice bytes);
    void (*end)(void *arg); /* that was all: decide the reply, now or later */
    void *arg;
};

struct request {
    struct site *site;
    struct connection *socket;
    struct MHD_Connection *mhd;
    enum request_state state;
    struct uuid id; /* X-Request-Id */
    char *uri;      /* as it came; never logged: it may hold a token */
    struct slice
        path; /* of uri, without query and without "/t/T"; empty until the gate has cut it out */
    int64_t begun_us;

    struct head head;
    struct query query;
    struct route_match match;
    struct user *user;                  /* NULL on routes that need none */
    char user_key[USER_HASH_CHARS + 1]; /* user_authenticate's: which of his keys let him in */
    struct buf body;
    struct body_taker taker; /* take is NULL: the body is collected */
    bool is_taker_ready;
    uint64_t taken_bytes; /* of the body */
    size_t discarded_bytes; /* of a body that nobody wants, read so that the connection stays in
                               order */

    struct wait *wait; /* a verb of the hub under way */
    struct stream *stream;
    void *work; /* whatever else the handler made */
    void (*work_done)(void *work, bool completed);
    void (*on_tick)(void *work, int64_t now_ms); /* every few seconds; NULL: no need */
    bool is_suspended;
    bool is_stored; /* ROUTE_STORED: nothing that the reply promises can be lost any more */
    bool is_http_1_1;
    bool is_head; /* HEAD: the reply has no body */
    bool is_large;    /* its body is above what every route takes */
    bool is_accounted; /* its status and time are in the metrics */

    struct MHD_Response *response; /* once the reply is decided */
    unsigned status;
    bool is_cross; /* a page of another site asks that may: its browser has to be told so */
    const char *hint; /* for the error, when the handler knows better */
    char allow[64];   /* for 405 */
    char *set_cookie; /* for the reply: a login that is renewed; NULL: it stays as it is */
};

/* `uri` is copied. */
struct request *request_new(struct site *site, struct connection *socket,
                            struct MHD_Connection *mhd, const char *uri);
/* completed: the reply's last byte has been sent. Calls work_done. NULL is fine. */
void request_free(struct request *r, bool completed);

/* libmicrohttpd asks what to do next: once for the head, then for each piece of the body, then at
 * its end and whenever the connection was resumed. Takes *size bytes of data. */
enum MHD_Result request_turn(struct request *r, const char *method, const char *version,
                             const char *data, size_t *size);

/* Its 101 was sent: for the metrics it is over, though it stays as long as the connection. */
void request_upgraded(struct request *r);

/* No more turns until request_wake. From within a turn or the stream's reader only. */
void request_suspend(struct request *r);
void request_wake(struct request *r);

/* The client has gone. Nothing happens unless the connection is suspended: else libmicrohttpd sees
 * it itself. */
void request_client_left(struct request *r);
/* The server stops: a waiting request gets its 503, a stream its end. */
void request_drain(struct request *r);

/* From a handler of ROUTE_PIECES, before the body: it goes to the taker, from request_open_body on. Until then, and whenever the taker
 * has no room, the client waits. An error that is replied meanwhile ends it: what comes then is thrown away. */
void request_take_body(struct request *r, const struct body_taker *taker);
void request_open_body(struct request *r);

/* Keeps a wait to cancel it when the client leaves. NULL (answered already) changes nothing. */
void request_wait(struct request *r, struct wait *w);
/* A reply_fn with the request as its argument: 200 with the JSON, or the error. */
void request_answer(void *arg, const struct err *e, struct slice json);
void request_answer_created(void *arg, const struct err *e, struct slice json); /* 201 */

/* For a POST that says all in its path: no body, or {}. False: the reply is decided. */
bool request_has_empty_body(struct request *r);

void request_work(struct request *r, void *work, void (*done)(void *work, bool completed));

static inline const char *request_part(const struct request *r, size_t i)
{
    return r->match.part[i];
}

/* The execution named in the path. What is no UUID does not exist either: false, and the reply is decided. */
bool request_execution(struct request *r, struct uuid *ret);

/* Whether its path is one of the Jupyter Server API's, there or not: errors are said as that says them. */
bool request_is_jupyter(const struct request *r);
/* Whether it is one of MCP's. */
bool request_is_mcp(const struct request *r);

static inline bool request_has_flag(const struct request *r, enum route_flag flag)
{
    return r->match.route && (r->match.route->flags & flag);
}

#endif
