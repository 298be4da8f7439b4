#include "kernelhub/output.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

#define REF "/api/v1/executions/%s/blobs/%u"

#define ITEM_OVERHEAD 64 /* so that a million empty messages count for something */

struct output_item {
    struct output_item *next;
    enum event_type type;
    int64_t unix_us;
    bool is_cut; /* it has lost its beginning, and is counted for that */
    size_t len;
    char *fields;
    char text[]; /* where the fields are, from `fields` on */
};

void output_init(struct output *o, int64_t max_bytes)
{
    *o = (struct output){ .max_bytes = max_bytes };
}

void output_recover(struct output *o)
{
    int64_t more = o->head_bytes - o->max_bytes / 4 * 3, most = o->max_bytes / 2;
    o->flushed_bytes = more < 0 ? 0 : more < most ? more : most; /* a ring is left in any case */
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

static void drop(struct output *o, size_t len, bool is_counted)
{
    o->dropped_bytes += (int64_t)len;
    o->dropped_messages += !is_counted;
}

/* ---- a text that is cut: raw, as it stands between its quotes ---- */

static const char BEFORE_TEXT[] = ",\"text\":\"";
#define TEXT_FRAME sizeof BEFORE_TEXT /* with the quote behind it */

static bool is_text(enum event_type type, struct slice fields, struct slice *ret_raw)
{
    size_t n = sizeof BEFORE_TEXT - 1;
    if ((type != EVENT_STDOUT && type != EVENT_STDERR) || fields.len < TEXT_FRAME ||
        memcmp(fields.data, BEFORE_TEXT, n) != 0 || fields.data[fields.len - 1] != '"')
        return false;
    *ret_raw = slice_of(fields.data + n, fields.len - TEXT_FRAME);
    return true;
}

static bool is_escaping(struct slice raw, size_t at)
{
    size_t n = 0;
    while (n < at && raw.data[at - 1 - n] == '\\')
        n++;
    return n % 2 == 1; /* the byte at `at` belongs to the backslash before it */
}

static bool is_low_surrogate(struct slice raw, size_t at)
{
    return raw.len - at >= 6 && raw.data[at] == '\\' && raw.data[at + 1] == 'u' &&
           strchr("dD", raw.data[at + 2]) && strchr("cCdDeEfF", raw.data[at + 3]);
}

/* Whether raw may be cut before `at`: not inside a character or an escape, nor between two surrogates. */
static bool is_boundary(struct slice raw, size_t at)
{
    if (at == 0 || at >= raw.len)
        return true;
    if (((unsigned char)raw.data[at] & 0xc0) == 0x80 || is_escaping(raw, at))
        return false;
    for (size_t back = 1; back <= 4 && back < at; back++)
        if (raw.data[at - back] == 'u' && is_escaping(raw, at - back))
            return false;
    return !is_low_surrogate(raw, at);
}

static struct slice first_bytes(struct slice raw, size_t max)
{
    size_t at = max < raw.len ? max : raw.len;
    while (!is_boundary(raw, at))
        at--;
    return slice_of(raw.data, at);
}

static struct slice last_bytes(struct slice raw, size_t max)
{
    size_t at = max < raw.len ? raw.len - max : 0;
    while (!is_boundary(raw, at))
        at++;
    return slice_of(raw.data + at, raw.len - at);
}

/* ---- the ring ---- */

static struct output_item *push(struct output *o, enum event_type type, struct slice before,
                                struct slice body, struct slice after, int64_t unix_us)
{
    size_t len = before.len + body.len + after.len;
    struct output_item *item = malloc(sizeof *item + len);
    if (!item) {
        drop(o, len, false);
        return NULL;
    }
    *item =
        (struct output_item){ .type = type, .unix_us = unix_us, .len = len, .fields = item->text };
    memcpy(item->text, before.data, before.len);
    memcpy(item->text + before.len, body.data, body.len);
    memcpy(item->text + before.len + body.len, after.data, after.len);
    if (o->last)
        o->last->next = item;
    else
        o->first = item;
    o->last = item;
    o->tail_bytes += (int64_t)len + ITEM_OVERHEAD;
    o->tail_messages++;
    return item;
}

/* The end of its text, in max_bytes of fields at most; the frame is written over what goes. */
static bool shorten(struct output *o, struct output_item *item, int64_t max_bytes)
{
    struct slice raw, end;
    int64_t room = max_bytes - (int64_t)TEXT_FRAME;
    if (room <= 0 || !is_text(item->type, slice_of(item->fields, item->len), &raw))
        return false;
    end = last_bytes(raw, (size_t)room);
    if (end.len == 0)
        return false;
    size_t lost = raw.len - end.len;
    item->fields += lost;
    item->len -= lost;
    memcpy(item->fields, BEFORE_TEXT, sizeof BEFORE_TEXT - 1);
    o->tail_bytes -= (int64_t)lost;
    drop(o, lost, item->is_cut);
    item->is_cut = true;
    return true;
}

/* The oldest goes: a small one whole, for half a line may say something else, of a large text no more than must. Its memory stays as it was: the ring takes twice tail_max at worst. */
static void make_room(struct output *o, int64_t size, int64_t tail_max)
{
    for (;;) {
        int64_t more = o->tail_bytes + size - tail_max;
        if (!o->first || more <= 0)
            return;
        if ((int64_t)o->first->len > tail_max / 4 &&
            shorten(o, o->first, (int64_t)o->first->len - more))
            return;
        struct output_item *old = pop(o);
        drop(o, old->len, old->is_cut);
        free(old);
    }
}

static void keep(struct output *o, enum event_type type, struct slice fields, int64_t unix_us)
{
    int64_t size = (int64_t)fields.len + ITEM_OVERHEAD,
            tail_max = (o->max_bytes - o->flushed_bytes) / 4;
    static const struct slice none = { 0 };
    struct slice raw;
    if (size <= tail_max) {
        make_room(o, size, tail_max);
        (void)push(o, type, slice_of("", 0), fields, slice_of("", 0), unix_us);
        return;
    }
    int64_t room = tail_max - ITEM_OVERHEAD - (int64_t)TEXT_FRAME;
    struct slice end =
        room > 0 && is_text(type, fields, &raw) ? last_bytes(raw, (size_t)room) : none;
    make_room(o, tail_max + 1, tail_max); /* what is before it is older than what it loses */
    drop(o, end.len ? raw.len - end.len : fields.len, false);
    struct output_item *item =
        end.len ? push(o, type, slice_str(BEFORE_TEXT), end, SLICE_LITERAL("\""), unix_us) : NULL;
    if (item)
        item->is_cut = true;
}

enum output_way output_admit(struct output *o, enum event_type type, struct slice fields,
                             int64_t unix_us, struct buf *head)
{
    int64_t size = (int64_t)fields.len + ITEM_OVERHEAD, head_max = o->max_bytes / 4 * 3;
    int64_t room = head_max - o->head_bytes - ITEM_OVERHEAD - (int64_t)TEXT_FRAME;
    bool is_head = !o->first && o->dropped_messages == 0;
    struct slice raw;
    if (is_head && o->head_bytes + size <= head_max) {
        o->head_bytes += size;
        return OUTPUT_ON;
    }
    if (!is_head || room <= 0 || !is_text(type, fields, &raw)) {
        keep(o, type, fields, unix_us);
        return OUTPUT_KEPT;
    }
    struct slice begin = first_bytes(raw, (size_t)room);
    if (begin.len == 0) {
        keep(o, type, fields, unix_us);
        return OUTPUT_KEPT;
    }
    CLEANUP_BUF struct buf rest = BUF_INIT(fields.len + TEXT_FRAME);
    buf_add_str(&rest, BEFORE_TEXT);
    buf_add(&rest, raw.data + begin.len, raw.len - begin.len);
    buf_add_char(&rest, '"');
    buf_add_str(head, BEFORE_TEXT);
    buf_add_slice(head, begin);
    buf_add_char(head, '"');
    o->head_bytes = head_max;
    keep(o, type, buf_slice(&rest), unix_us);
    return OUTPUT_CUT;
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
    buf_addf(out, "{\"ref\":\"" REF "\",\"bytes\":%zu}", id->text, o->n_blobs, text.len);
    put(arg, o->n_blobs, media_type, &text);
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
    struct json_iter it = json_iter_members(fields);
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

bool output_is_ref(struct slice value, const struct uuid *id, unsigned *ret_n)
{
    char said[128], ours[128];
    int64_t n_bytes;
    struct slice raw;
    if (json_type(value) != JSON_OBJECT || !json_member_string(value, "ref", &raw) ||
        !json_member_int(value, "bytes", &n_bytes) || !json_copy_string(raw, said, sizeof said) ||
        !strrchr(said, '/'))
        return false;
    unsigned n = (unsigned)strtoul(strrchr(said, '/') + 1, NULL, 10);
    (void)snprintf(ours, sizeof ours, REF, id->text, n);
    *ret_n = n;
    return strcmp(said, ours) == 0;
}
