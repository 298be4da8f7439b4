/* jupyter_internal.h - what a session has for Jupyter clients, from inside the hub. */
#ifndef KERNELHUB_JUPYTER_INTERNAL_H
#define KERNELHUB_JUPYTER_INTERNAL_H

#include "kernelhub/front.h"
#include "kernelhub/jupyter.h"
#include "kernelhub/session_internal.h"

#define JUPYTER_MAX_PLACES 16 /* Jupyter sessions at one kernel */

/* A Jupyter session: where in a client's files its kernel is used. */
struct jupyter_place {
    struct uuid id;
    char path[JUPYTER_MAX_PATH_BYTES + 1], name[256], type[64];
};

/* A session's; part of it. */
struct jupyter {
    struct uuid kernel_id;
    char folder[JUPYTER_MAX_PATH_BYTES + 1]; /* beneath the workspace, where its kernel starts; "": the workspace */
    struct jupyter_place *places[JUPYTER_MAX_PLACES];
    size_t n_places;
    zlistx_t *fronts;  /* struct front, owned */
    zhashx_t *asked;   /* msg_id → struct asked of front.c, owned */
    zlistx_t *submits; /* struct submit of front.c, owned */
    uint64_t n_asked;  /* requests so far */
    uint64_t swept_at; /* n_asked, when old ones were forgotten */
    unsigned deaths;   /* of its kernel, one soon after the other */
    int64_t died_us;
    bool is_dead;      /* it does not come back by itself */
    bool welcomes;     /* its kernel's process sends iopub_welcome: each front gets one of ours */
    struct wait *restart; /* that a front asked for last; NULL: none, or it was answered */
    struct err restart_error; /* why it was refused; ERR_NONE: it was not */
};

/* A new kernel id, and one place: the session's name. */
struct jupyter *jupyter_new(const char *session_name);
void jupyter_free(struct jupyter *j);
/* jupyter_folder.c: where the kernel starts from now on. path: what a client says, "a/b.ipynb" of a document, "a" of a folder; NULL, or one
 * that leads out of the workspace ('/' first, ".."): the workspace. */
void jupyter_start_beside(struct jupyter *j, const char *document);
void jupyter_start_in(struct jupyter *j, const char *folder);
/* As the session's row keeps it: {"kernel_id","folder","places":[…]}. What makes no sense leaves j as it is. */
void jupyter_save(const struct jupyter *j, struct buf *out);
void jupyter_recover(struct jupyter *j, struct slice json);

/* NULL: no kernelspec is called so. */
const struct catalog_kernel *jupyter_find_spec(const struct catalog *c, const char *name);

/* jupyter_logo.c: {"logo-64x64":PATH,…}, as the service is seen from outside. */
void jupyter_write_logos(struct hub *h, const char *name, const struct catalog_kernel *k, struct buf *out);

/* front.c */
void fronts_init(struct jupyter *j);
void fronts_done(struct jupyter *j); /* no front is left: fronts_end was called, or the hub goes down */
/* What the kernel says, before anything else is made of it. */
void fronts_on_message(struct session *s, const struct link_frame *f);
/* The kernel's process has welcomed who subscribed to iopub, and that was the warden: to those who listen behind it we say it. */
void fronts_on_welcome(struct session *s);
void fronts_on_ready(struct session *s);
/* Its kernel is gone, and nobody asked for that: with a client there another is started, but not for ever. */
void fronts_on_death(struct session *s, bool while_starting);
void fronts_say_status(struct session *s, const char *state); /* "restarting", "dead": what the kernel cannot say any more */
/* It was asked to restart: what it had not answered nobody will. Not a status: to JupyterLab "restarting" means that it died. */
void fronts_forget_kernel(struct session *s);
void fronts_end(struct session *s, const char *reason);       /* the session ends */
size_t fronts_count(const struct session *s);
/* A client's cell has ended: what it did not hear from the kernel it hears from us. */
void fronts_execution_ended(struct session *s, const struct execution *x, enum status status, const char *why);
/* What the hub itself prints on an execution's stderr. */
void fronts_say_stderr(struct session *s, const struct execution *x, struct slice text);
/* A cell that failed takes those with it that its client (execution.client_session) had sent behind it. */
void fronts_stop_on_error(struct session *s, const char *client);
extern const char FRONTS_STOPPED[]; /* why those end */
void fronts_recover_execution(struct session *s, const struct execution *x);

#endif
