#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>

#include "base/buf.h"
#include "web/docs.h"
#include "web/router.h"
#include "web/routes.h"

static enum route_found find(const char *method, const char *path, struct route_match *m)
{
    size_t n;
    const struct route *table = routes_table(&n);
    return router_find(table, n, method, slice_str(path), m);
}

static void a_path_finds_its_line_and_its_parts(void **state)
{
    struct route_match m;
    assert_int_equal(find("GET", "/api/v1/executions/abc/blobs/7", &m), ROUTE_FOUND);
    assert_string_equal(m.route->pattern, "/api/v1/executions/{id}/blobs/{n}");
    assert_string_equal(m.part[0], "abc");
    assert_string_equal(m.part[1], "7");
    assert_int_equal(find("HEAD", "/", &m), ROUTE_FOUND);
    assert_string_equal(m.route->method, "GET");
}

static void a_part_is_decoded_after_it_was_cut(void **state)
{
    struct route_match m;
    assert_int_equal(find("GET", "/api/v1/sessions/a%2Fb%20%C3%BC%25", &m), ROUTE_FOUND);
    assert_string_equal(m.part[0], "a/b ü%");
    assert_string_equal(m.part[1], "");
}

static void what_does_not_fit_whole_is_not_found(void **state)
{
    static const char *const PATHS[] = { "",
                                         "api",
                                         "/api/v1/sessions/",
                                         "/api/v1//sessions",
                                         "/api/v1/sessions/a/",
                                         "/api/v1/sessions//restart",
                                         "/api/v1/sessions/a/b/c",
                                         "/api/v1/sessio",
                                         "/API/v1/sessions",
                                         "/api/v1/%73essions",
                                         "//" };
    struct route_match m;
    for (size_t i = 0; i < sizeof PATHS / sizeof *PATHS; i++)
        assert_int_equal(find("GET", PATHS[i], &m), ROUTE_NOT_FOUND);
}

static void a_bad_escape_is_bad_only_in_a_path_that_exists(void **state)
{
    struct route_match m;
    assert_int_equal(find("GET", "/api/v1/sessions/%zz", &m), ROUTE_BAD_PATH);
    assert_int_equal(find("GET", "/api/v1/sessions/%00", &m), ROUTE_BAD_PATH);
    assert_int_equal(find("GET", "/api/v1/sessions/%c3%28", &m), ROUTE_BAD_PATH);
    assert_int_equal(find("GET", "/api/v1/nothing/%zz", &m), ROUTE_NOT_FOUND);
}

static void a_part_may_have_255_bytes(void **state)
{
    char path[600] = "/api/v1/sessions/";
    size_t start = strlen(path);
    struct route_match m;
    memset(path + start, 'x', 255);
    assert_int_equal(find("GET", path, &m), ROUTE_FOUND);
    path[start + 255] = 'x';
    assert_int_equal(find("GET", path, &m), ROUTE_BAD_PATH);
}

static void a_wrong_method_says_what_is_allowed(void **state)
{
    size_t n;
    const struct route *table = routes_table(&n);
    struct route_match m;
    CLEANUP_BUF struct buf allow = BUF_INIT(100);
    assert_int_equal(find("PATCH", "/api/v1/sessions/a", &m), ROUTE_WRONG_METHOD);
    assert_int_equal(find("HEAD", "/api/v1/execute", &m), ROUTE_WRONG_METHOD);
    router_allow(table, n, SLICE_LITERAL("/api/v1/sessions/a"), &allow);
    assert_string_equal(allow.data, "GET, HEAD, DELETE, OPTIONS");
    buf_reset(&allow);
    router_allow(table, n, SLICE_LITERAL("/nothing"), &allow);
    assert_int_equal(allow.len, 0);
}

/* ---- docs/openapi.json says what the table says ---- */

static json_t *paths(json_t **ret_tree)
{
    struct slice text = docs_openapi_text();
    *ret_tree = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(*ret_tree);
    return json_object_get(*ret_tree, "paths");
}

/* "{path...}" of a pattern is "{path}" there. */
static const char *described_path(const struct route *route, char ret[128])
{
    const char *dots = strstr(route->pattern, "...}");
    (void)snprintf(ret, 128, "%.*s%s", dots ? (int)(dots - route->pattern) : 127, route->pattern,
                   dots ? dots + 3 : "");
    return ret;
}

static json_t *operation(json_t *all, const struct route *route)
{
    char path[128];
    char method[8] = "";
    for (size_t i = 0; route->method[i] && i < 7; i++)
        method[i] = (char)(route->method[i] | 32);
    return json_object_get(json_object_get(all, described_path(route, path)), method);
}

static void every_route_is_described(void **state)
{
    size_t n;
    const struct route *table = routes_table(&n);
    json_t *tree, *all = paths(&tree);
    for (size_t i = 0; i < n; i++) {
        if (table[i].flags & ROUTE_HIDDEN)
            continue;
        json_t *described = operation(all, &table[i]);
        if (!described)
            fail_msg("%s %s is not in docs/openapi.json", table[i].method, table[i].pattern);
        bool has_body = json_object_get(described, "requestBody") != NULL;
        assert_int_equal(has_body, (table[i].flags & ROUTE_BODY) != 0);
        json_t *security = json_object_get(described, "security");
        assert_int_equal(security && json_array_size(security) == 0,
                         (table[i].flags & ROUTE_OPEN) != 0);
    }
    json_decref(tree);
}

static bool listed(const char *words, const char *name)
{
    const char *at = strstr(words, name);
    size_t n = strlen(name);
    return at && (at == words || at[-1] == ' ') && (at[n] == '\0' || at[n] == ' ');
}

static size_t words_in(const char *words)
{
    size_t n = *words != '\0';
    for (; *words; words++)
        n += *words == ' ';
    return n;
}

static void every_parameter_is_described(void **state)
{
    size_t n, k;
    const struct route *table = routes_table(&n);
    json_t *tree, *all = paths(&tree), *parameter;
    for (size_t i = 0; i < n; i++) {
        size_t in_query = 0;
        if (table[i].flags & ROUTE_HIDDEN)
            continue;
        json_array_foreach(json_object_get(operation(all, &table[i]), "parameters"), k, parameter)
        {
            if (strcmp(json_string_value(json_object_get(parameter, "in")), "query") != 0)
                continue;
            in_query++;
            assert_true(
                listed(table[i].query, json_string_value(json_object_get(parameter, "name"))));
        }
        assert_int_equal(in_query, words_in(table[i].query));
    }
    json_decref(tree);
}

static void every_description_has_a_route(void **state)
{
    struct route_match m;
    json_t *tree, *all = paths(&tree), *methods, *described;
    const char *path, *method;
    json_object_foreach(all, path, methods)
    {
        json_object_foreach(methods, method, described)
        {
            char upper[8] = "", said[128];
            for (size_t i = 0; method[i] && i < 7; i++)
                upper[i] = (char)(method[i] & ~32);
            if (find(upper, path, &m) != ROUTE_FOUND ||
                strcmp(described_path(m.route, said), path) != 0)
                fail_msg("%s %s is described, but there is no such route", upper, path);
        }
    }
    json_decref(tree);
}

static void the_page_is_made_of_the_description(void **state)
{
    CLEANUP_BUF struct buf page = BUF_INIT(4 << 20);
    assert_true(docs_html_write(docs_openapi_text(), &page));
    assert_non_null(strstr(page.data, "<code>/api/v1/execute/async</code>"));
    assert_null(strstr(page.data, "<script"));
    buf_reset(&page);
    assert_false(docs_html_write(SLICE_LITERAL("[1"), &page));
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(a_path_finds_its_line_and_its_parts),
        cmocka_unit_test(a_part_is_decoded_after_it_was_cut),
        cmocka_unit_test(what_does_not_fit_whole_is_not_found),
        cmocka_unit_test(a_bad_escape_is_bad_only_in_a_path_that_exists),
        cmocka_unit_test(a_part_may_have_255_bytes),
        cmocka_unit_test(a_wrong_method_says_what_is_allowed),
        cmocka_unit_test(every_route_is_described),
        cmocka_unit_test(every_parameter_is_described),
        cmocka_unit_test(every_description_has_a_route),
        cmocka_unit_test(the_page_is_made_of_the_description),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
