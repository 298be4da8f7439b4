#include "web/upload.h"

#include <stdlib.h>
#include <strings.h>

#include "base/base64.h"
#include "web/fields.h"
#include "web/file_item.h"
#include "web/file_path.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/upload_internal.h"

#define MAX_LOCATION 8192 /* a longer one is left out: the reply has to fit beside the request */
#define MAX_ITEM     (8 * FILES_MAX_TEXT)

static void upload_free(struct file_work *w)
{
    struct upload *u = (struct upload *)w;
    files_discard(w->hub, w->user, u->draft);
    if (u->form)
        (void)MHD_destroy_post_processor(u->form); /* the body was cut, or refused */
    file_condition_done(&u->condition);
    buf_done(&u->piece);
    buf_done(&u->path_text);
    buf_done(&u->body);
    free(u);
}

struct upload *upload_new(struct request *r)
{
    struct upload *u = calloc(1, sizeof *u);
    assert(u);
    buf_init(&u->piece, UPLOAD_PIECE_BYTES + UPLOAD_FORM_BYTES);
    buf_init(&u->path_text, FILES_MAX_TEXT);
    file_condition_read(&u->condition, &r->head);
    file_work_begin(&u->work, r, upload_free);
    return u;
}

void upload_refuse(struct upload *u, const struct err *e)
{
    if (!u->work.request->response)
        file_work_refuse(u->work.request, e);
}

static void submit(struct upload *u, enum file_work_kind kind,
                   int (*run)(struct file_work *w, struct tree *t, struct err *e),
                   void (*done)(struct file_work *w, const struct err *e))
{
    struct err e = ERR_INIT;
    if (file_work_submit(&u->work, kind, run, done, &e) < 0)
        upload_refuse(u, &e);
}

/* ---- the beginning ---- */

/* What would be refused at the end is refused now, as far as it can be known. */
static int check_target(struct upload *u, struct tree *t, struct err *e)
{
    struct files_stat st;
    struct err missing = ERR_INIT;
    bool is_there = files_stat(t, u->path, &st, &missing) == 0;
    if (file_condition_check(&u->condition, is_there ? &st : NULL, e) < 0)
        return -1;
    if (is_there && st.type == FILES_FOLDER)
        return err_set(e, ERR_INVALID, "a folder has that name");
    return 0;
}

static int begin(struct file_work *w, struct tree *t, struct err *e)
{
    struct upload *u = (struct upload *)w;
    if (!u->form && check_target(u, t, e) < 0)
        return -1;
    return files_draft(t, &u->draft, e) < 0 ? -1 : draft_expect(u->draft, t, u->expected_bytes, e);
}

static void on_begun(struct file_work *w, const struct err *e)
{
    if (e)
        file_work_refuse(w->request, e);
    else
        request_open_body(w->request);
}

void upload_begin(struct upload *u)
{
    submit(u, FILE_WORK_FIRST, begin, on_begun);
}

/* ---- the body ---- */

static int write_piece(struct file_work *w, struct tree *t, struct err *e)
{
    struct upload *u = (struct upload *)w;
    int rc = draft_add(u->draft, buf_slice(&u->piece), e);
    buf_reset(&u->piece);
    return rc;
}

static void on_written(struct file_work *w, const struct err *e)
{
    struct upload *u = (struct upload *)w;
    if (w->request->response) /* the server stops */
        return;
    if (e)
        upload_refuse(u, e);
    else if (u->is_over)
        upload_commit(u);
    else
        request_wake(w->request);
}

void upload_write_piece(struct upload *u)
{
    submit(u, FILE_WORK_PIECE, write_piece, on_written);
}

static size_t take(void *arg, struct slice bytes)
{
    struct upload *u = arg;
    if (u->work.job)
        return 0;
    size_t room = UPLOAD_PIECE_BYTES - u->piece.len, n = bytes.len < room ? bytes.len : room;
    buf_add(&u->piece, bytes.data, n);
    if (u->piece.len == UPLOAD_PIECE_BYTES)
        upload_write_piece(u);
    return n;
}

void upload_take_body(struct upload *u, size_t (*take_some)(void *arg, struct slice bytes),
                      void (*end)(void *arg))
{
    const struct body_taker taker = { .take = take_some, .end = end, .arg = u };
    request_take_body(u->work.request, &taker);
}

/* ---- the end ---- */

/* Where the file comes to, when only the folder is known. */
static int complete_path(struct upload *u, struct tree *t, struct err *e)
{
    struct files_stat st;
    struct err missing = ERR_INIT;
    bool is_folder = u->is_folder || !u->path[0] ||
                     (files_stat(t, u->path, &st, &missing) == 0 && st.type == FILES_FOLDER);
    if (!is_folder)
        return 0;
    if (!u->name[0])
        return err_set(e, ERR_INVALID, "that is a folder, and the file has no name");
    size_t n = strlen(u->path), left = sizeof u->path - n;
    if (snprintf(u->path + n, left, "%s%s", n ? "/" : "", u->name) >= (int)left)
        return err_set(e, ERR_INVALID, "the path is longer than %d bytes", FILES_MAX_PATH);
    return 0;
}

static int commit(struct file_work *w, struct tree *t, struct err *e)
{
    struct upload *u = (struct upload *)w;
    struct files_stat st;
    struct err missing = ERR_INIT;
    if (write_piece(w, t, e) < 0 || complete_path(u, t, e) < 0)
        return -1;
    u->is_there = files_stat(t, u->path, &st, &missing) == 0;
    files_guard(t, file_condition_check, &u->condition);
    return files_make_parents(t, u->path, e) < 0
               ? -1
               : draft_commit(u->draft, t, u->path, true, &u->st, e);
}

static void add_location(struct request *r, const char *path)
{
    CLEANUP_BUF struct buf url = BUF_INIT(MAX_LOCATION);
    buf_addf(&url, "%s/api/v1/files/", config_text(r->site->config, CONFIG_SERVER_BASE_PATH));
    file_path_write(path, &url);
    if (!url.failed)
        reply_header(r, "Location", url.data);
}

static void on_committed(struct file_work *w, const struct err *e)
{
    struct upload *u = (struct upload *)w;
    CLEANUP_BUF struct buf json = BUF_INIT(MAX_ITEM);
    char tag[FILE_TAG_BYTES];
    if (e) {
        file_work_refuse(w->request, e);
        return;
    }
    file_item_write(u->path, &u->st, false, &json);
    reply_buf(w->request, u->is_there ? 200 : 201, &json);
    file_tag_write(&u->st, tag);
    reply_header(w->request, "ETag", tag);
    add_location(w->request, u->path);
}

void upload_commit(struct upload *u)
{
    submit(u, FILE_WORK_LAST, commit, on_committed);
}

static void end(void *arg)
{
    struct upload *u = arg;
    u->is_over = true;
    if (!u->work.job)
        upload_commit(u);
}

/* ---- PUT ---- */

/* The body is the file, as it will be: who sends a part of it, or packs it, would find another one. */
static int check_body_is_file(const struct head *h, struct err *e)
{
    if (h->content_range)
        return err_set(e, ERR_INVALID, "a file is put whole: Content-Range is not possible here");
    if (h->content_encoding && h->content_encoding[0] &&
        strcasecmp(h->content_encoding, "identity") != 0)
        return err_set(e, ERR_MEDIA_TYPE, "a file is put as it is: no Content-Encoding");
    return 0;
}

void upload_start(struct request *r)
{
    struct err e = ERR_INIT;
    struct upload *u = upload_new(r);
    if (check_body_is_file(&r->head, &e) < 0 || file_path_read(r->match.rest, u->path, &e) < 0 ||
        file_work_place(&u->work, &e) < 0) {
        reply_error(r, &e);
        return;
    }
    if (!u->path[0]) {
        (void)err_set(&e, ERR_INVALID, "PUT needs the path of a file");
        reply_error(r, &e);
        return;
    }
    if (r->head.content_length)
        u->expected_bytes = strtoull(r->head.content_length, NULL, 10);
    upload_take_body(u, take, end);
    upload_begin(u);
}

/* ---- POST with JSON ---- */

struct json_file {
    struct slice path, content, content_base64;
};

#define AT(member) offsetof(struct json_file, member)
static const struct field FIELDS[] = {
    { "path", FIELD_TEXT, AT(path), true, FILES_MAX_TEXT, FIELD_NO_CONFIG, NULL },
    { "content_base64", FIELD_TEXT, AT(content_base64), false, 0, CONFIG_SERVER_MAX_BODY, NULL },
    { "content", FIELD_TEXT, AT(content), false, 0, CONFIG_SERVER_MAX_BODY, NULL },
};

static int read_content(const struct json_file *f, size_t max, struct buf *bytes, struct slice *ret,
                        struct err *e)
{
    buf_init(bytes, max);
    if (!f->content.data == !f->content_base64.data)
        return err_set(e, ERR_INVALID, "give content_base64, or content for text");
    *ret = f->content;
    if (f->content.data)
        return 0;
    if (!base64_decode(bytes, f->content_base64))
        return err_set(e, ERR_INVALID, "content_base64 is no base64");
    *ret = buf_slice(bytes);
    return 0;
}

static int commit_json(struct file_work *w, struct tree *t, struct err *e)
{
    struct upload *u = (struct upload *)w;
    struct json_file f = { .path = { 0 } };
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    CLEANUP_BUF struct buf bytes = BUF_INIT(0);
    struct slice content;
    if (fields_read(&fields, buf_slice(&u->body), FIELDS, ARRAY_LEN(FIELDS), u->config, &f, e) <
            0 ||
        files_path_read(f.path, u->path, e) < 0 ||
        read_content(&f, u->body.len, &bytes, &content, e) < 0 || check_target(u, t, e) < 0 ||
        files_draft(t, &u->draft, e) < 0 || draft_expect(u->draft, t, content.len, e) < 0 ||
        draft_add(u->draft, content, e) < 0)
        return -1;
    return commit(w, t, e);
}

void upload_json(struct request *r)
{
    struct err e = ERR_INIT;
    struct upload *u = upload_new(r);
    if (file_work_place(&u->work, &e) < 0) {
        reply_error(r, &e);
        return;
    }
    u->body = r->body;
    r->body = (struct buf)BUF_INIT(0);
    u->config = r->site->config;
    submit(u, FILE_WORK_CHANGE, commit_json, on_committed);
}
