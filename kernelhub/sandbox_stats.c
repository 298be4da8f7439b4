/* What a sandbox uses, as its warden reads it from the cgroup. */
#include <stdio.h>

#include "base/json.h"
#include "kernelhub/link_client.h"
#include "kernelhub/sandbox.h"
#include "kernelhub/wait.h"
#include "protocol/jupyter_message.h"

#define SAMPLE_TIMEOUT_MS 5000

static int64_t number(struct slice json, const char *name)
{
    int64_t n = 0;
    (void)json_member_int(json, name, &n); /* absent: 0 */
    return n;
}

static void write_cpu(struct sandbox *s, int64_t cpu_us, struct buf *out)
{
    int64_t now = hub_mono_us(), since_us = s->sampled_mono_us, before_us = s->sampled_cpu_us;
    if (!since_us || cpu_us < before_us) { /* the first: since it is there */
        since_us = now - (hub_unix_us() - s->begun_us);
        before_us = 0;
    }
    int64_t period_us = now > since_us ? now - since_us : 1;
    buf_addf(out, ",\"cpu_ms\":%lld,\"cpu_percent\":%.1f,\"cpu_period_ms\":%lld",
             (long long)(cpu_us / 1000), 100.0 * (double)(cpu_us - before_us) / (double)period_us,
             (long long)(period_us / 1000));
    s->sampled_cpu_us = cpu_us;
    s->sampled_mono_us = now;
}

static void write_stats(struct sandbox *s, struct slice usage, struct buf *out)
{
    static const char *const MEMBERS[] = { "memory_bytes", "memory_peak_bytes",
                                           "memory_limit_bytes", "pids", "oom_kills" };
    char ts[28];
    jupyter_format_time(hub_unix_us(), ts);
    buf_addf(out, "{\"sandbox_id\":\"%s\",\"ts\":\"%s\"", s->id.text, ts);
    write_cpu(s, number(usage, "cpu_us"), out);
    for (size_t i = 0; i < ARRAY_LEN(MEMBERS); i++)
        buf_addf(out, ",\"%s\":%lld", MEMBERS[i], (long long)number(usage, MEMBERS[i]));
    buf_addf(out, ",\"pids_limit\":%lld,\"cpus_limit\":%g,\"uptime_seconds\":%lld}",
             (long long)s->limits.pids, s->limits.cpus,
             (long long)((hub_unix_us() - s->begun_us) / 1000000));
}

static void stop_timer(struct sandbox *s)
{
    if (s->sample_timer >= 0)
        loop_timer_end(s->hub->loop, s->sample_timer);
    s->sample_timer = -1;
}

void sandbox_fail_samples(struct sandbox *s, enum err_code code, const char *why)
{
    struct err e;
    stop_timer(s);
    (void)err_set(&e, code, "%s", why);
    wait_list_answer(s->samples, &e, slice_of(NULL, 0));
}

void sandbox_on_usage(struct sandbox *s, const struct link_frame *f)
{
    CLEANUP_BUF struct buf json = BUF_INIT(4096);
    struct slice usage = f->n_parts ? f->parts[0] : slice_of(NULL, 0);
    if (zlistx_size(s->samples) == 0 || !json_valid(usage))
        return;
    stop_timer(s);
    write_stats(s, usage, &json);
    wait_list_answer(s->samples, NULL, buf_slice(&json));
}

static int on_timeout(struct loop *loop, int timer, void *arg)
{
    struct sandbox *s = arg;
    s->sample_timer = -1;
    sandbox_fail_samples(s, ERR_TIMEOUT, "the sandbox's warden did not answer in time");
    return 0;
}

struct wait *sandbox_stats(struct sandbox *s, reply_fn done, void *arg)
{
    struct err e;
    if (s->state != SANDBOX_UP) {
        (void)err_set(&e, ERR_UNAVAILABLE, "the sandbox is %s: try again in a moment",
                      sandbox_state_name(s->state));
        done(arg, &e, slice_of(NULL, 0));
        return NULL;
    }
    struct wait *w = wait_new(s->samples, done, arg);
    struct link_frame f = { .type = LINK_SAMPLE };
    if (s->sample_timer < 0)
        s->sample_timer = loop_timer(s->hub->loop, SAMPLE_TIMEOUT_MS, on_timeout, s);
    sandbox_send(s, &f);
    return zlistx_find(s->samples, w) ? w : NULL; /* the link may have broken on it */
}

void sandbox_write_logs(const struct sandbox *s, size_t tail, struct buf *out)
{
    journal_write(s->journal, tail, out);
}
