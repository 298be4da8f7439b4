/* Users and keys, for admins (the route table checks that). */
#include <stddef.h>
#include <time.h>

#include "base/json.h"
#include "base/log.h"
#include "base/timestamp.h"
#include "web/fields.h"
#include "web/page.h"
#include "web/reply.h"
#include "web/request.h"
#include "web/rest.h"

#define MAX_LIST_BYTES (16u * 1024 * 1024)

struct user_body {
    const char *name;
    bool admin;
};

static const struct field USER_FIELDS[] = {
    { "name", FIELD_NAME, offsetof(struct user_body, name), true, 63, FIELD_NO_CONFIG, NULL },
    { "admin", FIELD_FLAG, offsetof(struct user_body, admin), false, 0, FIELD_NO_CONFIG, NULL },
};

struct key_body {
    const char *name, *user, *expires_at;
};

static const struct field KEY_FIELDS[] = {
    { "name", FIELD_NAME, offsetof(struct key_body, name), true, 63, FIELD_NO_CONFIG, NULL },
    { "user", FIELD_NAME, offsetof(struct key_body, user), false, 63, FIELD_NO_CONFIG, NULL },
    { "expires_at", FIELD_NAME, offsetof(struct key_body, expires_at), false, 40, FIELD_NO_CONFIG,
      NULL },
};

static struct user *find(struct request *r, const char *name, struct err *e)
{
    struct user *u = user_find(r->site->hub, name);
    if (u && !u->removed)
        return u;
    (void)err_set(e, ERR_NOT_FOUND, "no user %s", log_quote(slice_str(name)));
    return NULL;
}

static void reply_user(struct request *r, unsigned status, const struct user *u)
{
    CLEANUP_BUF struct buf json = BUF_INIT(4096);
    user_write(r->site->hub, u, &json);
    reply_buf(r, status, &json);
}

void rest_admin_users(struct request *r)
{
    CLEANUP_BUF struct buf list = BUF_INIT(MAX_LIST_BYTES);
    user_write_all(r->site->hub, &list);
    page_reply(r, &list);
}

void rest_admin_user_create(struct request *r)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    struct user_body body = { .name = NULL };
    struct user *u;
    struct err e = ERR_INIT;
    if (fields_read(&fields, buf_slice(&r->body), USER_FIELDS, 2, r->site->config, &body, &e) < 0 ||
        user_create(r->site->hub, body.name, body.admin, &u, &e) < 0)
        reply_error(r, &e);
    else
        reply_user(r, 201, u);
}

void rest_admin_user(struct request *r)
{
    struct err e = ERR_INIT;
    struct user *u = find(r, request_part(r, 0), &e);
    if (u)
        reply_user(r, 200, u);
    else
        reply_error(r, &e);
}

static int remove_user(struct request *r, struct err *e)
{
    struct user *u = find(r, request_part(r, 0), e);
    if (!u)
        return -1;
    if (u == r->user)
        return err_set(e, ERR_CONFLICT, "user '%s' is you; another admin has to do that", u->name);
    return user_remove(r->site->hub, u, e);
}

void rest_admin_user_delete(struct request *r)
{
    struct err e = ERR_INIT;
    if (remove_user(r, &e) < 0)
        reply_error(r, &e);
    else
        reply_empty(r, 204);
}

void rest_admin_keys(struct request *r)
{
    CLEANUP_BUF struct buf list = BUF_INIT(MAX_LIST_BYTES);
    const char *name = query_get(&r->query, "user");
    struct err e = ERR_INIT;
    struct user *of = name ? find(r, name, &e) : NULL;
    if (name && !of) {
        reply_error(r, &e);
        return;
    }
    user_write_keys(r->site->hub, of, &list);
    page_reply(r, &list);
}

static int read_key(struct request *r, struct fields *fields, struct key_body *body,
                    int64_t *ret_expires, struct err *e)
{
    *ret_expires = 0;
    if (fields_read(fields, buf_slice(&r->body), KEY_FIELDS, 3, r->site->config, body, e) < 0)
        return -1;
    if (body->expires_at && !timestamp_parse(slice_str(body->expires_at), ret_expires))
        return err_set(e, ERR_INVALID,
                       "field 'expires_at' has to be a time such as 2027-01-31T12:00:00Z");
    if (body->expires_at && *ret_expires <= (int64_t)time(NULL) * 1000000)
        return err_set(e, ERR_INVALID, "field 'expires_at' is in the past");
    return 0;
}

/* The hub's JSON with the key itself in it: this is the only time that it is shown. */
static void reply_key(struct request *r, const char *key, struct slice json)
{
    struct slice member;
    if (json_member(json, "key", &member)) {
        reply_json(r, 201, json);
        return;
    }
    CLEANUP_BUF struct buf out = BUF_INIT(8192);
    buf_add(&out, json.data, json.len ? json.len - 1 : 0);
    buf_addf(&out, ",\"key\":\"%s\"}", key);
    reply_buf(r, 201, &out);
}

void rest_admin_key_create(struct request *r)
{
    CLEANUP_FIELDS struct fields fields = { .tree = NULL };
    CLEANUP_BUF struct buf json = BUF_INIT(4096);
    struct key_body body = { .name = NULL };
    char key[USER_KEY_CHARS + 1];
    int64_t expires_us;
    struct err e = ERR_INIT;
    struct user *of = NULL;
    if (read_key(r, &fields, &body, &expires_us, &e) < 0 ||
        !(of = body.user ? find(r, body.user, &e) : r->user) ||
        user_key_create(r->site->hub, of, body.name, expires_us, key, &json, &e) < 0)
        reply_error(r, &e);
    else
        reply_key(r, key, buf_slice(&json));
}

void rest_admin_key_delete(struct request *r)
{
    struct uuid id;
    struct err e = ERR_INIT;
    if (!uuid_parse(slice_str(request_part(r, 0)), &id))
        (void)err_set(&e, ERR_NOT_FOUND, "no key %s", log_quote(slice_str(request_part(r, 0))));
    else if (user_key_revoke(r->site->hub, &id, &e) == 0) {
        reply_empty(r, 204);
        return;
    }
    reply_error(r, &e);
}
