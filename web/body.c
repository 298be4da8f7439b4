#include "web/body.h"

#include "base/json.h"

struct place {
    size_t line, column;
};

static struct place place_of(struct slice text, size_t at)
{
    struct place p = { 1, 1 };
    for (size_t i = 0; i < at; i++) {
        p.column++;
        if (text.data[i] == '\n')
            p = (struct place){ p.line + 1, 1 };
    }
    return p;
}

static int fault(struct slice text, size_t at, const char *what, struct err *e)
{
    struct place p = place_of(text, at);
    return err_set(e, ERR_INVALID, "body, line %zu, column %zu: %s", p.line, p.column, what);
}

static size_t end_of_string(struct slice text, size_t at)
{
    for (at++; at < text.len && text.data[at] != '"'; at++)
        if (text.data[at] == '\\')
            at++;
    return at;
}

int body_check(struct slice text, struct err *e)
{
    size_t depth = 0, values = 1;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == '"')
            i = end_of_string(text, i);
        else if (c == '\0')
            return fault(text, i, "a NUL byte", e);
        else if ((c == '{' || c == '[') && ++depth > JSON_MAX_DEPTH)
            return fault(text, i, "nested deeper than 64 levels", e);
        else if ((c == '}' || c == ']') && depth)
            depth--;
        if ((c == ',' || c == '{' || c == '[') && ++values > BODY_MAX_VALUES)
            return fault(text, i, "more than 20000 values", e);
    }
    return 0;
}

bool body_is_json(struct slice text)
{
    return json_valid(text);
}
