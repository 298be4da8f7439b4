/* A folder and what is below it, in one order, a page at a time.
 *
 * The names of a folder are not all kept: the smallest of those that come next, as many as a batch takes. Is there more, then the
 * folder is read again. So memory has a bound whatever somebody has put into a folder. */
#include "kernelhub/files_internal.h"

#include <stdlib.h>

#include "base/glob.h"

#define BATCH_ABOVE   8192 /* names; the first levels have the large folders */
#define BATCH_BELOW   512
#define LEVELS_ABOVE  4
#define LOOKS_PER_ASK 64

struct batch {
    char **names; /* room for twice `size` */
    size_t n, size;
    bool is_cut; /* there are more */
};

struct walk {
    struct tree *tree;
    const struct files_walk *want;
    files_found_fn *each;
    void *arg;
    char path[FILES_MAX_PATH + 1];
    size_t base; /* of path: what is below the folder begins here */
    unsigned n_looks, n_found;
    char *last; /* path of what was found or looked at last: the next page goes on behind it */
};

enum step { STEP_FAILED = -1, STEP_ON, STEP_FULL };

/* ---- the names of a folder ---- */

static void batch_done(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        free(b->names[i]);
    free(b->names);
}
#define CLEANUP_BATCH __attribute__((cleanup(batch_done)))

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void batch_cut(struct batch *b)
{
    if (b->n)
        qsort(b->names, b->n, sizeof *b->names, compare_names);
    b->is_cut = b->is_cut || b->n > b->size;
    while (b->n > b->size)
        free(b->names[--b->n]);
}

static void batch_add(struct batch *b, const char *name)
{
    if (!b->names)
        b->names = malloc(2 * b->size * sizeof *b->names);
    char *copy = strdup(name);
    assert(b->names && copy);
    b->names[b->n++] = copy;
    if (b->n == 2 * b->size)
        batch_cut(b);
}

/* Those from `from` on, or behind it. */
static void batch_read(struct batch *b, DIR *d, const char *from, bool is_behind)
{
    rewinddir(d);
    for (struct dirent *entry; (entry = readdir(d));) {
        int order = strcmp(entry->d_name, from);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            (order > 0 || (order == 0 && !is_behind)))
            batch_add(b, entry->d_name);
    }
    batch_cut(b);
}

/* ---- one entry ---- */

static bool is_wanted(const struct walk *w, const char *name)
{
    struct slice pattern = w->want->pattern;
    CLEANUP_BUF struct buf text = BUF_INIT(FILES_MAX_TEXT);
    if (!pattern.len)
        return true;
    bool is_path = memchr(pattern.data, '/', pattern.len) != NULL;
    if (pattern.data[0] == '/')
        pattern = slice_of(pattern.data + 1, pattern.len - 1);
    files_path_write(slice_str(is_path ? w->path + w->base : name), &text);
    return glob_matches(pattern, buf_slice(&text));
}

static enum step look(struct walk *w, const char *name, const struct files_found *found,
                      struct err *e)
{
    bool is_match = is_wanted(w, name);
    if (++w->n_looks % LOOKS_PER_ASK == 0 && files_go_on(w->tree, e) < 0)
        return STEP_FAILED;
    if (w->n_found == w->want->limit) /* only whether there is more */
        return is_match || w->n_looks >= FILES_MAX_LOOKS ? STEP_FULL : STEP_ON;
    (void)snprintf(w->last, FILES_MAX_PATH + 1, "%s", w->path); /* fits */
    if (is_match && w->each(w->arg, found, e) < 0)
        return STEP_FAILED;
    w->n_found += is_match;
    return w->n_looks >= FILES_MAX_LOOKS ? STEP_FULL : STEP_ON;
}

static enum step walk_folder(struct walk *w, DIR *d, size_t len, unsigned level, const char *after,
                             struct err *e);

/* after: NULL: it comes now; else it has been, and what came after it below it. */
static enum step walk_entry(struct walk *w, DIR *d, size_t len, unsigned level, const char *name,
                            const char *after, struct err *e)
{
    struct stat st;
    struct files_found found = { .path = w->path };
    int n = snprintf(w->path + len, sizeof w->path - len, "%s%s", len ? "/" : "", name);
    if (n >= (int)(sizeof w->path - len) || fstatat(dirfd(d), name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        w->path[len] = '\0'; /* no path that could be used; or it went away meanwhile */
        return STEP_ON;
    }
    files_stat_from(&st, &found.st);
    bool is_deeper = found.st.type == FILES_FOLDER && level < w->want->depth;
    CLEANUP(closedir)
    DIR *below = is_deeper && level < FILES_MAX_DEPTH ? files_open_dir(dirfd(d), name) : NULL;
    found.is_closed = is_deeper && !below;
    found.name = files_path_name(w->path);
    enum step step = after ? STEP_ON : look(w, name, &found, e);
    if (step == STEP_ON && below)
        step = walk_folder(w, below, len + (size_t)n, level + 1, after ? after : "", e);
    w->path[len] = '\0';
    return step;
}

/* level: 1 for what stands in the folder itself. after: "" or a path below it, of what comes before the first. */
static enum step walk_folder(struct walk *w, DIR *d, size_t len, unsigned level, const char *after,
                             struct err *e)
{
    char from[FILES_MAX_NAME + 1];
    size_t n = strcspn(after, "/");
    bool is_behind = false, is_again = n > 0;
    (void)snprintf(from, sizeof from, "%.*s", (int)n, after); /* a name: fits */
    after += n + (after[n] == '/');
    for (bool is_cut = true; is_cut; is_behind = true) {
        CLEANUP_BATCH struct batch b = { .size =
                                             level <= LEVELS_ABOVE ? BATCH_ABOVE : BATCH_BELOW };
        batch_read(&b, d, from, is_behind);
        is_cut = b.is_cut;
        for (size_t i = 0; i < b.n; i++) {
            bool has_been = is_again && strcmp(b.names[i], from) == 0;
            enum step step = walk_entry(w, d, len, level, b.names[i], has_been ? after : NULL, e);
            if (step != STEP_ON)
                return step;
            is_again = false;
        }
        if (b.n)
            (void)snprintf(from, sizeof from, "%s", b.names[b.n - 1]); /* a name: fits */
    }
    return STEP_ON;
}

/* What is below `folder` in `path`; NULL: it is not below it. */
static const char *below(const char *folder, const char *path)
{
    size_t n = strlen(folder);
    if (n == 0)
        return path;
    return strncmp(path, folder, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

int files_walk(struct tree *t, const char *path, const struct files_walk *want,
               files_found_fn *each, void *arg, char ret_next[FILES_MAX_PATH + 1], struct err *e)
{
    struct walk w = { .tree = t, .want = want, .each = each, .arg = arg, .last = ret_next };
    const char *after = want->after && want->after[0] ? below(path, want->after) : "";
    CLEANUP(closedir) DIR *d = files_open_dir(t->root_fd, path);
    if (!d)
        return files_errno(e, path);
    if (!after)
        return err_set(e, ERR_INVALID, "the page does not belong to that folder");
    size_t len = strlen(path);
    memcpy(w.path, path, len + 1);
    w.base = len ? len + 1 : 0;
    ret_next[0] = '\0';
    enum step step = walk_folder(&w, d, len, 1, after, e);
    if (step == STEP_ON)
        ret_next[0] = '\0';
    return step == STEP_FAILED ? -1 : 0;
}
