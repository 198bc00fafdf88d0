/*
 * Where one writes: the field, what may be sent, and the draft of each room, which
 * survives a look at another room, a lost connection, a reload and a new session.
 */

import { say } from '../words.js';
import { $, lengthOf, setText } from './dom.js';
import { kept } from './memory.js';

const COUNTED_FROM = 400; // characters left

const stored = kept('sessionStorage', 'drafts');

export class Composer {
  #model;
  #room = null;
  #drafts = new Map(); // by room
  #input = $('text');

  /** `send(room, text)` gets what is sent; `wrote()` is called when something was written. */
  constructor({ model, send, wrote }) {
    this.#model = model;
    this.#input.addEventListener('input', () => {
      this.#keep();
      this.#fit();
      if (this.#text) wrote();
    });
    this.#input.addEventListener('keydown', (event) => {
      // During a composition Enter belongs to the input method; where isComposing
      // ends too early to say so, key code 229 still does.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      $('composer').requestSubmit();
    });
    $('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#input.focus();
      if (!this.#isSendable) return;
      send(this.#room, this.#text);
      this.#input.value = '';
      this.#keep();
      this.#fit();
    });
    model.watch(['rooms'], () => this.#showHint());
  }

  /** Somebody has signed in: takes up the drafts they left in this tab. */
  belongTo(name) {
    const { owner, drafts } = stored.load() ?? {};
    this.#drafts = new Map(owner === name ? drafts : []);
    this.show(null);
  }

  /** Nobody is signed in any more. */
  clear() {
    this.#drafts.clear();
    stored.save(null);
    this.show(null);
  }

  show(room) {
    this.#room = room;
    this.#input.value = this.#drafts.get(room) ?? '';
    this.#showHint();
    this.#fit();
  }

  // Blank lines around a message go; the indentation of its first line stays.
  get #text() {
    return this.#input.value.replace(/^(\s*\n)+/, '').trimEnd();
  }

  get #isSendable() {
    return this.#text !== '' && this.#left >= 0;
  }

  get #left() {
    return this.#model.limits.text - lengthOf(this.#text);
  }

  #keep() {
    if (this.#input.value) this.#drafts.set(this.#room, this.#input.value);
    else this.#drafts.delete(this.#room);
    stored.save({ owner: this.#model.you.name, drafts: [...this.#drafts] });
  }

  #fit() {
    this.#input.style.height = 'auto';
    this.#input.style.height = `${this.#input.scrollHeight}px`;
    $('send').disabled = !this.#isSendable;
    const left = this.#left;
    let words = '';
    if (left < 0) words = say('composer.too_long', { count: -left });
    else if (left < COUNTED_FROM) words = say('composer.left', { count: left });
    setText($('length'), words);
    $('length').classList.toggle('fault', left < 0);
  }

  #showHint() {
    const room = this.#model.rooms.get(this.#room);
    if (room) this.#input.placeholder = say('composer.hint', { name: room.name });
  }
}
