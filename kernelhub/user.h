/* user.h - who owns everything else; found by an API key. */
#ifndef KERNELHUB_USER_H
#define KERNELHUB_USER_H

#include "base/uuid.h"
#include "kernelhub/hub.h"
#include "protocol/login.h"

/* "kh_" and 256 bits in hex digits, lowercase: Jupyter's gateway client writes the whole address of its WebSocket so, and a
 * key may stand in there. Keys of before 2026-11-22 ("kh_" and 43 characters of base64url) go on working. */
#define USER_KEY_CHARS  67
#define USER_HASH_CHARS 64

struct user {
    struct uuid id;
    char name[64];
    bool admin;
    bool removed;
    int64_t created_us;
    size_t channels_bytes; /* wait for its Jupyter clients (web/jupyter_channels.c) */
    size_t held_bytes; /* code and input of executions that have not ended */
    unsigned n_callbacks, n_calls; /* not delivered yet; under way */
    int64_t callback_generation;   /* of the secret that they are signed with */
};

/* The user a token belongs to: "kh_…". ERR_UNAUTHORIZED when unknown, expired or revoked. Constant work. With
 * server/auth none any token, also an empty one, is the admin `local`. The pointer stays good as long as the hub. ret_key: the
 * token's keyed hash, also of one that is refused; "" where none is asked for. */
int user_authenticate(struct hub *h, struct slice token, struct user **ret, char ret_key[USER_HASH_CHARS + 1], struct err *e);
/* Whether the user and the key that let him in would do so again: for what stays open. NULL, or why not. Constant work. */
const char *user_shut_out(struct hub *h, const struct user *u, const char *key);

/* What a browser keeps in place of a key. */
struct user_login {
    char text[LOGIN_TEXT_CHARS + 1]; /* sealed (protocol/login.h); as secret as the key */
    bool is_https;
    int64_t seconds; /* it is good for so long */
};

/* Checks the token as user_authenticate does. ERR_UNAUTHORIZED. */
int user_log_in(struct hub *h, struct slice token, bool is_https, struct user_login *ret,
                struct err *e);
/* As user_authenticate, with what a browser has kept. ret_renewed: what it shall keep from now on; its text is "" when that is
 * what it has. */
int user_authenticate_login(struct hub *h, struct slice text, struct user **ret,
                            char ret_key[USER_HASH_CHARS + 1], struct user_login *ret_renewed,
                            struct err *e);

/* Admins only (the caller checks u->admin for the acting user). JSON as in API.md: user {"id","name","admin","created_at"};
 * key {"id","name","user","created_at","last_used_at","expires_at","prefix"} and, once, "key". Names: 1 to 63 of [A-Za-z0-9._@-]. */
int user_create(struct hub *h, const char *name, bool admin, struct user **ret, struct err *e);
int user_remove(struct hub *h, struct user *u, struct err *e); /* its keys stop working at once; its sandboxes end */
struct user *user_find(struct hub *h, const char *name_or_id);
void user_write(const struct hub *h, const struct user *u, struct buf *out);
void user_write_all(const struct hub *h, struct buf *out);
int user_key_create(struct hub *h, struct user *u, const char *name, int64_t expires_us /* 0: never */,
                    char ret_key[USER_KEY_CHARS + 1], struct buf *ret_json, struct err *e);
int user_key_revoke(struct hub *h, const struct uuid *key_id, struct err *e);
void user_write_keys(const struct hub *h, const struct user *only_of /* NULL: all */, struct buf *out);

#endif
