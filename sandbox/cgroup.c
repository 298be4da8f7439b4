#include "sandbox/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/small_file.h"

#define MAX_PROC_FILE (1u << 20)
/* v1 says "no limit" as the highest multiple of the page size; any page size is above this. */
#define V1_NO_LIMIT 0x7fffffffffff0000ull

static bool next_line(struct slice *rest, struct slice *ret)
{
    if (rest->len == 0)
        return false;
    const char *end = memchr(rest->data, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->data) : rest->len;
    *ret = slice_of(rest->data, len);
    size_t used = end ? len + 1 : len;
    *rest = slice_of(rest->data + used, rest->len - used);
    return true;
}

/* Cuts at the next `separator`; the last piece is what remains. False when nothing is left. */
static bool next_word(struct slice *rest, char separator, struct slice *ret)
{
    if (!rest->data)
        return false;
    const char *end = rest->len ? memchr(rest->data, separator, rest->len) : NULL;
    if (!end) {
        *ret = *rest;
        *rest = (struct slice){ 0 };
        return true;
    }
    size_t len = (size_t)(end - rest->data);
    *ret = slice_of(rest->data, len);
    *rest = slice_of(end + 1, rest->len - len - 1);
    return true;
}

static bool list_has(struct slice list, const char *name)
{
    struct slice word;
    while (next_word(&list, ',', &word))
        if (slice_is(word, name))
            return true;
    return false;
}

static bool copy_path(struct slice s, char *ret, size_t size)
{
    /* A backslash begins mountinfo's escapes: no path of ours has any. */
    if (s.len == 0 || s.len >= size || s.data[0] != '/' || memchr(s.data, '\\', s.len) ||
        memchr(s.data, '\0', s.len))
        return false;
    memcpy(ret, s.data, s.len);
    ret[s.len] = '\0';
    return true;
}

bool cgroup_parse_membership(struct slice text, const char *controller, char *ret, size_t size)
{
    struct slice line;
    while (next_line(&text, &line)) {
        struct slice number, controllers;
        if (!next_word(&line, ':', &number) || !next_word(&line, ':', &controllers) || !line.data)
            continue;
        bool is_v2 = controllers.len == 0 && slice_is(number, "0");
        if (*controller == '\0' ? is_v2 : list_has(controllers, controller))
            return copy_path(line, ret, size);
    }
    return false;
}

bool cgroup_parse_mount(struct slice mountinfo, const char *controller, char *ret_point,
                        size_t point_size, char *ret_root, size_t root_size)
{
    struct slice line;
    while (next_line(&mountinfo, &line)) {
        struct slice word, root = { 0 }, point = { 0 }, type, source;
        bool found = false;
        for (int i = 0; next_word(&line, ' ', &word); i++) {
            if (i == 3)
                root = word;
            else if (i == 4)
                point = word;
            else if (i > 5 && slice_is(word, "-")) {
                found = next_word(&line, ' ', &type) && next_word(&line, ' ', &source) && line.data;
                break;
            }
        }
        if (!found)
            continue;
        bool right = *controller == '\0' ? slice_is(type, "cgroup2")
                                         : slice_is(type, "cgroup") && list_has(line, controller);
        if (right && copy_path(point, ret_point, point_size) &&
            copy_path(root, ret_root, root_size))
            return true;
    }
    return false;
}

bool cgroup_parse_number(struct slice text, uint64_t *ret)
{
    while (text.len > 0 && text.data[text.len - 1] == '\n')
        text.len--;
    if (slice_is(text, "max")) {
        *ret = CGROUP_NO_LIMIT;
        return true;
    }
    if (text.len == 0 || text.len > 20)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        if (__builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(text.data[i] - '0'), &value))
            return false;
    }
    *ret = value >= V1_NO_LIMIT ? CGROUP_NO_LIMIT : value;
    return true;
}

bool cgroup_parse_counter(struct slice text, const char *key, uint64_t *ret)
{
    struct slice line, word;
    while (next_line(&text, &line))
        if (next_word(&line, ' ', &word) && slice_is(word, key))
            return line.data && cgroup_parse_number(line, ret);
    return false;
}

const char *cgroup_file_name(int version, enum cgroup_file file)
{
    static const char *const NAMES[][2] = {
        [CGROUP_MEMORY_NOW] = { "memory.usage_in_bytes", "memory.current" },
        [CGROUP_MEMORY_MAX] = { "memory.limit_in_bytes", "memory.max" },
        [CGROUP_MEMORY_PEAK] = { "memory.max_usage_in_bytes", "memory.peak" },
        [CGROUP_OOM] = { "memory.oom_control", "memory.events" },
        [CGROUP_CPU] = { "cpuacct.usage", "cpu.stat" },
        [CGROUP_PIDS_NOW] = { "pids.current", "pids.current" },
        [CGROUP_PIDS_MAX] = { "pids.max", "pids.max" },
    };
    return NAMES[file][version == 2];
}

bool cgroup_parse_oom_kills(struct slice text, uint64_t *ret)
{
    return cgroup_parse_counter(text, "oom_kill", ret);
}

bool cgroup_parse_cpu_us(int version, struct slice text, uint64_t *ret)
{
    if (version == 2)
        return cgroup_parse_counter(text, "usage_usec", ret);
    uint64_t ns;
    if (!cgroup_parse_number(text, &ns))
        return false;
    *ret = ns / 1000;
    return true;
}

/* mount point + (path - root): in a container only a part of the hierarchy is mounted. */
static bool join(struct slice membership, struct slice mounts, const char *controller, char *ret,
                 size_t size)
{
    char path[CGROUP_MAX_PATH], point[CGROUP_MAX_PATH], root[CGROUP_MAX_PATH];
    if (!cgroup_parse_membership(membership, controller, path, sizeof path) ||
        !cgroup_parse_mount(mounts, controller, point, sizeof point, root, sizeof root))
        return false;
    const char *rest = path;
    size_t root_len = strlen(root);
    if (strcmp(root, "/") != 0 && strncmp(path, root, root_len) == 0)
        rest += root_len;
    return snprintf(ret, size, "%s%s", point, strcmp(rest, "/") == 0 ? "" : rest) < (int)size;
}

int cgroup_find(pid_t pid, struct cgroup_paths *ret, struct err *e)
{
    CLEANUP_BUF struct buf membership = BUF_INIT(MAX_PROC_FILE);
    CLEANUP_BUF struct buf mounts = BUF_INIT(MAX_PROC_FILE);
    char path[40];
    snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    if (small_file_read(AT_FDCWD, path, &membership, e) < 0 ||
        small_file_read(AT_FDCWD, "/proc/self/mountinfo", &mounts, e) < 0)
        return -1;
    struct cgroup_paths found = { .version = 1 };
    struct slice m = buf_slice(&membership), i = buf_slice(&mounts);
    if (join(m, i, "memory", found.memory, sizeof found.memory)) {
        if (!join(m, i, "cpuacct", found.cpu, sizeof found.cpu) ||
            !join(m, i, "pids", found.pids, sizeof found.pids))
            return err_set(e, ERR_UNAVAILABLE, "cgroup v1 has no cpuacct or pids controller");
    } else if (join(m, i, "", found.memory, sizeof found.memory)) {
        found.version = 2;
        memcpy(found.cpu, found.memory, sizeof found.cpu);
        memcpy(found.pids, found.memory, sizeof found.pids);
    } else {
        return err_set(e, ERR_UNAVAILABLE, "process %d has no memory cgroup", (int)pid);
    }
    *ret = found;
    return 0;
}

int cgroup_read_oom_kills(const struct cgroup_paths *paths, uint64_t *ret, struct err *e)
{
    CLEANUP_BUF struct buf text = BUF_INIT(8192);
    char path[CGROUP_MAX_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", paths->memory,
             cgroup_file_name(paths->version, CGROUP_OOM));
    if (small_file_read(AT_FDCWD, path, &text, e) < 0)
        return -1;
    if (!cgroup_parse_oom_kills(buf_slice(&text), ret))
        return err_set(e, ERR_UNAVAILABLE, "'%s' counts no oom kills", path);
    return 0;
}

struct hierarchies {
    int version;
    char memory[CGROUP_MAX_PATH];
    char cpu[CGROUP_MAX_PATH]; /* v2: "" */
};

static int find_hierarchies(struct hierarchies *ret, struct err *e)
{
    CLEANUP_BUF struct buf mounts = BUF_INIT(MAX_PROC_FILE);
    char root[CGROUP_MAX_PATH];
    if (small_file_read(AT_FDCWD, "/proc/self/mountinfo", &mounts, e) < 0)
        return -1;
    struct slice m = buf_slice(&mounts);
    *ret = (struct hierarchies){ .version = 1 };
    if (cgroup_parse_mount(m, "memory", ret->memory, sizeof ret->memory, root, sizeof root)) {
        if (cgroup_parse_mount(m, "cpu", ret->cpu, sizeof ret->cpu, root, sizeof root))
            return 0;
        return err_set(e, ERR_UNAVAILABLE, "no cpu cgroup is mounted");
    }
    ret->version = 2;
    if (cgroup_parse_mount(m, "", ret->memory, sizeof ret->memory, root, sizeof root))
        return 0;
    return err_set(e, ERR_UNAVAILABLE, "no memory cgroup is mounted");
}

static int write_value(const char *dir, const char *file, const char *value, struct err *e)
{
    char path[CGROUP_MAX_PATH + 256];
    snprintf(path, sizeof path, "%s/%s", dir, file);
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        return err_errno(e, ERR_UNAVAILABLE, "write '%s'", path);
    return 0;
}

#define CONTROLLERS   "+memory +cpu" /* of v2 */
#define CPU_PERIOD_US 100000u

static int make_group(const char *point, const char *group, const char *name, int version,
                      char *ret, size_t size, struct err *e)
{
    char parent[CGROUP_MAX_PATH + 128];
    snprintf(parent, sizeof parent, "%s/%s", point, group);
    if (mkdir(parent, 0755) < 0 && errno != EEXIST)
        return err_errno(e, ERR_UNAVAILABLE, "make cgroup '%s'", parent);
    if (version == 2 && (write_value(point, "cgroup.subtree_control", CONTROLLERS, e) < 0 ||
                         write_value(parent, "cgroup.subtree_control", CONTROLLERS, e) < 0))
        return -1;
    if (snprintf(ret, size, "%s/%s", parent, name) >= (int)size)
        return err_set(e, ERR_INVALID, "the cgroup's path is too long");
    if (mkdir(ret, 0755) < 0 && errno != EEXIST)
        return err_errno(e, ERR_UNAVAILABLE, "make cgroup '%s'", ret);
    return 0;
}

static int limit_cpu(const char *dir, int version, unsigned percent, struct err *e)
{
    char value[32];
    unsigned quota_us = CPU_PERIOD_US / 100 * percent;
    if (version == 2) {
        snprintf(value, sizeof value, "%u %u", quota_us, CPU_PERIOD_US);
        return write_value(dir, "cpu.max", value, e);
    }
    snprintf(value, sizeof value, "%u", CPU_PERIOD_US);
    if (write_value(dir, "cpu.cfs_period_us", value, e) < 0)
        return -1;
    snprintf(value, sizeof value, "%u", quota_us);
    return write_value(dir, "cpu.cfs_quota_us", value, e);
}

int cgroup_make(const char *group, const char *name, uint64_t memory_bytes, unsigned cpu_percent,
                struct cgroup_procs *ret, struct err *e)
{
    struct hierarchies at;
    char memory[CGROUP_MAX_PATH + 256], cpu[CGROUP_MAX_PATH + 256], value[32];
    if (find_hierarchies(&at, e) < 0 ||
        make_group(at.memory, group, name, at.version, memory, sizeof memory, e) < 0)
        return -1;
    snprintf(cpu, sizeof cpu, "%s", memory);
    if (at.version == 1 && make_group(at.cpu, group, name, at.version, cpu, sizeof cpu, e) < 0)
        return -1;
    snprintf(value, sizeof value, "%llu", (unsigned long long)memory_bytes);
    if (write_value(memory, cgroup_file_name(at.version, CGROUP_MEMORY_MAX), value, e) < 0 ||
        limit_cpu(cpu, at.version, cpu_percent, e) < 0)
        return -1;
    snprintf(ret->memory, sizeof ret->memory, "%s/cgroup.procs", memory);
    snprintf(ret->cpu, sizeof ret->cpu, at.version == 1 ? "%s/cgroup.procs" : "", cpu);
    return 0;
}

void cgroup_remove(const char *group, const char *name)
{
    struct hierarchies at;
    char dir[CGROUP_MAX_PATH + 256];
    if (find_hierarchies(&at, NULL) < 0)
        return;
    const char *const points[] = { at.memory, at.cpu };
    for (size_t i = 0; i < ARRAY_LEN(points) && *points[i]; i++) {
        snprintf(dir, sizeof dir, "%s/%s%s%s", points[i], group, name ? "/" : "", name ? name : "");
        (void)rmdir(dir); /* busy or gone: an empty cgroup costs nothing */
    }
}

DEFINE_CLEANUP(DIR, closedir)

static bool remove_below(const char *hierarchy, const char *group)
{
    char dir[CGROUP_MAX_PATH + 256];
    snprintf(dir, sizeof dir, "%s/%s", hierarchy, group);
    CLEANUP(closedir) DIR *d = opendir(dir);
    for (struct dirent *entry; d && (entry = readdir(d));)
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            (void)unlinkat(dirfd(d), entry->d_name,
                           AT_REMOVEDIR); /* not empty: not ours to empty */
    return rmdir(dir) == 0 || errno == ENOENT;
}

bool cgroup_remove_all(const char *group)
{
    CLEANUP_BUF struct buf mounts = BUF_INIT(MAX_PROC_FILE);
    if (small_file_read(AT_FDCWD, "/proc/self/mountinfo", &mounts, NULL) < 0)
        return false;
    bool gone = true;
    struct slice rest = buf_slice(&mounts), line, word;
    while (next_line(&rest, &line)) {
        char point[CGROUP_MAX_PATH] = "";
        bool is_cgroup = false;
        for (int i = 0; next_word(&line, ' ', &word); i++) {
            if (i == 4)
                (void)copy_path(word, point, sizeof point); /* stays empty: skipped below */
            if (i > 5 && slice_is(word, "-") && next_word(&line, ' ', &word))
                is_cgroup = slice_is(word, "cgroup") || slice_is(word, "cgroup2");
        }
        if (is_cgroup && point[0] == '/')
            gone &= remove_below(point, group);
    }
    return gone;
}
