#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "protocol/init_wire.h"
#include "sandbox/warden_notes.h"
#include "sandbox/warden_order.h"
#include "tests/unit/scratch.h"

#define KEY   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID    "11111111-1111-4111-8111-111111111111"
#define ORDER "{\"argv\":[\"k\"]}"
#define PLACE 4096 /* of number 1 */

struct fixture {
    char path[100];
    struct warden_notes *notes;
    struct uuid id;
    struct buf text;
};

static void open_notes(struct fixture *f)
{
    struct err e = ERR_INIT;
    if (warden_notes_open(f->path, getuid(), &f->notes, &e) < 0)
        fail_msg("%s", e.text);
}

static int setup(void **state)
{
    static struct fixture f;
    (void)scratch_path(f.path, sizeof f.path, "notes");
    assert_true(uuid_parse(slice_str(ID), &f.id));
    buf_init(&f.text, 128u << 10);
    open_notes(&f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    warden_notes_free(f->notes);
    buf_done(&f->text);
    return unlink(f->path);
}

static void put(struct fixture *f, unsigned number, bool ready)
{
    warden_notes_put(f->notes, number, &f->id, KEY, ready, slice_str(ORDER));
}

static bool is_read(struct fixture *f, unsigned number)
{
    struct warden_note note;
    return warden_notes_read(f->notes, number, &f->text, &note);
}

static void what_was_put_is_read_by_whoever_opens_the_notes_next(void **state)
{
    struct fixture *f = *state;
    struct warden_note note;
    put(f, 1, false);
    put(f, INIT_MAX_KERNELS, true);
    warden_notes_set_busy(f->notes, INIT_MAX_KERNELS, true);
    warden_notes_free(f->notes);
    open_notes(f);
    for (unsigned i = 1; i <= INIT_MAX_KERNELS; i++)
        assert_int_equal(is_read(f, i), i == 1 || i == INIT_MAX_KERNELS);
    assert_true(warden_notes_read(f->notes, 1, &f->text, &note) && !note.ready && !note.busy);
    assert_true(warden_notes_read(f->notes, INIT_MAX_KERNELS, &f->text, &note));
    assert_true(note.ready && note.busy && uuid_equal(&note.kernel_id, &f->id));
    assert_string_equal(note.key, KEY);
    assert_true(slice_is(note.order, ORDER));
}

static void what_was_removed_is_no_note_and_not_busy(void **state)
{
    struct fixture *f = *state;
    struct warden_note note;
    put(f, 3, true);
    warden_notes_set_busy(f->notes, 3, true);
    warden_notes_remove(f->notes, 3);
    assert_false(is_read(f, 3));
    put(f, 3, true);
    assert_true(warden_notes_read(f->notes, 3, &f->text, &note) && !note.busy);
}

static void what_is_too_long_for_its_place_leaves_no_note_there(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf order = BUF_INIT(128u << 10);
    put(f, 2, true);
    buf_addf(&order, "{\"argv\":[\"%0*d\"]}", 80 << 10, 0);
    warden_notes_put(f->notes, 2, &f->id, KEY, true, buf_slice(&order));
    assert_false(is_read(f, 2));
}

static void without_notes_nothing_is_noted(void **state)
{
    struct fixture *f = *state;
    struct warden_note note;
    warden_notes_put(NULL, 1, &f->id, KEY, true, slice_str(ORDER));
    warden_notes_set_busy(NULL, 1, true);
    warden_notes_remove(NULL, 1);
    assert_false(warden_notes_read(NULL, 1, &f->text, &note));
}

static void write_at(const struct fixture *f, off_t at, const void *bytes, size_t n)
{
    int fd = open(f->path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, bytes, n, at), n);
    close(fd);
}

/* The length, the hash, the text: whichever byte of them is not as it was written. */
static void a_torn_note_is_none(void **state)
{
    struct fixture *f = *state;
    char whole[400];
    put(f, 1, true);
    int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    size_t n = (size_t)pread(fd, whole, sizeof whole, PLACE);
    close(fd);
    assert_true(n > 150 && n < sizeof whole);
    for (size_t i = 0; i < n; i++) {
        char torn = (char)(whole[i] ^ 4);
        write_at(f, PLACE + (off_t)i, &torn, 1);
        assert_false(is_read(f, 1));
        write_at(f, PLACE + (off_t)i, &whole[i], 1);
    }
    assert_true(is_read(f, 1));
    for (size_t len = 0; len < n; len++) {
        assert_int_equal(truncate(f->path, PLACE + (off_t)len), 0);
        assert_false(is_read(f, 1));
    }
}

static void a_length_that_no_place_has_is_no_note(void **state)
{
    struct fixture *f = *state;
    static const unsigned char LENGTHS[][4] = {
        { 0, 0, 0, 0 }, { 0, 1, 0x20, 0 }, { 0x7f, 0xff, 0xff, 0xff }, { 0xff, 0xff, 0xff, 0xff }
    };
    put(f, 1, true);
    put(f, 2, true);
    for (size_t i = 0; i < ARRAY_LEN(LENGTHS); i++) {
        write_at(f, PLACE, LENGTHS[i], 4);
        assert_false(is_read(f, 1));
    }
    assert_true(is_read(f, 2));
}

static void a_file_of_something_else_is_begun_anew(void **state)
{
    struct fixture *f = *state;
    put(f, 1, true);
    warden_notes_free(f->notes);
    write_at(f, 0, "another1", 8);
    open_notes(f);
    assert_false(is_read(f, 1));
    put(f, 1, true);
    assert_true(is_read(f, 1));
}

/* A warden that is captured can write a hash, too. */
static void a_text_that_makes_no_sense_is_no_note(void **state)
{
#define NOTE(id, key, ready, order)                                                                \
    "{\"kernel_id\":" id ",\"key\":" key ",\"ready\":" ready ",\"order\":" order "}"
    static const char *const BAD[] = {
        "",
        "{}",
        "[]",
        NOTE("\"x\"", "\"" KEY "\"", "true", ORDER),
        NOTE("1", "\"" KEY "\"", "true", ORDER),
        NOTE("\"" ID "\"", "\"" KEY "0\"", "true", ORDER),
        NOTE("\"" ID "\"", "\"abc\"", "true", ORDER),
        NOTE("\"" ID "\"",
             "\"\\\"123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"", "true",
             ORDER),
        NOTE("\"" ID "\"", "null", "true", ORDER),
        NOTE("\"" ID "\"", "\"" KEY "\"", "1", ORDER),
        NOTE("\"" ID "\"", "\"" KEY "\"", "true", "{}"),
        NOTE("\"" ID "\"", "\"" KEY "\"", "true", "\"\""),
        NOTE("\"" ID "\"", "\"" KEY "\"", "true", ORDER) "x",
    };
    struct warden_note note;
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++)
        if (warden_note_parse(slice_str(BAD[i]), &note))
            fail_msg("%s", BAD[i]);
    assert_true(
        warden_note_parse(slice_str(NOTE("\"" ID "\"", "\"" KEY "\"", "false", ORDER)), &note));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_was_put_is_read_by_whoever_opens_the_notes_next),
        TEST(what_was_removed_is_no_note_and_not_busy),
        TEST(what_is_too_long_for_its_place_leaves_no_note_there),
        TEST(without_notes_nothing_is_noted),
        TEST(a_torn_note_is_none),
        TEST(a_length_that_no_place_has_is_no_note),
        TEST(a_file_of_something_else_is_begun_anew),
        TEST(a_text_that_makes_no_sense_is_no_note),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
