/*
 * The preview: a room that the user is not in, with its topic and latest messages, and an offer to join it.
 */

import { NO_SUCH_ROOM } from '../address.js';
import { errorText, t } from '../strings.js';
import { attempt } from './dialogs.js';
import { $, find, setText } from './dom.js';
import { messageElement, placeAfter, showBlocked } from './message.js';
import { roveFocus } from './roving.js';
import { clearMark, showMark } from './rooms.js';
import { showText } from './text.js';

// With a position that no log has, `join` enters a room only if the user is in it already.
const NOWHERE = { epoch: '', seq: 0 };

export class Preview {
  #client;
  #model;
  #joined;
  #room = null; // its number
  #isFocusDue = false; // whether the room has been opened, but not shown

  /** `joined()` is called when the user is in the room; `openUser(name)` opens the dialog of a user. */
  constructor({ client, model, joined, openUser }) {
    this.#client = client;
    this.#model = model;
    this.#joined = joined;
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
      if (state === 'open' && this.#room !== null) this.#look();
    });
    model.watch(['rooms'], () => {
      const room = model.rooms.get(this.#room);
      if (room && room.role !== 'invited') joined();
    });
  }

  get room() {
    return this.#room;
  }

  /** Shows a room by its number, or that there is `NO_SUCH_ROOM`, or nothing. */
  show(number) {
    if (number === this.#room) return;
    this.#room = number;
    $('preview').hidden = number === null;
    $('conversation').hidden = number !== null;
    this.#clear();
    this.#isFocusDue = true;
    if (number !== null) this.#look();
  }

  #clear() {
    for (const id of ['preview-name', 'preview-members', 'preview-topic', 'preview-note']) $(id).textContent = '';
    for (const id of ['preview-join', 'preview-decline', 'preview-find']) $(id).hidden = true;
    clearMark($('preview-mark'));
    $('preview-messages').replaceChildren();
  }

  async #look() {
    const number = this.#room;
    if (number === NO_SUCH_ROOM) {
      this.#showError(t('preview.unknown'));
      return;
    }
    try {
      const { room, messages } = await this.#client.emit('look', { room: number });
      if (number !== this.#room) return;
      // A conversation that is too old for the list.
      if (room.role === 'member' || room.role === 'owner') {
        await this.#client.emit('join', { room: number, since: NOWHERE });
      } else {
        this.#render(room, messages);
      }
    } catch (error) {
      if (number !== this.#room || error.code === 'disconnected') return;
      this.#showError(error.code === 'unknown_room' ? t('preview.unknown') : errorText(error));
    }
  }

  #showError(text) {
    this.#clear();
    $('preview-find').hidden = false;
    setText($('preview-note'), text);
    this.#focus();
  }

  #render(room, messages) {
    const invited = room.role === 'invited';
    setText($('preview-name'), room.name);
    setText($('preview-members'), t('find.members', { count: room.members }));
    showText($('preview-topic'), room.topic);
    showMark($('preview-mark'), room, this.#model);
    const shown = messages.filter(({ kind }) => kind !== 'deleted').map((message) => ({
      message, element: messageElement(message, this.#model.you.name), before: null,
    }));
    $('preview-messages').replaceChildren(...shown.map(({ element }) => element));
    shown.forEach((entry, index) => {
      find(entry.element, '.delete')?.remove();
      placeAfter(entry, shown[index - 1], false);
      if (this.#model.blocked.has(entry.message.from)) showBlocked(entry, true);
    });
    const lead = room.by ? t('preview.invited_by', { name: room.by }) : t('preview.lead');
    setText($('preview-note'), shown.length > 0 ? lead : `${lead} ${t('preview.empty')}`);
    $('preview-join').hidden = false;
    $('preview-decline').hidden = !invited;
    $('preview-find').hidden = true;
    $('preview-scrolling').scrollTop = $('preview-scrolling').scrollHeight;
    this.#focus();
  }

  // When the room is shown again, after a reconnect, the user may be typing elsewhere.
  #focus() {
    if (this.#isFocusDue) $('preview-name').focus();
    this.#isFocusDue = false;
  }

  #join() {
    const room = this.#room;
    $('preview-join').disabled = true;
    attempt(() => this.#client.emit('join', { room })).finally(() => {
      $('preview-join').disabled = false;
    });
  }
}
