#include "cmd/printer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "cmd/paths.h"

#define MAX_TEXT (256u << 20)

/* Kinds of output that are worth a file, in the order in which a richer one wins. */
static const struct {
    const char *mime, *suffix;
    bool base64;
} KINDS[] = {
    { "image/png", "png", true },       { "image/jpeg", "jpg", true },
    { "image/gif", "gif", true },       { "image/webp", "webp", true },
    { "application/pdf", "pdf", true }, { "image/svg+xml", "svg", false },
    { "text/html", "html", false },
};

void printer_init(struct printer *p, struct client *client, const struct uuid *execution_id,
                  const char *save_dir, bool json)
{
    *p = (struct printer){ .client = client,
                           .execution_id = execution_id,
                           .save_dir = save_dir,
                           .json = json,
                           .exit_code = 1 };
    p->colour = isatty(STDERR_FILENO);
}

/* CSI sequences (ESC [ … final byte) and two-character escapes (ECMA-48). */
void printer_strip(struct buf *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] != '\033') {
            buf_add_char(out, text.data[i]);
            continue;
        }
        if (i + 1 < text.len && text.data[i + 1] == '[')
            for (i += 2; i < text.len && (text.data[i] < 0x40 || text.data[i] > 0x7e); i++)
                ;
        else
            i++;
    }
}

/* What a value refers to; NULL: to nothing. The code that runs can say {"ref":…} too, and where this is fetched our key
 * goes: so only a blob of this very execution is. */
static const char *reference_of(const struct printer *p, const json_t *value)
{
    const char *ref = json_string_value(json_object_get(value, "ref"));
    char before[100];

    if (!ref || !p->client || !p->execution_id)
        return NULL;
    int n = snprintf(before, sizeof before, "/api/v1/executions/%s/blobs/", p->execution_id->text);
    if (strncmp(ref, before, (size_t)n) != 0)
        return NULL;
    size_t digits = strspn(ref + n, "0123456789");
    return digits > 0 && digits < 10 && ref[(size_t)n + digits] == '\0' ? ref : NULL;
}

static void dump(const json_t *value, struct buf *out)
{
    char *text = json_dumps(value, JSON_COMPACT);

    if (text)
        buf_add_str(out, text);
    free(text);
}

/* A MIME value as text: a string, the lines of one, what a reference points to, or an object as it is. */
static bool read_value(struct printer *p, const json_t *value, struct buf *out)
{
    const char *ref = reference_of(p, value);
    struct err e = ERR_INIT;
    const json_t *line;
    size_t i;

    if (json_is_string(value)) {
        buf_add(out, json_string_value(value), json_string_length(value));
    } else if (json_is_array(value)) {
        json_array_foreach((json_t *)value, i, line) /* the macro only reads */
            buf_add(out, json_string_value(line), json_string_length(line));
    } else if (ref) {
        if (client_fetch(p->client, ref, out, &e) < 0)
            fprintf(stderr, "kernelhub run: %s: %s\n", ref, e.text);
    } else if (json_is_object(value)) {
        dump(value, out);
    }
    return !out->failed && out->len > 0;
}

static int write_file(const char *path, struct slice bytes)
{
    CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    while (fd >= 0 && bytes.len > 0) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n < 0)
            return -1;
        bytes = slice_of(bytes.data + n, bytes.len - (size_t)n);
    }
    return fd < 0 ? -1 : 0;
}

static void save(struct printer *p, const char *mime, const char *suffix, struct slice bytes)
{
    char path[PATH_SIZE];

    (void)mkdir(p->save_dir, 0755); /* it may be there */
    (void)snprintf(path, sizeof path, "%s/output-%u.%s", p->save_dir, ++p->n_saved, suffix);
    if (write_file(path, bytes) < 0)
        fprintf(stderr, "kernelhub run: %s: %s\n", path, strerror(errno));
    else
        fprintf(stderr, "[%s: %s]\n", mime, path);
}

static void print_rich(struct printer *p, size_t kind, const json_t *value)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_TEXT);
    CLEANUP_BUF struct buf bytes = BUF_INIT(MAX_TEXT);

    if (!p->save_dir) {
        if (strcmp(KINDS[kind].mime, "text/html") != 0)
            fprintf(stderr, "[%s: --save DIR writes it to a file]\n", KINDS[kind].mime);
        return;
    }
    if (!read_value(p, value, &text))
        return;
    if (!KINDS[kind].base64)
        save(p, KINDS[kind].mime, KINDS[kind].suffix, buf_slice(&text));
    else if (base64_decode(&bytes, buf_slice(&text)))
        save(p, KINDS[kind].mime, KINDS[kind].suffix, buf_slice(&bytes));
}

static void print_bundle(struct printer *p, const json_t *data)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_TEXT);
    const json_t *plain = json_object_get(data, "text/plain");

    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        const json_t *value = json_object_get(data, KINDS[i].mime);
        if (value) {
            print_rich(p, i, value);
            break;
        }
    }
    if (plain && read_value(p, plain, &text)) {
        buf_add_char(&text, '\n');
        (void)fwrite(text.data, 1, text.len, stdout);
    }
}

static void print_error(const struct printer *p, const json_t *error)
{
    const json_t *traceback = json_object_get(error, "traceback");
    const json_t *line;
    size_t i;

    if (json_array_size(traceback) == 0) {
        const char *name = json_string_value(json_object_get(error, "name"));
        const char *value = json_string_value(json_object_get(error, "value"));
        fprintf(stderr, "%s: %s\n", name ? name : "error", value ? value : "");
        return;
    }
    json_array_foreach((json_t *)traceback, i, line)
    {
        CLEANUP_BUF struct buf text = BUF_INIT(MAX_TEXT);
        struct slice raw = slice_of(json_string_value(line), json_string_length(line));
        if (p->colour)
            buf_add_slice(&text, raw);
        else
            printer_strip(&text, raw);
        buf_add_char(&text, '\n');
        (void)fwrite(text.data, 1, text.len, stderr);
    }
}

/* "ok" and "error" speak for themselves; other endings are said. */
void printer_end(struct printer *p, const json_t *event)
{
    const char *status = json_string_value(json_object_get(event, "status"));
    const json_t *code = json_object_get(event, "exit_code");

    (void)snprintf(p->status, sizeof p->status, "%s", status ? status : "lost");
    p->exit_code = json_is_integer(code) ? (int)(json_integer_value(code) & 0xff) : 1;
    if (!p->json && strcmp(p->status, "ok") != 0 && strcmp(p->status, "error") != 0)
        fprintf(stderr, "[%s]\n", p->status);
    if (!p->json && json_is_true(json_object_get(event, "truncated")))
        fprintf(stderr, "[output was cut: see max_output_bytes]\n");
}

static void print_text(const json_t *event, FILE *to)
{
    const json_t *text = json_object_get(event, "text");
    if (json_is_string(text))
        (void)fwrite(json_string_value(text), 1, json_string_length(text), to);
    (void)fflush(to);
}

static void print_gap(const json_t *event)
{
    const char *reason = json_string_value(json_object_get(event, "reason"));
    fprintf(stderr, "\n[%lld bytes left out: %s]\n",
            (long long)json_integer_value(json_object_get(event, "bytes")),
            reason ? reason : "a limit");
}

void printer_event(struct printer *p, struct slice line)
{
    CLEANUP(json_decref) json_t *event = json_loadb(line.data, line.len, 0, NULL);
    const char *type = json_string_value(json_object_get(event, "type"));

    if (!type)
        return;
    if (p->json) {
        (void)fwrite(line.data, 1, line.len, stdout);
        (void)putchar('\n');
    } else if (strcmp(type, "stdout") == 0) {
        print_text(event, stdout);
    } else if (strcmp(type, "stderr") == 0) {
        print_text(event, stderr);
    } else if (strcmp(type, "result") == 0 || strcmp(type, "display") == 0) {
        print_bundle(p, json_object_get(event, "data"));
    } else if (strcmp(type, "error") == 0) {
        print_error(p, event);
    } else if (strcmp(type, "gap") == 0) {
        print_gap(event);
    }
    if (strcmp(type, "finished") == 0)
        printer_end(p, event);
    (void)fflush(stdout);
}

void printer_record(struct printer *p, const json_t *record)
{
    const json_t *out = json_object_get(record, "stdout"), *err = json_object_get(record, "stderr"),
                 *result;
    size_t i;

    if (p->json) {
        (void)json_dumpf(record, stdout, JSON_COMPACT);
        (void)putchar('\n');
    } else {
        if (json_is_string(out))
            (void)fwrite(json_string_value(out), 1, json_string_length(out), stdout);
        (void)fflush(stdout);
        if (json_is_string(err))
            (void)fwrite(json_string_value(err), 1, json_string_length(err), stderr);
        json_array_foreach(json_object_get(record, "results"), i, result)
            print_bundle(p, json_object_get(result, "data"));
        (void)fflush(stdout);
        if (json_is_object(json_object_get(record, "error")))
            print_error(p, json_object_get(record, "error"));
    }
    printer_end(p, record);
}
