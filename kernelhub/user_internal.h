/* user_internal.h - what hub.c needs of user.c besides the public verbs. */
#ifndef KERNELHUB_USER_INTERNAL_H
#define KERNELHUB_USER_INTERNAL_H

#include "kernelhub/user.h"

void user_tables_new(struct hub *h);
/* Loads users and keys; on the first start of a store makes the admin and gives its key, else "". */
int users_load(struct hub *h, char *ret_admin_key, size_t size, struct err *e);

/* hub.c: ends all sandboxes of a user who was removed. */
void hub_end_sandboxes_of(struct hub *h, const struct user *u);

/* Writes what changed of it. */
void user_save_row(struct hub *h, const struct user *u);

#endif
