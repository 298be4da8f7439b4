/* A user's packages and builds on disk, beside his workspace; in a worker's thread. */
#include "kernelhub/packages_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/beneath.h"
#include "base/json.h"
#include "base/small_file.h"
#include "kernelhub/files_internal.h"
#include "protocol/requirement.h"
#include "protocol/version.h"

#define MAX_ENTRIES 200000 /* of a folder that is looked through */
#define MAX_PATH    512

void packages_list_done(struct packages_list *l)
{
    free(l->items);
    *l = (struct packages_list){ .n = 0 };
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct packages_entry *)a)->name,
                  ((const struct packages_entry *)b)->name);
}

const struct packages_entry *packages_list_find(const struct packages_list *l, const char *name)
{
    struct packages_entry key;
    (void)snprintf(key.name, sizeof key.name, "%s", name); /* a longer one is not there */
    return l->n ? bsearch(&key, l->items, l->n, sizeof key, by_name) : NULL;
}

static int add(struct packages_list *l, const struct packages_entry *entry, struct err *e)
{
    if (l->n == PACKAGES_MAX_LISTED)
        return err_set(e, ERR_TOO_LARGE, "more than %d packages are installed",
                       PACKAGES_MAX_LISTED);
    if (l->n == l->size) {
        l->size = l->size ? 2 * l->size : 64;
        l->items = realloc(l->items, l->size * sizeof *l->items);
        assert(l->items);
    }
    l->items[l->n++] = *entry;
    return 0;
}

/* Calls each() with the names in a folder below the user's own. None there: nothing to do. */
static int each_name(struct tree *t, const char *path,
                     int (*each)(void *arg, const char *name, struct err *e), void *arg,
                     struct err *e)
{
    CLEANUP(closedir) DIR *d = files_open_dir(t->user_fd, path);
    if (!d)
        return errno == ENOENT || errno == ENOTDIR ? 0 : files_errno(e, "the packages");
    unsigned n = 0;
    for (struct dirent *entry; (entry = readdir(d));) {
        if (++n > MAX_ENTRIES)
            return err_set(e, ERR_TOO_LARGE, "the packages have more than %d entries", MAX_ENTRIES);
        if ((n % 256 == 0 && files_go_on(t, e) < 0) || each(arg, entry->d_name, e) < 0)
            return -1;
    }
    return 0;
}

struct reading {
    struct tree *tree;
    struct packages_list *list;
};

static int add_dist_info(void *arg, const char *name, struct err *e)
{
    struct reading *r = arg;
    struct packages_entry entry;
    return requirement_parse_dist_info(slice_str(name), entry.name, entry.version)
               ? add(r->list, &entry, e)
               : 0;
}

/* lib/python3.13/site-packages; of another Python's there may be some too. */
static int add_python(void *arg, const char *name, struct err *e)
{
    struct reading *r = arg;
    char path[MAX_PATH];
    if (strncmp(name, "python3.", 8) != 0 || name[8 + strspn(name + 8, "0123456789")])
        return 0;
    int n = snprintf(path, sizeof path, "packages/python/lib/%s/site-packages", name);
    return n < (int)sizeof path ? each_name(r->tree, path, add_dist_info, r, e) : 0;
}

/* node_modules/.deno holds a folder NAME@VERSION for each, '+' for the '/' of a scope, and a '_' before what it stands beside. */
static int add_npm(void *arg, const char *name, struct err *e)
{
    struct reading *r = arg;
    struct packages_entry entry;
    struct requirement parsed;
    struct version version;
    char text[256];
    const char *at = strlen(name) > 1 ? strchr(name + 1, '@') : NULL;
    if (!at || strlen(name) >= sizeof text)
        return 0;
    (void)snprintf(text, sizeof text, "%s", name);
    text[strcspn(text + (at - name), "_") + (size_t)(at - name)] = '\0';
    char *plus = text[0] == '@' ? strchr(text, '+') : NULL;
    if (plus && plus < text + (at - name))
        *plus = '/';
    if (strcmp(text, "kernelhub-packages@0.0.0") == 0 || /* the folder's own */
        !requirement_parse(REQUIREMENT_NPM, slice_str(text), &parsed) ||
        !version_parse_npm(slice_str(parsed.versions), &version))
        return 0;
    memcpy(entry.name, parsed.name, sizeof entry.name);
    memcpy(entry.version, parsed.versions, sizeof entry.version);
    return add(r->list, &entry, e);
}

int packages_read(struct tree *t, const char *language, struct packages_list *ret, struct err *e)
{
    struct packages_list list = { .n = 0 };
    struct reading r = { t, &list };
    int rc = strcmp(language, "python") == 0
                 ? each_name(t, "packages/python/lib", add_python, &r, e)
                 : each_name(t, "packages/javascript/node_modules/.deno", add_npm, &r, e);
    if (rc < 0) {
        packages_list_done(&list);
        return -1;
    }
    if (list.n)
        qsort(list.items, list.n, sizeof *list.items, by_name);
    *ret = list;
    return 0;
}

int packages_write_installed(struct tree *t, const char *language, struct buf *out, struct err *e)
{
    struct packages_list list = { .n = 0 };
    if (packages_read(t, language, &list, e) < 0)
        return -1;
    for (size_t i = 0; i < list.n; i++) {
        buf_addf(out, "%s{\"language\":\"%s\",\"name\":", i ? "," : "", language);
        json_quote_str(out, list.items[i].name);
        buf_add_str(out, ",\"version\":");
        json_quote_str(out, list.items[i].version);
        buf_add_char(out, '}');
    }
    packages_list_done(&list);
    return 0;
}

int packages_prepare(struct tree *t, const struct uuid *id, struct slice requirements,
                     struct slice constraints, int *ret_log, struct err *e)
{
    char path[MAX_PATH];
    (void)snprintf(path, sizeof path, "building/%s/work", id->text); /* fits */
    CLEANUP_FD int work = beneath_make_dir(t->user_fd, path, 0700, e);
    if (work < 0)
        return err_in(e, "prepare the build");
    if (small_file_write(work, "requirements.txt", requirements, 0600, e) < 0 ||
        small_file_write(work, "constraints.txt", constraints, 0600, e) < 0 ||
        small_file_write(work, "log", slice_of("", 0), 0600, e) < 0)
        return err_in(e, "prepare the build");
    CLEANUP_FD int log = beneath_open(work, "log", O_RDONLY, 0, e);
    if (log < 0)
        return err_in(e, "prepare the build");
    *ret_log = TAKE_FD(log);
    return 0;
}
