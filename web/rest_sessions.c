/* Sessions: names for kernels. */
#include <stddef.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kernelhub/session.h"
#include "web/fields.h"
#include "web/page.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"

#define MAX_NAME_BYTES 255
#define MAX_LIST_BYTES (64u << 20)

#define AT(member) offsetof(struct session_wish, member)

static const struct field FIELDS[] = {
    { "name", FIELD_NAME, AT(name), false, MAX_NAME_BYTES, FIELD_NO_CONFIG, NULL },
    { "language", FIELD_NAME, AT(language), false, MAX_NAME_BYTES, FIELD_NO_CONFIG, NULL },
    { "template", FIELD_NAME, AT(template_name), false, MAX_NAME_BYTES, FIELD_NO_CONFIG, NULL },
    { "sandbox", FIELD_NAME, AT(sandbox), false, MAX_NAME_BYTES, FIELD_NO_CONFIG, NULL },
};
#undef AT

void rest_sessions(struct request *r)
{
    CLEANUP_BUF struct buf list = BUF_INIT(MAX_LIST_BYTES);
    session_write_all(r->site->hub, r->user, &list);
    page_reply(r, &list);
}

/* The session named in the path, or NULL and the reply is decided. */
static struct session *named(struct request *r)
{
    struct err e = ERR_INIT;
    struct session *s = session_find(r->site->hub, r->user, request_part(r, 0));
    if (s)
        return s;
    r->hint = "GET /api/v1/sessions lists yours";
    (void)err_set(&e, ERR_NOT_FOUND, "no session %s", log_quote(slice_str(request_part(r, 0))));
    reply_error(r, &e);
    return NULL;
}

static void reply_session(struct request *r, const struct session *s)
{
    CLEANUP_BUF struct buf json = BUF_INIT(65536);
    session_write(s, &json);
    reply_buf(r, 200, &json);
}

void rest_session(struct request *r)
{
    struct session *s = named(r);
    if (s)
        reply_session(r, s);
}

void rest_session_create(struct request *r)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct session_wish wish = { .name = NULL };
    struct err e = ERR_INIT;
    if (fields_read(&fields, buf_slice(&r->body), FIELDS, ARRAY_LEN(FIELDS), r->site->config, &wish,
                    &e) < 0) {
        reply_error(r, &e);
        return;
    }
    r->hint = "GET /api/v1/languages lists what can run here, GET /api/v1/sandboxes your sandboxes";
    bool exists = session_exists(r->site->hub, r->user, &wish);
    request_wait(r, session_create(r->site->hub, r->user, &wish,
                                   exists ? request_answer : request_answer_created, r));
}

void rest_session_delete(struct request *r)
{
    struct err e = ERR_INIT;
    struct session *s = named(r);
    if (!s)
        return;
    if (session_delete(r->site->hub, s, &e) < 0)
        reply_error(r, &e);
    else
        reply_empty(r, 204);
}

void rest_session_restart(struct request *r)
{
    struct session *s = named(r);
    if (s && request_has_empty_body(r))
        request_wait(r, session_restart(r->site->hub, s, request_answer, r));
}

void rest_session_interrupt(struct request *r)
{
    struct err e = ERR_INIT;
    struct session *s = named(r);
    if (!s || !request_has_empty_body(r))
        return;
    if (session_interrupt(r->site->hub, s, &e) < 0)
        reply_error(r, &e);
    else
        reply_session(r, s);
}
