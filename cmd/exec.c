#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/commands.h"
#include "cmd/follow.h"

#define MAX_STDIN_BYTES                                                                            \
    (8u << 20) /* the service's own limit, which a terminal's user would never reach */

struct exec {
    struct client_settings where;
    const char *sandbox, *cwd, *timeout;
    bool json, no_stdin;
    struct option_list env;

    char *path;
    struct printer printer;
    struct follow follow;
    json_t *body;
};

static int set(struct exec *x, const char *name, json_t *value, const char *what, struct err *e)
{
    if (!value)
        return err_set(e, ERR_INVALID, "%s is not text in UTF-8", what);
    return json_object_set_new(x->body, name, value);
}

static int add_command(struct exec *x, char *const *words, struct err *e)
{
    json_t *cmd = json_array();

    for (size_t i = 0; words[i]; i++) {
        if (json_array_append_new(cmd, json_string(words[i])) < 0) {
            json_decref(cmd);
            return err_set(e, ERR_INVALID, "an argument is not text in UTF-8");
        }
    }
    return set(x, "cmd", cmd, "", e);
}

static int add_env(struct exec *x, struct err *e)
{
    json_t *env = json_object();

    for (size_t i = 0; i < x->env.n; i++) {
        const char *item = x->env.items[i], *equals = strchr(item, '=');
        char *name = equals ? strndup(item, (size_t)(equals - item)) : NULL;
        int rc = name && *name ? json_object_set_new(env, name, json_string(equals + 1)) : -1;
        free(name);
        if (rc < 0) {
            json_decref(env);
            return err_set(e, ERR_INVALID, "--env takes NAME=VALUE, not '%.100s'", item);
        }
    }
    return set(x, "env", env, "", e);
}

/* What is piped into us is piped into the command; a terminal is not: nobody could end it. */
static int add_stdin(struct exec *x, struct err *e)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_STDIN_BYTES);
    char chunk[65536];
    ssize_t n;

    if (x->no_stdin || isatty(STDIN_FILENO))
        return 0;
    while ((n = read(STDIN_FILENO, chunk, sizeof chunk)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            buf_add(&text, chunk, (size_t)n);
    if (n < 0 && errno == EBADF)
        return 0; /* closed */
    if (n < 0)
        return err_errno(e, ERR_INVALID, "read stdin");
    if (text.failed)
        return err_set(e, ERR_TOO_LARGE,
                       "stdin has more than %u bytes: put it into a file of the workspace",
                       MAX_STDIN_BYTES);
    if (text.len && memchr(text.data, '\0', text.len))
        return err_set(e, ERR_INVALID, "stdin holds a NUL: put it into a file of the workspace");
    return set(x, "stdin", json_stringn(text.data ? text.data : "", text.len), "stdin", e);
}

static int build_body(struct exec *x, char *const *words, struct err *e)
{
    char *end;

    x->body = json_pack("{s:s}", "execution_id", x->follow.id.text);
    x->follow.body = x->body;
    if (add_command(x, words, e) < 0 || (x->env.n && add_env(x, e) < 0) || add_stdin(x, e) < 0)
        return -1;
    if (x->cwd && set(x, "cwd", json_string(x->cwd), "--cwd", e) < 0)
        return -1;
    if (!x->timeout)
        return 0;
    double seconds = strtod(x->timeout, &end);
    if (end == x->timeout || *end || !(seconds > 0))
        return err_set(e, ERR_INVALID, "--timeout takes seconds, not '%.50s'", x->timeout);
    return set(x, "timeout_seconds", json_real(seconds), "", e);
}

static int exec(struct exec *x, char *const *words, struct err *e)
{
    struct follow *f = &x->follow;

    f->path = x->path =
        client_path("/api/v1/sandboxes/", x->sandbox ? x->sandbox : "default", "/exec");
    if (client_new(&x->where, &f->client, e) < 0 || build_body(x, words, e) < 0)
        return -1;
    printer_init(&x->printer, f->client, &f->id, NULL, x->json);
    return follow(f, e);
}

int command_exec(int argc, char **argv)
{
    struct exec x = { .follow = { "exec", .id = uuid_new() } };
    const struct option_spec specs[] = {
        { "sandbox", 'b', OPTION_TEXT, "NAME", "run in this sandbox (default: 'default')",
          &x.sandbox },
        { "cwd", 'w', OPTION_TEXT, "DIR", "absolute, or beneath /workspace, which is the default",
          &x.cwd },
        { "env", 'e', OPTION_LIST, "K=V", "environment; may come more than once", &x.env },
        { "timeout", 't', OPTION_TEXT, "SECONDS", "interrupt it after so long (default 30)",
          &x.timeout },
        { "no-stdin", 'n', OPTION_FLAG, NULL, "read no stdin: the command has none", &x.no_stdin },
        { "json", 0, OPTION_FLAG, NULL, "one event a line", &x.json },
        CLIENT_OPTIONS(&x.where),
        { 0 },
    };
    const struct options options = {
        .command = "exec",
        .arguments = "[--] COMMAND [ARGUMENT]…",
        .command_follows = true,
        .specs = specs,
        .about = "Runs a command in a sandbox, beside its cells, and shows its output as it comes. "
                 "Exits with the\n"
                 "command's own exit code or 128 + signal; 127: there is no such program; 125: it "
                 "could not be run.\n"
                 "No shell reads the command. What is piped into it is its stdin. Ctrl-C "
                 "interrupts it, twice leaves it running.",
        .examples = "  kernelhub exec ls -l\n"
                    "  kernelhub exec --cwd project --timeout 600 -- make -j2\n"
                    "  kernelhub exec sh -c 'sort | uniq -c' < names.txt\n",
    };
    struct option_list arguments;
    struct err e = ERR_INIT;
    int code;

    if (!options_read(&options, argc, argv, &arguments, &code))
        return code;
    x.follow.printer = &x.printer;
    code = follow_exit_code(&x.follow, exec(&x, arguments.rest, &e), &e);
    json_decref(x.body);
    free(x.path);
    client_free(x.follow.client);
    return code;
}
