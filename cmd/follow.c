#include "cmd/follow.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define MAX_TRIES      20 /* without one new event in between */
#define MAX_BACKOFF_MS 3000
#define CALL_SECONDS   10 /* a signal is not seen meanwhile; nothing called here waits for code */

static void ask(struct follow *f, struct slice line)
{
    CLEANUP(json_decref) json_t *event = json_loadb(line.data, line.len, 0, NULL);
    const char *type = json_string_value(json_object_get(event, "type"));
    const char *text = json_string_value(json_object_get(event, "prompt"));

    if (type && strcmp(type, "input_request") == 0) {
        prompt_ask(&f->prompt, text ? text : "", json_is_true(json_object_get(event, "password")));
        f->input_fd = STDIN_FILENO;
    } else if (type && strcmp(type, "finished") == 0) {
        prompt_end(&f->prompt);
        f->input_fd = -1;
    }
}

static void on_event(void *arg, uint64_t seq, struct slice data)
{
    struct follow *f = arg;

    if (seq != 0 && seq <= f->last_seq)
        return; /* seen before the connection broke */
    if (seq != 0) {
        f->last_seq = seq;
        f->tries = 0;
    }
    if (!f->quiet)
        printer_event(f->printer, data);
    else if (memmem(data.data, data.len, "\"type\":\"finished\"", 17))
        (void)snprintf(f->printer->status, sizeof f->printer->status, "finished");
    if (f->asks && (memmem(data.data, data.len, "\"input_request\"", 15) ||
                    memmem(data.data, data.len, "\"finished\"", 10)))
        ask(f, data);
}

/* Ctrl-C: the first interrupts the code and we see it end; the second leaves it alone. */
static bool on_signal(void *arg)
{
    struct follow *f = arg;
    struct signalfd_siginfo info;
    struct err e = ERR_INIT;

    if (read(f->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return true;
    if (f->interrupts++ > 0 || info.ssi_signo != SIGINT) {
        f->ret_left = true;
        return false;
    }
    char *path = client_path("/api/v1/executions/", f->id.text, "/interrupt");
    if (client_call(f->client, "POST", path, NULL, NULL, &e) < 0)
        fprintf(stderr, "\nkernelhub %s: interrupt: %s\n", f->command, e.text);
    else
        fprintf(stderr, "\n[interrupting; Ctrl-C again leaves without waiting]\n");
    free(path);
    return true;
}

/* Longer and longer; a signal ends the wait. */
static void back_off(struct follow *f)
{
    struct pollfd p = { .fd = f->signal_fd, .events = POLLIN };
    int ms = f->tries >= 5 ? MAX_BACKOFF_MS : 100 << f->tries;

    f->tries++;
    if (poll(&p, 1, ms) > 0)
        (void)on_signal(f);
}

/* Says whether to go on trying: the service may be away for a moment, the question waits for it. */
static bool send_answer(struct follow *f, const char *path, const json_t *body)
{
    struct err e = ERR_INIT;

    if (client_call(f->client, "POST", path, body, NULL, &e) == 0)
        return false;
    if (client_may_retry(f->client))
        return true;
    if (e.code == ERR_CONFLICT)
        fprintf(stderr, "[nothing waits for input]\n");
    else
        fprintf(stderr, "kernelhub %s: input: %s\n", f->command, e.text);
    return false;
}

static bool on_input(void *arg)
{
    struct follow *f = arg;
    CLEANUP_BUF struct buf line = BUF_INIT(8192);
    bool hidden = f->prompt.hidden;

    prompt_read(&f->prompt, &line);
    if (f->prompt.open)
        return true;
    f->input_fd = -1;
    json_t *value = json_stringn(line.data ? line.data : "", line.len);
    if (!value) {
        prompt_ask(&f->prompt, "[that is not UTF-8; again:] ", hidden);
        f->input_fd = STDIN_FILENO;
        return true;
    }
    CLEANUP(json_decref) json_t *body = json_pack("{s:o}", "value", value);
    char *path = client_path("/api/v1/executions/", f->id.text, "/input");
    for (f->tries = 0; send_answer(f, path, body) && f->tries < MAX_TRIES && !f->ret_left;)
        back_off(f);
    free(path);
    return !f->ret_left;
}

/* Before the first event the request is sent again, which attaches when it had arrived: the id is
 * ours. */
static int stream_once(struct follow *f, struct err *e)
{
    char *path = NULL;
    struct client_stream s = { .method = "POST",
                               .path = f->path,
                               .body = f->body,
                               .on_event = on_event,
                               .arg = f,
                               .wake_fd = f->signal_fd,
                               .on_wake = on_signal,
                               .input_fd = &f->input_fd,
                               .on_input = on_input };

    if (f->last_seq > 0 || !f->path) {
        if (asprintf(&path, "/api/v1/executions/%s/events?after=%llu&follow=1", f->id.text,
                     (unsigned long long)f->last_seq) < 0)
            abort();
        s.method = "GET";
        s.path = path;
        s.body = NULL;
    }
    int rc = client_stream(f->client, &s, e);
    free(path);
    return rc;
}

/* Its events may have ended before what we ask for: then its record says how. */
static int look_at_record(struct follow *f, struct err *e)
{
    CLEANUP(json_decref) json_t *record = NULL;
    char *path = client_path("/api/v1/executions/", f->id.text, "");
    int rc = client_call(f->client, "GET", path, NULL, &record, e);

    free(path);
    if (rc == 0 && json_is_string(json_object_get(record, "finished_at")))
        printer_end(f->printer, record);
    return rc;
}

static int to_the_end(struct follow *f, struct err *e)
{
    bool reached = false;

    while (!f->printer->status[0] && !f->ret_left) {
        int rc = stream_once(f, e);
        reached = reached || client_reached(f->client);
        if (f->printer->status[0] || f->ret_left)
            break;
        if (rc == 0 && f->last_seq > 0)
            rc = look_at_record(f, e);
        if (f->printer->status[0])
            break;
        if (rc < 0 && (!client_may_retry(f->client) || !reached))
            return -1;
        if (f->tries >= MAX_TRIES)
            return rc < 0
                       ? err_in(e, "gave up following (the code may still run: kernelhub history)")
                       : err_set(e, ERR_INTERNAL, "the events end without an end of the execution");
        back_off(f);
    }
    return 0;
}

static int catch_signals(struct follow *f, struct err *e)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP); /* also with these the terminal gets its echo back */
    sigaddset(&set, SIGQUIT);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    f->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return f->signal_fd < 0 ? err_errno(e, ERR_INTERNAL, "watch signals") : 0;
}

int follow(struct follow *f, struct err *e)
{
    if (catch_signals(f, e) < 0)
        return -1;
    f->input_fd = -1;
    client_set_patience(f->client, CALL_SECONDS);
    int rc = to_the_end(f, e);
    prompt_end(&f->prompt);
    close_fd_at(&f->signal_fd);
    return rc;
}

int follow_print_record(struct follow *f, struct err *e)
{
    CLEANUP(json_decref) json_t *record = NULL;
    char *path = client_path("/api/v1/executions/", f->id.text, "");
    int rc = client_call(f->client, "GET", path, NULL, &record, e);

    free(path);
    if (rc == 0)
        printer_record(f->printer, record);
    return rc;
}

int follow_exit_code(const struct follow *f, int rc, const struct err *e)
{
    if (rc < 0) {
        (void)client_complain(f->command, f->client, e);
        return FOLLOW_NOT_SEEN;
    }
    return f->ret_left ? 130 : f->printer->exit_code;
}
