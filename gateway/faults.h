/* What is wrong with a configuration, told one by one: who looks for it goes on after each. */
#ifndef GW_FAULTS_H
#define GW_FAULTS_H

#include <stddef.h>
#include <streamlayer/error.h>

struct gw_faults {
    void (*tell)(void *opaque, const sl_error *error);
    void *opaque;
    size_t count; /* of those told */
};

/* Tells error, where status is no success. */
void gw_fault(struct gw_faults *faults, sl_status status, const sl_error *error);
/* A tell that keeps the first, for who refuses all for the sake of one; opaque is a zeroed sl_error. */
void gw_fault_keep(void *opaque, const sl_error *error);

#endif
