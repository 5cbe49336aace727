/*
 * Telling the service manager how far this process is: sd_notify(3)'s protocol, without its library.
 */
#ifndef REEL_CLI_NOTIFY_H
#define REEL_CLI_NOTIFY_H

/* Sends `state` ("READY=1", "STOPPING=1") as one datagram to the socket that NOTIFY_SOCKET names, a path or
 * (with @) an abstract name. Without it, or where nobody listens, nothing happens. */
void reel_notify (const char *state);

#endif
