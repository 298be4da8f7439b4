/* warden_kernel_inside.h - the kernel's insides, shared by the three files that make it: warden_kernel.c (its life
 * and init), warden_wire.c (channels and readiness), warden_work.c (executions). */
#ifndef SANDBOX_WARDEN_KERNEL_INSIDE_H
#define SANDBOX_WARDEN_KERNEL_INSIDE_H

#include "sandbox/channel.h"
#include "sandbox/warden_kernel.h"
#include "sandbox/warden_order.h"
#include "sandbox/warden_report.h"

enum warden_kernel_state {
    WK_WAITING,    /* for init to be there */
    WK_ORPHANED,   /* an earlier warden's: for init to say that it lives */
    WK_SPAWNING,   /* START is on its way */
    WK_CONNECTING, /* the process lives, its channels are dialled */
    WK_ASKING,     /* kernel_info_request until it answers */
    WK_READY,
    WK_STOPPING,   /* asked politely to leave */
    WK_KILLING,    /* init was told to kill it */
    WK_DRAINING,   /* it is gone; what it sent last is still coming in */
    WK_OVER,
    WK_N_STATES
};

/* Orders that init has to confirm. */
enum { CONFIRM_START, CONFIRM_SIGNAL, CONFIRM_KILL, N_CONFIRM };

struct warden_kernel {
    struct warden_kernel_env *env;
    struct uuid id;
    unsigned number;
    uint64_t generation;
    enum warden_kernel_state state;
    int64_t due_ms; /* of the state */
    int64_t grace_ms;
    int64_t confirm_ms[N_CONFIRM];

    char *json; /* the order it was started with */
    char *next_json; /* start again with this when it is over */
    struct warden_order order;
    char folder[128];
    char key[65];
    struct uuid session; /* our routing id and the beginning of our message ids */

    struct line {
        struct channel *channel;
        bool connected, cut;
        int64_t redial_ms;
        unsigned tries;
    } lines[LINK_N_CHANNELS];
    unsigned n_sent;
    uint64_t n_nonsense, nonsense_bytes; /* what was no message */
    int64_t ask_ms, ready_by_ms, drain_until_ms;
    bool got_iopub;
    bool welcomed; /* its process has sent iopub_welcome, and the hub was told */
    char *info; /* content of kernel_info_reply */
    size_t info_len;
    int64_t prompt_ms;        /* something on stdin is held back till then at the latest */
    unsigned prompt_question; /* the number of our message whose echo on iopub it waits for; 0: heard */

    struct run *runs[WARDEN_KERNEL_MAX_RUNS]; /* outstanding, in the order they were sent */
    size_t n_runs;
    uint64_t oom_kills; /* when the present or last run began, or ended */

    int64_t started_us, spawned_us, connected_us, ready_us;
    bool ever_ready, expected, killed;
    bool adopted, alive, was_busy; /* of an earlier warden; alive: init says so */
    int64_t deaf_ms; /* shell or iopub leads nowhere: until when that is borne */
    bool deaf;       /* it was not borne any longer */
    int64_t nudge_ms; /* it does not answer: perhaps code runs there that nobody knows of */
    struct warden_exit exit;
    char reason[240];
    struct buf output;
};

int64_t warden_now_us(void); /* monotonic */
int64_t warden_now_ms(void);
/* The earlier of two times; 0 is never. */
static inline void due_sooner(int64_t *due, int64_t at)
{
    if (at && (!*due || at < *due))
        *due = at;
}

/* warden_kernel.c */
void wk_on_ready(struct warden_kernel *k);
void wk_on_drained(struct warden_kernel *k);
void wk_on_drain_progress(struct warden_kernel *k);
void wk_kill(struct warden_kernel *k, const char *reason);
void wk_signal(struct warden_kernel *k, int signal);
bool wk_lives(const struct warden_kernel *k); /* there is a process that may answer */

/* warden_wire.c */
int wk_open_lines(struct warden_kernel *k, struct err *e);
void wk_close_lines(struct warden_kernel *k);
int wk_dial(struct warden_kernel *k, enum link_channel which, struct err *e);
void wk_on_line_closed(struct warden_kernel *k, enum link_channel which);
void wk_redial_due(struct warden_kernel *k, int64_t now_ms);
void wk_prompt_due(struct warden_kernel *k, int64_t now_ms);
void wk_watch_lines(struct warden_kernel *k); /* one was opened or cut, or the kernel has become ready */
void wk_ask(struct warden_kernel *k);
void wk_nudge(struct warden_kernel *k); /* kernel_info_request */
bool wk_say(struct warden_kernel *k, enum link_channel which, const char *type, const char *content);
int wk_pass_on(struct warden_kernel *k, enum link_channel which, const struct slice *parts, size_t n, struct err *e);
bool wk_is_drained(struct warden_kernel *k);
void wk_drain(struct warden_kernel *k); /* reads what is there */

/* warden_work.c */
struct run *wk_find_run(struct warden_kernel *k, const char *parent_msg_id);
void wk_on_message(struct warden_kernel *k, struct run *r, enum link_channel which, const char *type, struct slice content);
void wk_note_cut(struct warden_kernel *k, enum link_channel which);
void wk_interrupt_process(struct warden_kernel *k);
void wk_act(struct warden_kernel *k, struct run *r, enum run_action action);
void wk_begin_turn(struct warden_kernel *k, struct run *r);
void wk_end_all(struct warden_kernel *k); /* the process is gone */
void wk_runs_due(struct warden_kernel *k, int64_t now_ms);

#endif
