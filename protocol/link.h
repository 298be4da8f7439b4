/* link.h - the frames between hub and warden (link.sock, a Unix stream socket; the warden listens).
 *
 * Every frame has the same shape, inside frame.h's length:
 *     u8 type | u8 channel | u16 n_parts | u64 number | 16 bytes kernel id | 16 bytes execution id |
 *     n_parts × u32 length | the parts' bytes          (integers big-endian, ids zero when unused)
 *
 * `number` counts what the warden sends that must not be lost (KERNEL, MESSAGE, END, GAP): from 1,
 * without holes, per warden epoch. The hub answers LINK_ACK with the highest number it has
 * committed; the warden keeps everything above it and sends it again after a reconnect. At most
 * LINK_WINDOW_BYTES are under way unacknowledged, and one frame that is bigger than that: beside them when the hub's HELLO has
 * LINK_LARGE_BESIDE among its features, else alone. Frames that carry no number have 0.
 *
 * Within one connection numbers go up; what the hub had already may be missing, nothing else.
 *
 * Conversation: the hub connects and sends HELLO; the warden answers HELLO, then everything above
 * the hub's `last`. One hub at a time: a new connection replaces the old one.
 *
 * Versions: the hub names the oldest and the newest it speaks, the warden answers with the best that both do and
 * from then on that is spoken. Are there none, the warden answers with its own newest and hangs up. A peer that knows nothing of
 * "newest" sees the oldest. */
#ifndef PROTOCOL_LINK_H
#define PROTOCOL_LINK_H

#include "base/buf.h"
#include "base/uuid.h"
#include "protocol/decode.h"

#define LINK_VERSION         1 /* what we speak best; raised when an older peer would not understand a frame */
#define LINK_OLDEST_VERSION  1 /* what we still speak: LINK_VERSION - 1, once there is one */
#define LINK_MAX_FRAME_BYTES (96u << 20) /* a kernel's message may be 64 MiB and some */
#define LINK_WINDOW_BYTES    (8u << 20)
#define LINK_LARGE_BESIDE    "large_beside"
#define LINK_MAX_PARTS       512
#define LINK_MAX_COMMANDS    16 /* that run in one sandbox */
#define LINK_MAX_TERMINALS   16 /* the same */
#define LINK_TERMINAL_WINDOW_BYTES (128u << 10) /* of a terminal, each way: not yet taken by the other side's reader */
#define LINK_TERMINAL_RING_BYTES (256u << 10)   /* of a terminal's output, kept by the warden */
#define LINK_TERMINAL_NAME_BYTES 255

enum link_type {
    /* hub → warden */
    LINK_HELLO = 1,     /* part 0: {"version":oldest,"newest":V,"epoch":E or "","last":N,"features":[…]}: N = highest number
                         * committed of warden epoch E (both ways; the warden's is described below) */
    LINK_START = 2,     /* kernel: start it, part 0 = {"argv":[…],"env":{…},"cwd":"/workspace","transport":"ipc"|"tcp",
                         * "interrupt_mode":"signal"|"message","ready_timeout_ms":N,"execution_grace_ms":N}.
                         * "folder":"a/b" (optional): beneath cwd, there or in the nearest above it that exists it starts; a warden
                         * or an init that does not know of it starts it in cwd. argv may hold {connection_file}. If the kernel runs it is ended first (restart). Answers
                         * are KERNEL frames. The id is the hub's choice. */
    LINK_STOP = 3,      /* kernel: end it and all it started, politely first (part 0: {"grace_ms":N}) */
    LINK_EXECUTE = 4,   /* kernel, execution: send an execute_request on shell; part 0 = {"timeout_ms":N (0: none),
                         * "grace_ms":N}, parts 1.. header, parent, metadata, content, buffers… header.msg_id is by
                         * convention the execution id. A repeat of a known execution id is ignored. */
    LINK_MESSAGE = 5,   /* kernel, channel: any other message, parts = header, parent, metadata, content, buffers…
                         * (both ways) */
    LINK_INTERRUPT = 6, /* kernel; execution: only if that one is running; none: whatever runs */
    LINK_ACK = 7,       /* number: everything up to it is committed */
    LINK_SAMPLE = 8,    /* asks for USAGE */
    LINK_EXEC = 9,      /* kernel (the process's id, the hub's choice), execution: run a command, part 0 = {"argv":[…],"env":{…},
                         * "cwd":"/…","timeout_ms":N (0: none),"grace_ms":N}, part 1, when there is one: its stdin, then
                         * end of file; else /dev/null. Answers are MESSAGEs on iopub as a kernel would say them
                         * (execute_input when the process is there, stream) and END, whose exit_code and signal are the
                         * process's. INTERRUPT: SIGINT; past timeout_ms the same, then after grace_ms KILL with all it started;
                         * STOP: KILL. A repeat of a known execution id is ignored. Only when the warden's
                         * HELLO has "exec" among its features */

    /* Terminals: only when the warden's HELLO has "terminal" among its features. `kernel` is the terminal's id, the hub's choice.
     * Its bytes have no number and are stored by nobody; a position counts them from 0, per direction and terminal. */
    LINK_TERMINAL = 10, /* kernel: start, part 0 = {"argv":[…],"env":{…},"cwd":"/…","name":"…","rows":N,"cols":N}. Answer: STATE */
    LINK_INPUT = 11,    /* kernel: part 0 = bytes for it. The hub never has more under way than the window: it stops at TAKEN + window */
    LINK_RESIZE = 12,   /* kernel: part 0 = {"rows":N,"cols":N} */
    LINK_CREDIT = 13,   /* kernel: part 0 = {"upto":N}: OUTPUT may come up to this position, at most a window above what has come.
                         * The first one on a connection has "from":N too, where OUTPUT begins: "start" … "end" of HELLO. Before it none
                         * comes, and without it nothing is read: the program waits, as at any slow terminal */
    /* STOP: the terminal is closed; what it started gets SIGHUP and then KILL. Answer: STATE, over */

    /* warden → hub (HELLO and MESSAGE too) */
    /* HELLO part 0: {"version":1,"sandbox_id","epoch":UUID,"first":N (lowest number still kept or next),
     * "kernels":[{"kernel_id","state":"starting|ready|dead","iopub_welcome":bool (its process has sent one; absent: false)}]
     * (commands too: ready),
     * "executions":[{"execution_id","kernel_id","state":"running|ended"}],"features":["exec","terminal"],
     * "terminals":[{"terminal_id","name","rows","cols","running":bool (STATE, started was said), "start":N,"end":N (of the OUTPUT
     * that is kept), "input":N,"taken":N (positions of INPUT)}]}
     * MESSAGE: number; execution id is set when its parent header names an execution of EXECUTE. Of the kernel's iopub_welcomes
     * only the first of a process comes, and one more after another warden has taken over */
    LINK_KERNEL = 16, /* number, kernel; part 0 = {"state":"starting|ready|dead","exit_code":N|null,"signal":N|null,
                       * "oom":bool,"expected":bool (we were asked to end it),"reason":"…","output":"tail of its stdout
                       * and stderr","phases":{"spawned_us","connected_us","ready_us"} since START, null when not reached};
                       * ready: part 1 = content of kernel_info_reply. After dead the warden knows the kernel no more */
    LINK_END = 17,    /* number, kernel, execution: it is over. part 0 = {"how":"done" (idle and reply seen, or one of
                       * them and 2 s) | "killed" (by us: timeout, stop, restart) | "died" (kernel ended by itself) |
                       * "lost", "complete":bool (both idle and reply seen), "started":bool (the kernel said anything about
                       * it: false with killed or died means that it never ran), "interrupted":bool (an interrupt was sent while
                       * it ran), "timed_out":bool, "oom":bool, "exit_code":N|null,"signal":N|null (of the kernel, when it
                       * is gone), "duration_us":N, "sent_us","first_us" (from its arrival at the warden: to ZeroMQ, to the
                       * kernel's first message about it; null: not reached), "usage":{USAGE's fields, cpu_us of this run's
                       * turn, memory_peak_bytes of the sandbox so far}} */
    LINK_GAP = 18,    /* number, kernel, execution: part 0 = {"bytes":N,"messages":N,"reason":"…"} were dropped here;
                       * 0 and 0: a channel was cut, nobody knows how much */
    LINK_USAGE = 19,  /* part 0 = {"cpu_us","memory_bytes","memory_peak_bytes","memory_limit_bytes","pids","oom_kills"} */
    LINK_ERROR = 20,  /* kernel, execution: an order was refused and is forgotten; part 0 = {"code":(API.md code),"message"}.
                       * gone: no such kernel (any more); busy: it starts, or a queue is full; conflict: its msg_id is known */
    LINK_OUTPUT = 21, /* kernel: part 0 = what a terminal's program wrote */
    LINK_TAKEN = 22,  /* kernel: part 0 = {"upto":N}: INPUT up to this position has left the warden */
    LINK_STATE = 23,  /* kernel, of a terminal: part 0 = {"state":"started"}, or {"state":"over","exit_code":N|null,"signal":N|null,
                       * "reason":"…"|null (when it was not its program that ended)}: behind all its OUTPUT; the warden knows it no
                       * more. A terminal that a HELLO does not name any more is over too */
};

enum link_channel { LINK_SHELL = 0, LINK_CONTROL = 1, LINK_STDIN = 2, LINK_IOPUB = 3, LINK_N_CHANNELS };

struct link_frame {
    enum link_type type;
    enum link_channel channel;
    uint64_t number;
    struct uuid kernel_id;
    struct uuid execution_id;
    size_t n_parts;
    struct slice parts[LINK_MAX_PARTS]; /* slices of the decoded bytes */
};

/* Decodes one frame from the beginning of `stream`; *ret_used bytes can be dropped when the frame's
 * slices are not needed any more. Unknown types are BAD. */
enum decode link_decode(struct slice stream, struct link_frame *ret, size_t *ret_used);

/* Appends the frame's bytes, length first. */
void link_encode(struct buf *out, const struct link_frame *f);

/* The size link_encode would append. */
size_t link_encoded_bytes(const struct link_frame *f);

/* KERNEL, MESSAGE, END, GAP: when a warden sends them they have a number. */
static inline bool link_is_numbered(enum link_type type)
{
    return type == LINK_KERNEL || type == LINK_MESSAGE || type == LINK_END || type == LINK_GAP;
}

/* The version to speak with who speaks oldest … newest; 0: there is none. */
int link_choose_version(int64_t oldest, int64_t newest);

const char *link_channel_name(enum link_channel channel); /* "shell", "control", "stdin", "iopub" */

#endif
