#include "kernelhub/output.h"

#include <stdlib.h>

#include "base/json.h"

#define ITEM_OVERHEAD 64 /* so that a million empty messages count for something */

struct output_item {
    struct output_item *next;
    enum event_type type;
    int64_t unix_us;
    size_t len;
    char fields[];
};

void output_init(struct output *o, int64_t max_bytes)
{
    *o = (struct output){ .max_bytes = max_bytes };
}

static struct output_item *pop(struct output *o)
{
    struct output_item *item = o->first;
    if (!item)
        return NULL;
    o->first = item->next;
    if (!o->first)
        o->last = NULL;
    o->tail_bytes -= (int64_t)item->len + ITEM_OVERHEAD;
    o->tail_messages--;
    return item;
}

void output_done(struct output *o)
{
    for (struct output_item *item = pop(o); item; item = pop(o))
        free(item);
}

static void drop(struct output *o, size_t len)
{
    o->dropped_bytes += (int64_t)len;
    o->dropped_messages++;
}

bool output_admit(struct output *o, enum event_type type, struct slice fields, int64_t unix_us)
{
    int64_t size = (int64_t)fields.len + ITEM_OVERHEAD, head_max = o->max_bytes / 4 * 3;
    if (!o->first && o->dropped_messages == 0 && o->head_bytes + size <= head_max) {
        o->head_bytes += size;
        return true;
    }
    int64_t tail_max = (o->max_bytes - o->flushed_bytes) / 4;
    if (size > tail_max) {
        drop(o, fields.len);
        return false;
    }
    while (o->tail_bytes + size > tail_max) {
        struct output_item *old = pop(o);
        drop(o, old->len);
        free(old);
    }
    struct output_item *item = malloc(sizeof *item + fields.len);
    if (!item) {
        drop(o, fields.len);
        return false;
    }
    *item = (struct output_item){ .type = type, .unix_us = unix_us, .len = fields.len };
    memcpy(item->fields, fields.data, fields.len);
    if (o->last)
        o->last->next = item;
    else
        o->first = item;
    o->last = item;
    o->tail_bytes += size;
    o->tail_messages++;
    return false;
}

bool output_has_gap(const struct output *o)
{
    return o->dropped_messages > 0;
}

void output_write_gap(const struct output *o, struct buf *fields)
{
    buf_addf(fields, ",\"bytes\":%lld,\"messages\":%lld,\"reason\":\"max_output_bytes is %lld\"",
             (long long)o->dropped_bytes, (long long)o->dropped_messages, (long long)o->max_bytes);
}

void output_gap_said(struct output *o)
{
    o->dropped_bytes = o->dropped_messages = 0;
    o->said_gap = true;
}

bool output_next(struct output *o, enum event_type *ret_type, char **ret_fields, size_t *ret_len,
                 int64_t *ret_unix_us)
{
    struct output_item *item = pop(o);
    if (!item)
        return false;
    o->flushed_bytes += (int64_t)item->len + ITEM_OVERHEAD;
    *ret_type = item->type;
    *ret_len = item->len;
    *ret_unix_us = item->unix_us;
    *ret_fields = malloc(item->len + 1);
    if (*ret_fields)
        memcpy(*ret_fields, item->fields, item->len);
    free(item);
    return *ret_fields != NULL;
}

static void put_value(struct output *o, const struct uuid *id, struct slice key, struct slice value,
                      struct buf *out, output_blob_fn put, void *arg)
{
    char media_type[128];
    if (value.len <= OUTPUT_INLINE_BYTES || !json_copy_string(key, media_type, sizeof media_type)) {
        buf_add_slice(out, value);
        return;
    }
    CLEANUP_BUF struct buf text = BUF_INIT(value.len);
    if (json_type(value) == JSON_STRING)
        json_unescape(&text, slice_of(value.data + 1, value.len - 2));
    else
        buf_add_slice(&text, value);
    put(arg, o->n_blobs, media_type, buf_slice(&text));
    buf_addf(out, "{\"ref\":\"/api/v1/executions/%s/blobs/%u\",\"bytes\":%zu}", id->text,
             o->n_blobs, text.len);
    o->n_blobs++;
}

static void put_bundle(struct output *o, const struct uuid *id, struct slice bundle,
                       struct buf *out, output_blob_fn put, void *arg)
{
    const char *comma = "";
    struct json_iter it = json_iter(bundle);
    buf_add_char(out, '{');
    while (json_next(&it)) {
        buf_add_str(out, comma);
        buf_add_char(out, '"');
        buf_add_slice(out, it.key);
        buf_add_str(out, "\":");
        put_value(o, id, it.key, it.value, out, put, arg);
        comma = ",";
    }
    buf_add_char(out, '}');
}

void output_put_aside(struct output *o, const struct uuid *id, struct slice fields, struct buf *out,
                      output_blob_fn put, void *arg)
{
    /* fields are ,"data":{…},"metadata":…: read them as the object they would be behind a brace */
    CLEANUP_BUF struct buf object = BUF_INIT(fields.len + 2);
    buf_add_char(&object, '{');
    buf_add(&object, fields.data + 1, fields.len - 1);
    buf_add_char(&object, '}');
    struct json_iter it = json_iter(buf_slice(&object));
    while (json_next(&it)) {
        buf_add_str(out, ",\"");
        buf_add_slice(out, it.key);
        buf_add_str(out, "\":");
        if (slice_is(it.key, "data"))
            put_bundle(o, id, it.value, out, put, arg);
        else
            buf_add_slice(out, it.value);
    }
}
