#include "cmd/commands.h"
#include "cmd/follow.h"

int command_attach(int argc, char **argv)
{
    struct client_settings where = { 0 };
    struct printer printer;
    struct follow f = { "attach", .printer = &printer };
    const char *after = NULL, *save_dir = NULL;
    bool json = false;
    const struct option_spec specs[] = {
        { "after", 'a', OPTION_TEXT, "SEQ", "begin behind this event (default: the first)",
          &after },
        { "save", 0, OPTION_TEXT, "DIR", "write images and HTML to files there", &save_dir },
        { "json", 0, OPTION_FLAG, NULL, "one event a line", &json },
        CLIENT_OPTIONS(&where),
        { 0 },
    };
    const struct options options = {
        .command = "attach",
        .arguments = "EXECUTION",
        .min_arguments = 1,
        .max_arguments = 1,
        .specs = specs,
        .about = "Shows the output of an execution that runs or ran, from its first event to its "
                 "end, and exits\n"
                 "with its exit code. Ctrl-C interrupts it, twice leaves it running. On a terminal "
                 "input() asks there.",
        .examples = "  kernelhub history; kernelhub attach 3f0c…\n",
    };
    struct option_list arguments;
    struct err e = ERR_INIT;
    int code;

    if (!options_read(&options, argc, argv, &arguments, &code))
        return code;
    char *end = NULL;
    int rc = client_new(&where, &f.client, &e);
    if (after)
        f.last_seq = strtoull(after, &end, 10);
    if (rc == 0 && !uuid_parse(slice_str(arguments.items[0]), &f.id))
        rc = err_set(&e, ERR_INVALID,
                     "'%.100s' is not the id of an execution (kernelhub history shows them)",
                     arguments.items[0]);
    if (rc == 0 && after && (end == after || *end || *after == '-'))
        rc = err_set(&e, ERR_INVALID, "--after takes the number of an event, not '%.50s'", after);
    if (rc == 0) {
        printer_init(&printer, f.client, &f.id, save_dir, json);
        f.asks = prompt_is_possible() && !json;
        rc = follow(&f, &e);
    }
    code = follow_exit_code(&f, rc, &e);
    client_free(f.client);
    return code;
}
