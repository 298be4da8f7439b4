/* glob.h - patterns of file names: "*.csv", "plots/[a-f]?.png", all notebooks of a tree.
 *
 * '*' is any characters of one name, '?' one of them, "[a-z]" and "[!a-z]" one of a set, "**" between slashes any number of folders
 * (none too) and at the end all that is below; '\' takes the meaning of the next character away. A set that does not end is a '['.
 * A dot at the beginning of a name is a character like others. */
#ifndef BASE_GLOB_H
#define BASE_GLOB_H

#include "base/slice.h"

/* Both are UTF-8; what is none is taken byte by byte. In the worst case the time is the product of pattern and the square of path. */
bool glob_matches(struct slice pattern, struct slice path);

#endif
