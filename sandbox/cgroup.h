/* cgroup.h - where a process's control groups are, and what their files say (v1 and v2). The parsing
 * is pure; the warden reads the same files through fds that it opened before it confined itself. */
#ifndef SANDBOX_CGROUP_H
#define SANDBOX_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/slice.h"

#define CGROUP_MAX_PATH 512
#define CGROUP_NO_LIMIT UINT64_MAX

struct cgroup_paths {
    int version; /* 1 or 2; on a hybrid host 1, for that is where its controllers are */
    char memory[CGROUP_MAX_PATH];
    char cpu[CGROUP_MAX_PATH]; /* v1: that of cpuacct */
    char pids[CGROUP_MAX_PATH];
};

/* The path of /proc/PID/cgroup's line for a controller of v1; "" is the one of v2. */
bool cgroup_parse_membership(struct slice text, const char *controller, char *ret, size_t size);
/* Mount point and root (the part of the hierarchy that is mounted) of a controller in mountinfo; "": v2. */
bool cgroup_parse_mount(struct slice mountinfo, const char *controller, char *ret_point, size_t point_size,
                        char *ret_root, size_t root_size);

/* One number, or "max": CGROUP_NO_LIMIT. So are v1's 0x7FFFFFFFFFFFF000 and more. */
bool cgroup_parse_number(struct slice text, uint64_t *ret);
/* The number on the line "key number" (memory.events, memory.stat, memory.oom_control, cpu.stat). */
bool cgroup_parse_counter(struct slice text, const char *key, uint64_t *ret);

/* v1 and v2 name the same things differently; NULL when that version has no such file. */
enum cgroup_file { CGROUP_MEMORY_NOW, CGROUP_MEMORY_MAX, CGROUP_MEMORY_PEAK, CGROUP_OOM, CGROUP_CPU, CGROUP_PIDS_NOW, CGROUP_PIDS_MAX };
const char *cgroup_file_name(int version, enum cgroup_file file);
/* Reads CGROUP_OOM's text: how many processes the kernel has killed for memory. */
bool cgroup_parse_oom_kills(struct slice text, uint64_t *ret);
/* Reads CGROUP_CPU's text: microseconds of CPU time. */
bool cgroup_parse_cpu_us(int version, struct slice text, uint64_t *ret);

/* The same with files. */
int cgroup_find(pid_t pid, struct cgroup_paths *ret, struct err *e);
int cgroup_read_oom_kills(const struct cgroup_paths *paths, uint64_t *ret, struct err *e);

/* Files that a process writes "0" to, to be under the limits. */
#define CGROUP_PROCS_SIZE (CGROUP_MAX_PATH + 300)
struct cgroup_procs {
    char memory[CGROUP_PROCS_SIZE];
    char cpu[CGROUP_PROCS_SIZE]; /* v2: "", the same as memory */
};

/* Makes a cgroup GROUP/NAME below the root of the memory and of the cpu hierarchy, with a hard limit of
 * memory and of cpu_percent of one CPU. ERR_UNAVAILABLE when the host does not let us have both. */
int cgroup_make(const char *group, const char *name, uint64_t memory_bytes, unsigned cpu_percent,
                struct cgroup_procs *ret, struct err *e);
void cgroup_remove(const char *group, const char *name); /* NULL: the group itself, when it is empty */
/* Removes GROUP in every hierarchy with all that is empty below it: the containers' parents too. False when
 * something is left, because a process is still in it. */
bool cgroup_remove_all(const char *group);

#endif
