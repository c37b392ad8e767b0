#include "gateway/broker/wire_requests.h"

#include <math.h>
#include <string.h>

const struct gw_wire_api gw_wire_metadata = {3, 1}, gw_wire_sasl_handshake = {17, 1},
                         gw_wire_sasl_authenticate = {36, 1}, gw_wire_describe_acls = {29, 1},
                         gw_wire_create_acls = {30, 1}, gw_wire_delete_acls = {31, 1},
                         gw_wire_describe_quotas = {48, 0}, gw_wire_alter_quotas = {49, 0};

/* Kafka's numbers. */
enum { ANY = 1, PATTERN_LITERAL = 3, PATTERN_PREFIXED = 4, DENY = 2, ALLOW = 3, MATCH_ANY = 2 };

static const int8_t resources[] = {[GW_ACL_TOPIC] = 2,
                                   [GW_ACL_GROUP] = 3,
                                   [GW_ACL_CLUSTER] = 4,
                                   [GW_ACL_TRANSACTIONAL_ID] = 5,
                                   [GW_ACL_UNKNOWN] = 0};
static const int8_t operations[] = {[GW_ACL_ALL] = 2,
                                    [GW_ACL_READ] = 3,
                                    [GW_ACL_WRITE] = 4,
                                    [GW_ACL_CREATE] = 5,
                                    [GW_ACL_DELETE] = 6,
                                    [GW_ACL_ALTER] = 7,
                                    [GW_ACL_DESCRIBE] = 8,
                                    [GW_ACL_CLUSTER_ACTION] = 9,
                                    [GW_ACL_DESCRIBE_CONFIGS] = 10,
                                    [GW_ACL_ALTER_CONFIGS] = 11,
                                    [GW_ACL_IDEMPOTENT_WRITE] = 12,
                                    [GW_ACL_OTHER] = 0};

static enum gw_acl_resource resource_of(int8_t kafka)
{
    enum gw_acl_resource resource = GW_ACL_TOPIC;
    while (resource < GW_ACL_UNKNOWN && resources[resource] != kafka)
        resource++;
    return resource;
}

static enum gw_acl_operation operation_of(int8_t kafka)
{
    enum gw_acl_operation operation = GW_ACL_ALL;
    while (operation < GW_ACL_OTHER && operations[operation] != kafka)
        operation++;
    return operation;
}

/* The first error counts. */
static void judge(struct gw_wire_verdict *verdict, int16_t code, const char *text)
{
    if (code && !verdict->code)
        *verdict = (struct gw_wire_verdict){.code = code, .text = text};
}

static void read_verdict(struct gw_wire_reader *reader, struct gw_wire_verdict *verdict)
{
    int16_t code = gw_wire_int16(reader);
    judge(verdict, code, gw_wire_text(reader));
}

/* --- Brokers --- */

void gw_wire_ask_brokers(struct sl_buffer *out)
{
    gw_wire_put_int32(out, 0); /* of no topic */
}

static bool is_host(const char *host)
{
    for (; *host; host++)
        if (*host == ',' || (unsigned char)*host <= ' ' || *host == 0x7f)
            return false;
    return true;
}

/* False: by that host it would not be one place. */
static bool put_place(struct sl_buffer *places, const char *host, int port)
{
    if (!is_host(host))
        return false;
    bool v6 = strchr(host, ':') != NULL;
    sl_buffer_printf(places, "%s%s%s%s:%d", places->size ? "," : "", v6 ? "[" : "", host, v6 ? "]" : "",
                     port);
    return true;
}

struct gw_wire_verdict gw_wire_read_brokers(struct gw_wire_reader *reader, struct sl_buffer *places,
                                            int *count)
{
    struct gw_wire_verdict verdict = {0};
    size_t brokers = gw_wire_count(reader);
    for (size_t i = 0; i < brokers && !reader->failed; i++) {
        gw_wire_int32(reader); /* its number */
        const char *host = gw_wire_present_text(reader);
        int port = gw_wire_int32(reader);
        gw_wire_text(reader); /* rack */
        if (places && !reader->failed)
            reader->failed = !put_place(places, host, port);
    }
    *count = (int)brokers;
    return verdict;
}

/* --- Access control lists --- */

void gw_wire_ask_acls(struct sl_buffer *out)
{
    gw_wire_put_int8(out, ANY);  /* resource */
    gw_wire_put_text(out, NULL); /* name */
    gw_wire_put_int8(out, ANY);  /* pattern */
    gw_wire_put_text(out, NULL); /* principal */
    gw_wire_put_text(out, NULL); /* host */
    gw_wire_put_int8(out, ANY);  /* operation */
    gw_wire_put_int8(out, ANY);  /* permission */
}

struct gw_wire_verdict gw_wire_read_acls(struct gw_wire_reader *reader, struct gw_acl_set *set)
{
    struct gw_wire_verdict verdict = {0};
    gw_wire_int32(reader); /* throttle time */
    read_verdict(reader, &verdict);
    size_t count = gw_wire_count(reader);
    for (size_t i = 0; i < count && !reader->failed; i++) {
        struct gw_acl acl = {.resource = resource_of(gw_wire_int8(reader))};
        acl.name = gw_wire_present_text(reader);
        acl.prefixed = gw_wire_int8(reader) == PATTERN_PREFIXED;
        size_t lists = gw_wire_count(reader);
        for (size_t j = 0; j < lists && !reader->failed; j++) {
            acl.principal = gw_wire_present_text(reader);
            acl.host = gw_wire_present_text(reader);
            acl.operation = operation_of(gw_wire_int8(reader));
            acl.allow = gw_wire_int8(reader) == ALLOW;
            if (!reader->failed)
                gw_acl_set_add(set, &acl);
        }
    }
    return verdict;
}

static void put_acl(struct sl_buffer *out, const struct gw_acl *acl)
{
    gw_wire_put_int8(out, resources[acl->resource]);
    gw_wire_put_text(out, acl->name);
    gw_wire_put_int8(out, acl->prefixed ? PATTERN_PREFIXED : PATTERN_LITERAL);
    gw_wire_put_text(out, acl->principal);
    gw_wire_put_text(out, acl->host);
    gw_wire_put_int8(out, operations[acl->operation]);
    gw_wire_put_int8(out, acl->allow ? ALLOW : DENY);
}

/* To make one, and to find exactly that one, takes the same fields. */
void gw_wire_ask_acl(struct sl_buffer *out, const struct gw_acl *acl)
{
    put_acl(out, acl);
}

void gw_wire_make_acls(struct sl_buffer *out, const struct gw_acl *list, size_t count)
{
    gw_wire_put_int32(out, (int32_t)count);
    for (size_t i = 0; i < count; i++)
        put_acl(out, &list[i]);
}

void gw_wire_take_acls(struct sl_buffer *out, const struct gw_acl *list, size_t count)
{
    gw_wire_make_acls(out, list, count);
}

struct gw_wire_verdict gw_wire_read_made(struct gw_wire_reader *reader)
{
    struct gw_wire_verdict verdict = {0};
    gw_wire_int32(reader); /* throttle time */
    size_t count = gw_wire_count(reader);
    for (size_t i = 0; i < count && !reader->failed; i++)
        read_verdict(reader, &verdict);
    return verdict;
}

struct gw_wire_verdict gw_wire_read_taken(struct gw_wire_reader *reader)
{
    struct gw_wire_verdict verdict = {0};
    gw_wire_int32(reader); /* throttle time */
    size_t count = gw_wire_count(reader);
    for (size_t i = 0; i < count && !reader->failed; i++) {
        read_verdict(reader, &verdict);
        size_t taken = gw_wire_count(reader);
        for (size_t j = 0; j < taken && !reader->failed; j++) {
            read_verdict(reader, &verdict);
            gw_wire_int8(reader);         /* resource */
            gw_wire_present_text(reader); /* name */
            gw_wire_int8(reader);         /* pattern */
            gw_wire_present_text(reader); /* principal */
            gw_wire_present_text(reader); /* host */
            gw_wire_int8(reader);         /* operation */
            gw_wire_int8(reader);         /* permission */
        }
    }
    return verdict;
}

/* --- Client quotas --- */

#define USER   "user"
#define CLIENT "client-id"
#define IN     "producer_byte_rate"
#define OUT    "consumer_byte_rate"

void gw_wire_ask_quotas(struct sl_buffer *out)
{
    gw_wire_put_int32(out, 1);
    gw_wire_put_text(out, USER);
    gw_wire_put_int8(out, MATCH_ANY);
    gw_wire_put_text(out, NULL);
    gw_wire_put_int8(out, false); /* those that name more than the user, too */
}

/* One that is not set is 0; what nobody can have set is told apart from all that we set. */
static double rate_of(double value)
{
    return isfinite(value) && value > 0 ? value : -1;
}

/* False: of no user in particular, or of something else, too. */
static bool read_entity(struct gw_wire_reader *reader, struct gw_quota *quota)
{
    bool known = true;
    size_t parts = gw_wire_count(reader);
    for (size_t i = 0; i < parts && !reader->failed; i++) {
        const char *type = gw_wire_present_text(reader), *name = gw_wire_text(reader);
        if (!strcmp(type, USER))
            quota->user = name;
        else if (!strcmp(type, CLIENT))
            quota->client = name ? name : GW_QUOTA_EACH_CLIENT;
        else
            known = false;
    }
    return known && quota->user;
}

struct gw_wire_verdict gw_wire_read_quotas(struct gw_wire_reader *reader, struct gw_quota_set *set)
{
    struct gw_wire_verdict verdict = {0};
    gw_wire_int32(reader); /* throttle time */
    read_verdict(reader, &verdict);
    size_t count = gw_wire_count(reader);
    for (size_t i = 0; i < count && !reader->failed; i++) {
        struct gw_quota quota = {0};
        bool known = read_entity(reader, &quota);
        size_t values = gw_wire_count(reader);
        for (size_t j = 0; j < values && !reader->failed; j++) {
            const char *key = gw_wire_present_text(reader);
            double value = rate_of(gw_wire_double(reader));
            if (!strcmp(key, IN))
                quota.in = value;
            else if (!strcmp(key, OUT))
                quota.out = value;
        }
        if (known && (quota.in != 0 || quota.out != 0) && !reader->failed)
            gw_quota_set_add(set, &quota);
    }
    return verdict;
}

static void put_rate(struct sl_buffer *out, const char *key, double value)
{
    gw_wire_put_text(out, key);
    gw_wire_put_double(out, value);
    gw_wire_put_int8(out, value == 0 ? 1 : 0); /* removed */
}

void gw_wire_set_quotas(struct sl_buffer *out, const struct gw_quota *list, size_t count)
{
    gw_wire_put_int32(out, (int32_t)count);
    for (size_t i = 0; i < count; i++) {
        gw_wire_put_int32(out, list[i].client ? 2 : 1);
        gw_wire_put_text(out, USER);
        gw_wire_put_text(out, list[i].user);
        if (list[i].client) {
            gw_wire_put_text(out, CLIENT);
            gw_wire_put_text(out, list[i].client);
        }
        gw_wire_put_int32(out, 2);
        put_rate(out, IN, list[i].in);
        put_rate(out, OUT, list[i].out);
    }
    gw_wire_put_int8(out, false); /* not only to try */
}

struct gw_wire_verdict gw_wire_read_quotas_set(struct gw_wire_reader *reader)
{
    struct gw_wire_verdict verdict = {0};
    gw_wire_int32(reader); /* throttle time */
    size_t count = gw_wire_count(reader);
    for (size_t i = 0; i < count && !reader->failed; i++) {
        struct gw_quota whose = {0};
        read_verdict(reader, &verdict);
        read_entity(reader, &whose);
    }
    return verdict;
}

/* --- SASL --- */

void gw_wire_ask_handshake(struct sl_buffer *out, const char *mechanism)
{
    gw_wire_put_text(out, mechanism);
}

struct gw_wire_verdict gw_wire_read_handshake(struct gw_wire_reader *reader, struct sl_buffer *offered)
{
    struct gw_wire_verdict verdict = {.code = gw_wire_int16(reader)};
    size_t count = gw_wire_count(reader);
    for (size_t i = 0; i < count && !reader->failed; i++)
        sl_buffer_printf(offered, "%s%s", i ? ", " : "", gw_wire_present_text(reader));
    return verdict;
}

void gw_wire_ask_authenticate(struct sl_buffer *out, const struct sl_buffer *message)
{
    gw_wire_put_bytes(out, message->data, message->size);
}

struct gw_wire_verdict gw_wire_read_authenticate(struct gw_wire_reader *reader, const void **said,
                                                 size_t *size)
{
    struct gw_wire_verdict verdict = {0};
    read_verdict(reader, &verdict);
    *said = gw_wire_bytes(reader, size);
    return verdict;
}
