/* Any bytes as what a Kafka broker answers to the gateway's own client: what is read of them is text in those
 * bytes, and numbers; and what SCRAM's server says. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/broker/wire_requests.h"
#include "gateway/broker/wire_sasl.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_acls(struct gw_wire_reader *reader)
{
    struct gw_acl_set set = {0};
    gw_wire_read_acls(reader, &set);
    gw_acl_set_finish(&set);
    for (size_t i = 0; i < set.count; i++)
        if (!gw_acl_set_has(&set, &set.list[i]) || !gw_acl_resource_text(set.list[i].resource) ||
            !gw_acl_operation_text(set.list[i].operation))
            abort(); /* what the fuzzer looks for */
    gw_acl_set_free(&set);
}

static void check_quotas(struct gw_wire_reader *reader)
{
    struct gw_quota_set set = {0}, none = {0}, change = {0};
    gw_wire_read_quotas(reader, &set);
    gw_quota_set_finish(&set);
    gw_quota_set_change(&change, &set, &none);
    if (!set.failed && !change.failed && change.count != set.count)
        abort();
    gw_quota_set_free(&set);
    gw_quota_set_free(&change);
}

/* As many places as there are brokers. */
static void check_brokers(struct gw_wire_reader *reader)
{
    struct sl_buffer places;
    int count = 0;
    sl_buffer_init(&places, 65536);
    gw_wire_read_brokers(reader, &places, &count);
    int found = places.size > 0;
    for (size_t i = 0; i < places.size; i++) {
        unsigned char byte = (unsigned char)places.data[i];
        found += byte == ',';
        if (byte <= ' ' || byte == 0x7f)
            abort();
    }
    if (!reader->failed && !places.failed && found != count)
        abort();
    sl_buffer_free(&places);
}

static void check_scram(const char *said, size_t size)
{
    struct gw_scram scram;
    struct sl_buffer out;
    sl_buffer_init(&out, 65536);
    if (gw_scram_begin(&scram, "SCRAM-SHA-256", "u", "p", "n", &out)) {
        gw_scram_answer(&scram, said, size, &out);
        gw_scram_verify(&scram, said, size);
    }
    gw_scram_end(&scram);
    sl_buffer_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int kind = 0; size && kind < 8; kind++) {
        unsigned char *bytes = malloc(size);
        if (!bytes)
            return 0;
        memcpy(bytes, data, size);
        struct gw_wire_reader reader = {bytes, bytes + size, false};
        struct sl_buffer text;
        const void *said = NULL;
        size_t said_size = 0;
        sl_buffer_init(&text, 65536);
        if (kind == 0)
            check_acls(&reader);
        else if (kind == 1)
            check_quotas(&reader);
        else if (kind == 2)
            gw_wire_read_made(&reader);
        else if (kind == 3)
            gw_wire_read_taken(&reader);
        else if (kind == 4)
            gw_wire_read_quotas_set(&reader);
        else if (kind == 5)
            check_brokers(&reader);
        else if (kind == 6)
            gw_wire_read_handshake(&reader, &text);
        else
            gw_wire_read_authenticate(&reader, &said, &said_size);
        if (reader.at < bytes || reader.at > reader.end ||
            (said &&
             ((const unsigned char *)said < bytes || (const unsigned char *)said + said_size > bytes + size)))
            abort();
        sl_buffer_free(&text);
        free(bytes);
    }
    check_scram((const char *)data, size);
    return 0;
}
