#include "protocol/jupyter_mend.h"

#include <string.h>

#include "base/json.h"
#include "protocol/jupyter_message.h"

enum { HEADER, PARENT, METADATA, CONTENT };

/* A member that has to be there, and what stands in for it. */
struct need {
    const char *name;
    enum json_type type;
    const char *stand_in; /* JSON */
};

static const struct need HEADER_NEEDS[] = {
    { "msg_id", JSON_STRING, "\"\"" },
    { "msg_type", JSON_STRING, "\"\"" },
    { "username", JSON_STRING, "\"\"" },
    { "session", JSON_STRING, "\"\"" },
    { "date", JSON_STRING, "\"1970-01-01T00:00:00.000000Z\"" },
    { "version", JSON_STRING, "\"5.3\"" },
};

enum { MAX_NEEDS = 3 };

static const struct {
    const char *msg_type;
    struct need needs[MAX_NEEDS];
} CONTENT_NEEDS[] = {
    { "stream", { { "name", JSON_STRING, "\"stdout\"" }, { "text", JSON_STRING, "\"\"" } } },
    { "display_data", { { "data", JSON_OBJECT, "{}" }, { "metadata", JSON_OBJECT, "{}" } } },
    { "update_display_data", { { "data", JSON_OBJECT, "{}" }, { "metadata", JSON_OBJECT, "{}" } } },
    { "execute_input",
      { { "code", JSON_STRING, "\"\"" }, { "execution_count", JSON_NUMBER, "0" } } },
    { "execute_result",
      { { "execution_count", JSON_NUMBER, "0" },
        { "data", JSON_OBJECT, "{}" },
        { "metadata", JSON_OBJECT, "{}" } } },
    { "error",
      { { "ename", JSON_STRING, "\"Error\"" },
        { "evalue", JSON_STRING, "\"\"" },
        { "traceback", JSON_ARRAY, "[]" } } },
    { "clear_output", { { "wait", JSON_TRUE, "false" } } }, /* JSON_TRUE: either of them */
    { "comm_open",
      { { "comm_id", JSON_STRING, "\"\"" },
        { "target_name", JSON_STRING, "\"\"" },
        { "data", JSON_OBJECT, "{}" } } },
    { "comm_msg", { { "comm_id", JSON_STRING, "\"\"" }, { "data", JSON_OBJECT, "{}" } } },
    { "comm_close", { { "comm_id", JSON_STRING, "\"\"" }, { "data", JSON_OBJECT, "{}" } } },
};

/* Python writes NaN, Infinity and -Infinity for numbers that JSON has not. Outside of strings only. */
static void write_without_nan(struct slice text, struct buf *out)
{
    static const char *const WORDS[] = { "NaN", "-Infinity", "Infinity" };
    bool in_string = false;
    for (size_t i = 0; i < text.len;) {
        size_t word = 0;
        for (size_t w = 0; !in_string && w < ARRAY_LEN(WORDS) && !word; w++) {
            size_t n = strlen(WORDS[w]);
            if (text.len - i >= n && memcmp(text.data + i, WORDS[w], n) == 0)
                word = n;
        }
        if (word) {
            buf_add_str(out, "null");
            i += word;
            continue;
        }
        char c = text.data[i];
        size_t n = in_string && c == '\\' && i + 1 < text.len ? 2 : 1;
        if (c == '"')
            in_string = !in_string;
        buf_add(out, text.data + i, n);
        i += n;
    }
}

/* *part becomes an object that json_valid passes. */
static void mend_part(struct slice *part, struct buf *made)
{
    struct slice text = *part;
    bool is_valid = json_valid(text);
    if (!is_valid) {
        CLEANUP_BUF struct buf mended = BUF_INIT(6 * text.len);
        json_mend(&mended, text);
        buf_init(made, 6 * text.len + 64);
        write_without_nan(buf_slice(&mended), made);
        text = mended.failed || made->failed ? slice_of(NULL, 0) : buf_slice(made);
        is_valid = json_valid(text);
    }
    *part = is_valid && json_type(text) == JSON_OBJECT ? text : SLICE_LITERAL("{}");
}

static bool fits(const struct need *need, struct slice value)
{
    enum json_type type = json_type(value);
    return type == need->type || (need->type == JSON_TRUE && type == JSON_FALSE);
}

/* One walk for all: a large object is read once. Of a member that is there twice the first counts. */
static bool are_met(const struct need *needs, size_t n, struct slice object)
{
    unsigned seen = 0;
    size_t n_needs = 0, n_met = 0;
    while (n_needs < n && needs[n_needs].name)
        n_needs++;
    struct json_iter it = json_iter(object);
    while (n_met < n_needs && json_next(&it)) {
        size_t i = 0;
        while (i < n_needs && !slice_is(it.key, needs[i].name))
            i++;
        if (i == n_needs || (seen & 1u << i))
            continue;
        if (!fits(&needs[i], it.value))
            return false;
        seen |= 1u << i;
        n_met++;
    }
    return n_met == n_needs;
}

static bool is_named(const struct need *needs, size_t n, struct slice key)
{
    for (size_t i = 0; i < n && needs[i].name; i++)
        if (slice_is(key, needs[i].name))
            return true;
    return false;
}

static void fill_in(const struct need *needs, size_t n, struct slice *part, struct buf *made)
{
    if (are_met(needs, n, *part))
        return;
    struct buf out = BUF_INIT(part->len + 1024);
    const char *between = "{";
    for (size_t i = 0; i < n && needs[i].name; i++) {
        struct slice value = slice_str(needs[i].stand_in), is;
        if (json_member(*part, needs[i].name, &is) && fits(&needs[i], is))
            value = is;
        buf_addf(&out, "%s\"%s\":", between, needs[i].name);
        buf_add_slice(&out, value);
        between = ",";
    }
    struct json_iter it = json_iter(*part);
    while (json_next(&it)) {
        if (is_named(needs, n, it.key))
            continue;
        buf_add_str(&out, ",\"");
        buf_add_slice(&out, it.key);
        buf_add_str(&out, "\":");
        buf_add_slice(&out, it.value);
    }
    buf_add_char(&out, '}');
    buf_done(made);
    *made = out;
    *part = buf_slice(made);
}

bool jupyter_mend(const struct slice *parts, bool is_iopub, struct jupyter_mended *ret)
{
    struct jupyter_header *names = &ret->names;
    *ret = (struct jupyter_mended){ .part = { { 0 } } };
    for (size_t i = 0; i < JUPYTER_N_PARTS; i++) {
        ret->part[i] = parts[i];
        mend_part(&ret->part[i], &ret->made[i]);
    }
    fill_in(HEADER_NEEDS, ARRAY_LEN(HEADER_NEEDS), &ret->part[HEADER], &ret->made[HEADER]);
    /* only now: of a member that was there twice one is left */
    if (!jupyter_read_header(ret->part[HEADER], names) || !names->msg_type[0])
        return false;
    for (size_t i = 0; is_iopub && i < ARRAY_LEN(CONTENT_NEEDS); i++)
        if (strcmp(names->msg_type, CONTENT_NEEDS[i].msg_type) == 0)
            fill_in(CONTENT_NEEDS[i].needs, MAX_NEEDS, &ret->part[CONTENT], &ret->made[CONTENT]);
    bool failed = false;
    for (size_t i = 0; i < JUPYTER_N_PARTS; i++)
        failed |= ret->made[i].failed;
    return !failed;
}

void jupyter_mended_done(struct jupyter_mended *m)
{
    for (size_t i = 0; i < JUPYTER_N_PARTS; i++)
        buf_done(&m->made[i]);
}
