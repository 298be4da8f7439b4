#include "kernelhub/catalog.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/log.h"
#include "kernelhub/config.h"

#define MAX_KERNELS      256
#define MAX_REPLY_BYTES  (2u << 20)
#define READY_TIMEOUT_MS 60000

static const struct {
    const char *alias, *language;
} ALIASES[] = {
    { "py", "python" },
    { "python3", "python" },
    { "ipython", "python" },
    { "js", "javascript" },
    { "node", "javascript" },
    { "nodejs", "javascript" },
    { "deno", "typescript" },
    { "ts", "typescript" },
    { "sh", "bash" },
    { "shell", "bash" },
    { "ir", "r" },
    { "rscript", "r" },
    { "jl", "julia" },
    { "rs", "rust" },
    { "golang", "go" },
};

/* What a stock kernel does that its spec does not say. The word is looked for in argv. */
static const struct {
    const char *argv_word;
    bool speaks_ipc, interrupt_by_message;
    int grace_ms;
} QUIRKS[] = {
    { "ipykernel", true, false, 0 },
    { "bash_kernel", true, false, 0 },
    { "deno", false, true, 50 },
};

struct catalog {
    const struct config *config;
    char *reply;         /* everything points into it */
    struct slice images; /* the array in it */
    struct catalog_kernel kernels[MAX_KERNELS];
    size_t n_kernels;
};

struct catalog *catalog_new(const struct config *config)
{
    struct catalog *c = calloc(1, sizeof *c);
    if (!c)
        abort();
    c->config = config;
    return c;
}

static void clear(struct catalog *c)
{
    for (size_t i = 0; i < c->n_kernels; i++) {
        struct catalog_kernel *k = &c->kernels[i];
        free((char *)k->template_name);
        free((char *)k->image);
        free((char *)k->digest);
        free((char *)k->kernelspec);
        free((char *)k->language);
        free((char *)k->display_name);
    }
    c->n_kernels = 0;
    free(c->reply);
    c->reply = NULL;
    c->images = slice_of(NULL, 0);
}

void catalog_free(struct catalog *c)
{
    if (!c)
        return;
    clear(c);
    free(c);
}

const char *catalog_language(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(ALIASES); i++)
        if (strcasecmp(name, ALIASES[i].alias) == 0)
            return ALIASES[i].language;
    return name;
}

static void apply_quirks(struct catalog_kernel *k)
{
    struct slice argv;
    if (!json_member(k->spec, "argv", &argv))
        return;
    for (size_t i = 0; i < ARRAY_LEN(QUIRKS); i++) {
        if (!memmem(argv.data, argv.len, QUIRKS[i].argv_word, strlen(QUIRKS[i].argv_word)))
            continue;
        k->speaks_ipc = QUIRKS[i].speaks_ipc;
        k->grace_ms = QUIRKS[i].grace_ms;
        k->interrupt_by_message |= QUIRKS[i].interrupt_by_message;
        return;
    }
}

/* A spec made for us says what its kernel can: metadata.kernelhub = {"env":bool,"stdin":bool,"transports":[…]}
 * (images/README.md). It is right where the table of stock kernels is only usual. */
static bool apply_metadata(struct catalog_kernel *k)
{
    struct slice metadata, ours, transports;
    if (!json_member(k->spec, "metadata", &metadata) || !json_member(metadata, "kernelhub", &ours))
        return false;
    (void)json_member_bool(ours, "env", &k->env_by_metadata); /* absent: false */
    (void)json_member_bool(ours, "stdin", &k->stdin_by_metadata);
    struct json_iter it =
        json_iter(json_member(ours, "transports", &transports) ? transports : slice_of(NULL, 0));
    while (json_next(&it))
        k->speaks_ipc |= slice_is(it.value, "\"ipc\"");
    return true;
}

static char *lower_dup(struct slice object, const char *key)
{
    char *s = json_member_dup(object, key, 63);
    for (char *p = s; p && *p; p++)
        *p = (char)tolower((unsigned char)*p);
    return s;
}

/* A keeper of before gives none. */
static struct slice find_logos(struct slice image, struct slice name)
{
    struct slice logos;
    struct json_iter it =
        json_iter(json_member(image, "logos", &logos) ? logos : slice_of(NULL, 0));
    while (json_next(&it))
        if (slice_equal(it.key, name) && json_type(it.value) == JSON_OBJECT)
            return it.value;
    return slice_of(NULL, 0);
}

static void add_kernel(struct catalog *c, struct slice image, struct slice name, struct slice spec)
{
    struct slice mode;
    if (c->n_kernels == MAX_KERNELS || json_type(spec) != JSON_OBJECT)
        return;
    char *language = lower_dup(spec, "language");
    if (!language)
        return;
    struct catalog_kernel *k = &c->kernels[c->n_kernels++];
    *k = (struct catalog_kernel){ .spec = spec, .logos = find_logos(image, name) };
    k->template_name = json_member_dup(image, "template", 63);
    k->image = json_member_dup(image, "image", 255);
    k->digest = json_member_dup(image, "digest", 127);
    k->kernelspec = strndup(name.data, name.len);
    k->language = strdup(catalog_language(language));
    k->display_name = json_member_dup(spec, "display_name", 127);
    free(language);
    if (json_member_string(spec, "interrupt_mode", &mode))
        k->interrupt_by_message = slice_is(mode, "message");
    if (!apply_metadata(k))
        apply_quirks(k);
}

void catalog_load(struct catalog *c, struct slice reply)
{
    if (reply.len > MAX_REPLY_BYTES)
        return;
    char *copy = malloc(reply.len + 1);
    if (!copy)
        return;
    memcpy(copy, reply.data, reply.len);
    clear(c);
    c->reply = copy;
    if (!json_member(slice_of(copy, reply.len), "images", &c->images))
        return;
    struct json_iter images = json_iter(c->images);
    while (json_next(&images)) {
        struct slice specs;
        if (!json_member(images.value, "kernelspecs", &specs))
            continue;
        struct json_iter it = json_iter(specs);
        while (json_next(&it))
            add_kernel(c, images.value, it.key, it.value);
    }
    log_info("catalog loaded kernels=%zu", c->n_kernels);
}

bool catalog_is_empty(const struct catalog *c)
{
    return c->n_kernels == 0;
}

bool catalog_has_template(const struct catalog *c, const char *name)
{
    for (size_t i = 0; i < c->n_kernels; i++)
        if (c->kernels[i].template_name && strcmp(c->kernels[i].template_name, name) == 0)
            return true;
    return false;
}

const char *catalog_default_template(const struct catalog *c)
{
    const char *preferred = config_text(c->config, CONFIG_TEMPLATE_PREFERRED);
    const char *otherwise = config_text(c->config, CONFIG_TEMPLATE_DEFAULT);
    if (preferred[0] && catalog_has_template(c, preferred))
        return preferred;
    if (!catalog_has_template(c, otherwise) && c->n_kernels && c->kernels[0].template_name)
        return c->kernels[0].template_name;
    return otherwise;
}

/* "bash, javascript, python" */
static void list_languages(const struct catalog *c, const char *template_name, char *ret,
                           size_t size)
{
    size_t n = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < c->n_kernels && n < size; i++)
        if (strcmp(c->kernels[i].template_name, template_name) == 0)
            n += (size_t)snprintf(ret + n, size - n, "%s%s", n ? ", " : "", c->kernels[i].language);
}

int catalog_find(const struct catalog *c, const char *template_name, const char *language,
                 const struct catalog_kernel **ret, struct err *e)
{
    if (c->n_kernels == 0)
        return err_set(
            e, ERR_UNAVAILABLE,
            "no image with kernels is there yet: build one with 'kernelhub image build slim'");
    const char *t = template_name ? template_name : catalog_default_template(c);
    if (!catalog_has_template(c, t))
        return err_set(e, ERR_INVALID, "there is no template '%.64s'", t);
    const char *wanted = catalog_language(language);
    for (int by_spec = 0; by_spec < 2; by_spec++) {
        for (size_t i = 0; i < c->n_kernels; i++) {
            const struct catalog_kernel *k = &c->kernels[i];
            if (strcmp(k->template_name, t) == 0 &&
                strcasecmp(by_spec ? k->kernelspec : k->language, by_spec ? language : wanted) ==
                    0) {
                *ret = k;
                return 0;
            }
        }
    }
    char known[200];
    list_languages(c, t, known, sizeof known);
    return err_set(e, ERR_INVALID, "no kernel speaks '%.64s' in template '%s'; there are: %s",
                   language, t, known);
}

const struct catalog_kernel *catalog_kernels(const struct catalog *c, size_t *ret_n)
{
    *ret_n = c->n_kernels;
    return c->kernels;
}

static bool has_key(struct slice object, struct slice key)
{
    struct json_iter it = json_iter(object);
    while (json_next(&it))
        if (slice_equal(it.key, key))
            return true;
    return false;
}

/* Each name once: of two values for one variable a program would see the first. */
static void write_env(const struct slice *layers, size_t n, struct buf *out)
{
    const char *comma = "";
    buf_add_str(out, ",\"env\":{");
    for (size_t i = 0; i < n; i++) {
        struct json_iter it = json_iter(layers[i]);
        while (json_next(&it)) {
            bool again = false;
            for (size_t k = i + 1; k < n; k++)
                again |= has_key(layers[k], it.key);
            if (again || json_type(it.value) != JSON_STRING)
                continue;
            buf_add_str(out, comma);
            buf_add_char(out, '"');
            buf_add_slice(out, it.key);
            buf_add_str(out, "\":");
            (void)json_splice(out, it.value);
            comma = ",";
        }
    }
    buf_add_char(out, '}');
}

const char *catalog_template_of_image(const struct catalog *c, const char *image)
{
    for (size_t i = 0; i < c->n_kernels; i++)
        if (c->kernels[i].image && strcmp(c->kernels[i].image, image) == 0)
            return c->kernels[i].template_name;
    return NULL;
}

void catalog_write_start(const struct catalog_kernel *k, struct slice sandbox_env, struct slice env,
                         const char *folder, struct buf *out)
{
    struct slice layers[] = { slice_of(NULL, 0), sandbox_env, env };
    struct slice argv = SLICE_LITERAL("[]");
    (void)json_member(k->spec, "argv", &argv); /* the warden refuses an empty one */
    buf_add_str(out, "{\"argv\":");
    (void)json_splice(out, argv);
    (void)json_member(k->spec, "env", &layers[0]); /* absent: empty */
    write_env(layers, ARRAY_LEN(layers), out);
    buf_add_str(out, ",\"folder\":");
    json_quote_str(out, folder);
    buf_addf(out,
             ",\"cwd\":\"/"
             "workspace\",\"transport\":\"%s\",\"interrupt_mode\":\"%s\",\"ready_timeout_ms\":%d,"
             "\"execution_grace_ms\":%d}",
             k->speaks_ipc ? "ipc" : "tcp", k->interrupt_by_message ? "message" : "signal",
             READY_TIMEOUT_MS, k->grace_ms);
}

static void write_aliases(const char *language, struct buf *out)
{
    const char *comma = "";
    buf_add_str(out, ",\"aliases\":[");
    for (size_t i = 0; i < ARRAY_LEN(ALIASES); i++) {
        if (strcmp(ALIASES[i].language, language) != 0)
            continue;
        buf_addf(out, "%s\"%s\"", comma, ALIASES[i].alias);
        comma = ",";
    }
    buf_add_char(out, ']');
}

void catalog_write_languages(const struct catalog *c, struct buf *out)
{
    const char *comma = "";
    buf_add_str(out, "{\"items\":[");
    for (size_t i = 0; i < c->n_kernels; i++) {
        const struct catalog_kernel *k = &c->kernels[i];
        buf_addf(out, "%s{\"name\":", comma);
        json_quote_str(out, k->language);
        buf_add_str(out, ",\"language\":");
        json_quote_str(out, k->language);
        write_aliases(k->language, out);
        buf_add_str(out, ",\"display_name\":");
        json_quote_str(out, k->display_name);
        buf_add_str(out, ",\"kernelspec\":");
        json_quote_str(out, k->kernelspec);
        buf_add_str(out, ",\"template\":");
        json_quote_str(out, k->template_name);
        buf_addf(out, ",\"default\":%s}",
                 strcmp(k->template_name, catalog_default_template(c)) == 0 ? "true" : "false");
        comma = ",";
    }
    buf_add_str(out, "],\"next\":null}");
}

static void write_image(struct slice image, struct buf *out)
{
    struct slice specs;
    const char *comma = "";
    static const struct {
        const char *from, *to;
    } FIELDS[] = { { "template", "name" },         { "template", "template" },
                   { "image", "image" },           { "digest", "digest" },
                   { "size_bytes", "size_bytes" }, { "created", "created_at" } };
    buf_add_char(out, '{');
    for (size_t i = 0; i < ARRAY_LEN(FIELDS); i++) {
        struct slice v = SLICE_LITERAL("null");
        (void)json_member(image, FIELDS[i].from, &v); /* absent: null */
        buf_addf(out, "\"%s\":", FIELDS[i].to);
        (void)json_splice(out, v);
        buf_add_char(out, ',');
    }
    buf_add_str(out, "\"kernelspecs\":[");
    struct json_iter it =
        json_iter(json_member(image, "kernelspecs", &specs) ? specs : slice_of("", 0));
    while (json_next(&it)) {
        buf_addf(out, "%s\"", comma);
        buf_add_slice(out, it.key);
        buf_add_char(out, '"');
        comma = ",";
    }
    buf_add_str(out, "]}");
}

void catalog_write_images(const struct catalog *c, struct buf *out)
{
    const char *comma = "";
    buf_add_str(out, "{\"items\":[");
    struct json_iter it = json_iter(c->images);
    while (json_next(&it)) {
        buf_add_str(out, comma);
        write_image(it.value, out);
        comma = ",";
    }
    buf_add_str(out, "],\"next\":null}");
}
