/* The user's files over REST: list, use, delete, make, move. Their bytes: download.c, upload.c, archive.c. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/json.h"
#include "web/archive_reply.h"
#include "web/download.h"
#include "web/fields.h"
#include "web/file_item.h"
#include "web/file_path.h"
#include "web/file_tag.h"
#include "web/file_work.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"
#include "web/upload.h"

#define DEFAULT_LIMIT  1000
#define MAX_LIMIT      10000
#define MAX_PATTERN    1024
#define MAX_PAGE_BYTES (8u << 20) /* a page ends there, after the entry that passed it */
#define MAX_ENTRY      (16 * FILES_MAX_TEXT)

/* One question and its answer. */
struct call {
    struct file_work work;
    struct file_condition condition;
    char path[FILES_MAX_PATH + 1], to[FILES_MAX_PATH + 1], after[FILES_MAX_PATH + 1];
    char pattern[MAX_PATTERN + 1];
    unsigned depth, limit;
    bool all, replace;
    bool is_full;    /* the page has enough bytes */
    unsigned status; /* of the answer */
    struct buf json;
};

static void call_free(struct file_work *w)
{
    struct call *c = (struct call *)w;
    file_condition_done(&c->condition);
    buf_done(&c->json);
    free(c);
}

static struct call *call_new(struct request *r)
{
    struct call *c = calloc(1, sizeof *c);
    assert(c);
    c->status = 200;
    buf_init(&c->json, MAX_PAGE_BYTES + 2 * MAX_ENTRY);
    file_condition_read(&c->condition, &r->head);
    file_work_begin(&c->work, r, call_free);
    return c;
}

static void on_done(struct file_work *w, const struct err *e)
{
    struct call *c = (struct call *)w;
    if (e)
        reply_error(w->request, e);
    else if (c->status == 204)
        reply_empty(w->request, 204);
    else
        reply_buf(w->request, c->status, &c->json);
}

static void submit(struct call *c, enum file_work_kind kind,
                   int (*run)(struct file_work *w, struct tree *t, struct err *e))
{
    struct err e = ERR_INIT;
    if (file_work_place(&c->work, &e) < 0 || file_work_submit(&c->work, kind, run, on_done, &e) < 0)
        reply_error(c->work.request, &e);
}

static int write_there(struct call *c, struct tree *t, const char *path, struct err *e)
{
    struct files_stat st;
    if (files_stat(t, path, &st, e) < 0)
        return -1;
    file_item_write(path, &st, false, &c->json);
    return 0;
}

/* ---- the list ---- */

static int add_item(void *arg, const struct files_found *found, struct err *e)
{
    struct call *c = arg;
    if (c->json.data[c->json.len - 1] != '[')
        buf_add_char(&c->json, ',');
    file_item_write(found->path, &found->st, found->is_closed, &c->json);
    c->is_full = c->json.len > MAX_PAGE_BYTES;
    return c->is_full ? err_set(e, ERR_TOO_LARGE, "the page is full") : 0;
}

static int list_folder(struct call *c, struct tree *t, struct err *e)
{
    char next[FILES_MAX_PATH + 1];
    CLEANUP_BUF struct buf text = BUF_INIT(FILES_MAX_TEXT);
    const struct files_walk want = {
        .pattern = slice_str(c->pattern), .depth = c->depth, .limit = c->limit, .after = c->after
    };
    buf_add_str(&c->json, "{\"items\":[");
    if (files_walk(t, c->path, &want, add_item, c, next, e) < 0 && !c->is_full)
        return -1;
    buf_add_str(&c->json, "],\"next\":");
    files_path_write(slice_str(next), &text);
    if (next[0])
        json_quote(&c->json, buf_slice(&text));
    else
        buf_add_str(&c->json, "null");
    buf_add_char(&c->json, '}');
    return 0;
}

static int list(struct file_work *w, struct tree *t, struct err *e)
{
    struct call *c = (struct call *)w;
    struct files_stat st;
    if (files_stat(t, c->path, &st, e) < 0)
        return -1;
    if (st.type == FILES_FOLDER)
        return list_folder(c, t, e);
    buf_add_str(&c->json, "{\"items\":[");
    file_item_write(c->path, &st, false, &c->json);
    buf_add_str(&c->json, "],\"next\":null}");
    return 0;
}

static int read_path(const struct query *q, const char *name, char ret[FILES_MAX_PATH + 1],
                     struct err *e)
{
    const char *text = query_get(q, name);
    return text ? files_path_read(slice_str(text), ret, e) : 0;
}

static int read_list_query(struct call *c, const struct query *q, struct err *e)
{
    const char *pattern = query_get(q, "pattern");
    bool recursive;
    int64_t depth, limit;
    if (read_path(q, "path", c->path, e) < 0 || read_path(q, "cursor", c->after, e) < 0 ||
        query_flag(q, "recursive", false, &recursive, e) < 0 ||
        query_number(q, "depth", 1, FILES_MAX_DEPTH, recursive ? FILES_MAX_DEPTH + 1 : 1, &depth, e) <
            0 ||
        query_number(q, "limit", 1, MAX_LIMIT, DEFAULT_LIMIT, &limit, e) < 0)
        return -1;
    if (pattern && strlen(pattern) > MAX_PATTERN)
        return err_set(e, ERR_INVALID, "the pattern is longer than %d bytes", MAX_PATTERN);
    (void)snprintf(c->pattern, sizeof c->pattern, "%s", pattern ? pattern : ""); /* fits */
    c->depth = (unsigned)depth;
    c->limit = (unsigned)limit;
    return 0;
}

/* ---- the use ---- */

static int write_usage(struct file_work *w, struct tree *t, struct err *e)
{
    struct call *c = (struct call *)w;
    struct files_usage used, limit;
    if (files_usage(t, &used, &limit, e) < 0)
        return -1;
    buf_addf(&c->json,
             "{\"used\":%" PRIu64 ",\"limit\":%" PRIu64 ",\"files\":%" PRIu64
             ",\"files_limit\":%" PRIu64 ",\"unseen_folders\":%" PRIu64 "}",
             used.bytes, limit.bytes, used.files, limit.files, used.unseen);
    return 0;
}

void rest_files(struct request *r)
{
    struct err e = ERR_INIT;
    bool usage;
    struct call *c = call_new(r);
    if (query_flag(&r->query, "usage", false, &usage, &e) < 0 ||
        read_list_query(c, &r->query, &e) < 0)
        reply_error(r, &e);
    else
        submit(c, FILE_WORK_FIRST, usage ? write_usage : list);
}

/* ---- the bytes ---- */

static void refuse(struct request *r, const struct err *e)
{
    if (e->code == ERR_INVALID)
        r->hint = "a folder is listed by GET /files?path=…, and given with ?archive=tar or zip";
    reply_error(r, e);
}

void rest_file(struct request *r)
{
    struct err e = ERR_INIT;
    struct download_ask ask = { .refuse = refuse };
    const char *archive = query_get(&r->query, "archive");
    if (query_flag(&r->query, "download", false, &ask.as_attachment, &e) < 0 ||
        file_path_read(r->match.rest, ask.path, &e) < 0)
        reply_error(r, &e);
    else if (archive)
        archive_reply(r, ask.path, archive);
    else
        download_start(r, &ask);
}

void rest_file_put(struct request *r)
{
    upload_start(r);
}

void rest_files_post(struct request *r)
{
    bool is_form = head_content_is(&r->head, "multipart/form-data");
    if (r->state != REQUEST_BEGINNING)
        upload_json(r);
    else if (is_form)
        upload_start_form(r);
}

/* ---- deleting ---- */

static int delete_it(struct file_work *w, struct tree *t, struct err *e)
{
    struct call *c = (struct call *)w;
    files_guard(t, file_condition_check, &c->condition);
    if (files_delete(t, c->path, c->all, e) == 0)
        return 0;
    return e->code == ERR_CONFLICT && !c->all
               ? err_set(e, ERR_CONFLICT, "the folder is not empty: recursive=1 deletes it")
               : -1;
}

void rest_file_delete(struct request *r)
{
    struct err e = ERR_INIT;
    struct call *c = call_new(r);
    c->status = 204;
    if (!request_has_empty_body(r))
        return;
    if (query_flag(&r->query, "recursive", false, &c->all, &e) < 0 ||
        file_path_read(r->match.rest, c->path, &e) < 0)
        reply_error(r, &e);
    else
        submit(c, FILE_WORK_CHANGE, delete_it);
}

/* ---- folders, moving ---- */

struct body {
    struct slice path, from, to;
    bool replace;
};

#define AT(member) offsetof(struct body, member)
static const struct field MKDIR[] = {
    { "path", FIELD_TEXT, AT(path), true, FILES_MAX_TEXT, FIELD_NO_CONFIG, NULL },
};
static const struct field MOVE[] = {
    { "from", FIELD_TEXT, AT(from), true, FILES_MAX_TEXT, FIELD_NO_CONFIG, NULL },
    { "to", FIELD_TEXT, AT(to), true, FILES_MAX_TEXT, FIELD_NO_CONFIG, NULL },
    { "replace", FIELD_FLAG, AT(replace), false, 0, FIELD_NO_CONFIG, NULL },
};

/* One that is there already is no error: who asks wants it there. */
static int make_folder(struct file_work *w, struct tree *t, struct err *e)
{
    struct call *c = (struct call *)w;
    struct files_stat st;
    struct err missing = ERR_INIT;
    bool is_there = files_stat(t, c->path, &st, &missing) == 0 && st.type == FILES_FOLDER;
    c->status = is_there ? 200 : 201;
    if (!is_there &&
        (files_make_parents(t, c->path, e) < 0 || files_make_folder(t, c->path, e) < 0))
        return -1;
    return write_there(c, t, c->path, e);
}

void rest_files_mkdir(struct request *r)
{
    struct err e = ERR_INIT;
    struct body body = { .replace = false };
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct call *c = call_new(r);
    if (fields_read(&fields, buf_slice(&r->body), MKDIR, ARRAY_LEN(MKDIR), r->site->config, &body,
                    &e) < 0 ||
        files_path_read(body.path, c->path, &e) < 0)
        reply_error(r, &e);
    else
        submit(c, FILE_WORK_CHANGE, make_folder);
}

static int move(struct file_work *w, struct tree *t, struct err *e)
{
    struct call *c = (struct call *)w;
    struct files_stat st;
    files_guard(t, file_condition_check, &c->condition);
    if (files_stat(t, c->path, &st, e) < 0 || files_make_parents(t, c->to, e) < 0)
        return -1;
    if (files_rename(t, c->path, c->to, c->replace, e) < 0)
        return e->code == ERR_CONFLICT && !c->replace ? err_in(e, "replace:true replaces a file")
                                                      : -1;
    return write_there(c, t, c->to, e);
}

void rest_files_move(struct request *r)
{
    struct err e = ERR_INIT;
    struct body body = { .replace = false };
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct call *c = call_new(r);
    if (fields_read(&fields, buf_slice(&r->body), MOVE, ARRAY_LEN(MOVE), r->site->config, &body,
                    &e) < 0 ||
        files_path_read(body.from, c->path, &e) < 0 || files_path_read(body.to, c->to, &e) < 0) {
        reply_error(r, &e);
        return;
    }
    c->replace = body.replace;
    submit(c, FILE_WORK_CHANGE, move);
}
