/* jupyter_contents.h - the user's workspace over Jupyter's Contents API and /files. */
#ifndef WEB_JUPYTER_CONTENTS_H
#define WEB_JUPYTER_CONTENTS_H

struct request;

void jupyter_contents_get(struct request *r);
void jupyter_contents_post(struct request *r);
void jupyter_contents_put(struct request *r);
void jupyter_contents_patch(struct request *r);
void jupyter_contents_delete(struct request *r);
void jupyter_checkpoints(struct request *r);
void jupyter_checkpoint_create(struct request *r);
void jupyter_checkpoint_restore(struct request *r);
void jupyter_checkpoint_delete(struct request *r);
void jupyter_files(struct request *r); /* the bytes themselves, as a download */

/* What went wrong with a file, or with handing it to a worker, as both halves say it. */
struct err;
void jupyter_contents_refuse(struct request *r, const struct err *e);

#endif
