#include "protocol/requirement.h"

#include <ctype.h>
#include <stdio.h>

#include "protocol/version.h"

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || c == '.' || c == '_' || c == '-';
}

static bool copy(struct slice s, char *ret, size_t size)
{
    if (s.len >= size)
        return false;
    if (s.len)
        memcpy(ret, s.data, s.len);
    ret[s.len] = '\0';
    return true;
}

void requirement_normalize(char *name)
{
    char *out = name;
    for (const char *in = name; *in; in++) {
        bool is_joint = strchr(".-_", *in) != NULL;
        if (is_joint && out > name && out[-1] == '-')
            continue;
        *out++ = is_joint ? '-' : (char)tolower((unsigned char)*in);
    }
    *out = '\0';
}

/* A name begins and ends with a letter or digit, so never with what makes an option of it. */
static bool is_python_name(struct slice s, bool is_rule)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_name_char(s.data[i]) && !(is_rule && s.data[i] == '*'))
            return false;
    return s.len > 0 && (isalnum((unsigned char)s.data[0]) || s.data[0] == '*') &&
           (isalnum((unsigned char)s.data[s.len - 1]) || s.data[s.len - 1] == '*');
}

/* "[a, b]" less its brackets. */
static bool parse_extras(struct slice s, char *ret, size_t size)
{
    size_t n = 0;
    for (;;) {
        const char *comma = s.len ? memchr(s.data, ',', s.len) : NULL;
        struct slice one = slice_trim(slice_of(s.data, comma ? (size_t)(comma - s.data) : s.len));
        if (!is_python_name(one, false) || n + one.len + 2 > size)
            return false;
        memcpy(ret + n, one.data, one.len);
        ret[n + one.len] = '\0';
        requirement_normalize(ret + n);
        n += strlen(ret + n);
        if (!comma)
            return true;
        ret[n++] = ',';
        s = slice_of(comma + 1, s.len - (size_t)(comma - s.data) - 1);
    }
}

/* The versions without the blanks between them; one within a version makes it none. */
static bool parse_versions(struct slice s, char *ret, size_t size)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] != ' ') {
            if (n + 1 >= size)
                return false;
            ret[n++] = s.data[i];
        } else if (n && i + 1 < s.len && !strchr(",=<>!~", ret[n - 1]) &&
                   !strchr(", ", s.data[i + 1])) {
            return false;
        }
    }
    ret[n] = '\0';
    return version_ranges_valid(slice_of(ret, n));
}

static bool parse_python(struct slice s, bool is_rule, struct requirement *r)
{
    size_t n = 0;
    while (n < s.len && (is_name_char(s.data[n]) || (is_rule && s.data[n] == '*')))
        n++;
    struct slice name = slice_of(s.data, n), rest = slice_trim(slice_of(s.data + n, s.len - n));
    if (!is_python_name(name, is_rule) || !copy(name, r->name, sizeof r->name))
        return false;
    requirement_normalize(r->name);
    if (rest.len && rest.data[0] == '[') {
        const char *end = memchr(rest.data, ']', rest.len);
        if (is_rule || !end ||
            !parse_extras(slice_of(rest.data + 1, (size_t)(end - rest.data) - 1), r->extras,
                          sizeof r->extras))
            return false;
        rest = slice_trim(slice_of(end + 1, rest.len - (size_t)(end - rest.data) - 1));
    }
    return parse_versions(rest, r->versions, sizeof r->versions);
}

/* name, or @scope/name */
static bool is_npm_name(struct slice s, bool is_rule)
{
    bool begins = true;
    unsigned slashes = 0;
    for (size_t i = s.len && s.data[0] == '@'; i < s.len; i++) {
        char c = s.data[i];
        if (c == '/' && !begins && s.data[0] == '@' && slashes++ == 0) {
            begins = true;
            continue;
        }
        bool is_first =
            islower((unsigned char)c) || isdigit((unsigned char)c) || (is_rule && c == '*');
        if (!is_first && (begins || !strchr("._-", c)))
            return false;
        begins = false;
    }
    return s.len > 0 && !begins && slashes == (s.data[0] == '@');
}

static bool parse_npm(struct slice s, bool is_rule, struct requirement *r)
{
    const char *at = s.len > 1 ? memchr(s.data + 1, '@', s.len - 1) : NULL;
    struct slice name = slice_of(s.data, at ? (size_t)(at - s.data) : s.len);
    if (!is_npm_name(name, is_rule) || !copy(name, r->name, sizeof r->name))
        return false;
    if (!at)
        return true;
    struct slice range = slice_of(at + 1, s.len - name.len - 1);
    return version_npm_range_valid(range) && copy(range, r->versions, sizeof r->versions);
}

static bool parse(enum requirement_kind kind, struct slice text, bool is_rule,
                  struct requirement *ret)
{
    struct requirement r = { .kind = kind };
    struct slice s = slice_trim(text);
    if (s.len == 0 || s.len > REQUIREMENT_MAX_BYTES || memchr(s.data, '\0', s.len) ||
        !(kind == REQUIREMENT_PYTHON ? parse_python(s, is_rule, &r) : parse_npm(s, is_rule, &r)))
        return false;
    *ret = r;
    return true;
}

bool requirement_parse(enum requirement_kind kind, struct slice text, struct requirement *ret)
{
    return parse(kind, text, false, ret);
}

bool requirement_parse_rule(enum requirement_kind kind, struct slice text, struct requirement *ret)
{
    return parse(kind, text, true, ret);
}

void requirement_write(const struct requirement *r, const char *also, struct buf *out)
{
    buf_add_str(out, r->name);
    if (r->extras[0])
        buf_addf(out, "[%s]", r->extras);
    if (r->kind == REQUIREMENT_PYTHON)
        buf_addf(out, "%s%s%s", r->versions, r->versions[0] && also[0] ? "," : "", also);
    else if (r->versions[0] || also[0])
        buf_addf(out, "@%s", r->versions[0] ? r->versions : also);
}

/* The usual way: where a star matched too little it takes one more. */
bool requirement_name_matches(const char *pattern, const char *name)
{
    const char *star = NULL, *again = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            again = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star + 1;
            name = ++again;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

/* "==1.2" and no more. */
static bool is_exact(const struct requirement *r, struct version *ret)
{
    struct slice v = slice_str(r->versions);
    if (r->kind == REQUIREMENT_NPM)
        return v.len && version_npm_range_is_exact(v, ret);
    return v.len > 2 && memcmp(v.data, "==", 2) == 0 &&
           version_parse_python(slice_of(v.data + 2, v.len - 2), ret);
}

enum requirement_match requirement_match(const struct requirement *rule,
                                         const struct requirement *wanted)
{
    struct version v;
    struct slice ranges = slice_str(rule->versions);
    if (rule->kind != wanted->kind || !requirement_name_matches(rule->name, wanted->name))
        return REQUIREMENT_OTHER;
    if (!ranges.len || strcmp(rule->versions, wanted->versions) == 0)
        return REQUIREMENT_ALLOWED;
    if (is_exact(wanted, &v))
        return (rule->kind == REQUIREMENT_NPM ? version_in_npm_range(&v, ranges)
                                              : version_in_ranges(&v, ranges))
                   ? REQUIREMENT_ALLOWED
                   : REQUIREMENT_DENIED;
    if (wanted->kind == REQUIREMENT_NPM && wanted->versions[0])
        return REQUIREMENT_DENIED;
    return REQUIREMENT_RESTRICTED;
}

bool requirement_parse_dist_info(struct slice folder, char ret_name[128], char ret_version[128])
{
    static const char SUFFIX[] = ".dist-info";
    size_t suffix = sizeof SUFFIX - 1;
    struct version v;
    if (folder.len <= suffix || memcmp(folder.data + folder.len - suffix, SUFFIX, suffix) != 0)
        return false;
    struct slice s = slice_of(folder.data, folder.len - suffix);
    const char *dash = memchr(s.data, '-', s.len);
    if (!dash)
        return false;
    struct slice name = slice_of(s.data, (size_t)(dash - s.data));
    struct slice version = slice_of(dash + 1, s.len - name.len - 1);
    if (!is_python_name(name, false) || !version_parse_python(version, &v) ||
        !copy(name, ret_name, 128) || !copy(version, ret_version, 128))
        return false;
    requirement_normalize(ret_name);
    return true;
}
