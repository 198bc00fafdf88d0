/*
 * A connection to the server that reconnects: one WebSocket after another.
 *
 * It encodes and decodes `[event, data, id]`, matches replies to requests, sends
 * heartbeats, detects a dead connection, and reconnects with exponential back-off
 * and jitter.
 *
 * It resends nothing. It knows the meaning of two events only: after `welcome` the
 * connection counts as open, and after `expired` it does not reconnect until
 * `connect` is called.
 */

import { ChatError } from './error.js';

const PROTOCOL = 'switchboard.v1';
const EXPIRED = 4001;

// All in milliseconds.
const DEFAULT_TIMES = {
  beatEvery: 25_000,
  silenceLimit: 60_000,
  probeLimit: 5_000,
  requestLimit: 10_000,
  firstPause: 1_000,
  longestPause: 30_000,
};

export class Connection {
  #url;
  #token;
  #times;
  #onEvent;
  #onStatus;
  #socket = null;
  #status = { state: 'closed' };
  #expired = null;
  #requests = new Map();
  #lastId = 0;
  #failures = 0;
  #beatTimer;
  #silenceTimer;
  #retryTimer;

  /**
   * `onEvent(event, data)` is called for each event that is not a reply,
   * `onStatus(status)` at each change of the status.
   */
  constructor({ url, token = null, times = {}, onEvent, onStatus }) {
    this.#url = url;
    this.#token = token;
    this.#times = { ...DEFAULT_TIMES, ...times };
    this.#onEvent = onEvent;
    this.#onStatus = onStatus;

    // The reports of the system about the network are only hints.
    globalThis.addEventListener?.('online', () => this.#probe());
    globalThis.document?.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.#probe();
    });
  }

  /**
   * `{state, …}`, the state being one of
   *
   * - `closed`: no connection is wanted;
   * - `connecting`: until the server's `welcome`;
   * - `open`;
   * - `waiting`: lost, with the `code` and `reason` of the close; the next try is at `retryAt`;
   * - `expired`: the session has ended, for `reason`; only `connect` reconnects.
   */
  get status() {
    return this.#status;
  }

  /** Connects, and reconnects until `close` or the end of the session. */
  connect() {
    if (this.#socket) return;
    this.#failures = 0;
    this.#open();
  }

  /** Reconnects now if a pause before the next try is under way. */
  retryNow() {
    if (this.#status.state === 'waiting') this.#open();
  }

  /** Treats this connection as lost. */
  abandon(reason) {
    if (this.#socket) this.#closed({ code: 1006, reason });
  }

  /** Ends the connection and does not reconnect. */
  close() {
    this.#release();
    this.#setStatus({ state: 'closed' });
  }

  /** Sends an event. The promise resolves to the reply or rejects with a `ChatError`. */
  request(event, data = {}) {
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      return Promise.reject(new ChatError('disconnected', 'There is no connection.'));
    }
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      const timer = setTimeout(() => {
        this.#requests.delete(id);
        reject(new ChatError('timeout', 'The server did not answer in time.'));
      }, this.#times.requestLimit);
      this.#requests.set(id, { event, resolve, reject, timer });
      this.#send([event, data, id]);
    });
  }

  #open() {
    this.#release();
    this.#expired = null;
    const socket = new WebSocket(this.#url, PROTOCOL);
    socket.onopen = () => {
      if (this.#token) this.#send(['auth', { token: this.#token }]);
    };
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = (end) => this.#closed(end);
    this.#socket = socket;
    this.#expectWithin(this.#times.silenceLimit);
    this.#setStatus({ state: 'connecting' });
  }

  #send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  #receive(text) {
    this.#expectWithin(this.#times.silenceLimit);
    let event, data, id;
    try {
      [event, data, id] = JSON.parse(text);
    } catch {
      return; // Not a message of this protocol: ignored, like an unknown event.
    }
    if (id !== undefined && (event === 'ack' || event === 'error')) {
      this.#settle(id, event, data);
      return;
    }
    if (event === 'expired') this.#expired = data;
    this.#onEvent(event, data);
    if (event === 'welcome' && this.#status.state === 'connecting') this.#welcomed();
  }

  #welcomed() {
    this.#failures = 0;
    this.#beatTimer = setInterval(() => this.#send(['beat']), this.#times.beatEvery);
    this.#setStatus({ state: 'open' });
  }

  #settle(id, outcome, data) {
    const request = this.#requests.get(id);
    if (!request) return; // It has timed out.
    this.#requests.delete(id);
    clearTimeout(request.timer);
    if (outcome === 'ack') request.resolve(data);
    else {
      const { event } = request;
      request.reject(new ChatError(data?.code ?? 'unknown', data?.message, { event, rooms: data?.rooms }));
    }
  }

  // Each message restarts the timer. Comparing times at intervals would not do: browsers
  // delay the timers of a background tab, and this way a reply that has already
  // arrived is handled before the timer fires.
  #expectWithin(time) {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => this.abandon('the server fell silent'), time);
  }

  // The network may have changed: reconnects at once, or tests whether the connection
  // has survived. It rarely survives the sleep of a laptop.
  #probe() {
    this.retryNow();
    if (this.#status.state === 'open' && this.#socket.readyState === WebSocket.OPEN) {
      this.#send(['beat']);
      this.#expectWithin(this.#times.probeLimit);
    }
  }

  #closed({ code, reason }) {
    this.#release();
    if (this.#expired || code === EXPIRED) {
      this.#setStatus({ state: 'expired', reason: this.#expired?.reason ?? 'unknown' });
      return;
    }
    const { firstPause, longestPause } = this.#times;
    const whole = Math.min(firstPause * 2 ** this.#failures++, longestPause);
    // Without the jitter all clients of a restarted server would return at once.
    const pause = whole * (0.5 + Math.random() / 2);
    this.#retryTimer = setTimeout(() => this.#open(), pause);
    this.#setStatus({ state: 'waiting', code, reason, retryAt: Date.now() + pause });
  }

  // Drops the socket without waiting for its close event, which a dead connection
  // may deliver late.
  #release() {
    clearTimeout(this.#retryTimer);
    clearInterval(this.#beatTimer);
    clearTimeout(this.#silenceTimer);
    if (this.#socket) {
      this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
      this.#socket.close();
      this.#socket = null;
    }
    for (const { reject, timer } of this.#requests.values()) {
      clearTimeout(timer);
      reject(new ChatError('disconnected', 'The connection ended.'));
    }
    this.#requests.clear();
  }

  #setStatus(status) {
    this.#status = status;
    this.#onStatus(status);
  }
}
