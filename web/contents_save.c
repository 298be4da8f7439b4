/* PUT: a file, a notebook, a folder, or a part of a large file. */
#include "base/base64.h"
#include "base/json.h"
#include "protocol/notebook_file.h"
#include "web/contents.h"

#define MAX_WHY 512

int contents_read_body(const struct buf *body, struct buf *mended, struct slice *ret,
                       bool *is_mended, struct err *e)
{
    *ret = body->len ? buf_slice(body) : SLICE_LITERAL("{}");
    *is_mended = false;
    if (!json_valid(*ret)) {
        json_mend(mended, *ret);
        *ret = buf_slice(mended);
        *is_mended = true;
    }
    if (mended->failed || !json_valid(*ret))
        return err_set(e, ERR_INVALID, "the body is no JSON");
    if (json_type(*ret) == JSON_NULL)
        *ret = SLICE_LITERAL("{}");
    return json_type(*ret) == JSON_OBJECT ? 0
                                          : err_set(e, ERR_INVALID, "the body is no JSON object");
}

int contents_read_path(struct slice object, const char *key, char ret[FILES_MAX_PATH + 1],
                       bool *ret_has, struct err *e)
{
    struct slice value, raw;
    CLEANUP_BUF struct buf text = BUF_INIT(FILES_MAX_TEXT);
    *ret_has = json_member(object, key, &value) && json_type(value) != JSON_NULL &&
               !slice_is(value, "\"\"");
    if (!*ret_has)
        return 0;
    if (!json_member_string(object, key, &raw))
        return err_set(e, ERR_INVALID, "'%s' is no string", key);
    json_unescape(&text, raw);
    if (text.failed)
        return err_set(e, ERR_INVALID, "'%s' is longer than %d bytes", key, FILES_MAX_PATH);
    return files_path_read(buf_slice(&text), ret, e);
}

/* What the content of a file means in bytes. */
static int decode(struct slice model, struct buf *out, struct err *e)
{
    struct slice raw, format = { 0 };
    CLEANUP_BUF struct buf text = BUF_INIT(CONTENTS_MAX_BYTES + 1024);
    (void)json_member_string(model, "format", &format); /* what is missing is refused */
    bool is_text = slice_is(format, "text");
    if (!is_text && !slice_is(format, "base64"))
        return err_set(e, ERR_INVALID,
                       "must specify format of file contents as 'text' or 'base64'");
    if (!json_member_string(model, "content", &raw))
        return err_set(e, ERR_INVALID, "'content' of a file is a string");
    if (is_text) {
        json_unescape(out, raw);
        return 0;
    }
    if (raw.len && memchr(raw.data, '\\', raw.len)) {
        json_unescape(&text, raw);
        raw = buf_slice(&text);
    }
    return base64_decode(out, raw) ? 0 : err_set(e, ERR_INVALID, "'content' is no base64");
}

static int write_all(struct tree *t, const char *path, struct slice bytes, bool replace,
                     struct files_stat *st, struct err *e)
{
    CLEANUP(draft_free) struct draft *d = NULL;
    if (files_draft(t, &d, e) < 0 || draft_add(d, bytes, e) < 0)
        return -1;
    return draft_commit(d, t, path, replace, st, e);
}

static int save_file(struct tree *t, const char *path, struct slice model, bool replace,
                     struct files_stat *st, struct err *e)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT(CONTENTS_MAX_BYTES + 1024);
    struct slice content;
    if (json_member(model, "content", &content) && decode(model, &bytes, e) < 0)
        return -1;
    return write_all(t, path, buf_slice(&bytes), replace, st, e);
}

/* One part of a large file. Before the last the model is that of the file as far as it has come. */
static int save_part(struct tree *t, const char *path, struct slice model, int64_t part,
                     struct files_stat *st, struct err *e)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT(CONTENTS_MAX_BYTES + 1024);
    CLEANUP(draft_free) struct draft *d = NULL;
    if (part != -1 && part < 1)
        return err_set(e, ERR_INVALID, "'chunk' is 1, 2, … and -1 for the last");
    if (decode(model, &bytes, e) < 0 || files_draft_part(t, path, part, &d, e) < 0 ||
        draft_add(d, buf_slice(&bytes), e) < 0)
        return -1;
    return part == -1 ? draft_commit(d, t, path, true, st, e) : draft_keep(d, st, e);
}

/* A notebook has a checkpoint from its first save on. */
static void keep_first(struct tree *t, const char *path)
{
    char checkpoint[FILES_MAX_PATH + 1];
    struct contents_ask ask = { .content = false };
    struct contents_answer none = { .json = BUF_INIT(256) };
    struct files_stat st;
    struct err e = ERR_INIT;
    (void)snprintf(ask.path, sizeof ask.path, "%s", path); /* fits */
    if (contents_checkpoint_path(path, checkpoint, &e) == 0 &&
        files_stat(t, checkpoint, &st, &e) < 0 && e.code == ERR_NOT_FOUND)
        (void)contents_checkpoint_create(t, &ask, &none, &e); /* the save itself is done */
    buf_done(&none.json);
}

static int save_notebook(struct tree *t, const char *path, struct slice model, bool replace,
                         struct files_stat *st, struct buf *why, struct err *e)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT(CONTENTS_MAX_NOTEBOOK);
    struct slice content;
    if (!json_member(model, "content", &content))
        content = SLICE_LITERAL(NOTEBOOK_FILE_NEW);
    if (json_type(content) != JSON_OBJECT)
        return err_set(e, ERR_INVALID, "'content' of a notebook is an object");
    (void)notebook_file_check(content, why); /* it is saved nevertheless, and why is told */
    notebook_file_write(content, &bytes);
    if (bytes.failed)
        return err_set(e, ERR_TOO_LARGE, "the notebook would be above %zu bytes", bytes.max_bytes);
    if (write_all(t, path, buf_slice(&bytes), replace, st, e) < 0)
        return -1;
    keep_first(t, path);
    return 0;
}

static int save_folder(struct tree *t, const char *path, struct files_stat *st, struct err *e)
{
    struct err made = ERR_INIT;
    if (files_make_folder(t, path, &made) < 0 && made.code != ERR_CONFLICT) {
        *e = made;
        return -1;
    }
    if (files_stat(t, path, st, e) < 0)
        return -1;
    return st->type == FILES_FOLDER ? 0 : err_set(e, ERR_INVALID, "not a directory");
}

/* CONTENTS_ANY: it does not say. What is unknown is a file. */
static enum contents_type type_of(struct slice model)
{
    struct slice type;
    if (!json_member_string(model, "type", &type) || type.len == 0)
        return CONTENTS_ANY;
    return slice_is(type, "directory")  ? CONTENTS_DIRECTORY
           : slice_is(type, "notebook") ? CONTENTS_NOTEBOOK
                                        : CONTENTS_FILE;
}

static int check(enum contents_type type, struct slice model, bool exists, bool is_part,
                 struct err *e)
{
    struct slice content;
    if (type == CONTENTS_ANY && (exists || is_part))
        return err_set(e, ERR_INVALID, "no file type provided");
    if (is_part && type != CONTENTS_FILE)
        return err_set(e, ERR_INVALID, "only a file is uploaded in chunks");
    if ((exists || is_part) && type != CONTENTS_DIRECTORY &&
        !json_member(model, "content", &content))
        return err_set(e, ERR_INVALID, "no file content provided");
    return 0;
}

int contents_save(struct tree *t, const char *path, struct slice model, enum contents_mode mode,
                  struct contents_answer *ret, struct err *e)
{
    bool replace = mode != CONTENTS_NEW;
    CLEANUP_BUF struct buf why = BUF_INIT(MAX_WHY);
    struct slice chunk;
    struct files_stat st;
    int64_t part = 0;
    enum contents_type type = type_of(model);
    bool is_part = json_member(model, "chunk", &chunk) && json_type(chunk) != JSON_NULL;
    if (is_part && !json_member_int(model, "chunk", &part))
        return err_set(e, ERR_INVALID, "'chunk' is no whole number");
    if (check(type, model, mode == CONTENTS_REPLACE, is_part, e) < 0)
        return -1;
    if (type == CONTENTS_ANY)
        type = contents_ends_in_ipynb(path) ? CONTENTS_NOTEBOOK : CONTENTS_FILE;
    int rc = is_part                      ? save_part(t, path, model, part, &st, e)
             : type == CONTENTS_DIRECTORY ? save_folder(t, path, &st, e)
             : type == CONTENTS_NOTEBOOK  ? save_notebook(t, path, model, replace, &st, &why, e)
                                          : save_file(t, path, model, replace, &st, e);
    if (rc < 0)
        return -1;
    const struct contents_show show = { .message = buf_slice(&why) };
    (void)snprintf(ret->path, sizeof ret->path, "%s", path); /* fits */
    ret->has_path = true;
    return contents_write_model(t, path, &st, &show, &ret->json, e);
}
