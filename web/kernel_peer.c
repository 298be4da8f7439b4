/* Seen in their sources, and each of them in tests/conformance:
 *
 *   who                          User-Agent              session_id   binary frame               long frame
 *   jupyter server --gateway-url Tornado/6.6             yes (2.14.2) the connection ends        > 10 MiB: the same
 *   nbclient, papermill          –                       –            no message is heard again  any
 *   smolagents                   –                       –            the execution fails        any
 *   AutoGen                      Python/3 websockets/16  –            the execution fails        > 1 MiB: 1009
 *   jupyter-kernel-client        –                       yes          read                       any
 *   a browser's page             Mozilla/5.0             yes          read                       any
 *
 * So who has no session_id runs code and shows no widgets. A program that reads everything says so by a session_id, or by v1. */
#include "web/kernel_peer.h"

#include <string.h>

#include "base/cleanup.h"

#define AROUND_BYTES 64 /* to be on the safe side of a limit */

static const struct {
    const char *named; /* in User-Agent */
    bool has_client;   /* also when it has a session_id */
    struct kernel_peer peer;
} PEERS[] = {
    { "Tornado/", true, { false, true, (10u << 20) - AROUND_BYTES } },
    { "websockets/", false, { false, false, (1u << 20) - AROUND_BYTES } },
    { "", false, { false, false, 0 } },
};

struct kernel_peer kernel_peer_of(const char *user_agent, const char *client)
{
    bool has_client = client && client[0];
    for (size_t i = 0; i < ARRAY_LEN(PEERS); i++)
        if (strstr(user_agent ? user_agent : "", PEERS[i].named) &&
            (!has_client || PEERS[i].has_client))
            return PEERS[i].peer;
    return (struct kernel_peer){ .takes_binary = true };
}
