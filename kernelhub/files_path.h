/* files_path.h - what clients call a file of a workspace, and what the disk calls it.
 *
 * A path is relative to the workspace: "plots/a.png"; "" is the workspace itself. A leading '/' or "/workspace/" (what code
 * inside calls it) is dropped, and '/' at the end.
 *
 * On disk a name is bytes, outside it is UTF-8. A byte that is part of no UTF-8 stands as U+EF00 + byte (U+EF80 to U+EFFF, private
 * use; MirBSD's OPTU does it so), and what looks like such a character on disk stands as its three bytes. So every name has one
 * text, and every text one name at most. */
#ifndef KERNELHUB_FILES_PATH_H
#define KERNELHUB_FILES_PATH_H

#include "base/buf.h"
#include "base/err.h"

#define FILES_MAX_PATH 4095 /* what the kernel takes */
#define FILES_MAX_NAME 255
#define FILES_MAX_TEXT (3 * FILES_MAX_PATH) /* of a path as text, UTF-8 */

/* ERR_INVALID: no UTF-8, a NUL, "." or "..", an empty name between two slashes, a name or a path that is too long, or a text that
 * no name is written as. */
int files_path_read(struct slice text, char ret[FILES_MAX_PATH + 1], struct err *e);

/* Appends a path, or one name, of the disk as text. */
void files_path_write(struct slice bytes, struct buf *out);

/* The last name in a path of the disk; "" of the workspace itself. Points into path. */
const char *files_path_name(const char *path);

/* True when a name in the path begins with a dot. */
bool files_path_is_hidden(const char *path);

#endif
