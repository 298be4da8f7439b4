/* kernel_ws.h - one message on the WebSocket of a Jupyter kernel (/api/kernels/ID/channels), in either of its protocols.
 * Source: Jupyter Server documentation, "WebSocket kernel wire protocols".
 *
 *   default, text:    {"header","msg_id","msg_type","parent_header","metadata","content","buffers":[],"channel"}
 *   default, binary:  u32 n | n × u32 offset | that object without "buffers" | buffer …       (big-endian, n: the object and the
 *                     buffers, offsets from the frame's beginning)
 *   v1, binary:       u64 n | n × u64 offset | channel | header | parent_header | metadata | content | buffer …
 *                     (little-endian, n: one more than there are parts, the last offset is the frame's length) */
#ifndef PROTOCOL_KERNEL_WS_H
#define PROTOCOL_KERNEL_WS_H

#include "protocol/jupyter_message.h"
#include "protocol/link.h"

#define KERNEL_WS_MAX_HEADER_BYTES (16u * 1024) /* of a client's: the hub keeps it with its request */
#define KERNEL_WS_V1_NAME          "v1.kernel.websocket.jupyter.org"

enum kernel_ws { KERNEL_WS_DEFAULT, KERNEL_WS_V1 };

/* What a client sent; slices of the frame. The four JSON parts are objects that json_valid passes, "{}" where there was
 * nothing or null; the header has a msg_id and a msg_type, and at most KERNEL_WS_MAX_HEADER_BYTES. */
struct kernel_ws_message {
    enum link_channel channel; /* shell when none is named */
    struct jupyter_header names;
    struct jupyter_message m;
};

/* False: it is no such message, the connection can stay. A text frame has no buffers, whatever it says of them. */
bool kernel_ws_read(enum kernel_ws protocol, bool is_binary, struct slice frame, struct kernel_ws_message *ret);

/* Appends the message as a frame; parts: header, parent_header, metadata, content (JSON, checked), buffers…. Returns whether it
 * is a binary frame. */
bool kernel_ws_write(struct buf *out, enum kernel_ws protocol, enum link_channel channel, const struct slice *parts,
                     size_t n_parts);

/* No text frame of these four parts is longer. */
size_t kernel_ws_text_bytes(const struct slice *parts);

#endif
