#include "kernelhub/record.h"

#include <assert.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kernelhub/moment.h"

DEFINE_CLEANUP(char, free)

#define MAX_RESULTS 10000 /* displays of one execution in its record; beyond: truncated */
#define MAX_FIELD_BYTES                                                                            \
    (8 << 20) /* an error with its traceback, a list of files, the end: each at most this */

/* Raw JSON is kept as it came: text between its quotes, values as they are, so that writing is copying. */
struct bundle {
    struct buf data, metadata;
    size_t n_results; /* that show it: an update is for all of its display_id */
};

struct result {
    struct bundle *bundle;
    bool is_main;
};

struct record {
    size_t max_bytes, used_bytes;
    struct buf out, err; /* stdout and stderr, raw */
    struct result *results;
    size_t n_results;
    zhashx_t *by_display_id; /* raw id to struct bundle */
    bool clear_at_next;      /* clear_output said wait */
    bool full, gap, files_shared;
    struct buf error, files, files_created, files_missed, finished; /* JSON; empty: not seen */
    int64_t execution_count;                          /* -1: not seen */
};

struct record *record_new(size_t max_text_bytes)
{
    struct record *r = calloc(1, sizeof *r);
    assert(r);
    r->max_bytes = max_text_bytes;
    r->execution_count = -1;
    r->by_display_id = zhashx_new();
    buf_init(&r->out, max_text_bytes);
    buf_init(&r->err, max_text_bytes);
    buf_init(&r->error, MAX_FIELD_BYTES);
    buf_init(&r->files, MAX_FIELD_BYTES);
    buf_init(&r->files_created, MAX_FIELD_BYTES);
    buf_init(&r->files_missed, MAX_FIELD_BYTES);
    buf_init(&r->finished, MAX_FIELD_BYTES);
    return r;
}

static void bundle_unref(struct bundle *b)
{
    if (--b->n_results > 0)
        return;
    buf_done(&b->data);
    buf_done(&b->metadata);
    free(b);
}

static void clear_outputs(struct record *r)
{
    zhashx_purge(r->by_display_id);
    for (size_t i = 0; i < r->n_results; i++)
        bundle_unref(r->results[i].bundle);
    r->n_results = 0;
    buf_reset(&r->out);
    buf_reset(&r->err);
    r->used_bytes = 0;
    r->full = false;
    r->clear_at_next = false;
}

void record_free(struct record *r)
{
    if (!r)
        return;
    clear_outputs(r);
    free(r->results);
    zhashx_destroy(&r->by_display_id);
    struct buf *bufs[] = {
        &r->out,           &r->err,          &r->error,   &r->files,
        &r->files_created, &r->files_missed, &r->finished
    };
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
        buf_done(bufs[i]);
    free(r);
}

/* Whether n more bytes may be kept. Once one output did not fit, none behind it is kept: no text with holes. */
static bool take_room(struct record *r, size_t n)
{
    if (r->full || n > r->max_bytes || r->used_bytes > r->max_bytes - n)
        r->full = true;
    else
        r->used_bytes += n;
    return !r->full;
}

static struct slice member(struct slice object, const char *key, const char *otherwise)
{
    struct slice value;
    return json_member(object, key, &value) ? value : slice_str(otherwise);
}

static void replace(struct buf *b, struct slice value)
{
    buf_reset(b);
    buf_add_slice(b, value);
    if (b->failed)
        buf_reset(b);
}

/* How much of a raw string fits into so many bytes, without an escape or a character that is cut. */
static size_t fitting(struct slice raw, size_t max)
{
    size_t whole = 0;
    for (size_t at = 0; at < raw.len && at <= max; whole = at) {
        unsigned char c = (unsigned char)raw.data[at];
        bool is_unicode = c == '\\' && at + 1 < raw.len && raw.data[at + 1] == 'u';
        bool is_pair = is_unicode && at + 3 < raw.len && (raw.data[at + 2] | 32) == 'd' &&
                       strchr("89abAB", raw.data[at + 3]);
        at += is_pair ? 12 : is_unicode ? 6 : c == '\\' ? 2 : 1;
        while (c >= 0xc0 && at < raw.len && ((unsigned char)raw.data[at] & 0xc0) == 0x80)
            at++;
        if (at > max)
            break;
    }
    return whole;
}

/* What does not fit is cut, and nothing comes behind it. */
static void add_text(struct record *r, struct slice event, struct buf *to)
{
    struct slice text;
    if (!json_member_string(event, "text", &text))
        return;
    size_t room = r->full ? 0 : r->max_bytes - r->used_bytes;
    if (!take_room(r, text.len) && room)
        text.len = fitting(text, room);
    else if (r->full)
        text.len = 0;
    buf_add_slice(to, text);
}

/* What all results of a display_id show now. */
static void update_bundle(struct record *r, struct bundle *b, struct slice data,
                          struct slice metadata)
{
    size_t old = (b->data.len + b->metadata.len) * b->n_results;
    r->used_bytes -= old;
    if (!take_room(r, (data.len + metadata.len) * b->n_results)) {
        r->used_bytes += old;
        return;
    }
    replace(&b->data, data);
    replace(&b->metadata, metadata);
}

static struct bundle *bundle_new(struct record *r, struct slice data, struct slice metadata)
{
    struct bundle *b = calloc(1, sizeof *b);
    assert(b);
    buf_init(&b->data, r->max_bytes);
    buf_init(&b->metadata, r->max_bytes);
    buf_add_slice(&b->data, data);
    buf_add_slice(&b->metadata, metadata);
    return b;
}

static void append_result(struct record *r, struct bundle *b, bool is_main)
{
    if ((r->n_results & (r->n_results - 1)) == 0) { /* full: 0, 1, 2, 4, … */
        size_t n = r->n_results ? 2 * r->n_results : 1;
        r->results = realloc(r->results, n * sizeof *r->results);
        assert(r->results);
    }
    b->n_results++;
    r->results[r->n_results++] = (struct result){ .bundle = b, .is_main = is_main };
}

static void add_result(struct record *r, struct slice event, bool is_main)
{
    struct slice data = member(event, "data", "{}"), metadata = member(event, "metadata", "{}"), id;
    bool has_id = json_member_string(event, "display_id", &id), update = false;
    (void)json_member_bool(event, "update", &update); /* absent: false */
    CLEANUP(free) char *display_id = has_id ? strndup(id.data, id.len) : NULL;
    struct bundle *b = has_id ? zhashx_lookup(r->by_display_id, display_id) : NULL;
    if (b)
        update_bundle(r, b, data, metadata);
    if (update)
        return;
    if (r->n_results == MAX_RESULTS)
        r->full = true;
    if (!take_room(r, data.len + metadata.len))
        return;
    if (!b) {
        b = bundle_new(r, data, metadata);
        if (has_id)
            (void)zhashx_insert(r->by_display_id, display_id, b); /* it is not in there */
    }
    append_result(r, b, is_main);
}

static void on_stdout(struct record *r, struct slice event)
{
    add_text(r, event, &r->out);
}

static void on_stderr(struct record *r, struct slice event)
{
    add_text(r, event, &r->err);
}

static void on_display(struct record *r, struct slice event)
{
    add_result(r, event, false);
}

static void on_result(struct record *r, struct slice event)
{
    add_result(r, event, true);
}

static void on_clear(struct record *r, struct slice event)
{
    bool wait = false;
    (void)json_member_bool(event, "wait", &wait); /* absent: false */
    if (wait)
        r->clear_at_next = true;
    else
        clear_outputs(r);
}

static void on_error(struct record *r, struct slice event)
{
    buf_reset(&r->error);
    buf_add_str(&r->error, "{\"name\":");
    buf_add_slice(&r->error, member(event, "name", "\"\""));
    buf_add_str(&r->error, ",\"value\":");
    buf_add_slice(&r->error, member(event, "value", "\"\""));
    buf_add_str(&r->error, ",\"traceback\":");
    buf_add_slice(&r->error, member(event, "traceback", "[]"));
    buf_add_char(&r->error, '}');
    if (r->error.failed)
        buf_reset(&r->error);
}

static void on_started(struct record *r, struct slice event)
{
    (void)json_member_int(event, "execution_count", &r->execution_count); /* null: stays unseen */
}

static void on_files(struct record *r, struct slice event)
{
    struct slice items = member(event, "items", "[]"), path, change;
    replace(&r->files, items);
    replace(&r->files_missed, member(event, "incomplete", ""));
    (void)json_member_bool(event, "shared", &r->files_shared); /* absent: false */
    buf_reset(&r->files_created);
    struct json_iter it = json_iter(items);
    while (json_next(&it)) {
        if (!json_member_string(it.value, "change", &change) || !slice_is(change, "created") ||
            !json_member(it.value, "path", &path))
            continue;
        if (r->files_created.len)
            buf_add_char(&r->files_created, ',');
        buf_add_slice(&r->files_created, path);
    }
    if (r->files_created.failed)
        buf_reset(&r->files_created);
}

static void on_gap(struct record *r, struct slice event)
{
    r->gap = true;
}

static void on_finished(struct record *r, struct slice event)
{
    replace(&r->finished, event);
}

static const struct {
    void (*fold)(struct record *r, struct slice event);
    bool is_output; /* what a clear_output with wait waits for */
} FOLDS[EVENT_N_TYPES] = {
    [EVENT_STARTED] = { on_started, false }, [EVENT_STDOUT] = { on_stdout, true },
    [EVENT_STDERR] = { on_stderr, true },    [EVENT_DISPLAY] = { on_display, true },
    [EVENT_RESULT] = { on_result, true },    [EVENT_CLEAR_OUTPUT] = { on_clear, false },
    [EVENT_ERROR] = { on_error, true },      [EVENT_FILES_CHANGED] = { on_files, false },
    [EVENT_GAP] = { on_gap, false },         [EVENT_FINISHED] = { on_finished, false },
};

void record_add(struct record *r, struct slice line)
{
    struct slice name;
    enum event_type type;
    if (!json_member_string(line, "type", &name) || !event_type_parse(name, &type) ||
        !FOLDS[type].fold)
        return;
    if (r->clear_at_next && FOLDS[type].is_output)
        clear_outputs(r);
    FOLDS[type].fold(r, line);
}

static void write_id(struct buf *out, const char *name, const struct uuid *id)
{
    buf_addf(out, ",\"%s\":", name);
    json_quote_str(out, uuid_is_set(id) ? id->text : NULL);
}

static void write_str(struct buf *out, const char *name, const char *text)
{
    buf_addf(out, ",\"%s\":", name);
    json_quote_str(out, text);
}

static void write_raw(struct buf *out, const char *name, struct slice value, const char *otherwise)
{
    buf_addf(out, ",\"%s\":", name);
    buf_add_slice(out, value.len ? value : slice_str(otherwise));
}

static void write_count(struct buf *out, struct slice end, int64_t count)
{
    struct slice value;
    if (json_member(end, "execution_count", &value) && json_type(value) == JSON_NUMBER)
        write_raw(out, "execution_count", value, "null");
    else if (count >= 0)
        buf_addf(out, ",\"execution_count\":%lld", (long long)count);
    else
        buf_add_str(out, ",\"execution_count\":null");
}

/* The members of `finished` as an object: the row keeps them with or without a leading comma or braces. */
static void read_result(const struct execution_row *row, struct buf *ret)
{
    struct slice s = row->result;
    if (s.len && s.data[0] == ',')
        s = slice_of(s.data + 1, s.len - 1);
    bool braces = s.len && s.data[0] == '{';
    if (!braces)
        buf_add_char(ret, '{');
    buf_add_slice(ret, s);
    if (!braces)
        buf_add_char(ret, '}');
}

static void write_ids(struct buf *out, const struct execution_row *row)
{
    buf_addf(out, "{\"execution_id\":\"%s\"", row->id.text);
    write_str(out, "session", row->session);
    write_id(out, "kernel_id", &row->kernel_id);
    write_id(out, "sandbox_id", &row->sandbox_id);
    write_str(out, "language", row->language);
}

static void write_origin(struct buf *out, const struct execution_row *row, const char *user_name)
{
    buf_add_str(out, ",\"code\":");
    json_quote(out, row->code);
    write_str(out, "user", user_name);
    write_str(out, "client", row->client);
    moment_write(out, "created_at", row->created_us);
    moment_write(out, "started_at", row->started_us);
    moment_write(out, "finished_at", row->finished_us);
    write_id(out, "replay_of", &row->replay_of);
}

static void write_status(struct buf *out, struct slice end, const struct execution_row *row)
{
    struct slice status;
    if (json_member(end, "status", &status))
        write_raw(out, "status", status, "null");
    else
        write_str(out, "status", status_name(row->status));
}

static void write_results(const struct record *r, struct buf *out)
{
    buf_add_str(out, ",\"results\":[");
    for (size_t i = 0; i < r->n_results; i++) {
        const struct bundle *b = r->results[i].bundle;
        buf_add_str(out, i ? ",{\"data\":" : "{\"data\":");
        buf_add_slice(out, b->data.len ? buf_slice(&b->data) : SLICE_LITERAL("{}"));
        write_raw(out, "metadata", buf_slice(&b->metadata), "{}");
        buf_addf(out, ",\"is_main_result\":%s}", r->results[i].is_main ? "true" : "false");
    }
    buf_add_char(out, ']');
}

/* exit and reason are there only when they say something. */
static void write_end(struct buf *out, struct slice end)
{
    static const char *const OPTIONAL[] = { "exit", "reason" };
    struct slice value;
    write_raw(out, "exit_code", member(end, "exit_code", "null"), "null");
    for (size_t i = 0; i < ARRAY_LEN(OPTIONAL); i++)
        if (json_member(end, OPTIONAL[i], &value) && json_type(value) != JSON_NULL)
            write_raw(out, OPTIONAL[i], value, "null");
    write_raw(out, "duration_ms", member(end, "duration_ms", "null"), "null");
}

static bool is_truncated(const struct execution_row *row, struct slice end)
{
    bool said = false;
    (void)json_member_bool(end, "truncated", &said); /* absent: false */
    return said || row->dropped_bytes > 0 || row->dropped_messages > 0;
}

static void write_tail(struct buf *out, bool truncated, const struct execution_row *row)
{
    buf_addf(out, ",\"truncated\":%s", truncated ? "true" : "false");
    write_raw(out, "labels", row->labels, "{}");
    buf_addf(out, ",\"events_url\":\"/api/v1/executions/%s/events\"", row->id.text);
}

void record_write(const struct record *r, const struct execution_row *row, const char *user_name,
                  bool full, struct buf *out)
{
    CLEANUP_BUF struct buf result = BUF_INIT(MAX_FIELD_BYTES);
    read_result(row, &result);
    struct slice end = buf_slice(r->finished.len ? &r->finished : &result);
    write_ids(out, row);
    write_count(out, end, r->execution_count >= 0 ? r->execution_count : row->execution_count);
    write_status(out, end, row);
    buf_add_str(out, ",\"stdout\":\"");
    buf_add_slice(out, buf_slice(&r->out));
    buf_add_str(out, "\",\"stderr\":\"");
    buf_add_slice(out, buf_slice(&r->err));
    buf_add_char(out, '"');
    write_results(r, out);
    write_raw(out, "error", buf_slice(&r->error), "null");
    write_end(out, end);
    write_raw(out, "timing", member(end, "timing", "null"), "null");
    write_raw(out, "files_changed", buf_slice(&r->files), "[]");
    buf_add_str(out, ",\"files_created\":[");
    buf_add_slice(out, buf_slice(&r->files_created));
    buf_add_char(out, ']');
    if (r->files_missed.len)
        write_raw(out, "files_changed_incomplete", buf_slice(&r->files_missed), "null");
    if (r->files_shared)
        buf_add_str(out, ",\"files_changed_shared\":true");
    write_raw(out, "resource_usage", member(end, "resource_usage", "null"), "null");
    if (full)
        write_origin(out, row, user_name);
    write_tail(out, r->full || r->gap || is_truncated(row, end), row);
    buf_add_char(out, '}');
}

void record_write_item(const struct execution_row *row, const char *user_name, struct slice error,
                       struct buf *out)
{
    CLEANUP_BUF struct buf result = BUF_INIT(MAX_FIELD_BYTES);
    read_result(row, &result);
    struct slice end = buf_slice(&result);
    write_ids(out, row);
    write_count(out, end, row->execution_count);
    write_status(out, end, row);
    write_raw(out, "error", error, "null");
    write_end(out, end);
    write_origin(out, row, user_name);
    write_tail(out, is_truncated(row, end), row);
    buf_add_char(out, '}');
}
