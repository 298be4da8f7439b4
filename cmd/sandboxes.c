#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/ask.h"
#include "cmd/commands.h"
#include "cmd/prompt.h"

#define SANDBOXES "/api/v1/sandboxes"
#define MAX_PATH  (4u << 20) /* no argument has more than 128 KiB, three times that escaped */

/* A column for what is a list in the reply: its items, as one text. */
static void join_list(json_t *item, const char *from, const char *to)
{
    CLEANUP_BUF struct buf text = BUF_INIT(65536);
    json_t *list = json_object_get(item, from), *part;
    size_t i;

    json_array_foreach(list, i, part)
        buf_addf(&text, "%s%s", i ? ", " : "", json_is_string(part) ? json_string_value(part) : "");
    if (text.len)
        (void)json_object_set_new(item, to, json_string(text.data)); /* no memory: no column */
}

static int list(const struct ask *a, const char *label)
{
    static const struct table_column COLUMNS[] = {
        { "NAME", "name" },          { "TEMPLATE", "template" },     { "STATE", "state" },
        { "EXPIRES", "expires_at" }, { "KEPT ALIVE BY", "reasons" }, { "ID", "sandbox_id" },
    };
    CLEANUP(json_decref) json_t *reply = NULL;
    char *escaped = label ? curl_easy_escape(NULL, label, 0) : NULL;
    char *path = client_path(SANDBOXES, "", "");
    CLEANUP_BUF struct buf full = BUF_INIT(MAX_PATH);
    json_t *item;
    size_t i;

    buf_addf(&full, "%s%s%s", path, escaped ? "?label=" : "", escaped ? escaped : "");
    curl_free(escaped);
    free(path);
    int code = ask_call(a, "GET", full.data, NULL, &reply);
    if (code != 0)
        return code;
    if (a->json) {
        table_print_json(reply);
        return 0;
    }
    json_array_foreach(json_object_get(reply, "items"), i, item)
        join_list(item, "keeps_alive", "reasons");
    table_print(json_object_get(reply, "items"), COLUMNS, ARRAY_LEN(COLUMNS));
    return 0;
}

int command_sandboxes(int argc, char **argv)
{
    struct ask a = { .command = "sandboxes" };
    const char *label = NULL;
    const struct option_spec specs[] = {
        { "label", 'l', OPTION_TEXT, "KEY[=VALUE]", "only those with this label", &label },
        ASK_OPTIONS(&a),
        { 0 },
    };
    const struct options options = {
        .command = "sandboxes",
        .arguments = "[ls]",
        .max_arguments = 1,
        .specs = specs,
        .about = "Lists your sandboxes: until when they live, and what keeps them alive.",
        .examples = "  kernelhub sandboxes\n  kernelhub sandboxes --label team=blue --json\n",
    };
    struct option_list args;
    int code;

    if (!options_read(&options, argc, argv, &args, &code))
        return code;
    if (args.n == 0 || strcmp(args.items[0], "ls") == 0)
        return list(&a, label);
    fprintf(stderr, "kernelhub sandboxes: it only lists; 'kernelhub kill SANDBOX' ends one\n");
    return 2;
}

/* Somebody at a terminal is shown what ends. True: go on. */
static bool is_meant(const struct ask *a, const char *path, const char *name, int *ret_code)
{
    CLEANUP(json_decref) json_t *sandbox = NULL;
    CLEANUP_BUF struct buf answer = BUF_INIT(8192);
    char question[600];
    struct prompt prompt = { .open = false };

    *ret_code = ask_call(a, "GET", path, NULL, &sandbox);
    if (*ret_code != 0)
        return false;
    const char *workspace = json_string_value(json_object_get(sandbox, "workspace"));
    bool files = workspace && strcmp(workspace, "private") == 0;
    (void)snprintf(question, sizeof question, "End sandbox %.200s with its %zu sessions%s? [y/N] ",
                   name, json_array_size(json_object_get(sandbox, "sessions")),
                   files ? " AND ITS FILES" : "; files stay");
    prompt_ask(&prompt, question, false);
    prompt_read(&prompt, &answer);
    prompt_end(&prompt);
    if (answer.len && (answer.data[0] == 'y' || answer.data[0] == 'Y'))
        return true;
    fprintf(stderr, "kernelhub kill: nothing was ended\n");
    *ret_code = 1;
    return false;
}

int command_kill(int argc, char **argv)
{
    struct ask a = { .command = "kill" };
    bool yes = false;
    const struct option_spec specs[] = {
        { "yes", 'y', OPTION_FLAG, NULL, "do not ask (nobody is asked but at a terminal)", &yes },
        ASK_OPTIONS(&a),
        { 0 },
    };
    const struct options options = {
        .command = "kill",
        .arguments = "SANDBOX",
        .min_arguments = 1,
        .max_arguments = 1,
        .specs = specs,
        .about =
            "Ends a sandbox, by name or id, with its sessions and all that runs there; files stay "
            "unless its workspace\nis private.",
        .examples = "  kernelhub kill analysis\n  kernelhub kill --yes default\n",
    };
    struct option_list args;
    int code = 0;

    if (!options_read(&options, argc, argv, &args, &code))
        return code;
    char *path = client_path(SANDBOXES "/", args.items[0], "");
    if (yes || !prompt_is_possible() || is_meant(&a, path, args.items[0], &code))
        code = ask_do(&a, "DELETE", path, "is ended", args.items[0]);
    free(path);
    return code;
}
