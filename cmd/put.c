#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/commands.h"
#include "cmd/remote.h"
#include "cmd/table.h"
#include "cmd/transfer.h"

struct put {
    struct client_settings where;
    const char *sandbox;
    bool recursive, keep, quiet, json;
    struct client *client;
    struct progress progress;
    void *line;     /* transfer.h */
    json_t *stored; /* what the service said of each */
    size_t n_skipped;
};

/* A file that is open becomes `target`. */
static int put_open(struct put *p, int fd, const char *name, const char *target, struct err *e)
{
    struct stat st;
    CLEANUP(json_decref) json_t *info = NULL;
    char *url = remote_file(target, p->sandbox, e);

    if (!url)
        return -1;
    if (fstat(fd, &st) < 0)
        st.st_mode = 0;
    const struct transfer_up up = { .path = url,
                                    .fd = fd,
                                    .bytes = S_ISREG(st.st_mode) ? st.st_size : -1,
                                    .keep = p->keep,
                                    .progress = &p->progress,
                                    .line = &p->line };
    progress_next(&p->progress, name);
    int rc = transfer_up(p->client, &up, &info, e);
    free(url);
    if (rc < 0)
        return err_in(e, name);
    return json_array_append(p->stored, info);
}

static int put_file(struct put *p, const char *local, const char *name, const char *target,
                    struct err *e)
{
    int fd = open(local, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return err_errno(e, ERR_INVALID, "%s", local);
    int rc = put_open(p, fd, name, target, e);
    close(fd);
    return rc;
}

/* ---- folders ---- */

static int make_folder(struct put *p, const char *path, struct err *e)
{
    char *url = remote_add(strdup(REMOTE_FILES "/mkdir"), "sandbox", p->sandbox);
    CLEANUP(json_decref) json_t *body = json_pack("{s:s}", "path", path);
    int rc = body ? client_call(p->client, "POST", url, body, NULL, e)
                  : err_set(e, ERR_INVALID, "a name is not text in UTF-8");

    free(url);
    return rc < 0 && e->code != ERR_CONFLICT ? err_in(e, path) : 0;
}

static int put_entry(struct put *p, const FTSENT *entry, const char *target, size_t n_root,
                     struct err *e)
{
    char *path = NULL;
    int rc = 0;

    if (asprintf(&path, "%s%s", target, entry->fts_path + n_root) < 0)
        abort();
    switch (entry->fts_info) {
    case FTS_D:
        rc = make_folder(p, path, e);
        break;
    case FTS_F:
        rc = put_file(p, entry->fts_accpath, entry->fts_path, path, e);
        break;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        errno = entry->fts_errno;
        rc = err_errno(e, ERR_INVALID, "%s", entry->fts_path);
        break;
    case FTS_DP:
        break;
    default: /* a link, pipe, socket */
        p->n_skipped++;
        if (!p->quiet)
            fprintf(stderr, "kernelhub put: %s is no regular file, left out\n", entry->fts_path);
        break;
    }
    free(path);
    return rc;
}

static int put_folder(struct put *p, const char *local, const char *target, struct err *e)
{
    char *paths[] = { (char *)local, NULL };
    FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_COMFOLLOW, NULL);
    size_t n_root = strlen(local);
    const FTSENT *entry;
    int rc = 0;

    if (!walk)
        return err_errno(e, ERR_INVALID, "%s", local);
    while (rc == 0 && (entry = fts_read(walk)))
        rc = put_entry(p, entry, target, n_root, e);
    (void)fts_close(walk); /* it was only read */
    return rc;
}

/* For the progress. */
static int64_t bytes_of(const char *local)
{
    char *paths[] = { (char *)local, NULL };
    FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR | FTS_COMFOLLOW, NULL);
    const FTSENT *entry;
    int64_t bytes = 0;

    while (walk && (entry = fts_read(walk)))
        if (entry->fts_info == FTS_F)
            bytes += entry->fts_statp->st_size;
    if (walk)
        (void)fts_close(walk); /* it was only read */
    return bytes;
}

/* ---- what was asked for ---- */

/* Without slashes at its end, which a name needs; "/" stays. */
static char *without_slashes(const char *path)
{
    char *plain = strdup(path);

    if (!plain)
        abort();
    for (size_t n = strlen(plain); n > 1 && plain[n - 1] == '/';)
        plain[--n] = '\0';
    return plain;
}

static int put_one(struct put *p, const char *argument, const char *to, struct err *e)
{
    struct stat st;

    if (strcmp(argument, "-") == 0)
        return put_open(p, STDIN_FILENO, "stdin", to, e);
    char *local = without_slashes(argument);
    char *full = realpath(local, NULL); /* "." has a name, too */
    if (!full || stat(local, &st) < 0) {
        (void)err_errno(e, ERR_INVALID, "%s", argument);
        free(full);
        free(local);
        return -1;
    }
    const char *last = remote_name(local);
    bool is_dots = strcmp(last, ".") == 0 || strcmp(last, "..") == 0;
    char *target = remote_target(to, is_dots ? remote_name(full) : last);
    int rc = !S_ISDIR(st.st_mode) ? put_file(p, local, argument, target, e)
             : p->recursive       ? put_folder(p, local, target, e)
                            : err_set(e, ERR_INVALID, "%s is a folder: say --recursive", argument);
    free(target);
    free(full);
    free(local);
    return rc;
}

static int64_t total_of(const struct option_list *args, size_t n)
{
    int64_t total = 0;

    for (size_t i = 0; i < n; i++) {
        if (strcmp(args->items[i], "-") == 0)
            return -1;
        total += bytes_of(args->items[i]);
    }
    return total;
}

static void say_stored(const struct put *p)
{
    char size[PROGRESS_SIZE_CHARS];
    size_t i;
    json_t *info;

    if (p->json) {
        table_print_json(p->stored);
        return;
    }
    json_array_foreach(p->stored, i, info)
    {
        const char *path = json_string_value(json_object_get(info, "path"));
        char *plain = progress_plain(path ? path : "");
        progress_size(json_integer_value(json_object_get(info, "size_bytes")), size);
        if (!p->quiet)
            printf("%s  %s\n", plain ? plain : "", size);
        free(plain);
    }
}

static int put_all(struct put *p, const struct option_list *args, size_t n, const char *to,
                   struct err *e)
{
    int rc = 0;

    progress_begin(&p->progress, p->quiet || p->json, total_of(args, n));
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = put_one(p, args->items[i], to, e);
    progress_end(&p->progress);
    say_stored(p);
    return rc;
}

static bool is_folder_name(const char *path)
{
    return path && *path && path[strlen(path) - 1] == '/';
}

static int check_arguments(const struct option_list *args, size_t n, const char *to)
{
    if (n > 1 && !is_folder_name(to)) {
        fprintf(stderr, "kernelhub put: several files go into a folder, whose name ends with a "
                        "slash; '/' is the workspace\n");
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (strcmp(args->items[i], "-") == 0 && (!to || is_folder_name(to))) {
            fprintf(stderr, "kernelhub put: what comes from stdin needs a name: 'kernelhub put - "
                            "NAME'\n");
            return -1;
        }
    }
    return 0;
}

int command_put(int argc, char **argv)
{
    struct put p = { .quiet = false };
    const struct option_spec specs[] = {
        { "recursive", 'r', OPTION_FLAG, NULL, "folders with all that is in them", &p.recursive },
        { "no-clobber", 'n', OPTION_FLAG, NULL, "replace nothing: what is there is an error",
          &p.keep },
        { "sandbox", 'b', OPTION_TEXT, "NAME", "the workspace of a sandbox that has its own",
          &p.sandbox },
        { "quiet", 'q', OPTION_FLAG, NULL, "say nothing but errors", &p.quiet },
        { "json", 0, OPTION_FLAG, NULL, "print what was stored as JSON", &p.json },
        CLIENT_OPTIONS(&p.where),
        { 0 },
    };
    const struct options options = {
        .command = "put",
        .arguments = "FILE… [TARGET]",
        .min_arguments = 1,
        .max_arguments = OPTION_MAX_VALUES,
        .specs = specs,
        .about = "Copies files into the workspace. TARGET is the name there, or a folder when it "
                 "ends with a slash;\nwithout it a file keeps its name. '-' is stdin. A file is "
                 "there whole or not at all.",
        .examples = "  kernelhub put data.csv\n"
                    "  kernelhub put *.csv tables/\n"
                    "  kernelhub put -r project /\n"
                    "  pg_dump db | kernelhub put - db.sql\n",
    };
    struct option_list args;
    struct err e = ERR_INIT;
    int code;

    if (!options_read(&options, argc, argv, &args, &code))
        return code;
    size_t n = args.n > 1 ? args.n - 1 : 1;
    const char *to = args.n > 1 ? args.items[args.n - 1] : NULL;
    if (check_arguments(&args, n, to) < 0)
        return 2;
    p.stored = json_array();
    code = client_new(&p.where, &p.client, &e) < 0 || put_all(&p, &args, n, to, &e) < 0
               ? client_complain("put", p.client, &e)
               : 0;
    code = p.progress.caught ? 128 + p.progress.caught : code;
    json_decref(p.stored);
    transfer_hang_up(p.line);
    client_free(p.client);
    return code;
}
