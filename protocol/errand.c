#include "protocol/errand.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "protocol/frame.h"

#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS  "0123456789"

static bool is_made_of(const char *text, const char *characters)
{
    size_t n = strspn(text, characters);
    return n > 0 && text[n] == '\0';
}

bool errand_url_is_plain(struct slice url)
{
    static const char *const SCHEMES[] = { "http://", "https://" };
    for (size_t i = 0; i < url.len; i++)
        if (url.data[i] <= ' ' || url.data[i] > '~' || strchr("\"<>\\^`{|}", url.data[i]))
            return false;
    for (size_t i = 0; i < ARRAY_LEN(SCHEMES); i++) {
        size_t n = strlen(SCHEMES[i]);
        if (url.len > n && url.len <= ERRAND_MAX_URL && memcmp(url.data, SCHEMES[i], n) == 0)
            return true;
    }
    return false;
}

static bool get_text(struct slice value, char *ret, size_t size)
{
    return json_type(value) == JSON_STRING && value.len >= 2 &&
           json_copy_string(slice_of(value.data + 1, value.len - 2), ret, size);
}

static bool get_url(struct slice value, struct errand *ret)
{
    return get_text(value, ret->url, sizeof ret->url) && errand_url_is_plain(slice_str(ret->url));
}

static bool get_message_id(struct slice value, struct errand *ret)
{
    return get_text(value, ret->message_id, sizeof ret->message_id) &&
           is_made_of(ret->message_id, LETTERS DIGITS "-_");
}

static bool get_signature(struct slice value, struct errand *ret)
{
    return get_text(value, ret->signature, sizeof ret->signature) &&
           is_made_of(ret->signature, LETTERS DIGITS "+/=,");
}

static bool get_number(struct slice value, int64_t max, int64_t *ret)
{
    char text[24];
    char *end;
    if (json_type(value) != JSON_NUMBER || value.len >= sizeof text)
        return false;
    memcpy(text, value.data, value.len);
    text[value.len] = '\0';
    *ret = strtoll(text, &end, 10);
    return *end == '\0' && *ret >= 1 && *ret <= max;
}

static bool get_id(struct slice value, struct errand *ret)
{
    int64_t n;
    if (!get_number(value, INT64_MAX, &n))
        return false;
    ret->id = (uint64_t)n;
    return true;
}

static bool get_timestamp(struct slice value, struct errand *ret)
{
    return get_number(value, INT64_MAX, &ret->timestamp);
}

static bool get_timeout(struct slice value, struct errand *ret)
{
    return get_number(value, ERRAND_MAX_TIMEOUT_MS, &ret->timeout_ms);
}

static bool get_body(struct slice value, struct errand *ret)
{
    if (json_type(value) != JSON_STRING || value.len < 2)
        return false;
    ret->body = slice_of(value.data + 1, value.len - 2);
    return true;
}

static const struct {
    const char *name;
    bool (*get)(struct slice value, struct errand *ret);
} FIELDS[] = {
    { "id", get_id },
    { "url", get_url },
    { "message_id", get_message_id },
    { "timestamp", get_timestamp },
    { "signature", get_signature },
    { "timeout_ms", get_timeout },
    { "body", get_body },
};
#define ALL_FIELDS ((1u << ARRAY_LEN(FIELDS)) - 1)

/* The field's bit, 0 when the key is unknown or its value wrong. */
static unsigned get_field(struct slice key, struct slice value, struct errand *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++)
        if (slice_is(key, FIELDS[i].name))
            return FIELDS[i].get(value, ret) ? 1u << i : 0;
    return 0;
}

enum decode errand_decode(struct slice body, struct errand *ret, struct err *e)
{
    *ret = (struct errand){ 0 };
    unsigned seen = 0;
    if (!json_valid(body) || json_type(body) != JSON_OBJECT) {
        (void)err_set(e, ERR_INVALID, "not a JSON object");
        return DECODE_BAD;
    }
    struct json_iter it = json_iter(body);
    while (json_next(&it)) {
        unsigned bit = get_field(it.key, it.value, ret);
        if (bit == 0 || seen & bit) {
            (void)err_set(e, ERR_INVALID, "field '%.*s' is unknown, repeated or wrong",
                          it.key.len < 40 ? (int)it.key.len : 40, it.key.data);
            return DECODE_BAD;
        }
        seen |= bit;
    }
    if (seen == ALL_FIELDS)
        return DECODE_OK;
    (void)err_set(e, ERR_INVALID, "a field is missing");
    return DECODE_BAD;
}

void errand_encode(struct buf *out, const struct errand *a)
{
    size_t at = out->len;
    buf_add_u32be(out, 0);
    buf_addf(out, "{\"id\":%llu,\"url\":", (unsigned long long)a->id);
    json_quote_str(out, a->url);
    buf_addf(out, ",\"message_id\":\"%s\",\"timestamp\":%lld,\"signature\":\"%s\"", a->message_id,
             (long long)a->timestamp, a->signature);
    buf_addf(out, ",\"timeout_ms\":%lld,\"body\":", (long long)a->timeout_ms);
    json_quote(out, a->body);
    buf_add_char(out, '}');
    if (!out->failed)
        frame_put_length(out->data + at, (uint32_t)(out->len - at - FRAME_HEADER_BYTES));
}
