/* login.h - what a browser keeps in place of a key: the key itself and its times, sealed.
 *
 * As text: base64url without padding of nonce (24 bytes) and box, XChaCha20-Poly1305 (RFC 8439 with libsodium's longer nonce)
 * under the hub's secret, with "kernelhub login 1" as its additional data. Inside: begun_s and until_s, 8 bytes each, big-endian;
 * one byte of flags (1: is_https); the token.
 *
 * The secret alone makes no login, for a token that the hub knows has to be in it; and a login alone shows no token. */
#ifndef PROTOCOL_LOGIN_H
#define PROTOCOL_LOGIN_H

#include <stdint.h>

#include "base/slice.h"
#include "protocol/decode.h"

#define LOGIN_SECRET_BYTES 32
#define LOGIN_TOKEN_BYTES  128 /* no key is longer */
#define LOGIN_TEXT_CHARS   247 /* of the longest */

#define LOGIN_IDLE_SECONDS (12 * 3600)     /* it ends so long after it was last renewed */
#define LOGIN_LONG_SECONDS (7 * 24 * 3600) /* and so long after the key was typed in, in any case */

struct login {
    int64_t begun_s, until_s; /* Unix time */
    bool is_https; /* the browser came by https: what it keeps goes back by nothing else */
    size_t len;
    char token[LOGIN_TOKEN_BYTES]; /* not NUL-terminated */
};

/* False: the token is empty or too long. */
bool login_begin(struct login *l, struct slice token, bool is_https, int64_t now_s)
    __attribute__((warn_unused_result));

/* Sealed differently each time. */
void login_seal(const struct login *l, const uint8_t secret[LOGIN_SECRET_BYTES],
                char ret[LOGIN_TEXT_CHARS + 1]);

/* DECODE_BAD: no login, or not sealed with this secret. Whether it is over is asked separately. */
enum decode login_open(struct slice text, const uint8_t secret[LOGIN_SECRET_BYTES],
                       struct login *ret) __attribute__((warn_unused_result));

bool login_is_over(const struct login *l, int64_t now_s);

/* True, and until_s is later, when more than half of its time is gone and there is more to be had. */
bool login_renew(struct login *l, int64_t now_s);

/* Overwrites what was in it. */
void login_wipe(struct login *l);

static inline struct slice login_token(const struct login *l)
{
    return slice_of(l->token, l->len);
}

#endif
