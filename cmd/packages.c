#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ask.h"
#include "cmd/commands.h"
#include "cmd/printer.h"

#define PACKAGES "/api/v1/packages"

struct packages {
    struct ask ask;
    const char *language, *session;
    bool quiet;
    json_t *last; /* of an install: its `finished` */
};

/* ---- what there is ---- */

static int list(const struct packages *p)
{
    static const struct table_column COLUMNS[] = {
        { "LANGUAGE", "language" },
        { "NAME", "name" },
        { "VERSION", "version" },
    };
    const char *query = p->language ? PACKAGES "/installed?language=" : PACKAGES "/installed";
    char *path = client_path(query, p->language ? p->language : "", "");
    int code = ask_list(&p->ask, path, COLUMNS, ARRAY_LEN(COLUMNS));

    free(path);
    return code;
}

static int allowed(const struct packages *p, const char *language)
{
    CLEANUP(json_decref) json_t *reply = NULL;
    char *path = client_path(PACKAGES "/allowed/", language, "");
    int code = ask_call(&p->ask, "GET", path, NULL, &reply);
    const json_t *rule;
    size_t i;

    free(path);
    if (code != 0)
        return code;
    if (p->ask.json) {
        table_print_json(reply);
        return 0;
    }
    json_array_foreach(json_object_get(reply, "items"), i, rule)
        printf("%s\n", json_is_string(rule) ? json_string_value(rule) : "?");
    if (!json_is_true(json_object_get(reply, "installable")))
        fprintf(stderr, "kernelhub packages: builders have no packages to install: see the "
                        "settings packages/network and packages/wheels\n");
    return 0;
}

/* ---- installing ---- */

static void show_progress(const struct packages *p, const json_t *record)
{
    CLEANUP_BUF struct buf plain = BUF_INIT(1 << 20);
    const json_t *text = json_object_get(record, "text");

    if (p->quiet || !json_is_string(text))
        return;
    printer_strip(&plain, slice_of(json_string_value(text), json_string_length(text)));
    (void)fwrite(plain.data ? plain.data : "", 1, plain.len,
                 stderr); /* a closed one hears nothing */
}

static void on_record(void *arg, uint64_t id, struct slice data)
{
    struct packages *p = arg;
    json_t *record = json_loadb(data.data ? data.data : "", data.len, 0, NULL);
    const char *type = json_string_value(json_object_get(record, "type"));

    if (type && strcmp(type, "progress") == 0) {
        show_progress(p, record);
    } else if (type && strcmp(type, "queued") == 0 && !p->quiet) {
        fprintf(stderr, "[waiting for other installs]\n");
    } else if (type && strcmp(type, "finished") == 0) {
        json_decref(p->last);
        p->last = json_incref(record);
    }
    json_decref(record);
}

static void print_changes(const json_t *install, const char *list_name, const char *change)
{
    const json_t *package;
    size_t i;

    json_array_foreach(json_object_get(install, list_name), i, package)
    {
        const char *name = json_string_value(json_object_get(package, "name"));
        const char *version = json_string_value(json_object_get(package, "version"));
        const char *was = json_string_value(json_object_get(package, "previous"));
        const char *said = json_string_value(json_object_get(package, "change"));
        printf("%s %s %s%s%s\n", name ? name : "?", version ? version : "?",
               change ? change
               : said ? said
                      : "",
               was ? ", was " : "", was ? was : "");
    }
}

/* The end of an install: 0, or 1 with the reason said. */
static int say_end(const struct packages *p)
{
    const json_t *error = json_object_get(p->last, "error");
    const char *status = json_string_value(json_object_get(p->last, "status"));
    const char *message =
        json_string_value(json_object_get(json_is_object(error) ? error : p->last, "message"));
    bool ok = status && strcmp(status, "ok") == 0;

    if (p->ask.json) {
        (void)json_object_del(p->last, "type"); /* as the reply without a stream */
        table_print_json(p->last);
    } else {
        print_changes(p->last, "installed", NULL);
        print_changes(p->last, "removed", "removed");
        if (ok && json_array_size(json_object_get(p->last, "installed")) == 0)
            printf("nothing was missing\n");
    }
    if (!ok)
        fprintf(stderr, "kernelhub packages: %s\n", message ? message : status ? status : "failed");
    return ok ? 0 : 1;
}

static json_t *install_body(const struct packages *p, const struct option_list *args)
{
    json_t *names = json_array();
    json_t *body = json_pack("{s:o,s:s*,s:s*}", "packages", names, "language", p->language,
                             "session", p->session);

    for (size_t i = 1; body && i < args->n; i++) {
        if (json_array_append_new(names, json_string(args->items[i])) < 0) {
            json_decref(body);
            return NULL;
        }
    }
    return body;
}

static int install(struct packages *p, const struct option_list *args)
{
    CLEANUP(client_free) struct client *client = NULL;
    CLEANUP(json_decref) json_t *body = install_body(p, args);
    struct err e = ERR_INIT;
    const struct client_stream stream = { .method = "POST",
                                          .path = PACKAGES "/install",
                                          .body = body,
                                          .on_event = on_record,
                                          .arg = p,
                                          .wake_fd = -1 };

    if (!body) {
        fprintf(stderr, "kernelhub packages: an argument is not text in UTF-8\n");
        return 2;
    }
    if (client_new(&p->ask.where, &client, &e) < 0 || client_stream(client, &stream, &e) < 0)
        return client_complain("packages", client, &e);
    if (!p->last) {
        fprintf(stderr, "kernelhub packages: the service broke off; the install may go on\n");
        return 1;
    }
    return say_end(p);
}

int command_packages(int argc, char **argv)
{
    struct packages p = { .ask = { .command = "packages" } };
    const struct option_spec specs[] = {
        { "language", 'l', OPTION_TEXT, "LANGUAGE", "python or javascript", &p.language },
        { "session", 's', OPTION_TEXT, "NAME", "with install: for the image of this session",
          &p.session },
        { "quiet", 'q', OPTION_FLAG, NULL, "with install: not what the installer says", &p.quiet },
        ASK_OPTIONS(&p.ask),
        { 0 },
    };
    const struct options options = {
        .command = "packages",
        .arguments = "[ls | install NAME… | allowed]",
        .max_arguments = OPTION_MAX_VALUES,
        .specs = specs,
        .about = "Lists the packages that you have installed, installs others, or says what may be "
                 "installed.\nRunning kernels find them at their next import. Ctrl-C leaves an "
                 "install alone, it does not end it.",
        .examples = "  kernelhub packages install 'numpy>=2' pandas\n"
                    "  kernelhub packages install -l javascript lodash\n"
                    "  kernelhub packages allowed -l python\n",
    };
    struct option_list args;
    int code;

    if (!options_read(&options, argc, argv, &args, &code))
        return code;
    const char *what = args.n ? args.items[0] : "ls";
    if (strcmp(what, "ls") == 0 && args.n <= 1)
        return list(&p);
    if (strcmp(what, "allowed") == 0 && args.n <= 1)
        return allowed(&p, p.language ? p.language : "python");
    if (strcmp(what, "install") == 0 && args.n > 1) {
        code = install(&p, &args);
        json_decref(p.last);
        return code;
    }
    fprintf(stderr, "kernelhub packages: it is %s (see kernelhub packages --help)\n",
            options.arguments);
    return 2;
}
