/* init_discover.h - finds the kernelspecs of an image, for whoever started it as `discover`. */
#ifndef SANDBOX_INIT_DISCOVER_H
#define SANDBOX_INIT_DISCOVER_H

/* Writes to `out`, per kernelspec: NAME NUL LENGTH (decimal) NUL kernel.json's bytes, then its logos (logo-32x32.png,
 * logo-64x64.png, logo-svg.svg) the same way under NAME/FILE. Names are of [A-Za-z0-9._-], a file at most 64 KiB, at most 64
 * kernelspecs, and 256 KiB of logos in all: one that does not fit is left out. The first folder that has a name wins,
 * in Jupyter's order: $JUPYTER_PATH, the user's, the prefixes of $PATH, /opt, the system's. Nothing
 * is parsed: the bytes are the image's. Returns 0, or -1 when they cannot be written. */
int init_discover(int out);

#endif
