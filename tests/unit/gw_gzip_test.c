#include "support/cases.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/api/failures.h"
#include "gateway/api/ingest.h"
#include "wire/gzip_header.h"

/* Nothing, as gzip -n writes it. */
#define EMPTY       "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"
#define HEAD(flags) "\x1f\x8b\x08" flags "\x00\x00\x00\x00\x00\x03"
#define REST        "\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"

struct row {
    const char *bytes;
    size_t size;
    const char *fault; /* NULL: it is gzip, as far as can be seen */
};
#define ROW(text, fault)                                                                                     \
    {                                                                                                        \
        (text), sizeof(text) - 1, (fault)                                                                    \
    }

/* In memory of that size, so that a sanitizer sees what is read behind it. */
static const char *fault_of(const char *bytes, size_t size, bool whole)
{
    char *exact = malloc(size ? size : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, size);
    const char *fault = sl_gzip_fault(size ? exact : NULL, size, whole);
    free(exact);
    return fault;
}

static void what_is_whole(void **state)
{
    (void)state;
    static const struct row rows[] = {
        ROW(EMPTY, NULL),
        ROW("", "shorter"),
        ROW("\x1f\x8b\x08", "shorter"),
        ROW("text, and not gzip at all", "1f 8b"),
        ROW("\x1f\x8c\x08\x00\x00\x00\x00\x00\x00\x03" REST, "1f 8b"),
        ROW("\x1f\x8b\x07\x00\x00\x00\x00\x00\x00\x03" REST, "method"),
        ROW(HEAD("\x20") REST, "reserved"),
        ROW(HEAD("\x80") REST, "reserved"),
        ROW(HEAD("\x01") REST, NULL), /* FTEXT */
        ROW(HEAD("\x04") "\x02\x00xx" REST, NULL),
        ROW(HEAD("\x04") "\x03\x00xx" REST, "ends within"),
        ROW(HEAD("\x04") "\xff\xff" REST, "ends within"),
        ROW(HEAD("\x08") "name\0" REST, NULL),
        ROW(HEAD("\x08") "name"
                         "\x03\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01",
            "ends within"),
        ROW(HEAD("\x10") "comment\0" REST, NULL),
        ROW(HEAD("\x18") "name\0comment\0" REST, NULL),
        ROW(HEAD("\x18") "name\0\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01", "ends within"),
        ROW(HEAD("\x02") "cc" REST, NULL),
        ROW(HEAD("\x02") REST, "ends within"),
        ROW(HEAD("\x1e") "\x01\x00x"
                         "name\0"
                         "comment\0"
                         "cc" REST,
            NULL),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *fault = fault_of(rows[i].bytes, rows[i].size, true);
        if (!fault != !rows[i].fault || (fault && !strstr(fault, rows[i].fault)))
            fail_msg("row %zu: %s", i, fault ? fault : "no fault");
    }
    for (size_t size = 0; size < sizeof EMPTY - 1; size++)
        assert_non_null(fault_of(EMPTY, size, true));
}

static void what_is_a_beginning(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof EMPTY; size++)
        assert_null(fault_of(EMPTY, size, false));
    for (size_t size = 0; size < 4; size++) { /* what lies behind is not its own */
        char bytes[4] = "\x1f\x8b\x08";
        bytes[size] = '\xff';
        assert_null(fault_of(bytes, size, false));
    }
    static const struct row rows[] = {
        ROW("t", "1f 8b"),
        ROW("\x1f\x8c", "1f 8b"),
        ROW("\x1f\x8b\x00", "method"),
        ROW("\x1f\x8b\x08\x40", "reserved"),
        ROW(HEAD("\x08") "a name that goes o", NULL),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *fault = fault_of(rows[i].bytes, rows[i].size, false);
        if (!fault != !rows[i].fault || (fault && !strstr(fault, rows[i].fault)))
            fail_msg("row %zu: %s", i, fault ? fault : "no fault");
    }
}

/* Results of a batch have no more room for the text. */
static void texts_say_what_to_do_and_fit(void **state)
{
    (void)state;
    static const struct row rows[] = {
        ROW("", ""),
        ROW("text", ""),
        ROW("\x1f\x8b\x07", ""),
        ROW("\x1f\x8b\x08\x20", ""),
        ROW(HEAD("\x04") "\xff\xff" REST, ""),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *fault = fault_of(rows[i].bytes, rows[i].size, true);
        assert_non_null(fault);
        assert_non_null(strstr(fault, "compress it"));
        assert_true(strlen(fault) <= 200);
    }
}

static void messages_of_layers_with_gzip(void **state)
{
    (void)state;
    const struct gw_layer plain = {.ttl_ms = 3600000},
                          zipped = {.ttl_ms = 3600000, .content_encoding = "gzip"};
    struct sl_message message = {.headers = NULL};
    int http = 0;
    const char *code = NULL;
    sl_message_reset(&message);
    message.payload = "text";
    message.payload_size = 4;
    assert_null(gw_message_fault(&plain, &message, false, &http, &code));
    assert_non_null(gw_message_fault(&zipped, &message, false, &http, &code));
    assert_int_equal(http, 400);
    assert_string_equal(code, "not-gzip");
    message.payload = EMPTY;
    message.payload_size = sizeof EMPTY - 1;
    assert_null(gw_message_fault(&zipped, &message, false, &http, &code));
    message.payload = ""; /* an empty payload is no gzip, and none at all is no payload */
    message.payload_size = 0;
    assert_non_null(gw_message_fault(&zipped, &message, false, &http, &code));
    message.payload = NULL;
    assert_null(gw_message_fault(&zipped, &message, true, &http, &code));
}

CASES_MAIN(cmocka_unit_test(what_is_whole), cmocka_unit_test(what_is_a_beginning),
           cmocka_unit_test(texts_say_what_to_do_and_fit), cmocka_unit_test(messages_of_layers_with_gzip))
