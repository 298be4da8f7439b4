/* How a sandbox's container is taken away: for good, or to be made anew. */
#include <stdlib.h>

#include "base/log.h"
#include "kernelhub/ended.h"
#include "kernelhub/keeper_client.h"
#include "kernelhub/sandbox.h"
#include "kernelhub/session_internal.h"
#include "kernelhub/wait.h"

#define DESTROY_TIMEOUT_MS 60000

static const char *const CAUSES[] = {
    [CAUSE_FAILED] = "failed",   [CAUSE_IDLE] = "idle", [CAUSE_LEASE] = "lease",
    [CAUSE_DELETED] = "deleted", [CAUSE_DIED] = "died", [CAUSE_OOM] = "oom",
    [CAUSE_LOST] = "lost",
};

/* An ending under way in the keeper; the sandbox itself is forgotten by then. */
struct ending {
    struct hub *hub;
    struct uuid id;
    struct wait *wait; /* NULL: nobody waits */
    bool *answered;    /* set when the answer comes within the call; NULL: that is over */
};

static void answer(struct ending *ending, const struct err *e)
{
    struct wait *w = ending->wait;
    if (ending->answered)
        *ending->answered = true;
    if (w)
        wait_answer(w, e, SLICE_LITERAL("{}"));
    free(ending);
}

static void on_destroyed(void *arg, const struct err *e, struct slice body)
{
    struct ending *ending = arg;
    if (e)
        log_warning("keeper could not destroy sandbox id=%s: %s", ending->id.text, e->text);
    answer(ending, e);
}

static void destroy(struct hub *h, const struct uuid *id, keeper_reply_fn done, void *arg)
{
    struct verb_request r = { .verb = VERB_DESTROY, .sandbox_id = *id };
    keeper_client_ask(h->keeper, &r, DESTROY_TIMEOUT_MS, done, arg);
}

static int on_reap(zloop_t *loop, int timer, void *arg)
{
    struct sandbox *s = arg;
    s->timer = -1;
    sandbox_free(s);
    return 0;
}

/* All but the keeper's part. `ret` is for the keeper's answer. */
static void end(struct sandbox *s, enum sandbox_cause cause, enum err_code code, const char *reason,
                enum status status, struct ending **ret)
{
    int64_t now = hub_unix_us();
    struct err e;
    *ret = calloc(1, sizeof **ret);
    if (!*ret)
        abort();
    **ret = (struct ending){ .hub = s->hub, .id = s->id };
    log_info("sandbox ended id=%s cause=%s reason=%s", s->id.text, CAUSES[cause],
             log_quote(slice_str(reason)));
    metric_counter_add(s->hub->sandboxes_ended_total, CAUSES[cause], NULL, 1);
    sandbox_enter(s, SANDBOX_GONE, 0);
    zhashx_delete(s->hub->sandboxes, s->id.text);
    sandbox_save_ended(s, now, reason);
    ended_add(s->hub->ended, &s->id, &s->user->id, s->name, now, reason);
    (void)err_set(&e, code, code == ERR_GONE ? "the sandbox is gone: %s" : "%s", reason);
    sessions_sandbox_gone(s, &e, status);
    wait_list_answer(s->waits, &e, slice_of(NULL, 0));
    wait_list_answer(s->samples, &e, slice_of(NULL, 0));
}

/* We may be inside a frame of its link: its memory goes in the loop's next turn. */
static void reap_later(struct sandbox *s)
{
    s->timer = zloop_timer(s->hub->loop, 1, 1, on_reap, s);
}

void sandbox_end(struct sandbox *s, enum sandbox_cause cause, enum err_code code,
                 const char *reason, enum status status)
{
    struct ending *ending;
    if (s->state == SANDBOX_GONE)
        return;
    end(s, cause, code, reason, status, &ending);
    destroy(s->hub, &s->id, on_destroyed, ending);
    reap_later(s);
}

struct wait *sandbox_end_then(struct sandbox *s, enum sandbox_cause cause, enum err_code code,
                              const char *reason, enum status status, reply_fn done, void *arg)
{
    struct ending *ending;
    bool answered = false;
    assert(s->state != SANDBOX_GONE);
    end(s, cause, code, reason, status, &ending);
    struct wait *w = wait_new_owned(&ending->wait, done, arg);
    ending->wait = w;
    ending->answered = &answered;
    destroy(s->hub, &s->id, on_destroyed, ending);
    if (!answered)
        ending->answered = NULL;
    reap_later(s);
    return answered ? NULL : w;
}

/* ---- made anew ---- */

/* It may be gone when the keeper answers: it is found by its id. */
struct remake {
    struct hub *hub;
    struct uuid id;
};

static void on_taken_away(void *arg, const struct err *e, struct slice body)
{
    struct remake *remake = arg;
    struct sandbox *s = zhashx_lookup(remake->hub->sandboxes, remake->id.text);
    free(remake);
    if (!s || s->state != SANDBOX_RESETTING)
        return;
    if (e) {
        sandbox_end(s, CAUSE_FAILED, ERR_SANDBOX, e->text, STATUS_LOST);
        return;
    }
    sandbox_ask(s);
}

void sandbox_remake(struct sandbox *s)
{
    struct err why;
    struct remake *remake = calloc(1, sizeof *remake);
    if (!remake)
        abort();
    *remake = (struct remake){ s->hub, s->id };
    log_info("sandbox reset id=%s", s->id.text);
    sandbox_note(s, "reset", slice_of(NULL, 0));
    sandbox_enter(s, SANDBOX_RESETTING, DESTROY_TIMEOUT_MS + 1000);
    (void)err_set(&why, ERR_GONE, "the sandbox was reset");
    sessions_sandbox_reset(s, &why);
    sandbox_fail_samples(s, ERR_UNAVAILABLE, why.text);
    sandbox_new_link(s);
    s->epoch[0] = s->phases[0] = '\0';
    s->last_number = 0;
    s->sampled_cpu_us = s->sampled_mono_us = 0;
    s->resetting = true;
    sandbox_save(s);
    destroy(s->hub, &s->id, on_taken_away, remake);
}
