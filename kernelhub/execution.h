/* execution.h - one piece of code run in a kernel: accepted once, run once, with numbered events and one end. */
#ifndef KERNELHUB_EXECUTION_H
#define KERNELHUB_EXECUTION_H

#include "kernelhub/hub.h"
#include "kernelhub/user.h"

/* What a client asks for; strings are borrowed for the call. NULL and 0 stand for "not given". */
struct execution_request {
    struct slice code;
    struct slice command;    /* JSON array of 1 to 1024 strings, checked by the caller: a command instead of code; of what stands
                              * below only sandbox, execution_id, timeout, env, stdin, labels, output, client count */
    const char *cwd;         /* of a command; NULL, or beneath the workspace unless it begins with '/' */
    const char *language;    /* name or alias */
    const char *session;     /* session's name */
    const char *execution_id; /* the client's choice; a UUID */
    bool not_persistent;     /* persistent:false */
    const char *sandbox;     /* id or name; NULL: the session's, else the default one of the template */
    const char *template_name;
    double timeout_seconds;  /* 0: 30 */
    double queue_timeout_seconds; /* 0: none */
    struct slice env;        /* JSON object of strings, checked by the caller */
    bool has_stdin;
    struct slice stdin_text;
    bool interactive;        /* input() may ask: somebody answers by execution_input; not together with has_stdin */
    struct slice labels;     /* JSON object of strings, checked by the caller */
    bool interrupt_on_disconnect;
    bool no_queue;           /* queue:false: busy instead of waiting */
    int64_t max_output_bytes;
    const char *client;      /* "rest", "sse", …: for the record */
    struct uuid replay_of;   /* none: it is no replay */
    struct slice as_sent;    /* of a Jupyter client: {"header","parent","metadata","content","client"}, checked, the content without code and
                              * stop_on_error; empty: it is none's */
    bool stop_on_error;      /* of a Jupyter client: a failure cancels what that client has queued behind it */
    const char *callback_url; /* called once on the end (callback.h); NULL: nobody is */
};

/* Accepts an execution, or attaches to it when its id was seen before with the same code (ERR_CONFLICT with
 * other code). on_accepted comes when it is committed: json = {"execution_id","status","position","session","attached":bool}. A
 * command's session is null, its language "command", its kernel_id the process's own. */
struct wait *execution_submit(struct hub *h, struct user *u, const struct execution_request *r,
                              reply_fn on_accepted, void *arg);

/* The record of POST /execute's reply (API.md), now or (until_end) once it has ended. ERR_NOT_FOUND for other
 * users' executions. When it never started because its sandbox or kernel could not be started, and until_end is set, the
 * error is that failure (ERR_SANDBOX, ERR_KERNEL_DIED, ERR_TIMEOUT, …). */
struct wait *execution_record(struct hub *h, const struct user *u, const struct uuid *id, bool until_end,
                              reply_fn done, void *arg);

/* Whether there is such an execution, and how it stands now: {"execution_id","status"}. ERR_NOT_FOUND when it is not this user's. */
struct wait *execution_status(struct hub *h, const struct user *u, const struct uuid *id, reply_fn done, void *arg);

/* History, newest first: {"items":[record without outputs, with code, user, client, created_at …],"next":cursor|null}. */
struct execution_filter {
    const char *session, *language, *status, *label /* "key=value" or "key" */, *since, *until /* RFC 3339 */, *q;
    const char *user;   /* admins: another user's name, "*" for all */
    const char *cursor;
    int limit;          /* 0: 50; at most 500 */
};
struct wait *execution_list(struct hub *h, const struct user *u, const struct execution_filter *f,
                            reply_fn done, void *arg);

/* Interrupts a running execution (no effect once it has ended: 0), takes a queued one out (cancelled).
 * ERR_NOT_FOUND when it is not this user's; ERR_CONFLICT is never given. Answers {"execution_id","status"}. */
struct wait *execution_interrupt(struct hub *h, const struct user *u, const struct uuid *id, reply_fn done, void *arg);
/* Only a queued one; ERR_CONFLICT when it runs already. */
struct wait *execution_cancel(struct hub *h, const struct user *u, const struct uuid *id, reply_fn done, void *arg);

/* Answers the input() that an execution waits for: `value` is the line without its newline, "\x04" alone is the end of file (as
 * Jupyter says it). ERR_CONFLICT when it waits for none (any more), ERR_TOO_LARGE above EXECUTION_MAX_INPUT_BYTES, ERR_UNAVAILABLE
 * while its sandbox is being reached again, ERR_NOT_FOUND when it is not this user's. Answers {"execution_id","status"}. */
#define EXECUTION_MAX_INPUT_BYTES (1u << 20)
struct wait *execution_input(struct hub *h, const struct user *u, const struct uuid *id, struct slice value, reply_fn done,
                             void *arg);

/* What an execution was made of, to run it again: {"code","language","template","labels","options"}, template and labels may be
 * null; options: {"timeout_ms","max_output_bytes","has_stdin","env","input"}. ERR_NOT_FOUND when it is not this user's. */
struct wait *execution_source(struct hub *h, const struct user *u, const struct uuid *id, reply_fn done, void *arg);

/* Which part of an execution's text. A line ends with its newline. head and tail count lines, offset and limit bytes of UTF-8; no
 * character is cut. */
enum output_stream { OUTPUT_STDOUT, OUTPUT_STDERR, OUTPUT_RESULT };
struct output_part {
    enum output_stream stream; /* RESULT: the text/plain of each result, one below the other */
    int64_t offset;            /* 0 with head or tail */
    int64_t limit;             /* of head and tail too; 0: OUTPUT_PART_MAX_BYTES, the most there is */
    int64_t head, tail;        /* 0: not given; at most one of them */
    const char *grep;          /* only lines that hold this text; all else counts what is left. NULL: all */
    bool ignore_case;          /* of grep; ASCII letters alone */
    bool wants_total;          /* reads to the end even when the part is not there */
};
#define OUTPUT_PART_MAX_BYTES (8 << 20)

struct output_found {
    struct slice text;       /* valid during the call */
    int64_t offset;          /* of its first byte; offset plus the text's length is where to go on when more was written */
    int64_t next_offset;     /* where the next part begins; -1: at the end of what is stored now */
    int64_t bytes, lines;    /* of all that grep left, in this part or not; -1: it was not read to its end */
    bool cut;                /* head or tail has more than fits into limit */
    bool ended;              /* nothing will be added to what is stored */
};
/* found: NULL when e is not. */
typedef void (*output_fn)(void *arg, const struct err *e, const struct output_found *found);
struct wait *execution_output(struct hub *h, const struct user *u, const struct uuid *id, const struct output_part *part,
                              output_fn done, void *arg);

/* A large output ("ref" in an event): bytes and their media type. */
typedef void (*blob_fn)(void *arg, const struct err *e, const char *media_type, struct slice bytes);
struct wait *execution_blob(struct hub *h, const struct user *u, const struct uuid *id, unsigned n, blob_fn done, void *arg);

#endif
