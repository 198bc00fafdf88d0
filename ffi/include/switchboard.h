/* The WebSocket engine of switchboard, RFC 6455 and RFC 7692, without I/O.
 *
 * A connection takes the bytes that its caller has read from the network, returns events, and has the bytes to write:
 *
 *     for (;;) switch (switchboard_connection_next(connection)) {
 *         case SWITCHBOARD_NEXT_READ:   read, then take all events with switchboard_connection_receive
 *         case SWITCHBOARD_NEXT_ANSWER: switchboard_connection_accept or switchboard_connection_reject
 *         case SWITCHBOARD_NEXT_WRITE:  write switchboard_connection_output, then switchboard_connection_wrote
 *         case SWITCHBOARD_NEXT_END:    end TCP, and free the connection
 *     }
 *
 * Pings and Closes are answered by themselves, and a violation gets the Close with the code that fits.
 *
 * Ownership: what ..._new returns is freed by ..._free. All other pointers of this library are to memory of a handle.
 * Threads: handles may be passed between threads; two calls that change the same handle must not run at the same time.
 * Errors: a call that cannot be done returns why, and says what has changed. NULL is never followed.
 * Made by cbindgen from the documentation of the package switchboard-ffi: do not edit. */

#ifndef SWITCHBOARD_H
#define SWITCHBOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What a call returns: 0, or why it has failed.
typedef enum {
    // The call has done what it is for.
    SWITCHBOARD_RESULT_OK = 0,
    // A pointer is NULL that must not be. Nothing has changed.
    SWITCHBOARD_RESULT_NULL_POINTER = 1,
    // An argument has a value that is not allowed, such as text that is not UTF-8. Nothing has changed, except where
    // the function says so.
    SWITCHBOARD_RESULT_INVALID_ARGUMENT = 2,
    // The call is not allowed at this point, such as a message before the handshake is done, or after our Close.
    // Nothing has changed.
    SWITCHBOARD_RESULT_WRONG_STATE = 3,
    // The peer's opening handshake is refused. A server has the response in its output. The connection is CLOSED.
    SWITCHBOARD_RESULT_HANDSHAKE_FAILED = 4,
    // The peer has broken a rule of RFC 6455 or RFC 7692, or a limit. The Close for it is in the output, and no event
    // follows.
    SWITCHBOARD_RESULT_PROTOCOL_ERROR = 5,
    // The operating system has no random bytes, which a client needs.
    SWITCHBOARD_RESULT_NO_RANDOM_BYTES = 6,
    // The library has a bug. A panic was caught; the handle can only be freed.
    SWITCHBOARD_RESULT_BUG = 7,
} switchboard_result;

// What an event is.
typedef enum {
    // No further event in these bytes.
    SWITCHBOARD_EVENT_KIND_NONE = 0,
    // A server has a valid request, and waits for an answer.
    SWITCHBOARD_EVENT_KIND_REQUEST = 1,
    // A client's connection is open.
    SWITCHBOARD_EVENT_KIND_OPENED = 2,
    // A whole text message. It is UTF-8.
    SWITCHBOARD_EVENT_KIND_TEXT = 3,
    // A whole binary message.
    SWITCHBOARD_EVENT_KIND_BINARY = 4,
    // A Ping, of at most 125 bytes. The Pong is in the output already.
    SWITCHBOARD_EVENT_KIND_PING = 5,
    // A Pong, of at most 125 bytes.
    SWITCHBOARD_EVENT_KIND_PONG = 6,
    // The peer's Close, with its reason, which is UTF-8. The answer is in the output already. No event follows.
    SWITCHBOARD_EVENT_KIND_CLOSE = 7,
} switchboard_event_kind;

// What the caller does next with a connection.
typedef enum {
    // Read, and give the bytes to switchboard_connection_receive.
    SWITCHBOARD_NEXT_READ = 0,
    // Write the output.
    SWITCHBOARD_NEXT_WRITE = 1,
    // Answer the request: switchboard_connection_accept or switchboard_connection_reject.
    SWITCHBOARD_NEXT_ANSWER = 2,
    // End TCP: all output is written, and nothing that arrives has a meaning.
    //
    // A server ends its side first (shutdown with SHUT_WR), and reads and drops what still comes for a moment: a
    // socket that is closed with unread input sends a reset, which may overtake the last output. A client waits for
    // the server's end.
    SWITCHBOARD_NEXT_END = 3,
} switchboard_next;

// The state of a connection, in the words of RFC 6455.
typedef enum {
    // The opening handshake is under way.
    SWITCHBOARD_STATE_CONNECTING = 0,
    // Messages flow both ways.
    SWITCHBOARD_STATE_OPEN = 1,
    // One of the two Close frames was sent or received.
    SWITCHBOARD_STATE_CLOSING = 2,
    // Both Close frames were exchanged, or the connection has failed.
    SWITCHBOARD_STATE_CLOSED = 3,
} switchboard_state;

// Limits and compression for any number of connections. Set it up once; after that several threads may make
// connections with it at the same time. A connection keeps what it needs, so the configuration may be freed first.
typedef struct switchboard_config switchboard_config;

// A connection, from the first byte of its opening handshake to the end of TCP.
//
// Two calls with the same connection must not run at the same time; it may be used by one thread after another.
typedef struct switchboard_connection switchboard_connection;

// The request of a client's opening handshake.
typedef struct switchboard_request switchboard_request;

// Bytes that the library owns, without a NUL at their end. `data` is NULL if there is no value at all; an empty value
// has a pointer that must not be read.
typedef struct {
    // The first byte, or NULL.
    const uint8_t *data;
    // The number of bytes.
    size_t length;
} switchboard_bytes;

// An event in bytes from the peer.
typedef struct {
    // What it is.
    switchboard_event_kind kind;
    // The code of the peer's Close, or 1005 if it has none. After SWITCHBOARD_RESULT_PROTOCOL_ERROR the code of the
    // Close that answers it. Otherwise 0.
    uint16_t close_code;
    // The payload, until the next call of switchboard_connection_receive with this connection, or until the caller
    // changes the bytes that it gave.
    switchboard_bytes data;
} switchboard_event;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Returns the version of the library, such as "0.1.0".
const char *switchboard_version(void);

// Returns a new configuration with the default limits and without compression. Never NULL.
switchboard_config *switchboard_config_new(void);

// Frees a configuration. NULL is allowed.
void switchboard_config_free(switchboard_config *config);

// Sets the longest message that is received, all frames together, in bytes. Default 16 MiB.
//
// The connection fails with 1009 at the header of the frame that exceeds it. For a compressed message it also limits
// the inflated bytes.
switchboard_result switchboard_config_set_max_message_bytes(switchboard_config *config, uint64_t bytes);

// Sets the longest frame that is received, in bytes. Default 16 MiB. The connection fails with 1009 at the header of a
// longer one.
switchboard_result switchboard_config_set_max_frame_bytes(switchboard_config *config, uint64_t bytes);

// Sets how many data frames in a row may be empty. Default 10,000. The connection fails with 1008 at the next one.
switchboard_result switchboard_config_set_max_empty_frames(switchboard_config *config, uint32_t count);

// Sets the longest head of a request or response, in bytes. Default 16 KiB. The status for a longer request is 431 or
// 414.
switchboard_result switchboard_config_set_max_head_bytes(switchboard_config *config, size_t bytes);

// Sets how many header fields a request or response may have. Default 64. The status for more is 431.
switchboard_result switchboard_config_set_max_headers(switchboard_config *config, size_t count);

// Sets whether permessage-deflate (RFC 7692) is offered by clients and accepted by servers. Default false.
//
// The connections of a configuration share compressors and inflaters, and a lock that is held to take one.
switchboard_result switchboard_config_set_deflate(switchboard_config *config, bool is_on);

// Sets the compression level: 1 (fastest, the default) to 9 (smallest), or 0 to compress nothing and only inflate.
// Others are an invalid argument.
switchboard_result switchboard_config_set_deflate_level(switchboard_config *config, uint32_t level);

// Sets which messages are compressed: those of at least `min` and at most `max` bytes. Default 256 bytes and 1 MiB,
// since a message is compressed at once, which takes some milliseconds for 1 MiB.
switchboard_result switchboard_config_set_deflate_bytes(switchboard_config *config, size_t min, size_t max);

// Sets the memory for context takeover of all connections together, in bytes. Default 0: no context takeover.
//
// Each peer that may use its context reserves 32 KiB. Our compressors share the rest: 280 KB each with the largest
// window. With secrets in messages, leave it at 0: the length of a compressed message tells about the ones before it.
switchboard_result switchboard_config_set_deflate_memory(switchboard_config *config, size_t bytes);

// Sets how many unfinished messages of all connections together are inflated as they arrive. Default 16. Each takes
// about 100 KB until it is whole; others wait, compressed, until they are whole.
switchboard_result switchboard_config_set_deflate_max_unfinished(switchboard_config *config, size_t count);

// Returns a server's end of a new connection, which awaits the client's request. Never NULL.
//
// `config` may be NULL, for the defaults without compression.
switchboard_connection *switchboard_connection_new_server(const switchboard_config *config);

// Makes a client's end of a new connection, with the request in its output.
//
// `config` may be NULL, for the defaults without compression. If it fails, `connection` is set to NULL: the request
// holds something that must not be sent, or the system has no random bytes.
switchboard_result switchboard_connection_new_client(const switchboard_config *config,
                                                     const switchboard_request *request,
                                                     switchboard_connection **connection);

// Frees a connection, whatever its state. NULL is allowed.
void switchboard_connection_free(switchboard_connection *connection);

// Returns the target of the request that waits for an answer, as it was sent: almost always a path with a query.
//
// Like all parts of the request, it is valid until the request is answered; without one it is NULL.
switchboard_bytes switchboard_connection_target(const switchboard_connection *connection);

// Returns the path of the request, without its query.
switchboard_bytes switchboard_connection_path(const switchboard_connection *connection);

// Returns the query of the request, without the "?" and not decoded; NULL if there is no "?".
switchboard_bytes switchboard_connection_query(const switchboard_connection *connection);

// Returns the host that the request is for, with its port if it has one.
switchboard_bytes switchboard_connection_host(const switchboard_connection *connection);

// Returns the Origin: the page that opens the connection, as browsers send it; NULL if there is none.
//
// A server that identifies users by cookies must check it, because browsers send cookies for any page:
// switchboard_connection_is_same_origin.
switchboard_bytes switchboard_connection_origin(const switchboard_connection *connection);

// Returns whether the request may use the cookies of a user: it has no Origin, so no browser sent it, or one with the
// request's own host. False if there is no request.
//
// `is_tls` says whether the connection speaks TLS: then only a page of https is of the same origin.
bool switchboard_connection_is_same_origin(const switchboard_connection *connection, bool is_tls);

// Returns the value of the request's header field with this name, ignoring case: of several, the one with this index,
// from 0. NULL if there is none. The value may hold any bytes except NUL, CR and LF.
//
// # Safety
// The name ends with a NUL.
switchboard_bytes switchboard_connection_header(const switchboard_connection *connection,
                                                const char *name,
                                                size_t index);

// Returns the subprotocol with this index, from 0, of those that the request offers, in the client's order of
// preference. NULL if there are no more.
switchboard_bytes switchboard_connection_offered_subprotocol(const switchboard_connection *connection, size_t index);

// Adds a header field to the response, before switchboard_connection_accept or switchboard_connection_reject, which
// check it.
//
// # Safety
// Each string ends with a NUL.
switchboard_result switchboard_connection_add_header(switchboard_connection *connection,
                                                     const char *name,
                                                     const char *value);

// Accepts the request. The connection is OPEN, with the response in its output.
//
// `subprotocol` is one of those that the request offers, or NULL for none. Of permessage-deflate the first usable
// offer is accepted, if the configuration has it on.
//
// An invalid argument is a subprotocol that is not offered, or a header field that must not be sent. The client then
// gets the status 500, and the connection is CLOSED.
//
// # Safety
// The string ends with a NUL.
switchboard_result switchboard_connection_accept(switchboard_connection *connection, const char *subprotocol);

// Rejects the request with a status of HTTP, 200 to 599, and a text of `length` bytes. The connection is CLOSED, with
// the response in its output.
//
// An invalid argument is another status, or a header field that must not be sent. The client then gets the status 500.
// A text that is not UTF-8 changes nothing.
//
// # Safety
// `body` points to `length` bytes, or is NULL if there are none.
switchboard_result switchboard_connection_reject(switchboard_connection *connection,
                                                 uint16_t status,
                                                 const uint8_t *body,
                                                 size_t length);

// Returns the subprotocol that the server has chosen, as long as the connection exists; NULL if there is none.
switchboard_bytes switchboard_connection_subprotocol(const switchboard_connection *connection);

// Returns what a result means, in English. The text is never freed.
//
// switchboard_connection_error_text says more about the last failure of a connection.
const char *switchboard_result_text(uint32_t result);

// Returns a request, or NULL if a string is NULL or not UTF-8.
//
// `host` is the host, with its port if that is not the scheme's default: "example.com:8080". `target` is the path with
// the query: "/chat?room=1". They are checked when a connection is made.
//
// # Safety
// Each string ends with a NUL.
switchboard_request *switchboard_request_new(const char *host, const char *target);

// Frees a request. NULL is allowed.
void switchboard_request_free(switchboard_request *request);

// Sets the Origin, which only browsers must send.
//
// # Safety
// The string ends with a NUL.
switchboard_result switchboard_request_set_origin(switchboard_request *request, const char *origin);

// Adds a subprotocol to those that are offered, the preferred one first.
//
// # Safety
// The string ends with a NUL.
switchboard_result switchboard_request_add_subprotocol(switchboard_request *request, const char *subprotocol);

// Adds a header field, such as "Authorization" or "Cookie".
//
// # Safety
// Each string ends with a NUL.
switchboard_result switchboard_request_add_header(switchboard_request *request, const char *name, const char *value);

// Sends a text message. It is compressed if that is negotiated and the configuration says so.
//
// An invalid argument is a text that is not UTF-8. The wrong state is a connection that is not open, or whose Close is
// sent.
//
// # Safety
// `text` points to `length` bytes, or is NULL if there are none. They are not part of this connection's output.
switchboard_result switchboard_connection_send_text(switchboard_connection *connection,
                                                    const uint8_t *text,
                                                    size_t length);

// Sends a binary message, as switchboard_connection_send_text.
//
// # Safety
// `payload` points to `length` bytes, or is NULL if there are none. They are not part of this connection's output.
switchboard_result switchboard_connection_send_binary(switchboard_connection *connection,
                                                      const uint8_t *payload,
                                                      size_t length);

// Sends a text message that is never compressed: one with a secret beside text that somebody else has chosen, since
// the length would tell about the secret.
//
// # Safety
// As of switchboard_connection_send_text.
switchboard_result switchboard_connection_send_text_uncompressed(switchboard_connection *connection,
                                                                 const uint8_t *text,
                                                                 size_t length);

// Sends a binary message that is never compressed.
//
// # Safety
// As of switchboard_connection_send_binary.
switchboard_result switchboard_connection_send_binary_uncompressed(switchboard_connection *connection,
                                                                   const uint8_t *payload,
                                                                   size_t length);

// Sends the next fragment of a text message, for a message whose end is not known yet. `fin` says that it is the last
// one. Each fragment is UTF-8 by itself. Until the last one no other message may be sent.
//
// # Safety
// As of switchboard_connection_send_text.
switchboard_result switchboard_connection_send_text_fragment(switchboard_connection *connection,
                                                             const uint8_t *text,
                                                             size_t length,
                                                             bool fin);

// Sends the next fragment of a binary message, as switchboard_connection_send_text_fragment.
//
// # Safety
// As of switchboard_connection_send_binary.
switchboard_result switchboard_connection_send_binary_fragment(switchboard_connection *connection,
                                                               const uint8_t *payload,
                                                               size_t length,
                                                               bool fin);

// Sends a Ping of at most 125 bytes.
//
// # Safety
// As of switchboard_connection_send_binary.
switchboard_result switchboard_connection_send_ping(switchboard_connection *connection,
                                                    const uint8_t *payload,
                                                    size_t length);

// Sends a Pong of at most 125 bytes that answers no Ping. Those that do are sent by themselves.
//
// # Safety
// As of switchboard_connection_send_binary.
switchboard_result switchboard_connection_send_pong(switchboard_connection *connection,
                                                    const uint8_t *payload,
                                                    size_t length);

// Starts the closing handshake: sends a Close with this code, and a reason of at most 123 bytes. 1005 is a Close
// without code, which has no reason. Messages of the peer may still arrive, until its own Close.
//
// An invalid argument is a code that must not be sent, such as 1006, or a longer reason.
//
// # Safety
// `reason` points to `length` bytes, or is NULL if there are none. They are not part of this connection's output.
switchboard_result switchboard_connection_send_close(switchboard_connection *connection,
                                                     uint16_t code,
                                                     const uint8_t *reason,
                                                     size_t length);

// Fails the connection for a reason outside of the protocol, such as a deadline: sends a Close as
// switchboard_connection_send_close, unless one is sent, and drops what the peer still sends.
//
// # Safety
// As of switchboard_connection_send_close.
switchboard_result switchboard_connection_fail(switchboard_connection *connection,
                                               uint16_t code,
                                               const uint8_t *reason,
                                               size_t length);

// Returns the next event in bytes from the peer, which are unmasked in place.
//
// The bytes may be cut anywhere; the events are the same. `used` is set to the number of them that are read: call it
// again with the rest, until the event is NONE. A caller that stops earlier, because much output waits, keeps the rest
// and gives it before later bytes.
//
// An error ends the connection, and what answers it is in the output already: a response with the status that fits,
// or the Close with the code that fits, which `event` has. Later bytes are dropped.
//
// # Safety
// `bytes` points to `length` initialised bytes, or is NULL if there are none. Nothing else uses them during the call.
switchboard_result switchboard_connection_receive(switchboard_connection *connection,
                                                  uint8_t *bytes,
                                                  size_t length,
                                                  size_t *used,
                                                  switchboard_event *event);

// Returns the bytes to write to the peer, until the next call that takes the connection as not const.
switchboard_bytes switchboard_connection_output(const switchboard_connection *connection);

// Removes the first `count` bytes from the output, because they are written.
switchboard_result switchboard_connection_wrote(switchboard_connection *connection, size_t count);

// Returns what to do next with the connection. SWITCHBOARD_NEXT_END for NULL.
//
// As long as there is output, it is WRITE. A caller that reads only when it is READ bounds its memory: a peer that
// reads no answers is not read from.
switchboard_next switchboard_connection_next(const switchboard_connection *connection);

// Returns the state of the connection. CLOSED for NULL.
switchboard_state switchboard_connection_state(const switchboard_connection *connection);

// Returns whether the peer has begun a request, a response, a frame or a message that it has not finished: a reason to
// have a deadline.
bool switchboard_connection_has_unfinished(const switchboard_connection *connection);

// Returns how many bytes on the heap the connection has for what the peer has sent: an unfinished message, and the
// payload of the last event. The output is apart.
uint64_t switchboard_connection_allocated_bytes(const switchboard_connection *connection);

// Returns what was wrong in the last call that has failed, in English, until the next one; empty if none has. For logs:
// it may repeat a little of what the peer has sent.
const char *switchboard_connection_error_text(const switchboard_connection *connection);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SWITCHBOARD_H */
