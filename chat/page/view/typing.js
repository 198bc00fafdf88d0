/*
 * Who is writing: says so of oneself, not too often, and shows it of others while it lasts.
 */

import { language, say } from '../words.js';
import { $, setText } from './dom.js';

const SAID_EVERY = 3_000;
const SHOWN_FOR = 5_000;
const NAMED = 3; // more than these are "several people"

const lists = new Intl.ListFormat(language);

export class Typing {
  #client;
  #model;
  #saidAt = 0;
  #writers = new Map(); // by room: Map of name to the timer that ends it
  #room = null;

  constructor({ client, model }) {
    this.#client = client;
    this.#model = model;
    model.watch(['blocked'], () => this.#render());
    client.on('typing', ({ room, name }) => this.#writes(room, name));
    client.on('message', ({ room, from, kind }) => {
      if (kind === 'said') this.#ends(room, from);
    });
  }

  show(room) {
    this.#room = room;
    this.#saidAt = 0;
    this.#render();
  }

  /** One has written something, and not sent it. */
  tell() {
    if (Date.now() - this.#saidAt < SAID_EVERY) return;
    this.#saidAt = Date.now();
    this.#client.emit('typing', { room: this.#room }).catch(() => {}); // Nobody need know, then.
  }

  /** What one wrote is sent: the next letter is news again. */
  sent() {
    this.#saidAt = 0;
  }

  #writes(room, name) {
    const writers = this.#writers.get(room) ?? new Map();
    this.#writers.set(room, writers);
    clearTimeout(writers.get(name));
    writers.set(name, setTimeout(() => this.#ends(room, name), SHOWN_FOR));
    this.#render();
  }

  #ends(room, name) {
    const writers = this.#writers.get(room);
    clearTimeout(writers?.get(name));
    if (writers?.delete(name)) this.#render();
  }

  #render() {
    const writers = [...(this.#writers.get(this.#room)?.keys() ?? [])];
    const names = writers.filter((name) => !this.#model.blocked.has(name));
    let words = '';
    if (names.length > NAMED) words = say('room.many_typing');
    else if (names.length > 0) words = say('room.typing', { names: lists.format(names), count: names.length });
    setText($('typing'), words);
  }
}
