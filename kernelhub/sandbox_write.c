/* A sandbox as JSON: the record that clients get, and what the store keeps of what it was asked for. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "kernelhub/execution_internal.h"
#include "kernelhub/moment.h"
#include "kernelhub/sandbox.h"
#include "kernelhub/session_internal.h"

#define MAX_OPTIONS_BYTES (16u << 20)

static void write_object(struct buf *out, const char *name, const char *object)
{
    buf_addf(out, ",\"%s\":%s", name, object ? object : "{}");
}

static void write_limits(const struct verb_limits *l, struct buf *out)
{
    buf_addf(
        out,
        ",\"limits\":{\"memory_bytes\":%lld,\"cpus\":%g,\"pids\":%lld,\"workspace_bytes\":%lld}",
        (long long)l->memory_bytes, l->cpus, (long long)l->pids, (long long)l->workspace_bytes);
}

void sandbox_write_options(const struct sandbox *s, struct buf *out)
{
    buf_addf(out,
             "{\"implicit\":%s,\"resetting\":%s,\"ttl_seconds\":%lld,\"idle_seconds\":%lld,\"lease_"
             "begun_us\":%lld,"
             "\"begun_us\":%lld",
             s->implicit ? "true" : "false", s->resetting ? "true" : "false",
             (long long)s->lease.ttl_seconds, (long long)s->lease.idle_seconds,
             (long long)s->lease.begun_us, (long long)s->begun_us);
    write_limits(&s->limits, out);
    write_object(out, "env", s->env);
    write_object(out, "labels", s->labels);
    buf_add_char(out, '}');
}

/* The member's text; NULL when it is absent or empty. */
static char *dup_object(struct slice json, const char *name)
{
    struct slice v;
    bool found = json_member(json, name, &v) && json_type(v) == JSON_OBJECT && v.len > 2;
    return found && v.len <= MAX_OPTIONS_BYTES ? strndup(v.data, v.len) : NULL;
}

void sandbox_read_options(struct sandbox *s, struct slice json)
{
    struct slice limits = SLICE_LITERAL("{}"), v;
    if (!json_valid(json)) /* a sandbox of a version before leases */
        return;
    (void)json_member_bool(json, "implicit", &s->implicit);
    (void)json_member_bool(json, "resetting", &s->resetting);
    (void)json_member_int(json, "ttl_seconds", &s->lease.ttl_seconds);
    (void)json_member_int(json, "idle_seconds", &s->lease.idle_seconds);
    (void)json_member_int(json, "lease_begun_us", &s->lease.begun_us);
    (void)json_member_int(json, "begun_us", &s->begun_us);
    (void)json_member(json, "limits", &limits);
    (void)json_member_int(limits, "memory_bytes", &s->limits.memory_bytes);
    (void)json_member_int(limits, "pids", &s->limits.pids);
    (void)json_member_int(limits, "workspace_bytes", &s->limits.workspace_bytes);
    if (json_member(limits, "cpus", &v) && v.len < 24) {
        char text[24] = "";
        memcpy(text, v.data, v.len);
        s->limits.cpus = strtod(text, NULL);
    }
    s->env = dup_object(json, "env");
    s->labels = dup_object(json, "labels");
}

static void write_text(struct buf *out, const char *name, const char *text)
{
    buf_addf(out, ",\"%s\":", name);
    json_quote_str(out, text && *text ? text : NULL);
}

static void add_reason(struct buf *out, const char **comma, const char *text)
{
    buf_add_str(out, *comma);
    json_quote_str(out, text);
    *comma = ",";
}

static void add_session_reasons(const struct session *x, struct buf *out, const char **comma)
{
    char text[240];
    if (x->running) {
        (void)snprintf(text, sizeof text, "running %s %s", x->is_command ? "command" : "cell",
                       x->running->id.text);
        add_reason(out, comma, text);
    }
    if (x->is_command && x->kernel == KERNEL_WAITING) {
        add_reason(out, comma, "a command waits for it");
    } else if (x->kernel == KERNEL_WAITING || x->kernel == KERNEL_STARTING) {
        (void)snprintf(text, sizeof text, "starting kernel of session %s", x->name);
        add_reason(out, comma, text);
    }
    if (feed_is_watched(x->feed)) {
        (void)snprintf(text, sizeof text, "attached client of session %s", x->name);
        add_reason(out, comma, text);
    }
}

void sandbox_write_reasons(const struct sandbox *s, int64_t now_us, struct buf *out)
{
    const char *comma = "";
    char text[100];
    int64_t ago = (now_us - s->lease.used_us) / 1000000;
    buf_add_char(out, '[');
    for (struct session *x = zhashx_first(s->hub->sessions); x; x = zhashx_next(s->hub->sessions))
        if (x->sandbox == s)
            add_session_reasons(x, out, &comma);
    if (s->n_attached) {
        (void)snprintf(text, sizeof text, "%u attached clients", s->n_attached);
        add_reason(out, &comma, text);
    }
    if (s->state != SANDBOX_UP && s->state != SANDBOX_RECOVERED)
        add_reason(out, &comma, sandbox_state_name(s->state));
    if (ago < s->lease.idle_seconds) {
        (void)snprintf(text, sizeof text, "%s %lld s ago", s->used_by,
                       (long long)(ago < 0 ? 0 : ago));
        add_reason(out, &comma, text);
    }
    buf_add_char(out, ']');
}

static void write_sessions(const struct sandbox *s, struct buf *out)
{
    const char *comma = "";
    buf_add_str(out, ",\"sessions\":[");
    for (struct session *x = zhashx_first(s->hub->sessions); x; x = zhashx_next(s->hub->sessions)) {
        if (x->ephemeral || !session_is_of(x, s))
            continue;
        buf_add_str(out, comma);
        json_quote_str(out, x->name);
        comma = ",";
    }
    buf_add_char(out, ']');
}

static void write_lease(const struct sandbox *s, struct buf *out)
{
    int64_t now = hub_unix_us();
    moment_write(out, "created_at", s->created_us);
    moment_write(out, "last_used_at", s->lease.used_us);
    moment_write(out, "expires_at", lease_expires_us(&s->lease, sandbox_hold(s, now), now));
    buf_addf(out, ",\"idle_seconds\":%lld,\"ttl_seconds\":", (long long)s->lease.idle_seconds);
    if (s->lease.ttl_seconds)
        buf_addf(out, "%lld", (long long)s->lease.ttl_seconds);
    else
        buf_add_str(out, "null");
    buf_add_str(out, ",\"keeps_alive\":");
    sandbox_write_reasons(s, now, out);
}

void sandbox_write(const struct sandbox *s, struct buf *out)
{
    buf_addf(out, "{\"sandbox_id\":\"%s\"", s->id.text);
    write_text(out, "name", s->name);
    write_text(out, "template", s->template_name);
    write_text(out, "image", s->image);
    write_text(out, "digest", s->digest);
    write_text(out, "state", sandbox_state_name(s->state));
    write_text(out, "user", s->user->name);
    write_lease(s, out);
    write_object(out, "labels", s->labels);
    write_limits(&s->limits, out);
    write_text(out, "workspace", s->private_workspace ? "private" : "shared");
    write_sessions(s, out);
    buf_addf(out, ",\"start_phases\":%s}", s->phases[0] ? s->phases : "null");
}

/* "key=value" or "key", as in the history. */
static bool has_label(const struct sandbox *s, const char *label)
{
    char key[600], value[600];
    struct slice v;
    size_t n = strcspn(label, "=");
    if (n >= sizeof key || !s->labels)
        return false;
    memcpy(key, label, n);
    key[n] = '\0';
    if (!json_member_string(slice_str(s->labels), key, &v))
        return false;
    return label[n] == '\0' ||
           (json_copy_string(v, value, sizeof value) && strcmp(value, label + n + 1) == 0);
}

void sandbox_write_all(struct hub *h, const struct user *u, bool all_users, const char *label,
                       struct buf *out)
{
    const char *comma = "";
    buf_add_str(out, "{\"items\":[");
    for (struct sandbox *s = zhashx_first(h->sandboxes); s; s = zhashx_next(h->sandboxes)) {
        if ((s->user != u && !all_users) || (label && !has_label(s, label)))
            continue;
        buf_add_str(out, comma);
        sandbox_write(s, out);
        comma = ",";
    }
    buf_add_str(out, "],\"next\":null}");
}
