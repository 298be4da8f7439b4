/* How a sandbox's container is taken away: for good, or to be made anew. */
#include <stdlib.h>

#include "base/log.h"
#include "kernelhub/ended.h"
#include "kernelhub/keeper_client.h"
#include "kernelhub/sandbox.h"
#include "kernelhub/session_internal.h"
#include "kernelhub/terminal_internal.h"
#include "kernelhub/wait.h"

#define DESTROY_TIMEOUT_MS 60000
#define PURGE_TIMEOUT_MS   30000

static const char *const CAUSES[] = {
    [CAUSE_FAILED] = "failed",   [CAUSE_IDLE] = "idle", [CAUSE_LEASE] = "lease",
    [CAUSE_DELETED] = "deleted", [CAUSE_DIED] = "died", [CAUSE_OOM] = "oom",
    [CAUSE_LOST] = "lost",
};

/* An ending under way in the keeper; the sandbox itself is forgotten by then. */
struct ending {
    struct hub *hub;
    struct uuid id, user_id;
    bool purge_private; /* its own workspace goes with it */
    bool purge_shared;  /* its user's, because the user wants it */
    struct wait *wait;  /* NULL: nobody waits */
    bool *answered;     /* set when the answer comes within the call; NULL: that is over */
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

static void on_purged(void *arg, const struct err *e, struct slice body)
{
    struct ending *ending = arg;
    if (e)
        log_warning("keeper could not remove a workspace user=%s sandbox=%s: %s",
                    ending->user_id.text, ending->purge_private ? ending->id.text : "-", e->text);
    else if (ending->purge_private)
        store_set_workspace(ending->hub->store, &ending->id, "removed");
    answer(ending, e);
}

static void purge(struct ending *ending)
{
    struct verb_request r = { .verb = VERB_PURGE, .private_workspace = ending->purge_private };
    if (ending->purge_private)
        r.sandbox_id = ending->id;
    memcpy(r.user_id, ending->user_id.text, sizeof r.user_id);
    keeper_client_ask_owning(ending->hub->keeper, &r, PURGE_TIMEOUT_MS, on_purged, ending);
}

static void on_destroyed(void *arg, const struct err *e, struct slice body)
{
    struct ending *ending = arg;
    if (e)
        log_warning("keeper could not destroy sandbox id=%s: %s", ending->id.text, e->text);
    if (!e && (ending->purge_private || ending->purge_shared))
        purge(ending);
    else
        answer(ending, e);
}

static void destroy(struct hub *h, const struct uuid *id, keeper_reply_fn done, void *arg)
{
    struct verb_request r = { .verb = VERB_DESTROY, .sandbox_id = *id };
    keeper_client_ask_owning(h->keeper, &r, DESTROY_TIMEOUT_MS, done, arg);
}

static int on_reap(struct loop *loop, int timer, void *arg)
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
    **ret = (struct ending){
        .hub = s->hub, .id = s->id, .user_id = s->user->id, .purge_private = s->private_workspace
    };
    log_info("sandbox ended id=%s cause=%s reason=%s", s->id.text, CAUSES[cause],
             log_quote(slice_str(reason)));
    metric_counter_add(s->hub->sandboxes_ended_total, CAUSES[cause], NULL, 1);
    sandbox_enter(s, SANDBOX_GONE, 0);
    zhashx_delete(s->hub->sandboxes, s->id.text);
    sandbox_save_ended(s, now, reason);
    ended_add(s->hub->ended, &s->id, &s->user->id, s->name, now, reason);
    (void)err_set(&e, code, code == ERR_GONE ? "the sandbox is gone: %s" : "%s", reason);
    sessions_sandbox_gone(s, &e, status);
    terminals_sandbox_gone(s, &e);
    wait_list_answer(s->waits, &e, slice_of(NULL, 0));
    wait_list_answer(s->samples, &e, slice_of(NULL, 0));
}

/* We may be inside a frame of its link: its memory goes in the loop's next turn. */
static void reap_later(struct sandbox *s)
{
    s->timer = loop_timer(s->hub->loop, 1, on_reap, s);
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

/* Of a sandbox that is not there only its user's workspace is removed. */
static struct wait *ask_and_wait(struct ending *ending, bool is_there, reply_fn done, void *arg)
{
    bool answered = false;
    struct wait *w = wait_new_owned(&ending->wait, done, arg);
    ending->wait = w;
    ending->answered = &answered;
    if (is_there)
        destroy(ending->hub, &ending->id, on_destroyed, ending);
    else
        purge(ending);
    if (!answered)
        ending->answered = NULL;
    return answered ? NULL : w;
}

struct wait *sandbox_end_then(struct sandbox *s, enum sandbox_cause cause, const char *reason,
                              bool purge_shared, reply_fn done, void *arg)
{
    struct ending *ending;
    assert(s->state != SANDBOX_GONE);
    end(s, cause, ERR_GONE, reason, STATUS_INTERRUPTED, &ending);
    ending->purge_shared = purge_shared && !s->private_workspace;
    struct wait *w = ask_and_wait(ending, true, done, arg);
    reap_later(s);
    return w;
}

struct wait *sandbox_purge_shared(struct hub *h, const struct user *u, reply_fn done, void *arg)
{
    struct ending *ending = calloc(1, sizeof *ending);
    if (!ending)
        abort();
    *ending = (struct ending){ .hub = h, .user_id = u->id, .purge_shared = true };
    return ask_and_wait(ending, false, done, arg);
}

void sandbox_end_again(struct hub *h, const struct uuid *id, const struct uuid *user_id)
{
    struct ending *ending = calloc(1, sizeof *ending);
    if (!ending)
        abort();
    *ending = (struct ending){ .hub = h, .id = *id, .user_id = *user_id, .purge_private = true };
    destroy(h, id, on_destroyed, ending);
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

void sandbox_remake(struct sandbox *s, const char *text)
{
    struct err why;
    struct remake *remake = calloc(1, sizeof *remake);
    if (!remake)
        abort();
    *remake = (struct remake){ s->hub, s->id };
    log_info("sandbox reset id=%s", s->id.text);
    sandbox_note(s, "reset", slice_of(NULL, 0));
    sandbox_enter(s, SANDBOX_RESETTING, DESTROY_TIMEOUT_MS + 1000);
    (void)err_set(&why, ERR_GONE, "%s", text);
    sessions_sandbox_reset(s, &why);
    terminals_sandbox_gone(s, &why);
    sandbox_fail_samples(s, ERR_UNAVAILABLE, why.text);
    sandbox_new_link(s);
    s->epoch[0] = s->phases[0] = '\0';
    s->last_number = 0;
    s->sampled_cpu_us = s->sampled_mono_us = 0;
    s->resetting = true;
    sandbox_save(s);
    destroy(s->hub, &s->id, on_taken_away, remake);
}
