#include "sandbox/warden_report.h"

#include <sys/wait.h>

#include "base/json.h"

static void add_bool(struct buf *out, const char *name, bool value)
{
    buf_addf(out, ",\"%s\":%s", name, value ? "true" : "false");
}

static void add_exit(struct buf *out, const struct warden_exit *x)
{
    if (x->known && WIFEXITED(x->wait_status))
        buf_addf(out, ",\"exit_code\":%d,\"signal\":null", WEXITSTATUS(x->wait_status));
    else if (x->known && WIFSIGNALED(x->wait_status))
        buf_addf(out, ",\"exit_code\":null,\"signal\":%d", WTERMSIG(x->wait_status));
    else
        buf_add_str(out, ",\"exit_code\":null,\"signal\":null");
    add_bool(out, "oom", x->oom);
}

static void add_phase(struct buf *out, const char *comma, const char *name, int64_t at_us,
                      int64_t since_us)
{
    if (at_us)
        buf_addf(out, "%s\"%s\":%lld", comma, name, (long long)(at_us - since_us));
    else
        buf_addf(out, "%s\"%s\":null", comma, name);
}

void warden_report_kernel(struct buf *out, const struct warden_kernel_report *r)
{
    buf_addf(out, "{\"state\":\"%s\"", r->state);
    add_exit(out, &r->exit);
    add_bool(out, "expected", r->expected);
    buf_add_str(out, ",\"reason\":");
    json_quote_str(out, r->reason);
    buf_add_str(out, ",\"output\":");
    json_quote(out, r->output);
    buf_add_str(out, ",\"phases\":{");
    add_phase(out, "", "spawned_us", r->spawned_us, r->started_us);
    add_phase(out, ",", "connected_us", r->connected_us, r->started_us);
    add_phase(out, ",", "ready_us", r->ready_us, r->started_us);
    buf_add_str(out, "}}");
}

void warden_report_end(struct buf *out, enum warden_how how, const struct run *r,
                       const struct warden_exit *x, const struct usage_sample *now, int64_t now_us)
{
    static const char *const HOW[] = {
        [WARDEN_DONE] = "done", [WARDEN_KILLED] = "killed", [WARDEN_DIED] = "died"
    };
    struct usage_sample usage = *now;
    usage.cpu_us = r->sent_us && now->cpu_us > r->cpu_us ? now->cpu_us - r->cpu_us : 0;
    buf_addf(out, "{\"how\":\"%s\"", HOW[how]);
    add_bool(out, "complete", r->idle && r->reply);
    add_bool(out, "started", r->busy || r->idle || r->reply || r->first_us);
    add_bool(out, "interrupted", r->interrupted);
    add_bool(out, "timed_out", r->timed_out);
    add_exit(out, x);
    buf_addf(out, ",\"duration_us\":%lld", (long long)(now_us - r->arrived_us));
    add_phase(out, ",", "sent_us", r->sent_us, r->arrived_us);
    add_phase(out, ",", "first_us", r->first_us, r->arrived_us);
    buf_add_str(out, ",\"usage\":{");
    usage_write(out, &usage);
    buf_add_str(out, "}}");
}
