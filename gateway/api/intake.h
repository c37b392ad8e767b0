/* What a request brings into a layer, paid for at the layer's throttle (throttle.h) as it comes. */
#ifndef GW_API_INTAKE_H
#define GW_API_INTAKE_H

#include "gateway/gateway_internal.h"

/* Zero-initialised. All calls on the request's loop. */
struct gw_intake {
    struct gw_pass pass;
    struct gateway *gateway;
    struct gw_throttle *throttle; /* at which it paid; NULL: not yet */
    struct gw_request *request;   /* NULL: it is gone */
    bool waits;                   /* the body is paused for it */
    int64_t since_ms, waited_ms;  /* it waits since then (sl_mono_ms); before, together */
    size_t paid;                  /* and not taken yet */
    int64_t whole;              /* the body's size where it is known: paid at once, before any of it is taken,
                                   so that those behind know how long they would wait; set by the owner */
    void (*ended)(void *owner); /* gw_intake_end's */
    void *owner;
};

/* Whether what the application sends into the layer now (out: asks for), having waited for waited_us, would
 * wait for too long: the seconds to say in Retry-After, and why; 0: no. Any thread. */
#define GW_WAIT_TEXT 200
int gw_intake_wait_s(struct gateway *gateway, const struct gw_layer *layer, bool out, const char *application,
                     int64_t waited_us, char why[GW_WAIT_TEXT]);
#define GW_SEND_LESS "send less, or raise the layer's dataInThroughputKbps"

/* Whether anything may be sent into the layer now; else the request is answered with 429. Before the body. */
bool gw_intake_admits(struct gw_request *request, const struct gw_layer *layer);

/* The same of what is read. */
bool gw_outlet_admits(struct gw_request *request, const struct gw_layer *layer);

/* Begins; application must stay until the end. */
void gw_intake_begin(struct gw_intake *intake, struct gw_request *request);
/* Whether the next size bytes of the body may be taken. Else it is to be paused (nothing taken of it), and
 * goes on by itself. */
bool gw_intake_pay(struct gw_intake *intake, struct gw_layer *layer, size_t size);
/* So many bytes of those that were paid for have not been taken, and come again. */
void gw_intake_untaken(struct gw_intake *intake, size_t size);
/* When the request must be answered, now that its body is whole: limits.kafka-wait from now on, or less where
 * the throttle has held it up for long. */
int64_t gw_intake_deadline_ms(const struct gw_intake *intake);
/* The request ends. False: its owner must stay until ended(owner). */
bool gw_intake_end(struct gw_intake *intake, void (*ended)(void *owner), void *owner);

#endif
