/* mcp_message.h - JSON-RPC 2.0 as MCP uses it: a client's message cut into slices, and our messages written.
 *
 * What is read points into the text that was given. Nothing is copied, no tree is built. */
#ifndef PROTOCOL_MCP_MESSAGE_H
#define PROTOCOL_MCP_MESSAGE_H

#include "base/buf.h"
#include "protocol/mcp_version.h"

#define MCP_MAX_BATCH     64 /* messages in one array */
#define MCP_METHOD_BYTES  64
#define MCP_ID_BYTES      256 /* of an id or a progress token, as JSON */
#define MCP_META_PREFIX   "io.modelcontextprotocol/"
#define MCP_VERSION_BYTES 32

/* JSON-RPC's codes, and those of MCP. Our own are outside of -32768 to -32000. */
enum mcp_code {
    MCP_PARSE_ERROR = -32700,
    MCP_INVALID_REQUEST = -32600,
    MCP_METHOD_NOT_FOUND = -32601,
    MCP_INVALID_PARAMS = -32602,
    MCP_INTERNAL_ERROR = -32603,
    MCP_SERVER_ERROR = -32000,       /* legacy: what concerns HTTP alone */
    MCP_NO_SESSION = -32001,         /* legacy */
    MCP_NO_RESOURCE = -32002,        /* legacy */
    MCP_HEADER_MISMATCH = -32020,    /* modern, as all below */
    MCP_MISSING_CAPABILITY = -32021, /* data.requiredCapabilities */
    MCP_UNSUPPORTED_VERSION = -32022,
};

enum mcp_shape { MCP_NO_JSON, MCP_OBJECT, MCP_BATCH, MCP_NO_MESSAGE };

/* What a whole body or frame is: strict JSON, at most 64 levels deep. MCP_NO_MESSAGE: a string, a number … */
enum mcp_shape mcp_message_shape(struct slice text);

/* Of a text that is MCP_NO_JSON: the id of the request that it would be, were it not for a string that holds a NUL, a lone surrogate or bytes that
 * are no UTF-8. Whoever sent it waits for an answer to that id. It points into `room`; false: there is none. */
bool mcp_message_broken_id(struct slice text, struct buf *room, struct slice *ret)
    __attribute__((warn_unused_result));
#define MCP_BROKEN_TEXT                                                                            \
    "a string of the message holds a NUL, a lone surrogate or bytes that are no UTF-8: write such data by code, or as base64"

enum mcp_kind { MCP_REQUEST, MCP_NOTIFICATION, MCP_RESPONSE };

struct mcp_message {
    enum mcp_kind kind;
    struct slice id; /* JSON, a string or a number; empty: none that could be read */
    char method
        [MCP_METHOD_BYTES]; /* of a request or notification; cut when it is longer than any of ours */
    struct slice params;    /* an object; "{}" when there are none */
    struct slice meta;      /* params._meta, an object; "{}" when there is none */
    struct slice result, error; /* of a response: one of the two */
};

/* One message of a text whose shape is known. 0, or MCP_INVALID_REQUEST or MCP_INVALID_PARAMS and why; then the id is what could be
 * read of it. Twice the same member in the message, its params or its _meta is refused: who stands before us may have read the other. */
int mcp_message_read(struct slice object, struct mcp_message *ret, const char **ret_why)
    __attribute__((warn_unused_result));

/* A member of _meta by the name behind "io.modelcontextprotocol/". */
bool mcp_message_meta(const struct mcp_message *m, const char *name, struct slice *ret);
/* _meta.progressToken as JSON: a string or a number of at most MCP_ID_BYTES; else empty. */
struct slice mcp_message_progress_token(const struct mcp_message *m);
/* The modern envelope is there: it names a version. */
bool mcp_message_has_envelope(const struct mcp_message *m);

/* ---- over HTTP ---- */

/* What the head of a request said; NULL: nothing. */
struct mcp_head {
    const char *version, *method, *name;
};

/* Which era's rules a message over HTTP falls under. */
bool mcp_message_is_modern(const struct mcp_message *m, const char *version_header);

/* What is wrong with a modern message. Strings point to constants and to what was given. */
struct mcp_fault {
    int code; /* 0: nothing */
    const char *text;
    char requested[MCP_VERSION_BYTES]; /* of MCP_UNSUPPORTED_VERSION */
};

/* Its envelope, by itself and (head is not NULL) against the head. */
struct mcp_fault mcp_message_check(const struct mcp_message *m, const struct mcp_head *head);

/* A header's value as it is meant: without the blanks around it, "=?base64?…?=" decoded. False: it pretends to be that and is not. */
bool mcp_message_header(struct slice value, struct buf *ret);

/* Whether a header's value, decoded so, is that of a JSON value: of a string its text, of others what stands there. NULL: no. */
bool mcp_message_header_is(const char *header, struct slice value);

/* ---- what we say: each appends one message ---- */

struct mcp_server {
    const char *name, *title, *version;
};

/* How long others may keep a result (modern). */
enum mcp_keep {
    MCP_KEEP_UNSAID,
    MCP_KEEP_PUBLIC,  /* an hour, for everybody: our tables */
    MCP_KEEP_PRIVATE, /* not at all */
};

/* members: an object, of which the members go into the result; modern clients get resultType `type` ("complete"), _meta and keep. */
void mcp_write_result(struct buf *out, enum mcp_version v, const struct mcp_server *server,
                      struct slice id, const char *type, enum mcp_keep keep, struct slice object);
/* id and data may be empty. */
void mcp_write_error(struct buf *out, struct slice id, int code, const char *text,
                     struct slice data);
void mcp_write_fault(struct buf *out, struct slice id, const struct mcp_fault *fault);
/* params: an object. */
void mcp_write_notification(struct buf *out, const char *method, struct slice params);
/* What supportedVersions lists: a JSON array. */
void mcp_write_versions(struct buf *out);
void mcp_write_request(struct buf *out, const char *id, const char *method, struct slice params);

#endif
