/*
 * The dialog of another user: whether they are online or no longer exist, and the actions on
 * them, including those of an owner of the open room.
 */

import { errorText, t } from '../strings.js';
import { ask, attempt, toast } from './dialogs.js';
import { $, clearAvatar, find, setText, showAvatar } from './dom.js';
import { sentence } from './text.js';
import { markOf } from './user_picker.js';

export class UserDialog {
  #client;
  #model;
  #open;
  #name = null;
  #room = null;
  #user = null; // what the server says about the user, null while unknown
  #gone = false; // whether the user no longer exists

  /** `open(room)` opens a room of the user. */
  constructor({ client, model, open }) {
    this.#client = client;
    this.#model = model;
    this.#open = open;
    model.watch(['blocked', 'presence', 'rooms'], () => this.#render());
    client.on('presence', ({ offline }) => {
      // They may have deleted their account.
      if ($('user-dialog').open && (offline?.includes(this.#name) ?? true)) this.#look();
    });
    this.#on('message', () => this.message(this.#name));
    this.#on('block', () => this.#toggleBlock());
    this.#on('owner', () => {
      const role = this.#user?.role === 'owner' ? 'member' : 'owner';
      attempt(() => this.#inRoom('role', { role }));
    });
    this.#on('kick', () => this.#confirmed('kick'));
    this.#on('ban', () => this.#confirmed('ban'));
  }

  /** Shows a user, with the actions for this room. */
  async show(name, room = null) {
    if (name === this.#model.you.name) return;
    this.#name = name;
    this.#room = room;
    this.#user = null;
    this.#gone = false;
    this.#render();
    $('user-dialog').showModal();
    await this.#look();
  }

  /** Removes the user from the dialog. */
  clear() {
    this.#name = null;
    this.#user = null;
    clearAvatar(find($('user-dialog'), '.avatar'));
    for (const id of ['user-name', 'user-state']) $(id).textContent = '';
  }

  /** Opens the private conversation with a user. */
  message(name) {
    return attempt(async () => {
      const { room } = await this.#client.emit('direct', { name });
      this.#open(room.room);
    });
  }

  get #owns() {
    const room = this.#model.rooms.get(this.#room);
    return room !== undefined && room.kind !== 'direct' && this.#model.isOwner(room);
  }

  /** Asks the server about the user. */
  async #look() {
    const name = this.#name;
    const room = this.#owns ? this.#room : null;
    try {
      const user = await this.#client.emit('person', { name, ...(room !== null && { room }) });
      if (name !== this.#name) return;
      this.#user = user;
    } catch (error) {
      if (name !== this.#name || error.code === 'disconnected') return;
      if (error.code === 'unknown_person') this.#gone = true;
      else toast(errorText(error), 'alert');
    }
    this.#render();
  }

  #render() {
    if (this.#name === null || !this.#model.you) return;
    showAvatar(find($('user-dialog'), '.avatar'), this.#name);
    setText($('user-name'), this.#name);
    const online = this.#model.isOnline(this.#name);
    const blocked = this.#model.blocked.has(this.#name);
    $('user-message').hidden = blocked;
    setText($('user-state'), this.#gone ? t('user.gone') : this.#stateOf(online, blocked));
    // Unavailable actions are disabled, not hidden: buttons must not move under a click.
    for (const id of ['user-owner', 'user-kick', 'user-ban']) $(id).hidden = !this.#owns;
    const role = this.#user?.role ?? null;
    for (const id of ['user-message', 'user-block']) $(id).disabled = this.#gone;
    $('user-owner').disabled = this.#gone || role === null;
    // An owner can be neither removed nor banned.
    $('user-kick').disabled = this.#gone || role !== 'member';
    $('user-ban').disabled = this.#gone || role === 'owner';
    setText($('user-owner').lastElementChild, t(role === 'owner' ? 'user.no_owner' : 'user.owner'));
    setText($('user-block').lastElementChild, t(blocked ? 'user.unblock' : 'user.block'));
  }

  #stateOf(online, blocked) {
    if (blocked) return t('user.is_blocked');
    const known = online ?? this.#user?.online;
    const states = [known !== undefined && t(known ? 'user.online' : 'user.offline'), this.#user && markOf(this.#user)];
    return states.filter(Boolean).join(' · ');
  }

  #on(action, handler) {
    $(`user-${action}`).addEventListener('click', handler);
  }

  async #toggleBlock() {
    const blocked = this.#model.blocked.has(this.#name);
    await attempt(() => this.#client.emit(blocked ? 'unblock' : 'block', { name: this.#name }));
  }

  async #inRoom(event, more = {}) {
    await this.#client.emit(event, { room: this.#room, name: this.#name, ...more });
    $('user-dialog').close();
  }

  #confirmed(event) {
    ask({
      title: sentence(`user.${event}_ask`, { name: this.#name }),
      text: t(`user.${event}_text`),
      yes: t(`user.${event}`),
      danger: true,
      act: () => this.#inRoom(event),
    });
  }
}
