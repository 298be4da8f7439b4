#include "protocol/init_wire.h"

#include <string.h>

static uint32_t get32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void put32(unsigned char *at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(v >> 8 * i);
}

static bool known_type(unsigned type)
{
    return (type >= INIT_START && type <= INIT_RESIZE) ||
           (type >= INIT_HELLO && type <= INIT_FAILED);
}

bool init_decode(const void *data, size_t len, struct init_packet *ret)
{
    const unsigned char *at = data;
    if (len < INIT_HEADER_BYTES || len > INIT_MAX_PACKET || !known_type(at[0]) || at[2] || at[3])
        return false;
    ret->type = (enum init_type)at[0];
    ret->channel = at[1];
    ret->kernel = get32(at + 4);
    ret->value = (int32_t)get32(at + 8);
    ret->payload = (const char *)at + INIT_HEADER_BYTES;
    ret->payload_len = len - INIT_HEADER_BYTES;
    bool no_kernel = ret->type == INIT_SHUTDOWN || ret->type == INIT_HELLO ||
                     ret->type == INIT_DONE || ret->type == INIT_FAILED;
    if (ret->kernel > INIT_MAX_KERNELS || (ret->kernel == 0 && !no_kernel))
        return false;
    bool relay =
        ret->type == INIT_CHANNEL || ret->type == INIT_CONNECTED || ret->type == INIT_CLOSED;
    if (relay && ret->channel > 3)
        return false;
    if (ret->type == INIT_OUTPUT && ret->channel != 1 && ret->channel != 2)
        return false;
    bool payload = ret->type == INIT_START || ret->type == INIT_EXEC ||
                   ret->type == INIT_TERMINAL || ret->type == INIT_CHANNEL ||
                   ret->type == INIT_OUTPUT || ret->type == INIT_FAILED;
    return payload || ret->payload_len == 0;
}

size_t init_encode(const struct init_packet *p, void *out, size_t size)
{
    unsigned char *at = out;
    if (size < INIT_HEADER_BYTES || p->payload_len > size - INIT_HEADER_BYTES ||
        p->payload_len > INIT_MAX_PACKET - INIT_HEADER_BYTES)
        return 0;
    at[0] = (unsigned char)p->type;
    at[1] = p->channel;
    at[2] = at[3] = 0;
    put32(at + 4, p->kernel);
    put32(at + 8, (uint32_t)p->value);
    if (p->payload_len)
        memcpy(at + INIT_HEADER_BYTES, p->payload, p->payload_len);
    return INIT_HEADER_BYTES + p->payload_len;
}

/* Takes one NUL-terminated string off the front; NULL when there is none. */
static const char *take_string(const char **at, const char *end)
{
    const char *nul = *at < end ? memchr(*at, '\0', (size_t)(end - *at)) : NULL;
    if (!nul)
        return NULL;
    const char *s = *at;
    *at = nul + 1;
    return s;
}

static bool decode(const char *payload, size_t len, struct init_start *ret)
{
    if (len < 8)
        return false;
    const unsigned char *raw = (const unsigned char *)payload;
    size_t argc = (size_t)raw[0] | (size_t)raw[1] << 8, envc = (size_t)raw[2] | (size_t)raw[3] << 8;
    size_t file_len = get32(raw + 4);
    const char *at = payload + 8, *end = payload + len;
    if (argc == 0 || argc + envc > INIT_MAX_STRINGS || file_len > len - 8)
        return false;
    ret->cwd = take_string(&at, end);
    ret->file_path = take_string(&at, end);
    if (!ret->cwd || ret->cwd[0] != '/' || !ret->file_path)
        return false;
    for (size_t i = 0; i < argc; i++)
        if (!(ret->argv[i] = take_string(&at, end)))
            return false;
    ret->argv[argc] = NULL;
    for (size_t i = 0; i < envc; i++)
        if (!(ret->env[i] = take_string(&at, end)) || !strchr(ret->env[i], '='))
            return false;
    ret->env[envc] = NULL;
    ret->file = at;
    ret->file_len = file_len;
    return (size_t)(end - at) == file_len;
}

bool init_decode_start(const char *payload, size_t len, struct init_start *ret)
{
    return decode(payload, len, ret) && ret->file_path[0] == '/';
}

bool init_decode_exec(const char *payload, size_t len, struct init_start *ret)
{
    return decode(payload, len, ret) && ret->file_path[0] == '\0' && ret->file_len == 0;
}

static bool put(char **at, const char *end, const char *data, size_t n)
{
    if ((size_t)(end - *at) < n)
        return false;
    if (n)
        memcpy(*at, data, n);
    *at += n;
    return true;
}

size_t init_encode_start(const struct init_start *s, void *out, size_t size)
{
    char *at = out;
    const char *end = at + size;
    unsigned char head[8];
    size_t argc = 0, envc = 0;
    while (s->argv[argc])
        argc++;
    while (s->env[envc])
        envc++;
    if (argc == 0 || argc + envc > INIT_MAX_STRINGS || s->file_len > INIT_MAX_PACKET)
        return 0; /* init_decode_start would refuse it */
    head[0] = (unsigned char)argc;
    head[1] = (unsigned char)(argc >> 8);
    head[2] = (unsigned char)envc;
    head[3] = (unsigned char)(envc >> 8);
    put32(head + 4, (uint32_t)s->file_len);
    if (!put(&at, end, (const char *)head, 8) || !put(&at, end, s->cwd, strlen(s->cwd) + 1) ||
        !put(&at, end, s->file_path, strlen(s->file_path) + 1))
        return 0;
    for (size_t i = 0; i < argc; i++)
        if (!put(&at, end, s->argv[i], strlen(s->argv[i]) + 1))
            return 0;
    for (size_t i = 0; i < envc; i++)
        if (!put(&at, end, s->env[i], strlen(s->env[i]) + 1))
            return 0;
    if (!put(&at, end, s->file, s->file_len))
        return 0;
    return (size_t)(at - (char *)out);
}
