#include "gateway/faults.h"

void gw_fault(struct gw_faults *faults, sl_status status, const sl_error *error)
{
    if (!status)
        return;
    faults->count++;
    faults->tell(faults->opaque, error);
}

void gw_fault_keep(void *opaque, const sl_error *error)
{
    sl_error *first = opaque;
    if (!first->status)
        *first = *error;
}
