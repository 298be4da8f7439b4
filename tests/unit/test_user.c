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

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test_setup_teardown(a_key_survives_who_writes_it_in_lowercase,
                                        hub_fixture_setup, hub_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_key_of_before_lets_in_as_ever, hub_fixture_setup,
                                        hub_fixture_teardown),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
