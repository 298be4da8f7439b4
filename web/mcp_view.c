#include "web/mcp_view_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "kernelhub/output.h"
#include "protocol/text_excerpt.h"

#define MAX_ASIDE_BYTES                                                                            \
    (MCP_VIEW_MAX_IMAGE_BYTES / 3 * 4 + 16384) /* as base64, with its line ends */
#define MAX_ERROR_CHARS 500

static const char *const STREAMS[] = { "stdout", "stderr" };

static struct slice member(const struct mcp_view *v, const char *name)
{
    struct slice value = { 0 };
    (void)json_member(buf_slice(&v->record), name, &value); /* absent: empty */
    return value;
}

static struct part *add_part(struct mcp_view *v, enum part_kind kind, const char *label)
{
    if (v->n_parts == v->room) {
        v->room = v->room ? 2 * v->room : 8;
        v->parts = realloc(v->parts, v->room * sizeof *v->parts);
        assert(v->parts);
    }
    struct part *p = &v->parts[v->n_parts++];
    *p = (struct part){ .kind = kind };
    (void)snprintf(p->label, sizeof p->label, "%s", label);
    (void)snprintf(p->stream, sizeof p->stream, "%s", label);
    return p;
}

/* ---- what there is ---- */

/* What is long is taken out, or put last: each look for a member walks over what stands before it. */
static void split(struct mcp_view *v, struct slice record, struct slice streams[2])
{
    struct slice results = SLICE_LITERAL("[]");
    for (struct json_iter it = json_iter(record); json_next(&it);) {
        bool is_text = json_type(it.value) == JSON_STRING;
        if (slice_is(it.key, STREAMS[0]) || slice_is(it.key, STREAMS[1])) {
            if (is_text)
                streams[slice_is(it.key, STREAMS[1])] =
                    slice_of(it.value.data + 1, it.value.len - 2);
        } else if (slice_is(it.key, "results")) {
            results = it.value;
        } else {
            buf_add_str(&v->record, v->record.len ? ",\"" : "{\"");
            buf_add_slice(&v->record, it.key);
            buf_add_str(&v->record, "\":");
            buf_add_slice(&v->record, it.value);
        }
    }
    buf_add_str(&v->record, v->record.len ? ",\"results\":" : "{\"results\":");
    buf_add_slice(&v->record, results);
    buf_add_char(&v->record, '}');
}

static void add_streams(struct mcp_view *v, const struct slice streams[2])
{
    for (size_t i = 0; i < 2; i++)
        if (streams[i].len)
            mcp_text_init_raw(&add_part(v, PART_TEXT, STREAMS[i])->text, streams[i]);
}

static void name_output(struct part *p, size_t number, const struct mcp_media *media)
{
    bool is_text = p->kind == PART_TEXT;
    p->media = media;
    (void)snprintf(p->stream, sizeof p->stream, "output-%zu%s%s", number, is_text ? "" : ".",
                   is_text ? "" : media->extension);
}

static void add_text_output(struct mcp_view *v, size_t number, const struct mcp_media_value *m,
                            bool is_main)
{
    struct part *p = add_part(v, PART_TEXT, is_main ? "result" : "display");
    unsigned blob;
    name_output(p, number, m->media);
    p->is_main = is_main;
    if (json_type(m->value) == JSON_STRING)
        mcp_text_init_raw(&p->text, slice_of(m->value.data + 1, m->value.len - 2));
    else if (!output_is_ref(m->value, &v->id, &blob))
        mcp_text_init(&p->text, m->value);
    else
        p->kind = PART_LINK; /* too long for the record */
}

/* An image or a sound that is here: decoded once, to know that it is one, and how large. */
static void look_at(struct part *p, struct slice base64)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT(base64.len + 1);
    if (!base64_decode(&bytes, base64))
        return;
    p->bytes = bytes.len;
    p->is_image = image_head_read(buf_slice(&bytes), &p->head);
    buf_init(&p->base64, bytes.len / 3 * 4 + 8);
    base64_encode(&p->base64, buf_slice(&bytes));
}

static void add_media(struct mcp_view *v, size_t number, const struct mcp_media_value *m)
{
    struct part *p = add_part(v, PART_IMAGE, "image");
    int64_t bytes = 0;
    name_output(p, number, m->media);
    if (json_type(m->value) == JSON_STRING) {
        CLEANUP_BUF struct buf base64 = BUF_INIT(m->value.len);
        json_unescape(&base64, slice_of(m->value.data + 1, m->value.len - 2));
        look_at(p, buf_slice(&base64));
    } else if (output_is_ref(m->value, &v->id, &p->blob)) {
        p->is_aside = true;
        (void)json_member_int(m->value, "bytes", &bytes); /* output_is_ref saw it */
        p->bytes = (size_t)(bytes > 0 ? bytes : 0) / 4 * 3;
    }
}

static void add_links(struct mcp_view *v, size_t number, struct slice data)
{
    struct mcp_media_value other;
    unsigned blob;
    for (size_t i = 0; mcp_bundle_other(data, i, &other); i++) {
        struct part *p = add_part(v, PART_LINK, "link");
        int64_t bytes = (int64_t)other.value.len;
        name_output(p, number, other.media);
        if (output_is_ref(other.value, &v->id, &blob))
            (void)json_member_int(other.value, "bytes", &bytes); /* output_is_ref saw it */
        p->bytes = (size_t)(bytes > 0 ? bytes : 0);
    }
}

/* Of a type that nobody here knows. That there was something is said all the same. */
static void add_unknown(struct mcp_view *v, size_t number, struct slice data)
{
    CLEANUP_BUF struct buf text = BUF_INIT(1024);
    struct json_iter it = json_iter(data);
    if (!json_next(&it))
        return;
    struct part *p = add_part(v, PART_TEXT, "display");
    (void)snprintf(p->stream, sizeof p->stream, "output-%zu", number);
    buf_add_str(&text, "[of type ");
    json_unescape(&text, slice_of(it.key.data, it.key.len < 100 ? it.key.len : 0));
    buf_add_str(&text, ", which is not shown here]");
    mcp_text_init(&p->text, buf_slice(&text));
}

static void add_output(struct mcp_view *v, size_t number, struct slice result)
{
    struct slice data;
    bool is_main = false;
    size_t before = v->n_parts;
    if (!json_member(result, "data", &data))
        return;
    (void)json_member_bool(result, "is_main_result", &is_main); /* absent: false */
    struct mcp_bundle b = mcp_bundle_choose(data);
    if (b.image.media)
        add_media(v, number, &b.image);
    else if (b.audio.media)
        add_media(v, number, &b.audio);
    else if (b.text.media)
        add_text_output(v, number, &b.text, is_main);
    add_links(v, number, data);
    if (v->n_parts == before)
        add_unknown(v, number, data);
}

/* Each text takes room for the line that says it is cut: there are no more of them than that leaves room for. */
static void add_outputs(struct mcp_view *v)
{
    size_t max = v->options.max_chars / (2 * MCP_TEXT_MARK_CHARS);
    max = max < 1 ? 1 : max > MAX_OUTPUTS ? MAX_OUTPUTS : max;
    struct json_iter it = json_iter(member(v, "results"));
    for (size_t n = 0; json_next(&it); n++) {
        if (n < max)
            add_output(v, n + 1, it.value);
        v->n_outputs++;
    }
    v->n_left_out = v->n_outputs > max ? v->n_outputs - max : 0;
}

static void plain_member(struct slice object, const char *name, struct buf *out)
{
    struct mcp_text t;
    struct slice raw;
    if (!json_member_string(object, name, &raw))
        return;
    mcp_text_init_raw(&t, raw);
    buf_init(out, t.plain.len + 1);
    buf_add(out, t.plain.data, text_head(buf_slice(&t.plain), MAX_ERROR_CHARS));
    mcp_text_done(&t);
}

static void add_error(struct mcp_view *v)
{
    struct slice error = member(v, "error"), lines;
    if (json_type(error) != JSON_OBJECT)
        return;
    CLEANUP_BUF struct buf text = BUF_INIT(v->record.len + 64);
    plain_member(error, "name", &v->error_name);
    plain_member(error, "value", &v->error_message);
    if (json_member(error, "traceback", &lines)) {
        for (struct json_iter it = json_iter(lines); json_next(&it);) {
            if (json_type(it.value) != JSON_STRING)
                continue;
            json_unescape(&text, slice_of(it.value.data + 1, it.value.len - 2));
            buf_add_char(&text, '\n');
        }
    }
    if (text.len == 0) {
        buf_add_slice(&text, buf_slice(&v->error_name));
        buf_add_str(&text, ": ");
        buf_add_slice(&text, buf_slice(&v->error_message));
    }
    mcp_text_init(&add_part(v, PART_TEXT, "error")->text, buf_slice(&text));
}

struct mcp_view *mcp_view_new(struct slice record, const struct mcp_view_options *options)
{
    struct mcp_view *v = calloc(1, sizeof *v);
    struct slice raw, streams[2] = { 0 };
    struct uuid sandbox;
    enum status status;
    assert(v);
    v->options = *options;
    buf_init(&v->record, record.len + 32);
    split(v, record, streams);
    if (!json_member_string(buf_slice(&v->record), "execution_id", &raw) ||
        !uuid_parse(raw, &v->id))
        v->id = (struct uuid){ .text = "" };
    bool has_sandbox =
        json_member_string(buf_slice(&v->record), "sandbox_id", &raw) && uuid_parse(raw, &sandbox);
    const char *other = options->sandbox[0] ? options->sandbox : "default";
    (void)snprintf(v->sandbox, sizeof v->sandbox, "%s", has_sandbox ? sandbox.text : other);
    bool has_status =
        json_member_string(buf_slice(&v->record), "status", &raw) && status_parse(raw, &status);
    (void)snprintf(v->status, sizeof v->status, "%s",
                   status_name(has_status ? status : STATUS_LOST));
    add_streams(v, streams);
    add_outputs(v);
    add_error(v);
    return v;
}

void mcp_view_free(struct mcp_view *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->n_parts; i++) {
        mcp_text_done(&v->parts[i].text);
        buf_done(&v->parts[i].base64);
        buf_done(&v->parts[i].shown);
    }
    free(v->parts);
    buf_done(&v->record);
    buf_done(&v->error_name);
    buf_done(&v->error_message);
    free(v);
}

/* ---- images that are not in the record ---- */

/* The first one that is aside and may be shown, by what is known of it. NULL: none. */
static struct part *wanted(const struct mcp_view *v)
{
    for (size_t i = 0, n = 0; i < v->n_parts && n < MCP_VIEW_MAX_IMAGES; i++) {
        struct part *p = &v->parts[i];
        n += p->kind == PART_IMAGE && (p->is_aside || p->is_image);
        if (p->is_aside && p->bytes / 3 * 4 <= MAX_ASIDE_BYTES)
            return p;
    }
    return NULL;
}

bool mcp_view_wants(const struct mcp_view *v, unsigned *ret_blob)
{
    const struct part *p = wanted(v);
    if (p)
        *ret_blob = p->blob;
    return p != NULL;
}

void mcp_view_give(struct mcp_view *v, struct slice text)
{
    struct part *p = wanted(v);
    if (!p)
        return;
    p->is_aside = false;
    look_at(p, text);
}

static void decide(struct mcp_view *v, struct part *p)
{
    bool is_sound = strncmp(p->media->media_type, "audio/", 6) == 0;
    if (is_sound)
        p->is_inlined = p->base64.len && p->bytes <= MCP_VIEW_MAX_AUDIO_BYTES;
    else
        p->is_inlined = p->is_image && p->head.width <= MCP_VIEW_MAX_IMAGE_SIDE &&
                        p->head.height <= MCP_VIEW_MAX_IMAGE_SIDE &&
                        v->n_images < MCP_VIEW_MAX_IMAGES && p->bytes <= MCP_VIEW_MAX_IMAGE_BYTES;
    if (p->bytes > MCP_VIEW_MAX_IMAGES_BYTES - v->images_bytes)
        p->is_inlined = false;
    if (p->is_inlined) {
        v->images_bytes += p->bytes;
        v->n_images += !is_sound;
    } else {
        buf_done(&p->base64);
    }
}

void mcp_view_decide(struct mcp_view *v)
{
    for (size_t i = 0; i < v->n_parts; i++)
        if (v->parts[i].kind == PART_IMAGE)
            decide(v, &v->parts[i]);
}

/* ---- what others ask ---- */

void mcp_view_uri(const struct mcp_view *v, const char *stream, struct buf *out)
{
    buf_addf(out, "sandbox://%s/executions/%s/%s", v->sandbox, v->id.text, stream);
}

bool mcp_view_is_cut(const struct mcp_view *v)
{
    bool truncated = false;
    (void)json_member_bool(buf_slice(&v->record), "truncated", &truncated); /* absent: false */
    for (size_t i = 0; i < v->n_parts; i++)
        truncated |= v->parts[i].is_cut;
    return truncated || v->n_left_out > 0;
}
