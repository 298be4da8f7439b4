/* paths.h - where our own files are: helper programs, images, the token file, the user's folders.
 */
#ifndef CMD_PATHS_H
#define CMD_PATHS_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

#define PATH_SIZE 1024

/* Folder of kernelhub-init and kernelhub-warden, and the folder of images/ and seccomp.json. The
 * variables KERNELHUB_LIBEXEC and KERNELHUB_DATA go before what was compiled in, so that a built
 * but not installed kernelhub runs; not in a process that has more rights than who started it. */
const char *paths_libexec(void);
const char *paths_data(void);

/* Appends /name to folder. -1 when it does not fit into PATH_SIZE. */
int paths_join(char ret[PATH_SIZE], const char *folder, const char *name, struct err *e);

/* Who really started us: behind sudo the user who called it. */
struct paths_owner {
    uid_t uid;
    gid_t gid;
    char home[PATH_SIZE];
};
int paths_find_owner(struct paths_owner *ret, struct err *e);

/* The token file: `configured` when not "", else KERNELHUB_TOKEN_FILE, else kernelhub/token below
 * XDG_CONFIG_HOME or the owner's ~/.config. */
int paths_token_file(const char *configured, char ret[PATH_SIZE], struct err *e);

/* Makes every folder of an absolute path, 0755 where new. */
int paths_make_all(const char *path, struct err *e);

#endif
