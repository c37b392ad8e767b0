/*
 * A request's body on its way into a blob: pieces are gathered on the request's loop and written on the
 * disk's workers, one chunk at a time; the body is paused while both chunks are full. All calls on the loop.
 */
#ifndef GW_API_UPLOAD_H
#define GW_API_UPLOAD_H

#include "gateway/gateway_internal.h"
#include "gateway/store/blobs.h"

struct gw_upload;

enum gw_upload_state {
    GW_UPLOAD_FAILED, /* gw_upload_error tells; nothing is stored, what comes is dropped */
    GW_UPLOAD_SEALED, /* all of it is in the file; size and checksum are known */
    GW_UPLOAD_KEPT,   /* it is a blob */
};

/* changed is told each new state, on the loop, never from within a call. What does not begin as the layer's
 * content encoding says fails. NULL: no memory, or too much of it in flight. */
struct gw_upload *gw_upload_begin(struct gw_request *request, const struct gw_layer *layer,
                                  void (*changed)(void *owner, enum gw_upload_state state), void *owner);
/* Before any data: what has been gathered already. Takes the buffer's bytes. */
void gw_upload_start_with(struct gw_upload *upload, struct sl_buffer *bytes);
/* How many bytes it took: as a route's data. */
size_t gw_upload_data(struct gw_upload *upload, const char *data, size_t size);
/* The body is whole: GW_UPLOAD_SEALED follows. */
void gw_upload_seal(struct gw_upload *upload);
/* After GW_UPLOAD_SEALED; the texts must stay. type and encoding may be NULL. The blob is the request's
 * application's. GW_UPLOAD_KEPT follows, or GW_UPLOAD_FAILED when the handle is another's. */
void gw_upload_keep(struct gw_upload *upload, const char *topic, const char *handle, const char *type,
                    const char *encoding);
const struct gw_blob_info *gw_upload_info(const struct gw_upload *upload);
/* As GW_UPLOAD_FAILED has it. */
void gw_upload_respond_error(struct gw_upload *upload, struct gw_request *request);
/* The owner has done with it; what is not kept goes. NULL is allowed. */
void gw_upload_drop(struct gw_upload *upload);

/* Answers a failure of the store of blobs. Any thread. */
void gw_respond_blob_failure(struct gw_request *request, const sl_error *error);

#endif
