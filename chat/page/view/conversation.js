/*
 * The open room: its name, topic, log and read position. The logs of recently opened
 * rooms are kept with their scroll positions.
 */

import { t } from '../strings.js';
import { ask } from './dialogs.js';
import { $, debounced, setText } from './dom.js';
import { Log } from './log.js';
import { showMark } from './rooms.js';
import { showText } from './text.js';

const MAX_LOGS = 10;
const READ_AFTER = 300;

export class Conversation {
  #client;
  #model;
  #logs = new Map(); // by room, the most recently shown last
  #room = null;
  #sendReadSoon = debounced(READ_AFTER, () => this.#sendRead());
  #read = null; // {room, seq}: the read position that is not sent yet

  /** `openUser(name)` opens the dialog of a user. */
  constructor({ client, model, openUser }) {
    this.#client = client;
    this.#model = model;
    client.on('message', (message) => this.#logs.get(message.room)?.add(message));
    client.on('pending', (item) => this.#logs.forEach((log) => log.pending(item)));
    client.on('gap', ({ room }) => this.#logs.get(room)?.reset());
    client.on('gone', ({ room }) => this.#drop(room));
    client.on('welcome', () => {
      [...this.#logs.keys()].filter((room) => !model.rooms.has(room)).forEach((room) => this.#drop(room));
    });
    client.on('state', ({ state }) => {
      // The delivery text of pending messages depends on the connection.
      client.pending.forEach((item) => this.#logs.forEach((log) => log.pending(item)));
      if (state === 'open') this.#log?.load();
    });
    model.watch(['rooms', 'presence'], () => this.#render());
    model.watch(['blocked'], () => this.#logs.forEach((log) => log.blockedChanged()));

    document.addEventListener('visibilitychange', () => this.#updateRead());
    $('newer').addEventListener('click', () => {
      this.#log.toEnd();
      $('text').focus();
    });
    $('logs').addEventListener('click', ({ target }) => this.#clicked(target, openUser));
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

  /** Another user has signed in. */
  clear() {
    this.show(null);
    this.#logs.clear();
    $('logs').replaceChildren();
  }

  toEnd() {
    this.#log?.toEnd();
  }

  scrollByPage(direction) {
    this.#log?.scrollByPage(direction);
  }

  #open(room) {
    const log = new Log({ room, client: this.#client, model: this.#model, changed: () => this.#updateRead() });
    $('logs').append(log.element);
    this.#logs.set(room, log);
    this.#client.pending.forEach((item) => log.pending(item));
    return log;
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
    this.#updateRead();
  }

  #stateOf({ name, gone }) {
    if (gone) return t('user.gone');
    const online = this.#model.isOnline(name);
    if (online === null) return '';
    return t(online ? 'user.online' : 'user.offline');
  }

  // The end of an open room counts as read while the page is visible.
  #updateRead() {
    if (!this.#model.rooms.has(this.#room)) return;
    const { unseen, isAtEnd, seenSeq: seq } = this.#log;
    $('newer').hidden = isAtEnd;
    setText($('newer'), unseen > 0 ? t('room.newer', { count: unseen }) : t('room.to_end'));

    const { room, read } = this.#model.rooms.get(this.#room);
    if (!seq || seq <= read || document.hidden || $('chat').inert) return;
    if (this.#read?.room !== room) this.#sendRead();
    this.#read = { room, seq };
    this.#sendReadSoon();
    this.#model.read(room, seq);
  }

  // If this fails, the next `welcome` has the old read position, and the new one is sent again.
  #sendRead() {
    if (this.#read) this.#client.emit('read', this.#read).catch(() => {});
    this.#read = null;
  }

  #clicked(target, openUser) {
    const message = target.closest('.message');
    if (!message) return;
    const { key, from } = message.dataset;
    if (target.closest('.name')) openUser(from);
    else if (target.closest('.retry')) this.#client.retry(key);
    else if (target.closest('.discard')) this.#client.discard(key);
    else if (target.closest('.delete')) this.#delete(message);
    else return;
    if (key) $('text').focus(); // The focused button is gone.
  }

  #delete(message) {
    const room = this.#room;
    const seq = Number(message.dataset.seq);
    message.focus({ preventScroll: true }); // The message remains, its button does not.
    ask({
      title: t('log.delete'),
      text: t('log.delete_text'),
      yes: t('log.delete_yes'),
      danger: true,
      act: () => this.#client.emit('delete', { room, seq }),
    });
  }
}
