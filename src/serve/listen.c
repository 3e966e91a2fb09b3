#define _GNU_SOURCE // SOCK_CLOEXEC
#include "serve/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"

static void describe(struct Listening *l, const struct sockaddr_storage *address)
{
    char text[INET6_ADDRSTRLEN] = "";
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
    l->v6 = address->ss_family == AF_INET6;
    inet_ntop(address->ss_family, l->v6 ? (const void *)&v6->sin6_addr : (const void *)&v4->sin_addr, text,
              sizeof text);
    snprintf(l->address, sizeof l->address, l->v6 ? "[%s]" : "%s", text);
    l->port = ntohs(l->v6 ? v6->sin6_port : v4->sin_port);
    l->loopback = l->v6 ? IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) : ntohl(v4->sin_addr.s_addr) >> 24 == 127;
}

static int open_one(const struct addrinfo *info)
{
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, info->ai_addr, info->ai_addrlen) == 0 && listen(fd, SOMAXCONN) == 0) return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

int listen_open(const char *host, uint16_t port, struct Listening *l, vkgpt_error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list;
    struct sockaddr_storage address = {0};
    socklen_t bytes = sizeof address;
    char service[8];
    *l = (struct Listening){.fd = -1};
    snprintf(service, sizeof service, "%u", port);
    int wrong = getaddrinfo(host, service, &hints, &list);
    if (wrong) return fail(err, VKGPT_BAD_ARGUMENT, "--host %s: %s", host, gai_strerror(wrong));
    for (const struct addrinfo *info = list; info && l->fd < 0; info = info->ai_next) l->fd = open_one(info);
    int reason = errno;
    freeaddrinfo(list);
    if (l->fd < 0)
        return fail(err, VKGPT_BAD_ARGUMENT, "cannot listen on %s, port %u: %s", host, port, strerror(reason));
    getsockname(l->fd, (struct sockaddr *)&address, &bytes);
    describe(l, &address);
    return 0;
}

size_t listen_most_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) return 1024;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit)) getrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur == RLIM_INFINITY ? SIZE_MAX : (size_t)limit.rlim_cur;
}
