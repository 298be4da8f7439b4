/* Terminals and their sandboxes: what a warden says of them, and after its hello which of them live. */
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "kernelhub/terminal_internal.h"
#include "kernelhub/wait.h"

/* ---- frames ---- */

static void on_started(struct terminal *t)
{
    CLEANUP_BUF struct buf json = BUF_INIT(4096);
    if (t->state != TERMINAL_STARTING)
        return;
    t->state = TERMINAL_RUNNING;
    terminal_write(t, &json);
    wait_list_answer(t->waits, NULL, buf_slice(&json));
}

static void on_over(struct terminal *t, struct slice json)
{
    char text[200];
    int64_t n;
    char *reason = json_member_dup(json, "reason", 180);
    enum err_code code = reason ? ERR_SANDBOX : ERR_NONE;
    if (reason)
        (void)snprintf(text, sizeof text, "%s", reason);
    else if (json_member_int(json, "exit_code", &n))
        (void)snprintf(text, sizeof text, "exit code %lld", (long long)n);
    else if (json_member_int(json, "signal", &n))
        (void)snprintf(text, sizeof text, "signal %lld", (long long)n);
    else
        (void)snprintf(text, sizeof text, "it ended");
    free(reason);
    terminal_end(t, code, text);
}

static void on_state(struct terminal *t, struct slice json)
{
    struct slice state;
    if (!json_valid(json) || !json_member_string(json, "state", &state))
        sandbox_cut_off(t->sandbox, "it says nonsense of a terminal");
    else if (slice_is(state, "started"))
        on_started(t);
    else if (slice_is(state, "over"))
        on_over(t, json);
}

static void on_taken(struct terminal *t, struct slice json)
{
    int64_t upto = 0;
    if (!json_valid(json) || !json_member_int(json, "upto", &upto) || upto < 0 ||
        (uint64_t)upto < t->taken || (uint64_t)upto > t->input) {
        sandbox_cut_off(t->sandbox, "it takes input that a terminal never got");
        return;
    }
    t->taken = (uint64_t)upto;
    terminal_tell(t);
}

static void on_output(struct terminal *t, struct slice bytes)
{
    if (bytes.len == 0 || bytes.len > t->upto - t->end) {
        sandbox_cut_off(t->sandbox, "a terminal says more than it may");
        return;
    }
    t->active_us = hub_unix_us();
    terminal_add_output(t, bytes);
}

static void on_refused(struct terminal *t, const struct link_frame *f)
{
    char text[200] = "its sandbox refused it";
    struct slice code;
    char *message =
        f->n_parts && json_valid(f->parts[0]) ? json_member_dup(f->parts[0], "message", 180) : NULL;
    if (message)
        (void)snprintf(text, sizeof text, "%s", message);
    free(message);
    bool full = f->n_parts && json_member_string(f->parts[0], "code", &code) &&
                slice_is(code, err_name(ERR_QUOTA));
    terminal_end(t, full ? ERR_QUOTA : ERR_SANDBOX, text);
}

bool terminal_on_frame(struct sandbox *s, const struct link_frame *f)
{
    bool ours = f->type == LINK_OUTPUT || f->type == LINK_TAKEN || f->type == LINK_STATE;
    struct terminal *t = zhashx_lookup(s->hub->terminals, f->kernel_id.text);
    if (!t)
        return ours; /* of one that we gave up */
    if (t->sandbox != s)
        sandbox_cut_off(s, "it speaks of another sandbox's terminal");
    else if (f->type == LINK_ERROR)
        on_refused(t, f);
    else if (!ours || f->n_parts != 1)
        sandbox_cut_off(s, "it says of a terminal what is said of none");
    else if (f->type == LINK_OUTPUT)
        on_output(t, f->parts[0]);
    else if (f->type == LINK_TAKEN)
        on_taken(t, f->parts[0]);
    else
        on_state(t, f->parts[0]);
    return true;
}

/* ---- after a hello ---- */

struct entry {
    struct uuid id;
    char name[TERMINAL_NAME_BYTES + 1];
    bool running;
    uint64_t start, end, input, taken;
};

static bool read_position(struct slice json, const char *name, uint64_t *ret)
{
    int64_t n;
    if (!json_member_int(json, name, &n) || n < 0)
        return false;
    *ret = (uint64_t)n;
    return true;
}

static bool read_entry(struct slice json, struct entry *ret)
{
    struct slice id, name;
    return json_member_string(json, "terminal_id", &id) && uuid_parse(id, &ret->id) &&
           json_member_string(json, "name", &name) &&
           json_copy_string(name, ret->name, sizeof ret->name) &&
           json_member_bool(json, "running", &ret->running) &&
           read_position(json, "start", &ret->start) && read_position(json, "end", &ret->end) &&
           read_position(json, "input", &ret->input) && read_position(json, "taken", &ret->taken) &&
           ret->start <= ret->end && ret->end - ret->start <= LINK_TERMINAL_RING_BYTES &&
           ret->taken <= ret->input && ret->input - ret->taken <= LINK_TERMINAL_WINDOW_BYTES;
}

static struct slice list_of(struct slice hello)
{
    struct slice list;
    return json_member(hello, "terminals", &list) ? list : slice_of(NULL, 0);
}

static void take_up(struct terminal *t, const struct entry *entry)
{
    t->input = entry->input;
    t->taken = entry->taken;
    if (t->state == TERMINAL_WAITING)
        t->state = TERMINAL_STARTING;
    terminal_restart_output(t, t->end > entry->start ? t->end : entry->start);
    terminal_fit(t);
    if (entry->running)
        on_started(t);
    terminal_tell(t);
}

/* Of a hub before us. A private one has lost its client, and is ended. */
static void adopt(struct sandbox *s, const struct entry *entry)
{
    struct terminal *t = terminal_recover(s, &entry->id, entry->name);
    if (t) {
        take_up(t, entry);
        return;
    }
    const struct link_frame stop = { .type = LINK_STOP, .kernel_id = entry->id };
    sandbox_send(s, &stop);
}

/* False: the sandbox was cut off. */
static bool take_list(struct sandbox *s, struct slice hello)
{
    unsigned n = 0;
    struct entry entry;
    struct json_iter it = json_iter(list_of(hello));
    while (json_next(&it)) {
        if (!read_entry(it.value, &entry) || ++n > LINK_MAX_TERMINALS) {
            sandbox_cut_off(s, "it says nonsense of its terminals");
            return false;
        }
        struct terminal *t = zhashx_lookup(s->hub->terminals, entry.id.text);
        if (t && (t->sandbox != s || t->end > entry.end)) {
            sandbox_cut_off(s, "it speaks of another sandbox's terminal");
            return false;
        }
        if (t)
            take_up(t, &entry);
        else
            adopt(s, &entry);
    }
    return true;
}

static bool is_listed(struct slice hello, const struct uuid *id)
{
    struct slice text;
    struct json_iter it = json_iter(list_of(hello));
    while (json_next(&it))
        if (json_member_string(it.value, "terminal_id", &text) && slice_is(text, id->text))
            return true;
    return false;
}

void terminals_sandbox_up(struct sandbox *s, struct slice hello, bool another_warden)
{
    if (!take_list(s, hello))
        return;
    zlistx_t *all = zhashx_values(s->hub->terminals); /* one may end while we walk */
    for (struct terminal *t = zlistx_first(all); t; t = zlistx_next(all)) {
        if (t->sandbox != s || is_listed(hello, &t->id))
            continue;
        if (t->state == TERMINAL_RUNNING)
            terminal_end(t, another_warden ? ERR_SANDBOX : ERR_NONE,
                         another_warden ? "the sandbox's warden died, and its terminals with it"
                                        : "it ended");
        else
            terminal_begin(t);
    }
    zlistx_destroy(&all);
}

void terminals_sandbox_gone(struct sandbox *s, const struct err *why)
{
    zlistx_t *all = zhashx_values(s->hub->terminals);
    for (struct terminal *t = zlistx_first(all); t; t = zlistx_next(all))
        if (t->sandbox == s)
            terminal_end(t, why->code, why->text);
    zlistx_destroy(&all);
}
