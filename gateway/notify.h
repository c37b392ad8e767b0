/* What a service manager is told of (systemd's sd_notify protocol): a datagram to the socket that
 * NOTIFY_SOCKET names. Where there is none, nothing happens. */
#ifndef GW_NOTIFY_H
#define GW_NOTIFY_H

/* state: lines such as "READY=1". What cannot be told is not: a service manager has time-outs of its own. Any
 * thread. */
void gw_notify(const char *state);
/* RELOADING=1, with the time that belongs to it. */
void gw_notify_reloading(void);

#endif
