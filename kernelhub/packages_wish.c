/* What is asked for when something is to be installed: whether it may be, and for which image. */
#include "base/json.h"
#include "kernelhub/allow_list.h"
#include "kernelhub/catalog.h"
#include "kernelhub/hub_internal.h"
#include "kernelhub/packages_internal.h"
#include "kernelhub/session_internal.h"

#define MAX_QUEUED         32
#define MAX_QUEUED_OF_USER 4

const char *packages_language(const char *name_or_alias)
{
    const char *language = catalog_language(name_or_alias);
    if (strcasecmp(language, "python") == 0)
        return "python";
    return strcasecmp(language, "javascript") == 0 || strcasecmp(language, "typescript") == 0
               ? "javascript"
               : NULL;
}

static int choose_language(const char *wanted, const char **ret, struct err *e)
{
    *ret = packages_language(wanted);
    return *ret ? 0
                : err_set(e, ERR_INVALID,
                          "nothing can be installed for '%.64s': there are python and javascript",
                          wanted);
}

static const struct allow_list *list_of(const struct packages *p, const char *language)
{
    return strcmp(language, "python") == 0 ? p->python : p->npm;
}

/* Whether builders have anywhere to take packages from. */
static bool has_source(const struct packages *p, const char *language)
{
    const struct config *c = p->hub->config;
    return strcmp(config_text(c, CONFIG_PACKAGES_NETWORK), "host") == 0 ||
           (strcmp(language, "python") == 0 && config_text(c, CONFIG_PACKAGES_WHEELS)[0]);
}

static int add_requested(struct package_install *i, struct slice raw, struct err *e)
{
    enum requirement_kind kind =
        strcmp(i->language, "python") == 0 ? REQUIREMENT_PYTHON : REQUIREMENT_NPM;
    CLEANUP_BUF struct buf text = BUF_INIT(4 * REQUIREMENT_MAX_BYTES), own = BUF_INIT(1024);
    struct requirement wanted;
    const char *also = "";
    json_unescape(&text, raw);
    if (text.failed || !requirement_parse(kind, buf_slice(&text), &wanted))
        return err_set(e, ERR_INVALID, "'%.*s' is no package's name with versions; %s",
                       text.len < 80 ? (int)text.len : 80, text.len ? text.data : "",
                       kind == REQUIREMENT_PYTHON ? "one looks like: numpy, numpy[extra]>=2,<3"
                                                  : "one looks like: lodash, @scope/name@^1.2");
    if (allow_list_check(list_of(i->owner, i->language), &wanted, &also, e) < 0)
        return -1;
    requirement_write(&wanted, also, &own);
    buf_add_slice(&i->requirements, buf_slice(&own));
    buf_add_char(&i->requirements, '\n');
    buf_add_str(&i->requested, i->requested.len > 1 ? "," : "");
    json_quote(&i->requested, buf_slice(&own));
    return 0;
}

static int read_list(struct package_install *i, struct slice list, struct err *e)
{
    struct json_iter it = json_iter(list);
    unsigned n = 0;
    buf_add_char(&i->requested, '[');
    while (json_next(&it)) {
        if (json_type(it.value) != JSON_STRING)
            return err_set(e, ERR_INVALID, "field 'packages' has to be a list of strings");
        if (++n > PACKAGES_MAX_REQUESTED)
            return err_set(e, ERR_INVALID, "field 'packages' has more than %d of them",
                           PACKAGES_MAX_REQUESTED);
        if (add_requested(i, slice_of(it.value.data + 1, it.value.len - 2), e) < 0)
            return -1;
    }
    buf_add_char(&i->requested, ']');
    if (n == 0)
        return err_set(e, ERR_INVALID, "field 'packages' names none");
    return i->requirements.failed || i->requested.failed
               ? err_set(e, ERR_TOO_LARGE, "field 'packages' is too large")
               : 0;
}

/* The session's image, for what is built has to fit its language; it may have none yet. */
static int choose_image(struct package_install *i, const struct packages_wish *wish, struct err *e)
{
    struct hub *h = i->owner->hub;
    const struct session *s = wish->session ? session_find(h, i->user, wish->session) : NULL;
    const struct catalog_kernel *kernel;
    const char *template_name = s && s->template_name[0] ? s->template_name : NULL;
    if (wish->session && !s)
        return err_set(e, ERR_NOT_FOUND, "there is no session '%.64s'", wish->session);
    if (choose_language(wish->language ? wish->language
                        : s            ? s->language
                                       : "python",
                        &i->language, e) < 0 ||
        catalog_find(h->catalog, template_name, i->language, &kernel, e) < 0)
        return -1;
    (void)snprintf(i->template_name, sizeof i->template_name, "%s", kernel->template_name);
    return 0;
}

static int check_turn(const struct packages *p, const struct user *u, struct err *e)
{
    unsigned n = 0;
    for (struct package_install *i = zlistx_first(p->installs); i; i = zlistx_next(p->installs))
        n += i->user == u;
    if (n >= MAX_QUEUED_OF_USER)
        return err_set(e, ERR_QUOTA, "%d of your installs wait already", MAX_QUEUED_OF_USER);
    if (zlistx_size(p->installs) >= MAX_QUEUED)
        return err_set(e, ERR_BUSY, "%d installs wait already", MAX_QUEUED);
    return 0;
}

int install_read_wish(struct package_install *i, const struct packages_wish *wish, struct err *e)
{
    if (choose_image(i, wish, e) < 0 || read_list(i, wish->list, e) < 0 ||
        check_turn(i->owner, i->user, e) < 0)
        return -1;
    if (!has_source(i->owner, i->language))
        return err_policy(e, config_name(CONFIG_PACKAGES_NETWORK),
                          "nothing can be installed here: packages/network is none, and there is "
                          "no packages/wheels");
    return 0;
}

int packages_write_allowed(struct hub *h, const char *language, struct buf *out, struct err *e)
{
    const char *known = packages_language(language);
    if (!known)
        return err_set(e, ERR_NOT_FOUND, "nothing can be installed for '%.64s'", language);
    buf_addf(out, "{\"language\":\"%s\",\"items\":", known);
    allow_list_write(list_of(h->packages, known), out);
    buf_addf(out, ",\"installable\":%s,\"next\":null}",
             has_source(h->packages, known) ? "true" : "false");
    return 0;
}
