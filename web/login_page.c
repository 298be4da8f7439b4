#include "web/login_page.h"

#include <strings.h>

#include "base/log.h"
#include "web/attempts.h"
#include "web/cookie.h"
#include "web/origin.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/token.h"

#define MAX_PAGE_BYTES 4096

/* The form has no action: it goes to where the page is, with `next`, and nothing that came is written into the page. */
static const char HEAD[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta name=\"viewport\" content=\"width=device-width\"><title>Kernelhub: log in</title>"
    "<link rel=\"stylesheet\" href=\"docs/style.css\"></head><body><h1>Kernelhub</h1>\n";
static const char FORM[] =
    "<form method=\"post\"><p><label>Key <input type=\"password\" name=\"password\" size=\"70\" "
    "autocomplete=\"current-password\" required autofocus></label> <button>Log in</button></p>"
    "</form>\n<p class=\"quiet\">It begins with <code>kh_</code>; <code>kernelhub key "
    "create</code> makes one."
    "</p></body></html>\n";

static const char NOT_GOOD[] = "This key is not known, or it is not valid any more.";
static const char TOO_MANY[] = "Too many wrong keys. Try again in a minute.";

/* Without a referrer a browser would say "Origin: null" when it sends the form. */
static void reply_page(struct request *r, unsigned status, const char *message)
{
    CLEANUP_BUF struct buf page = BUF_INIT(MAX_PAGE_BYTES);
    buf_add_str(&page, HEAD);
    if (message)
        buf_addf(&page, "<p role=\"alert\"><b>%s</b></p>\n", message);
    buf_add_str(&page, FORM);
    reply_bytes(r, status, "text/html; charset=utf-8", buf_slice(&page));
    reply_header(r, "Content-Security-Policy",
                 "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; "
                 "frame-ancestors 'none'");
    reply_header(r, "Referrer-Policy", "same-origin");
}

void login_page_show(struct request *r)
{
    reply_page(r, 200, NULL);
}

static void redirect(struct request *r, const char *where)
{
    reply_bytes(r, 302, "text/plain; charset=utf-8", slice_of(NULL, 0));
    reply_header(r, "Location", where);
}

static void give_cookie(struct request *r, const char *value, bool is_https, int64_t seconds)
{
    CLEANUP_BUF struct buf cookie = BUF_INIT(4096);
    cookie_write(&cookie, value, site_base(r->site), is_https, seconds);
    reply_header(r, "Set-Cookie", cookie.data);
}

/* What the browser sees: a proxy may do the TLS. */
static bool is_https(const struct request *r)
{
    const char *origin = r->head.origin, *proto = r->head.x_forwarded_proto;
    return (origin && strncasecmp(origin, "https://", 8) == 0) ||
           (proto && strcasecmp(proto, "https") == 0);
}

static struct attempts_address who_asks(const struct request *r)
{
    const union MHD_ConnectionInfo *from =
        MHD_get_connection_info(r->mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    return attempts_of(from->client_addr, r->socket->is_local ? r->head.x_forwarded_for : NULL);
}

static void refuse_key(struct request *r, const struct attempts_address *who, int64_t now_ms)
{
    if (attempts_count(r->site->attempts, who, now_ms))
        log_warning("login: %d wrong keys from one address; it has to wait", ATTEMPTS_MAX);
    reply_page(r, 403, NOT_GOOD);
}

static void refuse_attempt(struct request *r, int64_t wait_ms)
{
    char seconds[24];
    (void)snprintf(seconds, sizeof seconds, "%lld", (long long)(wait_ms + 999) / 1000);
    reply_page(r, 429, TOO_MANY);
    reply_header(r, "Retry-After", seconds);
}

static void try_key(struct request *r, struct slice key)
{
    struct user_login login;
    struct err e = ERR_INIT;
    int64_t now_ms = zclock_mono();
    const char *next = query_get(&r->query, "next");
    struct attempts_address who = who_asks(r);
    int64_t wait_ms = attempts_wait_ms(r->site->attempts, &who, now_ms);
    if (wait_ms > 0) {
        refuse_attempt(r, wait_ms);
    } else if (user_log_in(r->site->hub, key, is_https(r), &login, &e) < 0) {
        refuse_key(r, &who, now_ms);
    } else {
        redirect(r, next && origin_path_is_own(next, site_base(r->site)) ? next : "./");
        give_cookie(r, login.text, login.is_https, login.seconds);
        explicit_bzero(&login, sizeof login);
    }
}

static int read_form(const struct request *r, struct query *form, struct err *e)
{
    if (!head_content_is(&r->head, "application/x-www-form-urlencoded"))
        return err_set(e, ERR_MEDIA_TYPE, "a form is wanted: application/x-www-form-urlencoded");
    if (query_parse(form, buf_slice(&r->body), e) < 0)
        return err_in(e, "the form");
    if (!query_get(form, "password") && !query_get(form, "token"))
        return err_set(e, ERR_INVALID, "the form has no field 'password'");
    return 0;
}

void login_page_submit(struct request *r)
{
    struct query form = { .n = 0 };
    struct err e = ERR_INIT;
    if (read_form(r, &form, &e) < 0) {
        reply_error(r, &e);
    } else {
        const char *key = query_get(&form, "password");
        key = key ? key : query_get(&form, "token");
        try_key(r, token_of_text(slice_str(key)));
    }
    query_done(&form);
}

void login_page_leave(struct request *r)
{
    redirect(r, "login");
    give_cookie(r, "", is_https(r), 0);
}
