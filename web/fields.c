/* Three readers in a row: body_check bounds what a tree may cost, jansson names the place of what
 * is wrong, and body_is_json stops what jansson might let through. */
#include "web/fields.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "web/body.h"

#define MAX_ENTRIES 256

static double maximum(const struct field *field, const struct config *config)
{
    return field->setting == FIELD_NO_CONFIG ? field->max
                                             : (double)config_number(config, field->setting);
}

static int wrong_type(const struct field *field, const char *expected, struct err *e)
{
    return err_set(e, ERR_INVALID, "field '%s' has to be %s", field->name, expected);
}

static int too_long(const struct field *field, size_t len, double max, struct err *e)
{
    return err_set(e, ERR_TOO_LARGE, "field '%s' has %zu bytes; the limit is %.0f", field->name,
                   len, max);
}

static bool is_choice(const char *choices, const char *value)
{
    size_t n = strlen(value);
    for (const char *at = choices; (at = strstr(at, value)) != NULL; at++)
        if ((at == choices || at[-1] == ' ') && (at[n] == '\0' || at[n] == ' '))
            return true;
    return false;
}

static int read_name(const struct field *field, const json_t *value, double max, const char **ret,
                     struct err *e)
{
    if (!json_is_string(value))
        return wrong_type(field, "a string", e);
    const char *text = json_string_value(value);
    size_t len = json_string_length(value);
    if (len == 0)
        return wrong_type(field, "a string that is not empty", e);
    if (field->choices && (strchr(text, ' ') || !is_choice(field->choices, text)))
        return err_set(e, ERR_INVALID, "field '%s' is %s; allowed: %s", field->name,
                       log_quote(slice_str(text)), field->choices);
    if ((double)len > max)
        return err_set(e, ERR_INVALID, "field '%s' has %zu bytes; the limit is %.0f", field->name,
                       len, max);
    *ret = text;
    return 0;
}

static int read_text(const struct field *field, const json_t *value, double max, struct slice *ret,
                     struct err *e)
{
    if (!json_is_string(value))
        return wrong_type(field, "a string", e);
    struct slice text = slice_of(json_string_value(value), json_string_length(value));
    if ((double)text.len > max)
        return too_long(field, text.len, max, e);
    *ret = text;
    return 0;
}

static int out_of_range(const struct field *field, double value, double max, struct err *e)
{
    const char *rule = field->setting == CONFIG_LIMITS_TIMEOUT  ? " (limits/max_timeout_seconds)"
                       : field->setting == CONFIG_LIMITS_OUTPUT ? " (limits/max_output_bytes)"
                                                                : "";
    return err_set(e, ERR_INVALID, "field '%s' is %.15g; it has to be above 0 and at most %.15g%s",
                   field->name, value, max, rule);
}

static int read_number(const struct field *field, const json_t *value, double max, double *ret,
                       struct err *e)
{
    if (!json_is_number(value))
        return wrong_type(field, "a number", e);
    double v = json_number_value(value);
    if (!(v > 0 && v <= max))
        return out_of_range(field, v, max, e);
    *ret = v;
    return 0;
}

static int read_integer(const struct field *field, const json_t *value, double max, int64_t *ret,
                        struct err *e)
{
    if (!json_is_integer(value))
        return wrong_type(field, "a whole number", e);
    json_int_t v = json_integer_value(value);
    if (v < 0 && field->type == FIELD_COUNT)
        return err_set(e, ERR_INVALID, "field '%s' is below 0", field->name);
    if ((v < 1 && field->type == FIELD_INTEGER) || (double)v > max)
        return out_of_range(field, (double)v, max, e);
    *ret = v;
    return 0;
}

static bool is_variable(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");
    return n > 0 && name[n] == '\0' && !(name[0] >= '0' && name[0] <= '9');
}

static int check_entry(const struct field *field, const char *name, const json_t *text,
                       struct err *e)
{
    if (!json_is_string(text))
        return err_set(e, ERR_INVALID, "field '%s', entry %s: the value has to be a string",
                       field->name, log_quote(slice_str(name)));
    if (field->type == FIELD_ENV ? !is_variable(name) : name[0] == '\0')
        return err_set(e, ERR_INVALID, "field '%s': %s is no name; letters, digits and _",
                       field->name, log_quote(slice_str(name)));
    size_t bytes = strlen(name) + json_string_length(text);
    if ((double)bytes > field->max)
        return err_set(e, ERR_INVALID, "field '%s', entry %s has %zu bytes; the limit is %.0f",
                       field->name, log_quote(slice_str(name)), bytes, field->max);
    return 0;
}

static int keep(struct fields *f, const json_t *value, struct slice *ret, struct err *e)
{
    assert(f->n_objects < ARRAY_LEN(f->objects));
    char *dumped = json_dumps(value, JSON_COMPACT);
    if (!dumped)
        return err_set(e, ERR_UNAVAILABLE, "out of memory");
    f->objects[f->n_objects++] = dumped;
    *ret = slice_str(dumped);
    return 0;
}

static int read_objects(struct fields *f, const struct field *field, const json_t *value,
                        struct slice *ret, struct err *e)
{
    size_t i, n = json_array_size(value);
    const json_t *item;
    if (!json_is_array(value))
        return wrong_type(field, "a list of objects", e);
    if (n == 0 || (double)n > field->max)
        return err_set(e, ERR_INVALID, "field '%s' has %zu items; it has to have 1 to %.0f",
                       field->name, n, field->max);
    json_array_foreach(value, i, item) if (!json_is_object(item)) return err_set(
        e, ERR_INVALID, "field '%s', item %zu has to be an object", field->name, i);
    return keep(f, value, ret, e);
}

static int read_list(struct fields *f, const struct field *field, const json_t *value,
                     struct slice *ret, struct err *e)
{
    size_t n = json_array_size(value), bytes = 0, i;
    json_t *text;
    if (!json_is_array(value) || n == 0)
        return wrong_type(field, "a list of strings that is not empty", e);
    if (n > FIELD_MAX_STRINGS)
        return err_set(e, ERR_INVALID, "field '%s' has %zu strings; the limit is %d", field->name,
                       n, FIELD_MAX_STRINGS);
    json_array_foreach(value, i, text)
    {
        if (!json_is_string(text))
            return err_set(e, ERR_INVALID, "field '%s', item %zu has to be a string", field->name,
                           i);
        bytes += json_string_length(text);
    }
    if ((double)bytes > field->max)
        return too_long(field, bytes, field->max, e);
    return keep(f, value, ret, e);
}

static int read_strings(struct fields *f, const struct field *field, json_t *value,
                        struct slice *ret, struct err *e)
{
    if (!json_is_object(value))
        return wrong_type(field, "an object of strings", e);
    if (json_object_size(value) > MAX_ENTRIES)
        return err_set(e, ERR_INVALID, "field '%s' has more than %d entries", field->name,
                       MAX_ENTRIES);
    const char *name;
    json_t *text;
    json_object_foreach(value, name, text) if (check_entry(field, name, text, e) < 0) return -1;
    return keep(f, value, ret, e);
}

static int read_object(struct fields *f, const struct field *field, json_t *value,
                       struct slice *ret, struct err *e)
{
    return json_is_object(value) ? keep(f, value, ret, e) : wrong_type(field, "an object", e);
}

static int read_one(struct fields *f, const struct field *field, json_t *value,
                    const struct config *config, void *at, struct err *e)
{
    double max = maximum(field, config);
    switch (field->type) {
    case FIELD_NAME:
        return read_name(field, value, max, at, e);
    case FIELD_TEXT:
        return read_text(field, value, max, at, e);
    case FIELD_FLAG:
        if (!json_is_boolean(value))
            return wrong_type(field, "true or false", e);
        *(bool *)at = json_is_true(value);
        return 0;
    case FIELD_CHOICE:
        if (!json_is_boolean(value))
            return wrong_type(field, "true or false", e);
        *(enum field_choice *)at = json_is_true(value) ? FIELD_IS_TRUE : FIELD_IS_FALSE;
        return 0;
    case FIELD_NUMBER:
        return read_number(field, value, max, at, e);
    case FIELD_INTEGER:
    case FIELD_COUNT:
        return read_integer(field, value, max, at, e);
    case FIELD_ENV:
    case FIELD_LABELS:
        return read_strings(f, field, value, at, e);
    case FIELD_OBJECTS:
        return read_objects(f, field, value, at, e);
    case FIELD_OBJECT:
        return read_object(f, field, value, at, e);
    case FIELD_STRINGS:
        return read_list(f, field, value, at, e);
    }
    return err_set(e, ERR_INTERNAL, "field '%s' has no type", field->name);
}

static int unknown(const char *name, const struct field *table, size_t n, struct err *e)
{
    char allowed[400] = "none";
    size_t used = 0;
    for (size_t i = 0; i < n && used < sizeof allowed; i++)
        used += (size_t)snprintf(allowed + used, sizeof allowed - used, "%s%s", i ? ", " : "",
                                 table[i].name);
    return err_set(e, ERR_INVALID, "unknown field %.80s; allowed: %s", log_quote(slice_str(name)),
                   allowed);
}

static int check_names(json_t *tree, const struct field *table, size_t n, struct err *e)
{
    const char *name;
    json_t *value;
    json_object_foreach(tree, name, value)
    {
        size_t i = 0;
        while (i < n && strcmp(table[i].name, name) != 0)
            i++;
        if (i == n)
            return unknown(name, table, n, e);
    }
    return 0;
}

static json_t *parse(struct slice text, bool may_be_empty, struct err *e)
{
    if (text.len == 0 && may_be_empty)
        return json_object();
    json_error_t why;
    json_t *tree = NULL;
    if (text.len == 0)
        (void)err_set(e, ERR_INVALID, "the body is empty; it has to be a JSON object");
    else if (body_check(text, e) < 0)
        return NULL;
    else if (!(tree =
                   json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why)))
        (void)err_set(e, ERR_INVALID, "body, line %d, column %d: %s", why.line, why.column,
                      why.text);
    else if (!json_is_object(tree))
        (void)err_set(e, ERR_INVALID, "the body has to be a JSON object");
    else if (!body_is_json(text))
        (void)err_set(e, ERR_INVALID, "the body is not valid JSON");
    else
        return tree;
    json_decref(tree);
    return NULL;
}

static int take(struct fields *f, const struct field *table, size_t n, const struct config *config,
                void *ret, struct err *e)
{
    if (check_names(f->tree, table, n, e) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        json_t *value = json_object_get(f->tree, table[i].name);
        if (value && !json_is_null(value)) {
            if (read_one(f, &table[i], value, config, (char *)ret + table[i].offset, e) < 0)
                return -1;
        } else if (table[i].required) {
            return err_set(e, ERR_INVALID, "field '%s' is missing", table[i].name);
        }
    }
    return 0;
}

int fields_read(struct fields *f, struct slice body, const struct field *table, size_t n,
                const struct config *config, void *ret, struct err *e)
{
    bool any_required = false;
    for (size_t i = 0; i < n; i++)
        any_required |= table[i].required;
    *f = (struct fields){ .tree = parse(body, !any_required, e) };
    return f->tree ? take(f, table, n, config, ret, e) : -1;
}

int fields_parse(struct fields *f, struct slice body, struct err *e)
{
    *f = (struct fields){ .tree = parse(body, false, e) };
    return f->tree ? 0 : -1;
}

static void drop(json_t *tree, const char *names)
{
    while (*names) {
        size_t n = strcspn(names, " ");
        char name[32];
        (void)snprintf(name, sizeof name, "%.*s", (int)n, names); /* names are our own */
        (void)json_object_del(tree, name);                        /* it may not be there */
        names += n + strspn(names + n, " ");
    }
}

int fields_take(struct fields *f, const char *apart, const struct field *table, size_t n,
                const struct config *config, void *ret, struct err *e)
{
    drop(f->tree, apart);
    return take(f, table, n, config, ret, e);
}

size_t fields_count(const struct fields *f)
{
    return json_object_size(f->tree);
}

void fields_done(struct fields *f)
{
    json_decref(f->tree);
    for (size_t i = 0; i < f->n_objects; i++)
        free(f->objects[i]);
    *f = (struct fields){ .tree = NULL };
}
