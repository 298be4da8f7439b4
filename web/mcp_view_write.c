/* The blocks of the result, and its structured content. */
#include "web/mcp_view_internal.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/mime.h"
#include "protocol/event_record.h"
#include "web/file_path.h"

static struct slice member(const struct mcp_view *v, const char *name)
{
    struct slice value = SLICE_LITERAL("null");
    (void)json_member(buf_slice(&v->record), name, &value); /* absent: null */
    return value;
}

bool mcp_view_is_error(struct slice name)
{
    enum status status;
    if (!status_parse(name, &status))
        return false;
    switch (status) {
    case STATUS_TIMEOUT:
    case STATUS_OOM:
    case STATUS_KERNEL_DIED:
    case STATUS_CANCELLED:
    case STATUS_LOST:
        return true;
    case STATUS_QUEUED:
    case STATUS_RUNNING:
    case STATUS_WAITING_INPUT:
    case STATUS_OK:
    case STATUS_ERROR:
    case STATUS_INTERRUPTED:
    case STATUS_N:
        break;
    }
    return false;
}

/* ---- content ---- */

static void write_media(const struct part *p, struct buf *out)
{
    bool is_sound = strncmp(p->media->media_type, "audio/", 6) == 0;
    buf_addf(out, ",{\"type\":\"%s\",\"data\":\"", is_sound ? "audio" : "image");
    buf_add_slice(out, buf_slice(&p->base64));
    buf_addf(out, "\",\"mimeType\":\"%s\"}",
             is_sound ? p->media->media_type : image_kind_media_type(p->head.kind));
}

static void write_link(const struct mcp_view *v, const struct part *p, struct buf *out)
{
    buf_add_str(out, ",{\"type\":\"resource_link\",\"uri\":\"");
    mcp_view_uri(v, p->stream, out);
    buf_addf(out, "\",\"name\":\"%s\",\"mimeType\":\"%s\",\"size\":%zu}", p->stream,
             p->media ? p->media->media_type : "text/plain",
             p->kind == PART_TEXT ? p->text.bytes : p->bytes);
}

/* A path of files_changed, in a URI. */
static bool write_file_uri(const struct mcp_view *v, struct slice raw_path, struct buf *out)
{
    CLEANUP_BUF struct buf text = BUF_INIT(FILES_MAX_TEXT + 1);
    char path[FILES_MAX_PATH + 1];
    struct err e = ERR_INIT;
    json_unescape(&text, raw_path);
    if (text.failed || files_path_read(buf_slice(&text), path, &e) < 0)
        return false;
    buf_addf(out, "sandbox://%s/files/", v->options.has_own_files ? v->sandbox : "default");
    file_path_write(path, out);
    return !out->failed;
}

static void write_file_link(const struct mcp_view *v, struct slice item, struct buf *out)
{
    CLEANUP_BUF struct buf uri = BUF_INIT(4 * FILES_MAX_TEXT);
    struct slice path, change, mime;
    int64_t bytes;
    char name[FILES_MAX_PATH];
    if (!json_member_string(item, "path", &path) || !json_member_string(item, "change", &change) ||
        slice_is(change, "deleted") || !json_copy_string(path, name, sizeof name) ||
        !write_file_uri(v, path, &uri))
        return;
    buf_add_str(out, ",{\"type\":\"resource_link\",\"uri\":");
    json_quote(out, buf_slice(&uri));
    buf_add_str(out, ",\"name\":");
    json_quote_str(out, files_path_name(name));
    buf_add_str(out, ",\"mimeType\":");
    if (json_member(item, "mime", &mime) && json_type(mime) == JSON_STRING)
        buf_add_slice(out, mime);
    else
        json_quote_str(out, mime_of(name) ? mime_of(name) : "application/octet-stream");
    if (json_member_int(item, "bytes", &bytes))
        buf_addf(out, ",\"size\":%lld", (long long)bytes);
    buf_add_char(out, '}');
}

static void write_links(const struct mcp_view *v, struct buf *out)
{
    size_t n = 0;
    for (size_t i = 0; i < v->n_parts && n < MAX_LINKS; i++) {
        const struct part *p = &v->parts[i];
        if (p->kind == PART_TEXT ? !p->is_cut : p->is_inlined)
            continue;
        write_link(v, p, out);
        n++;
    }
    for (struct json_iter it = json_iter(member(v, "files_changed"));
         n < MAX_LINKS && json_next(&it); n++)
        write_file_link(v, it.value, out);
}

static void write_content(const struct mcp_view *v, struct slice text, struct buf *out)
{
    buf_add_str(out, "\"content\":[{\"type\":\"text\",\"text\":");
    json_quote(out, text);
    buf_add_char(out, '}');
    for (size_t i = 0; i < v->n_parts; i++)
        if (v->parts[i].kind == PART_IMAGE && v->parts[i].is_inlined)
            write_media(&v->parts[i], out);
    if (v->options.has_links)
        write_links(v, out);
    buf_add_char(out, ']');
}

/* ---- structured content ---- */

static const struct part *find_text(const struct mcp_view *v, const char *label)
{
    for (size_t i = 0; i < v->n_parts; i++)
        if (v->parts[i].kind == PART_TEXT && strcmp(v->parts[i].label, label) == 0)
            return &v->parts[i];
    return NULL;
}

static void write_shown(const struct mcp_view *v, const char *label, struct buf *out)
{
    const struct part *p = find_text(v, label);
    buf_addf(out, ",\"%s\":", label);
    json_quote(out, p ? buf_slice(&p->shown) : slice_of("", 0));
}

static void write_bytes(const struct mcp_view *v, const char *label, struct buf *out)
{
    const struct part *p = find_text(v, label);
    buf_addf(out, ",\"%s_bytes\":%zu", label, p ? p->text.bytes : 0);
}

/* What was displayed, and the value of the last expression: one below the other. */
static void write_result(const struct mcp_view *v, struct buf *out)
{
    CLEANUP_BUF struct buf text = BUF_INIT(8 * v->options.max_chars + MAX_OUTPUTS * 4096);
    bool any = false;
    for (size_t i = 0; i < v->n_parts; i++) {
        const struct part *p = &v->parts[i];
        if (p->kind != PART_TEXT || strncmp(p->stream, "output-", 7) != 0)
            continue;
        if (any)
            buf_add_char(&text, '\n');
        buf_add_slice(&text, buf_slice(&p->shown));
        any = true;
    }
    if (!any)
        return;
    buf_add_str(out, ",\"result\":");
    json_quote(out, buf_slice(&text));
}

static void write_error(const struct mcp_view *v, struct buf *out)
{
    const struct part *p = find_text(v, "error");
    if (!p)
        return;
    buf_add_str(out, ",\"error\":{\"name\":");
    json_quote(out, buf_slice(&v->error_name));
    buf_add_str(out, ",\"message\":");
    json_quote(out, buf_slice(&v->error_message));
    buf_add_str(out, ",\"traceback\":");
    json_quote(out, buf_slice(&p->shown));
    buf_add_char(out, '}');
}

static void write_artifacts(const struct mcp_view *v, struct buf *out)
{
    const char *comma = "";
    buf_add_str(out, ",\"artifacts\":[");
    for (size_t i = 0; i < v->n_parts; i++) {
        const struct part *p = &v->parts[i];
        if (p->kind == PART_TEXT)
            continue;
        buf_addf(out, "%s{\"uri\":\"", comma);
        mcp_view_uri(v, p->stream, out);
        buf_addf(out, "\",\"mime_type\":\"%s\",\"bytes\":%zu,\"inlined\":%s}",
                 p->media ? p->media->media_type : "text/plain", p->bytes,
                 p->is_inlined ? "true" : "false");
        comma = ",";
    }
    buf_add_char(out, ']');
}

/* Only what the schema knows, and not more of it than of the rest. */
static void write_files(const struct mcp_view *v, struct buf *out)
{
    size_t n = 0;
    struct slice path, change;
    int64_t bytes;
    buf_add_str(out, ",\"files_changed\":[");
    for (struct json_iter it = json_iter(member(v, "files_changed"));
         n < v->options.max_chars / 200 && json_next(&it);) {
        if (!json_member(it.value, "path", &path) || !json_member(it.value, "change", &change))
            continue;
        buf_addf(out, "%s{\"path\":", n++ ? "," : "");
        buf_add_slice(out, path);
        buf_add_str(out, ",\"change\":");
        buf_add_slice(out, change);
        if (json_member_int(it.value, "bytes", &bytes))
            buf_addf(out, ",\"bytes\":%lld", (long long)bytes);
        buf_add_char(out, '}');
    }
    buf_add_char(out, ']');
}

static void write_number(const struct mcp_view *v, const char *name, struct buf *out)
{
    struct slice value = member(v, name);
    if (json_type(value) != JSON_NUMBER)
        return;
    buf_addf(out, ",\"%s\":", name);
    buf_add_slice(out, value);
}

/* As the older tool of that name says it. */
static void write_run_code(const struct mcp_view *v, struct buf *out)
{
    bool success = strcmp(v->status, "ok") == 0;
    const struct part *p = find_text(v, "stdout");
    buf_addf(out, ",\"success\":%s,\"output\":", success ? "true" : "false");
    json_quote(out, p ? buf_slice(&p->shown) : slice_of("", 0));
    if (json_type(member(v, "exit_code")) != JSON_NUMBER)
        buf_addf(out, ",\"exit_code\":%d", success ? 0 : 1);
}

/* The first that is cut; where only the store left something out, standard output. */
static const char *cut_stream(const struct mcp_view *v)
{
    for (size_t i = 0; i < v->n_parts; i++)
        if (v->parts[i].is_cut)
            return v->parts[i].stream;
    return "stdout";
}

static void write_structured(const struct mcp_view *v, struct buf *out)
{
    bool is_cut = mcp_view_is_cut(v);
    struct slice session = member(v, "session");
    buf_addf(
        out,
        ",\"structuredContent\":{\"sandbox_id\":\"%s\",\"execution_id\":\"%s\",\"status\":\"%s\"",
        v->sandbox, v->id.text, v->status);
    if (json_type(session) == JSON_STRING) {
        buf_add_str(out, ",\"session\":");
        buf_add_slice(out, session);
    }
    write_number(v, "execution_count", out);
    write_number(v, "exit_code", out);
    write_shown(v, "stdout", out);
    write_shown(v, "stderr", out);
    write_result(v, out);
    write_error(v, out);
    write_artifacts(v, out);
    write_files(v, out);
    buf_addf(out, ",\"truncated\":%s", is_cut ? "true" : "false");
    if (is_cut) {
        buf_add_str(out, ",\"output_uri\":\"");
        mcp_view_uri(v, cut_stream(v), out);
        buf_add_char(out, '"');
    }
    write_bytes(v, "stdout", out);
    write_bytes(v, "stderr", out);
    write_number(v, "duration_ms", out);
    if (v->options.is_run_code)
        write_run_code(v, out);
    buf_add_char(out, '}');
}

void mcp_view_write(struct mcp_view *v, struct buf *out)
{
    CLEANUP_BUF struct buf text =
        BUF_INIT(8 * v->options.max_chars + MAX_OUTPUTS * 4096 + (1u << 20));
    mcp_view_decide(v);
    mcp_view_write_text(v, &text);
    out->failed |= text.failed;
    buf_add_char(out, '{');
    write_content(v, buf_slice(&text), out);
    if (!v->options.is_text_only)
        write_structured(v, out);
    bool is_error = mcp_view_is_error(slice_str(v->status)) ||
                    (v->options.exceptions_are_errors && strcmp(v->status, "error") == 0);
    buf_addf(out, ",\"isError\":%s}", is_error && !v->options.is_look ? "true" : "false");
}
