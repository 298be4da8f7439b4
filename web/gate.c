#include "web/gate.h"

#include "base/log.h"
#include "web/cookie.h"
#include "web/origin.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/routes.h"
#include "web/token.h"
#include "web/ws_handshake.h"

static const char SAME_SITE[] =
    "send the token in a header, or open the service under the address it is bound to";

/* Two lengths, or a length beside chunks, are how requests are smuggled past a proxy. */
static int check_framing(const struct request *r, struct err *e)
{
    if (r->head.twice)
        return err_set(e, ERR_INVALID, "header %s is given twice", r->head.twice);
    if (r->head.content_length && r->head.transfer_encoding)
        return err_set(e, ERR_INVALID, "Content-Length and Transfer-Encoding exclude each other");
    return 0;
}

static int check_site(struct request *r, enum token_source source, struct err *e)
{
    const struct head *h = &r->head;
    r->hint = SAME_SITE;
    if (r->site->is_loopback && h->host && !origin_host_allowed(h->host, r->site->address))
        return err_set(e, ERR_FORBIDDEN, "Host %s is not this service",
                       log_quote(slice_str(h->host)));
    const char *allowed = config_text(r->site->config, CONFIG_SERVER_ALLOWED_ORIGINS);
    bool is_mcp = request_is_mcp(r);
    r->is_cross = h->origin && (is_mcp || request_is_jupyter(r)) &&
                  !origin_is_own(h->origin, h->host) &&
                  ws_handshake_origin_allowed(h->origin, h->host, allowed);
    if (h->origin && (is_mcp || source != TOKEN_HEADER) && !r->is_cross &&
        !origin_is_own(h->origin, h->host))
        return err_set(e, ERR_FORBIDDEN, "a page of %s may not call this service",
                       log_quote(slice_str(h->origin)));
    r->hint = NULL;
    return 0;
}

static int find_route(struct request *r, const char *method, struct err *e)
{
    size_t n;
    const struct route *table = routes_table(&n);
    switch (router_find(table, n, method, r->path, &r->match)) {
    case ROUTE_FOUND:
        return 0;
    case ROUTE_BAD_PATH:
        return err_set(e, ERR_INVALID,
                       "the path has a bad percent escape, a control character, broken UTF-8, or a "
                       "part above %d bytes",
                       ROUTER_PART_BYTES - 1);
    case ROUTE_WRONG_METHOD:
        break;
    case ROUTE_NOT_FOUND:
        r->hint = "GET /docs lists every path";
        return err_set(e, ERR_NOT_FOUND, "no such path: %s", log_quote(r->path));
    }
    struct buf allow = BUF_INIT(sizeof r->allow - 1);
    router_allow(table, n, r->path, &allow);
    (void)snprintf(r->allow, sizeof r->allow, "%s", allow.len ? allow.data : "");
    buf_done(&allow);
    return err_set(e, ERR_METHOD, "%s is not possible here; allowed: %s",
                   log_quote(slice_str(method)), r->allow);
}

static bool is_open(const struct request *r)
{
    if (request_has_flag(r, ROUTE_OPEN))
        return true;
    if (!request_has_flag(r, ROUTE_METRICS))
        return false;
    const char *rule = config_text(r->site->config, CONFIG_SERVER_METRICS_TOKEN);
    bool direct = !r->head.forwarded && !r->head.x_forwarded_for;
    return strcmp(rule, "never") == 0 ||
           (strcmp(rule, "loopback") == 0 && r->socket->is_local && direct);
}

enum page { PAGE_OURS, PAGE_OTHERS, PAGE_UNSAID };

/* Whose page asks, as the browser says; unsaid also by what is no browser, and for an address that was typed in. */
static enum page page_of(const struct head *h)
{
    if (h->origin)
        return origin_is_own(h->origin, h->host) ? PAGE_OURS : PAGE_OTHERS;
    if (!h->fetch_site || strcmp(h->fetch_site, "none") == 0)
        return PAGE_UNSAID;
    return strcmp(h->fetch_site, "same-origin") == 0 ? PAGE_OURS : PAGE_OTHERS;
}

/* A browser sends its cookie along whichever page asks. So where something is changed it counts only for pages of ours, and with
 * JSON, which no form can send; for a WebSocket only with our Origin, which there no browser leaves out. Pages of others get
 * nothing by it; a link on one of them may lead here. */
static int check_cookie_use(struct request *r, const char *method, struct err *e)
{
    const struct head *h = &r->head;
    enum page page = page_of(h);
    bool reads = strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
    bool is_link = !h->origin && h->fetch_mode && strcmp(h->fetch_mode, "navigate") == 0;
    bool may = page == PAGE_OURS;
    if (request_has_flag(r, ROUTE_UPGRADE))
        may = may && h->origin;
    else if (reads)
        may = page != PAGE_OTHERS || is_link;
    r->hint = "send the token in a header instead of the cookie";
    if (!may)
        return err_set(e, ERR_FORBIDDEN,
                       "with the cookie only pages of this service may do that (Origin)");
    if (!reads && !head_content_is(h, "application/json"))
        return err_set(e, ERR_MEDIA_TYPE,
                       "with the cookie the Content-Type has to be application/json");
    r->hint = NULL;
    return 0;
}

static int authenticate_cookie(struct request *r, const char *method, struct slice text,
                               struct err *e)
{
    struct user_login renewed;
    struct buf cookie = BUF_INIT(4096);
    if (check_cookie_use(r, method, e) < 0 ||
        user_authenticate_login(r->site->hub, text, &r->user, r->user_key, &renewed, e) < 0)
        return -1;
    if (renewed.text[0]) {
        cookie_write(&cookie, renewed.text, site_base(r->site), renewed.is_https, renewed.seconds);
        r->set_cookie = buf_take(&cookie);
    }
    return 0;
}

static int authenticate(struct request *r, const char *method, const struct token *token,
                        struct err *e)
{
    if (token->source == TOKEN_COOKIE)
        return authenticate_cookie(r, method, token->text, e);
    return user_authenticate(r->site->hub, token->text, &r->user, r->user_key, e);
}

static int check_user(struct request *r, const char *method, const struct token *token,
                      struct err *e)
{
    if (is_open(r))
        return 0;
    if (authenticate(r, method, token, e) < 0) {
        if (e->code == ERR_UNAUTHORIZED && token->text.len == 0)
            return err_set(e, ERR_UNAUTHORIZED, "a token is needed");
        return -1;
    }
    if (request_has_flag(r, ROUTE_ADMIN) && !r->user->admin)
        return err_set(e, ERR_FORBIDDEN, "only admins may do that");
    return 0;
}

/* What a page's client of MCP sends. */
static const char MCP_HEADERS[] =
    "authorization, content-type, accept, last-event-id, mcp-session-id, mcp-protocol-version, "
    "mcp-method, mcp-name";

static int answer_options(struct request *r)
{
    size_t n;
    const struct route *table = routes_table(&n);
    struct buf allow = BUF_INIT(sizeof r->allow - 1);
    router_allow(table, n, r->path, &allow);
    (void)snprintf(r->allow, sizeof r->allow, "%s",
                   allow.len ? allow.data : "GET, HEAD, POST, DELETE, OPTIONS");
    buf_done(&allow);
    reply_empty(r, 204);
    reply_header(r, "Allow", r->allow);
    if (r->is_cross) {
        reply_header(r, "Access-Control-Allow-Methods", "GET, PUT, POST, PATCH, DELETE, OPTIONS");
        reply_header(r, "Access-Control-Allow-Headers",
                     request_is_mcp(r) ? MCP_HEADERS
                                       : "accept, content-type, authorization, x-xsrftoken");
    }
    return 0;
}

/* A proxy may pass the path on with its own prefix, or without. */
static void drop_base(const struct request *r, struct slice *path)
{
    struct slice base = site_base(r->site);
    size_t n = base.len;
    if (!n || path->len < n || memcmp(path->data, base.data, n) != 0 ||
        (path->len > n && path->data[n] != '/'))
        return;
    *path = path->len > n ? slice_of(path->data + n, path->len - n) : SLICE_LITERAL("/");
}

int gate_pass(struct request *r, const char *method, struct err *e)
{
    size_t n = strcspn(r->uri, "?");
    struct slice path = slice_of(r->uri, n);
    drop_base(r, &path);
    struct slice of_path = token_of_path(&path);
    struct slice raw_query = slice_str(r->uri[n] ? r->uri + n + 1 : "");
    r->path = path; /* no token is in it any more: it may be logged */

    if ((request_is_jupyter(r) || slice_is(r->path, "/mcp/")) &&
        r->path.data[r->path.len - 1] == '/')
        r->path.len--;
    head_read(&r->head, r->mhd);
    if (check_framing(r, e) < 0 || query_parse(&r->query, raw_query, e) < 0)
        return -1;
    struct token token =
        token_find(r->head.authorization, r->head.api_key, query_get(&r->query, "token"), of_path,
                   cookie_find(slice_str(r->head.cookie)));
    if (check_site(r, token.source, e) < 0)
        return -1;
    if (strcmp(method, "OPTIONS") == 0)
        return answer_options(r);
    if (find_route(r, method, e) < 0 || check_user(r, method, &token, e) < 0)
        return -1;
    if (r->site->is_draining && !is_open(r))
        return err_set(e, ERR_UNAVAILABLE, "the service is stopping");
    return request_has_flag(r, ROUTE_JUPYTER) ? 0
                                              : query_check(&r->query, r->match.route->query, e);
}
