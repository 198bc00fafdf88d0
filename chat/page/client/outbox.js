/*
 * The messages that are not yet acknowledged. Each is sent again on the next connection
 * with the same key, by which the server recognises it. So no message is lost and none
 * is sent twice, wherever the connection broke.
 *
 * Messages are sent one at a time, each after the reply to the one before: their order
 * is kept even if one of them has to be repeated.
 */

import { ChatError } from './error.js';

// Temporary errors: the message is sent again after a pause.
const TRANSIENT = ['too_fast', 'overloaded', 'unknown'];
// Errors after which the message is sent again on the next connection.
const NEXT_CONNECTION = ['disconnected', 'timeout', 'no_session'];
// Errors after which the message may or may not be stored.
const UNKNOWN_OUTCOME = ['unknown', 'disconnected', 'timeout'];
const PAUSES = [1_000, 2_000, 4_000, 8_000];

export class Outbox {
  #request;
  #onChange;
  #storage;
  #items = []; // oldest first; one that `isUncertain` may be stored already
  #promises = new Map(); // by key
  #owner = null;
  #open = false;
  #run = 0; // counts connections, to stop work that an earlier one began
  #deliveringRun = null; // the run whose delivery is under way

  /**
   * `request(event, data)` sends; `onChange(item)` is called at each change. `storage`, if
   * any, keeps `{owner, items}` over a reload: an object with `load()` and `save(value)`.
   */
  constructor({ request, onChange, storage = null }) {
    this.#request = request;
    this.#onChange = onChange;
    this.#storage = storage;
  }

  /** `{key, event, data, state, error?}`, oldest first; the states are `waiting`, `sending`, `failed`. */
  get items() {
    return [...this.#items];
  }

  /** Queues a `say` or `tell`; its promise resolves to the server's reply. */
  add(event, data) {
    const item = { key: uuid(), event, data, state: 'waiting' };
    this.#items.push(item);
    const reply = new Promise((resolve, reject) => this.#promises.set(item.key, { resolve, reject }));
    reply.catch(() => {}); // The caller may ignore the promise: `onChange` reports the error too.
    this.#changed(item);
    if (this.#open) this.#deliver();
    return reply;
  }

  /** Puts a failed message at the end of the queue again. */
  retry(key) {
    const item = this.#items.find((each) => each.key === key && each.state === 'failed');
    if (!item) return;
    this.#items.push(...this.#items.splice(this.#items.indexOf(item), 1));
    this.#setState(item, 'waiting');
    if (this.#open) this.#deliver();
  }

  /** Removes a failed or waiting message from the queue. */
  discard(key) {
    const item = this.#items.find((each) => each.key === key && each.state !== 'sending');
    if (item) this.#finish(item, 'discarded', { error: new ChatError('discarded', 'The message was discarded.') });
  }

  /**
   * Sets the user whose messages these are. Drops the messages of another user, so that
   * none is sent under a wrong name.
   */
  setUser(name) {
    if (name === this.#owner) return;
    this.clear();
    this.#owner = name;
    const kept = this.#storage?.load();
    if (kept?.owner !== name) return;
    for (const { key, event, data, error, isUncertain } of kept.items) {
      const item = { key, event, data, state: error ? 'failed' : 'waiting', error, isUncertain };
      this.#items.push(item);
      this.#onChange({ ...item });
    }
  }

  clear() {
    for (const item of this.items) {
      this.#finish(item, 'discarded', { error: new ChatError('discarded', 'The message was discarded.') });
    }
  }

  /** There is a connection: sends all waiting messages, and resolves when each was tried. */
  resume() {
    this.#open = true;
    this.#run += 1;
    return this.#deliver();
  }

  /** The connection is lost. */
  pause() {
    this.#open = false;
    this.#run += 1;
    for (const item of this.#items.filter(({ state }) => state === 'sending')) {
      item.isUncertain = true;
      this.#setState(item, 'waiting');
    }
  }

  /** Returns whether an ack is due that may belong to this message of the user. */
  isAckDue({ room }) {
    return this.#items.some(({ state, data }) => state === 'sending' && (data.room ?? room) === room);
  }

  async #deliver() {
    const run = this.#run;
    if (this.#deliveringRun === run) return; // The loop is already running.
    this.#deliveringRun = run;
    let item;
    while (run === this.#run && (item = this.#items.find(({ state }) => state === 'waiting'))) {
      this.#setState(item, 'sending');
      await this.#attempt(item, run);
    }
    if (run === this.#run) this.#deliveringRun = null;
  }

  async #attempt(item, run) {
    for (let tries = 0; run === this.#run; tries += 1) {
      try {
        const result = await this.#request(item.event, { ...item.data, key: item.key });
        this.#finish(item, 'acknowledged', { result });
        return;
      } catch (latest) {
        item.isUncertain ||= UNKNOWN_OUTCOME.includes(latest.code);
        if (run !== this.#run || NEXT_CONNECTION.includes(latest.code)) return;
        // `storage` says that this attempt has stored nothing, not whether an earlier one has.
        const error = latest.code === 'storage' && item.isUncertain ? unknownOutcome(item) : latest;
        if (!TRANSIENT.includes(error.code) || tries >= PAUSES.length) {
          this.#setState(item, 'failed', error);
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, PAUSES[tries]));
      }
    }
  }

  #setState(item, state, error) {
    item.state = state;
    item.error = error;
    this.#changed(item);
    if (state === 'failed') this.#promises.get(item.key)?.reject(error);
  }

  #finish(item, state, { result, error }) {
    if (!this.#items.includes(item)) return;
    this.#items.splice(this.#items.indexOf(item), 1);
    const promise = this.#promises.get(item.key);
    this.#promises.delete(item.key);
    this.#changed({ ...item, state, error, result });
    if (error) promise?.reject(error);
    else promise?.resolve(result);
  }

  #changed(item) {
    const items = this.#items.map(({ key, event, data, state, error, isUncertain = false }) => ({
      key,
      event,
      data,
      error: error && { code: error.code, message: error.message, event },
      isUncertain: isUncertain || state === 'sending',
    }));
    this.#storage?.save({ owner: this.#owner, items });
    this.#onChange({ ...item });
  }
}

function unknownOutcome({ event }) {
  return new ChatError('unknown', 'The server cannot tell whether it has this message.', { event });
}

// Version 7, which starts with the time: messages of the same time are adjacent in the server's index.
function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  new DataView(bytes.buffer).setBigUint64(0, (BigInt(Date.now()) << 16n) | BigInt(bytes[6] << 8 | bytes[7]));
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80; // the variant of RFC 9562
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
