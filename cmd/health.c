#include <stdio.h>
#include <stdlib.h>

#include "cmd/ask.h"
#include "cmd/commands.h"

int command_health(int argc, char **argv)
{
    struct ask a = { .command = "health" };
    const struct option_spec specs[] = { ASK_OPTIONS(&a), { 0 } };
    const struct options options = {
        .command = "health",
        .arguments = "",
        .specs = specs,
        .about =
            "Asks the service how it is. Exits with 1 when it is not healthy or does not answer.",
        .examples = "  kernelhub health\n  kernelhub health --json\n",
    };
    CLEANUP(json_decref) json_t *reply = NULL;
    struct option_list none;
    const char *status = NULL, *version = NULL, *name;
    json_t *check;
    int code;

    if (!options_read(&options, argc, argv, &none, &code))
        return code;
    code = ask_call(&a, "GET", "/api/v1/health", NULL, &reply);
    if (code != 0)
        return code;
    if (a.json) {
        table_print_json(reply);
        return 0;
    }
    (void)json_unpack(reply, "{s?s,s?s}", "status", &status, "version", &version);
    printf("%s, version %s\n", status ? status : "?", version ? version : "?");
    json_object_foreach(json_object_get(reply, "checks"), name, check)
    {
        char *text =
            json_is_string(check) ? NULL : json_dumps(check, JSON_COMPACT | JSON_ENCODE_ANY);
        printf("  %-12s %s\n", name, text ? text : json_string_value(check));
        free(text);
    }
    return 0;
}

int command_version(int argc, char **argv)
{
    struct option_list none;
    const struct option_spec specs[] = { { 0 } };
    const struct options options = {
        .command = "version",
        .arguments = "",
        .specs = specs,
        .about = "Prints the version of this program.",
    };
    int code;

    if (!options_read(&options, argc, argv, &none, &code))
        return code;
    printf("kernelhub %s\n", KH_VERSION);
    return 0;
}
