/* What is offered over MCP is JSON in C strings: read here, so that no client has to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "web/mcp_fixtures.h"
#include "web/mcp_part.h"

#define MAX_NAME 24 /* some clients refuse "mcp__SERVER__TOOL" above 64 */

static const struct mcp_part *const PARTS[] = { &MCP_PRODUCT, &MCP_FIXTURES };

static void is_object(const char *json)
{
    assert_true(json_valid(slice_str(json)));
    assert_int_equal(json_type(slice_str(json)), JSON_OBJECT);
    assert_null(strchr(json, '\n'));
}

static void is_schema(const char *json)
{
    struct slice type;
    is_object(json);
    assert_true(json_member_string(slice_str(json), "type", &type) && slice_is(type, "object"));
}

static void every_tool_has_its_texts_and_schemas(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(PARTS); i++) {
        for (size_t k = 0; k < PARTS[i]->n_tools; k++) {
            const struct mcp_tool *t = &PARTS[i]->tools[k];
            assert_true(t->name && t->description && t->call);
            is_schema(t->input_schema);
            if (t->output_schema)
                is_schema(t->output_schema);
            if (t->annotations)
                is_object(t->annotations);
            if (t->meta)
                is_object(t->meta);
        }
    }
}

/* Models' APIs refuse a whole request, or drop the tool, for less. */
static void a_product_tool_fits_every_client(void **state)
{
    static const char NAME[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    static const char *const REFUSED[] = { "anyOf", "oneOf", "allOf", "if", "$ref", "$defs" };
    for (size_t k = 0; k < MCP_PRODUCT.n_tools; k++) {
        const struct mcp_tool *t = &MCP_PRODUCT.tools[k];
        struct slice value;
        assert_true(strspn(t->name, NAME) == strlen(t->name) && strlen(t->name) <= MAX_NAME);
        assert_true(t->title && t->annotations);
        for (size_t i = 0; i < ARRAY_LEN(REFUSED); i++)
            assert_false(json_member(slice_str(t->input_schema), REFUSED[i], &value));
        for (size_t i = 0; i < k; i++)
            assert_string_not_equal(t->name, MCP_PRODUCT.tools[i].name);
    }
}

static void prompts_resources_and_templates_have_theirs(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(PARTS); i++) {
        const struct mcp_part *p = PARTS[i];
        for (size_t k = 0; k < p->n_prompts; k++)
            assert_true(p->prompts[k].name && p->prompts[k].description && p->prompts[k].get);
        for (size_t k = 0; k < p->n_resources; k++)
            assert_true(p->resources[k].uri && p->resources[k].name && p->read);
        for (size_t k = 0; k < p->n_templates; k++)
            assert_true(p->templates[k].uri_template && p->templates[k].name && p->read);
    }
}

static void the_first_tool_is_harmless_and_the_instructions_are_short(void **state)
{
    bool reads = false;
    assert_true(
        json_member_bool(slice_str(MCP_PRODUCT.tools[0].annotations), "readOnlyHint", &reads));
    assert_true(reads);
    assert_in_range(strlen(MCP_INSTRUCTIONS), 1, 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tool_has_its_texts_and_schemas),
        cmocka_unit_test(a_product_tool_fits_every_client),
        cmocka_unit_test(prompts_resources_and_templates_have_theirs),
        cmocka_unit_test(the_first_tool_is_harmless_and_the_instructions_are_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
