/*
 * The dialog that searches public rooms and creates rooms.
 */

import { errorText, t } from '../strings.js';
import { clearForm, openSearch, submitHandler } from './dialogs.js';
import { $, appendInPieces, debounced, find, fromTemplate, keepMatching, setText } from './dom.js';
import { showMark } from './rooms.js';
import { roveFocus } from './roving.js';

const SEARCH_AFTER = 200;
const MAX_PAGES = 10; // without a room, until the user asks for more

/**
 * `open(room)` opens a room, or the preview of one that the user is not in. Returns `clear()`, which removes what was
 * found and entered.
 */
export function startRoomSearch({ client, model, open }) {
  let found = [];
  let nextPage; // the name after which the next page of the search begins
  let searches = 0; // counts searches, to ignore the replies to earlier ones

  const fetchRooms = async (after) => {
    const search = $('find-search').value.trim();
    const number = ++searches;
    try {
      found = after ? found : [];
      const before = found.length;
      nextPage = after;
      // A page of a search may have no rooms although there are more.
      for (let page = 0; page < MAX_PAGES && (page === 0 || nextPage) && found.length === before; page++) {
        const { rooms, next } = await client.emit('rooms', {
          ...(nextPage && { after: nextPage }),
          ...(search && { search }),
        });
        if (number !== searches) return;
        nextPage = next;
        found = [...found, ...rooms];
      }
      $('found-more').hidden = !nextPage;
      const elementOf = (room) => foundElement(room, model, () => open(room.room));
      appendInPieces($('found-rooms'), found.slice(before), elementOf, { first: !after });
      setText($('found-note'), found.length > 0 ? '' : t('find.none'));
    } catch (error) {
      if (number === searches) setText($('found-note'), errorText(error));
    }
  };

  const clear = () => {
    searches += 1;
    found = [];
    $('find-search').value = '';
    clearForm($('create-form'));
    $('create-part').open = false;
    $('found-note').textContent = '';
    $('found-more').hidden = true;
    appendInPieces($('found-rooms'), [], foundElement, { first: true });
  };

  $('find-room').addEventListener('click', () => {
    clear();
    openSearch($('find-dialog'), $('find-search'));
    fetchRooms();
  });
  roveFocus($('found-rooms'), 'button', { above: $('find-search') });
  const searchSoon = debounced(SEARCH_AFTER, () => fetchRooms());
  $('find-search').addEventListener('input', () => {
    searches += 1;
    keepMatching($('found-rooms'), $('find-search').value);
    $('found-more').hidden = true;
    searchSoon();
  });
  $('found-more').addEventListener('click', () => fetchRooms(nextPage));
  $('create-part').addEventListener('toggle', () => {
    if (!$('create-part').open) return;
    $('create').scrollIntoView({ block: 'nearest' });
    $('create-name').focus({ preventScroll: true });
  });
  $('create-form').addEventListener('submit', submitHandler($('create-form'), {
    note: $('create-note'),
    action: async () => {
      const [name, topic] = [$('create-name').value.trim(), $('create-topic').value.trim()];
      const kind = new FormData($('create-form')).get('kind');
      const { room } = await client.emit('create', { name, topic, kind });
      open(room.room);
    },
    fieldOf: ({ code }) => $(code === 'too_long' ? 'create-topic' : 'create-name'),
  }));
  return clear;
}

/** Returns the list item of a public room. */
export function foundElement(room, model, chosen) {
  const element = fromTemplate('found-template');
  const button = find(element, 'button');
  button.dataset.room = room.room;
  showMark(find(button, '.mark'), room, model);
  find(button, '.name').textContent = room.name;
  find(button, '.topic').textContent = room.topic;
  find(button, '.aside').textContent = isIn(room) ? t('find.joined') : t('find.members', { count: room.members });
  button.addEventListener('click', chosen);
  return element;
}

function isIn({ role }) {
  return role === 'owner' || role === 'member';
}
