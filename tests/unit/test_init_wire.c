#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/init_wire.h"

static const unsigned char SIGNAL_2_TO_7[INIT_HEADER_BYTES] = {
    3, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0
};

static bool decodes(const unsigned char *packet, size_t len)
{
    struct init_packet p;
    unsigned char *exact = malloc(len ? len : 1); /* so that a sanitizer sees a read behind it */
    memcpy(exact, packet, len);
    bool ok = init_decode(exact, len, &p);
    free(exact);
    return ok;
}

/* The signal packet with one byte replaced. */
static bool decodes_with(size_t at, unsigned char byte)
{
    unsigned char packet[INIT_HEADER_BYTES];
    memcpy(packet, SIGNAL_2_TO_7, sizeof packet);
    packet[at] = byte;
    return decodes(packet, sizeof packet);
}

static void a_packet_has_the_bytes_the_header_promises(void **state)
{
    (void)state;
    unsigned char out[64];
    struct init_packet p = { .type = INIT_SIGNAL, .kernel = 7, .value = 2 };
    assert_int_equal(init_encode(&p, out, sizeof out), INIT_HEADER_BYTES);
    assert_memory_equal(out, SIGNAL_2_TO_7, INIT_HEADER_BYTES);
    p = (struct init_packet){ .type = INIT_FAILED,
                              .channel = 1,
                              .kernel = 64,
                              .value = -2,
                              .payload = "why",
                              .payload_len = 3 };
    static const unsigned char failed[] = { 23,   1,    0,    0,    64,  0,   0,  0,
                                            0xfe, 0xff, 0xff, 0xff, 'w', 'h', 'y' };
    assert_int_equal(init_encode(&p, out, sizeof out), sizeof failed);
    assert_memory_equal(out, failed, sizeof failed);
}

static void every_type_comes_back_as_it_went(void **state)
{
    (void)state;
    static const enum init_type types[] = {
        INIT_START,   INIT_CHANNEL,   INIT_SIGNAL,   INIT_KILL,   INIT_SHUTDOWN, INIT_HELLO,
        INIT_STARTED, INIT_CONNECTED, INIT_CLOSED,   INIT_EXITED, INIT_OUTPUT,   INIT_DONE,
        INIT_FAILED,  INIT_EXEC,      INIT_TERMINAL, INIT_RESIZE
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct init_packet in = { .type = types[i], .channel = 2, .kernel = 3, .value = -5 }, back;
        char bytes[64];
        size_t len = init_encode(&in, bytes, sizeof bytes);
        assert_true(init_decode(bytes, len, &back));
        assert_int_equal(back.type, in.type);
        assert_int_equal(back.channel, 2);
        assert_int_equal(back.kernel, 3);
        assert_int_equal(back.value, -5);
        assert_int_equal(back.payload_len, 0);
    }
}

static void unknown_types_and_kernels_are_refused(void **state)
{
    (void)state;
    assert_true(decodes_with(0, INIT_KILL));
    for (unsigned type = 0; type < 256; type++) {
        bool known = (type >= 1 && type <= 8) || (type >= 16 && type <= 23);
        assert_int_equal(decodes_with(0, (unsigned char)type) && type != INIT_OUTPUT,
                         known && type != INIT_OUTPUT);
    }
    assert_true(decodes_with(4, 64));
    assert_false(decodes_with(4, 65));
    assert_false(decodes_with(4, 0));
    assert_false(decodes_with(5, 1));
    assert_false(decodes_with(7, 0x80));
    assert_false(decodes_with(2, 1));
    assert_false(decodes_with(3, 1));
}

static void hello_and_general_answers_may_name_no_kernel(void **state)
{
    (void)state;
    for (unsigned char type = 1; type <= INIT_FAILED; type++) {
        unsigned char packet[INIT_HEADER_BYTES] = { type, 1 };
        bool may =
            type == INIT_SHUTDOWN || type == INIT_HELLO || type == INIT_DONE || type == INIT_FAILED;
        assert_int_equal(decodes(packet, sizeof packet), may);
    }
}

static void channels_have_a_range(void **state)
{
    (void)state;
    unsigned char packet[INIT_HEADER_BYTES] = { INIT_CHANNEL, 3, 0, 0, 1 };
    assert_true(decodes(packet, sizeof packet));
    packet[1] = 4;
    assert_false(decodes(packet, sizeof packet));
    packet[0] = INIT_CLOSED;
    assert_false(decodes(packet, sizeof packet));
    packet[0] = INIT_OUTPUT;
    for (unsigned char stream = 0; stream < 5; stream++) {
        packet[1] = stream;
        assert_int_equal(decodes(packet, sizeof packet), stream == 1 || stream == 2);
    }
}

static void a_payload_only_where_it_belongs(void **state)
{
    (void)state;
    unsigned char packet[INIT_HEADER_BYTES + 1] = { 0, 1, 0, 0, 1 };
    for (unsigned char type = 1; type <= INIT_FAILED; type++) {
        packet[0] = type;
        bool may = type == INIT_START || type == INIT_EXEC || type == INIT_TERMINAL ||
                   type == INIT_CHANNEL || type == INIT_OUTPUT || type == INIT_FAILED;
        assert_int_equal(decodes(packet, sizeof packet), may);
    }
}

static void short_and_long_packets_are_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < INIT_HEADER_BYTES; len++)
        assert_false(decodes(SIGNAL_2_TO_7, len));
    unsigned char *big = calloc(1, INIT_MAX_PACKET + 1);
    big[0] = INIT_START;
    big[4] = 1;
    assert_true(decodes(big, INIT_MAX_PACKET));
    assert_false(decodes(big, INIT_MAX_PACKET + 1));
    free(big);
}

static void what_does_not_fit_is_not_encoded(void **state)
{
    (void)state;
    char out[INIT_HEADER_BYTES + 3];
    struct init_packet p = {
        .type = INIT_OUTPUT, .channel = 1, .kernel = 1, .payload = "abcd", .payload_len = 4
    };
    assert_int_equal(init_encode(&p, out, sizeof out), 0);
    assert_int_equal(init_encode(&p, out, 3), 0);
    p.payload_len = 3;
    assert_int_equal(init_encode(&p, out, sizeof out), sizeof out);
    p.payload_len = INIT_MAX_PACKET;
    assert_int_equal(init_encode(&p, out, SIZE_MAX), 0);
}

static const struct init_start EXAMPLE = {
    .cwd = "/workspace",
    .file_path = "/run/kernel/1.json",
    .file = "{\0}",
    .file_len = 3,
    .argv = { "python3", "", NULL },
    .env = { "A=b=c", "D=", NULL },
};

static void a_start_comes_back_as_it_went(void **state)
{
    (void)state;
    char bytes[256];
    struct init_start back;
    size_t len = init_encode_start(&EXAMPLE, bytes, sizeof bytes);
    assert_true(len > 0 && init_decode_start(bytes, len, &back));
    assert_string_equal(back.cwd, EXAMPLE.cwd);
    assert_string_equal(back.file_path, EXAMPLE.file_path);
    assert_string_equal(back.argv[0], "python3");
    assert_string_equal(back.argv[1], "");
    assert_null(back.argv[2]);
    assert_string_equal(back.env[0], "A=b=c");
    assert_string_equal(back.env[1], "D=");
    assert_null(back.env[2]);
    assert_int_equal(back.file_len, 3);
    assert_memory_equal(back.file, "{\0}", 3);
}

static void no_part_of_a_start_is_a_start(void **state)
{
    (void)state;
    char bytes[256];
    size_t len = init_encode_start(&EXAMPLE, bytes, sizeof bytes);
    for (size_t i = 0; i < len; i++) {
        char *part = malloc(i ? i : 1);
        struct init_start back;
        memcpy(part, bytes, i);
        assert_false(init_decode_start(part, i, &back));
        free(part);
        assert_int_equal(init_encode_start(&EXAMPLE, bytes, i), 0);
    }
    len = init_encode_start(&EXAMPLE, bytes, sizeof bytes);
    struct init_start back;
    bytes[len] = 'x';
    assert_false(init_decode_start(bytes, len + 1, &back));
}

static void a_start_needs_a_program_absolute_paths_and_an_environment(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\0\0\0\0\0\0\0\0/\0/f\0",         /* no argv */
        "\1\0\0\0\0\0\0\0w\0/f\0a\0",      /* relative cwd */
        "\1\0\0\0\0\0\0\0/\0f\0a\0\0\0",   /* relative file */
        "\1\0\1\0\0\0\0\0/\0/f\0a\0AB\0",  /* no '=' */
        "\1\0\0\0\377\377\377\377/\0/f\0", /* a file of 4 GiB */
        "\377\377\377\377\0\0\0\0/\0/f\0", /* 131070 strings */
    };
    static const size_t lens[] = { 13, 15, 15, 18, 13, 13 };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct init_start back;
        assert_false(init_decode_start(bad[i], lens[i], &back));
    }
    struct init_start back;
    assert_true(init_decode_start("\1\0\0\0\0\0\0\0/\0/f\0a\0", 15, &back));
}

static void as_many_strings_as_allowed_and_not_one_more(void **state)
{
    (void)state;
    struct init_start s = EXAMPLE, back;
    char bytes[4 * INIT_MAX_STRINGS + 64];
    for (size_t i = 0; i < INIT_MAX_STRINGS - 2; i++)
        s.env[i] = "A=b";
    s.env[INIT_MAX_STRINGS - 2] = NULL;
    size_t len = init_encode_start(&s, bytes, sizeof bytes);
    assert_true(len > 0 && init_decode_start(bytes, len, &back));
    assert_string_equal(back.env[INIT_MAX_STRINGS - 3], "A=b");
    s.argv[2] = "one more";
    s.argv[3] = NULL;
    assert_int_equal(init_encode_start(&s, bytes, sizeof bytes), 0);
    s.argv[0] = NULL;
    assert_int_equal(init_encode_start(&s, bytes, sizeof bytes), 0);
}

static void a_command_is_a_start_without_a_file(void **state)
{
    (void)state;
    struct init_start s = { .cwd = "/w", .file_path = "", .argv = { "ls", "-l", NULL } }, back;
    char bytes[64];
    size_t len = init_encode_start(&s, bytes, sizeof bytes);
    assert_true(len > 0 && init_decode_exec(bytes, len, &back));
    assert_string_equal(back.argv[1], "-l");
    assert_null(back.argv[2]);
    assert_false(init_decode_start(bytes, len, &back));
    for (size_t i = 0; i < len; i++)
        assert_false(init_decode_exec(bytes, i, &back));
    len = init_encode_start(&EXAMPLE, bytes, sizeof bytes);
    assert_true(len > 0);
    assert_false(init_decode_exec(bytes, len, &back));
    s.file = "x";
    s.file_len = 1;
    len = init_encode_start(&s, bytes, sizeof bytes);
    assert_false(init_decode_exec(bytes, len, &back));
    assert_false(init_decode_exec("\1\0\0\0\0\0\0\0w\0\0a\0", 13, &back));
    assert_true(init_decode_exec("\1\0\0\0\0\0\0\0/\0\0a\0", 13, &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_has_the_bytes_the_header_promises),
        cmocka_unit_test(every_type_comes_back_as_it_went),
        cmocka_unit_test(unknown_types_and_kernels_are_refused),
        cmocka_unit_test(hello_and_general_answers_may_name_no_kernel),
        cmocka_unit_test(channels_have_a_range),
        cmocka_unit_test(a_payload_only_where_it_belongs),
        cmocka_unit_test(short_and_long_packets_are_refused),
        cmocka_unit_test(what_does_not_fit_is_not_encoded),
        cmocka_unit_test(a_start_comes_back_as_it_went),
        cmocka_unit_test(no_part_of_a_start_is_a_start),
        cmocka_unit_test(a_start_needs_a_program_absolute_paths_and_an_environment),
        cmocka_unit_test(as_many_strings_as_allowed_and_not_one_more),
        cmocka_unit_test(a_command_is_a_start_without_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
