#include "cmd/ask.h"

#include <stdio.h>

int ask_call(const struct ask *a, const char *method, const char *path, const json_t *body,
             json_t **ret)
{
    CLEANUP(client_free) struct client *client = NULL;
    struct err e = ERR_INIT;

    if (client_new(&a->where, &client, &e) < 0 ||
        client_call(client, method, path, body, ret, &e) < 0)
        return client_complain(a->command, client, &e);
    return 0;
}

int ask_list(const struct ask *a, const char *path, const struct table_column *columns, size_t n)
{
    CLEANUP(json_decref) json_t *reply = NULL;
    int code = ask_call(a, "GET", path, NULL, &reply);

    if (code != 0)
        return code;
    if (a->json)
        table_print_json(reply);
    else
        table_print(json_object_get(reply, "items"), columns, n);
    return 0;
}

int ask_do(const struct ask *a, const char *method, const char *path, const char *done,
           const char *name)
{
    CLEANUP(json_decref) json_t *reply = NULL;
    int code = ask_call(a, method, path, NULL, &reply);

    if (code != 0)
        return code;
    if (a->json && reply)
        table_print_json(reply);
    else
        printf("%s %s\n", name, done);
    return 0;
}
