/* What nbformat 4 demands, as far as its readers stumble over it: members and their types. */
#include "base/json.h"
#include "protocol/notebook_file.h"

/* What an object of that kind must have. */
struct need {
    const char *kind; /* NULL: any */
    const char *name;
    unsigned types; /* 1u << enum json_type */
};

#define IS(type) (1u << JSON_##type)
#define A_TEXT   (IS(STRING) | IS(ARRAY))
#define A_COUNT  (IS(NUMBER) | IS(NULL))

static const struct need CELL_NEEDS[] = {
    { NULL, "cell_type", IS(STRING) },
    { NULL, "metadata", IS(OBJECT) },
    { NULL, "source", A_TEXT },
    { "code", "outputs", IS(ARRAY) },
    { "code", "execution_count", A_COUNT },
};

static const struct need OUTPUT_NEEDS[] = {
    { NULL, "output_type", IS(STRING) },
    { "stream", "name", IS(STRING) },
    { "stream", "text", A_TEXT },
    { "display_data", "data", IS(OBJECT) },
    { "display_data", "metadata", IS(OBJECT) },
    { "execute_result", "data", IS(OBJECT) },
    { "execute_result", "metadata", IS(OBJECT) },
    { "execute_result", "execution_count", A_COUNT },
    { "error", "ename", IS(STRING) },
    { "error", "evalue", IS(STRING) },
    { "error", "traceback", IS(ARRAY) },
};

static bool meets(struct slice object, const char *kind_name, const struct need *needs, size_t n,
                  struct buf *why)
{
    struct slice kind = { 0 }, value;
    if (json_type(object) != JSON_OBJECT) {
        buf_add_str(why, "is no object");
        return false;
    }
    (void)json_member_string(object, kind_name, &kind); /* the first need says that it is missing */
    for (size_t i = 0; i < n; i++) {
        if (needs[i].kind && !slice_is(kind, needs[i].kind))
            continue;
        bool has = json_member(object, needs[i].name, &value);
        if (has && (needs[i].types >> json_type(value) & 1))
            continue;
        buf_addf(why, has ? "'%s' has a wrong type" : "'%s' is missing", needs[i].name);
        return false;
    }
    return true;
}

static bool is_known(struct slice object, const char *name, const char *const *kinds,
                     struct buf *why)
{
    struct slice kind;
    if (!json_member_string(object, name, &kind))
        return false;
    for (; *kinds; kinds++)
        if (slice_is(kind, *kinds))
            return true;
    buf_addf(why, "'%s' is unknown", name);
    return false;
}

static bool is_code(struct slice cell)
{
    struct slice type;
    return json_member_string(cell, "cell_type", &type) && slice_is(type, "code");
}

static bool check_outputs(struct slice cell, struct buf *why)
{
    static const char *const KINDS[] = { "stream", "display_data", "execute_result", "error",
                                         NULL };
    struct slice outputs;
    if (!is_code(cell) || !json_member(cell, "outputs", &outputs))
        return true;
    struct json_iter it = json_iter(outputs);
    for (size_t i = 0; json_next(&it); i++) {
        size_t before = why->len;
        buf_addf(why, "outputs[%zu]: ", i);
        if (!meets(it.value, "output_type", OUTPUT_NEEDS, ARRAY_LEN(OUTPUT_NEEDS), why) ||
            !is_known(it.value, "output_type", KINDS, why))
            return false;
        why->len = before;
    }
    return true;
}

static bool check_cells(struct slice cells, struct buf *why)
{
    static const char *const KINDS[] = { "code", "markdown", "raw", NULL };
    struct json_iter it = json_iter(cells);
    for (size_t i = 0; json_next(&it); i++) {
        size_t before = why->len;
        buf_addf(why, "cells[%zu]: ", i);
        if (!meets(it.value, "cell_type", CELL_NEEDS, ARRAY_LEN(CELL_NEEDS), why) ||
            !is_known(it.value, "cell_type", KINDS, why) || !check_outputs(it.value, why))
            return false;
        why->len = before;
    }
    return true;
}

bool notebook_file_check(struct slice json, struct buf *why)
{
    static const struct need NEEDS[] = {
        { NULL, "nbformat", IS(NUMBER) },
        { NULL, "nbformat_minor", IS(NUMBER) },
        { NULL, "metadata", IS(OBJECT) },
        { NULL, "cells", IS(ARRAY) },
    };
    struct slice cells;
    int64_t major;
    if (json_member_int(json, "nbformat", &major) && major != 4) {
        buf_addf(why, "nbformat %lld is not 4: it is neither converted nor checked",
                 (long long)major);
        return false;
    }
    return meets(json, "nbformat", NEEDS, ARRAY_LEN(NEEDS), why) &&
           json_member(json, "cells", &cells) && check_cells(cells, why);
}
