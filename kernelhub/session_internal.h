/* session_internal.h - a session from inside the hub: its kernel's life, its queue, its feed. */
#ifndef KERNELHUB_SESSION_INTERNAL_H
#define KERNELHUB_SESSION_INTERNAL_H

#include "kernelhub/feed.h"
#include "kernelhub/hub_internal.h"
#include "kernelhub/sandbox.h"
#include "kernelhub/session.h"

struct execution;
struct outcome_end;
struct catalog_kernel;
struct jupyter;

enum kernel_state {
    KERNEL_NONE,     /* none; the next execution starts one */
    KERNEL_WAITING,  /* for its sandbox */
    KERNEL_STARTING, /* LINK_START is sent */
    KERNEL_READY,
};

struct session {
    struct hub *hub;
    struct user *user;
    struct feed *feed;
    char name[128], language[64], kernelspec[64], template_name[64], display_name[128];
    struct uuid home; /* the named sandbox it belongs to and ends with; none: the default one of its template, whichever that is */
    char lost_why[256]; /* why its last kernel is gone, when nobody asked for that; "" once the next one is ready */
    bool ephemeral;   /* for one execution alone: hidden, ended with it */
    bool is_command;  /* the holder of a command (command.h); ephemeral too. Its kernel is the command's process */
    bool removed;     /* taken out of the tables; memory goes in the loop's next turn */
    bool restarting;
    bool dying;       /* an execution's end said that the kernel died; that it is dead comes next */
    bool adopting;    /* STARTING stands for: another warden asks whether the kernel still answers */
    bool recovered;   /* the hub before us had a kernel for it; nobody has said yet whether it lives */
    size_t late_bytes; /* late output since the last execution was sent */
    unsigned moves;   /* to another sandbox since the kernel was last ready */
    bool env_by_metadata, stdin_by_metadata;
    char *start;      /* LINK_START's JSON; refreshed from the catalog at each start */
    char *language_info; /* of its kernel's kernel_info_reply, a JSON object; NULL: not known */
    char *env;        /* more variables for START (ephemeral only), JSON; NULL */
    enum kernel_state kernel;
    struct uuid kernel_id;
    struct sandbox *sandbox; /* NULL in KERNEL_NONE */
    struct execution *running;
    struct execution *ending; /* it has left, and what it changed is being found out */
    zlistx_t *queue;  /* struct execution, not owned, oldest first */
    zlistx_t *waits;  /* for ready */
    struct jupyter *jupyter; /* what Jupyter clients know it by, and those that are here */
    int retire_timer; /* an ephemeral one's; -1: none */
    int64_t created_us, last_used_us, start_us;
    int64_t execution_count; /* the kernel's own, as last heard */
};

/* Finds the session or makes it (no kernel yet). language NULL: the session's own, else python. in NULL: the session's own sandbox,
 * else the default one. */
int session_open(struct hub *h, struct user *u, const char *name, const char *language, const char *template_name,
                 struct sandbox *in, bool ephemeral, struct session **ret, struct err *e);
/* A new one in the tables, of no language yet. */
struct session *session_new(struct hub *h, struct user *u, const char *name, int64_t feed, uint64_t last_seq);
/* A kernel of a new id in this sandbox, KERNEL_WAITING for it. */
void session_enter_sandbox(struct session *s, struct sandbox *sandbox);
struct session *session_recover(struct hub *h, const struct session_row *r);
void session_free(struct session *s); /* of memory only */

/* Takes how to start its kernel from the catalog anew. */
void session_refresh(struct session *s);
/* Starts a kernel unless there is one or one is on its way. */
void session_need_kernel(struct session *s);
/* The same, and answers the session's JSON when it is ready. NULL: it was answered at once. */
struct wait *session_when_ready(struct session *s, reply_fn done, void *arg);
/* Sends the next execution when kernel and queue allow. */
void session_pump(struct session *s);
/* Appends to the session's own feed. */
void session_add_event(struct session *s, enum event_type type, struct slice fields, struct store_mark mark);
void session_save(const struct session *s, int64_t ended_us);
/* Ends kernel and session (also an ephemeral one's). */
void session_close(struct session *s, const char *reason);
/* An ephemeral one whose execution has left it, however that ended: closes it in the loop's next turn. */
void session_retire(struct session *s);
/* Its execution ended with its kernel, which says so itself next: what waits is cancelled, what comes now is for the next one. */
void session_kernel_is_dying(struct session *s);
/* Output of an execution that has ended. */
void session_add_late(struct session *s, struct sandbox *sandbox, const struct link_frame *f, const char *msg_type);
const char *session_status(const struct session *s);

/* What a warden may take beyond the time limits that it was given: graces, kills, late channels. */
#define SESSION_WARDEN_PATIENCE_US 90000000LL

/* Between session.c and session_sandbox.c. */
void session_say_status(struct session *s, const char *state, const char *reason); /* reason NULL: none */
void session_note_death(const struct session *s, const struct err *why, struct slice output); /* in its sandbox's journal */
void session_leave_kernel(struct session *s);
void session_send_start(struct session *s);
void session_ready(struct session *s);
void session_on_ready(struct session *s); /* ready for the first time since it started, or since it has another warden */
/* What ran ends by `end`, what waited is cancelled. */
void session_end_all(struct session *s, const struct outcome_end *end, const char *reason, const struct err *failure,
                     struct store_mark mark);
void session_kernel_failed(struct session *s, const struct err *why);

/* Where it lives. A session has one sandbox: a named one, or the default one of its template. */
struct sandbox *session_home(const struct session *s); /* its named one; NULL: none */
bool session_is_of(const struct session *s, const struct sandbox *sandbox);
int session_check_place(const struct session *s, const struct sandbox *in, const char *template_name, struct err *e);
int session_choose_template(struct hub *h, const struct user *u, const struct sandbox *in, const char **template_name,
                            struct err *e);
int session_choose_sandbox(struct session *s, const char *template_name, struct sandbox **ret, struct err *e);
/* The language's own session, however it is spelled: "python", and in a named sandbox "python@NAME". NULL: python. */
void session_default_name(const char *language, const struct sandbox *in, char ret[128]);

void sessions_pump(struct sandbox *sandbox);
/* another_warden: not the one whose hello was heard last; what ran is lost. */
void sessions_sandbox_up(struct sandbox *sandbox, struct slice hello, bool another_warden);
/* The session's kernel is gone with its warden: another is started, what waits runs in it. */
void session_renew(struct session *s, const char *why);
/* A kernel starts or code runs there. ret_late: what its warden should have said long ago, NULL: nothing. */
bool sessions_are_busy(const struct sandbox *sandbox, int64_t now_us, const char **ret_late);
/* Ends the kernels that a warden's hello names and no session has: their START was sent, or their STOP was not, by a hub
 * that died over it. */
void sessions_stop_unknown(struct sandbox *sandbox, struct slice hello);
void sessions_sandbox_reset(struct sandbox *sandbox, const struct err *why); /* their kernels are gone, they stay */
void sessions_sandbox_gone(struct sandbox *sandbox, const struct err *why, enum status status);
void session_on_frame(struct sandbox *sandbox, const struct link_frame *f);

#endif
