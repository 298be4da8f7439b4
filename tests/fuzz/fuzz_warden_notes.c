/* Property: a note that is accepted can be adopted, and reads the same when it is put and read again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sandbox/warden_notes.h"
#include "sandbox/warden_order.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
    if (!ok)
        abort();
}

static struct warden_notes *notes_without_a_name(void)
{
    struct warden_notes *notes = NULL;
    const char *folder = getenv("TMPDIR");
    char path[200];
    (void)snprintf(path, sizeof path, "%.150s/fuzz-notes-%d", folder ? folder : "/tmp",
                   (int)getpid());
    check(warden_notes_open(path, getuid(), &notes, NULL) == 0 && unlink(path) == 0);
    return notes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct warden_notes *notes;
    struct warden_note note, again;
    struct warden_order order;
    if (!warden_note_parse(slice_of(data, size), &note))
        return 0;
    check(warden_order_read(note.order, &order, NULL) == 0);
    if (!notes)
        notes = notes_without_a_name();
    CLEANUP_BUF struct buf text = BUF_INIT(128u << 10);
    warden_notes_put(notes, 1, &note.kernel_id, note.key, note.ready, note.order);
    check(warden_notes_read(notes, 1, &text, &again));
    check(uuid_equal(&again.kernel_id, &note.kernel_id) && again.ready == note.ready &&
          strcmp(again.key, note.key) == 0 && again.order.len == note.order.len &&
          memcmp(again.order.data, note.order.data, note.order.len) == 0);
    return 0;
}
