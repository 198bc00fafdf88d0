/*
 * The room that is open: its name and topic, its log, what was read of it. The logs of
 * the rooms that were opened before are kept, so that one comes back to where one was.
 */

import { t } from '../strings.js';
import { ask } from './dialogs.js';
import { $, debounced, setText } from './dom.js';
import { Log } from './log.js';
import { showMark } from './rooms.js';

const MAX_LOGS = 10;
const READ_AFTER = 300;

export class Conversation {
  #client;
  #model;
  #logs = new Map(); // by room, the one shown last at the end
  #room = null;
  #sendReadSoon = debounced(READ_AFTER, () => this.#sendRead());
  #read = null; // {room, seq}: what is read and not told yet

  /** `openUser(name)` shows who somebody is. */
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
      // What is pending may wait for something else now.
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

  /** Opens a room that one is in, or none. */
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

  /** Somebody else is signed in. */
  clear() {
    this.show(null);
    this.#logs.clear();
    $('logs').replaceChildren();
  }

  toEnd() {
    this.#log?.toEnd();
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
    setText($('room-topic'), room.kind === 'direct' ? this.#stateOf(room) : room.topic);
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

  // What is at the end of an open room has been read, if anybody looks at the page.
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

  // Where it fails, the next `welcome` tells what is unread still, and it is tried again.
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
    if (key) $('text').focus(); // The button that had the focus is gone.
  }

  #delete(message) {
    const room = this.#room;
    const seq = Number(message.dataset.seq);
    message.focus({ preventScroll: true }); // It remains, its button does not.
    ask({
      title: t('log.delete'),
      text: t('log.delete_text'),
      yes: t('log.delete_yes'),
      danger: true,
      act: () => this.#client.emit('delete', { room, seq }),
    });
  }
}
