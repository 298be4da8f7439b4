#include "sandbox/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "sandbox/ids.h"
#include "sandbox/jansson_owner.h"

#define CPU_PERIOD_US  100000
#define SIGKILL_NUMBER 9

/* Each hides something of the host that no kernel needs. Added to Podman's own list (acpi, kcore,
 * keys, latency_stats, timer_list, timer_stats, sched_debug, scsi, firmware, selinux, dev/block). */
static const char *const MASKED[] = {
    "/proc/cmdline",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/keys",
    "/proc/key-users",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/kpagecgroup",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/acpi",
    "/proc/config.gz",
    "/proc/modules",
    "/proc/diskstats",
    "/proc/partitions",
    "/proc/interrupts",
    "/proc/softirqs",
    "/proc/buddyinfo",
    "/proc/slabinfo",
    "/proc/vmallocinfo",
    "/proc/pagetypeinfo",
    "/proc/asound",
    "/proc/sysrq-trigger",
    "/sys/firmware",
    "/sys/fs/selinux",
    "/sys/dev/block",
    "/sys/kernel",
    "/sys/module",
    "/sys/power",
    "/sys/devices/virtual/dmi",
    "/sys/devices/virtual/powercap",
    "/sys/devices/virtual/block",
};

/* Over what the image says; its PATH is its own, for its programs are where it has put them. */
static const struct {
    const char *name;
    const char *value;
} ENVIRONMENT[] = {
    { "HOME", "/workspace" },
    { "LANG", "C.UTF-8" },
    { "TMPDIR", "/tmp" },
};

int policy_check_limits(const struct verb_limits *l, struct err *e)
{
    if (l->memory_bytes < POLICY_MIN_MEMORY_BYTES || l->memory_bytes > POLICY_MAX_MEMORY_BYTES)
        return err_set(e, ERR_INVALID, "limits.memory_bytes %lld is not between %lld and %lld",
                       (long long)l->memory_bytes, POLICY_MIN_MEMORY_BYTES,
                       POLICY_MAX_MEMORY_BYTES);
    if (l->pids < POLICY_MIN_PIDS || l->pids > POLICY_MAX_PIDS)
        return err_set(e, ERR_INVALID, "limits.pids %lld is not between %d and %d",
                       (long long)l->pids, POLICY_MIN_PIDS, POLICY_MAX_PIDS);
    if (!(l->cpus >= POLICY_MIN_CPUS && l->cpus <= POLICY_MAX_CPUS))
        return err_set(e, ERR_INVALID, "limits.cpus is not between %g and %g", POLICY_MIN_CPUS,
                       POLICY_MAX_CPUS);
    if (l->workspace_bytes < 0)
        return err_set(e, ERR_INVALID, "limits.workspace_bytes is negative");
    return 0;
}

static bool is_image_id(const char *s)
{
    return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

/* Podman cuts nothing out of a mount's source, but a colon or comma in one is a trap for whoever
 * writes it as a -v or --mount option one day. */
static bool is_path(const char *s)
{
    return s && s[0] == '/' && strpbrk(s, ":,\n") == NULL && strstr(s, "/../") == NULL;
}

static json_t *mount(const char *type, const char *source, const char *destination,
                     const char *const *options, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(options[i]));
    return json_pack("{s:s, s:s, s:s, s:o}", "type", type, "source", source, "destination",
                     destination, "options", list);
}

static json_t *bind_read_only(const char *source, const char *destination, bool may_execute)
{
    const char *const options[] = { "bind", "ro", "nosuid", "nodev", "rprivate", "noexec" };
    return mount("bind", source, destination, options, may_execute ? 5 : 6);
}

static json_t *tmpfs(const char *destination, long long bytes, const char *mode, bool may_execute)
{
    char size[40];
    snprintf(size, sizeof size, "size=%lld", bytes);
    const char *const options[] = { "rw", "nosuid", "nodev", mode, size, "noexec" };
    return mount("tmpfs", "tmpfs", destination, options, may_execute ? 5 : 6);
}

static json_t *bind_writable(const char *source, const char *destination)
{
    static const char *const OPTIONS[] = { "bind", "rw", "nosuid", "nodev", "rprivate" };
    return mount("bind", source, destination, OPTIONS, ARRAY_LEN(OPTIONS));
}

/* What a builder sees beside its image: its own two folders, and what the host lends to read. */
static void add_builder_mounts(json_t *list, const struct policy_builder *b)
{
    char tree[64];
    snprintf(tree, sizeof tree, "/packages/%s", b->language);
    json_array_append_new(list, bind_writable(b->tree_dir, tree));
    json_array_append_new(list, bind_writable(b->work_dir, "/build"));
    json_array_append_new(list, bind_read_only(b->old_dir, "/run/packages", true));
    json_array_append_new(list, bind_read_only(b->host_dir, "/run/kernelhub", false));
    if (b->certificates_dir)
        json_array_append_new(list, bind_read_only(b->certificates_dir, "/etc/ssl/certs", false));
    if (b->wheels_dir)
        json_array_append_new(list, bind_read_only(b->wheels_dir, "/run/wheels", false));
}

/* tmpfs pages count against the memory limit, so these sizes are only what one file system may take
 * of it: half each. */
static json_t *mounts(const struct policy_container *c)
{
    json_t *list = json_array();
    long long half = c->limits.memory_bytes / 2;
    const struct policy_builder *b = c->builder;
    const char *hosts = b && b->hosts_path ? b->hosts_path : c->empty_path,
               *resolv = b && b->resolv_path ? b->resolv_path : c->empty_path;
    if (b)
        add_builder_mounts(list, b);
    else
        json_array_append_new(list, bind_read_only(c->init_path, "/usr/sbin/kernelhub-init", true));
    json_array_append_new(list, bind_read_only(hosts, "/etc/hosts", false));
    json_array_append_new(list, bind_read_only(resolv, "/etc/resolv.conf", false));
    if (c->packages_dir)
        json_array_append_new(list, bind_read_only(c->packages_dir, "/packages", true));
    if (c->wall_dir)
        json_array_append_new(list, bind_read_only(c->wall_dir, "/run/kernelhub", false));
    json_array_append_new(list, tmpfs("/tmp", half, "mode=1777", true));
    json_array_append_new(list, tmpfs("/dev/shm", half, "mode=1777", false));
    /* Podman 4 lets nobody choose a tmpfs's owner. Only user 1000 exists in there, so 1777 is as good. */
    json_array_append_new(list, tmpfs("/run/kernel", 1 << 20, "mode=1777", false));
    json_array_append_new(list, c->workspace_dir
                                    ? bind_writable(c->workspace_dir, "/workspace")
                                    : tmpfs("/workspace", 1 << 20, "mode=1777", false));
    return list;
}

static json_t *rlimit(const char *type, long long value)
{
    return json_pack("{s:s, s:I, s:I}", "type", type, "soft", (json_int_t)value, "hard",
                     (json_int_t)value);
}

static long long lower(long long a, uint64_t b)
{
    return (uint64_t)a < b ? a : (long long)b;
}

static json_t *rlimits(const struct policy_container *c)
{
    json_t *list = json_array();
    json_array_append_new(list, rlimit("nofile", lower(POLICY_MAX_NOFILE, c->host.nofile)));
    /* The pids cgroup is the true limit; this one counts per host id, so per sandbox as well. */
    json_array_append_new(list, rlimit("nproc", lower(c->limits.pids, c->host.nproc)));
    json_array_append_new(list, rlimit("core", 0));
    json_array_append_new(list, rlimit("memlock", 64 << 10));
    json_array_append_new(list, rlimit("msgqueue", 64 << 10));
    json_array_append_new(list, rlimit("sigpending", 1024));
    json_array_append_new(list,
                          rlimit("fsize", c->limits.workspace_bytes > 0 ? c->limits.workspace_bytes
                                                                        : POLICY_FILE_BYTES));
    return list;
}

static json_t *resources(const struct verb_limits *l)
{
    /* swap is memory and swap together: equal means none. */
    return json_pack("{s:{s:I, s:I}, s:{s:I, s:I}, s:{s:I}}", "memory", "limit",
                     (json_int_t)l->memory_bytes, "swap", (json_int_t)l->memory_bytes, "cpu",
                     "quota", (json_int_t)(l->cpus * CPU_PERIOD_US + 0.5), "period",
                     (json_int_t)CPU_PERIOD_US, "pids", "limit", (json_int_t)l->pids);
}

static json_t *labels(const struct policy_container *c)
{
    char range[16];
    snprintf(range, sizeof range, "%u", c->range_index);
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", POLICY_LABEL_INSTANCE, c->instance,
                     POLICY_LABEL_SANDBOX, c->sandbox_id, POLICY_LABEL_USER, c->user_id,
                     POLICY_LABEL_TEMPLATE, c->template_name, POLICY_LABEL_RANGE, range);
}

static json_t *id_map(unsigned first)
{
    return json_pack("[{s:i, s:I, s:I}]", "container_id", 0, "host_id", (json_int_t)first, "size",
                     (json_int_t)IDS_MAPPED);
}

static json_t *environment(const struct policy_builder *b)
{
    json_t *env = json_object();
    for (size_t i = 0; i < ARRAY_LEN(ENVIRONMENT); i++)
        json_object_set_new(env, ENVIRONMENT[i].name, json_string(ENVIRONMENT[i].value));
    for (const char *const *at = b ? b->environment : NULL; at && *at; at++) {
        const char *equals = strchr(*at, '=');
        size_t n = equals ? (size_t)(equals - *at) : 0;
        char name[64];
        if (n == 0 || n >= sizeof name)
            continue;
        memcpy(name, *at, n);
        name[n] = '\0';
        json_object_set_new(env, name, json_string(equals + 1));
    }
    return env;
}

/* A builder's program is a file of ours in a folder of ours, run by the image's own Python whatever its place. */
static json_t *entrypoint(const struct policy_builder *b)
{
    return b ? json_pack("[s, s, s, s, s]", "/usr/bin/env", "python3", "-I",
                         "/run/kernelhub/build-packages", b->language)
             : json_pack("[s]", "/usr/sbin/kernelhub-init");
}

static json_t *namespace(const char *mode)
{
    return json_pack("{s:s}", "nsmode", mode);
}

static void set_process(json_t *spec, const struct policy_container *c)
{
    json_object_set_new(spec, "name", json_string(c->name));
    json_object_set_new(spec, "image", json_string(c->image_id));
    json_object_set_new(spec, "labels", labels(c));
    json_object_set_new(spec, "entrypoint", entrypoint(c->builder));
    json_object_set_new(spec, "command",
                        c->argument ? json_pack("[s]", c->argument) : json_array());
    json_object_set_new(spec, "env", environment(c->builder));
    json_object_set_new(spec, "httpproxy", json_false());
    json_object_set_new(spec, "env_host", json_false());
    json_object_set_new(spec, "terminal", json_false());
    json_object_set_new(spec, "stdin", json_false());
    json_object_set_new(spec, "work_dir", json_string(c->builder ? "/build" : "/workspace"));
    json_object_set_new(spec, "hostname", json_string("sandbox"));
    json_object_set_new(spec, "umask", json_string("0022"));
    json_object_set_new(spec, "stop_signal", json_integer(SIGKILL_NUMBER));
    json_object_set_new(spec, "stop_timeout", json_integer(0));
    json_object_set_new(spec, "restart_policy", json_string("no"));
    json_object_set_new(spec, "systemd", json_string("false"));
    json_object_set_new(spec, "sdnotifyMode", json_string("ignore"));
    json_object_set_new(spec, "init", json_false());
    json_object_set_new(spec, "remove", json_false());
    json_object_set_new(spec, "healthconfig", json_pack("{s:[s]}", "Test", "NONE"));
    json_object_set_new(
        spec, "log_configuration",
        json_pack("{s:s, s:s, s:I}", "driver", "k8s-file", "path", c->log_path, "size",
                  (json_int_t)(c->log_bytes > 0 ? c->log_bytes : POLICY_LOG_BYTES)));
}

static void set_walls(json_t *spec, const struct policy_container *c)
{
    json_object_set_new(spec, "privileged", json_false());
    json_object_set_new(spec, "user", json_string("1000:1000"));
    json_object_set_new(spec, "cap_drop", json_pack("[s]", "all"));
    json_object_set_new(spec, "no_new_privileges", json_true());
    json_object_set_new(spec, "seccomp_profile_path", json_string(c->seccomp_path));
    json_object_set_new(spec, "userns", namespace("private"));
    json_object_set_new(spec, "idmappings",
                        json_pack("{s:b, s:b, s:o, s:o}", "HostUIDMapping", 0, "HostGIDMapping", 0,
                                  "UIDMap", id_map(c->first_id), "GIDMap", id_map(c->first_id)));
    json_object_set_new(spec, "netns",
                        namespace(c->builder && c->builder->host_network ? "host" : "none"));
    json_object_set_new(spec, "ipcns", namespace("none")); /* private, without Podman's shm mount */
    json_object_set_new(spec, "pidns", namespace("private"));
    json_object_set_new(spec, "utsns", namespace("private"));
    json_object_set_new(spec, "cgroupns", namespace("private"));
    json_object_set_new(spec, "cgroup_parent", json_string(c->cgroup_parent));
    json_t *masked = json_array();
    for (size_t i = 0; i < ARRAY_LEN(MASKED); i++)
        json_array_append_new(masked, json_string(MASKED[i]));
    json_object_set_new(spec, "mask", masked);
}

static void set_files(json_t *spec, const struct policy_container *c)
{
    json_object_set_new(spec, "read_only_filesystem", json_true());
    json_object_set_new(spec, "read_write_tmpfs",
                        json_false()); /* Podman 5 has it; 4 knows no such key */
    json_object_set_new(spec, "image_volume_mode", json_string("ignore"));
    json_object_set_new(spec, "volatile",
                        json_true()); /* what the root's layer holds need not be synced */
    json_object_set_new(spec, "use_image_hosts", json_true());
    json_object_set_new(spec, "use_image_resolve_conf", json_true());
    json_object_set_new(spec, "mounts", mounts(c));
}

static bool are_builder_paths(const struct policy_builder *b)
{
    return !b || (is_path(b->tree_dir) && is_path(b->work_dir) && is_path(b->old_dir) &&
                  is_path(b->host_dir) && (!b->certificates_dir || is_path(b->certificates_dir)) &&
                  (!b->wheels_dir || is_path(b->wheels_dir)) &&
                  (!b->resolv_path || is_path(b->resolv_path)) &&
                  (!b->hosts_path || is_path(b->hosts_path)));
}

int policy_create_json(const struct policy_container *c, char **ret, struct err *e)
{
    if (policy_check_limits(&c->limits, e) < 0)
        return -1;
    if (!is_image_id(c->image_id))
        return err_set(e, ERR_INVALID, "an image id is 64 hex digits");
    if (!are_builder_paths(c->builder) || (c->packages_dir && !is_path(c->packages_dir)) ||
        !is_path(c->init_path) || !is_path(c->seccomp_path) || !is_path(c->empty_path) ||
        !is_path(c->log_path) || (c->wall_dir && !is_path(c->wall_dir)) ||
        (c->workspace_dir && !is_path(c->workspace_dir)))
        return err_set(e, ERR_INVALID, "a path is not absolute or has one of \":,\" in it");
    CLEANUP(json_decref) json_t *spec = json_object();
    set_process(spec, c);
    set_walls(spec, c);
    set_files(spec, c);
    json_object_set_new(spec, "resource_limits", resources(&c->limits));
    json_object_set_new(spec, "r_limits", rlimits(c));
    /* Under pressure the host shall take a sandbox before any of its own. */
    json_object_set_new(spec, "oom_score_adj", json_integer(500));
    char *text = json_dumps(spec, JSON_COMPACT);
    if (!text)
        return err_set(e, ERR_INTERNAL, "the container's document is no UTF-8");
    *ret = text;
    return 0;
}
