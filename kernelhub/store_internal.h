/* store_internal.h - what the files store*.c share: ops on their way to the writer, queries on their way to the reader.
 *
 *   store.c         opening, closing, numbers of feeds, health
 *   store_batch.c   the way of a write: batches to the writer and back
 *   store_writer.c  the writer's thread
 *   store_checkpoint.c  the thread that moves the WAL into the database
 *   store_rows.c    writes of users, keys, sandboxes, sessions, executions
 *   store_events.c  writes of events and blobs: numbers and heads
 *   store_retain.c  removal of what is too old or too much
 *   store_query.c   the way of a query: to the reader and back
 *   store_read.c    queries of one execution: pages of events, records, blobs
 *   store_output.c  the query of an execution's text
 *   store_list.c    the query of the history
 *   store_notebook.c  the queries of a session's history as a notebook
 *   store_load.c    what is read at start
 *
 * An op or a query is touched by one thread at a time: whoever holds the batch or has taken it from the pipe. */
#ifndef KERNELHUB_STORE_INTERNAL_H
#define KERNELHUB_STORE_INTERNAL_H

#include <stdatomic.h>

#include "base/cleanup.h"
#include "kernelhub/metrics.h"
#include "kernelhub/sql.h"
#include "kernelhub/store.h"

#define STORE_BODY_BYTES      (256 * 1024)       /* a bigger body stands in the feed's blob file */
#define STORE_BATCH_OPS       8192               /* what queues beyond goes into the next batch */
#define STORE_BATCH_BYTES     (16 * 1024 * 1024)
#define STORE_MAX_BODY_BYTES ((size_t)256 << 20) /* of an event or a value that is read back: more is refused */
#define STORE_RETRY_MS        250
#define STORE_CLOSE_MS        5000
#define STORE_LATE_MS         5
#define STORE_CACHED_FEEDS    4096               /* more: forget all, a feed is read again with two queries */
#define STORE_MAX_LINES_BYTES ((size_t)1 << 31)  /* one batch's lines: bodies are bounded by the link's frames */

#define STORE_EXECUTION_COLUMNS                                                                                        \
    "feed, id, user_id, kernel_id, sandbox_id, replay_of, session, session_feed, language, client, code, labels, options," \
    " reply, status, epoch, created_us, started_us, finished_us, execution_count, result, dropped_bytes, dropped_messages, input"
#define STORE_EXECUTION_N_COLUMNS 24

DEFINE_CLEANUP(char, free)

struct writer;
struct batch;
struct op;
struct store_list_filter;

/* run: in the writer's thread (or in the loop's, see commits_here), inside the transaction; may be called again after a rollback. answer: in the loop's
 * thread after the commit. */
struct op_type {
    int (*run)(struct writer *w, struct op *op, struct batch *b, struct err *e);
    void (*answer)(struct store *s, struct op *op, struct batch *b);
    bool slow; /* may take milliseconds: only in the writer's thread */
};

struct op { /* first member of each kind of op; one malloc, freed with free(), and what it owns */
    struct op *next;
    const struct op_type *type;
    size_t bytes;
    struct store_mark mark;
    bool late; /* it sends no batch off, for STORE_LATE_MS */
    bool with_next; /* no batch ends behind it, when another follows */
    void *arg;
    char *owned; /* from malloc; NULL: nothing */
};

struct op_queue {
    struct op *first, *last;
    size_t n, n_late, bytes;
};

/* A thread that gets pointers, one at a time, and gives them back. Its pipe is not watched by the loop: a ZeroMQ socket there costs
 * system calls in each turn, whoever woke it, and the socket's own descriptor is edge-triggered: a send can swallow the edge. */
struct store_actor {
    zactor_t *zactor; /* NULL: not started */
    int bell;         /* eventfd; the thread rings it after it has sent */
    struct store *store;
    void (*on_answer)(struct store *s);
};

struct store_actor_job {
    void (*run)(void *self, void *job);
    void (*end)(void *self); /* the thread ends: it frees self */
    void *self;
};

struct batch {
    atomic_int handed; /* written before, read after the pipe: orders memory between the two threads */
    struct op_queue ops;
    struct buf lines;       /* the event lines of its ops */
    bool failed;
    struct err e;           /* why it failed */
    double commit_seconds;
    int wal_pages;          /* in the WAL after it; 0: not known */
};

/* What the next event of a feed needs to know. */
struct feed_state {
    int64_t feed;
    uint64_t last_seq;
    int head; /* -1: none yet */
    struct uuid execution_id, kernel_id;
    char *session;
};

struct blob_extent { /* a blob file that this batch made longer */
    int64_t feed, bytes_before;
};

/* Lives in the writer's thread. */
struct writer {
    struct sql sql;
    int blob_dir;
    zhashx_t *feeds; /* feed → struct feed_state */
    zhashx_t *marks; /* sandbox → struct store_mark, of this batch */
    struct blob_extent *extents;
    size_t n_extents;
    int64_t blob_bytes;     /* in all files; -1: not counted yet */
    int wal_pages;
    struct buf scratch;
};

/* Lives in the reader's thread. */
struct reader {
    struct sql sql;
    int blob_dir;
    struct store_query *now;
};

/* Reads are jobs: run in the reader's thread, answer in the loop's, unless cancelled. */
struct store_query {
    atomic_int handed; /* as in struct batch */
    atomic_bool cancelled;
    struct store_query *next;
    uint64_t behind; /* not before n_answered is that; 0: at once */
    struct store *store;
    int (*run)(struct reader *r, struct store_query *q); /* -1: q->e says why */
    void (*answer)(struct store_query *q, const struct err *e);
    bool failed;
    bool unfinished; /* run: it wants another turn, behind those that wait */
    struct err e;
    void *arg;
    union {
        store_page_fn page;
        store_json_fn json;
        store_blob_fn blob;
        store_output_fn output;
        store_notebook_fn notebook;
    } done;
    /* what is asked */
    struct uuid id, user_id;
    int64_t feed;
    uint64_t after;
    size_t max_bytes;
    unsigned n;
    struct store_list_filter *filter;
    struct text_part *part;
    struct store_notebook *notebook;
    int stream; /* enum output_stream */
    bool wants_hash;
    /* what was found */
    struct buf out;
    uint64_t first_seq;
    size_t n_lines;
    bool ended;
    char *media_type;
};

struct store {
    struct loop *loop;
    char *dir;
    int lock_fd;
    int blob_dir;
    struct sql sync; /* for what is done at start, in the loop's thread */
    struct store_actor writer_actor, reader_actor, checkpoint_actor;
    struct writer *writer; /* the actor's; ours while it has no batch */
    int here_timer;        /* a batch that was committed here is answered then; -1: none */
    int64_t here_after_ms; /* the disk was slow: no commit here before this time */

    struct op_queue queued;
    struct batch flight;
    bool in_flight;   /* the writer has it, it waits for its retry, or its answers are being called */
    int late_timer;   /* only late ones are queued; -1: not so */
    bool late_due;    /* they go with the next batch, which goes at once */
    uint64_t n_sent, n_answered; /* writes, ever */
    unsigned held; /* store_hold, not yet released */
    size_t flight_ops, flight_bytes;
    int retry_timer;  /* -1: none */
    char *why;        /* NULL: healthy */
    bool checkpointing;
    int checkpointed_pages; /* pages of the WAL when the last checkpoint was asked for */
    bool retaining;   /* a step of retention is queued or under way */

    struct store_query *waiting_first, *waiting_last, *reading, *answering;

    int64_t next_feed, reserved_feeds; /* numbers below reserved_feeds are ours to give */

    struct metric_histogram *batch_ops, *commit_seconds;
    struct metric_counter *ops, *failures;
};

/* store_batch.c: an op goes out at once, or with the next batch. */
void store_send(struct store *s, struct op *op);
/* What is late goes now. Returns what n_answered has to be for all that has been written so far to be committed; 0: nothing was late. */
uint64_t store_no_longer_late(struct store *s);
void store_queries_go_on(struct store *s); /* n_answered has grown, or writing has failed */
int store_batch_start(struct store *s, const char *path, struct err *e);
void store_batch_stop(struct store *s);

/* store_actor.c. on_answer is called in the loop when store_actor_take may have something. An actor that failed to start is stopped
 * nonetheless. */
int store_actor_start(struct store_actor *a, struct store *s, const struct store_actor_job *job,
                      void (*on_answer)(struct store *s), struct err *e);
void store_actor_hand(struct store_actor *a, void *job);
void *store_actor_take(struct store_actor *a); /* NULL: nothing is there */
void store_actor_unwatch(struct store_actor *a); /* the loop hears no more of it */
void store_actor_stop(struct store_actor *a);    /* returns when its thread has ended */

/* store_writer.c. The actor takes the writer and frees it. store_writer_run may be called by one thread at a time. */
void store_writer_run(struct writer *w, struct batch *b);
struct writer *store_writer_new(const char *path, int blob_dir, struct err *e);
void store_writer_job(void *writer, void *batch);
void store_writer_free(void *writer);
int store_writer_append(struct writer *w, int64_t feed, struct slice bytes, int64_t *ret_offset, struct err *e);

/* store_events.c: no event is in this feed, none need be looked for. */
void store_writer_new_feed(struct writer *w, int64_t feed);

/* store_checkpoint.c: told after each commit how long the WAL is. */
void store_checkpoint_look(struct store *s, int wal_pages);
int store_checkpoint_start(struct store *s, const char *path, struct err *e);
void store_checkpoint_stop(struct store *s);

/* store_query.c */
struct store_query *store_query_new(struct store *s, int (*run)(struct reader *r, struct store_query *q),
                                    void (*answer)(struct store_query *q, const struct err *e), void *arg);
struct store_query *store_query_send(struct store_query *q); /* returns q */
int store_query_start(struct store *s, const char *path, struct err *e);
void store_query_stop(struct store *s);

/* store_rows.c: one row as it stands in a statement's columns. */
void store_row_of_execution(sqlite3_stmt *stmt, struct execution_row *ret);

/* store_output.c. The body of an event as one object; it stands in this column and the two behind: body, blob_offset, blob_bytes. */
int store_read_body(const struct reader *r, int64_t feed, sqlite3_stmt *stmt, int column, struct buf *out, struct err *e);
/* The text of a value that was put aside stands in the feed's file. */
int store_read_aside(struct reader *r, const struct uuid *id, const struct uuid *user_id, unsigned n_blob, struct buf *text,
                     struct err *e);

/* store_list.c */
void store_list_filter_free(struct store_list_filter *f);

#endif
