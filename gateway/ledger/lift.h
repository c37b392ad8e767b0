/*
 * Long texts of base64 taken out of JSON before it is read: jansson takes a string byte by byte, at some ten
 * nanoseconds each, which for the sizes of a delivery's records is more than all else that is done with them.
 */
#ifndef GW_LEDGER_LIFT_H
#define GW_LEDGER_LIFT_H

#include "base/buffer.h"

struct gw_lifted {
    const char *at; /* in the original */
    size_t size;
};

struct gw_lift {
    struct sl_buffer json; /* what is to be read in the original's place */
    struct gw_lifted *list;
    size_t count, capacity;
};

/*
 * Only what is an array's last element behind a number is taken out (as the sizes in a run of records are),
 * if it is long; "#0", "#1", … stand in its place, which are no base64. Whether it is base64 itself who
 * decodes it finds out. Of a text that has an escape, or such a name already, nothing is taken out: one would
 * be taken for the other. text must outlive it. False: no memory. Free it either way.
 */
bool gw_lift(struct gw_lift *lift, const char *text, size_t size);
void gw_lift_free(struct gw_lift *lift);
/* What a string of json's stands for: itself, where it is none that was taken out. */
struct gw_lifted gw_lift_text(const struct gw_lift *lift, const char *text, size_t size);

#endif
