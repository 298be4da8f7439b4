/* Every parser of a client's bytes in web/. The first byte says which; the rest is its input. */
#include <stdint.h>
#include <stdlib.h>

#include "base/timestamp.h"
#include "web/accept.h"
#include "protocol/login.h"
#include "web/attempts.h"
#include "web/body.h"
#include "web/cookie.h"
#include "web/fields.h"
#include "web/file_path.h"
#include "web/file_tag.h"
#include "web/origin.h"
#include "web/percent.h"
#include "web/query.h"
#include "web/range.h"
#include "web/router.h"
#include "web/routes.h"
#include "web/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* What the router decodes is UTF-8 without NUL. */
static void fuzz_path(struct slice s)
{
    size_t n;
    struct route_match m;
    const struct route *table = routes_table(&n);
    struct slice token = token_of_path(&s);
    check(token.len <= TOKEN_MAX_BYTES);
    if (router_find(table, n, "GET", s, &m) == ROUTE_FOUND)
        for (size_t i = 0; i < ROUTER_MAX_PARTS; i++)
            check(utf8_valid(slice_str(m.part[i])));
    char file[FILES_MAX_PATH + 1];
    struct err e = ERR_INIT;
    if (router_find(table, n, "GET", s, &m) == ROUTE_FOUND && m.rest.len) {
        check(m.rest.data > s.data && m.rest.data + m.rest.len <= s.data + s.len);
        (void)!file_path_read(m.rest, file, &e);
    }
    CLEANUP_BUF struct buf allow = BUF_INIT(63);
    router_allow(table, n, s, &allow);
    check(!allow.failed);
}

static void fuzz_query(struct slice s)
{
    struct query q;
    struct err e = ERR_INIT;
    int64_t v;
    bool flag;
    if (query_parse(&q, s, &e) == 0) {
        for (size_t i = 0; i < q.n; i++)
            check(query_get(&q, q.items[i].name) == q.items[i].value &&
                  utf8_valid(slice_str(q.items[i].value)));
        check(query_number(&q, "limit", 1, 9, 1, &v, &e) < 0 || (v >= 1 && v <= 9));
        (void)!query_flag(&q, "follow", false, &flag, &e);
        (void)!query_check(&q, "limit follow", &e);
    }
    query_done(&q);
}

/* The readers of one header value. */
static void fuzz_header(const char *text)
{
    struct range range;
    int64_t us;
    struct token t = token_find(text, text, text, slice_of(NULL, 0), slice_of(NULL, 0));
    check(t.text.len <= TOKEN_MAX_BYTES);
    (void)accept_form(text);
    (void)origin_host_allowed(text, "::1");
    (void)origin_is_own(text, text);
    if (range_parse(text, 100, &range) == RANGE_PART)
        check(range.len > 0 && range.first < 100 && range.len <= 100 - range.first);
    (void)timestamp_parse(slice_str(text), &us);
    check(!file_tag_listed(text, "\"a-1\"", false) || file_tag_listed(text, "\"a-1\"", true));
}

/* What is found stands in the header; what is opened was sealed with this secret, as the corpus has it, and can be sealed again. */
static void fuzz_cookie(struct slice s)
{
    static const uint8_t SECRET[LOGIN_SECRET_BYTES] = "the secret of this fuzz target";
    struct slice value = cookie_find(s);
    struct login l, again;
    char text[LOGIN_TEXT_CHARS + 1];
    check(value.len == 0 || (value.data >= s.data && value.data + value.len <= s.data + s.len));
    if (login_open(value, SECRET, &l) != DECODE_OK)
        return;
    check(l.len > 0 && l.len <= LOGIN_TOKEN_BYTES);
    login_seal(&l, SECRET, text);
    check(login_open(slice_str(text), SECRET, &again) == DECODE_OK && l.begun_s == again.begun_s &&
          l.until_s == again.until_s && slice_equal(login_token(&l), login_token(&again)));
}

/* Where a browser is sent after its login is no other host, and fits into a header. */
static void fuzz_next(const char *text)
{
    struct sockaddr peer = { .sa_family = AF_UNSPEC };
    if (origin_path_is_own(text, slice_of(NULL, 0)))
        check(text[0] == '/' && text[1] != '/' && !strpbrk(text, "\\\r\n\t "));
    (void)attempts_of(&peer, text);
}

struct target {
    const char *name;
    struct slice text, env, labels;
    double number;
    int64_t whole;
};

static const struct field FIELDS[] = {
    { "name", FIELD_NAME, offsetof(struct target, name), false, 8, FIELD_NO_CONFIG, NULL },
    { "text", FIELD_TEXT, offsetof(struct target, text), false, 8, FIELD_NO_CONFIG, NULL },
    { "env", FIELD_ENV, offsetof(struct target, env), false, 8, FIELD_NO_CONFIG, NULL },
    { "labels", FIELD_LABELS, offsetof(struct target, labels), false, 8, FIELD_NO_CONFIG, NULL },
    { "number", FIELD_NUMBER, offsetof(struct target, number), false, 8, FIELD_NO_CONFIG, NULL },
    { "whole", FIELD_INTEGER, offsetof(struct target, whole), false, 8, FIELD_NO_CONFIG, NULL },
};

/* What is taken is JSON, and within its limits. */
static void fuzz_body(struct slice s)
{
    CLEANUP_FIELDS struct fields f = { .tree = NULL };
    struct target t = { .number = 1, .whole = 1 };
    struct err e = ERR_INIT;
    if (fields_read(&f, s, FIELDS, sizeof FIELDS / sizeof *FIELDS, NULL, &t, &e) < 0) {
        check(e.code != ERR_NONE && e.text[0]);
        return;
    }
    check(s.len == 0 || body_is_json(s));
    check(t.text.len <= 8 && t.number > 0 && t.number <= 8 && t.whole >= 1 && t.whole <= 8);
    check((!t.env.data || body_is_json(t.env)) && (!t.labels.data || body_is_json(t.labels)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *text = malloc(size); /* exact, so that a sanitizer sees a read behind it */
    check(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    struct slice s = slice_of(text, size - 1);
    if (data[0] == 'p')
        fuzz_path(s);
    else if (data[0] == 'q')
        fuzz_query(s);
    else if (data[0] == 'h')
        fuzz_header(text);
    else if (data[0] == 'b')
        fuzz_body(s);
    else if (data[0] == 'c')
        fuzz_cookie(s);
    else if (data[0] == 'n')
        fuzz_next(text);
    free(text);
    return 0;
}
