/* The text: what is fixed in it is written first, then each section gets its share of the room that is left. */
#include "web/mcp_view_internal.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "protocol/event_record.h"
#include "protocol/text_excerpt.h"

#define MAX_FILES     20
#define MAX_FIXED     (256u << 10)
#define SECTION_CHARS 32 /* of a section's label, and the newline at its end */

/* ---- what is not cut ---- */

/* What a model should know of an end, or of none. */
static const char *const ADVICE[STATUS_N] = {
    [STATUS_QUEUED] = "It waits for its turn. get_execution with wait_seconds waits for the end.",
    [STATUS_RUNNING] = "It runs on. get_execution with wait_seconds waits for the end; "
                       "interrupt_execution stops it.",
    [STATUS_WAITING_INPUT] = "The code asks for input(), which nobody can answer here: "
                             "interrupt_execution, then run it without input().",
    [STATUS_INTERRUPTED] = "It was interrupted. Variables are kept.",
    [STATUS_TIMEOUT] = "It took longer than timeout_seconds and was interrupted. Variables are "
                       "kept unless the kernel had to be killed. Use "
                       "a larger timeout_seconds, with background=true and get_execution above 50.",
    [STATUS_OOM] = "The sandbox ran out of memory: variables are lost, files are kept. The next "
                   "call starts a new kernel.",
    [STATUS_KERNEL_DIED] =
        "The kernel died: variables are lost, files are kept. The next call starts a new kernel.",
    [STATUS_CANCELLED] = "It was cancelled before it ran. When the session is busy: "
                         "list_sandboxes shows what runs there, interrupt_execution stops it, and "
                         "another session is free.",
    [STATUS_LOST] = "The service lost sight of it: whether it ran to its end is not known. Look at "
                    "its effects before you run it again.",
};

static void write_member(const struct mcp_view *v, const char *label, const char *name,
                         struct buf *out)
{
    struct slice raw;
    if (!json_member_string(buf_slice(&v->record), name, &raw) || raw.len > 400)
        return;
    buf_add_str(out, label);
    json_unescape(out, raw);
}

static void write_head(const struct mcp_view *v, struct buf *out)
{
    int64_t ms;
    enum status status;
    buf_addf(out, "sandbox_id: %s", v->sandbox);
    write_member(v, " | session: ", "session", out);
    buf_addf(out, " | execution_id: %s | %s", v->id.text, v->status);
    if (json_member_int(buf_slice(&v->record), "duration_ms", &ms))
        buf_addf(out, " | %lld.%lld s", (long long)(ms / 1000), (long long)(ms % 1000 / 100));
    buf_add_char(out, '\n');
    if (!status_parse(slice_str(v->status), &status))
        return;
    if (ADVICE[status])
        buf_addf(out, "%s\n", ADVICE[status]);
    if (status != STATUS_OK && status != STATUS_ERROR) {
        size_t before = out->len;
        write_member(v, "Reason: ", "reason", out);
        if (out->len > before)
            buf_add_char(out, '\n');
    }
}

static void write_size(size_t bytes, struct buf *out)
{
    if (bytes < 10240)
        buf_addf(out, "%zu bytes", bytes);
    else if (bytes < 10u << 20)
        buf_addf(out, "%zu KB", bytes / 1024);
    else
        buf_addf(out, "%zu MB", bytes >> 20);
}

/* One line for what is no text: it stands where it was shown. */
static void write_place(const struct mcp_view *v, const struct part *p, size_t number,
                        struct buf *out)
{
    buf_addf(out, "[%s %zu: ",
             p->kind == PART_LINK                              ? "file"
             : strncmp(p->media->media_type, "audio/", 6) == 0 ? "audio"
                                                               : "image",
             number);
    if (p->is_image)
        buf_addf(out, "%ux%u %s, ", p->head.width, p->head.height, image_kind_name(p->head.kind));
    else
        buf_addf(out, "%s, ", p->media ? p->media->media_type : "text/plain");
    write_size(p->bytes, out);
    if (!p->is_inlined) {
        buf_add_str(out, p->kind == PART_IMAGE ? ", not inlined: " : ": ");
        mcp_view_uri(v, p->stream, out);
    }
    buf_add_str(out, "]\n");
}

static void write_notes(const struct mcp_view *v, struct buf *out)
{
    bool truncated = false;
    (void)json_member_bool(buf_slice(&v->record), "truncated", &truncated); /* absent: false */
    if (v->n_left_out)
        buf_addf(out,
                 "[%zu more outputs are not shown; get_execution(execution_id=\"%s\", "
                 "stream=\"output-%zu\") reads the next]\n",
                 v->n_left_out, v->id.text, v->n_outputs - v->n_left_out + 1);
    if (truncated)
        buf_add_str(out, "[it printed more than is kept (max_output_bytes): the middle is gone]\n");
}

static void write_files(const struct mcp_view *v, size_t max_chars, struct buf *out)
{
    struct slice items, path, change;
    int64_t bytes;
    size_t n = 0, shown = 0, begin = out->len;
    if (!json_member(buf_slice(&v->record), "files_changed", &items))
        return;
    for (struct json_iter it = json_iter(items); json_next(&it); n++) {
        if (shown == MAX_FILES || out->len - begin > max_chars ||
            !json_member_string(it.value, "path", &path) ||
            !json_member_string(it.value, "change", &change) || path.len > 300)
            continue;
        buf_add_str(out, shown ? ", " : "files: ");
        json_unescape(out, change);
        buf_add_char(out, ' ');
        json_unescape(out, path);
        if (json_member_int(it.value, "bytes", &bytes) && !slice_is(change, "deleted")) {
            buf_add_str(out, " (");
            write_size(bytes > 0 ? (size_t)bytes : 0, out);
            buf_add_char(out, ')');
        }
        shown++;
    }
    if (n > shown)
        buf_addf(out, "%s%zu %s", shown ? " and " : "files: ", n - shown,
                 shown ? "more" : "changed");
    if (n)
        buf_add_char(out, '\n');
}

/* ---- shares ---- */

/* Standard output gets twice what another section gets; what a short one does not need, the long ones share. */
static size_t weight(const struct part *p)
{
    return strcmp(p->label, "stdout") == 0 ? 2 : 1;
}

static bool is_open(const struct part *p)
{
    return p->kind == PART_TEXT && p->share == 0;
}

/* One that is looked at through windows has more than can be shown, whatever is visible of it. */
static size_t need_of(const struct part *p)
{
    size_t chars = p->text.chars + 1;
    return p->text.tail_source.len ? chars + MCP_TEXT_MARK_CHARS : chars;
}

static void share_out(struct mcp_view *v, size_t room)
{
    for (bool again = true; again;) {
        size_t weights = 0, given = 0;
        again = false;
        for (size_t i = 0; i < v->n_parts; i++)
            weights += is_open(&v->parts[i]) ? weight(&v->parts[i]) : 0;
        for (size_t i = 0; i < v->n_parts; i++) {
            struct part *p = &v->parts[i];
            if (!is_open(p) || need_of(p) > room * weight(p) / weights)
                continue;
            p->share = need_of(p);
            given += p->share;
            again = true;
        }
        room -= given;
        for (size_t i = 0; i < v->n_parts && !again; i++)
            if (is_open(&v->parts[i]))
                v->parts[i].share = room * weight(&v->parts[i]) / weights;
    }
}

static void show_texts(struct mcp_view *v)
{
    for (size_t i = 0; i < v->n_parts; i++) {
        struct part *p = &v->parts[i];
        if (p->kind != PART_TEXT)
            continue;
        struct mcp_text_place place = { .execution_id = v->id.text, .stream = p->stream };
        buf_init(&p->shown, 4 * v->options.max_chars + 4096);
        p->is_cut = mcp_text_write(&p->text, &place, p->share, &p->shown);
    }
}

/* ---- */

static void write_section(const struct part *p, struct buf *out)
{
    buf_addf(out, "%s:\n", p->label);
    buf_add_slice(out, buf_slice(&p->shown));
    if (p->shown.len && p->shown.data[p->shown.len - 1] != '\n')
        buf_add_char(out, '\n');
}

/* Adjacent parts in their order: the fixed ones are measured first, then everything is written. */
static void write_parts(const struct mcp_view *v, bool with_texts, struct buf *out)
{
    size_t media = 0, links = 0;
    for (size_t i = 0; i < v->n_parts; i++) {
        const struct part *p = &v->parts[i];
        if (p->kind == PART_TEXT && with_texts)
            write_section(p, out);
        else if (p->kind != PART_TEXT)
            write_place(v, p, p->kind == PART_IMAGE ? ++media : ++links, out);
    }
}

void mcp_view_write_text(struct mcp_view *v, struct buf *out)
{
    CLEANUP_BUF struct buf head = BUF_INIT(MAX_FIXED), end = BUF_INIT(MAX_FIXED),
                           parts = BUF_INIT(MAX_FIXED);
    size_t max = v->options.max_chars, n_texts = 0;
    write_head(v, &head);
    write_notes(v, &end);
    write_files(v, max / 8, &end);
    write_parts(v, false, &parts);
    for (size_t i = 0; i < v->n_parts; i++)
        n_texts += v->parts[i].kind == PART_TEXT;
    size_t fixed = text_chars(buf_slice(&head)) + text_chars(buf_slice(&end)) +
                   text_chars(buf_slice(&parts)) + n_texts * SECTION_CHARS;
    share_out(v, fixed < max ? max - fixed : 0);
    show_texts(v);
    size_t begin = out->len;
    buf_add_slice(out, buf_slice(&head));
    write_parts(v, true, out);
    if (v->n_parts == 0)
        buf_add_str(out, "(no output)\n");
    buf_add_slice(out, buf_slice(&end));
    struct slice all = slice_of(out->data + begin, out->len - begin);
    if (text_chars(all) > max) /* what is fixed alone was too much */
        out->len = begin + text_head(all, max);
}
