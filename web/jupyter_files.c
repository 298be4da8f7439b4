/* GET /files/{path}: the bytes of a file, read in a worker piece by piece, as the client takes them.
 *
 *     jupyter_files ──► open ──► headers ──► fill() ──► bytes there? copied
 *                                              └──► none: read the next piece, suspended until it is there
 *
 * What the file is, a stranger's code has made: the browser is told to treat it as another site's (sandbox). */
#include "web/jupyter_contents.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/mime.h"
#include "kernelhub/files.h"
#include "web/file_path.h"
#include "web/range.h"
#include "web/reply.h"
#include "web/request.h"

#define PIECE_BYTES (256u * 1024)
#define MAX_NAME    1024 /* of a name, quoted and encoded */

struct download {
    struct request *request; /* NULL: the client has left */
    struct files_job *job;   /* NULL: none is under way */
    char path[FILES_MAX_PATH + 1];
    struct file *file;
    struct files_stat st;
    uint64_t first, len; /* what is sent of the file */
    char *piece;         /* PIECE_BYTES; read from the file's offset piece_at on */
    uint64_t piece_at;
    size_t piece_len;
    bool failed;
};

static void download_free(void *arg)
{
    struct download *d = arg;
    file_close(d->file);
    free(d->piece);
    free(d);
}

static void on_request_end(void *work, bool completed)
{
    struct download *d = work;
    d->request = NULL;
    if (d->job)
        files_leave(d->job); /* download_free then, or later */
    else
        download_free(d);
}

/* ---- pieces ---- */

static int read_piece(void *arg, struct tree *t, struct err *e)
{
    struct download *d = arg;
    uint64_t left = d->first + d->len - d->piece_at;
    ssize_t n = file_read(d->file, d->piece_at, d->piece,
                          left < PIECE_BYTES ? (size_t)left : PIECE_BYTES, e);
    if (n < 0)
        return -1;
    d->piece_len = (size_t)n;
    return 0;
}

static void on_piece(void *arg, const struct err *e)
{
    struct download *d = arg;
    d->job = NULL;
    d->failed = e || d->piece_len == 0; /* it has been cut while it was read */
    request_wake(d->request);
}

static bool want_piece(struct download *d, uint64_t offset)
{
    struct err e = ERR_INIT;
    const struct files_work work = {
        .run = read_piece, .done = on_piece, .drop = download_free, .ctx = d, .is_piece = true
    };
    d->piece_at = offset;
    d->piece_len = 0;
    return files_submit(d->request->site->hub, d->request->user, &work, &d->job, &e) == 0;
}

static ssize_t fill(void *arg, uint64_t pos, char *out, size_t max)
{
    struct download *d = arg;
    uint64_t offset = d->first + pos;
    if (d->failed || d->request->socket->peer_has_left)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (offset >= d->piece_at && offset < d->piece_at + d->piece_len) {
        size_t from = (size_t)(offset - d->piece_at), n = d->piece_len - from;
        n = n < max ? n : max;
        memcpy(out, d->piece + from, n);
        return (ssize_t)n;
    }
    if (!d->job && !want_piece(d, offset))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    request_suspend(d->request);
    return 0;
}

/* ---- the head of the reply ---- */

static bool has_tag(const char *header, const char *tag)
{
    size_t n = strlen(tag);
    for (const char *at = header; at && *at;) {
        at += strspn(at, " \t,");
        if (strncmp(at, "W/", 2) == 0)
            at += 2;
        if (*at == '*' || (strncmp(at, tag, n) == 0 && strchr(" \t,", at[n])))
            return true;
        at += strcspn(at, ",");
    }
    return false;
}

static void content_type(const char *name, char ret[128])
{
    const char *mime = mime_of(name);
    bool is_text = mime && strncmp(mime, "text/", 5) == 0;
    (void)snprintf(ret, 128, "%s%s", mime ? mime : "application/octet-stream",
                   is_text ? "; charset=UTF-8" : ""); /* fits */
}

/* RFC 6266: a name for old clients, and the whole name (RFC 8187). */
static void add_disposition(struct request *r, const char *name)
{
    CLEANUP_BUF struct buf value = BUF_INIT(4 * MAX_NAME);
    buf_add_str(&value, "attachment; filename=\"");
    for (const char *at = name; *at; at++)
        buf_add_char(&value, *at < 0x20 || *at > 0x7e || strchr("\"\\%", *at) ? '_' : *at);
    buf_add_str(&value, "\"; filename*=UTF-8''");
    file_path_write(name, &value);
    if (!value.failed)
        reply_header(r, "Content-Disposition", value.data);
}

static void add_headers(struct download *d, const char *tag)
{
    struct request *r = d->request;
    const char *wanted = query_get(&r->query, "download");
    reply_header(r, "ETag", tag);
    reply_header(r, "Accept-Ranges", "bytes");
    reply_header(r, "Content-Security-Policy", "sandbox allow-scripts");
    if (wanted && wanted[0] && strcmp(wanted, "0") != 0)
        add_disposition(r, files_path_name(d->path));
}

static void start(struct download *d, unsigned status, uint64_t first, uint64_t len)
{
    char type[128];
    d->first = first;
    d->len = len;
    content_type(files_path_name(d->path), type);
    reply_source(d->request, status, type, len, fill, d);
}

static void reply_range(struct download *d, const char *tag)
{
    struct request *r = d->request;
    struct range range;
    struct err e = ERR_INIT;
    char text[80];
    bool may = !r->head.if_range || strcmp(r->head.if_range, tag) == 0;
    switch (range_parse(may ? r->head.range : NULL, d->st.bytes, &range)) {
    case RANGE_NONE:
        start(d, 200, 0, d->st.bytes);
        add_headers(d, tag);
        return;
    case RANGE_PART:
        start(d, 206, range.first, range.len);
        add_headers(d, tag);
        (void)snprintf(text, sizeof text, "bytes %zu-%zu/%" PRIu64, range.first,
                       range.first + range.len - 1, d->st.bytes);
        break;
    case RANGE_OUTSIDE:
        (void)err_set(&e, ERR_RANGE, "the range is outside of the %" PRIu64 " bytes there are",
                      d->st.bytes);
        reply_error(r, &e);
        (void)snprintf(text, sizeof text, "bytes */%" PRIu64, d->st.bytes);
        break;
    }
    reply_header(r, "Content-Range", text);
}

static void on_open(void *arg, const struct err *e)
{
    struct download *d = arg;
    struct request *r = d->request;
    char tag[80];
    d->job = NULL;
    if (r->response) /* the server stops: that was the answer */
        return;
    if (e) {
        jupyter_contents_refuse(r, e);
        return;
    }
    (void)snprintf(tag, sizeof tag, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"", d->st.node,
                   d->st.bytes, (uint64_t)d->st.modified_ns); /* fits */
    if (has_tag(r->head.if_none_match, tag)) {
        reply_empty(r, 304);
        add_headers(d, tag);
    } else {
        reply_range(d, tag);
    }
}

static int open_file(void *arg, struct tree *t, struct err *e)
{
    struct download *d = arg;
    return files_open(t, d->path, &d->file, &d->st, e);
}

void jupyter_files(struct request *r)
{
    struct err e = ERR_INIT;
    struct download *d = calloc(1, sizeof *d);
    assert(d);
    d->request = r;
    d->piece = malloc(PIECE_BYTES);
    assert(d->piece);
    request_work(r, d, on_request_end);
    const struct files_work work = {
        .run = open_file, .done = on_open, .drop = download_free, .ctx = d
    };
    if (file_path_read(r->match.rest, d->path, &e) < 0) {
        reply_error(r, &e);
    } else if (files_path_is_hidden(d->path)) {
        (void)err_set(&e, ERR_NOT_FOUND, "file or directory does not exist");
        reply_error(r, &e);
    } else if (files_submit(r->site->hub, r->user, &work, &d->job, &e) < 0) {
        jupyter_contents_refuse(r, &e);
    }
}
