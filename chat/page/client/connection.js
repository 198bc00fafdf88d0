/*
 * One lasting conversation with the server over as many WebSockets as it takes.
 *
 * It does: encode and decode `[event, data, id]`, match answers to requests, keep
 * the connection alive with beats, notice when it is dead, and come back with
 * growing, jittered pauses.
 *
 * It does not: resend anything, or know what the events mean, but for `welcome`,
 * which makes a connection count as open, and `expired`, after which it is not
 * made anew until somebody asks.
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
   * `onEvent(event, data)` is called for each event that is not an answer,
   * `onStatus(status)` at each change of the status.
   */
  constructor({ url, token = null, times = {}, onEvent, onStatus }) {
    this.#url = url;
    this.#token = token;
    this.#times = { ...DEFAULT_TIMES, ...times };
    this.#onEvent = onEvent;
    this.#onStatus = onStatus;

    // What the system knows of the network is a hint, never a verdict.
    globalThis.addEventListener?.('online', () => this.#probe());
    globalThis.document?.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.#probe();
    });
  }

  /**
   * `{state, …}`, the state being one of
   *
   * - `closed`: nobody wants a connection;
   * - `connecting`: until the server's `welcome`;
   * - `open`;
   * - `waiting`: lost; the next try is at `retryAt`; with the `code` and `reason` of the end;
   * - `expired`: the session is over, for `reason`; only `connect` goes on.
   */
  get status() {
    return this.#status;
  }

  /** Connects, and stays connected until `close` or the end of the session. */
  connect() {
    if (this.#socket) return;
    this.#failures = 0;
    this.#open();
  }

  /** Cuts the pause before the next try short. */
  retryNow() {
    if (this.#status.state === 'waiting') this.#open();
  }

  /** Gives this connection up, as if it had been lost. */
  abandon(reason) {
    if (this.#socket) this.#closed({ code: 1006, reason });
  }

  /** Ends the connection, and the trying. */
  close() {
    this.#release();
    this.#setStatus({ state: 'closed' });
  }

  /** Sends an event; its promise holds the answer or a `ChatError`. */
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
      return; // Not a message of this protocol: as ignorable as an unknown event.
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

  #settle(id, answer, data) {
    const request = this.#requests.get(id);
    if (!request) return; // It was given up on.
    this.#requests.delete(id);
    clearTimeout(request.timer);
    if (answer === 'ack') request.resolve(data);
    else request.reject(new ChatError(data?.code ?? 'unknown', data?.message, { event: request.event }));
  }

  // A timer that each message winds up again, rather than a look at the clock now
  // and then: browsers run the timers of a background tab rarely, and this way an
  // answer that is already on its way still comes first.
  #expectWithin(time) {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => this.abandon('the server fell silent'), time);
  }

  // Something may have changed: try at once, or see whether the connection has
  // survived (a laptop's, that was asleep, mostly has not).
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

  // Lets go of the socket without waiting for its close event, which on a dead
  // connection may be long in coming.
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
