/*
 * The message field, its length check, and the draft of each room. A draft survives a
 * switch to another room, a lost connection, a reload and a new session.
 */

import { isBlank } from '../blank.js';
import { t } from '../strings.js';
import { $, lengthOf, setText, touch } from './dom.js';
import { storageSlot } from './storage.js';

const COUNT_SHOWN_BELOW = 0.1; // of the characters of the longest message
const PAGE_KEYS = { PageUp: -1, PageDown: 1 };

const stored = storageSlot('sessionStorage', 'drafts');

export class Composer {
  #model;
  #room = null;
  #drafts = new Map(); // by room
  #input = $('text');

  /**
   * `send(room, text)` sends a message; `onInput()` is called when the user types; `onPage(direction)`
   * when they press PageUp (-1) or PageDown (1) in the empty field.
   */
  constructor({ model, send, onInput, onPage }) {
    this.#model = model;
    this.#input.addEventListener('input', () => {
      this.#saveDraft();
      this.#updateSize();
      if (!isBlank(this.#text)) onInput();
    });
    this.#input.addEventListener('keydown', (event) => {
      const direction = PAGE_KEYS[event.key];
      if (!direction || this.#input.value) return;
      event.preventDefault();
      onPage(direction);
    });
    this.#input.addEventListener('keydown', (event) => {
      // During a composition Enter belongs to the input method. Some browsers reset
      // isComposing too early, but still report key code 229.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      // On a phone Enter makes a new line, and the button sends.
      if (touch.matches && !event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      $('composer').requestSubmit();
    });
    $('composer').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#input.focus();
      if (!this.#isSendable) return;
      send(this.#room, this.#text);
      this.#input.value = '';
      this.#saveDraft();
      this.#updateSize();
    });
    model.watch(['rooms'], () => this.#showHint());
    model.watch(['you'], () => this.#updateSize()); // There may be other limits.
    touch.addEventListener('change', () => this.#showEnterKey());
    this.#showEnterKey();
  }

  /** A user has signed in: restores the drafts that they left in this tab. */
  setUser(name) {
    const { owner, drafts } = stored.load() ?? {};
    this.#drafts = new Map(owner === name ? drafts : []);
    this.show(null);
  }

  /** The user has signed out. */
  clear() {
    this.#drafts.clear();
    stored.save(null);
    this.show(null);
  }

  /** The rooms for which there are drafts. */
  get rooms() {
    return [...this.#drafts.keys()];
  }

  /** Removes the draft of a room that the user is no longer in. Returns its text, or null if it has none. */
  takeDraft(room) {
    const text = this.#drafts.get(room);
    if (this.#drafts.delete(room)) this.#store();
    return text && !isBlank(text) ? text : null;
  }

  show(room) {
    this.#room = room;
    this.#input.value = this.#drafts.get(room) ?? '';
    this.#showHint();
    this.#updateSize();
  }

  /** Puts a text before the draft of the open room, and the focus into the field. */
  insert(text) {
    const { value } = this.#input;
    this.#input.value = value ? `${text}\n${value}` : text;
    this.#saveDraft();
    this.#updateSize();
    this.#input.focus();
    this.#input.setSelectionRange(text.length, text.length);
  }

  // Blank lines around a message are removed; the indentation of its first line is kept.
  get #text() {
    return this.#input.value.replace(/^(\s*\n)+/, '').trimEnd();
  }

  get #isSendable() {
    return !isBlank(this.#text) && this.#left >= 0;
  }

  // The server's limit is not known before it has answered.
  get #max() {
    return this.#model.limits?.text ?? Infinity;
  }

  get #left() {
    return this.#max - lengthOf(this.#text);
  }

  #saveDraft() {
    if (this.#input.value) this.#drafts.set(this.#room, this.#input.value);
    else this.#drafts.delete(this.#room);
    this.#store();
  }

  #store() {
    stored.save({ owner: this.#model.you.name, drafts: [...this.#drafts] });
  }

  #updateSize() {
    this.#input.style.height = 'auto';
    this.#input.style.height = `${this.#input.scrollHeight}px`;
    $('send').disabled = !this.#isSendable;
    const left = this.#left;
    let text = '';
    if (left < 0) text = t('composer.too_long', { count: -left });
    else if (left < COUNT_SHOWN_BELOW * this.#max) text = t('composer.left', { count: left });
    setText($('length'), text);
    $('length').classList.toggle('error', left < 0);
  }

  #showEnterKey() {
    this.#input.enterKeyHint = touch.matches ? 'enter' : 'send';
  }

  #showHint() {
    const room = this.#model.rooms.get(this.#room);
    if (!room) {
      this.#input.placeholder = '';
      return;
    }
    const hint = room.kind === 'direct' ? 'composer.hint_direct' : 'composer.hint';
    this.#input.placeholder = t(hint, { name: room.name });
    // Nobody reads what is written to an account that no longer exists.
    $('composer').hidden = room.gone ?? false;
    $('composer-gone').hidden = !room.gone;
  }
}
