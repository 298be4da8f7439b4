#include "protocol/event_record.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "protocol/jupyter_message.h"

static const char *const TYPES[EVENT_N_TYPES] = {
    [EVENT_QUEUED] = "queued",
    [EVENT_STARTED] = "started",
    [EVENT_STDOUT] = "stdout",
    [EVENT_STDERR] = "stderr",
    [EVENT_DISPLAY] = "display",
    [EVENT_RESULT] = "result",
    [EVENT_CLEAR_OUTPUT] = "clear_output",
    [EVENT_INPUT_REQUEST] = "input_request",
    [EVENT_ERROR] = "error",
    [EVENT_FILES_CHANGED] = "files_changed",
    [EVENT_GAP] = "gap",
    [EVENT_FINISHED] = "finished",
    [EVENT_KERNEL_STATUS] = "kernel_status",
    [EVENT_RESTARTED] = "restarted",
    [EVENT_LATE] = "late",
};

static const char *const STATUSES[STATUS_N] = {
    [STATUS_QUEUED] = "queued",
    [STATUS_RUNNING] = "running",
    [STATUS_WAITING_INPUT] = "waiting_input",
    [STATUS_OK] = "ok",
    [STATUS_ERROR] = "error",
    [STATUS_INTERRUPTED] = "interrupted",
    [STATUS_TIMEOUT] = "timeout",
    [STATUS_OOM] = "oom",
    [STATUS_KERNEL_DIED] = "kernel_died",
    [STATUS_CANCELLED] = "cancelled",
    [STATUS_LOST] = "lost",
};

const char *event_type_name(enum event_type type)
{
    return type < EVENT_N_TYPES ? TYPES[type] : "?";
}

bool event_type_parse(struct slice name, enum event_type *ret)
{
    for (int i = 0; i < EVENT_N_TYPES; i++) {
        if (slice_is(name, TYPES[i])) {
            *ret = (enum event_type)i;
            return true;
        }
    }
    return false;
}

const char *status_name(enum status status)
{
    return status < STATUS_N ? STATUSES[status] : "?";
}

bool status_parse(struct slice name, enum status *ret)
{
    for (int i = 0; i < STATUS_N; i++) {
        if (slice_is(name, STATUSES[i])) {
            *ret = (enum status)i;
            return true;
        }
    }
    return false;
}

void event_record_write(struct buf *out, uint64_t seq, const struct event_head *head,
                        struct slice fields)
{
    char ts[28];
    jupyter_format_time(head->unix_us, ts);
    buf_addf(out, "{\"v\":1,\"seq\":%llu,\"ts\":\"%s\"", (unsigned long long)seq, ts);
    if (uuid_is_set(&head->execution_id))
        buf_addf(out, ",\"execution_id\":\"%s\"", head->execution_id.text);
    buf_add_str(out, ",\"session\":");
    json_quote_str(out, head->session);
    if (uuid_is_set(&head->kernel_id))
        buf_addf(out, ",\"kernel_id\":\"%s\"", head->kernel_id.text);
    else
        buf_add_str(out, ",\"kernel_id\":null");
    buf_addf(out, ",\"type\":\"%s\"", event_type_name(head->type));
    buf_add_slice(out, fields);
    buf_add_char(out, '}');
}

/* Appends ,"name":VALUE, or `otherwise` when it is of another type, or nothing. */
static void add_value(struct buf *out, const char *name, struct slice v, enum json_type want,
                      const char *otherwise)
{
    enum json_type type = json_type(v);
    buf_add_str(out, ",\"");
    buf_add_str(out, name);
    buf_add_str(out, "\":");
    if (type == want || (want == JSON_TRUE && type == JSON_FALSE))
        (void)json_splice(out, v); /* falls back to a string by itself */
    else
        buf_add_str(out, otherwise);
}

/* The same with the content's member of that name. */
static void add_member(struct buf *out, const char *name, struct slice content, const char *member,
                       enum json_type want, const char *otherwise)
{
    struct slice v = { 0 };
    (void)json_member(content, member, &v); /* absent: nothing */
    add_value(out, name, v, want, otherwise);
}

static bool from_stream(struct slice content, enum event_type *ret_type, struct buf *out)
{
    struct slice name;
    if (!json_member_string(content, "name", &name))
        return false;
    *ret_type = slice_is(name, "stderr") ? EVENT_STDERR : EVENT_STDOUT;
    add_member(out, "text", content, "text", JSON_STRING, "\"\"");
    return true;
}

static bool is_called_ref(struct slice key)
{
    char name[sizeof "ref"];
    return slice_is(key, "ref") ||
           (key.len <= sizeof "\\u0072\\u0065\\u0066" - 1 && memchr(key.data, '\\', key.len) &&
            json_copy_string(key, name, sizeof name) && strcmp(name, "ref") == 0);
}

/* So the hub says that it keeps a value (API.md): to a kernel nobody would believe it. */
static bool passes_for_a_reference(struct slice object)
{
    struct json_iter it = json_iter(object);
    while (json_next(&it))
        if (is_called_ref(it.key))
            return true;
    return false;
}

/* The bundle with what the kernel forged as its text, a string (docs/decisions/0043). json_next has checked each value, and a
 * string has no white space to drop: large ones are not read again. */
static void add_data(struct slice bundle, struct buf *out)
{
    struct json_iter it = json_iter(bundle);
    buf_add_char(out, '{');
    for (const char *comma = ""; json_next(&it); comma = ",") {
        enum json_type type = json_type(it.value);
        buf_add_str(out, comma);
        buf_add_char(out, '"');
        buf_add_slice(out, it.key);
        buf_add_str(out, "\":");
        if (type == JSON_STRING)
            buf_add_slice(out, it.value);
        else if (type == JSON_OBJECT && passes_for_a_reference(it.value))
            json_quote(out, it.value);
        else
            (void)json_splice(out, it.value); /* falls back to a string by itself */
    }
    buf_add_char(out, '}');
}

enum { DATA, METADATA, N_BUNDLE, TRANSIENT = N_BUNDLE, EXECUTION_COUNT = N_BUNDLE, N_PARTS };

static void add_bundle(const struct slice *parts, struct buf *out)
{
    struct slice data = parts[DATA];
    buf_add_str(out, ",\"data\":");
    add_data(json_type(data) == JSON_OBJECT ? data : SLICE_LITERAL("{}"), out);
    add_value(out, "metadata", parts[METADATA], JSON_OBJECT, "{}");
}

static bool from_display(struct slice content, enum event_type *ret_type, struct buf *out,
                         bool update)
{
    static const char *const NAMES[N_PARTS] = { "data", "metadata", "transient" };
    struct slice parts[N_PARTS], id;
    *ret_type = EVENT_DISPLAY;
    json_members(content, NAMES, N_PARTS, parts);
    add_bundle(parts, out);
    if (json_member(parts[TRANSIENT], "display_id", &id) && json_type(id) == JSON_STRING) {
        buf_add_str(out, ",\"display_id\":");
        (void)json_splice(out, id);
    }
    if (update)
        buf_add_str(out, ",\"update\":true");
    return true;
}

static bool from_display_data(struct slice content, enum event_type *ret_type, struct buf *out)
{
    return from_display(content, ret_type, out, false);
}

static bool from_update(struct slice content, enum event_type *ret_type, struct buf *out)
{
    return from_display(content, ret_type, out, true);
}

static bool from_result(struct slice content, enum event_type *ret_type, struct buf *out)
{
    static const char *const NAMES[N_PARTS] = { "data", "metadata", "execution_count" };
    struct slice parts[N_PARTS];
    *ret_type = EVENT_RESULT;
    json_members(content, NAMES, N_PARTS, parts);
    add_bundle(parts, out);
    add_value(out, "execution_count", parts[EXECUTION_COUNT], JSON_NUMBER, "null");
    return true;
}

static bool from_error(struct slice content, enum event_type *ret_type, struct buf *out)
{
    *ret_type = EVENT_ERROR;
    add_member(out, "name", content, "ename", JSON_STRING, "\"\"");
    add_member(out, "value", content, "evalue", JSON_STRING, "\"\"");
    add_member(out, "traceback", content, "traceback", JSON_ARRAY, "[]");
    return true;
}

static bool from_clear(struct slice content, enum event_type *ret_type, struct buf *out)
{
    *ret_type = EVENT_CLEAR_OUTPUT;
    add_member(out, "wait", content, "wait", JSON_TRUE, "false");
    return true;
}

static bool from_input(struct slice content, enum event_type *ret_type, struct buf *out)
{
    *ret_type = EVENT_INPUT_REQUEST;
    add_member(out, "prompt", content, "prompt", JSON_STRING, "\"\"");
    add_member(out, "password", content, "password", JSON_TRUE, "false");
    return true;
}

static const struct {
    const char *msg_type;
    bool (*render)(struct slice content, enum event_type *ret_type, struct buf *out);
} MESSAGES[] = {
    { "stream", from_stream },
    { "display_data", from_display_data },
    { "update_display_data", from_update },
    { "execute_result", from_result },
    { "error", from_error },
    { "clear_output", from_clear },
    { "input_request", from_input },
};

enum {
    FRAME_BYTES = 64
}; /* the names of an event's members may be longer than those of the message */

/* Mended or quoted it may be longer than it came, and half a record is none. */
static void become_gap(size_t n_bytes, enum event_type *ret_type, struct buf *fields)
{
    *ret_type = EVENT_GAP;
    buf_reset(fields);
    buf_addf(fields,
             ",\"bytes\":%zu,\"messages\":1,\"reason\":\"a message is too long as an event\"",
             n_bytes);
}

bool event_from_message(const char *msg_type, struct slice content, enum event_type *ret_type,
                        struct buf *fields)
{
    CLEANUP_BUF struct buf mended = BUF_INIT(6 * content.len);
    size_t n_bytes = content.len;
    if (json_type(content) != JSON_OBJECT)
        return false;
    bool is_lost = false;
    if (!json_valid(content)) { /* else a NUL in a printed text would cost the whole text */
        is_lost = content.len > JUPYTER_MAX_MEND_BYTES;
        content.len = is_lost ? 0 : content.len;
        json_mend(&mended, content);
        content = buf_slice(&mended);
    }
    for (size_t i = 0; i < ARRAY_LEN(MESSAGES); i++) {
        if (strcmp(msg_type, MESSAGES[i].msg_type) != 0)
            continue;
        if (content.len + FRAME_BYTES <= fields->max_bytes)
            (void)buf_room(fields, content.len + FRAME_BYTES); /* once; a failure is told below */
        bool is_event = MESSAGES[i].render(content, ret_type, fields);
        if (fields->failed || is_lost)
            become_gap(n_bytes, ret_type, fields);
        return is_event || is_lost;
    }
    return false;
}
