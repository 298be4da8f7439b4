#include "protocol/jupyter_message.h"

#include <sodium.h>
#include <stdio.h>
#include <time.h>

#include "base/json.h"

bool jupyter_cut(const struct slice *frames, size_t n, struct jupyter_message *ret)
{
    size_t i = 0;
    while (i < n && !slice_is(frames[i], JUPYTER_DELIMITER))
        i++;
    /* delimiter, signature, four parts */
    if (i >= n || n - i < 6 || n - i - 6 > JUPYTER_MAX_BUFFERS)
        return false;
    ret->header = frames[i + 2];
    ret->parent = frames[i + 3];
    ret->metadata = frames[i + 4];
    ret->content = frames[i + 5];
    ret->n_buffers = n - i - 6;
    for (size_t b = 0; b < ret->n_buffers; b++)
        ret->buffers[b] = frames[i + 6 + b];
    return true;
}

void jupyter_sign(struct slice key, const struct jupyter_message *m,
                  char ret[JUPYTER_SIGNATURE_CHARS + 1])
{
    ret[0] = '\0';
    if (key.len == 0)
        return;
    crypto_auth_hmacsha256_state state;
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    const struct slice *parts[] = { &m->header, &m->parent, &m->metadata, &m->content };
    crypto_auth_hmacsha256_init(&state, (const unsigned char *)key.data, key.len);
    for (size_t i = 0; i < 4; i++)
        crypto_auth_hmacsha256_update(&state, (const unsigned char *)parts[i]->data, parts[i]->len);
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_bin2hex(ret, JUPYTER_SIGNATURE_CHARS + 1, mac, sizeof mac);
}

/* Nearly always there is no escape: then no buffer is needed. */
static void copy_text(struct slice raw, char *to, size_t size)
{
    if (raw.len < size &&
        (raw.len == 0 || (!memchr(raw.data, '\\', raw.len) && !memchr(raw.data, '\0', raw.len)))) {
        if (raw.len)
            memcpy(to, raw.data, raw.len);
        to[raw.len] = '\0';
    } else if (!json_copy_string(raw, to, size)) {
        to[0] = '\0';
    }
}

bool jupyter_read_header(struct slice header, struct jupyter_header *ret)
{
    *ret = (struct jupyter_header){ "", "" };
    struct json_iter it = json_iter(header);
    if (!it.is_object)
        return false;
    while (json_next(&it)) {
        char *to = slice_is(it.key, "msg_id")     ? ret->msg_id
                   : slice_is(it.key, "msg_type") ? ret->msg_type
                                                  : NULL;
        size_t size = to == ret->msg_id ? sizeof ret->msg_id : sizeof ret->msg_type;
        if (!to || it.value.len < 2 || it.value.data[0] != '"')
            continue;
        copy_text(slice_of(it.value.data + 1, it.value.len - 2), to, size);
    }
    return true;
}

void jupyter_format_time(int64_t unix_us, char ret[28])
{
    time_t seconds = (time_t)(unix_us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t n = strftime(ret, 28, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(ret + n, 28 - n, ".%06dZ", (int)(unix_us % 1000000));
}

void jupyter_write_header(struct buf *out, const char *msg_id, const char *msg_type,
                          const char *session, int64_t unix_us)
{
    char date[28];
    jupyter_format_time(unix_us, date);
    buf_add_str(out, "{\"msg_id\":");
    json_quote_str(out, msg_id);
    buf_addf(out, ",\"msg_type\":\"%s\",\"username\":\"kernelhub\",\"session\":", msg_type);
    json_quote_str(out, session);
    buf_addf(out, ",\"date\":\"%s\",\"version\":\"5.4\"}", date);
}
