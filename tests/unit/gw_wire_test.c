/* Kafka's wire format as the gateway speaks it itself: fields, requests, SASL. With a Kafka:
 * tests/integration/secure_test.py; hostile answers: tests/fuzz/kafka_wire_fuzz.c. */
#include "support/cases.h"

#include "gateway/broker/wire_requests.h"
#include "gateway/broker/wire_sasl.h"

#include <string.h>

static struct gw_wire_reader over(struct sl_buffer *bytes)
{
    unsigned char *data = (unsigned char *)bytes->data;
    return (struct gw_wire_reader){data, data + bytes->size, false};
}

static struct sl_buffer buffer(void)
{
    struct sl_buffer made;
    sl_buffer_init(&made, 1 << 20);
    return made;
}

static void fields_come_back(void **state)
{
    (void)state;
    struct sl_buffer bytes = buffer();
    size_t size;
    gw_wire_put_int8(&bytes, -2);
    gw_wire_put_int16(&bytes, -300);
    gw_wire_put_int32(&bytes, -70000);
    gw_wire_put_double(&bytes, 46080.5);
    gw_wire_put_text(&bytes, "topic");
    gw_wire_put_text(&bytes, NULL);
    gw_wire_put_text(&bytes, "");
    gw_wire_put_bytes(&bytes, "\0x", 2);
    gw_wire_put_text(&bytes, "last");
    struct gw_wire_reader reader = over(&bytes);
    assert_int_equal(gw_wire_int8(&reader), -2);
    assert_int_equal(gw_wire_int16(&reader), -300);
    assert_int_equal(gw_wire_int32(&reader), -70000);
    assert_true(gw_wire_double(&reader) == 46080.5);
    const char *topic = gw_wire_text(&reader);
    assert_null(gw_wire_text(&reader));
    assert_string_equal(gw_wire_text(&reader), "");
    assert_memory_equal(gw_wire_bytes(&reader, &size), "\0x", 2);
    assert_int_equal(size, 2);
    assert_string_equal(gw_wire_present_text(&reader), "last");
    assert_string_equal(topic, "topic"); /* it stays, whatever was read behind it */
    assert_false(reader.failed);
    gw_wire_int8(&reader);
    assert_true(reader.failed);
    sl_buffer_free(&bytes);
}

static void the_form_is_kafkas(void **state)
{
    (void)state;
    static const unsigned char wanted[] =
        {
            0,   0,   0,   1, /* one entry */
            0,   0,   0,   2, /* of two parts */
            0,   4,   'u', 's', 'e', 'r',  0,    1,   'a', 0,   9,   'c', 'l', 'i', 'e',
            'n', 't', '-', 'i', 'd', 0,    1,    'b', 0,   0,   0,   2, /* two rates: 1, and none */
            0,   18,  'p', 'r', 'o', 'd',  'u',  'c', 'e', 'r', '_', 'b', 'y', 't', 'e',
            '_', 'r', 'a', 't', 'e', 0x3f, 0xf0, 0,   0,   0,   0,   0,   0,   0,   0,
            18,  'c', 'o', 'n', 's', 'u',  'm',  'e', 'r', '_', 'b', 'y', 't', 'e', '_',
            'r', 'a', 't', 'e', 0,   0,    0,    0,   0,   0,   0,   0,   1,   0}; /* not only to try */
    const struct gw_quota quota = {"a", "b", 1, 0};
    struct sl_buffer bytes = buffer();
    gw_wire_set_quotas(&bytes, &quota, 1);
    assert_int_equal(bytes.size, sizeof wanted);
    assert_memory_equal(bytes.data, wanted, sizeof wanted);
    sl_buffer_free(&bytes);
}

static void put_entity(struct sl_buffer *bytes, const char *user, const char *client, bool has_client,
                       double in, double out)
{
    gw_wire_put_int32(bytes, has_client ? 2 : 1);
    gw_wire_put_text(bytes, "user");
    gw_wire_put_text(bytes, user);
    if (has_client) {
        gw_wire_put_text(bytes, "client-id");
        gw_wire_put_text(bytes, client);
    }
    gw_wire_put_int32(bytes, 3);
    gw_wire_put_text(bytes, "producer_byte_rate");
    gw_wire_put_double(bytes, in);
    gw_wire_put_text(bytes, "consumer_byte_rate");
    gw_wire_put_double(bytes, out);
    gw_wire_put_text(bytes, "request_percentage");
    gw_wire_put_double(bytes, 50);
}

/* By a comma one place would be two. */
static void brokers_have_hosts(void **state)
{
    (void)state;
    const struct {
        const char *host, *places;
    } rows[] = {{"kafka-1.example.com", "kafka-1.example.com:9092"},
                {"::1", "[::1]:9092"},
                {"a,b", NULL},
                {"a b", NULL},
                {"a\n", NULL},
                {"a\x7f", NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct sl_buffer bytes = buffer(), places = buffer();
        int count = 0;
        gw_wire_put_int32(&bytes, 1);
        gw_wire_put_int32(&bytes, 7);
        gw_wire_put_text(&bytes, rows[i].host);
        gw_wire_put_int32(&bytes, 9092);
        gw_wire_put_text(&bytes, NULL);
        struct gw_wire_reader reader = over(&bytes);
        assert_int_equal(gw_wire_read_brokers(&reader, &places, &count).code, 0);
        assert_int_equal(reader.failed, !rows[i].places);
        if (rows[i].places) {
            assert_int_equal(count, 1);
            assert_string_equal(places.data, rows[i].places);
        }
        sl_buffer_free(&places);
        sl_buffer_free(&bytes);
    }
}

static void quotas_are_read(void **state)
{
    (void)state;
    struct sl_buffer bytes = buffer();
    struct gw_quota_set set = {0};
    gw_wire_put_int32(&bytes, 0);
    gw_wire_put_int16(&bytes, 0);
    gw_wire_put_text(&bytes, NULL);
    gw_wire_put_int32(&bytes, 4);
    put_entity(&bytes, "a", NULL, false, 1024, 2048);
    put_entity(&bytes, "a", "sl-topic", true, 10, 20);
    put_entity(&bytes, "a", NULL, true, 7, 7);   /* of every client id, each by itself */
    put_entity(&bytes, NULL, NULL, false, 8, 8); /* of every user: nobody's in particular */
    struct gw_wire_reader reader = over(&bytes);
    assert_int_equal(gw_wire_read_quotas(&reader, &set).code, 0);
    assert_false(reader.failed);
    gw_quota_set_finish(&set);
    assert_int_equal(set.count, 3);
    assert_true(gw_quota_find(&set, "a", NULL)->out == 2048);
    assert_true(gw_quota_find(&set, "a", "sl-topic")->in == 10);
    assert_true(gw_quota_find(&set, "a", GW_QUOTA_EACH_CLIENT)->in == 7);
    gw_quota_set_free(&set);
    sl_buffer_free(&bytes);
}

static void lists_are_read(void **state)
{
    (void)state;
    struct sl_buffer bytes = buffer();
    struct gw_acl_set set = {0};
    gw_wire_put_int32(&bytes, 0);
    gw_wire_put_int16(&bytes, 0);
    gw_wire_put_text(&bytes, NULL);
    gw_wire_put_int32(&bytes, 1);
    gw_wire_put_int8(&bytes, 5); /* a transactional id */
    gw_wire_put_text(&bytes, "a.");
    gw_wire_put_int8(&bytes, 4); /* what begins so */
    gw_wire_put_int32(&bytes, 2);
    for (int i = 0; i < 2; i++) {
        gw_wire_put_text(&bytes, "User:a");
        gw_wire_put_text(&bytes, "*");
        gw_wire_put_int8(&bytes, i ? 99 : 4);
        gw_wire_put_int8(&bytes, i ? 2 : 3);
    }
    struct gw_wire_reader reader = over(&bytes);
    assert_int_equal(gw_wire_read_acls(&reader, &set).code, 0);
    assert_false(reader.failed);
    assert_true(reader.at == reader.end);
    gw_acl_set_finish(&set);
    const struct gw_acl write = {"User:a", GW_ACL_TRANSACTIONAL_ID, "a.", true, GW_ACL_WRITE, true, "*"};
    const struct gw_acl other = {"User:a", GW_ACL_TRANSACTIONAL_ID, "a.", true, GW_ACL_OTHER, false, "*"};
    assert_int_equal(set.count, 2);
    assert_true(gw_acl_set_has(&set, &write));
    assert_true(gw_acl_set_has(&set, &other));
    gw_acl_set_free(&set);
    sl_buffer_free(&bytes);
}

static void the_first_refusal_counts(void **state)
{
    (void)state;
    struct sl_buffer bytes = buffer();
    gw_wire_put_int32(&bytes, 0);
    gw_wire_put_int32(&bytes, 3);
    gw_wire_put_int16(&bytes, 0);
    gw_wire_put_text(&bytes, NULL);
    gw_wire_put_int16(&bytes, 31);
    gw_wire_put_text(&bytes, "no");
    gw_wire_put_int16(&bytes, 42);
    gw_wire_put_text(&bytes, "neither");
    struct gw_wire_reader reader = over(&bytes);
    struct gw_wire_verdict verdict = gw_wire_read_made(&reader);
    assert_false(reader.failed);
    assert_int_equal(verdict.code, 31);
    assert_string_equal(verdict.text, "no");
    sl_buffer_free(&bytes);
}

/* An answer that ends early, wherever, and one whose numbers promise more than there is. */
static void what_is_cut_short_fails(void **state)
{
    (void)state;
    struct sl_buffer whole = buffer();
    gw_wire_put_int32(&whole, 0);
    gw_wire_put_int16(&whole, 0);
    gw_wire_put_text(&whole, NULL);
    gw_wire_put_int32(&whole, 1);
    put_entity(&whole, "a", "b", true, 1, 2);
    for (size_t size = 0; size < whole.size; size++) {
        struct sl_buffer part = buffer();
        struct gw_quota_set set = {0};
        sl_buffer_append(&part, whole.data, size);
        struct gw_wire_reader reader = over(&part);
        gw_wire_read_quotas(&reader, &set);
        assert_true(reader.failed);
        assert_int_equal(set.count, 0);
        gw_quota_set_free(&set);
        sl_buffer_free(&part);
    }
    whole.data[8] = 0x7f; /* 2130706433 entries */
    struct gw_quota_set set = {0};
    struct gw_wire_reader reader = over(&whole);
    gw_wire_read_quotas(&reader, &set);
    assert_true(reader.failed);
    gw_quota_set_free(&set);
    sl_buffer_free(&whole);
}

/* RFC 7677's example. */
#define SERVER_FIRST "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define SERVER_LAST  "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static void scram_is_the_standards(void **state)
{
    (void)state;
    struct gw_scram scram;
    struct sl_buffer out = buffer();
    assert_true(gw_scram_begin(&scram, "SCRAM-SHA-256", "user", "pencil", "rOprNGfwEbeRWgbNEkqO", &out));
    assert_string_equal(out.data, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
    sl_buffer_reset(&out);
    assert_null(gw_scram_answer(&scram, SERVER_FIRST, strlen(SERVER_FIRST), &out));
    assert_string_equal(out.data, "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                                  "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
    assert_null(gw_scram_verify(&scram, SERVER_LAST, strlen(SERVER_LAST)));
    static const char *const wrong[] = {
        "v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "v=", "e=other-error", ""};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_non_null(gw_scram_verify(&scram, wrong[i], strlen(wrong[i])));
    gw_scram_end(&scram);
    sl_buffer_reset(&out);
    assert_true(gw_scram_begin(&scram, "SCRAM-SHA-512", "a=b,c", "x", "n", &out));
    assert_string_equal(out.data, "n,,n=a=3Db=2Cc,r=n");
    gw_scram_end(&scram);
    assert_false(gw_scram_begin(&scram, "SCRAM-SHA-1", "a", "x", "n", &out));
    gw_scram_end(&scram);
    sl_buffer_free(&out);
}

static void a_scram_server_is_not_believed(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "r=rOprNGfwEbeRWgbNEkqX%hv,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",       /* another nonce */
        "r=rOprNGfwEbeRWgbNEkqO,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",          /* nothing of its own */
        "r=rOprNGfwEbeRWgbNEkqO%hv,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1",          /* easily guessed */
        "r=rOprNGfwEbeRWgbNEkqO%hv,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=2000000000", /* work for hours */
        "r=rOprNGfwEbeRWgbNEkqO%hv,s=?,i=4096",
        "r=rOprNGfwEbeRWgbNEkqO%hv,s=,i=4096",
        "r=rOprNGfwEbeRWgbNEkqO%hv,i=4096",
        "m=ext,r=rOprNGfwEbeRWgbNEkqO%hv,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "r=",
        "",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct gw_scram scram;
        struct sl_buffer out = buffer();
        assert_true(gw_scram_begin(&scram, "SCRAM-SHA-256", "user", "pencil", "rOprNGfwEbeRWgbNEkqO", &out));
        assert_non_null(gw_scram_answer(&scram, wrong[i], strlen(wrong[i]), &out));
        gw_scram_end(&scram);
        sl_buffer_free(&out);
    }
}

CASES_MAIN(cmocka_unit_test(fields_come_back), cmocka_unit_test(the_form_is_kafkas),
           cmocka_unit_test(brokers_have_hosts), cmocka_unit_test(quotas_are_read),
           cmocka_unit_test(lists_are_read), cmocka_unit_test(the_first_refusal_counts),
           cmocka_unit_test(what_is_cut_short_fails), cmocka_unit_test(scram_is_the_standards),
           cmocka_unit_test(a_scram_server_is_not_believed))
