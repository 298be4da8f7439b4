/* The installs of kernelhub/ that web/ uses (fake_hub.h): each has two records and an end, some milliseconds apart. Packages it knows:
 * "forbidden" is not allowed; "unbuildable" ends as an error of the service; "flood" says 4 MiB, in records of 64 KiB; every other
 * one is installed. */
#include "kernelhub/packages.h"

#include <assert.h>
#include <stdlib.h>

#include "base/json.h"
#include "fake_hub.h"

#define STEP_MS 20

struct package_install {
    struct loop *loop;
    struct packages_listener listener;
    struct buf list;
    unsigned step;
    bool is_left;
};

static bool names(const struct package_install *i, const char *what)
{
    return i->list.len && strstr(i->list.data, what) != NULL;
}

static void say(const struct package_install *i, const char *type, size_t bytes)
{
    CLEANUP_BUF struct buf record = BUF_INIT(1 << 20);
    buf_addf(&record, "{\"type\":\"%s\",\"text\":\"", type);
    for (size_t n = 0; n < bytes; n++)
        buf_add_char(&record, 'x');
    buf_add_str(&record, "\",\"elapsed_ms\":1}");
    if (!i->is_left)
        i->listener.on_record(i->listener.arg, buf_slice(&record));
}

static void end(struct package_install *i)
{
    CLEANUP_BUF struct buf result = BUF_INIT(1 << 16);
    struct err e = ERR_INIT;
    buf_addf(&result,
             "{\"language\":\"python\",\"status\":\"ok\",\"requested\":%s,\"installed\":[]}",
             i->list.data);
    if (names(i, "unbuildable"))
        (void)err_set(&e, ERR_SANDBOX, "the builder cannot be made");
    if (!i->is_left)
        i->listener.on_end(i->listener.arg, e.code == ERR_NONE ? NULL : &e, buf_slice(&result));
    buf_done(&i->list);
    free(i);
}

static int on_step(struct loop *loop, int timer, void *arg)
{
    struct package_install *i = arg;
    if (i->step++ == 2) {
        end(i);
        return 0;
    }
    for (unsigned n = 0; n < (names(i, "flood") ? 32 : 1) && !names(i, "unbuildable"); n++)
        say(i, "progress", names(i, "flood") ? 65536 : 3);
    (void)loop_timer(loop, STEP_MS, on_step, i);
    return 0;
}

int packages_install(struct hub *h, struct user *u, const struct packages_wish *wish,
                     const struct packages_listener *listener, struct package_install **ret,
                     struct err *e)
{
    if (memmem(wish->list.data, wish->list.len, "forbidden", 9))
        return err_policy(e, "packages/python",
                          "package 'forbidden' is not allowed: packages/python has no rule for it");
    struct package_install *i = calloc(1, sizeof *i);
    assert(i);
    *i = (struct package_install){ .loop = hub_loop(h),
                                   .listener = *listener,
                                   .list = BUF_INIT(1 << 16) };
    buf_add_slice(&i->list, wish->list);
    (void)loop_timer(i->loop, STEP_MS, on_step, i);
    *ret = i;
    return 0;
}

void packages_leave(struct package_install *i)
{
    i->is_left = true;
}

const char *packages_language(const char *name_or_alias)
{
    return strcmp(name_or_alias, "python") == 0 || strcmp(name_or_alias, "py") == 0 ? "python"
           : strcmp(name_or_alias, "javascript") == 0                               ? "javascript"
                                                                                    : NULL;
}

int packages_write_allowed(struct hub *h, const char *language, struct buf *out, struct err *e)
{
    if (!packages_language(language))
        return err_set(e, ERR_NOT_FOUND, "nothing can be installed for '%.64s'", language);
    buf_addf(out,
             "{\"language\":\"%s\",\"items\":[\"numpy>=2\"],\"installable\":true,\"next\":null}",
             packages_language(language));
    return 0;
}
