#include "support/cases.h"

#include <stdlib.h>
#include <string.h>

#include "wire/cbor.h"
#include "wire/record.h"

/* The vectors of docs/protocol.md, made with another implementation (Python's cbor2). */
#define MINIMAL "a201616b0243616263"
#define FULL                                                                                                 \
    "ac01656361722d3102430001ff031b0000018bcfe56800046774726163652d3105784061626162616261626162616261"       \
    "626162616261626162616261626162616261626162616261626162616261626162616261626162616261626162616261"       \
    "6261620664316132620763682d31081a01400000091a001000010a838261614178826162f6826161400b030c1b000000"       \
    "0100000000"
#define NULL_VALUE    "a102f6"
#define FOREIGN       "a50142ff0002400a8182696d792068656164657241760b000c00"
#define HANDLE        "a301616b0763682d32081a01400000"
#define RESULT_OK     "a40118c80263742d3103020411"
#define RESULT_FAILED "a40119019d0263742d3205717061796c6f61642d746f6f2d6c61726765066b6f766572203230204d6942"

#define AB64 "abababababababababababababababababababababababababababababababab"

static const struct sl_record_limits strict = {.max_payload = 1048576, .max_headers = 100};
static const struct sl_record_limits foreign = {.max_payload = 1048576, .max_headers = 100, .foreign = true};

static struct {
    struct sl_arena *arena;
    struct sl_message message;
    unsigned char *bytes;
    size_t size, used;
    const char *why;
} it;

static int setup(void **state)
{
    (void)state;
    memset(&it, 0, sizeof it);
    it.arena = sl_arena_create();
    sl_message_reset(&it.message);
    return it.arena ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    sl_arena_destroy(it.arena);
    free(it.message.headers);
    free(it.bytes);
    return 0;
}

/* Into memory of exactly that size, so that a sanitizer sees a read behind it. */
static void load(const char *hex, size_t most)
{
    size_t size = strlen(hex) / 2;
    if (size > most)
        size = most;
    free(it.bytes);
    it.bytes = malloc(size ? size : 1);
    assert_non_null(it.bytes);
    for (size_t i = 0; i < size; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        it.bytes[i] = (unsigned char)strtoul(digits, NULL, 16);
    }
    it.size = size;
}

static enum sl_decoded decode(const char *hex, const struct sl_record_limits *limits)
{
    load(hex, SIZE_MAX);
    it.why = NULL;
    it.used = 0;
    enum sl_decoded decoded =
        sl_record_decode(it.bytes, it.size, limits, it.arena, &it.message, &it.used, &it.why);
    assert_true((decoded == SL_DECODE_BAD) == (it.why != NULL));
    return decoded;
}

static void assert_bad(const char *hex, const struct sl_record_limits *limits, const char *part)
{
    assert_int_equal(decode(hex, limits), SL_DECODE_BAD);
    if (!strstr(it.why, part))
        fail_msg("\"%s\" does not say \"%s\"", it.why, part);
}

static void assert_encodes(const struct sl_message *message, const char *hex)
{
    struct sl_buffer buffer;
    sl_buffer_init(&buffer, 100000);
    assert_true(sl_record_encode(&buffer, message));
    assert_true(buffer.size <= sl_record_size(message));
    load(hex, SIZE_MAX);
    assert_int_equal(buffer.size, it.size);
    assert_memory_equal(buffer.data, it.bytes, it.size);
    sl_buffer_free(&buffer);
}

static struct sl_message blank(void)
{
    struct sl_message message = {0};
    sl_message_reset(&message);
    return message;
}

static void minimal_record(void **state)
{
    (void)state;
    struct sl_message message = blank();
    message.partition_id = "k";
    message.partition_id_size = 1;
    message.payload = "abc";
    message.payload_size = 3;
    assert_encodes(&message, MINIMAL);
    assert_int_equal(decode(MINIMAL, &strict), SL_DECODED);
    assert_int_equal(it.used, it.size);
    assert_int_equal(it.message.partition_id_size, 1);
    assert_memory_equal(it.message.partition_id, "k", 1);
    assert_int_equal(it.message.payload_size, 3);
    assert_memory_equal(it.message.payload, "abc", 3);
    assert_int_equal(it.message.timestamp_ms, -1);
    assert_int_equal(it.message.offset.partition, -1);
    assert_true(it.message.offset.offset == -1);
    assert_null(it.message.trace_id);
    assert_int_equal(it.message.header_count, 0);
}

static void full_record(void **state)
{
    (void)state;
    struct sl_header headers[] = {{"a", "x", 1}, {"b", NULL, 0}, {"a", "", 0}};
    struct sl_message message = blank();
    message.partition_id = "car-1";
    message.partition_id_size = 5;
    message.payload = "\x00\x01\xff";
    message.payload_size = 3;
    message.timestamp_ms = 1700000000000;
    message.trace_id = "trace-1";
    message.checksum = AB64;
    message.crc = "1a2b";
    message.data_handle = "h-1";
    message.data_size = 20971520;
    message.compressed_size = 1048577;
    message.headers = headers;
    message.header_count = 3;
    message.offset = (sl_offset){3, 4294967296};
    assert_encodes(&message, FULL);
    assert_int_equal(decode(FULL, &strict), SL_DECODED);
    assert_int_equal(it.used, it.size);
    assert_memory_equal(it.message.payload, "\x00\x01\xff", 3);
    assert_true(it.message.timestamp_ms == 1700000000000);
    assert_string_equal(it.message.trace_id, "trace-1");
    assert_string_equal(it.message.checksum, AB64);
    assert_string_equal(it.message.crc, "1a2b");
    assert_string_equal(it.message.data_handle, "h-1");
    assert_true(it.message.data_size == 20971520 && it.message.compressed_size == 1048577);
    assert_int_equal(it.message.header_count, 3);
    assert_string_equal(it.message.headers[0].name, "a");
    assert_memory_equal(it.message.headers[0].value, "x", 1);
    assert_null(it.message.headers[1].value);
    assert_non_null(it.message.headers[2].value);
    assert_int_equal(it.message.headers[2].size, 0);
    assert_true(it.message.offset.partition == 3 && it.message.offset.offset == 4294967296);
}

static void null_value_and_no_key(void **state)
{
    (void)state;
    struct sl_message message = blank();
    assert_encodes(&message, NULL_VALUE);
    assert_int_equal(decode(NULL_VALUE, &strict), SL_DECODED);
    assert_null(it.message.partition_id);
    assert_null(it.message.payload);
}

static void foreign_record(void **state)
{
    (void)state;
    struct sl_header header = {"my header", "v", 1};
    struct sl_message message = blank();
    message.partition_id = "\xff\x00";
    message.partition_id_size = 2;
    message.payload = "";
    message.headers = &header;
    message.header_count = 1;
    message.offset = (sl_offset){0, 0};
    assert_encodes(&message, FOREIGN);
    assert_int_equal(decode(FOREIGN, &foreign), SL_DECODED);
    assert_int_equal(it.message.partition_id_size, 2);
    assert_memory_equal(it.message.partition_id, "\xff\x00", 2);
    assert_non_null(it.message.payload);
    assert_int_equal(it.message.payload_size, 0);
    assert_string_equal(it.message.headers[0].name, "my header");
    assert_bad(FOREIGN, &strict, "partition id (1) must be text");
}

/* Kafka takes such a record, so whoever reads must get past it. */
static void a_foreign_record_may_have_more_beside_its_payload(void **state)
{
    (void)state;
    static char key[SL_RECORD_REST_MAX + 1];
    struct sl_message message = blank();
    message.partition_id = memset(key, 'k', sizeof key);
    message.partition_id_size = sizeof key;
    message.payload = "v";
    message.payload_size = 1;
    struct sl_buffer record;
    sl_buffer_init(&record, 4 * sizeof key);
    assert_true(sl_record_encode(&record, &message));
    struct sl_record_limits wide = foreign;
    wide.max_rest = record.size;
    size_t used = 0;
    const char *why = "";
    assert_int_equal(sl_record_decode(record.data, record.size, &foreign, it.arena, &it.message, &used, &why),
                     SL_DECODE_BAD);
    assert_int_equal(sl_record_decode(record.data, record.size, &wide, it.arena, &it.message, &used, &why),
                     SL_DECODED);
    assert_int_equal(it.message.partition_id_size, sizeof key);
    assert_int_equal(used, record.size);
    sl_buffer_free(&record);
}

static void a_foreign_record_may_have_very_many_headers(void **state)
{
    (void)state;
    struct sl_message message = blank();
    message.header_count = SL_CBOR_MOST_ITEMS;
    message.headers = calloc(message.header_count, sizeof *message.headers);
    assert_non_null(message.headers);
    for (size_t i = 0; i < message.header_count; i++)
        message.headers[i].name = "";
    struct sl_buffer record;
    sl_buffer_init(&record, SIZE_MAX);
    bool encoded = sl_record_encode(&record, &message);
    free(message.headers);
    assert_true(encoded);
    struct sl_record_limits wide = foreign;
    wide.max_headers = SL_CBOR_MOST_ITEMS;
    wide.max_rest = record.size;
    assert_int_equal(
        sl_record_decode(record.data, record.size, &wide, it.arena, &it.message, &it.used, &it.why),
        SL_DECODED);
    assert_int_equal(it.message.header_count, SL_CBOR_MOST_ITEMS);
    sl_buffer_free(&record);
}

static void data_handle_record(void **state)
{
    (void)state;
    struct sl_message message = blank();
    message.partition_id = "k";
    message.partition_id_size = 1;
    message.data_handle = "h-2";
    message.data_size = 20971520;
    assert_encodes(&message, HANDLE);
    assert_int_equal(decode(HANDLE, &strict), SL_DECODED);
    assert_null(it.message.payload);
    assert_string_equal(it.message.data_handle, "h-2");
}

static void values_point_into_the_input(void **state)
{
    (void)state;
    assert_int_equal(decode(FULL, &strict), SL_DECODED);
    const unsigned char *end = it.bytes + it.size, *payload = it.message.payload;
    const unsigned char *key = (const unsigned char *)it.message.partition_id,
                        *value = it.message.headers[0].value;
    assert_true(payload > it.bytes && payload < end);
    assert_true(key > it.bytes && key < end);
    assert_true(value > it.bytes && value < end);
}

static void every_truncation_wants_more(void **state)
{
    (void)state;
    static const char *const whole[] = {MINIMAL, FULL, NULL_VALUE, HANDLE};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        for (size_t size = 0; size < strlen(whole[i]) / 2; size++) {
            load(whole[i], size);
            assert_int_equal(
                sl_record_decode(it.bytes, it.size, &strict, it.arena, &it.message, &it.used, &it.why),
                SL_DECODE_MORE);
        }
}

static void a_sequence_is_taken_record_by_record(void **state)
{
    (void)state;
    load(MINIMAL NULL_VALUE FULL, SIZE_MAX);
    size_t at = 0, count = 0;
    while (at < it.size) {
        assert_int_equal(
            sl_record_decode(it.bytes + at, it.size - at, &strict, it.arena, &it.message, &it.used, &it.why),
            SL_DECODED);
        at += it.used;
        count++;
    }
    assert_int_equal(count, 3);
}

static void unknown_keys_are_passed_over(void **state)
{
    (void)state;
    /* 99: [1, {"a": [true, 1.5, tag(h'00')]}, [endless 1], {endless 1: 2}]; -1: "x"; "k": null */
    assert_int_equal(decode("a5"
                            "1863"
                            "84"
                            "01"
                            "a1616183f5f93e00c14100"
                            "9f01ff"
                            "bf0102ff"
                            "206178"
                            "616bf6"
                            "0241aa"
                            "0063666f6f",
                            &strict),
                     SL_DECODED);
    assert_int_equal(it.used, it.size);
    assert_int_equal(it.message.payload_size, 1);
}

static void indefinite_maps_and_arrays_are_taken(void **state)
{
    (void)state;
    assert_int_equal(decode("bf02416101616b0a9f8261614178ffff", &strict), SL_DECODED);
    assert_int_equal(it.used, it.size);
    assert_int_equal(it.message.header_count, 1);
}

static void indefinite_strings_are_refused(void **state)
{
    (void)state;
    assert_bad("a1025f4161ff", &strict, "payload (2) is not well-formed");
    assert_bad("a20240017f6161ff", &strict, "indefinite length");
    assert_bad("a2024018635f4161ff", &strict, "indefinite length");
}

static void what_is_malformed_is_bad(void **state)
{
    (void)state;
    assert_bad("80", &strict, "must be a map");
    assert_bad("ff", &strict, "must be a map");
    assert_bad("1c", &strict, "well-formed");
    assert_bad("a0", &strict, "needs a payload");
    assert_bad("a1ff", &strict, "integers");
    assert_bad("a1f602", &strict, "integers");
    assert_bad("a202400240", &strict, "twice");
    assert_bad("a1026161", &strict, "must be bytes or null");
    assert_bad("a20240014100", &strict, "must be text");
    assert_bad("a202400162c328", &strict, "not UTF-8");
    assert_bad("a202400160", &strict, "1 to 500");
    assert_bad("a202400320", &strict, "timestamp (3)");
    assert_bad("a20240031bffffffffffffffff", &strict, "timestamp (3)");
    assert_bad("a20240046120", &strict, "trace id (4)");
}

/* A record whose partition id has so many characters. */
static const char *with_id(unsigned count)
{
    static char hex[2000];
    size_t size = (size_t)snprintf(hex, sizeof hex, "a202400179%04x", count);
    for (unsigned i = 0; i < count; i++)
        size += (size_t)snprintf(hex + size, sizeof hex - size, "6b");
    return hex;
}

static void what_is_out_of_range_is_bad(void **state)
{
    (void)state;
    assert_int_equal(decode(with_id(500), &strict), SL_DECODED);
    assert_bad(with_id(501), &strict, "1 to 500");
    assert_bad("a202400463610062", &strict, "trace id (4)");
    assert_bad("a20240056161", &strict, "checksum (5)");
    assert_bad("a202400660", &strict, "crc (6)");
    assert_bad("a10760", &strict, "data handle (7)");
    assert_bad("a2024008f6", &strict, "data size (8)");
    assert_bad("a202400bf6", &strict, "partition (11)");
    assert_bad("a202400b1a80000000", &strict, "partition (11)");
    assert_bad("a202400c3903e7", &strict, "offset (12)");
    assert_bad("a202400a01", &strict, "must be an array");
    assert_bad("a202400a8101", &strict, "array of two");
    assert_bad("a202400a818161", &strict, "array of two");
    assert_bad("a202400a8182416140", &strict, "name must be text");
    assert_bad("a202400a8182616101", &strict, "bytes or null");
    assert_bad("a202400a81826361006240", &strict, "NUL");
    assert_bad("a202400a818264536c2d7840", &strict, "sl-");
    assert_bad("a202400a81826361206240", &strict, "token");
    assert_bad("a202400a81826040", &strict, "token");
}

static void huge_claims_are_bad_at_once(void **state)
{
    (void)state;
    assert_bad("a1025bffffffffffffffff", &strict, "larger than allowed");
    assert_bad("a1025bfffffffffffffff7", &strict, "larger than allowed");
    assert_bad("a1025a00100001", &strict, "larger than allowed");
    assert_int_equal(decode("a1025a00100000", &strict), SL_DECODE_MORE);
    assert_bad("a1017a7fffffff", &strict, "longer than allowed");
    assert_bad("a118637bffffffffffffff00", &strict, "longer than allowed");
    assert_bad("bb0000000100000000", &strict, "1,048,576");
    assert_bad("b90101", &strict, "256 fields");
    assert_bad("a10a9a00000065", &strict, "more headers");
    assert_bad("a118639b7fffffffffffffff", &strict, "1,048,576");
}

static void nesting_has_a_bound(void **state)
{
    (void)state;
    assert_int_equal(decode("a2024018638181818181818180", &strict), SL_DECODED);
    assert_bad("a202401863818181818181818180", &strict, "nested too deep");
    assert_bad("a202401863bf01ff", &strict, "break");
    assert_bad("a20240186381ff", &strict, "break");
}

static void a_record_without_end_is_refused(void **state)
{
    (void)state;
    /* A map that goes on and on with unknown fields of 1,000 bytes. */
    size_t size = 3 + 2000 * 1005;
    unsigned char *bytes = calloc(1, size), *at = bytes;
    assert_non_null(bytes);
    *at++ = 0xbf;
    for (int i = 0; i < 2000; i++) {
        *at++ = 0x18;
        *at++ = 0x63;
        *at++ = 0x59;
        *at++ = 0x03;
        *at++ = 0xe8;
        at += 1000;
    }
    enum sl_decoded decoded =
        sl_record_decode(bytes, size - 10, &strict, it.arena, &it.message, &it.used, &it.why);
    free(bytes);
    assert_int_equal(decoded, SL_DECODE_BAD);
}

static void a_full_buffer_is_left_alone(void **state)
{
    (void)state;
    struct sl_message message = blank();
    message.payload = AB64;
    message.payload_size = 64;
    struct sl_buffer buffer;
    sl_buffer_init(&buffer, 60);
    assert_false(sl_record_encode(&buffer, &message));
    assert_true(buffer.failed);
    assert_int_equal(buffer.size, 0);
    sl_buffer_free(&buffer);
}

static void results(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        struct sl_result result;
    } vectors[] = {
        {RESULT_OK, {.status = 200, .trace_id = "t-1", .offset = {2, 17}}},
        {RESULT_FAILED,
         {.status = 413,
          .trace_id = "t-2",
          .offset = {-1, -1},
          .code = "payload-too-large",
          .text = "over 20 MiB"}},
    };
    for (size_t i = 0; i < 2; i++) {
        struct sl_buffer buffer;
        struct sl_result back;
        sl_buffer_init(&buffer, 10000);
        assert_true(sl_result_encode(&buffer, &vectors[i].result));
        load(vectors[i].hex, SIZE_MAX);
        assert_int_equal(buffer.size, it.size);
        assert_memory_equal(buffer.data, it.bytes, it.size);
        for (size_t size = 0; size < it.size; size++)
            assert_int_equal(sl_result_decode(it.bytes, size, it.arena, &back, &it.used, &it.why),
                             SL_DECODE_MORE);
        assert_int_equal(sl_result_decode(it.bytes, it.size, it.arena, &back, &it.used, &it.why), SL_DECODED);
        assert_int_equal(it.used, it.size);
        assert_int_equal(back.status, vectors[i].result.status);
        assert_string_equal(back.trace_id, vectors[i].result.trace_id);
        assert_int_equal(back.offset.partition, vectors[i].result.offset.partition);
        assert_true(back.offset.offset == vectors[i].result.offset.offset);
        if (vectors[i].result.code) {
            assert_string_equal(back.code, vectors[i].result.code);
            assert_string_equal(back.text, vectors[i].result.text);
        } else {
            assert_null(back.code);
        }
        sl_buffer_free(&buffer);
    }
}

static void broken_results_are_bad(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "a0", "a10101", "a101190258", "a201186401f6", "a20118c806625cff00", "a20118c802617f"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sl_result result;
        load(bad[i], SIZE_MAX);
        assert_int_equal(sl_result_decode(it.bytes, it.size, it.arena, &result, &it.used, &it.why),
                         SL_DECODE_BAD);
    }
}

static void arena_keeps_what_it_gave(void **state)
{
    (void)state;
    char *texts[2000], text[64];
    for (int i = 0; i < 2000; i++) {
        int size = snprintf(text, sizeof text, "%d", i);
        texts[i] = sl_arena_copy(it.arena, text, (size_t)size);
        assert_non_null(texts[i]);
        void *room = sl_arena_alloc(it.arena, (size_t)i);
        assert_non_null(room);
        assert_int_equal((uintptr_t)room % _Alignof(max_align_t), 0);
        memset(room, 0xff, (size_t)i);
    }
    for (int i = 0; i < 2000; i++)
        assert_int_equal(atoi(texts[i]), i);
    assert_null(sl_arena_alloc(it.arena, SIZE_MAX));
    assert_null(sl_arena_copy(it.arena, "", SIZE_MAX));
}

/* clang-format off */
CASES_MAIN(
    cmocka_unit_test_setup_teardown(minimal_record, setup, teardown),
    cmocka_unit_test_setup_teardown(full_record, setup, teardown),
    cmocka_unit_test_setup_teardown(null_value_and_no_key, setup, teardown),
    cmocka_unit_test_setup_teardown(foreign_record, setup, teardown),
    cmocka_unit_test_setup_teardown(a_foreign_record_may_have_more_beside_its_payload, setup, teardown),
    cmocka_unit_test_setup_teardown(a_foreign_record_may_have_very_many_headers, setup, teardown),
    cmocka_unit_test_setup_teardown(data_handle_record, setup, teardown),
    cmocka_unit_test_setup_teardown(values_point_into_the_input, setup, teardown),
    cmocka_unit_test_setup_teardown(every_truncation_wants_more, setup, teardown),
    cmocka_unit_test_setup_teardown(a_sequence_is_taken_record_by_record, setup, teardown),
    cmocka_unit_test_setup_teardown(unknown_keys_are_passed_over, setup, teardown),
    cmocka_unit_test_setup_teardown(indefinite_maps_and_arrays_are_taken, setup, teardown),
    cmocka_unit_test_setup_teardown(indefinite_strings_are_refused, setup, teardown),
    cmocka_unit_test_setup_teardown(what_is_malformed_is_bad, setup, teardown),
    cmocka_unit_test_setup_teardown(what_is_out_of_range_is_bad, setup, teardown),
    cmocka_unit_test_setup_teardown(huge_claims_are_bad_at_once, setup, teardown),
    cmocka_unit_test_setup_teardown(nesting_has_a_bound, setup, teardown),
    cmocka_unit_test_setup_teardown(a_record_without_end_is_refused, setup, teardown),
    cmocka_unit_test_setup_teardown(a_full_buffer_is_left_alone, setup, teardown),
    cmocka_unit_test_setup_teardown(results, setup, teardown),
    cmocka_unit_test_setup_teardown(broken_results_are_bad, setup, teardown),
    cmocka_unit_test_setup_teardown(arena_keeps_what_it_gave, setup, teardown))
