#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/small_file.h"
#include "cmd/ask.h"
#include "cmd/commands.h"
#include "cmd/paths.h"
#include "protocol/requirement.h"

#define IMAGE_PREFIX   "localhost/kernelhub-"
#define MAX_LIST_BYTES (64u << 10)

static int need_root(const char *what)
{
    if (geteuid() == 0)
        return 0;
    fprintf(stderr, "kernelhub image: images belong to root: sudo kernelhub image %s\n", what);
    return -1;
}

/* Becomes another program; returns only when that fails. */
static int become(const char *program, const char *const *argv)
{
    (void)fflush(stdout);
    (void)execvp(program, (char *const *)argv);
    fprintf(stderr, "kernelhub image: cannot run %s: %s\n", program, strerror(errno));
    return 1;
}

/* "a b", or "@FILE" with one or more a line and comments: as words, each of them no more than a package and its versions. */
static int read_packages(const char *given, struct buf *ret, struct err *e)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_LIST_BYTES);
    if (given[0] == '@') {
        if (small_file_read(AT_FDCWD, given + 1, &text, e) < 0)
            return -1;
    } else {
        buf_add_str(&text, given);
    }
    char *rest = text.len ? text.data : NULL;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        line[strcspn(line, "#")] = '\0';
        for (char *word; (word = strsep(&line, " \t\r")) != NULL;) {
            struct requirement r;
            if (!*word)
                continue;
            if (!requirement_parse(REQUIREMENT_PYTHON, slice_str(word), &r))
                return err_set(e, ERR_INVALID,
                               "'%.100s' is no package; one looks like: numpy>=2,<3 (no blanks)",
                               word);
            buf_add_str(ret, ret->len ? " " : "");
            requirement_write(&r, "", ret);
        }
    }
    return ret->len ? 0 : err_set(e, ERR_INVALID, "--packages names none");
}

static int build(const char *name, bool force, const char *packages, const char *tag)
{
    CLEANUP_BUF struct buf list = BUF_INIT(MAX_LIST_BYTES);
    struct err e = ERR_INIT;
    char script[PATH_SIZE];
    const char *argv[9];
    size_t n = 0;

    if (packages && read_packages(packages, &list, &e) < 0) {
        fprintf(stderr, "kernelhub image: %s\n", e.text);
        return 2;
    }

    if (need_root("build") < 0)
        return 1;
    if (paths_join(script, paths_data(), "images/build", &e) < 0) {
        fprintf(stderr, "kernelhub image: %s\n", e.text);
        return 1;
    }
    argv[n++] = script;
    if (force)
        argv[n++] = "--force";
    if (packages) {
        argv[n++] = "--packages";
        argv[n++] = list.data;
    }
    if (tag) {
        argv[n++] = "--tag";
        argv[n++] = tag;
    }
    argv[n++] = name;
    argv[n] = NULL;
    return become(script, argv);
}

static bool is_name(const char *name)
{
    return *name && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == strlen(name) &&
           name[0] != '-';
}

static int remove_image(const char *name)
{
    char full[256];

    if (need_root("rm") < 0)
        return 1;
    (void)snprintf(full, sizeof full, IMAGE_PREFIX "%.200s:latest", name);
    return become("podman", (const char *const[]){ "podman", "rmi", full, NULL });
}

/* What the service knows; without a service what Podman knows. */
static int list(const struct ask *a)
{
    static const struct table_column COLUMNS[] = {
        { "TEMPLATE", "template" },
        { "IMAGE", "image" },
        { "BYTES", "size_bytes" },
        { "CREATED", "created_at" },
    };
    CLEANUP(client_free) struct client *client = NULL;
    CLEANUP(json_decref) json_t *reply = NULL;
    struct err e = ERR_INIT;

    if (client_new(&a->where, &client, &e) == 0 &&
        client_call(client, "GET", "/api/v1/images", NULL, &reply, &e) == 0) {
        if (a->json)
            table_print_json(reply);
        else
            table_print(json_object_get(reply, "items"), COLUMNS, ARRAY_LEN(COLUMNS));
        return 0;
    }
    if (!client || !client_may_retry(client) || geteuid() != 0)
        return client_complain("image", client, &e);
    const char *format = a->json ? "json" : "table {{.Repository}}\t{{.Size}}\t{{.CreatedSince}}";
    return become("podman",
                  (const char *const[]){ "podman", "images", "--filter",
                                         "reference=" IMAGE_PREFIX "*", "--format", format, NULL });
}

int command_image(int argc, char **argv)
{
    struct ask a = { .command = "image" };
    bool force = false;
    const char *packages = NULL, *tag = NULL;
    const struct option_spec specs[] = {
        { "force", 'f', OPTION_FLAG, NULL, "with build: although nothing changed", &force },
        { "packages", 0, OPTION_TEXT, "LIST",
          "with build: NAME and these pip packages, \"a b>=2\" or @FILE, as another image",
          &packages },
        { "tag", 0, OPTION_TEXT, "NAME", "with --packages: the name of that image and its template",
          &tag },
        ASK_OPTIONS(&a),
        { 0 },
    };
    const struct options options = {
        .command = "image",
        .arguments = "build NAME | ls | rm NAME",
        .min_arguments = 1,
        .max_arguments = 2,
        .specs = specs,
        .about = "Images that sandboxes are made from: slim starts fast, python has the "
                 "data-science packages.\n"
                 "Building takes from half a minute to some minutes and shows its progress.",
        .examples = "  sudo kernelhub image build python\n  kernelhub image ls\n"
                    "  sudo kernelhub image build slim --packages \"numpy>=2 pandas\" --tag data\n",
    };
    struct option_list args;
    int code;

    if (!options_read(&options, argc, argv, &args, &code))
        return code;
    if (args.n == 1 && strcmp(args.items[0], "ls") == 0)
        return list(&a);
    if (args.n == 2 && !is_name(args.items[1])) {
        fprintf(stderr, "kernelhub image: '%s' is no name of an image\n", args.items[1]);
        return 2;
    }
    if (tag && !is_name(tag)) {
        fprintf(stderr, "kernelhub image: '%s' is no name of an image\n", tag);
        return 2;
    }
    if (!packages != !tag) {
        fprintf(stderr, "kernelhub image: --packages and --tag go together\n");
        return 2;
    }
    if (args.n == 2 && strcmp(args.items[0], "build") == 0)
        return build(args.items[1], force, packages, tag);
    if (args.n == 2 && strcmp(args.items[0], "rm") == 0)
        return remove_image(args.items[1]);
    fprintf(stderr, "kernelhub image: it is %s (see kernelhub image --help)\n", options.arguments);
    return 2;
}
