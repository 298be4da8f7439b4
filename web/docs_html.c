/* Renders an OpenAPI document as one plain page: paths with their parameters, bodies and answers,
 * then the schemas. */
#include <jansson.h>

#include "base/cleanup.h"
#include "web/docs.h"

static void add_text(struct buf *out, const char *text)
{
    for (; text && *text; text++) {
        switch (*text) {
        case '<':
            buf_add_str(out, "&lt;");
            break;
        case '>':
            buf_add_str(out, "&gt;");
            break;
        case '&':
            buf_add_str(out, "&amp;");
            break;
        case '"':
            buf_add_str(out, "&quot;");
            break;
        default:
            buf_add_char(out, *text);
        }
    }
}

static void element(struct buf *out, const char *open, const char *text, const char *close)
{
    if (!text || !*text)
        return;
    buf_add_str(out, open);
    add_text(out, text);
    buf_add_str(out, close);
}

static const char *member(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

/* "#/components/schemas/Execution" → "Execution" */
static const char *ref_name(const json_t *schema)
{
    const char *ref = member(schema, "$ref");
    const char *slash = ref ? strrchr(ref, '/') : NULL;
    return slash ? slash + 1 : NULL;
}

static void add_type(struct buf *out, const json_t *schema)
{
    const char *name = ref_name(schema);
    const json_t *type = json_object_get(schema, "type");
    if (name) {
        buf_add_str(out, "<a href=\"#");
        add_text(out, name);
        element(out, "\">", name, "</a>");
    } else if (json_is_string(type)) {
        add_text(out, json_string_value(type));
        if (json_object_get(schema, "items")) {
            buf_add_str(out, " of ");
            add_type(out, json_object_get(schema, "items"));
        }
    } else {
        size_t i;
        json_t *one;
        json_array_foreach(type, i, one)
        {
            buf_add_str(out, i ? " or " : "");
            add_text(out, json_string_value(one));
        }
    }
}

static void add_default(struct buf *out, const json_t *schema)
{
    const json_t *value = json_object_get(schema, "default");
    char *text = value ? json_dumps(value, JSON_ENCODE_ANY) : NULL;
    element(out, " <span class=\"quiet\">default ", text, "</span>");
    free(text);
}

static void row(struct buf *out, const char *name, const char *where, const json_t *schema,
                const char *description)
{
    element(out, "<tr><td><code>", name, "</code></td><td>");
    element(out, "<span class=\"quiet\">", where, "</span> ");
    add_type(out, schema);
    add_default(out, schema);
    buf_add_str(out, "</td><td>");
    add_text(out, description ? description : member(schema, "description"));
    buf_add_str(out, "</td></tr>\n");
}

static void add_properties(struct buf *out, const json_t *schema)
{
    const char *name;
    json_t *property;
    json_t *all = json_object_get(schema, "properties");
    if (!all)
        return;
    buf_add_str(out, "<table>\n");
    json_object_foreach(all, name, property) row(out, name, NULL, property, NULL);
    buf_add_str(out, "</table>\n");
}

static void add_parameters(struct buf *out, const json_t *list)
{
    size_t i;
    json_t *one;
    if (json_array_size(list) == 0)
        return;
    buf_add_str(out, "<table>\n");
    json_array_foreach(list, i, one)
        row(out, member(one, "name"), member(one, "in"), json_object_get(one, "schema"),
            member(one, "description"));
    buf_add_str(out, "</table>\n");
}

static void add_contents(struct buf *out, const char *title, const json_t *contents)
{
    const char *media;
    json_t *content;
    json_object_foreach((json_t *)contents, media, content)
    {
        element(out, "<p>", title, " ");
        element(out, "<code>", media, "</code> ");
        add_type(out, json_object_get(content, "schema"));
        buf_add_str(out, "</p>\n");
    }
}

static void add_responses(struct buf *out, const json_t *responses)
{
    const char *status;
    json_t *response;
    json_object_foreach((json_t *)responses, status, response)
    {
        if (strcmp(status, "default") == 0)
            continue;
        element(out, "<p><code>", status, "</code> ");
        add_text(out, member(response, "description"));
        buf_add_str(out, "</p>\n");
        add_contents(out, "", json_object_get(response, "content"));
    }
}

static void add_operation(struct buf *out, const char *path, const char *method,
                          const json_t *operation)
{
    buf_add_str(out, "<h3><b class=\"method\">");
    for (; *method; method++)
        buf_add_char(out, (char)(*method & ~32));
    element(out, "</b> <code>", path, "</code></h3>\n");
    element(out, "<p>", member(operation, "summary"), "</p>\n");
    element(out, "<p class=\"quiet\">", member(operation, "description"), "</p>\n");
    add_parameters(out, json_object_get(operation, "parameters"));
    add_contents(out, "Body",
                 json_object_get(json_object_get(operation, "requestBody"), "content"));
    add_responses(out, json_object_get(operation, "responses"));
}

static void add_paths(struct buf *out, json_t *paths)
{
    const char *path, *method;
    json_t *methods, *operation;
    buf_add_str(out, "<h2>Paths</h2>\n");
    json_object_foreach(paths, path, methods)
        json_object_foreach(methods, method, operation) if (json_is_object(operation))
            add_operation(out, path, method, operation);
}

static void add_schemas(struct buf *out, json_t *schemas)
{
    const char *name;
    json_t *schema;
    buf_add_str(out, "<h2>Schemas</h2>\n");
    json_object_foreach(schemas, name, schema)
    {
        element(out, "<h3 id=\"", name, "\">");
        element(out, "", name, "</h3>\n");
        element(out, "<p>", member(schema, "description"), "</p>\n");
        add_properties(out, schema);
    }
}

bool docs_html_write(struct slice openapi, struct buf *out)
{
    json_t *tree = json_loadb(openapi.data, openapi.len, 0, NULL);
    json_t *info = json_object_get(tree, "info"), *paths = json_object_get(tree, "paths");
    buf_add_str(
        out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
             "<meta name=\"viewport\" content=\"width=device-width\"><title>Kernelhub API</title>"
             "<link rel=\"stylesheet\" href=\"docs/style.css\"></head><body>\n");
    element(out, "<h1>", member(info, "title"), "</h1>\n");
    element(out, "<p>", member(info, "description"), "</p>\n");
    buf_add_str(out,
                "<p>The same for machines: <a href=\"api/v1/openapi.json\">openapi.json</a></p>\n");
    add_paths(out, paths);
    add_schemas(out, json_object_get(json_object_get(tree, "components"), "schemas"));
    buf_add_str(out, "</body></html>\n");
    bool is_good = json_is_object(paths);
    json_decref(tree);
    return is_good;
}
