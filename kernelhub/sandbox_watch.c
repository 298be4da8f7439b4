/* Does the sandbox's warden do what a warden does? One that does not is cut off. */
#include <stdio.h>

#include "base/log.h"
#include "kernelhub/link_client.h"
#include "kernelhub/session_internal.h"

#define SILENCE_MS  15000 /* while something runs there; then it is asked, and has */
#define ANSWER_MS   10000
#define MAX_DROPS   100 /* of the link, in */
#define DROPS_IN_US 60000000LL

void sandbox_cut_off(struct sandbox *s, const char *why)
{
    char text[200];
    (void)snprintf(text, sizeof text, "the sandbox's warden broke the link's rules: %s", why);
    log_warning("sandbox id=%s is cut off: %s", s->id.text, why);
    sandbox_end(s, CAUSE_LOST, ERR_SANDBOX, text, STATUS_LOST);
}

static void watch(struct sandbox *s, int ms);

/* A warden that says nothing while something runs is asked; one that does not answer is dead, whatever its socket says. */
static int on_watch(struct loop *loop, int timer, void *arg)
{
    static const struct link_frame SAMPLE = { .type = LINK_SAMPLE };
    struct sandbox *s = arg;
    const char *late;
    s->watch_timer = -1;
    if (s->state != SANDBOX_UP || !sessions_are_busy(s, hub_mono_us(), &late))
        return 0; /* the next order, or hello, begins anew */
    if (late) {
        sandbox_cut_off(s, late);
    } else if (link_client_heard(s->link)) {
        s->asked_to_answer = false;
        watch(s, SILENCE_MS);
    } else if (!s->asked_to_answer) {
        s->asked_to_answer = true;
        watch(s, ANSWER_MS);
        sandbox_send(s, &SAMPLE);
    } else {
        sandbox_end(s, CAUSE_LOST, ERR_TIMEOUT, "the sandbox's warden does not answer any more",
                    STATUS_LOST);
    }
    return 0;
}

static void watch(struct sandbox *s, int ms)
{
    if (s->watch_timer < 0)
        s->watch_timer = loop_timer(s->hub->loop, (size_t)ms, on_watch, s);
}

void sandbox_watch(struct sandbox *s)
{
    watch(s, SILENCE_MS);
}

void sandbox_watch_stop(struct sandbox *s)
{
    if (s->watch_timer >= 0)
        loop_timer_end(s->hub->loop, s->watch_timer);
    s->watch_timer = -1;
}

bool sandbox_may_drop(struct sandbox *s, int64_t now_us)
{
    if (now_us - s->drops_since_us > DROPS_IN_US) {
        s->drops_since_us = now_us;
        s->drops = 0;
    }
    return ++s->drops <= MAX_DROPS;
}
