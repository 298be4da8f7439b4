/* A login holds the token itself, sealed (protocol/login.h): so each use of it is authenticated as the token would be, a revoked
 * key ends all its logins at once, nothing of a login is stored, and nobody who reads the store can make one. */
#include <sodium.h>
#include <stdio.h>

#include "base/log.h"
#include "kernelhub/hub_internal.h"
#include "kernelhub/user.h"

static_assert(sizeof((struct hub *)0)->key_secret == crypto_kdf_KEYBYTES, "key_secret");

static void derive_secret(const struct hub *h, uint8_t ret[LOGIN_SECRET_BYTES])
{
    (void)crypto_kdf_derive_from_key(ret, LOGIN_SECRET_BYTES, 1, "khlogin1",
                                     h->key_secret); /* fails only for bad sizes */
}

static int64_t now_s(void)
{
    return hub_unix_us() / 1000000;
}

static void seal(const struct hub *h, const struct login *l, struct user_login *ret)
{
    uint8_t secret[LOGIN_SECRET_BYTES];
    derive_secret(h, secret);
    login_seal(l, secret, ret->text);
    ret->is_https = l->is_https;
    ret->seconds = l->until_s - now_s();
    sodium_memzero(secret, sizeof secret);
}

static bool open_good(const struct hub *h, struct slice text, struct login *ret)
{
    uint8_t secret[LOGIN_SECRET_BYTES];
    derive_secret(h, secret);
    bool is_good = login_open(text, secret, ret) == DECODE_OK && !login_is_over(ret, now_s());
    sodium_memzero(secret, sizeof secret);
    return is_good;
}

int user_log_in(struct hub *h, struct slice token, bool is_https, struct user_login *ret,
                struct err *e)
{
    char key[USER_HASH_CHARS + 1];
    struct login l;
    struct user *u;
    if (!login_begin(&l, token, is_https, now_s()))
        return err_set(e, ERR_UNAUTHORIZED, "that is no key");
    int result = user_authenticate(h, token, &u, key, e);
    if (result == 0) {
        seal(h, &l, ret);
        log_info("logged in user=%s", log_quote(slice_str(u->name)));
    }
    login_wipe(&l);
    return result;
}

int user_authenticate_login(struct hub *h, struct slice text, struct user **ret,
                            char ret_key[USER_HASH_CHARS + 1], struct user_login *ret_renewed,
                            struct err *e)
{
    struct login l;
    bool is_good = open_good(h, text, &l);
    int result =
        user_authenticate(h, is_good ? login_token(&l) : slice_of(NULL, 0), ret, ret_key, e);
    ret_renewed->text[0] = '\0';
    if (result < 0 && !is_good)
        (void)err_set(e, ERR_UNAUTHORIZED, "the login has ended");
    if (result == 0 && is_good && login_renew(&l, now_s()))
        seal(h, &l, ret_renewed);
    login_wipe(&l);
    return result;
}
