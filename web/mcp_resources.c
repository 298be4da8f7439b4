#include "web/mcp_resources.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/mime.h"
#include "kernelhub/sandbox_verbs.h"
#include "web/mcp_files_job.h"
#include "web/mcp_output.h"
#include "web/mcp_uri.h"
#include "web/percent.h"

#define HELP_URI     "sandbox://help"
#define FOLDER_LIMIT 1000
#define FOLDER_TYPE  "text/plain"

static const char HELP[] =
    "# How to work here\n"
    "\n"
    "- execute_code runs code in a persistent Jupyter kernel in an isolated Linux container. "
    "Variables, imports and files stay between calls. "
    "Without sandbox_id your default sandbox is used, and made when it is missing.\n"
    "- `language` chooses the kernel (python, bash, javascript, typescript and what else the image "
    "has). Each language has a session of its "
    "own; `session` names another kernel beside it. All of them share the files.\n"
    "- The working directory is /workspace. All your sandboxes share it unless one was made with "
    "workspace=\"private\". It outlives them.\n"
    "- Plots and other images come back as images. Do not print base64.\n"
    "- Text is cut to max_output_chars (20000 unless you say). The line in the middle says how to "
    "read the rest: get_execution with stream, "
    "offset, limit, head, tail or grep.\n"
    "- Long work: background=true returns at once; get_execution with wait_seconds waits for it; "
    "interrupt_execution stops it. State is kept.\n"
    "- A sandbox that nobody uses ends after its idle time (half an hour unless it was made with "
    "another). Its variables are lost then, files "
    "are not.\n"
    "- People in JupyterLab and programs over REST use the same kernels: each sees what the other "
    "ran.\n"
    "\n"
    "Resources: sandbox://SANDBOX/files/PATH is a file, or a folder's list; "
    "sandbox://SANDBOX/executions/ID/STREAM is what an execution "
    "wrote (stdout, stderr, result, error, output-1.png …). SANDBOX is an id or a name, `default` "
    "for the default one.\n";

const struct mcp_resource MCP_RESOURCES[MCP_N_RESOURCES] = {
    { HELP_URI, "help", "How to work here", "Sessions, files, limits, and how to read long output",
      "text/markdown" },
};

const struct mcp_template MCP_TEMPLATES[MCP_N_TEMPLATES] = {
    { "sandbox://{sandbox}/files/{+path}", "file", "A file of the workspace",
      "A file as text or bytes (at most 5 MiB), or the list of a folder. sandbox: id or name, "
      "default for the default one",
      NULL },
    { "sandbox://{sandbox}/executions/{id}/{stream}", "output", "What an execution wrote",
      "stream: stdout, stderr, result, error, or output-N with an extension for the N-th thing it "
      "displayed (output-1.png)",
      NULL },
};

/* ---- read ---- */

struct reading {
    struct mcp_files_job job;
    char *uri;
    struct buf bytes; /* of a folder: its list */
    struct files_stat st;
    bool has_more;
};

static void reading_release(void *own)
{
    struct reading *r = own;
    buf_done(&r->bytes);
    free(r->uri);
    free(r);
}

static int add_entry(void *arg, const struct files_found *found, struct err *e)
{
    struct reading *r = arg;
    if (found->st.type == FILES_FILE)
        buf_addf(&r->bytes, "%" PRIu64 "\t", found->st.bytes);
    else
        buf_add_str(&r->bytes, found->st.type == FILES_FOLDER ? "folder\t" : "other\t");
    files_path_write(slice_str(found->path), &r->bytes);
    buf_add_str(&r->bytes, found->st.type == FILES_FOLDER ? "/\n" : "\n");
    return 0;
}

static int run_read(void *own, struct tree *t, struct err *e)
{
    struct reading *r = own;
    CLEANUP(file_close) struct file *f = NULL;
    char next[FILES_MAX_PATH + 1] = "";
    if (files_stat(t, r->job.path, &r->st, e) < 0)
        return -1;
    if (r->st.type == FILES_FOLDER) {
        const struct files_walk want = { .depth = 1, .limit = FOLDER_LIMIT };
        int rc = files_walk(t, r->job.path, &want, add_entry, r, next, e);
        r->has_more = next[0];
        return rc;
    }
    if (files_open(t, r->job.path, &f, &r->st, e) < 0)
        return -1;
    if (r->st.bytes > MCP_RESOURCE_MAX_BYTES)
        return err_set(e, ERR_TOO_LARGE,
                       "the file has %" PRIu64 " bytes, and a resource at most %u: read parts of "
                       "it with download_file, or GET /api/v1/files",
                       r->st.bytes, MCP_RESOURCE_MAX_BYTES);
    return file_read_all(f, t, &r->bytes, e);
}

static void read_fail(struct mcp_call *c, void *own, const struct err *e)
{
    const struct reading *r = own;
    if (e->code == ERR_NOT_FOUND || e->code == ERR_FORBIDDEN || e->code == ERR_INVALID ||
        e->code == ERR_GONE)
        mcp_call_no_resource(c, slice_str(r->uri));
    else
        mcp_call_failed(c, e);
}

static void write_contents(const char *uri, const char *mime, struct slice bytes, struct buf *out)
{
    bool is_text = utf8_valid(bytes) && !memchr(bytes.data ? bytes.data : "", '\0', bytes.len);
    buf_add_str(out, "{\"contents\":[{\"uri\":");
    json_quote_str(out, uri);
    buf_addf(out, ",\"mimeType\":\"%s\",",
             mime      ? mime
             : is_text ? "text/plain"
                       : "application/octet-stream");
    if (is_text) {
        buf_add_str(out, "\"text\":");
        json_quote(out, bytes);
    } else {
        buf_add_str(out, "\"blob\":\"");
        base64_encode(out, bytes);
        buf_add_char(out, '"');
    }
    buf_add_str(out, "}]}");
}

static void read_done(void *own)
{
    struct reading *r = own;
    CLEANUP_BUF struct buf out = BUF_INIT(MCP_MAX_RESULT_BYTES);
    bool is_folder = r->st.type == FILES_FOLDER;
    if (r->has_more)
        buf_addf(&r->bytes, "[only the first %d; list_files shows more]\n", FOLDER_LIMIT);
    write_contents(r->uri, is_folder ? FOLDER_TYPE : mime_of(files_path_name(r->job.path)),
                   buf_slice(&r->bytes), &out);
    mcp_call_result(r->job.call, &out);
}

static void read_file(struct mcp_call *c, const struct mcp_uri *where, const char *uri)
{
    struct err e = ERR_INIT;
    struct reading *r = calloc(1, sizeof *r);
    assert(r);
    r->job.done = read_done;
    r->job.fail = read_fail;
    r->job.release = reading_release;
    r->uri = strdup(uri);
    buf_init(&r->bytes, MCP_RESOURCE_MAX_BYTES + 1);
    CLEANUP_BUF struct buf path = BUF_INIT(FILES_MAX_TEXT + 1);
    files_path_write(slice_str(where->path), &path);
    if (mcp_files_job_read(&r->job, c, path.len ? path.data : "", where->sandbox, &e) < 0) {
        mcp_call_no_resource(c, slice_str(uri));
        reading_release(r);
        return;
    }
    mcp_files_job_start(&r->job, run_read, false);
}

bool mcp_resources_read(struct mcp_call *c, const char *uri)
{
    struct mcp_uri where;
    if (!mcp_uri_read(uri, &where))
        return false;
    switch (where.kind) {
    case MCP_URI_FILE:
        read_file(c, &where, uri);
        break;
    case MCP_URI_OUTPUT:
        mcp_output_read(c, &where.execution, where.stream, uri);
        break;
    case MCP_URI_HELP: {
        CLEANUP_BUF struct buf out = BUF_INIT(65536);
        write_contents(HELP_URI, "text/markdown", SLICE_LITERAL(HELP), &out);
        mcp_call_result(c, &out);
        break;
    }
    }
    return true;
}
