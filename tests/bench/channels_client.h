/* channels_client.h - a lean Jupyter client over a kernel's WebSocket, in both protocols, the same for every server: a plain socket
 * with the system's defaults; of a frame it looks at the message's type, and at more only where that says "status" or "reply".
 * Any failure ends the program with a message: it is a measuring tool. */
#ifndef BENCH_CHANNELS_CLIENT_H
#define BENCH_CHANNELS_CLIENT_H

#include <stdint.h>

#include "base/slice.h"
#include "tests/bench/sample.h"

struct channels_client;

/* Connects to 127.0.0.1:port and asks for `path` as a WebSocket, with a session_id that no other has: who comes again with his hears
 * his cells once more. is_v1: v1.kernel.websocket.jupyter.org, and the server has to
 * agree; else JSON. */
struct channels_client *channels_client_open(uint16_t port, const char *path, const char *token,
                                             bool is_v1);
void channels_client_close(struct channels_client *c);

/* Asks kernel_info until the kernel answers. */
void channels_client_greet(struct channels_client *c);

/* Runs code and waits for idle and execute_reply, both of this request, and an "ok" in that. ret->messages are the iopub messages of
 * this request, ret->bytes all frames' payloads. */
void channels_client_execute(struct channels_client *c, struct slice code, struct sample *ret);

#endif
