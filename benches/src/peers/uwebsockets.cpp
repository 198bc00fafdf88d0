/* The peer in C++: `uwebsockets echo|broadcast [--port PORT]`, based on EchoServer.cpp and Broadcast.cpp of
 * uWebSockets' own examples. */

#include "App.h"

#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

namespace {

struct PerSocketData {};

const char *const EVERYONE = "everyone";

int usage() {
    std::cerr << "usage: uwebsockets echo|broadcast [--port PORT]" << std::endl;
    return 2;
}

} // namespace

int main(int count, char **arguments) {
    const std::string mode = count > 1 ? arguments[1] : "";
    if ((mode != "echo" && mode != "broadcast") || (count != 2 && count != 4)) {
        return usage();
    }
    if (count == 4 && std::string(arguments[2]) != "--port") {
        return usage();
    }
    const int port = count == 4 ? std::atoi(arguments[3]) : 0;

    uWS::App app;
    uWS::App::WebSocketBehavior<PerSocketData> behavior = {
        .compression = uWS::DISABLED,
        .maxPayloadLength = 16 * 1024 * 1024,
        .idleTimeout = 120,
        .maxBackpressure = 16 * 1024 * 1024,
    };
    if (mode == "echo") {
        behavior.message = [](auto *ws, std::string_view message, uWS::OpCode opcode) { ws->send(message, opcode); };
    } else {
        behavior.open = [](auto *ws) { ws->subscribe(EVERYONE); };
        behavior.message = [&app](auto * /*ws*/, std::string_view message, uWS::OpCode opcode) {
            app.publish(EVERYONE, message, opcode);
        };
    }
    bool listening = false;
    app.ws<PerSocketData>("/*", std::move(behavior)).listen("127.0.0.1", port, [&](us_listen_socket_t *socket) {
        if (socket) {
            listening = true;
            const int taken = us_socket_local_port(0, reinterpret_cast<us_socket_t *>(socket));
            std::cout << "listening on 127.0.0.1:" << taken << std::endl;
        }
    });
    if (!listening) {
        std::cerr << "cannot listen on port " << port << std::endl;
        return 1;
    }
    app.run();
}
