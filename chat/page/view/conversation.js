/*
 * The open room: its name, topic, log and read position. The logs of recently opened
 * rooms are kept with their scroll positions.
 */

import { locale, t } from '../strings.js';
import { ask } from './dialogs.js';
import { $, debounced, narrow, oncePerFrame, setText, touch } from './dom.js';
import { Log } from './log.js';
import { clearMark, showMark } from './rooms.js';
import { showText } from './text.js';

const MAX_LOGS = 10;
const READ_AFTER = 300;

const clock = new Intl.DateTimeFormat(locale, { timeStyle: 'short' });
const calendar = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'short' });

export class Conversation {
  #client;
  #model;
  #logs = new Map(); // by room, the most recently shown last
  #room = null;
  // Where the log is scrolled to is known after a layout, which must not come for each message.
  #updateReadSoon = oncePerFrame(() => this.#updateRead());
  #sendReadSoon = debounced(READ_AFTER, () => this.#sendRead());
  #read = null; // {room, seq}: the read position that is not sent yet

  /** `openUser(name)` opens the dialog of a user; `edit(text)` puts a text into the message field. */
  constructor({ client, model, openUser, edit }) {
    this.#client = client;
    this.#model = model;
    client.on('message', (message) => this.#received(message));
    client.on('pending', (item) => this.#logs.forEach((log) => log.pending(item)));
    client.on('gap', ({ room }) => this.#logs.get(room)?.reset());
    client.on('gone', ({ room }) => this.#drop(room));
    client.on('welcome', () => {
      [...this.#logs.keys()].filter((room) => !model.rooms.has(room)).forEach((room) => this.#drop(room));
      this.#log?.resumed();
    });
    client.on('state', ({ state }) => {
      // The delivery text of pending messages depends on the connection.
      client.pending.forEach((item) => this.#logs.forEach((log) => log.pending(item)));
      if (state === 'open') this.#log?.load();
    });
    model.watch(['rooms', 'presence'], () => this.#render());
    model.watch(['blocked'], () => this.#logs.forEach((log) => log.blockedChanged()));

    document.addEventListener('visibilitychange', () => {
      if (document.hidden) this.#sendRead();
      this.#updateReadSoon();
    });
    $('newer').addEventListener('click', () => {
      this.#log.toEnd();
      focusField();
    });
    $('logs').addEventListener('click', ({ target }) => this.#clicked(target, { openUser, edit }));
  }

  get room() {
    return this.#room;
  }

  get #log() {
    return this.#logs.get(this.#room);
  }

  /** Opens a room of the user, or none. */
  show(number) {
    if (number === this.#room) return;
    this.#log?.hide();
    this.#room = number;
    $('conversation').dataset.room = number ?? '';
    $('no-room').hidden = number !== null;
    if (number !== null) {
      const log = this.#logs.get(number) ?? this.#open(number);
      this.#logs.delete(number);
      this.#logs.set(number, log);
      log.show();
      this.#dropOldest();
    }
    this.#render();
  }

  /** Removes all rooms. */
  clear() {
    this.show(null);
    this.#read = null;
    this.#logs.clear();
    $('logs').replaceChildren();
    for (const id of ['room-name', 'room-topic', 'newer']) $(id).textContent = '';
    clearMark($('room-mark'));
  }

  toEnd() {
    this.#log?.toEnd();
  }

  scrollByPage(direction) {
    this.#log?.scrollByPage(direction);
  }

  #open(room) {
    const log = new Log({
      room,
      client: this.#client,
      model: this.#model,
      changed: this.#updateReadSoon,
      isWatched: () => this.#isWatched,
    });
    $('logs').append(log.element);
    this.#logs.set(room, log);
    this.#client.pending.forEach((item) => log.pending(item));
    return log;
  }

  #received(message) {
    const log = this.#logs.get(message.room);
    log?.add(message);
    // It counts as read before the counts are shown.
    if (message.room === this.#room && log?.followsEnd && this.#isWatched) this.#saw(message.seq);
  }

  #drop(room) {
    this.#logs.get(room)?.element.remove();
    this.#logs.delete(room);
  }

  #dropOldest() {
    const [oldest] = this.#logs.keys();
    if (this.#logs.size > MAX_LOGS) this.#drop(oldest);
  }

  #render() {
    const room = this.#model.rooms.get(this.#room);
    if (!room) return;
    setText($('room-name'), room.name);
    if (room.kind === 'direct') setText($('room-topic'), this.#stateOf(room));
    else showText($('room-topic'), room.topic);
    showMark($('room-mark'), room, this.#model);
    this.#log.element.dataset.owner = this.#model.isOwner(room);
    this.#updateReadSoon();
  }

  #stateOf({ name, gone }) {
    if (gone) return t('user.gone');
    const online = this.#model.isOnline(name);
    if (online === null) return '';
    return t(online ? 'user.online' : 'user.offline');
  }

  get #isWatched() {
    return !document.hidden && !$('chat').inert;
  }

  // Messages that were on the screen of a visible page count as read.
  #updateRead() {
    const log = this.#log;
    if (!log || !this.#model.rooms.has(this.#room)) return;
    $('newer').hidden = log.isAtEnd;
    if (!log.isAtEnd) setText($('newer'), this.#newerText());

    const seq = log.seenSeq;
    if (seq && this.#isWatched) this.#saw(seq);
  }

  #saw(seq) {
    this.#log.saw(seq);
    const { room, read } = this.#model.rooms.get(this.#room);
    if (seq <= read) return;
    if (this.#read?.room !== room) this.#sendRead();
    this.#read = { room, seq };
    this.#sendReadSoon();
    this.#model.read(room, seq);
  }

  #newerText() {
    const { unread } = this.#model.rooms.get(this.#room);
    if (unread === 0) return t('room.to_end');
    const since = this.#log.unreadSince;
    if (since === null) return t('room.newer', { count: unread });
    const isToday = new Date(since).toDateString() === new Date().toDateString();
    const short = narrow.matches ? '_short' : '';
    if (isToday) return t(`room.newer_since${short}`, { count: unread, time: clock.format(since) });
    return t(`room.newer_since_day${short}`, { count: unread, day: calendar.format(since) });
  }

  // If this fails, the next `welcome` has the old read position, and the new one is sent again.
  async #sendRead() {
    const read = this.#read;
    this.#read = null;
    if (!read) return;
    try {
      const { unread } = await this.#client.emit('read', read);
      this.#model.read(read.room, read.seq, unread);
    } catch {
      // The next connection tells.
    }
  }

  #clicked(target, { openUser, edit }) {
    const message = target.closest('.message');
    if (!message) return;
    const { key, from } = message.dataset;
    if (target.closest('.edit')) {
      this.#edit(key, edit);
      return;
    }
    if (target.closest('.name')) openUser(from);
    else if (target.closest('.retry')) this.#client.retry(key);
    else if (target.closest('.discard')) this.#client.discard(key);
    else if (target.closest('.delete')) this.#delete(message);
    else return;
    if (key) focusField(); // The focused button is gone.
  }

  #edit(key, edit) {
    const { text } = this.#client.pending.find((item) => item.key === key).data;
    this.#client.discard(key);
    edit(text);
  }

  #delete(message) {
    const room = this.#room;
    const seq = Number(message.dataset.seq);
    message.focus({ preventScroll: true }); // The message remains, its button does not.
    ask({
      title: t('log.delete_ask'),
      text: t('log.delete_text'),
      yes: t('log.delete_yes'),
      danger: true,
      act: () => this.#client.emit('delete', { room, seq }),
    });
  }
}

// The keyboard of a phone would cover the messages.
function focusField() {
  (touch.matches ? $('room-name') : $('text')).focus();
}
