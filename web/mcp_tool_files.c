/* list_files, upload_file. Reading is in mcp_tool_download.c. */
#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "kernelhub/sandbox_verbs.h"
#include "protocol/text_excerpt.h"
#include "web/contents.h"
#include "web/fields.h"
#include "web/mcp_answer.h"
#include "web/mcp_files_job.h"
#include "web/mcp_resources.h"
#include "web/mcp_tools.h"
#include "web/mcp_view.h"

#define MAX_UPLOAD_BYTES (10u << 20)
#define MAX_UPLOAD_TEXT  (14u << 20) /* as base64, with line ends */
#define MAX_DEPTH        16
#define DEFAULT_DEPTH    3
#define DEFAULT_LIMIT    100
#define MAX_LIMIT        1000
#define MAX_ITEM_BYTES   (4 * FILES_MAX_TEXT)

static void fail(struct mcp_call *c, void *own, const struct err *e)
{
    mcp_answer_error(c, e);
}

/* ---- list ---- */

struct list {
    struct mcp_files_job job;
    char *pattern;
    int64_t depth, limit;
    char after[FILES_MAX_PATH + 1], next[FILES_MAX_PATH + 1], last[FILES_MAX_PATH + 1];
    struct mcp_answer answer;
    size_t n;
    bool is_full;
};

static void list_release(void *own)
{
    struct list *l = own;
    mcp_answer_done(&l->answer);
    free(l->pattern);
    free(l);
}

static const char *type_name(enum files_type type)
{
    static const char *const NAMES[] = {
        [FILES_FILE] = "file", [FILES_FOLDER] = "folder", [FILES_OTHER] = "other"
    };
    return NAMES[type];
}

/* "1234⇥2026-11-22T…⇥plots/a.png", folders with a '/' at their end. */
static int add_entry(void *arg, const struct files_found *found, struct err *e)
{
    struct list *l = arg;
    CLEANUP_BUF struct buf line = BUF_INIT(MAX_ITEM_BYTES), path = BUF_INIT(MAX_ITEM_BYTES),
                           time = BUF_INIT(64);
    if (l->is_full)
        return 0;
    files_path_write(slice_str(found->path), &path);
    contents_write_time(found->st.modified_ns, &time);
    if (found->st.type == FILES_FILE)
        buf_addf(&line, "%" PRIu64, found->st.bytes);
    else
        buf_add_str(&line, type_name(found->st.type));
    buf_addf(&line, "\t%.19sZ\t", time.data + 1);
    buf_add_slice(&line, buf_slice(&path));
    buf_add_str(&line, found->st.type == FILES_FOLDER ? "/\n" : "\n");
    if (l->n && text_chars(buf_slice(&line)) > mcp_answer_room(&l->answer)) {
        l->is_full = true;
        return 0;
    }
    buf_add_slice(&l->answer.text, buf_slice(&line));
    buf_add_str(&l->answer.structured, l->n++ ? ",{\"path\":" : "{\"path\":");
    json_quote(&l->answer.structured, buf_slice(&path));
    buf_addf(&l->answer.structured, ",\"type\":\"%s\",\"size_bytes\":%" PRIu64 ",\"modified_at\":",
             type_name(found->st.type), found->st.type == FILES_FILE ? found->st.bytes : 0);
    buf_add_slice(&l->answer.structured, buf_slice(&time));
    buf_add_char(&l->answer.structured, '}');
    (void)snprintf(l->last, sizeof l->last, "%s", found->path);
    return 0;
}

static int run_list(void *own, struct tree *t, struct err *e)
{
    struct list *l = own;
    const struct files_walk want = { .pattern = slice_str(l->pattern),
                                     .depth = (unsigned)l->depth,
                                     .limit = (unsigned)l->limit,
                                     .after = l->after };
    struct files_found found = { .path = l->job.path };
    buf_add_str(&l->answer.structured, "{\"files\":[");
    if (l->job.path[0] && files_stat(t, l->job.path, &found.st, e) < 0)
        return -1;
    if (l->job.path[0] && found.st.type != FILES_FOLDER)
        return add_entry(l, &found, e);
    return files_walk(t, l->job.path, &want, add_entry, l, l->next, e);
}

static void list_done(void *own)
{
    struct list *l = own;
    const char *next = l->is_full ? l->last : l->next;
    if (l->n == 0)
        buf_add_str(&l->answer.text, next[0] ? "(none on this page)\n" : "(no files)\n");
    buf_addf(&l->answer.structured, "],\"count\":%zu", l->n);
    if (next[0]) {
        CLEANUP_BUF struct buf cursor = BUF_INIT(MAX_ITEM_BYTES);
        files_path_write(slice_str(next), &cursor);
        buf_add_str(&l->answer.text, "[more: cursor=");
        json_quote(&l->answer.text, buf_slice(&cursor));
        buf_add_str(&l->answer.text, "]\n");
        buf_add_str(&l->answer.structured, ",\"next_cursor\":");
        json_quote(&l->answer.structured, buf_slice(&cursor));
    }
    buf_add_char(&l->answer.structured, '}');
    CLEANUP_MCP_ANSWER struct mcp_answer a = l->answer;
    mcp_answer_init(&l->answer, 0);
    mcp_answer_send(&a, l->job.call);
}

struct list_wish {
    const char *path, *sandbox, *pattern, *cursor;
    int64_t depth, limit, max_chars;
};

#define AT(member) offsetof(struct list_wish, member)
static const struct field LIST[] = {
    { "path", FIELD_NAME, AT(path), false, FILES_MAX_TEXT, FIELD_NO_CONFIG, NULL },
    { "sandbox_id", FIELD_NAME, AT(sandbox), false, MCP_MAX_NAME, FIELD_NO_CONFIG, NULL },
    { "pattern", FIELD_NAME, AT(pattern), false, 512, FIELD_NO_CONFIG, NULL },
    { "depth", FIELD_INTEGER, AT(depth), false, MAX_DEPTH, FIELD_NO_CONFIG, NULL },
    { "limit", FIELD_INTEGER, AT(limit), false, MAX_LIMIT, FIELD_NO_CONFIG, NULL },
    { "cursor", FIELD_NAME, AT(cursor), false, FILES_MAX_TEXT, FIELD_NO_CONFIG, NULL },
    MCP_FIELD_CHARS(struct list_wish, max_chars),
};
#undef AT

void mcp_list_files(struct mcp_call *c, struct slice arguments)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct list_wish want = { .path = "", .depth = DEFAULT_DEPTH, .limit = DEFAULT_LIMIT };
    struct err e = ERR_INIT;
    struct list *l = calloc(1, sizeof *l);
    assert(l);
    l->job.done = list_done;
    l->job.fail = fail;
    l->job.release = list_release;
    if (fields_read(&fields, arguments, LIST, ARRAY_LEN(LIST), c->site->config, &want, &e) < 0 ||
        mcp_check_chars(want.max_chars, &e) < 0 ||
        mcp_files_job_read(&l->job, c, want.path, want.sandbox, &e) < 0 ||
        (want.cursor && files_path_read(slice_str(want.cursor), l->after, &e) < 0)) {
        free(l);
        mcp_answer_error(c, &e);
        return;
    }
    mcp_answer_init(&l->answer, want.max_chars);
    l->pattern = strdup(want.pattern ? want.pattern : "");
    assert(l->pattern);
    l->depth = want.depth;
    l->limit = want.limit;
    mcp_files_job_start(&l->job, run_list, false);
}

/* ---- upload ---- */

struct upload {
    struct mcp_files_job job;
    struct buf bytes;
    bool overwrite, is_new;
    char sandbox[MCP_MAX_NAME + 1];
    int64_t max_chars;
    struct files_stat st;
    char sha256[FILES_SHA256_HEX];
};

static void upload_release(void *own)
{
    struct upload *u = own;
    buf_done(&u->bytes);
    free(u);
}

static int run_upload(void *own, struct tree *t, struct err *e)
{
    struct upload *u = own;
    CLEANUP(draft_free) struct draft *d = NULL;
    struct files_stat before;
    struct err none = ERR_INIT;
    u->is_new = files_stat(t, u->job.path, &before, &none) < 0;
    if (!u->is_new && !u->overwrite)
        return err_set(e, ERR_CONFLICT, "the file is there already, and overwrite is false");
    files_sha256(buf_slice(&u->bytes), u->sha256);
    if (files_make_parents(t, u->job.path, e) < 0 || files_draft(t, &d, e) < 0 ||
        draft_expect(d, t, u->bytes.len, e) < 0 || draft_add(d, buf_slice(&u->bytes), e) < 0)
        return -1;
    return draft_commit(d, t, u->job.path, u->overwrite, &u->st, e);
}

static void upload_done(void *own)
{
    struct upload *u = own;
    struct mcp_call *c = u->job.call;
    CLEANUP_MCP_ANSWER struct mcp_answer a = { .max_chars = 0 };
    CLEANUP_BUF struct buf path = BUF_INIT(MAX_ITEM_BYTES);
    mcp_answer_init(&a, u->max_chars);
    files_path_write(slice_str(u->job.path), &path);
    buf_add_str(&a.text, u->is_new ? "created " : "replaced ");
    buf_add_slice(&a.text, buf_slice(&path));
    buf_addf(&a.text, " | %" PRIu64 " bytes | sha256 %s\n", u->st.bytes, u->sha256);
    buf_add_str(&a.structured, "{\"path\":");
    json_quote(&a.structured, buf_slice(&path));
    buf_addf(&a.structured, ",\"size_bytes\":%" PRIu64 ",\"sha256\":\"%s\",\"created\":%s}",
             u->st.bytes, u->sha256, u->is_new ? "true" : "false");
    mcp_resources_file_changed(c, u->sandbox, u->job.path, u->is_new);
    mcp_answer_send(&a, c);
}

struct upload_wish {
    const char *path, *sandbox, *encoding;
    struct slice content;
    bool overwrite;
    int64_t max_chars;
};

#define AT(member) offsetof(struct upload_wish, member)
static const struct field UPLOAD[] = {
    { "path", FIELD_NAME, AT(path), true, FILES_MAX_TEXT, FIELD_NO_CONFIG, NULL },
    { "content", FIELD_TEXT, AT(content), true, MAX_UPLOAD_TEXT, FIELD_NO_CONFIG, NULL },
    { "encoding", FIELD_NAME, AT(encoding), false, 16, FIELD_NO_CONFIG, "utf-8 base64" },
    { "sandbox_id", FIELD_NAME, AT(sandbox), false, MCP_MAX_NAME, FIELD_NO_CONFIG, NULL },
    { "overwrite", FIELD_FLAG, AT(overwrite), false, 0, FIELD_NO_CONFIG, NULL },
    MCP_FIELD_CHARS(struct upload_wish, max_chars),
};
#undef AT

static int take_content(struct upload *u, const struct upload_wish *want, struct err *e)
{
    bool is_base64 = want->encoding && strcmp(want->encoding, "base64") == 0;
    buf_init(&u->bytes, MAX_UPLOAD_BYTES);
    if (!is_base64)
        buf_add_slice(&u->bytes, want->content);
    else if (!base64_decode(&u->bytes, want->content) && !u->bytes.failed)
        return err_set(e, ERR_INVALID, "field 'content' is no base64");
    if (u->bytes.failed)
        return err_set(e, ERR_TOO_LARGE,
                       "field 'content' is above %u bytes: write larger files by code, or PUT "
                       "/api/v1/files/PATH",
                       MAX_UPLOAD_BYTES);
    return 0;
}

void mcp_upload_file(struct mcp_call *c, struct slice arguments)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct upload_wish want = { .overwrite = true };
    struct err e = ERR_INIT;
    struct upload *u = calloc(1, sizeof *u);
    assert(u);
    u->job.done = upload_done;
    u->job.fail = fail;
    u->job.release = upload_release;
    if (fields_read(&fields, arguments, UPLOAD, ARRAY_LEN(UPLOAD), c->site->config, &want, &e) <
            0 ||
        mcp_check_chars(want.max_chars, &e) < 0 ||
        mcp_files_job_read(&u->job, c, want.path, want.sandbox, &e) < 0 ||
        take_content(u, &want, &e) < 0) {
        upload_release(u);
        mcp_answer_error(c, &e);
        return;
    }
    u->overwrite = want.overwrite;
    u->max_chars = want.max_chars;
    (void)snprintf(u->sandbox, sizeof u->sandbox, "%s",
                   want.sandbox ? want.sandbox : SANDBOX_DEFAULT);
    mcp_files_job_start(&u->job, run_upload, true);
}
