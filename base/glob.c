#include "base/glob.h"

#include <stdint.h>

#include "base/json_chars.h"

/* What is left of pattern or path. */
struct rest {
    const unsigned char *at, *end;
};

/* A place to go back to: the wildcard takes one more of the path, and the pattern goes on behind it. */
struct retry {
    struct rest pattern, path;
    bool is_set;
};

static struct rest rest_of(struct slice s)
{
    const unsigned char *at = (const unsigned char *)(s.len ? s.data : "");
    return (struct rest){ .at = at, .end = at + s.len };
}

static bool is_over(const struct rest *r)
{
    return r->at == r->end;
}

/* The next character; never at the end. */
static uint32_t take(struct rest *r)
{
    const unsigned char *s = r->at;
    size_t n = json_chars_utf8(s, r->end);
    r->at += n ? n : 1;
    switch (n) {
    case 2:
        return (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu);
    case 3:
        return (s[0] & 0xfu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
    case 4:
        return (s[0] & 7u) << 18 | (s[1] & 0x3fu) << 12 | (s[2] & 0x3fu) << 6 | (s[3] & 0x3fu);
    default:
        return s[0];
    }
}

static uint32_t take_literal(struct rest *r)
{
    uint32_t c = take(r);
    return c == '\\' && !is_over(r) ? take(r) : c;
}

/* Behind a '['. False: no ']' follows, and nothing was taken. */
static bool take_set(struct rest *pattern, uint32_t c, bool *ret_has)
{
    struct rest r = *pattern;
    bool is_not = !is_over(&r) && (*r.at == '!' || *r.at == '^'), has = false;
    r.at += is_not;
    for (bool is_first = true;; is_first = false) {
        if (is_over(&r) || *r.at == '/')
            return false;
        if (*r.at == ']' && !is_first)
            break;
        uint32_t low = take_literal(&r), high = low;
        if (r.end - r.at >= 2 && r.at[0] == '-' && r.at[1] != ']' && r.at[1] != '/') {
            r.at++;
            high = take_literal(&r);
        }
        has = has || (low <= c && c <= high);
    }
    r.at++;
    *pattern = r;
    *ret_has = has != is_not;
    return true;
}

/* One character of the path against one of the pattern that is no '*'. */
static bool fits(struct rest *pattern, struct rest *path)
{
    bool has;
    uint32_t c = take(path), p = take(pattern);
    if (p == '?')
        return c != '/';
    if (p == '[' && c != '/' && take_set(pattern, c, &has))
        return has;
    if (p == '\\' && !is_over(pattern))
        p = take(pattern);
    return p == c;
}

/* "**" that is a name of its own. */
static bool is_folders(const struct rest *pattern, const unsigned char *begin)
{
    const unsigned char *at = pattern->at;
    return pattern->end - at >= 2 && at[0] == '*' && at[1] == '*' &&
           (at == begin || at[-1] == '/') && (at + 2 == pattern->end || at[2] == '/');
}

static void skip_stars(struct rest *pattern)
{
    while (!is_over(pattern) && *pattern->at == '*')
        pattern->at++;
}

/* False: there is nothing to go back to. */
static bool go_back(struct retry *name, struct retry *folders, struct rest *pattern,
                    struct rest *path)
{
    if (name->is_set && !is_over(&name->path) && *name->path.at != '/') {
        (void)take(&name->path); /* '*' has that one too */
        *pattern = name->pattern;
        *path = name->path;
        return true;
    }
    name->is_set = false;
    while (folders->is_set && !is_over(&folders->path))
        if (*folders->path.at++ == '/') {
            *pattern = folders->pattern;
            *path = folders->path;
            return true;
        }
    return false;
}

/* Only the last '*' of a name and the last "**" have to be tried again: what stood before them fits, the sooner the better. */
bool glob_matches(struct slice pattern_text, struct slice path_text)
{
    struct rest pattern = rest_of(pattern_text), path = rest_of(path_text);
    const unsigned char *begin = pattern.at;
    struct retry name = { .is_set = false }, folders = { .is_set = false };
    for (;;) {
        if (is_folders(&pattern, begin)) {
            if (pattern.end - pattern.at == 2)
                return !is_over(&path);
            pattern.at += 3;
            folders = (struct retry){ .pattern = pattern, .path = path, .is_set = true };
            name.is_set = false;
        } else if (!is_over(&pattern) && *pattern.at == '*') {
            skip_stars(&pattern);
            name = (struct retry){ .pattern = pattern, .path = path, .is_set = true };
        } else if (is_over(&pattern) && is_over(&path)) {
            return true;
        } else if (is_over(&pattern) || is_over(&path) || !fits(&pattern, &path)) {
            if (!go_back(&name, &folders, &pattern, &path))
                return false;
        }
    }
}
