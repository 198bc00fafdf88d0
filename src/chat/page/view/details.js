/*
 * What there is to know and to do about the room that is open: its topic, its members,
 * inviting, leaving, removing. Beside the conversation where the page is wide, over it
 * where it is not.
 */

import { say, sentenceOf } from '../words.js';
import { ask, attempt, toast } from './dialogs.js';
import { $, debounced, setText, showItems } from './dom.js';
import { personElement } from './people.js';

const wide = matchMedia('(min-width: 75rem)');

const REFRESH_AFTER = 400;
// What changes who is in the room, or what they are in it.
const ABOUT_MEMBERS = ['joined', 'left', 'kicked', 'banned', 'role'];
// The room that everybody begins in, without a word in its log.
const LOBBY = 1;

export class Details {
  #client;
  #model;
  #people;
  #openPerson;
  #room = null;
  #members = [];
  #all = false; // whether these are all
  #refresh = debounced(REFRESH_AFTER, () => this.#fetch());

  constructor({ client, model, people, openPerson }) {
    this.#client = client;
    this.#model = model;
    this.#people = people;
    this.#openPerson = openPerson;
    model.watch(['rooms'], () => this.#renderRoom());
    model.watch(['people'], () => this.#renderMembers());
    client.on('message', ({ room, kind }) => {
      if (room === this.#room && ABOUT_MEMBERS.includes(kind)) this.#refresh();
    });
    client.on('presence', ({ online }) => {
      const isNew = (name) => !this.#members.some((member) => member.name === name);
      if (this.#room === LOBBY && this.#all && online?.some(isNew)) this.#refresh();
    });
    client.on('state', ({ state }) => {
      if (state === 'open') this.#refresh();
    });

    this.#set(wide.matches);
    wide.addEventListener('change', () => this.#set(wide.matches));
    $('details-toggle').addEventListener('click', () => this.#toggle(!this.#isShown));
    $('details-close').addEventListener('click', () => this.#toggle(false));
    $('details').addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.#toggle(false);
    });
    $('members-more').addEventListener('click', () => this.#fetch(this.#members.at(-1).name));
    $('topic-edit').addEventListener('click', () => this.#editTopic());
    $('invite').addEventListener('click', () => this.#invite());
    $('unban').addEventListener('click', () => this.#unban());
    $('leave').addEventListener('click', () => this.#leave());
    $('remove').addEventListener('click', () => this.#remove());
  }

  show(room) {
    if (room === this.#room) return;
    this.#room = room;
    this.#members = [];
    this.#all = false;
    $('details').hidden = room === null;
    if (!wide.matches) this.#set(false); // It would lie over the room that one came to see.
    this.#renderRoom();
    this.#renderMembers();
    if (this.#isShown) this.#fetch();
  }

  get #isShown() {
    return document.body.dataset.details === 'shown';
  }

  #set(shown) {
    document.body.dataset.details = shown ? 'shown' : 'hidden';
    $('details-toggle').ariaExpanded = String(shown);
  }

  #toggle(shown) {
    this.#set(shown);
    if (shown) this.#fetch();
    (shown ? $('details-title') : $('details-toggle')).focus();
  }

  async #fetch(after) {
    const room = this.#room;
    if (room === null || !this.#isShown) return;
    try {
      const { members, more } = await this.#client.emit('members', { room, ...(after && { after }) });
      if (room !== this.#room) return;
      this.#members = after ? [...this.#members, ...members] : members;
      this.#all = !more;
      $('members-more').hidden = this.#all;
      this.#renderMembers();
    } catch (error) {
      if (error.code !== 'disconnected') toast(sentenceOf(error), 'alert');
    }
  }

  #renderRoom() {
    const room = this.#model.rooms.get(this.#room);
    if (!room) return;
    const owns = this.#model.isOwner(room);
    const direct = room.kind === 'direct';
    $('about').hidden = direct;
    $('topic-edit').hidden = !owns;
    setText($('about-topic'), room.topic || say('details.no_topic'));
    $('invite').hidden = direct || (room.kind === 'invited' && !owns);
    $('unban').hidden = direct || !owns;
    $('remove').hidden = direct || !owns;
  }

  #renderMembers() {
    const room = this.#model.rooms.get(this.#room);
    if (!room) return;
    const count = this.#all ? this.#members.length : room.members;
    setText($('members-title'), say('details.members', { count }));
    const elements = this.#members.map(({ name, role, online }) => {
      const you = name === this.#model.you.name;
      const known = this.#model.isOnline(name) ?? online;
      const words = [you && say('person.you'), role === 'owner' && say('person.is_owner')].filter(Boolean);
      return personElement({ name, online: known, aside: words.join(' · ') }, () => this.#openPerson(name));
    });
    showItems($('member-list'), elements);
  }

  #editTopic() {
    const room = this.#room;
    const { topic } = this.#model.rooms.get(room);
    ask({
      title: say('details.topic_edit'),
      label: say('details.topic'),
      value: topic,
      yes: say('save'),
      act: (text) => this.#client.emit('topic', { room, topic: text.trim() }),
    });
  }

  #invite() {
    const room = this.#room;
    this.#people.choose(say('details.invite'), async (name) => {
      if (await attempt(() => this.#client.emit('invite', { room, name }))) toast(say('details.invited', { name }));
    });
  }

  #unban() {
    const room = this.#room;
    ask({
      title: say('details.unban'),
      label: say('entrance.name'),
      yes: say('details.unban_yes'),
      act: (name) => this.#client.emit('unban', { room, name: name.trim() }),
    });
  }

  #leave() {
    const { room, name, kind } = this.#model.rooms.get(this.#room);
    ask({
      title: say('details.leave_ask', { name }),
      text: say(`details.leave_${kind}`),
      yes: say('details.leave'),
      act: () => this.#client.emit('leave', { room }),
    });
  }

  #remove() {
    const { room, name } = this.#model.rooms.get(this.#room);
    ask({
      title: say('details.remove_ask', { name }),
      text: say('details.remove_text'),
      yes: say('details.remove'),
      danger: true,
      act: () => this.#client.emit('remove', { room }),
    });
  }
}
