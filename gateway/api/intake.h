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
    bool held_up;                 /* it has waited */
    bool spent;                   /* of a batch: what is paid is all that it may bring */
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

/* The same of a batch of so many bytes (0: nobody knows). One that is more than the layer takes within
 * limits.throttle-wait counts as that much. */
bool gw_intake_admits_batch(struct gw_request *request, const struct gw_layer *layer, int64_t whole);

/* The same of what is read. */
bool gw_outlet_admits(struct gw_request *request, const struct gw_layer *layer);

/* Begins; application must stay until the end. */
void gw_intake_begin(struct gw_intake *intake, struct gw_request *request);
/* Whether the next size bytes of the body may be taken. Else it is to be paused (nothing taken of it), and
 * goes on by itself. */
bool gw_intake_pay(struct gw_intake *intake, struct gw_layer *layer, size_t size);
/*
 * The same of a batch, which is not kept waiting for longer than limits.throttle-wait in all. Its whole is
 * paid at once, as far as the layer takes it within that time; where it is not known, piece by piece.
 */
enum gw_intake_verdict {
    GW_INTAKE_GOES,
    GW_INTAKE_WAITS, /* it is to be paused, and goes on by itself; by then gw_intake_give_up at due_ms */
    GW_INTAKE_FULL,  /* the layer takes no more of it: after_s and why say so */
};
struct gw_intake_answer {
    int64_t due_ms; /* sl_mono_ms(); INT64_MAX: never */
    int after_s;    /* for Retry-After */
    char why[GW_WAIT_TEXT];
};
enum gw_intake_verdict gw_intake_take(struct gw_intake *intake, struct gw_layer *layer, size_t size,
                                      struct gw_intake_answer *answer);
/* The next size bytes are taken all the same, after some were; those behind wait for them. */
void gw_intake_owe(struct gw_intake *intake, size_t size);
/* Waits no longer: the batch brings nothing more than what it has paid for. */
void gw_intake_give_up(struct gw_intake *intake);
/* So many bytes of those that were paid for have not been taken, and come again. */
void gw_intake_untaken(struct gw_intake *intake, size_t size);
/* When the request must be answered, now that its body is whole: limits.kafka-wait from now on, or less where
 * the throttle has held it up for long. */
int64_t gw_intake_deadline_ms(const struct gw_intake *intake);
/* The request ends. False: its owner must stay until ended(owner). */
bool gw_intake_end(struct gw_intake *intake, void (*ended)(void *owner), void *owner);

#endif
