#include "cmd/knock.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BACKLOG 16

int knock_listen(const char *path, unsigned uid, unsigned gid, int *ret_fd, struct err *e)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof address.sun_path)
        return err_set(e, ERR_INVALID, "the socket's path '%.100s' is too long", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)unlink(path); /* of a service before us: we hold the lock */
    mode_t before = umask(0177);
    int bound = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&address, sizeof address);
    (void)umask(before);
    if (bound < 0 || lchown(path, uid, gid) < 0 || listen(fd, BACKLOG) < 0)
        return err_errno(e, ERR_INTERNAL, "listen at %s", path);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

void knock_close(const char *path, int fd)
{
    if (fd < 0)
        return;
    (void)unlink(path); /* gone already: fine */
    (void)close(fd);
}
