/* execution_internal.h - an execution from inside the hub. Lives in memory until its end is committed. */
#ifndef KERNELHUB_EXECUTION_INTERNAL_H
#define KERNELHUB_EXECUTION_INTERNAL_H

#include "kernelhub/execution.h"
#include "kernelhub/outcome.h"
#include "kernelhub/output.h"
#include "kernelhub/session_internal.h"

#define EXECUTION_MAX_HELD_BYTES (64u << 20) /* a user's code, env and input that wait or run */

struct execution {
    struct hub *hub;
    struct user *user;
    struct session *session; /* NULL once ended, or given up before its insert was committed */
    struct feed *feed;
    struct uuid id, kernel_id, sandbox_id, replay_of;
    char session_name[128] /* "": a command's */, language[64], client[32];
    int64_t session_feed;
    enum status status;
    char *command; /* command.h's order; NULL: it is code */
    char *as_sent; /* by a Jupyter client (execution.h); NULL: it is none's */
    char client_session[128]; /* by which its Jupyter client is known: its front's name, else `session` of its header; "": none */
    bool stop_on_error;
    char *code, *labels, *env, *input; /* owned; NULL: none. input: the whole stdin, used up to input_at */
    size_t code_len, input_at, input_len;
    char *asked;       /* header of the input_request that waits for an answer; NULL: none */
    int64_t asked_bytes; /* of all its input_requests so far */
    size_t held_bytes; /* of the user's budget, until it ends */
    bool has_stdin, interactive, started, inserted, saw_error;
    bool interrupt_asked, interrupt_sent;

    int64_t timeout_ms, max_output_bytes;
    char epoch[37]; /* of the warden it is or was sent to; "": not sent */
    int64_t created_us, started_us, finished_us;
    int64_t created_mono_us, sent_mono_us;
    int64_t execution_count;
    struct outcome_reply reply;
    struct output output;
    bool saving_gap, gap_grew; /* a write of what the ring holds is under way; more came since */
    void *queue_handle; /* in session->queue */
    int queue_timer;
    int64_t queue_timeout_ms; /* 0: none */
    unsigned told_position;   /* in its last `queued` event */
    zlistx_t *waits; /* for the end */
    struct callback *callback; /* until its acceptance is committed */
    struct wait *accept; /* for the commit of its acceptance */
    struct err failure;  /* why it never started */
    char feed_key[24]; /* in hub->submitted until its insert is committed */
    char *result; /* fields of finished */
    struct changes_run *changes; /* NULL: it was not sent yet, nobody looks, or it has ended */
    char *stopped_why; /* its user's workspaces are above their limit (quota.h): it was interrupted; NULL: it was not */
    int64_t stopped_ms;
    bool is_killed; /* after that, with its kernel */
    uint64_t quota_bytes, quota_files; /* it may not grow past these; 0: not known yet */
    struct store_mark end_mark;  /* of what said that it has ended, until that is committed */
};

/* Comes back with a write's `done`. */
struct execution_ticket {
    struct execution *x;
    struct store_mark mark;
};

/* Writes what changes of its row. */
void execution_save(struct execution *x, struct store_mark mark, store_done_fn done, void *arg);
/* execution_add_event with a `done` of one's own, which gets a struct execution_ticket (free it). */
void execution_add_event_then(struct execution *x, enum event_type type, struct slice fields, int64_t unix_us,
                              struct store_mark mark, store_event_fn done);
/* execution_add_event with large values put aside as blobs. */
void execution_emit(struct execution *x, enum event_type type, struct slice fields, int64_t unix_us, struct store_mark mark);
/* From here on (execution_changes.c) what changes in its workspace is told with its end. missed: changes.h's. */
void execution_watch_changes(struct execution *x, const char *missed);
void execution_end_changes(struct execution *x); /* then, at once or soon, execution_commit_end */
/* Its place in the session's queue (execution_queue.c). */
void execution_enter_queue(struct execution *x);
void execution_leave_queue(struct execution *x);
unsigned execution_position(const struct execution *x); /* how many are before it in its session */
void execution_say_position(struct execution *x, unsigned position, int64_t unix_us);
void execution_tell_positions(struct session *s); /* whoever watches one that waits, after others left */

/* What the wire brings (session.c finds the execution). */
void execution_on_message(struct execution *x, struct sandbox *sandbox, const struct link_frame *f, const char *msg_type);
void execution_on_end(struct execution *x, struct sandbox *sandbox, const struct link_frame *f);
void execution_on_gap(struct execution *x, struct sandbox *sandbox, const struct link_frame *f);

/* The kernel asks for input (execution_input.c): it is answered from stdin, or the execution's clients are asked. */
void execution_on_input_request(struct execution *x, struct sandbox *sandbox, const struct link_frame *f);
#define EXECUTION_END_OF_FILE SLICE_LITERAL("\x04") /* as Jupyter says it */
/* Answers what it waits for; its sandbox is up. */
void execution_answer_input(struct execution *x, struct slice value);
/* One input_reply to the request with this header; its sandbox is up. */
void execution_reply_input(struct sandbox *sandbox, const struct uuid *kernel_id, struct slice request_header, struct slice value);
/* What its end comes to. */
struct outcome execution_outcome(const struct execution *x, const struct outcome_end *end);

/* What a hub that comes after us has to know of this, as JSON; nothing when nothing was ever asked. */
void execution_write_input(const struct execution *x, struct buf *out);
void execution_read_input(struct execution *x, struct slice json);

/* Interrupts it now, or as soon as its sandbox is reached again. */
void execution_send_interrupt(struct execution *x);

/* What the ring holds, behind the gap that says what is missing before it. */
void execution_flush_output(struct execution *x);
void execution_say_started(struct execution *x, struct store_mark mark);

/* Gives it to the kernel: commits that it is sent, then sends it. */
void execution_send(struct execution *x);
/* The same in three: may it run now; take the kernel (what follows is a commit of its row); send it. */
bool execution_can_run(const struct execution *x);
void execution_take_kernel(struct execution *x);
void execution_transmit(struct execution *x);

/* Ends it by our own word. failure: what clients that wait for it get instead of a record, when it never started; NULL: none. */
void execution_finish(struct execution *x, struct outcome outcome, const struct outcome_end *end, const struct err *failure,
                      struct store_mark mark);
/* The end of that: its last events, in one commit. files_changed: the event's members; empty: none. */
void execution_commit_end(struct execution *x, struct slice files_changed);
void execution_cancel_queued(struct execution *x, const char *reason, const struct err *failure);

void execution_leave_session(struct execution *x); /* its queue, or its running place; session is NULL afterwards */
void execution_row(const struct execution *x, struct execution_row *ret); /* borrows from x */
/* NULL: its user is unknown. One whose session has ended has none, nor a place in any: who recovers ends it. */
struct execution *execution_recover(struct hub *h, const struct execution_row *r, uint64_t last_seq);
void execution_free(struct execution *x);
void execution_add_event(struct execution *x, enum event_type type, struct slice fields, int64_t unix_us, struct store_mark mark);
void execution_record_now(struct execution *x, struct buf *out); /* only when its feed is whole in memory */

#endif
