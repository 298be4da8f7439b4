/* cleanup.h - owners on the stack give back what they hold when they leave scope. */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <unistd.h>

/* `CLEANUP(fn) type *p = NULL;` calls fn(p) at the end of the scope; TAKE(p) hands p on instead. */
#define CLEANUP(fn) __attribute__((cleanup(fn##_at)))
#define DEFINE_CLEANUP(type, fn)                                                                   \
    static inline void fn##_at(type **p)                                                           \
    {                                                                                              \
        if (*p)                                                                                    \
            fn(*p);                                                                                \
    }
#define TAKE(p)                                                                                    \
    ({                                                                                             \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })

/* `CLEANUP_FD int fd = -1;` closes fd at the end of the scope; TAKE_FD(fd) hands it on instead. */
static inline void close_fd_at(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* nothing to do about an error here */
}
#define CLEANUP_FD __attribute__((cleanup(close_fd_at)))
#define TAKE_FD(fd)                                                                                \
    ({                                                                                             \
        int taken_ = (fd);                                                                         \
        (fd) = -1;                                                                                 \
        taken_;                                                                                    \
    })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
