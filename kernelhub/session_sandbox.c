/* Sessions and their sandboxes: what they are told when one is up or gone, and which one is theirs. */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>

#include "base/json.h"
#include "kernelhub/catalog.h"
#include "kernelhub/command.h"
#include "kernelhub/ended.h"
#include "kernelhub/jupyter_internal.h"
#include "kernelhub/wait.h"

#define MAX_MOVES 2 /* to another sandbox in one start */

/* An ephemeral one has only its kernel, so it goes with it. */
static void lose_kernel(struct session *s, const struct outcome_end *end, const struct err *why)
{
    bool started = s->kernel == KERNEL_READY;
    session_say_status(s, "dead", why->text);
    (void)snprintf(s->lost_why, sizeof s->lost_why, "%.255s", why->text); /* cut is fine */
    session_end_all(s, end, why->text, started ? NULL : why, (struct store_mark){ .number = 0 });
    session_kernel_failed(s, why);
    if (s->ephemeral)
        session_close(s, why->text);
}

static zlistx_t *sessions_of(const struct sandbox *sandbox, bool homes)
{
    zlistx_t *mine = zlistx_new(); /* one may close while we walk */
    zhashx_t *all = sandbox->hub->sessions;
    for (struct session *s = zhashx_first(all); s; s = zhashx_next(all))
        if (s->sandbox == sandbox || (homes && uuid_equal(&s->home, &sandbox->id)))
            zlistx_add_end(mine, s);
    return mine;
}

/* The state a warden's hello gives for a kernel; empty when it does not know it. */
static struct slice kernel_in_hello(struct slice hello, const struct uuid *id, bool *ret_welcomes)
{
    struct slice list, text, state;
    struct json_iter it =
        json_iter(json_member(hello, "kernels", &list) ? list : slice_of(NULL, 0));
    *ret_welcomes = false;
    while (json_next(&it))
        if (json_member_string(it.value, "kernel_id", &text) && slice_is(text, id->text) &&
            json_member_string(it.value, "state", &state)) {
            (void)json_member_bool(it.value, "iopub_welcome", ret_welcomes); /* absent: false */
            return state;
        }
    return slice_of(NULL, 0);
}

static bool execution_in_hello(struct slice hello, const struct uuid *id)
{
    struct slice list, text;
    struct json_iter it =
        json_iter(json_member(hello, "executions", &list) ? list : slice_of(NULL, 0));
    while (json_next(&it))
        if (json_member_string(it.value, "execution_id", &text) && slice_is(text, id->text))
            return true;
    return false;
}

/* The warden never heard of its kernel: the START was lost with the hub or the link that should have sent it. */
static void start_again(struct session *s)
{
    session_leave_kernel(s);
    session_save(s, 0);
    if (zlistx_size(s->queue) || zlistx_size(s->waits))
        session_need_kernel(s);
}

/* After the hub came back: what the warden knows of this session's kernel and running execution. */
static void take_over(struct session *s, struct slice hello)
{
    bool welcomes;
    struct slice state = kernel_in_hello(hello, &s->kernel_id, &welcomes);
    struct execution *x = s->running;
    if (x && execution_in_hello(hello, &x->id))
        execution_watch_changes(x, "the service was started again while it ran: what changed "
                                   "before that is not known");
    if (s->is_command) {
        command_sandbox_up(s, x && execution_in_hello(hello, &x->id));
        return;
    }
    if (state.len == 0 && !x && s->moves++ < MAX_MOVES) {
        start_again(s);
        return;
    }
    if (state.len == 0 || slice_is(state, "dead")) {
        /* its last words, if any, are among the frames that come now */
        if (x && execution_in_hello(hello, &x->id))
            return;
        struct err why;
        struct outcome_end lost;
        outcome_end_unseen(&lost, "lost");
        (void)err_set(&why, ERR_KERNEL_DIED, "the kernel was gone when the service came back");
        session_end_all(s, &lost, why.text, NULL, (struct store_mark){ .number = 0 });
        session_kernel_failed(s, &why);
        return;
    }
    s->jupyter->welcomes |= welcomes && !s->restarting;
    if (x && !execution_in_hello(hello, &x->id))
        execution_transmit(x); /* it was committed as sent, but never arrived */
    else if (x && x->interrupt_asked && !x->interrupt_sent)
        execution_send_interrupt(x);
    if (slice_is(state, "ready") && !s->restarting)
        session_ready(s);
}

void session_renew(struct session *s, const char *why)
{
    session_say_status(s, "dead", why);
    if (why != s->lost_why)
        (void)snprintf(s->lost_why, sizeof s->lost_why, "%.255s", why); /* cut is fine */
    session_leave_kernel(s);
    session_save(s, 0);
    fronts_say_status(s, "restarting");
    session_need_kernel(s);
}

static void lose_running(struct session *s)
{
    struct outcome lost = { STATUS_LOST, OUTCOME_NO_CODE,
                            s->is_command
                                ? "the sandbox's warden died while the command ran; it was killed"
                                : "the sandbox's warden died while the code ran; the kernel was "
                                  "interrupted" };
    if (s->running)
        execution_finish(s->running, lost, NULL, NULL, (struct store_mark){ .number = 0 });
}

/* Another warden: what ran is lost to us, for its output went to nobody; the kernel itself may live on. */
static void take_over_anew(struct session *s, struct slice hello)
{
    bool one_run = s->ephemeral && s->running, welcomes;
    struct slice state =
        kernel_in_hello(hello, &s->kernel_id, &welcomes); /* to us it says so again */
    lose_running(s);
    if (s->is_command) {
        if (!one_run) /* else its end takes it along */
            command_sandbox_up(s, false);
    } else if (one_run) {
        session_close(s, "its one execution has ended");
    } else if (state.len > 0 && !slice_is(state, "dead") && !s->restarting) {
        s->adopting = true;
        s->kernel = KERNEL_STARTING;
        s->start_us = hub_mono_us();
        session_say_status(s, "starting", "the sandbox got another warden");
        if (slice_is(state, "ready"))
            session_on_ready(s);
    } else if (s->moves++ < MAX_MOVES) {
        /* one that is restarting as well: nobody knows whether its START was heard */
        session_renew(s, "the kernel was gone when the sandbox got another warden");
    } else {
        struct err why;
        (void)err_set(&why, ERR_KERNEL_DIED, "the sandbox's wardens died again and again");
        session_say_status(s, "dead", why.text);
        session_kernel_failed(s, &why);
    }
}

void sessions_sandbox_up(struct sandbox *sandbox, struct slice hello, bool another_warden)
{
    zlistx_t *mine = sessions_of(sandbox, false);
    for (struct session *s = zlistx_first(mine); s; s = zlistx_next(mine)) {
        if (s->kernel == KERNEL_WAITING)
            session_send_start(s);
        else if (another_warden)
            take_over_anew(s, hello);
        else
            take_over(s, hello);
    }
    zlistx_destroy(&mine);
    sessions_stop_unknown(sandbox, hello);
}

static int64_t ready_timeout_us(const struct session *s)
{
    int64_t ms = 60000;
    (void)json_member_int(slice_str(s->start), "ready_timeout_ms",
                          &ms); /* absent: the warden's default */
    return ms * 1000;
}

bool sessions_are_busy(const struct sandbox *sandbox, int64_t now_us, const char **ret_late)
{
    bool busy = false;
    *ret_late = NULL;
    zhashx_t *all = sandbox->hub->sessions;
    for (struct session *s = zhashx_first(all); s; s = zhashx_next(all)) {
        if (s->sandbox != sandbox)
            continue;
        const struct execution *x = s->running;
        busy |= x || s->kernel == KERNEL_STARTING;
        if (s->kernel == KERNEL_STARTING && s->start_us &&
            now_us > s->start_us + ready_timeout_us(s) + SESSION_WARDEN_PATIENCE_US)
            *ret_late = "it does not say what became of a kernel";
        if (x && x->sent_mono_us && x->timeout_ms > 0 &&
            now_us > x->sent_mono_us + x->timeout_ms * 1000 + SESSION_WARDEN_PATIENCE_US)
            *ret_late = "it does not say what became of code that has had its time";
    }
    return busy;
}

/* What a session is told of its sandbox's end; the last one is called last, for it may free the session. */
static void leave_sandbox(struct session *s, const struct outcome_end *end, const struct err *why)
{
    struct sandbox *sandbox = s->sandbox;
    bool started = s->kernel == KERNEL_READY, stays = !uuid_is_set(&s->home) && !s->ephemeral;
    if (sandbox && stays && !started && !s->running && sandbox->epoch[0] &&
        s->moves++ < MAX_MOVES) {
        /* it worked once, and died under a kernel that was only starting: nothing of this session is lost, it starts in another */
        if (s->recovered)
            (void)snprintf(s->lost_why, sizeof s->lost_why, "%.255s", why->text); /* cut is fine */
        session_leave_kernel(s);
        session_need_kernel(s);
        return;
    }
    if (sandbox)
        lose_kernel(s, end, why);
    if (!stays)
        session_close(s, why->text);
}

void sessions_pump(struct sandbox *sandbox)
{
    zlistx_t *mine = sessions_of(sandbox, false);
    for (struct session *s = zlistx_first(mine); s; s = zlistx_next(mine))
        session_pump(s);
    zlistx_destroy(&mine);
}

void sessions_sandbox_reset(struct sandbox *sandbox, const struct err *why)
{
    struct outcome_end end;
    outcome_end_unseen(&end, "killed");
    zlistx_t *mine = sessions_of(sandbox, false);
    for (struct session *s = zlistx_first(mine); s; s = zlistx_next(mine))
        lose_kernel(s, &end, why);
    zlistx_destroy(&mine);
}

void sessions_sandbox_gone(struct sandbox *sandbox, const struct err *why, enum status status)
{
    struct outcome_end end;
    outcome_end_unseen(&end, status == STATUS_TIMEOUT || status == STATUS_INTERRUPTED ? "killed"
                             : status == STATUS_LOST                                  ? "lost"
                                                                                      : "died");
    end.timed_out = status == STATUS_TIMEOUT;
    end.oom = status == STATUS_OOM;
    if (status == STATUS_KERNEL_DIED)
        end.signal = SIGKILL;
    zlistx_t *mine = sessions_of(sandbox, true);
    for (struct session *s = zlistx_first(mine); s; s = zlistx_next(mine))
        leave_sandbox(s, &end, why);
    zlistx_destroy(&mine);
}

void session_note_death(const struct session *s, const struct err *why, struct slice output)
{
    CLEANUP_BUF struct buf text = BUF_INIT(1 << 20);
    buf_addf(&text, "session '%s': %.*s", s->name, (int)strcspn(why->text, ";"), why->text);
    if (output.len) {
        buf_add_str(&text, "; the end of its output:\n");
        size_t n =
            output.len < JOURNAL_MAX_LINE_BYTES / 2 ? output.len : JOURNAL_MAX_LINE_BYTES / 2;
        buf_add(&text, output.data + output.len - n, n);
    }
    sandbox_note(s->sandbox, "kernel_died", buf_slice(&text));
}

/* ---- where a session lives ---- */

struct sandbox *session_home(const struct session *s)
{
    return uuid_is_set(&s->home) ? zhashx_lookup(s->hub->sandboxes, s->home.text) : NULL;
}

bool session_is_of(const struct session *s, const struct sandbox *sandbox)
{
    if (s->user != sandbox->user)
        return false;
    if (s->sandbox == sandbox || uuid_equal(&s->home, &sandbox->id))
        return true;
    return !s->sandbox && !uuid_is_set(&s->home) && sandbox_is_default(sandbox) &&
           strcmp(s->template_name, sandbox->template_name) == 0;
}

int session_check_place(const struct session *s, const struct sandbox *in,
                        const char *template_name, struct err *e)
{
    if (in && !session_is_of(s, in)) {
        const struct sandbox *own = s->sandbox ? s->sandbox : session_home(s);
        return err_set(e, ERR_CONFLICT,
                       "session '%s' is in sandbox '%s', not in '%s': a session belongs to one",
                       s->name, own ? own->name : SANDBOX_DEFAULT, in->name);
    }
    if (template_name && strcmp(template_name, s->template_name) != 0)
        return err_set(e, ERR_CONFLICT, "session '%s' is of template '%s'", s->name,
                       s->template_name);
    return 0;
}

int session_choose_template(struct hub *h, const struct user *u, const struct sandbox *in,
                            const char **template_name, struct err *e)
{
    if (in && *template_name && strcmp(*template_name, in->template_name) != 0)
        return err_set(e, ERR_CONFLICT, "sandbox '%s' is of template '%s', not of '%.64s'",
                       in->name, in->template_name, *template_name);
    if (in)
        *template_name = in->template_name;
    else if (!*template_name)
        *template_name = sandbox_default_template(h, u);
    return 0;
}

int session_choose_sandbox(struct session *s, const char *template_name, struct sandbox **ret,
                           struct err *e)
{
    struct sandbox *home = session_home(s);
    if (!uuid_is_set(&s->home))
        return sandbox_get(s->hub, s->user, template_name, ret, e);
    if (!home)
        return ended_explain(s->hub->ended, &s->user->id, s->home.text, e);
    *ret = home;
    return 0;
}

void session_default_name(const char *named, const struct sandbox *in, char ret[128])
{
    char language[128];
    (void)snprintf(language, sizeof language, "%s", catalog_language(named ? named : "python"));
    for (char *c = language; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    if (in && !sandbox_is_default(in))
        (void)snprintf(ret, 128, "%.60s@%s", language, in->name);
    else
        (void)snprintf(ret, 128, "%.127s", language);
}
