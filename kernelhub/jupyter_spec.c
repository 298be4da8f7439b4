/* Kernelspecs of images as Jupyter clients know them: their names and models. */
#include <stdio.h>

#include "base/json.h"
#include "kernelhub/catalog.h"
#include "kernelhub/jupyter_internal.h"

void jupyter_spec_name(const struct catalog *c, const char *template_name, const char *kernelspec,
                       char ret[JUPYTER_SPEC_NAME_CHARS + 1])
{
    bool is_default = strcmp(template_name, catalog_default_template(c)) == 0;
    (void)snprintf(ret, JUPYTER_SPEC_NAME_CHARS + 1, "%s%s%s", is_default ? "" : template_name,
                   is_default ? "" : ".", kernelspec);
}

static void name_of(const struct catalog *c, const struct catalog_kernel *k,
                    char ret[JUPYTER_SPEC_NAME_CHARS + 1])
{
    jupyter_spec_name(c, k->template_name, k->kernelspec, ret);
}

const struct catalog_kernel *jupyter_find_spec(const struct catalog *c, const char *name)
{
    size_t n;
    char called[JUPYTER_SPEC_NAME_CHARS + 1];
    const struct catalog_kernel *all = catalog_kernels(c, &n);
    for (size_t i = 0; i < n; i++) {
        name_of(c, &all[i], called);
        if (strcmp(called, name) == 0)
            return &all[i];
    }
    return NULL;
}

static void write_spec_member(struct slice spec, const char *name, const char *absent,
                              struct buf *out)
{
    struct slice value = slice_str(absent);
    (void)json_member(spec, name, &value); /* absent: what stands in for it */
    buf_addf(out, "\"%s\":", name);
    (void)json_splice(out, value); /* it was checked when it was loaded */
}

static void write_spec(struct hub *h, const char *name, const struct catalog_kernel *k,
                       struct buf *out)
{
    buf_add_str(out, "{\"name\":");
    json_quote_str(out, name);
    buf_add_str(out, ",\"spec\":{");
    write_spec_member(k->spec, "argv", "[]", out);
    buf_add_char(out, ',');
    write_spec_member(k->spec, "env", "{}", out);
    buf_add_str(out, ",\"display_name\":");
    json_quote_str(out, k->display_name ? k->display_name : k->kernelspec);
    buf_add_char(out, ',');
    write_spec_member(k->spec, "language", "\"\"", out);
    buf_addf(out, ",\"interrupt_mode\":\"%s\",", k->interrupt_by_message ? "message" : "signal");
    write_spec_member(k->spec, "metadata", "{}", out);
    buf_add_str(out, "},\"resources\":");
    jupyter_write_logos(h, name, k, out);
    buf_add_char(out, '}');
}

bool jupyter_write_spec(struct hub *h, const char *name, struct buf *out)
{
    const struct catalog_kernel *k = jupyter_find_spec(h->catalog, name);
    if (k)
        write_spec(h, name, k, out);
    return k != NULL;
}

void jupyter_write_specs(struct hub *h, struct buf *out)
{
    size_t n;
    const struct catalog_kernel *all = catalog_kernels(h->catalog, &n), *python;
    const char *comma = "";
    char name[JUPYTER_SPEC_NAME_CHARS + 1] = "";
    if (n && catalog_find(h->catalog, NULL, "python", &python, NULL) < 0)
        python = &all[0];
    if (n)
        name_of(h->catalog, python, name);
    buf_add_str(out, "{\"default\":");
    json_quote_str(out, name);
    buf_add_str(out, ",\"kernelspecs\":{");
    for (size_t i = 0; i < n; i++) {
        name_of(h->catalog, &all[i], name);
        buf_add_str(out, comma);
        json_quote_str(out, name);
        buf_add_char(out, ':');
        write_spec(h, name, &all[i], out);
        comma = ",";
    }
    buf_add_str(out, "}}");
}
