/*
 * How far each room has been heard: what makes its messages arrive once each and
 * in order, over any number of connections.
 *
 * The position in a room is `{epoch, seq}`. After each `welcome` all rooms are joined
 * from their places on, which brings what was missed; from there on each message is
 * the next one. One that is not shows that something went wrong, and the room is
 * joined anew.
 *
 * A message of our own is held back while the answer to it is due, and with it what
 * is behind it: the answer tells its `seq`, and so which message of ours it is.
 */

const RETRY_AFTER = 1_000;
// No room that one could follow, rather than a failure that will pass.
const PERMANENT = ['unknown_room', 'banned', 'not_member'];

export class RoomSync {
  #request;
  #deliver;
  #onGap;
  #isUnanswered;
  #positions = new Map(); // by room: {epoch, seq, held: [Message], joining}
  #run = 0; // counts connections, so that what began on an earlier one stops

  /**
   * `deliver(message)` gets each message; `onGap({room})` says that the next one is not
   * the next of the room; `isUnanswered(message)` says whether a message may be one whose
   * answer is still due.
   */
  constructor({ request, deliver, onGap, isUnanswered }) {
    this.#request = request;
    this.#deliver = deliver;
    this.#onGap = onGap;
    this.#isUnanswered = isUnanswered;
  }

  /** Forgets everything: somebody else has signed in. */
  clear() {
    this.pause();
    this.#positions.clear();
  }

  /** There is no connection any more. What was held back will come again. */
  pause() {
    this.#run += 1;
    for (const position of this.#positions.values()) {
      position.held = [];
      position.joining = false;
    }
  }

  /** There is a connection, and these are the rooms one is in. */
  start(rooms) {
    this.#run += 1;
    for (const room of this.#positions.keys()) {
      if (!rooms.some((each) => each.room === room)) this.#positions.delete(room);
    }
    rooms.forEach((room) => this.enter(room));
  }

  /** Hears all rooms again, but for those that one has left meanwhile: joining would bring one back. */
  async resume() {
    const run = this.#run;
    for (const room of [...this.#positions.keys()]) {
      if (run === this.#run) await this.join(room);
    }
  }

  /** One is in this room: it is heard from its `seq` on, unless it is heard already. */
  enter(room) {
    if (!isMember(room)) this.leave(room);
    else if (!this.#positions.has(room.room)) {
      this.#positions.set(room.room, { epoch: room.epoch, seq: room.seq, held: [], joining: false });
    }
  }

  leave({ room }) {
    this.#positions.delete(room);
  }

  /** Asks for what is behind the position in this room, until that is all and each new one comes by itself. */
  async join(room) {
    const run = this.#run;
    const position = this.#positions.get(room);
    if (!position || position.joining) return;
    position.joining = true;
    let live = false;
    while (!live) {
      const answer = await this.#ask(room, position);
      if (run !== this.#run || this.#positions.get(room) !== position) return;
      if (!answer) continue;
      this.#catchUp(position, answer);
      live = answer.live;
    }
    position.joining = false;
  }

  receive(message) {
    const position = this.#positions.get(message.room);
    if (!position) return;
    position.held.push(message);
    this.#release(position);
  }

  /** An answer came: what was held back for it may go on. */
  releaseAll() {
    for (const position of this.#positions.values()) this.#release(position);
  }

  #release(position) {
    while (position.held.length > 0 && !this.#isUnanswered(position.held[0])) {
      const message = position.held.shift();
      if (message.epoch === position.epoch && message.seq <= position.seq) continue;
      if (message.epoch === position.epoch && message.seq === position.seq + 1) this.#accept(position, message);
      else this.join(message.room);
    }
  }

  #accept(position, message) {
    position.seq = message.seq;
    this.#deliver(message);
  }

  async #ask(room, { epoch, seq }) {
    try {
      return await this.#request('join', { room, since: { epoch, seq } });
    } catch (error) {
      if (PERMANENT.includes(error.code)) this.#positions.delete(room);
      else await new Promise((resolve) => setTimeout(resolve, RETRY_AFTER));
      return null;
    }
  }

  #catchUp(position, { room, messages, gap }) {
    if (gap) {
      position.epoch = room.epoch;
      position.seq = messages.at(-1)?.seq ?? room.seq;
      position.held = [];
      this.#onGap({ room: room.room });
      return;
    }
    for (const message of messages) {
      if (message.seq > position.seq) this.#accept(position, message);
    }
  }
}

function isMember({ role }) {
  return role === 'owner' || role === 'member';
}
