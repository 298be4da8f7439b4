#include "protocol/verb.h"

#include <ctype.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "protocol/frame.h"

enum field {
    FIELD_ID = 1 << 0,
    FIELD_VERB = 1 << 1,
    FIELD_VERSION = 1 << 2,
    FIELD_SANDBOX = 1 << 3,
    FIELD_USER = 1 << 4,
    FIELD_TEMPLATE = 1 << 5,
    FIELD_WORKSPACE = 1 << 6,
    FIELD_LIMITS = 1 << 7,
    FIELD_BUILD = 1 << 8,
    FIELD_LANGUAGE = 1 << 9,
};

#define EACH (FIELD_ID | FIELD_VERB)

static const struct {
    const char *name;
    unsigned fields;   /* all are required, no other is allowed … */
    unsigned optional; /* … but these */
    int since;
} VERBS[VERB_N] = {
    [VERB_HELLO] = { "hello", EACH | FIELD_VERSION, 0, 1 },
    [VERB_CREATE] = { "create",
                      EACH | FIELD_SANDBOX | FIELD_USER | FIELD_TEMPLATE | FIELD_WORKSPACE |
                          FIELD_LIMITS,
                      0, 1 },
    [VERB_DESTROY] = { "destroy", EACH | FIELD_SANDBOX, 0, 1 },
    [VERB_LIST] = { "list", EACH, 0, 1 },
    [VERB_IMAGES] = { "images", EACH, 0, 1 },
    [VERB_KILL] = { "kill", EACH, 0, 1 },
    [VERB_PURGE] = { "purge", EACH | FIELD_USER | FIELD_WORKSPACE, FIELD_SANDBOX, 2 },
    [VERB_BUILD] = { "build", EACH | FIELD_BUILD | FIELD_USER | FIELD_TEMPLATE | FIELD_LANGUAGE, 0,
                     3 },
};

int verb_since(enum verb verb)
{
    return VERBS[verb].since;
}

static bool is_name(const char *s)
{
    if (*s == '\0' || *s == '.')
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && !strchr("._-", *s))
            return false;
    return true;
}

static bool raw_string(struct slice value, struct slice *ret)
{
    if (json_type(value) != JSON_STRING || value.len < 2)
        return false;
    *ret = slice_of(value.data + 1, value.len - 2);
    return true;
}

static bool get_name(struct slice value, char *ret, size_t size)
{
    struct slice raw;
    return raw_string(value, &raw) && json_copy_string(raw, ret, size) && is_name(ret);
}

static bool get_int(struct slice value, int64_t min, int64_t *ret)
{
    char text[24];
    if (json_type(value) != JSON_NUMBER || value.len >= sizeof text)
        return false;
    memcpy(text, value.data, value.len);
    text[value.len] = '\0';
    char *end;
    *ret = strtoll(text, &end, 10);
    return *end == '\0' && *ret >= min;
}

static bool get_limits(struct slice value, struct verb_limits *ret)
{
    struct json_iter it = json_iter(value);
    unsigned seen = 0;
    if (!it.is_object)
        return false;
    while (json_next(&it)) {
        if (slice_is(it.key, "memory_bytes") && get_int(it.value, 1, &ret->memory_bytes)) {
            seen |= 1;
        } else if (slice_is(it.key, "pids") && get_int(it.value, 1, &ret->pids)) {
            seen |= 2;
        } else if (slice_is(it.key, "workspace_bytes")) {
            if (!get_int(it.value, 0, &ret->workspace_bytes))
                return false;
        } else if (slice_is(it.key, "cpus") && json_type(it.value) == JSON_NUMBER &&
                   it.value.len < 24) {
            char text[24] = "";
            memcpy(text, it.value.data, it.value.len);
            ret->cpus = strtod(text, NULL);
            if (!(ret->cpus > 0 && ret->cpus < 1e6))
                return false;
            seen |= 4;
        } else {
            return false;
        }
    }
    return seen == 7;
}

static bool get_uuid(struct slice value, struct uuid *ret)
{
    struct slice raw;
    return raw_string(value, &raw) && uuid_parse(raw, ret);
}

static bool get_verb(struct slice value, enum verb *ret)
{
    struct slice raw;
    if (!raw_string(value, &raw))
        return false;
    for (int i = 0; i < VERB_N; i++) {
        if (slice_is(raw, VERBS[i].name)) {
            *ret = (enum verb)i;
            return true;
        }
    }
    return false;
}

/* Returns the field's bit, 0 when the key is unknown or its value wrong. */
static unsigned get_field(struct slice key, struct slice value, struct verb_request *r)
{
    int64_t n;
    char text[16];
    if (slice_is(key, "id") && get_int(value, 1, &n)) {
        r->id = (uint64_t)n;
        return FIELD_ID;
    }
    if (slice_is(key, "verb") && get_verb(value, &r->verb))
        return FIELD_VERB;
    if (slice_is(key, "version") && get_int(value, 1, &n) && n < 1000) {
        r->version = (int)n;
        return FIELD_VERSION;
    }
    if (slice_is(key, "sandbox_id") && get_uuid(value, &r->sandbox_id))
        return FIELD_SANDBOX;
    if (slice_is(key, "user_id") && get_name(value, r->user_id, sizeof r->user_id))
        return FIELD_USER;
    if (slice_is(key, "template") && get_name(value, r->template_name, sizeof r->template_name))
        return FIELD_TEMPLATE;
    if (slice_is(key, "build_id") && get_uuid(value, &r->build_id))
        return FIELD_BUILD;
    if (slice_is(key, "language") && get_name(value, r->language, sizeof r->language))
        return strcmp(r->language, "python") == 0 || strcmp(r->language, "javascript") == 0
                   ? FIELD_LANGUAGE
                   : 0;
    if (slice_is(key, "limits") && get_limits(value, &r->limits))
        return FIELD_LIMITS;
    if (slice_is(key, "workspace") && get_name(value, text, sizeof text)) {
        r->private_workspace = strcmp(text, "private") == 0;
        return r->private_workspace || strcmp(text, "shared") == 0 ? FIELD_WORKSPACE : 0;
    }
    return 0;
}

enum decode verb_decode_request(struct slice body, struct verb_request *ret, struct err *e)
{
    *ret = (struct verb_request){ 0 };
    unsigned seen = 0;
    if (!json_valid(body) || json_type(body) != JSON_OBJECT) {
        err_set(e, ERR_INVALID, "not a JSON object");
        return DECODE_BAD;
    }
    struct json_iter it = json_iter(body);
    while (json_next(&it)) {
        unsigned bit = get_field(it.key, it.value, ret);
        if (bit == 0 || seen & bit) {
            err_set(e, ERR_INVALID, "field '%.*s' is unknown, repeated or wrong",
                    it.key.len < 40 ? (int)it.key.len : 40, it.key.data);
            return DECODE_BAD;
        }
        seen |= bit;
    }
    bool private_purge = ret->verb == VERB_PURGE && ret->private_workspace;
    unsigned required = VERBS[ret->verb].fields, allowed = required | VERBS[ret->verb].optional;
    if ((seen & EACH) != EACH || (seen & required) != required || (seen & ~allowed) ||
        (ret->verb == VERB_PURGE && private_purge != uuid_is_set(&ret->sandbox_id))) {
        err_set(e, ERR_INVALID, "a field is missing or too many");
        return DECODE_BAD;
    }
    return DECODE_OK;
}

static size_t begin(struct buf *out)
{
    size_t at = out->len;
    buf_add_u32be(out, 0);
    return at;
}

static void finish(struct buf *out, size_t at)
{
    if (!out->failed)
        frame_put_length(out->data + at, (uint32_t)(out->len - at - FRAME_HEADER_BYTES));
}

void verb_encode_request(struct buf *out, const struct verb_request *r)
{
    size_t at = begin(out);
    unsigned fields = VERBS[r->verb].fields;
    buf_addf(out, "{\"id\":%llu,\"verb\":\"%s\"", (unsigned long long)r->id, VERBS[r->verb].name);
    if (fields & FIELD_VERSION)
        buf_addf(out, ",\"version\":%d", r->version);
    if (fields & FIELD_SANDBOX ||
        (VERBS[r->verb].optional & FIELD_SANDBOX && uuid_is_set(&r->sandbox_id)))
        buf_addf(out, ",\"sandbox_id\":\"%s\"", r->sandbox_id.text);
    if (fields & FIELD_BUILD)
        buf_addf(out, ",\"build_id\":\"%s\"", r->build_id.text);
    if (fields & FIELD_LANGUAGE)
        buf_addf(out, ",\"language\":\"%s\"", r->language);
    if (fields & FIELD_USER)
        buf_addf(out, ",\"user_id\":\"%s\"", r->user_id);
    if (fields & FIELD_TEMPLATE)
        buf_addf(out, ",\"template\":\"%s\"", r->template_name);
    if (fields & FIELD_WORKSPACE)
        buf_addf(out, ",\"workspace\":\"%s\"", r->private_workspace ? "private" : "shared");
    if (fields & FIELD_LIMITS)
        buf_addf(out,
                 ",\"limits\":{\"memory_bytes\":%lld,\"cpus\":%.3f,\"pids\":%lld,\"workspace_"
                 "bytes\":%lld}",
                 (long long)r->limits.memory_bytes, r->limits.cpus, (long long)r->limits.pids,
                 (long long)r->limits.workspace_bytes);
    buf_add_char(out, '}');
    finish(out, at);
}

void verb_encode_ok(struct buf *out, uint64_t id, struct slice fields)
{
    size_t at = begin(out);
    buf_addf(out, "{\"id\":%llu,\"ok\":true", (unsigned long long)id);
    buf_add_slice(out, fields);
    buf_add_char(out, '}');
    finish(out, at);
}

void verb_encode_error(struct buf *out, uint64_t id, const struct err *error)
{
    size_t at = begin(out);
    buf_addf(out, "{\"id\":%llu,\"ok\":false,\"error\":{\"code\":\"%s\",\"message\":",
             (unsigned long long)id, err_name(error->code));
    json_quote_str(out, error->text);
    buf_add_str(out, "}}");
    finish(out, at);
}

void verb_encode_event(struct buf *out, const char *name, struct slice fields)
{
    size_t at = begin(out);
    buf_addf(out, "{\"event\":\"%s\"", name);
    buf_add_slice(out, fields);
    buf_add_char(out, '}');
    finish(out, at);
}

enum decode verb_decode_reply(struct slice body, struct verb_reply *ret)
{
    *ret = (struct verb_reply){ .body = body };
    int64_t id = 0;
    struct slice text;
    if (!json_valid(body) || json_type(body) != JSON_OBJECT)
        return DECODE_BAD;
    if (json_member_string(body, "event", &text))
        return json_copy_string(text, ret->event, sizeof ret->event) ? DECODE_OK : DECODE_BAD;
    if (!json_member_int(body, "id", &id) || id < 1 || !json_member_bool(body, "ok", &ret->ok))
        return DECODE_BAD;
    ret->id = (uint64_t)id;
    struct slice error;
    if (!ret->ok && json_member(body, "error", &error)) {
        struct slice code = { 0 };
        (void)json_member_string(error, "code", &code); /* absent: internal */
        ret->error.code = err_from_name(code);
        char *message = json_member_dup(error, "message", sizeof ret->error.text - 1);
        if (message)
            memcpy(ret->error.text, message, strlen(message) + 1);
        free(message);
    }
    return DECODE_OK;
}
