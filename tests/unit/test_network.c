/* Which addresses may be called, and which never. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/network.h"

static struct network_address address(const char *text)
{
    struct network_address a;
    if (!network_address_parse(slice_str(text), &a))
        fail_msg("%s is no address", text);
    return a;
}

static void public_addresses_are_public(void **state)
{
    static const char *const PUBLIC[] = {
        "1.1.1.1",        "8.8.8.8",         "9.255.255.255",   "11.0.0.0",
        "100.63.255.255", "100.128.0.0",     "126.255.255.255", "128.0.0.0",
        "168.63.129.15",  "169.253.255.255", "169.255.0.0",     "172.15.255.255",
        "172.32.0.0",     "192.0.1.0",       "192.0.3.0",       "192.167.255.255",
        "192.169.0.0",    "198.17.255.255",  "198.20.0.0",      "223.255.255.255",
        "::ffff:1.1.1.1", "2000::1",         "2001:200::1",     "2001:4860:4860::8888",
        "2001:db7::1",    "2001:db9::1",     "2003::1",         "2606:4700::1111",
        "3ffd::1",        "3fff:1000::1",
    };
    for (size_t i = 0; i < ARRAY_LEN(PUBLIC); i++) {
        struct network_address a = address(PUBLIC[i]);
        if (network_special(&a))
            fail_msg("%s is said to be %s", PUBLIC[i], network_special(&a));
    }
}

static void special_addresses_are_named(void **state)
{
    static const struct {
        const char *address, *name;
    } SPECIAL[] = {
        { "0.0.0.0", "this network" },
        { "0.255.255.255", "this network" },
        { "10.0.0.0", "private" },
        { "10.255.255.255", "private" },
        { "100.64.0.0", "shared by carriers" },
        { "100.127.255.255", "shared by carriers" },
        { "127.0.0.1", "loopback" },
        { "127.255.255.254", "loopback" },
        { "168.63.129.16", "of a cloud's own" },
        { "169.254.169.254", "link-local" },
        { "172.16.0.0", "private" },
        { "172.31.255.255", "private" },
        { "192.0.0.170", "for protocols" },
        { "192.0.2.1", "for documentation" },
        { "192.88.99.1", "a 6to4 relay" },
        { "192.168.0.1", "private" },
        { "198.18.0.1", "for benchmarks" },
        { "198.19.255.255", "for benchmarks" },
        { "198.51.100.7", "for documentation" },
        { "203.0.113.7", "for documentation" },
        { "224.0.0.1", "multicast" },
        { "239.255.255.255", "multicast" },
        { "240.0.0.1", "reserved" },
        { "255.255.255.255", "reserved" },
        { "::", "unspecified" },
        { "::1", "loopback" },
        { "::2", "an embedded IPv4 address" },
        { "::127.0.0.1", "an embedded IPv4 address" },
        { "::8.8.8.8", "an embedded IPv4 address" },
        { "::ffff:127.0.0.1", "loopback" },
        { "::ffff:10.1.2.3", "private" },
        { "::ffff:169.254.169.254", "link-local" },
        { "::ffff:0:127.0.0.1", "an embedded IPv4 address" },
        { "64:ff9b::127.0.0.1", "an embedded IPv4 address" },
        { "64:ff9b::8.8.8.8", "an embedded IPv4 address" },
        { "64:ff9b:1::1", "an embedded IPv4 address" },
        { "100::1", "reserved" },
        { "2001::1", "an embedded IPv4 address" },
        { "2001:0:ffff::1", "an embedded IPv4 address" },
        { "2001:10::1", "for protocols" },
        { "2001:1ff:ffff::1", "for protocols" },
        { "2001:db8::1", "for documentation" },
        { "2002:7f00:1::1", "an embedded IPv4 address" },
        { "3ffe::1", "reserved" },
        { "3fff:fff::1", "for documentation" },
        { "4000::1", "reserved" },
        { "5f00::1", "reserved" },
        { "fc00::1", "private" },
        { "fd00:ec2::254", "private" },
        { "fdff:ffff::1", "private" },
        { "fe80::1", "link-local" },
        { "febf::1", "link-local" },
        { "fec0::1", "site-local" },
        { "ff02::1", "multicast" },
    };
    for (size_t i = 0; i < ARRAY_LEN(SPECIAL); i++) {
        struct network_address a = address(SPECIAL[i].address);
        const char *name = network_special(&a);
        if (!name || strcmp(name, SPECIAL[i].name) != 0)
            fail_msg("%s is said to be %s", SPECIAL[i].address, name ? name : "public");
    }
}

static void only_whole_addresses_are_addresses(void **state)
{
    static const char *const WRONG[] = { "",
                                         "127.1",
                                         "2130706433",
                                         "0x7f.0.0.1",
                                         "1.2.3",
                                         "1.2.3.4.5",
                                         "1.2.3.256",
                                         " 1.2.3.4",
                                         "1.2.3.4 ",
                                         "[::1]",
                                         "fe80::1%eth0",
                                         ":::",
                                         "12345::",
                                         "localhost",
                                         "1.2.3.4/8",
                                         "0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:1" };
    struct network_address a;
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++)
        if (network_address_parse(slice_str(WRONG[i]), &a))
            fail_msg("'%s' was taken", WRONG[i]);
    assert_false(network_address_parse(SLICE_LITERAL("1.2.3.4\0x"), &a));
}

static void networks_are_read(void **state)
{
    static const char *const WRONG[] = {
        "",           "/8",      "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x",
        "10.0.0.1/8", "::1/127", "::/129",    "::/0000",     "ten/8",       "10.0.0.0/8/8"
    };
    struct network n;
    for (size_t i = 0; i < ARRAY_LEN(WRONG); i++)
        if (network_parse(slice_str(WRONG[i]), &n))
            fail_msg("'%s' was taken", WRONG[i]);
    assert_true(network_parse(SLICE_LITERAL("10.2.0.0/15"), &n));
    struct network_address in = address("10.3.255.255"), out = address("10.4.0.0");
    assert_true(network_contains(&n, &in));
    assert_false(network_contains(&n, &out));
    struct network_address mapped = address("::ffff:10.2.0.1"), similar = address("::10.2.0.1");
    assert_true(network_contains(&n, &mapped));
    assert_false(network_contains(&n, &similar));
    assert_true(network_parse(SLICE_LITERAL("127.0.0.1"), &n));
    assert_int_equal(n.bits, 128);
    assert_true(network_parse(SLICE_LITERAL("::/0"), &n));
    assert_true(network_contains(&n, &out));
    assert_true(network_parse(SLICE_LITERAL("0.0.0.0/0"), &n));
    struct network_address six = address("::1");
    assert_false(network_contains(&n, &six));
}

static void sockets_addresses_are_read(void **state)
{
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    struct sockaddr_un path = { .sun_family = AF_UNIX };
    struct network_address a;
    assert_true(network_address_of((struct sockaddr *)&four, &a));
    assert_string_equal(network_special(&a), "loopback");
    assert_true(network_address_of((struct sockaddr *)&six, &a));
    assert_string_equal(network_special(&a), "loopback");
    assert_false(network_address_of((struct sockaddr *)&path, &a));
}

static void a_policy_allows_what_it_names(void **state)
{
    struct network_policy p;
    struct err e = ERR_INIT;
    struct network_address loopback = address("127.0.0.1"), private = address("10.1.0.1"),
                           public = address("1.1.1.1"), six = address("fd00::1");
    assert_int_equal(network_policy_parse(&p, "", false, &e), 0);
    assert_string_equal(network_policy_refuses(&p, &loopback), "loopback");
    assert_null(network_policy_refuses(&p, &public));
    assert_int_equal(network_policy_parse(&p, " 127.0.0.1/32,fd00::/8 , ", false, &e), 0);
    assert_int_equal(p.n_allowed, 2);
    assert_null(network_policy_refuses(&p, &loopback));
    assert_null(network_policy_refuses(&p, &six));
    assert_string_equal(network_policy_refuses(&p, &private), "private");
    assert_int_equal(network_policy_parse(&p, "", true, &e), 0);
    assert_null(network_policy_refuses(&p, &private));
    assert_int_equal(network_policy_parse(&p, "10.0.0.0/8,10.0.0.1/8", false, &e), -1);
    assert_non_null(strstr(e.text, "'10.0.0.1/8' is no network"));
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(public_addresses_are_public),
        cmocka_unit_test(special_addresses_are_named),
        cmocka_unit_test(only_whole_addresses_are_addresses),
        cmocka_unit_test(networks_are_read),
        cmocka_unit_test(sockets_addresses_are_read),
        cmocka_unit_test(a_policy_allows_what_it_names),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
