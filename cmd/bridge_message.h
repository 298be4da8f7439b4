/* bridge_message.h - one message of an MCP client, read as far as the way to the service needs it: what it is, which answer
 * ends it, what its HTTP headers repeat. What is in it is the service's to judge. */
#ifndef CMD_BRIDGE_MESSAGE_H
#define CMD_BRIDGE_MESSAGE_H

#include "base/buf.h"
#include "base/err.h"

enum bridge_kind {
    BRIDGE_REQUEST,
    BRIDGE_NOTIFICATION,
    BRIDGE_OTHER, /* a response, several messages in an array, or nothing that MCP knows: the service says */
};

/* Slices point into what was read. Raw: as it stands between the quotes. */
struct bridge_message {
    enum bridge_kind kind;
    struct slice text;    /* the whole message */
    struct slice id;      /* JSON: a string or a number, of a request or a response; else empty */
    struct slice method;  /* raw; empty: none */
    struct slice params;  /* JSON; empty: none */
    struct slice name;    /* raw: what Mcp-Name repeats; empty: nothing */
    struct slice version; /* raw: what a modern request says of itself; empty: it is none */
};

/* False: that is no JSON. */
bool bridge_message_read(struct slice text, struct bridge_message *ret);

bool bridge_message_is(const struct bridge_message *m, const char *method);

/* Is `text` (checked JSON) the answer to the request of that id? */
bool bridge_message_answers(struct slice text, struct slice id);

/* Appends "Name: value", which can be no other header, whatever is in it: what a header cannot hold comes as =?base64?…?=. */
void bridge_message_header(struct buf *out, const char *name, struct slice raw);

/* Appends an error's response. The numbers are the service's own: -32600, -32603, else 1000 and HTTP's status; data holds the
 * code's name. */
void bridge_message_error(struct buf *out, struct slice id, const struct err *e);
void bridge_message_no_json(struct buf *out,
                            const char *why); /* -32700, to nobody: nobody knows whose it was */
/* {"jsonrpc":"2.0","id":…,"error":…} of a reply that has an error of JSON-RPC, under this id. False: it has none. */
bool bridge_message_adopt(struct buf *out, struct slice id, struct slice reply);

#endif
