/*     fill() ──► bytes there? copied
 *       └──► none: produce(), suspended until it is done
 *                    └──► entries ──► what was left out ──► zip: the directory ──► the end
 *
 * Entries are looked up a batch at a time, and each is opened by its path beneath the workspace when it comes. A zip's directory is
 * kept in a draft once it is large. */
#include "web/archive_reply.h"

#include <stdlib.h>
#include <time.h>

#include "protocol/archive.h"
#include "web/download.h"
#include "web/file_work.h"
#include "web/reply.h"
#include "web/request.h"

#define PIECE_BYTES     (256u * 1024)
#define READ_BYTES      (64u * 1024)
#define OUT_BYTES       (4 * PIECE_BYTES) /* a piece, and what the step that passed it adds */
#define BATCH           1024              /* entries */
#define BATCH_BYTES     (128u * 1024)     /* of their paths; the last one passes it */
#define DIRECTORY_BYTES (256u * 1024)     /* in memory */
#define LEFT_OUT        "LEFT_OUT.txt"
#define LEFT_OUT_BYTES  (64u * 1024)

enum phase { ENTRIES, NOTE, DIRECTORY, LAST, OVER };

struct found {
    char *path;
    struct files_stat st;
    bool is_closed;
};

struct pack {
    struct file_work work;
    char root[FILES_MAX_PATH + 1];
    enum archive_kind kind;
    struct archive *archive;
    enum phase phase;
    struct buf out;    /* ready */
    uint64_t out_from; /* where it begins in the reply */
    bool failed;

    struct found batch[BATCH];
    size_t n_batch, at, batch_bytes;
    char after[FILES_MAX_PATH + 1];
    bool is_last_batch;

    struct file *file; /* that is being read */
    char *file_path;   /* borrowed from the batch */
    uint64_t offset, bytes;
    bool is_ending;

    struct draft *directory; /* NULL: small enough */
    uint64_t directory_at;
    struct buf left_out;
    unsigned n_left_out;
};

static void forget_batch(struct pack *p)
{
    for (size_t i = 0; i < p->n_batch; i++)
        free(p->batch[i].path);
    p->n_batch = p->at = p->batch_bytes = 0;
}

static void pack_free(struct file_work *w)
{
    struct pack *p = (struct pack *)w;
    files_discard(w->hub, w->user, p->directory);
    forget_batch(p);
    file_close(p->file);
    archive_free(p->archive);
    buf_done(&p->out);
    buf_done(&p->left_out);
    free(p);
}

/* ---- names ---- */

static const char *root_name(const struct pack *p)
{
    return p->root[0] ? files_path_name(p->root) : "workspace";
}

/* "plots/a.png" of the folder "x/plots". A tar has the bytes of the disk, a zip text. */
static void write_name(const struct pack *p, const char *path, struct buf *out)
{
    size_t n = strlen(p->root);
    const char *below = path + n + (n && path[n] == '/');
    CLEANUP_BUF struct buf bytes = BUF_INIT(2 * FILES_MAX_PATH);
    buf_add_str(&bytes, root_name(p));
    if (*below)
        buf_addf(&bytes, "/%s", below);
    if (p->kind == ARCHIVE_ZIP)
        files_path_write(buf_slice(&bytes), out);
    else
        buf_add_slice(out, buf_slice(&bytes));
}

static void leave_out(struct pack *p, const char *path, const char *why)
{
    CLEANUP_BUF struct buf text = BUF_INIT(FILES_MAX_TEXT);
    p->n_left_out++;
    if (p->left_out.len > LEFT_OUT_BYTES)
        return;
    files_path_write(slice_str(path), &text);
    buf_addf(&p->left_out, "%s: %s\n", text.data, why);
}

/* ---- entries ---- */

static void begin_entry(struct pack *p, const char *path, const struct files_stat *st)
{
    CLEANUP_BUF struct buf name = BUF_INIT(4 * FILES_MAX_TEXT);
    write_name(p, path, &name);
    const struct archive_entry entry = { .path = buf_slice(&name),
                                         .is_folder = st->type == FILES_FOLDER,
                                         .mode = st->mode,
                                         .modified_s = st->modified_ns / 1000000000,
                                         .bytes = st->bytes };
    archive_begin(p->archive, &entry, &p->out);
}

static int keep_found(void *arg, const struct files_found *found, struct err *e)
{
    struct pack *p = arg;
    char *path = strdup(found->path);
    assert(path);
    p->batch[p->n_batch++] =
        (struct found){ .path = path, .st = found->st, .is_closed = found->is_closed };
    p->batch_bytes += strlen(path);
    return p->batch_bytes > BATCH_BYTES ? err_set(e, ERR_TOO_LARGE, "the batch is full") : 0;
}

static int next_batch(struct pack *p, struct tree *t, struct err *e)
{
    char next[FILES_MAX_PATH + 1];
    const struct files_walk want = { .depth = FILES_MAX_DEPTH + 1, /* deeper ones say so */
                                     .limit = BATCH,
                                     .after = p->after };
    forget_batch(p);
    if (files_walk(t, p->root, &want, keep_found, p, next, e) < 0 && p->batch_bytes <= BATCH_BYTES)
        return -1;
    memcpy(p->after, next, sizeof next);
    p->is_last_batch = !next[0];
    return 0;
}

/* What is no folder and no file any more, or cannot be read, is left out: that is no reason to give up all the others. */
static void take_entry(struct pack *p, struct tree *t, struct found *found)
{
    struct err e = ERR_INIT;
    struct files_stat st;
    switch (found->st.type) {
    case FILES_FOLDER:
        begin_entry(p, found->path, &found->st);
        (void)archive_end(p->archive, &p->out, &p->is_ending); /* a folder has no bytes */
        p->is_ending = false;
        if (found->is_closed)
            leave_out(p, found->path, "what is in it: permission denied, or nested too deep");
        return;
    case FILES_FILE:
        if (files_open(t, found->path, &p->file, &st, &e) < 0) {
            leave_out(p, found->path, e.text);
            return;
        }
        begin_entry(p, found->path, &st);
        p->file_path = found->path;
        p->bytes = st.bytes;
        p->offset = 0;
        return;
    case FILES_OTHER:
        leave_out(p, found->path, "a link, pipe, socket or device");
        return;
    }
}

static void end_file(struct pack *p)
{
    bool is_over, is_whole = archive_end(p->archive, &p->out, &is_over);
    if (!is_whole && !p->is_ending)
        leave_out(p, p->file_path, "it shrank while it was read: its end is missing");
    p->is_ending = !is_over;
    if (is_over) {
        file_close(p->file);
        p->file = NULL;
    }
}

static void read_file(struct pack *p)
{
    char bytes[READ_BYTES];
    struct err e = ERR_INIT;
    uint64_t left = p->bytes - p->offset;
    ssize_t n = p->is_ending || !left
                    ? 0
                    : file_read(p->file, p->offset, bytes,
                                left < sizeof bytes ? (size_t)left : sizeof bytes, &e);
    if (n <= 0) {
        end_file(p);
        return;
    }
    archive_add(p->archive, slice_of(bytes, (size_t)n), &p->out);
    p->offset += (uint64_t)n;
}

/* What a zip has at its end is put aside when it is too much for memory. */
static int spill_directory(struct pack *p, struct tree *t, size_t above, struct err *e)
{
    struct buf *directory = archive_directory(p->archive);
    if (directory->len <= above)
        return 0;
    if (!p->directory && files_scratch(t, &p->directory, e) < 0)
        return -1;
    if (draft_add(p->directory, buf_slice(directory), e) < 0)
        return -1;
    buf_reset(directory);
    return 0;
}

static int take_entries(struct pack *p, struct tree *t, struct err *e)
{
    if (p->file) {
        read_file(p);
    } else if (p->at < p->n_batch) {
        take_entry(p, t, &p->batch[p->at++]);
        return spill_directory(p, t, DIRECTORY_BYTES, e);
    } else if (!p->is_last_batch) {
        return next_batch(p, t, e);
    } else {
        p->phase = NOTE;
    }
    return 0;
}

/* ---- behind them ---- */

static void add_note(struct pack *p)
{
    bool is_over;
    struct slice text = buf_slice(&p->left_out);
    const struct archive_entry entry = {
        .path = SLICE_LITERAL(LEFT_OUT), .mode = 0644, .modified_s = time(NULL), .bytes = text.len
    };
    archive_begin(p->archive, &entry, &p->out);
    archive_add(p->archive, text, &p->out);
    (void)archive_end(p->archive, &p->out, &is_over); /* it is whole */
}

static void take_note(struct pack *p)
{
    if (p->left_out.len > LEFT_OUT_BYTES)
        buf_addf(&p->left_out, "… %u in all\n", p->n_left_out);
    if (p->n_left_out)
        add_note(p);
    p->phase = DIRECTORY;
}

static int take_directory(struct pack *p, struct tree *t, struct err *e)
{
    if (p->directory && spill_directory(p, t, 0, e) < 0)
        return -1;
    char *room = p->directory ? buf_room(&p->out, READ_BYTES) : NULL;
    ssize_t n = room ? draft_read(p->directory, p->directory_at, room, READ_BYTES, e) : 0;
    if (n < 0)
        return -1;
    p->out.len += (size_t)n;
    p->directory_at += (uint64_t)n;
    if (n == 0)
        p->phase = LAST;
    return 0;
}

static int step(struct pack *p, struct tree *t, struct err *e)
{
    switch (p->phase) {
    case ENTRIES:
        return take_entries(p, t, e);
    case NOTE:
        take_note(p);
        return 0;
    case DIRECTORY:
        return take_directory(p, t, e);
    case LAST:
        archive_finish(p->archive, &p->out);
        p->phase = OVER;
        return 0;
    case OVER:
        break;
    }
    return 0;
}

static int produce(struct file_work *w, struct tree *t, struct err *e)
{
    struct pack *p = (struct pack *)w;
    while (p->phase != OVER && p->out.len < PIECE_BYTES)
        if (files_go_on(t, e) < 0 || step(p, t, e) < 0)
            return -1;
    return p->out.failed ? err_set(e, ERR_INTERNAL, "a piece of the archive is too large") : 0;
}

/* ---- the reply ---- */

static void on_produced(struct file_work *w, const struct err *e)
{
    struct pack *p = (struct pack *)w;
    p->failed = e != NULL;
    request_wake(w->request);
}

static bool want_more(struct pack *p)
{
    struct err e = ERR_INIT;
    p->out_from += p->out.len;
    buf_reset(&p->out);
    return file_work_submit(&p->work, FILE_WORK_PIECE, produce, on_produced, &e) == 0;
}

static ssize_t fill(void *arg, uint64_t pos, char *out, size_t max)
{
    struct pack *p = arg;
    if (p->failed || p->work.request->socket->peer_has_left)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (!p->work.job && pos < p->out_from + p->out.len) {
        size_t from = (size_t)(pos - p->out_from), n = p->out.len - from;
        n = n < max ? n : max;
        memcpy(out, p->out.data + from, n);
        return (ssize_t)n;
    }
    if (!p->work.job && p->phase == OVER)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (!p->work.job && !want_more(p))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    request_suspend(p->work.request);
    return 0;
}

/* What can be said by a status is said by one: the first batch is looked up before the reply. */
static int begin(struct file_work *w, struct tree *t, struct err *e)
{
    struct pack *p = (struct pack *)w;
    struct files_stat st;
    if (files_stat(t, p->root, &st, e) < 0)
        return -1;
    if (st.type != FILES_FOLDER)
        return err_set(e, ERR_INVALID, "only a folder is given as an archive");
    if (next_batch(p, t, e) < 0)
        return -1;
    begin_entry(p, p->root, &st);
    (void)archive_end(p->archive, &p->out, &p->is_ending); /* a folder has no bytes */
    p->is_ending = false;
    return 0;
}

static void on_begun(struct file_work *w, const struct err *e)
{
    struct pack *p = (struct pack *)w;
    struct request *r = w->request;
    char name[FILES_MAX_NAME + 8];
    bool is_tar = p->kind == ARCHIVE_TAR;
    if (e) {
        file_work_refuse(r, e);
        return;
    }
    reply_stream(r, is_tar ? "application/x-tar" : "application/zip", fill, p);
    (void)snprintf(name, sizeof name, "%s.%s", root_name(p), is_tar ? "tar" : "zip"); /* fits */
    download_add_name(r, name);
}

void archive_reply(struct request *r, const char *path, const char *form)
{
    struct err e = ERR_INIT;
    struct pack *p = calloc(1, sizeof *p);
    assert(p);
    p->kind = strcmp(form, "zip") == 0 ? ARCHIVE_ZIP : ARCHIVE_TAR;
    p->archive = archive_new(p->kind);
    (void)snprintf(p->root, sizeof p->root, "%s", path); /* fits */
    buf_init(&p->out, OUT_BYTES);
    buf_init(&p->left_out, LEFT_OUT_BYTES + 2 * FILES_MAX_TEXT);
    file_work_begin(&p->work, r, pack_free);
    if (p->kind == ARCHIVE_TAR && strcmp(form, "tar") != 0)
        (void)err_set(&e, ERR_INVALID, "query parameter 'archive' must be tar or zip");
    if (e.code != ERR_NONE || file_work_place(&p->work, &e) < 0 ||
        file_work_submit(&p->work, FILE_WORK_FIRST, begin, on_begun, &e) < 0)
        file_work_refuse(r, &e);
}
