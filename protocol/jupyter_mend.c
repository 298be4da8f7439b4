#include "protocol/jupyter_mend.h"

#include <assert.h>
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

/* How many bytes of a number that JSON has not are there; 0: none. */
static size_t no_number(const char *at, size_t left)
{
    static const char *const WORDS[] = { "NaN", "-Infinity", "Infinity" };
    for (size_t w = 0; w < ARRAY_LEN(WORDS); w++) {
        size_t n = strlen(WORDS[w]);
        if (left >= n && memcmp(at, WORDS[w], n) == 0)
            return n;
    }
    return 0;
}

/* Behind the string that begins at `at`. */
static size_t skip_string(struct slice text, size_t at)
{
    for (at++; at < text.len && text.data[at] != '"'; at++)
        at += text.data[at] == '\\';
    return at < text.len ? at + 1 : text.len;
}

/* Python writes NaN, Infinity and -Infinity for numbers that JSON has not. Outside of strings only. */
static void write_without_nan(struct slice text, struct buf *out)
{
    size_t begin = 0;
    for (size_t i = 0; i < text.len;) {
        char c = text.data[i];
        size_t n = c == 'N' || c == '-' || c == 'I' ? no_number(text.data + i, text.len - i) : 0;
        if (n) {
            buf_add(out, text.data + begin, i - begin);
            buf_add_str(out, "null");
            begin = i += n;
        } else {
            i = c == '"' ? skip_string(text, i) : i + 1;
        }
    }
    buf_add(out, text.data + begin, text.len - begin);
}

/* *part becomes an object that json_valid passes. */
static void mend_part(struct slice *part, struct buf *made)
{
    struct slice text = *part;
    bool is_valid = json_valid(text);
    if (!is_valid && text.len <= JUPYTER_MAX_MEND_BYTES) {
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

static_assert(ARRAY_LEN(HEADER_NEEDS) >= MAX_NEEDS, "values");

struct found {
    struct slice
        values[ARRAY_LEN(HEADER_NEEDS)]; /* the most; without data: absent, or of another type */
    size_t n_needs, n_met;
    bool has_wrong;
};

/* One walk for all, no longer than needed: a large object is read once. Of a member that is there twice the first counts. */
static struct found look(const struct need *needs, size_t n, struct slice object)
{
    struct found f = { .n_needs = 0 };
    unsigned seen = 0;
    size_t n_seen = 0;
    while (f.n_needs < n && needs[f.n_needs].name)
        f.n_needs++;
    struct json_iter it = json_iter(object);
    while (n_seen < f.n_needs && json_next(&it)) {
        size_t i = 0;
        while (i < f.n_needs && !slice_is(it.key, needs[i].name))
            i++;
        if (i == f.n_needs || (seen & 1u << i))
            continue;
        seen |= 1u << i;
        n_seen++;
        if (fits(&needs[i], it.value)) {
            f.values[i] = it.value;
            f.n_met++;
        } else {
            f.has_wrong = true;
        }
    }
    return f;
}

static bool is_named(const struct need *needs, size_t n, struct slice key)
{
    for (size_t i = 0; i < n; i++)
        if (slice_is(key, needs[i].name))
            return true;
    return false;
}

static void rebuild(const struct need *needs, const struct found *f, struct slice object,
                    struct buf *out)
{
    const char *between = "{";
    for (size_t i = 0; i < f->n_needs; i++) {
        struct slice value = f->values[i].data ? f->values[i] : slice_str(needs[i].stand_in);
        buf_addf(out, "%s\"%s\":", between, needs[i].name);
        buf_add_slice(out, value);
        between = ",";
    }
    struct json_iter it = json_iter(object);
    while (json_next(&it)) {
        if (is_named(needs, f->n_needs, it.key))
            continue;
        buf_add_str(out, ",\"");
        buf_add_slice(out, it.key);
        buf_add_str(out, "\":");
        buf_add_slice(out, it.value);
    }
    buf_add_char(out, '}');
}

/* What is missing stands before all that is there, as it stands. */
static void fill_in_front(const struct need *needs, const struct found *f, struct slice object,
                          struct buf *out)
{
    size_t brace = (size_t)((const char *)memchr(object.data, '{', object.len) - object.data);
    buf_add_char(out, '{');
    for (size_t i = 0; i < f->n_needs; i++)
        if (!f->values[i].data)
            buf_addf(out, "\"%s\":%s,", needs[i].name, needs[i].stand_in);
    buf_add(out, object.data + brace + 1, object.len - brace - 1);
}

static bool is_empty(struct slice object)
{
    struct json_iter first = json_iter(object);
    return !json_next(&first);
}

static void fill_in(const struct need *needs, size_t n, struct slice *part, struct buf *made)
{
    struct found f = look(needs, n, *part);
    struct buf out = BUF_INIT(part->len + 1024);
    if (f.n_met == f.n_needs)
        return;
    if (part->len > JUPYTER_MAX_MEND_BYTES && (f.has_wrong || is_empty(*part))) {
        *part = SLICE_LITERAL("{}");
        f = look(needs, n, *part);
    }
    if (part->len > JUPYTER_MAX_MEND_BYTES)
        fill_in_front(needs, &f, *part, &out);
    else
        rebuild(needs, &f, *part, &out);
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
