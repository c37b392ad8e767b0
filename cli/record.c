#include "record.h"

#include "base/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BASE64      "Base64"
#define LONGEST     32 /* of a field's name */
#define MAX_HEADERS 1000

struct cli_span {
    const char *data;
    size_t size;
};

static int append_json(const char *data, size_t size, void *text)
{
    return sl_buffer_append(text, data, size) ? 0 : -1;
}

/* false: out of memory. */
static bool set_bytes(json_t *object, const char *name, const void *data, size_t size)
{
    json_t *value = data ? json_stringn(data, size) : json_null();
    if (value)
        return !json_object_set_new(object, name, value);
    char other[LONGEST + sizeof BASE64];
    snprintf(other, sizeof other, "%s" BASE64, name);
    struct sl_buffer base64;
    sl_buffer_init(&base64, SIZE_MAX / 2);
    bool ok = sl_base64_encode(&base64, data, size) &&
              !json_object_set_new(object, other,
                                   json_stringn_nocheck(base64.data ? base64.data : "", base64.size));
    sl_buffer_free(&base64);
    return ok;
}

static bool set_text(json_t *object, const char *name, const char *value)
{
    return !value || set_bytes(object, name, value, strlen(value));
}

static bool set_number(json_t *object, const char *name, int64_t value)
{
    return value < 0 || !json_object_set_new(object, name, json_integer(value));
}

static bool set_headers(json_t *object, const sl_message *message)
{
    if (!sl_message_header_count(message))
        return true;
    json_t *headers = json_array();
    const char *name;
    const void *value;
    size_t size;
    bool ok = !json_object_set_new(object, "headers", headers);
    for (size_t i = 0; ok && sl_message_header_at(message, i, &name, &value, &size); i++) {
        json_t *header = json_object();
        ok = header && set_text(header, "name", name) && set_bytes(header, "value", value, size);
        if (ok)
            ok = !json_array_append_new(headers, header);
        else
            json_decref(header);
    }
    return ok;
}

void cli_record_write(struct sl_buffer *text, const sl_message *message)
{
    json_t *object = json_object();
    size_t size;
    const char *key = sl_message_partition_id(message, &size);
    bool ok = object && (!key || set_bytes(object, "key", key, size));
    const char *handle = sl_message_data_handle(message);
    const void *payload = sl_message_payload(message, &size);
    if (payload || !handle)
        ok = ok && set_bytes(object, "payload", payload, size);
    if (payload && sl_message_compressed(message))
        ok = ok && !json_object_set_new(object, "compressed", json_true());
    sl_offset offset = sl_message_offset(message);
    ok = ok && set_text(object, "dataHandle", handle) &&
         set_number(object, "dataSize", sl_message_data_size(message)) &&
         set_number(object, "timestamp", sl_message_timestamp_ms(message)) &&
         set_text(object, "traceId", sl_message_trace_id(message)) &&
         set_text(object, "checksum", sl_message_checksum(message)) &&
         set_text(object, "crc", sl_message_crc(message)) && set_headers(object, message) &&
         set_number(object, "partition", offset.partition) && set_number(object, "offset", offset.offset);
    if (!ok || json_dump_callback(object, append_json, text, JSON_COMPACT | JSON_PRESERVE_ORDER) ||
        !sl_buffer_append(text, "\n", 1))
        text->failed = true;
    json_decref(object);
}

void cli_record_free(struct cli_record *record)
{
    for (size_t i = 0; i < record->count; i++)
        free(record->parts[i]);
    free(record->parts);
    json_decref(record->object);
    memset(record, 0, sizeof *record);
}

/* Takes memory over, to be released with the record. */
static bool keep(struct cli_record *record, void *memory)
{
    void **grown = memory ? realloc(record->parts, (record->count + 1) * sizeof *grown) : NULL;
    if (!grown) {
        free(memory);
        return false;
    }
    grown[record->count++] = memory;
    record->parts = grown;
    return true;
}

/* A value that may be text or null. */
static bool text_value(const char *name, const json_t *value, const char **data, size_t *size, char *why)
{
    *data = json_string_value(value);
    *size = json_string_length(value);
    if (*data || json_is_null(value))
        return true;
    snprintf(why, CLI_RECORD_WHY, "\"%s\" is no text", name);
    return false;
}

static bool base64_value(struct cli_record *record, const char *name, const json_t *value, const char **data,
                         size_t *size, char *why)
{
    struct sl_buffer bytes;
    sl_buffer_init(&bytes, SIZE_MAX / 2);
    if (!json_is_string(value) ||
        !sl_base64_decode(&bytes, json_string_value(value), json_string_length(value))) {
        snprintf(why, CLI_RECORD_WHY, bytes.failed ? "out of memory" : "\"%s\" is no base64", name);
        sl_buffer_free(&bytes);
        return false;
    }
    *size = bytes.size;
    *data = sl_buffer_take(&bytes);
    if (keep(record, (void *)(uintptr_t)*data))
        return true;
    snprintf(why, CLI_RECORD_WHY, "out of memory");
    return false;
}

/* The bytes under name, or in base64 under nameBase64. *given: whether there is one of them. */
static bool bytes_of(struct cli_record *record, const json_t *object, const char *name, const char **data,
                     size_t *size, bool *given, char *why)
{
    char other[LONGEST + sizeof BASE64];
    snprintf(other, sizeof other, "%s" BASE64, name);
    const json_t *plain = json_object_get(object, name), *base64 = json_object_get(object, other);
    *given = plain || base64;
    *data = NULL;
    *size = 0;
    if (plain && base64) {
        snprintf(why, CLI_RECORD_WHY, "\"%s\" and \"%s\" exclude each other", name, other);
        return false;
    }
    if (base64)
        return base64_value(record, other, base64, data, size, why);
    return !plain || text_value(name, plain, data, size, why);
}

/* A text that is carried as a C string. */
static bool string_of(const json_t *object, const char *name, const char **value, char *why)
{
    const json_t *text = json_object_get(object, name);
    *value = NULL;
    if (!text || json_is_null(text))
        return true;
    *value = json_string_value(text);
    if (*value && strlen(*value) == json_string_length(text))
        return true;
    snprintf(why, CLI_RECORD_WHY, "\"%s\" is no text", name);
    return false;
}

/* "known are a, b, c" */
static void list(char *out, size_t room, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int length = snprintf(out, room, "%s%s", i ? ", " : "known are ", names[i]);
        if (length < 0 || (size_t)length >= room)
            return;
        out += length;
        room -= (size_t)length;
    }
}

static bool known(const json_t *object, const char *const *names, size_t count, char *why)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        size_t i = 0;
        while (i < count && strcmp(names[i], name) != 0)
            i++;
        if (i < count)
            continue;
        const char *nearest = sl_nearest(name, names, count);
        int length = snprintf(why, CLI_RECORD_WHY, "unknown field \"%.60s\"; ", name);
        if (nearest)
            snprintf(why + length, CLI_RECORD_WHY - (size_t)length, "did you mean \"%s\"?", nearest);
        else
            list(why + length, CLI_RECORD_WHY - (size_t)length, names, count);
        return false;
    }
    return true;
}

static bool read_header(struct cli_record *record, const json_t *header, size_t index, sl_message *message,
                        char *why)
{
    static const char *const fields[] = {"name", "value", "valueBase64"};
    const char *name = NULL, *value;
    size_t size;
    bool given;
    char what[CLI_RECORD_WHY] = "";
    if (!json_is_object(header)) {
        snprintf(what, sizeof what, "it is no object with name and value");
    } else if (known(header, fields, sizeof fields / sizeof *fields, what) &&
               string_of(header, "name", &name, what) &&
               bytes_of(record, header, "value", &value, &size, &given, what)) {
        sl_status status = sl_message_add_header(message, name, value, size);
        if (!status)
            return true;
        snprintf(what, sizeof what, "%s",
                 status == SL_OUT_OF_MEMORY
                     ? "out of memory"
                     : "a name is 1 to 128 characters of RFC 9110's tokens and does not begin "
                       "with \"sl-\"");
    }
    snprintf(why, CLI_RECORD_WHY, "header %zu%s%.64s%s: %.150s", index + 1, name ? " (" : "",
             name ? name : "", name ? ")" : "", what);
    return false;
}

static bool read_headers(struct cli_record *record, sl_message *message, char *why)
{
    const json_t *headers = json_object_get(record->object, "headers");
    size_t count = json_array_size(headers);
    if (!headers)
        return true;
    if (!json_is_array(headers) || count > MAX_HEADERS) {
        snprintf(why, CLI_RECORD_WHY, "\"headers\" is no list of at most %d {\"name\": …, \"value\": …}",
                 MAX_HEADERS);
        return false;
    }
    for (size_t i = 0; i < count; i++)
        if (!read_header(record, json_array_get(headers, i), i, message, why))
            return false;
    return true;
}

static bool read_key(struct cli_record *record, sl_message *message, char *why)
{
    const char *key;
    size_t size;
    bool given;
    if (!bytes_of(record, record->object, "key", &key, &size, &given, why))
        return false;
    if (!given || !sl_message_set_partition_id(message, size ? key : NULL, size))
        return true;
    snprintf(why, CLI_RECORD_WHY, "the key is not UTF-8 text of at most %d characters", SL_PARTITION_ID_MAX);
    return false;
}

/* json: the payload's own text where it is other JSON than a string, or NULL. */
static bool read_payload(struct cli_record *record, const struct cli_span *json, sl_message *message,
                         char *why)
{
    const char *payload = json->data;
    size_t size = json->size;
    bool given = payload != NULL;
    if (given && json_object_get(record->object, "payload" BASE64)) {
        snprintf(why, CLI_RECORD_WHY, "\"payload\" and \"payload" BASE64 "\" exclude each other");
        return false;
    }
    if (!given && !bytes_of(record, record->object, "payload", &payload, &size, &given, why))
        return false;
    if (!given) {
        snprintf(why, CLI_RECORD_WHY,
                 json_object_get(record->object, "dataHandle")
                     ? "the payload lies in a blob: consume it without --no-resolve, so that it is here"
                     : "\"payload\" or \"payloadBase64\" is missing (null stands for a null value)");
        return false;
    }
    sl_status status = payload ? sl_message_set_payload(message, payload, size) : SL_OK;
    if (status)
        snprintf(why, CLI_RECORD_WHY, "the payload of %zu bytes: %s", size, sl_status_text(status));
    return !status;
}

static bool read_rest(struct cli_record *record, sl_message *message, char *why)
{
    const json_t *timestamp = json_object_get(record->object, "timestamp");
    const json_t *compressed = json_object_get(record->object, "compressed");
    const char *trace_id, *checksum, *crc;
    if (!string_of(record->object, "traceId", &trace_id, why) ||
        !string_of(record->object, "checksum", &checksum, why) ||
        !string_of(record->object, "crc", &crc, why))
        return false;
    const char *wrong = NULL;
    if (timestamp && !json_is_null(timestamp) &&
        (!json_is_integer(timestamp) || sl_message_set_timestamp_ms(message, json_integer_value(timestamp))))
        wrong = "\"timestamp\" is no whole number of milliseconds since 1970, 1 or more";
    else if (trace_id && sl_message_set_trace_id(message, trace_id))
        wrong = "\"traceId\" is not 1 to 128 printable ASCII characters";
    else if (checksum && sl_message_set_checksum(message, checksum))
        wrong = "\"checksum\" is no SHA-256 of 64 hex digits";
    else if (crc && sl_message_set_crc(message, crc))
        wrong = "\"crc\" is not 1 to 32 printable ASCII characters";
    else if (compressed && !json_is_boolean(compressed))
        wrong = "\"compressed\" is neither true nor false";
    else if (compressed)
        (void)sl_message_set_compressed(message, json_is_true(compressed));
    if (wrong)
        snprintf(why, CLI_RECORD_WHY, "%s", wrong);
    return !wrong;
}

/* The scanner below walks over what is known to be one JSON object. */

static const char *past_blanks(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

static const char *past_string(const char *at)
{
    for (at++; *at != '"'; at++)
        if (*at == '\\')
            at++;
    return at + 1;
}

static const char *past_value(const char *at)
{
    size_t depth = 0;
    do {
        if (*at == '"') {
            at = past_string(at);
        } else if (strchr("{[", *at)) {
            depth++;
            at++;
        } else if (strchr("]}", *at)) {
            depth--;
            at++;
        } else if (depth) {
            at += strcspn(at, "\"{}[]");
        } else {
            at += strcspn(at, ",]} \t\r\n");
        }
    } while (depth);
    return at;
}

static bool is_payload(const char *name, size_t size)
{
    static const char payload[] = "\"payload\"";
    if (!memchr(name, '\\', size))
        return size == sizeof payload - 1 && !memcmp(name, payload, size);
    json_t *text = json_loadb(name, size, JSON_DECODE_ANY, NULL);
    bool is = text && !strcmp(json_string_value(text), "payload");
    json_decref(text);
    return is;
}

/* The first value of the name in the text, which ends with a zero byte. data NULL: it is a string, null or
 * not there. */
static struct cli_span find_payload(const char *text)
{
    const char *at = past_blanks(past_blanks(text) + 1);
    while (*at == '"') {
        const char *end = past_string(at);
        const char *value = past_blanks(past_blanks(end) + 1);
        bool found = is_payload(at, (size_t)(end - at));
        end = past_value(value);
        if (found && !strchr("\"n", *value))
            return (struct cli_span){value, (size_t)(end - value)};
        if (found)
            break;
        at = past_blanks(end);
        if (*at == ',')
            at = past_blanks(at + 1);
    }
    return (struct cli_span){NULL, 0};
}

/*
 * Numbers that no double has, and names that come twice, are the payload's own business, and wrong elsewhere:
 * a payload that is other JSON than a string gives way to a number before the rest is read.
 */
static bool load(struct cli_record *record, const char *line, size_t size, struct cli_span *payload,
                 json_error_t *error)
{
    *payload = (struct cli_span){NULL, 0};
    record->object = json_loadb(line, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, error);
    json_t *whole = json_incref(record->object);
    json_error_t other = {0};
    if (!whole && (json_error_code(error) == json_error_duplicate_key ||
                   json_error_code(error) == json_error_numeric_overflow))
        whole = json_loadb(line, size, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &other);
    if (!whole && other.text[0])
        *error = other;
    const json_t *value = json_object_get(whole, "payload");
    bool own_text = value && !json_is_string(value) && !json_is_null(value);
    json_decref(whole);
    if (!own_text)
        return record->object != NULL;
    char *text = strndup(line, size);
    struct cli_span found = {NULL, 0};
    if (keep(record, text))
        found = find_payload(text);
    else
        snprintf(error->text, sizeof error->text, "out of memory");
    if (!found.data)
        return false;
    size_t from = (size_t)(found.data - text);
    *payload = (struct cli_span){line + from, found.size};
    if (!record->object) {
        memset(text + from, ' ', found.size);
        text[from] = '0';
        record->object = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, error);
    }
    return record->object != NULL;
}

bool cli_record_read(struct cli_record *record, const char *line, size_t size, sl_message *message,
                     char why[CLI_RECORD_WHY])
{
    static const char *const fields[] = {"key",        "keyBase64", "payload",  "payloadBase64", "headers",
                                         "timestamp",  "traceId",   "checksum", "crc",           "partition",
                                         "dataHandle", "dataSize",  "offset",   "compressed"};
    json_error_t error = {0};
    struct cli_span payload;
    cli_record_free(record);
    if (!load(record, line, size, &payload, &error) || !json_is_object(record->object)) {
        if (record->object)
            snprintf(why, CLI_RECORD_WHY,
                     "it is no JSON object such as {\"key\": \"a\", \"payload\": \"b\"}");
        else
            snprintf(why, CLI_RECORD_WHY, "column %d: no JSON: %s", error.column, error.text);
        sl_clean_line(why);
        return false;
    }
    bool ok = known(record->object, fields, sizeof fields / sizeof *fields, why) &&
              read_key(record, message, why) && read_payload(record, &payload, message, why) &&
              read_headers(record, message, why) && read_rest(record, message, why);
    /* It may quote the line, which must not command the terminal. */
    if (!ok)
        sl_clean_line(why);
    return ok;
}
