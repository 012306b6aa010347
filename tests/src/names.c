/* Names that lead where a test says, one address for each time they are asked for, and a note of every address that
   was connected to. TABLE and LOG are defined by whoever compiles this. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ANSWERS_MAX 8

static const struct {
    const char *name;
    const char *answers[ANSWERS_MAX];
} names[] = {TABLE};

static atomic_uint asked[sizeof names / sizeof *names];

typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    resolver *real = (resolver *)dlsym(RTLD_NEXT, "getaddrinfo");
    for (size_t i = 0; node && i < sizeof names / sizeof *names; i++) {
        if (strcmp(node, names[i].name))
            continue;
        unsigned at = atomic_fetch_add(&asked[i], 1);
        at = at < ANSWERS_MAX ? at : ANSWERS_MAX - 1;
        /* The last answer stays. */
        while (at > 0 && !names[i].answers[at])
            at--;
        return real(names[i].answers[at], service, hints, found);
    }
    return real(node, service, hints, found);
}

int connect(int socket, const struct sockaddr *to, socklen_t length)
{
    char address[INET6_ADDRSTRLEN] = "", line[INET6_ADDRSTRLEN + 8];
    if (to->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)to)->sin_addr, address, sizeof address);
    if (to->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)to)->sin6_addr, address, sizeof address);
    int log = *address ? open(LOG, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (log >= 0) {
        int written = snprintf(line, sizeof line, "%s\n", address);
        if (write(log, line, (size_t)written) < 0)
            _exit(70);
        close(log);
    }
    return (int)syscall(SYS_connect, socket, to, length);
}
