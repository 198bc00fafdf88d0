/* An echo server over poll(2): many connections in one thread, with permessage-deflate.
 *
 *     cargo build --release -p switchboard-ffi
 *     cc -Iffi/include ffi/examples/echo.c target/release/libswitchboard_ffi.a -o echo && ./echo 9002
 *
 * Memory of a connection: 16 KiB, one message of at most 16 MiB, and at most 64 KiB of answers, or the one that exceeds
 * it. A client that reads no answers is not read from. Deadlines: 10 s for the request, 1 s for the client to end TCP.
 * A public server would also send Pings, and end connections that take no bytes. */
#define _POSIX_C_SOURCE 200809L
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "switchboard.h"

enum { MAX_CLIENTS = 1000, READ_BYTES = 16 << 10, MAX_OUTPUT_BYTES = 64 << 10, REQUEST_SECONDS = 10, END_SECONDS = 1 };

struct client {
    switchboard_connection *connection;
    time_t deadline; /* 0 if there is none */
    bool has_events; /* there may be more of them in buffer[begin..end] */
    bool is_ending;  /* our side of TCP is ended */
    size_t begin, end;
    uint8_t buffer[READ_BYTES];
};

static struct pollfd polled[1 + MAX_CLIENTS];   /* the listener, and the sockets of the clients */
static struct client *clients[1 + MAX_CLIENTS]; /* none at 0, the place of the listener */
static nfds_t count = 1;
static struct timespec now; /* when poll returned */
static time_t accept_at;    /* until then no client is accepted */

static bool would_block(void) { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

/* Answers the events in the buffer. Returns whether there may be more, because much output waits. */
static bool echo(struct client *client) {
    switchboard_connection *connection = client->connection;
    while (switchboard_connection_output(connection).length < MAX_OUTPUT_BYTES) {
        switchboard_event event;
        uint8_t *bytes = client->buffer + client->begin;
        size_t used, left = client->end - client->begin;
        /* After an error the connection is closed, and what answers it is in the output. */
        if (switchboard_connection_receive(connection, bytes, left, &used, &event)) return false;
        client->begin += used;
        const uint8_t *data = event.data.data;
        size_t length = event.data.length;
        switch (event.kind) {
        case SWITCHBOARD_EVENT_KIND_NONE: return false;
        case SWITCHBOARD_EVENT_KIND_REQUEST:
            /* A server that identifies users by cookies must check switchboard_connection_is_same_origin here. */
            switchboard_connection_accept(connection, NULL);
            client->deadline = 0;
            break;
        case SWITCHBOARD_EVENT_KIND_TEXT: switchboard_connection_send_text(connection, data, length); break;
        case SWITCHBOARD_EVENT_KIND_BINARY: switchboard_connection_send_binary(connection, data, length); break;
        default: break; /* Pings and Closes are answered by themselves */
        }
    }
    return true;
}

/* Goes on until the socket would block, or has been read once, so that others have their turn. Returns whether the
 * connection goes on. */
static bool serve(struct pollfd *polled, struct client *client) {
    bool is_read = false;
    for (;;) {
        switchboard_bytes output = switchboard_connection_output(client->connection);
        ssize_t length;
        switch (switchboard_connection_next(client->connection)) {
        case SWITCHBOARD_NEXT_WRITE:
            polled->events = POLLOUT;
            length = send(polled->fd, output.data, output.length, MSG_NOSIGNAL);
            if (length < 0) return would_block();
            switchboard_connection_wrote(client->connection, (size_t)length);
            continue;
        case SWITCHBOARD_NEXT_END: /* what still comes is read and dropped */
            if (!client->is_ending && shutdown(polled->fd, SHUT_WR) == 0) client->deadline = now.tv_sec + END_SECONDS;
            client->is_ending = true;
            break;
        default:
            if (!client->has_events) break;
            client->has_events = echo(client);
            continue;
        }
        polled->events = POLLIN;
        if (is_read) return true;
        length = recv(polled->fd, client->buffer, READ_BYTES, 0);
        if (length <= 0) return length < 0 && would_block();
        is_read = true;
        client->has_events = !client->is_ending;
        client->begin = 0;
        client->end = (size_t)length;
    }
}

static void accept_client(switchboard_config *config) {
    int fd = accept(polled[0].fd, NULL, NULL), on = 1;
    if (fd < 0 && !would_block()) accept_at = now.tv_sec + 1; /* too many files are open, most likely */
    if (fd < 0) return;
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL || fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        free(client), close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    client->connection = switchboard_connection_new_server(config);
    client->deadline = now.tv_sec + REQUEST_SECONDS;
    clients[count] = client;
    polled[count++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void end_client(nfds_t i) {
    switchboard_connection_free(clients[i]->connection);
    free(clients[i]), close(polled[i].fd);
    polled[i] = polled[--count];
    clients[i] = clients[count];
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                                  .sin_port = htons((uint16_t)(argc > 1 ? atoi(argv[1]) : 9002))};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) != 0 || listen(listener, 128) != 0 ||
        fcntl(listener, F_SETFL, O_NONBLOCK) != 0 || getsockname(listener, (struct sockaddr *)&address, &length) != 0) {
        perror("cannot listen");
        return 1;
    }
    printf("listening on ws://127.0.0.1:%d/\n", ntohs(address.sin_port)), fflush(stdout);
    switchboard_config *config = switchboard_config_new();
    switchboard_config_set_deflate(config, true);
    polled[0].fd = listener;
    for (;;) {
        polled[0].events = count <= MAX_CLIENTS && now.tv_sec >= accept_at ? POLLIN : 0;
        if (poll(polled, count, 1000) < 0 && errno != EINTR) return perror("poll"), 1;
        clock_gettime(CLOCK_MONOTONIC, &now);
        for (nfds_t i = count - 1; i > 0; i--) { /* the last one takes the place of one that ends */
            bool is_late = clients[i]->deadline != 0 && clients[i]->deadline < now.tv_sec;
            if (is_late || (polled[i].revents != 0 && !serve(&polled[i], clients[i]))) end_client(i);
        }
        if (polled[0].revents != 0) accept_client(config);
    }
}
