/* disk_quota.h - the file system's own limit for a folder and all that is in it (project quota), where it has one. */
#ifndef SANDBOX_DISK_QUOTA_H
#define SANDBOX_DISK_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Whether project quotas hold on the file system of this open folder. Found out by asking it. */
bool disk_quota_is_enforced(int dir_fd);

/* Makes the folder a project of its own, with what is in it and what will be, and sets its limits: above them a write fails with
 * EDQUOT. Walks through all of it the first time, then it is quick. What is neither file nor folder keeps its project. */
int disk_quota_set(int dir_fd, uint64_t bytes, uint64_t files, struct err *e);

/* The project of a folder with this inode number: high up, where nobody's own begin. */
uint32_t disk_quota_project(uint64_t node);

#endif
