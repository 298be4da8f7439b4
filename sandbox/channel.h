/* channel.h - one Jupyter channel of one kernel: a ZeroMQ socket that the warden binds in a folder nobody else
 * can reach, and dials itself, so that init can be handed the other end of a plain byte stream. */
#ifndef SANDBOX_CHANNEL_H
#define SANDBOX_CHANNEL_H

#include <czmq.h>

#include "base/err.h"
#include "base/loop.h"
#include "protocol/jupyter_message.h"
#include "protocol/link.h"

/*   kernel ◄─ relay in init ─► fd from channel_dial() ─► DIR/channels/N-shell ◄─ bound DEALER (SUB for iopub)
 *
 * Attached: the kernel's end has finished the ZMTP handshake. What is sent before waits here, at most
 * CHANNEL_MAX_WAITING messages; more are refused. */
struct channel;

#define CHANNEL_MAX_WAITING     256
#define CHANNEL_MAX_FRAME_BYTES (64 << 20)
#define CHANNEL_MAX_FRAMES      (JUPYTER_MAX_BUFFERS + 16)
/* of one message, all frames: what fits into a link frame */
#define CHANNEL_MAX_BYTES (LINK_MAX_FRAME_BYTES - (64u << 10))

/* on_readable: messages may be there; call channel_receive() until CHANNEL_EMPTY, or a bounded number of times and then
 * channel_look_again(). on_attach: attached or detached now. Both may close the channel. */
struct channel_events {
    void (*on_readable)(void *owner, enum link_channel which);
    void (*on_attach)(void *owner, enum link_channel which);
    void *owner;
};

/* Binds at `path` (an old socket there is replaced) and enters the loop. routing_id: for DEALERs. */
struct channel *channel_open(struct loop *loop, enum link_channel which, const char *path, const char *routing_id,
                             const struct channel_events *events, struct err *e);
void channel_close(struct channel *c);
DEFINE_CLEANUP(struct channel, channel_close)

/* A fresh connection to our own endpoint; the caller hands it on and closes it. -1 with e. */
int channel_dial(struct channel *c, struct err *e);

/* Sends frames that begin with the delimiter. False: too many are waiting. */
bool channel_send(struct channel *c, const struct slice *frames, size_t n);

enum channel_got { CHANNEL_EMPTY, CHANNEL_MESSAGE, CHANNEL_TOO_BIG, CHANNEL_NONSENSE };

/* A received message: `message` holds slices of `frames`. Give back with channel_message_done(). */
struct channel_message {
    size_t n;
    size_t bytes;
    struct jupyter_message message;
    zmq_msg_t frames[CHANNEL_MAX_FRAMES];
};

/* Takes the next message. TOO_BIG (bytes says how big) and NONSENSE (no Jupyter message) have been thrown away and
 * need no done. */
enum channel_got channel_receive(struct channel *c, struct channel_message *ret);
void channel_message_done(struct channel_message *m);

void channel_look_again(struct channel *c); /* on_readable comes in the loop's next turn if there is something */
bool channel_is_attached(const struct channel *c);
bool channel_has_input(struct channel *c);

#endif
