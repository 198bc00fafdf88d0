/* Measures only uWebSockets' parser and formatter: `uwebsockets_codec receive|send FRAMES`.
 *
 * Reads the stream of frames, or the payload to send, from standard input until it ends. Handles FRAMES frames or a few
 * more. Prints their number, the bytes of their payloads and the nanoseconds of CPU. */

#include "WebSocketProtocol.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace {

/* The size of a read, as for the other peers. */
const size_t READ_BYTES = 64 * 1024;
/* Calls before the measurement: more than a block of frames. */
const int WARM_UP = 40;
/* The maximum length of a message. */
const uint64_t MAX_BYTES = 16 * 1024 * 1024;

uint64_t frames = 0;
uint64_t bytes = 0;

/* Does what WebSocketContext.h does for a connection without compression, except the sockets. */
struct Receiver {
    static bool setCompressed(uWS::WebSocketState<true> *, void *) { return false; }

    static void forceClose(uWS::WebSocketState<true> *, void *, std::string_view reason = {}) {
        std::cerr << "the connection failed: " << reason << std::endl;
        std::exit(1);
    }

    static bool refusePayloadLength(uint64_t length, uWS::WebSocketState<true> *, void *) { return length > MAX_BYTES; }

    static bool handleFragment(char *data, size_t length, unsigned int remaining, int opCode, bool fin,
                               uWS::WebSocketState<true> *state, void *user) {
        std::string &fragments = *static_cast<std::string *>(user);
        if (!remaining && fin && !fragments.length()) {
            return deliver(data, length, opCode, state, user);
        }
        if (!fragments.length()) {
            fragments.reserve(length + remaining);
        }
        if (refusePayloadLength(length + fragments.length(), state, user)) {
            forceClose(state, user, uWS::ERR_TOO_BIG_MESSAGE);
        }
        fragments.append(data, length);
        if (!remaining && fin) {
            deliver(fragments.data(), fragments.length(), opCode, state, user);
            fragments.clear();
        }
        return false;
    }

    static bool deliver(char *data, size_t length, int opCode, uWS::WebSocketState<true> *state, void *user) {
        if (opCode == uWS::TEXT && !uWS::protocol::isValidUtf8(reinterpret_cast<unsigned char *>(data), length)) {
            forceClose(state, user, uWS::ERR_INVALID_TEXT);
        }
        frames++;
        bytes += length;
        /* Keeps the compiler from assuming that the message is never read. */
        asm volatile("" : : "r"(data) : "memory");
        return false;
    }
};

uint64_t nanoseconds() {
    timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return uint64_t(time.tv_sec) * 1000000000 + uint64_t(time.tv_nsec);
}

/* Calls `work` to warm up, and then until at least `min_frames` frames are done. */
template <typename Work> void measure(uint64_t min_frames, Work work) {
    for (int i = 0; i < WARM_UP; i++) {
        work();
    }
    frames = bytes = 0;
    const uint64_t start = nanoseconds();
    while (frames < min_frames) {
        work();
    }
    const uint64_t taken = nanoseconds() - start;
    std::printf("%llu %llu %llu\n", (unsigned long long) frames, (unsigned long long) bytes,
                (unsigned long long) taken);
}

void receive(const std::vector<char> &stream, uint64_t min_frames) {
    std::vector<char> buffer(LIBUS_RECV_BUFFER_PADDING + READ_BYTES + LIBUS_RECV_BUFFER_PADDING);
    char *const room = buffer.data() + LIBUS_RECV_BUFFER_PADDING;
    uWS::WebSocketState<true> state;
    std::string fragments;
    size_t at = 0;
    measure(min_frames, [&] {
        for (size_t filled = 0; filled < READ_BYTES;) {
            const size_t length = std::min(READ_BYTES - filled, stream.size() - at);
            memcpy(room + filled, stream.data() + at, length);
            filled += length;
            at = (at + length) % stream.size();
        }
        uWS::WebSocketProtocol<true, Receiver>::consume(room, READ_BYTES, &state, &fragments);
    });
}

void send(const std::vector<char> &payload, uint64_t min_frames) {
    std::vector<char> buffer(READ_BYTES + uWS::protocol::messageFrameSize(payload.size()));
    measure(min_frames, [&] {
        for (size_t filled = 0; filled < READ_BYTES;) {
            /* Keeps the compiler from assuming that all messages are the same. */
            const char *data = payload.data();
            size_t length = payload.size();
            asm volatile("" : "+r"(data), "+r"(length));
            filled += uWS::protocol::formatMessage<true>(buffer.data() + filled, data, length, uWS::BINARY, length,
                                                         false, true);
            frames++;
            bytes += length;
        }
        asm volatile("" : : "r"(buffer.data()) : "memory");
    });
}

} // namespace

int main(int count, char **arguments) {
    const std::string direction = count == 3 ? arguments[1] : "";
    const uint64_t min_frames = count == 3 ? std::strtoull(arguments[2], nullptr, 10) : 0;
    std::ios::sync_with_stdio(false);
    const std::vector<char> input{std::istreambuf_iterator<char>(std::cin), {}};
    if (direction == "receive" && !input.empty()) {
        receive(input, min_frames);
    } else if (direction == "send" && !input.empty()) {
        send(input, min_frames);
    } else {
        std::cerr << "usage: uwebsockets_codec receive|send FRAMES" << std::endl;
        return 2;
    }
}
