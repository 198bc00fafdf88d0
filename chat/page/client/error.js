/*
 * Why something that was asked of the chat did not happen.
 */

/**
 * `code` is the server's, for programs (docs/protocol.md lists them), or one of
 * the client's own:
 *
 * - `disconnected`: there is no connection, or it ended before the answer;
 * - `timeout`: no answer came in time;
 * - `unreachable`: the HTTP request failed on its way;
 * - `discarded`: the message was taken out of the queue.
 *
 * `message` is a sentence for people, in English. `retryAfter` are the seconds to
 * wait before the next try, where the server said so. `event` is what was asked for
 * over the WebSocket, where it was: a code may mean something else for each.
 */
export class ChatError extends Error {
  constructor(code, message, { retryAfter = null, event = null } = {}) {
    super(message ?? code);
    this.name = 'ChatError';
    this.code = code;
    this.retryAfter = retryAfter;
    this.event = event;
  }
}
