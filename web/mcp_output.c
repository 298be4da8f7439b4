/*      stdout, stderr, result ──► the store cuts the part out ───────────────┐
 *      error, output-3.png ──► record ──► its value, or the blob it names ──► cut here ──► the answer */
#include "web/mcp_output.h"

#include <assert.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "kernelhub/output.h"
#include "kernelhub/text_part.h"
#include "protocol/image_head.h"
#include "protocol/plain_text.h"
#include "protocol/text_excerpt.h"
#include "web/mcp_answer.h"
#include "web/mcp_bundle.h"
#include "web/mcp_view.h"

#define MAX_STREAM 64
#define HEAD_CHARS 400 /* of what stands around the part */
#define MAX_BYTES  (64u << 20)

struct reading {
    struct mcp_call *call;
    struct uuid id;
    char stream[MAX_STREAM];
    struct output_part part;
    char *grep, *uri; /* uri: it is read as a resource */
    size_t max_chars;
    const struct mcp_media *media; /* NULL: plain text */
    struct wait *wait;
};

static void reading_free(void *own)
{
    struct reading *o = own;
    wait_cancel(o->wait);
    free(o->grep);
    free(o->uri);
    free(o);
}

static void fail(struct reading *o, const struct err *e)
{
    if (!o->uri)
        mcp_answer_execution_error(o->call, e);
    else if (e->code == ERR_NOT_FOUND || e->code == ERR_INVALID)
        mcp_call_no_resource(o->call, slice_str(o->uri));
    else
        mcp_call_failed(o->call, e);
}

/* ---- as a resource ---- */

static void read_too_large(struct reading *o)
{
    struct err e = ERR_INIT;
    (void)err_set(&e, ERR_TOO_LARGE,
                  "the resource has more than %u bytes: read parts of it with "
                  "get_execution(execution_id=\"%s\", stream=\"%s\", offset=0), or "
                  "GET /api/v1/executions/%s/output",
                  MCP_RESOURCE_MAX_BYTES, o->id.text, o->stream, o->id.text);
    fail(o, &e);
}

/* `text` is base64 where the media type is kept so. */
static void read_done(struct reading *o, struct slice text)
{
    CLEANUP_BUF struct buf out = BUF_INIT(MCP_MAX_RESULT_BYTES),
                           bytes = BUF_INIT(MCP_RESOURCE_MAX_BYTES),
                           again = BUF_INIT(2 * MCP_RESOURCE_MAX_BYTES);
    bool is_blob = o->media && o->media->is_base64 && base64_decode(&bytes, text);
    if (!is_blob && text.len > MCP_RESOURCE_MAX_BYTES) {
        read_too_large(o);
        return;
    }
    buf_add_str(&out, "{\"contents\":[{\"uri\":");
    json_quote_str(&out, o->uri);
    buf_addf(&out, ",\"mimeType\":\"%s\",\"%s\":", o->media ? o->media->media_type : "text/plain",
             is_blob ? "blob" : "text");
    base64_encode(&again, is_blob ? buf_slice(&bytes) : slice_of(NULL, 0));
    json_quote(&out, is_blob ? buf_slice(&again) : text);
    buf_add_str(&out, "}]}");
    mcp_call_result(o->call, &out);
}

/* ---- as a part ---- */

static void write_structured(const struct reading *o, struct slice shown, int64_t next_offset,
                             bool is_cut, bool ended, struct buf *out)
{
    buf_addf(out, "{\"execution_id\":\"%s\",\"stream\":", o->id.text);
    json_quote_str(out, o->stream);
    buf_add_str(out, ",\"text\":");
    json_quote(out, shown);
    if (next_offset >= 0)
        buf_addf(out, ",\"next_offset\":%lld", (long long)next_offset);
    buf_addf(out, ",\"truncated\":%s,\"ended\":%s}", is_cut || next_offset >= 0 ? "true" : "false",
             ended ? "true" : "false");
}

static void part_done(struct reading *o, const struct output_found *found)
{
    CLEANUP_MCP_ANSWER struct mcp_answer a = { .max_chars = 0 };
    CLEANUP_BUF struct buf plain = BUF_INIT(found->text.len + 1);
    int64_t next_offset = found->next_offset;
    size_t room = o->max_chars - HEAD_CHARS;
    plain_text(&plain, found->text);
    struct slice shown = buf_slice(&plain);
    bool too_long = text_chars(shown) > room;
    if (too_long && o->part.tail)
        shown = slice_of(shown.data + text_tail(shown, room), shown.len - text_tail(shown, room));
    else if (too_long)
        shown.len = text_head(shown, room);
    mcp_answer_init(&a, (int64_t)o->max_chars);
    buf_addf(&a.text, "execution_id: %s | %s\n", o->id.text, o->stream);
    if (too_long && o->part.tail)
        buf_add_str(&a.text, "[... the beginning is left out: above max_output_chars ...]\n");
    buf_add_slice(&a.text, shown.len ? shown : SLICE_LITERAL("(nothing)\n"));
    if (shown.len && shown.data[shown.len - 1] != '\n')
        buf_add_char(&a.text, '\n');
    if (next_offset >= 0)
        buf_addf(
            &a.text,
            "[... more: get_execution(execution_id=\"%s\", stream=\"%s\"%s, offset=%lld) ...]\n",
            o->id.text, o->stream, o->part.grep ? ", grep=…" : "", (long long)next_offset);
    else if ((too_long && !o->part.tail) || found->cut)
        buf_add_str(&a.text, "[... the rest is left out: above max_output_chars; ask for fewer "
                             "lines, or by offset ...]\n");
    if (!found->ended)
        buf_add_str(&a.text, "[it has not ended: more may be written]\n");
    write_structured(o, shown, next_offset, too_long || found->cut, found->ended, &a.structured);
    mcp_answer_send(&a, o->call);
}

/* An image that was asked for by its name. */
static void image_done(struct reading *o, struct slice base64)
{
    CLEANUP_MCP_ANSWER struct mcp_answer a = { .max_chars = 0 };
    CLEANUP_BUF struct buf bytes = BUF_INIT(MCP_VIEW_MAX_IMAGE_BYTES);
    struct image_head head;
    struct err e = ERR_INIT;
    if (!base64_decode(&bytes, base64) || !image_head_read(buf_slice(&bytes), &head)) {
        (void)err_set(
            &e, ERR_TOO_LARGE,
            "%s is no image of at most %u bytes: draw it smaller (size, dpi), or read the resource",
            o->stream, MCP_VIEW_MAX_IMAGE_BYTES);
        fail(o, &e);
        return;
    }
    mcp_answer_init(&a, (int64_t)o->max_chars);
    buf_addf(&a.text, "execution_id: %s | %s: %ux%u %s\n", o->id.text, o->stream, head.width,
             head.height, image_kind_name(head.kind));
    write_structured(o, slice_of("", 0), -1, false, true, &a.structured);
    if (head.width > 8000 || head.height > 8000) {
        buf_add_str(&a.text, "It is too large to be shown: scale it down in the sandbox.\n");
    } else {
        buf_add_str(&a.blocks, ",{\"type\":\"image\",\"data\":\"");
        base64_encode(&a.blocks, buf_slice(&bytes));
        buf_addf(&a.blocks, "\",\"mimeType\":\"%s\"}", image_kind_media_type(head.kind));
    }
    mcp_answer_send(&a, o->call);
}

/* ---- from the store ---- */

static void on_output(void *arg, const struct err *e, const struct output_found *found)
{
    struct reading *o = arg;
    o->wait = NULL;
    if (e)
        fail(o, e);
    else if (!o->uri)
        part_done(o, found);
    else if (found->next_offset >= 0)
        read_too_large(o);
    else
        read_done(o, found->text);
}

/* ---- from the record ---- */

static void text_done(struct reading *o, struct slice text)
{
    if (o->uri) {
        read_done(o, text);
        return;
    }
    struct text_part *part = text_part_new(&o->part);
    (void)text_part_add(part, text); /* it is all there is */
    text_part_end(part);
    struct output_found found = text_part_found(part);
    found.ended = true; /* what was shown is shown whole */
    part_done(o, &found);
    text_part_free(part);
}

static void value_done(struct reading *o, struct slice text)
{
    if (o->media && o->media->is_base64 && !o->uri)
        image_done(o, text);
    else
        text_done(o, text);
}

static void on_blob(void *arg, const struct err *e, const char *media_type, struct slice bytes)
{
    struct reading *o = arg;
    o->wait = NULL;
    if (e)
        fail(o, e);
    else
        value_done(o, bytes);
}

static void error_done(struct reading *o, struct slice record)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_BYTES);
    struct slice error, lines;
    if (json_member(record, "error", &error) && json_member(error, "traceback", &lines)) {
        for (struct json_iter it = json_iter(lines); json_next(&it);) {
            if (json_type(it.value) != JSON_STRING)
                continue;
            json_unescape(&text, slice_of(it.value.data + 1, it.value.len - 2));
            buf_add_char(&text, '\n');
        }
    }
    text_done(o, buf_slice(&text));
}

/* "output-3.png": the third of the results, and one of its media types. */
static bool find_value(struct reading *o, struct slice record, struct slice *ret)
{
    char *end;
    struct slice results, data;
    struct mcp_media_value found;
    if (strncmp(o->stream, "output-", 7) != 0 || o->stream[7] < '1' || o->stream[7] > '9')
        return false;
    unsigned long number = strtoul(o->stream + 7, &end, 10);
    if ((*end != '\0' && *end != '.') || !json_member(record, "results", &results))
        return false;
    for (struct json_iter it = json_iter(results); json_next(&it);) {
        if (--number > 0)
            continue;
        if (!json_member(it.value, "data", &data) ||
            !mcp_bundle_find(data, *end ? end + 1 : NULL, &found))
            return false;
        o->media = found.media;
        *ret = found.value;
        return true;
    }
    return false;
}

static void on_record(void *arg, const struct err *e, struct slice record)
{
    struct reading *o = arg;
    struct err none = ERR_INIT;
    struct slice value;
    unsigned blob;
    o->wait = NULL;
    if (e) {
        fail(o, e);
    } else if (strcmp(o->stream, "error") == 0) {
        error_done(o, record);
    } else if (!find_value(o, record, &value)) {
        (void)err_set(&none, ERR_INVALID,
                      "field 'stream' is %s, which this execution does not have; there are stdout, "
                      "stderr, result, error, and output-N",
                      log_quote(slice_str(o->stream)));
        fail(o, &none);
    } else if (output_is_ref(value, &o->id, &blob)) {
        struct wait *w =
            execution_blob(o->call->site->hub, o->call->user, &o->id, blob, on_blob, o);
        if (w) /* else it was answered */
            o->wait = w;
    } else {
        CLEANUP_BUF struct buf text = BUF_INIT(value.len + 1);
        if (json_type(value) == JSON_STRING)
            json_unescape(&text, slice_of(value.data + 1, value.len - 2));
        else
            buf_add_slice(&text, value);
        value_done(o, buf_slice(&text));
    }
}

/* ---- */

static bool is_stored(const char *stream, enum output_stream *ret)
{
    static const char *const NAMES[] = {
        [OUTPUT_STDOUT] = "stdout", [OUTPUT_STDERR] = "stderr", [OUTPUT_RESULT] = "result"
    };
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++) {
        if (strcmp(stream, NAMES[i]) == 0) {
            *ret = (enum output_stream)i;
            return true;
        }
    }
    return false;
}

static struct reading *reading_new(struct mcp_call *c, const struct uuid *id, const char *stream)
{
    struct reading *o = calloc(1, sizeof *o);
    assert(o);
    o->call = c;
    o->id = *id;
    (void)snprintf(o->stream, sizeof o->stream, "%s", stream);
    mcp_call_own(c, o, NULL, reading_free);
    return o;
}

static void start(struct reading *o)
{
    struct mcp_call *c = o->call;
    struct wait *w = is_stored(o->stream, &o->part.stream)
                         ? execution_output(c->site->hub, c->user, &o->id, &o->part, on_output, o)
                         : execution_record(c->site->hub, c->user, &o->id, false, on_record, o);
    if (w) /* else it was answered */
        o->wait = w;
}

void mcp_output_answer(struct mcp_call *c, const struct uuid *id,
                       const struct mcp_output_wish *wish, size_t max_chars)
{
    struct reading *o = reading_new(c, id, wish->stream ? wish->stream : "stdout");
    int64_t room = (int64_t)max_chars - HEAD_CHARS;
    o->max_chars = max_chars;
    o->grep = wish->grep ? strdup(wish->grep) : NULL;
    o->part = (struct output_part){

        .offset = wish->offset > 0 ? wish->offset : 0,
        .head = wish->head,
        .tail = wish->tail,
        .grep = o->grep
    };
    o->part.limit = wish->limit && wish->limit < room ? wish->limit : room;
    start(o);
}

void mcp_output_read(struct mcp_call *c, const struct uuid *id, const char *stream, const char *uri)
{
    struct reading *o = reading_new(c, id, stream);
    o->uri = strdup(uri);
    assert(o->uri);
    o->part.limit = MCP_RESOURCE_MAX_BYTES;
    start(o);
}
