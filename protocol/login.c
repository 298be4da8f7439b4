#include "protocol/login.h"

#include <assert.h>
#include <sodium.h>

#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES   crypto_aead_xchacha20poly1305_ietf_ABYTES
#define HEAD_BYTES  17
#define PLAIN_BYTES (HEAD_BYTES + LOGIN_TOKEN_BYTES)
#define BOX_BYTES   (NONCE_BYTES + PLAIN_BYTES + TAG_BYTES)
#define VARIANT     sodium_base64_VARIANT_URLSAFE_NO_PADDING

static_assert(sodium_base64_ENCODED_LEN(BOX_BYTES, VARIANT) == LOGIN_TEXT_CHARS + 1,
              "LOGIN_TEXT_CHARS");
static_assert(LOGIN_SECRET_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
              "LOGIN_SECRET_BYTES");

static const unsigned char PURPOSE[] = "kernelhub login 1";

static void put_i64(unsigned char *at, int64_t v)
{
    for (int i = 0; i < 8; i++)
        at[i] = (unsigned char)((uint64_t)v >> (56 - 8 * i));
}

static int64_t get_i64(const unsigned char *at)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | at[i];
    return (int64_t)v;
}

bool login_begin(struct login *l, struct slice token, bool is_https, int64_t now_s)
{
    if (token.len == 0 || token.len > LOGIN_TOKEN_BYTES)
        return false;
    *l = (struct login){ .begun_s = now_s,
                         .until_s = now_s + LOGIN_IDLE_SECONDS,
                         .is_https = is_https,
                         .len = token.len };
    memcpy(l->token, token.data, token.len);
    return true;
}

void login_seal(const struct login *l, const uint8_t secret[LOGIN_SECRET_BYTES],
                char ret[LOGIN_TEXT_CHARS + 1])
{
    unsigned char plain[PLAIN_BYTES], box[BOX_BYTES];
    unsigned long long n;
    put_i64(plain, l->begun_s);
    put_i64(plain + 8, l->until_s);
    plain[16] = l->is_https;
    memcpy(plain + HEAD_BYTES, l->token, l->len);
    randombytes_buf(box, NONCE_BYTES);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(
        box + NONCE_BYTES, &n, plain, HEAD_BYTES + l->len, PURPOSE, sizeof PURPOSE - 1, NULL, box,
        secret); /* cannot fail */
    sodium_bin2base64(ret, LOGIN_TEXT_CHARS + 1, box, NONCE_BYTES + (size_t)n, VARIANT);
    sodium_memzero(plain, sizeof plain);
}

static enum decode read_plain(const unsigned char *plain, size_t n, struct login *ret)
{
    if (n <= HEAD_BYTES || plain[16] > 1)
        return DECODE_BAD;
    *ret = (struct login){ .begun_s = get_i64(plain),
                           .until_s = get_i64(plain + 8),
                           .is_https = plain[16],
                           .len = n - HEAD_BYTES };
    memcpy(ret->token, plain + HEAD_BYTES, ret->len);
    return DECODE_OK;
}

enum decode login_open(struct slice text, const uint8_t secret[LOGIN_SECRET_BYTES],
                       struct login *ret)
{
    unsigned char plain[PLAIN_BYTES], box[BOX_BYTES];
    unsigned long long n_plain;
    size_t n;
    if (text.len > LOGIN_TEXT_CHARS ||
        sodium_base642bin(box, sizeof box, text.data, text.len, NULL, &n, NULL, VARIANT) < 0 ||
        n < NONCE_BYTES + TAG_BYTES ||
        crypto_aead_xchacha20poly1305_ietf_decrypt(plain, &n_plain, NULL, box + NONCE_BYTES,
                                                   n - NONCE_BYTES, PURPOSE, sizeof PURPOSE - 1,
                                                   box, secret) < 0)
        return DECODE_BAD;
    enum decode result = read_plain(plain, (size_t)n_plain, ret);
    sodium_memzero(plain, sizeof plain);
    return result;
}

bool login_is_over(const struct login *l, int64_t now_s)
{
    return now_s >= l->until_s;
}

bool login_renew(struct login *l, int64_t now_s)
{
    int64_t last_s = l->begun_s + LOGIN_LONG_SECONDS, until_s = now_s + LOGIN_IDLE_SECONDS;
    if (until_s > last_s)
        until_s = last_s;
    if (l->until_s - now_s > LOGIN_IDLE_SECONDS / 2 || until_s <= l->until_s)
        return false;
    l->until_s = until_s;
    return true;
}

void login_wipe(struct login *l)
{
    sodium_memzero(l, sizeof *l);
}
