/* Property: a file's URI that is read is written as one that names the same file; no path that is read leads out of the workspace. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "web/mcp_uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const char *path)
{
    assert(path[0] != '/');
    for (const char *at = path; at; at = strchr(at, '/')) {
        at += *at == '/';
        size_t n = strcspn(at, "/");
        assert(!(n == 1 && at[0] == '.') && !(n == 2 && at[0] == '.' && at[1] == '.'));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_BUF struct buf text = BUF_INIT(size + 1), again = BUF_INIT(8 * FILES_MAX_TEXT);
    struct mcp_uri u, other;
    buf_add(&text, data, size);
    if (!text.data || !mcp_uri_read(text.data, &u))
        return 0;
    if (u.kind == MCP_URI_OUTPUT)
        assert(uuid_is_set(&u.execution) && u.stream[0] && u.sandbox[0]);
    if (u.kind != MCP_URI_FILE)
        return 0;
    check_path(u.path);
    mcp_uri_write_file(u.sandbox, u.path, &again);
    assert(!again.failed && mcp_uri_read(again.data, &other));
    assert(strcmp(u.path, other.path) == 0 && strcmp(u.sandbox, other.sandbox) == 0);
    return 0;
}
