#include "web/reply.h"

#include <assert.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "web/mcp_http.h"
#include "web/request.h"

#define STREAM_BLOCK_BYTES                                                                         \
    (16 * 1024) /* for HTTP/1.0; chunks are made in the connection's own memory */

#define SOURCE_BLOCK_BYTES (64 * 1024)

static const char JSON_TYPE[] = "application/json";

/* What to do about it, where that is the same wherever it happens. */
static const char *const HINTS[ERR_N_CODES] = {
    [ERR_UNAUTHORIZED] =
        "send it as 'Authorization: Bearer kh_…', as X-API-Key or as ?token=, or log in at /login; "
        "'kernelhub key' makes one",
    [ERR_METHOD] = "GET /docs lists every path and method",
    [ERR_BUSY] = "wait in the queue (queue: true) or name another session",
    [ERR_RATE] = "wait as long as Retry-After says",
    [ERR_QUOTA] = "end what is not needed any more, or ask the administrator for more",
    [ERR_INTERNAL] = "this is our fault; the administrator finds it in the log by the request id",
    [ERR_SANDBOX] = "'kernelhub doctor' checks the host; the log has more under the request id",
    [ERR_KERNEL_DIED] = "try again; if it stays so, the image's kernel does not start",
    [ERR_UNAVAILABLE] = "try again in a moment",
    [ERR_TIMEOUT] = "try again; the first start of an image takes longest",
};

static const struct {
    const char *name, *value;
} ALWAYS[] = {
    { "Cache-Control", "no-store" },
    { "X-Content-Type-Options", "nosniff" },
};

void reply_header(struct request *r, const char *name, const char *value)
{
    (void)MHD_add_response_header(r->response, name, value); /* only fails on no memory */
}

static void decide(struct request *r, unsigned status, const char *media_type,
                   struct MHD_Response *response)
{
    assert(!r->response && response);
    r->response = response;
    r->status = status;
    if (media_type)
        reply_header(r, "Content-Type", media_type);
    reply_header(r, "X-Request-Id", r->id.text);
    for (size_t i = 0; i < ARRAY_LEN(ALWAYS); i++)
        reply_header(r, ALWAYS[i].name, ALWAYS[i].value);
    if (r->is_cross) {
        reply_header(r, "Access-Control-Allow-Origin", r->head.origin);
        reply_header(r, "Vary", "Origin");
        if (request_is_mcp(r))
            reply_header(r, "Access-Control-Expose-Headers", "Mcp-Session-Id, WWW-Authenticate");
    }
    if (r->set_cookie)
        reply_header(r, "Set-Cookie", r->set_cookie);
    if (r->site->is_draining)
        reply_header(r, "Connection", "close");
    request_wake(r);
}

void reply_cacheable(struct request *r, const char *how)
{
    (void)MHD_del_response_header(r->response, ALWAYS[0].name, ALWAYS[0].value); /* it is there */
    reply_header(r, ALWAYS[0].name, how);
}

static struct MHD_Response *copied(struct slice s)
{
    return MHD_create_response_from_buffer(s.len, (void *)(s.len ? s.data : ""),
                                           MHD_RESPMEM_MUST_COPY);
}

void reply_bytes(struct request *r, unsigned status, const char *media_type, struct slice bytes)
{
    decide(r, status, media_type, copied(bytes));
}

void reply_json(struct request *r, unsigned status, struct slice json)
{
    reply_bytes(r, status, JSON_TYPE, json);
}

void reply_buf(struct request *r, unsigned status, struct buf *json)
{
    size_t len = json->len;
    char *text = buf_take(json);
    if (!text) {
        struct err e = ERR_INIT;
        (void)err_set(&e, ERR_INTERNAL, "the reply would be above %zu bytes", json->max_bytes);
        reply_error(r, &e);
        return;
    }
    decide(r, status, JSON_TYPE, MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE));
}

void reply_static(struct request *r, const char *media_type, struct slice bytes)
{
    decide(r, 200, media_type,
           MHD_create_response_from_buffer(bytes.len, (void *)bytes.data, MHD_RESPMEM_PERSISTENT));
}

void reply_empty(struct request *r, unsigned status)
{
    decide(r, status, NULL, MHD_create_response_from_buffer(0, (void *)"", MHD_RESPMEM_PERSISTENT));
}

void reply_upgrade(struct request *r, const char *protocol, MHD_UpgradeHandler handler, void *arg)
{
    decide(r, 101, NULL, MHD_create_response_for_upgrade(handler, arg));
    reply_header(r, "Upgrade", protocol);
}

void reply_stream(struct request *r, const char *media_type, MHD_ContentReaderCallback reader,
                  void *arg)
{
    decide(
        r, 200, media_type,
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, reader, arg, NULL));
    if (r->is_head) /* libmicrohttpd 0.9.75 would send the last chunk of the body that is not there */
        (void)MHD_set_response_options(r->response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    reply_header(r, "X-Accel-Buffering", "no"); /* nginx holds streams back else */
}

void reply_source(struct request *r, unsigned status, const char *media_type, uint64_t bytes,
                  MHD_ContentReaderCallback reader, void *arg)
{
    decide(r, status, media_type,
           MHD_create_response_from_callback(bytes, SOURCE_BLOCK_BYTES, reader, arg, NULL));
    reply_cacheable(r, "private, no-cache");
}

static void add_code_headers(struct request *r, enum err_code code)
{
    CLEANUP_BUF struct buf challenge = BUF_INIT(4096);
    if (code == ERR_UNAUTHORIZED)
        reply_header(r, "WWW-Authenticate",
                     mcp_metadata_challenge(r, &challenge) ? challenge.data
                                                           : "Bearer realm=\"kernelhub\"");
    if (code == ERR_METHOD && r->allow[0])
        reply_header(r, "Allow", r->allow);
    if (code == ERR_RATE || code == ERR_QUOTA || code == ERR_UNAVAILABLE)
        reply_header(r, "Retry-After", "1");
}

static enum err_code code_of(const struct err *e)
{
    return e->code == ERR_NONE ? ERR_INTERNAL : e->code;
}

void reply_write_error(const struct request *r, const struct err *e, const char *hint,
                       struct buf *out)
{
    enum err_code code = code_of(e);
    buf_addf(out, "{\"code\":\"%s\",\"message\":", err_name(code));
    json_quote_str(out, e->text);
    buf_add_str(out, ",\"hint\":");
    json_quote_str(out, hint ? hint : HINTS[code]);
    buf_addf(out, ",\"request_id\":\"%s\",\"details\":{", r->id.text);
    if (code == ERR_POLICY && e->rule)
        buf_addf(out, "\"rule\":\"%s\"", e->rule);
    buf_add_str(out, "}}");
}

/* As Jupyter Server says it, and its clients read it. */
static void write_jupyter_error(const struct request *r, const struct err *e, struct buf *out)
{
    buf_add_str(out, "{\"message\":");
    json_quote_str(out, e->text);
    buf_add_str(out, ",\"reason\":");
    json_quote_str(out, r->hint ? r->hint : HINTS[code_of(e)]);
    buf_addf(out, ",\"request_id\":\"%s\"}", r->id.text);
}

void reply_error_as(struct request *r, unsigned status, const struct err *e)
{
    enum err_code code = code_of(e);
    CLEANUP_BUF struct buf json = BUF_INIT(16384);
    if (request_is_jupyter(r)) {
        write_jupyter_error(r, e, &json);
        if (status == 401) /* so it is there; 401 makes browsers ask for a password */
            status = 403;
    } else {
        buf_add_str(&json, "{\"error\":");
        reply_write_error(r, e, r->hint, &json);
        buf_add_char(&json, '}');
    }
    if (status >= 500)
        log_warning("request failed id=%s code=%s error=%s", r->id.text, err_name(code),
                    log_quote(slice_str(e->text)));
    reply_json(r, status, buf_slice(&json));
    add_code_headers(r, code);
}

void reply_error(struct request *r, const struct err *e)
{
    reply_error_as(r, (unsigned)err_http(code_of(e)), e);
}
