/* Texts and values of events are JSON already: they are copied as they stand, never built anew. */
#include "kernelhub/notebook.h"

#include "base/json.h"
#include "kernelhub/moment.h"
#include "kernelhub/output.h"

#define MAX_VALUE_BYTES ((size_t)256 << 20) /* a large value; a kernel's message is far smaller */

/* ---- cells ---- */

static void write_count(struct buf *out, int64_t count)
{
    if (count >= 0)
        buf_addf(out, ",\"execution_count\":%lld", (long long)count);
    else
        buf_add_str(out, ",\"execution_count\":null");
}

void notebook_begin_cell(struct notebook *n, const struct execution_row *row, struct buf *out)
{
    buf_add_str(out, n->n_cells++ ? "," : "{\"cells\":[");
    n->n_outputs = 0;
    n->stream = NULL;
    buf_addf(out, "{\"cell_type\":\"code\",\"id\":\"%s\"", row->id.text);
    buf_addf(out, ",\"metadata\":{\"kernelhub\":{\"execution_id\":\"%s\",\"status\":\"%s\"",
             row->id.text, status_name(row->status));
    buf_add_str(out, ",\"client\":");
    json_quote_str(out, row->client);
    moment_write(out, "started_at", row->started_us);
    moment_write(out, "finished_at", row->finished_us);
    buf_add_str(out, "}}");
    write_count(out, row->execution_count);
    buf_add_str(out, ",\"source\":");
    json_quote(out, row->code);
    buf_add_str(out, ",\"outputs\":[");
}

static void end_stream(struct notebook *n, struct buf *out)
{
    if (n->stream)
        buf_add_str(out, "\"}");
    n->stream = NULL;
}

void notebook_end_cell(struct notebook *n, struct buf *out)
{
    end_stream(n, out);
    buf_add_str(out, "]}");
}

static void begin_output(struct notebook *n, const char *type, struct buf *out)
{
    end_stream(n, out);
    buf_addf(out, "%s{\"output_type\":\"%s\"", n->n_outputs++ ? "," : "", type);
}

/* ---- streams ---- */

/* raw: what stands between a JSON string's quotes. */
static void add_text(struct notebook *n, const char *stream, struct slice raw, struct buf *out)
{
    if (!n->stream || strcmp(n->stream, stream) != 0) {
        begin_output(n, "stream", out);
        buf_addf(out, ",\"name\":\"%s\",\"text\":\"", stream);
        n->stream = stream;
    }
    buf_add_slice(out, raw);
}

static void add_stdout(struct notebook *n, const struct notebook_event *event, struct buf *out)
{
    struct slice raw;
    if (json_member_string(event->members, "text", &raw))
        add_text(n, "stdout", raw, out);
}

static void add_stderr(struct notebook *n, const struct notebook_event *event, struct buf *out)
{
    struct slice raw;
    if (json_member_string(event->members, "text", &raw))
        add_text(n, "stderr", raw, out);
}

static void add_gap(struct notebook *n, const struct notebook_event *event, struct buf *out)
{
    CLEANUP_BUF struct buf said = BUF_INIT(65536);
    int64_t bytes = 0, messages = 0;
    struct slice reason = SLICE_LITERAL("output was lost");
    (void)json_member_int(event->members, "bytes", &bytes); /* absent: 0 */
    (void)json_member_int(event->members, "messages", &messages);
    (void)json_member_string(event->members, "reason", &reason);
    buf_addf(&said, "[%lld bytes in %lld messages are missing here: ", (long long)bytes,
             (long long)messages);
    buf_add_slice(&said, reason);
    buf_add_str(&said, "]\\n");
    if (!said.failed) /* a reason is a line of ours */
        add_text(n, "stderr", buf_slice(&said), out);
}

/* ---- bundles ---- */

static bool is_json_type(struct slice mime)
{
    static const char BEGIN[] = "application/";
    size_t n = sizeof BEGIN - 1;
    if (mime.len < n + 4 || memcmp(mime.data, BEGIN, n) != 0 ||
        memcmp(mime.data + mime.len - 4, "json", 4) != 0)
        return false;
    return mime.len == n + 4 || mime.data[mime.len - 5] == '+';
}

/* What the format takes as text: a string, or several to be joined. */
static bool is_text(struct slice value)
{
    if (json_type(value) != JSON_ARRAY)
        return json_type(value) == JSON_STRING;
    struct json_iter it = json_iter(value);
    while (json_next(&it))
        if (json_type(it.value) != JSON_STRING)
            return false;
    return true;
}

static void write_large(const struct notebook_event *event, unsigned n_value, bool json,
                        struct buf *out)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_VALUE_BYTES);
    if (!event->value(event->arg, event->execution_id, n_value, &text) || text.failed)
        buf_add_str(out, "\"[this output cannot be read any more]\"");
    else if (json && json_valid(buf_slice(&text)))
        buf_add_slice(out, buf_slice(&text));
    else
        json_quote(out, buf_slice(&text));
}

static void write_value(const struct notebook_event *event, struct slice mime, struct slice value,
                        struct buf *out)
{
    bool json = is_json_type(mime);
    unsigned n_value;
    if (output_is_ref(value, event->execution_id, &n_value))
        write_large(event, n_value, json, out);
    else if (json || is_text(value))
        buf_add_slice(out, value);
    else
        json_quote(out, value);
}

static void write_object(struct slice members, const char *name, struct buf *out)
{
    struct slice object;
    bool is_object = json_member(members, name, &object) && json_type(object) == JSON_OBJECT;
    buf_addf(out, ",\"%s\":", name);
    buf_add_slice(out, is_object ? object : SLICE_LITERAL("{}"));
}

static void write_bundle(const struct notebook_event *event, struct buf *out)
{
    struct slice data;
    const char *comma = "";
    struct json_iter it =
        json_iter(json_member(event->members, "data", &data) ? data : SLICE_LITERAL("{}"));
    buf_add_str(out, ",\"data\":{");
    while (json_next(&it)) {
        if (!it.is_object)
            break;
        buf_addf(out, "%s\"", comma);
        buf_add_slice(out, it.key);
        buf_add_str(out, "\":");
        write_value(event, it.key, it.value, out);
        comma = ",";
    }
    buf_add_char(out, '}');
    write_object(event->members, "metadata", out);
}

static void add_display(struct notebook *n, const struct notebook_event *event, struct buf *out)
{
    begin_output(n, "display_data", out);
    write_bundle(event, out);
    buf_add_char(out, '}');
}

static void add_result(struct notebook *n, const struct notebook_event *event, struct buf *out)
{
    int64_t count;
    begin_output(n, "execute_result", out);
    write_bundle(event, out);
    write_count(out, json_member_int(event->members, "execution_count", &count) ? count : -1);
    buf_add_char(out, '}');
}

/* ---- errors ---- */

static void write_string(struct slice members, const char *name, const char *as, struct buf *out)
{
    struct slice raw = { 0 };
    (void)json_member_string(members, name, &raw); /* absent: empty */
    buf_addf(out, ",\"%s\":\"", as);
    buf_add_slice(out, raw);
    buf_add_char(out, '"');
}

static void add_error(struct notebook *n, const struct notebook_event *event, struct buf *out)
{
    struct slice lines;
    const char *comma = "";
    begin_output(n, "error", out);
    write_string(event->members, "name", "ename", out);
    write_string(event->members, "value", "evalue", out);
    buf_add_str(out, ",\"traceback\":[");
    struct json_iter it =
        json_iter(json_member(event->members, "traceback", &lines) ? lines : SLICE_LITERAL("[]"));
    while (json_next(&it)) {
        buf_add_str(out, comma);
        if (json_type(it.value) == JSON_STRING)
            buf_add_slice(out, it.value);
        else
            json_quote(out, it.value);
        comma = ",";
    }
    buf_add_str(out, "]}");
}

/* ---- events ---- */

static const struct {
    void (*add)(struct notebook *n, const struct notebook_event *event, struct buf *out);
    bool clears; /* a clear_output that waits does so for this */
} OUTPUTS[EVENT_N_TYPES] = {
    [EVENT_STDOUT] = { add_stdout, true },   [EVENT_STDERR] = { add_stderr, true },
    [EVENT_DISPLAY] = { add_display, true }, [EVENT_RESULT] = { add_result, true },
    [EVENT_ERROR] = { add_error, true },     [EVENT_GAP] = { add_gap, false },
};

bool notebook_is_update(struct slice members)
{
    bool update = false;
    (void)json_member_bool(members, "update", &update); /* absent: false */
    return update;
}

void notebook_add(struct notebook *n, const struct notebook_event *event, struct buf *out)
{
    if (OUTPUTS[event->type].add)
        OUTPUTS[event->type].add(n, event, out);
}

void notebook_clear_look(struct notebook_clear *c, enum event_type type, struct slice members,
                         uint64_t seq)
{
    bool wait = false;
    if (type == EVENT_CLEAR_OUTPUT) {
        (void)json_member_bool(members, "wait", &wait); /* absent: false */
        c->first = wait ? c->first : seq;
        c->pending = wait ? seq : 0;
    } else if (c->pending && OUTPUTS[type].clears &&
               !(type == EVENT_DISPLAY && notebook_is_update(members))) {
        c->first = c->pending;
        c->pending = 0;
    }
}

/* ---- the end ---- */

static void write_kernelspec(const struct notebook_kernel *k, struct buf *out)
{
    buf_add_str(out, "\"kernelspec\":{\"name\":");
    json_quote_str(out, k->name);
    buf_add_str(out, ",\"display_name\":");
    json_quote_str(out, k->display_name ? k->display_name : k->name);
    if (k->language) {
        buf_add_str(out, ",\"language\":");
        json_quote_str(out, k->language);
    }
    buf_add_char(out, '}');
}

/* Only what the format knows, and only as it wants it. */
static void write_language_info(const struct notebook_kernel *k, struct buf *out)
{
    static const char *const TEXTS[] = { "version", "mimetype", "file_extension", "pygments_lexer",
                                         "nbconvert_exporter" };
    struct slice value;
    buf_add_str(out, "\"language_info\":{\"name\":");
    if (json_member(k->language_info, "name", &value) && json_type(value) == JSON_STRING)
        buf_add_slice(out, value);
    else
        json_quote_str(out, k->language ? k->language : "");
    for (size_t i = 0; i < ARRAY_LEN(TEXTS); i++) {
        if (!json_member(k->language_info, TEXTS[i], &value) || json_type(value) != JSON_STRING)
            continue;
        buf_addf(out, ",\"%s\":", TEXTS[i]);
        buf_add_slice(out, value);
    }
    if (json_member(k->language_info, "codemirror_mode", &value) &&
        (json_type(value) == JSON_STRING || json_type(value) == JSON_OBJECT)) {
        buf_add_str(out, ",\"codemirror_mode\":");
        buf_add_slice(out, value);
    }
    buf_add_char(out, '}');
}

void notebook_end(struct notebook *n, const struct notebook_kernel *k, struct buf *out)
{
    const char *comma = "";
    buf_add_str(out, n->n_cells ? "]" : "{\"cells\":[]");
    buf_add_str(out, ",\"metadata\":{");
    if (k->name) {
        write_kernelspec(k, out);
        comma = ",";
    }
    if (k->language || k->language_info.len) {
        buf_add_str(out, comma);
        write_language_info(k, out);
    }
    buf_add_str(out, "},\"nbformat\":4,\"nbformat_minor\":5}\n");
}
