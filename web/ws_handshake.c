#include "web/ws_handshake.h"

#include <czmq.h>
#include <strings.h>

#include "web/origin.h"

#define KEY_CHARS 24 /* 16 bytes in base64 */

static const char GUID[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/* The next word of a list; empty at its end. */
static struct slice next_word(const char **at)
{
    static const char BETWEEN[] = ", \t";
    const char *begin = *at + strspn(*at, BETWEEN);
    size_t n = strcspn(begin, BETWEEN);
    *at = begin + n;
    return slice_of(begin, n);
}

static bool same(struct slice word, const char *text)
{
    return word.len == strlen(text) && strncasecmp(word.data, text, word.len) == 0;
}

bool ws_handshake_names(const char *list, const char *token)
{
    const char *at = list ? list : "";
    for (struct slice word = next_word(&at); word.len; word = next_word(&at))
        if (same(word, token))
            return true;
    return false;
}

static bool is_key(const char *key)
{
    static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return key && strlen(key) == KEY_CHARS && strspn(key, BASE64) == KEY_CHARS - 2 &&
           strcmp(key + KEY_CHARS - 2, "==") == 0;
}

enum ws_handshake_result ws_handshake_check(const struct ws_handshake *h, struct err *e)
{
    if (!ws_handshake_names(h->upgrade, "websocket")) {
        (void)err_set(e, ERR_INVALID, "this path is a WebSocket: Upgrade: websocket is needed");
        return WS_HANDSHAKE_UPGRADE;
    }
    if (!h->version || strcmp(h->version, "13") != 0) {
        (void)err_set(e, ERR_INVALID, "Sec-WebSocket-Version has to be 13");
        return WS_HANDSHAKE_VERSION;
    }
    if (!h->is_http_1_1)
        (void)err_set(e, ERR_INVALID, "a WebSocket begins with HTTP/1.1");
    else if (!ws_handshake_names(h->connection, "upgrade"))
        (void)err_set(e, ERR_INVALID, "the header Connection has to name Upgrade");
    else if (!is_key(h->key))
        (void)err_set(e, ERR_INVALID, "Sec-WebSocket-Key has to be 16 bytes in base64");
    else
        return WS_HANDSHAKE_OK;
    return WS_HANDSHAKE_BAD;
}

void ws_handshake_accept(const char *key, char ret[WS_ACCEPT_CHARS + 1])
{
    zdigest_t *sha1 = zdigest_new(); /* czmq's is SHA-1 */
    zarmour_t *base64 = zarmour_new();
    assert(sha1 && base64);
    zarmour_set_mode(base64, ZARMOUR_MODE_BASE64_STD);
    zdigest_update(sha1, (const byte *)key, strlen(key));
    zdigest_update(sha1, (const byte *)GUID, sizeof GUID - 1);
    char *text = zarmour_encode(base64, zdigest_data(sha1), zdigest_size(sha1));
    assert(text && strlen(text) == WS_ACCEPT_CHARS);
    memcpy(ret, text, WS_ACCEPT_CHARS + 1);
    zstr_free(&text);
    zarmour_destroy(&base64);
    zdigest_destroy(&sha1);
}

bool ws_handshake_origin_allowed(const char *origin, const char *host, const char *allowed)
{
    const char *at = allowed;
    if (!origin || origin_is_own(origin, host))
        return true;
    for (struct slice word = next_word(&at); word.len; word = next_word(&at))
        if (same(word, origin))
            return true;
    return false;
}
