/*
 * The chat's client for web pages. It implements docs/protocol.md and has no user
 * interface: it touches no element of the page, and any page may import it.
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
 * `emit` sends any event of the protocol once and returns its reply. It fails with a
 * `ChatError` if there is no connection or the reply is an error; `code`
 * says why. `say` and `tell` are repeated, also on later connections, until the server
 * has acknowledged or refused them.
 *
 * `on` registers a handler for an event of the protocol. `message` comes exactly once
 * and in order for each message of the user's rooms, including those missed while
 * disconnected. The user's own message comes after `pending` has reported its `seq`.
 * Messages from before the user joined are not reported: request `history`. The client
 * adds these events:
 *
 * - `state`, `{state, …}`: the state of the connection, see `Connection.status` and `connectionToChat`;
 * - `conversations`, `{more}`: whether there are older conversations to request, see
 *   `moreConversations`; comes after each `welcome` too;
 * - `blocks`, `{names, more}`: blocked users whom the `welcome` lacks, and whether more of them follow;
 * - `gap`, `{room}`: some missed messages cannot be reported one by one, or messages that were
 *   reported no longer exist; drop the room's messages, and request `history`;
 * - `pending`, `{key, event, data, state, error?, result?}`: a message of the user is now
 *   `waiting` for a connection, `sending`, `acknowledged` (`result` has its `seq`),
 *   `failed` (see `retry` and `discard`) or `discarded`.
 *
 * | file | contents |
 * |---|---|
 * | `client/account.js` | sign-in and session, over HTTP |
 * | `client/connection.js` | one connection that reconnects, with any events |
 * | `client/chat_connection.js` | the same with the chat's events |
 * | `client/room_sync.js` | catch-up: each message once and in order |
 * | `client/outbox.js` | messages that are not acknowledged yet |
 * | `client/error.js` | `ChatError` |
 */

import { Account } from './client/account.js';
import { connectionToChat } from './client/chat_connection.js';
import { Handlers } from './client/connection.js';
import { RoomSync } from './client/room_sync.js';
import { Outbox } from './client/outbox.js';

export { ChatError } from './client/error.js';

// The replies to these events contain a room that the user is now in.
const JOINING_EVENTS = ['join', 'create', 'direct'];
const RETRY_AFTER = 1_000;

export class Client {
  #account;
  #connection;
  #outbox;
  #sync;
  #handlers = new Handlers();
  #you = null;
  #older = null; // where the list of the user's conversations continues, null if it is complete
  #connectionCount = 0; // counts connections, to stop work that an earlier one began

  /**
   * - `base`: the URL of the chat, by default that of the page;
   * - `token`: a session token, for pages of other origins, whose cookies do not count;
   * - `outbox`: storage that keeps unsent messages over a reload: `{load(), save(value)}`;
   * - `times`: replaces some of the default times, see `Connection`.
   */
  constructor({ base = globalThis.location?.href, token, outbox, times } = {}) {
    const url = new URL('ws', base);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    url.hash = '';

    const request = (event, data) => this.#request(event, data);
    this.#account = new Account(base);
    this.#connection = connectionToChat({
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
      isAckDue: (message) => message.from === this.#you?.name && this.#outbox.isAckDue(message),
      onFound: (room) => this.#handle('room', room),
      onLost: ({ room }) => this.#handle('gone', { room, reason: 'left' }),
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

  /** Ends the session and the connection, and discards unsent messages. See `Account` for `remove`. */
  async logout({ remove } = {}) {
    await this.#account.logout({ remove });
    this.forget();
  }

  /** Connects, and reconnects until `forget` or the end of the session. */
  connect() {
    this.#connection.connect();
  }

  /** Reconnects now instead of after the pause. */
  retryNow() {
    this.#connection.retryNow();
  }

  /** Ends the connection and forgets the user, the positions in the rooms and unsent messages. */
  forget() {
    this.#connection.close();
    this.#outbox.setUser(null);
    this.#sync.clear();
    this.#you = null;
  }

  /** Calls `handler(data)` for each such event. Returns a function that removes the handler. */
  on(event, handler) {
    return this.#handlers.on(event, handler);
  }

  get status() {
    return this.#connection.status;
  }

  /** Sends an event once; the promise resolves to its reply or rejects with a `ChatError`. */
  async emit(event, data) {
    const reply = await this.#request(event, data);
    if (JOINING_EVENTS.includes(event)) {
      this.#handle('room', reply.room);
      if (!reply.live) this.#sync.join(reply.room.room);
    }
    return reply;
  }

  /** Requests older conversations, which come as events `room`. `conversations` tells whether there are more. */
  async moreConversations() {
    let isNew = false;
    // After a new `welcome`, the list begins with conversations that were reported earlier.
    while (this.#older && !isNew) {
      const { rooms, older } = await this.#request('conversations', { older: this.#older });
      this.#older = older;
      isNew = rooms.some(({ room }) => !this.#sync.has(room));
      rooms.forEach((room) => this.#handle('room', room));
    }
    this.#dispatch('conversations', { more: this.#older !== null });
  }

  /** Sends a message to a room as soon as there is a connection. Resolves to `{seq, time}`. */
  say(room, text) {
    return this.#outbox.add('say', { room, text });
  }

  /** Sends a private message to a user. Resolves to `{room, seq, time}`. */
  tell(name, text) {
    return this.#outbox.add('tell', { name, text });
  }

  /** The messages that are not acknowledged, in the form of `pending`, oldest first. */
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
      // The server answers every event. If it does not, the connection is broken,
      // and only the next connection can tell whether the message was stored.
      if (error.code === 'timeout') this.#connection.abandon('the server did not answer a request');
      throw error;
    }
  }

  #handle(event, data) {
    if (event === 'message') {
      this.#sync.receive(data);
      return;
    }
    // From another connection of the user.
    if (event === 'typing' && data.name === this.#you?.name) return;
    if (event === 'welcome' && data.you.name !== this.#you?.name) this.#sync.clear();
    if (event === 'welcome') this.#you = data.you;
    if (event === 'room') this.#sync.enter(data);
    if (event === 'gone') this.#sync.leave(data);
    this.#dispatch(event, data);
    if (event === 'welcome') this.#resume(data);
  }

  // The outbox resumes before the rooms: so the ack with the `seq` of the user's own
  // message comes before the message itself.
  async #resume({ you, rooms, older, blocked, blocked_more: hasMoreBlocked }) {
    const welcome = ++this.#connectionCount;
    this.#older = older;
    this.#dispatch('conversations', { more: older !== null });
    this.#sync.start(rooms, older === null);
    if (hasMoreBlocked) this.#loadBlocked(blocked.at(-1), welcome);
    this.#outbox.setUser(you.name);
    await this.#outbox.resume();
    if (welcome === this.#connectionCount) await this.#sync.resume();
  }

  /** Reports the blocked users whom the `welcome` lacks. */
  async #loadBlocked(last, welcome) {
    for (let more = true; more && welcome === this.#connectionCount;) {
      try {
        const page = await this.#request('blocks', { after: last });
        if (welcome !== this.#connectionCount) return;
        more = page.more;
        this.#dispatch('blocks', { names: page.blocked, more });
        last = page.blocked.at(-1);
      } catch ({ code }) {
        if (code === 'unknown_person') last = null; // This user is gone meanwhile: begins again.
        await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER));
      }
    }
  }

  #statusChanged(status) {
    if (status.state !== 'open') {
      this.#connectionCount += 1;
      this.#sync.pause(); // First: held messages must not be released without their ack.
      this.#outbox.pause();
    }
    this.#dispatch('state', status);
  }

  #pending(item) {
    this.#dispatch('pending', item);
    if (item.state !== 'sending') this.#sync.releaseAll();
  }

  #dispatch(event, data) {
    this.#handlers.call(event, data);
  }
}
