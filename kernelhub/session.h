/* session.h - a user's name for a kernel: what a client holds on to. One language, one queue. */
#ifndef KERNELHUB_SESSION_H
#define KERNELHUB_SESSION_H

#include "kernelhub/hub.h"
#include "kernelhub/user.h"

struct session;

/* JSON: {"name","language","kernelspec","kernel_id","sandbox_id","state":"none|starting|idle|busy|dead","queue":N,"executions":N,
 * "created_at","last_activity_at"}. */
void session_write_all(struct hub *h, const struct user *u, struct buf *out); /* {"items":[…],"next":null} */
struct session *session_find(struct hub *h, const struct user *u, const char *name); /* NULL: none */
void session_write(const struct session *s, struct buf *out);

/* NULL: not given. name: the language's own, and in a named sandbox LANGUAGE@SANDBOX; language: python; template: the sandbox's. */
struct session_wish {
    const char *name, *language, *template_name, *sandbox;
};

/* Makes a session and starts its kernel; answers its JSON when the kernel is ready. ERR_CONFLICT when the name is taken by another
 * language, or in another sandbox; else: answers the session that is there. ERR_GONE, ERR_NOT_FOUND: the sandbox;
 * ERR_GONE also when the session is deleted meanwhile. */
bool session_exists(struct hub *h, const struct user *u, const struct session_wish *w); /* would it be one that is there? */
struct wait *session_create(struct hub *h, struct user *u, const struct session_wish *w, reply_fn done, void *arg);

/* A new kernel under the same name, in the same sandbox; what ran ends as interrupted, what waited is cancelled. */
struct wait *session_restart(struct hub *h, struct session *s, reply_fn done, void *arg);
int session_interrupt(struct hub *h, struct session *s, struct err *e); /* whatever runs */
/* Ends its kernel and forgets the name; history stays. Executions end as cancelled. */
int session_delete(struct hub *h, struct session *s, struct err *e);

#endif
