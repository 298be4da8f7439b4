#include "protocol/version.h"

#include <ctype.h>

struct cursor {
    const char *at, *end;
};

static struct cursor cursor_of(struct slice s)
{
    return (struct cursor){ .at = s.data, .end = s.data + s.len };
}

static bool take_char(struct cursor *c, char what)
{
    if (c->at == c->end || *c->at != what)
        return false;
    c->at++;
    return true;
}

static bool take_word(struct cursor *c, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0)
        return false;
    c->at += n;
    return true;
}

static bool take_number(struct cursor *c, uint32_t *ret)
{
    uint32_t n = 0;
    const char *begin = c->at;
    for (; c->at < c->end && isdigit((unsigned char)*c->at); c->at++)
        if (__builtin_mul_overflow(n, 10u, &n) ||
            __builtin_add_overflow(n, (uint32_t)(*c->at - '0'), &n))
            return false;
    *ret = n;
    return c->at > begin;
}

/* 1.2.3; a dot that no digit follows is left. */
static bool take_parts(struct cursor *c, struct version *ret)
{
    do {
        if (ret->n_parts == VERSION_MAX_PARTS || !take_number(c, &ret->part[ret->n_parts]))
            return false;
        ret->n_parts++;
    } while (c->end - c->at >= 2 && c->at[0] == '.' && isdigit((unsigned char)c->at[1]) && c->at++);
    return true;
}

static bool is_local(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!islower((unsigned char)s.data[i]) && !isdigit((unsigned char)s.data[i]) &&
            s.data[i] != '.')
            return false;
    return s.len > 0 && s.data[0] != '.' && s.data[s.len - 1] != '.';
}

bool version_parse_python(struct slice text, struct version *ret)
{
    static const struct {
        const char *word;
        int kind;
    } PRE[] = { { "a", 'a' }, { "b", 'b' }, { "rc", 'c' } };
    struct version v = { .n_parts = 0 };
    struct cursor c = cursor_of(text);
    uint32_t epoch;
    struct cursor first = c;
    if (take_number(&first, &epoch) && take_char(&first, '!')) {
        v.epoch = epoch;
        c = first;
    }
    if (!take_parts(&c, &v))
        return false;
    for (size_t i = 0; i < 3 && !v.pre_kind; i++)
        if (take_word(&c, PRE[i].word)) {
            v.pre_kind = PRE[i].kind;
            if (!take_number(&c, &v.pre))
                return false;
        }
    v.has_post = take_word(&c, ".post");
    if (v.has_post && !take_number(&c, &v.post))
        return false;
    v.has_dev = take_word(&c, ".dev");
    if (v.has_dev && !take_number(&c, &v.dev))
        return false;
    if (take_char(&c, '+')) {
        v.local = slice_of(c.at, (size_t)(c.end - c.at));
        if (!is_local(v.local))
            return false;
        c.at = c.end;
    }
    *ret = v;
    return c.at == c.end;
}

static bool is_npm_tail(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!isalnum((unsigned char)s.data[i]) && s.data[i] != '.' && s.data[i] != '-')
            return false;
    return s.len > 0;
}

bool version_parse_npm(struct slice text, struct version *ret)
{
    struct version v = { .n_parts = 0 };
    struct cursor c = cursor_of(text);
    if (!take_parts(&c, &v) || v.n_parts > 3)
        return false;
    const char *plus = c.at < c.end ? memchr(c.at, '+', (size_t)(c.end - c.at)) : NULL;
    const char *end = plus ? plus : c.end;
    if (plus && !is_npm_tail(slice_of(plus + 1, (size_t)(c.end - plus) - 1)))
        return false;
    if (c.at < end && *c.at == '-') {
        v.pre_kind = '-';
        v.rest = slice_of(c.at + 1, (size_t)(end - c.at) - 1);
        if (!is_npm_tail(v.rest))
            return false;
        c.at = end;
    }
    *ret = v;
    return c.at == end;
}

static int order(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* Where the suffix puts a version among those with the same parts: .dev before a, b, rc before none before .post. */
static int stage(const struct version *v)
{
    if (v->pre_kind)
        return 1;
    return v->has_dev && !v->has_post ? 0 : 2;
}

/* 1.alpha.2, from the left: numbers before words, a longer one after a shorter. */
static int compare_npm_rest(struct slice a, struct slice b)
{
    while (a.len && b.len) {
        size_t n = 0, m = 0;
        while (n < a.len && a.data[n] != '.')
            n++;
        while (m < b.len && b.data[m] != '.')
            m++;
        uint32_t x = 0, y = 0;
        struct cursor ca = { a.data, a.data + n }, cb = { b.data, b.data + m };
        bool is_x = take_number(&ca, &x) && ca.at == ca.end;
        bool is_y = take_number(&cb, &y) && cb.at == cb.end;
        int diff = is_x && is_y ? order(x, y) : is_x ? -1 : is_y ? 1 : 0;
        if (!is_x && !is_y) {
            diff = memcmp(a.data, b.data, n < m ? n : m);
            diff = diff ? diff : order(n, m);
        }
        if (diff)
            return diff < 0 ? -1 : 1;
        a = slice_of(a.data + (n < a.len ? n + 1 : n), a.len - (n < a.len ? n + 1 : n));
        b = slice_of(b.data + (m < b.len ? m + 1 : m), b.len - (m < b.len ? m + 1 : m));
    }
    return order(a.len, b.len);
}

int version_compare(const struct version *a, const struct version *b)
{
    int diff = order(a->epoch, b->epoch);
    for (unsigned i = 0; !diff && i < VERSION_MAX_PARTS; i++)
        diff = order(i < a->n_parts ? a->part[i] : 0, i < b->n_parts ? b->part[i] : 0);
    if (!diff)
        diff = order((uint64_t)stage(a), (uint64_t)stage(b));
    if (!diff)
        diff = order((uint64_t)a->pre_kind, (uint64_t)b->pre_kind);
    if (!diff && a->pre_kind == '-')
        return compare_npm_rest(a->rest, b->rest);
    if (!diff)
        diff = order(a->pre, b->pre);
    if (!diff)
        diff = order(a->has_post, b->has_post);
    if (!diff)
        diff = order(a->post, b->post);
    if (!diff)
        diff = order(!a->has_dev, !b->has_dev);
    return diff ? diff : order(a->dev, b->dev);
}

bool version_begins(const struct version *v, const struct version *prefix)
{
    if (v->epoch != prefix->epoch)
        return false;
    for (unsigned i = 0; i < prefix->n_parts; i++)
        if ((i < v->n_parts ? v->part[i] : 0) != prefix->part[i])
            return false;
    return true;
}

static bool has_same_parts(const struct version *a, const struct version *b)
{
    return version_begins(a, b) && version_begins(b, a);
}

/* ---- python's ranges ---- */

static const char *const OPERATORS[] = { "==", "!=", "<=", ">=", "~=", "<", ">" };

/* One of a list: its operator and its version. */
static bool parse_range(struct slice s, const char **ret_operator, struct version *ret,
                        bool *ret_prefix)
{
    size_t i = 0;
    while (
        i < sizeof OPERATORS / sizeof *OPERATORS &&
        (s.len < strlen(OPERATORS[i]) || memcmp(s.data, OPERATORS[i], strlen(OPERATORS[i])) != 0))
        i++;
    if (i == sizeof OPERATORS / sizeof *OPERATORS)
        return false;
    *ret_operator = OPERATORS[i];
    size_t n = strlen(OPERATORS[i]);
    s = slice_of(s.data + n, s.len - n);
    *ret_prefix = s.len > 2 && s.data[s.len - 1] == '*' && s.data[s.len - 2] == '.';
    if (*ret_prefix)
        s.len -= 2;
    if (!version_parse_python(s, ret))
        return false;
    bool is_plain = !ret->pre_kind && !ret->has_post && !ret->has_dev && !ret->local.len;
    if (*ret_prefix)
        return is_plain && i < 2;
    return (i < 2 || !ret->local.len) && (i != 4 || ret->n_parts > 1);
}

static bool next_range(struct slice *rest, struct slice *ret)
{
    if (!rest->data)
        return false;
    const char *comma = rest->len ? memchr(rest->data, ',', rest->len) : NULL;
    size_t n = comma ? (size_t)(comma - rest->data) : rest->len;
    *ret = slice_of(rest->data, n);
    *rest = comma ? slice_of(comma + 1, rest->len - n - 1) : slice_of(NULL, 0);
    return true;
}

/* 2.0+cpu is 2.0, but 2.0 is not 2.0+cpu. */
static bool is_same(const struct version *v, const struct version *limit)
{
    return version_compare(v, limit) == 0 &&
           (!limit->local.len || slice_equal(v->local, limit->local));
}

/* What comes before 3 is not in "<3" when it is a 3.0rc1 or a 3.0.dev1, nor is 3.post1 in ">3". */
static bool is_beside(const struct version *v, const char *operator, const struct version * limit)
{
    bool is_early = v->pre_kind || v->has_dev;
    bool is_limit_early = limit->pre_kind || limit->has_dev;
    return has_same_parts(v, limit) &&
           (operator[0] == '<' ? is_early && !is_limit_early : v->has_post && !limit->has_post);
}

static bool holds(const struct version *v, const char *operator, const struct version * limit,
                  bool is_prefix)
{
    int order = version_compare(v, limit);
    struct version stem = *limit;
    switch (operator[0]) {
    case '=':
        return is_prefix ? version_begins(v, limit) : is_same(v, limit);
    case '!':
        return is_prefix ? !version_begins(v, limit) : !is_same(v, limit);
    case '~':
        stem.n_parts--;
        return order >= 0 && version_begins(v, &stem);
    case '<':
        return operator[1] ? order <= 0 : order<0 && !is_beside(v, operator, limit);
    default:
        return operator[1] ? order >= 0 : order> 0 && !is_beside(v, operator, limit);
    }
}

static bool check_ranges(const struct version *v, struct slice ranges)
{
    struct slice one;
    struct slice rest = ranges.len ? ranges : slice_of(NULL, 0);
    while (next_range(&rest, &one)) {
        const char *operator;
        struct version limit;
        bool is_prefix;
        if (!parse_range(one, &operator, & limit, &is_prefix) ||
            (v && !holds(v, operator, & limit, is_prefix)))
            return false;
    }
    return true;
}

bool version_ranges_valid(struct slice ranges)
{
    return check_ranges(NULL, ranges);
}

bool version_in_ranges(const struct version *v, struct slice ranges)
{
    return check_ranges(v, ranges);
}

/* ---- npm's range ---- */

struct npm_range {
    char kind; /* '=', '^', '~', '>', 'G' (>=), '<', 'L' (<=), '*' */
    struct version version;
};

static bool parse_npm_range(struct slice s, struct npm_range *ret)
{
    static const struct {
        const char *word;
        char kind;
    } KINDS[] = { { ">=", 'G' }, { "<=", 'L' }, { ">", '>' }, { "<", '<' },
                  { "^", '^' },  { "~", '~' },  { "=", '=' }, { "", '=' } };
    *ret = (struct npm_range){ .kind = '*' };
    if (slice_is(s, "*") || slice_is(s, "latest") || slice_is(s, "x"))
        return true;
    struct cursor c = cursor_of(s);
    size_t i = 0;
    while (!take_word(&c, KINDS[i].word)) /* the last one always is there */
        i++;
    ret->kind = KINDS[i].kind;
    struct slice text = slice_of(c.at, (size_t)(c.end - c.at));
    bool is_open = text.len > 2 && text.data[text.len - 2] == '.' &&
                   (text.data[text.len - 1] == 'x' || text.data[text.len - 1] == '*');
    if (is_open)
        text.len -= 2;
    if (!version_parse_npm(text, &ret->version) || (is_open && ret->kind != '='))
        return false;
    if (ret->kind == '=' && (is_open || ret->version.n_parts < 3) && !ret->version.pre_kind)
        ret->kind = 'x';
    return true;
}

bool version_npm_range_valid(struct slice range)
{
    struct npm_range r;
    return parse_npm_range(range, &r);
}

bool version_npm_range_is_exact(struct slice range, struct version *ret)
{
    struct npm_range r;
    if (!parse_npm_range(range, &r) || r.kind != '=')
        return false;
    *ret = r.version;
    return true;
}

/* ^1.2.3: the first part that is not 0 stays; ~1.2.3: the first two do. */
static bool begins_as(const struct version *v, const struct npm_range *r)
{
    struct version stem = r->version;
    unsigned keep = 1;
    if (r->kind == '~')
        keep = stem.n_parts < 2 ? 1 : 2;
    while (r->kind == '^' && keep < stem.n_parts && stem.part[keep - 1] == 0)
        keep++;
    stem.n_parts = keep;
    return version_begins(v, &stem);
}

bool version_in_npm_range(const struct version *v, struct slice range)
{
    struct npm_range r;
    if (!parse_npm_range(range, &r))
        return false;
    if (r.kind == '*')
        return true;
    /* "<2" has no 2.0.0-rc.1: only what names such a one, of the same parts, has them */
    if (v->pre_kind && !(r.version.pre_kind && has_same_parts(v, &r.version)))
        return false;
    int order = version_compare(v, &r.version);
    bool is_part = r.version.n_parts < 3 && version_begins(v, &r.version); /* 1.5.0 of 1 */
    switch (r.kind) {
    case 'x':
        return version_begins(v, &r.version);
    case '=':
        return order == 0;
    case 'G':
        return order >= 0;
    case 'L':
        return order <= 0 || is_part;
    case '>':
        return order > 0 && !is_part;
    case '<':
        return order < 0;
    default:
        return order >= 0 && begins_as(v, &r);
    }
}
