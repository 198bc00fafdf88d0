/*
 * The list of invitations, rooms and private conversations, with unread counts. The title of the
 * page has their sum, with the invitations.
 */

import { hashOf } from '../address.js';
import { byName, fold } from '../names.js';
import { isolated, t } from '../strings.js';
import { attempt } from './dialogs.js';
import { $, clearAvatar, find, fromTemplate, showAvatar, showItems } from './dom.js';
import { roveFocus } from './roving.js';
import { showSentence } from './text.js';

const MAX_COUNT = 99;
// The blocks of Unicode whose writing goes from right to left.
const RIGHT_TO_LEFT = /[\u0590-\u08FF\uFB1D-\uFDFF\uFE70-\uFEFC\u{10800}-\u{10FFF}\u{1E800}-\u{1EFFF}]/u;

/**
 * Lists the rooms. `current()` returns the number of the open room, or null, `title()` the name of what is open
 * instead; `open(room)` opens another. Returns `render()`, and `focus(room)`, which focuses the link of a room.
 */
export function startRooms({ client, model, current, title, open }) {
  const render = () => {
    const shown = matching(model, $('filter').value);
    const invitations = shown.filter(({ role }) => role === 'invited');
    showItems($('room-list'), shown.filter(isRoom).map((room) => item(room, model, current())));
    const invited = invitations.map((room) => invitation(room, { client, model, open }));
    showItems($('invitation-list'), invited, find($('rooms'), 'a.room'));
    showItems($('direct-list'), shown.filter(isDirect).sort(byActivity).map((room) => item(room, model, current())));
    const isSearch = $('filter').value.trim() !== '';
    $('invitations').hidden = $('invitation-list').childElementCount === 0;
    $('directs-none').hidden = isSearch || [...model.rooms.values()].some(isDirect);
    $('rooms-none').hidden = isSearch || [...model.rooms.values()].some(isRoom);
    $('directs-more').hidden = !model.hasOlder;
    $('rooms-part').hidden = isSearch && $('room-list').childElementCount === 0;
    $('directs-part').hidden = isSearch && !model.hasOlder && $('direct-list').childElementCount === 0;
    showTitle(model, model.rooms.get(current())?.name ?? title());
  };
  roveFocus($('rooms'), 'li :is(a, button)', { above: $('filter') });
  model.watch(['rooms', 'presence', 'you'], render);
  $('filter').addEventListener('input', render);
  $('filter').addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.isComposing) return;
    const first = find($('rooms'), 'a.room, #jump-users button, #jump-rooms button');
    first?.click(); // If there is none, it may still be on its way from the server.
  });
  // A room that was found is opened in this page, unless a modifier key opens it in another.
  $('rooms').addEventListener('click', ({ target, ctrlKey, metaKey, shiftKey }) => {
    if (target.closest('a.room') && !ctrlKey && !metaKey && !shiftKey) clearFilter();
  });
  $('rooms-none').addEventListener('click', () => $('find-room').click());
  $('directs-more').addEventListener('click', () => attempt(() => client.moreConversations()));
  const focus = (room) => {
    const link = find($('rooms'), `a.room[data-room="${room}"]`) ?? find($('rooms'), 'a.room');
    link?.focus();
  };
  return { render, focus };
}

/** Empties the search above the list, so that it shows all rooms. */
export function clearFilter() {
  if (!$('filter').value) return;
  $('filter').value = '';
  $('filter').dispatchEvent(new Event('input'));
}

/** Makes an element the icon of this room. A private conversation has the other user's avatar. */
export function showMark(element, room, model) {
  clearMark(element);
  element.classList.add(room.kind);
  if (room.kind === 'direct') {
    showAvatar(element, room.name);
    element.dataset.online = room.gone ? '' : model.isOnline(room.name) ?? ''; // Another user may have the name now.
  }
}

/** Makes an element the icon of no room. */
export function clearMark(element) {
  clearAvatar(element);
  delete element.dataset.online;
  element.className = 'mark';
}

function item(room, model, current) {
  const element = fromTemplate('room-template');
  const link = find(element, 'a');
  link.href = hashOf(room.room);
  link.dataset.room = room.room;
  link.dataset.kind = room.kind;
  link.dataset.unread = room.unread;
  if (room.room === current) link.ariaCurrent = 'page';
  showMark(find(link, '.mark'), room, model);
  find(link, '.name').textContent = room.name;
  if (room.unread > 0) {
    find(link, '.badge').textContent = countText(room.unread);
    find(link, '.unread').textContent = t('rooms.unread', { count: room.unread });
  }
  return element;
}

function invitation(room, { client, model, open }) {
  const element = fromTemplate('invitation-template');
  element.dataset.room = room.room;
  showMark(find(element, '.mark'), room, model);
  find(element, '.name').textContent = room.name;
  if (room.by) showSentence(find(element, '.by'), 'rooms.invited_by', { name: room.by });
  const accept = find(element, '.accept');
  const decline = find(element, '.decline');
  accept.dataset.choice = `accept ${room.room}`;
  decline.dataset.choice = `decline ${room.room}`;
  accept.ariaLabel = t('rooms.accept_of', { name: room.name });
  decline.ariaLabel = t('rooms.decline_of', { name: room.name });
  accept.addEventListener('click', () => attempt(async () => {
    await client.emit('join', { room: room.room });
    clearFilter();
    open(room.room);
  }));
  decline.addEventListener('click', () => attempt(() => client.emit('leave', { room: room.room })));
  return element;
}

function matching(model, filter) {
  const wanted = fold(filter.trim());
  return [...model.rooms.values()]
    .filter(({ name }) => fold(name).includes(wanted))
    .sort((a, b) => byName(a.name, b.name));
}

function isRoom({ kind, role }) {
  return kind !== 'direct' && role !== 'invited';
}

function isDirect({ kind, role }) {
  return kind === 'direct' && role !== 'invited';
}

function countText(number) {
  return number > MAX_COUNT ? `${MAX_COUNT}+` : String(number);
}

function byActivity(a, b) {
  return b.active - a.active;
}

function showTitle(model, name) {
  const shownName = RIGHT_TO_LEFT.test(name) ? isolated(name) : name;
  const title = name ? `${shownName} – switchboard` : 'switchboard';
  const count = model.unread + model.invitations;
  document.title = count > 0 ? `(${countText(count)}) ${title}` : title;
}
