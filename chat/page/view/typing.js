/*
 * Typing indicators: reports that the user is typing, at a limited rate, and shows who else is.
 */

import { t } from '../strings.js';
import { $ } from './dom.js';
import { showNodes, sentence } from './text.js';

const SENT_EVERY = 3_000;
const SHOWN_FOR = 5_000;
const MAX_NAMED = 3; // more than these are "several users"

export class Typing {
  #client;
  #model;
  #sentAt = -Infinity;
  #writers = new Map(); // by room: Map of name to the timer that ends it
  #room = null;

  constructor({ client, model }) {
    this.#client = client;
    this.#model = model;
    model.watch(['blocked'], () => this.#render());
    client.on('typing', ({ room, name }) => this.#started(room, name));
    client.on('message', ({ room, from, kind }) => {
      if (kind === 'said') this.#stopped(room, from);
    });
  }

  show(room) {
    this.#room = room;
    this.#sentAt = -Infinity;
    this.#render();
  }

  /** Forgets who is typing. */
  clear() {
    for (const writers of this.#writers.values()) writers.forEach((timer) => clearTimeout(timer));
    this.#writers.clear();
    this.#render();
  }

  /** The user is typing. */
  report() {
    const now = performance.now(); // Unlike Date.now(), it is never set back.
    if (now < this.#sentAt + SENT_EVERY) return;
    this.#sentAt = now;
    this.#client.emit('typing', { room: this.#room }).catch(() => {}); // A lost report does no harm.
  }

  /** The message was sent: the next input is reported at once. */
  sent() {
    this.#sentAt = -Infinity;
  }

  #started(room, name) {
    const writers = this.#writers.get(room) ?? new Map();
    this.#writers.set(room, writers);
    clearTimeout(writers.get(name));
    writers.set(name, setTimeout(() => this.#stopped(room, name), SHOWN_FOR));
    this.#render();
  }

  #stopped(room, name) {
    const writers = this.#writers.get(room);
    clearTimeout(writers?.get(name));
    if (writers?.delete(name)) this.#render();
  }

  #render() {
    const writers = [...(this.#writers.get(this.#room)?.keys() ?? [])];
    const names = writers.filter((name) => !this.#model.blocked.has(name));
    let line = [];
    if (names.length > MAX_NAMED) line = [t('room.many_typing')];
    else if (names.length > 0) line = sentence('room.typing', { names, count: names.length });
    showNodes($('typing'), line);
  }
}
