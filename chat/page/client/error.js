/*
 * The error of a failed request.
 */

/**
 * `code` is a code of the server (docs/protocol.md lists them) or one of the
 * client's own:
 *
 * - `disconnected`: there is no connection, or it ended before the reply;
 * - `timeout`: no reply came in time;
 * - `unreachable`: the HTTP request did not reach the server;
 * - `discarded`: the message was removed from the queue.
 *
 * `message` is an English sentence for users. `retryAfter` is the number of seconds to
 * wait before the next try, or null. `event` is the event that failed, or null for an
 * HTTP request: a code may have another meaning for another event. `rooms` are the numbers of
 * the rooms that `last_member` is about.
 */
export class ChatError extends Error {
  constructor(code, message, { retryAfter = null, event = null, rooms = [] } = {}) {
    super(message ?? code);
    this.name = 'ChatError';
    this.code = code;
    this.retryAfter = retryAfter;
    this.event = event;
    this.rooms = rooms;
  }
}
