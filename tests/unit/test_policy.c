#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "kernelhub/config.h"
#include "sandbox/jansson_owner.h"
#include "sandbox/policy.h"

DEFINE_CLEANUP(struct config, config_free)

#define IMAGE "c919d52b58f9c919d52b58f9c919d52b58f9c919d52b58f9c919d52b58f90000"

static struct policy_container plain(void)
{
    return (struct policy_container){
        .name = "kernelhub-12345678-x",
        .instance = "instance",
        .sandbox_id = "sandbox",
        .user_id = "ann",
        .template_name = "slim",
        .range_index = 7,
        .image_id = IMAGE,
        .first_id = 0x70070000,
        .limits = { .memory_bytes = 256 << 20, .cpus = 1.5, .pids = 64 },
        .init_path = "/lib/init",
        .seccomp_path = "/share/seccomp.json",
        .empty_path = "/state/empty",
        .wall_dir = "/run/x/wall",
        .workspace_dir = "/run/x/workspace",
        .log_path = "/state/log",
        .cgroup_parent = "/kernelhub-12345678",
        .host = { .nofile = 20000, .nproc = 90000 },
    };
}

static json_t *document(const struct policy_container *c)
{
    char *text = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(policy_create_json(c, &text, &e), 0);
    json_t *spec = json_loads(text, 0, NULL);
    free(text);
    assert_non_null(spec);
    return spec;
}

static const char *text_of(const json_t *spec, const char *key)
{
    const char *value = json_string_value(json_object_get(spec, key));
    assert_non_null(value);
    return value;
}

static const char *mode_of(const json_t *spec, const char *namespace)
{
    return text_of(json_object_get(spec, namespace), "nsmode");
}

static json_int_t number_at(const json_t *spec, const char *a, const char *b, const char *c)
{
    const json_t *value = json_object_get(json_object_get(json_object_get(spec, a), b), c);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static const json_t *find(const json_t *list, const char *key, const char *value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(text_of(json_array_get(list, i), key), value) == 0)
            return json_array_get(list, i);
    return NULL;
}

static bool has(const json_t *strings, const char *value)
{
    for (size_t i = 0; i < json_array_size(strings); i++)
        if (strcmp(json_string_value(json_array_get(strings, i)), value) == 0)
            return true;
    return false;
}

static bool mounted_with(const json_t *spec, const char *destination, const char *option)
{
    const json_t *mount = find(json_object_get(spec, "mounts"), "destination", destination);
    assert_non_null(mount);
    return has(json_object_get(mount, "options"), option);
}

static void a_container_has_no_privilege_at_all(void **state)
{
    struct policy_container c = plain();
    CLEANUP(json_decref) json_t *spec = document(&c);
    assert_true(json_is_false(json_object_get(spec, "privileged")));
    assert_true(has(json_object_get(spec, "cap_drop"), "all"));
    assert_null(json_object_get(spec, "cap_add"));
    assert_null(json_object_get(spec, "devices"));
    assert_null(json_object_get(spec, "unmask"));
    assert_true(json_is_true(json_object_get(spec, "no_new_privileges")));
    assert_string_equal(text_of(spec, "seccomp_profile_path"), "/share/seccomp.json");
    assert_string_equal(text_of(spec, "user"), "1000:1000");
}

static void a_container_has_namespaces_of_its_own_and_no_network(void **state)
{
    struct policy_container c = plain();
    CLEANUP(json_decref) json_t *spec = document(&c);
    assert_string_equal(mode_of(spec, "netns"), "none");
    assert_string_equal(mode_of(spec, "ipcns"), "none");
    assert_string_equal(mode_of(spec, "userns"), "private");
    assert_string_equal(mode_of(spec, "pidns"), "private");
    assert_string_equal(mode_of(spec, "utsns"), "private");
    assert_string_equal(mode_of(spec, "cgroupns"), "private");
    assert_string_equal(text_of(spec, "cgroup_parent"), "/kernelhub-12345678");
}

static void the_id_maps_leave_the_wardens_id_out(void **state)
{
    struct policy_container c = plain();
    CLEANUP(json_decref) json_t *spec = document(&c);
    const json_t *maps = json_object_get(spec, "idmappings");
    assert_true(json_is_false(json_object_get(maps, "HostUIDMapping")));
    assert_true(json_is_false(json_object_get(maps, "HostGIDMapping")));
    static const char *const KINDS[] = { "UIDMap", "GIDMap" };
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        const json_t *list = json_object_get(maps, KINDS[i]);
        assert_int_equal(json_array_size(list), 1);
        const json_t *map = json_array_get(list, 0);
        assert_int_equal(json_integer_value(json_object_get(map, "container_id")), 0);
        assert_int_equal(json_integer_value(json_object_get(map, "host_id")), 0x70070000);
        assert_int_equal(json_integer_value(json_object_get(map, "size")), 65535);
    }
}

static void the_root_is_read_only_and_so_is_what_comes_from_us(void **state)
{
    struct policy_container c = plain();
    CLEANUP(json_decref) json_t *spec = document(&c);
    assert_true(json_is_true(json_object_get(spec, "read_only_filesystem")));
    assert_true(json_is_false(json_object_get(spec, "read_write_tmpfs")));
    assert_string_equal(text_of(spec, "image_volume_mode"), "ignore");
    static const char *const OURS[] = { "/usr/sbin/kernelhub-init", "/run/kernelhub", "/etc/hosts",
                                        "/etc/resolv.conf" };
    for (size_t i = 0; i < ARRAY_LEN(OURS); i++) {
        assert_true(mounted_with(spec, OURS[i], "ro"));
        assert_false(mounted_with(spec, OURS[i], "rw"));
    }
    const json_t *mounts = json_object_get(spec, "mounts");
    for (size_t i = 0; i < json_array_size(mounts); i++) {
        const json_t *options = json_object_get(json_array_get(mounts, i), "options");
        assert_true(has(options, "nosuid") && has(options, "nodev"));
    }
    assert_int_equal(json_array_size(mounts), 8);
}

static void what_can_be_written_has_a_size(void **state)
{
    struct policy_container c = plain();
    CLEANUP(json_decref) json_t *spec = document(&c);
    assert_true(mounted_with(spec, "/tmp", "size=134217728"));
    assert_true(mounted_with(spec, "/dev/shm", "size=134217728"));
    assert_true(mounted_with(spec, "/run/kernel", "size=1048576"));
    assert_string_equal(
        text_of(find(json_object_get(spec, "mounts"), "destination", "/workspace"), "source"),
        "/run/x/workspace");
}

static void discovery_sees_no_workspace_and_no_warden(void **state)
{
    struct policy_container c = plain();
    c.wall_dir = c.workspace_dir = NULL;
    c.argument = "discover";
    CLEANUP(json_decref) json_t *spec = document(&c);
    assert_null(find(json_object_get(spec, "mounts"), "destination", "/run/kernelhub"));
    assert_string_equal(
        text_of(find(json_object_get(spec, "mounts"), "destination", "/workspace"), "type"),
        "tmpfs");
    assert_true(has(json_object_get(spec, "command"), "discover"));
    assert_string_equal(json_string_value(json_array_get(json_object_get(spec, "entrypoint"), 0)),
                        "/usr/sbin/kernelhub-init");
}

static void limits_become_control_groups(void **state)
{
    struct policy_container c = plain();
    CLEANUP(json_decref) json_t *spec = document(&c);
    assert_int_equal(number_at(spec, "resource_limits", "memory", "limit"), 256 << 20);
    assert_int_equal(number_at(spec, "resource_limits", "memory", "swap"), 256 << 20);
    assert_int_equal(number_at(spec, "resource_limits", "cpu", "quota"), 150000);
    assert_int_equal(number_at(spec, "resource_limits", "cpu", "period"), 100000);
    assert_int_equal(number_at(spec, "resource_limits", "pids", "limit"), 64);
}

static json_int_t hard(const json_t *spec, const char *type)
{
    const json_t *limit = find(json_object_get(spec, "r_limits"), "type", type);
    assert_non_null(limit);
    json_int_t value = json_integer_value(json_object_get(limit, "hard"));
    assert_int_equal(json_integer_value(json_object_get(limit, "soft")), value);
    return value;
}

static void process_limits_stay_below_our_own(void **state)
{
    struct policy_container c = plain();
    CLEANUP(json_decref) json_t *spec = document(&c);
    assert_int_equal(hard(spec, "nofile"), 16384);
    assert_int_equal(hard(spec, "nproc"), 64);
    assert_int_equal(hard(spec, "core"), 0);
    assert_true(hard(spec, "fsize") == POLICY_FILE_BYTES);
    c.host = (struct policy_host){ .nofile = 1000, .nproc = 20 };
    c.limits.workspace_bytes = 5000;
    CLEANUP(json_decref) json_t *small = document(&c);
    assert_int_equal(hard(small, "nofile"), 1000);
    assert_int_equal(hard(small, "nproc"), 20);
    assert_int_equal(hard(small, "fsize"), 5000);
}

static void nothing_of_the_host_comes_along(void **state)
{
    struct policy_container c = plain();
    CLEANUP(json_decref) json_t *spec = document(&c);
    assert_true(json_is_false(json_object_get(spec, "httpproxy")));
    assert_true(json_is_false(json_object_get(spec, "env_host")));
    assert_true(json_is_true(json_object_get(spec, "use_image_hosts")));
    assert_true(json_is_true(json_object_get(spec, "use_image_resolve_conf")));
    assert_null(json_object_get(spec, "timezone"));
    assert_string_equal(text_of(spec, "hostname"), "sandbox");
    static const char *const HIDDEN[] = { "/proc/cmdline", "/proc/kcore", "/proc/keys",
                                          "/proc/timer_list", "/sys/firmware" };
    for (size_t i = 0; i < ARRAY_LEN(HIDDEN); i++)
        assert_true(has(json_object_get(spec, "mask"), HIDDEN[i]));
    assert_string_equal(text_of(spec, "restart_policy"), "no");
    assert_string_equal(text_of(spec, "umask"), "0022");
    assert_int_equal(json_integer_value(json_object_get(spec, "stop_signal")), 9);
    assert_string_equal(text_of(spec, "systemd"), "false");
}

static void labels_say_whose_it_is(void **state)
{
    struct policy_container c = plain();
    CLEANUP(json_decref) json_t *spec = document(&c);
    const json_t *labels = json_object_get(spec, "labels");
    assert_string_equal(text_of(labels, "io.kernelhub.instance"), "instance");
    assert_string_equal(text_of(labels, "io.kernelhub.sandbox"), "sandbox");
    assert_string_equal(text_of(labels, "io.kernelhub.user"), "ann");
    assert_string_equal(text_of(labels, "io.kernelhub.template"), "slim");
    assert_string_equal(text_of(labels, "io.kernelhub.range"), "7");
}

static void refused(struct policy_container c)
{
    char *text = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(policy_create_json(&c, &text, &e), -1);
    assert_int_equal(e.code, ERR_INVALID);
    assert_null(text);
}

static void limits_beyond_policy_are_refused(void **state)
{
    static const struct verb_limits BAD[] = {
        { .memory_bytes = 1 << 20, .cpus = 1, .pids = 64 },
        { .memory_bytes = INT64_MAX, .cpus = 1, .pids = 64 },
        { .memory_bytes = 1 << 28, .cpus = 0, .pids = 64 },
        { .memory_bytes = 1 << 28, .cpus = 1e5, .pids = 64 },
        { .memory_bytes = 1 << 28, .cpus = 1, .pids = 1 },
        { .memory_bytes = 1 << 28, .cpus = 1, .pids = 1 << 23 },
        { .memory_bytes = 1 << 28, .cpus = 1, .pids = 64, .workspace_bytes = -1 },
    };
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        struct policy_container c = plain();
        c.limits = BAD[i];
        refused(c);
    }
}

/* The hub sends what the configuration says, so whatever can be written there must be accepted here. */
static void what_the_configuration_allows_is_allowed(void **state)
{
    static const struct {
        const char *memory, *cpus, *pids, *workspace;
    } ENDS[] = { { "32M", "0.01", "16", "1M" }, { "64T", "4096", "4194304", "1024T" } };
    for (size_t i = 0; i < ARRAY_LEN(ENDS); i++) {
        CLEANUP(config_free) struct config *config = config_new();
        struct err e = ERR_INIT;
        assert_int_equal(config_set(config, "limits/memory_bytes", ENDS[i].memory, "", &e), 0);
        assert_int_equal(config_set(config, "limits/cpus", ENDS[i].cpus, "", &e), 0);
        assert_int_equal(config_set(config, "limits/pids", ENDS[i].pids, "", &e), 0);
        assert_int_equal(config_set(config, "limits/workspace_bytes", ENDS[i].workspace, "", &e),
                         0);
        const struct verb_limits limits = {
            .memory_bytes = config_number(config, CONFIG_LIMITS_MEMORY),
            .cpus = (double)config_number(config, CONFIG_LIMITS_CPUS) / 1000.0,
            .pids = config_number(config, CONFIG_LIMITS_PIDS),
            .workspace_bytes = config_number(config, CONFIG_LIMITS_WORKSPACE),
        };
        if (policy_check_limits(&limits, &e) < 0)
            fail_msg("%s", e.text);
    }
    /* and these are the ends */
    CLEANUP(config_free) struct config *config = config_new();
    struct err e = ERR_INIT;
    assert_int_equal(config_set(config, "limits/memory_bytes", "65T", "", &e), -1);
    assert_int_equal(config_set(config, "limits/cpus", "4097", "", &e), -1);
    assert_int_equal(config_set(config, "limits/pids", "4194305", "", &e), -1);
}

static const char *const VARIABLES[] = { "PATH=/opt/bin", "A=b=c", "none", NULL };

static struct policy_builder builder(void)
{
    return (struct policy_builder){ .language = "python",
                                    .tree_dir = "/run/b/tree",
                                    .work_dir = "/run/b/work",
                                    .old_dir = "/run/b/old",
                                    .host_dir = "/run/b/host",
                                    .environment = VARIABLES };
}

static void packages_are_read_only_and_may_be_executed(void **state)
{
    struct policy_container c = plain();
    c.packages_dir = "/run/x/packages";
    CLEANUP(json_decref) json_t *spec = document(&c);
    const json_t *m = find(json_object_get(spec, "mounts"), "destination", "/packages");
    assert_non_null(m);
    assert_string_equal(text_of(m, "source"), "/run/x/packages");
    const json_t *options = json_object_get(m, "options");
    assert_true(has(options, "ro") && has(options, "nosuid") && has(options, "nodev"));
    assert_false(has(options, "noexec"));
}

static void a_builder_has_the_walls_of_a_sandbox_and_none_of_its_ways(void **state)
{
    struct policy_builder b = builder();
    struct policy_container c = plain();
    c.wall_dir = c.workspace_dir = NULL;
    c.builder = &b;
    CLEANUP(json_decref) json_t *spec = document(&c);
    assert_string_equal(text_of(spec, "user"), "1000:1000");
    assert_string_equal(text_of(spec, "seccomp_profile_path"), "/share/seccomp.json");
    assert_true(json_is_true(json_object_get(spec, "no_new_privileges")));
    assert_true(json_is_true(json_object_get(spec, "read_only_filesystem")));
    assert_string_equal(mode_of(spec, "netns"), "none");
    assert_string_equal(text_of(spec, "work_dir"), "/build");
    const json_t *mounts = json_object_get(spec, "mounts");
    static const struct {
        const char *destination, *source, *option;
    } SEEN[] = { { "/packages/python", "/run/b/tree", "rw" },
                 { "/build", "/run/b/work", "rw" },
                 { "/run/packages", "/run/b/old", "ro" },
                 { "/run/kernelhub", "/run/b/host", "ro" },
                 { "/etc/hosts", "/state/empty", "ro" },
                 { "/etc/resolv.conf", "/state/empty", "ro" },
                 { "/workspace", "tmpfs", "rw" } };
    for (size_t i = 0; i < ARRAY_LEN(SEEN); i++) {
        const json_t *m = find(mounts, "destination", SEEN[i].destination);
        assert_non_null(m);
        assert_string_equal(text_of(m, "source"), SEEN[i].source);
        assert_true(has(json_object_get(m, "options"), SEEN[i].option));
    }
    assert_null(find(mounts, "destination", "/usr/sbin/kernelhub-init"));
    assert_null(find(mounts, "destination", "/etc/ssl/certs"));
    assert_int_equal(json_array_size(mounts), ARRAY_LEN(SEEN) + 3); /* and the tmpfs of all */
    const json_t *env = json_object_get(spec, "env");
    assert_string_equal(text_of(env, "PATH"), "/opt/bin");
    assert_string_equal(text_of(env, "A"), "b=c");
    assert_null(json_object_get(env, "none"));
}

static void a_builder_has_the_hosts_network_only_when_it_is_told_so(void **state)
{
    struct policy_builder b = builder();
    struct policy_container c = plain();
    b.host_network = true;
    b.resolv_path = "/etc/resolv.conf";
    b.hosts_path = "/etc/hosts";
    b.certificates_dir = "/etc/ssl/certs";
    b.wheels_dir = "/srv/wheels";
    c.builder = &b;
    CLEANUP(json_decref) json_t *spec = document(&c);
    const json_t *mounts = json_object_get(spec, "mounts");
    assert_string_equal(mode_of(spec, "netns"), "host");
    assert_string_equal(mode_of(spec, "ipcns"), "none");
    assert_string_equal(mode_of(spec, "pidns"), "private");
    assert_string_equal(text_of(find(mounts, "destination", "/etc/resolv.conf"), "source"),
                        "/etc/resolv.conf");
    static const char *const LENT[] = { "/etc/ssl/certs", "/run/wheels", "/etc/hosts" };
    for (size_t i = 0; i < ARRAY_LEN(LENT); i++)
        assert_true(has(json_object_get(find(mounts, "destination", LENT[i]), "options"), "ro"));
    b.wheels_dir = "/srv/a:b";
    refused(c);
    b.wheels_dir = NULL;
    b.tree_dir = "relative";
    refused(c);
}

static void names_in_place_of_ids_and_paths_are_refused(void **state)
{
    struct policy_container c = plain();
    c.image_id = "localhost/kernelhub-slim:latest";
    refused(c);
    c = plain();
    c.workspace_dir = "/run/x:/etc";
    refused(c);
    c = plain();
    c.wall_dir = "relative";
    refused(c);
    c = plain();
    c.init_path = "/lib/../etc/init";
    refused(c);
    c = plain();
    c.seccomp_path = "unconfined";
    refused(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_container_has_no_privilege_at_all),
        cmocka_unit_test(a_container_has_namespaces_of_its_own_and_no_network),
        cmocka_unit_test(the_id_maps_leave_the_wardens_id_out),
        cmocka_unit_test(the_root_is_read_only_and_so_is_what_comes_from_us),
        cmocka_unit_test(what_can_be_written_has_a_size),
        cmocka_unit_test(discovery_sees_no_workspace_and_no_warden),
        cmocka_unit_test(limits_become_control_groups),
        cmocka_unit_test(process_limits_stay_below_our_own),
        cmocka_unit_test(nothing_of_the_host_comes_along),
        cmocka_unit_test(labels_say_whose_it_is),
        cmocka_unit_test(limits_beyond_policy_are_refused),
        cmocka_unit_test(what_the_configuration_allows_is_allowed),
        cmocka_unit_test(packages_are_read_only_and_may_be_executed),
        cmocka_unit_test(a_builder_has_the_walls_of_a_sandbox_and_none_of_its_ways),
        cmocka_unit_test(a_builder_has_the_hosts_network_only_when_it_is_told_so),
        cmocka_unit_test(names_in_place_of_ids_and_paths_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
