/* Moves what is in the WAL into the database in a thread of its own: its fsyncs (3 to 500 ms on a busy disk, measured) must not
 * stand between an event and its commit. The writer does it itself only when the WAL has grown far beyond, so that it has a ceiling. */
#include <errno.h>

#include "kernelhub/store_internal.h"

#define CHECKPOINT_PAGES 1024 /* SQLite's own default: 4 MiB */

static void checkpoint_actor(zsock_t *pipe, void *arg)
{
    struct sql *sql = arg;
    char go;
    int n;
    (void)zsock_signal(pipe, 0); /* zactor_new waits for it */
    while ((n = zmq_recv(zsock_resolve(pipe), &go, sizeof go, 0)) == sizeof go ||
           (n < 0 && errno == EINTR)) {
        if (n < 0)
            continue;
        /* PASSIVE waits for nobody; what it cannot do now the next one does, and a full disk is told by the writer */
        (void)sqlite3_wal_checkpoint_v2(sql->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        (void)zmq_send(zsock_resolve(pipe), &go, sizeof go,
                       0); /* fails only when the process ends */
    }
    sql_close(sql); /* "$TERM" came (it is longer), or ZeroMQ is ending */
    free(sql);
}

static int checkpoint_readable(zloop_t *loop, zsock_t *pipe, void *arg)
{
    struct store *s = arg;
    char done;
    if (zmq_recv(zsock_resolve(s->checkpoint_actor), &done, sizeof done, ZMQ_DONTWAIT) ==
        sizeof done)
        s->checkpointing = false;
    return 0;
}

/* Again only when as much has come: else a steady writer would keep the disk syncing. */
void store_checkpoint_look(struct store *s, int wal_pages)
{
    if (wal_pages < s->checkpointed_pages)
        s->checkpointed_pages = 0; /* the WAL began anew */
    if (s->checkpointing || wal_pages - s->checkpointed_pages < CHECKPOINT_PAGES)
        return;
    s->checkpointing = true;
    s->checkpointed_pages = wal_pages;
    (void)zmq_send(zsock_resolve(s->checkpoint_actor), "c", 1,
                   0); /* one at a time never fills the pipe */
}

int store_checkpoint_start(struct store *s, const char *path, struct err *e)
{
    struct sql *sql = zmalloc(sizeof *sql);
    if (sql_open(sql, path, e) < 0 || sql_tune(sql, false, e) < 0) {
        sql_close(sql);
        free(sql);
        return -1;
    }
    s->checkpoint_actor = zactor_new(checkpoint_actor, sql);
    assert(s->checkpoint_actor); /* no thread, no memory */
    (void)zloop_reader(s->loop, zactor_sock(s->checkpoint_actor), checkpoint_readable,
                       s); /* fails only without memory */
    return 0;
}

void store_checkpoint_stop(struct store *s)
{
    if (!s->checkpoint_actor)
        return;
    zloop_reader_end(s->loop, zactor_sock(s->checkpoint_actor));
    zactor_destroy(&s->checkpoint_actor); /* returns when its thread has ended */
}
