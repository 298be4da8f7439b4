/* Moves what is in the WAL into the database in a thread of its own: its fsyncs (3 to 500 ms on a busy disk, measured) must not
 * stand between an event and its commit. The writer does it itself only when the WAL has grown far beyond, so that it has a ceiling. */
#include "kernelhub/store_internal.h"

#define CHECKPOINT_PAGES 1024 /* SQLite's own default: 4 MiB */

static void checkpoint(void *self, void *job)
{
    struct sql *sql = self;
    /* PASSIVE waits for nobody; what it cannot do now the next one does, and a full disk is told by the writer */
    (void)sqlite3_wal_checkpoint_v2(sql->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

static void checkpoint_end(void *self)
{
    sql_close(self);
    free(self);
}

static void on_checkpointed(struct store *s)
{
    if (store_actor_take(&s->checkpoint_actor))
        s->checkpointing = false;
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
    store_actor_hand(&s->checkpoint_actor, s);
}

int store_checkpoint_start(struct store *s, const char *path, struct err *e)
{
    struct sql *sql = zmalloc(sizeof *sql);
    if (sql_open(sql, path, e) < 0 || sql_tune(sql, false, e) < 0) {
        sql_close(sql);
        free(sql);
        return -1;
    }
    const struct store_actor_job job = { checkpoint, checkpoint_end, sql };
    return store_actor_start(&s->checkpoint_actor, s, &job, on_checkpointed, e);
}

void store_checkpoint_stop(struct store *s)
{
    if (!s->checkpoint_actor.zactor)
        return;
    store_actor_unwatch(&s->checkpoint_actor);
    store_actor_stop(&s->checkpoint_actor);
}
