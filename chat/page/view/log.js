/*
 * The loaded messages of one room: the latest when it is opened, earlier ones as the user
 * scrolls up, new ones as they come. Below them are the user's own messages that are not
 * acknowledged yet.
 */

import { errorText, t } from '../strings.js';
import { find, fromTemplate, setText } from './dom.js';
import { messageElement, placeAfter, separator, showBlocked, showDeleted, unsentElement } from './message.js';
import { roveFocus } from './roving.js';
import { Scrolling } from './scrolling.js';

// A log must not grow without bound: beyond the first number, the oldest are removed down to the second.
const MAX_ENTRIES = 800;
const KEPT_ENTRIES = 400;
// Temporary errors: the request is repeated after a pause.
const TRANSIENT = ['too_fast', 'overloaded'];
const RETRY_AFTER = 1_000;
// The rest of a page stays in view, so that the reader finds the place again.
const PAGE_PART = 0.85;

export class Log {
  element = fromTemplate('log-template');
  /** The number of new messages that the user has not scrolled down to. */
  unseen = 0;
  #room;
  #client;
  #model;
  #changed;
  #scrolling;
  #messages = find(this.element, '.messages');
  #unsent = find(this.element, '.unsent');
  #top = find(this.element, '.top');
  #entries = []; // {message, element, before}, in order
  #firstSeq = null; // of the loaded messages, including those without an entry
  #lastSeq = 0;
  #more = true; // whether there are earlier messages
  #unread = null; // {after, upTo}: the messages that were unread when the room was opened
  #loaded = false;
  #loading = null; // the request under way, if any

  /** `changed()` is called when the visible messages may have changed. */
  constructor({ room, client, model, changed }) {
    this.#room = room;
    this.#client = client;
    this.#model = model;
    this.#changed = changed;
    this.element.dataset.room = room;
    this.element.ariaLabel = t('log.region');
    this.#messages.ariaLabel = t('log.messages');
    this.#unsent.ariaLabel = t('log.unsent');
    roveFocus(find(this.element, '.content'), '.message', { latest: true });
    this.#scrolling = new Scrolling(this.element, find(this.element, '.content'), () => this.#moved());
  }

  /** The `seq` of the latest message if the user is at the end, or else null. */
  get seenSeq() {
    return this.#loaded && this.#scrolling.isAtEnd ? this.#lastSeq : null;
  }

  get isAtEnd() {
    return this.#scrolling.isAtEnd;
  }

  show() {
    const { read, seq, unread } = this.#model.rooms.get(this.#room);
    this.#unread = unread > 0 ? { after: read, upTo: seq } : null;
    this.#entries.forEach((entry, index) => placeAfter(entry, this.#entries[index - 1], this.#unread));
    this.element.hidden = false;
    this.#scrolling.restore();
    this.load();
  }

  hide() {
    this.#scrolling.save();
    this.element.hidden = true;
  }

  toEnd() {
    this.#scrolling.toEnd();
  }

  /** Scrolls by most of a page, down if `direction` is 1, up if it is -1. */
  scrollByPage(direction) {
    this.element.scrollBy({ top: direction * this.element.clientHeight * PAGE_PART });
  }

  /** Loads the latest messages if there are none yet, or earlier ones if the user is near the first. */
  load() {
    if (this.#loading) return;
    if (!this.#loaded) this.#fetch({}, (messages) => messages.forEach((message) => this.#append(message)));
    else if (this.#more && this.#scrolling.isNearTop) {
      this.#fetch({ before: this.#firstSeq }, (messages) => this.#scrolling.above(() => this.#prepend(messages)));
    }
  }

  /** The loaded messages are out of date: discards and reloads them. */
  reset() {
    this.#loading = null;
    this.#loaded = false;
    this.#entries = [];
    this.#firstSeq = null;
    this.#lastSeq = 0;
    this.#more = true;
    this.#messages.replaceChildren(separator('gap', t('log.gap')));
    this.#unsent.querySelectorAll('[data-state="sent"]').forEach((element) => element.remove());
    if (!this.element.hidden) this.load();
  }

  /**
   * Adds the next message of the room. Does nothing before the log is loaded. If another
   * message with this number is loaded, the server's data was restored: loads it again.
   */
  add(message) {
    if (!this.#loaded) return;
    if (message.seq <= this.#lastSeq) {
      const loaded = this.#entries.find(({ message: { seq } }) => seq === message.seq)?.message;
      if (loaded && loaded.hash !== message.hash) this.reset();
      return;
    }
    this.#append(message);
    if (message.kind === 'said' && message.from !== this.#model.you.name && !this.#scrolling.isAtEnd) this.unseen += 1;
    this.#trim();
    this.#changed();
  }

  /** The user has blocked or unblocked another user. */
  blockedChanged() {
    for (const entry of this.#entries) {
      const hidden = entry.element.classList.contains('hidden-text');
      if (hidden !== this.#model.blocked.has(entry.message.from)) showBlocked(entry, !hidden);
    }
  }

  /** Shows the state of a message of the user, if it belongs to this room. */
  pending(item) {
    if (item.data.room !== this.#room) return;
    const { key, state, error, result } = item;
    let element = this.#unsentElement(key);
    if (state === 'discarded' || (state === 'acknowledged' && result.seq <= this.#lastSeq)) {
      element?.remove();
      return;
    }
    if (!element) {
      element = unsentElement(item, this.#model.you.name);
      this.#unsent.append(element);
      this.toEnd();
    }
    element.dataset.state = state === 'acknowledged' ? 'sent' : state;
    if (result) element.dataset.place = result.seq;
    setText(find(element, '.delivery'), this.#deliveryText(state, error));
    find(element, '.choices').hidden = state !== 'failed';
  }

  // With a connection, a message waits only for the messages before it.
  #deliveryText(state, error) {
    switch (state) {
      case 'sending': return t('log.sending');
      case 'waiting': return t(this.#client.status.state === 'open' ? 'log.sending' : 'log.waiting');
      case 'failed': return errorText(error);
      default: return '';
    }
  }

  #unsentElement(key) {
    return this.#unsent.querySelector(`[data-key="${key}"]`);
  }

  async #fetch(where, add) {
    const request = this.#client.emit('history', { room: this.#room, ...where });
    this.#loading = request;
    this.#top.textContent = t('log.loading');
    let reply;
    try {
      reply = await request;
    } catch (error) {
      if (request === this.#loading) this.#failed(error);
      return;
    }
    if (request !== this.#loading) return; // The log was reset meanwhile.
    this.#loading = null;
    this.#loaded = true;
    this.#more = reply.more;
    this.#top.textContent = reply.more ? '' : t('log.beginning');
    // A screen reader must not read out the whole history.
    this.#messages.ariaLive = 'off';
    add(reply.messages);
    requestAnimationFrame(() => { this.#messages.ariaLive = 'polite'; });
    // The messages may not fill the page yet.
    if (this.#scrolling.isAtEnd) this.#scrolling.toEnd();
    else this.#moved();
  }

  // No error is shown while disconnected: the next connection loads again.
  #failed(error) {
    this.#loading = null;
    this.#top.textContent = error.code === 'disconnected' ? '' : errorText(error);
    if (TRANSIENT.includes(error.code)) setTimeout(() => this.load(), RETRY_AFTER);
  }

  #append(message) {
    this.#firstSeq ??= message.seq;
    this.#lastSeq = message.seq;
    find(this.#unsent, `[data-place="${message.seq}"]`)?.remove();
    if (message.kind === 'deleted') {
      this.#delete(message.target);
      return;
    }
    const entry = this.#entryOf(message);
    this.#messages.append(entry.element);
    placeAfter(entry, this.#entries.at(-1), this.#unread);
    this.#entries.push(entry);
  }

  #prepend(messages) {
    if (messages.length === 0) return;
    this.#firstSeq = messages[0].seq;
    const entries = messages.filter(({ kind }) => kind !== 'deleted').map((message) => this.#entryOf(message));
    this.#messages.prepend(...entries.map(({ element }) => element));
    this.#entries.unshift(...entries);
    const changed = this.#entries.slice(0, entries.length + 1);
    changed.forEach((entry, index) => placeAfter(entry, this.#entries[index - 1], this.#unread));
  }

  #entryOf(message) {
    const entry = { message, element: messageElement(message, this.#model.you.name), before: null };
    if (this.#model.blocked.has(message.from)) showBlocked(entry, true);
    return entry;
  }

  #delete(seq) {
    const entry = this.#entries.find(({ message }) => message.seq === seq);
    if (entry) showDeleted(entry.element);
  }

  // Nothing is removed while the user reads further up.
  #trim() {
    if (this.#entries.length <= MAX_ENTRIES || !this.#scrolling.isAtEnd) return;
    for (const { element, before } of this.#entries.splice(0, this.#entries.length - KEPT_ENTRIES)) {
      element.remove();
      before?.remove();
    }
    const [first] = this.#entries;
    this.#firstSeq = first.message.seq;
    this.#more = true;
    this.#top.textContent = '';
    placeAfter(first, undefined, this.#unread);
  }

  #moved() {
    if (this.#scrolling.isAtEnd) this.unseen = 0;
    if (this.#loaded) this.load();
    this.#changed();
  }
}
