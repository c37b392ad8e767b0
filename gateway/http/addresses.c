/* Connections counted by address: asked when one begins and ends, never by a request. */
#include "gateway/http/connection.h"

#include "base/error.h"
#include "base/text.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BUCKETS 4096 /* a power of two */

struct gw_address {
    struct gw_address *next; /* in its bucket */
    uint64_t network;        /* of IPv6 the first 64 bits; of IPv4 the address */
    bool v6;
    unsigned connections;
};

struct gw_addresses {
    pthread_mutex_t lock;
    uint64_t seed;                       /* so that nobody can choose addresses that lie in one bucket */
    struct gw_address *buckets[BUCKETS]; /* under lock */
};

sl_status gw_addresses_create(struct gw_addresses **out, sl_error *error)
{
    struct gw_addresses *addresses = *out = calloc(1, sizeof *addresses);
    if (!addresses)
        return sl_error_oom(error);
    if (getrandom(&addresses->seed, sizeof addresses->seed, 0) < 0)
        addresses->seed = (uint64_t)(uintptr_t)addresses;
    pthread_mutex_init(&addresses->lock, NULL);
    return SL_OK;
}

void gw_addresses_destroy(struct gw_addresses **out)
{
    struct gw_addresses *addresses = *out;
    if (!addresses)
        return;
    *out = NULL;
    for (size_t i = 0; i < BUCKETS; i++)
        while (addresses->buckets[i]) {
            struct gw_address *entry = addresses->buckets[i];
            addresses->buckets[i] = entry->next;
            free(entry);
        }
    pthread_mutex_destroy(&addresses->lock);
    free(addresses);
}

/* False: an address of another kind. */
static bool network_of(const struct sockaddr *address, struct gw_address *entry)
{
    *entry = (struct gw_address){0};
    if (address && address->sa_family == AF_INET) {
        entry->network = ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr);
        return true;
    }
    if (!address || address->sa_family != AF_INET6)
        return false;
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    entry->v6 = !IN6_IS_ADDR_V4MAPPED(v6);
    for (size_t i = entry->v6 ? 0 : 12; i < (entry->v6 ? 8 : 16); i++)
        entry->network = entry->network << 8 | v6->s6_addr[i];
    return true;
}

static struct gw_address **bucket_of(struct gw_addresses *addresses, const struct gw_address *entry)
{
    return &addresses->buckets[sl_mix(entry->network ^ addresses->seed) % BUCKETS];
}

struct gw_address *gw_addresses_enter(struct gw_addresses *addresses, const struct sockaddr *address,
                                      unsigned *count)
{
    struct gw_address wanted;
    *count = 0;
    if (!network_of(address, &wanted))
        return NULL;
    struct gw_address **bucket = bucket_of(addresses, &wanted);
    pthread_mutex_lock(&addresses->lock);
    struct gw_address *entry = *bucket;
    while (entry && (entry->network != wanted.network || entry->v6 != wanted.v6))
        entry = entry->next;
    if (!entry && (entry = malloc(sizeof *entry))) {
        *entry = wanted;
        entry->next = *bucket;
        *bucket = entry;
    }
    if (entry)
        *count = ++entry->connections;
    pthread_mutex_unlock(&addresses->lock);
    return entry;
}

void gw_addresses_leave(struct gw_addresses *addresses, struct gw_address *entry)
{
    if (!entry)
        return;
    pthread_mutex_lock(&addresses->lock);
    if (!--entry->connections) {
        struct gw_address **link = bucket_of(addresses, entry);
        while (*link != entry)
            link = &(*link)->next;
        *link = entry->next;
        free(entry);
    }
    pthread_mutex_unlock(&addresses->lock);
}
