/* jupyter.h - sessions as Jupyter clients know them: a kernel with an id that outlives its processes, and one or more Jupyter
 * sessions (a notebook, a console: a path) at that kernel. Every session has them, whoever made it.
 * Source of the models: Jupyter Server's REST API (its api.yaml). */
#ifndef KERNELHUB_JUPYTER_H
#define KERNELHUB_JUPYTER_H

#include "base/uuid.h"
#include "kernelhub/hub.h"
#include "kernelhub/user.h"

struct catalog;
struct session;

#define JUPYTER_MAX_PATH_BYTES  1023
#define JUPYTER_SPEC_NAME_CHARS 159

/* What Jupyter clients know a kernelspec of an image as: its name, and TEMPLATE.NAME when the template is not the default one. */
void jupyter_spec_name(const struct catalog *c, const char *template_name, const char *kernelspec,
                       char ret[JUPYTER_SPEC_NAME_CHARS + 1]);

/* {"name","spec":{argv, env, display_name, language, interrupt_mode, metadata},"resources":{"logo-64x64":PATH,…}}. A kernelspec of a template that is
 * not the default one is called TEMPLATE.NAME. False: there is no such one, nothing is appended. */
bool jupyter_write_spec(struct hub *h, const char *name, struct buf *out);
void jupyter_write_specs(struct hub *h, struct buf *out); /* {"default","kernelspecs":{…}} */
/* The bytes of a kernelspec's logo, and a name for just these bytes: file is the end of its PATH, "logo-64x64.png". False: there is no
 * such one. */
#define JUPYTER_LOGO_TAG_CHARS 32
bool jupyter_write_logo(struct hub *h, const char *name, const char *file, struct buf *bytes, char ret_tag[JUPYTER_LOGO_TAG_CHARS + 1]);
void jupyter_write_status(struct hub *h, const struct user *u, struct buf *out); /* {"started","last_activity","kernels","connections"} */

/* NULL: the user has none. */
struct session *jupyter_find_kernel(struct hub *h, const struct user *u, const char *kernel_id);
struct session *jupyter_find_session(struct hub *h, const struct user *u, const char *jupyter_session_id);
struct session *jupyter_find_path(struct hub *h, const struct user *u, const char *path, char ret_session_id[37]);

/* {"id","name","last_activity","execution_state","connections"}. */
void jupyter_write_kernel(const struct session *s, struct buf *out);
void jupyter_write_kernels(struct hub *h, const struct user *u, struct buf *out); /* […] */
/* {"id","path","name","type","kernel"}, of a notebook also "notebook":{"path","name"}. */
void jupyter_write_session(const struct session *s, const char *jupyter_session_id, struct buf *out);
void jupyter_write_sessions(struct hub *h, const struct user *u, struct buf *out); /* […] */

/* What a client asks for; NULL: not given. */
struct jupyter_wish {
    const char *kernel_name; /* a kernelspec's */
    const char *kernel_id;   /* of a kernel that is there */
    const char *path, *name, *type; /* path: of a kernel the folder that it starts in; of a session its document, and it starts beside that */
};

/* A kernel of its own, and a session of that name for it; answers the kernel's JSON when it is ready. ERR_NOT_FOUND: no such
 * kernelspec. When the kernel does not come up nothing stays, and the error says why. */
struct wait *jupyter_start_kernel(struct hub *h, struct user *u, const struct jupyter_wish *w, reply_fn done, void *arg);
/* The Jupyter session of that path: one that is there, or a new one, at kernel_id or at a kernel of its own. Answers its JSON. */
struct wait *jupyter_start_session(struct hub *h, struct user *u, const struct jupyter_wish *w, reply_fn done, void *arg);
/* Changes path, name, type; kernel_id or kernel_name: all that once that kernel is ready, and the one it leaves ends when no other is there.
 * When the kernel does not come up it stays where it is. Goes on when nobody waits for the answer any more. */
struct wait *jupyter_change_session(struct hub *h, struct user *u, const char *jupyter_session_id, const struct jupyter_wish *w,
                                    reply_fn done, void *arg);
/* The kernel ends with its last Jupyter session. */
void jupyter_delete_session(struct session *s, const char *jupyter_session_id);
/* Answers the kernel's JSON once it is ready: starts one when there is none. */
struct wait *jupyter_await(struct session *s, reply_fn done, void *arg);

#endif
