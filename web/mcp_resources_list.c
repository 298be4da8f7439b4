/* resources/list: the files that were written last. And completion of what stands in a template. */
#include <assert.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/mime.h"
#include "kernelhub/execution.h"
#include "kernelhub/sandbox_verbs.h"
#include "web/contents.h"
#include "web/mcp_files_job.h"
#include "web/mcp_resources.h"
#include "web/mcp_uri.h"

#define MAX_FILES      200
#define MAX_SEEN       20000 /* files that are looked at for that */
#define MAX_DEPTH      8
#define MAX_ITEM_BYTES (8 * FILES_MAX_TEXT)
#define MAX_ITEMS      (8u << 20)
#define MAX_VALUES     100
#define MAX_LIST_BYTES (64u << 20)

/* ---- the newest files ---- */

struct recent {
    char *path;
    struct files_stat st;
};

struct listing {
    struct mcp_files_job job;
    struct recent files[MAX_FILES]; /* the newest first */
    size_t n;
};

static void listing_release(void *own)
{
    struct listing *l = own;
    for (size_t i = 0; i < l->n; i++)
        free(l->files[i].path);
    free(l);
}

static int add_file(void *arg, const struct files_found *found, struct err *e)
{
    struct listing *l = arg;
    size_t at = l->n;
    if (found->st.type != FILES_FILE || files_path_is_hidden(found->path) ||
        strstr(found->path, "__pycache__/"))
        return 0;
    while (at > 0 && l->files[at - 1].st.modified_ns < found->st.modified_ns)
        at--;
    if (at == MAX_FILES)
        return 0;
    if (l->n == MAX_FILES)
        free(l->files[--l->n].path);
    memmove(&l->files[at + 1], &l->files[at], (l->n - at) * sizeof l->files[0]);
    l->files[at] = (struct recent){ .path = strdup(found->path), .st = found->st };
    assert(l->files[at].path);
    l->n++;
    return 0;
}

static int run_list(void *own, struct tree *t, struct err *e)
{
    char next[FILES_MAX_PATH + 1];
    const struct files_walk want = { .depth = MAX_DEPTH, .limit = MAX_SEEN };
    return files_walk(t, "", &want, add_file, own, next, e);
}

static void write_file(const struct recent *f, struct buf *out)
{
    CLEANUP_BUF struct buf uri = BUF_INIT(MAX_ITEM_BYTES), path = BUF_INIT(MAX_ITEM_BYTES);
    const char *mime = mime_of(files_path_name(f->path));
    mcp_uri_write_file(SANDBOX_DEFAULT, f->path, &uri);
    files_path_write(slice_str(f->path), &path);
    buf_add_str(out, "{\"uri\":");
    json_quote(out, buf_slice(&uri));
    buf_add_str(out, ",\"name\":");
    json_quote(out, buf_slice(&path));
    buf_addf(out, ",\"mimeType\":\"%s\",\"size\":%llu,\"annotations\":{\"lastModified\":",
             mime ? mime : "application/octet-stream", (unsigned long long)f->st.bytes);
    contents_write_time(f->st.modified_ns, out);
    buf_add_str(out, "}}");
}

static void list_done(void *own)
{
    struct listing *l = own;
    CLEANUP_BUF struct buf items = BUF_INIT(MAX_ITEMS);
    for (size_t i = 0; i < l->n; i++) {
        if (i)
            buf_add_char(&items, ',');
        write_file(&l->files[i], &items);
    }
    mcp_part_resources(l->job.call, buf_slice(&items), NULL);
}

static void list_fail(struct mcp_call *c, void *own, const struct err *e)
{
    mcp_call_failed(c, e);
}

/* There is one page: what is older list_files shows. */
void mcp_resources_list(struct mcp_call *c, const char *cursor)
{
    struct err e = ERR_INIT;
    if (cursor) {
        (void)err_set(&e, ERR_INVALID, "the cursor is none that resources/list gave");
        mcp_call_failed(c, &e);
        return;
    }
    struct listing *l = calloc(1, sizeof *l);
    assert(l);
    l->job = (struct mcp_files_job){
        .call = c, .done = list_done, .fail = list_fail, .release = listing_release
    };
    if (files_place(c->site->hub, c->user, NULL, &l->job.place, &e) < 0) {
        free(l);
        mcp_call_failed(c, &e);
        return;
    }
    mcp_files_job_start(&l->job, run_list, false);
}

/* ---- completion ---- */

struct values {
    const char *value; /* what was typed */
    struct buf items;
    size_t n, total;
};

static void add_value(struct values *v, struct slice text)
{
    size_t n = strlen(v->value);
    if (text.len < n || memcmp(text.data, v->value, n) != 0)
        return;
    v->total++;
    if (v->n == MAX_VALUES)
        return;
    if (v->n++)
        buf_add_char(&v->items, ',');
    json_quote(&v->items, text);
}

/* The value of each item's member, unescaped. */
static void add_members(struct values *v, struct slice list, const char *member)
{
    struct slice items, raw;
    if (!json_member(list, "items", &items))
        return;
    for (struct json_iter it = json_iter(items); json_next(&it);) {
        CLEANUP_BUF struct buf text = BUF_INIT(4096);
        if (!json_member_string(it.value, member, &raw))
            continue;
        json_unescape(&text, raw);
        add_value(v, buf_slice(&text));
    }
}

static void complete_sandbox(struct mcp_call *c, struct values *v)
{
    CLEANUP_BUF struct buf all = BUF_INIT(MAX_LIST_BYTES);
    sandbox_write_all(c->site->hub, c->user, false, NULL, &all);
    add_members(v, buf_slice(&all), "name");
    add_members(v, buf_slice(&all), "sandbox_id");
    if (v->total == 0)
        add_value(v, SLICE_LITERAL(SANDBOX_DEFAULT));
    mcp_part_completed(c, buf_slice(&v->items), v->total);
}

static void complete_stream(struct mcp_call *c, struct values *v)
{
    static const char *const STREAMS[] = { "stdout", "stderr", "result", "error", "output-1" };
    for (size_t i = 0; i < ARRAY_LEN(STREAMS); i++)
        add_value(v, slice_str(STREAMS[i]));
    mcp_part_completed(c, buf_slice(&v->items), v->total);
}

struct typed {
    struct mcp_files_job job; /* of a path */
    char value[FILES_MAX_TEXT + 1];
    struct values found;
    struct wait *wait; /* of an id */
    char *folder;
};

static void typed_release(void *own)
{
    struct typed *t = own;
    wait_cancel(t->wait);
    buf_done(&t->found.items);
    free(t->folder);
    free(t);
}

static struct typed *typed_new(struct mcp_call *c, const char *value)
{
    struct typed *t = calloc(1, sizeof *t);
    assert(t);
    t->job.call = c;
    (void)snprintf(t->value, sizeof t->value, "%s", value);
    t->found.value = t->value;
    buf_init(&t->found.items, MAX_ITEMS);
    return t;
}

static void on_history(void *arg, const struct err *e, struct slice json)
{
    struct typed *t = arg;
    t->wait = NULL;
    if (!e)
        add_members(&t->found, json, "execution_id");
    mcp_part_completed(t->job.call, buf_slice(&t->found.items), t->found.total);
}

static void complete_execution(struct mcp_call *c, const char *value)
{
    const struct execution_filter filter = { .limit = MAX_VALUES };
    struct typed *t = typed_new(c, value);
    mcp_call_own(c, t, NULL, typed_release);
    struct wait *w = execution_list(c->site->hub, c->user, &filter, on_history, t);
    if (w) /* else it was answered */
        t->wait = w;
}

static int add_path(void *arg, const struct files_found *found, struct err *e)
{
    struct typed *t = arg;
    CLEANUP_BUF struct buf path = BUF_INIT(MAX_ITEM_BYTES);
    files_path_write(slice_str(found->path), &path);
    if (found->st.type == FILES_FOLDER)
        buf_add_char(&path, '/');
    if (found->st.type != FILES_OTHER)
        add_value(&t->found, buf_slice(&path));
    return 0;
}

static int run_paths(void *own, struct tree *tree, struct err *e)
{
    struct typed *t = own;
    char next[FILES_MAX_PATH + 1];
    const struct files_walk want = { .depth = 1, .limit = MAX_SEEN };
    return files_walk(tree, t->job.path, &want, add_path, t, next, e);
}

static void paths_done(void *own)
{
    struct typed *t = own;
    mcp_part_completed(t->job.call, buf_slice(&t->found.items), t->found.total);
}

/* A folder that is not there has nothing to complete with. */
static void paths_fail(struct mcp_call *c, void *own, const struct err *e)
{
    mcp_part_completed(c, slice_of("", 0), 0);
}

/* One folder deeper with each '/' that was typed. */
static void complete_path(struct mcp_call *c, const char *value, const char *sandbox)
{
    struct err e = ERR_INIT;
    struct typed *t = typed_new(c, value);
    const char *slash = strrchr(t->value, '/');
    t->folder = slash ? strndup(t->value, (size_t)(slash - t->value)) : strdup("");
    assert(t->folder);
    t->job.done = paths_done;
    t->job.fail = paths_fail;
    t->job.release = typed_release;
    if (mcp_files_job_read(&t->job, c, t->folder, sandbox, &e) < 0) {
        mcp_part_completed(c, slice_of("", 0), 0);
        typed_release(t);
        return;
    }
    mcp_files_job_start(&t->job, run_paths, false);
}

bool mcp_resources_complete(struct mcp_call *c, const struct mcp_completion *w)
{
    struct values v = { .value = w->value };
    struct slice raw;
    char sandbox[256] = SANDBOX_DEFAULT;
    bool is_ours = w->is_prompt && strcmp(w->ref, "analyze_file") == 0;
    for (size_t i = 0; i < MCP_N_TEMPLATES && !w->is_prompt; i++)
        is_ours |= strcmp(w->ref, MCP_TEMPLATES[i].uri_template) == 0;
    if (!is_ours)
        return false;
    buf_init(&v.items, MAX_ITEMS);
    if (json_member_string(w->context, "sandbox", &raw))
        (void)json_copy_string(raw, sandbox, sizeof sandbox); /* else the default one */
    if (strcmp(w->argument, "path") == 0)
        complete_path(c, w->value, sandbox);
    else if (strcmp(w->argument, "id") == 0)
        complete_execution(c, w->value);
    else if (strcmp(w->argument, "sandbox") == 0)
        complete_sandbox(c, &v);
    else if (strcmp(w->argument, "stream") == 0)
        complete_stream(c, &v);
    else
        is_ours = false;
    buf_done(&v.items);
    return is_ours;
}
