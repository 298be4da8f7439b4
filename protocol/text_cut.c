#include "protocol/text_cut.h"

/* The length a lead byte promises; 0: it is none. */
static size_t promised(unsigned char lead)
{
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef)
        return 3;
    return lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
}

size_t text_cut_incomplete(struct slice bytes)
{
    for (size_t n = 1; n <= 3 && n <= bytes.len; n++) {
        unsigned char c = (unsigned char)bytes.data[bytes.len - n];
        if ((c & 0xc0) != 0x80)
            return promised(c) > n ? n : 0;
    }
    return 0;
}
