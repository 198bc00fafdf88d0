/*
 * A connection to the server that reconnects: one WebSocket after another.
 *
 * It encodes and decodes events by a parser, matches answers to requests, sends
 * heartbeats, detects a dead connection, and reconnects with exponential back-off
 * and jitter. It resends nothing.
 *
 * It imports nothing. The chat's client and `events.js` are built on it.
 */

/**
 * A message, decoded: an event that may want an acknowledgement under an id, or the
 * acknowledgement of an event: its answer, or an error.
 *
 * @typedef {{name: string, data?: any, id?: number}
 *     | {ack: number, data?: any}
 *     | {ack: number, error: any}} Packet
 *
 * The form of messages on the wire. `decode` returns null for a message that it does not know.
 * @typedef {{
 *     encode(packet: Packet): string | ArrayBuffer,
 *     decode(message: string | ArrayBuffer): Packet | null,
 * }} Parser
 *
 * @typedef {{state: string, code?: number, reason?: string, retryAt?: number}} Status
 */

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
  #options;
  #times;
  #socket = null;
  #status = { state: 'closed' };
  #requests = new Map();
  #lastId = 0;
  #failures = 0;
  #beatTimer;
  #silenceTimer;
  #retryTimer;

  /**
   * - `url()` returns the URL of each next WebSocket, which speaks `protocols`;
   * - `parser` is the form of messages, a `Parser`;
   * - `onEvent(name, data, acknowledge)` is called for each event. `acknowledge({data})` or `acknowledge({error})`
   *   answers it, if the WebSocket is still there; it is undefined if the server wants no acknowledgement;
   * - `onStatus(status)` is called at each change of the status;
   * - `onSocketOpen()` is called when a WebSocket is open, for the first events to send;
   * - `opening` is the event of the server after which the connection counts as open; by default it does at once;
   * - `beat` sends a heartbeat. Without it, silence is no sign of a dead connection;
   * - `afterClose({code, reason})` returns how to go on after the end of a WebSocket: `{status}` does not reconnect,
   *   `{pause}` waits so many milliseconds, undefined waits as usual;
   * - `makeError(code, message, cause)` makes the error of a request. `code` is `disconnected`, `timeout` or `failed`;
   *   `cause` is `{event, answer}`;
   * - `times` replaces some of the default times.
   */
  constructor({ times = {}, ...options }) {
    this.#options = options;
    this.#times = { ...DEFAULT_TIMES, ...times };

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
   * - `connecting`: until the connection counts as open;
   * - `open`;
   * - `waiting`: lost, with the `code` and `reason` of the close; the next try is at `retryAt`;
   * - another one of `afterClose`.
   *
   * @returns {Status}
   */
  get status() {
    return this.#status;
  }

  /** Whether an event is sent at once. */
  get isOpen() {
    return this.#status.state === 'open' && this.#socket.readyState === WebSocket.OPEN;
  }

  /** Bytes that the browser has not sent yet. */
  get bufferedAmount() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** Connects, and reconnects until `close` or a status of `afterClose`. */
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

  /** Sends an event, or the acknowledgement of one. Returns whether there is a WebSocket to send it on. */
  send(packet) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(this.#options.parser.encode(packet));
    return true;
  }

  /** Sends an event. The promise resolves to the answer or rejects with an error of `makeError`. */
  request(name, data, limit = this.#times.requestLimit) {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      if (!this.send({ name, data, id })) {
        reject(this.#error('disconnected', 'There is no connection.', { event: name }));
        return;
      }
      const timer = setTimeout(() => {
        this.#requests.delete(id);
        reject(this.#error('timeout', 'The server did not answer in time.', { event: name }));
      }, limit);
      this.#requests.set(id, { event: name, resolve, reject, timer });
    });
  }

  #open() {
    this.#release();
    const socket = new WebSocket(this.#options.url(), this.#options.protocols ?? []);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      this.#options.onSocketOpen?.();
      if (!this.#options.opening) this.#opened();
    };
    socket.onmessage = ({ data }) => this.#receive(socket, data);
    socket.onclose = (end) => this.#closed(end);
    this.#socket = socket;
    this.#expectWithin(this.#times.silenceLimit);
    this.#setStatus({ state: 'connecting' });
  }

  #receive(socket, message) {
    this.#expectWithin(this.#times.silenceLimit);
    let packet;
    try {
      packet = this.#options.parser.decode(message);
    } catch {
      // Handled as one that the parser does not know.
    }
    if (!packet) return; // Not a message of this protocol: ignored, like an unknown event.
    if (packet.ack !== undefined) {
      this.#settle(packet);
      return;
    }
    const { name, data, id } = packet;
    // On a later connection, the id would be that of another event.
    const acknowledge = (answer) => this.#socket === socket && this.send({ ack: id, ...answer });
    this.#options.onEvent(name, data, id === undefined ? undefined : acknowledge);
    if (name === this.#options.opening && this.#status.state === 'connecting') this.#opened();
  }

  #opened() {
    this.#failures = 0;
    const { beat } = this.#options;
    if (beat) this.#beatTimer = setInterval(beat, this.#times.beatEvery);
    else clearTimeout(this.#silenceTimer);
    this.#setStatus({ state: 'open' });
  }

  #settle({ ack, data, error }) {
    const request = this.#requests.get(ack);
    if (!request) return; // It has timed out.
    this.#requests.delete(ack);
    clearTimeout(request.timer);
    const { event, resolve, reject } = request;
    if (error === undefined) resolve(data);
    else reject(this.#error('failed', 'The server refused the event.', { event, answer: error }));
  }

  #error(code, message, cause) {
    return this.#options.makeError(code, message, cause);
  }

  // Each message restarts the timer. Comparing times at intervals would not do: browsers
  // delay the timers of a background tab, and this way a reply that has already
  // arrived is handled before the timer fires.
  #expectWithin(time) {
    clearTimeout(this.#silenceTimer);
    if (this.#status.state === 'open' && !this.#options.beat) return;
    this.#silenceTimer = setTimeout(() => this.abandon('the server fell silent'), time);
  }

  // The network may have changed: reconnects at once, or tests whether the connection
  // has survived. It rarely survives the sleep of a laptop.
  #probe() {
    this.retryNow();
    if (this.#options.beat && this.isOpen) {
      this.#options.beat();
      this.#expectWithin(this.#times.probeLimit);
    }
  }

  #closed({ code, reason }) {
    this.#release();
    const { status, pause = this.#nextPause() } = this.#options.afterClose?.({ code, reason }) ?? {};
    if (status) {
      this.#setStatus(status);
      return;
    }
    this.#retryTimer = setTimeout(() => this.#open(), pause);
    this.#setStatus({ state: 'waiting', code, reason, retryAt: Date.now() + pause });
  }

  #nextPause() {
    const { firstPause, longestPause } = this.#times;
    const whole = Math.min(firstPause * 2 ** this.#failures++, longestPause);
    // Without the jitter all clients of a restarted server would return at once.
    return whole * (0.5 + Math.random() / 2);
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
    for (const { event, reject, timer } of this.#requests.values()) {
      clearTimeout(timer);
      reject(this.#error('disconnected', 'The connection ended.', { event }));
    }
    this.#requests.clear();
  }

  #setStatus(status) {
    this.#status = status;
    this.#options.onStatus(status);
  }
}

/** The handlers of events, by name. */
export class Handlers {
  #handlers = new Map();

  /** Calls `handler(data)` for each such event. Returns a function that removes the handler. */
  on(event, handler) {
    const handlers = this.#handlers.get(event) ?? new Set();
    this.#handlers.set(event, handlers.add(handler));
    return () => handlers.delete(handler);
  }

  off(event, handler) {
    this.#handlers.get(event)?.delete(handler);
  }

  has(event) {
    return (this.#handlers.get(event)?.size ?? 0) > 0;
  }

  /** Calls the handlers of an event in their order. Returns `{value}` or `{error}` of each. */
  call(event, data) {
    const results = [];
    for (const handler of this.#handlers.get(event) ?? []) {
      try {
        results.push({ value: handler(data) });
      } catch (error) {
        queueMicrotask(() => { throw error; }); // Reported, without stopping the other handlers.
        results.push({ error });
      }
    }
    return results;
  }
}
