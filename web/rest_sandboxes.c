/* Sandboxes: made, looked at, changed, ended. */
#include <stddef.h>

#include "base/cleanup.h"
#include "kernelhub/sandbox_verbs.h"
#include "web/fields.h"
#include "web/page.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"

#define MAX_NAME_BYTES   255
#define MAX_ENTRY_BYTES  32768
#define MAX_LABEL_BYTES  512
#define MAX_SECONDS      31536000
#define MAX_LIMIT        (1ll << 50)
#define MAX_LIST_BYTES   (64u << 20)
#define MAX_RECORD_BYTES (32u << 20)
#define MAX_TAIL         1000000

struct body {
    struct sandbox_wish wish;
    const char *workspace, *network;
    struct slice limits;
};

#define AT(member) offsetof(struct body, member)
static const struct field FIELDS[] = {
    { "name", FIELD_NAME, AT(wish.name), false, MAX_NAME_BYTES, FIELD_NO_CONFIG, NULL },
    { "template", FIELD_NAME, AT(wish.template_name), false, MAX_NAME_BYTES, FIELD_NO_CONFIG,
      NULL },
    { "image", FIELD_NAME, AT(wish.image), false, MAX_NAME_BYTES, FIELD_NO_CONFIG, NULL },
    { "ttl_seconds", FIELD_INTEGER, AT(wish.ttl_seconds), false, MAX_SECONDS, FIELD_NO_CONFIG,
      NULL },
    { "idle_seconds", FIELD_INTEGER, AT(wish.idle_seconds), false, MAX_SECONDS, FIELD_NO_CONFIG,
      NULL },
    { "env", FIELD_ENV, AT(wish.env), false, MAX_ENTRY_BYTES, FIELD_NO_CONFIG, NULL },
    { "labels", FIELD_LABELS, AT(wish.labels), false, MAX_LABEL_BYTES, FIELD_NO_CONFIG, NULL },
    { "limits", FIELD_OBJECT, AT(limits), false, 0, FIELD_NO_CONFIG, NULL },
    { "network", FIELD_NAME, AT(network), false, 16, FIELD_NO_CONFIG, "none" },
    { "workspace", FIELD_NAME, AT(workspace), false, 16, FIELD_NO_CONFIG, "shared private" },
};
#undef AT

static const struct field LIMITS[] = {
    { "memory_bytes", FIELD_INTEGER, offsetof(struct sandbox_wish, memory_bytes), false, MAX_LIMIT,
      FIELD_NO_CONFIG, NULL },
    { "cpus", FIELD_NUMBER, offsetof(struct sandbox_wish, cpus), false, 1e6, FIELD_NO_CONFIG,
      NULL },
    { "pids", FIELD_INTEGER, offsetof(struct sandbox_wish, pids), false, MAX_LIMIT, FIELD_NO_CONFIG,
      NULL },
};

static const struct field CHANGES[] = {
    { "ttl_seconds", FIELD_INTEGER, offsetof(struct sandbox_change, ttl_seconds), false,
      MAX_SECONDS, FIELD_NO_CONFIG, NULL },
    { "idle_seconds", FIELD_INTEGER, offsetof(struct sandbox_change, idle_seconds), false,
      MAX_SECONDS, FIELD_NO_CONFIG, NULL },
    { "labels", FIELD_LABELS, offsetof(struct sandbox_change, labels), false, MAX_LABEL_BYTES,
      FIELD_NO_CONFIG, NULL },
};

static int read_body(struct request *r, struct fields *fields, struct body *body, struct err *e)
{
    CLEANUP_FIELDS struct fields limits = { .tree = NULL };
    *body = (struct body){ .workspace = NULL };
    if (fields_read(fields, buf_slice(&r->body), FIELDS, ARRAY_LEN(FIELDS), r->site->config, body,
                    e) < 0)
        return -1;
    if (body->limits.data && fields_read(&limits, body->limits, LIMITS, ARRAY_LEN(LIMITS),
                                         r->site->config, &body->wish, e) < 0)
        return err_in(e, "field 'limits'");
    body->wish.private_workspace = body->workspace && strcmp(body->workspace, "private") == 0;
    return 0;
}

void rest_sandbox_create(struct request *r)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct body body;
    struct err e = ERR_INIT;
    if (read_body(r, &fields, &body, &e) < 0) {
        reply_error(r, &e);
        return;
    }
    request_wait(r, sandbox_create(r->site->hub, r->user, &body.wish, request_answer_created, r));
}

void rest_sandboxes(struct request *r)
{
    CLEANUP_BUF struct buf list = BUF_INIT(MAX_LIST_BYTES);
    sandbox_write_all(r->site->hub, r->user, false, query_get(&r->query, "label"), &list);
    page_reply(r, &list);
}

void rest_admin_sandboxes(struct request *r)
{
    CLEANUP_BUF struct buf list = BUF_INIT(MAX_LIST_BYTES);
    sandbox_write_all(r->site->hub, r->user, true, NULL, &list);
    page_reply(r, &list);
}

/* The sandbox named in the path, or NULL and the reply is decided. */
static struct sandbox *named(struct request *r)
{
    struct err e = ERR_INIT;
    struct sandbox *s;
    if (sandbox_find(r->site->hub, r->user, request_part(r, 0), &s, &e) == 0)
        return s;
    r->hint = "GET /api/v1/sandboxes lists yours, POST makes one";
    reply_error(r, &e);
    return NULL;
}

static void reply_sandbox(struct request *r, const struct sandbox *s)
{
    CLEANUP_BUF struct buf json = BUF_INIT(MAX_RECORD_BYTES);
    sandbox_write(s, &json);
    reply_buf(r, 200, &json);
}

void rest_sandbox(struct request *r)
{
    struct sandbox *s = named(r);
    if (!s)
        return;
    reply_sandbox(r, s);
    sandbox_called(s); /* behind the reply: what kept it alive is not this call */
}

void rest_sandbox_change(struct request *r)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct sandbox_change change = { .ttl_seconds = 0 };
    struct err e = ERR_INIT;
    struct sandbox *s = named(r);
    if (!s)
        return;
    sandbox_called(s);
    if (fields_read(&fields, buf_slice(&r->body), CHANGES, ARRAY_LEN(CHANGES), r->site->config,
                    &change, &e) < 0 ||
        sandbox_change(s, &change, &e) < 0)
        reply_error(r, &e);
    else
        reply_sandbox(r, s);
}

static void on_gone(void *arg, const struct err *e, struct slice json)
{
    struct request *r = arg;
    r->wait = NULL;
    if (e)
        reply_error(r, e);
    else
        reply_empty(r, 204);
}

void rest_sandbox_delete(struct request *r)
{
    struct sandbox *s = named(r);
    if (s)
        request_wait(r, sandbox_delete(s, "it was deleted", on_gone, r));
}

void rest_sandbox_reset(struct request *r)
{
    struct sandbox *s = named(r);
    if (!s || !request_has_empty_body(r))
        return;
    sandbox_called(s);
    request_wait(r, sandbox_reset(s, request_answer, r));
}

void rest_sandbox_stats(struct request *r)
{
    struct sandbox *s = named(r);
    if (!s)
        return;
    sandbox_called(s);
    request_wait(r, sandbox_stats(s, request_answer, r));
}

void rest_sandbox_logs(struct request *r)
{
    CLEANUP_BUF struct buf json = BUF_INIT(MAX_RECORD_BYTES);
    struct err e = ERR_INIT;
    int64_t tail;
    struct sandbox *s = named(r);
    if (!s)
        return;
    sandbox_called(s);
    if (query_number(&r->query, "tail", 1, MAX_TAIL, MAX_TAIL, &tail, &e) < 0) {
        reply_error(r, &e);
        return;
    }
    sandbox_write_logs(s, (size_t)tail, &json);
    reply_buf(r, 200, &json);
}

/* ---- /session: for clients that know one sandbox per user ---- */

void rest_default(struct request *r)
{
    struct err e = ERR_INIT;
    struct sandbox *s;
    r->hint = "POST /api/v1/session makes it, and so does the next execution";
    if (sandbox_find(r->site->hub, r->user, SANDBOX_DEFAULT, &s, &e) < 0) {
        reply_error(r, &e);
        return;
    }
    reply_sandbox(r, s);
    sandbox_called(s);
}

void rest_default_create(struct request *r)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct body body;
    struct err e = ERR_INIT;
    struct sandbox *s;
    if (read_body(r, &fields, &body, &e) < 0) {
        reply_error(r, &e);
        return;
    }
    if (body.wish.name && strcmp(body.wish.name, SANDBOX_DEFAULT) != 0) {
        (void)err_set(&e, ERR_INVALID, "field 'name' has to be \"%s\" here", SANDBOX_DEFAULT);
        reply_error(r, &e);
        return;
    }
    body.wish.name = SANDBOX_DEFAULT;
    bool asks_nothing = fields_count(&fields) == 0;
    if (asks_nothing && sandbox_find(r->site->hub, r->user, SANDBOX_DEFAULT, &s, &e) == 0) {
        reply_sandbox(r, s);
        sandbox_called(s);
        return;
    }
    r->hint = "DELETE /api/v1/session ends the one that is there";
    request_wait(r, sandbox_create(r->site->hub, r->user, &body.wish, request_answer_created, r));
}

void rest_default_delete(struct request *r)
{
    struct err e = ERR_INIT;
    bool purge;
    if (query_flag(&r->query, "purge", false, &purge, &e) < 0)
        reply_error(r, &e);
    else
        request_wait(r, sandbox_delete_default(r->site->hub, r->user, purge, on_gone, r));
}

void rest_usage(struct request *r)
{
    CLEANUP_BUF struct buf json = BUF_INIT(MAX_RECORD_BYTES);
    struct err e = ERR_INIT;
    const char *by = query_get(&r->query, "group_by");
    if (by && strcmp(by, "label") != 0) {
        (void)err_set(&e, ERR_INVALID, "query parameter 'group_by' can only be label");
        reply_error(r, &e);
        return;
    }
    sandbox_write_usage(r->site->hub, r->user, by != NULL, &json);
    reply_buf(r, 200, &json);
}

void rest_admin_sandbox_delete(struct request *r)
{
    struct err e = ERR_INIT;
    struct sandbox *s;
    if (sandbox_find_any(r->site->hub, request_part(r, 0), &s, &e) < 0)
        reply_error(r, &e);
    else
        request_wait(r, sandbox_delete(s, "an administrator ended it", on_gone, r));
}
