#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/uuid.h"
#include "cmd/commands.h"
#include "cmd/printer.h"

#define MAX_CODE_BYTES (8u << 20) /* the service's own limit is lower and says so */
#define MAX_TRIES      20         /* without one new event in between */
#define MAX_BACKOFF_MS 3000
#define EXIT_NO_RUN    125 /* it is not the code that failed */

struct run {
    struct client_settings where;
    const char *session, *language, *timeout, *stdin_text, *save_dir;
    bool no_stream, json;
    struct option_list env;

    struct client *client;
    struct printer printer;
    struct uuid id;
    json_t *body;
    uint64_t last_seq;
    unsigned tries;
    int signal_fd;
    unsigned interrupts;
    bool leave;
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
    r->id = uuid_new();
    r->body = json_pack("{s:o,s:s}", "code", text, "execution_id", r->id.text);
    if (r->session)
        (void)json_object_set_new(r->body, "session", json_string(r->session));
    if (language)
        (void)json_object_set_new(r->body, "language", json_string(language));
    if (r->stdin_text)
        (void)json_object_set_new(r->body, "stdin", json_string(r->stdin_text));
    if (r->timeout) {
        double seconds = strtod(r->timeout, &end);
        if (end == r->timeout || *end || !(seconds > 0))
            return err_set(e, ERR_INVALID, "--timeout takes seconds, not '%.50s'", r->timeout);
        (void)json_object_set_new(r->body, "timeout_seconds", json_real(seconds));
    }
    return add_env(r, e);
}

/* ---- following it to its end ---- */

static void on_event(void *arg, uint64_t seq, struct slice data)
{
    struct run *r = arg;

    if (seq != 0 && seq <= r->last_seq)
        return; /* seen before the connection broke */
    if (seq != 0) {
        r->last_seq = seq;
        r->tries = 0;
    }
    if (!r->no_stream)
        printer_event(&r->printer, data);
    else if (memmem(data.data, data.len, "\"type\":\"finished\"", 17))
        (void)snprintf(r->printer.status, sizeof r->printer.status, "finished");
}

/* Ctrl-C: the first interrupts the code and we see it end; the second leaves it alone. */
static bool on_signal(void *arg)
{
    struct run *r = arg;
    struct signalfd_siginfo info;
    struct err e = ERR_INIT;

    if (read(r->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return true;
    if (r->interrupts++ > 0 || info.ssi_signo == SIGTERM) {
        r->leave = true;
        return false;
    }
    char *path = client_path("/api/v1/executions/", r->id.text, "/interrupt");
    if (client_call(r->client, "POST", path, NULL, NULL, &e) < 0)
        fprintf(stderr, "\nkernelhub run: interrupt: %s\n", e.text);
    else
        fprintf(stderr, "\n[interrupting; Ctrl-C again leaves without waiting]\n");
    free(path);
    return true;
}

/* Longer and longer; a signal ends the wait. */
static void back_off(struct run *r)
{
    struct pollfd p = { .fd = r->signal_fd, .events = POLLIN };
    int ms = r->tries >= 5 ? MAX_BACKOFF_MS : 100 << r->tries;

    r->tries++;
    if (poll(&p, 1, ms) > 0)
        (void)on_signal(r);
}

/* Before the first event the request is sent again, which attaches when it had arrived: the id is
 * ours. */
static int stream_once(struct run *r, struct err *e)
{
    char *path = NULL;
    struct client_stream s = { .method = "POST",
                               .path = "/api/v1/execute",
                               .body = r->body,
                               .on_event = on_event,
                               .arg = r,
                               .wake_fd = r->signal_fd,
                               .on_wake = on_signal };

    if (r->last_seq > 0) {
        if (asprintf(&path, "/api/v1/executions/%s/events?after=%llu&follow=1", r->id.text,
                     (unsigned long long)r->last_seq) < 0)
            abort();
        s.method = "GET";
        s.path = path;
        s.body = NULL;
    }
    int rc = client_stream(r->client, &s, e);
    free(path);
    return rc;
}

static int follow(struct run *r, struct err *e)
{
    bool reached = false;

    while (!r->printer.status[0] && !r->leave) {
        int rc = stream_once(r, e);
        reached = reached || client_reached(r->client);
        if (r->printer.status[0] || r->leave)
            break;
        if (rc < 0 && (!client_may_retry(r->client) || !reached))
            return -1;
        if (r->tries >= MAX_TRIES)
            return rc < 0
                       ? err_in(e, "gave up following (the code may still run: kernelhub history)")
                       : err_set(e, ERR_INTERNAL, "the events end without an end of the execution");
        back_off(r);
    }
    return 0;
}

static int print_record(struct run *r, struct err *e)
{
    CLEANUP(json_decref) json_t *record = NULL;
    char *path = client_path("/api/v1/executions/", r->id.text, "");
    int rc = client_call(r->client, "GET", path, NULL, &record, e);

    free(path);
    if (rc == 0)
        printer_record(&r->printer, record);
    return rc;
}

static int catch_signals(struct run *r, struct err *e)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    r->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return r->signal_fd < 0 ? err_errno(e, ERR_INTERNAL, "watch signals") : 0;
}

static int run(struct run *r, const char *argument, struct err *e)
{
    if (client_new(&r->where, &r->client, e) < 0 || build_body(r, argument, e) < 0 ||
        catch_signals(r, e) < 0)
        return -1;
    printer_init(&r->printer, r->client, r->save_dir, r->json);
    if (follow(r, e) < 0)
        return -1;
    return r->no_stream && !r->leave ? print_record(r, e) : 0;
}

int command_run(int argc, char **argv)
{
    struct run r = { .signal_fd = -1 };
    const struct option_spec specs[] = {
        { "session", 's', OPTION_TEXT, "NAME", "run in this session (default: the language's own)",
          &r.session },
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
                 "leaves it running.",
        .examples = "  kernelhub run 'x = 42'; kernelhub run 'print(x)'\n"
                    "  kernelhub run @script.py --timeout 600 --save plots\n"
                    "  echo 'ls -l' | kernelhub run -l bash -\n",
    };
    struct option_list arguments;
    struct err e = ERR_INIT;
    int code;

    if (!options_read(&options, argc, argv, &arguments, &code))
        return code;
    if (run(&r, arguments.items[0], &e) < 0) {
        (void)client_complain("run", r.client, &e);
        code = EXIT_NO_RUN;
    } else {
        code = r.leave ? 130 : r.printer.exit_code;
    }
    json_decref(r.body);
    client_free(r.client);
    return code;
}
