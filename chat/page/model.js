/*
 * The state that the page shows: the user, their rooms, who is online. The client's
 * events change it, the views show it.
 *
 * A view watches topics: `you`, `rooms` (any of them), `presence` (who is online), `blocked`.
 * Its handler is called once for all changes of one task.
 */

// The server counts at most this many unread messages of a room.
const MAX_UNREAD = 100;

export class Model {
  you = null;
  limits = null; // the server's; null until it has answered
  rooms = new Map(); // by number: Room
  online = { count: 0, names: new Set() }; // names is null if there are too many
  blocked = new Set();
  hasOlder = false; // whether there are conversations that `rooms` lacks
  #names = new Map(); // of rooms, including those that are gone
  #lastActive = 0; // the highest `active` of any room
  #watchers = [];
  #changed = new Set();
  #recounted = []; // functions that return whether the unread messages of a room are to be counted again
  // While the list of blocked users is incomplete: {names, raised}, those that have come, and by sender the rooms whose
  // `unread` has been raised meanwhile.
  #listing = null;

  /** Updates the model from the events of this client. */
  follow(client) {
    client.on('welcome', (welcome) => this.#welcome(welcome));
    client.on('room', (room) => this.#room(room));
    client.on('gone', ({ room }) => {
      this.#forget(room);
      this.#change('rooms');
    });
    client.on('message', (message) => this.#message(message));
    client.on('conversations', ({ more }) => {
      this.hasOlder = more;
      this.#change('rooms');
    });
    client.on('read', ({ room, seq, unread }) => this.read(room, seq, unread));
    client.on('presence', (presence) => this.#presence(presence));
    client.on('blocked', ({ name, blocked }) => {
      for (const names of [this.blocked, this.#listing?.names]) names?.[blocked ? 'add' : 'delete'](name);
      this.#change('blocked');
      // Of conversations, only the one with this user has another count: there may be more of the others than the
      // server answers at once.
      this.#recountSoon(client, (room) => !isDirect(room) || room.name === name);
    });
    client.on('blocks', ({ names, more }) => this.#blocksListed(client, names, more));
  }

  watch(topics, handler) {
    this.#watchers.push({ topics, handler });
  }

  /** The user has signed out. */
  clear() {
    this.you = null;
    this.rooms.clear();
    this.online = { count: 0, names: new Set() };
    this.blocked.clear();
    this.#listing = null;
    this.hasOlder = false;
    this.#names.clear();
    this.#change('you', 'rooms', 'presence', 'blocked');
  }

  /** Returns the name of a current or former room. */
  nameOf(number) {
    return this.rooms.get(number)?.name ?? this.#names.get(number) ?? '';
  }

  /** Returns whether a user is online, or null if that is not known. */
  isOnline(name) {
    return this.online.names?.has(name) ?? null;
  }

  /** Returns whether the user may do in this room what owners may. */
  isOwner(room) {
    return room.role === 'owner' || (this.you.operator && room.kind === 'public');
  }

  get unread() {
    return [...this.rooms.values()].reduce((sum, { role, unread }) => sum + (role === 'invited' ? 0 : unread), 0);
  }

  /** How many invitations the user has not answered. */
  get invitations() {
    return [...this.rooms.values()].filter(({ role }) => role === 'invited').length;
  }

  /** The user has read this room up to `seq`. After it, `unread` messages are left; null: not known yet. */
  read(number, seq, unread = null) {
    const room = this.rooms.get(number);
    if (!room || seq < room.read || (seq === room.read && unread === null)) return;
    room.read = seq;
    if (seq >= room.seq) room.unread = 0;
    else room.unread = unread ?? room.unread;
    this.#change('rooms');
  }

  #welcome({ you, limits, rooms, older, online, blocked, blocked_more: hasMoreBlocked }) {
    const isSame = you.name === this.you?.name;
    // The client finds out whether the user is still in older conversations.
    const kept = older && isSame ? [...this.rooms.values()].filter(isDirect) : [];
    [...this.rooms.keys()].forEach((room) => this.#forget(room));
    this.you = you;
    this.limits = limits;
    this.rooms = new Map([...kept, ...rooms].map((room) => [room.room, room]));
    rooms.forEach((room) => this.#noteActive(room));
    this.online = { count: online.count, names: online.names && new Set(online.names) };
    this.#listing = hasMoreBlocked ? { names: new Set(blocked), raised: new Map() } : null;
    // Until the list is complete, those who were blocked before count as blocked.
    this.blocked = new Set(hasMoreBlocked && isSame ? [...blocked, ...this.blocked] : blocked);
    this.#change('you', 'rooms', 'presence', 'blocked');
  }

  // The server's counts do not include the messages of these users, but those that came since the `welcome` may.
  #blocksListed(client, names, more) {
    if (!this.#listing) return;
    for (const name of names) {
      const raised = this.#listing.raised.get(name);
      if (raised) this.#recountSoon(client, ({ room }) => raised.has(room));
      this.#listing.names.add(name);
      this.blocked.add(name);
    }
    if (!more) {
      this.blocked = this.#listing.names;
      this.#listing = null;
    }
    this.#change('blocked');
  }

  #room(room) {
    if (room.role === null) this.#forget(room.room);
    else this.rooms.set(room.room, room);
    this.#noteActive(room);
    this.#change('rooms');
  }

  #noteActive({ active }) {
    this.#lastActive = Math.max(this.#lastActive, active ?? 0);
  }

  #forget(room) {
    this.#names.set(room, this.nameOf(room));
    this.rooms.delete(room);
  }

  #message({ room: number, epoch, seq, from, kind, text, target, who = from }) {
    const room = this.rooms.get(number);
    if (!room) return;
    if (kind === 'topic') room.topic = text ?? '';
    // The `unread` of `welcome` already includes missed messages.
    const isNew = epoch !== room.epoch || seq > room.seq;
    if (isNew) {
      room.epoch = epoch;
      room.seq = seq;
      if (kind === 'said' && isDirect(room)) room.active = this.#lastActive += 1; // After all others.
      if (kind === 'said' && this.#counts(from)) this.#raise(room, from);
      const isLess = kind === 'deleted' && target > room.read && this.#counts(who);
      // Beyond the server's maximum, the exact number is not known.
      if (isLess && room.unread > 0 && room.unread < MAX_UNREAD) room.unread -= 1;
    }
    this.#change('rooms');
  }

  /** Whether messages by this user count as unread. */
  #counts(name) {
    return name !== this.you.name && !this.blocked.has(name);
  }

  #raise(room, from) {
    room.unread += 1;
    const raised = this.#listing?.raised;
    raised?.set(from, (raised.get(from) ?? new Set()).add(room.room));
  }

  #recountSoon(client, isConcerned) {
    if (this.#recounted.length === 0) queueMicrotask(() => this.#recount(client));
    this.#recounted.push(isConcerned);
  }

  // The server counts again where the user has not read everything: the replies have the rooms.
  async #recount(client) {
    const recounted = this.#recounted;
    this.#recounted = [];
    const isConcerned = (room) => recounted.some((each) => each(room));
    const isDue = (room) => room.read < room.seq && room.role !== 'invited' && isConcerned(room);
    const due = [...this.rooms.values()].filter(isDue);
    for (const { room, epoch, seq } of due) {
      // With a position, this does not make the user a member. If it fails, the next `welcome` has the count.
      await client.emit('join', { room, since: { epoch, seq } }).catch(() => {});
    }
  }

  #presence({ online, offline, count }) {
    this.online.count = count;
    if (online && offline && this.online.names) {
      online.forEach((name) => this.online.names.add(name));
      offline.forEach((name) => this.online.names.delete(name));
    } else {
      this.online.names = null;
    }
    this.#change('presence');
  }

  #change(...topics) {
    if (this.#changed.size === 0) queueMicrotask(() => this.#notify());
    topics.forEach((topic) => this.#changed.add(topic));
  }

  #notify() {
    const changed = this.#changed;
    this.#changed = new Set();
    for (const { topics, handler } of this.#watchers) {
      if (!topics.some((topic) => changed.has(topic))) continue;
      try {
        handler();
      } catch (error) {
        queueMicrotask(() => { throw error; }); // Reported, without stopping the other views.
      }
    }
  }
}

function isDirect({ kind }) {
  return kind === 'direct';
}
