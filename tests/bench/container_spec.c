/* Prints the document that the keeper would give Podman for a sandbox, so that the floor is
 * measured in an equal container: same limits, same seccomp profile, same mounts, same user
 * namespace. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "sandbox/policy.h"

#define FIRST_ID 0x50000000u /* no keeper's: theirs begin at 0x70000000 */

int main(int argc, char **argv)
{
    struct err e = ERR_INIT;
    struct rlimit nofile, nproc;
    char *text;
    if (argc != 9) {
        fprintf(stderr,
                "usage: %s NAME INSTANCE IMAGE_ID INIT SECCOMP EMPTY FOLDER CGROUP_PARENT\n",
                argv[0]);
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &nofile) < 0 || getrlimit(RLIMIT_NPROC, &nproc) < 0)
        return 1;
    char wall[256], workspace[256], log[256];
    (void)snprintf(wall, sizeof wall, "%s/wall", argv[7]);
    (void)snprintf(workspace, sizeof workspace, "%s/workspace", argv[7]);
    (void)snprintf(log, sizeof log, "%s/log", argv[7]);
    struct policy_container c = {
        .name = argv[1],
        .instance = argv[2],
        .sandbox_id = argv[1],
        .user_id = "",
        .template_name = "bench",
        .image_id = argv[3],
        .first_id = FIRST_ID,
        .limits = { .memory_bytes = 2ll << 30,
                    .cpus = 2.0,
                    .pids = 256,
                    .workspace_bytes = 10ll << 30 },
        .init_path = argv[4],
        .seccomp_path = argv[5],
        .empty_path = argv[6],
        .wall_dir = wall,
        .workspace_dir = workspace,
        .log_path = log,
        .cgroup_parent = argv[8],
        .host = { .nofile = nofile.rlim_max, .nproc = nproc.rlim_max },
    };
    if (policy_create_json(&c, &text, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    puts(text);
    free(text);
    return 0;
}
