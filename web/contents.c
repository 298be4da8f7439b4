#include "web/contents.h"

#include <ctype.h>

#include "base/json.h"

#define MAX_TRIES 10000 /* names that are taken */
#define MAX_EXT   64

int contents_get(struct tree *t, const struct contents_ask *ask, struct contents_answer *ret,
                 struct err *e)
{
    struct files_stat st;
    const struct contents_show show = {
        .type = ask->type, .format = ask->format, .content = ask->content, .hash = ask->hash
    };
    ret->status = 200;
    if (files_path_is_hidden(ask->path))
        return err_set(e, ERR_NOT_FOUND, "file or directory does not exist");
    if (files_stat(t, ask->path, &st, e) < 0)
        return -1;
    if (st.type == FILES_OTHER)
        return err_set(e, ERR_FORBIDDEN,
                       "that is neither a file nor a folder: a link is not followed");
    return contents_write_model(t, ask->path, &st, &show, &ret->json, e);
}

/* The model of what is now at `path`, without content. */
static int answer_with(struct tree *t, const char *path, unsigned status,
                       struct contents_answer *ret, struct err *e)
{
    struct files_stat st;
    const struct contents_show outside = { .content = false };
    if (files_stat(t, path, &st, e) < 0)
        return -1;
    ret->status = status;
    ret->has_path = true;
    (void)snprintf(ret->path, sizeof ret->path, "%s", path); /* fits */
    return contents_write_model(t, path, &st, &outside, &ret->json, e);
}

/* ---- names of our choice ---- */

/* "a.tar.gz" with "-Copy" and 2 is "a-Copy2.tar.gz"; of a notebook only the last dot counts. */
static int number_name(const char *folder, const char *name, const char *insert, unsigned number,
                       char ret[FILES_MAX_PATH + 1], struct err *e)
{
    const char *dot = contents_ends_in_ipynb(name) ? strrchr(name, '.') : strchr(name, '.');
    char middle[32] = "";
    if (!dot)
        dot = name + strlen(name);
    if (number)
        (void)snprintf(middle, sizeof middle, "%s%u", insert, number); /* fits */
    int n = snprintf(ret, FILES_MAX_PATH + 1, "%s%s%.*s%s%s", folder, folder[0] ? "/" : "",
                     (int)(dot - name), name, middle, dot);
    if (n > FILES_MAX_PATH || strlen(files_path_name(ret)) > FILES_MAX_NAME)
        return err_set(e, ERR_INVALID, "the name would be too long");
    return 0;
}

struct wish {
    const char *folder, *name, *insert;
    const char *copy_from; /* NULL: something new */
    enum contents_type type;
};

/* 0, or -1 with ERR_CONFLICT when the name was taken meanwhile. */
static int make(struct tree *t, const struct wish *w, const char *path, struct contents_answer *ret,
                struct err *e)
{
    static const char *const MODELS[] = { [CONTENTS_ANY] = "{}",
                                          [CONTENTS_DIRECTORY] = "{\"type\":\"directory\"}",
                                          [CONTENTS_FILE] = "{\"type\":\"file\"}",
                                          [CONTENTS_NOTEBOOK] = "{\"type\":\"notebook\"}" };
    if (w->copy_from)
        return files_copy(t, w->copy_from, path, false, e) < 0 ? -1
                                                               : answer_with(t, path, 201, ret, e);
    if (w->type == CONTENTS_DIRECTORY)
        return files_make_folder(t, path, e) < 0 ? -1 : answer_with(t, path, 201, ret, e);
    ret->status = 201;
    return contents_save(t, path, slice_str(MODELS[w->type]), CONTENTS_NEW, ret, e);
}

static int make_numbered(struct tree *t, const struct wish *w, struct contents_answer *ret,
                         struct err *e)
{
    char path[FILES_MAX_PATH + 1];
    struct files_stat st;
    for (unsigned i = 0; i < MAX_TRIES; i++) {
        struct err taken = ERR_INIT;
        if (number_name(w->folder, w->name, w->insert, i, path, e) < 0)
            return -1;
        if (files_stat(t, path, &st, &taken) == 0)
            continue;
        if (make(t, w, path, ret, e) == 0)
            return 0;
        if (e->code != ERR_CONFLICT)
            return -1;
    }
    return err_set(e, ERR_CONFLICT, "too many files have that name and a number");
}

static int need_folder(struct tree *t, const char *path, struct err *e)
{
    struct files_stat st;
    if (files_stat(t, path, &st, e) < 0)
        return e->code == ERR_NOT_FOUND ? err_set(e, ERR_NOT_FOUND, "no such directory") : -1;
    return st.type == FILES_FOLDER ? 0 : err_set(e, ERR_NOT_FOUND, "no such directory");
}

static int new_untitled(struct tree *t, const char *folder, struct slice model,
                        struct contents_answer *ret, struct err *e)
{
    char name[MAX_EXT + 32], ext[MAX_EXT] = "";
    struct slice type = { 0 }, raw;
    if (files_path_is_hidden(folder))
        return err_set(e, ERR_INVALID, "cannot create file or directory: it would be hidden");
    if (need_folder(t, folder, e) < 0)
        return -1;
    (void)json_member_string(model, "type", &type); /* none: by the extension */
    if (json_member_string(model, "ext", &raw) &&
        (!json_copy_string(raw, ext, sizeof ext) || strchr(ext, '/')))
        return err_set(e, ERR_INVALID, "'ext' is no extension");
    struct wish w = { .folder = folder, .name = name, .insert = "", .type = CONTENTS_FILE };
    if (slice_is(type, "directory")) {
        w.type = CONTENTS_DIRECTORY;
        w.insert = " ";
    } else if (slice_is(type, "notebook") || (type.len == 0 && strcmp(ext, ".ipynb") == 0)) {
        w.type = CONTENTS_NOTEBOOK;
        (void)snprintf(ext, sizeof ext, ".ipynb"); /* fits */
    }
    (void)snprintf(name, sizeof name, "%s%s",
                   w.type == CONTENTS_DIRECTORY  ? "Untitled Folder"
                   : w.type == CONTENTS_NOTEBOOK ? "Untitled"
                                                 : "untitled",
                   ext); /* fits */
    return make_numbered(t, &w, ret, e);
}

/* ---- copies ---- */

/* "a-Copy3.txt" is copied as "a.txt" is: each "-Copy" with digits and a dot behind it goes. */
static void plain_name(const char *name, char ret[FILES_MAX_NAME + 1])
{
    size_t n = 0;
    for (const char *at = name; *at && n < FILES_MAX_NAME;) {
        if (strncmp(at, "-Copy", 5) == 0) {
            const char *end = at + 5;
            while (isdigit((unsigned char)*end))
                end++;
            if (*end == '.') {
                at = end;
                continue;
            }
        }
        ret[n++] = *at++;
    }
    ret[n] = '\0';
}

static int copy(struct tree *t, const char *from, const char *to, struct contents_answer *ret,
                struct err *e)
{
    char name[FILES_MAX_NAME + 1];
    struct files_stat st;
    struct err missing = ERR_INIT;
    if (files_path_is_hidden(from) || files_path_is_hidden(to))
        return err_set(e, ERR_INVALID, "cannot copy file or directory: it is hidden");
    if (files_stat(t, from, &st, e) < 0)
        return -1;
    plain_name(files_path_name(from), name);
    struct wish w = { .folder = to, .name = name, .insert = "-Copy", .copy_from = from };
    if (files_stat(t, to, &st, &missing) == 0 && st.type == FILES_FOLDER)
        return make_numbered(t, &w, ret, e);
    return make(t, &w, to, ret, e);
}

int contents_post(struct tree *t, const struct contents_ask *ask, struct contents_answer *ret,
                  struct err *e)
{
    CLEANUP_BUF struct buf mended = BUF_INIT(CONTENTS_MAX_JSON);
    char from[FILES_MAX_PATH + 1];
    struct slice model;
    struct files_stat st;
    struct err missing = ERR_INIT;
    bool has_from, is_mended;
    if (files_stat(t, ask->path, &st, &missing) == 0 && st.type == FILES_FILE)
        return err_set(e, ERR_INVALID, "cannot POST to files, use PUT instead");
    if (contents_read_body(&ask->body, &mended, &model, &is_mended, e) < 0 ||
        contents_read_path(model, "copy_from", from, &has_from, e) < 0)
        return -1;
    return has_from ? copy(t, from, ask->path, ret, e) : new_untitled(t, ask->path, model, ret, e);
}

/* ---- the others ---- */

static bool is_empty(struct slice object)
{
    struct json_iter it = json_iter(object);
    return !json_next(&it);
}

int contents_put(struct tree *t, const struct contents_ask *ask, struct contents_answer *ret,
                 struct err *e)
{
    CLEANUP_BUF struct buf mended = BUF_INIT(CONTENTS_MAX_JSON);
    char other[FILES_MAX_PATH + 1];
    struct slice model, type;
    struct files_stat st;
    struct err missing = ERR_INIT;
    bool has_other, is_mended;
    if (contents_read_body(&ask->body, &mended, &model, &is_mended, e) < 0)
        return -1;
    if (is_empty(model))
        return new_untitled(t, ask->path, model, ret, e);
    if (is_mended && !(json_member_string(model, "type", &type) && slice_is(type, "notebook")))
        return err_set(e, ERR_INVALID,
                       "the body is no JSON, or has a NUL or half a character in a string");
    if (contents_read_path(model, "copy_from", other, &has_other, e) < 0)
        return -1;
    if (has_other)
        return err_set(e, ERR_INVALID, "cannot copy with PUT, only POST");
    if (files_path_is_hidden(ask->path))
        return err_set(e, ERR_INVALID, "cannot create file or directory: it would be hidden");
    bool exists = files_stat(t, ask->path, &st, &missing) == 0 && st.type == FILES_FILE;
    ret->status = exists ? 200 : 201;
    return contents_save(t, ask->path, model, exists ? CONTENTS_REPLACE : CONTENTS_UPLOAD, ret, e);
}

int contents_patch(struct tree *t, const struct contents_ask *ask, struct contents_answer *ret,
                   struct err *e)
{
    CLEANUP_BUF struct buf mended = BUF_INIT(1u << 20);
    char to[FILES_MAX_PATH + 1];
    struct slice model;
    bool has_to, is_mended;
    if (ask->body.len == 0)
        return err_set(e, ERR_INVALID, "JSON body missing");
    if (contents_read_body(&ask->body, &mended, &model, &is_mended, e) < 0 ||
        contents_read_path(model, "path", to, &has_to, e) < 0)
        return -1;
    if (!has_to || strcmp(to, ask->path) == 0)
        return answer_with(t, ask->path, 200, ret, e);
    if (files_path_is_hidden(to) || files_path_is_hidden(ask->path))
        return err_set(e, ERR_INVALID, "cannot rename file or directory: it is hidden");
    if (files_rename(t, ask->path, to, false, e) < 0)
        return -1;
    contents_checkpoint_follow(t, ask->path, to);
    return answer_with(t, to, 200, ret, e);
}

/* A folder in which only checkpoints are left is as good as empty. */
static int count_entry(void *arg, const char *name, const struct files_stat *st, struct err *e)
{
    return strcmp(name, CONTENTS_CHECKPOINTS) == 0
               ? 0
               : err_set(e, ERR_INVALID, "the directory is not empty");
}

static int delete_folder(struct tree *t, const char *path, struct err *e)
{
    char checkpoints[FILES_MAX_PATH + 1];
    struct err known = ERR_INIT;
    if (files_list(t, path, count_entry, NULL, e) < 0)
        return -1;
    int n = snprintf(checkpoints, sizeof checkpoints, "%s/" CONTENTS_CHECKPOINTS, path);
    if (n < (int)sizeof checkpoints && files_delete(t, checkpoints, true, &known) < 0 &&
        known.code != ERR_NOT_FOUND) {
        *e = known;
        return -1;
    }
    if (files_delete(t, path, false, e) == 0)
        return 0;
    return e->code == ERR_CONFLICT ? err_set(e, ERR_INVALID, "the directory is not empty") : -1;
}

int contents_delete(struct tree *t, const struct contents_ask *ask, struct contents_answer *ret,
                    struct err *e)
{
    struct files_stat st;
    ret->status = 204;
    if (!ask->path[0])
        return err_set(e, ERR_INVALID, "can't delete root");
    if (files_path_is_hidden(ask->path))
        return err_set(e, ERR_INVALID, "cannot delete file or directory: it is hidden");
    if (files_stat(t, ask->path, &st, e) < 0)
        return -1;
    if (st.type == FILES_FOLDER)
        return delete_folder(t, ask->path, e);
    if (files_delete(t, ask->path, false, e) < 0)
        return -1;
    contents_checkpoint_follow(t, ask->path, NULL);
    return 0;
}
