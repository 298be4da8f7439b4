/* What users ask installers for, and what administrators allow. Properties: what is taken has no byte that means something to a
 * shell, a path or an option, and what is written of it reads as the same again; a rule of its own name never is "another". */
#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>

#include "protocol/requirement.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_text(const struct requirement *r, struct slice text)
{
    static const char *const MORE[] = { "[],.-=<>!~+*", "@/.-_^~<>=*+x" };
    check(text.len > 0 && text.data[0] != '-' && text.data[0] != '.' && text.data[0] != '/');
    for (size_t i = 0; i < text.len; i++)
        check(isalnum((unsigned char)text.data[i]) || strchr(MORE[r->kind], text.data[i]));
    for (size_t i = 0; i + 1 < text.len; i++)
        check(text.data[i] != '/' || text.data[i + 1] != '.');
}

static void check_requirement(enum requirement_kind kind, struct slice text)
{
    struct requirement r, again, rule;
    CLEANUP_BUF struct buf out = BUF_INIT(1024), twice = BUF_INIT(1024);
    if (!requirement_parse(kind, text, &r))
        return;
    requirement_write(&r, "", &out);
    check(!out.failed && strlen(out.data) == out.len);
    check_text(&r, buf_slice(&out));
    check(requirement_parse(kind, buf_slice(&out), &again));
    requirement_write(&again, "", &twice);
    check(slice_equal(buf_slice(&out), buf_slice(&twice)));
    check(requirement_parse_rule(kind, slice_str(r.name), &rule));
    check(requirement_match(&rule, &r) == REQUIREMENT_ALLOWED);
}

/* A rule, a line's end, a requirement: whatever they are, they are compared. */
static void check_rule(enum requirement_kind kind, struct slice rule_text, struct slice text)
{
    struct requirement rule, r;
    if (requirement_parse_rule(kind, rule_text, &rule) && requirement_parse(kind, text, &r)) {
        enum requirement_match m = requirement_match(&rule, &r);
        check((m == REQUIREMENT_OTHER) == !requirement_name_matches(rule.name, r.name));
        check(m != REQUIREMENT_RESTRICTED || rule.versions[0]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char name[128], version[128], *text = malloc(size ? size : 1);
    check(text != NULL);
    if (size)
        memcpy(text, data, size);
    struct slice s = slice_of(text, size);
    const char *end = size ? memchr(text, '\n', size) : NULL;
    struct slice rule = slice_of(text, end ? (size_t)(end - text) : size);
    struct slice rest = slice_of(text + (end ? rule.len + 1 : 0), size - (end ? rule.len + 1 : 0));
    for (int kind = REQUIREMENT_PYTHON; kind <= REQUIREMENT_NPM; kind++) {
        check_requirement((enum requirement_kind)kind, s);
        check_requirement((enum requirement_kind)kind, rest);
        check_rule((enum requirement_kind)kind, rule, rest);
    }
    if (requirement_parse_dist_info(s, name, version))
        check(name[0] && version[0] && isalnum((unsigned char)name[0]));
    free(text);
    return 0;
}
