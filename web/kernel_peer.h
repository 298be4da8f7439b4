/* kernel_peer.h - what a client of a kernel's WebSocket can take, told by what its upgrade says: some end their connection, or their
 * kernel, at the first binary frame or at a long one. */
#ifndef WEB_KERNEL_PEER_H
#define WEB_KERNEL_PEER_H

#include <stdbool.h>
#include <stddef.h>

struct kernel_peer {
    bool takes_binary;
    bool sends_binary_as_text; /* its messages with buffers come in text frames */
    size_t max_frame_bytes;    /* of what it is sent; 0: any */
};

/* The default protocol's; who has chosen v1 reads all of it. user_agent, client (session_id of its URL): NULL where there is none. */
struct kernel_peer kernel_peer_of(const char *user_agent, const char *client);

#endif
