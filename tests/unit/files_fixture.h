/* files_fixture.h - a workspace on disk, open as a worker has it. */
#ifndef TESTS_FILES_FIXTURE_H
#define TESTS_FILES_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>

#include "kernelhub/files_internal.h"
#include "kernelhub/hub_internal.h"
#include "scratch.h"

static const char USER[] = "01234567-89ab-cdef-0123-456789abcdef";

/* A workspace of one user, and its folder as the sandbox sees it: `inside` is a path on the host. */
struct fixture {
    char state[200], inside[300];
    struct tree tree;
};

static inline int setup(void **state)
{
    struct fixture *f = zmalloc(sizeof *f);
    struct err e = ERR_INIT;
    char path[250];
    scratch_path(f->state, sizeof f->state, "files-XXXXXX");
    assert_non_null(mkdtemp(f->state));
    (void)snprintf(path, sizeof path, "%s/workspaces", f->state);
    assert_int_equal(mkdir(path, 0700), 0);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->tree.due_ms = INT64_MAX;
    assert_int_equal(tree_open(&f->tree, fd, USER, &(struct files_place){ .folder = "" }, &e), 0);
    (void)close(fd);
    (void)snprintf(f->inside, sizeof f->inside, "%s/%s/shared", path, USER);
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    char command[300];
    tree_close(&f->tree);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", f->state);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static inline void at(const struct fixture *f, const char *name, char ret[600])
{
    (void)snprintf(ret, 600, "%s/%s", f->inside, name);
}

static inline void put(struct fixture *f, const char *name, const char *text)
{
    char path[600];
    at(f, name, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    (void)close(fd);
}

static inline void link_to(struct fixture *f, const char *target, const char *name)
{
    char path[600];
    at(f, name, path);
    assert_int_equal(symlink(target, path), 0);
}

#endif
