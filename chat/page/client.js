/*
 * The chat for web pages: everything between docs/protocol.md and a user interface.
 * It touches no element of the page, and any page may import it.
 *
 *     import { Client } from './client.js';
 *
 *     const client = new Client();
 *     client.on('welcome', ({ you, rooms }) => console.log(you.name, rooms));
 *     client.on('message', ({ room, from, text }) => console.log(room, from, text));
 *     client.on('state', ({ state, retryAt }) => console.log(state, retryAt));
 *
 *     await client.login({ name: 'Ada', password: 'a long secret' });
 *     client.connect();
 *     const { messages } = await client.emit('history', { room: 1 });
 *     await client.say(1, 'Hello');
 *
 * `emit` sends any event of the protocol once and gives its answer; it fails with a
 * `ChatError`, whose `code` says why, when there is no connection. `say` and `tell`
 * are sent until the server has them, on later connections too.
 *
 * `on` hears each event of the protocol by its name. `message` comes exactly once
 * for each message of the rooms one is in, in order, including what was missed
 * during a lost connection; one's own not before `pending` has told its place. What
 * was said before one came is not a `message`: ask for `history`. More events are the
 * client's own:
 *
 * - `state`, `{state, …}`: the connection's, see `Connection.status`;
 * - `gap`, `{room}`: messages were missed that cannot be had one by one any more; see `history`;
 * - `pending`, `{key, event, data, state, error?, result?}`: a message of one's own is now
 *   `waiting` for a connection, `sending`, `acknowledged` (its `result` has the place),
 *   `failed` (see `retry` and `discard`) or `discarded`.
 *
 * | file | what |
 * |---|---|
 * | `client/account.js` | who one is, over HTTP |
 * | `client/connection.js` | one lasting connection over many WebSockets |
 * | `client/room_sync.js` | each message once and in order |
 * | `client/outbox.js` | what was said and is not acknowledged yet |
 * | `client/error.js` | `ChatError` |
 */

import { Account } from './client/account.js';
import { Connection } from './client/connection.js';
import { RoomSync } from './client/room_sync.js';
import { Outbox } from './client/outbox.js';

export { ChatError } from './client/error.js';

// Their answers are rooms that one is in from then on.
const JOINING_EVENTS = ['join', 'create', 'direct'];

export class Client {
  #account;
  #connection;
  #outbox;
  #sync;
  #handlers = new Map();
  #you = null;
  #connectionCount = 0; // counts connections, so that what began on an earlier one stops

  /**
   * - `base`: where the chat is, unless it is where the page is;
   * - `token`: a session's, for pages of other origins, whose cookies do not count;
   * - `outbox`: keeps what is unsent over a reload: `{load(), save(value)}`;
   * - `times`: other times than the protocol's, see `Connection`.
   */
  constructor({ base = globalThis.location?.href, token, outbox, times } = {}) {
    const url = new URL('ws', base);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.hash = '';

    const request = (event, data) => this.#request(event, data);
    this.#account = new Account(base);
    this.#connection = new Connection({
      url,
      token,
      times,
      onEvent: (event, data) => this.#handle(event, data),
      onStatus: (status) => this.#statusChanged(status),
    });
    this.#outbox = new Outbox({ request, storage: outbox, onChange: (item) => this.#pending(item) });
    this.#sync = new RoomSync({
      request,
      deliver: (message) => this.#dispatch('message', message),
      onGap: (gap) => this.#dispatch('gap', gap),
      isUnanswered: (message) => message.from === this.#you?.name && this.#outbox.isUnanswered(message),
    });
  }

  /** See `Account`: `session()`, `register(…)`, `login(…)`, `guest(…)`. */
  session() {
    return this.#account.session();
  }

  register(credentials) {
    return this.#account.register(credentials);
  }

  login(credentials) {
    return this.#account.login(credentials);
  }

  guest(credentials) {
    return this.#account.guest(credentials);
  }

  /** Ends the session and the connection, and forgets what was not sent. */
  async logout() {
    await this.#account.logout();
    this.forget();
  }

  /** Connects, and stays connected until `forget` or the end of the session. */
  connect() {
    this.#connection.connect();
  }

  /** Tries now what would be tried after a pause. */
  retryNow() {
    this.#connection.retryNow();
  }

  /** Ends the connection and forgets who one was, where in the rooms, and what was not sent. */
  forget() {
    this.#connection.close();
    this.#outbox.setUser(null);
    this.#sync.clear();
    this.#you = null;
  }

  /** Calls `handler(data)` at each such event; gives a function that ends that. */
  on(event, handler) {
    const handlers = this.#handlers.get(event) ?? new Set();
    this.#handlers.set(event, handlers.add(handler));
    return () => handlers.delete(handler);
  }

  get status() {
    return this.#connection.status;
  }

  /** Sends an event once; the promise holds its answer or a `ChatError`. */
  async emit(event, data) {
    const answer = await this.#request(event, data);
    if (JOINING_EVENTS.includes(event)) {
      this.#handle('room', answer.room);
      if (!answer.live) this.#sync.join(answer.room.room);
    }
    return answer;
  }

  /** Says a text in a room, as soon as there is a connection: `{seq, time}`. */
  say(room, text) {
    return this.#outbox.add('say', { room, text });
  }

  /** Tells somebody a text in private: `{room, seq, time}`. */
  tell(name, text) {
    return this.#outbox.add('tell', { name, text });
  }

  /** The messages that are not acknowledged, as in `pending`, oldest first. */
  get pending() {
    return this.#outbox.items;
  }

  retry(key) {
    this.#outbox.retry(key);
  }

  discard(key) {
    this.#outbox.discard(key);
  }

  async #request(event, data) {
    try {
      return await this.#connection.request(event, data);
    } catch (error) {
      // The server owes an answer to each event. Where it gives none, the
      // connection is no good, and what was said is known only by the next one.
      if (error.code === 'timeout') this.#connection.abandon('an answer did not come');
      throw error;
    }
  }

  #handle(event, data) {
    if (event === 'message') {
      this.#sync.receive(data);
      return;
    }
    if (event === 'welcome' && data.you.name !== this.#you?.name) this.#sync.clear();
    if (event === 'welcome') this.#you = data.you;
    if (event === 'room') this.#sync.enter(data);
    if (event === 'gone') this.#sync.leave(data);
    this.#dispatch(event, data);
    if (event === 'welcome') this.#resume(data);
  }

  // First what was said, and then the rooms: so the answer that tells the place of a
  // message of ours comes before the message itself.
  async #resume({ you, rooms }) {
    const welcome = ++this.#connectionCount;
    this.#sync.start(rooms);
    this.#outbox.setUser(you.name);
    await this.#outbox.resume();
    if (welcome === this.#connectionCount) await this.#sync.resume();
  }

  #statusChanged(status) {
    if (status.state !== 'open') {
      this.#connectionCount += 1;
      this.#sync.pause(); // First: what it holds back is not to be released without an answer.
      this.#outbox.pause();
    }
    this.#dispatch('state', status);
  }

  #pending(item) {
    this.#dispatch('pending', item);
    if (item.state !== 'sending') this.#sync.releaseAll();
  }

  #dispatch(event, data) {
    for (const handler of this.#handlers.get(event) ?? []) {
      try {
        handler(data);
      } catch (error) {
        queueMicrotask(() => { throw error; }); // Reported, but nobody else's trouble.
      }
    }
  }
}
