/* Connections counted by address: asked when one begins and ends, never by a request. */
#include "gateway/http/connection.h"

#include "base/error.h"
#include "base/text.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define BUCKETS 4096 /* a power of two */

struct gw_address {
    struct gw_address *next; /* in its bucket */
    uint64_t network;        /* gw_address_network */
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

static struct gw_address **bucket_of(struct gw_addresses *addresses, uint64_t network)
{
    return &addresses->buckets[sl_mix(network ^ addresses->seed) % BUCKETS];
}

struct gw_address *gw_addresses_enter(struct gw_addresses *addresses, const struct sockaddr *address,
                                      unsigned *count)
{
    unsigned char bytes[GW_ADDRESS_SIZE];
    *count = 0;
    if (!address || !gw_address_of(address, bytes))
        return NULL;
    uint64_t network = gw_address_network(bytes);
    struct gw_address **bucket = bucket_of(addresses, network);
    pthread_mutex_lock(&addresses->lock);
    struct gw_address *entry = *bucket;
    while (entry && entry->network != network)
        entry = entry->next;
    if (!entry && (entry = calloc(1, sizeof *entry))) {
        entry->network = network;
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
        struct gw_address **link = bucket_of(addresses, entry->network);
        while (*link != entry)
            link = &(*link)->next;
        *link = entry->next;
        free(entry);
    }
    pthread_mutex_unlock(&addresses->lock);
}
