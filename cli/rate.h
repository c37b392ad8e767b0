/* --rate: so many messages, or bytes, a second; evenly, with bursts of no more than RATE_BURST_MS' worth. */
#ifndef CLI_RATE_H
#define CLI_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cli_rate {
    double per_ms; /* 0: no limit */
    bool bytes;    /* counted, instead of messages */
    double due_ms; /* when the next one may go, on the clock of cli_mono_ms; 0: none has gone */
};

/* "100", "0.5", "100/s", "5MB/s", "512KiB": false when it is none. */
bool cli_rate_parse(struct cli_rate *rate, const char *text);
/* How long the next message has to wait from now on; 0: it may go. */
int64_t cli_rate_wait_ms(const struct cli_rate *rate, int64_t now_ms);
/* A message of size bytes goes now. */
void cli_rate_count(struct cli_rate *rate, int64_t now_ms, size_t size);

#endif
