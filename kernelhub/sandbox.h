/* sandbox.h - the hub's view of one sandbox: asked for, connected to, leased, gone. */
#ifndef KERNELHUB_SANDBOX_H
#define KERNELHUB_SANDBOX_H

#include "kernelhub/hub_internal.h"
#include "kernelhub/journal.h"
#include "kernelhub/lease.h"
#include "kernelhub/sandbox_verbs.h"
#include "kernelhub/user.h"
#include "protocol/link.h"
#include "protocol/verb.h"

enum sandbox_state {
    SANDBOX_RECOVERED,  /* known from the store; the keeper has not said yet whether it lives */
    SANDBOX_CREATING,   /* the keeper makes it */
    SANDBOX_CONNECTING, /* it exists; no hello from its warden yet */
    SANDBOX_UP,
    SANDBOX_RESETTING,  /* the keeper takes its container away, to make it anew */
    SANDBOX_GONE,       /* about to be freed */
};

/* Why it ended, in one word, for the metrics. */
enum sandbox_cause { CAUSE_FAILED, CAUSE_IDLE, CAUSE_LEASE, CAUSE_DELETED, CAUSE_DIED, CAUSE_OOM, CAUSE_LOST };

struct sandbox {
    struct hub *hub;
    struct user *user;
    struct uuid id;
    char name[64], template_name[64], image[256], digest[128];
    enum sandbox_state state;
    bool implicit;        /* made because code needed one, not because somebody asked for it */
    bool private_workspace;
    struct verb_limits limits;
    char *env, *labels;   /* JSON objects; NULL: none */
    struct lease lease;
    const char *used_by;  /* what the last use was: static words */
    int64_t noted_us;     /* the last use as the store knows it */
    unsigned n_attached;  /* clients at its terminals and the like */
    bool resetting;       /* its container is being replaced; also in the store, until the new one is up */
    bool held;            /* its hard lease has ended: nothing new begins, the cell that runs may end */
    char epoch[37];       /* the warden's, "" before its hello */
    bool can_exec;        /* the warden said so */
    bool can_terminal;    /* the same */
    bool heard;           /* a hello, since this hub began or the container was made */
    uint64_t last_number; /* committed, as of the store, when the hub started */
    int64_t created_us, asked_us;
    int64_t begun_us;     /* the present container */
    char phases[256];     /* the keeper's figures, JSON */
    struct link_client *link;
    struct journal *journal;
    uint64_t n_changes_within; /* what was seen to change there while the user's workspaces were within their limit */
    bool is_metered;           /* quota.h knows that it runs */
    struct watched *watched; /* its workspace; NULL: it was never there, or changes are not watched */
    unsigned generation;  /* of the link: marks of an earlier one mean nothing to this one */
    zlistx_t *waits;      /* for up */
    zlistx_t *samples;    /* waits for the warden's figures */
    int sample_timer;     /* until they are given up; -1: nobody waits */
    int64_t sampled_cpu_us, sampled_mono_us; /* the sample before; 0: none of this container */
    int timer;            /* a deadline of the present state; -1: none */
    int retry_timer;      /* until the next attempt to connect; -1: none */
    int watch_timer;      /* until a look at whether its warden still speaks; -1: nothing was asked of it lately */
    bool asked_to_answer;
    unsigned drops;       /* of the link since drops_since_us */
    int64_t drops_since_us;
    char fault[200];      /* the reason of its end, when that has to be composed */
};

/* The user's default sandbox of a template, made when there is none. ERR_QUOTA when there are too many. */
int sandbox_get(struct hub *h, struct user *u, const char *template_name, struct sandbox **ret, struct err *e);
/* Is it the one that code of this template runs in when no sandbox is named? */
bool sandbox_is_default(const struct sandbox *s);
/* The template of the user's `default` sandbox, NULL when there is none. */
const char *sandbox_default_template(struct hub *h, const struct user *u);
/* The one a request names; NULL for none named, and for "default" when there is none yet (it is made when needed). ERR_GONE, ERR_NOT_FOUND. */
int sandbox_named(struct hub *h, const struct user *u, const char *id_or_name, struct sandbox **ret, struct err *e);
struct sandbox *sandbox_by_name(struct hub *h, const struct user *u, const char *name); /* NULL: none */
struct sandbox *sandbox_recover(struct hub *h, const struct sandbox_row *r);
void sandbox_free(struct sandbox *s); /* of memory only */

/* In the table, not yet asked for: set what it shall be, then sandbox_begin. ERR_QUOTA. */
int sandbox_new(struct hub *h, struct user *u, const char *name, const char *template_name, struct sandbox **ret, struct err *e);
void sandbox_begin(struct sandbox *s);
void sandbox_save(const struct sandbox *s);

/* The keeper says it runs (or not): connects, or ends it; asks for it again when it never came up. */
void sandbox_confirm(struct sandbox *s, bool runs);
void sandbox_connect(struct sandbox *s);

/* Ends it: its sessions are told (sessions_sandbox_gone), the keeper destroys it, memory goes in the loop's next turn. `code` and
 * reason are what those that waited for it are told; `status` is how what ran there ended. */
void sandbox_end(struct sandbox *s, enum sandbox_cause cause, enum err_code code, const char *reason, enum status status);
/* The same as ERR_GONE and `interrupted`, answered when nothing of it is left; with the user's shared workspace when that is wanted. */
struct wait *sandbox_end_then(struct sandbox *s, enum sandbox_cause cause, const char *reason, bool purge_shared,
                              reply_fn done, void *arg);
/* Only the user's shared workspace; ERR_BUSY while a sandbox uses it. */
struct wait *sandbox_purge_shared(struct hub *h, const struct user *u, reply_fn done, void *arg);
/* A hub before us ended it, but did not see its private workspace gone. */
void sandbox_end_again(struct hub *h, const struct uuid *id, const struct uuid *user_id);

/* Takes its container away and makes it anew under the same id; its sessions are told and stay. Sets RESETTING. */
void sandbox_remake(struct sandbox *s, const char *why);

/* Its warden did what no warden does: ends it. */
void sandbox_cut_off(struct sandbox *s, const char *why);

/* The keeper's event `exited` (verb.h). */
void sandbox_exited(struct sandbox *s, struct slice event);

/* Sends an order when the sandbox is up. */
void sandbox_send(struct sandbox *s, const struct link_frame *f);

/* For the last write that a frame of its warden causes; give the mark to the store and call sandbox_committed when it is done.
 * Safe when the sandbox is NULL or has gone in between (looked up by id). */
struct store_mark sandbox_take_mark(struct sandbox *s);
void sandbox_committed(struct hub *h, struct store_mark mark);

/* From inside a frame, for one whose write has to wait for something: no frame behind it is handled before resume. */
void sandbox_pause(struct hub *h, struct store_mark mark);
void sandbox_resume(struct hub *h, struct store_mark mark);

/* The same as a store_done_fn: give both to the store's verb. */
void *sandbox_mark_ticket(struct hub *h, struct store_mark mark);
void sandbox_mark_done(void *ticket);

const char *sandbox_state_name(enum sandbox_state state);
const char *sandbox_cause_name(enum sandbox_cause cause);

/* For the files that are the sandbox. */
void sandbox_enter(struct sandbox *s, enum sandbox_state state, int deadline_ms); /* 0: no deadline */
void sandbox_ask(struct sandbox *s);      /* the keeper, to make it; again changes nothing */
void sandbox_new_link(struct sandbox *s); /* not from inside a frame of the old one */
void sandbox_save_ended(const struct sandbox *s, int64_t ended_us, const char *reason);
void sandbox_on_usage(struct sandbox *s, const struct link_frame *f);
void sandbox_fail_samples(struct sandbox *s, enum err_code code, const char *why);

/* sandbox_watch.c: its warden has to speak while something runs there. */
void sandbox_watch(struct sandbox *s); /* something was asked of it */
void sandbox_watch_stop(struct sandbox *s);
bool sandbox_may_drop(struct sandbox *s, int64_t now_us); /* counts a loss of the link; false: too many */

/* One line of its journal; `event` is static. */
void sandbox_note(struct sandbox *s, const char *event, struct slice text);

/* sandbox_write.c: what it was asked for, as the store keeps it. */
void sandbox_write_options(const struct sandbox *s, struct buf *out);
void sandbox_read_options(struct sandbox *s, struct slice options); /* what is missing keeps its default */
void sandbox_write_reasons(const struct sandbox *s, int64_t now_us, struct buf *out); /* JSON list: what keeps it alive */

/* sandbox_lease.c: leases. One timer, for the next that is due. */
#define SANDBOX_RAN      "ran code until"
#define SANDBOX_CALLED   "called"
#define SANDBOX_ATTACHED "a client was attached until"
int64_t sandbox_note_period_us(const struct sandbox *s); /* the store knows the last use as late as this */
void sandbox_use(struct sandbox *s, int64_t now_us, const char *how); /* SANDBOX_RAN … */
struct lease_hold sandbox_hold(const struct sandbox *s, int64_t now_us);
void sandbox_lease_changed(struct sandbox *s);  /* begun, extended, shortened: perhaps due earlier */
void sandbox_cell_ended(struct sandbox *s);     /* what its hard lease waited for, perhaps */

/* A client is attached to the sandbox itself (a terminal), not to a session. */
void sandbox_attach(struct sandbox *s);
void sandbox_detach(struct sandbox *s);

#endif
