// The socket that listens.
#ifndef VKGPT_SERVE_LISTEN_H
#define VKGPT_SERVE_LISTEN_H

#include "vkgpt.h"

struct Listening {
    int fd;
    uint16_t port; // the one asked for, or that the system chose
    bool loopback; // only this machine reaches it
    bool v6;
    char address[64]; // for a URL: 127.0.0.1, or [::1]
};

// Errors (VKGPT_BAD_ARGUMENT): the host has no address, or the address cannot be listened on. Port 0: any free one.
int listen_open(const char *host, uint16_t port, struct Listening *listening, vkgpt_error *err);
// Raises the limit of descriptors as far as the system allows, and returns it.
size_t listen_most_descriptors(void);

#endif
