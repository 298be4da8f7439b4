/* sandbox_verbs.h - what clients may do with their sandboxes. Each belongs to one user; another user's does not exist.
 *
 * A name or an id finds one. Of one that has ended: ERR_GONE with the reason and when, for as long as it is remembered. A call
 * that names a sandbox is a use of it: its idle time begins anew (but for lists). */
#ifndef KERNELHUB_SANDBOX_VERBS_H
#define KERNELHUB_SANDBOX_VERBS_H

#include "kernelhub/hub.h"
#include "kernelhub/user.h"

struct sandbox;

#define SANDBOX_DEFAULT "default" /* the name of the one that is used when none is named */

/* What a client asks for; strings are borrowed for the call. NULL and 0 stand for "not given". */
struct sandbox_wish {
    const char *name;                  /* 1 to 63 of [A-Za-z0-9._-], no UUID; none: one is made up */
    const char *template_name, *image; /* at most one of the two */
    int64_t ttl_seconds, idle_seconds;
    struct slice env, labels;          /* JSON objects of strings, checked by the caller */
    int64_t memory_bytes, pids;
    double cpus;
    bool private_workspace;
};

/* Makes one; answers its record when it is up. ERR_CONFLICT: the name is taken. ERR_INVALID: above a limit, which is named. ERR_QUOTA.
 * The name "default", and that of a template, are those of the default sandboxes: of that very template. */
struct wait *sandbox_create(struct hub *h, struct user *u, const struct sandbox_wish *w, reply_fn done, void *arg);

/* Says nothing about time: call sandbox_called when it was found for a client. */
int sandbox_find(struct hub *h, const struct user *u, const char *id_or_name, struct sandbox **ret, struct err *e);
/* Any user's, for admins. */
int sandbox_find_any(struct hub *h, const char *id, struct sandbox **ret, struct err *e);
void sandbox_called(struct sandbox *s);

/* Own use against the limits: {"user","sandboxes":{"used","limit"},"sessions":{…},"memory_bytes":{"reserved","limit_per_sandbox"},
 * "cpus":{…},"pids":{…},"executions":{"running","queued","limit_per_session"},"held_bytes":{"used","limit"}}; by_label: and "groups":
 * [{"label":"key=value","sandboxes","memory_bytes","cpus","pids","executions":{"running","queued"}}] of the sandboxes' labels. */
void sandbox_write_usage(struct hub *h, const struct user *u, bool by_label, struct buf *out);

/* The record: {"sandbox_id","name","template","image","digest","state","user","created_at","expires_at","last_used_at","idle_seconds",
 * "ttl_seconds","labels","limits":{…},"workspace","keeps_alive":[…],"sessions":[…],"start_phases"}. */
void sandbox_write(const struct sandbox *s, struct buf *out);
/* {"items":[…],"next":null}. label: "key=value" or "key"; NULL: all. */
void sandbox_write_all(struct hub *h, const struct user *u, bool all_users, const char *label, struct buf *out);

/* ttl_seconds extends the lease: it counts from now. */
struct sandbox_change {
    int64_t ttl_seconds, idle_seconds; /* 0: as it is */
    struct slice labels;               /* data NULL: as they are */
};
int sandbox_change(struct sandbox *s, const struct sandbox_change *c, struct err *e);

/* Ends every process in it and what was in memory (/tmp too), and makes its container anew: id, name, lease and workspace stay, its sessions
 * stay as names. Answers the record when it is up again. ERR_BUSY while it is being made. */
struct wait *sandbox_reset(struct sandbox *s, reply_fn done, void *arg);

/* {"sandbox_id","ts","cpu_ms","cpu_percent","cpu_period_ms","memory_bytes","memory_peak_bytes","memory_limit_bytes","pids","pids_limit",
 * "cpus_limit","oom_kills","uptime_seconds"}: percent of one CPU, since the sample before. ERR_UNAVAILABLE while it is not up. */
struct wait *sandbox_stats(struct sandbox *s, reply_fn done, void *arg);
/* journal.h: what is known of its life since this hub began. */
void sandbox_write_logs(const struct sandbox *s, size_t tail, struct buf *out);

/* The user's default one; ERR_GONE or ERR_NOT_FOUND when there is none. purge: the files of the user's workspace too (then there need
 * be none); ERR_CONFLICT when another sandbox uses them. */
struct wait *sandbox_delete_default(struct hub *h, struct user *u, bool purge, reply_fn done, void *arg);

/* Ends it with its sessions and its private workspace; answers {} when nothing of it is left. `why` is what later calls are told. */
struct wait *sandbox_delete(struct sandbox *s, const char *why, reply_fn done, void *arg);

#endif
