/* A service that ends in the middle of a call: what the client then does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "sandbox/jansson_owner.h"
#include "sandbox/podman.h"
#include "tests/unit/scratch.h"

#define ID      "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define CREATED "201 Created", "{\"Id\":\"" ID "\"}"
#define MISSING "404 Not Found", "{\"message\":\"no such container\"}"

struct step {
    const char *call;           /* how the request begins */
    const char *status, *reply; /* NULL: none, the service is gone */
};

struct service {
    char path[108];
    int listener;
    pthread_t thread;
    const struct step *steps;
    size_t n_steps, n_done;
    bool in_order;
    struct podman *podman;
};

static void answer(int fd, const struct step *step)
{
    char text[400];
    int n = snprintf(text, sizeof text,
                     "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                     step->status, strlen(step->reply), step->reply);
    assert_true(write(fd, text, (size_t)n) == n);
}

static void *serve(void *arg)
{
    struct service *s = arg;
    for (s->n_done = 0; s->n_done < s->n_steps; s->n_done++) {
        const struct step *step = &s->steps[s->n_done];
        char request[4096] = "";
        int fd = accept(s->listener, NULL, NULL);
        if (fd < 0)
            break;
        ssize_t n = read(fd, request, sizeof request - 1);
        s->in_order &= n > 0 && strncmp(request, step->call, strlen(step->call)) == 0;
        if (step->status)
            answer(fd, step);
        (void)close(fd);
    }
    return NULL;
}

static int setup(void **state)
{
    struct service *s = calloc(1, sizeof *s);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    scratch_path(s->path, sizeof s->path, "podman.sock");
    memcpy(address.sun_path, s->path, sizeof s->path);
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(s->listener, 5), 0);
    s->podman = podman_new(s->path);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct service *s = *state;
    podman_free(s->podman);
    (void)close(s->listener);
    (void)unlink(s->path);
    free(s);
    return 0;
}

static void begin(struct service *s, const struct step *steps, size_t n)
{
    s->steps = steps;
    s->n_steps = n;
    s->in_order = true;
    assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void expect_all(struct service *s)
{
    assert_int_equal(pthread_join(s->thread, NULL), 0);
    assert_true(s->in_order);
    assert_int_equal(s->n_done, s->n_steps);
}

static void what_may_be_done_twice_is_asked_again(void **state)
{
    static const struct step STEPS[] = { { "POST /v4.0.0/libpod/containers/x/start", NULL, NULL },
                                         { "POST /v4.0.0/libpod/containers/x/start",
                                           "304 Not Modified", "" } };
    struct service *s = *state;
    begin(s, STEPS, ARRAY_LEN(STEPS));
    assert_int_equal(podman_start(s->podman, "x", NULL), 0);
    expect_all(s);
}

static void a_container_that_may_have_been_made_is_removed_first(void **state)
{
    static const struct step STEPS[] = { { "POST /v4.0.0/libpod/containers/create", NULL, NULL },
                                         { "DELETE /v4.0.0/libpod/containers/box?force", "200 OK",
                                           "[]" },
                                         { "DELETE /v4.0.0/libpod/containers/box?force", MISSING },
                                         { "POST /v4.0.0/libpod/containers/create", CREATED } };
    struct service *s = *state;
    char id[PODMAN_ID_SIZE] = "";
    struct err e = ERR_INIT;
    begin(s, STEPS, ARRAY_LEN(STEPS));
    assert_int_equal(podman_create(s->podman, "box", "{\"name\":\"box\"}", id, &e), 0);
    assert_string_equal(id, ID);
    expect_all(s);
}

static void one_that_always_ends_is_given_up(void **state)
{
    static const struct step STEPS[] = {
        { "GET", NULL, NULL }, { "GET", NULL, NULL }, { "GET", NULL, NULL }, { "GET", NULL, NULL }
    };
    struct service *s = *state;
    struct podman_state found;
    struct err e = ERR_INIT;
    begin(s, STEPS, ARRAY_LEN(STEPS));
    assert_int_equal(podman_inspect(s->podman, "x", &found, &e), -1);
    assert_int_equal(e.code, ERR_UNAVAILABLE);
    expect_all(s);
}

static void a_refusal_is_no_reason_to_ask_again(void **state)
{
    static const struct step STEPS[] = { { "POST", "500 Internal Server Error",
                                           "{\"message\":\"no\"}" } };
    struct service *s = *state;
    char id[PODMAN_ID_SIZE];
    struct err e = ERR_INIT;
    begin(s, STEPS, ARRAY_LEN(STEPS));
    assert_int_equal(podman_create(s->podman, "box", "{}", id, &e), -1);
    assert_int_equal(e.code, ERR_SANDBOX);
    expect_all(s);
}

static void a_list_that_fails_while_an_image_goes_is_asked_for_again(void **state)
{
    static const struct step STEPS[] = { { "GET /v4.0.0/libpod/images/json",
                                           "500 Internal Server Error",
                                           "{\"cause\":\"image not known\",\"message\":\"no\"}" },
                                         { "GET /v4.0.0/libpod/images/json", "200 OK", "[]" } };
    struct service *s = *state;
    CLEANUP(json_decref) json_t *found = NULL;
    struct err e = ERR_INIT;
    begin(s, STEPS, ARRAY_LEN(STEPS));
    assert_int_equal(podman_list_images(s->podman, "label", &found, &e), 0);
    expect_all(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_may_be_done_twice_is_asked_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_container_that_may_have_been_made_is_removed_first, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_that_always_ends_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(a_list_that_fails_while_an_image_goes_is_asked_for_again,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_refusal_is_no_reason_to_ask_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
