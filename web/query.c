#include "web/query.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "base/log.h"
#include "web/percent.h"

static const char *decode(struct slice raw, char **at)
{
    size_t n;
    char *text = *at;
    if (!percent_decode(raw, true, text, &n))
        return NULL;
    *at += n + 1;
    return text;
}

static struct slice cut(struct slice *rest, char at)
{
    const char *found = rest->len ? memchr(rest->data, at, rest->len) : NULL;
    size_t n = found ? (size_t)(found - rest->data) : rest->len;
    struct slice head = slice_of(rest->data, n);
    size_t used = found ? n + 1 : n;
    *rest = slice_of(rest->data + used, rest->len - used);
    return head;
}

static int add(struct query *q, struct slice item, char **at, struct err *e)
{
    struct slice value = item;
    struct slice key = cut(&value, '=');
    const char *name = decode(key, at);
    const char *text = name && key.len < item.len ? decode(value, at) : "";
    if (!name || !text)
        return err_set(
            e, ERR_INVALID,
            "a query parameter has a bad percent escape, a control character or broken UTF-8");
    if (query_get(q, name))
        return err_set(e, ERR_INVALID, "query parameter %s is given twice",
                       log_quote(slice_str(name)));
    if (q->n == QUERY_MAX)
        return err_set(e, ERR_INVALID, "more than %d query parameters", QUERY_MAX);
    q->items[q->n].name = name;
    q->items[q->n++].value = text;
    return 0;
}

int query_parse(struct query *q, struct slice raw, struct err *e)
{
    q->n = 0;
    q->text = NULL;
    if (raw.len == 0)
        return 0;
    /* decoding never lengthens, each NUL stands where a separator stood, the last one needs a byte
     */
    char *at = q->text = malloc(raw.len + 1);
    if (!q->text)
        return err_set(e, ERR_UNAVAILABLE, "out of memory");
    while (raw.len) {
        struct slice item = cut(&raw, '&');
        if (item.len && add(q, item, &at, e) < 0)
            return -1;
    }
    return 0;
}

void query_done(struct query *q)
{
    free(q->text);
    q->text = NULL;
    q->n = 0;
}

const char *query_get(const struct query *q, const char *name)
{
    for (size_t i = 0; i < q->n; i++)
        if (strcmp(q->items[i].name, name) == 0)
            return q->items[i].value;
    return NULL;
}

static bool listed(const char *words, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = words; n && (at = strstr(at, name)) != NULL; at += n)
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
            return true;
    return false;
}

int query_check(const struct query *q, const char *allowed, struct err *e)
{
    for (size_t i = 0; i < q->n; i++) {
        const char *name = q->items[i].name;
        if (strcmp(name, "token") == 0 || (!strchr(name, ' ') && listed(allowed, name)))
            continue;
        return err_set(e, ERR_INVALID, "unknown query parameter %s; allowed: %s",
                       log_quote(slice_str(name)), *allowed ? allowed : "none");
    }
    return 0;
}

int query_number(const struct query *q, const char *name, int64_t min, int64_t max,
                 int64_t otherwise, int64_t *ret, struct err *e)
{
    const char *text = query_get(q, name);
    if (!text) {
        *ret = otherwise;
        return 0;
    }
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    bool digit = *text >= '0' && *text <= '9';
    if (!digit || *end != '\0' || errno != 0 || v < min || v > max)
        return err_set(e, ERR_INVALID,
                       "query parameter '%s' must be a whole number from %lld to %lld", name,
                       (long long)min, (long long)max);
    *ret = v;
    return 0;
}

int query_flag(const struct query *q, const char *name, bool otherwise, bool *ret, struct err *e)
{
    static const char *const YES[] = { "", "1", "true", "yes" }, *const NO[] = { "0", "false",
                                                                                 "no" };
    const char *text = query_get(q, name);
    *ret = otherwise;
    if (!text)
        return 0;
    for (size_t i = 0; i < 4; i++) {
        if (strcasecmp(text, YES[i]) == 0) {
            *ret = true;
            return 0;
        }
        if (i < 3 && strcasecmp(text, NO[i]) == 0) {
            *ret = false;
            return 0;
        }
    }
    return err_set(e, ERR_INVALID, "query parameter '%s' must be 1 or 0", name);
}
