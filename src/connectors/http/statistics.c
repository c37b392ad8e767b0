/* What connectors did, for docs/statistics.md. */
#include <stdlib.h>
#include <string.h>

#include "connectors/http/internal.h"

void sl_hc_traffic_count(struct sl_hc_traffic *traffic, const struct sl_http_response *response)
{
    int class = response->status / 100;
    traffic->requests++;
    traffic->retries += response->tries > 1 ? (unsigned)response->tries - 1 : 0;
    traffic->sent_bytes += response->sent_bytes;
    traffic->received_bytes += response->body.size;
    traffic->statuses[class >= 1 && class <= 5 ? class : 0]++;
    if (*response->correlation_id)
        memcpy(traffic->correlation, response->correlation_id, sizeof traffic->correlation);
}

bool sl_hc_traffic_json(const struct sl_hc_traffic *traffic, struct sl_buffer *json)
{
    sl_buffer_printf(json,
                     "\"requests\":%llu,\"retries\":%llu,\"bytesSent\":%llu,\"bytesReceived\":%llu,"
                     "\"statuses\":{\"none\":%llu",
                     traffic->requests, traffic->retries, traffic->sent_bytes, traffic->received_bytes,
                     traffic->statuses[0]);
    for (int class = 1; class <= 5; class ++)
        sl_buffer_printf(json, ",\"%dxx\":%llu", class, traffic->statuses[class]);
    sl_buffer_append_text(json, "},\"lastCorrelationId\":");
    json_t *id = json_string(traffic->correlation); /* escaped; NULL for what is no UTF-8 */
    char *text = id ? json_dumps(id, JSON_ENCODE_ANY) : NULL;
    json_decref(id);
    sl_buffer_append_text(json, text ? text : "\"\"");
    free(text);
    return !json->failed;
}
