/*
 * How far each room has been heard: what makes its messages arrive once each and
 * in order, over any number of connections.
 *
 * The place in a room is `{epoch, seq}`. After each `welcome` all rooms are joined
 * from their places on, which brings what was missed; from there on each message is
 * the next one. One that is not shows that something went wrong, and the room is
 * joined anew.
 *
 * A message of our own is held back while the answer to it is due, and with it what
 * is behind it: the answer tells its `seq`, and so which message of ours it is.
 */

const PAUSE = 1_000;
// No room that one could follow, rather than a failure that will pass.
const REFUSED = ['unknown_room', 'banned', 'not_member'];

export class Following {
  #request;
  #deliver;
  #missed;
  #isUnanswered;
  #places = new Map(); // by room: {epoch, seq, held: [Message], joining}
  #run = 0; // counts connections, so that what began on an earlier one stops

  /**
   * `deliver(message)` gets each message; `missed({room})` says that the next one is not
   * the next of the room; `isUnanswered(message)` says whether a message may be one whose
   * answer is still due.
   */
  constructor({ request, deliver, missed, isUnanswered }) {
    this.#request = request;
    this.#deliver = deliver;
    this.#missed = missed;
    this.#isUnanswered = isUnanswered;
  }

  /** Forgets everything: somebody else has signed in. */
  clear() {
    this.pause();
    this.#places.clear();
  }

  /** There is no connection any more. What was held back will come again. */
  pause() {
    this.#run += 1;
    for (const place of this.#places.values()) {
      place.held = [];
      place.joining = false;
    }
  }

  /** There is a connection, and these are the rooms one is in. */
  begin(rooms) {
    this.#run += 1;
    for (const room of this.#places.keys()) {
      if (!rooms.some((each) => each.room === room)) this.#places.delete(room);
    }
    rooms.forEach((room) => this.enter(room));
  }

  /** Hears all rooms again, but for those that one has left meanwhile: joining would bring one back. */
  async resume() {
    const run = this.#run;
    for (const room of [...this.#places.keys()]) {
      if (run === this.#run) await this.join(room);
    }
  }

  /** One is in this room: it is heard from its `seq` on, unless it is heard already. */
  enter(room) {
    if (!isMine(room)) this.leave(room);
    else if (!this.#places.has(room.room)) {
      this.#places.set(room.room, { epoch: room.epoch, seq: room.seq, held: [], joining: false });
    }
  }

  leave({ room }) {
    this.#places.delete(room);
  }

  /** Asks for what is behind the place in this room, until that is all and each new one comes by itself. */
  async join(room) {
    const run = this.#run;
    const place = this.#places.get(room);
    if (!place || place.joining) return;
    place.joining = true;
    let live = false;
    while (!live) {
      const answer = await this.#ask(room, place);
      if (run !== this.#run || this.#places.get(room) !== place) return;
      if (!answer) continue;
      this.#catchUp(place, answer);
      live = answer.live;
    }
    place.joining = false;
  }

  hear(message) {
    const place = this.#places.get(message.room);
    if (!place) return;
    place.held.push(message);
    this.#release(place);
  }

  /** An answer came: what was held back for it may go on. */
  releaseAll() {
    for (const place of this.#places.values()) this.#release(place);
  }

  #release(place) {
    while (place.held.length > 0 && !this.#isUnanswered(place.held[0])) {
      const message = place.held.shift();
      if (message.epoch === place.epoch && message.seq <= place.seq) continue;
      if (message.epoch === place.epoch && message.seq === place.seq + 1) this.#accept(place, message);
      else this.join(message.room);
    }
  }

  #accept(place, message) {
    place.seq = message.seq;
    this.#deliver(message);
  }

  async #ask(room, { epoch, seq }) {
    try {
      return await this.#request('join', { room, since: { epoch, seq } });
    } catch (error) {
      if (REFUSED.includes(error.code)) this.#places.delete(room);
      else await new Promise((resolve) => setTimeout(resolve, PAUSE));
      return null;
    }
  }

  #catchUp(place, { room, messages, gap }) {
    if (gap) {
      place.epoch = room.epoch;
      place.seq = messages.at(-1)?.seq ?? room.seq;
      place.held = [];
      this.#missed({ room: room.room });
      return;
    }
    for (const message of messages) {
      if (message.seq > place.seq) this.#accept(place, message);
    }
  }
}

function isMine({ role }) {
  return role === 'owner' || role === 'member';
}
