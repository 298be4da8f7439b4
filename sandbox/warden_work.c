/* The executions of a kernel: sent, timed, ended. */
#include <assert.h>
#include <signal.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "sandbox/warden_kernel_inside.h"

#define DEFAULT_GRACE_MS 2000
#define MAX_MS           (400LL * 86400 * 1000) /* what is longer is no limit */

struct run *wk_find_run(struct warden_kernel *k, const char *parent_msg_id)
{
    return parent_msg_id[0] ? run_table_find_message(k->env->runs, k->generation, parent_msg_id)
                            : NULL;
}

void wk_interrupt_process(struct warden_kernel *k)
{
    if (k->order.message_interrupt)
        (void)wk_say(k, LINK_CONTROL, "interrupt_request",
                     "{}"); /* refused: the deadline goes on to kill */
    else
        wk_signal(k, SIGINT);
}

/* The run's turn begins: from here on what the sandbox uses is its. */
void wk_begin_turn(struct warden_kernel *k, struct run *r)
{
    if (r->state != RUN_QUEUED)
        return;
    r->cpu_us = usage_read_cpu_us(k->env->usage);
    r->oom_kills = k->oom_kills = usage_read_oom_kills(k->env->usage);
    (void)run_on_turn(r, warden_now_ms()); /* asks for nothing */
}

static void remove_run(struct warden_kernel *k, struct run *r)
{
    for (size_t i = 0; i < k->n_runs; i++) {
        if (k->runs[i] != r)
            continue;
        memmove(&k->runs[i], &k->runs[i + 1], (k->n_runs - i - 1) * sizeof k->runs[0]);
        if (--k->n_runs == 0)
            warden_notes_set_busy(k->env->notes, k->number, false);
        return;
    }
}

static void end(struct warden_kernel *k, struct run *r, enum warden_how how)
{
    struct usage_sample now;
    CLEANUP_BUF struct buf text = BUF_INIT(4096);
    usage_read(k->env->usage, &now);
    struct warden_exit none = { 0 };
    warden_report_end(&text, how, r, how == WARDEN_DONE ? &none : &k->exit, &now, warden_now_us());
    struct link_frame f = {
        .type = LINK_END, .kernel_id = k->id, .execution_id = r->execution_id, .n_parts = 1
    };
    f.parts[0] = buf_slice(&text);
    r->state = RUN_OVER;
    r->due_ms = r->interrupt_ms = 0;
    remove_run(k, r);
    uint64_t number = keep_add(k->env->keep, &f);
    run_table_ended(k->env->runs, r, number, keep_acked(k->env->keep));
    if (how == WARDEN_DONE) {
        k->oom_kills = now.oom_kills;
        if (k->n_runs > 0 && !run_is_current(k->runs[0]))
            wk_begin_turn(k, k->runs[0]);
    }
}

void wk_end_all(struct warden_kernel *k)
{
    while (k->n_runs > 0) {
        struct run *r = k->runs[0];
        r->state = RUN_OVER; /* so that the one behind it gets no turn */
        /* a reply says that the code had come to its end before the process did */
        bool by_us = k->killed && (!k->deaf || r->interrupted);
        enum warden_how how = r->reply ? WARDEN_DONE : by_us ? WARDEN_KILLED : WARDEN_DIED;
        uint64_t oom_kills = k->oom_kills;
        end(k, r, how);
        k->oom_kills = oom_kills;
    }
}

void wk_act(struct warden_kernel *k, struct run *r, enum run_action action)
{
    switch (action) {
    case RUN_NOTHING:
        return;
    case RUN_INTERRUPT:
        if (r->timed_out)
            log_info("event=late execution=%s kernel=%s", r->execution_id.text, k->id.text);
        wk_interrupt_process(k);
        return;
    case RUN_KILL:
        wk_kill(k, "an execution passed its time limit and did not heed the interrupt");
        return;
    case RUN_END:
        end(k, r, WARDEN_DONE);
        return;
    }
}

void wk_on_message(struct warden_kernel *k, struct run *r, enum link_channel which,
                   const char *type, struct slice content)
{
    int64_t now_us = warden_now_us(), now_ms = now_us / 1000;
    struct slice state = { 0 };
    if (!r->first_us)
        r->first_us = now_us;
    if (r->state == RUN_OVER)
        return;
    if (which == LINK_SHELL && strcmp(type, "execute_reply") == 0) {
        wk_act(k, r, run_on_reply(r, now_ms));
        return;
    }
    if (which != LINK_IOPUB)
        return;
    if (strcmp(type, "status") == 0)
        (void)json_member_string(content, "execution_state",
                                 &state); /* absent: neither of the two */
    if (slice_is(state, "busy")) {
        wk_begin_turn(k, r);
        wk_act(k, r, run_on_busy(r, now_ms));
    } else if (slice_is(state, "idle")) {
        wk_act(k, r, run_on_idle(r, now_ms));
    } else {
        wk_act(k, r, run_on_output(r, now_ms));
    }
}

void wk_note_cut(struct warden_kernel *k, enum link_channel which)
{
    const char *reason = which == LINK_IOPUB ? "the iopub channel was cut" : "a channel was cut";
    for (size_t i = 0; i < k->n_runs; i++)
        if (run_is_current(k->runs[i]))
            keep_gap(k->env->keep, &k->id, &k->runs[i]->execution_id, 0, 0, reason);
}

void wk_runs_due(struct warden_kernel *k, int64_t now_ms)
{
    /* an end may remove runs from the table: begin again after each */
    for (size_t i = 0; i < k->n_runs; i++) {
        struct run *r = k->runs[i];
        int64_t due_ms = run_due_ms(r);
        if (!due_ms || due_ms > now_ms)
            continue;
        wk_act(k, r, run_on_due(r, now_ms));
        i = (size_t)-1;
    }
}

int warden_kernel_execute(struct warden_kernel *k, const struct link_frame *f, struct err *e)
{
    struct jupyter_header header;
    int64_t arrived_us = warden_now_us(), timeout_ms = 0, grace_ms = DEFAULT_GRACE_MS;
    if (f->n_parts < 5 || !uuid_is_set(&f->execution_id))
        return err_set(e, ERR_INVALID, "an execution has an id and at least five parts");
    if (!json_valid(f->parts[0]) || !jupyter_read_header(f->parts[1], &header) || !header.msg_id[0])
        return err_set(e, ERR_INVALID, "an execution has options and a header with a msg_id");
    if (k->state != WK_READY)
        return err_set(e, k->ever_ready ? ERR_GONE : ERR_BUSY, "the kernel is %s",
                       k->ever_ready ? "ending" : "starting");
    if (k->n_runs == WARDEN_KERNEL_MAX_RUNS)
        return err_set(e, ERR_BUSY, "%d executions are outstanding, the limit",
                       WARDEN_KERNEL_MAX_RUNS);
    if (wk_find_run(k, header.msg_id))
        return err_set(e, ERR_CONFLICT, "an execution with this msg_id is known");
    (void)json_member_int(f->parts[0], "timeout_ms", &timeout_ms); /* absent: none */
    (void)json_member_int(f->parts[0], "grace_ms", &grace_ms);     /* absent: the default */
    struct run *r = run_table_add(k->env->runs, &f->execution_id, k->generation, header.msg_id);
    if (!r)
        return err_set(e, ERR_BUSY, "too many executions are not acknowledged");
    r->kernel_id = k->id;
    r->timeout_ms = timeout_ms > 0 && timeout_ms < MAX_MS ? timeout_ms : 0;
    r->grace_ms = grace_ms > 0 && grace_ms < MAX_MS ? grace_ms : 0;
    r->settle_ms = k->order.settle_ms;
    r->arrived_us = arrived_us;
    k->runs[k->n_runs++] = r;
    warden_notes_set_busy(k->env->notes, k->number, true);
    r->sent_us = warden_now_us();
    if (wk_pass_on(k, LINK_SHELL, f->parts + 1, f->n_parts - 1, e) < 0) {
        remove_run(k, r);
        run_table_remove(k->env->runs, r);
        return -1;
    }
    /* behind the send, not before it: the kernel takes longer to wake up than this takes to read */
    if (k->n_runs == 1)
        wk_begin_turn(k, r);
    return 0;
}

int warden_kernel_message(struct warden_kernel *k, const struct link_frame *f, struct err *e)
{
    return wk_pass_on(k, f->channel, f->parts, f->n_parts, e);
}

void warden_kernel_interrupt(struct warden_kernel *k, const struct uuid *execution_id)
{
    struct run *current = NULL;
    /* the one the kernel is at: begun and not idle yet */
    for (size_t i = 0; i < k->n_runs && !current; i++)
        if (run_is_current(k->runs[i]) && !k->runs[i]->idle && !k->runs[i]->reply)
            current = k->runs[i];
    if (uuid_is_set(execution_id) &&
        (!current || !uuid_equal(&current->execution_id, execution_id)))
        return;
    if (!wk_lives(k))
        return;
    if (current)
        wk_act(k, current, run_on_interrupt(current, warden_now_ms()));
    else
        wk_interrupt_process(k);
}
