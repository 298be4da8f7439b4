/* docs/openapi.json: its schemas name what the hub writes, each member and no other. */
#include "hub_fixture.h"

#include "base/json.h"
#include "kernelhub/sandbox_verbs.h"
#include "kernelhub/session.h"
#include "web/docs.h"

static struct slice member(struct slice object, const char *name)
{
    struct slice value;
    if (!json_member(object, name, &value))
        fail_msg("there is no '%s'", name);
    return value;
}

/* Each member of the one is in the other, but for one. */
static void is_in(struct slice these, struct slice those, const char *but, const char *schema,
                  const char *what)
{
    struct json_iter it = json_iter(these);
    while (json_next(&it)) {
        char name[64];
        struct slice value;
        snprintf(name, sizeof name, "%.*s", (int)it.key.len, it.key.data);
        if (strcmp(name, but) != 0 && !json_member(those, name, &value))
            fail_msg("%s: '%s' is not %s", schema, name, what);
    }
}

static void languages(struct hub *h, const struct user *u, struct buf *out)
{
    catalog_write_languages(h->catalog, out);
}

static void images(struct hub *h, const struct user *u, struct buf *out)
{
    catalog_write_images(h->catalog, out);
}

static void sandboxes(struct hub *h, const struct user *u, struct buf *out)
{
    sandbox_write_all(h, u, false, NULL, out);
}

static void users(struct hub *h, const struct user *u, struct buf *out)
{
    user_write_all(h, out);
}

static void keys(struct hub *h, const struct user *u, struct buf *out)
{
    user_write_keys(h, u, out);
}

static const struct {
    const char *schema;
    void (*write)(struct hub *h, const struct user *u, struct buf *out);
    const char *only_once; /* what the reply that makes it has beyond the list */
} LISTS[] = {
    { "Session", session_write_all, "" },
    { "Sandbox", sandboxes, "" },
    { "Language", languages, "" },
    { "Image", images, "" },
    { "User", users, "" },
    { "Key", keys, "key" },
};

static void what_is_described_is_what_is_written(void **state)
{
    struct hub_fixture *f = *state;
    struct got g = { 0 };
    struct slice schemas = member(member(docs_openapi_text(), "components"), "schemas");
    hub_fixture_submit(f, (struct execution_request){ .session = "a" }, &g);
    got_done(&g);
    for (size_t i = 0; i < ARRAY_LEN(LISTS); i++) {
        const char *name = LISTS[i].schema;
        CLEANUP_BUF struct buf out = BUF_INIT(65536);
        LISTS[i].write(f->hub, f->user, &out);
        struct slice described = member(member(schemas, name), "properties");
        struct json_iter it = json_iter(member(buf_slice(&out), "items"));
        assert_true(json_next(&it));
        is_in(it.value, described, "", name, "described");
        is_in(described, it.value, LISTS[i].only_once, name, "written");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_described_is_what_is_written, hub_fixture_setup,
                                        hub_fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
