#include "web/mcp_uri.h"

#include <stdio.h>

#include "web/file_path.h"

#define SCHEME "sandbox://"
#define TOKEN  "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static bool begins_with(const char *s, const char *with, const char **ret_rest)
{
    size_t n = strlen(with);
    if (strncmp(s, with, n) != 0)
        return false;
    *ret_rest = s + n;
    return true;
}

/* A name of TOKEN's characters up to '/' or the end. */
static bool read_token(const char **at, char *ret, size_t size)
{
    size_t n = strspn(*at, TOKEN);
    if (n == 0 || n >= size || ((*at)[n] != '/' && (*at)[n] != '\0'))
        return false;
    memcpy(ret, *at, n);
    ret[n] = '\0';
    *at += n;
    return true;
}

static bool read_output(const char *at, struct mcp_uri *ret)
{
    char id[40];
    ret->kind = MCP_URI_OUTPUT;
    if (!read_token(&at, id, sizeof id) || *at++ != '/' ||
        !uuid_parse(slice_str(id), &ret->execution))
        return false;
    return read_token(&at, ret->stream, sizeof ret->stream) && *at == '\0';
}

bool mcp_uri_read(const char *uri, struct mcp_uri *ret)
{
    const char *at;
    struct err e = ERR_INIT;
    *ret = (struct mcp_uri){ .kind = MCP_URI_HELP };
    if (strcmp(uri, SCHEME "help") == 0)
        return true;
    if (!begins_with(uri, SCHEME, &at) || !read_token(&at, ret->sandbox, sizeof ret->sandbox))
        return false;
    if (begins_with(at, "/executions/", &at))
        return read_output(at, ret);
    ret->kind = MCP_URI_FILE;
    if (strcmp(at, "/files") == 0)
        return true;
    return begins_with(at, "/files/", &at) && file_path_read(slice_str(at), ret->path, &e) == 0;
}

void mcp_uri_write_file(const char *sandbox, const char *path, struct buf *out)
{
    buf_addf(out, SCHEME "%s/files/", sandbox);
    file_path_write(path, out);
}
