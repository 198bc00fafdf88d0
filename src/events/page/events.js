// @ts-check
/*
 * Events between a page and a server of `switchboard::events`.
 *
 *     import { Events } from '/events.js';
 *
 *     const events = new Events();
 *     events.on('said', (text) => console.log(text));
 *     events.on('state', ({ state, retryAt }) => console.log(state, retryAt));
 *     events.emit('say', 'hello');
 *     const votes = await events.emitWithAck('vote', 'tea');
 *
 * The connection is made at once, and again whenever it is lost: after 0.5 to 1 s, then after about twice as long each
 * time, up to 30 s. Events that are emitted while there is none wait in a queue, and are sent in their order.
 *
 * An event is sent once at most. If the connection ends before its acknowledgement, nobody knows whether the server has
 * handled it: the promise rejects with `disconnected`, and the page decides.
 */

import { Connection, Handlers } from './connection.js';

/** @typedef {import('./connection.js').Parser} Parser */
/** @typedef {import('./connection.js').Status} Status */

/**
 * Why an event was not acknowledged. `code` is
 *
 * - `failed`: the server answered so; `message` has its words;
 * - `timeout`: there was no answer in time;
 * - `disconnected`: the connection ended before the answer, or `close` was called;
 * - `full`: the queue has no room, so the event was not sent.
 */
export class EventError extends Error {
  /** @param {string} code @param {string} message @param {string} event */
  constructor(code, message, event) {
    super(message);
    this.name = 'EventError';
    this.code = code;
    this.event = event;
  }
}

/** `[name, data, id]`, `[null, answer, id]`, `[null, null, id, error]`. @type {Parser} */
export const jsonArrays = {
  encode: (packet) => {
    if ('name' in packet) {
      const { name, data = null, id } = packet;
      return JSON.stringify(id === undefined ? [name, data] : [name, data, id]);
    }
    const { ack } = packet;
    return JSON.stringify('error' in packet ? [null, null, ack, packet.error] : [null, packet.data ?? null, ack]);
  },
  decode: (message) => {
    const [name, data, id, error] = JSON.parse(/** @type {string} */ (message));
    if (typeof name === 'string') return { name, data, id: id ?? undefined };
    return error == null ? { ack: id, data } : { ack: id, error };
  },
};

/** `{event, data, id}`, `{ack, data}`, `{ack, error}`. @type {Parser} */
export const jsonObjects = {
  encode: (packet) => {
    if (!('name' in packet)) return JSON.stringify(packet);
    const { name, data, id } = packet;
    return JSON.stringify({ event: name, data, id });
  },
  decode: (message) => {
    const { event, data, id, ack, error } = JSON.parse(/** @type {string} */ (message));
    if (typeof event === 'string') return { name: event, data, id: id ?? undefined };
    return error == null ? { ack, data: data ?? null } : { ack, error };
  },
};

export class Events {
  #handlers = new Handlers();
  /** @type {{send(): void, fail?: (code: string, message: string) => void}[]} */
  #queue = [];
  #connection;
  #maxQueued;

  /**
   * @param {object} [options]
   * @param {string | URL | (() => string | URL)} [options.url] of the server, relative to the page; a function returns
   *   that of each next connection, with a new token, for example. Default: `/` on the page's host.
   * @param {string | string[]} [options.protocols] subprotocols
   * @param {Parser} [options.parser] the form of events. Default: `jsonArrays`.
   * @param {number} [options.maxQueued] so many events wait for a connection at most. Default: 100.
   * @param {string} [options.heartbeat] an event that the server acknowledges, sent every 25 s and when the network may
   *   have changed, so that a dead connection is known after a minute. Default: none; the browser finds it out later.
   * @param {object} [options.times] in milliseconds: `firstPause` (1,000), `longestPause` (30,000), `beatEvery`
   *   (25,000), `silenceLimit` (60,000), `probeLimit` (5,000)
   */
  constructor({ url = '/', protocols, parser = jsonArrays, maxQueued = 100, heartbeat, times } = {}) {
    this.#maxQueued = maxQueued;
    this.#connection = new Connection({
      url: () => absolute(typeof url === 'function' ? url() : url),
      protocols,
      parser,
      times,
      beat: heartbeat && (() => this.#connection.request(heartbeat).catch(() => {})), // Any answer is a sign of life.
      onEvent: (name, data, acknowledge) => this.#receive(name, data, acknowledge),
      onStatus: (status) => this.#statusChanged(status),
      afterClose,
      makeError: (code, message, { event, answer }) => new EventError(code, String(answer ?? message), event),
    });
    this.#connection.connect();
  }

  /** @returns {Status} the data of the latest event `state` */
  get status() {
    return this.#connection.status;
  }

  /**
   * Calls a handler for each event of this name. If the server wants an acknowledgement, it gets what the first handler
   * returns, or what its promise resolves to. Returns a function that removes the handler.
   *
   * The event `state` comes from here, at each change of the connection, and never from the server. Its data is
   * `{state}`: `connecting`, `open`, `closed`, or `waiting` with the `code` and `reason` of the close and the time
   * `retryAt`. If the server has closed the connection for a reason that remains, `closed` has its `code` and `reason`.
   *
   * @param {string} name @param {(data: any) => any} handler @returns {() => void}
   */
  on(name, handler) {
    return this.#handlers.on(name, handler);
  }

  /**
   * As `on`, for the next event only.
   * @param {string} name @param {(data: any) => any} handler @returns {() => void}
   */
  once(name, handler) {
    const remove = this.#handlers.on(name, (data) => {
      remove();
      return handler(data);
    });
    return remove;
  }

  /** Removes a handler of `on`. @param {string} name @param {(data: any) => any} handler */
  off(name, handler) {
    this.#handlers.off(name, handler);
  }

  /**
   * Sends an event, now or when there is a connection. Returns false if it is not sent: the queue has no room, or
   * `close` was called. With a `callback` it wants an acknowledgement, as `emitWithAck` does.
   *
   * @param {string} name @param {any} [data]
   * @param {(error: EventError | null, answer?: any) => void} [callback]
   * @returns {boolean}
   */
  emit(name, data, callback) {
    if (!callback) return !this.#submit({ send: () => this.#connection.send({ name, data }) });
    this.emitWithAck(name, data).then((answer) => callback(null, answer), callback);
    return true;
  }

  /**
   * Sends an event, now or when there is a connection, and resolves to the server's answer, or rejects with an
   * `EventError`. The `timeout`, in milliseconds, begins now. Default: 10,000.
   *
   * @param {string} name @param {any} [data] @param {{timeout?: number}} [options] @returns {Promise<any>}
   */
  emitWithAck(name, data, { timeout = 10_000 } = {}) {
    const deadline = Date.now() + timeout;
    return new Promise((resolve, reject) => {
      const fail = (code, message) => {
        clearTimeout(timer);
        reject(new EventError(code, message, name));
      };
      const send = () => {
        clearTimeout(timer);
        this.#connection.request(name, data, deadline - Date.now()).then(resolve, reject);
      };
      const event = { send, fail };
      const timer = setTimeout(() => {
        this.#queue = this.#queue.filter((queued) => queued !== event);
        fail('timeout', 'There was no connection in time.');
      }, timeout);
      const refused = this.#submit(event);
      if (refused) fail(...refused);
    });
  }

  /** Connects again after `close`, or after the server has closed the connection. */
  connect() {
    this.#connection.connect();
  }

  /** Ends a pause before the next try. */
  retryNow() {
    this.#connection.retryNow();
  }

  /** Closes the connection, and drops the events in the queue. */
  close() {
    this.#connection.close();
  }

  /** Sends or queues an event. Returns why it does neither. */
  #submit(event) {
    if (this.#connection.isOpen) {
      if (this.#connection.bufferedAmount > MAX_BUFFERED_BYTES) return ['full', 'The network does not keep up.'];
      event.send();
    } else if (this.status.state === 'closed') {
      return ['disconnected', 'There is no connection.'];
    } else if (this.#queue.length >= this.#maxQueued) {
      return ['full', 'The queue has no room.'];
    } else {
      this.#queue.push(event);
    }
    return null;
  }

  #receive(name, data, acknowledge) {
    const results = name === 'state' ? [] : this.#handlers.call(name, data);
    if (acknowledge) answer(results, acknowledge);
  }

  #statusChanged(status) {
    if (status.state === 'open' || status.state === 'closed') {
      const queue = this.#queue.splice(0);
      for (const { send, fail } of queue) {
        if (status.state === 'closed') fail?.('disconnected', 'The connection was closed.');
        else attempt(send);
      }
    }
    this.#handlers.call('state', status);
  }
}

async function answer([first], acknowledge) {
  if (!first) return acknowledge({ error: 'unknown event' });
  try {
    if ('error' in first) throw first.error;
    return acknowledge({ data: await first.value });
  } catch {
    return acknowledge({ error: 'the handler failed' });
  }
}

// Data that cannot be encoded is reported, without stopping the other events.
function attempt(send) {
  try {
    send();
  } catch (error) {
    queueMicrotask(() => { throw error; });
  }
}

/** @param {string | URL} url */
function absolute(url) {
  const whole = new URL(url, globalThis.location?.href);
  whole.protocol = whole.protocol.replace(/^http/, 'ws');
  whole.hash = '';
  return whole;
}

// As the client in Rust: other codes are the server's wish, or say that a next try would end alike.
function afterClose({ code, reason }) {
  if (code === 1012 || code === 1013) return { pause: 5_000 + Math.random() * 25_000 }; // RFC 6455 section 7.4.1
  if ([1001, 1005, 1006, 1011, 1014].includes(code)) return undefined;
  return { status: { state: 'closed', code, reason } };
}

const MAX_BUFFERED_BYTES = 1 << 20;
