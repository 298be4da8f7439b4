/* download_file: text as text, a small image as an image, all else as a link, or as base64 where that is asked for. */
#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/mime.h"
#include "protocol/image_head.h"
#include "protocol/text_cut.h"
#include "protocol/text_excerpt.h"
#include "web/fields.h"
#include "web/file_path.h"
#include "web/mcp_answer.h"
#include "web/mcp_files_job.h"
#include "web/mcp_tools.h"
#include "web/mcp_view.h"
#include "web/percent.h"

#define MAX_PART_BYTES     (1u << 20)
#define DEFAULT_PART_BYTES 65536
#define HEAD_CHARS         500 /* of what stands around the text */
#define MAX_URI_BYTES      (4 * FILES_MAX_TEXT)

enum encoding { ENCODING_AUTO, ENCODING_TEXT, ENCODING_BASE64 };

struct download {
    struct mcp_files_job job;
    int64_t offset, max_bytes, max_chars;
    enum encoding encoding;
    char sandbox[MCP_MAX_NAME + 1];
    struct files_stat st;
    struct buf bytes;
    struct image_head image;
    bool is_image; /* all of it is in bytes */
};

static void release(void *own)
{
    struct download *d = own;
    buf_done(&d->bytes);
    free(d);
}

static void fail(struct mcp_call *c, void *own, const struct err *e)
{
    mcp_answer_error(c, e);
}

static int read_part(struct download *d, struct file *f, uint64_t offset, size_t n, struct err *e)
{
    char *room = buf_room(&d->bytes, n);
    if (!room)
        return err_set(e, ERR_UNAVAILABLE, "no memory");
    ssize_t got = file_read(f, offset, room, n, e);
    if (got < 0)
        return -1;
    d->bytes.len += (size_t)got;
    return 0;
}

static int run(void *own, struct tree *t, struct err *e)
{
    struct download *d = own;
    CLEANUP(file_close) struct file *f = NULL;
    if (files_open(t, d->job.path, &f, &d->st, e) < 0)
        return -1;
    buf_init(&d->bytes, MAX_PART_BYTES + MCP_VIEW_MAX_IMAGE_BYTES);
    if (read_part(d, f, (uint64_t)d->offset, (size_t)d->max_bytes, e) < 0)
        return -1;
    bool may_show =
        d->encoding == ENCODING_AUTO && d->offset == 0 && d->st.bytes <= MCP_VIEW_MAX_IMAGE_BYTES;
    if (!may_show || !image_head_read(buf_slice(&d->bytes), &d->image))
        return 0;
    d->is_image =
        d->image.width <= MCP_VIEW_MAX_IMAGE_SIDE && d->image.height <= MCP_VIEW_MAX_IMAGE_SIDE;
    if (!d->is_image || d->st.bytes <= d->bytes.len)
        return 0;
    return read_part(d, f, d->bytes.len, (size_t)d->st.bytes - d->bytes.len, e);
}

/* ---- what is answered ---- */

/* The part that is text: without the rest of a character at its beginning, and without the beginning of one at its end. */
static bool as_text(struct slice *s, bool is_end)
{
    size_t skip = 0;
    while (skip < 3 && skip < s->len && ((unsigned char)s->data[skip] & 0xc0) == 0x80)
        skip++;
    struct slice text = slice_of(s->data + skip, s->len - skip);
    if (!is_end)
        text.len -= text_cut_incomplete(text);
    if (memchr(text.data ? text.data : "", '\0', text.len) || !utf8_valid(text))
        return false;
    *s = slice_of(s->data, skip + text.len);
    return true;
}

static void write_head(struct download *d, struct mcp_answer *a, struct slice path,
                       const char *mime)
{
    buf_add_slice(&a->text, path);
    buf_addf(&a->text, " | %" PRIu64 " bytes | %s", d->st.bytes, mime);
    buf_add_str(&a->structured, "{\"path\":");
    json_quote(&a->structured, path);
    buf_addf(&a->structured, ",\"size_bytes\":%" PRIu64 ",\"mime_type\":\"%s\"", d->st.bytes, mime);
}

static void add_uri(const struct download *d, struct buf *uri)
{
    buf_addf(uri, "sandbox://%s/files/", d->sandbox);
    file_path_write(d->job.path, uri);
}

static void add_link(struct download *d, struct mcp_answer *a, const char *mime)
{
    CLEANUP_BUF struct buf uri = BUF_INIT(MAX_URI_BYTES);
    add_uri(d, &uri);
    mcp_answer_link(a, d->job.call, buf_slice(&uri), files_path_name(d->job.path), mime,
                    (int64_t)d->st.bytes);
}

static void write_image(struct download *d, struct mcp_answer *a)
{
    buf_addf(&a->text, " | %ux%u\n", d->image.width, d->image.height);
    buf_add_str(&a->blocks, ",{\"type\":\"image\",\"data\":\"");
    base64_encode(&a->blocks, buf_slice(&d->bytes));
    buf_addf(&a->blocks, "\",\"mimeType\":\"%s\"}", image_kind_media_type(d->image.kind));
    buf_add_str(&a->structured, ",\"encoding\":\"image\",\"truncated\":false}");
}

/* `shown` stands for `taken` bytes of the file. */
static void write_content(struct download *d, struct mcp_answer *a, const char *encoding,
                          struct slice shown, size_t taken)
{
    uint64_t next = (uint64_t)d->offset + taken;
    bool is_cut = next < d->st.bytes;
    buf_addf(&a->text, " | bytes %" PRId64 "-%" PRIu64 " | %s\n", d->offset, next, encoding);
    buf_add_slice(&a->text, shown);
    if (is_cut)
        buf_addf(&a->text, "\n[... more: download_file with offset=%" PRIu64 " ...]", next);
    buf_add_str(&a->structured, ",\"content\":");
    json_quote(&a->structured, shown);
    buf_addf(&a->structured, ",\"encoding\":\"%s\",\"offset\":%" PRId64 ",\"truncated\":%s",
             encoding, d->offset, is_cut ? "true" : "false");
    if (is_cut)
        buf_addf(&a->structured, ",\"next_offset\":%" PRIu64, next);
    buf_add_char(&a->structured, '}');
}

static void write_base64(struct download *d, struct mcp_answer *a)
{
    CLEANUP_BUF struct buf text = BUF_INIT(2 * MAX_PART_BYTES);
    size_t room = a->max_chars - HEAD_CHARS, n = room / 4 * 3;
    n = n < d->bytes.len ? n : d->bytes.len;
    base64_encode(&text, slice_of(d->bytes.data, n));
    write_content(d, a, "base64", buf_slice(&text), n);
}

static void write_binary(struct download *d, struct mcp_answer *a, const char *mime)
{
    CLEANUP_BUF struct buf uri = BUF_INIT(MAX_URI_BYTES);
    add_uri(d, &uri);
    if (d->image.width)
        buf_addf(&a->text,
                 " | %ux%u\nIt is too large to be shown (%u pixels a side): scale it "
                 "down by code, or read the resource %s.\n",
                 d->image.width, d->image.height, MCP_VIEW_MAX_IMAGE_SIDE, uri.data);
    else
        buf_addf(&a->text,
                 "\nIt is no text: read it by code, or the resource %s, or ask for "
                 "encoding=\"base64\".\n",
                 uri.data);
    buf_add_str(&a->structured, ",\"encoding\":\"link\",\"uri\":");
    json_quote(&a->structured, buf_slice(&uri));
    buf_add_str(&a->structured, ",\"truncated\":true}");
    add_link(d, a, mime);
}

static void done(void *own)
{
    struct download *d = own;
    CLEANUP_MCP_ANSWER struct mcp_answer a = { .max_chars = 0 };
    CLEANUP_BUF struct buf path = BUF_INIT(FILES_MAX_TEXT + 1);
    struct err e = ERR_INIT;
    struct slice bytes = buf_slice(&d->bytes);
    bool is_end = (uint64_t)d->offset + bytes.len >= d->st.bytes, is_text = as_text(&bytes, is_end);
    if (d->encoding == ENCODING_TEXT && !is_text) {
        (void)err_set(&e, ERR_INVALID,
                      "the file is no UTF-8 text: ask for encoding=\"base64\", or read it by code");
        mcp_answer_error(d->job.call, &e);
        return;
    }
    const char *mime = mime_of(files_path_name(d->job.path));
    if (!mime)
        mime = d->is_image ? image_kind_media_type(d->image.kind)
               : is_text   ? "text/plain"
                           : "application/octet-stream";
    mcp_answer_init(&a, d->max_chars);
    files_path_write(slice_str(d->job.path), &path);
    write_head(d, &a, buf_slice(&path), mime);
    if (d->is_image) {
        write_image(d, &a);
    } else if (d->encoding == ENCODING_BASE64) {
        write_base64(d, &a);
    } else if (is_text) {
        bytes.len = text_head(bytes, a.max_chars - HEAD_CHARS);
        write_content(d, &a, "utf-8", bytes, bytes.len);
        if (bytes.len < d->st.bytes)
            add_link(d, &a, mime);
    } else {
        write_binary(d, &a, mime);
    }
    mcp_answer_send(&a, d->job.call);
}

/* ---- */

struct wish {
    const char *path, *sandbox, *encoding;
    int64_t offset, max_bytes, max_chars;
};

#define AT(member) offsetof(struct wish, member)
static const struct field FIELDS[] = {
    { "path", FIELD_NAME, AT(path), true, FILES_MAX_TEXT, FIELD_NO_CONFIG, NULL },
    { "sandbox_id", FIELD_NAME, AT(sandbox), false, MCP_MAX_NAME, FIELD_NO_CONFIG, NULL },
    { "offset", FIELD_COUNT, AT(offset), false, 1e15, FIELD_NO_CONFIG, NULL },
    { "max_bytes", FIELD_INTEGER, AT(max_bytes), false, MAX_PART_BYTES, FIELD_NO_CONFIG, NULL },
    { "encoding", FIELD_NAME, AT(encoding), false, 16, FIELD_NO_CONFIG, "auto utf-8 base64" },
    MCP_FIELD_CHARS(struct wish, max_chars),
};
#undef AT

static enum encoding encoding_of(const char *name)
{
    if (name && strcmp(name, "utf-8") == 0)
        return ENCODING_TEXT;
    return name && strcmp(name, "base64") == 0 ? ENCODING_BASE64 : ENCODING_AUTO;
}

void mcp_download_file(struct mcp_call *c, struct slice arguments)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct wish want = { .max_bytes = DEFAULT_PART_BYTES };
    struct err e = ERR_INIT;
    struct download *d = calloc(1, sizeof *d);
    assert(d);
    d->job.done = done;
    d->job.fail = fail;
    d->job.release = release;
    if (fields_read(&fields, arguments, FIELDS, ARRAY_LEN(FIELDS), c->site->config, &want, &e) <
            0 ||
        mcp_check_chars(want.max_chars, &e) < 0 ||
        mcp_files_job_read(&d->job, c, want.path, want.sandbox, &e) < 0) {
        free(d);
        mcp_answer_error(c, &e);
        return;
    }
    d->offset = want.offset;
    d->max_bytes = want.max_bytes < 4 ? 4 : want.max_bytes; /* at least one character */
    d->max_chars = want.max_chars;
    d->encoding = encoding_of(want.encoding);
    (void)snprintf(d->sandbox, sizeof d->sandbox, "%s",
                   want.sandbox && !mcp_files_are_shared(c, want.sandbox) ? want.sandbox
                                                                          : "default");
    mcp_files_job_start(&d->job, run, false);
}
