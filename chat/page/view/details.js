/*
 * The details of the open room: topic, members, bans, inviting, leaving, deleting. They
 * are beside the conversation on a wide page, and cover it on a narrow one.
 */

import { errorText, t } from '../strings.js';
import { ask, attempt, toast } from './dialogs.js';
import { $, debounced, setText, showItems, wide } from './dom.js';
import { layerClosed, layerOpened } from './layers.js';
import { roveFocus } from './roving.js';
import { sentence, showText } from './text.js';
import { userElement } from './user_picker.js';

const REFRESH_AFTER = 400;
// Kinds of messages that change the members or their roles.
const MEMBERSHIP_KINDS = ['joined', 'left', 'kicked', 'banned', 'unbanned', 'role'];
// Every user is in this room from the beginning, without an entry in its log.
const LOBBY = 1;

export class Details {
  #client;
  #model;
  #userPicker;
  #openUser;
  #room = null;
  #members = [];
  #isComplete = false; // whether `#members` has all members
  #count = null; // how many members the room has, null while unknown
  #banned = [];
  #refresh = debounced(REFRESH_AFTER, () => this.#fetch());

  constructor({ client, model, userPicker, openUser }) {
    this.#client = client;
    this.#model = model;
    this.#userPicker = userPicker;
    this.#openUser = openUser;
    model.watch(['rooms'], () => this.#renderRoom());
    model.watch(['presence'], () => this.#renderMembers());
    client.on('message', ({ room, kind }) => {
      if (room === this.#room && MEMBERSHIP_KINDS.includes(kind)) this.#refresh();
    });
    client.on('presence', ({ online, offline }) => {
      if (this.#room !== LOBBY || !this.#isComplete) return;
      // A guest who signs out leaves the Lobby.
      const names = new Set(this.#members.map(({ name }) => name));
      if (online?.some((name) => !names.has(name)) || offline?.some((name) => names.has(name))) this.#refresh();
    });
    client.on('state', ({ state }) => {
      if (state === 'open') this.#refresh();
    });

    this.#set(wide.matches);
    wide.addEventListener('change', () => {
      this.#set(wide.matches);
      this.#fetch();
    });
    $('details-toggle').addEventListener('click', () => this.#toggle(!this.#isShown));
    $('details-close').addEventListener('click', () => this.#toggle(false));
    $('details').addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.#toggle(false);
    });
    // An inert element takes no clicks: the element around it gets them.
    $('chat').addEventListener('click', ({ target }) => {
      if (target === $('chat') && $('conversation').inert) this.#toggle(false);
    });
    roveFocus($('member-list'), 'button');
    roveFocus($('ban-list'), 'button');
    $('members-more').addEventListener('click', () => this.#fetchMembers(this.#members));
    $('bans-more').addEventListener('click', () => this.#fetchBanned(this.#banned));
    $('topic-edit').addEventListener('click', () => this.#editTopic());
    $('invite').addEventListener('click', () => this.#invite());
    $('leave').addEventListener('click', () => this.#leave());
    $('remove').addEventListener('click', () => this.#remove());
  }

  show(room) {
    if (room === this.#room) return;
    this.#room = room;
    this.#members = [];
    this.#isComplete = false;
    this.#count = null;
    this.#banned = [];
    for (const id of ['members-more', 'bans-more']) $(id).hidden = true;
    $('details').hidden = room === null;
    if (!wide.matches) this.#set(false); // It would cover the room.
    for (const id of ['member-list', 'ban-list', 'members-title', 'about-topic']) $(id).textContent = '';
    this.#renderRoom();
    this.#renderMembers();
    this.#renderBanned();
    if (this.#isShown) this.#fetch();
  }

  get #isShown() {
    return document.body.dataset.details === 'shown';
  }

  #set(shown) {
    document.body.dataset.details = shown ? 'shown' : 'hidden';
    $('details-toggle').ariaExpanded = String(shown);
    const covers = shown && !wide.matches;
    $('conversation').inert = covers;
    if (covers) layerOpened(this.#close);
    else layerClosed(this.#close);
  }

  #close = () => this.#toggle(false);

  #toggle(shown) {
    this.#set(shown);
    if (shown) this.#fetch();
    (shown ? $('details-title') : $('details-toggle')).focus();
  }

  #fetch() {
    this.#fetchMembers();
    this.#fetchBanned();
  }

  async #fetchMembers(known = []) {
    const reply = await this.#request('members', known, this.#members.length);
    if (!reply) return;
    if (isShorter(reply, this.#members)) return this.#fetchMembers();
    this.#members = reply.users;
    this.#isComplete = !reply.more;
    this.#count = reply.count;
    $('members-more').hidden = this.#isComplete;
    this.#renderMembers();
  }

  /** Fetches the banned users, which only owners may see. */
  async #fetchBanned(known = []) {
    const room = this.#model.rooms.get(this.#room);
    const owns = room && room.kind !== 'direct' && this.#model.isOwner(room);
    const reply = owns ? await this.#request('bans', known, this.#banned.length) : { users: [], more: false };
    if (!reply) return;
    if (isShorter(reply, this.#banned)) return this.#fetchBanned();
    this.#banned = reply.users;
    $('bans-more').hidden = !reply.more;
    this.#renderBanned();
  }

  /**
   * Fetches users of the open room after those in `known`: one page, or more until there are `wanted` in all.
   * Returns all of them and whether there are more, or null after an error or a change of room.
   */
  async #request(event, known, wanted) {
    const room = this.#room;
    if (room === null || !this.#isShown) return null;
    const users = [...known];
    try {
      let more;
      let count;
      do {
        const after = users.at(-1)?.name;
        const reply = await this.#client.emit(event, { room, ...(after && { after }) });
        if (room !== this.#room) return null;
        users.push(...reply.members);
        ({ more, count } = reply);
      } while (more && users.length < wanted);
      return { users, more, count };
    } catch (error) {
      if (error.code !== 'disconnected') toast(errorText(error), 'alert');
      return null;
    }
  }

  #renderRoom() {
    const room = this.#model.rooms.get(this.#room);
    if (!room) return;
    const owns = this.#model.isOwner(room);
    const direct = room.kind === 'direct';
    const toggle = $('details-toggle');
    toggle.title = t(direct ? 'details.toggle_direct' : 'details.toggle');
    toggle.ariaLabel = toggle.title;
    setText($('details-title'), t(direct ? 'details.title_direct' : 'details.title'));
    $('about').hidden = direct;
    $('topic-edit').hidden = !owns;
    showText($('about-topic'), room.topic || t('details.no_topic'));
    $('invite').hidden = direct || (room.kind === 'invited' && !owns);
    $('remove').hidden = direct || !owns || room.room === LOBBY;
  }

  #renderMembers() {
    if (!this.#model.rooms.has(this.#room)) return;
    setText($('members-title'), this.#membersTitle);
    const elements = this.#members.map(({ name, role, online, guest, operator }) => {
      const you = name === this.#model.you.name;
      const known = this.#model.isOnline(name) ?? online;
      const tags = [you && t('user.you'), role === 'owner' && t('user.is_owner')].filter(Boolean);
      return userElement({ name, online: known, guest, operator, tags }, () => this.#openUser(name));
    });
    showItems($('member-list'), elements);
  }

  get #membersTitle() {
    if (this.#model.rooms.get(this.#room).kind === 'direct') return t('details.members_direct');
    if (this.#count === null) return t('details.members_unknown');
    return t('details.members', { count: this.#count });
  }

  #renderBanned() {
    const aside = t('details.unban_yes');
    const elements = this.#banned.map(({ name }) => userElement({ name, aside }, () => this.#unban(name)));
    showItems($('ban-list'), elements, $('details-title'));
    $('bans').hidden = this.#banned.length === 0;
  }

  #editTopic() {
    const room = this.#room;
    const { topic } = this.#model.rooms.get(room);
    ask({
      title: t('details.topic_edit'),
      label: t('details.topic'),
      value: topic,
      yes: t('save'),
      act: (text) => this.#client.emit('topic', { room, topic: text.trim() }),
    });
  }

  #invite() {
    const room = this.#room;
    this.#userPicker.choose(t('details.invite'), async (name) => {
      if (await attempt(() => this.#client.emit('invite', { room, name }))) toast(sentence('details.invited', { name }));
    });
  }

  #unban(name) {
    const room = this.#room;
    ask({
      title: sentence('details.unban', { name }),
      yes: t('details.unban_yes'),
      act: () => this.#client.emit('unban', { room, name }),
    });
  }

  #leave() {
    const { room, name, kind, gone } = this.#model.rooms.get(this.#room);
    const title = sentence(kind === 'direct' ? 'details.leave_ask_direct' : 'details.leave_ask', { name });
    const last = {
      title,
      text: t(kind === 'direct' ? 'details.leave_last_direct' : 'details.leave_last'),
      yes: t('details.leave_last_yes'),
      danger: true,
      act: () => this.#client.emit('leave', { room, remove: true }),
    };
    const isLast = kind === 'direct' ? gone : this.#count === 1 && room !== LOBBY;
    ask(isLast ? last : {
      title,
      text: t(`details.leave_${kind}`),
      yes: t('details.leave'),
      act: async () => {
        try {
          await this.#client.emit('leave', { room });
          return null;
        } catch (error) {
          if (error.code !== 'last_member') throw error;
          return last; // The others have left meanwhile.
        }
      },
    });
  }

  #remove() {
    const { room, name } = this.#model.rooms.get(this.#room);
    ask({
      title: sentence('details.remove_ask', { name }),
      text: t('details.remove_text'),
      yes: t('details.remove'),
      danger: true,
      act: () => this.#client.emit('remove', { room }),
    });
  }
}

// Whether a reply lacks pages that the user has loaded since its request.
function isShorter({ users, more }, shown) {
  return more && users.length < shown.length;
}
