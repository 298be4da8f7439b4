/* mcp_uri.h - the URI of a resource, taken apart. Pure. */
#ifndef WEB_MCP_URI_H
#define WEB_MCP_URI_H

#include "base/uuid.h"
#include "kernelhub/files_path.h"

enum mcp_uri_kind { MCP_URI_FILE, MCP_URI_OUTPUT, MCP_URI_HELP };

struct mcp_uri {
    enum mcp_uri_kind kind;
    char sandbox[256];             /* of a file or an output; id or name, not looked up */
    char path[FILES_MAX_PATH + 1]; /* of a file: as the disk has it */
    struct uuid execution;         /* of an output */
    char stream[64];
};

/* False: it is no URI of ours. */
bool mcp_uri_read(const char *uri, struct mcp_uri *ret);

/* Appends that of a file (path as the disk has it). */
void mcp_uri_write_file(const char *sandbox, const char *path, struct buf *out);

#endif
