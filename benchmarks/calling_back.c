/* The system of full_loop.py and latency.py, light: takes every action at once and calls back over kept connections.
 *
 *     calling_back [log] [refuse]
 *
 * One loop over epoll. The first line of its output is its port. "log" writes a line for every request: the wall
 * clock in microseconds when its bytes were received, the number of the attempt, and the action's id. "refuse"
 * answers every first attempt with 503. A request whose callback_url is null is only taken.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CALLERS 200  /* connections for callbacks, one request at a time on each: with 32 it was the bottleneck */
#define BUFFER 65536 /* a request has to fit in */

enum kind { LISTENER, SERVED, CALLER };

struct connection {
    int fd, length, busy;
    enum kind kind;
    char path[256], host[64], buffer[BUFFER];
};

struct task {
    char path[256], host[64];
    struct task *next;
};

static int poll_fd, logs, refuses;
static struct connection callers[CALLERS];
static struct task *first, **last = &first;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void watch(struct connection *c) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &event)) die("epoll_ctl");
}

static void send_all(int fd, const char *data, size_t length) {
    while (length) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
        if (sent < 0) return; /* the peer is gone: receiving says so */
        data += sent, length -= sent;
    }
}

/* The bytes of the whole message at the start of the buffer; 0 where it is not complete. */
static int whole(struct connection *c, char **body) {
    c->buffer[c->length] = 0;
    char *end = strstr(c->buffer, "\r\n\r\n");
    if (!end) return 0;
    *end = 0;
    char *header = strcasestr(c->buffer, "\r\ncontent-length:");
    *end = '\r';
    int total = end + 4 - c->buffer + (header ? atoi(header + 17) : 0);
    *body = end + 4;
    return total <= c->length ? total : 0;
}

static void drop_front(struct connection *c, int count) {
    c->length -= count;
    memmove(c->buffer, c->buffer + count, c->length);
}

static void call_back(struct connection *c, const char *host, const char *path) {
    static const char body[] = "{\"status\":\"success\",\"data\":{\"ok\":true}}";
    char request[1024];
    if (c->fd >= 0 && strcmp(c->host, host)) { /* another daemon's address */
        close(c->fd);
        c->fd = -1;
    }
    if (c->fd < 0) {
        struct sockaddr_in to = {.sin_family = AF_INET};
        char address[64];
        strcpy(address, host);
        char *port = strchr(address, ':');
        if (!port) return;
        *port++ = 0;
        to.sin_port = htons(atoi(port));
        inet_pton(AF_INET, address, &to.sin_addr);
        int on = 1;
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(c->fd, (struct sockaddr *)&to, sizeof to)) {
            close(c->fd);
            c->fd = -1;
            return;
        }
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c->length = 0;
        watch(c);
    }
    int length = snprintf(request, sizeof request,
                          "POST /%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n"
                          "Content-Length: %zu\r\n\r\n%s",
                          path, host, sizeof body - 1, body);
    if (c->path != path) strcpy(c->path, path), strcpy(c->host, host);
    c->busy = 1;
    send_all(c->fd, request, length);
}

static void call_next(void) {
    for (int i = 0; first && i < CALLERS; i++) {
        if (callers[i].busy) continue;
        struct task *task = first;
        call_back(&callers[i], task->host, task->path);
        if (!callers[i].busy) return;
        if (!(first = task->next)) last = &first;
        free(task);
    }
}

static void take(struct connection *c) {
    static const char taken[] = "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
    static const char refused[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    char *body;
    int total;
    struct timespec now;
    if (logs) clock_gettime(CLOCK_REALTIME, &now);
    while ((total = whole(c, &body))) {
        char kept = c->buffer[total];
        c->buffer[total] = 0;
        char *number = strstr(body, "\"attempt\":"), *id = strstr(body, "\"id\":\""), *url;
        int attempt = number ? atoi(number + 10) : 0;
        if (logs)
            printf("%lld %d %.26s\n", now.tv_sec * 1000000LL + now.tv_nsec / 1000, attempt, id ? id + 6 : "");
        if (refuses && attempt == 1) {
            send_all(c->fd, refused, sizeof refused - 1);
        } else {
            send_all(c->fd, taken, sizeof taken - 1);
            if ((url = strstr(body, "\"callback_url\":\"http://"))) {
                struct task *task = calloc(1, sizeof *task);
                if (sscanf(url + 23, "%63[^/]/%255[^\"]", task->host, task->path) == 2) {
                    *last = task;
                    last = &task->next;
                } else {
                    free(task);
                }
            }
        }
        c->buffer[total] = kept;
        drop_front(c, total);
    }
    if (logs) fflush(stdout);
}

static void hear(struct connection *c) {
    char *body;
    int total = whole(c, &body);
    if (!total) return;
    int status = atoi(c->buffer + 9);
    drop_front(c, total);
    c->busy = 0;
    if (status >= 500) {
        usleep(10000);
        call_back(c, c->host, c->path);
    }
}

static void lost(struct connection *c) {
    close(c->fd);
    if (c->kind == SERVED) {
        free(c);
        return;
    }
    c->fd = -1;
    if (c->busy) {
        c->busy = 0;
        call_back(c, c->host, c->path);
    }
}

int main(int count, char **arguments) {
    for (int i = 1; i < count; i++) {
        logs |= !strcmp(arguments[i], "log");
        refuses |= !strcmp(arguments[i], "refuse");
    }
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    struct connection listener = {.kind = LISTENER};
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    listener.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener.fd, (struct sockaddr *)&at, size) || listen(listener.fd, 4096)) die("listen");
    getsockname(listener.fd, (struct sockaddr *)&at, &size);
    watch(&listener);
    for (int i = 0; i < CALLERS; i++) callers[i].fd = -1, callers[i].kind = CALLER;
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);
    for (;;) {
        struct epoll_event events[256];
        int ready = epoll_wait(poll_fd, events, 256, -1);
        if (ready < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (c->kind == LISTENER) {
                int on = 1, fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);
                if (fd < 0) continue;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                c = calloc(1, sizeof *c);
                c->fd = fd, c->kind = SERVED;
                watch(c);
                continue;
            }
            ssize_t got = recv(c->fd, c->buffer + c->length, BUFFER - 1 - c->length, 0);
            if (got <= 0) {
                lost(c);
                continue;
            }
            c->length += got;
            if (c->kind == SERVED)
                take(c);
            else
                hear(c);
        }
        call_next();
    }
}
