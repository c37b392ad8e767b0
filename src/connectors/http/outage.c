/* Telling that it goes wrong for a while, without filling the log. */
#include "base/time.h"
#include "connectors/http/internal.h"

enum { EVERY_MS = 30000 };

void sl_hc_outage_note(struct sl_hc_outage *outage, const struct sl_log *log, const char *what,
                       const sl_error *error)
{
    int64_t now = sl_mono_ms();
    outage->failures++;
    if (outage->said_ms && now - outage->said_ms < EVERY_MS)
        return;
    if (outage->failures == 1)
        SL_WARNING(log, "%s failed, trying again: %s", what, error->text);
    else
        SL_WARNING(log, "%s failed, trying again: %s (%u failures since the last such warning)", what,
                   error->text, outage->failures);
    outage->said_ms = now;
    outage->failures = 0;
    outage->told = true;
}

void sl_hc_outage_over(struct sl_hc_outage *outage, const struct sl_log *log, const char *what)
{
    if (outage->told)
        SL_INFO(log, "connected again: %s works", what);
    outage->told = false;
}
