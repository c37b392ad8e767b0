#include "fake_kafka.h"

#include "support/cases.h"

#include "base/text.h"
#include "gateway/broker/wire_codec.h"
#include "gateway/broker/wire_link.h"

#include <arpa/inet.h>
#include <unistd.h>

#define QUESTION_MAX 65536

enum {
    METADATA = 3,
    SASL_HANDSHAKE = 17,
    DESCRIBE_ACLS = 29,
    CREATE_ACLS = 30,
    DELETE_ACLS = 31,
    SASL_AUTHENTICATE = 36,
    DESCRIBE_QUOTAS = 48,
    ALTER_QUOTAS = 49
};

/* Kafka's numbers of what the gateway writes. */
static const int8_t resources[] = {
    [GW_ACL_TOPIC] = 2, [GW_ACL_GROUP] = 3, [GW_ACL_CLUSTER] = 4, [GW_ACL_TRANSACTIONAL_ID] = 5};
enum { ANY = 1, READ = 3, WRITE = 4, LITERAL = 3, PREFIXED = 4, DENY = 2, ALLOW = 3, FORBIDDEN = 31 };

static bool read_all(int connection, void *to, size_t size)
{
    size_t got = 0;
    for (ssize_t count; got < size; got += (size_t)count)
        if ((count = read(connection, (char *)to + got, size - got)) <= 0)
            return false;
    return true;
}

static void put_verdict(struct sl_buffer *out, bool forbidden)
{
    gw_wire_put_int16(out, forbidden ? FORBIDDEN : 0);
    gw_wire_put_text(out, NULL);
}

static void put_acls(struct sl_buffer *out, const struct gw_acl *list, size_t count)
{
    gw_wire_put_int32(out, (int32_t)count);
    for (size_t i = 0; i < count; i++) {
        const struct gw_acl *acl = &list[i];
        gw_wire_put_int8(out, resources[acl->resource]);
        gw_wire_put_text(out, acl->name);
        gw_wire_put_int8(out, acl->prefixed ? PREFIXED : LITERAL);
        gw_wire_put_int32(out, 1);
        gw_wire_put_text(out, acl->principal);
        gw_wire_put_text(out, acl->host);
        gw_wire_put_int8(out, acl->operation == GW_ACL_READ ? READ : WRITE);
        gw_wire_put_int8(out, acl->allow ? ALLOW : DENY);
    }
}

/* resource: Kafka's number, which was read already. */
static struct gw_acl read_acl(struct gw_wire_reader *question, int8_t resource)
{
    struct gw_acl acl = {.resource = GW_ACL_TOPIC};
    while (resources[acl.resource] != resource)
        acl.resource++;
    acl.name = gw_wire_present_text(question);
    acl.prefixed = gw_wire_int8(question) == PREFIXED;
    acl.principal = gw_wire_present_text(question);
    acl.host = gw_wire_present_text(question);
    acl.operation = gw_wire_int8(question) == READ ? GW_ACL_READ : GW_ACL_WRITE;
    acl.allow = gw_wire_int8(question) == ALLOW;
    return acl;
}

/* Of one list, or of all. */
static void describe_acls(struct fake_kafka *kafka, struct gw_wire_reader *question, struct sl_buffer *out)
{
    int8_t resource = gw_wire_int8(question);
    gw_wire_put_int32(out, 0);
    put_verdict(out, kafka->forbids_looking);
    if (resource == ANY) {
        put_acls(out, kafka->acls.list, kafka->acls.count);
        return;
    }
    const struct gw_acl acl = read_acl(question, resource);
    if (kafka->first)
        pthread_mutex_lock(&kafka->first->lock);
    bool found = gw_acl_set_has(kafka->first ? &kafka->first->acls : &kafka->acls, &acl);
    if (kafka->first)
        pthread_mutex_unlock(&kafka->first->lock);
    if (kafka->behind > 0) {
        kafka->behind--;
        found = !found;
    }
    put_acls(out, &acl, found);
}

static void change_acls(struct fake_kafka *kafka, bool make, struct gw_wire_reader *question,
                        struct sl_buffer *out)
{
    size_t count = gw_wire_count(question);
    struct gw_acl_set told = {0}, left = {0};
    gw_wire_put_int32(out, 0);
    gw_wire_put_int32(out, (int32_t)count);
    for (size_t i = 0; i < count; i++) {
        const struct gw_acl acl = read_acl(question, gw_wire_int8(question));
        gw_acl_set_add(make ? &kafka->acls : &told, &acl);
        put_verdict(out, false);
        if (!make)
            gw_wire_put_int32(out, 0);
    }
    gw_acl_set_finish(&kafka->acls);
    gw_acl_set_finish(&told);
    gw_acl_set_minus(&left, &kafka->acls, &told);
    gw_acl_set_free(&kafka->acls);
    gw_acl_set_free(&told);
    kafka->acls = left;
}

static void describe_quotas(struct fake_kafka *kafka, struct sl_buffer *out)
{
    gw_wire_put_int32(out, 0);
    put_verdict(out, kafka->forbids_quotas);
    gw_wire_put_int32(out, (int32_t)kafka->quotas.count);
    for (size_t i = 0; i < kafka->quotas.count; i++) {
        const struct gw_quota *quota = &kafka->quotas.list[i];
        gw_wire_put_int32(out, quota->client ? 2 : 1);
        gw_wire_put_text(out, "user");
        gw_wire_put_text(out, quota->user);
        if (quota->client) {
            gw_wire_put_text(out, "client-id");
            gw_wire_put_text(out, quota->client);
        }
        gw_wire_put_int32(out, 2);
        gw_wire_put_text(out, "producer_byte_rate");
        gw_wire_put_double(out, quota->in);
        gw_wire_put_text(out, "consumer_byte_rate");
        gw_wire_put_double(out, quota->out);
    }
}

/* The last that was said of a user's client counts. */
static void set_quota(struct fake_kafka *kafka, const struct gw_quota *quota)
{
    struct gw_quota *there =
        (struct gw_quota *)(uintptr_t)gw_quota_find(&kafka->quotas, quota->user, quota->client);
    if (there) {
        there->in = quota->in;
        there->out = quota->out;
    } else {
        gw_quota_set_insert(&kafka->quotas, quota);
    }
    gw_quota_set_prune(&kafka->quotas);
}

static void alter_quotas(struct fake_kafka *kafka, struct gw_wire_reader *question, struct sl_buffer *out)
{
    size_t count = gw_wire_count(question);
    gw_wire_put_int32(out, 0);
    gw_wire_put_int32(out, (int32_t)count);
    for (size_t i = 0; i < count; i++) {
        struct gw_quota quota = {0};
        for (size_t parts = gw_wire_count(question); parts; parts--) {
            bool user = !strcmp(gw_wire_present_text(question), "user");
            *(user ? &quota.user : &quota.client) = gw_wire_present_text(question);
        }
        for (size_t rates = gw_wire_count(question); rates; rates--) {
            bool in = !strcmp(gw_wire_present_text(question), "producer_byte_rate");
            double rate = gw_wire_double(question);
            *(in ? &quota.in : &quota.out) = gw_wire_int8(question) ? 0 : rate;
        }
        if (!kafka->forbids_quotas)
            set_quota(kafka, &quota);
        put_verdict(out, kafka->forbids_quotas);
        gw_wire_put_int32(out, 0);
    }
}

static void put_broker(struct sl_buffer *out, int number, int port)
{
    gw_wire_put_int32(out, number);
    gw_wire_put_text(out, "localhost");
    gw_wire_put_int32(out, port);
    gw_wire_put_text(out, NULL); /* rack */
}

static void answer(struct fake_kafka *kafka, int16_t api, struct gw_wire_reader *question,
                   struct sl_buffer *out)
{
    switch (api) {
    case METADATA:
        gw_wire_put_int32(out, kafka->also + (kafka->second ? 2 : 1));
        for (int i = 0; i < kafka->also; i++)
            put_broker(out, 2 + i, kafka->also_port);
        put_broker(out, 0, kafka->port);
        if (kafka->second)
            put_broker(out, 1, kafka->second->port);
        break;
    case SASL_HANDSHAKE:
        gw_wire_put_int16(out, 0);
        gw_wire_put_int32(out, 0);
        break;
    case SASL_AUTHENTICATE:
        put_verdict(out, false);
        gw_wire_put_bytes(out, "", 0);
        break;
    case DESCRIBE_ACLS:
        describe_acls(kafka, question, out);
        break;
    case DESCRIBE_QUOTAS:
        describe_quotas(kafka, out);
        break;
    case ALTER_QUOTAS:
        alter_quotas(kafka, question, out);
        break;
    default:
        change_acls(kafka, api == CREATE_ACLS, question, out);
    }
}

static bool serve_one(struct fake_kafka *kafka, int connection, unsigned char *bytes)
{
    if (!read_all(connection, bytes, 4))
        return false;
    struct gw_wire_reader size = {bytes, bytes + 4, false};
    int32_t left = gw_wire_int32(&size);
    if (left < 10 || left > QUESTION_MAX || !read_all(connection, bytes, (size_t)left))
        return false;
    struct gw_wire_reader question = {bytes, bytes + left, false};
    int16_t api = gw_wire_int16(&question);
    gw_wire_int16(&question);
    int32_t call = gw_wire_int32(&question);
    gw_wire_text(&question); /* the client's id */
    struct sl_buffer body, out;
    sl_buffer_init(&body, QUESTION_MAX);
    sl_buffer_init(&out, QUESTION_MAX);
    pthread_mutex_lock(&kafka->lock);
    answer(kafka, api, &question, &body);
    pthread_mutex_unlock(&kafka->lock);
    bool too_long = api == DESCRIBE_ACLS && kafka->too_long;
    gw_wire_put_int32(&out, too_long ? GW_WIRE_ANSWER_MAX + 1 : (int32_t)body.size + 4);
    gw_wire_put_int32(&out, call);
    sl_buffer_append(&out, body.data, body.size);
    bool good = !out.failed && write(connection, out.data, out.size) == (ssize_t)out.size;
    sl_buffer_free(&body);
    sl_buffer_free(&out);
    return good;
}

static void *run(void *opaque)
{
    struct fake_kafka *kafka = opaque;
    unsigned char bytes[QUESTION_MAX];
    for (int connection; (connection = accept(kafka->listener, NULL, NULL)) >= 0; close(connection)) {
        kafka->connections++;
        while (serve_one(kafka, connection, bytes))
            continue;
    }
    return NULL;
}

void fake_kafka_start(struct fake_kafka *kafka)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    pthread_mutex_init(&kafka->lock, NULL);
    kafka->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(kafka->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(kafka->listener, 10), 0);
    assert_int_equal(getsockname(kafka->listener, (struct sockaddr *)&address, &size), 0);
    kafka->port = ntohs(address.sin_port);
    if (!kafka->silent)
        assert_int_equal(pthread_create(&kafka->thread, NULL, run, kafka), 0);
}

void fake_kafka_stop(struct fake_kafka *kafka)
{
    shutdown(kafka->listener, SHUT_RDWR);
    if (!kafka->silent)
        pthread_join(kafka->thread, NULL);
    close(kafka->listener);
    pthread_mutex_destroy(&kafka->lock);
    gw_acl_set_free(&kafka->acls);
    gw_quota_set_free(&kafka->quotas);
}

size_t fake_kafka_acls(struct fake_kafka *kafka)
{
    pthread_mutex_lock(&kafka->lock);
    size_t count = kafka->acls.count;
    pthread_mutex_unlock(&kafka->lock);
    return count;
}

size_t fake_kafka_quotas(struct fake_kafka *kafka)
{
    pthread_mutex_lock(&kafka->lock);
    size_t count = kafka->quotas.count;
    pthread_mutex_unlock(&kafka->lock);
    return count;
}

void fake_kafka_broker(const struct fake_kafka *kafka, sl_config *config, struct gw_broker *broker)
{
    *broker = (struct gw_broker){.cluster = (char *)(uintptr_t)GW_CLUSTER_DEFAULT,
                                 .root = (char *)(uintptr_t) "streamlayer.gateway.kafka",
                                 .config = config,
                                 .own.brokers = sl_printf("127.0.0.1:%d", kafka->port)};
    assert_non_null(broker->own.brokers);
    pthread_mutex_init(&broker->trouble_lock, NULL);
}

void fake_kafka_broker_free(struct gw_broker *broker)
{
    gw_access_data_free(&broker->own);
    pthread_mutex_destroy(&broker->trouble_lock);
}
