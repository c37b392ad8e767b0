#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "wire/record.h"

static bool append_number(struct sl_buffer *buffer, const char *before, int64_t number)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)number);
    return sl_buffer_append_text(buffer, before) && sl_buffer_append(buffer, digits, (size_t)length);
}

static void append_number_member(struct sl_buffer *buffer, const char *before, int64_t number)
{
    if (number >= 0)
        append_number(buffer, before, number);
}

static void append_text_member(struct sl_buffer *buffer, const char *before, const char *text)
{
    if (text && sl_buffer_append_text(buffer, before))
        sl_buffer_append_quoted_text(buffer, text);
}

static void append_base64(struct sl_buffer *buffer, const char *before, const void *data, size_t size)
{
    if (sl_buffer_append_text(buffer, before) && sl_base64_encode(buffer, data, size))
        sl_buffer_append(buffer, "\"", 1);
}

static void append_headers(struct sl_buffer *buffer, const struct sl_message *message)
{
    if (!message->header_count)
        return;
    sl_buffer_append_text(buffer, ",\"headers\":[");
    for (size_t i = 0; i < message->header_count; i++) {
        const struct sl_header *header = &message->headers[i];
        sl_buffer_append_text(buffer, i ? ",{\"name\":" : "{\"name\":");
        sl_buffer_append_quoted_text(buffer, header->name);
        if (header->value)
            append_base64(buffer, ",\"value\":\"", header->value, header->size);
        sl_buffer_append(buffer, "}", 1);
    }
    sl_buffer_append(buffer, "]", 1);
}

bool sl_message_json_encode(struct sl_buffer *buffer, const struct sl_message *message, bool extended)
{
    bool failed_before = buffer->failed;
    size_t size_before = buffer->size;
    buffer->failed = false;
    sl_buffer_append_text(buffer, "{\"metaData\":{\"partition\":");
    sl_buffer_append_quoted(buffer, message->partition_id ? message->partition_id : "",
                            message->partition_id_size);
    if (message->payload)
        append_base64(buffer, ",\"data\":\"", message->payload, message->payload_size);
    append_text_member(buffer, ",\"dataHandle\":", message->data_handle);
    append_number_member(buffer, ",\"dataSize\":", message->data_size);
    append_number_member(buffer, ",\"compressedDataSize\":", message->compressed_size);
    append_text_member(buffer, ",\"checksum\":", message->checksum);
    append_text_member(buffer, ",\"crc\":", message->crc);
    append_number_member(buffer, ",\"timestamp\":", message->timestamp_ms);
    if (extended) {
        append_text_member(buffer, ",\"traceId\":", message->trace_id);
        append_headers(buffer, message);
    }
    if (message->offset.partition >= 0 && message->offset.offset >= 0) {
        append_number(buffer, "},\"offset\":{\"partition\":", message->offset.partition);
        append_number(buffer, ",\"offset\":", message->offset.offset);
    }
    sl_buffer_append(buffer, "}}", 2);
    bool ok = !buffer->failed;
    if (!ok) { /* half a message is no use to anybody */
        buffer->size = size_before;
        if (buffer->data)
            buffer->data[size_before] = 0;
    }
    buffer->failed |= failed_before;
    return ok;
}

struct reader {
    struct sl_arena *arena;
    const char *why;
};

static enum sl_decoded bad(struct reader *reader, const char *why)
{
    reader->why = why;
    return SL_DECODE_BAD;
}

/* The member's value, or NULL where it is missing; null counts as missing. */
static const json_t *member(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

static enum sl_decoded read_number(struct reader *reader, const json_t *object, const char *name, int64_t max,
                                   const char *why, int64_t *number)
{
    const json_t *value = member(object, name);
    if (!value)
        return SL_DECODED;
    json_int_t given = json_integer_value(value);
    if (!json_is_integer(value) || given < 0 || given > max)
        return bad(reader, why);
    *number = given;
    return SL_DECODED;
}

static enum sl_decoded read_token(struct reader *reader, const json_t *object, const char *name, size_t max,
                                  const char *why, const char **text)
{
    const json_t *value = member(object, name);
    if (!value)
        return SL_DECODED;
    const char *given = json_string_value(value);
    if (!given || strlen(given) != json_string_length(value) || !sl_is_token_text(given, max))
        return bad(reader, why);
    *text = sl_arena_copy(reader->arena, given, strlen(given));
    return *text ? SL_DECODED : SL_DECODE_OOM;
}

static enum sl_decoded read_base64(struct reader *reader, const json_t *object, const char *name,
                                   const char *why, const void **data, size_t *size)
{
    const json_t *value = member(object, name);
    if (!value)
        return SL_DECODED;
    if (!json_is_string(value))
        return bad(reader, why);
    size_t length = json_string_length(value), room = length / 4 * 3 + 4;
    struct sl_buffer bytes;
    sl_buffer_init(&bytes, room);
    enum sl_decoded decoded = SL_DECODED;
    if (!sl_base64_decode(&bytes, json_string_value(value), length)) {
        decoded = bytes.failed ? SL_DECODE_OOM : bad(reader, why);
    } else {
        *size = bytes.size;
        *data = sl_arena_copy(reader->arena, bytes.data, bytes.size);
        if (!*data)
            decoded = SL_DECODE_OOM;
    }
    sl_buffer_free(&bytes);
    return decoded;
}

static enum sl_decoded read_headers(struct reader *reader, const json_t *array, struct sl_message *message)
{
    if (!array)
        return SL_DECODED;
    if (!json_is_array(array))
        return bad(reader, "\"headers\" must be an array");
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *entry = json_array_get(array, i), *name = member(entry, "name");
        struct sl_header header = {NULL, NULL, 0};
        if (!json_is_string(name) || strlen(json_string_value(name)) != json_string_length(name))
            return bad(reader, "a header needs a \"name\", a string without NUL");
        header.name = sl_arena_copy(reader->arena, json_string_value(name), json_string_length(name));
        if (!header.name)
            return SL_DECODE_OOM;
        enum sl_decoded decoded = read_base64(reader, entry, "value", "a header's \"value\" must be base64",
                                              &header.value, &header.size);
        if (decoded)
            return decoded;
        if (!sl_message_push_header(message, &header))
            return SL_DECODE_OOM;
    }
    return SL_DECODED;
}

static enum sl_decoded read_partition_id(struct reader *reader, const json_t *metadata,
                                         struct sl_message *message)
{
    const json_t *value = member(metadata, "partition");
    if (!value)
        return SL_DECODED;
    if (!json_is_string(value))
        return bad(reader, "\"partition\" must be a string");
    if (!json_string_length(value))
        return SL_DECODED; /* so a record without a key is told */
    message->partition_id_size = json_string_length(value);
    message->partition_id =
        sl_arena_copy(reader->arena, json_string_value(value), message->partition_id_size);
    return message->partition_id ? SL_DECODED : SL_DECODE_OOM;
}

static enum sl_decoded read_metadata(struct reader *reader, const json_t *metadata,
                                     struct sl_message *message)
{
    enum sl_decoded decoded = read_partition_id(reader, metadata, message);
    if (!decoded)
        decoded = read_base64(reader, metadata, "data", "\"data\" must be base64", &message->payload,
                              &message->payload_size);
    if (!decoded)
        decoded = read_token(reader, metadata, "dataHandle", SL_DATA_HANDLE_MAX,
                             "\"dataHandle\" must be 1 to 1,024 characters of printable ASCII",
                             &message->data_handle);
    if (!decoded)
        decoded = read_number(reader, metadata, "dataSize", INT64_MAX,
                              "\"dataSize\" must be an integer from 0 on", &message->data_size);
    if (!decoded)
        decoded =
            read_number(reader, metadata, "compressedDataSize", INT64_MAX,
                        "\"compressedDataSize\" must be an integer from 0 on", &message->compressed_size);
    if (!decoded)
        decoded =
            read_token(reader, metadata, "checksum", 128,
                       "\"checksum\" must be 1 to 128 characters of printable ASCII", &message->checksum);
    if (!decoded)
        decoded = read_token(reader, metadata, "crc", 32,
                             "\"crc\" must be 1 to 32 characters of printable ASCII", &message->crc);
    if (!decoded)
        decoded = read_number(reader, metadata, "timestamp", INT64_MAX,
                              "\"timestamp\" must be milliseconds from 0 on", &message->timestamp_ms);
    if (!decoded)
        decoded =
            read_token(reader, metadata, "traceId", 128,
                       "\"traceId\" must be 1 to 128 characters of printable ASCII", &message->trace_id);
    if (!decoded)
        decoded = read_headers(reader, member(metadata, "headers"), message);
    return decoded;
}

enum sl_decoded sl_message_json_decode(const json_t *value, struct sl_arena *arena,
                                       struct sl_message *message, const char **why)
{
    struct reader reader = {arena, NULL};
    const json_t *metadata = member(value, "metaData"), *offset = member(value, "offset");
    int64_t partition = -1;
    sl_message_reset(message);
    enum sl_decoded decoded = SL_DECODED;
    if (!json_is_object(metadata))
        decoded = bad(&reader, "a message needs \"metaData\", an object");
    else if (offset && !json_is_object(offset))
        decoded = bad(&reader, "\"offset\" must be an object");
    if (!decoded)
        decoded = read_metadata(&reader, metadata, message);
    if (!decoded)
        decoded =
            read_number(&reader, offset, "partition", INT32_MAX,
                        "the offset's \"partition\" must be an integer from 0 to 2147483647", &partition);
    if (!decoded)
        decoded =
            read_number(&reader, offset, "offset", INT64_MAX,
                        "the offset's \"offset\" must be an integer from 0 on", &message->offset.offset);
    message->offset.partition = (int32_t)partition;
    if (decoded == SL_DECODE_BAD)
        *why = reader.why;
    return decoded;
}
