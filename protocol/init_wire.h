/* init_wire.h - the messages between warden and init (init.sock, a Unix SOCK_SEQPACKET socket: one
 * packet, one message; file descriptors may ride along by SCM_RIGHTS). Includes nothing but libc's
 * headers, because init has no other library.
 *
 *     u8 type | u8 channel | u16 zero | u32 kernel | i32 value | payload        (little-endian)
 *
 * `kernel` is a number the warden chooses, 1 … INIT_MAX_KERNELS, for a kernel, a command or a terminal; used again only after EXITED.
 * Orders are answered as each line below says. What init says is a claim from the enemy's house. */
#ifndef PROTOCOL_INIT_WIRE_H
#define PROTOCOL_INIT_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INIT_WIRE_VERSION   1
#define INIT_MAX_PACKET     (176u * 1024) /* a socket's buffer as it comes (208 KiB) takes one */
#define INIT_MAX_KERNELS    64
#define INIT_HEADER_BYTES   12
#define INIT_MAX_STRINGS    2048 /* argv and env together */
#define INIT_MAX_FDS        3
#define INIT_PAYLOAD_OUTPUT (8u * 1024)

enum init_type {
    /* warden → init */
    INIT_START = 1,    /* kernel; payload = init_start below. Answer: STARTED (value = pid) or FAILED (value = errno, payload = text) */
    INIT_CHANNEL = 2,  /* kernel, channel (enum link_channel's numbers), one fd; payload = where the kernel listens:
                        * "tcp:PORT" or "ipc:/absolute/path". Init waits until it can connect (ipc: inotify; tcp: retries with a
                        * short back-off) for as long as the kernel lives, then relays both ways until either side ends.
                        * Answer: CONNECTED once dialled; CLOSED when the relay has ended (also instead of CONNECTED, and
                        * instead of FAILED). Asked for again, the old relay is dropped without a CLOSED */
    INIT_SIGNAL = 3,   /* kernel, value = signal number, to its process group. Answer: DONE or FAILED */
    INIT_KILL = 4,     /* kernel: SIGKILL for everything it started (group, descendants, daemonised ones). DONE once sent; EXITED follows */
    INIT_SHUTDOWN = 5, /* kill all, exit 0 */
    INIT_EXEC = 6,     /* kernel, two or three fds: a command's stdout, stderr and, when there is one, stdin (else /dev/null);
                        * payload = init_start without a file (file_path ""). Its process says by itself, on its stderr
                        * and by 127 or 126, that there is nothing to execute. Answer: STARTED or FAILED, then EXITED as soon as
                        * that process has ended: what it started lives on. SIGNAL and KILL as for a kernel. Only for an
                        * init whose HELLO has INIT_CAN_EXEC */
    INIT_TERMINAL = 7, /* kernel, one fd: the end of a stream socket that its bytes come from and go to; value = its size,
                        * init_size; payload as of EXEC. Init opens a pseudo-terminal, starts the process as the leader of a session
                        * with that as its controlling terminal, and relays, looking at no byte, never waiting. Answer: STARTED or FAILED.
                        * It is over when its process ends, or the socket does: then what it started gets SIGHUP, a moment later
                        * KILL, what it wrote is passed on to its end, however long the other end takes, and EXITED
                        * follows. SIGNAL and KILL as for a kernel. Only for an init whose HELLO has INIT_CAN_TERMINAL */
    INIT_RESIZE = 8,   /* kernel, value = init_size: a terminal's new size. No answer; nothing happens unless such a terminal runs */

    /* init → warden */
    INIT_HELLO = 16,     /* value = INIT_WIRE_VERSION, channel = bits of enum init_can, first packet on a connection;
                          * kernel = how many STARTED (each
                          * kernel that lives) and EXITED (each end that no warden has heard of) follow it at once. A
                          * kernel a warden knew of and that is not among them is gone */
    INIT_STARTED = 17,   /* kernel, value = pid inside the container, channel = 1 for a command's, 2 for a terminal's */
    INIT_CONNECTED = 18, /* kernel, channel */
    INIT_CLOSED = 19,    /* kernel, channel, value = errno or 0 */
    INIT_EXITED = 20,    /* kernel, value = wait status as of waitpid(2); all its relays are closed */
    INIT_OUTPUT = 21,    /* kernel, channel = 1 stdout or 2 stderr; payload = bytes the process wrote there, at most
                          * INIT_PAYLOAD_OUTPUT; dropped, not queued, when the warden does not read */
    INIT_DONE = 22,      /* kernel, value = type of the order */
    INIT_FAILED = 23,    /* kernel, value = errno, channel = type of the order, payload = text */
};

enum init_can { INIT_CAN_EXEC = 1, INIT_CAN_TERMINAL = 2, INIT_CAN_CLIMB = 4 /* START's cwd, as below */ };

/* A terminal's size as a packet's value: each side 1 … 0x7fff. */
static inline int32_t init_size(unsigned rows, unsigned cols)
{
    return (int32_t)((rows & 0x7fff) << 16 | (cols & 0x7fff));
}

struct init_packet {
    enum init_type type;
    uint8_t channel;
    uint32_t kernel;
    int32_t value;
    const char *payload;
    size_t payload_len;
};

/* START's payload:
 *     u16 argc | u16 envc | u32 file_len | cwd NUL | file_path NUL | argv… NUL each | env… ("A=b") NUL each | file bytes
 * env is added to init's own environment, which is the image's. file_path is where init writes the connection file (mode 0600) before it starts the kernel. Paths must be absolute.
 * START's cwd may be missing: then it is the nearest folder above it that is there. An init whose HELLO has no INIT_CAN_CLIMB takes "/" instead.
 * EXEC's and TERMINAL's are the same with file_path "" and no file. */
struct init_start {
    const char *cwd;
    const char *file_path;
    const char *file;
    size_t file_len;
    const char *argv[INIT_MAX_STRINGS + 1]; /* NULL-terminated, into the packet */
    const char *env[INIT_MAX_STRINGS + 1];
};

/* True when the packet is well-formed: known type, kernel and channel in range, payload allowed. */
bool init_decode(const void *data, size_t len, struct init_packet *ret);
/* Writes the packet into out; returns its length, 0 when it does not fit. */
size_t init_encode(const struct init_packet *p, void *out, size_t size);

bool init_decode_start(const char *payload, size_t len, struct init_start *ret);
bool init_decode_exec(const char *payload, size_t len, struct init_start *ret);
/* argv and env NULL-terminated. Returns the payload's length, 0 when it does not fit. */
size_t init_encode_start(const struct init_start *s, void *out, size_t size);

#endif
