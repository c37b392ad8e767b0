#include "wire/record.h"

#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "wire/cbor.h"

enum key {
    KEY_PARTITION_ID = 1,
    KEY_PAYLOAD,
    KEY_TIMESTAMP,
    KEY_TRACE_ID,
    KEY_CHECKSUM,
    KEY_CRC,
    KEY_DATA_HANDLE,
    KEY_DATA_SIZE,
    KEY_COMPRESSED_SIZE,
    KEY_HEADERS,
    KEY_PARTITION,
    KEY_OFFSET,
    KEY_COUNT
};

enum result_key {
    RESULT_STATUS = 1,
    RESULT_TRACE_ID,
    RESULT_PARTITION,
    RESULT_OFFSET,
    RESULT_CODE,
    RESULT_TEXT,
    RESULT_COUNT
};

enum { MAX_PAIRS = 256, CODE_MAX = 128, TEXT_MAX = 4096, RESULT_MAX = 65536 };

size_t sl_record_size(const struct sl_message *message)
{
    const char *const texts[] = {message->trace_id, message->checksum, message->crc, message->data_handle};
    size_t size =
        (size_t)(KEY_COUNT + 1) * (1 + SL_CBOR_HEAD) + message->partition_id_size + message->payload_size;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        size += texts[i] ? strlen(texts[i]) : 0;
    for (size_t i = 0; i < message->header_count; i++)
        size += (size_t)3 * SL_CBOR_HEAD + strlen(message->headers[i].name) + message->headers[i].size;
    return size;
}

/* Text where it is UTF-8; bytes where a foreign record has something else. */
static void put_text_or_bytes(struct sl_buffer *buffer, const char *text, size_t size)
{
    if (sl_utf8_length(text, size) >= 0)
        sl_cbor_put_text(buffer, text, size);
    else
        sl_cbor_put_bytes(buffer, text, size);
}

static void put_text_pair(struct sl_buffer *buffer, unsigned key, const char *text)
{
    if (!text)
        return;
    sl_cbor_put_uint(buffer, key);
    sl_cbor_put_text(buffer, text, strlen(text));
}

static void put_number_pair(struct sl_buffer *buffer, unsigned key, int64_t number)
{
    if (number < 0)
        return;
    sl_cbor_put_uint(buffer, key);
    sl_cbor_put_uint(buffer, (uint64_t)number);
}

static void put_headers(struct sl_buffer *buffer, const struct sl_message *message)
{
    if (!message->header_count)
        return;
    sl_cbor_put_uint(buffer, KEY_HEADERS);
    sl_cbor_put_array(buffer, message->header_count);
    for (size_t i = 0; i < message->header_count; i++) {
        const struct sl_header *header = &message->headers[i];
        sl_cbor_put_array(buffer, 2);
        put_text_or_bytes(buffer, header->name, strlen(header->name));
        if (header->value)
            sl_cbor_put_bytes(buffer, header->value, header->size);
        else
            sl_cbor_put_null(buffer);
    }
}

bool sl_record_encode(struct sl_buffer *buffer, const struct sl_message *message)
{
    if (!sl_buffer_reserve(buffer, sl_record_size(message)))
        return false;
    bool has_payload = message->payload || !message->data_handle;
    const bool present[] = {message->partition_id != NULL,  has_payload,
                            message->timestamp_ms >= 0,     message->trace_id != NULL,
                            message->checksum != NULL,      message->crc != NULL,
                            message->data_handle != NULL,   message->data_size >= 0,
                            message->compressed_size >= 0,  message->header_count > 0,
                            message->offset.partition >= 0, message->offset.offset >= 0};
    size_t pairs = 0;
    for (size_t i = 0; i < sizeof present / sizeof *present; i++)
        pairs += present[i];
    sl_cbor_put_map(buffer, pairs);
    if (message->partition_id) {
        sl_cbor_put_uint(buffer, KEY_PARTITION_ID);
        put_text_or_bytes(buffer, message->partition_id, message->partition_id_size);
    }
    if (has_payload) {
        sl_cbor_put_uint(buffer, KEY_PAYLOAD);
        if (message->payload)
            sl_cbor_put_bytes(buffer, message->payload, message->payload_size);
        else
            sl_cbor_put_null(buffer);
    }
    put_number_pair(buffer, KEY_TIMESTAMP, message->timestamp_ms);
    put_text_pair(buffer, KEY_TRACE_ID, message->trace_id);
    put_text_pair(buffer, KEY_CHECKSUM, message->checksum);
    put_text_pair(buffer, KEY_CRC, message->crc);
    put_text_pair(buffer, KEY_DATA_HANDLE, message->data_handle);
    put_number_pair(buffer, KEY_DATA_SIZE, message->data_size);
    put_number_pair(buffer, KEY_COMPRESSED_SIZE, message->compressed_size);
    put_headers(buffer, message);
    put_number_pair(buffer, KEY_PARTITION, message->offset.partition);
    put_number_pair(buffer, KEY_OFFSET, message->offset.offset);
    buffer->data[buffer->size] = 0;
    return true;
}

static enum sl_decoded read_number(struct sl_cbor_reader *reader, int64_t max, const char *why,
                                   int64_t *number)
{
    struct sl_cbor_item item;
    enum sl_decoded decoded = sl_cbor_next(reader, 0, &item);
    if (decoded)
        return decoded;
    if (item.kind != SL_CBOR_UINT || item.number > (uint64_t)max)
        return sl_cbor_bad(reader, why);
    *number = (int64_t)item.number;
    return SL_DECODED;
}

/* A text of printable ASCII, copied into the arena. */
static enum sl_decoded read_token(struct sl_cbor_reader *reader, struct sl_arena *arena, size_t max,
                                  const char *why, const char **text)
{
    struct sl_cbor_item item;
    enum sl_decoded decoded = sl_cbor_next(reader, max, &item);
    if (decoded)
        return decoded;
    if (item.kind != SL_CBOR_TEXT || !item.number || memchr(item.bytes, 0, item.number))
        return sl_cbor_bad(reader, why);
    char *copy = sl_arena_copy(arena, item.bytes, item.number);
    if (!copy)
        return SL_DECODE_OOM;
    if (!sl_is_token_text(copy, max))
        return sl_cbor_bad(reader, why);
    *text = copy;
    return SL_DECODED;
}

static enum sl_decoded read_partition_id(struct sl_cbor_reader *reader, bool foreign,
                                         struct sl_message *message)
{
    struct sl_cbor_item item;
    enum sl_decoded decoded =
        sl_cbor_next(reader, foreign ? reader->budget : (size_t)4 * SL_PARTITION_ID_MAX, &item);
    if (decoded)
        return decoded;
    if (item.kind == SL_CBOR_TEXT) {
        long length = sl_utf8_length((const char *)item.bytes, item.number);
        if (length < 0)
            return sl_cbor_bad(reader, "the partition id (1) is not UTF-8");
        if (!foreign && (length < 1 || length > SL_PARTITION_ID_MAX))
            return sl_cbor_bad(reader, "the partition id (1) must have 1 to 500 characters");
    } else if (item.kind != SL_CBOR_BYTES || !foreign) {
        return sl_cbor_bad(reader, "the partition id (1) must be text");
    }
    message->partition_id = (const char *)item.bytes;
    message->partition_id_size = item.number;
    return SL_DECODED;
}

static enum sl_decoded read_payload(struct sl_cbor_reader *reader, size_t max, struct sl_message *message)
{
    struct sl_cbor_item item;
    size_t budget = reader->budget; /* the payload has a limit of its own */
    reader->budget = SIZE_MAX;
    enum sl_decoded decoded = sl_cbor_next(reader, max, &item);
    reader->budget = budget;
    if (decoded) {
        if (decoded == SL_DECODE_BAD)
            reader->why = "the payload (2) is not well-formed or larger than allowed";
        return decoded;
    }
    if (item.kind == SL_CBOR_NULL)
        return SL_DECODED;
    if (item.kind != SL_CBOR_BYTES)
        return sl_cbor_bad(reader, "the payload (2) must be bytes or null");
    message->payload = item.bytes;
    message->payload_size = item.number;
    return SL_DECODED;
}

static enum sl_decoded read_header(struct sl_cbor_reader *reader, bool foreign, struct sl_arena *arena,
                                   struct sl_message *message)
{
    struct sl_cbor_item name, value;
    enum sl_decoded decoded = sl_cbor_next(reader, foreign ? reader->budget : 128, &name);
    if (decoded)
        return decoded;
    if (name.kind != SL_CBOR_TEXT && (name.kind != SL_CBOR_BYTES || !foreign))
        return sl_cbor_bad(reader, "a header's name must be text");
    if (memchr(name.bytes, 0, name.number))
        return sl_cbor_bad(reader, "a header's name has a NUL");
    if (name.kind == SL_CBOR_TEXT && sl_utf8_length((const char *)name.bytes, name.number) < 0)
        return sl_cbor_bad(reader, "a header's name is not UTF-8");
    char *copy = sl_arena_copy(arena, name.bytes, name.number);
    if (!copy)
        return SL_DECODE_OOM;
    if (!foreign && !sl_header_name_ok(copy))
        return sl_cbor_bad(reader,
                           "a header's name must be a token of 1 to 128 characters that does not begin "
                           "with \"sl-\"");
    decoded = sl_cbor_next(reader, reader->budget, &value);
    if (decoded)
        return decoded;
    if (value.kind != SL_CBOR_BYTES && value.kind != SL_CBOR_NULL)
        return sl_cbor_bad(reader, "a header's value must be bytes or null");
    struct sl_header header = {copy, NULL, 0};
    if (value.kind == SL_CBOR_BYTES) {
        header.value = value.bytes;
        header.size = value.number;
    }
    return sl_message_push_header(message, &header) ? SL_DECODED : SL_DECODE_OOM;
}

static enum sl_decoded read_headers(struct sl_cbor_reader *reader, const struct sl_record_limits *limits,
                                    struct sl_arena *arena, struct sl_message *message)
{
    static const char too_many[] = "more headers than allowed";
    struct sl_cbor_item array, item;
    enum sl_decoded decoded = sl_cbor_next(reader, 0, &array);
    if (decoded)
        return decoded;
    if (array.kind != SL_CBOR_ARRAY)
        return sl_cbor_bad(reader, "the headers (10) must be an array");
    uint64_t left = array.number;
    if (left > limits->max_headers)
        return sl_cbor_bad(reader, too_many);
    while (sl_cbor_more(&array, &left)) {
        decoded = sl_cbor_next(reader, 0, &item);
        if (decoded)
            return decoded;
        if (array.endless && item.kind == SL_CBOR_BREAK)
            break;
        if (item.kind != SL_CBOR_ARRAY || item.endless || item.number != 2)
            return sl_cbor_bad(reader, "a header must be an array of two: name and value");
        if (message->header_count == limits->max_headers)
            return sl_cbor_bad(reader, too_many);
        decoded = read_header(reader, limits->foreign, arena, message);
        if (decoded)
            return decoded;
    }
    return SL_DECODED;
}

static enum sl_decoded read_checksum(struct sl_cbor_reader *reader, struct sl_arena *arena, const char **text)
{
    static const char why[] = "the checksum (5) must be 64 hex digits";
    enum sl_decoded decoded = read_token(reader, arena, 64, why, text);
    if (!decoded && strspn(*text, "0123456789abcdefABCDEF") != 64)
        return sl_cbor_bad(reader, why);
    return decoded;
}

static enum sl_decoded read_field(struct sl_cbor_reader *reader, uint64_t key,
                                  const struct sl_record_limits *limits, struct sl_arena *arena,
                                  struct sl_message *message)
{
    int64_t number = 0;
    enum sl_decoded decoded;
    switch (key) {
    case KEY_PARTITION_ID:
        return read_partition_id(reader, limits->foreign, message);
    case KEY_PAYLOAD:
        return read_payload(reader, limits->max_payload, message);
    case KEY_TIMESTAMP:
        return read_number(reader, INT64_MAX, "the timestamp (3) must be milliseconds from 0 on",
                           &message->timestamp_ms);
    case KEY_TRACE_ID:
        return read_token(reader, arena, 128,
                          "the trace id (4) must be 1 to 128 characters of printable ASCII",
                          &message->trace_id);
    case KEY_CHECKSUM:
        return read_checksum(reader, arena, &message->checksum);
    case KEY_CRC:
        return read_token(reader, arena, 32, "the crc (6) must be 1 to 32 characters of printable ASCII",
                          &message->crc);
    case KEY_DATA_HANDLE:
        return read_token(reader, arena, SL_DATA_HANDLE_MAX,
                          "the data handle (7) must be 1 to 1,024 characters of printable ASCII",
                          &message->data_handle);
    case KEY_DATA_SIZE:
        return read_number(reader, INT64_MAX, "the data size (8) must be a number from 0 on",
                           &message->data_size);
    case KEY_COMPRESSED_SIZE:
        return read_number(reader, INT64_MAX, "the compressed size (9) must be a number from 0 on",
                           &message->compressed_size);
    case KEY_HEADERS:
        return read_headers(reader, limits, arena, message);
    case KEY_PARTITION:
        decoded = read_number(reader, INT32_MAX,
                              "the Kafka partition (11) must be a number from 0 to 2147483647", &number);
        if (!decoded)
            message->offset.partition = (int32_t)number;
        return decoded;
    default:
        return read_number(reader, INT64_MAX, "the offset (12) must be a number from 0 on",
                           &message->offset.offset);
    }
}

/*
 * The head of a record or result, and its keys one by one: those from 1 up to (not including) end are *key's;
 * others are passed over here. *key 0: the map is at its end.
 */
static enum sl_decoded begin_map(struct sl_cbor_reader *reader, struct sl_cbor_item *map)
{
    enum sl_decoded decoded = sl_cbor_next(reader, 0, map);
    if (decoded)
        return decoded;
    if (map->kind != SL_CBOR_MAP)
        return sl_cbor_bad(reader, "a record must be a map");
    if (map->number > MAX_PAIRS)
        return sl_cbor_bad(reader, "a record may have 256 fields at most");
    return SL_DECODED;
}

static enum sl_decoded next_key(struct sl_cbor_reader *reader, const struct sl_cbor_item *map, uint64_t *left,
                                uint64_t end, unsigned *seen, uint64_t *key)
{
    struct sl_cbor_item item;
    enum sl_decoded decoded;
    while (sl_cbor_more(map, left)) {
        decoded = sl_cbor_next(reader, reader->budget, &item);
        if (decoded)
            return decoded;
        if (map->endless && item.kind == SL_CBOR_BREAK)
            break;
        if (item.kind == SL_CBOR_UINT && item.number >= 1 && item.number < end) {
            if (*seen & 1u << item.number)
                return sl_cbor_bad(reader, "a field stands twice");
            *seen |= 1u << item.number;
            *key = item.number;
            return SL_DECODED;
        }
        if (item.kind != SL_CBOR_UINT && item.kind != SL_CBOR_NEGINT && item.kind != SL_CBOR_TEXT)
            return sl_cbor_bad(reader, "a record's keys must be integers");
        decoded = sl_cbor_next(reader, reader->budget, &item);
        if (!decoded)
            decoded = sl_cbor_skip(reader, &item);
        if (decoded)
            return decoded;
    }
    *key = 0;
    return SL_DECODED;
}

enum sl_decoded sl_record_decode(const void *data, size_t size, const struct sl_record_limits *limits,
                                 struct sl_arena *arena, struct sl_message *message, size_t *used,
                                 const char **why)
{
    struct sl_cbor_reader reader = {
        .data = data, .size = size, .budget = limits->max_rest ? limits->max_rest : SL_RECORD_REST_MAX};
    struct sl_cbor_item map;
    sl_message_reset(message);
    enum sl_decoded decoded = begin_map(&reader, &map);
    uint64_t left = decoded ? 0 : map.number, key = 0;
    unsigned seen = 0;
    while (!decoded) {
        decoded = next_key(&reader, &map, &left, KEY_COUNT, &seen, &key);
        if (decoded || !key)
            break;
        decoded = read_field(&reader, key, limits, arena, message);
    }
    if (!decoded && !(seen & (1u << KEY_PAYLOAD | 1u << KEY_DATA_HANDLE)))
        decoded = sl_cbor_bad(&reader, "a record needs a payload (2) or a data handle (7)");
    if (decoded == SL_DECODE_BAD)
        *why = reader.why;
    if (!decoded)
        *used = reader.at;
    return decoded;
}

static bool result_texts_ok(const struct sl_result *result)
{
    return (!result->trace_id || sl_is_token_text(result->trace_id, 128)) &&
           (!result->code || sl_is_token_text(result->code, CODE_MAX)) &&
           (!result->text ||
            (strlen(result->text) <= TEXT_MAX && sl_utf8_length(result->text, strlen(result->text)) >= 0));
}

bool sl_result_encode(struct sl_buffer *buffer, const struct sl_result *result)
{
    size_t size = (RESULT_COUNT + 1) * (1 + SL_CBOR_HEAD) + 128 + CODE_MAX + TEXT_MAX;
    if (!result_texts_ok(result) || !sl_buffer_reserve(buffer, size)) {
        buffer->failed = true;
        return false;
    }
    size_t pairs = 1u + (result->trace_id != NULL) + (result->offset.partition >= 0) +
                   (result->offset.offset >= 0) + (result->code != NULL) + (result->text != NULL);
    sl_cbor_put_map(buffer, pairs);
    put_number_pair(buffer, RESULT_STATUS, result->status < 0 ? 0 : result->status);
    put_text_pair(buffer, RESULT_TRACE_ID, result->trace_id);
    put_number_pair(buffer, RESULT_PARTITION, result->offset.partition);
    put_number_pair(buffer, RESULT_OFFSET, result->offset.offset);
    put_text_pair(buffer, RESULT_CODE, result->code);
    put_text_pair(buffer, RESULT_TEXT, result->text);
    buffer->data[buffer->size] = 0;
    return true;
}

static enum sl_decoded read_result_text(struct sl_cbor_reader *reader, struct sl_arena *arena,
                                        const char **text)
{
    struct sl_cbor_item item;
    enum sl_decoded decoded = sl_cbor_next(reader, TEXT_MAX, &item);
    if (decoded)
        return decoded;
    if (item.kind != SL_CBOR_TEXT || memchr(item.bytes, 0, item.number) ||
        sl_utf8_length((const char *)item.bytes, item.number) < 0)
        return sl_cbor_bad(reader, "the text (6) must be UTF-8 of at most 4,096 bytes");
    *text = sl_arena_copy(arena, item.bytes, item.number);
    return *text ? SL_DECODED : SL_DECODE_OOM;
}

static enum sl_decoded read_result_field(struct sl_cbor_reader *reader, uint64_t key, struct sl_arena *arena,
                                         struct sl_result *result)
{
    int64_t number = 0;
    enum sl_decoded decoded;
    switch (key) {
    case RESULT_STATUS:
        decoded = read_number(reader, 599, "the status (1) must be a number from 100 to 599", &number);
        if (!decoded && number < 100)
            return sl_cbor_bad(reader, "the status (1) must be a number from 100 to 599");
        result->status = (int)number;
        return decoded;
    case RESULT_TRACE_ID:
        return read_token(reader, arena, 128,
                          "the trace id (2) must be 1 to 128 characters of printable ASCII",
                          &result->trace_id);
    case RESULT_PARTITION:
        decoded = read_number(reader, INT32_MAX,
                              "the Kafka partition (3) must be a number from 0 to 2147483647", &number);
        if (!decoded)
            result->offset.partition = (int32_t)number;
        return decoded;
    case RESULT_OFFSET:
        return read_number(reader, INT64_MAX, "the offset (4) must be a number from 0 on",
                           &result->offset.offset);
    case RESULT_CODE:
        return read_token(reader, arena, CODE_MAX,
                          "the code (5) must be 1 to 128 characters of printable ASCII", &result->code);
    default:
        return read_result_text(reader, arena, &result->text);
    }
}

enum sl_decoded sl_result_decode(const void *data, size_t size, struct sl_arena *arena,
                                 struct sl_result *result, size_t *used, const char **why)
{
    struct sl_cbor_reader reader = {.data = data, .size = size, .budget = RESULT_MAX};
    struct sl_cbor_item map;
    *result = (struct sl_result){.offset = {-1, -1}};
    enum sl_decoded decoded = begin_map(&reader, &map);
    uint64_t left = decoded ? 0 : map.number, key = 0;
    unsigned seen = 0;
    while (!decoded) {
        decoded = next_key(&reader, &map, &left, RESULT_COUNT, &seen, &key);
        if (decoded || !key)
            break;
        decoded = read_result_field(&reader, key, arena, result);
    }
    if (!decoded && !(seen & 1u << RESULT_STATUS))
        decoded = sl_cbor_bad(&reader, "a result needs a status (1)");
    if (decoded == SL_DECODE_BAD)
        *why = reader.why;
    if (!decoded)
        *used = reader.at;
    return decoded;
}
