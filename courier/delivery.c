#include "courier/delivery.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/json.h"

#define CONNECT_LIMIT_MS  10000
#define MAX_ANSWER_BYTES  (64 * 1024)
#define MAX_RETRY_SECONDS 86400
#define MAX_BODY_BYTES    ((size_t)ERRAND_MAX_FRAME_BYTES)

struct delivery {
    CURLM *multi;
    CURL *easy;
    struct curl_slist *headers;
    const struct delivery_settings *settings;
    struct buf body;
    size_t answered;     /* bytes of the answer's body */
    const char *refused; /* why the last address was; NULL: none was */
    int64_t timeout_ms;
};

void delivery_free(struct delivery *d)
{
    if (!d)
        return;
    if (d->easy) {
        (void)curl_multi_remove_handle(d->multi, d->easy); /* not in it: nothing happens */
        curl_easy_cleanup(d->easy);
    }
    curl_slist_free_all(d->headers);
    buf_done(&d->body);
    free(d);
}

/* For every address that is tried, just before it is. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct delivery *d = arg;
    struct network_address address;
    const char *why = NULL;
    if (purpose != CURLSOCKTYPE_IPCXN || !network_address_of(&a->addr, &address))
        why = "of an unknown kind";
    else
        why = network_policy_refuses(&d->settings->policy, &address);
    if (why) {
        d->refused = why;
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t on_answer(char *data, size_t size, size_t n, void *arg)
{
    struct delivery *d = arg;
    d->answered += size * n;
    return d->answered > MAX_ANSWER_BYTES ? 0 : size * n; /* 0: enough, the status is known */
}

static bool add_header(struct delivery *d, const char *text)
{
    struct curl_slist *more = curl_slist_append(d->headers, text);
    if (more)
        d->headers = more;
    return more != NULL;
}

static bool add_headers(struct delivery *d, const struct errand *a)
{
    char id[128], timestamp[64], signature[300];
    (void)snprintf(id, sizeof id, "webhook-id: %s", a->message_id);
    (void)snprintf(timestamp, sizeof timestamp, "webhook-timestamp: %lld", (long long)a->timestamp);
    (void)snprintf(signature, sizeof signature, "webhook-signature: %s", a->signature);
    return add_header(d, "Content-Type: application/json") && add_header(d, "Expect:") &&
           add_header(d, id) && add_header(d, timestamp) && add_header(d, signature);
}

static bool allow_http_alone(CURL *c)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    return curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, "http,https") == CURLE_OK;
#else
    const long http = CURLPROTO_HTTP | CURLPROTO_HTTPS;
    return curl_easy_setopt(c, CURLOPT_PROTOCOLS, http) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS, http) == CURLE_OK;
#endif
}

/* A name that nobody answers for keeps its resolver's thread for as long as the resolver likes: the end of the delivery does not
 * wait for that one, or all others would. */
static bool leave_resolver(CURL *c)
{
#if LIBCURL_VERSION_NUM >= 0x075700
    return curl_easy_setopt(c, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
#else
    return c != NULL;
#endif
}

/* What keeps it where it belongs. */
static bool set_walls(struct delivery *d)
{
    CURL *c = d->easy;
    return allow_http_alone(c) && leave_resolver(c) &&
           curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, d) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK && /* nor one from the environment */
           curl_easy_setopt(c, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_DNS_CACHE_TIMEOUT, 0L) == CURLE_OK &&
           (!d->settings->ca_file[0] ||
            curl_easy_setopt(c, CURLOPT_CAINFO, d->settings->ca_file) == CURLE_OK);
}

static bool set_request(struct delivery *d, const struct errand *a)
{
    CURL *c = d->easy;
    long connect_ms = a->timeout_ms < CONNECT_LIMIT_MS ? (long)a->timeout_ms : CONNECT_LIMIT_MS;
    return curl_easy_setopt(c, CURLOPT_PRIVATE, d) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_URL, a->url) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)d->body.len) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_POSTFIELDS, d->body.len ? d->body.data : "") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HTTPHEADER, d->headers) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_USERAGENT, "Kernelhub/" KH_VERSION) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_answer) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEDATA, d) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)a->timeout_ms) == CURLE_OK;
}

DEFINE_CLEANUP(struct delivery, delivery_free)

int delivery_start(CURLM *multi, const struct delivery_settings *settings,
                   const struct errand *errand, struct delivery **ret, struct err *e)
{
    CLEANUP(delivery_free) struct delivery *d = calloc(1, sizeof *d);
    assert(d);
    d->multi = multi;
    d->settings = settings;
    d->timeout_ms = errand->timeout_ms;
    buf_init(&d->body, MAX_BODY_BYTES);
    json_unescape(&d->body, errand->body);
    d->easy = curl_easy_init();
    if (!d->easy || d->body.failed || !add_headers(d, errand) || !set_walls(d) ||
        !set_request(d, errand) || curl_multi_add_handle(multi, d->easy) != CURLM_OK)
        return err_set(e, ERR_UNAVAILABLE, "the call could not be prepared");
    *ret = TAKE(d);
    return 0;
}

struct delivery *delivery_of(CURL *easy)
{
    char *d = NULL;
    (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &d); /* each of ours has one */
    return (struct delivery *)(void *)d;
}

/* curl's own words name no address and no part of the URL. */
static int describe(const struct delivery *d, CURLcode code, struct err *e)
{
    if (d->refused && (code == CURLE_COULDNT_CONNECT || code == CURLE_OPERATION_TIMEDOUT))
        return err_set(e, ERR_POLICY, "the address behind the URL is %s: it is not called",
                       d->refused);
    if (code == CURLE_OPERATION_TIMEDOUT)
        return err_set(e, ERR_TIMEOUT, "no answer within %lld ms", (long long)d->timeout_ms);
    return err_set(e, ERR_UNAVAILABLE, "%s", curl_easy_strerror(code));
}

int delivery_result(const struct delivery *d, CURLcode code, long *ret_status,
                    long *ret_retry_after, struct err *e)
{
    long status = 0;
    curl_off_t retry_after = 0;
    (void)curl_easy_getinfo(d->easy, CURLINFO_RESPONSE_CODE, &status); /* 0: none came */
    (void)curl_easy_getinfo(d->easy, CURLINFO_RETRY_AFTER, &retry_after);
    bool enough = code == CURLE_WRITE_ERROR && d->answered > MAX_ANSWER_BYTES;
    if ((code != CURLE_OK && !enough) || status < 200)
        return describe(d, code == CURLE_OK ? CURLE_WEIRD_SERVER_REPLY : code, e);
    *ret_status = status;
    *ret_retry_after = retry_after < 0                   ? 0
                       : retry_after > MAX_RETRY_SECONDS ? MAX_RETRY_SECONDS
                                                         : (long)retry_after;
    return 0;
}
