/* What the two forms of ingest share: one message (ingest.c), and a batch (ingest_batch.c). */
#ifndef GW_API_INGEST_H
#define GW_API_INGEST_H

#include "gateway/gateway_internal.h"
#include "gateway/store/blobs.h"

/* What a request's data begins with. */
struct gw_ingest {
    bool batch;
};

/* A batch's parts of the route. begin: the headers are in; the layer's link is the batch's from then on. */
void gw_batch_begin(struct gw_request *request, struct gw_layer *layer);
size_t gw_batch_data(struct gw_request *request, const char *data, size_t size);
void gw_batch_end(struct gw_request *request);

/* sdii.c: a list of SDII messages, in the request's body. */
void gw_sdii_post(struct gw_request *request);

#define GW_CHECKSUM_FAULT "the checksum must be a SHA-256 of 64 hex digits"

/* Removes a blob that no message names, on a worker. */
void gw_blob_forget(struct gateway *gateway, struct gw_layer *layer, const char *handle);

/* Why a message cannot be written as it is, or NULL: the rules that hold for both forms. foreign: it may have
 * a key and header names that only other Kafka clients write, so that what was read from Kafka can be written
 * again. *code and *http with it. Static text. */
const char *gw_message_fault(const struct gw_layer *layer, const struct sl_message *message, bool foreign,
                             int *http, const char **code);

/* What the message says wrongly of the blob that it names, or NULL. *code with it. Static text. */
const char *gw_blob_mismatch(const struct gw_layer *layer, const struct sl_message *message,
                             const struct gw_blob_info *info, const char **code);

#endif
