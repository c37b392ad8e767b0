#include "gateway/gateway_internal.h"

#include <stdarg.h>
#include <stdio.h>

#define CHANGE_MAX 1200 /* bytes */

void gw_audit(const struct gw_request *request, const char *format, ...)
{
    char change[CHANGE_MAX];
    const struct gateway *gateway = gw_request_opaque(request);
    const struct gw_account *account = gw_request_account(request);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(change, sizeof change, format, arguments);
    va_end(arguments);
    SL_INFO(&gateway->log, "audit: %s (application %s) %s (correlation %s)", account ? account->name : "-",
            account ? account->id : "-", change, gw_request_correlation_id(request));
}
