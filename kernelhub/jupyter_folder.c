/* The folder that a kernel starts in, as Jupyter Server chooses it: its notebook's. Whether it is there init sees (init_spawn.c). */
#include <stdio.h>

#include "kernelhub/jupyter_internal.h"

static bool stays_inside(const char *path)
{
    if (*path == '/')
        return false;
    for (const char *name = path; *name; name += strspn(name, "/")) {
        size_t n = strcspn(name, "/");
        if (n == 2 && name[0] == '.' && name[1] == '.')
            return false;
        name += n;
    }
    return true;
}

static void keep(struct jupyter *j, struct slice folder)
{
    assert(folder.len < sizeof j->folder);
    memcpy(j->folder, folder.data, folder.len);
    j->folder[folder.len] = '\0';
}

void jupyter_start_in(struct jupyter *j, const char *folder)
{
    bool good = folder && strlen(folder) < sizeof j->folder && stays_inside(folder);
    keep(j, slice_str(good ? folder : ""));
}

void jupyter_start_beside(struct jupyter *j, const char *document)
{
    jupyter_start_in(j, document);
    const char *end = strrchr(j->folder, '/');
    j->folder[end ? (size_t)(end - j->folder) : 0] = '\0';
}
