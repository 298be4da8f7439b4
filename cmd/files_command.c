/* kernelhub ls and rm: what is in the workspace, and away with it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/ask.h"
#include "cmd/commands.h"
#include "cmd/progress.h"
#include "cmd/remote.h"

#define PAGE "1000"

struct list {
    struct ask ask;
    const char *sandbox, *pattern;
    bool recursive, longer, usage;
    bool is_terminal;
};

/* ---- ls ---- */

static void print_item(const struct list *l, json_t *item)
{
    char size[PROGRESS_SIZE_CHARS] = "-";
    const char *path = json_string_value(json_object_get(item, "path"));
    const char *type = json_string_value(json_object_get(item, "type"));
    const char *time = json_string_value(json_object_get(item, "modified_at"));
    const json_t *bytes = json_object_get(item, "size_bytes");
    char *plain = path && l->is_terminal ? progress_plain(path) : NULL;

    if (json_is_integer(bytes))
        progress_size(json_integer_value(bytes), size);
    if (l->longer)
        printf("%12s  %.19s  ", size, time ? time : "-");
    printf("%s%s\n",
           plain  ? plain
           : path ? path
                  : "",
           type && strcmp(type, "directory") == 0 ? "/" : "");
    free(plain);
}

static char *list_url(const struct list *l, const char *path, const char *cursor)
{
    char *url = remote_files(l->sandbox);

    url = remote_add(url, "path", path && *path ? path : NULL);
    url = remote_add(url, "recursive", l->recursive ? "1" : NULL);
    url = remote_add(url, "pattern", l->pattern);
    url = remote_add(url, "limit", PAGE);
    return remote_add(url, "cursor", cursor);
}

/* One page; *cursor becomes the next one's, NULL at the end. With --json the items go into `all`. */
static int print_page(const struct list *l, const char *path, char **cursor, json_t *all)
{
    CLEANUP(json_decref) json_t *reply = NULL;
    char *url = list_url(l, path, *cursor);
    int code = ask_call(&l->ask, "GET", url, NULL, &reply);
    json_t *item;
    size_t i;

    free(url);
    free(*cursor);
    *cursor = NULL;
    if (code != 0)
        return code;
    const char *next = json_string_value(json_object_get(reply, "next"));
    *cursor = next ? strdup(next) : NULL;
    if (l->ask.json)
        return json_array_extend(all, json_object_get(reply, "items")) < 0;
    json_array_foreach(json_object_get(reply, "items"), i, item) print_item(l, item);
    return 0;
}

static int list_all(const struct list *l, const char *path)
{
    CLEANUP(json_decref) json_t *all = json_pack("{s:[],s:n}", "items", "next");
    char *cursor = NULL;
    int code;

    do
        code = print_page(l, path, &cursor, json_object_get(all, "items"));
    while (code == 0 && cursor);
    free(cursor);
    if (code == 0 && l->ask.json)
        table_print_json(all);
    return code;
}

static int print_usage(const struct list *l)
{
    char used[PROGRESS_SIZE_CHARS], limit[PROGRESS_SIZE_CHARS];
    CLEANUP(json_decref) json_t *reply = NULL;
    char *url = remote_add(remote_files(l->sandbox), "usage", "1");
    int code = ask_call(&l->ask, "GET", url, NULL, &reply);

    free(url);
    if (code != 0)
        return code;
    if (l->ask.json) {
        table_print_json(reply);
        return 0;
    }
    const json_t *most = json_object_get(reply, "limit");
    progress_size(json_integer_value(json_object_get(reply, "used")), used);
    progress_size(json_integer_value(most), limit);
    printf("%s of %s in %lld files\n", used, json_integer_value(most) ? limit : "unlimited room",
           (long long)json_integer_value(json_object_get(reply, "files")));
    return 0;
}

int command_ls(int argc, char **argv)
{
    struct list l = { .ask = { .command = "ls" }, .is_terminal = isatty(STDOUT_FILENO) };
    const struct option_spec specs[] = {
        { "long", 'l', OPTION_FLAG, NULL, "sizes and times, too", &l.longer },
        { "recursive", 'r', OPTION_FLAG, NULL, "what is in folders, too", &l.recursive },
        { "pattern", 'p', OPTION_TEXT, "GLOB", "only such names, or paths when it has a slash",
          &l.pattern },
        { "usage", 'u', OPTION_FLAG, NULL, "how much room is used, and how much there is",
          &l.usage },
        { "sandbox", 'b', OPTION_TEXT, "NAME", "the workspace of a sandbox that has its own",
          &l.sandbox },
        ASK_OPTIONS(&l.ask),
        { 0 },
    };
    const struct options options = {
        .command = "ls",
        .arguments = "[PATH]",
        .max_arguments = 1,
        .specs = specs,
        .about = "Lists the files of the workspace, one path a line; folders end with a slash.",
        .examples = "  kernelhub ls -l results\n"
                    "  kernelhub ls -r --pattern '*.png'\n"
                    "  kernelhub ls --usage\n",
    };
    struct option_list args;
    int code;

    if (!options_read(&options, argc, argv, &args, &code))
        return code;
    if (!l.usage)
        return list_all(&l, args.n ? args.items[0] : NULL);
    if (args.n || l.recursive || l.pattern || l.longer) {
        fprintf(stderr, "kernelhub ls: --usage is of the whole workspace\n");
        return 2;
    }
    return print_usage(&l);
}

/* ---- rm ---- */

struct removal {
    struct client_settings where;
    const char *sandbox;
    bool recursive, force, quiet;
};

static int remove_one(const struct removal *r, struct client *c, const char *path)
{
    struct err e = ERR_INIT;
    char *url = remote_file(path, r->sandbox, &e);

    url = url ? remote_add(url, "recursive", r->recursive ? "1" : NULL) : NULL;
    int rc = url ? client_call(c, "DELETE", url, NULL, NULL, &e) : -1;
    free(url);
    if (rc < 0 && !(r->force && e.code == ERR_NOT_FOUND)) {
        (void)err_in(&e, path); /* it stays an error */
        return client_complain("rm", c, &e);
    }
    if (rc == 0 && !r->quiet)
        printf("%s is removed\n", path);
    return 0;
}

int command_rm(int argc, char **argv)
{
    struct removal r = { .quiet = false };
    const struct option_spec specs[] = {
        { "recursive", 'r', OPTION_FLAG, NULL, "folders with all that is in them", &r.recursive },
        { "force", 'f', OPTION_FLAG, NULL, "what is not there is fine", &r.force },
        { "sandbox", 'b', OPTION_TEXT, "NAME", "the workspace of a sandbox that has its own",
          &r.sandbox },
        { "quiet", 'q', OPTION_FLAG, NULL, "say nothing but errors", &r.quiet },
        CLIENT_OPTIONS(&r.where),
        { 0 },
    };
    const struct options options = {
        .command = "rm",
        .arguments = "PATH…",
        .min_arguments = 1,
        .max_arguments = OPTION_MAX_VALUES,
        .specs = specs,
        .about = "Removes files and empty folders from the workspace. Nothing brings them back.",
        .examples = "  kernelhub rm old.csv\n  kernelhub rm -r results\n",
    };
    CLEANUP(client_free) struct client *client = NULL;
    struct option_list args;
    struct err e = ERR_INIT;
    int code, failed = 0;

    if (!options_read(&options, argc, argv, &args, &code))
        return code;
    if (client_new(&r.where, &client, &e) < 0)
        return client_complain("rm", client, &e);
    for (size_t i = 0; i < args.n; i++)
        failed |= remove_one(&r, client, args.items[i]);
    return failed;
}
