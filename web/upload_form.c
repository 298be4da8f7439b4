/* A form with a file in it. libmicrohttpd takes the parts out of it; what it finds is handed on as it comes. */
#include <stdlib.h>
#include <strings.h>

#include "base/log.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/upload.h"
#include "web/upload_internal.h"

#define FEED_BYTES (64u * 1024)

_Static_assert(UPLOAD_PIECE_BYTES / 2 + FEED_BYTES <= UPLOAD_PIECE_BYTES,
               "what is fed at once fits behind half a piece");

/* Some browsers and libraries send the name with folders. */
static int read_name(struct upload *u, const char *text, struct err *e)
{
    char path[FILES_MAX_PATH + 1];
    for (const char *at = text; *at; at++)
        if (*at == '/' || *at == '\\')
            text = at + 1;
    if (files_path_read(slice_str(text), path, e) < 0)
        return err_in(e, "the file's name");
    (void)snprintf(u->name, sizeof u->name, "%.*s", FILES_MAX_NAME, path); /* one name: fits */
    return 0;
}

static int begin_file(struct upload *u, const char *name, const char *encoding, struct err *e)
{
    if (encoding && encoding[0] && strcasecmp(encoding, "binary") != 0 &&
        strcasecmp(encoding, "8bit") != 0 && strcasecmp(encoding, "7bit") != 0)
        return err_set(e, ERR_INVALID, "Content-Transfer-Encoding %.40s is not known here",
                       log_quote(slice_str(encoding)));
    u->has_file = true;
    return name ? read_name(u, name, e) : 0;
}

static int take_file(struct upload *u, const char *name, const char *encoding, uint64_t offset,
                     struct slice bytes, struct err *e)
{
    bool begins = offset == 0 && bytes.len > 0;
    if (u->has_file && begins && u->file_bytes)
        return err_set(e, ERR_INVALID, "one file in a request");
    if (!u->has_file && begin_file(u, name, encoding, e) < 0)
        return -1;
    buf_add_slice(&u->piece, bytes);
    u->file_bytes += bytes.len;
    assert(!u->piece.failed); /* fed less than it has room for */
    return 0;
}

static int take_part(struct upload *u, const char *key, const char *name, const char *encoding,
                     uint64_t offset, struct slice bytes, struct err *e)
{
    if (strcmp(key, "file") == 0)
        return take_file(u, name, encoding, offset, bytes, e);
    if (strcmp(key, "path") != 0)
        return err_set(e, ERR_INVALID, "unknown part %.80s; known: file, path",
                       log_quote(slice_str(key)));
    u->has_path = true;
    buf_add_slice(&u->path_text, bytes);
    return u->path_text.failed
               ? err_set(e, ERR_INVALID, "the path is longer than %d bytes", FILES_MAX_PATH)
               : 0;
}

static enum MHD_Result on_part(void *arg, enum MHD_ValueKind kind, const char *key,
                               const char *name, const char *type, const char *encoding,
                               const char *data, uint64_t offset, size_t size)
{
    struct upload *u = arg;
    return take_part(u, key ? key : "", name, encoding, offset, slice_of(data, size),
                     &u->form_error) < 0
               ? MHD_NO
               : MHD_YES;
}

static void refuse(struct upload *u)
{
    if (u->form_error.code == ERR_NONE)
        (void)err_set(&u->form_error, ERR_INVALID, "the body is no multipart/form-data");
    upload_refuse(u, &u->form_error);
}

static size_t take(void *arg, struct slice bytes)
{
    struct upload *u = arg;
    if (u->work.job)
        return 0;
    size_t n = bytes.len < FEED_BYTES ? bytes.len : FEED_BYTES;
    if (MHD_post_process(u->form, bytes.data, n) != MHD_YES)
        refuse(u);
    else if (u->piece.len >= UPLOAD_PIECE_BYTES / 2)
        upload_write_piece(u);
    return n;
}

static int finish(struct upload *u, struct err *e)
{
    struct slice path = buf_slice(&u->path_text);
    enum MHD_Result whole = MHD_destroy_post_processor(u->form);
    u->form = NULL;
    if (u->form_error.code != ERR_NONE) {
        *e = u->form_error;
        return -1;
    }
    if (whole != MHD_YES || !u->has_file)
        return err_set(e, ERR_INVALID, "the form has no part 'file', or does not end");
    u->is_folder = path.len && path.data[path.len - 1] == '/';
    return files_path_read(path, u->path, e);
}

static void end(void *arg)
{
    struct upload *u = arg;
    struct err e = ERR_INIT;
    u->is_over = true;
    if (finish(u, &e) < 0)
        upload_refuse(u, &e);
    else if (!u->work.job)
        upload_commit(u);
}

void upload_start_form(struct request *r)
{
    struct err e = ERR_INIT;
    struct upload *u = upload_new(r);
    u->form = MHD_create_post_processor(r->mhd, UPLOAD_FORM_BYTES, on_part, u);
    if (!u->form)
        (void)err_set(&e, ERR_INVALID, "the Content-Type of the form names no boundary");
    if (!u->form || file_work_place(&u->work, &e) < 0) {
        reply_error(r, &e);
        return;
    }
    if (r->head.content_length) /* the form is a little more than the file */
        u->expected_bytes = strtoull(r->head.content_length, NULL, 10);
    upload_take_body(u, take, end);
    upload_begin(u);
}
