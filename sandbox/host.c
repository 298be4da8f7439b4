#include "sandbox/host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/small_file.h"
#include "base/uuid.h"
#include "sandbox/cgroup.h"
#include "sandbox/disk_quota.h"
#include "sandbox/host_files.h"
#include "sandbox/host_runtime.h"
#include "sandbox/idmap.h"
#include "sandbox/ids.h"
#include "sandbox/process.h"

#define PODMAN_TIMEOUT_MS 20000
#define MIN_NOFILE        4096

static void found(struct host_finding *f, int level, const char *text, const char *mend)
{
    f->level = level == 0 ? HOST_OK : level == 1 ? HOST_WEAK : HOST_MISSING;
    snprintf(f->text, sizeof f->text, "%s", text);
    snprintf(f->mend, sizeof f->mend, "%s", level == 0 ? "" : mend);
}
#define OK(f, text)            found(f, 0, text, "")
#define WEAK(f, text, mend)    found(f, 1, text, mend)
#define MISSING(f, text, mend) found(f, 2, text, mend)

static bool read_small(const char *path, char *ret, size_t size)
{
    CLEANUP_BUF struct buf text = BUF_INIT(65536);
    if (small_file_read(AT_FDCWD, path, &text, NULL) < 0 || text.len == 0)
        return false;
    snprintf(ret, size, "%s", text.data);
    ret[strcspn(ret, "\n")] = '\0';
    return true;
}

static void check_root(const struct keeper_options *o, struct host_finding *f)
{
    if (geteuid() == 0)
        OK(f, "runs as root");
    else
        WEAK(f, "not root: all sandboxes share one range of ids, and on cgroup v1 no limit holds",
             "Start it as root");
}

/* Whoever can write these files decides what runs as root or as every sandbox's PID 1. */
static void check_files(const struct keeper_options *o, struct host_finding *f)
{
    const char *const paths[] = { o->init_path, o->warden_path, o->seccomp_path };
    char text[256];
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct stat st;
        if (!paths[i] || stat(paths[i], &st) < 0 || !S_ISREG(st.st_mode)) {
            snprintf(text, sizeof text, "'%.200s' is not there", paths[i] ? paths[i] : "");
            return MISSING(f, text, "Install Kernelhub (make install)");
        }
        if ((st.st_uid != 0 && st.st_uid != geteuid()) || (st.st_mode & 022) != 0) {
            snprintf(text, sizeof text, "'%.200s' can be written by others than root", paths[i]);
            return WEAK(f, text, "chown root and chmod go-w");
        }
        struct err e = ERR_INIT;
        if (host_files_check(paths[i], &e) < 0)
            return MISSING(f, e.text,
                           "Install Kernelhub below folders that are root's and that nobody else "
                           "can write to");
    }
    OK(f, "init, warden and seccomp profile are installed");
}

static void check_podman(const struct keeper_options *o, struct host_finding *f)
{
    char version[200] = "";
    struct err e = ERR_INIT;
    char *argv[] = { "podman", "version", "--format", "{{.Client.Version}}", NULL };
    if (host_run(argv, false, version, sizeof version, PODMAN_TIMEOUT_MS, &e) != 0)
        return MISSING(f, *e.text ? e.text : "podman does not run", "Install Podman 4 or newer");
    char text[256];
    snprintf(text, sizeof text, "Podman %s", version);
    if (strtol(version, NULL, 10) < 4)
        return MISSING(f, text, "Install Podman 4 or newer");
    OK(f, text);
}

static void check_runtime(const struct keeper_options *o, struct host_finding *f)
{
    struct err e = ERR_INIT;
    const char *runtime;
    char text[256];
    if (host_choose_runtime(o, &runtime, &e) < 0 || host_runtime_try(runtime, o, &e) < 0)
        return MISSING(
            f, e.text,
            "Install runc or crun in a version that works with this host's control groups");
    snprintf(text, sizeof text, "%.100s runs containers with limits", runtime);
    OK(f, text);
}

static void check_cgroup(const struct keeper_options *o, struct host_finding *f)
{
    struct cgroup_paths paths;
    struct err e = ERR_INIT;
    struct cgroup_procs procs;
    char name[32], text[256];
    if (cgroup_find(getpid(), &paths, &e) < 0)
        return MISSING(f, e.text, "Mount cgroup v2, or v1 with memory, cpu and pids");
    snprintf(name, sizeof name, "probe-%d", (int)getpid());
    int r = cgroup_make("kernelhub-probe", name, 64 << 20, 100, &procs, &e);
    cgroup_remove("kernelhub-probe", name);
    cgroup_remove("kernelhub-probe", NULL);
    if (r < 0)
        return WEAK(
            f, e.text,
            "Wardens get no limits of their own: delegate the memory and cpu controllers to "
            "Kernelhub");
    snprintf(text, sizeof text, "v%d with memory, cpu and pids", paths.version);
    OK(f, text);
}

/* The directory that will hold state_dir, when there is none yet. */
static void nearest_dir(const char *path, char *ret, size_t size)
{
    struct stat st;
    snprintf(ret, size, "%s", path);
    while (*ret && stat(ret, &st) < 0) {
        char *slash = strrchr(ret, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
    if (!*ret)
        snprintf(ret, size, "/");
}

static int try_idmap(const struct keeper_options *o, const char *dir, struct err *e)
{
    char disk[300], shown[300];
    snprintf(disk, sizeof disk, "%s/disk", dir);
    snprintf(shown, sizeof shown, "%s/shown", dir);
    CLEANUP_FD int fd =
        mkdir(disk, 0700) < 0 || mkdir(shown, 0700) < 0 || chown(disk, o->hub_uid, o->hub_gid) < 0
            ? -1
            : open(disk, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(e, ERR_UNAVAILABLE, "make directories in '%.100s'", dir);
    unsigned user = (o->id_base ? o->id_base : KEEPER_DEFAULT_ID_BASE) + IDS_USER;
    struct idmap map = {
        .disk_uid = o->hub_uid, .disk_gid = o->hub_gid, .shown_uid = user, .shown_gid = user
    };
    if (idmap_attach(fd, &map, shown, e) < 0)
        return -1;
    struct stat st = { 0 };
    int r = stat(shown, &st);
    (void)idmap_detach(shown, NULL); /* the directory cannot be removed then, and is seen */
    if (r < 0 || st.st_uid != user || st.st_gid != user)
        return err_set(e, ERR_UNAVAILABLE, "the mapped directory belongs to %u instead of %u",
                       (unsigned)st.st_uid, user);
    return 0;
}

static void check_idmap(const struct keeper_options *o, struct host_finding *f)
{
    char parent[200], dir[256];
    struct err e = ERR_INIT;
    nearest_dir(o->state_dir, parent, sizeof parent);
    snprintf(dir, sizeof dir, "%s/.kernelhub-probe-XXXXXX", strcmp(parent, "/") == 0 ? "" : parent);
    if (!mkdtemp(dir)) {
        err_errno(&e, ERR_UNAVAILABLE, "make a directory in '%s'", parent);
        return MISSING(f, e.text, "Let Kernelhub write to its state directory");
    }
    int r = try_idmap(o, dir, &e);
    static const char *const BELOW[] = { "disk", "shown" };
    for (size_t i = 0; i < ARRAY_LEN(BELOW); i++) {
        char path[300];
        snprintf(path, sizeof path, "%s/%s", dir, BELOW[i]);
        (void)rmdir(path);
    }
    (void)rmdir(dir);
    if (r < 0)
        return MISSING(f, e.text,
                       "Put the state directory on ext4, xfs or btrfs, with Linux 5.12 or newer "
                       "(tmpfs: 6.3), and be root");
    OK(f, "works where the workspaces are");
}

static void check_userns(const struct keeper_options *o, struct host_finding *f)
{
    char text[64] = "";
    if (!read_small("/proc/sys/user/max_user_namespaces", text, sizeof text) ||
        strtoul(text, NULL, 10) < 64)
        return MISSING(f, "user namespaces are switched off",
                       "sysctl user.max_user_namespaces=15000");
    const struct idmap map = { 0 };
    struct err e = ERR_INIT;
    if (idmap_try(&map, &e) < 0)
        return MISSING(
            f, e.text,
            "Let root make user namespaces; in a chroot nobody can: / has to be the root "
            "of its mount namespace");
    OK(f, "user namespaces can be made");
}

static void check_seccomp(const struct keeper_options *o, struct host_finding *f)
{
    char actions[200] = "";
    if (!read_small("/proc/sys/kernel/seccomp/actions_avail", actions, sizeof actions) ||
        !strstr(actions, "errno"))
        return MISSING(f, "the kernel has no seccomp filters",
                       "Use a kernel with CONFIG_SECCOMP_FILTER");
    OK(f, "filters work");
}

static void check_landlock(const struct keeper_options *o, struct host_finding *f)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    char text[64];
    if (abi < 1)
        return WEAK(f, "no landlock: the wardens keep their view of the file system",
                    "Use Linux 5.13 or newer with landlock in its list of security modules (lsm=)");
    snprintf(text, sizeof text, "ABI %ld", abi);
    OK(f, text);
}

static void check_openat2(const struct keeper_options *o, struct host_finding *f)
{
    struct open_how how = { .flags = O_PATH | O_CLOEXEC,
                            .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    CLEANUP_FD int fd = (int)syscall(SYS_openat2, AT_FDCWD, ".", &how, sizeof how);
    if (fd < 0)
        return MISSING(
            f, "openat2 is refused",
            "Use Linux 5.6 or newer, and let it pass where Kernelhub itself is confined");
    OK(f, "works");
}

static void check_pidfd(const struct keeper_options *o, struct host_finding *f)
{
    CLEANUP_FD int fd = -1;
    struct err e = ERR_INIT;
    if (process_open(getpid(), 0, &fd, NULL, &e) < 0)
        return MISSING(
            f, e.text,
            "Use Linux 5.3 or newer, and let pidfd_open pass where Kernelhub itself is confined");
    OK(f, "works");
}

static void check_core_pattern(const struct keeper_options *o, struct host_finding *f)
{
    char pattern[200] = "";
    if (read_small("/proc/sys/kernel/core_pattern", pattern, sizeof pattern) && pattern[0] == '|')
        return WEAK(f,
                    "kernel.core_pattern is a pipe: a crash in a sandbox would start a program of "
                    "the host as root",
                    "sysctl kernel.core_pattern=core");
    OK(f, "crashes start no program of the host");
}

static void check_limits(const struct keeper_options *o, struct host_finding *f)
{
    struct rlimit limit = { 0 };
    char text[100];
    (void)getrlimit(RLIMIT_NOFILE, &limit); /* cannot fail; zero would say so */
    snprintf(text, sizeof text, "at most %llu open files each", (unsigned long long)limit.rlim_max);
    if (limit.rlim_max < MIN_NOFILE)
        return WEAK(f, text,
                    "Raise the hard limit of open files (LimitNOFILE=, ulimit -Hn) to 20000");
    OK(f, text);
}

/* Never a danger, only slow: so it is told and refuses nothing. */
static void check_storage(const struct keeper_options *o, struct host_finding *f)
{
    char driver[100] = "", text[256];
    struct utsname name;
    int major = 0, minor = 0;
    char *argv[] = { "podman", "info", "--format", "{{.Store.GraphDriverName}}", NULL };
    if (host_run(argv, false, driver, sizeof driver, PODMAN_TIMEOUT_MS, NULL) != 0)
        return WEAK(f, "podman info does not run", "See what `podman info` says");
    bool maps = uname(&name) == 0 && sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
                (major > 5 || (major == 5 && minor >= 19)) && strcmp(driver, "overlay") == 0;
    snprintf(
        text, sizeof text,
        maps ? "%s, images are mapped and never copied"
             : "%s: each new range of ids copies the whole image (overlay on Linux 5.19 does not)",
        driver);
    OK(f, text);
}

/* Without one the hub counts: it is told and refuses nothing. */
static void check_quota(const struct keeper_options *o, struct host_finding *f)
{
    char path[300];
    snprintf(path, sizeof path, "%s/workspaces", o->state_dir);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        OK(f, "not known before the first start: there are no workspaces yet");
    else if (disk_quota_is_enforced(fd))
        OK(f, "project quota: the file system refuses what is above limits/workspace_bytes");
    else
        OK(f, "counted: what writes past limits/workspace_bytes is stopped within about a second "
              "(with project quotas, mount option prjquota, it could not even be written)");
}

static const struct {
    const char *name;
    void (*check)(const struct keeper_options *o, struct host_finding *f);
} CHECKS[] = {
    { "root", check_root },         { "files", check_files },
    { "podman", check_podman },     { "runtime", check_runtime },
    { "cgroup", check_cgroup },     { "userns", check_userns },
    { "idmap", check_idmap },       { "seccomp", check_seccomp },
    { "landlock", check_landlock }, { "openat2", check_openat2 },
    { "pidfd", check_pidfd },       { "core_pattern", check_core_pattern },
    { "limits", check_limits },     { "storage", check_storage },
    { "quota", check_quota },
};

size_t host_check(const struct keeper_options *options, struct host_finding *ret, size_t max)
{
    size_t n = 0;
    for (; n < ARRAY_LEN(CHECKS) && n < max; n++) {
        ret[n] = (struct host_finding){ .name = CHECKS[n].name };
        CHECKS[n].check(options, &ret[n]);
    }
    return n;
}

static const char *const RUNTIMES[] = { "crun", "runc" };

/* What was chosen since the host was started: "BOOT_ID NAME". */
static const char *remembered(const char *path, const char *boot_id)
{
    char text[100];
    if (!read_small(path, text, sizeof text) || strncmp(text, boot_id, strlen(boot_id)) != 0)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(RUNTIMES); i++)
        if (strcmp(text + strlen(boot_id), RUNTIMES[i]) == 0)
            return RUNTIMES[i];
    return NULL;
}

int host_choose_runtime(const struct keeper_options *options, const char **ret, struct err *e)
{
    char path[300], boot_id[64] = "", line[128];
    if (options->runtime) {
        /* a name without a slash is looked for in root's own PATH */
        if (strchr(options->runtime, '/') && host_files_check_program(options->runtime, e) < 0)
            return err_in(e, "keeper/runtime");
        *ret = options->runtime;
        return 0;
    }
    snprintf(path, sizeof path, "%s/keeper/runtime", options->state_dir);
    (void)read_small("/proc/sys/kernel/random/boot_id", boot_id,
                     sizeof boot_id - 2); /* "": nothing is remembered */
    strcat(boot_id, " ");
    const char *known = boot_id[0] == ' ' ? NULL : remembered(path, boot_id);
    if (known) {
        *ret = known;
        return 0;
    }
    struct err why[ARRAY_LEN(RUNTIMES)] = { ERR_INIT, ERR_INIT };
    for (size_t i = 0; i < ARRAY_LEN(RUNTIMES); i++) {
        if (host_runtime_try(RUNTIMES[i], options, &why[i]) < 0)
            continue;
        int n = snprintf(line, sizeof line, "%s%s", boot_id, RUNTIMES[i]);
        (void)small_file_write(AT_FDCWD, path, slice_of(line, (size_t)n), 0600,
                               NULL); /* then it is tried again */
        *ret = RUNTIMES[i];
        return 0;
    }
    return err_set(e, ERR_UNAVAILABLE, "%.200s; %.200s", why[0].text, why[1].text);
}

int host_any_runtime(const struct keeper_options *options, const char **ret, struct err *e)
{
    char version[100];
    if (host_choose_runtime(options, ret, e) == 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(RUNTIMES); i++) {
        char *argv[] = { (char *)RUNTIMES[i], "--version", NULL };
        if (host_run(argv, false, version, sizeof version, PODMAN_TIMEOUT_MS, NULL) != 0)
            continue;
        *ret = RUNTIMES[i];
        return 0;
    }
    return -1; /* e says why */
}
