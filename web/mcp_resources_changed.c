/* Who watches a file is told when it has changed, by whatever name of a sandbox the file goes in what is watched: an id, a name, that of
 * another sandbox with the same workspace. */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "kernelhub/sandbox_verbs.h"
#include "web/mcp_resources.h"
#include "web/mcp_tools.h"
#include "web/mcp_uri.h"

#define MAX_FILES      64 /* of one execution */
#define MAX_LIST_BYTES (64u << 20)

struct change {
    zhashx_t *sandboxes; /* ids and names of those that have the workspace */
    zhashx_t *paths;
    bool is_shared;
    bool is_list_new; /* files were made, or are gone */
};

static void add(zhashx_t *set, const char *key)
{
    (void)zhashx_insert(set, key, set); /* it may be in there */
}

static bool member_is(struct slice object, const char *member, const char *text)
{
    struct slice raw;
    return json_member_string(object, member, &raw) && slice_is(raw, text);
}

static void add_sandbox(struct change *ch, struct slice sandbox)
{
    static const char *const NAMES[] = { "sandbox_id", "name" };
    char text[MCP_MAX_NAME + 1];
    struct slice raw;
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (json_member_string(sandbox, NAMES[i], &raw) && json_copy_string(raw, text, sizeof text))
            add(ch->sandboxes, text);
}

/* `sandbox`, an id or a name, is where the change was made. One that is gone had the shared workspace, as most have. */
static void find_sandboxes(struct change *ch, struct site *site, const struct user *u,
                           const char *sandbox)
{
    CLEANUP_BUF struct buf all = BUF_INIT(MAX_LIST_BYTES);
    struct slice items = SLICE_LITERAL("[]");
    sandbox_write_all(site->hub, u, false, NULL, &all);
    (void)json_member(buf_slice(&all), "items", &items); /* always there */
    add(ch->sandboxes, sandbox);
    for (struct json_iter it = json_iter(items); json_next(&it);) {
        if (!member_is(it.value, "sandbox_id", sandbox) && !member_is(it.value, "name", sandbox))
            continue;
        add_sandbox(ch, it.value);
        ch->is_shared = !member_is(it.value, "workspace", "private");
    }
    if (!ch->is_shared)
        return;
    add(ch->sandboxes, SANDBOX_DEFAULT);
    for (struct json_iter it = json_iter(items); json_next(&it);)
        if (!member_is(it.value, "workspace", "private"))
            add_sandbox(ch, it.value);
}

static bool has_changed(void *arg, const char *uri)
{
    const struct change *ch = arg;
    struct mcp_uri where;
    return mcp_uri_read(uri, &where) && where.kind == MCP_URI_FILE &&
           zhashx_lookup(ch->sandboxes, where.sandbox) && zhashx_lookup(ch->paths, where.path);
}

/* A private workspace is not in the list. */
static void tell(struct change *ch, struct site *site, const struct user *u, const char *sandbox)
{
    find_sandboxes(ch, site, u, sandbox);
    mcp_part_resources_updated(site, u, has_changed, ch);
    if (ch->is_shared && ch->is_list_new)
        mcp_part_resources_changed(site, u);
}

static struct change change_new(void)
{
    return (struct change){ .sandboxes = zhashx_new(), .paths = zhashx_new(), .is_shared = true };
}

static void change_done(struct change *ch)
{
    zhashx_destroy(&ch->sandboxes);
    zhashx_destroy(&ch->paths);
}

void mcp_resources_file_changed(struct mcp_call *c, const char *sandbox, const char *path,
                                bool is_new)
{
    if (!mcp_part_is_watched(c->site, c->user))
        return;
    struct change ch = change_new();
    add(ch.paths, path);
    ch.is_list_new = is_new;
    tell(&ch, c->site, c->user, sandbox);
    change_done(&ch);
}

void mcp_resources_on_change(void *arg, const struct user *u, const struct uuid *sandbox_id,
                             struct slice items)
{
    if (!mcp_part_is_watched(arg, u))
        return; /* this is on the way of each execution that changes a file */
    struct change ch = change_new();
    char path[FILES_MAX_PATH + 1];
    size_t n = 0;
    for (struct json_iter it = json_iter(items); n < MAX_FILES && json_next(&it); n++) {
        CLEANUP_BUF struct buf text = BUF_INIT(FILES_MAX_TEXT + 1);
        struct slice raw, change;
        struct err e = ERR_INIT;
        if (!json_member_string(it.value, "path", &raw) ||
            !json_member_string(it.value, "change", &change))
            continue;
        json_unescape(&text, raw);
        if (text.failed || files_path_read(buf_slice(&text), path, &e) < 0)
            continue;
        ch.is_list_new |= !slice_is(change, "modified");
        add(ch.paths, path);
    }
    tell(&ch, arg, u, sandbox_id->text);
    change_done(&ch);
}
