/* Events that the tests of the ledger write. */
#ifndef TESTS_GW_LEDGER_EVENTS_H
#define TESTS_GW_LEDGER_EVENTS_H

#include "gateway/ledger/ledger.h"

/* One call of one group of one application on one layer. */
static inline struct gw_ledger_event event_of(enum gw_ledger_kind kind)
{
    return (struct gw_ledger_event){.kind = kind,
                                    .application = "app",
                                    .hrn = "hrn:catalog",
                                    .layer = "layer",
                                    .group = "group",
                                    .topic = "topic",
                                    .usage = {.calls_out = 1}};
}

#endif
