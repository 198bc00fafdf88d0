/*
 * The loaded messages of one room: when it is opened, those from the first unread one on, or
 * the latest if all are read; others as the user scrolls up or down, new ones as they come.
 * Below them are the user's own messages that are not acknowledged yet.
 */

import { errorText, t } from '../strings.js';
import { find, fromTemplate, setText } from './dom.js';
import { messageElement, placeAfter, separator, showBlocked, showBlockedIn, showChoices, showDeleted, unsentElement } from './message.js';
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
  #room;
  #client;
  #model;
  #changed;
  #isWatched;
  #scrolling;
  #messages = find(this.element, '.messages');
  #unsent = find(this.element, '.unsent');
  #top = find(this.element, '.top');
  #entries = []; // {message, element, before}, in order
  #firstSeq = null; // of the loaded messages, including those without an entry
  #lastSeq = 0;
  #more = true; // whether there are earlier messages
  #later = false; // whether there are later messages, which are not added until they are loaded
  #from = null; // what is loaded first: the messages after this one; null: the latest
  #unread = null; // the messages after this one were unread when the room was opened; null: none
  #mark = null; // the first entry of them, before which "New" stands
  #gap = []; // the line that says that messages are missing before those that are loaded, if they are
  #seen = 0; // the last message that was on the screen
  #loaded = false;
  #loading = null; // the request under way, if any

  /**
   * `changed()` is called when the visible messages may have changed; `isWatched()` returns whether the user can
   * see the page.
   */
  constructor({ room, client, model, changed, isWatched }) {
    this.#room = room;
    this.#client = client;
    this.#model = model;
    this.#changed = changed;
    this.#isWatched = isWatched;
    this.element.dataset.room = room;
    this.element.ariaLabel = t('log.region');
    this.#messages.ariaLabel = t('log.messages');
    this.#unsent.ariaLabel = t('log.unsent');
    roveFocus(find(this.element, '.content'), '.message', { latest: true });
    this.#scrolling = new Scrolling({
      element: this.element,
      content: find(this.element, '.content'),
      mark: () => this.#mark?.before,
      hasEnd: () => !this.#later,
      moved: () => this.#moved(),
    });
    this.element.addEventListener('unfold', () => this.#scrolling.opened());
  }

  /** The `seq` of the last message on the screen, or null. */
  get seenSeq() {
    if (!this.#loaded || this.element.hidden) return null;
    return this.#showsEnd ? this.#lastSeq : this.#lastVisible()?.message.seq ?? null;
  }

  /** Whether the latest message is on the screen, or comes there. */
  get isAtEnd() {
    return !this.#later && this.#scrolling.isAtEnd;
  }

  /** Whether the latest message comes on the screen when it is added. */
  get followsEnd() {
    return this.#loaded && !this.#later && this.#scrolling.followsEnd;
  }

  /** The time of the first unread message, or null if it is not loaded. */
  get unreadSince() {
    const { read } = this.#model.rooms.get(this.#room);
    if (!this.#covers(read)) return null;
    return this.#entries.find(({ message }) => message.seq > read && this.#counts(message))?.message.time ?? null;
  }

  /** Shows the log: from the first unread message on, unless the user has scrolled elsewhere before. */
  show() {
    this.element.hidden = false;
    this.#scrolling.restore();
    this.#markUnread();
    this.load();
  }

  /** There is a new connection: the messages that were missed come next. */
  resumed() {
    if (this.#loaded && this.#model.rooms.get(this.#room).unread > 0) this.#markUnread();
  }

  /** The user has seen all messages up to `seq`. If these are all of the room, the log follows the end. */
  saw(seq) {
    this.#seen = Math.max(this.#seen, seq);
    if (this.#scrolling.followsEnd) return;
    const isAll = this.#showsEnd && seq >= this.#model.rooms.get(this.#room).seq;
    if (isAll) this.#scrolling.toEnd();
  }

  hide() {
    this.#scrolling.save();
    this.element.hidden = true;
  }

  /** Scrolls to the latest message, which may have to be loaded first. */
  toEnd() {
    if (this.#later || (!this.#loaded && this.#from !== null)) {
      this.#clear();
      this.load();
    }
    this.#scrolling.toEnd();
    this.#moved();
  }

  /** Scrolls by most of a page, down if `direction` is 1, up if it is -1. */
  scrollByPage(direction) {
    this.#scrolling.scrollBy(direction * this.element.clientHeight * PAGE_PART);
  }

  /** Loads the first messages if there are none yet, or more if the user is near the first or the last one. */
  load() {
    if (this.#loading) return;
    const append = (messages) => messages.forEach((message) => this.#append(message));
    if (!this.#loaded) this.#fetch(this.#from === null ? {} : { after: this.#from }, append);
    else if (this.#later && this.#scrolling.isNearEnd) this.#fetch({ after: this.#lastSeq }, append);
    else if (this.#more && this.#scrolling.isNearTop) {
      this.#fetch({ before: this.#firstSeq }, (messages) => this.#scrolling.above(() => this.#prepend(messages)));
    }
  }

  /** The loaded messages are out of date: discards and reloads them. */
  reset() {
    this.#gap = [separator('gap', '')];
    this.#clear();
    this.#seen = 0;
    this.#scrolling.toEnd();
    this.#unsent.querySelectorAll('[data-state="sent"]').forEach((element) => element.remove());
    if (this.element.hidden) return;
    this.#markUnread();
    this.load();
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
    if (this.#later) {
      if (message.kind === 'deleted') this.#delete(message);
    } else {
      const isMissed = !this.element.hidden && !this.#isWatched() && this.#counts(message);
      if (isMissed && this.#scrolling.followsEnd) {
        this.#unread = this.#lastSeq;
        this.#placeAll();
        this.#scrolling.toMark();
      }
      this.#append(message);
      this.#trim();
    }
    this.#changed();
  }

  /** The user has blocked or unblocked another user. */
  blockedChanged() {
    if (!this.#model.you) return;
    this.#scrolling.keep(this.#lastVisible()?.element, () => {
      showBlockedIn(this.#entries, this.#model.blocked);
      if (this.#firstUnread !== this.#mark) this.#placeAll();
    });
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
      if (!this.element.hidden) this.toEnd();
    }
    element.dataset.state = state === 'acknowledged' ? 'sent' : state;
    if (result) element.dataset.place = result.seq;
    setText(find(element, '.delivery'), this.#deliveryText(state, error));
    showChoices(element, item);
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
    const isFirst = !this.#loaded;
    const isLater = where.after !== undefined;
    if (isFirst || !isLater) this.#top.textContent = t('log.loading');
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
    if (isLater) this.#later = reply.more;
    else this.#more = reply.more;
    if (isFirst && isLater) {
      this.#more = where.after > 0;
      this.#firstSeq = this.#more ? where.after + 1 : null;
      this.#lastSeq = where.after;
    }
    // A screen reader must not read out the whole history.
    this.#messages.ariaLive = 'off';
    add(reply.messages);
    this.#showBeginning();
    requestAnimationFrame(() => { this.#messages.ariaLive = 'polite'; });
    this.#scrolling.place();
    this.#moved(); // The messages may not fill the page yet.
  }

  // Where messages are missing before the first one, the log does not begin: the server may keep only the latest.
  #showBeginning() {
    this.#gap.forEach((line) => setText(line, t(this.#more ? 'log.gap' : 'log.cut')));
    this.#top.textContent = this.#more || this.#gap.length > 0 ? '' : t(this.#firstSeq > 1 ? 'log.cut' : 'log.beginning');
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
      this.#delete(message);
      return;
    }
    const entry = this.#entryOf(message);
    if (!this.#mark && this.#isUnread(message)) this.#mark = entry;
    this.#messages.append(entry.element);
    placeAfter(entry, this.#entries.at(-1), entry === this.#mark);
    this.#entries.push(entry);
  }

  #prepend(messages) {
    if (messages.length === 0) return;
    this.#firstSeq = messages[0].seq;
    const entries = messages.filter(({ kind }) => kind !== 'deleted').map((message) => this.#entryOf(message));
    this.#messages.prepend(...this.#gap, ...entries.map(({ element }) => element));
    this.#entries.unshift(...entries);
    this.#placeAll(entries.length + 1);
  }

  /** Updates what is before each entry, or before the first `count`. */
  #placeAll(count = this.#entries.length) {
    const mark = this.#firstUnread;
    const changed = mark === this.#mark ? this.#entries.slice(0, count) : this.#entries;
    this.#mark = mark;
    changed.forEach((entry, index) => placeAfter(entry, this.#entries[index - 1], entry === mark));
  }

  /** Marks where the unread messages begin, and moves there, unless the user has scrolled elsewhere. */
  #markUnread() {
    const { read, unread } = this.#model.rooms.get(this.#room);
    this.#unread = unread > 0 ? Math.max(read, this.#seen) : null;
    if (this.#unread !== null && !this.#scrolling.isElsewhere) {
      if (!this.#covers(this.#unread)) {
        this.#clear();
        this.#from = this.#unread;
      }
      this.#scrolling.toMark();
    }
    this.#scrolling.keep(this.#lastVisible()?.element, () => this.#placeAll());
  }

  /** Drops all loaded messages. The latest are loaded next, unless `#from` is set. */
  #clear() {
    this.#loading = null;
    this.#loaded = false;
    this.#entries = [];
    this.#mark = null;
    this.#firstSeq = null;
    this.#lastSeq = 0;
    this.#more = true;
    this.#later = false;
    this.#from = null;
    this.#messages.replaceChildren(...this.#gap);
  }

  get #firstUnread() {
    return this.#entries.find(({ message }) => this.#isUnread(message)) ?? null;
  }

  /** Whether the message was unread when the room was opened, and those before it are known. */
  #isUnread(message) {
    return this.#unread !== null && message.seq > this.#unread && this.#counts(message) && this.#covers(this.#unread);
  }

  /** Whether the server counts a message as unread until it is read. */
  #counts({ kind, from, deleted }) {
    return kind === 'said' && !deleted && from !== this.#model.you.name && !this.#model.blocked.has(from);
  }

  /** Whether the message after this one is loaded, or would be if it were there. */
  #covers(seq) {
    if (!this.#loaded || (this.#later && seq > this.#lastSeq)) return false;
    return !this.#more || (this.#firstSeq !== null && this.#firstSeq <= seq + 1);
  }

  get #showsEnd() {
    return !this.#later && this.#scrolling.showsEnd;
  }

  // The last entry whose end is visible. One that is higher than the log counts when its beginning was passed.
  #lastVisible() {
    const { top, bottom } = this.element.getBoundingClientRect();
    let [low, high] = [0, this.#entries.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const box = this.#entries[middle].element.getBoundingClientRect();
      if (box.bottom <= bottom + 1 || box.top < top) low = middle + 1;
      else high = middle;
    }
    return this.#entries[low - 1];
  }

  #entryOf(message) {
    const entry = { message, element: messageElement(message, this.#model.you.name), before: null };
    if (this.#model.blocked.has(message.from)) showBlocked(entry, true);
    return entry;
  }

  #delete({ target, from }) {
    const entry = this.#entries.find(({ message }) => message.seq === target);
    if (!entry) return;
    entry.message.deleted = true;
    showDeleted(entry.element, from === entry.message.from ? null : from);
    if (entry === this.#mark) this.#scrolling.keep(this.#lastVisible()?.element, () => this.#placeAll());
  }

  // Nothing is removed while the user reads further up.
  #trim() {
    if (this.#entries.length <= MAX_ENTRIES || !this.#scrolling.followsEnd) return;
    for (const entry of this.#entries.splice(0, this.#entries.length - KEPT_ENTRIES)) {
      entry.element.remove();
      entry.before?.remove();
      if (entry === this.#mark) this.#mark = null;
    }
    const [first] = this.#entries;
    this.#firstSeq = first.message.seq;
    this.#more = true;
    this.#showBeginning();
    placeAfter(first, undefined, first === this.#mark);
  }

  #moved() {
    if (this.#loaded) this.load();
    this.#changed();
  }
}
