#include "client/trace.h"

#include <openssl/rand.h>
#include <string.h>

#include "base/text.h"

bool sl_trace_source_init(struct sl_trace_source *source)
{
    return RAND_bytes((unsigned char *)source, sizeof *source) == 1;
}

void sl_trace_make(const struct sl_trace_source *source, uint64_t number, char out[SL_TRACE_SIZE])
{
    /* 62 and 60 of the bits are free: the number's own mixture keeps the low half distinct within a source.
     */
    uint64_t halves[2] = {sl_mix(source->high ^ sl_mix(number)), sl_mix(source->low + number)};
    unsigned char bytes[16];
    memcpy(bytes, halves, sizeof bytes);
    bytes[6] = (unsigned char)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (unsigned char)((bytes[8] & 0x3f) | 0x80);
    char hex[33];
    sl_hex(bytes, sizeof bytes, hex);
    static const struct {
        unsigned from, to, size;
    } parts[] = {{0, 0, 8}, {8, 9, 4}, {12, 14, 4}, {16, 19, 4}, {20, 24, 12}};
    for (unsigned i = 0; i < 5; i++) {
        memcpy(out + parts[i].to, hex + parts[i].from, parts[i].size);
        out[parts[i].to + parts[i].size] = '-';
    }
    out[36] = 0;
}
