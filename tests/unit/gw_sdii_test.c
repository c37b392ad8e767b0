/* The reader of SDII lists: what is one, what is not, and that what it takes is bounded and given back. */
#include "support/cases.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/api/sdii_list.h"

/* What is counted of the memory that is shared. */
struct budget {
    size_t left, taken, most;
};

static bool reserve(void *opaque, size_t bytes)
{
    struct budget *budget = opaque;
    if (bytes > budget->left)
        return false;
    budget->left -= bytes;
    budget->taken += bytes;
    if (budget->taken > budget->most)
        budget->most = budget->taken;
    return true;
}

static void release(void *opaque, size_t bytes)
{
    struct budget *budget = opaque;
    assert_true(bytes <= budget->taken);
    budget->left += bytes;
    budget->taken -= bytes;
}

static struct budget budget;
static const struct gw_sdii_limits limits = {
    .max_messages = 100, .max_message = 1 << 20, .reserve = reserve, .release = release, .opaque = &budget};

/* In memory of that size, so that a sanitizer sees what is read behind it. */
static enum gw_sdii_fault read_list(const void *bytes, size_t size, const struct gw_sdii_limits *use,
                                    struct gw_sdii_list **list, char text[GW_SDII_TEXT_MAX])
{
    char *exact = malloc(size ? size : 1);
    assert_non_null(exact);
    memcpy(exact, bytes, size);
    budget = (struct budget){.left = (size_t)256 << 20};
    enum gw_sdii_fault fault = gw_sdii_list_read(size ? exact : NULL, size, use, list, text);
    free(exact);
    assert_true(!fault == (*list != NULL));
    if (fault)
        assert_int_equal(budget.taken, 0);
    return fault;
}

/* In the shape of the datum that HERE's SDK for C++ tests with: 105 bytes, one message of 103, an envelope of
 * 52 and a path of 47. */
static size_t make_datum(unsigned char out[105])
{
    static const char version[] = "\x0a\x05"
                                  "3.3.2"
                                  "\x12\x2b";
    unsigned char *to = out;
    memcpy(to, "\x0a\x67\x0a\x34", 4);
    to += 4;
    memcpy(to, version, sizeof version - 1);
    memset(to + sizeof version - 1, 's', 0x2b);
    to += 0x34;
    memcpy(to, "\x12\x2f\x0a\x2d\x09\0\0\0\0\0\0\x4a\x40\x11\0\0\0\0\0\0\x2a\x40\x1a\x19", 24);
    memset(to + 24, 'p', 0x19);
    return 105;
}

static void the_real_datum(void **state)
{
    (void)state;
    unsigned char datum[105];
    char text[GW_SDII_TEXT_MAX];
    struct gw_sdii_list *list;
    size_t size = make_datum(datum), got;
    if (read_list(datum, size, &limits, &list, text))
        fail_msg("%s", text);
    assert_int_equal(gw_sdii_list_count(list), 1);
    const void *message = gw_sdii_list_message(list, 0, &got);
    assert_int_equal(got, 0x67);
    assert_memory_equal(message, datum + 2, 0x67);
    gw_sdii_list_free(&list);
    assert_null(list);
    assert_int_equal(budget.taken, 0);
    for (size_t part = 1; part < size; part++) /* cut anywhere */
        assert_int_equal(read_list(datum, part, &limits, &list, text), GW_SDII_MALFORMED);
}

#define GOOD    "\x0a\x04\x0a\x00\x12\x00"                 /* an empty envelope and path */
#define MESSAGE "\x0a\x08\x0a\x02\x08\x01\x12\x02\x08\x02" /* with a field in each */
#define LIST(text, count)                                                                                    \
    {                                                                                                        \
        text, sizeof(text) - 1, count, NULL                                                                  \
    }
#define BAD(text, why)                                                                                       \
    {                                                                                                        \
        text, sizeof(text) - 1, 0, why                                                                       \
    }

static const struct row {
    const char *bytes;
    size_t size, count;
    const char *why; /* NULL: it is a list of count messages */
} rows[] = {
    LIST("", 0),
    LIST(GOOD, 1),
    LIST(GOOD MESSAGE GOOD, 3),
    LIST("\x0a\x04\x12\x00\x0a\x00", 1),                         /* path first */
    LIST("\x0a\x06\x0a\x00\x12\x00\x18\x05", 1),                 /* a field that we do not know */
    LIST("\x0a\x08\x0a\x00\x12\x00\xc2\xa3\x09\x00", 1),         /* of number 19000, which is reserved */
    LIST("\x0a\x0a\x0a\x00\x12\x00\xf8\xff\xff\xff\x0f\x00", 1), /* the largest number there is */
    LIST("\x0a\x84\x00\x0a\x00\x12\x00", 1),                     /* a length of more bytes than it needs */
    BAD("text", "not protobuf"),
    BAD("{\"messages\":[]}", "not protobuf"),
    BAD("\x0a", "not protobuf"),                                                 /* no length */
    BAD("\x0a\x05\x0a\x00\x12\x00", "not protobuf"),                             /* longer than there is */
    BAD("\x0a\xff\xff\xff\xff\x0f", "not protobuf"),                             /* of 4 GiB */
    BAD("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "not protobuf"),         /* of -1 */
    BAD("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "not protobuf"), /* of no number */
    BAD(GOOD "\x0a", "not protobuf"),                                            /* bytes left over */
    BAD(GOOD "\x00", "not protobuf"),
    BAD("\x0b\x0c", "not protobuf"),  /* a group */
    BAD(GOOD "\x0c", "not protobuf"), /* the end of one */
    BAD("\x0e\x00", "not protobuf"),  /* wire types that there are not */
    BAD("\x0f\x00", "not protobuf"),
    BAD("\x08\x01", "not protobuf"), /* field 1, a number */
    BAD("\x0d\x00\x00\x00\x00", "not protobuf"),
    BAD("\x80\x80\x80\x80\x80\x80\x00", "not protobuf"), /* a tag that does not end */
    BAD("\x02\x00", "not protobuf"),
    BAD(GOOD "\x12\x00", "has a field 2"), /* a message by itself looks so */
    BAD("\x0a\x00", "envelope (field 1) and a path (field 2)"),
    BAD(GOOD "\x0a\x02\x0a\x00", "message 1 of the list"),            /* no path */
    BAD("\x0a\x02\x12\x00", "message 0 of the list"),                 /* no envelope */
    BAD("\x0a\x04\x0a\x01\x12\x00", "message 0 of the list"),         /* an envelope over the message's end */
    BAD("\x0a\x04\x08\x00\x12\x00", "message 0 of the list"),         /* an envelope that is a number */
    BAD("\x0a\x06\x0a\x00\x12\x00\x02\x00", "message 0 of the list"), /* a field 0 */
    BAD("\x0a\x06\x0a\x00\x12\x00\x1b\x1c", "message 0 of the list"), /* a group */
    BAD("\x0a\x0a\x0a\x00\x12\x00\xfa\xff\xff\xff\x7f\x00", "message 0 of the list"), /* no field number */
    BAD("\x0a\x05\x0a\x01\x61\x12\x00", "envelope (field 1) is not protobuf"),
    BAD("\x0a\x05\x0a\x00\x12\x01\x61", "path (field 2) is not protobuf"),
};

static void what_is_a_list_and_what_is_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[GW_SDII_TEXT_MAX];
        struct gw_sdii_list *list;
        enum gw_sdii_fault fault = read_list(rows[i].bytes, rows[i].size, &limits, &list, text);
        if (fault != (rows[i].why ? GW_SDII_MALFORMED : GW_SDII_READ) ||
            (fault && !strstr(text, rows[i].why)) || (!fault && gw_sdii_list_count(list) != rows[i].count))
            fail_msg("row %zu: %d, %s", i, (int)fault, text);
        gw_sdii_list_free(&list);
        assert_int_equal(budget.taken, 0);
    }
}

static void limits_are_told_apart(void **state)
{
    (void)state;
    char text[GW_SDII_TEXT_MAX], many[101 * (sizeof GOOD - 1)];
    struct gw_sdii_list *list;
    for (size_t i = 0; i < 101; i++)
        memcpy(many + i * (sizeof GOOD - 1), GOOD, sizeof GOOD - 1);
    assert_int_equal(read_list(many, sizeof many - (sizeof GOOD - 1), &limits, &list, text), GW_SDII_READ);
    assert_int_equal(gw_sdii_list_count(list), 100);
    gw_sdii_list_free(&list);
    assert_int_equal(read_list(many, sizeof many, &limits, &list, text), GW_SDII_TOO_MANY);
    assert_non_null(strstr(text, "100"));
    struct gw_sdii_limits small = limits;
    small.max_message = 8;
    assert_int_equal(read_list(GOOD MESSAGE, sizeof(GOOD MESSAGE) - 1, &small, &list, text), GW_SDII_READ);
    gw_sdii_list_free(&list);
    small.max_message = 7;
    assert_int_equal(read_list(GOOD MESSAGE, sizeof(GOOD MESSAGE) - 1, &small, &list, text),
                     GW_SDII_TOO_LARGE);
    assert_non_null(strstr(text, "message 1 of the list has 8 bytes, more than 7"));
    budget = (struct budget){.left = 1000};
    assert_int_equal(gw_sdii_list_read(many, sizeof many, &limits, &list, text), GW_SDII_NO_ROOM);
    assert_int_equal(budget.taken, 0);
}

/* Bodies of the smallest fields, in the list and in a message: reading them takes many times their size. */
static void what_reading_takes_is_bounded(void **state)
{
    (void)state;
    size_t size = (size_t)4 << 20;
    char *body = malloc(size), text[GW_SDII_TEXT_MAX];
    assert_non_null(body);
    struct gw_sdii_list *list;
    static const char field[][2] = {{'\x0a', 0}, {'\x12', 0}, {'\x10', 0}};
    for (size_t i = 0; i < 3; i++) {
        for (size_t k = 0; k < size; k += 2)
            memcpy(body + k, field[i], 2);
        assert_int_equal(read_list(body, size, &limits, &list, text), GW_SDII_TOO_MANY);
        assert_true(budget.most < size + ((size_t)2 << 20));
    }
    size_t inner = (size_t)1 << 20;
    memcpy(body, "\x0a\x80\x80\x40\x0a\x00\x12\x00", 8);
    for (size_t k = 8; k < inner + 4; k += 2)
        memcpy(body + k, "\x18\x00", 2);
    assert_int_equal(read_list(body, inner + 4, &limits, &list, text), GW_SDII_TOO_MANY);
    assert_non_null(strstr(text, "message 0"));
    assert_true(budget.most < inner + ((size_t)3 << 20));
    free(body);
}

CASES_MAIN(cmocka_unit_test(the_real_datum), cmocka_unit_test(what_is_a_list_and_what_is_not),
           cmocka_unit_test(limits_are_told_apart), cmocka_unit_test(what_reading_takes_is_bounded))
