#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/commands.h"
#include "cmd/follow.h"

#define MAX_CODE_BYTES (8u << 20) /* the service's own limit is lower and says so */

struct run {
    struct client_settings where;
    const char *session, *sandbox, *language, *timeout, *stdin_text, *save_dir;
    bool no_stream, json;
    struct option_list env;

    struct printer printer;
    struct follow follow;
    json_t *body;
};

/* ---- what to run ---- */

static int read_all(FILE *file, struct buf *out)
{
    char chunk[65536];
    size_t n;

    while ((n = fread(chunk, 1, sizeof chunk, file)) > 0)
        buf_add(out, chunk, n);
    return ferror(file) || out->failed ? -1 : 0;
}

static int read_code(const char *argument, struct buf *out, struct err *e)
{
    if (strcmp(argument, "-") == 0)
        return read_all(stdin, out) < 0 ? err_errno(e, ERR_INVALID, "read the code from stdin") : 0;
    if (argument[0] != '@') {
        buf_add_str(out, argument);
        return 0;
    }
    FILE *file = fopen(argument + 1, "re");
    int rc = file ? read_all(file, out) : -1;
    if (rc < 0)
        (void)err_errno(e, ERR_INVALID, "read %s", argument + 1);
    if (file)
        (void)fclose(file);
    return rc;
}

/* A file's name says its language when nothing else does. */
static const char *language_of(const char *argument)
{
    static const struct {
        const char *suffix, *language;
    } TABLE[] = {
        { ".py", "python" },     { ".sh", "bash" },
        { ".js", "javascript" }, { ".mjs", "javascript" },
        { ".ts", "typescript" }, { ".r", "r" },
        { ".R", "r" },           { ".jl", "julia" },
        { ".rs", "rust" },       { ".go", "go" },
    };
    const char *dot = argument[0] == '@' ? strrchr(argument, '.') : NULL;

    for (size_t i = 0; dot && i < ARRAY_LEN(TABLE); i++)
        if (strcmp(dot, TABLE[i].suffix) == 0)
            return TABLE[i].language;
    return NULL;
}

static int add_env(const struct run *r, struct err *e)
{
    json_t *env = json_object();

    for (size_t i = 0; i < r->env.n; i++) {
        const char *item = r->env.items[i], *equals = strchr(item, '=');
        if (!equals || equals == item) {
            json_decref(env);
            return err_set(e, ERR_INVALID, "--env takes NAME=VALUE, not '%.100s'", item);
        }
        char *name = strndup(item, (size_t)(equals - item));
        (void)json_object_set_new(env, name, json_string(equals + 1));
        free(name);
    }
    if (r->env.n > 0)
        return json_object_set_new(r->body, "env", env);
    json_decref(env);
    return 0;
}

static int build_body(struct run *r, const char *argument, struct err *e)
{
    CLEANUP_BUF struct buf code = BUF_INIT(MAX_CODE_BYTES);
    const char *language = r->language ? r->language : r->session ? NULL : language_of(argument);
    char *end;

    if (read_code(argument, &code, e) < 0)
        return -1;
    json_t *text = json_stringn(code.data ? code.data : "", code.len);
    if (!text)
        return err_set(e, ERR_INVALID, "the code is not UTF-8");
    r->body = json_pack("{s:o,s:s}", "code", text, "execution_id", r->follow.id.text);
    r->follow.body = r->body;
    r->follow.quiet = r->no_stream;
    if (r->session)
        (void)json_object_set_new(r->body, "session", json_string(r->session));
    if (r->sandbox)
        (void)json_object_set_new(r->body, "sandbox", json_string(r->sandbox));
    if (language)
        (void)json_object_set_new(r->body, "language", json_string(language));
    if (r->stdin_text)
        (void)json_object_set_new(r->body, "stdin", json_string(r->stdin_text));
    (void)json_object_set_new(r->body, "interactive", json_boolean(r->follow.asks));
    if (r->timeout) {
        double seconds = strtod(r->timeout, &end);
        if (end == r->timeout || *end || !(seconds > 0))
            return err_set(e, ERR_INVALID, "--timeout takes seconds, not '%.50s'", r->timeout);
        (void)json_object_set_new(r->body, "timeout_seconds", json_real(seconds));
    }
    return add_env(r, e);
}

static int run(struct run *r, const char *argument, struct err *e)
{
    struct follow *f = &r->follow;

    if (client_new(&r->where, &f->client, e) < 0 || build_body(r, argument, e) < 0)
        return -1;
    printer_init(&r->printer, f->client, &f->id, r->save_dir, r->json);
    if (follow(f, e) < 0)
        return -1;
    return r->no_stream && !f->ret_left ? follow_print_record(f, e) : 0;
}

int command_run(int argc, char **argv)
{
    struct run r = { .follow = { "run", .path = "/api/v1/execute", .id = uuid_new() } };
    const struct option_spec specs[] = {
        { "session", 's', OPTION_TEXT, "NAME", "run in this session (default: the language's own)",
          &r.session },
        { "sandbox", 'b', OPTION_TEXT, "NAME", "run in this sandbox (default: your own)",
          &r.sandbox },
        { "language", 'l', OPTION_TEXT, "L", "python, bash, javascript …", &r.language },
        { "timeout", 't', OPTION_TEXT, "SECONDS", "interrupt it after so long (default 30)",
          &r.timeout },
        { "env", 'e', OPTION_LIST, "K=V", "environment for this run; may come more than once",
          &r.env },
        { "stdin-text", 0, OPTION_TEXT, "TEXT", "lines for input()", &r.stdin_text },
        { "save", 0, OPTION_TEXT, "DIR", "write images and HTML to files there", &r.save_dir },
        { "no-stream", 0, OPTION_FLAG, NULL, "print everything at the end", &r.no_stream },
        { "json", 0, OPTION_FLAG, NULL, "one event a line; with --no-stream the record", &r.json },
        CLIENT_OPTIONS(&r.where),
        { 0 },
    };
    const struct options options = {
        .command = "run",
        .arguments = "CODE|@FILE|-",
        .min_arguments = 1,
        .max_arguments = 1,
        .specs = specs,
        .about = "Runs code in a session, whose variables stay, and shows its output as it comes. "
                 "Exits with the\n"
                 "code's own exit code; 125: it could not be run. Ctrl-C interrupts it, twice "
                 "leaves it running.\n"
                 "On a terminal input() asks there. Else it gets the lines of --stdin-text, or "
                 "fails: stdin is read\n"
                 "only for '-', as code.",
        .examples = "  kernelhub run 'x = 42'; kernelhub run 'print(x)'\n"
                    "  kernelhub run @script.py --timeout 600 --save plots\n"
                    "  echo 'ls -l' | kernelhub run -l bash -\n",
    };
    struct option_list arguments;
    struct err e = ERR_INIT;
    int code;

    if (!options_read(&options, argc, argv, &arguments, &code))
        return code;
    r.follow.printer = &r.printer;
    r.follow.asks = prompt_is_possible() && !r.json && !r.no_stream && !r.stdin_text;
    code = follow_exit_code(&r.follow, run(&r, arguments.items[0], &e), &e);
    json_decref(r.body);
    client_free(r.follow.client);
    return code;
}
