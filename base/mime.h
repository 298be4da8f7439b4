/* mime.h - the media type that a file's name means. */
#ifndef BASE_MIME_H
#define BASE_MIME_H

/* NULL: nobody knows. A constant; without parameters. */
const char *mime_of(const char *name);

#endif
