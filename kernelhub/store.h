/* store.h - the SQLite file: what must outlive the hub. The only giver of event numbers.
 *
 * One writer actor and one reader actor own a connection each (WAL, synchronous=NORMAL). Writes are
 * queued; a batch is whatever queued up while the last commit ran, committed in the order of the calls.
 * Every write's `done` comes back in the loop's thread, in order, after its commit. While the disk is full or
 * read-only nothing is lost: the batch is tried again every 250 ms, and store_healthy says false. */
#ifndef KERNELHUB_STORE_H
#define KERNELHUB_STORE_H

#include <czmq.h>

#include "base/err.h"
#include "base/loop.h"
#include "base/uuid.h"
#include "protocol/event_record.h"

struct store;

/* Opens dir/kernelhub.db, dir/blobs/ (dir exists), migrates it, starts the actors. A database of a newer version, or of something else: -1
 * with a text that says so. An flock on dir/lock: one hub per store. */
int store_open(const char *dir, struct loop *loop, struct store **ret, struct err *e);
void store_close(struct store *s); /* commits what is queued (at most 5 s), no `done` is called */
bool store_healthy(const struct store *s, char *ret_why, size_t size);
/* Between these nothing is sent off: what one event causes is one commit. They nest; back in the loop nothing may be held. */
void store_hold(struct store *s);
void store_release(struct store *s);
size_t store_queued(const struct store *s); /* writes not yet committed */
void store_write_metrics(struct store *s, struct buf *out); /* batch sizes (histogram), commit seconds (histogram), queue, bytes */

typedef void (*store_done_fn)(void *arg);

/* Written with an op, in its commit: this sandbox's warden messages up to `number` are dealt with. */
struct store_mark {
    struct uuid sandbox_id; /* none: nothing to mark */
    uint64_t number;
    unsigned generation; /* the caller's own: which of the sandbox's links gave it; not written */
    struct uuid epoch;   /* of the warden that counted; a mark of another epoch than the sandbox's marks nothing. None: any */
};

/* ---- rows; strings are borrowed for the call, NULL is SQL NULL, times are unix µs, 0 is NULL ---- */
struct user_row {
    struct uuid id;
    const char *name;
    bool admin;
    int64_t created_us, removed_us, callback_generation;
};
struct key_row {
    struct uuid id, user_id;
    const char *name;
    const char *prefix; /* the first characters, to recognise it by */
    uint8_t hash[32];
    int64_t created_us, last_used_us, expires_us, revoked_us;
};
struct sandbox_row {
    struct uuid id, user_id;
    const char *name, *template_name, *image, *digest;
    const char *epoch; /* the warden's, UUID; NULL before it is known */
    uint64_t last_number;
    int64_t created_us, ended_us;
    const char *end_reason;
    const char *options;   /* JSON, the hub's own */
    const char *workspace; /* "shared", "private"; "removed": a private one that is gone */
    int64_t used_us;
};
struct session_row {
    int64_t feed; /* its number, see store_next_feed */
    struct uuid user_id, kernel_id, sandbox_id;
    struct uuid home; /* the named sandbox it belongs to */
    const char *name, *language, *kernelspec, *template_name;
    const char *jupyter; /* JSON, the hub's own (jupyter_internal.h); NULL: none */
    bool ephemeral;
    int64_t created_us, ended_us;
};
struct execution_row {
    int64_t feed;
    struct uuid id, user_id, kernel_id, sandbox_id, replay_of;
    const char *session; /* name */
    int64_t session_feed;
    const char *language, *client;
    struct slice code, labels /* JSON */, options /* JSON, the hub's own */, reply /* JSON, summary of execute_reply */;
    enum status status;
    const char *epoch; /* of the warden it was sent to; NULL: not sent */
    int64_t created_us, started_us, finished_us;
    int64_t execution_count; /* -1: NULL */
    struct slice result; /* JSON members of `finished`, once ended */
    int64_t dropped_bytes, dropped_messages;
    struct slice input; /* JSON, the hub's own: how far its stdin is used, which input_request waits; none: unchanged */
};

struct callback_row {
    int64_t feed; /* its execution's */
    struct uuid execution_id, user_id, message_id;
    const char *url;
    const char *status; /* pending, delivered, failed */
    unsigned attempts;
    int64_t next_us, first_us, done_us;
    const char *last_error;
};

/* A feed is a row of numbered events: of an execution or of a session. Numbers of feeds are never used again. */
int64_t store_next_feed(struct store *s);

void store_put_user(struct store *s, const struct user_row *r, store_done_fn done, void *arg); /* insert or replace, all of these */
void store_put_key(struct store *s, const struct key_row *r, store_done_fn done, void *arg);
void store_put_sandbox(struct store *s, const struct sandbox_row *r, store_done_fn done, void *arg); /* keeps a higher last_number of the same epoch */
void store_set_workspace(struct store *s, const struct uuid *sandbox_id, const char *workspace); /* sandbox_row's */
void store_put_session(struct store *s, const struct session_row *r, store_done_fn done, void *arg);

void store_queue_setting(struct store *s, const char *name, const char *value); /* before the loop runs: store_put_setting */

/* `late` writes are for what nobody waits for: they go, in order with all others, with the next one that is not late, or 5 ms later. */

/* exists: an execution with this id was there before; nothing was written. */
typedef void (*store_inserted_fn)(void *arg, bool exists);
void store_insert_execution(struct store *s, const struct execution_row *r, store_inserted_fn done, void *arg);
/* Sets what changes: status, epoch, kernel_id, sandbox_id, started_us, finished_us, execution_count, reply, result, dropped_*, input.
 * An end is held together with its `finished` (store_hold), the next write: both are in one commit. */
void store_update_execution(struct store *s, const struct execution_row *r, struct store_mark mark, bool late, store_done_fn done, void *arg);

/* Appends an event; `fields` (JSON members beginning with a comma) is copied. done gets the number it was given and its
 * record as one line (valid during the call). A `finished` event has ,"last_seq":N added by the store, N its own number.
 * Bodies above 256 KiB go to the feed's blob file (dir/blobs/…), written before the row. */
typedef void (*store_event_fn)(void *arg, uint64_t seq, struct slice line);
void store_add_event(struct store *s, int64_t feed, const struct event_head *head, struct slice fields,
                     struct store_mark mark, bool late, store_event_fn done, void *arg);

/* Appends a large output to the feed's blob file; n (from 0, the caller counts per feed) names it. Takes what is in `bytes`, which has
 * not failed, and leaves it empty. */
void store_add_blob(struct store *s, int64_t feed, unsigned n, const char *media_type, struct buf *bytes);

/* Behind the insert of its execution, in the same commit (store_hold); when that was there before, nothing is written. */
void store_add_callback(struct store *s, const struct callback_row *r);
void store_update_callback(struct store *s, const struct callback_row *r); /* feed, status, attempts, last_error, times */

/* Only the mark. */
void store_mark(struct store *s, struct store_mark mark, store_done_fn done, void *arg);

/* ---- reading: on the reader's connection and thread; done in the loop's thread ---- */
struct store_query;
void store_cancel(struct store_query *q); /* NULL is fine; no done afterwards */

/* Events of a feed with number > after, as lines, in order, at most max_bytes of lines (at least one): n_lines lines, each with its
 * newline, in `lines`; first_seq the number of the first. ended: the feed's last event is finished and is in here or before. */
typedef void (*store_page_fn)(void *arg, const struct err *e, uint64_t first_seq, size_t n_lines, struct slice lines, bool ended);
struct store_query *store_read_events(struct store *s, int64_t feed, uint64_t after, size_t max_bytes, store_page_fn done, void *arg);

typedef void (*store_json_fn)(void *arg, const struct err *e, struct slice json);

/* Who has this id: done gets ERR_NOT_FOUND, or JSON {"feed","user_id","status","session","ended":bool}. */
struct store_query *store_find_execution(struct store *s, const struct uuid *id, store_json_fn done, void *arg);
/* The same, and "code_sha256" (hex). */
struct store_query *store_find_hash(struct store *s, const struct uuid *id, store_json_fn done, void *arg);

/* The record of POST /execute's reply (API.md), folded from row and events by record.h. user_id: whose it must be (else ERR_NOT_FOUND). */
struct store_query *store_read_record(struct store *s, const struct uuid *id, const struct uuid *user_id, store_json_fn done, void *arg);

/* The same for somebody else: at most so many bytes of outputs, and nothing about callbacks. */
struct store_query *store_read_record_short(struct store *s, const struct uuid *id, const struct uuid *user_id,
                                            size_t max_text_bytes, store_json_fn done, void *arg);

/* History: {"items":[…],"next":…}; see execution.h. user_id none: all users. */
struct execution_filter;
struct store_query *store_list_executions(struct store *s, const struct uuid *user_id, const struct execution_filter *f,
                                          store_json_fn done, void *arg);

typedef void (*store_blob_fn)(void *arg, const struct err *e, const char *media_type, struct slice bytes);
struct store_query *store_read_blob(struct store *s, const struct uuid *id, const struct uuid *user_id, unsigned n, store_blob_fn done, void *arg);

/* What execution_source gives (execution.h). */
struct store_query *store_read_source(struct store *s, const struct uuid *id, const struct uuid *user_id, store_json_fn done,
                                      void *arg);

/* A part of an execution's text, as execution_output says it. It takes turns with other queries. */
struct output_part;
struct output_found;
typedef void (*store_output_fn)(void *arg, const struct err *e, const struct output_found *found);
struct store_query *store_read_output(struct store *s, const struct uuid *id, const struct uuid *user_id,
                                      const struct output_part *part, store_output_fn done, void *arg);

/* What a session of this name has run, as the cells of a notebook (notebook.h), a piece at a time. It knows where it stands, how much
 * ever it has written. A cell is each execution that began, in that order, with what it had written when its turn came. */
struct store_notebook;
struct store_notebook_filter {
    const char *session;
    int64_t since_us, until_us; /* accepted from here on, and before; 0: no bound */
    bool without_outputs;
};
struct store_notebook *store_notebook_new(const struct uuid *user_id, const struct store_notebook_filter *f); /* copies */
void store_notebook_free(struct store_notebook *n); /* NULL is fine */
/* Its last cell's session, once a piece was `last`: strings live as long as n. NULL: not known any more. */
struct store_notebook_kernel {
    const char *kernelspec, *template_name, *language;
};
struct store_notebook_kernel store_notebook_kernel(const struct store_notebook *n);
bool store_notebook_is_known(const struct store_notebook *n); /* a session of this name has a history, wanted or not */
/* Behind the last piece: what closes the notebook. */
struct notebook_kernel;
void store_notebook_end(struct store_notebook *n, const struct notebook_kernel *k, struct buf *out);

/* The next piece: about 256 KiB, more when one output is larger, nothing when there was only to be searched. Takes n, and gives it
 * back with done; a query that is cancelled frees it. done may take what is in the piece and leave another buffer: it can be large. last:
 * none comes behind it but what store_notebook_end writes. */
typedef void (*store_notebook_fn)(void *arg, const struct err *e, struct store_notebook *n, struct buf *piece, bool last);
struct store_query *store_read_notebook(struct store *s, struct store_notebook *n, store_notebook_fn done, void *arg);

/* ---- at start, synchronous, before the loop runs ---- */
int store_load_users(struct store *s, void (*each)(void *arg, const struct user_row *r), void *arg, struct err *e);
int store_load_keys(struct store *s, void (*each)(void *arg, const struct key_row *r), void *arg, struct err *e);       /* not revoked */
int store_load_sandboxes(struct store *s, void (*each)(void *arg, const struct sandbox_row *r), void *arg, struct err *e); /* not ended */
/* Those that ended, oldest first, the newest `max` of them; and all whose private workspace has still to be removed. */
int store_load_ended_sandboxes(struct store *s, int64_t max, void (*each)(void *arg, const struct sandbox_row *r), void *arg, struct err *e);
int store_load_unremoved_sandboxes(struct store *s, void (*each)(void *arg, const struct sandbox_row *r), void *arg, struct err *e);
int store_load_sessions(struct store *s, void (*each)(void *arg, const struct session_row *r), void *arg, struct err *e);  /* not ended */
int store_load_executions(struct store *s, void (*each)(void *arg, const struct execution_row *r, uint64_t last_seq), void *arg, struct err *e); /* not ended, oldest first */
int store_load_callbacks(struct store *s, void (*each)(void *arg, const struct callback_row *r, bool ended), void *arg, struct err *e); /* pending; ended: its execution has */
/* Of a feed that is taken over: bytes of its events so far, and the number its next blob gets. */
int64_t store_feed_bytes(struct store *s, int64_t feed);
unsigned store_next_blob(struct store *s, int64_t feed);
uint64_t store_last_seq(struct store *s, int64_t feed); /* 0: no event yet */
int store_get_setting(struct store *s, const char *name, char *ret, size_t size, struct err *e); /* "" when absent */
int store_put_setting(struct store *s, const char *name, const char *value, struct err *e);

/* Retention: removes ended executions (events and blob files too) beyond these; a few hundred per call, off the loop. */
struct store_retention {
    int64_t max_executions, max_days, max_bytes;
};
void store_retain(struct store *s, const struct store_retention *r);

#endif
