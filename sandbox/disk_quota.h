/* disk_quota.h - the file system's own limit for a folder and all that is in it (project quota), where it has one. */
#ifndef SANDBOX_DISK_QUOTA_H
#define SANDBOX_DISK_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Whether project quotas hold on the file system of this open folder. Found out by asking it. */
bool disk_quota_is_enforced(int dir_fd);

/* A project for the owner of this open folder, by its inode number: high up, where nobody's own begin. */
int disk_quota_project(int dir_fd, uint32_t *ret, struct err *e);
uint32_t disk_quota_number(uint64_t inode);

/* The limits of all that is in a project together: above them a write fails with EDQUOT. On the file system of this folder. */
int disk_quota_limit(int dir_fd, uint32_t project, uint64_t bytes, uint64_t files, struct err *e);

/* Puts the folder into the project, with what is in it and what will be. Walks through all of it the first time, then it is quick.
 * What is neither file nor folder stays where it was. */
int disk_quota_join(int dir_fd, uint32_t project, struct err *e);

#endif
