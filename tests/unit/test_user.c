/* Keys, and the logins of browsers that are made of them. */
#include "hub_fixture.h"

#include <sodium.h>

#include "kernelhub/user.h"

static struct slice make_key(struct hub_fixture *f, int64_t expires_us,
                             char key[USER_KEY_CHARS + 1], struct uuid *ret_id)
{
    struct slice id;
    struct err e = ERR_INIT;
    CLEANUP_BUF struct buf json = BUF_INIT(4096);
    assert_int_equal(user_key_create(f->hub, f->user, "k", expires_us, key, &json, &e), 0);
    assert_true(json_member_string(buf_slice(&json), "id", &id) && uuid_parse(id, ret_id));
    return slice_str(key);
}

static struct user *who_is(struct hub_fixture *f, const char *token)
{
    char hash[USER_HASH_CHARS + 1];
    struct user *u = NULL;
    struct err e = ERR_INIT;
    int result = user_authenticate(f->hub, slice_str(token), &u, hash, &e);
    assert_int_equal(e.code, result < 0 ? ERR_UNAUTHORIZED : ERR_NONE);
    return u;
}

static void a_key_survives_who_writes_it_in_lowercase(void **state)
{
    struct hub_fixture *f = *state;
    char key[USER_KEY_CHARS + 1], other[USER_KEY_CHARS + 1];
    struct uuid id;
    make_key(f, 0, key, &id);
    make_key(f, 0, other, &id);
    assert_int_equal(strlen(key), USER_KEY_CHARS);
    assert_memory_equal(key, "kh_", 3);
    assert_int_equal(strspn(key + 3, "0123456789abcdef"), 64);
    assert_string_not_equal(key, other);
    assert_ptr_equal(who_is(f, key), f->user);
    key[10] = key[10] == '0' ? '1' : '0';
    assert_null(who_is(f, key));
}

/* As they were until 2026-11-22: 43 characters of base64url. */
static void a_key_of_before_lets_in_as_ever(void **state)
{
    static const char OLD[] = "kh_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE";
    struct hub_fixture *f = *state;
    struct key_row row = { .id = uuid_new(),
                           .user_id = f->user->id,
                           .name = "old",
                           .prefix = "kh_AbCdE",
                           .created_us = 1 };
    (void)crypto_generichash(row.hash, sizeof row.hash, (const unsigned char *)OLD, sizeof OLD - 1,
                             f->hub->key_secret, sizeof f->hub->key_secret);
    assert_null(who_is(f, OLD));
    store_put_key(f->hub->store, &row, NULL, NULL);
    hub_fixture_settle(f);
    hub_fixture_reopen(f);
    assert_ptr_equal(who_is(f, OLD), f->user);
    assert_null(who_is(f, "kh_abcdefghijklmnopqrstuvwxyz0123456789-_abcde"));
}

/* ---- logins ---- */

/* A login whose key was typed in so long ago and that was renewed so long before it ends; as user_login.c seals it. */
static void seal(struct hub_fixture *f, const char *key, int64_t begun_s, int64_t until_s,
                 char text[LOGIN_TEXT_CHARS + 1])
{
    uint8_t secret[LOGIN_SECRET_BYTES];
    struct login l;
    assert_int_equal(
        crypto_kdf_derive_from_key(secret, sizeof secret, 1, "khlogin1", f->hub->key_secret), 0);
    assert_true(login_begin(&l, slice_str(key), true, begun_s));
    l.until_s = until_s;
    login_seal(&l, secret, text);
}

static struct user *who_has(struct hub_fixture *f, const char *text, struct user_login *ret_renewed)
{
    char hash[USER_HASH_CHARS + 1];
    struct user *u = NULL;
    struct err e = ERR_INIT;
    int result = user_authenticate_login(f->hub, slice_str(text), &u, hash, ret_renewed, &e);
    assert_int_equal(e.code, result < 0 ? ERR_UNAUTHORIZED : ERR_NONE);
    return u;
}

static void a_login_is_good_until_its_key_is_revoked(void **state)
{
    struct hub_fixture *f = *state;
    char key[USER_KEY_CHARS + 1], hash[USER_HASH_CHARS + 1], key_hash[USER_HASH_CHARS + 1];
    struct user_login login, renewed;
    struct user *u;
    struct uuid id;
    struct err e = ERR_INIT;
    struct slice token = make_key(f, 0, key, &id);
    assert_int_equal(user_log_in(f->hub, token, false, &login, &e), 0);
    assert_true(!login.is_https && login.seconds > LOGIN_IDLE_SECONDS - 60);
    assert_null(strstr(login.text, key + 3));
    assert_int_equal(user_authenticate_login(f->hub, slice_str(login.text), &u, hash, &renewed, &e),
                     0);
    assert_int_equal(user_authenticate(f->hub, token, &u, key_hash, &e), 0);
    assert_ptr_equal(u, f->user);
    assert_string_equal(hash, key_hash); /* what stays open ends with the key */
    assert_string_equal(renewed.text, "");
    hub_fixture_settle(f);
    hub_fixture_reopen(f);
    assert_ptr_equal(who_has(f, login.text, &renewed), f->user);
    assert_int_equal(user_key_revoke(f->hub, &id, &e), 0);
    assert_null(who_has(f, login.text, &renewed));
    assert_string_equal(renewed.text, "");
}

static void what_is_no_key_logs_nobody_in(void **state)
{
    static const char *const NONE[] = {
        "", "kh_", "kh_0000000000000000000000000000000000000000000000000000000000000000"
    };
    struct hub_fixture *f = *state;
    struct user_login login = { .text = "untouched" };
    char key[USER_KEY_CHARS + 1];
    struct uuid id;
    for (size_t i = 0; i < sizeof NONE / sizeof *NONE; i++) {
        struct err e = ERR_INIT;
        assert_int_equal(user_log_in(f->hub, slice_str(NONE[i]), false, &login, &e), -1);
        assert_int_equal(e.code, ERR_UNAUTHORIZED);
    }
    struct err e = ERR_INIT;
    assert_int_equal(
        user_log_in(f->hub, make_key(f, hub_unix_us() - 1, key, &id), false, &login, &e), -1);
    assert_string_equal(login.text, "untouched");
    assert_null(who_has(f, make_key(f, 0, key, &id).data, &login)); /* a key is no login */
}

static void a_login_that_is_over_or_of_an_expired_key_is_none(void **state)
{
    struct hub_fixture *f = *state;
    char key[USER_KEY_CHARS + 1], expired[USER_KEY_CHARS + 1], text[LOGIN_TEXT_CHARS + 1];
    const int64_t now_s = hub_unix_us() / 1000000;
    struct user_login renewed;
    struct uuid id;
    make_key(f, 0, key, &id);
    make_key(f, hub_unix_us() - 1, expired, &id);
    seal(f, key, now_s - 100, now_s - 1, text);
    assert_null(who_has(f, text, &renewed));
    seal(f, expired, now_s, now_s + 1000, text);
    assert_null(who_has(f, text, &renewed));
    seal(f, key, now_s, now_s + LOGIN_IDLE_SECONDS, text);
    assert_ptr_equal(who_has(f, text, &renewed), f->user);
    f->hub->key_secret[0] ^= 1; /* another instance's */
    assert_null(who_has(f, text, &renewed));
    f->hub->key_secret[0] ^= 1;
}

static void a_login_in_use_is_renewed(void **state)
{
    struct hub_fixture *f = *state;
    char key[USER_KEY_CHARS + 1], text[LOGIN_TEXT_CHARS + 1];
    const int64_t now_s = hub_unix_us() / 1000000;
    struct user_login renewed, again;
    struct uuid id;
    make_key(f, 0, key, &id);
    seal(f, key, now_s - 1000, now_s + 1000, text);
    assert_ptr_equal(who_has(f, text, &renewed), f->user);
    assert_true(renewed.text[0] && renewed.is_https && renewed.seconds > LOGIN_IDLE_SECONDS - 60);
    assert_ptr_equal(who_has(f, renewed.text, &again), f->user);
    assert_string_equal(again.text, "");
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test_setup_teardown(a_key_survives_who_writes_it_in_lowercase,
                                        hub_fixture_setup, hub_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_key_of_before_lets_in_as_ever, hub_fixture_setup,
                                        hub_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_login_is_good_until_its_key_is_revoked, hub_fixture_setup,
                                        hub_fixture_teardown),
        cmocka_unit_test_setup_teardown(what_is_no_key_logs_nobody_in, hub_fixture_setup,
                                        hub_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_login_that_is_over_or_of_an_expired_key_is_none,
                                        hub_fixture_setup, hub_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_login_in_use_is_renewed, hub_fixture_setup,
                                        hub_fixture_teardown),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
