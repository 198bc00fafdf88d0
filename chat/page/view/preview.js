/*
 * The preview: a room that the user is not in, with its topic and latest messages, and an offer to join it.
 *
 * The server sends no events about such a room, except for invitations. So the page asks again: from time to time
 * while it is visible, when it becomes visible, on a new connection, and when an invitation comes or a join fails.
 */

import { NO_SUCH_ROOM } from '../address.js';
import { errorText, t } from '../strings.js';
import { attempt } from './dialogs.js';
import { $, find, setText } from './dom.js';
import { messageElement, placeAfter, showBlockedIn } from './message.js';
import { roveFocus } from './roving.js';
import { clearMark, showMark } from './rooms.js';
import { Scrolling } from './scrolling.js';
import { sentence, showNodes, showText } from './text.js';

// With a position that no log has, `join` enters a room only if the user is in it already.
const NOWHERE = { epoch: '', seq: 0 };

const REFRESH_AFTER = 30_000;
// Errors that say that the user may not see the room. After others, what was there stays.
const LOST = ['unknown_room', 'banned'];

export class Preview {
  #client;
  #model;
  #joined;
  #renamed;
  #room = null; // its number
  #name = '';
  #role = null; // the user's role in the room, as the model has it: `invited`, or null
  #entries = null; // {message, element, before}, in order; null: the room is not shown yet
  #looks = 0; // counts requests, to ignore the replies to earlier ones
  #timer;
  #isFocusDue = false; // whether the room has been opened, but not shown
  #scrolling = new Scrolling({
    element: $('preview-scrolling'),
    content: $('preview-messages'),
    mark: () => null,
    hasEnd: () => true,
    moved: () => {},
  });

  /**
   * `joined()` is called when the user is in the room, `renamed()` when `name` has changed; `openUser(name)` opens the
   * dialog of a user.
   */
  constructor({ client, model, joined, renamed, openUser }) {
    this.#client = client;
    this.#model = model;
    this.#joined = joined;
    this.#renamed = renamed;
    roveFocus($('preview-messages'), '.message', { latest: true });
    $('preview-join').addEventListener('click', () => this.#join());
    $('preview-decline').addEventListener('click', () => {
      attempt(() => client.emit('leave', { room: this.#room }));
    });
    $('preview-find').addEventListener('click', () => $('find-room').click());
    $('preview-messages').addEventListener('click', ({ target }) => {
      const message = target.closest('.message');
      if (message && target.closest('button.name')) openUser(message.dataset.from);
    });
    client.on('state', ({ state }) => {
      if (state === 'open') this.#look();
    });
    document.addEventListener('visibilitychange', () => this.#look());
    model.watch(['rooms'], () => this.#roomsChanged());
    model.watch(['blocked'], () => showBlockedIn(this.#entries ?? [], model.blocked));
  }

  get room() {
    return this.#room;
  }

  /** The name of the room, or '' while it is not known. */
  get name() {
    return this.#name;
  }

  /** Shows a room by its number, or that there is `NO_SUCH_ROOM`, or nothing. */
  show(number) {
    if (number === this.#room) return;
    this.#room = number;
    this.#role = this.#model.rooms.get(number)?.role ?? null;
    $('preview').hidden = number === null;
    $('conversation').hidden = number !== null;
    this.#clear();
    this.#isFocusDue = true;
    this.#look();
  }

  #clear() {
    for (const id of ['preview-members', 'preview-topic', 'preview-note']) $(id).textContent = '';
    for (const id of ['preview-join', 'preview-decline', 'preview-find']) $(id).hidden = true;
    clearMark($('preview-mark'));
    $('preview-messages').replaceChildren();
    this.#entries = null;
    this.#setName('');
  }

  #setName(name) {
    setText($('preview-name'), name);
    if (name === this.#name) return;
    this.#name = name;
    this.#renamed();
  }

  #roomsChanged() {
    const role = this.#model.rooms.get(this.#room)?.role ?? null;
    if (role === this.#role) return;
    this.#role = role;
    if (role === null || role === 'invited') this.#look();
    else this.#joined();
  }

  async #look() {
    clearTimeout(this.#timer);
    if (this.#room === null || (document.hidden && this.#entries)) return;
    if (this.#room === NO_SUCH_ROOM) {
      this.#showError(t('preview.unknown'));
      return;
    }
    const number = ++this.#looks;
    const room = this.#room;
    try {
      const reply = await this.#client.emit('look', { room });
      if (number !== this.#looks || room !== this.#room) return;
      const { role } = reply.room;
      // A conversation that is too old for the list.
      if (role === 'member' || role === 'owner') await this.#client.emit('join', { room, since: NOWHERE });
      else this.#render(reply);
    } catch (error) {
      if (number !== this.#looks || room !== this.#room || error.code === 'disconnected') return;
      if (LOST.includes(error.code) || !this.#entries) {
        this.#showError(error.code === 'unknown_room' ? t('preview.unknown') : errorText(error));
      }
    }
    this.#timer = setTimeout(() => this.#look(), REFRESH_AFTER);
  }

  #showError(text) {
    this.#clear();
    $('preview-find').hidden = false;
    setText($('preview-note'), text);
    this.#focus();
  }

  #render({ room, messages }) {
    this.#setName(room.name);
    setText($('preview-members'), t('find.members', { count: room.members }));
    showText($('preview-topic'), room.topic);
    showMark($('preview-mark'), room, this.#model);
    if (this.#entries) this.#scrolling.keep(this.#firstVisible()?.element, () => this.#showMessages(messages));
    else this.#showMessages(messages);
    if (this.#isFocusDue) this.#scrolling.toEnd();
    const lead = room.by ? sentence('preview.invited_by', { name: room.by }) : [t('preview.lead')];
    showNodes($('preview-note'), this.#entries.length > 0 ? lead : [...lead, ' ', t('preview.empty')]);
    $('preview-join').hidden = false;
    $('preview-decline').hidden = room.role !== 'invited';
    $('preview-find').hidden = true;
    this.#focus();
  }

  /** Shows these messages. Those that were there and are the same keep their elements, and the focus. */
  #showMessages(messages) {
    const list = $('preview-messages');
    const old = new Map(this.#entries?.map((entry) => [JSON.stringify(entry.message), entry]));
    this.#entries = messages.filter(({ kind }) => kind !== 'deleted').map((message) => {
      const key = JSON.stringify(message);
      const entry = old.get(key) ?? { message, element: messageElement(message, this.#model.you.name), before: null };
      old.delete(key);
      return entry;
    });
    for (const { element, before } of old.values()) {
      element.remove();
      before?.remove();
    }
    this.#entries.forEach((entry, index) => {
      if (entry.element.isConnected) return;
      find(entry.element, '.delete')?.remove();
      const last = this.#entries[index - 1]?.element;
      if (last) last.after(entry.element);
      else list.prepend(entry.element);
    });
    this.#entries.forEach((entry, index) => placeAfter(entry, this.#entries[index - 1], false));
    showBlockedIn(this.#entries, this.#model.blocked);
  }

  #firstVisible() {
    const { top } = $('preview-scrolling').getBoundingClientRect();
    return this.#entries.find(({ element }) => element.getBoundingClientRect().bottom > top);
  }

  // When the room is shown again the user may be typing elsewhere.
  #focus() {
    if (this.#isFocusDue) $('preview-name').focus();
    this.#isFocusDue = false;
  }

  #join() {
    const room = this.#room;
    $('preview-join').disabled = true;
    attempt(async () => {
      try {
        await this.#client.emit('join', { room });
      } catch (error) {
        this.#look(); // The room may be gone.
        throw error;
      }
    }).finally(() => {
      $('preview-join').disabled = false;
    });
  }
}
