#include "kernelhub/allow_list.h"

#include <assert.h>
#include <stdlib.h>

#include "base/json.h"

struct rule {
    struct requirement parsed;
    char *text;
};

struct allow_list {
    const char *setting;
    enum requirement_kind kind;
    struct rule *rules;
    size_t n;
};

void allow_list_free(struct allow_list *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n; i++)
        free(l->rules[i].text);
    free(l->rules);
    free(l);
}

static size_t count_words(const char *text)
{
    size_t n = 0;
    for (; *text; text += strcspn(text, " ")) {
        text += strspn(text, " ");
        n += *text != '\0';
    }
    return n;
}

int allow_list_new(enum requirement_kind kind, const char *setting, const char *text,
                   struct allow_list **ret, struct err *e)
{
    CLEANUP(allow_list_free) struct allow_list *l = calloc(1, sizeof *l);
    assert(l);
    l->setting = setting;
    l->kind = kind;
    l->rules = calloc(count_words(text) + 1, sizeof *l->rules);
    assert(l->rules);
    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        size_t len = strcspn(text, " ");
        struct rule *r = &l->rules[l->n];
        if (!requirement_parse_rule(kind, slice_of(text, len), &r->parsed))
            return err_set(e, ERR_INVALID,
                           "%s: '%.*s' is no rule; one looks like: numpy>=2,<3 (no blanks in it)",
                           setting, len < 100 ? (int)len : 100, text);
        r->text = strndup(text, len);
        assert(r->text);
        l->n++;
        text += len;
    }
    *ret = TAKE(l);
    return 0;
}

int allow_list_check(const struct allow_list *l, const struct requirement *wanted,
                     const char **ret_versions, struct err *e)
{
    const struct rule *restricts = NULL, *denies = NULL;
    for (size_t i = 0; i < l->n; i++) {
        const struct rule *r = &l->rules[i];
        switch (requirement_match(&r->parsed, wanted)) {
        case REQUIREMENT_ALLOWED:
            *ret_versions = "";
            return 0;
        case REQUIREMENT_RESTRICTED:
            restricts = restricts ? restricts : r;
            break;
        case REQUIREMENT_DENIED:
            denies = denies ? denies : r;
            break;
        case REQUIREMENT_OTHER:
            break;
        }
    }
    if (restricts) {
        *ret_versions = restricts->parsed.versions;
        return 0;
    }
    if (denies)
        return err_policy(e, denies->text, "package '%s' is allowed by the rule '%s' of %s only",
                          wanted->name, denies->text, l->setting);
    return err_policy(e, l->setting, "package '%s' is not allowed: %s has no rule for it",
                      wanted->name, l->setting);
}

static bool is_alone(const struct allow_list *l, const struct rule *of)
{
    for (size_t i = 0; i < l->n; i++)
        if (&l->rules[i] != of &&
            requirement_name_matches(l->rules[i].parsed.name, of->parsed.name))
            return false;
    return true;
}

void allow_list_write_constraints(const struct allow_list *l, struct buf *out)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct requirement *r = &l->rules[i].parsed;
        if (r->versions[0] && !strchr(r->name, '*') && is_alone(l, &l->rules[i]))
            buf_addf(out, "%s%s\n", r->name, r->versions);
    }
}

void allow_list_write(const struct allow_list *l, struct buf *out)
{
    buf_add_char(out, '[');
    for (size_t i = 0; i < l->n; i++) {
        buf_add_str(out, i ? "," : "");
        json_quote_str(out, l->rules[i].text);
    }
    buf_add_char(out, ']');
}
