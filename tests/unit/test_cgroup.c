#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sandbox/cgroup.h"

static const char HYBRID[] =
    "9:name=systemd:/a\n4:memory:/kernelhub-1/libpod-2\n2:cpu,cpuacct:/c\n0::/unified\n";
static const char UNIFIED[] = "0::/user.slice/x:y\n";
static const char MOUNTS[] =
    "21 1 0:19 / /proc rw,nosuid shared:5 - proc proc rw\n"
    "30 24 0:26 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory\n"
    "31 24 0:27 /docker/1 /sys/fs/cgroup/cpu,cpuacct rw shared:9 master:1 - cgroup cgroup "
    "rw,cpu,cpuacct\n"
    "32 24 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";

static void v1_membership_is_found_by_controller(void **state)
{
    char path[100];
    assert_true(cgroup_parse_membership(slice_str(HYBRID), "memory", path, sizeof path));
    assert_string_equal(path, "/kernelhub-1/libpod-2");
    assert_true(cgroup_parse_membership(slice_str(HYBRID), "cpuacct", path, sizeof path));
    assert_string_equal(path, "/c");
    assert_false(cgroup_parse_membership(slice_str(HYBRID), "mem", path, sizeof path));
    assert_false(cgroup_parse_membership(slice_str(HYBRID), "pids", path, sizeof path));
}

static void v2_membership_is_the_line_without_controllers(void **state)
{
    char path[100];
    assert_true(cgroup_parse_membership(slice_str(HYBRID), "", path, sizeof path));
    assert_string_equal(path, "/unified");
    assert_true(cgroup_parse_membership(slice_str(UNIFIED), "", path, sizeof path));
    assert_string_equal(path, "/user.slice/x:y");
    assert_false(cgroup_parse_membership(slice_str(UNIFIED), "memory", path, sizeof path));
}

static void a_path_that_does_not_fit_is_no_path(void **state)
{
    char path[10];
    assert_false(cgroup_parse_membership(slice_str(HYBRID), "memory", path, sizeof path));
    assert_false(cgroup_parse_membership(slice_str("0::relative\n"), "", path, sizeof path));
    assert_false(cgroup_parse_membership(slice_str("0::"), "", path, sizeof path));
    assert_false(cgroup_parse_membership(slice_str(""), "", path, sizeof path));
}

static void mounts_are_found_by_controller_and_version(void **state)
{
    char point[100], root[100];
    assert_true(
        cgroup_parse_mount(slice_str(MOUNTS), "memory", point, sizeof point, root, sizeof root));
    assert_string_equal(point, "/sys/fs/cgroup/memory");
    assert_string_equal(root, "/");
    assert_true(
        cgroup_parse_mount(slice_str(MOUNTS), "cpuacct", point, sizeof point, root, sizeof root));
    assert_string_equal(root, "/docker/1");
    assert_true(cgroup_parse_mount(slice_str(MOUNTS), "", point, sizeof point, root, sizeof root));
    assert_string_equal(point, "/sys/fs/cgroup/unified");
    assert_false(
        cgroup_parse_mount(slice_str(MOUNTS), "pids", point, sizeof point, root, sizeof root));
}

static void numbers_know_no_limit_by_both_its_names(void **state)
{
    uint64_t n = 0;
    assert_true(cgroup_parse_number(slice_str("4096\n"), &n));
    assert_int_equal(n, 4096);
    assert_true(cgroup_parse_number(slice_str("max\n"), &n));
    assert_true(n == CGROUP_NO_LIMIT);
    assert_true(cgroup_parse_number(slice_str("9223372036854771712\n"), &n));
    assert_true(n == CGROUP_NO_LIMIT);
    assert_false(cgroup_parse_number(slice_str(""), &n));
    assert_false(cgroup_parse_number(slice_str("-1"), &n));
    assert_false(cgroup_parse_number(slice_str("12 "), &n));
    assert_false(cgroup_parse_number(slice_str("99999999999999999999"), &n));
}

static void oom_kills_are_read_in_both_versions(void **state)
{
    uint64_t n = 0;
    assert_true(
        cgroup_parse_oom_kills(slice_str("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"), &n));
    assert_int_equal(n, 3);
    assert_true(cgroup_parse_oom_kills(
        slice_str("low 0\nhigh 0\nmax 12\noom 2\noom_kill 1\noom_group_kill 0\n"), &n));
    assert_int_equal(n, 1);
    assert_false(cgroup_parse_oom_kills(slice_str("oom_kill_disable 0\n"), &n));
    assert_false(cgroup_parse_oom_kills(slice_str("oom_kill\n"), &n));
}

static void cpu_time_is_microseconds_in_both_versions(void **state)
{
    uint64_t us = 0;
    assert_true(cgroup_parse_cpu_us(1, slice_str("123456789\n"), &us));
    assert_int_equal(us, 123456);
    assert_true(cgroup_parse_cpu_us(2, slice_str("usage_usec 55\nuser_usec 50\n"), &us));
    assert_int_equal(us, 55);
    assert_false(cgroup_parse_cpu_us(2, slice_str("123\n"), &us));
}

static void files_are_named_after_the_version(void **state)
{
    assert_string_equal(cgroup_file_name(1, CGROUP_MEMORY_NOW), "memory.usage_in_bytes");
    assert_string_equal(cgroup_file_name(2, CGROUP_MEMORY_NOW), "memory.current");
    assert_string_equal(cgroup_file_name(1, CGROUP_OOM), "memory.oom_control");
    assert_string_equal(cgroup_file_name(2, CGROUP_OOM), "memory.events");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(v1_membership_is_found_by_controller),
        cmocka_unit_test(v2_membership_is_the_line_without_controllers),
        cmocka_unit_test(a_path_that_does_not_fit_is_no_path),
        cmocka_unit_test(mounts_are_found_by_controller_and_version),
        cmocka_unit_test(numbers_know_no_limit_by_both_its_names),
        cmocka_unit_test(oom_kills_are_read_in_both_versions),
        cmocka_unit_test(cpu_time_is_microseconds_in_both_versions),
        cmocka_unit_test(files_are_named_after_the_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
