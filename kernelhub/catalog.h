/* catalog.h - what can run here: templates, their kernelspecs, and the languages' names. */
#ifndef KERNELHUB_CATALOG_H
#define KERNELHUB_CATALOG_H

#include "base/buf.h"
#include "base/err.h"

struct config;
struct catalog;

/* One kernelspec of a template's image. Strings live as long as the catalog's present content. */
struct catalog_kernel {
    const char *template_name, *image, *digest;
    const char *kernelspec; /* its name: "python3" */
    const char *language;   /* ours, lower case: "python" */
    const char *display_name;
    struct slice spec;      /* kernel.json, checked */
    struct slice logos;     /* {"logo-64x64.png":base64,…}; empty: none */
    bool interrupt_by_message;
    bool speaks_ipc;        /* binds ipc://PATH-N sockets (its spec says so, or the quirks table) */
    bool env_by_metadata;   /* takes metadata.kernelhub.env of a request (its spec says so) */
    bool stdin_by_metadata; /* takes metadata.kernelhub.stdin instead of asking (its spec says so) */
    int grace_ms;           /* it may publish after idle for so long */
};

struct catalog *catalog_new(const struct config *config);
void catalog_free(struct catalog *c);

/* The keeper's reply to `images` (verb.h); replaces what was known. */
void catalog_load(struct catalog *c, struct slice reply);
bool catalog_is_empty(const struct catalog *c);

/* "py" → "python"; an unknown name stays as it is. Static or the argument itself. */
const char *catalog_language(const char *name_or_alias);

/* The template to use when none is named: the preferred one when its image is there, else the default. */
const char *catalog_default_template(const struct catalog *c);

/* The kernel for a language (or kernelspec name) in a template (NULL: the default one). ERR_INVALID names what there is;
 * ERR_UNAVAILABLE when no image is known yet. */
int catalog_find(const struct catalog *c, const char *template_name, const char *language,
                 const struct catalog_kernel **ret, struct err *e);

const struct catalog_kernel *catalog_kernels(const struct catalog *c, size_t *ret_n); /* all of them */

/* The template whose image has this name; NULL: none. */
const char *catalog_template_of_image(const struct catalog *c, const char *image);
bool catalog_has_template(const struct catalog *c, const char *name);

/* The JSON of LINK_START for a kernel (link.h). The two: JSON objects of more variables, or empty; the kernelspec's own count least,
 * `env` most. folder: beneath the workspace; "": the workspace itself. */
void catalog_write_start(const struct catalog_kernel *k, struct slice sandbox_env, struct slice env, const char *folder,
                         struct buf *out);

void catalog_write_languages(const struct catalog *c, struct buf *out);
void catalog_write_images(const struct catalog *c, struct buf *out);

#endif
