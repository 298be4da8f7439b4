/* Runs a fuzz target on files, for `make check`: FILE… */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path)
{
    FILE *in = fopen(path, "rb");
    if (!in) {
        perror(path);
        return -1;
    }
    uint8_t *data = malloc(1 << 24);
    size_t n = data ? fread(data, 1, 1 << 24, in) : 0;
    fclose(in);
    /* of exactly its size, so that a sanitizer sees a read behind its end */
    uint8_t *exact = malloc(n ? n : 1);
    for (size_t i = 0; exact && i < n; i++)
        exact[i] = data[i];
    free(data);
    if (exact)
        (void)LLVMFuzzerTestOneInput(exact, n); /* it aborts when something is wrong */
    free(exact);
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (replay(argv[i]) < 0)
            return 1;
    return 0;
}
