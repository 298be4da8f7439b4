/* The HTTP half of the Jupyter Server API. Bodies are read as loosely as Jupyter Server reads them: no body is {}, what is not
 * known is passed over. */
#include "web/jupyter_api.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/jupyter.h"
#include "kernelhub/session.h"
#include "web/reply.h"
#include "web/request.h"

#define MAX_MODEL_BYTES (1u << 20)
#define MAX_LIST_BYTES  (64u << 20)
#define MAX_NAME_BYTES  255
#define MAX_LOGO_BYTES  (256u << 10)

/* The server that we are as good as. */
static const char AS_SERVER[] = "{\"version\":\"2.17.0\"}";

void jupyter_api_version(struct request *r)
{
    reply_json(r, 200, slice_str(AS_SERVER));
}

void jupyter_api_status(struct request *r)
{
    CLEANUP_BUF struct buf json = BUF_INIT(MAX_MODEL_BYTES);
    jupyter_write_status(r->site->hub, r->user, &json);
    reply_buf(r, 200, &json);
}

void jupyter_api_me(struct request *r)
{
    CLEANUP_BUF struct buf json = BUF_INIT(MAX_MODEL_BYTES), name = BUF_INIT(1024);
    json_quote_str(&name, r->user->name);
    buf_addf(&json, "{\"identity\":{\"username\":%s,\"name\":%s,\"display_name\":%s,\"initials\":",
             name.data, name.data, name.data);
    json_quote(&json, slice_of(r->user->name, 1));
    buf_add_str(&json, ",\"avatar_url\":null,\"color\":null},\"permissions\":{}}");
    reply_buf(r, 200, &json);
}

/* ---- kernelspecs ---- */

void jupyter_api_kernelspecs(struct request *r)
{
    CLEANUP_BUF struct buf json = BUF_INIT(MAX_LIST_BYTES);
    jupyter_write_specs(r->site->hub, &json);
    reply_buf(r, 200, &json);
}

static void not_found(struct request *r, const char *what)
{
    struct err e = ERR_INIT;
    (void)err_set(&e, ERR_NOT_FOUND, "there is no %s %s", what,
                  log_quote(slice_str(request_part(r, 0))));
    reply_error(r, &e);
}

void jupyter_api_kernelspec(struct request *r)
{
    CLEANUP_BUF struct buf json = BUF_INIT(MAX_MODEL_BYTES);
    if (jupyter_write_spec(r->site->hub, request_part(r, 0), &json))
        reply_buf(r, 200, &json);
    else
        not_found(r, "kernelspec");
}

/* Its bytes are an image's: a browser may show it, and run nothing of it under our origin. */
void jupyter_api_logo(struct request *r)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT(MAX_LOGO_BYTES);
    const char *file = request_part(r, 1), *end = strrchr(file, '.');
    const char *type = end && strcmp(end, ".svg") == 0 ? "image/svg+xml" : "image/png";
    char tag[JUPYTER_LOGO_TAG_CHARS + 1], quoted[sizeof tag + 2];
    if (!jupyter_write_logo(r->site->hub, request_part(r, 0), file, &bytes, tag)) {
        not_found(r, "such logo of kernelspec");
        return;
    }
    (void)snprintf(quoted, sizeof quoted, "\"%s\"", tag);               /* fits */
    if (r->head.if_none_match && strstr(r->head.if_none_match, quoted)) /* of a list, or weak */
        reply_empty(r, 304);
    else
        reply_bytes(r, 200, type, buf_slice(&bytes));
    reply_header(r, "ETag", quoted);
    reply_cacheable(r, "private, max-age=3600");
    reply_header(r, "Content-Security-Policy",
                 "default-src 'none'; style-src 'unsafe-inline'; sandbox");
}

/* ---- bodies ---- */

struct body {
    char *kernel_name, *kernel_id, *path, *name, *type;
};

static void body_done(struct body *b)
{
    free(b->kernel_name);
    free(b->kernel_id);
    free(b->path);
    free(b->name);
    free(b->type);
}
#define CLEANUP_BODY __attribute__((cleanup(body_done)))

bool jupyter_api_read_object(struct request *r, struct slice *ret)
{
    struct err e = ERR_INIT;
    *ret = r->body.len ? buf_slice(&r->body) : SLICE_LITERAL("{}");
    if (json_valid(*ret) && (json_type(*ret) == JSON_OBJECT || json_type(*ret) == JSON_NULL))
        return true;
    (void)err_set(&e, ERR_INVALID, "the body is no JSON object");
    reply_error(r, &e);
    return false;
}

/* Of POST and PATCH /api/sessions; path stands for name where only that is given (what old clients call a notebook's). */
static bool read_session(struct request *r, struct body *ret)
{
    struct slice json, kernel;
    if (!jupyter_api_read_object(r, &json))
        return false;
    ret->path = json_member_dup(json, "path", JUPYTER_MAX_PATH_BYTES);
    ret->name = json_member_dup(json, "name", MAX_NAME_BYTES);
    ret->type = json_member_dup(json, "type", 63);
    if (json_member(json, "kernel", &kernel) && json_type(kernel) == JSON_OBJECT) {
        ret->kernel_name = json_member_dup(kernel, "name", MAX_NAME_BYTES);
        ret->kernel_id = json_member_dup(kernel, "id", 63);
    }
    return true;
}

static struct jupyter_wish wish_of(const struct body *b)
{
    return (struct jupyter_wish){ .kernel_name = b->kernel_id ? NULL : b->kernel_name,
                                  .kernel_id = b->kernel_id,
                                  .path = b->path,
                                  .name = b->name,
                                  .type = b->type };
}

/* ---- kernels ---- */

static struct session *kernel(struct request *r)
{
    struct session *s = jupyter_find_kernel(r->site->hub, r->user, request_part(r, 0));
    if (!s)
        not_found(r, "kernel");
    return s;
}

void jupyter_api_kernels(struct request *r)
{
    CLEANUP_BUF struct buf json = BUF_INIT(MAX_LIST_BYTES);
    jupyter_write_kernels(r->site->hub, r->user, &json);
    reply_buf(r, 200, &json);
}

void jupyter_api_kernel(struct request *r)
{
    CLEANUP_BUF struct buf json = BUF_INIT(MAX_MODEL_BYTES);
    const struct session *s = kernel(r);
    if (!s)
        return;
    jupyter_write_kernel(s, &json);
    reply_buf(r, 200, &json);
}

/* 201 says where it is. */
static void answer_started(struct request *r, const char *path, const struct err *e,
                           struct slice json)
{
    struct slice id = { 0 };
    char location[512];
    r->wait = NULL;
    if (e) {
        reply_error(r, e);
        return;
    }
    (void)json_member_string(json, "id", &id); /* it is in every model */
    (void)snprintf(location, sizeof location, "%s%s/%.*s",
                   config_text(r->site->config, CONFIG_SERVER_BASE_PATH), path, (int)id.len,
                   id.data);
    reply_json(r, 201, json);
    reply_header(r, "Location", location);
}

static void on_kernel(void *arg, const struct err *e, struct slice json)
{
    answer_started(arg, "/api/kernels", e, json);
}

void jupyter_api_kernel_start(struct request *r)
{
    CLEANUP_BODY struct body body = { 0 };
    struct slice json;
    if (!jupyter_api_read_object(r, &json))
        return;
    body.kernel_name = json_member_dup(json, "name", MAX_NAME_BYTES);
    body.path = json_member_dup(json, "path", JUPYTER_MAX_PATH_BYTES);
    const struct jupyter_wish wish = wish_of(&body);
    request_wait(r, jupyter_start_kernel(r->site->hub, r->user, &wish, on_kernel, r));
}

void jupyter_api_kernel_delete(struct request *r)
{
    struct err e = ERR_INIT;
    struct session *s = kernel(r);
    if (!s)
        return;
    if (session_delete(r->site->hub, s, &e) < 0)
        reply_error(r, &e);
    else
        reply_empty(r, 204);
}

void jupyter_api_kernel_interrupt(struct request *r)
{
    struct err e = ERR_INIT;
    struct session *s = kernel(r);
    if (!s)
        return;
    if (session_interrupt(r->site->hub, s, &e) < 0)
        reply_error(r, &e);
    else
        reply_empty(r, 204);
}

/* Its model is that of the session, which has another id. */
static void on_restarted(void *arg, const struct err *e, struct slice json)
{
    struct request *r = arg;
    r->wait = NULL;
    if (e)
        reply_error(r, e);
    else
        jupyter_api_kernel(r);
}

void jupyter_api_kernel_restart(struct request *r)
{
    struct session *s = kernel(r);
    if (s)
        request_wait(r, session_restart(r->site->hub, s, on_restarted, r));
}

/* ---- sessions ---- */

static struct session *session(struct request *r)
{
    struct session *s = jupyter_find_session(r->site->hub, r->user, request_part(r, 0));
    if (!s)
        not_found(r, "session");
    return s;
}

void jupyter_api_sessions(struct request *r)
{
    CLEANUP_BUF struct buf json = BUF_INIT(MAX_LIST_BYTES);
    jupyter_write_sessions(r->site->hub, r->user, &json);
    reply_buf(r, 200, &json);
}

void jupyter_api_session(struct request *r)
{
    CLEANUP_BUF struct buf json = BUF_INIT(MAX_MODEL_BYTES);
    const struct session *s = session(r);
    if (!s)
        return;
    jupyter_write_session(s, request_part(r, 0), &json);
    reply_buf(r, 200, &json);
}

static void on_session(void *arg, const struct err *e, struct slice json)
{
    answer_started(arg, "/api/sessions", e, json);
}

void jupyter_api_session_start(struct request *r)
{
    CLEANUP_BODY struct body body = { 0 };
    if (!read_session(r, &body))
        return;
    const struct jupyter_wish wish = wish_of(&body);
    request_wait(r, jupyter_start_session(r->site->hub, r->user, &wish, on_session, r));
}

void jupyter_api_session_change(struct request *r)
{
    CLEANUP_BODY struct body body = { 0 };
    if (!session(r) || !read_session(r, &body))
        return;
    const struct jupyter_wish wish = wish_of(&body);
    request_wait(r, jupyter_change_session(r->site->hub, r->user, request_part(r, 0), &wish,
                                           request_answer, r));
}

void jupyter_api_session_delete(struct request *r)
{
    struct session *s = session(r);
    if (!s)
        return;
    jupyter_delete_session(s, request_part(r, 0));
    reply_empty(r, 204);
}
