/*
 * Payloads that are too large for their connector: stored as blobs first, several at once, on a thread that
 * starts with the first of them. Messages of the same partition id that are sent after such a one wait behind
 * it, so that their order holds; all others pass by.
 */
#ifndef SL_CLIENT_LARGE_H
#define SL_CLIENT_LARGE_H

#include "client/client.h"

struct sl_large;

struct sl_large_settings {
    struct sl_client *client;
    const char *hrn, *layer; /* copied */
    int64_t delivery_timeout_ms;
    size_t at_once;
    /* What it does with what it is done with, without its lock. forward: to the connector, as its
     * producer_send. report: the message has failed. */
    sl_status (*forward)(void *core, const struct sl_message *message, void *ticket, sl_error *error);
    void (*report)(void *core, void *ticket, const sl_error *error);
    void *core;
};

sl_status sl_large_create(const struct sl_large_settings *settings, struct sl_large **large, sl_error *error);

/* Takes a copy of a message whose payload is to become a blob. SL_OK: ticket will be forwarded or reported.
 * Any thread, and so for the next. */
sl_status sl_large_store(struct sl_large *large, const struct sl_message *message, void *ticket,
                         sl_error *error);
/* Takes a copy of a message that has to wait behind others, *held then says so. SL_OK without: it may go. */
sl_status sl_large_hold(struct sl_large *large, const struct sl_message *message, void *ticket, bool *held,
                        sl_error *error);

/* Gives up what is left, reporting each as SL_TIMED_OUT. *large may be NULL. */
void sl_large_destroy(struct sl_large **large);

#endif
