/*
 * The position in each room, and catch-up: each message is delivered once and in
 * order, over any number of connections.
 *
 * The position in a room is `{epoch, seq, hash}` of the last message. After each `welcome`
 * all rooms are joined from their positions on, which returns the missed messages. After
 * that each message must have the next `seq`. If one does not, the room is joined again.
 *
 * Only the reply to a `join` tells whether the server still has the message of a position:
 * its data may have been restored. Messages that come earlier on a connection are held.
 *
 * A `welcome` may lack older conversations. If there is a position in one of them, it is
 * joined after the others, a few per second, since there may be many.
 *
 * A message of the user, and all messages after it, are held while an ack is due: its
 * `seq` tells which of the user's messages has come.
 */

const RETRY_AFTER = 1_000;
const OLDER_EVERY = 200;
// Errors after which the room cannot be followed. Others are temporary.
const PERMANENT = ['unknown_room', 'banned', 'not_member'];

export class RoomSync {
  #request;
  #deliver;
  #onGap;
  #isAckDue;
  #onFound;
  #onLost;
  // By room: {epoch, seq, hash, held: [Message], joining, isConfirmed, isDirect, isKnown};
  // `isConfirmed`: the position comes from this connection, or the server has confirmed it;
  // `isKnown`: the user is known to be in the room.
  #positions = new Map();
  #run = 0; // counts connections, to stop work that an earlier one began

  /**
   * `deliver(message)` gets each message; `onGap({room})` is called if some messages
   * before the next one are skipped; `isAckDue(message)` returns whether a message may
   * be the user's own and its ack is still due. `onFound(room)` and `onLost({room})` are
   * called for a conversation that the last `welcome` lacked, once it is known whether
   * the user is still in it.
   */
  constructor({ request, deliver, onGap, isAckDue, onFound, onLost }) {
    this.#request = request;
    this.#deliver = deliver;
    this.#onGap = onGap;
    this.#isAckDue = isAckDue;
    this.#onFound = onFound;
    this.#onLost = onLost;
  }

  /** Forgets all positions: another user has signed in. */
  clear() {
    this.pause();
    this.#positions.clear();
  }

  /** The connection is lost. Held messages will come again. */
  pause() {
    this.#run += 1;
    for (const position of this.#positions.values()) {
      position.held = [];
      position.joining = false;
    }
  }

  /**
   * There is a new connection, and the user is in these rooms. If they are not all
   * (`isComplete`), the user may be in older conversations too.
   */
  start(rooms, isComplete) {
    this.#run += 1;
    const listed = new Set(rooms.map(({ room }) => room));
    for (const [room, position] of this.#positions) {
      position.isConfirmed = false;
      position.isKnown = listed.has(room);
      if (!position.isKnown && (isComplete || !position.isDirect)) this.#positions.delete(room);
    }
    rooms.forEach((room) => this.enter(room));
  }

  /** Joins all rooms again, except those left meanwhile: a `join` would enter them again. */
  async resume() {
    const run = this.#run;
    const older = [...this.#positions].filter(([, { isKnown }]) => !isKnown).map(([room]) => room);
    for (const room of [...this.#positions.keys()].filter((each) => !older.includes(each))) {
      if (run === this.#run) await this.join(room);
    }
    for (const room of older) {
      if (run === this.#run) await this.join(room);
      if (run === this.#run) await pause(OLDER_EVERY);
    }
  }

  /** The user is in this room: follows it from its `seq` on, unless it is followed already. */
  enter(room) {
    const position = this.#positions.get(room.room);
    if (!isMember(room)) this.leave(room);
    else if (position) position.isKnown = true;
    else {
      const { epoch, seq, hash, kind } = room;
      const state = { held: [], joining: false, isConfirmed: true, isDirect: kind === 'direct', isKnown: true };
      this.#positions.set(room.room, { epoch, seq, hash, ...state });
    }
  }

  /** Returns whether there is a position in this room. */
  has(room) {
    return this.#positions.has(room);
  }

  leave({ room }) {
    this.#positions.delete(room);
  }

  /** Requests the messages after the position until the room is live. */
  async join(room) {
    const run = this.#run;
    const position = this.#positions.get(room);
    if (!position || position.joining) return;
    position.joining = true;
    let live = false;
    while (!live) {
      const reply = await this.#ask(room, position);
      if (run !== this.#run || this.#positions.get(room) !== position) return;
      if (!reply) continue;
      if (!position.isKnown) this.#onFound(reply.room);
      position.isKnown = true;
      position.isConfirmed = true;
      this.#catchUp(position, reply);
      this.#release(position);
      live = reply.live;
    }
    position.joining = false;
  }

  receive(message) {
    const position = this.#positions.get(message.room);
    if (!position) return;
    position.held.push(message);
    this.#release(position);
  }

  /** An ack has come: delivers the messages that were held for it. */
  releaseAll() {
    for (const position of this.#positions.values()) this.#release(position);
  }

  #release(position) {
    while (position.isConfirmed && position.held.length > 0 && !this.#isAckDue(position.held[0])) {
      const message = position.held.shift();
      if (message.epoch === position.epoch && message.seq <= position.seq) continue;
      if (message.epoch === position.epoch && message.seq === position.seq + 1) this.#accept(position, message);
      else this.join(message.room);
    }
  }

  #accept(position, message) {
    position.seq = message.seq;
    position.hash = message.hash;
    this.#deliver(message);
  }

  async #ask(room, { epoch, seq, hash }) {
    try {
      return await this.#request('join', { room, since: { epoch, seq, hash } });
    } catch (error) {
      if (PERMANENT.includes(error.code)) this.#lose(room);
      else await pause(RETRY_AFTER);
      return null;
    }
  }

  #lose(room) {
    const position = this.#positions.get(room);
    this.#positions.delete(room);
    if (position && !position.isKnown) this.#onLost({ room });
  }

  #catchUp(position, { room, messages, gap }) {
    if (gap) {
      const { epoch, seq, hash } = messages.at(-1) ?? room;
      Object.assign(position, { epoch, seq, hash });
      position.held = [];
      this.#onGap({ room: room.room });
      return;
    }
    for (const message of messages) {
      if (message.seq > position.seq) this.#accept(position, message);
    }
  }
}

function pause(time) {
  return new Promise((resolve) => setTimeout(resolve, time));
}

function isMember({ role }) {
  return role === 'owner' || role === 'member';
}
