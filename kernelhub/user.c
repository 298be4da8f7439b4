/* Keys are 256 random bits, so a keyed hash (BLAKE2b) is enough to keep them: nothing to guess, nothing to slow down. */
#include "kernelhub/user.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/hub_internal.h"
#include "kernelhub/moment.h"
#include "kernelhub/user_internal.h"
#include "protocol/jupyter_message.h"

#define HASH_BYTES     (USER_HASH_CHARS / 2)
#define MAX_KEYS       10000
#define MAX_USERS      10000
#define TOUCH_EVERY_US (60 * 1000000LL) /* last_used is written at most once a minute per key */
#define PREFIX_CHARS   8

struct key {
    struct uuid id, user_id;
    char name[64], prefix[PREFIX_CHARS + 1];
    uint8_t hash[HASH_BYTES];
    int64_t created_us, last_used_us, written_us, expires_us;
};

static void hash_token(const struct hub *h, struct slice token, uint8_t ret[HASH_BYTES])
{
    (void)crypto_generichash(ret, HASH_BYTES, (const unsigned char *)token.data, token.len,
                             h->key_secret, sizeof h->key_secret); /* fails only for bad sizes */
}

static const char *hash_text(const uint8_t hash[HASH_BYTES], char ret[2 * HASH_BYTES + 1])
{
    return sodium_bin2hex(ret, 2 * HASH_BYTES + 1, hash, HASH_BYTES);
}

static void free_at(void **item)
{
    free(*item);
    *item = NULL;
}

void user_tables_new(struct hub *h)
{
    h->users = zhashx_new();
    h->keys = zhashx_new();
    zhashx_set_destructor(h->users, free_at);
    zhashx_set_destructor(h->keys, free_at);
}

static bool is_user_name(const char *s)
{
    size_t n = strlen(s);
    return n >= 1 && n <= 63 &&
           strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@-") == n;
}

static void key_save(struct hub *h, struct key *k, int64_t revoked_us)
{
    struct key_row row = { .id = k->id,
                           .user_id = k->user_id,
                           .name = k->name,
                           .prefix = k->prefix,
                           .created_us = k->created_us,
                           .last_used_us = k->last_used_us,
                           .expires_us = k->expires_us,
                           .revoked_us = revoked_us };
    memcpy(row.hash, k->hash, sizeof row.hash);
    k->written_us = k->last_used_us;
    store_put_key(h->store, &row, NULL, NULL);
}

static void user_save(struct hub *h, const struct user *u, int64_t created_us, int64_t removed_us)
{
    struct user_row row = { .id = u->id,
                            .name = u->name,
                            .admin = u->admin,
                            .created_us = created_us,
                            .removed_us = removed_us,
                            .callback_generation = u->callback_generation };
    store_put_user(h->store, &row, NULL, NULL);
}

void user_save_row(struct hub *h, const struct user *u)
{
    user_save(h, u, u->created_us, 0);
}

static struct user *user_add(struct hub *h, const struct uuid *id, const char *name, bool admin,
                             int64_t created_us)
{
    struct user *u = calloc(1, sizeof *u);
    if (!u)
        abort();
    u->id = *id;
    u->admin = admin;
    u->created_us = created_us;
    (void)snprintf(u->name, sizeof u->name, "%s", name);
    zhashx_insert(h->users, u->id.text, u);
    return u;
}

static void load_user(void *arg, const struct user_row *r)
{
    struct hub *h = arg;
    struct user *u = user_add(h, &r->id, r->name, r->admin, r->created_us);
    u->removed = r->removed_us != 0;
    u->callback_generation = r->callback_generation;
}

static void load_key(void *arg, const struct key_row *r)
{
    struct hub *h = arg;
    struct key *k = calloc(1, sizeof *k);
    char hex[2 * HASH_BYTES + 1];
    if (!k)
        abort();
    k->id = r->id;
    k->user_id = r->user_id;
    k->created_us = r->created_us;
    k->last_used_us = k->written_us = r->last_used_us;
    k->expires_us = r->expires_us;
    (void)snprintf(k->name, sizeof k->name, "%s", r->name ? r->name : "");
    (void)snprintf(k->prefix, sizeof k->prefix, "%s", r->prefix ? r->prefix : "");
    memcpy(k->hash, r->hash, sizeof k->hash);
    zhashx_insert(h->keys, hash_text(k->hash, hex), k);
}

static int load_secret(struct hub *h, struct err *e)
{
    char text[2 * sizeof h->key_secret + 1];
    size_t n = 0;
    if (store_get_setting(h->store, "key_secret", text, sizeof text, e) < 0)
        return -1;
    if (text[0] &&
        sodium_hex2bin(h->key_secret, sizeof h->key_secret, text, strlen(text), NULL, &n, NULL) ==
            0 &&
        n == sizeof h->key_secret)
        return 0;
    if (text[0])
        return err_set(e, ERR_INTERNAL, "setting 'key_secret' in the store is damaged");
    randombytes_buf(h->key_secret, sizeof h->key_secret);
    sodium_bin2hex(text, sizeof text, h->key_secret, sizeof h->key_secret);
    return store_put_setting(h->store, "key_secret", text, e);
}

static int first_admin(struct hub *h, char *ret_key, size_t size, struct err *e)
{
    struct user *admin;
    char key[USER_KEY_CHARS + 1];
    if (user_create(h, "admin", true, &admin, e) < 0 ||
        user_key_create(h, admin, "first start", 0, key, NULL, e) < 0)
        return -1;
    (void)snprintf(ret_key, size, "%s", key);
    sodium_memzero(key, sizeof key);
    return 0;
}

int users_load(struct hub *h, char *ret_admin_key, size_t size, struct err *e)
{
    ret_admin_key[0] = '\0';
    if (load_secret(h, e) < 0 || store_load_users(h->store, load_user, h, e) < 0 ||
        store_load_keys(h->store, load_key, h, e) < 0)
        return -1;
    return zhashx_size(h->users) ? 0 : first_admin(h, ret_admin_key, size, e);
}

static int user_anonymous(struct hub *h, struct user **ret, struct err *e)
{
    *ret = user_find(h, "local");
    return *ret ? 0 : user_create(h, "local", true, ret, e);
}

static bool is_expired(const struct key *k, int64_t now)
{
    return k->expires_us && k->expires_us <= now;
}

int user_authenticate(struct hub *h, struct slice token, struct user **ret,
                      char ret_key[USER_HASH_CHARS + 1], struct err *e)
{
    uint8_t hash[HASH_BYTES];
    ret_key[0] = '\0';
    if (strcmp(config_text(h->config, CONFIG_SERVER_AUTH), "none") == 0)
        return user_anonymous(h, ret, e);
    hash_token(h, token, hash);
    struct key *k = zhashx_lookup(h->keys, hash_text(hash, ret_key));
    int64_t now = hub_unix_us();
    struct user *u = k ? zhashx_lookup(h->users, k->user_id.text) : NULL;
    if (!u || u->removed || is_expired(k, now))
        return err_set(e, ERR_UNAUTHORIZED,
                       token.len ? "the token is not known, expired or revoked"
                                 : "a token is needed");
    k->last_used_us = now;
    if (now - k->written_us > TOUCH_EVERY_US)
        key_save(h, k, 0);
    *ret = u;
    return 0;
}

const char *user_shut_out(struct hub *h, const struct user *u, const char *key)
{
    const struct key *k = key[0] ? zhashx_lookup(h->keys, key) : NULL;
    if (u->removed)
        return "the user was removed";
    if (key[0] && !k)
        return "the key was revoked";
    return k && is_expired(k, hub_unix_us()) ? "the key has expired" : NULL;
}

struct user *user_find(struct hub *h, const char *name_or_id)
{
    struct user *u = zhashx_lookup(h->users, name_or_id);
    if (u && !u->removed)
        return u;
    for (u = zhashx_first(h->users); u; u = zhashx_next(h->users))
        if (!u->removed && strcmp(u->name, name_or_id) == 0)
            return u;
    return NULL;
}

int user_create(struct hub *h, const char *name, bool admin, struct user **ret, struct err *e)
{
    if (!is_user_name(name))
        return err_set(e, ERR_INVALID, "a user's name is 1 to 63 of letters, digits and ._@-");
    if (user_find(h, name))
        return err_set(e, ERR_CONFLICT, "user '%s' exists already", name);
    if (zhashx_size(h->users) >= MAX_USERS)
        return err_set(e, ERR_QUOTA, "there are %d users, the limit", MAX_USERS);
    struct uuid id = uuid_new();
    *ret = user_add(h, &id, name, admin, hub_unix_us());
    user_save(h, *ret, (*ret)->created_us, 0);
    log_info("user created name=%s admin=%d", log_quote(slice_str(name)), admin);
    return 0;
}

int user_remove(struct hub *h, struct user *u, struct err *e)
{
    unsigned admins = 0;
    for (struct user *other = zhashx_first(h->users); other; other = zhashx_next(h->users))
        admins += other->admin && !other->removed;
    if (u->admin && admins == 1)
        return err_set(e, ERR_CONFLICT, "'%s' is the only admin", u->name);
    u->removed = true;
    user_save(h, u, u->created_us, hub_unix_us());
    log_info("user removed name=%s", log_quote(slice_str(u->name)));
    hub_end_sandboxes_of(h, u);
    return 0;
}

void user_write(const struct hub *h, const struct user *u, struct buf *out)
{
    char ts[28];
    jupyter_format_time(u->created_us, ts);
    buf_addf(out, "{\"id\":\"%s\",\"name\":", u->id.text);
    json_quote_str(out, u->name);
    buf_addf(out, ",\"admin\":%s,\"created_at\":\"%s\"}", u->admin ? "true" : "false", ts);
}

void user_write_all(const struct hub *h, struct buf *out)
{
    const char *comma = "";
    buf_add_str(out, "{\"items\":[");
    for (struct user *u = zhashx_first(h->users); u; u = zhashx_next(h->users)) {
        if (u->removed)
            continue;
        buf_add_str(out, comma);
        user_write(h, u, out);
        comma = ",";
    }
    buf_add_str(out, "],\"next\":null}");
}

static void key_write(const struct hub *h, const struct key *k, const char *secret, struct buf *out)
{
    struct user *u = zhashx_lookup(h->users, k->user_id.text);
    buf_addf(out, "{\"id\":\"%s\",\"name\":", k->id.text);
    json_quote_str(out, k->name);
    buf_add_str(out, ",\"user\":");
    json_quote_str(out, u ? u->name : NULL);
    buf_addf(out, ",\"prefix\":\"%s\"", k->prefix);
    moment_write(out, "created_at", k->created_us);
    moment_write(out, "last_used_at", k->last_used_us);
    moment_write(out, "expires_at", k->expires_us);
    if (secret)
        buf_addf(out, ",\"key\":\"%s\"", secret);
    buf_add_char(out, '}');
}

int user_key_create(struct hub *h, struct user *u, const char *name, int64_t expires_us,
                    char ret_key[USER_KEY_CHARS + 1], struct buf *ret_json, struct err *e)
{
    uint8_t raw[32];
    char hex[2 * HASH_BYTES + 1], text[2 * sizeof raw + 1];
    if (strlen(name) > 63)
        return err_set(e, ERR_INVALID, "a key's name has at most 63 characters");
    if (zhashx_size(h->keys) >= MAX_KEYS)
        return err_set(e, ERR_QUOTA, "there are %d keys, the limit", MAX_KEYS);
    struct key *k = calloc(1, sizeof *k);
    if (!k)
        abort();
    randombytes_buf(raw, sizeof raw);
    (void)snprintf(ret_key, USER_KEY_CHARS + 1, "kh_%s",
                   sodium_bin2hex(text, sizeof text, raw, sizeof raw));
    k->id = uuid_new();
    k->user_id = u->id;
    k->created_us = hub_unix_us();
    k->expires_us = expires_us;
    (void)snprintf(k->name, sizeof k->name, "%s", name);
    memcpy(k->prefix, ret_key, PREFIX_CHARS);
    hash_token(h, slice_str(ret_key), k->hash);
    zhashx_insert(h->keys, hash_text(k->hash, hex), k);
    key_save(h, k, 0);
    log_info("key created id=%s user=%s", k->id.text, log_quote(slice_str(u->name)));
    if (ret_json)
        key_write(h, k, ret_key, ret_json);
    sodium_memzero(raw, sizeof raw);
    sodium_memzero(text, sizeof text);
    return 0;
}

int user_key_revoke(struct hub *h, const struct uuid *key_id, struct err *e)
{
    char hex[2 * HASH_BYTES + 1];
    for (struct key *k = zhashx_first(h->keys); k; k = zhashx_next(h->keys)) {
        if (!uuid_equal(&k->id, key_id))
            continue;
        key_save(h, k, hub_unix_us());
        log_info("key revoked id=%s", k->id.text);
        zhashx_delete(h->keys, hash_text(k->hash, hex));
        return 0;
    }
    return err_set(e, ERR_NOT_FOUND, "no key %s", key_id->text);
}

void user_write_keys(const struct hub *h, const struct user *only_of, struct buf *out)
{
    const char *comma = "";
    buf_add_str(out, "{\"items\":[");
    for (struct key *k = zhashx_first(h->keys); k; k = zhashx_next(h->keys)) {
        if (only_of && !uuid_equal(&k->user_id, &only_of->id))
            continue;
        buf_add_str(out, comma);
        key_write(h, k, NULL, out);
        comma = ",";
    }
    buf_add_str(out, "],\"next\":null}");
}
