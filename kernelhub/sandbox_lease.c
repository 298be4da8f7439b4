/* Leases of sandboxes: what holds one, what is due, and one timer for the next. Nothing is done when a sandbox is used but to note
 * the time: a check that finds it used since looks again later. */
#include "kernelhub/execution_internal.h"
#include "kernelhub/jupyter_internal.h"
#include "kernelhub/sandbox.h"
#include "kernelhub/session_internal.h"

#define CELL_GRACE_US                                                                              \
    10000000 /* interrupt, kill and burial are the warden's, behind a cell's own timeout */
#define NOTE_MAX_US                                                                                \
    60000000 /* the store knows the last use as late as this, or an eighth of the idle limit */
#define MIN_DELAY_MS 5
#define MAX_DELAY_MS 86400000 /* a longer one is looked at again after a day */

int64_t sandbox_note_period_us(const struct sandbox *s)
{
    int64_t eighth = s->lease.idle_seconds * 1000000 / 8;
    return eighth < NOTE_MAX_US ? eighth : NOTE_MAX_US;
}

void sandbox_use(struct sandbox *s, int64_t now_us, const char *how)
{
    if (s->state == SANDBOX_GONE)
        return; /* its row says so */
    s->lease.used_us = now_us;
    s->used_by = how;
    if (now_us - s->noted_us < sandbox_note_period_us(s))
        return;
    s->noted_us = now_us;
    sandbox_save(s);
}

void sandbox_called(struct sandbox *s)
{
    sandbox_use(s, hub_unix_us(), SANDBOX_CALLED);
}

static int64_t cell_until(const struct execution *x, int64_t now_us)
{
    int64_t since = x->sent_mono_us ? hub_mono_us() - x->sent_mono_us : 0;
    return now_us - since + x->timeout_ms * 1000 + CELL_GRACE_US;
}

struct lease_hold sandbox_hold(const struct sandbox *s, int64_t now_us)
{
    struct lease_hold hold = { .in_use = s->n_attached > 0 || s->state == SANDBOX_CREATING ||
                                         s->state == SANDBOX_CONNECTING ||
                                         s->state == SANDBOX_RESETTING };
    for (struct session *x = zhashx_first(s->hub->sessions); x; x = zhashx_next(s->hub->sessions)) {
        if (x->sandbox != s)
            continue;
        int64_t until = x->running ? cell_until(x->running, now_us) : 0;
        if (until > hold.runs_until_us)
            hold.runs_until_us = until;
        hold.in_use |= feed_is_watched(x->feed) || fronts_count(x) || x->kernel == KERNEL_WAITING ||
                       x->kernel == KERNEL_STARTING || (!x->running && zlistx_size(x->queue));
    }
    return hold;
}

static int on_due(struct loop *loop, int timer, void *arg);

static void arm(struct hub *h, int64_t due_us)
{
    if (h->lease_timer >= 0 && h->lease_due_us <= due_us)
        return;
    if (h->lease_timer >= 0)
        loop_timer_end(h->loop, h->lease_timer);
    int64_t delay_ms = (due_us - hub_unix_us()) / 1000 + 1;
    delay_ms = delay_ms < MIN_DELAY_MS   ? MIN_DELAY_MS
               : delay_ms > MAX_DELAY_MS ? MAX_DELAY_MS
                                         : delay_ms;
    h->lease_due_us = due_us;
    h->lease_timer = loop_timer(h->loop, (size_t)delay_ms, on_due, h);
}

/* Returns when to look again; 0: it has ended. */
static int64_t check(struct sandbox *s, int64_t now_us)
{
    static const struct lease_hold NOTHING;
    int64_t next;
    char reason[100];
    enum lease_state state = lease_check(&s->lease, NOTHING, now_us, &next);
    if (state != LEASE_GOOD) /* only now is it worth to ask what holds it */
        state = lease_check(&s->lease, sandbox_hold(s, now_us), now_us, &next);
    switch (state) {
    case LEASE_GOOD:
        s->held = false;
        return next;
    case LEASE_HELD:
        s->held = true;
        return next;
    case LEASE_IDLE:
    case LEASE_OVER:
        lease_write_reason(&s->lease, state, reason, sizeof reason);
        sandbox_end(s, state == LEASE_IDLE ? CAUSE_IDLE : CAUSE_LEASE, ERR_GONE, reason,
                    STATUS_TIMEOUT);
        return 0;
    }
    return 0;
}

static int on_due(struct loop *loop, int timer, void *arg)
{
    struct hub *h = arg;
    int64_t now = hub_unix_us(), first = INT64_MAX;
    h->lease_timer = -1;
    zlistx_t *all = zhashx_values(h->sandboxes); /* a check may end one */
    for (struct sandbox *s = zlistx_first(all); s; s = zlistx_next(all)) {
        int64_t next = check(s, now);
        if (next && next < first)
            first = next;
    }
    zlistx_destroy(&all);
    if (first != INT64_MAX)
        arm(h, first);
    return 0;
}

void sandbox_lease_changed(struct sandbox *s)
{
    int64_t now = hub_unix_us(), next;
    bool was_held = s->held;
    enum lease_state state = lease_check(&s->lease, sandbox_hold(s, now), now, &next);
    s->held = state == LEASE_HELD;
    if (was_held && !s->held)
        sessions_pump(s); /* what waited for nothing may run after all */
    arm(s->hub,
        next); /* what is due already: in the loop's next turn, for we may be in the middle of it */
}

void sandbox_cell_ended(struct sandbox *s)
{
    if (s->held)
        arm(s->hub, hub_unix_us());
}

void sandbox_attach(struct sandbox *s)
{
    s->n_attached++;
}

void sandbox_detach(struct sandbox *s)
{
    assert(s->n_attached > 0);
    s->n_attached--;
    sandbox_use(s, hub_unix_us(), SANDBOX_ATTACHED);
}
