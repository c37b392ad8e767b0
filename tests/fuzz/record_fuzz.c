/*
 * libFuzzer: a stream of CBOR records, then of results. The first byte chooses the reader; what was decoded
 * must encode again to something that decodes to the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct sl_record_limits all_limits[] = {
    {.max_payload = 1000, .max_headers = 8},
    {.max_payload = 1000, .max_headers = 8, .foreign = true},
};

static void check(bool holds)
{
    if (!holds)
        abort();
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

static bool same(const struct sl_message *a, const struct sl_message *b)
{
    if (a->partition_id_size != b->partition_id_size || a->payload_size != b->payload_size ||
        (a->payload == NULL) != (b->payload == NULL) ||
        (a->partition_id == NULL) != (b->partition_id == NULL) || a->header_count != b->header_count ||
        a->timestamp_ms != b->timestamp_ms || a->data_size != b->data_size ||
        a->compressed_size != b->compressed_size || a->offset.partition != b->offset.partition ||
        a->offset.offset != b->offset.offset || !same_text(a->trace_id, b->trace_id) ||
        !same_text(a->checksum, b->checksum) || !same_text(a->crc, b->crc) ||
        !same_text(a->data_handle, b->data_handle))
        return false;
    if (a->payload_size && memcmp(a->payload, b->payload, a->payload_size) != 0)
        return false;
    for (size_t i = 0; i < a->header_count; i++)
        if (!same_text(a->headers[i].name, b->headers[i].name) || a->headers[i].size != b->headers[i].size)
            return false;
    return !a->partition_id_size || !memcmp(a->partition_id, b->partition_id, a->partition_id_size);
}

static void round_trip(const struct sl_message *message, struct sl_arena *arena)
{
    struct sl_buffer buffer;
    struct sl_message back = {0};
    size_t used = 0;
    const char *why = NULL;
    sl_buffer_init(&buffer, SIZE_MAX / 2);
    check(sl_record_encode(&buffer, message) && buffer.size <= sl_record_size(message));
    check(sl_record_decode(buffer.data, buffer.size, &all_limits[1], arena, &back, &used, &why) ==
          SL_DECODED);
    check(used == buffer.size && same(message, &back));
    sl_buffer_reset(&buffer);
    check(sl_message_json_encode(&buffer, message, true));
    json_t *json = json_loadb(buffer.data, buffer.size, JSON_ALLOW_NUL, NULL);
    check(json != NULL);
    check(sl_message_json_decode(json, arena, &back, &why) == SL_DECODED);
    json_decref(json);
    sl_buffer_free(&buffer);
    free(back.headers);
}

static void results(const uint8_t *data, size_t size, struct sl_arena *arena)
{
    while (size) {
        struct sl_result result, back;
        size_t used = 0;
        const char *why = NULL;
        enum sl_decoded decoded = sl_result_decode(data, size, arena, &result, &used, &why);
        check(decoded != SL_DECODE_BAD || why);
        if (decoded)
            return;
        check(used && used <= size);
        struct sl_buffer buffer;
        sl_buffer_init(&buffer, 100000);
        check(sl_result_encode(&buffer, &result));
        check(!sl_result_decode(buffer.data, buffer.size, arena, &back, &used, &why));
        check(back.status == result.status && same_text(back.text, result.text));
        sl_buffer_free(&buffer);
        data += used;
        size -= used;
    }
}

static void records(const uint8_t *data, size_t size, const struct sl_record_limits *limits,
                    struct sl_arena *arena)
{
    struct sl_message message = {0};
    while (size) {
        size_t used = 0;
        const char *why = NULL;
        enum sl_decoded decoded = sl_record_decode(data, size, limits, arena, &message, &used, &why);
        check(decoded != SL_DECODE_BAD || why);
        if (decoded)
            break;
        check(used && used <= size);
        round_trip(&message, arena);
        data += used;
        size -= used;
    }
    free(message.headers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_arena *arena = size ? sl_arena_create() : NULL;
    if (!arena)
        return 0;
    if (data[0] % 3 == 2)
        results(data + 1, size - 1, arena);
    else
        records(data + 1, size - 1, &all_limits[data[0] % 3], arena);
    sl_arena_destroy(arena);
    return 0;
}
