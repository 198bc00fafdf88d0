/*
 * The transport: one lasting conversation with a switchboard server over as
 * many WebSocket connections as it takes.
 *
 * It does: encode and decode `[event, data, id]` messages, match answers to
 * requests, keep the connection alive with beats, notice when it is dead, and
 * reconnect with growing, jittered pauses.
 *
 * It does not: touch the page, store anything, resend anything, or know what
 * the events mean. Which greeting opens a connection is for the caller to say.
 *
 *     const client = new Client({ greet: (c) => c.request('hello', { name }) });
 *     client.onState(({ state, retryAt }) => …);
 *     client.on('message', (message) => …);
 *     client.connect('wss://example.org/ws');
 */

const DEFAULTS = {
  protocol: 'switchboard.v1',

  // Runs on every new connection. The client counts as open, and the pauses
  // between tries start over, only once the returned promise is fulfilled.
  greet: async () => {},

  // After these close codes the server does not want to see us again unasked.
  finalCodes: [4000],

  // All in milliseconds.
  beatEvery: 25_000,
  silenceLimit: 60_000,
  requestLimit: 10_000,
  firstPause: 1_000,
  longestPause: 30_000,
};

/** Why a request failed: the server's code, or `disconnected` or `timeout`. */
export class RequestError extends Error {
  constructor({ code, message } = {}) {
    super(message ?? code ?? 'The request failed.');
    this.name = 'RequestError';
    this.code = code ?? 'unknown';
  }
}

export class Client {
  #options;
  #url = null;
  #socket = null;
  #state = 'closed';
  #handlers = new Map();
  #watchers = [];
  #requests = new Map();
  #lastId = 0;
  #failures = 0;
  #refusal = null;
  #beatTimer;
  #silenceTimer;
  #retryTimer;

  constructor(options = {}) {
    this.#options = { ...DEFAULTS, ...options };
  }

  /** One of `connecting`, `open`, `closing`, `closed` and `waiting`. */
  get state() {
    return this.#state;
  }

  /** Calls `handler(data)` for each such event that the server sends. */
  on(event, handler) {
    if (!this.#handlers.has(event)) this.#handlers.set(event, []);
    this.#handlers.get(event).push(handler);
    return this;
  }

  /**
   * Calls `handler({ state, … })` at each change of state. `waiting` comes
   * with `retryAt` (the time of the next try); `waiting` and `closed` come
   * with the `code` and `reason` of the connection's end; `closed` also with
   * `error`, when the greeting was refused.
   */
  onState(handler) {
    this.#watchers.push(handler);
    return this;
  }

  /** Connects, and stays connected until `close` or a final close code. */
  connect(url) {
    if (this.#state === 'connecting' || this.#state === 'open') return;
    this.#url = url;
    this.#failures = 0;
    this.#open();
  }

  /** Cuts the pause before the next try short. */
  retryNow() {
    if (this.#state === 'waiting') this.#open();
  }

  /** Sends an event that wants no answer. False: there is no connection. */
  emit(event, data) {
    return this.#send(data === undefined ? [event] : [event, data]);
  }

  /** Sends an event; its promise holds the answer or a `RequestError`. */
  request(event, data = null) {
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      if (!this.#send([event, data, id])) {
        reject(new RequestError({ code: 'disconnected', message: 'There is no connection.' }));
        return;
      }
      const timer = setTimeout(() => {
        this.#requests.delete(id);
        reject(new RequestError({ code: 'timeout', message: 'The server did not answer in time.' }));
      }, this.#options.requestLimit);
      this.#requests.set(id, { resolve, reject, timer });
    });
  }

  /** Ends the connection, and the trying. No event is handed out any more. */
  close() {
    clearTimeout(this.#retryTimer);
    if (this.#socket) {
      this.#socket.onmessage = null;
      this.#change('closing');
      this.#socket.close(1000);
    } else if (this.#state !== 'closed') {
      this.#change('closed');
    }
  }

  #open() {
    clearTimeout(this.#retryTimer);
    this.#release();
    this.#refusal = null;

    const socket = new WebSocket(this.#url, this.#options.protocol);
    socket.onopen = () => this.#greet(socket);
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = (end) => this.#ended(end);
    this.#socket = socket;
    this.#heard();
    this.#change('connecting');
  }

  async #greet(socket) {
    let refusal = null;
    try {
      await this.#options.greet(this);
    } catch (error) {
      refusal = error;
    }
    // The connection may have ended, or been given up, during the greeting.
    if (socket !== this.#socket || this.#state !== 'connecting') return;

    if (!refusal) {
      this.#failures = 0;
      this.#beatTimer = setInterval(() => this.emit('beat'), this.#options.beatEvery);
      this.#change('open');
    } else if (refusal.code === 'timeout') {
      this.#ended({ code: 1006, reason: 'no answer to the greeting' });
    } else {
      this.#refusal = refusal;
      this.close();
    }
  }

  #send(message) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  #receive(text) {
    this.#heard();
    let event, data, id;
    try {
      [event, data, id] = JSON.parse(text);
    } catch {
      return; // Not a message of this protocol: as ignorable as an unknown event.
    }
    if (id != null && (event === 'ack' || event === 'error')) {
      this.#settle(id, event, data);
    } else {
      for (const handler of this.#handlers.get(event) ?? []) handler(data);
    }
  }

  #settle(id, event, data) {
    const request = this.#requests.get(id);
    if (!request) return; // It was given up on.
    this.#requests.delete(id);
    clearTimeout(request.timer);
    if (event === 'ack') request.resolve(data);
    else request.reject(new RequestError(data ?? {}));
  }

  // A timer that each message winds up again, rather than a look at the clock
  // now and then: browsers run the timers of a background tab rarely, and this
  // way an answer that is already on its way still comes first.
  #heard() {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(
      () => this.#ended({ code: 1006, reason: 'the server fell silent' }),
      this.#options.silenceLimit,
    );
  }

  #ended({ code, reason }) {
    this.#release();
    if (this.#state === 'closing' || this.#options.finalCodes.includes(code)) {
      this.#change('closed', { code, reason, error: this.#refusal });
      return;
    }
    const { firstPause, longestPause } = this.#options;
    const whole = Math.min(firstPause * 2 ** this.#failures++, longestPause);
    // Without the jitter all clients of a restarted server would return at once.
    const pause = whole * (0.5 + Math.random() / 2);
    this.#retryTimer = setTimeout(() => this.#open(), pause);
    this.#change('waiting', { code, reason, retryAt: Date.now() + pause });
  }

  // Lets go of the socket without waiting for its close event, which on a dead
  // connection may be long in coming.
  #release() {
    clearInterval(this.#beatTimer);
    clearTimeout(this.#silenceTimer);
    if (this.#socket) {
      this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
      this.#socket.close();
      this.#socket = null;
    }
    for (const { reject, timer } of this.#requests.values()) {
      clearTimeout(timer);
      reject(new RequestError({ code: 'disconnected', message: 'The connection ended.' }));
    }
    this.#requests.clear();
  }

  #change(state, details = {}) {
    this.#state = state;
    for (const watcher of this.#watchers) watcher({ state, ...details });
  }
}
