#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ask.h"
#include "cmd/commands.h"

static int create(const struct ask *a, const char *name, bool admin)
{
    CLEANUP(json_decref) json_t *body = json_pack("{s:s,s:b}", "name", name, "admin", admin);
    CLEANUP(json_decref) json_t *reply = NULL;
    int code = ask_call(a, "POST", "/api/v1/admin/users", body, &reply);

    if (code != 0)
        return code;
    if (a->json)
        table_print_json(reply);
    else
        printf("user %s is made; give them a key: kernelhub key create NAME --user %s\n", name,
               name);
    return 0;
}

static int list(const struct ask *a)
{
    static const struct table_column COLUMNS[] = {
        { "NAME", "name" },
        { "ADMIN", "admin" },
        { "CREATED", "created_at" },
        { "ID", "id" },
    };
    return ask_list(a, "/api/v1/admin/users", COLUMNS, ARRAY_LEN(COLUMNS));
}

static int remove_user(const struct ask *a, const char *name)
{
    char *path = client_path("/api/v1/admin/users/", name, "");
    int code = ask_do(a, "DELETE", path, "is removed, with all keys and sandboxes", name);

    free(path);
    return code;
}

int command_user(int argc, char **argv)
{
    struct ask a = { .command = "user" };
    bool admin = false;
    const struct option_spec specs[] = {
        { "admin", 0, OPTION_FLAG, NULL, "with create: may manage users and see everything",
          &admin },
        ASK_OPTIONS(&a),
        { 0 },
    };
    const struct options options = {
        .command = "user",
        .arguments = "create NAME | ls | rm NAME",
        .min_arguments = 1,
        .max_arguments = 2,
        .specs = specs,
        .about = "Users: each has keys, limits, sandboxes and a workspace of its own.",
        .examples = "  kernelhub user create ada\n  kernelhub key create laptop --user ada\n  "
                    "kernelhub user rm ada\n",
    };
    struct option_list args;
    int code;

    if (!options_read(&options, argc, argv, &args, &code))
        return code;
    if (args.n == 2 && strcmp(args.items[0], "create") == 0)
        return create(&a, args.items[1], admin);
    if (args.n == 2 && strcmp(args.items[0], "rm") == 0)
        return remove_user(&a, args.items[1]);
    if (args.n == 1 && strcmp(args.items[0], "ls") == 0)
        return list(&a);
    fprintf(stderr, "kernelhub user: it is %s (see kernelhub user --help)\n", options.arguments);
    return 2;
}
