#include "web/ws_upgrade.h"

#include "base/log.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/ws_handshake.h"

static const char *header(const struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, name);
}

static int check_origin(struct request *r, struct err *e)
{
    const char *allowed = config_text(r->site->config, CONFIG_SERVER_ALLOWED_ORIGINS);
    if (ws_handshake_origin_allowed(r->head.origin, r->head.host, allowed))
        return 0;
    r->hint = "the administrator names other sites that may, in server/allowed_origins";
    return err_set(e, ERR_FORBIDDEN, "a page of %s may not open a WebSocket here",
                   log_quote(slice_str(r->head.origin)));
}

static void refuse(struct request *r, enum ws_handshake_result why, const struct err *e)
{
    if (why == WS_HANDSHAKE_BAD) {
        reply_error(r, e);
        return;
    }
    reply_error_as(r, 426, e);
    reply_header(r, "Upgrade", "websocket");
    reply_header(r, "Connection", "Upgrade");
    if (why == WS_HANDSHAKE_VERSION)
        reply_header(r, "Sec-WebSocket-Version", "13");
}

bool ws_upgrade_check(struct request *r, const char **ret_key)
{
    struct err e = ERR_INIT;
    const struct ws_handshake h = {
        .upgrade = header(r, "Upgrade"),
        .connection = header(r, "Connection"),
        .version = header(r, "Sec-WebSocket-Version"),
        .key = header(r, "Sec-WebSocket-Key"),
        .is_http_1_1 = r->is_http_1_1,
    };
    enum ws_handshake_result result = ws_handshake_check(&h, &e);
    *ret_key = h.key;
    if (result != WS_HANDSHAKE_OK)
        refuse(r, result, &e);
    else if (check_origin(r, &e) < 0)
        reply_error(r, &e);
    else
        return true;
    return false;
}
