/* The bytes of a file, read in a worker piece by piece, as the client takes them.
 *
 *     download_start ──► open ──► headers ──► fill() ──► bytes there? copied
 *                                               └──► none: read the next piece, suspended until it is there
 *
 * What the file is, a stranger's code has made: the browser is told to treat it as another site's (sandbox). */
#include "web/download.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "web/file_path.h"
#include "web/file_tag.h"
#include "web/file_work.h"
#include "base/mime.h"
#include "web/range.h"
#include "web/reply.h"
#include "web/request.h"

#define PIECE_BYTES (256u * 1024)
#define MAX_NAME    1024 /* of a name, quoted and encoded */

struct download {
    struct file_work work;
    struct download_ask ask;
    struct file *file;
    struct files_stat st;
    uint64_t first, len; /* what is sent of the file */
    char *piece;         /* PIECE_BYTES; read from the file's offset piece_at on */
    uint64_t piece_at;
    size_t piece_len;
    bool failed;
};

static void download_free(struct file_work *w)
{
    struct download *d = (struct download *)w;
    file_close(d->file);
    free(d->piece);
    free(d);
}

/* ---- pieces ---- */

static int read_piece(struct file_work *w, struct tree *t, struct err *e)
{
    struct download *d = (struct download *)w;
    uint64_t left = d->first + d->len - d->piece_at;
    ssize_t n = file_read(d->file, d->piece_at, d->piece,
                          left < PIECE_BYTES ? (size_t)left : PIECE_BYTES, e);
    if (n < 0)
        return -1;
    d->piece_len = (size_t)n;
    return 0;
}

static void on_piece(struct file_work *w, const struct err *e)
{
    struct download *d = (struct download *)w;
    d->failed = e || d->piece_len == 0; /* it has been cut while it was read */
    request_wake(w->request);
}

static bool want_piece(struct download *d, uint64_t offset)
{
    struct err e = ERR_INIT;
    if (!d->piece)
        d->piece = malloc(PIECE_BYTES);
    assert(d->piece);
    d->piece_at = offset;
    d->piece_len = 0;
    return file_work_submit(&d->work, FILE_WORK_PIECE, read_piece, on_piece, &e) == 0;
}

static ssize_t fill(void *arg, uint64_t pos, char *out, size_t max)
{
    struct download *d = arg;
    uint64_t offset = d->first + pos;
    if (d->failed || d->work.request->socket->peer_has_left)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (offset >= d->piece_at && offset < d->piece_at + d->piece_len) {
        size_t from = (size_t)(offset - d->piece_at), n = d->piece_len - from;
        n = n < max ? n : max;
        memcpy(out, d->piece + from, n);
        return (ssize_t)n;
    }
    if (!d->work.job && !want_piece(d, offset))
        return MHD_CONTENT_READER_END_WITH_ERROR;
    request_suspend(d->work.request);
    return 0;
}

/* ---- the head of the reply ---- */

static void content_type(const char *name, char ret[128])
{
    const char *mime = mime_of(name);
    bool is_text = mime && strncmp(mime, "text/", 5) == 0;
    (void)snprintf(ret, 128, "%s%s", mime ? mime : "application/octet-stream",
                   is_text ? "; charset=UTF-8" : ""); /* fits */
}

/* RFC 6266: a name for old clients, and the whole name (RFC 8187). */
void download_add_name(struct request *r, const char *name)
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

static void add_modified(struct request *r, int64_t ns)
{
    char text[64];
    struct tm tm;
    time_t seconds = (time_t)(ns / 1000000000);
    if (ns >= 0 && gmtime_r(&seconds, &tm) && tm.tm_year < 8100 &&
        strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm))
        reply_header(r, "Last-Modified", text);
}

static void add_headers(struct download *d, const char *tag)
{
    struct request *r = d->work.request;
    reply_header(r, "ETag", tag);
    reply_header(r, "Accept-Ranges", "bytes");
    reply_header(r, "Content-Security-Policy", "sandbox allow-scripts");
    add_modified(r, d->st.modified_ns);
    if (d->ask.as_attachment)
        download_add_name(r, files_path_name(d->ask.path));
}

static void start(struct download *d, unsigned status, uint64_t first, uint64_t len)
{
    char type[128];
    d->first = first;
    d->len = len;
    content_type(files_path_name(d->ask.path), type);
    reply_source(d->work.request, status, type, len, fill, d);
}

static void reply_range(struct download *d, const char *tag)
{
    struct request *r = d->work.request;
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

static void on_open(struct file_work *w, const struct err *failed)
{
    struct download *d = (struct download *)w;
    struct request *r = w->request;
    char tag[FILE_TAG_BYTES];
    struct err e = ERR_INIT;
    if (failed) {
        d->ask.refuse(r, failed);
        return;
    }
    file_tag_write(&d->st, tag);
    if (r->head.if_match && !file_tag_listed(r->head.if_match, tag, false)) {
        (void)err_set(&e, ERR_PRECONDITION, "If-Match: it has changed, its ETag is %s now", tag);
        reply_error(r, &e);
    } else if (file_tag_listed(r->head.if_none_match, tag, true)) {
        reply_empty(r, 304);
        reply_cacheable(r, "private, no-cache");
        add_headers(d, tag);
    } else {
        reply_range(d, tag);
    }
}

static int open_file(struct file_work *w, struct tree *t, struct err *e)
{
    struct download *d = (struct download *)w;
    return files_open(t, d->ask.path, &d->file, &d->st, e);
}

void download_start(struct request *r, const struct download_ask *ask)
{
    struct err e = ERR_INIT;
    struct download *d = calloc(1, sizeof *d);
    assert(d);
    d->ask = *ask;
    file_work_begin(&d->work, r, download_free);
    if ((!request_has_flag(r, ROUTE_JUPYTER) && file_work_place(&d->work, &e) < 0) ||
        file_work_submit(&d->work, FILE_WORK_FIRST, open_file, on_open, &e) < 0)
        ask->refuse(r, &e);
}
