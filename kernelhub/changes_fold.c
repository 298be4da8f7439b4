/* What inotify said, folded into what each run is told: of every path that was touched, whether a file was there before it was first
 * touched. At the end a look at what is there now says the rest:
 *
 *     before   now
 *       no     yes    created
 *       yes    yes    modified, when the file itself says so (its ctime)
 *       yes    no     deleted
 *       no     no     nobody's business */
#include "kernelhub/changes_internal.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/beneath.h"
#include "base/json.h"
#include "base/mime.h"

#define CLOCK_SLACK_NS 10000000 /* a file's times may be a tick behind */

static const char TOO_MANY[] = "more files changed than are named";
static const char MOVED_AWAY[] = "a folder was moved to where nothing is watched";

void fold_collect(struct watched *w, uint64_t chunk)
{
    w->n_now = w->n_own_now = 0;
    pthread_mutex_lock(&w->lock);
    for (struct changes_run *run = w->runs; run; run = run->next) {
        if (run->after >= chunk)
            continue;
        if (w->n_now < CHANGES_MAX_RUNS)
            w->now[w->n_now++] = run;
        else
            run->missed = TOO_MANY;
    }
    for (struct changes_own *own = w->own; own && w->n_own_now < CHANGES_MAX_OWN; own = own->next)
        if (!own->is_done || own->last >= chunk)
            w->own_now[w->n_own_now++] = own;
    pthread_mutex_unlock(&w->lock);
}

static void miss(struct changes_run *run, const char *why)
{
    pthread_mutex_lock(&run->watched->lock);
    if (!run->missed)
        run->missed = why;
    pthread_mutex_unlock(&run->watched->lock);
}

void fold_miss(struct watched *w, const char *why)
{
    for (size_t i = 0; i < w->n_now; i++)
        miss(w->now[i], why);
}

/* Its keys are the paths of `touched`. */
static zhashx_t *table_new(void)
{
    zhashx_t *t = zhashx_new();
    zhashx_set_key_duplicator(t, NULL);
    zhashx_set_key_destructor(t, NULL);
    return t;
}

static void touch(struct changes_run *run, const char *path, bool existed)
{
    size_t bytes = strlen(path) + 1;
    if (!run->by_path)
        run->by_path = table_new();
    if (zhashx_lookup(run->by_path, path))
        return;
    if (run->n_touched == CHANGES_MAX_TOUCHED ||
        bytes > CHANGES_MAX_TOUCHED_BYTES - run->touched_bytes) {
        miss(run, TOO_MANY);
        return;
    }
    if ((run->n_touched & (run->n_touched - 1)) == 0) { /* full: 0, 1, 2, 4, … */
        size_t n = run->n_touched ? 2 * run->n_touched : 1;
        run->touched = realloc(run->touched, n * sizeof *run->touched);
        assert(run->touched);
    }
    struct touched *t = &run->touched[run->n_touched++];
    *t = (struct touched){ strdup(path), existed };
    assert(t->path);
    run->touched_bytes += bytes;
    (void)zhashx_insert(run->by_path, t->path, t->path); /* any pointer: it is in there */
}

void fold_touch(struct watched *w, const char *path, bool existed, uint64_t born)
{
    for (size_t i = 0; i < w->n_now; i++)
        touch(w->now[i], path, existed && !(born && w->now[i]->after < born));
}

static bool is_within(const char *path, const char *folder)
{
    size_t n = strlen(folder);
    return strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

static bool is_own(const struct watched *w, const char *path)
{
    for (size_t i = 0; i < w->n_own_now; i++)
        if (is_within(path, w->own_now[i]->path))
            return true;
    return false;
}

/* ---- events ---- */

/* A folder that left its place; it comes to another one at once, or it was moved out of what is watched. */
static void leave(struct watched *w, struct folder *f, const struct inotify_event *event,
                  const char *path, uint64_t chunk)
{
    void *known = folders_name(w, f, event->name);
    folders_set_name(w, f, event->name, NULL);
    if (!known || known == CHANGES_FILE || w->n_moves == CHANGES_MAX_MOVES) {
        fold_miss(w, MOVED_AWAY);
        return;
    }
    struct move *m = &w->moves[w->n_moves++];
    *m = (struct move){ event->cookie, chunk, known, strdup(path) };
    assert(m->path);
    m->folder->refs++;
}

static void end_move(struct watched *w, size_t i)
{
    folder_unref(w->moves[i].folder);
    free(w->moves[i].path);
    w->moves[i] = w->moves[--w->n_moves];
}

static void arrive(struct watched *w, struct folder *f, const struct inotify_event *event,
                   bool is_ours, uint64_t chunk)
{
    for (size_t i = 0; i < w->n_moves; i++) {
        struct move *m = &w->moves[i];
        if (m->cookie != event->cookie)
            continue;
        folders_move(w, m->folder, f, event->name);
        if (!is_ours) {
            free(m->folder->moved_from);
            m->folder->moved_from = TAKE(m->path);
            m->folder->moved = chunk;
        }
        folders_queue(w->fresh, m->folder);
        end_move(w, i);
        return;
    }
    folders_add(w, w->fresh, f, event->name, is_ours ? 0 : chunk);
}

static void on_folder(struct watched *w, struct folder *f, const struct inotify_event *event,
                      const char *path, uint64_t chunk)
{
    bool is_ours = is_own(w, path);
    if (event->mask & IN_MOVED_FROM)
        leave(w, f, event, path, chunk);
    else if (event->mask & IN_MOVED_TO)
        arrive(w, f, event, is_ours, chunk);
    else if (event->mask & IN_CREATE)
        folders_add(w, w->fresh, f, event->name, is_ours ? 0 : chunk);
    else if (event->mask & IN_DELETE)
        folders_set_name(w, f, event->name, NULL);
}

static void on_file(struct watched *w, const struct folder *f, const struct inotify_event *event,
                    const char *path)
{
    bool known = folders_name(w, f, event->name) != NULL, existed;
    if (!known && !w->names_full && w->is_ready && event->mask & (IN_MODIFY | IN_CLOSE_WRITE))
        return; /* of a file that has lost its name: no path of the workspace has changed */
    if (event->mask & IN_CREATE)
        existed = false;
    else if (event->mask & IN_MOVED_TO)
        existed = known; /* else the name was free, as far as anybody knows */
    else
        existed = known || w->names_full || !(event->mask & (IN_DELETE | IN_MOVED_FROM));
    if (event->mask & (IN_CREATE | IN_MOVED_TO))
        folders_set_name(w, f, event->name, CHANGES_FILE);
    else if (event->mask & (IN_DELETE | IN_MOVED_FROM))
        folders_set_name(w, f, event->name, NULL);
    if (!is_own(w, path))
        fold_touch(w, path, existed, f->born);
}

static void on_event(struct watched *w, const struct inotify_event *event, uint64_t chunk)
{
    char path[FILES_MAX_PATH + 1];
    if (event->mask & IN_Q_OVERFLOW) {
        fold_miss(w, CHANGES_OVERFLOW);
        w->lost = true;
        return;
    }
    struct folder *f = zhashx_lookup(w->by_wd, (void *)(intptr_t)event->wd);
    if (!f)
        return; /* cut off meanwhile */
    if (event->mask & IN_IGNORED && !f->parent)
        w->lost = true; /* the workspace itself is gone, perhaps there is another one */
    else if (event->mask & IN_IGNORED)
        folders_drop_watch(w, f);
    else if (event->len == 0)
        return; /* of the folder itself */
    else if (!folders_path(f, event->name, path))
        fold_miss(w, MOVED_AWAY);
    else if (event->mask & IN_ISDIR)
        on_folder(w, f, event, path, chunk);
    else
        on_file(w, f, event, path);
}

/* What left in an earlier chunk and has not come anywhere is gone. */
static void end_moves(struct watched *w, uint64_t chunk)
{
    for (size_t i = w->n_moves; i-- > 0;)
        if (w->moves[i].chunk < chunk) {
            fold_miss(w, MOVED_AWAY);
            folders_cut(w, w->moves[i].folder);
            end_move(w, i);
        }
}

bool fold_chunk(struct watched *w, const struct item *chunk)
{
    if (chunk->number <= w->n_stale)
        return true;
    fold_collect(w, chunk->number);
    while (w->chunk_at + sizeof(struct inotify_event) <= chunk->len) {
        const struct inotify_event *event = (const void *)(chunk->bytes + w->chunk_at);
        w->chunk_at += sizeof *event + event->len;
        on_event(w, event, chunk->number);
        if (zlistx_size(w->fresh))
            return false; /* what stands in there comes before what is said about it */
    }
    end_moves(w, chunk->number);
    return true;
}

/* ---- the answer ---- */

static const char *media_type(const char *path, const struct stat *st)
{
    static const char *const TEXTS[] = { "text/", "application/json", "application/yaml",
                                         "application/x-ipynb+json", "application/x-sh" };
    const char *type = mime_of(files_path_name(path));
    if (!type || strncmp(type, "image/", 6) == 0)
        return type;
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++)
        if (strncmp(type, TEXTS[i], strlen(TEXTS[i])) == 0)
            return st->st_size <= CHANGES_TEXT_BYTES ? type : NULL;
    return NULL;
}

/* The folder that the last file was in, open. */
struct place {
    char path[FILES_MAX_PATH + 1];
    int fd;
};

/* A regular file stands there. */
static bool look(const struct watched *w, struct place *p, const char *path, struct stat *ret)
{
    const char *name = files_path_name(path);
    size_t n = name > path ? (size_t)(name - path) - 1 : 0;
    if (p->fd < 0 || strncmp(p->path, path, n) != 0 || p->path[n] != '\0') {
        close_fd_at(&p->fd);
        memcpy(p->path, path, n);
        p->path[n] = '\0';
        p->fd = beneath_open_errno(w->root_fd, n ? p->path : ".", O_RDONLY | O_DIRECTORY, 0);
    }
    return p->fd >= 0 && fstatat(p->fd, name, ret, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(ret->st_mode);
}

static const char *change_of(const struct changes_run *run, const struct touched *t, bool is_there,
                             const struct stat *st)
{
    if (!is_there)
        return t->existed ? "deleted" : NULL;
    int64_t changed_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec;
    if (t->existed)
        return changed_ns >= run->began_ns - CLOCK_SLACK_NS ? "modified" : NULL;
    return "created";
}

static void write_item(const char *path, const char *change, const struct stat *st, bool is_there,
                       bool is_first, struct buf *out)
{
    CLEANUP_BUF struct buf text = BUF_INIT(FILES_MAX_TEXT);
    const char *type = is_there ? media_type(path, st) : NULL;
    files_path_write(slice_str(path), &text);
    buf_add_str(out, is_first ? "{\"path\":" : ",{\"path\":");
    json_quote(out, buf_slice(&text));
    buf_addf(out, ",\"bytes\":%lld,\"change\":\"%s\"", is_there ? (long long)st->st_size : 0LL,
             change);
    if (type)
        buf_addf(out, ",\"mime\":\"%s\"", type);
    buf_add_char(out, '}');
}

void fold_end(struct changes_run *run)
{
    struct buf *out = &run->fields;
    struct place place = { .fd = -1 };
    unsigned n = 0;
    buf_add_str(out, ",\"items\":[");
    for (size_t i = 0; i < run->n_touched; i++) {
        struct stat st;
        const struct touched *t = &run->touched[i];
        bool is_there = run->watched->root_fd >= 0 && look(run->watched, &place, t->path, &st);
        const char *change = change_of(run, t, is_there, &st);
        if (!change)
            continue;
        if (n == CHANGES_MAX_ITEMS || out->len > CHANGES_MAX_TOLD) {
            run->missed = TOO_MANY;
            break;
        }
        write_item(t->path, change, &st, is_there, n++ == 0, out);
    }
    close_fd_at(&place.fd);
    buf_add_char(out, ']');
    if (run->missed) {
        buf_add_str(out, ",\"incomplete\":");
        json_quote_str(out, run->missed);
    }
    if (run->shared)
        buf_add_str(out, ",\"shared\":true");
    if (n == 0 && !run->missed)
        buf_reset(out);
}
