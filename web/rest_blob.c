/* GET /executions/{id}/blobs/{n}: one large output. What it is, a stranger's code has said: it is
 * served so that no browser runs it under our origin. */
#include <stdlib.h>

#include "base/log.h"
#include "kernelhub/execution.h"
#include "web/range.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"

static bool is_media_type(const char *s)
{
    static const char TOKEN[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$&-^_.+";
    size_t type = strspn(s, TOKEN);
    if (type == 0 || s[type] != '/')
        return false;
    size_t rest = strspn(s + type + 1, TOKEN);
    return rest > 0 && s[type + 1 + rest] == '\0' && strlen(s) < 128;
}

static void reply_part(struct request *r, const char *media_type, struct slice bytes)
{
    struct range range;
    struct err e = ERR_INIT;
    char text[80];
    switch (range_parse(r->head.range, bytes.len, &range)) {
    case RANGE_NONE:
        reply_bytes(r, 200, media_type, bytes);
        return;
    case RANGE_PART:
        reply_bytes(r, 206, media_type, slice_of(bytes.data + range.first, range.len));
        (void)snprintf(text, sizeof text, "bytes %zu-%zu/%zu", range.first,
                       range.first + range.len - 1, bytes.len);
        break;
    case RANGE_OUTSIDE:
        (void)err_set(&e, ERR_RANGE, "the range is outside of the %zu bytes there are", bytes.len);
        reply_error(r, &e);
        (void)snprintf(text, sizeof text, "bytes */%zu", bytes.len);
        break;
    }
    reply_header(r, "Content-Range", text);
}

static void on_blob(void *arg, const struct err *e, const char *media_type, struct slice bytes)
{
    struct request *r = arg;
    r->wait = NULL;
    if (e) {
        reply_error(r, e);
        return;
    }
    reply_part(r, media_type && is_media_type(media_type) ? media_type : "application/octet-stream",
               bytes);
    reply_header(r, "Accept-Ranges", "bytes");
    reply_header(r, "Content-Security-Policy",
                 "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'");
}

static bool parse_number(const char *text, unsigned *ret)
{
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 9 || text[n] != '\0')
        return false;
    *ret = (unsigned)strtoul(text, NULL, 10);
    return true;
}

void rest_execution_blob(struct request *r)
{
    struct uuid id;
    unsigned n;
    struct err e = ERR_INIT;
    if (!uuid_parse(slice_str(request_part(r, 0)), &id) || !parse_number(request_part(r, 1), &n)) {
        (void)err_set(&e, ERR_NOT_FOUND, "no such blob");
        reply_error(r, &e);
        return;
    }
    request_wait(r, execution_blob(r->site->hub, r->user, &id, n, on_blob, r));
}
