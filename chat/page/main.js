/*
 * The page: makes its parts, tells them of each other, and keeps to the address which
 * room is open, so that the browser's buttons work as everywhere.
 *
 * | file | what |
 * |---|---|
 * | `client.js`, `client/` | the protocol; knows nothing of the page |
 * | `model.js` | what the page knows |
 * | `words.js`, `words/`, `links.js` | texts |
 * | `view/` | each part of the page, by its name |
 * | `style/` | how they look |
 */

import { Client } from './client.js';
import { Model } from './model.js';
import { startAccount } from './view/account.js';
import { Composer } from './view/composer.js';
import { startConnection } from './view/connection.js';
import { Conversation } from './view/conversation.js';
import { Details } from './view/details.js';
import { closeDialogs, prepareDialogs, toast } from './view/dialogs.js';
import { $ } from './view/dom.js';
import { Entrance } from './view/entrance.js';
import { startFinding } from './view/find.js';
import { kept } from './view/memory.js';
import { clearNotices, showNotice, startNotices } from './view/notices.js';
import { People } from './view/people.js';
import { Person } from './view/person.js';
import { startRooms } from './view/rooms.js';
import { Typing } from './view/typing.js';
import { fillIn, language, say } from './words.js';

const narrow = matchMedia('(max-width: 47.99rem)');

document.documentElement.lang = language;
fillIn(document);
prepareDialogs();

const client = new Client({ outbox: kept('sessionStorage', 'unsent') });
const model = new Model();
model.follow(client); // First: what the views are told is in the model already.

const person = new Person({ client, model, open });
const people = new People({ client, model });
const conversation = new Conversation({ client, model, openPerson: (name) => person.show(name, conversation.room) });
const typing = new Typing({ client, model });
const composer = new Composer({
  model,
  send(room, text) {
    client.say(room, text);
    typing.sent();
    conversation.toEnd();
  },
  wrote: () => typing.tell(),
});
const details = new Details({ client, model, people, openPerson: (name) => person.show(name, conversation.room) });
const rooms = startRooms({ client, model, current: () => conversation.room, open });
const entrance = new Entrance({ client, entered: () => client.connect() });
startAccount({ client, model, signedOut });
startConnection(client);
startFinding({ client, model, open });
startNotices(client);
$('find-person').addEventListener('click', () => people.choose(say('people.find'), (name) => person.message(name)));

// --- Which room is open ------------------------------------------------------

/** Opens a room that one is in. */
function open(number) {
  closeDialogs();
  location.hash = `#room-${number}`;
  showAddressed();
}

/** Shows the room of the address, or another one, maybe without the reader having asked for it: `moved`. */
function showAddressed({ moved = false } = {}) {
  const number = Number(/^#room-(\d+)$/.exec(location.hash)?.[1]);
  const room = isOpenable(model.rooms.get(number)) ? number : usual();
  document.body.dataset.view = room === null ? 'rooms' : 'room';
  if (room === conversation.room) return;
  // What one is just writing must not go to another room.
  const left = conversation.room;
  const isTaken = moved && left !== null;
  conversation.show(room);
  composer.show(room);
  typing.show(room);
  details.show(room);
  rooms.render();
  // On a phone the focus would open its keyboard over what one came to read.
  if (room !== null) (narrow.matches || isTaken ? $('room-name') : $('text')).focus();
  else rooms.focus(left);
}

// A wide page has room for one from the beginning, a narrow one begins with the list.
function usual() {
  if (narrow.matches) return null;
  return [...model.rooms.values()].find(isOpenable)?.room ?? null;
}

function isOpenable(room) {
  return room !== undefined && room.role !== 'invited';
}

addEventListener('hashchange', () => showAddressed());
narrow.addEventListener('change', () => {
  if (!model.you) return;
  // The room that a wide page has opened by itself stays open on a narrow one.
  if (conversation.room !== null && !location.hash) history.replaceState(null, '', `#room-${conversation.room}`);
  showAddressed();
});

client.on('gone', ({ room, reason }) => {
  if (reason !== 'left') toast(say(`gone.${reason}`, { name: model.nameOf(room) }));
  if (room === conversation.room) leaveAddress();
  client.pending.forEach(giveBack);
  showAddressed({ moved: true });
});
client.on('pending', giveBack);

/** The room that is open is no more, nor what was about to be done in it. */
function leaveAddress() {
  closeDialogs();
  history.replaceState(null, '', location.pathname + location.search);
}

/** Shows what was not said while it could, and has no room any more in which it could wait. */
function giveBack({ key, state, data: { room, text } }) {
  if (state !== 'failed' || model.rooms.has(room)) return;
  showNotice(say('notice.unsent'), text);
  queueMicrotask(() => client.discard(key)); // It may be one of many that are just being told.
}

// --- Coming and going --------------------------------------------------------

let owner = null; // of what is on the page

client.on('welcome', ({ you }) => {
  if (you.name !== owner) {
    clearNotices();
    conversation.clear();
    details.show(null);
    composer.belongTo(you.name);
    owner = you.name;
  } else {
    client.pending.forEach(giveBack);
  }
  const { room } = conversation;
  const isGone = room !== null && !model.rooms.has(room);
  if (isGone) {
    toast(say('gone.meanwhile', { name: model.nameOf(room) }));
    leaveAddress();
  }
  const wasAway = !$('entrance').hidden;
  entrance.hide();
  showAddressed({ moved: true });
  if (wasAway && !isGone && !narrow.matches) $('text').focus();
});

client.on('state', ({ state, reason }) => {
  if (state !== 'expired') return;
  closeDialogs();
  if (reason === 'deleted' || reason === 'logout') signedOut(reason);
  else entrance.show({ reason, guest: model.you?.guest });
});

/** Nobody is signed in any more, and nothing of them is to remain on the page. */
function signedOut(reason = null) {
  closeDialogs();
  clearNotices();
  client.forget();
  model.clear();
  conversation.clear();
  details.show(null);
  composer.clear();
  owner = null;
  location.hash = '';
  entrance.show({ reason });
}

addEventListener('keydown', (event) => {
  if (event.key === 'k' && (event.ctrlKey || event.metaKey) && model.you) {
    event.preventDefault();
    if (narrow.matches) location.hash = '';
    showAddressed();
    $('filter').select();
  }
});

await entrance.begin();
document.body.dataset.ready = '';
