/* mcp_call.h - one request of an MCP client that is being worked on, whatever it came over: what was asked, and the
 * verbs to answer it.
 *
 *     handler(call) ──► verbs of the hub ──► mcp_call_progress … ──► one mcp_call_result or mcp_call_error
 *
 * Each call is answered once, by whoever handles it, now or later; the verb that answers frees it. A client that cancels
 * does not change that: is_cancelled is set, on_cancel comes once (to interrupt what runs), and what is said from then on goes
 * nowhere; the handler still has to come to its end and answer. */
#ifndef WEB_MCP_CALL_H
#define WEB_MCP_CALL_H

#include "base/err.h"
#include "kernelhub/user.h"
#include "protocol/mcp_message.h"
#include "web/site.h"

struct mcp_peer;

#define MCP_MAX_RESULT_BYTES (32u << 20) /* of what one call is answered with */

/* Slices are JSON, checked (json_valid), and live as long as the call. Handlers read; only `user_data` is theirs. */
struct mcp_call {
    struct site *site;
    struct user *user;
    enum mcp_version version;    /* mcp_version_is_modern(version) tells the eras apart */
    const char *method;          /* "tools/call" */
    struct slice id;             /* a string or a number */
    struct slice params;         /* an object; "{}" when there was none */
    struct slice meta;           /* params._meta, an object; "{}" when there was none */
    struct slice capabilities;   /* the client's, an object: of the handshake, or of this request */
    struct slice progress_token; /* a string or a number; empty: nobody wants progress */
    const char *client;          /* the client's name, for the record: "mcp" */
    bool is_cancelled;           /* nobody waits for the answer any more */
    int64_t begun_ms;            /* zclock_mono */
};

/* ---- while it goes on ---- */

/* Keeps a verb of the hub under way, as request_wait does: NULL (answered already) changes nothing. Let it go (mcp_call_waited) first
 * thing in its callback. It is cancelled only when the service ends. */
void mcp_call_wait(struct mcp_call *c, struct wait *w);
void mcp_call_waited(struct mcp_call *c);

/* What the handler made for this call. on_cancel (NULL: nothing to do) comes at most once, from the loop and not from inside a verb of this
 * header; it may answer. done comes with the call's end, whatever that is, also when the service ends: it frees. */
void mcp_call_own(struct mcp_call *c, void *own, void (*on_cancel)(struct mcp_call *c, void *own),
                  void (*done)(void *own));
void *mcp_call_owned(const struct mcp_call *c);

/* Somebody reads progress: there is a token, and nobody cancelled. */
bool mcp_call_wants_progress(const struct mcp_call *c);
/* The newest output, as text (UTF-8, any length: its last 1 KiB is shown). At most four are sent in a second, the newest wins; none is promised.
 * After 10 s of silence the core says by itself what is being done and since when, "running 40 s". */
void mcp_call_progress(struct mcp_call *c, struct slice text);
/* What is being done, for that: "queued"; lives as long as the program. "running" until said. */
void mcp_call_doing(struct mcp_call *c, const char *what);

/* A notification that belongs to this call, at once: params is a JSON object. For what has no verb of its own. */
void mcp_call_notify(struct mcp_call *c, const char *method, struct slice params);

/* "debug" … "emergency": whether the client wants log messages of that level (it set one: else not), and one of them; data is a JSON value. */
bool mcp_call_wants_log(const struct mcp_call *c, const char *level);
void mcp_call_log(struct mcp_call *c, const char *level, struct slice data);

/* Whether results may have structuredContent: the client's version knows it, and it is not switched off (mcp/structured_content). */
bool mcp_call_wants_structured(const struct mcp_call *c);

/* Asks the client something (elicitation/create …; not modern, there is mcp_call_input_required), one thing at a time. on_answer comes with its
 * result, or with an empty slice when it refused, said nothing for ten minutes, or cancelled the call (then on_cancel does not come): the
 * call is still to be answered. */
typedef void mcp_asked_fn(struct mcp_call *c, struct slice result);
void mcp_call_ask(struct mcp_call *c, const char *method, struct slice params,
                  mcp_asked_fn *on_answer);

/* Ends the connection before the answer, where the client can come again for that (legacy over HTTP); else nothing happens. */
void mcp_call_hang_up(struct mcp_call *c);

/* ---- its answer: each frees the call ---- */

/* A JSON object, the result as the method wants it; taken out of `object`. The core adds resultType, _meta (the object has none), ttlMs and cacheScope where
 * the client's version wants them. A buffer that has failed is an internal error. */
void mcp_call_result(struct mcp_call *c, struct buf *object);
/* The same for resultType "input_required" (modern only): {"inputRequests":{…},"requestState"?}. */
void mcp_call_input_required(struct mcp_call *c, struct buf *object);

/* A tool's failure as its result: {"content":[{"type":"text",…}],"isError":true}. The text is the error's, its code's name and what to do about it
 * (NULL: nothing). Also for arguments that are wrong: the text names the field. */
void mcp_call_tool_error(struct mcp_call *c, const struct err *e, const char *hint);

/* A JSON-RPC error. data: a JSON value, or empty. */
void mcp_call_error(struct mcp_call *c, int code, const char *text, struct slice data);
/* An error of the hub where no tool was called: ERR_INVALID is -32602, ERR_INTERNAL -32603, others 1000 and their HTTP status; the code's name is in data. */
void mcp_call_failed(struct mcp_call *c, const struct err *e);
/* There is no such resource: each era has its own code. uri: as text. */
void mcp_call_no_resource(struct mcp_call *c, struct slice uri);

#endif
