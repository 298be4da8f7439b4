#include "sandbox/podman.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "sandbox/jansson_owner.h"

#define MAX_ANSWER_BYTES (16u << 20)
#define CALL_TIMEOUT_MS  30000
#define CONNECT_PATIENCE 50 /* tries, 100 ms apart: while the service is being started again */
#define CUT_PATIENCE     3  /* tries, when it ends in the middle of a call */
#define REMOVE_TRIES     20
#define LIST_TRIES       5
#define BASE_URL         "http://podman/v4.0.0/libpod"

struct podman {
    CURL *curl; /* keeps its connection between calls */
    struct curl_slist *json_header;
};

struct podman *podman_new(const char *socket_path)
{
    struct podman *p = calloc(1, sizeof *p);
    assert(p);
    p->curl = curl_easy_init();
    assert(p->curl);
    p->json_header = curl_slist_append(NULL, "Content-Type: application/json");
    curl_easy_setopt(p->curl, CURLOPT_UNIX_SOCKET_PATH, socket_path);
    curl_easy_setopt(p->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(p->curl, CURLOPT_PROXY, "");
    return p;
}

void podman_free(struct podman *p)
{
    if (!p)
        return;
    curl_slist_free_all(p->json_header);
    curl_easy_cleanup(p->curl);
    free(p);
}

static size_t on_data(char *data, size_t one, size_t n, void *ctx)
{
    struct buf *answer = ctx;
    buf_add(answer, data, one * n);
    return answer->failed ? 0 : one * n;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void sleep_ms(long ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    (void)nanosleep(&t, NULL); /* cut short by a signal: we only ask a little earlier */
}

static CURLcode perform(struct podman *p, unsigned patience)
{
    CURLcode code;
    do {
        code = curl_easy_perform(p->curl);
        if (code == CURLE_COULDNT_CONNECT && patience > 0)
            sleep_ms(100);
    } while (code == CURLE_COULDNT_CONNECT && patience-- > 0);
    return code;
}

/* The service took the call and ended: whether it did what was asked is not known. */
static bool is_cut(CURLcode code)
{
    return code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
           code == CURLE_PARTIAL_FILE;
}

static enum err_code code_of(long http)
{
    return http == 404 ? ERR_NOT_FOUND : http == 409 ? ERR_CONFLICT : ERR_SANDBOX;
}

/* What Podman says when it refuses: {"message":…}, or nothing that can be read. */
static int refusal(long http, struct slice answer, struct err *e)
{
    CLEANUP(json_decref) json_t *body = json_loadb(answer.data, answer.len, 0, NULL);
    const char *message = json_string_value(json_object_get(body, "message"));
    char clean[300];
    size_t n = 0;
    for (const char *at = message ? message : "no reason given"; *at && n < sizeof clean - 1; at++)
        clean[n++] = *at >= ' ' && *at < 127 ? *at : ' ';
    clean[n] = '\0';
    return err_set(e, code_of(http), "Podman says %ld: %s", http, clean);
}

/* One call. Any status of 200 … 399 is a success (304: it is so already). What is cut is asked again `patience` times: for what may
 * be done twice. */
static int call(struct podman *p, const char *method, const char *path, const char *body,
                unsigned patience, struct buf *answer, struct err *e)
{
    char url[512];
    if (snprintf(url, sizeof url, BASE_URL "%s", path) >= (int)sizeof url)
        return err_set(e, ERR_INTERNAL, "a request to Podman is too long");
    curl_easy_setopt(p->curl, CURLOPT_URL, url);
    if (body) {
        curl_easy_setopt(p->curl, CURLOPT_POSTFIELDS, body);
        curl_easy_setopt(p->curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, p->json_header);
    } else {
        curl_easy_setopt(p->curl, CURLOPT_HTTPGET, 1L);
        curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, NULL);
    }
    curl_easy_setopt(p->curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(p->curl, CURLOPT_TIMEOUT_MS, (long)CALL_TIMEOUT_MS);
    curl_easy_setopt(p->curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(p->curl, CURLOPT_WRITEDATA, answer);
    CURLcode code = perform(p, CONNECT_PATIENCE);
    while (is_cut(code) && !answer->failed && patience-- > 0) {
        buf_reset(answer);
        code = perform(p, CONNECT_PATIENCE);
    }
    if (code == CURLE_OPERATION_TIMEDOUT)
        return err_set(e, ERR_TIMEOUT, "Podman did not answer in %d s", CALL_TIMEOUT_MS / 1000);
    if (code != CURLE_OK)
        return err_set(e, ERR_UNAVAILABLE, "Podman cannot be reached: %s",
                       curl_easy_strerror(code));
    long http = 0;
    curl_easy_getinfo(p->curl, CURLINFO_RESPONSE_CODE, &http);
    if (http < 200 || http >= 400)
        return refusal(http, buf_slice(answer), e);
    return 0;
}

static int call_json(struct podman *p, const char *method, const char *path, const char *body,
                     json_t **ret, struct err *e)
{
    CLEANUP_BUF struct buf answer = BUF_INIT(MAX_ANSWER_BYTES);
    if (call(p, method, path, body, body ? 0 : CUT_PATIENCE, &answer, e) < 0)
        return -1;
    json_t *value = json_loadb(answer.data ? answer.data : "", answer.len, 0, NULL);
    if (!value)
        return err_set(e, ERR_SANDBOX, "Podman's answer to %s %.60s is no JSON", method, path);
    *ret = value;
    return 0;
}

static int call_plain(struct podman *p, const char *method, const char *path, struct err *e)
{
    CLEANUP_BUF struct buf answer = BUF_INIT(MAX_ANSWER_BYTES);
    const char *body = strcmp(method, "POST") == 0 ? "" : NULL;
    return call(p, method, path, body, CUT_PATIENCE, &answer, e);
}

bool podman_ping(struct podman *p, unsigned timeout_ms)
{
    CLEANUP_BUF struct buf answer = BUF_INIT(4096);
    curl_easy_setopt(p->curl, CURLOPT_URL, BASE_URL "/_ping");
    curl_easy_setopt(p->curl, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(p->curl, CURLOPT_CUSTOMREQUEST, "GET");
    curl_easy_setopt(p->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(p->curl, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(p->curl, CURLOPT_WRITEDATA, &answer);
    return perform(p, 0) == CURLE_OK;
}

int podman_info(struct podman *p, json_t **ret, struct err *e)
{
    return call_json(p, "GET", "/info", NULL, ret, e);
}

int podman_create(struct podman *p, const char *name, const char *document,
                  char ret_id[PODMAN_ID_SIZE], struct err *e)
{
    CLEANUP(json_decref) json_t *answer = NULL;
    /* one that was made while the service ended is in the way of its own name */
    for (int tries = 0; call_json(p, "POST", "/containers/create", document, &answer, e) < 0;)
        if (e->code != ERR_UNAVAILABLE || ++tries > CUT_PATIENCE ||
            podman_remove(p, name, NULL) < 0)
            return -1;
    const char *id = json_string_value(json_object_get(answer, "Id"));
    if (!id || strlen(id) != PODMAN_ID_SIZE - 1)
        return err_set(e, ERR_SANDBOX, "Podman made a container and does not say which");
    memcpy(ret_id, id, PODMAN_ID_SIZE);
    return 0;
}

int podman_start(struct podman *p, const char *container, struct err *e)
{
    char path[200];
    snprintf(path, sizeof path, "/containers/%s/start", container);
    return call_plain(p, "POST", path, e);
}

int podman_inspect(struct podman *p, const char *container, struct podman_state *ret, struct err *e)
{
    char path[200];
    snprintf(path, sizeof path, "/containers/%s/json", container);
    CLEANUP(json_decref) json_t *answer = NULL;
    if (call_json(p, "GET", path, NULL, &answer, e) < 0)
        return -1;
    json_t *state = json_object_get(answer, "State");
    if (!json_is_object(state))
        return err_set(e, ERR_SANDBOX, "Podman says nothing of the container's state");
    *ret = (struct podman_state){
        .running = json_is_true(json_object_get(state, "Running")),
        .pid = (int)json_integer_value(json_object_get(state, "Pid")),
        .exit_code = (int)json_integer_value(json_object_get(state, "ExitCode")),
        .oom_killed = json_is_true(json_object_get(state, "OOMKilled")),
    };
    return 0;
}

int podman_wait(struct podman *p, const char *container, unsigned timeout_ms,
                struct podman_state *ret, struct err *e)
{
    int64_t due_ms = now_ms() + timeout_ms;
    /* Podman's own wait asks at intervals too, longer ones. */
    for (;;) {
        if (podman_inspect(p, container, ret, e) < 0)
            return -1;
        if (!ret->running)
            return 0;
        if (now_ms() >= due_ms)
            return err_set(e, ERR_TIMEOUT, "the container still runs after %u ms", timeout_ms);
        sleep_ms(20);
    }
}

int podman_remove(struct podman *p, const char *container, struct err *e)
{
    char path[200];
    snprintf(path, sizeof path, "/containers/%s?force=true&timeout=0&v=true", container);
    struct err last = ERR_INIT;
    for (int i = 0; i < REMOVE_TRIES; i++) {
        if (call_plain(p, "DELETE", path, &last) == 0)
            continue; /* and once more: only a 404 says that it is gone */
        if (last.code == ERR_NOT_FOUND)
            return 0;
        if (last.code == ERR_UNAVAILABLE || last.code == ERR_TIMEOUT)
            break;
        sleep_ms(i < 5 ? 20 : 200);
    }
    return err_set(e, last.code == ERR_NONE ? ERR_SANDBOX : last.code, "remove container: %s",
                   last.text);
}

static int list(struct podman *p, const char *path, const char *label, const char *all,
                json_t **ret, struct err *e)
{
    CLEANUP(json_decref) json_t *filters = json_pack("{s:[s]}", "label", label);
    char *text = json_dumps(filters, JSON_COMPACT);
    char *escaped = text ? curl_easy_escape(p->curl, text, 0) : NULL;
    char url[400];
    int n = snprintf(url, sizeof url, "%s?%sfilters=%s", path, all, escaped ? escaped : "");
    bool made = escaped != NULL && n < (int)sizeof url;
    curl_free(escaped);
    free(text);
    if (!made)
        return err_set(e, ERR_INTERNAL, "a filter for Podman is too long");
    CLEANUP(json_decref) json_t *answer = NULL;
    if (call_json(p, "GET", url, NULL, &answer, e) < 0)
        return -1;
    if (!json_is_array(answer))
        return err_set(e, ERR_SANDBOX, "Podman's list is no list");
    *ret = TAKE(answer);
    return 0;
}

int podman_list_containers(struct podman *p, const char *label, json_t **ret, struct err *e)
{
    return list(p, "/containers/json", label, "all=true&", ret, e);
}

/* The whole list fails when one image comes or goes meanwhile ("image not known"): a build of anybody does both. */
int podman_list_images(struct podman *p, const char *label, json_t **ret, struct err *e)
{
    for (int i = 1; i < LIST_TRIES; i++) {
        if (list(p, "/images/json", label, "", ret, e) == 0)
            return 0;
        if (e->code != ERR_SANDBOX)
            return -1;
        sleep_ms(100);
    }
    return list(p, "/images/json", label, "", ret, e);
}
