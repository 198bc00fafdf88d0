/*
 * The page: creates its parts and connects them. The address names the open room, so
 * that the browser's back and forward buttons work.
 *
 * Browsers load this file with all modules that it imports, as one: see chat/build.rs.
 *
 * | file | contents |
 * |---|---|
 * | `client.js`, `client/` | the protocol; knows nothing of the page |
 * | `session.js` | the page's client and its first request |
 * | `model.js` | the state that the page shows |
 * | `strings.js`, `strings/`, `links.js` | texts in each language, links in messages |
 * | `address.js` | the room in the page's address |
 * | `names.js` | the order of names, and the search in them |
 * | `theme.js` | light or dark, before the page is drawn |
 * | `view/` | the parts of the page, one file each |
 * | `style/` | style sheets |
 */

// First: its request is sent before anything else is loaded.
import { client, firstSession } from './session.js';
import { hashOf, roomOf } from './address.js';
import { Model } from './model.js';
import { startAccount } from './view/account.js';
import { Composer } from './view/composer.js';
import { startConnection } from './view/connection.js';
import { Conversation } from './view/conversation.js';
import { Details } from './view/details.js';
import { startJump } from './view/jump.js';
import { closeLayers, watchDialogs } from './view/layers.js';
import { Preview } from './view/preview.js';
import { clearQuestion, closeDialogs, prepareDialogs, toast } from './view/dialogs.js';
import { $, narrow, touch } from './view/dom.js';
import { focusChangedLanguage, startSettings } from './view/settings.js';
import { SignIn } from './view/sign_in.js';
import { startRoomSearch } from './view/room_search.js';
import { clearNotices, showNotice, startNotices } from './view/notices.js';
import { sentence } from './view/text.js';
import { UserPicker } from './view/user_picker.js';
import { UserDialog } from './view/user_dialog.js';
import { clearFilter, startRooms } from './view/rooms.js';
import { Typing } from './view/typing.js';
import { language, setLimits, t, translatePage } from './strings.js';

document.documentElement.lang = language;
translatePage(document);
prepareDialogs();
watchDialogs();

const model = new Model();
model.follow(client); // First: the model is up to date when a view gets an event.

const userDialog = new UserDialog({ client, model, open });
const userPicker = new UserPicker({ client, model });
const conversation = new Conversation({
  client,
  model,
  openUser: (name) => userDialog.show(name, conversation.room),
  edit: (text) => composer.insert(text),
});
const typing = new Typing({ client, model });
const composer = new Composer({
  model,
  send(room, text) {
    client.say(room, text);
    typing.sent();
    conversation.toEnd();
  },
  onInput: () => typing.report(),
  onPage: (direction) => conversation.scrollByPage(direction),
});
const details = new Details({ client, model, userPicker, openUser: (name) => userDialog.show(name, conversation.room) });
const preview = new Preview({
  client,
  model,
  joined: () => showRoomOfAddress(),
  renamed: () => rooms.render(),
  openUser: (name) => userDialog.show(name),
});
const rooms = startRooms({ client, model, current: () => conversation.room, title: () => preview.name, open });
const signIn = new SignIn({ client, model, onSignedIn: () => client.connect() });
const clearAccount = startAccount({ client, model, signedOut });
startSettings({ model, beforeReload: () => signIn.keepForm() });
startConnection(client);
const clearRoomSearch = startRoomSearch({ client, model, open });
startJump({ client, model, open, message: (name) => userDialog.message(name) });
const showNotices = startNotices(client);
$('find-user').addEventListener('click', () => userPicker.choose(t('users.find'), (name) => userDialog.message(name)));

// --- The open room -----------------------------------------------------------

/** Opens a room, or the preview of one that the user is not in. */
async function open(number) {
  closeDialogs();
  await closeLayers();
  location.hash = hashOf(number);
  showRoomOfAddress();
}

/**
 * Shows the room that the address names, as a preview if the user is not in it. Without one, shows the default
 * room. `moved`: the user has not requested the change.
 */
function showRoomOfAddress({ moved = false } = {}) {
  if (!model.you) return;
  const number = roomInAddress();
  const isPreview = number !== null && !isOpenable(model.rooms.get(number));
  const room = isPreview ? null : number ?? defaultRoom();
  document.body.dataset.view = room === null && !isPreview ? 'rooms' : 'room';
  preview.show(isPreview ? number : null);
  if (room === conversation.room) return;
  // Text that the user is typing must not go to another room: after an unrequested change the field is not focused.
  const left = conversation.room;
  const isMoved = moved && left !== null;
  conversation.show(room);
  composer.show(room);
  typing.show(room);
  details.show(room);
  rooms.render();
  // The keyboard of a phone would cover the messages.
  if (room !== null) (narrow.matches || touch.matches || isMoved ? $('room-name') : $('text')).focus();
  else if (!isPreview) rooms.focus(left);
}

let leaving = ''; // the hash that is being removed from the address

/** Returns what `roomOf` does. Removes from the address what names no room: another room would be shown under it. */
function roomInAddress() {
  const { hash } = location;
  if (hash === leaving) return null;
  const room = roomOf(hash);
  if (room === null && hash) replaceHash('');
  return room;
}

function replaceHash(hash) {
  history.replaceState(history.state, '', location.pathname + location.search + hash);
}

// A wide page opens a room at the start. A narrow one starts with the list.
function defaultRoom() {
  if (narrow.matches) return null;
  return [...model.rooms.values()].find(isOpenable)?.room ?? null;
}

function isOpenable(room) {
  return room !== undefined && room.role !== 'invited';
}

addEventListener('hashchange', () => showRoomOfAddress());
narrow.addEventListener('change', () => {
  if (!model.you) return;
  // The default room of a wide page stays open when the page becomes narrow.
  if (conversation.room !== null && !location.hash) replaceHash(hashOf(conversation.room));
  showRoomOfAddress();
});

client.on('gone', ({ room, reason }) => {
  if (reason !== 'left') toast(sentence(`gone.${reason}`, { name: model.nameOf(room) }));
  if (room === conversation.room || room === preview.room) clearAddress();
  client.pending.forEach(returnUnsent);
  returnDraft(room);
  showRoomOfAddress({ moved: true });
});
client.on('pending', returnUnsent);
client.on('conversations', ({ more }) => {
  if (!more) returnDrafts(); // Otherwise a draft may be for an older conversation.
});

/**
 * Closes dialogs and what else covers the open room, and removes the room from the address. It counts as removed at
 * once, although the browser's history must first go back to before the layers.
 */
async function clearAddress() {
  const { hash } = location;
  leaving = hash;
  closeDialogs();
  await closeLayers();
  if (location.hash === hash) replaceHash('');
  if (leaving === hash) leaving = '';
}

/** Shows the text of a failed message whose room is gone, so that the user does not lose it. */
function returnUnsent({ key, state, data: { room, text } }) {
  if (state !== 'failed' || model.rooms.has(room)) return;
  showNotice(t('notice.unsent'), text);
  queueMicrotask(() => client.discard(key)); // The client may still be reporting other messages.
}

/** Shows the draft for a room that is gone, so that the user does not lose it. */
function returnDraft(room) {
  const text = composer.takeDraft(room);
  if (text !== null) showNotice(t('notice.unsent'), text);
}

function returnDrafts() {
  composer.rooms.filter((room) => !model.rooms.has(room)).forEach(returnDraft);
}

// --- Signing in and out --------------------------------------------------------

let shownUser = null; // the user whose data is on the page

client.on('welcome', ({ you, limits, notices }) => {
  setLimits(limits);
  if (you.name !== shownUser) {
    clearViews();
    composer.setUser(you.name);
    shownUser = you.name;
  } else {
    client.pending.forEach(returnUnsent);
    returnDrafts();
  }
  showNotices(notices);
  const { room } = conversation;
  const isGone = room !== null && !model.rooms.has(room);
  if (isGone) {
    toast(sentence('gone.meanwhile', { name: model.nameOf(room) }));
    clearAddress();
  }
  const wasAway = !$('sign-in').hidden;
  signIn.hide();
  showRoomOfAddress({ moved: true });
  if (wasAway && !isGone && !narrow.matches && !touch.matches) $('text').focus();
});

client.on('state', ({ state, reason }) => {
  if (state !== 'expired') return;
  closeDialogs();
  if (reason === 'deleted' || reason === 'logout') signedOut(reason);
  else signIn.show({ reason, mode: model.you?.guest ? 'guest' : 'login' });
});

/** The user has signed out: removes all their data from the page. */
function signedOut(reason = null) {
  clearAddress();
  client.forget();
  model.clear();
  clearViews();
  composer.clear();
  shownUser = null;
  signIn.show({ reason });
}

/** Removes what the views show of the user so far, also where it is hidden. */
function clearViews() {
  clearNotices();
  clearFilter();
  clearQuestion();
  clearAccount();
  clearRoomSearch();
  userPicker.clear();
  userDialog.clear();
  conversation.clear();
  typing.clear();
  preview.show(null);
  details.show(null);
}

addEventListener('keydown', (event) => {
  if (event.key === 'k' && (event.ctrlKey || event.metaKey) && model.you) {
    event.preventDefault();
    if (narrow.matches) location.hash = '';
    showRoomOfAddress();
    $('filter').select();
  }
});

await signIn.begin(firstSession);
if (!$('sign-in').hidden) focusChangedLanguage();
document.body.dataset.ready = '';
