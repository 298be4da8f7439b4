/* What the settings of packages have to be, beyond one by one. */
#include "base/cleanup.h"
#include "kernelhub/allow_list.h"
#include "kernelhub/config.h"

int config_check_packages(const struct config *c, struct err *e)
{
    static const struct {
        enum config_key key;
        enum requirement_kind kind;
    } LISTS[] = { { CONFIG_PACKAGES_PYTHON, REQUIREMENT_PYTHON },
                  { CONFIG_PACKAGES_JAVASCRIPT, REQUIREMENT_NPM } };
    for (size_t i = 0; i < ARRAY_LEN(LISTS); i++) {
        CLEANUP(allow_list_free) struct allow_list *list = NULL;
        if (allow_list_new(LISTS[i].kind, config_name(LISTS[i].key), config_text(c, LISTS[i].key),
                           &list, e) < 0)
            return -1;
    }
    const char *wheels = config_text(c, CONFIG_PACKAGES_WHEELS);
    if (wheels[0] && wheels[0] != '/')
        return err_set(e, ERR_INVALID, "packages/wheels must be an absolute path, not '%.100s'",
                       wheels);
    if (strcmp(config_text(c, CONFIG_PACKAGES_NETWORK), "host") == 0 &&
        strcmp(config_text(c, CONFIG_SERVER_AUTH), "none") == 0)
        return err_set(e, ERR_INVALID,
                       "packages/network is host and server/auth is none: what is built could ask "
                       "this service for anything");
    return 0;
}
