/* What the catalog says of a layer, as far as its payloads go. */
#ifndef SL_CLIENT_LAYER_H
#define SL_CLIENT_LAYER_H

#include <stdbool.h>
#include <streamlayer/error.h>

struct sl_client;

/* Members are released with sl_layer_facts_free. */
struct sl_layer_facts {
    char *content_type;     /* NULL: not known, and so are all */
    char *content_encoding; /* NULL: none */
    bool marketplace;       /* its catalog is on the Marketplace */
};

/* Asks config v1. Errors: SL_NOT_FOUND when the catalog has no such layer, SL_INVALID_ARGUMENT when it is no
 * stream layer, and those of the call. Any thread but the engine's. */
sl_status sl_layer_facts_get(struct sl_client *client, const char *hrn, const char *id,
                             struct sl_layer_facts *facts, sl_error *error);
/* The same, for what can be done without: who may not look at the catalog, and platforms that do not tell,
 * leave facts empty. The connector then says what is wrong, if anything is. */
sl_status sl_layer_facts_try(struct sl_client *client, const char *hrn, const char *id,
                             struct sl_layer_facts *facts, sl_error *error);
/* false: out of memory; *to is empty then. */
bool sl_layer_facts_copy(const struct sl_layer_facts *facts, struct sl_layer_facts *to);
bool sl_layer_facts_gzip(const struct sl_layer_facts *facts);
void sl_layer_facts_free(struct sl_layer_facts *facts);

#endif
