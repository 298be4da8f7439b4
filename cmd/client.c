#include "cmd/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/client_curl.h"
#include "cmd/paths.h"
#include "cmd/token_file.h"

#define DEFAULT_URL     "http://127.0.0.1:8080"
#define MAX_REPLY       (256u << 20)
#define CONNECT_SECONDS 5L
#define MAX_URL         (64u << 10) /* more than any service reads */
#define SILENT_SECONDS  60L         /* a stream says something every 15 s */
#define CALL_SECONDS    180L /* a sandbox may have to end or to start first, and a kernel: 60 s each */

struct client {
    CURL *curl;
    char url[256], token[256];
    long patience_seconds; /* with a call's reply */
    bool may_retry, reached;
};

/* One request under way: either its reply is collected, or it is a stream of events. */
struct transfer {
    struct client *client;
    CURL *curl; /* the client's for calls; a stream's own, so that calls can be made meanwhile */
    struct curl_slist *headers;
    char *body;
    struct buf reply;
    struct sse_reader *events; /* NULL: none wanted */
    FILE *out;                 /* NULL: a good reply is collected too */
    char error[CURL_ERROR_SIZE];
};

/* ---- where and who ---- */

static void normalize(const char *url, char *ret, size_t size)
{
    static const char LOCAL[] = "http://localhost";

    if (strncmp(url, LOCAL, sizeof LOCAL - 1) == 0 && strchr(":/", url[sizeof LOCAL - 1]))
        (void)snprintf(ret, size, "http://127.0.0.1%s", url + sizeof LOCAL - 1);
    else
        (void)snprintf(ret, size, "%s", url);
    for (size_t n = strlen(ret); n > 0 && ret[n - 1] == '/'; n--)
        ret[n - 1] = '\0';
}

/* user:password@ would be sent as our key is, and hides which host is meant. */
static int check_url(const char *url, struct err *e)
{
    size_t scheme = strncmp(url, "http://", 7) == 0 ? 7 : strncmp(url, "https://", 8) == 0 ? 8 : 0;

    if (!scheme || memchr(url + scheme, '@', strcspn(url + scheme, "/?#")))
        return err_set(e, ERR_INVALID,
                       "'%.100s' is no address of a service; it looks like " DEFAULT_URL, url);
    return 0;
}

static int set_identity(struct client *c, const struct client_settings *s, struct err *e)
{
    struct token_file file = { 0 };
    char path[PATH_SIZE], asked[256], stored[256];
    const char *url = s->url ? s->url : getenv("KERNELHUB_URL");
    const char *token = s->token ? s->token : getenv("KERNELHUB_TOKEN");

    if ((url && strlen(url) >= sizeof c->url) || (token && strlen(token) >= sizeof c->token))
        return err_set(e, ERR_TOO_LARGE, "the service's address or the key is over %zu characters",
                       sizeof c->url - 1);
    if (paths_token_file("", path, NULL) == 0 && token_file_read(path, &file, e) < 0 &&
        (!url || !token))
        return -1;
    normalize(file.url[0] ? file.url : DEFAULT_URL, stored, sizeof stored);
    normalize(url && *url ? url : stored, asked, sizeof asked);
    if (check_url(asked, e) < 0)
        return -1;
    if (!token && strcmp(asked, stored) == 0)
        token = file.token;
    (void)snprintf(c->url, sizeof c->url, "%s", asked);
    (void)snprintf(c->token, sizeof c->token, "%s", token ? token : "");
    return 0;
}

int client_new(const struct client_settings *s, struct client **ret, struct err *e)
{
    CLEANUP(client_free) struct client *c = calloc(1, sizeof *c);

    if (!c || curl_global_init(CURL_GLOBAL_DEFAULT) != 0 || !(c->curl = curl_easy_init()))
        return err_set(e, ERR_INTERNAL, "libcurl does not start");
    c->patience_seconds = CALL_SECONDS;
    if (set_identity(c, s, e) < 0)
        return -1;
    *ret = TAKE(c);
    return 0;
}

void client_free(struct client *c)
{
    if (!c)
        return;
    if (c->curl)
        curl_easy_cleanup(c->curl);
    explicit_bzero(c->token, sizeof c->token);
    free(c);
}

const char *client_url(const struct client *c)
{
    return c->url;
}

void client_set_patience(struct client *c, long seconds)
{
    c->patience_seconds = seconds;
}

bool client_may_retry(const struct client *c)
{
    return c->may_retry;
}

bool client_reached(const struct client *c)
{
    return c->reached;
}

char *client_path(const char *before, const char *name, const char *after)
{
    char *escaped = curl_easy_escape(NULL, name, 0), *path = NULL;

    if (!escaped || asprintf(&path, "%s%s%s", before, escaped, after) < 0)
        abort();
    curl_free(escaped);
    return path;
}

/* ---- one transfer ---- */

static void transfer_done_at(struct transfer *t)
{
    curl_slist_free_all(t->headers);
    free(t->body);
    buf_done(&t->reply);
}
#define CLEANUP_TRANSFER __attribute__((cleanup(transfer_done_at)))

static size_t on_bytes(char *data, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    long status = 0;

    (void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    if (t->events && status == 200)
        return sse_reader_feed(t->events, slice_of(data, size * n)) ? size * n : 0;
    if (t->out && status == 200)
        return fwrite(data, 1, size * n, t->out);
    buf_add(&t->reply, data, size * n);
    return t->reply.failed ? 0 : size * n;
}

static void add_key(const struct client *c, struct curl_slist **headers)
{
    char line[320];

    (void)snprintf(line, sizeof line, "Authorization: Bearer %s", c->token);
    if (c->token[0])
        *headers = curl_slist_append(*headers, line);
    explicit_bzero(line, sizeof line);
}

static void add_headers(struct transfer *t, const char *accept)
{
    char line[64];

    (void)snprintf(line, sizeof line, "Accept: %s", accept);
    t->headers = curl_slist_append(t->headers, line);
    t->headers = curl_slist_append(t->headers, "Content-Type: application/json");
    t->headers = curl_slist_append(t->headers, "Expect:"); /* no round trip before a large body */
}

/* Only a path is taken: what does not begin with a slash would go on with the host's name. */
static int set_url(const struct client *c, CURL *curl, const char *path, struct err *e)
{
    CLEANUP_BUF struct buf url = BUF_INIT(MAX_URL);

    if (path[0] != '/')
        return err_set(e, ERR_INVALID, "'%.100s' is no path of the service", path);
    buf_addf(&url, "%s%s", c->url, path);
    if (url.failed || curl_easy_setopt(curl, CURLOPT_URL, url.data) != CURLE_OK)
        return err_set(e, ERR_TOO_LARGE,
                       "what is asked for has %zu bytes, %u are the most an address can have",
                       strlen(path), MAX_URL);
    return 0;
}

/* The key goes to our service alone: no redirect is followed, and no name before a host taken. */
int client_aim(const struct client *c, CURL *curl, const char *path, long silent_seconds,
               struct curl_slist **headers, struct err *e)
{
    if (set_url(c, curl, path, e) < 0)
        return -1;
    add_key(c, headers);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, silent_seconds);
    if (strstr(c->url, "//127.0.0.1") || strstr(c->url, "//[::1]"))
        curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    return 0;
}

static int prepare(struct transfer *t, const char *method, const char *path, const json_t *body,
                   struct err *e)
{
    CURL *curl = t->curl;

    buf_init(&t->reply, MAX_REPLY);
    t->client->may_retry = false;
    curl_easy_reset(curl);
    if (client_aim(t->client, curl, path, t->events ? SILENT_SECONDS : t->client->patience_seconds,
                   &t->headers, e) < 0)
        return -1;
    add_headers(t, t->events ? "text/event-stream" : "application/json");
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->error);
    if (body && (t->body = json_dumps(body, JSON_COMPACT)))
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, t->body);
    return 0;
}

int client_api_error(const struct client *c, struct slice bytes, long status, struct err *e)
{
    CLEANUP(json_decref) json_t *reply = json_loadb(bytes.len ? bytes.data : "", bytes.len, 0, NULL);
    const char *code = "internal", *message = NULL, *hint = NULL;

    (void)json_unpack(reply, "{s:{s?s,s?s,s?s}}", "error", "code", &code, "message", &message,
                      "hint", &hint);
    if (!message)
        return err_set(e, ERR_INTERNAL, "%s answered HTTP %ld: is that Kernelhub?", c->url,
                       status);
    return err_set(e, err_from_name(slice_str(code)), hint && *hint ? "%s (%s)" : "%s", message,
                   hint);
}

int client_broke_off(struct client *c, CURLcode code, const char *text, struct err *e)
{
    c->may_retry = true;
    c->reached = code != CURLE_COULDNT_CONNECT && code != CURLE_COULDNT_RESOLVE_HOST;
    if (!c->reached)
        return err_set(e, ERR_UNAVAILABLE, "no service answers at %s", c->url);
    return err_set(e, ERR_UNAVAILABLE, "the connection to %s broke off: %s", c->url,
                   text[0] ? text : curl_easy_strerror(code));
}

static int judge(struct transfer *t, CURLcode code, struct err *e)
{
    long status = 0;

    (void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    t->client->may_retry = false;
    t->client->reached = true;
    if (code == CURLE_WRITE_ERROR)
        return err_set(e, ERR_TOO_LARGE, "the reply is too large");
    if (code != CURLE_OK || status == 0)
        return client_broke_off(t->client, code, t->error, e);
    if (status >= 200 && status < 300)
        return 0;
    t->client->may_retry = status == 503;
    return client_api_error(t->client, buf_slice(&t->reply), status, e);
}

int client_call(struct client *c, const char *method, const char *path, const json_t *body,
                json_t **ret, struct err *e)
{
    CLEANUP_TRANSFER struct transfer t = { .client = c, .curl = c->curl };

    if (prepare(&t, method, path, body, e) < 0 || judge(&t, curl_easy_perform(c->curl), e) < 0)
        return -1;
    if (!ret)
        return 0;
    *ret = NULL;
    if (t.reply.len > 0 && !(*ret = json_loadb(t.reply.data, t.reply.len, JSON_DECODE_ANY, NULL)))
        return err_set(e, ERR_INTERNAL, "%s answered something that is no JSON: is that Kernelhub?",
                       c->url);
    return 0;
}

int client_fetch(struct client *c, const char *path, struct buf *out, struct err *e)
{
    CLEANUP_TRANSFER struct transfer t = { .client = c, .curl = c->curl };

    if (prepare(&t, "GET", path, NULL, e) < 0 || judge(&t, curl_easy_perform(c->curl), e) < 0)
        return -1;
    buf_add_slice(out, buf_slice(&t.reply));
    return out->failed ? err_set(e, ERR_TOO_LARGE, "the reply is too large") : 0;
}

int client_save(struct client *c, const char *path, FILE *out, struct err *e)
{
    CLEANUP_TRANSFER struct transfer t = { .client = c, .curl = c->curl, .out = out };

    if (prepare(&t, "GET", path, NULL, e) < 0)
        return -1;
    CURLcode code = curl_easy_perform(c->curl);
    if (fflush(out) != 0 || ferror(out))
        return err_errno(e, ERR_INTERNAL, "what came cannot be written");
    return judge(&t, code, e);
}

/* ---- streams ---- */

/* curl's multi interface, because it can wait for a signal at the same time. True: the transfer
 * ended. */
static bool perform_until_wake(CURLM *multi, const struct client_stream *s, CURLcode *ret_code)
{
    struct curl_waitfd fds[2] = { { .fd = s->wake_fd, .events = CURL_WAIT_POLLIN },
                                  { .fd = -1, .events = CURL_WAIT_POLLIN } };
    struct curl_waitfd *wake = &fds[0], *input = &fds[1];
    int running = 1, left;

    for (;;) {
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            break;
        const CURLMsg *message = curl_multi_info_read(multi, &left);
        if (message && message->msg == CURLMSG_DONE) {
            *ret_code = message->data.result;
            return true;
        }
        input->fd = s->input_fd ? *s->input_fd : -1;
        unsigned first = s->wake_fd < 0, n = (s->wake_fd >= 0) + (input->fd >= 0);
        if (curl_multi_poll(multi, &fds[first], n, 1000, NULL) != CURLM_OK)
            break;
        if (wake->revents && !s->on_wake(s->arg))
            return false;
        if (input->revents && !s->on_input(s->arg))
            return false;
        wake->revents = input->revents = 0;
    }
    *ret_code = CURLE_RECV_ERROR;
    return true;
}

static int follow_stream(struct transfer *t, CURLM *multi, const struct client_stream *s,
                         struct err *e)
{
    CURLcode code = CURLE_OK;

    if (prepare(t, s->method, s->path, s->body, e) < 0)
        return -1;
    (void)curl_multi_add_handle(multi, t->curl);
    bool ended = perform_until_wake(multi, s, &code);
    int rc = ended ? judge(t, code, e) : 0;
    (void)curl_multi_remove_handle(multi, t->curl);
    return rc;
}

int client_stream(struct client *c, const struct client_stream *s, struct err *e)
{
    struct sse_reader events;
    CURLM *multi = curl_multi_init();

    sse_reader_init(&events, s->on_event, s->arg);
    CLEANUP_TRANSFER struct transfer t = { .client = c,
                                           .curl = curl_easy_init(),
                                           .events = &events };
    int rc = t.curl && multi ? follow_stream(&t, multi, s, e)
                             : err_set(e, ERR_INTERNAL, "libcurl does not start");
    (void)curl_multi_cleanup(multi); /* NULL is fine for both */
    curl_easy_cleanup(t.curl);
    sse_reader_done(&events);
    return rc;
}

int client_complain(const char *command, const struct client *c, const struct err *e)
{
    const char *next = NULL;

    fprintf(stderr, "kernelhub %s: %s\n", command, e->text);
    if (e->code == ERR_UNAVAILABLE && c && c->may_retry)
        next = "start it with 'kernelhub serve' (or scripts/up), or say where it is with --url or "
               "KERNELHUB_URL";
    else if (e->code == ERR_UNAUTHORIZED)
        next = "give a key with --token or KERNELHUB_TOKEN; root makes a new one with 'kernelhub "
               "key create --local'";
    if (next)
        fprintf(stderr, "  %s\n", next);
    return 1;
}
