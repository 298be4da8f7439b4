/* sweep.h - removes all that is in a folder, however strangers filled it: of any depth, any names, any modes. */
#ifndef SANDBOX_SWEEP_H
#define SANDBOX_SWEEP_H

#include <stdbool.h>

#include "base/err.h"

/* Removes some of what is in dir_fd: about `budget` names, so that others get their turn. Never follows a link, never enters a mount,
 * never leaves the folder; needs the rights of root. A folder in a folder is moved up before it is emptied, so depth costs
 * nothing. `ret_more`: call again. -1: something cannot be removed, the rest was. */
int sweep_some(int dir_fd, unsigned budget, bool *ret_more, struct err *e);

#endif
