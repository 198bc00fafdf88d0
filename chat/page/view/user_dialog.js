/*
 * The dialog of another user: whether they are online, and the actions on them, including
 * those of an owner of the open room.
 */

import { t } from '../strings.js';
import { ask, attempt } from './dialogs.js';
import { $, find, setText, showAvatar } from './dom.js';

export class UserDialog {
  #client;
  #model;
  #open;
  #name = null;
  #room = null;
  #role = null; // the user's role in that room, null for a non-member or while unknown

  /** `open(room)` opens a room of the user. */
  constructor({ client, model, open }) {
    this.#client = client;
    this.#model = model;
    this.#open = open;
    model.watch(['blocked', 'presence', 'rooms'], () => this.#render());
    this.#on('message', () => this.message(this.#name));
    this.#on('block', () => this.#toggleBlock());
    this.#on('owner', () => {
      const role = this.#role === 'owner' ? 'member' : 'owner';
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
    this.#role = null;
    this.#render();
    $('user-dialog').showModal();
    if (this.#owns) await this.#findRole(name, room);
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

  // No request returns a single member: the list is read until the user is found.
  async #findRole(name, room) {
    await attempt(async () => {
      let after;
      let page;
      do {
        page = await this.#client.emit('members', { room, ...(after && { after }) });
        after = page.members.at(-1)?.name;
        const member = page.members.find((each) => each.name === name);
        if (member && this.#name === name) this.#role = member.role;
      } while (page.more && this.#role === null);
    });
    this.#render();
  }

  #render() {
    if (this.#name === null || !this.#model.you) return;
    showAvatar(find($('user-dialog'), '.avatar'), this.#name);
    setText($('user-name'), this.#name);
    const online = this.#model.isOnline(this.#name);
    const blocked = this.#model.blocked.has(this.#name);
    const state = online === null ? '' : t(online ? 'user.online' : 'user.offline');
    setText($('user-state'), blocked ? t('user.is_blocked') : state);
    $('user-message').hidden = blocked;
    // Unavailable actions are disabled, not hidden: buttons must not move under a click.
    for (const id of ['user-owner', 'user-kick', 'user-ban']) $(id).hidden = !this.#owns;
    for (const id of ['user-owner', 'user-kick']) $(id).disabled = this.#role === null;
    setText($('user-owner').lastElementChild, t(this.#role === 'owner' ? 'user.no_owner' : 'user.owner'));
    setText($('user-block').lastElementChild, t(blocked ? 'user.unblock' : 'user.block'));
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
      title: t(`user.${event}_ask`, { name: this.#name }),
      text: t(`user.${event}_text`),
      yes: t(`user.${event}`),
      danger: true,
      act: () => this.#inRoom(event),
    });
  }
}
