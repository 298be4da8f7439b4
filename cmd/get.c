#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/commands.h"
#include "cmd/remote.h"
#include "cmd/transfer.h"

struct get {
    struct client_settings where;
    const char *sandbox, *format;
    bool recursive, keep, quiet;
    struct client *client;
    struct progress progress;
    int64_t bytes;
};

/* ---- where it goes ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n > m && strcmp(text + n - m, end) == 0;
}

/* By the file's name; to stdout what can be read as it comes. */
static const char *format_of(const char *local)
{
    return local && (strcmp(local, "-") == 0 || ends_with(local, ".tar")) ? "tar" : "zip";
}

/* Its own name when none is given, or when that of a folder is. Freed by the caller. */
static char *target_of(const char *path, const char *local, const char *format)
{
    char *name = NULL, *target = NULL;
    struct stat st;
    size_t n = strlen(path);

    while (n > 0 && path[n - 1] == '/')
        n--;
    char *plain = strndup(path, n);
    if (!plain || asprintf(&name, "%s%s%s", *plain ? remote_name(plain) : "workspace",
                           format ? "." : "", format ? format : "") < 0)
        abort();
    free(plain);
    if (!local)
        return name;
    bool has_slash = *local && local[strlen(local) - 1] == '/';
    bool is_folder = has_slash || (stat(local, &st) == 0 && S_ISDIR(st.st_mode));
    if (asprintf(&target, "%s%s%s", local, is_folder && !has_slash ? "/" : "",
                 is_folder ? name : "") < 0)
        abort();
    free(name);
    return target;
}

/* Beside what it will replace, under a name that nobody looks for. */
static int open_hidden(const char *target, char **ret, struct err *e)
{
    const char *slash = strrchr(target, '/');
    int n = slash ? (int)(slash - target) + 1 : 0;

    if (asprintf(ret, "%.*s.%.200s.XXXXXX", n, target, target + n) < 0)
        abort();
    int fd = mkostemp(*ret, O_CLOEXEC);
    return fd < 0 ? err_errno(e, ERR_INVALID, "%s", target) : fd;
}

/* As if it had been written there: the permissions of a new file, or of what it replaces. */
static int put_in_place(const struct get *g, int fd, const char *hidden, const char *target,
                        struct err *e)
{
    struct stat st;
    mode_t mask = umask(0);

    (void)umask(mask); /* there is no other way to ask */
    mode_t mode = stat(target, &st) == 0 ? st.st_mode & 0777 : 0666 & ~mask;
    if (fchmod(fd, mode) < 0)
        return err_errno(e, ERR_INTERNAL, "%s", target);
    int rc = g->keep ? link(hidden, target) : rename(hidden, target);
    return rc < 0 ? err_errno(e, ERR_INVALID, "%s", target) : 0;
}

/* ---- the way here ---- */

static int fetch(struct get *g, const char *url, const char *name, int fd, struct err *e)
{
    const struct transfer_down down = { .path = url, .fd = fd, .progress = &g->progress };

    progress_next(&g->progress, name);
    return transfer_down(g->client, &down, &g->bytes, e);
}

static int get_file(struct get *g, const char *url, const char *name, const char *target,
                    struct err *e)
{
    char *hidden = NULL;
    struct stat st;

    if (stat(target, &st) == 0 && !S_ISREG(st.st_mode)) { /* /dev/null, a pipe: written into */
        int fd = open(target, O_WRONLY | O_CLOEXEC | O_NONBLOCK); /* Ctrl-C would not end a wait */
        int rc = fd < 0 ? err_errno(e, ERR_INVALID, "%s", target) : fetch(g, url, name, fd, e);
        if (fd >= 0)
            close(fd);
        return rc;
    }
    int fd = open_hidden(target, &hidden, e);
    int rc = fd < 0 ? -1 : fetch(g, url, name, fd, e);
    if (rc == 0)
        rc = put_in_place(g, fd, hidden, target, e);
    if (fd >= 0) {
        close(fd);
        (void)unlink(hidden); /* it has moved, or is not wanted */
    }
    free(hidden);
    return rc;
}

static int get(struct get *g, const char *path, const char *local, struct err *e)
{
    char size[PROGRESS_SIZE_CHARS];
    const char *format = g->recursive ? (g->format ? g->format : format_of(local)) : NULL;
    char *url = format ? remote_folder(path, g->sandbox, e) : remote_file(path, g->sandbox, e);

    if (!url || client_new(&g->where, &g->client, e) < 0) {
        free(url);
        return -1;
    }
    url = remote_add(url, "archive", format);
    bool is_stdout = local && strcmp(local, "-") == 0;
    char *target = is_stdout ? NULL : target_of(path, local, format);
    progress_begin(&g->progress, g->quiet, -1); /* from here on Ctrl-C leaves nothing behind */
    int rc = is_stdout ? fetch(g, url, path, STDOUT_FILENO, e) : get_file(g, url, path, target, e);
    progress_end(&g->progress);
    if (rc == 0 && !is_stdout && !g->quiet) {
        progress_size(g->bytes, size);
        printf("%s  %s\n", target, size);
    }
    free(target);
    free(url);
    return rc;
}

int command_get(int argc, char **argv)
{
    struct get g = { .quiet = false };
    const struct option_spec specs[] = {
        { "recursive", 'r', OPTION_FLAG, NULL, "a folder with all that is in it, as one archive",
          &g.recursive },
        { "format", 'f', OPTION_TEXT, "zip|tar",
          "of the archive (default: as the file's name says; tar to stdout, else zip)", &g.format },
        { "no-clobber", 'n', OPTION_FLAG, NULL, "replace nothing: what is there is an error",
          &g.keep },
        { "sandbox", 'b', OPTION_TEXT, "NAME", "the workspace of a sandbox that has its own",
          &g.sandbox },
        { "quiet", 'q', OPTION_FLAG, NULL, "say nothing but errors", &g.quiet },
        CLIENT_OPTIONS(&g.where),
        { 0 },
    };
    const struct options options = {
        .command = "get",
        .arguments = "PATH [FILE]",
        .min_arguments = 1,
        .max_arguments = 2,
        .specs = specs,
        .about = "Copies a file from the workspace to FILE, or under its own name into the folder "
                 "FILE or here. '-' is stdout.\nA connection that breaks is taken up again where "
                 "it was; FILE is there whole or not at all.",
        .examples = "  kernelhub get plot.png\n"
                    "  kernelhub get results/table.csv - | head\n"
                    "  kernelhub get -r results - | tar x\n",
    };
    struct option_list args;
    struct err e = ERR_INIT;
    int code;

    if (!options_read(&options, argc, argv, &args, &code))
        return code;
    if (g.format &&
        (!g.recursive || (strcmp(g.format, "zip") != 0 && strcmp(g.format, "tar") != 0))) {
        fprintf(stderr, "kernelhub get: --format is zip or tar, and goes with --recursive\n");
        return 2;
    }
    code = get(&g, args.items[0], args.n > 1 ? args.items[1] : NULL, &e) < 0
               ? client_complain("get", g.client, &e)
               : 0;
    client_free(g.client);
    return g.progress.caught ? 128 + g.progress.caught : code;
}
