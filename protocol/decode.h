/* decode.h - what a decoder says of some bytes. */
#ifndef PROTOCOL_DECODE_H
#define PROTOCOL_DECODE_H

enum decode {
    DECODE_OK,      /* one unit was decoded */
    DECODE_MORE,    /* a good beginning: call again when there are more bytes */
    DECODE_BAD,     /* can never become a good unit: close the connection */
    DECODE_TOO_BIG, /* announces more than the limit: close the connection */
};

#endif
