/*
 * Kafka's wire format, as far as the gateway speaks it itself (wire_requests.h): the fields of its older, not
 * flexible versions. What is read comes from the network: a field that does not fit latches failed, and all
 * after it are zero and empty.
 */
#ifndef GW_BROKER_WIRE_CODEC_H
#define GW_BROKER_WIRE_CODEC_H

#include "base/buffer.h"

#include <stdint.h>

/* Failures are latched in the buffer. Texts: up to 32767 bytes; NULL is Kafka's null. */
void gw_wire_put_int8(struct sl_buffer *out, int8_t value);
void gw_wire_put_int16(struct sl_buffer *out, int16_t value);
void gw_wire_put_int32(struct sl_buffer *out, int32_t value);
void gw_wire_put_double(struct sl_buffer *out, double value);
void gw_wire_put_text(struct sl_buffer *out, const char *text);
void gw_wire_put_bytes(struct sl_buffer *out, const void *data, size_t size);

/* Over bytes of the caller's, which it may change: texts get their NUL in place. */
struct gw_wire_reader {
    unsigned char *at, *end;
    bool failed;
};

int8_t gw_wire_int8(struct gw_wire_reader *reader);
int16_t gw_wire_int16(struct gw_wire_reader *reader);
int32_t gw_wire_int32(struct gw_wire_reader *reader);
double gw_wire_double(struct gw_wire_reader *reader);
/* NUL-terminated, in the reader's bytes; NULL: null, or failed. One with a NUL inside fails. */
const char *gw_wire_text(struct gw_wire_reader *reader);
/* Likewise, and null fails, too: never NULL. */
const char *gw_wire_present_text(struct gw_wire_reader *reader);
/* Bytes, in the reader's; *size 0: null, none, or failed. */
const void *gw_wire_bytes(struct gw_wire_reader *reader, size_t *size);
/* The number of an array's elements, each of one byte at least; 0: null, none, or failed. */
size_t gw_wire_count(struct gw_wire_reader *reader);

#endif
