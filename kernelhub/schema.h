/* schema.h - what the tables look like, as a table of steps from one version of the file to the next. */
#ifndef KERNELHUB_SCHEMA_H
#define KERNELHUB_SCHEMA_H

#include "kernelhub/sql.h"

#define SCHEMA_APPLICATION_ID 0x4b687562 /* "Khub" */

int schema_version(void); /* the newest, the one this program writes */

/* Refuses, without changing it, a file that is not ours or of a newer version; `path` is for the text. */
int schema_check(struct sql *s, const char *path, struct err *e);
/* Takes a checked file to the newest version, in one transaction. */
int schema_migrate(struct sql *s, const char *path, struct err *e);

#endif
