/*
 * The search above the list of rooms: below the user's own rooms that match, it lists other users and public rooms.
 */

import { t } from '../strings.js';
import { $, debounced, setText, showItems } from './dom.js';
import { foundElement } from './room_search.js';
import { clearFilter } from './rooms.js';
import { userElement } from './user_picker.js';

const SEARCH_AFTER = 250;
const MAX_FOUND = 5; // of each kind

/** `message(name)` opens the conversation with a user, `open(room)` opens a room. */
export function startJump({ client, model, message, open }) {
  let found = { users: [], rooms: [] };
  let searches = 0; // counts searches, to ignore the replies to earlier ones

  const render = () => {
    const own = new Set([...model.rooms.values()].filter(({ kind }) => kind === 'direct').map(({ name }) => name));
    const users = found.users.filter(({ name }) => name !== model.you?.name && !own.has(name)).slice(0, MAX_FOUND);
    const rooms = found.rooms.filter(({ room }) => !model.rooms.has(room)).slice(0, MAX_FOUND);
    showItems($('jump-users'), users.map((user) => userElement(user, () => {
      message(user.name);
      clearFilter();
    })));
    showItems($('jump-rooms'), rooms.map((room) => foundElement(room, model, () => {
      open(room.room);
      clearFilter();
    })));
    $('jump-users-part').hidden = users.length === 0;
    $('jump-rooms-part').hidden = rooms.length === 0;
    const isSearching = $('filter').value.trim() !== '';
    const isEmpty = isSearching && $('rooms').querySelector('li') === null;
    setText($('jump-none'), isEmpty ? t('rooms.no_match') : '');
  };

  const search = async () => {
    const text = $('filter').value.trim();
    const number = ++searches;
    let next = { users: [], rooms: [] };
    if (text) {
      try {
        const [{ people }, { rooms }] = await Promise.all([
          client.emit('people', { search: text }),
          client.emit('rooms', { search: text }),
        ]);
        next = { users: people, rooms };
      } catch {
        // The list still shows the user's own rooms.
      }
    }
    if (number !== searches) return;
    found = next;
    render();
  };
  const searchSoon = debounced(SEARCH_AFTER, search);

  model.watch(['rooms', 'you'], render);
  $('filter').addEventListener('input', () => {
    if ($('filter').value.trim()) {
      searchSoon();
    } else {
      searches += 1;
      found = { users: [], rooms: [] };
      render();
    }
  });
}
