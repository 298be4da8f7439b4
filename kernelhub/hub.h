/* hub.h - the hub: users, sessions, kernels, executions, their events and the store, on one zloop.
 *
 * All verbs of kernelhub/ run in the loop's thread and never wait for disk or the keeper; what takes time
 * answers by a callback in the same thread. `web/` is the only caller from outside. */
#ifndef KERNELHUB_HUB_H
#define KERNELHUB_HUB_H

#include <czmq.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/loop.h"
#include "kernelhub/config.h"

struct hub;
struct user;
struct uuid;

/* Opens the store, finds the keeper, takes over what a former hub left (sandboxes, running executions).
 * Returns when the store is open; the rest goes on in the loop. On the first start of a store an admin
 * is made and `ret_admin_key` (size above USER_KEY_CHARS) receives the key, else it is set to "". */
int hub_new(const struct config *config, struct loop *loop, char *ret_admin_key, size_t size,
            struct hub **ret, struct err *e);
void hub_free(struct hub *h); /* sandboxes live on; everything accepted is committed first */

struct loop *hub_loop(const struct hub *h);
const struct config *hub_config(const struct hub *h);

/* Called when what came from a sandbox was handled and before the store commits what it caused, which may take long: for sending what
 * does not depend on that. It may call any verb. One at a time; NULL: nobody. */
void hub_before_commit(struct hub *h, void (*fn)(void *arg), void *arg);

/* Called at the end of each execution that changed files of its workspace; items: as in the event files_changed. It may call any verb.
 * One at a time; NULL: nobody. */
typedef void (*files_changed_fn)(void *arg, const struct user *u, const struct uuid *sandbox_id, struct slice items);
void hub_on_files_changed(struct hub *h, files_changed_fn fn, void *arg);

/* A call under way. The callback comes exactly once, unless wait_cancel is called before; it may come
 * before the verb that takes it returns (then the verb returns NULL). */
struct wait;
void wait_cancel(struct wait *w); /* NULL is fine */

/* e is NULL on success; `json` is one JSON object, valid during the call. */
typedef void (*reply_fn)(void *arg, const struct err *e, struct slice json);

/* ---- what can be read at once; each appends one JSON value ---- */
void hub_write_health(struct hub *h, struct buf *out, bool *ret_healthy); /* {"status","version","timestamp","checks":{…}} */
void hub_write_languages(struct hub *h, const struct user *u, struct buf *out); /* {"items":[{"language","aliases","display_name","kernelspec","template","version"?}],"next":null} */
void hub_write_images(struct hub *h, const struct user *u, struct buf *out); /* {"items":[{"template","image","digest","size_bytes","created_at","kernelspecs":[…]}],"next":null} */
void hub_write_metrics(struct hub *h, struct buf *out); /* Prometheus text of everything in kernelhub/ */

#endif
