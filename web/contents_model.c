/* Models: what a client gets to see of a file or folder. */
#include "web/contents.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/base64.h"
#include "base/json.h"
#include "base/mime.h"
#include "protocol/jupyter_message.h"
#include "protocol/notebook_file.h"
#include "web/percent.h"

#define LAST_SECOND 253402300799 /* of the year 9999: what is behind it is somebody's joke */
#define MAX_WHY     512

struct entry {
    char *name;
    struct files_stat st;
};

struct entries {
    struct entry *all;
    size_t n, capacity;
};

static void entries_done(struct entries *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->all[i].name);
    free(l->all);
}
#define CLEANUP_ENTRIES __attribute__((cleanup(entries_done)))

bool contents_ends_in_ipynb(const char *path)
{
    size_t n = strlen(path);
    return n >= 6 && strcmp(path + n - 6, ".ipynb") == 0;
}

void contents_write_time(int64_t ns, struct buf *out)
{
    char text[28];
    int64_t seconds = ns / 1000000000;
    jupyter_format_time(seconds < 0 || ns < 0 || seconds > LAST_SECOND ? 0 : ns / 1000, text);
    buf_addf(out, "\"%s\"", text);
}

static void write_path(const char *path, struct buf *out)
{
    CLEANUP_BUF struct buf text = BUF_INIT(FILES_MAX_TEXT);
    files_path_write(slice_str(path), &text);
    json_quote(out, buf_slice(&text));
}

/* As the Contents API knows types: a notebook that is asked for as a file is text. */
static const char *mime_in_model(const char *path)
{
    return contents_ends_in_ipynb(path) ? NULL : mime_of(files_path_name(path));
}

static void write_string(const char *name, const char *text, struct buf *out)
{
    buf_addf(out, ",\"%s\":", name);
    json_quote_str(out, text);
}

static bool is_writable(const struct files_stat *st)
{
    unsigned needed = st->type == FILES_FOLDER ? S_IWUSR | S_IXUSR : S_IWUSR;
    return (st->mode & needed) == needed;
}

/* All members but content, format, mimetype and the hash; the object stays open. */
static void write_outside(const char *path, const struct files_stat *st, const char *type,
                          struct buf *out)
{
    buf_add_str(out, "{\"name\":");
    write_path(files_path_name(path), out);
    buf_add_str(out, ",\"path\":");
    write_path(path, out);
    buf_addf(out, ",\"type\":\"%s\",\"writable\":%s,\"created\":", type,
             is_writable(st) ? "true" : "false");
    contents_write_time(st->changed_ns, out);
    buf_add_str(out, ",\"last_modified\":");
    contents_write_time(st->modified_ns, out);
    if (st->type == FILES_FILE)
        buf_addf(out, ",\"size\":%llu", (unsigned long long)st->bytes);
    else
        buf_add_str(out, ",\"size\":null");
}

static void write_inside_null(const char *mime, struct buf *out)
{
    buf_add_str(out, ",\"content\":null,\"format\":null");
    write_string("mimetype", mime, out);
}

static void write_hash(const char *hash, struct buf *out)
{
    write_string("hash", hash, out);
    write_string("hash_algorithm", hash ? "sha256" : NULL, out);
}

/* ---- folders ---- */

static int keep_entry(void *arg, const char *name, const struct files_stat *st, struct err *e)
{
    struct entries *l = arg;
    if (name[0] == '.' || st->type == FILES_OTHER)
        return 0;
    if (l->n == l->capacity) {
        l->capacity = l->capacity ? 2 * l->capacity : 64;
        l->all = realloc(l->all, l->capacity * sizeof *l->all);
        if (!l->all)
            abort();
    }
    l->all[l->n].name = strdup(name);
    l->all[l->n++].st = *st;
    return 0;
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

/* A name that makes its path too long is no use to a client. */
static void write_entry(const char *folder, const struct entry *entry, bool *has_any,
                        struct buf *out)
{
    char path[FILES_MAX_PATH + 1];
    bool is_folder = entry->st.type == FILES_FOLDER;
    bool is_notebook = !is_folder && contents_ends_in_ipynb(entry->name);
    if (snprintf(path, sizeof path, "%s%s%s", folder, folder[0] ? "/" : "", entry->name) >=
        (int)sizeof path)
        return;
    if (*has_any)
        buf_add_char(out, ',');
    *has_any = true;
    write_outside(path, &entry->st,
                  is_folder     ? "directory"
                  : is_notebook ? "notebook"
                                : "file",
                  out);
    write_inside_null(is_folder ? NULL : mime_in_model(entry->name), out);
    write_hash(NULL, out);
    buf_add_char(out, '}');
}

static int write_folder(struct tree *t, const char *path, const struct files_stat *st,
                        const struct contents_show *show, struct buf *out, struct err *e)
{
    CLEANUP_ENTRIES struct entries list = { .n = 0 };
    bool has_any = false;
    if (show->type != CONTENTS_ANY && show->type != CONTENTS_DIRECTORY)
        return err_set(e, ERR_INVALID, "that is a directory, not a %s",
                       show->type == CONTENTS_FILE ? "file" : "notebook");
    if (show->content && files_list(t, path, keep_entry, &list, e) < 0)
        return -1;
    write_outside(path, st, "directory", out);
    if (show->content) {
        if (list.n)
            qsort(list.all, list.n, sizeof *list.all, compare_entries);
        buf_add_str(out, ",\"content\":[");
        for (size_t i = 0; i < list.n; i++)
            write_entry(path, &list.all[i], &has_any, out);
        buf_add_str(out, "],\"format\":\"json\",\"mimetype\":null");
    } else {
        write_inside_null(NULL, out);
    }
    write_hash(NULL, out);
    return 0;
}

/* ---- files ---- */

static bool is_text(struct slice bytes)
{
    return (!bytes.len || !memchr(bytes.data, '\0', bytes.len)) && utf8_valid(bytes);
}

static int write_bytes(struct slice bytes, const char *name, enum contents_format format,
                       struct buf *out, struct err *e)
{
    bool text = format != CONTENTS_BASE64 && is_text(bytes);
    const char *mime = mime_in_model(name);
    if (format == CONTENTS_TEXT && !text)
        return err_set(e, ERR_INVALID, "the file is not UTF-8 encoded text");
    buf_add_str(out, ",\"content\":");
    if (text) {
        json_quote(out, bytes);
    } else {
        buf_add_char(out, '"');
        base64_encode(out, bytes);
        buf_add_char(out, '"');
    }
    write_string("format", text ? "text" : "base64", out);
    write_string("mimetype", mime ? mime : text ? "text/plain" : "application/octet-stream", out);
    return 0;
}

static int write_notebook(struct slice bytes, struct buf *why, struct buf *out, struct err *e)
{
    CLEANUP_BUF struct buf mended = BUF_INIT(CONTENTS_MAX_JSON);
    if (!json_valid(bytes)) {
        json_mend(&mended, bytes);
        bytes = buf_slice(&mended);
    }
    if (!json_valid(bytes) || json_type(bytes) != JSON_OBJECT)
        return err_set(e, ERR_INVALID, "unreadable notebook: the file is no JSON object");
    buf_add_str(out, ",\"content\":");
    notebook_file_read(bytes, out);
    buf_add_str(out, ",\"format\":\"json\",\"mimetype\":null");
    (void)notebook_file_check(bytes, why); /* why says it */
    return 0;
}

/* The hash alone needs no memory for the file. */
static int write_file(struct tree *t, const char *path, bool is_notebook,
                      const struct contents_show *show, struct buf *why, struct buf *out,
                      struct err *e)
{
    CLEANUP(file_close) struct file *f = NULL;
    CLEANUP_BUF struct buf bytes =
        BUF_INIT(is_notebook ? CONTENTS_MAX_NOTEBOOK : CONTENTS_MAX_BYTES);
    struct files_stat st;
    char hash[FILES_SHA256_HEX];
    if (files_open(t, path, &f, &st, e) < 0)
        return -1;
    write_outside(path, &st, is_notebook ? "notebook" : "file", out);
    if (!show->content) {
        if (file_sha256(f, t, hash, e) < 0)
            return -1;
        write_inside_null(is_notebook ? NULL : mime_in_model(path), out);
        write_hash(hash, out);
        return 0;
    }
    if (file_read_all(f, t, &bytes, e) < 0)
        return -1;
    if (is_notebook
            ? write_notebook(buf_slice(&bytes), why, out, e) < 0
            : write_bytes(buf_slice(&bytes), files_path_name(path), show->format, out, e) < 0)
        return -1;
    if (show->hash)
        files_sha256(buf_slice(&bytes), hash);
    write_hash(show->hash ? hash : NULL, out);
    return 0;
}

int contents_write_model(struct tree *t, const char *path, const struct files_stat *st,
                         const struct contents_show *show, struct buf *out, struct err *e)
{
    CLEANUP_BUF struct buf why = BUF_INIT(MAX_WHY);
    bool is_notebook = show->type == CONTENTS_NOTEBOOK ||
                       (show->type == CONTENTS_ANY && contents_ends_in_ipynb(path));
    if (st->type == FILES_FOLDER) {
        if (write_folder(t, path, st, show, out, e) < 0)
            return -1;
    } else if (show->type == CONTENTS_DIRECTORY) {
        return err_set(e, ERR_INVALID, "that is not a directory");
    } else if (show->content || show->hash) {
        if (write_file(t, path, is_notebook, show, &why, out, e) < 0)
            return -1;
    } else {
        write_outside(path, st, is_notebook ? "notebook" : "file", out);
        write_inside_null(is_notebook ? NULL : mime_in_model(path), out);
        write_hash(NULL, out);
    }
    struct slice message = show->message.len ? show->message : buf_slice(&why);
    if (message.len) {
        buf_add_str(out, ",\"message\":\"Notebook validation failed: ");
        buf_add_slice(out, message); /* of our own making: names of members, numbers */
        buf_add_char(out, '"');
    }
    buf_add_char(out, '}');
    return out->failed
               ? err_set(e, ERR_TOO_LARGE, "the answer would be above %zu bytes", out->max_bytes)
               : 0;
}
